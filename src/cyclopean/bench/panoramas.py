"""Views of a panorama remade from its depth, and a closer look: where depth is wrong, and what it explains."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from cyclopean.bench.family import Map
from cyclopean.geometry import attention, pixel_grid, reproject
from cyclopean.io.image import resize
from cyclopean.methods.base import known_pose
from cyclopean.methods.spherical_view_synthesis import COVERED, photometric
from cyclopean.metrics import solid_angle
from cyclopean.sample import Sample, View
from cyclopean.synthesis import splat

SHARPNESS = 0.1  # per metre, of the soft z-buffer by which all rows are judged
FAR = 20.0  # metres; truth beyond does not count
STEEP = math.radians(30)  # of latitude: beyond stand floor and ceiling
NEAR, MIDDLE = 1.5, 3.0  # metres

Shown = Bool[Tensor, "1 1 h w"]

CLOSER = {
    "floor": "AbsRel, floor",
    "horizon": "AbsRel, horizon",
    "ceiling": "AbsRel, ceiling",
    "near": "bias, < 1.5 m",
    "middle": "bias, 1.5 to 3 m",
    "far": "bias, > 3 m",
    "above": "loss, above",
    "beside": "loss, beside",
    "variation": "variation",
    "seam": "seam",
}
ABOUT_CLOSER = (
    "A closer look at held-out rooms. AbsRel by latitude: floor below -30 degrees, ceiling above 30, horizon between. "
    "Bias: mean of (depth - truth) / truth, by true distance. Loss: the photometric term of Eq. 5 and 6 (splatted, "
    "attended) of the view above and of that beside, as if trained by it. Variation: how much log depth varies along "
    "the rows of the horizon, of how much the truth does (0: only latitude was learned). Seam: error of the step from "
    "the last column to the first, over that of all other steps between columns (1: no seam to be seen)."
)


def remake(rho: Map, target: View, source: View) -> tuple[Float[Tensor, "1 3 h w"], Shown]:
    """The source made from the target by splatting, and where something fell."""
    landing = reproject(rho, target.camera, known_pose("remaking", source), source.camera)
    weight = torch.exp(-SHARPNESS / rho.clamp_min(1 / FAR))
    made, coverage = splat(target.image, landing.uv, weight, source.camera.border)
    return made, coverage > COVERED


def closer(rho: Map, sample: Sample) -> dict[str, float]:
    """Errors by latitude, bias by distance, the losses that train, the seam: see `ABOUT_CLOSER`. `rho` in 1/m."""
    rho = resize(rho, (sample.depth.shape[-2], sample.depth.shape[-1]))
    counted = sample.depth.isfinite() & (sample.depth > 0) & (sample.depth <= FAR)
    truth = torch.where(counted, sample.depth, torch.ones_like(sample.depth))
    error = 1 / (rho.clamp_min(1 / FAR) * truth) - 1
    latitude = (0.5 - (torch.arange(rho.shape[-2])[:, None] + 0.5) / rho.shape[-2]) * math.pi
    bands = {
        "floor": (error.abs(), latitude < -STEEP),
        "horizon": (error.abs(), latitude.abs() <= STEEP),
        "ceiling": (error.abs(), latitude > STEEP),
        "near": (error, truth < NEAR),
        "middle": (error, (truth >= NEAR) & (truth < MIDDLE)),
        "far": (error, truth >= MIDDLE),
    }
    found = {name: _mean(values, where & counted) for name, (values, where) in bands.items() if (where & counted).any()}
    level = (latitude.abs() <= STEEP) & counted
    found["variation"] = _variation(rho, level) / _variation(1 / truth, level)
    return found | _losses(rho, sample) | _seam(rho * truth, counted)


def _mean(values: Map, where: Shown) -> float:
    """Over the sphere."""
    area = solid_angle(values.shape[-2])[None, None, :, None].to(values) * where
    return float((values * area).sum() / area.sum())


def _variation(rho: Map, where: Shown) -> float:
    """Root mean square of log depth less its mean in each row."""
    off = torch.where(where, rho.clamp_min(1 / FAR).log(), torch.zeros_like(rho))
    count = where.sum(-1, keepdim=True).clamp_min(1)
    off = torch.where(where, off - off.sum(-1, keepdim=True) / count, torch.zeros_like(off))
    return float((off.square().sum() / where.sum()).sqrt())


def _losses(rho: Map, sample: Sample) -> dict[str, float]:
    found = {}
    for source in sample.sources:
        pose = known_pose("remaking", source)[:, :3, 3]
        made, covered = remake(rho, sample.target, source)
        rays = source.camera.rays(pixel_grid((rho.shape[-2], rho.shape[-1]), rho))
        name = "above" if bool((pose[:, 1].abs() > pose[:, 0].abs()).all()) else "beside"
        found[name] = float(photometric(made, source.image, covered.float(), attention(rays, pose)))
    return found


def _seam(ratio: Map, counted: Shown) -> dict[str, float]:
    """`ratio`: of truth to depth. {} where there is no error to have a step."""
    off = ratio.log()
    steps = (off - off.roll(1, -1)).abs()
    known = counted & counted.roll(1, -1)
    first = torch.zeros_like(known)
    first[..., 0] = True
    if not (known & first).any():
        return {}
    others = _mean(steps, known & ~first)
    return {"seam": _mean(steps, known & first) / others} if others > 1e-6 else {}
