"""What each mask lets through, on two panels with a closed form: a near one hides part of the wall behind it."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from cyclopean.geometry import Pinhole, reproject, translation
from cyclopean.losses import appearance, photometric
from cyclopean.methods.photometric import (
    HEADS,
    MASKS,
    MONODEPTH2,
    Levels,
    Range,
    Rules,
    Said,
    Side,
    Source,
    _evidence,
    how,
    inverse_depth_there,
    regularised,
    rig_unit,
    terms,
)
from cyclopean.sample import view
from cyclopean.synthesis import pull

H, W = 16, 40
CAMERA = Pinhole(torch.tensor([[1.0, 2.5]]), torch.tensor([[0.5, 0.5]]))
RIGHT = translation(torch.tensor([[-1.0, 0.0, 0.0]]))
PLAIN = Rules()
NEAR, FAR = 8 / W, 2 / W  # disparities of panel and wall: 8 and 2 pixels


def nearness() -> Tensor:
    """A panel of columns 20 to 29 before a wall."""
    found = torch.full((1, 1, H, W), FAR)
    found[..., 20:30] = NEAR
    return found


def weights(mask: str, rules: Rules = PLAIN, images: tuple[Tensor, ...] = (), said: Tensor | None = None) -> Tensor:
    left, *rights = images or (torch.rand(1, 3, H, W), torch.rand(1, 3, H, W))
    everywhere = torch.ones(1, 1, H, W)
    own = Side(CAMERA, left, everywhere, nearness() if said is None else said)
    pairs = [(Side(CAMERA, right, everywhere), RIGHT) for right in rights]
    return MASKS[mask](_evidence(own, pairs, torch.ones(1), how(rules)))


def test_inside_is_what_lands_in_the_other_picture():
    """The wall's first two columns land left of it; the panel's and the wall's others do not."""
    assert weights("inside")[0, 0, 3].tolist() == [0.0] * 2 + [1.0] * (W - 2)


def test_unoccluded_is_what_nothing_nearer_hides():
    """The panel moves left by 8, the wall by 2: it lands on where wall columns 14 to 19 (and partly 13, 20) land."""
    seen = weights("unoccluded")[0, 0, 3]
    assert seen[20:30].min() == 1  # the panel itself
    assert seen[15:19].max() == 0  # the wall to its left, hidden from the right eye
    assert seen[30:].min() == 1  # the wall to its right, which only the left eye has hidden from it
    assert seen[3:13].min() == 1
    assert seen[:2].max() == 0  # outside


def test_unoccluded_needs_no_pictures_and_gives_no_gradient():
    said = nearness().requires_grad_()
    assert not weights("unoccluded", said=said).requires_grad
    first, second = (weights("unoccluded") for _ in range(2))
    assert torch.equal(first, second)


def test_best_takes_each_pixel_from_one_source():
    """Two sources, one of which is the truth: errors of the other do not count; each pixel counts once in the mean."""
    right = torch.rand(1, 3, H, W)
    landing = reproject(nearness(), CAMERA, RIGHT, CAMERA)
    left = pull(right, landing.uv, "zeros")
    found = weights("best", images=(left, torch.rand(1, 3, H, W), right), rules=Rules(error="l1"))
    assert found[:, 1, :, 3:].min() == 2
    assert found[:, 0, :, 3:].max() == 0
    assert (found.mean(1) == 1).all()


def test_auto_leaves_out_what_looks_static():
    """Two equal pictures say that nothing moved, whatever the motion; a tie, too, is no motion."""
    picture = torch.rand(1, 3, H, W)
    assert weights("auto", images=(picture, picture)).max() == 0
    assert (
        weights("auto", images=(torch.zeros(1, 3, H, W), torch.zeros(1, 3, H, W)), rules=Rules(error="l1")).max() == 0
    )


def test_auto_masked_pixels_are_not_made_up_for():
    """Monodepth2 averages over all pixels: a picture that is static in half counts half."""
    moving, rules = torch.rand(1, 3, H, W), replace(MONODEPTH2, mask="auto", head="disparity", scales="finest")
    source = Source(view(torch.rand(1, 3, H, W), CAMERA, RIGHT), RIGHT)
    said = Said((nearness(),))
    found = terms(view(moving, CAMERA), said, [source], rules)["appearance"]
    own = Side(CAMERA, moving, torch.ones(1, 1, H, W), nearness())
    evidence = _evidence(own, [(Side(CAMERA, source.view.image, own.weight), RIGHT)], torch.ones(1), how(rules))
    expected = torch.where(evidence.errors < photometric(source.view.image, moving), evidence.errors, 0).mean()
    torch.testing.assert_close(found, expected)
    assert 0.1 < MASKS["auto"](evidence).mean() < 0.9


def test_belief_weighs_errors_and_disbelief_costs():
    """Zhou et al.: half belief halves the error, and -log(1/2) is what it costs."""
    views = [view(torch.rand(1, 3, H, W), CAMERA), view(torch.rand(1, 3, H, W), CAMERA, RIGHT)]
    rules, source = Rules(mask="learned", scales="finest"), Source(views[1], RIGHT)
    beliefs = (torch.full((1, 1, H, W), belief) for belief in (1.0, 0.5))
    full, half = (terms(views[0], Said((nearness(),), (belief,)), [source], rules) for belief in beliefs)
    torch.testing.assert_close(half["appearance"], full["appearance"] / 2)
    assert full["explained"] == 0
    assert half["explained"].item() == pytest.approx(0.2 * 0.6931, rel=1e-3)
    assert regularised(torch.zeros(1, 1, 1, 1)).isfinite().all()


def test_what_is_not_nearest_has_no_gradient():
    """Nearest against linear sampling: the same loss, but nothing to learn from."""
    views = [view(torch.rand(1, 3, H, W), CAMERA), view(torch.rand(1, 3, H, W), CAMERA, RIGHT)]
    slopes = {}
    for warp in ("nearest", "linear", "linearized"):
        said = nearness().add(0.003).requires_grad_()
        rules = Rules(warp=warp, scales="finest", smoothness=0.0)
        terms(views[0], Said((said,)), [Source(views[1], RIGHT)], rules)["appearance"].backward()
        assert said.grad is not None
        slopes[warp] = said.grad.abs().max().item()
    assert slopes["nearest"] == 0
    assert min(slopes["linear"], slopes["linearized"]) > 1e-4


def test_inverse_depth_in_another_camera():
    """Straight ahead at depth 4, from 1 further back: 5."""
    back = translation(torch.tensor([[0.0, 0.0, 1.0]]))
    found = inverse_depth_there(torch.full((1, 1, 3, 3), 0.25), CAMERA, back, CAMERA)
    torch.testing.assert_close(found, torch.full((1, 1, 3, 3), 0.2))


def test_the_error_of_whole_windows_has_the_papers_mean():
    from cyclopean.losses import ALPHA, dissimilarity, ssim

    x, y = torch.rand(2, 3, 9, 12), torch.rand(2, 3, 9, 12)
    expected = ALPHA * dissimilarity(ssim(x, y)).mean() + (1 - ALPHA) * (x - y).abs().mean()
    torch.testing.assert_close(appearance(x, y).mean(), expected)


def test_levels_are_fal_nets(golden):
    """From d_min to d_max in equal proportions; with n/N, as one paper prints it, there would be one more."""
    truth = golden("falnet_levels")
    for n in (33, 49):
        ours = Levels(2.0, 300.0, n).levels()
        torch.testing.assert_close(torch.tensor(ours).double(), truth[f"N{n}_2_300"], rtol=1e-6, atol=0)


def test_the_mean_over_levels_is_fal_nets(golden):
    truth = golden("falnet_synth")
    head = Levels(float(truth["min_disp"]), float(truth["max_disp"]), truth["logits"].shape[1])
    torch.testing.assert_close(head(truth["logits"]), truth["disp"], atol=5e-6, rtol=1e-5)


def test_range_is_monodepth2s(golden):
    truth = golden("md2_disp_to_depth")
    head = Range(float(truth["min_depth"]), float(truth["max_depth"]))
    torch.testing.assert_close(head(truth["sigmoid"].logit()), truth["scaled_disp"], rtol=1e-5, atol=1e-6)


def test_units_of_heads():
    """Disparity is focal length times baseline times inverse depth; Monodepth2's KITTI depth times 5.4 is in metres."""
    assert rig_unit(HEADS["disparity"], (0.58, 0.54)) == pytest.approx(0.58 * 0.54)
    assert rig_unit(HEADS["range"], (0.58, 0.54)) == pytest.approx(5.4)
    assert rig_unit(HEADS["levels"], (0.58, 0.54)) == pytest.approx(0.58 * 0.54)
