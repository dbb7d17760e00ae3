"""ICC profiles: colours to sRGB and back.

Little CMS in Pillow supports 8 bits only. More bits are converted here, by a profile's curves and matrix, or for
profiles of another kind through a lookup table made with it.
"""

import io
import re
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32
from PIL import Image, ImageCms
from torch import Tensor

from cyclopean.errors import lacks_memory
from cyclopean.io.colour import (
    BT709,
    PRIMARIES,
    WHITE_NITS,
    Coding,
    between,
    by_numbers,
    hlg_scene,
    pq_linear,
    srgb,
    srgb_linear,
)

Rgb = Float[Tensor, "1 3 h w"]

SAMPLES = 65536  # of a curve: one for each number of 16 bits
ALIKE = 2  # steps of 8 bits: profiles that change no colour by more are sRGB, whatever their name


PQ, HLG = 16, 18  # transfers in ITU-T H.273
NAMES = {  # in descriptions of profiles, such as "Rec. ITU-R BT.2100 PQ", ITUR_2100_PQ_FULL, Rec2100HLG, "HLG P3 RGB"
    PQ: re.compile(r"(?<![A-Za-z])(PQ|PeQ|(ST|SMPTE)[ ._-]*2084)(?![A-Za-z])"),
    HLG: re.compile(r"(?<![A-Za-z])HLG(?![A-Za-z])"),
}
BT2020, P3 = 9, 12  # primaries in ITU-T H.273
SAME_CURVE = 0.002  # of the brightest light


def to_tensor(array: np.ndarray, white: int) -> Float[Tensor, "1 c h w"]:
    """Return an array (h, w) or (h, w, c) of integers as a tensor, scaled so that `white` is 1."""
    array = array[..., None] if array.ndim == 2 else array
    return torch.from_numpy(array.astype(np.float32)).permute(2, 0, 1)[None].contiguous() / white


@dataclass(frozen=True)
class Shaper:
    """A profile of one curve for each channel, numbers to linear light, and the matrix of light to linear sRGB."""

    curves: Float32[np.ndarray, "c 65536"]
    matrix: Float32[np.ndarray, "3 c"]

    def linear(self, numbers: Float[np.ndarray, "c h w"]) -> Float[np.ndarray, "3 h w"]:
        """Return linear sRGB of numbers in [0,1]."""
        places = np.round(numbers * (SAMPLES - 1)).astype(np.uint16)
        light = np.stack([curve[channel] for curve, channel in zip(self.curves, places, strict=True)])
        return np.tensordot(self.matrix, light, 1)

    def numbers(self, linear: Float[np.ndarray, "3 h w"]) -> Float[np.ndarray, "3 h w"]:
        """Return numbers in [0,1] of linear sRGB, by a profile of three channels."""
        light = np.tensordot(np.linalg.inv(self.matrix), linear, 1)
        even = np.linspace(0, 1, SAMPLES)
        rising = np.maximum.accumulate(self.curves, 1)
        return np.stack([np.interp(*pair, even) for pair in zip(light, rising, strict=True)]).astype(np.float32)


def shaper(profile: bytes) -> Shaper | None:
    """Return the curves and the matrix of a grey or RGB profile (ICC.1:2022, 8.3); None for another kind, or a broken
    one."""
    try:
        tags = _tags(profile)
        if any(name[:3] in (b"A2B", b"D2B") for name in tags) or profile[20:24] != b"XYZ ":
            return None
        if profile[16:20] == b"GRAY":
            return Shaper(_curve(tags[b"kTRC"])[None], np.ones((3, 1), np.float32))
        if profile[16:20] != b"RGB ":
            return None
        usual = _colorants(_tags(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()))
        curves = np.stack([_curve(tags[name]) for name in (b"rTRC", b"gTRC", b"bTRC")])
        matrix = np.linalg.inv(usual) @ _colorants(tags)
        return Shaper(curves, matrix.astype(np.float32)) if np.linalg.cond(matrix) < 1e6 else None
    except (struct.error, KeyError, ValueError, ArithmeticError, np.linalg.LinAlgError):  # any bytes
        return None


def _tags(profile: bytes) -> dict[bytes, bytes]:
    count = min(struct.unpack_from(">I", profile, 128)[0], 200)
    entries = (struct.unpack_from(">4sII", profile, 132 + 12 * n) for n in range(count))
    return {name: profile[at : at + size] for name, at, size in entries}


def _colorants(tags: dict[bytes, bytes]) -> Float[np.ndarray, "3 3"]:
    """Return the matrix from linear colours to CIE XYZ under D50."""
    columns = [struct.unpack_from(">3i", tags[name], 8) for name in (b"rXYZ", b"gXYZ", b"bXYZ")]
    return np.array(columns).T / 65536


def _curve(tag: bytes) -> Float32[np.ndarray, " 65536"]:
    """Return the samples of a curve (ICC.1:2022, 10.6 and 10.18), in [0,1]. Raises ValueError for other tags."""
    x = np.linspace(0, 1, SAMPLES)
    if tag[:4] == b"curv":
        (count,) = struct.unpack_from(">I", tag, 8)
        table = np.frombuffer(tag, ">u2", count, 12)
        if count < 2:
            return (x ** (table[0] / 256) if count else x).astype(np.float32)
        return np.interp(x, np.linspace(0, 1, count), table / 65535).astype(np.float32)
    if tag[:4] != b"para":
        raise ValueError("not a curve")
    (kind,) = struct.unpack_from(">H", tag, 8)
    count = {0: 1, 1: 3, 2: 4, 3: 5, 4: 7}[kind]
    power, slope, shift, linear, limit, above, below = 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0
    match [value / 65536 for value in struct.unpack_from(f">{count}i", tag, 12)]:
        case [power]:
            pass
        case [power, slope, shift]:
            pass
        case [power, slope, shift, above]:
            pass
        case [power, slope, shift, linear, limit]:
            pass
        case [power, slope, shift, linear, limit, above, below]:
            pass
    curve = np.maximum(slope * x + shift, 0) ** power + above
    return np.clip(np.where(x >= limit, curve, linear * x + below), 0, 1).astype(np.float32)


def _cube(side: int) -> Image.Image:
    """Return a picture of side³ colours, red the fastest, in steps that are as even as 8 bits allow."""
    steps = np.linspace(0, 255, side).round().astype(np.uint8)
    blue, green, red = np.meshgrid(steps, steps, steps, indexing="ij")
    return Image.fromarray(np.stack([red, green, blue], -1).reshape(-1, side, 3))


def _is_srgb(profile: ImageCms.ImageCmsProfile) -> bool:
    """Return whether an RGB profile changes no colour visibly; names do not tell, as in "Linear sRGB"."""
    cube = _cube(18)
    changed = ImageCms.profileToProfile(cube, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
    return changed is not None and int(np.abs(np.array(changed, int) - np.array(cube, int)).max()) <= ALIKE


def from_profile(picture: Image.Image, profile: bytes) -> Image.Image:
    """Return an RGB, L or CMYK picture in sRGB by its profile; one that is broken or for another mode is ignored."""
    if not profile:
        return picture.convert("RGB")
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = source.profile.xcolor_space.strip()
        if space == "RGB" and picture.mode == "RGB" and _is_srgb(source):
            return picture
        if space == "GRAY" and picture.mode == "RGB" and not np.ptp(np.array(picture), -1).any():
            picture = picture.getchannel(0)  # grey that was stored or decoded as colours
        exact = shaper(profile) if space == "GRAY" and picture.mode == "L" else None
        if exact is not None:
            table = np.round(255 * srgb(exact.curves[0][:: SAMPLES // 255]))
            return picture.point(table.astype(int).tolist()).convert("RGB")
        converted = ImageCms.profileToProfile(picture, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
        return converted if converted is not None else picture.convert("RGB")
    except Exception as error:  # names and colour spaces of profiles may be any bytes
        if lacks_memory(error):
            raise
        return picture.convert("RGB")


def by_name(name: str, primaries: int | None = None) -> Coding | None:
    """Return the coding of a profile whose name or description states PQ or HLG; None for all others."""
    usual = P3 if "P3" in name else BT2020
    return next((by_numbers(primaries or usual, number) for number, words in NAMES.items() if words.search(name)), None)


def high_dynamic_range(profile: bytes) -> Coding | None:
    """Return the coding of an RGB profile of PQ or HLG, by its tag `cicp` (ICC.1:2022, 9.2.17), its curves or its
    description; None for all others.

    Such a profile maps the brightest light that can be coded, 10000 or 1000 nits, to white, and all others to black.
    """
    if profile[16:20] != b"RGB ":
        return None
    description, tags = "", dict[bytes, bytes]()
    with suppress(Exception):  # of profiles with any bytes
        tags = _tags(profile)
        description = ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile.profile_description or ""
    stated = tags.get(b"cicp", b"")[8:10]
    if len(stated) == 2 and stated[1] in NAMES:
        return by_numbers(*stated)
    exact = shaper(profile)
    if exact is None:
        return by_name(description)
    matrices = {number: between(PRIMARIES[number], BT709) for number in (BT2020, P3, 1)}
    primaries = min(matrices, key=lambda number: float(np.abs(matrices[number] - exact.matrix).max()))
    even = np.linspace(0, 1, SAMPLES)
    for number, curve in ((PQ, pq_linear(even) * WHITE_NITS / 10000), (HLG, hlg_scene(even))):
        if np.abs(exact.curves - curve).max() < SAME_CURVE:
            return by_numbers(primaries, number)
    return by_name(description, primaries)


def from_profile_deep(image: Float[Tensor, "1 _ h w"], profile: bytes) -> Float[Tensor, "1 _ h w"]:
    """Do as `from_profile` for grey or RGB in [0,1] of more than 8 bits."""
    if not profile:
        return image
    if profile[16:20] == b"GRAY" and bool((image[:, :1] == image).all()):
        image = image[:, :1]  # grey that was stored or decoded as colours
    ramp = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    sample = _cube(18) if image.shape[1] == 3 else ramp
    if from_profile(sample, profile) == sample.convert("RGB"):
        return image  # sRGB, or a profile that is broken or for another mode
    exact = shaper(profile)
    if exact is not None:
        light = np.clip(exact.linear(image[0].numpy()), 0, 1)
        return torch.from_numpy(srgb(light).astype(np.float32))[None]
    if image.shape[1] == 3:
        return by_table(image, lambda cube: from_profile(cube, profile))
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
        if _is_srgb(target):
            return picture, {"icc_profile": profile}
        converted = ImageCms.profileToProfile(picture, ImageCms.createProfile("sRGB"), target, outputMode="RGB")
    except Exception as error:  # names and colour spaces of profiles may be any bytes
        if lacks_memory(error):
            raise
        return picture, {}
    return (picture, {}) if converted is None else (converted, {"icc_profile": profile})


def to_profile_deep(image: Rgb, profile: bytes) -> tuple[Rgb, bytes]:
    """Return an sRGB picture of more than 8 bits in the colours of `profile`, and the profile to write with it."""
    sample = _cube(18)
    converted, options = to_profile(sample, profile)
    if "icc_profile" not in options:
        return image, b""
    if converted == sample:
        return image, profile
    exact = shaper(profile)
    if exact is not None:
        light = srgb_linear(image[0].clamp(0, 1).cpu().numpy())
        return torch.from_numpy(exact.numbers(light))[None], profile
    return by_table(image, lambda cube: to_profile(cube, profile)[0]), profile


def by_table(image: Rgb, convert: Callable[[Image.Image], Image.Image]) -> Rgb:
    """Convert colours through a table of 64³."""
    table = to_tensor(np.array(convert(_cube(64))), 255).reshape(1, 3, 64, 64, 64)
    return F.grid_sample(table, image.permute(0, 2, 3, 1)[:, None] * 2 - 1, align_corners=True)[:, :, 0]
