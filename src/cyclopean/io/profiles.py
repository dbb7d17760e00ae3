"""ICC profiles: colours to sRGB and back, in 8 bits by Little CMS, in more by a lookup table made with it."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from PIL import Image, ImageCms
from torch import Tensor

from cyclopean.errors import lacks_memory

Rgb = Float[Tensor, "1 3 h w"]


def to_tensor(array: np.ndarray, white: int) -> Float[Tensor, "1 c h w"]:
    """Return an array (h, w) or (h, w, c) of integers as a tensor, scaled so that `white` is 1."""
    array = array[..., None] if array.ndim == 2 else array
    return torch.from_numpy(array.astype(np.float32)).permute(2, 0, 1)[None].contiguous() / white


def from_profile(picture: Image.Image, profile: bytes) -> Image.Image:
    """Return an RGB, L or CMYK picture in sRGB by its profile; one that is broken or for another mode is ignored."""
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


def from_profile_deep(image: Float[Tensor, "1 c h w"], profile: bytes) -> Float[Tensor, "1 c h w"]:
    """Do as `from_profile` for grey or RGB in [0,1] of more than 8 bits."""
    if not profile:
        return image
    if image.shape[1] == 3:
        return by_table(image, lambda cube: from_profile(cube, profile))
    ramp = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    table = np.array(from_profile(ramp, profile), np.float32)[0].mean(-1) / 255
    return torch.from_numpy(np.interp(image.numpy(), np.linspace(0, 1, 256), table).astype(np.float32))


def to_profile(picture: Image.Image, profile: bytes) -> tuple[Image.Image, dict[str, Any]]:
    """Return an sRGB picture in the colours of an RGB `profile`, and Pillow's options to save it with.

    A profile that is broken or of another kind changes nothing and gives no options.
    """
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


def to_profile_deep(image: Rgb, profile: bytes) -> tuple[Rgb, bytes]:
    """Return an sRGB picture of more than 8 bits in the colours of `profile`, and the profile to write with it."""
    if not profile or "icc_profile" not in to_profile(Image.new("RGB", (1, 1)), profile)[1]:
        return image, b""
    return by_table(image, lambda cube: to_profile(cube, profile)[0]), profile


def by_table(image: Rgb, convert: Callable[[Image.Image], Image.Image]) -> Rgb:
    """Convert colours through a table of 64³ (Little CMS in Pillow supports 8 bits only)."""
    steps = np.linspace(0, 255, 64).round().astype(np.uint8)
    blue, green, red = np.meshgrid(steps, steps, steps, indexing="ij")
    cube = Image.fromarray(np.stack([red, green, blue], -1).reshape(512, 512, 3))
    table = to_tensor(np.array(convert(cube)), 255).reshape(1, 3, 64, 64, 64)
    return F.grid_sample(table, image.permute(0, 2, 3, 1)[:, None] * 2 - 1, align_corners=True)[:, :, 0]
