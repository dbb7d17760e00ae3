"""Named protocols are frozen, and do what the evaluations they are named after do, to the pixel."""

from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from evaluation_parts import BASELINE, FOCAL, guess, item, laser

from cyclopean.data.make3d import scattered
from cyclopean.errors import InputError
from cyclopean.evaluation import PROTOCOLS, Candidate, Meaning, Protocol, judge, named_protocol
from cyclopean.evaluation.protocols import CROPS, EIGEN
from cyclopean.evaluation.tables import TITLES

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
}


def golden(name: str) -> dict[str, np.ndarray]:
    with np.load(GOLDEN / f"{name}.npz") as archive:
        return {key: archive[key] for key in archive.files}


def of(depth: np.ndarray, name: str = "given") -> Candidate:
    """A metric candidate that says `depth` whatever it sees."""
    return Candidate(name, "metric", lambda _: 1 / torch.from_numpy(depth.astype(np.float32))[None, None])


def figures(candidate: Candidate, depth: np.ndarray, protocol: Protocol, alignment: str) -> dict[str, float]:
    found = judge(candidate, item(depth), 80.0, protocol)
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


def test_monodepths_d1_from_given_disparities():
    data = golden("kitti_eval_bits")
    width = data["gt_disp"].shape[1]
    seen = np.where(data["gt_disp"] > 0, data["gt_disp"], np.nan)
    truth = FOCAL * width * BASELINE / seen
    meaning = Meaning("disparity_px")
    given = torch.from_numpy(data["pred_disp"].astype(np.float32))[None, None]
    model = Candidate("given", "metric", lambda sample: meaning.inverse_depth(given, sample))
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
    small = Candidate("small", "metric", lambda _: torch.tensor([[[[1.0, 1 / 3]]]]))  # 1 m beside 3 m
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
