"""Errors over the sphere, against loops written from the spherical paper (sec. 4) and from what its release does."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from cyclopean.errors import InputError
from cyclopean.metrics import depth_errors, solid_angle, sphere_errors, spiral_pixels

SIZE = (32, 64)
F64 = torch.float64


def maps(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Depth, truth up to 25 m, and which of it counts: up to 20 m, one in ten unknown."""
    rng = torch.Generator().manual_seed(seed)
    truth = 1 + 24 * torch.rand(SIZE, generator=rng, dtype=F64) ** 2
    depth = truth * (0.4 * torch.randn(SIZE, generator=rng, dtype=F64)).exp()
    return depth, truth, (truth <= 20) & (torch.rand(SIZE, generator=rng) > 0.1)


def released(depth: np.ndarray, truth: np.ndarray, counts: np.ndarray) -> dict[str, float]:
    """As the release reads: theta of integer rows, sums over the number of pixels, a loop along the spiral."""
    height, width = truth.shape
    sums, n = np.zeros(4), 0
    for i in range(height):
        for j in range(width):
            if not counts[i, j]:
                continue
            d, t, w = depth[i, j], truth[i, j], abs(math.sin(i * math.pi / height))
            sums += [
                w * abs(d - t) / t, w * (d - t) ** 2 / t, w * (d - t) ** 2, w * (math.log(d) - math.log(t)) ** 2
            ]  # fmt: skip
            n += 1
    rel, sq, rms, log = sums / n
    points, phi, total = set(), 0.0, int(0.25 * height * width)
    for k in range(1, total):
        h = -1 + 2 * (k - 1) / (total - 1)
        theta = math.acos(h)
        phi = 0.0 if k == 1 else (phi + 3.6 / (math.sqrt(total) * math.sqrt(1 - h * h))) % (2 * math.pi)
        row, column = int(theta / math.pi * height) - 1, int(phi / (2 * math.pi) * width) - 1
        points.add((row % height, column % width))
    ratios = [max(depth[p] / truth[p], truth[p] / depth[p]) for p in points if counts[p]]
    deltas = {f"delta{m}": sum(r < 1.25**m for r in ratios) / len(ratios) for m in (1, 2, 3)}
    names = ("abs_rel_released", "sq_rel_released", "rmse_released", "rmse_log_released")
    return dict(zip(names, (rel, sq, math.sqrt(rms), math.sqrt(log)), strict=True)) | deltas


@pytest.mark.parametrize("seed", [0, 1])
def test_the_released_forms_against_a_loop(seed):
    depth, truth, counts = maps(seed)
    found = vars(sphere_errors(depth, truth, counts))
    for name, value in released(depth.numpy(), truth.numpy(), counts.numpy()).items():
        assert float(found[name]) == pytest.approx(value, rel=1e-9), name


def test_means_over_the_sphere():
    """Normalised: as if every direction were sampled alike, here by points drawn evenly from the sphere."""
    depth, truth, counts = maps()
    found = sphere_errors(depth, truth, counts)
    rng = np.random.default_rng(0)
    n = 400_000
    rows = np.clip((np.arccos(rng.uniform(-1, 1, n)) / math.pi * SIZE[0]).astype(int), 0, SIZE[0] - 1)
    at = torch.as_tensor(rows), torch.as_tensor(rng.integers(0, SIZE[1], n))
    seen = counts[at]
    drawn = depth_errors(depth[at][seen], truth[at][seen])
    for name in ("abs_rel", "sq_rel", "rmse", "rmse_log"):
        assert float(getattr(found, name)) == pytest.approx(float(getattr(drawn, name)), rel=0.02), name


def test_the_release_is_lower_by_the_mean_weight():
    """Trap: the release divides by the number of pixels. Where errors are equal everywhere: 2/pi, roots its root."""
    truth = torch.full(SIZE, 4.0, dtype=F64)
    found = sphere_errors(truth * 1.1, truth, torch.ones(SIZE, dtype=torch.bool))
    assert float(found.abs_rel) == pytest.approx(0.1)
    assert float(found.abs_rel_released) == pytest.approx(0.1 * 2 / math.pi, rel=2e-3)
    assert float(found.rmse_released / found.rmse) == pytest.approx(math.sqrt(2 / math.pi), rel=1e-3)
    assert float(found.rmse) == pytest.approx(0.4)  # not sqrt(mean(depth^2 - truth^2)) = 1.83, as in its training
    assert float(solid_angle(1024).mean()) == pytest.approx(2 / math.pi, rel=1e-5)


def test_nothing_given_is_changed():
    """Trap: the release's evaluation writes into the arrays it is given."""
    given = maps()
    before = [value.clone() for value in given]
    sphere_errors(*given)
    assert all(torch.equal(a, b) for a, b in zip(given, before, strict=True))


@pytest.mark.parametrize("size", [(128, 256), (256, 512)])
def test_the_spiral_is_even_on_the_sphere(size):
    """As many points in each band of latitude as it has area, and of each longitude alike."""
    height, width = size
    chosen = spiral_pixels(size).double()
    assert 0.2 < float(chosen.mean()) < 0.26
    edges = torch.acos(torch.tensor([1.0, 0.5, 0.0, -0.5, -1.0], dtype=F64)) / math.pi * height
    bands = [chosen[round(float(a)) : round(float(b))].sum() for a, b in pairwise(edges)]
    columns = chosen.view(height, 4, width // 4).sum((0, 2))
    for counts in (torch.stack(bands), columns):
        assert float((counts / counts.mean() - 1).abs().max()) < 10 / height


def test_without_a_point_of_the_spiral_deltas_are_unknown():
    depth, truth, _ = maps()
    found = sphere_errors(depth, truth, ~spiral_pixels(SIZE))
    assert found.delta1.isnan()
    assert found.abs_rel > 0


def test_without_truth_there_is_nothing_to_judge():
    depth, truth, counts = maps()
    with pytest.raises(InputError, match="no pixel with known truth"):
        sphere_errors(depth, truth, torch.zeros_like(counts))
