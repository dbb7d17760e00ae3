"""UniFuse: its sizes, and what of the cube reaches which pixels."""

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from cyclopean.networks import build_panoramic
from cyclopean.networks.resnet import Encoder, start_from
from cyclopean.networks.unifuse import Fusion, Unifuse


def test_it_has_the_papers_sizes():
    for name, count in (("unifuse", 30_263_281), ("unifuse34", 50_479_601), ("unifuse50", 131_301_617)):
        with torch.device("meta"):
            assert sum(p.numel() for p in build_panoramic(name).parameters()) == count


@pytest.mark.parametrize(("size", "width"), [((64, 128), 0.25), ((128, 256), 0.1), ((512, 1024), 1.0)])
def test_any_size(size, width):
    torch.manual_seed(0)
    network = Unifuse(18, width).eval()
    with torch.no_grad():
        depth = network(torch.rand(1, 3, *size))
    assert depth.shape == (1, 1, *size)
    assert (depth > 0).all()
    assert (depth < 10).all()


def test_every_weight_learns():
    torch.manual_seed(0)
    network = Unifuse(18, 0.125)
    network(torch.rand(2, 3, 64, 128)).square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


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


def test_both_encoders_start_from_trained_weights(tmp_path):
    tensors = {k: v for k, v in Encoder(18, 0.125).state_dict().items() if not k.endswith("tracked")}
    save_file(tensors, tmp_path / "r.safetensors")
    network = Unifuse(18, 0.125)
    start_from(network, tmp_path / "r.safetensors")
    for encoder in (network.encoder, network.cube_encoder):
        assert torch.equal(encoder.layer3[0].conv1.weight, tensors["layer3.0.conv1.weight"])
