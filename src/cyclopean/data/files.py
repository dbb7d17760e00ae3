"""Folders, depth maps and calibration files of data sets, read with one-sentence errors."""

import difflib
import logging
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from cyclopean.errors import InputError, unknown_name
from cyclopean.io import limits
from cyclopean.io.decoding import read_header, read_image, read_stored
from cyclopean.io.depth_formats import plane_header, read_plane, sky_at_infinity
from cyclopean.io.files import CLIPS, PHOTOS, at_home, read_json, read_text, refuse_unreadable, shortened
from cyclopean.io.limits import MOST_MEGAPIXELS

LOG = logging.getLogger(__name__)
Depth = Float[Tensor, "1 1 h w"]
Size = tuple[int, int]  # height, width
FULL = 65535  # the largest count of 16 bits
RIGID = 0.02  # by which a rotation times its transpose may differ from 1: poses are written with few digits
CHANNELS = {0: 1, 2: 3, 3: 3, 4: 4, 6: 4}  # by a PNG's type; decoders make three of a palette, four of grey, alpha
ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".7z", ".rar")
NAMED = 3  # of many files left out, so many are named
Numbers = TypeVar("Numbers", float, np.ndarray)


def existing_folder(path: Path | str) -> Path:
    """Return `path` as a folder. Raises InputError if it is none."""
    folder = at_home(path)
    if not folder.exists():
        raise InputError(f"{folder} does not exist; give the folder of a data set.")
    if is_archive(folder):
        raise InputError(f"{folder} is an archive; unpack it, and give the folder that comes out.")
    if not folder.is_dir():
        films = ", ".join(CLIPS[:4])
        raise InputError(f"{folder} is a file; give a film ({films} or the like), or the folder of a data set.")
    return folder


def is_archive(path: Path) -> bool:
    """Return whether `path` is a file that is to be unpacked, by its suffix."""
    return path.suffix.lower() in ARCHIVES and path.is_file()


def entry(folder: Path, name: str) -> Path:
    """Return the path of `name` in a folder, also if it is there in other letters (`Depth` for `depth`) alone."""
    if (folder / name).exists():
        return folder / name
    return min((path for path in folder.iterdir() if path.name.lower() == name.lower()), default=folder / name)


def pictures_among(paths: Iterable[Path], folder: Path) -> list[Path]:
    """Return the pictures among `paths`, which lie in `folder`, sorted. Other files are counted and named in the log.

    Names that begin with a dot are hidden. Raises InputError if no picture is there.
    """
    files = sorted(path for path in paths if not path.name.startswith(".") and not path.is_dir())
    pictures = only_pictures(files)
    others = [path.name for path in files if path.suffix.lower() not in PHOTOS]
    if not pictures:
        there = f" (of other kinds: {counted(others)})" if others else ""
        raise InputError(f"{folder} holds no picture{there}; it needs at least one of {', '.join(PHOTOS)}.")
    if others:
        LOG.warning("%s: left out, since they are not pictures: %s.", folder, counted(others))
    return pictures


def only_pictures(paths: Iterable[Path]) -> list[Path]:
    """Return the paths that have the suffix of a picture, sorted."""
    return sorted(path for path in paths if path.suffix.lower() in PHOTOS)


def counted(names: list[str]) -> str:
    """Return `4: a.txt, b.dng, c.mov and 1 more`."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{len(names)}: {', '.join(names[:NAMED])}{more}"


def list_images(folder: Path) -> dict[str, Path]:
    """Return the pictures of a folder by their names without suffix, sorted.

    Raises InputError if there is none, or two of one name.
    """
    stems: dict[str, Path] = {}
    for path in pictures_among(folder.iterdir(), folder):
        if path.stem in stems:
            raise InputError(f"{stems[path.stem]} and {path.name} share one name; remove or rename one of them.")
        stems[path.stem] = path
    return stems


def check_fits(path: Path, size: Size, picture: Size) -> None:
    """Raise InputError if the map at `path`, of `size` (height, width), has not the size of its picture."""
    if size != picture:
        (h, w), (height, width) = size, picture
        raise InputError(f"{path} has {w}x{h} pixels and its picture {width}x{height}; they need one size.")


def map_size(path: Path) -> Size | None:
    """Return (height, width) of a picture, a .npy or a .npz (key `depth`) by its header; None for what is none.

    Raises InputError for a damaged file, and for one that is too large for memory.
    """
    if path.suffix.lower() in PHOTOS:
        size, png = image_size(path), png_header(path)
        if png and png[1] > 1:
            raise _too_many_channels(path, png[1])
        return size
    if path.suffix.lower() not in (".npy", ".npz"):
        refuse_unreadable(path)
        return None
    size, kind = plane_header(path, MOST_MEGAPIXELS)
    _check_kind(path, kind)
    return size


def picture_at(path: Path) -> Path:
    """Return `path`, or the picture beside it of another suffix: people keep PNG releases as JPEG."""
    others = (path.with_suffix(suffix) for suffix in PHOTOS)
    return path if path.exists() else next((other for other in others if other.exists()), path)


def choice(kind: str, name: str, known: Iterable[str]) -> str:
    """Return `name` if it is one of `known`. The InputError otherwise suggests the nearest."""
    names = list(known)
    if name not in names:
        raise unknown_name(kind, name, names)
    return name


def whole_number(option: str, text: str | int) -> int:
    """Return the number of at least 1 that an option is given. Raises InputError for anything else."""
    if not str(text).isdecimal() or int(text) < 1:
        raise InputError(f"{option} is {text}; it needs a whole number of at least 1.")
    return int(text)


def read_list(path: Path | str) -> list[tuple[str, str]]:
    """Return the lines of a split that hold something other than a comment, each with the place to name in an error."""
    file = at_home(path)
    lines = [(line.strip(), f"{file}, line {n}") for n, line in enumerate(read_text(file).splitlines(), 1)]
    lines = [(line, place) for line, place in lines if line and not line.startswith("#")]
    if not lines:
        raise InputError(f"{file} is an empty list; it needs a line for each item.")
    return lines


def read_paths(path: Path | str) -> list[str]:
    """Return the first path of each line: the left pictures of a list in Monodepth's format, relative to the data."""
    return [line.split()[0] for line, _ in read_list(path)]


def read_pairs(path: Path | str) -> list[tuple[str, str]]:
    """Return the two paths of each line, a picture's and its depth's, relative to the data set."""
    pairs = []
    for line, place in read_list(path):
        words = line.split()
        if len(words) != 2:
            raise InputError(
                f"{place} is {shortened(repr(line))}; it needs two paths, of the picture and of its depth."
            )
        pairs.append((words[0], words[1]))
    return pairs


def read_depth(path: Path, size: Size | None = None) -> Depth:
    """Return the depth of a .npy, .npz (key `depth`), .exr or .pfm file as it is, `inf` where a renderer met nothing.

    Raises InputError as `read_numbers` does.
    """
    return torch.from_numpy(sky_at_infinity(read_numbers(path, size).numpy()))


def read_numbers(path: Path, size: Size | None = None) -> Depth:
    """Return the numbers of a .npy, .npz (key `depth`), .exr or .pfm file, as they are.

    Raises InputError for a damaged file, and for one that has not the `size` of its picture.
    """
    plane, kind = read_plane(path, MOST_MEGAPIXELS)
    _check_kind(path, kind)
    return _as_map(path, plane.astype(np.float32), size)


def read_pose(path: Path, numbers: Float[np.ndarray, "rows columns"]) -> Float[np.ndarray, "4 4"]:
    """Return a pose of 3 or 4 rows of 4 as 4x4. Raises InputError unless it is a rotation and a translation.

    Trackers write singular matrices, or numbers that are not finite, for frames that they lost.
    """
    pose = np.eye(4)
    pose[: len(numbers)] = finite(path, "a pose", numbers)
    turn = pose[:3, :3]
    upright = np.abs(turn @ turn.T - np.eye(3)).max() < RIGID and np.linalg.det(turn) > 0
    if not upright or np.abs(pose[3] - (0, 0, 0, 1)).max() > RIGID:
        raise InputError(f"{path} has a pose that is not a rotation and translation; mend it, or leave its frames out.")
    return pose


def read_rows(path: Path, columns: int) -> Float[np.ndarray, "rows columns"]:
    """Return the finite numbers in lines of `columns`, such as poses; what follows a # is a comment."""
    lines = (line.partition("#")[0].split() for line in read_text(path).splitlines())
    try:
        rows = [[float(word) for word in line] for line in lines if line]
    except ValueError as error:
        raise InputError(f"{path} holds something else than numbers.") from error
    if not rows or any(len(row) != columns for row in rows):
        raise InputError(f"{path} needs {columns} numbers in each line.")
    return finite(path, "its lines", np.array(rows))


def finite(path: Path, what: str, numbers: Numbers) -> Numbers:
    """Return `numbers` of a calibration file. Raises InputError, naming `what` they are, if one is not finite."""
    if not np.isfinite(numbers).all():
        raise InputError(f"{path} has numbers that are not finite in {what}; mend it, or take it from the release.")
    return numbers


def read_object(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file. Raises InputError for any other value."""
    value = read_json(path)
    if not isinstance(value, dict):
        raise InputError(f"{path} holds a {type(value).__name__}; it needs an object {{...}}, see docs/data.md.")
    return value


OTHER_NAMES = {  # of what is in a calibration, in the files of cameras and libraries
    **dict.fromkeys(("fx", "fy", "f", "k", "cam0", "camera_matrix"), "focal_px"),
    **dict.fromkeys(("cx", "cy", "ppx", "ppy"), "center_px"),
    **dict.fromkeys(("b", "t", "tx"), "baseline_m"),
}


def refuse_unknown(values: dict[str, Any], known: Iterable[str], path: Path) -> None:
    """Raise InputError for an unknown key of a JSON object: a misspelt one would be ignored in silence."""
    names = sorted(known)
    for key in values:
        if key not in names and not key.startswith("_"):
            usual = OTHER_NAMES.get(key.lower())
            near = [usual] if usual in names else difflib.get_close_matches(key.lower(), names, n=1, cutoff=0.5)
            meant = f": did you mean {near[0]!r}?" if near else "."
            raise InputError(
                f"{path} has the key {shortened(repr(key), 60)}, which is not known{meant} Known are "
                f"{', '.join(names)}; notes of your own begin with _."
            )


def read_positive(values: dict[str, Any], key: str, meaning: str, path: Path) -> float:
    """Return the number above 0 that a JSON object of `path` has under `key`; `meaning` is what it is, and its unit."""
    if not is_positive(values.get(key)):
        value = f'has "{key}": {shown_value(values[key])}' if key in values else f'lacks "{key}"'
        raise InputError(f"{path} {value}; it needs {meaning} above 0.")
    return float(values[key])


def shown_value(value: object) -> str:
    """Return a value of JSON for a sentence that asks for numbers; of a number in quotes also that it is text."""
    parts = value if isinstance(value, list) else [value]
    quoted = any(isinstance(part, str) and re.match(r"\s*[-+]?[.,]?\d", part) for part in parts)
    return shortened(repr(value), 60) + quoted * ", which is text (write numbers without quotes)"


def is_positive(value: object) -> bool:
    """Return whether a value of JSON is a finite number above 0."""
    return is_finite(value) and value > 0  # type: ignore[operator]


def is_finite(value: object) -> bool:
    """Return whether a value of JSON is a number that a float holds; JSON has NaN, inf and integers without end too."""
    most = float(np.finfo(np.float32).max)
    return isinstance(value, int | float) and not isinstance(value, bool) and -most <= value <= most


def image_size(path: Path) -> Size:
    """Return (height, width) as people see the picture (EXIF turns it), from the file's header only."""
    return read_header(path).size


def png_header(path: Path) -> tuple[int, int] | None:
    """Return bits and channels of a PNG's pixels, by its header; None for another file."""
    with path.open("rb") as file:
        head = file.read(26)
    return (head[24], CHANNELS.get(head[25], 1)) if head.startswith(limits.PNG) and len(head) == 26 else None


def read_views(paths: Sequence[Path]) -> list[Float[Tensor, "1 3 h w"]]:
    """Return the pictures of one item. Raises InputError if they differ in size, naming both."""
    images = [read_image(path) for path in paths]
    for path, image in zip(paths, images, strict=True):
        if image.shape != images[0].shape:
            raise _two_sizes(paths[0], images[0].shape, path, image.shape)
    return images


def read_counts(path: Path, bits: int, size: Size | None = None) -> Depth:
    """Return a grey picture as its own numbers, unscaled: `bits` is 8 (0..255) or 16 (0..65535), as the format has it.

    Raises InputError for another number of bits, since what was saved anew with 8 has lost its unit, and for a picture
    that has not the `size` of the one it belongs to.
    """
    pixels = _plane(path)
    if pixels.dtype != {8: np.uint8, 16: np.uint16}[bits]:
        kind = f"{8 * pixels.dtype.itemsize} bits{' (floating point)' if pixels.dtype.kind == 'f' else ''}"
        raise InputError(
            f"{path} has {kind} a pixel and its format {bits}: the numbers mean something else; give the file as it "
            "was released, or write it again from the original."
        )
    return _as_map(path, pixels.astype(np.float32), size)


def read_mask(path: Path, size: Size) -> Depth:
    """Return a grey picture of any bits, of `size`, in [0,1]: 0.5 and above is set."""
    pixels = _plane(path)
    most = np.iinfo(pixels.dtype).max if pixels.dtype.kind == "u" else 1
    return _as_map(path, pixels.astype(np.float32) / np.float32(most), size)


def check_one_size(paths: Sequence[Path]) -> None:
    """Raise InputError if pictures of one item differ in size by their headers, or cannot be opened."""
    sizes = [image_size(path) for path in paths]
    for path, size in zip(paths, sizes, strict=True):
        if size != sizes[0]:
            raise _two_sizes(paths[0], sizes[0], path, size)


def check_whole(path: Path) -> None:
    """Raise InputError if a JPEG or PNG is cut short, mostly by its last bytes alone; other files pass."""
    if path.suffix.lower() in PHOTOS:
        with path.open("rb") as file:
            limits.check_whole(path, file)


def _check_kind(path: Path, kind: str | None) -> None:
    """Raise InputError for an archive whose array has another name than `depth`: its numbers may mean another thing."""
    if path.suffix.lower() == ".npz" and kind != "depth":
        raise InputError(f"{path} has no array with the key 'depth'; write it again.")


def _as_map(path: Path, plane: Float[np.ndarray, "h w"], size: Size | None) -> Depth:
    if size is not None:
        check_fits(path, (plane.shape[0], plane.shape[1]), size)
    return torch.from_numpy(plane)[None, None]


def _plane(path: Path) -> np.ndarray:
    """Return the numbers of a grey picture, (height, width)."""
    pixels = read_stored(path)
    if pixels.ndim != 2:
        raise _too_many_channels(path, pixels.shape[-1])
    return pixels


def _too_many_channels(path: Path, count: int) -> InputError:
    kind = "colours, or a palette of them" if count == 3 else f"{count} channels"
    return InputError(
        f"{path} has {kind}, and a map of this kind one channel of numbers; give the file as it was released, or write "
        "it again from the original."
    )


def _two_sizes(path: Path, shape: Sequence[int], other: Path, other_shape: Sequence[int]) -> InputError:
    return InputError(
        f"{path} has {shape[-1]}x{shape[-2]} pixels and {other} has {other_shape[-1]}x{other_shape[-2]}; "
        "views of one item need one size."
    )
