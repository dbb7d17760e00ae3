"""Worlds with a closed form, in float64: a slanted plane before a pinhole, a sphere around a panorama, smooth textures.

The world's frame is the target's camera frame. Each rig is one source beside, above, ahead or turned.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from cyclopean.geometry import Camera, Equirectangular, Pinhole, axis_angle, invert, pixel_grid, rigid, rotate

F64 = torch.float64
WIDE = Pinhole(torch.tensor([[0.8, 1.4]], dtype=F64), torch.tensor([[0.5, 0.5]], dtype=F64))
LONG = Pinhole(torch.tensor([[0.9, 1.5]], dtype=F64), torch.tensor([[0.47, 0.55]], dtype=F64))
SPHERE = Equirectangular()
Surface = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Rig:
    """Two cameras of one size, where the source stands (`source_from_target`), and the surface that both see."""

    target: Camera
    source: Camera
    source_from_target: Tensor
    surface: Surface
    size: tuple[int, int]


def pose(turn: tuple[float, float, float], position: tuple[float, float, float]) -> Tensor:
    """`source_from_target` of a source standing at `position` of the target's frame, turned by `turn` (radians)."""
    turn_, position_ = torch.tensor([turn], dtype=F64), torch.tensor([position], dtype=F64)
    return invert(rigid(axis_angle(turn_), position_))


def slanted_plane(origin: Tensor, rays: Tensor) -> Tensor:
    """Where rays meet the plane z + 0.2 x = 6."""
    normal = origin.new_tensor([0.2, 0.0, 1.0])
    along = (6 - (origin * normal).sum(-1, keepdim=True)) / (rays * normal).sum(-1, keepdim=True)
    return origin + along * rays


def inside_sphere(origin: Tensor, rays: Tensor) -> Tensor:
    """Where rays from inside meet the sphere of radius 4 around the target."""
    a, half_b = rays.square().sum(-1, keepdim=True), (origin * rays).sum(-1, keepdim=True)
    c = origin.square().sum(-1, keepdim=True) - 16
    return origin + (-half_b + (half_b.square() - a * c).sqrt()) / a * rays


STILL = (0.0, 0.0, 0.0)
RIGS = {
    "rectified": Rig(WIDE, WIDE, pose(STILL, (0.5, 0, 0)), slanted_plane, (128, 224)),
    "posed": Rig(WIDE, LONG, pose((0.02, -0.05, 0.03), (0.2, -0.1, 0.6)), slanted_plane, (128, 224)),
    "forward": Rig(WIDE, WIDE, pose(STILL, (0, 0, 1.2)), slanted_plane, (128, 224)),
    "up": Rig(SPHERE, SPHERE, pose(STILL, (0, -0.26, 0)), inside_sphere, (128, 256)),
    "right": Rig(SPHERE, SPHERE, pose(STILL, (0.26, 0, 0)), inside_sphere, (128, 256)),
    "turned": Rig(SPHERE, SPHERE, pose((0.1, 0.3, -0.2), (0.2, 0.1, 0.3)), inside_sphere, (128, 256)),
}


def texture(points: Tensor) -> Tensor:
    """A smooth colour in [0,1] for every point of space: `b h w 3` to `b 3 h w`."""
    x, y, z = points.unbind(-1)
    return torch.stack([0.5 + 0.5 * torch.sin(1.3 * x + 0.7 * y + k) * torch.cos(0.9 * z + k) for k in range(3)], 1)


def render(camera: Camera, camera_from_world: Tensor, surface: Surface, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """The picture `1 3 h w` and its true inverse depth `1 1 h w`."""
    world_from_camera = invert(camera_from_world)
    rays = rotate(world_from_camera, camera.rays(pixel_grid(size, camera_from_world)))
    points = surface(world_from_camera[:, None, None, :3, 3].expand_as(rays), rays)
    seen = rotate(camera_from_world, points) + camera_from_world[:, None, None, :3, 3]
    return texture(points), 1 / camera.depth(seen)


@dataclass(frozen=True)
class Pair:
    """What both cameras of a rig see, and their true inverse depths."""

    rig: Rig
    target: Tensor
    source: Tensor
    rho_target: Tensor
    rho_source: Tensor


def photograph(rig: Rig) -> Pair:
    """Both pictures of a rig."""
    here = torch.eye(4, dtype=F64)[None]
    target, rho_target = render(rig.target, here, rig.surface, rig.size)
    source, rho_source = render(rig.source, rig.source_from_target, rig.surface, rig.size)
    return Pair(rig, target, source, rho_target, rho_source)


def psnr(image: Tensor, truth: Tensor, where: Tensor) -> float:
    """Decibels over the pixels `where` (`b 1 h w`) is True; at least a tenth of them must be."""
    assert where.double().mean() > 0.1
    error = (image - truth).square().mean(1, keepdim=True)[where].mean()
    return float(-10 * error.log10())
