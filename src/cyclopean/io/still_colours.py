"""Colours of still pictures by what their files state: numbers of ITU-T H.273, gammas, profiles of bright light."""

import io
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from PIL import Image

from cyclopean.io import png
from cyclopean.io.colour import Coding, by_numbers
from cyclopean.io.profiles import high_dynamic_range

EXIF_ITEM = re.compile(rb"infe[\2\3].{3}(?P<item>.{2}|.{4})\0\0Exif", re.DOTALL)  # in the list of items
UNKNOWN = (2, 2)  # primaries and transfer
MOST_HEADER = 4096  # bytes of a picture in AV1 that hold its sequence header
SEQUENCE_HEADER = 1  # of the units (OBU) of AV1
SAMPLE_ENTRY = 78  # bytes of a track's description of pictures before its boxes
FULL_BOX = 4  # bytes of version and flags


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
        properties, content = (_of_track if data[8:12] == b"avis" else _of_main_item)(data)
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
        meta = _box(data, b"meta")[FULL_BOX:]
        found = EXIF_ITEM.search(_box(meta, b"iinf"))
        if found:
            inside, start = _place(_box(meta, b"iloc"), int.from_bytes(found["item"]))
            source = (_box(meta, b"idat") if inside else data)[start:]
            return source[4 + int.from_bytes(source[:4]) :]  # ISO/IEC 23008-12, A.2.1: the place of the header
    return b""


def without_avif_exif(data: bytes) -> bytes:
    """Return an AVIF in which nothing is called EXIF any more."""
    return EXIF_ITEM.sub(lambda found: found[0][:-4] + b"skip", data)


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield kind and content of the boxes in `data`."""
    at = 0
    while at + 8 <= len(data):
        size, kind, head = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8], 8
        if size == 1:
            size, head = int.from_bytes(data[at + 8 : at + 16]), 16
        size = len(data) - at if size == 0 else size
        if size < head:
            return
        yield kind, data[at + head : at + size]
        at += size


def _box(data: bytes, *path: bytes) -> bytes:
    """Return the content of the first box at a path of kinds. Raises StopIteration if there is none."""
    for name in path:
        data = next(body for kind, body in _boxes(data) if kind == name)
    return data


def _of_track(data: bytes) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Return the boxes that describe the first track of a sequence of pictures."""
    descriptions = _box(data, b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")
    (_, entry), *_ = _boxes(descriptions[FULL_BOX + 4 :])
    return list(_boxes(entry[SAMPLE_ENTRY:])), b""


def _of_main_item(data: bytes) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Return the properties of the main item, of its first part too where it is a grid, and its first bytes."""
    meta = _box(data, b"meta")[FULL_BOX:]
    main = _box(meta, b"pitm")
    item = int.from_bytes(main[FULL_BOX : FULL_BOX + (4 if main[0] else 2)])
    every = list(_boxes(_box(meta, b"iprp", b"ipco")))
    of_items = _associations(_box(meta, b"iprp", b"ipma"))
    properties = [every[number - 1] for number in of_items.get(item, ()) if 0 < number <= len(every)]
    if not {b"av1C", b"hvcC"} & {kind for kind, _ in properties}:
        references = _box(meta, b"iref")
        wide = 4 if references[0] else 2
        for kind, body in _boxes(references[FULL_BOX:]):
            if kind == b"dimg" and int.from_bytes(body[:wide]) == item:
                item = int.from_bytes(body[wide + 2 : 2 * wide + 2])
                properties += [every[number - 1] for number in of_items.get(item, ()) if 0 < number <= len(every)]
                break
    inside, start = _place(_box(meta, b"iloc"), item)
    source = _box(meta, b"idat") if inside else data
    return properties, source[start : start + MOST_HEADER]


def _associations(body: bytes) -> dict[int, list[int]]:
    """Return the numbers, from 1, of the properties of each item (ipma)."""
    file, wide, mask = io.BytesIO(body[FULL_BOX:]), 4 if body[0] else 2, 0x7FFF if body[3] & 1 else 0x7F
    found: dict[int, list[int]] = {}
    for _ in range(int.from_bytes(file.read(4))):
        item = int.from_bytes(file.read(wide))
        count = int.from_bytes(file.read(1))
        found[item] = [int.from_bytes(file.read(2 if mask > 0x7F else 1)) & mask for _ in range(count)]
    return found


def _place(body: bytes, wanted: int) -> tuple[bool, int]:
    """Return whether an item is inside `idat`, and where its first bytes are (iloc)."""
    version, file = body[0], io.BytesIO(body[FULL_BOX:])

    def take(count: int) -> int:
        return int.from_bytes(file.read(count))

    sizes, more = take(1), take(1)
    for _ in range(take(4 if version == 2 else 2)):
        item = take(4 if version == 2 else 2)
        inside = bool(version) and take(2) & 15 == 1
        take(2)  # the file with the data: this one
        base = take(more >> 4)
        extents = []
        for _ in range(take(2)):
            take(more & 15 if version else 0)
            extents.append(take(sizes >> 4))
            take(sizes & 15)
        if item == wanted:
            return inside, base + extents[0]
    raise ValueError("an item without a place")


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
