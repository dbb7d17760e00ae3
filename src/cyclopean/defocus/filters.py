"""The four blurs of the report: whole picture in, whole picture out, strength as an odd width in pixels. No torch here.

Their names and aliases are here too, so that commands can check them early.
"""

import math
from collections.abc import Callable, Sequence

import cv2
import numpy as np

from cyclopean.defocus.lens import diagonal
from cyclopean.errors import InputError, unknown_name
from cyclopean.io.planes import Colours, Plane

Blur = Callable[[Colours, int], Colours]
Bins = Callable[[Plane, int, int], Plane]

THIN_LENS = "thin-lens"
REPORTED = 21  # the report's widest kernel; the slow blurs work on a shrunk picture beyond it
SIGMA = 75.0  # of the bilateral filter, in pixels and in 8-bit steps of colour
KERNELS = (5, 9, 13, 17, 21)  # of the report, in pixels of its pictures
REPORTED_DIAGONAL = math.hypot(1242, 375)  # its pictures are KITTI's


def render(
    picture: Colours, inverse_depth: Plane, focus: float, kernels: Sequence[int], *, method: str, bins: str
) -> Colours:
    """Return `picture` sharp where `inverse_depth` equals `focus`, blurred most where it differs most.

    `method` is one of `METHODS`, `bins` one of `BINS`. Level 0 is the picture itself, level i the whole picture blurred
    with `kernels[i - 1]`. A picture of one depth is all in focus.
    """
    blur, weigh, count = METHODS[method], BINS[bins], len(kernels) + 1
    away = np.abs(inverse_depth - np.float32(focus))
    most = away.max()
    away = away / most if most > 0 else away
    total = picture * weigh(away, 0, count)[..., None]
    for level, width in enumerate(kernels, 1):
        weight = weigh(away, level, count)
        if weight.any():
            total += blur(picture, width) * weight[..., None]
    return total


def kernels_for(size: tuple[int, int], strength: float) -> tuple[int, ...]:
    """Return the report's kernels for a picture of `size` (height, width): odd, in proportion to its diagonal."""
    scale = strength * diagonal(size) / REPORTED_DIAGONAL
    return tuple(2 * round((width * scale - 1) / 2) + 1 if width * scale > 1 else 1 for width in KERNELS)


def canonical(method: str) -> str:
    """Return the name of a method, or of two, as in `METHODS`: the report writes avg_blur and median_blur."""
    words = (kind.strip().lower().replace("_", "-").removesuffix("-blur") for kind in method.split("+"))
    return "+".join("average" if word in ("avg", "mean") else word for word in words)


def check_choice(method: str, strength: float, bins: str) -> None:
    """Raise InputError for unknown names and a strength that is not a number of at least 0."""
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


def gaussian(picture: Colours, width: int) -> Colours:
    """Blur by a Gaussian; sigma follows from the width as in OpenCV, 0.3 ((width - 1) / 2 - 1) + 0.8."""
    return cv2.GaussianBlur(picture, (width, width), 0)


def average(picture: Colours, width: int) -> Colours:
    """Blur by the mean of a square."""
    return cv2.blur(picture, (width, width))


def median(picture: Colours, width: int) -> Colours:
    """Blur by the median of a square, per channel, in 8 bits."""
    return _in_8_bits(picture, width, cv2.medianBlur)


def bilateral(picture: Colours, width: int) -> Colours:
    """Blur within surfaces by a bilateral filter, in 8 bits, which keeps their edges."""
    return _in_8_bits(picture, width, lambda eight, side: cv2.bilateralFilter(eight, side, SIGMA, SIGMA))


def smooth(away: Plane, level: int, count: int) -> Plane:
    """Return the weight of one of `count` levels: the two nearest share a pixel, so there are no bands."""
    return np.clip(1 - np.abs(away * np.float32(count - 1) - np.float32(level)), 0, 1)


def hard(away: Plane, level: int, count: int) -> Plane:
    """Return the weight of one of `count` levels: one level per pixel, as in the report.

    Its last bin is half open and leaves the farthest pixel black; here it is closed.
    """
    return (np.minimum((away * count).astype(np.int32), count - 1) == level).astype(np.float32)


METHODS: dict[str, Blur] = {"gaussian": gaussian, "average": average, "median": median, "bilateral": bilateral}
BINS: dict[str, Bins] = {"smooth": smooth, "hard": hard}


def _in_8_bits(picture: Colours, width: int, blur: Callable[[np.ndarray, int], np.ndarray]) -> Colours:
    """Blur at full size up to the report's widest kernel, beyond it on the picture shrunk by a whole factor.

    The cost of these blurs grows with the square of the width; blurs this wide remove whatever shrinking loses.
    """
    factor, (h, w) = -(-width // REPORTED), picture.shape[:2]
    small = picture
    if factor > 1:
        small = cv2.resize(picture, (max(1, w // factor), max(1, h // factor)), interpolation=cv2.INTER_AREA)
        width = width // factor | 1
    blurred = blur((small * 255).round().astype(np.uint8), width).astype(np.float32) / np.float32(255)
    return cv2.resize(blurred, (w, h), interpolation=cv2.INTER_LINEAR) if factor > 1 else blurred
