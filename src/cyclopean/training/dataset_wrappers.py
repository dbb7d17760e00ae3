"""Data sets made of data sets: items changed by steps, without those that cannot be read, joined at random."""

import logging
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.utils.data import ConcatDataset, Dataset, Subset

from cyclopean.augmentation import Augmentation
from cyclopean.data.base import Items
from cyclopean.errors import InputError
from cyclopean.sample import Sample, collate

LOG = logging.getLogger(__name__)
IN_A_ROW = 10  # items that cannot be read: more are not chance
Step = Callable[[Sample], Sample]


@dataclass(frozen=True)
class Mapped(Dataset[Sample]):
    """A data set whose samples pass through a sequence of steps."""

    data: Dataset[Sample]
    steps: tuple[Step, ...] = ()

    def __len__(self) -> int:
        return length(self.data)

    def __getitem__(self, index: int) -> Sample:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: list[int]) -> list[Sample]:
        samples = several(self.data, indices)
        for step in self.steps:
            samples = [step(sample) for sample in samples]
        return samples


class Readable(Dataset[Sample]):
    """A data set without the items that cannot be read, such as one whose size contradicts its calibration.

    Each is logged once; the next item replaces it, so that indices and seeds of the others do not change. Raises
    `InputError` if many items in a row cannot be read.
    """

    def __init__(self, data: Dataset[Sample]) -> None:
        self.data, self._left_out = data, set[int]()

    def __len__(self) -> int:
        return length(self.data)

    def __getitem__(self, index: int) -> Sample:
        tried = [(index + k) % len(self) for k in range(min(IN_A_ROW, len(self)))]
        errors = []
        for candidate in tried:
            try:
                return self.data[candidate]
            except InputError as error:
                errors.append(str(error))
                if candidate not in self._left_out:
                    self._left_out.add(candidate)
                    items, place = origin(self.data, candidate)
                    files = items.files(place).pictures if isinstance(items, Items) else ()
                    LOG.warning("%s is left out: %s", files[0] if files else f"item {candidate}", error)
        raise InputError(f"none of {len(tried)} items in a row can be read; the first: {errors[0]}")


@dataclass(frozen=True)
class Joined:
    """An augmentation that joins `count` items of another data set to a sample, drawn at random, augmented by `augment`
    each: one Sample of batch 1 + `count`."""

    data: Dataset[Sample]
    count: int
    augment: Augmentation

    def __call__(self, sample: Sample, generator: torch.Generator) -> Sample:
        indices = torch.randint(length(self.data), (self.count,), generator=generator).tolist()
        others = [self.augment(other, generator) for other in several(self.data, indices)]
        return collate([sample, *others])


def several(data: Dataset[Sample], indices: list[int]) -> list[Sample]:
    """Return items of a data set, read in one call if it supports that: worlds on a GPU are rendered together."""
    together = getattr(data, "__getitems__", None)
    return [data[index] for index in indices] if together is None else together(indices)


def length(data: Dataset[Sample]) -> int:
    """Return how many items a data set has."""
    return len(data)  # type: ignore[arg-type]


def origin(data: Dataset[Sample], index: int) -> tuple[Dataset[Sample], int]:
    """Return the innermost data set that item `index` comes from, and its index there."""
    if isinstance(data, Mapped | Readable):
        return origin(data.data, index)
    if isinstance(data, Subset):
        return origin(data.dataset, data.indices[index])
    if isinstance(data, ConcatDataset):
        part = bisect_right(data.cumulative_sizes, index)
        return origin(data.datasets[part], index - ([0, *data.cumulative_sizes])[part])
    return data, index
