"""Masks: how much of each source's error counts, at every pixel. Several are multiplied."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from cyclopean.geometry import Camera, Landing, pixel_grid, rotate
from cyclopean.geometry.camera import Border
from cyclopean.rebuilding.sides import Side
from cyclopean.synthesis import pull, push

PerSource = Float[Tensor, "b s h w"]
Map = Float[Tensor, "b 1 h w"]

SHARP = 40.0  # of the soft z-buffer: what is a tenth nearer weighs 50 times as much
HIDDEN = 0.05  # a point this part farther than what is in front of it is behind it


@dataclass(frozen=True)
class Other:
    """A source, where the rebuilt view's pixels land in it, and the pose that took them there."""

    side: Side
    pose: Float[Tensor, "b 4 4"]
    landing: Landing


@dataclass(frozen=True)
class Evidence:
    """What masks judge by: errors after rebuilding and of sources as they are, inverse depth, where pixels land."""

    own: Side
    inverse_depth: Map
    others: tuple[Other, ...]
    errors: PerSource
    unmoved: Callable[[], PerSource]


Mask = Callable[[Evidence], PerSource]


def inside(evidence: Evidence) -> PerSource:
    """What lands in front of the source and inside its picture."""
    return torch.cat([other.landing.valid for other in evidence.others], 1).to(evidence.errors.dtype)


def best(evidence: Evidence) -> PerSource:
    """At each pixel only the source that rebuilds it best (Monodepth2, Eq. 4); n-fold, as sources are averaged."""
    errors = evidence.errors.detach()
    chosen = torch.zeros_like(errors).scatter_(1, errors.argmin(1, keepdim=True), 1.0)
    return chosen * errors.shape[1]


def auto(evidence: Evidence) -> PerSource:
    """Only pixels that rebuilding explains better than no motion at all does (Monodepth2, Eq. 5).

    A tie is no motion; the release breaks ties by noise. The share of masked pixels is not made up for elsewhere.
    """
    moved = evidence.errors.detach().amin(1, keepdim=True) < evidence.unmoved().amin(1, keepdim=True)
    return moved.to(evidence.errors.dtype).expand_as(evidence.errors)


def learned(evidence: Evidence) -> PerSource:
    """The network's own belief (Zhou et al. 2017, Eq. 3); `regularised` keeps it from believing nothing.

    One map for all sources, of the depth network; Zhou has one for each, of the pose network.
    """
    belief = evidence.own.belief
    assert belief is not None
    return belief.expand_as(evidence.errors)


def unoccluded(evidence: Evidence) -> PerSource:
    """What the source sees too, by predicted depth alone (Schellevis 2019): nothing nearer lands on the same place.

    Pixels are splatted into the source with weights that grow with nearness, a soft z-buffer, which each then reads.
    """
    with torch.no_grad():
        return torch.cat([_seen(evidence, other) for other in evidence.others], 1)


MASKS: dict[str, Mask] = {
    "inside": inside,
    "best": best,
    "auto": auto,
    "learned": learned,
    "unoccluded": unoccluded,
}


def regularised(belief: Map) -> Map:
    """Cross-entropy of belief with 1 (Zhou et al. 2017, sec. 3.3)."""
    return -belief.clamp(min=1e-6).log()


def _seen(evidence: Evidence, other: Other) -> Map:
    rho = inverse_depth_there(evidence.inverse_depth, evidence.own.camera, other.pose, other.side.camera)
    rho = torch.where(other.landing.valid, rho, torch.zeros_like(rho))
    nearest = rho.amax((1, 2, 3), keepdim=True).clamp(min=torch.finfo(rho.dtype).tiny)
    weight = torch.where(other.landing.valid, (SHARP * (rho / nearest - 1)).exp(), torch.zeros_like(rho))
    border: Border = "sphere" if other.side.camera.border == "sphere" else "zeros"
    canvas = push(torch.cat([weight * rho, weight], 1), other.landing.uv, border)
    front, covered = pull(canvas, other.landing.uv, border).split(1, 1)
    visible = rho * covered > (1 - HIDDEN) * front
    return (visible & other.landing.valid).to(rho.dtype)


def inverse_depth_there(rho: Map, camera: Camera, other_from_own: Tensor, other: Camera) -> Map:
    """Inverse depth, for the other camera, of this one's pixels."""
    rays = camera.rays(pixel_grid((rho.shape[-2], rho.shape[-1]), rho))
    points = rotate(other_from_own, rays) + rho.permute(0, 2, 3, 1) * other_from_own[:, None, None, :3, 3]
    return rho / other.depth(points)
