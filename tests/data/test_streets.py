"""Cityscapes, Make3D, CamVid and stereo photographs in miniature."""

import json

import numpy as np
import pytest
import torch

import trees
from cyclopean.data.folder import PicturesDataset
from cyclopean.data.indoor import Make3dDataset, scattered
from cyclopean.data.stereo import CityscapesDataset, CityscapesSequenceDataset, StereoPhotosDataset
from cyclopean.errors import InputError
from cyclopean.metrics import make3d_crop


def test_cityscapes_keeps_the_top_four_fifths_of_one_camera(tmp_path):
    (sample,) = CityscapesDataset(trees.cityscapes(tmp_path))
    assert sample.name == ("aachen/aachen_000000_000019",)
    assert sample.target.image.shape == (1, 3, 51, 128)  # of 64 rows, rounded down
    assert sample.target.window[0].tolist() == pytest.approx([0, 0, 1, 51 / 64])
    # The camera of the file is for 2048x1024; what was cut away moved its centre down and lengthened its focal length.
    focal, center = sample.target.camera.focal[0].tolist(), sample.target.camera.center[0].tolist()
    assert focal == pytest.approx([2262.5 / 2048, 2265.3 / 1024 * 64 / 51])
    assert center == pytest.approx([(1096.98 + 0.5) / 2048, (513.137 + 0.5) / 1024 * 64 / 51])


def test_cityscapes_takes_one_from_the_stored_disparity(tmp_path):
    (sample,) = CityscapesDataset(trees.cityscapes(tmp_path), part="train")
    assert sample.depth[0, 0, 0, 0].isnan()
    assert sample.depth[0, 0, 1, 1] == pytest.approx(2262.5 * 128 / 2048 * 0.21 / 4)
    assert torch.allclose(trees.shift_px(sample)[1:], torch.tensor(4.0), atol=1e-4)


def test_cityscapes_without_truth_and_with_a_list(tmp_path):
    trees.cityscapes(tmp_path)
    (tmp_path / "disparity").rename(tmp_path / "elsewhere")
    left = "leftImg8bit/train/aachen/aachen_000000_000019_leftImg8bit.jpg"
    split = trees.text(tmp_path / "list.txt", f"{left} {left.replace('left', 'right')}\n")
    (sample,) = CityscapesDataset(tmp_path, split=split)
    assert sample.depth.isnan().all()
    with pytest.raises(InputError, match="holds no Cityscapes picture"):
        CityscapesDataset(tmp_path, part="test")
    path = tmp_path / "camera" / "train" / "aachen" / "aachen_000000_000019_camera.json"
    path.write_text(json.dumps({"intrinsic": {"fx": 2262.5}}))
    with pytest.raises(InputError, match=r"_camera\.json lacks fx, fy"):
        CityscapesDataset(tmp_path)[0]


def test_cityscapes_clips_skip_every_other_frame_and_stay_in_their_30(tmp_path):
    data = CityscapesSequenceDataset(trees.cityscapes_sequence(tmp_path), part="train")
    assert len(data) == 2 * 26
    numbers = [[int(path.stem.split("_")[2]) for path in data.files(n).pictures] for n in range(len(data))]
    assert numbers[0] == [2, 0, 4]
    assert numbers[25] == [27, 25, 29]
    assert numbers[26] == [32, 30, 34]  # none goes from one clip into the next
    sample, still = data[0], CityscapesDataset(tmp_path)[0]
    assert sample.name == ("aachen/aachen_000000_000002",)
    assert sample.target.image.shape == (1, 3, 51, 128)
    for seen in (sample.target, *sample.sources):
        assert torch.equal(seen.camera.focal, still.target.camera.focal)
        assert torch.equal(seen.camera.center, still.target.camera.center)
        assert torch.equal(seen.window, still.target.window)
    assert [source.from_target for source in sample.sources] == [None, None]
    wide = CityscapesSequenceDataset(tmp_path, step="1", reach="2")
    assert [int(p.stem.split("_")[2]) for p in wide.files(0).pictures] == [2, 1, 0, 3, 4]
    (tmp_path / "leftImg8bit_sequence/train/aachen/aachen_000000_000010_leftImg8bit.png").unlink()
    assert len(CityscapesSequenceDataset(tmp_path)) == 2 * 26 - 3  # not a target, and no neighbour of two
    for options, sentence in (
        ({"step": "0"}, "step is 0"),
        ({"reach": "x"}, "reach is x"),
        ({"part": "val"}, "holds no"),
    ):
        with pytest.raises(InputError, match=sentence):
            CityscapesSequenceDataset(tmp_path, **options)


def test_make3d_counts_every_reading_once(tmp_path):
    (sample,) = Make3dDataset(trees.make3d(tmp_path))
    known = sample.depth[0, 0].isfinite()
    assert sample.name == ("op57-p-016t000",)
    assert int(known.sum()) == 55 * 213  # the miniature has fewer columns than the laser
    rows = known.any(1).nonzero()[:, 0]
    assert rows.tolist() == [int((n + 0.5) / 55 * 284) for n in range(55)]
    assert sample.depth[0, 0][rows, 0].tolist() == pytest.approx((5 + np.arange(55)).tolist(), abs=0.01)


@pytest.mark.parametrize("size", [(2272, 1704), (1704, 2272), (460, 345)])
def test_the_crop_of_c1_holds_21_rows_of_readings_whole(size):
    depth = scattered(np.ones((55, 305), np.float32), size)[0, 0]
    rows, columns = make3d_crop(size)
    assert int(depth.isfinite().sum()) == 55 * 305
    assert int(depth[rows, columns].isfinite().sum()) == 21 * 305


def test_a_coarse_grid_is_scattered_to_the_middle_of_its_cells():
    depth = scattered(np.array([[1.0, 2.0], [0.0, 4.0]], np.float32), (6, 10))[0, 0]
    assert depth.isfinite().nonzero().tolist() == [[1, 2], [1, 7], [4, 7]]  # 0 is unknown
    assert [float(depth[1, 2]), float(depth[1, 7]), float(depth[4, 7])] == [1, 2, 4]


def test_make3d_names_a_picture_without_laser_and_a_damaged_file(tmp_path):
    trees.make3d(tmp_path)
    trees.picture(tmp_path / "Test134" / "img-zzz.jpg", (20, 30))
    data = Make3dDataset(tmp_path)
    assert len(data) == 2
    with pytest.raises(InputError, match=r"no file .*depth_sph_corr-zzz\.mat"):
        data[1]
    (tmp_path / "Gridlaserdata" / "depth_sph_corr-op57-p-016t000.mat").write_bytes(b"no matlab" * 40)
    with pytest.raises(InputError, match=r"op57-p-016t000\.mat is missing, damaged"):
        data[0]


def test_camvid_passes_its_labels_over(tmp_path):
    (sample,) = PicturesDataset(trees.camvid(tmp_path))
    assert sample.name == ("0001TP_006690",)
    assert sample.depth.isnan().all()
    assert sample.target.camera.focal[0].tolist() == pytest.approx([1, 40 / 30])
    assert len(PicturesDataset(tmp_path / "LabeledApproved_full")) == 1


def test_stereo_photos_in_two_files_or_side_by_side(tmp_path):
    trees.stereo_photos(tmp_path)
    both = trees.picture(tmp_path / "card.left-right.png", (30, 81), 5)
    two, one = StereoPhotosDataset(tmp_path)
    assert two.sources[0].from_target[0, 0, 3] == -1
    expected = torch.from_numpy(both.transpose(2, 0, 1).copy()) / 255
    assert torch.equal(one.target.image[0], expected[..., :40])
    assert torch.equal(one.sources[0].image[0], expected[..., 41:])
    (tmp_path / "DMC-right.jpg").unlink()
    with pytest.raises(InputError, match=r"there is no file .*DMC-right\.jpg"):
        StereoPhotosDataset(tmp_path)[0]
