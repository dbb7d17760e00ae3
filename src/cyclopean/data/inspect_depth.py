"""Whether depth maps lie as their pictures do, by the edges of both and by matches, and whether their numbers are z."""

import math

import cv2
import numpy as np
from jaxtyping import Float, Int

from cyclopean.io.planes import Plane

Numbers = Float[np.ndarray, " n"]
Indices = Int[np.ndarray, " n"]
Points = Float[np.ndarray, "n 2"]

FEWEST = 20  # matches that judge a pair
STRAIGHT, SURE = 0.5, 3.0  # a power of the angle below is none; it must be known to so many of its own deviations
CELLS, FEWEST_CELLS = 4, 8  # cells of a picture on a side; so many must have points to show how far to trust a fit
# Axes of the truth to be flipped, and the sign of disparities, by which both agree: what is wrong.
FITS: dict[tuple[tuple[int, ...], int], str] = {
    ((), 1): "",
    ((), -1): "opposite",
    ((-2, -1), -1): "turned",
    ((-1,), -1): "mirrored",
    ((-2,), 1): "depth upside down",
    ((-2, -1), 1): "depth turned",
    ((-1,), 1): "depth mirrored",
}
ALIKE, ALIKE_PX = 0.1, 1.0  # by how much disparities may differ from those of the truth: a share of them, or pixels
MOST_FACTOR = 2.0  # between disparities and those of a truth that lies otherwise: any would fit by a free factor
AGREEING, CLEARLY = 0.6, 0.2  # share of points that must agree with the truth, and by how much more than as they stand
# (Counter-clockwise quarter turns, then whether to mirror) that bring a depth map to its picture -> what it is before.
PLACEMENTS: dict[tuple[int, bool], str] = {
    (0, False): "",
    (2, False): "turned by 180 degrees",
    (0, True): "mirrored left to right",
    (2, True): "upside down (its rows run from the bottom up)",
    (1, False): "turned by 90 degrees clockwise",
    (3, False): "turned by 90 degrees counter-clockwise",
    (1, True): "turned by 90 degrees and mirrored",
    (3, True): "turned by 90 degrees and mirrored",
}
EDGES = 64  # pixels on a side at which edges of depth and picture are compared
DENSE = 0.3  # share of known pixels: sparse depth has no edges


def edge_correlations(light: Plane, depth: Plane) -> tuple[float, ...]:
    """Return the correlation of edges of a picture with those of its depth for each of `PLACEMENTS`, the first four
    alone where the picture is no square; none where depth is sparse. The strongest edges count alike, and their density
    relative to that around them."""
    known = np.isfinite(depth) & (depth > 0)
    if known.mean() < DENSE:
        return ()
    near = cv2.erode(known.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0  # a step to the unknown is no edge
    edges = []
    for values, there in ((light, True), (np.log(np.where(known, depth, 1)), near)):
        across, down = (np.abs(np.diff(values, axis=axis, append=0)) for axis in (1, 0))
        across[:, -1], down[-1] = 0, 0
        steps = np.where(there, np.hypot(across, down), 0).astype(np.float32)
        steps = np.minimum(steps, np.quantile(steps, 0.98) or steps.max())
        small = cv2.resize(steps, (EDGES, EDGES), interpolation=cv2.INTER_AREA)
        edges.append(small - cv2.GaussianBlur(small, (0, 0), EDGES / 8))
    shown, measured = edges
    norm = float(np.linalg.norm(shown) * np.linalg.norm(measured))
    if norm == 0:
        return ()
    ways = list(PLACEMENTS)[: 8 if depth.shape[0] == depth.shape[1] else 4]
    placed = (np.rot90(measured, turns)[:, :: -1 if mirrored else 1] for turns, mirrored in ways)
    return tuple(float((way * shown).sum()) / norm for way in placed)


def placement(disparity: Numbers, expected: Plane, row: Indices, column: Indices) -> str:
    """Return how the matches agree with the disparities that the truth expects, up to one factor: a name of `FITS`, ""
    where they do as they stand, cannot be judged so, or no other way is clearly better."""
    shares = dict.fromkeys(FITS.values(), 0.0)
    for (axes, sign), name in FITS.items():
        there = np.flip(expected, axes)[row, column]
        known = np.isfinite(there) & (there > 2)
        if known.sum() < FEWEST:
            if not name:
                return ""
            continue
        factor = float(np.median(sign * disparity[known] / there[known]))
        if axes and not 1 / MOST_FACTOR < factor < MOST_FACTOR:
            continue
        fitted = factor * there[known]
        telling = fitted > 2  # of points that hardly move every disparity would do
        if telling.sum() >= FEWEST:
            off = np.abs(sign * disparity[known] - fitted)
            shares[name] = float(np.mean((off < np.maximum(ALIKE_PX, ALIKE * fitted))[telling]))
    best = max(shares, key=shares.__getitem__)
    others = 0.0 if best == "opposite" else shares["opposite"]
    return best if shares[best] > max(AGREEING, shares[""] + CLEARLY, others + CLEARLY) else ""


def ray_power(disparity: Numbers, expected: Numbers, along: Numbers, place: Points) -> float:
    """Return the power p of disparity = (a + b / expected) expected along^p; NaN if unsure. `place` is where the points
    lie, as fractions of the picture.

    Its deviation is that of a jackknife over cells of the picture: points beside each other are off together, by things
    that repeat or whose edges hide others, and a power that depends on one such place means nothing.
    """
    known = np.isfinite(expected) & (np.minimum(disparity, expected) > 1)
    column, row = np.clip((place[known] * CELLS).astype(int), 0, CELLS - 1).T
    cell = row * CELLS + column
    cells = np.unique(cell)
    if known.sum() < FEWEST or len(cells) < FEWEST_CELLS:
        return math.nan
    points = disparity[known], expected[known], along[known]
    powers = np.array([_power(*(values[cell != one] for values in points)) for one in cells])
    deviation = math.sqrt(len(cells) - 1) * float(powers.std())
    return _power(*points) if deviation * SURE < STRAIGHT else math.nan


def _power(disparity: Numbers, expected: Numbers, along: Numbers) -> float:
    """Return the power p of disparity = (a + b / expected) expected along^p, by robust least squares; NaN if a is not
    above 0.

    `b` is there since a shift between the pictures makes near and far things differ, and near things often stand in the
    lower corners: only what goes with the angle of view itself may count.
    """
    ratio, angle, far = disparity / expected, np.log(along), 1 / expected
    rows = np.stack([np.ones_like(angle), angle - angle.mean(), far - far.mean()], 1)
    # Matches are off by pixels, near things least for their size; nothing is so near that it alone counts.
    sure = np.minimum(expected, np.quantile(expected, 0.95))
    weight = sure / sure.max()
    for _ in range(10):
        fit = np.linalg.lstsq(rows * weight[:, None], ratio * weight, rcond=None)[0]
        off = np.abs(ratio - rows @ fit) * sure
        scale = max(1.4826 * float(np.median(off)), 0.05)
        weight = sure / sure.max() * np.sqrt(1 / (1 + (off / scale) ** 2))
    return float(fit[1] / fit[0]) if fit[0] > 0 else math.nan
