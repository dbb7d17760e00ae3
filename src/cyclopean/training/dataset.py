"""Training data of a run: data sets, held-out items, and augmentation."""

import math
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import torch
from torch.utils.data import ConcatDataset, Dataset, Subset

from cyclopean import augmentation
from cyclopean.augmentation import Augmentation, Resize, Sometimes, Steps, Zoom
from cyclopean.data import named_panoramas, open_dataset
from cyclopean.data.base import log_unusual_rig, usable_part
from cyclopean.data.rendered import WorldsDataset
from cyclopean.errors import InputError
from cyclopean.geometry import size_of
from cyclopean.inference.labels import Masked
from cyclopean.sample import Sample
from cyclopean.synthetic import expanded
from cyclopean.training.dataset_wrappers import Mapped, Readable, Step, length
from cyclopean.training.options import Augment, Rig, Run, Source
from cyclopean.training.rig import KnownRig

EVERY, MOST = 50, 64  # of the items, those held out when no validation set is given
FEW = 5  # of fewer than some hundred items so many are held out, or a tenth, at least one
TURNED = math.log(1.2)  # pictures whose sides differ by less have no shape to turn round
SAVED_AS = {"min_crop": "smallest", "aspect_jitter": "stretch"}  # names in the state of runs
ITEMS_READ = 32  # of the items, at most so many are read to see whether there is true depth


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


def unlabelled(folders: tuple[Path, ...], masks: Path | None) -> Dataset[Sample]:
    """Return panoramas alone: no sources, all-NaN depth whatever their files have; valid where a mask allows it too."""
    named = tuple(Path(named_panoramas(str(folder))) for folder in folders)
    return Mapped(Readable(_joined(named)), (target_only, without_truth, *((Masked(masks),) if masks else ())))


def without_truth(sample: Sample) -> Sample:
    """Return a sample whose true depth is unknown."""
    return replace(sample, depth=torch.full_like(sample.depth, torch.nan))


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

    everything: Dataset[Sample]
    if source.data:
        everything = _joined(source.data)
    else:
        h, w = source.size or (192, 384)
        families = expanded(source.world)
        everything = WorldsDataset(families, worlds, run.seed, (h, w), source.items, source.pictures, renderer(run))
    n, about = length(everything), tuple[str, ...]()
    if not n:
        raise InputError("there is nothing to train on: the data set is empty.")
    if source.validation:
        training, validation = everything, _joined(source.validation)
    else:
        held = _readable(everything, held_out(n)) if source.data else held_out(n)
        only = " It is also trained on, since it is the only one." if n == 1 else ""
        verb = "is" if len(held) == 1 else "are"
        about = (f"{len(held)} of {n} items {verb} held out to select the best model.{only}",)
        training = Subset(everything, sorted(set(range(n)) - set(held)) or held)
        validation = Subset(everything, held)
    if run.batch_size > (n := length(training)):
        about += (
            f"A batch has {run.batch_size} items and there are {n} to learn from, so every step shows them more than "
            f"once; --batch-size {n} is quicker.",
        )
    if source.data:
        training, validation = Readable(training), Readable(validation)
        validation[0]  # what cannot be read is found before any work, not after it
    steps: tuple[Step, ...] = (*((KnownRig(rig),) if rig else ()), *((keep,) if keep else ()))
    first = training[0]
    if not first.sources or any(source.from_target is None for source in first.sources):  # nothing to swap with
        augment = replace(augment, swap=0.0)
    native = size_of(first.depth)
    shape = (source.size[0], source.size[1]) if source.size else native
    steps = (*steps, partial(augmentation.with_frames, size=shape))  # before anything is cropped
    training = Mapped(training, steps)
    asked_aspect, own_aspect = (math.log(w / h) for h, w in (shape, native))
    if asked_aspect * own_aspect < 0 and min(abs(asked_aspect), abs(own_aspect)) > TURNED:  # wide would become tall
        raise InputError(
            f"--size {shape[0]}x{shape[1]} is HEIGHTxWIDTH, and the pictures are {native[0]}x{native[1]} (height x "
            f"width): it would swap their sides; --size {shape[1]}x{shape[0]} was perhaps meant."
        )
    if rig is not None:
        log_unusual_rig("--rig", rig, native)
    resized: tuple[Step, ...] = (*steps, partial(augmentation.resize, size=shape)) if source.size else steps
    resized = (*resized, augmentation.nearest_each_way)
    flags = {SAVED_AS.get(name, name): value for name, value in vars(augment).items() if name != "min_scale"}
    return TrainData(
        training, Steps(_steps(augment, mirror, shape)), Mapped(validation, resized), augment.min_scale, about, flags
    )


def held_out(n: int) -> list[int]:
    """Return the indices of the held-out items: every 50th, at most 64; of few items five or a tenth, at least one."""
    if n > FEW * EVERY:
        return list(range(0, n, EVERY))[:MOST]
    count = min(n, max(1, min(FEW, n // 10)))
    return [k * n // count for k in range(count)]


def _readable(data: Dataset[Sample], indices: list[int]) -> list[int]:
    """Return `indices`, or where none of these items can be read, the index of one that can."""
    for index in (*indices, *range(min(length(data), ITEMS_READ))):
        with suppress(InputError):
            data[index]
            return indices if index in indices else [index]
    return indices


def with_truth(data: TrainData) -> TrainData:
    """Return `data` after checking that it has true depth; if no held-out item has, one that is learned from takes
    their place.

    Raises `InputError` if none of up to 32 items, evenly spaced, has a finite depth.
    """
    n = length(data.training)
    indices = range(0, n, math.ceil(n / ITEMS_READ))
    first = next((index for index in indices if _has_truth(data.training[index])), None)
    if first is None:
        raise InputError(
            f"none of the {len(indices)} items that were checked has true depth, which this method learns from; give "
            "--data with depth (docs/data.md), or use a method that learns from pairs, such as monodepth."
        )
    held = data.validation
    if held is None or any(_has_truth(held[index]) for index in range(length(held))):
        return data
    about = (*data.about, "No held-out item has true depth, so one that is also trained on selects the best model.")
    assert isinstance(held, Mapped)
    assert isinstance(data.training, Mapped)
    return replace(data, validation=Mapped(Subset(data.training.data, [first]), held.steps), about=about)


def labelled_only(data: TrainData) -> TrainData:
    """Return `data` without the items that have no true depth at all, which are named: others replace them."""
    return replace(data, training=Readable(Mapped(data.training, (_labelled,))))


def _has_truth(sample: Sample) -> bool:
    return bool(sample.depth.isfinite().any())


def _labelled(sample: Sample) -> Sample:
    if not _has_truth(sample):
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


def renderer(run: Run) -> torch.device:
    """Return the device that worlds are rendered on: the GPU that this process will train on, else the CPU."""
    if run.accelerator in ("auto", "cuda") and torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))  # as launchers number a machine's processes
    return torch.device("cpu")


def _joined(folders: tuple[Path, ...]) -> Dataset[Sample]:
    """Return folders, or data sets by name (`KIND:PATH`), as one, without damaged items, which are logged."""
    return ConcatDataset([usable_part(open_dataset(str(folder))) for folder in folders])


def _steps(augment: Augment, mirror: Augmentation, size: tuple[int, int]) -> tuple[Augmentation, ...]:
    """Return the augmentations in this order: crop and size, frames, mirror, colours, then the sensor's faults."""
    zoomed = augment.min_crop < 1 or augment.aspect_jitter > 1
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
    shape = Zoom(size, augment.min_crop, augment.aspect_jitter) if zoomed else Resize(size)
    often = tuple(Sometimes(chance, step) for chance, step in chances if chance > 0)
    return (shape, augmentation.one_each_way, *often)
