"""The KITTI releases in miniature: whose depth, which pixel, which side, which day's calibration."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import trees
from cyclopean.data.files import read_paths
from cyclopean.data.kitti import (
    Kitti2015Dataset,
    KittiImprovedDataset,
    KittiOdometryDataset,
    KittiRawDataset,
    KittiSelectionDataset,
)
from cyclopean.data.kitti_files import camera_depth, forward_depth, read_frames
from cyclopean.errors import InputError

H, W = trees.KITTI_SIZE


def seen_by_camera_2(point: np.ndarray) -> tuple[float, float, float]:
    """Column, row (from the centre of the first pixel) and z of a laser point, by hand."""
    x, y, z = point
    across, below, ahead = -y, -z - 0.1, x - 0.3
    right, down = 0.8 * across - 0.6 * below, 0.6 * across + 0.8 * below
    depth = ahead + 0.005
    return (50 * right + 30 * ahead + 3.0) / depth, (52 * down + 20 * ahead + 0.1) / depth, depth


def by_hand(points: np.ndarray, forward: bool, scale: float = 1.0) -> np.ndarray:
    """Point by point: the nearest z in the pixel it falls into, or the scanner's x one pixel further up and left."""
    size = round(H * scale), round(W * scale)
    depth = np.full(size, np.inf)
    for point in points:
        column, row, z = seen_by_camera_2(point)
        if z <= 0 or (forward and point[0] <= 0):
            continue
        column, row = ((at + 0.5) * scale - 0.5 for at in (column, row))
        column, row = round(column) - forward, round(row) - forward
        if 0 <= column < size[1] and 0 <= row < size[0]:
            depth[row, column] = min(depth[row, column], point[0] if forward else z)
    return np.where(np.isinf(depth), np.nan, depth)


@pytest.mark.parametrize("truth", ["camera", "forward"])
def test_raw_makes_truth_of_the_scan_in_both_conventions(tmp_path, truth):
    points = trees.scan(trees.kitti_raw(tmp_path), 5)
    sample = KittiRawDataset(tmp_path, truth=truth)[1]
    expected = by_hand(points, truth == "forward")
    assert np.isfinite(expected).sum() > 50
    assert np.allclose(sample.depth[0, 0].numpy(), expected, rtol=1e-6, equal_nan=True)


def test_the_two_conventions_differ_by_offset_and_pixel():
    points, straight = np.array([[10.0, 0, 0]]), np.array([[50.0, 0, 30, 0], [0, 50, 20, 0], [0, 0, 1, 0]])
    image_from_points = straight @ np.array([[0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, -0.27], [0, 0, 0, 1.0]])
    camera, forward = (f(points, image_from_points, (40, 60)) for f in (camera_depth, forward_depth))
    assert camera[20, 30] == pytest.approx(9.73)
    assert forward[19, 29] == pytest.approx(10)
    assert np.isfinite(camera).sum() == np.isfinite(forward).sum() == 1


def test_raw_reads_the_rig_of_the_day(tmp_path):
    sample = KittiRawDataset(trees.kitti_raw(tmp_path))[0]
    assert sample.name == (f"{trees.DRIVE}/0000000004_02",)
    assert sample.target.camera.focal[0].tolist() == pytest.approx([50 / W, 52 / H])
    assert sample.target.camera.center[0].tolist() == pytest.approx([30.5 / W, 20.5 / H])
    # Sideways only: the millimetres up and ahead between rectified cameras are left out.
    assert sample.sources[0].from_target[0, :3, 3].tolist() == pytest.approx([-trees.BASELINE, 0, 0])
    assert sample.depth.isnan().all()  # no scan, no truth


def test_raw_puts_the_source_of_a_right_picture_on_the_left(tmp_path):
    trees.kitti_raw(tmp_path)
    split = trees.text(tmp_path / "split.txt", f"{trees.DRIVE} 5 r\n{trees.DRIVE} 5 l\n")
    right, left = KittiRawDataset(tmp_path, split=split)
    assert right.sources[0].from_target[0, 0, 3] == pytest.approx(trees.BASELINE)
    assert torch.equal(right.target.image, left.sources[0].image)
    assert torch.equal(right.sources[0].image, left.target.image)


def test_raw_takes_jpegs_and_shrunken_copies_as_they_are(tmp_path):
    points = trees.scan(trees.kitti_raw(tmp_path, suffix="jpg"), 5)
    sharp = KittiRawDataset(tmp_path)[1]
    for camera in ("02", "03"):
        path = tmp_path / trees.DRIVE / f"image_{camera}" / "data" / "0000000005.jpg"
        trees.picture(path, (H // 2, W // 2))
    small = KittiRawDataset(tmp_path)[1]
    assert torch.equal(small.target.camera.focal, sharp.target.camera.focal)
    assert torch.equal(small.target.camera.center, sharp.target.camera.center)
    assert np.allclose(small.depth[0, 0].numpy(), by_hand(points, False, 0.5), rtol=1e-6, equal_nan=True)


def test_raw_gives_videos_without_poses(tmp_path):
    trees.kitti_raw(tmp_path)
    (only,) = KittiRawDataset(tmp_path, sources="video")  # of three frames one has both neighbours
    pictures = [KittiRawDataset(tmp_path)[n].target.image for n in range(3)]
    assert [s.from_target for s in only.sources] == [None, None]
    assert torch.equal(only.sources[0].image, pictures[0])
    assert torch.equal(only.target.image, pictures[1])
    assert torch.equal(only.sources[1].image, pictures[2])
    (both,) = KittiRawDataset(tmp_path, sources="both")
    assert [s.from_target is None for s in both.sources] == [False, True, True]


def test_raw_gives_videos_of_both_eyes_and_of_more_frames(tmp_path):
    trees.kitti_raw(tmp_path, (1, 2, 3, 4, 5))
    (only,) = KittiRawDataset(tmp_path, sources="video", reach="2")
    pictures = [KittiRawDataset(tmp_path)[n].target.image for n in range(5)]
    for source, number in zip(only.sources, (1, 0, 3, 4), strict=True):  # nearest first on each side
        assert torch.equal(source.image, pictures[number])
    left, right = KittiRawDataset(tmp_path, sources="video", reach=2, eyes="both")
    assert [only.name, left.name, right.name][1:] == [only.name, (f"{trees.DRIVE}/0000000003_03",)]
    assert not torch.equal(left.target.image, right.target.image)
    split = trees.text(tmp_path / "split.txt", f"{trees.DRIVE} 3 r\n")
    names = [sample.name[0][-2:] for sample in KittiRawDataset(tmp_path, split, sources="video", eyes="both")]
    assert names == ["03", "02"]
    assert len(KittiRawDataset(tmp_path, split, sources="video")) == 1
    for options, sentence in (({"eyes": "boht"}, "did you mean 'both'"), ({"reach": "0"}, "reach is 0")):
        with pytest.raises(InputError, match=sentence):
            KittiRawDataset(tmp_path, sources="video", **options)


def test_raw_names_what_is_wrong(tmp_path):
    with pytest.raises(InputError, match="holds no KITTI drive"):
        KittiRawDataset(tmp_path)
    trees.scan(trees.kitti_raw(tmp_path), 5)
    with pytest.raises(InputError, match=r"truth of KITTI raw 'forwards': did you mean 'forward'"):
        KittiRawDataset(tmp_path, truth="forwards")
    calibration = tmp_path / trees.DATE / "calib_cam_to_cam.txt"
    calibration.write_text(calibration.read_text().replace("P_rect_03", "P_rect_99"))
    with pytest.raises(InputError, match=r"calib_cam_to_cam\.txt is damaged or lacks P_rect_03"):
        KittiRawDataset(tmp_path)[1]


def test_both_formats_of_splits_name_the_same_frames(tmp_path):
    first = trees.text(tmp_path / "a.txt", f"{trees.DRIVE} 0000000069 l\n\n{trees.DRIVE} 7 r\n")
    pair = "{0}/image_02/data/{1}.jpg {0}/image_03/data/{1}.jpg\n"
    other = "{0}/image_03/data/{1}.png {0}/image_02/data/{1}.png\n"
    names = pair.format(trees.DRIVE, "0000000069"), other.format(trees.DRIVE, "0000000007")
    second = trees.text(tmp_path / "b.txt", "".join(names))
    assert read_frames(first) == read_frames(second)
    assert [f.name for f in read_frames(first)] == [f"{trees.DRIVE}/{n}" for n in ("0000000069_02", "0000000007_03")]
    assert read_paths(second)[0] == f"{trees.DRIVE}/image_02/data/0000000069.jpg"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is empty"),
        ("# none\n", "empty list"),
        (f"{trees.DRIVE} 5 l\n{trees.DRIVE} 5 up", "line 2 is .* 5 up"),
        ("a.png", r"line 1 is 'a\.png'"),
        (f"{trees.DRIVE} five l", "line 1"),
    ],
)
def test_bad_splits_are_told_by_line(tmp_path, content, words):
    with pytest.raises(InputError, match=words):
        read_frames(trees.text(tmp_path / "split.txt", content))
    with pytest.raises(InputError, match=r"there is no file .*nowhere\.txt"):
        read_frames(tmp_path / "nowhere.txt")


def test_improved_depth_joins_the_raw_pictures(tmp_path):
    trees.kitti_improved(tmp_path)
    left, right = KittiImprovedDataset(tmp_path)
    assert left.depth[0, 0, 0, 0].isnan()
    assert left.depth[0, 0, 1, 1] == 12
    assert right.sources[0].from_target[0, 0, 3] == pytest.approx(trees.BASELINE)
    split = trees.text(tmp_path / "split.txt", f"{trees.DRIVE} 5 l\n{trees.DRIVE} 6 l")
    listed = KittiImprovedDataset(tmp_path, raw=tmp_path, split=split)
    assert torch.equal(listed[0].target.image, left.target.image)
    with pytest.raises(InputError, match=r"there is no file .*proj_depth/groundtruth/image_02/0000000006\.png"):
        listed[1]


def test_improved_depth_lies_in_the_raw_tree_as_well(tmp_path):
    trees.kitti_improved(tmp_path)
    (tmp_path / "train" / Path(trees.DRIVE).name / "proj_depth").rename(tmp_path / trees.DRIVE / "proj_depth")
    assert KittiImprovedDataset(tmp_path)[0].depth[0, 0, 1, 1] == 12


def test_the_selection_has_its_own_cameras(tmp_path):
    (sample,) = KittiSelectionDataset(trees.kitti_selection(tmp_path))
    assert sample.sources == ()
    assert sample.target.camera.center[0].tolist() == pytest.approx([0.5, 0.5])
    assert sample.depth.unique().tolist() == [2]


@pytest.mark.parametrize(("truth", "missing"), [("noc", 10), ("occ", 1)])
def test_2015_turns_disparity_into_depth_and_back(tmp_path, truth, missing):
    (sample,) = Kitti2015Dataset(trees.kitti_2015(tmp_path), truth=truth)
    assert sample.name == ("000000_10",)
    assert sample.depth[..., :missing].isnan().all()
    assert sample.depth[0, 0, 0, 20] == pytest.approx(50 * trees.BASELINE / 3)
    assert torch.allclose(trees.shift_px(sample)[:, missing:], torch.tensor(3.0), atol=1e-4)


def test_2015_testing_has_no_truth(tmp_path):
    (sample,) = Kitti2015Dataset(trees.kitti_2015(tmp_path) / "testing")
    assert sample.depth.isnan().all()
    split = trees.text(tmp_path / "s.txt", "training/image_2/000000_11.jpg training/image_3/000000_11.jpg\n")
    data = Kitti2015Dataset(tmp_path, split=split)
    with pytest.raises(InputError, match=r"there is no file .*disp_noc_0/000000_11\.png"):
        data[0]


def test_odometry_moves_as_its_path_says(tmp_path):
    trees.kitti_odometry(tmp_path)
    rows, angle = [], 0.1
    for n in range(4):
        turn = np.array(
            [[np.cos(n * angle), 0, np.sin(n * angle)], [0, 1, 0], [-np.sin(n * angle), 0, np.cos(n * angle)]]
        )
        rows.append(np.c_[turn, [0.1 * n, 0, 1.0 * n]].ravel())
    (tmp_path / "poses").mkdir()
    np.savetxt(tmp_path / "poses" / "00.txt", np.array(rows))
    first = KittiOdometryDataset(tmp_path, sources="both")[0]
    assert first.name == ("00/000001",)
    assert first.sources[0].from_target[0, 0, 3] == pytest.approx(-trees.BASELINE)
    # A point of the world (camera 0 of frame 0) as the left colour camera sees it at frames 1 and 0.
    world, beside = np.array([2.0, -1.0, 9.0]), np.array([3.0 - 30 * 0.005, 0.1 - 20 * 0.005, 0]) / [50, 52, 1]
    beside[2] = 0.005
    at = [np.linalg.solve(np.reshape(r, (3, 4))[:, :3], world - np.reshape(r, (3, 4))[:, 3]) + beside for r in rows]
    pose = first.sources[1].from_target[0].double().numpy()
    assert (pose @ [*at[1], 1])[:3] == pytest.approx(at[0], abs=1e-5)
    assert (first.sources[2].from_target[0].double().numpy() @ [*at[1], 1])[:3] == pytest.approx(at[2], abs=1e-5)


def test_odometry_without_a_path_leaves_poses_to_be_predicted(tmp_path):
    video = KittiOdometryDataset(trees.kitti_odometry(tmp_path), sources="video")
    assert len(video) == 2
    assert [s.from_target for s in video[0].sources] == [None, None]


def test_odometry_reads_one_bare_sequence(tmp_path):
    data = KittiOdometryDataset(trees.kitti_odometry(tmp_path, names=False))
    assert len(data) == 4
    assert data[0].sources[0].from_target[0, 0, 3] == pytest.approx(-27 / 50)
    trees.text(tmp_path / "poses.txt", "1 0 0 0 0 1 0 0 0 0 1 0\n")
    with pytest.raises(InputError, match=r"poses\.txt has 1 poses and none of frame 1"):
        KittiOdometryDataset(tmp_path, sources="video")[0]


def test_whole_scenes_are_left_out_by_the_list_of_a_test_set(tmp_path):
    """KITTI 2015's mapping names a drive in the middle of a line, and has empty lines."""
    trees.kitti_raw(tmp_path)
    other = Path(trees.DRIVE.replace("0001", "0002"))
    shutil.copytree(tmp_path / trees.DRIVE, tmp_path / other)
    mapping = trees.text(tmp_path / "train_mapping.txt", f"\n{trees.DATE} {Path(trees.DRIVE).name} 0000000109\n\n")
    for given in (KittiRawDataset(tmp_path, without=mapping), KittiRawDataset(tmp_path, truth="none", without=mapping)):
        assert {frame.drive for frame in given.items} == {other.as_posix()}
    assert len(KittiRawDataset(tmp_path)) == 2 * len(given)
    with pytest.raises(InputError, match="names no KITTI drive"):
        KittiRawDataset(tmp_path, without=trees.text(tmp_path / "x.txt", "nothing"))
