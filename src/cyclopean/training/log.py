"""The log of a run: a progress bar (lines when the output is not a terminal), log.jsonl, TensorBoard."""

import json
import logging
import math
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from cyclopean.errors import InputError
from cyclopean.io.files import text_of, write_text
from cyclopean.training.options import Run

SILENCE = 30.0  # seconds without a line, after which there is one: steps may take long


class RunLog:
    """A log of the steps after `start`, active only on the first process.

    Lines of log.jsonl later than `start` or half-written (of a run that was killed) are dropped.
    """

    def __init__(self, run: Run, start: int, active: bool) -> None:
        self.run, self.at, self.active = run, start, active
        said = logging.getLogger("cyclopean").isEnabledFor(logging.WARNING)  # not with -q
        self.console = Console(stderr=True, soft_wrap=True, quiet=not said)
        self._started = self._window = self._said = time.monotonic()
        self._sums: dict[str, Tensor] = {}
        self._steps = self._images = 0
        self._first = start

    def __enter__(self) -> "RunLog":
        if self.active:
            from torch.utils.tensorboard import SummaryWriter

            _drop_lines_after(self.run.out / "log.jsonl", self.at)
            self._board = SummaryWriter(str(self.run.out / "tensorboard"), purge_step=self.at + 1)
            self._file = (self.run.out / "log.jsonl").open("a", buffering=1)
            self._bar = Progress(  # with the console of this log, whose lines then appear above the bar
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                console=self.console,
                disable=not self.console.is_terminal,
            )
            self._task = self._bar.add_task("training", total=self.run.steps, completed=self.at)
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.active:
            self._bar.stop()
            self._file.close()
            self._board.close()

    def step(self, losses: dict[str, Tensor], norm: float, rate: float, images: int) -> None:
        """Count a step; every `report_every` steps write the means of the losses."""
        self.at += 1
        if not self.active:
            return
        for name, value in losses.items():
            self._sums[name] = self._sums[name] + value if name in self._sums else value
        self._steps, self._images = self._steps + 1, self._images + images
        self._bar.update(self._task, completed=self.at)
        if self.at % self.run.report_every == 0 or self.at == self.run.steps:
            self._report(norm, rate)
        elif self.at == self._first + 1 or time.monotonic() - self._said > SILENCE:  # beside the lines of the schedule
            total = sum(value.item() for value in losses.values())
            self._line(f"step {self.at}/{self.run.steps} loss {total:.4f}, {self._left():.0f} s left")

    def validation(self, step: int, total: float, losses: dict[str, float]) -> None:
        """Write the losses on the validation set."""
        self._write({"step": step, "validation": total, **{f"validation_{k}": v for k, v in losses.items()}})
        self._line(f"step {step}: validation {total:.4f}")

    def pictures(self, step: int, named: dict[str, Tensor]) -> None:
        """Write pictures (3 h w, RGB in [0,1]) to TensorBoard."""
        for name, picture in named.items() if self.active else ():
            self._board.add_image(name, picture, step)

    def say(self, sentence: str) -> None:
        """Print one line, on the first process."""
        if self.active:
            self.console.print(sentence, highlight=False)

    def _left(self) -> float:
        """Return how many seconds the remaining steps will take, by those so far."""
        return (self.run.steps - self.at) * (time.monotonic() - self._started) / max(1, self.at - self._first)

    def _report(self, norm: float, rate: float) -> None:
        now = time.monotonic()
        means = {name: (value / self._steps).item() for name, value in self._sums.items()}
        speed = self._images / max(now - self._window, 1e-9)
        left = self._left()
        total = sum(means.values())
        values = {
            "step": self.at,
            "loss": total,
            **means,
            "gradient_norm": norm,
            "learning_rate": rate,
            "images_per_second": speed,
        }
        self._write({**values, "seconds": now - self._started, "seconds_left": left})
        parts = " ".join(f"{name} {value:.4f}" for name, value in means.items())
        self._bar.update(self._task, description=f"loss {total:.4f} ({parts}) {speed:.1f} images/s")
        self._line(
            f"step {self.at}/{self.run.steps} loss {total:.4f} ({parts}) {speed:.1f} images/s, {left:.0f} s left"
        )
        self._sums, self._steps, self._images, self._window = {}, 0, 0, now

    def _write(self, values: dict[str, Any]) -> None:
        if not self.active:
            return
        self._file.write(json.dumps({k: round(v, 7) if isinstance(v, float) else v for k, v in values.items()}) + "\n")
        for name, value in values.items():
            if name != "step":
                self._board.add_scalar(name.replace("validation_", "validation/"), value, values["step"])

    def _line(self, text: str) -> None:
        self._said = time.monotonic()
        if not self.console.is_terminal:
            self.say(text)


def _drop_lines_after(path: Path, step: int) -> None:
    """Rewrite the log without the lines of later steps, and without one that was cut off when its run was killed."""

    def step_of(line: str) -> float:
        try:
            return float(json.loads(line)["step"])
        except (ValueError, TypeError, KeyError):
            return math.inf

    if path.exists():
        data = path.read_bytes()
        try:
            text = text_of(data, str(path))  # an editor may have saved it in another coding
        except InputError:  # cut off inside a letter
            text = data.decode(errors="replace")
        write_text(path, "".join(f"{line}\n" for line in text.splitlines() if step_of(line) <= step))
