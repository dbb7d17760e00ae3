"""JPEG 2000 of more than 8 bits per channel, whose brightest colours Pillow turns to black (ISO/IEC 15444-1)."""

import re
import struct
from pathlib import Path

import numpy as np
from jaxtyping import UInt16

from cyclopean.errors import InputError
from cyclopean.io import opencv

START = b"\xff\x4f\xff\x51"  # of a code stream: the markers SOC and SIZ
SIZES = struct.Struct(">HH8IH")  # of SIZ: its length, profile, eight sides of picture and tiles, number of components
COLOUR_SPACE = re.compile(rb"colr\x01..(.{4})", re.DOTALL)  # a box that names one by its number:
SRGB, GREY = 16, 17


def components(data: bytes) -> bytes:
    """Return Ssiz of each component: its bits - 1, and 128 more if signed; none for a file without a whole header."""
    at = data.find(START) + len(START)
    if at < len(START) or at + SIZES.size > len(data):
        return b""
    count, start = SIZES.unpack_from(data, at)[-1], at + SIZES.size
    return data[start : start + 3 * count : 3]


def bits(data: bytes) -> int:
    """Return the bits of the component with the most; 0 where the file does not state them."""
    return max(((size & 127) + 1 for size in components(data)), default=0)


def channels(path: Path, data: bytes, size: tuple[int, int]) -> UInt16[np.ndarray, "h w c"]:
    """Return grey or RGB, and alpha, scaled to 16 bits, from the bytes of a file of `size` (width, height).

    Raises InputError with the reason for components that differ, are signed, too deep or not RGB, or that OpenCV cannot
    decode.
    """
    parts, most = components(data), bits(data)
    coded = COLOUR_SPACE.search(data[: data.find(START)])
    if len({size & 127 for size in parts}) > 1:
        why = "with another number of bits in each channel"
    elif any(size & 128 for size in parts):
        why = "of signed numbers"
    elif most > 16:
        why = f"of {most} bits per channel"
    elif coded and int.from_bytes(coded[1], "big") not in (SRGB, GREY):
        why = f"of {most} bits whose colours are of another kind than RGB and grey"
    else:
        why = f"of {most} bits in {len(parts)} channels that cannot be decoded"
        array = opencv.decoded(data)
        if array is not None and array.dtype == np.uint16 and array.shape[1::-1] == size:
            array = array[..., None] if array.ndim == 2 else array
            array = array[..., [2, 1, 0, 3][: array.shape[-1]]] if array.shape[-1] >= 3 else array
            return np.round(array * np.float32(65535 / (2**most - 1))).astype(np.uint16)
    raise InputError(f"{path} is a JPEG 2000 {why}; save it as PNG or TIFF with 8 or 16 bits per channel.")
