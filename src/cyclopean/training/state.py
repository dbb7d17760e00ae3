"""Everything that a step changes, and its file."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch.optim import Optimizer
from torch.utils.data import Dataset

from cyclopean.augmentation import derived_seed
from cyclopean.errors import InputError, why_unwritten
from cyclopean.io.files import appearing, shortened
from cyclopean.methods.base import Method
from cyclopean.sample import Sample
from cyclopean.training import checkpoint
from cyclopean.training.dataset import TrainData
from cyclopean.training.loader import one_batch
from cyclopean.training.log import RunLog
from cyclopean.training.options import STATE, Run
from cyclopean.training.wrappers import length, several

KEPT: dict[str, Any] = {  # keys that a saved state must have, and types; "published" is the running mean
    **{"step": int, "best": float, "seconds": float, "config": dict, "method": dict, "optimizer": dict},
    **{"seed": object, "published": dict | None, "each_epoch": list},
}


@dataclass
class State:
    """Everything that a step changes. `facts` must be the same when the run is resumed."""

    run: Run
    method: Method
    ema_model: Method  # the running mean of the weights, or the method itself
    optimizer: Optimizer
    each_epoch: tuple[Callable[[Method], None], ...]
    facts: dict[str, Any]
    step: int = 0
    best: float = math.inf
    seconds: float = 0.0  # of training so far, over all resumes
    _since: float = field(default_factory=time.monotonic)
    _saved: float = field(default_factory=time.monotonic)

    def seconds_since_save(self) -> float:
        return time.monotonic() - self._saved

    def elapsed(self) -> float:
        """Return the seconds of training so far, over all resumes."""
        return self.seconds + time.monotonic() - self._since

    @torch.no_grad()
    def advance(self, epochs_ended: int) -> None:
        """Count a step, and update the running mean of the weights (faster at first)."""
        self.step += 1
        if self.ema_model is not self.method:
            decay = min(self.run.ema_decay, self.step / (10 + self.step))
            for mean, now in zip(self.ema_model.parameters(), self.method.parameters(), strict=True):
                mean.lerp_(now, 1 - decay)
            for kept, buffer in zip(self.ema_model.buffers(), self.method.buffers(), strict=True):
                kept.copy_(buffer)
        for _ in range(epochs_ended):
            for call in self.each_epoch:
                call(self.method)

    def validate(self, validation: Dataset[Sample], card: dict[str, Any], log: RunLog) -> None:
        """Log the mean losses on the validation set; save a new best model."""
        losses = mean_losses(self.ema_model, validation, self.run)
        total = sum(losses.values())
        log.validation(self.step, total, losses)
        if total < self.best:
            self.best = total
            self._save_model("best", card)

    def save(self, card: dict[str, Any]) -> None:
        """Write the model `last`, and the private file to resume from."""
        self._save_model("last", card)
        values = {
            "step": self.step,
            "best": self.best,
            "seconds": self.seconds,
            "seed": self.run.seed,
            "facts": self.facts,
            "config": {"method": self.method.name, **self.method.config()},
            "method": self.method.state_dict(),
            "published": None if self.ema_model is self.method else self.ema_model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "each_epoch": [c.state_dict() if hasattr(c, "state_dict") else None for c in self.each_epoch],
        }
        with _disk_errors(self.run.out), appearing(self.run.out) as private:
            torch.save(values, private / STATE)
        self._saved = time.monotonic()

    def restore(self, values: dict[str, Any]) -> None:
        """Restore a saved run from the `values` of `read_state`.

        Raises `InputError` for values that do not fit this run.
        """
        try:
            self.method.load_state_dict(values["method"])
            if values["published"] is not None:
                self.ema_model.load_state_dict(values["published"])
            self.optimizer.load_state_dict(values["optimizer"])
            for call, state in zip(self.each_epoch, values["each_epoch"], strict=True):
                if state is not None:
                    call.load_state_dict(state)  # type: ignore[attr-defined]
        except Exception as error:  # torch and optimizers have no common error for values that do not fit
            raise _changed(self.run, f"{type(error).__name__}: {error}") from error
        self.step, self.best, self.seconds = values["step"], values["best"], values["seconds"]

    def _save_model(self, name: str, card: dict[str, Any]) -> None:
        now = time.monotonic()
        self.seconds, self._since = self.seconds + now - self._since, now
        validation = self.best if math.isfinite(self.best) else None
        facts = {"step": self.step, "seconds": round(self.seconds), "validation": validation}
        card = {**card, "training": {**card.get("training", {}), **facts}}
        with _disk_errors(self.run.out / name):
            checkpoint.save(self.run.out / name, self.ema_model, card)


@torch.no_grad()
def mean_losses(method: Method, data: Dataset[Sample], run: Run) -> dict[str, float]:
    """Return the mean of each loss over `data`, with the method in eval mode."""
    torch.manual_seed(derived_seed(run.seed, "validation"))
    device = next(method.parameters()).device
    method.eval()
    sums: dict[str, float] = {}
    n = length(data)
    for start in range(0, n, run.batch_size):
        sample = one_batch(several(data, list(range(start, min(n, start + run.batch_size))))).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=run.precision == "bfloat16"):
            losses = method.losses(sample)
        sums = {name: sums.get(name, 0.0) + value.item() * len(sample) / n for name, value in losses.items()}
    return sums


def resume_facts(run: Run, data: TrainData, schedule: str, card: dict[str, Any]) -> dict[str, Any]:
    """Return the values that must be the same when a run is resumed, by the flags' names. Folders may have moved."""
    trained = card.get("training", {})
    return {
        "steps": None if schedule == "constant" else run.steps,  # only a schedule depends on the total
        "schedule": schedule,
        "batch-size of all devices": run.batch_size * run.devices * run.nodes,
        "learning-rate": run.learning_rate,
        "clip": run.clip_grad_norm,
        "precision": run.precision,
        "average": run.ema_decay,
        "data": [Path(folder).name for folder in trained.get("data", ())],
        "number of items": length(data.training),
        "size": list(card.get("input_size", ())),
        "shrink": data.shrink,
        **data.flags,
    }


def read_state(run: Run, method: Method, facts: dict[str, Any]) -> dict[str, Any]:
    """Return the last saved state of the run in `out`. Raises `InputError` if this command cannot resume it."""
    run.refuse_taken()
    path = run.out / STATE
    try:
        values = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged file makes the unpickler raise
        raise InputError(f"{path} is damaged; start again from {run.out / 'last'} with --init.") from error
    if not isinstance(values, dict) or not values.keys() >= KEPT.keys():
        raise _changed(run, "it lacks some of its values")
    if wrong := [key for key, kind in KEPT.items() if not isinstance(values[key], kind)]:
        raise _changed(run, f"its {', '.join(wrong)} cannot be right")
    if values["step"] < 0 or not values["seconds"] >= 0 or math.isnan(values["best"]):
        raise _changed(run, "its numbers cannot be right")
    if (values["published"] is None) != (run.ema_decay == 0):
        raise InputError(f"{run.out} was trained with another --ema-decay; repeat the first command.")
    then = values.get("facts", facts)  # older runs have none
    if not isinstance(then, dict):
        raise _changed(run, "its facts cannot be right")
    older = {"shrink": 1.0, "separate": 0.0, "reverse": 0.0, "smallest zoom": "none"}  # runs older than these flags
    then = {**older, **then}
    config, now = _leaves(values["config"]), _leaves({"method": method.name, **method.config()})
    if config.get("method") != method.name:  # its arguments differ anyway
        config, now = {"method": config.get("method")}, {"method": method.name}
    pairs = [(name, config.get(name), now.get(name)) for name in {**config, **now}]
    pairs += [("seed", values["seed"], run.seed)]
    pairs += [(name, then[name], facts[name]) for name in facts if name in then]
    if changed := [(name, old, new) for name, old, new in pairs if old != new]:
        before = ", ".join(f"{name} {_shown(old)}" for name, old, _ in changed)
        after = ", ".join(f"{name} {_shown(new)}" for name, _, new in changed)
        raise InputError(
            f"{run.out} was trained with {before}, but this command has {after}; repeat the first command with "
            f"--resume, or start anew from {run.out / 'last'} with --init and another --out."
        )
    return values


def _leaves(config: dict[str, Any]) -> dict[str, Any]:
    """Return the values of a method's config by their own names, those of nested objects too."""
    leaves: dict[str, Any] = {}
    for name, value in config.items():
        leaves |= _leaves(value) if isinstance(value, dict) else {str(name): value}
    return leaves


def _shown(value: Any) -> str:
    return shortened(",".join(map(str, value)) if isinstance(value, list | tuple) else value)


def _changed(run: Run, why: str) -> InputError:
    return InputError(
        f"{run.out / STATE} was changed, or is not a run of cyclopean ({shortened(' '.join(why.split()))}); start "
        f"again from {run.out / 'last'} with --init."
    )


@contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    """Raise an `InputError` for files that cannot be written to `folder`, such as on a full disk."""
    try:
        yield
    except (InputError, OSError, RuntimeError, SafetensorError) as error:  # torch and safetensors raise their own
        remedy = "make room if the disk is full, or raise the limit of a file's size (ulimit -f)"
        sentence = f"cannot write to {folder} {why_unwritten(error, remedy)}."
        why = str(error) if isinstance(error, InputError) else sentence
        raise InputError(f"{why} Then repeat the command with --resume, if there is an earlier checkpoint.") from error
