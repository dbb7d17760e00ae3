"""What the benches that compare methods share: render, train and judge what is missing, write the report."""

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from cyclopean.cli.parsing import check_writable, comma_list
from cyclopean.errors import InputError

if TYPE_CHECKING:
    from cyclopean.bench import Comparison, Family
    from cyclopean.data.base import Items


@runtime_checkable
class Asked(Protocol):
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


def compare(family: "Family", given: Asked, arguments: list[str]) -> None:
    """Render what is missing, train and judge what is missing, write the report after every row. Asked for a report
    alone, train nothing."""
    if given.list:
        print("\n".join(f"{name:<18} {row.title}" for name, row in family.rows.items()))
        return
    from rich.progress import track

    from cyclopean.bench import write_report

    comparison = _comparison(family, given)
    command, machine = _command(family.name, arguments), _machine()
    if given.report:
        _tell(comparison, write_report(comparison, command, machine, given.report))
        return
    for _ in track(comparison.data(), description=f"rendering {family.scenes}", total=comparison.missing()):
        pass
    todo = comparison.todo()
    for k, (row, seed) in enumerate(todo):
        print(f"[{k + 1}/{len(todo)}] {family.rows[row].title}, seed {seed}", flush=True)
        result = comparison.do(row, seed)
        print(f"    AbsRel {result['figures']['abs_rel']:.3f} in {result['seconds'] / 60:.1f} minutes", flush=True)
        write_report(comparison, command, machine)
    _tell(comparison, write_report(comparison, command, machine))


def _command(bench: str, arguments: Sequence[str]) -> str:
    """What makes the results: as typed, less where a report alone was to go."""
    flags = [k for k, word in enumerate(arguments) if word == "--report"]
    left = [word for k, word in enumerate(arguments) if not {k, k - 1} & set(flags) and word[:9] != "--report="]
    return shlex.join(["cyclopean", "bench", bench, *left])


def _tell(comparison: "Comparison", paths: Iterable[Path]) -> None:
    from cyclopean.bench import table

    print("\n" + table(comparison.family, [*comparison.results(), *comparison.guesses()]).plain() + "\n")
    print("\n".join(map(str, paths)))


def _comparison(family: "Family", given: Asked) -> "Comparison":
    from cyclopean.bench import Comparison

    if given.out is None:
        raise InputError(f"it needs a folder for its results, such as: cyclopean bench {family.name} OUT")
    named = comma_list("row", given.rows, [*family.rows, "all"])
    rows = tuple(family.rows) if "all" in named else tuple(named)
    if given.workers < 1:
        raise InputError(f"--workers {given.workers} is too little; give at least 1.")
    budget, real = family.budgets[given.budget], _real(given.real)
    if not given.report:
        check_writable([given.out])
    return Comparison(family, given.out, budget, rows, real, given.accelerator, given.workers)


def _real(names: str) -> "dict[str, Items]":
    from cyclopean.data import open_dataset

    found = [(name.partition(":")[0], name) for name in names.split(",") if name]
    if len({kind for kind, _ in found}) < len(found):
        raise InputError(f"--real {names} names two data sets of one kind; give one of each.")
    return {kind: open_dataset(name) for kind, name in found}


def _machine() -> str:
    import os
    import platform

    import torch

    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{os.cpu_count()} cores{gpu}, {platform.system()}, torch {torch.__version__}"
