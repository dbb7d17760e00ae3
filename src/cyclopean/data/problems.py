"""What is wrong with a data set, in sentences: how they are made of the items concerned."""

import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from cyclopean.data.checking import Look

NAMED = 3


@dataclass(frozen=True)
class Problem:
    """What is wrong, in a sentence, and the items (or the sentences of damaged files) it concerns."""

    kind: str
    sentence: str
    names: tuple[str, ...]


def of(kind: str, looks: Iterable[Look], test: Callable[[Look], bool], what: str, remedy: str) -> Problem | None:
    """The problem that some of `looks` have by `test`, if any has it."""
    looks = list(looks)
    return some(kind, tuple(x.name for x in looks if test(x)), len(looks), what, remedy)


def some(kind: str, names: tuple[str, ...], count: int, what: str, remedy: str) -> Problem | None:
    """`3 of 7 WHAT (a, b, c); REMEDY.`, if there are names."""
    if not names:
        return None
    return Problem(kind, f"{len(names)} of {count} {what} ({_listed(names)}); {remedy}.", names)


def spread(values: list[float], unit: str, digits: int = 2) -> str:
    """Median, and from where to where."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:+.{digits}f} ({low:+.{digits}f} to {high:+.{digits}f}) {unit}".rstrip()


def _listed(names: tuple[str, ...]) -> str:
    more = f", and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(name.rstrip(".") for name in names[:NAMED]) + more
