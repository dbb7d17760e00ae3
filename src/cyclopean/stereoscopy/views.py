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

from cyclopean.defocus.lens import diagonal
from cyclopean.defocus.thinlens import JUMP, LayeredPhoto
from cyclopean.io.colour import srgb
from cyclopean.io.planes import Colours, Plane

Planes = Float[np.ndarray, "c h w"]
Shift = Callable[[Plane], Plane]  # inverse depth -> columns that a pixel moves to the left

BAND = 128  # rows at a time
SMOOTH = 0.004  # of the diagonal: sigma that smooths what is filled in
REACH = 4.0  # sigmas away from which on it is wholly smooth


def view(scene: LayeredPhoto, shift: Shift) -> Colours:
    """Return the scene, sRGB in [0,1], as an eye on the right sees it; `shift` is larger for what is nearer.

    Beyond the frame a picture continues as its mirror image.
    """
    light, inverse_depth = continued(scene)
    result = np.empty((*scene.size, 3), np.float32)
    for top in range(0, len(result), BAND):
        rows = slice(top, top + BAND)
        cover = scene.cover[rows] * np.float32(1 / 255)
        front = np.stack([*(plane[rows] * cover for plane in scene.light), cover])
        seen = _moved(front, shift(scene.inverse_depth[rows]), gaps=True)
        behind = _moved(light[:, rows], shift(inverse_depth[rows]), gaps=False)
        result[rows] = srgb(np.clip(seen[:3] + (1 - seen[3]) * behind, 0, 1)).transpose(1, 2, 0)
    return result


def continued(scene: LayeredPhoto) -> tuple[Planes, Plane]:
    """Return light and inverse depth of the surface behind: the front's own but where it hides a farther one.

    There it continues as its nearest pixel, smoothed the more the farther away that is: streaks are seen, haze is not.
    """
    light, inverse_depth = np.stack(scene.light), scene.inverse_depth.copy()
    h, w = scene.size
    places = np.flatnonzero(scene.behind)
    sources = scene.behind.reshape(-1)[places] - 1
    for plane in (*light, inverse_depth):
        plane.reshape(-1)[places] = plane.reshape(-1)[sources]
    away = np.hypot(places // w - sources // w, places % w - sources % w).astype(np.float32)
    sigma = SMOOTH * diagonal((h, w))
    known = np.zeros((h, w), np.float32)
    known.reshape(-1)[places] = known.reshape(-1)[sources] = 1
    share = np.minimum(away / np.float32(REACH * sigma), 1)
    weight = np.maximum(cv2.GaussianBlur(known, (0, 0), sigma).reshape(-1)[places], np.float32(1e-6))
    for plane in light:
        mean = cv2.GaussianBlur(plane * known, (0, 0), sigma).reshape(-1)[places] / weight
        plane.reshape(-1)[places] += share * (mean - plane.reshape(-1)[places])
    return light, inverse_depth


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
