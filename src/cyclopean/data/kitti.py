"""What the KITTI releases share: calibration files, projections, and laser scans seen from a camera."""

import math
from pathlib import Path

import numpy as np
from jaxtyping import Float

from cyclopean.data.reading import finite
from cyclopean.data.rigs import baseline_of
from cyclopean.errors import InputError
from cyclopean.files import read_text, refuse_unreadable

Matrix = Float[np.ndarray, "3 4"]
FAR = 80.0  # metres, of the Eigen tables
# sources -> (whether the other eye is one, which frames before and after are)
SOURCES: dict[str, tuple[bool, tuple[int, ...]]] = {
    "stereo": (True, ()),
    "video": (False, (-1, 1)),
    "both": (True, (-1, 1)),
}


def read_calibration(path: Path) -> dict[str, Float[np.ndarray, " n"]]:
    """The lines `name: numbers` of a KITTI calibration file; lines of other things (dates) are passed over."""
    found = {}
    for line in read_text(path).splitlines():
        key, colon, words = line.partition(":")
        try:
            numbers = np.array(words.split(), np.float64)
        except ValueError:
            continue
        if colon and len(numbers):
            found[key.strip()] = numbers
    return found


def matrix(path: Path, calibration: dict[str, Float[np.ndarray, " n"]], key: str, columns: int = 4) -> np.ndarray:
    """The matrix `key` of 3 rows and `columns`; `path` is for the error."""
    if key not in calibration or len(calibration[key]) != 3 * columns:
        raise InputError(f"{path} is damaged or lacks {key}; it comes with the release.")
    return finite(path, key, calibration[key].reshape(3, columns))


def offset(left: Matrix, right: Matrix, path: Path) -> float:
    """How far the camera of projection `right` stands to the right of that of `left`, metres; `path` is for the error.

    P = K [I | t]. The releases call their pairs rectified, and so does everybody's disparity truth: the millimetres
    that the second and third row of the last columns differ by are left out (at 5 m they move a row by 0.4 pixels).
    """
    if not min(left[0, 0], right[0, 0]) > 0:
        raise InputError(f"{path} has focal lengths {left[0, 0]:g} and {right[0, 0]:g}; they are above 0, in pixels.")
    return baseline_of(float(left[0, 3] / left[0, 0] - right[0, 3] / right[0, 0]), path)


def rigid(rotation: Float[np.ndarray, "3 3"], move: Float[np.ndarray, "3 1"] | None = None) -> Float[np.ndarray, "4 4"]:
    """A 4x4 matrix of a rotation and a translation."""
    whole = np.eye(4)
    whole[:3, :3] = rotation
    if move is not None:
        whole[:3, 3:] = move
    return whole


def read_scan(path: Path) -> Float[np.ndarray, "n 3"]:
    """Points of a laser scan, metres: x forward, y left, z up. The fourth number, reflectance, is dropped."""
    refuse_unreadable(path)
    try:
        values = np.fromfile(path, np.float32)
    except OSError as error:
        raise InputError(f"{path} cannot be opened ({error.strerror}).") from error
    if not len(values) or len(values) % 4:
        raise InputError(f"{path} holds {len(values)} numbers; a scan has x, y, z and reflectance of each point.")
    return values.reshape(-1, 4)[:, :3].astype(np.float64)


def camera_depth(
    points: Float[np.ndarray, "n 3"], image_from_points: Matrix, size: tuple[int, int]
) -> Float[np.ndarray, "h w"]:
    """z of the camera, metres, of the nearest point in each pixel of a picture of `size`; NaN where there is none.

    Pixel coordinates count from the centre of the first pixel, so rounding gives the pixel.
    """
    x, y, z = image_from_points @ np.c_[points, np.ones(len(points))].T
    front = z > 0
    return _nearest(x[front] / z[front], y[front] / z[front], z[front], size)


def forward_depth(
    points: Float[np.ndarray, "n 3"], image_from_points: Matrix, size: tuple[int, int]
) -> Float[np.ndarray, "h w"]:
    """The truth of the Eigen tables, as Monodepth and Monodepth2 export it: not the camera's z but the scanner's
    forward axis, some 0.27 m more.

    Two more oddities belong to it. Only points ahead of the scanner count. And one is subtracted from the rounded pixel
    coordinates, as in the release's Matlab code, whose indices begin at 1: the map lies one pixel further up and left.
    (The export confuses now and then which points share a pixel; here the nearest of a pixel always wins.)
    """
    ahead = points[:, 0] > 0
    x, y, z = image_from_points @ np.c_[points, np.ones(len(points))].T
    kept = ahead & (z > 0)
    return _nearest(np.rint(x[kept] / z[kept]) - 1, np.rint(y[kept] / z[kept]) - 1, points[kept, 0], size)


def _nearest(
    x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"], values: Float[np.ndarray, " n"], size: tuple[int, int]
) -> Float[np.ndarray, "h w"]:
    column, row = np.rint(x), np.rint(y)
    inside = (column >= 0) & (column < size[1]) & (row >= 0) & (row < size[0])
    depth = np.full(size, math.inf, np.float32)
    np.minimum.at(depth, (row[inside].astype(int), column[inside].astype(int)), values[inside].astype(np.float32))
    return np.where(np.isinf(depth), np.float32(math.nan), depth)
