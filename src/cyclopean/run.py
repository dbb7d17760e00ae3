"""How a training runs: values that recipes take and the command line shows. No torch here."""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from cyclopean.choices import STATE
from cyclopean.errors import InputError


@dataclass(frozen=True)
class Run:
    """Where results go, for how long, on what."""

    out: Path
    """Folder of the run: models `last` and `best`, log.jsonl, tensorboard, the state to resume from."""
    steps: int = 20_000
    """Gradient steps in all."""
    epochs: float | None = None
    """Instead of --steps: how often all items are seen."""
    batch_size: int = 8
    """Items per step and process."""
    learning_rate: Annotated[float, tyro.conf.arg(aliases=["--lr"])] = 1e-4
    """Peak of the schedule."""
    seed: int = 0
    """Every draw is a function of it."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the network's convolutions; geometry and losses are float32 always."""
    clip: float = 0.0
    """Largest gradient norm; 0 does not clip."""
    average: float = 0.0
    """Decay of the running mean of weights that is saved and judged (0.999, say); 0 saves the weights themselves."""
    workers: int = 1
    """Processes that read data beside each training process; 0 reads in turn."""
    devices: int = 1
    """Processes (one per GPU) on this machine."""
    nodes: int = 1
    """Machines; start each with torchrun or `fabric run`."""
    accelerator: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """What to compute on."""
    save_every: float = 300.0
    """Seconds between checkpoints."""
    validate_every: int = 500
    """Steps between looks at the validation set; the best model is kept."""
    report_every: int = 50
    """Steps between lines in the log."""
    resume: bool = False
    """Go on where the run in `out` stopped."""
    init: str | None = None
    """A model whose weights to start from, with a fresh schedule."""

    def of(self, items: int) -> "Run":
        """The run for so many items: its epochs as steps."""
        if self.epochs is None:
            return self
        steps = math.ceil(self.epochs * items / (self.batch_size * self.devices * self.nodes))
        return replace(self, steps=steps, epochs=None)

    def refuse_taken(self) -> None:
        """Raise InputError if `out` holds a run and this one does not go on with it, or holds none to go on with."""
        held = (self.out / STATE).exists()
        if held and not self.resume:
            raise InputError(f"{self.out} already holds a run; add --resume to go on with it, or give another --out.")
        if self.resume and not held:
            raise InputError(f"{self.out} holds no run to resume; leave --resume out to start one.")

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "devices", "nodes", "validate_every", "report_every"):
            if getattr(self, name) < 1:
                raise InputError(f"{name.replace('_', '-')} is {getattr(self, name)}; it needs at least 1.")
        for name in ("clip", "workers", "save_every"):
            if not 0 <= getattr(self, name) < math.inf:
                raise InputError(f"{name.replace('_', '-')} is {getattr(self, name)}; it needs a number of at least 0.")
        if self.epochs is not None and not 0 < self.epochs < math.inf:
            raise InputError(f"epochs is {self.epochs}; it needs a number above 0.")
        if not 0 < self.learning_rate < math.inf:
            raise InputError(f"learning-rate is {self.learning_rate}; it needs a number above 0.")
        if not 0 <= self.average < 1:
            raise InputError(f"average is {self.average}; it needs a decay in [0, 1), 0.999 say.")
