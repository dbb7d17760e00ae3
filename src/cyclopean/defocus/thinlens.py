"""Thin-lens rendering of the surface in front in a photo, with soft edges, and of the one behind, continued at edges.

An edge is where the radius of blur jumps by more than a pixel between neighbours. A point behind a near object, at a
distance d from its edge, is visible from some part of the lens if d is at most that jump. The farther surface is
continued behind the near one by that distance; each pixel takes the nearest visible one of that surface (a mirror image
keeps more texture, but measured worse on path-traced truth). Where a floor or wall recedes without a jump, nothing is
invented.

The two pixels at an edge mix both sides (a pixel is not a point sample). They are unmixed: the share of the near side
follows from where their colour lies between the clean colours of both sides.
"""

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

import cv2
import numpy as np
from jaxtyping import Float, Int32, Integer, Num, UInt8

from cyclopean.defocus import layers
from cyclopean.defocus.layers import Surface
from cyclopean.defocus.lens import Lens, Radius, Shape, diagonal
from cyclopean.io.colour import Values, srgb
from cyclopean.io.planes import Colours, Plane, PlaneMask, Region

Light = tuple[Plane, Plane, Plane]
Indices = Int32[np.ndarray, "h w"]
Places = Integer[np.ndarray, " n"]  # flat indices
Tile = tuple[slice, slice]
AnyPlane = TypeVar("AnyPlane", bound=np.ndarray)

JUMP = 1.0  # pixels of radius between neighbours
CLEAR = 0.01  # squared distance of two colours, in linear light, from which on their mixture can be resolved
BLOCK = 32  # pixels
SLACK = 1.5  # pixels: edge pixels are two wide
TILE = 256
CATEYE_STEPS = 6  # steps along the diagonal in which the cat's eye shape changes
TILT = 1.1  # radii that its rims lie apart in the corners
BRIGHT = 0.7  # linear light from which highlights begin


@dataclass(frozen=True)
class LayeredPhoto:
    """A photo in linear light, ready to be focused: the surface in front, and the pixels that continue behind it.

    `light` and `inverse_depth` are the front's. `cover` is its part of each pixel, 255 all of it. `behind` is 0 where
    there is nothing, else 1 + the index of the pixel that is continued there behind the front.
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


def prepare(picture: Colours, inverse_depth: Plane, scale: float) -> LayeredPhoto:
    """Return the photo's surfaces in linear light: all that can be computed before the focus is known.

    `picture` is sRGB in [0,1]; `scale` is the radius of blur in pixels per inverse depth, at its strongest.
    """
    red, green, blue = (linear(np.ascontiguousarray(picture[..., c])) for c in range(3))
    light: Light = (red, green, blue)
    radius = inverse_depth * np.float32(scale)
    around = np.ones((3, 3), np.uint8)
    near = radius - cv2.erode(radius, around) > JUMP
    far = cv2.dilate(radius, around) - radius > JUMP
    behind: Indices = np.zeros(radius.shape, np.int32)
    cover = np.full(radius.shape, 255, np.uint8)
    if near.any():
        front, back = _clean(near, near | far, radius), _clean(far, near | far, -radius)
        behind = _background(radius, far, back)
        edge = (near | far) & (behind > 0)
        light, inverse_depth, cover = _unmixed(light, inverse_depth, near, edge, front=front, back=back)
    # Tiles look up how far any blur reaches into them, so each block needs its extremes, the surface behind included.
    rows, columns = np.arange(0, len(behind), BLOCK), np.arange(0, behind.shape[1], BLOCK)
    most = np.maximum.reduceat(np.maximum.reduceat(inverse_depth, rows, 0), columns, 1)
    least = np.minimum.reduceat(np.minimum.reduceat(inverse_depth, rows, 0), columns, 1)
    hidden = np.flatnonzero(behind)
    y, x = hidden // behind.shape[1] // BLOCK, hidden % behind.shape[1] // BLOCK
    values = inverse_depth.reshape(-1)[behind.reshape(-1)[hidden] - 1]
    np.maximum.at(most, (y, x), values)
    np.minimum.at(least, (y, x), values)
    return LayeredPhoto(light, inverse_depth, cover, behind, np.stack([least, most]))


def render(scene: LayeredPhoto, radius: Radius, lens: Lens, workers: int = 1) -> Colours:
    """Return the photo through the lens, sRGB in [0,1]; `radius` gives the blur of each inverse depth in pixels.

    The picture is rendered in tiles. A cat's eye changes over the picture: its tiles overlap by half, each with its own
    shape, and fade into each other.
    """
    widest = np.abs(np.stack([radius(plane) for plane in scene.extremes])).max(0)
    h, w = size = scene.size

    def light(tile: Tile, shape: Shape) -> list[Region]:
        # The widest radius of the blocks whose blur reaches into the tile
        gaps = []
        for side, count in zip(tile, widest.shape, strict=True):
            start = np.arange(count) * BLOCK
            gaps.append(np.maximum(0, np.maximum(side.start - start - BLOCK, start - side.stop)))
        distance = np.hypot(gaps[0][:, None], gaps[1][None])
        depth = layers.halvings(float(widest[widest + 1 >= distance].max(initial=0)))
        surfaces = _surfaces(scene, radius, tile, depth, lens.highlights)
        composited = layers.composite(surfaces, shape, depth)
        inside = tuple(slice(0, side.stop - side.start) for side in tile)
        cover = np.maximum(1 - composited.open[inside], np.float32(layers.LEAST))
        return [plane[inside] / cover for plane in composited.light]

    with ThreadPoolExecutor(workers) as pool:
        if lens.shape.kind != "cateye":
            result = np.empty((*size, 3), np.float32)

            def work(tile: Tile) -> None:
                for channel, plane in enumerate(light(tile, lens.shape)):
                    result[tile][..., channel] = srgb(np.clip(plane, 0, 1))

            for _ in pool.map(work, _tiles(size)):
                pass
            return result
        step = max(1, round(diagonal(size) / CATEYE_STEPS / 64)) * 64
        nodes = [(y, x) for y in range(0, h + step, step) for x in range(0, w + step, step)]
        nodes = [(y, x) for y, x in nodes if y - step < h and x - step < w]
        tiles = [
            (slice(max(y - step, 0), min(y + step, h)), slice(max(x - step, 0), min(x + step, w))) for y, x in nodes
        ]
        # The farther from the middle, the farther apart the two rims of the aperture.
        half = math.hypot(*size) / 2
        tilts = [(TILT * (x - w / 2) / half, TILT * (y - h / 2) / half) for y, x in nodes]
        shapes = [replace(lens.shape, tilt=tilt) for tilt in tilts]
        total = np.zeros((*size, 3), np.float32)
        for node, tile, planes in zip(nodes, tiles, pool.map(light, tiles, shapes), strict=True):
            fade = [
                1 - np.abs(np.arange(side.start, side.stop, dtype=np.float32) - place) / np.float32(step)
                for side, place in zip(tile, node, strict=True)
            ]
            window = fade[0][:, None] * fade[1][None]
            for channel, plane in enumerate(planes):
                total[tile][..., channel] += plane * window
    for tile in _tiles(size):
        total[tile] = srgb(np.clip(total[tile], 0, 1))
    return total


def linear(values: Values) -> Values:
    """Return linear light of sRGB values (IEC 61966-2-1).

    `io.colour.srgb_linear` divides where this multiplies, so that most results differ in their last bit.
    """
    low = values * np.float32(1 / 12.92)
    high = ((values + np.float32(0.055)) * np.float32(1 / 1.055)) ** np.float32(2.4)
    return np.where(values <= np.float32(0.04045), low, high)


def _clean(side: PlaneMask, edge: PlaneMask, radius: Plane) -> PlaneMask:
    """Return the unmixed pixels next to one side of the edges; `radius` is the larger on that side."""
    beside = cv2.dilate(side.view(np.uint8), np.ones((3, 3), np.uint8)) > 0
    return beside & ~edge & (radius - cv2.erode(radius, np.ones((5, 5), np.uint8)) > JUMP)


def _background(radius: Plane, far: PlaneMask, back: PlaneMask) -> Indices:
    """Return `LayeredPhoto.behind`: the nearest clean pixel of the far side, for pixels that occlude points visible
    from the lens.
    """
    behind = np.zeros(radius.shape, np.int32)
    if not back.any():
        return behind
    distance, label = cv2.distanceTransformWithLabels(
        (~back).view(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    place = np.zeros(int(label.max()) + 1, np.int32)
    place[label[back]] = np.flatnonzero(back)
    most = float(radius.max() - radius.min()) + SLACK
    hidden = np.flatnonzero((distance <= most) & ~back)
    source, flat = place[label.reshape(-1)[hidden]], radius.reshape(-1)
    jump = flat[hidden] - flat[source]
    visible = (jump + SLACK >= distance.reshape(-1)[hidden]) & ((jump > JUMP / 2) | far.reshape(-1)[hidden])
    behind.reshape(-1)[hidden[visible]] = 1 + source[visible]
    return behind


def _unmixed(
    light: Light, inverse_depth: Plane, near: PlaneMask, edge: PlaneMask, *, front: PlaneMask, back: PlaneMask
) -> tuple[Light, Plane, UInt8[np.ndarray, "h w"]]:
    """Return light, inverse depth and cover of the near side alone, at the pixels of `edge`, which mix both sides.

    `front` and `back` are the clean pixels of both sides. Where their colours are alike, a pixel is entirely near or
    far, by its depth.
    """
    fronts, backs = (cv2.boxFilter(mask.astype(np.float32), -1, (5, 5), normalize=False) for mask in (front, back))
    at = np.flatnonzero(edge & (fronts > 0) & (backs > 0))
    colours = np.stack([plane.reshape(-1)[at] for plane in light])
    ahead = np.stack([_mean_around(plane, front, fronts, at) for plane in light])
    beyond = np.stack([_mean_around(plane, back, backs, at) for plane in light])
    step = ahead - beyond
    apart = (step * step).sum(0)
    part = np.clip(((colours - beyond) * step).sum(0) / np.maximum(apart, np.float32(1e-9)), 0, 1)
    sure = np.minimum(apart / np.float32(CLEAR), 1)
    part = part * sure + near.reshape(-1)[at] * (1 - sure)
    # light that the far side does not explain is the near side's own texture
    rest = (colours - (1 - part) * beyond) / np.maximum(part, np.float32(0.5))
    ahead = np.where(part > 0.5, np.maximum(rest, 0), ahead)
    red, green, blue = (_replaced(plane, at, values) for plane, values in zip(light, ahead, strict=True))
    inverse_depth = _replaced(inverse_depth, at, _mean_around(inverse_depth, front, fronts, at))
    cover = _replaced(np.full(near.shape, 255, np.uint8), at, np.rint(part * 255).astype(np.uint8))
    return (red, green, blue), inverse_depth, cover


def _mean_around(plane: Plane, mask: PlaneMask, count: Plane, at: Places) -> Float[np.ndarray, " n"]:
    """Return the mean of the pixels of `mask` in the 5x5 around each pixel of `at`."""
    total = cv2.boxFilter(plane * mask, -1, (5, 5), normalize=False)
    return total.reshape(-1)[at] / count.reshape(-1)[at]


def _replaced(plane: AnyPlane, at: Places, values: Num[np.ndarray, " n"]) -> AnyPlane:
    new = plane.copy()
    new.reshape(-1)[at] = values
    return new


def _tiles(size: tuple[int, int]) -> Iterator[Tile]:
    for y in range(0, size[0], TILE):
        for x in range(0, size[1], TILE):
            yield slice(y, min(y + TILE, size[0])), slice(x, min(x + TILE, size[1]))


def _surfaces(scene: LayeredPhoto, radius: Radius, tile: Tile, depth: int, highlights: float) -> list[Surface]:
    """Return the front and, where there is one, the back of the tile, with the pixels around it that `depth` needs.

    Beyond its borders, a picture repeats its border pixels.
    """
    edge, multiple = layers.margin(depth), 1 << depth
    sides: list[slice] = []
    padding: list[int] = []
    for side, length in zip(tile, scene.size, strict=True):
        start, stop = side.start - edge, side.start + -(-(side.stop - side.start) // multiple) * multiple + edge
        sides.append(slice(max(start, 0), min(stop, length)))
        padding += [max(-start, 0), max(stop - length, 0)]
    inside = sides[0], sides[1]

    def surface(*planes: Region) -> Surface:
        if any(padding):
            planes = tuple(
                cv2.copyMakeBorder(p, padding[0], padding[1], padding[2], padding[3], cv2.BORDER_REPLICATE)
                for p in planes
            )
        red, green, blue, weight, blur = planes
        if highlights == 0:
            return Surface((red, green, blue), weight, blur)
        # Light near a photo's white was brighter in the scene: it is amplified where it is blurred.
        brightest = np.maximum(np.maximum(red, green), blue)
        rise = np.clip((brightest - np.float32(BRIGHT)) * np.float32(1 / (1 - BRIGHT)), 0, 1)
        factor = 1 + np.float32(highlights) * rise * rise * np.clip(np.abs(blur) - 1, 0, 1)
        return Surface((red * factor, green * factor, blue * factor), weight, blur)

    cover, nearest = scene.cover[inside] * np.float32(1 / 255), radius(scene.inverse_depth[inside])
    surfaces = [surface(*(plane[inside] * cover for plane in scene.light), cover, nearest)]
    behind = scene.behind[inside]
    places = np.flatnonzero(behind)
    if len(places):
        sources = behind.reshape(-1)[places] - 1
        planes = [
            _replaced(np.zeros(cover.shape, np.float32), places, plane.reshape(-1)[sources])
            for plane in (*scene.light, scene.inverse_depth)
        ]
        blur = radius(planes[3])
        # Where both are blurred alike, as within a range that is sharp, the front hides as much as it covers.
        apart = np.clip(2 * (nearest - blur), 0, 1)
        weight = np.where(behind > 0, 1 - cover * (1 - apart), 0).astype(np.float32)
        surfaces.append(surface(*(plane * weight for plane in planes[:3]), weight, blur))
    return surfaces
