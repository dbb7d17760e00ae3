"""Where rays meet unit shapes: those of `SHAPES`, in that order.

A ray is o + t * d. Each function gives the t of the first meeting and of the last one (the same where only one is
needed); a t of at least FAR means that they do not meet. All is plain arithmetic: a condition that fails adds a penalty
that no distance reaches, because selecting by masks is many times slower than adding on a CPU.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from cyclopean.synthetic.batch import Lights, SceneBatch, own
from cyclopean.synthetic.cutouts import IN_ORDER
from cyclopean.synthetic.noise import length, product
from cyclopean.synthetic.scene import CUTS, SHAPES

# Beyond this many metres a ray has met nothing: the ground fades into the sky.
FAR = 3000.0
_PENALTY = 1e30
# Keeps divisions finite; far below the rounding of any direction that is not exactly 0.
_TINY = 1e-20

Origin = Float[Tensor, "k 3 #m"]
Direction = Float[Tensor, "k 3 #m"]
Meeting = Float[Tensor, "k m"]
Form = Float[Tensor, "3 k 1"]  # of a primitive: its taper in x and in z, and its height over its width


def _failed(*excesses: Tensor) -> Tensor:
    """Return a penalty where any of these is above 0."""
    total = torch.relu(excesses[0])
    for excess in excesses[1:]:
        total = total + torch.relu(excess)
    return total * _PENALTY


def _plane(o: Origin, d: Direction) -> tuple[Meeting, Meeting]:
    t = -o[:, 1] / (d[:, 1] + _TINY)
    t = t + _failed(1e-4 - t)
    return t, t


def _box(o: Origin, d: Direction) -> tuple[Meeting, Meeting]:
    inverse = (d + _TINY).reciprocal()
    middle, reach = o * inverse, inverse.abs()
    enter, leave = middle + reach, middle - reach
    near = -torch.minimum(torch.minimum(enter[:, 0], enter[:, 1]), enter[:, 2])
    far = -torch.maximum(torch.maximum(leave[:, 0], leave[:, 1]), leave[:, 2])
    missed = _failed(near - far, -near)
    return near + missed, far + missed


def _ellipsoid(o: Origin, d: Direction) -> tuple[Meeting, Meeting]:
    a, b, c = _dot(d, d), _dot(o, d), _dot(o, o) - 1
    root = b * b - a * c
    missed = _failed(-root, b, -c)
    root = torch.relu(root).sqrt()
    return (-b - root) / a + missed, (root - b) / a + missed


def _cylinder(o: Origin, d: Direction) -> tuple[Meeting, Meeting]:
    ox, oy, oz = o.unbind(1)
    dx, dy, dz = d.unbind(1)
    a = (dx * dx + dz * dz).clamp_min(1e-12)
    b, c = ox * dx + oz * dz, ox * ox + oz * oz - 1
    root = b * b - a * c
    side = (-b - torch.relu(root).sqrt()) / a
    side = side + _failed(-root, (oy + side * dy).abs() - 1, -side)
    lid = (-dy.sign() - oy) / (dy + _TINY)
    lid = lid + _failed((ox + lid * dx).square() + (oz + lid * dz).square() - 1, -lid)
    near = torch.minimum(side, lid)
    return near, near


def _cone(o: Origin, d: Direction) -> tuple[Meeting, Meeting]:
    # x² + z² = ((y + 1) / 2)²: tip at y = -1 (up), base of radius 1 at y = +1.
    ox, oy, oz = o.unbind(1)
    dx, dy, dz = d.unbind(1)
    k, m = dy / 2, (oy + 1) / 2
    a = dx * dx + dz * dz - k * k + _TINY
    b, c = ox * dx + oz * dz - m * k, ox * ox + oz * oz - m * m
    root = b * b - a * c
    s = torch.relu(root).sqrt()
    base = (1 - oy) / (dy + _TINY)
    near = base + _failed((ox + base * dx).square() + (oz + base * dz).square() - 1, -base)
    for t in ((-b - s) / a, (s - b) / a):
        near = torch.minimum(near, t + _failed(-root, (oy + t * dy).abs() - 1, -t))
    return near, near


def _capsule(o: Origin, d: Direction, form: Form) -> tuple[Meeting, Meeting]:
    """Meet the hull of two balls on the y axis: of radius 1 below, of radius `taper` above, where y is stretched such
    that both are round.
    """
    small, _, stretch = form
    span = 2 * stretch - 1 - small  # from centre to centre
    slope = (1 - small) / span
    narrow = 1 - slope * slope
    ox, oz, dx, dz = o[:, 0], o[:, 2], d[:, 0], d[:, 2]
    up, rise = (stretch - 1) - stretch * o[:, 1], -stretch * d[:, 1]  # from the lower centre
    wide, grows = 1 - slope * up, -slope * rise
    across, towards, away = dx * dx + dz * dz, ox * dx + oz * dz, ox * ox + oz * oz
    a = across - grows * grows / narrow
    b, c = towards - wide * grows / narrow, away - wide * wide / narrow
    root = b * b - a * c
    near = (-b - torch.relu(root).sqrt()) / (a + _TINY)
    height = up + near * rise
    near = near + _failed(-root, slope - height, height - (span + small * slope), -near)
    a = across + rise * rise
    for centre, radius in ((torch.zeros_like(span), torch.ones_like(span)), (span, small)):
        above = up - centre
        b, c = towards + above * rise, away + above * above - radius * radius
        root = b * b - a * c
        near = torch.minimum(near, (-b - torch.relu(root).sqrt()) / a + _failed(-root, b, -c))
    return near, near


def _wedge(o: Origin, d: Direction, form: Form) -> tuple[Meeting, Meeting]:
    """Meet a box whose top, at y = -1, is `taper` as wide: between six planes, each of which is entered or left."""
    near, far = torch.full_like(d[:, 0] + o[:, 0], -_PENALTY), torch.full_like(d[:, 0] + o[:, 0], _PENALTY)
    none = torch.zeros_like(form[0])
    for axis, top in ((0, form[0]), (2, form[1]), (1, None)):
        widens, half = (none, none + 1) if top is None else ((1 - top) / 2, (1 + top) / 2)
        lean, leans = half + widens * o[:, 1], widens * d[:, 1]
        for sign in (-1, 1):
            pace = sign * d[:, axis] - leans + _TINY
            t, entering = (lean - sign * o[:, axis]) / pace, pace.sign()
            near = torch.maximum(near, t - _PENALTY * entering.clamp_min(0))
            far = torch.minimum(far, t - _PENALTY * entering.clamp_max(0))
    missed = _failed(near - far, -near)
    return near + missed, far + missed


def _frustum(o: Origin, d: Direction, form: Form) -> tuple[Meeting, Meeting]:
    """Meet a round one of radius 1 below, at y = +1, and `taper` above."""
    widens, half = (1 - form[0]) / 2, (1 + form[0]) / 2
    ox, oy, oz = o.unbind(1)
    dx, dy, dz = d.unbind(1)
    k, m = widens * dy, half + widens * oy
    a = dx * dx + dz * dz - k * k + _TINY
    b, c = ox * dx + oz * dz - m * k, ox * ox + oz * oz - m * m
    root = b * b - a * c
    s = torch.relu(root).sqrt()
    lid = (-dy.sign() - oy) / (dy + _TINY)
    rim = (half - widens * dy.sign()).square()
    near = lid + _failed((ox + lid * dx).square() + (oz + lid * dz).square() - rim, -lid)
    for t in ((-b - s) / a, (s - b) / a):
        near = torch.minimum(near, t + _failed(-root, (oy + t * dy).abs() - 1, -t))
    return near, near


def _dot(x: Tensor, y: Tensor) -> Tensor:
    return x[:, 0] * y[:, 0] + x[:, 1] * y[:, 1] + x[:, 2] * y[:, 2]


MEETINGS = (_plane, _box, _ellipsoid, _cylinder, _cone)
TAPERED = (_capsule, _wedge, _frustum)


def meet(
    scene: SceneBatch, shape: int, n: Int[Tensor, " k"], ways: tuple[Origin, Direction]
) -> tuple[Meeting, Meeting]:
    """Return the first and the last meeting of `ways`, o + t * d in unit frames, with primitives `n` of one shape."""
    if shape < len(MEETINGS):
        return MEETINGS[shape](*ways)
    half = scene.half[n]
    form = torch.stack([*scene.taper[n].unbind(1), half[:, 1] / half[:, 0]])[:, :, None]
    return TAPERED[shape - len(MEETINGS)](*ways, form)


# Points per block where shadows are sought: small blocks are bounded tightly, but there are more of them.
SHADOWED = 64
# Half the unit box, and a little that makes up for rounding far from the origin.
_WIDENED = 1.01
_UNBOUNDED = 1e38
_OPEN = CUTS.index("bars")  # what is cut in this way or a later one casts no shadow
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
    """A box around each of p blocks of points or directions in each of b scenes."""

    middle: Float[Tensor, "b 3 #p"]
    extent: Float[Tensor, "b 3 #p"]


@dataclass(frozen=True)
class RayPairs:
    """Primitives (`n`) and blocks of rays that may meet, all of one shape and with holes cut in one way (0: none, else
    1 + its place in `CUTS`).
    """

    shape: int
    cut: int
    n: Int[Tensor, " k"]
    block: Int[Tensor, " k"]


def cast(scene: SceneBatch, origin: Float[Tensor, "p 3"], rays: Float[Tensor, "p 3 m"]) -> Hits:
    """Return the first primitive along each ray `origin + t * rays`; blocks of the first scene, then of the second,
    ...
    """
    p, _, m = rays.shape
    nearest = rays.new_full((p, m), FAR).view(torch.int32).to(torch.int64) << 32 | len(scene.shape)
    shape = scene.shape.unflatten(0, (scene.number, -1, 1))
    rows = _between(scene, bound(origin[:, :, None], scene.number), bound(rays, scene.number), FAR)
    # What has holes comes last: most of what they would show is known by then.
    cuts = torch.where(scene.looks[:, 6] > 0, 1 + scene.looks[:, 8], 0).to(scene.shape.dtype)
    for pairs in _pairs(scene, rows & (shape > 0) | (shape == 0), cuts, m):
        inverse = scene.inverse[pairs.n]
        o = product(inverse, (origin[pairs.block] - scene.center[pairs.n])[:, :, None])
        d = product(inverse, rays[pairs.block])
        near, far = meet(scene, pairs.shape, pairs.n, (o, d))
        block = pairs.block[:, None].expand_as(near)
        if pairs.cut:
            known = (nearest[pairs.block] >> 32).to(torch.int32).view(torch.float32)
            near = _solid(scene, pairs, (o, d), (near, far), known)
        # Positive numbers sort like their bits: the smallest of these is the nearest t and, after it, its primitive.
        key = near.contiguous().view(torch.int32).to(torch.int64) << 32 | pairs.n[:, None]
        nearest.scatter_reduce_(0, block, key, "amin")
    index = (nearest & 0xFFFFFFFF).to(torch.int32)
    t = (nearest >> 32).to(torch.int32).view(torch.float32)
    return Hits(t.masked_fill(index == len(scene.shape), torch.inf), index)


def shadow(
    scene: SceneBatch, points: Float[Tensor, "3 n"], light: Lights, world: Int[Tensor, " n"] | None
) -> Bool[Tensor, " n"]:
    """Return whether something stands between each point and the light of its scene.

    Points that follow each other should be neighbours: they are bounded together. Leaves are closed, bars and nets are
    not there.
    """
    n = points.shape[1]
    if not n:
        return points.new_zeros(0, dtype=torch.bool)
    distant = light.reach is None
    towards = own(light.position, world) - (0 if distant else points)
    members = _blocks(n, scene.number, world, points)
    start = _in_blocks(points + towards * (0.002 / length(towards).clamp_min(1e-3)), members)
    way = light.position.T[:, :, None] if distant else _in_blocks(towards, members)
    reach = FAR if distant else 0.999
    found = torch.full_like(start[:, 0], torch.inf)
    rows = _between(scene, bound(start, scene.number), bound(way, scene.number), reach)
    filled = (members[:, 0] < n).unflatten(0, (scene.number, 1, -1))
    open_ = (scene.looks[:, 6] > 0) & (scene.looks[:, 8] >= _OPEN)
    rows &= filled & ((scene.shape > 0) & ~open_).unflatten(0, (scene.number, -1, 1))
    per_way = len(start) // len(way)  # blocks: all of a scene share the direction to their sun
    for pairs in _pairs(scene, rows, torch.zeros_like(scene.shape), SHADOWED):
        inverse = scene.inverse[pairs.n]
        o = product(inverse, start[pairs.block] - scene.center[pairs.n][:, :, None])
        near, _ = meet(scene, pairs.shape, pairs.n, (o, product(inverse, way[pairs.block // per_way])))
        found.scatter_reduce_(0, pairs.block[:, None].expand_as(near), near, "amin")
    hidden = points.new_zeros(n + 1, dtype=torch.bool)
    return hidden.index_copy_(0, members.flatten(), (found < reach).flatten())[:n]


def bound(x: Float[Tensor, "q 3 m"], scenes: int) -> Bound:
    """Return the box around each block, those of the first scene first."""
    high, low = x.amax(2), x.amin(2)
    middle, extent = (y.unflatten(0, (scenes, -1)).transpose(1, 2) for y in ((high + low) / 2, (high - low) / 2))
    return Bound(middle, extent)


def _blocks(n: int, scenes: int, world: Int[Tensor, " n"] | None, like: Tensor) -> Int[Tensor, "q 64"]:
    """Return the numbers of the points in blocks of one scene each, as many for every scene; what is not filled has
    number n.

    A block's last point stands for those that it lacks.
    """
    if world is None:
        return _whole_blocks(n, like).clamp(max=n - 1)
    ordered, order = world.sort(stable=True)
    ends = torch.searchsorted(ordered, torch.arange(scenes + 1, device=like.device))
    first, size = ends[:-1, None, None], ends.diff()[:, None, None]
    place = _whole_blocks(int(size.max()), like).expand(scenes, -1, -1)
    number = order[(first + torch.minimum(place, size - 1)).clamp(0, n - 1)]
    return torch.where(place[:, :, :1] < size, number, n).flatten(0, 1)


def _whole_blocks(n: int, like: Tensor) -> Int[Tensor, "p 64"]:
    """Return 0, 1, 2 and so on in as many blocks as hold n of them."""
    return torch.arange(-(-n // SHADOWED) * SHADOWED, device=like.device).unflatten(0, (-1, SHADOWED))


def _in_blocks(x: Float[Tensor, "3 n"], members: Int[Tensor, "q m"]) -> Float[Tensor, "q 3 m"]:
    """Return columns in blocks; the last one where there is none."""
    chosen = x.index_select(1, members.flatten().clamp(max=x.shape[1] - 1))
    return chosen.unflatten(1, members.shape).transpose(0, 1).contiguous()


def _between(scene: SceneBatch, start: Bound, way: Bound, reach: float) -> Bool[Tensor, "b n p"]:
    """Return whether start + t * way, 0 <= t <= reach, may pass through the box of each primitive of its scene.

    In the unit frame a block is within +-(1 + extents) of the box for the t between `low` and `high`: every axis gives
    two inequalities, each of which bounds t from one side only; from the other side it is moved out of the way.
    """
    inverse = scene.inverse.unflatten(0, (scene.number, -1))
    shape = (*inverse.shape[:2], max(start.middle.shape[2], way.middle.shape[2]))
    low, high = start.middle.new_zeros(shape), start.middle.new_full(shape, reach)
    offset = product(scene.inverse, scene.center[:, :, None]).unflatten(0, shape[:2])
    for axis in range(3):
        matrix = inverse[:, :, axis]
        o, d = product(matrix, start.middle) - offset[:, :, axis], product(matrix, way.middle)
        slack, spread = product(matrix.abs(), start.extent) + _WIDENED, product(matrix.abs(), way.extent)
        for room, pace in ((slack - o, d - spread + 1e-20), (slack + o, 1e-20 - d - spread)):  # t * pace <= room
            t, sign = room / pace, pace.sign()
            torch.minimum(high, t.sub(sign.clamp_max(0), alpha=_UNBOUNDED), out=high)
            torch.maximum(low, t.sub(sign.clamp_min(0), alpha=_UNBOUNDED), out=low)
    return low <= high


def _pairs(
    scene: SceneBatch, rows: Bool[Tensor, "b n p"], cuts: Int[Tensor, " r"], block_size: int
) -> Iterator[RayPairs]:
    """Return the pairs that are True in `rows` in portions of one shape and cut, those with holes last."""
    _, per_scene, blocks = rows.shape
    group = scene.shape + len(SHAPES) * cuts
    order = group.argsort(stable=True)
    place, block = rows.flatten(0, 1)[order].nonzero().unbind(1)
    n = order[place]
    if scene.number > 1:
        block = block + n // per_scene * blocks
    ends = torch.searchsorted(
        group[n], torch.arange((1 + len(CUTS)) * len(SHAPES), device=n.device), right=True
    ).tolist()
    size = max(1, _AT_ONCE.get(n.device.type, _AT_ONCE_ELSEWHERE) // block_size)
    for code, (first, end) in enumerate(zip([0, *ends], ends, strict=False)):
        for k in range(first, end, size):
            part = slice(k, min(k + size, end))
            yield RayPairs(code % len(SHAPES), code // len(SHAPES), n[part], block[part])


def _solid(
    scene: SceneBatch,
    pairs: RayPairs,
    ways: tuple[Float[Tensor, "k 3 1"], Float[Tensor, "k 3 m"]],
    meetings: tuple[Float[Tensor, "k m"], Float[Tensor, "k m"]],
    known: Float[Tensor, "k m"],
) -> Float[Tensor, "k m"]:
    """Return t of the first meeting with what is left of surfaces with holes (inf: none) on `ways` o + t * d that is
    nearer than what is `known`.
    """
    o, d = ways
    first = torch.full_like(known, torch.inf)
    for t in meetings:
        i, j = (t < torch.minimum(known, first)).nonzero().unbind(1)
        unit = o[i, :, 0] + t[i, j, None] * d[i, :, j]
        n = pairs.n[i]
        solid = IN_ORDER[pairs.cut - 1](unit.T, unit.T * scene.half[n].T, scene.looks[n])
        first[i, j] = torch.where(solid, t[i, j], first[i, j])
    return first
