"""Pictures of data sets, decoded into tensors: upright as people see them, by one rule for headers and pixels."""

import os
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Float
from PIL import ExifTags, Image, UnidentifiedImageError
from torch import Tensor

from cyclopean import radiance
from cyclopean.decoding import LEAST_SIDE, MOST_MEGAPIXELS
from cyclopean.errors import InputError
from cyclopean.files import PHOTOS, refuse_unreadable
from cyclopean.images import read_photo

END, SCAN = b"\xff\xd9", b"\xff\xda"  # markers of JPEG
TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
PNG = b"\x89PNG\r\n\x1a\n"
FAST = ("PNG", "JPEG", "MPO", "WEBP", "BMP", "PPM")  # Pillow's names of what OpenCV decodes; the rest as photos are
FLIPS = {
    2: (1,),
    3: (0, 1),
    4: (0,),
    6: (1,),
    7: (0, 1),
    8: (0,),
}  # of EXIF, after rows and columns are exchanged (5-8)
HARMLESS = 8  # bytes between the picture and its end that cameras leave there


@dataclass(frozen=True)
class Header:
    """What the first bytes of a picture say: its upright size (height, width), EXIF's orientation, Pillow's format."""

    size: tuple[int, int]
    orientation: int
    format: str


def image_size(path: Path) -> tuple[int, int]:
    """(height, width) as people see the picture (EXIF turns it), from the file's header only."""
    refuse_unreadable(path)
    try:
        with path.open("rb") as file:
            return _header(path, file).size
    except OSError as error:
        raise InputError(f"{path} cannot be opened ({error.strerror}).") from error


def read_image(path: Path) -> Float[Tensor, "1 3 h w"]:
    """A picture as RGB in [0,1], 8 or 16 bit, upright."""
    data, header = _whole(path)
    if header.format not in FAST:
        return read_photo(path, MOST_MEGAPIXELS).image
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
    pixels = _decoded(path, data, header, flags)
    rgb = torch.from_numpy(np.ascontiguousarray(pixels[..., ::-1].transpose(2, 0, 1)).astype(np.float32))
    return rgb[None] / (np.iinfo(pixels.dtype).max if pixels.dtype.kind == "u" else 1)


def read_views(paths: Sequence[Path]) -> list[Float[Tensor, "1 3 h w"]]:
    """Pictures of one item. Raises if they differ in size, naming both."""
    images = [read_image(path) for path in paths]
    for path, image in zip(paths, images, strict=True):
        if image.shape != images[0].shape:
            raise _two_sizes(paths[0], images[0].shape, path, image.shape)
    return images


def read_counts(path: Path, bits: int) -> Float[Tensor, "1 1 h w"]:
    """A grey picture as its own numbers, unscaled: `bits` is 8 (0..255) or 16 (0..65535), whichever the format has.

    Raises InputError for another number of bits: what was saved anew with 8 has lost its unit.
    """
    pixels = _plane(path)
    if pixels.dtype != {8: np.uint8, 16: np.uint16}[bits]:
        kind = f"{8 * pixels.dtype.itemsize} bits{' (floating point)' if pixels.dtype.kind == 'f' else ''}"
        raise InputError(
            f"{path} has {kind} a pixel and its format {bits}: the numbers mean something else; give the file as it "
            "was released, or write it again from the original."
        )
    return torch.from_numpy(pixels.astype(np.float32))[None, None]


def read_mask(path: Path) -> Float[Tensor, "1 1 h w"]:
    """A grey picture of any bits in [0,1]: 0.5 and above is set."""
    pixels = _plane(path)
    most = np.iinfo(pixels.dtype).max if pixels.dtype.kind == "u" else 1
    return torch.from_numpy(pixels.astype(np.float32) / np.float32(most))[None, None]


def check_one_size(paths: Sequence[Path]) -> None:
    """Raises if pictures of one item differ in size by their headers, or cannot be opened."""
    sizes = [image_size(path) for path in paths]
    for path, size in zip(paths, sizes, strict=True):
        if size != sizes[0]:
            raise _two_sizes(paths[0], sizes[0], path, size)


def check_whole(path: Path) -> None:
    """Raises if a JPEG or PNG is cut short, mostly by its last bytes alone; other files pass."""
    if path.suffix.lower() in PHOTOS:
        with path.open("rb") as file:
            if _truncated(file):
                raise _cut(path)


def check_decoded(path: Path) -> None:
    """Raises if a picture does not decode without complaint: damage in its middle is often shown as grey or stripes.

    What libjpeg says of damage it mends goes to the standard error stream of the process alone, so that is listened to.
    """
    if path.suffix.lower() not in PHOTOS:
        return
    said: list[bytes] = []
    with _overheard(said):
        data, header = _whole(path)
        if header.format in FAST:
            _decoded(path, data, header, cv2.IMREAD_UNCHANGED)
        else:
            read_photo(path, MOST_MEGAPIXELS)
    for line in b"".join(said).decode(errors="replace").splitlines():
        if line.startswith("Corrupt JPEG data") and not _is_harmless(line):
            raise InputError(f"{path} is damaged in its middle ({line.strip()}); replace or remove it.")


def _is_harmless(line: str) -> bool:
    """`Corrupt JPEG data: 2 extraneous bytes before marker 0xd9`, which some cameras write."""
    words = line.removeprefix("Corrupt JPEG data: ").split()
    return words[1:2] == ["extraneous"] and words[-1:] == ["0xd9"] and words[0].isdigit() and int(words[0]) <= HARMLESS


@contextmanager
def _overheard(said: list[bytes]) -> Iterator[None]:
    """What C libraries write to standard error meanwhile is added to `said` and not shown."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as heard:
        os.dup2(heard.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            heard.seek(0)
            said.append(heard.read())


def _plane(path: Path) -> np.ndarray:
    """The numbers of a grey picture, (height, width)."""
    data, header = _whole(path)
    pixels = _decoded(path, data, header, cv2.IMREAD_UNCHANGED)
    if pixels.ndim != 2:
        raise InputError(f"{path} has {pixels.shape[-1]} channels; a map of this kind needs one.")
    return pixels


def _whole(path: Path) -> tuple[bytes, Header]:
    """A file that is not cut short, and its header. Decoders fill what is missing with grey and say nothing."""
    refuse_unreadable(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be opened ({error.strerror}).") from error
    if _truncated(BytesIO(data)):
        raise _cut(path)
    return data, _header(path, BytesIO(data))


def _decoded(path: Path, data: bytes, header: Header, flags: int) -> np.ndarray:
    """Pixels by OpenCV, turned upright (it turns TIFF by itself)."""
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if pixels is None:
        raise InputError(f"{path} is damaged and cannot be read as a picture; replace or remove it.")
    if header.format == "TIFF":
        return pixels
    if header.orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    return np.flip(pixels, FLIPS.get(header.orientation, ()))


def _header(path: Path, file: BufferedReader | BytesIO) -> Header:
    """Refuses what is no picture, and by its header what no photo may be (`images.read_photo`)."""
    start = file.read(12)
    file.seek(0)
    if start.startswith(radiance.MARKS):
        width, height = radiance.size(path)
        header = Header((height, width), 1, "HDR")
    else:
        header = _by_pillow(path, file, start)
        height, width = header.size
    if width * height > MOST_MEGAPIXELS * 1e6:
        raise InputError(
            f"{path} is {width}x{height} ({width * height / 1e6:.3g} megapixels), the limit of data is "
            f"{MOST_MEGAPIXELS:g}; shrink it, and its partners and truth with it."
        )
    if min(width, height) < LEAST_SIDE:
        raise InputError(
            f"{path} is {width}x{height} pixels; data needs at least {LEAST_SIDE} on each side; replace or remove it."
        )
    return header


def _by_pillow(path: Path, file: BufferedReader | BytesIO, start: bytes) -> Header:
    if start[4:8] == b"ftyp":
        import pillow_heif

        pillow_heif.register_heif_opener()
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # ours is checked next, one for photos and data
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(file) as picture:  # of odd metadata
            width, height = picture.size
            kind = picture.format or ""
            pages = getattr(picture, "n_frames", 1) if kind == "TIFF" else 1
            orientation = _orientation(picture, file)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        if start.startswith(TIFF):  # some kinds of which photos are read without Pillow
            return Header(read_photo(path, MOST_MEGAPIXELS).size, 1, "TIFF")
        raise InputError(f"{path} cannot be read as a picture; replace or remove it.") from error
    finally:
        Image.MAX_IMAGE_PIXELS = limit
    if pages > 1:  # the first may be a thumbnail: which one is the photo is decided in one place
        return Header(read_photo(path, MOST_MEGAPIXELS).size, 1, kind)
    turned = orientation >= 5 and kind not in ("TIFF", "HEIF")  # which give their upright size themselves
    return Header((width, height) if turned else (height, width), orientation, kind)


def _orientation(picture: Image.Image, file: BufferedReader | BytesIO) -> int:
    """EXIF's orientation, 1 to 8; 1 where it says nothing sensible."""
    if picture.format == "PNG" and not {"exif", "XML:com.adobe.xmp", "Raw profile type exif"} & set(picture.info):
        # Pillow would decode the whole picture to see what stands behind it; most have nothing there.
        kinds = list(_chunks(file))
        behind = kinds[kinds.index(b"IDAT") :] if b"IDAT" in kinds else []
        if not {b"eXIf", b"iTXt", b"zTXt", b"tEXt"} & set(behind):
            return 1
    try:
        said: Any = picture.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # parsers raise whatever they like on tags of a wrong type
        return 1
    return said if isinstance(said, int) and 1 <= said <= 8 else 1


def _chunks(file: BufferedReader | BytesIO) -> Iterator[bytes]:
    """The kinds of a PNG's chunks, as far as they are whole."""
    end = file.seek(0, os.SEEK_END)
    at = len(PNG)
    while at + 12 <= end:
        file.seek(at)
        length, kind = int.from_bytes(file.read(4), "big"), file.read(4)
        at += 12 + length
        if at > end:
            return
        yield kind
        if kind == b"IEND":
            return


def _truncated(file: BufferedReader | BytesIO) -> bool:
    """Whether a JPEG or PNG lacks its end."""
    head = file.read(8)
    file.seek(max(0, file.seek(0, os.SEEK_END) - 4096))
    tail = file.read()
    if head == PNG:
        return b"IEND" not in tail
    if not head.startswith(b"\xff\xd8") or tail.rstrip(b"\0").endswith(END):
        return False
    file.seek(0)  # something follows the picture, or it has no end
    data = file.read()
    return data.rfind(END) < max(0, data.rfind(SCAN))  # of the last scan: thumbnails have their own


def _cut(path: Path) -> InputError:
    return InputError(f"{path} is truncated; replace or remove it.")


def _two_sizes(path: Path, shape: Sequence[int], other: Path, other_shape: Sequence[int]) -> InputError:
    return InputError(
        f"{path} has {shape[-1]}x{shape[-2]} pixels and {other} has {other_shape[-1]}x{other_shape[-2]}; "
        "views of one item need one size."
    )
