"""`cyclopean bench stereo`: the rows of Monodepth's table, trained alike on streets, judged alike, as one page."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopean.cli.comparing import compare
from cyclopean.cli.parsing import parse
from cyclopean.flags import Flag


@dataclass(frozen=True)
class BenchStereo:
    """Train and judge the methods of the stereo family alike: equal network, data, steps and seeds.

    OUT keeps the data, every run and every result: the same command goes on where it was cut. Writes
    OUT/comparison.md, OUT/comparison.json, OUT/course.png (test error along the runs) and OUT/pictures.png after every
    row.
    """

    out: Annotated[Path | None, Flag("OUT", positional=True, folder=True, default="(required)")] = None
    """Folder of the comparison."""
    budget: Literal["tiny", "small", "middle", "full"] = "small"
    """tiny: that everything runs; small: under an hour of 2 cores, one seed, no claim about the order; middle: a night,
    three seeds; full: for a GPU."""
    rows: str = "all"
    """Rows to train, comma-separated, or all."""
    real: str = ""
    """Photographs with truth to judge on as well: KIND:PATH, comma-separated, such as middlebury:FOLDER."""
    accelerator: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """What to train on."""
    workers: int = 2
    """Processes that render the data, one scene at a time each."""
    report: Annotated[Path | None, Flag(folder=True)] = None
    """Train nothing: write the report of the rows that are done into this folder, while others may still be running."""
    list: bool = False
    """Say which rows there are, and stop."""


def main(arguments: list[str]) -> int:
    """Parse and run; returns the exit code."""
    given = parse(BenchStereo, arguments, "cyclopean bench stereo")
    from cyclopean.bench.stereo import STEREO

    compare(STEREO, given, arguments)
    return 0
