"""A depth map and its photo as coloured points in space: PLY and GLB files."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from cyclopean.depthmap import AnyCamera, DepthMap
from cyclopean.errors import InputError
from cyclopean.geometry import pixel_grid

FARTHEST = 20.0  # times the median depth: sky and what is nearly infinite is left out

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
    z = depth.numbers("distance" if depth.kind == "inverse_distance" else "depth")
    finite = z[z.isfinite()]
    if finite.numel() == 0:
        raise InputError("no pixel has a finite depth, so there are no points; give another depth map.")
    median = finite.median()
    rays = camera.rays(pixel_grid(depth.size, z))
    if depth.kind == "inverse_distance":
        rays = torch.nn.functional.normalize(rays, dim=-1)
    unit = 1.0 if depth.unit == "m" else float(median)
    kept = (z <= FARTHEST * median)[0, 0]
    points = rays[0][kept] * (z[0, 0][kept] / unit)[:, None]
    return PointCloud(points, image[0].permute(1, 2, 0)[kept])


def write_ply(path: Path, cloud: PointCloud) -> None:
    """PLY, in the camera's frame."""
    _write(path, cloud, np.array([1.0, 1.0, 1.0]))


def write_glb(path: Path, cloud: PointCloud) -> None:
    """glTF binary, whose frame has y up and looks along -z."""
    _write(path, cloud, np.array([1.0, -1.0, -1.0]))


def _write(path: Path, cloud: PointCloud, axes: np.ndarray) -> None:
    import trimesh

    colours = cloud.colours.clamp(0, 1).mul(255).round().byte().cpu().numpy()
    points = cloud.points.double().cpu().numpy() * axes
    trimesh.PointCloud(points, colours).export(str(path))


WRITERS = {"ply": write_ply, "glb": write_glb}
