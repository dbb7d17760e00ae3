"""The folder data set: what is written is what is read, and every broken folder is told in one sentence."""

import json
import math
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

import stereo_pairs
from cyclopean.data.base import usable_items, usable_part
from cyclopean.data.folder import FolderDataset
from cyclopean.errors import InputError
from cyclopean.geometry import Equirectangular
from cyclopean.io import decoding
from cyclopean.sample import collate
from trees import read_each

H, W = 18, 30


def picture(path: Path, seed: int = 0, size: tuple[int, int] = (H, W)) -> np.ndarray:
    """Write a random picture; return it as RGB."""
    rgb = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), rgb[..., ::-1])
    return rgb


def rendered(folder: Path, rig: str = "stereo", count: int = 2) -> Path:
    views = {"stereo": ["left", "right"], "clip": ["frame", "previous", "next"], "sphere": ["centre", "up", "right"]}[
        rig
    ]
    folder.mkdir(exist_ok=True)
    head = {"format": "cyclopean-folder", "version": 1, "rig": rig, "views": views, "target": views[0], "unit": "m"}
    (folder / "dataset.json").write_text(json.dumps(head))
    (folder / "depth").mkdir()
    (folder / "camera").mkdir()
    for i in range(count):
        for n, name in enumerate(views):
            picture(folder / name / f"{i:06d}.png", seed=10 * i + n)
        depth = np.full((H, W), 2.0 + i, np.float32)
        depth[0] = np.inf
        depth[1, 0] = np.nan
        np.save(folder / "depth" / f"{i:06d}.npy", depth)
        pose = np.eye(4)
        pose[0, 3] = -0.25
        camera = {
            "camera": "equirectangular" if rig == "sphere" else "pinhole",
            "focal": [0.8, 1.3],
            "center": [0.5, 0.4],
        }
        camera |= {"from_target": {name: pose.tolist() for name in views[1:]}, "family": "street", "seed": i}
        (folder / "camera" / f"{i:06d}.json").write_text(json.dumps(camera))
    return folder


def own_pairs(folder: Path, calibration: dict | None, names: tuple[str, str] = ("left", "right")) -> Path:
    for n, name in enumerate(names):
        picture(folder / name / "a.png", seed=n)
    if calibration is not None:
        (folder / "calibration.json").write_text(json.dumps(calibration))
    return folder


def test_rendered_stereo_is_read_back(tmp_path):
    data = FolderDataset(rendered(tmp_path))
    sample = data[1]
    expected = picture(tmp_path / "again.png", seed=11)
    assert len(data) == 2
    assert sample.name == ("street/000001",)
    camera = data.path / "camera" / "000001.json"
    content = json.loads(camera.read_text())
    for family, far in (("street", 80), ("room", 20), ("people", 40), ("mesh", 80), (["room"], 80)):
        camera.write_text(json.dumps(content | {"family": family}))
        assert data.far(1) == far, family
    assert torch.equal(
        (sample.sources[0].image[0] * 255).round().byte(), torch.from_numpy(expected.transpose(2, 0, 1).copy())
    )
    assert sample.sources[0].from_target is not None
    assert sample.sources[0].from_target[0, 0, 3] == -0.25
    assert torch.equal(sample.target.camera.focal, torch.tensor([[0.8, 1.3]]))
    assert torch.isinf(sample.depth[0, 0, 0]).all()
    assert torch.isnan(sample.depth[0, 0, 1, 0])
    assert sample.depth[0, 0, 3, 3] == 3
    assert len(collate([data[0], data[1]])) == 2


def test_moving_objects_are_invalid_in_the_target_only(tmp_path):
    rendered(tmp_path, "clip")
    (tmp_path / "moving").mkdir()
    mask = np.zeros((H, W), np.uint8)
    mask[2:4, 3:5] = 255
    cv2.imwrite(str(tmp_path / "moving" / "000000.png"), mask)
    sample = FolderDataset(tmp_path)[0]
    assert len(sample.sources) == 2
    assert torch.equal(sample.target.valid[0, 0], torch.from_numpy(mask == 0))
    assert sample.sources[0].valid.all()


def test_sphere_has_an_equirectangular_camera(tmp_path):
    sample = FolderDataset(rendered(tmp_path, "sphere"))[0]
    assert isinstance(sample.target.camera, Equirectangular)


def test_calibration_in_pixels_and_normalised_agree(tmp_path):
    px = {"focal_px": 1.6 * W, "width": 2 * W, "center_px": [W - 0.5, H - 0.5], "baseline_m": 0.3}
    normal = {"focal": [0.8, 0.8 * W / H], "center": [0.5, 0.5], "baseline_m": 0.3}
    a = FolderDataset(own_pairs(tmp_path / "a", px))[0]
    b = FolderDataset(own_pairs(tmp_path / "b", normal, ("image_02", "image_03")))[0]
    assert torch.allclose(a.target.camera.focal, b.target.camera.focal)
    assert torch.allclose(a.target.camera.center, b.target.camera.center)
    assert a.sources[0].from_target[0, :3, 3].tolist() == pytest.approx([-0.3, 0, 0])
    assert a.depth.isnan().all()


def test_depth_pictures_need_and_use_their_scale(tmp_path):
    own_pairs(tmp_path, {"focal": [1, 1], "baseline_m": 1})
    (tmp_path / "depth").mkdir()
    counts = np.full((H, W), 1500, np.uint16)
    counts[0, 0] = 0
    cv2.imwrite(str(tmp_path / "depth" / "a.png"), counts)
    with pytest.raises(InputError, match="depth_scale"):
        FolderDataset(tmp_path)[0]
    (tmp_path / "calibration.json").write_text('{"focal": [1, 1], "baseline_m": 1, "depth_scale": 0.001}')
    depth = FolderDataset(tmp_path)[0].depth[0, 0]
    assert torch.isnan(depth[0, 0])
    assert depth[1, 1] == pytest.approx(1.5)


def test_what_is_not_a_folder_of_pairs_is_told_how_to_become_one(tmp_path):
    """Recorders put the view into each name; a view may be missing; other layouts need their kind."""
    for names, words in (
        (("left_0.png", "right_0.png"), r"called left_0\.png, \.\.\. and right_0\.png, \.\.\.; rename them"),
        (("0.png", "0_r.png"), r"no picture in .*left has a partner in .*right: both of a pair need one name"),
        (("0.png", None), "nor folders left and right, of which it has left alone; else its kind stands in front"),
        ((None, None), "nor folders left and right; else its kind stands in front of it: clip:"),
    ):
        folder = tmp_path / str(names)
        (folder / "calib").mkdir(parents=True)
        for view, name in zip(("left", "right"), names, strict=True):
            if name:
                picture(folder / view / name)
        with pytest.raises(InputError, match=words):
            FolderDataset(folder)


def test_missing_calibration_shows_how_to_write_one(tmp_path):
    with pytest.raises(InputError, match=r"focal_px.*\[1, 1\.66667\]"):
        FolderDataset(own_pairs(tmp_path, None))


BAD_CALIBRATIONS = (
    ({"focal": [1, 1]}, "baseline_m"),
    ({"focal": [1, 1], "baseline_m": -1}, "baseline_m"),
    ({"baseline_m": 1}, "no focal length"),
    ({"focal": 1, "baseline_m": 1}, "two numbers"),
    ({"focal": [0, 1], "baseline_m": 1}, "above 0"),
    ({"focal": [math.nan, 1], "baseline_m": 1}, r'"focal": \[nan, 1\]; it needs a list of two numbers'),
    ({"focal": [1, 1], "baseline_m": 10**400}, "a length in metres above 0"),
    (
        {"focal_px": 9, "width": W, "center_px": 5, "baseline_m": 1},
        r'calibration.json has "center_px": 5; it needs',
    ),
    ({"focal_px": 9, "width": W, "center_px": ["1", 2], "baseline_m": 1}, "two numbers, pixels across and down"),
)


def test_bad_calibration_is_named(tmp_path):
    own_pairs(tmp_path, None)
    for calibration, words in BAD_CALIBRATIONS:
        (tmp_path / "calibration.json").write_text(json.dumps(calibration))
        with pytest.raises(InputError, match=words):
            FolderDataset(tmp_path)[0]


BAD_CAMERAS = (
    ({"from_target": []}, r'"from_target": \[\]; it needs an object with a 4x4 matrix for the view .right'),
    ({"from_target": 3}, "4x4 matrix"),
    ({"from_target": None}, "4x4 matrix"),
    ({"from_target": {"right": "no"}}, "4x4 matrix"),
    ({"from_target": {"right": [[1, 0], [0, 1]]}}, "4x4 matrix"),
    ({"from_target": {"right": {}}}, "4x4 matrix"),
    ({"from_target": {"right": [10**400] * 16}}, "not finite"),
    ({"from_target": {"right": [math.nan] * 16}}, "not finite"),
    ({"focal": {"u": 1}}, "two numbers, in image widths"),
    ({"camera": ["pinhole"]}, "needs 'pinhole' or 'equirectangular'"),
)


def test_a_bad_camera_file_is_named(tmp_path):
    rendered(tmp_path)
    path = tmp_path / "camera" / "000001.json"
    good = json.loads(path.read_text())
    for change, words in BAD_CAMERAS:
        path.write_text(json.dumps(good | change))
        with pytest.raises(InputError, match=rf"camera/000001\.json .*{words}"):
            FolderDataset(tmp_path)[1]


def test_a_damaged_pair_is_named_and_the_rest_goes_on(tmp_path, caplog):
    own_pairs(tmp_path, {"focal": [1, 1], "baseline_m": 1})
    for name in ("b", "c", "d"):
        for side in ("left", "right"):
            picture(tmp_path / side / f"{name}.png")
    picture(tmp_path / "right" / "a.png", size=(H, W + 1))
    (tmp_path / "right" / "b.png").unlink()
    (tmp_path / "left" / "c.png").write_bytes(b"")
    data = FolderDataset(tmp_path)
    with pytest.raises(InputError, match=r"left/a.png has 30x18 .*right/a.png has 31x18"):
        data[0]
    with pytest.raises(InputError, match=r"there is no file .*right/b.png"):
        data[1]
    good, bad = usable_items(data)
    assert (good, len(bad)) == ([3], 3)
    assert [n for n, item in read_each(data, range(4)) if not isinstance(item, InputError)] == [3]
    part = usable_part(data)
    assert len(part) == 1
    assert part[0].name == ("d",)
    assert "3 of 4 items are left out" in caplog.text
    for name in ("left/a.png", "right/b.png", "left/c.png"):
        assert name in caplog.text
    (tmp_path / "left" / "d.png").write_bytes(b"")
    with pytest.raises(InputError, match="none of 4 items can be used"):
        usable_part(data)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_pictures_cut_short_are_left_out_before_they_are_drawn(tmp_path, suffix, caplog):
    own_pairs(tmp_path, {"focal": [1, 1], "baseline_m": 1})
    for name in ("b", "c", "d", "e"):
        for side in ("left", "right"):
            picture(tmp_path / side / f"{name}{suffix}", size=(64, 64))
    for side, name, change in (
        ("left", "b", lambda whole: whole[:-40]),
        ("right", "c", lambda whole: whole[: len(whole) // 2] + bytes(len(whole) // 2)),  # as a broken disc leaves it
        ("right", "d", lambda whole: whole + bytes(100)),  # padding harms nothing
        ("left", "e", lambda whole: whole + b"said later" * 20),
    ):
        path = tmp_path / side / f"{name}{suffix}"
        path.write_bytes(change(path.read_bytes()))
    data = FolderDataset(tmp_path)
    part = usable_part(data)
    assert [part[n].name for n in range(len(part))] == [("a",), ("d",), ("e",)]
    assert f"left/b{suffix} is truncated" in caplog.text
    assert f"right/c{suffix} is truncated" in caplog.text
    for index in (1, 2):
        with pytest.raises(InputError, match="is truncated"):
            data[index]


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".png"])
def test_truth_of_another_size_or_cut_short_is_left_out_before_it_is_drawn(tmp_path, suffix, caplog):
    own_pairs(tmp_path, {"focal": [1, 1], "baseline_m": 1, "depth_scale": 0.001})
    (tmp_path / "depth").mkdir()
    for name, size in (("a", (H, W)), ("b", (H, W + 1)), ("c", (H, W))):
        for side in ("left", "right"):
            picture(tmp_path / side / f"{name}.png")
        path, values = tmp_path / "depth" / f"{name}{suffix}", np.full(size, 1500, np.uint16)
        if suffix == ".png":
            cv2.imwrite(str(path), values)
        elif suffix == ".npy":
            np.save(path, values)
        else:
            np.savez_compressed(path, depth=values)
    path.write_bytes(path.read_bytes()[:-20])
    data = FolderDataset(tmp_path)
    assert len(usable_part(data)) == 1
    assert f"depth/b{suffix} has 31x18 pixels and its picture 30x18" in caplog.text
    assert f"depth/c{suffix} " in caplog.text
    for index in (1, 2):
        with pytest.raises(InputError, match=rf"depth/[bc]\{suffix} "):
            data[index]


def test_a_sound_set_is_left_as_it_is(tmp_path):
    data = FolderDataset(own_pairs(tmp_path, {"focal": [1, 1], "baseline_m": 1}))
    assert usable_part(data) is data


def test_damaged_pictures_are_named(tmp_path):
    rendered(tmp_path)
    for suffix in (".png", ".jpg"):
        for path in (tmp_path / "left").glob("000001.*"):
            path.unlink()
        bad = tmp_path / "left" / f"000001{suffix}"
        picture(bad, size=(64, 64))
        half = bad.read_bytes()[: bad.stat().st_size // 2]
        for content, words in ((b"", "empty|cannot be read"), (b"hello", "cannot be read"), (half, "truncated")):
            bad.write_bytes(content)
            with pytest.raises(InputError, match=rf"000001{suffix}.*({words})"):
                FolderDataset(tmp_path)[1]


def test_a_picture_of_400_megapixels_is_refused_by_its_header(tmp_path):
    rendered(tmp_path)
    path = tmp_path / "left" / "000001.png"
    png = path.read_bytes()
    header = b"IHDR" + struct.pack(">II", 20000, 20000) + png[24:29]
    path.write_bytes(png[:12] + header + struct.pack(">I", zlib.crc32(header)) + png[33:])
    with pytest.raises(
        InputError, match=r"000001\.png is 20000x20000 .400 megapixels., the limit of data is 120; shrink it, and its"
    ):
        FolderDataset(tmp_path)[1]


def test_the_limit_is_that_of_photos(tmp_path, monkeypatch):
    """Pillow's own, lower one does not count, and is as it was afterwards."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", H * W // 4)
    assert FolderDataset(rendered(tmp_path))[0].target.image.shape[-2:] == (H, W)
    assert Image.MAX_IMAGE_PIXELS == H * W // 4
    monkeypatch.setattr(decoding, "MOST_MEGAPIXELS", H * (W - 1) / 1e6)
    with pytest.raises(InputError, match=r"000000\.png is 30x18 .*the limit of data is"):
        FolderDataset(tmp_path)[0]


def test_pictures_smaller_than_photos_may_be_are_refused(tmp_path):
    rendered(tmp_path)
    for size in ((1, 1), (15, 200), (200, 15)):
        for name in ("left", "right"):
            picture(tmp_path / name / "000001.png", size=size)
        data = FolderDataset(tmp_path)
        with pytest.raises(InputError, match=rf"000001\.png is {size[1]}x{size[0]} pixels; data needs at least 16"):
            data[1]
        assert usable_items(data)[0] == [0]


def test_broken_folders_are_told_in_one_sentence(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        FolderDataset(tmp_path / "nowhere")
    with pytest.raises(InputError, match="is empty"):
        FolderDataset(tmp_path)
    (tmp_path / "readme.txt").write_text("no")
    with pytest.raises(InputError, match=r"neither a dataset\.json"):
        FolderDataset(tmp_path)
    with pytest.raises(InputError, match="is a file"):
        FolderDataset(tmp_path / "readme.txt")
    for name in ("left", "right"):
        (tmp_path / name).mkdir()
    with pytest.raises(InputError, match="holds no picture"):
        FolderDataset(tmp_path)


def test_an_unfinished_rendering_is_read_as_far_as_it_goes(tmp_path):
    rendered(tmp_path, count=3)
    (tmp_path / "camera" / "000001.json").unlink()
    (tmp_path / "right" / "000001.png").unlink()
    data = FolderDataset(tmp_path)
    assert data.items == ["000000", "000002"]
    assert data[1].name == ("street/000002",)
    for path in (tmp_path / "camera").iterdir():
        path.unlink()
    with pytest.raises(InputError, match="no finished item"):
        FolderDataset(tmp_path)


def test_broken_descriptions_are_told(tmp_path):
    rendered(tmp_path)
    (tmp_path / "right" / "000001.png").unlink()
    with pytest.raises(InputError, match=r"there is no file .*right/000001.png"):
        FolderDataset(tmp_path)[1]
    (tmp_path / "dataset.json").write_text('{"format": "other"}')
    with pytest.raises(InputError, match="format 'other'"):
        FolderDataset(tmp_path)
    head = {"format": "cyclopean-folder", "version": 1, "target": "left"}
    for views in (3, ["left", 3], ["left", {}], ["right"]):
        (tmp_path / "dataset.json").write_text(json.dumps(head | {"views": views}))
        with pytest.raises(InputError, match=r'"views" must be a list of names with the target in it'):
            FolderDataset(tmp_path)
    (tmp_path / "dataset.json").write_text("{")
    with pytest.raises(InputError, match="JSON"):
        FolderDataset(tmp_path)


def test_depth_of_another_size_is_refused_with_both_sizes(tmp_path):
    rendered(tmp_path)
    np.save(tmp_path / "depth" / "000000.npy", np.ones((3, 3), np.float32))
    with pytest.raises(InputError, match=r"3x3.*30x18"):
        FolderDataset(tmp_path)[0]


def test_a_second_depth_file_of_a_picture_is_told(tmp_path, caplog):
    folder = stereo_pairs.write_pairs(tmp_path, count=2)
    stereo_pairs.write_depth(folder, count=2)
    assert FolderDataset(folder)[0].depth.isfinite().all()
    assert not caplog.messages
    picture(folder / "depth" / "000.png", size=(120, 240))
    assert FolderDataset(folder)[0].depth.isfinite().all()
    (message,) = caplog.messages
    assert "another depth file, which is read" in message
    assert "1: depth/000.png; remove one of them" in message


def test_names_of_folders_may_have_capitals_and_others_are_named(tmp_path, caplog):
    """Truth in a folder `Depth` is read, and one in a folder of another name is not passed over in silence."""
    own = stereo_pairs.write_pairs(tmp_path / "own", count=2)
    stereo_pairs.write_depth(own, count=2)
    plain = FolderDataset(own)[1]
    (own / "depth" / "001.npy").rename(own / "depth" / "001.Npy")
    for name in ("left", "right", "depth", "calibration.json"):
        (own / name).rename(own / name.capitalize())
        assert torch.equal(FolderDataset(own)[1].depth, plain.depth), name
        assert torch.equal(FolderDataset(own)[1].sources[0].image, plain.sources[0].image), name
        assert FolderDataset(own).files(1).others[0].is_file()
    worlds = rendered(tmp_path / "worlds")
    (worlds / "moving").mkdir()
    (worlds / "ids").mkdir()
    cv2.imwrite(str(worlds / "moving" / "000001.png"), np.full((18, 30), 255, np.uint8))
    cv2.imwrite(str(worlds / "ids" / "000001.png"), np.full((18, 30), 7, np.uint16))
    for name in ("left", "right", "depth", "camera", "ids", "moving", "dataset.json"):
        (worlds / name).rename(worlds / name.upper())
        data = FolderDataset(worlds)
        sample = data[1]
        assert (data.items[1], sample.name, data.far(1)) == ("000001", ("street/000001",), 80), name
        assert sample.depth[0, 0, 3, 3] == 3, name
        assert not sample.target.valid.any(), name
        assert data.objects(1).unique().tolist() == [7], name
    assert not caplog.messages
    for path in [*(worlds / "MOVING").iterdir(), *(worlds / "IDS").iterdir()]:
        path.rename(path.with_suffix(".bmp"))
    assert FolderDataset(worlds)[1].target.valid.all()
    assert "or they are not .png: 2: IDS/000001.bmp, MOVING/000001.bmp." in caplog.messages[0]
    caplog.clear()
    (own / "depths").mkdir()
    (own / "depth").mkdir()  # beside Depth, which it hides
    (own / ".cache").mkdir()
    assert FolderDataset(own)[1].depth.isnan().all()
    (message,) = caplog.messages
    assert message.endswith("of folders only left, right, depth, ids, moving are read: 2: Depth, depths.")


def test_single_items_of_another_shape_or_with_coloured_depth_are_left_out_by_name(tmp_path):
    folder = stereo_pairs.write_pairs(tmp_path, count=5)
    stereo_pairs.write_depth(folder, count=2)  # of the items 000 and 001
    calibration = {"focal": [1, 2], "width": 240, "height": 120, "baseline_m": 0.1, "depth_scale": 0.001}
    (folder / "calibration.json").write_text(json.dumps(calibration))
    for side in ("left", "right"):  # the first item, by which the calibration was checked
        picture(folder / side / "000.png", size=(60, 60))
    (folder / "depth" / "000.npy").unlink()
    picture(folder / "depth" / "003.png", size=(120, 240))
    cv2.imwrite(str(folder / "depth" / "004.png"), np.full((120, 240), 7, np.uint8))
    data = FolderDataset(folder)
    good, bad = usable_items(data)
    assert good == [1, 2]
    shape, colour, bits = bad
    assert "000.png has 60x60 pixels, another shape than the 240x120" in shape
    assert "003.png has colours, or a palette of them, and a map" in colour
    assert "004.png has 8 bits a pixel and its format 16" in bits
    assert [str(item) for _, item in read_each(data, [0, 3, 4])] == bad
    assert len(usable_part(data)) == 2
    calibration["width"] = 200  # none has that shape
    (folder / "calibration.json").write_text(json.dumps(calibration))
    with pytest.raises(InputError, match="contradicts itself"):
        FolderDataset(folder)
