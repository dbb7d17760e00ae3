"""The mobile network: its contract, and that its encoder is the one whose released weights it can take."""

import pytest
import torch
import torch.nn.functional as F

from cyclopean.networks import build
from cyclopean.networks.mobile import Folded, Mobile


def test_parameters_and_sizes():
    network = build("mobile", 1.0, 1)
    assert sum(p.numel() for p in network.parameters()) == 3_503_164
    heads = network(torch.rand(2, 3, 64, 96))
    assert [tuple(h.shape) for h in heads] == [(2, 1, 64 >> s, 96 >> s) for s in range(4)]


def test_encoder_is_mobilenet_v2_with_folded_normalisation():
    """Sandler et al. 2018, table 2: 17 blocks after the first layer, the last with 320 channels."""
    encoder = Mobile().encoder
    layers = [m for m in encoder.modules() if isinstance(m, torch.nn.Conv2d)]
    assert len(layers) == 51
    assert sum(p.numel() for p in encoder.parameters()) == 1_795_936
    assert [tuple(f.shape[1:]) for f in encoder(torch.rand(1, 3, 64, 64))] == [
        (16, 32, 32), (24, 16, 16), (32, 8, 8), (96, 4, 4), (320, 2, 2)
    ]  # fmt: skip


def test_strided_layers_pad_right_and_below_only():
    layer = Folded(1, 1, stride=2)
    torch.nn.init.zeros_(layer.bias)
    with torch.no_grad():
        layer.weight.copy_(torch.arange(9.0).reshape(1, 1, 3, 3))
    image = torch.zeros(1, 1, 4, 4)
    image[..., 0, 0] = 1
    assert layer(image)[0, 0].tolist() == [[0, 0], [0, 0]]
    image = torch.rand(1, 1, 4, 4)
    expected = F.conv2d(F.pad(image, (0, 1, 0, 1)), layer.weight, stride=2)
    assert torch.equal(layer(image), expected)


@pytest.mark.parametrize("width", [0.5, 1.0])
def test_borders_are_not_darker_than_the_middle(width: float):
    """A picture of one colour gives one depth in the decoder: padding repeats what is there."""
    torch.manual_seed(0)
    network = Mobile(width).eval()
    features = network.bottom.refine(torch.ones(1, network.bottom.reduce.out_channels, 4, 4))
    assert features.flatten(2).std(2).max() < 1e-5


def test_every_weight_learns():
    torch.manual_seed(0)
    network = Mobile(0.5)
    sum(h.square().mean() for h in network(torch.rand(2, 3, 64, 64))).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())
