"""Clips: the handlers of the video tab."""

import math
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopean.app import service
from cyclopean.app.coordinates import pixel, shown_size
from cyclopean.app.handlers import REFOCUSING, AppState, PageUpdate, check_kind, error_sentence, handler
from cyclopean.app.limits import within
from cyclopean.app.routes import capital
from cyclopean.app.service import RefocusSettings
from cyclopean.app.session import GONE, Session
from cyclopean.errors import InputError
from cyclopean.geometry import size_of
from cyclopean.io.files import CLIPS
from cyclopean.io.image import resize

if TYPE_CHECKING:
    from cyclopean.io.video import Clip

POLL = 0.4  # seconds between looks at how far the work is
LONGEST = 180.0  # seconds
MOST = 10_800  # frames: 60 in each of these seconds
LARGEST = 2560 * 1440  # pixels of a frame
MEGAPIXELS = 1.1 * LARGEST / 1e6  # that decoders take: they count the blocks of a frame, which stand out over its edges
STALLED = 300.0  # seconds without another frame, after which a clip gives its turn to others
MOST_KEYS = 200
WAITING = "Waiting for its turn"


@dataclass
class Progress:
    """Progress of the work in the other thread, and its result."""

    count: int = 0
    total: int = 0
    stage: PageUpdate = field(default_factory=dict)
    start: float = field(default_factory=time.monotonic)
    moved: float = field(default_factory=time.monotonic)


class Stopped(Exception):  # noqa: N818  (it is not an error: somebody asked for it)
    """Raised inside the work when its visitor stops it."""


@handler
def open_clip(state: AppState, session: Session) -> PageUpdate:
    """Open the uploaded clip: return its first frame, and the time of its last one."""
    with session.opening() as upload:
        check_kind(upload, CLIPS)
        clip, remarks = within(state.store.limits.opening_seconds, upload.name, partial(_check_clip, upload))
    h, w = clip.size
    last = max(clip.end - float(1 / clip.rate), 0.0)  # by its header
    card = {"stage": "focus", "name": upload.name, "full": [w, h], "seconds": last, "film": None}
    return {**card, "note": " ".join((_keys_note(session), *remarks)), **_still(state, session, upload, 0.0)}


def _check_clip(path: Path) -> tuple["Clip", list[str]]:
    """Return the clip at `path` and what will not be kept of it. Raises InputError for one beyond the limits.

    Its header is believed only as far as it agrees: all frames are counted, and a size that changes on the way is seen
    where it can change, at key frames; these alone are decoded.
    """
    import av

    from cyclopean.inference.clip import result_suffix
    from cyclopean.io.video import describe, opened
    from cyclopean.io.video_tracks import left_out, other_container

    clip = describe(path)
    _check_limits(path.name, clip.seconds, clip.count, clip.size)
    count, first, last = 0, math.inf, -math.inf
    with opened(path) as (container, stream):
        stream.codec_context.skip_frame = "NONKEY"
        try:
            for packet in container.demux(stream):
                count += packet.size > 0
                if packet.pts is not None and not packet.is_discard:
                    moment = float(packet.pts * stream.time_base)
                    first, last = min(first, moment), max(last, moment)
                seconds = max(last - first, 0.0)
                _check_limits(path.name, seconds, count, (0, 0))
                for frame in packet.decode() if packet.is_keyframe or not packet.size else ():
                    _check_limits(path.name, seconds, count, (frame.height, frame.width))
        except av.error.FFmpegError as error:
            raise InputError(f"{path} is damaged or cut short ({error.strerror}); give a whole file.") from None
    result = path.with_name(f"{path.stem}_defocus{result_suffix(path.suffix)}")
    return clip, [
        *clip.remarks,
        *clip.remarks_on_writing,
        *other_container(path, result),
        *left_out(path, result, MEGAPIXELS),
    ]


def _check_limits(name: str, seconds: float, count: int, size: tuple[int, int]) -> None:
    """Raise InputError for more seconds, frames or pixels than the app takes."""
    command = "use the command, which has no limit: cyclopean refocus CLIP --at X Y."
    if seconds > LONGEST:
        raise InputError(f"{name} is {seconds:.0f} s long, the app takes {LONGEST:.0f} s; shorten it, or {command}")
    if count > MOST:
        raise InputError(f"{name} has more than {MOST} frames, the most that the app takes; shorten it, or {command}")
    h, w = size
    if h * w > LARGEST:
        raise InputError(f"{name} has frames of {w}x{h}, the app takes 2560x1440 pixels; shrink it, or {command}")


@handler
def moment(state: AppState, session: Session, seconds: float) -> PageUpdate:
    """Return the frame at another moment."""
    return _still(state, session, _clip(session), _number(seconds))


@handler
def key(_: AppState, session: Session, at: tuple[float, float], seconds: float) -> PageUpdate:
    """Set the point in focus at a moment."""
    _clip(session)
    if not all(map(math.isfinite, at)):
        raise InputError("that is not a point of the picture; click inside it.")
    moment = _time(session, _number(seconds))
    if moment not in session.keys and len(session.keys) >= MOST_KEYS:
        raise InputError(f"there are {MOST_KEYS} points already, the most that a clip takes; clear them.")
    session.keys[moment] = at
    return {"point": list(at), "note": _keys_note(session)}


@handler
def clear_keys(_: AppState, session: Session) -> PageUpdate:
    """Clear all points."""
    session.keys.clear()
    return {"point": None, "note": _keys_note(session)}


def wait(state: AppState, token: str | None) -> PageUpdate:
    """Queue the clip; Stop counts from here."""
    session = state.store.get(token or "")
    if session is not None and not session.refocusing:  # one that was stopped may still be on its way out
        session.stopped, session.waiting = False, True
    return {"busy": WAITING}


def stop(state: AppState, token: str | None) -> PageUpdate:
    """Stop the clip at work; nothing is kept."""
    session = state.store.get(token or "")
    if session is not None:
        session.stopped = True
    return {}


def refocus(state: AppState, token: str | None, look: RefocusSettings, follow: bool) -> Iterator[PageUpdate]:
    """Refocus the clip and yield its progress; ends early when the session's `stopped` is set.

    Others wait: it also ends when no frame comes for long, and when it takes long while another clip waits.
    """
    session = state.store.get(token or "")
    if session is None:
        yield {"error": capital(GONE)}
        return
    session.waiting = False
    if session.refocusing:
        yield {"error": REFOCUSING}
        return
    done, limits = Progress(), state.store.limits
    worker = threading.Thread(target=_work, args=(state, session, look, follow, done), daemon=True)
    worker.start()
    while worker.is_alive():
        worker.join(POLL)
        state.store.get(session.token)  # it is in use
        now, why = time.monotonic(), ""
        if now - done.moved > STALLED:
            why = f"no frame came in {STALLED:.0f} s; give another clip."
        elif now - done.start > 60 * limits.film_minutes and state.store.others_wait(session):
            why = f"other clips wait, and this one took more than {limits.film_minutes:g} minutes; shorten it."
        if why:
            session.stopped = True
            yield {"error": capital(why)}
            return
        if worker.is_alive():
            what = f"Frame {done.count} of {done.total}" if done.total else "Looking through the clip"
            yield {"busy": what, "part": done.count / max(done.total, 1)}
    yield done.stage


def _work(state: AppState, session: Session, look: RefocusSettings, follow: bool, done: Progress) -> None:
    def progress(count: int, total: int) -> None:
        done.count, done.total, done.moved = count, max(count, total), time.monotonic()
        if session.stopped:
            raise Stopped

    try:
        with session.lock:
            session.refocusing = True
            done.stage = _refocus(state, session, look, follow, progress)
    except Stopped:
        done.stage = {"note": "Stopped; nothing was kept."}
    except Exception as error:
        done.stage = {"error": error_sentence(error, session)}
    finally:
        session.refocusing = False
        session.leave_nothing()


def _refocus(
    state: AppState, session: Session, look: RefocusSettings, follow: bool, progress: Callable[[int, int], None]
) -> PageUpdate:
    from cyclopean.defocus.video import Keyframe
    from cyclopean.inference.clip_pipeline import refocus_clip
    from cyclopean.io.result_names import Target
    from cyclopean.io.video import describe

    source = _clip(session)
    if not session.keys:
        raise InputError("no point of focus is given; click what should be sharp in the picture.")
    size = describe(source).size
    keys = [Keyframe(time, pixel(at, size), None, follow) for time, at in sorted(session.keys.items())]
    report, written = refocus_clip(
        source, Target(session.folder / "out", source.stem, overwrite=True), keys,
        state.predictor_named(session.model),
        lens=look.lens, record=asdict(look), subject=look.subject and not look.range, max_megapixels=MEGAPIXELS,
        progress=progress,
    )  # fmt: skip
    file = session.keep([written.paths[0]])[0]
    lost = f" The point was lost at {report.lost[0]:.1f} s." if report.lost else ""
    return {"film": file["url"], "files": [file], "note": f"{report.frames} frames, {report.seconds:.1f} s.{lost}"}


def _still(state: AppState, session: Session, clip: Path, seconds: float) -> PageUpdate:
    """Return the frame at a moment; the last one at moments after it."""
    from cyclopean.io.video import Still, stills

    times = [0.0]

    def reached(_: int, time: float) -> bool:
        times.append(time)
        return time >= seconds

    def find_frame() -> Still:
        frame = next(stills(clip, reached, MEGAPIXELS), None)
        if frame is None:
            session.end = max(times)
            frame = next(stills(clip, lambda _, time: time >= session.end, MEGAPIXELS), None)
        if frame is None:
            raise InputError(f"{clip.name} has no frames; give a whole video.")
        return frame

    image = within(state.store.limits.opening_seconds, clip.name, find_frame).square
    image = resize(image, shown_size(size_of(image)))
    at = session.keys.get(_time(session, seconds))
    return {"photo": session.show("frame", service.jpeg(image)), "point": list(at) if at else None}


def _number(seconds: float | None) -> float:
    """Return a moment that a page sent, checked."""
    if seconds is None or not math.isfinite(seconds):
        raise InputError("that is not a moment of the clip; give seconds.")
    return float(seconds)


def _time(session: Session, seconds: float) -> float:
    """Return the time of the frame at a moment, as keys go by: no key is after the last frame."""
    return min(round(seconds, 3), session.end)


def _clip(session: Session) -> Path:
    if session.upload is None:
        raise InputError("there is no clip yet; choose one.")
    return session.upload


def _keys_note(session: Session) -> str:
    """Return a sentence on which moments have a point."""
    times = ", ".join(f"{time:.1f} s" for time in sorted(session.keys))
    return f"Sharp points at {times}." if times else "No point yet; click what should be sharp."
