"""`cyclopean check`: what is wrong with a data set, before any training."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopean.cli.early import loading
from cyclopean.cli.parsing import check_writable_file, parse, with_progress, write_whole
from cyclopean.errors import InputError
from cyclopean.flags import Flag

if TYPE_CHECKING:
    from cyclopean.data.inspect import Inspection


@dataclass(frozen=True)
class Check:
    """Look for what spoils training: missing and damaged files, pictures of one colour or nearly black, swapped left
    and right, rows that do not agree, calibration that the true depth contradicts, distances taken for z; of panoramas
    also a wrong unit, depth cut off, a seam that does not close, and light that gives depth away.

    Exit code 0: nothing found; 1: something is wrong, a sentence says what; 2: the data set cannot be opened.
    """

    data: Annotated[tuple[str, ...], Flag("KIND:PATH ...", positional=True)] = ()
    """Data sets as in docs/data.md: KIND:PATH, options behind it as in kitti_raw:PATH:split=FILE."""
    items: Annotated[int, Flag("N")] = 100
    """Decode so many items of each, evenly spread, and look at their pixels. All files are looked for and opened."""
    json: Annotated[Path | None, Flag("FILE")] = None
    """Where to write everything, item by item."""


def main(arguments: list[str]) -> int:
    return run(parse(Check, arguments, "cyclopean check"))


def run(options: Check) -> int:
    """Check each data set: print its table, then a sentence for each problem. Return the worst exit code."""
    if not options.data:
        raise InputError("no data was given; name it: cyclopean check KIND:PATH, such as folder:worlds/train.")
    if options.items < 1:
        raise InputError(f"--items is {options.items}; it needs a number of items above 0.")
    if options.json:
        check_writable_file(options.json)
    codes, inspections = [0], []
    for name in options.data:
        try:
            inspection = _inspect(name, options.items)
        except InputError as error:
            print(f"cyclopean check: {error}", file=sys.stderr)
            codes.append(2)
            continue
        inspections.append(inspection)
        from cyclopean.data.diagnose import problems, rows

        table, wrong = rows(inspection), problems(inspection)
        width = max(len(title) for title, _ in table)
        print(inspection.name, *(f"  {title:<{width}}  {text}" for title, text in table), sep="\n")
        for problem in wrong:
            print(f"WRONG: {problem.sentence}")
        print("" if wrong else "Nothing wrong was found.\n")
        codes.append(1 if wrong else 0)
    if options.json:
        from cyclopean.data.diagnose import as_json

        write_whole(options.json, json.dumps([as_json(one) for one in inspections], indent=1) + "\n")
    return max(codes)


def _inspect(name: str, most: int) -> "Inspection":
    from cyclopean.data import named, open_dataset

    named(name)
    loading("check", name)
    from cyclopean.data.inspect import examine

    return examine(name, open_dataset(name), most, lambda indices: with_progress(indices, name))
