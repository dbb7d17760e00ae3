"""`cyclopean check`: what is wrong with a data set or a clip, before any training."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopean.cli.early import loading
from cyclopean.cli.output import emit
from cyclopean.cli.parsing import check_writable_file, parse, progress_bar, with_progress, write_whole
from cyclopean.errors import InputError, sentence
from cyclopean.evaluation.tables import Table
from cyclopean.flags import Flag
from cyclopean.io.files import at_home, printable

if TYPE_CHECKING:
    from cyclopean.data.diagnose import Problem


@dataclass(frozen=True)
class Check:
    """Look for what spoils training: missing and damaged files, pictures of one colour or nearly black, swapped left
    and right, rows that do not agree, calibration that the true depth contradicts, distances taken for z; of panoramas
    also a wrong unit, depth cut off, a seam that does not close, and light that gives depth away.

    Of a clip (a film, or a folder of numbered frames): whether it can teach depth, by how its camera moves, and with
    which step; cuts, jumps of the exposure, blur, zoom, what moves by itself, and a focal length that parallax
    contradicts.

    Of several data sets, a last table says how much there is of each, and of how much the depth is known.

    Exit code 0: nothing found; 1: something is wrong, a sentence says what; 2: the data set cannot be opened.
    """

    data: Annotated[tuple[str, ...], Flag("CLIP|KIND:PATH ...", positional=True)] = ()
    """Clips, and data sets as in docs/data.md: KIND:PATH, options behind it as in kitti_raw:PATH:split=FILE or
    clip:walk.mp4:fov=70."""
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
    codes, reports = [0], list[Report]()
    for name in (part for given in options.data for part in _separate(given)):
        try:
            report = _examined(name, options.items)
        except Exception as error:  # one odd data set must not end the rest
            why = sentence(error, name)
            print(f"cyclopean check: {printable(why)}", file=sys.stderr)
            emit({"data": name, "error": why})
            codes.append(2)
            continue
        reports.append(report)
        wrong = [problem.sentence for problem in report.problems]
        emit({"data": name, "verdict": report.verdict or None, "problems": wrong, "facts": dict(report.table)})
        width = max(len(title) for title, _ in report.table)
        print(name, *(f"  {title:<{width}}  {text}" for title, text in report.table), sep="\n")
        if report.verdict:
            print(report.verdict)
        for problem in report.problems:
            print(f"WRONG: {problem.sentence}")
        print("" if report.problems else "Nothing wrong was found.\n")
        codes.append(1 if report.problems else 0)
    counted = [(report.name, dict(report.table)) for report in reports if not report.verdict]
    if len(counted) > 1:
        heads = ("data", "items", "truth", "size")
        lines = tuple((name, *(facts.get(head, "-") for head in heads[1:])) for name, facts in counted)
        print(Table(heads, lines, 4).plain() + "\n")
    if options.json:
        write_whole(options.json, json.dumps([report.content() for report in reports], indent=1) + "\n")
    return max(codes)


def _separate(given: str) -> list[str]:
    """Return the data sets that a comma separates, as in `evaluate --data`, unless one has the comma in its name."""
    from cyclopean.data import named

    try:
        named(given)
    except InputError:
        return [name for part in given.split(",") if (name := part.strip())] or [given]
    return [given]


@dataclass(frozen=True)
class Report:
    """The text printed of a data set or a clip, and a function that returns everything else."""

    name: str
    table: list[tuple[str, str]]
    problems: "list[Problem]"
    content: Callable[[], dict[str, Any]]
    verdict: str = ""


def _examined(name: str, most: int) -> Report:
    from cyclopean.data import is_clip, named, open_dataset

    _, path, options = named(name)
    loading("check", name)
    if is_clip(name):
        from cyclopean.data.diagnose_clip import clip_json, clip_problems, clip_rows, verdict
        from cyclopean.data.inspect_clip import examine_clip

        with progress_bar(name) as update:
            clip = examine_clip(name, at_home(path), options, update)
        return Report(name, clip_rows(clip), clip_problems(clip), partial(clip_json, clip), verdict(clip))

    from cyclopean.data.diagnose import as_json, problems, rows
    from cyclopean.data.inspect import examine

    inspection = examine(name, open_dataset(name), most, lambda indices: with_progress(indices, name))
    return Report(name, rows(inspection), problems(inspection), partial(as_json, inspection))
