"""Clips refocused and seen by two eyes: reading, computing and writing overlap, and change nothing."""

import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from torch import Tensor

from cyclopean.defocus.video import Keyframe
from cyclopean.inference import clip, stereo_clip
from cyclopean.inference.clip import refocus_clip
from cyclopean.inference.stereo_pipeline import StereoOptions
from cyclopean.io import video_writing
from cyclopean.io.result_names import Target
from cyclopean.sample import View
from filmed import blue_is_near, film, walking

KEY = [Keyframe(0, (20, 48))]


def test_reading_computing_and_writing_of_frames_overlap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The network waits until the next frame is read, and a frame is not written before the network is at the next;
    the films are those of one frame after the other, sound and all."""
    count, done, change = 6, Counter[str](), threading.Condition()
    reading, writing = video_writing.upright, video_writing.coded

    def step(name: str, awaited: str = "") -> None:
        with change:
            done[name] += 1
            change.notify_all()
            wanted = min(count, done[name] + 1)
            assert not awaited or change.wait_for(lambda: done[awaited] >= wanted, 30), (name, awaited)

    def read(*arguments):
        step("read")
        return reading(*arguments)

    def see(_method: object, view: View) -> Tensor:
        if done["read"] and not serial:
            step("computed", "read")
        return 0.25 + 0.5 * (view.seen[:, 2:3] > 0.5)

    def write(*arguments):
        if not serial:
            step("written", "computed")
        return writing(*arguments)

    monkeypatch.setattr(video_writing, "upright", read)
    monkeypatch.setattr(video_writing, "coded", write)
    film(tmp_path / "a.mp4", walking(count))
    predictor = replace(blue_is_near(), infer=see)
    for serial in (False, True):
        done.clear()
        out = tmp_path / str(serial)
        out.mkdir()
        if serial:
            monkeypatch.setattr(clip, "overlapped", lambda change: change)
            monkeypatch.setattr(stereo_clip, "overlapped", lambda change: change)
        refocus_clip(tmp_path / "a.mp4", out / "a.mp4", KEY, predictor)
        done.clear()
        stereo_clip.stereo_clip(tmp_path / "a.mp4", Target(out, "a"), predictor, StereoOptions())
    for name in ("a.mp4", "a_sbs.mp4"):
        assert (tmp_path / "False" / name).read_bytes() == (tmp_path / "True" / name).read_bytes()


def test_a_failing_frame_ends_its_threads_and_leaves_nothing(tmp_path: Path) -> None:
    film(tmp_path / "a.mp4", walking(6))
    calls = iter(range(100))

    def see(_method: object, view: View) -> Tensor:
        if next(calls) == 9:  # of the second pass
            raise KeyError("the network")
        return 0.25 + 0.5 * (view.seen[:, 2:3] > 0.5)

    before = threading.active_count()
    with pytest.raises(KeyError, match="the network"):
        refocus_clip(
            tmp_path / "a.mp4", tmp_path / "out" / "b.mp4", [Keyframe(0, (20, 48))], replace(blue_is_near(), infer=see)
        )
    assert (threading.active_count(), [*(tmp_path / "out").iterdir()]) == (before, [])
