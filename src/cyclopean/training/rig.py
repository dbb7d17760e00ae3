"""The rig that all pairs of the training data share, so that depth is learned in metres: measured, or given by hand."""

from collections.abc import Hashable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.utils.data import Dataset

from cyclopean.data.base import Items, log_unusual_rig
from cyclopean.errors import InputError
from cyclopean.geometry import Pinhole, size_of, translation
from cyclopean.sample import Sample, View, calibrated_rig, pair_rig
from cyclopean.training.options import Rig
from cyclopean.training.wrappers import length, origin

CALIBRATIONS_READ = 12  # of more calibrations, so many are read, evenly spaced
ALIKE = 0.01  # rigs that differ by less are one: KITTI's of five days differ by half of it
TYPED = 0.05  # how far a rig may be off that was given by hand, of calibrated pairs


@dataclass(frozen=True)
class KnownRig:
    """A step that sets the rig of uncalibrated pairs to the one given by hand.

    Raises `InputError` for samples that are not rectified pairs, and for pairs calibrated with another rig.
    """

    rig: Rig

    def __call__(self, sample: Sample) -> Sample:
        name = sample.name[0] if sample.name else "an item"
        known = calibrated_rig(sample)
        if known is None and pair_rig(sample) is None:
            raise InputError(f"{name} is not a rectified pair, which --rig is for; leave --rig out.")
        if known is not None:
            if not _alike([known, self.rig], TYPED):
                raise InputError(
                    f"{name} has {_words(known)} in its calibration, but --rig gives {_words(self.rig)}; leave "
                    "--rig out, or correct the calibration."
                )
            return sample
        focal, baseline = self.rig
        pose = translation(torch.tensor([[-baseline, 0.0, 0.0]]))
        source = replace(_focused(sample.sources[0], focal), from_target=pose)
        return replace(sample, target=_focused(sample.target, focal), sources=(source,))


def common_rig(data: Dataset[Sample]) -> tuple[Rig | None, str]:
    """Return the one rig of all pairs of `data`, if there is one, and a sentence about it.

    One item for each calibration file is read, for at most `CALIBRATIONS_READ` files. Pairs that are rendered while
    training have many rigs.
    """
    first: dict[Hashable, int] = {}
    for index in range(length(data)):
        items, place = origin(data, index)
        if isinstance(items, Items):
            first.setdefault((id(items), items.rig_key(place)), index)
    indices = list(first.values())
    chosen = sorted({indices[round(k)] for k in np.linspace(0, len(indices) - 1, min(len(indices), CALIBRATIONS_READ))})
    rigs = [rig for rig in (calibrated_rig(data[index]) for index in chosen) if rig is not None]
    if not rigs or len(rigs) < len(chosen):
        return (
            None,
            "not all of the data are calibrated pairs: depth is learned up to scale (give the rig with --rig F B).",
        )
    if not _alike(rigs, ALIKE):
        (f0, b0), (f1, b1) = np.min(rigs, 0), np.max(rigs, 0)
        return None, (
            f"the data are of several rigs (focal lengths {f0:.3g} to {f1:.3g} image widths, baselines {b0:.3g} to "
            f"{b1:.3g} m): depth is learned up to scale; evaluate converts it to metres by the rig of each pair."
        )
    focal, baseline = (float(f"{x:.6g}") for x in np.median(rigs, 0))
    log_unusual_rig("the rig of the data", (focal, baseline), size_of(data[chosen[0]].depth))
    return (focal, baseline), f"the data are of one rig ({_words((focal, baseline))}): depth is learned in metres."


def _alike(rigs: list[Rig], tolerance: float) -> bool:
    return bool((np.max(rigs, 0) <= np.min(rigs, 0) * (1 + tolerance)).all())


def _focused(view: View, focal: float) -> View:
    """Return the view of a camera with `focal` image widths, square pixels kept."""
    camera = view.camera
    assert isinstance(camera, Pinhole)
    return replace(view, camera=Pinhole(camera.focal * (focal / camera.focal[:, :1]), camera.center))


def _words(rig: Rig) -> str:
    return f"a focal length of {rig[0]:.4g} image widths and a baseline of {rig[1]:.4g} m"
