"""Poses: names compose by cancelling, rotations agree with Rodrigues and with the released code of Monodepth2."""

import math

import torch

from analytic import F64, RIGS
from cyclopean.geometry import axis_angle, invert, mirror, rigid, rotate, translation


def test_axis_angle_is_rodrigues():
    vectors = torch.randn(20, 3, dtype=F64)
    angle = vectors.norm(dim=-1)[:, None]
    axis, x = vectors / angle, torch.randn(20, 3, dtype=F64)
    along = (axis * x).sum(-1, keepdim=True)
    expected = x * angle.cos() + torch.linalg.cross(axis, x) * angle.sin() + axis * along * (1 - angle.cos())
    torch.testing.assert_close((axis_angle(vectors) @ x[..., None])[..., 0], expected)


def test_axis_angle_turns_right_handed():
    """A quarter turn about y (down) takes forward to the right."""
    turned = axis_angle(torch.tensor([[0, math.pi / 2, 0]], dtype=F64)) @ torch.tensor([0.0, 0.0, 1.0], dtype=F64)
    torch.testing.assert_close(turned, torch.tensor([[1.0, 0.0, 0.0]], dtype=F64))


def test_axis_angle_has_a_gradient_at_rest():
    still = torch.zeros(1, 3, dtype=F64, requires_grad=True)
    assert torch.autograd.gradcheck(axis_angle, (still,))


def test_inverse_cancels():
    for rig in RIGS.values():
        there = rig.source_from_target
        torch.testing.assert_close(invert(there) @ there, torch.eye(4, dtype=F64)[None])


def test_poses_compose_by_cancelling():
    c_from_b, b_from_a = RIGS["posed"].source_from_target, RIGS["turned"].source_from_target
    x = torch.randn(1, 2, 3, 3, dtype=F64)

    def move(b_from_a, points):
        return rotate(b_from_a, points) + b_from_a[:, None, None, :3, 3]

    torch.testing.assert_close(move(c_from_b @ b_from_a, x), move(c_from_b, move(b_from_a, x)))


def test_mirror_conjugates_with_the_flip():
    pose, flip = RIGS["posed"].source_from_target, torch.diag(torch.tensor([-1.0, 1.0, 1.0, 1.0], dtype=F64))
    torch.testing.assert_close(mirror(pose), flip @ pose @ flip)


def test_translation_only_moves():
    pose = translation(torch.tensor([[1.0, 2.0, 3.0]], dtype=F64))
    torch.testing.assert_close(
        pose @ torch.tensor([0.0, 0.0, 0.0, 1.0], dtype=F64), torch.tensor([[1.0, 2.0, 3.0, 1.0]], dtype=F64)
    )


def test_monodepth2_pose(golden):
    """Golden `md2_pose`: M = Trans(t) Rot(axisangle), inverted Rot^T Trans(-t); the last item does not turn."""
    arrays = golden("md2_pose")
    pose = rigid(axis_angle(arrays["axisangle"][:, 0]), arrays["translation"][:, 0])
    torch.testing.assert_close(pose, arrays["M"], rtol=0, atol=1e-6)
    torch.testing.assert_close(
        invert(rigid(axis_angle(arrays["axisangle"][:, 0]), arrays["translation"][:, 0])),
        arrays["M_inv"],
        rtol=0,
        atol=1e-6,
    )
