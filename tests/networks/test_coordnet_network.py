import numpy as np
import pytest
import torch

from cyclopean.networks.coordnet import Coordnet, coordinates


def formula_weights(network: torch.nn.Module) -> None:
    """Golden weights: parameter k is sqrt(2 / fan_in) RandomState(1000 + k).randn(S), a bias 0.01 randn."""
    for k, parameter in enumerate(network.parameters()):
        values = np.random.RandomState(1000 + k).randn(*parameter.shape)
        fan_in = np.prod(parameter.shape[1:])
        values = values * np.sqrt(2 / fan_in) if parameter.ndim == 4 else 0.01 * values
        parameter.data = torch.from_numpy(values.astype(np.float32))


@pytest.mark.parametrize(("with_coordinates", "count"), [(True, 1_696_483), (False, 1_666_753)])
def test_it_has_the_papers_size(with_coordinates, count):
    assert sum(p.numel() for p in Coordnet(with_coordinates).parameters()) == count
    assert sum(p.numel() for p in Coordnet(with_coordinates, circular=True).parameters()) == count


def test_it_computes_what_the_release_computes(golden):
    truth = golden("coordnet_forward")
    network = Coordnet()
    assert len(list(network.parameters())) == len(truth["param_names"])
    formula_weights(network)
    with torch.no_grad():
        ours = network(truth["input"].float()).double()
    expected = truth["output_before_abs"]
    assert (ours - expected).abs().max() < 1e-5 * expected.abs().max()


def test_coordinates_are_row_then_column(golden):
    """Trap 13: the release calls its dims x = H, y = W."""
    expected = golden("coordnet_forward")["addcoords_16x32"].float()
    torch.testing.assert_close(coordinates(torch.zeros(1, 5, 16, 32)), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", [(8, 16), (36, 72), (20, 64)])
def test_any_size_that_is_a_multiple_of_four(size):
    """Trap 13: the release's channels are built for 512 columns."""
    with torch.no_grad():
        assert Coordnet()(torch.rand(2, 3, *size)).shape == (2, 1, *size)


def test_the_first_guess_is_five_metres():
    with torch.no_grad():
        guess = Coordnet()(torch.zeros(1, 3, 16, 32))
    assert 3 < guess.mean() < 7


def test_circular_columns_close_the_seam():
    """Without coordinates, a picture turned by a multiple of 4 columns gives depth turned alike; not so with zeros."""
    image = torch.rand(1, 3, 16, 32)
    for circular, close in ((True, True), (False, False)):
        torch.manual_seed(0)
        network = Coordnet(False, circular)
        with torch.no_grad():
            turned, straight = network(image.roll(12, -1)), network(image).roll(12, -1)
        assert torch.allclose(turned, straight, atol=1e-5) is close


def test_circular_keeps_what_is_far_from_the_seam():
    """The same weights, the same middle: only columns that see the border differ. No coordinates, one block's reach."""
    torch.manual_seed(0)
    plain, closed = Coordnet(False), Coordnet(False, circular=True)
    closed.load_state_dict(plain.state_dict())
    image = torch.rand(1, 3, 16, 512)
    with torch.no_grad():
        difference = (plain(image) - closed(image)).abs()[0, 0].amax(0)
    assert difference[:4].max() > 1e-3
    assert difference[128:384].max() < 1e-5
