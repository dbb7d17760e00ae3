import pytest
import torch

from cyclopean.losses import (
    berhu,
    dissimilarity,
    edge_aware,
    gradients,
    item_mean,
    photometric_error,
    proportional_smoothness,
    pyramid,
    scale_invariant_log,
    smoothness,
    squared_smoothness,
    ssim,
    ssim_reflected,
    weighted_mean,
)


def nchw(x):
    return x.permute(0, 3, 1, 2)


def test_reflected_ssim_is_monodepth2s(golden):
    truth = golden("md2_ssim")
    ours = dissimilarity(ssim_reflected(truth["x"], truth["y"]))
    torch.testing.assert_close(ours, truth["ssim_loss"], atol=2e-5, rtol=0)


def test_whole_window_ssim_is_monodepths(golden):
    truth = golden("md1_losses")
    ours = dissimilarity(ssim(nchw(truth["left_est0"]), nchw(truth["left"])))
    torch.testing.assert_close(nchw(truth["ssim_map0"]), ours, atol=5e-5, rtol=0)


def test_smoothness_is_monodepth2s(golden):
    truth = golden("md2_smooth")
    d, everywhere = truth["disp"], torch.ones_like(truth["disp"])
    assert torch.isclose(smoothness(d, truth["img"], everywhere), truth["loss_raw"], rtol=1e-5)
    normalised = d / (d.mean((2, 3), keepdim=True) + 1e-7)
    assert torch.isclose(smoothness(normalised, truth["img"], everywhere), truth["loss_mean_normalised"], rtol=1e-5)
    assert torch.isclose(proportional_smoothness(d, truth["img"], everywhere), truth["loss_mean_normalised"], rtol=1e-5)


def test_edge_aware_halves_are_those_of_monodepth_at_every_scale(golden):
    """Horizontally what the release computes, with both halves what the paper prints; of both sides, each divided by 2
    from scale to scale. And each scale's images are compared by 0.85 SSIM and 0.15 L1.
    """
    truth = golden("md1_losses")
    for side, channel in (("left", 0), ("right", 1)):
        for scale, image in enumerate(pyramid(nchw(truth[side]), 4)):
            disparity = nchw(truth[f"disp{scale + 1}_lr"])[:, channel : channel + 1]
            x, y = (half.mean() / 2**scale for half in edge_aware(disparity, image))
            torch.testing.assert_close(x, truth[f"disp_{side}_loss_as_released_xonly"][scale], rtol=2e-5, atol=0)
            torch.testing.assert_close(x + y, truth[f"disp_{side}_loss_paper_xy"][scale], rtol=2e-5, atol=0)
    both = 0.85 * truth["ssim_left"] + 0.15 * truth["l1_left"]
    torch.testing.assert_close(both, truth["image_loss_left"], rtol=1e-5, atol=0)
    smallest = pyramid(nchw(truth["left"]), 4)[3]
    of_smallest = (smallest - nchw(truth["left_est3"])).abs().mean()
    torch.testing.assert_close(of_smallest, truth["l1_left"][3], rtol=2e-5, atol=0)
    seen = dissimilarity(ssim(nchw(truth["left_est3"]), smallest)).mean()
    torch.testing.assert_close(seen, truth["ssim_left"][3], rtol=2e-4, atol=0)


def test_squared_smoothness_is_in_pixels():
    """A ramp of one pixel per pixel costs 1, whatever the width."""
    for w in (10, 40):
        ramp = (torch.arange(w) / w).expand(1, 1, 6, w)
        cost = squared_smoothness(ramp, torch.rand(1, 3, 6, w), torch.ones(1, 1, 6, w))
        assert cost.item() == pytest.approx(1, rel=1e-5)


def test_differences_weigh_as_the_lesser_of_their_two_pixels():
    torch.manual_seed(0)
    values, image = torch.rand(1, 1, 4, 5), torch.ones(1, 3, 4, 5)
    weight = torch.tensor([0.0, 0.25, 0.5, 1.0])[torch.randint(4, (1, 1, 4, 5))]
    v, w = values[0, 0].tolist(), weight[0, 0].tolist()
    pairs = {
        "across": [((i, j), (i, j + 1)) for i in range(4) for j in range(4)],
        "down": [((i, j), (i + 1, j)) for i in range(3) for j in range(5)],
    }
    for loss, of in ((smoothness, abs), (squared_smoothness, lambda d: (5 * d) ** 2)):
        expected = 0.0
        for axis in pairs.values():
            shares = [min(w[a][b], w[c][d]) for (a, b), (c, d) in axis]
            steps = [of(v[c][d] - v[a][b]) for (a, b), (c, d) in axis]
            expected += sum(map(float.__mul__, shares, steps)) / sum(shares)
        assert loss(values, image, weight).item() == pytest.approx(expected, rel=1e-5)


def test_the_pyramid_is_by_area(golden):
    truth = golden("md1_losses")
    torch.testing.assert_close(pyramid(nchw(truth["left"]), 4)[3], nchw(truth["left_pyr3"]), atol=1e-6, rtol=0)


def test_photometric_is_085_dssim_plus_015_l1():
    x, y = torch.rand(2, 3, 8, 9), torch.rand(2, 3, 8, 9)
    expected = 0.85 * dissimilarity(ssim_reflected(x, y)).mean(1) + 0.15 * (x - y).abs().mean(1)
    torch.testing.assert_close(photometric_error(x, y)[:, 0], expected)
    assert photometric_error(x, x).abs().max() < 1e-5


def test_weighted_mean_ignores_what_has_no_weight_even_nan():
    values = torch.tensor([[1.0, 5.0], [float("nan"), 3.0]])[None, None].requires_grad_()
    weight = torch.tensor([[1.0, 1.0], [0.0, 2.0]])[None, None]
    mean = weighted_mean(values, weight)
    assert mean.item() == 3.0
    mean.backward()
    assert values.grad is not None
    assert values.grad.flatten().tolist() == [0.25, 0.25, 0.0, 0.5]


def test_weighted_mean_of_nothing_is_zero():
    assert weighted_mean(torch.full((1, 2, 3, 3), torch.inf), torch.zeros(1, 1, 3, 3)).item() == 0


def test_gradients_compare_neighbours_at_each_step():
    ramp = torch.arange(16.0).expand(1, 1, 16, 16)
    assert gradients(ramp, torch.ones_like(ramp), 3).item() == 1 + 2 + 4
    assert gradients(torch.full_like(ramp, 7), torch.ones_like(ramp), 3).item() == 0


def test_gradients_stop_at_unknown_pixels():
    values, weight = torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 4, 4)
    values[..., 2], weight[..., 2] = torch.nan, 0
    assert gradients(values, weight, 1).item() == 0


def test_berhu_is_linear_then_quadratic():
    error = torch.tensor([0.0, 0.1, -0.2, 1.0])[None, None, None]
    expected = torch.tensor([0.0, 0.1, 0.2, (1 + 0.04) / 0.4])[None, None, None]
    torch.testing.assert_close(berhu(error, torch.ones_like(error)), expected)
    assert berhu(torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2)).abs().max() == 0


def test_berhu_is_unifuses(golden):
    """A fifth of the largest error, and its mean over what is known."""
    arrays = golden("unifuse_berhu")
    error = (arrays["pred"] - arrays["gt"])[None, None, None]
    assert berhu(error, torch.ones_like(error)).mean().item() == pytest.approx(arrays["loss"].item(), rel=1e-5)


def test_scale_invariant_log_forgives_a_factor():
    error, weight = torch.randn(2, 1, 4, 4), torch.ones(2, 1, 4, 4)
    ground = (torch.rand(2, 1, 4, 4) > 0.3).float()
    blind = [scale_invariant_log(e, weight, ground, 1.0) for e in (error, error + 3)]
    torch.testing.assert_close(blind[0], blind[1])
    torch.testing.assert_close(scale_invariant_log(error, weight, ground, 0.0), error.abs().mean())
    assert scale_invariant_log(torch.ones_like(error), weight, ground, 0.85).item() == pytest.approx(0.15, rel=1e-5)
    assert item_mean(error, weight).shape == (2, 1, 1, 1)
