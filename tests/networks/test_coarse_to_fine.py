"""Heads that correct each other: what comes out is a sum over scales, and where it begins is one depth."""

import torch
import torch.nn.functional as F
from torch import nn

from cyclopean.bench.stereo import far
from cyclopean.methods.monodepth import Monodepth
from cyclopean.networks import build


def test_each_scale_adds_to_the_coarser_ones():
    for name in ("compact-residual", "mobile-residual"):
        network = build(name, 0.25, 2, 6)
        for number, head in enumerate(network.body.heads):  # type: ignore[union-attr, arg-type]
            nn.init.zeros_(head.weight)
            head.bias.data = torch.tensor([1.0, 10.0]) * 2.0**number
        outputs = network(torch.rand(1, 6, 32, 64))
        assert [tuple(x.shape) for x in outputs] == [(1, 2, 32 >> s, 64 >> s) for s in range(4)]
        for output, total in zip(outputs, (15, 14, 12, 8), strict=True):
            assert torch.allclose(output[:, 0], torch.tensor(float(total)))
            assert torch.allclose(output[:, 1], torch.tensor(10.0 * total))
        assert len(network.features(torch.rand(1, 6, 32, 64))) == 2  # type: ignore[operator]


def test_the_coarsest_head_is_seen_at_every_scale():
    """Upsampled bilinearly: a step of the coarsest map is a ramp at the finest."""
    network = build("compact-residual", 0.25, 1)
    answers = [torch.zeros(1, 1, 32 >> s, 32 >> s) for s in range(4)]
    answers[3][..., 2:] = 1.0
    network.body.register_forward_hook(lambda *_: list(answers))  # type: ignore[union-attr]
    finest = network(torch.rand(1, 3, 32, 32))[0]
    expected = answers[3]
    for _ in range(3):
        expected = F.interpolate(expected, scale_factor=2, mode="bilinear", align_corners=False)
    assert torch.equal(finest, expected)


def test_the_first_guess_is_the_same_for_both_kinds():
    for name in ("compact", "compact-residual"):
        method = Monodepth(name, 0.25).eval()
        far(method)
        with torch.no_grad():
            raws = method.network(torch.rand(1, 3, 32, 64))
            disparity = method.decode(raws)[0].disparities[0]
        assert torch.allclose(disparity, torch.tensor(0.03), rtol=0.2)
