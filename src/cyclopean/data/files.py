"""Folders, depth maps and calibration files of data sets, read with one-sentence errors."""

import difflib
import logging
import math
import os
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from cyclopean.errors import InputError, unknown_name
from cyclopean.io import limits
from cyclopean.io.decoding import read_header, read_image, read_stored
from cyclopean.io.depth_formats import READERS
from cyclopean.io.files import PHOTOS, read_json, read_text, refuse_unreadable, shortened
from cyclopean.io.limits import MOST_MEGAPIXELS

LOG = logging.getLogger(__name__)
RIGID = 0.02  # by which a rotation times its transpose may differ from 1: poses are written with few digits
NAMED = 3  # of many files left out, so many are named
Numbers = TypeVar("Numbers", float, np.ndarray)


def existing_folder(path: Path | str) -> Path:
    """`path` as a folder that exists."""
    folder = Path(path).expanduser()
    if not folder.exists():
        raise InputError(f"{folder} does not exist; give the folder of a data set.")
    if not folder.is_dir():
        raise InputError(f"{folder} is a file; give the folder of a data set.")
    return folder


def pictures_among(paths: Iterable[Path], folder: Path) -> list[Path]:
    """The pictures among `paths`, which lie in `folder`, sorted. Other files are counted and named in the log.

    Names that begin with a dot are hidden. Raises if no picture is there.
    """
    files = sorted(path for path in paths if not path.name.startswith(".") and not path.is_dir())
    pictures = [path for path in files if path.suffix.lower() in PHOTOS]
    others = [path.name for path in files if path.suffix.lower() not in PHOTOS]
    if not pictures:
        there = f" (of other kinds: {counted(others)})" if others else ""
        raise InputError(f"{folder} holds no picture{there}; it needs at least one of {', '.join(PHOTOS)}.")
    if others:
        LOG.warning("%s: left out, since they are no pictures: %s.", folder, counted(others))
    return pictures


def counted(names: list[str]) -> str:
    """`4: a.txt, b.dng, c.mov and 1 more`."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{len(names)}: {', '.join(names[:NAMED])}{more}"


def list_images(folder: Path) -> dict[str, Path]:
    """The pictures of a folder by their names without suffix, sorted. Raises if there is none, or two of one name."""
    stems: dict[str, Path] = {}
    for path in pictures_among(folder.iterdir(), folder):
        if path.stem in stems:
            raise InputError(f"{stems[path.stem]} and {path.name} share one name; remove or rename one of them.")
        stems[path.stem] = path
    return stems


def check_fits(path: Path, size: tuple[int, int], picture: tuple[int, int]) -> None:
    """Raises if the map at `path`, of `size` (height, width), has not the size of its picture."""
    if size != picture:
        (h, w), (height, width) = size, picture
        raise InputError(f"{path} has {w}x{h} pixels and its picture {width}x{height}; they need one size.")


def map_size(path: Path) -> tuple[int, int] | None:
    """(height, width) of a picture, a .npy or a .npz (key `depth`) by its header; None for what is none of these."""
    if path.suffix.lower() in PHOTOS:
        return image_size(path)
    refuse_unreadable(path)
    if path.suffix.lower() not in (".npy", ".npz"):
        return None
    try:
        shape = _array_header(path)
    except Exception as error:  # numpy's headers are Python, zips have headers of their own
        raise _no_map(path, error) from error
    if len(shape) != 2 or math.prod(shape) > MOST_MEGAPIXELS * 1e6:
        raise InputError(
            f"{path} holds an array of shape {shortened(shape)}; it needs numbers of shape (height, width), at most "
            f"{MOST_MEGAPIXELS:g} million."
        )
    return shape[0], shape[1]


def _array_header(path: Path) -> tuple[int, ...]:
    if path.suffix.lower() == ".npy":
        return tuple(np.load(path, mmap_mode="r", allow_pickle=False).shape)  # refuses what is shorter than it says
    with path.open("rb") as file, zipfile.ZipFile(file) as whole, whole.open("depth.npy") as array:
        version = np.lib.format.read_magic(array)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        return tuple(read(array)[0])


def found(path: Path) -> Path:
    """`path`, or the picture beside it of another suffix: people keep PNG releases as JPEG, and lists name either."""
    others = (path.with_suffix(suffix) for suffix in PHOTOS)
    return path if path.exists() else next((other for other in others if other.exists()), path)


def choice(kind: str, given: str, known: Iterable[str]) -> str:
    """`given` if it is one of `known`; the error suggests the nearest."""
    names = list(known)
    if given not in names:
        raise unknown_name(kind, given, names)
    return given


def read_depth(path: Path) -> Float[Tensor, "1 1 h w"]:
    """Numbers of a .npy, .npz (key `depth`), .exr or .pfm file, as they are."""
    map_size(path)  # refuses what is missing, and what is too large for memory, by the header
    try:
        plane = np.asarray(READERS[path.suffix.lower()](path)[0])
    except InputError:
        raise
    except Exception as error:  # decoders raise whatever they like on damaged files
        raise _no_map(path, error) from error
    if plane.ndim != 2 or plane.dtype.kind not in "fiu":
        raise InputError(
            f"{path} holds {plane.dtype} of shape {shortened(plane.shape)}; it needs numbers of shape (height, width)."
        )
    return torch.from_numpy(plane.astype(np.float32))[None, None]


def read_pose(path: Path, numbers: Float[np.ndarray, "rows columns"]) -> Float[np.ndarray, "4 4"]:
    """A pose of 3 or 4 rows of 4 as 4x4, after checking that it turns and moves only; `path` is for the error.

    Trackers write singular matrices, or numbers that are not finite, for frames that they lost.
    """
    pose = np.eye(4)
    pose[: len(numbers)] = finite(path, "a pose", numbers)
    turn = pose[:3, :3]
    upright = np.abs(turn @ turn.T - np.eye(3)).max() < RIGID and np.linalg.det(turn) > 0
    if not upright or np.abs(pose[3] - (0, 0, 0, 1)).max() > RIGID:
        raise InputError(f"{path} has a pose that is no rotation and translation; mend it, or leave its frames out.")
    return pose


def read_rows(path: Path, columns: int) -> Float[np.ndarray, "rows columns"]:
    """Finite numbers in lines of `columns`, such as poses; what follows a # is a comment."""
    lines = (line.partition("#")[0].split() for line in read_text(path).splitlines())
    try:
        rows = [[float(word) for word in line] for line in lines if line]
    except ValueError as error:
        raise InputError(f"{path} holds something else than numbers.") from error
    if not rows or any(len(row) != columns for row in rows):
        raise InputError(f"{path} needs {columns} numbers in each line.")
    return finite(path, "its lines", np.array(rows))


def finite(path: Path, what: str, numbers: Numbers) -> Numbers:
    """`numbers` of a calibration file. Raises InputError, naming `what` they are, if one is NaN or infinite."""
    if not np.isfinite(numbers).all():
        raise InputError(f"{path} has numbers that are not finite in {what}; mend it, or take it from the release.")
    return numbers


def read_object(path: Path) -> dict[str, Any]:
    """A JSON object."""
    value = read_json(path)
    if not isinstance(value, dict):
        raise InputError(f"{path} holds a {type(value).__name__}; it needs an object {{...}}, see docs/data.md.")
    return value


def refuse_unknown(values: dict[str, Any], known: Iterable[str], path: Path) -> None:
    """Raises for a key of a JSON object that nobody reads: a misspelt one would be ignored in silence."""
    names = sorted(known)
    for key in values:
        if key not in names and not key.startswith("_"):
            near = difflib.get_close_matches(key, names, n=1, cutoff=0.5)
            meant = f"did you mean {near[0]!r}? " if near else ""
            raise InputError(
                f"{path} has the key {shortened(repr(key), 60)}, which is not known: {meant}Known are "
                f"{', '.join(names)}; notes of your own begin with _."
            )


def read_positive(values: dict[str, Any], key: str, meaning: str, path: Path) -> float:
    """The number above 0 that a JSON object of `path` has under `key`; `meaning` says what it is, and in which unit."""
    if not is_positive(values.get(key)):
        said = f'has "{key}": {shortened(repr(values[key]), 60)}' if key in values else f'lacks "{key}"'
        raise InputError(f"{path} {said}; it needs {meaning} above 0.")
    return float(values[key])


def is_positive(value: object) -> bool:
    """Whether a value of JSON is a finite number above 0."""
    return is_finite(value) and value > 0  # type: ignore[operator]


def is_finite(value: object) -> bool:
    """Whether a value of JSON is a number that a float holds; JSON also knows NaN, inf and integers without end."""
    most = float(np.finfo(np.float32).max)
    return isinstance(value, int | float) and not isinstance(value, bool) and -most <= value <= most


def _no_map(path: Path, error: Exception) -> InputError:
    needed = {".npy": "a .npy array", ".npz": "a .npz with the key 'depth'"}.get(path.suffix.lower(), "a float map")
    said = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return InputError(f"{path} cannot be read as {needed} ({shortened(said, 100)}); write it again.")


def image_size(path: Path) -> tuple[int, int]:
    """(height, width) as people see the picture (EXIF turns it), from the file's header only."""
    return read_header(path).size


def read_views(paths: Sequence[Path]) -> list[Float[Tensor, "1 3 h w"]]:
    """Pictures of one item. Raises if they differ in size, naming both."""
    images = [read_image(path) for path in paths]
    for path, image in zip(paths, images, strict=True):
        if image.shape != images[0].shape:
            raise _two_sizes(paths[0], images[0].shape, path, image.shape)
    return images


def read_counts(path: Path, bits: int) -> Float[Tensor, "1 1 h w"]:
    """A grey picture as its own numbers, unscaled: `bits` is 8 (0..255) or 16 (0..65535), whichever the format has.

    Raises InputError for another number of bits: what was saved anew with 8 has lost its unit.
    """
    pixels = _plane(path)
    if pixels.dtype != {8: np.uint8, 16: np.uint16}[bits]:
        kind = f"{8 * pixels.dtype.itemsize} bits{' (floating point)' if pixels.dtype.kind == 'f' else ''}"
        raise InputError(
            f"{path} has {kind} a pixel and its format {bits}: the numbers mean something else; give the file as it "
            "was released, or write it again from the original."
        )
    return torch.from_numpy(pixels.astype(np.float32))[None, None]


def read_mask(path: Path) -> Float[Tensor, "1 1 h w"]:
    """A grey picture of any bits in [0,1]: 0.5 and above is set."""
    pixels = _plane(path)
    most = np.iinfo(pixels.dtype).max if pixels.dtype.kind == "u" else 1
    return torch.from_numpy(pixels.astype(np.float32) / np.float32(most))[None, None]


def check_one_size(paths: Sequence[Path]) -> None:
    """Raises if pictures of one item differ in size by their headers, or cannot be opened."""
    sizes = [image_size(path) for path in paths]
    for path, size in zip(paths, sizes, strict=True):
        if size != sizes[0]:
            raise _two_sizes(paths[0], sizes[0], path, size)


HARMLESS = 8  # bytes between the picture and its end that cameras leave there


def check_whole(path: Path) -> None:
    """Raises if a JPEG or PNG is cut short, mostly by its last bytes alone; other files pass."""
    if path.suffix.lower() in PHOTOS:
        with path.open("rb") as file:
            limits.check_whole(path, file)


def check_decoded(path: Path) -> None:
    """Raises if a picture does not decode without complaint: damage in its middle is often shown as grey or stripes.

    What libjpeg says of damage it mends goes to the standard error stream of the process alone, so that is listened to.
    """
    if path.suffix.lower() not in PHOTOS:
        return
    said: list[bytes] = []
    with _overheard(said):
        read_image(path)
    for line in b"".join(said).decode(errors="replace").splitlines():
        if line.startswith("Corrupt JPEG data") and not _is_harmless(line):
            raise InputError(f"{path} is damaged in its middle ({line.strip()}); replace or remove it.")


def _is_harmless(line: str) -> bool:
    """`Corrupt JPEG data: 2 extraneous bytes before marker 0xd9`, which some cameras write."""
    words = line.removeprefix("Corrupt JPEG data: ").split()
    return words[1:2] == ["extraneous"] and words[-1:] == ["0xd9"] and words[0].isdigit() and int(words[0]) <= HARMLESS


@contextmanager
def _overheard(said: list[bytes]) -> Iterator[None]:
    """What C libraries write to standard error meanwhile is added to `said` and not shown."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as heard:
        os.dup2(heard.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            heard.seek(0)
            said.append(heard.read())


def _plane(path: Path) -> np.ndarray:
    """The numbers of a grey picture, (height, width)."""
    pixels = read_stored(path)
    if pixels.ndim != 2:
        raise InputError(f"{path} has {pixels.shape[-1]} channels; a map of this kind needs one.")
    return pixels


def _two_sizes(path: Path, shape: Sequence[int], other: Path, other_shape: Sequence[int]) -> InputError:
    return InputError(
        f"{path} has {shape[-1]}x{shape[-2]} pixels and {other} has {other_shape[-1]}x{other_shape[-2]}; "
        "views of one item need one size."
    )
