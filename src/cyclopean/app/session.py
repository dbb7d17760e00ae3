"""One visitor's pictures, which no other visitor sees: the key to them is a token that cannot be guessed."""

import math
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
from typing import TYPE_CHECKING

from cyclopean.app.jobs import Job
from cyclopean.app.limits import Limits
from cyclopean.errors import InputError

if TYPE_CHECKING:  # torch is loaded while the first page is opened
    from cyclopean.app.service import FocusRequest, Preview
    from cyclopean.inference.metric_calibration import CameraProfile, TwoDistances
    from cyclopean.inference.photo_pipeline import EmbeddedUse

PREFIX = "cyclopean-app-"
STAGES = ("photo", "video", "panorama")  # sessions that one page opens; metres are measured in the photo
KEPT_PICTURES = 6  # shown pictures of a kind that a page may still ask for
LONGEST_NAME = 100  # bytes, without the suffix: disks take 255, or 143, and results get a word more
UNSEEN = 120.0  # seconds that a session lasts whose page nobody seems to look at
GONE = "this page was open for too long without being used, and its pictures are gone; reload it."
FULL = "the app is serving as many people as it can; close a page that is not in use. A place may be free in {}."


class NothingNew(Exception):  # noqa: N818  (it is not an error)
    """Two files came in a row, and the event of the first has already opened the second."""


@dataclass(eq=False)
class Session:
    """The state of one open page: its upload, its previews, its way through them.

    `arrived` is a file that is not yet opened, `arriving` how many are on their way. `pictures` are JPEGs by name,
    `files` results by name: a visitor can ask for these names and no others. `points` are what a length is measured
    between, `keys` what is sharp at which second of a clip, `end` its last frame's second once that was seen.
    `refocusing`: a clip is at work, for minutes; `stopped`: it is to end; `waiting`: it is queued for that. `chosen`
    names the model for what is opened next, `model` that of the upload; None: the app's first one. `embedded` is the
    use of depth in the upload's own file. `used` is when its visitor last did something, `seen` when the page last
    reported that it is open; `handling` names the file that is being opened.
    """

    token: str
    folder: Path
    arriving: int = 0
    arrived: Path | None = None
    upload: Path | None = None
    preview: "Preview | None" = None
    profile: "CameraProfile | TwoDistances | None" = None
    chosen: str | None = None
    model: str | None = None
    embedded: "EmbeddedUse" = "prefer"
    points: list[tuple[float, float]] = field(default_factory=list)
    keys: dict[float, tuple[float, float]] = field(default_factory=dict)
    end: float = math.inf
    refocusing: bool = False
    stopped: bool = False
    history: list[tuple[str, "FocusRequest"]] = field(default_factory=list)
    pictures: dict[str, bytes] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)
    jobs: dict[str, Job] = field(default_factory=dict)
    waiting: bool = False
    closed: bool = False
    handling: str | None = None
    opened: float = field(default_factory=time.monotonic)
    used: float = field(default_factory=time.monotonic)
    seen: float = -math.inf  # of a page that has not said so yet
    lock: threading.Lock = field(default_factory=threading.Lock)
    _door: threading.Lock = field(default_factory=threading.Lock)

    @property
    def holds(self) -> bool:
        """Return whether there is a file, or one is on its way; without any a session costs nothing."""
        return bool(self.arriving or self.arrived or self.handling or self.upload)

    def show(self, kind: str, picture: bytes, suffix: str = ".jpg") -> str:
        """Keep a picture for the page and return its address; the oldest ones of its kind are forgotten."""
        name = f"{kind}-{secrets.token_hex(4)}{suffix}"
        self.pictures[name] = picture
        alike = [name for name in self.pictures if name.startswith(f"{kind}-")]
        for old in alike[:-KEPT_PICTURES]:
            del self.pictures[old]
        return f"picture/{self.token}/{name}"

    def keep(self, paths: list[Path]) -> list[dict[str, str]]:
        """Offer files to the page: their names and addresses."""
        self.files |= {path.name: path for path in paths}
        return [{"name": path.name, "url": fresh(f"file/{self.token}/{path.name}")} for path in paths]

    def room(self) -> Path:
        """Make a new folder for one upload: what is still being worked on is never written over."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix="in-", dir=self.folder))

    def receive(self, path: Path) -> None:
        """Take a file that has arrived in a `room` of its own; an earlier one that was never opened is forgotten."""
        with self._door:
            earlier, self.arrived = self.arrived, path
        if earlier is not None:
            shutil.rmtree(earlier.parent, ignore_errors=True)
        self.leave_nothing()

    def leave_nothing(self) -> None:
        """Remove what a step that was on its way when the page was closed has left."""
        if self.closed:
            shutil.rmtree(self.folder, ignore_errors=True)

    @contextmanager
    def opening(self) -> Iterator[Path]:
        """Yield the file that has arrived. It becomes the upload if the block succeeds, else it goes.

        Raises NothingNew when none has arrived since, InputError when none ever has.
        """
        with self._door:
            path, self.arrived = self.arrived, None
        if path is None:
            raise NothingNew if self.upload else InputError("no file has arrived; choose one.")
        self.handling = path.name
        try:
            yield path
        except BaseException:
            shutil.rmtree(path.parent, ignore_errors=True)
            raise
        self.forget()
        self.upload, self.model = path, self.chosen

    def opened_photo(self) -> "Preview":
        """Return the preview of the photo. Raises InputError when none has been opened."""
        if self.preview is None:
            raise InputError("there is no photo yet; choose one.")
        return self.preview

    def forget(self) -> None:
        """Forget the upload and all that was made of it."""
        made = [self.folder / "out", self.folder / "full", *([self.upload.parent] if self.upload else [])]
        self.upload = None
        self.preview = None
        self.embedded = "prefer"
        self.profile = None  # relative depth has another scale in every photo
        self.history.clear()
        self.points.clear()
        self.keys.clear()
        self.end = math.inf
        self.pictures.clear()
        self.files.clear()
        for folder in made:
            shutil.rmtree(folder, ignore_errors=True)


class Store:
    """All sessions of this server, each in a folder of its own in `root`, which is the caller's to remove."""

    def __init__(self, limits: Limits, root: Path) -> None:
        self.limits = limits
        self.root = root
        self._sessions: dict[str, Session] = {}
        self._lock = threading.Lock()

    def open(self) -> Session:
        """Return a new session. When there are too many, one that never had a file goes, least seen first."""
        self.sweep()
        token = secrets.token_urlsafe(24)
        with self._lock:
            if len(self._sessions) >= self.limits.pages * len(STAGES):
                idle = [session for session in self._sessions.values() if not session.holds]
                self.close(min(idle, key=lambda session: session.seen, default=None))
            self._sessions[token] = Session(token, self.root / token)
            return self._sessions[token]

    def begin(self, session: Session) -> None:
        """Let a session have a file. When there are too many, one whose page is gone makes room.

        Raises InputError with when a place may be free.
        """
        with self._lock:
            others = [other for other in self._sessions.values() if other.holds and other is not session]
            if not session.holds and len(others) >= self.limits.visitors:
                first = min(others, key=self._until)
                if (wait := self._until(first) - time.monotonic()) > 0:
                    minutes = math.ceil(wait / 60)
                    raise InputError(FULL.format("a minute" if minutes == 1 else f"{minutes} minutes"))
                self.close(first)

    def _until(self, session: Session) -> float:
        """Return when others may have a session's place."""
        limits = self.limits
        return min(session.used + 60 * limits.idle_minutes, session.seen + 60 * limits.gone_minutes)

    def get(self, token: str) -> Session | None:
        """Return the session of a token, which counts as in use from now; None when there is none."""
        session = self._sessions.get(token)
        if session is not None:
            session.used = session.seen = time.monotonic()
        return session

    def see(self, token: str) -> Session | None:
        """Return the session of a token, whose page is open; None when there is none."""
        session = self._sessions.get(token)
        if session is not None:
            session.seen = time.monotonic()
        return session

    def others_wait(self, session: Session) -> bool:
        """Return whether another session's clip waits for its turn."""
        return any(other.waiting and other is not session for other in list(self._sessions.values()))

    def close(self, session: Session | None) -> None:
        """Forget a session and remove its files."""
        if session is not None and self._sessions.pop(session.token, None) is not None:
            session.stopped = session.closed = True
            shutil.rmtree(session.folder, ignore_errors=True)

    def sweep(self) -> None:
        """Close sessions that were not used for long, and those that no page ever opened."""
        now = time.monotonic()
        for session in list(self._sessions.values()):
            unseen = not session.holds and session.seen < session.opened and now - session.opened > UNSEEN
            if unseen or now - session.used > 60 * self.limits.idle_minutes:
                self.close(session)

    def __len__(self) -> int:
        return len(self._sessions)


def fresh(address: str) -> str:
    """Return `address` as no page has had it before: what lies there is new, and a page fetches only what is."""
    return f"{address}?{secrets.token_hex(4)}"


def safe_name(name: str) -> str:
    """Return a visitor's name for a file as one that is safe on any disk: no folders, control or special characters."""
    last = re.split(r"[\\/]", name)[-1]
    clean = re.sub(r"[^\w.() -]", "_", last).strip(". ")
    stem, suffix = Path(clean).stem.encode()[:LONGEST_NAME].decode(errors="ignore"), Path(clean).suffix[:8]
    return f"{stem}{suffix}" if stem else "photo"
