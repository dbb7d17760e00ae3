"""Depth that is steady in time: each frame's depth is joined with that of the frames before, moved along by the flow.

An exponential mean along the motion, d_t = w p_t + (1 - w) warp(d_{t-1}), w = 1 - exp(-step / seconds), where the flow
is sure and the two agree. Where they differ by much (things that turned up, edges, wrong flow) it is the frame's own
prediction, brought to the scale of the rest: networks that know depth up to scale breathe from frame to frame.
"""

import math
from dataclasses import dataclass, field

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from cyclopean.video.motion import Motion, motion

Grey = UInt8[np.ndarray, "h w"]
Plane = Float[np.ndarray, "h w"]

SECONDS = 0.3  # of the mean
UNLIKE = 0.1  # of the clip's range of inverse depth: so different values are no flicker but news
LEAST = 64  # sure pixels from which a scale can be told


@dataclass(frozen=True)
class Moment:
    """One frame of a clip, small: grey picture, inverse depth as predicted, inverse depth made steady, seconds."""

    grey: Grey
    predicted: Plane
    depth: Plane
    seconds: float
    motion: Motion | None = None  # from the moment before; None for the first


def first(grey: Grey, predicted: Plane, seconds: float) -> Moment:
    """The first moment of a clip: nothing is known before it."""
    return Moment(grey, predicted, predicted, seconds)


def following(last: Moment, grey: Grey, predicted: Plane, seconds: float, *, mean: float, whole: float) -> Moment:
    """The moment after `last`; `mean` seconds of the mean, 0 none; `whole` is the clip's range of inverse depth."""
    moved = motion(last.grey, grey)
    if moved.cut or mean == 0:
        return Moment(grey, predicted, predicted, seconds, moved)
    weight = -math.expm1(-(seconds - last.seconds) / mean)
    depth = _joined(moved.brought(last.depth), predicted, moved, weight, whole)
    return Moment(grey, predicted, depth, seconds, moved)


def _joined(earlier: Plane, predicted: Plane, moved: Motion, weight: float, whole: float) -> Plane:
    """The mean of what was, brought here, and what is predicted now; the latter where they differ by much."""
    predicted = predicted * np.float32(_scale(earlier, predicted, moved) ** (1 - weight))
    apart = np.minimum(np.abs(predicted - earlier) * np.float32(1 / (UNLIKE * whole)), 1) if whole > 0 else 0.0
    kept = (1 - weight) * (1 - apart * apart) * moved.sure
    return (predicted + (earlier - predicted) * kept).astype(np.float32)


def _scale(earlier: Plane, predicted: Plane, moved: Motion) -> float:
    """The factor between two maps of the same things: the median where the flow is sure."""
    good = moved.sure & (earlier > 0) & (predicted > 0)
    if np.count_nonzero(good) < LEAST:
        return 1.0
    return float(np.median(earlier[good] / predicted[good]))


@dataclass
class Flicker:
    """How much depth changes along the motion from frame to frame, as a part of the clip's range of inverse depth.

    The mean of |d_t - warp(d_{t-1})| over the pixels whose flow is sure, over all pairs of frames within a scene; of
    the depth as predicted and as made steady, over the same pixels. What really comes nearer or goes counts as well.
    """

    whole: float
    totals: list[float] = field(default_factory=lambda: [0.0, 0.0])
    pairs: int = 0

    def add(self, last: Moment, this: Moment) -> None:
        """Count one pair of neighbours."""
        if this.motion is None or this.motion.cut or not this.motion.sure.any() or self.whole <= 0:
            return
        for k, (a, b) in enumerate(((last.predicted, this.predicted), (last.depth, this.depth))):
            change = np.abs(b - this.motion.brought(a))[this.motion.sure]
            self.totals[k] += float(change.mean()) / self.whole
        self.pairs += 1

    @property
    def before(self) -> float | None:
        """Of the depth as predicted; None when there was no pair."""
        return self.totals[0] / self.pairs if self.pairs else None

    @property
    def after(self) -> float | None:
        """Of the depth made steady."""
        return self.totals[1] / self.pairs if self.pairs else None


def small_size(size: tuple[int, int], pixels: int) -> tuple[int, int]:
    """The size of about `pixels` in the shape of `size` (height, width); never larger than it."""
    shrink = max(1.0, math.sqrt(size[0] * size[1] / pixels))
    return max(1, round(size[0] / shrink)), max(1, round(size[1] / shrink))


def grey_of(picture: Float[np.ndarray, "h w 3"]) -> Grey:
    """Brightness of a picture in [0,1], in 255 steps."""
    return np.clip(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) * 255, 0, 255).round().astype(np.uint8)
