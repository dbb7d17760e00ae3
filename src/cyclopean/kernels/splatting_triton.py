"""The kernels of `splatting_gpu`, for a block of pixels of one item each. Borders: 0 zeros, 1 edge, 2 sphere.

The rules are those of `synthesis.push`, and the steps those of `splatting_loops`. Images are planes (b c h w).
`no_type_check` keeps wrappers that check types off functions that Triton reads.
"""

from typing import no_type_check

import triton
import triton.language as tl


@triton.jit
@no_type_check
def _located(at, here, h, w, BORDER: tl.constexpr):
    """Return column and row as real numbers, signs of their derivatives by u and v, and which pixels have a place."""
    u = tl.load(at, mask=here, other=float("nan"))
    v = tl.load(at + 1, mask=here, other=float("nan"))
    here = (tl.abs(u) < float("inf")) & (tl.abs(v) < float("inf"))  # neither NaN nor infinite
    u, v = tl.where(here, u, 0.0), tl.where(here, v, 0.0)
    along, down = tl.where(here, 1, 0), tl.where(here, 1, 0)
    if BORDER == 2:  # past a pole v turns back and u goes half a turn on
        v -= 2 * tl.floor(v / 2)
        past = v > 1
        u = tl.where(past, u + 0.5, u)
        v = tl.where(past, 2 - v, v)
        down = tl.where(past, -down, down)
        u -= tl.floor(u)
    x, y = u * w - 0.5, v * h - 0.5
    if BORDER == 1:
        along = tl.where((x < 0) | (x > w - 1), 0, along)
        down = tl.where((y < 0) | (y > h - 1), 0, down)
        x = tl.minimum(tl.maximum(x, 0.0), w - 1.0)
        y = tl.minimum(tl.maximum(y, 0.0), h - 1.0)
    here = here & (x > -1) & (x < w) & (y > -1) & (y < h)
    return tl.where(here, x, 0.0), tl.where(here, y, 0.0), along, down, here


@triton.jit
@no_type_check
def _corner(i, j, here, h, w, BORDER: tl.constexpr):  # noqa: PLR0917
    """Return where row i, column j (at most one beyond the image) is kept, and whether it is."""
    if BORDER == 2:
        over = (i < 0) | (i >= h)
        i = tl.minimum(tl.maximum(i, 0), h - 1)
        j = tl.where(over, j + w // 2, j)
        j = tl.where(j < 0, j + w, j)
        j = tl.where(j >= w, j - w, j)
    else:
        here = here & (i >= 0) & (j >= 0) & (i < h) & (j < w)
    return tl.where(here, i * w + j, 0), here


@triton.jit
@no_type_check
def _add(at, value, mask, scale, WHOLE: tl.constexpr):
    if WHOLE:
        value = tl.floor(value.to(tl.float64) * scale + 0.5).to(tl.int64)
    tl.atomic_add(at, value, mask=mask, sem="relaxed")


@triton.jit
@no_type_check
def scatter(  # noqa: PLR0917
    image,
    uv,
    weight,
    canvas,
    scale,
    h,
    w,
    BORDER: tl.constexpr,
    C: tl.constexpr,
    WHOLE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Add to canvas (b c+1 h w): weight * colour, and weight last."""
    n = tl.program_id(1).to(tl.int64)
    size = h * w
    p = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    x, y, _, _, here = _located(uv + (n * size + p) * 2, p < size, h, w, BORDER)
    j, i = tl.floor(x), tl.floor(y)
    fx, fy = x - j, y - i
    j, i = j.to(tl.int32), i.to(tl.int32)
    n00, in00 = _corner(i, j, here, h, w, BORDER)
    n01, in01 = _corner(i, j + 1, here, h, w, BORDER)
    n10, in10 = _corner(i + 1, j, here, h, w, BORDER)
    n11, in11 = _corner(i + 1, j + 1, here, h, w, BORDER)
    heavy = tl.load(weight + n * size + p, mask=here, other=0.0)
    per = tl.load(scale)
    for k in tl.static_range(C + 1):
        value = heavy
        if k < C:
            value = heavy * tl.load(image + (n * C + k) * size + p, mask=here, other=0.0)
        plane = canvas + (n * (C + 1) + k) * size
        _add(plane + n00, value * (1 - fy) * (1 - fx), in00, per, WHOLE)
        _add(plane + n01, value * (1 - fy) * fx, in01, per, WHOLE)
        _add(plane + n10, value * fy * (1 - fx), in10, per, WHOLE)
        _add(plane + n11, value * fy * fx, in11, per, WHOLE)


@triton.jit
@no_type_check
def divide(  # noqa: PLR0917
    canvas, picture, coverage, scale, size, C: tl.constexpr, WHOLE: tl.constexpr, BLOCK: tl.constexpr
):
    """Fill picture (b c h w) and coverage (b 1 h w) of the canvas."""
    n = tl.program_id(1).to(tl.int64)
    p = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    here = p < size
    total = tl.load(canvas + (n * (C + 1) + C) * size + p, mask=here, other=0)
    per = tl.load(scale)
    covered = total > 0
    for k in tl.static_range(C):
        colour = tl.load(canvas + (n * (C + 1) + k) * size + p, mask=here, other=0)
        if WHOLE:
            colour = colour.to(tl.float64) / tl.where(covered, total, 1).to(tl.float64)
        else:
            colour = colour / tl.where(covered, total, 1.0)
        colour = tl.where(covered, colour, 0.0)
        tl.store(picture + (n * C + k) * size + p, colour.to(picture.dtype.element_ty), mask=here)
    if WHOLE:
        total = total.to(tl.float64) / per
    tl.store(coverage + n * size + p, total.to(coverage.dtype.element_ty), mask=here)


@triton.jit
@no_type_check
def slopes(  # noqa: PLR0917
    picture, coverage, d_picture, d_coverage, slope, size, C: tl.constexpr, BLOCK: tl.constexpr
):
    """Fill slope (b c+1 h w) of the loss by what `scatter` summed: weight * colour, and weight last."""
    n = tl.program_id(1).to(tl.int64)
    p = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    here = p < size
    total = tl.load(coverage + n * size + p, mask=here, other=0.0)
    covered = total > 0
    total = tl.where(covered, total, 1.0)
    last = tl.load(d_coverage + n * size + p, mask=here, other=0.0)
    for k in tl.static_range(C):
        at = (n * C + k) * size + p
        rising = tl.load(d_picture + at, mask=here, other=0.0) / total
        tl.store(slope + (n * (C + 1) + k) * size + p, rising, mask=here)
        last -= tl.where(covered, rising * tl.load(picture + at, mask=here, other=0.0), 0.0)
    tl.store(slope + (n * (C + 1) + C) * size + p, last, mask=here)


@triton.jit
@no_type_check
def gather(  # noqa: PLR0917
    image,
    uv,
    weight,
    slope,
    d_image,
    d_uv,
    d_weight,
    h,
    w,
    BORDER: tl.constexpr,
    C: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Fill the gradients of image, uv and weight from the slopes."""
    n = tl.program_id(1).to(tl.int64)
    size = h * w
    p = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mine = p < size
    x, y, along, down, here = _located(uv + (n * size + p) * 2, mine, h, w, BORDER)
    j, i = tl.floor(x), tl.floor(y)
    fx, fy = x - j, y - i
    j, i = j.to(tl.int32), i.to(tl.int32)
    n00, in00 = _corner(i, j, here, h, w, BORDER)
    n01, in01 = _corner(i, j + 1, here, h, w, BORDER)
    n10, in10 = _corner(i + 1, j, here, h, w, BORDER)
    n11, in11 = _corner(i + 1, j + 1, here, h, w, BORDER)
    heavy = tl.load(weight + n * size + p, mask=here, other=0.0)
    last = slope + (n * (C + 1) + C) * size
    w00 = tl.load(last + n00, mask=in00, other=0.0)
    w01 = tl.load(last + n01, mask=in01, other=0.0)
    w10 = tl.load(last + n10, mask=in10, other=0.0)
    w11 = tl.load(last + n11, mask=in11, other=0.0)
    for k in tl.static_range(C):
        at = (n * C + k) * size + p
        value = tl.load(image + at, mask=here, other=0.0)
        plane = slope + (n * (C + 1) + k) * size
        g00 = tl.load(plane + n00, mask=in00, other=0.0)
        g01 = tl.load(plane + n01, mask=in01, other=0.0)
        g10 = tl.load(plane + n10, mask=in10, other=0.0)
        g11 = tl.load(plane + n11, mask=in11, other=0.0)
        pulled = (1 - fy) * ((1 - fx) * g00 + fx * g01) + fy * ((1 - fx) * g10 + fx * g11)
        tl.store(d_image + at, heavy * pulled, mask=mine)
        w00 += g00 * value
        w01 += g01 * value
        w10 += g10 * value
        w11 += g11 * value
    pulled = (1 - fy) * ((1 - fx) * w00 + fx * w01) + fy * ((1 - fx) * w10 + fx * w11)
    right = (1 - fy) * (w01 - w00) + fy * (w11 - w10)
    under = (1 - fx) * (w10 - w00) + fx * (w11 - w01)
    tl.store(d_weight + n * size + p, pulled, mask=mine)
    tl.store(d_uv + (n * size + p) * 2, heavy * right * (along * w), mask=mine)
    tl.store(d_uv + (n * size + p) * 2 + 1, heavy * under * (down * h), mask=mine)
