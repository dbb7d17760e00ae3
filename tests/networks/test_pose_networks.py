"""Pose networks: parameter counts as published, small motions at the start, order of frames."""

import torch

from cyclopean.networks.pose import PoseCnn, PoseResnet


def test_as_many_parameters_as_published() -> None:
    pair = PoseResnet()
    encoder = sum(p.numel() for p in pair.encoder.parameters())
    assert encoder == 11_185_920
    assert sum(p.numel() for p in pair.parameters()) - encoder == 1_314_572
    assert sum(p.numel() for p in PoseCnn().parameters()) == 1_586_774


def test_motion_begins_small_depends_on_order_and_teaches_every_parameter() -> None:
    torch.manual_seed(0)
    first, second = torch.rand(2, 2, 3, 64, 96)
    for network in (PoseResnet(0.25), PoseCnn(0.5)):
        there, back = network(first, second), network(second, first)
        assert there.shape == (2, 6)
        assert there.abs().max() < 0.1
        assert not torch.allclose(there, back)
        there.square().sum().backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
