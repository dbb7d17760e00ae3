"""Many spoiled files of every kind, each read in a process that is watched: `python -m benchmarks hostile`.

Nothing but an `InputError` of one sentence may come of any: no other exception, no more than 20 s and 2 GB, no file
outside the folder of the input, no connection, no other process. The same seed gives the same files.
"""

import multiprocessing
import os
import random
import shutil
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.hostile_kinds import KINDS, prepare
from benchmarks.hostile_spoiling import spoiled

SECONDS, GIGABYTES, LETTERS = 20.0, 2.0, 1000
READ, REFUSED = GOOD = ("read", "refused")
CONNECTING = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "socket.bind")
STARTING = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.spawn", "pty.spawn")
CHANGING = (
    "os.remove",
    "os.rename",
    "os.mkdir",
    "os.rmdir",
    "os.link",
    "os.symlink",
    "os.truncate",
    "os.chmod",
    "shutil.rmtree",
)
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


@dataclass(frozen=True)
class Outcome:
    """What came of one input: `read`, `refused`, or what was wrong; `kept` is a copy of an input that was."""

    index: int
    kind: str
    what: str
    seconds: float
    kept: Path | None = None


@dataclass(frozen=True)
class RenderJob:
    """Which inputs are read, where, and where those that go wrong are kept."""

    inputs: int
    seed: int
    keep: Path
    kinds: tuple[str, ...]
    place: str


def outcomes(inputs: int, seed: int, keep: Path, kinds: Iterable[str] = KINDS) -> Iterator[Outcome]:
    """Read `inputs` spoiled inputs; those that go wrong are copied into `keep`."""
    context = multiprocessing.get_context("spawn")
    start = 0
    with tempfile.TemporaryDirectory() as place:
        order = RenderJob(inputs, seed, keep, tuple(kinds), os.path.realpath(place))
        while start < inputs:  # again after a process that had to be ended
            here, there = context.Pipe()
            child = context.Process(target=_watched, args=(there, order, start), daemon=True)
            child.start()
            there.close()
            reading: Outcome | None = None
            try:
                while start < inputs:
                    # The first answer waits for imports and for sound files to be made.
                    if not here.poll(600 if reading is None else 1.5 * SECONDS):
                        raise TimeoutError
                    answer = here.recv()
                    if isinstance(answer, str):
                        raise RuntimeError(answer)
                    reading = answer
                    if answer.what:
                        start = answer.index + 1
                        yield answer
            except (TimeoutError, EOFError) as error:
                if reading is None:
                    raise RuntimeError("the process that reads did not start") from None
                what = "hang" if isinstance(error, TimeoutError) else "the process died"
                seconds = time.monotonic() - reading.seconds
                kept = _kept(order, reading.kind, reading.index, what)
                yield Outcome(reading.index, reading.kind, what, seconds, kept)
                start = reading.index + 1
            finally:
                child.kill()
                child.join()
                here.close()


def _kept(order: RenderJob, kind: str, index: int, what: str) -> Path:
    """Copy the input that is being read to where those that went wrong are kept."""
    words = "".join(c if c.isalnum() else "_" for c in what)[:60]
    target = order.keep / kind.replace(" ", "_") / words / str(index)
    shutil.copytree(Path(order.place) / "input", target, dirs_exist_ok=True)
    return target


def _watched(connection: Connection, order: RenderJob, start: int) -> None:
    """Run `_read_all` in a process of its own; an error of ours is sent as its traceback."""
    try:
        _apart(Path(order.place))
        _read_all(connection, order, start)
    except Exception:
        connection.send(traceback.format_exc())


def _read_all(connection: Connection, order: RenderJob, start: int) -> None:
    """Read inputs one after the other, and send what came of each."""
    root = Path(order.place)
    cases = {kind: _sound(kind, root / "sound" / kind) for kind in order.kinds}
    seen: list[str] = []
    watching = _audited(order.place, seen)
    shares = [KINDS[kind].share for kind in order.kinds]
    for index in range(start, order.inputs):
        rng = random.Random(f"{order.seed} {index}")
        kind = rng.choices(order.kinds, shares)[0]
        folder = _spoiled_copy(rng.choice(cases[kind]), root / "input", rng)
        seen.clear()
        _forget_peak()
        began = time.monotonic()
        connection.send(Outcome(index, kind, "", began))
        watching.set()
        try:
            KINDS[kind].read(folder)
            what = READ
        except Exception as error:
            what = _judged(error)
        finally:
            watching.clear()
        seconds, peak = time.monotonic() - began, _peak()
        if seen:
            what = seen[0]
        elif what in GOOD and seconds > SECONDS:
            what = f"took {seconds:.0f} s"
        elif what in GOOD and peak > GIGABYTES:
            what = f"took {peak:.1f} GB"
        shutil.rmtree(folder / "out", ignore_errors=True)
        kept = None if what in GOOD else _kept(order, kind, index, what)
        connection.send(Outcome(index, kind, what, seconds, kept))


def _apart(root: Path) -> None:
    """Put this process into `root`, with what libraries print or write for a while."""
    os.chdir(root)
    with (root / "log").open("ab", buffering=0) as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    os.environ["TMPDIR"] = tempfile.tempdir = str(root)
    sys.dont_write_bytecode = True
    warnings.simplefilter("ignore")
    prepare()


def _sound(kind: str, folder: Path) -> list[Path]:
    """The folders of the sound inputs of a kind, made if missing."""
    if not folder.exists():
        folder.mkdir(parents=True)
        KINDS[kind].make(folder)
    return sorted(path for path in folder.iterdir() if path.is_dir())


def _spoiled_copy(case: Path, place: Path, rng: random.Random) -> Path:
    """A copy of a sound input, below `place` and under its own name, one of whose files is spoiled."""
    shutil.rmtree(place, ignore_errors=True)
    folder = place / case.name
    shutil.copytree(case, folder)
    target = rng.choice(sorted(path for path in folder.rglob("*") if path.is_file()))
    target.write_bytes(spoiled(target.name, target.read_bytes(), rng))
    (folder / "out").mkdir(exist_ok=True)
    return folder


def _audited(place: str, seen: list[str]) -> threading.Event:
    """While the event is set, put into `seen` what this process does that no reader may do."""
    watching = threading.Event()

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        if not watching.is_set():
            return
        paths: list[Any] = []
        if event in CONNECTING or event in STARTING:
            seen.append(f"{event} {str(arguments[-1])[:99]}")
        elif event in CHANGING:
            paths = [argument for argument in arguments if isinstance(argument, str | bytes | os.PathLike)]
        elif event == "open" and isinstance(arguments[0], str | bytes | os.PathLike):
            path, mode, flags = arguments
            paths = [path] if set(mode or "") & set("wax+") or (flags or 0) & WRITING else []
        seen.extend(f"{event} outside: {path!r}" for path in paths if _outside(path, place))

    sys.addaudithook(audit)
    return watching


def _judged(error: Exception) -> str:
    """`refused` for one sentence or a lack of memory, else the error and its place."""
    from cyclopean.errors import InputError, lacks_memory

    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = f"at {Path(frame.filename).name}:{frame.lineno}"
    if isinstance(error, InputError):
        ugly = "\n" in str(error) or len(str(error)) > LETTERS
        return f"no short sentence {place}" if ugly else REFUSED
    if lacks_memory(error):
        return REFUSED
    return f"{type(error).__name__} {place}: {str(error).splitlines()[0][:80] if str(error) else ''}"


def _outside(path: Any, place: str) -> bool:
    real = os.path.realpath(os.fsdecode(path)) + os.sep  # of the place itself: a temporary file without a name
    return not real.startswith((place + os.sep, "/dev/", "/proc/self/")) and "__pycache__" not in real


def _forget_peak() -> None:
    if Path("/proc/self/clear_refs").exists():
        Path("/proc/self/clear_refs").write_text("5")


def _peak() -> float:
    """The most memory since `_forget_peak`, in GB; 0 where nobody tells."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1e6 for line in lines if line.startswith("VmHWM")), 0.0)


def main(inputs: int, seed: int) -> bool:
    """Print a table of what came of all inputs, and each that went wrong; return whether one did."""
    keep = Path("out") / "hostile"
    counts, slowest, wrong = Counter[tuple[str, str]](), dict.fromkeys(KINDS, 0.0), []
    began = time.monotonic()
    for outcome in outcomes(inputs, seed, keep.absolute()):
        good = outcome.what in GOOD
        counts[outcome.kind, outcome.what if good else "wrong"] += 1
        slowest[outcome.kind] = max(slowest[outcome.kind], outcome.seconds)
        if not good:
            wrong.append(outcome)
            print(f"{outcome.kind}: {outcome.what} ({outcome.kept})", file=sys.stderr, flush=True)
    print(f"\n### hostile: {inputs} spoiled inputs, seed {seed}, {time.monotonic() - began:.0f} s\n")
    print("| kind | inputs | read | refused | wrong | slowest |\n|---|---:|---:|---:|---:|---:|")
    for kind in KINDS:
        read, refused, bad = (counts[kind, what] for what in (READ, REFUSED, "wrong"))
        print(f"| {kind} | {read + refused + bad} | {read} | {refused} | {bad} | {slowest[kind]:.1f} s |")
    return bool(wrong)
