"""From light to a photograph: exposure, lens, noise, tone."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from cyclopean.geometry import Camera, pixel_grid
from cyclopean.synthetic.batch import SceneBatch, batch_scenes
from cyclopean.synthetic.noise import cell_hash, length, power, product, unit
from cyclopean.synthetic.raycast import Hits, cast
from cyclopean.synthetic.scene import KINDS, Number, Scene, Triple
from cyclopean.synthetic.shading import cloudy_sky, points, shade

SHARP = 0.15  # pixels: a lens that blurs less does not blur


@dataclass(frozen=True)
class Sensor:
    """How a picture is taken.

    `key`: the mean brightness aimed at; `white`: gains of red, green, blue; `blur`: sigma in pixels of a picture 384
    wide; `noise`: about its sigma, sRGB; `vignette`: how much darker corners are; `seed`: of the noise.
    """

    key: Number = 0.45
    white: Triple = (1.0, 1.0, 1.0)
    contrast: Number = 1.0
    saturation: Number = 1.0
    blur: Number = 0.4
    noise: Number = 0.01
    vignette: Number = 0.2
    seed: int = 0


def exposure(light: Float[Tensor, "b 3 h w"], sensors: Sequence[Sensor]) -> Float[Tensor, " b"]:
    """Return the gain that brings each picture's mean display brightness to its sensor's key; views of a rig share
    it.
    """
    shown = power(light.mean(1).clamp(0, 8), 1 / 2.2).mean((1, 2)).clamp_min(1e-3)
    return (light.new_tensor([sensor.key for sensor in sensors]) / shown).pow(2.2).clamp(0.02, 50)


def develop(
    light: Float[Tensor, "b 3 h w"], gain: Float[Tensor, " b"], sensors: Sequence[Sensor], view: int
) -> Float[Tensor, "b 3 h w"]:
    """Turn light into photographs in [0,1], sRGB. `view` numbers the pictures of a rig: each has noise of its own."""
    h, w = light.shape[-2:]

    def of_each(values: Sequence[Number]) -> Float[Tensor, "b 1 1 1"]:
        return light.new_tensor(values)[:, None, None, None]

    exposed = (
        light * gain[:, None, None, None] * light.new_tensor([sensor.white for sensor in sensors])[:, :, None, None]
    )
    y, x = (torch.linspace(-1, 1, n, device=light.device) for n in (h, w))
    vignette = of_each([sensor.vignette for sensor in sensors])
    exposed *= 1 - vignette * (x.square()[None] + y.square()[:, None]) / 2
    exposed /= 1 + 0.18 * exposed  # a soft shoulder: highlights roll off instead of clipping hard
    picture = power(_blurred(exposed * 1.18, [sensor.blur * w / 384 for sensor in sensors]).clamp_(0, 1), 1 / 2.2)
    grey = picture.mean(1, keepdim=True)
    picture = grey + (picture - grey) * of_each([sensor.saturation for sensor in sensors])
    picture = 0.5 + (picture - 0.5) * of_each([sensor.contrast for sensor in sensors])
    noise = _noise(h, w, [sensor.seed + 101 * view for sensor in sensors], light)
    return picture.addcmul_(noise, of_each([sensor.noise for sensor in sensors])).clamp_(0, 1)


def _blurred(image: Float[Tensor, "b 3 h w"], sigmas: Sequence[Number]) -> Float[Tensor, "b 3 h w"]:
    """Blur with five taps each way, as sums of shifted pictures: much faster than a convolution of so few channels."""
    if max(sigmas) < SHARP:
        return image
    taps = image.new_tensor([_taps(sigma) for sigma in sigmas])[:, :, None, None, None]
    for axis, margin in ((3, (2, 2, 0, 0)), (2, (0, 0, 2, 2))):
        wide, size = F.pad(image, margin, mode="replicate"), image.shape[axis]
        image = torch.zeros_like(image)
        for k in range(5):
            image.addcmul_(wide.narrow(axis, k, size), taps[:, k])
    return image


def _taps(sigma: Number) -> list[float]:
    if sigma < SHARP:
        return [0.0, 0.0, 1.0, 0.0, 0.0]
    taps = [math.exp(-k * k / (2 * sigma * sigma)) for k in range(-2, 3)]
    return [tap / sum(taps) for tap in taps]


def _noise(h: int, w: int, seeds: Sequence[int], like: Tensor) -> Float[Tensor, "b 3 h w"]:
    """Return roughly normal noise of sigma 1, the same on every device: from the sum of three hashes."""
    i, j = (torch.arange(n, device=like.device, dtype=torch.int32) for n in (h, w))
    key = torch.tensor([seed % 1000003 for seed in seeds], device=like.device, dtype=torch.int32)
    channels = []
    for first in (0, 3, 6):
        n = torch.arange(first, first + 3, device=like.device, dtype=torch.int32)[:, None, None]
        channels.append(cell_hash(i[:, None], j, n, key[:, None, None, None]).sum(1))
    return torch.stack(channels, 1).sub_(1.5).mul_(2.0)


TILE = 16
# Points shaded at a time: on a CPU what fits its cache.
_AT_ONCE = {"cpu": 1 << 14}
_AT_ONCE_ELSEWHERE = 1 << 23


@dataclass(frozen=True)
class Rendered:
    """Views: linear light (unbounded above), depth as the camera defines it (inf: sky), what moves, and the number of
    the object that a pixel shows (0: ground, walls, sky)."""

    light: Float[Tensor, "v 3 h w"]
    depth: Float[Tensor, "v 1 h w"]
    moving: Bool[Tensor, "v 1 h w"]
    objects: Int[Tensor, "v 1 h w"]


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
    return render_batch(batch_scenes([scene]), camera, world_from_camera[None], size, pictures)


def render_batch(
    scene: SceneBatch,
    camera: Camera,
    world_from_camera: Float[Tensor, "b v 4 4"],
    size: tuple[int, int],
    pictures: Float[Tensor, "k 3 s s"] | None = None,
) -> Rendered:
    """Render b scenes side by side in the same way, each with a camera and v poses of its own; the first scene's
    views first.
    """
    b, v = world_from_camera.shape[:2]
    seen = camera.rays(pixel_grid(size, world_from_camera)).permute(0, 3, 1, 2).expand(b, -1, -1, -1)
    turned = product(world_from_camera[:, :, :3, :3], seen.flatten(2)[:, None])
    tiles = _tiled(turned.flatten(0, 1).unflatten(2, size))
    origin = world_from_camera[:, :, :3, 3].flatten(0, 1)
    hits = cast(scene, origin.repeat_interleave(len(tiles) // len(origin), 0), tiles)
    order, ends = _sorted(scene, hits)
    rays = tiles.transpose(0, 1).flatten(1)
    direction = unit(seen.transpose(0, 1))
    step = length(direction[..., 1:] - direction[..., :-1])  # the angle between neighbouring pixels, in radians
    angles = _tiled(torch.cat([step, step[..., -1:]], 2)[:, None]).flatten()
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
    primitive = hits.index.long()
    picture = (len(origin), *size)
    return Rendered(
        _untiled(light.unflatten(1, hits.t.shape).transpose(0, 1), picture),
        _untiled(hits.t[:, None], picture),
        *(_untiled(F.pad(x, (0, 1))[primitive][:, None], picture) for x in (scene.moving, scene.objects)),
    )


def _sorted(scene: SceneBatch, hits: Hits) -> tuple[Int[Tensor, " n"], list[int]]:
    """Sort pixels by the texture they show, then by primitive, the empty ones last; return where each texture's
    pixels end.
    """
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
    """Return parts of `order`, and where each texture's points end in them; pictures are never split."""
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
    """Return pixels by tiles; where a picture is not a whole number of them its last rows and columns are repeated."""
    h, w = x.shape[-2:]
    x = F.pad(x, (0, -w % TILE, 0, -h % TILE), mode="replicate")
    x = x.unflatten(3, (-1, TILE)).unflatten(2, (-1, TILE))  # v c th TILE tw TILE
    return x.permute(0, 2, 4, 1, 3, 5).flatten(4).flatten(0, 2).contiguous()


def _untiled(x: Shaped[Tensor, "p c m"], picture: tuple[int, int, int]) -> Shaped[Tensor, "v c h w"]:
    """Return pictures (how many, height, width) of what `_tiled` made."""
    v, h, w = picture
    x = x.unflatten(2, (TILE, TILE)).unflatten(0, (v, -(-h // TILE), -(-w // TILE)))  # v th tw c TILE TILE
    return x.permute(0, 3, 1, 4, 2, 5).flatten(4).flatten(2, 3)[:, :, :h, :w].contiguous()
