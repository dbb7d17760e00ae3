"""Rendered worlds as a data set, made on the fly: no files, item n is scene seed + n."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset

from cyclopean import worlds
from cyclopean.errors import InputError, unknown_name
from cyclopean.sample import Sample
from cyclopean.worlds.folder import load_pictures


@dataclass(frozen=True)
class WorldsDataset(Dataset[Sample]):
    """`count` scenes, the families taking turns; each a Sample with b = 1 at `size` (height, width).

    `pictures` is a folder of photographs for walls and things, read once per process. Raises InputError for unknown
    names, for nothing to make and for a folder without pictures.

    On a CPU rendering beside training slows both: render to a folder first (`cyclopean render`) and train on that.
    With a GPU as `device` scenes are laid out on the CPU and rendered there, and the samples lie there: read them in
    the training process (`num_workers=0`, no pinned memory).
    """

    families: Sequence[str]
    rig: str
    seed: int
    size: tuple[int, int]
    count: int
    pictures: Path | None = None
    device: torch.device | str = "cpu"

    def __post_init__(self) -> None:
        for family in self.families:
            if family not in worlds.FAMILIES:
                raise unknown_name("world", family, worlds.FAMILIES)
        if self.rig not in worlds.RIGS:
            raise unknown_name("rig", self.rig, worlds.RIGS)
        if self.count < 1:
            raise InputError(f"{self.count} scenes were asked for; at least 1 is needed.")
        if self.pictures is not None:
            load_pictures(self.pictures)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, n: int) -> Sample:
        return self.__getitems__([n])[0]

    def __getitems__(self, numbers: Sequence[int]) -> list[Sample]:
        """Several items, rendered together where `device` is a GPU (what PyTorch's loaders and `Subset` ask for)."""
        for n in numbers:
            if not 0 <= n < self.count:
                raise IndexError(n)
        pictures = None if self.pictures is None else _pictures(self.pictures, self.device)
        scenes = [(self.families[n % len(self.families)], self.seed + n) for n in numbers]
        return worlds.samples(scenes, self.size, self.rig, pictures=pictures, device=self.device)


@cache
def _pictures(folder: Path, device: torch.device | str) -> Tensor:
    """Copied to a GPU once, not for every scene."""
    return load_pictures(folder).to(device)
