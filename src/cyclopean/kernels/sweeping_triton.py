"""The kernels of `sweeping_gpu`, for a block of pixels of one item each; the steps are those of `sweeping_loops`.

`no_type_check` keeps wrappers that check types off functions that Triton reads.
"""

from typing import no_type_check

import triton
import triton.language as tl


@triton.jit
@no_type_check
def _line(at, size, mine):
    """Return the four rows of a start or a slope."""
    x = tl.load(at, mask=mine, other=0.0)
    y = tl.load(at + size, mask=mine, other=0.0)
    z = tl.load(at + 2 * size, mask=mine, other=1.0)
    return x, y, z, tl.load(at + 3 * size, mask=mine, other=0.0)


@triton.jit
@no_type_check
def _inverse_depth(k, values, shares, bent, N: tl.constexpr, BENT: tl.constexpr):  # noqa: PLR0917
    """Return level k of the pixels, and its derivative by their exponents `bent`."""
    rho, by_exponent = tl.load(values + k) + bent * 0, bent * 0
    if BENT:
        span, share, most = tl.load(shares), tl.load(shares + k + 1), tl.load(values + N - 1)
        power = tl.exp(bent * share)
        curved = most * tl.exp(span * (power - 1))
        rho = tl.where(k > 0, curved, rho)
        by_exponent = tl.where(k > 0, curved * span * power * share, 0.0)
    return rho, by_exponent


@triton.jit
@no_type_check
def _place(rho, ax, ay, az, a_s, bx, by, bz, bs, margin, h, w):  # noqa: PLR0917
    """Return uv, 1 / z, column and row as real numbers, and which pixels have a place; 0 for the others."""
    per = 1 / (az + rho * bz)
    u, v = (ax + rho * bx) * per, (ay + rho * by) * per
    x, y = u * w - 0.5, v * h - 0.5
    seen = (a_s + rho * bs > 0) & (u >= -margin) & (u <= 1 + margin) & (v >= -margin) & (v <= 1 + margin)
    seen = seen & (x > -1) & (x < w) & (y > -1) & (y < h)
    u, v, per = tl.where(seen, u, 0.0), tl.where(seen, v, 0.0), tl.where(seen, per, 0.0)
    return u, v, per, tl.where(seen, x, 0.0), tl.where(seen, y, 0.0), seen


@triton.jit
@no_type_check
def _corners(x, y, seen, h, w):
    """Return how far a place is from the upper left of four pixels, their indices, and which are in the picture."""
    j, i = tl.floor(x), tl.floor(y)
    fx, fy = x - j, y - i
    j, i = j.to(tl.int32), i.to(tl.int32)
    left, right, top, bottom = seen & (j >= 0), seen & (j + 1 < w), i >= 0, i + 1 < h
    n = i * w + j
    return fx, fy, n, left & top, right & top, left & bottom, right & bottom


@triton.jit
@no_type_check
def _colours(image, n, here, size, C: tl.constexpr, ROOM: tl.constexpr):  # noqa: PLR0917
    """Return the channels of pixels `n`, side by side."""
    q = tl.arange(0, ROOM)[None, :]
    return tl.load(image + q * size + n[:, None], mask=here[:, None] & (q < C), other=0.0)


@triton.jit
@no_type_check
def render(  # noqa: PLR0917
    values, shares, margin, image, logits, start, slope, exponents, made, norm, h, w, pixels,
    N: tl.constexpr, BENT: tl.constexpr, BLOCK: tl.constexpr, C: tl.constexpr, ROOM: tl.constexpr,
):  # fmt: skip
    """Fill made (b c h2 w2) and norm (b h2 w2)."""
    item, size = tl.program_id(1).to(tl.int64), h * w
    p = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mine, q = p < pixels, tl.arange(0, ROOM)[None, :]
    image += item * C * size
    logits += item * N * size
    ax, ay, az, a_s = _line(start + item * 4 * pixels + p, pixels, mine)
    bx, by, bz, bs = _line(slope + item * 4 * pixels + p, pixels, mine)
    bent = ax * 0
    if BENT:
        bent = tl.load(exponents + item * pixels + p, mask=mine, other=1.0)
    most, weights = ax * 0 - float("inf"), ax * 0
    total = weights[:, None] + q * 0
    for k in range(N):
        rho, _ = _inverse_depth(k, values, shares, bent, N, BENT)
        _, _, _, x, y, seen = _place(rho, ax, ay, az, a_s, bx, by, bz, bs, margin, h, w)
        fx, fy, n, in00, in01, in10, in11 = _corners(x, y, seen & mine, h, w)
        s00, s01, s10, s11 = (1 - fx) * (1 - fy), fx * (1 - fy), (1 - fx) * fy, fx * fy
        plane = logits + k * size
        logit = s00 * tl.load(plane + n, mask=in00, other=0.0) + s01 * tl.load(plane + n + 1, mask=in01, other=0.0)
        logit += s10 * tl.load(plane + n + w, mask=in10, other=0.0)
        logit += s11 * tl.load(plane + n + w + 1, mask=in11, other=0.0)
        colour = s00[:, None] * _colours(image, n, in00, size, C, ROOM)
        colour += s01[:, None] * _colours(image, n + 1, in01, size, C, ROOM)
        colour += s10[:, None] * _colours(image, n + w, in10, size, C, ROOM)
        colour += s11[:, None] * _colours(image, n + w + 1, in11, size, C, ROOM)
        more = tl.maximum(most, logit)
        less, weight = tl.exp(most - more), tl.exp(logit - more)
        most, weights = more, weights * less + weight
        total = total * less[:, None] + weight[:, None] * colour
    tl.store(norm + item * pixels + p, most + tl.log(weights), mask=mine)
    tl.store(made + (item * C + q) * pixels + p[:, None], total / weights[:, None], mask=mine[:, None] & (q < C))


@triton.jit
@no_type_check
def differentiate(  # noqa: PLR0915, PLR0917
    values, shares, margin, image, logits, start, slope, exponents, made, norm,
    d_made, d_image, d_logits, d_start, d_slope, d_exponents, h, w, pixels,
    N: tl.constexpr, BENT: tl.constexpr, BLOCK: tl.constexpr, C: tl.constexpr, ROOM: tl.constexpr,
    WANTED: tl.constexpr,
):  # fmt: skip
    """Fill the gradients of the inputs; add to those of logits and image, which begin at 0."""
    item, size = tl.program_id(1).to(tl.int64), h * w
    p = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mine, q = p < pixels, tl.arange(0, ROOM)[None, :]
    image += item * C * size
    logits += item * N * size
    d_logits += item * N * size
    ax, ay, az, a_s = _line(start + item * 4 * pixels + p, pixels, mine)
    bx, by, bz, bs = _line(slope + item * 4 * pixels + p, pixels, mine)
    bent = ax * 0
    if BENT:
        bent = tl.load(exponents + item * pixels + p, mask=mine, other=1.0)
    there, channel = (item * C + q) * pixels + p[:, None], mine[:, None] & (q < C)
    g = tl.load(d_made + there, mask=channel, other=0.0)
    mean = tl.sum(g * tl.load(made + there, mask=channel, other=0.0), 1)
    norms = tl.load(norm + item * pixels + p, mask=mine, other=0.0)
    dax, day, daz, dbx, dby, dbz, de = ax * 0, ax * 0, ax * 0, ax * 0, ax * 0, ax * 0, ax * 0
    for k in range(N):
        rho, by_exponent = _inverse_depth(k, values, shares, bent, N, BENT)
        u, v, per, x, y, seen = _place(rho, ax, ay, az, a_s, bx, by, bz, bs, margin, h, w)
        fx, fy, n, in00, in01, in10, in11 = _corners(x, y, seen & mine, h, w)
        s00, s01, s10, s11 = (1 - fx) * (1 - fy), fx * (1 - fy), (1 - fx) * fy, fx * fy
        plane = logits + k * size
        l00 = tl.load(plane + n, mask=in00, other=0.0)
        l01 = tl.load(plane + n + 1, mask=in01, other=0.0)
        l10 = tl.load(plane + n + w, mask=in10, other=0.0)
        l11 = tl.load(plane + n + w + 1, mask=in11, other=0.0)
        v00 = tl.sum(g * _colours(image, n, in00, size, C, ROOM), 1)
        v01 = tl.sum(g * _colours(image, n + 1, in01, size, C, ROOM), 1)
        v10 = tl.sum(g * _colours(image, n + w, in10, size, C, ROOM), 1)
        v11 = tl.sum(g * _colours(image, n + w + 1, in11, size, C, ROOM), 1)
        weight = tl.exp(s00 * l00 + s01 * l01 + s10 * l10 + s11 * l11 - norms)
        rise = weight * (s00 * v00 + s01 * v01 + s10 * v10 + s11 * v11 - mean)
        plane = d_logits + k * size
        tl.atomic_add(plane + n, s00 * rise, mask=in00, sem="relaxed")
        tl.atomic_add(plane + n + 1, s01 * rise, mask=in01, sem="relaxed")
        tl.atomic_add(plane + n + w, s10 * rise, mask=in10, sem="relaxed")
        tl.atomic_add(plane + n + w + 1, s11 * rise, mask=in11, sem="relaxed")
        if WANTED:
            at, share = d_image + (item * C + q) * size + n[:, None], weight[:, None] * g
            tl.atomic_add(at, s00[:, None] * share, mask=in00[:, None] & (q < C), sem="relaxed")
            tl.atomic_add(at + 1, s01[:, None] * share, mask=in01[:, None] & (q < C), sem="relaxed")
            tl.atomic_add(at + w, s10[:, None] * share, mask=in10[:, None] & (q < C), sem="relaxed")
            tl.atomic_add(at + w + 1, s11[:, None] * share, mask=in11[:, None] & (q < C), sem="relaxed")
        v00, v01 = rise * l00 + weight * v00, rise * l01 + weight * v01
        v10, v11 = rise * l10 + weight * v10, rise * l11 + weight * v11
        dx = ((1 - fy) * (v01 - v00) + fy * (v11 - v10)) * w * per
        dy = ((1 - fx) * (v10 - v00) + fx * (v11 - v01)) * h * per
        dz = -u * dx - v * dy
        dax, day, daz = dax + dx, day + dy, daz + dz
        dbx, dby, dbz = dbx + rho * dx, dby + rho * dy, dbz + rho * dz
        de += (dx * bx + dy * by + dz * bz) * by_exponent
    at = item * 4 * pixels + p
    tl.store(d_start + at, dax, mask=mine)
    tl.store(d_start + at + pixels, day, mask=mine)
    tl.store(d_start + at + 2 * pixels, daz, mask=mine)
    tl.store(d_start + at + 3 * pixels, ax * 0, mask=mine)
    tl.store(d_slope + at, dbx, mask=mine)
    tl.store(d_slope + at + pixels, dby, mask=mine)
    tl.store(d_slope + at + 2 * pixels, dbz, mask=mine)
    tl.store(d_slope + at + 3 * pixels, ax * 0, mask=mine)
    if BENT:
        tl.store(d_exponents + item * pixels + p, de, mask=mine)


@triton.jit
@no_type_check
def _share(plane, norm, n, here):
    """Return the softmax of a level at pixels `n`; 0 outside."""
    softmax = tl.exp(tl.load(plane + n, mask=here, other=0.0) - tl.load(norm + n, mask=here, other=0.0))
    return tl.where(here, softmax, 0.0)


@triton.jit
@no_type_check
def cover(  # noqa: PLR0917
    values, shares, margin, logits, norm, start, slope, exponents, coverage, h, w, pixels,
    N: tl.constexpr, BENT: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Fill coverage (b h2 w2) from logits (b n h w) and their norm (b h w)."""
    item, size = tl.program_id(1).to(tl.int64), h * w
    p = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mine = p < pixels
    norm += item * size
    ax, ay, az, a_s = _line(start + item * 4 * pixels + p, pixels, mine)
    bx, by, bz, bs = _line(slope + item * 4 * pixels + p, pixels, mine)
    bent = ax * 0
    if BENT:
        bent = tl.load(exponents + item * pixels + p, mask=mine, other=1.0)
    total = ax * 0
    for k in range(N):
        rho, _ = _inverse_depth(k, values, shares, bent, N, BENT)
        _, _, _, x, y, seen = _place(rho, ax, ay, az, a_s, bx, by, bz, bs, margin, h, w)
        fx, fy, n, in00, in01, in10, in11 = _corners(x, y, seen & mine, h, w)
        plane = logits + (item * N + k) * size
        upper = (1 - fx) * _share(plane, norm, n, in00) + fx * _share(plane, norm, n + 1, in01)
        lower = (1 - fx) * _share(plane, norm, n + w, in10) + fx * _share(plane, norm, n + w + 1, in11)
        total += (1 - fy) * upper + fy * lower
    tl.store(coverage + item * pixels + p, tl.minimum(total, 1.0), mask=mine)
