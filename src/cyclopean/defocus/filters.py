"""The four blurs of the report: whole picture in, whole picture out, strength as an odd width in pixels."""

import math
from collections.abc import Callable, Sequence

import cv2
import numpy as np
from jaxtyping import Float

from cyclopean.defocus.lens import diagonal

Picture = Float[np.ndarray, "h w 3"]
Blur = Callable[[Picture, int], Picture]

REPORTED = 21  # the report's widest kernel; the slow blurs work on a shrunk picture beyond it
SIGMA = 75.0  # of the bilateral filter, in pixels and in 8-bit steps of colour


def gaussian(picture: Picture, width: int) -> Picture:
    """Gaussian; sigma follows from the width as OpenCV has it, 0.3 ((width - 1) / 2 - 1) + 0.8."""
    return cv2.GaussianBlur(picture, (width, width), 0)


def average(picture: Picture, width: int) -> Picture:
    """The mean of a square."""
    return cv2.blur(picture, (width, width))


def median(picture: Picture, width: int) -> Picture:
    """The median of a square, per channel, in 8 bits."""
    return _shrunk(picture, width, _median)


def bilateral(picture: Picture, width: int) -> Picture:
    """Bilateral filter: smooths within surfaces, keeps their edges."""
    return _shrunk(picture, width, _bilateral)


def _median(picture: Picture, width: int) -> Picture:
    eight = cv2.medianBlur((picture * 255).round().astype(np.uint8), width)
    return eight.astype(np.float32) / np.float32(255)


def _bilateral(picture: Picture, width: int) -> Picture:
    eight = cv2.bilateralFilter((picture * 255).round().astype(np.uint8), width, SIGMA, SIGMA)
    return eight.astype(np.float32) / np.float32(255)


def _shrunk(picture: Picture, width: int, blur: Blur) -> Picture:
    """`blur` at full size up to the report's widest kernel, beyond it on the picture shrunk by a whole factor.

    Their cost grows with the square of the width; what shrinking loses, blurs this wide have removed.
    """
    factor = -(-width // REPORTED)
    if factor == 1:
        return blur(picture, width)
    h, w = picture.shape[:2]
    small = cv2.resize(picture, (max(1, w // factor), max(1, h // factor)), interpolation=cv2.INTER_AREA)
    return cv2.resize(blur(small, width // factor | 1), (w, h), interpolation=cv2.INTER_LINEAR)


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
