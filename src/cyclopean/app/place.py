"""Where a click on the shown picture lies in the photo: the only place that knows."""

import math

from cyclopean.errors import InputError
from cyclopean.io.image import size_within

MOST_SHOWN = 750_000  # pixels of the picture on the screen: about 1060x707


def shown_size(size: tuple[int, int], most: int = MOST_SHOWN) -> tuple[int, int]:
    """The (height, width) at which a photo of `size` is shown: its shape, at most `most` pixels, never enlarged."""
    return size_within(size, most)


def pixel(at: tuple[float, float], size: tuple[int, int]) -> tuple[int, int]:
    """The pixel (x, y) of a picture of `size` (height, width) under the point `at`.

    `at` is in fractions of width and height of the shown picture, from its top-left corner: the browser measures it
    on the element, so neither zoom nor the size of the preview matter. The last row and column are reached at 1.
    Raises InputError for what is no point.
    """
    x, y = at
    if not (math.isfinite(x) and math.isfinite(y)):
        raise InputError("that is no point of the picture; click inside it.")
    h, w = size
    return min(int(min(max(x, 0.0), 1.0) * w), w - 1), min(int(min(max(y, 0.0), 1.0) * h), h - 1)
