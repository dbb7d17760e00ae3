"""Run the benches that compare methods: render, train and judge what is missing, write the report."""

import os
import platform
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from cyclopean.cli.parsing import check_writable, comma_list
from cyclopean.errors import InputError

if TYPE_CHECKING:
    from cyclopean.bench.comparison import Comparison
    from cyclopean.bench.family import Family


@runtime_checkable
class ComparisonOptions(Protocol):
    """The flags of every such bench."""

    @property
    def out(self) -> Path | None: ...
    @property
    def budget(self) -> str: ...
    @property
    def rows(self) -> str: ...
    @property
    def real(self) -> str: ...
    @property
    def accelerator(self) -> str: ...
    @property
    def workers(self) -> int: ...
    @property
    def list(self) -> bool: ...
    @property
    def report(self) -> Path | None: ...


def compare(family: "Family", given: ComparisonOptions, arguments: list[str]) -> None:
    """Render, train and judge what is missing; write the report after every row.

    With `--report`, train nothing and write the report alone.
    """
    if given.list:
        print("\n".join(f"{name:<18} {row.title}" for name, row in family.rows.items()))
        return
    comparison = _comparison(family, given)
    import torch
    from rich.progress import track

    from cyclopean.bench.report import table, write_report

    # The command that makes the results: as typed, less where a report alone was to go.
    flags = [k for k, word in enumerate(arguments) if word == "--report"]
    words = [word for k, word in enumerate(arguments) if not {k, k - 1} & set(flags) and word[:9] != "--report="]
    command = shlex.join(["cyclopean", "bench", family.name, *words])
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    machine = f"{os.cpu_count()} cores{gpu}, {platform.system()}, torch {torch.__version__}"
    if not given.report:
        for _ in track(comparison.data(), description=f"rendering {family.scenes}", total=comparison.missing()):
            pass
        todo = comparison.todo()
        for k, (row, seed) in enumerate(todo):
            print(f"[{k + 1}/{len(todo)}] {family.rows[row].title}, seed {seed}", flush=True)
            result = comparison.do(row, seed)
            print(f"    AbsRel {result['figures']['abs_rel']:.3f} in {result['seconds'] / 60:.1f} minutes", flush=True)
            write_report(comparison, command, machine)
    paths = write_report(comparison, command, machine, given.report)
    print("\n" + table(family, [*comparison.results(), *comparison.guesses()]).plain() + "\n")
    print("\n".join(map(str, paths)))


def _comparison(family: "Family", given: ComparisonOptions) -> "Comparison":
    """Return the comparison that the options name. Raises InputError for what is misspelt or missing."""
    if given.out is None:
        raise InputError(f"it needs a folder for its results, such as: cyclopean bench {family.name} OUT")
    names = comma_list("row", given.rows, [*family.rows, "all"])
    rows = tuple(family.rows) if "all" in names else tuple(names)
    if given.workers < 1:
        raise InputError(f"--workers {given.workers} is too little; give at least 1.")
    from cyclopean.bench.comparison import Comparison
    from cyclopean.data import open_dataset

    real = [(name.partition(":")[0], name) for name in given.real.split(",") if name]
    if len({kind for kind, _ in real}) < len(real):
        raise InputError(f"--real {given.real} names two data sets of one kind; give one of each.")
    sets = {kind: open_dataset(name) for kind, name in real}
    if not given.report:
        check_writable([given.out])
    return Comparison(family, given.out, family.budgets[given.budget], rows, sets, given.accelerator, given.workers)
