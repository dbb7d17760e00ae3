"""What is particular to panoramas: the paper's first-order displacement, its attention, and borders that have none.

Zioulis et al., Spherical View Synthesis for Self-Supervised 360 Depth Estimation, 2019. Its angles count from the left
border and the top (phi = longitude + pi, theta = pi/2 - latitude), its y points up, ours down.
"""

import itertools
import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from cyclopean.errors import InputError
from cyclopean.geometry.cameras import (
    Correspondence,
    Equirectangular,
    Pinhole,
    Points,
    Pose,
    Uv,
    axis_angle,
    pixel_grid,
    rotate,
    size_of,
)


def reproject_first_order(
    inverse_depth: Float[Tensor, "b 1 h w"], camera: Equirectangular, other_from_this: Pose, other: Equirectangular
) -> Correspondence:
    """Return `reproject` to first order in `inverse_depth`, along any baseline: for far things only.

    Off by pixels for things nearer than some four baselines (docs/geometry.md). `uv` may pass the seam and the poles.
    """
    rays = rotate(other_from_this, camera.rays(pixel_grid(size_of(inverse_depth), inverse_depth)))
    offset = other_from_this[:, None, None, :3, 3] * inverse_depth[:, 0, ..., None]
    uv = other.project(rays) + displacement(rays, offset)
    return Correspondence(uv, torch.ones_like(inverse_depth, dtype=torch.bool))


def displacement(rays: Points, offset: Points) -> Uv:
    """Return how far unit `rays` move in uv when small `offset`s are added (the paper's Eq. 2, and its third column).

    For X_other = X + b, offset = b / r. Traps of the paper and its release: Eq. 3 subtracts the displacement of
    b = v_src - v_tgt, which has to be added; the release clamps downward displacements to [0, H], which loses every
    upward one of a horizontal rig: [-H, H] here; at the poles it divides by zero, so displacements along u are at most
    half the image, here too.
    """
    (x, y, z), (dx, dy, dz) = rays.unbind(-1), offset.unbind(-1)
    level = torch.hypot(x, z).clamp_min(torch.finfo(x.dtype).tiny ** 0.5)
    du = (z * dx - x * dz) / level.square() / (2 * math.pi)
    dv = (level * dy - y * (x * dx + z * dz) / level) / math.pi
    return torch.stack([du.clamp(-0.5, 0.5), dv.clamp(-1, 1)], -1)


def attention(rays: Float[Tensor, "#b h w 3"], baseline: Float[Tensor, "#b 3"]) -> Float[Tensor, "#b 1 h w"]:
    """Return the weight in [0,1] of each direction (unit `rays`) for a rig displaced along `baseline` (length > 0).

    The paper's Eq. 5: |sin theta| for a vertical rig, the area of a pixel; times |cos phi| for one along x, which makes
    it vanish at the epipoles. The trap: Eq. 5 prints |sin phi|, right only in the release's angles, where phi is turned
    by a quarter; and the release leaves |sin theta| out. In between the two (ours) it is smooth: cos(latitude) times
    the sine of the angle between the baseline and the direction's heading.
    """
    along = F.normalize(baseline, dim=-1)[:, None, None]
    x, _, z = rays.unbind(-1)
    seen = x.square() + z.square() - (x * along[..., 0] + z * along[..., 2]).square()
    return seen.clamp_min(0).sqrt()[:, None]


def around(image: Float[Tensor, "b c h w"], margin: int) -> Float[Tensor, "b c h2 w2"]:
    """Pad a panorama by `margin` pixels on every side: across the seam, and past the poles half a turn away."""
    turned = image.roll(even(image.shape[-1]) // 2, -1)
    top, bottom = turned[..., :margin, :].flip(-2), turned[..., -margin:, :].flip(-2)
    return F.pad(torch.cat([top, image, bottom], -2), (margin, margin, 0, 0), mode="circular")


def even(width: int) -> int:
    """Return `width`. Raises `InputError` if it is odd: half a turn away there is no pixel then."""
    if width % 2:
        raise InputError(f"a panorama needs an even width to go on past its poles, this one has {width}; resize it.")
    return width


Rays = Float[Tensor, "#b h w 3"]
Degrees = Float[Tensor, "b 2 h w"]  # along longitude (right), along the polar angle (down)
TURN = (360.0, 180.0)  # degrees of a panorama's width and height


def moved(degrees: Degrees) -> Correspondence:
    """Return where pixels land that move by `degrees`; `uv` may pass the seam and the poles."""
    uv = pixel_grid(size_of(degrees), degrees) + degrees.movedim(1, -1) / degrees.new_tensor(TURN)
    return Correspondence(uv, torch.ones_like(degrees[:, :1], dtype=torch.bool))


def disparity_per_inverse_depth(rays: Rays, offset: Float[Tensor, "#b 3"]) -> Degrees:
    """Return the degrees of disparity for each 1/m of inverse depth, of a source with X_source = X + `offset` (m)."""
    uv = displacement(*torch.broadcast_tensors(rays, offset[:, None, None]))
    return (uv * uv.new_tensor(TURN)).movedim(-1, 1)


def inverse_depth_from(degrees: Degrees, rays: Rays, offset: Float[Tensor, "#b 3"]) -> Float[Tensor, "b 1 h w"]:
    """Return the inverse depth in 1/m whose disparity is nearest to `degrees`; below 0 where signs are wrong.

    Nearest in angle: a degree of longitude weighs the cosine of its latitude. Precondition: no ray along the offset,
    where nothing moves whatever its depth.
    """
    unit = disparity_per_inverse_depth(rays, offset)
    level = torch.hypot(rays[..., 0], rays[..., 2])
    weight = torch.stack([level.square(), torch.ones_like(level)], 1)
    return (weight * unit * degrees).sum(1, keepdim=True) / (weight * unit.square()).sum(1, keepdim=True)


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


def tangents_from_sphere(like: Tensor) -> Float[Tensor, "20 3 3"]:
    """Return the rotations into the frames of 20 tangent planes, at the centres of an icosahedron's faces.

    Their x axes are level. Their corners lie 37.4 degrees off the axis, so 75 degrees of view cover the sphere.
    """
    golden = (1 + math.sqrt(5)) / 2
    axes = list(itertools.product((-golden, golden), repeat=3))
    for a, b in itertools.product((-1.0, 1.0), (-(golden**2), golden**2)):
        axes += [(0.0, a, b), (a, b, 0.0), (b, 0.0, a)]
    z = F.normalize(like.new_tensor(axes), dim=-1)
    x = F.normalize(torch.linalg.cross(like.new_tensor([[0.0, 1.0, 0.0]]).expand_as(z), z), dim=-1)
    return torch.stack([x, torch.linalg.cross(z, x), z], 1)


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
    return torch.einsum("fij,hwj->fhwi", rotations, points[0])


def euler(angles: Float[Tensor, "b 3"]) -> Float[Tensor, "b 3 3"]:
    """Return the rotations R_x R_y R_z by angles about x, y and z in radians (Depth Anywhere's augmentation)."""
    about_x, about_y, about_z = (axis_angle(one) for one in torch.diag_embed(angles).unbind(1))
    return about_x @ about_y @ about_z


def uv_rotated(rotation: Float[Tensor, "b 3 3"], size: tuple[int, int]) -> Uv:
    """Return where the pixels of a panorama turned by `rotation` lie in the panorama as it was: out(d) = in(R^T d).

    What was seen along d is afterwards seen along R d. The trap: R for its transpose turns the other way.
    """
    rays = Equirectangular().rays(pixel_grid(size, rotation))
    return Equirectangular().project(_turned(rays, rotation.transpose(1, 2)))


def inverse_distance_to_z(side: int, field_of_view: float, like: Tensor) -> Float[Tensor, "1 1 side side"]:
    """Return what turns an inverse distance on a face into an inverse depth along its axis: sqrt(1 + x² + y²)."""
    rays = face_camera(field_of_view, like).rays(pixel_grid((side, side), like))
    return rays.norm(dim=-1)[:, None]
