"""Raw files of cameras, developed as the camera would: its white balance, upright, sRGB. They need the extra `raw`."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import UInt16

from cyclopean.errors import InputError, lacks_memory
from cyclopean.files import RAWS

# How files begin that are no TIFF: Canon (two), Fujifilm, Olympus (three), Panasonic, Sigma, Minolta.
MARKS = (
    *(b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FOVb", b"\0MRM"),
    b"II\x1a\0\0\0HEAPCCDR",
)
CR2 = 8, b"CR"  # where a TIFF of Canon says that it is raw


def recognised(head: bytes) -> bool:
    """Return whether a file that begins with these bytes (16 or more) is raw; those that look like TIFF are not."""
    return head.startswith(MARKS) or head[4:12] == b"ftypcrx " or (head[:2] == b"II" and head[8:10] == CR2[1])


def named(path: Path) -> bool:
    """Return whether the suffix is one of raw files."""
    return path.suffix.lower() in RAWS


def develop(path: Path, refuse_size: Callable[[tuple[int, int]], None]) -> UInt16[np.ndarray, "h w 3"]:
    """Return the picture in sRGB, upright. `refuse_size` is called with (width, height) before anything is decoded.

    Raises InputError without the extra, and for what LibRaw does not know.
    """
    try:
        import rawpy
    except ImportError:
        raise InputError(
            f"{path} is a camera's raw file, which needs one package more: pip install 'cyclopean[raw]'; or give the "
            "JPEG or TIFF that was developed from it."
        ) from None
    try:
        with rawpy.imread(str(path)) as raw:
            refuse_size((raw.sizes.width, raw.sizes.height))
            return raw.postprocess(use_camera_wb=True, output_bps=16, gamma=(2.4, 12.92))
    except InputError:
        raise
    except Exception as error:  # LibRaw has a class for each of its errors
        if lacks_memory(error):
            raise
        said = error.args[0] if error.args else ""
        why = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
        raise InputError(
            f"{path} is a camera's raw file that LibRaw does not develop ({why or type(error).__name__}); give the "
            "JPEG or TIFF that was developed from it."
        ) from None
