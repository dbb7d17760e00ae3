"""Pictures of 16 bits per channel as bytes of files, with their metadata."""

import io
import struct
import zlib

import cv2
import numpy as np
from jaxtyping import UInt16
from PIL import ExifTags, Image, TiffImagePlugin

Pixels = UInt16[np.ndarray, "h w 3"]


def png(pixels: Pixels, exif: bytes, profile: bytes) -> bytes:
    """OpenCV's PNG with iCCP and eXIf chunks after its header (8 bytes signature + 25 bytes IHDR)."""
    good, code = cv2.imencode(".png", pixels[..., ::-1])
    if not good:
        raise RuntimeError("OpenCV could not encode a 16-bit PNG")
    png = code.tobytes()
    chunks = _chunk(b"iCCP", b"ICC\0\0" + zlib.compress(profile)) if profile else b""
    chunks += _chunk(b"eXIf", exif.removeprefix(b"Exif\0\0")) if exif else b""
    return png[:33] + chunks + png[33:]


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def tiff(pixels: Pixels, exif: bytes, profile: bytes) -> bytes:
    """A TIFF of one deflated strip (Pillow writes no 16-bit colour, OpenCV no metadata)."""
    h, w, channels = pixels.shape
    data = zlib.compress(pixels.astype("<u2").tobytes(), 4)
    content = Image.Exif()
    if exif:
        content.load(exif)
    directory = TiffImagePlugin.ImageFileDirectory_v2(prefix=b"II")
    tags = {256: w, 257: h, 258: (16,) * channels, 259: 8, 262: 2, 273: (0,), 277: channels, 278: h, 279: (len(data),)}
    for tag, value in {**dict(content), **tags, 284: 1}.items():
        if tag not in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
            directory[tag] = value
    for ifd in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
        if part := content.get_ifd(ifd):
            directory[ifd] = part
    if profile:
        directory.tagtype[34675] = 7
        directory[34675] = profile
    file = io.BytesIO()
    directory.save(file)
    return file.getvalue() + data
