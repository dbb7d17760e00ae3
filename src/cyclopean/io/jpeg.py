"""JPEG: pixels that decode without complaint, and what is rare in how a file is coded."""

import re
from pathlib import Path

import numpy as np
import simplejpeg
from jaxtyping import UInt8

from cyclopean.errors import InputError
from cyclopean.io.limits import START_OF_IMAGE

FORMATS = ("JPEG", "MPO")  # Pillow's names
STORED = {"Gray": "GRAY", "CMYK": "CMYK", "YCCK": "CMYK"}  # by the colours of a file; of others three channels
HARMLESS = "tj"  # with which complaints of the interface itself begin
EXTRANEOUS = re.compile(r"Corrupt JPEG data: (\d+) extraneous .* 0xd9")
SCAN = re.compile(rb"(\xff\xda\0(?:\x08\x01..|\x0a\x02.{4}|\x0c\x03.{6}|\x0e\x04.{8}))...", re.DOTALL)  # its header
KEPT = {0xDB, 0xC4, 0xDD, 0xEE, *range(0xC0, 0xD0)}  # markers of what a picture needs: tables, frame, Adobe's colours
FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # markers of a frame's header, which has its size
MARKER = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")  # but zeros and restarts among coded bytes, and padding
NEXT = re.compile(rb"\0*\xff\xd8(?=\xff)")  # the start of a picture, after padding
FEW = 8  # bytes between the picture and its end that cameras leave there

JPEG_PROCESSES = {  # by the marker of its frame (ITU-T T.81, table B.1): those that few programs read
    **{0xC3: "lossless", 0xC5: "hierarchical", 0xC6: "hierarchical", 0xC7: "hierarchical, lossless"},
    **{0xC9: "arithmetic coding", 0xCA: "arithmetic coding", 0xCB: "lossless, arithmetic coding"},
    **{0xCD: "hierarchical, arithmetic coding", 0xCE: "hierarchical, arithmetic coding"},
    **{0xCF: "hierarchical, lossless, arithmetic coding", 0xDE: "hierarchical", 0xF7: "JPEG-LS"},
}


def decode(path: Path, data: bytes, colours: str) -> UInt8[np.ndarray, "h w c"] | None:
    """Return the pixels of the JPEG at `path`, whose bytes are `data`, as they are stored: grey has one channel, colour
    three in the order `colours` (RGB or BGR), CMYK four (Adobe's: 255 is no ink).

    They are bit-equal to OpenCV's and Pillow's, which decode damaged pictures in silence. None for odd subsampling and
    coding, which are left to another decoder. Raises InputError where libjpeg complains of damage.

    Of its complaints libjpeg tells the first alone, which may be of a header that some encoders write. So what it
    complains of is tried again without all that pixels do not need.
    """
    why = ""
    for prepared in (bytes, tidied):
        content = prepared(data)
        try:
            stored = STORED.get(simplejpeg.decode_jpeg_header(content, strict=False)[2], colours)
        except (ValueError, KeyError):  # the latter for colours that libjpeg does not know
            return None
        try:
            return simplejpeg.decode_jpeg(content, stored)
        except ValueError as error:
            why = str(error)
        few = EXTRANEOUS.fullmatch(why)
        if few and int(few[1]) <= FEW:
            return simplejpeg.decode_jpeg(content, stored, strict=False)
    if why.startswith(HARMLESS) or rare_kind(path):
        return None
    raise damaged(path, why)


def tidied(data: bytes) -> bytes:
    """Return a JPEG without comments, metadata and stray bytes before its pixels, with a usual version of JFIF and, if
    it is sequential, usual parameters of its scans: its pixels are the same."""
    parts, at, sequential = [START_OF_IMAGE], 2, False
    while 0 <= (at := data.find(b"\xff", at)) < len(data) - 4:
        kind, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4])
        if kind in (0x00, 0x01, 0xFF, *range(0xD0, 0xDA)):
            at += 1
            continue
        if kind == 0xDA:
            scans = data[at:]
            return b"".join(parts) + (SCAN.sub(b"\\1\0\x3f\0", scans) if sequential else scans)
        segment = data[at : at + 2 + length]
        if kind == 0xE0 and segment[4:9] == b"JFIF\0":
            parts.append(segment[:9] + b"\1\1" + segment[11:])
        elif kind in KEPT:
            parts.append(segment)
        sequential |= kind in (0xC0, 0xC1)
        at += 2 + length
    return data


def sizes(data: bytes) -> list[tuple[int, int]]:
    """Return (width, height) of each whole JPEG of those that stand one behind the other in a file; previews among
    metadata do not count."""
    result: list[tuple[int, int]] = []
    at = 0
    while start := NEXT.match(data, at):
        size, kind, at = (0, 0), 0, start.end()
        while kind != 0xD9:
            marker = MARKER.search(data, at)
            if marker is None:
                return result
            kind, at = marker[1][0], marker.end()
            if kind in FRAMES:
                size = int.from_bytes(data[at + 5 : at + 7]), int.from_bytes(data[at + 3 : at + 5])
            at += int.from_bytes(data[at : at + 2]) if kind not in (0x01, 0xD8, 0xD9) else 0
        result.append(size)
    return result


def damaged(path: Path, why: str) -> InputError:
    """Return the error of a picture that a decoder complains of."""
    return InputError(
        f"{path} is damaged or cut short ({why}); give a whole file, or save it anew in an editor that opens it."
    )


def rare_kind(path: Path) -> str:
    """Return what is rare in how a JPEG is coded: its process, or its bits per sample where they are not 8.

    Empty for common JPEGs, for those without a frame, and for other files.
    """
    with path.open("rb") as file:
        if file.read(2) != START_OF_IMAGE:
            return ""
        while head := file.read(1):
            if head != b"\xff":
                continue
            while (marker := file.read(1)) == b"\xff":
                pass
            kind = marker[0] if marker else 0xD9
            if kind in (0x00, 0x01, *range(0xD0, 0xD9)):
                continue
            if kind in (0xD9, 0xDA):
                return ""
            start, length = file.tell(), int.from_bytes(file.read(2))
            if kind in JPEG_PROCESSES or kind in (0xC0, 0xC1, 0xC2):
                bits = (file.read(1) or b"\x08")[0]
                deep = [f"{bits} bits a sample"] if bits != 8 and kind != 0xDE else []
                return ", ".join([*([JPEG_PROCESSES[kind]] if kind in JPEG_PROCESSES else []), *deep])
            file.seek(start + max(length, 2))
    return ""
