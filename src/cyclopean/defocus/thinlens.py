"""What the lens sees of a photo: the surface in the picture, with soft edges, and what goes on behind its edges.

An edge is where the radius of blur jumps by more than a pixel between neighbours. A point behind a near thing, at a
distance d from its edge, is seen by some part of the lens as long as d is at most that jump: so far the farther surface
goes on behind, each pixel as the nearest one of it that is seen (its mirror image, which keeps more texture, measured
worse on path-traced truth). Where a floor or wall runs into depth without a jump nothing is invented.

The two pixels at an edge mix both sides (the photo is no point sample). Their mixture is undone: how much of the near
side is in them, by where their colour lies between the clean colours at both sides.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int32, Integer, Num, UInt8

from cyclopean.defocus import layers
from cyclopean.defocus.layers import Surface
from cyclopean.defocus.lens import Lens, Radius, Shape, diagonal

Plane = Float[np.ndarray, "h w"]
Light = tuple[Plane, Plane, Plane]
Mask = Bool[np.ndarray, "h w"]
Indices = Int32[np.ndarray, "h w"]
Places = Integer[np.ndarray, " n"]  # flat indices
AnyPlane = TypeVar("AnyPlane", bound=np.ndarray)

JUMP = 1.0  # pixels of radius between neighbours
CLEAR = 0.01  # squared distance of two colours, in linear light, from which on a mixture of them can be told
BLOCK = 32  # pixels
SLACK = 1.5  # pixels: edge pixels are two wide


@dataclass(frozen=True)
class Scene:
    """A photo in linear light, ready to be focused: what is seen in front, and where to find what is behind.

    `light` and `inverse_depth` are the front's. `cover` is its part of each pixel, 255 all of it. `behind` is 0 where
    nothing is, else 1 + the index of the pixel that is seen there behind the front.
    """

    light: Light
    inverse_depth: Plane
    cover: UInt8[np.ndarray, "h w"]
    behind: Indices
    extremes: Float[np.ndarray, "2 _ _"]  # least and greatest inverse depth of each block of BLOCK x BLOCK pixels

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.inverse_depth.shape[0], self.inverse_depth.shape[1]


def scene(light: Light, inverse_depth: Plane, scale: float) -> Scene:
    """The surfaces of a picture in linear light; `scale` is the radius of blur in pixels per inverse depth."""
    radius = inverse_depth * np.float32(scale)
    here = np.ones((3, 3), np.uint8)
    near = radius - cv2.erode(radius, here) > JUMP
    far = cv2.dilate(radius, here) - radius > JUMP
    behind = np.zeros(radius.shape, np.int32)
    front = Scene(light, inverse_depth, np.full(radius.shape, 255, np.uint8), behind, _extremes(inverse_depth, behind))
    if not near.any():
        return front
    sides = _Sides(near, far, _clean(near, near | far, radius), _clean(far, near | far, -radius))
    behind = _continued(radius, sides)
    front = _unmixed(dataclasses.replace(front, behind=behind), sides)
    return dataclasses.replace(front, extremes=_extremes(front.inverse_depth, behind))


def _extremes(inverse_depth: Plane, behind: Indices) -> Float[np.ndarray, "2 _ _"]:
    """Least and greatest inverse depth of every block, of the front and of what is behind it."""
    rows, columns = np.arange(0, len(behind), BLOCK), np.arange(0, behind.shape[1], BLOCK)
    most = np.maximum.reduceat(np.maximum.reduceat(inverse_depth, rows, 0), columns, 1)
    least = np.minimum.reduceat(np.minimum.reduceat(inverse_depth, rows, 0), columns, 1)
    hidden = np.flatnonzero(behind)
    y, x = hidden // behind.shape[1] // BLOCK, hidden % behind.shape[1] // BLOCK
    values = inverse_depth.reshape(-1)[behind.reshape(-1)[hidden] - 1]
    np.maximum.at(most, (y, x), values)
    np.minimum.at(least, (y, x), values)
    return np.stack([least, most])


@dataclass(frozen=True)
class _Sides:
    """The pixels at edges, nearer and farther side, and the clean ones beside them, which mix nothing."""

    near: Mask
    far: Mask
    front: Mask
    back: Mask


def _clean(side: Mask, edge: Mask, radius: Plane) -> Mask:
    """Pixels next to one side of the edges that no edge runs through; `radius` is the larger on that side."""
    beside = cv2.dilate(side.view(np.uint8), np.ones((3, 3), np.uint8)) > 0
    return beside & ~edge & (radius - cv2.erode(radius, np.ones((5, 5), np.uint8)) > JUMP)


def _continued(radius: Plane, sides: _Sides) -> Indices:
    """`Scene.behind`: for the pixels that hide something the lens can see, where the nearest pixel like it is."""
    behind = np.zeros(radius.shape, np.int32)
    if not sides.back.any():
        return behind
    distance, label = cv2.distanceTransformWithLabels(
        (~sides.back).view(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    place = np.zeros(int(label.max()) + 1, np.int32)
    place[label[sides.back]] = np.flatnonzero(sides.back)
    most = float(radius.max() - radius.min()) + SLACK
    hidden = np.flatnonzero((distance <= most) & ~sides.back)
    source, flat = place[label.reshape(-1)[hidden]], radius.reshape(-1)
    jump = flat[hidden] - flat[source]
    seen = (jump + SLACK >= distance.reshape(-1)[hidden]) & ((jump > JUMP / 2) | sides.far.reshape(-1)[hidden])
    behind.reshape(-1)[hidden[seen]] = 1 + source[seen]
    return behind


def _unmixed(front: Scene, sides: _Sides) -> Scene:
    """The near side alone: its colour and depth at the edges' pixels, whose cover becomes its part of them."""
    fronts, backs = _around(sides.front), _around(sides.back)
    at = np.flatnonzero((sides.near | sides.far) & (front.behind > 0) & (fronts > 0) & (backs > 0))
    colours = np.stack([plane.reshape(-1)[at] for plane in front.light])
    ahead = np.stack([_mean_around(plane, sides.front, fronts, at) for plane in front.light])
    beyond = np.stack([_mean_around(plane, sides.back, backs, at) for plane in front.light])
    part = _part(colours, ahead, beyond, sides.near.reshape(-1)[at])
    # what the far side does not explain is the near side's own texture
    rest = (colours - (1 - part) * beyond) / np.maximum(part, np.float32(0.5))
    ahead = np.where(part > 0.5, np.maximum(rest, 0), ahead)
    red, green, blue = (_replaced(plane, at, values) for plane, values in zip(front.light, ahead, strict=True))
    inverse_depth = _replaced(front.inverse_depth, at, _mean_around(front.inverse_depth, sides.front, fronts, at))
    cover = _replaced(front.cover, at, np.rint(part * 255).astype(np.uint8))
    return Scene((red, green, blue), inverse_depth, cover, front.behind, front.extremes)


def _part(
    colours: Float[np.ndarray, "3 n"],
    ahead: Float[np.ndarray, "3 n"],
    beyond: Float[np.ndarray, "3 n"],
    near: Bool[np.ndarray, " n"],
) -> Float[np.ndarray, " n"]:
    """How much of each pixel the near side is; where both sides look alike, all or nothing as the depth has it."""
    step = ahead - beyond
    apart = (step * step).sum(0)
    part = np.clip(((colours - beyond) * step).sum(0) / np.maximum(apart, np.float32(1e-9)), 0, 1)
    sure = np.minimum(apart / np.float32(CLEAR), 1)
    return part * sure + near * (1 - sure)


def _around(mask: Mask) -> Plane:
    return cv2.boxFilter(mask.astype(np.float32), -1, (5, 5), normalize=False)


def _mean_around(plane: Plane, mask: Mask, count: Plane, at: Places) -> Float[np.ndarray, " n"]:
    """Mean of the pixels of `mask` in the 5x5 around each pixel of `at`."""
    total = cv2.boxFilter(plane * mask, -1, (5, 5), normalize=False)
    return total.reshape(-1)[at] / count.reshape(-1)[at]


def _replaced(plane: AnyPlane, at: Places, values: Num[np.ndarray, " n"]) -> AnyPlane:
    new = plane.copy()
    new.reshape(-1)[at] = values
    return new


Picture = Float[np.ndarray, "h w 3"]
Region = Float[np.ndarray, "_ _"]
Values = Float[np.ndarray, "*any"]
Tile = tuple[slice, slice]

TILE = 256
EYES = 6  # steps along the diagonal in which a cat's eye changes
TILT = 1.1  # radii that its rims lie apart in the corners
BRIGHT = 0.7  # linear light from which highlights begin


def prepare(picture: Picture, inverse_depth: Plane, scale: float) -> Scene:
    """What can be done before the focus is known, once for a photo: linear light and its surfaces.

    `picture` is sRGB in [0,1]; `scale` is the radius of blur in pixels per inverse depth, at its strongest.
    """
    red, green, blue = (linear(np.ascontiguousarray(picture[..., c])) for c in range(3))
    return scene((red, green, blue), inverse_depth, scale)


def render(ready: Scene, radius: Radius, lens: Lens, workers: int = 1) -> Picture:
    """The photo, sRGB in [0,1], with `radius` saying how wide the blur of each inverse depth is."""
    widest = np.abs(np.stack([radius(plane) for plane in ready.extremes])).max(0)

    def light(tile: Tile, shape: Shape) -> list[Plane]:
        return _tile(ready, radius, replace(lens, shape=shape), layers.halvings(_reaching(widest, tile)), tile)

    with ThreadPoolExecutor(workers) as pool:
        if lens.shape.kind == "cateye":
            return _vignetted(ready.size, light, lens.shape, pool)
        result = np.empty((*ready.size, 3), np.float32)

        def work(tile: Tile) -> None:
            for channel, plane in enumerate(light(tile, lens.shape)):
                result[tile][..., channel] = encoded(plane)

        for _ in pool.map(work, _tiles(ready.size, TILE)):
            pass
    return result


def _vignetted(
    size: tuple[int, int], light: Callable[[Tile, Shape], list[Plane]], shape: Shape, pool: ThreadPoolExecutor
) -> Picture:
    """A shape that changes over the picture: tiles that overlap by half, each with its own, faded into each other."""
    step = max(1, round(diagonal(size) / EYES / 64)) * 64
    nodes = [(y, x) for y in range(0, size[0] + step, step) for x in range(0, size[1] + step, step)]
    nodes = [(y, x) for y, x in nodes if y - step < size[0] and x - step < size[1]]
    tiles = [(_neighbourhood(y, step, size[0]), _neighbourhood(x, step, size[1])) for y, x in nodes]
    shapes = [_tilted(shape, at, size) for at in nodes]
    total = np.zeros((*size, 3), np.float32)
    for at, tile, planes in zip(nodes, tiles, pool.map(light, tiles, shapes), strict=True):
        fade = [
            1 - np.abs(np.arange(s.start, s.stop, dtype=np.float32) - n) / np.float32(step)
            for s, n in zip(tile, at, strict=True)
        ]
        window = fade[0][:, None] * fade[1][None]
        for channel, plane in enumerate(planes):
            total[tile][..., channel] += plane * window
    for tile in _tiles(size, TILE):
        total[tile] = encoded(total[tile])
    return total


def _neighbourhood(node: int, step: int, length: int) -> slice:
    return slice(max(node - step, 0), min(node + step, length))


def _tilted(shape: Shape, at: tuple[int, int], size: tuple[int, int]) -> Shape:
    """The aperture as seen from the place `at`: the farther from the middle, the more its two rims lie apart."""
    half = math.hypot(*size) / 2
    y, x = (TILT * (n - s / 2) / half for n, s in zip(at, size, strict=True))
    return replace(shape, tilt=(x, y))


def _reaching(widest: Region, tile: Tile) -> float:
    """The widest radius of the pixels whose blur reaches into the tile; `widest` is that of each block."""
    gaps = []
    for side, count in zip(tile, widest.shape, strict=True):
        start = np.arange(count) * BLOCK
        gaps.append(np.maximum(0, np.maximum(side.start - start - BLOCK, start - side.stop)))
    distance = np.hypot(gaps[0][:, None], gaps[1][None])
    return float(widest[widest + 1 >= distance].max(initial=0))


def linear(srgb: Values) -> Values:
    """sRGB values to linear light (IEC 61966-2-1)."""
    low = srgb * np.float32(1 / 12.92)
    high = ((srgb + np.float32(0.055)) * np.float32(1 / 1.055)) ** np.float32(2.4)
    return np.where(srgb <= np.float32(0.04045), low, high)


def encoded(light: Values) -> Values:
    """Linear light to sRGB values, clipped to [0,1]."""
    light = np.clip(light, 0, 1)
    high = light ** np.float32(1 / 2.4) * np.float32(1.055) - np.float32(0.055)
    return np.where(light <= np.float32(0.0031308), light * np.float32(12.92), high)


def _tiles(size: tuple[int, int], side: int) -> Iterator[Tile]:
    for y in range(0, size[0], side):
        for x in range(0, size[1], side):
            yield slice(y, min(y + side, size[0])), slice(x, min(x + side, size[1]))


def _tile(ready: Scene, radius: Radius, lens: Lens, depth: int, tile: Tile) -> list[Region]:
    """One tile in linear light."""
    surfaces = [_brightened(s, lens.highlights) for s in _surfaces(ready, radius, tile, depth)]
    pile = layers.render(surfaces, lens.shape, depth)
    inside = tuple(slice(0, side.stop - side.start) for side in tile)
    cover = np.maximum(1 - pile.open[inside], np.float32(layers.LEAST))
    return [plane[inside] / cover for plane in pile.light]


def _brightened(surface: Surface, highlights: float) -> Surface:
    """Light near the brightest that a photo can show was brighter in truth: more of it, where it is blurred."""
    if highlights == 0:
        return surface
    brightest = np.maximum(np.maximum(surface.light[0], surface.light[1]), surface.light[2])
    rise = np.clip((brightest - np.float32(BRIGHT)) * np.float32(1 / (1 - BRIGHT)), 0, 1)
    factor = 1 + np.float32(highlights) * rise * rise * np.clip(np.abs(surface.radius) - 1, 0, 1)
    red, green, blue = (plane * factor for plane in surface.light)
    return Surface((red, green, blue), surface.weight, surface.radius)


def _surfaces(ready: Scene, radius: Radius, tile: Tile, depth: int) -> list[Surface]:
    """The front and, where there is one, the back of the tile, with the pixels around it that have a part in it."""
    inside, rims = _grown(tile, ready.size, depth)
    sources = np.flatnonzero(ready.behind[inside])
    cover = ready.cover[inside] * np.float32(1 / 255)
    seen = [plane[inside] * cover for plane in ready.light]
    found = [_surface([*seen, cover, radius(ready.inverse_depth[inside])], rims)]
    if len(sources):
        there = ready.behind[inside].reshape(-1)[sources] - 1
        hidden = [_scattered(plane, sources, there, cover.shape) for plane in (*ready.light, ready.inverse_depth)]
        weight = (ready.behind[inside] > 0).astype(np.float32)
        found.append(_surface([*hidden[:3], weight, radius(hidden[3])], rims))
    return found


def _grown(tile: Tile, size: tuple[int, int], depth: int) -> tuple[Tile, tuple[int, int, int, int]]:
    """The part of the picture that the tile needs, and how many pixels are missing above, below, left and right."""
    edge, whole = layers.margin(depth), 1 << depth
    inside, rims = [], []
    for side, length in zip(tile, size, strict=True):
        start, stop = side.start - edge, side.start + -(-(side.stop - side.start) // whole) * whole + edge
        inside.append(slice(max(start, 0), min(stop, length)))
        rims += [max(-start, 0), max(stop - length, 0)]
    return (inside[0], inside[1]), (rims[0], rims[1], rims[2], rims[3])


def _surface(planes: list[Plane], rims: tuple[int, int, int, int]) -> Surface:
    """Beyond its borders a picture goes on as it ends there."""
    if any(rims):
        planes = [cv2.copyMakeBorder(p, *rims, cv2.BORDER_REPLICATE) for p in planes]
    red, green, blue, weight, radius = planes
    return Surface((red, green, blue), weight, radius)


def _scattered(plane: Region, places: Places, sources: Places, size: tuple[int, int]) -> Region:
    """Zero but at `places`, which take the values of the whole plane at `sources`; both are flat indices."""
    new = np.zeros(size, np.float32)
    new.reshape(-1)[places] = plane.reshape(-1)[sources]
    return new
