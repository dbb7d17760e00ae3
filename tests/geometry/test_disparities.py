"""Disparities of panoramas in degrees: the way there is the first-order displacement, the way back is exact."""

import pytest
import torch

from cyclopean.geometry import Equirectangular, pixel_grid, reproject_first_order, translation
from cyclopean.geometry.spherical import correspondence_from_degrees, disparity_per_inverse_depth, inverse_depth_from

F64 = torch.float64
SIZE = (16, 32)
CAMERA = Equirectangular()
RAYS = CAMERA.rays(pixel_grid(SIZE, torch.zeros(1, dtype=F64)))
OFFSETS = {"above": (0.0, 0.26, 0.0), "right": (-0.26, 0.0, 0.0), "askew": (0.1, -0.2, 0.15)}


@pytest.fixture(params=OFFSETS)
def offset(request) -> torch.Tensor:
    return torch.tensor([OFFSETS[request.param]], dtype=F64)


def test_pixels_move_as_to_first_order(offset):
    rho = torch.rand(1, 1, *SIZE, dtype=F64)
    match = correspondence_from_degrees(rho * disparity_per_inverse_depth(RAYS, offset))
    expected = reproject_first_order(rho, CAMERA, translation(offset), CAMERA)
    apart = (match.uv - expected.uv)[:, 2:-2]  # at the poles the first order is cut off, here before it is scaled
    apart[..., 0] -= apart[..., 0].round()
    assert float(apart.abs().max()) < 1e-9


def test_inverse_depth_comes_back(offset):
    rho = torch.rand(1, 1, *SIZE, dtype=F64)
    degrees = rho * disparity_per_inverse_depth(RAYS, offset)
    torch.testing.assert_close(inverse_depth_from(degrees, RAYS, offset), rho)
    assert bool((inverse_depth_from(-degrees, RAYS, offset) < 0).all())


def test_what_does_not_point_along_the_baseline_is_no_depth():
    """A motion across the epipolar lines says nothing: nearest in angle is the part along them."""
    offset = torch.tensor([OFFSETS["above"]], dtype=F64)
    degrees = disparity_per_inverse_depth(RAYS, offset)
    across = torch.stack([torch.rand(1, *SIZE, dtype=F64), torch.zeros(1, *SIZE, dtype=F64)], 1)
    torch.testing.assert_close(inverse_depth_from(degrees + across, RAYS, offset), torch.ones(1, 1, *SIZE, dtype=F64))


def test_signs_of_a_rig_beside_change_over_the_picture():
    """What the paper (sec. 3.3) says is hard to regress: left in front, right behind; four signs of the other map."""
    along, down = disparity_per_inverse_depth(RAYS, torch.tensor([OFFSETS["right"]], dtype=F64))[0]
    front, behind = slice(8, 24), [*range(8), *range(24, 32)]
    assert bool((along[:, front] < 0).all())
    assert bool((along[:, behind] > 0).all())
    assert len({float(down[i, j].sign()) for i, j in ((2, 4), (2, 20), (12, 4), (12, 20))}) == 2
