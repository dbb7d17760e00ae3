"""AQUANet and FAL-Net through the fused sweep: the losses and gradients of torch's, and no stack of levels."""

from dataclasses import replace

import torch
from torch import Tensor

from cyclopean import kernels
from cyclopean.geometry import Pinhole, translation
from cyclopean.methods.aquanet import Aquanet, Frozen
from cyclopean.methods.base import Method
from cyclopean.methods.falnet import Falnet
from cyclopean.sample import Sample, view
from methods.test_deep3d import Live


def smooth(b: int, size: tuple[int, int]) -> Tensor:
    """A picture of large patches."""
    return torch.nn.functional.interpolate(torch.rand(b, 3, 6, 8), size, mode="bilinear")


def clip(b: int, size: tuple[int, int]) -> Sample:
    """A camera that goes forward, with frames behind and ahead."""
    camera = Pinhole(torch.tensor([[0.8, 1.2]]).repeat(b, 1), torch.tensor([[0.5, 0.5]]).repeat(b, 1))
    poses = [translation(torch.tensor([[0.3, -0.1, z]]).repeat(b, 1)) for z in (1.5, -1.5)]
    sources = tuple(view(smooth(b, size), camera, pose) for pose in poses)
    return Sample(view(smooth(b, size), camera), sources, torch.ones(b, 1, *size))


def pair(b: int, size: tuple[int, int]) -> Sample:
    """Two cameras beside each other."""
    sample = clip(b, size)
    right = replace(sample.sources[0], from_target=translation(torch.tensor([[-0.5, 0.0, 0.0]]).repeat(b, 1)))
    return replace(sample, sources=(right,))


def answers(method: Method, sample: Sample) -> tuple[dict[str, Tensor], list[Tensor]]:
    """The losses, and the gradient of their sum by every parameter."""
    losses = method(sample)
    return losses, list(torch.autograd.grad(sum(losses.values()), list(method.parameters())))


def test_losses_and_gradients_are_those_of_torch(monkeypatch) -> None:
    torch.manual_seed(0)
    rules = [{"planes": "target"}, {"planes": "source"}, {"spacing": "linear"}, {"spacing": "exponential"}]
    methods: list[tuple[Method, Sample]] = [
        (Aquanet(0.05, rules={"levels": 9, "mask": "none", **rule}), clip(2, (64, 96))) for rule in rules
    ]
    first, second = Falnet(0.05, rules={"levels": 9}), Falnet(0.05, stage=2, rules={"levels": 9})
    second.first = Frozen(Falnet(0.05, rules={"levels": 9}).network)
    methods += [(first, pair(2, (64, 96))), (second, pair(2, (64, 96)))]
    choose, chosen = kernels.fused_sweep, []
    for method, sample in methods:
        chosen.clear()
        with monkeypatch.context() as patch:
            patch.setattr(kernels, "fused_sweep", lambda *given: chosen.append(choose(*given)) or chosen[-1])
            losses, gradients = answers(method, sample)
        assert chosen
        assert None not in chosen
        with monkeypatch.context() as patch:
            patch.setattr(kernels, "fused_sweep", lambda *_: None)
            plain_losses, plain_gradients = answers(method, sample)
        assert losses.keys() == plain_losses.keys()
        for name, value in losses.items():
            torch.testing.assert_close(value, plain_losses[name], rtol=1e-4, atol=1e-7)
        for (name, _), ours, plain in zip(method.named_parameters(), gradients, plain_gradients, strict=True):
            assert (ours - plain).norm() <= 1e-4 * plain.norm(), name


def test_training_stacks_nothing_of_all_levels() -> None:
    """At the size of KITTI, in planes of one channel for each level: logits, their gradient, what is added to it."""
    size, peaks = (192, 640), []
    for n in (9, 33):
        method, sample = Aquanet(0.05, rules={"levels": n, "mask": "none"}), clip(1, size)
        with Live() as live:
            sum(method(sample).values()).backward()
        peaks.append(live.peak / (4 * size[0] * size[1]))
    assert 1 < (peaks[1] - peaks[0]) / (33 - 9) <= 3
