"""A depth map and its photo as coloured points in space, and a PLY file of them."""

import io
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from PIL import Image
from torch import Tensor

from cyclopean.errors import InputError
from cyclopean.geometry import Equirectangular, pixel_grid
from cyclopean.io.depthmap import DepthMap
from cyclopean.io.image import jpeg, resize_depth
from cyclopean.io.sidecar import AnyCamera

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


VERTICES = 500_000  # at most, about: more is slow to turn in every viewer
WIDEST = 4096  # pixels of the texture

Corners = Int[Tensor, "_ 3"]


@dataclass(frozen=True)
class Surface:
    """Points in the camera's frame, where each lies in the picture, and triangles, which face the camera."""

    points: Float[Tensor, "n 3"]
    uv: Float[Tensor, "n 2"]
    triangles: Corners


def surface(depth: DepthMap, camera: AnyCamera) -> Surface:
    """The surface that the camera sees. A panorama's goes on over its seam; straight up and down it has no holes.

    No triangle joins what lies at less than 6 degrees behind each other (`torn`). Metres, or median depths if the map
    is relative.
    """
    small = resize_depth(depth, _grid(depth.size))
    points, kept = in_space(small, camera)
    points = torch.where(kept[..., None], points, torch.nan)
    uv = pixel_grid(small.size, points)
    around = isinstance(camera, Equirectangular)
    if around:  # the first column once more, at the other end of the picture
        points = torch.cat([points, points[:, :, :1]], 2)
        uv = torch.cat([uv, uv[:, :, :1] + uv.new_tensor([1.0, 0.0])], 2)
    number = torch.arange(points[0, ..., 0].numel()).view(points.shape[1], points.shape[2])
    caps = [_fan(number[0]), _fan(number[-1]).flip(1)] if around else []
    return _compact(points[0].flatten(0, 1), uv[0].flatten(0, 1), _cells(number), caps)


def _compact(points: Float[Tensor, "n 3"], uv: Float[Tensor, "n 2"], cells: Corners, caps: list[Corners]) -> Surface:
    """The cells that are not torn, the caps where depth is known, and only the points that they use."""
    known = [cap[points[cap].isfinite().all(2).all(1)] for cap in caps]
    triangles = torch.cat([_whole(points, cells), *known])
    if not len(triangles):
        raise InputError("no two neighbouring pixels lie on one surface, so there is no mesh; give another depth map.")
    used, renumbered = triangles.unique(return_inverse=True)
    return Surface(points[used], uv[used], renumbered)


def _cells(number: Int[Tensor, "h w"]) -> Corners:
    """Two triangles between each four neighbours, counter-clockwise as the camera sees them."""
    a, b, c, d = number[:-1, :-1], number[1:, :-1], number[:-1, 1:], number[1:, 1:]
    return torch.cat([torch.stack(t, -1).flatten(0, 1) for t in ((a, b, c), (c, b, d))])


def _whole(points: Float[Tensor, "n 3"], triangles: Corners) -> Corners:
    """The triangles none of whose sides is torn."""
    x, y, z = (points[triangles[:, k]] for k in range(3))
    return triangles[~(torn(x, y) | torn(y, z) | torn(z, x))]


def _fan(row: Int[Tensor, " w"]) -> Corners:
    """Triangles from the first point of a closed row to all others, for the cap above it."""
    return torch.stack([row[:1].expand(len(row) - 3), row[1:-2], row[2:-1]], -1)


def _grid(size: tuple[int, int]) -> tuple[int, int]:
    shrink = min(1.0, math.sqrt(VERTICES / (size[0] * size[1])))
    return max(2, round(size[0] * shrink)), max(2, round(size[1] * shrink))


def write_glb(path: Path, made: Surface, image: Rgb) -> None:
    """glTF binary, whose frame has y up and looks along -z, with `image` on it as it is, whatever the light."""
    import trimesh

    frame = made.points.new_tensor([1.0, -1.0, -1.0])
    uv = torch.stack([made.uv[:, 0], 1 - made.uv[:, 1]], -1)
    material = trimesh.visual.material.PBRMaterial(
        baseColorTexture=Image.open(io.BytesIO(jpeg(image, WIDEST))),
        metallicFactor=0.0,
        roughnessFactor=1.0,
        doubleSided=True,
    )
    visual = trimesh.visual.TextureVisuals(uv.cpu().numpy(), material=material)
    points, triangles = (made.points * frame).cpu().numpy(), made.triangles.cpu().numpy()
    mesh = trimesh.Trimesh(points, triangles, visual=visual, process=False)
    path.write_bytes(trimesh.exchange.gltf.export_glb(trimesh.Scene(mesh), tree_postprocessor=_unlit))


def _unlit(tree: dict[str, Any]) -> None:
    """A photograph has its light in it already."""
    tree["extensionsUsed"] = [*tree.get("extensionsUsed", []), "KHR_materials_unlit"]
    for material in tree["materials"]:
        material.setdefault("extensions", {})["KHR_materials_unlit"] = {}
