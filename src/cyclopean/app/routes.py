"""Pictures in and results out, past Gradio, which would encode them again and keep copies that visitors could name.

Every address has a session's token in it and leads to names that the session itself made: no path of a visitor is
ever opened.
"""

import errno
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

from cyclopean.app import developing
from cyclopean.app.examples import Example
from cyclopean.app.session import Session, Store, safe_name
from cyclopean.errors import InputError

NO_STORE = {"Cache-Control": "no-store"}
VIEWER = "space.html"
SPARE = 300e6  # bytes that an upload must leave free on the disk

ARRIVING = 2  # files of one page at a time: a second one takes the first one's place
BUSY = "two files of this page are arriving already; wait until they are here."
GONE = "this page was open for too long without being used, and its pictures are gone; reload it."
NO_SPACE = "this computer has no space left for the file; free some space on its disk, then try again."


def add_routes(app: FastAPI, store: Store, examples: list[Example]) -> None:
    """The addresses beside Gradio's own."""
    app.post("/upload/{token}")(_upload(store))
    app.post("/leave/{token}")(_leave(store))
    app.get("/picture/{token}/{name}")(_picture(store))
    app.get("/file/{token}/{name}")(_file(store))
    app.get("/glance/{token}")(_glance(store))
    app.get("/space/{token}")(_space(store))
    app.get("/example/{number}.jpg")(_example(examples))


def _upload(store: Store) -> Callable[..., Any]:
    async def upload(token: str, request: Request, name: str = "photo") -> Response:
        session = store.get(token)
        if session is None:
            return _refusal(410, GONE)
        most = store.limits.megabytes * 1e6
        length = request.headers.get("content-length", "")
        promised = int(length) if length.isdecimal() else 0
        if promised > most:
            return _refusal(413, _too_large(name, promised, store.limits.megabytes))
        if session.arriving >= ARRIVING:
            return _refusal(429, BUSY)
        session.arriving += 1
        try:
            return await _stored(session, safe_name(name), request, most)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                return _refusal(507, NO_SPACE)
            raise
        finally:
            session.arriving -= 1

    return upload


async def _stored(session: Session, name: str, request: Request, most: float) -> JSONResponse:
    """Writes what arrives into a folder of its own; the session receives it only when it is whole."""
    if shutil.disk_usage(session.folder).free < SPARE:
        raise OSError(errno.ENOSPC, "no space")
    folder = session.room()
    try:
        size = await _written(folder / ".part", request, most)
        if size > most:
            return _refusal(413, _too_large(name, size, most / 1e6))
        session.receive((folder / ".part").replace(folder / name))
        return JSONResponse({"name": name})
    finally:
        if not (folder / name).exists():
            shutil.rmtree(folder, ignore_errors=True)


async def _written(path: Path, request: Request, most: float) -> int:
    """How many bytes have arrived in `path`; it ends early when they are more than `most`."""
    size = 0
    with path.open("wb") as file:
        async for chunk in request.stream():
            size += len(chunk)
            if size > most:
                break
            await anyio.to_thread.run_sync(file.write, chunk)
    return size


def _leave(store: Store) -> Callable[..., Any]:
    """The page has been closed: its pictures go at once, not when they have been idle for long."""

    def leave(token: str) -> Response:
        store.close(store.get(token))
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
    """A small preview of what a click would give, while the pointer rests; skipped while another one is made."""
    busy = threading.Semaphore(1)

    def glance(token: str, x: float, y: float) -> Response:
        session = store.get(token)
        preview = session.preview if session else None
        if session is None or preview is None or not session.shots or not busy.acquire(blocking=False):
            return Response(status_code=204)
        try:
            shot = developing.Shot((x, y), session.shots[-1][1].look)
            return Response(developing.jpeg(preview.small.focused(shot).image), media_type="image/jpeg")
        except (InputError, IndexError):  # no point of the picture, or another photo has just come
            return Response(status_code=204)
        finally:
            busy.release()

    return glance


def _space(store: Store) -> Callable[..., Any]:
    """The one-file viewer of a panorama, shown inside the page."""

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


def _refusal(status: int, sentence: str) -> JSONResponse:
    return JSONResponse({"error": capital(sentence)}, status)


def _too_large(name: str, size: int, most: float) -> str:
    return f"{safe_name(name)} is {size / 1e6:.0f} MB, the limit is {most:.0f} MB; give a smaller file."


def capital(sentence: str) -> str:
    """`sentence` with a capital, unless it begins with a file's name."""
    return sentence if "." in sentence.split(" ", maxsplit=1)[0] else sentence[0].upper() + sentence[1:]


def leave_no_trace(folder: Path, sentence: str) -> str:
    """`sentence` without where on this machine the files of a session's `folder` lie."""
    return re.sub(rf"{re.escape(str(folder))}(?:[\\/][^\\/]+(?=[\\/]))?[\\/]?", "", sentence)
