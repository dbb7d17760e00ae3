"""Families of methods that are compared: their rows, budgets, worlds, figures and claims."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

import numpy as np

from cyclopean import augmentation
from cyclopean.evaluation.entries import Entry
from cyclopean.inference import wrappers
from cyclopean.methods.base import Method
from cyclopean.sample import OneMap, Sample
from cyclopean.synthetic.folder import RenderJob
from cyclopean.training.optimisation import MakeOptimizer, Schedule, adabound, adam, constant, cosine

if TYPE_CHECKING:
    from cyclopean.bench.comparison import Comparison

Lines = Mapping[str, Sequence[np.ndarray]]  # of a sheet: pictures h w 3 in [0,1], or h w from 0 up
Predict = Callable[[Method, Sample], OneMap]
# The figures of depth in most papers, and how a table names them (`Family.columns`).
DEPTH_FIGURES = {
    "abs_rel": "AbsRel",
    "sq_rel": "SqRel",
    "rmse": "RMSE",
    "rmse_log": "RMSElog",
    "delta1": "δ1",
    "delta2": "δ2",
    "delta3": "δ3",
}


@runtime_checkable
class Samples(Protocol):
    """A data set, items of batch 1; with true depth, or with sources that tell how well it explains them."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Sample: ...


@dataclass(frozen=True)
class Optimisation:
    """Optimiser and schedule, the largest norm of a gradient (0: any), and who makes the first guess."""

    title: str
    optimizer: MakeOptimizer
    schedule: Schedule
    clip: float
    first_guess: Literal["row", "method"]


OPTIMISATIONS = {
    "ours": Optimisation("Adam with a cosine", adam, cosine, 1.0, "row"),
    # the spherical paper's (sec. 4): a fixed rate, no clipping, the release's first guess of 5 m
    "published": Optimisation("AdaBound at a fixed rate", adabound, constant, 0.0, "method"),
}


@dataclass(frozen=True)
class Budget:
    """The amount of work of a comparison.

    `size`: (height, width); `width` multiplies the network's channels; `how` is a name of `OPTIMISATIONS`; `levels` is
    how many inverse depths are hypothesised, by methods that do. `world` is what is rendered, where a family has a
    choice; `encoder` names the model whose encoder all networks start from, None for random weights.
    """

    size: tuple[int, int]
    scenes: int
    held_out: int
    steps: int
    seeds: int
    network: str
    width: float = 1.0
    batch_size: int = 8
    learning_rate: float = 3e-4
    how: str = "ours"
    levels: int = 33
    world: str = "street"
    encoder: str | None = None


def alone(method: Method, sample: Sample) -> OneMap:
    """Return inverse depth from the target only."""
    return wrappers.plain(method, sample.target)


def post_processed(method: Method, sample: Sample) -> OneMap:
    """Return inverse depth from the target and its mirror image (Monodepth's "pp")."""
    return wrappers.flip_averaged(method, sample.target)


def together(method: Method, sample: Sample) -> OneMap:
    """Return inverse depth from the target and its sources."""
    return method.predict(sample.target, sample.sources).inverse_depth


def panoramas_of_rooms(budget: Budget, seed: int, count: int) -> RenderJob:
    """Return the order of rooms, seen all around."""
    return RenderJob(("room",), "sphere", seed, count, budget.size)


def as_made(method: Method) -> None:
    """Leave a new method as it is."""


def untaught(method: Method, teacher: Method) -> None:
    """Ignore the teacher."""


def nothing_more(method: Method) -> Sequence[Callable[[Method], None]]:  # noqa: ARG001
    """Return nothing to do after an epoch."""
    return ()


@dataclass(frozen=True)
class Row:
    """One line of the table: a method, the augmentation of its items, and how it predicts.

    `start` changes a new method before its first step. `trained_as` names the row whose training this one shares, and
    differs from in `predict` only. `begun_as` names the row whose trained weights this one starts from; `learns_from`
    tells whether it is trained on the family's own scenes, or on those from elsewhere. `taught_by` names the row whose
    trained model `teach` gives to a new method before its first step; `each_epoch` returns what is done after each pass
    over the training set. `prepare` gives a method what it needs besides from the folder of the data, such as a second
    stream, and returns one more augmentation. `how` and `learning_rate`: as the budget says unless told otherwise.
    `metric`: predictions are in 1/m as they are. `part`: the share of the scenes that it learns from. `by_name`: not
    among "all" rows, since it takes much longer.
    """

    title: str
    make: Callable[[Budget], Method]
    augment: augmentation.Augmentation
    predict: Predict = alone
    start: Callable[[Method], None] = as_made
    trained_as: str | None = None
    begun_as: str | None = None
    learns_from: Literal["own", "elsewhere"] = "own"
    taught_by: str | None = None
    teach: Callable[[Method, Method], None] = untaught
    each_epoch: Callable[[Method], Sequence[Callable[[Method], None]]] = nothing_more
    how: str | None = None
    learning_rate: float | None = None
    prepare: Callable[[Method, Path], augmentation.Augmentation] | None = None
    metric: bool = False
    part: float = 1.0
    by_name: bool = False


@dataclass(frozen=True)
class Claim:
    """The claim that row `ahead` is better than row `behind`; `figures` are those of the paper, in that order."""

    title: str
    figures: str
    ahead: str
    behind: str


@dataclass(frozen=True)
class MaskRow:
    """A way to find what moves by itself: `static` returns 1 where a sample's target seems to stand still, else 0.

    At the sample's size. It asks the trained method of `row`.
    """

    title: str
    row: str
    static: Predict

    def of(self, method: Method) -> Callable[[Sample], OneMap]:
        """Return how a method, wherever it is, masks a sample; on the CPU."""
        device = next(method.parameters()).device
        return lambda sample: self.static(method, sample.to(device)).cpu()


@dataclass(frozen=True)
class Family:
    """Methods that can be compared: their rows and budgets, the worlds they learn from, and how they are judged.

    `order(budget, seed, count)` is what is rendered, `scenes` its name for people. `figures(inverse depth, item)`
    judges one item: the map is in 1/m, and of any size. `columns` are the figures shown of held-out scenes,
    `real_columns` of other data (where they have them); `drawn` along the run, where the best snapshot is that of the
    `headline`. `guesses` look at no picture, only at the training set. Other data is judged at about the pixels of
    `judged_at`, or of the budget's size. `claims` are looked at by the figures `claimed`. `closer(inverse depth, item)`
    tells why: further figures of held-out scenes, of the truth too. `elsewhere` are other worlds, that some rows learn
    from, ordered as by `order`. `held_out` orders the scenes that rows are judged on, where they are of other kinds.
    `masks` are judged by `mask_figures(where it stands still, item)` on held-out scenes, beside those that mask
    everything, and pictured. `in_metres` are figures of held-out scenes and of other data that only metric rows have.
    `real_steps` change items of other data, by its kind, before they are judged.
    `sheets` are further pictures by the names of their files: lines of pictures by their titles, none where a row that
    they need is not done.
    """

    name: str
    scenes: str
    rows: Mapping[str, Row]
    budgets: Mapping[str, Budget]
    order: Callable[[Budget, int, int], RenderJob]
    figures: Callable[[OneMap, Sample], dict[str, float]]
    columns: Mapping[str, str]
    real_columns: Mapping[str, str]
    about: Callable[[Budget], str]
    guesses: Callable[[Samples], list[Entry]]
    judged_at: tuple[int, int] | None = None
    headline: str = "abs_rel"
    drawn: tuple[str, ...] = ("abs_rel",)
    claims: tuple[Claim, ...] = ()
    claimed: tuple[str, ...] = ("abs_rel",)
    closer: Callable[[OneMap, Sample], dict[str, float]] | None = None
    closer_columns: Mapping[str, str] = field(default_factory=dict)
    about_closer: str = ""
    elsewhere: Callable[[Budget, int, int], RenderJob] | None = None
    held_out: Callable[[Budget, int, int], RenderJob] | None = None
    masks: Mapping[str, MaskRow] = field(default_factory=dict)
    mask_figures: Callable[[OneMap, Sample], dict[str, float]] | None = None
    mask_columns: Mapping[str, str] = field(default_factory=dict)
    about_masks: str = ""
    in_metres: Callable[[OneMap, Sample], dict[str, float]] | None = None
    metre_columns: Mapping[str, str] = field(default_factory=dict)
    real_metre_columns: Mapping[str, str] = field(default_factory=dict)
    real_steps: Mapping[str, Callable[[Sample], Sample]] = field(default_factory=dict)
    sheets: Mapping[str, "Callable[[Comparison], Lines]"] = field(default_factory=dict)

    def of_all(self) -> tuple[str, ...]:
        """Return the rows that are trained where none is named."""
        return tuple(name for name, row in self.rows.items() if not row.by_name)
