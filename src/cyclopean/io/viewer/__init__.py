"""A picture and its depth as one HTML file to look around in: no network, no other file, any browser with WebGL 2."""

import base64
import html
import json
import re
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from cyclopean.errors import InputError
from cyclopean.io.depthmap import DepthMap
from cyclopean.io.files import printable
from cyclopean.io.image import TEXTURE, jpeg, resize_depth, size_within
from cyclopean.io.sidecar import AnyCamera, camera_to_json

TEMPLATE = Path(__file__).with_name("template.html")
VERTICES = 140_000  # of the surface, about
FARTHEST = 30.0  # times the median depth: where sky is drawn
NEAREST = 1000.0  # times the median inverse depth: what is nearer still is drawn there
STEPS = 65535


def write_viewer(path: Path, depth: DepthMap, image: Float[Tensor, "1 3 h w"], camera: AnyCamera, title: str) -> None:
    """Write the viewer of `image` with `depth` to `path`. Raises InputError if no depth is known.

    The page holds inverse depths in units of 1 / median depth, as 16-bit numbers that times `scale` are their values.
    """
    small = resize_depth(depth, size_within(depth.size, VERTICES, 2)).seen_by(camera)
    rho = small.inverse_depth[0, 0]
    known = small.valid[0, 0] & rho.isfinite()
    positive = rho[known & (rho > 0)]
    if positive.numel() == 0:
        raise InputError("no pixel has a known depth, so there is nothing to look around in; give another depth map.")
    values = torch.where(known, rho / positive.median(), 1.0).clamp(1 / FARTHEST, NEAREST)
    scale = float(values.max()) / STEPS
    numbers = (values / scale).round().cpu().numpy().astype("<u2")
    scene = {
        "camera": camera_to_json(camera),
        "height": small.size[0],
        "width": small.size[1],
        "scale": scale,
        "near": float(1 / values.quantile(0.95)),
        "inverseDepth": base64.b64encode(np.ascontiguousarray(numbers).tobytes()).decode("ascii"),
    }
    contents = {
        "title": html.escape(printable(title)),
        "scene": json.dumps(scene, allow_nan=False),
        "texture": "data:image/jpeg;base64," + base64.b64encode(jpeg(image, TEXTURE)).decode("ascii"),
    }
    template = TEMPLATE.read_text(encoding="utf-8")
    # In one pass, so that no content is mistaken for a placeholder.
    page = re.sub(r"\{\{(title|scene|texture)\}\}", lambda mark: contents[mark[1]], template)
    path.write_text(page, encoding="utf-8")
