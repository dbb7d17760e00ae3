"""Train and judge one row after the other; finished steps are kept, so an interrupted run resumes."""

import json
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Subset

from cyclopean import augmentation
from cyclopean.bench.family import OPTIMISATIONS, Budget, Family, Row, Samples
from cyclopean.data.folder import FolderDataset
from cyclopean.evaluation.entries import Entry
from cyclopean.evaluation.report import commit
from cyclopean.inference import predictor
from cyclopean.io.files import write_text
from cyclopean.io.rendered_folder import missing
from cyclopean.methods.base import Method
from cyclopean.sample import OneMap, Sample
from cyclopean.synthetic.folder import RenderJob, write
from cyclopean.training import checkpoint
from cyclopean.training.dataset import TrainData
from cyclopean.training.loop import fit
from cyclopean.training.options import Run

TRAINING_SEED, HELD_OUT_SEED, ELSEWHERE_SEED = 20_000_000, 30_000_000, 40_000_000
DONE, GUESSES, CLOSER, MASKS = "result.json", "guesses.json", "closer.json", "masks.json"

Predict = Callable[[Sample], OneMap]  # inverse depth in 1/m


@dataclass(frozen=True)
class Comparison:
    """Rows by name, at one budget, in one folder: data/ (rendered once), runs/ROW-SEED/ (models), DONE in each.

    What a row starts from (`begun_as`) or is taught by is trained before it, whether or not it is among the rows.

    `real`: other data by name, judged by the family's figures.
    """

    family: Family
    out: Path
    budget: Budget
    rows: Sequence[str]
    real: Mapping[str, Samples] = field(default_factory=dict)
    accelerator: str = "auto"
    workers: int = 2

    @property
    def device(self) -> torch.device:
        """The device that trained methods are judged on: the GPU that they were trained on, else the CPU."""
        return torch.device("cuda" if self.accelerator in ("auto", "cuda") and torch.cuda.is_available() else "cpu")

    def data(self) -> Iterator[int]:
        """Render what is missing of the training and the held-out scenes; yield as items land."""
        for folder, order in self._orders().items():
            yield from write(order, folder, self.workers)

    def missing(self) -> int:
        """Return how many scenes are not rendered yet."""
        return sum(len(missing(folder, order.count)) for folder, order in self._orders().items())

    def _orders(self) -> dict[Path, RenderJob]:
        b, order, data = self.budget, self.family.order, self.out / "data"
        orders = {
            data / "train": order(b, TRAINING_SEED, b.scenes),
            data / "held-out": (self.family.held_out or order)(b, HELD_OUT_SEED, b.held_out),
        }
        rows = [self.family.rows[name] for name in self.rows]
        rows += [self.family.rows[row.begun_as] for row in rows if row.begun_as]
        if self.family.elsewhere and any(row.learns_from == "elsewhere" or row.prepare for row in rows):
            orders[data / "elsewhere"] = self.family.elsewhere(b, ELSEWHERE_SEED, b.scenes)
        return orders

    def training_set(self, row: Row | None = None) -> FolderDataset:
        """Return what all rows learn from, or that row."""
        return FolderDataset(self.out / "data" / ("elsewhere" if row and row.learns_from == "elsewhere" else "train"))

    def held_out(self) -> FolderDataset:
        """Return the scenes that no row learns from."""
        return FolderDataset(self.out / "data" / "held-out")

    def todo(self) -> list[tuple[str, int]]:
        """Return (row, seed) of what is not done yet, cheapest first: one seed of every row, then the next."""
        every = [(row, seed) for seed in range(self.budget.seeds) for row in self.rows]
        return [(row, seed) for row, seed in every if not (self.folder(row, seed) / DONE).exists()]

    def folder(self, row: str, seed: int) -> Path:
        """Return where the model and the result of a row are kept."""
        return self.out / "runs" / f"{row}-{seed}"

    def results(self) -> list[dict[str, Any]]:
        """Return what is done, in the order of `rows`."""
        paths = [self.folder(row, seed) / DONE for row in self.rows for seed in range(self.budget.seeds)]
        return [json.loads(path.read_text()) for path in paths if path.exists()]

    def guesses(self) -> list[dict[str, Any]]:
        """Return the guesses that look at no picture, judged once, in the form of `results`."""
        path = self.out / GUESSES
        if not path.exists() or path.read_text() == "[]":  # of a version that had none
            guesses = self.family.guesses(self.training_set())
            judged = [self._judged(guess.name, _guess(guess)) for guess in guesses]
            write_text(path, json.dumps(judged, indent=1))
        return json.loads(path.read_text())

    def closer(self, folder: Path) -> list[dict[str, Any]]:
        """Return what the family looks at more closely, of each row that is done, the guesses and the truth.

        It is kept in `folder` row by row, so that nothing is measured twice.
        """
        if self.family.closer is None:
            return []
        path, metres = folder / CLOSER, self.family.in_metres
        known = json.loads(path.read_text()) if path.exists() else {}
        for key, predict, metric in self._predictors(known):
            known[key] = mean_figures(predict, self.held_out(), self.family.closer)
            if metric and metres is not None:
                known[key] |= mean_figures(predict, self.held_out(), metres)
                for name, data in self.real.items():
                    sized = Sized(data, self.family.judged_at or self.budget.size, 1)
                    figures = mean_figures(self._at_training_size(predict), sized, metres)
                    known[key] |= {f"{name} {figure}": value for figure, value in figures.items()}
            write_text(path, json.dumps(known, indent=1))
        named = {f"{r['row']}-{r['seed']}": r for r in self.results()}
        kept = ("row", "title", "seed", "seconds")
        trained = [{**{k: r[k] for k in kept}, "figures": known[key]} for key, r in named.items()]
        others = [key for key in known if key.startswith("(")]
        return [*trained, *({"row": key, "title": key[1:-1], "figures": known[key]} for key in others)]

    def masks(self, folder: Path) -> list[dict[str, Any]]:
        """Return how well each mask finds what moves, of rows that are done, and a mask of everything.

        It is kept in `folder` one by one, in the form of `results`.
        """
        if self.family.mask_figures is None:
            return []
        path = folder / MASKS
        known = json.loads(path.read_text()) if path.exists() else {}
        done = {(r["row"], r["seed"]): r["seconds"] for r in self.results()}
        masks = {
            f"{name}-{seed}": (mask, seed)
            for name, mask in self.family.masks.items()
            for seed in range(self.budget.seeds)
            if (mask.row, seed) in done
        }
        for key, (mask, seed) in masks.items():
            if key not in known:
                method = self.trained(mask.row, seed).to(self.device)
                figures = mean_figures(mask.of(method), self.held_out(), self.family.mask_figures)
                known[key] = {"row": mask.title, "title": mask.title, "seed": seed, "figures": figures}
                write_text(path, json.dumps(known, indent=1))
        if "(everything)" not in known:
            figures = mean_figures(lambda s: torch.zeros_like(s.depth), self.held_out(), self.family.mask_figures)
            known["(everything)"] = {"row": "(everything)", "title": "everything", "seed": 0, "figures": figures}
            write_text(path, json.dumps(known, indent=1))
        rows = [known[key] | {"seconds": done[mask.row, seed]} for key, (mask, seed) in masks.items()]
        return [*rows, known["(everything)"]]

    def trained(self, name: str, seed: int) -> Method:
        """Return the trained method of a row that is done."""
        row = self.family.rows[name]
        return checkpoint.load(self.folder(row.trained_as or name, seed) / "last")[0]

    def _predictors(self, known: Collection[str]) -> Iterator[tuple[str, Predict, bool]]:
        """Yield how each row, guess and the truth predict, and whether in metres, but for those known."""
        for result in self.results():
            key, row = f"{result['row']}-{result['seed']}", self.family.rows[result["row"]]
            if key not in known:
                yield key, _on_cpu(row, self.trained(result["row"], result["seed"])), row.metric
        if "(truth)" not in known:
            for guess in self.family.guesses(self.training_set()):
                yield f"({guess.name})", _guess(guess), guess.ambiguity == "metric"
            yield "(truth)", lambda sample: 1 / sample.depth, False

    def do(self, name: str, seed: int) -> dict[str, Any]:
        """Train (or go on training) one row, judge it, keep and return the result."""
        row, folder = self.family.rows[name], self.folder(name, seed)
        for before in (row.begun_as, row.taught_by):
            if before and not (self.folder(before, seed) / DONE).exists():
                self.do(before, seed)
        held_out, start = self.held_out(), time.monotonic()
        course = Course(lambda method: mean_figures(_on_cpu(row, method), held_out, self.family.figures))
        method = self._trained(row, self.folder(row.trained_as or name, seed), seed, course)
        result = {
            **self._judged(row.title, _on_cpu(row, method), method.input_multiple),
            "row": name,
            "seed": seed,
            "course": course.points,
            "seconds": round(time.monotonic() - start, 1),
            "parameters": sum(p.numel() for p in method.parameters()),
        }
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / DONE, json.dumps(result, indent=1))
        return result

    def _judged(self, title: str, predict: Predict, multiple: int = 1) -> dict[str, Any]:
        """Return a result's figures, and what made them."""
        size, figures = self.budget.size, self.family.figures
        at_training_size = self._at_training_size(predict)
        return {
            "row": title,
            "title": title,
            "seed": 0,
            "budget": asdict(self.budget),
            "figures": mean_figures(predict, self.held_out(), figures),
            "real": {
                name: mean_figures(at_training_size, Sized(data, self.family.judged_at or size, multiple), figures)
                for name, data in self.real.items()
            },
            "course": [],
            "commit": commit(),
            "torch": torch.__version__,
        }

    def _at_training_size(self, predict: Predict) -> Predict:
        """Return what predicts at the very size of training, whatever the shape, as published evaluations do."""
        return lambda sample: predict(augmentation.resize(sample, self.budget.size))

    def _trained(self, row: Row, folder: Path, seed: int, course: "Course") -> Method:
        if (folder / DONE).exists():
            return checkpoint.load(folder / "last")[0].to(self.device)
        b, how = self.budget, OPTIMISATIONS[row.how or self.budget.how]
        torch.manual_seed(seed)
        method = row.make(b)
        if b.encoder is not None and method.config()["network"] == b.network:  # some rows have one of their own
            checkpoint.initialise_encoder(method, b.encoder)
        if how.first_guess == "row":
            row.start(method)
        if row.begun_as:
            method.load_state_dict(self.trained(row.begun_as, seed).state_dict())
        if row.taught_by:
            row.teach(method, self.trained(row.taught_by, seed))
        augment = row.augment
        if row.prepare:
            augment = augmentation.Steps((row.augment, row.prepare(method, self.out / "data")))
        run = Run(
            folder,
            steps=b.steps,
            batch_size=b.batch_size,
            learning_rate=row.learning_rate or b.learning_rate,
            seed=seed,
            clip_grad_norm=how.clip,
            workers=0,
            accelerator=self.accelerator,  # type: ignore[arg-type]
            save_every=60.0,
            validate_every=b.steps,
            report_every=max(1, b.steps // 10),
            resume=(folder / "resume.pt").exists(),
        )
        scenes = self.training_set(row)
        feed = TrainData(Subset(scenes, range(max(1, round(row.part * len(scenes))))), augment)
        card = {"input_size": list(b.size), "licence": "Apache-2.0", "training": {"comparison": row.title}}
        after: list[Callable[[Method], None]] = [course, *row.each_epoch(method)]
        return fit(method, feed, run, how.optimizer, how.schedule, card=card, each_epoch=after)


class Course:
    """The test error each time the training set has been seen once more. Kept in the run's checkpoints."""

    def __init__(self, judge: Callable[[Method], dict[str, float]]) -> None:
        self.judge, self.points = judge, list[dict[str, float]]()

    def __call__(self, method: Method) -> None:
        self.points.append(self.judge(method.eval()))

    def state_dict(self) -> dict[str, Any]:
        return {"points": self.points}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.points = state["points"]


@dataclass(frozen=True)
class Sized:
    """A data set at about the pixels of `size`, in their own shape, sides multiples of `multiple`; truth likewise."""

    data: Samples
    size: tuple[int, int]
    multiple: int

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> Sample:
        return sized(self.data[index], self.size, self.multiple)


def sized(sample: Sample, size: tuple[int, int], multiple: int) -> Sample:
    """Return a sample at about the pixels of `size`, in its own shape, sides multiples of `multiple`."""
    h, w = sample.depth.shape[-2:]
    return augmentation.resize(sample, predictor.working_size((h, w), size, multiple))


def resized_for(method: Method, sample: Sample) -> Sample:
    """Return a sample at about its own pixels, sides as `method` needs them."""
    h, w = sample.depth.shape[-2:]
    return sized(sample, (h, w), method.input_multiple)


@torch.no_grad()
def mean_figures(
    predict: Predict, data: Samples, figures: Callable[[OneMap, Sample], dict[str, float]]
) -> dict[str, float]:
    """Return means over items; a figure that an item does not have is not a part of its mean."""
    values: dict[str, list[float]] = {}
    for index in range(len(data)):
        sample = data[index]
        for name, value in figures(predict(sample), sample).items():
            values.setdefault(name, []).append(value)
    return {name: sum(v) / len(v) for name, v in values.items()}


def _on_cpu(row: Row, method: Method) -> Predict:
    """Return how a row's method predicts, with the result on the CPU."""
    device = next(method.parameters()).device
    method.eval()
    return lambda sample: row.predict(method, sample.to(device)).float().cpu()


def _guess(guess: Entry) -> Predict:
    return lambda sample: guess.predict(sample).float()
