"""Faces of panoramas in three conventions, and tangent images."""

import math

import numpy as np
import py360convert
import pytest
import torch

from cyclopean.errors import InputError
from cyclopean.geometry import (
    BIFUSE,
    CUBE,
    FACES,
    UNIFUSE,
    face_from_sphere,
    pixel_grid,
    tangents,
    uv_on_sphere,
)
from cyclopean.synthesis import blend_faces, faces_from_sphere, pull_nearest, sphere_from_faces

F64 = torch.float64
CONVENTIONS = {"ours": CUBE, "BiFuse": BIFUSE, "UniFuse": UNIFUSE}


def smooth(rays: torch.Tensor) -> torch.Tensor:
    """A colour for every direction, `b 3 h w`: no symmetry maps it onto itself."""
    x, y, z = rays.unbind(-1)
    return torch.stack([x + 0.3 * y, (2 * y + z).sin(), x * z - 0.5 * y], 1)


def test_bifuse_and_depth_anywhere(golden):
    """Golden `da_cube_bifuse`: B D F L R U; the first and the last column of the panorama are both the seam."""
    arrays = golden("da_cube_bifuse")
    panorama, faces = arrays["equi"], arrays["cube_bilinear"]
    torch.testing.assert_close(faces_from_sphere(panorama, BIFUSE, 8), faces, rtol=0, atol=1e-5)
    torch.testing.assert_close(sphere_from_faces(faces, BIFUSE, (16, 32)), arrays["equi_back"], rtol=0, atol=1e-5)
    uv = BIFUSE.uv_on_sphere(8, (16, 32), panorama)
    corners = (uv * torch.tensor([32.0, 16.0]) - 0.5) / torch.tensor([31.0, 15.0])
    torch.testing.assert_close(2 * corners - 1, arrays["grids"], rtol=0, atol=1e-6)


def test_unifuse_and_py360convert(golden):
    """Golden `da_cube_py360`: F R B L U D side by side, faces sampled on their borders, the panorama at centres."""
    arrays = golden("da_cube_py360")
    panorama, distance = (arrays[name].permute(2, 0, 1)[None] for name in ("equi_hwc", "range_in"))
    ours = torch.cat(list(faces_from_sphere(panorama, UNIFUSE, 8)), -1).permute(1, 2, 0)
    torch.testing.assert_close(ours, arrays["cube_hwc"], rtol=0, atol=1e-3)
    cosine = UNIFUSE.cosine(8, panorama).expand(6, -1, -1, -1)
    torch.testing.assert_close(torch.cat(list(cosine), -1)[0, ..., None], arrays["cosmap"], rtol=0, atol=1e-6)
    # z of the nearest pixel, but where two are equally near
    uv = UNIFUSE.uv_on_sphere(8, (16, 32), panorama)
    depth = pull_nearest(distance.expand(6, -1, -1, -1), uv, "sphere") * cosine
    clear = ((torch.stack([arrays["coor_x"], arrays["coor_y"]]) % 1 - 0.5).abs() > 1e-3).all(0)
    assert clear.double().mean() > 0.6
    torch.testing.assert_close(
        torch.cat(list(depth), -1).permute(1, 2, 0)[clear], arrays["zdepth_out"][clear], rtol=1e-4, atol=0
    )


def test_unifuses_faces_are_py360converts_of_today():
    panorama = np.random.default_rng(0).random((16, 32, 3))
    theirs = py360convert.e2c(panorama, 8, cube_format="list")
    ours = faces_from_sphere(torch.from_numpy(panorama).permute(2, 0, 1)[None], UNIFUSE, 8).permute(0, 2, 3, 1)
    for face, (name, expected) in enumerate(zip("FRBLUD", theirs, strict=True)):
        np.testing.assert_allclose(ours[face], expected, rtol=0, atol=0.02, err_msg=name)  # places to 1/32 of a pixel


@pytest.mark.parametrize("name", CONVENTIONS)
def test_back_to_the_panorama_by_six_planes(name):
    """A loop over pixels: the plane that a ray meets first, the point there, two rows and two columns around it."""
    faces, side, (h, w) = CONVENTIONS[name], 6, (8, 16)
    values = np.random.default_rng(0).random((6, side, side))
    axes = faces.face_from_sphere(torch.zeros(1, dtype=F64)).numpy()
    expected = np.zeros((h, w))
    for i in range(h):
        for j in range(w):
            s, t = ((j + 0.5) / w, (i + 0.5) / h) if name != "BiFuse" else (j / (w - 1), i / (h - 1))
            lon, lat = (s - 0.5) * 2 * np.pi, (0.5 - t) * np.pi
            ray = np.array([np.cos(lat) * np.sin(lon), -np.sin(lat), np.cos(lat) * np.cos(lon)])
            far = [1 / (axis[2] @ ray) if axis[2] @ ray > 1e-9 else np.inf for axis in axes]
            face = int(np.argmin(far))
            x, y = (far[face] * (axes[face][k] @ ray) for k in (0, 1))  # in [-1, 1]
            scale = lambda c: (c + 1) / 2 * (side - 1) if name == "UniFuse" else (c + 1) / 2 * side - 0.5  # noqa: E731
            col, row = np.clip([scale(x), scale(y)], 0, side - 1)
            c, r = int(min(col, side - 2)), int(min(row, side - 2))
            a, b = col - c, row - r
            top = (1 - a) * values[face, r, c] + a * values[face, r, c + 1]
            below = (1 - a) * values[face, r + 1, c] + a * values[face, r + 1, c + 1]
            expected[i, j] = (1 - b) * top + b * below
    ours = sphere_from_faces(torch.from_numpy(values)[:, None], faces, (h, w))[0, 0]
    # on an edge of the cube either face is right
    assert (np.abs(ours.numpy() - expected) < 1e-9).mean() > 0.9


@pytest.mark.parametrize("name", CONVENTIONS)
def test_faces_show_their_directions_and_give_them_back(name):
    faces, size, side = CONVENTIONS[name], (64, 128), 32
    like = torch.zeros(1, dtype=F64)
    panorama = smooth(faces.sphere_rays(size, like))
    made = faces_from_sphere(torch.cat([panorama, panorama.flip(1)]), faces, side)
    rays = faces.camera(side, like).rays(pixel_grid((side, side), like))
    rays = rays / rays.norm(dim=-1, keepdim=True)
    directions = torch.einsum("fij,hwi->fhwj", faces.face_from_sphere(like), rays[0])
    torch.testing.assert_close(made[:6], smooth(directions), rtol=0, atol=2e-3)
    torch.testing.assert_close(made[6:], smooth(directions).flip(1), rtol=0, atol=2e-3)
    back = sphere_from_faces(made, faces, size)
    assert (back[0] - panorama[0]).abs().mean() < 2e-3
    assert (back[0] - panorama[0]).abs().max() < (0.01 if name == "UniFuse" else 0.05)  # whose faces reach the edges
    torch.testing.assert_close(faces.cosine(side, like)[0, 0] ** -2, (1 / rays[0, ..., 2]).square())


def test_conventions_differ_by_what_they_say():
    """Never mixed: the same six rotations, in another order; borders that are sampled; columns on the seam."""
    like, size = torch.zeros(1, dtype=F64), (16, 32)
    assert FACES == ("front", "right", "back", "left", "up", "down")
    order = [FACES.index(name) for name in ("back", "down", "front", "left", "right", "up")]
    torch.testing.assert_close(BIFUSE.face_from_sphere(like), face_from_sphere(like)[order])
    torch.testing.assert_close(UNIFUSE.face_from_sphere(like), face_from_sphere(like))
    ours, bifuse, unifuse = (faces.uv_on_sphere(8, size, like) for faces in (CUBE, BIFUSE, UNIFUSE))
    torch.testing.assert_close(ours, uv_on_sphere(8, 90.0, face_from_sphere(like)))
    off = (bifuse - ours[order]).abs() * torch.tensor([32.0, 16.0])
    assert 0.3 < off.max() <= 0.5 + 1e-9  # of a pixel, at the seam and the poles
    assert (unifuse - ours)[0, 4, 0, 0] * 32 == pytest.approx(-0.4, abs=0.2)  # the border, not half a pixel inside
    assert torch.equal(UNIFUSE.uv_on_sphere(8, size, like)[0, 3, 7], UNIFUSE.uv_on_sphere(8, size, like)[1, 3, 0])
    panorama = torch.rand(1, 3, *size, dtype=F64)
    pictures = [faces_from_sphere(panorama, faces, 8) for faces in (CUBE, BIFUSE, UNIFUSE)]
    assert (pictures[0] - pictures[1][[order.index(k) for k in range(6)]]).abs().max() > 0.1
    assert (pictures[0] - pictures[2]).abs().max() > 0.1


def test_the_poles_are_finite():
    """Trap 9: asin of a rotated unit vector that is rounded above 1 is NaN; the middle of odd faces is a pole."""
    for faces in (*CONVENTIONS.values(), tangents(18, 80.0)):
        for side in (3, 7, 31, 255):
            like = torch.zeros(1)
            assert faces.uv_on_sphere(side, (256, 512), like).isfinite().all()
            assert faces.nearest((64, 128), side, like)[1].isfinite().all()


def test_half_precision_is_sampled_at_exact_places():
    panorama = torch.rand(1, 2, 32, 64)
    whole = faces_from_sphere(panorama, CUBE, 16)
    with torch.autocast("cpu", torch.bfloat16):
        half = faces_from_sphere(panorama.bfloat16(), CUBE, 16)
    assert (whole - half).abs().max() < 0.01


def test_tangent_images_cover_the_sphere_and_give_it_back():
    like, size = torch.zeros(1, dtype=F64), (64, 128)
    for count, field_of_view in ((10, 110.0), (18, 80.0), (26, 70.0)):
        faces = tangents(count, field_of_view)
        rotations = faces.face_from_sphere(like)
        torch.testing.assert_close(rotations @ rotations.transpose(1, 2), torch.eye(3, dtype=F64).expand(count, 3, 3))
        torch.testing.assert_close(torch.linalg.det(rotations), torch.ones(count, dtype=F64))
        assert (rotations[:, 0, 1].abs() < 1e-12).all()  # upright: rows are level
        assert (rotations[:, 1, 1] > 0).all()  # and what is down is below
        panorama = smooth(faces.sphere_rays(size, like))
        pictures = faces_from_sphere(panorama, faces, 48)
        assert len(pictures) == count
        for merged in (sphere_from_faces(pictures, faces, size), blend_faces(pictures, faces, size)):
            assert (merged - panorama).abs().max() < 0.01
    steps = tangents(18, 80.0)
    shifts = torch.linspace(0, 0.5, 18, dtype=F64)[:, None, None, None].expand(18, 1, 48, 48)
    hard, soft = sphere_from_faces(shifts, steps, size), blend_faces(shifts, steps, size)
    assert soft.diff(dim=-1).abs().max() < 0.5 * hard.diff(dim=-1).abs().max()  # teachers disagree: blending hides it


def test_holes_are_refused():
    for count, field_of_view in ((18, 50.0), (3, 90.0), (0, 90.0), (18, 180.0)):
        with pytest.raises(InputError, match="tangent images"):
            tangents(count, field_of_view)


def test_a_wall_through_faces_is_flat():
    """z = radius * cosine: the plane 2 m ahead is 2 m deep everywhere on the front face, in every convention."""
    like = torch.zeros(1, dtype=F64)
    for faces in (BIFUSE, UNIFUSE, CUBE):
        rays = faces.sphere_rays((256, 512), like)
        radius = 2 / rays[..., 2].clamp_min(0.2)
        front = [math.isclose(float(r[2, 2]), 1.0) for r in faces.face_from_sphere(like)].index(True)
        depth = faces_from_sphere(radius[:, None], faces, 64)[front] * faces.cosine(64, like)[0]
        torch.testing.assert_close(depth, torch.full_like(depth, 2.0), rtol=1e-3, atol=0)
