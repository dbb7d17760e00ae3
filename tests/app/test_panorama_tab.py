"""The panorama tab without a browser: what is shown is new, what is saved is a panorama's."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("starlette", reason="the app needs the extra 'app'")

from cyclopean.app import calibration
from cyclopean.app.handlers import AppState
from cyclopean.app.service import FocusRequest, Preview, RefocusSettings
from cyclopean.app.session import Session
from cyclopean.geometry import Equirectangular
from cyclopean.io.depthmap import from_numbers
from cyclopean.io.image import Photo


def brought(session: Session, name: str) -> None:
    """A picture twice as wide as high whose borders do not meet: no panorama unless somebody says so."""
    path = session.room() / name
    ramp = np.broadcast_to(np.linspace(0, 255, 128, dtype=np.uint8)[None, :, None], (64, 128, 3)).copy()
    ramp[16:48, 32:96, 2] = 255
    Image.fromarray(ramp).save(path)
    session.receive(path)


def test_a_second_panorama_has_an_address_of_its_own(state: AppState):
    session = state.store.open()
    brought(session, "one.png")
    first = calibration.open_panorama(state, session.token)
    brought(session, "two.png")
    second = calibration.open_panorama(state, session.token)
    assert (first["name"], second["name"]) == ("one.png", "two.png")
    assert first["space"] != second["space"], "the page fetches an address once"


def test_what_is_saved_is_the_panorama_that_is_shown(state: AppState):
    session = state.store.open()
    brought(session, "one.png")
    calibration.open_panorama(state, session.token)
    files = calibration.save_panorama(state, session.token)["files"]
    assert [file["name"] for file in files] == [f"one_disp{end}" for end in (".png", ".npy", ".json", ".ply")]
    assert json.loads(session.files["one_disp.json"].read_text())["camera"]["camera"] == "equirectangular"
    points = int(session.files["one_disp.ply"].read_bytes().split(b"element vertex ")[1].split()[0])
    assert 0.7 * 64 * 128 < points < 64 * 128, "none hangs between the near square and the wall"
    again = calibration.save_panorama(state, session.token)["files"]
    assert {file["url"] for file in files}.isdisjoint(file["url"] for file in again)


def test_in_the_photo_tab_blur_goes_on_over_the_seam():
    """Rolled by half a turn, the picture is refocused the same."""
    edges = np.random.default_rng(0).integers(0, 256, (32, 64, 3), dtype=np.uint8).repeat(2, 0).repeat(2, 1)
    edges[:, 64:, 2] = 255
    seen = Photo(torch.from_numpy(edges.copy()).permute(2, 0, 1)[None] / 255, Equirectangular())
    depth = from_numbers(torch.where(seen.image[:, 2:] > 0.9, 0.8, 0.2), "inverse_depth", "m")
    turned = Photo(seen.image.roll(64, -1), Equirectangular())
    there = from_numbers(depth.inverse_depth.roll(64, -1), "inverse_depth", "m")
    first, second = Preview(seen, depth, seen.size), Preview(turned, there, seen.size)
    for shot in (
        FocusRequest((0.25, 0.5), RefocusSettings(2.0)),
        FocusRequest((0.25, 0.5), RefocusSettings(2.0, method="gaussian")),
    ):
        opposite = FocusRequest((0.75, 0.5), shot.settings)
        for _ in range(2):  # the second time with what was kept from the first
            result = second.focused(opposite).image.roll(-64, -1)
            torch.testing.assert_close(first.focused(shot).image, result, atol=2e-3, rtol=0)
