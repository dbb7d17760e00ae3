"""KITTI 2015 as Monodepth's release evaluates it: a focal length for each width of picture, and 0.54 m."""

from dataclasses import replace

import torch

from cyclopean.errors import InputError
from cyclopean.evaluation.rig import rig_of
from cyclopean.geometry import Pinhole, translation
from cyclopean.sample import Sample

FOCAL_BY_WIDTH = {1242: 721.5377, 1241: 718.856, 1238: 718.3351, 1224: 707.0493}  # px of KITTI 2015, as Monodepth's
BASELINE = 0.54  # metres, likewise


def by_width(sample: Sample) -> tuple[Sample, float, float]:
    """The pair as Monodepth's evaluation of KITTI 2015 has it; its inverse depths are `slope` times ours plus `offset`.

    Its disparities are the same, depth is what a focal length by the picture's width and 0.54 m make of them. Raises
    `InputError` for what is no rectified pair, and for other widths.
    """
    rig, (height, width) = rig_of(sample), sample.depth.shape[-2:]
    if rig is None or width not in FOCAL_BY_WIDTH:
        what = "no rectified pair" if rig is None else f"{width} pixels wide"
        widths = ", ".join(map(str, FOCAL_BY_WIDTH))
        raise InputError(
            f"{sample.name[0]} is {what}, and the focal lengths by width are of KITTI 2015's pairs ({widths} pixels); "
            "take the protocol kitti-2015."
        )
    focal, (source,) = FOCAL_BY_WIDTH[width], sample.sources
    factor = focal / width * BASELINE
    slope, offset = rig.factor / factor, -rig.shift / factor
    rho = slope / sample.depth + offset
    depth = torch.where(rho > 0, 1 / rho, torch.where(rho.isnan(), torch.nan, torch.inf))
    camera = Pinhole(rho.new_tensor([[focal / width, focal / height]]), sample.target.camera.center)  # type: ignore[attr-defined]
    right = replace(source, camera=camera, from_target=translation(rho.new_tensor([[-BASELINE, 0.0, 0.0]])))
    return replace(sample, target=replace(sample.target, camera=camera), sources=(right,), depth=depth), slope, offset
