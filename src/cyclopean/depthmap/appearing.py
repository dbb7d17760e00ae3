"""Results appear whole or not at all: they are written in a private folder and renamed into place."""

import errno
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cyclopean.errors import InputError

_OUTSIDE = {
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOSPC,
    errno.EDQUOT,
    errno.ENOTDIR,
    errno.EEXIST,
    errno.EISDIR,
    errno.EFBIG,
    errno.ENAMETOOLONG,
}


@contextmanager
def appearing(folder: Path) -> Iterator[Path]:
    """A private folder inside `folder` (made if missing); its files move to `folder` when the block ends well.

    Raises InputError when `folder` cannot be written or the disk is full; then nothing of the block remains.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        bench = Path(tempfile.mkdtemp(prefix=".cyclopean-", dir=folder))
    except OSError as error:
        raise _cannot_write(folder, error) from None
    try:
        yield bench
        for path in sorted(p for p in bench.rglob("*") if p.is_file()):
            place = folder / path.relative_to(bench)
            place.parent.mkdir(parents=True, exist_ok=True)
            path.replace(place)
    except OSError as error:
        if error.errno is not None and error.errno not in _OUTSIDE:  # numpy's own, of a full disk, has no number
            raise
        raise _cannot_write(folder, error) from None
    finally:
        shutil.rmtree(bench, ignore_errors=True)


def _cannot_write(folder: Path, error: OSError) -> InputError:
    return InputError(f"cannot write to {folder} ({error.strerror or error}); choose a folder that can be written to.")
