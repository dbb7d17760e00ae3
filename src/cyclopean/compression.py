"""How a picture's file was compressed, as Pillow's words for saving another one alike."""

from pathlib import Path
from typing import Any

from PIL import Image, JpegImagePlugin

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
