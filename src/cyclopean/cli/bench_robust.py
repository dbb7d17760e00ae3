"""`cyclopean bench robust FOLDER`: the whole path over every file of a folder, and a reason for each that fails."""

import json
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

from cyclopean.cli.parsing import check_writable_file, parse, with_progress
from cyclopean.errors import InputError
from cyclopean.flags import Flag

if TYPE_CHECKING:
    from cyclopean.app.developing import Darkroom


@dataclass(frozen=True)
class BenchRobust:
    """Read, predict, save the depth, refocus and save every picture below a folder, and count.

    A picture counts as done when its depth and its refocused picture were written, have its size and can be read again.
    One that is refused must be refused with a sentence; anything else is a failure, and the exit code is 1 then.
    """

    folder: Annotated[tuple[str, ...], Flag("FOLDER ...", positional=True)] = ()
    """Where pictures lie, at any depth; files without the suffix of a picture are left out."""
    every: bool = False
    """Try every file, whatever its suffix."""
    model: Annotated[str, Flag("NAME")] = "general"
    """A bundled model, a model's folder, or a Hub repository (owner/name)."""
    json: Annotated[str | None, Flag("FILE")] = None
    """Where to write what became of each file."""
    max_megapixels: Annotated[float, Flag("N")] = 120.0
    """Larger photos are refused before they are decoded."""


@dataclass(frozen=True)
class Outcome:
    """What became of one file: `done`, `refused` or `failed`, why, and how long it took."""

    file: str
    state: str
    reason: str = ""
    seconds: float = field(default=0.0, compare=False)


def main(arguments: list[str]) -> int:
    return run(parse(BenchRobust, arguments, "cyclopean bench robust"))


def run(given: BenchRobust) -> int:
    """Print the counts; 0 unless something failed without a sentence."""
    files = _files(given)
    if given.json:
        check_writable_file(Path(given.json))
    from cyclopean.app.developing import Darkroom
    from cyclopean.inference.predictor import load

    room = Darkroom(load(given.model), given.max_megapixels)
    outcomes = [tried(room, files[index]) for index in with_progress(range(len(files)), "trying")]
    print(report(outcomes))
    if given.json:
        Path(given.json).write_text(json.dumps([asdict(outcome) for outcome in outcomes], indent=2) + "\n")
    return 1 if any(outcome.state == "failed" for outcome in outcomes) else 0


def tried(room: "Darkroom", path: Path) -> Outcome:
    """The whole path for one file; results go to a folder that is removed again."""
    start = time.perf_counter()
    try:
        with TemporaryDirectory(prefix="cyclopean-robust-") as folder:
            _whole_path(room, path, Path(folder))
    except InputError as error:
        return Outcome(str(path), "refused", str(error).replace(str(path), path.name), time.perf_counter() - start)
    except Exception as error:  # whatever it is, it must not end the count
        return Outcome(str(path), "failed", f"{type(error).__name__}: {error}", time.perf_counter() - start)
    return Outcome(str(path), "done", seconds=time.perf_counter() - start)


def _whole_path(room: "Darkroom", path: Path, folder: Path) -> None:
    from cyclopean.app.developing import Look, Shot, save_depth, save_refocused
    from cyclopean.io.depthmap import read_depth
    from cyclopean.io.image import read_photo

    size = room.read(path).size
    depth = read_depth(save_depth(room, path, folder)[1])
    kept = read_photo(save_refocused(room, path, Shot((0.5, 0.5), Look()), "PNG", folder)[0], room.megapixels)
    for name, found in (("depth", depth.size), ("refocused picture", kept.size)):
        if found != size:
            raise ValueError(f"the {name} is {found[1]}x{found[0]}, the photo {size[1]}x{size[0]}")


def _files(given: BenchRobust) -> list[Path]:
    if not given.folder:
        raise InputError("no folder was given; name one that holds pictures: cyclopean bench robust FOLDER")
    from cyclopean.io.files import PHOTOS

    found: list[Path] = []
    for folder in map(Path, given.folder):
        if not folder.is_dir():
            raise InputError(f"{folder} is no folder; give one that holds pictures.")
        files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name[0] != ".")
        found += [p for p in files if given.every or p.suffix.lower() in PHOTOS]
    if not found:
        raise InputError(f"{', '.join(given.folder)} holds no pictures; name a folder that does.")
    return found


def report(outcomes: list[Outcome]) -> str:
    """The counts as a table, then each file that was not done and why."""
    counts = Counter(outcome.state for outcome in outcomes)
    whole, took = len(outcomes), sum(outcome.seconds for outcome in outcomes)
    lines = ["| | files | share |", "|---|---:|---:|"]
    lines += [f"| {state} | {counts[state]} | {100 * counts[state] / whole:.1f} % |" for state in STATES]
    lines += ["", f"{whole} files, {took / whole:.2f} s each."]
    others = [outcome for outcome in outcomes if outcome.state != "done"]
    return "\n".join([*lines, *(f"{outcome.state}: {outcome.file}: {outcome.reason}" for outcome in others)])


STATES = ("done", "refused", "failed")
