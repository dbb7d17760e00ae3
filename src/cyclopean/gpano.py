"""What a picture says of itself as a panorama: Google's photo sphere metadata (GPano) in its XMP block."""

import re
from dataclasses import dataclass
from typing import Any

from PIL import PngImagePlugin

_NAME = re.compile(r"(?<!/)GPano:(\w{1,64})")
_VALUE = re.compile(r"\s{0,9}(?:=\s{0,9}[\"']([^\"'<>]{0,256})[\"']|>([^<>]{0,256})<)")
MOST = 64_000  # bytes of XMP that are looked at: Google's own have one or two thousand
ORDINARY = ("rectilinear", "perspective", "none")  # projections of a photo from an ordinary lens


@dataclass(frozen=True)
class Gpano:
    """`projection` such as equirectangular or cylindrical; of the whole sphere in pixels, `full` (height, width) and
    `window` (left, top, width, height), the part that the picture shows. None: the metadata does not say."""

    projection: str
    full: tuple[int, int] | None = None
    window: tuple[int, int, int, int] | None = None

    @property
    def whole(self) -> bool:
        """Whether the picture shows the whole sphere, as far as its metadata says."""
        if self.full is None or self.window is None:
            return True
        (height, width), (_, _, wide, tall) = self.full, self.window
        return (wide, tall) == (width, height)


_WHOLE = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:GPano="http://ns.google.com/photos/1.0/panorama/" GPano:UsePanoramaViewer="True"
 GPano:ProjectionType="equirectangular" GPano:FullPanoWidthPixels="{width}" GPano:FullPanoHeightPixels="{height}"
 GPano:CroppedAreaImageWidthPixels="{width}" GPano:CroppedAreaImageHeightPixels="{height}"
 GPano:CroppedAreaLeftPixels="0" GPano:CroppedAreaTopPixels="0"/></rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>"""


def whole_sphere_xmp(size: tuple[int, int]) -> bytes:
    """The XMP block of a panorama of the whole sphere, of `size` (height, width), for viewers to know it by."""
    return _WHOLE.format(height=size[0], width=size[1]).encode()


def for_pillow(xmp: bytes, kind: str) -> dict[str, Any]:
    """Pillow's words for saving an XMP block in a file of this kind, one that has a place for it."""
    if kind == "PNG":
        chunks = PngImagePlugin.PngInfo()
        chunks.add_itxt("XML:com.adobe.xmp", xmp.decode())
        return {"pnginfo": chunks}
    return {"xmp": xmp}


def read_gpano(xmp: bytes | str) -> Gpano | None:
    """The GPano part of an XMP block, as attributes or as elements; None if it has none, names no projection, or
    names that of an ordinary photo."""
    text = (xmp.decode("utf-8", "replace") if isinstance(xmp, bytes) else xmp)[:MOST]
    pairs = ((name[1], _VALUE.match(text, name.end())) for name in _NAME.finditer(text))
    said = {name: (value[1] or value[2] or "").strip() for name, value in pairs if value}
    if said.get("ProjectionType", "").lower() in ("", *ORDINARY):
        return None
    full = _numbers(said, "FullPanoHeightPixels", "FullPanoWidthPixels")
    size = _numbers(said, "CroppedAreaImageWidthPixels", "CroppedAreaImageHeightPixels")
    corner = _numbers(said, "CroppedAreaLeftPixels", "CroppedAreaTopPixels")
    window = None if size is None or corner is None else (corner[0], corner[1], size[0], size[1])
    good = full is not None and min(full) > 0 and window is not None and min(window[2:]) > 0
    return Gpano(
        said["ProjectionType"].lower(), (full[0], full[1]) if full and good else None, window if good else None
    )


def _numbers(said: dict[str, str], *names: str) -> tuple[int, ...] | None:
    try:
        return tuple(round(float(said[name])) for name in names)
    except (KeyError, ValueError, OverflowError):
        return None
