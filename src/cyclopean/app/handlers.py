"""The steps of a page. Every function takes the visitor's session and returns what the stage shows.

A stage's value is a dict of plain values: addresses of pictures, the point, sentences. Errors become sentences in it;
nothing that goes wrong in one step ends the session.
"""

import errno
import logging
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial, wraps
from pathlib import Path
from typing import Any

from cyclopean.app import service
from cyclopean.app.coordinates import fraction
from cyclopean.app.examples import Example
from cyclopean.app.limits import within
from cyclopean.app.mending import MOST, Stroke
from cyclopean.app.routes import capital, leave_no_trace
from cyclopean.app.service import FocusRequest, RefocusSettings, Service
from cyclopean.app.session import GONE, NothingNew, Session, Store
from cyclopean.app.uploads import NO_SPACE
from cyclopean.errors import InputError, lacks_memory, sentence
from cyclopean.geometry import Equirectangular
from cyclopean.inference.photo_pipeline import EmbeddedUse
from cyclopean.inference.predictor import Predictor
from cyclopean.inference.refocus_pipeline import PictureFormat
from cyclopean.io.files import PHOTOS

LOG = logging.getLogger("cyclopean.app")

PageUpdate = dict[str, Any]
CENTRE = (0.5, 0.5)
START = "start"
PATIENCE = 2.0  # seconds, in which a film that was stopped ends
LONGEST_WAIT = 30.0  # seconds that a step waits for the one before it: its lane is everybody's
REFOCUSING = "This clip is being refocused; press Stop first."
BUSY = "The step before is still at work; wait until it is done, then try again."
UNCHANGED: PageUpdate = {"unchanged": True}


@dataclass(frozen=True)
class AppState:
    """The state that all visitors share: the networks, the store of their sessions, the photos to try.

    `models` names those that visitors may choose among, and loads each when it is first needed; without any, or until
    one is chosen, it is `predictor`.
    """

    predictor: Predictor
    store: Store
    examples: list[Example]
    models: Mapping[str, Callable[[], Predictor]] = field(default_factory=dict)

    def predictor_named(self, name: str | None) -> Predictor:
        """Return the model that a visitor has chosen."""
        return self.predictor if name is None or name not in self.models else self.models[name]()

    def service(self, name: str | None, embedded: EmbeddedUse = "prefer") -> Service:
        """Return the service that works on photos, with the model of that name; `embedded` as of `own_depth`."""
        return Service(self.predictor_named(name), self.store.limits.megapixels, embedded)


def error_sentence(error: Exception, session: Session | None) -> str:
    """Return the sentence of an error, with a capital and without paths of this machine.

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


def handler(step: Callable[..., PageUpdate]) -> Callable[..., PageUpdate]:
    """Return `step(state, session, ...)` for a token, with its errors as sentences, one at a time for each session."""

    @wraps(step)
    def careful(state: AppState, token: str | None, *rest: Any, **values: Any) -> PageUpdate:
        session = state.store.get(token or "")
        if session is None:
            return {"error": capital(GONE)}
        if (why := _acquire(session)) is not None:
            return {"error": why}
        try:
            return step(state, session, *rest, **values)
        except NothingNew:
            return UNCHANGED
        except Exception as error:
            return {"error": error_sentence(error, session)}
        finally:
            session.handling = None
            session.lock.release()
            session.leave_nothing()

    return careful


def _acquire(session: Session) -> str | None:
    """Take the session's lock as soon as the step before is done; return why not if that takes long, as a clip does."""
    end = time.monotonic() + LONGEST_WAIT
    while not session.lock.acquire(timeout=PATIENCE):
        if session.refocusing:
            return REFOCUSING
        if time.monotonic() > end:
            return BUSY
    return None


def check_kind(upload: Path, suffixes: tuple[str, ...]) -> None:
    """Raise InputError for a clip among photos, and for a photo among clips: each tab opens its own kind only."""
    if upload.suffix.lower() not in suffixes:
        kind, tab = ("photo", "Photo") if upload.suffix.lower() in PHOTOS else ("clip", "Video")
        raise InputError(f"{upload.name} is a {kind} by its name; give it in the {tab} tab.")


@handler
def open_photo(state: AppState, session: Session) -> PageUpdate:
    """Open the uploaded photo; its depth comes from its own file, else it is predicted."""
    with session.opening() as upload:
        check_kind(upload, PHOTOS)
        seconds = state.store.limits.opening_seconds
        preview = within(seconds, upload.name, partial(state.service(session.chosen).opened, upload))
    return _opened(session, upload, preview)


@handler
def predict(state: AppState, session: Session) -> PageUpdate:
    """Predict the depth of the photo although its file holds one; what was done with that one is forgotten."""
    upload, seconds = _upload(session), state.store.limits.opening_seconds
    preview = within(seconds, upload.name, partial(state.service(session.model, "ignore").opened, upload))
    session.embedded, session.profile = "ignore", None
    session.history.clear()
    return _opened(session, upload, preview)


def _opened(session: Session, upload: Path, preview: service.Preview) -> PageUpdate:
    """Keep the preview, and return what the page shows of a photo that was just opened."""
    session.preview = preview
    session.history.append((START, FocusRequest(CENTRE, RefocusSettings())))
    h, w = preview.full
    return {
        "stage": "depth",
        "name": upload.name,
        "embedded": preview.embedded,
        "full": [w, h],
        "note": " ".join(preview.photo.notes),
        "look": asdict(session.history[-1][1].settings),
        "lens": service.lens_of(preview.photo),
        **_live(session),
        "photo": session.show("photo", service.jpeg(preview.photo.image)),
        "depth": session.show("depth", service.jpeg(service.coloured(preview.depth))),
    }


def choose_model(state: AppState, token: str | None, name: str) -> PageUpdate:
    """Choose the model of what a visitor opens next; names that are not offered change nothing."""
    session = state.store.get(token or "")
    if session is not None and name in state.models:
        session.chosen = name
    return {}


@handler
def take_example(state: AppState, session: Session, number: int) -> PageUpdate:
    """Make one of the photos to try the upload."""
    if not 0 <= number < len(state.examples):
        raise InputError("there is no such example; choose one of those shown.")
    source = state.examples[number].path
    state.store.begin(session)
    copy = session.room() / source.name
    shutil.copyfile(source, copy)
    session.receive(copy)
    return {}


@handler
def focus(
    _: AppState,
    session: Session,
    at: tuple[float, float] | None,
    look: RefocusSettings,
    why: str,
    *,
    render: bool = True,
) -> PageUpdate:
    """Refocus the preview at a new point or with new settings. Changes of one control in a row are undone as one.

    Without `render`, here and in other steps, the page has made the picture by itself.
    """
    preview, last = session.opened_photo(), session.history[-1][1]
    request = FocusRequest(at or last.at, look, last.strokes)
    picture = _rendered(preview, request) if render else None
    if session.history[-1][0] == why != "point":
        session.history[-1] = (why, request)
    else:
        session.history.append((why, request))
    another = (at or last.at, look.subject) != (last.at, last.settings.subject) or why == "point"
    return _in_focus(session, picture) | (_live(session) if another and not render else {})


@handler
def mend(
    _: AppState,
    session: Session,
    kind: str,
    points: list[tuple[float, float]],
    radius: float,
    look: RefocusSettings,
    *,
    render: bool = True,
) -> PageUpdate:
    """Mend the depth by one stroke of a brush; what was in focus is focused again."""
    preview, (why, last) = session.opened_photo(), session.history[-1]
    if why == START:
        raise InputError("nothing is in focus yet; click what should be sharp, then paint.")
    if len(last.strokes) >= MOST:
        raise InputError(f"there are {MOST} strokes already, the most that a photo takes; undo some.")
    stroke = Stroke(kind, tuple(fraction(at) for at in points), radius, last.at)
    request = FocusRequest(last.at, look, (*last.strokes, stroke))
    picture = _rendered(preview, request) if render else None
    session.history.append(("mend", request))
    return _in_focus(session, picture) | _depth_shown(session)


@handler
def undo(_: AppState, session: Session, *, render: bool = True) -> PageUpdate:
    """Go back to the request before the last."""
    preview, before = session.opened_photo(), session.history[-1][1].strokes
    if len(session.history) > 1:
        session.history.pop()
    now = session.history[-1][1]
    update = _in_focus(session, _rendered(preview, now) if render else None)
    if now.strokes != before:
        return update | _depth_shown(session)
    return update if render else update | _live(session)


def _depth_shown(session: Session) -> PageUpdate:
    """Return the depth in false colours, as it is mended now."""
    depth, _ = session.opened_photo().scene(session.history[-1][1])
    return {"depth": session.show("depth", service.jpeg(service.coloured(depth))), **_live(session)}


def _live(session: Session) -> PageUpdate:
    """Return what a page needs to refocus by itself; nothing for a panorama, which continues over its seam."""
    preview, (why, request) = session.opened_photo(), session.history[-1]
    if isinstance(preview.photo.camera, Equirectangular):
        return {}
    file, facts = service.live_scene(*((preview.depth,) if why == START else preview.scene(request)))
    return {"live": {"depth": session.show("plane", file, ".png"), **facts}}


def _rendered(preview: service.Preview, request: FocusRequest) -> bytes:
    return service.jpeg(preview.focused(request).image)


def _in_focus(session: Session, picture: bytes | None) -> PageUpdate:
    why, request = session.history[-1]
    update: PageUpdate = {"stage": "focus", "look": asdict(request.settings)}
    if why == START:
        return {**update, "result": None, "point": None, "undo": False}
    result = "live" if picture is None else session.show("result", picture)
    return {**update, "result": result, "point": list(request.at), "undo": True}


@handler
def go_to(_: AppState, session: Session, step: str) -> PageUpdate:
    """Show another step of the page: choose, depth, focus or save."""
    if step == "choose":
        session.forget()
        return {"stage": "choose"}
    session.opened_photo()
    if step == "save" and session.history[-1][0] == START:
        raise InputError("nothing is in focus yet; click what should be sharp.")
    return {"stage": step} if step in ("depth", "focus", "save") else {}


@handler
def save_depth(state: AppState, session: Session) -> PageUpdate:
    """Write the depth as files."""
    upload, folder = _upload(session), session.folder / "out"
    model, strokes = state.service(session.model, session.embedded), session.history[-1][1].strokes
    work = partial(service.save_depth, model, upload, folder, session.profile, strokes=strokes)
    paths = within(state.store.limits.saving_seconds, upload.name, work)
    return {"files": session.keep(paths)}


@handler
def save_photo(state: AppState, session: Session, kept: str) -> PageUpdate:
    """Write the refocused photo as a file at full size, which the page fetches at once."""
    upload = _upload(session)
    files = session.keep(_refocused(state, session, service.picture_format(kept, upload), session.folder / "out"))
    return {"files": files, "fetch": files[0]}


@handler
def full(state: AppState, session: Session, view: str) -> PageUpdate:
    """Return the photo ("photo") or the refocused one ("result") at full size, to be looked at closely."""
    upload, folder = _upload(session), session.folder / "full"
    if view == "photo":
        work = partial(service.save_upright, state.service(session.model), upload, folder)
        path = within(state.store.limits.opening_seconds, upload.name, work)
    else:
        path = _refocused(state, session, service.picture_format("JPEG", upload), folder)[0]
    path = path.replace(folder / f"full-{view}.jpg")  # beside results of the same name that were saved before
    return {"sharp": {view: session.keep([path])[0]["url"]}}


def _refocused(state: AppState, session: Session, form: PictureFormat, folder: Path) -> list[Path]:
    upload, request = _upload(session), session.history[-1][1]
    model = state.service(session.model, session.embedded)
    work = partial(service.save_refocused, model, upload, request, form, folder)
    return within(state.store.limits.saving_seconds, upload.name, work)


def _upload(session: Session) -> Path:
    session.opened_photo()
    assert session.upload is not None
    return session.upload
