"""The training loop, in the open. It never looks inside a sample or a method: `method(sample)` gives named losses.

Every draw is a function of the seed and of a position (of an item in the stream, of a step), so nothing but tensors and
the step is saved, and a killed run resumes bit-equal on a CPU with the same number of threads.
"""

import copy
import math
import os
import platform
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import Dataset

from cyclopean.augmentation import resize, shrunk, smallest_size
from cyclopean.errors import InputError
from cyclopean.methods.base import Method
from cyclopean.sample import Sample
from cyclopean.training import checkpoint
from cyclopean.training.loader import STOPS, Augmentation, Items, Stream, good, length, loader, mix
from cyclopean.training.log import RunLog
from cyclopean.training.options import Run
from cyclopean.training.processes import all_good, anyone, engine, launch, one_voice
from cyclopean.training.state import STATE, State, stored

Schedule = Callable[[int, int], float]  # (step, steps) -> factor of the learning rate
MakeOptimizer = Callable[[Iterable[nn.Parameter], float], Optimizer]
FINAL, SPEED = 1e-3, 2e-3  # AdaBound's rate in the end, and how fast it gets there
NOTHING = "No checkpoint was written yet."
Pictures = Callable[[Method, Sample], dict[str, Tensor]]  # name -> RGB in [0,1], 3 h w


@dataclass(frozen=True)
class Feed:
    """What a run learns from, how each item is changed, what it is judged by (without it there is no `best`), and the
    smallest size of a batch as a share of its own (`augmentation.shrunk`). `about`: sentences for people, said first.
    """

    training: Dataset[Sample]
    augment: Augmentation | None = None
    validation: Dataset[Sample] | None = None
    shrink: float = 1.0
    about: tuple[str, ...] = ()


def halving(step: int, steps: int) -> float:
    """1, a half from 3/5 of the steps, a quarter from 4/5 (Monodepth, sec. 4.1)."""
    return 0.5 ** ((step >= 0.6 * steps) + (step >= 0.8 * steps))


def tenth(step: int, steps: int) -> float:
    """1, a tenth from 3/4 of the steps (Monodepth2, sec. 4: from the 15th of 20 epochs)."""
    return 0.1 if step >= 0.75 * steps else 1.0


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


def adabound(parameters: Iterable[nn.Parameter], learning_rate: float) -> Optimizer:
    """Adam whose steps are bounded more and more closely by those of SGD at 1e-3 (Luo et al. 2019).

    The constants are those of the spherical view synthesis paper, sec. 4.
    """
    from pytorch_optimizer import AdaBound

    return AdaBound(parameters, learning_rate, final_lr=FINAL, gamma=SPEED)


def constant(step: int, steps: int) -> float:  # noqa: ARG001
    """The same learning rate from the first to the last step."""
    return 1.0


SCHEDULES = {"halving": halving, "tenth": tenth, "cosine": cosine}


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
    an `out` that holds another run, a loss that is not finite. Ctrl-C, SIGTERM and SIGHUP save, say so and raise
    `KeyboardInterrupt`.
    """
    fabric = engine(run)
    lie = _check_first(method, feed, run)
    facts = facts_of(run, feed, schedule, card)
    saved = _check_out(method, run, facts)
    launch(fabric)  # what can be refused has been
    state = _begin(method, run, fabric, optimizer, each_epoch, facts, saved)
    wrapped, optimiser = fabric.setup(method, state.optimizer)
    stream = Stream(length(feed.training), run, fabric.global_rank, fabric.world_size)
    batches = loader(Items(feed.training, feed.augment), stream.since(state.step), run, lie, fabric.device)
    with one_voice(fabric), _workers(run), RunLog(run, state.step, fabric.is_global_zero) as log, _signals() as stop:
        for sentence in feed.about:
            log.say(sentence)
        if run.precision == "bfloat16" and _imitates_bfloat16(fabric.device):
            log.say("this processor has no bfloat16 instructions: --precision float32 is many times faster here")
        if state.step >= run.steps:
            log.say(f"this run has done its {run.steps} steps; for more: --init {run.out / 'last'} and another --out")
        for batch in batches:
            sample = _sized(all_good(fabric, batch).to(fabric.device), feed, method.input_multiple, state)
            _prepare(state, schedule, fabric.global_rank)
            terms, norm = _descend(fabric, wrapped, optimiser, sample, run)
            state.advance(stream.epochs_ended(state.step))
            log.step(terms, norm, state.rate(), len(sample) * fabric.world_size)
            if fabric.is_global_zero and (state.step % run.validate_every == 0 or state.step == run.steps):
                state.judge(feed.validation, card, log)
                log.pictures(state.step, {} if pictures is None else pictures(state.published, sample))
            stopping = anyone(fabric, stop.asked)
            if fabric.is_global_zero and (stopping or state.due() or state.step == run.steps):
                state.save(card)
            if stopping:
                log.say(f"stopped after step {state.step} of {run.steps}; saved. Go on: the same command with --resume")
                fabric.barrier()  # a process that ends has the others killed, perhaps before they have saved
                raise KeyboardInterrupt
    fabric.barrier()  # the last checkpoint is there, for whichever process goes on with it
    return state.published.eval()


def _check_out(method: Method, run: Run, facts: dict[str, Any]) -> dict[str, Any] | None:
    """What the run in `out` saved, if it is to go on; else `out` is made and `method` gets the weights of `init`."""
    if run.resume:
        return stored(run, method, facts)
    run.refuse_taken()
    if run.init is not None:
        checkpoint.initialise(method, run.init)
    try:
        run.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write to {run.out}: {error.strerror}; give another --out.") from error
    return None


def _begin(  # noqa: PLR0917
    method: Method,
    run: Run,
    fabric: Fabric,
    optimizer: MakeOptimizer,
    each_epoch: Sequence[Callable[[Method], None]],
    facts: dict[str, Any],
    saved: dict[str, Any] | None,
) -> State:
    """The state to start from: fresh, or what was `saved`."""
    method.to(fabric.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    published = copy.deepcopy(method).requires_grad_(False).eval() if run.average else method
    state = State(run, method, published, optimizer(method.parameters(), run.learning_rate), tuple(each_epoch), facts)
    if saved is not None:
        state.restore(saved)
    return state


def facts_of(run: Run, feed: Feed, schedule: Schedule, card: dict[str, Any]) -> dict[str, Any]:
    """Whatever must be as it was when a run goes on, by the flags' names. Folders may have moved."""
    trained = card.get("training", {})
    return {
        "steps": None if schedule is constant else run.steps,  # only a schedule knows how many are to come
        "schedule": getattr(schedule, "__name__", ""),
        "batch-size of all devices": run.batch_size * run.devices * run.nodes,
        "learning-rate": run.learning_rate,
        "clip": run.clip,
        "precision": run.precision,
        "average": run.average,
        "data": [Path(folder).name for folder in trained.get("data", ())],
        "number of items": length(feed.training),
        "size": list(card.get("input_size", ())),
        "shrink": feed.shrink,
    }


def _check_first(method: Method, feed: Feed, run: Run) -> torch.device:
    """Refuses what cannot be learned from, before anything is written; tells where samples lie."""
    if not length(feed.training):
        raise InputError("there is nothing to learn from: the data set is empty.")
    sample = good(Items(feed.training, feed.augment)[[(0, 0)]])
    h, w = sample.depth.shape[-2:]
    m = method.input_multiple
    if h % m or w % m:
        near = "x".join(str(max(m, round(n / m) * m)) for n in (h, w))
        raise InputError(f"pictures of {h}x{w} pixels do not fit: sides must be multiples of {m}; try --size {near}.")
    least = smallest_size((h, w), feed.shrink, m)
    if feed.shrink < 1 and least == (h, w):
        raise InputError(
            f"pictures of {h}x{w} pixels have no smaller size down to {feed.shrink:g} of it whose sides are multiples "
            f"of {m}; leave --shrink out, or give a smaller share or a larger --size."
        )
    if (run.batch_size, *least) == (1, m, m) and any(isinstance(part, nn.BatchNorm2d) for part in method.modules()):
        raise InputError(
            f"one picture of {least[0]}x{least[1]} pixels has nothing to be normalised over; give --batch-size 2 or "
            "larger pictures."
        )
    with torch.no_grad():
        for size in dict.fromkeys(((h, w), least)):  # what a method refuses is refused now
            method.eval()(resize(sample, size).to(next(method.parameters()).device))
    return sample.depth.device


def _imitates_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 is put together from other instructions there (seen: 30 times slower than float32)."""
    intel_like = device.type == "cpu" and platform.machine() in ("x86_64", "AMD64")
    return intel_like and not (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def _prepare(state: State, schedule: Schedule, rank: int) -> None:
    """Learning rate and random state of the step to come; both are functions of the step."""
    for group in state.optimizer.param_groups:
        group["lr"] = state.run.learning_rate * schedule(state.step, state.run.steps)
    torch.manual_seed(mix(state.run.seed, "step", state.step, rank))
    state.method.train()


def _sized(sample: Sample, feed: Feed, multiple: int, state: State) -> Sample:
    """The batch at the size of its step, which all processes share: a function of the step, as all draws are."""
    if feed.shrink == 1:
        return sample
    drawn = torch.Generator().manual_seed(mix(state.run.seed, "size", state.step))
    return shrunk(sample, feed.shrink, multiple, drawn)


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
            f"look for broken items. {_kept(run)}"
        )
    optimiser.step()
    optimiser.zero_grad()
    return {name: value.detach() for name, value in terms.items()}, norm


@contextmanager
def _workers(run: Run) -> Iterator[None]:
    """Within it a process that reads data and is killed, such as for want of memory, is told of in a sentence."""
    try:
        yield
    except RuntimeError as error:  # torch raises it wherever this process is at that moment
        if "DataLoader worker" not in str(error):
            raise
        raise InputError(
            f"a process that reads data was killed ({str(error).splitlines()[0].rstrip('. ')}), often because memory "
            f"ran out; give less --workers, or a smaller --size or --batch-size. {_kept(run)}"
        ) from error


def _kept(run: Run) -> str:
    return "The last checkpoint is good." if (run.out / STATE).exists() else NOTHING


@dataclass
class _Stop:
    asked: bool = False


@contextmanager
def _signals() -> Iterator[_Stop]:
    """Within it, Ctrl-C, SIGTERM and SIGHUP ask to stop after the step at hand; a second one stops at once.

    One that is ignored stays so (nohup). What is written to a terminal that was closed goes nowhere.
    """
    stop, terminals = _Stop(), [fd for fd in (1, 2) if os.isatty(fd)]

    def ask(number: int, frame: Any) -> None:  # noqa: ARG001
        for fd in terminals:
            if not os.isatty(fd):
                os.dup2(os.open(os.devnull, os.O_WRONLY), fd)
        if stop.asked:
            raise KeyboardInterrupt
        stop.asked = True

    heard = [number for number in STOPS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, ask) for number in heard}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
