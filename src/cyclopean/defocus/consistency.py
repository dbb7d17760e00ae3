"""Depth that agrees along a clip: the scale and shift of each frame, fitted to the frames before it.

A model sees each frame alone, so the scale of its depth (and, of affine models, the shift) jumps from frame to frame.
Each frame is fitted to the last one and to a keyframe, along the optical flow. A keyframe is kept as long as half of
the picture still shows it: errors of fits to the last frame, which add up, are pulled back to it. Memory is two frames.
"""

import math
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from cyclopean.defocus.video import FEWEST_SURE, Grey, Moment, motion
from cyclopean.io.planes import Plane
from cyclopean.io.sidecar import Ambiguity

STILL = 1.0  # pixel: less motion is none. Pixels that stand still are fitted alone where there are enough of them,
ENOUGH = 0.1  # of the picture: the depth of what moves changes
SHOWN = 0.5  # of a keyframe's pixels that have to be sure, else the frame becomes the next keyframe
LEAK = 10.0  # seconds in which scale and shift return to the model's own, so that no drift lasts
TRIES, SOME = 60, 500  # lines to start from, and about how many points judge them
ROUNDS = 6  # of re-weighting
FLAT = 0.02  # of the range: residuals below weigh alike
LARGEST = 8.0  # the largest factor of one fit: more is no flicker

Values = Float[np.ndarray, " n"]


@dataclass(frozen=True)
class ScaleShift:
    """Inverse depth times `scale` plus `shift`."""

    scale: float = 1.0
    shift: float = 0.0

    def applied(self, plane: Plane) -> Plane:
        """Return a plane of inverse depth, scaled and shifted."""
        return (plane * np.float32(self.scale) + np.float32(self.shift)).astype(np.float32)


@dataclass
class Consistency:
    """The alignment of a clip's frames, one after the other. `clip_range` is the clip's range of inverse depth.

    Affine maps get a scale and a shift, others a scale.
    """

    ambiguity: Ambiguity
    clip_range: float
    last: Moment | None = None
    key: Moment | None = None
    alignment: ScaleShift = field(default_factory=ScaleShift)

    def add(self, grey: Grey, predicted: Plane, seconds: float) -> Moment:
        """Return the next moment of the clip: `depth` is the prediction, aligned to the moments before it."""
        if self.last is None or self.key is None:
            self.last = self.key = Moment(grey, predicted, predicted, seconds)
            return self.last
        moved = motion(self.last.grey, grey)
        if moved.cut:
            self.alignment = ScaleShift()
            self.last = self.key = Moment(grey, predicted, predicted, seconds, moved)
            return self.last
        from_key = moved if self.key is self.last else motion(self.key.grey, grey)
        pairs = [(m, earlier) for m, earlier in ((moved, self.last), (from_key, self.key)) if not m.cut]
        # The sure pixels that stand still, or all sure ones if those are few.
        still = [m.sure & (np.hypot(m.back[..., 0], m.back[..., 1]) < STILL) for m, _ in pairs]
        chosen = [mask if mask.mean() >= ENOUGH else m.sure for mask, (m, _) in zip(still, pairs, strict=True)]
        x = np.concatenate([predicted[mask] for mask in chosen])
        y = np.concatenate([m.warp(earlier.depth)[mask] for (m, earlier), mask in zip(pairs, chosen, strict=True)])
        if len(x) >= FEWEST_SURE:
            fitted = fit(x, y, self.ambiguity, FLAT * self.clip_range)
            kept = math.exp(-(seconds - self.last.seconds) / LEAK)
            self.alignment = ScaleShift(fitted.scale**kept, fitted.shift * kept)
        self.last = Moment(grey, predicted, self.alignment.applied(predicted), seconds, moved)
        if from_key.cut or from_key.sure.mean() < SHOWN:
            self.key = self.last
        return self.last


def fit(x: Values, y: Values, ambiguity: Ambiguity, flat: float) -> ScaleShift:
    """Return the scale (and of affine maps the shift) that brings `x` to `y`, robust to outliers.

    It starts from the least median of residuals among lines through a few points (Rousseeuw 1984), and continues with
    weights 1 / (residual² + (2 medians)² + `flat`²). The scale is a ratio of deviations (of affine maps) or of root
    mean squares: least squares of y would be biased to small scales by the noise of x, frame after frame.
    """
    x, y, shifted = x.astype(np.float64), y.astype(np.float64), ambiguity == "affine"
    rng = np.random.default_rng(0)
    first, second, some = (
        rng.integers(len(x), size=TRIES),
        rng.integers(len(x), size=TRIES),
        slice(None, None, max(1, len(x) // SOME)),
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        scales = (y[first] - y[second]) / (x[first] - x[second]) if shifted else y[first] / x[first]
    scales = np.append(scales[(scales >= 1 / LARGEST) & (scales <= LARGEST)], 1.0)  # NaN is neither
    shifts = np.median(y[some] - scales[:, None] * x[some], -1) * shifted
    spreads = np.median(np.abs(scales[:, None] * x[some] + shifts[:, None] - y[some]), -1)
    best = int(spreads.argmin())
    result = ScaleShift(float(scales[best]), float(shifts[best]))
    for _ in range(ROUNDS):
        residual = np.abs(result.scale * x + result.shift - y)
        weight = 1 / (residual**2 + (2 * np.median(residual)) ** 2 + flat**2 + 1e-30)
        weight /= weight.sum()
        middle_x, middle_y = (float((weight * v).sum()) if shifted else 0.0 for v in (x, y))
        spread_x, spread_y = (float((weight * (v - m) ** 2).sum()) for v, m in ((x, middle_x), (y, middle_y)))
        if not (spread_x > 1e-12 * float(np.square(x).mean()) and spread_y > 0):
            break  # nothing to tell a scale by
        scale = min(max(math.sqrt(spread_y / spread_x), 1 / LARGEST), LARGEST)
        result = ScaleShift(scale, middle_y - scale * middle_x)
    return result
