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


def test_affine_alignment_is_numpys_least_squares():
    depth, truth = random_depths()
    prediction = 3 / depth.numpy() - 0.4
    a, b = np.linalg.lstsq(np.stack([prediction, np.ones_like(prediction)], 1), 1 / truth.numpy(), rcond=None)[0]
    expected = 1 / np.maximum(a * prediction + b, 1 / 80)
    assert np.allclose(metrics.align_affine(torch.from_numpy(prediction), truth, far=80.0), expected, rtol=1e-9)


def test_affine_alignment_recovers_the_truth_and_floors_at_far():
    _, truth = random_depths()
    assert torch.allclose(metrics.align_affine(5 / truth + 2, truth, far=80.0), truth)
    assert metrics.align_affine(5 / truth + 2, truth, far=20.0).max() == pytest.approx(20)


def test_a_constant_becomes_the_harmonic_mean():
    _, truth = random_depths()
    aligned = metrics.align_affine(torch.ones_like(truth), truth, far=80.0)
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
