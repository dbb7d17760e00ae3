"""A photo through a thin lens: blur grows with the difference of inverse depth, in linear light, tile by tile."""

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import cv2
import numpy as np
from jaxtyping import Float, Integer

from cyclopean.refocus import layers
from cyclopean.refocus.layers import Surface
from cyclopean.refocus.lens import Lens, Radius
from cyclopean.refocus.measures import diagonal
from cyclopean.refocus.shapes import Shape
from cyclopean.refocus.surfaces import BLOCK, Scene, scene

Picture = Float[np.ndarray, "h w 3"]
Plane = Float[np.ndarray, "h w"]
Region = Float[np.ndarray, "_ _"]
Values = Float[np.ndarray, "*any"]
Tile = tuple[slice, slice]
Places = Integer[np.ndarray, " n"]

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
    tiles = [(_around(y, step, size[0]), _around(x, step, size[1])) for y, x in nodes]
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


def _around(node: int, step: int, length: int) -> slice:
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
