"""Rigid motions as 4x4 matrices named `b_from_a`: X_b = b_from_a @ X_a, and names compose by cancelling."""

import torch
from jaxtyping import Float
from torch import Tensor

Pose = Float[Tensor, "b 4 4"]


def rigid(rotation: Float[Tensor, "b 3 3"], offset: Float[Tensor, "b 3"]) -> Pose:
    """The pose X -> rotation @ X + offset."""
    bottom = offset.new_tensor([0.0, 0.0, 0.0, 1.0]).expand(len(offset), 1, 4)
    return torch.cat([torch.cat([rotation, offset[..., None]], -1), bottom], -2)


def translation(offset: Float[Tensor, "b 3"]) -> Pose:
    """The pose that only moves: a source on the right has offset (-baseline, 0, 0), one above (0, +baseline, 0)."""
    return rigid(torch.eye(3, dtype=offset.dtype, device=offset.device).expand(len(offset), 3, 3), offset)


def axis_angle(vector: Float[Tensor, "b 3"]) -> Float[Tensor, "b 3 3"]:
    """Rotation about `vector` by its length in radians, right-handed; smooth at zero (Rodrigues' exponential)."""
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    skew = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))
    return torch.linalg.matrix_exp(skew)


def invert(b_from_a: Pose) -> Pose:
    """`a_from_b`: transposed rotation, exactly (no general inverse)."""
    back = b_from_a[:, :3, :3].transpose(1, 2)
    return rigid(back, -(back @ b_from_a[:, :3, 3:])[..., 0])


def rotate(b_from_a: Pose, points: Float[Tensor, "#b h w 3"]) -> Float[Tensor, "b h w 3"]:
    """Only the rotation of `b_from_a`, applied to a field of points or rays."""
    return torch.einsum("bij,bhwj->bhwi", b_from_a[:, :3, :3], points.expand(len(b_from_a), -1, -1, -1))


def mirror(b_from_a: Pose) -> Pose:
    """The same motion seen in a mirror: F b_from_a F with F = diag(-1, 1, 1, 1)."""
    flip = b_from_a.new_tensor([-1.0, 1.0, 1.0, 1.0])
    return flip[:, None] * b_from_a * flip
