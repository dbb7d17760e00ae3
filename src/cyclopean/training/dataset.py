"""From settings to what a run learns from: data sets, held-out items, augmentations, pictures for TensorBoard."""

import math
import os
from bisect import bisect_right
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import ConcatDataset, Dataset, Subset

from cyclopean import augmentation
from cyclopean.augmentation import Augmentation, Resize, Sometimes, Steps, Zoom
from cyclopean.data import open_dataset
from cyclopean.data.base import Items, size_of, sound_part
from cyclopean.data.rendered import WorldsDataset
from cyclopean.errors import InputError
from cyclopean.geometry import Pinhole, translation
from cyclopean.methods.base import Method
from cyclopean.sample import Sample, View, calibrated_rig, pair_rig
from cyclopean.synthetic import expanded
from cyclopean.training.loader import several
from cyclopean.training.loop import Feed
from cyclopean.training.options import Augment, Run, Source

EVERY, MOST = 50, 64  # of the items, those held out when no validation set is given
FEW = 5  # of fewer than some hundred items so many are held out, or a tenth, at least one
TURNED = math.log(1.2)  # pictures whose sides differ by less have no shape to turn round
ITEMS_READ = 32  # of the items, at most so many are read to see whether there is true depth


@dataclass(frozen=True)
class Mapped(Dataset[Sample]):
    """A data set seen through a function of its samples."""

    data: Dataset[Sample]
    function: Callable[[Sample], Sample]

    def __len__(self) -> int:
        return len(self.data)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> Sample:
        return self.function(self.data[index])

    def __getitems__(self, indices: list[int]) -> list[Sample]:
        return [self.function(sample) for sample in several(self.data, indices)]


@dataclass(frozen=True)
class Resized:
    """Samples at one size (height, width)."""

    size: tuple[int, ...]

    def __call__(self, sample: Sample) -> Sample:
        h, w = self.size
        return augmentation.resize(sample, (h, w))


@dataclass(frozen=True)
class Drawn:
    """What one recipe needs of samples: the mirror that suits its rig, which parts to keep, the rig of worlds."""

    mirror: Augmentation
    keep: Callable[[Sample], Sample]
    rig: str = "stereo"


def feed(source: Source, augment: Augment, drawn: Drawn, run: Run) -> Feed:
    """Training items of `source`, how they are changed, and held-out items at the same size.

    Worlds are rendered on the GPU that this process will train on, where there is one.
    """
    training, validation, about = _data(source, drawn, run)
    if not len(training):
        raise InputError("there is nothing to learn from: the data set is empty.")
    h, w = source.size or training[0].depth.shape[-2:]
    if source.size:
        _check_turned((h, w), size_of(training[0].depth))
    held = Mapped(validation, Resized((h, w))) if source.size and validation is not None else validation
    return Feed(training, Steps(_steps(augment, drawn.mirror, (h, w))), held, augment.shrink, about)


def _check_turned(size: tuple[int, int], own: tuple[int, int]) -> None:
    """Raises `InputError` for a size that would turn wide pictures into tall ones, or the other way round."""
    asked, shape = (math.log(w / h) for h, w in (size, own))
    if asked * shape < 0 and min(abs(asked), abs(shape)) > TURNED:
        raise InputError(
            f"--size {size[0]}x{size[1]} is HEIGHTxWIDTH, and the pictures are {own[0]}x{own[1]} (height x width): it "
            f"would turn them round; --size {size[1]}x{size[0]} was perhaps meant."
        )


def with_truth(feed: Feed) -> Feed:
    """`feed`, whose items teach by their depth. Raises `InputError` if none of those looked at has a finite one."""
    n = len(feed.training)  # type: ignore[arg-type]
    looked = range(0, n, math.ceil(n / ITEMS_READ))
    if not any(bool(feed.training[index].depth.isfinite().any()) for index in looked):
        raise InputError(
            f"none of the {len(looked)} items looked at has true depth, which is what is learned from; give --data "
            "with depth (docs/data.md), or a method that learns from pairs, as monodepth does."
        )
    return feed


def then(feed: Feed, step: Augmentation) -> Feed:
    """`feed` with one more step after its own."""
    return replace(feed, augment=step if feed.augment is None else Steps((feed.augment, step)))


def whole(sample: Sample) -> Sample:
    """Everything of a sample is needed."""
    return sample


def target_only(sample: Sample) -> Sample:
    """Only the target and its truth are needed."""
    return replace(sample, sources=())


def pictures(method: Method, sample: Sample) -> dict[str, Tensor]:
    """What the network saw, and its inverse depth from dark (far) to bright (near), of the batch's first item."""
    with torch.no_grad():
        rho = method.eval().predict(sample.target, sample.sources).inverse_depth[:1]
    low, high = rho.amin(), rho.amax()
    grey = (rho - low) / torch.where(high > low, high - low, torch.ones_like(high))
    return {"seen": sample.target.seen[0], "inverse depth": grey[0].expand(3, -1, -1)}


def _data(source: Source, drawn: Drawn, run: Run) -> tuple[Mapped, Mapped | None, tuple[str, ...]]:
    """What is learned from, what judges it, and a sentence about the two."""
    everything = Mapped(_joined(source.data) if source.data else _worlds(source, drawn.rig, run), drawn.keep)
    if source.validation:
        return everything, Mapped(_joined(source.validation), drawn.keep), ()
    n = len(everything)
    held = held_out(n)
    rest = sorted(set(range(n)) - set(held)) or held
    only = " It is learned from as well, being the only one." if n == 1 else ""
    about = f"{len(held)} of {n} items {'is' if len(held) == 1 else 'are'} held out, to find the best model by.{only}"
    return Mapped(Subset(everything, rest), whole), Mapped(Subset(everything, held), whole), (about,)


def held_out(n: int) -> list[int]:
    """Which of `n` items judge the others: every 50th, at most 64; of few items five or a tenth, at least one."""
    if n > FEW * EVERY:
        return list(range(0, n, EVERY))[:MOST]
    count = min(n, max(1, min(FEW, n // 10)))
    return [k * n // count for k in range(count)]


def _joined(folders: tuple[Path, ...]) -> Dataset[Sample]:
    """Folders, or data sets by name (`KIND:PATH`), without their damaged items, which are named in the log."""
    return ConcatDataset([sound_part(open_dataset(str(folder))) for folder in folders])


def _worlds(source: Source, rig: str, run: Run) -> Dataset[Sample]:
    h, w = source.size or (192, 384)
    return WorldsDataset(expanded(source.world), rig, run.seed, (h, w), source.items, source.pictures, renderer(run))


def renderer(run: Run) -> torch.device:
    """Where worlds are rendered: on the GPU that this process will train on, else on the CPU."""
    if run.accelerator in ("auto", "cuda") and torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))  # as launchers number a machine's processes
    return torch.device("cpu")


def _steps(augment: Augment, mirror: Augmentation, size: tuple[int, int]) -> tuple[Augmentation, ...]:
    """In this order: part and size, mirror, colours, then the sensor's faults."""
    zoomed = augment.smallest < 1 or augment.stretch > 1
    chances = (
        (augment.swap, augmentation.swapped),
        (augment.flip, mirror),
        (augment.colour, augmentation.monodepth_colour),
        (augment.jitter, augmentation.strong_colour),
        (augment.mild, augmentation.mild_colour),
        (augment.blur, augmentation.blurred),
        (augment.noise, augmentation.noisy),
        (augment.erase, augmentation.erased),
    )
    shape = Zoom(size, augment.smallest, augment.stretch) if zoomed else Resize(size)
    return (shape, *(Sometimes(chance, step) for chance, step in chances if chance > 0))


def card(recipe: str, run: Run, source: Source, feed: Feed) -> dict[str, Any]:
    """What a saved model says about itself beside its method: input size, licence, how it was trained."""
    h, w = feed.training[0].depth.shape[-2:]
    facts = {
        "recipe": recipe,
        "data": [str(p) for p in source.data] or list(source.world),
        "items": len(feed.training),  # type: ignore[arg-type]
        **({"shrink": feed.shrink} if feed.shrink < 1 else {}),
        **{
            name: getattr(run, name) for name in ("batch_size", "learning_rate", "seed", "precision", "average", "init")
        },
        "torch": torch.__version__,
    }
    return {"input_size": list(source.size or (h, w)), "licence": "Apache-2.0", "training": facts}


Rig = tuple[float, float]  # focal length in image widths, baseline in metres
CALIBRATIONS_READ = 12  # of more calibrations, so many are looked at, evenly spaced
ALIKE = 0.01  # rigs that differ by less are one: KITTI's of five days differ by half of it
TYPED = 0.05  # how far a rig may be off that was given by hand, of calibrated pairs


@dataclass(frozen=True)
class Given:
    """Gives pairs that nobody calibrated the rig that was given by hand. Raises `InputError` for others that differ."""

    rig: Rig

    def __call__(self, sample: Sample) -> Sample:
        known = calibrated_rig(sample)
        if known is None and pair_rig(sample) is None:
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

    One item of every calibration file is read, of more than `CALIBRATIONS_READ` files of that many. Those that are
    rendered while training are of many rigs.
    """
    first: dict[Hashable, int] = {}
    for index in range(len(data)):  # type: ignore[arg-type]
        calibration = _calibration(data, index)
        if calibration is not None:
            first.setdefault(calibration, index)
    places = list(first.values())
    chosen = sorted({places[round(k)] for k in np.linspace(0, len(places) - 1, min(len(places), CALIBRATIONS_READ))})
    found = [rig for rig in (calibrated_rig(data[index]) for index in chosen) if rig is not None]
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
