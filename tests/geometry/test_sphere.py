"""First-order displacement and attention against the exact equation, analytic worlds and the paper's release."""

import math

import pytest
import torch

from analytic import F64, RIGS, SPHERE, photograph, pose, psnr
from cyclopean.geometry import around, attention, pixel_grid, reproject, reproject_first_order, translation
from cyclopean.geometry.spherical import displacement
from cyclopean.synthesis import pull

STILL = (0.0, 0.0, 0.0)
SIZE = (32, 64)
PIXELS = torch.tensor([64.0, 32.0], dtype=F64)


def between(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Distance of two uv fields in pixels, the short way round the seam."""
    apart = a - b
    apart[..., 0] = torch.remainder(apart[..., 0] + 0.5, 1) - 0.5
    return (apart * PIXELS).norm(dim=-1)


@pytest.mark.parametrize("position", [(0.26, 0, 0), (0, -0.26, 0), (0, 0, 0.26), (-0.1, 0.2, 0.15)])
def test_first_order_is_the_derivative_along_any_axis(position):
    """Eq. 2 is right where it matters: the error falls with the square of inverse depth."""
    there, errors = pose(STILL, position), []
    for depth in (40.0, 80.0):
        rho = torch.full((1, 1, *SIZE), 1 / depth, dtype=F64)
        exact, first = (f(rho, SPHERE, there, SPHERE).uv for f in (reproject, reproject_first_order))
        errors.append(between(exact, first)[:, 2:-2].max())
    assert 3.5 < errors[0] / errors[1] < 4.5
    assert errors[0] < 0.02


def test_a_turned_camera_first_turns():
    far = torch.zeros(1, 1, *SIZE, dtype=F64)
    there = pose((0.1, 0.3, -0.2), (0.2, 0.1, 0.3))
    landings = [f(far, SPHERE, there, SPHERE).uv for f in (reproject, reproject_first_order)]
    torch.testing.assert_close(*landings)


def test_the_displacement_is_added():
    """Trap 1: Eq. 3 subtracts. With b = X_tgt - X_src it is added; subtracted, it misses by over a pixel on average."""
    rho, there = torch.full((1, 1, *SIZE), 0.5, dtype=F64), RIGS["up"].source_from_target
    here = pixel_grid(SIZE, rho)
    exact, first = (f(rho, SPHERE, there, SPHERE).uv for f in (reproject, reproject_first_order))
    assert between(exact, first).mean() < 0.12
    assert between(exact, 2 * here - first).mean() > 1


@pytest.mark.parametrize(("name", "close", "missed"), [("up", 0.02, 0.35), ("right", 0.07, 1.0)])
def test_near_things_are_missed(name, close, missed):
    """What docs/geometry.md says of a baseline of 0.26 m: mean error in pixels of 64 x 32 at 4 m and at 1 m."""
    for depth, low, high in ((4.0, 0.0, close), (1.0, missed / 2, missed)):
        rho = torch.full((1, 1, *SIZE), 1 / depth, dtype=F64)
        exact, first = (
            f(rho, SPHERE, RIGS[name].source_from_target, SPHERE).uv for f in (reproject, reproject_first_order)
        )
        assert low <= between(exact, first)[:, 2:-2].mean() < high


@pytest.mark.parametrize(("name", "least"), [("up", 47), ("right", 33)])
def test_first_order_rebuilds_a_far_world(name, least):
    """The sphere of radius 4 m seen from 0.26 m aside: worse than exact landing (67 dB and more), better than none."""
    pair = photograph(RIGS[name])
    there = reproject_first_order(pair.rho_target, SPHERE, pair.rig.source_from_target, SPHERE)
    measured = psnr(pull(pair.source, there.uv, "sphere"), pair.target, there.valid)
    assert psnr(pair.source, pair.target, there.valid) < 30
    assert least < measured < 65


@pytest.mark.parametrize("rig", ["up", "right"])
def test_displacements_of_the_release(golden, rig):
    """Golden `sph_displacement`, at its pixels, whose indices are coordinates; its row 0 is a pole, clamped. Trap 2: it
    cuts negative latitudinal displacements of a horizontal rig off at 0, half of them all; compared is what it had
    before.
    """
    arrays, rays = golden("sph_displacement"), corners(16, 32)[:, 1:]
    names = {"up": (None, "dtheta_vertical_px"), "right": ("dphi_horizontal_px", "dtheta_horizontal_px_unclamped")}[rig]
    t = float(arrays["baseline"]) * torch.tensor({"up": (0.0, 1.0, 0.0), "right": (-1.0, 0.0, 0.0)}[rig], dtype=F64)
    ours = displacement(rays.expand(2, -1, -1, -1), t / arrays["depth"][:, 0, 1:, :, None])
    expected = [
        arrays[name][:, 0, 1:] / n if name else 0 * ours[..., 0] for name, n in zip(names, (32, 16), strict=True)
    ]
    torch.testing.assert_close(ours, torch.stack(expected, -1), rtol=1e-4, atol=1e-6)
    cut = arrays["dtheta_horizontal_px_as_released"]
    assert (cut >= 0).all()
    assert 0.4 < (cut[:, :, 1:] == 0).double().mean() < 0.55


def test_at_the_poles_displacements_stay_finite():
    """Trap 9: sideways they grow without bound; half the image is the most."""
    near = torch.full((1, 1, 512, 1024), 5.0)
    for direction in ((-0.26, 0.0, 0.0), (0.0, 0.26, 0.0), (0.0, 0.0, 0.26)):
        uv = reproject_first_order(near, SPHERE, translation(torch.tensor([direction])), SPHERE).uv
        moved = (uv - pixel_grid((512, 1024), near)).abs()
        assert uv.isfinite().all()
        assert moved[..., 0].max() <= 0.5 + 1e-6
        assert moved[..., 1].max() <= 1 + 1e-6


# --- attention ---


def corners(h: int, w: int) -> torch.Tensor:
    """Rays of pixels whose indices are taken as coordinates, as the release does: row 0 is the pole."""
    like = torch.zeros(1, dtype=F64)
    return SPHERE.rays(pixel_grid((h, w), like) - torch.tensor([0.5 / w, 0.5 / h], dtype=F64))


def test_attention_of_the_release(golden):
    """Golden `sph_attention`: theta_confidence is the vertical map; the horizontal one is the product that the release
    has commented out (`spherical_confidence`), not the `phi_confidence` that it uses (trap 3).
    """
    arrays, rays = golden("sph_attention"), corners(16, 32)
    up, right = torch.tensor([[0.0, 2.0, 0.0]], dtype=F64), torch.tensor([[-0.26, 0.0, 0.0]], dtype=F64)
    torch.testing.assert_close(attention(rays, up), arrays["theta_confidence"], rtol=0, atol=1e-6)
    torch.testing.assert_close(attention(rays, right), arrays["spherical_confidence"], rtol=0, atol=1e-6)
    product = arrays["theta_confidence"] * arrays["phi_confidence"]
    torch.testing.assert_close(attention(rays, right), product, rtol=0, atol=1e-6)


@pytest.mark.parametrize("axis", [0, 2])
def test_attention_vanishes_at_epipoles_and_poles(axis):
    """Trap 3: with sin(phi), as Eq. 5 is printed, the epipoles of an x baseline (phi = +-pi/2) would weigh most."""
    baseline = torch.eye(3, dtype=F64)[None, axis]
    up, across = torch.tensor([0.0, -1, 0], dtype=F64), torch.eye(3, dtype=F64)[2 - axis]
    rays = torch.stack([baseline[0], -baseline[0], up, across])[None, None]
    torch.testing.assert_close(attention(rays, baseline)[0, 0, 0], torch.tensor([0.0, 0, 0, 1], dtype=F64))


def test_attention_turns_with_the_rig():
    """A rig turned by a quarter has the map turned by a quarter; between vertical and horizontal it is between."""
    rays = SPHERE.rays(pixel_grid((16, 32), torch.zeros(1, dtype=F64)))
    maps = [
        attention(rays, torch.tensor([direction], dtype=F64))
        for direction in ((1.0, 0, 0), (0, 0, 1.0), (0, 1.0, 0), (0.6, 0.8, 0))
    ]
    torch.testing.assert_close(maps[0].roll(8, -1), maps[1])
    assert (maps[3] >= maps[0] - 1e-12).all()
    assert (maps[3] <= maps[2] + 1e-12).all()


# --- borders ---


@pytest.mark.parametrize("margin", [1, 2, 3])
def test_around_is_what_pull_sees_beyond_the_border(margin):
    image = torch.rand(1, 2, 8, 16, dtype=F64)
    h, w = 8 + 2 * margin, 16 + 2 * margin
    uv = pixel_grid((h, w), image) * torch.tensor([w / 16, h / 8], dtype=F64)
    uv = uv - torch.tensor([margin / 16, margin / 8], dtype=F64)
    torch.testing.assert_close(around(image, margin), pull(image, uv, "sphere"))


def test_the_papers_angles():
    """phi = longitude + pi, theta = pi/2 - latitude: row 0 looks up, the left border backwards."""
    x, y, z = corners(16, 32).unbind(-1)
    phi, theta = (torch.arange(n, dtype=F64) * (math.pi / 16) for n in (32, 16))
    theta = theta[:, None]
    expected = torch.stack([-phi.sin() * theta.sin(), -theta.cos().expand(16, 32), -phi.cos() * theta.sin()])
    torch.testing.assert_close(torch.cat([x, y, z]), expected)
