"""Trains and judges one row after the other; what is done is kept, so a run that was cut goes on where it stopped."""

import json
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from cyclopean import augmentation
from cyclopean.bench.family import HOWS, Budget, Family, Map, Row, Samples
from cyclopean.data.folder import FolderDataset
from cyclopean.evaluation.report import commit
from cyclopean.evaluation.trivial import Candidate
from cyclopean.inference import predictor
from cyclopean.methods.base import Method
from cyclopean.sample import Sample
from cyclopean.synthetic.folder import RenderJob, missing, write
from cyclopean.training import checkpoint
from cyclopean.training.loop import Feed, fit
from cyclopean.training.options import Run

TRAINING_SEED, HELD_OUT_SEED, ELSEWHERE_SEED = 20_000_000, 30_000_000, 40_000_000
DONE, GUESSES, CLOSER = "result.json", "guesses.json", "closer.json"

See = Callable[[Sample], Map]  # inverse depth in 1/m
Judge = Callable[[Method], dict[str, float]]


@dataclass(frozen=True)
class Comparison:
    """Rows by name, at one budget, in one folder: data/ (rendered once), runs/ROW-SEED/ (models), DONE in each.

    What a row starts from (`begun_as`) is trained before it, whether or not it is among the rows.

    `real`: other data by name, judged as the family says.
    """

    family: Family
    out: Path
    budget: Budget
    rows: Sequence[str]
    real: Mapping[str, Samples] = field(default_factory=dict)
    accelerator: str = "auto"
    workers: int = 2

    def data(self) -> Iterator[int]:
        """Renders what is missing of the training and the held-out scenes; yields as items land."""
        for folder, order in self._orders().items():
            yield from write(order, folder, self.workers)

    def missing(self) -> int:
        """How many scenes are not rendered yet."""
        return sum(len(missing(order, folder)) for folder, order in self._orders().items())

    def _orders(self) -> dict[Path, RenderJob]:
        b, order, data = self.budget, self.family.order, self.out / "data"
        orders = {
            data / "train": order(b, TRAINING_SEED, b.scenes),
            data / "held-out": order(b, HELD_OUT_SEED, b.held_out),
        }
        asked = [self.family.rows[name] for name in self.rows]
        asked += [self.family.rows[row.begun_as] for row in asked if row.begun_as]
        if self.family.elsewhere and any(row.learns_from == "elsewhere" for row in asked):
            orders[data / "elsewhere"] = self.family.elsewhere(b, ELSEWHERE_SEED, b.scenes)
        return orders

    def training_set(self, row: Row | None = None) -> FolderDataset:
        """What all rows learn from, or that row."""
        return FolderDataset(self.out / "data" / ("elsewhere" if row and row.learns_from == "elsewhere" else "train"))

    def held_out(self) -> FolderDataset:
        return FolderDataset(self.out / "data" / "held-out")

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

    def guesses(self) -> list[dict[str, Any]]:
        """The rows that look at no picture, judged once, in the form of `results`."""
        path = self.out / GUESSES
        if not path.exists() or path.read_text() == "[]":  # of a version that had none
            found = [self._judged(guess.name, _guessing(guess)) for guess in self.family.guesses(self.training_set())]
            _keep(path, found)
        return json.loads(path.read_text())

    def closer(self, folder: Path) -> list[dict[str, Any]]:
        """What the family looks at more closely, of each row that is done, the guesses and the truth; kept in `folder`
        row by row, so that what is known is not looked at again."""
        if self.family.closer is None:
            return []
        path = folder / CLOSER
        known = json.loads(path.read_text()) if path.exists() else {}
        for title, see in self._seen(known):
            known[title] = judged(see, self.held_out(), self.family.closer)
            _keep(path, known)
        named = {_key(r): r for r in self.results()}
        trained = [{**_named(r), "seconds": r["seconds"], "figures": known[key]} for key, r in named.items()]
        others = [key for key in known if key.startswith("(")]
        return [*trained, *({"row": key, "title": key[1:-1], "figures": known[key]} for key in others)]

    def _seen(self, known: Collection[str]) -> Iterator[tuple[str, See]]:
        """How to see as each row, guess and the truth, but for those known."""
        for result in self.results():
            if _key(result) not in known:
                row = self.family.rows[result["row"]]
                method, _ = checkpoint.load(self.folder(row.trained_as or result["row"], result["seed"]) / "last")
                yield _key(result), _seeing(row, method)
        if "(truth)" not in known:
            for guess in self.family.guesses(self.training_set()):
                yield f"({guess.name})", _guessing(guess)
            yield "(truth)", lambda sample: 1 / sample.depth

    def do(self, name: str, seed: int) -> dict[str, Any]:
        """Trains (or goes on training) one row, judges it and keeps the result."""
        row, folder = self.family.rows[name], self.folder(name, seed)
        if row.begun_as and not (self.folder(row.begun_as, seed) / DONE).exists():
            self.do(row.begun_as, seed)
        held_out, start = self.held_out(), time.monotonic()
        course = Course(lambda method: judged(_seeing(row, method), held_out, self.family.figures))
        method = self._trained(row, self.folder(row.trained_as or name, seed), seed, course)
        result = {
            **self._judged(row.title, _seeing(row, method), method.input_multiple),
            "row": name,
            "seed": seed,
            "course": course.points,
            "seconds": round(time.monotonic() - start, 1),
            "parameters": sum(p.numel() for p in method.parameters()),
        }
        folder.mkdir(parents=True, exist_ok=True)
        _keep(folder / DONE, result)
        return result

    def _judged(self, title: str, see: See, multiple: int = 1) -> dict[str, Any]:
        """A result's figures, and what made them."""
        size, figures = self.budget.size, self.family.figures
        return {
            "row": title,
            "title": title,
            "seed": 0,
            "budget": asdict(self.budget),
            "figures": judged(see, self.held_out(), figures),
            "real": {
                name: judged(_shown(see, size), Sized(data, self.family.judged_at or size, multiple), figures)
                for name, data in self.real.items()
            },
            "course": [],
            "commit": commit(),
            "torch": torch.__version__,
        }

    def _trained(self, row: Row, folder: Path, seed: int, course: "Course") -> Method:
        if (folder / DONE).exists():
            return checkpoint.load(folder / "last")[0]
        b, how = self.budget, HOWS[row.how or self.budget.how]
        torch.manual_seed(seed)
        method = row.make(b)
        if how.first_guess == "row":
            row.start(method)
        if row.begun_as:
            method.load_state_dict(checkpoint.load(self.folder(row.begun_as, seed) / "last")[0].state_dict())
        run = Run(
            folder,
            steps=b.steps,
            batch_size=b.batch_size,
            learning_rate=row.learning_rate or b.learning_rate,
            seed=seed,
            clip=how.clip,
            workers=0,
            accelerator=self.accelerator,  # type: ignore[arg-type]
            save_every=60.0,
            validate_every=b.steps,
            report_every=max(1, b.steps // 10),
            resume=(folder / "resume.pt").exists(),
        )
        feed = Feed(self.training_set(row), row.augment)
        card = {"input_size": list(b.size), "licence": "Apache-2.0", "training": {"comparison": row.title}}
        return fit(method, feed, run, how.optimizer, how.schedule, card, each_epoch=(course,))


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


@dataclass(frozen=True)
class Sized:
    """Photographs at about the pixels of `size`, in their own shape, sides multiples of `multiple`; truth likewise."""

    data: Samples
    size: tuple[int, int]
    multiple: int

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> Sample:
        return sized(self.data[index], self.size, self.multiple)


def sized(sample: Sample, size: tuple[int, int], multiple: int) -> Sample:
    """At about the pixels of `size`, in its own shape, sides multiples of `multiple`."""
    h, w = sample.depth.shape[-2:]
    return augmentation.resize(sample, predictor.working_size((h, w), size, multiple))


def fitted(sample: Sample, method: Method) -> Sample:
    """At about its own pixels, sides as `method` needs them."""
    h, w = sample.depth.shape[-2:]
    return sized(sample, (h, w), method.input_multiple)


@torch.no_grad()
def judged(see: See, data: Samples, figures: Callable[[Map, Sample], dict[str, float]]) -> dict[str, float]:
    """Means over items; a figure that an item does not have is no part of its mean."""
    found: dict[str, list[float]] = {}
    for index in range(len(data)):
        sample = data[index]
        for name, value in figures(see(sample), sample).items():
            found.setdefault(name, []).append(value)
    return {name: sum(v) / len(v) for name, v in found.items()}


def _seeing(row: Row, method: Method) -> See:
    """What a row's method says, on the CPU."""
    device = next(method.parameters()).device
    method.eval()
    return lambda sample: row.predict(method, sample.to(device)).float().cpu()


def _guessing(guess: Candidate) -> See:
    return lambda sample: guess.predict(sample).float()


def _shown(see: See, size: tuple[int, int]) -> See:
    """What is said of an item shown at the very size of training, whatever its shape, as published evaluations do."""
    return lambda sample: see(augmentation.resize(sample, size))


def _key(result: Mapping[str, Any]) -> str:
    return f"{result['row']}-{result['seed']}"


def _named(result: Mapping[str, Any]) -> dict[str, Any]:
    return {key: result[key] for key in ("row", "title", "seed")}


def _keep(path: Path, values: Any) -> None:
    unfinished = path.with_name(f".{path.name}.partial")
    unfinished.write_text(json.dumps(values, indent=1))
    unfinished.replace(path)
