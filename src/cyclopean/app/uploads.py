"""What is sent to the app: how large, how many and which files it takes, and how they reach the disk.

A stranger names them: a file gets a safe name in a folder of its session. Only photos and clips are taken, by the
ending of that name; what is in them is checked when they are opened (`cyclopean.io`).
"""

import asyncio
import errno
import mimetypes
import shutil
from pathlib import Path

import anyio.to_thread
from starlette.requests import Request

from cyclopean.app.session import GONE, Session, Store, safe_name
from cyclopean.errors import InputError
from cyclopean.io.files import CLIPS, PHOTOS, RAWS

SPARE = 300e6  # bytes that an upload must leave free on the disk
STALLED, LONGEST_WAY = 30.0, 1800.0  # seconds: between two parts of an upload, and for a whole one
ARRIVING = 2  # files of one page at a time: a second one takes the first one's place
BUSY = "two files of this page are arriving already; wait until they are here."
LATE = "nothing more of the file came; send it again."
NO_SPACE = "this computer has no space left for the file; free some space on its disk, then try again."


class RefusedUpload(InputError):  # noqa: N818  (a sentence for the page)
    """An upload that is not taken: what HTTP calls the reason, and the sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


async def receive(store: Store, session: Session | None, request: Request, name: str) -> str:
    """Store what is sent as a file of the session; return the name that it got. Raises RefusedUpload.

    A file that is not taken leaves nothing on the disk.
    """
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


def _too_large(name: str, size: int, most: float) -> str:
    """Return the sentence for an upload beyond the limit, with as many digits as it takes to see that it is."""
    shown = next(text for digits in range(7) if float(text := f"{size / 1e6:.{digits}f}") > most or digits == 6)
    return f"{safe_name(name)} is {shown} MB, the limit is {most:.6g} MB; give a smaller file."
