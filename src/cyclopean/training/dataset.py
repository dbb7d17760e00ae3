"""Training data of a run: data sets, held-out items, augmentation, and the rig that all pairs share."""

import logging
import math
import os
from bisect import bisect_right
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import ConcatDataset, Dataset, Subset

from cyclopean import augmentation
from cyclopean.augmentation import Augmentation, Resize, Sometimes, Steps, Zoom
from cyclopean.data import named_panoramas, open_dataset
from cyclopean.data.base import Items, log_unusual_rig, sound_part
from cyclopean.data.rendered import WorldsDataset
from cyclopean.errors import InputError
from cyclopean.geometry import Pinhole, size_of, translation
from cyclopean.inference.labels import Masked
from cyclopean.methods.base import Method
from cyclopean.sample import Sample, View, calibrated_rig, collate, pair_rig
from cyclopean.synthetic import expanded
from cyclopean.training.options import Augment, Rig, Run, Source

LOG = logging.getLogger(__name__)
EVERY, MOST = 50, 64  # of the items, those held out when no validation set is given
FEW = 5  # of fewer than some hundred items so many are held out, or a tenth, at least one
TURNED = math.log(1.2)  # pictures whose sides differ by less have no shape to turn round
ITEMS_READ = 32  # of the items, at most so many are read to see whether there is true depth
IN_A_ROW = 10  # items that cannot be read: more are not chance
CALIBRATIONS_READ = 12  # of more calibrations, so many are read, evenly spaced
ALIKE = 0.01  # rigs that differ by less are one: KITTI's of five days differ by half of it
TYPED = 0.05  # how far a rig may be off that was given by hand, of calibrated pairs
Step = Callable[[Sample], Sample]


@dataclass(frozen=True)
class TrainData:
    """Training data of a run: `training` items are changed by `augment` and collated into batches.

    `validation` items choose the best model; without them there is no `best`. `shrink`: the smallest size of a batch as
    a share of its own (`augmentation.shrunk`). `about`: sentences for the user. `flags`: values of the augmentation by
    their flags' names, which must be the same when the run is resumed.
    """

    training: Dataset[Sample]
    augment: Augmentation | None = None
    validation: Dataset[Sample] | None = None
    shrink: float = 1.0
    about: tuple[str, ...] = ()
    flags: Mapping[str, float | str] = field(default_factory=dict)


@dataclass(frozen=True)
class Mapped(Dataset[Sample]):
    """A data set whose samples pass through a sequence of steps."""

    data: Dataset[Sample]
    steps: tuple[Step, ...] = ()

    def __len__(self) -> int:
        return length(self.data)

    def __getitem__(self, index: int) -> Sample:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: list[int]) -> list[Sample]:
        samples = several(self.data, indices)
        for step in self.steps:
            samples = [step(sample) for sample in samples]
        return samples


class Readable(Dataset[Sample]):
    """A data set without the items that cannot be read, such as one whose size contradicts its calibration.

    Each is logged once; the next item replaces it, so that indices and seeds of the others do not change. Raises
    `InputError` if many items in a row cannot be read.
    """

    def __init__(self, data: Dataset[Sample]) -> None:
        self.data, self._left_out = data, set[int]()

    def __len__(self) -> int:
        return length(self.data)

    def __getitem__(self, index: int) -> Sample:
        tried = [(index + k) % len(self) for k in range(min(IN_A_ROW, len(self)))]
        errors = []
        for candidate in tried:
            try:
                return self.data[candidate]
            except InputError as error:
                errors.append(str(error))
                if candidate not in self._left_out:
                    self._left_out.add(candidate)
                    items, place = _origin(self.data, candidate)
                    files = items.files(place).pictures if isinstance(items, Items) else ()
                    LOG.warning("%s is left out: %s", files[0] if files else f"item {candidate}", error)
        raise InputError(f"none of {len(tried)} items in a row can be read; the first: {errors[0]}")


@dataclass(frozen=True)
class Joined:
    """An augmentation that joins `count` items of another data set to a sample, drawn at random, augmented by `augment`
    each: one Sample of batch 1 + `count`."""

    data: Dataset[Sample]
    count: int
    augment: Augmentation

    def __call__(self, sample: Sample, generator: torch.Generator) -> Sample:
        indices = torch.randint(length(self.data), (self.count,), generator=generator).tolist()
        others = [self.augment(other, generator) for other in several(self.data, indices)]
        return collate([sample, *others])


def unlabelled(folders: tuple[Path, ...], masks: Path | None) -> Dataset[Sample]:
    """Return panoramas alone: no sources, all-NaN depth whatever their files have; valid where a mask says so too."""
    named = tuple(Path(named_panoramas(str(folder))) for folder in folders)
    return Mapped(Readable(_joined(named)), (target_only, without_truth, *((Masked(masks),) if masks else ())))


def without_truth(sample: Sample) -> Sample:
    """Return a sample whose true depth is unknown."""
    return replace(sample, depth=torch.full_like(sample.depth, torch.nan))


def several(data: Dataset[Sample], indices: list[int]) -> list[Sample]:
    """Return items of a data set, read in one call if it supports that: worlds on a GPU are rendered together."""
    together = getattr(data, "__getitems__", None)
    return [data[index] for index in indices] if together is None else together(indices)


def length(data: Dataset[Sample]) -> int:
    """Return how many items a data set has."""
    return len(data)  # type: ignore[arg-type]


def train_data(
    source: Source,
    augment: Augment,
    run: Run,
    mirror: Augmentation,
    keep: Step | None = None,
    *,
    worlds: str = "stereo",
    rig: Rig | None = None,
) -> TrainData:
    """Return the training items of `source`, their augmentation, and held-out items at the same size.

    `mirror` is the reflection that suits the rig, `keep` drops what a method does not need, `worlds` is the rig that
    worlds are rendered with. `rig` is the rig given by hand for uncalibrated pairs.
    """

    everything = _joined(source.data) if source.data else _worlds(source, worlds, run)
    n, about = length(everything), tuple[str, ...]()
    if not n:
        raise InputError("there is nothing to train on: the data set is empty.")
    if source.validation:
        training, validation = everything, _joined(source.validation)
    else:
        held = held_out(n)
        only = " It is also trained on, since it is the only one." if n == 1 else ""
        verb = "is" if len(held) == 1 else "are"
        about = (f"{len(held)} of {n} items {verb} held out to select the best model.{only}",)
        training = Subset(everything, sorted(set(range(n)) - set(held)) or held)
        validation = Subset(everything, held)
    if source.data:
        training, validation = Readable(training), Readable(validation)
    steps: tuple[Step, ...] = (*((Given(rig),) if rig else ()), *((keep,) if keep else ()))
    first = training[0]
    if any(source.from_target is None for source in first.sources):  # there are no two pictures to swap
        augment = replace(augment, swap=0.0)
    own = size_of(first.depth)
    shape = (source.size[0], source.size[1]) if source.size else own
    steps = (*steps, partial(augmentation.with_frames, size=shape))  # before anything is cropped
    training = Mapped(training, steps)
    _check_turned(shape, own)
    if rig is not None:
        log_unusual_rig("--rig", rig, own)
    resized: tuple[Step, ...] = (*steps, partial(augmentation.resize, size=shape)) if source.size else steps
    resized = (*resized, augmentation.nearest_each_way)
    flags = {name: value for name, value in vars(augment).items() if name != "shrink"}
    return TrainData(
        training, Steps(_steps(augment, mirror, shape)), Mapped(validation, resized), augment.shrink, about, flags
    )


def held_out(n: int) -> list[int]:
    """Return the indices of the held-out items: every 50th, at most 64; of few items five or a tenth, at least one."""
    if n > FEW * EVERY:
        return list(range(0, n, EVERY))[:MOST]
    count = min(n, max(1, min(FEW, n // 10)))
    return [k * n // count for k in range(count)]


def with_truth(data: TrainData) -> TrainData:
    """Return `data` after checking that it has true depth.

    Raises `InputError` if none of up to 32 items, evenly spaced, has a finite depth.
    """
    n = length(data.training)
    indices = range(0, n, math.ceil(n / ITEMS_READ))
    if not any(bool(data.training[index].depth.isfinite().any()) for index in indices):
        raise InputError(
            f"none of the {len(indices)} items that were checked has true depth, which this method learns from; give "
            "--data with depth (docs/data.md), or use a method that learns from pairs, such as monodepth."
        )
    return data


def labelled_only(data: TrainData) -> TrainData:
    """Return `data` without the items that have no true depth at all, which are named: others replace them."""
    return replace(data, training=Readable(Mapped(data.training, (_labelled,))))


def _labelled(sample: Sample) -> Sample:
    if not bool(sample.depth.isfinite().any()):
        raise InputError("it has no true depth; give it one, or take it out.")
    return sample


def then(data: TrainData, step: Augmentation) -> TrainData:
    """Return `data` with one more augmentation after its own."""
    return replace(data, augment=step if data.augment is None else Steps((data.augment, step)))


def has_unknown_poses(data: TrainData) -> bool:
    """Return whether the poses of sources are to be predicted, by the first item."""
    return any(source.from_target is None for source in data.training[0].sources)


def target_only(sample: Sample) -> Sample:
    """Return the target and its truth alone."""
    return replace(sample, sources=())


def pictures(method: Method, sample: Sample) -> dict[str, Tensor]:
    """Return two pictures of a batch's first item for the log: the network's input and its inverse depth in grey."""
    with torch.no_grad():
        rho = method.eval().predict(sample.target, sample.sources).inverse_depth[:1]
    low, high = rho.amin(), rho.amax()
    grey = (rho - low) / torch.where(high > low, high - low, torch.ones_like(high))
    return {"seen": sample.target.seen[0], "inverse depth": grey[0].expand(3, -1, -1)}


def log_learned_camera(method: Method, data: TrainData) -> None:
    """Log the mean camera of held-out items, whole pictures, that a method with a `pose` step predicts."""
    items = data.training if data.validation is None else data.validation
    count = min(length(items), ITEMS_READ)
    device = next(method.parameters()).device
    with torch.no_grad():
        cameras = [method.eval().pose(items[index].to(device)).target.camera for index in range(count)]  # type: ignore
    focal = torch.cat([camera.focal for camera in cameras]).mean(0).tolist()
    LOG.warning(
        "by what was learned of %d items, the camera sees %.1f degrees across: its focal lengths are %.3f image widths "
        "and %.3f heights.", count, 2 * math.degrees(math.atan(0.5 / focal[0])), *focal,
    )  # fmt: skip


def renderer(run: Run) -> torch.device:
    """Return the device that worlds are rendered on: the GPU that this process will train on, else the CPU."""
    if run.accelerator in ("auto", "cuda") and torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))  # as launchers number a machine's processes
    return torch.device("cpu")


def card(recipe: str, run: Run, source: Source, data: TrainData) -> dict[str, Any]:
    """Return the metadata of a saved model: its input size, its licence, how it was trained."""
    facts = {
        "recipe": recipe,
        "data": [str(p) for p in source.data] or list(source.world),
        "items": length(data.training),
        **({"shrink": data.shrink} if data.shrink < 1 else {}),
        **{
            name: getattr(run, name) for name in ("batch_size", "learning_rate", "seed", "precision", "average", "init")
        },
        "torch": torch.__version__,
    }
    shape = source.size or size_of(data.training[0].depth)
    return {"input_size": list(shape), "licence": "Apache-2.0", "training": facts}


@dataclass(frozen=True)
class Given:
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
        items, place = _origin(data, index)
        if isinstance(items, Items):
            calibration = tuple(path for path in items.files(place).others if path.suffix in (".json", ".txt"))
            first.setdefault((id(items), calibration), index)
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
    return (focal, baseline), f"the data are of one rig ({_words((focal, baseline))}): depth is learned in metres."


def _joined(folders: tuple[Path, ...]) -> Dataset[Sample]:
    """Return folders, or data sets by name (`KIND:PATH`), as one, without damaged items, which are logged."""
    return ConcatDataset([sound_part(open_dataset(str(folder))) for folder in folders])


def _worlds(source: Source, rig: str, run: Run) -> Dataset[Sample]:
    h, w = source.size or (192, 384)
    return WorldsDataset(expanded(source.world), rig, run.seed, (h, w), source.items, source.pictures, renderer(run))


def _check_turned(asked: tuple[int, int], own: tuple[int, int]) -> None:
    """Raise `InputError` for a size that would turn wide pictures into tall ones, or the other way round."""
    aspect, shape = (math.log(w / h) for h, w in (asked, own))
    if aspect * shape < 0 and min(abs(aspect), abs(shape)) > TURNED:
        raise InputError(
            f"--size {asked[0]}x{asked[1]} is HEIGHTxWIDTH, and the pictures are {own[0]}x{own[1]} (height x width): "
            f"it would swap their sides; --size {asked[1]}x{asked[0]} was perhaps meant."
        )


def _steps(augment: Augment, mirror: Augmentation, size: tuple[int, int]) -> tuple[Augmentation, ...]:
    """Return the augmentations in this order: crop and size, frames, mirror, colours, then the sensor's faults."""
    zoomed = augment.smallest < 1 or augment.stretch > 1
    chances = (
        (augment.swap, augmentation.swapped),
        (augment.reverse, augmentation.reversed_time),
        (augment.flip, mirror),
        (augment.colour, augmentation.monodepth_colour),
        (augment.separate, augmentation.separate_colour),
        (augment.jitter, augmentation.strong_colour),
        (augment.mild, augmentation.mild_colour),
        (augment.blur, augmentation.blurred),
        (augment.noise, augmentation.noisy),
        (augment.erase, augmentation.erased),
    )
    shape = Zoom(size, augment.smallest, augment.stretch) if zoomed else Resize(size)
    often = tuple(Sometimes(chance, step) for chance, step in chances if chance > 0)
    return (shape, augmentation.one_each_way, *often)


def _origin(data: Dataset[Sample], index: int) -> tuple[Dataset[Sample], int]:
    """Return the innermost data set that item `index` comes from, and its index there."""
    if isinstance(data, Mapped | Readable):
        return _origin(data.data, index)
    if isinstance(data, Subset):
        return _origin(data.dataset, data.indices[index])
    if isinstance(data, ConcatDataset):
        part = bisect_right(data.cumulative_sizes, index)
        return _origin(data.datasets[part], index - ([0, *data.cumulative_sizes])[part])
    return data, index


def _alike(rigs: list[Rig], tolerance: float) -> bool:
    return bool((np.max(rigs, 0) <= np.min(rigs, 0) * (1 + tolerance)).all())


def _focused(view: View, focal: float) -> View:
    """Return the view of a camera with `focal` image widths, square pixels kept."""
    camera = view.camera
    assert isinstance(camera, Pinhole)
    return replace(view, camera=Pinhole(camera.focal * (focal / camera.focal[:, :1]), camera.center))


def _words(rig: Rig) -> str:
    return f"a focal length of {rig[0]:.4g} image widths and a baseline of {rig[1]:.4g} m"
