"""The report's renderer: graded levels of blur, chosen per pixel by the distance in disparity from the focus."""

import math
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float

from cyclopean.refocus.blurs import Blur, Picture
from cyclopean.refocus.measures import diagonal

Plane = Float[np.ndarray, "h w"]
Bins = Callable[[Plane, int, int], Plane]

KERNELS = (5, 9, 13, 17, 21)  # of the report, in pixels of its pictures
REPORTED_DIAGONAL = math.hypot(1242, 375)  # its pictures are KITTI's


def render(
    picture: Picture, inverse_depth: Plane, focus: float, kernels: Sequence[int], *, blur: Blur, bins: Bins
) -> Picture:
    """`picture` sharp where `inverse_depth` equals `focus`, blurred most where it differs most.

    Level 0 is the picture itself, level i the whole picture blurred with `kernels[i - 1]`.
    """
    away, count = distance(inverse_depth, focus), len(kernels) + 1
    total = picture * bins(away, 0, count)[..., None]
    for level, width in enumerate(kernels, 1):
        weight = bins(away, level, count)
        if weight.any():
            total += blur(picture, width) * weight[..., None]
    return total


def distance(inverse_depth: Plane, focus: float) -> Plane:
    """|inverse depth - focus|, 1 at the farthest value; all 0 (in focus) when there is only one value."""
    away = np.abs(inverse_depth - np.float32(focus))
    most = away.max()
    return away / most if most > 0 else away


def smooth(away: Plane, level: int, count: int) -> Plane:
    """Weight of one of `count` levels: the two nearest share a pixel, so there are no bands."""
    return np.clip(1 - np.abs(away * np.float32(count - 1) - np.float32(level)), 0, 1)


def hard(away: Plane, level: int, count: int) -> Plane:
    """Weight of one of `count` levels: one level per pixel, as in the report.

    Its last bin is half open and leaves the farthest pixel black; here it is closed.
    """
    return (np.minimum((away * count).astype(np.int32), count - 1) == level).astype(np.float32)


def kernels_for(size: tuple[int, int], strength: float) -> tuple[int, ...]:
    """The report's kernels for a picture of `size` (height, width), so that blur covers the same part of it; odd."""
    scale = strength * diagonal(size) / REPORTED_DIAGONAL
    return tuple(2 * round((width * scale - 1) / 2) + 1 if width * scale > 1 else 1 for width in KERNELS)
