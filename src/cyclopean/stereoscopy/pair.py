"""Two eyes' pictures out of one photo and its depth."""

import math
from dataclasses import dataclass, replace
from typing import Generic

import cv2
import numpy as np
import torch

from cyclopean.defocus import check_refine, thinlens
from cyclopean.defocus.edges import refined
from cyclopean.defocus.focus import Focusable, Picture
from cyclopean.defocus.lens import Lens, Point, diagonal, focus_pixel
from cyclopean.defocus.refocus import focusable
from cyclopean.errors import InputError, unknown_name
from cyclopean.geometry import Pinhole
from cyclopean.io.depthmap import DepthMap, check_depth_map
from cyclopean.io.image import Photo
from cyclopean.io.photolike import PhotoLike, as_photo
from cyclopean.io.planes import Colours, Plane
from cyclopean.io.sidecar import AnyCamera
from cyclopean.stereoscopy import CONVERGE, EYES, PARALLAX, views

RIM = 0.0025  # of the diagonal
ENDS = (1, 99)  # percentiles of depth that count as nearest and farthest


@dataclass(frozen=True)
class Pair(Generic[Picture]):
    """The pictures of the left and of the right eye."""

    left: Picture
    right: Picture


@dataclass(frozen=True)
class Parallax:
    """The shift between the eyes' pictures of a point: `strength` picture widths per inverse depth, none at inverse
    depth `screen`.

    Inverse depths beyond `far` and `near` count as these, so that outliers do not leave the range.
    """

    strength: float
    screen: float
    far: float
    near: float

    def columns(self, inverse_depth: Plane, width: int) -> Plane:
        """Return how many columns a point lies farther left for the right eye than for the left one."""
        inside = np.clip(inverse_depth, np.float32(self.far), np.float32(self.near))
        return (inside - np.float32(self.screen)) * np.float32(self.strength * width)

    def converged(self, inverse_depth: float) -> "Parallax":
        """Return the parallax with what has this inverse depth on the screen."""
        return replace(self, screen=min(max(inverse_depth, self.far), self.near))

    def times(self, part: float) -> "Parallax":
        """Return the parallax of eyes that are `part` of the distance apart."""
        return replace(self, strength=self.strength * part)


def within(percent: float, converge: float, far: float, near: float) -> Parallax:
    """Return the parallax of `percent` of the width between inverse depths `far` and `near`.

    What is at the fraction `converge` of that range, from the nearest, is on the screen.
    """
    whole = near - far
    return Parallax(percent / 100 / whole if whole > 0 else 0.0, near - converge * whole, far, near)


def with_baseline(eyes: Parallax, baseline: float, camera: AnyCamera | None, *, metric: bool) -> Parallax:
    """Return the parallax of eyes that are `baseline` metres apart. Raises InputError where depth is not in metres, or
    the focal length is not known.
    """
    if not metric or not isinstance(camera, Pinhole):
        lacking = "a known focal length (--field-of-view)" if metric else "depth in metres, and this depth is relative"
        raise InputError(f"a baseline needs {lacking}; give a parallax in percent of the width instead (--parallax).")
    return replace(eyes, strength=float(camera.focal[0, 0]) * baseline)


def stereo(
    photo: PhotoLike,
    depth: DepthMap,
    *,
    parallax: float = PARALLAX,
    converge: float = CONVERGE,
    at: Point | None = None,
    baseline: float | None = None,
    eye: str = "left",
    refine: str = "auto",
) -> Pair[Photo]:
    """Return what both eyes see of `photo`, which is what the `eye` "left" or "right" sees, or between "both".

    Between what is nearest and farthest lie `parallax` percent of the width. `converge` is what appears on the screen,
    as a fraction of the range of inverse depth from the nearest, or what is at the point `at` (pixels, or fractions).
    With `baseline`, the eyes are as many metres apart instead, for depth in metres and a known focal length. `refine`
    "on" draws the edges of the depth to those of the photo, and widens things by the rim that these may miss; "auto"
    does so if a model predicted it, "off" never. Raises InputError for numbers that mean nothing, and where metres or
    the focal length are not known.
    """
    check(parallax, converge, baseline, eye)
    check_refine(refine)
    check_depth_map(depth)
    photo = as_photo(photo)
    soft = refine == "on" or (refine == "auto" and depth.model is not None)
    if soft and depth.size == photo.size:
        depth = refined(depth, photo.image, photo.camera)
    ready = focusable(photo, depth, Lens())
    far, near = (float(end) for end in np.percentile(ready.inverse_depth, ENDS))
    if not near > far:
        far, near = float(ready.inverse_depth.min()), float(ready.inverse_depth.max())
    eyes = within(parallax, converge, far, near)
    if baseline is not None:
        eyes = with_baseline(eyes, baseline, depth.camera or photo.camera, metric=depth.unit == "m")
    if at is not None:
        x, y = focus_pixel(at, photo.size)
        eyes = eyes.converged(float(ready.inverse_depth[y, x]))
    return pair(rimmed(ready, eyes) if soft else ready, eyes, eye)


def rimmed(ready: Focusable[Picture], eyes: Parallax) -> Focusable[Picture]:
    """Return a picture whose things are wider by the rim that predicted edges may miss, and that defocus blurs.

    What belongs to a thing would stay behind as its pale outline; a little background that goes with it is not seen.
    """
    radius = max(1, round(RIM * diagonal(ready.size)))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    wider = cv2.dilate(ready.inverse_depth, disc)
    step = (wider - ready.inverse_depth) * np.float32(eyes.strength * ready.size[1]) > thinlens.JUMP
    return replace(ready, inverse_depth=np.where(step, wider, ready.inverse_depth))


def pair(ready: Focusable[Picture], eyes: Parallax, eye: str) -> Pair[Picture]:
    """Return what both eyes see of a picture with depth; `eye` as for `stereo`."""
    picture = np.ascontiguousarray(ready.photo.image[0].permute(1, 2, 0).cpu().numpy(), np.float32)
    share = {"left": 0.0, "right": 1.0, "both": 0.5}[eye]  # of the way from the left eye to the right one
    # The left eye is the right one of the mirrored picture.
    views_of_both = (
        _right_view(picture[:, ::-1], ready.inverse_depth[:, ::-1], eyes.times(share))[:, ::-1],
        _right_view(picture, ready.inverse_depth, eyes.times(1 - share)),
    )
    left, right = (
        replace(ready.photo, image=torch.from_numpy(np.ascontiguousarray(seen.transpose(2, 0, 1)))[None])  # type: ignore[type-var]
        for seen in views_of_both
    )
    return Pair(left, right)


def _right_view(picture: Colours, inverse_depth: Plane, eyes: Parallax) -> Colours:
    """Return a picture as an eye on its right sees it; itself without parallax."""
    if eyes.strength == 0:
        return picture
    picture, inverse_depth = np.ascontiguousarray(picture), np.ascontiguousarray(inverse_depth)
    width = picture.shape[1]
    scene = thinlens.prepare(picture, inverse_depth, eyes.strength * width)
    return views.view(scene, lambda plane: eyes.columns(plane, width))


def check(parallax: float, converge: float, baseline: float | None, eye: str) -> None:
    """Raise InputError for numbers and names that mean nothing."""
    if eye not in EYES:
        raise unknown_name("eye", eye, EYES)
    if not (math.isfinite(parallax) and 0 < parallax <= 10):
        raise InputError(f"the parallax is {parallax:g}; give a percentage of the width above 0, at most 10.")
    if not (math.isfinite(converge) and 0 <= converge <= 1):
        raise InputError(f"converge is {converge:g}; give a fraction of the depth, 0 (nearest) to 1 (farthest).")
    if baseline is not None and not (math.isfinite(baseline) and baseline > 0):
        raise InputError(f"the baseline is {baseline:g}; it must be above 0 metres.")
