"""Refocusing a panorama: blur goes on over its seam.

How far it spreads is what it would be on a flat picture: the same everywhere, not per solid angle.
"""

import dataclasses
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from cyclopean.depthmap import DepthMap
from cyclopean.geometry import Equirectangular
from cyclopean.refocus.focusing import Picture

Pixel = tuple[int, int]
Image = Float[Tensor, "1 3 h w"]
Once = Callable[[Picture, DepthMap, Pixel | None], Picture]


def as_taken(once: Once[Picture], photo: Picture, depth: DepthMap, pixel: Pixel | None) -> Picture:
    """`once` of a photo; `around` of a panorama, which its camera tells."""
    panorama = isinstance(getattr(photo, "camera", None), Equirectangular)
    return around(once, photo, depth, pixel) if panorama else once(photo, depth, pixel)


def around(once: Once[Picture], photo: Picture, depth: DepthMap, pixel: Pixel | None) -> Picture:
    """`once` done twice, half a turn apart: of each result the half around its middle, far from its borders.

    `pixel` (x, y) is the point in focus; it is turned with the picture, and so are depth and what is known of it.
    """
    width = photo.image.shape[-1]
    half, quarter = width // 2, width // 4
    turned = None if pixel is None else ((pixel[0] + half) % width, pixel[1])
    there = dataclasses.replace(photo, image=photo.image.roll(half, -1))  # type: ignore[type-var]
    rolled = dataclasses.replace(
        depth, inverse_depth=depth.inverse_depth.roll(half, -1), valid=depth.valid.roll(half, -1)
    )
    middle, ends = once(photo, depth, pixel).image, once(there, rolled, turned).image.roll(-half, -1)
    return dataclasses.replace(photo, image=_joined(middle, ends, quarter))  # type: ignore[type-var]


def _joined(middle: Image, ends: Image, quarter: int) -> Image:
    parts = ends[..., :quarter], middle[..., quarter:-quarter], ends[..., -quarter:]
    return torch.cat(parts, -1)
