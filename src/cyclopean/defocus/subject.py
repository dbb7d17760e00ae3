"""From a rough mask of the subject to its soft matte, and from that to a depth in which the subject is one surface.

A rough mask comes from a network (`inference.subject`). Without one, candidates are regions around the point by
geodesic distance over steps of colour and depth (as Criminisi, Sharp and Blake 2008), and what GrabCut (Rother,
Kolmogorov and Blake 2004) finds on both; the one whose outline lies on the strongest steps is taken.
"""

import dataclasses
import heapq
import math
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from cyclopean.defocus.edges import border_reach, bordered, guided, subject_in
from cyclopean.defocus.focus import Sharp, fill_unknown
from cyclopean.defocus.lens import depth_range, diagonal
from cyclopean.io.depthmap import DepthMap

Plane = Float[np.ndarray, "h w"]
Region = Float[np.ndarray, "_ _"]
Guide = Float[np.ndarray, "h w 3"]
Mask = Bool[np.ndarray, "h w"]
Matte = Float[Tensor, "1 1 h w"]
Labels = UInt8[np.ndarray, "h w"]
Pixel = tuple[int, int]  # x, y

COLOUR, DEPTH = 8.0, 0.05  # a step of colour (Lab) and one of depth, in its range, that are an edge of strength 1
BLUR = 1.2  # pixels: texture that is finer is no step
FLAT = 0.02  # strength of every step, so that distance grows inside an object too
AREAS = tuple(0.006 * (0.6 / 0.006) ** (k / 39) for k in range(40))  # of the picture: regions that are compared
NEAR, FAR = 0.08, 0.4  # of the range of depth: likely the subject's, and surely not
SURE = 0.1, 0.85  # probabilities at which a pixel is surely not the object's, and surely is
TOUCHED = 0.01  # of the diagonal: what is so near to a click is on the subject
ROUNDS = 3
UNSURE = 0.03  # of the diagonal: how far a rough mask's outline may be off
CONTRAST = 2.0  # of the matte about its middle: a guided filter's ramps are too wide
SPECK = 0.005  # of the subject: a hole that is smaller is closed
SMOOTH = 0.03  # of the diagonal: radius within which the depth of a subject is averaged
OUTLIER = 4.0  # mean absolute deviations
INNER = 2.0, 98.0  # percentiles of a subject's depth that are sharp


def outlined(guide: Guide, inverse_depth: Region, points: Sequence[Pixel]) -> Mask:
    """Return the mask of the object at `points`, in the colours' size, which the depth has as well; 112x80 is enough.

    Candidates are regions around the points by geodesic distance, and that of `grabcut`.
    """
    lab = cv2.cvtColor(cv2.GaussianBlur(guide, (0, 0), BLUR), cv2.COLOR_RGB2Lab)
    depth = inverse_depth / (depth_range(inverse_depth) or 1.0)
    down, right = (
        np.hypot(np.linalg.norm(np.diff(lab, axis=axis), axis=-1) / COLOUR, np.diff(depth, axis=axis) / DEPTH)
        for axis in (0, 1)
    )
    away = geodesic(down + FLAT, right + FLAT, points)
    ranked = np.sort(away, axis=None)
    regions = [away <= ranked[int(share * away.size)] for share in AREAS]

    def support(region: Mask) -> float:
        """Return the mean strength of the steps that the outline lies on, each at most 1."""
        steps = np.concatenate([down[region[1:] != region[:-1]], right[region[:, 1:] != region[:, :-1]]])
        return float(np.minimum(steps, 1).mean()) if len(steps) else -1.0

    return max([*regions, grabcut(guide, inverse_depth, points)], key=support)


def geodesic(down: Region, right: Region, points: Sequence[Pixel]) -> Region:
    """Return the length of the shortest path from the points to every pixel (Dijkstra 1959).

    `down` and `right` are the lengths from each pixel to the next one below and beside it.
    """
    h, w = right.shape[0], down.shape[1]
    below, beside = down.reshape(-1).tolist(), right.reshape(-1).tolist()
    length = [math.inf] * (h * w)
    queue = [(0.0, y * w + x) for x, y in points]
    for _, start in queue:
        length[start] = 0.0
    while queue:
        so_far, at = heapq.heappop(queue)
        if so_far > length[at]:
            continue
        y, x = divmod(at, w)
        for there, inside, step in (
            (at + 1, x + 1 < w, y * (w - 1) + x), (at - 1, x > 0, y * (w - 1) + x - 1),
            (at + w, y + 1 < h, at), (at - w, y > 0, at - w),
        ):  # fmt: skip
            if inside:
                total = so_far + (beside if abs(there - at) == 1 else below)[step]
                if total < length[there]:
                    length[there] = total
                    heapq.heappush(queue, (total, there))
    return np.array(length, np.float32).reshape(h, w)


def grabcut(guide: Guide, inverse_depth: Region, points: Sequence[Pixel]) -> Mask:
    """Return the mask of the object at `points` by GrabCut, in the colours' size, which the depth has as well.

    The first guess is what is connected to the points at their depth.
    """
    relative = inverse_depth / (depth_range(inverse_depth) or 1.0)
    away = np.min([np.abs(relative - relative[y, x]) for x, y in points], 0)
    state = np.where(away < FAR, cv2.GC_PR_BGD, cv2.GC_BGD).astype(np.uint8)
    state[connected(away < NEAR, points)] = cv2.GC_PR_FGD
    return _cut(guide, inverse_depth, points, state)


def recut(guide: Guide, inverse_depth: Region, points: Sequence[Pixel], probability: Region) -> Mask:
    """Return the mask of the object at `points` by GrabCut, whose first guess is a probability of the same size."""
    state = np.where(probability >= 0.5, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    state[probability <= SURE[0]], state[probability >= SURE[1]] = cv2.GC_BGD, cv2.GC_FGD
    return _cut(guide, inverse_depth, points, state)


def _cut(guide: Guide, inverse_depth: Region, points: Sequence[Pixel], state: Labels) -> Mask:
    """Return what GrabCut makes of labels; its channels are lightness, chroma along its main axis, and depth."""
    lab = cv2.cvtColor(guide, cv2.COLOR_RGB2Lab)
    chroma = lab[..., 1:].reshape(-1, 2)
    axis = np.linalg.svd(chroma - chroma.mean(0), full_matrices=False)[2][0]
    relative = (inverse_depth - np.percentile(inverse_depth, 1)) / (depth_range(inverse_depth) or 1.0)
    channels = [lab[..., 0] * 2.55, 128 + lab[..., 1:] @ axis, relative * 255]
    picture = np.clip(np.stack(channels, -1), 0, 255).astype(np.uint8)
    for point in points:
        cv2.circle(state, point, max(1, round(TOUCHED * diagonal(state.shape))), int(cv2.GC_FGD), -1)
    cv2.setRNGSeed(0)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    if (state != cv2.GC_FGD).any() and np.isin(state, (cv2.GC_BGD, cv2.GC_PR_BGD)).any():
        cv2.grabCut(picture, state, (0, 0, 0, 0), *models, ROUNDS, cv2.GC_INIT_WITH_MASK)
    return connected(np.isin(state, (cv2.GC_FGD, cv2.GC_PR_FGD)), points)


def connected(mask: Mask, points: Sequence[Pixel]) -> Mask:
    """Return the parts of a mask that the points (x, y) are in; the mask where none is."""
    _, label = cv2.connectedComponents(mask.astype(np.uint8))
    numbers = {int(label[y, x]) for x, y in points} - {0}
    return np.isin(label, list(numbers)) if numbers else mask


def soft_matte(rough: Region, guide: Guide) -> Plane:
    """Return the matte of a rough mask (any size, 0 to 1) along the edges of the photo `guide`, at its size.

    The outline moves by at most `UNSURE`; holes smaller than `SPECK` of the subject are closed.
    """
    size = guide.shape[:2]
    soft = np.clip((guided(rough.astype(np.float32), guide) - 0.5) * CONTRAST + 0.5, 0, 1)
    reach = max(1, round(UNSURE * diagonal(rough.shape)))
    window = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    sure = (rough >= 0.5).astype(np.uint8)
    inside, outside = (
        cv2.resize(cv2.erode(side, window), size[::-1], interpolation=cv2.INTER_LINEAR) > 0 for side in (sure, 1 - sure)
    )
    soft[inside & ~outside] = 1
    soft[outside & ~inside] = 0
    _, label, figures, _ = cv2.connectedComponentsWithStats((soft < 0.5).astype(np.uint8))
    few = figures[:, cv2.CC_STAT_AREA] < SPECK * (soft >= 0.5).sum()
    few[0] = False  # the subject itself
    soft[few[label]] = 1
    return soft


def coherent(depth: DepthMap, matte: Matte) -> tuple[DepthMap, Sharp]:
    """Return `depth` in which the subject of `matte` is one surface, and the depths that make all of it sharp.

    Inside, outliers are cut off and what is left is smoothed, so no step is left there; its border is the matte's. The
    rest keeps its depth but beside the border, as by `edges.matted`. Raises InputError as that does.
    """
    subject = subject_in(matte, depth.size)
    plane = fill_unknown(depth.inverse_depth[0, 0], depth.valid[0, 0]).copy()
    margin, smooth = border_reach(plane.shape), max(2, round(SMOOTH * diagonal(plane.shape)))
    box = tuple(  # all that changes, and what that depends on
        slice(max(int(at.min()) - 4 * margin - smooth, 0), int(at.max()) + 4 * margin + smooth + 1)
        for at in (np.flatnonzero(subject.any(axis)) for axis in (1, 0))
    )
    there, part = subject[box], plane[box]
    edged = bordered(part, there, margin)
    middle = np.median(edged[there])
    spread = OUTLIER * float(np.abs(edged[there] - middle).mean())
    inside, weight = np.clip(edged, middle - spread, middle + spread), there.astype(np.float32)
    for _ in range(2):  # two boxes: no steps and no kinks
        total, count = (
            cv2.blur(x, (2 * smooth + 1, 2 * smooth + 1), borderType=cv2.BORDER_CONSTANT)
            for x in (inside * weight, weight)
        )
        inside = np.where(there, total / np.maximum(count, np.float32(1e-6)), 0)
    far, near = (float(x) for x in np.percentile(inside[there], INNER))
    part[...] = np.where(there, np.clip(inside, far, near), edged)
    whole = torch.from_numpy(plane)[None, None].to(depth.inverse_depth.dtype)
    known = depth.valid | torch.from_numpy(subject)[None, None]
    return dataclasses.replace(depth, inverse_depth=torch.where(known, whole, torch.nan), valid=known), Sharp(far, near)
