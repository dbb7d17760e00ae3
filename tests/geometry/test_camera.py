"""Cameras: rays and projection undo each other, axes are as docs/geometry.md says; fixtures of the spherical paper."""

import math

import pytest
import torch

from analytic import F64, LONG, RIGS, SPHERE, WIDE
from cyclopean.geometry import Equirectangular, Pinhole, pixel_grid

CAMERAS = {"pinhole": WIDE, "off-centre pinhole": LONG, "equirectangular": SPHERE}
ZERO = torch.zeros((), dtype=F64)


def field(*value: float) -> torch.Tensor:
    return torch.tensor(value, dtype=F64).view(1, 1, 1, -1)


@pytest.mark.parametrize("name", CAMERAS)
def test_project_undoes_rays(name):
    camera, uv = CAMERAS[name], pixel_grid((13, 26), ZERO)
    scale = torch.rand(1, 13, 26, 1, dtype=F64) * 9 + 0.1
    torch.testing.assert_close(camera.project(camera.rays(uv) * scale), uv, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", CAMERAS)
def test_depth_is_what_multiplies_rays(name):
    camera, uv = CAMERAS[name], pixel_grid((13, 26), ZERO)
    depth = torch.rand(1, 1, 13, 26, dtype=F64) * 9 + 0.1
    torch.testing.assert_close(camera.depth(camera.rays(uv) * depth[:, 0, ..., None]), depth)


@pytest.mark.parametrize("name", CAMERAS)
def test_shell_lies_on_the_ray_and_on_the_surface(name):
    """A shell's point is offset + s * ray with s > 0, its depth 1/rho (points come scaled, so rescale first)."""
    camera = CAMERAS[name]
    rays = camera.rays(pixel_grid((8, 16), ZERO))
    offset = field(0.2, -0.1, 0.3).expand_as(rays)
    rho = torch.rand(1, 8, 16, 1, dtype=F64) * 0.9 + 0.1
    points, meets = camera.shell(rays, offset, rho)
    assert meets.all()
    metric = points / camera.depth(points).movedim(1, -1) / rho
    along = ((metric - offset) * rays).sum(-1, keepdim=True) / rays.square().sum(-1, keepdim=True)
    assert (along > 0).all()
    torch.testing.assert_close(offset + along * rays, metric)


@pytest.mark.parametrize("name", CAMERAS)
def test_shell_at_infinity_is_the_ray(name):
    camera = CAMERAS[name]
    uv = pixel_grid((8, 16), ZERO)
    rays = camera.rays(uv)
    points, meets = camera.shell(rays, field(0.2, -0.1, 0.3).expand_as(rays), torch.zeros(1, 8, 16, 1, dtype=F64))
    assert meets.all()
    torch.testing.assert_close(camera.project(points), uv)


def test_shell_is_missed_behind_a_plane_and_outside_a_sphere():
    rays = field(0.1, 0.0, 1.0)
    assert not WIDE.shell(rays, field(0.0, 0.0, 3.0), torch.full((1, 1, 1, 1), 0.5, dtype=F64))[
        1
    ]  # plane z = 2, we are at 3
    assert WIDE.shell(-rays, field(0.0, 0.0, 3.0), torch.full((1, 1, 1, 1), 0.5, dtype=F64))[1]  # looking back at it
    assert not SPHERE.shell(rays, field(0.0, 0.0, 3.0), torch.full((1, 1, 1, 1), 0.5, dtype=F64))[1]


def test_pinhole_axes():
    """x right, y down, z forward: the ray through the right edge points right, through the bottom edge down."""
    camera = Pinhole(torch.tensor([[1.0, 2.0]], dtype=F64), torch.tensor([[0.5, 0.5]], dtype=F64))
    torch.testing.assert_close(camera.rays(field(1.0, 1.0)), field(0.5, 0.25, 1.0))


@pytest.mark.parametrize(
    ("uv", "ray"),
    [
        ((0.5, 0.5), (0.0, 0.0, 1.0)),  # the centre looks straight ahead
        ((0.75, 0.5), (1.0, 0.0, 0.0)),  # u grows to the right
        ((0.25, 0.5), (-1.0, 0.0, 0.0)),
        ((0.0, 0.5), (0.0, 0.0, -1.0)),  # the seam is behind
        ((0.5, 0.0), (0.0, -1.0, 0.0)),  # the top looks up, y points down
        ((0.5, 1.0), (0.0, 1.0, 0.0)),
    ],
)
def test_panorama_axes(uv, ray):
    torch.testing.assert_close(SPHERE.rays(field(*uv)), field(*ray))


@pytest.mark.parametrize("pole", [(0.0, -2.0, 0.0), (0.0, 2.0, 0.0)])
def test_panorama_poles_are_finite_with_their_gradient(pole):
    point = field(*pole).requires_grad_()
    uv = SPHERE.project(point)
    uv.sum().backward()
    assert uv[..., 1].item() == (0.0 if pole[1] < 0 else 1.0)
    assert point.grad.isfinite().all()


def test_single_precision_never_leaves_the_panorama():
    points = torch.randn(1, 300, 300, 3)
    points[:, :20, :, 0] *= 1e-6  # the seam
    points[:, 20:40, :, ::2] *= 1e-6  # the poles
    uv = SPHERE.project(points)
    assert (uv >= 0).all()
    assert (uv <= 1).all()


@pytest.mark.parametrize("name", CAMERAS)
def test_mirrored_camera_sees_the_mirrored_ray(name):
    camera, uv = CAMERAS[name], pixel_grid((6, 10), ZERO)
    flipped = torch.stack([1 - uv[..., 0], uv[..., 1]], -1)
    torch.testing.assert_close(camera.mirrored().rays(flipped), camera.rays(uv) * field(-1.0, 1.0, 1.0))


def test_cropped_camera_sees_the_same_rays():
    camera, uv = LONG, pixel_grid((8, 16), ZERO)
    part = camera.cropped(torch.tensor([[0.25, 0.5, 0.75, 1.0]], dtype=F64))
    torch.testing.assert_close(part.rays(pixel_grid((4, 8), ZERO)), camera.rays(uv)[:, 4:, 4:12])


@pytest.mark.parametrize("name", RIGS)
def test_resizing_changes_no_camera(name):
    """Pixel centres of a picture are pixel centres of the same picture three times as large: rays must agree there."""
    camera = RIGS[name].target
    small, large = pixel_grid((6, 10), ZERO), pixel_grid((18, 30), ZERO)
    torch.testing.assert_close(camera.rays(large)[:, 1::3, 1::3], camera.rays(small))


def test_pixel_grid_spans_corner_to_corner():
    grid = pixel_grid((2, 4), ZERO)
    torch.testing.assert_close(grid[0, 0, :, 0], torch.tensor([0.125, 0.375, 0.625, 0.875], dtype=F64))
    torch.testing.assert_close(grid[0, :, 0, 1], torch.tensor([0.25, 0.75], dtype=F64))


def test_spherical_papers_points(golden):
    """Golden `sph_cartesian`. Released pixels stand at integers (row 0 *is* the pole): uv = (j/W, i/H), half a pixel up
    and left of ours. Its centre column looks along -z with image-right along -x: our frame turned half about y.
    """
    arrays = golden("sph_cartesian")
    uv = released_uv(arrays["depth"])
    points = SPHERE.rays(uv).movedim(-1, 1) * arrays["depth"]
    turned = points * torch.tensor([-1.0, 1.0, -1.0], dtype=F64)[:, None, None]
    torch.testing.assert_close(turned, arrays["xyz"], rtol=0, atol=1e-5)


def test_spherical_papers_angles(golden):
    """Golden `sph_grid`: phi' = longitude - pi/2 and theta' = -latitude at the released corners of our pixels."""
    longitude_, latitude_ = golden("sph_grid")["sgrid"].unbind(1)
    x, y, z = Equirectangular().rays(released_uv(longitude_[:, None])).unbind(-1)
    torch.testing.assert_close(latitude_, torch.asin(y), rtol=0, atol=1e-5)
    away_from_pole = latitude_.abs() < math.pi / 2 - 0.1
    expected = torch.atan2(x, z) - math.pi / 2
    difference = torch.remainder(longitude_ - expected + math.pi, 2 * math.pi) - math.pi
    assert difference[away_from_pole].abs().max() < 1e-5


def test_points_of_a_panorama_whose_pixels_have_centres(golden):
    """Golden `da_equirec_xyz`: Depth Anywhere's points have our axes, and half-pixel centres as ours."""
    arrays = golden("da_equirec_xyz")
    points = Equirectangular().rays(pixel_grid((16, 32), arrays["range"])).movedim(-1, 1) * arrays["range"]
    torch.testing.assert_close(points, arrays["xyz"], rtol=0, atol=1e-5)


def released_uv(like: torch.Tensor) -> torch.Tensor:
    """uv of pixels whose indices are taken as coordinates without a half: one half pixel less than `pixel_grid`."""
    h, w = like.shape[-2:]
    return pixel_grid((h, w), like) - torch.tensor([0.5 / w, 0.5 / h], dtype=F64)
