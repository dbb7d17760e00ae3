"""Faces around a panorama, each a perspective camera: the six of a cube, and four more between the upright ones."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from cyclopean.geometry.camera import Equirectangular, Pinhole
from cyclopean.geometry.grid import pixel_grid
from cyclopean.geometry.pose import axis_angle

Rotations = Float[Tensor, "f 3 3"]

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


def ten_from_sphere(like: Tensor) -> Float[Tensor, "10 3 3"]:
    """The rotations of `FACES`, then of four upright faces, each an eighth of a turn to the right of one of the first
    four: near the horizon, what lies at the border of a face lies near the middle of another."""
    cube = face_from_sphere(like)
    turn = axis_angle(like.new_tensor([[0, math.pi / 4, 0]]))[0]
    return torch.cat([cube, cube[:4] @ turn.T])


def face_camera(field_of_view: float, like: Tensor) -> Pinhole:
    """The camera of every face: square, `field_of_view` degrees wide; 90 is the cube itself, more overlaps."""
    focal = 0.5 / math.tan(math.radians(field_of_view / 2))
    return Pinhole(like.new_tensor([[focal, focal]]), like.new_tensor([[0.5, 0.5]]))


def uv_on_sphere(side: int, field_of_view: float, faces: Rotations) -> Float[Tensor, "f side side 2"]:
    """Where the pixels of `faces` (rotations from the panorama's frame) of `side` pixels lie in the panorama."""
    rays = face_camera(field_of_view, faces).rays(pixel_grid((side, side), faces))
    return Equirectangular().project(_turned(rays, faces.transpose(1, 2)))


def uv_on_faces(
    rays: Float[Tensor, "1 h w 3"], field_of_view: float, faces: Rotations
) -> tuple[Float[Tensor, "f h w 2"], Bool[Tensor, "f h w"], Float[Tensor, "f h w"]]:
    """For unit `rays` of the panorama: uv in each of `faces`, whether the face sees them, and the cosine of the angle
    off its axis, which is z per radius. Where it does not see them, uv is its centre."""
    points = _turned(rays, faces)
    camera = face_camera(field_of_view, rays)
    ahead = camera.sees(points)
    uv = camera.project(torch.where(ahead[..., None], points, points.new_tensor([0.0, 0.0, 1.0])))
    seen = ahead & (uv >= 0).all(-1) & (uv <= 1).all(-1)
    return torch.where(seen[..., None], uv, 0.5), seen, points[..., 2]


def _turned(points: Float[Tensor, "1 h w 3"], rotations: Rotations) -> Float[Tensor, "f h w 3"]:
    return torch.einsum("fij,hwj->fhwi", rotations, points[0])
