"""The loops of one item, compiled by numba. Borders: 0 zeros, 1 edge, 2 sphere. See `synthesis.push` for the rules.

`no_type_check` keeps wrappers that check types off functions that numba reads.
"""

import math
from collections.abc import Callable
from functools import cache
from typing import Any, no_type_check

import numba
import numpy as np

Array = np.ndarray[Any, Any]
Loop = Callable[..., None]
inlined = numba.njit(inline="always")


@inlined
@no_type_check
def _located(u, v, h, w, border):
    """Return column and row as real numbers, and the signs of their derivatives by u and v. NaN for lost pixels."""
    along, down = 1, 1
    if not (math.isfinite(u) and math.isfinite(v)):
        return math.nan, math.nan, 0, 0
    if border == 2:  # past a pole v turns back and u goes half a turn on
        v -= 2 * math.floor(v / 2)
        if v > 1:
            u, v, down = u + 0.5, 2 - v, -1
        u -= math.floor(u)
    x, y = u * w - 0.5, v * h - 0.5
    if border == 1:
        if x < 0 or x > w - 1:
            x, along = min(max(x, 0.0), w - 1.0), 0
        if y < 0 or y > h - 1:
            y, down = min(max(y, 0.0), h - 1.0), 0
    if not (-1 < x < w and -1 < y < h):
        x = math.nan
    return x, y, along, down


@inlined
@no_type_check
def _index(i, j, h, w, border):
    """Return the index of row i and column j, at most one beyond the image; h * w where they are lost."""
    if border == 2:
        if i < 0 or i >= h:
            i, j = min(max(i, 0), h - 1), j + w // 2
        j = j + w if j < 0 else j
        j = j - w if j >= w else j
    elif i < 0 or j < 0 or i >= h or j >= w:
        return h * w
    return i * w + j


@inlined
@no_type_check
def corners(i, j, h, w, border):
    """Return where the four pixels from row i, column j on are kept."""
    if 0 <= i < h - 1 and 0 <= j < w - 1:
        n = np.uintp(i * w + j)
        return n, np.uintp(n + np.uintp(1)), np.uintp(n + np.uintp(w)), np.uintp(n + np.uintp(w + 1))
    return (
        np.uintp(_index(i, j, h, w, border)),
        np.uintp(_index(i, j + 1, h, w, border)),
        np.uintp(_index(i + 1, j, h, w, border)),
        np.uintp(_index(i + 1, j + 1, h, w, border)),
    )


@cache
@no_type_check
def scattering(channels: int) -> Loop:
    """Return the forward loop for that many channels (a constant to the compiler, which then unrolls over them)."""
    c = channels

    def scatter(border, image, uv, weight, picture, coverage):  # noqa: PLR0917
        """Fill picture (c h w) and coverage (1 h w) of one item."""
        _, h, w = image.shape
        real = image.dtype.type
        canvas = np.zeros((h * w + 1, c + 1), image.dtype)  # a pixel's channels side by side: one cache line a corner
        for i in range(h):
            for j in range(w):
                x, y, _, _ = _located(float(uv[i, j, 0]), float(uv[i, j, 1]), h, w, border)
                if not x > -2:
                    continue
                j0, i0 = math.floor(x), math.floor(y)
                fx, fy = real(x - j0), real(y - i0)
                n00, n01, n10, n11 = corners(i0, j0, h, w, border)
                low, high = weight[0, i, j] * fy, weight[0, i, j] * (real(1) - fy)
                s01, s11 = high * fx, low * fx
                s00, s10 = high - s01, low - s11
                for k in range(c):
                    value = image[k, i, j]
                    canvas[n00, k] += s00 * value
                    canvas[n01, k] += s01 * value
                    canvas[n10, k] += s10 * value
                    canvas[n11, k] += s11 * value
                canvas[n00, c] += s00
                canvas[n01, c] += s01
                canvas[n10, c] += s10
                canvas[n11, c] += s11
        for i in range(h):
            for j in range(w):
                total = canvas[i * w + j, c]
                per = real(1) / total if total > 0 else real(1)
                coverage[0, i, j] = total
                for k in range(c):
                    picture[k, i, j] = canvas[i * w + j, k] * per

    return compiled(scatter)


@cache
@no_type_check
def gathering(channels: int) -> Loop:
    """Return the backward loop for that many channels."""
    c = channels

    def gather(  # noqa: PLR0917
        border, image, uv, weight, picture, coverage, d_picture, d_coverage, d_image, d_uv, d_weight
    ):
        """Fill the gradients of image, uv and weight of one item from those of picture and coverage."""
        _, h, w = image.shape
        real = image.dtype.type
        slope = np.zeros((h * w + 1, c + 1), image.dtype)  # of the loss by the sums: of weight * colour, of weight
        for i in range(h):
            for j in range(w):
                total = coverage[0, i, j]
                per = real(1) / total if total > 0 else real(1)
                mean = real(0)
                for k in range(c):
                    slope[i * w + j, k] = d_picture[k, i, j] * per
                    mean += d_picture[k, i, j] * picture[k, i, j] * per
                slope[i * w + j, c] = d_coverage[0, i, j] - (mean if total > 0 else real(0))
        for i in range(h):
            for j in range(w):
                x, y, along, down = _located(float(uv[i, j, 0]), float(uv[i, j, 1]), h, w, border)
                if not x > -2:
                    for k in range(c):
                        d_image[k, i, j] = 0
                    d_uv[i, j, 0] = d_uv[i, j, 1] = d_weight[0, i, j] = 0
                    continue
                j0, i0 = math.floor(x), math.floor(y)
                fx, fy = real(x - j0), real(y - i0)
                n00, n01, n10, n11 = corners(i0, j0, h, w, border)
                low, high = fy, real(1) - fy
                s01, s11 = high * fx, low * fx
                s00, s10 = high - s01, low - s11
                heavy = weight[0, i, j]
                w00, w01, w10, w11 = slope[n00, c], slope[n01, c], slope[n10, c], slope[n11, c]
                for k in range(c):
                    value = image[k, i, j]
                    g00, g01, g10, g11 = slope[n00, k], slope[n01, k], slope[n10, k], slope[n11, k]
                    d_image[k, i, j] = heavy * (s00 * g00 + s01 * g01 + s10 * g10 + s11 * g11)
                    w00 += g00 * value
                    w01 += g01 * value
                    w10 += g10 * value
                    w11 += g11 * value
                d_weight[0, i, j] = s00 * w00 + s01 * w01 + s10 * w10 + s11 * w11
                right = high * (w01 - w00) + low * (w11 - w10)
                under = (real(1) - fx) * (w10 - w00) + fx * (w11 - w01)
                d_uv[i, j, 0] = heavy * right * real(along * w)
                d_uv[i, j, 1] = heavy * under * real(down * h)

    return compiled(gather)


def compiled(loop: Loop) -> Loop:
    """Return `loop` compiled, and kept on the disk for the next process where a folder can be written to."""
    try:
        return numba.njit(nogil=True, cache=True, fastmath={"contract"}, error_model="numpy")(loop)
    except RuntimeError:  # no folder can be written to: compile in every process
        return numba.njit(nogil=True, error_model="numpy")(loop)
