"""Motion of a clip's camera: points tracked from frame to frame, and the motion between two frames from them.

Only features and geometry, no network. Points are rays (x / z, y / z) of a pinhole camera, or pixels (x, y) of a small
grey frame, where the centre of the first pixel is (0, 0).
"""

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

Grey = UInt8[np.ndarray, "h w"]
Points = Float[np.ndarray, "n 2"]
Numbers = Float[np.ndarray, " n"]
Matrix = Float[np.ndarray, "3 3"]
Vector = Float[np.ndarray, " 3"]
Tangents = Float[np.ndarray, "3 2"]

FEATURES, QUALITY = 400, 0.01  # corners at most, and how weak the weakest may be beside the strongest (Shi and Tomasi)
WINDOW, LEVELS = (13, 13), 4  # of the tracker (Lucas and Kanade, on pyramids)
BACK = 0.7  # pixels by which a point tracked there and back may miss its start
SEED = 1  # of what RANSAC draws
INLIER = 1.0  # pixels from the epipolar line
ROUNDS = 8  # of Gauss and Newton's steps

OPENCV: Any = cv2  # for functions whose stubs are too narrow


@dataclass(frozen=True)
class Matches:
    """Points of a frame that were followed to a later one, pixels (x, y)."""

    earlier: Points
    later: Points


class Tracker:
    """Follows points through a clip and remembers where they were in the last `reach` frames. Memory is constant.

    Frames are normalised by their local mean and contrast first, so that a jump of the exposure loses no point.
    """

    def __init__(self, reach: int) -> None:
        self.reach = reach
        self._last: Grey | None = None
        self._paths = np.zeros((0, 1, 2), np.float32)  # newest first; NaN before a point was found

    def restart(self) -> None:
        """Forget everything, as at a cut."""
        self._last, self._paths = None, np.zeros((0, 1, 2), np.float32)

    def add(self, frame: Grey) -> None:
        """Follow all points into `frame`, and find new ones where many were lost."""
        plane = _normalised(frame)
        paths = self._paths
        if self._last is not None and len(paths):
            here = np.ascontiguousarray(paths[:, 0])
            followed = _followed(self._last, plane, here)
            good = np.isfinite(followed[:, 0])
            paths = np.concatenate([followed[good, None], paths[good, : self.reach]], 1)
        height, width = plane.shape
        apart = max(4.0, math.sqrt(height * width / FEATURES) * 0.6)
        if len(paths) < FEATURES * 0.7:
            free = np.full(plane.shape, 255, np.uint8)
            for x, y in paths[:, 0]:
                cv2.circle(free, (round(float(x)), round(float(y))), round(apart), 0, -1)
            new = cv2.goodFeaturesToTrack(plane, FEATURES - len(paths), QUALITY, apart, mask=free)
            if new is not None:
                fresh = np.full((len(new), max(1, paths.shape[1]), 2), np.nan, np.float32)
                fresh[:, 0] = new[:, 0]
                paths = np.concatenate([paths, fresh]) if len(paths) else fresh[:, :1]
        self._last, self._paths = plane, paths

    def matches(self, step: int) -> Matches:
        """Return the points that were followed over the last `step` frames."""
        if self._paths.shape[1] <= step:
            return Matches(np.zeros((0, 2)), np.zeros((0, 2)))
        known = np.isfinite(self._paths[:, step, 0])
        return Matches(self._paths[known, step].astype(float), self._paths[known, 0].astype(float))


def _normalised(frame: Grey) -> Grey:
    """Return a frame less its local mean, divided by its local contrast, in 255 steps."""
    plane = frame.astype(np.float32)
    sigma = max(frame.shape) / 40
    mean = cv2.GaussianBlur(plane, (0, 0), sigma)
    spread = np.sqrt(np.maximum(cv2.GaussianBlur(plane * plane, (0, 0), sigma) - mean * mean, 0))
    return np.clip(128 + 45 * (plane - mean) / (spread + 3), 0, 255).astype(np.uint8)


def _followed(last: Grey, this: Grey, points: Points) -> Points:
    """Return where points of the last frame are in this one; NaN for those that are lost."""
    moved, there, _ = OPENCV.calcOpticalFlowPyrLK(last, this, points[:, None], None, winSize=WINDOW, maxLevel=LEVELS)
    back, here, _ = OPENCV.calcOpticalFlowPyrLK(this, last, moved, None, winSize=WINDOW, maxLevel=LEVELS)
    moved, back = moved[:, 0], back[:, 0]
    h, w = this.shape
    inside = ((moved >= 0) & (moved <= (w - 1, h - 1))).all(1)
    good = (there[:, 0] > 0) & (here[:, 0] > 0) & inside & (np.linalg.norm(back - points, axis=1) < BACK)
    return np.where(good[:, None], moved, np.nan).astype(np.float32)


def matched(target: Grey, *others: Grey, features: int) -> list[Points]:
    """Return `features` corners of `target`, at most, and where they are in the other frames; NaN where lost."""
    plane = _normalised(target)
    apart = max(3.0, math.sqrt(plane.size / features) * 0.6)
    corners = cv2.goodFeaturesToTrack(plane, features, QUALITY / 2, apart)
    points = np.zeros((0, 2), np.float32) if corners is None else corners[:, 0]
    if not len(points):
        return [points.astype(float) for _ in range(len(others) + 1)]
    return [points.astype(float), *(_followed(plane, _normalised(other), points).astype(float) for other in others)]


# --- motion between two frames ---


@dataclass(frozen=True)
class TwoView:
    """Motion of the camera between two frames: `rotation`, `direction` of unit length (X_b = R X_a + t), and which
    points agree with it; `error` is the mean of the points' truncated squared distances from their epipolar lines,
    pixels squared."""

    rotation: Matrix
    direction: Vector
    inliers: Bool[np.ndarray, " n"]
    error: float


def two_view(a: Points, b: Points, focal: float) -> TwoView | None:
    """Return the motion from points `a` of one frame to `b` of another, both rays; None where there are too few.

    The five-point algorithm in RANSAC, then Gauss and Newton's steps on the Sampson distance of all that agree.
    `focal`, in pixels, is the unit of the tolerances.
    """
    if len(a) < 12:
        return None
    cv2.setRNGSeed(SEED)
    unit = np.eye(3)
    essential, _ = cv2.findEssentialMat(a, b, unit, cv2.RANSAC, 0.999, INLIER / focal, 300)
    if essential is None or essential.shape != (3, 3):
        return None
    _, rotation, direction, _ = cv2.recoverPose(essential, a, b, unit)
    return refined(a, b, focal, rotation, direction[:, 0])


def refined(a: Points, b: Points, focal: float, rotation: Matrix, direction: Vector) -> TwoView:
    """Return the motion nearby that explains the points best; see `two_view`."""
    error = focal * sampson(rotation, direction, a, b)
    for _ in range(ROUNDS):
        weight = 1 / (1 + (error / INLIER) ** 2) ** 2  # of Geman and McClure: what is far off does not count
        basis = np.linalg.svd(direction[None])[2][1:].T  # two unit vectors across the direction
        rows = []
        for k in range(5):
            change = np.zeros(5)
            change[k] = 1e-5
            turned, moved = _changed(rotation, direction, basis, change)
            rows.append((focal * sampson(turned, moved, a, b) - error) / 1e-5)
        jacobian = np.stack(rows, 1)
        normal = jacobian.T @ (weight[:, None] * jacobian)
        step = -np.linalg.lstsq(normal + 1e-9 * np.trace(normal) * np.eye(5), jacobian.T @ (weight * error))[0]
        turned, moved = _changed(rotation, direction, basis, step)
        after = focal * sampson(turned, moved, a, b)
        if _cost(after) >= _cost(error):
            break
        rotation, direction, error = turned, moved, after
    return TwoView(rotation, direction, np.abs(error) < 2 * INLIER, _cost(error))


def sampson(rotation: Matrix, direction: Vector, a: Points, b: Points) -> Numbers:
    """Return the signed distance of each pair of rays from the epipolar geometry, to first order (Sampson)."""
    x, y, z = direction
    essential = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]) @ rotation
    first, second = _homogeneous(a), _homogeneous(b)
    there, here = first @ essential.T, second @ essential
    norm = np.sqrt(there[:, 0] ** 2 + there[:, 1] ** 2 + here[:, 0] ** 2 + here[:, 1] ** 2)
    return (second * there).sum(1) / np.maximum(norm, 1e-12)


def triangulated(motion: TwoView, a: Points, b: Points) -> tuple[Numbers, Numbers]:
    """Return the inverse depth of points in the first frame, in units of the motion's length, and the parallax: how far
    each is from where it would be at infinity, in rays of the second frame.

    Least squares of b (q_z + rho t_z) = q + rho t over both axes, with q = R a.
    """
    turned = _homogeneous(a) @ motion.rotation.T
    left = b * motion.direction[2] - motion.direction[:2]
    right = turned[:, :2] - b * turned[:, 2:]
    rho = (left * right).sum(1) / np.maximum((left * left).sum(1), 1e-12)
    return rho, np.linalg.norm(right / turned[:, 2:], axis=1)


@dataclass(frozen=True)
class Turn:
    """The best rotation of the camera (radians about x, y, z) and change of its focal length (factor - 1), and by how
    many pixels each point lies elsewhere."""

    angles: Vector
    zoom: float
    left: Numbers


def turn(a: Points, b: Points, focal: float, *, zoom: bool) -> Turn:
    """Return the rotation, with a zoom or without, that explains most points; `a` and `b` are rays.

    Iterated, reweighted least squares on the motion field of small rotations; the first round counts all alike.
    """
    factor, rotation = 0.0, np.eye(3)
    left = np.full(len(a), np.inf)
    for k in range(ROUNDS):
        turned = _homogeneous(a) @ rotation.T
        now = turned[:, :2] / turned[:, 2:] * (1 + factor)
        off = b - now
        left = focal * np.linalg.norm(off, axis=1)
        x, y = now.T
        columns = [np.stack([-x * y, -(1 + y * y)], 1), np.stack([1 + x * x, x * y], 1), np.stack([-y, x], 1)]
        columns += [now] if zoom else []
        jacobian = np.stack(columns, 2)  # n 2 p
        scale = max(INLIER, float(np.median(left)))
        weight = np.ones(len(a)) if k == 0 else 1 / (1 + (left / scale) ** 2) ** 2
        normal = np.einsum("nip,n,niq->pq", jacobian, weight, jacobian)
        step = np.linalg.lstsq(normal, np.einsum("nip,n,ni->p", jacobian, weight, off))[0]
        rotation = cv2.Rodrigues(step[:3])[0] @ rotation
        factor += float(step[3]) * (1 + factor) if zoom else 0.0
        if np.abs(step).max() * focal < 0.01:
            break
    return Turn(cv2.Rodrigues(rotation)[0][:, 0].astype(float), factor, left)


def _cost(error: Numbers) -> float:
    """Return the mean of Geman and McClure's truncated squares."""
    squares = (error / INLIER) ** 2
    return float((squares / (1 + squares)).mean())


def _changed(rotation: Matrix, direction: Vector, basis: Tangents, change: Numbers) -> tuple[Matrix, Vector]:
    """Return a motion turned by three angles, its direction moved along two tangents."""
    moved = direction + basis @ change[3:]
    return cv2.Rodrigues(change[:3])[0] @ rotation, moved / np.linalg.norm(moved)


def _homogeneous(points: Points) -> Float[np.ndarray, "n 3"]:
    return np.concatenate([points, np.ones((len(points), 1))], 1)
