"""Errors of depth, and the alignments that may come before. Pure functions of one image's counted pixels.

Sets of images are judged by the mean over images, as in the papers (Eigen et al. 2014; Monodepth, sec. 4).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from cyclopean.errors import InputError

Pixels = Float[Tensor, " n"]
Figure = Float[Tensor, ""]
Crop = tuple[slice, slice]


@dataclass(frozen=True)
class DepthErrors:
    """Errors of one image: `sq_rel` and `rmse` in the unit of depth, `rmse_log` natural, `delta*` in [0,1]."""

    abs_rel: Figure
    sq_rel: Figure
    rmse: Figure
    rmse_log: Figure
    delta1: Figure
    delta2: Figure
    delta3: Figure


def depth_errors(depth: Pixels, truth: Pixels) -> DepthErrors:
    """The seven figures of Eigen et al., over the pixels that count. Precondition: both finite and above 0.

    The deltas are fractions of pixels with max(depth / truth, truth / depth) strictly below 1.25, 1.25², 1.25³.
    """
    _some(truth)
    error = depth - truth
    ratio = torch.maximum(depth / truth, truth / depth)
    return DepthErrors(
        abs_rel=(error.abs() / truth).mean(),
        sq_rel=(error.square() / truth).mean(),
        rmse=error.square().mean().sqrt(),
        rmse_log=(depth.log() - truth.log()).square().mean().sqrt(),
        delta1=(ratio < 1.25).to(truth.dtype).mean(),
        delta2=(ratio < 1.25**2).to(truth.dtype).mean(),
        delta3=(ratio < 1.25**3).to(truth.dtype).mean(),
    )


def d1(disparity_px: Pixels, truth_px: Pixels) -> Figure:
    """Fraction of pixels whose disparity is wrong by at least 3 px and at least 5 % of the truth (KITTI 2015's D1-all).

    This is the form of Monodepth's evaluation (>=); KITTI's own development kit asks for strictly more (>) and counts
    occluded pixels too. Precondition: truth above 0, disparities at the resolution of the truth.
    """
    _some(truth_px)
    error = (disparity_px - truth_px).abs()
    return ((error >= 3) & (error / truth_px >= 0.05)).to(truth_px.dtype).mean()


def garg_crop(size: tuple[int, int]) -> Crop:
    """Rows and columns of KITTI pictures of `size` (height, width) that count in Garg et al.'s and Monodepth's tables.

    Truncated as released, so that figures compare: at 370x1224 the last row and the first column differ by one from the
    crop that the release's comment states.
    """
    return _crop(size, (0.40810811, 0.99189189, 0.03594771, 0.96405229))


def eigen_crop(size: tuple[int, int]) -> Crop:
    """Rows and columns that count in Eigen et al.'s table, truncated as in `garg_crop`."""
    return _crop(size, (0.3324324, 0.91351351, 0.03594771, 0.96405229))


def countable(
    truth: Float[Tensor, "*b h w"], near: float, far: float, crop: Crop | None = None
) -> Bool[Tensor, "*b h w"]:
    """The pixels that count: truth strictly between `near` and `far` (so neither NaN nor inf), inside `crop`."""
    counts = (truth > near) & (truth < far)
    if crop is None:
        return counts
    inside = torch.zeros_like(counts)
    inside[..., crop[0], crop[1]] = True
    return counts & inside


def middle(values: Pixels) -> Figure:
    """The median; of an even number of values the mean of the middle two, as numpy's (torch's takes the lower)."""
    n = len(values)
    lower = values.kthvalue((n + 1) // 2).values
    return lower if n % 2 else (lower + values.kthvalue(n // 2 + 1).values) / 2


def to_depth(inverse_depth: Pixels) -> Pixels:
    """1 / inverse depth; inf where it is 0 or below."""
    return torch.where(inverse_depth > 0, 1 / torch.where(inverse_depth > 0, inverse_depth, 1), torch.inf)


def align_median(depth: Pixels, truth: Pixels) -> Pixels:
    """`depth` times the one factor that makes the medians equal (Zhou et al. 2017, as in Monodepth2's evaluation).

    Where more than half of `depth` is infinite no factor exists and it is returned as it is.
    """
    _some(truth)
    centre = middle(depth)
    return depth * (middle(truth) / centre) if torch.isfinite(centre) else depth


def align_affine(inverse_depth: Pixels, truth: Pixels, far: float) -> Pixels:
    """Depth 1 / (a * inverse_depth + b), with a and b the least squares of 1/truth, floored at 1/far.

    For predictions that know neither scale nor shift (Ranftl et al. 2020, Eq. 3). A constant prediction gets a = 0. The
    sign of a is free: an inverted prediction is not punished here, only by the other alignments.
    """
    _some(truth)
    goal = 1 / truth
    x, y = inverse_depth - inverse_depth.mean(), goal - goal.mean()
    variance = x.square().mean()
    slope = (x * y).mean() / variance if variance > 0 else torch.zeros_like(variance)
    return 1 / (slope * x + goal.mean()).clamp(min=1 / far)


def _crop(size: tuple[int, int], fractions: tuple[float, float, float, float]) -> Crop:
    height, width = size
    top, bottom, left, right = fractions
    return slice(int(top * height), int(bottom * height)), slice(int(left * width), int(right * width))


def _some(truth: Pixels) -> None:
    if not truth.numel():
        raise InputError("there is no pixel with known truth to judge by; leave such images out.")
