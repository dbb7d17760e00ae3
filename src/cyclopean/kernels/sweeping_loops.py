"""The loops of one item of a sweep, compiled by numba. See `synthesis.sweep` for the rules, `Pencil` for the places.

A block of pixels of the new view goes through all levels before the next one: the softmax over them is a running
maximum and a running sum, as in flash attention, and nothing is kept of a level. Within a block short loops do one
thing for all its pixels, so that the compiler makes vector instructions of all but the fetching.

`no_type_check` keeps wrappers that check types off functions that numba reads.
"""

import math
from functools import cache
from typing import no_type_check

import numpy as np
from numba import types
from numba.extending import overload

from cyclopean.kernels.splatting_loops import Loop, compiled, inlined

BLOCK = 128  # pixels: what is known of them stays in the first cache
F32 = np.float32


def _exp(x: float) -> float:
    """Return e^x inside loops: of float32 in vector instructions, which a call of the library would prevent."""
    return math.exp(x)


@overload(_exp, inline="always")
@no_type_check
def _exp_of(x):
    return _fast_exp if x == types.float32 else _library_exp


@no_type_check
def _library_exp(x):
    return math.exp(x)


@no_type_check
def _fast_exp(x):
    """Return 2^n times a polynomial of the rest, with ln 2 in two parts (Cephes, Moshier 1992). Of x up to 88; below
    -87 it is e^-87.
    """
    x = max(x, F32(-87))
    n = math.floor(x * F32(1.4426950408889634) + F32(0.5))
    r = x - F32(n) * F32(0.693359375) - F32(n) * F32(-2.12194440e-4)
    p = F32(1.9875691500e-4)
    p = p * r + F32(1.3981999507e-3)
    p = p * r + F32(8.3334519073e-3)
    p = p * r + F32(4.1665795894e-2)
    p = p * r + F32(1.6666665459e-1)
    p = p * r + F32(5.0000001201e-1)
    p = p * r * r + r + F32(1)
    return p * np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(F32)


@inlined
@no_type_check
def _locate(k, block, size, levels, lines, around):  # noqa: PLR0917
    """Fill what is `around` the pixels from `block` on: `first`, the index of the upper left of four pixels;
    `columns` (a0, a1, their derivatives by x), how much the left and the right two have; `rows` (b0, b1, ...),
    likewise; `places` (u, v, 1 / z); `depths` (rho, its derivative by the exponent).

    A pixel's share falls from 1 to 0 over one pixel's width, so that it is right also for the four at the border
    that are kept inside. Out of sight shares and places are 0.
    """
    first, columns, rows, places, depths = around
    values, shares, margin = levels
    real = values.dtype.type
    zero, half, one = real(0), real(0.5), real(1)
    start, slope, exponents = lines
    (h, w), m = size, min(BLOCK, start.shape[1] - block)
    depths[0], depths[1] = values[k], zero
    if len(exponents) > 0 and k > 0:
        for j in range(m):
            power = _exp(exponents[block + j] * shares[k + 1])
            depths[0, j] = values[-1] * _exp(shares[0] * (power - one))
            depths[1, j] = depths[0, j] * shares[0] * power * shares[k + 1]
    for j in range(m):
        p, rho = block + j, depths[0, j]
        per = one / (start[2, p] + rho * slope[2, p])
        u, v = (start[0, p] + rho * slope[0, p]) * per, (start[1, p] + rho * slope[1, p]) * per
        x, y = u * real(w) - half, v * real(h) - half
        seen = (start[3, p] + rho * slope[3, p] > 0) & (u >= -margin) & (u <= one + margin)
        seen = seen & (v >= -margin) & (v <= one + margin) & (x > -1) & (x < w) & (y > -1) & (y < h)
        x, y = x if seen else zero, y if seen else zero
        left = min(max(np.int32(math.floor(x)), np.int32(0)), np.int32(w - 2))
        top = min(max(np.int32(math.floor(y)), np.int32(0)), np.int32(h - 2))
        first[j] = top * np.int32(w) + left
        x, y, in_sight = x - real(left), y - real(top), one if seen else zero
        columns[0, j] = max(one - abs(x), zero) * in_sight
        columns[1, j] = max(one - abs(x - one), zero) * in_sight
        columns[2, j] = one if x < 0 else (-one if x < 1 else zero)
        columns[3, j] = zero if x < 0 else (one if x < 1 else -one)
        rows[0, j] = max(one - abs(y), zero) * in_sight
        rows[1, j] = max(one - abs(y - one), zero) * in_sight
        rows[2, j] = one if y < 0 else (-one if y < 1 else zero)
        rows[3, j] = zero if y < 0 else (one if y < 1 else -one)
        places[0, j], places[1, j] = u if seen else zero, v if seen else zero
        places[2, j] = per if seen else zero


@inlined
@no_type_check
def _around(real):
    """Return room for what `_locate` finds."""
    four, three, two = np.empty((4, BLOCK), real), np.empty((3, BLOCK), real), np.empty((2, BLOCK), real)
    return np.empty(BLOCK, np.int32), four, np.empty((4, BLOCK), real), three, two


@inlined
@no_type_check
def _corners(first, w):
    """Return the indices of four pixels; unsigned, so that none is looked at from the end."""
    first = np.uintp(first)
    return first, first + np.uintp(1), first + np.uintp(w), first + np.uintp(w + 1)


@inlined
@no_type_check
def _side_by_side(image, colours):
    """Fill `colours` (h w, c) with the channels of each pixel side by side: one cache line a corner."""
    c, h, w = image.shape
    for i in range(h):
        for j in range(w):
            for q in range(c):
                colours[i * w + j, q] = image[q, i, j]


@cache
@no_type_check
def render(channels: int) -> Loop:
    """Return the forward loop for that many channels (a constant to the compiler, which then unrolls over them)."""
    c = channels

    def loop(values, shares, margin, image, logits, start, slope, exponents, made, norm):  # noqa: PLR0917
        """Fill made (c h2 w2) and norm (h2 w2), the logarithm of the sum of exponentials of the logits of a pixel."""
        _, h, w = image.shape
        real = image.dtype.type
        colours = np.empty((h * w, c), image.dtype)
        _side_by_side(image, colours)
        planes = logits.reshape(-1, h * w)
        levels, lines = (values, shares, margin), (start.reshape(4, -1), slope.reshape(4, -1), exponents.reshape(-1))
        around = _around(real)
        first, columns, rows, _, _ = around
        made, norm = made.reshape(c, -1), norm.reshape(-1)
        for block in range(0, len(norm), BLOCK):
            m = min(BLOCK, len(norm) - block)
            logit, colour = np.empty(BLOCK, real), np.empty((c, BLOCK), real)
            most, weights, total = np.full(BLOCK, real(-np.inf)), np.zeros(BLOCK, real), np.zeros((c, BLOCK), real)
            for k in range(len(planes)):
                _locate(k, block, (h, w), levels, lines, around)
                for j in range(m):
                    n00, n01, n10, n11 = _corners(first[j], w)
                    s00, s01 = columns[0, j] * rows[0, j], columns[1, j] * rows[0, j]
                    s10, s11 = columns[0, j] * rows[1, j], columns[1, j] * rows[1, j]
                    logit[j] = s00 * planes[k, n00] + s01 * planes[k, n01] + s10 * planes[k, n10] + s11 * planes[k, n11]
                    for q in range(c):
                        colour[q, j] = s00 * colours[n00, q] + s01 * colours[n01, q]
                        colour[q, j] += s10 * colours[n10, q] + s11 * colours[n11, q]
                for j in range(m):
                    more = max(most[j], logit[j])
                    less, weight = _exp(most[j] - more), _exp(logit[j] - more)
                    most[j], weights[j] = more, weights[j] * less + weight
                    for q in range(c):
                        total[q, j] = total[q, j] * less + weight * colour[q, j]
            for j in range(m):
                norm[block + j] = most[j] + math.log(weights[j])
                for q in range(c):
                    made[q, block + j] = total[q, j] / weights[j]

    return compiled(loop)


@cache
@no_type_check
def differentiate(channels: int) -> Loop:  # noqa: PLR0915
    """Return the backward loop for that many channels."""
    c = channels

    def loop(  # noqa: PLR0912, PLR0915, PLR0917
        values, shares, margin, image, logits, start, slope, exponents, made, norm,
        d_made, d_image, d_logits, d_start, d_slope, d_exponents,
    ):  # fmt: skip
        """Fill the gradients of the inputs from that of made; those of image and exponents unless they are empty."""
        _, h, w = image.shape
        real = image.dtype.type
        colours = np.empty((h * w, c), image.dtype)
        _side_by_side(image, colours)
        of_image = len(d_image) > 0
        d_colours = np.zeros((h * w if of_image else 0, c), image.dtype)
        planes, d_planes = logits.reshape(-1, h * w), d_logits.reshape(-1, h * w)
        levels, lines = (values, shares, margin), (start.reshape(4, -1), slope.reshape(4, -1), exponents.reshape(-1))
        around = _around(real)
        first, columns, rows, places, depths = around
        slope, made, norm = lines[1], made.reshape(c, -1), norm.reshape(-1)
        d_start, d_slope, d_made = d_start.reshape(4, -1), d_slope.reshape(4, -1), d_made.reshape(c, -1)
        d_bent = d_exponents.reshape(-1)
        d_planes[:] = 0
        for block in range(0, len(norm), BLOCK):
            m = min(BLOCK, len(norm) - block)
            ls, vs = np.empty((4, BLOCK), real), np.empty((4, BLOCK), real)  # of the four pixels
            mean, rise, p = np.zeros(BLOCK, real), np.empty(BLOCK, real), np.empty(BLOCK, real)
            d = np.zeros((7, BLOCK), real)
            for j in range(m):
                for q in range(c):
                    mean[j] += d_made[q, block + j] * made[q, block + j]
            for k in range(len(planes)):
                _locate(k, block, (h, w), levels, lines, around)
                for j in range(m):
                    n00, n01, n10, n11 = _corners(first[j], w)
                    ls[0, j], ls[1, j], ls[2, j], ls[3, j] = (
                        planes[k, n00],
                        planes[k, n01],
                        planes[k, n10],
                        planes[k, n11],
                    )
                    v00 = v01 = v10 = v11 = real(0)  # what colours of these four would add to the loss
                    for q in range(c):
                        g = d_made[q, block + j]
                        v00 += g * colours[n00, q]
                        v01 += g * colours[n01, q]
                        v10 += g * colours[n10, q]
                        v11 += g * colours[n11, q]
                    vs[0, j], vs[1, j], vs[2, j], vs[3, j] = v00, v01, v10, v11
                for j in range(m):
                    a0, a1, b0, b1 = columns[0, j], columns[1, j], rows[0, j], rows[1, j]
                    logit = b0 * (a0 * ls[0, j] + a1 * ls[1, j]) + b1 * (a0 * ls[2, j] + a1 * ls[3, j])
                    worth = b0 * (a0 * vs[0, j] + a1 * vs[1, j]) + b1 * (a0 * vs[2, j] + a1 * vs[3, j])
                    p[j] = _exp(logit - norm[block + j])
                    rise[j] = p[j] * (worth - mean[j])
                    v00, v01 = rise[j] * ls[0, j] + p[j] * vs[0, j], rise[j] * ls[1, j] + p[j] * vs[1, j]
                    v10, v11 = rise[j] * ls[2, j] + p[j] * vs[2, j], rise[j] * ls[3, j] + p[j] * vs[3, j]
                    dx = columns[2, j] * (b0 * v00 + b1 * v10) + columns[3, j] * (b0 * v01 + b1 * v11)
                    dy = rows[2, j] * (a0 * v00 + a1 * v01) + rows[3, j] * (a0 * v10 + a1 * v11)
                    dx, dy, rho = dx * real(w) * places[2, j], dy * real(h) * places[2, j], depths[0, j]
                    dz = -places[0, j] * dx - places[1, j] * dy
                    d[0, j] += dx
                    d[1, j] += dy
                    d[2, j] += dz
                    d[3, j] += rho * dx
                    d[4, j] += rho * dy
                    d[5, j] += rho * dz
                    by_rho = dx * slope[0, block + j] + dy * slope[1, block + j] + dz * slope[2, block + j]
                    d[6, j] += by_rho * depths[1, j]
                for j in range(m):
                    n00, n01, n10, n11 = _corners(first[j], w)
                    s00, s01 = columns[0, j] * rows[0, j], columns[1, j] * rows[0, j]
                    s10, s11 = columns[0, j] * rows[1, j], columns[1, j] * rows[1, j]
                    d_planes[k, n00] += s00 * rise[j]
                    d_planes[k, n01] += s01 * rise[j]
                    d_planes[k, n10] += s10 * rise[j]
                    d_planes[k, n11] += s11 * rise[j]
                    if of_image:
                        for q in range(c):
                            g = p[j] * d_made[q, block + j]
                            d_colours[n00, q] += s00 * g
                            d_colours[n01, q] += s01 * g
                            d_colours[n10, q] += s10 * g
                            d_colours[n11, q] += s11 * g
            for j in range(m):
                for q in range(3):
                    d_start[q, block + j], d_slope[q, block + j] = d[q, j], d[3 + q, j]
                d_start[3, block + j] = d_slope[3, block + j] = 0
                if len(d_bent) > 0:
                    d_bent[block + j] = d[6, j]
        if of_image:
            for i in range(h):
                for j in range(w):
                    for q in range(c):
                        d_image[q, i, j] = d_colours[i * w + j, q]

    return compiled(loop)


@cache
@no_type_check
def cover() -> Loop:
    """Return the loop of `swept_coverage`."""

    def loop(values, shares, margin, logits, norm, start, slope, exponents, coverage):  # noqa: PLR0917
        """Fill coverage (h2 w2): how much the view with these logits (n h w) and their norm (h w) sees."""
        _, h, w = logits.shape
        real = logits.dtype.type
        planes, norm, coverage = logits.reshape(-1, h * w), norm.reshape(-1), coverage.reshape(-1)
        levels, lines = (values, shares, margin), (start.reshape(4, -1), slope.reshape(4, -1), exponents.reshape(-1))
        around = _around(real)
        first, columns, rows, _, _ = around
        for block in range(0, len(coverage), BLOCK):
            m = min(BLOCK, len(coverage) - block)
            ls, total = np.empty((4, BLOCK), real), np.zeros(BLOCK, real)
            for k in range(len(planes)):
                _locate(k, block, (h, w), levels, lines, around)
                for j in range(m):
                    n00, n01, n10, n11 = _corners(first[j], w)
                    ls[0, j], ls[1, j] = planes[k, n00] - norm[n00], planes[k, n01] - norm[n01]
                    ls[2, j], ls[3, j] = planes[k, n10] - norm[n10], planes[k, n11] - norm[n11]
                for j in range(m):
                    upper = columns[0, j] * _exp(ls[0, j]) + columns[1, j] * _exp(ls[1, j])
                    lower = columns[0, j] * _exp(ls[2, j]) + columns[1, j] * _exp(ls[3, j])
                    total[j] += rows[0, j] * upper + rows[1, j] * lower
            for j in range(m):
                coverage[block + j] = min(total[j], real(1))

    return compiled(loop)
