"""A depth map and its photo in 3-D: coloured points as PLY, a textured mesh as GLB."""

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
from cyclopean.geometry import Equirectangular, pixel_grid, size_of
from cyclopean.io.depthmap import DepthMap
from cyclopean.io.image import TEXTURE, jpeg, resize_depth, size_within
from cyclopean.io.sidecar import AnyCamera
from cyclopean.sample import OneImage

FARTHEST = 20.0  # times the median depth: sky and farther points are left out
GRAZING = 6.0  # degrees: neighbours seen at a more grazing angle belong to different objects
VERTICES = 500_000  # of a mesh, at most, about: more is slow in every viewer

Triangles = Int[Tensor, "_ 3"]


@dataclass(frozen=True)
class PointCloud:
    """Points in the camera's frame (x right, y down, z forward), in metres or median depths; colours in [0,1]."""

    points: Float[Tensor, "n 3"]
    colours: Float[Tensor, "n 3"]


@dataclass(frozen=True)
class Mesh:
    """Points in the camera's frame, their places in the picture, and triangles, which face the camera."""

    points: Float[Tensor, "n 3"]
    uv: Float[Tensor, "n 2"]
    triangles: Triangles


def unproject(depth: DepthMap, camera: AnyCamera) -> tuple[Float[Tensor, "1 h w 3"], Bool[Tensor, "h w"]]:
    """Return each pixel's point in the camera's frame, and whether it is known and at most 20 median depths away.

    Points are in metres, or in median depths if the map is relative; unknown and farther ones may be anything, even
    NaN. Raises InputError for an affine map, whose shape in space is unknown, and for a map without a finite depth.
    """
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
    near = (z <= FARTHEST * median)[0, 0] & points[0].isfinite().all(-1)
    if not bool(near.any()):
        raise InputError("its depths are too large or too small for points in 3-D; give another depth map.")
    return points, near


def separated(points: Float[Tensor, "*n 3"], others: Float[Tensor, "*n 3"]) -> Bool[Tensor, "*n"]:
    """Return whether neighbouring points belong to different objects: a surface between them would be seen at under 6°.

    True also where a point is not known.
    """
    between = torch.linalg.vector_norm(others - points, dim=-1)
    farther = torch.maximum(*(torch.linalg.vector_norm(x, dim=-1) for x in (points, others)))
    sine = torch.linalg.vector_norm(torch.linalg.cross(points, others), dim=-1) / (between * farther)
    return ~((sine >= math.sin(math.radians(GRAZING))) | (between == 0))


def without_flying_pixels(depth: DepthMap, camera: AnyCamera) -> DepthMap:
    """Return `depth` without the pixels between near and far: separated from both neighbours along a row or a column.

    Depth from networks is soft at edges: such pixels are on no object. Neighbours are also those over the seam of an
    equirectangular camera.
    """
    points, _ = unproject(depth, camera)
    right, below = separated(points[0], points[0].roll(-1, 1)), separated(points[0], points[0].roll(-1, 0))
    if not isinstance(camera, Equirectangular):
        right[:, -1] = False
    below[-1] = False
    flying = (right & right.roll(1, 1)) | (below & below.roll(1, 0))
    valid = depth.valid & ~flying
    return replace(depth, valid=valid, inverse_depth=torch.where(valid, depth.inverse_depth, torch.nan))


def point_cloud(depth: DepthMap, image: OneImage, camera: AnyCamera) -> PointCloud:
    """Return every pixel with known depth up to 20 times the median. A relative map gets a median depth of 1.

    `camera` is the photo's, or an assumed one. Raises InputError for an affine map: its shape in space is unknown.
    """
    if depth.size != size_of(image):
        raise InputError(f"the depth map is {depth.size} but the photo {tuple(image.shape[-2:])}; they need one size.")
    points, near = unproject(depth, camera)
    return PointCloud(points[0][near], image[0].permute(1, 2, 0)[near])


def mesh(depth: DepthMap, camera: AnyCamera) -> Mesh:
    """Return the surface that the camera sees, in metres, or in median depths if the map is relative.

    No triangle joins what is `separated`. A panorama's surface continues over its seam; straight up and down it is
    closed by a fan of triangles.
    """
    small = resize_depth(depth, size_within(depth.size, VERTICES, 2))
    points, near = unproject(small, camera)
    points = torch.where(near[..., None], points, torch.nan)
    uv = pixel_grid(small.size, points)
    panorama = isinstance(camera, Equirectangular)
    if panorama:  # the first column once more, at the other end of the picture
        points = torch.cat([points, points[:, :, :1]], 2)
        uv = torch.cat([uv, uv[:, :, :1] + uv.new_tensor([1.0, 0.0])], 2)
    number = torch.arange(points[0, ..., 0].numel()).view(points.shape[1], points.shape[2])
    flat = points[0].flatten(0, 1)
    # two triangles between each four neighbours, counter-clockwise as the camera sees them
    a, b, c, d = number[:-1, :-1], number[1:, :-1], number[:-1, 1:], number[1:, 1:]
    cells = torch.cat([torch.stack(corners, -1).flatten(0, 1) for corners in ((a, b, c), (c, b, d))])
    x, y, z = (flat[cells[:, k]] for k in range(3))
    parts = [cells[~(separated(x, y) | separated(y, z) | separated(z, x))]]
    for row, mirrored in ((number[0], False), (number[-1], True)) if panorama else ():
        fan = torch.stack([row[:1].expand(len(row) - 3), row[1:-2], row[2:-1]], -1)
        fan = fan.flip(1) if mirrored else fan
        parts.append(fan[flat[fan].isfinite().all(2).all(1)])
    triangles = torch.cat(parts)
    if not len(triangles):
        raise InputError("no two neighbouring pixels lie on one surface, so there is no mesh; give another depth map.")
    used, renumbered = triangles.unique(return_inverse=True)
    return Mesh(flat[used], uv[0].flatten(0, 1)[used], renumbered)


def write_ply(path: Path, cloud: PointCloud) -> None:
    """Write points and colours as PLY, in the camera's frame."""
    import trimesh

    colours = cloud.colours.clamp(0, 1).mul(255).round().byte().cpu().numpy()
    trimesh.PointCloud(cloud.points.double().cpu().numpy(), colours).export(str(path))


def write_glb(path: Path, mesh: Mesh, image: OneImage) -> None:
    """Write glTF binary, whose frame has y up and looks along -z. `image` is its texture, shown as it is (unlit)."""
    import trimesh

    uv = torch.stack([mesh.uv[:, 0], 1 - mesh.uv[:, 1]], -1)
    material = trimesh.visual.material.PBRMaterial(
        baseColorTexture=Image.open(io.BytesIO(jpeg(image, TEXTURE))),
        metallicFactor=0.0,
        roughnessFactor=1.0,
        doubleSided=True,
    )
    visual = trimesh.visual.TextureVisuals(uv.cpu().numpy(), material=material)
    points = (mesh.points * mesh.points.new_tensor([1.0, -1.0, -1.0])).cpu().numpy()

    def unlit(tree: dict[str, Any]) -> None:  # a photograph includes its lighting already
        tree["extensionsUsed"] = [*tree.get("extensionsUsed", []), "KHR_materials_unlit"]
        for surface in tree["materials"]:
            surface.setdefault("extensions", {})["KHR_materials_unlit"] = {}

    scene = trimesh.Scene(trimesh.Trimesh(points, mesh.triangles.cpu().numpy(), visual=visual, process=False))
    path.write_bytes(trimesh.exchange.gltf.export_glb(scene, tree_postprocessor=unlit))
