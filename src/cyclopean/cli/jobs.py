"""The jobs of a command, one for each input: folders opened up, and a name for the results of each."""

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from cyclopean.cli.output import remark
from cyclopean.cli.parsing import named_file
from cyclopean.errors import InputError, contained
from cyclopean.io.files import CLIPS, MOST_TEXT, PHOTOS, RAWS, printable, read_text, refuse_unreadable, text_of
from cyclopean.io.remote import Remote, files_in, is_url, remote
from cyclopean.io.result_names import Target
from cyclopean.stereoscopy import LAYOUTS

READ = (*PHOTOS, *RAWS, *CLIPS)
LIST = ".txt"  # the suffix of a list of inputs
MOST_LISTED = 2_000_000  # lines of a list: a job takes a kilobyte
LONGEST = 10_000  # characters of a line
MOST_NAMED = 20  # inputs that share their names

Source = Path | Remote


@dataclass(frozen=True, slots=True)
class Job:
    """An input, the folder for its results, and what their names begin with: the input's name up to its last dot.

    `implied` as of `Target`.
    """

    source: Source
    folder: Path
    stem: str
    implied: str = ""

    def target(self, *, overwrite: bool = False) -> Target:
        """Return where results go, which may replace other files if `overwrite`."""
        return Target(self.folder, self.stem, overwrite, self.implied)


def jobs_for(names: Sequence[str], out: str | None) -> tuple[list[Job], dict[str, str]]:
    """Return a job for each file in `names` and in the folders and lists among them, and for each that leads nowhere a
    sentence by its name.

    A name is a path or a URL; a folder at a URL ends in /. A list is a .txt file, or - for the standard input, with one
    such name on each line. Results go to `out`, or beside their input. If `out` names a file (`named_file`), InputError
    is raised for more than one input, and without `out` for a URL. Inputs whose results would have one name are told
    apart by their suffixes (`IMG_1_heic`, `IMG_1_mov`), and by their folders or numbers where that is not enough. An
    input that the result of another would overwrite takes no part. One that is reached by several ways, as through a
    link to its folder, is done once.
    """
    resolved = cache(Path.resolve)  # of folders, which are far fewer than their files
    sources: list[Source] = []
    bad: dict[str, str] = {}
    for name in names:
        lines = [name]
        if name == "-" or (name.lower().endswith(LIST) and not is_url(name) and not Path(name).is_dir()):
            with _contained(name, bad):
                lines = _listed(name)
        for line in lines if name not in bad else ():
            with _contained(line, bad):
                sources += _named(line, bad)
    inputs: dict[Source, Source] = {}
    for source in _without_results(sources):
        inputs.setdefault(_where(source, resolved), source)
    named = named_file(out)
    if out is None and (far := next((source for source in inputs if isinstance(source, Remote)), None)):
        raise InputError(f"results cannot go beside {far}; name a folder here for them: --out DIR.")
    if named is None:
        jobs = _told_apart(
            [Job(source, Path(source.parent if out is None else out), source.stem) for source in inputs.values()],
            resolved,
        )
    elif len(inputs) + len(bad) > 1:
        raise InputError(f"--out {named} names one file, and there are {len(inputs) + len(bad)} inputs; give a folder.")
    else:
        jobs = [Job(source, named.parent, named.stem, "_disp") for source in inputs.values()]
    good, folders = [], {place.parent for place in inputs if isinstance(place, Path)}
    for job in jobs:
        results = map(job.target().path, RESULTS) if resolved(job.folder) in folders else ()
        taken = next((result for result in results if _where(result, resolved) in inputs), None)
        if taken is None:
            good.append(job)
        else:
            sentence = f"the result of {job.source} would overwrite {taken}, an input; give another --out."
            bad[str(job.source)] = sentence
    return good, bad


@contextmanager
def _contained(name: str, bad: dict[str, str]) -> Iterator[None]:
    """Add the sentence of any exception to `bad`, as `contained` does, by the name of its input."""
    sentences: list[str] = []
    with contained(printable(name if is_url(name) else Path(name)), sentences):
        yield
    if sentences:
        bad[name] = sentences[0]


def _listed(name: str) -> list[str]:
    """Return the lines of a list, less empty ones and comments, which begin with # and name no file.

    Raises InputError for a list that is empty or too long.
    """
    if name == "-":
        data = sys.stdin.buffer.read(MOST_TEXT + 1)
        if len(data) > MOST_TEXT:
            raise InputError(
                f"the list on the standard input has more than {MOST_TEXT / 1e6:.0f} MB; give it in parts."
            )
        text = text_of(data, "the standard input")
    else:
        text = read_text(Path(name), f"a {LIST} is a list of inputs; a photo or a clip needs another suffix")
    if text.count("\n") > MOST_LISTED:
        raise InputError(f"the list {name} has more than {MOST_LISTED} lines; give it in parts.")
    lines = [line if os.path.lexists(line) else line.strip() for line in text.split("\n")]  # names may have blanks
    lines = [line for line in lines if line and (not line.startswith("#") or os.path.lexists(line))]
    if not lines:
        raise InputError(f"the list {name} is empty; write a path or a URL on each line.")
    if (longest := max(map(len, lines))) > LONGEST:
        raise InputError(f"the list {name} has a line of {longest} characters; write a path or a URL on each line.")
    return lines


def _named(name: str, bad: dict[str, str]) -> list[Source]:
    """Return the file at a path or a URL, or the photos and clips of the folder there."""
    if not is_url(name):
        path = Path(name)
        if path.is_dir():
            return list(_in_folder(path, bad))
        refuse_unreadable(path)
        return [path]
    if not name.endswith("/"):
        return [remote(name)]
    files = files_in(name)
    wanted: list[Source] = [file for file in files if file.suffix.lower() in READ]
    if not wanted:
        raise InputError(f"{name} holds no photos or videos; name a folder that does.")
    _name_left_alone(name, Counter(f.suffix.lower() or "no suffix" for f in files if f.suffix.lower() not in READ))
    return wanted


def count_in(folder: Path) -> Counter[str]:
    """Return how many photos and clips of each suffix, as written, a folder has. The rest is counted on the screen.

    Raises InputError for a folder without any.
    """
    with os.scandir(folder) as entries:
        names = (entry.name for entry in entries if entry.name[0] != "." and not _is_folder(entry))
        suffixes = Counter(os.path.splitext(name)[1] for name in names)
    media = Counter({suffix: count for suffix, count in suffixes.items() if suffix.lower() in READ})
    if not media:
        raise InputError(_holds_none(folder))
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


def _without_results(sources: list[Source]) -> list[Source]:
    """Return `sources` without pictures that are results of another, whose sidecar is gone: their array is there."""
    here = [source for source in sources if isinstance(source, Path)]
    stems = {(source.parent, source.stem) for source in here}
    results = [
        source
        for source in here
        for ending in RESULTS
        if source.name.endswith(ending)
        and (source.parent, stem := source.name.removesuffix(ending)) in stems
        and source.with_name(f"{stem}_disp.npy").is_file()
    ]
    if results:
        names = ", ".join(printable(result) for result in results[:3]) + (", ..." if len(results) > 3 else "")
        remark(f"left alone, as results whose sidecar (.json) is gone: {names}")
    left_out = set(results)
    return [source for source in sources if source not in left_out]


RESULTS = ("_disp.png", "_disp.mp4", "_disp16.png", "_uncertainty.png")  # that are pictures or clips themselves


def _in_folder(folder: Path, bad: dict[str, str]) -> list[Path]:
    """Return a folder's photos and clips by suffix, less what sidecars there name as results. The rest is counted."""
    there = [path for path in sorted(folder.iterdir()) if path.name[0] != "." and not path.is_dir()]
    for path in there:
        if path.suffix.lower() in READ and not path.is_file():  # a pipe, or a link that leads nowhere
            with _contained(str(path), bad):
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
        bad[str(folder)] = _holds_none(folder)
    else:
        _name_left_alone(folder, others)
    return wanted


def _name_left_alone(folder: Path | str, others: Counter[str]) -> None:
    if others:
        kinds = ", ".join(f"{count} {suffix}" for suffix, count in sorted(others.items()))
        remark(f"left alone in {folder}, no photos or videos by their suffix: {kinds}")
    if isinstance(folder, Path) and (inner := _inner(folder)):
        remark(f"left alone in {folder}, folders inside it with photos or videos: {inner}; name them to read them too")


def _holds_none(folder: Path) -> str:
    inner = _inner(folder)
    remedy = f"folders inside it do, name these: {inner}" if inner else "name a folder that does"
    return f"{folder} holds no photos or videos; {remedy}."


def _inner(folder: Path) -> str:
    """Return the names of the folders in `folder` that hold photos or videos which are not results of ours."""
    names = []
    with os.scandir(folder) as entries:
        inside = sorted(entry.name for entry in entries if entry.name[0] != "." and _is_folder(entry))
    for name in inside:
        with suppress(OSError), os.scandir(folder / name) as entries:
            for entry in entries:
                stem, suffix = os.path.splitext(entry.name)
                if entry.name[0] != "." and suffix.lower() in READ and not _is_result(folder / name, stem, suffix):
                    names.append(printable(Path(name)))
                    break
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _told_apart(jobs: list[Job], resolved: Callable[[Path], Path]) -> list[Job]:
    """Return the jobs with stems of their own. Case does not count: some file systems do not know it."""

    def place(job: Job) -> tuple[Path, str]:
        return resolved(job.folder), job.stem.casefold()

    def folder_name(source: Source) -> str:
        return source.absolute().parent.name if isinstance(source, Path) else source.parent.name

    for longer in (
        lambda job: f"{job.source.stem}_{job.source.suffix[1:].lower()}",
        lambda job: f"{folder_name(job.source)}_{job.source.stem}_{job.source.suffix[1:].lower()}",
    ):
        meeting = Counter(map(place, jobs))
        jobs = [replace(job, stem=longer(job)) if meeting[place(job)] > 1 else job for job in jobs]
    taken: set[tuple[Path, str]] = set()
    last: Counter[tuple[Path, str]] = Counter()  # number of a name, so that none is tried twice
    apart, renamed = [], 0
    for job in jobs:
        named = job
        while place(named) in taken:
            last[place(job)] += 1
            named = replace(job, stem=f"{job.stem}_{last[place(job)] + 1}")
        taken.add(place(named))
        if named.stem != job.source.stem:
            renamed += 1
            results = printable(f"{named.stem}_...")
            if renamed <= MOST_NAMED:
                remark(f"{job.source} shares its name with another input: its results are {results}")
        apart.append(named)
    if renamed > MOST_NAMED:
        remark(f"and {renamed - MOST_NAMED} more inputs share their names")
    return apart


def _where(source: Source, resolved: Callable[[Path], Path]) -> Source:
    """Return the place of a file's name on the disk, whichever way leads to its folder. Links, and URLs, stay."""
    return resolved(source.parent) / source.name if isinstance(source, Path) else source
