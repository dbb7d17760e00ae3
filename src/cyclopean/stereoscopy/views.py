"""The view of an eye beside the camera: a photo in two surfaces, moved along its rows by their depth.

Between rectified cameras a pixel moves by f b rho along its row (geometry's one equation). On one row, an eye on the
right sees what has moved left the most: of all pixels that land at one place, the one that came from farthest right.
A row is a chain of straight pieces between neighbouring pixels, and the last piece over a place is the one that is
seen there; that is a running minimum and a search, without a depth buffer. Where neighbours are torn apart there is a
gap, and the surface behind shows: `defocus.thinlens.prepare` continues it behind what is near, and parts the colours
that pixels at an edge mix, so nothing near is smeared into a gap.
"""

from collections.abc import Callable

import cv2
import numpy as np
import torch
from jaxtyping import Float, Int64

from cyclopean.defocus.thinlens import JUMP, Scene
from cyclopean.io.colour import srgb

Picture = Float[np.ndarray, "h w 3"]
Plane = Float[np.ndarray, "h w"]
Planes = Float[np.ndarray, "c h w"]
Shift = Callable[[Plane], Plane]  # inverse depth -> columns that a pixel moves to the left

BAND = 128  # rows at a time
LEAST = 1e-6  # of cover: less counts as 0


def view(scene: Scene, shift: Shift) -> Picture:
    """Return the scene, sRGB in [0,1], as an eye on the right sees it; `shift` is larger for what is nearer.

    Beyond the frame a picture goes on as its mirror image.
    """
    h, w = scene.size
    result = np.empty((h, w, 3), np.float32)
    for top in range(0, h, BAND):
        rows = slice(top, top + BAND)
        front = np.stack([plane[rows] for plane in scene.light])
        cover = scene.cover[rows] * np.float32(1 / 255)
        hidden = scene.behind[rows] > 0
        source = scene.behind[rows][hidden] - 1
        back = front.copy()
        back[:, hidden] = [plane.reshape(-1)[source] for plane in scene.light]
        nearest = shift(scene.inverse_depth[rows])
        farther = nearest.copy()
        farther[hidden] = shift(scene.inverse_depth.reshape(-1)[source])
        seen = _moved(np.concatenate([front * cover, cover[None]]), nearest, gaps=True)
        behind = _moved(back, farther, gaps=False)
        light = seen[:3] + (1 - seen[3]) * behind
        result[rows] = srgb(np.clip(light, 0, 1)).transpose(1, 2, 0)
    return result


def _moved(planes: Planes, shift: Plane, *, gaps: bool) -> Planes:
    """Return planes whose pixels have moved to the left by `shift` columns; 0 in gaps, or stretched over them."""
    w = shift.shape[1]
    rim = int(np.ceil(np.abs(shift).max())) + 2
    place = np.pad(np.arange(w, dtype=np.float32) - shift, ((0, 0), (rim, rim)), "edge")
    place[:, :rim] -= np.arange(rim, 0, -1, dtype=np.float32)
    place[:, -rim:] += np.arange(1, rim + 1, dtype=np.float32)
    left = last_piece(place, w)
    start, end = (np.take_along_axis(place, left + k, 1) for k in (0, 1))
    length = end - start
    part = (np.arange(w, dtype=np.float32) - start) / length
    result = np.empty_like(planes)
    for plane, moved in zip(planes, result, strict=True):
        wide = cv2.copyMakeBorder(plane, 0, 0, rim, rim, cv2.BORDER_REFLECT)
        here, there = (np.take_along_axis(wide, left + k, 1) for k in (0, 1))
        moved[:] = here + part * (there - here)
    return result * (length <= 1 + JUMP) if gaps else result


def last_piece(place: Plane, width: int) -> Int64[np.ndarray, "h w2"]:
    """Return for each of `width` columns the last i with place[i] <= column < place[i + 1], row by row.

    Every row begins at or before column 0, and ends beyond the last.
    """
    lowest = np.minimum.accumulate(place[:, ::-1], 1)[:, ::-1]
    columns = torch.arange(width, dtype=torch.float32).expand(len(place), -1).contiguous()
    return torch.searchsorted(torch.from_numpy(lowest.copy()), columns, right=True).numpy() - 1
