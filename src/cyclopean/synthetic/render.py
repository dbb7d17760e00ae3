"""A scene through any camera: colours, exact depth, and which pixels move.

Pixels are cast in square tiles and then sorted by the primitive they show, all views together: points of one texture
follow each other, and so do neighbours on one surface. They are shaded in portions that fit a CPU's cache.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from cyclopean.geometry import Camera, pixel_grid
from cyclopean.synthetic.arithmetic import length, product, unit
from cyclopean.synthetic.raycast import Hits, cast
from cyclopean.synthetic.scene import KINDS, Scene
from cyclopean.synthetic.shading import points, shade
from cyclopean.synthetic.sky import cloudy_sky
from cyclopean.synthetic.stage import Stage, staged

TILE = 16
# Points shaded at a time: on a CPU what fits its cache.
_AT_ONCE = {"cpu": 1 << 14}
_AT_ONCE_ELSEWHERE = 1 << 23


@dataclass(frozen=True)
class Rendered:
    """Views: linear light (unbounded above), depth as the camera defines it (inf: sky), moving objects."""

    light: Float[Tensor, "v 3 h w"]
    depth: Float[Tensor, "v 1 h w"]
    moving: Bool[Tensor, "v 1 h w"]


def render(
    scene: Scene,
    camera: Camera,
    world_from_camera: Float[Tensor, "v 4 4"],
    size: tuple[int, int],
    pictures: Float[Tensor, "k 3 s s"] | None = None,
) -> Rendered:
    """Ray-cast `scene` (already at its time: `scene.at(t)`) at `size` (height, width). Depth multiplies `camera.rays`.

    One camera (b = 1) at v poses; everything given lies on one device, and so does what is returned. `pictures` are
    laid over surfaces that show photographs; without them such surfaces show noise.
    """
    return render_stage(staged([scene]), camera, world_from_camera[None], size, pictures)


def render_stage(
    scene: Stage,
    camera: Camera,
    world_from_camera: Float[Tensor, "b v 4 4"],
    size: tuple[int, int],
    pictures: Float[Tensor, "k 3 s s"] | None = None,
) -> Rendered:
    """The same for b scenes side by side, each with a camera and v poses of its own; the first scene's views first."""
    b, v = world_from_camera.shape[:2]
    seen = camera.rays(pixel_grid(size, world_from_camera)).permute(0, 3, 1, 2).expand(b, -1, -1, -1)
    turned = product(world_from_camera[:, :, :3, :3], seen.flatten(2)[:, None])
    tiles = _tiled(turned.flatten(0, 1).unflatten(2, size))
    origin = world_from_camera[:, :, :3, 3].flatten(0, 1)
    hits = cast(scene, origin.repeat_interleave(len(tiles) // len(origin), 0), tiles)
    order, ends = _sorted(scene, hits)
    rays = tiles.transpose(0, 1).flatten(1)
    angles = _tiled(_pixel_angle(seen)[:, None]).flatten()
    light = torch.zeros_like(rays)
    t, index = hits.t.flatten(), hits.index.flatten()
    each = len(angles) // b  # pixels of one view
    for pixel, kinds in _portions(order[: ends[-1]], ends):
        view, ray = pixel // each, rays.index_select(1, pixel)
        at = points(scene, origin, ray, t.index_select(0, pixel), index.index_select(0, pixel), view=view)
        angle = angles.index_select(0, view // v * each + pixel % each)
        light.index_copy_(1, pixel, shade(scene, at, angle, kinds, pictures))
    for pixel, _ in _portions(order[ends[-1] :], []):
        world = None if b == 1 else pixel // (each * v)
        light.index_copy_(1, pixel, cloudy_sky(scene, unit(rays.index_select(1, pixel)), world))
    moves = F.pad(scene.moving, (0, 1))[hits.index.long()]
    picture = (len(origin), *size)
    return Rendered(
        _untiled(light.unflatten(1, hits.t.shape).transpose(0, 1), picture),
        _untiled(hits.t[:, None], picture),
        _untiled(moves[:, None], picture),
    )


def _sorted(scene: Stage, hits: Hits) -> tuple[Int[Tensor, " n"], list[int]]:
    """Pixels by the texture they show, then by primitive, the empty ones last; and where each texture's pixels end."""
    kind = scene.looks[:, 0].to(torch.int32)
    by_kind = kind.argsort(stable=True)
    rank = torch.empty_like(by_kind, dtype=torch.int32)
    rank[by_kind] = torch.arange(len(kind), dtype=torch.int32, device=kind.device)
    key = F.pad(rank, (0, 1), value=len(kind))[hits.index.flatten().long()]
    key, order = key.sort(stable=True)
    codes = torch.arange(len(KINDS), dtype=torch.int32, device=kind.device)
    last = torch.searchsorted(kind[by_kind], codes, right=True)
    return order, torch.searchsorted(key, last.to(torch.int32)).tolist()


def _portions(order: Int[Tensor, " n"], ends: list[int]) -> Iterator[tuple[Int[Tensor, " m"], list[int]]]:
    """Parts of `order`, and where each texture's points end in them; pictures are never split."""
    size = _AT_ONCE.get(order.device.type, _AT_ONCE_ELSEWHERE)
    code = KINDS.index("picture")
    start, stop = (ends[code - 1], ends[code]) if ends else (0, 0)
    first = 0
    while first < len(order):
        end = min(first + size, len(order))
        if start < end < stop:
            end = start if first < start else stop
        yield order[first:end], [min(max(k - first, 0), end - first) for k in ends]
        first = end


def _tiled(x: Shaped[Tensor, "v c h w"]) -> Shaped[Tensor, "p c m"]:
    """Pixels by tiles; where a picture is no whole number of them its last rows and columns are repeated."""
    h, w = x.shape[-2:]
    x = F.pad(x, (0, -w % TILE, 0, -h % TILE), mode="replicate")
    x = x.unflatten(3, (-1, TILE)).unflatten(2, (-1, TILE))  # v c th TILE tw TILE
    return x.permute(0, 2, 4, 1, 3, 5).flatten(4).flatten(0, 2).contiguous()


def _untiled(x: Shaped[Tensor, "p c m"], picture: tuple[int, int, int]) -> Shaped[Tensor, "v c h w"]:
    """Pictures (how many, height, width) of what `_tiled` made."""
    v, h, w = picture
    x = x.unflatten(2, (TILE, TILE)).unflatten(0, (v, -(-h // TILE), -(-w // TILE)))  # v th tw c TILE TILE
    return x.permute(0, 3, 1, 4, 2, 5).flatten(4).flatten(2, 3)[:, :, :h, :w].contiguous()


def _pixel_angle(rays: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b h w"]:
    """Angle between neighbouring pixels, radians."""
    direction = unit(rays.transpose(0, 1))
    step = length(direction[..., 1:] - direction[..., :-1])
    return torch.cat([step, step[..., -1:]], 2)
