"""Refocusing: a photo, its depth, a point that shall be sharp. The package is also the function `cyclopean.refocus`."""

import dataclasses
import math
import sys
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any, Protocol, TypeVar, runtime_checkable

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from cyclopean.depthmap import DepthMap
from cyclopean.errors import InputError, unknown_name
from cyclopean.refocus import blurs, levels

Plane = Float[np.ndarray, "h w"]
Point = tuple[float | int, float | int]


@runtime_checkable
class Pictured(Protocol):
    """A frozen dataclass with a picture in it, such as `Photo`: `image` is `1 3 h w`, RGB in [0,1]."""

    @property
    def image(self) -> Tensor: ...


Picture = TypeVar("Picture", bound=Pictured)

# name -> (picture, inverse depth, inverse depth in focus, kernels, bins=...) -> picture
METHODS: dict[str, Callable[..., Float[np.ndarray, "h w 3"]]] = {
    "gaussian": partial(levels.render, blur=blurs.gaussian),
    "average": partial(levels.render, blur=blurs.average),
    "median": partial(levels.render, blur=blurs.median),
    "bilateral": partial(levels.render, blur=blurs.bilateral),
}
BINS: dict[str, levels.Bins] = {"smooth": levels.smooth, "hard": levels.hard}


def refocus(
    photo: Picture,
    depth: DepthMap,
    at: Point,
    *,
    method: str = "gaussian",
    strength: float = 1.0,
    bins: str = "smooth",
) -> Picture:
    """`photo` focused at the point `at` = (x, y): sharp at that depth, more blurred the farther from it in disparity.

    `at` is in pixels, or in fractions of width and height when both are below 1. `method` is the blur: gaussian,
    average, median or bilateral. `strength` 1 blurs the same part of any picture as the MonoDepthDeFocus report does of
    its own. `bins` "smooth" blends neighbouring levels of blur, "hard" takes one per pixel as the report. Raises
    InputError when sizes differ, `at` lies outside, a name is unknown or nothing is known of the depth.
    """
    check_choice(method, strength, bins)
    size = (photo.image.shape[-2], photo.image.shape[-1])
    if depth.size != size:
        raise InputError(
            f"the depth map is {depth.size[1]}x{depth.size[0]} but the photo is {size[1]}x{size[0]}; "
            "give the depth of this photo, or resize it."
        )
    x, y = focus_pixel(at, size)
    inverse = _filled(depth.inverse_depth[0, 0], depth.valid[0, 0])
    picture = np.ascontiguousarray(photo.image[0].permute(1, 2, 0).cpu().numpy(), np.float32)
    kernels = levels.kernels_for(size, strength)
    result = METHODS[method](picture, inverse, float(inverse[y, x]), kernels, bins=BINS[bins])
    image = torch.from_numpy(result).permute(2, 0, 1)[None].contiguous()
    return dataclasses.replace(photo, image=image)  # type: ignore[type-var]


def check_choice(method: str, strength: float, bins: str) -> None:
    """Raises InputError for unknown names and a strength that is no number from 0 up."""
    if method not in METHODS:
        raise unknown_name("blur method", method, METHODS)
    if bins not in BINS:
        raise unknown_name("kind of bins", bins, BINS)
    if not (math.isfinite(strength) and strength >= 0):
        raise InputError(f"the strength of blur is {strength:g}; it must be 0 or more.")


def focus_pixel(at: Point, size: tuple[int, int]) -> tuple[int, int]:
    """The pixel (x, y) that `at` means at `size` (height, width): fractions when both are below 1, else pixels."""
    x, y = at
    h, w = size
    if 0 <= x < 1 and 0 <= y < 1:
        return min(int(x * w), w - 1), min(int(y * h), h - 1)
    if 0 < x < 1 or 0 < y < 1:
        raise InputError(
            f"the point {x:g} {y:g} mixes a fraction with pixels; give two fractions below 1, or two numbers of pixels."
        )
    if not (0 <= x < w and 0 <= y < h):
        raise InputError(f"the point {x:g} {y:g} lies outside the photo, which is {w}x{h}; give a point inside it.")
    return int(x), int(y)


def _filled(inverse_depth: Float[Tensor, "h w"], valid: Bool[Tensor, "h w"]) -> Plane:
    """Every unknown pixel takes the value of the nearest known one."""
    plane, known = inverse_depth.to(torch.float32).cpu().numpy(), valid.cpu().numpy()
    if known.all():
        return plane
    if not known.any():
        raise InputError("nothing is known of the depth: every value of the map is unknown; give another depth map.")
    unknown = (~known).astype(np.uint8)
    _, label = cv2.distanceTransformWithLabels(unknown, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    value = np.zeros(int(label.max()) + 1, np.float32)
    value[label[known]] = plane[known]
    return value[label]


class _Callable(ModuleType):
    """A package by its files, a function by its use: `cyclopean.refocus(photo, depth, at)`."""

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return refocus(*arguments, **named)


sys.modules[__name__].__class__ = _Callable
