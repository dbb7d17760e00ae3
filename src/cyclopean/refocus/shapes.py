"""Shapes of blur: what a point out of focus becomes. Small kernels of area coverage, exact in their second moment."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float

from cyclopean.errors import InputError, unknown_name

Kernel = Float[np.ndarray, "k k"]
Grid = Float[np.ndarray, "n n"]
Inside = Callable[["Shape", Grid, Grid], Bool[np.ndarray, "n n"]]

SUPERSAMPLING = 12
BISECTIONS = 10
RING = 0.7  # the hole of a ring, as a part of its radius
LEAST, MOST = 3, 12  # blades of a polygon


@dataclass(frozen=True)
class Shape:
    """The outline of the aperture: `kind` disc, ring, polygon or cateye.

    `blades` and `rotation` (degrees, clockwise in the picture) are a polygon's. `tilt` is a cat's eye's: how far the
    centres of its two rims lie apart along x and y, in radii.
    """

    kind: str = "disc"
    blades: int = 6
    rotation: float = 0.0
    tilt: tuple[float, float] = (0.0, 0.0)


def named(text: str) -> Shape:
    """A shape from "disc", "ring", "cateye", "polygon:6" or "polygon:6:15" (blades, degrees of rotation)."""
    kind, *numbers = text.strip().lower().split(":")
    if kind not in INSIDE:
        raise unknown_name("shape", text, ["disc", "ring", "polygon:6", "cateye"])
    if not numbers:
        return Shape(kind)
    try:
        blades, rotation = int(numbers[0]), float(numbers[1]) if len(numbers) > 1 else 0.0
        good = kind == "polygon" and len(numbers) <= 2 and LEAST <= blades <= MOST and math.isfinite(rotation)
    except ValueError:
        good = False
    if not good:
        raise InputError(
            f"the shape {text} cannot be understood; give polygon:BLADES or polygon:BLADES:DEGREES with {LEAST} to "
            f"{MOST} blades, such as polygon:6:15."
        )
    return Shape(kind, blades, rotation)


def _disc(_: Shape, x: Grid, y: Grid) -> Bool[np.ndarray, "n n"]:
    return x * x + y * y <= 1


def _ring(_: Shape, x: Grid, y: Grid) -> Bool[np.ndarray, "n n"]:
    return (x * x + y * y <= 1) & (x * x + y * y >= RING * RING)


def _polygon(shape: Shape, x: Grid, y: Grid) -> Bool[np.ndarray, "n n"]:
    """A corner points up at rotation 0."""
    step = 2 * math.pi / shape.blades
    angle = np.arctan2(y, x) + math.pi / 2 - math.radians(shape.rotation)
    return np.hypot(x, y) * np.cos(np.mod(angle, step) - step / 2) <= math.cos(step / 2)


def _cateye(shape: Shape, x: Grid, y: Grid) -> Bool[np.ndarray, "n n"]:
    """Off the axis the barrel of the lens cuts the aperture: the common part of two discs, moved apart evenly."""
    tx, ty = shape.tilt[0] / 2, shape.tilt[1] / 2
    return ((x - tx) ** 2 + (y - ty) ** 2 <= 1) & ((x + tx) ** 2 + (y + ty) ** 2 <= 1)


INSIDE: dict[str, Inside] = {"disc": _disc, "ring": _ring, "polygon": _polygon, "cateye": _cateye}


@lru_cache(maxsize=4096)
def kernel(shape: Shape, radius: float, spare: float = 0.0) -> Kernel:
    """The blur of a point at `radius` pixels: odd, sums to 1, each pixel has the part of the shape that covers it.

    Pixels widen a shape and steps of resizing do too (by `spare`, a variance per axis in pixels²): the shape is drawn
    smaller so that the second moment of the whole is that of the continuous shape at `radius`. So a radius of half a
    pixel blurs by exactly that, where coverage alone would not blur at all.
    """
    if radius <= 0:
        return np.ones((1, 1), np.float32)
    unit = _unit_variance(shape)
    wanted = max(unit * radius * radius - spare, 0.0)
    low, high = 0.3, math.sqrt(wanted / unit) + 1
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if _variance(_coverage(shape, middle, high)) < wanted else (low, middle)
    smaller, larger = _coverage(shape, low, high), _coverage(shape, high, high)
    less, more = _variance(smaller), _variance(larger)
    part = (wanted - less) / (more - less) if more > less else 1.0
    return (smaller + part * (larger - smaller)).astype(np.float32)


@lru_cache(maxsize=1024)
def _unit_variance(shape: Shape) -> float:
    axis = np.linspace(-1, 1, 401)
    x, y = np.meshgrid(axis, axis)
    inside = INSIDE[shape.kind](shape, x, y)
    return float((x[inside].var() + y[inside].var()) / 2)


def _coverage(shape: Shape, radius: float, room: float) -> Float[np.ndarray, "k k"]:
    """The part of each pixel that the shape covers, scaled to the sum 1; as large as a radius of `room` needs."""
    half = math.ceil(room - 0.5)
    side = (2 * half + 1) * SUPERSAMPLING
    axis = ((np.arange(side) + 0.5) / SUPERSAMPLING - half - 0.5) / radius
    x, y = np.meshgrid(axis, axis)
    covered = INSIDE[shape.kind](shape, x, y)
    parts = covered.reshape(2 * half + 1, SUPERSAMPLING, 2 * half + 1, SUPERSAMPLING).mean((1, 3))
    return parts / parts.sum()


def _variance(weights: Float[np.ndarray, "k k"]) -> float:
    """Mean of the variances along x and y, in pixels²."""
    place = np.arange(len(weights)) - len(weights) // 2
    rows, columns = weights.sum(1), weights.sum(0)
    spread = (rows @ place**2 - (rows @ place) ** 2) + (columns @ place**2 - (columns @ place) ** 2)
    return float(spread / 2)
