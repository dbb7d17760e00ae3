"""A photo and a lens, to be refocused repeatedly: everything that does not depend on the focus is computed once."""

import dataclasses
from collections.abc import Callable
from functools import cached_property
from typing import Generic, Protocol, TypeVar, runtime_checkable

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from cyclopean.defocus import lens as lenses
from cyclopean.defocus import thinlens
from cyclopean.defocus.lens import F_NUMBER_ALONE, Lens, Point, focus_pixel
from cyclopean.defocus.thinlens import LayeredPhoto
from cyclopean.errors import InputError
from cyclopean.geometry import Equirectangular
from cyclopean.io.depthmap import DepthMap
from cyclopean.io.planes import Plane


@runtime_checkable
class Pictured(Protocol):
    """A frozen dataclass with a picture in it, such as `Photo`: `image` is `1 3 h w`, RGB in [0,1]."""

    @property
    def image(self) -> Tensor: ...


Picture = TypeVar("Picture", bound=Pictured)


@dataclasses.dataclass(frozen=True)
class Focusable(Generic[Picture]):
    """A photo, its depth, and a lens.

    `inverse_depth` has no gaps and is in 1/m times `unit`; `unit` None: its scale is not known. `reference_range` is
    the range of inverse depth that an amount refers to, None: this photo's own; frames of a clip share theirs.
    """

    photo: Picture
    inverse_depth: Plane
    lens: Lens
    unit: float | None = None
    reference_range: float | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.inverse_depth.shape[0], self.inverse_depth.shape[1]

    def at(self, point: Point) -> Picture:
        """Return the photo sharp at the depth of `point`: pixels, or fractions of width and height."""
        x, y = focus_pixel(point, self.size)
        return self.focused(float(self.inverse_depth[y, x]))

    def focused(self, focus: float) -> Picture:
        """Return the photo sharp at the inverse depth `focus`."""
        optics, scale = self.lens.optics, self._scale
        if optics is not None and self.unit is not None:
            scale *= optics.magnification(focus / self.unit)
        radius = lenses.radius(self.lens, scale, focus, self.size, self.span)
        result = thinlens.render(self._scene, radius, self.lens, torch.get_num_threads())
        image = torch.from_numpy(result).permute(2, 0, 1)[None].contiguous()
        return dataclasses.replace(self.photo, image=image)  # type: ignore[type-var]

    @cached_property
    def span(self) -> float:
        """The range of inverse depth that amounts and ranges are parts of."""
        return lenses.depth_range(self.inverse_depth) if self.reference_range is None else self.reference_range

    @cached_property
    def _scale(self) -> float:
        """Return the radius of blur in pixels per inverse depth, with the focus far away."""
        optics = self.lens.optics
        if optics is None:
            return lenses.amount_scale(self.lens.amount, self.size, self.span)
        if self.unit is None:
            raise InputError(F_NUMBER_ALONE)
        return optics.scale(self.size) / self.unit

    @cached_property
    def _scene(self) -> LayeredPhoto:
        picture = np.ascontiguousarray(self.photo.image[0].permute(1, 2, 0).cpu().numpy(), np.float32)
        return thinlens.prepare(picture, self.inverse_depth, self._scale * max(self.lens.before, self.lens.behind))


def fill_unknown(inverse_depth: Float[Tensor, "h w"], valid: Bool[Tensor, "h w"]) -> Plane:
    """Return the plane with every unknown pixel at the value of the nearest known one. Raises if none is known."""
    plane, known = inverse_depth.to(torch.float32).cpu().numpy(), valid.cpu().numpy()
    if known.all():
        return plane
    if not known.any():
        raise InputError("no depth is known: every value of the map is unknown; give another depth map.")
    unknown = (~known).astype(np.uint8)
    _, label = cv2.distanceTransformWithLabels(unknown, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    value = np.zeros(int(label.max()) + 1, np.float32)
    value[label[known]] = plane[known]
    return value[label]


@dataclasses.dataclass(frozen=True)
class Sharp:
    """The inverse depths that are sharp, from `far` to `near`."""

    far: float
    near: float

    @property
    def middle(self) -> float:
        return (self.far + self.near) / 2


Pixel = tuple[int, int]
Refocus = Callable[[Picture, DepthMap, Pixel | None], Picture]


def wrap_panorama(refocus: Refocus[Picture], photo: Picture, depth: DepthMap, pixel: Pixel | None) -> Picture:
    """Return `refocus(photo, depth, pixel)`; a panorama (by its camera) is blurred over the seam.

    A panorama is refocused twice, half a turn apart; the middle half of each result is used, far from its borders.
    `pixel` (x, y) is the point in focus; it is rolled with the picture and its depth.
    """
    if not isinstance(getattr(photo, "camera", None), Equirectangular):
        return refocus(photo, depth, pixel)
    width = photo.image.shape[-1]
    half, quarter = width // 2, width // 4
    other_photo = dataclasses.replace(photo, image=photo.image.roll(half, -1))  # type: ignore[type-var]
    other_depth = dataclasses.replace(
        depth, inverse_depth=depth.inverse_depth.roll(half, -1), valid=depth.valid.roll(half, -1)
    )
    other_pixel = None if pixel is None else ((pixel[0] + half) % width, pixel[1])
    middle = refocus(photo, depth, pixel).image
    ends = refocus(other_photo, other_depth, other_pixel).image.roll(-half, -1)
    image = torch.cat([ends[..., :quarter], middle[..., quarter:-quarter], ends[..., -quarter:]], -1)
    return dataclasses.replace(photo, image=image)  # type: ignore[type-var]
