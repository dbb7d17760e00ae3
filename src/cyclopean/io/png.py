"""PNG features that Pillow lacks: 16 bits per channel, the coding of colours, and single chunks."""

import os
import zlib
from collections.abc import Iterator
from io import BufferedReader, BytesIO
from pathlib import Path

import numpy as np
from jaxtyping import UInt16
from PIL import Image

from cyclopean.io import opencv
from cyclopean.io.colour import Coding, by_gamma, by_numbers, narrow_range
from cyclopean.io.limits import PNG as SIGNATURE
from cyclopean.io.profiles import by_name

TEXTS = b"tEXt", b"zTXt", b"iTXt"  # kinds of chunks
METADATA = b"XML:com.adobe.xmp", b"Raw profile type"  # how keywords of texts begin that hold EXIF, XMP or a profile
LONGEST_TEXT = 1 << 20  # bytes: Pillow refuses longer ones


def channels(data: bytes) -> UInt16[np.ndarray, "h w c"] | None:
    """Return the channels of a PNG of 16 bits, with alpha where it has a transparent colour; None for all others."""
    if data[24] != 16:  # bits per channel, in the header
        return None
    array = opencv.decoded(without_metadata(data))
    if array is None or array.dtype != np.uint16:
        return None
    array = array[..., None] if array.ndim == 2 else array
    array = array[..., [2, 1, 0, 3][: array.shape[-1]]] if array.shape[-1] >= 3 else array
    array = array[..., 2:] if data[25] == 4 else array  # grey with alpha, which OpenCV decodes as colours
    key = _transparent_colour(data)
    if key.size != array.shape[-1]:
        return array
    alpha = np.where((array == key).all(-1, keepdims=True), np.uint16(0), np.uint16(65535))  # OpenCV drops that of grey
    return np.concatenate([array, alpha], -1)


def _transparent_colour(data: bytes) -> UInt16[np.ndarray, " c"]:
    """Return the colour that a PNG without an alpha channel declares to be transparent; empty if there is none."""
    at = len(SIGNATURE)
    while at + 12 <= len(data) and data[at + 4 : at + 8] != b"IDAT":
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        if data[at + 4 : at + 8] == b"tRNS":
            body = data[at + 8 : end - 4]
            return np.frombuffer(body[: len(body) // 2 * 2], ">u2").astype(np.uint16)
        at = end
    return np.zeros(0, np.uint16)


def white(data: bytes, largest: int) -> int | None:
    """Return the number of white of a PNG of 16 bits whose pixels were not scaled to them, None if they were.

    `sBIT` states how many bits its camera had; writers have to scale, and some do not: `largest` is its largest number.
    """
    at = len(SIGNATURE)
    while at + 12 <= len(data) and data[at + 4 : at + 8] != b"IDAT":
        length = int.from_bytes(data[at : at + 4], "big")
        if data[at + 4 : at + 8] == b"sBIT" and 0 < length <= 4:
            most = 2 ** max(data[at + 8 : at + 8 + length]) - 1
            return most if largest <= most and 255 < most < 65535 else None
        at += 12 + length
    return None


def without_metadata(data: bytes, kept: tuple[bytes, ...] = ()) -> bytes:
    """Return the bytes of a PNG with only its critical chunks and those in `kept`."""
    at, parts = 8, [data[:8]]
    while at + 12 <= len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        if data[at + 4 : at + 5].isupper() or data[at + 4 : at + 8] in kept:
            parts.append(data[at:end])
        at = end
    return b"".join(parts)


def without_texts(data: bytes) -> bytes:
    """Return the bytes of a PNG without texts that nobody here reads, or that are too long for Pillow, which refuses
    the whole file for them. The rest is as it was, damage too."""
    at, parts, start = len(SIGNATURE), [], 0
    while at + 12 <= len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        kind = data[at + 4 : at + 8]
        if kind in TEXTS and end <= len(data) and not _is_read(kind, data[at + 8 : end - 4]):
            parts.append(data[start:at])
            start = end
        at = end
    return b"".join([*parts, data[start:]])


def _is_read(kind: bytes, body: bytes) -> bool:
    """Return whether a text chunk holds metadata, and not more than Pillow reads."""
    keyword, _, text = body.partition(b"\0")
    if not keyword.startswith(METADATA):
        return False
    packed = kind == b"zTXt" or (kind == b"iTXt" and text[:1] == b"\1")
    if not packed:
        return len(text) < LONGEST_TEXT
    start = text[1:] if kind == b"zTXt" else text[2:].split(b"\0", 2)[-1]  # behind the method; language and translation
    inflating = zlib.decompressobj()
    try:
        return len(inflating.decompress(start, LONGEST_TEXT)) < LONGEST_TEXT
    except zlib.error:
        return False


def coding(path: Path, picture: Image.Image) -> Coding | None:
    """Return the coding by cICP; else by a profile whose name is that of PQ or HLG, whatever it holds (W3C Note "Using
    the ITU BT.2100 PQ EOTF with PNG"); else, without sRGB or a profile, by gAMA and cHRM."""
    named: Coding | None = None
    with path.open("rb") as file:
        bits = file.read(25)[24]
        file.seek(8)
        while len(head := file.read(8)) == 8 and head[4:] not in (b"IDAT", b"IEND"):
            size, start = int.from_bytes(head[:4], "big"), file.tell()
            if head[4:] == b"cICP" and size == 4:
                primaries, transfer, _, full = file.read(4)
                known = by_numbers(primaries, transfer)
                return known if full else narrow_range(known, max(bits, 8))
            if head[4:] == b"iCCP":
                named = by_name(file.read(min(size, 80)).partition(b"\0")[0].decode("latin-1"))
            file.seek(start + size + 4)
    gamma, colours = picture.info.get("gamma", 0.0), picture.info.get("chromaticity")
    if named is not None or "srgb" in picture.info or not 0.01 < gamma < 10:
        return named
    good = colours is not None and len(colours) == 8 and min(colours[1::2]) > 0.001
    return by_gamma(1 / gamma, tuple(colours) if colours and good else None)


def intact(data: bytes) -> bool:
    """Return whether every critical chunk of a PNG has the checksum that it states."""
    at, kind = len(SIGNATURE), b""
    while at + 12 <= len(data) and kind != b"IEND":
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        kind, stated = data[at + 4 : at + 8], data[end - 4 : end]
        if kind[:1].isupper() and zlib.crc32(memoryview(data)[at + 4 : end - 4]) != int.from_bytes(stated, "big"):
            return False
        at = end
    return True


def chunk_kinds(file: BufferedReader | BytesIO) -> Iterator[bytes]:
    """Yield the kinds of a PNG's chunks, as far as they are whole."""
    end = file.seek(0, os.SEEK_END)
    at = len(SIGNATURE)
    while at + 12 <= end:
        file.seek(at)
        length, kind = int.from_bytes(file.read(4), "big"), file.read(4)
        at += 12 + length
        if at > end:
            return
        yield kind
        if kind == b"IEND":
            return
