"""Guesses that look at no picture. What a model is worth shows beside them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from cyclopean.errors import InputError, sentence
from cyclopean.io.files import appearing
from cyclopean.methods.base import Ambiguity
from cyclopean.sample import Sample

Map = Float[Tensor, "1 1 h w"]
GRID = (96, 128)  # cells of a mean map, whatever the sizes of the pictures


@runtime_checkable
class Truths(Protocol):
    """A data set with true depth: items of batch 1, and the largest depth that counts for each, in metres."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...

    def far(self, index: int) -> float:
        """The largest depth of item `index` that counts, metres."""
        ...


@dataclass(frozen=True)
class Candidate:
    """Something to judge: `predict` gives the inverse depth of a sample's target, of any size.

    `ambiguity` says what it leaves open; `trivial` rows are what the others are compared with. `ordered` takes the
    place of `predict` for arrays that know their items by number only: it is given the item's index too. `covers` says
    of what a map is: of the whole picture, of the protocol's crop alone ("crop"), as Monodepth's of Make3D, of what the
    protocol lets models see ("seen"), or of a part that is named, already placed in the picture. `by_pair` is the same
    thing in metres by the focal length and baseline of each pair that is judged, where a pair gives them.
    """

    name: str
    ambiguity: Ambiguity
    predict: Callable[[Sample], Map]
    trivial: bool = False
    ordered: Callable[[int, Sample], Map] | None = None
    covers: str = "picture"
    by_pair: "Candidate | None" = None

    def of(self, index: int, sample: Sample) -> Map:
        """The inverse depth of item `index` of a data set, which is `sample`."""
        return self.ordered(index, sample) if self.ordered else self.predict(sample)


def guesses() -> list[Candidate]:
    """Inverse depth by the row only, v in [0,1] at pixel centres: all equal; a ramp; level ground below a horizon."""
    formulas: dict[str, Callable[[Tensor], Tensor]] = {
        "constant": torch.ones_like,
        "ramp": lambda v: 0.05 + v,
        "ground": lambda v: (v - 0.48).clamp(min=0.02),
    }
    return [Candidate(name, "scale", _by_row(formula), trivial=True) for name, formula in formulas.items()]


def training_mean(mean: Map) -> Candidate:
    """The mean inverse depth of a training set, in 1/m, whatever the picture shows."""
    return Candidate("training mean", "metric", lambda _: mean, trivial=True)


def latitude_mean(mean: Map) -> Candidate:
    """The mean inverse depth of each row of a training set: what a panorama shows whichever way it is turned."""
    rows = mean.mean(-1, keepdim=True).expand_as(mean)
    return Candidate("latitude mean", "metric", lambda _: rows, trivial=True)


def leave_one_out(data: Truths, indices: Iterable[int]) -> Candidate | None:
    """For each item, the mean inverse depth of the others of `indices` in its family (the name before '/'), in 1/m.

    About the best that looking at no picture can give: it knows the very place. An item alone in its family gets the
    mean of all others. None where at most one item has truth: there are no others.
    """
    own = {name: cells for name, cells in _own_cells(data, indices).items() if bool((cells[1] > 0.5).any())}
    if len(own) < 2:
        return None
    sums = {family: _sums(own, family) for family in {family_of(name) for name in own}}
    everything = _sums(own, "")

    def predict(sample: Sample) -> Map:
        name = sample.name[0]
        family = sums[family_of(name)]
        total, count, _ = family if family[2] > 1 else everything
        return _mean(total - own[name][0], count - own[name][1])

    return Candidate("leave-one-out mean", "metric", predict, trivial=True)


def mean_inverse_depth(data: Truths, size: tuple[int, int] = GRID) -> Map:
    """The mean true inverse depth of a data set in 1/m, sky counting as 0, on a grid of `size` (height, width).

    Every picture is spread over the grid. Cells without truth take the mean of their row, rows without take
    the nearest row's.
    """
    total, count = torch.zeros(1, 1, *size), torch.zeros(1, 1, *size)
    for index in range(len(data)):
        rho, known = _cells(data[index].depth, size)
        total, count = total + rho, count + known
    return _mean(total, count)


def save_mean(path: Path | str, mean: Map) -> None:
    """Store a mean map as .npy, to be read by `load_mean`. Raises `InputError` if `path` cannot be written."""
    path = Path(path)
    if path.suffix != ".npy":
        raise InputError(f"a mean map is stored as .npy, {path.name} was given; change its suffix.")
    with appearing(path.parent) as folder:
        np.save(folder / path.name, mean[0, 0].numpy())


def load_mean(path: Path | str) -> Map:
    """A mean map stored by `save_mean`."""
    from cyclopean.data.files import read_depth

    mean = read_depth(Path(path))
    if not bool((mean.isfinite() & (mean >= 0)).all()):
        raise InputError(f"{path} holds negative or unknown values; a mean inverse depth has none.")
    return mean


def _own_cells(data: Truths, indices: Iterable[int]) -> dict[str, tuple[Map, Map]]:
    """The cells of every item that can be read, by name; the others are counted and named where they are judged."""
    own: dict[str, tuple[Map, Map]] = {}
    problem = InputError("there is no item to take the mean of; give a data set with depth.")
    for index in indices:
        try:
            sample = data[index]
        except Exception as error:  # one odd file must not end the rest
            problem = InputError(sentence(error, f"item {index}"))
            continue
        own[sample.name[0]] = _cells(sample.depth, GRID)
    if not own:
        raise problem
    return own


def _by_row(formula: Callable[[Tensor], Tensor]) -> Callable[[Sample], Map]:
    def predict(sample: Sample) -> Map:
        height, width = sample.depth.shape[-2:]
        v = (torch.arange(height, dtype=torch.float32) + 0.5) / height
        return formula(v)[None, None, :, None].expand(1, 1, height, width)

    return predict


def family_of(name: str) -> str:
    """The part of an item's name before '/', nothing if there is none."""
    return name.split("/", maxsplit=1)[0] if "/" in name else ""


def _sums(own: dict[str, tuple[Map, Map]], family: str) -> tuple[Map, Map, int]:
    """Sums of cells and counts over a family ("": over all), and how many members it has."""
    members = [cells for name, cells in own.items() if family in ("", family_of(name))]
    total = torch.stack([rho for rho, _ in members]).sum(0)
    return total, torch.stack([known for _, known in members]).sum(0), len(members)


def _cells(depth: Map, size: tuple[int, int]) -> tuple[Float[Tensor, "1 1 gh gw"], Float[Tensor, "1 1 gh gw"]]:
    """The mean known inverse depth of each cell of a grid, sky 0, and whether any is known (1 or 0)."""
    known = depth > 0
    rho = torch.where(known, 1 / torch.where(known, depth, 1), 0)
    share = F.adaptive_avg_pool2d(known.to(depth.dtype), size)
    count = (share > 0).to(depth.dtype)
    return F.adaptive_avg_pool2d(rho, size) / torch.where(share > 0, share, 1), count


def _mean(total: Map, count: Map) -> Map:
    if not bool((count > 0.5).any()):
        raise InputError("there is no known depth to take the mean of; give a data set with depth.")
    seen = count > 0.5
    known = torch.where(seen, total / torch.where(seen, count, 1), torch.nan)
    rows = known.nanmean(-1, keepdim=True)
    filled = torch.nonzero(~rows[0, 0, :, 0].isnan())[:, 0]
    nearest = (torch.arange(rows.shape[-2])[:, None] - filled).abs().argmin(1)
    return torch.where(seen, known, rows[:, :, filled[nearest]])
