"""Files in and results out, past Gradio, which would encode them again and keep copies that visitors could name.

Every address has a session's token in it and leads to names that the session itself made: no path of a visitor is
ever opened.
"""

import asyncio
import errno
import mimetypes
import re
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anyio.to_thread
from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, JSONResponse, Response
from starlette.requests import ClientDisconnect

from cyclopean.app import service
from cyclopean.app.examples import Example
from cyclopean.app.session import Session, Store, safe_name
from cyclopean.errors import InputError
from cyclopean.io.files import CLIPS, PHOTOS, RAWS

NO_STORE = {"Cache-Control": "no-store"}
VIEWER = "space.html"
SPARE = 300e6  # bytes that an upload must leave free on the disk

STALLED, LONGEST_WAY = 30.0, 1800.0  # seconds: between two parts of an upload, and for a whole one
ARRIVING = 2  # files of one page at a time: a second one takes the first one's place
BUSY = "two files of this page are arriving already; wait until they are here."
LATE = "nothing more of the file came; send it again."
GONE = "this page was open for too long without being used, and its pictures are gone; reload it."
NO_SPACE = "this computer has no space left for the file; free some space on its disk, then try again."


def add_routes(app: FastAPI, store: Store, examples: list[Example]) -> None:
    """Add the addresses beside Gradio's own."""
    app.post("/upload/{token}")(_upload(store))
    app.post("/here/{token}")(_here(store))
    app.post("/leave/{token}")(_leave(store))
    app.get("/picture/{token}/{name}")(_picture(store))
    app.get("/file/{token}/{name}")(_file(store))
    app.get("/glance/{token}")(_glance(store))
    app.get("/space/{token}")(_space(store))
    app.get("/example/{number}.jpg")(_example(examples))


class Refused(InputError):  # noqa: N818  (as in the guard)
    """An upload that is not taken: what HTTP calls the reason, and the sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


def _upload(store: Store) -> Callable[..., Any]:
    async def upload(token: str, request: Request, name: str = "photo") -> Response:
        try:
            return JSONResponse({"name": await _received(store, store.get(token), request, name)})
        except Refused as refused:
            return JSONResponse({"error": capital(str(refused))}, refused.status)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it

    return upload


async def _received(store: Store, session: Session | None, request: Request, name: str) -> str:
    """Store what is sent as a file of the session; return the name that it got. Raises Refused."""
    if session is None:
        raise Refused(410, GONE)
    most = store.limits.megabytes * 1e6
    length = request.headers.get("content-length", "")
    promised = int(length) if length.isdecimal() else 0
    if promised > most:
        raise Refused(413, _too_large(name, promised, store.limits.megabytes))
    if session.arriving >= ARRIVING:
        raise Refused(429, BUSY)
    named = _acceptable(name, request.headers.get("content-type", ""))
    try:
        store.begin(session)
    except InputError as error:
        raise Refused(503, str(error)) from None
    session.arriving += 1
    folder = None
    try:
        folder = session.room()
        if shutil.disk_usage(folder).free < SPARE:
            raise Refused(507, NO_SPACE)
        size = await asyncio.wait_for(_written(folder / ".part", request, most), LONGEST_WAY)
        if size > most:
            raise Refused(413, _too_large(name, size, store.limits.megabytes))
        session.receive((folder / ".part").replace(folder / named))
    except TimeoutError:
        raise Refused(408, LATE) from None
    except OSError as error:
        if session.closed:  # the page was closed meanwhile, and the folder is gone
            raise Refused(410, GONE) from None
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Refused(507, NO_SPACE) from None
        raise
    finally:
        session.arriving -= 1
        if folder is not None and not (folder / named).exists():
            shutil.rmtree(folder, ignore_errors=True)
        session.leave_nothing()
    return named


def _acceptable(name: str, kind: str) -> str:
    """Return a safe name for a photo or a clip; one without a suffix gets that of its `kind`, as the browser tells it.

    Raises Refused for other files: what they are is never guessed from what is in them.
    """
    safe = safe_name(name)
    if not Path(safe).suffix:
        guess = mimetypes.guess_extension(kind.split(";", maxsplit=1)[0].strip())
        safe += guess if guess in (*PHOTOS, *CLIPS) else ""
    suffix = Path(safe).suffix.lower()
    if suffix in RAWS:
        raise Refused(415, f"{safe} is a camera's raw file; develop it first, and give JPEG or TIFF.")
    if suffix not in (*PHOTOS, *CLIPS):
        raise Refused(415, f"{safe} is neither a photo nor a clip by its name; give JPEG, PNG, TIFF, HEIC, MP4 or MOV.")
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

    def here(token: str) -> Response:
        return Response(status_code=204 if store.see(token) else 410)

    return here


def _leave(store: Store) -> Callable[..., Any]:
    """Close the session of a page: its pictures go at once, not when they have been idle for long."""

    def leave(token: str) -> Response:
        store.close(store.see(token))
        return Response(status_code=204)

    return leave


def _picture(store: Store) -> Callable[..., Any]:
    def picture(token: str, name: str) -> Response:
        session = store.get(token)
        content = session.pictures.get(name) if session else None
        if content is None:
            return Response(status_code=404)
        return Response(content, media_type="image/jpeg", headers=NO_STORE)

    return picture


def _file(store: Store) -> Callable[..., Any]:
    def file(token: str, name: str) -> Response:
        session = store.get(token)
        path = session.files.get(name) if session else None
        if path is None or not path.is_file():
            return Response(status_code=404)
        kept = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}"}
        return FileResponse(path, headers=NO_STORE | kept)

    return file


def _glance(store: Store) -> Callable[..., Any]:
    """Return a small preview of what a click would give, while the pointer rests; skipped while another one is made."""
    busy = threading.Semaphore(1)

    def glance(token: str, x: float, y: float) -> Response:
        session = store.get(token)
        preview = session.preview if session else None
        if session is None or preview is None or not session.history or not busy.acquire(blocking=False):
            return Response(status_code=204)
        try:
            shot = service.FocusRequest((x, y), session.history[-1][1].settings)
            return Response(service.jpeg(preview.small.focused(shot).image), media_type="image/jpeg")
        except (InputError, IndexError):  # no point of the picture, or another photo has just come
            return Response(status_code=204)
        finally:
            busy.release()

    return glance


def _space(store: Store) -> Callable[..., Any]:
    """Return the one-file viewer of a panorama, shown inside the page."""

    def space(token: str) -> Response:
        session = store.get(token)
        path = session.files.get(VIEWER) if session else None
        return FileResponse(path, media_type="text/html", headers=NO_STORE) if path else Response(status_code=404)

    return space


def _example(examples: list[Example]) -> Callable[..., Any]:
    def example(number: int) -> Response:
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
