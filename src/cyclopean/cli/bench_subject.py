"""`cyclopean bench subject`: the mask of what was clicked, judged on rendered scenes that know every object."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopean.cli.output import emit
from cyclopean.cli.parsing import check_writable, parse, with_progress
from cyclopean.errors import InputError
from cyclopean.flags import Flag


@dataclass(frozen=True)
class BenchSubject:
    """Judge the mask of the thing at a click: by depth alone, by GrabCut on colours and depth, and with --steps by a
    network.

    Tables, clutter, streets and rooms are left out of training one after the other, and judged; depth is predicted by
    the bundled model. OUT keeps scenes, features, networks and figures: the same command goes on where it was cut.
    """

    out: Annotated[Path | None, Flag("OUT", positional=True, folder=True, default="(required)")] = None
    """Folder for everything."""
    scenes: int = 500
    """Rendered scenes of each family to train on."""
    steps: int = 0
    """Of training, 32 clicks each, for the row of a network; 0: none. Three times as many for --ship."""
    pictures: int = 70
    """Rendered scenes of each family to judge on."""
    clicks: int = 200
    """Clicks on each family: random inner pixels of objects of at least 2 % of the picture."""
    seed: int = 0
    """Of training, and of the clicks."""
    ship: Annotated[Path | None, Flag("FOLDER", folder=True)] = None
    """Train the network on all families and write it to this folder, with its card, instead of judging."""


def main(arguments: list[str]) -> int:
    """Render, train, judge; print the table."""
    options = parse(BenchSubject, arguments, "cyclopean bench subject")
    if options.out is None:
        raise InputError("it needs a folder, such as: cyclopean bench subject OUT")
    for name in ("scenes", "pictures", "clicks"):
        if getattr(options, name) < 1:
            raise InputError(f"--{name} is {getattr(options, name)}; give at least 1.")
    if options.steps < 0 or (options.ship is not None and not options.steps):
        raise InputError(f"--steps is {options.steps}; give at least 1 to train a network, 0 to train none.")
    check_writable([options.out, *([options.ship] if options.ship else [])])
    from cyclopean.bench import subject

    budget = subject.Budget(options.scenes, options.steps, options.pictures, options.clicks, options.seed)
    for _ in with_progress(subject.rendered(options.out, budget), "rendering", subject.total(budget)):
        pass
    if options.ship is not None:
        subject.ship(options.out, budget, options.ship)
        print(f"the network is in {options.ship}")
        emit({"out": options.ship})
        return 0
    *_, figures = with_progress(subject.results(options.out, budget), "judging", len(subject.FAMILIES))
    print(subject.report(figures))
    for row, families in figures.items():
        emit({"row": row, "families": families})
    return 0
