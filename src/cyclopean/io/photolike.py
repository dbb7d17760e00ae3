"""Conversion of Python's kinds of pictures to a `Photo`: a path, a Pillow picture, an array, a tensor.

The same rules hold for `load()(x)` and `refocus(x, ...)`. Ambiguous input is an error that shows the ways to write it.
"""

import math
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import ExifTags, Image, PngImagePlugin
from torch import Tensor

from cyclopean.errors import InputError
from cyclopean.io.depthmap import DepthMap
from cyclopean.io.files import at_home
from cyclopean.io.image import Photo, read_photo
from cyclopean.io.limits import LEAST_SIDE

PhotoLike = Photo | str | os.PathLike[str] | Image.Image | NDArray[Any] | Tensor

WHITE = {"uint8": 255, "uint16": 65535}
PNG = ("1", "L", "LA", "I;16", "P", "RGB", "RGBA")  # Pillow's modes that a PNG file keeps as they are
SLACK = 1e-3  # resizing leaves floats a little outside [0,1]
WANTED = "give a path, a Pillow picture, an array (height, width, 3), a tensor (3, height, width) or a Photo"


def as_photo(picture: object) -> Photo:
    """Return `picture`, anything that is `PhotoLike`, as a Photo.

    Paths and Pillow pictures are read as files are (orientation, colour profile, alpha over white). Arrays are RGB or
    grey with channels last, tensors with channels first; alpha is composited over white. Integers are uint8 or uint16,
    floats lie in [0,1]. Raises InputError for everything else, and for numbers whose white is ambiguous.
    """
    if isinstance(picture, Photo):
        return picture
    if isinstance(picture, str | os.PathLike):
        return read_photo(at_home(picture))
    if isinstance(picture, Image.Image):
        return _from_pillow(picture)
    if isinstance(picture, Tensor):
        return _from_tensor(picture)
    if isinstance(picture, DepthMap) or not hasattr(picture, "__array__"):
        raise InputError(f"a {type(picture).__name__} is not a picture; {WANTED}.")
    return _from_array(np.asanyarray(picture))


def _from_pillow(picture: Image.Image) -> Photo:
    """Return the photo of a Pillow picture, through a lossless file, so that metadata are read in one way."""
    if picture.mode in ("F", "I"):
        raise InputError(
            f"a Pillow picture of mode {picture.mode} has no fixed white; give an array of floats in [0,1]."
        )
    name = Path(str(getattr(picture, "filename", "") or "picture.png")).name
    _check_size(picture.height, picture.width, f"picture {picture.width}x{picture.height}")
    try:
        picture.load()
    except Exception as error:  # decoders raise whatever they like on files that are cut short or closed
        remedy = "give it before it is closed" if "closed" in str(error) else "give a whole file"
        raise InputError(f"the Pillow picture {name} cannot be read ({error}); {remedy}.") from None
    suffix = ".png" if picture.mode in PNG else ".tif"
    options: dict[str, Any] = {}
    if suffix == ".png":
        chunks, xmp = PngImagePlugin.PngInfo(), picture.info.get("xmp") or picture.info.get("XML:com.adobe.xmp")
        if xmp:  # marks a panorama
            chunks.add_itxt("XML:com.adobe.xmp", xmp.decode("utf-8", "replace") if isinstance(xmp, bytes) else xmp)
        options = {"compress_level": 1, "pnginfo": chunks}
    exif = picture.getexif()
    try:
        data = exif.tobytes()
    except Exception:  # writers may raise anything on mistyped tags: keep only the orientation
        upright = Image.Exif()
        upright[ExifTags.Base.Orientation] = exif.get(ExifTags.Base.Orientation, 1)
        data = upright.tobytes()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"picture{suffix}"
        try:
            picture.save(path, exif=data, **options)
        except Exception as error:
            raise InputError(
                f"a Pillow picture of mode {picture.mode} is not supported ({error}); give picture.convert('RGB')."
            ) from None
        return replace(read_photo(path), name=name, encoder_options={}, notes=())


def _from_tensor(tensor: Tensor) -> Photo:
    """Return the photo of a tensor (h, w), (c, h, w) or (1, c, h, w)."""
    if tensor.layout != torch.strided or tensor.is_quantized:
        way = "x.dequantize()" if tensor.is_quantized else "x.to_dense()"
        raise InputError(f"the tensor {_shape(tensor)} is sparse or quantized; give {way}.")
    if tensor.device.type == "meta":
        raise InputError(f"the tensor {_shape(tensor)} is on the device meta and holds no numbers; {WANTED}.")
    planes = tensor.detach().cpu()
    planes = planes[0] if planes.ndim == 4 and len(planes) == 1 else planes
    planes = planes[None] if planes.ndim == 2 else planes
    if planes.ndim != 3 or planes.shape[0] not in (1, 3, 4):
        last = planes.ndim == 3 and planes.shape[-1] in (1, 3, 4)
        remedy = "channels come first in tensors: x.permute(2, 0, 1)" if last else "it needs (3, height, width)"
        remedy = "give one picture at a time: x[0]" if tensor.ndim == 4 and len(tensor) != 1 else remedy
        raise InputError(f"a tensor of shape {_shape(tensor)} is not a picture; {remedy}.")
    return _from_planes(planes, str(tensor.dtype).removeprefix("torch."), f"tensor {_shape(tensor)}")


def _from_array(array: NDArray[Any]) -> Photo:
    """Return the photo of an array (h, w) or (h, w, c)."""
    name = f"array {_shape(array)}"
    if isinstance(array, np.ma.MaskedArray) and np.ma.is_masked(array):
        raise InputError(f"the {name} has masked pixels; give the colour in their place: x.filled(0).")
    array = np.asarray(array)
    if array.dtype.kind == "f":
        array = array.astype(np.float32)
    elif array.dtype.name not in WHITE:
        raise InputError(f"the {name} holds {array.dtype}; give uint8, uint16, or floats in [0,1].")
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[-1] not in (1, 3, 4):
        first = array.ndim == 3 and array.shape[0] in (1, 3, 4)
        remedy = "channels come last in arrays: x.transpose(1, 2, 0)" if first else "it needs (height, width, 3)"
        remedy = "give one picture at a time: x[0]" if array.ndim == 4 else remedy
        raise InputError(f"an array of shape {_shape(array)} is not a picture; {remedy}.")
    native = array.astype(array.dtype.newbyteorder("="), copy=False)
    planes = np.require(
        native.transpose(2, 0, 1), requirements=["C", "W"]
    )  # torch warns of arrays that are not writable
    return _from_planes(torch.from_numpy(planes), array.dtype.name, name)


def _from_planes(planes: Tensor, dtype: str, name: str) -> Photo:
    """Return the photo of grey, RGB or RGBA planes (c, h, w), whose numbers were of `dtype`."""
    _check_size(planes.shape[-2], planes.shape[-1], name)
    if dtype not in WHITE and not planes.is_floating_point():
        raise InputError(f"the {name} holds {dtype}; give uint8, uint16, or floats in [0,1].")
    image = planes.to(torch.float32)[None]
    low, high = float(image.min()), float(image.max())
    if dtype == "uint16" and 0 < high <= 4095:
        raise InputError(
            f"the {name} holds uint16 up to {high:g}, whose white may be 255, 1023, 4095 or 65535; give floats in "
            "[0,1]: x divided by its white."
        )
    image = image / WHITE.get(dtype, 1)
    if dtype not in WHITE and not (low >= -SLACK and high <= 1 + SLACK):  # also when a number is none
        if not (math.isfinite(low) and math.isfinite(high)):
            problem = "pixels that are NaN or infinite"
            remedy = "give them a colour (np.nan_to_num)"
        else:
            problem = f"floats from {low:g} to {high:g}, and a picture's lie in [0,1]"
            remedy = "divide by its white (255 for 8 bits), or give uint8"
        if low < -SLACK and math.isfinite(low):
            remedy = "undo its normalisation: (x + 1) / 2 for -1 to 1, x * std + mean for that of ImageNet"
        raise InputError(f"the {name} holds {problem}; {remedy}.")
    image = image.clamp(0, 1)
    if len(planes) == 4 and bool(image[:, 3:].any()):
        image = image[:, :3] * image[:, 3:] + (1 - image[:, 3:])
    image = image[:, :3].expand(1, 3, -1, -1)  # an alpha that hides everything is a mistake, as in files
    return Photo(image.contiguous(), bits=8 if dtype == "uint8" else 16)


def _check_size(height: int, width: int, name: str) -> None:
    if min(height, width) < LEAST_SIDE:
        raise InputError(f"the {name} is too small; a photo needs at least {LEAST_SIDE} pixels on each side.")


def _shape(values: Any) -> str:
    return "x".join(map(str, values.shape))
