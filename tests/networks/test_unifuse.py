"""UniFuse: its range, its fusion, and what of the cube reaches which pixels."""

import torch
from torch import nn

from cyclopean.networks.unifuse import Fusion, Unifuse


def test_depth_is_between_zero_and_ten_metres():
    torch.manual_seed(0)
    network = Unifuse(18, 0.25).eval()
    for bias, low, high in ((0.0, 2, 8), (50.0, 9.99, 10), (-50.0, 0, 0.01)):
        nn.init.constant_(network.head.bias, bias)
        with torch.no_grad():
            depth = network(torch.rand(1, 3, 64, 128))
        assert (depth >= low).all()
        assert (depth <= high).all()


def test_the_cube_is_seen_where_it_stands():
    """A black patch ahead changes the cube's features of what is ahead; of what is behind nothing (widest reach)."""
    torch.manual_seed(0)
    network = Unifuse(18, 0.125).eval()
    seen = []
    network.fuse[0].register_forward_hook(lambda module, inputs, output: seen.append(inputs[1]))
    image = torch.rand(1, 3, 128, 256)
    other = image.clone()
    other[..., 56:72, 120:136] = 0
    with torch.no_grad():
        network(image), network(other)
    change = (seen[0] - seen[1]).abs().amax(1)[0]
    assert change.shape == (64, 128)
    assert change[28:36, 60:68].min() > 0
    assert change[:, :40].max() == 0
    assert change[:, 88:].max() == 0


def test_fusion_is_a_residual_on_the_cube():
    """With a residual of zero and equal weights of channels, what is left is a 1x1 convolution of both."""
    torch.manual_seed(0)
    fuse = Fusion(4).eval()
    nn.init.zeros_(fuse.residual[1].weight)
    nn.init.zeros_(fuse.excite.weight)
    whole, cube = torch.rand(2, 1, 4, 4, 8)
    with torch.no_grad():
        fused = fuse(whole, cube)
        expected = fuse.reduce(0.5 * torch.cat([whole, cube], 1)).relu()
        nn.init.ones_(fuse.residual[1].weight)
        assert not torch.allclose(fuse(whole, cube), expected)
    torch.testing.assert_close(fused, expected)
