"""Pose networks: parameter counts as published, small motions at the start, order of frames."""

import math

import pytest
import torch

from cyclopean.networks.pose import RANGES, PoseCnn, PoseNet, PoseNetDr, PoseResnet


def test_as_many_parameters_as_published() -> None:
    pair = PoseResnet()
    encoder = sum(p.numel() for p in pair.encoder.parameters())
    assert encoder == 11_185_920
    assert sum(p.numel() for p in pair.parameters()) - encoder == 1_314_572
    for network, count in ((PoseCnn(), 1_586_774), (PoseNet(), 5_941_888), (PoseNetDr(), 5_299_392)):
        assert sum(p.numel() for p in network.parameters()) == count


def test_motion_begins_small_depends_on_order_and_teaches_every_parameter() -> None:
    torch.manual_seed(0)
    first, second = torch.rand(2, 2, 3, 64, 96)
    binned = PoseNetDr(0.25)
    assert (binned(first, second) == 0).all()
    torch.nn.init.normal_(binned.head.weight, std=1e-4)
    for network in (PoseResnet(0.25), PoseCnn(0.5), PoseNet(0.25), binned):
        there, back = network(first, second), network(second, first)
        assert there.shape == (2, 6)
        assert there.abs().max() < 0.1
        assert not torch.allclose(there, back)
        there.square().sum().backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_binned_numbers_are_means_over_their_ranges() -> None:
    """In a plain loop; all weight on the last bin is the end of the range, on the first its negative."""
    network = PoseNetDr(0.05).double()
    torch.nn.init.normal_(network.head.weight)
    features = torch.randn(2, network.channels, 3, 4, dtype=torch.float64)
    logits = network.head(features).mean((2, 3)).detach()
    motion = network.motion(features).detach()
    for b in range(2):
        for n, most in enumerate((2, 1, 10, math.pi / 6, math.pi / 4, math.pi / 6)):
            assert RANGES[n] == most
            weights = logits[b, 32 * n : 32 * n + 32].softmax(0)
            mean = sum(float(w) * (-most + 2 * most * k / 31) for k, w in enumerate(weights))
            assert float(motion[b, n]) == pytest.approx(mean, abs=1e-5)
