"""Depth whose edges run where the photo's do: a guided filter with the colours as its guide.

He, Sun and Tang, Guided Image Filtering (PAMI 2013), Eq. 19 to 21 (colour guide), in the fast form of He and Sun
(2015): coefficients at a small size, applied at the full one.
"""

import dataclasses
import math

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from cyclopean.depthmap import DepthMap
from cyclopean.refocus.focusing import filled

Plane = Float[np.ndarray, "h w"]
Region = Float[np.ndarray, "_ _"]
Guide = Float[np.ndarray, "h w 3"]

WORK = 200_000  # pixels of the small size
PART = 0.012  # of the small diagonal: radius of the window
SMOOTH = 1e-3  # variance of a colour, in [0,1], below which it is no edge


def refined(depth: DepthMap, image: Float[Tensor, "1 3 h w"]) -> DepthMap:
    """`depth` with its edges drawn to those of `image` (RGB in [0,1], of the same size)."""
    guide = np.ascontiguousarray(image[0].permute(1, 2, 0).cpu().numpy(), np.float32)
    plane = guided(filled(depth.inverse_depth[0, 0], depth.valid[0, 0]), guide)
    values = torch.from_numpy(plane)[None, None].to(depth.inverse_depth.dtype)
    return dataclasses.replace(depth, inverse_depth=torch.where(depth.valid, values, torch.nan))


def guided(plane: Region, guide: Guide) -> Plane:
    """`plane` as a linear function of the guide's colours in every window, clipped to its own range around.

    A plane of another size is brought to the guide's.
    """
    h, w = guide.shape[:2]
    shrink = max(1.0, math.sqrt(h * w / WORK))
    size = (max(1, round(w / shrink)), max(1, round(h / shrink)))
    reach = max(2, round(PART * math.hypot(*size)))
    colours = cv2.resize(guide, size, interpolation=cv2.INTER_AREA)
    growing = plane.size < size[0] * size[1]
    small = cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR if growing else cv2.INTER_AREA)
    slopes, offset = _coefficients(small, colours, reach)
    result = cv2.resize(offset, (w, h), interpolation=cv2.INTER_LINEAR)
    for channel in range(3):
        result += cv2.resize(slopes[..., channel], (w, h), interpolation=cv2.INTER_LINEAR) * guide[..., channel]
    window = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    least, most = cv2.erode(small, window), cv2.dilate(small, window)
    low, high = (cv2.resize(x, (w, h), interpolation=cv2.INTER_LINEAR) for x in (least, most))
    return np.clip(result, low, high)


def _coefficients(plane: Plane, guide: Guide, reach: int) -> tuple[Float[np.ndarray, "h w 3"], Plane]:
    """Slopes and offset of the least squares in every window, averaged over the windows that a pixel is in."""
    mean, mean_guide = _box(plane, reach), _box(guide, reach)
    products = guide[..., :, None] * guide[..., None, :]
    outer = _box(products.reshape(*plane.shape, 9), reach).reshape(products.shape)
    covariance = outer - mean_guide[..., :, None] * mean_guide[..., None, :] + SMOOTH * np.eye(3, dtype=np.float32)
    with_plane = _box(guide * plane[..., None], reach) - mean_guide * mean[..., None]
    slopes = np.linalg.solve(covariance, with_plane[..., None])[..., 0].astype(np.float32)
    offset = mean - (slopes * mean_guide).sum(-1)
    return _box(slopes, reach), _box(offset, reach)


def _box(values: Float[np.ndarray, "h w *c"], reach: int) -> Float[np.ndarray, "h w *c"]:
    """Mean of the windows; OpenCV's box takes any number of channels."""
    return cv2.blur(values, (2 * reach + 1, 2 * reach + 1), borderType=cv2.BORDER_REFLECT)
