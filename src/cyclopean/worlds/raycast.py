"""Which primitive each ray meets first, and what stands between points and a light.

Rays come in blocks of neighbours. Each block is bounded, compared with every primitive's box at once, and only the
pairs that may meet are worked out, many at a time: no step waits for the host once per primitive.

Every primitive is an affine image of a unit shape, so a ray is carried into the unit frame (two small products) and met
there; its parameter t is the same in both frames.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from cyclopean.worlds.arithmetic import length, product
from cyclopean.worlds.noise import value_noise
from cyclopean.worlds.scene import SHAPES, Scene
from cyclopean.worlds.shapes import FAR, MEETINGS

# Points per block where shadows are sought: small blocks are bounded tightly, but there are more of them.
SHADOWED = 64
# Half the unit box, and a little that makes up for rounding far from the origin.
_WIDENED = 1.01
_UNBOUNDED = 1e38
# Rays worked out at a time: on a CPU what fits its cache.
_AT_ONCE = {"cpu": 1 << 15}
_AT_ONCE_ELSEWHERE = 1 << 23


@dataclass(frozen=True)
class Hits:
    """`t` (inf: nothing) multiplies the ray; `index` is the primitive met (their number where t is inf)."""

    t: Float[Tensor, "p m"]
    index: Int[Tensor, "p m"]


@dataclass(frozen=True)
class Bound:
    """A box around each of p blocks of points or directions."""

    middle: Float[Tensor, "3 #p"]
    extent: Float[Tensor, "3 #p"]


@dataclass(frozen=True)
class Pairs:
    """Primitives (`n`) and blocks of rays that may meet, all of one shape."""

    shape: int
    leafy: bool
    n: Int[Tensor, " k"]
    block: Int[Tensor, " k"]


def cast(scene: Scene, origin: Float[Tensor, "p 3"], rays: Float[Tensor, "p 3 m"]) -> Hits:
    """The first primitive along each ray `origin + t * rays`."""
    p, _, m = rays.shape
    nearest = rays.new_full((p, m), FAR).view(torch.int32).to(torch.int64) << 32 | len(scene.shape)
    rows = _between(scene, bound(origin.T[:, :, None]), bound(rays.transpose(0, 1)), FAR)
    # What has holes comes last: most of what they would show is known by then.
    for pairs in _pairs(scene, rows | (scene.shape == 0)[:, None], scene.looks[:, 6] > 0, m):
        inverse = scene.inverse[pairs.n]
        o = product(inverse, (origin[pairs.block] - scene.center[pairs.n])[:, :, None])
        d = product(inverse, rays[pairs.block])
        near, far = MEETINGS[pairs.shape](o, d)
        block = pairs.block[:, None].expand_as(near)
        if pairs.leafy:
            known = (nearest[pairs.block] >> 32).to(torch.int32).view(torch.float32)
            near = _leaf(scene, pairs.n, (o, d), (near, far), known)
        # Positive numbers sort like their bits: the smallest of these is the nearest t and, after it, its primitive.
        key = near.contiguous().view(torch.int32).to(torch.int64) << 32 | pairs.n[:, None]
        nearest.scatter_reduce_(0, block, key, "amin")
    index = (nearest & 0xFFFFFFFF).to(torch.int32)
    t = (nearest >> 32).to(torch.int32).view(torch.float32)
    return Hits(t.masked_fill(index == len(scene.shape), torch.inf), index)


def shadow(scene: Scene, points: Float[Tensor, "3 n"], light: Float[Tensor, " 3"], distant: bool) -> Bool[Tensor, " n"]:
    """Whether something stands between each point and the light (a direction if `distant`, else a position).

    Points that follow each other should be neighbours: they are bounded together. Leaves are closed.
    """
    if not points.shape[1]:
        return points.new_zeros(0, dtype=torch.bool)
    towards = light[:, None] if distant else light[:, None] - points
    start = _blocks(points + towards * (0.002 / length(towards).clamp_min(1e-3)), SHADOWED)
    way = light[None, :, None] if distant else _blocks(towards, SHADOWED)
    reach = FAR if distant else 0.999
    found = torch.full_like(start[:, 0], torch.inf)
    rows = _between(scene, bound(start.transpose(0, 1)), bound(way.transpose(0, 1)), reach)
    for pairs in _pairs(
        scene, rows & (scene.shape > 0)[:, None], torch.zeros_like(scene.shape, dtype=torch.bool), SHADOWED
    ):
        inverse = scene.inverse[pairs.n]
        o = product(inverse, start[pairs.block] - scene.center[pairs.n][:, :, None])
        d = product(inverse, way if distant else way[pairs.block])
        near, _ = MEETINGS[pairs.shape](o, d)
        found.scatter_reduce_(0, pairs.block[:, None].expand_as(near), near, "amin")
    return (found < reach).flatten()[: points.shape[1]]


def bound(x: Float[Tensor, "3 p m"]) -> Bound:
    """The box around each block."""
    high, low = x.amax(2), x.amin(2)
    return Bound((high + low) / 2, (high - low) / 2)


def _blocks(x: Float[Tensor, "3 n"], size: int) -> Float[Tensor, "p 3 size"]:
    """Columns in blocks; the last one is filled up with the last column."""
    missing = -x.shape[1] % size
    x = torch.cat([x, x[:, -1:].expand(3, missing)], 1)
    return x.unflatten(1, (-1, size)).transpose(0, 1).contiguous()


def _between(scene: Scene, start: Bound, way: Bound, reach: float) -> Bool[Tensor, "n p"]:
    """Whether start + t * way, 0 <= t <= reach, may pass through each primitive's box.

    In the unit frame a block is within +-(1 + extents) of the box for the t between `low` and `high`: every axis gives
    two inequalities, each of which bounds t from one side only; from the other side it is moved out of the way.
    """
    shape = (len(scene.shape), max(start.middle.shape[1], way.middle.shape[1]))
    low, high = start.middle.new_zeros(shape), start.middle.new_full(shape, reach)
    offset = product(scene.inverse, scene.center[:, :, None])[:, :, 0]
    for axis in range(3):
        matrix = scene.inverse[:, axis]
        o, d = product(matrix, start.middle) - offset[:, axis, None], product(matrix, way.middle)
        slack, spread = product(matrix.abs(), start.extent) + _WIDENED, product(matrix.abs(), way.extent)
        for room, pace in ((slack - o, d - spread + 1e-20), (slack + o, 1e-20 - d - spread)):  # t * pace <= room
            t, sign = room / pace, pace.sign()
            torch.minimum(high, t.sub(sign.clamp_max(0), alpha=_UNBOUNDED), out=high)
            torch.maximum(low, t.sub(sign.clamp_min(0), alpha=_UNBOUNDED), out=low)
    return low <= high


def _pairs(scene: Scene, rows: Bool[Tensor, "n p"], leafy: Bool[Tensor, " n"], block_size: int) -> Iterator[Pairs]:
    """The pairs that are True in `rows` in portions of one shape, leafy ones last."""
    group = scene.shape + len(SHAPES) * leafy
    order = group.argsort(stable=True)
    place, block = rows[order].nonzero().unbind(1)
    n = order[place]
    ends = torch.searchsorted(group[n], torch.arange(2 * len(SHAPES), device=n.device), right=True).tolist()
    size = max(1, _AT_ONCE.get(n.device.type, _AT_ONCE_ELSEWHERE) // block_size)
    for code, (first, end) in enumerate(zip([0, *ends], ends, strict=False)):
        for k in range(first, end, size):
            part = slice(k, min(k + size, end))
            yield Pairs(code % len(SHAPES), code >= len(SHAPES), n[part], block[part])


def _leaf(
    scene: Scene,
    n: Int[Tensor, " k"],
    ways: tuple[Float[Tensor, "k 3 1"], Float[Tensor, "k 3 m"]],
    meetings: tuple[Float[Tensor, "k m"], Float[Tensor, "k m"]],
    known: Float[Tensor, "k m"],
) -> Float[Tensor, "k m"]:
    """t of the first meeting with a leaf (inf: none) on `ways` o + t * d that is nearer than what is `known`."""
    o, d = ways
    leaf = torch.full_like(known, torch.inf)
    for t in meetings:
        i, j = (t < torch.minimum(known, leaf)).nonzero().unbind(1)
        unit = o[i, :, 0] + t[i, j, None] * d[i, :, j]
        leaf[i, j] = torch.where(_solid(scene, n[i], unit.T), t[i, j], leaf[i, j])
    return leaf


def _solid(scene: Scene, n: Int[Tensor, " k"], unit: Float[Tensor, "3 k"]) -> Bool[Tensor, " k"]:
    """Whether foliage n has a leaf at points of the unit shape: noise above the share of holes."""
    seed = scene.looks[n, 7].to(torch.int32)
    at = unit * (scene.half[n].T * scene.looks[n, 1])
    leaf = 0.65 * value_noise(at, seed) + 0.35 * value_noise(at * 2.7, seed + 7)
    return leaf > 0.25 + 0.5 * scene.looks[n, 6]
