"""ResNets: sizes of the papers, and trained weights as three libraries name them. `hf_resnet`: run in transformers."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from cyclopean.errors import InputError
from cyclopean.methods.photometric import PerceptualFeatures
from cyclopean.networks import NETWORKS, build
from cyclopean.networks.resnet import Encoder, Shortcut, pretrained, start_from


def count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(
    ("name", "outputs", "parameters"),
    [
        ("resnet50-elu", 2, 49_466_152),  # projections where the shape changes: the paper's "48 million"
        ("resnet50-elu-projected", 2, 58_452_008),  # in every unit: as released
        ("resnet18", 1, 11_176_512 + 3_152_724),  # Monodepth2
        ("resnet50", 1, 23_508_032 + 9_014_100),
    ],
)
def test_they_have_the_papers_sizes(name, outputs, parameters):
    with torch.device("meta"):
        assert count(build(name, 1.0, outputs)) == parameters


def test_two_pictures_at_once_make_the_first_layer_twice_as_wide():
    with torch.device("meta"):
        assert count(build("vgg", 1.0, 2, 6)) == 31_604_776


@pytest.mark.parametrize("name", NETWORKS)
def test_four_scales_and_features_at_a_half_and_a_quarter(name):
    network = build(name, 0.1, 2, 6)
    image = torch.rand(1, 6, 128, 128)
    assert [tuple(raw.shape) for raw in network(image)] == [(1, 2, 128 >> s, 128 >> s) for s in range(4)]
    assert [x.shape[-1] for x in network.features(image)] == [64, 32]


def test_pooling_pads_zeros():
    """ELU's values reach down to -1: a border of zeros shows, one of minus infinity (torch's own) does not."""
    network = build("resnet50-elu", 0.1, 1)
    nn.init.constant_(network.first.bias, -5.0)
    _, pooled = network.features(torch.zeros(1, 3, 64, 64))
    assert pooled[..., 0, :].max() == 0
    assert pooled[..., 1:, 1:].max() < -0.9


def formula(names: list[str], shapes: list[str]) -> dict[str, Tensor]:
    """The weights of the fixture: tensor k is made of RandomState(1000 + k).randn(*shape)."""
    found = {}
    for k, (name, text) in enumerate(zip(names, shapes, strict=True)):
        shape = tuple(int(n) for n in text.split("x") if n)
        values = np.random.RandomState(1000 + k).randn(*shape) if shape else np.zeros(())
        if len(shape) == 4:
            values = values.astype(np.float32) * np.sqrt(2 / np.prod(shape[1:]))
        elif name.endswith("running_var"):
            values = 1 + 0.1 * np.abs(values)
        elif name.endswith("normalization.weight"):
            values = 1 + 0.1 * values
        else:
            values = 0.1 * values
        found[name] = torch.from_numpy(np.asarray(values, np.float32))
    return found


@pytest.fixture
def checkpoints(golden, tmp_path) -> dict[int, Path]:
    """Small ResNets in files as transformers write them."""
    truth = golden("hf_resnet")
    for depth in (18, 50):
        folder = tmp_path / str(depth)
        folder.mkdir()
        save_file(formula(truth[f"names{depth}"], truth[f"shapes{depth}"]), folder / "model.safetensors")
    return {depth: tmp_path / str(depth) for depth in (18, 50)}


@pytest.mark.parametrize("depth", [18, 50])
def test_weights_of_transformers_compute_what_they_compute_there(depth, golden, checkpoints):
    truth = golden("hf_resnet")
    encoder = pretrained(checkpoints[depth]).eval()
    with torch.no_grad():
        features = encoder(truth["image"].float())
    torch.testing.assert_close(features[1][..., ::4, ::4].double(), truth[f"quarter{depth}"], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(features[-1].double(), truth[f"last{depth}"], rtol=1e-3, atol=1e-4)


def test_torchvisions_names_fit_too(tmp_path):
    encoder = Encoder(18, 0.125)
    tensors = {k: v for k, v in encoder.state_dict().items() if not k.endswith("tracked")}
    save_file(tensors | {"fc.weight": torch.zeros(2, 64), "fc.bias": torch.zeros(2)}, tmp_path / "r.safetensors")
    loaded = pretrained(tmp_path / "r.safetensors")
    assert all(torch.equal(loaded.state_dict()[k], v) for k, v in tensors.items())


def test_a_network_starts_from_them(checkpoints):
    network, both = build("resnet18", 0.125, 1), build("resnet18", 0.125, 2, 6)
    start_from(network, checkpoints[18])
    trained = pretrained(checkpoints[18])
    assert torch.equal(network.encoder.layer4[1].conv2.weight, trained.layer4[1].conv2.weight)
    start_from(both, checkpoints[18])  # of two equal pictures it makes what one makes
    image = torch.rand(1, 3, 32, 32)
    normal = (image - 0.45) / 0.225
    torch.testing.assert_close(both.encoder.conv1(torch.cat([normal, normal], 1)), trained.conv1(normal))


def test_a_perceptual_network_is_read_when_it_is_needed(checkpoints, tmp_path):
    features = PerceptualFeatures(checkpoints[18])
    assert [x.shape[-1] for x in features(torch.rand(1, 3, 32, 32))] == [16, 8]
    absent = PerceptualFeatures(tmp_path / "gone")  # who only predicts needs no such file
    with pytest.raises(InputError, match="gone is missing"):
        absent(torch.rand(1, 3, 32, 32))


def test_what_does_not_fit_is_refused(checkpoints, tmp_path):
    save_file({"weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    (tmp_path / "broken.safetensors").write_bytes(b"broken")
    with pytest.raises(InputError, match="holds no ResNet"):
        pretrained(tmp_path / "other.safetensors")
    with pytest.raises(InputError, match="missing or no safetensors file"):
        pretrained(tmp_path / "broken.safetensors")
    with pytest.raises(InputError, match="of another size"):
        start_from(build("resnet50", 0.125, 1), checkpoints[18])
    with pytest.raises(InputError, match="only a ResNet can start"):
        start_from(build("compact", 0.25, 1), checkpoints[18])


def test_narrow_shortcuts_are_differentiated_with_channels_last():
    """A strided 1x1 convolution of few channels corrupts memory there: see `Shortcut`, which is the same otherwise."""
    own = Shortcut(4, 6, 2, bias=True)
    strided = torch.nn.Conv2d(4, 6, 1, 2)
    strided.load_state_dict(own.state_dict())
    picture = torch.rand(2, 4, 17, 16)
    torch.testing.assert_close(own(picture), strided(picture))
    own.to(memory_format=torch.channels_last)
    for _ in range(50):
        seen = picture.contiguous(memory_format=torch.channels_last).requires_grad_()
        own(seen).square().sum().backward()
        assert seen.grad is not None
        assert seen.grad[:, :, 1::2].eq(0).all()


@pytest.mark.parametrize("size", [(32, 32), (32, 128), (96, 32)])
def test_pictures_of_one_pixel_at_the_end_are_taken(size):
    """Very long photos come to it; nothing can be reflected there."""
    raws = build("resnet18", 0.125, 1).eval()(torch.rand(1, 3, *size))
    assert raws[0].shape == (1, 1, *size)
    assert raws[0].isfinite().all()
