"""AQUANet's boosting: Eq. 8 and 9 in plain numbers, the draft's, and what the paper misprints."""

import pytest
import torch
from torch import Tensor

from cyclopean.methods.post_processing import boost_weights, boosted


def test_weights_of_boosting_sum_to_one(golden) -> None:
    truth = golden("boost_weights")
    weights = boost_weights(truth["dbar"])
    torch.testing.assert_close(1 / weights[0], truth["code_norm"])
    torch.testing.assert_close(sum(weights), truth["code_sum"])
    assert float(truth["printed_sum"][-1]) == 0.5  # the misprint


def test_boosting_of_a_map_that_scales_with_the_picture_is_that_map() -> None:
    where = torch.stack(torch.meshgrid(torch.linspace(-1, 1, 40), torch.linspace(-1, 1, 64), indexing="ij"))[None]
    sizes = []

    def network(image: Tensor, where: Tensor, focal: Tensor) -> Tensor:
        assert image.shape[-2:] == where.shape[-2:]
        sizes.append((image.shape[-2], round(float(focal[0, 0]), 6)))
        return image.shape[-1] / 64 * (0.1 + 0.05 * where[:, :1])

    whole = 0.1 + 0.05 * where[:, :1]
    result = boosted(network, torch.rand(1, 3, 40, 64), where, torch.tensor([[0.4, 0.4]]))
    torch.testing.assert_close(result, whole, rtol=1e-4, atol=0)
    assert sizes == [(40, 0.4), (30, 0.3), (50, 0.5)]


def test_boosting_weighs_sizes_by_how_near_things_are() -> None:
    """Eq. 8 and 9 in plain numbers: three sizes that differ, two columns, the right one nearer."""
    columns = {1.0: (0.1, 0.4), 0.75: (0.2, 0.5), 1.25: (0.3, 0.2)}  # share of the size -> inverse depth of each half

    def network(image: Tensor, where: Tensor, focal: Tensor) -> Tensor:
        factor = image.shape[-1] / 64
        halves = torch.tensor(columns[factor]) * factor
        return halves.repeat_interleave(image.shape[-1] // 2).expand(1, 1, image.shape[-2], -1)

    where = torch.zeros(1, 2, 40, 64)
    result = boosted(network, torch.rand(1, 3, 40, 64), where, torch.tensor([[0.4, 0.4]]))
    totals = [sum(values) for values in zip(*columns.values(), strict=True)]
    for half, column in ((0, 2), (1, 61)):
        near = totals[half] / max(totals)
        whole, smaller, larger = (columns[factor][half] for factor in (1.0, 0.75, 1.25))
        wanted = (whole + near * smaller + (1 - near**2) * larger) / (2 + near - near**2)
        assert float(result[0, 0, 20, column]) == pytest.approx(wanted, rel=1e-5)


def test_boosting_of_the_draft_and_of_networks_that_do_not_scale() -> None:
    """The draft's weights in plain numbers; passes of other sizes see a mirrored picture and mirrored positions."""
    where = torch.stack(torch.meshgrid(torch.linspace(-1, 1, 64), torch.linspace(-1, 1, 40), indexing="xy"))[None]
    seen = []

    def network(image: Tensor, where: Tensor, focal: Tensor) -> Tensor:
        seen.append((float(image[0, 0, 0, 0]), float(where[0, 0, 0, 0]), float(where[0, 1, 0, 0])))
        return {64: 0.1, 48: 0.2, 80: 0.4}[image.shape[-1]] + 0.2 * (where[:, :1] > 0)

    image = torch.linspace(0, 1, 64).expand(1, 3, 40, 64)
    result = boosted(network, image, where, torch.ones(1, 2), power=0, boosting="draft")
    assert seen == [(0, -1, -1), (1, -1, -1), (1, -1, -1)]
    for column, (whole, smaller, larger) in ((5, (0.1, 0.4, 0.6)), (60, (0.3, 0.2, 0.4))):  # flipped back
        near = whole / 0.3
        wanted = (whole + near * smaller + (1 - near**2) * larger) / (2 + near - near**2)
        assert float(result[0, 0, 20, column]) == pytest.approx(wanted, rel=1e-5)
    constant = {power: boosted(lambda i, w, f: i[:, :1] * 0 + 0.2, image, where, torch.ones(1, 2), power=power)
                for power in (-1, 0, 1)}  # fmt: skip
    assert float(constant[0].mean()) == pytest.approx(0.2)
    assert float(constant[1].mean()) > 0.2
    assert float(constant[-1].mean()) != pytest.approx(0.2)
