"""Picture files as Pillow opens them: the formats that are allowed, how many pictures they hold, which one is used."""

import io
import re
from contextlib import suppress
from pathlib import Path

from PIL import Image

from cyclopean.errors import lacks_memory
from cyclopean.io import jpeg, png, tiff
from cyclopean.io.limits import register_heif
from cyclopean.io.still_colours import without_avif_exif

FORMATS = ("PNG", "JPEG", "MPO", "TIFF", "WEBP", "BMP", "DIB", "GIF", "PPM", "JPEG2000", "HEIF", "AVIF")
GAP = rb"(?:\s|#[^\r\n]*[\r\n])+"  # between the numbers of a netpbm header
BITMAP = re.compile(rb"\s*P4" + 2 * (GAP + rb"(\d{1,9})") + rb"\s")
# How files begin that get the suffix of a picture now and then, and what they are.
_OTHERS = {
    rb"\x00\x00\x01\x00": "an icon (ICO)",
    rb"\x00\x00[\x02\x0a]\x00": "a Targa or a pointer (TGA, CUR)",
    rb"8BPS": "a Photoshop document",
    rb"gimp xcf": "a GIMP document",
    rb"\xff\x0a|\x00\x00\x00\x0cJXL ": "a JPEG XL",
    rb"qoif": "a QOI",
    rb"DDS ": "a texture (DDS)",
    rb"v/1\x01": "an OpenEXR",
    rb"SIMPLE  =": "a FITS",
    rb"FORM....(?:ILBM|PBM )": "an IFF",
    rb"%PDF": "a PDF",
    rb"%!PS|\xc5\xd0\xd3\xc6": "PostScript",
    rb"\s*(?:<\?xml[^>]*>|<!DOCTYPE svg[^>]*>|<!--.*?-->|\s)*<svg": "a drawing (SVG)",
    rb"(?i:\s*<!doctype html|\s*<html)": "a web page, as failed downloads leave",
    rb"PK\x03\x04": "an archive (ZIP)",
    rb"\x1f\x8b": "an archive (gzip)",
    rb"\x1a\x45\xdf\xa3|RIFF....AVI |....ftyp(?:isom|iso\d|mp4\d|avc1|qt  |M4V )": "a film",
}
OTHERS = {re.compile(begins, re.DOTALL): kind for begins, kind in _OTHERS.items()}
TARGA = b"TRUEVISION-XFILE.\0"  # how those of its second version end
PIXELMAP = re.compile(rb"\s*P([56])" + 3 * (GAP + rb"(\d{1,9})") + rb"\s")


def open_picture(file: Path | io.BytesIO) -> Image.Image | None:
    """Return the picture with its header read and nothing decoded; None for files that are not pictures."""
    try:
        if isinstance(file, Path):
            with file.open("rb") as opened:
                head = opened.read(12)
                if head[4:8] == b"ftyp":
                    register_heif()
                if head.startswith(png.SIGNATURE) and any(kind in png.TEXTS for kind in png.chunk_kinds(opened)):
                    file = io.BytesIO(png.without_texts(file.read_bytes()))
        with tiff.unlimited():  # our own limit, which can be raised, is checked next
            return pillow_opened(file)
    except Exception as error:  # header parsers may raise anything on foreign files
        if lacks_memory(error):
            raise
        return None


def pillow_opened(file: Path | io.BytesIO | io.BufferedReader) -> Image.Image:
    """Return a picture of one of `FORMATS` with its header read; Pillow's other parsers never see a stranger's file.

    Raises whatever these parsers raise.
    """
    Image.init()
    return Image.open(file, formats=[name for name in FORMATS if name in Image.OPEN])


def content_kind(path: Path) -> str:
    """Return what a file holds, whatever its suffix, "a JPEG picture" or a kind of `other_kind`; "" if not known."""
    picture = open_picture(path)
    if picture is None:
        return other_kind(path)
    with picture:
        return f"a {picture.format} picture"


def other_kind(path: Path) -> str:
    """Return what a file is that is no picture of ours, by how it begins or ends; "" where that is not known."""
    with path.open("rb") as file:
        head = file.read(1024)
        file.seek(-min(len(TARGA), file.seek(0, io.SEEK_END)), io.SEEK_END)
        tail = file.read()
    if tail == TARGA:
        return "a Targa (TGA)"
    return next((kind for begins, kind in OTHERS.items() if begins.match(head)), "")


def open_without_metadata(data: bytes) -> Image.Image | None:
    """Return the picture in a PNG or AVIF without some metadata, which Pillow treats as damage; None for others."""
    if data.startswith(png.SIGNATURE):
        fewer = (png.without_texts(data), png.without_metadata(data, (b"tRNS",)), png.without_metadata(data, ()))
        return next((picture for less in fewer if (picture := open_picture(io.BytesIO(less))) is not None), None)
    return open_picture(io.BytesIO(without_avif_exif(data))) if data[4:8] == b"ftyp" else None


def has_several_pictures(path: Path) -> bool:
    """Return whether the file at `path` holds more pictures, pages or frames than the one that is used."""
    with path.open("rb") as file:
        head = file.read(16)
    if head.startswith(tiff.MARKS):
        return tiff.main_page(path, path.read_bytes()).count > 1
    picture = open_picture(path)
    if picture is None:
        return False
    with picture:
        return bool(frames_note(path, picture))


def frames_note(path: Path, picture: Image.Image) -> str:
    """Return a sentence on a file with more pictures than the one that is used, opened as `picture`; else "".

    Smaller pictures beside a JPEG or a HEIF are previews, gain maps and depth, and do not count.
    """
    try:
        count, used = int(getattr(picture, "n_frames", 1)), 0
        if picture.format == "PPM":
            count = _count_netpbm(path.read_bytes())
        elif picture.format == "JPEG":
            sizes = jpeg.sizes(path.read_bytes())
            count = sizes.count(picture.size)
        elif picture.format == "PNG" and picture.info.get("default_image"):
            return f"{path.name} has a still picture, which is used, and an animation apart from it."
        elif picture.format in ("MPO", "HEIF") and count > 1:
            at, size, sizes = picture.tell(), picture.size, []
            with suppress(Exception):  # the size of the last, which Pillow does not always find, is unknown
                for n in range(count):
                    picture.seek(n)
                    sizes.append(picture.size)
            picture.seek(at)
            count -= len(sizes) - sizes.count(size)
            used = sizes[:at].count(size)  # before the one that the file names as its main one
    except Exception:  # what follows the first may be damaged
        return ""
    which = f"number {used + 1}, its main one," if used else "the first"
    return f"{path.name} has {count} frames; {which} is used." if count > 1 else ""


def _count_netpbm(data: bytes) -> int:
    """Return how many whole PBM, PGM or PPM pictures of binary numbers stand one behind the other."""
    count = at = 0
    while at <= len(data):
        if header := BITMAP.match(data, at):
            width, height = map(int, header.groups())
            size = -(-width // 8) * height
        elif header := PIXELMAP.match(data, at):
            kind, width, height, white = map(int, header.groups())
            size = width * height * (3 if kind == 6 else 1) * (2 if white > 255 else 1)
        else:
            return count
        at = header.end() + size
        count += at <= len(data)
    return count
