"""A depth map and its photo as coloured points in space, and a PLY file of them."""

import math
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from cyclopean.depthmap import AnyCamera, DepthMap
from cyclopean.errors import InputError
from cyclopean.geometry import Equirectangular, pixel_grid

FARTHEST = 20.0  # times the median depth: sky and what is nearly infinite is left out
GRAZING = 6.0  # degrees: where neighbours lie more nearly behind each other, they are of different things

Rgb = Float[Tensor, "1 3 h w"]


@dataclass(frozen=True)
class PointCloud:
    """Points in the camera's frame (x right, y down, z forward), in metres or median depths; colours in [0,1]."""

    points: Float[Tensor, "n 3"]
    colours: Float[Tensor, "n 3"]


def point_cloud(depth: DepthMap, image: Rgb, camera: AnyCamera) -> PointCloud:
    """Every pixel with known depth up to 20 times the median. A relative map is scaled to a median depth of 1.

    `camera` is the photo's, or an assumed one. Raises InputError for an affine map: its shape in space is unknown.
    """
    if depth.size != (image.shape[-2], image.shape[-1]):
        raise InputError(f"the depth map is {depth.size} but the photo {tuple(image.shape[-2:])}; they need one size.")
    points, kept = in_space(depth, camera)
    return PointCloud(points[0][kept], image[0].permute(1, 2, 0)[kept])


def in_space(depth: DepthMap, camera: AnyCamera) -> tuple[Float[Tensor, "1 h w 3"], Bool[Tensor, "h w"]]:
    """The point of each pixel in the camera's frame, in metres or median depths, and whether it is known and near
    enough to be shown; others may be anything, NaN too."""
    z = depth.numbers("distance" if depth.kind == "inverse_distance" else "depth")
    finite = z[z.isfinite()]
    if finite.numel() == 0:
        raise InputError("no pixel has a finite depth, so there are no points; give another depth map.")
    median = finite.median()
    rays = camera.rays(pixel_grid(depth.size, z))
    if depth.kind == "inverse_distance":
        rays = torch.nn.functional.normalize(rays, dim=-1)
    unit = 1.0 if depth.unit == "m" else float(median)
    points = rays * (z[0, 0, ..., None] / unit)
    kept = (z <= FARTHEST * median)[0, 0] & points[0].isfinite().all(-1)
    if not bool(kept.any()):
        raise InputError("its depths are too large or too small for points in space; give another depth map.")
    return points, kept


def torn(points: Float[Tensor, "*n 3"], others: Float[Tensor, "*n 3"]) -> Bool[Tensor, "*n"]:
    """Whether what joins two neighbouring points would be seen at less than 6 degrees: it is no surface, but the gap
    between near and far. Also where a point is not known."""
    between = torch.linalg.vector_norm(others - points, dim=-1)
    farther = torch.maximum(*(torch.linalg.vector_norm(x, dim=-1) for x in (points, others)))
    sine = torch.linalg.vector_norm(torch.linalg.cross(points, others), dim=-1) / (between * farther)
    return ~((sine >= math.sin(math.radians(GRAZING))) | (between == 0))


def without_edges(depth: DepthMap, camera: AnyCamera) -> DepthMap:
    """`depth` without pixels that hang between near and far: torn from both neighbours along a row or a column.

    Over the seam too if the camera is equirectangular. Depth of networks is soft at edges: such pixels are on no thing.
    """
    points, _ = in_space(depth, camera)
    right, below = torn(points[0], points[0].roll(-1, 1)), torn(points[0], points[0].roll(-1, 0))
    if not isinstance(camera, Equirectangular):
        right[:, -1] = False
    below[-1] = False
    hanging = (right & right.roll(1, 1)) | (below & below.roll(1, 0))
    valid = depth.valid & ~hanging
    return replace(depth, valid=valid, inverse_depth=torch.where(valid, depth.inverse_depth, torch.nan))


def write_ply(path: Path, cloud: PointCloud) -> None:
    """PLY, in the camera's frame."""
    import trimesh

    colours = cloud.colours.clamp(0, 1).mul(255).round().byte().cpu().numpy()
    trimesh.PointCloud(cloud.points.double().cpu().numpy(), colours).export(str(path))
