"""KITTI's own files: calibrations, laser scans, annotated depth, lists of frames and drives."""

import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from cyclopean.data.base import (
    baseline_of,
    known_above_zero,
)
from cyclopean.data.files import (
    Depth,
    Size,
    finite,
    only_pictures,
    read_counts,
    read_list,
)
from cyclopean.errors import InputError
from cyclopean.io.files import at_home, read_text, refuse_unreadable, shortened

Matrix = Float[np.ndarray, "3 4"]
Points = Float[np.ndarray, "n 3"]

POINT, REACH = 16, 1000.0  # bytes of a point of a scan; metres that no scanner reaches
COUNTS = 256.0  # of 16-bit truth, per metre of depth and per pixel of disparity; 0 is unknown
# sources -> (whether the other eye is one, which frames before and after are)
SOURCES: dict[str, tuple[bool, tuple[int, ...]]] = {
    "stereo": (True, ()),
    "video": (False, (-1, 1)),
    "both": (True, (-1, 1)),
}
EYES = {"left": ("02",), "right": ("03",), "both": ("02", "03")}  # of raw drives: the cameras of targets
DRIVE = re.compile(r"\d{4}_\d{2}_\d{2}_drive_\d{4}")
CAMERAS = {"l": "02", "r": "03"}  # the left and the right colour camera of a drive
OTHER = {"02": "03", "03": "02"}


class Calibration:
    """The lines `name: numbers` of a KITTI calibration file; lines of other things (dates) are passed over."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.values: dict[str, Float[np.ndarray, " n"]] = {}
        for line in read_text(path).splitlines():
            key, colon, words = line.partition(":")
            try:
                numbers = np.array(words.split(), np.float64)
            except ValueError:
                continue
            if colon and len(numbers):
                self.values[key.strip()] = numbers

    def matrix(self, key: str, columns: int = 4) -> np.ndarray:
        """Return the matrix `key` of 3 rows and `columns`. Raises InputError if the file lacks it."""
        if key not in self.values or len(self.values[key]) != 3 * columns:
            raise InputError(f"{self.path} is damaged or lacks {key}; it comes with the release.")
        return finite(self.path, key, self.values[key].reshape(3, columns))


def offset(left: Matrix, right: Matrix, path: Path) -> float:
    """Return how far the camera of projection `right` stands to the right of that of `left`, metres.

    P = K [I | t]. The releases call their pairs rectified, and so does everybody's disparity truth: the millimetres
    that the second and third row of the last columns differ by are left out (at 5 m they move a row by 0.4 pixels).
    """
    if not min(left[0, 0], right[0, 0]) > 0:
        raise InputError(f"{path} has focal lengths {left[0, 0]:g} and {right[0, 0]:g}; they are above 0, in pixels.")
    return baseline_of(float(left[0, 3] / left[0, 0] - right[0, 3] / right[0, 0]), path)


def rigid(rotation: Float[np.ndarray, "3 3"], move: Float[np.ndarray, "3 1"] | None = None) -> Float[np.ndarray, "4 4"]:
    """Return the 4x4 matrix of a rotation and a translation."""
    motion = np.eye(4)
    motion[:3, :3] = rotation
    if move is not None:
        motion[:3, 3:] = move
    return motion


def read_scan(path: Path) -> Points:
    """Return the points of a laser scan, metres: x forward, y left, z up. Reflectance, the fourth, is dropped.

    The format has no header: numbers of another kind, and files that lost or gained bytes, show by their distances.
    """
    refuse_unreadable(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be opened ({error.strerror}).") from error
    if not data or len(data) % POINT:
        raise InputError(
            f"{path} holds {len(data)} bytes; a scan has {POINT} for each point, four float32 numbers: x, y, z and "
            "reflectance."
        )
    with np.errstate(invalid="ignore"):
        points = np.frombuffer(data, "<f4").reshape(-1, 4)[:, :3].astype(np.float64)
    farthest = np.abs(points[~np.isnan(points)]).max(initial=0.0)
    if farthest > REACH:
        raise InputError(
            f"{path} has points {farthest:.3g} m away, and a scanner reaches less than {REACH:g} m; was it written in "
            "text mode, or with other numbers than little-endian float32?"
        )
    return points


def camera_depth(points: Points, image_from_points: Matrix, size: Size) -> Float[np.ndarray, "h w"]:
    """Return z of the camera, metres, of the nearest point in each pixel of a picture of `size`; NaN where none is.

    Pixel coordinates count from the centre of the first pixel, so rounding gives the pixel.
    """
    x, y, z = image_from_points @ np.c_[points, np.ones(len(points))].T
    front = z > 0
    return _nearest(x[front] / z[front], y[front] / z[front], z[front], size)


def forward_depth(points: Points, image_from_points: Matrix, size: Size) -> Float[np.ndarray, "h w"]:
    """Return the truth of the Eigen tables, as Monodepth and Monodepth2 export it: not the camera's z but the
    scanner's forward axis, some 0.27 m more.

    Two more oddities belong to it. Only points ahead of the scanner count. And one is subtracted from the rounded pixel
    coordinates, as in the release's Matlab code, whose indices begin at 1: the map lies one pixel further up and left.
    (The export confuses now and then which points share a pixel; here the nearest of a pixel always wins.)
    """
    x, y, z = image_from_points @ np.c_[points, np.ones(len(points))].T
    kept = (points[:, 0] > 0) & (z > 0)
    return _nearest(np.rint(x[kept] / z[kept]) - 1, np.rint(y[kept] / z[kept]) - 1, points[kept, 0], size)


def _nearest(
    x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"], values: Float[np.ndarray, " n"], size: Size
) -> Float[np.ndarray, "h w"]:
    """Return the smallest of the values in each pixel, NaN where none is."""
    column, row = np.rint(x), np.rint(y)
    inside = (column >= 0) & (column < size[1]) & (row >= 0) & (row < size[0])
    depth = np.full(size, math.inf, np.float32)
    np.minimum.at(depth, (row[inside].astype(int), column[inside].astype(int)), values[inside].astype(np.float32))
    return np.where(np.isinf(depth), np.float32(math.nan), depth)


def read_annotated(path: Path, size: Size) -> Depth:
    """Return annotated depth, metres, NaN where unknown."""
    return known_above_zero(read_counts(path, 16, size) / COUNTS)


@dataclass(frozen=True)
class Frame:
    """One picture of a KITTI drive: `2011_09_26/2011_09_26_drive_0001_sync`, its number, and the camera, 02 or 03."""

    drive: str
    number: int
    camera: str

    @property
    def name(self) -> str:
        """`2011_09_26/2011_09_26_drive_0001_sync/0000000005_02`."""
        return f"{self.drive}/{self.number:010d}_{self.camera}"


def read_frames(path: Path | str) -> list[Frame]:
    """Return the frames of a KITTI split, in the order of its lines.

    Two formats: Monodepth's, `DRIVE/image_02/data/NUMBER.jpg DRIVE/image_03/data/NUMBER.jpg` (the first is the target;
    the suffix is not believed), and Monodepth2's, `DRIVE NUMBER l` or `r`.
    """
    frames = []
    for line, place in read_list(path):
        words = line.split()
        parts = re.fullmatch(r"(.+)/image_(02|03)/data/(\d+)\.\w+", words[0])
        if len(words) == 3 and words[1].isdigit() and words[2] in CAMERAS:
            frames.append(Frame(words[0].rstrip("/"), int(words[1]), CAMERAS[words[2]]))
        elif parts and len(words) <= 2:
            frames.append(Frame(parts[1], int(parts[3]), parts[2]))
        else:
            raise InputError(
                f"{place} is {shortened(repr(line))}; a KITTI split has lines 'DRIVE NUMBER l' or "
                "'DRIVE/image_02/data/NUMBER.png DRIVE/image_03/data/NUMBER.png'."
            )
    return frames


def read_drives(path: Path | str) -> set[str]:
    """Return the drives, such as `2011_09_26_drive_0001`, that a text names anywhere."""
    file = at_home(path)
    drives = set(DRIVE.findall(read_text(file)))
    if not drives:
        raise InputError(f"{file} names no KITTI drive, such as 2011_09_26_drive_0001; give the list of a test set.")
    return drives


def numbers_with_steps(folder: Path, steps: tuple[int, ...]) -> list[int]:
    """Return the numbers of the pictures in `folder` that have those `steps` before and after, sorted."""
    numbers = {int(path.stem) for path in only_pictures(folder.iterdir()) if path.stem.isdigit()}
    return sorted(n for n in numbers if all(n + step in numbers for step in steps))
