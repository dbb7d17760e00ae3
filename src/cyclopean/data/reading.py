"""Pictures, depth maps and calibration files of data sets, read into tensors with one-sentence errors."""

import json
import os
import sys
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from cyclopean.decoding import LEAST_SIDE, MOST_MEGAPIXELS
from cyclopean.depthmap.formats import READERS
from cyclopean.errors import InputError, unknown_name

IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")

END, SCAN = b"\xff\xd9", b"\xff\xda"  # markers of JPEG
UNREADABLE = (OSError, ValueError, EOFError, KeyError, IndexError, zipfile.BadZipFile, zlib.error)  # of numpy's files


def existing_folder(path: Path | str) -> Path:
    """`path` as a folder that exists."""
    folder = Path(path).expanduser()
    if not folder.exists():
        raise InputError(f"{folder} does not exist; give the folder of a data set.")
    if not folder.is_dir():
        raise InputError(f"{folder} is a file; give the folder of a data set.")
    return folder


def list_images(folder: Path) -> dict[str, Path]:
    """The pictures of a folder by their names without suffix, sorted. Raises if there is none, or two of one name."""
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGES and not p.name.startswith("."))
    if not paths:
        raise InputError(f"{folder} holds no pictures; it needs at least one of {', '.join(IMAGES)}.")
    stems: dict[str, Path] = {}
    for path in paths:
        if path.stem in stems:
            raise InputError(f"{stems[path.stem]} and {path.name} share one name; remove or rename one of them.")
        stems[path.stem] = path
    return stems


def image_size(path: Path) -> tuple[int, int]:
    """(height, width) from the file's header only."""
    try:
        with path.open("rb") as file:
            return _header(path, file)
    except OSError as error:
        raise InputError(f"{path} cannot be opened ({error.strerror}).") from error


def read_image(path: Path) -> Float[Tensor, "1 3 h w"]:
    """A picture as RGB in [0,1], 8 or 16 bit."""
    pixels = _decode(path, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    rgb = torch.from_numpy(np.ascontiguousarray(pixels[..., ::-1].transpose(2, 0, 1)).astype(np.float32))
    return rgb[None] / (np.iinfo(pixels.dtype).max if pixels.dtype.kind == "u" else 1)


def read_views(paths: Sequence[Path]) -> list[Float[Tensor, "1 3 h w"]]:
    """Pictures of one item. Raises if they differ in size, naming both."""
    images = [read_image(path) for path in paths]
    for path, image in zip(paths, images, strict=True):
        if image.shape != images[0].shape:
            raise _two_sizes(paths[0], images[0].shape, path, image.shape)
    return images


def check_one_size(paths: Sequence[Path]) -> None:
    """Raises if pictures of one item differ in size by their headers, or cannot be opened."""
    sizes = [image_size(path) for path in paths]
    for path, size in zip(paths, sizes, strict=True):
        if size != sizes[0]:
            raise _two_sizes(paths[0], sizes[0], path, size)


def check_fits(path: Path, size: tuple[int, int], picture: tuple[int, int]) -> None:
    """Raises if the map at `path`, of `size` (height, width), has not the size of its picture."""
    if size != picture:
        (h, w), (height, width) = size, picture
        raise InputError(f"{path} has {w}x{h} pixels and its picture {width}x{height}; they need one size.")


def check_whole(path: Path) -> None:
    """Raises if a JPEG or PNG is cut short, mostly by its last bytes alone; other files pass."""
    if path.suffix.lower() in IMAGES:
        with path.open("rb") as file:
            if _truncated(file):
                raise _cut(path)


def map_size(path: Path) -> tuple[int, int] | None:
    """(height, width) of a picture, a .npy or a .npz (key `depth`) by its header; None for what is none of these."""
    if path.suffix.lower() in IMAGES:
        return image_size(path)
    if path.suffix.lower() not in (".npy", ".npz"):
        return None
    try:
        shape = _array_header(path)
    except UNREADABLE as error:
        raise _no_array(path) from error
    if len(shape) != 2:
        raise InputError(f"{path} holds an array of shape {shape}; it needs numbers of shape (height, width).")
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
    others = (path.with_suffix(suffix) for suffix in IMAGES)
    return path if path.exists() else next((other for other in others if other.exists()), path)


def choice(kind: str, given: str, known: Iterable[str]) -> str:
    """`given` if it is one of `known`; the error suggests the nearest."""
    names = list(known)
    if given not in names:
        raise unknown_name(kind, given, names)
    return given


def read_counts(path: Path) -> Float[Tensor, "1 1 h w"]:
    """A one-channel picture as its own numbers (0..255 or 0..65535), unscaled."""
    pixels = _decode(path, cv2.IMREAD_UNCHANGED)
    if pixels.ndim != 2:
        raise InputError(f"{path} has {pixels.shape[-1]} channels; a map of this kind needs one.")
    return torch.from_numpy(pixels.astype(np.float32))[None, None]


def read_array(path: Path) -> Float[Tensor, "1 1 h w"]:
    """A two-dimensional array of a .npy file, or of key `depth` of a .npz file, as float32."""
    try:
        with path.open("rb") as file:  # numpy leaves a file open that it cannot read
            loaded = np.load(file, allow_pickle=False)
            array = loaded["depth"] if path.suffix == ".npz" else loaded
    except UNREADABLE as error:
        raise _no_array(path) from error
    if array.ndim != 2 or array.dtype.kind not in "fiu":
        raise InputError(
            f"{path} holds {array.dtype} of shape {array.shape}; it needs numbers of shape (height, width)."
        )
    return torch.from_numpy(array.astype(np.float32))[None, None]


def read_depth(path: Path) -> Float[Tensor, "1 1 h w"]:
    """Numbers of a .npy, .npz (key `depth`), .exr or .pfm file, as they are."""
    if path.suffix.lower() in (".npy", ".npz"):
        return read_array(path)
    if not path.exists():
        raise InputError(f"{path} cannot be opened (No such file or directory).")
    plane, _ = READERS[path.suffix.lower()](path)
    return torch.from_numpy(np.ascontiguousarray(plane))[None, None]


def read_text(path: Path) -> str:
    """A text file."""
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it holds no text"
        raise InputError(f"{path} cannot be opened ({why}).") from error


def read_rows(path: Path, columns: int) -> Float[np.ndarray, "rows columns"]:
    """Numbers in lines of `columns`, such as poses."""
    text = read_text(path)
    try:
        rows = [[float(word) for word in line.split()] for line in text.splitlines() if line.strip()]
    except ValueError as error:
        raise InputError(f"{path} holds something else than numbers.") from error
    if not rows or any(len(row) != columns for row in rows):
        raise InputError(f"{path} needs {columns} numbers in each line.")
    return np.array(rows)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object."""
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read as JSON; see docs/data.md for what it must hold.") from error
    if not isinstance(value, dict):
        raise InputError(f"{path} holds a {type(value).__name__}; it needs an object {{...}}, see docs/data.md.")
    return value


def read_positive(values: dict[str, Any], key: str, meaning: str, path: Path) -> float:
    """The number above 0 that a JSON object of `path` has under `key`; `meaning` says what it is, and in which unit."""
    if not is_positive(values.get(key)):
        said = f'has "{key}": {values[key]!r}' if key in values else f'lacks "{key}"'
        raise InputError(f"{path} {said}; it needs {meaning} above 0.")
    return float(values[key])


def is_positive(value: object) -> bool:
    """Whether a value of JSON is a finite number above 0."""
    return is_finite(value) and value > 0  # type: ignore[operator]


def is_finite(value: object) -> bool:
    """Whether a value of JSON is a number that a float holds; JSON also knows NaN, inf and integers without end."""
    most = sys.float_info.max
    return isinstance(value, int | float) and not isinstance(value, bool) and -most <= value <= most


def _two_sizes(path: Path, shape: Sequence[int], other: Path, other_shape: Sequence[int]) -> InputError:
    return InputError(
        f"{path} has {shape[-1]}x{shape[-2]} pixels and {other} has {other_shape[-1]}x{other_shape[-2]}; "
        "views of one item need one size."
    )


def _decode(path: Path, flags: int) -> np.ndarray:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be opened ({error.strerror}).") from error
    if not data:
        raise InputError(f"{path} is empty (zero bytes); replace or remove it.")
    # Decoders fill the missing part of a truncated file with grey and say nothing.
    if _truncated(BytesIO(data)):
        raise _cut(path)
    _header(path, BytesIO(data))
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if pixels is None:
        raise InputError(f"{path} cannot be read as a picture; replace or remove it.")
    return pixels


def _header(path: Path, file: BufferedReader | BytesIO) -> tuple[int, int]:
    """(height, width). Refuses what is no picture, and by its header what no photo may be (`images.read_photo`)."""
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # ours is checked next, one for photos and data
    try:
        with Image.open(file) as picture:
            width, height = picture.size
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise InputError(f"{path} cannot be read as a picture; replace or remove it.") from error
    finally:
        Image.MAX_IMAGE_PIXELS = limit
    if width * height > MOST_MEGAPIXELS * 1e6:
        raise InputError(
            f"{path} is {width}x{height} ({width * height / 1e6:.3g} megapixels), the limit of data is "
            f"{MOST_MEGAPIXELS:g}; shrink it, and its partners and truth with it."
        )
    if min(width, height) < LEAST_SIDE:
        raise InputError(
            f"{path} is {width}x{height} pixels; data needs at least {LEAST_SIDE} on each side; replace or remove it."
        )
    return height, width


def _truncated(file: BufferedReader | BytesIO) -> bool:
    """Whether a JPEG or PNG lacks its end."""
    head = file.read(8)
    file.seek(max(0, file.seek(0, os.SEEK_END) - 4096))
    tail = file.read()
    if head.startswith(b"\x89PNG"):
        return b"IEND" not in tail
    if not head.startswith(b"\xff\xd8") or tail.rstrip(b"\0").endswith(END):
        return False
    file.seek(0)  # something follows the picture, or it has no end
    data = file.read()
    return data.rfind(END) < max(0, data.rfind(SCAN))  # of the last scan: thumbnails have their own


def _cut(path: Path) -> InputError:
    return InputError(f"{path} is truncated; replace or remove it.")


def _no_array(path: Path) -> InputError:
    return InputError(f"{path} cannot be read as an array; it needs a .npy, or a .npz with the key 'depth'.")
