"""Photos in and out, as cameras and phones make them; resizing and false colours for everyone.

Whatever the file is, a `Photo` is upright, opaque sRGB in [0,1]. Writing puts the picture's own EXIF back.
"""

import io
import math
import struct
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from PIL import ExifTags, Image, ImageCms, ImageOps
from torch import Tensor

from cyclopean import deepcolour, radiance
from cyclopean.compression import USUAL, compression
from cyclopean.depthmap import AnyCamera, DepthMap, appearing
from cyclopean.depthmap.colours import colourise as colourise  # noqa: PLC0414
from cyclopean.depthmap.colours import value_range as value_range  # noqa: PLC0414
from cyclopean.errors import InputError, unknown_name
from cyclopean.files import shown
from cyclopean.geometry import Equirectangular, Pinhole
from cyclopean.gpano import Gpano, for_pillow, read_gpano, whole_sphere_xmp

FORMATS = ("PNG", "JPEG", "MPO", "TIFF", "WEBP", "BMP", "GIF", "PPM", "JPEG2000", "HEIF", "AVIF")
SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp"),
    *(".gif", ".ppm", ".pgm", ".jp2", ".heic", ".heif", ".avif", radiance.SUFFIX),
)
MOST_MEGAPIXELS = 120.0
LEAST_SIDE = 16
FILM_DIAGONAL = math.hypot(36, 24)  # mm: a "35 mm equivalent" focal length has the same diagonal field of view on film
KEPT_TAGS = (270, 271, 272, 306, 315, 33432)  # description, make, model, date, artist, copyright

Rgb = Float[Tensor, "1 3 h w"]


@dataclass(frozen=True)
class Photo:
    """One picture: `image` is upright sRGB in [0,1]; `camera` comes from its metadata (None: they do not say).

    `gpano` is what they say of a panorama; one of the whole sphere has an equirectangular camera. `name` and `format`
    (Pillow's word, such as "JPEG") are those of its file, `bits` per channel is 8 or 16, `exif` what is worth keeping
    of its metadata and `profile` its ICC profile, both ready to be written again; `compression` is that of its file.
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
    """The photo in the file at `path`, first frame if it has several.

    EXIF orientation is applied, an ICC profile converted to sRGB, alpha laid over white, high dynamic range (.hdr) made
    viewable. Raises InputError for files that are missing, no pictures, damaged, smaller than 16 pixels, or larger than
    the limit (checked before decoding).
    """
    path = Path(path)
    _refuse_no_file(path)
    if radiance.recognised(path):
        _refuse_size(path, radiance.size(path), most_megapixels)
        return Photo(_tensor(radiance.read(path), 65535), None, path.name, "HDR", 16)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of odd metadata in pictures that are fine
        with _opened(path) as picture:
            _refuse_size(path, picture.size, most_megapixels)
            try:
                picture.load()
                exif = picture.getexif()  # only now: PNG may carry it at its end, and TIFF is already turned upright
            except Exception as error:  # decoders raise whatever they like on damaged files
                raise InputError(f"{path} is damaged or cut short ({_first_line(error)}); give a whole file.") from None
            kept, focal = _worth_keeping(exif), _focal_in_pixels(exif, picture.size)
            deep = _deep(path, picture, exif.get(ExifTags.Base.Orientation, 1))
            image = _shallow(path, picture) if deep is None else deep
            profile = picture.info.get("icc_profile") or b""
            gpano = read_gpano(picture.info.get("xmp") or picture.info.get("XML:com.adobe.xmp") or b"")
            name = {"MPO": "JPEG"}.get(picture.format or "PNG", picture.format or "PNG")
            alike = compression(picture, path)
    camera = _camera(focal, image) if gpano is None else _sphere(gpano, image)
    return Photo(image, camera, path.name, name, 8 if deep is None else 16, kept, profile, gpano, alike)


def write_photo(path: Path, photo: Photo) -> None:
    """Write in the format of `path`'s suffix, in the photo's colour profile and with its EXIF if it has a place; that
    of a panorama says so (GPano)."""
    suffix = path.suffix.lower()
    if suffix not in USUAL:
        raise unknown_name("picture format", path.suffix, USUAL)
    if photo.bits == 16 and suffix in _DEEP:
        return _write_16_bit(path, photo)
    if suffix in (".heic", ".heif"):
        _register_heif()
    picture = Image.fromarray(_bytes(photo.image, 255).astype(np.uint8))
    profile: dict[str, Any] = {}
    if photo.profile and suffix in _PROFILED:
        picture, profile = _in_profile(picture, photo.profile)
    exif: dict[str, Any] = {"exif": photo.exif} if photo.exif and suffix not in (".bmp", ".ppm", ".pgm", ".gif") else {}
    if suffix in (".tif", ".tiff"):
        path.write_bytes(deepcolour.tiff(np.array(picture), photo.exif, profile.get("icc_profile", b""), _xmp(photo)))
        return None
    if suffix == ".pgm":
        picture = picture.convert("L")  # the format has no colours
    alike = photo.compression if Image.registered_extensions().get(suffix) == photo.format else {}
    xmp = for_pillow(_xmp(photo), suffix) if _xmp(photo) else {}
    picture.save(path, **{**USUAL[suffix], **alike}, **exif, **profile, **xmp)
    return None


def _xmp(photo: Photo) -> bytes:
    """What tells viewers that a photo is a panorama; nothing for others."""
    return whole_sphere_xmp(photo.size) if isinstance(photo.camera, Equirectangular) else b""


_DEEP: dict[str, Callable[[np.ndarray, bytes, bytes, bytes], bytes]] = {
    ".png": deepcolour.png,
    ".tif": deepcolour.tiff,
    ".tiff": deepcolour.tiff,
    ".heic": deepcolour.heic,
    ".heif": deepcolour.heic,
}
_PROFILED = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".heic", ".heif", ".avif")


def resize(image: Float[Tensor, "b c h w"], size: tuple[int, int]) -> Float[Tensor, "b c h2 w2"]:
    """`image` at `size` (height, width): averages areas when shrinking, bilinear when growing; differentiable."""
    here = (image.shape[-2], image.shape[-1])
    if here == size:
        return image
    if size[0] <= here[0] and size[1] <= here[1]:
        return F.interpolate(image, size, mode="area")
    return F.interpolate(image, size, mode="bilinear", antialias=True, align_corners=False)


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


def _refuse_no_file(path: Path) -> None:
    if path.is_dir():
        raise InputError(f"{path} is a folder; give a picture.")
    if not path.exists():
        raise InputError(f"there is no file {path}; check the path.")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty (0 bytes); copy it again.")


def _opened(path: Path) -> Image.Image:
    """The picture with its header read and nothing decoded."""
    try:
        with path.open("rb") as file:
            if file.read(12)[4:8] == b"ftyp":
                _register_heif()
        Image.init()
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # ours is checked next, with a way to override it
        try:
            return Image.open(path, formats=[name for name in FORMATS if name in Image.OPEN])
        finally:
            Image.MAX_IMAGE_PIXELS = limit
    except PermissionError:
        raise InputError(f"{path} cannot be read (permission denied); change its permissions.") from None
    except Exception:  # header parsers raise whatever they like on foreign files
        raise InputError(f"{path} is no picture that can be read; give PNG, JPEG, TIFF, WebP, BMP or HEIC.") from None


def _register_heif() -> None:
    import pillow_heif

    pillow_heif.register_heif_opener()


def _refuse_size(path: Path, size: tuple[int, int], most_megapixels: float) -> None:
    width, height = size
    if not width * height <= most_megapixels * 1e6:  # a limit that is no number refuses all
        raise InputError(
            f"{path} is {width}x{height} ({width * height / 1e6:.3g} megapixels), the limit is {most_megapixels:g}; "
            "shrink it, or raise the limit with --max-megapixels."
        )
    if min(size) < LEAST_SIDE:
        raise InputError(f"{path} is {width}x{height} pixels; a photo needs at least {LEAST_SIDE} on each side.")


def _shallow(path: Path, picture: Image.Image) -> Rgb:
    """8 bits (grey also 16): upright, over white, in sRGB."""
    if picture.mode in ("I", "F"):
        raise InputError(f"{path} stores 32-bit numbers; save it with 8 or 16 bits per channel.")
    profile = picture.info.get("icc_profile")
    picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith("I;16"):
        return _tensor(np.repeat(np.asarray(picture, np.uint16)[..., None], 3, -1), 65535)
    if picture.has_transparency_data:
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture.convert("RGBA")).convert("RGB")
    elif picture.mode not in ("RGB", "L", "CMYK"):
        picture = picture.convert("RGB")
    return _tensor(np.array(_srgb(picture, profile)), 255)


def _srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """RGB, L or CMYK to sRGB by its profile; a profile that is broken or for another mode is ignored, as viewers do."""
    if not profile:
        return picture.convert("RGB")
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "sRGB" in ImageCms.getProfileDescription(source) and picture.mode == "RGB":
            return picture
        converted = ImageCms.profileToProfile(picture, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
        return converted if converted is not None else picture.convert("RGB")
    except (ImageCms.PyCMSError, OSError):
        return picture.convert("RGB")


def _deep(path: Path, picture: Image.Image, orientation: int) -> Float[Tensor, "1 3 _ _"] | None:
    """More than 8 bits per channel, which Pillow would cut; None if the file has no more or only Pillow can read it."""
    array = deepcolour.read(path, picture)
    if array is None:
        return None
    colours = array[..., :3] if array.shape[-1] >= 3 else np.repeat(array[..., :1], 3, -1)
    image = _tensor(np.ascontiguousarray(colours), 65535)
    if array.shape[-1] == 4:
        alpha = _tensor(np.ascontiguousarray(array[..., 3:]), 65535)
        image = image * alpha + (1 - alpha)
    if profile := picture.info.get("icc_profile"):
        image = _by_table(image, lambda cube: _srgb(cube, profile))
    return _upright(image, 1 if picture.format == "HEIF" else orientation)  # its decoder has turned it already


def _by_table(image: Rgb, convert: Callable[[Image.Image], Image.Image]) -> Rgb:
    """Other colours through a table of 64³ (the colour engine itself knows 8 bits only)."""
    steps = np.linspace(0, 255, 64).round().astype(np.uint8)
    blue, green, red = np.meshgrid(steps, steps, steps, indexing="ij")
    cube = Image.fromarray(np.stack([red, green, blue], -1).reshape(512, 512, 3))
    table = _tensor(np.array(convert(cube)), 255).reshape(1, 3, 64, 64, 64)
    return F.grid_sample(table, image.permute(0, 2, 3, 1)[:, None] * 2 - 1, align_corners=True)[:, :, 0]


def _upright(image: Rgb, orientation: int) -> Float[Tensor, "1 3 _ _"]:
    """EXIF orientation 1 to 8: from 5 on rows and columns are exchanged, then sides are flipped."""
    flips = {2: (-1,), 3: (-2, -1), 4: (-2,), 5: (), 6: (-1,), 7: (-2, -1), 8: (-2,)}.get(orientation, ())
    turned = image.transpose(-1, -2) if orientation in (5, 6, 7, 8) else image
    return turned.flip(flips).contiguous() if flips else turned.contiguous()


def _tensor(array: np.ndarray, full: int) -> Float[Tensor, "1 c h w"]:
    array = array[..., None] if array.ndim == 2 else array
    return torch.from_numpy(array.astype(np.float32)).permute(2, 0, 1)[None].contiguous() / full


def _bytes(image: Rgb, full: int) -> np.ndarray:
    return image[0].clamp(0, 1).mul(full).round().permute(1, 2, 0).contiguous().cpu().numpy()


def _worth_keeping(exif: Image.Exif) -> bytes:
    """Who, when, how and where; not what is true of the old file only (orientation, thumbnails, maker notes)."""
    new = Image.Exif()
    for tag in KEPT_TAGS:
        if tag in exif:
            new[tag] = exif[tag]
    for ifd in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
        tags = {tag: value for tag, value in _ifd(exif, ifd).items() if tag not in (0x927C, 0xA005)}
        if tags:
            new[ifd] = tags
    try:
        return new.tobytes() if len(new) else b""
    except (ValueError, TypeError, OverflowError, struct.error, AttributeError):  # tags of the wrong type
        return b""


def _ifd(exif: Image.Exif, ifd: int) -> dict[int, Any]:
    try:
        return dict(exif.get_ifd(ifd))
    except (ValueError, TypeError, KeyError, OSError, struct.error):
        return {}


def _focal_in_pixels(exif: Image.Exif, size: tuple[int, int]) -> float | None:
    """The focal length by the 35 mm equivalent, else by the sensor's resolution; None if EXIF tells neither."""
    tags = _ifd(exif, ExifTags.IFD.Exif)
    film = _number(tags, ExifTags.Base.FocalLengthIn35mmFilm)
    if film > 0:
        return film / FILM_DIAGONAL * math.hypot(*size)
    per_unit = _number(tags, ExifTags.Base.FocalPlaneXResolution)
    unit = {2: 25.4, 3: 10.0, 4: 1.0}.get(int(_number(tags, ExifTags.Base.FocalPlaneResolutionUnit) or 2), 25.4)  # mm
    taken = max(_number(tags, ExifTags.Base.ExifImageWidth), _number(tags, ExifTags.Base.ExifImageHeight))
    focal = _number(tags, ExifTags.Base.FocalLength) * per_unit / unit * (max(size) / taken if taken > 0 else 1)
    return focal if focal > 0 else None


def _number(tags: dict[int, Any], tag: int) -> float:
    """The value of a tag, 0 when it is missing or no number (rationals may have denominator 0)."""
    try:
        value = float(tags.get(tag, 0))
    except (TypeError, ValueError, ZeroDivisionError):
        return 0.0
    return value if math.isfinite(value) else 0.0


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


def _in_profile(picture: Image.Image, profile: bytes) -> tuple[Image.Image, dict[str, Any]]:
    """An sRGB picture in the colours of an RGB `profile`, and what Pillow is to save of it; as it is in any other."""
    try:
        target = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if target.profile.xcolor_space.strip() != "RGB":
            return picture, {}
        if "sRGB" in ImageCms.getProfileDescription(target):
            return picture, {"icc_profile": profile}
        converted = ImageCms.profileToProfile(picture, ImageCms.createProfile("sRGB"), target, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError):
        return picture, {}
    return (picture, {}) if converted is None else (converted, {"icc_profile": profile})


def _write_16_bit(path: Path, photo: Photo) -> None:
    image, profile = photo.image, b""
    if photo.profile and "icc_profile" in _in_profile(Image.new("RGB", (1, 1)), photo.profile)[1]:
        image = _by_table(image, lambda cube: _in_profile(cube, photo.profile)[0])
        profile = photo.profile
    pixels = _bytes(image, 65535).astype(np.uint16)
    path.write_bytes(_DEEP[path.suffix.lower()](pixels, photo.exif, profile, _xmp(photo)))


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
