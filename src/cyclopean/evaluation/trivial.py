"""Baselines that ignore the picture, as a reference for models."""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from cyclopean.data.base import none_usable
from cyclopean.data.files import read_numbers
from cyclopean.errors import InputError, sentence
from cyclopean.evaluation.entries import DepthDataset, Entry
from cyclopean.io.files import appearing
from cyclopean.sample import OneMap, Sample

GRID = (96, 128)  # cells of a mean map, whatever the sizes of the pictures
Cells = Float[Tensor, "1 1 gh gw"]


def guesses() -> list[Entry]:
    """Return guesses of inverse depth by the row only, v in [0,1] at pixel centres: constant, a ramp, level ground."""
    formulas: dict[str, Callable[[Tensor], Tensor]] = {
        "constant": torch.ones_like,
        "ramp": lambda v: 0.05 + v,
        "ground": lambda v: (v - 0.48).clamp(min=0.02),
    }

    def by_row(formula: Callable[[Tensor], Tensor], sample: Sample) -> OneMap:
        height, width = sample.depth.shape[-2:]
        v = (torch.arange(height, dtype=torch.float32) + 0.5) / height
        return formula(v)[None, None, :, None].expand(1, 1, height, width)

    return [Entry(name, "scale", partial(by_row, formula), trivial=True) for name, formula in formulas.items()]


def training_mean(mean: OneMap) -> Entry:
    """Return the mean inverse depth of a training set, in 1/m, whatever the picture shows."""
    return Entry("training mean", "metric", lambda _: mean, trivial=True)


def latitude_mean(mean: OneMap) -> Entry:
    """Return the mean inverse depth of each row of a training set: the same for any yaw of a panorama."""
    rows = mean.mean(-1, keepdim=True).expand_as(mean)
    return Entry("latitude mean", "metric", lambda _: rows, trivial=True)


def leave_one_out(data: DepthDataset, indices: Iterable[int]) -> Entry | None:
    """Return for each item the mean inverse depth of the others of its family (the name before '/'), in 1/m.

    This is about the best possible guess without a picture, since it is from the same place. An item alone in its
    family gets the mean of all others. None if at most one item has truth. Unreadable items are skipped; raises
    `InputError` if none can be read.
    """
    maps: dict[str, tuple[Cells, Cells]] = {}
    readable, problems = False, list[str]()
    for index in indices:
        try:
            sample = data[index]
        except Exception as error:  # one odd file must not end the rest
            problems.append(sentence(error, f"item {index}"))
            continue
        readable = True
        cells = _cells(sample.depth, GRID)
        if bool((cells[1] > 0.5).any()):
            maps[sample.name[0]] = cells
    if not readable:
        nothing = InputError("there is no item to take the mean of; give a data set with depth.")
        raise none_usable(problems) if problems else nothing
    if len(maps) < 2:
        return None

    def total(members: list[tuple[Cells, Cells]]) -> tuple[Cells, Cells, int]:
        sums = (torch.stack(parts).sum(0) for parts in zip(*members, strict=True))
        return (*sums, len(members))  # type: ignore[return-value]

    everything = total(list(maps.values()))
    families = {family_of(name) for name in maps}
    sums = {
        family: total([cells for name, cells in maps.items() if family_of(name) == family]) if family else everything
        for family in families
    }

    def predict(sample: Sample) -> OneMap:
        name = sample.name[0]
        family = sums[family_of(name)]
        rho, count, _ = family if family[2] > 1 else everything
        return _filled_mean(rho - maps[name][0], count - maps[name][1])

    return Entry("leave-one-out mean", "metric", predict, trivial=True)


def mean_inverse_depth(data: DepthDataset, size: tuple[int, int] = GRID) -> OneMap:
    """Return the mean true inverse depth of a data set in 1/m, sky as 0, on a grid of `size` (height, width).

    Every picture is resized to the grid. Cells without truth take the mean of their row, rows without truth that of the
    nearest row.
    """
    total, count = torch.zeros(1, 1, *size), torch.zeros(1, 1, *size)
    for index in range(len(data)):
        rho, known = _cells(data[index].depth, size)
        total, count = total + rho, count + known
    return _filled_mean(total, count)


def save_mean(path: Path | str, mean: OneMap) -> None:
    """Store a mean map as .npy, to be read by `load_mean`. Raises `InputError` if `path` cannot be written."""
    path = Path(path)
    if path.suffix != ".npy":
        raise InputError(f"a mean map is stored as .npy, not as {path.name}; change its suffix.")
    with appearing(path.parent) as folder:
        np.save(folder / path.name, mean[0, 0].numpy())


def load_mean(path: Path | str) -> OneMap:
    """Read a mean map stored by `save_mean`."""
    mean = read_numbers(Path(path))
    if not bool((mean.isfinite() & (mean >= 0)).all()):
        raise InputError(f"{path} holds negative or unknown values; a mean inverse depth has none.")
    return mean


def family_of(name: str) -> str:
    """Return the part of an item's name before '/', "" if there is none."""
    return name.split("/", maxsplit=1)[0] if "/" in name else ""


def _cells(depth: OneMap, size: tuple[int, int]) -> tuple[Cells, Cells]:
    """Return the mean known inverse depth of each cell of a grid, sky 0, and whether any is known (1 or 0)."""
    known = depth > 0
    rho = torch.where(known, 1 / torch.where(known, depth, 1), 0)
    share = F.adaptive_avg_pool2d(known.to(depth.dtype), size)
    count = (share > 0).to(depth.dtype)
    return F.adaptive_avg_pool2d(rho, size) / torch.where(share > 0, share, 1), count


def _filled_mean(total: Cells, count: Cells) -> OneMap:
    """Return total / count; cells without a count take the mean of their row, rows without the nearest row's."""
    if not bool((count > 0.5).any()):
        raise InputError("there is no known depth to take the mean of; give a data set with depth.")
    some = count > 0.5
    known = torch.where(some, total / torch.where(some, count, 1), torch.nan)
    rows = known.nanmean(-1, keepdim=True)
    filled = torch.nonzero(~rows[0, 0, :, 0].isnan())[:, 0]
    nearest = (torch.arange(rows.shape[-2])[:, None] - filled).abs().argmin(1)
    return torch.where(some, known, rows[:, :, filled[nearest]])
