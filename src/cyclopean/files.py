"""Files of strangers: which suffixes are read, text and JSON as other programs write them, names that are safe to show.

Everything here is plain Python, so that commands can look at names and files before anything heavy is imported.
"""

import codecs
import json
import sys
from pathlib import Path
from typing import Any

from cyclopean.errors import InputError

# The suffixes of the whole project, lower case. What stands here is read, or refused with a sentence that says why.
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
    *(".wmv", ".asf", ".mpg", ".mpeg", ".ogv", ".mxf", ".vob", ".dv", ".mjpg", ".mjpeg", ".y4m"),
)

MOST_TEXT = 256_000_000  # bytes: more is no list, calibration or sidecar
DEEPEST = 64  # levels of JSON: what is nested deeper was made to break its reader

_MARKS = (
    *((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32")),
    *((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16")),
)


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
    except OSError as error:  # a name that is too long for the disk, a folder that may not be entered
        raise InputError(f"{shortened(str(path))} cannot be opened ({error.strerror}); check the path.") from None
    if size == 0:
        raise InputError(f"{path} is empty (0 bytes); copy or write it again.")
    if size > most_bytes:
        raise InputError(f"{path} has {size / 1e6:.0f} MB, too much for its kind; check that it is the right file.")


def read_text(path: Path) -> str:
    """Return the text of a file, without its byte order mark; UTF-8 unless a mark says UTF-16 or UTF-32.

    Raises InputError for files that are missing, empty, no regular files, or no text.
    """
    refuse_unreadable(path, MOST_TEXT)
    try:
        data = path.read_bytes()
        coding = next((name for mark, name in _MARKS if data.startswith(mark)), None)
        coding = coding or (json.detect_encoding(data) if b"\0" in data[:4] else "utf-8")
        return data.decode(coding)
    except OSError as error:
        raise InputError(f"{path} cannot be opened ({error.strerror}).") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} holds no text (UTF-8 or UTF-16); give a text file.") from None


def read_json(path: Path) -> Any:
    """Return what a JSON file holds. Integers too large for 64 bits become floats, perhaps infinite.

    Raises InputError for what `read_text` refuses, for what is no JSON, and for nesting deeper than 64 levels.
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


def write_anew(path: Path, content: bytes) -> None:
    """Write a new file in the place of what is there: a link is replaced, not followed."""
    path.unlink(missing_ok=True)
    with path.open("xb") as file:
        file.write(content)


def _object(path: Path, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of JSON; of two values under one key nobody knows which is meant."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"{path} has {shortened(twice, 40)!r} twice; leave one of them out.")
    return found


def address(path: Path) -> str:
    """Return `path` as an address for FFmpeg that is always a file, whatever colons its name holds."""
    return f"file:{path.absolute()}"


def shown(text: object) -> str:
    """Return `text` for a terminal: control characters and bytes that are no characters are escaped.

    Lines and tabs of a text stay; in a path they are part of a name, and are escaped too.
    """
    kept = "" if isinstance(text, Path) else "\n\t"
    return "".join(c if c.isprintable() or c in kept else c.encode("unicode_escape").decode() for c in str(text))


def shortened(text: object, most: int = 200) -> str:
    """Return `text`, its middle left out where it is longer than `most` characters: an error repeats no kilobytes."""
    words = str(text)
    return words if len(words) <= most else f"{words[: most // 2]} ... {words[-most // 2 :]}"
