"""Everything that a step changes, and how it is kept on disc."""

import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch.optim import Optimizer
from torch.utils.data import Dataset

from cyclopean.choices import STATE
from cyclopean.errors import InputError, why_unwritten
from cyclopean.io.files import shortened
from cyclopean.methods.base import Method
from cyclopean.sample import Sample
from cyclopean.training import checkpoint
from cyclopean.training.loader import length, mix, one_batch, several
from cyclopean.training.log import RunLog
from cyclopean.training.options import Run

KEPT: dict[str, Any] = {  # what the state holds at least, and of which type
    **{"step": int, "best": float, "seconds": float, "config": dict, "method": dict, "optimizer": dict},
    **{"seed": object, "published": dict | None, "each_epoch": list},
}


@dataclass
class State:
    """Everything that a step changes."""

    run: Run
    method: Method
    published: Method
    optimizer: Optimizer
    each_epoch: tuple[Callable[[Method], None], ...]
    facts: dict[str, Any]  # what must be as it was when the run goes on
    step: int = 0
    best: float = math.inf
    seconds: float = 0.0  # of training so far, over all resumes
    _since: float = field(default_factory=time.monotonic)
    _saved: float = field(default_factory=time.monotonic)

    def rate(self) -> float:
        return self.optimizer.param_groups[0]["lr"]

    def due(self) -> bool:
        return time.monotonic() - self._saved >= self.run.save_every

    @torch.no_grad()
    def advance(self, epochs_ended: int) -> None:
        """Counts a step, and lets the running mean of the weights follow (faster at first)."""
        self.step += 1
        if self.published is not self.method:
            decay = min(self.run.average, self.step / (10 + self.step))
            for mean, now in zip(self.published.parameters(), self.method.parameters(), strict=True):
                mean.lerp_(now, 1 - decay)
            for kept, buffer in zip(self.published.buffers(), self.method.buffers(), strict=True):
                kept.copy_(buffer)
        for _ in range(epochs_ended):
            for call in self.each_epoch:
                call(self.method)

    def judge(self, validation: Dataset[Sample] | None, card: dict[str, Any], log: RunLog) -> None:
        """Mean losses on the validation set; a new best model is saved at once."""
        if validation is None:
            return
        terms = _evaluate(self.published, validation, self.run)
        total = sum(terms.values())
        log.validation(self.step, total, terms)
        if total < self.best:
            self.best = total
            with written(self.run.out / "best" / ".model.safetensors.partial"):
                checkpoint.save(self.run.out / "best", self.published, self._card(card))

    def save(self, card: dict[str, Any]) -> None:
        """`last` for people, and the private file to resume from: both appear by rename."""
        self._clock()
        with written(self.run.out / "last" / ".model.safetensors.partial"):
            checkpoint.save(self.run.out / "last", self.published, self._card(card))
        values = {
            "step": self.step,
            "best": self.best,
            "seconds": self.seconds,
            "seed": self.run.seed,
            "facts": self.facts,
            "config": {"method": self.method.name, **self.method.config()},
            "method": self.method.state_dict(),
            "published": None if self.published is self.method else self.published.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "each_epoch": [c.state_dict() if hasattr(c, "state_dict") else None for c in self.each_epoch],
        }
        partial = self.run.out / f".{STATE}.partial"
        with written(partial):
            torch.save(values, partial)
            os.replace(partial, self.run.out / STATE)
        self._saved = time.monotonic()

    def restore(self, values: dict[str, Any]) -> None:
        """Go back to where a run was saved, of which `stored` has read `values`.

        Raises InputError for values that do not fit this run.
        """
        try:
            self.method.load_state_dict(values["method"])
            if values["published"] is not None:
                self.published.load_state_dict(values["published"])
            self.optimizer.load_state_dict(values["optimizer"])
            for call, stored in zip(self.each_epoch, values["each_epoch"], strict=True):
                if stored is not None:
                    call.load_state_dict(stored)  # type: ignore[attr-defined]
        except Exception as error:  # torch and optimizers have no base class for what does not fit
            raise _changed(self.run, f"{type(error).__name__}: {error}") from error
        self.step, self.best, self.seconds = values["step"], values["best"], values["seconds"]

    def _clock(self) -> None:
        now = time.monotonic()
        self.seconds, self._since = self.seconds + now - self._since, now

    def _card(self, card: dict[str, Any]) -> dict[str, Any]:
        self._clock()
        validation = self.best if math.isfinite(self.best) else None
        facts = {"step": self.step, "seconds": round(self.seconds), "validation": validation}
        return {**card, "training": {**card.get("training", {}), **facts}}


@contextmanager
def written(partial: Path) -> Iterator[None]:
    """Within it, what cannot be written, on a full disk say, is an `InputError`; the unfinished file is removed."""
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:  # torch and safetensors raise their own
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        why = why_unwritten(error, "make room if the disk is full, or raise the limit of a file's size (ulimit -f)")
        raise InputError(
            f"{partial.parent} cannot be written to {why}, then give the same command with --resume, if an earlier "
            "checkpoint is there."
        ) from error


def stored(run: Run, method: Method, facts: dict[str, Any]) -> dict[str, Any]:
    """What the run in `out` saved last. Raises `InputError` if it is none that this command can go on with."""
    run.refuse_taken()
    path = run.out / STATE
    try:
        values = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged file makes the unpickler raise
        raise InputError(f"{path} is damaged; start again from {run.out / 'last'} with --init.") from error
    if not isinstance(values, dict) or not values.keys() >= KEPT.keys():
        raise _changed(run, "it lacks what a run keeps")
    if wrong := [key for key, kind in KEPT.items() if not isinstance(values[key], kind)]:
        raise _changed(run, f"its {', '.join(wrong)} cannot be")
    if values["step"] < 0 or not values["seconds"] >= 0 or math.isnan(values["best"]):
        raise _changed(run, "its numbers cannot be")
    ours = {"method": method.name, **method.config()}
    if values["config"] != ours or values["seed"] != run.seed:
        raise InputError(
            f"{run.out} was trained with {shortened(values['config'])} and seed {shortened(values['seed'])}, this "
            f"command says {shortened(ours)} and seed {run.seed}; repeat the first command with --resume."
        )
    if (values["published"] is None) != (run.average == 0):
        raise InputError(f"{run.out} was trained with another --ema-decay; repeat the first command.")
    then = values.get("facts", facts)  # older runs have kept none
    if not isinstance(then, dict):
        raise _changed(run, "its facts cannot be")
    _check_facts(run, then, facts)
    return values


def _changed(run: Run, why: str) -> InputError:
    return InputError(
        f"{run.out / STATE} was changed, or is no run of cyclopean ({shortened(' '.join(why.split()))}); start again "
        f"from {run.out / 'last'} with --init."
    )


def _check_facts(run: Run, then: dict[str, Any], now: dict[str, Any]) -> None:
    then = {"shrink": 1.0, **then}  # runs of before there was any
    changed = [name for name in now if name in then and then[name] != now[name]]
    if changed:
        said = (", ".join(f"{name} {_word(values.get(name))}" for name in changed) for values in (then, now))
        raise InputError(
            f"{run.out} was trained with {next(said)}, this command says {next(said)}; repeat the first command with "
            f"--resume, or start anew from {run.out / 'last'} with --init and another --out."
        )


def _word(value: Any) -> str:
    return shortened(",".join(map(str, value)) if isinstance(value, list) else value)


@torch.no_grad()
def _evaluate(method: Method, data: Dataset[Sample], run: Run) -> dict[str, float]:
    """Mean of each loss part over `data`, with the method in eval mode."""
    torch.manual_seed(mix(run.seed, "validation"))
    device = next(method.parameters()).device
    method.eval()
    sums: dict[str, float] = {}
    n = length(data)
    for start in range(0, n, run.batch_size):
        sample = one_batch(several(data, list(range(start, min(n, start + run.batch_size))))).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=run.precision == "bfloat16"):
            terms = method.losses(sample)
        sums = {name: sums.get(name, 0.0) + value.item() * len(sample) / n for name, value in terms.items()}
    return sums
