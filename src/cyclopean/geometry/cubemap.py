"""The six faces of a cube around a panorama, each a perspective camera that sees a little more than its own side."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from cyclopean.geometry.camera import Equirectangular, Pinhole
from cyclopean.geometry.grid import pixel_grid

FACES = ("front", "right", "back", "left", "up", "down")
# face_from_sphere: rows are the face's x (right), y (down) and z (forward) in the frame of the panorama. The lower edge
# of "up" and the upper edge of "down" meet "front".
_AXES = (
    ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    ((0, 0, -1), (0, 1, 0), (1, 0, 0)),
    ((-1, 0, 0), (0, 1, 0), (0, 0, -1)),
    ((0, 0, 1), (0, 1, 0), (-1, 0, 0)),
    ((1, 0, 0), (0, 0, 1), (0, -1, 0)),
    ((1, 0, 0), (0, 0, -1), (0, 1, 0)),
)


def face_from_sphere(like: Tensor) -> Float[Tensor, "6 3 3"]:
    """Rotations into the frames of the faces, in the order of `FACES`."""
    return torch.tensor(_AXES, dtype=like.dtype, device=like.device)


def face_camera(field_of_view: float, like: Tensor) -> Pinhole:
    """The camera of every face: square, `field_of_view` degrees wide; 90 is the cube itself, more overlaps."""
    focal = 0.5 / math.tan(math.radians(field_of_view / 2))
    return Pinhole(like.new_tensor([[focal, focal]]), like.new_tensor([[0.5, 0.5]]))


def uv_on_sphere(side: int, field_of_view: float, like: Tensor) -> Float[Tensor, "6 side side 2"]:
    """Where the pixels of faces of `side` pixels lie in the panorama."""
    rays = face_camera(field_of_view, like).rays(pixel_grid((side, side), like))
    return Equirectangular().project(_turned(rays, face_from_sphere(like).transpose(1, 2)))


def uv_on_faces(
    rays: Float[Tensor, "1 h w 3"], field_of_view: float
) -> tuple[Float[Tensor, "6 h w 2"], Bool[Tensor, "6 h w"], Float[Tensor, "6 h w"]]:
    """For unit `rays` of the panorama: uv in each face, whether the face sees them, and the cosine of the angle off its
    axis, which is z per radius. Where it does not see them, uv is its centre."""
    points = _turned(rays, face_from_sphere(rays))
    camera = face_camera(field_of_view, rays)
    ahead = camera.sees(points)
    uv = camera.project(torch.where(ahead[..., None], points, points.new_tensor([0.0, 0.0, 1.0])))
    seen = ahead & (uv >= 0).all(-1) & (uv <= 1).all(-1)
    return torch.where(seen[..., None], uv, 0.5), seen, points[..., 2]


def _turned(points: Float[Tensor, "1 h w 3"], rotations: Float[Tensor, "6 3 3"]) -> Float[Tensor, "6 h w 3"]:
    return torch.einsum("fij,hwj->fhwi", rotations, points[0])
