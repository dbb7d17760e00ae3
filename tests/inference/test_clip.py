"""A clip refocused: what is sharp when, steady depth, constant memory, nothing half written."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from cyclopean.defocus.lens import Lens
from cyclopean.defocus.video import Keyframe
from cyclopean.errors import InputError
from cyclopean.geometry import Pinhole
from cyclopean.inference import clip as clips
from cyclopean.inference.clip import ClipReport, refocus_clip, result_suffix
from cyclopean.inference.clip_pipeline import predict_clip
from cyclopean.inference.photo_pipeline import DepthOptions, predict_photo
from cyclopean.io.image import Photo, write_photo
from cyclopean.io.result_names import Target
from cyclopean.io.video import frames
from cyclopean.methods.base import Method
from cyclopean.networks.subject import SubjectNet
from cyclopean.sample import View
from filmed import SIDE, blue_is_near, film, sound_of, times_of, walking

LENS = Lens(amount=2.0)


def made(tmp_path: Path, keys: list[Keyframe], count: int = 12, noise: float = 0.0, **more: float) -> ClipReport:
    film(tmp_path / "a.mp4", walking(count))
    return refocus_clip(tmp_path / "a.mp4", tmp_path / "b.mp4", keys, blue_is_near(noise), LENS, **more)


def softness(tmp_path: Path) -> list[tuple[float, float]]:
    """For each frame how much of the detail of the square and of the wall is gone, 0 to 1."""
    found = []
    for index, (old, new) in enumerate(zip(frames(tmp_path / "a.mp4"), frames(tmp_path / "b.mp4"), strict=True)):
        x = 10 + round(index * 2.0)
        parts = (slice(34, 28 + SIDE - 6), slice(x + 6, x + SIDE - 6)), (slice(72, 92), slice(8, 150))
        found.append(tuple(1 - detail(new[0, 0][part]) / detail(old[0, 0][part]) for part in parts))
    return found


def detail(patch: Tensor) -> float:
    """The mean step between neighbours."""
    return float(patch.diff(dim=0).abs().mean() + patch.diff(dim=1).abs().mean())


def test_a_tracked_point_stays_sharp_and_a_placed_one_does_not(tmp_path: Path) -> None:
    report = made(tmp_path, [Keyframe(0, (20, 48), track=True)])
    soft = softness(tmp_path)
    assert all(square < 0.15 and wall > 0.4 for square, wall in soft)
    assert (report.frames, report.lost, report.cuts) == (12, (), ())
    report = made(tmp_path, [Keyframe(0, (14, 48))], count=40)  # the square has gone from there after 2 frames
    soft = softness(tmp_path)
    assert soft[0][0] < 0.15
    assert soft[0][1] > 0.4
    assert soft[-1][1] < 0.15
    assert soft[-1][0] > 0.3
    assert report.seconds == pytest.approx(39 / 30)


class Reddish(SubjectNet):
    """Stands for the network of clicks: what is red is the thing, but every third time nothing is."""

    calls = 0

    def embed(self, image: Tensor, _inverse_depth: Tensor) -> list[Tensor]:
        self.calls += 1
        return [torch.nn.functional.avg_pool2d(image, 4)]

    def forward(self, embeddings: list[Tensor], _points: Tensor) -> Tensor:
        (small,) = embeddings
        red = small[:, :1] - small[:, 1:2]
        return 100 * (red - 0.1) if self.calls % 3 else torch.full_like(red, -9.0)


def two_depths(count: int) -> Iterator[Tensor]:
    """The walking square, reddish, whose lower half is told to be farther away, half way to the wall."""
    for index, picture in enumerate(walking(count)):
        x = 10 + round(index * 2.0)
        thing = (..., slice(28, 28 + SIDE), slice(x, x + SIDE))
        picture[0, 0][thing] = (picture[0, 0][thing] + 0.3).clamp(max=1)
        picture[0, 2, 28 + SIDE // 2 : 28 + SIDE, x : x + SIDE] = 0.5
        yield picture


def test_the_thing_at_a_tracked_point_is_sharp_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    film(tmp_path / "a.mp4", two_depths(16))
    monkeypatch.setattr(clips, "bundled_network", Reddish)
    blue = replace(blue_is_near(), infer=lambda _, view: view.seen[:, 2:3])
    lower = {}
    for name, keys, subject in (
        ("whole", [Keyframe(0, (20, 40), track=True)], True),
        ("by depth", [Keyframe(0, (20, 40), track=True)], False),
        ("in place", [Keyframe(0, (20, 40))], True),
        ("pulled", [Keyframe(0, (140, 10)), Keyframe(0.2, (32, 40), track=True)], True),
    ):
        report = refocus_clip(tmp_path / "a.mp4", tmp_path / "b.mp4", keys, blue, LENS, subject=subject)
        assert report.lost == ()
        lower[name] = []
        for index, (old, new) in enumerate(zip(frames(tmp_path / "a.mp4"), frames(tmp_path / "b.mp4"), strict=True)):
            x = 10 + round(index * 2.0)
            part = slice(28 + SIDE // 2 + 6, 28 + SIDE - 6), slice(x + 6, x + SIDE - 6)
            lower[name].append(1 - detail(new[0, 1][part]) / detail(old[0, 1][part]))
            wall = slice(72, 92), slice(8, 150)
            lost = 1 - detail(new[0, 1][wall]) / detail(old[0, 1][wall])
            assert lost > 0.2 or name in ("in place", "pulled"), (name, index)
    assert max(lower["whole"]) < 0.15
    assert min(lower["by depth"]) > 0.3
    assert max(lower["pulled"][6:]) < 0.15, "as soon as the focus arrives"


def test_the_focus_is_pulled_from_key_to_key(tmp_path: Path) -> None:
    made(
        tmp_path, [Keyframe(0.1, (80, 85)), Keyframe(0.6, (0.36, 0.5), amount=1.0)], count=22
    )  # wall, then the square by then
    square, wall = zip(*softness(tmp_path), strict=True)
    assert max(wall[:4]) < 0.15
    assert min(square[:4]) > 0.4
    assert max(square[18:]) < 0.18  # what the encoder takes is 0.14 of it; blurred it is above 0.4
    assert min(wall[18:]) > 0.2
    assert max(wall[18:]) < max(square[:4])  # half the amount
    assert all(a >= b - 0.05 for a, b in pairwise(square[4:]))
    assert sound_of(tmp_path / "b.mp4") == sound_of(tmp_path / "a.mp4")
    assert times_of(tmp_path / "b.mp4") == pytest.approx(times_of(tmp_path / "a.mp4"))


def test_breathing_depth_is_made_steady(tmp_path: Path) -> None:
    report = made(tmp_path, [Keyframe(0, (20, 48), track=True)], noise=0.1)
    assert report.flicker_before is not None
    assert report.flicker_after is not None
    assert report.flicker_before > 0.08
    assert report.flicker_after < 0.35 * report.flicker_before
    alone = made(tmp_path, [Keyframe(0, (20, 48))], noise=0.1, smooth=0.0)
    assert alone.flicker_after == alone.flicker_before


def test_what_the_clip_s_camera_is_reaches_the_model(tmp_path: Path) -> None:
    """By a file, degrees along the longer side, or metadata, in this order; else 60 degrees are assumed."""
    plain, phone, upright = (tmp_path / name for name in ("plain.mp4", "phone.mov", "upright.mp4"))
    film(plain, walking(3))
    film(upright, walking(3), rotation=90)
    tag = {"com.apple.quicktime.camera.focal_length.35mm_equivalent": "26"}
    film(phone, walking(3), tags=tag)
    profile = tmp_path / "profile.json"
    profile.write_text(json.dumps({"camera": {"focal": [0.7, 1.2], "center": [0.4, 0.5]}}))
    seen: list[tuple[float, float]] = []

    def see(_method: object, view: View) -> Tensor:
        assert isinstance(view.camera, Pinhole)
        seen.append((float(view.camera.focal[0, 0]), float(view.camera.focal[0, 1])))
        return 0.25 + 0.5 * (view.seen[:, 2:3] > 0.5)

    predictor = replace(blue_is_near(), infer=see)
    (height, width), wide = (96, 160), 0.5 / np.tan(np.radians(30))
    of_phone = 26 / np.hypot(36, 24) * np.hypot(height, width) / width
    cases = (
        (plain, None, wide, None),
        (plain, 90.0, 0.5, 0.5),
        (plain, profile, 0.7, 0.7),
        (upright, 90.0, 0.5 * width / height, 0.5 * width / height),
        (phone, None, of_phone, of_phone),
        (phone, 90.0, 0.5, 0.5),
    )
    for number, (clip, known, focal, told) in enumerate(cases):
        seen.clear()
        predict_clip(clip, Target(tmp_path / f"p{number}", "x"), predictor, known=known)
        card = json.loads((tmp_path / f"p{number}" / "x_disp.json").read_text())
        assert (card["camera"] or {"focal": [None]})["focal"][0] == (
            told if told is None else pytest.approx(told, rel=1e-3)
        )
        refocus_clip(clip, tmp_path / "out.mp4", [Keyframe(0, (0.5, 0.5))], predictor, LENS, known=known)
        assert len(seen) == 4 * 3
        assert [u for u, _ in seen] == pytest.approx([focal] * len(seen), rel=1e-3), (clip, known)
    assert seen[0][1] == pytest.approx(0.5 * width / height)  # square pixels
    photo = tmp_path / "photo.png"
    write_photo(photo, Photo(next(walking(1))))
    for known, focal in ((None, wide), (90.0, 0.5), (profile, 0.7)):
        seen.clear()
        predict_photo(
            photo, Target(tmp_path / "photo", "x", overwrite=True), lambda _: predictor, DepthOptions(known=known)
        )
        assert seen[0][0] == pytest.approx(focal, rel=1e-4)


def test_scale_and_shift_of_any_model_are_made_steady(tmp_path: Path) -> None:
    """Files of frames, in colours and as arrays, and refocused frames: of a model whose scale and shift jump."""
    film(tmp_path / "clip.mp4", walking(12))
    draws = np.random.default_rng(2).uniform(-1, 1, (1000, 2))
    calls = iter(draws)

    def see(_method: object, view: View) -> Tensor:
        scale, shift = next(calls)
        return ((view.seen[:, 2:3] > 0.5) * 0.5 + 0.25) * (1 + 0.3 * scale) + 0.2 * shift

    steady = replace(blue_is_near(), infer=see)
    steady.method.ambiguity = "affine"
    spans, cards = {}, {}
    for name in ("steady", "raw"):
        calls = iter(draws)
        target = Target(tmp_path / name, "clip")
        predict_clip(tmp_path / "clip.mp4", target, steady, ["npy"], steady=name == "steady")
        frames = [np.load(path) for path in sorted((tmp_path / name / "clip_disp").glob("*_disp.npy"))]
        assert len(frames) == 12
        spans[name] = [np.std([np.median(f[:10]) for f in frames]), np.std([f.max() - f.min() for f in frames])]
        cards[name] = json.loads((tmp_path / name / "clip_disp.json").read_text())
    assert spans["raw"][0] > 0.05
    assert spans["raw"][1] > 0.05
    assert spans["steady"][0] < 0.005
    assert spans["steady"][1] < 0.02
    assert cards["steady"]["flicker_before"] > 10 * cards["steady"]["flicker_after"] > 0
    assert cards["raw"]["flicker_before"] is None
    side = json.loads((tmp_path / "steady" / "clip_disp" / "000005_disp.json").read_text())
    raw, aligned = (np.load(tmp_path / name / "clip_disp" / "000005_disp.npy") for name in ("raw", "steady"))
    notes = side["notes"]
    assert aligned == pytest.approx(notes["steady_scale"] * raw + notes["steady_shift"], abs=1e-4)
    report = refocus_clip(tmp_path / "clip.mp4", tmp_path / "out.mp4", [Keyframe(0, (20, 48))], steady)
    assert report.flicker_before > 5 * report.flicker_after  # type: ignore[operator]


def test_new_scenes_and_lost_points_are_told(tmp_path: Path) -> None:
    def two() -> "object":
        yield from walking(8)
        yield from walking(8, seed=7)

    film(tmp_path / "a.mp4", two())  # type: ignore[arg-type]
    keys = [Keyframe(0, (20, 48), track=True)]
    report = refocus_clip(tmp_path / "a.mp4", tmp_path / "b.mp4", keys, blue_is_near(), LENS)
    assert report.cuts == report.lost == (pytest.approx(8 / 30),)
    assert len(list(frames(tmp_path / "b.mp4"))) == 16


def test_one_frame(tmp_path: Path) -> None:
    report = made(tmp_path, [Keyframe(0, (20, 48))], count=1)
    assert (report.frames, report.flicker_before, report.flicker_after) == (1, None, None)


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ([], "no point of focus"),
        ([Keyframe(0, (160, 5))], "key 1: the point 160 5 lies outside the picture, which is 160x96"),
        ([Keyframe(0, (0.5, 0.5)), Keyframe(9, (0.5, 0.5))], "key 2 is at 9 s, but the clip ends at 0.4 s"),
    ],
)
def test_bad_keys_before_any_work(tmp_path: Path, keys: list[Keyframe], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        made(tmp_path, keys)
    assert {p.name for p in tmp_path.iterdir()} == {"a.mp4"}


def test_stopping_leaves_nothing(tmp_path: Path) -> None:
    film(tmp_path / "a.mp4", walking(12))

    def stop(done: int, count: int) -> None:
        assert count == 12
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        refocus_clip(
            tmp_path / "a.mp4", tmp_path / "o" / "b.mp4", [Keyframe(0, (20, 48))], blue_is_near(), LENS, progress=stop
        )
    assert not list((tmp_path / "o").iterdir())


GROWTH = """
import resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from filmed import blue_is_near, film, walking
from cyclopean.inference.clip import refocus_clip
from cyclopean.defocus.video import Keyframe
folder, peaks = Path(sys.argv[2]), []
for count in (40, 160):
    film(folder / "a.mp4", walking(count, 200, 264, step=1))
    refocus_clip(folder / "a.mp4", folder / "b.mp4", [Keyframe(0, (20, 48))], blue_is_near())
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
print(peaks[1] - peaks[0])
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_clip(tmp_path: Path) -> None:
    """120 frames more would be 76 MB as floats, twice that with their results."""
    words = [sys.executable, "-c", GROWTH, str(Path(__file__).parents[1]), str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 15_000  # kB


def test_names_of_results() -> None:
    assert [result_suffix(s) for s in (".mp4", ".MOV", ".avi", ".webm", ".mkv")] == [
        ".mp4", ".MOV", ".mkv", ".mkv", ".mkv",
    ]  # fmt: skip


def test_soft_edges_of_depth_leave_no_sharp_rim(tmp_path: Path) -> None:
    """The focus is half way between the square and the wall: nothing is there in truth, but a ramp between them is."""
    exact = blue_is_near()

    def softly(method: Method, view: View) -> Tensor:
        return torch.from_numpy(cv2.GaussianBlur(exact.infer(method, view)[0, 0].numpy(), (0, 0), 2.0))[None, None]

    film(tmp_path / "a.mp4", walking(12))
    keys = [Keyframe(0, (30, 48), track=True), Keyframe(11 / 30, (140, 20))]
    rims = []
    for predictor in (exact, replace(exact, infer=softly)):
        refocus_clip(tmp_path / "a.mp4", tmp_path / "b.mp4", keys, predictor, LENS, smooth=0.0)
        picture = [*frames(tmp_path / "b.mp4")][6][0, 0]
        x = 10 + round(6 * 2.0)
        rims.append(
            torch.cat([picture[24 : 32 + SIDE, x - 6 : x + 6], picture[24 : 32 + SIDE, x + SIDE - 6 : x + SIDE + 6]])
        )
    assert float((rims[1] - rims[0]).square().mean().sqrt()) < 0.02
