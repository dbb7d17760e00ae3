"""Names of results: the one rule for every command, for the app, and for work in bulk.

Plain Python, so that commands can check names before anything heavy is imported.
"""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path


@dataclass(frozen=True)
class Target:
    """The place of results: their folder, what their names begin with, and whether they may replace other files.

    Earlier results of ours for the same picture are always replaced. Where another file has the name of a result, the
    results get the next free number: photo_2_disp.png. `implied` is what names leave out where the user named the file:
    with "_disp", and "near" as stem, near.png and near_uncertainty.png.
    """

    folder: Path
    stem: str
    overwrite: bool = False
    implied: str = ""

    def path(self, ending: str) -> Path:
        """Return the path of a result, such as "_disp.png"."""
        return self.folder / f"{self.stem}{ending.removeprefix(self.implied)}"

    def free(self, source: Path, endings: Iterable[str]) -> tuple["Target", tuple[str, ...]]:
        """Return the target of the results of `source` that end in `endings`, and a note if they are numbered."""
        if self.overwrite:
            return self, ()
        from cyclopean.io.sidecar import foreign_files

        endings = tuple(endings)
        taken: list[str] = []
        for number in itertools.count(1):
            target = self if number == 1 else replace(self, stem=f"{self.stem}_{number}")
            names = [target.path(ending).name for ending in endings]
            foreign = foreign_files(self.folder, names, source.name)
            if not foreign:
                break
            taken = taken or foreign
        if not taken:
            return self, ()
        note = (
            f"{self.folder / taken[0]} exists and is not an earlier result for {source.name}: the results are named "
            f"{target.stem}{'.' if self.implied else '_'}...; --overwrite replaces it."
        )
        return target, (note,)
