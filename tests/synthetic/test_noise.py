"""Noise that is the same everywhere, fills its range and does not alias."""

import pytest
import torch

from cyclopean.synthetic.noise import cell_hash, fractal, hashed, value_noise


def test_hash_values_are_fixed():
    """Integers decide, so these numbers hold on every device. They must never change: all scenes depend on them."""
    given = torch.tensor([-7, 0, 1, 2, 123456789, -(2**31)], dtype=torch.int32)
    assert (hashed(given) * 2**24).tolist() == [4894048, 0, 15545740, 255302, 16279938, 9607467]
    i = torch.tensor([0, 1, -3, 1000000], dtype=torch.int32)
    assert (cell_hash(i, i + 1, i * 2, i.flip(0)) * 2**24).tolist() == [1701489, 13653195, 997650, 5707680]


def test_hash_is_uniform_and_uncorrelated():
    values = hashed(torch.arange(100_000, dtype=torch.int32))
    counts = torch.histc(values, 20, 0, 1) / len(values)
    assert (counts - 0.05).abs().max() < 0.005
    assert abs(float(torch.corrcoef(torch.stack([values[1:], values[:-1]]))[0, 1])) < 0.02


def test_value_noise_is_continuous_and_fills_its_range():
    p = torch.rand(3, 1000) * 20 - 10
    seed = torch.zeros(1000, dtype=torch.int32)
    step = 1e-3
    assert (value_noise(p + step, seed) - value_noise(p, seed)).abs().max() < 0.02
    whole = value_noise(p.round(), seed)
    assert whole.min() < 0.1
    assert whole.max() > 0.9


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_value_noise_meets_the_hash_at_lattice_points_and_blends_between(axis):
    corner = torch.tensor([[2.0], [-5.0], [7.0]])
    step = torch.zeros(3, 1)
    step[axis] = 1
    seed = torch.tensor([11], dtype=torch.int32)
    here, there = (cell_hash(*p.to(torch.int32), seed) for p in (corner, corner + step))
    assert value_noise(corner, seed) == here
    torch.testing.assert_close(value_noise(corner + step / 2, seed), (here + there) / 2)


def test_octaves_finer_than_a_pixel_fade():
    p = torch.rand(3, 2000) * 50
    seed = torch.zeros(2000, dtype=torch.int32)
    near = fractal(p, seed, torch.zeros(2000))
    far = fractal(p, seed, torch.full((2000,), 5.0))
    assert near.std() > 0.1
    assert far.abs().max() == 0


def test_a_few_near_points_among_far_ones_are_as_they_are_alone():
    """The two ways through the octaves agree."""
    p = torch.rand(3, 100) * 50
    seed = torch.zeros(100, dtype=torch.int32)
    footprint = torch.full((100,), 5.0)
    footprint[:10] = 0.05
    torch.testing.assert_close(fractal(p, seed, footprint)[:10], fractal(p[:, :10], seed[:10], footprint[:10]))
