"""The four blurs of the report: whole picture in, whole picture out, strength as an odd width in pixels."""

from collections.abc import Callable

import cv2
import numpy as np
from jaxtyping import Float

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
