"""Where points of one picture are found again in another: by local features, with nothing assumed about the rig."""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float
from torch import Tensor

WIDEST = 1280  # pictures are shrunk to this width first: it bounds the time, and rows are judged relative to the width
FEATURES, RATIO, FAINT = 1500, 0.75, 0.02


@dataclass(frozen=True)
class Matches:
    """Points seen in both pictures, in pixels of the target as it is stored: `at` (x, y), counted from the picture's
    corner, and `shift` (x, y), by how much each lies further left and further up in the source."""

    at: Float[np.ndarray, "n 2"]
    shift: Float[np.ndarray, "n 2"]

    def __len__(self) -> int:
        return len(self.at)


def match(target: Float[Tensor, "1 3 h w"], source: Float[Tensor, "1 3 h w"]) -> Matches:
    """SIFT features (Lowe 2004) that choose each other and have no near rival; finds any shift, either way.

    Where repeated patterns or noise match by chance, shifts up and down scatter: those far from the median are dropped.
    """
    scale = max(1.0, target.shape[-1] / WIDEST)
    sift = cv2.SIFT.create(FEATURES, contrastThreshold=FAINT)
    (points, codes), (others, other_codes) = (_features(sift, image, scale) for image in (target, source))
    if len(points) < 2 or len(others) < 2:
        return Matches(np.zeros((0, 2)), np.zeros((0, 2)))
    best, back = _best(codes, other_codes), _best(other_codes, codes)
    pairs = [(n, m) for n, m in best.items() if back.get(m) == n]
    at = np.array([points[n] for n, _ in pairs]).reshape(-1, 2)
    shift = at - np.array([others[m] for _, m in pairs]).reshape(-1, 2)
    kept = _together(shift[:, 1])
    return Matches((at[kept] + 0.5) * scale, shift[kept] * scale)


def grey(image: Float[Tensor, "1 3 h w"]) -> Float[np.ndarray, "h w"]:
    """Luma in [0,1]."""
    return np.tensordot(np.array([0.299, 0.587, 0.114], np.float32), image[0].numpy(), 1)


def _features(
    sift: "cv2.SIFT", image: Float[Tensor, "1 3 h w"], scale: float
) -> tuple[Float[np.ndarray, "n 2"], np.ndarray]:
    plane = grey(image)
    if scale > 1:
        height, width = plane.shape
        plane = cv2.resize(plane, (round(width / scale), round(height / scale)), interpolation=cv2.INTER_AREA)
    found, codes = sift.detectAndCompute(np.rint(plane * 255).astype(np.uint8), None)
    points = np.array([point.pt for point in found], np.float64).reshape(-1, 2)
    return points, np.zeros((0, 128), np.float32) if codes is None else codes


def _best(codes: np.ndarray, others: np.ndarray) -> dict[int, int]:
    """The nearest of `others` to each code, where the second is clearly worse."""
    two = cv2.BFMatcher(cv2.NORM_L2).knnMatch(codes, others, 2)
    return {a.queryIdx: a.trainIdx for a, b in two if a.distance < RATIO * b.distance}


def _together(values: Float[np.ndarray, " n"]) -> np.ndarray:
    """Which values lie within 5 median deviations, and at least 3 pixels, of the median."""
    if not len(values):
        return np.zeros(0, bool)
    away = np.abs(values - np.median(values))
    return away <= max(3.0, 5 * float(np.median(away)))
