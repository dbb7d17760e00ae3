from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from cyclopean.errors import InputError
from cyclopean.geometry import Pinhole, translation
from cyclopean.methods.supervised import Supervised
from cyclopean.methods.supervised_disparity import SupervisedDisparity
from cyclopean.sample import Sample, view


class Prescribed(nn.Module):
    """A network that answers with given inverse depths, averaged to the four scales."""

    multiple = 8

    def __init__(self, rho: Tensor) -> None:
        super().__init__()
        self.rho = rho

    def forward(self, image: Tensor) -> list[Tensor]:
        pools = [nn.functional.avg_pool2d(self.rho, 2**s) for s in range(4)]
        return [p + torch.log(-torch.expm1(-p)) for p in pools]  # the inverse of softplus


def losses(rho: Tensor, depth: Tensor) -> dict[str, float]:
    method = Supervised("vgg", 0.05)
    method.network = Prescribed(rho)
    camera = Pinhole(torch.tensor([[1.0, 1.0]]).expand(len(rho), 2), torch.tensor([[0.5, 0.5]]).expand(len(rho), 2))
    sample = Sample(view(torch.rand(len(rho), 3, *rho.shape[-2:]), camera), (), depth)
    return {name: value.item() for name, value in method.losses(sample).items()}


@pytest.fixture
def rho() -> Tensor:
    """Smooth enough to be averaged."""
    coarse = torch.rand(2, 1, 4, 6) + 0.2
    return nn.functional.interpolate(coarse, (32, 48), mode="bilinear", align_corners=False)


def test_the_truth_in_units_of_its_median_costs_nothing(rho):
    unit = rho.flatten(1).median(1).values[:, None, None, None]
    assert max(losses(rho / unit, 1 / rho).values()) < 1e-5


def test_scenes_near_and_far_weigh_alike(rho):
    guess = torch.full_like(rho, 1.0)
    near, far = losses(guess, 1 / rho), losses(guess, 1000 / rho)
    assert near == pytest.approx(far, rel=1e-4)


def test_a_wrong_factor_costs_little_and_only_in_the_log_term(rho):
    unit = rho.flatten(1).median(1).values[:, None, None, None]
    scaled = losses(3 * rho / unit, 1 / rho)
    wrong = losses(torch.ones_like(rho), 1 / rho)
    assert 0 < scaled["log"] < wrong["log"]
    assert scaled["berhu"] < 0.1 * wrong["berhu"]


def test_sky_wants_zero(rho):
    depth = 1 / rho
    depth[..., :16, :] = torch.inf
    unit = rho[..., 16:, :].flatten(1).median(1).values[:, None, None, None]
    right, wrong = rho / unit, rho / unit
    right[..., :16, :] = 1e-4
    wrong[..., :16, :] = 0.5
    assert sum(losses(right, depth).values()) < 0.02
    assert sum(losses(wrong, depth).values()) > 0.2


def test_unknown_depth_has_no_influence(rho):
    depth = 1 / rho
    depth[..., 8:16, 8:24] = torch.nan
    other = rho.clone()
    other[..., 8:16, 8:24] = 9.0
    assert losses(rho, depth) == pytest.approx(losses(other, depth), rel=1e-5)


@pytest.mark.parametrize("nothing", [torch.nan, torch.inf])
def test_pictures_without_any_ground_give_finite_losses_and_gradients(nothing):
    method = Supervised("compact", 0.1)
    camera = Pinhole(torch.tensor([[1.0, 1.0]]), torch.tensor([[0.5, 0.5]]))
    sample = Sample(view(torch.rand(1, 3, 32, 32), camera), (), torch.full((1, 1, 32, 32), nothing))
    total = sum(method.losses(sample).values())
    total.backward()
    assert total.isfinite()
    assert all(p.grad.isfinite().all() for p in method.parameters())


def test_what_a_view_calls_invalid_is_not_learned(rho):
    method = Supervised("vgg", 0.05)
    method.network = Prescribed(torch.ones_like(rho))
    camera = Pinhole(torch.tensor([[1.0, 1.0]]).expand(2, 2), torch.tensor([[0.5, 0.5]]).expand(2, 2))
    target = view(torch.rand(2, 3, 32, 48), camera)
    sample = Sample(replace(target, valid=torch.zeros_like(target.valid)), (), 1 / rho)
    assert sum(method.losses(sample).values()).item() == 0


def test_the_twin_in_metres_wants_the_true_disparity():
    """And its scale: unlike above, a factor costs. Unknown depth does not count; mirrored pairs are the same."""
    torch.manual_seed(0)
    focal, length = 0.8, 0.2
    camera = Pinhole(torch.tensor([[focal, 1.2]]).expand(2, 2), torch.tensor([[0.5, 0.5]]).expand(2, 2))
    method = SupervisedDisparity("compact", 0.1, rig=(focal, length))
    depth = 2 + nn.functional.interpolate(torch.rand(2, 1, 4, 6), (32, 64), mode="bilinear")

    def told(factor: float, depth: Tensor, side: float = -1.0) -> float:
        true = factor * focal * length / depth.nan_to_num(1.0)
        shares = [nn.functional.avg_pool2d(true, 2**s) / method.head.max_disparity for s in range(4)]
        handle = method.network.register_forward_hook(lambda *_: [(x / (1 - x)).log() for x in shares])
        pose = translation(torch.tensor([[side * length, 0.0, 0.0]])).expand(2, 4, 4)
        image = torch.rand(2, 3, 32, 64)
        with torch.no_grad():
            value = sum(method.losses(Sample(view(image, camera), (view(image, camera, pose),), depth)).values())
            if factor == 1:
                rho = method.predict(view(image, camera)).inverse_depth
                torch.testing.assert_close(1 / rho[depth.isfinite()], depth[depth.isfinite()], rtol=1e-3, atol=0)
        handle.remove()
        return float(value)

    assert told(1.0, depth) < 1e-4
    assert told(1.0, depth, side=1.0) < 1e-4
    assert min(told(0.8, depth), told(1.25, depth)) > 0.2
    holes = depth.clone()
    holes[..., 8:16, 8:24] = torch.nan
    assert told(1.0, holes) < 1e-4
    assert told(1.25, holes) > 0.2
    with pytest.raises(InputError, match="use pairs"):
        method.losses(Sample(view(torch.rand(2, 3, 32, 64), camera), (), depth))
