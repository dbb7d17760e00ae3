"""Points in space: where they stand, which are left out, and files that other programs read."""

from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

from cyclopean.errors import InputError
from cyclopean.geometry import Equirectangular, Pinhole
from cyclopean.io.depthmap import from_numbers
from cyclopean.io.scenes import mesh, point_cloud, separated, without_flying_pixels, write_glb, write_ply

CAMERA = Pinhole(torch.tensor([[0.5, 0.5]]), torch.tensor([[0.5, 0.5]]))
IMAGE = torch.rand(1, 3, 2, 2, generator=torch.Generator().manual_seed(0))


def test_points_stand_where_the_pixels_look() -> None:
    cloud = point_cloud(from_numbers(torch.full((1, 1, 2, 2), 4.0), "depth", "m"), IMAGE, CAMERA)
    # pixel centres at 1/4 and 3/4: x / z = -+ 0.25 / 0.5
    expected = torch.tensor([[-2.0, -2, 4], [2, -2, 4], [-2, 2, 4], [2, 2, 4]])
    assert torch.allclose(cloud.points, expected)
    assert torch.equal(cloud.colours[1], IMAGE[0, :, 0, 1])


def test_a_distance_is_the_length_to_the_point() -> None:
    for camera in (CAMERA, Equirectangular()):
        cloud = point_cloud(from_numbers(torch.full((1, 1, 2, 2), 4.0), "distance", "m"), IMAGE, camera)
        assert torch.allclose(torch.linalg.vector_norm(cloud.points, dim=-1), torch.tensor(4.0))


def test_sky_unknown_and_nearly_infinite_are_left_out_and_relative_has_median_one() -> None:
    disparity = torch.tensor([[[[0.5, 0.25, 0.2, 0.0, torch.nan, 0.001]]]])
    cloud = point_cloud(from_numbers(disparity, "disparity"), torch.rand(1, 3, 1, 6), CAMERA)
    assert torch.allclose(cloud.points[:, 2], torch.tensor([0.5, 1.0, 1.25]))


def test_what_is_refused() -> None:
    with pytest.raises(InputError, match="scale and shift"):
        point_cloud(from_numbers(torch.ones(1, 1, 2, 2), "inverse_depth", ambiguity="affine"), IMAGE, CAMERA)
    with pytest.raises(InputError, match="one size"):
        point_cloud(from_numbers(torch.ones(1, 1, 2, 3), "depth"), IMAGE, CAMERA)
    with pytest.raises(InputError, match="finite depth"):
        point_cloud(from_numbers(torch.full((1, 1, 2, 2), torch.inf), "depth"), IMAGE, CAMERA)


def test_points_are_read_by_others(tmp_path: Path) -> None:
    cloud = point_cloud(from_numbers(torch.full((1, 1, 2, 2), 4.0), "depth", "m"), IMAGE, CAMERA)
    write_ply(tmp_path / "a.ply", cloud)
    read = trimesh.load(tmp_path / "a.ply")
    assert np.allclose(read.vertices, cloud.points.numpy(), atol=1e-5)
    assert np.allclose(read.colors[:, :3], (cloud.colours * 255).round().numpy(), atol=1)


def test_near_and_far_are_separated() -> None:
    near, same = torch.tensor([0.0, 0.0, 1.0]), torch.tensor([0.02, 0.0, 1.0])
    far, unknown = torch.tensor([0.02, 0.0, 1.5]), torch.tensor([0.02, 0.0, torch.nan])
    others = torch.stack([same, far, unknown, near])
    assert separated(near.expand(4, 3), others).tolist() == [False, True, True, False]


def test_pixels_between_near_and_far_are_left_out_also_over_the_seam() -> None:
    """A wall 1 m away on the left half and 4 m on the right, with a soft pixel at each of the two edges."""
    depth = torch.full((1, 1, 32, 64), 1.0)
    depth[..., 32:] = 4.0
    depth[..., 32] = depth[..., 0] = 2.0
    rough = without_flying_pixels(from_numbers(depth, "depth", "m"), Equirectangular())
    hanging = ~rough.valid[0, 0, 16]
    assert hanging.nonzero().flatten().tolist() == [0, 32]
    assert bool(without_flying_pixels(from_numbers(depth[..., 33:63], "depth", "m"), CAMERA).valid.all())


def panorama_of_a_sphere(height: int = 32) -> tuple[torch.Tensor, torch.Tensor]:
    """Radius 2 everywhere, and colours."""
    return torch.full((1, 1, height, 2 * height), 2.0), torch.rand(1, 3, height, 2 * height)


def test_the_mesh_of_a_panorama_closes_over_seam_and_poles(tmp_path: Path) -> None:
    radius, image = panorama_of_a_sphere()
    made = mesh(from_numbers(radius, "depth", "m"), Equirectangular())
    assert torch.allclose(torch.linalg.vector_norm(made.points, dim=-1), torch.tensor(2.0))
    solid = trimesh.Trimesh(made.points.numpy(), made.triangles.numpy(), process=True, merge_tex=True)
    solid.merge_vertices()
    assert solid.is_watertight
    ball = 4 / 3 * np.pi * 8
    assert solid.volume == pytest.approx(-ball, rel=0.01)  # negative: triangles face the camera inside
    write_glb(tmp_path / "a.glb", made, image)
    read = next(iter(trimesh.load(tmp_path / "a.glb").geometry.values()))
    assert np.allclose(read.vertices, made.points.numpy() * (1, -1, -1), atol=1e-5)
    assert read.visual.material.baseColorTexture.size == (64, 32)
    assert b"KHR_materials_unlit" in (tmp_path / "a.glb").read_bytes()


def test_the_mesh_of_a_photo_is_torn_at_edges() -> None:
    depth = torch.full((1, 1, 16, 16), 1.0)
    depth[..., 8:] = 3.0
    camera = Pinhole(torch.tensor([[1.0, 1.0]]), torch.tensor([[0.5, 0.5]]))
    made = mesh(from_numbers(depth, "depth", "m"), camera)
    assert len(made.triangles) == 2 * 2 * 15 * 7
    z = made.points[made.triangles][..., 2]
    assert torch.equal(z.amin(1), z.amax(1))
    # a texture coordinate is where its point is seen
    assert torch.allclose(camera.project(made.points[None, None])[0, 0], made.uv, atol=1e-5)
    with pytest.raises(InputError, match="no mesh"):
        mesh(from_numbers(torch.tensor([[[[1.0, 9.0], [9.0, 1.0]]]]), "depth", "m"), camera)


def test_points_are_finite_whatever_the_depths(tmp_path: Path) -> None:
    for values in ([1e-45, 1.0, 1e38, 1e-30], [1e-45, 1e-45, 1e38, 1e38], [3e38, 3e38, 3e38, 1.0]):
        depth = from_numbers(torch.tensor(values).reshape(1, 1, 2, 2), "disparity")
        try:
            write_ply(tmp_path / "a.ply", point_cloud(depth, IMAGE, CAMERA))
        except InputError:
            continue
        assert np.isfinite(trimesh.load(tmp_path / "a.ply").vertices).all()
