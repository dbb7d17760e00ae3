"""The one equation: a pixel at inverse depth rho lands at other.project(R @ camera.rays(uv) + rho * t)."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from cyclopean.geometry.camera import Camera, Points
from cyclopean.geometry.grid import pixel_grid
from cyclopean.geometry.pose import Pose, rotate


@dataclass(frozen=True)
class Landing:
    """Where pixels land: `uv` is always finite; `valid` is False behind the camera or outside its image."""

    uv: Float[Tensor, "b h w 2"]
    valid: Bool[Tensor, "b 1 h w"]


def reproject(inverse_depth: Float[Tensor, "b 1 h w"], camera: Camera, other_from_this: Pose, other: Camera) -> Landing:
    """Where each pixel of `camera`, at `inverse_depth` (0 = infinity), lands in `other`. Never divides by depth."""
    rays = camera.rays(pixel_grid(_size(inverse_depth), inverse_depth))
    points = rotate(other_from_this, rays) + _last(inverse_depth) * other_from_this[:, None, None, :3, 3]
    return _land(points, other.sees(points), other)


def reproject_shell(level: Float[Tensor, "b 1 h w"], camera: Camera, other_from_this: Pose, other: Camera) -> Landing:
    """Where each pixel of `camera` lands if it sees the surface of inverse depth `level` *of the other view*.

    A plane of a plane sweep for a pinhole, a sphere of a sphere sweep for an equirectangular `other`.
    """
    rays = rotate(other_from_this, camera.rays(pixel_grid(_size(level), level)))
    offset = other_from_this[:, None, None, :3, 3].expand_as(rays)
    points, meets = other.shell(rays, offset, _last(level).expand(len(rays), -1, -1, -1))
    return _land(points, meets & other.sees(points), other)


def _land(points: Points, seen: Bool[Tensor, "b h w"], other: Camera) -> Landing:
    ahead = points.new_tensor([0.0, 0.0, 1.0])
    uv = other.project(torch.where(seen[..., None], points, ahead))
    inside = ((uv >= 0) & (uv <= 1)).all(-1)
    return Landing(uv, (seen & inside)[:, None])


def _size(image: Tensor) -> tuple[int, int]:
    return image.shape[-2], image.shape[-1]


def _last(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b h w c"]:
    return x.permute(0, 2, 3, 1)
