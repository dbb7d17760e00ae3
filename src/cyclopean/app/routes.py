"""The addresses of the app: its page, files in, steps, pictures and results out.

Every address of a visitor has a session's token in it and leads to names that the session itself made: no path of a
visitor is ever opened.
"""

import asyncio
import errno
import mimetypes
import re
import shutil
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import anyio.to_thread
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from cyclopean.app.examples import Example
from cyclopean.app.jobs import CROWDED, Crowded, Jobs
from cyclopean.app.session import STAGES, Session, Store, safe_name
from cyclopean.errors import InputError
from cyclopean.io.files import CLIPS, PHOTOS, RAWS

if TYPE_CHECKING:
    from cyclopean.app.handlers import AppState

PAGE = Path(__file__).parent / "static"
LIVE = Path(__file__).parents[1] / "defocus" / "live" / "live.js"  # refocuses in the browser
KINDS = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
NO_STORE = {"Cache-Control": "no-store"}
VIEWER = "space.html"
# The viewer is one file with its script inside: it gets an origin of its own, which reaches nothing of the app.
IN_SPACE = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data: blob:; frame-ancestors 'self'"
)
PATIENCE = 1.0  # seconds that a step waits for the network before the page is told
SPARE = 300e6  # bytes that an upload must leave free on the disk

STALLED, LONGEST_WAY = 30.0, 1800.0  # seconds: between two parts of an upload, and for a whole one
ARRIVING = 2  # files of one page at a time: a second one takes the first one's place
BUSY = "two files of this page are arriving already; wait until they are here."
LATE = "nothing more of the file came; send it again."
GONE = "this page was open for too long without being used, and its pictures are gone; reload it."
NO_SPACE = "this computer has no space left for the file; free some space on its disk, then try again."


def routes(
    store: Store, examples: list[Example], network: "Future[AppState]", card: Mapping[str, Any]
) -> list[BaseRoute]:
    """Return all addresses. `network` does the steps once it is loaded; `card` is what a page must know first."""
    at_work = Jobs(store.limits.waiting)
    return [
        Route("/", _page(PAGE / "index.html")),
        Route("/static/{name}", _static()),
        Route("/start", _start(store, card), methods=["POST"]),
        Route("/upload/{token}", _upload(store), methods=["POST"]),
        Route("/step/{token}/{name}", _step(store, at_work, network), methods=["POST"]),
        Route("/job/{token}/{name}", _job(store, at_work)),
        Route("/here/{token}", _here(store), methods=["POST"]),
        Route("/leave/{token}", _leave(store, at_work), methods=["POST"]),
        Route("/picture/{token}/{name}", _picture(store)),
        Route("/file/{token}/{name}", _file(store)),
        Route("/glance/{token}", _glance(store)),
        Route("/space/{token}", _space(store)),
        Route("/example/{number}.jpg", _example(examples)),
    ]


def _page(path: Path) -> Callable[[Request], Response]:
    """Return what gives one file of the page, read once."""
    content, kind = path.read_bytes(), KINDS[path.suffix]
    return lambda _: Response(content, media_type=kind, headers={"Cache-Control": "no-cache"})


def _static() -> Callable[[Request], Response]:
    """Return what gives the files of the page by name; their names are known now, and no others are looked for."""
    files = {path.name: _page(path) for path in (*PAGE.iterdir(), LIVE) if path.suffix in KINDS}

    def static(request: Request) -> Response:
        page = files.get(request.path_params["name"])
        return Response(status_code=404) if page is None else page(request)

    return static


def _start(store: Store, card: Mapping[str, Any]) -> Callable[[Request], Response]:
    """Open the sessions of a page, one for each tab that has files of its own."""

    def start(_: Request) -> Response:
        tokens = dict(zip(STAGES, (store.open().token for _ in STAGES), strict=True))
        return JSONResponse({**card, "tokens": tokens}, headers=NO_STORE)

    return start


def _step(store: Store, jobs: Jobs, network: "Future[AppState]") -> Callable[..., Any]:
    """Begin a step. The answer is what the page is to show, or the job to ask about, or that the network is loading."""

    async def step(request: Request) -> Response:
        token, name = request.path_params["token"], request.path_params["name"]
        if store.get(token) is None:
            return JSONResponse({"error": capital(GONE)})
        try:
            state = await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(network)), PATIENCE)
        except TimeoutError:
            return JSONResponse({"busy": "Loading the network", "again": True})
        from cyclopean.app.steps import parse

        session = store.get(token)
        try:
            action, values = parse(name, await request.body())
            if session is None:
                raise InputError(GONE)
            action.at_once(state, token)
            job = jobs.start(session.jobs, action.lane, partial(action.run, state, token, **values))
        except InputError as error:
            return JSONResponse({"error": capital(str(error))}, 400)
        except Crowded:
            return JSONResponse({"error": capital(CROWDED)}, 503)
        return JSONResponse(await jobs.told(session.jobs, job))

    return step


def _job(store: Store, jobs: Jobs) -> Callable[..., Any]:
    """Return how far a step is."""

    async def job(request: Request) -> Response:
        session = store.see(request.path_params["token"])
        running = session.jobs.get(request.path_params["name"]) if session else None
        if session is None or running is None:
            return JSONResponse({"error": capital(GONE)}, 410)
        return JSONResponse(await jobs.told(session.jobs, running))

    return job


class RefusedUpload(InputError):  # noqa: N818  (a sentence for the page)
    """An upload that is not taken: what HTTP calls the reason, and the sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


def _upload(store: Store) -> Callable[..., Any]:
    async def upload(request: Request) -> Response:
        session, name = store.get(request.path_params["token"]), request.query_params.get("name", "photo")
        try:
            return JSONResponse({"name": await _received(store, session, request, name)})
        except RefusedUpload as refused:
            return JSONResponse({"error": capital(str(refused))}, refused.status)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it

    return upload


async def _received(store: Store, session: Session | None, request: Request, name: str) -> str:
    """Store what is sent as a file of the session; return the name that it got. Raises RefusedUpload."""
    if session is None:
        raise RefusedUpload(410, GONE)
    most = store.limits.megabytes * 1e6
    length = request.headers.get("content-length", "")
    promised = int(length) if length.isdecimal() else 0
    if promised > most:
        raise RefusedUpload(413, _too_large(name, promised, store.limits.megabytes))
    if session.arriving >= ARRIVING:
        raise RefusedUpload(429, BUSY)
    named = _acceptable(name, request.headers.get("content-type", ""))
    try:
        store.begin(session)
    except InputError as error:
        raise RefusedUpload(503, str(error)) from None
    session.arriving += 1
    folder = None
    try:
        folder = session.room()
        if shutil.disk_usage(folder).free < SPARE:
            raise RefusedUpload(507, NO_SPACE)
        size = await asyncio.wait_for(_written(folder / ".part", request, most), LONGEST_WAY)
        if size > most:
            raise RefusedUpload(413, _too_large(name, size, store.limits.megabytes))
        session.receive((folder / ".part").replace(folder / named))
    except TimeoutError:
        raise RefusedUpload(408, LATE) from None
    except OSError as error:
        if session.closed:  # the page was closed meanwhile, and the folder is gone
            raise RefusedUpload(410, GONE) from None
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise RefusedUpload(507, NO_SPACE) from None
        raise
    finally:
        session.arriving -= 1
        if folder is not None and not (folder / named).exists():
            shutil.rmtree(folder, ignore_errors=True)
        session.leave_nothing()
    return named


def _acceptable(name: str, kind: str) -> str:
    """Return a safe name for a photo or a clip; one without a suffix gets that of its `kind`, as the browser tells it.

    Raises RefusedUpload for other files: what they are is never guessed from what is in them.
    """
    safe = safe_name(name)
    if not Path(safe).suffix:
        guess = mimetypes.guess_extension(kind.split(";", maxsplit=1)[0].strip())
        safe += guess if guess in (*PHOTOS, *CLIPS) else ""
    suffix = Path(safe).suffix.lower()
    if suffix in RAWS:
        raise RefusedUpload(415, f"{safe} is a camera's raw file; develop it first, and give JPEG or TIFF.")
    if suffix not in (*PHOTOS, *CLIPS):
        raise RefusedUpload(
            415, f"{safe} is neither a photo nor a clip by its name; give JPEG, PNG, TIFF, HEIC, MP4 or MOV."
        )
    return safe


async def _written(path: Path, request: Request, most: float) -> int:
    """Return how many bytes have arrived in `path`; it ends early when they are more than `most`.

    Raises TimeoutError when nothing comes for long.
    """
    size, parts = 0, request.stream()
    with path.open("wb") as file:
        while (chunk := await asyncio.wait_for(anext(parts, None), STALLED)) is not None:
            size += len(chunk)
            if size > most:
                break
            await anyio.to_thread.run_sync(file.write, chunk)
    return size


def _here(store: Store) -> Callable[..., Any]:
    """Note that the page is still open."""

    def here(request: Request) -> Response:
        return Response(status_code=204 if store.see(request.path_params["token"]) else 410)

    return here


def _leave(store: Store, jobs: Jobs) -> Callable[..., Any]:
    """Close the session of a page: its pictures go at once, not when they have been idle for long."""

    async def leave(request: Request) -> Response:
        session = store.see(request.path_params["token"])
        jobs.forget(session.jobs if session else {})
        await anyio.to_thread.run_sync(store.close, session)
        return Response(status_code=204)

    return leave


def _picture(store: Store) -> Callable[..., Any]:
    def picture(request: Request) -> Response:
        session, name = store.get(request.path_params["token"]), request.path_params["name"]
        content = session.pictures.get(name) if session else None
        if content is None:
            return Response(status_code=404)
        kind = "image/png" if name.endswith(".png") else "image/jpeg"
        return Response(content, media_type=kind, headers=NO_STORE)

    return picture


def _file(store: Store) -> Callable[..., Any]:
    def file(request: Request) -> Response:
        session, name = store.get(request.path_params["token"]), request.path_params["name"]
        path = session.files.get(name) if session else None
        if path is None or not path.is_file():
            return Response(status_code=404)
        kept = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}"}
        return FileResponse(path, headers=NO_STORE | kept)

    return file


def _glance(store: Store) -> Callable[..., Any]:
    """Return a small preview of what a click would give, while the pointer rests; skipped while another one is made."""
    busy = threading.Semaphore(1)

    def glance(request: Request) -> Response:
        session = store.get(request.path_params["token"])
        preview = session.preview if session else None
        if session is None or preview is None or not session.history or not busy.acquire(blocking=False):
            return Response(status_code=204)
        try:
            from cyclopean.app import service

            at = float(request.query_params["x"]), float(request.query_params["y"])
            last = session.history[-1][1]
            focus = service.FocusRequest(at, replace(last.settings, subject=False), last.strokes)
            return Response(service.jpeg(preview.small.focused(focus).image), media_type="image/jpeg")
        except (ValueError, LookupError):  # no point of the picture, or another photo has just come
            return Response(status_code=204)
        finally:
            busy.release()

    return glance


def _space(store: Store) -> Callable[..., Any]:
    """Return the one-file viewer of a panorama, shown inside the page."""

    def space(request: Request) -> Response:
        session = store.get(request.path_params["token"])
        path = session.files.get(VIEWER) if session else None
        if path is None:
            return Response(status_code=404)
        return FileResponse(path, media_type="text/html", headers=NO_STORE | {"Content-Security-Policy": IN_SPACE})

    return space


def _example(examples: list[Example]) -> Callable[..., Any]:
    def example(request: Request) -> Response:
        text = request.path_params["number"]
        number = int(text) if re.fullmatch(r"\d{1,3}", text, re.ASCII) else -1
        if not 0 <= number < len(examples):
            return Response(status_code=404)
        return Response(examples[number].thumbnail, media_type="image/jpeg")

    return example


def _too_large(name: str, size: int, most: float) -> str:
    """Return the sentence for an upload beyond the limit, with as many digits as it takes to see that it is."""
    shown = next(text for digits in range(7) if float(text := f"{size / 1e6:.{digits}f}") > most or digits == 6)
    return f"{safe_name(name)} is {shown} MB, the limit is {most:.6g} MB; give a smaller file."


def capital(sentence: str) -> str:
    """Return `sentence` with a capital, unless it begins with a file's name."""
    return sentence if "." in sentence.split(" ", maxsplit=1)[0] else sentence[0].upper() + sentence[1:]


def leave_no_trace(folder: Path, sentence: str) -> str:
    """Return `sentence` without where on this machine the files of a session's `folder` lie."""
    return re.sub(rf"{re.escape(str(folder))}(?:[\\/][^\\/]+(?=[\\/]))?[\\/]?", "", sentence)
