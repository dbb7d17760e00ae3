"""Stereo pairs in one file: MPO, two JPEGs with an index (CIPA DC-007, Multi-Picture Format)."""

import struct
import tempfile
from pathlib import Path

from cyclopean.errors import InputError
from cyclopean.io.image import Photo, write_photo

DISPARITY = 0x020002  # type of a picture: one of several that show the same from places beside each other
REPRESENTATIVE = 1 << 29
VERSION = (0xB000, 7, 4, b"0100")
LONG, UNDEFINED = 4, 7  # types of a tag


def write_mpo(path: Path, left: Photo, right: Photo) -> None:
    """Write a pair to one file, the left eye's picture first; what reads JPEGs alone shows that one."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / name for name in ("left.jpg", "right.jpg")]
        for file, photo in zip(files, (left, right), strict=True):
            write_photo(file, photo)
        first, second = (file.read_bytes() for file in files)
    second = _with_segment(second, _segment([], _attributes(2)))
    # The index of the first file holds sizes and places that depend on its own length, not on its content.
    length = len(_with_segment(first, _segment(_index(0, 0, 0), _attributes(1))))
    header = _place(first) + 8  # behind the marker, its length and "MPF\0"; places are counted from here
    path.write_bytes(
        _with_segment(first, _segment(_index(length, len(second), length - header), _attributes(1))) + second
    )


Tag = tuple[int, int, int, bytes]  # number, type, count, value


def _index(first: int, second: int, place: int) -> list[Tag]:
    """Return the tags of the index: sizes of both files, and the place of the second."""
    entries = struct.pack("<IIIHH", REPRESENTATIVE | DISPARITY, first, 0, 0, 0)
    entries += struct.pack("<IIIHH", DISPARITY, second, place, 0, 0)
    return [VERSION, (0xB001, LONG, 1, struct.pack("<I", 2)), (0xB002, UNDEFINED, len(entries), entries)]


def _attributes(number: int) -> list[Tag]:
    """Return the tags of one picture: its number, from the left, and that of the first point of view."""
    tags: list[Tag] = [(0xB101, LONG, 1, struct.pack("<I", number)), (0xB204, LONG, 1, struct.pack("<I", 1))]
    return tags if number == 1 else [VERSION, *tags]


def _segment(*directories: list[Tag]) -> bytes:
    """Return the APP2 segment of directories, each pointing to the next; empty ones are left out."""
    content, filled = b"II*\0" + struct.pack("<I", 8), [tags for tags in directories if tags]
    for k, tags in enumerate(filled):
        start = len(content)
        end = start + 2 + 12 * len(tags) + 4
        head, tail = struct.pack("<H", len(tags)), b""
        for number, kind, count, value in tags:
            inline = value.ljust(4, b"\0") if len(value) <= 4 else struct.pack("<I", end + len(tail))
            tail += value if len(value) > 4 else b""
            head += struct.pack("<HHI", number, kind, count) + inline
        following = end + len(tail) if k + 1 < len(filled) else 0
        content += head + struct.pack("<I", following) + tail
    body = b"MPF\0" + content
    return b"\xff\xe2" + struct.pack(">H", len(body) + 2) + body


def _with_segment(jpeg: bytes, segment: bytes) -> bytes:
    place = _place(jpeg)
    return jpeg[:place] + segment + jpeg[place:]


def _place(jpeg: bytes) -> int:
    """Return where the segment goes: behind JFIF's and Exif's, APP0 and APP1."""
    place = 2
    while jpeg[place : place + 2] in (b"\xff\xe0", b"\xff\xe1"):
        place += 2 + int.from_bytes(jpeg[place + 2 : place + 4], "big")
    if jpeg[:2] != b"\xff\xd8" or jpeg[place : place + 1] != b"\xff":
        raise InputError("the encoder wrote something else than a JPEG; write sbs instead of mpo.")
    return place
