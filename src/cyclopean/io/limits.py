"""Checks of picture files before anything is decoded: their size, and whether JPEG and PNG are whole."""

import os
from decimal import Decimal
from io import BufferedReader, BytesIO
from pathlib import Path

from cyclopean.errors import InputError
from cyclopean.io.files import refuse_unreadable

MOST_MEGAPIXELS = 120.0  # of a photo, a picture of a data set and a frame, unless the caller has another limit
LEAST_SIDE = 16  # pixels
SHRINK = "shrink it, or raise the limit with --max-megapixels"

PNG = b"\x89PNG\r\n\x1a\n"
START_OF_IMAGE, START_OF_SCAN, END_OF_IMAGE = b"\xff\xd8", b"\xff\xda", b"\xff\xd9"  # markers of JPEG


def check_size(
    path: Path, size: tuple[int, int], most_megapixels: float = MOST_MEGAPIXELS, *, kind: str = "a photo needs",
    limit: str = "the limit is", remedy: str = SHRINK,
) -> None:  # fmt: skip
    """Raise InputError unless `size` (height, width) is at most `most_megapixels` and at least 16 on each side."""
    if excess := above(size, most_megapixels, limit):
        raise InputError(f"{path} is {excess}; {remedy}.")
    if min(size) < LEAST_SIDE:
        raise InputError(f"{path} is {size[1]}x{size[0]} pixels; {kind} at least {LEAST_SIDE} on each side.")


def above(size: tuple[int, int], most_megapixels: float, limit: str = "the limit is") -> str:
    """Return the words on a `size` (height, width) of more than `most_megapixels`, of which it and the limit differ;
    "" for a size within them."""
    height, width = size
    megapixels = width * height / 1e6
    if megapixels <= most_megapixels:  # a limit of NaN allows nothing
        return ""
    most = _written(most_megapixels, 6)
    figure = next(text for n in (3, 6, 17) if (text := _written(megapixels, n)) != most or n == 17)
    return f"{width}x{height} ({figure} megapixels), {limit} {most}"


def _written(figure: float, digits: int) -> str:
    """Return a figure of so many digits as people write it: 10000, not 1e+04."""
    return f"{Decimal(f'{figure:.{digits}g}'):f}".lower()  # nan


def read_whole(path: Path) -> bytes:
    """Return the bytes of a picture file. Raises InputError for a JPEG or PNG that is cut short.

    Decoders fill what is missing with grey and report nothing.
    """
    refuse_unreadable(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be opened ({error.strerror}).") from error
    check_whole(path, BytesIO(data))
    return data


def check_whole(path: Path, file: BufferedReader | BytesIO) -> None:
    """Raise InputError if a JPEG or PNG lacks its end; other files pass."""
    head = file.read(8)
    file.seek(max(0, file.seek(0, os.SEEK_END) - 4096))
    tail = file.read()
    if head == PNG:
        cut = b"IEND" not in tail
    elif head.startswith(START_OF_IMAGE) and not tail.rstrip(b"\0").endswith(END_OF_IMAGE):
        file.seek(0)  # something follows the picture, or it has no end
        data = file.read()
        cut = data.rfind(END_OF_IMAGE) < max(
            0, data.rfind(START_OF_SCAN)
        )  # of the last scan: thumbnails have their own
    else:
        cut = False
    if cut:
        raise InputError(f"{path} is truncated; replace or remove it.")


def register_heif() -> None:
    """Register HEIC with Pillow."""
    import pillow_heif

    pillow_heif.register_heif_opener()
