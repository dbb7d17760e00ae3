"""Which primitive each ray meets first, and where. Primitives are culled to the screen boxes they can touch.

Every primitive is an affine image of a unit shape, so a ray is carried into the unit frame (two small products) and met
there; its parameter t is the same in both frames.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from cyclopean.worlds.noise import length, value_noise
from cyclopean.worlds.scene import Scene

TILE = 16
# Beyond this many metres a ray has met nothing: the ground fades into the sky.
HORIZON = 3000.0

Rays = Float[Tensor, "3 h w"]
Depths = Float[Tensor, "h w"]
Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Hits:
    """`t` (inf: nothing) multiplies the ray; `index` is the primitive met (undefined where t is inf)."""

    t: Float[Tensor, "h w"]
    index: Int[Tensor, "h w"]


def cast(scene: Scene, origin: Float[Tensor, " 3"], rays: Rays) -> Hits:
    """The first primitive along each ray `origin + t * rays`."""
    h, w = rays.shape[1:]
    t = torch.full((h, w), HORIZON, device=rays.device)
    index = torch.full((h, w), -1, dtype=torch.int32, device=rays.device)
    for n, (top, bottom, left, right) in _boxes(scene, _tiles_seen(scene, origin, rays), (h, w)):
        part = (slice(top, bottom), slice(left, right))
        found = _meet(scene, n, origin, rays[(slice(None), *part)], t[part])
        nearer = found < t[part]
        t[part] = torch.where(nearer, found, t[part])
        index[part] = torch.where(nearer, n, index[part])
    return Hits(torch.where(index < 0, torch.inf, t), index)


def shadow(
    scene: Scene, points: Rays, light: Float[Tensor, " 3"], distant: bool, facing: Bool[Tensor, "h w"]
) -> Bool[Tensor, "h w"]:
    """Whether something stands between each point and the light (a direction if `distant`, else a position)."""
    h, w = points.shape[1:]
    towards = light[:, None, None].expand_as(points) if distant else light[:, None, None] - points
    reach = HORIZON if distant else 0.999
    dark = torch.zeros(h, w, dtype=torch.bool, device=points.device)
    start = points + towards * (0.002 / length(towards).clamp_min(1e-3))
    for n, (top, bottom, left, right) in _boxes(scene, _tiles_shaded(scene, points, light, distant, facing), (h, w)):
        part = (slice(top, bottom), slice(left, right))
        local = (slice(None), *part)
        found = _meet(scene, n, start[local], towards[local], None)
        dark[part] |= found < reach
    return dark & facing


def _boxes(scene: Scene, tiles: Bool[Tensor, "n th tw"], size: tuple[int, int]) -> list[tuple[int, Box]]:
    """(primitive, screen box) for every primitive that touches a tile."""
    rows, columns = tiles.any(2).cpu().numpy(), tiles.any(1).cpu().numpy()
    boxes = []
    for n in range(len(scene.shape)):
        if rows[n].any():
            i, j = rows[n].nonzero()[0], columns[n].nonzero()[0]
            bottom, right = min(size[0], (int(i[-1]) + 1) * TILE), min(size[1], (int(j[-1]) + 1) * TILE)
            boxes.append((n, (int(i[0]) * TILE, bottom, int(j[0]) * TILE, right)))
    return boxes


def _pooled(x: Float[Tensor, "c h w"]) -> tuple[Float[Tensor, "c th tw"], Float[Tensor, "c th tw"]]:
    """Middle and half extent of x over tiles."""
    high = torch.nn.functional.max_pool2d(x[None], TILE, ceil_mode=True)[0]
    low = -torch.nn.functional.max_pool2d(-x[None], TILE, ceil_mode=True)[0]
    return (high + low) / 2, (high - low) / 2


def _tiles_seen(scene: Scene, origin: Float[Tensor, " 3"], rays: Rays) -> Bool[Tensor, "n th tw"]:
    """Tiles whose cone of rays may touch a primitive's bounding sphere."""
    middle, spread = _pooled(rays / length(rays))
    axis = middle / length(middle)
    # Half angle of a tile's cone: the farthest corner of the box of its unit rays, as a chord.
    cone = 2 * (length(spread) + (length(middle) - 1).abs()).div(2).clamp(max=1).asin()
    towards = scene.center - origin
    distance = towards.norm(dim=1)
    angle = torch.einsum("nc,chw->nhw", towards / distance[:, None], axis).clamp(-1, 1).acos()
    ball = (scene.radius / distance).clamp(max=1).asin()
    return (angle <= cone + ball[:, None, None]) | (scene.radius >= distance)[:, None, None]


def _tiles_shaded(
    scene: Scene, points: Rays, light: Float[Tensor, " 3"], distant: bool, facing: Bool[Tensor, "h w"]
) -> Bool[Tensor, "n th tw"]:
    """Tiles between whose points and the light a primitive's bounding box, widened by the tile's extent, may stand."""
    middle, spread = _pooled(points)
    towards = light[:, None, None].expand_as(middle) if distant else light[:, None, None] - middle
    th, tw = middle.shape[1:]
    o = (scene.inverse @ (middle.flatten(1)[None] - scene.center[:, :, None])).view(-1, 3, th, tw)
    d = (scene.inverse @ towards.flatten(1)).view(-1, 3, th, tw)
    slack = 1 + length(spread) / scene.half[:, :, None, None]
    slope = 1 / torch.where(d == 0, 1e-12, d)
    low, high = (-o * slope - slack * slope.abs()).amax(1), (-o * slope + slack * slope.abs()).amin(1)
    between = (low <= high) & (high >= 0)
    if not distant:
        between &= low <= 1
    lit = torch.nn.functional.max_pool2d(facing[None].float(), TILE, ceil_mode=True)[0] > 0
    return between & lit & torch.isfinite(scene.radius)[:, None, None]


def _meet(scene: Scene, n: int, origin: Tensor, rays: Rays, before: Depths | None) -> Depths:
    """t at which rays meet primitive n (inf: they do not).

    Foliage has holes for what is seen (`before` is how far the ray is known to go); for shadows (None) it is closed.
    """
    shift = origin - scene.center[n].view(3, *[1] * (origin.dim() - 1))
    o = scene.inverse[n] @ shift.flatten(1) if origin.dim() > 1 else (scene.inverse[n] @ shift)[:, None]
    o = o.view(3, *rays.shape[1:]) if origin.dim() > 1 else o[..., None]
    d = (scene.inverse[n] @ rays.flatten(1)).view(rays.shape)
    near, far = MEETINGS[int(scene.shape[n])](o, d)
    if before is None or float(scene.looks[n, 6]) <= 0:
        return near
    leaves = torch.full_like(near, torch.inf)
    for t in (far, near):  # the nearer one is written last
        i, j = ((t < before) & (t < torch.inf)).nonzero().unbind(1)
        if len(i):
            solid = _solid(scene, n, o[:, 0, 0, None] + t[i, j] * d[:, i, j])
            leaves[i[solid], j[solid]] = t[i[solid], j[solid]]
    return leaves


def _solid(scene: Scene, n: int, unit: Float[Tensor, "3 k"]) -> Bool[Tensor, " k"]:
    """Whether foliage has a leaf at points of the unit shape: noise above the share of holes."""
    seed = scene.looks[n, 7].to(torch.int32).expand(unit.shape[1])
    at = unit * (scene.half[n] * scene.looks[n, 1])[:, None]
    leaf = 0.65 * value_noise(at, seed) + 0.35 * value_noise(at * 2.7, seed + 7)
    return leaf > 0.25 + 0.5 * scene.looks[n, 6]


def _plane(o: Tensor, d: Rays) -> tuple[Depths, Depths]:
    t = -o[1] / d[1]
    t = torch.where(t > 1e-4, t, torch.inf)
    return t, t


def _box(o: Tensor, d: Rays) -> tuple[Depths, Depths]:
    inverse = 1 / torch.where(d == 0, 1e-12, d)
    middle, reach = -o * inverse, inverse.abs()
    low, high = middle - reach, middle + reach
    near = torch.maximum(torch.maximum(low[0], low[1]), low[2])
    far = torch.minimum(torch.minimum(high[0], high[1]), high[2])
    met = (near < far) & (near > 0)
    return torch.where(met, near, torch.inf), torch.where(met, far, torch.inf)


def _ellipsoid(o: Tensor, d: Rays) -> tuple[Depths, Depths]:
    a, b, c = (d * d).sum(0), (o * d).sum(0), (o * o).sum(0) - 1
    root = b * b - a * c
    met = (root > 0) & (b < 0) & (c > 0)
    root = root.clamp_min(0).sqrt()
    return torch.where(met, (-b - root) / a, torch.inf), torch.where(met, (root - b) / a, torch.inf)


def _first(candidates: tuple[Depths, ...], good: tuple[Bool[Tensor, "h w"], ...]) -> tuple[Depths, Depths]:
    near = torch.full_like(candidates[0], torch.inf)
    for t, ok in zip(candidates, good, strict=True):
        near = torch.where(ok & (t > 0) & (t < near), t, near)
    return near, near


def _cylinder(o: Tensor, d: Rays) -> tuple[Depths, Depths]:
    a = (d[0] * d[0] + d[2] * d[2]).clamp_min(1e-12)
    b, c = o[0] * d[0] + o[2] * d[2], o[0] * o[0] + o[2] * o[2] - 1
    root = b * b - a * c
    side = (-b - root.clamp_min(0).sqrt()) / a
    lid = (-d[1].sign() - o[1]) / torch.where(d[1] == 0, 1e-12, d[1])
    on_lid = (o[0] + lid * d[0]).square() + (o[2] + lid * d[2]).square() <= 1
    return _first((side, lid), ((root > 0) & ((o[1] + side * d[1]).abs() <= 1), on_lid))


def _cone(o: Tensor, d: Rays) -> tuple[Depths, Depths]:
    # x² + z² = ((y + 1) / 2)²: tip at y = -1 (up), base of radius 1 at y = +1.
    k, m = d[1] / 2, (o[1] + 1) / 2
    a, b, c = d[0] * d[0] + d[2] * d[2] - k * k, o[0] * d[0] + o[2] * d[2] - m * k, o[0] * o[0] + o[2] * o[2] - m * m
    a = torch.where(a.abs() < 1e-12, 1e-12, a)
    root = b * b - a * c
    s = root.clamp_min(0).sqrt()
    one, two = (-b - s) / a, (-b + s) / a
    base = (1 - o[1]) / torch.where(d[1] == 0, 1e-12, d[1])
    on_base = (o[0] + base * d[0]).square() + (o[2] + base * d[2]).square() <= 1
    on_side = ((root > 0) & ((o[1] + t * d[1]).abs() <= 1) for t in (one, two))
    return _first((one, two, base), (*on_side, on_base))


MEETINGS = (_plane, _box, _ellipsoid, _cylinder, _cone)
