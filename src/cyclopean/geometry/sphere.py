"""What is particular to panoramas: the paper's first-order displacement, its attention, and borders that have none.

Zioulis et al., Spherical View Synthesis for Self-Supervised 360 Depth Estimation, 2019. Its angles count from the left
border and the top (phi = longitude + pi, theta = pi/2 - latitude), its y points up, ours down.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from cyclopean.errors import InputError
from cyclopean.geometry.camera import Equirectangular, Points, Uv
from cyclopean.geometry.grid import pixel_grid
from cyclopean.geometry.landing import Landing
from cyclopean.geometry.pose import Pose, rotate


def reproject_first_order(
    inverse_depth: Float[Tensor, "b 1 h w"], camera: Equirectangular, other_from_this: Pose, other: Equirectangular
) -> Landing:
    """`reproject` to first order in `inverse_depth`, along any baseline: for far things only.

    Off by pixels for things nearer than some four baselines (docs/geometry.md). `uv` may pass the seam and the poles.
    """
    size = (inverse_depth.shape[-2], inverse_depth.shape[-1])
    rays = rotate(other_from_this, camera.rays(pixel_grid(size, inverse_depth)))
    offset = other_from_this[:, None, None, :3, 3] * inverse_depth[:, 0, ..., None]
    uv = other.project(rays) + displacement(rays, offset)
    return Landing(uv, torch.ones_like(inverse_depth, dtype=torch.bool))


def displacement(rays: Points, offset: Points) -> Uv:
    """How far unit `rays` move in uv when small `offset`s are added to them (the paper's Eq. 2, and its third column).

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
    """The weight of each direction (unit `rays`) for a rig displaced along `baseline` (any length > 0), in [0,1].

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
    """A panorama with `margin` pixels more on every side: across the seam, and past the poles half a turn away."""
    turned = image.roll(even(image.shape[-1]) // 2, -1)
    top, bottom = turned[..., :margin, :].flip(-2), turned[..., -margin:, :].flip(-2)
    return F.pad(torch.cat([top, image, bottom], -2), (margin, margin, 0, 0), mode="circular")


def even(width: int) -> int:
    """`width`, checked. Raises InputError if it is odd: half a turn away there is no pixel then."""
    if width % 2:
        raise InputError(f"a panorama needs an even width to go on past its poles, this one has {width}; resize it.")
    return width
