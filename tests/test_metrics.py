"""Figures and alignments against the released evaluations' numbers and plain numpy."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch

from cyclopean import metrics
from cyclopean.errors import InputError

GOLDEN = Path(__file__).parent / "golden"


def golden(name: str) -> dict[str, np.ndarray]:
    with np.load(GOLDEN / f"{name}.npz") as archive:
        return {key: archive[key] for key in archive.files}


def random_depths(n: int = 101) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(3)
    truth = rng.uniform(0.5, 60, n)
    return torch.from_numpy(truth * rng.lognormal(0, 0.3, n)), torch.from_numpy(truth)


def test_errors_match_monodepth2():
    data = golden("md2_errors")
    errors = asdict(metrics.depth_errors(torch.from_numpy(data["pred"]), torch.from_numpy(data["gt"])))
    assert str(data["order"]) == "abs_rel,sq_rel,rmse,rmse_log,a1,a2,a3"
    assert np.allclose([float(e) for e in errors.values()], data["errors"], rtol=0, atol=1e-10)


def test_deltas_are_strict():
    errors = metrics.depth_errors(torch.tensor([1.25, 1.0, 1.5625]), torch.ones(3))
    assert float(errors.delta1) == pytest.approx(1 / 3)
    assert float(errors.delta2) == pytest.approx(2 / 3)


def test_crops_match_the_release_to_the_pixel():
    data = golden("kitti_eval_bits")
    for crop, size, key in [
        (metrics.garg_crop, (375, 1242), "garg_crop_375x1242"),
        (metrics.eigen_crop, (375, 1242), "eigen_crop_375x1242"),
        (metrics.garg_crop, (370, 1224), "garg_crop_370x1224"),
    ]:
        rows, columns = crop(size)
        assert [rows.start, rows.stop, columns.start, columns.stop] == data[key].tolist()


def test_d1_matches_the_release():
    data = golden("kitti_eval_bits")
    truth, predicted = torch.from_numpy(data["gt_disp"]), torch.from_numpy(data["pred_disp"])
    known = truth > 0
    assert float(metrics.d1(predicted[known], truth[known])) * 100 == pytest.approx(
        float(data["d1_all_percent"]), abs=1e-9
    )


def test_d1_counts_an_error_of_exactly_three_pixels():
    assert metrics.d1(torch.tensor([13.0, 12.99]), torch.tensor([10.0, 10.0])) == 0.5
    assert metrics.d1(torch.tensor([105.0, 104.9]), torch.tensor([100.0, 100.0])) == 0.5


def test_inverse_depth_becomes_depth_as_in_monodepth2():
    data = golden("md2_disp_to_depth")
    depth = metrics.to_depth(torch.from_numpy(data["scaled_disp"]).flatten())
    assert np.allclose(depth, data["depth"].ravel(), rtol=1e-5)
    assert metrics.to_depth(torch.tensor([0.0, -1.0])).isinf().all()


@pytest.mark.parametrize("n", [1, 2, 7, 8])
def test_middle_is_numpys_median(n):
    values = np.random.default_rng(n).normal(size=n)
    assert float(metrics.middle(torch.from_numpy(values))) == np.median(values)


@pytest.mark.parametrize("n", [100, 101])
def test_median_alignment_is_numpys(n):
    depth, truth = random_depths(n)
    expected = depth.numpy() * np.median(truth.numpy()) / np.median(depth.numpy())
    assert np.allclose(metrics.align_median(depth, truth), expected, rtol=1e-14)
    assert np.allclose(metrics.align_median(7 * depth, truth), expected, rtol=1e-12)


def test_median_alignment_survives_infinite_depths():
    truth = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0])
    few = metrics.align_median(torch.tensor([2.0, 4.0, 6.0, torch.inf, torch.inf]), truth)
    assert few.tolist() == [1, 2, 3, torch.inf, torch.inf]
    assert metrics.align_median(torch.full((5,), torch.inf), truth).isinf().all()


def affine(inverse_depth, truth, far):
    return metrics.affine_depth(inverse_depth, metrics.affine_fit(inverse_depth, truth), far)


def test_affine_alignment_is_numpys_least_squares():
    depth, truth = random_depths()
    prediction = 3 / depth.numpy() - 0.4
    a, b = np.linalg.lstsq(np.stack([prediction, np.ones_like(prediction)], 1), 1 / truth.numpy(), rcond=None)[0]
    expected = 1 / np.maximum(a * prediction + b, 1 / 80)
    assert np.allclose(affine(torch.from_numpy(prediction), truth, 80.0), expected, rtol=1e-9)


def test_affine_alignment_recovers_the_truth_and_floors_at_far():
    _, truth = random_depths()
    assert torch.allclose(affine(5 / truth + 2, truth, 80.0), truth)
    assert affine(5 / truth + 2, truth, 20.0).max() == pytest.approx(20)


def test_a_constant_becomes_the_harmonic_mean():
    _, truth = random_depths()
    aligned = affine(torch.ones_like(truth), truth, 80.0)
    assert torch.allclose(aligned, torch.full_like(truth, float(1 / (1 / truth).mean())))


def test_only_known_truth_between_near_and_far_counts():
    truth = torch.tensor([[torch.nan, torch.inf, 0.1, 0.2], [19.9, 20.0, 5.0, 5.0]])
    expected = [[False, False, False, True], [True, False, True, True]]
    assert metrics.countable(truth, 0.1, 20.0).tolist() == expected
    assert metrics.countable(truth, 0.1, 20.0, (slice(1, 2), slice(0, 3))).tolist() == [
        [False] * 4,
        [True, False, True, False],
    ]


def test_no_known_pixel_is_refused():
    with pytest.raises(InputError, match="no pixel"):
        metrics.depth_errors(torch.ones(0), torch.ones(0))


@pytest.mark.parametrize("key", ["plain", "median"])
def test_errors_match_fal_nets_which_clamps_truth_too(key):
    data = golden("falnet_errors")
    known = data["gt"] > 0
    depth, truth = torch.from_numpy(data["pred"][known]), torch.from_numpy(data["gt"][known])
    aligned = metrics.align_median(depth, truth) if key == "median" else depth
    errors = asdict(metrics.depth_errors(aligned.clamp(1, 80), truth.clamp(1, 80)))
    assert np.allclose([float(e) for e in errors.values()], data[key], rtol=0, atol=1e-9)
    kept = truth < 80  # what Monodepth2 would do with the same arrays
    left_out = metrics.depth_errors(aligned.clamp(1, 80)[kept], truth[kept])
    assert abs(float(left_out.abs_rel) - data[key][0]) > 1e-3


@pytest.mark.parametrize("align", [False, True])
def test_errors_match_depth_anywhere_whose_median_is_torchs(align):
    data = golden("da_depth_metrics")
    depth, truth = torch.from_numpy(data["pred"]).double(), torch.from_numpy(data["gt"]).double()
    numpys = metrics.align_median(depth, truth)
    aligned = metrics.align_median(depth, truth, metrics.lower_middle) if align else depth
    ours, clamped = aligned.clamp(0.1, 10), truth.clamp(0.1, 10)
    errors, more = metrics.depth_errors(ours, clamped), metrics.decimal_errors(ours, clamped)
    found = {
        "mre": errors.abs_rel, "mae": more.mae, "abs": more.mae, "abs_rel": errors.abs_rel, "sq_rel": errors.sq_rel,
        "rmse": errors.rmse, "rmse_log": more.rmse_log10_1p, "log10": more.log10,
        "a1": errors.delta1, "a2": errors.delta2, "a3": errors.delta3,
    }  # fmt: skip
    expected = data[f"median_align_{str(align).lower()}"]
    assert [float(found[str(name)]) for name in data["order"]] == pytest.approx(expected, rel=1e-5)
    other = metrics.depth_errors(numpys.clamp(0.1, 10), clamped)
    assert float(other.abs_rel) != pytest.approx(expected[3], rel=1e-5)


def test_three_figures_called_log10_differ():
    depth, truth = random_depths()
    more, natural = metrics.decimal_errors(depth, truth), metrics.depth_errors(depth, truth).rmse_log
    logs = np.log10(depth.numpy()) - np.log10(truth.numpy())
    assert float(more.log10) == pytest.approx(np.abs(logs).mean())
    assert float(more.rmse_log10) == pytest.approx(np.sqrt((logs**2).mean()))
    assert float(natural) == pytest.approx(float(more.rmse_log10) * np.log(10))
    plus = np.log10(1 + depth.numpy()) - np.log10(1 + truth.numpy())
    assert float(more.rmse_log10_1p) == pytest.approx(np.sqrt((plus**2).mean()))
    assert more.log10 < 0.9 * more.rmse_log10


def test_crops_of_the_lineages_differ():
    def numbers(crop: metrics.Crop) -> list[int]:
        return [crop[0].start, crop[0].stop, crop[1].start, crop[1].stop]

    assert numbers(metrics.fal_crop((370, 1224))) == [151, 366, 44, 1180]
    assert numbers(metrics.garg_crop((370, 1224))) == [151, 366, 43, 1180]  # not [152, 367, 44, 1180] of the comment
    assert numbers(metrics.fal_crop((375, 1242))) == [156, 371, 44, 1180]
    assert numbers(metrics.nyu_crop((480, 640))) == [45, 471, 41, 601]


def test_bad_pixels_are_strictly_more():
    assert metrics.bad(torch.tensor([12.0, 12.01, 7.9]), torch.full((3,), 10.0), 2.0) == pytest.approx(2 / 3)


def disc(shift: int = 0) -> torch.Tensor:
    """A near square before a far wall."""
    depth = torch.full((20, 30), 8.0, dtype=torch.float64)
    depth[6:14, 10 + shift : 20 + shift] = 2.0
    return depth


def test_boundary_f1_by_a_plain_loop():
    rng = np.random.default_rng(1)
    truth, depth = np.exp(rng.normal(0, 0.1, (6, 7))), np.exp(rng.normal(0, 0.1, (6, 7)))
    depth, truth[2, 3] = 0.6 * truth + 0.4 * depth, np.nan
    steps, scores = np.linspace(1.05, 1.25, 10), []
    for step in steps:
        hits = ours = theirs = 0
        for i in range(6):
            for j in range(7):
                for k, m in ((i + 1, j), (i - 1, j), (i, j + 1), (i, j - 1)):
                    if 0 <= k < 6 and 0 <= m < 7 and not np.isnan(truth[i, j] + truth[k, m]):
                        real, seen = truth[k, m] / truth[i, j] > step, depth[k, m] / depth[i, j] > step
                        hits, ours, theirs = hits + (real and seen), ours + seen, theirs + real
        scores.append(2 * hits / (ours + theirs))
    expected = np.average(scores, weights=steps)
    found = metrics.boundary_f1(torch.from_numpy(depth), torch.from_numpy(truth))
    assert 0.2 < expected < 0.95
    assert float(found) == pytest.approx(expected, rel=1e-6)
    assert float(metrics.boundary_f1(5 * torch.from_numpy(depth), torch.from_numpy(truth))) == pytest.approx(expected)


def test_boundary_f1_punishes_shifts_softness_and_swapped_order():
    truth = disc()
    assert metrics.boundary_f1(3 * truth, truth) == pytest.approx(1)
    assert 0 < metrics.boundary_f1(disc(1), truth) < 0.7
    assert metrics.boundary_f1(1 / truth, truth) == 0
    assert metrics.boundary_f1(torch.ones_like(truth), truth) == 0
    assert metrics.boundary_f1(truth, torch.ones_like(truth)).isnan()


def test_pixels_near_boundaries():
    truth = disc()
    truth[0, 0] = torch.nan
    near = metrics.near_boundaries(truth, reach=2)
    expected = np.zeros((20, 30), bool)
    expected[3:17, 7:23] = True
    expected[9:11, 13:17] = False
    expected[[3, 3, 16, 16], [7, 22, 7, 22]] = False  # neighbours are vertical and horizontal
    assert (near.numpy() == expected).all()
