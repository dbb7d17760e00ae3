"""Pictures of high dynamic range in Radiance's format (.hdr), as most panoramas for lighting come, made viewable."""

import re
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt16

from cyclopean.errors import InputError

SUFFIX = ".hdr"
MARKS = (b"#?RADIANCE", b"#?RGBE")
RESOLUTION = re.compile(rb"^([-+][YX]) +(\d+) +([-+][YX]) +(\d+)$", re.MULTILINE)
HEADER = 4096  # bytes in which the line of the resolution stands
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
        found = RESOLUTION.search(file.read(HEADER))
    if found is None:
        raise InputError(f"{path} is damaged or cut short (its size is missing); give a whole file.")
    sides = {found[1][1:]: int(found[2]), found[3][1:]: int(found[4])}
    return sides.get(b"X", 0), sides.get(b"Y", 0)


def read(path: Path) -> UInt16[np.ndarray, "h w 3"]:
    """The picture in sRGB with 16 bits, exposed as `viewable` does."""
    import cv2

    bgr = cv2.imread(str(path), cv2.IMREAD_ANYDEPTH | cv2.IMREAD_COLOR)
    if bgr is None:
        raise InputError(f"{path} is damaged or cut short; give a whole file.")
    return np.round(viewable(bgr[..., ::-1]) * 65535).astype(np.uint16)


def viewable(light: Light) -> Light:
    """sRGB in [0,1] of linear light: the global curve of Reinhard et al. 2002, eq. 4, for each colour."""
    luminance = np.maximum(light, 0) @ LUMINANCE
    lit = luminance[luminance > 0]
    exposed = np.maximum(light, 0) * (GREY / np.exp(np.log(lit).mean()) if lit.size else 1)
    white = max(float(np.quantile(exposed @ LUMINANCE, BRIGHTEST)), 1.0)
    shown = np.clip(exposed * (1 + exposed / white**2) / (1 + exposed), 0, 1)
    return np.where(shown <= 0.0031308, 12.92 * shown, 1.055 * shown ** (1 / 2.4) - 0.055).astype(np.float32)
