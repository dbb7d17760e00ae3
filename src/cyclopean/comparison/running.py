"""Trains and judges one row after the other; what is done is kept, so a run that was cut goes on where it stopped."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from cyclopean import augmentation, checkpoint, predictor, training
from cyclopean.comparison.rows import ROWS, Rig, Row
from cyclopean.data.folder import FolderDataset
from cyclopean.errors import InputError
from cyclopean.evaluation.tables import commit
from cyclopean.methods.base import Method
from cyclopean.metrics import align_median, boundary_f1, countable, depth_errors, near_boundaries, to_depth
from cyclopean.run import Run
from cyclopean.sample import Sample
from cyclopean.worlds.folder import Order, missing, write

BASELINE, FIELD_OF_VIEW = 0.54, 70.0  # metres and degrees: one rig for all scenes, as in KITTI, so that depth is metric
NEAR, NEAREST, FAR = 0.1, 0.05, 80.0  # metres: truth that counts, and what predictions are clipped to
TRAINING_SEED, HELD_OUT_SEED = 20_000_000, 30_000_000
DONE = "result.json"

Judge = Callable[[Method], dict[str, float]]


@runtime_checkable
class Samples(Protocol):
    """A data set with true depth, items of batch 1."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Sample: ...


@dataclass(frozen=True)
class Budget:
    """How much work a comparison is. `size`: (height, width); `width` multiplies the network's channels."""

    size: tuple[int, int]
    scenes: int
    held_out: int
    steps: int
    seeds: int
    network: str
    width: float
    batch_size: int = 8
    learning_rate: float = 3e-4


BUDGETS = {
    "tiny": Budget((64, 64), 4, 2, 2, 1, "compact", 0.25, 2),  # for tests: that everything runs
    "small": Budget((64, 128), 400, 60, 800, 1, "compact", 0.5, learning_rate=1e-3),
    "middle": Budget((128, 192), 2000, 100, 3000, 3, "compact", 0.75),
    "full": Budget((192, 384), 8000, 200, 12_000, 3, "vgg", 0.5),
}


@dataclass(frozen=True)
class Comparison:
    """Rows by name, at one budget, in one folder: data/ (rendered once), runs/ROW-SEED/ (models), DONE in each.

    `real`: photographs with true depth by name, judged after median alignment (their rig is another).
    """

    out: Path
    budget: Budget
    rows: Sequence[str]
    real: Mapping[str, Samples] = field(default_factory=dict)
    accelerator: str = "auto"
    workers: int = 2

    def data(self) -> Iterator[int]:
        """Renders what is missing of the training and the held-out streets; yields as items land."""
        for folder, order in self._orders().items():
            yield from write(order, folder, self.workers)

    def missing(self) -> int:
        """How many scenes are not rendered yet."""
        return sum(len(missing(order, folder)) for folder, order in self._orders().items())

    def _orders(self) -> dict[Path, Order]:
        b = self.budget
        streets = partial(Order, ("street",), "stereo", size=b.size, baseline=BASELINE, field_of_view=FIELD_OF_VIEW)
        return {
            self.out / "data" / "train": streets(seed=TRAINING_SEED, count=b.scenes),
            self.out / "data" / "held-out": streets(seed=HELD_OUT_SEED, count=b.held_out),
        }

    def todo(self) -> list[tuple[str, int]]:
        """(row, seed) of what is not done yet, cheapest first: one seed of every row, then the next."""
        every = [(row, seed) for seed in range(self.budget.seeds) for row in self.rows]
        return [(row, seed) for row, seed in every if not (self.folder(row, seed) / DONE).exists()]

    def folder(self, row: str, seed: int) -> Path:
        return self.out / "runs" / f"{row}-{seed}"

    def results(self) -> list[dict[str, Any]]:
        """What is done, in the order of `rows`."""
        paths = [self.folder(row, seed) / DONE for row in self.rows for seed in range(self.budget.seeds)]
        return [json.loads(path.read_text()) for path in paths if path.exists()]

    def do(self, name: str, seed: int) -> dict[str, Any]:
        """Trains (or goes on training) one row, judges it and keeps the result."""
        row, folder = ROWS[name], self.folder(name, seed)
        held_out = FolderDataset(self.out / "data" / "held-out")
        course = Course(lambda method: judged(row, method, held_out))
        start = time.monotonic()
        method = self._trained(row, self.folder(row.trained_as or name, seed), seed, course)
        result = {
            "row": name,
            "title": row.title,
            "seed": seed,
            "budget": asdict(self.budget),
            "figures": judged(row, method, held_out),
            "real": {
                k: judged(row, method, Sized(data, self.budget.size, method.input_multiple))
                for k, data in self.real.items()
            },
            "course": course.points,
            "seconds": round(time.monotonic() - start, 1),
            "parameters": sum(p.numel() for p in method.parameters()),
            "commit": commit(),
            "torch": torch.__version__,
        }
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = folder / f".{DONE}.partial"
        unfinished.write_text(json.dumps(result, indent=1))
        unfinished.replace(folder / DONE)
        return result

    def _sized(self, data: Samples, method: Method) -> "Sized":
        return Sized(data, self.budget.size, method.input_multiple)

    def _trained(self, row: Row, folder: Path, seed: int, course: "Course") -> Method:
        if (folder / DONE).exists():
            return checkpoint.load(folder / "last")[0]
        b = self.budget
        torch.manual_seed(seed)
        method = row.make(b.network, b.width, rig())
        row.start(method)
        run = Run(
            folder,
            steps=b.steps,
            batch_size=b.batch_size,
            learning_rate=b.learning_rate,
            seed=seed,
            clip=1.0,
            workers=0,
            accelerator=self.accelerator,  # type: ignore[arg-type]
            save_every=60.0,
            validate_every=b.steps,
            report_every=max(1, b.steps // 10),
            resume=(folder / "resume.pt").exists(),
        )
        feed = training.Feed(FolderDataset(self.out / "data" / "train"), _augment(row))
        card = {"input_size": list(b.size), "licence": "Apache-2.0", "training": {"comparison": row.title}}
        return training.fit(method, feed, run, training.adam, training.cosine, card, each_epoch=(course,))


class Course:
    """The test error each time the training set has been seen once more. Kept in the run's checkpoints."""

    def __init__(self, judge: Judge) -> None:
        self.judge, self.points = judge, list[dict[str, float]]()

    def __call__(self, method: Method) -> None:
        self.points.append(self.judge(method.eval()))

    def state_dict(self) -> dict[str, Any]:
        return {"points": self.points}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.points = state["points"]


def rig() -> Rig:
    """(focal_u in image widths, baseline in metres) of every pair."""
    return (0.5 / torch.tan(torch.deg2rad(torch.tensor(FIELD_OF_VIEW / 2))).item(), BASELINE)


@dataclass(frozen=True)
class Sized:
    """Photographs at about the pixels of `size`, in their own shape, sides multiples of `multiple`; truth likewise."""

    data: Samples
    size: tuple[int, int]
    multiple: int

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> Sample:
        sample = self.data[index]
        h, w = sample.depth.shape[-2:]
        return augmentation.resize(sample, predictor.working_size((h, w), self.size, self.multiple))


@torch.no_grad()
def judged(row: Row, method: Method, data: Samples) -> dict[str, float]:
    """Means over images: metric figures, AbsRel after median alignment, AbsRel near discontinuities, F1 of contours."""
    device = next(method.parameters()).device
    method.eval()
    found: dict[str, list[float]] = {}
    for index in range(len(data)):
        sample = data[index].to(device)
        rho = row.predict(method, sample).float().cpu()
        for name, value in figures(rho, sample.depth.cpu()).items():
            found.setdefault(name, []).append(value)
    return {name: sum(v) / len(v) for name, v in found.items()}


def figures(rho: Float[Tensor, "1 1 h w"], depth: Float[Tensor, "1 1 h w"]) -> dict[str, float]:
    """Of one image; `rho` in 1/m. Raises InputError where the prediction is not finite."""
    counts = countable(depth, NEAR, FAR)
    if not bool(rho[counts].isfinite().all()):
        raise InputError("a prediction is NaN or infinite; the run cannot be judged.")
    ours, truth = to_depth(rho.double()[counts]), depth.double()[counts]
    errors = asdict(depth_errors(ours.clamp(NEAREST, FAR), truth))
    aligned = align_median(ours, truth).clamp(NEAREST, FAR)
    edges = near_boundaries(depth[0, 0])[None, None][counts]
    relative = (ours.clamp(NEAREST, FAR) - truth).abs() / truth
    return {
        **{name: float(value) for name, value in errors.items()},
        "abs_rel_median": float(((aligned - truth).abs() / truth).mean()),
        **({"abs_rel_edges": float(relative[edges].mean())} if bool(edges.any()) else {}),
        "contours": float(boundary_f1((1 / rho.clamp(min=1 / FAR))[0, 0], depth.clamp(max=FAR)[0, 0])),
    }


def _augment(row: Row) -> augmentation.Augmentation:
    """Mirrored half of the time with the eyes swapped, Monodepth's colours half of the time."""
    return augmentation.Steps(
        (
            augmentation.Sometimes(0.5, row.mirror),
            augmentation.Sometimes(0.5, augmentation.monodepth_colour),
        )
    )
