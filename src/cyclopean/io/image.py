"""Photos in and out, as cameras and phones make them; resizing and false colours for everyone.

Whatever the file is, a `Photo` is upright, opaque sRGB in [0,1]. Writing puts the picture's own EXIF back.
"""

import io
import math
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from cyclopean.errors import InputError, enough_memory, lacks_memory, unknown_name
from cyclopean.geometry import Equirectangular, Pinhole
from cyclopean.io import encoding, metadata
from cyclopean.io.decoding import MOST_MEGAPIXELS, Rgb, by_table, decode, in_profile, register_heif
from cyclopean.io.depthmap import DepthMap
from cyclopean.io.encoding import USUAL
from cyclopean.io.files import appearing, shown
from cyclopean.io.metadata import Gpano, for_pillow, read_gpano, whole_sphere_xmp
from cyclopean.io.sidecar import AnyCamera


@dataclass(frozen=True)
class Photo:
    """One picture: `image` is upright sRGB in [0,1]; `camera` comes from its metadata (None: they do not say).

    `gpano` is what they say of a panorama; one of the whole sphere has an equirectangular camera. `name` and `format`
    (Pillow's word, such as "JPEG") are those of its file, `bits` per channel is 8 or 16, `exif` what is worth keeping
    of its metadata and `profile` its ICC profile, both ready to be written again; `compression` is that of its file.
    `notes` are sentences for its user: what of the file is not used, and what was done to it.
    """

    image: Rgb
    camera: AnyCamera | None = None
    name: str = "photo.png"
    format: str = "PNG"
    bits: int = 8
    exif: bytes = b""
    profile: bytes = b""
    gpano: Gpano | None = None
    compression: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.image.shape[-2], self.image.shape[-1]

    def __repr__(self) -> str:
        h, w = self.size
        camera = "no camera known" if self.camera is None else type(self.camera).__name__
        return f"Photo({shown(self.name)}, {w}x{h}, {self.bits} bits, {camera})"

    def save(self, path: str | Path) -> None:
        """Write to `path`; its suffix names the format. 16-bit photos stay so in .png and .tif."""
        path = Path(path)
        with appearing(path.parent) as folder:
            write_photo(folder / path.name, self)


def read_photo(path: str | Path, most_megapixels: float = MOST_MEGAPIXELS) -> Photo:
    """The photo in the file at `path`: its main picture, the first frame if it has several.

    EXIF orientation is applied, colours are brought to sRGB (by ICC profile, cICP, nclx or gAMA), alpha is laid over
    white, high dynamic range made viewable, a camera's raw file developed. What the file is counts, not its suffix.
    Raises InputError for files that are missing, no pictures, damaged, smaller than 16 pixels, or larger than the limit
    (checked before decoding). Metadata never raise: what is wrong of them is left out.
    """
    path = Path(path)
    with enough_memory(str(path)), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of odd metadata in pictures that are fine
        decoded = decode(path, most_megapixels)
        kept, damaged, large = metadata.worth_keeping(decoded.exif)
        notes = list(decoded.notes)
        for names, why in ((damaged, "damaged"), (large, "more than the 64 kB that fit into a JPEG")):
            if names:
                notes.append(f"{path.name}: EXIF that is {why} is left out of what is written ({_few(names)}).")
        h, w = decoded.image.shape[-2:]
        focal = metadata.focal_in_pixels(decoded.exif, (w, h))
    gpano = read_gpano(decoded.xmp)
    camera = _camera(focal, decoded.image) if gpano is None else _sphere(gpano, decoded.image)
    return Photo(
        decoded.image, camera, path.name, decoded.format, decoded.bits, kept, decoded.profile, gpano, decoded.alike,
        tuple(notes),
    )  # fmt: skip


def write_photo(path: Path, photo: Photo) -> None:
    """Write in the format of `path`'s suffix, in the photo's colour profile and with its EXIF if it has a place; that
    of a panorama says so (GPano), unless it was only taken for one."""
    suffix = path.suffix.lower()
    if suffix not in USUAL:
        raise unknown_name("picture format", path.suffix, USUAL)
    if suffix in _HEIF:
        register_heif()
    kind = Image.registered_extensions()[suffix]
    if photo.bits == 16 and kind in _DEEP:
        with _encoding(path, photo):
            return _write_16_bit(path, photo, kind)
    picture = Image.fromarray(_bytes(photo.image, 255).astype(np.uint8))
    said: dict[str, Any] = {}
    if kind in _TELLING:
        if photo.profile:
            picture, said = in_profile(picture, photo.profile)
        if data := metadata.fitting(photo.exif, metadata.LARGEST_EXIF if kind in ("JPEG", "MPO") else sys.maxsize):
            said["exif"] = data
        if _xmp(photo) and kind != "TIFF":
            said |= for_pillow(_xmp(photo), kind)
    if kind == "TIFF":
        path.write_bytes(
            encoding.tiff(np.array(picture), said.get("exif", b""), said.get("icc_profile", b""), _xmp(photo))
        )
        return None
    if suffix == ".pgm":
        picture = picture.convert("L")  # the format has no colours
    alike = photo.compression if kind == photo.format else {}
    with _encoding(path, photo):
        picture.save(path, **{**USUAL[suffix], **alike, **said})
    return None


@contextmanager
def _encoding(path: Path, photo: Photo) -> Iterator[None]:
    """What an encoder refuses becomes an InputError; disks that are full and memory that is refused go through."""
    try:
        yield
    except (OSError, ValueError, RuntimeError) as error:
        if lacks_memory(error) or getattr(error, "errno", None):
            raise
        h, w = photo.size
        raise InputError(f"{path.name} cannot be written with {w}x{h} pixels ({error}); write a .png.") from None


def _xmp(photo: Photo) -> bytes:
    """What tells viewers that a photo is a panorama, if its file or its user said that it is; nothing for others."""
    said = isinstance(photo.camera, Equirectangular) and photo.gpano is not None
    return whole_sphere_xmp(photo.size) if said else b""


_DEEP: dict[str, Callable[[np.ndarray, bytes, bytes, bytes], bytes]] = {
    "PNG": encoding.png,
    "TIFF": encoding.tiff,
    "HEIF": encoding.heic,
}
_HEIF = (".heic", ".heif", ".hif")
_TELLING = ("PNG", "JPEG", "MPO", "WEBP", "TIFF", "HEIF", "AVIF")  # have a place for metadata


def resize(image: Float[Tensor, "b c h w"], size: tuple[int, int]) -> Float[Tensor, "b c h2 w2"]:
    """`image` at `size` (height, width): averages areas when shrinking, bilinear when growing; differentiable."""
    here = (image.shape[-2], image.shape[-1])
    if here == size:
        return image
    if size[0] <= here[0] and size[1] <= here[1]:
        return F.interpolate(image, size, mode="area")
    return F.interpolate(image, size, mode="bilinear", antialias=True, align_corners=False)


def size_within(size: tuple[int, int], pixels: int, least: int = 1) -> tuple[int, int]:
    """Return the (height, width) of about `pixels` in the shape of `size`; never larger, no side below `least`."""
    shrink = max(1.0, math.sqrt(size[0] * size[1] / pixels))
    return max(least, round(size[0] / shrink)), max(least, round(size[1] / shrink))


def jpeg(image: Rgb, widest: int) -> bytes:
    """`image` as a JPEG file, shrunk to at most `widest` pixels on its longer side: a texture for a graphics card."""
    shrink = min(1.0, widest / max(image.shape[-2:]))
    small = resize(image, (round(image.shape[-2] * shrink), round(image.shape[-1] * shrink)))
    file = io.BytesIO()
    Image.fromarray(_bytes(small, 255).astype(np.uint8)).save(file, "JPEG", quality=91)
    return file.getvalue()


def resize_depth(depth: DepthMap, size: tuple[int, int]) -> DepthMap:
    """`depth` at `size` (height, width). Unknown pixels take no part; a pixel is known if half of what it covers is."""
    weight = resize(depth.valid.to(depth.inverse_depth.dtype), size)
    total = resize(torch.where(depth.valid, depth.inverse_depth, 0), size)
    valid = weight >= 0.5
    values = torch.where(valid, total / weight, torch.nan)
    return DepthMap(values, depth.kind, depth.unit, depth.camera, valid, depth.model, depth.ambiguity)


def _bytes(image: Rgb, full: int) -> np.ndarray:
    return image[0].clamp(0, 1).mul(full).round().permute(1, 2, 0).contiguous().cpu().numpy()


def _camera(focal: float | None, image: Rgb) -> Pinhole | None:
    """A pinhole of `focal` pixels; None also when no photo has such a field of view (under 1 or over 150 degrees)."""
    h, w = image.shape[-2:]
    if focal is None or not 1 < math.degrees(2 * math.atan(max(h, w) / 2 / focal)) < 150:
        return None
    return Pinhole(torch.tensor([[focal / w, focal / h]]), torch.tensor([[0.5, 0.5]]))


def _sphere(gpano: Gpano, image: Rgb) -> Equirectangular | None:
    """A panorama of the whole sphere; None for a part of one, another projection, or metadata that contradict it."""
    h, w = image.shape[-2:]
    whole = gpano.projection == "equirectangular" and gpano.whole and abs(w - 2 * h) <= 1
    return Equirectangular() if whole else None


def _write_16_bit(path: Path, photo: Photo, kind: str) -> None:
    image, profile = photo.image, b""
    if photo.profile and "icc_profile" in in_profile(Image.new("RGB", (1, 1)), photo.profile)[1]:
        image = by_table(image, lambda cube: in_profile(cube, photo.profile)[0])
        profile = photo.profile
    pixels = _bytes(image, 65535).astype(np.uint16)
    path.write_bytes(_DEEP[kind](pixels, metadata.fitting(photo.exif, sys.maxsize), profile, _xmp(photo)))


def _few(names: tuple[str, ...]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
