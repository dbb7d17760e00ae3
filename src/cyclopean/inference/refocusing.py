"""Refocusing in one call, as the command does it: edges of predicted depth, then the subject, then the lens."""

from typing import Any, TypedDict, Unpack, overload

from cyclopean.defocus import check_refine
from cyclopean.defocus import refocus as rendering
from cyclopean.defocus.edges import refined
from cyclopean.defocus.filters import THIN_LENS, canonical, check_choice
from cyclopean.defocus.focus import Picture, Pictured, Sharp
from cyclopean.defocus.lens import Lens, Point, as_point, focus_pixel
from cyclopean.inference.subject import with_subject
from cyclopean.io.depthmap import DepthMap, check_depth_map
from cyclopean.io.image import Photo
from cyclopean.io.photolike import PhotoLike, as_photo


class Settings(TypedDict, total=False):
    """Keywords of `refocus`."""

    method: str
    lens: Lens | None
    distance: float | None
    sharp: Sharp | None
    strength: float
    bins: str
    subject: bool
    refine: str


@overload
def refocus(photo: PhotoLike, depth: DepthMap, at: Point | None = None, **settings: Unpack[Settings]) -> Photo: ...
@overload
def refocus(photo: Picture, depth: DepthMap, at: Point | None = None, **settings: Unpack[Settings]) -> Picture: ...
def refocus(
    photo: Any,
    depth: Any,
    at: Any = None,
    *,
    method: str = THIN_LENS,
    lens: Lens | None = None,
    distance: float | None = None,
    sharp: Sharp | None = None,
    strength: float = 1.0,
    bins: str = "smooth",
    subject: bool = True,
    refine: str = "auto",
) -> Any:
    """Return `photo` with the thing at the point `at` = (x, y) sharp as a whole, or what is `distance` metres away, and
    blur that grows away from it.

    `photo` may be anything that `as_photo` converts: a path, a Pillow picture, an array, a tensor. The arguments are
    those of `cyclopean.defocus.refocus.refocus`, before which two steps are taken. `refine` "on" draws the edges of the
    depth to those of the photo; "auto" does so if a model predicted it, "off" never. With `subject`, the thin lens
    shows the thing at the point sharp as a whole; without it, with `sharp`, and with a `lens` that has a range, what is
    as far away as the point. Raises InputError as that does.
    """
    check_choice(method, strength, bins)
    check_refine(refine)
    check_depth_map(depth)
    point = as_point(at)
    photo = photo if isinstance(photo, Pictured) else as_photo(photo)
    lens = lens or Lens()
    if isinstance(photo, Photo) and depth.size == photo.size:
        if refine == "on" or (refine == "auto" and depth.model is not None):
            depth = refined(depth, photo.image, photo.camera)
        if subject and point is not None and sharp is None and canonical(method) == THIN_LENS:
            depth = rendering.along_the_axis(photo, depth)
            depth, whole = with_subject(photo, depth, focus_pixel(point, photo.size))
            sharp = None if lens.range > 0 else whole
    return rendering.refocus(
        photo, depth, point,
        method=method, lens=lens, distance=distance, sharp=sharp, strength=strength, bins=bins,
    )  # fmt: skip
