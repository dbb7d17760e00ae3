"""Coordinates: from a click on the shown picture to a pixel of the photo."""

import math

from cyclopean.errors import InputError
from cyclopean.io.image import TEXTURE, size_within

MOST_SHOWN = 750_000  # pixels of the picture on the screen: about 1060x707


def shown_size(size: tuple[int, int], most: int = MOST_SHOWN) -> tuple[int, int]:
    """Return the (height, width) at which a photo of `size` is shown: of its shape, at most `most` pixels."""
    return size_within(size, most, longest=TEXTURE)


def pixel(at: tuple[float, float], size: tuple[int, int]) -> tuple[int, int]:
    """Return the pixel (x, y) of a picture of `size` (height, width) under the point `at`.

    `at` is in fractions of width and height of the shown picture, from its top-left corner: the browser measures it
    on the element, so neither zoom nor the size of the preview matter. The last row and column are reached at 1.
    Raises InputError for what is not a point.
    """
    x, y = fraction(at)
    h, w = size
    return min(int(x * w), w - 1), min(int(y * h), h - 1)


def fraction(at: tuple[float, float]) -> tuple[float, float]:
    """Return the point `at` moved into the picture: both fractions from 0 to below 1.

    Raises InputError for what is not a point.
    """
    if not all(map(math.isfinite, at)):
        raise InputError("that is not a point of the picture; click inside it.")
    x, y = (min(max(part, 0.0), math.nextafter(1.0, 0.0)) for part in at)
    return x, y
