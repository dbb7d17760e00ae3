"""Whether depth maps lie as their pictures do, by the edges of both."""

import cv2
import numpy as np

from cyclopean.io.planes import Plane

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
