"""Cameras: directions of pixels and pixels of points. They know no resolution (`uv` in [0,1]²) and no pose."""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

Border = Literal["zeros", "edge", "sphere"]
Uv = Float[Tensor, "b h w 2"]
Points = Float[Tensor, "b h w 3"]
Seen = Bool[Tensor, "b h w"]

# A pinhole sees points whose z is more than this part of their sideways distance (up to 89.94 degrees off axis): it
# keeps uv finite.
STEEPEST = 1e-3
FIELD_OF_VIEW = 60.0  # degrees along the longer side, of a picture whose camera is not known


@runtime_checkable  # so that annotations can be checked while tests run
class Camera(Protocol):
    """A camera, as other.project(R @ camera.rays(uv) + rho * t) needs it. Frame: x right, y down, z forward."""

    border: ClassVar[Border]

    def rays(self, uv: Float[Tensor, "#b h w 2"]) -> Points:
        """Return the direction of each pixel, scaled so that `depth * rays` is the point."""
        ...

    def sees(self, points: Points) -> Seen:
        """Return whether `project` is defined there (in front of the camera), whatever the image's edges."""
        ...

    def project(self, points: Points) -> Uv:
        """Return the `uv` of points, which may be scaled by any positive factor. Precondition: `sees(points)`."""
        ...

    def depth(self, points: Points) -> Float[Tensor, "b 1 h w"]:
        """Return the number that multiplies `rays`: z for a pinhole, radius for an equirectangular camera."""
        ...

    def shell(self, rays: Points, offset: Points, rho: Float[Tensor, "b h w 1"]) -> tuple[Points, Seen]:
        """Return where `offset + s * rays` (s > 0) meets this camera's surface depth == 1/rho.

        Returns points up to a positive scale (finite also for rho = 0) and whether the ray meets the surface.
        """
        ...

    def mirrored(self) -> "Camera":
        """Return the camera of the image flipped left to right."""
        ...


@dataclass(frozen=True)
class Pinhole:
    """A perspective camera: `focal` in image widths (u) and heights (v), `center` in uv."""

    focal: Float[Tensor, "b 2"]
    center: Float[Tensor, "b 2"]
    border: ClassVar[Border] = "edge"

    def rays(self, uv: Float[Tensor, "#b h w 2"]) -> Points:
        xy = (uv - self.center[:, None, None]) / self.focal[:, None, None]
        return torch.cat([xy, torch.ones_like(xy[..., :1])], -1)

    def sees(self, points: Points) -> Seen:
        return points[..., 2] > STEEPEST * (points[..., 0].abs() + points[..., 1].abs())

    def project(self, points: Points) -> Uv:
        return points[..., :2] / points[..., 2:] * self.focal[:, None, None] + self.center[:, None, None]

    def depth(self, points: Points) -> Float[Tensor, "b 1 h w"]:
        return points[..., 2][:, None]

    def shell(self, rays: Points, offset: Points, rho: Float[Tensor, "b h w 1"]) -> tuple[Points, Seen]:
        # s = (1/rho - o_z) / r_z; the point comes times rho |r_z|: no division by zero at infinity or looking back.
        forward = rays[..., 2:].sign()
        gap = (1 - rho * offset[..., 2:]) * forward
        return rays * gap + rho * offset * rays[..., 2:].abs(), gap[..., 0] > 0

    def mirrored(self) -> "Pinhole":
        u, v = self.center.unbind(-1)
        return Pinhole(self.focal, torch.stack([1 - u, v], -1))

    def cropped(self, window: Float[Tensor, "b 4"]) -> "Pinhole":
        """Return the camera of the part (u0, v0, u1, v1) of its image."""
        corner, extent = window[:, :2], window[:, 2:] - window[:, :2]
        return Pinhole(self.focal / extent, (self.center - corner) / extent)


def pinhole_of_angle(degrees: float, size: tuple[int, int], aspect: float = 1.0) -> Pinhole:
    """Return the camera of a field of view along the longer side of pictures of `size` (height, width).

    `aspect`: width of a pixel over its height.
    """
    height, width = size[0], size[1] * aspect
    focal = max(height, width) / 2 / math.tan(math.radians(degrees) / 2)
    return Pinhole(torch.tensor([[focal / width, focal / height]]), torch.tensor([[0.5, 0.5]]))


def assumed_camera(size: tuple[int, int], focal: float | None = None) -> Pinhole:
    """Return a camera for a picture of `size` (height, width) that has none.

    Its `focal` length is in image widths; without one it has 60 degrees along the longer side.
    """
    if focal is None:
        return pinhole_of_angle(FIELD_OF_VIEW, size)
    return Pinhole(torch.tensor([[focal, focal * size[1] / size[0]]]), torch.tensor([[0.5, 0.5]]))


@dataclass(frozen=True)
class Equirectangular:
    """A full sphere: u is longitude (centre looks forward, grows to the right), v latitude (top looks up)."""

    border: ClassVar[Border] = "sphere"

    def rays(self, uv: Float[Tensor, "#b h w 2"]) -> Points:
        longitude = (uv[..., 0] - 0.5) * (2 * math.pi)
        latitude = (0.5 - uv[..., 1]) * math.pi
        x, y, z = latitude.cos() * longitude.sin(), -latitude.sin(), latitude.cos() * longitude.cos()
        return torch.stack([x, y, z], -1)

    def sees(self, points: Points) -> Seen:
        return points.square().sum(-1) >= torch.finfo(points.dtype).tiny

    def project(self, points: Points) -> Uv:
        x, y, z = points.unbind(-1)
        # Straight up and down longitude is any and has no derivative: there it is 0 with gradient 0, not NaN.
        at_pole = x.square() + z.square() < torch.finfo(points.dtype).tiny
        z = torch.where(at_pole, 1, z)
        longitude = torch.atan2(x, z)
        level = (x.square() + z.square()).sqrt()  # `hypot` cannot be exported
        latitude = torch.atan2(-y, torch.where(at_pole, 0, level))
        return torch.stack([longitude / (2 * math.pi) + 0.5, 0.5 - latitude / math.pi], -1)

    def depth(self, points: Points) -> Float[Tensor, "b 1 h w"]:
        return torch.linalg.vector_norm(points, dim=-1)[:, None]

    def shell(self, rays: Points, offset: Points, rho: Float[Tensor, "b h w 1"]) -> tuple[Points, Seen]:
        # |rho offset + s d| = 1 has one solution s > 0 when the camera stands inside the sphere of radius 1/rho.
        inside = (rho * offset).square().sum(-1, keepdim=True) < 1
        scaled = torch.where(inside, rho * offset, torch.zeros_like(offset))
        d = F.normalize(rays, dim=-1)
        along = (scaled * d).sum(-1, keepdim=True)
        reach = (along.square() - scaled.square().sum(-1, keepdim=True) + 1).sqrt() - along
        return d * reach + scaled, inside[..., 0]

    def mirrored(self) -> "Equirectangular":
        return self


def size_of(image: Tensor) -> tuple[int, int]:
    """Return (height, width) of an image or map `... h w`."""
    return image.shape[-2], image.shape[-1]


def extent(size: tuple[int, int], like: Tensor) -> Float[Tensor, "2"]:
    """Return (width, height) of a size (height, width) as a tensor; exporters keep sizes that are symbols."""
    height, width = size
    return torch.stack([torch.scalar_tensor(side, dtype=like.dtype, device=like.device) for side in (width, height)])


def pixel_grid(size: tuple[int, int], like: Tensor) -> Float[Tensor, "1 h w 2"]:
    """Return the `uv` of every pixel centre of an image of `size` (height, width), with dtype and device of `like`.

    The centre of (row i, column j) is ((j + 1/2) / W, (i + 1/2) / H): the image spans [0, 1]² corner to corner.
    """
    height, width = size
    v = (torch.arange(height, device=like.device, dtype=like.dtype) + 0.5) / height
    u = (torch.arange(width, device=like.device, dtype=like.dtype) + 0.5) / width
    return torch.stack(torch.meshgrid(u, v, indexing="xy"), -1)[None]


Pose = Float[Tensor, "b 4 4"]


def rigid(rotation: Float[Tensor, "b 3 3"], offset: Float[Tensor, "b 3"]) -> Pose:
    """Return the pose X -> rotation @ X + offset."""
    bottom = offset.new_tensor([0.0, 0.0, 0.0, 1.0]).expand(len(offset), 1, 4)
    return torch.cat([torch.cat([rotation, offset[..., None]], -1), bottom], -2)


def translation(offset: Float[Tensor, "b 3"]) -> Pose:
    """Return the pose that only moves: for a source on the right (-baseline, 0, 0), for one above (0, +baseline, 0)."""
    return rigid(torch.eye(3, dtype=offset.dtype, device=offset.device).expand(len(offset), 3, 3), offset)


def axis_angle(vector: Float[Tensor, "b 3"]) -> Float[Tensor, "b 3 3"]:
    """Return the rotation about `vector` by its length in radians, right-handed; smooth at zero (Rodrigues)."""
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    skew = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))
    return torch.linalg.matrix_exp(skew)


def euler(angles: Float[Tensor, "b 3"]) -> Float[Tensor, "b 3 3"]:
    """Return the rotation R_x R_y R_z of angles about x, y and z in radians: about z first (AQUANet's draft, and
    Depth Anywhere's augmentation)."""
    about_x, about_y, about_z = (axis_angle(part) for part in torch.diag_embed(angles).unbind(-2))
    return about_x @ about_y @ about_z


def invert(b_from_a: Pose) -> Pose:
    """Return `a_from_b`: transposed rotation, exactly (no general inverse)."""
    back = b_from_a[:, :3, :3].transpose(1, 2)
    return rigid(back, -(back @ b_from_a[:, :3, 3:])[..., 0])


def rotate(b_from_a: Pose, points: Float[Tensor, "#b h w 3"]) -> Float[Tensor, "b h w 3"]:
    """Apply only the rotation of `b_from_a` to a field of points or rays."""
    return torch.einsum("bij,bhwj->bhwi", b_from_a[:, :3, :3], points.expand(len(b_from_a), -1, -1, -1))


def mirror(b_from_a: Pose) -> Pose:
    """Return the same motion seen in a mirror: F b_from_a F with F = diag(-1, 1, 1, 1)."""
    flip = b_from_a.new_tensor([-1.0, 1.0, 1.0, 1.0])
    return flip[:, None] * b_from_a * flip


@dataclass(frozen=True)
class Correspondence:
    """The places in the other view: `uv` is always finite; `valid` is False behind the camera or outside its image."""

    uv: Float[Tensor, "b h w 2"]
    valid: Bool[Tensor, "b 1 h w"]


def reproject(
    inverse_depth: Float[Tensor, "b 1 h w"], camera: Camera, other_from_this: Pose, other: Camera
) -> Correspondence:
    """Return where pixels of `camera` at `inverse_depth` (0 = infinity) land in `other`; it never divides by depth."""
    rays = camera.rays(pixel_grid(size_of(inverse_depth), inverse_depth))
    points = rotate(other_from_this, rays) + _last(inverse_depth) * other_from_this[:, None, None, :3, 3]
    return _land(points, other.sees(points), other)


def reproject_shell(
    level: Float[Tensor, "b 1 h w"], camera: Camera, other_from_this: Pose, other: Camera
) -> Correspondence:
    """Return where each pixel of `camera` lands if it sees the surface of inverse depth `level` *of the other view*.

    A plane of a plane sweep for a pinhole, a sphere of a sphere sweep for an equirectangular `other`.
    """
    rays = rotate(other_from_this, camera.rays(pixel_grid(size_of(level), level)))
    offset = other_from_this[:, None, None, :3, 3].expand_as(rays)
    points, meets = other.shell(rays, offset, _last(level).expand(len(rays), -1, -1, -1))
    return _land(points, meets & other.sees(points), other)


def _land(points: Points, in_front: Bool[Tensor, "b h w"], other: Camera) -> Correspondence:
    ahead = points.new_tensor([0.0, 0.0, 1.0])
    uv = other.project(torch.where(in_front[..., None], points, ahead))
    inside = ((uv >= 0) & (uv <= 1)).all(-1)
    return Correspondence(uv, (in_front & inside)[:, None])


def _last(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b h w c"]:
    return x.permute(0, 2, 3, 1)
