"""Depth with edges aligned to those of the photo, by a guided filter on its colours, or to those of a matte.

He, Sun and Tang, Guided Image Filtering (PAMI 2013), Eq. 19 to 21 (colour guide), in the fast form of He and Sun
(2015): coefficients at a small size, applied at the full one.
"""

import dataclasses

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from cyclopean.defocus.focus import fill_unknown
from cyclopean.defocus.lens import diagonal
from cyclopean.errors import InputError
from cyclopean.geometry import Equirectangular
from cyclopean.io.depthmap import DepthMap
from cyclopean.io.image import size_within
from cyclopean.io.planes import Plane, PlaneMask, Region
from cyclopean.io.sidecar import AnyCamera

Guide = Float[np.ndarray, "h w 3"]
SmallGuide = Float[np.ndarray, "_ _ 3"]

FLAT = 0.08  # of white, sRGB: smaller changes within 5x5 pixels are noise, not the edge of a thing
STEP = 0.04  # of the whole range, between neighbours
WORK = 200_000  # pixels of the small size
WINDOW = 0.012  # of the small diagonal: radius of the window
SMOOTH = 1e-3  # variance of a colour, in [0,1], below which it is not an edge
EDGE = 0.1  # of the whole range: a change in a window is an edge from here on, with certainty from twice as much
FITTED, OWN = 6.0, 3.0  # weights of the fit to the colours, and of depth itself, in the decision on a pixel's side
FEW = 0.003  # of a window: smaller pieces are not a side
MARGIN = 0.02  # of the diagonal: how far from a matte's edge depth may be wrong
TRUST = 4  # power by which pixels far from the edge count more than those beside it


def refined(depth: DepthMap, image: Float[Tensor, "1 3 h w"], camera: AnyCamera | None = None) -> DepthMap:
    """Return `depth` with steep edges, aligned to those of `image` (RGB in [0,1], of the same size).

    In a panorama (by the photo's `camera` or that of `depth`), edges continue over the seam: it is refined twice, half
    a turn apart, and the middle half of each result is used.
    """
    guide = np.ascontiguousarray(image[0].permute(1, 2, 0).cpu().numpy(), np.float32)
    filled = fill_unknown(depth.inverse_depth[0, 0], depth.valid[0, 0])
    plane = confirmed(stepped(filled, guide), guide)
    if isinstance(camera or depth.camera, Equirectangular):
        half, quarter = guide.shape[1] // 2, guide.shape[1] // 4
        turned = np.roll(guide, half, 1)
        ends = np.roll(confirmed(stepped(np.roll(filled, half, 1), turned), turned), -half, 1)
        plane[:, :quarter], plane[:, -quarter:] = ends[:, :quarter], ends[:, -quarter:]
    return _with_values(depth, plane)


def matted(depth: DepthMap, matte: Float[Tensor, "1 1 h w"]) -> DepthMap:
    """Return `depth` with an edge where `matte` (1 on the subject, 0 around it, of the same size) has one.

    Raises InputError for another size and for a matte that is all subject or all surroundings.
    """
    subject = subject_in(matte, depth.size)
    plane = fill_unknown(depth.inverse_depth[0, 0], depth.valid[0, 0])
    return _with_values(depth, bordered(plane, subject, border_reach(depth.size)))


def subject_in(matte: Float[Tensor, "1 1 h w"], size: tuple[int, int]) -> PlaneMask:
    """Return where a matte of a photo of `size` is subject. Raises InputError as `matted` does."""
    if tuple(matte.shape[-2:]) != size:
        (h, w), (height, width) = matte.shape[-2:], size
        raise InputError(f"the matte is {w}x{h} but the photo is {width}x{height}; give a matte of this photo.")
    subject: PlaneMask = matte[0, 0].cpu().numpy() >= 0.5
    if subject.all() or not subject.any():
        raise InputError(
            "the matte has no edge: all its values are on one side of 0.5 (they go from "
            f"{float(matte.min()):.3g} to {float(matte.max()):.3g}, where white is 1); "
            "give white for the subject, black around it."
        )
    return subject


def border_reach(size: tuple[int, int]) -> int:
    """Return how many pixels from a matte's edge depth may be wrong."""
    return max(2, round(MARGIN * diagonal(size)))


def bordered(plane: Plane, subject: PlaneMask, reach: int) -> Plane:
    """Return `plane` with an edge where `subject` has one; what is farther than `reach` pixels from it is kept."""
    return np.where(subject, _settled(plane, subject, reach), _settled(plane, ~subject, reach))


def stepped(plane: Region, guide: Guide) -> Plane:
    """Return `plane` with steps instead of ramps at its edges, where the guide's colours have theirs.

    Networks predict a ramp of some pixels from one side of an edge to the other: it contains every depth between, and a
    lens would show a sharp rim in it. Each pixel takes the mean depth of its side, chosen by the fit to the colours and
    by its own depth.
    """
    small, colours, reach = _shrunk(plane, guide)
    size = guide.shape[:2]
    # Around each pixel: least and greatest depth, the means of the pixels nearer and farther than the middle, and how
    # certainly that is an edge.
    window = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    low, high = cv2.erode(small, window), cv2.dilate(small, window)
    span = max(float(np.subtract(*np.percentile(small, (99, 1)))), 1e-3 * float(np.abs(small).max())) or 1.0
    edge = np.clip((high - low) / np.float32(EDGE * span) - 1, 0, 1)
    high = high + np.float32(1e-3 * span)  # in a window of one depth, pixels are on no side
    place = (2 * small - low - high) / (high - low)
    near, far = (_side_mean(small, np.maximum(p, 0) ** 2, reach) for p in (place, -place))

    plain = _enlarged(plane, size)
    middle, breadth = _enlarged((low + high) / 2, size), _enlarged(high - low, size)
    side = (FITTED * (_fitted(small, colours, reach, guide) - middle) + OWN * (plain - middle)) / breadth
    side = _without_specks(np.clip(side + np.float32(0.5), 0, 1), small.shape, 2 * reach * reach)
    background, step = _enlarged(far, size), _enlarged(near - far, size)
    return plain + (background + side * step - plain) * _enlarged(edge, size)


def confirmed(plane: Plane, guide: Guide) -> Plane:
    """Return `plane` with ramps instead of those steps where the photo has no edge: false steps inside a thing.

    Far specks and cracks in what is near are closed; the rest becomes the guided filter, a mean where colours are
    alike. What the photo shows as an edge is not touched.
    """
    span = float(np.subtract(*np.percentile(plane, (99, 1)))) or 1.0
    around, window = np.ones((3, 3), np.uint8), np.ones((5, 5), np.uint8)
    flat = (cv2.dilate(guide, window) - cv2.erode(guide, window)).max(-1) <= FLAT
    false = flat & (cv2.dilate(plane, around) - cv2.erode(plane, around) > STEP * span)
    reach = max(3, round(WINDOW * diagonal(plane.shape)))
    _, label, figures, _ = cv2.connectedComponentsWithStats(false.astype(np.uint8))
    long = figures[:, cv2.CC_STAT_AREA] >= reach  # shorter ones are gaps in an edge that the photo does have
    long[0] = False
    false = long[label]
    if not false.any():
        return plane
    away = cv2.distanceTransform((~false).astype(np.uint8), cv2.DIST_L2, 5)
    share = np.clip(3 - away / np.float32(reach), 0, 1) * flat
    closed = cv2.morphologyEx(
        plane, cv2.MORPH_CLOSE, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    )
    closed = plane + (closed - plane) * share
    return closed + (guided(guided(closed, guide), guide) - closed) * share


def guided(plane: Region, guide: Guide) -> Plane:
    """Return `plane` as a linear function of the guide's colours in every window, clipped to its own range around.

    A plane of another size is resized to the guide's.
    """
    return _fitted(*_shrunk(plane, guide), guide)


def _with_values(depth: DepthMap, plane: Plane) -> DepthMap:
    values = torch.from_numpy(plane)[None, None].to(depth.inverse_depth.dtype)
    return dataclasses.replace(depth, inverse_depth=torch.where(depth.valid, values, torch.nan))


def _shrunk(plane: Region, guide: Guide) -> tuple[Region, SmallGuide, int]:
    """Return both at the small size, and the radius of the windows there."""
    height, width = size_within((guide.shape[0], guide.shape[1]), WORK)
    growing = plane.size < width * height
    small = cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR if growing else cv2.INTER_AREA)
    colours = cv2.resize(guide, (width, height), interpolation=cv2.INTER_AREA)
    return small, colours, max(2, round(WINDOW * diagonal((width, height))))


def _fitted(small: Region, colours: SmallGuide, reach: int, guide: Guide) -> Plane:
    """Return the guided filter of the small plane at the guide's size.

    Slopes and offset are those of the least squares in every window, averaged over the windows that a pixel is in.
    """
    mean, mean_guide = _box(small, reach), _box(colours, reach)
    products = colours[..., :, None] * colours[..., None, :]
    outer = _box(products.reshape(*small.shape, 9), reach).reshape(products.shape)
    covariance = outer - mean_guide[..., :, None] * mean_guide[..., None, :] + SMOOTH * np.eye(3, dtype=np.float32)
    with_plane = _box(colours * small[..., None], reach) - mean_guide * mean[..., None]
    slopes = np.linalg.solve(covariance, with_plane[..., None])[..., 0].astype(np.float32)
    offset = mean - (slopes * mean_guide).sum(-1)
    slopes, offset = _box(slopes, reach), _box(offset, reach)
    size = guide.shape[:2]
    result = _enlarged(offset, size)
    for channel in range(3):
        result += _enlarged(slopes[..., channel], size) * guide[..., channel]
    window = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    return np.clip(result, _enlarged(cv2.erode(small, window), size), _enlarged(cv2.dilate(small, window), size))


def _side_mean(plane: Region, weight: Region, reach: int) -> Region:
    """Return the weighted mean of every window; the pixel itself where nothing has weight."""
    return (_box(plane * weight, reach) + np.float32(FEW) * plane) / (_box(weight, reach) + np.float32(FEW))


def _without_specks(side: Plane, size: tuple[int, int], least: int) -> Plane:
    """Return `side` with pieces of fewer than `least` pixels, counted at `size`, merged into their surroundings."""
    here = cv2.resize(side, size[::-1], interpolation=cv2.INTER_AREA) > 0.5
    for value, mask in ((0.0, here), (1.0, ~here)):
        _, label, figures, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
        few = figures[:, cv2.CC_STAT_AREA] < least
        few[0] = False  # what is not in the mask
        speck = cv2.dilate(few[label].astype(np.uint8), np.ones((3, 3), np.uint8))
        side[cv2.resize(speck, side.shape[::-1], interpolation=cv2.INTER_NEAREST) > 0] = value
    return side


def _settled(plane: Plane, side: PlaneMask, reach: int) -> Plane:
    """Return `plane` on one side of an outline, smoothed within `reach` pixels of the other side. There it is a mean
    over this side, with more weight farther from the edge.
    """
    away = np.minimum(cv2.distanceTransform(side.view(np.uint8), cv2.DIST_L2, 5) / np.float32(reach), 1)
    weight = away**TRUST
    window = (4 * reach + 1, 4 * reach + 1)
    total, count = (cv2.blur(x, window, borderType=cv2.BORDER_CONSTANT) for x in (plane * weight, weight))
    kept = np.clip(2 * away - 1, 0, 1)
    mean = np.where(count > 0, total / np.maximum(count, np.float32(1e-12)), plane)
    return (mean + (plane - mean) * kept).astype(np.float32)


def _enlarged(plane: Region, size: tuple[int, ...]) -> Region:
    """Return the plane at `size` (height, width)."""
    return cv2.resize(plane, size[::-1], interpolation=cv2.INTER_LINEAR)


def _box(values: Float[np.ndarray, "h w *c"], reach: int) -> Float[np.ndarray, "h w *c"]:
    """Return the mean of the windows; OpenCV's box takes any number of channels."""
    return cv2.blur(values, (2 * reach + 1, 2 * reach + 1), borderType=cv2.BORDER_REFLECT)
