"""Clips: what happens at the events of the video tab."""

import math
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopean.app import developing
from cyclopean.app.developing import Look
from cyclopean.app.handlers import Stage, Studio, said, told
from cyclopean.app.place import pixel, shown_size
from cyclopean.app.routes import GONE, capital
from cyclopean.app.session import Session
from cyclopean.errors import InputError
from cyclopean.images import resize

if TYPE_CHECKING:
    from cyclopean.video import Clip

POLL = 0.4  # seconds between looks at how far the work is
LONGEST = 180.0  # seconds
LARGEST = 2560 * 1440  # pixels of a frame


@dataclass
class Progress:
    """How far the work in the other thread is, and what came of it."""

    count: int = 0
    whole: int = 0
    stage: Stage = field(default_factory=dict)


class Stopped(Exception):  # noqa: N818  (it is no error: somebody asked for it)
    """Raised inside the work when its visitor has asked it to stop."""


@told
def clip_arrived(_: Studio, session: Session) -> Stage:
    """The uploaded clip: its first frame, and when its last one is."""
    from cyclopean.video import describe

    with session.opening() as upload:
        clip = describe(upload)
        _bearable(clip)
    h, w = clip.size
    last = max(clip.seconds - float(1 / clip.rate), 0.0)  # by its header
    card = {"stage": "focus", "name": upload.name, "full": [w, h], "seconds": last, "film": None}
    return {**card, "note": _told_keys(session), **_still(session, upload, 0.0)}


def _bearable(clip: "Clip") -> None:
    """Raises InputError for a clip that would keep everybody waiting."""
    if clip.seconds > LONGEST:
        raise InputError(
            f"the clip is {clip.seconds:.0f} s long, the app takes {LONGEST:.0f} s; shorten it, or use the command: "
            "cyclopean refocus CLIP --at X Y."
        )
    h, w = clip.size
    if h * w > LARGEST:
        raise InputError(f"the clip is {w}x{h} pixels, the app takes up to 2560x1440; use the command, or shrink it.")


@told
def moment(_: Studio, session: Session, seconds: float) -> Stage:
    """The frame at another moment."""
    return _still(session, _clip(session), seconds)


@told
def key(_: Studio, session: Session, at: tuple[float, float], seconds: float) -> Stage:
    """What shall be sharp at a moment."""
    _clip(session)
    if not all(map(math.isfinite, at)):
        raise InputError("that is no point of the picture; click inside it.")
    session.keys[_time(session, seconds)] = at
    return {"point": list(at), "note": _told_keys(session)}


@told
def forget_keys(_: Studio, session: Session) -> Stage:
    """No point at all."""
    session.keys.clear()
    return {"point": None, "note": _told_keys(session)}


def asked(_: Studio, session: Session | None) -> Stage:
    """The clip waits for its turn; Stop counts from here."""
    if session is not None:
        session.stopped = False
    return {"busy": "Waiting for its turn"}


def film(studio: Studio, session: Session | None, look: Look, follow: bool) -> Iterator[Stage]:
    """Refocus the clip, saying how far it is; ends early when the session's `stopped` is set."""
    if session is None or studio.store.get(session.token) is None:
        yield {"error": capital(GONE)}
        return
    done = Progress()
    worker = threading.Thread(target=_work, args=(studio, session, look, follow, done), daemon=True)
    worker.start()
    while worker.is_alive():
        worker.join(POLL)
        studio.store.get(session.token)  # it is in use
        if worker.is_alive():
            what = f"Frame {done.count} of {done.whole}" if done.whole else "Looking through the clip"
            yield {"busy": what, "part": done.count / max(done.whole, 1)}
    yield done.stage


def _work(studio: Studio, session: Session, look: Look, follow: bool, done: Progress) -> None:
    def progress(count: int, whole: int) -> None:
        done.count, done.whole = count, whole
        if session.stopped:
            raise Stopped

    try:
        with session.lock:
            session.filming = True
            done.stage = _filmed(studio, session, look, follow, progress)
    except Stopped:
        done.stage = {"note": "Stopped; nothing was kept."}
    except Exception as error:
        done.stage = {"error": said(error, session)}
    finally:
        session.filming = False


def _filmed(studio: Studio, session: Session, look: Look, follow: bool, progress: Callable[[int, int], None]) -> Stage:
    from cyclopean.clip import refocus_clip, result_suffix
    from cyclopean.refocus.keys import Key
    from cyclopean.video import describe

    source = _clip(session)
    if not session.keys:
        raise InputError("nothing says what shall be sharp; click it in the picture.")
    size = describe(source).size
    keys = [Key(time, pixel(at, size), None, follow) for time, at in sorted(session.keys.items())]
    target = session.folder / "out" / f"{source.stem}_defocus{result_suffix(source.suffix)}"
    report = refocus_clip(source, target, keys, studio.predictor, look.lens, progress=progress)
    file = session.keep([target])[0]
    lost = f" The point was lost at {report.lost[0]:.1f} s." if report.lost else ""
    return {"film": file["url"], "files": [file], "note": f"{report.frames} frames, {report.seconds:.1f} s.{lost}"}


def _still(session: Session, clip: Path, seconds: float) -> Stage:
    """The frame at a moment; the last one at moments after it."""
    from cyclopean.video import stills

    times = [0.0]

    def wanted(_: int, time: float) -> bool:
        times.append(time)
        return time >= seconds

    frame = next(stills(clip, wanted), None)
    if frame is None:
        session.end = max(times)
        frame = next(stills(clip, lambda _, time: time >= session.end))
    image = resize(frame.image, shown_size((frame.image.shape[-2], frame.image.shape[-1])))
    at = session.keys.get(_time(session, seconds))
    return {"photo": session.show("frame", developing.jpeg(image)), "point": list(at) if at else None}


def _time(session: Session, seconds: float) -> float:
    """When the frame at a moment is, as keys go by: no key is after the last frame."""
    return min(round(seconds, 3), session.end)


def _clip(session: Session) -> Path:
    if session.upload is None:
        raise InputError("there is no clip yet; choose one.")
    return session.upload


def _told_keys(session: Session) -> str:
    """Which moments have a point."""
    times = ", ".join(f"{time:.1f} s" for time in sorted(session.keys))
    return f"Sharp points at {times}." if times else "No point yet; click what shall be sharp."
