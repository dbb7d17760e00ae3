"""One visitor's pictures, which no other visitor sees: everything hangs on a token that nobody can guess."""

import math
import os
import re
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cyclopean.app.developing import Preview, Shot
from cyclopean.app.limits import Limits
from cyclopean.errors import InputError
from cyclopean.profile import CameraProfile

PREFIX = "cyclopean-app-"
STAGES = 3  # sessions that one page opens
KEPT_PICTURES = 12  # shown pictures that a page may still ask for
LONGEST_NAME = 80
FULL = "the app is serving as many people as it can; close a page that is not in use, or come back in a few minutes."


class NothingNew(Exception):  # noqa: N818  (it is no error)
    """Two files came in a row, and the event of the first has already opened the second."""


@dataclass(eq=False)
class Session:
    """What one open page has: its upload, its previews, its way through them.

    `arrived` is a file that nobody has opened yet, `arriving` how many are on their way. `pictures` are JPEGs by name,
    `files` results by name: a visitor can ask for these names and no others. `points` are what a length is measured
    between, `keys` what is sharp at which second of a clip, `end` its last frame's second once that was seen; `filming`
    tells that a clip is at work, for minutes, and `stopped` asks it to end.
    """

    token: str
    folder: Path
    arriving: int = 0
    arrived: Path | None = None
    upload: Path | None = None
    preview: Preview | None = None
    profile: CameraProfile | None = None
    points: list[tuple[float, float]] = field(default_factory=list)
    keys: dict[float, tuple[float, float]] = field(default_factory=dict)
    end: float = math.inf
    filming: bool = False
    stopped: bool = False
    shots: list[tuple[str, Shot]] = field(default_factory=list)
    pictures: dict[str, bytes] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)
    used: float = field(default_factory=time.monotonic)
    lock: threading.Lock = field(default_factory=threading.Lock)
    _door: threading.Lock = field(default_factory=threading.Lock)

    def show(self, kind: str, picture: bytes) -> str:
        """Keep a picture for the page and return its address; the oldest ones are forgotten."""
        name = f"{kind}-{secrets.token_hex(4)}.jpg"
        self.pictures[name] = picture
        while len(self.pictures) > KEPT_PICTURES:
            del self.pictures[next(iter(self.pictures))]
        return f"picture/{self.token}/{name}"

    def keep(self, paths: list[Path]) -> list[dict[str, str]]:
        """Offer files to the page: their names and addresses."""
        self.files |= {path.name: path for path in paths}
        return [{"name": path.name, "url": fresh(f"file/{self.token}/{path.name}")} for path in paths]

    def room(self) -> Path:
        """A new folder for one upload: what is still being worked on is never written over."""
        return Path(tempfile.mkdtemp(prefix="in-", dir=self.folder))

    def receive(self, path: Path) -> None:
        """A file in a `room` of its own has arrived; one before it that nobody opened is forgotten."""
        with self._door:
            earlier, self.arrived = self.arrived, path
        if earlier is not None:
            shutil.rmtree(earlier.parent, ignore_errors=True)

    @contextmanager
    def opening(self) -> Iterator[Path]:
        """The file that has arrived. It becomes the upload if the block succeeds; else it goes, the earlier one stays.

        Raises NothingNew when none has arrived since, InputError when none ever has.
        """
        with self._door:
            path, self.arrived = self.arrived, None
        if path is None:
            raise NothingNew if self.upload else InputError("no file has arrived; choose one.")
        try:
            yield path
        except BaseException:
            shutil.rmtree(path.parent, ignore_errors=True)
            raise
        self.forget()
        self.upload = path

    def forget(self) -> None:
        """The upload and all that was made of it."""
        made = [self.folder / "out", *([self.upload.parent] if self.upload else [])]
        self.upload = None
        self.preview = None
        self.profile = None  # relative depth has another scale in every photo
        self.shots.clear()
        self.points.clear()
        self.keys.clear()
        self.end = math.inf
        self.pictures.clear()
        self.files.clear()
        for folder in made:
            shutil.rmtree(folder, ignore_errors=True)


class Store:
    """All sessions of this server, below one private temporary folder that is removed at the end."""

    def __init__(self, limits: Limits) -> None:
        _sweep_leftovers()
        self.limits = limits
        self.root = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
        self._sessions: dict[str, Session] = {}
        self._lock = threading.Lock()

    def open(self) -> Session:
        """A new session. Raises InputError when there are too many that are in use."""
        self.sweep()
        token = secrets.token_urlsafe(24)
        with self._lock:
            if len(self._sessions) >= self.limits.visitors * STAGES:
                raise InputError(FULL)
            folder = self.root / token
            folder.mkdir(mode=0o700)
            self._sessions[token] = Session(token, folder)
            return self._sessions[token]

    def get(self, token: str) -> Session | None:
        """The session of a token, which counts as in use from now; None when there is none."""
        session = self._sessions.get(token)
        if session is not None:
            session.used = time.monotonic()
        return session

    def close(self, session: Session | None) -> None:
        """Forget a session and remove its files."""
        if session is not None and self._sessions.pop(session.token, None) is not None:
            session.stopped = True
            shutil.rmtree(session.folder, ignore_errors=True)

    def sweep(self) -> None:
        """Close what nobody has used for long."""
        oldest = time.monotonic() - 60 * self.limits.idle_minutes
        for session in list(self._sessions.values()):
            if session.used < oldest:
                self.close(session)

    def end(self) -> None:
        """Remove everything."""
        self._sessions.clear()
        shutil.rmtree(self.root, ignore_errors=True)

    def __len__(self) -> int:
        return len(self._sessions)


def fresh(address: str) -> str:
    """`address` as no page has had it before: what lies there is new, and a page fetches only what is."""
    return f"{address}?{secrets.token_hex(4)}"


def safe_name(name: str) -> str:
    """A visitor's name for a file, as a name that is safe on any disk: no folders, no control or special characters."""
    last = re.split(r"[\\/]", name)[-1]
    clean = re.sub(r"[^\w.() -]", "_", last).strip(". ")
    stem, suffix = Path(clean).stem[:LONGEST_NAME], Path(clean).suffix[:8]
    return f"{stem}{suffix}" if stem else "photo"


def _sweep_leftovers() -> None:
    """Folders of servers that were killed before they could clean up."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        number = folder.name.removeprefix(PREFIX).split("-")[0]
        if number.isdigit() and not _alive(int(number)):
            shutil.rmtree(folder, ignore_errors=True)


def _alive(process: int) -> bool:
    """Whether a process with that number runs; True where that cannot be asked."""
    if os.name != "posix":
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True
