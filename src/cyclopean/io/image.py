"""Photos, read and written as cameras and phones make them, and resizing.

A `Photo` from any file is upright, opaque sRGB in [0,1]. Writing restores the picture's own EXIF.
"""

import io
import math
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from cyclopean.errors import InputError, enough_memory, lacks_memory, unknown_name
from cyclopean.geometry import Equirectangular, Pinhole, size_of
from cyclopean.io import metadata, photo_encoders
from cyclopean.io.decoding import decode
from cyclopean.io.depthmap import DepthMap
from cyclopean.io.files import appearing, printable
from cyclopean.io.limits import MOST_MEGAPIXELS, register_heif
from cyclopean.io.metadata import Gpano, read_gpano, whole_sphere_xmp, xmp_options
from cyclopean.io.photo_encoders import USUAL
from cyclopean.io.profiles import Rgb, to_profile, to_profile_deep
from cyclopean.io.sidecar import AnyCamera


@dataclass(frozen=True)
class Photo:
    """One picture: `image` is upright sRGB in [0,1]; `camera` comes from its metadata (None if they have none).

    `gpano` is their panorama part; a picture of the whole sphere has an equirectangular camera. `name` and `format`
    (Pillow's word, such as "JPEG") are those of its file, `bits` per channel is 8 or 16, `exif` the part of its
    metadata that is worth keeping and `profile` its ICC profile, both ready to be written again; `encoder_options` are
    Pillow's, to save a picture like its file, and its resolution (`dpi`). `notes` are sentences for its user on unused
    parts of the file and on conversions.
    """

    image: Rgb
    camera: AnyCamera | None = None
    name: str = "photo.png"
    format: str = "PNG"
    bits: int = 8
    exif: bytes = b""
    profile: bytes = b""
    gpano: Gpano | None = None
    encoder_options: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return size_of(self.image)

    def __repr__(self) -> str:
        h, w = self.size
        camera = "no camera known" if self.camera is None else type(self.camera).__name__
        return f"Photo({printable(self.name)}, {w}x{h}, {self.bits} bits, {camera})"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Return the pixels: uint8, `h w 3`, RGB. Raises ValueError for `copy=False`: a photo holds floats."""
        if copy is False:
            raise ValueError("the pixels of a Photo are computed from its floats, so they cannot be had without a copy")
        return _whole_numbers(self.image, 255).astype(np.uint8).astype(dtype or np.uint8, copy=False)

    def save(self, path: str | Path) -> None:
        """Write to `path`, in the format of its suffix. 16-bit photos keep 16 bits in .png and .tif."""
        path = Path(path)
        with appearing(path.parent) as folder:
            write_photo(folder / path.name, self)


def read_photo(path: str | Path, most_megapixels: float = MOST_MEGAPIXELS) -> Photo:
    """Return the photo in the file at `path`: its main picture, the first frame if it has several.

    EXIF orientation is applied, colours are converted to sRGB (by ICC profile, cICP, nclx, gAMA, or Exif's mark of
    Adobe RGB), alpha is composited over white, high dynamic range is tone-mapped, and a camera's raw file is developed.
    The content of the file counts, not its suffix. Raises InputError for files that are missing, not pictures, damaged,
    smaller than 16 pixels, or larger than the limit (checked before decoding). Metadata never raise: invalid ones are
    left out.
    """
    path = Path(path)
    with enough_memory(str(path)), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of odd metadata in good pictures
        decoded = decode(path, most_megapixels)
        kept, damaged, large = metadata.worth_keeping(decoded.exif)
        if metadata.is_adobe_rgb(decoded.exif) and kept and not decoded.profile:
            kept = metadata.as_srgb(kept)  # as the picture is now
        notes = list(decoded.notes)
        for names, why in ((damaged, "damaged"), (large, "more than the 64 kB that results keep")):
            if names:
                few = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
                notes.append(f"{path.name}: EXIF that is {why} is left out of what is written ({few}).")
        h, w = decoded.image.shape[-2:]
        focal = metadata.focal_in_pixels(decoded.exif, (w, h))
        before = metadata.size_before_crop(decoded.exif, (w, h))
    gpano = read_gpano(decoded.xmp)
    camera: AnyCamera | None = None
    if gpano is not None:  # a partial sphere, or metadata that contradict the picture, give no camera
        if gpano.projection == "equirectangular" and gpano.whole and abs(w - 2 * h) <= 1:
            camera = Equirectangular()
    elif focal is not None and 1 < math.degrees(2 * math.atan(max(h, w) / 2 / focal)) < 150:  # as lenses have
        camera = Pinhole(torch.tensor([[focal / w, focal / h]]), torch.tensor([[0.5, 0.5]]))
        if before is not None:
            angle = math.degrees(2 * math.atan(max(h, w) / 2 / focal))
            notes.append(
                f"{path.name}: it was {before[0]}x{before[1]} pixels when it was taken and is {w}x{h} now, another "
                f"shape, so it is taken for a crop from about the middle, not resized: {angle:.0f} degrees along its "
                "longer side."
            )
    return Photo(
        decoded.image, camera, path.name, decoded.format, decoded.bits, kept, decoded.profile, gpano,
        decoded.encoder_options, tuple(notes),
    )  # fmt: skip


def write_photo(path: Path, photo: Photo) -> None:
    """Write in the format of `path`'s suffix, in the photo's colour profile and with its EXIF if the format can hold
    it; a panorama gets GPano metadata, unless it was only detected as one.

    Raises InputError for an unknown suffix, and for pictures that its encoder cannot write.
    """
    suffix = path.suffix.lower()
    if suffix not in USUAL:
        raise unknown_name("picture format", path.suffix, USUAL)
    h, w = photo.size
    if not photo_encoders.holds(suffix, photo.size):
        raise InputError(
            f"{path.name} cannot be written with {w}x{h} pixels, a {suffix} has at most "
            f"{photo_encoders.LONGEST_SIDE[suffix]} on a side; write a .png."
        )
    if suffix in (".heic", ".heif", ".hif"):
        register_heif()
    kind = Image.registered_extensions()[suffix]
    spherical = isinstance(photo.camera, Equirectangular)
    xmp = whole_sphere_xmp(photo.size, photo.gpano.pose) if photo.gpano is not None and spherical else b""
    encoder = dict(photo.encoder_options)
    dpi = encoder.pop("dpi", None)
    try:
        if photo.bits == 16 and kind in _DEEP:
            image, profile = to_profile_deep(photo.image, photo.profile)
            exif = metadata.fitting(photo.exif, sys.maxsize)
            path.write_bytes(_DEEP[kind](_whole_numbers(image, 65535).astype(np.uint16), exif, profile, xmp, dpi))
            return
        picture = Image.fromarray(_whole_numbers(photo.image, 255).astype(np.uint8))
        options: dict[str, Any] = {}
        if kind in _WITH_METADATA:
            if photo.profile:
                picture, options = to_profile(picture, photo.profile)
            if exif := metadata.fitting(photo.exif, metadata.LARGEST_EXIF if kind in ("JPEG", "MPO") else sys.maxsize):
                options["exif"] = exif
            if xmp and kind != "TIFF":
                options |= xmp_options(xmp, kind)
        if kind == "TIFF":
            exif, profile = options.get("exif", b""), options.get("icc_profile", b"")
            path.write_bytes(photo_encoders.tiff(np.array(picture), exif, profile, xmp, dpi))
            return
        if suffix == ".pgm":
            picture = picture.convert("L")  # the format has no colours
        alike = encoder if kind == photo.format else {}
        options |= {"dpi": dpi} if dpi else {}
        picture.save(path, **{**USUAL[suffix], **alike, **options})
    except (OSError, ValueError, RuntimeError) as error:
        if lacks_memory(error) or getattr(error, "errno", None):  # a full disk is not an error of the picture
            raise
        raise InputError(f"{path.name} cannot be written with {w}x{h} pixels ({error}); write a .png.") from None


_DEEP: dict[str, Callable[[np.ndarray, bytes, bytes, bytes, tuple[float, float] | None], bytes]] = {
    "PNG": photo_encoders.png,
    "TIFF": photo_encoders.tiff,
    "HEIF": photo_encoders.heic,
}
_WITH_METADATA = ("PNG", "JPEG", "MPO", "WEBP", "TIFF", "HEIF", "AVIF")


def _whole_numbers(image: Rgb, white: int) -> np.ndarray:
    return image[0].clamp(0, 1).mul(white).round().permute(1, 2, 0).contiguous().cpu().numpy()


def resize(image: Float[Tensor, "b c h w"], size: tuple[int, int]) -> Float[Tensor, "b c h2 w2"]:
    """Return `image` at `size` (height, width): area average to shrink, bilinear to enlarge; differentiable."""
    before = size_of(image)
    if before == size:
        return image
    if size[0] <= before[0] and size[1] <= before[1]:
        return F.interpolate(image, size, mode="area")
    return F.interpolate(image, size, mode="bilinear", antialias=True, align_corners=False)


def size_within(size: tuple[int, int], pixels: int, least: int = 1, longest: int = sys.maxsize) -> tuple[int, int]:
    """Return the (height, width) of about `pixels` in the shape of `size`; never larger, no side above `longest`, and
    none below `least`."""
    shrink = max(1.0, math.sqrt(size[0] * size[1] / pixels), max(size) / longest)
    return max(least, round(size[0] / shrink)), max(least, round(size[1] / shrink))


def grey_of(picture: Float[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w"]:
    """Return the brightness of a picture in [0,1], in 255 steps."""
    return np.clip(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) * 255, 0, 255).round().astype(np.uint8)


def small_grey(image: Float[Tensor, "1 3 h w"], size: tuple[int, int]) -> UInt8[np.ndarray, "h2 w2"]:
    """Return `grey_of` an image at `size` (height, width)."""
    picture = np.ascontiguousarray(image[0].permute(1, 2, 0).numpy())
    return grey_of(cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA))


def grey_within(image: Float[Tensor, "1 3 h w"], longest: int) -> UInt8[np.ndarray, "h2 w2"]:
    """Return `grey_of` an image whose longer side is at most `longest` pixels, no side below 16."""
    scale = min(1.0, longest / max(image.shape[-2:]))
    height, width = (max(16, round(side * scale)) for side in image.shape[-2:])
    return small_grey(image, (height, width))


TEXTURE = 4096  # pixels on a side that every graphics card takes


def jpeg(image: Rgb, longest: int = photo_encoders.LONGEST_SIDE[".jpg"]) -> bytes:
    """Return a JPEG file of `image` without metadata, at most `longest` pixels on its longer side."""
    small = resize(image, size_within(size_of(image), sys.maxsize, longest=longest))
    file = io.BytesIO()
    Image.fromarray(_whole_numbers(small, 255).astype(np.uint8)).save(file, "JPEG", quality=91)
    return file.getvalue()


def resize_depth(depth: DepthMap, size: tuple[int, int]) -> DepthMap:
    """Return `depth` at `size` (height, width). Unknown pixels are ignored; a pixel is known if half its area is."""
    weight = resize(depth.valid.to(depth.inverse_depth.dtype), size)
    total = resize(torch.where(depth.valid, depth.inverse_depth, 0), size)
    valid = weight >= 0.5
    values = torch.where(valid, total / weight, torch.nan)
    return replace(depth, inverse_depth=values, valid=valid)
