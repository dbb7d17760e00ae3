"""Pictures in AVIF of 10 and 12 bits, which Pillow decodes as 8: their items by FFmpeg's decoder, and their alpha."""

from contextlib import suppress
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float32

from cyclopean.io import yuv
from cyclopean.io.heif_items import FULL_BOX, Items, description, items_of
from cyclopean.io.tiff import Stored

DECODER = "libdav1d"
ALPHA = (b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0", b"urn:mpeg:hevc:2015:auxid:1\0")
IDENTITY, UNKNOWN = 0, 2  # matrices in ITU-T H.273; an unknown one is that of BT.601


def bits(data: bytes) -> int:
    """Return how many bits a colour has, by the configuration of its coded data (av1C); 8 where there is none."""
    with suppress(Exception):  # of damaged boxes
        properties, _ = description(data)
        depth = next(body for kind, body in properties if kind == b"av1C")[2]
        return (12 if depth & 0x20 else 10) if depth & 0x40 else 8
    return 8


def channels(data: bytes, size: tuple[int, int], *, transparent: bool) -> Stored | None:
    """Return the main picture as (h, w, 3) of 16 bits, not turned, with its alpha, by its own matrix and range.

    None for one that is not made here: a sequence, a matrix that primaries or sums define, parts that are neither
    coded in AV1 nor a grid of such, and what differs from the `size` (width, height) or the opacity that its file
    states.
    """
    with suppress(Exception):  # of damaged boxes and of decoders: Pillow reports it, or reads it after all
        items = items_of(data)
        planes, frame = _planes(items, items.main)
        colours = _rgb(items, planes, frame)
        seen = next((item for item in items.kinds if _is_alpha(items, item)), None)
        if colours is None or colours.shape[1::-1] != size or transparent != (seen is not None):
            return None
        alpha, premultiplied = None, False
        if seen is not None:
            (opacity, *_), one = _planes(items, seen)
            coding = yuv.YuvCoding(UNKNOWN, one.color_range != yuv.LIMITED, one.format.components[0].bits)
            alpha = _numbers(yuv.to_rgb([opacity], coding))[..., :1]
            premultiplied = items.references.get((b"prem", items.main)) == [seen]
        return Stored(colours, alpha, "associated" if premultiplied else "unassociated", white=65535)
    return None


def _is_alpha(items: Items, item: int) -> bool:
    described = any(
        kind == b"auxC" and body[FULL_BOX:].startswith(ALPHA) for kind, body in items.properties.get(item, [])
    )
    return described and items.main in items.references.get((b"auxl", item), [])


def _planes(items: Items, item: int) -> tuple[list[yuv.Plane], Any]:
    """Return the planes of an item, of a grid those of its parts beside and below each other; and a frame of it."""
    content = items.content(item)
    if items.kinds[item] == b"grid":
        wide = 4 if content[1] & 1 else 2
        rows, columns = content[2] + 1, content[3] + 1
        width, height = (int.from_bytes(content[at : at + wide]) for at in (4, 4 + wide))
        parts = [_planes(items, part) for part in items.parts(item)]
        frame = parts[0][1]
        whole = []
        for planes in zip(*(planes for planes, _ in parts), strict=True):
            joined = np.block([list(planes[row * columns : (row + 1) * columns]) for row in range(rows)])
            down, across = (-(-a // b) for a, b in zip(parts[0][0][0].shape, planes[0].shape, strict=True))
            whole.append(joined[: -(-height // down), : -(-width // across)])
        return whole, frame
    if items.kinds[item] != b"av01":
        raise ValueError("neither coded in AV1 nor a grid")
    import av

    decoder: Any = av.CodecContext.create(DECODER, "r")
    frame = [*decoder.decode(av.Packet(content)), *decoder.decode(None)][-1]
    return yuv.planes_of(frame), frame


def _rgb(items: Items, planes: list[yuv.Plane], frame: Any) -> np.ndarray | None:
    """Return colours (h, w, 3) of 16 bits."""
    matrix, full = frame.colorspace, frame.color_range == yuv.FULL
    for kind, body in description(items.data)[0]:
        if kind == b"colr" and body[:4] == b"nclx":
            matrix, full = int.from_bytes(body[8:10]), bool(body[10] & 0x80)
            break
    depth = frame.format.components[0].bits
    if frame.format.is_rgb or matrix == IDENTITY:
        green, blue, red = planes
        return _numbers(np.stack([red, green, blue]) / np.float32(2**depth - 1)) if full else None
    if matrix not in (UNKNOWN, *yuv.WEIGHTS):
        return None
    return _numbers(yuv.to_rgb(planes, yuv.YuvCoding(matrix, full, depth), cv2.INTER_LINEAR))


def _numbers(values: Float32[np.ndarray, "c h w"]) -> np.ndarray:
    return np.rint(np.moveaxis(values, 0, -1) * 65535).astype(np.uint16)
