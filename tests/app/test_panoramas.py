"""The panorama tab without a browser: what is shown is new, what is saved is a panorama's."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("gradio", reason="the app needs the extra 'app'")

from cyclopean.app import measuring
from cyclopean.app.handlers import Studio
from cyclopean.app.limits import Limits
from cyclopean.app.session import Session, Store
from filmed import blue_is_near


@pytest.fixture
def studio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Studio]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    store = Store(Limits())
    yield Studio(blue_is_near(), store, [])
    store.end()


def brought(session: Session, name: str) -> None:
    """A picture twice as wide as high whose borders do not meet: no panorama unless somebody says so."""
    path = session.room() / name
    ramp = np.broadcast_to(np.linspace(0, 255, 128, dtype=np.uint8)[None, :, None], (64, 128, 3)).copy()
    ramp[16:48, 32:96, 2] = 255
    Image.fromarray(ramp).save(path)
    session.receive(path)


def test_a_second_panorama_has_an_address_of_its_own(studio: Studio):
    session = studio.store.open()
    brought(session, "one.png")
    first = measuring.look_around(studio, session)
    brought(session, "two.png")
    second = measuring.look_around(studio, session)
    assert (first["name"], second["name"]) == ("one.png", "two.png")
    assert first["space"] != second["space"], "the page fetches an address once"


def test_what_is_saved_is_the_panorama_that_is_shown(studio: Studio):
    session = studio.store.open()
    brought(session, "one.png")
    measuring.look_around(studio, session)
    files = measuring.save_panorama(studio, session)["files"]
    assert [file["name"] for file in files] == [f"one_disp{end}" for end in (".png", ".npy", ".json", ".ply")]
    assert json.loads(session.files["one_disp.json"].read_text())["camera"]["camera"] == "equirectangular"
    again = measuring.save_panorama(studio, session)["files"]
    assert {file["url"] for file in files}.isdisjoint(file["url"] for file in again)
