"""Refocusing: a photo, its depth, a point that shall be sharp. The package is also the function `cyclopean.refocus`."""

import dataclasses
import math
import sys
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any, overload

import numpy as np
import torch
from jaxtyping import Float

from cyclopean.depthmap import DepthMap
from cyclopean.errors import InputError, unknown_name
from cyclopean.images import Photo
from cyclopean.photolike import PhotoLike, as_photo
from cyclopean.refocus import blurs, levels
from cyclopean.refocus.focusing import Focusable, Picture, Pictured, Point, filled, focus_pixel
from cyclopean.refocus.lens import Lens

THIN_LENS = "thin-lens"

# name -> (picture, inverse depth, inverse depth in focus, kernels, bins=...) -> picture
METHODS: dict[str, Callable[..., Float[np.ndarray, "h w 3"]]] = {
    "gaussian": partial(levels.render, blur=blurs.gaussian),
    "average": partial(levels.render, blur=blurs.average),
    "median": partial(levels.render, blur=blurs.median),
    "bilateral": partial(levels.render, blur=blurs.bilateral),
}
BINS: dict[str, levels.Bins] = {"smooth": levels.smooth, "hard": levels.hard}


@overload
def refocus(
    photo: PhotoLike,
    depth: DepthMap,
    at: Point | None = None,
    *,
    method: str = ...,
    lens: Lens | None = ...,
    distance: float | None = ...,
    strength: float = ...,
    bins: str = ...,
) -> Photo: ...
@overload
def refocus(
    photo: Picture,
    depth: DepthMap,
    at: Point | None = None,
    *,
    method: str = ...,
    lens: Lens | None = ...,
    distance: float | None = ...,
    strength: float = ...,
    bins: str = ...,
) -> Picture: ...
def refocus(
    photo: Any,
    depth: Any,
    at: Point | None = None,
    *,
    method: str = THIN_LENS,
    lens: Lens | None = None,
    distance: float | None = None,
    strength: float = 1.0,
    bins: str = "smooth",
) -> Any:
    """`photo` focused at the point `at` = (x, y), or at `distance` metres: sharp there, ever more blurred away from it.

    `photo` is a Photo, or whatever `as_photo` makes one of: a path, a Pillow picture, an array, a tensor.
    `at` is in pixels, or in fractions of width and height when both are below 1. `method` is "thin-lens", which `lens`
    describes, or one of the report's: gaussian, average, median, bilateral. Their `strength` 1 blurs the same part of
    any picture as the MonoDepthDeFocus report does of its own; `bins` "smooth" blends neighbouring levels of blur,
    "hard" takes one per pixel as the report. Two methods joined by + are for what is nearer and what is farther than
    the focus. With both `at` and `distance`, the point is that far away, which gives relative depth its metres.
    Raises InputError when sizes differ, `at` lies outside, a name is unknown or nothing is known of the depth.
    """
    check_choice(method, strength, bins)
    method = canonical(method)
    if not isinstance(depth, DepthMap):
        raise InputError(
            f"the depth is a {type(depth).__name__}; give a DepthMap: load()(photo), read_depth(path), or "
            "from_numbers(tensor, kind)."
        )
    photo = photo if isinstance(photo, Pictured) else as_photo(photo)
    ready = focusable(photo, depth, lens or Lens())
    focus, unit = _focus(ready, depth, at, distance)
    ready = dataclasses.replace(ready, unit=unit)
    nearer, farther = (*method.split("+"), *method.split("+"))[:2]
    if nearer == farther:
        return _one(ready, focus, method, strength, BINS[bins])
    behind = _one(_still(ready, focus, farther, "before"), focus, farther, strength, BINS[bins])
    ready = dataclasses.replace(ready, photo=behind)
    return _one(_still(ready, focus, nearer, "behind"), focus, nearer, strength, BINS[bins])


def _still(ready: Focusable[Picture], focus: float, method: str, side: str) -> Focusable[Picture]:
    """What is `before` or `behind` the focus left as it is."""
    if method == THIN_LENS:
        still: dict[str, Any] = {side: 0.0}
        return dataclasses.replace(ready, lens=dataclasses.replace(ready.lens, **still))
    clipped = np.minimum if side == "before" else np.maximum
    return dataclasses.replace(ready, inverse_depth=clipped(ready.inverse_depth, np.float32(focus)))


def focusable(photo: Picture, depth: DepthMap, lens: Lens) -> Focusable[Picture]:
    """`photo` behind a thin lens, ready to be focused again and again, each time faster than by `refocus`."""
    size = (photo.image.shape[-2], photo.image.shape[-1])
    if depth.size != size:
        raise InputError(
            f"the depth map is {depth.size[1]}x{depth.size[0]} but the photo is {size[1]}x{size[0]}; "
            "give the depth of this photo, or resize it."
        )
    plane = filled(depth.inverse_depth[0, 0], depth.valid[0, 0])
    return Focusable(photo, plane, lens, 1.0 if depth.unit == "m" else None)


def canonical(method: str) -> str:
    """Return the name of a method, or of two, as it stands in `METHODS`: the report writes avg_blur and median_blur."""
    words = (kind.strip().lower().replace("_", "-").removesuffix("-blur") for kind in method.split("+"))
    return "+".join("average" if word in ("avg", "mean") else word for word in words)


def check_choice(method: str, strength: float, bins: str) -> None:
    """Raises InputError for unknown names and a strength that is no number from 0 up."""
    kinds = canonical(method).split("+")
    for kind in kinds:
        if kind not in (THIN_LENS, *METHODS):
            raise unknown_name("blur method", kind, [THIN_LENS, *METHODS])
    if len(kinds) > 2:
        raise InputError(
            f"{method} names {len(kinds)} methods; give one, or two for nearer and farther than the focus."
        )
    if bins not in BINS:
        raise unknown_name("kind of bins", bins, BINS)
    if not (math.isfinite(strength) and strength >= 0):
        raise InputError(f"the strength of blur is {strength:g}; it must be 0 or more.")


def _focus(
    ready: Focusable[Picture], depth: DepthMap, at: Point | None, distance: float | None
) -> tuple[float, float | None]:
    """The inverse depth in focus, and the unit: how much of the map's numbers makes 1/m, None when that is unknown."""
    if distance is not None and not (math.isfinite(distance) and distance > 0):
        raise InputError(f"the focus distance is {distance:g}; it must be above 0 metres.")
    if at is None:
        if distance is None:
            raise InputError("nothing says where the photo shall be sharp; give a point, or a distance in metres.")
        if ready.unit is None:
            raise InputError(
                "a focus distance alone needs depth in metres, and this depth is only relative; give the point "
                "that is so far away, too."
            )
        return ready.unit / distance, ready.unit
    x, y = focus_pixel(at, ready.size)
    here = float(ready.inverse_depth[y, x])
    if distance is None or ready.unit is not None:
        return here, ready.unit
    if depth.ambiguity == "affine" or here <= 0:
        raise InputError("this depth has no zero: a distance gives it no metres; give --amount without a distance.")
    return here, here * distance


def _one(ready: Focusable[Picture], focus: float, method: str, strength: float, bins: levels.Bins) -> Picture:
    """The photo by one method."""
    if method == THIN_LENS:
        return ready.focused(focus)
    picture = np.ascontiguousarray(ready.photo.image[0].permute(1, 2, 0).cpu().numpy(), np.float32)
    kernels = levels.kernels_for(ready.size, strength)
    result = METHODS[method](picture, ready.inverse_depth, focus, kernels, bins=bins)
    image = torch.from_numpy(result).permute(2, 0, 1)[None].contiguous()
    return dataclasses.replace(ready.photo, image=image)  # type: ignore[type-var]


class _Callable(ModuleType):
    """A package by its files, a function by its use: `cyclopean.refocus(photo, depth, at)`."""

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return refocus(*arguments, **named)


sys.modules[__name__].__class__ = _Callable
