"""The jobs of a command, one for each input: folders opened up, and a name for the results of each."""

import itertools
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cyclopean.cli.output import remark
from cyclopean.cli.parsing import named_file
from cyclopean.errors import InputError, contained
from cyclopean.io.files import CLIPS, PHOTOS, RAWS, printable, refuse_unreadable
from cyclopean.io.result_names import Target
from cyclopean.stereoscopy import LAYOUTS

READ = (*PHOTOS, *RAWS, *CLIPS)


@dataclass(frozen=True)
class Job:
    """An input, the folder for its results, and what their names begin with: the input's name up to its last dot.

    `implied` as of `Target`.
    """

    source: Path
    folder: Path
    stem: str
    implied: str = ""

    def target(self, *, overwrite: bool = False) -> Target:
        """Return where results go, which may replace other files if `overwrite`."""
        return Target(self.folder, self.stem, overwrite, self.implied)


def jobs_for(names: Sequence[str], out: str | None) -> tuple[list[Job], list[str]]:
    """Return a job for each file in `names` and in the folders among them, and a sentence for each that leads nowhere.

    Results go to `out`, or beside their input. If `out` names a file (`named_file`), InputError is raised for more than
    one input. Inputs whose results would have one name are told apart by their
    suffixes (`IMG_1_heic`, `IMG_1_mov`), and by their folders or numbers where that is not enough. An input that the
    result of another would overwrite takes no part. One that is reached by several ways, as through a link to its
    folder, is done once.
    """
    sources: list[Path] = []
    bad: list[str] = []
    for path in map(Path, names):
        with contained(printable(path), bad):
            if path.is_dir():
                sources += _in_folder(path, bad)
            else:
                refuse_unreadable(path)
                sources.append(path)
    inputs: dict[Path, Path] = {}
    for source in _without_results(sources):
        inputs.setdefault(_where(source), source)
    named = named_file(out)
    if named is None:
        folders = ((source, source.parent if out is None else Path(out)) for source in inputs.values())
        jobs = _told_apart([Job(source, folder, source.stem) for source, folder in folders])
    elif len(inputs) + len(bad) > 1:
        raise InputError(f"--out {named} names one file, and there are {len(inputs) + len(bad)} inputs; give a folder.")
    else:
        jobs = [Job(source, named.parent, named.stem, "_disp") for source in inputs.values()]
    good = []
    for job in jobs:
        results = map(job.target().path, RESULTS)
        taken = next((result for result in results if _where(result) in inputs), None)
        if taken is None:
            good.append(job)
        else:
            bad.append(f"the result of {job.source} would overwrite {taken}, an input; give another --out.")
    return good, bad


def count_in(folder: Path) -> Counter[str]:
    """Return how many photos and clips of each suffix, as written, a folder has. The rest is counted on the screen.

    Raises InputError for a folder without any.
    """
    with os.scandir(folder) as entries:
        names = (entry.name for entry in entries if entry.name[0] != "." and not _is_folder(entry))
        suffixes = Counter(os.path.splitext(name)[1] for name in names)
    media = Counter({suffix: count for suffix, count in suffixes.items() if suffix.lower() in READ})
    if not media:
        raise InputError(f"{folder} holds no photos or videos; name a folder that does.")
    others: Counter[str] = Counter()
    for suffix in suffixes - media:
        others[suffix.lower() or "no suffix"] += suffixes[suffix]
    _name_left_alone(folder, others)
    return media


def jobs_in(folder: Path, out: Path, suffixes: Sequence[str]) -> Iterator[Job]:
    """Yield a job for each photo and clip of a folder of any size, as `jobs_for` does, but in the order of the disk and
    without keeping their names. `suffixes` are those that the folder has; results go to another folder.

    Names are told apart within the folder; case counts in them.
    """
    with os.scandir(folder) as entries:
        for entry in entries:
            stem, suffix = os.path.splitext(entry.name)
            if entry.name[0] == "." or suffix not in suffixes or _is_folder(entry) or _is_result(folder, stem, suffix):
                continue
            name, number, others = stem, 1, [other for other in suffixes if other != suffix]
            while any(os.path.lexists(folder / f"{name}{other}") for other in others):  # then it is that file's name
                name = f"{stem}_{suffix[1:].lower()}" + (f"_{number}" if number > 1 else "")
                number, others = number + 1, list(suffixes)
            yield Job(folder / entry.name, out, name)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    return Path(entry.path).is_dir() if entry.is_symlink() else entry.is_dir()


def _is_result(folder: Path, stem: str, suffix: str) -> bool:
    """Return whether a sidecar beside a file names it as a result: its own, or that of the depth it came with."""
    sides = [f"{stem}.json"]
    sides += [f"{stem.removesuffix(e)}_stereo.json" for e in LAYOUTS.values() if stem.endswith(e)]
    sides += [
        f"{stem.removesuffix(ending)}_disp.json"
        for ending in {Path(result).stem for result in RESULTS}
        if stem.endswith(ending)
    ]
    if not any(os.path.lexists(folder / side) for side in sides):
        return False
    from cyclopean.io.sidecar import outputs_of_sidecar

    return any(f"{stem}{suffix}" in outputs_of_sidecar(folder / side) for side in sides)


def _without_results(sources: list[Path]) -> list[Path]:
    """Return `sources` without pictures that are results of another, whose sidecar is gone: their array is there."""
    stems = {(source.parent, source.stem) for source in sources}
    results = [
        source
        for source in sources
        for ending in RESULTS
        if source.name.endswith(ending)
        and (source.parent, stem := source.name.removesuffix(ending)) in stems
        and source.with_name(f"{stem}_disp.npy").is_file()
    ]
    if results:
        names = ", ".join(printable(result) for result in results[:3]) + (", ..." if len(results) > 3 else "")
        remark(f"left alone, as results whose sidecar (.json) is gone: {names}")
    return [source for source in sources if source not in results]


RESULTS = ("_disp.png", "_disp.mp4", "_disp16.png", "_uncertainty.png")  # that are pictures or clips themselves


def _in_folder(folder: Path, bad: list[str]) -> list[Path]:
    """Return a folder's photos and clips by suffix, less what sidecars there name as results. The rest is counted."""
    there = [path for path in sorted(folder.iterdir()) if path.name[0] != "." and not path.is_dir()]
    for path in there:
        if path.suffix.lower() in READ and not path.is_file():  # a pipe, or a link that leads nowhere
            with contained(printable(path), bad):
                refuse_unreadable(path)
    files = [path for path in there if path.is_file()]
    results: set[str] = set()
    if any(path.suffix.lower() in READ for path in files):  # else nothing heavy is loaded
        from cyclopean.io.sidecar import outputs_named_in

        results = outputs_named_in(folder)
    files = [path for path in files if path.name not in results]
    wanted = [path for path in files if path.suffix.lower() in READ]
    others = Counter(path.suffix.lower() or "no suffix" for path in files if path.suffix.lower() not in READ)
    if not wanted:
        bad.append(f"{folder} holds no photos or videos; name a folder that does.")
    else:
        _name_left_alone(folder, others)
    return wanted


def _name_left_alone(folder: Path, others: Counter[str]) -> None:
    if others:
        kinds = ", ".join(f"{count} {suffix}" for suffix, count in sorted(others.items()))
        remark(f"left alone in {folder}, no photos or videos by their suffix: {kinds}")


def _told_apart(jobs: list[Job]) -> list[Job]:
    """Return the jobs with stems of their own. Case does not count: some file systems do not know it."""
    for longer in (
        lambda job: f"{job.source.stem}_{job.source.suffix[1:].lower()}",
        lambda job: f"{job.source.absolute().parent.name}_{job.source.stem}_{job.source.suffix[1:].lower()}",
    ):
        meeting = Counter(map(_place, jobs))
        jobs = [replace(job, stem=longer(job)) if meeting[_place(job)] > 1 else job for job in jobs]
    taken: set[tuple[Path, str]] = set()
    apart = []
    for job in jobs:
        numbered = (replace(job, stem=f"{job.stem}_{number}") for number in itertools.count(2))
        named = next(name for name in itertools.chain([job], numbered) if _place(name) not in taken)
        taken.add(_place(named))
        if named.stem != job.source.stem:
            results = printable(f"{named.stem}_...")
            remark(f"{job.source} shares its name with another input: its results are {results}")
        apart.append(named)
    return apart


def _where(path: Path) -> Path:
    """Return the place of a file's name on the disk, whichever way leads to its folder. Links stay."""
    return path.parent.resolve() / path.name


def _place(job: Job) -> tuple[Path, str]:
    return job.folder.resolve(), job.stem.casefold()
