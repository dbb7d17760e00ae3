"""What people hold in Python, as a `Photo`: a path, a Pillow picture, an array, a tensor.

One rule for `load()(x)` and `refocus(x, ...)`. What could mean two things is refused with the line that says which.
"""

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import ExifTags, Image, PngImagePlugin
from torch import Tensor

from cyclopean.errors import InputError
from cyclopean.io.depthmap import DepthMap
from cyclopean.io.image import Photo, read_photo
from cyclopean.io.limits import LEAST_SIDE

PhotoLike = Photo | str | os.PathLike[str] | Image.Image | NDArray[Any] | Tensor

FULL = {"uint8": 255, "uint16": 65535, "torch.uint8": 255, "torch.uint16": 65535}  # white, of whole numbers
PNG = ("1", "L", "LA", "I;16", "P", "RGB", "RGBA")  # Pillow's modes that a PNG file keeps as they are
SLACK = 1e-3  # resizing leaves floats a little outside [0,1]
WANTED = "give a path, a Pillow picture, an array (height, width, 3), a tensor (3, height, width) or a Photo"


def as_photo(picture: object) -> Photo:
    """Return `picture`, anything that is `PhotoLike`, as a Photo.

    Paths and Pillow pictures are read as files are (orientation, colour profile, alpha over white). Arrays are RGB or
    grey with channels last, tensors with channels first; alpha is laid over white. Whole numbers are uint8 or uint16,
    floats lie in [0,1]. Raises InputError for everything else.
    """
    if isinstance(picture, Photo):
        return picture
    if isinstance(picture, str | os.PathLike):
        return read_photo(Path(picture).expanduser())
    if isinstance(picture, Image.Image):
        return _of_pillow(picture)
    if isinstance(picture, Tensor):
        return _of_planes(_channels_first(picture.detach().cpu()), str(picture.dtype), f"tensor {_shape(picture)}")
    if isinstance(picture, DepthMap) or not hasattr(picture, "__array__"):
        raise InputError(f"a {type(picture).__name__} is no picture; {WANTED}.")
    array = np.asarray(picture)
    what = f"array {_shape(array)}"
    if array.dtype.kind == "f":
        array = array.astype(np.float32)
    elif array.dtype.name not in FULL:
        raise InputError(f"the {what} holds {array.dtype}; give uint8, uint16, or floats in [0,1].")
    return _of_planes(torch.from_numpy(_channels_last(array)), array.dtype.name, what)


def _of_pillow(picture: Image.Image) -> Photo:
    """The photo in the file that Pillow would write without loss: one way from pixels and metadata to a Photo."""
    if picture.mode in ("F", "I"):
        raise InputError(f"a Pillow picture of mode {picture.mode} has no white; give an array of floats in [0,1].")
    name = Path(str(getattr(picture, "filename", "") or "picture.png")).name
    suffix = ".png" if picture.mode in PNG else ".tif"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"picture{suffix}"
        more: dict[str, Any] = {"compress_level": 1, "pnginfo": _xmp(picture)} if suffix == ".png" else {}
        _refuse_small(picture.height, picture.width, f"picture {picture.width}x{picture.height}")
        try:
            picture.save(path, exif=_exif(picture), **more)
        except Exception as error:  # a file that is cut short is noticed only now; decoders raise whatever they like
            raise InputError(f"the Pillow picture {name} cannot be read ({error}); give a whole file.") from None
        photo = read_photo(path)
    return Photo(photo.image, photo.camera, name, photo.format, photo.bits, photo.exif, photo.profile, photo.gpano)


def _xmp(picture: Image.Image) -> PngImagePlugin.PngInfo:
    """What tells that a picture is a panorama, where a PNG file has it."""
    info, xmp = PngImagePlugin.PngInfo(), picture.info.get("xmp") or picture.info.get("XML:com.adobe.xmp")
    if xmp:
        info.add_itxt("XML:com.adobe.xmp", xmp.decode("utf-8", "replace") if isinstance(xmp, bytes) else xmp)
    return info


def _exif(picture: Image.Image) -> bytes:
    """The EXIF of a picture; of one with tags of wrong types only the orientation, which says what is up."""
    exif = picture.getexif()
    try:
        return exif.tobytes()
    except Exception:  # writers raise whatever they like on mistyped tags
        upright = Image.Exif()
        upright[ExifTags.Base.Orientation] = exif.get(ExifTags.Base.Orientation, 1)
        return upright.tobytes()


def _channels_last(array: NDArray[Any]) -> NDArray[Any]:
    """`array` (h, w) or (h, w, c) as (c, h, w)."""
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[-1] not in (1, 3, 4):
        first = array.ndim == 3 and array.shape[0] in (1, 3, 4)
        do = "channels come last in arrays: x.transpose(1, 2, 0)" if first else "it needs (height, width, 3)"
        do = "give one picture at a time: x[0]" if array.ndim == 4 else do
        raise InputError(f"an array of shape {_shape(array)} is no picture; {do}.")
    native = array.astype(array.dtype.newbyteorder("="), copy=False)
    return np.ascontiguousarray(native.transpose(2, 0, 1))


def _channels_first(tensor: Tensor) -> Tensor:
    """`tensor` (h, w), (c, h, w) or (1, c, h, w) as (c, h, w)."""
    planes = tensor[0] if tensor.ndim == 4 and len(tensor) == 1 else tensor
    planes = planes[None] if planes.ndim == 2 else planes
    if planes.ndim != 3 or planes.shape[0] not in (1, 3, 4):
        last = planes.ndim == 3 and planes.shape[-1] in (1, 3, 4)
        do = "channels come first in tensors: x.permute(2, 0, 1)" if last else "it needs (3, height, width)"
        do = "give one picture at a time: x[0]" if tensor.ndim == 4 and len(tensor) != 1 else do
        raise InputError(f"a tensor of shape {_shape(tensor)} is no picture; {do}.")
    return planes


def _of_planes(planes: Tensor, kind: str, what: str) -> Photo:
    """The photo of grey, RGB or RGBA planes (c, h, w); `kind` is the type of its numbers."""
    _refuse_small(planes.shape[-2], planes.shape[-1], what)
    if kind not in FULL and not planes.is_floating_point():
        raise InputError(f"the {what} holds {kind}; give uint8, uint16, or floats in [0,1].")
    image = planes.to(torch.float32)[None] / FULL.get(kind, 1)
    low, high = float(image.min()), float(image.max())
    if not (low >= -SLACK and high <= 1 + SLACK):  # also when a number is none
        raise InputError(
            f"the {what} holds floats from {low:g} to {high:g}, and a picture's lie in [0,1]; divide by its white "
            "(255 for 8 bits), or give uint8."
        )
    image = image.clamp(0, 1)
    if len(planes) == 4:
        image = image[:, :3] * image[:, 3:] + (1 - image[:, 3:])
    return Photo(image.expand(1, 3, -1, -1).contiguous(), bits=8 if "uint8" in kind else 16)


def _refuse_small(height: int, width: int, what: str) -> None:
    if min(height, width) < LEAST_SIDE:
        raise InputError(f"the {what} is too small; a photo needs at least {LEAST_SIDE} pixels on each side.")


def _shape(values: Any) -> str:
    return "x".join(map(str, values.shape))
