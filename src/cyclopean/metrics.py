"""Errors of depth, and the alignments that may come before. Pure functions of one image's counted pixels.

Sets of images are judged by the mean over images, as in the papers (Eigen et al. 2014; Monodepth, sec. 4).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from cyclopean.errors import InputError

Pixels = Float[Tensor, " n"]
Figure = Float[Tensor, ""]
Crop = tuple[slice, slice]
FlatMap = Float[Tensor, "h w"]


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
    """Return the seven figures of Eigen et al., over the pixels that count. Precondition: both finite and above 0.

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


@dataclass(frozen=True)
class DecimalErrors:
    """Errors that go by similar names in different papers, of one image.

    `mae` in the unit of depth. `log10`: mean of |log10 depth - log10 truth| (Make3D's and NYU's tables). `rmse_log10`:
    the root of the mean square of the same, which scripts posted for Make3D call log10. `rmse_log10_1p`: the root mean
    square of log10(1 + depth) - log10(1 + truth), called rmse_log by Depth Anywhere's evaluation.
    """

    mae: Figure
    log10: Figure
    rmse_log10: Figure
    rmse_log10_1p: Figure


def decimal_errors(depth: Pixels, truth: Pixels) -> DecimalErrors:
    """Return the figures of `DecimalErrors`. Precondition: both finite and above 0."""
    _some(truth)
    natural = depth.log() - truth.log()
    return DecimalErrors(
        mae=(depth - truth).abs().mean(),
        log10=natural.abs().mean() / math.log(10),
        rmse_log10=natural.square().mean().sqrt() / math.log(10),
        rmse_log10_1p=(depth.log1p() - truth.log1p()).square().mean().sqrt() / math.log(10),
    )


@dataclass(frozen=True)
class MaskErrors:
    """Errors of one image's mask of what moves: shares of pixels in [0,1], NaN of no pixels.

    `precision`: of what is masked, what moves; `recall`: of what moves, what is masked; `iou`: of what is masked or
    moves, what is both; `dropped`: of what stands still, what is masked.
    """

    precision: Figure
    recall: Figure
    iou: Figure
    dropped: Figure


def mask_errors(masked: Bool[Tensor, " n"], moves: Bool[Tensor, " n"]) -> MaskErrors:
    """Return the figures of `MaskErrors`."""
    both = (masked & moves).sum()
    return MaskErrors(
        precision=both / masked.sum(),
        recall=both / moves.sum(),
        iou=both / (masked | moves).sum(),
        dropped=(masked & ~moves).sum() / (~moves).sum(),
    )


def holes(depth: Pixels, truth: Pixels) -> Figure:
    """Return the fraction of pixels whose depth is more than twice the truth or less than half of it.

    Of what moves: the holes of depth learned from video (AQUANet, Fig. 6). Precondition: truth above 0.
    """
    _some(truth)
    return ((depth > 2 * truth) | (depth < truth / 2)).to(truth.dtype).mean()


def d1(disparity_px: Pixels, truth_px: Pixels) -> Figure:
    """Return the fraction of pixels that are off by at least 3 px and at least 5 % of the truth (KITTI 2015's D1-all).

    This is the form of Monodepth's evaluation (>=); KITTI's own development kit takes strictly more (>) and counts
    occluded pixels too. Precondition: truth above 0, disparities at the resolution of the truth.
    """
    _some(truth_px)
    error = (disparity_px - truth_px).abs()
    return ((error >= 3) & (error / truth_px >= 0.05)).to(truth_px.dtype).mean()


def bad(disparity_px: Pixels, truth_px: Pixels, threshold: float) -> Figure:
    """Return the fraction of pixels whose disparity is off by more than `threshold` px (Middlebury's bad-2.0 for 2)."""
    _some(truth_px)
    return ((disparity_px - truth_px).abs() > threshold).to(truth_px.dtype).mean()


def garg_crop(size: tuple[int, int]) -> Crop:
    """Return the crop of KITTI pictures of `size` (height, width) in Garg et al.'s and Monodepth's tables.

    Truncated as released, so that figures compare: at 370x1224 the last row and the first column differ by one from the
    crop that the release's comment states.
    """
    return _crop(size, (0.40810811, 0.99189189, 0.03594771, 0.96405229))


def eigen_crop(size: tuple[int, int]) -> Crop:
    """Return the crop in Eigen et al.'s table, truncated as in `garg_crop`."""
    return _crop(size, (0.3324324, 0.91351351, 0.03594771, 0.96405229))


def fal_crop(size: tuple[int, int]) -> Crop:
    """Return the crop in FAL-Net's and AQUANet's tables: pixels stated once for all sizes, never scaled.

    At 375x1242 it ends 17 columns before `garg_crop` does; at 370x1224 it begins one column after it.
    """
    height, width = size
    return slice(max(height - 219, 0), max(height - 4, 0)), slice(44, min(1180, width))


def nyu_crop(size: tuple[int, int]) -> Crop:
    """Return Eigen et al.'s crop of NYU frames: rows [45, 471), columns [41, 601) of 480x640, scaled for others."""
    height, width = size
    rows, columns = (height * 45 // 480, height * 471 // 480), (width * 41 // 640, width * 601 // 640)
    return slice(*rows), slice(*columns)


def make3d_crop(size: tuple[int, int]) -> Crop:
    """Return the central 21 of Make3D's 55 rows of laser readings, all columns: about 2:1 (Monodepth, sec. 4)."""
    height, width = size
    return slice(height * 17 // 55, height * 38 // 55), slice(0, width)


def area_crop(size: tuple[int, int]) -> Crop:
    """Return the crop without Stanford2D3D's black caps: 68 of 512 rows above and below, scaled for other sizes."""
    height, width = size
    return slice(height * 68 // 512, height - height * 68 // 512), slice(0, width)


CROPS: dict[str, Callable[[tuple[int, int]], Crop]] = {
    "garg": garg_crop,
    "eigen": eigen_crop,
    "fal": fal_crop,
    "nyu": nyu_crop,
    "make3d": make3d_crop,
    "area": area_crop,
}


def countable(
    truth: Float[Tensor, "*b h w"], near: float, far: float, crop: Crop | None = None
) -> Bool[Tensor, "*b h w"]:
    """Return the pixels that count: truth strictly between `near` and `far` (so neither NaN nor inf), inside `crop`."""
    counts = (truth > near) & (truth < far)
    if crop is None:
        return counts
    inside = torch.zeros_like(counts)
    inside[..., crop[0], crop[1]] = True
    return counts & inside


def middle(values: Pixels) -> Figure:
    """Return the median; of an even number of values the mean of the middle two, as numpy's (torch: the lower)."""
    n = len(values)
    lower = lower_middle(values)
    if n % 2 or int((values <= lower).sum()) > n // 2:
        return lower
    return (lower + values[values > lower].min()) / 2


def lower_middle(values: Pixels) -> Figure:
    """Return the median as torch counts it: of an even number of values the lower of the middle two.

    Depth Anywhere's evaluation aligns by this one, Monodepth2's by numpy's (`middle`); figures differ in the 3rd digit.
    """
    return values.kthvalue((len(values) + 1) // 2).values


def to_depth(inverse_depth: Pixels) -> Pixels:
    """Return 1 / inverse depth; inf where it is 0 or below."""
    return torch.where(inverse_depth > 0, 1 / torch.where(inverse_depth > 0, inverse_depth, 1), torch.inf)


def align_median(depth: Pixels, truth: Pixels, centre: Callable[[Pixels], Figure] = middle) -> Pixels:
    """Return `depth` times the factor that makes the medians equal (Zhou et al. 2017, as in Monodepth2's evaluation).

    Where more than half of `depth` is infinite no factor exists and it is returned as it is. Medians are of the pixels
    that count, before any clipping.
    """
    scale = median_scale(depth, truth, centre)
    return depth * scale if torch.isfinite(scale) else depth


def median_scale(depth: Pixels, truth: Pixels, centre: Callable[[Pixels], Figure] = middle) -> Figure:
    """Return the factor of `align_median`, median truth / median depth; NaN where over half of `depth` is infinite."""
    _some(truth)
    ours = centre(depth)
    return torch.where(ours.isfinite(), centre(truth) / ours, torch.nan)


def affine_fit(inverse_depth: Pixels, truth: Pixels) -> tuple[Figure, Figure, Figure]:
    """Return (x0, a, y0) with 1/truth about a * (inverse_depth - x0) + y0 by least squares (Ranftl et al. 2020, Eq. 3).

    A constant prediction gets a = 0. The sign of a is free: an inverted prediction is not punished here, only by the
    other alignments.
    """
    _some(truth)
    goal = 1 / truth
    x0, y0 = inverse_depth.mean(), goal.mean()
    x, y = inverse_depth - x0, goal - y0
    variance = x.square().mean()
    slope = (x * y).mean() / variance if variance > 0 else torch.zeros_like(variance)
    return x0, slope, y0


def affine_depth(inverse_depth: Pixels, fit: tuple[Figure, Figure, Figure], far: float) -> Pixels:
    """Return depth 1 / (a * inverse_depth + b) by a fit of `affine_fit`, at most `far`.

    The floor matters: without it inverse depths below 0 turn into the nearest depths (a trap of Depth Anywhere's
    evaluation).
    """
    x0, slope, y0 = fit
    return 1 / (slope * (inverse_depth - x0) + y0).clamp(min=1 / far)


def released_affine_depth(inverse_depth: Pixels, fit: tuple[Figure, Figure, Figure], far: float) -> Pixels:
    """Return depth by a fit as in Depth Anywhere's evaluation: at most `far`, and 0 where inverse depth falls below 0.

    So what is farthest becomes the nearest; `affine_depth` is `far` there.
    """
    x0, slope, y0 = fit
    fitted = slope * (inverse_depth - x0) + y0
    return torch.where(fitted > 0, to_depth(fitted).clamp(max=far), 0.0)


def near_boundaries(truth: FlatMap, reach: int = 4, step: float = 1.25) -> Bool[Tensor, "h w"]:
    """Return the pixels at most `reach` rows and columns away from a depth discontinuity of the truth.

    The region "near depth discontinuities" of Scharstein and Szeliski (2002, sec. 5.1), who widen it by a window of 9,
    with the relative step of `boundary_f1` instead of a gap in disparity. NaN: unknown, no discontinuity.
    """
    edge = torch.zeros_like(truth, dtype=torch.bool)
    for here, there in _neighbours():
        jump = torch.maximum(truth[here] / truth[there], truth[there] / truth[here]) > step
        edge[here] |= jump
        edge[there] |= jump
    wide = torch.nn.functional.max_pool2d(edge[None, None].float(), 2 * reach + 1, stride=1, padding=reach)
    return wide[0, 0] > 0


def boundary_f1(depth: FlatMap, truth: FlatMap) -> Figure:
    """Return the F1 of occluding contours (Depth Pro, Bochkovskii et al. 2024, on sharp boundaries): larger is sharper.

    A pair of neighbours is a contour at step t where one is more than t times as deep as the other, in that order. F1
    of precision and recall over all pairs with known truth, then the mean over ten t from 1.05 to 1.25 with weights
    proportional to t. Factors change nothing. A contour one pixel off is a miss: soft edges score near 0. NaN where the
    truth (NaN: unknown) has no contour; thresholds without any are passed over. The release also thins its contours
    and averages over directions, so its figures differ.
    """
    steps = torch.linspace(1.05, 1.25, 10, dtype=truth.dtype)
    hits, ours, theirs = (torch.zeros(len(steps)) for _ in range(3))
    for here, there in _neighbours():
        real, seen = truth[there] / truth[here], depth[there] / depth[here]
        known = real.isfinite()
        real, seen = real[known], seen[known]
        for a, b in ((real, seen), (1 / real, 1 / seen)):
            some = (a > steps[0]) | (b > steps[0])
            x, y = a[some, None] > steps, b[some, None] > steps
            hits, ours, theirs = hits + (x & y).sum(0), ours + y.sum(0), theirs + x.sum(0)
    present = theirs > 0
    f1 = 2 * hits / (ours + theirs).clamp(min=1)
    return (f1 * steps)[present].sum() / steps[present].sum()


def _neighbours() -> tuple[tuple[Crop, Crop], tuple[Crop, Crop]]:
    """Return index pairs (here, there) of vertical and of horizontal neighbours."""
    every, first, rest = slice(None), slice(None, -1), slice(1, None)
    return ((first, every), (rest, every)), ((every, first), (every, rest))


def _crop(size: tuple[int, int], fractions: tuple[float, float, float, float]) -> Crop:
    height, width = size
    top, bottom, left, right = fractions
    return slice(int(top * height), int(bottom * height)), slice(int(left * width), int(right * width))


def _some(truth: Pixels) -> None:
    if not truth.numel():
        raise InputError("there is no pixel with known truth to judge by; leave such images out.")


@dataclass(frozen=True)
class SphereErrors:
    """Errors of one panorama: means over the solid angle, and deltas at points spread evenly over the sphere.

    `*_released`: the numbers of the spherical paper's released evaluation, which divides the weighted sums by how many
    pixels are known instead of by the sum of their weights. Where all is known they are 2/pi = 0.637 of the mean (roots
    0.798 of it); compare them with figures of that release only.
    """

    abs_rel: Figure
    sq_rel: Figure
    rmse: Figure
    rmse_log: Figure
    abs_rel_released: Figure
    sq_rel_released: Figure
    rmse_released: Figure
    rmse_log_released: Figure
    delta1: Figure
    delta2: Figure
    delta3: Figure


def sphere_errors(depth: FlatMap, truth: FlatMap, counts: Bool[Tensor, "h w"]) -> SphereErrors:
    """Return the figures of Zioulis et al. 2019, sec. 4, over the counted pixels of a panorama; deltas NaN without any.

    Precondition: depths (radii) finite and above 0 where `counts`. The release's evaluation changes the arrays it is
    given, and its training scripts call the root of mean(depth^2 - truth^2) RMSE; neither is done here.
    """
    ours, real, height = depth[counts], truth[counts], len(truth)
    _some(real)
    error = ours - real
    parts = (error.abs() / real, error.square() / real, error.square(), (ours.log() - real.log()).square())
    row = counts.nonzero()[:, 0]
    # |sin theta| as released: of the upper border of each row, so 0 in the first.
    borders = torch.sin(torch.arange(height, dtype=torch.float64) / height * math.pi)
    area, released = (weight.to(real)[row] for weight in (solid_angle(height), borders))
    names = ("abs_rel", "sq_rel", "rmse", "rmse_log")
    figures = {}
    for ending, weight, total in (("", area, area.sum()), ("_released", released, len(real))):
        for name, part in zip(names, parts, strict=True):
            mean = (weight * part).sum() / total
            figures[name + ending] = mean.sqrt() if name.startswith("rmse") else mean
    points = spiral_pixels((height, truth.shape[1])) & counts.cpu()
    ratio = torch.maximum(depth / truth, truth / depth)[points.to(truth.device)]
    deltas = {f"delta{n}": (ratio < 1.25**n).to(real.dtype).mean() for n in (1, 2, 3)}
    return SphereErrors(**figures, **deltas)


def solid_angle(height: int) -> Float[Tensor, " h"]:
    """Return the solid angle of a pixel in each row of a panorama, of the equator's: the cosine of its latitude."""
    return torch.sin((torch.arange(height, dtype=torch.float64) + 0.5) / height * math.pi)


@cache
def spiral_pixels(size: tuple[int, int]) -> Bool[Tensor, "h w"]:
    """Return the pixels of a panorama of `size` that hold a point of the generalised spiral (Saff and Kuijlaars 1997).

    A quarter as many points as pixels, evenly spread over the sphere, each pixel once (Zioulis et al. 2019, sec. 4).
    As released: the last point is left out, and a point belongs to the pixel above and to the left of the one it falls
    into (row and column -1 are the last ones).
    """
    height, width = size
    count = height * width // 4
    h = 2 * torch.arange(count - 1, dtype=torch.float64) / (count - 1) - 1
    steps = 3.6 / (math.sqrt(count) * (1 - h.square()).clamp_min(torch.finfo(h.dtype).tiny).sqrt())
    steps[0] = 0
    turn = steps.cumsum(0).remainder(2 * math.pi)
    row, column = (h.acos() / math.pi * height).long() - 1, (turn / (2 * math.pi) * width).long() - 1
    chosen = torch.zeros(size, dtype=torch.bool)
    chosen[row, column] = True
    return chosen
