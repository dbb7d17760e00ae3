"""What the lens sees of a photo: the surface in the picture, with soft edges, and what goes on behind its edges.

An edge is where the radius of blur jumps by more than a pixel between neighbours. A point behind a near thing, at a
distance d from its edge, is seen by some part of the lens as long as d is at most that jump: so far the farther surface
goes on behind, each pixel as the nearest one of it that is seen (its mirror image, which keeps more texture, measured
worse on path-traced truth). Where a floor or wall runs into depth without a jump nothing is invented.

The two pixels at an edge mix both sides (the photo is no point sample). Their mixture is undone: how much of the near
side is in them, by where their colour lies between the clean colours at both sides.
"""

import dataclasses
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int32, Integer, Num, UInt8

Plane = Float[np.ndarray, "h w"]
Light = tuple[Plane, Plane, Plane]
Mask = Bool[np.ndarray, "h w"]
Indices = Int32[np.ndarray, "h w"]
Places = Integer[np.ndarray, " n"]  # flat indices
AnyPlane = TypeVar("AnyPlane", bound=np.ndarray)

JUMP = 1.0  # pixels of radius between neighbours
CLEAR = 0.01  # squared distance of two colours, in linear light, from which on a mixture of them can be told
BLOCK = 32  # pixels
SLACK = 1.5  # pixels: edge pixels are two wide


@dataclass(frozen=True)
class Scene:
    """A photo in linear light, ready to be focused: what is seen in front, and where to find what is behind.

    `light` and `inverse_depth` are the front's. `cover` is its part of each pixel, 255 all of it. `behind` is 0 where
    nothing is, else 1 + the index of the pixel that is seen there behind the front.
    """

    light: Light
    inverse_depth: Plane
    cover: UInt8[np.ndarray, "h w"]
    behind: Indices
    extremes: Float[np.ndarray, "2 _ _"]  # least and greatest inverse depth of each block of BLOCK x BLOCK pixels

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.inverse_depth.shape[0], self.inverse_depth.shape[1]


def scene(light: Light, inverse_depth: Plane, scale: float) -> Scene:
    """The surfaces of a picture in linear light; `scale` is the radius of blur in pixels per inverse depth."""
    radius = inverse_depth * np.float32(scale)
    here = np.ones((3, 3), np.uint8)
    near = radius - cv2.erode(radius, here) > JUMP
    far = cv2.dilate(radius, here) - radius > JUMP
    behind = np.zeros(radius.shape, np.int32)
    front = Scene(light, inverse_depth, np.full(radius.shape, 255, np.uint8), behind, _extremes(inverse_depth, behind))
    if not near.any():
        return front
    sides = _Sides(near, far, _clean(near, near | far, radius), _clean(far, near | far, -radius))
    behind = _continued(radius, sides)
    front = _unmixed(dataclasses.replace(front, behind=behind), sides)
    return dataclasses.replace(front, extremes=_extremes(front.inverse_depth, behind))


def _extremes(inverse_depth: Plane, behind: Indices) -> Float[np.ndarray, "2 _ _"]:
    """Least and greatest inverse depth of every block, of the front and of what is behind it."""
    rows, columns = np.arange(0, len(behind), BLOCK), np.arange(0, behind.shape[1], BLOCK)
    most = np.maximum.reduceat(np.maximum.reduceat(inverse_depth, rows, 0), columns, 1)
    least = np.minimum.reduceat(np.minimum.reduceat(inverse_depth, rows, 0), columns, 1)
    hidden = np.flatnonzero(behind)
    y, x = hidden // behind.shape[1] // BLOCK, hidden % behind.shape[1] // BLOCK
    values = inverse_depth.reshape(-1)[behind.reshape(-1)[hidden] - 1]
    np.maximum.at(most, (y, x), values)
    np.minimum.at(least, (y, x), values)
    return np.stack([least, most])


@dataclass(frozen=True)
class _Sides:
    """The pixels at edges, nearer and farther side, and the clean ones beside them, which mix nothing."""

    near: Mask
    far: Mask
    front: Mask
    back: Mask


def _clean(side: Mask, edge: Mask, radius: Plane) -> Mask:
    """Pixels next to one side of the edges that no edge runs through; `radius` is the larger on that side."""
    beside = cv2.dilate(side.view(np.uint8), np.ones((3, 3), np.uint8)) > 0
    return beside & ~edge & (radius - cv2.erode(radius, np.ones((5, 5), np.uint8)) > JUMP)


def _continued(radius: Plane, sides: _Sides) -> Indices:
    """`Scene.behind`: for the pixels that hide something the lens can see, where the nearest pixel like it is."""
    behind = np.zeros(radius.shape, np.int32)
    if not sides.back.any():
        return behind
    distance, label = cv2.distanceTransformWithLabels(
        (~sides.back).view(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    place = np.zeros(int(label.max()) + 1, np.int32)
    place[label[sides.back]] = np.flatnonzero(sides.back)
    most = float(radius.max() - radius.min()) + SLACK
    hidden = np.flatnonzero((distance <= most) & ~sides.back)
    source, flat = place[label.reshape(-1)[hidden]], radius.reshape(-1)
    jump = flat[hidden] - flat[source]
    seen = (jump + SLACK >= distance.reshape(-1)[hidden]) & ((jump > JUMP / 2) | sides.far.reshape(-1)[hidden])
    behind.reshape(-1)[hidden[seen]] = 1 + source[seen]
    return behind


def _unmixed(front: Scene, sides: _Sides) -> Scene:
    """The near side alone: its colour and depth at the edges' pixels, whose cover becomes its part of them."""
    fronts, backs = _around(sides.front), _around(sides.back)
    at = np.flatnonzero((sides.near | sides.far) & (front.behind > 0) & (fronts > 0) & (backs > 0))
    colours = np.stack([plane.reshape(-1)[at] for plane in front.light])
    ahead = np.stack([_mean_around(plane, sides.front, fronts, at) for plane in front.light])
    beyond = np.stack([_mean_around(plane, sides.back, backs, at) for plane in front.light])
    part = _part(colours, ahead, beyond, sides.near.reshape(-1)[at])
    # what the far side does not explain is the near side's own texture
    rest = (colours - (1 - part) * beyond) / np.maximum(part, np.float32(0.5))
    ahead = np.where(part > 0.5, np.maximum(rest, 0), ahead)
    red, green, blue = (_replaced(plane, at, values) for plane, values in zip(front.light, ahead, strict=True))
    inverse_depth = _replaced(front.inverse_depth, at, _mean_around(front.inverse_depth, sides.front, fronts, at))
    cover = _replaced(front.cover, at, np.rint(part * 255).astype(np.uint8))
    return Scene((red, green, blue), inverse_depth, cover, front.behind, front.extremes)


def _part(
    colours: Float[np.ndarray, "3 n"],
    ahead: Float[np.ndarray, "3 n"],
    beyond: Float[np.ndarray, "3 n"],
    near: Bool[np.ndarray, " n"],
) -> Float[np.ndarray, " n"]:
    """How much of each pixel the near side is; where both sides look alike, all or nothing as the depth has it."""
    step = ahead - beyond
    apart = (step * step).sum(0)
    part = np.clip(((colours - beyond) * step).sum(0) / np.maximum(apart, np.float32(1e-9)), 0, 1)
    sure = np.minimum(apart / np.float32(CLEAR), 1)
    return part * sure + near * (1 - sure)


def _around(mask: Mask) -> Plane:
    return cv2.boxFilter(mask.astype(np.float32), -1, (5, 5), normalize=False)


def _mean_around(plane: Plane, mask: Mask, count: Plane, at: Places) -> Float[np.ndarray, " n"]:
    """Mean of the pixels of `mask` in the 5x5 around each pixel of `at`."""
    total = cv2.boxFilter(plane * mask, -1, (5, 5), normalize=False)
    return total.reshape(-1)[at] / count.reshape(-1)[at]


def _replaced(plane: AnyPlane, at: Places, values: Num[np.ndarray, " n"]) -> AnyPlane:
    new = plane.copy()
    new.reshape(-1)[at] = values
    return new
