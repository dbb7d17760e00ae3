"""What `cyclopean check` sees: matches of known shift, and a verdict for each thing that can be wrong."""

import math
from dataclasses import replace

import cv2
import numpy as np
import OpenEXR
import pytest
import torch
from PIL import Image

import stereo_pairs as pairs
import trees
from cyclopean import cli
from cyclopean.augmentation import flip_stereo, mirror_sample
from cyclopean.data.diagnose import problems, rows
from cyclopean.data.folder import FolderDataset
from cyclopean.data.inspect import Inspection, Measures, PairMeasures, examine, match, measure
from cyclopean.data.kitti import KittiRawDataset
from cyclopean.data.stereo import MiddleburyDataset
from cyclopean.geometry import Pinhole
from cyclopean.io.depth_formats import write_plane
from cyclopean.sample import Sample, is_rectified, view

GOOD = PairMeasures(200, 6.0, 0.0, 0.1, 0.0, 0.8, 1.0, False)


def tensor(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(picture[..., ::-1].transpose(2, 0, 1).copy())[None].float() / 255


def kinds(seen: Inspection) -> list[str]:
    return [problem.kind for problem in problems(seen)]


def checked(folder) -> Inspection:
    return examine("mine", FolderDataset(folder), 10)


def seen(*pairs_: PairMeasures) -> Inspection:
    return Inspection(
        "x",
        len(pairs_),
        (),
        tuple(Measures(str(n), (100, 200), ((0.5, 0.2),) * 2, p, None) for n, p in enumerate(pairs_)),
    )


@pytest.mark.parametrize("down", [0.0, 3.0, -2.0])
def test_matches_lie_where_the_disparity_says(down):
    left, right = map(tensor, pairs.left_and_right(0, down))
    at, shift = match(left, right)
    expected = np.interp(at[:, 1] - 0.5, np.arange(pairs.H), pairs.disparity())
    assert len(at) > 50
    assert np.median(np.abs(shift[:, 0] - expected)) < 0.2
    assert np.median(shift[:, 1]) == pytest.approx(down, abs=0.15)


def test_matches_of_a_wide_picture_are_in_its_own_pixels():
    left, right = (cv2.resize(p, None, fx=10, fy=10, interpolation=cv2.INTER_CUBIC) for p in pairs.left_and_right(0))
    at, shift = match(tensor(left), tensor(right))  # 2400 wide: shrunk to be matched
    expected = 10 * np.interp(at[:, 1] / 10 - 0.5, np.arange(pairs.H), pairs.disparity())
    assert np.median(np.abs(shift[:, 0] - expected)) < 2


def test_blank_pictures_have_no_matches():
    assert len(match(torch.zeros(1, 3, 40, 60), torch.ones(1, 3, 40, 60))[0]) == 0


def test_a_clean_set_passes(tmp_path):
    pairs.write_depth(pairs.write_pairs(tmp_path))
    seen = checked(tmp_path)
    assert kinds(seen) == []
    for one in seen.measured:
        assert one.pair.across == pytest.approx((pairs.NEAREST + pairs.FARTHEST) / 2, abs=1)
        assert one.pair.down == pytest.approx(0, abs=0.1)
        assert one.pair.factor == pytest.approx(1, abs=0.03)
        assert one.pair.lower > 0.9


def test_a_swapped_pair_is_caught(tmp_path):
    seen = checked(pairs.write_pairs(tmp_path, swapped=True))
    assert kinds(seen) == ["swapped"]
    assert all(one.pair.across < -4 and one.pair.behind > 0.9 for one in seen.measured)
    assert "3 of 3 pairs have left and right swapped" in problems(seen)[0].sentence
    assert "(000, 001, 002); swap the two pictures, or mirror both back." in problems(seen)[0].sentence


def test_one_swapped_pair_among_good_ones_is_named(tmp_path):
    pairs.write_pairs(tmp_path)
    left, right = (tmp_path / side / "001.png" for side in ("left", "right"))
    left.rename(tmp_path / "x.png")
    right.rename(left)
    (tmp_path / "x.png").rename(right)
    (problem,) = problems(checked(tmp_path))
    assert (problem.kind, problem.names) == ("swapped", ("001",))


@pytest.mark.parametrize(("down", "words"), [(1.5, "1.5 px lower"), (-1.5, "1.5 px higher")])
def test_a_vertical_shift_is_caught_with_its_sign(tmp_path, down, words):
    (problem,) = problems(checked(pairs.write_pairs(tmp_path, down=down)))
    assert problem.kind == "rows"
    assert words in problem.sentence


def test_a_tilt_without_mean_is_caught():
    assert kinds(seen(replace(GOOD, rows=1.0))) == ["rows"]


def test_rows_of_a_single_pair_must_be_further_off_than_those_of_all():
    slightly, badly = replace(GOOD, rows=0.8, down=0.8), replace(GOOD, rows=1.5, down=1.5)
    assert kinds(seen(GOOD, GOOD, slightly)) == []
    assert kinds(seen(slightly, slightly, GOOD)) == ["rows"]
    (problem,) = problems(seen(GOOD, GOOD, badly))
    assert problem.names == ("2",)


def test_pictures_shifted_for_a_screen_are_told_from_swapped_ones():
    assert kinds(seen(replace(GOOD, behind=0.9, lower=0.7))) == ["shifted"]
    assert kinds(seen(replace(GOOD, behind=0.3, lower=0.0))) == ["shifted"]
    assert kinds(seen(replace(GOOD, behind=0.9, lower=-0.7))) == ["swapped"]
    assert kinds(seen(replace(GOOD, behind=0.1))) == []
    (problem,) = problems(seen(replace(GOOD, behind=0.9, lower=0.7, ahead=0.0)))
    assert "turned by 180 degrees, or shifted sideways as for a screen" in problem.sentence


def test_pairs_and_depth_that_are_turned_or_mirrored_are_named(tmp_path):
    """By the true depth, which may be turned with its pictures or stay; by EXIF; never as shifted or uncalibrated."""
    scene = np.random.default_rng(0).uniform(2, 12, (4, 6))
    across = cv2.resize(np.linspace(0, 8, 4)[:, None] + scene / 2, (240, 120), interpolation=cv2.INTER_NEAREST)
    wall, (x, y) = pairs.texture(1, (160, 300)), np.meshgrid(np.arange(240) + 20.0, np.arange(120) + 20.0)
    right = cv2.remap(wall, x.astype(np.float32), y.astype(np.float32), cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8)
    column, row = np.meshgrid(np.arange(240.0), np.arange(120.0))
    left = cv2.remap(right, (column - across).astype(np.float32), row.astype(np.float32), cv2.INTER_CUBIC)
    depth = (24 / across).astype(np.float32)  # of the left picture, which shows each point `across` further right
    same, turn, mirror, flip = (), (0, 1), (1,), (0,)
    for pictures, truth, words in (
        (same, same, None),
        (turn, same, "both pictures turned by 180 degrees"),
        (turn, turn, "both pictures turned by 180 degrees"),
        (mirror, same, "both pictures mirrored left to right"),
        (mirror, mirror, "left and right swapped (or both mirrored)"),
        (same, turn, "true depth that is turned by 180 degrees against its picture"),
        (same, mirror, "true depth that is mirrored left to right"),
        (same, flip, "true depth that is upside down"),
    ):
        for n in range(3):
            for name, picture in (("left", left), ("right", right)):
                (tmp_path / name).mkdir(exist_ok=True)
                cv2.imwrite(str(tmp_path / name / f"{n}.png"), np.flip(picture, pictures) if pictures else picture)
            (tmp_path / "depth").mkdir(exist_ok=True)
            np.save(tmp_path / "depth" / f"{n}.npy", np.flip(depth, truth) if truth else depth)
        (tmp_path / "calibration.json").write_text('{"focal": [1, 2], "baseline_m": 0.1}')
        told = [problem.sentence for problem in problems(checked(tmp_path))]
        assert len(told) == (words is not None), (words, told)
        assert all(words in sentence for sentence in told), (words, told)


def test_depth_of_squares_that_lies_on_its_side_is_guessed(tmp_path):
    """By edges, over several items: no size shows it. Depth as it should be, and of other pictures, passes."""
    rng = np.random.default_rng(0)
    ways = {"": lambda z: z, "90 degrees clockwise": lambda z: np.rot90(z, -1), "by 180": lambda z: np.rot90(z, 2)}
    ways |= {"90 degrees and mirrored": lambda z: z.T, "upside down": np.flipud, "nothing": None}
    shapes = []
    for _ in range(7):
        picture, depth = np.full((96, 96), 0.5), np.full((96, 96), 9.0)
        for _ in range(6):
            top, left, height, width = rng.integers((0, 0, 8, 8), (70, 70, 40, 40))
            there = np.s_[top : top + height, left : left + width]
            picture[there], depth[there] = rng.uniform(0.1, 0.9), rng.uniform(2, 8)
        shapes.append((picture + 0.05 * rng.standard_normal((96, 96)), depth))
    for word, way in ways.items():
        measured = []
        for number, (picture, depth) in enumerate(shapes):
            placed = shapes[number - 1][1] if way is None else way(depth)
            sample = single(picture, placed)
            measured.append(measure(sample))
        for several in (measured, measured[:3]):
            said = " ".join(problem.sentence for problem in problems(Inspection("x", 7, (), tuple(several))))
            told = "items may have true depth that is" in said and word in said
            assert told == (several is measured and word not in ("", "nothing")), (word, said)


def test_points_that_hardly_move_tell_nothing_of_how_depth_lies():
    """Far things above, near ones without texture below: turned upside down, one factor would explain the far ones."""
    sure = np.random.default_rng(0).uniform(3, 30, (30, 200))  # a stripe of which the truth expects what is not there
    for moves, far, near, stripe in ((1.0, 0.9, 9.0, None), (2.2, 1.9, 40.0, None), (2.2, 1.9, 40.0, sure)):
        picture = np.vstack([pairs.texture(0, (60, 200))[..., 0] / 255, np.full((60, 200), 0.5)])
        expected = np.repeat([far, near], 60)[:, None].repeat(200, 1)
        if stripe is not None:
            expected[30:60] = stripe
        other = cv2.warpAffine(picture, np.float32([[1, 0, -moves], [0, 1, 0]]), (200, 120), flags=cv2.INTER_CUBIC)
        measured = measure(stereo(picture, other, 200 * 0.1 / expected)).pair
        assert measured is not None
        assert measured.matches > 30
        assert measured.fit == "", (moves, far, near)


def test_distances_along_the_ray_are_told_from_z_that_one_corner_contradicts():
    """Points in the middle and in a corner, which moved further than its true depth says: that proves no distances."""
    (height, width), wall = (96, 160), pairs.texture(0, (96, 220))[..., 0] / 255
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    ray = np.hypot(1, np.hypot(x + 0.5 - width / 2, y + 0.5 - height / 2) / (width / 2))
    disparity = np.where(y < height / 2, 6.0, 9.0).astype(np.float32)
    corner, middle = (x > 125) & (y > 70), (np.abs(x - width / 2) < 28) & (np.abs(y - height / 2) < 28)
    for distances, everywhere, trend in ((False, True, 0), (True, True, 1), (False, False, None), (True, False, None)):
        picture = cv2.remap(wall, x + 30, y, cv2.INTER_CUBIC)
        picture = np.where(everywhere | corner | middle, picture, 0.5)
        moved = np.where(corner & (not everywhere), 1.35 * disparity, disparity)
        other = cv2.remap(picture, (x + moved).astype(np.float32), y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
        pair = measure(stereo(picture, other, 0.5 * width * 0.1 / disparity * (ray if distances else 1), 0.5)).pair
        assert math.isnan(pair.trend) if trend is None else pair.trend == pytest.approx(trend, abs=0.1)


def test_pairs_whose_depth_is_the_distance_along_the_ray_are_named_and_no_others():
    def trends(*values: float, **other: float) -> Inspection:
        return seen(*(replace(GOOD, trend=value, **other) for value in values))

    nan = math.nan
    for values, names in (
        ((0.0, 0.1, nan, -0.1), ()),
        ((1.0, 1.1, nan, 0.9, 0.0), ("0", "1", "3")),  # most are wrong: others are not named with them
        ((0.0, 1.06, 1.13, 0.1, 0.0, 0.0), ("1", "2")),  # a few among good ones
        ((0.0, 0.6, 0.1), ()),  # not far enough off for a single one
        ((0.6, 0.9, 1.0), ("0", "1", "2")),
        ((0.0, -1.0, 0.1), ("1",)),
    ):
        told = problems(trends(*values))
        assert [problem.kind for problem in told] == ["distance"] * bool(names), values
        assert all(problem.names == names for problem in told), values
    assert kinds(trends(1.0, 1.1, nan, factor=1.3, ray=1.25)) == ["distance"]  # explains the factors too
    assert kinds(trends(-1.0, -1.1, nan, factor=0.8, ray=1.25)) == ["distance"]
    assert kinds(trends(1.0, 1.1, nan, factor=2.0, ray=1.25)) == ["calibration", "distance"]
    assert kinds(trends(0.0, 0.1, nan, factor=1.3, ray=1.25)) == ["calibration"]


def stereo(picture: np.ndarray, other: np.ndarray, depth: np.ndarray, focal: float = 1.0) -> Sample:
    """A pair of pictures 0.1 apart, and the depth of the left one."""
    sample, pose = single(picture, depth), torch.eye(4)[None].clone()
    pose[0, 0, 3] = -0.1
    camera = Pinhole(torch.tensor([[focal, focal * picture.shape[1] / picture.shape[0]]]), torch.full((1, 2), 0.5))
    second = view(single(other, depth).target.image, camera, pose)
    return replace(sample, target=view(sample.target.image, camera), sources=(second,))


def single(picture: np.ndarray, depth: np.ndarray) -> Sample:
    """A picture without a second view, and its depth."""
    image, plane = (torch.from_numpy(np.ascontiguousarray(x)).float()[None, None] for x in (picture, depth))
    camera = Pinhole(torch.ones(1, 2), torch.full((1, 2), 0.5))
    return Sample(view(image.clamp(0, 1).expand(1, 3, -1, -1), camera), (), plane, name=("x",))


def test_pairs_that_exif_turns_by_180_degrees_in_vain_are_named(tmp_path):
    for n in range(2):
        for name, picture in zip(("left", "right"), pairs.left_and_right(n), strict=True):
            marks = Image.Exif()
            marks[274] = 3
            (tmp_path / name).mkdir(exist_ok=True)
            Image.fromarray(picture[..., ::-1]).save(tmp_path / name / f"{n}.png", exif=marks)
    (tmp_path / "calibration.json").write_text('{"focal": [1, 2], "baseline_m": 0.1}')
    (problem,) = problems(checked(tmp_path))
    assert (problem.kind, problem.names) == ("turned", ("0", "1"))
    assert "remove a wrong EXIF orientation" in problem.sentence


def test_depth_too_small_to_be_one_is_unknown_and_counted(tmp_path):
    """Of arrays never filled, or of another order of bytes: unknown for every reader, and a map of nothing else too."""
    pairs.write_depth(pairs.write_pairs(tmp_path))
    depth = np.load(tmp_path / "depth" / "000.npy")
    clean = checked(tmp_path)
    for kind, tiny in (("<f4", 1e-39), (">f4", 1e-20), ("<f8", 5e-324), ("<f8", 1e-13), ("<f4", -0.0)):
        odd = depth.astype(kind)
        odd[60:64, 20:200] = tiny
        np.save(tmp_path / "depth" / "000.npy", odd)
        seen = checked(tmp_path)
        assert kinds(seen) == [], tiny
        assert seen.measured[0].pair.factor == pytest.approx(clean.measured[0].pair.factor, abs=0.03)
        assert dict(rows(seen))["unknown"].startswith("720 pixels in 1 items"), tiny
        np.save(tmp_path / "depth" / "000.npy", np.full_like(odd, tiny))
        seen = checked(tmp_path)
        assert kinds(seen) == ["blank"], tiny
        assert dict(rows(seen))["unknown"].startswith(f"{depth.size} pixels in 1 items"), tiny
    np.save(tmp_path / "depth" / "000.npy", np.where(np.arange(240) < 50, 1e-11, depth).astype(np.float32))
    assert all(
        one.pair.trend == pytest.approx(0, abs=0.3) or math.isnan(one.pair.trend) for one in checked(tmp_path).measured
    )


def test_constant_and_dark_pictures_are_caught(tmp_path):
    pairs.write_pairs(tmp_path)
    cv2.imwrite(str(tmp_path / "left" / "000.png"), np.full((pairs.H, pairs.W, 3), 90, np.uint8))
    dark = pairs.left_and_right(1)[1] // 16
    cv2.imwrite(str(tmp_path / "right" / "001.png"), dark)
    found = {problem.kind: problem.names for problem in problems(checked(tmp_path))}
    assert found["constant"] == ("000",)
    assert found["dark"] == ("001",)
    assert dict(rows(checked(tmp_path)))["constant, dark"] == "33.3%, 33.3%"


def test_one_picture_twice_is_caught(tmp_path):
    pairs.write_pairs(tmp_path)
    (tmp_path / "right" / "002.png").write_bytes((tmp_path / "left" / "002.png").read_bytes())
    (problem,) = problems(checked(tmp_path))
    assert (problem.kind, problem.names) == ("same", ("002",))


@pytest.mark.parametrize("factor", [0.5, 1000.0])
def test_calibration_that_the_truth_contradicts_is_caught(tmp_path, factor):
    pairs.write_depth(pairs.write_pairs(tmp_path), factor=factor)
    (problem,) = problems(checked(tmp_path))
    assert problem.kind == "calibration"
    assert len(problem.names) == 3


def test_truth_that_is_exact_is_not_called_wrong(tmp_path):
    """Windows repeat in this small street, and many of its matches are off by a third of a pixel to one side."""
    with pytest.raises(SystemExit):
        cli.main(["render", "street", str(tmp_path), "--count=1", "--seed=4", "--size=96x128", "--workers=1"])
    seen_ = examine("street", FolderDataset(tmp_path), 1)
    assert kinds(seen_) == []
    assert seen_.measured[0].pair.factor == pytest.approx(1, abs=0.1)


def test_calibration_of_a_single_pair_must_be_further_off_than_that_of_all():
    slightly, badly = replace(GOOD, factor=1.2), replace(GOOD, factor=0.7)
    assert kinds(seen(GOOD, GOOD, slightly)) == []
    assert kinds(seen(slightly, slightly, GOOD)) == kinds(seen(slightly)) == ["calibration"]
    (problem,) = problems(seen(GOOD, GOOD, badly, replace(GOOD, factor=-1.0)))
    assert problem.names == ("2", "3")


def test_truth_at_the_end_of_its_file_is_told_and_takes_no_part(tmp_path):
    pairs.write_pairs(tmp_path)
    (tmp_path / "depth").mkdir()
    counts = np.repeat(1000 * pairs.W * 0.1 / pairs.disparity()[:, None], pairs.W, 1)
    counts[: pairs.H // 2] = 70000  # not known there, or so far
    text = '{"focal": [1, 2], "baseline_m": 0.1, "depth_scale": 0.001}'
    (tmp_path / "calibration.json").write_text(text)
    for n in range(3):
        cv2.imwrite(str(tmp_path / "depth" / f"{n:03d}.png"), counts.clip(max=65535).astype(np.uint16))
    (problem,) = problems(checked(tmp_path))
    assert (problem.kind, len(problem.names)) == ("saturated", 3)
    assert "65535, the largest count" in problem.sentence
    assert "50.0%" in problem.sentence
    depth = FolderDataset(tmp_path)[0].depth  # nor does it count for evaluation and training
    assert depth[0, 0, : pairs.H // 2].isnan().all()
    assert depth[0, 0, pairs.H // 2 :].isfinite().all()
    (tmp_path / "calibration.json").write_text(text.replace("0.001", "0.002"))  # what else is wrong is still seen
    assert kinds(checked(tmp_path)) == ["saturated", "calibration"]


def test_sparse_truth_judges_calibration_too(tmp_path):
    pairs.write_depth(pairs.write_pairs(tmp_path), factor=0.5)
    rng = np.random.default_rng(0)
    for path in (tmp_path / "depth").iterdir():
        depth = np.load(path)
        depth[rng.uniform(size=depth.shape) > 0.05] = np.nan  # as a laser scan leaves it
        np.save(path, depth)
    (problem,) = problems(checked(tmp_path))
    assert problem.kind == "calibration"
    assert checked(tmp_path).measured[0].pair.factor == pytest.approx(0.5, rel=0.05)


def test_pairs_of_different_places_are_caught(tmp_path):
    pairs.write_pairs(tmp_path)
    for n, name in enumerate(("000", "001", "002")):
        cv2.imwrite(str(tmp_path / "right" / f"{name}.png"), pairs.left_and_right(50 + n)[1])
    assert kinds(checked(tmp_path)) == ["unmatched"]


def test_damaged_items_are_counted_and_the_rest_is_looked_at(tmp_path):
    pairs.write_pairs(tmp_path, 5)
    (tmp_path / "right" / "000.png").unlink()
    (tmp_path / "left" / "001.png").write_bytes(b"")
    path = tmp_path / "left" / "002.png"
    path.write_bytes(path.read_bytes()[:4000])  # the header is whole
    trees.picture(tmp_path / "right" / "003.png", (50, 60))
    seen = checked(tmp_path)
    assert (seen.items, len(seen.damaged), [x.name for x in seen.measured]) == (5, 4, ["004"])
    (problem,) = problems(seen)
    assert problem.sentence.startswith("4 of 5 items cannot be read")
    for words in ("right/000.png; check the path", "left/001.png", "left/002.png is truncated", "60x50"):
        assert any(words in sentence for sentence in seen.damaged)


def test_items_looked_at_are_spread_over_all(tmp_path):
    pairs.write_pairs(tmp_path, 7)
    seen = examine("mine", FolderDataset(tmp_path), 3)
    assert [x.name for x in seen.measured] == ["000", "002", "004"]
    assert dict(rows(seen))["items"] == "7, 0 damaged, 3 looked at"


def test_a_right_target_has_its_source_on_the_left(tmp_path):
    """What counts is the side that the pose says: KITTI's right pictures, and the mirror world."""
    sample = FolderDataset(pairs.write_pairs(tmp_path))[0]
    assert measure(mirror_sample(sample)).pair.across == pytest.approx(measure(sample).pair.across, abs=0.2)
    assert measure(mirror_sample(sample)).pair.behind < 0.05
    assert measure(flip_stereo(sample)).pair.across == pytest.approx(measure(sample).pair.across, abs=0.5)


def test_principal_points_that_differ_are_no_fault(tmp_path):
    """Middlebury's right camera has its own centre: disparity counts from infinity, not from the same column."""
    scene = trees.calibrated(tmp_path / "Piano")
    trees.pfm(scene / "disp0.pfm", np.full((pairs.H, pairs.W), 7.0))
    for name, image in zip(("im0", "im1"), pairs.left_and_right(0), strict=True):
        cv2.imwrite(str(scene / f"{name}.png"), image)
    size = f"width={pairs.W}\nheight={pairs.H}\n"
    (scene / "calib.txt").write_text(trees.CALIBRATION.replace("width=60\nheight=40\n", size))
    pair = measure(MiddleburyDataset(tmp_path)[0]).pair
    assert pair.across == pytest.approx(5 + 7, abs=1)


def test_videos_are_no_rectified_pairs(tmp_path):
    (sample,) = KittiRawDataset(trees.kitti_raw(tmp_path), sources="video")
    assert not any(is_rectified(sample.target, source) for source in sample.sources)
    one = measure(sample)
    assert one.pair is None
    assert len(one.light) == 3
    assert dict(rows(Inspection("x", 1, (), (one,))))["pairs"] == "none rectified"


def test_rounding_in_a_pose_leaves_a_pair_rectified(tmp_path):
    sample = FolderDataset(pairs.write_pairs(tmp_path))[0]
    source = sample.sources[0]
    rounded, turned = source.from_target.clone(), source.from_target.clone()
    rounded[0, 1, 2], rounded[0, 2, 3] = -3.7e-9, -2.4e-7
    turned[0, 1, 2] = 0.001
    assert is_rectified(sample.target, replace(source, from_target=rounded))
    assert not is_rectified(sample.target, replace(source, from_target=turned))


def test_the_truth_is_summed_up(tmp_path):
    pairs.write_depth(pairs.write_pairs(tmp_path))
    depth = np.load(tmp_path / "depth" / "000.npy")
    depth[0], depth[1] = np.nan, np.inf
    np.save(tmp_path / "depth" / "000.npy", depth)
    share, near, _, far = measure(FolderDataset(tmp_path)[0]).truth
    assert share == pytest.approx(1 - 1 / pairs.H)
    assert near == pytest.approx(depth[-1, 0])
    assert far == pytest.approx(depth[2, 0])
    assert math.isfinite(far)


def test_what_renderers_write_for_sky_is_infinitely_far(tmp_path):
    """Every number that means nothing was hit is `inf`, so nothing learns it as ground; `check` counts it apart."""
    pairs.write_pairs(tmp_path, 1)
    (tmp_path / "depth").mkdir()
    plain = np.repeat(pairs.W * 0.1 / pairs.disparity()[:, None], pairs.W, 1).astype(np.float32)

    def write(suffix: str, sky: float, kind: type = np.float32) -> None:
        depth = plain.copy()
        depth[:24] = sky
        path = tmp_path / "depth" / f"000{suffix}"
        for old in path.parent.iterdir():
            old.unlink()
        if suffix == ".exr":
            header = {"compression": OpenEXR.ZIPS_COMPRESSION, "type": OpenEXR.scanlineimage}
            OpenEXR.File(header, {"ViewLayer.Depth.Z": depth.astype(kind)}).write(str(path))
        elif suffix == ".npz":
            np.savez(path, depth=depth.astype(kind))
        else:
            write_plane(path, depth, "depth") if suffix == ".pfm" else np.save(path, depth.astype(kind))

    for suffix, sky, kind in [
        *((".npy", np.inf, np.float32), (".npy", 1e10, np.float32), (".npz", 1e30, np.float32)),
        *((".exr", 1e10, np.float32), (".exr", 3.4e38, np.float32), (".pfm", 65504, np.float32)),
        *((".pfm", 1e9, np.float32), (".npy", np.inf, np.float16), (".exr", 65504, np.float16)),
    ]:
        write(suffix, sky, kind)
        (item,) = examine("pairs", FolderDataset(tmp_path), 1).measured
        sample = FolderDataset(tmp_path)[0]
        expected = torch.from_numpy(plain.astype(kind).astype(np.float32))
        expected[:24] = torch.inf
        assert torch.equal(sample.depth[0, 0], expected), (suffix, sky, kind)
        assert item.sky == pytest.approx(24 / pairs.H)
    table = dict(rows(examine("pairs", FolderDataset(tmp_path), 1)))
    assert table["sky"] == "infinitely far in 1 of 1 items: 20.0% of their pixels (median)"
    assert "2.00 to 5.98 m" in table["depth"]
    far = plain.copy()  # a mountain in millimetres: 65504 is a number among others there
    far[0, :2] = 65504, 65505
    np.save(tmp_path / "depth" / "000.npy", far)
    assert FolderDataset(tmp_path)[0].depth[0, 0, 0, 0] == 65504
