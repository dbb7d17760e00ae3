"""Refocusing: a photo, its depth, and a point to be sharp."""

import dataclasses
import logging
from typing import Any

import numpy as np
import torch

from cyclopean.defocus import filters
from cyclopean.defocus.filters import THIN_LENS, canonical, check_choice
from cyclopean.defocus.focus import Focusable, Picture, Pictured, Sharp, fill_unknown
from cyclopean.defocus.lens import DISTANCE_ALONE, Lens, Point, check_distance, focus_pixel
from cyclopean.errors import InputError
from cyclopean.geometry import assumed_camera, size_of
from cyclopean.io.depthmap import DepthMap, is_turned

LOG = logging.getLogger(__name__)


def refocus(
    photo: Picture,
    depth: DepthMap,
    at: Point | None = None,
    *,
    method: str = THIN_LENS,
    lens: Lens | None = None,
    distance: float | None = None,
    sharp: Sharp | None = None,
    strength: float = 1.0,
    bins: str = "smooth",
) -> Picture:
    """Return `photo` sharp at the point `at` = (x, y), or at `distance` metres, with blur that grows away from it.

    `at` is in pixels, or in fractions of width and height when both are below 1. `method` is "thin-lens", which `lens`
    describes, or one of the report's: gaussian, average, median, bilateral. Their `strength` 1 blurs any picture in the
    same proportion as the MonoDepthDeFocus report does; `bins` "smooth" blends neighbouring levels of blur, "hard"
    takes one per pixel as in the report. Two methods joined by + are for what is nearer and what is farther than the
    focus. With both `at` and `distance`, the point is at that distance, which converts relative depth to metres.
    `sharp` are the inverse depths that a thin lens shows sharp, instead of that at the point (`selection.coherent`).
    Raises InputError when sizes differ, `at` lies outside, a name is unknown, or no depth is known.
    """
    check_choice(method, strength, bins)
    method = canonical(method)
    ready = focusable(photo, depth, lens or Lens())
    focus, unit = focus_of(ready, depth, at, distance)
    ready = dataclasses.replace(ready, unit=unit)
    if sharp is not None and ready.span > 0:
        focus, part = sharp.middle, min(1.0, (sharp.near - sharp.far) / ready.span)
        ready = dataclasses.replace(ready, lens=dataclasses.replace(ready.lens, range=part))
    nearer, farther = (*method.split("+"), *method.split("+"))[:2]
    if nearer == farther:
        return _render(ready, focus, method, strength, bins)
    # One after the other: each leaves the other side of the focus unchanged.
    behind = _render(_without_blur(ready, focus, farther, "before"), focus, farther, strength, bins)
    ready = _without_blur(dataclasses.replace(ready, photo=behind), focus, nearer, "behind")
    return _render(ready, focus, nearer, strength, bins)


def focusable(photo: Picture, depth: DepthMap, lens: Lens) -> Focusable[Picture]:
    """Return `photo` with a thin lens, to be refocused repeatedly, each time faster than by `refocus`.

    A lens blurs by depth: of a map of distances it is computed by the camera of the map, of the photo, or an assumed
    one.
    """
    size = size_of(photo.image)
    if depth.size != size:
        turned = "is it turned by 90 degrees? Turn it as the photo is."
        raise InputError(
            f"the depth map is {depth.size[1]}x{depth.size[0]} but the photo is {size[1]}x{size[0]}; "
            + (turned if is_turned(depth.size, size) else "give the depth of this photo, or resize it.")
        )
    depth = along_the_axis(photo, depth)
    plane = fill_unknown(depth.inverse_depth[0, 0], depth.valid[0, 0])
    return Focusable(photo, plane, lens, 1.0 if depth.unit == "m" else None)


def along_the_axis(photo: Pictured, depth: DepthMap) -> DepthMap:
    """Return a map of distances as one of depth, by its camera, the photo's, or an assumed one; others as they are."""
    camera = depth.camera or getattr(photo, "camera", None)
    if depth.kind == "inverse_distance" and camera is None:
        LOG.warning(
            "the depth holds distances along the rays, and neither its sidecar nor the photo names a camera: 60 "
            "degrees along the longer side are assumed. State the camera in the sidecar (docs/formats.md)."
        )
    return depth.seen_by(camera or assumed_camera(depth.size))


def warn_of_distance(depth: DepthMap, distance: float) -> None:
    """Log a warning if nothing in a map in metres is as far away as the focus `distance`."""
    known = depth.inverse_depth[depth.valid]
    if depth.unit != "m" or not known.numel() or float(known.min()) <= 1 / distance <= float(known.max()):
        return
    near, far = (1 / max(float(end), 1e-12) for end in (known.max(), known.min()))
    LOG.warning(
        "the focus distance is %g m, but this depth runs from %.4g to %.4g m: nothing is sharp. Check the distance, or "
        "the unit and scale of the depth.",
        distance, near, far,
    )  # fmt: skip


def focus_of(
    ready: Focusable[Picture], depth: DepthMap, at: Point | None, distance: float | None
) -> tuple[float, float | None]:
    """Return the inverse depth in focus, and the unit: the map's number for 1/m, None when that is unknown."""
    check_distance(distance)
    if at is None:
        if distance is None:
            raise InputError("no point of focus is given; give a point, or a distance in metres.")
        if ready.unit is None:
            raise InputError(DISTANCE_ALONE)
        return ready.unit / distance, ready.unit
    x, y = focus_pixel(at, ready.size)
    focus = float(ready.inverse_depth[y, x])
    if distance is None or ready.unit is not None:
        return focus, ready.unit
    if depth.ambiguity == "affine" or focus <= 0:
        raise InputError(
            "this depth has an unknown offset, so one distance gives no metres; give how far away two points are "
            "(--known), or give --amount without a distance."
        )
    return focus, focus * distance


def _without_blur(ready: Focusable[Picture], focus: float, method: str, side: str) -> Focusable[Picture]:
    """Return the photo with no blur on one `side` of the focus, before or behind it."""
    if method == THIN_LENS:
        none: dict[str, Any] = {side: 0.0}
        return dataclasses.replace(ready, lens=dataclasses.replace(ready.lens, **none))
    clip = np.minimum if side == "before" else np.maximum
    return dataclasses.replace(ready, inverse_depth=clip(ready.inverse_depth, np.float32(focus)))


def _render(ready: Focusable[Picture], focus: float, method: str, strength: float, bins: str) -> Picture:
    """Return the photo blurred by one method."""
    if method == THIN_LENS:
        return ready.focused(focus)
    picture = np.ascontiguousarray(ready.photo.image[0].permute(1, 2, 0).cpu().numpy(), np.float32)
    kernels = filters.kernels_for(ready.size, strength)
    result = filters.render(picture, ready.inverse_depth, focus, kernels, method=method, bins=bins)
    image = torch.from_numpy(result).permute(2, 0, 1)[None].contiguous()
    return dataclasses.replace(ready.photo, image=image)  # type: ignore[type-var]
