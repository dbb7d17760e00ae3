"""What each mask lets through, on two panels with a closed form: a near one hides part of the wall behind it."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from cyclopean.geometry import Correspondence, Pinhole, reproject, translation
from cyclopean.losses import absolute, appearance, automask, photometric_error
from cyclopean.methods.heads import DepthRangeHead, LevelsHead
from cyclopean.methods.masks import (
    explainability_regularization,
    in_frame,
    inverse_depth_in,
    min_reprojection,
    visibility,
)
from cyclopean.methods.monodepth2 import Monodepth2
from cyclopean.methods.photometric import DisparityPyramid, PhotometricLoss, SourceView
from cyclopean.sample import view
from cyclopean.synthesis import pull
from cyclopean.training.options import MONODEPTH2, LossConfig

H, W = 16, 40
CAMERA = Pinhole(torch.tensor([[1.0, 2.5]]), torch.tensor([[0.5, 0.5]]))
RIGHT = translation(torch.tensor([[-1.0, 0.0, 0.0]]))
NEAR, FAR = 8 / W, 2 / W  # disparities of panel and wall: 8 and 2 pixels


def disparity() -> Tensor:
    """A panel of columns 20 to 29 before a wall."""
    panel = torch.full((1, 1, H, W), FAR)
    panel[..., 20:30] = NEAR
    return panel


def landing() -> Correspondence:
    return reproject(disparity(), CAMERA, RIGHT, CAMERA)


def seen(rho: Tensor) -> Tensor:
    return visibility(rho, CAMERA, RIGHT, CAMERA, landing())


def loss(config: LossConfig, images: tuple[Tensor, Tensor], mask: tuple[Tensor, ...] = (), d: Tensor | None = None):
    """The losses of the panel before the wall, by one source on the right."""
    predicted = DisparityPyramid((disparity() if d is None else d,), mask)
    source = SourceView(view(images[1], CAMERA, RIGHT), RIGHT)
    return PhotometricLoss(config, lambda image: [image])(view(images[0], CAMERA), predicted, [source])


def test_in_frame_is_what_lands_in_the_other_picture():
    """The wall's first two columns land left of it; the panel's and the wall's others do not."""
    assert in_frame([landing()])[0, 0, 3].tolist() == [0.0] * 2 + [1.0] * (W - 2)


def test_visible_is_what_nothing_nearer_hides():
    """The panel moves left by 8, the wall by 2: it lands on where wall columns 14 to 19 (and partly 13, 20) land."""
    row = seen(disparity())[0, 0, 3]
    assert row[20:30].min() == 1  # the panel itself
    assert row[15:19].max() == 0  # the wall to its left, hidden from the right eye
    assert row[30:].min() == 1  # the wall to its right, which only the left eye has hidden from it
    assert row[3:13].min() == 1
    assert row[:2].max() == 0  # outside


def test_visibility_gives_no_gradient():
    assert not seen(disparity().requires_grad_()).requires_grad
    assert torch.equal(seen(disparity()), seen(disparity()))


def test_min_reprojection_takes_each_pixel_from_one_source():
    """Three sources, one of which is the truth: errors of the others do not count; a pixel counts once on average."""
    right = torch.rand(1, 3, H, W)
    left = pull(right, landing().uv, "zeros")
    sources = (torch.rand(1, 3, H, W), right, torch.rand(1, 3, H, W))
    weights = min_reprojection(torch.cat([absolute(pull(x, landing().uv, "zeros"), left) for x in sources], 1))
    assert weights[:, 1, :, 3:].min() == 3
    assert weights[:, ::2, :, 3:].max() == 0
    assert (weights.mean(1) == 1).all()


def test_automask_leaves_out_what_looks_static():
    """Two equal pictures mean that nothing moved, whatever the motion; a tie, too, is not a motion."""
    for picture in (torch.rand(1, 3, H, W), torch.zeros(1, 3, H, W)):
        warped, static = absolute(pull(picture, landing().uv, "zeros"), picture), absolute(picture, picture)
        assert automask(warped, static).max() == 0
        config = LossConfig(mask="auto", error="l1", scales="finest")
        assert loss(config, (picture, picture))["appearance"] == 0


def test_masked_pixels_are_not_made_up_for():
    """Monodepth2 averages over all pixels: a picture that is static in half counts half."""
    left, right = torch.rand(1, 3, H, W), torch.rand(1, 3, H, W)
    config = replace(MONODEPTH2, mask="auto", head="disparity", scales="finest")
    errors, static = photometric_error(pull(right, landing().uv, "edge"), left), photometric_error(right, left)
    expected = torch.where(errors < static, errors, 0).mean()
    torch.testing.assert_close(loss(config, (left, right))["appearance"], expected)
    assert 0.1 < automask(errors, static).mean() < 0.9


def test_explainability_weighs_errors_and_disbelief_costs():
    """Zhou et al.: half an explanation halves the error, and -log(1/2) is what it costs."""
    images = torch.rand(1, 3, H, W), torch.rand(1, 3, H, W)
    config = LossConfig(mask="learned", scales="finest")
    full, half = (loss(config, images, (torch.full((1, 1, H, W), x),)) for x in (1.0, 0.5))
    torch.testing.assert_close(half["appearance"], full["appearance"] / 2)
    assert full["explained"] == 0
    assert half["explained"].item() == pytest.approx(0.2 * 0.6931, rel=1e-3)
    assert explainability_regularization(torch.zeros(1, 1, 1, 1)).isfinite().all()


def test_each_source_has_its_own_explanation():
    """Zhou et al., Eq. 3: the errors of a source weigh as much as its mask tells, at each scale."""
    images = [torch.rand(1, 3, H, W) for _ in range(3)]
    target, *sources = (view(image, CAMERA) for image in images)
    poses = [translation(torch.tensor([[x, 0.0, 0.0]])) for x in (-1.0, 1.0)]
    for scales in ("native", "full", "finest"):
        made = PhotometricLoss(LossConfig(error="l1", mask="explained", scales=scales, smoothness=0.0), lambda _: [])
        raws = [torch.full((1, 1, H >> s, W >> s), -3.0) for s in range(4)]

        def appearance(first: float, second: float, made=made, raws=raws) -> dict[str, float]:
            masks = [tuple(torch.full_like(raw, x) for raw in raws) for x in (first, second)]
            views = [SourceView(*of, explainability=mask) for *of, mask in zip(sources, poses, masks, strict=True)]
            return {name: value.item() for name, value in made(target, made.decode(raws), views).items()}

        both, one, other = appearance(1, 1), appearance(1, 0.25), appearance(0.25, 1)
        assert both["explained"] == 0
        assert one["appearance"] + other["appearance"] == pytest.approx(1.25 * both["appearance"], rel=1e-5)
        assert one["appearance"] != pytest.approx(other["appearance"], rel=1e-3)
        alone = SourceView(sources[0], poses[0], explainability=tuple(torch.ones_like(raw) for raw in raws))
        first = made(target, made.decode(raws), [alone])["appearance"].item()
        assert appearance(1, 0)["appearance"] == pytest.approx(first / 2, rel=1e-5)
        count = {"native": 4, "full": 1, "finest": 1}[scales]
        assert one["explained"] == pytest.approx(count * 0.2 * math.log(4) / 2, rel=1e-4)


def test_nearest_sampling_has_no_gradient():
    """Nearest against linear sampling: the same loss, but nothing to learn from."""
    images = torch.rand(1, 3, H, W), torch.rand(1, 3, H, W)
    slopes = {}
    for warp in ("nearest", "linear", "linearized"):
        d = disparity().add(0.003).requires_grad_()
        loss(LossConfig(warp=warp, scales="finest", smoothness=0.0), images, d=d)["appearance"].backward()
        assert d.grad is not None
        slopes[warp] = d.grad.abs().max().item()
    assert slopes["nearest"] == 0
    assert min(slopes["linear"], slopes["linearized"]) > 1e-4


def test_inverse_depth_in_another_camera():
    """Straight ahead at depth 4, from 1 further back: 5."""
    back = translation(torch.tensor([[0.0, 0.0, 1.0]]))
    rho = inverse_depth_in(torch.full((1, 1, 3, 3), 0.25), CAMERA, back, CAMERA)
    torch.testing.assert_close(rho, torch.full((1, 1, 3, 3), 0.2))


def test_the_error_of_whole_windows_has_the_papers_mean():
    from cyclopean.losses import ALPHA, dissimilarity, ssim

    x, y = torch.rand(2, 3, 9, 12), torch.rand(2, 3, 9, 12)
    expected = ALPHA * dissimilarity(ssim(x, y)).mean() + (1 - ALPHA) * (x - y).abs().mean()
    torch.testing.assert_close(appearance(x, y).mean(), expected)


def test_levels_are_fal_nets(golden):
    """From d_min to d_max in equal proportions; with n/N, as one paper prints it, there would be one more."""
    truth = golden("falnet_levels")
    for n in (33, 49):
        ours = LevelsHead(2.0, 300.0, n).levels()
        torch.testing.assert_close(torch.tensor(ours).double(), truth[f"N{n}_2_300"], rtol=1e-6, atol=0)


def test_the_mean_over_levels_is_fal_nets(golden):
    truth = golden("falnet_synth")
    head = LevelsHead(float(truth["min_disp"]), float(truth["max_disp"]), truth["logits"].shape[1])
    torch.testing.assert_close(head(truth["logits"]), truth["disp"], atol=5e-6, rtol=1e-5)


def test_range_is_monodepth2s(golden):
    truth = golden("md2_disp_to_depth")
    head = DepthRangeHead(float(truth["min_depth"]), float(truth["max_depth"]))
    torch.testing.assert_close(head(truth["sigmoid"].logit()), truth["scaled_disp"], rtol=1e-5, atol=1e-6)


def test_units_of_heads():
    """Disparity is focal length times baseline times inverse depth; Monodepth2's KITTI depth times 5.4 is in metres."""
    for head, unit in (("disparity", 0.58 * 0.54), ("range", 5.4), ("levels", 0.58 * 0.54)):
        method = Monodepth2("compact", 0.1, rules=replace(MONODEPTH2, head=head))
        assert method.unit((0.58, 0.54)) == pytest.approx(unit)
