"""Results appear whole or not at all: they are written in a private folder and renamed into place."""

import errno
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from cyclopean.errors import InputError, why_unwritten

PRIVATE = ".cyclopean-"  # how the names of private folders begin
YOUNG = 60.0  # seconds

_OUTSIDE = {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENOTDIR, errno.EEXIST, errno.EISDIR),
    *(errno.EFBIG, errno.ENAMETOOLONG, errno.ENOENT, errno.ENOTEMPTY, errno.EIO, errno.ESTALE),
}


@contextmanager
def appearing(folder: Path) -> Iterator[Path]:
    """A private folder inside `folder` (made if missing); its files move to `folder` when the block ends well.

    Raises InputError when `folder` cannot be written or the disk is full; then nothing of the block remains. Two
    processes move one after the other, so that files that belong together stay together. Private folders that dead
    processes left are removed.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        sweep(folder, PRIVATE)
    except OSError as error:
        raise _cannot_write(folder, error) from None
    try:
        with private_folder(folder, PRIVATE) as bench:
            yield bench
            files = sorted(path for path in bench.rglob("*") if path.is_file())
            places = [folder / path.relative_to(bench) for path in files]
            if taken := next((place for place in places if place.is_dir()), None):
                raise InputError(f"{taken} is a folder, and a result has its name; rename it, or choose another --out.")
            alone = folder.name.startswith(PRIVATE)  # a private folder is this process's own, and locked already
            with nullcontext() if alone else locked(folder):
                for path, place in zip(files, places, strict=True):
                    place.parent.mkdir(parents=True, exist_ok=True)
                    path.replace(place)
    except OSError as error:
        if error.errno is not None and error.errno not in _OUTSIDE:  # numpy's own, of a full disk, has no number
            raise
        raise _cannot_write(folder, error) from None


@contextmanager
def private_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """A new folder in `parent` that is removed when the block ends, or by `sweep` if this process is killed."""
    bench = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    try:
        with locked(bench):
            yield bench
    finally:
        shutil.rmtree(bench, ignore_errors=True)


def sweep(parent: Path, prefix: str) -> None:
    """Remove the private folders in `parent` whose processes are dead: nobody holds their lock."""
    for bench in parent.glob(f"{prefix}*"):
        try:
            if time.time() - bench.stat().st_mtime < YOUNG:  # perhaps made just now and not locked yet
                continue
            number = os.open(bench, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0))
        except OSError:  # gone, or somebody else's, or a system that opens no folders
            continue
        if _lock(number, wait=False):
            shutil.rmtree(bench, ignore_errors=True)
        os.close(number)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Only one process at a time is inside, for the same folder; where folders cannot be locked, all are."""
    try:
        number = os.open(folder, os.O_RDONLY)
    except OSError:  # Windows opens no folders
        yield
        return
    try:
        _lock(number, wait=True)
        yield
    finally:
        os.close(number)


def _lock(number: int, *, wait: bool) -> bool:
    """Lock an open folder for this process; return False if another one holds it or it cannot be locked."""
    try:
        import fcntl

        fcntl.flock(number, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except (ImportError, OSError):
        return False
    return True


def _cannot_write(folder: Path, error: OSError) -> InputError:
    return InputError(f"cannot write to {folder} {why_unwritten(error, 'choose a folder that can be written to')}.")
