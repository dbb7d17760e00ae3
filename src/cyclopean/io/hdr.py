"""Radiance's pictures of high dynamic range (.hdr): read upright, and converted to sRGB by a tone curve."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt16

from cyclopean.errors import InputError
from cyclopean.io.colour import srgb

MARKS = (b"#?RADIANCE", b"#?RGBE")
RESOLUTION = re.compile(rb"([-+][YX]) +(\d{1,9}) +([-+][YX]) +(\d{1,9})\s*")
EMPTY_LINE = re.compile(rb"\n\r?\n")
HEADER = 65_536  # bytes that contain the line with the resolution
USUAL = (b"-Y", b"+X")  # rows from the top, columns from the left
GREY = 0.18  # of white: exposure of a picture's logarithmic mean
BRIGHTEST = 0.99  # share of pixels that are darker than white
LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)  # of linear red, green, blue (BT.709)

Light = Float[np.ndarray, "h w 3"]


def size(path: Path) -> tuple[int, int]:
    """Return width and height, from the header alone."""
    with path.open("rb") as file:
        return _layout(path, file.read(HEADER)).size


def read(path: Path) -> UInt16[np.ndarray, "h w 3"]:
    """Return the picture in sRGB with 16 bits, upright, exposed as `viewable` does."""
    import cv2

    from cyclopean.io import opencv

    data = path.read_bytes()
    layout = _layout(path, data[:HEADER])
    # The decoder gets a header with the size that was checked, and lines as they are stored.
    usual = b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y %d +X %d\n" % layout.lines
    bgr = opencv.decoded(usual + data[layout.end :], cv2.IMREAD_ANYDEPTH | cv2.IMREAD_COLOR)
    if bgr is None or bgr.shape[:2] != layout.lines:
        raise InputError(f"{path} is damaged or cut short; give a whole file.")
    return np.round(viewable(layout.upright(bgr[..., ::-1])) * 65535).astype(np.uint16)


def viewable(light: Light) -> Light:
    """Return sRGB in [0,1] of linear light by the global curve of Reinhard et al. 2002, eq. 4, for each colour."""
    luminance = np.maximum(light, 0) @ LUMINANCE
    lit = luminance[luminance > 0]
    exposed = np.maximum(light, 0) * (GREY / np.exp(np.log(lit).mean()) if lit.size else 1)
    white = max(float(np.quantile(exposed @ LUMINANCE, BRIGHTEST)), 1.0)
    display = np.clip(exposed * (1 + exposed / white**2) / (1 + exposed), 0, 1)
    return srgb(display).astype(np.float32)


@dataclass(frozen=True)
class StorageOrder:
    """Storage order of a file's pixels: `axes` such as (b"-Y", b"+X"), the number of `lines` and of pixels in each, and
    the byte where they begin."""

    axes: tuple[bytes, bytes]
    lines: tuple[int, int]
    end: int

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the picture."""
        return (self.lines[1], self.lines[0]) if self.axes[0][1:] == b"Y" else self.lines

    def upright(self, pixels: Light) -> Float[np.ndarray, "_ _ 3"]:
        """Return stored lines as a picture: rows from the top (-Y), columns from the left (+X)."""
        flipped = pixels[:: 1 if self.axes[0] in USUAL else -1, :: 1 if self.axes[1] in USUAL else -1]
        return flipped if self.axes[0][1:] == b"Y" else flipped.transpose(1, 0, 2)


def _layout(path: Path, data: bytes) -> StorageOrder:
    """Parse a header: lines of text, an empty line, and the line with the resolution."""
    blank = EMPTY_LINE.search(data)
    end = data.find(b"\n", blank.end()) if blank else -1
    line = RESOLUTION.fullmatch(data[blank.end() : end]) if blank and end > 0 else None
    if blank is None or line is None or line[1][1:] == line[3][1:]:
        raise InputError(f"{path} is damaged or cut short (its size is missing); give a whole file.")
    if b"FORMAT=32-bit_rle_xyze" in data[: blank.start()]:
        raise InputError(f"{path} stores CIE XYZ colours (32-bit_rle_xyze); save it as RGBE.")
    return StorageOrder((line[1], line[3]), (int(line[2]), int(line[4])), end + 1)
