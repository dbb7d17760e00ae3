"""Depth that phones put into a photo's own file.

JPEG: GDepth (base64 in XMP), dynamic depth 1.0 (a picture behind the photo, described in XMP), both Google's, and
Apple's auxiliary picture behind the photo. HEIC: its depth image, by Apple's XMP or the depth representation of HEVC.

Finding needs no torch, so that commands can check it before that is loaded.
"""

import base64
import io
import math
import re
import struct
import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from xml.etree import ElementTree

import numpy as np
from jaxtyping import Float
from PIL import Image

from cyclopean.errors import InputError
from cyclopean.io import jpeg
from cyclopean.io.limits import MOST_MEGAPIXELS
from cyclopean.io.metadata import orientation

if TYPE_CHECKING:
    from cyclopean.io.depthmap import DepthMap
    from cyclopean.io.image import Photo
    from cyclopean.io.sidecar import Ambiguity

GDEPTH = "http://ns.google.com/photos/1.0/depthmap"
ITEMS = ("http://ns.google.com/photos/dd/1.0/item", "http://ns.google.com/photos/1.0/container/item")
DYNAMIC = "http://ns.google.com/photos/dd/1.0/depthmap"
APPLE, APPLE_DEPTH = "http://ns.apple.com/pixeldatainfo/1.0", "http://ns.apple.com/depthData/1.0"
STANDARD, EXTENDED = b"http://ns.adobe.com/xap/1.0/\0", b"http://ns.adobe.com/xmp/extension/\0"
# What begins a segment of a JPEG. Inside its data, 0xFF is followed by 0x00 or is a restart (0xD0 to 0xD7).
MARKER = re.compile(rb"\xff+([\x02-\xcf\xd8-\xfe])", re.DOTALL)
PICTURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")
METRES = {"m": 1.0, "meters": 1.0, "metres": 1.0, "mm": 0.001, "millimeters": 0.001, "millimetres": 0.001}
SAME_SHAPE = 0.04  # of log(width / height): by how much a small map, whose sides are rounded, may differ from a photo
NO_EMBEDDED_DEPTH = "{} has no depth of its own in its file; leave --depth embedded out, or give a file of depth."

Codes = Float[np.ndarray, "_ _"]
Fields = Mapping[str, str]


@dataclass(frozen=True)
class EmbeddedDepth:
    """Depth found in a photo's file, not decoded yet: a PNG, a JPEG or pillow-heif's depth image, `stored`.

    Its darkest code means `low`, its brightest `high`, of a `kind` as in sidecars, in metres if `ambiguity` is metric.
    `turns` are EXIF's orientations that may make it upright, the likeliest first. `origin` names its format.
    """

    origin: str
    kind: str
    ambiguity: "Ambiguity"
    low: float
    high: float
    stored: Any
    turns: tuple[int, ...] = (1,)


def find_depth(path: Path) -> EmbeddedDepth | None:
    """Return the depth in the file of a photo, undecoded; None where it has none.

    Raises InputError for depth that is there but cut or contradicts itself.
    """
    with path.open("rb") as file:
        head = file.read(12)
        jpeg = head.startswith(PICTURES[0])
        if not jpeg and (head[4:8] != b"ftyp" or head[8:11] == b"avi"):  # neither HEIC
            return None
        data = head + file.read()
    return _in_jpeg(path, data) if jpeg else _in_heif(path, data)


def read_embedded_depth(
    path: Path, embedded: EmbeddedDepth, photo: "Photo", most_megapixels: float = MOST_MEGAPIXELS
) -> "DepthMap":
    """Return the depth that `find_depth` found in a photo's file, upright and at the photo's size.

    Raises InputError for depth that is damaged, too large, flat, or of another shape than the photo.
    """
    import torch

    from cyclopean.io.decoding import upright
    from cyclopean.io.depthmap import from_numbers
    from cyclopean.io.image import resize_depth

    codes = _decoded(path, embedded, most_megapixels)
    if not float(codes.min()) < float(codes.max()):
        _refuse(path, embedded.origin, "all its numbers are the same")
    turns = [turn for turn in embedded.turns if _alike(codes.shape, photo.size, turned=turn >= 5)]
    if not turns:
        (h, w), (height, width) = codes.shape, photo.size
        _refuse(path, embedded.origin, f"it is {w}x{h} and the photo {width}x{height}, another shape: was it cropped?")
    values = torch.from_numpy(embedded.low + codes * np.float32(embedded.high - embedded.low)).float()
    depth = from_numbers(
        upright(values[None, None], turns[0]), embedded.kind, "m" if embedded.ambiguity == "metric" else "relative",
        camera=photo.camera, ambiguity=embedded.ambiguity,
    )  # fmt: skip
    notes = {"embedded": embedded.origin, "embedded_size": "x".join(map(str, codes.shape[::-1]))}
    return resize_depth(replace(depth, notes=notes), photo.size)


def _alike(size: Sequence[int], photo: Sequence[int], *, turned: bool) -> bool:
    h, w = size[::-1] if turned else size
    return abs(math.log(w * photo[0] / (h * photo[1]))) <= SAME_SHAPE


def _decoded(path: Path, embedded: EmbeddedDepth, most_megapixels: float) -> Codes:
    """Return the stored numbers, from 0 to 1."""
    try:
        with warnings.catch_warnings(action="ignore"):
            picture: Any = embedded.stored
            if isinstance(picture, bytes):
                picture = Image.open(io.BytesIO(picture), formats=("PNG", "JPEG"))
            if not picture.size[0] * picture.size[1] <= most_megapixels * 1e6:
                raise Image.DecompressionBombError
            if isinstance(embedded.stored, bytes):
                jpeg.decode(path, embedded.stored, "RGB")  # complains of damage, which Pillow passes over
            picture = picture if isinstance(picture, Image.Image) else picture.to_pillow()
            deep = picture.mode.startswith("I")
            numbers = np.asarray(picture if deep else picture.convert("L"), np.float32)
    except MemoryError:
        raise
    except Image.DecompressionBombError:
        _refuse(path, embedded.origin, f"it has more than {most_megapixels:g} megapixels")
    except Exception:  # decoders may raise anything on foreign bytes
        _refuse(path, embedded.origin, "it is damaged or cut short")
    return numbers / (65535 if deep else 255)


def _refuse(path: Path, origin: str, why: str) -> NoReturn:
    raise InputError(f"{path.name} has depth of its own ({origin}) that cannot be used: {why}.")


def _in_jpeg(path: Path, data: bytes) -> EmbeddedDepth | None:
    """Return the depth in a JPEG, in the first of the three formats that it has."""
    try:
        segments, end = _app1_segments(data, 0)
    except ValueError:  # the reader of photos says what is wrong
        return None
    packets = _xmp_packets(segments)
    found = _gdepth(path, packets) or _dynamic_depth(path, packets, data, end) or _apple_behind(path, data, end)
    if found is None:
        return None
    with suppress(Exception), Image.open(io.BytesIO(data), formats=("JPEG",)) as picture:
        found = replace(found, turns=(orientation(picture.getexif()), 1))
    return found


def _gdepth(path: Path, packets: Iterable[bytes]) -> EmbeddedDepth | None:
    """Return a picture that is written in the XMP itself, in base64."""
    fields = _joined(_records(path, "GDepth", packets, GDEPTH))
    if not fields:
        return None
    try:
        text = re.sub(r"\s", "", fields["Data"])
        stored = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (KeyError, ValueError):
        _refuse(path, "GDepth", "its data are cut or missing")
    return _by_range(path, "GDepth", fields, stored)


def _dynamic_depth(path: Path, packets: Sequence[bytes], data: bytes, end: int) -> EmbeddedDepth | None:
    """Return the picture behind the photo (from `end` on) that the XMP's list of items calls its depth."""
    origin = "dynamic depth"
    described = _joined(_records(path, origin, packets, DYNAMIC)[:1])
    items = [item for item in _records(path, origin, packets, *ITEMS) if "Mime" in item or "Semantic" in item]
    named = described.get("DepthURI")
    for k, item in enumerate(items):
        if k > 0 and (item.get("Semantic") == "Depth" or (named is not None and item.get("DataURI") == named)):
            return _by_range(path, origin, described, _item(path, data, end, items, k))
    if described:
        _refuse(path, origin, "its picture is not in the file")
    return None


def _apple_behind(path: Path, data: bytes, end: int) -> EmbeddedDepth | None:
    """Return the first of the JPEGs behind the photo (from `end` on) whose own XMP calls it depth."""
    while (start := data.find(PICTURES[0], end)) >= 0:
        try:
            segments, end = _app1_segments(data, start)
        except ValueError:
            return None  # cut: nothing says that it is depth
        if (found := _apple(path, _xmp_packets(segments), data[start:end])) is not None:
            return found
    return None


def _item(path: Path, data: bytes, end: int, items: Sequence[Fields], k: int) -> bytes:
    """Return the bytes of item `k` of a container, whose first item is the photo.

    The others lie one after another behind it, up to the end of the file. So item `k` is looked for where their lengths
    place it, counted from the photo's `end`, then from the end of the file.
    """
    try:
        sizes = [int(item.get("Length", 0)) + int(item.get("Padding", 0)) for item in items]
        length = int(items[k]["Length"])
        starts = end + int(items[0].get("Padding", 0)) + sum(sizes[1:k]), len(data) - sum(sizes[k:])
    except (KeyError, ValueError):
        _refuse(path, "dynamic depth", "its container has no lengths")
    for start in starts:
        stored = data[start : start + length] if start >= end and length > 0 else b""
        if stored.startswith(PICTURES) and len(stored) == length:
            return stored
    _refuse(path, "dynamic depth", "its picture is cut or missing")


def _by_range(path: Path, origin: str, fields: Fields, stored: bytes) -> EmbeddedDepth:
    """Return the meaning of codes between Near (0) and Far (1): linear in depth, or in its inverse.

    d = near + x (far - near), or d = far near / (far - x (far - near)).
    """
    metres = METRES.get(fields.get("Units", "").strip().lower())
    away = "distance" if fields.get("MeasureType", "").strip() == "OpticRay" else "depth"
    form = fields.get("Format", "RangeInverse").strip()
    if not {"Near", "Far"} & fields.keys() and form == "RangeInverse":
        return EmbeddedDepth(origin, f"inverse_{away}", "affine", 1.0, 0.0, stored)
    try:
        near, far = (float(fields[name]) * (metres or 1.0) for name in ("Near", "Far"))
    except (KeyError, ValueError):
        _refuse(path, origin, "it does not say what is near and far")
    if form not in ("RangeInverse", "RangeLinear") or not 0 < near < far < math.inf:
        _refuse(path, origin, f"it says {form[:20]} from {near:g} to {far:g}, which means nothing")
    ambiguity: Ambiguity = "scale" if metres is None else "metric"
    if form == "RangeInverse":
        return EmbeddedDepth(origin, f"inverse_{away}", ambiguity, 1 / near, 1 / far, stored)
    return EmbeddedDepth(origin, away, ambiguity, near, far, stored)


def _apple(path: Path, packets: Iterable[bytes], stored: Any) -> EmbeddedDepth | None:
    """Return depth that Apple's XMP describes: disparity in 1/m or depth in m, absolute or with an unknown error.

    Apple calls relative what two cameras measure whose lenses move: its disparity has an unknown offset.
    """
    origin = "Apple's depth"
    fields = _joined(_records(path, origin, packets, APPLE, APPLE_DEPTH))
    kind = {"disparity": "inverse_depth", "depth": "depth"}.get(fields.get("AuxiliaryImageType", "").strip().lower())
    if kind is None:
        return None
    absolute = fields.get("Accuracy", "").strip().lower() == "absolute"
    relative: Ambiguity = "affine" if kind == "inverse_depth" else "scale"
    if kind == "inverse_depth" and not {"FloatMinValue", "FloatMaxValue"} & fields.keys():
        return EmbeddedDepth(origin, kind, relative, 0.0, 1.0, stored)
    try:
        low, high = (float(fields[f"Float{end}Value"]) for end in ("Min", "Max"))
        first, last = (int(fields.get(f"Int{end}Value", code)) for end, code in (("Min", 0), ("Max", 255)))
        step = (high - low) / (last - first)
    except (KeyError, ValueError, ZeroDivisionError):
        _refuse(path, origin, "it does not say what its numbers mean")
    if not -math.inf < low < high < math.inf or (high <= 0 if kind == "inverse_depth" else low < 0):
        _refuse(path, origin, f"it says {kind} from {low:g} to {high:g}, which means nothing")
    return EmbeddedDepth(
        origin, kind, "metric" if absolute else relative, low - first * step, low + (255 - first) * step, stored
    )


def _in_heif(path: Path, data: bytes) -> EmbeddedDepth | None:
    """Return the depth image of a HEIC.

    The decoder turns it by the image's own properties, so that it nearly always comes out upright; else it needs the
    turn of the photo's EXIF.
    """
    import pillow_heif

    try:
        info = pillow_heif.open_heif(io.BytesIO(data)).info
        images = [image for image in info.get("depth_images", ()) if image is not None]
        if not images:
            return None
        representation = images[0].info.get("metadata") or {}
        exif = Image.Exif()
        exif.load(info.get("exif") or b"")
        turns = 1, orientation(exif)
    except MemoryError:
        raise
    except Exception:  # the reader of photos says what is wrong
        return None
    packets, start = [], data.find(b"<x:xmpmeta")
    while start >= 0 and (end := data.find(b"</x:xmpmeta>", start)) > 0:
        packets.append(data[start : end + len(b"</x:xmpmeta>")])
        start = data.find(b"<x:xmpmeta", end)
    for packet in packets:  # one for each of its auxiliary images
        if (found := _apple(path, [packet], images[0])) is not None:
            return replace(found, turns=turns)
    origin = "HEIC depth image"
    match representation.get("representation_type"):
        case 0 if representation.get("z_near") and representation.get("z_far"):  # uniform in 1/z, bright = near
            near, far = float(representation["z_near"]), float(representation["z_far"])
            if not 0 < near < far < math.inf:
                _refuse(path, origin, f"it says {near:g} to {far:g}, which means nothing")
            return EmbeddedDepth(origin, "inverse_depth", "scale", 1 / far, 1 / near, images[0], turns)
        case 2 | 3:
            _refuse(path, origin, f"its representation is of type {representation['representation_type']}")
    return EmbeddedDepth(origin, "inverse_depth", "affine", 0.0, 1.0, images[0], turns)


def _app1_segments(data: bytes, start: int) -> tuple[list[bytes], int]:
    """Return the APP1 segments of the JPEG that begins at `start`, and where it ends. Raises ValueError if it is
    cut."""
    segments: list[bytes] = []
    at = start + 2
    while (marker := MARKER.search(data, at)) is not None:
        at, kind = marker.end(), marker[1][0]
        if kind == 0xD9:
            return segments, at
        length = int.from_bytes(data[at : at + 2])
        if length < 2:
            break
        if kind == 0xE1:
            segments.append(data[at + 2 : at + length])
        at += length
    raise ValueError("it has no end")


def _xmp_packets(segments: Iterable[bytes]) -> list[bytes]:
    """Return the XMP packets of a JPEG: the one of a single segment, and those that are spread over several."""
    packets, parts = [], dict[bytes, dict[int, bytes]]()
    for segment in segments:
        if segment.startswith(STANDARD):
            packets.append(segment[len(STANDARD) :])
        elif segment.startswith(EXTENDED) and len(segment) >= len(EXTENDED) + 40:
            digest, _, offset = struct.unpack_from(">32sII", segment, len(EXTENDED))
            parts.setdefault(digest, {})[offset] = segment[len(EXTENDED) + 40 :]
    return packets + [b"".join(part for _, part in sorted(chunks.items())) for chunks in parts.values()]


def _records(path: Path, origin: str, packets: Iterable[bytes], *namespaces: str) -> list[dict[str, str]]:
    """Return the fields, attributes and children, that elements of XMP have in these namespaces, in their order.

    Raises InputError for a packet that names one of them and cannot be parsed.
    """
    records = []
    for packet in packets:
        if not any(namespace.encode() in packet for namespace in namespaces):
            continue
        try:
            if b"<!" in packet:  # entities: XMP never needs them, and they may expand without limit
                raise ElementTree.ParseError("it declares entities")
            root = ElementTree.fromstring(packet.strip(b"\0 \r\n\t"))
        except (ElementTree.ParseError, ValueError, LookupError):
            _refuse(path, origin, "its description is damaged or cut short")
        for element in root.iter():
            pairs = [*element.attrib.items(), *((child.tag, child.text or "") for child in element)]
            named = [(*name.removeprefix("{").rpartition("}"), value) for name, value in pairs if name.startswith("{")]
            fields = {field: value for space, _, field, value in named if space.rstrip("/") in namespaces}
            if fields:
                records.append(fields)
    return records


def _joined(records: Iterable[dict[str, str]]) -> dict[str, str]:
    """Return the fields of all records in one; the first of a name counts."""
    joined: dict[str, str] = {}
    for record in records:
        joined = record | joined
    return joined
