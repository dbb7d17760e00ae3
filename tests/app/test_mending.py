"""Strokes on depth: where they go, what they do, and what no brush does."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("starlette", reason="the app needs the extra 'app'")

from cyclopean.app import handlers
from cyclopean.app.handlers import AppState
from cyclopean.app.mending import MOST_POINTS, STEP, Stroke, mended, painted
from cyclopean.app.service import RefocusSettings
from cyclopean.app.session import Session
from cyclopean.errors import InputError
from cyclopean.io.depthmap import from_numbers

SIZES = ((60, 80), (600, 800))
LEFT, RIGHT = (0.25, 0.5), (0.75, 0.5)


def two_sides(size: tuple[int, int]):
    """Depth that is near (0.8) on the left and far (0.2) on the right."""
    h, w = size
    plane = torch.full((1, 1, h, w), 0.2)
    plane[..., : w // 2] = 0.8
    return from_numbers(plane, "inverse_depth")


def at(depth, place: tuple[float, float]) -> float:
    h, w = depth.size
    return float(depth.inverse_depth[0, 0, int(place[1] * h), int(place[0] * w)])


def test_each_brush_does_what_it_is_called():
    for size in SIZES:
        depth = two_sides(size)
        for kind, place, focus, value in (
            ("add", RIGHT, LEFT, 0.8),
            ("add", LEFT, RIGHT, 0.2),
            ("nearer", RIGHT, LEFT, 0.2 + STEP * 0.6),
            ("farther", LEFT, LEFT, 0.8 - STEP * 0.6),
        ):
            done = mended(depth, (Stroke(kind, (place,), 0.05, focus),))
            assert at(done, place) == pytest.approx(value, abs=1e-6), (size, kind)
            assert at(done, (place[0], 0.95)) == at(depth, (place[0], 0.95)), "beside the stroke"
        same = mended(depth, (Stroke("same", (LEFT, RIGHT), 0.05, (0.9, 0.9)),))
        assert at(same, RIGHT) == pytest.approx(0.8)
        near = (0.52, 0.5)  # beside the edge: both depths surround it
        for focus, value in ((LEFT, 0.2), (RIGHT, 0.8)):
            done = mended(depth, (Stroke("remove", (near,), 0.04, focus),))
            assert at(done, near) == pytest.approx(value, abs=1e-3), "the depth that is farther from the focus"
        deep = mended(depth, (Stroke("farther", (RIGHT,), 0.05, LEFT),) * 20)
        assert float(deep.inverse_depth.min()) >= 0, "nothing is farther than infinitely far"


def test_strokes_are_of_one_place_at_every_size_and_leave_what_they_do_not_touch():
    stroke = Stroke("add", ((0.3, 0.2), (0.6, 0.7)), 0.05, LEFT)
    small, large = (painted(stroke, size) for size in SIZES)
    blocks = large.reshape(60, 10, 80, 10).mean((1, 3))
    assert np.abs(blocks - small).mean() < 0.01
    assert small.max() == large.max() == 1
    assert (large == 0).mean() > 0.8
    depth = two_sides(SIZES[0])
    assert mended(depth, ()) is depth
    beside = torch.from_numpy(small)[None, None] == 0
    done = mended(depth, (stroke,))
    torch.testing.assert_close(done.inverse_depth[beside], depth.inverse_depth[beside])
    for corner in ((0.0, 0.0), (1.0, 1.0), (1e300, -1e300)):
        assert painted(Stroke("add", (corner,), 0.01, LEFT), (16, 9000)).max() > 0


def test_what_no_brush_does_is_refused():
    for kind, points, radius in (
        ("erase", (LEFT,), 0.05), ("add", (), 0.05), ("add", (LEFT,) * (MOST_POINTS + 1), 0.05),
        ("add", (LEFT,), 0.0), ("add", (LEFT,), 5.0), ("add", (LEFT,), float("nan")),
    ):  # fmt: skip
        with pytest.raises(InputError):
            Stroke(kind, points, radius, LEFT)


def opened(state: AppState) -> Session:
    """A session with a picture whose right half is blue, and near."""
    session = state.store.open()
    noise = np.random.default_rng(0).integers(0, 100, (96, 128, 3), dtype=np.uint8)
    noise[..., 2] = 0
    noise[:, 64:, 2] = 255
    path = session.room() / "half.png"
    Image.fromarray(noise).save(path)
    session.receive(path)
    assert "error" not in handlers.open_photo(state, session.token)
    return session


def test_a_mended_photo_is_saved_as_it_is_shown_and_undone_stroke_by_stroke(state: AppState, tmp_path: Path):
    session, look, view = opened(state), RefocusSettings(3.0), (0.2, 0.5)
    paint = [(0.1, 0.5), (0.3, 0.5)]
    early = handlers.mend(state, session.token, "add", paint, 0.1, look)
    assert early["error"].startswith("Nothing is in focus yet")
    plain = handlers.focus(state, session.token, (0.8, 0.5), look, "point")
    shown = handlers.mend(state, session.token, "add", paint, 0.1, look)
    assert {"result", "depth", "undo"} <= shown.keys()
    saved = []
    for _ in range(2):
        files = handlers.save_photo(state, session.token, "PNG")["files"]
        with Image.open(session.files[files[0]["name"]]) as picture:
            saved.append(np.asarray(picture, float))
        record = json.loads(session.files[files[1]["name"]].read_text())
        saved.append("strokes" in record)
        handlers.save_depth(state, session.token)
        saved.append(np.load(session.files["half_disp.npy"])[48, int(view[0] * 128)])
        update = handlers.undo(state, session.token)
        saved.append("depth" in update)
    sharp, told, near, stroke, blurred, untold, far, point = saved
    assert (told, untold) == (True, False)
    assert (stroke, point) == (True, False), "another depth is shown when a stroke goes"
    assert near > 1.5 * far
    with Image.open(session.upload) as photo:
        before = np.asarray(photo, float)
    patch = np.s_[44:52, 20:32]
    assert np.abs(sharp[patch] - before[patch]).mean() < 2, "what was painted is sharp"
    assert np.abs(blurred[patch] - before[patch]).mean() > 10
    assert update["undo"] is False, "the point is undone last"
    assert plain["result"] != shown["result"]
    handlers.focus(state, session.token, (0.8, 0.5), look, "point")
    handlers.mend(state, session.token, "nearer", [(0.5, 0.5)], 0.01, look)
    session.history[-1] = (
        "mend",
        handlers.FocusRequest((0.5, 0.5), look, session.history[-1][1].strokes * handlers.MOST),
    )
    assert "the most that a photo takes" in handlers.mend(state, session.token, "add", paint, 0.1, look)["error"]


def test_the_full_size_is_there_to_be_looked_at(state: AppState):
    session = opened(state)
    handlers.focus(state, session.token, (0.8, 0.5), RefocusSettings(2.0), "point")
    handlers.save_photo(state, session.token, "JPEG")
    kept = session.files["half_defocus.jpg"]
    for view in ("photo", "result"):
        address = handlers.full(state, session.token, view)["sharp"][view]
        assert f"full-{view}.jpg?" in address
        with Image.open(session.files[f"full-{view}.jpg"]) as picture:
            assert picture.size == (128, 96)
    assert session.files["half_defocus.jpg"] == kept, "what was saved stays"
    session.forget()
    assert not (session.folder / "full").exists()
