"""Losses: maps of errors per pixel, the weighted mean that makes them scalars, and terms that are scalars at once.

Everything here expects float32 (or float64) and stays in it. A loss gets its name where a method returns it: as a key
of `Method.losses`; the errors and smoothness terms of the photometric loss also in `methods.photometric`'s tables.
"""

from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

Channels = Float[Tensor, "b c h w"]
Weight = Float[Tensor, "b 1 h w"]
PerSource = Float[Tensor, "b s h w"]
Scalar = Float[Tensor, ""]

C1, C2 = 0.01**2, 0.03**2  # SSIM's constants for images in [0,1]
FLAT = 1e-6  # of the largest value: a mean distance from the median below it is rounding
ALPHA = 0.85  # share of SSIM in the photometric error
BERHU = 0.2  # of the largest error, where BerHu becomes quadratic


def weighted_mean(values: Channels, weight: Weight) -> Scalar:
    """Return the weighted mean of `values` over batch, channels and pixels; 0, with zero gradients, without any weight.

    Values under a weight of 0 may be anything, NaN included.
    """
    used = torch.where(weight > 0, values, torch.zeros_like(values)) * weight
    total = weight.sum() * values.shape[1]
    return used.sum() / torch.where(total > 0, total, torch.ones_like(total))


def pyramid(image: Channels, scales: int) -> list[Float[Tensor, "b c _ _"]]:
    """Return `image` at 1, 1/2, 1/4 ... of its size, by area. Both sides must be multiples of 2^(scales-1)."""
    return [image, *(F.avg_pool2d(image, 2**s) for s in range(1, scales))]


def ssim(x: Channels, y: Channels, window: int = 3) -> Float[Tensor, "b c h2 w2"]:
    """Return the SSIM of uniform windows inside the image: a map of `window` - 1 rows and columns fewer than `x`.

    Monodepth, sec. 3.3 (Wang et al. 2004 with a box window and biased variances).
    """
    return _likeness(F.avg_pool2d(_moments(x, y), window, 1), x.shape[1])


def ssim_gaussian(x: Channels, y: Channels, window: int, deviation: float) -> Channels:
    """Return `ssim` of Gaussian windows (odd size), zero outside the image: a map as large as `x` (Wang et al. 2004).

    With 7 and 1.5 the default of the spherical view synthesis release; its paper has a box of 5.
    """
    taps = gaussian_taps(window // 2, deviation, x).expand(5 * x.shape[1], 1, 1, -1)
    across = F.conv2d(_moments(x, y), taps, padding=(0, window // 2), groups=len(taps))
    means = F.conv2d(across, taps.transpose(2, 3), padding=(window // 2, 0), groups=len(taps))
    return _likeness(means, x.shape[1])


def gaussian_taps(reach: int, deviation: float, like: Tensor) -> Float[Tensor, " k"]:
    """Return the weights of a Gaussian at -reach ... reach pixels, which sum to 1."""
    taps = torch.arange(-reach, reach + 1, dtype=like.dtype, device=like.device)
    taps = (-0.5 * (taps / deviation).square()).exp()
    return taps / taps.sum()


def _moments(x: Channels, y: Channels) -> Float[Tensor, "b _ h w"]:
    return torch.cat([x, y, x * x, y * y, x * y], 1)


def _likeness(means: Float[Tensor, "b _ h2 w2"], c: int) -> Float[Tensor, "b c h2 w2"]:
    mx, my, xx, yy, xy = means.split(c, 1)
    sx, sy, covariance = xx - mx * mx, yy - my * my, xy - mx * my
    likeness = (2 * mx * my + C1) * (2 * covariance + C2)
    return likeness / ((mx * mx + my * my + C1) * (sx + sy + C2))


def ssim_reflected(x: Channels, y: Channels) -> Channels:
    """Return `ssim` of images reflected by one pixel at their borders (Monodepth2): a map as large as `x`."""
    return ssim(F.pad(x, (1, 1, 1, 1), mode="reflect"), F.pad(y, (1, 1, 1, 1), mode="reflect"))


def dissimilarity(likeness: Channels) -> Channels:
    """Return (1 - SSIM) / 2, clipped to [0,1]."""
    return ((1 - likeness) / 2).clamp(0, 1)


def photometric_error(x: Channels, y: Channels) -> Float[Tensor, "b 1 h w"]:
    """Return 0.85 dissimilarity + 0.15 |x - y| per pixel, mean over channels (Monodepth2's `pe`)."""
    mixed = ALPHA * dissimilarity(ssim_reflected(x, y)) + (1 - ALPHA) * (x - y).abs()
    return mixed.mean(1, keepdim=True)


def appearance(x: Channels, y: Channels) -> Float[Tensor, "b 1 h w"]:
    """Return Monodepth's Eq. 2 per pixel: 0.85 dissimilarity of whole windows, at their middle pixels, + 0.15 |x - y|.

    There are fewer windows than pixels and each term has its own mean; windows weigh more here, so that the plain mean
    of this map is the paper's.
    """
    h, w = x.shape[-2:]
    structure = dissimilarity(ssim(x, y)).mean(1, keepdim=True) * (ALPHA * h * w / ((h - 2) * (w - 2)))
    return F.pad(structure, (1, 1, 1, 1)) + (1 - ALPHA) * absolute(x, y)


def absolute(x: Channels, y: Channels) -> Float[Tensor, "b 1 h w"]:
    """Return |x - y|, mean over channels."""
    return (x - y).abs().mean(1, keepdim=True)


def squared(x: Channels, y: Channels) -> Float[Tensor, "b 1 h w"]:
    """Return (x - y)², mean over channels."""
    return (x - y).square().mean(1, keepdim=True)


def automask(errors: PerSource, static: PerSource) -> PerSource:
    """Return 1 where the least error is below that of the unwarped sources, `static` (Monodepth2, Eq. 5).

    A tie counts as static; the release breaks ties by noise. Weights are not rescaled for the share of masked pixels,
    and the mask, the same for all sources, has no gradient.
    """
    moved = errors.detach().amin(1, keepdim=True) < static.detach().amin(1, keepdim=True)
    return moved.to(errors.dtype).expand_as(errors)


def edge_aware(
    values: Channels, image: Float[Tensor, "b 3 h w"]
) -> tuple[Float[Tensor, "b c h w-1"], Float[Tensor, "b c h-1 w"]]:
    """Return |d values| exp(-|d image|) along x and along y, forward differences, |d image| averaged over colours."""
    dx, dy = values.diff(dim=3).abs(), values.diff(dim=2).abs()
    ix, iy = (image.diff(dim=d).abs().mean(1, keepdim=True) for d in (3, 2))
    return dx * (-ix).exp(), dy * (-iy).exp()


def smoothness(values: Channels, image: Float[Tensor, "b 3 h w"], weight: Weight) -> Scalar:
    """Return the edge-aware smoothness on both axes (Monodepth, Eq. 3; the release leaves the vertical one out)."""
    x, y = edge_aware(values, image)
    across, down = both_weights(weight)
    return weighted_mean(x, across) + weighted_mean(y, down)


def both_weights(weight: Weight) -> tuple[Float[Tensor, "b 1 h w-1"], Float[Tensor, "b 1 h-1 w"]]:
    """Return the weights of differences along x and along y: the lesser of both pixels'."""
    return (
        torch.minimum(weight[..., 1:], weight[..., :-1]),
        torch.minimum(weight[..., 1:, :], weight[..., :-1, :]),
    )


def proportional_smoothness(values: Channels, image: Float[Tensor, "b 3 h w"], weight: Weight) -> Scalar:
    """Return `smoothness` of values over their image's mean, so that shrinking gains nothing (Monodepth2, Eq. 3)."""
    return smoothness(values / values.mean((2, 3), keepdim=True), image, weight)


def squared_smoothness(values: Channels, image: Float[Tensor, "b 3 h w"], weight: Weight) -> Scalar:  # noqa: ARG001
    """Return |d values|² along both axes, values in pixels of the width, edges or not (Garg et al.: Horn, Schunck)."""
    pixels = values * values.shape[-1]
    across, down = both_weights(weight)
    return weighted_mean(pixels.diff(dim=3).square(), across) + weighted_mean(pixels.diff(dim=2).square(), down)


def curvature_smoothness(
    values: Channels,
    image: Float[Tensor, "b 3 h w"],
    sharpness: float = 2.0,
    padding: Literal["replicate", "constant"] = "replicate",
) -> Scalar:
    """Return |d values| on both sides of each pixel, less where grey bends: exp(-sharpness |d² grey|), along both axes.

    FAL-Net's smoothness. `padding` constant is its release's: zeros outside, which pull values down at the borders.
    """
    grey = (image * image.new_tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    total = values.new_zeros(())
    for dim, pad in ((3, (1, 1, 0, 0)), (2, (0, 0, 1, 1))):
        steps, bends = (F.pad(x, pad, mode=padding).diff(dim=dim) for x in (values, grey))
        n = values.shape[dim]
        slope = steps.narrow(dim, 0, n).abs() + steps.narrow(dim, 1, n).abs()
        bend = (bends.narrow(dim, 1, n) - bends.narrow(dim, 0, n)).abs()
        total = total + (slope * (-sharpness * bend).exp()).mean()
    return total


def gradients(values: Channels, weight: Weight, scales: int) -> Scalar:
    """Return the mean |d values| along both axes at `scales` dyadic steps: of a difference map, it matches gradients.

    Every 2^s-th pixel is compared with its neighbour 2^s away (Li and Snavely 2018, Eq. 7; MiDaS, Eq. 11).
    """
    total = weight.new_zeros(())
    for s in range(scales):
        coarse = values[..., :: 2**s, :: 2**s]
        across, down = both_weights(weight[..., :: 2**s, :: 2**s])
        total = total + weighted_mean(coarse.diff(dim=3).abs(), across) + weighted_mean(coarse.diff(dim=2).abs(), down)
    return total


def berhu(error: Channels, weight: Weight) -> Channels:
    """Return |e| up to c, (e² + c²) / 2c beyond, c a fifth of each item's largest error (Laina et al. 2016, Eq. 1)."""
    known = torch.where(weight > 0, error.abs(), torch.zeros_like(error))
    return berhu_beyond(error, BERHU * known.detach().amax((1, 2, 3), keepdim=True))


def berhu_of_batch(error: Channels) -> Channels:
    """Return `berhu` with c a fifth of the batch's largest error; errors that do not count must be 0."""
    return berhu_beyond(error, BERHU * error.detach().abs().amax().view(1, 1, 1, 1))


def berhu_beyond(error: Channels, threshold: Float[Tensor, "#b 1 1 1"]) -> Channels:
    """Return |e| up to `threshold` c, (e² + c²) / 2c beyond it."""
    size = error.abs()
    c = threshold.expand_as(size)
    squared = (size.square() + c.square()) / torch.where(c > 0, 2 * c, torch.ones_like(c))
    return torch.where(size <= c, size, squared)


def item_mean(values: Float[Tensor, "b 1 h w"], weight: Weight) -> Float[Tensor, "b 1 1 1"]:
    """Return each item's own weighted mean; 0 where an item has no weight at all."""
    used = torch.where(weight > 0, values, torch.zeros_like(values)) * weight
    total = weight.sum((1, 2, 3), keepdim=True)
    return used.sum((1, 2, 3), keepdim=True) / torch.where(total > 0, total, torch.ones_like(total))


def affine_residual(values: Float[Tensor, "b 1 h w"], target: Float[Tensor, "b 1 h w"], weight: Weight) -> Channels:
    """Return s d + t - target of each item, with the s and t of the weighted least squares (Ranftl et al. 2020, Eq. 4).

    A map of one value (or one pixel) gets s = 0.
    """
    mean, goal = item_mean(values, weight), item_mean(target, weight)
    apart = torch.where(weight > 0, values - mean, torch.zeros_like(values))
    variance, covariance = item_mean(apart.square(), weight), item_mean(apart * (target - goal), weight)
    scale = covariance / torch.where(variance > 0, variance, torch.ones_like(variance))
    return scale * apart + goal - target


def affine_invariant(values: Float[Tensor, "b 1 h w"], weight: Weight) -> Float[Tensor, "b 1 h w"]:
    """Return (d - t) / s of each item: t its median, s its mean |d - t|, both where `weight` is above 0; 0 elsewhere.

    The median is torch's: of an even number the lower of the middle two. An item without weight, or that is flat but
    for rounding, is 0, with gradient 0 (Ranftl et al. 2020, Eq. 5; Depth Anywhere, sec. 3).
    """
    counted = weight > 0
    values = torch.where(counted, values, torch.zeros_like(values))
    empty = ~counted.any(3, keepdim=True).any(2, keepdim=True)
    median = torch.where(counted | empty, values, torch.nan).flatten(1).nanmedian(1).values[:, None, None, None]
    spread = item_mean((values - median).abs(), counted.to(values.dtype))
    varies = spread > FLAT * values.detach().abs().amax((1, 2, 3), keepdim=True)
    return torch.where(counted & varies, values - median, 0) / torch.where(varies, spread, torch.ones_like(spread))


def affine_invariant_error(
    values: Float[Tensor, "b 1 h w"], target: Float[Tensor, "b 1 h w"], weight: Weight
) -> Scalar:
    """Return the mean |difference| of both maps' `affine_invariant` over all pixels of the batch that count."""
    counted = (weight > 0).to(values.dtype)
    return weighted_mean((affine_invariant(values, weight) - affine_invariant(target, weight)).abs(), counted)


def min_max(values: Float[Tensor, "b 1 h w"], weight: Weight) -> Float[Tensor, "b 1 h w"]:
    """Return each item's values from 0, its least where `weight` is above 0, to 1, its greatest there; 0 elsewhere."""
    counted = weight > 0
    least = torch.where(counted, values, torch.inf).amin((1, 2, 3), keepdim=True)
    most = torch.where(counted, values, -torch.inf).amax((1, 2, 3), keepdim=True)
    extent = most - least
    usable = counted & (extent > 0)
    return torch.where(usable, values - least, 0) / torch.where(extent > 0, extent, torch.ones_like(extent))


def scale_invariant_log(log_error: Float[Tensor, "b 1 h w"], weight: Weight, ground: Weight, share: float) -> Scalar:
    """Return the mean |e - share * mean(e over `ground`)| of each item's log error (share 1: blind to scale).

    Eigen et al. 2014, Eq. 4, with the absolute value in place of the square: a missed edge or patch of sky is off by a
    factor of 50, and squares would leave little weight to everything else.
    """
    return item_mean((log_error - share * item_mean(log_error, ground)).abs(), weight).mean()


def cumulative_smoothness(probabilities: Float[Tensor, "b n h w"], weight: Weight) -> Scalar:
    """Return sum_i |d cs_i| along x and y, each with its own mean; cs_i = sum of probabilities up to the i-th.

    Monodepth, supplement Eq. 3, reading A: the earth mover's distance between neighbouring pixels' distributions.
    """
    return _CumulativeSmoothness.apply(probabilities, weight)


class _CumulativeSmoothness(torch.autograd.Function):
    """Cumulative sums are made one by one, once more for the gradient: a few planes are kept, whatever n is."""

    @staticmethod
    def forward(context: Any, probabilities: Tensor, weight: Tensor) -> Scalar:
        across, down = (w / w.sum().clamp(min=torch.finfo(w.dtype).tiny) for w in both_weights(weight))
        context.save_for_backward(probabilities, across, down)
        total, cumulative = weight.new_zeros(()), torch.zeros_like(weight)
        for k in range(probabilities.shape[1]):
            cumulative += probabilities[:, k : k + 1]
            total += (cumulative.diff(dim=3).abs_() * across).sum() + (cumulative.diff(dim=2).abs_() * down).sum()
        return total

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(context: Any, gradient: Scalar) -> tuple[Tensor, None]:
        """Return d total / d p_k, the sum of d|d cs_i| over i >= k: the sum over all i, less what was before k."""
        probabilities, across, down = context.saved_tensors
        result = torch.empty_like(probabilities)
        cumulative, before = (torch.zeros_like(probabilities[:, :1]) for _ in range(2))
        for k in range(probabilities.shape[1]):
            result[:, k : k + 1] = before
            cumulative += probabilities[:, k : k + 1]
            for dim, share in ((3, across), (2, down)):
                slope, n = cumulative.diff(dim=dim).sign_().mul_(share), cumulative.shape[dim] - 1
                before.narrow(dim, 1, n).add_(slope)
                before.narrow(dim, 0, n).sub_(slope)
        return result.neg_().add_(before).mul_(gradient), None
