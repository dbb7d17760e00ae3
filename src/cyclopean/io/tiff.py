"""TIFF files: the choice of the page, and the pixels of those that Pillow reads wrongly or not at all.

Pillow truncates 16 bits to 8, OpenCV mixes up planes and inverts nothing; here both kinds are read by their tags (TIFF
6.0). Compressed strips and tiles are still decoded by libtiff, which gets the bytes as a grey picture.
"""

import io
import re
import struct
import warnings
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import UInt8, UInt16
from PIL import Image, TiffImagePlugin, TiffTags

from cyclopean.errors import InputError, lacks_memory
from cyclopean.io.files import printable, shortened

Pixels = UInt8[np.ndarray, "h w c"] | UInt16[np.ndarray, "h w c"]
Opacity = UInt8[np.ndarray, "h w 1"] | UInt16[np.ndarray, "h w 1"]
Alpha = Literal["associated", "unassociated"]

MARKS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
MOST_PAGES = 10_000  # directories that are read
FULL = 4  # times as large may another page be: thumbnails are smaller still, and scanned pages of one document larger
MOST_INFLATED = 1 << 22  # bytes at a time
MOST_SAMPLES = 8  # per pixel: a photo has no more
WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER, SAMPLES, PLANAR = 256, 257, 258, 259, 262, 266, 277, 284
PREDICTOR, COLOUR_MAP, TILE_WIDTH, TILE_HEIGHT, SUBSAMPLING, EXTRA, FORMAT = 317, 320, 322, 323, 530, 338, 339
STRIPS, ROWS_PER_STRIP, STRIP_BYTES, TILES, TILE_BYTES, DNG = 273, 278, 279, 324, 325, 50706
WHITE_IS_ZERO, GREY, RGB, PALETTE, CMYK, YCBCR, CIELAB, ICCLAB, CFA, LINEAR_RAW = 0, 1, 2, 3, 5, 6, 8, 9, 32803, 34892
COLOURS = {WHITE_IS_ZERO: 1, GREY: 1, RGB: 3, PALETTE: 1, CMYK: 4, YCBCR: 3, CIELAB: 3, ICCLAB: 3}  # samples of each
WEBP = 50001  # a compression that Pillow knows, and its libtiff mostly not
BYTES = (1, 5, 8, 32773, 32946, 34925, 50000)  # compressions of bytes: none, LZW, Deflate, PackBits, LZMA, Zstandard
INK_SET, INK_NAMES, DOT_RANGE = 332, 333, 336
OTHER_INKS = 2  # an ink set
CMYK_NAMES = ("cyan", "magenta", "yellow", "black")
LARGEST, LARGEST_SIGNED = 281, 341  # numbers in the picture: MaxSampleValue, SMaxSampleValue
DESCRIPTION = 270
IMAGEJ_STACK = re.compile(r"ImageJ=[^\n]*\n(?:.*\n)*?images=(\d{1,9})\b")  # of large ones the file has a single page
IFD8 = 18  # type of offsets of directories in BigTIFF, which Pillow lacks; stored as LONG8
TiffImagePlugin.ImageFileDirectory_v2._load_dispatch.setdefault(
    IFD8, TiffImagePlugin.ImageFileDirectory_v2._load_dispatch[TiffTags.LONG8]
)
WHITES = tuple(2**bits - 1 for bits in range(9, 16))  # of pictures of so many bits; other numbers are statistics
NUMBERS = {2: "signed {bits}-bit integers", 3: "{bits}-bit floating-point numbers", 5: "complex numbers"}


@dataclass(frozen=True)
class Page:
    """One picture of a file: the offset of its directory and its tags, the offset of the file's first directory,
    (width, height), notes for the user on the choice, and how many pages the file has."""

    offset: int
    tags: Mapping[int, Any]
    first: int
    size: tuple[int, int]
    notes: tuple[str, ...] = ()
    count: int = 1

    @property
    def raw(self) -> bool:
        """Return whether the pixels are those of a sensor, to be developed."""
        return number(self.tags, PHOTOMETRIC, GREY) in (CFA, LINEAR_RAW)

    def holds_photo(self, data: bytes) -> bool:
        """Return whether the pixels are colours that need no developing, and most of the file's bytes, not those of a
        thumbnail beside what is not found in it."""
        stored = sum(numbers(self.tags, STRIP_BYTES) or numbers(self.tags, TILE_BYTES))
        rgb = number(self.tags, PHOTOMETRIC, GREY) in (RGB, YCBCR)
        return rgb and not _is_reduced(self.tags) and 2 * stored > len(data)


@dataclass(frozen=True)
class Converted:
    """A picture of 8 bits in Pillow's CMYK, LAB or YCbCr, not multiplied by its opacity; None if all is opaque."""

    picture: Image.Image
    alpha: Opacity | None = None


@dataclass(frozen=True)
class Stored:
    """Grey or RGB in 8 or 16 bits, and its opacity, (h, w, 1); None if all is opaque.

    `white` is the number of white where it is less than these bits could hold, as of 12 bits in 16; else None.
    """

    colours: Pixels
    alpha: Opacity | None = None
    kind: Alpha = "unassociated"
    white: int | None = None


@contextmanager
def unlimited() -> Iterator[None]:
    """Lift Pillow's own limit of pixels: ours is checked before decoding."""
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def main_page(path: Path, data: bytes) -> Page:
    """Return the first page that is neither thumbnail nor mask, nor much smaller than another one, as thumbnails are
    that do not say so; `data` are the file's bytes.
    """
    pages, chained = _pages(data)
    if not pages:
        raise InputError(f"{path} is damaged or cut short (no page of it can be read); give a whole file.")
    first = next(iter(pages))
    whole = {at: tags for at, tags in pages.items() if not _is_reduced(tags)} or pages
    largest = max(_area(tags) for tags in whole.values())
    at = next(at for at, tags in whole.items() if FULL * _area(tags) >= largest)
    size = number(pages[at], WIDTH, 0), number(pages[at], HEIGHT, 0)
    told = IMAGEJ_STACK.match(str(pages[first].get(DESCRIPTION, "")))
    count = int(told[1]) if told else sum(1 for at in chained if not _is_reduced(pages[at]))
    notes: tuple[str, ...] = ()
    if count > 1:
        which = "first" if told or at == next(at for at in chained if at in whole) else "first of full size"
        notes = (f"{path.name} has {count} pages; the {which} is used.",)
    elif at != first:
        kind = "a mask" if number(pages[first], 254, 0) & 4 else "a small preview"
        notes = (f"{path.name} begins with {kind}; its main picture, {size[0]}x{size[1]}, is used.",)
    elif _is_reduced(pages[at]):
        kind = "a mask" if number(pages[at], 254, 0) & 4 else "a small preview"
        notes = (f"{path.name} holds nothing that can be read but {kind}, {size[0]}x{size[1]}, which is used.",)
    return Page(at, pages[at], first, size, notes, count)


def number(tags: Mapping[int, Any], tag: int, missing: int) -> int:
    """Return the first value of a tag as an integer; `missing` if there is none."""
    return (numbers(tags, tag) or (missing,))[0]


def numbers(tags: Mapping[int, Any], tag: int) -> tuple[int, ...]:
    """Return the values of a tag as integers; none if they are not numbers."""
    value = tags.get(tag, ())
    try:
        return tuple(int(part) for part in (value if isinstance(value, tuple | bytes) else (value,)))
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return ()


def opened_at(data: bytes, offset: int) -> io.BytesIO:
    """Return the file as if its first page were the one at `offset`."""
    mark, order = data[:4], "<" if data[:2] == b"II" else ">"
    if mark[2:4] in (b"+\0", b"\0+"):
        return io.BytesIO(data[:8] + struct.pack(f"{order}Q", offset) + data[16:])
    return io.BytesIO(mark + struct.pack(f"{order}I", offset) + data[8:])


def refuse_damaged(path: Path, data: bytes, page: Page) -> None:
    """Raise InputError for a page in Deflate whose bytes contradict their checksums.

    libtiff stops where it has all pixels, before the checksum, and writes of the damage that it meets to the error
    stream. Other compressions have no checksums.
    """
    places = ((STRIPS, STRIP_BYTES), (TILES, TILE_BYTES))[TILES in page.tags]
    if number(page.tags, COMPRESSION, 1) not in (8, 32946) or number(page.tags, FILL_ORDER, 1) != 1:
        return
    bits = numbers(page.tags, BITS) or (1,)
    most = page.size[0] * page.size[1] * max(bits) * max(len(bits), number(page.tags, SAMPLES, 1)) // 8 + MOST_INFLATED
    for start, length in zip(*(numbers(page.tags, tag) for tag in places), strict=False):
        stream, rest, count = zlib.decompressobj(), data[start : start + length], 0
        try:
            while rest and count <= most:  # what inflates to more than the page is not judged
                count += len(stream.decompress(rest, MOST_INFLATED))
                rest = stream.unconsumed_tail
        except zlib.error as error:
            raise _damaged(path, str(error).rpartition(": ")[2]) from None


def beyond_pillow(page: Page) -> bool:
    """Return whether Pillow reads the page wrongly or inexactly: 16 bits and more, signed, alpha, YCbCr outside
    JPEG, planes of CIELab, other inks than CMYK, paper at the largest number, WebP."""
    if max(numbers(page.tags, BITS) or (1,)) >= 16 or not {1, 4}.issuperset(numbers(page.tags, FORMAT)):
        return True
    photometric, packed = number(page.tags, PHOTOMETRIC, GREY), number(page.tags, COMPRESSION, 1)
    more = number(page.tags, SAMPLES, 1) > COLOURS.get(photometric, 1)
    planes = number(page.tags, PLANAR, 1) == 2
    return bool(
        packed == WEBP
        or _other_inks(page.tags)
        or (
            packed in BYTES
            and (
                photometric == YCBCR
                or (photometric == CIELAB and planes)
                or (photometric in COLOURS and more)
                or _has_reversed_inks(page.tags)
            )
        )
    )


def read(path: Path, data: bytes, page: Page) -> Stored | Converted:
    """Return the page's pixels, not yet upright: grey or RGB, or those of other colours with 8 bits.

    Raises InputError with the reason for a page that is not supported.
    """
    _refuse_unread(path, page)
    tags = page.tags
    photometric = RGB if _has_unnamed_rgb(tags) else number(tags, PHOTOMETRIC, GREY)
    array = _samples(path, data, page)
    most, deep = (65535, True) if array.dtype == np.uint16 else (255, False)
    count = COLOURS[photometric]
    colours = array[..., :count]
    # Undeclared, it is alpha, as in other readers; but beside CMYK it is another ink.
    extra = _extras(tags)[count - COLOURS[number(tags, PHOTOMETRIC, GREY)] :]
    where = next((n for n, kind in enumerate(extra) if kind in (1, 2) and count + n < array.shape[-1]), None)
    alpha = None if where is None else array[..., count + where : count + where + 1]
    if photometric == PALETTE:
        table = np.array(numbers(tags, COLOUR_MAP), np.uint16).reshape(3, -1).T
        colours = table[np.minimum(colours[..., 0], len(table) - 1)]
        alpha = alpha * np.uint16(257) if alpha is not None and not deep else alpha
    declared = max(numbers(tags, LARGEST) or numbers(tags, LARGEST_SIGNED) or (most,))
    used = deep and photometric != PALETTE and declared in WHITES and int(colours.max()) <= declared
    if _has_reversed_inks(tags):
        colours = most - colours
    if photometric == WHITE_IS_ZERO:
        colours = (declared if used else most) - colours
    kind: Alpha = "unassociated" if where is None or extra[where] == 2 else "associated"
    if photometric in (GREY, WHITE_IS_ZERO, RGB, PALETTE):
        return Stored(colours, alpha, kind, declared if used else None)
    if photometric == ICCLAB and deep:
        colours = colours / np.float32(256) - (0, 128, 128)
    elif photometric == ICCLAB:
        colours = colours.astype(np.float32) - (0, 128, 128)
    elif photometric == CIELAB and deep:
        colours = np.concatenate([colours[..., :1] / 257, colours[..., 1:].astype(np.int16) / 256], -1)
    elif photometric == CIELAB:
        colours = np.concatenate([colours[..., :1].astype(np.float32), colours[..., 1:].astype(np.int8)], -1)
    elif deep:
        colours = colours / 257
    name = {CMYK: "CMYK", YCBCR: "YCbCr"}.get(photometric, "LAB")
    if alpha is not None and kind == "associated" and alpha.any():
        grey = np.array((0, 128, 128) if name == "YCbCr" else (0,) * count, np.float32)
        colours = (colours - grey) / (alpha.clip(min=1) / np.float32(most)) + grey
    low, high = ((0, -128, -128), (255, 127, 127)) if name == "LAB" else (0, 255)
    bytes_ = np.clip(np.round(colours), low, high).astype(np.int16).astype(np.uint8)
    return Converted(Image.frombytes(name, page.size, np.ascontiguousarray(bytes_).tobytes()), alpha)


def _pages(data: bytes) -> tuple[dict[int, Mapping[int, Any]], tuple[int, ...]]:
    """Return the tags of every page with a size, by the offset of its directory, the chain first; and the chain."""
    pages: dict[int, Mapping[int, Any]] = {}
    visited: set[int] = set()
    file = io.BytesIO(data)
    if len(data) < 16:
        return {}, ()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of truncated tags
        order, big = "<" if data[:2] == b"II" else ">", data[2:4] in (b"+\0", b"\0+")
        todo = list(struct.unpack_from(f"{order}Q", data, 8) if big else struct.unpack_from(f"{order}I", data, 4))
        inner: list[int] = []
        chain: list[int] = []
        for chained in (True, False):
            todo = todo if chained else inner
            while todo and len(visited) < MOST_PAGES:
                at = todo.pop(0)
                if at in visited or not 0 < at < len(data):
                    continue
                visited.add(at)
                directory = TiffImagePlugin.ImageFileDirectory_v2(prefix=data[:2])
                directory._bigtiff = big  # Pillow misses it in big-endian files
                try:
                    file.seek(at)
                    directory.load(file)
                    tags = {tag: directory[tag] for tag in directory}
                except Exception:  # parsers raise whatever they like on foreign bytes
                    continue
                if _area(tags) > 0:
                    pages[at] = tags
                    chain += [at] if chained else []
                inner += numbers(tags, 330)
                todo += [directory.next] if chained and directory.next else []
    return pages, tuple(chain)


def _is_reduced(tags: Mapping[int, Any]) -> bool:
    """Return whether a page is a smaller copy of another, or a mask."""
    return bool(number(tags, 254, 0) & 5) or number(tags, 255, 1) == 2


def _area(tags: Mapping[int, Any]) -> int:
    return max(number(tags, WIDTH, 0), 0) * max(number(tags, HEIGHT, 0), 0)


def _extras(tags: Mapping[int, Any]) -> tuple[int, ...]:
    """Return the kinds of samples beside colours: 0 unspecified, 1 associated alpha, 2 unassociated.

    Undeclared, they are alpha, as in other readers; but beside CMYK another ink, and unspecified beside grey if more
    than one.
    """
    photometric = number(tags, PHOTOMETRIC, GREY)
    more = number(tags, SAMPLES, 1) - COLOURS.get(photometric, 1)
    ink = photometric == CMYK or (photometric in (GREY, WHITE_IS_ZERO) and more > 1)
    return numbers(tags, EXTRA) or (0 if ink else 2,) * more


def _has_unnamed_rgb(tags: Mapping[int, Any]) -> bool:
    """Return whether grey and two unspecified samples are red, green and blue: so programs for maps write 16 bits."""
    return number(tags, PHOTOMETRIC, GREY) == GREY and _extras(tags) in ((0, 0), (0, 0, 1), (0, 0, 2))


def _other_inks(tags: Mapping[int, Any]) -> str:
    """Return what a page stores in the place of cyan, magenta, yellow and black, in words; empty for those four (with
    spot colours behind them) and for other colours."""
    count = number(tags, SAMPLES, len(numbers(tags, BITS) or (1,)))
    other = number(tags, INK_SET, 1) == OTHER_INKS
    named = [name for part in str(tags.get(INK_NAMES, "")).split("\0") if (name := " ".join(part.split()))]
    if number(tags, PHOTOMETRIC, GREY) != CMYK or (count >= 4 and not other):
        return ""
    if count == 4 and tuple(map(str.lower, named)) == CMYK_NAMES:
        return ""
    inks = f"{count} ink{'s' * (count > 1)}"
    return inks + (f" ({printable(shortened(', '.join(named)))})" if named else "")


def _has_reversed_inks(tags: Mapping[int, Any]) -> bool:
    """Return whether the largest number of each ink is bare paper."""
    ends = numbers(tags, DOT_RANGE)
    return (
        number(tags, PHOTOMETRIC, GREY) == CMYK
        and len(ends) > 1
        and all(bare > full for bare, full in zip(ends[::2], ends[1::2], strict=False))
    )


def _refuse_unread(path: Path, page: Page) -> None:
    """Raise InputError with the true reason for a page that is not supported here."""
    tags = page.tags
    if STRIPS not in tags and TILES not in tags:
        raise _damaged(path, "the places of its pixels are missing")
    bits, photometric = numbers(tags, BITS) or (1,), number(tags, PHOTOMETRIC, GREY)
    count, packed = number(tags, SAMPLES, len(bits)), number(tags, COMPRESSION, 1)
    kinds = set(numbers(tags, FORMAT) or (1,)) - {1, 4}
    why = ""
    if kinds:
        why = f"stores {NUMBERS.get(min(kinds), 'numbers of an unknown kind').format(bits=max(bits))}"
    elif set(bits) not in ({8}, {16}):
        why = f"stores {' and '.join(map(str, sorted(set(bits))))} bits per channel"
    elif photometric not in COLOURS:
        why = f"stores colours of a kind (photometric interpretation {photometric}) that is not supported"
    elif inks := _other_inks(tags):
        why = f"stores {inks} instead of cyan, magenta, yellow and black"
    elif packed not in BYTES:
        why = f"is compressed in a way (number {packed}) that is not supported"
    elif not COLOURS[photometric] <= count <= MOST_SAMPLES:
        needed = f"{COLOURS[photometric]} to {MOST_SAMPLES}"
        why = f"has {count} channel{'s' * (count > 1)}, where a photo of its kind of colours has {needed}"
    elif photometric in (GREY, WHITE_IS_ZERO) and count > 2 and not _has_unnamed_rgb(tags):
        why = f"has {count} channels and does not say which are red, green and blue"
    elif photometric == PALETTE and (len(numbers(tags, COLOUR_MAP)) < 6 or len(numbers(tags, COLOUR_MAP)) % 3):
        why = "has lost its table of colours"
    elif photometric == YCBCR and (numbers(tags, SUBSAMPLING) or (2, 2)) != (1, 1):
        why = "stores YCbCr with fewer colours than pixels, outside a JPEG"
    if why:
        raise InputError(f"{path} {why}; save it as RGB or grey with 8 or 16 bits per channel.")


def _samples(path: Path, data: bytes, page: Page) -> Pixels:
    """Return all samples as they are stored, (height, width, samples)."""
    tags, (width, height) = page.tags, page.size
    count, deep = number(tags, SAMPLES, 1), max(numbers(tags, BITS)) == 16
    kind = np.dtype(f"{'<' if data[:2] == b'II' else '>'}u2" if deep else "u1")
    tiled = TILE_WIDTH in tags
    wide, tall = (number(tags, TILE_WIDTH, 0), number(tags, TILE_HEIGHT, 0)) if tiled else (width, 0)
    tall = tall if tiled else min(number(tags, ROWS_PER_STRIP, height) or height, height)
    starts, lengths = (numbers(tags, tag) for tag in ((TILES, TILE_BYTES) if tiled else (STRIPS, STRIP_BYTES)))
    planes = count if number(tags, PLANAR, 1) == 2 else 1
    if wide < 1 or tall < 1:
        raise _damaged(path, "its tiles have no size")
    pieces = -(-width // wide) * -(-height // tall)
    lengths = lengths or tuple(len(data) - start for start in starts)
    if min(len(starts), len(lengths)) < pieces * planes:
        raise _damaged(path, "some of its strips are missing")
    places = tuple(zip(starts, lengths, strict=False))
    inner = count // planes  # samples of one pixel that are stored together
    parts = []
    for plane in range(planes):
        own = slice(plane * pieces, (plane + 1) * pieces)
        try:
            stored = _bytes_of(data, page, inner * kind.itemsize, (wide, tall), places[own])
        except Exception as error:  # decoders raise whatever they like on damaged files
            if lacks_memory(error):
                raise
            raise _damaged(path, (str(error).strip() or type(error).__name__).splitlines()[0]) from None
        part = stored.view(kind).astype(kind.newbyteorder("=")).reshape(height, width, inner)
        if number(tags, PREDICTOR, 1) == 2:  # horizontal differences, which restart in each piece
            for left in range(0, width, wide):
                piece = part[:, left : left + wide]
                np.cumsum(piece, 1, dtype=part.dtype, out=piece)
        parts.append(part)
    return np.concatenate(parts, -1)


def _bytes_of(
    data: bytes, page: Page, pixel: int, piece: tuple[int, int], places: Sequence[tuple[int, int]]
) -> UInt8[np.ndarray, "h _"]:
    """Return the bytes of a plane with `pixel` bytes per pixel, decompressed as a grey picture `pixel` times as
    wide."""
    tiled, (width, height) = TILE_WIDTH in page.tags, page.size
    packed = number(page.tags, COMPRESSION, 1)
    tags: dict[int, Sequence[int]] = {
        **{WIDTH: (width * pixel,), HEIGHT: (height,), BITS: (8,), COMPRESSION: (packed,), PHOTOMETRIC: (GREY,)},
        **{SAMPLES: (1,), FILL_ORDER: (number(page.tags, FILL_ORDER, 1),)},
    }
    starts, lengths = zip(*places, strict=True)
    if tiled:
        tags |= {TILE_WIDTH: (piece[0] * pixel,), TILE_HEIGHT: (piece[1],), TILES: starts, TILE_BYTES: lengths}
    else:
        tags |= {STRIPS: starts, ROWS_PER_STRIP: (piece[1],), STRIP_BYTES: lengths}
    whole = data + bytes(len(data) % 2)
    file = io.BytesIO(b"II*\0" + struct.pack("<I", len(whole)) + whole[8:] + _directory(tags, len(whole)))
    with unlimited(), Image.open(file, formats=["TIFF"]) as picture:
        return np.array(picture)


def _directory(tags: Mapping[int, Sequence[int]], at: int) -> bytes:
    """Return a little-endian directory of integers, for the offset `at`."""
    more = at + 2 + 12 * len(tags) + 4
    entries, beyond = b"", b""
    for tag, values in sorted(tags.items()):
        body = struct.pack(f"<{len(values)}I", *values)
        place = body if len(values) == 1 else struct.pack("<I", more + len(beyond))
        beyond += body if len(values) > 1 else b""
        entries += struct.pack("<HHI", tag, 4, len(values)) + place
    return struct.pack("<H", len(tags)) + entries + bytes(4) + beyond


def _damaged(path: Path, why: str) -> InputError:
    return InputError(f"{path} is damaged or cut short ({why}); give a whole file.")
