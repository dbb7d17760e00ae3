"""From settings to what a run learns from: data sets, held-out items, augmentations, pictures for TensorBoard."""

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import ConcatDataset, Dataset, Subset

from cyclopean import augmentation
from cyclopean.augmentation import Augmentation, Resize, Sometimes, Steps, Zoom
from cyclopean.data import open_dataset
from cyclopean.data.items import sound_part
from cyclopean.data.rigs import size_of
from cyclopean.data.worlds import WorldsDataset
from cyclopean.errors import InputError
from cyclopean.methods.base import Method
from cyclopean.recipes.settings import Augment, Source
from cyclopean.run import Run
from cyclopean.sample import Sample
from cyclopean.training import Feed
from cyclopean.training.stream import several
from cyclopean.worlds import expanded

EVERY, MOST = 50, 64  # of the items, those held out when no validation set is given
FEW = 5  # of fewer than some hundred items so many are held out, or a tenth, at least one
TURNED = math.log(1.2)  # pictures whose sides differ by less have no shape to turn round
LOOKED = 32  # of the items, at most so many are read to see whether there is true depth


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
    looked = range(0, n, math.ceil(n / LOOKED))
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
