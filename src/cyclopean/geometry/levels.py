"""Hypothesised inverse depths of a pixel, and where pixels land if one of them is true: the geometry of a sweep."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from cyclopean.geometry.cameras import (
    Camera,
    Pinhole,
    Pose,
    Uv,
    pixel_grid,
    reproject,
    reproject_shell,
    rotate,
)


def level(
    k: int | float, count: int, least: float, most: float, exponent: Float[Tensor, "b 1 h w"] | float = 1.0
) -> Float[Tensor, "#b 1 #h #w"]:
    """Return hypothesis k of `count` inverse depths from `least` (k = 0) to `most`, in equal proportions.

    most * exp(ln(most / least) * ((k / (count - 1)) ** exponent - 1)): FAL-Net's levels for exponent 1, AQUANet's Eq. 4
    with a map of exponents, read at the pixels of the view that is made (below 1: more levels near `most`). Traps: the
    papers print k / count, which gives count + 1 levels; 0 ** exponent has no gradient, and none is taken.
    """
    share = exponent if isinstance(exponent, Tensor) else torch.full((1, 1, 1, 1), float(exponent))
    share = (k / (count - 1)) ** share if k else torch.zeros_like(share)
    return most * (math.log(most / least) * (share - 1)).exp()


@dataclass(frozen=True)
class Levels:
    """Inverse depths that a pixel may have, far to near: `values`, or with a map of `exponents` AQUANet's Eq. 4.

    Exponent 1 gives `values`, which then are above 0 and at least two.
    """

    values: tuple[float, ...]
    exponents: Float[Tensor, "b 1 h w"] | None = None

    @classmethod
    def proportional(cls, count: int, least: float, most: float, exponents: Tensor | None = None) -> "Levels":
        """Return `count` levels, each the same multiple of the one before."""
        return cls(tuple(least * (most / least) ** (k / (count - 1)) for k in range(count)), exponents)

    @cached_property
    def shares(self) -> tuple[float, ...]:
        """The place of each value between the least (0) and the largest (1), by its logarithm."""
        least, most = self.values[0], self.values[-1]
        return tuple(math.log(value / least) / math.log(most / least) for value in self.values)

    def map(self, k: int, like: Tensor) -> Float[Tensor, "#b 1 #h #w"]:
        """Return inverse depth k of each pixel, with dtype and device of `like`."""
        if self.exponents is None:
            return like.new_full((1, 1, 1, 1), self.values[k])
        return level(self.shares[k], 2, self.values[0], self.values[-1], self.exponents)


@dataclass(frozen=True)
class Pencil:
    """Places that move along a line as inverse depth grows: uv is (x, y) / z of (x, y, z, s) = start + rho * slope.

    A place is out of sight, and (-1, -1), where s <= 0, or more than `margin` outside [0, 1]². Both planes of a pair of
    pinholes are such lines (`surfaces`), and so are shifts along rows (z = s = 1, as in FAL-Net).
    """

    levels: Levels
    start: Float[Tensor, "b 4 h w"]
    slope: Float[Tensor, "b 4 h w"]
    margin: float = 0.0

    def __call__(self, k: int) -> Uv:
        """Return where pixels land if level k is true."""
        points = (self.start + self.levels.map(k, self.start) * self.slope).permute(0, 2, 3, 1)
        ahead = points[..., 3:] > 0
        uv = points[..., :2] / torch.where(ahead, points[..., 2:3], 1)
        inside = ((uv >= -self.margin) & (uv <= 1 + self.margin)).all(-1, keepdim=True)
        return torch.where(ahead & inside, uv, -1.0)


def surfaces(
    levels: Levels,
    size: tuple[int, int],
    camera: Camera,
    other_from_this: Pose,
    other: Camera,
    *,
    of: Literal["other", "this"] = "other",
) -> Callable[[int], Uv]:
    """Return where the pixels of `camera`, of `size`, land in `other` if they see the surface of inverse depth k.

    The surface is a plane or a sphere of constant inverse depth of the `other` view (`reproject_shell`), or of `this`
    one (`reproject`). What is out of sight is at (-1, -1). Two pinholes give a `Pencil`. On a panorama, whose border is
    `sphere`, every place shows something: levels must be farther than the cameras are from each other.
    """
    if not (isinstance(camera, Pinhole) and isinstance(other, Pinhole)):
        land = reproject_shell if of == "other" else reproject

        def there(k: int) -> Uv:
            rho = levels.map(k, other_from_this).expand(len(other_from_this), 1, *size)
            match = land(rho, camera, other_from_this, other)
            return torch.where(match.valid[:, 0, ..., None], match.uv, -1.0)

        return there

    rays = rotate(other_from_this, camera.rays(pixel_grid(size, other_from_this)))
    offset = other_from_this[:, None, None, :3, 3].expand_as(rays)
    if of == "this":  # the point is ray + rho * offset, before the camera where its z is above 0
        start, slope = torch.cat([rays, rays[..., 2:]], -1), torch.cat([offset, offset[..., 2:]], -1)
    else:  # the point of `Pinhole.shell`, whose z is |r_z| at any rho, and its `gap`
        z, forward, t_z = rays[..., 2:].abs(), rays[..., 2:].sign(), offset[..., 2:]
        start = torch.cat([rays * forward, forward], -1)
        slope = torch.cat([offset * z - rays * forward * t_z, -t_z * forward], -1)
    focal, center = other.focal[:, None, None], other.center[:, None, None]
    start, slope = (
        torch.cat([p[..., :2] * focal + p[..., 2:3] * center, p[..., 2:]], -1).permute(0, 3, 1, 2)
        for p in (start, slope)
    )
    return Pencil(levels, start, slope)
