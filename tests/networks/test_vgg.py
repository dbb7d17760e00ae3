import numpy as np
import pytest
import torch

from cyclopean.errors import InputError
from cyclopean.networks import build
from cyclopean.networks.vgg import Vgg


def formula_weights(network, names) -> None:
    """Golden weights: parameter k of shape S is sqrt(2 / fan_in) RandomState(1000 + k).randn(S), bias 0.01 randn."""
    for k, (parameter, name) in enumerate(zip(network.parameters(), names, strict=True)):
        shape = tuple(map(int, str(name).rsplit(":", 1)[1].split("x")))
        values = np.random.RandomState(1000 + k).randn(*shape)
        is_weight = len(shape) == 4
        values = (values * np.sqrt(2 / np.prod(shape[:3]))).transpose(3, 2, 0, 1) if is_weight else 0.01 * values
        parameter.data = torch.from_numpy(values.astype(np.float32))


def test_it_has_the_papers_size():
    assert sum(p.numel() for p in Vgg().parameters()) == 31_600_072


def test_it_computes_what_the_release_computes(golden):
    truth = golden("md1_net_vgg")
    network = Vgg()
    formula_weights(network, truth["var_names"])
    with torch.no_grad():
        disparities = [0.3 * raw.sigmoid() for raw in network(truth["input_nhwc"].float().permute(0, 3, 1, 2))]
    expected = (truth["disp1_stride4"], truth["disp2_stride2"], truth["disp3"], truth["disp4"])
    for disparity, step, values in zip(disparities, (4, 2, 1, 1), expected, strict=True):
        ours = disparity[..., ::step, ::step].permute(0, 2, 3, 1).double()
        torch.testing.assert_close(ours, values, atol=1e-5, rtol=0)


def test_width_and_outputs_scale_it():
    heads = build("vgg", 0.25, 3)(torch.rand(1, 3, 128, 256))
    assert [tuple(h.shape) for h in heads] == [(1, 3, 128 >> s, 256 >> s) for s in range(4)]


def test_an_unknown_network_suggests_the_nearest():
    with pytest.raises(InputError, match="did you mean 'vgg'"):
        build("vgg16", 1.0, 2)
