"""The compact network: sizes of its outputs, its weight, and that a picture is judged by itself."""

import pytest
import torch

from cyclopean.networks.compact import Compact


@pytest.mark.parametrize(("width", "outputs"), [(0.75, 1), (0.25, 2)])
@pytest.mark.parametrize("size", [(32, 64), (96, 32)])
def test_four_heads_each_half_the_size_of_the_last(width, outputs, size):
    made = Compact(width, outputs)(torch.rand(2, 3, *size))
    assert [tuple(x.shape) for x in made] == [(2, outputs, size[0] // 2**s, size[1] // 2**s) for s in range(4)]


def test_multiple_is_the_smallest_that_fits():
    network = Compact(0.25)
    assert network.multiple == 32
    network(torch.rand(1, 3, 32, 32))
    with pytest.raises(Exception, match=r"must match|h2|w2"):
        network(torch.rand(1, 3, 48, 32))


def test_number_of_parameters():
    assert sum(p.numel() for p in Compact(0.75, 1).parameters()) == 5_003_044


def test_every_parameter_gets_a_gradient():
    network = Compact(0.25, 1)
    sum(head.square().sum() for head in network(torch.rand(2, 3, 64, 64))).backward()
    without = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not without


def test_heads_begin_near_zero():
    for head in Compact(0.75)(torch.rand(1, 3, 64, 64)):
        assert head.abs().max() < 0.1


def test_a_picture_does_not_depend_on_the_others_in_its_batch():
    network = Compact(0.25)
    one, other = torch.rand(1, 3, 64, 64), 5 * torch.rand(1, 3, 64, 64)
    alone, together = network(one), network(torch.cat([one, other]))
    for a, b in zip(alone, together, strict=True):
        torch.testing.assert_close(a, b[:1])
    assert not torch.allclose(together[0][0], together[0][1])
