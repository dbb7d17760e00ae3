"""Geometry of panoramas: the paper's first-order displacement, its attention, and borders that have none.

Zioulis et al., Spherical View Synthesis for Self-Supervised 360 Depth Estimation, 2019. Its angles count from the left
border and the top (phi = longitude + pi, theta = pi/2 - latitude), its y points up, ours down.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from cyclopean.errors import InputError
from cyclopean.geometry.cameras import (
    Correspondence,
    Equirectangular,
    Points,
    Pose,
    Uv,
    pixel_grid,
    rigid,
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
    half = even(image.shape[-1]) // 2
    turned = torch.cat([image[..., half:], image[..., :half]], -1)  # `roll` by a symbol cannot be exported
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


def correspondence_from_degrees(degrees: Degrees) -> Correspondence:
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


def uv_rotated(rotation: Float[Tensor, "b 3 3"], size: tuple[int, int]) -> Uv:
    """Return where the pixels of a panorama turned by `rotation` lie in the panorama as it was: out(d) = in(R^T d).

    What was seen along d is afterwards seen along R d. The trap: R for its transpose turns the other way.
    """
    rays = Equirectangular().rays(pixel_grid(size, rotation))
    still = torch.zeros_like(rotation[:, 0])
    return Equirectangular().project(rotate(rigid(rotation.transpose(1, 2), still), rays))
