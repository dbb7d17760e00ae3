"""A corridor with panels in it, in closed form, through which a camera moves ahead: pictures and true depth."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cyclopean.geometry import Pinhole, axis_angle, invert, pixel_grid, rigid, rotate
from filmed import encode

CAMERA = Pinhole(torch.tensor([[0.8, 1.2]]), torch.tensor([[0.5, 0.5]]))
# Planes (axis, place) of the corridor, and panels (z, left, right, top, bottom) across it.
WALLS = ((0, -1.6), (0, 1.6), (1, -1.0), (1, 1.0), (2, 16.0))
PANELS = (
    *((2.6, -1.6, -0.5, -0.2, 1.0), (3.6, 0.4, 1.6, -1.0, 0.3), (4.7, -1.2, -0.3, -1.0, 0.2)),
    *((5.8, 0.5, 1.5, 0.0, 1.0), (7.0, -1.6, -0.6, -1.0, 0.6), (8.0, 0.3, 1.6, -0.3, 1.0)),
    *((9.2, -1.5, -0.4, -0.1, 1.0), (10.2, 0.6, 1.6, -1.0, 0.5), (11.5, -1.0, -0.3, -1.0, 0.4)),
)


def texture(points: Tensor) -> Tensor:
    """Colours of points `1 h w 3`, waves along all axes and coarse to fine, as `1 3 h w`."""
    x, y, z = points.unbind(-1)
    waves = [
        torch.sin(f * (x + 0.4 * y - 0.3 * z) + k) * torch.sin(f * (0.7 * z - 0.5 * x + y) + 2 * k)
        for k, f in enumerate((2.1, 4.3, 7.7))
    ]
    return torch.stack([0.5 + 0.16 * (waves[k] + waves[k - 1] - waves[k - 2]) for k in range(3)], 1)


def pose_at(time: float) -> Tensor:
    """`camera_from_world` at `time` in frames: ahead by 0.12 each, swaying and turning a little."""
    place = torch.tensor([[0.15 * np.sin(0.5 * time), 0.08 * np.cos(0.7 * time), 0.12 * time]], dtype=torch.float32)
    turn = torch.tensor([[0.02 * np.sin(0.4 * time), 0.04 * np.sin(0.3 * time), 0.0]], dtype=torch.float32)
    return invert(rigid(axis_angle(turn), place))


def photograph(time: float, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Picture `1 3 h w` and true depth `1 1 h w`."""
    world_from_camera = invert(pose_at(time))
    rays = rotate(world_from_camera, CAMERA.rays(pixel_grid(size, torch.zeros(1))))  # depth along each is z
    origin = world_from_camera[0, :3, 3]
    depth = torch.full(rays.shape[:-1], torch.inf)
    for axis, place in WALLS:
        along = (place - origin[axis]) / rays[..., axis]
        depth = torch.where((along > 0) & (along < depth), along, depth)
    for z, left, right, top, bottom in PANELS:
        along = (z - origin[2]) / rays[..., 2]
        x, y = (origin[axis] + along * rays[..., axis] for axis in (0, 1))
        inside = (along > 0) & (x > left) & (x < right) & (y > top) & (y < bottom)
        depth = torch.where(inside & (along < depth), along, depth)
    return texture(origin + depth[..., None] * rays), depth[:, None]


def drive(path: Path, count: int, size: tuple[int, int]) -> None:
    """Write the drive as a film of 25 frames a second."""
    pictures = [photograph(time, size)[0][0].permute(1, 2, 0).clamp(0, 1).mul(255).round() for time in range(count)]
    encode(path, [picture.byte().numpy() for picture in pictures], pix_fmt="yuv444p", g="10")
