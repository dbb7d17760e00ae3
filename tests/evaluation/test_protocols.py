"""Named protocols are frozen, and do what the evaluations they are named after do, to the pixel."""

from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from evaluation_parts import BASELINE, FOCAL, Items, guess, item, laser

from cyclopean.data.indoor import scattered
from cyclopean.errors import InputError
from cyclopean.evaluation.entries import Entry, open_entry
from cyclopean.evaluation.evaluate import evaluate_variants, judge
from cyclopean.evaluation.predictions import Meaning
from cyclopean.evaluation.protocols import EIGEN, PROTOCOLS, Protocol, named_protocol
from cyclopean.evaluation.report import TITLES
from cyclopean.geometry import Pinhole
from cyclopean.metrics import CROPS
from cyclopean.sample import Sample, view

GOLDEN = Path(__file__).parents[1] / "golden"
FINGERPRINTS = {
    "open-1 None": "1c9f728d1c1c",
    "kitti-eigen-raw 80.0": "2df616c965d0",
    "kitti-eigen-raw 50.0": "fe4c6fd6a63e",
    "kitti-eigen-improved 80.0": "459e5ce83dfb",
    "kitti-eigen-clamped 80.0": "75a6d4a560bb",
    "kitti-2015 80.0": "223d20faf7c1",
    "make3d-c1 70.0": "b850f331acf2",
    "middlebury None": "55b550fc5255",
    "nyu 10.0": "7ec6af0d83bd",
    "worlds None": "744e0d481dad",
    "spherical 20.0": "545fa33c3e9a",
    "spherical 10.0": "2675db6a130d",
    "kitti-eigen-crop 80.0": "f58f0f3e8d49",
    "kitti-eigen-crop 50.0": "58a026f2d3ef",
    "kitti-eigen-uncropped 80.0": "910f7c54846d",
    "kitti-eigen-uncropped 50.0": "491e93880b21",
    "kitti-2015-by-width 80.0": "3d00d939f894",
    "make3d-c1-middle 70.0": "d6e3774e1aa5",
    "spherical-released 20.0": "abf01885322d",
    "depth-anywhere 10.0": "af7ee12ea4ef",
    "depth-anywhere-area 10.0": "c52d1af27930",
    "depth-anywhere-guarded 10.0": "26723ec5181e",
    "depth-anywhere-guarded-area 10.0": "3c035cbccae2",
}


def golden(name: str) -> dict[str, np.ndarray]:
    with np.load(GOLDEN / f"{name}.npz") as archive:
        return {key: archive[key] for key in archive.files}


def of(depth: np.ndarray, name: str = "given") -> Entry:
    """A metric entry that says `depth` whatever it sees."""
    return Entry(name, "metric", lambda _: 1 / torch.from_numpy(depth.astype(np.float32))[None, None])


def figures(entry: Entry, depth: np.ndarray, protocol: Protocol, alignment: str) -> dict[str, float]:
    found = judge(entry, item(depth), 80.0, protocol)
    return next(m.figures for m in found if m.alignment == alignment)


def test_no_protocol_changes_once_released():
    """A better rule gets a new name: who changes a value here makes old results incomparable without a sign of it."""
    assert {f"{v.name} {v.far}": v.fingerprint() for variants in PROTOCOLS.values() for v in variants} == FINGERPRINTS
    with pytest.raises(FrozenInstanceError):
        named_protocol("nyu")[0].far = 80.0  # type: ignore[misc]


def test_every_protocol_is_complete():
    assert set(PROTOCOLS) >= {
        "kitti-eigen-raw", "kitti-eigen-improved", "kitti-2015", "make3d-c1", "middlebury", "nyu", "worlds"
    }  # fmt: skip
    for name, variants in PROTOCOLS.items():
        for protocol in variants:
            assert protocol.name == name
            assert protocol.crop is None or protocol.crop in CROPS
            assert set(protocol.shown) <= set(TITLES)
            assert tuple(sorted(protocol.bands)) == protocol.bands
    assert [v.far for v in named_protocol("kitti-eigen-raw")] == [80, 50]
    with pytest.raises(InputError, match="did you mean 'kitti-2015'"):
        named_protocol("kitty-2015")


@pytest.mark.parametrize("cap", [80.0, 50.0])
@pytest.mark.parametrize("alignment", ["none", "median"])
def test_eigens_tables_by_numpy(cap, alignment):
    """1e-3 < truth < cap, both strict; Garg's crop as truncated; medians of what counts, before clipping."""
    depth, model = laser(1), guess(2, scale=1.4)
    protocol = next(p for p in named_protocol("kitti-eigen-raw") if p.far == cap)
    found = figures(model, depth, protocol, alignment)
    predicted = 1 / model.predict(item(depth))[0, 0].numpy().astype(np.float64)
    crop = np.zeros(depth.shape, bool)
    crop[153:371, 44:1197] = True
    counts = (depth > 1e-3) & (depth < cap) & crop
    gt, ours = depth[counts].astype(np.float64), predicted[counts]
    ours = ours * np.median(gt) / np.median(ours) if alignment == "median" else ours
    ours = np.clip(ours, 1e-3, cap)
    ratio = np.maximum(gt / ours, ours / gt)
    expected = {
        "abs_rel": np.mean(np.abs(gt - ours) / gt),
        "sq_rel": np.mean((gt - ours) ** 2 / gt),
        "rmse": np.sqrt(np.mean((gt - ours) ** 2)),
        "rmse_log": np.sqrt(np.mean((np.log(gt) - np.log(ours)) ** 2)),
        "delta1": np.mean(ratio < 1.25),
    }
    assert {key: found[key] for key in expected} == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("alignment", ["none", "median"])
def test_fal_nets_arithmetic(alignment):
    """Truth beyond 80 m is clamped and stays, depth below 1 m becomes 1 m: three figures move, as the arrays show."""
    data = golden("falnet_errors")
    truth = np.where(data["gt"] > 0, data["gt"], np.nan).reshape(20, 20)
    clamped = replace(named_protocol("kitti-eigen-clamped")[0], crop=None)  # the arrays have no picture around them
    found = figures(of(data["pred"].reshape(20, 20)), truth, clamped, alignment)
    expected = data["plain" if alignment == "none" else "median"]
    assert [found[key] for key in EIGEN] == pytest.approx(expected, rel=1e-5)
    left_out = figures(of(data["pred"].reshape(20, 20)), truth, replace(clamped, beyond="left out"), alignment)
    assert left_out["rmse"] != pytest.approx(found["rmse"], rel=1e-3)


def test_monodepth2s_arithmetic():
    data = golden("md2_errors")
    kept = replace(named_protocol("kitti-eigen-improved")[0], far=1e4)  # the arrays are not clipped
    found = figures(of(data["pred"].reshape(20, 25)), data["gt"].reshape(20, 25), kept, "none")
    assert [found[key] for key in EIGEN] == pytest.approx(data["errors"], rel=1e-5)


def test_depth_anywheres_arithmetic():
    data = golden("da_depth_metrics")
    rules = Protocol("x", 0.0, 10.0, "clamped", 0.1, shown=("abs_rel", "mae", "log10"))
    found = figures(of(data["pred"].reshape(15, 20)), data["gt"].reshape(15, 20), rules, "none")
    keys = (
        "abs_rel",
        "mae",
        "mae",
        "abs_rel",
        "sq_rel",
        "rmse",
        "rmse_log10_1p",
        "log10",
        "delta1",
        "delta2",
        "delta3",
    )
    assert [found[key] for key in keys] == pytest.approx(data["median_align_false"], rel=1e-5)
    lower = replace(rules, medians="counted, lower")
    found = figures(of(data["pred"].reshape(15, 20)), data["gt"].reshape(15, 20), lower, "median")
    assert [found[key] for key in keys] == pytest.approx(data["median_align_true"], rel=1e-5)


def test_monodepths_d1_from_given_disparities():
    data = golden("kitti_eval_bits")
    width = data["gt_disp"].shape[1]
    seen = np.where(data["gt_disp"] > 0, data["gt_disp"], np.nan)
    truth = FOCAL * width * BASELINE / seen
    meaning = Meaning("disparity_px")
    given = torch.from_numpy(data["pred_disp"].astype(np.float32))[None, None]
    model = Entry("given", "metric", lambda sample: meaning.inverse_depth(given, sample))
    found = figures(model, truth, named_protocol("kitti-2015")[0], "none")
    assert 100 * found["d1"] == pytest.approx(float(data["d1_all_percent"]), abs=1e-6)


def test_d1_is_of_disparity_as_predicted_and_far_truth_stays():
    """Monodepth's KITTI 2015: depth is clipped to 80 m for AbsRel but not for D1, and truth beyond 80 m counts."""
    width = 200
    truth = np.full((4, width), FOCAL * BASELINE * width / 0.5)  # 0.5 px: 125 m
    model = of(np.full((4, width), FOCAL * BASELINE * width / 3.6))  # 3.6 px: 17.4 m
    protocol = replace(named_protocol("kitti-2015")[0], far=10.0)  # 10 m would be 6.3 px
    found = figures(model, truth, protocol, "none")
    assert found["epe"] == pytest.approx(3.1, rel=1e-4)
    assert found["d1"] == 1
    assert found["abs_rel"] == pytest.approx(1 - 10 / truth[0, 0], rel=1e-5)
    clipped = figures(model, truth, replace(protocol, disparity="clipped"), "none")
    assert clipped["epe"] == pytest.approx(FOCAL * BASELINE * width / 10 - 0.5, rel=1e-4)


def test_the_improved_benchmark_has_no_crop_and_keeps_far_truth():
    depth = np.full((375, 1242), 85.0)
    depth[200:, :] = 10
    (found,) = (m for m in judge(guess(), item(depth), 80.0, named_protocol("kitti-eigen-improved")[0]) if
                m.alignment == "none")  # fmt: skip
    assert found.pixels == depth.size
    raw = judge(guess(), item(depth), 80.0, named_protocol("kitti-eigen-raw")[0])
    assert raw[0].pixels == (371 - 200) * (1197 - 44)


def test_nyu_averages_depths_and_others_inverse_depths():
    truth = np.full((480, 640), 2.0)
    small = Entry("small", "metric", lambda _: torch.tensor([[[[1.0, 1 / 3]]]]))  # 1 m beside 3 m
    middle = item(truth)
    middle.depth[:] = torch.nan
    middle.depth[..., 100, 319:321] = 2.0
    nyu = judge(small, middle, 10.0, named_protocol("nyu")[0])[0]
    other = judge(small, middle, 10.0, replace(named_protocol("nyu")[0], resized="inverse depth"))[0]
    assert nyu.figures["abs_rel"] < 0.01
    assert other.figures["abs_rel"] == pytest.approx(0.25, abs=0.01)  # 1 / mean(1, 1/3) = 1.5 m


def test_make3d_judges_the_middle_rows_and_predictions_of_them_alone():
    rng = np.random.default_rng(0)
    depth = rng.uniform(2, 60, (55, 30))
    protocol = named_protocol("make3d-c1")[0]
    whole = judge(of(depth), item(depth), 70.0, protocol)[0]
    assert whole.pixels == 21 * 30
    assert whole.figures["abs_rel"] == pytest.approx(0, abs=1e-6)
    alone = replace(of(depth[17:38]), covers="crop")
    assert judge(alone, item(depth), 70.0, protocol)[0].figures["abs_rel"] == pytest.approx(0, abs=1e-6)
    assert judge(of(depth[17:38]), item(depth), 70.0, protocol)[0].figures["abs_rel"] > 0.1
    assert {"log10", "rmse_log10"} <= set(whole.figures)


def test_make3ds_crop_holds_21_rows_of_readings_at_the_pictures_own_size():
    depth = scattered(np.full((55, 305), 9.0, np.float32), (2272, 1704))[0, 0]
    rows, columns = CROPS["make3d"]((2272, 1704))
    assert int(depth[rows, columns].isfinite().sum()) == 21 * 305
    assert (rows.stop - rows.start) / 1704 == pytest.approx(0.5, abs=0.02)


def seven(gt: np.ndarray, ours: np.ndarray, weight: np.ndarray | float = 1.0) -> dict[str, float]:
    """Figures of Eigen et al. once more, in numpy; `weight` of each pixel, divided by how many there are."""
    ratio = np.maximum(gt / ours, ours / gt)
    return {
        "abs_rel": np.mean(weight * np.abs(gt - ours) / gt),
        "sq_rel": np.mean(weight * (gt - ours) ** 2 / gt),
        "rmse": np.sqrt(np.mean(weight * (gt - ours) ** 2)),
        "rmse_log": np.sqrt(np.mean(weight * (np.log(gt) - np.log(ours)) ** 2)),
        **{f"delta{n}": np.mean(ratio < 1.25**n) for n in (1, 2, 3)},
    }


@pytest.mark.parametrize(("name", "rows", "columns"), [
    ("kitti-eigen-crop", slice(124, 342), slice(44, 1197)),
    ("kitti-eigen-uncropped", slice(0, 375), slice(0, 1242)),
])  # fmt: skip
def test_eigens_own_crop_and_none(name, rows, columns):
    depth, model = laser(4), guess(5, scale=0.8)
    predicted = 1 / model.predict(item(depth))[0, 0].numpy().astype(np.float64)[rows, columns]
    inside = depth[rows, columns].astype(np.float64)
    for protocol in named_protocol(name):
        counts = (inside > 1e-3) & (inside < protocol.far)
        gt, ours = inside[counts], predicted[counts]
        for alignment, times in (("none", 1.0), ("median", np.median(gt) / np.median(ours))):
            expected = seven(gt, np.clip(ours * times, 1e-3, protocol.far))
            found = figures(model, depth, protocol, alignment)
            assert {key: found[key] for key in expected} == pytest.approx(expected, rel=1e-5), (name, alignment)


def test_kitti_2015_by_width():
    """Monodepth's: disparities of both, a focal length by width and 0.54 m, whatever the pair's calibration says."""
    protocol = named_protocol("kitti-2015-by-width")[0]
    rng = np.random.default_rng(3)
    for width, focal in ((1242, 721.5377), (1241, 718.856), (1224, 707.0493), (1238, 718.3351)):
        truth_px, ours_px = rng.uniform(3, 120, (2, 4, width))
        truth_px[0] = np.nan
        given = torch.from_numpy((ours_px / width).astype(np.float32))[None, None]
        model = Entry("given", "metric", lambda sample, given=given: Meaning("disparity").inverse_depth(given, sample))
        found = figures(model, FOCAL * width * BASELINE / truth_px, protocol, "none")
        seen = np.isfinite(truth_px)
        gt, ours = focal * 0.54 / truth_px[seen], focal * 0.54 / ours_px[seen]
        off = np.abs(truth_px - ours_px)[seen]
        expected = {**seven(gt, np.clip(ours, 1e-3, 80)), "d1": np.mean((off >= 3) & (off / truth_px[seen] >= 0.05))}
        assert {key: found[key] for key in expected} == pytest.approx(expected, rel=1e-4), width
    with pytest.raises(InputError, match=r"1226 pixels wide.*use the protocol kitti-2015"):
        judge(of(np.full((4, 1226), 9.0)), item(np.full((4, 1226), 9.0)), 80.0, protocol)
    with pytest.raises(InputError, match="no rectified pair"):
        judge(of(np.full((4, 1242), 9.0)), item(np.full((4, 1242), 9.0), paired=False), 80.0, protocol)


def test_by_width_of_cameras_whose_centres_differ():
    """The right camera looks a little to the side: its disparities are of the pair as it is."""
    width, shift = 1242, 0.01
    sample = item(np.full((4, width), 20.0))
    there = sample.sources[0]
    off = Pinhole(there.camera.focal, there.camera.center + torch.tensor([[shift, 0.0]]))
    sample = replace(sample, sources=(replace(there, camera=off),))
    px = width * (FOCAL * BASELINE / 20 - shift)
    twice = Entry("twice", "metric", lambda s: 2 / s.depth)
    found = judge(twice, sample, 80.0, named_protocol("kitti-2015-by-width")[0])[0].figures
    gt = 721.5377 * 0.54 / px
    ours = 721.5377 * 0.54 / (width * (2 * FOCAL * BASELINE / 20 - shift))
    assert found["abs_rel"] == pytest.approx(abs(ours - gt) / gt, rel=1e-4)
    assert found["epe"] == pytest.approx(width * FOCAL * BASELINE / 20, rel=1e-4)


def test_models_see_the_middle_of_make3d_and_it_is_laid_onto_the_crop():
    """The middle 852 of 2272 rows, twice as wide as high; what is made of them stands for the 21 rows of readings."""
    readings = np.random.default_rng(1).uniform(2, 69, (55, 305)).astype(np.float32)
    sample = item(scattered(readings, (2272, 1704))[0, 0], paired=False)
    picture = torch.linspace(0, 1, 2272)[None, None, :, None].expand(1, 3, 2272, 1704)
    sample = replace(sample, target=view(picture, sample.target.camera))
    shown = []

    def look(given: Sample) -> torch.Tensor:
        shown.append(given.target.image)
        return torch.linspace(0.02, 0.12, 852)[None, None, :, None].expand(1, 1, 852, 1704)

    model = Entry("looks", "metric", look, covers="seen")
    middle, whole = (named_protocol(name)[0] for name in ("make3d-c1-middle", "make3d-c1"))
    found = judge(model, sample, 70.0, middle)[0].figures
    assert torch.equal(shown[0], picture[..., 710:1562, :])
    rows = (np.arange(17, 38) + 0.5) / 55 * 2272  # of the readings, from 702 to 1569 of the picture
    said = 0.02 + 0.1 * ((rows.astype(int) + 0.5 - 702) / 867 * 852 - 0.5) / 851
    expected = seven(readings[17:38].astype(np.float64), np.repeat(1 / said[:, None], 305, 1))
    assert {key: found[key] for key in expected} == pytest.approx(expected, rel=1e-4)
    # both protocols at once: each part is shown once; maps of files cover the picture, as ever
    shown.clear()
    both = evaluate_variants([model], Items(sample, far=70.0), [0], [whole, middle, middle])
    assert [image.shape[-2] for image in shown] == [2272, 852]
    assert both[1][0][0].figures == both[2][0][0].figures == found
    assert both[0][0][0].figures["abs_rel"] != pytest.approx(found["abs_rel"], rel=1e-3)
    assert open_entry("general").covers == "seen"
    filed = of(sample.depth[0, 0].nan_to_num(9.0).numpy())
    assert judge(filed, sample, 70.0, middle)[0].figures["abs_rel"] == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("name", [name for name in PROTOCOLS if name.startswith("depth-anywhere")])
def test_depth_anywheres_two_alignments(name):
    """Least squares of disparity, inverted, negative ones to 0 (guarded: to 10 m) and all to at most 10 m; then by
    torch's medians; then both within 0.1 m and 10 m."""
    rng = np.random.default_rng(6)
    depth = rng.uniform(0.5, 14, (64, 128))
    depth[10], depth[:, 3] = np.nan, 9.9
    depth[20:22, :8] = 0.06  # counts as 0.1 m, but only once predictions are aligned
    disparity = 3 / depth + rng.normal(0, 0.4, depth.shape) + 1
    disparity[:, 3] = -4  # below 0 after the fit
    model = Entry("d", "affine", lambda _: torch.from_numpy(np.nan_to_num(disparity, nan=1.0))[None, None])
    rows = slice(8, 56) if name.endswith("area") else slice(0, 64)
    counts = (depth[rows] > 0) & (depth[rows] < 10)
    gt, x = depth[rows][counts].astype(np.float32).astype(np.float64), disparity[rows][counts]
    a, b = np.linalg.lstsq(np.stack([x, np.ones_like(x)], 1), 1 / gt, rcond=None)[0]
    behind = a * x + b <= 0
    assert behind.sum() > 20
    ours = np.clip(1 / (a * x + b), 0, 10)
    ours[behind] = 10 if "guarded" in name else 0
    low = (len(gt) - 1) // 2
    ours = np.clip(ours * np.sort(gt)[low] / np.sort(ours)[low], 0.1, 10)
    gt = np.clip(gt, 0.1, 10)
    expected = seven(gt, ours)
    del expected["rmse_log"]
    expected |= {
        "mae": np.mean(np.abs(gt - ours)),
        "log10": np.mean(np.abs(np.log10(ours / gt))),
        "rmse_log10_1p": np.sqrt(np.mean((np.log10(gt + 1) - np.log10(ours + 1)) ** 2)),
    }
    protocol = named_protocol(name)[0]
    found = {m.alignment: m.figures for m in judge(model, item(depth, paired=False), 80.0, protocol)}
    assert {key: found["affine-median"][key] for key in expected} == pytest.approx(expected, rel=1e-4)
    assert set(found) == {"none", "median", "affine", "affine-median"}
    if "guarded" not in name:
        assert found["affine"]["abs_rel"] < found["affine-median"]["abs_rel"]  # floored at 10 m, not thrown to 0.1 m
