"""The rig of a training set: what a model must keep to tell metres."""

from bisect import bisect_right
from collections.abc import Hashable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.utils.data import ConcatDataset, Dataset, Subset

from cyclopean.data.items import Items
from cyclopean.errors import InputError
from cyclopean.evaluation.rig import calibrated_pair, pair_of
from cyclopean.geometry import Pinhole, translation
from cyclopean.recipes.feeding import Mapped
from cyclopean.sample import Sample, View

Rig = tuple[float, float]  # focal length in image widths, baseline in metres
LOOKED = 12  # of more calibrations, so many are looked at, evenly spaced
ALIKE = 0.01  # rigs that differ by less are one: KITTI's of five days differ by half of it
TYPED = 0.05  # how far a rig may be off that was given by hand, of calibrated pairs


@dataclass(frozen=True)
class Given:
    """Gives pairs that nobody calibrated the rig that was given by hand. Raises `InputError` for others that differ."""

    rig: Rig

    def __call__(self, sample: Sample) -> Sample:
        known = calibrated_pair(sample)
        if known is None and pair_of(sample) is None:
            raise InputError(f"{_name(sample)} is no rectified pair, which --rig is for; leave --rig out.")
        if known is not None:
            if not _alike([known, self.rig], TYPED):
                raise InputError(
                    f"{_name(sample)} has {_words(known)} by its calibration, --rig says {_words(self.rig)}; leave "
                    "--rig out, or mend the calibration."
                )
            return sample
        focal, baseline = self.rig
        pose = translation(torch.tensor([[-baseline, 0.0, 0.0]]))
        source = replace(_focused(sample.sources[0], focal), from_target=pose)
        return replace(sample, target=_focused(sample.target, focal), sources=(source,))


def common_rig(data: Dataset[Sample]) -> tuple[Rig | None, str]:
    """The one rig of all pairs of `data`, if there is one, and a sentence about it.

    One item of every calibration file is read, of more than `LOOKED` files of that many. Worlds that are rendered while
    training are of many rigs.
    """
    first: dict[Hashable, int] = {}
    for index in range(len(data)):  # type: ignore[arg-type]
        calibration = _calibration(data, index)
        if calibration is not None:
            first.setdefault(calibration, index)
    places = list(first.values())
    chosen = sorted({places[round(k)] for k in np.linspace(0, len(places) - 1, min(len(places), LOOKED))})
    found = [rig for rig in (calibrated_pair(data[index]) for index in chosen) if rig is not None]
    if not found or len(found) < len(chosen):
        return None, "not all of the data are calibrated pairs: depth is learned up to scale (--rig F B tells the rig)."
    if not _alike(found, ALIKE):
        (f0, b0), (f1, b1) = np.min(found, 0), np.max(found, 0)
        return None, (
            f"the data are of several rigs (focal lengths {f0:.3g} to {f1:.3g} image widths, baselines {b0:.3g} to "
            f"{b1:.3g} m): depth is learned up to scale; evaluate makes metres of it by the rig of each pair it judges."
        )
    focal, baseline = (float(f"{x:.6g}") for x in np.median(found, 0))
    return (focal, baseline), f"the data are of one rig ({_words((focal, baseline))}): depth is learned in metres."


def _calibration(data: Dataset[Sample], index: int) -> Hashable | None:
    """What stands for the camera of item `index`: its calibration files; None if it comes from no file."""
    if isinstance(data, Mapped):
        return _calibration(data.data, index)
    if isinstance(data, Subset):
        return _calibration(data.dataset, data.indices[index])
    if isinstance(data, ConcatDataset):
        part = bisect_right(data.cumulative_sizes, index)
        return _calibration(data.datasets[part], index - ([0, *data.cumulative_sizes])[part])
    if not isinstance(data, Items):
        return None
    return id(data), tuple(path for path in data.files(index).others if path.suffix in (".json", ".txt"))


def _alike(rigs: list[Rig], tolerance: float) -> bool:
    return bool((np.max(rigs, 0) <= np.min(rigs, 0) * (1 + tolerance)).all())


def _focused(view: View, focal: float) -> View:
    """The view of a camera with `focal` image widths, square pixels kept."""
    camera = view.camera
    assert isinstance(camera, Pinhole)
    return replace(view, camera=Pinhole(camera.focal * (focal / camera.focal[:, :1]), camera.center))


def _words(rig: Rig) -> str:
    return f"a focal length of {rig[0]:.4g} image widths and a baseline of {rig[1]:.4g} m"


def _name(sample: Sample) -> str:
    return sample.name[0] if sample.name else "an item"
