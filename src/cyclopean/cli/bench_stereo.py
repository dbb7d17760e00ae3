"""`cyclopean bench stereo`: the rows of Monodepth's table, trained alike on streets, judged alike, as one page."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from cyclopean.cli.parsing import check_writable, comma_list, parse
from cyclopean.errors import InputError

if TYPE_CHECKING:
    from cyclopean.data.items import Items


@dataclass(frozen=True)
class BenchStereo:
    """Train and judge the methods of the stereo family alike: equal network, data, steps and seeds.

    OUT keeps the data, every run and every result: the same command goes on where it was cut. Writes
    OUT/comparison.md, OUT/course.png (test error along the runs) and OUT/pictures.png after every row.
    """

    out: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="OUT", help_behavior_hint="(required)")] = (
        None
    )
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
    list: bool = False
    """Say which rows there are, and stop."""


def main(arguments: list[str]) -> int:
    """Parse and run; returns the exit code."""
    run(parse(BenchStereo, arguments, "cyclopean bench stereo"), arguments)
    return 0


def run(given: BenchStereo, arguments: list[str]) -> None:
    """Render what is missing, train and judge what is missing, write the report after every row."""
    from cyclopean.comparison import BUDGETS, ROWS, Comparison, write_report

    if given.list:
        print("\n".join(f"{name:<18} {row.title}" for name, row in ROWS.items()))
        return
    if given.out is None:
        raise InputError("it needs a folder for its results, such as: cyclopean bench stereo OUT --budget small")
    named = comma_list("row", given.rows, [*ROWS, "all"])
    rows = tuple(ROWS) if "all" in named else tuple(named)
    if given.workers < 1:
        raise InputError(f"--workers {given.workers} is too little; give at least 1.")
    check_writable([given.out])
    comparison = Comparison(given.out, BUDGETS[given.budget], rows, _real(given.real), given.accelerator, given.workers)
    from rich.progress import track

    for _ in track(comparison.data(), description="rendering streets", total=comparison.missing()):
        pass
    todo = comparison.todo()
    for k, (row, seed) in enumerate(todo):
        print(f"[{k + 1}/{len(todo)}] {ROWS[row].title}, seed {seed}")
        result = comparison.do(row, seed)
        print(f"    AbsRel {result['figures']['abs_rel']:.3f} in {result['seconds'] / 60:.1f} minutes")
        write_report(comparison, _command(arguments), _machine())
    for path in write_report(comparison, _command(arguments), _machine()):
        print(path)


def _real(names: str) -> "dict[str, Items]":
    from cyclopean.data import open_dataset

    return {name.partition(":")[0]: open_dataset(name) for name in names.split(",") if name}


def _command(arguments: list[str]) -> str:
    return "cyclopean bench stereo " + shlex.join(arguments)


def _machine() -> str:
    import os
    import platform

    import torch

    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{os.cpu_count()} cores{gpu}, {platform.system()}, torch {torch.__version__}"
