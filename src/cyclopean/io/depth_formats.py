"""Planes of numbers in files: .npy, .npz, .exr, .pfm and 16-bit .png. The sidecar says what they mean.

The header of every file is read first: what it announces is bounded before memory is taken for it.
"""

import logging
import math
import re
import struct
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from cyclopean.errors import InputError
from cyclopean.io.files import refuse_unreadable, shortened

LOG = logging.getLogger(__name__)

Plane = Float[np.ndarray, "h w"]
Writer = Callable[[Path, Plane, str], dict[str, float]]
Reader = Callable[..., tuple[NDArray[Any], str | None]]

KINDS = ("inverse_depth", "disparity", "inverse_distance", "depth", "distance")
STEPS = 65534  # 1 .. 65535 are values, 0 is unknown
MOST_MEGAPIXELS = 120.0  # as of photos
LAYERS = 4  # planes of that size in one EXR; many more of a smaller size
DEPTH_NAMES = ("z", "depth", "zdepth", "depthz")  # of channels and layers, in lower case

# "Pf" (grey) or "PF" (colour), width, height and scale, any white space and comments to the end of a line between.
_PFM = re.compile(rb"(P[fF])" + 3 * rb"(?:\s|#[^\n]*\n)+([^\s#]+)" + rb"(\s+(?:#[^\n]*\n)*)")


def _write_npy(path: Path, plane: Plane, _kind: str) -> dict[str, float]:
    np.save(path, plane)
    return {}


def _write_npz(path: Path, plane: Plane, kind: str) -> dict[str, float]:
    arrays: dict[str, Any] = {kind: plane}
    np.savez_compressed(path, **arrays)
    return {}


def _write_png16(path: Path, plane: Plane, _kind: str) -> dict[str, float]:
    """Linear between the smallest and the largest known value, in 65535 codes; returns scale and offset."""
    import cv2

    known = np.isfinite(plane)
    low, high = (float(plane[known].min()), float(plane[known].max())) if known.any() else (0.0, 0.0)
    scale = (high - low) / STEPS or 1.0
    codes = np.where(known, np.round((np.where(known, plane, low) - low) / scale) + 1, 0)
    _write_encoded(path, *cv2.imencode(".png", codes.astype(np.uint16)))
    return {"scale": scale, "offset": low - scale, "unknown": 0.0}


def _write_exr(path: Path, plane: Plane, kind: str) -> dict[str, float]:
    """One 32-bit channel: Z for depth, Y (shown as grey by viewers) for numbers that grow with nearness."""
    import OpenEXR

    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    OpenEXR.File(header, {"Z" if kind == "depth" else "Y": np.ascontiguousarray(plane)}).write(str(path))
    return {}


def _write_pfm(path: Path, plane: Plane, _kind: str) -> dict[str, float]:
    """Portable float map: rows from the bottom up, a negative scale says little-endian."""
    height, width = plane.shape
    path.write_bytes(f"Pf\n{width} {height}\n-1.0\n".encode() + plane[::-1].astype("<f4").tobytes())
    return {}


def _write_encoded(path: Path, good: bool, code: NDArray[np.uint8]) -> None:
    if not good:
        raise RuntimeError(f"OpenCV could not encode {path.name}")
    path.write_bytes(code.tobytes())


def array_shape(path: Path) -> tuple[int, ...]:
    """Return the shape of the array in a depth file from its header alone; of an EXR (height, width).

    Raises InputError for a file that is damaged, or of a suffix that no depth file has.
    """
    with _decoding(path):
        return SHAPES[path.suffix.lower()](path)


def read_npy_header(file: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return shape and type that the header of a .npy announces. Raises ValueError for any that is not one of numbers.

    `file`, open for reading bytes, is left at the first number.
    """
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError("it holds no plain numbers")
    headers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    try:
        shape, _, dtype = headers[version](file)
    except Exception as error:  # numpy parses the header as Python, and Python's parser raises many kinds
        raise ValueError(f"its header cannot be read: {error}") from None
    if dtype.kind not in "biuf" or not all(0 <= side < 2**40 for side in shape):
        raise ValueError(f"it holds {dtype} of shape {shape}")
    return shape, dtype


def _read_npy(path: Path, most_megapixels: float = MOST_MEGAPIXELS) -> tuple[NDArray[Any], str | None]:
    with _decoding(path), path.open("rb") as file:
        shape, dtype = read_npy_header(file)
        _refuse_size(path, shape, most_megapixels)
        if path.stat().st_size - file.tell() < math.prod(shape) * dtype.itemsize:
            raise ValueError("it ends before its numbers do")
        file.seek(0)
        return np.lib.format.read_array(file, allow_pickle=False), None


def _read_npz(path: Path, most_megapixels: float = MOST_MEGAPIXELS) -> tuple[NDArray[Any], str | None]:
    """The array named by a kind of ours, else the only one."""
    with _decoding(path), zipfile.ZipFile(path) as box:
        member, named = _npz_member(path, box)
        with box.open(member) as file:
            shape, _ = read_npy_header(file)
        _refuse_size(path, shape, most_megapixels)
        with box.open(member) as file:
            return np.lib.format.read_array(file, allow_pickle=False), named


def _npz_member(path: Path, box: zipfile.ZipFile) -> tuple[str, str | None]:
    """The name in the archive of the array that is meant, and the kind of ours that it is named by."""
    names = {info.filename.removesuffix(".npy"): info for info in box.infolist()}
    named = [name for name in names if name in KINDS]
    if len(named) != 1 and (named or len(names) != 1):
        held = shortened(", ".join(names) or "nothing")
        raise InputError(f"{path} holds {held}; exactly one array named {', '.join(KINDS)} is needed.")
    member = names[named[0]] if named else next(iter(names.values()))
    # The others unpack all that a few bytes stand for before the first number can be read.
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError("its arrays are packed by a method that numpy does not write")
    return member.filename, named[0] if named else None


def _npz_shape(path: Path) -> tuple[int, ...]:
    with zipfile.ZipFile(path) as box, box.open(_npz_member(path, box)[0]) as file:
        return read_npy_header(file)[0]


def _npy_shape(path: Path) -> tuple[int, ...]:
    with path.open("rb") as file:
        return read_npy_header(file)[0]


def _png_shape(path: Path) -> tuple[int, ...]:
    with path.open("rb") as file:
        head = file.read(24)
    if head[:8] != b"\x89PNG\r\n\x1a\n" or head[12:16] != b"IHDR":
        raise ValueError("it does not start as a PNG does")
    width, height = struct.unpack(">II", head[16:24])
    return height, width


def _read_png16(path: Path, most_megapixels: float = MOST_MEGAPIXELS) -> tuple[NDArray[Any], str | None]:
    import cv2

    _refuse_size(path, array_shape(path), most_megapixels)
    with _decoding(path):
        data = path.read_bytes()
        array = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if array is None:
        raise InputError(f"{path} is damaged or no PNG; give a depth file that opens.")
    if array.dtype != np.uint16 or array.ndim != 2:
        raise InputError(f"{path} is a picture, not depth: depth in PNG is grey with 16 bits; give the .npy beside it.")
    moving = data.find(b"acTL", 0, data.find(b"IDAT"))  # the chunk of animations, with their number of frames
    if moving > 0 and (count := int.from_bytes(data[moving + 4 : moving + 8], "big")) > 1:
        LOG.warning("%s has %d frames; the first is used.", path.name, count)
    return array, None


def exr_planes(path: Path, most_megapixels: float = MOST_MEGAPIXELS) -> dict[str, NDArray[np.float32]]:
    """Every channel of an EXR file by its name, at the size of the picture, NaN where a cropped file holds nothing.

    A channel whose name another part has too is named after its part. Raises InputError for a damaged file.
    """
    import OpenEXR

    with _decoding(path):
        parts = OpenEXR.File(str(path), header_only=True).parts
        numbers = sum(math.prod(_window(part.header, "dataWindow")) * len(part.header["channels"]) for part in parts)
        _refuse_size(path, (numbers,), LAYERS * most_megapixels)
        _refuse_size(path, _window(parts[0].header, "displayWindow"), most_megapixels)
        planes: dict[str, NDArray[np.float32]] = {}
        for part in OpenEXR.File(str(path), separate_channels=True).parts:
            for name, channel in part.channels.items():
                plane = _uncropped(np.asarray(channel.pixels, np.float32), part.header)
                planes[f"{part.name()}.{name}" if name in planes else name] = plane
    return planes


def _exr_shape(path: Path) -> tuple[int, ...]:
    import OpenEXR

    return _window(OpenEXR.File(str(path), header_only=True).header(), "displayWindow")


def _window(header: dict[str, Any], name: str) -> tuple[int, int]:
    """(height, width) of a window of an EXR, whose corners are both inside."""
    low, high = (np.asarray(corner, np.int64) for corner in header[name])
    width, height = (int(side) for side in high - low + 1)
    return height, width


def _uncropped(plane: NDArray[np.float32], header: dict[str, Any]) -> NDArray[np.float32]:
    """The plane of the data window at its place in the display window, which is the picture."""
    (left, top), (x, y) = header["displayWindow"][0].tolist(), header["dataWindow"][0].tolist()
    height, width = _window(header, "displayWindow")
    if (left, top) == (x, y) and plane.shape == (height, width):
        return plane
    whole = np.full((height, width), np.nan, np.float32)
    rows = max(y, top), min(y + plane.shape[0], top + height)
    columns = max(x, left), min(x + plane.shape[1], left + width)
    if rows[0] < rows[1] and columns[0] < columns[1]:
        part = plane[rows[0] - y : rows[1] - y, columns[0] - x : columns[1] - x]
        whole[rows[0] - top : rows[1] - top, columns[0] - left : columns[1] - left] = part
    return whole


def _read_exr(path: Path, most_megapixels: float = MOST_MEGAPIXELS) -> tuple[NDArray[Any], str | None]:
    """The channel named Z or depth as renderers name it ("ViewLayer.Depth.Z", "depth"), else the only or grey one."""
    planes = exr_planes(path, most_megapixels)
    depth = {name: plane for name, plane in planes.items() if _is_depth(name)}
    # Renderers write depth as grey colour too: equal channels, and opacity beside them.
    grey = {name: plane for name, plane in planes.items() if name != "A" or len(planes) == 1}
    chosen = {"Z": planes["Z"]} if "Z" in planes else depth or grey
    if not chosen:
        raise InputError(f"{path} has no channels; a depth file has one, or one named Z.")
    first, *others = chosen.values()
    if not all(np.array_equal(plane, first, equal_nan=True) for plane in others):
        names = shortened(", ".join(chosen))
        raise InputError(f"{path} has channels {names}; a depth file has one, or one named Z.")
    return first, "depth" if depth else None


def _is_depth(name: str) -> bool:
    """Whether a channel is depth by its name: "Z", "depth", "ViewLayer.Depth.Z", "Depth.V", but not "Normal.Z"."""
    *layers, last = name.lower().split(".")
    if last in DEPTH_NAMES[1:] or (not layers and last == "z"):
        return True
    return bool(layers) and layers[-1] in DEPTH_NAMES and last in ("z", "v", "y", "r", "g", "b")


def _read_pfm(path: Path, most_megapixels: float = MOST_MEGAPIXELS) -> tuple[NDArray[Any], str | None]:
    """Numbers of a portable float map; one in colour counts if it is grey. Rows stand from the bottom up."""
    with _decoding(path), path.open("rb") as file:
        shape, scale, start, gap = _pfm_header(file.read(4096))
        _refuse_size(path, shape, most_megapixels)
        spare = path.stat().st_size - start - 4 * math.prod(shape)
        if spare < 1:
            raise ValueError("it ends before its numbers do")
        # One white space ends the header, or as many as the numbers leave: "\r\n", a blank before the line's end.
        file.seek(start + (spare if spare <= gap else 1))
        plane = np.frombuffer(file.read(4 * math.prod(shape)), "<f4" if scale < 0 else ">f4").reshape(shape)
    if plane.ndim == 3:
        if not all(np.array_equal(plane[..., k], plane[..., 0], equal_nan=True) for k in (1, 2)):
            raise InputError(f"{path} is a picture in colour, not depth; give a grey map (its first letters are Pf).")
        plane = plane[..., 0]
    return plane[::-1].astype(np.float32), None


def _pfm_shape(path: Path) -> tuple[int, ...]:
    with path.open("rb") as file:
        return _pfm_header(file.read(4096))[0][:2]


def _pfm_header(head: bytes) -> tuple[tuple[int, ...], float, int, int]:
    """Shape, scale (its sign is the order of bytes), where the header's last white space starts, and its length."""
    match = _PFM.match(head)
    if match is None:
        raise ValueError("its header is not Pf, width, height and scale")
    magic, *words, gap = match.groups()
    if not all(word.isdigit() and len(word) < 10 and int(word) for word in words[:2]):
        raise ValueError(f"its width and height are {words[0][:20]!r} and {words[1][:20]!r}")
    width, height, scale = int(words[0]), int(words[1]), float(words[2])
    if not math.isfinite(scale) or scale == 0:
        raise ValueError(f"its scale is {scale:g}")
    return ((height, width) if magic == b"Pf" else (height, width, 3)), scale, match.start(5), len(gap)


@contextmanager
def _decoding(path: Path) -> Iterator[None]:
    """Whatever a decoder raises for a damaged file becomes an InputError."""
    refuse_unreadable(path)
    try:
        yield
    except (InputError, MemoryError):
        raise
    except Exception as error:  # zipfile, zlib, lzma, numpy and OpenEXR have no common base
        why = shortened(" ".join(str(error).split()) or type(error).__name__)
        raise InputError(f"{path} is damaged or no {path.suffix} file ({why}); write the depth file again.") from None


def _refuse_size(path: Path, shape: tuple[int, ...], most_megapixels: float) -> None:
    if math.prod(shape) == 0:
        raise InputError(f"{path} holds no numbers, its shape is {shape}; write the depth file again.")
    if not math.prod(shape) <= most_megapixels * 1e6:
        size = "x".join(map(str, shape[::-1]))
        raise InputError(
            f"{path} is {size} ({math.prod(shape) / 1e6:.3g} million numbers), the limit is {most_megapixels:g}; "
            "shrink it, or raise the limit with --max-megapixels."
        )


WRITERS: dict[str, Writer] = {
    ".npy": _write_npy,
    ".npz": _write_npz,
    ".png": _write_png16,
    ".exr": _write_exr,
    ".pfm": _write_pfm,
}
READERS: dict[str, Reader] = {
    ".npy": _read_npy,
    ".npz": _read_npz,
    ".png": _read_png16,
    ".exr": _read_exr,
    ".pfm": _read_pfm,
}
SHAPES: dict[str, Callable[[Path], tuple[int, ...]]] = {
    ".npy": _npy_shape,
    ".npz": _npz_shape,
    ".png": _png_shape,
    ".exr": _exr_shape,
    ".pfm": _pfm_shape,
}
