"""Guesses that look at no picture, and means of data sets."""

import numpy as np
import pytest
import torch

from cyclopean.errors import InputError
from cyclopean.evaluation.trivial import (
    GRID,
    DepthDataset,
    guesses,
    leave_one_out,
    load_mean,
    mean_inverse_depth,
    save_mean,
)
from cyclopean.geometry import Pinhole
from cyclopean.sample import Sample, view

CAMERA = Pinhole(torch.ones(1, 2), torch.full((1, 2), 0.5))


class Maps:
    """Items of given depth."""

    def __init__(self, depths: dict[str, torch.Tensor]) -> None:
        self.names, self.depths = list(depths), list(depths.values())

    def __len__(self) -> int:
        return len(self.depths)

    def __getitem__(self, index: int) -> Sample:
        depth = self.depths[index][None, None]
        return Sample(view(torch.zeros(1, 3, *depth.shape[-2:]), CAMERA), (), depth, name=(self.names[index],))

    def far(self, index: int) -> float:
        return 80.0


def test_formulas_of_the_row():
    sample = Maps({"a": torch.ones(10, 3)})[0]
    v = (np.arange(10) + 0.5) / 10
    expected = {"constant": np.ones(10), "ramp": 0.05 + v, "ground": np.maximum(v - 0.48, 0.02)}
    for guess in guesses():
        rows = guess.predict(sample)
        assert rows.shape == sample.depth.shape
        assert np.allclose(rows[0, 0, :, 2], expected[guess.name])
        assert guess.trivial
        assert guess.ambiguity == "scale"


def test_mean_averages_known_images_per_cell_with_sky_as_zero():
    near = torch.full(GRID, 2.0)
    near[:48] = torch.inf
    partly = torch.full(GRID, 4.0)
    partly[:, :64] = torch.nan
    mean = mean_inverse_depth(Maps({"a": near, "b": partly}))[0, 0]
    assert mean[0, 0] == 0
    assert mean[0, 100] == 0.125
    assert mean[60, 0] == 0.5
    assert mean[60, 100] == pytest.approx((0.5 + 0.25) / 2)


def test_cells_that_nobody_knows_take_their_row_or_the_nearest_row():
    depth = torch.full(GRID, torch.nan)
    depth[20, :64] = 2.0
    depth[70, 64:] = 4.0
    mean = mean_inverse_depth(Maps({"a": depth}))[0, 0]
    assert (mean[:45] == 0.5).all()
    assert (mean[46:] == 0.25).all()


def test_sizes_mix_and_means_are_stored(tmp_path):
    data = Maps({"a": torch.full((30, 50), 2.0), "b": torch.full((200, 300), 4.0)})
    mean = mean_inverse_depth(data, (6, 8))
    assert mean.shape == (1, 1, 6, 8)
    assert torch.allclose(mean, torch.tensor(0.375))
    save_mean(tmp_path / "mean.npy", mean)
    assert torch.equal(load_mean(tmp_path / "mean.npy"), mean)
    np.save(tmp_path / "bad.npy", np.full((2, 2), -1.0))
    with pytest.raises(InputError, match="negative"):
        load_mean(tmp_path / "bad.npy")


def test_leave_one_out_never_sees_the_item_itself_and_stays_in_the_family():
    depths = {"street/0": 1.0, "street/1": 2.0, "street/2": 4.0, "room/0": 8.0}
    data = Maps({name: torch.full((4, 6), depth) for name, depth in depths.items()})
    guess = leave_one_out(data, range(4))
    assert guess is not None
    assert torch.allclose(guess.predict(data[0]), torch.tensor((0.5 + 0.25) / 2))
    assert torch.allclose(guess.predict(data[2]), torch.tensor((1.0 + 0.5) / 2))
    # Alone in its family: the mean of all the others.
    assert torch.allclose(guess.predict(data[3]), torch.tensor((1.0 + 0.5 + 0.25) / 3))


def test_without_any_depth_there_is_no_mean():
    data = Maps({"a": torch.full((4, 6), torch.nan)})
    assert isinstance(data, DepthDataset)
    with pytest.raises(InputError, match="no known depth"):
        mean_inverse_depth(data)
