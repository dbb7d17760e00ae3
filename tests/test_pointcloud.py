"""Points in space: where they stand, which are left out, and files that other programs read."""

from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

from cyclopean.depthmap import from_numbers
from cyclopean.errors import InputError
from cyclopean.geometry import Equirectangular, Pinhole
from cyclopean.pointcloud import point_cloud, write_glb, write_ply

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


@pytest.mark.parametrize(("write", "axes"), [(write_ply, (1, 1, 1)), (write_glb, (1, -1, -1))])
def test_files_are_read_by_others(tmp_path: Path, write, axes) -> None:
    cloud = point_cloud(from_numbers(torch.full((1, 1, 2, 2), 4.0), "depth", "m"), IMAGE, CAMERA)
    path = tmp_path / f"a.{write.__name__[-3:]}"
    write(path, cloud)
    read = trimesh.load(path)
    geometry = next(iter(read.geometry.values())) if isinstance(read, trimesh.Scene) else read
    assert np.allclose(geometry.vertices, cloud.points.numpy() * axes, atol=1e-5)
    assert np.allclose(geometry.colors[:, :3], (cloud.colours * 255).round().numpy(), atol=1)
