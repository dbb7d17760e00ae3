"""The work behind the page, without any browser: a photo and its depth, previews in focus, results at full size."""

import io
import json
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from pathlib import Path

from jaxtyping import Float
from PIL import Image
from torch import Tensor

from cyclopean import refocus
from cyclopean.app.place import pixel, shown_size
from cyclopean.defocus.edges import refined
from cyclopean.defocus.filters import THIN_LENS
from cyclopean.defocus.focus import Focusable, wrap_panorama
from cyclopean.defocus.lens import Lens, parse_shape
from cyclopean.defocus.refocus import focusable
from cyclopean.errors import InputError
from cyclopean.inference.calibration import CameraProfile
from cyclopean.inference.panorama import framed
from cyclopean.inference.predictor import Predictor
from cyclopean.io.depthmap import DepthMap, colourise, value_range, write_depth
from cyclopean.io.files import appearing
from cyclopean.io.image import Photo, read_photo, resize, resize_depth, write_photo

GLANCE = 120_000  # pixels of what is shown while the pointer rests
QUALITY = 90

Rgb = Float[Tensor, "1 3 h w"]
Fraction = tuple[float, float]

# what the page calls it -> suffix and bits (None: as the photo has them)
KEPT = {
    "PNG": (".png", 8),
    "Same as the photo": (None, None),
    "PNG, 16 bits": (".png", 16),
    "TIFF, 16 bits": (".tif", 16),
}


@dataclass(frozen=True)
class Look:
    """How the photo shall be blurred, as the page's controls say."""

    amount: float = 1.0
    shape: str = "disc"
    range: float = 0.0
    highlights: float = 0.0
    method: str = THIN_LENS

    @property
    def lens(self) -> Lens:
        """Of these settings; raises InputError for those that no lens has."""
        return Lens(self.amount, None, parse_shape(self.shape), self.range, highlights=self.highlights)

    @property
    def strength(self) -> float:
        """Of the report's methods; the thin lens takes none."""
        return 1.0 if self.method == THIN_LENS else self.amount


@dataclass(frozen=True)
class Shot:
    """What is sharp, in fractions of width and height, and how the rest is blurred."""

    at: Fraction
    look: Look


@dataclass(frozen=True)
class Preview:
    """A photo at the size of the screen with its depth, and how large the photo itself is."""

    photo: Photo
    depth: DepthMap
    full: tuple[int, int]

    @cached_property
    def small(self) -> "Preview":
        """The same, smaller still: quick enough to follow the pointer."""
        size = shown_size(self.photo.size, GLANCE)
        image = resize(self.photo.image, size)
        return Preview(replace(self.photo, image=image), resize_depth(self.depth, size), self.full)

    def focused(self, shot: Shot) -> Photo:
        """The preview, sharp at the shot's point; a panorama over its seam, too."""
        at = pixel(shot.at, self.photo.size)
        return wrap_panorama(partial(self._once, shot.look), self.photo, self.depth, at)

    def _once(self, look: Look, photo: Photo, depth: DepthMap, at: tuple[int, int]) -> Photo:
        if look.method == THIN_LENS:
            return self._ready(look.lens, photo, depth).at(at)
        return refocus(photo, depth, at, method=look.method, lens=look.lens, strength=look.strength)

    def _ready(self, lens: Lens, photo: Photo, depth: DepthMap) -> Focusable[Photo]:
        """What does not depend on the focus is kept from the last time, if the lens is the same.

        `photo` is the preview's or, of a panorama, that one half a turn further.
        """
        kept, ahead = self._kept, photo is self.photo
        if ahead not in kept or kept[ahead].lens != lens:
            kept[ahead] = focusable(photo, depth, lens)
        return kept[ahead]

    @cached_property
    def _kept(self) -> dict[bool, Focusable[Photo]]:
        return {}


@dataclass(frozen=True)
class Darkroom:
    """The network, and how large a photo may be."""

    predictor: Predictor
    megapixels: float = 60.0

    def read(self, path: Path, camera: str = "auto") -> Photo:
        """The photo at `path` with its camera, one of `panorama.CAMERAS`."""
        return framed(read_photo(path, self.megapixels), camera)[0]

    def opened(self, path: Path, camera: str = "auto") -> Preview:
        """The photo at `path` and its depth, at the size of the screen. Raises InputError as `read_photo` does."""
        photo = self.read(path, camera)
        size = shown_size(photo.size)
        depth = resize_depth(self.predictor(photo), size)
        small = replace(photo, image=resize(photo.image, size))
        return Preview(small, refined(depth, small.image), photo.size)


def jpeg(image: Rgb) -> bytes:
    """For the browser."""
    array = image[0].clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).contiguous().numpy()
    file = io.BytesIO()
    Image.fromarray(array).save(file, "JPEG", quality=QUALITY, subsampling=0)
    return file.getvalue()


def coloured(depth: DepthMap) -> Rgb:
    """Depth in false colours: bright is near."""
    return colourise(depth.inverse_depth, *value_range(depth.inverse_depth))


def save_depth(
    room: Darkroom, path: Path, folder: Path, profile: CameraProfile | None = None, camera: str = "auto"
) -> list[Path]:
    """What `cyclopean predict` writes for the photo at `path`, at its full size: _disp.png, _disp.npy, _disp.json.

    In metres with a `profile`. `camera` is one of `panorama.CAMERAS`.
    """
    photo = room.read(path, camera)
    depth = room.predictor(photo)
    depth = profile.applied(depth) if profile else depth
    names = [f"{path.stem}_disp{suffix}" for suffix in (".png", ".npy", ".json")]
    with appearing(folder) as bench:
        write_photo(bench / names[0], Photo(coloured(depth)))
        write_depth([bench / names[1]], depth, photo.name, photo.size, (names[0],))
    return [folder / name for name in names]


def save_refocused(room: Darkroom, path: Path, shot: Shot, kept: str, folder: Path) -> list[Path]:
    """What `cyclopean refocus` writes for the photo at `path`: the picture at full size with its metadata, and a note.

    `kept` is one of `KEPT`. Depth is predicted and its edges drawn to the photo's, as that command does.
    """
    suffix, bits = KEPT[kept]
    photo = room.read(path)
    depth = refined(room.predictor(photo), photo.image)
    at, look = pixel(shot.at, photo.size), shot.look
    once = partial(refocus, method=look.method, lens=look.lens, strength=look.strength)
    result = wrap_panorama(once, photo, depth, at)
    name = f"{path.stem}_defocus{suffix or path.suffix}"
    with appearing(folder) as bench:
        write_photo(bench / name, result if bits is None else replace(result, bits=bits))
        note = (bench / name).with_suffix(".json")
        note.write_text(json.dumps(_note(path, at, look, depth, name), indent=2) + "\n")
    return [folder / name, folder / note.name]


def _note(path: Path, at: tuple[int, int], look: Look, depth: DepthMap, name: str) -> dict[str, object]:
    from cyclopean import __version__

    model = depth.model and {"name": depth.model.name, "sha256": depth.model.sha256}
    card = {"format": "cyclopean-refocus", "version": 1, "cyclopean": __version__}
    return {**card, "source": path.name, "at": at, **asdict(look), "model": model, "files": [name]}


def kept_choice(kept: str) -> str:
    """`kept` if it is one of `KEPT`."""
    if kept not in KEPT:
        raise InputError(f"{kept!r} is no kind of file; choose one of {', '.join(KEPT)}.")
    return kept
