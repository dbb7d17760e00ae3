"""Metadata of photos: the EXIF that is worth keeping, the camera in it, and panoramas (GPano). Nothing here raises."""

import math
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from PIL import ExifTags, Image, PngImagePlugin

FILM_DIAGONAL = math.hypot(36, 24)  # mm: a "35 mm equivalent" focal length has the same diagonal field of view on film
SAME_SHAPE = 0.01  # by which sides that were rounded, and borders that developing keeps, change the shape of a picture
# Of the first directory what says who took what, when, with what: name and description, make, model, software, date,
# artist, computer, rating (stars and percent), copyright, and Windows' title, comment, author, keywords and subject.
KEPT_TAGS = (269, 270, 271, 272, 305, 306, 315, 316, 0x4746, 0x4749, 33432, *range(0x9C9B, 0x9CA0))
# Valid only for the original picture or file: maker notes, interoperability, and the two tags of the size.
LEFT_OUT = (0x927C, 0xA005)
PARTS = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)
INFINITELY_FAR = 10_000.0  # metres; EXIF writes 2^32 - 1 for infinity
MOST_PROFILE = 4_000_000  # bytes of ICC that are parsed
LARGEST_EXIF = 65_527  # bytes: what one segment of a JPEG holds, after its length and "Exif\0\0"


def orientation(exif: Mapping[int, Any]) -> int:
    """Return the EXIF orientation, 1 to 8; 1 if it is missing or invalid."""
    number = _number(exif, ExifTags.Base.Orientation)
    return int(number) if number in range(1, 9) else 1


def worth_keeping(exif: Image.Exif, most: int = LARGEST_EXIF) -> tuple[bytes, tuple[str, ...], tuple[str, ...]]:
    """Return names, author, time, exposure and place as EXIF ready to be written; the names of damaged tags; and those
    of tags left out to stay within `most` bytes. Tags that hold for the old file only (orientation, thumbnails, maker
    notes) are dropped.
    """
    kept: list[tuple[int | None, int, Any, int]] = []
    damaged: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of tags that are dropped here
        for part, tag, value in _tags(exif):
            size = len(_written([(part, tag, value, 0)]))
            if size:
                kept.append((part, tag, value, size))
            else:
                damaged.append(_name(part, tag))
        kept.sort(key=lambda entry: entry[3])
        data, large = _written(kept), []
        while kept and not 0 < len(data) <= most:
            part, tag, *_ = kept.pop()
            large.append(_name(part, tag))
            data = _written(kept)
    return data, tuple(damaged), tuple(large)


def fitting(data: bytes, most: int = LARGEST_EXIF) -> bytes:
    """Return EXIF of at most `most` bytes: `data`, without its largest tags if it is larger, empty if it is broken."""
    exif = Image.Exif()
    try:
        exif.load(data)
    except Exception:  # parsers raise whatever they like on foreign bytes
        return b""
    return data if len(data) <= most else worth_keeping(exif, most)[0]


def is_adobe_rgb(exif: Image.Exif) -> bool:
    """Return whether a camera marks Adobe RGB by DCF 2.0: no known colour space, interoperability R03."""
    rule = str(_part(exif, ExifTags.IFD.Interop).get(1, "")).strip("\0 ")
    return _number(_part(exif, ExifTags.IFD.Exif), ExifTags.Base.ColorSpace) == 65535 and rule == "R03"


def as_srgb(data: bytes) -> bytes:
    """Return EXIF that `worth_keeping` wrote with sRGB as its colour space."""
    exif = Image.Exif()
    exif.load(data)
    exif[ExifTags.IFD.Exif] = {**exif.get_ifd(ExifTags.IFD.Exif), ExifTags.Base.ColorSpace: 1}
    return exif.tobytes()


def focal_in_pixels(exif: Image.Exif, size: tuple[int, int]) -> float | None:
    """Return the focal length by the 35 mm equivalent, else by the sensor's resolution; None if EXIF has neither.

    In pixels of the picture as it is, of `size` (width, height): it grows and shrinks with the picture when that is
    resized, and stays when it is cropped (`size_before_crop`).
    """
    tags, taken, before = _part(exif, ExifTags.IFD.Exif), _taken_size(exif), size_before_crop(exif, size)
    scale = 1.0 if taken is None else max(size) / max(taken)
    if before is not None:  # larger than the whole picture was only if it was enlarged as well
        scale = max(1.0, min(max(size[0] / w, size[1] / h) for w, h in (before, before[::-1])))
    film = _number(tags, ExifTags.Base.FocalLengthIn35mmFilm)
    if film > 0:
        return film / FILM_DIAGONAL * math.hypot(*(taken or size)) * scale
    per_unit = _number(tags, ExifTags.Base.FocalPlaneXResolution)
    unit = {2: 25.4, 3: 10.0, 4: 1.0}.get(int(_number(tags, ExifTags.Base.FocalPlaneResolutionUnit) or 2), 25.4)  # mm
    focal = _number(tags, ExifTags.Base.FocalLength) * per_unit / unit * scale
    return focal if 0 < focal < math.inf else None


def size_before_crop(exif: Image.Exif, size: tuple[int, int]) -> tuple[int, int] | None:
    """Return the (width, height) that EXIF states of a picture which has another shape now; None for one that has not,
    or if EXIF does not state both.

    Programs that turn pictures leave these tags as they were, so the sides may be exchanged. A crop that keeps the
    shape cannot be told from a resized picture, and is taken for one.
    """
    taken = _taken_size(exif)
    if taken is None:
        return None
    upright = taken[::-1] if orientation(exif) in range(5, 9) else taken
    alike, turned = (abs(size[0] * h / (size[1] * w) - 1) <= SAME_SHAPE for w, h in (upright, upright[::-1]))
    one_side_kept = size[0] == upright[0] or size[1] == upright[1]
    return None if alike or (turned and not one_side_kept) else taken


def dots_per_inch(info: Mapping[Any, Any], exif: Image.Exif) -> dict[str, tuple[float, float]]:
    """Return {"dpi": (x, y)} of the upright picture by its `info` (as Pillow reads it), else by EXIF; {} if neither
    states it."""
    unit = {2: 1.0, 3: 2.54}.get(int(_number(exif, ExifTags.Base.ResolutionUnit) or 2), 0.0)
    stated = info.get("dpi") or [unit * _number(exif, tag) for tag in (282, 283)]
    try:
        x, y = (float(value) for value in stated)
    except Exception:  # values may be of any type
        return {}
    x, y = (y, x) if orientation(exif) >= 5 else (x, y)
    return {"dpi": (x, y)} if 1 <= min(x, y) <= max(x, y) < 65_536 else {}  # what a JPEG can state


def _taken_size(exif: Image.Exif) -> tuple[int, int] | None:
    tags = _part(exif, ExifTags.IFD.Exif)
    width, height = (int(_number(tags, tag)) for tag in (ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight))
    return (width, height) if min(width, height) > 0 else None


def subject_distance(exif: bytes) -> float | None:
    """Return the distance in metres that the camera was focused at; None if EXIF has none, or infinity."""
    content = Image.Exif()
    if exif:
        content.load(exif)
    metres = _number(_part(content, ExifTags.IFD.Exif), ExifTags.Base.SubjectDistance)
    return metres if 0 < metres < INFINITELY_FAR else None


def _tags(exif: Image.Exif) -> Iterator[tuple[int | None, int, Any]]:
    """Yield the tags that may be kept: the directory (None: the first), the tag and its value."""
    for tag in KEPT_TAGS:
        try:
            if tag in exif:
                yield None, tag, exif[tag]
        except Exception:
            continue
    for part in PARTS:
        numbers = (
            range(0x829A, 0x10000) if part == ExifTags.IFD.Exif else range(0x20)
        )  # other tags belong to another directory
        tags = {tag: value for tag, value in _part(exif, part).items() if tag in numbers}
        yield from ((part, tag, value) for tag, value in tags.items() if tag not in (*LEFT_OUT, *PARTS))


def _written(entries: list[tuple[int | None, int, Any, int]]) -> bytes:
    """Return the bytes of these tags; none if one of them cannot be written and read again."""
    new, again = Image.Exif(), Image.Exif()
    parts: dict[int, dict[int, Any]] = {}
    for part, tag, value, _ in entries:
        if part is None:
            new[tag] = value
        else:
            parts.setdefault(part, {})[tag] = value
    for part, tags in parts.items():
        new[part] = tags
    try:
        data = new.tobytes() if entries else b""
        again.load(data)
        read = [_part(again, part)[tag] if part else again[tag] for part, tag, *_ in entries]
    except Exception:  # writers may raise anything on values of a wrong type
        return b""
    return data if len(read) == len(entries) else b""


def _part(exif: Image.Exif, part: int) -> dict[int, Any]:
    try:
        return dict(exif.get_ifd(part))
    except Exception:  # parsers raise whatever they like on foreign bytes
        return {}


def _name(part: int | None, tag: int) -> str:
    names: Any = ExifTags.GPSTAGS if part == ExifTags.IFD.GPSInfo else ExifTags.TAGS
    return str(names.get(tag, f"0x{tag:04x}"))


def _number(tags: Mapping[int, Any], tag: int) -> float:
    """Return the value of a tag, 0 when it is missing or no number (rationals may have denominator 0).

    A number of type BYTE or UNDEFINED is a byte.
    """
    try:
        value: Any = tags.get(tag, 0)
        value = value[0] if isinstance(value, bytes) and len(value) == 1 and value[0] < 32 else value
        number = float(value[0] if isinstance(value, tuple) and len(value) == 1 else value)
    except Exception:  # values may be of any type
        return 0.0
    return number if math.isfinite(number) else 0.0


_NAME = re.compile(r"(?<!/)GPano:(\w{1,64})")
_VALUE = re.compile(r"\s{0,9}(?:=\s{0,9}[\"']([^\"'<>]{0,256})[\"']|>([^<>]{0,256})<)")
LARGEST_XMP = 64_000  # bytes of XMP that are parsed: Google's own have one or two thousand
POSE = ("PoseHeadingDegrees", "PosePitchDegrees", "PoseRollDegrees")
ORDINARY = ("rectilinear", "perspective", "none")  # projections of a photo from an ordinary lens


@dataclass(frozen=True)
class Gpano:
    """Google's metadata of a panorama: `projection` such as equirectangular or cylindrical; in pixels of the whole
    sphere, `full` (height, width) and `window` (left, top, width, height), the part that is shown (None: not known).
    `pose` are the camera's angles in degrees by their names, such as PosePitchDegrees."""

    projection: str
    full: tuple[int, int] | None = None
    window: tuple[int, int, int, int] | None = None
    pose: tuple[tuple[str, float], ...] = ()

    @property
    def whole(self) -> bool:
        """Return whether the picture shows the whole sphere, as far as its metadata says."""
        if self.full is None or self.window is None:
            return True
        (height, width), (_, _, wide, tall) = self.full, self.window
        return (wide, tall) == (width, height)

    @property
    def tilt(self) -> float:
        """Degrees by which the camera's vertical is off, by pitch and roll; 0 where they are not known."""
        angles = dict(self.pose)
        pitch, roll = (math.radians(angles.get(f"Pose{name}Degrees", 0.0)) for name in ("Pitch", "Roll"))
        return math.degrees(math.acos(math.cos(pitch) * math.cos(roll)))


_WHOLE = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:GPano="http://ns.google.com/photos/1.0/panorama/" GPano:UsePanoramaViewer="True"
 GPano:ProjectionType="equirectangular" GPano:FullPanoWidthPixels="{width}" GPano:FullPanoHeightPixels="{height}"
 GPano:CroppedAreaImageWidthPixels="{width}" GPano:CroppedAreaImageHeightPixels="{height}"
 GPano:CroppedAreaLeftPixels="0" GPano:CroppedAreaTopPixels="0"{pose}/></rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>"""


def whole_sphere_xmp(size: tuple[int, int], pose: tuple[tuple[str, float], ...] = ()) -> bytes:
    """Return the XMP block by which viewers recognise a panorama of the whole sphere, of `size` (height, width)."""
    angles = "".join(f'\n GPano:{name}="{angle:g}"' for name, angle in pose)
    return _WHOLE.format(height=size[0], width=size[1], pose=angles).encode()


def xmp_options(xmp: bytes, kind: str) -> dict[str, Any]:
    """Return Pillow's options to save an XMP block in a file of this kind; none for kinds without XMP."""
    if kind == "PNG":
        chunks = PngImagePlugin.PngInfo()
        chunks.add_itxt("XML:com.adobe.xmp", xmp.decode())
        return {"pnginfo": chunks}
    return {"xmp": xmp}


def read_gpano(xmp: bytes | str) -> Gpano | None:
    """Return the GPano part of an XMP block, as attributes or as elements.

    None if it has none, names no projection, or names that of an ordinary photo.
    """
    text = (xmp.decode("utf-8", "replace") if isinstance(xmp, bytes) else xmp)[:LARGEST_XMP]
    pairs = ((name[1], _VALUE.match(text, name.end())) for name in _NAME.finditer(text))
    values = {name: (value[1] or value[2] or "").strip() for name, value in pairs if value}
    if values.get("ProjectionType", "").lower() in ("", *ORDINARY):
        return None
    full = _numbers(values, "FullPanoHeightPixels", "FullPanoWidthPixels")
    size = _numbers(values, "CroppedAreaImageWidthPixels", "CroppedAreaImageHeightPixels")
    corner = _numbers(values, "CroppedAreaLeftPixels", "CroppedAreaTopPixels")
    window = None if size is None or corner is None else (corner[0], corner[1], size[0], size[1])
    angles = ((name, _numbers(values, name, convert=float)) for name in POSE)
    pose = tuple((name, float(angle[0])) for name, angle in angles if angle and abs(angle[0]) <= 360)
    good = full is not None and min(full) > 0 and window is not None and min(window[2:]) > 0
    whole = (full[0], full[1]) if full and good else None
    return Gpano(values["ProjectionType"].lower(), whole, window if good else None, pose)


def _numbers(values: dict[str, str], *names: str, convert: Callable[[float], float] = round) -> tuple[Any, ...] | None:
    try:
        return tuple(convert(float(values[name])) for name in names)
    except (KeyError, ValueError, OverflowError):
        return None


def binary(value: object) -> bytes:
    """Return metadata as bytes, whatever type they were stored as; empty for values that are neither text nor bytes."""
    value = value[0] if isinstance(value, tuple) and len(value) == 1 else value
    value = value.encode("utf-8", "replace") if isinstance(value, str) else value
    return value if isinstance(value, bytes) and len(value) <= MOST_PROFILE else b""
