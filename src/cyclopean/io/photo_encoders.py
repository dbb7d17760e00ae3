"""Encoders: Pillow's options by format, and 16-bit PNG, TIFF and HEIC, which Pillow cannot write with metadata."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8, UInt16
from PIL import ExifTags, Image, JpegImagePlugin, TiffImagePlugin

Pixels = UInt16[np.ndarray, "h w 3"]
Dpi = tuple[float, float] | None  # pixels per inch, across and down

HEIC_QUALITY = 90
WEBP_LOSSLESS = b"VP8L"  # name of the chunk with its pixels

# By the suffix of a file: nearly lossless, and fast.
USUAL: dict[str, dict[str, Any]] = {
    ".png": {"compress_level": 4},
    ".apng": {"compress_level": 4},
    **{suffix: {"quality": 95, "subsampling": 0} for suffix in (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo")},
    ".webp": {"quality": 95},
    **{suffix: {} for suffix in (".tif", ".tiff", ".bmp", ".dib", ".gif", ".pgm", ".ppm", ".pnm", ".jp2", ".j2k")},
    **{suffix: {"quality": 90} for suffix in (".heic", ".heif", ".hif", ".avif")},
}


# By the suffix of a file: the most pixels on a side that the encoders take.
LONGEST_SIDE = {
    **dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"), 65_500),
    **{".webp": 16_383, ".avif": 65_536, ".gif": 65_535},
}


def holds(suffix: str, size: tuple[int, int]) -> bool:
    """Return whether a picture of `size` fits into a file with that suffix."""
    return max(size) <= LONGEST_SIDE.get(suffix.lower(), max(size))


def encoder_options(picture: Image.Image, path: Path) -> dict[str, Any]:
    """Return Pillow's options to save at the quality of `picture`, opened from `path`, beyond a format's usual
    settings.

    JPEG: its own quantisation tables, chroma subsampling, and order of scans. WebP: whether it was lossless; its
    quality, and that of HEIC and AVIF, cannot be read from a file.
    """
    if picture.format in ("JPEG", "MPO"):
        tables = getattr(picture, "quantization", {})
        options = {"quality": -1, "qtables": tables, "subsampling": JpegImagePlugin.get_sampling(picture)}
        options |= {"progressive": True} if "progressive" in picture.info else {}
        return options if tables else {}
    if picture.format == "WEBP":
        with path.open("rb") as file:
            return {"lossless": True} if WEBP_LOSSLESS in file.read(4096) else {}
    return {}


def png(pixels: Pixels, exif: bytes, profile: bytes, xmp: bytes = b"", dpi: Dpi = None) -> bytes:
    """Return OpenCV's PNG with pHYs, iCCP, eXIf and iTXt chunks after its header (8 bytes signature + 25 bytes IHDR).

    OpenCV's own writer of metadata stores XMP as tEXt, where readers of XMP do not look for it.
    """
    good, code = cv2.imencode(".png", pixels[..., ::-1])
    if not good:
        raise RuntimeError("OpenCV could not encode a 16-bit PNG")
    data = code.tobytes()
    chunks = _chunk(b"pHYs", struct.pack(">IIB", *(round(each / 0.0254) for each in dpi), 1)) if dpi else b""
    chunks += _chunk(b"iCCP", b"ICC\0\0" + zlib.compress(profile)) if profile else b""
    chunks += _chunk(b"eXIf", exif.removeprefix(b"Exif\0\0")) if exif else b""
    chunks += _chunk(b"iTXt", b"XML:com.adobe.xmp" + bytes(5) + xmp) if xmp else b""
    return data[:33] + chunks + data[33:]


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def heic(pixels: Pixels, exif: bytes, profile: bytes, xmp: bytes = b"", dpi: Dpi = None) -> bytes:  # noqa: ARG001
    """Return a HEIC of 10 bits per channel, the most that phones use. It has no place for `dpi`."""
    import pillow_heif

    file = io.BytesIO()
    h, w = pixels.shape[:2]
    options = {k: v for k, v in (("exif", exif), ("icc_profile", profile), ("xmp", xmp)) if v}
    pillow_heif.encode("RGB;16", (w, h), np.ascontiguousarray(pixels).tobytes(), file, quality=HEIC_QUALITY, **options)
    return file.getvalue()


def tiff(
    pixels: Pixels | UInt8[np.ndarray, "h w 3"], exif: bytes, profile: bytes, xmp: bytes = b"", dpi: Dpi = None
) -> bytes:
    """Return a TIFF of one deflated strip.

    Pillow writes no 16-bit colour, and no camera's EXIF in compressed files; OpenCV writes no metadata.
    """
    h, w, channels = pixels.shape
    data = zlib.compress(pixels.astype(f"<u{pixels.itemsize}").tobytes(), 4)
    content = Image.Exif()
    if exif:
        content.load(exif)
    directory = TiffImagePlugin.ImageFileDirectory_v2(prefix=b"II")
    tags: dict[int, Any] = {
        256: w, 257: h, 258: (8 * pixels.itemsize,) * channels, 259: 8, 262: 2, 273: (0,), 277: channels, 278: h,
        279: (len(data),),
    }  # fmt: skip
    tags |= {282: dpi[0], 283: dpi[1], 296: 2} if dpi else {}
    for tag, value in {**dict(content), **tags, 284: 1}.items():
        if tag not in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
            directory[tag] = value
    for ifd in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
        if part := content.get_ifd(ifd):
            directory[ifd] = part
    for tag, kind, value in ((34675, 7, profile), (700, 1, xmp)):
        if value:
            directory.tagtype[tag] = kind
            directory[tag] = value
    file = io.BytesIO()
    directory.save(file)
    return file.getvalue() + data
