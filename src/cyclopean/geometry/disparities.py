"""Disparities of panoramas, in degrees: pixels moved by them, and the depth they stand for, to first order."""

import torch
from jaxtyping import Float
from torch import Tensor

from cyclopean.geometry.grid import pixel_grid
from cyclopean.geometry.landing import Landing
from cyclopean.geometry.sphere import displacement

Rays = Float[Tensor, "#b h w 3"]
Degrees = Float[Tensor, "b 2 h w"]  # along longitude (right), along the polar angle (down)
TURN = (360.0, 180.0)  # degrees of a panorama's width and height


def moved(degrees: Degrees) -> Landing:
    """Where pixels land that move by `degrees`; `uv` may pass the seam and the poles."""
    size = (degrees.shape[-2], degrees.shape[-1])
    uv = pixel_grid(size, degrees) + degrees.movedim(1, -1) / degrees.new_tensor(TURN)
    return Landing(uv, torch.ones_like(degrees[:, :1], dtype=torch.bool))


def disparity_per_inverse_depth(rays: Rays, offset: Float[Tensor, "#b 3"]) -> Degrees:
    """Degrees of disparity for each 1/m of inverse depth, of a source with X_source = X + `offset` (metres)."""
    uv = displacement(*torch.broadcast_tensors(rays, offset[:, None, None]))
    return (uv * uv.new_tensor(TURN)).movedim(-1, 1)


def inverse_depth_from(degrees: Degrees, rays: Rays, offset: Float[Tensor, "#b 3"]) -> Float[Tensor, "b 1 h w"]:
    """The inverse depth in 1/m whose disparity is nearest to `degrees` on the sphere; below 0 where signs are wrong.

    Nearest in angle: a degree of longitude weighs the cosine of its latitude. Precondition: no ray along the offset,
    where nothing moves whatever its depth.
    """
    unit = disparity_per_inverse_depth(rays, offset)
    level = torch.hypot(rays[..., 0], rays[..., 2])
    weight = torch.stack([level.square(), torch.ones_like(level)], 1)
    return (weight * unit * degrees).sum(1, keepdim=True) / (weight * unit.square()).sum(1, keepdim=True)
