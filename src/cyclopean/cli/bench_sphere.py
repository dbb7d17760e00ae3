"""`cyclopean bench sphere`: the tables of spherical view synthesis, trained and judged alike on rooms, as one page."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopean.cli.comparing import compare
from cyclopean.cli.parsing import parse
from cyclopean.flags import Flag


@dataclass(frozen=True)
class BenchSphere:
    """Train and judge CoordNet under every supervision of the spherical paper: equal data, steps and seeds.

    OUT keeps the data, every run and every result: the same command goes on where it was cut. Writes
    OUT/comparison.md, OUT/comparison.json, OUT/course.png (test error along the runs) and OUT/pictures.png after every
    row.
    """

    out: Annotated[Path | None, Flag("OUT", positional=True, folder=True, default="(required)")] = None
    """Folder of the comparison."""
    budget: Literal["tiny", "small", "middle", "full", "published"] = "small"
    """tiny: that everything runs; small: 64x128 pixels, a narrow network, one seed, an hour or two of one core
    without other work, no claim about close calls; middle: three seeds, for a GPU; full: the paper's size; published:
    that, and its optimiser, rate, batch and 30 epochs for every row."""
    rows: str = "all"
    """Rows to train, comma-separated, or all."""
    real: str = ""
    """Other panoramas to judge on: KIND:PATH, comma-separated, such as traced360:FOLDER (with truth) or
    topbottom:FOLDER:baseline=0.2 (how well the upper view is remade)."""
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
    given = parse(BenchSphere, arguments, "cyclopean bench sphere")
    from cyclopean.bench.sphere import SPHERE

    compare(SPHERE, given, arguments)
    return 0
