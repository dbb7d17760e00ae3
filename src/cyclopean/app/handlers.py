"""What happens at each event of the page. Every function takes the visitor's session and returns what the stage shows.

A stage's value is a dict of plain values: addresses of pictures, the point, sentences. Errors become sentences in it;
nothing that goes wrong in one step ends the session.
"""

import errno
import logging
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial, wraps
from pathlib import Path
from typing import Any

from cyclopean.app import developing
from cyclopean.app.developing import Darkroom, Look, Shot
from cyclopean.app.examples import Example
from cyclopean.app.limits import within
from cyclopean.app.routes import GONE, NO_SPACE, capital, leave_no_trace
from cyclopean.app.session import NothingNew, Session, Store
from cyclopean.errors import InputError, lacks_memory, sentence
from cyclopean.inference.predictor import Predictor
from cyclopean.io.files import PHOTOS

LOG = logging.getLogger("cyclopean.app")

Stage = dict[str, Any]
CENTRE = (0.5, 0.5)
START = "start"
PATIENCE = 2.0  # seconds, in which a film that was stopped ends
LONGEST_WAIT = 30.0  # seconds that a step waits for the one before it: its lane is everybody's
FILMING = "This clip is being refocused; press Stop first."
BUSY = "The step before is still at work; wait until it is done, then try again."
UNCHANGED: Stage = {"unchanged": True}


@dataclass(frozen=True)
class Studio:
    """What all visitors share: one network, the store of their sessions, the photos to try."""

    predictor: Predictor
    store: Store
    examples: list[Example]

    @property
    def room(self) -> Darkroom:
        """Where photos are worked on."""
        return Darkroom(self.predictor, self.store.limits.megapixels)


def said(error: Exception, session: Session | None) -> str:
    """The sentence of an error, with a capital and without paths of this machine.

    What is not the visitor's fault also becomes a line of the log, without the token.
    """
    name = "this step"
    if session is not None:
        name = session.handling or (session.upload.name if session.upload else name)
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    text = NO_SPACE if full else sentence(error, name)
    if session is not None:
        text = leave_no_trace(session.folder, text)
    if not (isinstance(error, InputError) or lacks_memory(error) or (session is not None and session.closed)):
        LOG.error("%s", text)
    return capital(text)


def told(step: Callable[..., Stage]) -> Callable[..., Stage]:
    """`step(studio, session, ...)` for a token, with its errors as sentences, one at a time for each session."""

    @wraps(step)
    def careful(studio: Studio, token: str | None, *rest: Any) -> Stage:
        session = studio.store.get(token or "")
        if session is None:
            return {"error": capital(GONE)}
        if (why := _refused(session)) is not None:
            return {"error": why}
        try:
            return step(studio, session, *rest)
        except NothingNew:
            return UNCHANGED
        except Exception as error:
            return {"error": said(error, session)}
        finally:
            session.handling = None
            session.lock.release()
            session.leave_nothing()

    return careful


def _refused(session: Session) -> str | None:
    """Take the session's lock when its other step is done. Else why not: a film would keep others waiting for long."""
    end = time.monotonic() + LONGEST_WAIT
    while not session.lock.acquire(timeout=PATIENCE):
        if session.filming:
            return FILMING
        if time.monotonic() > end:
            return BUSY
    return None


def refuse_other_kinds(upload: Path, suffixes: tuple[str, ...]) -> None:
    """Raise InputError for a clip among photos, and for a photo among clips: each tab opens its own kind only."""
    if upload.suffix.lower() not in suffixes:
        kind, tab = ("photo", "Photo") if upload.suffix.lower() in PHOTOS else ("clip", "Video")
        raise InputError(f"{upload.name} is a {kind} by its name; give it in the {tab} tab.")


@told
def develop(studio: Studio, session: Session) -> Stage:
    """The uploaded photo, and its depth."""
    with session.opening() as upload:
        refuse_other_kinds(upload, PHOTOS)
        seconds = studio.store.limits.opening_seconds
        preview = within(seconds, upload.name, partial(studio.room.opened, upload))
    session.preview = preview
    session.shots.append((START, Shot(CENTRE, Look())))
    h, w = preview.full
    return {
        "stage": "depth",
        "name": upload.name,
        "full": [w, h],
        "note": " ".join(preview.photo.notes),
        "photo": session.show("photo", developing.jpeg(preview.photo.image)),
        "depth": session.show("depth", developing.jpeg(developing.coloured(preview.depth))),
    }


@told
def take_example(studio: Studio, session: Session, number: int) -> Stage:
    """One of the photos to try becomes the upload."""
    if not 0 <= number < len(studio.examples):
        raise InputError("there is no such example; choose one of those shown.")
    source = studio.examples[number].path
    studio.store.begin(session)
    copy = session.room() / source.name
    shutil.copyfile(source, copy)
    session.receive(copy)
    return {}


@told
def focus(_: Studio, session: Session, at: tuple[float, float] | None, look: Look, why: str) -> Stage:
    """The preview, sharp at a new point or with a new look. Changes of one control in a row are undone as one."""
    if session.preview is None:
        raise InputError("there is no photo yet; choose one.")
    shot = Shot(at or session.shots[-1][1].at, look)
    picture = developing.jpeg(session.preview.focused(shot).image)
    if session.shots and session.shots[-1][0] == why != "point":
        session.shots[-1] = (why, shot)
    else:
        session.shots.append((why, shot))
    return _in_focus(session, picture)


@told
def undo(_: Studio, session: Session) -> Stage:
    """The shot before the last."""
    if session.preview is None:
        raise InputError("there is no photo yet; choose one.")
    if len(session.shots) > 1:
        session.shots.pop()
    return _in_focus(session, developing.jpeg(session.preview.focused(session.shots[-1][1]).image))


def _in_focus(session: Session, picture: bytes) -> Stage:
    if session.shots[-1][0] == START:
        return {"stage": "focus", "result": None, "point": None, "undo": False}
    address = session.show("result", picture)
    return {"stage": "focus", "result": address, "point": list(session.shots[-1][1].at), "undo": True}


@told
def go(_: Studio, session: Session, step: str) -> Stage:
    """Another step of the way."""
    if step == "choose":
        session.forget()
        return {"stage": "choose"}
    if session.preview is None:
        raise InputError("there is no photo yet; choose one.")
    if step == "save" and session.shots[-1][0] == START:
        raise InputError("nothing is in focus yet; click what shall be sharp.")
    return {"stage": step} if step in ("depth", "focus", "save") else {}


@told
def save_depth(studio: Studio, session: Session) -> Stage:
    """The depth as files."""
    upload, folder = _upload(session), session.folder / "out"
    work = partial(developing.save_depth, studio.room, upload, folder, session.profile)
    paths = within(studio.store.limits.saving_seconds, upload.name, work)
    return {"files": session.keep(paths)}


@told
def save_photo(studio: Studio, session: Session, kept: str) -> Stage:
    """The refocused photo as a file at full size, which the page fetches at once."""
    upload, shot = _upload(session), session.shots[-1][1]
    kept, folder = developing.kept_choice(kept), session.folder / "out"
    work = partial(developing.save_refocused, studio.room, upload, shot, kept, folder)
    files = session.keep(within(studio.store.limits.saving_seconds, upload.name, work))
    return {"files": files, "fetch": files[0]}


def _upload(session: Session) -> Path:
    if session.upload is None or session.preview is None:
        raise InputError("there is no photo yet; choose one.")
    return session.upload
