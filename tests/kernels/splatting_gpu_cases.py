"""What the kernels for GPUs have to do, on a GPU where there is one, else in Triton's interpreter.

Collected by `test_splatting_gpu`, in a process of its own: Triton decides when it is imported whether it interprets.
"""

import pytest
import torch
from test_splatting import SIZE, answers, scattered

from cyclopean import kernels, synthesis
from cyclopean.kernels import splatting_gpu
from cyclopean.synthesis import splat_plain

F64 = torch.float64
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
CLOSE = {torch.float64: {}, torch.float32: {"rtol": 1e-4, "atol": 1e-4}}
every_border = pytest.mark.parametrize("border", ["zeros", "edge", "sphere"])


@pytest.fixture(params=[False, True], ids=["as they come", "deterministic"])
def whole(request, monkeypatch):
    """Sums as the GPU takes them, and sums of whole numbers."""
    monkeypatch.setattr(torch, "are_deterministic_algorithms_enabled", lambda: request.param)
    return request.param


def on_device(inputs: list[torch.Tensor], channels: int = 3) -> list[torch.Tensor]:
    image, uv, weight = (t.detach().to(DEVICE) for t in inputs)
    return [t.clone().requires_grad_() for t in (image[:, :channels], uv, weight)]


def fused(*inputs):
    return splatting_gpu.SplatOnGpu.apply(*inputs)


@every_border
@pytest.mark.parametrize("dtype", list(CLOSE), ids=str)
def test_it_is_the_plain_one_forward_and_backward(border, dtype, whole, monkeypatch):
    """Two items in blocks of which the last is not full, one channel in one case."""
    monkeypatch.setattr(splatting_gpu, "BLOCK", 32)
    inputs = on_device(scattered(2, SIZE, dtype), 1 if border == "edge" else 3)
    with torch.no_grad():  # float32 has its kinks elsewhere on another device
        inputs[1].copy_((inputs[1] * 64).round() / 64 + 0.001)
    for ours, plain in zip(answers(fused, inputs, border), answers(splat_plain, inputs, border), strict=True):
        torch.testing.assert_close(ours, plain, **CLOSE[dtype])


@every_border
def test_in_deterministic_mode_the_order_of_pixels_changes_no_bit(border, monkeypatch):
    """A sum of float32 numbers depends on their order: the plain one, on the same inputs, shows it."""
    monkeypatch.setattr(torch, "are_deterministic_algorithms_enabled", lambda: True)
    image, uv, weight = (t.detach() for t in on_device(scattered(1, (16, 32), torch.float32)))
    uv = uv * 0.2 + 0.4  # many pixels on few
    turned = image.flip(2, 3), uv.flip(1, 2), weight.flip(2, 3)
    for ours, again in zip(fused(image, uv, weight, border), fused(*turned, border), strict=True):
        assert torch.equal(ours, again)
    plain, again = splat_plain(image, uv, weight, border), splat_plain(*turned, border)
    assert DEVICE == "cuda" or not torch.equal(plain[1], again[1])


@every_border
def test_what_has_no_place_goes_nowhere(border, whole):
    image, uv, weight = (t.detach() for t in on_device(scattered(1)))
    lost = torch.zeros(1, *SIZE, dtype=torch.bool, device=DEVICE)
    lost[0, 2:4, 3:5] = True
    gone, _ = fused(image, uv, weight * ~lost[:, None], border)
    for nowhere in (torch.nan, torch.inf, -torch.inf):
        inputs = [image, torch.where(lost[..., None], nowhere, uv), weight]
        made = answers(fused, [t.clone().requires_grad_() for t in inputs], border)
        torch.testing.assert_close(made[0].detach(), gone)
        assert all(m.isfinite().all() for m in made)


def test_over_the_seam_the_right_hand_neighbour_is_the_first_column(whole):
    """The release drops it, which leaves a seam (its trap 8)."""
    image, weight = torch.ones(1, 3, *SIZE, dtype=F64), torch.zeros(1, 1, *SIZE, dtype=F64)
    weight[..., 3, -1] = 1
    uv = torch.full((1, *SIZE, 2), 0.5, dtype=F64)
    uv[0, 3, -1] = torch.tensor([1.04, 3.5 / 6], dtype=F64)
    _, coverage = fused(image.to(DEVICE), uv.to(DEVICE), weight.to(DEVICE), "sphere")
    torch.testing.assert_close(coverage[0, 0, 3, [9, 0]].cpu(), torch.tensor([0.1, 0.9], dtype=F64))
    torch.testing.assert_close(coverage.sum().cpu(), weight.sum())


@pytest.mark.skipif(DEVICE == "cpu", reason="needs a GPU")
def test_on_a_gpu_splat_takes_it():
    inputs = on_device(scattered(2, SIZE, torch.float32))
    assert kernels.fused_splat(*inputs) is kernels.SplatOnGpu
    for ours, plain in zip(synthesis.splat(*inputs, "zeros"), splat_plain(*inputs, "zeros"), strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-4)
