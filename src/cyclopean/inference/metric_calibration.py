"""Metric calibration: one length in one photo gives the scale of relative depth, and a profile stores it.

The scale holds for photos of the same camera by the same model; how well depends on how consistent the model's scale
is.
"""

import json
import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from cyclopean.defocus.lens import Point, focus_pixel
from cyclopean.errors import InputError
from cyclopean.geometry import Equirectangular, Pinhole, assumed_camera, pixel_grid
from cyclopean.io.depthmap import DepthMap, value_range
from cyclopean.io.files import read_json, shortened, write_text
from cyclopean.io.metadata import FILM_DIAGONAL
from cyclopean.io.sidecar import (
    VERSION,
    AnyCamera,
    Maker,
    camera_from_json,
    camera_to_json,
    check_version,
    maker_from_json,
)

FORMAT = "cyclopean-profile"
AROUND = 2  # pixels on each side of a point over which its depth is the median
TRIES = 400  # candidate planes for the ground
TILT = math.cos(math.radians(35))  # largest angle between the ground's normal and the picture's vertical
THIN = 0.03  # of the camera's height: how far from the plane a point still belongs to the ground
LEAST = 0.15  # of the lower half of the picture that must be ground
SAMPLES = 4000
ONE_CAMERA = 1.15  # ratio of focal lengths of what still counts as one camera
APART = 1.1  # times the nearer of two known distances: the farther one, at least
NEAREST = 1.0  # metres, where nothing is known
FARTHEST = 10.0  # times the nearest depth, where a model leaves it unknown

Point3 = Float[Tensor, "3"]
Points = Float[Tensor, "n 3"]


@dataclass(frozen=True)
class CameraProfile:
    """`scale` metres for each unit of depth that `model` predicts of photos of `camera` (None: not known).

    `how` names the measurement.
    """

    scale: float
    how: str
    model: Maker | None = None
    camera: AnyCamera | None = None

    def __post_init__(self) -> None:
        if not 1e-12 < self.scale < 1e12:
            raise InputError(f"the scale of a camera profile is {self.scale:g}; it must be above 0 and finite.")

    def applied(self, depth: DepthMap) -> DepthMap:
        """Return `depth` in metres. Raises InputError for a map without a scale, or of another model."""
        _refuse_other_than_scale(depth)
        if self.model is not None and depth.model is not None and self.model.sha256 != depth.model.sha256:
            raise InputError(
                f"the camera profile was made with the model {self.model.name!r}, this depth with "
                f"{depth.model.name!r} (or other weights); make a profile with the model that you use."
            )
        inverse = depth.inverse_depth / self.scale
        return replace(depth, inverse_depth=inverse, unit="m", ambiguity="metric", camera=depth.camera or self.camera)

    def misfit(self, depth: DepthMap) -> str:
        """Return what differs between the profile's camera and that of `depth`; "" if they are alike or not known.

        The scale is for one focal length: two that differ by more than 15 % are not one camera's. Smaller differences
        are those of rounded EXIF, and of a "35 mm equivalent" that counts the diagonal of a picture cut to 16:9.
        """
        ours, theirs = self.camera, depth.camera
        if ours is None or theirs is None:
            return ""
        if not (isinstance(ours, Pinhole) and isinstance(theirs, Pinhole)):
            names = ["a panorama" if isinstance(c, Equirectangular) else "an ordinary photo" for c in (ours, theirs)]
            return (
                "" if names[0] == names[1] else f"the camera profile was made with {names[0]}, and this is {names[1]}"
            )
        first, second = (float(camera.focal[0].min()) for camera in (ours, theirs))  # in lengths of the longer side
        if max(first / second, second / first) <= ONE_CAMERA:
            return ""
        film = [FILM_DIAGONAL / math.hypot(*(1 / camera.focal[0]).tolist()) for camera in (ours, theirs)]
        return (
            f"the camera profile was made at a focal length of {film[0]:.0f} mm (35 mm equivalent), and this photo was "
            f"taken at {film[1]:.0f} mm"
        )


@dataclass(frozen=True)
class TwoDistances:
    """The distances in metres of two points of one photo: they give scale and shift of its inverse depth.

    `points` are in pixels, or fractions of width and height. It holds for that photo alone: a model that leaves the
    shift unknown leaves another one unknown in the next photo.
    """

    points: tuple[Point, Point]
    metres: tuple[float, float]

    def __post_init__(self) -> None:
        for distance in self.metres:
            _refuse_no_length("the distance of a known point", distance)

    def applied(self, depth: DepthMap) -> DepthMap:
        """Return `depth` in metres; what would lie behind infinity is infinitely far away.

        Raises InputError for a map in metres, points outside it or of unknown depth, and for two points of which the
        map has the farther one nearer.
        """
        if depth.ambiguity == "metric":
            raise InputError("this depth is in metres already; leave the known distances out.")
        camera = depth.camera or assumed_camera(depth.size)
        relative, metric = [], []
        for point, distance in zip(self.points, self.metres, strict=True):
            x, y = focus_pixel(point, depth.size)
            ray, value = _ray_and_inverse(depth, camera, (x, y))
            relative.append(value)
            metric.append(float(torch.linalg.vector_norm(ray)) / distance)
        scale = (metric[1] - metric[0]) / (relative[1] - relative[0]) if relative[0] != relative[1] else 0.0
        if not scale > 0 or max(self.metres) < APART * min(self.metres):
            raise InputError(
                f"points at {self.metres[0]:g} and {self.metres[1]:g} m do not give scale and shift, by the depth that "
                "the model has there; give two at clearly different distances, on things whose depth looks right."
            )
        inverse = (depth.inverse_depth * scale + (metric[0] - scale * relative[0])).clamp_min(0)
        return replace(depth, inverse_depth=inverse, unit="m", ambiguity="metric", camera=camera)


@dataclass(frozen=True)
class DistanceRange:
    """The least and the greatest distance in one photo, in metres; `farthest` may be inf.

    Nearest and farthest are the 99th and the first percentile of the inverse depth, so that a few outliers do not
    determine them.
    """

    nearest: float = NEAREST
    farthest: float = math.inf

    def __post_init__(self) -> None:
        _refuse_no_length("the nearest distance", self.nearest)
        if not self.farthest >= APART * self.nearest:
            raise InputError(
                f"the farthest distance is {self.farthest:g} m and the nearest {self.nearest:g} m; give a farthest one "
                "that is clearly larger, or inf."
            )

    def applied(self, depth: DepthMap) -> DepthMap:
        """Return `depth` in metres: scale and shift of its inverse depth follow from both distances.

        Raises InputError for a map in metres, and for one of a single depth.
        """
        if depth.ambiguity == "metric":
            raise InputError("this depth is in metres already; leave --nearest and --farthest out.")
        far, near = value_range(depth.inverse_depth)
        if not near > far:
            raise InputError("this depth is the same everywhere, so no range of distances fits it; give another depth.")
        scale = (1 / self.nearest - 1 / self.farthest) / (near - far)
        inverse = ((depth.inverse_depth - far) * scale + 1 / self.farthest).clamp_min(0)
        return replace(depth, inverse_depth=inverse, unit="m", ambiguity="metric")


Metres = CameraProfile | TwoDistances | DistanceRange


def metres_from(
    profile: Path | None, known: tuple[float, ...] | None, between: tuple[float | None, float | None] = (None, None)
) -> Metres | None:
    """Return what puts depth in metres: the profile in a file, `known` of two points (x, y, metres of each), or the
    nearest and the farthest distance, of which one may be None."""
    if any(distance is not None for distance in between):
        nearest, farthest = between
        far = math.inf if farthest is None else farthest
        return DistanceRange(min(NEAREST, far / FARTHEST) if nearest is None else nearest, far)
    if known is not None:
        x, y, near, u, v, far = known
        return TwoDistances(((x, y), (u, v)), (near, far))
    return None if profile is None else read_profile(profile)


def shift_assumed(depth: DepthMap) -> DepthMap:
    """Return an affine map as one up to scale: the farthest of it is taken as `FARTHEST` times as far as the nearest.

    Nearest and farthest are the 99th and the first percentile. Shapes in space are guesses then; order and edges hold.
    """
    low, high = value_range(depth.inverse_depth)
    inverse = depth.inverse_depth - low + (high - low) / (FARTHEST - 1)
    return replace(depth, inverse_depth=inverse.clamp_min(0), ambiguity="scale")


def by_two_points(
    depth: DepthMap, camera: AnyCamera, points: tuple[tuple[int, int], tuple[int, int]], metres: float
) -> CameraProfile:
    """Return the scale that puts two pixels (x, y) `metres` apart; `camera` is the photo's, or an assumed one."""
    _refuse_other_than_scale(depth)
    _refuse_no_length("the distance between the points", metres)
    first, second = (point_at(depth, camera, at) for at in points)
    apart = float(torch.linalg.vector_norm(first - second))
    if points[0] == points[1] or apart == 0:
        raise InputError("both points are the same; click two different ones.")
    how = f"two points {metres:g} m apart"
    return CameraProfile(metres / apart, how, depth.model, depth.camera)


def by_height(depth: DepthMap, camera: AnyCamera, metres: float) -> CameraProfile:
    """Return the scale by the height of the camera above the ground, the plane in the picture's lower half.

    RANSAC (Fischler and Bolles, 1981) over 400 planes through three points each, then a least-squares fit to the
    inliers. Raises InputError if there is no such plane.
    """
    _refuse_other_than_scale(depth)
    _refuse_no_length("the camera's height", metres)
    points = _lower_half(depth, camera)
    normal, height = _ground(points)
    near = (points @ normal - height).abs() < THIN * height
    if float(near.float().mean()) < LEAST:
        raise InputError("no level ground was found in the lower half of the photo; click two points instead.")
    # The least-squares plane of the points near that one
    middle = points[near].mean(0)
    normal = torch.linalg.svd(points[near] - middle, full_matrices=False).Vh[-1]
    height = float(normal * normal[1].sign() @ middle)
    how = f"camera {metres:g} m above the ground"
    return CameraProfile(metres / height, how, depth.model, depth.camera)


def point_at(depth: DepthMap, camera: AnyCamera, at: tuple[int, int]) -> Point3:
    """Return the point in space under a pixel (x, y), in the unit of `depth`; its depth is the median around it.

    Raises InputError where depth is unknown or infinite.
    """
    ray, inverse = _ray_and_inverse(depth, camera, at)
    if inverse <= 0:
        raise InputError("the depth of that point is not known; click another one.")
    return ray / inverse


def write_profile(path: Path, profile: CameraProfile) -> None:
    """Write a profile as JSON; the file appears whole or not at all."""
    content: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "metres_per_unit": profile.scale,
        "how": profile.how,
    }
    content["model"] = profile.model and asdict(profile.model)
    if profile.camera is not None:
        content["camera"] = camera_to_json(profile.camera)
    write_text(path, json.dumps(content, indent=2) + "\n")


def read_profile(path: Path) -> CameraProfile:
    """Read the profile in a file. Raises InputError for a file that is missing or not a profile."""
    content = read_json(path)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise InputError(
            f"{path} is not a camera profile; make one in the app's tab Metres (cyclopean app), or in Python."
        )
    check_version(path, content)
    try:
        scale = content["metres_per_unit"]
        if isinstance(scale, bool) or not isinstance(scale, int | float):
            raise ValueError(f"metres_per_unit {shortened(scale, 40)} is not a number")
        model, camera = maker_from_json(content.get("model")), camera_from_json(content.get("camera"))
        return CameraProfile(float(scale), str(content.get("how", "")), model, camera)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except (ValueError, KeyError) as error:
        raise InputError(f"{path} cannot be understood ({shortened(error)}); make the profile again.") from None


def _refuse_other_than_scale(depth: DepthMap) -> None:
    if depth.ambiguity == "metric":
        raise InputError("this depth is in metres already; it needs no scale.")
    if depth.ambiguity == "affine":
        raise InputError(
            "this depth is known up to a factor and an offset, and one length does not determine both; give how far "
            "away two points are (--known), or use another model."
        )
    if "embedded" in depth.notes:  # and a profile's scale holds for all photos
        raise InputError(
            "this depth comes from the photo's own file, whose scale holds for this photo alone; give how far away two "
            "points are (--known), or predict the depth (--depth predict; in the app: Estimate it instead)."
        )


def _refuse_no_length(what: str, metres: float) -> None:
    if not (math.isfinite(metres) and metres > 0):
        raise InputError(f"{what} is {metres:g}; give a length above 0 metres.")


def _ray_and_inverse(depth: DepthMap, camera: AnyCamera, at: tuple[int, int]) -> tuple[Point3, float]:
    """Return the ray through a pixel (x, y), and the median inverse depth around it."""
    x, y = at
    plane = depth.inverse_depth[0, 0]
    some = plane[max(y - AROUND, 0) : y + AROUND + 1, max(x - AROUND, 0) : x + AROUND + 1]
    known = some[some.isfinite()]
    if known.numel() == 0:
        raise InputError("the depth of that point is not known; click another one.")
    h, w = depth.size
    uv = torch.tensor([[[[(x + 0.5) / w, (y + 0.5) / h]]]], dtype=plane.dtype)
    return _rays(camera, uv, depth)[0, 0, 0], float(known.median())


def _rays(camera: AnyCamera, uv: Tensor, depth: DepthMap) -> Tensor:
    """Return rays scaled for the map's kind of depth: of unit length if it holds distances."""
    rays = camera.rays(uv)
    return torch.nn.functional.normalize(rays, dim=-1) if depth.kind == "inverse_distance" else rays


def _lower_half(depth: DepthMap, camera: AnyCamera) -> Points:
    """Return some points of the lower half of the picture, spread evenly."""
    inverse = depth.inverse_depth[0, 0]
    rays = _rays(camera, pixel_grid(depth.size, inverse), depth)[0]
    rows = slice(depth.size[0] // 2, None)
    known = (inverse[rows] > 0) & inverse[rows].isfinite()
    points = rays[rows][known] / inverse[rows][known][:, None]
    if len(points) < 100:
        raise InputError("too little depth is known in the lower half of the photo; click two points instead.")
    return points[:: max(1, len(points) // SAMPLES)]


def _ground(points: Points) -> tuple[Point3, float]:
    """Return normal (down) and height of the plane that most points lie on, of those that are about level."""
    generator = torch.Generator().manual_seed(0)
    three = points[torch.randint(len(points), (TRIES, 3), generator=generator)]
    normals = torch.linalg.cross(three[:, 1] - three[:, 0], three[:, 2] - three[:, 0])
    normals = torch.nn.functional.normalize(normals, dim=-1)
    normals = normals * normals[:, 1:2].sign()
    heights = (normals * three[:, 0]).sum(-1)
    level = (normals[:, 1] > TILT) & (heights > 0)
    if not bool(level.any()):
        raise InputError("no level ground was found in the lower half of the photo; click two points instead.")
    normals, heights = normals[level], heights[level]
    on = (points @ normals.T - heights).abs() < THIN * heights
    best = int(on.sum(0).argmax())
    return normals[best], float(heights[best])
