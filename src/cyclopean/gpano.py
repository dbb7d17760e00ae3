"""What a picture says of itself as a panorama: Google's photo sphere metadata (GPano) in its XMP block."""

import re
from dataclasses import dataclass

_PAIR = re.compile(r"(?<!/)GPano:(\w+)\s*(?:=\s*[\"']([^\"']*)[\"']|>\s*([^<]*?)\s*<)")


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


def read_gpano(xmp: bytes | str) -> Gpano | None:
    """The GPano part of an XMP block, as attributes or as elements; None if it has none or names no projection."""
    text = xmp.decode("utf-8", "replace") if isinstance(xmp, bytes) else xmp
    said = {name: (attribute or element).strip() for name, attribute, element in _PAIR.findall(text)}
    if not said.get("ProjectionType"):
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
