"""Clips that were cut short: what of them is in the file, by the sizes that their containers state."""

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

MOST_BOXES = 200_000  # of an MP4 that are searched
STREAMED = 0xFFFFFFF0  # bytes that a RIFF says it has when its writer could not know


class Beginning(io.FileIO):
    """The first `size` bytes of a file: FFmpeg gives up where the head of a fragment was cut, before whole ones."""

    def __init__(self, path: Path, size: int) -> None:
        super().__init__(path)
        self.size = size

    def read(self, count: int | None = -1, /) -> bytes | None:  # type: ignore[override]
        left = max(0, self.size - self.tell())
        return super().read(left if count is None or count < 0 else min(count, left))

    def seek(self, place: int, whence: int = 0, /) -> int:
        return super().seek(self.size + place) if whence == os.SEEK_END else super().seek(place, whence)


def parts(path: Path) -> Iterator[tuple[bytes, int, int]]:
    """Yield (kind, start, bytes beyond the end of the file) of the boxes of an MP4 or MOV, or of the chunks of an AVI.

    It ends at a size of 0 or below 8, which is to the end of the file, unknown, or nonsense.
    """
    end, order = path.stat().st_size, "big"
    with path.open("rb") as file:
        for _ in range(MOST_BOXES):
            if len(head := file.read(16)) < 8:
                return
            at, kind, size = file.tell() - len(head), head[4:8], head[:4]
            if head[:4] == b"RIFF":
                order, kind, size = "little", b"RIFF", head[4:8]
            length = int.from_bytes(size, order)  # type: ignore[arg-type]
            if kind == b"RIFF":
                length = 8 + length if 0 < length < STREAMED else 0
            elif length == 1:
                length = int.from_bytes(head[8:], "big")
            yield kind, at, max(at + length - end, 0)
            if length < 8 or at + length >= end:
                return
            file.seek(at + length)


def lost_bytes(path: Path) -> int:
    """Return by how many bytes the parts of an MP4, MOV, AVI, Matroska or WebM go on beyond the end of the file.

    The frames before it can be decoded, and nothing else may tell that the file was cut.
    """
    lost, kinds = 0, set()
    with path.open("rb") as file:
        if file.read(4) == b"\x1aE\xdf\xa3":  # EBML
            file.seek(_ebml_size(file) or 0, os.SEEK_CUR)
            if file.read(4) == b"\x18S\x80g" and (size := _ebml_size(file)) is not None:  # its only segment
                lost = file.tell() + size - path.stat().st_size
    for kind, _, beyond in parts(path):
        kinds.add(kind)
        if kinds & {b"RIFF", b"moof", b"moov"}:
            lost = max(lost, beyond)
    return max(lost, 0)


def ends_of_frames(stream: Any) -> list[int]:
    """Return where in the file each frame of a film ends; none where its container has no index of all frames."""
    if not stream.container.format.name.startswith("mov") or not stream.frames:
        return []
    return [entry.pos + entry.size for entry in stream.index_entries]


def cut_short(path: Path, stream: Any) -> str | None:
    """Return a sentence on what is missing of a clip whose header says more than the file holds; None if nothing is."""
    lost, places = lost_bytes(path), ends_of_frames(stream)
    there = sum(place <= path.stat().st_size for place in places)
    missing = [f"its last {lost} bytes are missing"] if lost else []
    missing += [f"{there} of its {len(places)} frames are in the file"] if there < len(places) else []
    return f"{path.name}: it was cut short ({', '.join(missing)}); what is there is used." if missing else None


def _ebml_size(file: BinaryIO) -> int | None:
    """Read a size of 1 to 8 bytes, whose first bit that is set marks their number; None: it is unknown."""
    first = (file.read(1) or b"\0")[0]
    more = 8 - first.bit_length()
    bits = 7 * (more + 1)
    value = int.from_bytes(bytes([first]) + file.read(more)) & ((1 << bits) - 1)
    return None if first == 0 or value == (1 << bits) - 1 else value
