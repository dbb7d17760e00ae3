"""The rectified pair of a sample, where it has one: what turns depth into disparity and back."""

import math
from dataclasses import dataclass

import torch

from cyclopean.geometry import Pinhole
from cyclopean.sample import Sample


@dataclass(frozen=True)
class Rig:
    """Disparity, a fraction of the image width, is `factor` / depth - `shift`.

    `factor` = focal (image widths) * baseline; `shift`: how far the other camera's centre lies further right.
    """

    factor: float
    shift: float


def rig_of(sample: Sample) -> Rig | None:
    """The rig of a sample whose one source is a rectified view to its right, else None."""
    pair = pair_of(sample)
    if pair is None:
        return None
    here, there = sample.target.camera, sample.sources[0].camera
    return Rig(math.prod(pair), float(there.center[0, 0] - here.center[0, 0]))  # type: ignore[attr-defined]


def calibrated_pair(sample: Sample) -> tuple[float, float] | None:
    """As `pair_of`; None also for the stand-in of pairs that nobody calibrated (one image width, 1)."""
    pair = pair_of(sample)
    return None if pair == (1.0, 1.0) else pair


def pair_of(sample: Sample) -> tuple[float, float] | None:
    """Focal length in image widths and baseline of a sample whose one source is a rectified view to its right."""
    if len(sample.sources) != 1 or sample.sources[0].from_target is None:
        return None
    here, there, pose = sample.target.camera, sample.sources[0].camera, sample.sources[0].from_target[0]
    if not (isinstance(here, Pinhole) and isinstance(there, Pinhole)):
        return None
    x = float(pose[0, 3])
    sideways = torch.eye(4)
    sideways[0, 3] = x
    alike = torch.equal(here.focal, there.focal) and math.isclose(here.center[0, 1], there.center[0, 1])
    if x >= 0 or not alike or not torch.allclose(pose, sideways, atol=1e-5):
        return None
    return float(here.focal[0, 0]), -x
