"""A depth map as a surface: triangles between neighbouring pixels, torn where near meets far, in a GLB file."""

import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor

from cyclopean.depthmap import AnyCamera, DepthMap
from cyclopean.errors import InputError
from cyclopean.geometry import Equirectangular, pixel_grid
from cyclopean.images import jpeg, resize_depth
from cyclopean.pointcloud import in_space, torn

VERTICES = 500_000  # at most, about: more is slow to turn in every viewer
WIDEST = 4096  # pixels of the texture

Rgb = Float[Tensor, "1 3 h w"]
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
