"""Planes of numbers in files: .npy, .npz, .exr, .pfm and 16-bit .png. The sidecar holds their meaning.

`read_plane` and `plane_header` are the way in for every kind of file. The header of a file is read first, and what it
announces is bounded before memory is taken for it.
"""

import logging
import math
import os
import re
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from cyclopean.errors import InputError, unknown_name
from cyclopean.io.decoding import Header, by_opencv, read_unlimited_header
from cyclopean.io.files import refuse_unreadable, shortened
from cyclopean.io.limits import MOST_MEGAPIXELS
from cyclopean.io.planes import Plane

LOG = logging.getLogger(__name__)

Reader = Callable[..., tuple[NDArray[Any], str | None]]

KINDS = ("inverse_depth", "disparity", "inverse_distance", "depth", "distance")
SUFFIXES = (".npy", ".npz", ".png", ".exr", ".pfm")
NOTHING = 1e9  # from here on depth is what a renderer writes where a ray hits nothing: 1e10, 1e30, the largest float
HALF = 65504.0  # the largest half float, what becomes of such a number in 16 bits
STEPS = 65534  # 1 .. 65535 are values, 0 is unknown
ONE_CHANNEL = "a depth file has one, or one named Z, depth or Pz: give that name to the depth, or write it alone"
LIKELY = re.compile(r"depth(?!.*\.[ABG]$)", re.IGNORECASE)  # a name of depth, of a layer in colours the first one
LAYERS = 4  # planes of that size in one EXR; many more of a smaller size
DEPTH_NAMES = ("z", "depth", "zdepth", "depthz", "pz")  # of channels and layers, in lower case; Houdini's is Pz

LARGEST = 1e12  # of depth and of inverse depth: their cubes, and sums over a picture, are finite
MOST_HEADER = 65_536  # bytes of a PFM's, comments included
SPARE = 2  # bytes of white space that may follow the numbers of a file: the end of a line

# "Pf" (grey) or "PF" (colour), width, height and scale, any white space and comments to the end of a line between;
# a line ends in \n, \r\n or, as on old Macs, \r.
_COMMENT = rb"#[^\r\n]*(?:\r\n|\r(?!\n)|\n)"  # one way to match each: else strangers' headers take for ever
_PFM = re.compile(rb"(P[fF])" + 3 * (rb"(?:\s|" + _COMMENT + rb")+([^\s#]+)") + rb"(\s+(?:" + _COMMENT + rb")*)")
_END_OF_HEADER = re.compile(rb"(?:[ \t]*(?:\r\n|\r|\n)|\s)(?:" + _COMMENT + rb")*")


def read_plane(path: Path, most_megapixels: float = MOST_MEGAPIXELS) -> tuple[NDArray[Any], str | None]:
    """Return the plane (height, width) of numbers in a file, and the kind that the file itself declares (None: no
    kind).

    Leading and trailing axes of one element are dropped. Raises InputError for a file that is missing, damaged, of
    another format, no single plane of numbers, or larger than `most_megapixels`.
    """
    _check_suffix(path)
    array, kind = _READERS[path.suffix.lower()](path, most_megapixels)
    size = plane_shape(str(path), array.shape)
    if array.dtype.kind not in "fiu":
        raise InputError(f"{path} holds {array.dtype}; a depth map is one plane (height, width) of numbers.")
    return array.reshape(size), kind


def sky_at_infinity(depth: NDArray[Any]) -> NDArray[Any]:
    """Return depth or distance, as a file holds it and in its unit, `inf` where a renderer marks that nothing is there.

    Such are numbers of 1e9 and more, and 65504, the largest half float, where it is the largest of the others.
    """
    if depth.dtype.kind != "f":  # counts
        return depth
    depth = depth.astype(np.promote_types(depth.dtype, np.float32), copy=False)  # half floats do not reach NOTHING
    nothing = depth >= NOTHING
    if not (~nothing & (depth > HALF)).any():
        nothing |= depth == HALF
    return np.where(nothing, np.inf, depth)


def known_depth(depth: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return depth or distance in its unit, NaN where it is below 1e-12 (zero, negative, or too small to be one: arrays
    that were never filled, or read in the wrong order of bytes), `inf` from 1e12 on."""
    with np.errstate(invalid="ignore"):
        return np.where(depth >= 1 / LARGEST, np.where(depth < LARGEST, depth, np.inf), np.nan).astype(depth.dtype)


def plane_header(path: Path, most_megapixels: float = math.inf) -> tuple[tuple[int, int], str | None]:
    """Return (height, width) of the plane in a file, and the kind that an archive names, from its header alone.

    Of an EXR only the numbers show the kind. Raises InputError as `read_plane` does.
    """
    _check_suffix(path)
    kind = None
    with _decoding(path):
        match path.suffix.lower():
            case ".npy":
                with path.open("rb") as file:
                    shape = npy_shape(path, file, most_megapixels)
            case ".npz":
                with zipfile.ZipFile(path) as box:
                    member, kind = _npz_member(path, box)
                    with box.open(member) as file:
                        shape = _npy_header(file)[0]
            case ".png":
                shape = _png_header(path).size
            case ".exr":
                shape = _window(_opened_exr(path, header_only=True).header(), "displayWindow")
            case _:
                with path.open("rb") as file:
                    shape = _pfm_header(file.read(MOST_HEADER))[0][:2]
    size = plane_shape(str(path), shape)
    _check_size(path, size, most_megapixels)
    return size, kind


def plane_shape(name: str, shape: tuple[int, ...]) -> tuple[int, int]:
    """Return `shape` without leading and trailing axes of one element. Raises InputError unless two axes are left."""
    sides = list(shape)
    while len(sides) > 2 and 1 in (sides[0], sides[-1]):
        sides.pop(0 if sides[0] == 1 else -1)
    if len(sides) != 2 or 0 in sides:
        raise InputError(
            f"{name} holds an array of shape {shortened(shape)}; a depth map is one plane (height, width) of numbers."
        )
    return sides[0], sides[1]


def write_plane(path: Path, plane: Plane, kind: str) -> dict[str, float]:
    """Write float32 numbers of `kind` in the format of `path`'s suffix.

    Returns the values that its sidecar needs to decode them: scale, offset and unknown of a 16-bit PNG, none for the
    others. Raises InputError for a suffix of no depth format.
    """
    match path.suffix.lower():
        case ".npy":
            np.save(path, plane)
        case ".npz":
            arrays: dict[str, Any] = {kind: plane}
            np.savez_compressed(path, **arrays)
        case (
            ".exr"
        ):  # one 32-bit channel: Z for depth, Y (shown as grey by viewers) for numbers that grow with nearness
            import OpenEXR

            header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
            with path.open("wb") as file:  # OpenEXR takes no path outside UTF-8
                OpenEXR.File(header, {"Z" if kind == "depth" else "Y": np.ascontiguousarray(plane)}).write(file)
        case ".pfm":  # rows from the bottom up; a negative scale means little-endian
            height, width = plane.shape
            path.write_bytes(f"Pf\n{width} {height}\n-1.0\n".encode() + plane[::-1].astype("<f4").tobytes())
        case ".png":  # linear between the smallest and the largest known value
            import cv2

            known = np.isfinite(plane)
            low, high = (float(plane[known].min()), float(plane[known].max())) if known.any() else (0.0, 0.0)
            scale = (high - low) / STEPS or 1.0
            codes = np.where(known, np.round((np.where(known, plane, low) - low) / scale) + 1, 0)
            good, data = cv2.imencode(".png", codes.astype(np.uint16))
            if not good:
                raise RuntimeError(f"OpenCV could not encode {path.name}")
            path.write_bytes(data.tobytes())
            return {"scale": scale, "offset": low - scale, "unknown": 0.0}
        case _:
            raise unknown_name("depth format", path.suffix, SUFFIXES)
    return {}


def _opened_exr(path: Path, **how: bool) -> Any:
    """Return OpenEXR's File. It is opened here, since OpenEXR takes no path outside UTF-8."""
    import OpenEXR

    with path.open("rb") as file:
        return OpenEXR.File(file, **how)


def exr_planes(path: Path, most_megapixels: float = MOST_MEGAPIXELS) -> dict[str, NDArray[np.float32]]:
    """Return every channel of an EXR file by its name, at the size of the picture, NaN where a cropped file is empty.

    A channel with the same name as one of an earlier part is named after its part. Raises InputError for a damaged
    file.
    """
    with _decoding(path):
        parts = _opened_exr(path, header_only=True).parts
        numbers = sum(math.prod(_window(part.header, "dataWindow")) * len(part.header["channels"]) for part in parts)
        _check_size(path, (numbers,), LAYERS * most_megapixels)
        _check_size(path, _window(parts[0].header, "displayWindow"), most_megapixels)
        planes: dict[str, NDArray[np.float32]] = {}
        for part in _opened_exr(path, separate_channels=True).parts:
            for name, channel in part.channels.items():
                plane = _uncropped(np.asarray(channel.pixels, np.float32), part.header)
                planes[f"{part.name()}.{name}" if name in planes else name] = plane
    return planes


def _read_npy(path: Path, most_megapixels: float = MOST_MEGAPIXELS) -> tuple[NDArray[Any], str | None]:
    with _decoding(path), path.open("rb") as file:
        npy_shape(path, file, most_megapixels)
        file.seek(0)
        return np.lib.format.read_array(file, allow_pickle=False), None


def npy_shape(path: Path, file: BinaryIO, most_megapixels: float = math.inf) -> tuple[int, ...]:
    """Return the shape that the header of an open .npy announces, after checking that its numbers are there, and
    nothing else. Raises ValueError otherwise."""
    shape, dtype = _npy_header(file)
    _check_size(path, shape, most_megapixels)
    start, needed = file.tell(), math.prod(shape) * dtype.itemsize
    if path.stat().st_size - start < needed:
        raise ValueError("it ends before its numbers do")
    file.seek(needed, os.SEEK_CUR)
    _check_end(file, shape)
    file.seek(start)
    return shape


def _check_end(file: Any, shape: tuple[int, ...]) -> None:
    """Raise ValueError if more than the end of a line follows in an open file, whose numbers have been passed."""
    rest, more = file.read(SPARE), 0
    while block := file.read(1 << 20):
        more += len(block)
    if more or rest.strip():
        size = "x".join(map(str, shape[::-1]))
        raise ValueError(
            f"it is longer than {size} numbers, by {len(rest) + more} bytes; was it written in text mode, or with "
            "another width or height?"
        )


def _npy_header(file: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return the shape and type that the header of a .npy declares. Raises ValueError if they are not of numbers.

    `file`, open for reading bytes, is left at the first number.
    """
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError("it holds no plain numbers")
    headers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    try:
        shape, _, dtype = headers[version](file)
    except Exception as error:  # numpy parses the header as Python, and Python's parser raises many kinds of errors
        raise ValueError(f"its header cannot be read: {error}") from None
    if dtype.kind not in "biuf" or not all(0 <= side < 2**40 for side in shape):
        raise ValueError(f"it holds {dtype} of shape {shape}")
    return shape, dtype


def _read_npz(path: Path, most_megapixels: float = MOST_MEGAPIXELS) -> tuple[NDArray[Any], str | None]:
    with _decoding(path), zipfile.ZipFile(path) as box:
        member, kind = _npz_member(path, box)
        with box.open(member) as file:
            shape, _ = _npy_header(file)
        _check_size(path, shape, most_megapixels)
        with box.open(member) as file:
            array = np.lib.format.read_array(file, allow_pickle=False)
            _check_end(file, shape)
            return array, kind


def _npz_member(path: Path, box: zipfile.ZipFile) -> tuple[str, str | None]:
    """Return the name of the array that is named after a kind (else of the only array), and that kind."""
    names = {info.filename.removesuffix(".npy"): info for info in box.infolist()}
    kinds = [name for name in names if name in KINDS]
    if len(kinds) != 1 and (kinds or len(names) != 1):
        held = shortened(", ".join(names) or "nothing")
        raise InputError(f"{path} holds {held}; exactly one array named {', '.join(KINDS)} is needed.")
    member = names[kinds[0]] if kinds else next(iter(names.values()))
    # The others decompress all data, however large, before the first number can be read.
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError("its arrays are compressed by a method that numpy does not write")
    return member.filename, kinds[0] if kinds else None


def _read_png(path: Path, most_megapixels: float = MOST_MEGAPIXELS) -> tuple[NDArray[Any], str | None]:
    """Return the counts of a grey 16-bit PNG, upright as its picture is: EXIF orientation turns both."""
    import cv2

    with _decoding(path):
        data = path.read_bytes()
        header = _png_header(path, data)
        _check_size(path, header.size, most_megapixels)
        array = by_opencv(path, data, header, cv2.IMREAD_UNCHANGED)
    if array.dtype != np.uint16 or array.ndim != 2:
        raise InputError(f"{path} is a picture, not depth: depth in PNG is grey with 16 bits; give the .npy beside it.")
    moving = data.find(b"acTL", 0, data.find(b"IDAT"))  # the chunk of animations, with their number of frames
    if moving > 0 and (count := int.from_bytes(data[moving + 4 : moving + 8], "big")) > 1:
        LOG.warning("%s has %d frames; the first is used.", path.name, count)
    return array, None


def _png_header(path: Path, data: bytes | None = None) -> Header:
    header = read_unlimited_header(path, data)
    if header.format != "PNG":
        raise ValueError(f"it is a {header.format}")
    return header


def _read_exr(path: Path, most_megapixels: float = MOST_MEGAPIXELS) -> tuple[NDArray[Any], str | None]:
    """Return the channel named Z or depth as renderers name it ("ViewLayer.Depth.Z", "depth"), else the only one.

    Renderers also write depth as a grey picture: three equal channels, with or without opacity, are depth too.
    """
    planes = exr_planes(path, most_megapixels)
    headers = [part.header for part in _opened_exr(path, header_only=True).parts]
    views = [view for header in headers for view in (header.get("name"), *header.get("multiView", ()))]
    twins = {f"{view}.Z" for view in views} if "Z" in planes else set()  # of other views and parts
    depth = {name: plane for name, plane in planes.items() if _is_depth(name) or name in twins}
    grey = {name: plane for name, plane in planes.items() if name != "A" or len(planes) == 1}
    chosen = (
        {name: planes[name] for name in ("Z", *sorted(twins)) if name in planes} if "Z" in planes else depth or grey
    )
    if not chosen:
        raise InputError(f"{path} has no channels; {ONE_CHANNEL}.")
    first, *others = chosen.values()
    if not all(np.array_equal(plane, first, equal_nan=True) for plane in others):
        names = shortened(", ".join(chosen))
        why = "depth of several views; write one file for each" if twins & set(chosen) else ONE_CHANNEL
        likely = next((f" (is {name} the depth?)" for name in chosen if LIKELY.search(name)), "")
        raise InputError(f"{path} has channels {names}{likely}; {why}.")
    return first, "depth" if depth or len(chosen) == 3 else None


def _is_depth(name: str) -> bool:
    """Return whether a channel's name means depth: "Z", "Pz", "ViewLayer.Depth.Z", "Depth.V", but not "Normal.Z"."""
    *layers, last = name.lower().split(".")
    if last in DEPTH_NAMES[1:] or (not layers and last == "z"):
        return True
    return bool(layers) and layers[-1] in DEPTH_NAMES and last in ("z", "v", "y", "r", "g", "b")


def _window(header: dict[str, Any], name: str) -> tuple[int, int]:
    """Return (height, width) of a window of an EXR, whose corners are both inside."""
    low, high = (np.asarray(corner, np.int64) for corner in header[name])
    width, height = (int(side) for side in high - low + 1)
    return height, width


def _uncropped(plane: NDArray[np.float32], header: dict[str, Any]) -> NDArray[np.float32]:
    """Return the plane of the data window at its place in the display window, which is the picture."""
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


def _read_pfm(path: Path, most_megapixels: float = MOST_MEGAPIXELS) -> tuple[NDArray[Any], str | None]:
    """Return the numbers of a portable float map, whose rows run from the bottom up; one in colour must be grey."""
    with _decoding(path), path.open("rb") as file:
        shape, scale, start, gap = _pfm_header(file.read(MOST_HEADER))
        _check_size(path, shape, most_megapixels)
        needed = 4 * math.prod(shape)
        spare = path.stat().st_size - start - needed
        if spare < 1:
            raise ValueError("it ends before its last number")
        # The end of a line ends the header, or one white-space character; where neither leaves just the numbers, all
        # that is white before them does, which may be some of theirs.
        natural = _END_OF_HEADER.match(gap)
        assert natural is not None
        length = min(natural.end(), spare)
        if spare - length > SPARE and spare <= len(gap):
            length = spare
        file.seek(start + length)
        plane = np.frombuffer(file.read(needed), "<f4" if scale < 0 else ">f4").reshape(shape)
        _check_end(file, shape)
    if plane.ndim == 3:
        if not all(np.array_equal(plane[..., k], plane[..., 0], equal_nan=True) for k in (1, 2)):
            raise InputError(f"{path} is a picture in colour, not depth; give a grey map (its first letters are Pf).")
        plane = plane[..., 0]
    return plane[::-1].astype(np.float32), None


def _pfm_header(head: bytes) -> tuple[tuple[int, ...], float, int, bytes]:
    """Return shape, scale (its sign is the byte order), and start and content of the header's last white space."""
    match = _PFM.match(head)
    if match is None:
        raise ValueError("its header is not Pf, width, height and scale")
    magic, *words, gap = match.groups()
    if not all(word.isdigit() and len(word) < 10 and int(word) for word in words[:2]):
        raise ValueError(f"its width and height are {words[0][:20]!r} and {words[1][:20]!r}")
    width, height, scale = int(words[0]), int(words[1]), float(words[2])
    if not math.isfinite(scale) or scale == 0:
        raise ValueError(f"its scale is {scale:g}")
    return ((height, width) if magic == b"Pf" else (height, width, 3)), scale, match.start(5), gap


_READERS: dict[str, Reader] = dict(zip(SUFFIXES, (_read_npy, _read_npz, _read_png, _read_exr, _read_pfm), strict=True))


def _check_suffix(path: Path) -> None:
    if not os.path.exists(path):  # which accepts any name, even one too long for the disk
        raise InputError(f"there is no depth file {shortened(path)}; check the path.")
    refuse_unreadable(path)
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path} is not a depth file: give {', '.join(SUFFIXES)} (a 16-bit .png needs its sidecar).")


def _check_size(path: Path, shape: tuple[int, ...], most_megapixels: float) -> None:
    if math.prod(shape) == 0:
        raise InputError(f"{path} holds no numbers (its shape is {shape}); write the depth file again.")
    if not math.prod(shape) <= most_megapixels * 1e6:
        size = "x".join(map(str, shape[::-1]))
        raise InputError(
            f"{path} is {size} ({math.prod(shape) / 1e6:.3g} million numbers), the limit is {most_megapixels:g}; "
            "shrink it, or raise the limit with --max-megapixels."
        )


@contextmanager
def _decoding(path: Path) -> Iterator[None]:
    """Raise an InputError for any error of a decoder, as for a damaged file."""
    refuse_unreadable(path)
    try:
        yield
    except (InputError, MemoryError):
        raise
    except Exception as error:  # zipfile, zlib, lzma, numpy and OpenEXR have no common base
        why = shortened(" ".join(str(error).split()) or type(error).__name__)
        raise InputError(f"{path} is damaged or no {path.suffix} file ({why}); write the depth file again.") from None
