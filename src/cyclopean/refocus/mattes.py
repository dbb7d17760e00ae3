"""Depth whose edge is that of a matte: a mask of the subject, drawn by hand or found by a segmenter, knows it better.

On each side of the mask's edge depth becomes a mean of that side alone, the more so the nearer to the edge: there,
predicted depth runs slowly from one side to the other, or beside the edge.
"""

import dataclasses

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from cyclopean.depthmap import DepthMap
from cyclopean.errors import InputError
from cyclopean.refocus.focusing import filled
from cyclopean.refocus.measures import diagonal

Plane = Float[np.ndarray, "h w"]
Mask = Bool[np.ndarray, "h w"]

PART = 0.02  # of the diagonal: how far from the mask's edge depth may be wrong
TRUST = 4  # power by which pixels far from the edge count more than those beside it


def matted(depth: DepthMap, matte: Float[Tensor, "1 1 h w"]) -> DepthMap:
    """`depth` with an edge where `matte` (1 on the subject, 0 around it, of the same size) has one.

    Raises InputError for another size and for a matte that is all subject or all surroundings.
    """
    if tuple(matte.shape[-2:]) != depth.size:
        (h, w), (height, width) = matte.shape[-2:], depth.size
        raise InputError(f"the matte is {w}x{h} but the photo is {width}x{height}; give a matte of this photo.")
    subject = matte[0, 0].cpu().numpy() >= 0.5
    if subject.all() or not subject.any():
        raise InputError("the matte has no edge, it is all one side; give white for the subject, black around it.")
    plane = edged(filled(depth.inverse_depth[0, 0], depth.valid[0, 0]), subject)
    values = torch.from_numpy(plane)[None, None].to(depth.inverse_depth.dtype)
    return dataclasses.replace(depth, inverse_depth=torch.where(depth.valid, values, torch.nan))


def edged(plane: Plane, subject: Mask) -> Plane:
    """`plane` with each side of the subject's outline settled by itself."""
    reach = max(2, round(PART * diagonal(plane.shape)))
    return np.where(subject, _settled(plane, subject, reach), _settled(plane, ~subject, reach))


def _settled(plane: Plane, side: Mask, reach: int) -> Plane:
    """Within `reach` pixels of the other side a mean of this side, which trusts what is farther from the edge."""
    away = np.minimum(cv2.distanceTransform(side.view(np.uint8), cv2.DIST_L2, 5) / np.float32(reach), 1)
    weight = away**TRUST
    window = (4 * reach + 1, 4 * reach + 1)
    total, count = (cv2.blur(x, window, borderType=cv2.BORDER_CONSTANT) for x in (plane * weight, weight))
    kept = np.clip(2 * away - 1, 0, 1)
    mean = np.where(count > 0, total / np.maximum(count, np.float32(1e-12)), plane)
    return (mean + (plane - mean) * kept).astype(np.float32)
