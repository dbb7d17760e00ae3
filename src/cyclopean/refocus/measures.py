"""How large a picture is for a lens: the length that blur, windows and rims are parts of."""

import math

LONGEST = 6.0  # times its shorter side: a picture that is longer is measured as one of this shape and its pixels


def diagonal(size: tuple[int, ...]) -> float:
    """Return the diagonal of a picture of `size` (height, width) in pixels.

    That of a very long one is bounded by its pixels, or a strip of 16x60000 would be blurred by thousands of pixels.
    """
    return min(math.hypot(*size), math.sqrt(math.prod(size) * (LONGEST + 1 / LONGEST)))
