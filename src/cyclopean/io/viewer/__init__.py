"""A picture and its depth as one HTML file to look around in: no network, no other file, any browser with WebGL 2."""

import base64
import html
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from cyclopean.errors import InputError
from cyclopean.geometry import Equirectangular
from cyclopean.io.depthmap import DepthMap
from cyclopean.io.files import shown
from cyclopean.io.image import jpeg, resize_depth
from cyclopean.io.sidecar import AnyCamera

TEMPLATE = Path(__file__).with_name("template.html")
VERTICES = 140_000  # of the surface, about
WIDEST = 4096  # pixels of the texture: what every graphics card takes
FARTHEST = 30.0  # times the median depth: where sky is drawn
NEARNESS = 1000.0  # times that of the median depth: what is nearer still is drawn there
STEPS = 65535

Rgb = Float[Tensor, "1 3 h w"]


def write_viewer(path: Path, depth: DepthMap, image: Rgb, camera: AnyCamera, title: str) -> None:
    """Write the viewer of `image` with `depth` to `path`. Raises InputError if no depth is known."""
    contents = {
        "title": html.escape(shown(title)),
        "scene": json.dumps(_scene(depth, camera), allow_nan=False),
        "texture": "data:image/jpeg;base64," + _base64(jpeg(image, WIDEST)),
    }
    template = TEMPLATE.read_text(encoding="utf-8")
    # In one pass, so that no content is taken for a mark.
    page = re.sub(r"\{\{(title|scene|texture)\}\}", lambda mark: contents[mark[1]], template)
    path.write_text(page, encoding="utf-8")


def _scene(depth: DepthMap, camera: AnyCamera) -> dict[str, Any]:
    """Inverse depths in units of 1 / median depth, as 16-bit numbers that times `scale` are their values."""
    small = resize_depth(depth, _grid(depth.size))
    rho = small.inverse_depth[0, 0]
    known = small.valid[0, 0] & rho.isfinite()
    positive = rho[known & (rho > 0)]
    if positive.numel() == 0:
        raise InputError("no pixel has a known depth, so there is nothing to look around in; give another depth map.")
    typical = positive.median()
    values = torch.where(known, rho / typical, 1.0).clamp(1 / FARTHEST, NEARNESS)
    scale = float(values.max()) / STEPS
    numbers = (values / scale).round().cpu().numpy().astype("<u2")
    return {
        "camera": _camera(camera),
        "height": small.size[0],
        "width": small.size[1],
        "scale": scale,
        "near": float(1 / values.quantile(0.95)),
        "inverseDepth": _base64(np.ascontiguousarray(numbers).tobytes()),
    }


def _grid(size: tuple[int, int]) -> tuple[int, int]:
    shrink = min(1.0, math.sqrt(VERTICES / (size[0] * size[1])))
    return max(2, round(size[0] * shrink)), max(2, round(size[1] * shrink))


def _camera(camera: AnyCamera) -> dict[str, Any]:
    if isinstance(camera, Equirectangular):
        return {"name": "equirectangular"}
    return {"name": "pinhole", "focal": camera.focal[0].tolist(), "center": camera.center[0].tolist()}


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")
