"""Colours of still pictures by what their files state: numbers of ITU-T H.273, gammas, profiles of bright light."""

import re
from contextlib import suppress
from pathlib import Path

from PIL import Image

from cyclopean.io import png
from cyclopean.io.colour import Coding, by_numbers
from cyclopean.io.heif_items import description, items_of
from cyclopean.io.profiles import high_dynamic_range

EXIF_ITEM = re.compile(rb"infe[\2\3].{3}(?P<item>.{2}|.{4})\0\0Exif", re.DOTALL)  # in the list of items
UNKNOWN = (2, 2)  # primaries and transfer
SEQUENCE_HEADER = 1  # of the units (OBU) of AV1


def coding_of(path: Path, picture: Image.Image, profile: bytes) -> Coding | None:
    """Return the coding of colours that a PNG (cICP, gAMA), HEIC or AVIF names beside or instead of a profile, or that
    the profile of a file of any kind has: PQ or HLG.

    None for sRGB. A profile takes precedence, except over high dynamic range, which profiles seldom describe, and a
    narrow range.
    """
    coding = None
    if picture.format == "PNG":
        coding = png.coding(path, picture)
    elif picture.format in ("HEIF", "AVIF"):
        nclx = picture.info.get("nclx_profile") or {}
        numbers = nclx.get("color_primaries", 2), nclx.get("transfer_characteristics", 2)
        coding = by_numbers(*(numbers if numbers != UNKNOWN else numbers_of(path.read_bytes())))
    if coding is not None and (coding.high_dynamic_range or coding.narrow or not profile):
        return coding
    return high_dynamic_range(profile)


def numbers_of(data: bytes) -> tuple[int, int]:
    """Return the numbers of primaries and transfer of the main picture of an AVIF or HEIC; `UNKNOWN` without them.

    They are those of its colour box (ISO/IEC 14496-12, nclx), else of its coded data (AV1, HEVC).
    """
    with suppress(Exception):  # of damaged boxes
        properties, content = description(data)
        for kind, body in properties:
            if kind == b"colr" and body[:4] == b"nclx":
                return int.from_bytes(body[4:6]), int.from_bytes(body[6:8])
        for kind, body in properties:
            if kind == b"hvcC":
                return _by_decoder("hevc", body)
            if kind == b"av1C":
                return _by_decoder("libdav1d", _sequence_header(body[4:]) or _sequence_header(content))
    return UNKNOWN


def avif_exif(data: bytes) -> bytes:
    """Return the EXIF of an AVIF as it is stored, from its TIFF header on; none where it has none."""
    with suppress(Exception):  # of damaged boxes
        items = items_of(data)
        found = next((item for item, kind in items.kinds.items() if kind == b"Exif"), None)
        if found is not None:
            source = items.content(found)
            return source[4 + int.from_bytes(source[:4]) :]  # ISO/IEC 23008-12, A.2.1: the place of the header
    return b""


def without_avif_exif(data: bytes) -> bytes:
    """Return an AVIF in which nothing is called EXIF any more."""
    return EXIF_ITEM.sub(lambda found: found[0][:-4] + b"skip", data)


def _sequence_header(data: bytes) -> bytes:
    """Return the first sequence header of AV1 in `data` (AV1 specification, 5.3); none if there is not one."""
    at = 0
    while at < len(data):
        start, head = at, data[at]
        at += 2 if head & 4 else 1
        size = shift = 0
        while head & 2:
            size |= (data[at] & 127) << shift
            shift, at = shift + 7, at + 1
            if data[at - 1] < 128:
                break
        end = at + size if head & 2 else len(data)
        if head >> 3 & 15 == SEQUENCE_HEADER:
            return data[start:end]
        at = end
    return b""


def _by_decoder(name: str, header: bytes) -> tuple[int, int]:
    """Return the numbers that a decoder of FFmpeg finds in a header, with no picture decoded."""
    import av

    decoder = av.CodecContext.create(name, "r")
    decoder.extradata = header
    decoder.open()
    return int(decoder.color_primaries), int(decoder.color_trc)  # type: ignore[attr-defined]
