"""Photographs to try the app with: those inside scikit-image, if it is installed."""

import io
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
        from PIL import Image

        file = io.BytesIO()
        with Image.open(self.path, formats=("JPEG", "PNG")) as picture:
            picture.draft("RGB", (WIDE, WIDE))
            small = picture.convert("RGB")
            small.thumbnail((WIDE, WIDE))
            small.save(file, "JPEG", quality=85)
        return file.getvalue()


def installed() -> list[Example]:
    """Return the examples that are here; none without scikit-image."""
    from importlib.util import find_spec

    spec = find_spec("skimage")
    if spec is None or spec.origin is None:
        return []
    folder = Path(spec.origin).parent / "data"
    return [Example(folder / name, title) for name, title in PHOTOS.items() if (folder / name).is_file()]
