"""Pictures of more than 8 bits per channel out of files; these and TIFFs as bytes of files with their metadata."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8, UInt16
from PIL import ExifTags, Image, JpegImagePlugin, TiffImagePlugin

from cyclopean.io.colour import Coding, by_gamma, by_numbers

Pixels = UInt16[np.ndarray, "h w 3"]

HEIC_QUALITY = 90


def read(path: Path, picture: Image.Image) -> UInt16[np.ndarray, "h w c"] | None:
    """The channels of a PNG or HEIC, opened from `path`, as its file stores them (HEIC: upright).

    None for 8 bits, and for a file that only Pillow can read.
    """
    if picture.format == "HEIF":
        return _heic_channels(path) if picture.info.get("bit_depth", 8) > 8 else None
    if picture.format != "PNG" or picture.mode == "P":
        return None
    data = path.read_bytes()
    if data[24] != 16:  # bits per channel, in the header
        return None
    plain = without_metadata(data, (b"tRNS",))  # which OpenCV takes for damage, too
    array = cv2.imdecode(np.frombuffer(plain, np.uint8), cv2.IMREAD_UNCHANGED)
    if array is None or array.dtype != np.uint16:
        return None
    array = array[..., None] if array.ndim == 2 else array
    return array[..., [2, 1, 0, 3][: array.shape[-1]]] if array.shape[-1] >= 3 else array


def coding(path: Path, picture: Image.Image) -> Coding | None:
    """The coding of colours that a PNG (cICP, gAMA), HEIC or AVIF (nclx) names beside or instead of a profile.

    None for sRGB. A profile counts more, but for a high dynamic range, which profiles seldom describe.
    """
    found = None
    if picture.format == "PNG":
        found = _png_coding(path, picture)
    elif picture.format == "HEIF":
        nclx = picture.info.get("nclx_profile") or {}
        found = by_numbers(nclx.get("color_primaries", 2), nclx.get("transfer_characteristics", 2))
    elif picture.format == "AVIF":
        with path.open("rb") as file:
            at = (head := file.read(1 << 16)).find(b"colrnclx") + 8
        found = by_numbers(*struct.unpack(">HH", head[at : at + 4])) if 8 <= at <= len(head) - 4 else None
    return None if found and picture.info.get("icc_profile") and not found.high_dynamic_range else found


def without_metadata(data: bytes, kept: tuple[bytes, ...]) -> bytes:
    """The bytes of a PNG with its critical chunks and those `kept` only."""
    at, parts = 8, [data[:8]]
    while at + 12 <= len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        if data[at + 4 : at + 5].isupper() or data[at + 4 : at + 8] in kept:
            parts.append(data[at:end])
        at = end
    return b"".join(parts)


def _png_coding(path: Path, picture: Image.Image) -> Coding | None:
    """By cICP; else, without sRGB or a profile, by gAMA and cHRM."""
    with path.open("rb") as file:
        file.seek(8)
        while len(head := file.read(8)) == 8 and head[4:] not in (b"IDAT", b"IEND"):
            size = int.from_bytes(head[:4], "big")
            if head[4:] == b"cICP" and size == 4:
                primaries, transfer = file.read(2)
                return by_numbers(primaries, transfer)
            file.seek(size + 4, 1)
    gamma, colours = picture.info.get("gamma", 0.0), picture.info.get("chromaticity")
    if "srgb" in picture.info or not 0.01 < gamma < 10:
        return None
    good = colours is not None and len(colours) == 8 and min(colours[1::2]) > 0.001
    return by_gamma(1 / gamma, tuple(colours) if colours and good else None)


def _heic_channels(path: Path) -> UInt16[np.ndarray, "h w c"]:
    import pillow_heif

    array = np.asarray(pillow_heif.open_heif(path, convert_hdr_to_8bit=False))
    return array[..., None] if array.ndim == 2 else array


def heic(pixels: Pixels, exif: bytes, profile: bytes, xmp: bytes = b"") -> bytes:
    """10 bits per channel, the most that HEIC in phones has."""
    import pillow_heif

    file = io.BytesIO()
    (h, w), said = pixels.shape[:2], {k: v for k, v in (("exif", exif), ("icc_profile", profile), ("xmp", xmp)) if v}
    pillow_heif.encode("RGB;16", (w, h), np.ascontiguousarray(pixels).tobytes(), file, quality=HEIC_QUALITY, **said)
    return file.getvalue()


def png(pixels: Pixels, exif: bytes, profile: bytes, xmp: bytes = b"") -> bytes:
    """OpenCV's PNG with iCCP, eXIf and iTXt chunks after its header (8 bytes signature + 25 bytes IHDR)."""
    good, code = cv2.imencode(".png", pixels[..., ::-1])
    if not good:
        raise RuntimeError("OpenCV could not encode a 16-bit PNG")
    png = code.tobytes()
    chunks = _chunk(b"iCCP", b"ICC\0\0" + zlib.compress(profile)) if profile else b""
    chunks += _chunk(b"eXIf", exif.removeprefix(b"Exif\0\0")) if exif else b""
    chunks += _chunk(b"iTXt", b"XML:com.adobe.xmp" + bytes(5) + xmp) if xmp else b""
    return png[:33] + chunks + png[33:]


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def tiff(pixels: Pixels | UInt8[np.ndarray, "h w 3"], exif: bytes, profile: bytes, xmp: bytes = b"") -> bytes:
    """A TIFF of one deflated strip (Pillow writes no 16-bit colour, and no camera's EXIF where it compresses; OpenCV no
    metadata)."""
    h, w, channels = pixels.shape
    bits = 8 * pixels.itemsize
    data = zlib.compress(pixels.astype(f"<u{pixels.itemsize}").tobytes(), 4)
    content = Image.Exif()
    if exif:
        content.load(exif)
    directory = TiffImagePlugin.ImageFileDirectory_v2(prefix=b"II")
    tags = {
        256: w,
        257: h,
        258: (bits,) * channels,
        259: 8,
        262: 2,
        273: (0,),
        277: channels,
        278: h,
        279: (len(data),),
    }
    for tag, value in {**dict(content), **tags, 284: 1}.items():
        if tag not in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
            directory[tag] = value
    for ifd in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
        if part := content.get_ifd(ifd):
            directory[ifd] = part
    if profile:
        directory.tagtype[34675] = 7
        directory[34675] = profile
    if xmp:
        directory.tagtype[700] = 1
        directory[700] = xmp
    file = io.BytesIO()
    directory.save(file)
    return file.getvalue() + data


# By the suffix of a file: nearly without loss, and fast.
USUAL: dict[str, dict[str, Any]] = {
    ".png": {"compress_level": 4},
    ".apng": {"compress_level": 4},
    **{suffix: {"quality": 95, "subsampling": 0} for suffix in (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo")},
    ".webp": {"quality": 95},
    **{suffix: {} for suffix in (".tif", ".tiff", ".bmp", ".dib", ".gif", ".pgm", ".ppm", ".pnm", ".jp2", ".j2k")},
    **{suffix: {"quality": 90} for suffix in (".heic", ".heif", ".hif", ".avif")},
}
WEBP_LOSSLESS = b"VP8L"  # the name of the chunk its pixels are in


def compression(picture: Image.Image, path: Path) -> dict[str, Any]:
    """What to save with, beyond a format's usual settings, to be as good as `picture`, opened from `path`.

    JPEG: its own tables of quantisation and its sampling of colour. WebP: whether it was lossless; its quality, and
    that of HEIC and AVIF, cannot be read from a file.
    """
    if picture.format in ("JPEG", "MPO"):
        tables = getattr(picture, "quantization", {})
        alike = {"quality": -1, "qtables": tables, "subsampling": JpegImagePlugin.get_sampling(picture)}
        return alike if tables else {}
    if picture.format == "WEBP":
        with path.open("rb") as file:
            return {"lossless": True} if WEBP_LOSSLESS in file.read(4096) else {}
    return {}
