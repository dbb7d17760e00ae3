"""Masks of the photometric loss: which pixels of which source count, by the names that `LossConfig.mask` joins.

AQUANet's mask of what moves by itself (SPIMO) needs a network of its own: `aquanet.spimo`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from cyclopean.errors import InputError
from cyclopean.geometry import Camera, Correspondence, pixel_grid, rotate, size_of
from cyclopean.geometry.cameras import Border, Pose
from cyclopean.losses import PerSource, automask
from cyclopean.sample import Map
from cyclopean.synthesis import pull, push

SHARP = 40.0  # of the soft z-buffer: a point a tenth nearer weighs 50 times as much
HIDDEN = 0.05  # a point is occluded if its inverse depth is smaller by this share than that of the front

Error = Callable[[Tensor, Tensor], Map]


@dataclass(frozen=True)
class ScaledView:
    """One view at one scale; `disparity` is None where none is predicted."""

    camera: Camera
    image: Float[Tensor, "b c h w"]
    weight: Map
    disparity: Map | None = None
    explainability: Map | None = None


@dataclass(frozen=True)
class MaskInputs:
    """The inputs of masks at one scale: the target, its sources, and the errors after warping."""

    target: ScaledView
    sources: Sequence[ScaledView]
    poses: Sequence[Pose]
    inverse_depth: Map
    correspondences: Sequence[Correspondence]
    errors: PerSource
    error: Error


MaskFunction = Callable[[MaskInputs], PerSource]


def in_frame(correspondences: Sequence[Correspondence]) -> PerSource:
    """Return 1 where a pixel lies in front of the source and inside its picture."""
    return torch.cat([match.valid.to(match.uv.dtype) for match in correspondences], 1)


def min_reprojection(errors: PerSource) -> PerSource:
    """Select the source of least error at each pixel (Monodepth2, Eq. 4), with weight n, since n sources are
    averaged."""
    best = errors.detach().argmin(1, keepdim=True)
    return torch.zeros_like(errors).scatter_(1, best, 1.0) * errors.shape[1]


@torch.no_grad()
def static_errors(target: ScaledView, sources: Sequence[ScaledView], error: Error) -> PerSource:
    """Return the errors of the sources as they are, not warped."""
    return torch.cat([error(source.image, target.image) for source in sources], 1)


@torch.no_grad()
def visibility(inverse_depth: Map, camera: Camera, pose: Pose, source: Camera, correspondence: Correspondence) -> Map:
    """Return 1 where no nearer point projects to the same place of the source, by predicted depth (Schellevis 2019).

    Pixels are splatted into the source with weights that grow with inverse depth (a soft z-buffer), which is then
    sampled for each pixel.
    """
    valid, uv = correspondence.valid, correspondence.uv
    rho = torch.where(valid, inverse_depth_in(inverse_depth, camera, pose, source), torch.zeros_like(inverse_depth))
    nearest = rho.amax((1, 2, 3), keepdim=True).clamp(min=torch.finfo(rho.dtype).tiny)
    weight = torch.where(valid, (SHARP * (rho / nearest - 1)).exp(), torch.zeros_like(rho))
    border: Border = "sphere" if source.border == "sphere" else "zeros"
    front, coverage = pull(push(torch.cat([weight * rho, weight], 1), uv, border), uv, border).split(1, 1)
    return ((rho * coverage > (1 - HIDDEN) * front) & valid).to(rho.dtype)


def inverse_depth_in(inverse_depth: Map, camera: Camera, pose: Pose, source: Camera) -> Map:
    """Return the inverse depth, in the source camera, of this camera's pixels."""
    rays = camera.rays(pixel_grid(size_of(inverse_depth), inverse_depth))
    points = rotate(pose, rays) + inverse_depth.permute(0, 2, 3, 1) * pose[:, None, None, :3, 3]
    return inverse_depth / source.depth(points)


def explainability(predicted: Map | None, errors: PerSource) -> PerSource:
    """Return the depth network's own mask, one for all sources.

    The mask "explained" is that of Zhou et al. (2017, Eq. 3): the pose network predicts one for each source.
    """
    assert predicted is not None
    return predicted.expand_as(errors)


def explained(predicted: Sequence[Map | None]) -> PerSource:
    """Return the pose network's mask for each source (Zhou et al. 2017, Eq. 3). Raises `InputError` where it predicts
    none."""
    masks = [mask for mask in predicted if mask is not None]
    if len(masks) < len(predicted):
        raise InputError(
            "the mask explained is predicted with the motion, by the pose network of Zhou et al.; give monodepth2, "
            "--pose cnn and data without poses, or the mask learned, which is the depth network's."
        )
    return torch.cat(masks, 1)


def explainability_regularization(predicted: PerSource) -> PerSource:
    """Return the cross-entropy of an explainability mask with 1 (Zhou et al. 2017, sec. 3.3)."""
    return -predicted.clamp(min=1e-6).log()


MASKS: dict[str, MaskFunction] = {
    "inside": lambda x: in_frame(x.correspondences),
    "best": lambda x: min_reprojection(x.errors),
    "auto": lambda x: automask(x.errors, static_errors(x.target, x.sources, x.error)),
    "learned": lambda x: explainability(x.target.explainability, x.errors),
    "explained": lambda x: explained([source.explainability for source in x.sources]),
    "unoccluded": lambda x: torch.cat(
        [
            visibility(x.inverse_depth, x.target.camera, pose, source.camera, match)
            for source, pose, match in zip(x.sources, x.poses, x.correspondences, strict=True)
        ],
        1,
    ),
}
