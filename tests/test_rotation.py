"""Rotating panoramas about any axis: pictures, masks, truth and poses turn together, and the faces of a cube with
them."""

import math

import pytest
import torch
import torch.nn.functional as F

from cyclopean.augmentation import roll_sample, rotate_sample
from cyclopean.errors import InputError
from cyclopean.geometry import (
    CUBE,
    FACES,
    Equirectangular,
    Pinhole,
    axis_angle,
    euler,
    face_from_sphere,
    pixel_grid,
    reproject,
    translation,
    uv_on_sphere,
    uv_rotated,
)
from cyclopean.sample import Sample, view
from cyclopean.synthesis import pull

F64 = torch.float64
SPHERE = Equirectangular()
ANGLES = torch.tensor([[20.0, -35.0, 10.0], [-44.0, 5.0, 31.0], [0.0, 0.0, 45.0]], dtype=F64).deg2rad()
RELEASED = ("back", "down", "front", "left", "right", "up")  # order of the release's faces


def colours(d):
    """A smooth picture of directions `... 3`, as `... 3`."""
    x, y, z = d.unbind(-1)
    return torch.stack([0.5 + 0.3 * x * z + 0.1 * y, 0.5 - 0.4 * y * x, 0.5 + 0.2 * (z - y)], -1)


def room(d):
    """Inverse distance of a box around the camera along unit directions."""
    nearness = torch.stack([d / torch.tensor([2.0, 1.5, 3.0]).to(d), -d / torch.tensor([2.5, 1.0, 4.0]).to(d)], -1)
    return nearness.flatten(-2).amax(-1)


def directions(size):
    return SPHERE.rays(pixel_grid(size, torch.zeros((), dtype=F64)))


def photographed(rotation, size=(64, 128)):
    """What a camera whose frame is turned by `rotation` sees: picture, depth and a round patch that is not valid."""
    d = torch.einsum("ij,bhwj->bhwi", rotation.T, directions(size))
    valid = d @ torch.tensor([0.6, 0.0, 0.8], dtype=F64) < 0.9
    image = colours(d).movedim(-1, 1)
    return Sample(view(image, SPHERE), (), 1 / room(d)[:, None]), valid[:, None]


def test_angles_are_the_released_ones(golden):
    """Golden `da_rotate`: R_x R_y R_z, out(d) = in(R^T d). Its samples, and those of no rotation, are a different
    rule's: half-pixel centres are sent to the corners' coordinates, so that even no rotation blurs."""
    arrays = golden("da_rotate")
    rotation = euler(torch.from_numpy(arrays["euler_deg"])[None].double().deg2rad())
    torch.testing.assert_close(rotation, arrays["R_xyz"], rtol=0, atol=1e-6)
    picture = arrays["equi"]
    for turn, name in ((rotation, "out_bilinear"), (torch.eye(3, dtype=F64)[None], "out_identity")):
        corners = 2 * uv_rotated(turn, (16, 32)).expand(2, -1, -1, -1) - 1
        released = F.grid_sample(picture, corners, align_corners=True)
        torch.testing.assert_close(released, arrays[name], rtol=0, atol=1e-4)
    assert (arrays["out_identity"] - picture).abs().max() > 0.05
    wrong = 2 * uv_rotated(rotation.transpose(1, 2), (16, 32)).expand(2, -1, -1, -1) - 1
    assert (F.grid_sample(picture, wrong, align_corners=True) - arrays["out_bilinear"]).abs().mean() > 0.1
    sample = Sample(view(picture, SPHERE), (), picture[:, :1])
    same = rotate_sample(sample, torch.eye(3, dtype=F64).expand(2, 3, 3))
    assert torch.equal(same.target.image, picture)  # ours is exact


@pytest.mark.parametrize("number", range(3))
def test_everything_turns_together(number):
    """Against what a turned camera sees: R for its transpose, or a mask left behind, would not fit."""
    rotation = euler(ANGLES[number : number + 1])
    before, valid = photographed(torch.eye(3, dtype=F64))
    sample = Sample(view(before.target.image, SPHERE), (), before.depth)
    sample = Sample(
        type(sample.target)(sample.target.image, sample.target.seen * 0.5, SPHERE, sample.target.from_target,
                            sample.target.window, valid), (), before.depth,
    )  # fmt: skip
    turned = rotate_sample(sample, rotation)
    expected, valid_there = photographed(rotation[0])
    assert (turned.target.image - expected.target.image).abs().max() < 4e-3
    assert (turned.target.seen - 0.5 * expected.target.image).abs().max() < 2e-3
    assert (turned.depth / expected.depth - 1).abs().median() < 0.02
    assert (turned.depth / expected.depth - 1).abs().max() < 0.2
    differ = (turned.target.valid != valid_there).double().mean()
    assert differ < 0.02
    assert (turned.target.valid & ~valid_there).double().mean() < 0.003  # the mask only grows
    assert (sample.target.valid != valid_there).double().mean() > 5 * differ
    back = rotate_sample(turned, rotation.transpose(1, 2))
    assert (back.target.image - sample.target.image).abs().max() < 8e-3


def test_whole_columns_are_a_roll():
    sample, _ = photographed(torch.eye(3, dtype=F64))
    angle = torch.tensor([[0.0, 2 * math.pi * 5 / 128, 0.0]], dtype=F64)
    turned, rolled = rotate_sample(sample, euler(angle)), roll_sample(sample, 5)
    torch.testing.assert_close(turned.target.image, rolled.target.image, rtol=0, atol=1e-9)
    torch.testing.assert_close(turned.depth, rolled.depth, rtol=0, atol=0)


def test_a_source_still_rebuilds_the_target():
    """Poses turn too: of a small step, whose source is made from the same function of directions and depth."""
    size, offset = (64, 128), torch.tensor([[-0.6, 0.1, 0.05]], dtype=F64)
    d, depth = directions(size), 1 / room(directions(size))
    here = colours(d * depth[..., None] / 3).movedim(-1, 1)
    step = translation(offset)
    match = reproject(1 / depth[:, None], SPHERE, step, SPHERE)
    sample = Sample(view(here, SPHERE), (view(here, SPHERE, step),), depth[:, None])
    turned = rotate_sample(sample, euler(ANGLES[:1]))
    moved = reproject(1 / turned.depth, SPHERE, turned.sources[0].from_target, SPHERE)
    made = pull(turned.sources[0].image, moved.uv, "sphere")
    expected = pull(pull(here, match.uv, "sphere"), uv_rotated(euler(ANGLES[:1]), size), "sphere")
    assert (made - expected).abs().median() < 2e-3
    still = reproject(1 / turned.depth, SPHERE, step, SPHERE)
    assert (pull(turned.sources[0].image, still.uv, "sphere") - expected).abs().median() > 4e-3


def test_faces_of_a_rotated_panorama_are_those_of_a_rotated_cube():
    """Sampled twice or once, and as a camera turned by hand sees them."""
    rotation, side = euler(ANGLES[1:2]), 32
    sample, _ = photographed(torch.eye(3, dtype=F64), (128, 256))
    turned = rotate_sample(sample, rotation).target.image
    cube = face_from_sphere(turned)
    twice = pull(turned.expand(6, -1, -1, -1), uv_on_sphere(side, 90.0, cube), "sphere")
    once = pull(sample.target.image.expand(6, -1, -1, -1), uv_on_sphere(side, 90.0, cube @ rotation), "sphere")
    assert (once - twice).abs().max() < 2e-3
    for k, name in enumerate(FACES):
        rays = Pinhole(torch.tensor([[0.5, 0.5]], dtype=F64), torch.tensor([[0.5, 0.5]], dtype=F64)).rays(
            pixel_grid((side, side), turned)
        )
        world = torch.einsum("ji,bhwj->bhwi", cube[k] @ rotation[0], F.normalize(rays, dim=-1))
        assert (once[k] - colours(world)[0].movedim(-1, 0)).abs().max() < 2e-3, name


@pytest.mark.parametrize("name", ["da_pred_to_cube_norot", "da_pred_to_cube_rot"])
def test_disparity_on_faces(name, golden):
    """Golden: the release takes the nearest pixel's disparity over its own cosine. Ours, the face pixel's own cosine,
    is within 18 % of it at this size."""
    arrays = golden(name)
    disparity = arrays["pred_equi_disp"]
    rotation = euler(arrays["rot_vec_deg"][None].deg2rad())
    height, width = disparity.shape[-2:]
    turned = F.grid_sample(disparity, 2 * uv_rotated(rotation, (height, width)) - 1, mode="nearest", align_corners=True)
    cube = face_from_sphere(disparity)
    rays = directions((height, width))
    uv = uv_on_sphere(8, 90.0, cube)
    released = torch.zeros(6, 8, 8, dtype=F64)
    for f in range(6):
        for i in range(8):
            for j in range(8):
                column = round(float(uv[f, i, j, 0]) * (width - 1))
                row = round(float(uv[f, i, j, 1]) * (height - 1))
                cosine = float(cube[f, 2] @ rays[0, row, column])
                released[f, i, j] = turned[0, 0, row, column] / cosine
    order = [FACES.index(face) for face in RELEASED]
    torch.testing.assert_close(released[order], arrays["pred_cube_disp"][:, 0], rtol=1e-4, atol=0)
    ours = pull(disparity.expand(6, -1, -1, -1), uv_on_sphere(8, 90.0, cube @ rotation), "sphere")
    ours = (ours / CUBE.cosine(8, ours))[order]
    ratio = ours / arrays["pred_cube_disp"]
    assert (ratio - 1).abs().median() < 0.1
    assert float(ratio.log().mean().abs()) < 0.03


def test_only_panoramas_rotate():
    camera = Pinhole(torch.ones(1, 2), torch.full((1, 2), 0.5))
    flat = Sample(view(torch.rand(1, 3, 8, 16), camera), (), torch.ones(1, 1, 8, 16))
    with pytest.raises(InputError, match="only panoramas can be rotated"):
        rotate_sample(flat, axis_angle(torch.tensor([[0.1, 0.0, 0.0]])))
