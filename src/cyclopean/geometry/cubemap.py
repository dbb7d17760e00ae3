"""Perspective pictures around one centre, faces: a cube's six, more that overlap, or tangent images of a panorama.

Two papers' conventions differ from ours (and from each other) in the order of faces and in where samples lie: `CUBE`,
`BIFUSE` and `UNIFUSE` are values of one type.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from cyclopean.errors import InputError
from cyclopean.geometry.cameras import Equirectangular, Pinhole, axis_angle, extent, pixel_grid

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
    """Return the rotations into the frames of the faces, in the order of `FACES`."""
    return torch.tensor(_AXES, dtype=like.dtype, device=like.device)


def ten_from_sphere(like: Tensor) -> Float[Tensor, "10 3 3"]:
    """Return the rotations of `FACES`, then of four upright faces, each an eighth of a turn to the right of one of the
    first four: near the horizon, what lies at the border of a face lies near the middle of another."""
    cube = face_from_sphere(like)
    turn = axis_angle(like.new_tensor([[0, math.pi / 4, 0]]))[0]
    return torch.cat([cube, cube[:4] @ turn.T])


def face_camera(field_of_view: float, like: Tensor) -> Pinhole:
    """Return the camera of every face: square, `field_of_view` degrees wide; 90 is the cube itself, more overlaps."""
    focal = 0.5 / math.tan(math.radians(field_of_view / 2))
    return Pinhole(like.new_tensor([[focal, focal]]), like.new_tensor([[0.5, 0.5]]))


def uv_on_sphere(side: int, field_of_view: float, faces: Rotations) -> Float[Tensor, "f side side 2"]:
    """Return where the pixels of `faces` (rotations from the panorama's frame) of `side` pixels lie in the panorama."""
    rays = face_camera(field_of_view, faces).rays(pixel_grid((side, side), faces))
    return Equirectangular().project(_turned(rays, faces.transpose(1, 2)))


def uv_on_faces(
    rays: Float[Tensor, "1 h w 3"], field_of_view: float, faces: Rotations
) -> tuple[Float[Tensor, "f h w 2"], Bool[Tensor, "f h w"], Float[Tensor, "f h w"]]:
    """Return for unit `rays` of the panorama uv in each of `faces`, whether the face sees them, and the cosine of the
    angle off its axis, which is z per radius. Where it does not see them, uv is its centre."""
    points = _turned(rays, faces)
    camera = face_camera(field_of_view, rays)
    ahead = camera.sees(points)
    uv = camera.project(torch.where(ahead[..., None], points, points.new_tensor([0.0, 0.0, 1.0])))
    seen = ahead & (uv >= 0).all(-1) & (uv <= 1).all(-1)
    return torch.where(seen[..., None], uv, 0.5), seen, points[..., 2]


def _turned(points: Float[Tensor, "1 h w 3"], rotations: Rotations) -> Float[Tensor, "f h w 3"]:
    # no matrix product, which autocast would round to 8 bits
    x, y, z = points[0, ..., None].unbind(-2)
    right, down, ahead = rotations[:, None, None].unbind(-1)
    return x * right + y * down + z * ahead


# --- conventions of papers, and tangent images ------------------------------------------------------------------------

Samples = Literal["centers", "corners"]
Size = tuple[int, int]


@dataclass(frozen=True)
class Faces:
    """Square perspective pictures around one centre, and where they and their panorama are sampled.

    `rotations` are face_from_sphere (rows: x, y, z of the face in the panorama's frame), `field_of_view` is in degrees.
    Samples at "centers" stand half a pixel inside the border; at "corners" the first and the last stand on it (so
    neighbouring faces share a row, and both the first and the last column of a panorama are the seam): two or more.
    """

    rotations: tuple[tuple[tuple[float | int, ...], ...], ...] = _AXES
    field_of_view: float = 90.0
    on_face: Samples = "centers"
    on_sphere: Samples = "centers"

    def __len__(self) -> int:
        return len(self.rotations)

    def face_from_sphere(self, like: Tensor) -> Rotations:
        """Return the rotations as a tensor with dtype and device of `like`."""
        return torch.tensor(self.rotations, dtype=like.dtype, device=like.device)

    def camera(self, side: int, like: Tensor) -> Pinhole:
        """Return the camera of each face of `side` pixels; samples on the border make it wider by one pixel."""
        wide = face_camera(self.field_of_view, like)
        return wide if self.on_face == "centers" else Pinhole(wide.focal * ((side - 1) / side), wide.center)

    def cosine(self, side: int, like: Tensor) -> Float[Tensor, "1 1 side side"]:
        """Return z per radius of a face's pixels: depth = radius * cosine, inverse radius = inverse depth * cosine."""
        return 1 / self.camera(side, like).rays(pixel_grid((side, side), like)).norm(dim=-1)[:, None]

    def uv_on_sphere(self, side: int, size: Size, like: Tensor) -> Float[Tensor, "f side side 2"]:
        """Return where the pixels of faces lie in a panorama of `size`."""
        rays = self.camera(side, like).rays(pixel_grid((side, side), like))
        uv = Equirectangular().project(_turned(rays, self.face_from_sphere(like).transpose(1, 2)))
        if self.on_sphere == "centers":
            return uv
        pixels = extent(size, uv)
        return (uv * (pixels - 1) + 0.5) / pixels

    def sphere_rays(self, size: Size, like: Tensor) -> Float[Tensor, "1 h w 3"]:
        """Return the unit directions of the samples of a panorama of `size`."""
        uv = pixel_grid(size, like)
        if self.on_sphere == "corners":
            pixels = extent(size, uv)
            uv = (uv * pixels - 0.5) / (pixels - 1)
        return Equirectangular().rays(uv)

    def nearest(self, size: Size, side: int, like: Tensor) -> tuple[Int[Tensor, "h w"], Float[Tensor, "h w 2"]]:
        """Return for each sample of a panorama which face's axis is nearest, and its uv there, kept inside the face's
        outermost pixel centres."""
        points = _turned(self.sphere_rays(size, like), self.face_from_sphere(like))
        face = points[..., 2].argmax(0)
        nearest = points.gather(0, face[None, ..., None].expand(1, -1, -1, 3))
        uv = self.camera(side, like).project(nearest)[0]
        return face, uv.clamp(0.5 / side, 1 - 0.5 / side)


def cube(order: str, on_face: Samples = "centers", on_sphere: Samples = "centers") -> Faces:
    """Return a cube's faces in the `order` of their initials, such as FRBLUD. All conventions turn them alike."""
    initials = [name[0].upper() for name in FACES]
    return Faces(tuple(_AXES[initials.index(letter)] for letter in order), 90.0, on_face, on_sphere)


CUBE = cube("FRBLUD")  # ours
BIFUSE = cube("BDFLRU", on_sphere="corners")  # BiFuse, BiFuse++, Depth Anywhere's faces
UNIFUSE = cube("FRBLUD", on_face="corners")  # UniFuse, py360convert


def tangents(count: int, field_of_view: float) -> Faces:
    """Return upright tangent images, evenly spread (a Fibonacci lattice), first up, last down.

    Raises `InputError` if they leave holes between them.
    """
    rotations = []
    for k in range(count):
        y, turn = (2 * k + 1) / count - 1, k * math.pi * (3 - math.sqrt(5))
        level = math.sqrt(1 - y * y)
        right = (math.cos(turn), 0.0, -math.sin(turn))
        ahead = (level * math.sin(turn), y, level * math.cos(turn))
        down = (-y * math.sin(turn), level, -y * math.cos(turn))
        rotations.append((right, down, ahead))
    faces, like = Faces(tuple(rotations), field_of_view), torch.zeros(1)
    if count < 1 or not 0 < field_of_view < 180:
        raise InputError(f"{count} tangent images of {field_of_view:g} degrees: give 1 or more, of 0 to 180 degrees.")
    rays = faces.sphere_rays((64, 128), like)
    _, seen, cosine = uv_on_faces(rays, field_of_view, faces.face_from_sphere(like))
    if not bool(seen.gather(0, cosine.argmax(0, keepdim=True)).all()):
        raise InputError(
            f"{count} tangent images of {field_of_view:g} degrees leave holes on the sphere; give more, or wider ones."
        )
    return faces


def face_weight(uv: Float[Tensor, "f h w 2"], seen: Bool[Tensor, "f h w"]) -> Float[Tensor, "f h w"]:
    """Return how much places `uv` of faces count when faces are blended: most at the centre of a face, nearly nothing
    at its border, flat at both; 0 where the face does not see them."""
    t = 2 * torch.minimum(uv, 1 - uv).amin(-1)
    return seen * (t.square() * (3 - 2 * t)).clamp_min(1e-6)
