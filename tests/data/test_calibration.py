"""Numbers of calibration files and truth: what is unknown, what cannot be, what contradicts itself, what is unusual."""

import itertools
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

import stereo_pairs as pairs
import trees
from cyclopean.data import open_dataset
from cyclopean.data.diagnose import problems, rows
from cyclopean.data.folder import FolderDataset
from cyclopean.data.inspect import examine
from cyclopean.errors import InputError
from trees import read_each


def kinds(folder: Path) -> list[str]:
    return [problem.kind for problem in problems(examine("mine", FolderDataset(folder), 10))]


def calibrate(folder: Path, **changes: object) -> Path:
    """The calibration of `stereo_pairs`, in pixels, with changes; None takes a key away."""
    values = {"focal_px": float(pairs.W), "width": pairs.W, "baseline_m": 0.1} | changes
    (folder / "calibration.json").write_text(json.dumps({k: v for k, v in values.items() if v is not None}))
    return folder


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".pfm", ".exr", ".png"])
def test_what_is_not_above_0_is_unknown_in_every_kind_of_file(tmp_path, suffix):
    pairs.write_pairs(tmp_path, 1)
    calibrate(tmp_path, depth_scale=0.001)
    depth = np.full((pairs.H, pairs.W), 5.0, np.float32)
    depth[0, :6] = 0, -1, np.nan, -np.inf, np.inf, -0.0
    path = tmp_path / "depth" / f"000{suffix}"
    path.parent.mkdir()
    if suffix == ".npy":
        np.save(path, depth)
    elif suffix == ".npz":
        np.savez(path, depth=depth)
    elif suffix == ".pfm":
        trees.pfm(path, depth)
    elif suffix == ".exr":
        import OpenEXR

        header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
        OpenEXR.File(header, {"Z": depth}).write(str(path))
    else:
        trees.counts(path, np.where(depth == 5, 5000, 0).astype(np.uint16))
    data = FolderDataset(tmp_path)
    read = data[0].depth[0, 0]
    assert not (read <= 0).any()
    assert read[0, [0, 1, 2, 3, 5]].isnan().all()
    assert read[0, 4].isinf() or suffix == ".png"
    assert torch.equal(read[1:], torch.full((pairs.H - 1, pairs.W), 5.0))
    said = dict(rows(examine("mine", data, 1)))
    assert said["unknown"].startswith(f"{6 if suffix == '.png' else 5} pixels in 1 items")


@pytest.mark.parametrize("factor", [-1.0, 0.0])
def test_a_depth_file_that_knows_nothing_is_told(tmp_path, factor):
    """As with cameras that look along -z."""
    pairs.write_depth(pairs.write_pairs(tmp_path), factor=factor)
    assert "blank" in kinds(tmp_path)


def test_depth_in_another_unit_is_told_by_the_unit(tmp_path):
    for factor, unit in ((1000, "1000 times too large: in millimetres"), (100, "100 times too large: in centimetres")):
        folder = pairs.write_pairs(tmp_path / str(factor))
        pairs.write_depth(folder, factor=factor)
        (problem,) = problems(examine("mine", FolderDataset(folder), 10))
        assert problem.kind == "calibration"
        assert unit in problem.sentence
        pairs.write_depth(pairs.write_pairs(tmp_path / f"not{factor}"), factor=factor * 2)
        (problem,) = problems(examine("mine", FolderDataset(tmp_path / f"not{factor}"), 10))
        assert problem.sentence.endswith("check focal length, baseline and the unit of depth.")


def test_counts_per_metre_taken_for_metres_per_count_are_told(tmp_path):
    pairs.write_pairs(tmp_path)
    calibrate(tmp_path, depth_scale=5000)
    for n in range(3):
        depth = np.repeat(pairs.W * 0.1 / pairs.disparity()[:, None], pairs.W, 1)
        trees.counts(tmp_path / "depth" / f"{n:03d}.png", (depth * 5000).astype(np.uint16))
    found = {p.kind: p.sentence for p in problems(examine("mine", FolderDataset(tmp_path), 10))}
    assert set(found) == {"calibration", "unit"}
    assert "3 of 3 items have no depth below 65504 m" in found["unit"]
    assert "metres per count, not counts per metre" in found["unit"]


IMPOSSIBLE = (
    ({"dofs": 8}, "the key 'dofs', which is not known: did you mean 'doffs'"),
    ({"centre_px": [1, 2]}, "did you mean 'center_px'"),
    ({"baseline": 0.1}, "did you mean 'baseline_m'"),
    ({"qqqq": 1}, "which is not known. Known are baseline_m, center"),
    ({"fx": 700.8}, "did you mean 'focal_px'? Known are"),
    ({"cy": 361.5}, "did you mean 'center_px'"),
    ({"Baseline": 119.9}, "did you mean 'baseline_m'"),
    ({"Tx": 119.9}, "did you mean 'baseline_m'"),
    ({"doffs": 8, "center_px": [119.5, 59.5], "center_right_px": [124.5, 59.5]}, "contradicts itself: doffs is 8"),
    ({"focal": [2.0, 4.0]}, "contradicts itself: focal is 2 and focal_px 1"),
    ({"center": [0.5, 0.5], "center_px": [10, 59.5]}, "contradicts itself: center"),
    ({"height": pairs.W}, "contradicts itself: width / height"),
    ({"width": None}, 'has "focal_px" and lacks "width"'),
    ({"focal_px": None}, "has no focal length"),
    ({"doffs": [8]}, "needs a number of pixels"),
    ({"far": -1}, "it needs metres above 0"),
    ({"depth_scale": 0}, "it needs metres per count above 0"),
    ({"baseline_m": float("nan")}, "a length in metres above 0"),
)


def test_keys_and_numbers_that_cannot_be_are_refused_before_anything_is_read(tmp_path):
    pairs.write_pairs(tmp_path, 1)
    for changes, words in IMPOSSIBLE:
        with pytest.raises(InputError) as error:
            FolderDataset(calibrate(tmp_path, **changes))
        assert words in str(error.value), changes
        assert "replace or remove" not in str(error.value), changes


CROPPED = (
    {"doffs": 6, "_note": "cropped"},
    {"center_px": [119.5, 59.5], "center_right_px": [125.5, 59.5]},
    {"center_px": [119.5, 59.5], "center_right_px": [125.5, 59.5], "doffs": 6, "height": pairs.H},
    {"focal_px": [2 * pairs.W, 2 * pairs.W], "width": 2 * pairs.W, "doffs": 12},
    {"focal": [1, 2], "focal_px": None, "width": None, "center_right": [0.5 + 6 / pairs.W, 0.5]},
)


def test_the_right_principal_point_is_read(tmp_path):
    """Pictures of which the right one was cropped 6 pixels further left: disparities are smaller by that."""
    pairs.write_depth(pairs.write_pairs(tmp_path))
    for path in (tmp_path / "depth").iterdir():
        near = pairs.W * 0.1 / np.load(path)
        np.save(path, (pairs.W * 0.1 / (near + 6)).astype(np.float32))
    assert "calibration" in kinds(tmp_path)
    for changes in CROPPED:
        sample = FolderDataset(calibrate(tmp_path, **changes))[0]
        shift = sample.sources[0].camera.center - sample.target.camera.center
        assert shift[0, 0] * pairs.W == pytest.approx(6, abs=1e-3), changes
        assert kinds(tmp_path) == [], changes


UNUSUAL = (
    ({"baseline_m": 537}, "a baseline of 537 m, by which 20 px of disparity would mean 6.44 km"),
    ({"baseline_m": 0.0002}, "a baseline of 0.0002 m"),
    ({"focal_px": 5.0}, "a focal length of 0.0208 image widths"),
    ({"center_px": [600, 300]}, "a principal point at the edge of the picture or outside"),
    ({"center_px": [0.5, 0.5]}, "a principal point at the edge"),
)


def test_unusual_numbers_are_noticed_by_training_and_check(tmp_path, caplog):
    pairs.write_pairs(tmp_path, 1)
    for changes, words in UNUSUAL:
        calibrate(tmp_path, **changes)
        caplog.clear()
        assert "unusual" in kinds(tmp_path), changes
        assert f"calibration.json states {words}" in caplog.text


def test_misnamed_truth_and_pictures_without_a_partner_are_named(tmp_path, caplog):
    pairs.write_depth(pairs.write_pairs(tmp_path))
    (tmp_path / "depth" / "001.npy").rename(tmp_path / "depth" / "001_depth.npy")
    (tmp_path / "left" / "notes.txt").write_text("x")
    (tmp_path / "right" / "lonely.png").write_bytes((tmp_path / "right" / "000.png").read_bytes())
    FolderDataset(tmp_path)
    for name in ("notes.txt", "depth/001_depth.npy", "right/lonely.png"):
        assert name in caplog.text


def test_distance_along_the_ray_is_told_from_z(tmp_path):
    """And the opposite; a shift between the pictures over a floor, which also changes from the middle to the corners,
    is no such thing."""
    pairs.write_depth(pairs.write_pairs(tmp_path))
    calibrate(tmp_path)
    y, x = np.mgrid[: pairs.H, : pairs.W]
    ray = np.sqrt(1 + ((x + 0.5) / pairs.W - 0.5) ** 2 + ((y + 0.5 - pairs.H / 2) / pairs.W) ** 2)
    z = {path: np.load(path) for path in (tmp_path / "depth").iterdir()}
    for times, expected in ((ray, ["distance"]), (1 / ray, ["distance"]), (np.ones_like(ray), [])):
        for path, depth in z.items():
            np.save(path, (depth * times).astype(np.float32))
        assert kinds(tmp_path) == expected
    for shift in (-0.4, 0.4):
        for path, depth in z.items():
            np.save(path, (pairs.W * 0.1 / (pairs.W * 0.1 / depth + shift)).astype(np.float32))
        assert "distance" not in kinds(tmp_path)


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


BAD = ("nan", "inf", "-inf", "1e999")
FILES = {  # kind -> tree, file, a number of it
    "kitti_2015": (trees.kitti_2015, "training/calib_cam_to_cam/000000.txt", "P_rect_02: 50"),
    "kitti_raw": (trees.kitti_raw, f"{trees.DATE}/calib_cam_to_cam.txt", "P_rect_03: 50"),
    "kitti_improved": (trees.kitti_improved, f"{trees.DATE}/calib_cam_to_cam.txt", "P_rect_02: 50"),
    "kitti_odometry": (trees.kitti_odometry, "sequences/00/calib.txt", "P2: 50"),
    "kitti_selection": (trees.kitti_selection, "intrinsics", "50 0"),
    "seven_scenes": (trees.seven_scenes, "camera-intrinsics.txt", "58.5 0"),
    "middlebury": (lambda root: trees.calibrated(root / "a").parent, "a/calib.txt", "baseline=200"),
    "eth3d": (lambda root: trees.calibrated(root / "a").parent, "a/calib.txt", "doffs=5"),
    "cityscapes": (trees.cityscapes, "camera/train/aachen", '"fx": 2262.5'),
}


def test_numbers_that_are_not_finite_are_refused_and_named_by_check(tmp_path):
    for kind in FILES:
        check_bad_numbers(kind, tmp_path / kind)


def check_bad_numbers(kind: str, folder: Path) -> None:
    make, file, number = FILES[kind]
    root = make(folder)
    path = root / file if (root / file).is_file() else next((root / file).iterdir())
    whole = path.read_text()
    word = number.replace("=", " ").split()[0 if kind in {"kitti_selection", "seven_scenes"} else -1]
    for bad in (*BAD, "0"):
        written = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}.get(bad, bad) if kind == "cityscapes" else bad
        change(path, number, number.replace(word, written))
        data = open_dataset(f"{kind}:{root}")
        ((_, item),) = read_each(data, [0])
        path.write_text(whole)
        if bad == "0" and kind == "eth3d":
            assert isinstance(item, InputError)  # the principal points say otherwise
            continue
        assert isinstance(item, InputError), (kind, bad)
        assert path.name in str(item)
    change(path, number, number.replace(word, "NaN" if kind == "cityscapes" else "nan"))
    (damaged, *_) = problems(examine("x", open_dataset(f"{kind}:{root}"), 5))
    assert damaged.kind == "damaged"
    assert path.name in damaged.sentence


def test_poses_that_are_none_are_refused(tmp_path):
    trees.kitti_odometry(tmp_path)
    trees.seven_scenes(tmp_path / "7")
    for line in ("0 0 0 0 0 0 0 0 0 0 0 0", "2 0 0 0 0 2 0 0 0 0 2 0", "1 0 0 0 0 1 0 0 0 0 -1 0"):
        trees.text(tmp_path / "poses" / "00.txt", f"{line}\n" * 4)
        with pytest.raises(InputError, match=r"00\.txt has a pose that is not a rotation and translation"):
            open_dataset(f"kitti_odometry:{tmp_path}:sources=video")[0]
        for path in (tmp_path / "7" / "seq-01").glob("*.pose.txt"):
            path.write_text("".join(f"{row}\n" for row in (line[:7], line[8:15], line[16:], "0 0 0 1")))
        with pytest.raises(InputError, match=r"pose\.txt "):
            open_dataset(f"seven_scenes:{tmp_path / '7'}:sources=video")[0]


def test_calibration_of_two_focal_lengths_or_another_shift_contradicts_itself(tmp_path):
    scene = trees.calibrated(tmp_path / "a")
    for old, new, words in (("cam1=[80", "cam1=[90", "focal lengths 80 and 90"), ("doffs=5", "doffs=9", "doffs is 9")):
        trees.text(scene / "calib.txt", trees.CALIBRATION.replace(old, new))
        with pytest.raises(InputError, match=words):
            open_dataset(f"middlebury:{tmp_path}")[0]


def test_pipes_and_devices_are_never_opened(tmp_path):
    pairs.write_pairs(tmp_path / "a", 2)
    (tmp_path / "a" / "left" / "001.png").unlink()
    os.mkfifo(tmp_path / "a" / "left" / "001.png")
    (tmp_path / "a" / "left" / "002.png").symlink_to("nowhere.png")
    os.mkfifo(tmp_path / "a" / "left" / "pipe.txt")
    seen = examine("x", FolderDataset(tmp_path / "a"), 5)
    assert [item.name for item in seen.measured] == ["000"]
    assert "left/001.png is a pipe or a device" in seen.damaged[0]
    assert "left/002.png" in seen.damaged[1]
    trees.kitti_raw(tmp_path / "k")
    with pytest.raises(InputError, match="is a pipe or a device"):
        open_dataset(f"kitti_raw:{tmp_path / 'k'}:split=/dev/zero")


def test_splits_are_read_as_other_programs_write_them(tmp_path):
    trees.kitti_raw(tmp_path)
    lines = f"# test\r\n\r\n{trees.DRIVE} 5 l\r\n{trees.DRIVE} 6 r\r\n\r\n"
    for coding, end in itertools.product(("utf-8", "utf-8-sig", "utf-16"), ("\n", "\r\n", "\r")):
        (tmp_path / "split.txt").write_bytes(lines.replace("\r\n", end).encode(coding))
        data = open_dataset(f"kitti_raw:{tmp_path}:truth=none:split={tmp_path / 'split.txt'}")
        assert [frame.number for frame in data.items] == [5, 6]
    trees.text(tmp_path / "split.txt", "x" * 100_000)
    with pytest.raises(InputError) as told:
        open_dataset(f"kitti_raw:{tmp_path}:split={tmp_path / 'split.txt'}")
    assert len(str(told.value)) < 600


def test_errors_repeat_no_kilobytes(tmp_path):
    pairs.write_pairs(tmp_path, 1)
    long = "x" * 50_000
    for changes in ({long: 1}, {"baseline_m": long}, {"focal": [long]}, {"doffs": long}, {"center_px": [[long]]}):
        with pytest.raises(InputError) as told:
            FolderDataset(calibrate(tmp_path, **changes))
        assert len(str(told.value)) < 600
    for head in ({"format": long}, {"format": "cyclopean-folder", "version": 1, "views": [long] * 3, "target": long}):
        (tmp_path / "dataset.json").write_text(json.dumps(head))
        with pytest.raises(InputError) as told:
            FolderDataset(tmp_path)
        assert len(str(told.value)) < 600
