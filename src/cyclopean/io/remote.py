"""Files at URLs, such as s3://BUCKET/photos/a.jpg: listed and fetched by fsspec, by a white list of schemes.

Nothing heavy is imported before a URL is read. Nothing is fetched but what a user names.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from cyclopean.errors import InputError
from cyclopean.io.files import CLIPS, PRIVATE, is_film, private_folder, shortened

SCHEMES = ("s3", "gs", "gcs", "az", "abfs", "hf", "http", "https", "memory")
WEB = ("http", "https")
MOST_BYTES = 1_000_000_000  # of a photo, and
MOST_CLIP_BYTES = 16_000_000_000  # of a clip: more was made to fill a disk
CHUNK = 1_000_000  # bytes that are in memory at once
MISSING = "; pip install 'cyclopean[remote]' installs what http:// and s3:// need"


@dataclass(frozen=True)
class Remote:
    """A file at a URL. Its names are those of a `Path`, with _ for what no file's name may hold."""

    url: str

    def __str__(self) -> str:
        return self.url

    @property
    def parent(self) -> PurePosixPath:
        """The folder's path, without the scheme."""
        return self._path.parent

    @property
    def name(self) -> str:
        """The last part of the path, without what follows ? or # on the web."""
        return re.sub(r'[\x00-\x1f\x7f\\:*?"<>|]', "_", self._path.name)

    @property
    def stem(self) -> str:
        """The name up to its last dot."""
        return Path(self.name).stem

    @property
    def suffix(self) -> str:
        """The name from its last dot on."""
        return Path(self.name).suffix

    @property
    def _path(self) -> PurePosixPath:
        from urllib.parse import unquote  # late: every --help would wait for it

        path = self.url.partition("://")[2]
        return PurePosixPath(unquote(re.split("[?#]", path, maxsplit=1)[0]) if scheme(self.url) in WEB else path)


def is_url(name: str) -> bool:
    """Return whether a name is a URL rather than a path: it begins with a scheme and ://."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.:-]*://", name) is not None


def scheme(url: str) -> str:
    """Return the scheme of a URL, lower case."""
    return url.partition("://")[0].lower()


def remote(url: str) -> Remote:
    """Return the file at `url`. Raises InputError for a scheme that is not on the list, and for a URL of no file."""
    check_scheme(url)
    file = Remote(url)
    if not file.stem or file.name in (".", ".."):
        raise InputError(f"{shortened(url)} names no file; give the URL of one.")
    return file


def check_scheme(url: str) -> None:
    """Raise InputError for a URL of a scheme that is not on the list, or of several in a chain (::)."""
    if scheme(url) not in SCHEMES or "::" in url:
        what = "a chain of URLs" if "::" in url else f"{scheme(url)}://"
        raise InputError(f"{shortened(url)}: {what} is not read; give a path, or a URL of {', '.join(SCHEMES)}.")


def file_system(url: str) -> tuple[Any, str]:
    """Return the file system of a URL (of fsspec), and the path in it.

    Raises InputError as `check_scheme` does, and where the library of its scheme is not installed.
    """
    check_scheme(url)
    import fsspec

    try:
        files, path = fsspec.core.url_to_fs(url)
        return files, str(path)
    except ImportError as error:
        raise InputError(f"{shortened(url)} cannot be reached: {str(error).rstrip('.')}{MISSING}.") from None
    except ValueError as error:
        raise InputError(f"{shortened(url)} cannot be reached: {error}") from None


def files_in(url: str) -> list[Remote]:
    """Return the files of the folder at `url`, which ends in /, by name; none of folders in it, nor hidden ones.

    Raises InputError for what cannot be listed, which is everything of a web server.
    """
    check_scheme(url)
    if scheme(url) in WEB:
        raise InputError(f"{shortened(url)} is a folder of a web server, which lists none; give the URLs of its files.")
    files, path = file_system(url)
    try:
        names = sorted(
            info["name"].rpartition("/")[2] for info in files.ls(path, detail=True) if info["type"] == "file"
        )
    except Exception as error:  # each library raises its own
        raise _unreached(url, error) from None
    return [Remote(f"{url.rstrip('/')}/{name}") for name in names if name and name[0] != "."]


@contextmanager
def fetched(source: Path | Remote, folder: Path) -> Iterator[Path]:
    """Yield the path of a file; one at a URL is fetched, for the time of the block, to a private folder in `folder`.

    Raises InputError for what cannot be fetched or is too large, and gives errors of the block the URL for a name.
    """
    if isinstance(source, Path):
        yield source
        return
    folder.mkdir(parents=True, exist_ok=True)
    with private_folder(folder, PRIVATE) as private:
        path = private / source.name
        try:
            with path.open("xb") as file:
                for part in _content(source):
                    file.write(part)
            yield path
        except InputError as error:
            raise InputError(str(error).replace(str(path), source.url)) from None


def is_clip(source: Path | Remote) -> bool:
    """Return whether a file is a film (`is_film`); of one at a URL by its suffix."""
    return is_film(source) if isinstance(source, Path) else source.suffix.lower() in CLIPS


def _content(source: Remote) -> Iterator[bytes]:
    """Yield the bytes of a file at a URL, part by part: no more than a file of its kind may have."""
    files, path = file_system(source.url)
    most = MOST_CLIP_BYTES if is_clip(source) else MOST_BYTES
    stream = {"block_size": 0} if scheme(source.url) in WEB else {}  # one answer, not one for each part
    count = 0
    try:
        with files.open(path, "rb", **stream) as file:
            while count <= most and (part := file.read(CHUNK)):
                count += len(part)
                yield part
    except Exception as error:  # each library raises its own
        raise _unreached(source.url, error) from None
    if count > most:
        raise InputError(f"{shortened(source)} has more than {most / 1e9:g} GB, too much for its kind; check the URL.")


def _unreached(url: str, error: Exception) -> InputError:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    why = "nothing is there" if isinstance(error, FileNotFoundError) else shortened(lines[0])
    return InputError(f"{shortened(url)} cannot be fetched ({why}); check the URL and the connection.")
