"""BMP: what is rare in how a file is coded, and the opacity of those of 16 bits a pixel, which Pillow drops."""

import struct
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

INSIDE = {4: "with a JPEG inside", 5: "with a PNG inside"}  # by the number of the compression
MASKED = (3, 6)  # compressions of pixels whose bits masks assign to colours
HEAD = 70  # bytes up to the end of the masks
FIRST = 54  # place of the masks: red, green, blue, opacity
VERSION_3 = 56  # length of the first header with a mask of the opacity


def rare_kind(path: Path) -> str:
    """Return what is rare in how a BMP is coded: another file inside, or the bits of each colour. Empty for common BMPs
    and for other files."""
    with path.open("rb") as file:
        head = file.read(HEAD)
    if not head.startswith(b"BM") or len(head) < HEAD:
        return ""
    length, bits, packed = struct.unpack_from("<I10xHI", head, 14)
    if length < 40 or packed not in (*INSIDE, *MASKED):
        return ""
    masks = struct.unpack_from("<4I" if length >= VERSION_3 else "<3I", head, FIRST)
    counts = [str(mask.bit_count()) for mask in masks if mask]
    which = "red, green, blue and opacity" if len(counts) > 3 else "red, green and blue"
    return INSIDE.get(packed) or f"{bits} bits a pixel, {'-'.join(counts)} for {which}"


def opacity(data: bytes) -> UInt8[np.ndarray, "h w 1"] | None:
    """Return the opacity of a BMP of 16 bits a pixel, 0 to 255; None for those of other bits, or without opacity."""
    if len(data) < HEAD:
        return None
    start, length, width, height, bits, packed = struct.unpack_from("<IIii2xHI", data, 10)
    mask = struct.unpack_from("<I", data, FIRST + 12)[0] if length >= VERSION_3 else 0
    if bits != 16 or packed not in MASKED or not mask:
        return None
    rows = np.frombuffer(data, "<u2", abs(height) * -(-width // 2) * 2, start).reshape(abs(height), -1)[:, :width, None]
    values = (rows & mask) // (mask & -mask)
    return np.round(values * (255 / (mask // (mask & -mask)))).astype(np.uint8)[:: -1 if height > 0 else 1]
