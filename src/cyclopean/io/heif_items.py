"""Items of AVIF and HEIC files (ISO/IEC 23008-12): their boxes, as far as pictures and colours need them."""

import io
from collections.abc import Iterator
from dataclasses import dataclass

Box = tuple[bytes, bytes]  # kind and content

SAMPLE_ENTRY = 78  # bytes of a track's description of pictures before its boxes
FULL_BOX = 4  # bytes of version and flags


@dataclass(frozen=True)
class Items:
    """The items of a file by their numbers: the main one, kinds, properties, references and the places of their bytes.

    References go from an item to others: `references[b"dimg", 1]` are the parts of item 1.
    """

    data: bytes
    main: int
    kinds: dict[int, bytes]
    properties: dict[int, list[Box]]
    references: dict[tuple[bytes, int], list[int]]
    places: dict[int, tuple[bool, list[tuple[int, int]]]]
    inside: bytes

    def content(self, item: int) -> bytes:
        """Return the bytes of an item."""
        in_box, extents = self.places[item]
        source = self.inside if in_box else self.data
        return b"".join(source[start : start + size if size else None] for start, size in extents)

    def parts(self, item: int) -> list[int]:
        """Return the items of which a grid is made, in their order."""
        return self.references.get((b"dimg", item), [])


def items_of(data: bytes) -> Items:
    """Read the boxes of a file. Raises StopIteration, ValueError, IndexError or KeyError for damaged ones."""
    meta = box(data, b"meta")[FULL_BOX:]
    there = dict(boxes(meta))
    main, iprp = there[b"pitm"], there.get(b"iprp")
    return Items(
        data,
        int.from_bytes(main[FULL_BOX : FULL_BOX + (4 if main[0] else 2)]),
        dict(_kinds(there.get(b"iinf", b""))),
        {} if iprp is None else _properties(iprp),
        dict(_references(there.get(b"iref", b""))),
        dict(_places(there[b"iloc"])),
        there.get(b"idat", b""),
    )


def description(data: bytes) -> tuple[list[Box], bytes]:
    """Return the properties of the main picture, of its first part too where it is a grid, and the coded data of that;
    of a sequence the boxes that describe its track, without data.

    Raises what `items_of` does.
    """
    if data[8:12] == b"avis":
        (_, entry), *_ = boxes(box(data, b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")[FULL_BOX + 4 :])
        return list(boxes(entry[SAMPLE_ENTRY:])), b""
    items = items_of(data)
    item, properties = items.main, items.properties.get(items.main, [])
    if not {b"av1C", b"hvcC"} & {kind for kind, _ in properties} and items.parts(item):
        item = items.parts(item)[0]
        properties = [*properties, *items.properties.get(item, [])]
    return properties, items.content(item)


def boxes(data: bytes) -> Iterator[Box]:
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


def box(data: bytes, *path: bytes) -> bytes:
    """Return the content of the first box at a path of kinds. Raises StopIteration if there is none."""
    for name in path:
        data = next(body for kind, body in boxes(data) if kind == name)
    return data


def _kinds(body: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield number and kind of each item (iinf)."""
    for _, entry in boxes(body[FULL_BOX + (4 if body[:1] > b"\0" else 2) :]):
        wide = 4 if entry[0] > 2 else 2
        yield int.from_bytes(entry[FULL_BOX : FULL_BOX + wide]), entry[FULL_BOX + wide + 2 :][:4]


def _properties(iprp: bytes) -> dict[int, list[Box]]:
    """Return the properties of each item (ipco, by their numbers from 1 in ipma)."""
    every, body = list(boxes(box(iprp, b"ipco"))), box(iprp, b"ipma")
    file, wide, mask = io.BytesIO(body[FULL_BOX:]), 4 if body[0] else 2, 0x7FFF if body[3] & 1 else 0x7F
    found: dict[int, list[Box]] = {}
    for _ in range(int.from_bytes(file.read(4))):
        item = int.from_bytes(file.read(wide))
        count = int.from_bytes(file.read(1))
        numbers = [int.from_bytes(file.read(2 if mask > 0x7F else 1)) & mask for _ in range(count)]
        found[item] = [every[number - 1] for number in numbers if 0 < number <= len(every)]
    return found


def _references(body: bytes) -> Iterator[tuple[tuple[bytes, int], list[int]]]:
    """Yield kind, item and the items to which it refers (iref)."""
    wide = 4 if body[:1] > b"\0" else 2
    for kind, entry in boxes(body[FULL_BOX:]):
        item, *others = (int.from_bytes(entry[at : at + wide]) for at in (0, *range(wide + 2, len(entry), wide)))
        yield (kind, item), others


def _places(body: bytes) -> Iterator[tuple[int, tuple[bool, list[tuple[int, int]]]]]:
    """Yield each item, whether it is inside `idat`, and starts and sizes of its pieces (iloc); size 0: to the end."""
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
            extents.append((base + take(sizes >> 4), take(sizes & 15)))
        yield item, (inside, extents)
