"""Arithmetic on arrays whose components come first, in forms that are quick on a CPU too."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from cyclopean.synthetic.scene import Number


def length(x: Float[Tensor, " 3 *n"]) -> Float[Tensor, "*n"]:
    """Return the Euclidean length of vectors (much faster than a norm over a short leading axis)."""
    return (x[0] * x[0] + x[1] * x[1] + x[2] * x[2]).sqrt()


def unit(x: Float[Tensor, " 3 *n"]) -> Float[Tensor, " 3 *n"]:
    """Return vectors of length 1 (0 stays 0)."""
    return x / length(x).clamp_min(1e-12)


def dot(x: Float[Tensor, "3 *#n"], y: Float[Tensor, "3 *#n"]) -> Float[Tensor, "*n"]:
    """Return inner products of vectors."""
    return x[0] * y[0] + x[1] * y[1] + x[2] * y[2]


def product(matrix: Float[Tensor, "*#k i 3"], x: Float[Tensor, "*#k 3 #m"]) -> Float[Tensor, "..."]:
    """Compute matrix @ x as plain sums: full precision also where matrix products are set to be quick (TF32,
    autocast).
    """
    sums = matrix[..., :1] * x[..., :1, :]
    sums = torch.addcmul(sums, matrix[..., 1:2], x[..., 1:2, :])
    return torch.addcmul(sums, matrix[..., 2:], x[..., 2:, :])


def power(x: Float[Tensor, "*n"], exponent: Number) -> Float[Tensor, "*n"]:
    """Compute x ** exponent for x >= 0 and exponent > 0 (pow itself is four times slower)."""
    return x.log().mul_(exponent).exp_()


def of(values: Float[Tensor, " k *c"], index: Tensor) -> Float[Tensor, "c2 n"]:
    """Gather one row of a table for each of n points, as columns."""
    return torch.index_select(values.flatten(1).T.contiguous(), 1, index)


# Multipliers of the lattice axes and the seed; any large odd numbers do, these mix well in 32 bits.
_X, _Y, _Z = 73856093, 19349663, 83492791
_SEED = 1013904223
_RANGE = 0x1000000


def hashed(cell: Int[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Return a number in [0, 1) per 32-bit integer (multiply and fold twice). Overflow wraps, alike on CPU and GPU."""
    return _mixed(cell).mul_(1.0 / _RANGE)


def _mixed(cell: Int[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Return a whole number below 2 ** 24 per integer."""
    mixed = (cell >> 15).bitwise_xor_(cell).mul_(0x2C1B3C6D)
    mixed.bitwise_xor_(mixed >> 12).mul_(0x297A2D39)
    return mixed.bitwise_right_shift_(8).bitwise_and_(_RANGE - 1).to(torch.float32)


def cell_hash(
    i: Int[Tensor, "*#n"], j: Int[Tensor, "*#n"], k: Int[Tensor, "*#n"], seed: Int[Tensor, "*#n"]
) -> Float[Tensor, "*n"]:
    """Return a number in [0, 1) per lattice cell and seed."""
    return hashed((i * _X) ^ (j * _Y) ^ (k * _Z) ^ (seed * _SEED))


def value_noise(p: Float[Tensor, "c n"], seed: Int[Tensor, "#n"]) -> Float[Tensor, " n"]:
    """Compute smooth noise in [0, 1): random values at integer points, blended by smoothsteps.

    With two components the points lie in the plane z = 0.
    """
    cell = p.floor()
    f = p - cell
    f = f * f * (3 - 2 * f)
    keys = seed * _SEED
    for place, step in reversed(list(zip(cell.to(torch.int32), (_X, _Y, _Z), strict=False))):
        low = place * step
        keys = torch.stack([keys ^ low, keys ^ (low + step)])
    values = _mixed(keys)  # of all corners of a cell; the leading axis is x, then y, then z
    for weight in f:
        values = torch.lerp(values[0], values[1], weight)
    return values.mul_(1.0 / _RANGE)


def fractal(
    p: Float[Tensor, "c n"],
    seed: Int[Tensor, "#n"],
    footprint: Float[Tensor, " n"] | None = None,
    octaves: int = 4,
    gain: float = 0.55,
) -> Float[Tensor, " n"]:
    """Sum octaves of noise around 0, each twice as fine; those finer than a pixel's `footprint` (in cells) fade out."""
    total, seed = torch.zeros_like(p[0]), seed.expand(p.shape[1])
    footprint = torch.zeros_like(total) if footprint is None else footprint
    where = torch.arange(len(total), device=p.device)
    for octave in range(octaves):
        fade = (1.5 - 2.0 * footprint * 2**octave).clamp(0, 1)
        fine = fade.nonzero()[:, 0]
        if len(fine) < len(fade):  # and so will be finer octaves
            p, seed, footprint, where, fade = (x.index_select(-1, fine) for x in (p, seed, footprint, where, fade))
        noise = value_noise(p * 2**octave, seed + 31 * octave)
        total.index_add_(0, where, gain**octave * fade * (noise - 0.5))
    return total * (2.0 / sum(gain**octave for octave in range(octaves)))
