"""Value noise from an integer hash: the same numbers on every device."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

# Multipliers of the lattice axes and the seed; any large odd numbers do, these mix well in 32 bits.
_X, _Y, _Z = 73856093, 19349663, 83492791
_SEED = 1013904223


def hashed(cell: Int[Tensor, "..."]) -> Float[Tensor, "..."]:
    """A number in [0, 1) per 32-bit integer (multiply and fold twice). Overflow wraps, alike on CPU and GPU."""
    mixed = (cell >> 15).bitwise_xor_(cell).mul_(0x2C1B3C6D)
    mixed.bitwise_xor_(mixed >> 12).mul_(0x297A2D39)
    return (mixed >> 8).bitwise_and_(0xFFFFFF).to(torch.float32).mul_(1.0 / 0x1000000)


def cell_hash(
    i: Int[Tensor, "*n"], j: Int[Tensor, "*n"], k: Int[Tensor, "*n"], seed: Int[Tensor, "*n"]
) -> Float[Tensor, "*n"]:
    """A number in [0, 1) per lattice cell and seed."""
    return hashed((i * _X) ^ (j * _Y) ^ (k * _Z) ^ (seed * _SEED))


def value_noise(p: Float[Tensor, "3 *n"], seed: Int[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """Smooth noise in [0, 1): random values at integer points, blended by smoothsteps."""
    cell = p.floor()
    f = p - cell
    f = f * f * (3 - 2 * f)
    x, y, z = cell.to(torch.int32).unbind(0)
    x, y = x * _X, y * _Y
    salt = seed * _SEED
    near, far = (z * _Z).bitwise_xor_(salt), ((z + 1) * _Z).bitwise_xor_(salt)
    return torch.lerp(_in_plane(x, y, near, f), _in_plane(x, y, far, f), f[2])


def _in_plane(
    x: Int[Tensor, "*n"], y: Int[Tensor, "*n"], key: Int[Tensor, "*n"], f: Float[Tensor, "3 *n"]
) -> Float[Tensor, "*n"]:
    """Noise in one plane of the lattice, between its four nearest points."""
    return torch.lerp(_in_row(x, y ^ key, f), _in_row(x, (y + _Y) ^ key, f), f[1])


def _in_row(x: Int[Tensor, "*n"], key: Int[Tensor, "*n"], f: Float[Tensor, "3 *n"]) -> Float[Tensor, "*n"]:
    return torch.lerp(hashed(x ^ key), hashed((x + _X) ^ key), f[0])


def fractal(
    p: Float[Tensor, "3 n"],
    seed: Int[Tensor, " n"],
    footprint: Float[Tensor, " n"],
    octaves: int = 4,
    gain: float = 0.55,
) -> Float[Tensor, " n"]:
    """Octaves of noise around 0, each twice as fine; those finer than a pixel's `footprint` (in cells) fade out."""
    total, amplitude, norm = torch.zeros_like(p[0]), 1.0, 0.0
    for octave in range(octaves):
        fade = (1.5 - 2.0 * footprint * 2**octave).clamp(0, 1)
        fine = fade.nonzero()[:, 0]
        if len(fine) > 0.8 * len(fade):
            total += amplitude * fade * (value_noise(p * 2**octave, seed + 31 * octave) - 0.5)
        elif len(fine):
            noise = value_noise(p[:, fine] * 2**octave, seed[fine] + 31 * octave)
            total[fine] += amplitude * fade[fine] * (noise - 0.5)
        norm, amplitude = norm + amplitude, amplitude * gain
    return total * (2.0 / norm)


def length(x: Float[Tensor, "3 *n"]) -> Float[Tensor, "*n"]:
    """Euclidean length of vectors whose components come first (much faster than a norm over a short leading axis)."""
    return (x[0] * x[0] + x[1] * x[1] + x[2] * x[2]).sqrt()
