"""Files: the suffixes that are read, text and JSON from other programs, safe names, and atomic writing of results.

Everything here is plain Python, so that commands can check names and files before heavy imports.
"""

import codecs
import errno
import hashlib
import json
import os
import re
import secrets
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from cyclopean.errors import InputError, why_unwritten

# The suffixes of the whole project, lower case. Files with these suffixes are read, or rejected with a sentence on the
# reason.
PHOTOS = (
    *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".tif", ".tiff", ".webp", ".bmp", ".dib", ".gif"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".j2k", ".heic", ".heif", ".hif", ".avif", ".hdr"),
)
RAWS = (
    *(".dng", ".nef", ".nrw", ".cr2", ".cr3", ".crw", ".arw", ".srf", ".sr2", ".raf", ".orf", ".rw2", ".pef", ".srw"),
    *(".3fr", ".fff", ".iiq", ".mrw", ".dcr", ".kdc", ".erf", ".x3f", ".rwl"),
)
CLIPS = (
    *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mts", ".m2ts", ".ts", ".3gp", ".3g2", ".flv", ".f4v"),
    *(".wmv", ".asf", ".mpg", ".mpeg", ".ogv", ".mxf", ".vob", ".dv", ".mjpg", ".mjpeg", ".y4m", ".m2t", ".tod"),
    *(".m2v", ".divx", ".insv", ".lrv"),
)
DEPTHS = (".npy", ".npz", ".exr", ".pfm")  # and 16-bit .png
H264_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv")  # of films that are written; clips of other kinds get the last

REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")  # of the Hugging Face Hub
POINTER = b"version https://git-lfs.github.com/spec/"  # with which a file begins that Git keeps elsewhere
MOST_TEXT = 256_000_000  # bytes: more is not a list, calibration or sidecar
DEEPEST = 64  # levels of JSON: what is nested deeper was made to break its reader

# Brands of pictures in the boxes of MP4, and with what films of other containers begin: Matroska and WebM, MPEG program
# and elementary streams, FLV, ASF, Ogg, MXF, YUV4MPEG.
_PICTURES = (b"mif1", b"msf1", b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"avif", b"avis", b"crx ", b"jpeg")
_FILMS = (
    *(b"\x1aE\xdf\xa3", b"\0\0\x01\xba", b"\0\0\x01\xb3", b"FLV\x01"),
    *(b"0&\xb2u", b"OggS", b"\x06\x0e+4", b"YUV4MPEG2"),
)
_MARKS = (
    *((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32")),
    *((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16")),
)


def is_film(path: Path) -> bool:
    """Return whether a file is a film: by its suffix, or by its first bytes where that is one of no kind known here.

    Some suffixes of films (`.mod`, `.qt`, `.dat`) mean other things in other folders.
    """
    suffix = path.suffix.lower()
    if suffix in (*PHOTOS, *RAWS, *CLIPS, *DEPTHS) or not path.is_file():
        return suffix in CLIPS
    with path.open("rb") as file:
        head = file.read(197)
    packets = any(
        head[at : at + 1] == b"G" == head[at + length : at + length + 1] for at, length in ((0, 188), (4, 192))
    )
    boxes = head[4:8] in (b"moov", b"mdat", b"wide") or (head[4:8] == b"ftyp" and head[8:12] not in _PICTURES)
    return packets or boxes or head.startswith(_FILMS) or (head[:4], head[8:12]) == (b"RIFF", b"AVI ")


def refuse_unreadable(path: Path, most_bytes: int = sys.maxsize) -> None:
    """Raise InputError unless `path` is a regular file of 1 to `most_bytes` bytes: pipes and devices have no end."""
    try:
        if path.is_dir():
            raise InputError(f"{path} is a folder; give a file.")
        if not path.exists():
            raise InputError(f"there is no file {path}; check the path.")
        if not path.is_file():
            raise InputError(f"{path} is a pipe or a device, not a file; give a file.")
        size = path.stat().st_size
        with path.open("rb") as file:
            pointer = size < 1024 and file.read(len(POINTER)) == POINTER
    except OSError as error:  # a name too long for the disk, or a folder without permission
        raise InputError(f"{shortened(str(path))} cannot be opened ({error.strerror}); check the path.") from None
    if size == 0:
        raise InputError(f"{path} is empty (0 bytes); copy or write it again.")
    if pointer:
        raise InputError(f"{path} is only a pointer of Git LFS to a file that was not fetched; run: git lfs pull.")
    if size > most_bytes:
        raise InputError(f"{path} has {size / 1e6:.0f} MB, too much for its kind; check that it is the right file.")


def at_home(path: str | os.PathLike[str]) -> Path:
    """Return a path in which ~ at the beginning is a home folder, as in a shell, unless a file here has that name."""
    if os.path.lexists(path):
        return Path(path)
    try:
        return Path(path).expanduser()
    except RuntimeError:  # nobody's home
        return Path(path)


def read_text(path: Path, otherwise: str = "give a text file") -> str:
    r"""Return the text of a file, as `text_of` does. Every text that people bring is read here or there.

    Raises InputError for files that are missing, empty, not regular files, or not text.
    """
    refuse_unreadable(path, MOST_TEXT)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be opened ({error.strerror}).") from None
    return text_of(data, str(path), otherwise)


def text_of(data: bytes, name: str, otherwise: str = "give a text file") -> str:
    r"""Return a text without its byte order mark: UTF-8, unless the mark is that of UTF-16 or UTF-32.

    Its lines end in \n, also where it ends them in \r\n or, as old Macs do, in \r. Raises InputError for what is no
    text.
    """
    coding = next((coding for mark, coding in _MARKS if data.startswith(mark)), None) or _unmarked_coding(data)
    try:
        text = data.decode(coding)
        if "\0" in text:
            raise UnicodeError
        return re.sub(r"\r\n?", "\n", text)
    except UnicodeError:
        raise InputError(f"{name} holds no text (UTF-8 or UTF-16); {otherwise}.") from None


def _unmarked_coding(data: bytes) -> str:
    """Return the coding of a text without a byte order mark: by its zero bytes, which UTF-8 has none of."""
    if b"\0" in data[:4]:
        return json.detect_encoding(data)
    second, first = data[1::2].count(0), data[::2].count(0)  # of line breaks, blanks and digits, in any script
    return "utf-8" if not first + second else "utf-16-le" if second > first else "utf-16-be"


def read_json(path: Path) -> Any:
    """Return the content of a JSON file. Integers too large for 64 bits become floats, perhaps infinite.

    Raises InputError as `read_text` does, for invalid JSON, and for nesting deeper than 64 levels.
    """
    text = read_text(path)
    try:
        value = json.loads(
            text,
            parse_int=lambda digits: int(digits) if len(digits) < 19 else float(digits),
            object_pairs_hook=lambda pairs: _object(path, pairs),
        )
    except RecursionError:
        raise InputError(f"{path} is nested too deeply for JSON of its kind; correct or remove it.") from None
    except InputError:
        raise
    except ValueError as error:
        where = f"line {error.lineno}" if isinstance(error, json.JSONDecodeError) else "a number"
        raise InputError(f"{path} is not readable JSON ({where}); correct or remove it.") from None
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > DEEPEST:
            raise InputError(f"{path} is nested too deeply for JSON of its kind; correct or remove it.")
        boxes = (item.values() if isinstance(item, dict) else item for item in level if isinstance(item, dict | list))
        level = [inner for box in boxes for inner in box if isinstance(inner, dict | list)]
    return value


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_anew(path: Path, content: bytes) -> None:
    """Write a file by renaming, so that it is whole when it is there; a link in its place is replaced, not followed.

    For the many files of a data set: the folder exists, and no other process writes this file. Raises OSError.
    """
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    try:
        with part.open("xb") as file:
            file.write(content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, whole or not at all; its folder is made if missing. A pipe or a device takes the text
    as it comes.

    Raises InputError where it cannot be written.
    """
    if is_stream(path):
        number = _descriptor(path)
        try:
            sys.stdout.flush()  # perhaps the same
            with open(path if number is None else os.dup(number), "w", encoding="utf-8") as stream:
                stream.write(text)
        except OSError as error:
            raise InputError(f"cannot write to {path} {why_unwritten(error, 'send it elsewhere')}.") from None
        return
    with appearing(path.parent) as folder:
        (folder / path.name).write_text(text, encoding="utf-8")


def is_stream(path: Path) -> bool:
    """Return whether a path is a pipe or a device, or stands for an open file, as /dev/stdout does."""
    return _descriptor(path) is not None or (path.exists() and not path.is_file() and not path.is_dir())


def _descriptor(path: Path) -> int | None:
    """Return the number of the open file of this process that a path stands for."""
    named = re.fullmatch(r"/(?:dev|proc/self)/fd/(\d+)", str(path))
    return int(named[1]) if named else {"/dev/stdout": 1, "/dev/stderr": 2}.get(str(path))


def _object(path: Path, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of JSON. Raises InputError for a repeated key."""
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"{path} has {shortened(twice, 40)!r} twice; leave one of them out.")
    return content


def address(path: Path) -> str:
    """Return `path` as an address that FFmpeg always takes as a file, even with colons in its name."""
    return f"file:{path.absolute()}"


def printable(text: object) -> str:
    """Return `text` for a terminal: control characters and undecodable bytes are escaped. Line breaks and tabs of a
    text stay; in a path they are part of a name, and are escaped too.
    """
    kept = "" if isinstance(text, Path) else "\n\t"
    return "".join(c if c.isprintable() or c in kept else c.encode("unicode_escape").decode() for c in str(text))


def shortened(text: object, most: int = 200) -> str:
    """Return `text` without its middle if it is longer than `most` characters, so that errors stay short."""
    words = str(text)
    return words if len(words) <= most else f"{words[: most // 2]} ... {words[-most // 2 :]}"


PRIVATE = ".cyclopean-"  # prefix of the names of private folders
YOUNG = 60.0  # seconds
LOCK = ".cyclopean.lock"  # the file by which one process keeps a folder

_WRITTEN_IN_PART = re.compile(r"\d+ requested and \d+ written")
_OUTSIDE = {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENOTDIR, errno.EEXIST, errno.EISDIR),
    *(errno.EFBIG, errno.ENAMETOOLONG, errno.ENOENT, errno.ENOTEMPTY, errno.EIO, errno.ESTALE),
}


def refuse_unwritable(folder: Path) -> None:
    """Raise InputError if `folder` is not a folder and cannot be made, or files cannot be written in it. Makes
    nothing."""
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", str(folder)) and not folder.exists():  # a Path has lost the second /
        raise InputError(f"cannot write to {shortened(folder)}: results go to folders here; give one, and copy it.")
    for place in (folder, *folder.parents):
        try:
            if place.is_dir():
                if os.access(place, os.W_OK | os.X_OK):
                    return
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            if place.exists() or place.is_symlink():
                kind = "a file" if place.exists() else "a broken link"
                subject = "it" if place == folder else shortened(place)
                raise InputError(f"cannot write to {shortened(folder)}: {subject} is {kind}; give a folder.")
        except OSError as error:
            raise _cannot_write(folder, error) from None


@contextmanager
def appearing(folder: Path) -> Iterator[Path]:
    """Yield a private folder inside `folder` (made if missing); move its files to `folder` when the block succeeds.

    Raises InputError when `folder` cannot be written or the disk is full; then nothing of the block remains. Processes
    move files one after another, so that files of one result stay together. Private folders left by dead processes are
    removed.
    """
    refuse_unwritable(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        sweep(folder, PRIVATE)
    except OSError as error:
        raise _cannot_write(folder, error) from None
    try:
        with private_folder(folder, PRIVATE) as private:
            yield private
            files = sorted(path for path in private.rglob("*") if path.is_file())
            places = [folder / path.relative_to(private) for path in files]
            if taken := next((place for place in places if place.is_dir() or is_stream(place)), None):
                kind = "a folder" if taken.is_dir() else "a pipe or a device"
                raise InputError(f"{taken} is {kind}, and a result needs its name; rename it, or choose another --out.")
            alone = folder.name.startswith(PRIVATE)  # a private folder is this process's own, and locked already
            with nullcontext() if alone else locked(folder):
                for path, place in zip(files, places, strict=True):
                    place.parent.mkdir(parents=True, exist_ok=True)
                    path.replace(place)
    except OSError as error:
        full = error.errno is None and _WRITTEN_IN_PART.fullmatch(str(error))  # numpy's error has no number
        if not full and error.errno not in _OUTSIDE:
            raise
        raise _cannot_write(folder, error) from None


@contextmanager
def private_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """Yield a new folder in `parent`, removed when the block ends, or by `sweep` if this process is killed."""
    folder = parent / f"{prefix}{secrets.token_hex(8)}"  # named before it is made: a signal finds it at any moment
    try:
        folder.mkdir(mode=0o700)
        with locked(folder):
            yield folder
    finally:
        try:
            shutil.rmtree(folder, ignore_errors=True)
        except KeyboardInterrupt:  # just now
            shutil.rmtree(folder, ignore_errors=True)
            raise


def sweep(parent: Path, prefix: str) -> None:
    """Remove the private folders in `parent` whose processes are dead: their locks are free."""
    for folder in parent.glob(f"{prefix}*"):
        try:
            if time.time() - folder.stat().st_mtime < YOUNG:  # perhaps just made and not locked yet
                continue
            number = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0))
        except OSError:  # gone, or of another user, or on a system that opens no folders
            continue
        if _lock(number, wait=False):
            shutil.rmtree(folder, ignore_errors=True)
        os.close(number)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of `folder`, which one process can hold at a time. No effect where folders cannot be locked
    (Windows)."""
    try:
        number = os.open(folder, os.O_RDONLY)
    except OSError:  # Windows opens no folders
        yield
        return
    with _of_this_process(number):
        _lock(number, wait=True)
        yield


@contextmanager
def reserved(folder: Path) -> Iterator[None]:
    """Keep `folder` (made if missing) for this process, which writes there for long.

    Raises InputError, before anything in it is touched, while another process has it. The lock is the system's, so it
    ends with its process, however that ends. No effect where files cannot be locked (Windows, some disks of networks).
    """
    made = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        number = _locked_file(folder / LOCK)
    except BlockingIOError:
        raise InputError(
            f"another cyclopean command is writing to {folder}; wait until it has ended, or give another folder."
        ) from None
    except OSError as error:
        raise _cannot_write(folder, error) from None
    with _of_this_process(number):
        try:
            yield
        finally:
            with suppress(OSError):
                (folder / LOCK).unlink()
                if made:
                    folder.rmdir()  # only if nothing was written


@contextmanager
def _of_this_process(number: int) -> Iterator[None]:
    """Close the open file `number` when the block ends, and at once in every process that is forked inside it.

    A lock ends when the last process that has its file open closes it: a reader of data that outlives its killed parent
    for some seconds would keep it.
    """
    _HELD.add(number)
    try:
        yield
    finally:
        if number in _HELD:  # not in a forked process
            _HELD.remove(number)
            os.close(number)


_HELD: set[int] = set()  # the open files behind this process's locks


def _let_go() -> None:
    for number in _HELD:
        os.close(number)
    _HELD.clear()


if hasattr(os, "register_at_fork"):  # Windows forks nothing
    os.register_at_fork(after_in_child=_let_go)


def _locked_file(path: Path) -> int:
    """Return a locked file at `path`, open; raise BlockingIOError if another process holds its lock."""
    while True:
        number = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        try:
            import fcntl

            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(number)
            raise
        except (ImportError, OSError):
            return number
        with suppress(OSError):
            if os.path.samestat(os.fstat(number), path.lstat()):
                return number
        os.close(number)  # whoever held the lock has just ended, and removed the file


def _lock(number: int, *, wait: bool) -> bool:
    """Lock an open folder for this process; return False if another one holds it or it cannot be locked."""
    try:
        import fcntl

        fcntl.flock(number, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except (ImportError, OSError):
        return False
    return True


def _cannot_write(folder: Path, error: OSError) -> InputError:
    if error.errno == errno.ENAMETOOLONG and error.filename:
        name = max(Path(os.fsdecode(error.filename)).parts, key=lambda part: len(os.fsencode(part)))
        return InputError(
            f"cannot write {shortened(name)!r}: its {len(os.fsencode(name))} bytes are too long for this disk; "
            "give a shorter --out, or shorten the name of the input."
        )
    return InputError(f"cannot write to {folder} {why_unwritten(error, 'choose a folder that can be written to')}.")
