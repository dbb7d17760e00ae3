from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cyclopean.errors import InputError
from cyclopean.geometry import Pinhole, translation
from cyclopean.losses import edge_aware, pyramid
from cyclopean.methods.monodepth import Monodepth
from cyclopean.methods.post_processing import fuse_flipped
from cyclopean.sample import Sample, view


class Prescribed(nn.Module):
    """A network that answers with given disparities (fractions of the width, ch0 left, ch1 right)."""

    multiple = 8

    def __init__(self, disparities: list[Tensor]) -> None:
        super().__init__()
        self.raws = [(d / 0.3).logit() for d in disparities]

    def forward(self, image: Tensor) -> list[Tensor]:
        return self.raws


def stereo(left: Tensor, right: Tensor, focal: float = 0.7, baseline: float = 0.3) -> Sample:
    b = len(left)
    camera = Pinhole(left.new_tensor([[focal, 2 * focal]]).expand(b, 2), left.new_tensor([[0.5, 0.5]]).expand(b, 2))
    pose = translation(left.new_tensor([[-baseline, 0, 0]]).expand(b, 3))
    return Sample(view(left, camera), (view(right, camera, pose),), torch.full_like(left[:, :1], torch.nan))


def nchw(x: Tensor) -> Tensor:
    return x.permute(0, 3, 1, 2).float()


def test_losses_are_the_papers(golden):
    """The whole objective against the released code run with both smoothness axes (it drops the vertical one)."""
    truth = golden("md1_losses")
    method = Monodepth("vgg", 0.05)
    method.network = Prescribed([nchw(truth[f"disp{s}_lr"]) for s in (1, 2, 3, 4)])
    losses = method.losses(stereo(nchw(truth["left"]), nchw(truth["right"])))
    expected = {
        "appearance": (truth["image_loss_left"] + truth["image_loss_right"]).sum(),
        # the stored values are already divided by 2^scale
        "smoothness": 0.1 * (truth["disp_left_loss_paper_xy"] + truth["disp_right_loss_paper_xy"]).sum(),
        "consistency": (truth["lr_left"] + truth["lr_right"]).sum(),
    }
    for name, value in expected.items():
        assert losses[name].item() == pytest.approx(value.item(), rel=2e-5), name
    assert sum(losses.values()).item() == pytest.approx(truth["total_paper_xy"].item(), rel=1e-5)


def test_the_released_smoothness_is_the_papers_without_its_vertical_half(golden):
    """What the release computes (x only) is smaller than what the paper prints, which we follow."""
    truth = golden("md1_losses")
    assert (truth["disp_left_loss_as_released_xonly"] < truth["disp_left_loss_paper_xy"]).all()
    assert truth["total_as_released"] < truth["total_paper_xy"]
    image = nchw(truth["left"])
    for s in range(4):
        across, _ = edge_aware(nchw(truth[f"disp{s + 1}_lr"])[:, :1], pyramid(image, 4)[s])
        expected = truth["disp_left_loss_as_released_xonly"][s].item()
        assert across.mean().item() / 2**s == pytest.approx(expected, rel=2e-5), s


def test_rebuilding_does_not_depend_on_the_rigs_unit():
    """Disparity is a fraction of the width whatever focal length and baseline are, so uncalibrated pairs train too."""
    left, right = torch.rand(2, 3, 32, 64), torch.rand(2, 3, 32, 64)
    method = Monodepth("vgg", 0.05)
    method.network = Prescribed([torch.rand(2, 2, 32 >> s, 64 >> s) * 0.2 + 0.02 for s in range(4)])
    one, other = (method.losses(stereo(left, right, f, b)) for f, b in ((1.0, 1.0), (0.6, 0.12)))
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], rtol=1e-4, atol=1e-6)


def test_a_source_on_the_left_is_refused():
    sample = stereo(torch.rand(1, 3, 128, 128), torch.rand(1, 3, 128, 128), baseline=-0.1)
    with pytest.raises(InputError, match="swap left and right"):
        Monodepth("vgg", 0.05).losses(sample)


def test_what_is_not_valid_has_no_influence():
    left, right = torch.rand(1, 3, 32, 64), torch.rand(1, 3, 32, 64)
    method = Monodepth("vgg", 0.05)
    method.network = Prescribed([torch.full((1, 2, 32 >> s, 64 >> s), 0.1) for s in range(4)])
    sample = stereo(left, right)
    nothing = torch.zeros_like(sample.target.valid)
    blind = replace(sample, target=replace(sample.target, valid=nothing))
    blind = replace(blind, sources=(replace(blind.sources[0], valid=nothing),))
    assert sum(method.losses(blind).values()).item() == 0
    assert method.losses(sample)["appearance"].item() > 0.1


def test_a_stored_rig_makes_it_metric():
    method, rigged = Monodepth("vgg", 0.05), Monodepth("vgg", 0.05, rig=(0.58, 0.54))
    rigged.load_state_dict(method.state_dict())
    target = stereo(torch.rand(1, 3, 128, 128), torch.rand(1, 3, 128, 128)).target
    with torch.no_grad():
        free, metric = (m.predict(target).inverse_depth for m in (method, rigged))
    focal = target.camera.focal[0, 0]  # not the rig's: all is that much larger in the picture, disparity too
    torch.testing.assert_close(metric, free / (focal * 0.54))
    assert (method.ambiguity, rigged.ambiguity) == ("scale", "metric")


def test_postprocessing_is_the_releases(golden):
    truth = golden("md_postprocess")
    ours = fuse_flipped(truth["l_disp"][:, None], truth["flipped_back_disp"][:, None])
    torch.testing.assert_close(ours[:, 0], truth["out"], atol=1e-12, rtol=0)


def test_postprocessing_weights_are_the_texts_and_sum_to_one(golden):
    """The supplement prints a formula whose weights sum to 1.5 at the borders; text and release agree on these."""
    truth = golden("pp_weights")
    one, none = torch.ones(1, 1, 1, 41).double(), torch.zeros(1, 1, 1, 41).double()
    torch.testing.assert_close(fuse_flipped(one, none).flatten(), truth["code_weight_dl"], atol=1e-12, rtol=0)
    torch.testing.assert_close(fuse_flipped(none, one).flatten(), truth["code_weight_dflip"], atol=1e-12, rtol=0)
    torch.testing.assert_close(fuse_flipped(one, one), one)
    assert np.isclose(truth["printed_sum"].max(), 1.5)


def test_the_common_factor_of_each_pair_is_found():
    """Disparities off by factors of 1/5 and 4: with factors, the losses are those of the right disparities."""
    u = torch.linspace(0, 60, 128)
    stripes = 0.5 + 0.2 * (u.sin() + (1.7 * u + 1).sin()) * torch.linspace(0.5, 1, 64)[:, None]
    right = stripes.expand(2, 3, 64, 128)
    true = 8 / 128
    left = torch.cat([right[..., :8], right[..., :-8]], -1)  # left(x) = right(x - 8)
    off = torch.tensor([1 / 5, 4.0])[:, None, None, None]
    method, fixed = Monodepth("vgg", 0.05, factors=13), Monodepth("vgg", 0.05)
    method.network = Prescribed([(true * off).expand(2, 2, 64 >> s, 128 >> s) for s in range(4)])
    fixed.network = Prescribed([torch.full((2, 2, 64 >> s, 128 >> s), true) for s in range(4)])
    wrong = Monodepth("vgg", 0.05)
    wrong.network = method.network
    found, best, worst = (sum(m.losses(stereo(left, right)).values()).item() for m in (method, fixed, wrong))
    assert found < 1.1 * best < 0.5 * worst


def test_a_rig_and_free_factors_exclude_each_other():
    with pytest.raises(InputError, match="drop rig or factors"):
        Monodepth("vgg", 0.05, rig=(0.5, 0.5), factors=13)
