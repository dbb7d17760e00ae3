"""Noise that is the same everywhere, fills its range and does not alias."""

import torch

from cyclopean.worlds.noise import fractal, hashed, value_noise


def test_hash_values_are_fixed():
    """Integers decide, so these numbers hold on every device and must never change: scenes depend on them."""
    values = hashed(torch.arange(5, dtype=torch.int32))
    again = hashed(torch.arange(5, dtype=torch.int32))
    assert torch.equal(values, again)
    assert values[0] == 0
    assert len(set(values.tolist())) == 5


def test_hash_is_uniform_and_uncorrelated():
    values = hashed(torch.arange(100_000, dtype=torch.int32))
    counts = torch.histc(values, 20, 0, 1) / len(values)
    assert (counts - 0.05).abs().max() < 0.005
    assert abs(float(torch.corrcoef(torch.stack([values[1:], values[:-1]]))[0, 1])) < 0.02


def test_value_noise_is_continuous_and_meets_its_lattice():
    p = torch.rand(3, 1000) * 20 - 10
    seed = torch.zeros(1000, dtype=torch.int32)
    step = 1e-3
    assert (value_noise(p + step, seed) - value_noise(p, seed)).abs().max() < 0.02
    whole = value_noise(p.round(), seed)
    assert whole.min() < 0.1
    assert whole.max() > 0.9


def test_octaves_finer_than_a_pixel_fade():
    p = torch.rand(3, 2000) * 50
    seed = torch.zeros(2000, dtype=torch.int32)
    near = fractal(p, seed, torch.zeros(2000))
    far = fractal(p, seed, torch.full((2000,), 5.0))
    assert near.std() > 0.1
    assert far.abs().max() == 0
