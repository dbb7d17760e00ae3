"""The spherical paper's rendering and its parts of losses, against arrays made by its release."""

import pytest
import torch

from cyclopean.geometry import pixel_grid
from cyclopean.losses import berhu, berhu_beyond, ssim, ssim_gaussian
from cyclopean.synthesis import splat, splat_plain

F64 = torch.float64


@pytest.mark.parametrize("verb", [splat, splat_plain])
@pytest.mark.parametrize(("coordinates", "made"), [("ud", "ud"), ("lr_coords_unclamped", "lr_unclamped")])
def test_depth_image_based_rendering_of_the_release(golden, verb, coordinates, made):
    """Golden `sph_splat`, of a vertical rig and of a horizontal one (trap 2: the unclamped coordinates). Weights are
    exp(-2 depth / 20): the paper prints exp(-depth / 20), half as sharp (trap 4). Away from the seam, where the release
    drops right-hand neighbours (trap 8), and from poles; shares under 1e-3 are dropped too, hence the tolerance.
    """
    arrays = golden("sph_splat")
    image, weight = arrays["image"], torch.exp(-2 * arrays["depth"] / 20)
    torch.testing.assert_close(weight, arrays["splat_weight"], rtol=1e-5, atol=0)
    at = arrays["ud_coords" if coordinates == "ud" else coordinates]
    uv = (at.movedim(1, -1) + 0.5) / torch.tensor([32.0, 16.0], dtype=F64)
    picture, coverage = verb(image, uv, weight, "zeros")
    kind, _, how = made.partition("_")
    suffix = f"_{how}" if how else ""
    torch.testing.assert_close(coverage, arrays[f"{kind}_weight_canvas{suffix}"], rtol=0, atol=5e-3)
    sure = coverage > 0.05
    rendered = arrays[f"{kind}_render{suffix}"]
    assert sure.double().mean() > 0.8
    assert ((picture - rendered).abs() * sure).max() < 0.02
    assert ((picture - rendered).abs() * sure).mean() < 1e-4


def test_covered_is_where_weight_fell(golden):
    """Trap 5: the paper's mask W < epsilon marks the holes; what multiplies losses is W >= epsilon (1e-3)."""
    arrays = golden("sph_splat")
    uv = (arrays["lr_coords_as_released"].movedim(1, -1) + 0.5) / torch.tensor([32.0, 16.0], dtype=F64)
    _, coverage = splat(arrays["image"], uv, arrays["splat_weight"], "zeros")
    known = torch.from_numpy(arrays["lr_mask_as_released"])
    unclear = (coverage - 1e-3).abs() < 2e-3  # a share that the release drops
    assert ((coverage > 1e-3) == known)[~unclear].all()
    assert 0 < (~known).double().mean() < 0.5


def test_nothing_is_lost_at_the_seam(golden):
    """Trap 8: the release loses weight there; on the sphere all of it arrives, and what was lost lands in column 0."""
    arrays = golden("sph_splat")
    uv = (arrays["lr_coords_unclamped"].movedim(1, -1) + 0.5) / torch.tensor([32.0, 16.0], dtype=F64)
    _, closed = splat(arrays["image"], uv, arrays["splat_weight"], "sphere")
    torch.testing.assert_close(closed.sum(), arrays["splat_weight"].sum())
    lost = (closed - arrays["lr_weight_canvas_unclamped"])[:, :, 1:-1]
    assert lost[..., 0].sum() > 0.1
    assert lost[..., 2:-2].abs().max() < 1e-2


def test_soft_z_buffer_gets_sharper_with_its_weight():
    """A near and a far pixel on one place: the sharper the weights, the more of the near one."""
    image = torch.tensor([1.0, 0.0], dtype=F64).view(1, 1, 1, 2)
    depth = torch.tensor([1.0, 3.0], dtype=F64).view(1, 1, 1, 2)
    uv = torch.tensor([0.25, 0.5], dtype=F64).expand(1, 1, 2, 2)
    shown = [float(splat(image, uv, torch.exp(-k * depth), "zeros")[0][0, 0, 0, 0]) for k in (0.05, 0.1, 2.0)]
    expected = [1 / (1 + torch.exp(torch.tensor(-2 * k))).item() for k in (0.05, 0.1, 2.0)]
    assert shown == pytest.approx(expected)


@pytest.mark.parametrize(("window", "name"), [(5, "box5"), (7, "box7")])
def test_box_ssim_of_the_release(golden, window, name):
    """Golden `sph_ssim`: it pads the map with zeros, a penalty of 1/2 all along the border; windows inside agree."""
    arrays = golden("sph_ssim")
    inside = arrays[name][..., window // 2 : -(window // 2), window // 2 : -(window // 2)]
    torch.testing.assert_close(ssim(arrays["x"], arrays["y"], window), inside, rtol=0, atol=2e-4)
    assert arrays[name][..., 0, :].abs().max() == 0


@pytest.mark.parametrize("window", [7, 11])
def test_gaussian_ssim_of_the_release(golden, window):
    arrays = golden("sph_ssim")
    ours = ssim_gaussian(arrays["x"], arrays["y"], window, 1.5)
    torch.testing.assert_close(ours, arrays[f"gaussian{window}_std1p5"], rtol=0, atol=2e-4)


def test_berhu_of_the_release(golden):
    """Golden `sph_berhu`: a fifth of the largest error of the batch, masked or not (trap 14). `berhu` asks only pixels
    that count, and each item's own.
    """
    arrays = golden("sph_berhu")
    error, mask = arrays["pred"] - arrays["gt"], torch.from_numpy(arrays["mask"]).double()
    threshold = (0.2 * error.abs().max()).view(1, 1, 1, 1)
    theta = torch.arange(16, dtype=F64) * (torch.pi / 16)
    attended = berhu_beyond(error, threshold) * theta.sin()[:, None] * mask
    per_item = attended.sum((1, 2, 3)) / mask.sum((1, 2, 3))
    torch.testing.assert_close(per_item.mean(), arrays["loss"], rtol=1e-5, atol=0)
    wild = torch.where(mask > 0, error, 100 * error)
    torch.testing.assert_close(berhu(wild, mask) * mask, berhu(error, mask) * mask)


def test_pixel_centres_are_half_a_pixel_from_the_releases():
    """Row 0 of the release is exactly the pole; ours is half a pixel below it, where nothing is singular (trap 9)."""
    assert pixel_grid((16, 32), torch.zeros(1))[0, 0, 0].tolist() == [0.5 / 32, 0.5 / 16]
