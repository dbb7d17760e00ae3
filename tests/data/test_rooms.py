"""Middlebury, ETH3D, NYU and 7-Scenes in miniature: units, shifts of principal points, unknowns."""

import sys

import h5py
import numpy as np
import pytest
import torch
from scipy.io import savemat

import trees
from cyclopean.data.indoor import NyuDataset, SevenScenesDataset
from cyclopean.data.stereo import Eth3dDataset, MiddleburyDataset
from cyclopean.errors import InputError


def test_middlebury_2014_reads_its_calibration(tmp_path):
    trees.calibrated(tmp_path / "Piano-perfect")
    (sample,) = MiddleburyDataset(tmp_path)
    assert sample.name == ("Piano-perfect",)
    assert sample.depth[0, 0, 0, 0].isnan()
    assert sample.depth[0, 0, 1, 0] == pytest.approx(80 * 0.2 / (3 + 5))
    shift = trees.shift_px(sample)
    assert torch.allclose(shift[1:], torch.tensor(3.0), atol=1e-4)  # the map's rows are stored from the bottom up
    assert sample.target.camera.center[0].tolist() == pytest.approx([30.5 / 60, 20.5 / 40])


def test_the_third_evaluation_calls_its_truth_otherwise_and_may_lack_it(tmp_path):
    trees.calibrated(tmp_path / "trainingQ" / "Piano", "disp0GT.pfm")
    trees.calibrated(tmp_path / "testQ" / "Bike")
    (tmp_path / "testQ" / "Bike" / "disp0.pfm").unlink()
    bike, piano = MiddleburyDataset(tmp_path)
    assert bike.depth.isnan().all()
    assert piano.depth.isfinite().any()


def test_calibration_for_another_size_is_refused(tmp_path):
    scene = trees.calibrated(tmp_path / "Piano")
    text = (scene / "calib.txt").read_text()
    (scene / "calib.txt").write_text(text.replace("width=60", "width=120"))
    with pytest.raises(InputError, match=r"im0\.png has 60x40 pixels and .*calib\.txt is for 120x40"):
        MiddleburyDataset(tmp_path)[0]
    (scene / "calib.txt").write_text(text.replace("doffs=5\n", ""))
    with pytest.raises(InputError, match=r"calib\.txt is damaged or lacks doffs"):
        MiddleburyDataset(tmp_path)[0]
    trees.pfm(scene / "disp0.pfm", np.ones((2, 2)))
    (scene / "calib.txt").write_text(text)
    with pytest.raises(InputError, match=r"disp0\.pfm has 2x2 pixels and its picture 60x40"):
        MiddleburyDataset(tmp_path)[0]


@pytest.mark.parametrize(("height", "reduced"), [(370, 3), (555, 2), (1110, 1)])
def test_middlebury_2005_knows_its_three_sizes(tmp_path, height, reduced):
    trees.middlebury_2005(tmp_path / "Art", height)
    (sample,) = MiddleburyDataset(tmp_path)
    assert sample.depth[0, 0, 1, 1] == pytest.approx(3740 * 0.16 / (12 + 200))
    assert torch.allclose(trees.shift_px(sample)[1:], torch.tensor(12 / reduced), atol=1e-3)


def test_middlebury_2005_of_an_unknown_size_is_refused(tmp_path):
    trees.middlebury_2005(tmp_path / "Art", 400)
    with pytest.raises(InputError, match="pictures of 400 rows; the release has 1110, 555, 370"):
        MiddleburyDataset(tmp_path)[0]


@pytest.mark.parametrize("suffixes", [("png", "png"), ("ppm", "pgm")])
def test_middlebury_2003_is_known_up_to_scale(tmp_path, suffixes):
    trees.middlebury_2003(tmp_path / "cones", suffixes)
    (sample,) = MiddleburyDataset(tmp_path)
    assert sample.depth[0, 0, 0, 0].isnan()
    assert sample.depth[0, 0, 1, 1] == pytest.approx(16 / (12 / 4))
    assert torch.allclose(trees.shift_px(sample)[1:], torch.tensor(3.0), atol=1e-4)


def test_scenes_of_several_releases_lie_together(tmp_path):
    trees.middlebury_2003(tmp_path / "2003" / "cones")
    trees.middlebury_2005(tmp_path / "2005" / "Art")
    trees.calibrated(tmp_path / "2014" / "Piano")
    data = MiddleburyDataset(tmp_path)
    assert [s.name[0] for s in data] == ["cones", "Art", "Piano"]
    assert [data.far(n) for n in range(3)] == [1000, 20, 20]


@pytest.mark.parametrize("place", ["two_view_training_gt", "two_view_training"])
def test_eth3d_finds_its_truth_beside_or_apart(tmp_path, place):
    scene = trees.calibrated(tmp_path / "two_view_training" / "delivery_area_1l", "disp0GT.pfm")
    gt = tmp_path / place / scene.name
    gt.mkdir(parents=True, exist_ok=True)
    for name in ("disp0GT.pfm", "mask0nocc.png"):
        (scene / name).rename(gt / name)
    (everything,), (visible,) = Eth3dDataset(tmp_path), Eth3dDataset(tmp_path, truth="noc")
    assert everything.depth[0, 0, -1, 0] == pytest.approx(80 * 0.2 / 8)
    assert visible.depth[0, 0, -1].isnan().all()
    assert torch.equal(visible.depth[0, 0, :-1].isnan(), everything.depth[0, 0, :-1].isnan())
    assert len(Eth3dDataset(tmp_path / "two_view_training")) == 1


def test_nyu_frames_are_in_millimetres(tmp_path):
    first, second = NyuDataset(trees.nyu_frames(tmp_path))
    assert (first.name, second.name) == (("kitchen/rgb_00007",), ("kitchen/rgb_00045",))
    assert first.depth[0, 0, 0, 0].isnan()
    assert second.depth[0, 0, 1, 1] == pytest.approx(1.045)
    assert first.target.camera.focal[0].tolist() == pytest.approx([518.857901 / 640, 519.469611 / 480])
    trees.text(tmp_path / "camera-intrinsics.txt", "500 0 319.5\n0 500 239.5\n0 0 1\n")
    assert NyuDataset(tmp_path)[0].target.camera.center[0].tolist() == pytest.approx([0.5, 0.5])


def test_nyu_labelled_undoes_matlabs_order(tmp_path):
    data = NyuDataset(trees.nyu_labelled(tmp_path))
    assert len(NyuDataset(tmp_path)) == len(data), "its folder will do"
    with h5py.File(data.path) as file:
        image, depth = file["images"][1], file["depths"][1]
    sample = data[1]
    assert len(data) == 3
    assert sample.target.image.shape == (1, 3, 480, 640)
    for channel, row, column in ((0, 0, 1), (2, 479, 5)):
        assert float(sample.target.image[0, channel, row, column] * 255) == pytest.approx(image[channel, column, row])
        assert float(sample.depth[0, 0, row, column]) == pytest.approx(depth[column, row])


def test_nyu_splits_count_from_one(tmp_path):
    mat = trees.nyu_labelled(tmp_path)
    savemat(tmp_path / "splits.mat", {"testNdxs": np.array([[1], [3]]), "trainNdxs": np.array([[2]])})
    splits = tmp_path / "splits.mat"
    assert [s.name[0] for s in NyuDataset(mat, splits=splits)] == ["0000", "0002"]
    assert [s.name[0] for s in NyuDataset(mat, splits=splits, part="train")] == ["0001"]
    savemat(splits, {"testNdxs": np.array([[4]]), "trainNdxs": np.array([[2]])})
    with pytest.raises(InputError, match=r"splits\.mat lists items"):
        NyuDataset(mat, splits=splits)


def test_matlab_files_ask_for_what_reads_them(tmp_path, monkeypatch):
    mat = trees.nyu_labelled(tmp_path)
    trees.text(tmp_path / "damaged.mat", "no matlab")
    with pytest.raises(InputError, match=r"damaged\.mat is missing or damaged"):
        NyuDataset(tmp_path / "damaged.mat")
    monkeypatch.setitem(sys.modules, "h5py", None)
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    with pytest.raises(InputError, match=r"pip install 'cyclopean\[matlab\]'"):
        NyuDataset(mat)
    with pytest.raises(InputError, match=r"pip install 'cyclopean\[matlab\]'"):
        NyuDataset(trees.nyu_frames(tmp_path), splits=mat)


def test_seven_scenes_moves_as_its_poses_say(tmp_path):
    trees.seven_scenes(tmp_path)
    trees.seven_scenes(tmp_path, "seq-02")
    assert len(SevenScenesDataset(tmp_path)) == 8
    data = SevenScenesDataset(tmp_path, sources="video")
    assert len(data) == 4  # the ends of each sequence have one neighbour only
    sample = data[2]
    assert sample.name == ("seq-02/frame-000001",)
    assert sample.sources[0].from_target[0, :3, 3].tolist() == pytest.approx([0.1, 0, 0.2])
    assert sample.sources[1].from_target[0, :3, 3].tolist() == pytest.approx([-0.1, 0, -0.2])


def test_seven_scenes_reads_its_camera(tmp_path):
    trees.seven_scenes(tmp_path)
    sample = SevenScenesDataset(tmp_path)[0]
    assert sample.target.camera.focal[0].tolist() == pytest.approx([58.5 / 64, 58.5 / 48])
    assert sample.target.camera.center[0].tolist() == pytest.approx([32.5 / 64, 24.5 / 48])
    (tmp_path / "camera-intrinsics.txt").write_text("58.5 0 32\n0 58.5\n")
    with pytest.raises(InputError, match=r"camera-intrinsics\.txt needs 3 numbers in each line"):
        SevenScenesDataset(tmp_path)[0]
    (tmp_path / "camera-intrinsics.txt").unlink()
    with pytest.raises(InputError, match="is for 640x480"):
        SevenScenesDataset(tmp_path)[0]


def test_depth_saved_anew_with_8_bits_is_refused(tmp_path):
    """In counts of a fourth of a metre, or of a fourth of a decimetre: nothing tells."""
    for path in trees.nyu_frames(tmp_path).rglob("sync_depth_*"):
        trees.counts(path, np.full((480, 640), 200, np.uint8))
    data = NyuDataset(tmp_path)
    with pytest.raises(InputError, match=r"sync_depth_00007\.png has 8 bits a pixel and its format 16"):
        data[0]


def test_an_archive_is_to_be_unpacked(tmp_path):
    """As releases are downloaded: given itself, or in the folder that was given."""
    archive = tmp_path / "nyu.zip"
    archive.write_bytes(b"PK")
    with pytest.raises(InputError, match=r"nyu\.zip is an archive; unpack it, and give the folder"):
        NyuDataset(archive)
    with pytest.raises(InputError, match=r"holds no NYU frame; it needs .*; unpack nyu\.zip first"):
        NyuDataset(tmp_path)
