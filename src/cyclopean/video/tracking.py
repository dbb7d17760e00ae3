"""A point that stays on its thing: moved along by the flow of the pixels around it that are as far away as it is.

The median of their flows (as in Kalal et al., Forward-Backward Error, ICPR 2010): single wrong ones have no say.
"""

import cv2
import numpy as np
from jaxtyping import Bool, Float

from cyclopean.video.motion import Motion

Plane = Float[np.ndarray, "h w"]
Mask = Bool[np.ndarray, "h w"]
Spot = tuple[float, float]  # pixels (x, y) from the corner of the picture: centres of pixels are at halves

PART = 0.02  # of the diagonal: half the window
LIKE = 0.1  # of the clip's range of inverse depth: pixels this near the point's are of its thing
LEAST = 5  # sure pixels of the thing
RIM = np.ones((7, 7), np.uint8)


def tracked(spot: Spot, moved: Motion, last: Plane, whole: float) -> Spot | None:
    """Where `spot` of the frame before is in this one; None when it cannot be told: hidden, outside, or a new scene.

    `last` is the inverse depth of the frame before; `whole` is the clip's range of it. The flow is known at this
    frame's pixels, backwards: those are asked that came from around the spot.
    """
    h, w = last.shape
    reach = max(2.0, PART * float(np.hypot(h, w)))
    was = moved.places + np.float32(0.5)
    around: Mask = np.abs(was - np.array(spot, np.float32)).max(-1) <= reach
    alike = np.abs(moved.brought(last) - value_at(last, spot)) <= LIKE * whole
    chosen = _inner(alike & moved.sure, around)
    if moved.cut or np.count_nonzero(chosen) < LEAST:
        return None
    x, y = (spot[axis] - float(np.median(moved.back[..., axis][chosen])) for axis in (0, 1))
    return (x, y) if 0 <= x < w and 0 <= y < h else None


def _inner(thing: Mask, around: Mask) -> Mask:
    """The pixels of a thing around the spot: those away from its rim, where flow is that of both sides, if there are
    enough."""
    core = cv2.erode(thing.view(np.uint8), RIM).view(bool) & around
    return core if np.count_nonzero(core) >= LEAST else thing & around


def value_at(plane: Plane, spot: Spot) -> float:
    """The median of the 3x3 pixels around a spot."""
    h, w = plane.shape
    x, y = min(max(int(spot[0]), 0), w - 1), min(max(int(spot[1]), 0), h - 1)
    return float(np.median(plane[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]))
