"""Try a whole path over every file of a folder, and count: done, refused with a sentence, failed."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from cyclopean.errors import InputError
from cyclopean.evaluation.tables import Table
from cyclopean.io.files import PHOTOS

STATES = ("done", "refused", "failed")


@dataclass(frozen=True)
class FileOutcome:
    """One file: `done`, `refused` or `failed`, why, and how long it took."""

    file: str
    state: str
    reason: str = ""
    seconds: float = field(default=0.0, compare=False)


def pictures_below(folders: Iterable[Path | str], every: bool = False) -> list[Path]:
    """Return the files below `folders` that have the suffix of a picture, or all. Raises `InputError` without any."""
    places = [Path(folder) for folder in folders]
    files: list[Path] = []
    for folder in places:
        if not folder.is_dir():
            raise InputError(f"{folder} is not a folder; give one that holds pictures.")
        below = sorted(p for p in folder.rglob("*") if p.is_file() and p.name[0] != ".")
        files += [p for p in below if every or p.suffix.lower() in PHOTOS]
    if not files:
        raise InputError(f"{', '.join(map(str, places))} holds no pictures; name a folder that does.")
    return files


def attempt(whole_path: Callable[[Path, Path], None], file: Path) -> FileOutcome:
    """Return what becomes of `file` on `whole_path(file, folder)`; results go to a folder that is removed again."""
    start = time.perf_counter()
    state, reason = "done", ""
    try:
        with TemporaryDirectory(prefix="cyclopean-robust-") as folder:
            whole_path(file, Path(folder))
    except InputError as error:
        state, reason = "refused", str(error).replace(str(file), file.name)
    except Exception as error:  # whatever it is, it must not end the count
        state, reason = "failed", f"{type(error).__name__}: {error}"
    return FileOutcome(str(file), state, reason, time.perf_counter() - start)


def report(outcomes: Sequence[FileOutcome]) -> str:
    """Return the counts as a table, then each file that was not done and why."""
    counts, total = Counter(outcome.state for outcome in outcomes), len(outcomes)
    rows = tuple((state, str(counts[state]), f"{100 * counts[state] / total:.1f} %") for state in STATES)
    seconds = sum(outcome.seconds for outcome in outcomes) / total
    lines = [Table(("", "files", "share"), rows, 1).markdown(), "", f"{total} files, {seconds:.2f} s each."]
    lines += [f"{one.state}: {one.file}: {one.reason}" for one in outcomes if one.state != "done"]
    return "\n".join(lines)
