"""Photographs to try the app with: those inside scikit-image, if it is installed."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

WIDE = 240

# file inside scikit-image -> what it shows
PHOTOS = {
    "motorcycle_left.png": "A motorcycle in a workshop",
    "coffee.png": "A cup of coffee",
    "chelsea.png": "A cat",
    "astronaut.png": "An astronaut",
    "rocket.jpg": "A rocket at dusk",
}


@dataclass(frozen=True)
class Example:
    """A photo on this machine and what it shows."""

    path: Path
    title: str

    @cached_property
    def thumbnail(self) -> bytes:
        """Small JPEG of the photo."""
        from cyclopean.app.service import jpeg
        from cyclopean.io.image import read_photo, resize

        photo = read_photo(self.path)
        h, w = photo.size
        return jpeg(resize(photo.image, (max(1, round(h * WIDE / w)), WIDE)))


def found() -> list[Example]:
    """Return the examples that are here; none without scikit-image."""
    from importlib.util import find_spec

    spec = find_spec("skimage")
    if spec is None or spec.origin is None:
        return []
    folder = Path(spec.origin).parent / "data"
    return [Example(folder / name, title) for name, title in PHOTOS.items() if (folder / name).is_file()]
