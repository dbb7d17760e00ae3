"""The rig of a rectified pair, which converts depth to disparity and back."""

import math
from dataclasses import dataclass, replace

import torch

from cyclopean.errors import InputError
from cyclopean.geometry import Pinhole, translation
from cyclopean.sample import Sample, pair_rig

FOCAL_BY_WIDTH = {
    1242: 721.5377,
    1241: 718.856,
    1238: 718.3351,
    1224: 707.0493,
}  # px of KITTI 2015, as in Monodepth's evaluation
KITTI_BASELINE = 0.54  # metres, likewise


@dataclass(frozen=True)
class Rig:
    """Disparity, a fraction of the image width, is `factor` / depth - `shift`.

    `factor` = focal (image widths) * baseline; `shift`: how much further right the other camera's principal point is.
    """

    factor: float
    shift: float


def rig_of(sample: Sample) -> Rig | None:
    """Return the rig of a sample whose one source is a rectified view to its right, else None."""
    pair = pair_rig(sample)
    if pair is None:
        return None
    target, source = sample.target.camera, sample.sources[0].camera
    return Rig(math.prod(pair), float(source.center[0, 0] - target.center[0, 0]))  # type: ignore[attr-defined]


def by_width(sample: Sample) -> tuple[Sample, float, float]:
    """Return the pair as in Monodepth's evaluation of KITTI 2015, and the `slope` and `offset` of inverse depth.

    Its disparities are the same; depth follows from them by 0.54 m and a focal length that depends on the picture's
    width. Its inverse depth is `slope` times that of `sample` plus `offset`. Raises `InputError` for samples that are
    not rectified pairs, and for other widths.
    """
    rig, (height, width) = rig_of(sample), sample.depth.shape[-2:]
    if rig is None or width not in FOCAL_BY_WIDTH:
        what = "no rectified pair" if rig is None else f"{width} pixels wide"
        widths = ", ".join(map(str, FOCAL_BY_WIDTH))
        raise InputError(
            f"{sample.name[0]} is {what}, and the focal lengths by width are of KITTI 2015's pairs ({widths} pixels); "
            "use the protocol kitti-2015."
        )
    focal, (source,) = FOCAL_BY_WIDTH[width], sample.sources
    factor = focal / width * KITTI_BASELINE
    slope, offset = rig.factor / factor, -rig.shift / factor
    rho = slope / sample.depth + offset
    depth = torch.where(rho > 0, 1 / rho, torch.where(rho.isnan(), torch.nan, torch.inf))
    camera = Pinhole(rho.new_tensor([[focal / width, focal / height]]), sample.target.camera.center)  # type: ignore[attr-defined]
    pose = translation(rho.new_tensor([[-KITTI_BASELINE, 0.0, 0.0]]))
    right = replace(source, camera=camera, from_target=pose)
    return replace(sample, target=replace(sample.target, camera=camera), sources=(right,), depth=depth), slope, offset
