"""What every data set of files offers, and how a damaged item is counted and named while the rest goes on."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from torch.utils.data import Dataset, Subset

from cyclopean.data.decoding import check_one_size, check_whole, image_size
from cyclopean.data.reading import check_fits, map_size
from cyclopean.errors import InputError
from cyclopean.sample import Sample

LOG = logging.getLogger(__name__)
NAMED = 5  # of many left out, so many are named in a log


@dataclass(frozen=True)
class Files:
    """What an item is made of: its pictures, which need one size, and calibration and truth beside them (what is a
    picture or an array among those, a map of depth or a mask, needs the size of the pictures)."""

    pictures: tuple[Path, ...]
    others: tuple[Path, ...] = ()


@runtime_checkable
class Items(Protocol):
    """A data set of files. A damaged item keeps its number, so that lists and result arrays stay aligned: reading it
    raises `InputError` with the name of the file."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample:
        """Item `index`, batch 1."""
        ...

    def far(self, index: int) -> float:
        """The largest depth of item `index` that counts, metres."""
        ...

    def files(self, index: int) -> Files:
        """What item `index` is made of."""
        ...


def check_files(files: Files) -> None:
    """Raises `InputError` for the first file that is missing or empty, for pictures and arrays that are cut short or
    without a header, and for sizes that differ. Reads their first and last bytes only."""
    check_one_size(files.pictures)
    for path in files.others:
        size = map_size(path)
        if size is not None and files.pictures:
            check_fits(path, size, image_size(files.pictures[0]))
    for path in (*files.pictures, *files.others):
        check_whole(path)


def sound(data: Items) -> tuple[list[int], list[str]]:
    """Numbers of the items whose files pass `check_files`, and a sentence for each other item."""
    good: list[int] = []
    bad: list[str] = []
    for index in range(len(data)):
        try:
            check_files(data.files(index))
            good.append(index)
        except InputError as error:
            bad.append(str(error))
    return good, bad


def sound_part(data: Items) -> Dataset[Sample]:
    """`data` without the items whose files are missing or damaged, which are counted and named in the log."""
    good, bad = sound(data)
    if not bad:
        return data  # type: ignore[return-value]
    if not good:
        raise InputError(f"none of the {len(bad)} items can be used; the first: {bad[0]}")
    more = f" And {len(bad) - NAMED} more; cyclopean check names them all." if len(bad) > NAMED else ""
    LOG.warning("%d of %d items are left out: %s%s", len(bad), len(data), " ".join(bad[:NAMED]), more)
    return Subset(data, good)  # type: ignore[arg-type]


def read_each(data: Items, indices: Iterable[int]) -> Iterator[tuple[int, Sample | InputError]]:
    """Items one by one; a damaged one is handed out as its error, and the rest goes on."""
    for index in indices:
        try:
            yield index, data[index]
        except InputError as error:
            yield index, error
