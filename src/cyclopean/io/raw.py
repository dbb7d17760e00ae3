"""Raw files of cameras: which files are, and their pictures, developed by LibRaw (extra `raw`)."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import UInt16

from cyclopean.errors import InputError, lacks_memory
from cyclopean.io import tiff

# First bytes of raw files that are not TIFF: Canon (two), Fujifilm, Olympus (three), Panasonic, Sigma, Minolta.
RAW_MARKS = (
    *(b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FOVb", b"\0MRM"),
    b"II\x1a\0\0\0HEAPCCDR",
)

CheckSize = Callable[[tuple[int, int]], None]


def is_raw(head: bytes) -> bool:
    """Return whether a file that begins with these 16 bytes is a camera's raw file; of TIFFs only those of Canon and
    Phase One are."""
    if head.startswith(tiff.MARKS):
        return head[8:10] == b"CR" or (head[8:12] == b"IIII" and head[13:] == b"waR") or head[8:15] == b"MMMMRaw"
    return head.startswith(RAW_MARKS) or head[4:12] == b"ftypcrx "


def develop(path: Path, check: CheckSize) -> UInt16[np.ndarray, "h w 3"]:
    """Return a raw file's picture in sRGB, upright. `check` is called with (width, height) before it is decoded.

    Raises InputError without the extra `raw`, and for files that LibRaw does not support.
    """
    try:
        import rawpy
    except ImportError:
        raise InputError(
            f"{path} is a camera's raw file, which needs another package: pip install 'cyclopean[raw]'; or give the "
            "JPEG or TIFF that was developed from it."
        ) from None
    try:
        with rawpy.imread(str(path)) as raw:
            check((raw.sizes.width, raw.sizes.height))
            return raw.postprocess(use_camera_wb=True, output_bps=16, gamma=(2.4, 12.92))
    except InputError:
        raise
    except Exception as error:  # LibRaw has a class for each of its errors
        if lacks_memory(error):
            raise
        words = error.args[0] if error.args else ""
        why = words.decode(errors="replace") if isinstance(words, bytes) else str(words)
        raise InputError(
            f"{path} is a camera's raw file that LibRaw does not develop ({why or type(error).__name__}); give the "
            "JPEG or TIFF that was developed from it."
        ) from None
