"""Published data sets in miniature: units, signs and unknowns as each release defines them."""

import json

import cv2
import numpy as np
import pytest
import torch

from cyclopean.data.indoor import SevenScenesDataset
from cyclopean.data.kitti import KittiObjectDataset
from cyclopean.data.kitti_files import camera_depth
from cyclopean.data.rendered import TracedDataset
from cyclopean.data.stereo import MiddleburyDataset, MotorcycleDataset
from cyclopean.errors import InputError
from cyclopean.geometry import reproject
from cyclopean.synthesis import pull


def picture(path, size, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8))


def shift_px(sample) -> torch.Tensor:
    """By how many pixels each target pixel lies further left in the source, where its depth is known."""
    known = sample.depth.isfinite()
    rho = torch.where(known, 1 / torch.where(known, sample.depth, 1), 0)
    source = sample.sources[0]
    u = reproject(rho, sample.target.camera, source.from_target, source.camera).uv[..., 0]
    width = sample.depth.shape[-1]
    return torch.arange(width) + 0.5 - u * width


def photometric(sample) -> float:
    """Median colour error of the source fetched by the true depth."""
    known = sample.depth.isfinite()
    rho = torch.where(known, 1 / torch.where(known, sample.depth, 1), 0)
    source = sample.sources[0]
    match = reproject(rho, sample.target.camera, source.from_target, source.camera)
    error = (pull(source.image, match.uv, "edge") - sample.target.image).abs().mean(1, keepdim=True)
    return float(error[known & match.valid].median())


def test_traced_reads_pairs_and_passes_panoramas_over(tmp_path):
    for name in ("street_000", "indoor_003"):
        for side in ("left", "right"):
            picture(tmp_path / f"{name}_{side}.png", (16, 32))
        depth = np.full((16, 32), 5.0, np.float16)
        depth[0] = np.inf
        np.savez(tmp_path / f"{name}_left_depth.npz", depth=depth)
        (tmp_path / f"{name}.json").write_text(json.dumps({"focal": 6.0, "baseline": 0.5}))
    (tmp_path / "indoor360_000.json").write_text("{}")
    data = TracedDataset(tmp_path)
    indoor, street = data[0], data[1]
    assert [indoor.name, street.name] == [("indoor/003",), ("street/000",)]
    assert [data.far(0), data.far(1)] == [20, 80]
    assert street.depth[0, 0, 0].isinf().all()
    assert torch.allclose(shift_px(street)[0, 1:], torch.tensor(6.0 * 0.5 / 5))
    for values, words in [
        ({"baseline": 0.5}, 'lacks "focal"; it needs a length in pixels above 0'),
        ({"focal": 6, "baseline": [1]}, r'has "baseline": \[1\]; it needs a length in metres above 0'),
        ({"focal": -6, "baseline": 0.5}, 'has "focal": -6'),
    ]:
        (tmp_path / "street_000.json").write_text(json.dumps(values))
        with pytest.raises(InputError, match=words):
            data[1]
    whole = (tmp_path / "indoor_003_left_depth.npz").read_bytes()
    (tmp_path / "indoor_003_left_depth.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"indoor_003_left_depth\.npz is damaged"):
        data[0]


def test_middlebury_adds_the_cropped_disparity(tmp_path):
    scene = tmp_path / "Art"
    for name in ("view1", "view5"):
        picture(scene / f"{name}.png", (370, 16))
    stored = np.full((370, 16), 12, np.uint8)
    stored[0, 0] = 0
    cv2.imwrite(str(scene / "disp1.png"), stored)
    (scene / "dmin.txt").write_text("200")
    sample = MiddleburyDataset(tmp_path)[0]
    assert sample.depth[0, 0, 0, 0].isnan()
    assert sample.depth[0, 0, 1, 1] == pytest.approx(3740 / 3 * 0.16 / (12 / 3 + 200 / 3))
    assert torch.allclose(shift_px(sample)[0, 1:], torch.tensor(4.0), atol=1e-4)
    (scene / "dmin.txt").write_text("two hundred")
    with pytest.raises(InputError, match=r"dmin\.txt"):
        MiddleburyDataset(tmp_path)[0]


def test_motorcycle_pair_agrees_with_its_depth():
    sample = MotorcycleDataset()[0]
    assert 2 < float(sample.depth.nan_to_num(3).min()) < float(sample.depth.nan_to_num(3).max()) < 6
    assert 0.05 < float(sample.depth.isnan().float().mean()) < 0.1
    assert photometric(sample) < 0.02
    with pytest.raises(IndexError):
        MotorcycleDataset()[1]


def test_seven_scenes_is_in_millimetres_with_two_unknowns(tmp_path):
    picture(tmp_path / "frame-000008.color.jpg", (480, 640))
    depth = np.full((480, 640), 2500, np.uint16)
    depth[0, 0], depth[0, 1] = 0, 65535
    cv2.imwrite(str(tmp_path / "frame-000008.depth.png"), depth)
    sample = SevenScenesDataset(tmp_path)[0]
    assert sample.name == ("frame-000008",)
    assert sample.depth[0, 0, 0, :2].isnan().all()
    assert float(sample.depth[0, 0, 1, 1]) == 2.5
    cv2.imwrite(str(tmp_path / "frame-000008.depth.png"), depth[:100])
    with pytest.raises(InputError, match="640x480"):
        SevenScenesDataset(tmp_path)[0]


def write_kitti(folder, points):
    picture(folder / "image_2" / "000000.png", (40, 60))
    for name in ("velodyne", "calib"):
        (folder / name).mkdir()
    np.c_[points, np.ones(len(points))].astype(np.float32).tofile(folder / "velodyne" / "000000.bin")
    # The scanner looks along x, z up; it sits 0.3 m behind and 0.1 m above camera 0; camera 2 stands 0.06 m left.
    lines = {
        "P2": [50, 0, 30, 3.0, 0, 50, 20, 0, 0, 0, 1, 0.005],
        "R0_rect": [0.8, -0.6, 0, 0.6, 0.8, 0, 0, 0, 1],
        "Tr_velo_to_cam": [0, -1, 0, 0, 0, 0, -1, -0.1, 1, 0, 0, -0.3],
    }
    text = "\n".join(f"{key}: " + " ".join(map(str, values)) for key, values in lines.items())
    (folder / "calib" / "000000.txt").write_text(text)


def test_kitti_object_projects_the_scan_to_camera_depth(tmp_path):
    rng = np.random.default_rng(0)
    points = np.c_[rng.uniform(-20, 40, 500), rng.uniform(-10, 10, 500), rng.uniform(-3, 3, 500)]
    write_kitti(tmp_path, points)
    expected = np.full((40, 60), np.inf)
    for x, y, z in points.astype(np.float32).astype(float):
        across, below, forward = -y, -z - 0.1, x - 0.3
        right, down = 0.8 * across - 0.6 * below, 0.6 * across + 0.8 * below
        depth = forward + 0.005
        if depth <= 0:
            continue
        column = round((50 * right + 30 * forward + 3.0) / depth)
        row = round((50 * down + 20 * forward) / depth)
        if 0 <= column < 60 and 0 <= row < 40:
            expected[row, column] = min(expected[row, column], depth)
    sample = KittiObjectDataset(tmp_path)[0]
    got = sample.depth[0, 0].numpy()
    assert np.isfinite(expected).sum() > 50
    assert np.allclose(got, np.where(np.isinf(expected), np.nan, expected), rtol=1e-6, equal_nan=True)
    assert sample.target.camera.center[0].tolist() == pytest.approx([30.5 / 60, 20.5 / 40])


def test_the_nearest_of_several_points_wins():
    points = np.array([[0.0, 0, 9], [0, 0, 4], [0, 0, 6], [0, 0, -1]])
    depth = camera_depth(points, np.eye(3, 4), (2, 2))
    assert depth[0, 0] == 4
    assert np.isnan(depth.ravel()[1:]).all()


@pytest.mark.parametrize("kind", [TracedDataset, MiddleburyDataset, SevenScenesDataset, KittiObjectDataset])
def test_a_folder_of_something_else_is_told(tmp_path, kind):
    (tmp_path / "notes.txt").write_text("nothing here")
    with pytest.raises(InputError, match=r"holds no .*needs"):
        kind(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        kind(tmp_path / "nowhere")


def test_damaged_files_are_named(tmp_path):
    write_kitti(tmp_path, np.ones((3, 3)))
    (tmp_path / "velodyne" / "000000.bin").write_bytes(b"abc")
    with pytest.raises(InputError, match=r"000000\.bin"):
        KittiObjectDataset(tmp_path)[0]
    points = np.random.default_rng(0).uniform(-50, 50, (3000, 4)).astype("<f4")
    text = points.tobytes().replace(b"\n", b"\r\n")
    text += bytes(-len(text) % 16)  # one in sixteen has a whole number of points
    odd = (b"", points.tobytes() + b"abc", text, points.astype(">f4").tobytes(), points.astype("<f8").tobytes())
    for content in odd:
        (tmp_path / "velodyne" / "000000.bin").write_bytes(content)
        with pytest.raises(InputError, match=r"000000\.bin"):
            KittiObjectDataset(tmp_path)[0]
    points[::7] = np.nan  # lost points are left out
    points.tofile(tmp_path / "velodyne" / "000000.bin")
    assert KittiObjectDataset(tmp_path)[0].depth.isfinite().any()
    write = tmp_path / "calib" / "000000.txt"
    np.zeros((3, 4), np.float32).tofile(tmp_path / "velodyne" / "000000.bin")
    write.write_text("P2: 1 2 3")
    with pytest.raises(InputError, match=r"calib/000000\.txt"):
        KittiObjectDataset(tmp_path)[0]
