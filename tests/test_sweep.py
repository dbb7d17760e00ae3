"""Volume rendering through levels of inverse depth: against the releases, on analytic worlds, by its gradients."""

import math

import pytest
import torch
from torch import Tensor

from analytic import F64, RIGS, photograph, psnr
from cyclopean.geometry import (
    Equirectangular,
    Levels,
    Pencil,
    Pinhole,
    invert,
    level,
    pixel_grid,
    reproject,
    reproject_shell,
    surfaces,
    translation,
)
from cyclopean.kernels import fused_sweep
from cyclopean.synthesis import sweep, swept_coverage
from methods.test_deep3d import Live


def shifted(size: tuple[int, int], pixels: Tensor, like: Tensor):
    """Where pixels land that move along their row by as many pixels as each level says."""
    grid = pixel_grid(size, like)
    return lambda k: (grid + like.new_tensor([float(pixels[k]) / size[1], 0.0])).expand(len(like), -1, -1, -1)


def test_levels_beside_the_closed_form(golden) -> None:
    truth = golden("falnet_levels")
    for name, least, most, exponent in (
        ("N33_2_300", 2.0, 300.0, 1.0), ("N49_2_300", 2.0, 300.0, 1.0), ("aqua33_0p005_0p3_beta1", 0.005, 0.3, 1.0),
        ("aqua33_beta0p5", 0.005, 0.3, 0.5), ("aqua33_beta2", 0.005, 0.3, 2.0),
    ):  # fmt: skip
        n = len(truth[name])
        ours = torch.cat([level(k, n, least, most, torch.full((1, 1, 1, 1), exponent, dtype=F64)) for k in range(n)])
        torch.testing.assert_close(ours.flatten(), truth[name], rtol=1e-12, atol=0)
    exponent = torch.ones(1, 1, 2, 2, dtype=F64, requires_grad=True)
    for k in range(5):
        assert torch.autograd.gradcheck(lambda b, k=k: level(k, 5, 0.005, 0.3, b), exponent)  # k = 0: 0, not NaN


def test_the_right_view_of_fal_net(golden) -> None:
    truth = golden("falnet_synth")
    image, logits = truth["image_left"], truth["logits"]
    size = (image.shape[-2], image.shape[-1])
    pixels = truth["levels"] * (size[1] - 1) / size[1]  # the release's shift; ours is the level itself
    grid = pixel_grid(size, image).expand(len(image), -1, -1, -1).permute(0, 3, 1, 2)
    start, along = torch.cat([grid, torch.ones_like(grid)], 1), image.new_tensor([1.0, 0, 0, 0])[:, None, None]
    levels = Levels(tuple((pixels / size[1]).tolist()))
    fused = Pencil(levels, start, along.expand_as(start), margin=math.inf)
    of_right = truth["maskR_right_content_visible_in_left"]
    for there in (shifted(size, pixels, image), fused):
        torch.testing.assert_close(sweep(image, logits, there), truth["right_view"], atol=5e-6, rtol=0)
        torch.testing.assert_close(swept_coverage(logits, there), of_right, atol=5e-6, rtol=0)
    assert fused_sweep(fused, "zeros", image, logits) is not None
    disparity = (logits.softmax(1) * truth["levels"][:, None, None]).sum(1, keepdim=True)
    torch.testing.assert_close(disparity, truth["disp"], atol=5e-6, rtol=0)


@pytest.mark.parametrize("name", ["rectified", "forward", "posed", "up", "turned"])
def test_true_logits_make_the_other_view_of_an_analytic_world(name: str) -> None:
    """By the same call for pinholes, in the fused pass, and for panoramas, in torch."""
    rig = RIGS[name]
    pair = photograph(rig)
    rho, n = pair.rho_target, 96
    least, most = 0.6 * float(rho.min()), 1.5 * float(rho.max())
    levels = Levels.proportional(n, least, most)
    values = rho.new_tensor(levels.values)[None, :, None, None]
    step = float((values[0, 1] / values[0, 0]).log())
    logits = 12 - 12 * ((rho / values).log() / step).square().clamp(max=4)  # peaks at the truth
    target_from_source = invert(rig.source_from_target)
    there = surfaces(levels, rig.size, rig.source, target_from_source, rig.target)
    for k in (0, n // 2):
        match = reproject_shell(torch.full_like(rho, levels.values[k]), rig.source, target_from_source, rig.target)
        uv = torch.where(match.valid[:, 0, ..., None], match.uv, -1.0)
        torch.testing.assert_close(there(k), uv, rtol=1e-9, atol=1e-9)

    border = "sphere" if isinstance(rig.target, Equirectangular) else "zeros"
    made = sweep(pair.target, logits, there, border)
    seen = reproject(pair.rho_source, rig.source, target_from_source, rig.target).valid
    inner = seen & (swept_coverage(logits, there, border) > 0.9)
    right = psnr(made, pair.source, inner)
    assert right > 38
    wrong = sweep(pair.target, logits.roll(30, 1), there, border)
    assert psnr(wrong, pair.source, inner) < right - 10


def test_a_sideways_rig_is_fal_nets_shift() -> None:
    torch.manual_seed(0)
    image, logits = torch.rand(1, 3, 6, 24, dtype=F64), torch.randn(1, 5, 6, 24, dtype=F64)
    camera = Pinhole(torch.tensor([[0.8, 1.2]], dtype=F64), torch.tensor([[0.5, 0.5]], dtype=F64))
    pose = translation(torch.tensor([[0.5, 0.0, 0.0]], dtype=F64))  # the left view's frame from the right one's
    levels = [0.01, 0.05, 0.1, 0.2, 0.4]
    planes = [torch.full((1, 1, 6, 24), rho, dtype=F64) for rho in levels]
    by_camera = sweep(image, logits, lambda k: reproject_shell(planes[k], camera, pose, camera).uv)
    by_shift = sweep(image, logits, shifted((6, 24), torch.tensor(levels) * 0.8 * 0.5 * 24, image))
    torch.testing.assert_close(by_camera, by_shift)


def test_gradients_reach_image_logits_pose_and_exponents() -> None:
    torch.manual_seed(0)
    camera = Pinhole(torch.tensor([[0.8, 1.2]], dtype=F64), torch.tensor([[0.5, 0.5]], dtype=F64))

    def made(image: Tensor, logits: Tensor, offset: Tensor, exponent: Tensor) -> Tensor:
        pose = translation(offset)
        levels = [level(k, 4, 0.02, 0.5, exponent) for k in range(4)]
        levels[0] = levels[0].expand_as(exponent)
        return sweep(image, logits, lambda k: reproject_shell(levels[k], camera, pose, camera).uv)

    leaves = (
        torch.rand(1, 2, 5, 7),
        torch.randn(1, 4, 5, 7),
        torch.tensor([[0.21, 0.04, 0.33]]),
        torch.rand(1, 1, 5, 7) + 0.5,
    )
    assert torch.autograd.gradcheck(made, tuple(leaf.to(F64).requires_grad_() for leaf in leaves))


def test_colours_of_one_hypothesis_at_a_time() -> None:
    peaks = []
    for n in (4, 32):
        image, logits = torch.rand(2, 30, 24, 32), torch.randn(2, n, 24, 32, requires_grad=True)
        there = shifted((24, 32), torch.arange(n), image)
        with Live() as live:
            sweep(image, logits, there).square().mean().backward()
        peaks.append(live.peak / (4 * 2 * 24 * 32))
    assert peaks[1] - peaks[0] < 28 * 8  # planes: a few of logits for each level, none of the 30 colours
