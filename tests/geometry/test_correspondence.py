"""Where pixels land, on every rig; with the fixtures of Monodepth2 and of the spherical paper."""

import math
from collections.abc import Callable

import pytest
import torch

from analytic import F64, LONG, RIGS, SPHERE, STILL, WIDE, photograph, pose
from cyclopean.geometry import Pinhole, axis_angle, mirror, pixel_grid, reproject, reproject_shell, rigid, rotate
from cyclopean.synthesis import pull

every_rig = pytest.mark.parametrize("name", RIGS)
PANORAMAS = [name for name, rig in RIGS.items() if rig.target is SPHERE]


def noisy(size: tuple[int, int], low: float, high: float) -> torch.Tensor:
    return torch.rand(1, 1, *size, dtype=F64) * (high - low) + low


def per_pixel_slope(land: Callable[[torch.Tensor], torch.Tensor], rho: torch.Tensor) -> torch.Tensor:
    """d uv / d rho, `b h w 2`: each pixel's uv hangs on its own rho only, so the gradient of the sum is it."""
    rho = rho.clone().requires_grad_()
    slopes = [torch.autograd.grad(land(rho)[..., i].sum(), rho)[0][:, 0] for i in (0, 1)]
    return torch.stack(slopes, -1)


@every_rig
def test_staying_lands_where_it_was(name):
    rig, here = RIGS[name], torch.eye(4, dtype=F64)[None]
    rho = noisy((6, 10), 0, 3)
    for land in (reproject, reproject_shell):
        place = land(rho * 0.3, rig.target, here, rig.target)
        torch.testing.assert_close(place.uv, pixel_grid((6, 10), rho))
        assert place.valid.all()


@every_rig
def test_there_and_back(name):
    """A point seen in the target at rho, with its rho in the source, lands back where it came from."""
    rig = RIGS[name]
    rho = noisy((6, 10), 0.1, 0.5)
    there = reproject(rho, rig.target, rig.source_from_target, rig.source)
    points = rotate(rig.source_from_target, rig.target.rays(pixel_grid((6, 10), rho))) / rho.movedim(1, -1)
    points = points + rig.source_from_target[:, None, None, :3, 3]
    again = rig.source.rays(there.uv) * rig.source.depth(points).movedim(1, -1)
    torch.testing.assert_close(again, points)


@every_rig
def test_infinity_is_a_pure_rotation(name):
    rig = RIGS[name]
    far = torch.zeros(1, 1, 6, 10, dtype=F64)
    turned_only = rig.source_from_target.clone()
    turned_only[:, :3, 3] = 0
    expected = reproject(torch.ones_like(far), rig.target, turned_only, rig.source)
    for land in (reproject, reproject_shell):
        place = land(far, rig.target, rig.source_from_target, rig.source)
        assert place.uv.isfinite().all()
        torch.testing.assert_close(place.uv, expected.uv)


@every_rig
def test_both_ways_to_land_agree(name):
    """The shell through the point a pixel sees (its inverse depth *in the other view*) is met at that point."""
    rig = RIGS[name]
    rho = noisy(rig.size, 0.05, 0.5)
    there = reproject(rho, rig.target, rig.source_from_target, rig.source)
    points = rotate(rig.source_from_target, rig.target.rays(pixel_grid(rig.size, rho))) / rho.movedim(1, -1)
    level = 1 / rig.source.depth(points + rig.source_from_target[:, None, None, :3, 3])
    shell = reproject_shell(level, rig.target, rig.source_from_target, rig.source)
    assert there.valid.double().mean() > 0.3
    torch.testing.assert_close(shell.uv, there.uv)
    assert torch.equal(shell.valid, there.valid)


@every_rig
def test_true_shell_of_a_rendered_world(name):
    """The source's own inverse depth, read where target pixels land, is the level that lands there."""
    pair = photograph(RIGS[name])
    rig = pair.rig
    there = reproject(pair.rho_target, rig.target, rig.source_from_target, rig.source)
    level = pull(pair.rho_source, there.uv, rig.source.border)
    shell = reproject_shell(level, rig.target, rig.source_from_target, rig.source)
    apart = (shell.uv - there.uv).abs() * torch.tensor(rig.size[::-1], dtype=F64)  # pixels
    apart[..., 0] = torch.minimum(apart[..., 0], rig.size[1] - apart[..., 0])  # over the seam
    inner = (there.valid & shell.valid)[:, 0]
    inner &= ((there.uv > 0.03) & (there.uv < 0.97)).all(-1)  # past half a pixel from the edge `pull` extrapolates
    assert inner.double().mean() > 0.5
    assert apart[inner].max() < 0.05


@every_rig
def test_gradcheck(name):
    rig = RIGS[name]
    rho = noisy((4, 6), 0.1, 0.3).requires_grad_()
    motion = rig.source_from_target.clone().requires_grad_()
    for land in (reproject, reproject_shell):
        assert torch.autograd.gradcheck(lambda r, m, land=land: land(r, rig.target, m, rig.source).uv, (rho, motion))


@every_rig
def test_mirror_commutes(name):
    rig, rho = RIGS[name], noisy((6, 10), 0.05, 0.4)
    flipped = mirror(rig.source_from_target)
    for land in (reproject, reproject_shell):
        place = land(rho, rig.target, rig.source_from_target, rig.source)
        other = land(rho.flip(-1), rig.target.mirrored(), flipped, rig.source.mirrored())
        expected = torch.stack([1 - place.uv[..., 0], place.uv[..., 1]], -1).flip(2)
        torch.testing.assert_close(other.uv, expected)
        assert torch.equal(other.valid, place.valid.flip(-1))


@pytest.mark.parametrize("name", [name for name, rig in RIGS.items() if isinstance(rig.target, Pinhole)])
def test_crop_commutes(name):
    """Cropping the walked view keeps the places of what is left; cropping the other view rescales them."""
    rig, rho = RIGS[name], noisy((8, 16), 0.05, 0.4)
    window = torch.tensor([[0.25, 0.5, 0.75, 1.0]], dtype=F64)
    for land in (reproject, reproject_shell):
        whole = land(rho, rig.target, rig.source_from_target, rig.source)
        walked = land(rho[..., 4:, 4:12], rig.target.cropped(window), rig.source_from_target, rig.source)
        torch.testing.assert_close(walked.uv, whole.uv[:, 4:, 4:12])
        other = land(rho, rig.target, rig.source_from_target, rig.source.cropped(window))
        torch.testing.assert_close(other.uv, (whole.uv - window[:, None, None, :2]) / 0.5)


@every_rig
def test_resizing_changes_no_landing(name):
    rig, level = RIGS[name], 0.2
    for land in (reproject, reproject_shell):
        small = land(torch.full((1, 1, 6, 10), level, dtype=F64), rig.target, rig.source_from_target, rig.source)
        large = land(torch.full((1, 1, 18, 30), level, dtype=F64), rig.target, rig.source_from_target, rig.source)
        torch.testing.assert_close(large.uv[:, 1::3, 1::3], small.uv)


@pytest.mark.parametrize("land", [reproject, reproject_shell])
@pytest.mark.parametrize(
    "motion",
    [
        pose((0, math.pi, 0), (0, 0, 0)),  # looking the other way
        pose((0, math.pi / 2, 0), (0, 0, 0)),  # at a right angle: the axis lies in the image plane
        pose(STILL, (0, 0, 10.0)),  # walked through everything
        pose(STILL, (0, 0, 1.0)),  # rho = 1 lies in the plane of the eye: z = 0 exactly
    ],
    ids=["back", "side", "past", "through the plane of the eye"],
)
def test_behind_a_pinhole(land, motion):
    """Behind the camera, or at its height: not valid, finite, and so are the gradients, which are zero there."""
    rho = torch.linspace(0, 2, 49, dtype=F64).view(1, 1, 7, 7).requires_grad_()
    place = land(rho, WIDE, motion, LONG)
    place.uv.sum().backward()
    assert place.uv.isfinite().all()
    assert not place.valid.all()
    assert rho.grad.isfinite().all()


def test_a_point_behind_is_not_valid_though_its_projection_is_inside():
    behind = reproject(torch.full((1, 1, 6, 8), 0.2, dtype=F64), WIDE, pose(STILL, (0, 0, 9.0)), WIDE)
    assert not behind.valid.any()


@pytest.mark.parametrize("land", [reproject, reproject_shell])
def test_at_the_centre_of_a_panorama(land):
    """The other camera stands exactly in the point seen: no direction, hence not valid, finite with its gradient."""
    grid = pixel_grid((5, 9), torch.zeros((), dtype=F64))
    there = SPHERE.rays(grid)[0, 2, 4]  # straight ahead
    rho = torch.ones(1, 1, 5, 9, dtype=F64, requires_grad=True)
    place = land(rho, SPHERE, rigid(torch.eye(3, dtype=F64)[None], -there[None]), SPHERE)
    place.uv.sum().backward()
    assert not place.valid[0, 0, 2, 4]
    assert place.uv.isfinite().all()
    assert rho.grad.isfinite().all()


@pytest.mark.parametrize("name", PANORAMAS)
def test_a_panorama_sees_everything(name):
    rig = RIGS[name]
    for dtype in (torch.float32, F64):
        rho, motion = noisy((32, 64), 0, 1).to(dtype), rig.source_from_target.to(dtype)
        assert reproject(rho, rig.target, motion, rig.source).valid.all()


def test_rectified_shift_is_the_disparity():
    """A source on the right: t = (-b, 0, 0), pixels shift left by focal * b * rho, rows stay."""
    rho = noisy((6, 10), 0, 1)
    shift = reproject(rho, LONG, pose(STILL, (0.5, 0, 0)), LONG).uv - pixel_grid((6, 10), rho)
    torch.testing.assert_close(shift[..., 0], -0.9 * 0.5 * rho[:, 0])
    torch.testing.assert_close(shift[..., 1], torch.zeros_like(rho[:, 0]))


def test_uncalibrated_stereo_needs_no_second_path():
    """focal 1 and baseline 1: inverse depth is the disparity as a fraction of the width, by both reprojections."""
    camera = Pinhole(torch.ones(1, 2, dtype=F64), torch.full((1, 2), 0.5, dtype=F64))
    disparity = noisy((6, 10), 0, 0.3)
    for land in (reproject, reproject_shell):
        shift = land(disparity, camera, pose(STILL, (1, 0, 0)), camera).uv - pixel_grid((6, 10), disparity)
        torch.testing.assert_close(shift[..., 0], -disparity[:, 0])


def test_a_source_above_shifts_down():
    shift = reproject(torch.full((1, 1, 6, 10), 0.2, dtype=F64), WIDE, pose(STILL, (0, -1, 0)), WIDE).uv
    assert (shift[..., 1] > pixel_grid((6, 10), shift)[..., 1]).all()


@pytest.mark.parametrize("axis", ["x", "y"])
def test_spherical_papers_equation_is_the_derivative_at_infinity(axis):
    """d uv / d rho at rho = 0 for t along an axis, in closed form from the angles (Zioulis et al., Eq. 2)."""
    grid = pixel_grid((16, 32), torch.zeros((), dtype=F64))
    longitude, latitude = (grid[..., 0] - 0.5) * 2 * math.pi, (0.5 - grid[..., 1]) * math.pi
    zero = torch.zeros_like(longitude)
    to_right, up = {
        "x": (longitude.cos() / latitude.cos(), -longitude.sin() * latitude.sin()),
        "y": (zero, -latitude.cos()),
    }[axis]
    there = torch.eye(4, dtype=F64)[None].clone()
    there[0, "xyz".index(axis), 3] = 1
    far = torch.zeros(1, 1, 16, 32, dtype=F64)
    slope = per_pixel_slope(lambda rho: reproject(rho, SPHERE, there, SPHERE).uv, far)
    torch.testing.assert_close(slope, torch.stack([to_right / (2 * math.pi), -up / math.pi], -1))


def test_spherical_papers_displacements(golden):
    """Golden `sph_displacement`, pixels for two baselines: rho times the derivative at infinity, at the released pixel
    positions (no half pixel). "Right" moves every point by -x, "up" by +y. The release clamps negative vertical
    displacements to 0 (its defect: the unclamped array is the reference) and its row 0 is a clamped pole.
    """
    arrays = golden("sph_displacement")
    depth, baseline = arrays["depth"], float(arrays["baseline"])
    h, w = depth.shape[-2:]
    uv = (pixel_grid((h, w), depth) - torch.tensor([0.5 / w, 0.5 / h], dtype=F64))[:, 1:]
    rays = SPHERE.rays(uv)

    def pixels(offset: tuple[float, float, float]) -> torch.Tensor:
        t = torch.tensor(offset, dtype=F64).expand_as(rays)
        far = torch.zeros_like(rays[None, ..., 0])
        slope = per_pixel_slope(lambda rho: SPHERE.project(rays + rho.movedim(1, -1) * t), far)
        return slope / depth[:, 0, 1:, :, None] * torch.tensor([w, h], dtype=F64)

    right, up = pixels((-baseline, 0.0, 0.0)), pixels((0.0, baseline, 0.0))
    released = {
        k: arrays[k][:, 0, 1:] for k in ("dphi_horizontal_px", "dtheta_horizontal_px_unclamped", "dtheta_vertical_px")
    }
    torch.testing.assert_close(right[..., 0], released["dphi_horizontal_px"], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(right[..., 1], released["dtheta_horizontal_px_unclamped"], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(up[..., 1], released["dtheta_vertical_px"], rtol=1e-4, atol=1e-5)
    assert up[..., 0].abs().max() < 1e-12


def test_the_first_order_overshoots_near_things():
    """Why we land exactly: at 1 m and a baseline of 0.26 m first order is off by pixels of a 512 x 256 panorama."""
    near = torch.ones(1, 1, 256, 512, dtype=F64)
    there = RIGS["right"].source_from_target
    step = reproject(near, SPHERE, there, SPHERE).uv - pixel_grid((256, 512), near)
    slope = per_pixel_slope(lambda rho: reproject(rho, SPHERE, there, SPHERE).uv, near * 0)
    apart = step - slope
    apart[..., 0] = torch.remainder(apart[..., 0] + 0.5, 1) - 0.5  # over the seam
    off = (apart * torch.tensor([512.0, 256.0], dtype=F64))[0, 128].norm(dim=-1)
    assert 1 < off.max() < 10


def test_monodepth2_projection(golden):
    """Golden `md2_project`. Its K puts the first pixel's centre at (0, 0), so half a pixel is added when reading it.
    Its coordinates are normalised by W - 1, for align_corners=True: in our uv the same positions read (x + 1/2) / W, so
    colours agree. With align_corners=False (torch's later default) they mean uv = x / (W - 1), a stretched
    picture: that array is matched by saying so, and its positions differ from the first by up to half a pixel.
    """
    arrays = golden("md2_project")
    depth, K = arrays["depth"], arrays["K"]
    h, w = depth.shape[-2:]
    size = torch.tensor([w, h], dtype=F64)
    camera = Pinhole(K[:, [0, 1], [0, 1]] / size, (K[:, :2, 2] + 0.5) / size)
    source_from_target = rigid(axis_angle(arrays["axisangle"][:, 0]), arrays["translation"][:, 0])
    torch.testing.assert_close(source_from_target, arrays["T"], rtol=0, atol=1e-6)
    points = camera.rays(pixel_grid((h, w), depth).expand(2, -1, -1, -1)) * depth[:, 0, ..., None]
    torch.testing.assert_close(points.flatten(1, 2).mT, arrays["cam_points"][:, :3], rtol=0, atol=1e-5)

    uv = reproject(1 / depth, camera, source_from_target, camera).uv
    released_x = (arrays["pix_coords"] + 1) / 2 * (size - 1)
    torch.testing.assert_close(uv * size - 0.5, released_x, rtol=0, atol=1e-4)
    colours = pull(arrays["img"], uv, "edge")
    torch.testing.assert_close(colours, arrays["warped_border_align_true"], rtol=0, atol=1e-4)
    stretched = pull(arrays["img"], released_x / (size - 1), "edge")
    torch.testing.assert_close(stretched, arrays["warped_border_align_false"], rtol=0, atol=1e-4)
    half_pixel = (released_x / (size - 1) - uv) * size
    assert 0.2 < half_pixel[((released_x >= 0) & (released_x <= size - 1)).all(-1)].abs().max() <= 0.5 + 1e-4


def test_poses_of_a_batch_are_its_own():
    """Item i of a batch uses pose i and camera i."""
    names = ("rectified", "posed")
    camera = Pinhole(torch.cat([WIDE.focal, LONG.focal]), torch.cat([WIDE.center, LONG.center]))
    motion = torch.cat([RIGS[n].source_from_target for n in names])
    rho = torch.cat([noisy((6, 10), 0.1, 0.3) for _ in names])
    for land in (reproject, reproject_shell):
        together = land(rho, camera, motion, camera).uv
        alone = [land(rho[i : i + 1], (WIDE, LONG)[i], motion[i : i + 1], (WIDE, LONG)[i]).uv for i in range(2)]
        torch.testing.assert_close(together, torch.cat(alone))
