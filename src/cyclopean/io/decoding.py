"""Decoding of picture files of every kind: upright, over white, in sRGB, with their metadata."""

import io
import re
import warnings
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageCms, UnidentifiedImageError
from torch import Tensor

from cyclopean.errors import InputError, enough_memory, lacks_memory
from cyclopean.io import avif, bmp, hdr, jpeg, jpeg2000, opencv, png, tiff
from cyclopean.io import metadata as exif
from cyclopean.io.colour import Coding, adobe_rgb, to_srgb
from cyclopean.io.files import PHOTOS, RAWS, refuse_unreadable
from cyclopean.io.limits import MOST_MEGAPIXELS, check_size, read_whole, register_heif
from cyclopean.io.photo_encoders import encoder_options
from cyclopean.io.picture_files import frames_note, open_picture, open_without_metadata, other_kind, pillow_opened
from cyclopean.io.profiles import Rgb, from_profile, from_profile_deep, high_dynamic_range, to_tensor
from cyclopean.io.raw import CheckSize, develop, is_raw
from cyclopean.io.still_colours import avif_exif, coding_of

FAST = ("PNG", "JPEG", "MPO", "WEBP", "BMP", "PPM")  # formats that OpenCV decodes
EXIF_TAG, ORIENTATION = 0x8769, 0x0112
PPM_WHITE = re.compile(rb"P[2356]" + 2 * rb"(?:\s|#[^\r\n]*[\r\n])+\d+" + rb"(?:\s|#[^\r\n]*[\r\n])+(\d{1,5})\s")
DARKEST = 4096  # of 65535: a picture without larger numbers was probably of 12 bits or fewer

Alpha = Float[Tensor, "1 1 h w"]
PixelsAndNotes = tuple[Rgb, Alpha | None, tuple[str, ...]]


@dataclass(frozen=True)
class Decoded:
    """Content of a file: the picture upright and in sRGB, and its metadata unchanged.

    `alpha` is the opacity in [0,1], upright, where the file has one. `encoder_options` are Pillow's, to save a picture
    like it; `notes` are sentences for the user.
    """

    image: Rgb
    bits: int
    format: str
    alpha: Alpha | None = None
    exif: Image.Exif = field(default_factory=Image.Exif)
    profile: bytes = b""
    xmp: bytes = b""
    encoder_options: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def decode(path: Path, most_megapixels: float, kind: str = "photo") -> Decoded:
    """Return the content of the file at `path`, whatever its suffix; `kind` names its use in errors.

    Raises InputError as `image.read_photo` does.
    """
    refuse_unreadable(path)

    def check(size: tuple[int, int]) -> None:
        check_size(path, size[::-1], most_megapixels, kind=f"a {kind} needs")

    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); change its permissions.") from None
    if head.startswith(hdr.MARKS):
        check(hdr.size(path))
        return Decoded(to_tensor(hdr.read(path), 65535), 16, "HDR")
    if head.startswith(tiff.MARKS):
        return _decode_tiff(path, check)
    if is_raw(head):
        return Decoded(to_tensor(develop(path, check), 65535), 16, "RAW")
    return _decode_by_pillow(path, check)


@dataclass(frozen=True)
class Header:
    """What a picture's first bytes declare: upright size (height, width), EXIF's orientation, Pillow's format."""

    size: tuple[int, int]
    orientation: int
    format: str


def read_header(path: Path, data: bytes | None = None) -> Header:
    """Return the header of the picture at `path`, whose bytes are `data` where they have been read already.

    Raises InputError as `read_unlimited_header` does, and for pictures outside the limits of a data set.
    """
    header = read_unlimited_header(path, data)
    check_size(
        path, header.size, MOST_MEGAPIXELS, kind="data needs", limit="the limit of data is",
        remedy="shrink it, and its partners and truth with it",
    )  # fmt: skip
    return header


def read_unlimited_header(path: Path, data: bytes | None = None) -> Header:
    """Return the header of the picture at `path`, however large or small, whose bytes are `data` where they have been
    read already.

    For a file with several pages it is that of the page that `decode` takes. Raises InputError for files that are not
    pictures.
    """
    refuse_unreadable(path)
    try:
        with io.BytesIO(data) if data is not None else path.open("rb") as file:
            start = file.read(16)
            file.seek(0)
            if start.startswith(hdr.MARKS):
                width, height = hdr.size(path)
                return Header((height, width), 1, "HDR")
            return _header_by_pillow(path, file, start)
    except OSError as error:
        raise InputError(f"{path} cannot be opened ({error.strerror}).") from error


def read_image(path: Path) -> Rgb:
    """Return a picture of a data set as RGB in [0,1], 8 or 16 bit, upright.

    OpenCV decodes the formats it can, several times as fast as `decode` and without colour profiles; the rest is
    decoded like photos. Raises InputError for files that are cut short, damaged or outside the limits (`read_header`).
    """
    data = read_whole(path)
    header = read_header(path, data)
    if header.format not in FAST:
        return _decode_quietly(path)
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
    pixels = by_opencv(path, data, header, flags)
    rgb = torch.from_numpy(np.ascontiguousarray(pixels[..., ::-1].transpose(2, 0, 1)).astype(np.float32))
    declared = PPM_WHITE.match(data)  # OpenCV does not scale the numbers
    white = int(declared[1]) if declared else np.iinfo(pixels.dtype).max if pixels.dtype.kind == "u" else 1
    if header.format == "PNG" and pixels.dtype == np.uint16:
        white = png.white(data, int(pixels.max())) or white
    return rgb[None] / white


def read_stored(path: Path) -> np.ndarray:
    """Return the numbers of a picture as they are stored, upright, (h, w) or (h, w, channels in OpenCV's order)."""
    data = read_whole(path)
    return by_opencv(path, data, read_header(path, data), cv2.IMREAD_UNCHANGED)


def _decode_quietly(path: Path) -> Rgb:
    with enough_memory(str(path)), warnings.catch_warnings(action="ignore"):  # of odd metadata
        return decode(path, MOST_MEGAPIXELS).image


def by_opencv(path: Path, data: bytes, header: Header, flags: int) -> np.ndarray:
    """Return the pixels of the picture at `path`, whose bytes are `data`, upright (OpenCV turns TIFF by itself)."""
    if header.format == "TIFF":
        tiff.refuse_damaged(path, data, tiff.main_page(path, data))
    pixels = jpeg.decode(path, data, "BGR") if header.format in jpeg.FORMATS else None
    if pixels is not None and pixels.shape[-1] == 1:
        pixels = pixels[..., 0] if flags == cv2.IMREAD_UNCHANGED else pixels.repeat(3, -1)
    elif pixels is None or pixels.shape[-1] == 4:
        sound = header.format != "PNG" or png.intact(data)  # else libpng writes to the error stream
        pixels = opencv.decoded(data, flags) if sound else None
    if pixels is None:
        if error := _of_rare_kind(path):
            raise error
        raise InputError(f"{path} is damaged and cannot be read as a picture; replace or remove it.")
    if header.format == "TIFF":
        return pixels
    pixels = pixels.swapaxes(0, 1) if header.orientation >= 5 else pixels
    return np.flip(pixels, _FLIPS.get(header.orientation, ()))


def _header_by_pillow(path: Path, file: io.BufferedReader | io.BytesIO, start: bytes) -> Header:
    if start[4:8] == b"ftyp":
        register_heif()
    try:
        with tiff.unlimited(), warnings.catch_warnings(action="ignore"), _header_opened(file) as picture:
            (width, height), kind = picture.size, picture.format or ""
            pages = getattr(picture, "n_frames", 1) if kind == "TIFF" else 1
            turn = _orientation(picture, file)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        if rare := _of_rare_kind(path):
            raise rare from error
        if not start.startswith(tiff.MARKS):
            kind = f" ({kind})" if (kind := other_kind(path)) else ""
            raise InputError(f"{path} cannot be read as a picture{kind}; replace or remove it.") from error
        pages, kind = 2, "TIFF"  # some formats are read without Pillow
    if pages > 1:  # the first may be a thumbnail: `tiff.main_page` chooses the photo
        height, width = _decode_quietly(path).shape[-2:]
        return Header((height, width), 1, kind)
    turned = turn >= 5 and kind not in ("TIFF", "HEIF")  # whose size is upright already
    return Header((width, height) if turned else (height, width), turn, kind)


def _header_opened(file: io.BufferedReader | io.BytesIO) -> Image.Image:
    try:
        return pillow_opened(file)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError):
        file.seek(0)
        picture = open_without_metadata(file.read())
        if picture is None:
            raise
        return picture


def _orientation(picture: Image.Image, file: io.BufferedReader | io.BytesIO) -> int:
    """Return EXIF's orientation, 1 to 8; 1 where it is missing or nonsense."""
    if picture.format == "PNG" and not {"exif", "XML:com.adobe.xmp", "Raw profile type exif"} & set(picture.info):
        # Pillow would decode the whole picture to find metadata after it; most files have none there.
        kinds = list(png.chunk_kinds(file))
        behind = kinds[kinds.index(b"IDAT") :] if b"IDAT" in kinds else []
        if not {b"eXIf", b"iTXt", b"zTXt", b"tEXt"} & set(behind):
            return 1
    try:
        return exif.orientation(picture.getexif())
    except Exception:  # parsers may raise anything on tags of a wrong type
        return 1


def _decode_tiff(path: Path, check: CheckSize) -> Decoded:
    """Return the main picture of a TIFF, developed if it is a raw file."""
    data = path.read_bytes()
    page = tiff.main_page(path, data)
    metadata = Image.Exif()
    metadata.endian, metadata.bigtiff = ("<" if data[:2] == b"II" else ">"), data[2:4] in (b"+\0", b"\0+")
    with suppress(Exception):  # parsers raise whatever they like on foreign bytes
        metadata.load_from_fp(io.BytesIO(data), page.offset if EXIF_TAG in page.tags else page.first)
    if page.raw or is_raw(data[:16]) or (path.suffix.lower() in RAWS and not page.holds_photo(data)):
        return Decoded(to_tensor(develop(path, check), 65535), 16, "RAW", exif=metadata)
    check(page.size)
    tiff.refuse_damaged(path, data, page)
    profile, xmp = exif.binary(page.tags.get(34675)), exif.binary(page.tags.get(700))
    coding = high_dynamic_range(profile)
    profile = b"" if coding else profile
    turn = page.tags.get(ORIENTATION)
    turn = exif.orientation(metadata) if turn is None else exif.orientation({ORIENTATION: turn})
    picture = None if tiff.beyond_pillow(page) else open_picture(tiff.opened_at(data, page.offset))
    bits = 8
    if picture is not None:
        with picture:
            _load(path, picture)
            if picture.mode.startswith("I;16"):  # grey of 12 bits, not scaled
                colours, white = np.asarray(picture).astype(np.uint16)[..., None], 2 ** max(page.tags[tiff.BITS]) - 1
                (image, alpha, notes), bits = _deep(path, tiff.Stored(colours, white=white), profile, coding), 16
            else:
                image, alpha, notes = _shallow(path, picture, profile, coding)
        turn = 1 if page.tags.get(ORIENTATION) in range(1, 9) else turn  # Pillow has turned it
    else:
        stored = tiff.read(path, data, page)
        if isinstance(stored, tiff.Converted):
            image, alpha, notes = _shallow(path, stored.picture, profile, coding, stored.alpha)
        else:
            (image, alpha, notes), bits = _deep(path, stored, profile, coding), 8 * stored.colours.itemsize
    return Decoded(
        upright(image, turn), bits, "TIFF", None if alpha is None else upright(alpha, turn), metadata, profile, xmp,
        exif.dots_per_inch({}, metadata), page.notes + notes,
    )  # fmt: skip


def _decode_by_pillow(path: Path, check: CheckSize) -> Decoded:
    """Return every other picture. Those of over 8 bits per channel are not decoded by Pillow, which truncates them."""
    picture, own = open_picture(path), b""
    notes: tuple[str, ...] = ()
    if picture is None:
        data = path.read_bytes()
        picture = open_without_metadata(data)
        if picture is None:
            raise _no_picture(path)
        if picture.format == "AVIF":
            own = avif_exif(data)
        else:
            notes = (f"{path.name} has metadata that cannot be read and are left out.",)
    with picture:
        check(picture.size)
        notes += (several,) if (several := frames_note(path, picture)) else ()
        pixels = _load(path, picture)
        metadata = Image.Exif()
        with suppress(Exception):  # only now: PNG may carry it at its end
            metadata = picture.getexif()
            if own:
                turn = exif.orientation(metadata)
                with suppress(Exception):  # of what is not even a header
                    metadata.load(own)
                metadata[ORIENTATION] = turn
        profile = exif.binary(picture.info.get("icc_profile"))
        xmp = exif.binary(picture.info.get("xmp") or picture.info.get("XML:com.adobe.xmp"))
        coding = coding_of(path, picture, profile)
        profile = b"" if coding else profile
        if not (coding or profile) and pixels.mode == "RGB" and exif.is_adobe_rgb(metadata):
            coding = adobe_rgb()
            notes += (f"{path.name} is in Adobe RGB; it is converted to sRGB, and so are the results.",)
        stored = _channels(path, picture)
        if stored is None and picture.format == "AVIF" and (count := avif.bits(path.read_bytes())) > 8:
            notes += (f"{path.name} has {count} bits per colour, of which the first 8 are read; PNG keeps 16.",)
        if stored is None:
            opacity = bmp.opacity(path.read_bytes()) if picture.format == "BMP" else None
            (image, alpha, more), bits = _shallow(path, pixels, profile, coding, opacity), 8
        else:
            (image, alpha, more), bits = _deep(path, stored, profile, coding), 16
        notes += more
        turn = 1 if picture.format == "HEIF" else exif.orientation(metadata)  # its decoder has turned it already
        name = {"MPO": "JPEG", "DIB": "BMP"}.get(picture.format or "PNG", picture.format or "PNG")
        return Decoded(
            upright(image, turn), bits, name, None if alpha is None else upright(alpha, turn), metadata, profile, xmp,
            encoder_options(picture, path) | exif.dots_per_inch(picture.info, metadata), notes,
        )  # fmt: skip


def _load(path: Path, picture: Image.Image) -> Image.Image:
    """Return the picture opened from `path` with its pixels decoded; of TIFF turned upright."""
    if picture.format in jpeg.FORMATS and (pixels := jpeg.decode(path, path.read_bytes(), "RGB")) is not None:
        if pixels.shape[-1] == 4:  # Adobe's are inverted
            return Image.frombytes("CMYK", picture.size, (255 - pixels).tobytes())
        return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    if not isinstance(picture.info.get("xmp", b""), bytes):
        del picture.info["xmp"]  # Pillow searches it for an orientation
    tiles = getattr(picture, "tile", ()) if picture.format == "GIF" else ()
    drawn = tiles[0][1] if tiles else None
    try:
        with tiff.unlimited():
            picture.load()
    except Exception as error:  # decoders may raise anything on damaged files
        if lacks_memory(error):
            raise
        why = (str(error).strip().splitlines() or [type(error).__name__])[0]
        if rare := _of_rare_kind(path):
            raise rare from None
        raise jpeg.damaged(path, why) from None
    if drawn not in (None, (0, 0, *picture.size)) and not picture.has_transparency_data:
        opacity = Image.new("L", picture.size)  # around the first frame of a GIF is nothing; Pillow puts a colour there
        opacity.paste(255, drawn)
        picture = picture.convert("RGBA")
        picture.putalpha(opacity)
    return picture


def _of_rare_kind(path: Path) -> InputError | None:
    """Return the error of a JPEG or a BMP that is whole, but coded as few programs read; None for others."""
    for format_, kind, remedy in (
        ("JPEG", jpeg.rare_kind(path), "a baseline JPEG of 8 bits, or as PNG"),
        ("BMP", bmp.rare_kind(path), "PNG"),
    ):
        if kind:
            return InputError(f"{path} is a {format_} of a kind that is not supported ({kind}); export it as {remedy}.")
    return None


def _no_picture(path: Path) -> InputError:
    if error := _of_rare_kind(path):
        return error
    if kind := other_kind(path):
        return InputError(f"{path} is {kind}; give PNG, JPEG, TIFF, WebP, BMP or HEIC, or export it as one of these.")
    suffix = path.suffix.lower()
    if suffix in PHOTOS or suffix in RAWS:
        return InputError(
            f"{path} is not a picture that can be read, despite its suffix; give a whole file, or export it "
            "as PNG, JPEG, TIFF, WebP, BMP or HEIC."
        )
    return InputError(f"{path} is not a picture that can be read; give PNG, JPEG, TIFF, WebP, BMP or HEIC.")


def _channels(path: Path, picture: Image.Image) -> tiff.Stored | None:
    """Return the channels of a picture of over 8 bits, opened from `path`, as it stores them (HEIC: upright).

    None for 8 bits, and for a file that only Pillow can read.
    """
    white = None
    if picture.format == "HEIF" and picture.info.get("bit_depth", 8) > 8:
        import pillow_heif

        array, depth = np.asarray(pillow_heif.open_heif(path, convert_hdr_to_8bit=False)), picture.info["bit_depth"]
        array = array[..., None] if array.ndim == 2 else array
        white = 65535  # as PNG has it: the decoder's is all bits of the file, as the first of 16
        array = np.rint(array * (65535 / (65536 - (1 << 16 - depth)))).clip(max=65535).astype(np.uint16)
    elif (
        picture.format == "PNG"
        and picture.mode != "P"
        and (stored := png.channels(data := path.read_bytes())) is not None
    ):
        array, white = stored, png.white(data, int(stored[..., : stored.shape[-1] // 3 * 2 + 1].max()))
    elif picture.format == "AVIF" and avif.bits(data := path.read_bytes()) > 8:
        return avif.channels(data, picture.size, transparent=picture.has_transparency_data)
    elif picture.format == "JPEG2000" and jpeg2000.bits(data := path.read_bytes()) > 8:
        array, white = jpeg2000.channels(path, data, picture.size), 65535
    elif picture.format == "PPM" and picture.mode == "I":  # already scaled to 16 bits by Pillow
        array = np.asarray(picture).astype(np.uint16)[..., None]
    else:
        return None
    alpha = array[..., -1:] if array.shape[-1] in (2, 4) else None
    return tiff.Stored(array[..., : array.shape[-1] // 3 * 2 + 1], alpha, white=white)


def _shallow(
    path: Path, picture: Image.Image, profile: bytes, coding: Coding | None, opacity: tiff.Opacity | None = None
) -> PixelsAndNotes:
    """Return 8 bits (grey also 16) over white, in sRGB, not rotated; their opacity, or `opacity` for a picture that
    cannot hold it; and notes."""
    if picture.mode in ("I", "F"):
        raise InputError(f"{path} stores 32-bit numbers; save it with 8 or 16 bits per channel.")
    if picture.mode.startswith("I;16"):
        return to_tensor(np.repeat(np.asarray(picture).astype(np.uint16)[..., None], 3, -1), 65535), None, ()
    if picture.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        rgb = ImageCms.profileToProfile(picture, lab, srgb, outputMode="RGB")
        picture, profile = Image.fromarray(np.array(rgb)), b""
    alpha = None
    notes: tuple[str, ...] = ()
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        opacity = np.array(picture.getchannel("A"))[..., None]
        picture = picture.convert("RGB")
    if opacity is not None and not opacity.any():
        notes = (_of_empty_alpha(path),)
    elif opacity is not None:
        alpha = to_tensor(np.ascontiguousarray(opacity), np.iinfo(opacity.dtype).max)
    if picture.mode not in ("RGB", "L", "CMYK"):
        picture = picture.convert("RGB")
    image = to_tensor(np.array(from_profile(picture, profile)), 255)
    image, more = _seen(path, image, alpha, coding)
    return image, alpha, notes + more


def _seen(path: Path, image: Rgb, alpha: Alpha | None, coding: Coding | None) -> tuple[Rgb, tuple[str, ...]]:
    """Return colours in sRGB, then over white: the white of a page, not the brightest light that can be coded."""
    notes: tuple[str, ...] = ()
    if coding is not None:
        light = to_srgb(image[0].permute(1, 2, 0).numpy(), coding)
        image = torch.from_numpy(light).permute(2, 0, 1)[None].contiguous()
        if coding.high_dynamic_range:
            notes = (f"{path.name} has a high dynamic range; it is shown as sRGB, white at 203 nits.",)
    return (image if alpha is None else image * alpha + (1 - alpha)), notes


def _of_empty_alpha(path: Path) -> str:
    return f"{path.name} is fully transparent, as clipboards write pictures by mistake; its transparency is ignored."


def _deep(path: Path, stored: tiff.Stored, profile: bytes, coding: Coding | None) -> PixelsAndNotes:
    """Return grey or RGB of 16 bits (which Pillow truncates) or 8, over white, in sRGB, not rotated, opacity, notes."""
    white = 65535 if stored.colours.itemsize == 2 else 255
    image, alpha = to_tensor(np.ascontiguousarray(stored.colours), stored.white or white), None
    notes: tuple[str, ...] = ()
    largest = int(stored.colours.max())
    if white == 65535 and stored.white is None and 0 < largest < DARKEST:
        notes += (
            f"{path.name} has 16 bits, but no number above {largest}, as where 10 or 12 bits were stored without "
            "scaling them; it is read as it is, nearly black. Scale its numbers to 65535, or state their white (TIFF: "
            "MaxSampleValue, PNG: sBIT).",
        )
    if stored.alpha is not None and not stored.alpha.any():
        notes += (_of_empty_alpha(path),)
    elif stored.alpha is not None:
        alpha = to_tensor(np.ascontiguousarray(stored.alpha), white)
        if stored.kind == "associated":
            image = (image / alpha.clamp(min=1 / white)).clamp(max=1)
    image = from_profile_deep(image, profile)
    image = image if image.shape[1] == 3 else image.expand(-1, 3, -1, -1).contiguous()
    image, more = _seen(path, image, alpha, coding)
    return image, alpha, notes + more


# Axes that EXIF's orientation reverses, after rows and columns are exchanged from 5 on.
_FLIPS = {2: (1,), 3: (0, 1), 4: (0,), 6: (1,), 7: (0, 1), 8: (0,)}


def upright(image: Float[Tensor, "1 c h w"], orientation: int) -> Float[Tensor, "1 c _ _"]:
    """Return a picture made upright by EXIF's orientation, 1 to 8."""
    turned = image.transpose(-1, -2) if orientation in (5, 6, 7, 8) else image
    axes = [axis + 2 for axis in _FLIPS.get(orientation, ())]
    return (turned.flip(axes) if axes else turned).contiguous()
