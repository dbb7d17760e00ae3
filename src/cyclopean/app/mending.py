"""Depth mended by hand: strokes of a brush, at the size of the screen and of the photo alike."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch

from cyclopean.app.coordinates import pixel
from cyclopean.defocus.focus import fill_unknown
from cyclopean.defocus.lens import depth_range, diagonal
from cyclopean.errors import InputError
from cyclopean.io.depthmap import DepthMap
from cyclopean.io.planes import Plane

Fraction = tuple[float, float]

KINDS = ("add", "remove", "nearer", "farther", "same")
MOST_POINTS = 400  # of a stroke
MOST = 200  # strokes of a photo
THINNEST, WIDEST = 0.001, 0.25  # radius of a brush, in diagonals of the picture
STEP = 0.05  # of the range of inverse depth: what one stroke moves
HARD = 0.6  # of the radius, within which a brush has its whole effect
FRACTION_BITS = 4  # of OpenCV's coordinates


@dataclass(frozen=True)
class Stroke:
    """One stroke of a brush of `kind` through `points`, fractions of width and height; `radius` is in diagonals.

    add: what is painted gets the depth of `focus`, the point that was in focus; remove: that of what surrounds it, on
    the side that is farther from the focus; nearer, farther: it moves; same: it gets the depth of the first point.
    """

    kind: str
    points: tuple[Fraction, ...]
    radius: float
    focus: Fraction

    def __post_init__(self) -> None:
        if self.kind not in KINDS or not 1 <= len(self.points) <= MOST_POINTS:
            raise InputError(f"a stroke has 1 to {MOST_POINTS} points and a brush out of {', '.join(KINDS)}.")
        if not THINNEST <= self.radius <= WIDEST:
            raise InputError(f"the brush is {self.radius:g} wide; it goes from {THINNEST:g} to {WIDEST:g} diagonals.")


def mended(depth: DepthMap, strokes: tuple[Stroke, ...]) -> DepthMap:
    """Return `depth` with the strokes on it, one after the other."""
    if not strokes:
        return depth
    plane = fill_unknown(depth.inverse_depth[0, 0], depth.valid[0, 0]).copy()
    whole = depth_range(plane)
    for stroke in strokes:
        weight = painted(stroke, plane.shape)
        match stroke.kind:
            case "nearer" | "farther":
                step = STEP * whole if stroke.kind == "nearer" else -STEP * whole
                plane = np.maximum(plane + np.float32(step) * weight, np.float32(min(plane.min(), 0.0)))
                continue
            case "same":
                value = _value(plane, stroke.points[0])
            case "add":
                value = _value(plane, stroke.focus)
            case _:
                value = _surroundings(plane, weight, _value(plane, stroke.focus))
        plane = plane + weight * (np.float32(value) - plane)
    values = torch.from_numpy(np.ascontiguousarray(plane, np.float32))[None, None]
    return replace(depth, inverse_depth=values, valid=torch.ones_like(depth.valid))


def painted(stroke: Stroke, size: tuple[int, ...]) -> Plane:
    """Return how much a stroke covers each pixel: 1 near its middle, falling to 0 at its radius."""
    h, w = size
    scale = 1 << FRACTION_BITS
    line = np.array([[x * w - 0.5, y * h - 0.5] for x, y in stroke.points]).clip(-1e4, 1e5)
    away = np.full((h, w), 255, np.uint8)
    cv2.polylines(away, [np.round(line * scale).astype(np.int32)], False, 0, 1, cv2.LINE_8, FRACTION_BITS)
    if away.all():  # a point on the border, rounded over it
        x, y = pixel(stroke.points[0], (h, w))
        away[y, x] = 0
    reach = max(stroke.radius * diagonal((h, w)), 1.0)
    part = cv2.distanceTransform(away, cv2.DIST_L2, 5) / np.float32(reach)
    return np.clip((1 - part) / np.float32(1 - HARD), 0, 1).astype(np.float32)


def _value(plane: Plane, at: Fraction) -> float:
    x, y = pixel(at, (plane.shape[0], plane.shape[1]))
    return float(plane[y, x])


def _surroundings(plane: Plane, weight: Plane, focus: float) -> float:
    """Return the depth around what is painted, without what is as far away as the focus."""
    inside = (weight > 0).astype(np.uint8)
    side = 2 * max(2, round(0.01 * diagonal(plane.shape))) + 1
    around = plane[(cv2.dilate(inside, np.ones((side, side), np.uint8)) > 0) & (inside == 0)]
    if not around.size:
        return float(plane.min())
    away = np.abs(around - np.float32(focus))
    return float(np.median(around[2 * away >= np.percentile(away, 90)]))
