"""`cyclopean bench stereo`, `sphere`, `video`, `distil`: methods of a family, trained and judged alike, as one page."""

import logging
import os
import platform
import shlex
from contextlib import nullcontext
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopean.cli.early import refuse_unknown_model
from cyclopean.cli.output import emit
from cyclopean.cli.parsing import check_writable, comma_list, parse, with_progress
from cyclopean.errors import InputError
from cyclopean.flags import Flag
from cyclopean.io.files import reserved

if TYPE_CHECKING:
    from cyclopean.bench.family import Family

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class BenchWork:
    """What is trained, and on what."""

    rows: str = "all"
    """Rows to train, comma-separated, or all (those that --list marks with * by their names only)."""
    accelerator: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """What to train on."""
    workers: int = 2
    """Processes that render the data, one scene at a time each."""
    report: Annotated[Path | None, Flag(folder=True)] = None
    """Train nothing: write the report of the rows that are done into this folder, while others may still be running."""
    list: bool = False
    """Say which rows there are, and stop."""


@dataclass(frozen=True)
class BenchStereo:
    """Train and judge the methods of the stereo family alike: equal network, data, steps and seeds.

    OUT keeps the data, every run and every result: the same command continues where it was cut. Writes
    OUT/comparison.md, OUT/comparison.json, OUT/course.png (test error along the runs) and OUT/pictures.png after every
    row.
    """

    out: Annotated[Path | None, Flag("OUT", positional=True, folder=True, default="(required)")] = None
    """Folder of the comparison."""
    budget: Literal["tiny", "small", "small-scratch", "middle", "full"] = "small"
    """tiny: that everything runs; small: rooms of 64x96 pixels, an encoder that has seen photographs, one seed, an hour
    or two of one core, no claim about the order; small-scratch: the same from random weights; middle: a night, three
    seeds; full: for a GPU."""
    real: str = ""
    """Photographs with truth to judge on as well: KIND:PATH, comma-separated, such as middlebury:FOLDER."""
    work: BenchWork = BenchWork()


@dataclass(frozen=True)
class BenchSphere:
    """Train and judge CoordNet under every supervision of the spherical paper: equal data, steps and seeds.

    OUT keeps the data, every run and every result: the same command continues where it was cut. Writes
    OUT/comparison.md, OUT/comparison.json, OUT/course.png (test error along the runs) and OUT/pictures.png after every
    row.
    """

    out: Annotated[Path | None, Flag("OUT", positional=True, folder=True, default="(required)")] = None
    """Folder of the comparison."""
    budget: Literal["tiny", "small", "middle", "full", "published"] = "small"
    """tiny: that everything runs; small: 64x128 pixels, a narrow network, one seed, an hour or two of one core
    without other work, no claim about close calls; middle: three seeds, for a GPU; full: the paper's size; published:
    that, and its optimiser, rate, batch and 30 epochs for every row."""
    real: str = ""
    """Other panoramas to judge on: KIND:PATH, comma-separated, such as traced360:FOLDER (with truth) or
    topbottom:FOLDER:baseline=0.2 (how well the upper view is remade)."""
    work: BenchWork = BenchWork()


@dataclass(frozen=True)
class BenchVideo:
    """Train and judge AQUANet's ablations, Monodepth2 and FAL-Net on clips among things that move.

    OUT keeps the data, every run and every result: the same command continues where it was cut. Writes
    OUT/comparison.md, OUT/comparison.json, OUT/course.png (test error along the runs), OUT/pictures.png and
    OUT/masks.png (what moves, and what each mask finds) after every row.
    """

    out: Annotated[Path | None, Flag("OUT", positional=True, folder=True, default="(required)")] = None
    """Folder of the comparison."""
    budget: Literal["tiny", "small", "middle", "full"] = "small"
    """tiny: that everything runs; small: 48x144 pixels, narrow networks, one seed, two to three hours of 2 cores
    without other work, no claim about the order; middle: three seeds, a night or two; full: for a GPU."""
    real: str = ""
    """Other pictures with truth to judge on as well: KIND:PATH, comma-separated."""
    work: BenchWork = BenchWork()


@dataclass(frozen=True)
class BenchDistil:
    """Train and judge Depth Anywhere's students and its ablations: equal data, steps and seeds.

    OUT keeps the data, every run and every result: the same command continues where it was cut. Writes
    OUT/comparison.md, OUT/comparison.json, OUT/course.png (test error along the runs) and, after every row, pictures:
    OUT/pictures.png, errors.png, clouds.png (points seen from above), labels.png (with and without turning), masks.png.
    """

    out: Annotated[Path | None, Flag("OUT", positional=True, folder=True, default="(required)")] = None
    """Folder of the comparison."""
    budget: Literal["tiny", "small", "middle", "full"] = "small"
    """tiny: that everything runs; small: 64x128 pixels, one seed, no claim about close calls; middle: three seeds, for
    a GPU; full: the paper's size."""
    real: str = ""
    """Other panoramas with truth to judge on, zero-shot: KIND:PATH, comma-separated, such as traced360:FOLDER."""
    teacher: Annotated[str, Flag("NAME")] = "general"
    """The model that labels the unlabelled: bundled, a folder, or a Hub repository, also of transformers. Another one
    needs another OUT."""
    work: BenchWork = BenchWork()


def stereo(words: list[str]) -> int:
    """Run `bench stereo`; return 0."""
    options = parse(BenchStereo, words, "cyclopean bench stereo")
    from cyclopean.bench.stereo import STEREO

    return _compare(STEREO, options, words)


def sphere(words: list[str]) -> int:
    """Run `bench sphere`; return 0."""
    options = parse(BenchSphere, words, "cyclopean bench sphere")
    from cyclopean.bench.sphere import SPHERE

    return _compare(SPHERE, options, words)


def video(words: list[str]) -> int:
    """Run `bench video`; return 0."""
    options = parse(BenchVideo, words, "cyclopean bench video")
    from cyclopean.bench.video import VIDEO

    return _compare(VIDEO, options, words)


def distil(words: list[str]) -> int:
    """Run `bench distil`; return 0."""
    options = parse(BenchDistil, words, "cyclopean bench distil")
    refuse_unknown_model(options.teacher)
    from cyclopean.bench.distil import taught_by

    return _compare(taught_by(options.teacher), options, words)


def _compare(family: "Family", options: BenchStereo | BenchSphere | BenchVideo | BenchDistil, words: list[str]) -> int:
    """Render, train and judge what is missing; write the report after every row; return 0.

    With `--report`, train nothing and write the report alone.
    """
    work = options.work
    if work.list:
        for name, one in family.rows.items():
            print(f"{name:<18} {'* ' * one.by_name}{one.title}")
            emit({"row": name, "title": one.title, "by_name": one.by_name})
        return 0
    if options.out is None:
        raise InputError(f"it needs a folder for its results, such as: cyclopean bench {family.name} OUT")
    names = comma_list("row", work.rows, [*family.rows, "all"])
    every = tuple(family.rows) if work.report else family.of_all()  # a report is of whatever is done
    rows = tuple(dict.fromkeys(row for name in names for row in (every if name == "all" else (name,))))
    if work.workers < 1:
        raise InputError(f"--workers {work.workers} is too little; give at least 1.")
    if find_spec("matplotlib") is None:
        raise InputError("its page needs matplotlib, which is not installed: pip install 'cyclopean[bench]'.")
    import torch

    from cyclopean.bench.comparison import Comparison
    from cyclopean.bench.report import table, write_report
    from cyclopean.data import open_dataset
    from cyclopean.training.dataset_wrappers import Mapped

    real = [(name.partition(":")[0], name) for name in options.real.split(",") if name]
    if len({kind for kind, _ in real}) < len(real):
        raise InputError(f"--real {options.real} names two data sets of one kind; give one of each.")
    steps = {kind: (step,) for kind, step in family.real_steps.items()}
    sets = {kind: Mapped(open_dataset(name), steps.get(kind, ())) for kind, name in real}
    if not work.report:
        check_writable([options.out])
    budget = family.budgets[options.budget]
    comparison = Comparison(family, options.out, budget, rows, sets, work.accelerator, work.workers)

    # The command that reproduces the results: as typed, without --report.
    flags = [k for k, word in enumerate(words) if word == "--report"]
    typed = [word for k, word in enumerate(words) if not {k, k - 1} & set(flags) and word[:9] != "--report="]
    command = shlex.join(["cyclopean", "bench", family.name, *typed])
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    machine = f"{os.cpu_count()} cores{gpu}, {platform.system()}, torch {torch.__version__}"
    with nullcontext() if work.report else reserved(options.out):
        if not work.report:
            for _ in with_progress(comparison.data(), f"rendering {family.scenes}", comparison.missing()):
                pass
            todo = comparison.todo()
            for k, (row, seed) in enumerate(todo):
                print(f"[{k + 1}/{len(todo)}] {family.rows[row].title}, seed {seed}", flush=True)
                try:
                    result = comparison.do(row, seed)
                except KeyboardInterrupt:
                    LOG.warning("stopped in the row %s; the same command goes on from its last checkpoint.", row)
                    raise
                print(
                    f"    AbsRel {result['figures']['abs_rel']:.3f} in {result['seconds'] / 60:.1f} minutes", flush=True
                )
                emit({"row": row, "seed": seed, "seconds": result["seconds"], "figures": result["figures"]})
                write_report(comparison, command, machine)
        paths = write_report(comparison, command, machine, work.report)
    print("\n" + table(family, [*comparison.results(), *comparison.guesses()]).plain() + "\n")
    print("\n".join(map(str, paths)))
    emit({"files": paths})
    return 0
