"""Lens blur in layers: pixels are sorted by blur radius, blurred layer by layer, and composited from near to far.

Layers are added until a pixel is covered; farther ones are cut off. Within one surface, which spreads over neighbouring
layers, that is exact; at an edge, a near blurred surface covers a part of the pixel, and the far surface, which
continues behind it, fills the rest. Sharp pixels never blur into their surroundings.

Radii are signed, positive nearer than the focus. Those up to `FINE` pixels are rendered at full size, wider ones at
half, a quarter, ... of it: no kernel is larger than 11x11. Surfaces have `margin` more pixels on every side.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from cyclopean.defocus.lens import Kernel, Shape, kernel
from cyclopean.io.planes import Plane, Region

Light = tuple[Plane, Plane, Plane]
Box = tuple[slice, slice]
Rungs = tuple[float, float, float]  # signed radii: the next nearer level, the level, the next farther; ends: infinite

FINE = 5.0  # pixels: from 12x12 on OpenCV uses Fourier transforms, several times slower
SMALL = (0.0, 1.0, 1.5, 2.0)
STEPS = 4  # layers per doubling of the radius beyond
OUTER, INNER = 8, 2  # pixels around the region that a scale needs, and that it returns to the finer one
HALVING = 1.0  # variance in pixels² of the finer scale that shrinking to half and growing again adds
BEYOND = FINE * 2 ** (1 / STEPS)  # the first level of the next scale
NOWHERE = 1e30  # a squared radius that no level has
LEAST = 1e-6  # of cover: less counts as 0


@dataclass(frozen=True)
class Surface:
    """A surface: its light (three planes, multiplied by the weight), weight, and signed radius of blur in pixels."""

    light: Light
    weight: Plane
    radius: Plane

    def crop(self, edge: int) -> "Surface":
        """Return the surface without `edge` pixels on every side."""
        red, green, blue, weight, radius = (_crop(p, edge) for p in (*self.light, self.weight, self.radius))
        return Surface((red, green, blue), weight, radius)


class Pile:
    """Composited layers, near before far: light, and the part of each pixel that is still uncovered."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.light: Light = (np.zeros(size, np.float32), np.zeros(size, np.float32), np.zeros(size, np.float32))
        self.open: Plane = np.ones(size, np.float32)

    def add(self, light: Sequence[Region], cover: Region, box: Box) -> None:
        """Add a layer behind the others, in `box`, as far as pixels are still uncovered."""
        still = self.open[box]
        part = np.minimum(cover, still)
        still -= part
        part /= np.maximum(cover, LEAST)
        for total, plane in zip(self.light, light, strict=True):
            total[box] += plane * part


def halvings(widest: float) -> int:
    """Return how many times the picture is halved for a widest radius of `widest` pixels."""
    return max(0, math.ceil(math.log2(widest / FINE) - 1e-6)) if widest > 0 else 0


def margin(depth: int) -> int:
    """Return how many pixels around a region contribute to it after `depth` halvings."""
    return OUTER << depth


def ladder(start: float) -> tuple[float, ...]:
    """Return radii from `start` (excluded) to `FINE` in geometric progression, at least `STEPS` per doubling."""
    count = math.ceil(STEPS * math.log2(FINE / start) - 1e-6)
    return tuple(start * (FINE / start) ** (k / count) for k in range(1, count + 1))


def level_kernel(shape: Shape, level: float, scale: int) -> Kernel:
    """Return the kernel of a signed radius at 1 / 2^`scale` of the size, for OpenCV, which correlates.

    The blur of points nearer than the focus is upside down.
    """
    spare = HALVING * sum(4.0**-k for k in range(1, scale + 1))
    blur = kernel(shape, abs(level), spare)
    return blur if level > 0 else np.ascontiguousarray(blur[::-1, ::-1])


def composite(surfaces: Sequence[Surface], shape: Shape, depth: int) -> Pile:
    """Return the surfaces as the lens shows them, inside their `margin(depth)`; sides are multiples of 2^depth."""
    fine = [surface.crop(margin(depth) - OUTER) for surface in surfaces]
    pile = Pile(_size_inside(fine[0], OUTER))
    radii = (*SMALL, *ladder(SMALL[-1]))
    levels = [*reversed(radii), *(-r for r in radii[1:])]
    end = BEYOND if depth else math.inf
    _add_coarser(pile, surfaces, shape, 1, scale=0, depth=depth)
    _add_levels(pile, fine, [end, *levels, -end], shape, scale=0, edge=OUTER)
    _add_coarser(pile, surfaces, shape, -1, scale=0, depth=depth)
    return pile


def _add_coarser(pile: Pile, surfaces: Sequence[Surface], shape: Shape, sign: int, *, scale: int, depth: int) -> None:
    """Add the pixels on one side of the focus whose blur is too wide for this scale behind the pile.

    They are rendered at 1 / 2^(scale + 1) of the size, and still wider blur, by the same function, at half of that.
    """
    halves = [] if scale == depth else [half for half in (_halved(s, sign) for s in surfaces) if half is not None]
    if not halves:
        return
    scale += 1
    cropped = [half.crop(margin(depth - scale) - OUTER) for half in halves]
    coarse = Pile(_size_inside(cropped[0], OUTER - INNER))
    end = BEYOND if scale < depth else math.inf
    levels = [sign * r for r in (-math.inf, *ladder(FINE / 2), end)][::-sign]
    if sign > 0:
        _add_coarser(coarse, halves, shape, sign, scale=scale, depth=depth)
    _add_levels(coarse, cropped, levels, shape, scale=scale, edge=OUTER - INNER)
    if sign < 0:
        _add_coarser(coarse, halves, shape, sign, scale=scale, depth=depth)
    edge = INNER if scale > 1 else 2 * INNER
    red, green, blue, free = (
        _crop(cv2.resize(plane, (plane.shape[1] * 2, plane.shape[0] * 2), interpolation=cv2.INTER_LINEAR), edge)
        for plane in (*coarse.light, coarse.open)
    )
    pile.add((red, green, blue), 1 - free, (slice(None), slice(None)))


def _halved(surface: Surface, sign: int) -> Surface | None:
    """Return the part on one side of the focus that is wider than `FINE`, at half the size; None when there is none."""
    least, most, _, _ = cv2.minMaxLoc(surface.radius)
    if max(sign * least, sign * most) <= FINE:
        return None
    moment = surface.radius * np.abs(surface.radius)
    moment -= np.float32(sign * FINE**2)
    moment *= np.float32(sign / (BEYOND**2 - FINE**2))
    part = np.clip(moment, 0, 1, out=moment)
    weight = surface.weight * part
    red, green, blue = (_half(plane * part) for plane in surface.light)
    radius = _half(weight * surface.radius)
    weight = _half(weight)
    radius *= np.float32(0.5)
    radius /= np.maximum(weight, LEAST)
    return Surface((red, green, blue), weight, radius)


def _half(plane: Region) -> Region:
    return cv2.resize(plane, (plane.shape[1] // 2, plane.shape[0] // 2), interpolation=cv2.INTER_AREA)


def _add_levels(
    pile: Pile, surfaces: Sequence[Surface], levels: Sequence[float], shape: Shape, *, scale: int, edge: int
) -> None:
    """Add the levels between the two ends, nearest first, behind the pile; surfaces have `edge` more on every side."""
    moments = []  # signed squared radius
    for surface in surfaces:
        moment = surface.radius * np.abs(surface.radius)
        moment[surface.weight == 0] = NOWHERE
        moments.append(moment)
    ranges = [cv2.minMaxLoc(moment)[:2] for moment in moments]
    for rungs in zip(levels, levels[1:], levels[2:], strict=False):
        blur = level_kernel(shape, rungs[1], scale)
        box = _touched(moments, ranges, rungs, len(blur) // 2)
        if box is None:
            continue
        total: list[Region] = []  # light and cover of the pixels of the level
        for surface, moment in zip(surfaces, moments, strict=True):
            part = _hat(moment[box], rungs)
            planes = [plane[box] * part for plane in (*surface.light, surface.weight)]
            total = [a + b for a, b in zip(total, planes, strict=True)] if total else planes
        if len(blur) > 1:
            total = [cv2.filter2D(plane, -1, blur, borderType=cv2.BORDER_CONSTANT) for plane in total]
        inside, place = [], []  # the part of the box that lies `edge` inside: its place in the box, and in the pile
        for side, length in zip(box, moments[0].shape, strict=True):
            stop = max(min(side.stop, length - edge), edge)
            start = min(max(side.start, edge), stop)
            inside.append(slice(start - side.start, stop - side.start))
            place.append(slice(start - edge, stop - edge))
        red, green, blue, cover = (plane[inside[0], inside[1]] for plane in total)
        pile.add((red, green, blue), cover, (place[0], place[1]))


def _touched(moments: Sequence[Region], ranges: Sequence[Sequence[float]], rungs: Rungs, reach: int) -> Box | None:
    """Return the rectangle that a level touches with a kernel of half width `reach`; None for an empty level.

    `ranges` are the least and the greatest of each of `moments`.
    """
    low, high = (max(-NOWHERE / 2, min(NOWHERE / 2, r * abs(r))) for r in (rungs[2], rungs[0]))
    h, w = moments[0].shape
    x0, y0, x1, y1 = w, h, 0, 0
    for moment, (least, most) in zip(moments, ranges, strict=True):
        if least > high or most < low:
            continue
        x, y, width, height = cv2.boundingRect(cv2.inRange(moment, low, high))
        if width:
            x0, y0, x1, y1 = min(x0, x), min(y0, y), max(x1, x + width), max(y1, y + height)
    if x1 == 0:
        return None
    return slice(max(y0 - reach, 0), min(y1 + reach, h)), slice(max(x0 - reach, 0), min(x1 + reach, w))


def _hat(moment: Plane, rungs: Rungs) -> Plane:
    """Return the part of each pixel that belongs to the middle rung, so that the second moment of its blur is right."""
    upper, level, lower = (r * abs(r) for r in rungs)
    if math.isinf(lower):
        part = (np.float32(upper) - moment) * np.float32(1 / (upper - level))
    else:
        part = (moment - np.float32(lower)) * np.float32(1 / (level - lower))
    if math.isinf(upper) or math.isinf(lower):
        np.minimum(part, 1, out=part)
    else:
        np.minimum(part, (np.float32(upper) - moment) * np.float32(1 / (upper - level)), out=part)
    return np.maximum(part, 0, out=part)


def _size_inside(surface: Surface, edge: int) -> tuple[int, int]:
    return surface.weight.shape[0] - 2 * edge, surface.weight.shape[1] - 2 * edge


def _crop(plane: Region, edge: int) -> Region:
    return plane[edge : plane.shape[0] - edge, edge : plane.shape[1] - edge] if edge else plane
