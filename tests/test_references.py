"""Warps, losses and cube faces beside kornia, torchmetrics and py360convert, which others wrote."""

import numpy as np
import pytest
import torch

from cyclopean.geometry import FACES, Equirectangular, face_from_sphere, invert, pixel_grid, rigid, rotate, uv_on_sphere
from cyclopean.geometry import axis_angle as rotation_about
from cyclopean.losses import ssim, ssim_gaussian
from cyclopean.synthesis import pull

F64 = torch.float64


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def test_pull_is_remapping():
    """kornia counts pixels from the middle of the first one; its borders have our names' meanings."""
    transform = pytest.importorskip("kornia.geometry.transform")
    image, uv = random(2, 3, 9, 12), 1.4 * random(2, 7, 8, 2, seed=1) - 0.2
    x, y = uv[..., 0] * 12 - 0.5, uv[..., 1] * 9 - 0.5
    for border, padding in (("zeros", "zeros"), ("edge", "border")):
        expected = transform.remap(image, x, y, padding_mode=padding, align_corners=True)
        torch.testing.assert_close(pull(image, uv, border), expected)


def test_rotations_and_inverse_poses():
    linear = pytest.importorskip("kornia.geometry")
    vector, offset = 4 * random(5, 3) - 2, random(5, 3, seed=1)
    rotation = linear.axis_angle_to_rotation_matrix(vector)
    torch.testing.assert_close(rotation_about(vector), rotation)
    pose = rigid(rotation, offset)
    torch.testing.assert_close(invert(pose), linear.inverse_transformation(pose))
    points = random(5, 4, 6, 3, seed=2)
    expected = linear.transform_points(rigid(rotation, torch.zeros(5, 3, dtype=F64)), points.flatten(1, 2))
    torch.testing.assert_close(rotate(pose, points), expected.view_as(points))


def test_ssim_of_gaussian_windows():
    """The mean of whole windows, which torchmetrics takes; variances there are biased as ours are."""
    functional = pytest.importorskip("torchmetrics.functional.image")
    x, y = random(2, 3, 40, 50), random(2, 3, 40, 50, seed=1)
    window, deviation = 11, 1.5
    _, whole = functional.structural_similarity_index_measure(
        x, y, sigma=deviation, kernel_size=window, data_range=1.0, return_full_image=True
    )
    inside = (..., slice(5, -5), slice(5, -5))
    torch.testing.assert_close(ssim_gaussian(x, y, window, deviation)[inside], whole[inside], rtol=1e-6, atol=1e-8)


def test_ssim_of_box_windows():
    functional = pytest.importorskip("torchmetrics.functional.image")
    x, y = random(1, 3, 20, 30), random(1, 3, 20, 30, seed=1)
    expected = functional.structural_similarity_index_measure(
        x, y, gaussian_kernel=False, kernel_size=3, data_range=1.0, return_full_image=True
    )[1]
    torch.testing.assert_close(ssim(x, y), expected[..., 1:-1, 1:-1], rtol=1e-6, atol=1e-8)


def test_cube_faces_of_a_panorama():
    """A smooth panorama seen through each face, to the accuracy of two interpolations."""
    convert = pytest.importorskip("py360convert")
    rays = Equirectangular().rays(pixel_grid((128, 256), torch.zeros(1, dtype=F64)))
    smooth = (
        torch.stack([rays[0] @ rays.new_tensor(way) for way in ((1, 0.3, 0), (0, 1, 0.5), (0.2, 0, 1))]) + 1.2
    ) / 2.4
    faces = convert.e2c(smooth.movedim(0, -1).numpy(), face_w=32, mode="bilinear", cube_format="dict")
    ours = pull(smooth[None].expand(6, -1, -1, -1), uv_on_sphere(32, 90.0, face_from_sphere(rays)), "sphere")
    for name, face in zip(FACES, ours, strict=True):
        np.testing.assert_allclose(face.movedim(0, -1).numpy(), np.asarray(faces[name[0].upper()]), atol=0.02)
