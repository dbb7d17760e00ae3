"""What `check` says of clips whose motion is known, and the geometry that it rests on."""

import json
import math
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from benchmarks.clips import Film, write_film, write_folder

from commands import here
from cyclopean.data import is_clip
from cyclopean.data.diagnose_clip import clip_json, clip_problems, clip_rows, teaches, verdict
from cyclopean.data.egomotion import Tracker, refined, sampson, triangulated, turn, two_view
from cyclopean.data.inspect_clip import ClipInspection, examine_clip
from cyclopean.errors import InputError
from filmed import encode, film, walk, walking

ROOM, STREET, SHELF = ("room", 9001), ("street", 9002), ("clutter", 9003)
CLIPS = {
    "still": [Film(*ROOM, "still", count=20)],
    "turn": [Film(*ROOM, "turn", count=20)],
    "zoom": [Film(*ROOM, "still", count=20, zoom=1.5)],
    "movers": [Film("street", 9005, "still", count=20, moving=0.07)],
    "ahead": [Film(*STREET, "ahead", count=24)],
    "aside": [Film(*SHELF, "aside", count=20)],
    "walk": [Film(*ROOM, count=40)],
    "to and fro": [Film("clutter", 9103, count=30)],  # a walk ahead is no zoom
    "jump": [Film("table", 9004, count=20, jump=2.0)],
    "cut": [Film(*ROOM, "aside", count=19), Film(*SHELF, "aside", count=19)],
}


@pytest.fixture(scope="module")
def inspections(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ClipInspection]:
    folder = tmp_path_factory.mktemp("clips")
    for name, films in CLIPS.items():
        write_film(folder / f"{name}.mp4", *films)
    names = {name: {} for name in CLIPS} | {f"walk:fov={n}": {"fov": str(n)} for n in (40, 65)}
    return {name: examine_clip(name, folder / f"{name.partition(':')[0]}.mp4", how) for name, how in names.items()}


@pytest.mark.slow
def test_the_motion_of_every_kind_of_clip_is_recognised(inspections):
    for name, kind in {"still": "still", "turn": "turn", "zoom": "zoom", "movers": "still"}.items():
        found = inspections[name]
        assert found.share(kind) > 0.8, (name, found.pairs)
        assert not teaches(found), name
        assert "cannot teach" in verdict(found)
        assert [problem.kind for problem in clip_problems(found)] == [kind], name
    for name in ("ahead", "aside", "walk", "to and fro", "jump", "cut"):
        found = inspections[name]
        assert teaches(found), (name, found.pairs)
        assert f"step={found.step}" in verdict(found)
        assert clip_problems(found) == [], name
        assert 2 <= found.step <= 16, name
    assert {name: found.cuts for name, found in inspections.items() if found.cuts} == {"cut": (19,)}
    assert {name: found.jumps for name, found in inspections.items() if found.jumps} == {"jump": (10,)}
    assert all(pair.moving < 0.2 for pair in inspections["aside"].pairs)
    assert max(pair.moving for pair in inspections["movers"].pairs) > 2 * max(
        p.moving for p in inspections["still"].pairs
    )
    zoomed = inspections["zoom"]
    expected = 1.5 ** (zoomed.step / 19) - 1
    assert np.median([pair.zoom for pair in zoomed.pairs]) == pytest.approx(expected, rel=0.15)
    for found in inspections.values():
        table = dict(clip_rows(found))
        assert table["frames"].startswith(f"{found.frames}, 256x192")
        assert json.loads(json.dumps(clip_json(found)))["teaches"] == teaches(found)


@pytest.mark.slow
def test_a_wrong_focal_length_is_noticed(inspections):
    wrong, right = inspections["walk:fov=40"], inspections["walk:fov=65"]
    assert "focal" in [problem.kind for problem in clip_problems(wrong)]
    assert wrong.focal.best == pytest.approx(65, abs=10)
    assert clip_problems(right) == []
    assert "assumed" in dict(clip_rows(inspections["walk"]))["field of view"]


@pytest.mark.slow
def test_blur_size_and_long_clips(tmp_path):
    write_folder(tmp_path / "frames", Film(*SHELF, "aside", count=20))
    for k in (8, 9):
        path = str(tmp_path / "frames" / f"{k:04d}.png")
        cv2.imwrite(path, cv2.GaussianBlur(cv2.imread(path), (0, 0), 4))
    found = examine_clip("frames", tmp_path / "frames", {})
    assert found.blurred == (8, 9)
    assert teaches(found)
    path = str(tmp_path / "frames" / "0019.png")
    cv2.imwrite(path, cv2.imread(path)[:100])
    assert [problem.kind for problem in clip_problems(examine_clip("frames", tmp_path / "frames", {}))] == ["size"]
    for k in (10, 19):  # damaged in the middle: a gap, over which no step goes
        path = tmp_path / "frames" / f"{k:04d}.png"
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2] + bytes(30) + whole[len(whole) // 2 + 30 :])
    found = examine_clip("frames", tmp_path / "frames", {})
    assert (found.frames, found.damaged, found.items) == (18, 2, 18 - 2 * 2 * found.step)
    assert [problem.kind for problem in clip_problems(found)] == ["damaged"]

    pictures = walk(30) * 14  # 420 frames: points are followed through parts of them
    encode(tmp_path / "long.mp4", pictures)
    found = examine_clip("long", tmp_path / "long.mp4", {})
    assert found.frames == 420
    assert 10 <= len(found.pairs) <= 48


def test_every_kind_of_file_or_one_sentence(tmp_path):
    pictures = walk(20)
    encode(tmp_path / "odd.mkv", [picture[:95, :159] for picture in pictures], "ffv1", "bgr0")
    encode(tmp_path / "deep.mp4", pictures, pix_fmt="yuv420p10le")
    film(tmp_path / "uneven.mp4", walking(20), uneven=400)
    film(tmp_path / "turned.mp4", walking(20), rotation=90)
    for path in sorted(tmp_path.iterdir()):
        found = examine_clip(path.name, path, {})
        assert found.frames == 20, path
        assert clip_rows(found)
    assert examine_clip("t", tmp_path / "turned.mp4", {}).size == (160, 96)
    encode(tmp_path / "one.mp4", walk(1))
    encode(tmp_path / "two.mp4", walk(2))
    two = examine_clip("two", tmp_path / "two.mp4", {})
    assert not teaches(two)
    assert "its 2 frames do not suffice" in clip_problems(two)[0].sentence
    (tmp_path / "short.mp4").write_bytes((tmp_path / "deep.mp4").read_bytes()[:3000])
    for name in ("one.mp4", "short.mp4"):
        with pytest.raises(InputError):
            examine_clip(name, tmp_path / name, {})
    for fov in ("wide", "200"):
        with pytest.raises(InputError, match="fov"):
            examine_clip("deep", tmp_path / "deep.mp4", {"fov": fov})


@pytest.mark.slow
def test_the_command_recognises_clips(tmp_path, capsys):
    write_film(tmp_path / "turn.mp4", *CLIPS["turn"])
    write_folder(tmp_path / "frames", Film(*SHELF, "aside", count=20))
    assert is_clip(str(tmp_path / "frames"))
    assert is_clip(f"clip:{tmp_path}/turn.mp4:fov=65")
    assert not is_clip(f"folder:{tmp_path}/frames")
    code, out, err = here(capsys, "check", tmp_path / "turn.mp4", tmp_path / "frames", "--json", tmp_path / "all.json")
    assert (code, err) == (1, "")
    assert "cannot teach" in out
    assert "WRONG: the camera turns in its place" in out
    assert "This clip can teach depth" in out
    assert [one["teaches"] for one in json.loads((tmp_path / "all.json").read_text())] == [False, True]


# --- geometry ---


def scene(n: int = 200, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Rays in two views, rotation, unit translation, inverse depth."""
    rng = np.random.default_rng(seed)
    a, rho = rng.uniform(-0.5, 0.5, (n, 2)), rng.uniform(0.1, 1.0, n)
    rotation = cv2.Rodrigues(np.array([0.03, -0.06, 0.02]))[0]
    way = np.array([0.8, -0.1, 0.59])
    way /= np.linalg.norm(way)
    points = np.concatenate([a, np.ones((n, 1))], 1) @ rotation.T + 0.2 * rho[:, None] * way
    return a, points[:, :2] / points[:, 2:], rotation, way, 0.2 * rho


def test_two_views_tell_motion_and_depth():
    a, b, rotation, way, rho = scene()
    assert np.abs(sampson(rotation, way, a, b)).max() < 1e-12
    b_noisy = b + np.random.default_rng(1).normal(0, 2e-4, b.shape)
    b_noisy[:20] += 0.1  # movers
    view = two_view(a, b_noisy, 500.0)
    assert view is not None
    np.testing.assert_allclose(view.rotation, rotation, atol=2e-3)
    assert view.direction @ way > math.cos(math.radians(2))
    assert not view.inliers[:20].mean() > 0.2
    assert view.inliers[20:].mean() > 0.97
    there, shift = triangulated(view, a, b)
    np.testing.assert_allclose(there[20:], rho[20:], rtol=0.15)
    assert (shift > 0).all()
    start = cv2.Rodrigues(np.array([0.01, 0.0, 0.0]))[0] @ rotation
    np.testing.assert_allclose(refined(a, b, 500.0, start, way).rotation, rotation, atol=1e-4)
    behind, _ = triangulated(replace(view, direction=-view.direction), a, b)  # the other way, points lie behind
    np.testing.assert_allclose(behind, -there)
    assert two_view(a[:8], b[:8], 500.0) is None


def test_turns_and_zooms_leave_nothing():
    a, _, rotation, *_ = scene()
    turned = np.concatenate([a, np.ones((len(a), 1))], 1) @ rotation.T
    b = 1.08 * turned[:, :2] / turned[:, 2:]
    found = turn(a, b, 500.0, zoom=True)
    assert found.left.max() < 0.05
    assert found.zoom == pytest.approx(0.08, abs=1e-3)
    np.testing.assert_allclose(found.angles, [0.03, -0.06, 0.02], atol=1e-4)
    assert np.median(turn(a, b, 500.0, zoom=False).left) > 2


def test_points_are_followed_through_a_jump_of_the_exposure():
    rng = np.random.default_rng(0)
    wide = cv2.GaussianBlur(rng.random((120, 260)).astype(np.float32), (0, 0), 2)
    wide = ((wide - wide.min()) / np.ptp(wide) * 200 + 30).astype(np.uint8)
    tracker = Tracker(8)
    for k in range(12):
        frame = wide[:, 2 * k : 2 * k + 200]
        tracker.add(np.ascontiguousarray(frame if k < 6 else np.clip(frame * 0.3, 0, 255).astype(np.uint8)))
    for step in (1, 4, 8):
        found = tracker.matches(step)
        assert len(found.later) > 50, step
        np.testing.assert_allclose(np.median(found.later - found.earlier, axis=0), [-2 * step, 0], atol=0.1)
    assert len(tracker.matches(9).later) == 0
    tracker.restart()
    assert len(tracker.matches(1).later) == 0


def test_a_wrong_path_is_a_sentence(capsys, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    code, _, err = here(capsys, "check", f"clip:{tmp_path}/empty")
    assert code == 2
    assert "holds no picture" in err
