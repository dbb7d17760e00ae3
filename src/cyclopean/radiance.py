"""Pictures of high dynamic range in Radiance's format (.hdr), as most panoramas for lighting come, made viewable."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt16

from cyclopean.colourspace import srgb
from cyclopean.errors import InputError

SUFFIX = ".hdr"
MARKS = (b"#?RADIANCE", b"#?RGBE")
RESOLUTION = re.compile(rb"([-+][YX]) +(\d{1,9}) +([-+][YX]) +(\d{1,9})\s*")
EMPTY_LINE = re.compile(rb"\n\r?\n")
HEADER = 65_536  # bytes in which the line of the resolution stands
USUAL = (b"-Y", b"+X")  # rows from the top, columns from the left
GREY = 0.18  # of white: what a picture's logarithmic mean is exposed to
BRIGHTEST = 0.99  # of the pixels are darker than what becomes white
LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)  # of linear red, green, blue (BT.709)

Light = Float[np.ndarray, "h w 3"]


def recognised(path: Path) -> bool:
    """Whether the file begins as Radiance's do; one that cannot be opened does not."""
    try:
        with path.open("rb") as file:
            return file.read(16).startswith(MARKS)
    except OSError:
        return False


def size(path: Path) -> tuple[int, int]:
    """Width and height, from the header alone."""
    with path.open("rb") as file:
        return _header(path, file.read(HEADER)).size


def read(path: Path) -> UInt16[np.ndarray, "h w 3"]:
    """The picture in sRGB with 16 bits, upright, exposed as `viewable` does."""
    import cv2

    data = path.read_bytes()
    header = _header(path, data[:HEADER])
    # The decoder sees a header with the one size that was checked, and lines as they are stored.
    usual = b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y %d +X %d\n" % header.lines
    bgr = cv2.imdecode(np.frombuffer(usual + data[header.end :], np.uint8), cv2.IMREAD_ANYDEPTH | cv2.IMREAD_COLOR)
    if bgr is None or bgr.shape[:2] != header.lines:
        raise InputError(f"{path} is damaged or cut short; give a whole file.")
    return np.round(viewable(header.upright(bgr[..., ::-1])) * 65535).astype(np.uint16)


@dataclass(frozen=True)
class Header:
    """How a file's pixels are stored: `axes` such as (b"-Y", b"+X"), the number of `lines` and of pixels in each, and
    where they begin."""

    axes: tuple[bytes, bytes]
    lines: tuple[int, int]
    end: int

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the picture."""
        return (self.lines[1], self.lines[0]) if self.axes[0][1:] == b"Y" else self.lines

    def upright(self, pixels: Light) -> Float[np.ndarray, "_ _ 3"]:
        """The picture of lines as they are stored: rows from the top (-Y), columns from the left (+X)."""
        flipped = pixels[:: 1 if self.axes[0] in USUAL else -1, :: 1 if self.axes[1] in USUAL else -1]
        return flipped if self.axes[0][1:] == b"Y" else flipped.transpose(1, 0, 2)


def _header(path: Path, data: bytes) -> Header:
    """By Radiance's rules: lines of text, whatever they look like, an empty one, the line of the resolution."""
    blank = EMPTY_LINE.search(data)
    end = data.find(b"\n", blank.end()) if blank else -1
    found = RESOLUTION.fullmatch(data[blank.end() : end]) if blank and end > 0 else None
    if blank is None or found is None or found[1][1:] == found[3][1:]:
        raise InputError(f"{path} is damaged or cut short (its size is missing); give a whole file.")
    if b"FORMAT=32-bit_rle_xyze" in data[: blank.start()]:
        raise InputError(f"{path} stores CIE XYZ colours (32-bit_rle_xyze); save it as RGBE.")
    return Header((found[1], found[3]), (int(found[2]), int(found[4])), end + 1)


def viewable(light: Light) -> Light:
    """sRGB in [0,1] of linear light: the global curve of Reinhard et al. 2002, eq. 4, for each colour."""
    luminance = np.maximum(light, 0) @ LUMINANCE
    lit = luminance[luminance > 0]
    exposed = np.maximum(light, 0) * (GREY / np.exp(np.log(lit).mean()) if lit.size else 1)
    white = max(float(np.quantile(exposed @ LUMINANCE, BRIGHTEST)), 1.0)
    shown = np.clip(exposed * (1 + exposed / white**2) / (1 + exposed), 0, 1)
    return srgb(shown).astype(np.float32)
