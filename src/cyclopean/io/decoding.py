"""Every kind of picture file, decoded: upright, over white, in sRGB, with its metadata beside it."""

import io
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt16
from PIL import Image, ImageCms
from torch import Tensor

from cyclopean.errors import InputError, lacks_memory
from cyclopean.io import colour, encoding, tiff
from cyclopean.io import metadata as exif
from cyclopean.io.colour import to_srgb
from cyclopean.io.encoding import compression
from cyclopean.io.files import PHOTOS, RAWS, refuse_unreadable

FORMATS = ("PNG", "JPEG", "MPO", "TIFF", "WEBP", "BMP", "DIB", "GIF", "PPM", "JPEG2000", "HEIF", "AVIF")
MOST_MEGAPIXELS = 120.0
LEAST_SIDE = 16
EXIF_TAG, ORIENTATION = 0x8769, 0x0112
MOST_PROFILE = 4_000_000  # bytes of ICC that are looked at

Rgb = Float[Tensor, "1 3 h w"]
RefuseSize = Callable[[tuple[int, int]], None]


@dataclass(frozen=True)
class Decoded:
    """What a file holds: the picture upright and in sRGB, and its metadata as they are."""

    image: Rgb
    bits: int
    format: str
    exif: Image.Exif = field(default_factory=Image.Exif)
    profile: bytes = b""
    xmp: bytes = b""
    alike: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def decode(path: Path, most_megapixels: float, what: str = "photo") -> Decoded:
    """Return what the file at `path` holds, whatever its suffix. Raises InputError as `images.read_photo` does.

    `what` the picture is taken for, in a word for these errors.
    """
    refuse_unreadable(path)
    refuse_size = partial(_refuse_size, path, most_megapixels, what)
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); change its permissions.") from None
    if colour.recognised(path):
        refuse_size(colour.size(path))
        return Decoded(tensor(colour.read(path), 65535), 16, "HDR")
    if head.startswith(tiff.MARKS):
        return _of_tiff(path, refuse_size)
    return _developed(path, refuse_size) if recognised(head) else _by_pillow(path, refuse_size)


def _developed(path: Path, refuse_size: RefuseSize, metadata: Image.Exif | None = None) -> Decoded:
    """A camera's raw file; `metadata` where its tags can be read as those of a TIFF."""
    image = tensor(develop(path, refuse_size), 65535)
    return Decoded(image, 16, "RAW", metadata or Image.Exif())


def _of_tiff(path: Path, refuse_size: RefuseSize) -> Decoded:
    """The main picture of a TIFF; of a raw file that is one, what is developed from it."""
    data = path.read_bytes()
    page = tiff.main_page(path, data)
    metadata = Image.Exif()
    metadata.endian, metadata.bigtiff = ("<" if data[:2] == b"II" else ">"), data[2:4] in (b"+\0", b"\0+")
    with suppress(Exception):  # parsers raise whatever they like on foreign bytes
        metadata.load_from_fp(io.BytesIO(data), page.offset if EXIF_TAG in page.tags else page.first)
    if page.raw or recognised(data[:16]) or (path.suffix.lower() in RAWS and not page.rgb):
        return _developed(path, refuse_size, metadata)
    refuse_size(page.size)
    profile, xmp = _binary(page.tags.get(34675)), _binary(page.tags.get(700))
    turn = page.tags.get(ORIENTATION)
    turn = exif.orientation(metadata) if turn is None else exif.orientation({ORIENTATION: turn})
    picture = None if tiff.beyond_pillow(page) else _opened_or_none(tiff.opened_at(data, page.offset))
    bits = 8
    if picture is None:
        stored = tiff.read(path, data, page)
        if isinstance(stored, Image.Image):
            image = _shallow(path, stored, profile)
        else:
            image, bits = _deep(stored, profile), 8 * stored.colours.itemsize
    else:
        with picture:
            _load(path, picture)
            image = _shallow(path, picture, profile)
        turn = 1 if page.tags.get(ORIENTATION) in range(1, 9) else turn  # Pillow has turned it
    return Decoded(upright(image, turn), bits, "TIFF", metadata, profile, xmp, {}, page.notes)


def _by_pillow(path: Path, refuse_size: RefuseSize) -> Decoded:
    """Every other picture. PNG and HEIC of over 8 bits per channel are decoded by others: Pillow would cut them."""
    picture = _opened_or_none(path)
    notes: tuple[str, ...] = ()
    if picture is None:
        picture = _png_without_metadata(path)
        notes = (f"{path.name} has metadata that cannot be read; they are left out.",)
    with picture:
        refuse_size(picture.size)
        notes += _frames(path, picture)
        _load(path, picture)
        metadata = Image.Exif()
        with suppress(Exception):  # only now: PNG may carry it at its end
            metadata = picture.getexif()
        profile = _binary(picture.info.get("icc_profile"))
        xmp = _binary(picture.info.get("xmp") or picture.info.get("XML:com.adobe.xmp"))
        coding = encoding.coding(path, picture)
        profile = b"" if coding else profile
        channels = encoding.read(path, picture)
        if channels is None:
            image, bits = _shallow(path, picture, profile), 8
        else:
            alpha = channels[..., -1:] if channels.shape[-1] in (2, 4) else None
            image, bits = _deep(tiff.Stored(channels[..., : channels.shape[-1] // 3 * 2 + 1], alpha), profile), 16
        if coding:
            light = to_srgb(image[0].permute(1, 2, 0).numpy(), coding)
            image = torch.from_numpy(light).permute(2, 0, 1)[None].contiguous()
            if coding.high_dynamic_range:
                notes += (f"{path.name} has a high dynamic range; it is shown as sRGB, white at 203 nits.",)
        turn = 1 if picture.format == "HEIF" else exif.orientation(metadata)  # its decoder has turned it already
        name = {"MPO": "JPEG", "DIB": "BMP"}.get(picture.format or "PNG", picture.format or "PNG")
        return Decoded(upright(image, turn), bits, name, metadata, profile, xmp, compression(picture, path), notes)


def _opened_or_none(file: Path | io.BytesIO) -> Image.Image | None:
    """The picture with its header read and nothing decoded; None for what is no picture."""
    try:
        if isinstance(file, Path):
            with file.open("rb") as opened:
                if opened.read(12)[4:8] == b"ftyp":
                    register_heif()
        Image.init()
        with tiff.unlimited():  # our limit is checked next, with a way to override it
            return Image.open(file, formats=[name for name in FORMATS if name in Image.OPEN])
    except Exception as error:  # header parsers raise whatever they like on foreign files
        if lacks_memory(error):
            raise
        return None


def _png_without_metadata(path: Path) -> Image.Image:
    """A PNG whose metadata Pillow takes for damage. Raises InputError for all other files."""
    data = path.read_bytes()
    for kept in ((b"tRNS",), ()) if data.startswith(b"\x89PNG\r\n\x1a\n") else ():
        picture = _opened_or_none(io.BytesIO(encoding.without_metadata(data, kept)))
        if picture is not None:
            return picture
    raise _no_picture(path)


def _load(path: Path, picture: Image.Image) -> None:
    """Decode; of TIFF turn upright."""
    if not isinstance(picture.info.get("xmp", b""), bytes):
        del picture.info["xmp"]  # Pillow looks into it for an orientation
    try:
        with tiff.unlimited():
            picture.load()
    except Exception as error:  # decoders raise whatever they like on damaged files
        if lacks_memory(error):
            raise
        raise InputError(f"{path} is damaged or cut short ({_first_line(error)}); give a whole file.") from None


def _no_picture(path: Path) -> InputError:
    suffix = path.suffix.lower()
    if suffix in PHOTOS or suffix in RAWS:
        return InputError(
            f"{path} is no picture that can be read, although its name ends as one; give a whole file, or export it "
            "as PNG, JPEG, TIFF, WebP, BMP or HEIC."
        )
    return InputError(f"{path} is no picture that can be read; give PNG, JPEG, TIFF, WebP, BMP or HEIC.")


def _frames(path: Path, picture: Image.Image) -> tuple[str, ...]:
    """A sentence on a file with more pictures than the one that is used."""
    try:
        count = int(getattr(picture, "n_frames", 1))
        if picture.format in ("MPO", "HEIF") and count > 1:  # smaller ones are previews, gain maps and depth
            at, size, sizes = picture.tell(), picture.size, []
            with suppress(Exception):  # of the last, which Pillow does not always find, the size is not known
                for n in range(count):
                    picture.seek(n)
                    sizes.append(picture.size)
            picture.seek(at)
            count -= len(sizes) - sizes.count(size)
    except Exception:  # what follows the first may be damaged
        return ()
    return (f"{path.name} has {count} frames; the first is used.",) if count > 1 else ()


def register_heif() -> None:
    """Teach Pillow HEIC."""
    import pillow_heif

    pillow_heif.register_heif_opener()


def _refuse_size(path: Path, most_megapixels: float, what: str, size: tuple[int, int]) -> None:
    width, height = size
    megapixels = width * height / 1e6
    if not megapixels <= most_megapixels:  # a limit that is no number refuses all
        figure = next(t for n in (3, 6, 17) if (t := f"{megapixels:.{n}g}") != f"{most_megapixels:g}" or n == 17)
        raise InputError(
            f"{path} is {width}x{height} ({figure} megapixels), the limit is {most_megapixels:g}; "
            "shrink it, or raise the limit with --max-megapixels."
        )
    if min(size) < LEAST_SIDE:
        raise InputError(f"{path} is {width}x{height} pixels; a {what} needs at least {LEAST_SIDE} on each side.")


def _shallow(path: Path, picture: Image.Image, profile: bytes) -> Rgb:
    """8 bits (grey also 16): over white, in sRGB, not turned."""
    if picture.mode in ("I", "F"):
        raise InputError(f"{path} stores 32-bit numbers; save it with 8 or 16 bits per channel.")
    if picture.mode.startswith("I;16"):
        return tensor(np.repeat(np.asarray(picture).astype(np.uint16)[..., None], 3, -1), 65535)
    if picture.has_transparency_data:
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture.convert("RGBA")).convert("RGB")
    elif picture.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        return tensor(np.array(ImageCms.profileToProfile(picture, lab, srgb, outputMode="RGB")), 255)
    elif picture.mode not in ("RGB", "L", "CMYK"):
        picture = picture.convert("RGB")
    return tensor(np.array(_srgb(picture, profile)), 255)


def _srgb(picture: Image.Image, profile: bytes) -> Image.Image:
    """RGB, L or CMYK to sRGB by its profile; a profile that is broken or for another mode is ignored, as viewers do."""
    if not profile:
        return picture.convert("RGB")
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "sRGB" in ImageCms.getProfileDescription(source) and picture.mode == "RGB":
            return picture
        converted = ImageCms.profileToProfile(picture, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
        return converted if converted is not None else picture.convert("RGB")
    except Exception as error:  # names and colour spaces of profiles may be any bytes
        if lacks_memory(error):
            raise
        return picture.convert("RGB")


def _deep(stored: tiff.Stored, profile: bytes) -> Rgb:
    """Grey or RGB of 16 bits, which Pillow would cut, or of 8: over white, in sRGB, not turned."""
    full = 65535 if stored.colours.itemsize == 2 else 255
    image = tensor(np.ascontiguousarray(stored.colours), full)
    if stored.alpha is not None:
        alpha = tensor(np.ascontiguousarray(stored.alpha), full)
        image = (image if stored.kind == "associated" else image * alpha) + (1 - alpha)
        image = image.clamp(max=1)
    if profile and image.shape[1] == 1:
        ramp = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
        table = np.array(_srgb(ramp, profile), np.float32)[0].mean(-1) / 255
        image = torch.from_numpy(np.interp(image.numpy(), np.linspace(0, 1, 256), table).astype(np.float32))
    elif profile:
        image = by_table(image, lambda cube: _srgb(cube, profile))
    return image if image.shape[1] == 3 else image.expand(-1, 3, -1, -1).contiguous()


def by_table(image: Rgb, convert: Callable[[Image.Image], Image.Image]) -> Rgb:
    """Other colours through a table of 64³ (the colour engine itself knows 8 bits only)."""
    steps = np.linspace(0, 255, 64).round().astype(np.uint8)
    blue, green, red = np.meshgrid(steps, steps, steps, indexing="ij")
    cube = Image.fromarray(np.stack([red, green, blue], -1).reshape(512, 512, 3))
    table = tensor(np.array(convert(cube)), 255).reshape(1, 3, 64, 64, 64)
    return F.grid_sample(table, image.permute(0, 2, 3, 1)[:, None] * 2 - 1, align_corners=True)[:, :, 0]


def upright(image: Float[Tensor, "1 c h w"], orientation: int) -> Float[Tensor, "1 c _ _"]:
    """EXIF orientation 1 to 8: from 5 on rows and columns are exchanged, then sides are flipped."""
    flips = {2: (-1,), 3: (-2, -1), 4: (-2,), 5: (), 6: (-1,), 7: (-2, -1), 8: (-2,)}.get(orientation, ())
    turned = image.transpose(-1, -2) if orientation in (5, 6, 7, 8) else image
    return turned.flip(flips).contiguous() if flips else turned.contiguous()


def tensor(array: np.ndarray, full: int) -> Float[Tensor, "1 c h w"]:
    array = array[..., None] if array.ndim == 2 else array
    return torch.from_numpy(array.astype(np.float32)).permute(2, 0, 1)[None].contiguous() / full


def in_profile(picture: Image.Image, profile: bytes) -> tuple[Image.Image, dict[str, Any]]:
    """An sRGB picture in the colours of an RGB `profile`, and what Pillow is to save of it; as it is in any other."""
    try:
        target = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if target.profile.xcolor_space.strip() != "RGB":
            return picture, {}
        if "sRGB" in ImageCms.getProfileDescription(target):
            return picture, {"icc_profile": profile}
        converted = ImageCms.profileToProfile(picture, ImageCms.createProfile("sRGB"), target, outputMode="RGB")
    except Exception as error:  # names and colour spaces of profiles may be any bytes
        if lacks_memory(error):
            raise
        return picture, {}
    return (picture, {}) if converted is None else (converted, {"icc_profile": profile})


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def _binary(value: object) -> bytes:
    """Metadata as bytes, whatever the type they were stored as; nothing for what is no text and no bytes."""
    value = value[0] if isinstance(value, tuple) and len(value) == 1 else value
    value = value.encode("utf-8", "replace") if isinstance(value, str) else value
    return value if isinstance(value, bytes) and len(value) <= MOST_PROFILE else b""


# How files begin that are no TIFF: Canon (two), Fujifilm, Olympus (three), Panasonic, Sigma, Minolta.
MARKS = (
    *(b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FOVb", b"\0MRM"),
    b"II\x1a\0\0\0HEAPCCDR",
)
CR2 = 8, b"CR"  # where a TIFF of Canon says that it is raw


def recognised(head: bytes) -> bool:
    """Return whether a file that begins with these bytes (16 or more) is raw; those that look like TIFF are not."""
    return head.startswith(MARKS) or head[4:12] == b"ftypcrx " or (head[:2] == b"II" and head[8:10] == CR2[1])


def named(path: Path) -> bool:
    """Return whether the suffix is one of raw files."""
    return path.suffix.lower() in RAWS


def develop(path: Path, refuse_size: Callable[[tuple[int, int]], None]) -> UInt16[np.ndarray, "h w 3"]:
    """Return the picture in sRGB, upright. `refuse_size` is called with (width, height) before anything is decoded.

    Raises InputError without the extra, and for what LibRaw does not know.
    """
    try:
        import rawpy
    except ImportError:
        raise InputError(
            f"{path} is a camera's raw file, which needs one package more: pip install 'cyclopean[raw]'; or give the "
            "JPEG or TIFF that was developed from it."
        ) from None
    try:
        with rawpy.imread(str(path)) as raw:
            refuse_size((raw.sizes.width, raw.sizes.height))
            return raw.postprocess(use_camera_wb=True, output_bps=16, gamma=(2.4, 12.92))
    except InputError:
        raise
    except Exception as error:  # LibRaw has a class for each of its errors
        if lacks_memory(error):
            raise
        said = error.args[0] if error.args else ""
        why = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
        raise InputError(
            f"{path} is a camera's raw file that LibRaw does not develop ({why or type(error).__name__}); give the "
            "JPEG or TIFF that was developed from it."
        ) from None
