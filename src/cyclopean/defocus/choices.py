"""What people choose of refocusing, by words and numbers, checked before anything heavy is loaded. No torch here."""

import math
from collections.abc import Callable
from functools import partial

import numpy as np
from jaxtyping import Float

from cyclopean.defocus import filters
from cyclopean.errors import InputError, unknown_name

Point = tuple[float | int, float | int]

THIN_LENS = "thin-lens"

# name -> (picture, inverse depth, inverse depth in focus, kernels, bins=...) -> picture
METHODS: dict[str, Callable[..., Float[np.ndarray, "h w 3"]]] = {
    "gaussian": partial(filters.render, blur=filters.gaussian),
    "average": partial(filters.render, blur=filters.average),
    "median": partial(filters.render, blur=filters.median),
    "bilateral": partial(filters.render, blur=filters.bilateral),
}
BINS: dict[str, filters.Bins] = {"smooth": filters.smooth, "hard": filters.hard}

DISTANCE_ALONE = (
    "a focus distance alone needs depth in metres, and this depth is only relative; give the point that is so far "
    "away, too."
)
F_NUMBER_ALONE = (
    "an f-number needs depth in metres, and this depth is only relative; say how far the point is (--focus-distance), "
    "or give an amount."
)


def canonical(method: str) -> str:
    """Return the name of a method, or of two, as it stands in `METHODS`: the report writes avg_blur and median_blur."""
    words = (kind.strip().lower().replace("_", "-").removesuffix("-blur") for kind in method.split("+"))
    return "+".join("average" if word in ("avg", "mean") else word for word in words)


def check_choice(method: str, strength: float, bins: str) -> None:
    """Raises InputError for unknown names and a strength that is no number from 0 up."""
    kinds = canonical(method).split("+")
    for kind in kinds:
        if kind not in (THIN_LENS, *METHODS):
            raise unknown_name("blur method", kind, [THIN_LENS, *METHODS])
    if len(kinds) > 2:
        raise InputError(
            f"{method} names {len(kinds)} methods; give one, or two for nearer and farther than the focus."
        )
    if bins not in BINS:
        raise unknown_name("kind of bins", bins, BINS)
    if not (math.isfinite(strength) and strength >= 0):
        raise InputError(f"the strength of blur is {strength:g}; it must be 0 or more.")


def check_distance(distance: float | None) -> None:
    """Raises InputError for a focus distance that is no number of metres above 0; None is none at all."""
    if distance is not None and not (math.isfinite(distance) and distance > 0):
        raise InputError(f"the focus distance is {distance:g}; it must be above 0 metres.")


def focus_pixel(at: Point, size: tuple[int, int]) -> tuple[int, int]:
    """The pixel (x, y) that `at` means at `size` (height, width): fractions when both are below 1, else pixels."""
    x, y = at
    h, w = size
    if 0 <= x < 1 and 0 <= y < 1:
        return min(int(x * w), w - 1), min(int(y * h), h - 1)
    if not (0 <= x < w and 0 <= y < h):
        hint = "; fractions stay below 1" if 0 <= x <= 1 and 0 <= y <= 1 else ""
        raise InputError(
            f"the point {x:g} {y:g} lies outside the photo, which is {w}x{h}{hint}; give a point inside it."
        )
    if 0 < x < 1 or 0 < y < 1:
        raise InputError(
            f"the point {x:g} {y:g} mixes a fraction with pixels; give two fractions below 1, or two numbers of pixels."
        )
    return int(x), int(y)
