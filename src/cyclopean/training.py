"""The training loop, in the open. It never looks inside a sample or a method: `method(sample)` gives named losses.

Every draw is a function of the seed and of a position (of an item in the stream, of a step), so nothing but tensors and
the step is saved, and a killed run resumes bit-equal on a CPU with the same number of threads.
"""

import copy
import hashlib
import math
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Generator, Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader, Dataset, Sampler

from cyclopean import checkpoint
from cyclopean.errors import InputError
from cyclopean.methods.base import Method
from cyclopean.run import Run
from cyclopean.runlog import RunLog
from cyclopean.sample import Sample, collate

Augmentation = Callable[[Sample, Generator], Sample]
Schedule = Callable[[int, int], float]  # (step, steps) -> factor of the learning rate
MakeOptimizer = Callable[[Iterable[nn.Parameter], float], Optimizer]
Pictures = Callable[[Method, Sample], dict[str, Tensor]]  # name -> RGB in [0,1], 3 h w

STATE = "resume.pt"


@dataclass(frozen=True)
class Feed:
    """What a run learns from, how each item is changed, and what it is judged by (without it there is no `best`)."""

    training: Dataset[Sample]
    augment: Augmentation | None = None
    validation: Dataset[Sample] | None = None


def halving(step: int, steps: int) -> float:
    """1, a half from 3/5 of the steps, a quarter from 4/5 (Monodepth, sec. 4.1)."""
    return 0.5 ** ((step >= 0.6 * steps) + (step >= 0.8 * steps))


def cosine(step: int, steps: int) -> float:
    """Up over the first 3 % of the steps (at most 1000), then down to 0 along half a cosine."""
    rise = max(1, min(1000, round(0.03 * steps)))
    if step < rise:
        return (step + 1) / rise
    return 0.5 + 0.5 * math.cos(math.pi * (step - rise) / max(1, steps - rise))


def adam(parameters: Iterable[nn.Parameter], learning_rate: float) -> Optimizer:
    """Adam with its usual constants."""
    return torch.optim.Adam(parameters, lr=learning_rate)


def adamw(parameters: Iterable[nn.Parameter], learning_rate: float) -> Optimizer:
    """Adam with a decoupled weight decay of 0.01."""
    return torch.optim.AdamW(parameters, lr=learning_rate, weight_decay=0.01)


def fit(  # noqa: PLR0917
    method: Method,
    feed: Feed,
    run: Run,
    optimizer: MakeOptimizer,
    schedule: Schedule,
    card: dict[str, Any],
    pictures: Pictures | None = None,
    each_epoch: Sequence[Callable[[Method], None]] = (),
) -> Method:
    """Trains `method` and returns what is published, in eval mode: itself, or the running mean of its weights.

    `card` goes into the config of the saved models. `each_epoch` callables run each time the training set has been seen
    once more; the state of those that have a `state_dict` is saved. Raises `InputError` for data that cannot be used,
    an `out` that holds another run, a loss that is not finite. Ctrl-C saves, says so and raises `KeyboardInterrupt`.
    """
    fabric = _fabric(run)
    state = _begin(method, feed, run, fabric, optimizer, each_epoch)
    wrapped, optimiser = fabric.setup(method, state.optimizer)
    stream = _Stream(_length(feed.training), run, fabric.global_rank, fabric.world_size)
    loader = _loader(_Items(feed.training, feed.augment), stream.since(state.step), run, fabric.device)
    with RunLog(run, state.step, fabric.is_global_zero) as log, _signals() as stop:
        for batch in loader:
            sample = _good(batch).to(fabric.device)
            _prepare(state, schedule, fabric.global_rank)
            terms, norm = _descend(fabric, wrapped, optimiser, sample, run)
            state.advance(stream.epochs_ended(state.step))
            log.step(terms, norm, state.rate(), len(sample) * fabric.world_size)
            if fabric.is_global_zero and (state.step % run.validate_every == 0 or state.step == run.steps):
                state.judge(feed.validation, card, log)
                log.pictures(state.step, {} if pictures is None else pictures(state.published, sample))
            stopping = _anyone(fabric, stop.asked)
            if fabric.is_global_zero and (stopping or state.due() or state.step == run.steps):
                state.save(card)
            if stopping:
                log.say(f"stopped after step {state.step} of {run.steps}; saved. Go on: the same command with --resume")
                raise KeyboardInterrupt
    return state.published.eval()


def _fabric(run: Run) -> Fabric:
    strategy = "ddp" if run.devices * run.nodes > 1 else "auto"
    try:
        fabric = Fabric(accelerator=run.accelerator, devices=run.devices, num_nodes=run.nodes, strategy=strategy)
    except (RuntimeError, ValueError) as error:  # an accelerator that is not there, more devices than there are
        raise InputError(f"cannot use {run.devices} {run.accelerator} devices: {error}") from error
    fabric.launch()
    return fabric


def _begin(  # noqa: PLR0917
    method: Method,
    feed: Feed,
    run: Run,
    fabric: Fabric,
    optimizer: MakeOptimizer,
    each_epoch: Sequence[Callable[[Method], None]],
) -> "_State":
    """The state to start from: fresh, of another model's weights, or where the run in `out` stopped."""
    _check_first(method, feed)
    if run.init is not None:
        checkpoint.initialise(method, run.init)
    method.to(fabric.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    published = copy.deepcopy(method).requires_grad_(False).eval() if run.average else method
    state = _State(run, method, published, optimizer(method.parameters(), run.learning_rate), tuple(each_epoch))
    stored = run.out / STATE
    if run.resume:
        state.restore()
    elif stored.exists() and fabric.is_global_zero:
        raise InputError(f"{run.out} already holds a run; add --resume to go on with it, or give another --out.")
    run.out.mkdir(parents=True, exist_ok=True)
    return state


def _prepare(state: "_State", schedule: Schedule, rank: int) -> None:
    """Learning rate and random state of the step to come; both are functions of the step."""
    for group in state.optimizer.param_groups:
        group["lr"] = state.run.learning_rate * schedule(state.step, state.run.steps)
    torch.manual_seed(mix(state.run.seed, "step", state.step, rank))
    state.method.train()


def _descend(
    fabric: Fabric, wrapped: nn.Module, optimiser: Any, sample: Sample, run: Run
) -> tuple[dict[str, Tensor], float]:
    """One gradient step; the loss parts, and the gradient's norm before clipping (equal on every process)."""
    with torch.autocast(fabric.device.type, torch.bfloat16, enabled=run.precision == "bfloat16"):
        terms = wrapped(sample)
    fabric.backward(torch.stack(list(terms.values())).sum())
    total = fabric.clip_gradients(wrapped, optimiser, max_norm=run.clip or math.inf, error_if_nonfinite=False)
    norm = float(total)  # type: ignore[arg-type]
    if not math.isfinite(norm):
        parts = ", ".join(f"{name} {value.item():.3g}" for name, value in terms.items())
        raise InputError(
            f"the loss or its gradient is not finite ({parts}, gradient {norm}); lower --learning-rate, set --clip, or "
            "look for broken items: the last checkpoint is good."
        )
    optimiser.step()
    optimiser.zero_grad()
    return {name: value.detach() for name, value in terms.items()}, norm


# --- what is saved ----------------------------------------------------------------------------------------------------


@dataclass
class _State:
    """Everything that a step changes."""

    run: Run
    method: Method
    published: Method
    optimizer: Optimizer
    each_epoch: tuple[Callable[[Method], None], ...]
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
            checkpoint.save(self.run.out / "best", self.published, self._card(card))

    def save(self, card: dict[str, Any]) -> None:
        """`last` for people, and the private file to resume from: both appear by rename."""
        self._clock()
        checkpoint.save(self.run.out / "last", self.published, self._card(card))
        values = {
            "step": self.step,
            "best": self.best,
            "seconds": self.seconds,
            "seed": self.run.seed,
            "config": {"method": self.method.name, **self.method.config()},
            "method": self.method.state_dict(),
            "published": None if self.published is self.method else self.published.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "each_epoch": [c.state_dict() if hasattr(c, "state_dict") else None for c in self.each_epoch],
        }
        partial = self.run.out / f".{STATE}.partial"
        torch.save(values, partial)
        os.replace(partial, self.run.out / STATE)
        self._saved = time.monotonic()

    def restore(self) -> None:
        """Back to where the run in `out` was saved last."""
        path = self.run.out / STATE
        try:
            values = torch.load(path, map_location="cpu", weights_only=True)
        except FileNotFoundError as error:
            raise InputError(f"{self.run.out} holds no run to resume; leave --resume out to start one.") from error
        except Exception as error:  # whatever a damaged file makes the unpickler raise
            raise InputError(f"{path} is damaged; start again from {self.run.out / 'last'} with --init.") from error
        ours = {"method": self.method.name, **self.method.config()}
        if values["config"] != ours or values["seed"] != self.run.seed:
            raise InputError(
                f"{self.run.out} was trained with {values['config']} and seed {values['seed']}, this command says "
                f"{ours} and seed {self.run.seed}; repeat the first command with --resume."
            )
        if (values["published"] is None) != (self.published is self.method):
            raise InputError(f"{self.run.out} was trained with another --average; repeat the first command.")
        self.method.load_state_dict(values["method"])
        if values["published"] is not None:
            self.published.load_state_dict(values["published"])
        self.optimizer.load_state_dict(values["optimizer"])
        for call, stored in zip(self.each_epoch, values["each_epoch"], strict=True):
            if stored is not None:
                call.load_state_dict(stored)  # type: ignore[attr-defined]
        self.step, self.best, self.seconds = values["step"], values["best"], values["seconds"]

    def _clock(self) -> None:
        now = time.monotonic()
        self.seconds, self._since = self.seconds + now - self._since, now

    def _card(self, card: dict[str, Any]) -> dict[str, Any]:
        self._clock()
        validation = self.best if math.isfinite(self.best) else None
        facts = {"step": self.step, "seconds": round(self.seconds), "validation": validation}
        return {**card, "training": {**card.get("training", {}), **facts}}


@torch.no_grad()
def _evaluate(method: Method, data: Dataset[Sample], run: Run) -> dict[str, float]:
    """Mean of each loss part over `data`, with the method in eval mode."""
    torch.manual_seed(mix(run.seed, "validation"))
    device = next(method.parameters()).device
    method.eval()
    sums: dict[str, float] = {}
    n = _length(data)
    for start in range(0, n, run.batch_size):
        sample = _one_batch([data[i] for i in range(start, min(n, start + run.batch_size))]).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=run.precision == "bfloat16"):
            terms = method.losses(sample)
        sums = {name: sums.get(name, 0.0) + value.item() * len(sample) / n for name, value in terms.items()}
    return sums


# --- data -------------------------------------------------------------------------------------------------------------


def mix(*parts: int | str) -> int:
    """A seed out of names and numbers, the same on every machine."""
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()) >> 1


class _Stream(Sampler[list[tuple[int, int]]]):
    """Batches of (index, seed): one endless shuffled stream of items, dealt to the processes.

    An item's seed depends on its position in the stream only: two processes with a batch of 4 see what one with 8 sees.
    """

    def __init__(self, length: int, run: Run, rank: int, processes: int, start: int = 0) -> None:
        self.length, self.run, self.rank, self.processes, self.start = length, run, rank, processes, start
        self._epoch, self._order = -1, list[int]()

    def since(self, step: int) -> "_Stream":
        """The same stream from `step` on."""
        return _Stream(self.length, self.run, self.rank, self.processes, step)

    def epochs_ended(self, step: int) -> int:
        """How often the last item of the training set is in the batch of `step`."""
        each = self.run.batch_size * self.processes
        return (step + 1) * each // self.length - step * each // self.length

    def __len__(self) -> int:
        return max(0, self.run.steps - self.start)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        size = self.run.batch_size
        for step in range(self.start, self.run.steps):
            first = (step * self.processes + self.rank) * size
            yield [self._item(position) for position in range(first, first + size)]

    def _item(self, position: int) -> tuple[int, int]:
        epoch, place = divmod(position, self.length)
        if epoch != self._epoch:
            generator = Generator().manual_seed(mix(self.run.seed, "order", epoch))
            self._epoch, self._order = epoch, torch.randperm(self.length, generator=generator).tolist()
        return self._order[place], mix(self.run.seed, "item", position)


@dataclass(frozen=True)
class _Items(Dataset[Any]):
    """Batches of changed items. An `InputError` is handed over as a value: loaders garble what workers raise."""

    data: Dataset[Sample]
    augment: Augmentation | None

    def __getitem__(self, draws: list[tuple[int, int]]) -> Sample | InputError:
        try:
            return _one_batch([self._changed(index, seed) for index, seed in draws])
        except InputError as error:
            return error

    def _changed(self, index: int, seed: int) -> Sample:
        sample = self.data[index]
        return sample if self.augment is None else self.augment(sample, Generator().manual_seed(seed))


def _loader(items: _Items, stream: _Stream, run: Run, device: torch.device) -> DataLoader[Any]:
    return DataLoader(
        items,
        batch_size=None,
        sampler=stream,
        num_workers=run.workers,
        collate_fn=_as_it_is,
        prefetch_factor=4 if run.workers else None,
        pin_memory=device.type == "cuda",
        worker_init_fn=_start_worker,
    )


def _as_it_is(batch: Any) -> Any:
    return batch


def _start_worker(_: int) -> None:
    """Workers leave Ctrl-C to the main process, die of SIGTERM as usual, and use one core each."""
    import cv2

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    cv2.setNumThreads(0)


def _good(batch: Sample | InputError) -> Sample:
    if isinstance(batch, InputError):
        raise batch
    return batch


def _one_batch(samples: list[Sample]) -> Sample:
    sizes = {tuple(s.depth.shape[-2:]) for s in samples}
    if len(sizes) > 1:
        raise InputError(f"pictures of one batch have different sizes {sorted(sizes)}; give one with --size.")
    return collate(samples)


def _length(data: Dataset[Sample]) -> int:
    return len(data)  # type: ignore[arg-type]


def _check_first(method: Method, feed: Feed) -> None:
    """Refuses an empty set and sizes the network cannot take, before anything is written."""
    if not _length(feed.training):
        raise InputError("there is nothing to learn from: the data set is empty.")
    sample = _good(_Items(feed.training, feed.augment)[[(0, 0)]])
    h, w = sample.depth.shape[-2:]
    m = method.input_multiple
    if h % m or w % m:
        near = "x".join(str(max(m, round(n / m) * m)) for n in (h, w))
        raise InputError(f"pictures of {h}x{w} pixels do not fit: sides must be multiples of {m}; try --size {near}.")


# --- stopping ---------------------------------------------------------------------------------------------------------


@dataclass
class _Stop:
    asked: bool = False


@contextmanager
def _signals() -> Iterator[_Stop]:
    """Within it, Ctrl-C and SIGTERM ask to stop after the step at hand; a second Ctrl-C stops at once."""
    stop = _Stop()

    def ask(number: int, frame: Any) -> None:  # noqa: ARG001
        if stop.asked:
            raise KeyboardInterrupt
        stop.asked = True

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _anyone(fabric: Fabric, asked: bool) -> bool:
    """Whether any process was asked to stop: all must stop after the same step."""
    if fabric.world_size == 1:
        return asked
    flag = torch.tensor(float(asked), device=fabric.device)
    return bool(fabric.all_reduce(flag, reduce_op="sum").item())  # type: ignore[union-attr]
