"""The training loop: `method(sample)` returns named losses. Only the check before it looks at sizes and layers.

Every random draw is a function of the seed and of a position (of an item in the stream, of a step), so nothing but
tensors and the step is saved, and a killed run resumes bit-equal on a CPU with the same number of threads.
"""

import copy
import ctypes
import math
import os
import platform
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from cyclopean.augmentation import derived_seed, resize, smallest_size
from cyclopean.errors import InputError, lacks_memory
from cyclopean.geometry import size_of
from cyclopean.io.files import reserved
from cyclopean.methods.base import Method
from cyclopean.processes import STOPS, ended_children
from cyclopean.sample import Sample, implausible_numbers
from cyclopean.training import checkpoint
from cyclopean.training.dataset import TrainData
from cyclopean.training.dataset_wrappers import length
from cyclopean.training.loader import Batches, Stream, loader
from cyclopean.training.log import RunLog
from cyclopean.training.optimisation import MakeOptimizer, Schedule
from cyclopean.training.options import Run
from cyclopean.training.state import STATE, State, read_state, resume_facts

TOGETHER = 1.0  # seconds within which signals are one: timeout(1) sends its own twice
PATIENCE = 3.0  # seconds in which a second signal is acted on between two calls of torch; then the process is ended
SMALL = 128 * 416  # pixels, of the size that is advised without a GPU
END = 0  # no signal's number
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h: bytes
Pictures = Callable[[Method, Sample], dict[str, Tensor]]  # name -> RGB in [0,1], 3 h w


def fit(  # noqa: PLR0912, PLR0915
    method: Method,
    data: TrainData,
    run: Run,
    optimizer: MakeOptimizer,
    schedule: Schedule,
    *,
    card: dict[str, Any],
    pictures: Pictures | None = None,
    each_epoch: Sequence[Callable[[Method], None]] = (),
    seconds: float | None = None,
) -> Method:
    """Train `method` and return it, or the running mean of its weights, in eval mode.

    `card` goes into the config of the saved models. `each_epoch` callables run after each pass over the training set;
    the state of those with a `state_dict` is saved. After `seconds` of training, over all resumes, the run ends even if
    steps are left. Raises `InputError` for data that cannot be used, an `out` that holds another run or is being
    written by one, and a loss that is not finite. On Ctrl-C, SIGTERM and SIGHUP the run is saved, which is logged, and
    `KeyboardInterrupt` is raised.
    """
    fabric = _fabric(run)
    if fabric.device.type == "cpu":
        _keep_freed_memory()
    with _refused_memory_errors(run):
        data_device = _check_first_batch(method, data, run)
    facts = resume_facts(run, data, getattr(schedule, "__name__", ""), card)
    saved = read_state(run, method, facts) if run.resume else None
    if saved is None:
        run.refuse_taken()
        if run.init is not None:
            checkpoint.initialise(method, run.init)
        try:
            run.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot write to {run.out}: {error.strerror}; give another --out.") from error
    if "LT_CLI_USED" not in os.environ:  # `fabric run` has started the processes, and fails at a second start
        fabric.launch()  # the other processes run the whole command again

    method.to(fabric.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    ema_model = copy.deepcopy(method).requires_grad_(False).eval() if run.ema_decay else method
    optimiser = optimizer(method.parameters(), run.learning_rate)
    state = State(run, method, ema_model, optimiser, tuple(each_epoch), facts)
    if saved is not None:
        state.restore(saved)
    wrapped, stepper = fabric.setup(method, optimiser)
    stream = Stream(length(data.training), run, fabric.global_rank, fabric.world_size, state.step)
    batches = Batches(data, run.seed, method.input_multiple)

    with (
        _refused_memory_errors(run),  # outside `_rank_zero_errors`, since one process alone may meet them
        _rank_zero_errors(fabric),
        _killed_worker_errors(run),
        _reserved_by_rank_zero(fabric, run),
        RunLog(run, state.step, fabric.is_global_zero) as log,
        _stop_signals(log, run) as stop,
        ended_children() as begin,
    ):
        for sentence in (*data.about, *_remarks(run, state, fabric.device)):
            log.say(sentence)
        for batch in loader(batches, stream, run.workers, data_device, fabric.device, begin=begin):
            sample = _all_ranks_read(fabric, batch).to(fabric.device)
            for group in optimiser.param_groups:
                group["lr"] = run.learning_rate * schedule(state.step, run.steps)
            torch.manual_seed(derived_seed(run.seed, "step", state.step, fabric.global_rank))

            method.train()
            with torch.autocast(fabric.device.type, torch.bfloat16, enabled=run.precision == "bfloat16"):
                losses = wrapped(sample)
            fabric.backward(torch.stack(list(losses.values())).sum())
            # The norm before clipping, equal on every process.
            most = run.clip_grad_norm or math.inf
            norm = float(fabric.clip_gradients(wrapped, stepper, max_norm=most, error_if_nonfinite=False))  # type: ignore[arg-type]
            if not math.isfinite(norm):
                parts = ", ".join(f"{name} {value.item():.3g}" for name, value in losses.items())
                remedy = "lower --learning-rate, set --clip-grad-norm, or look for broken items (cyclopean check)"
                if odd := implausible_numbers(sample):
                    remedy = f"its batch holds {odd}; mend or remove that (cyclopean check looks for more)"
                raise InputError(
                    f"the loss or its gradient is not finite ({parts}, gradient {norm}): {remedy}. "
                    f"{_last_checkpoint(run)}"
                )
            stepper.step()
            stepper.zero_grad()
            state.advance(stream.epochs_ended(state.step))
            log.step(
                {name: value.detach() for name, value in losses.items()},
                norm,
                optimiser.param_groups[0]["lr"],
                len(sample) * fabric.world_size,
            )

            last = state.step == run.steps or (seconds is not None and state.elapsed() > seconds)
            if fabric.is_global_zero and (state.step % run.validate_every == 0 or last):
                if data.validation is not None:
                    state.validate(data.validation, card, log)
                if pictures is not None:
                    log.pictures(state.step, pictures(ema_model, sample))
            stopping = _any_rank(fabric, stop.requested)
            if fabric.is_global_zero and (stopping or last or state.seconds_since_save() >= run.save_every):
                state.save(card)
            if stopping:
                log.say(
                    f"stopped after step {state.step} of {run.steps}; saved. "
                    "To continue: the same command with --resume"
                )
                fabric.barrier()  # launchers kill the others when one process ends, perhaps before they have saved
                raise KeyboardInterrupt
            if last:
                break
    fabric.barrier()  # the last checkpoint exists before any process continues from it
    return ema_model.eval()


def training_device(run: Run) -> torch.device:
    """Return the device that `fit` trains on in this process. Raises `InputError` for devices that do not exist."""
    return _fabric(run).device


# --- before the first step --------------------------------------------------------------------------------------------


def _fabric(run: Run) -> Fabric:
    """Return the Fabric for the devices of `run`; no other process is started yet.

    Raises `InputError` for devices that do not exist.
    """
    strategy = "ddp" if run.devices * run.nodes > 1 else "auto"
    try:
        return Fabric(accelerator=run.accelerator, devices=run.devices, num_nodes=run.nodes, strategy=strategy)
    except (RuntimeError, ValueError) as error:  # a missing accelerator, or more devices than exist
        raise InputError(f"cannot use {run.devices} {run.accelerator} devices: {error}") from error


def _keep_freed_memory() -> None:
    """Let this process keep the memory of tensors that it frees. By default glibc gives large blocks back, and the
    system clears them page by page again in every step."""
    if sys.platform == "linux":
        with suppress(AttributeError):  # another C library than glibc
            adjust = ctypes.CDLL(None).mallopt
            adjust(M_MMAP_THRESHOLD, 1 << 30)
            adjust(M_TRIM_THRESHOLD, (1 << 31) - 1)


def _check_first_batch(method: Method, data: TrainData, run: Run) -> torch.device:
    """Try the losses at the largest and the smallest size, and return the device of the samples.

    Raises `InputError` for data that cannot be trained on, before anything is written.
    """
    if not length(data.training):
        raise InputError("there is nothing to train on: the data set is empty.")
    m = method.input_multiple
    sample = Batches(TrainData(data.training, data.augment), run.seed, m)[0, [(0, 0)]]
    if isinstance(sample, InputError):
        raise sample
    h, w = size_of(sample.depth)
    if h % m or w % m:
        near = "x".join(str(max(m, round(n / m) * m)) for n in (h, w))
        small = max(1, round(h / m * (SMALL / (h * w)) ** 0.5)), max(1, round(w / m * (SMALL / (h * w)) ** 0.5))
        sooner = f" or, without a GPU, {small[0] * m}x{small[1] * m}" if small[0] * small[1] * m * m < h * w / 2 else ""
        raise InputError(
            f"pictures of {h}x{w} pixels do not fit: sides must be multiples of {m}; try --size {near}{sooner}."
        )
    least = smallest_size((h, w), data.shrink, m)
    if data.shrink < 1 and least == (h, w):
        raise InputError(
            f"pictures of {h}x{w} pixels have no smaller size down to {data.shrink:g} of it whose sides are multiples "
            f"of {m}; leave --min-scale out, or give a smaller share or a larger --size."
        )
    if (run.batch_size, *least) == (1, m, m) and any(isinstance(part, nn.BatchNorm2d) for part in method.modules()):
        raise InputError(
            f"one picture of {least[0]}x{least[1]} pixels is too little for batch normalisation; give --batch-size 2 "
            "or larger pictures."
        )
    with torch.no_grad():
        for size in dict.fromkeys(((h, w), least)):
            method.eval()(resize(sample, size).to(next(method.parameters()).device))
    return sample.depth.device


def emulates_bfloat16(device: torch.device) -> bool:
    """Say whether a device is a processor without instructions for bfloat16: it takes 8 to 30 times as long as
    float32."""
    intel_like = device.type == "cpu" and platform.machine() in ("x86_64", "AMD64")
    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return intel_like and not native


def _remarks(run: Run, state: State, device: torch.device) -> Iterator[str]:
    """Yield sentences about a run that is slower than necessary, or already complete."""
    if run.precision == "bfloat16" and emulates_bfloat16(device):
        yield "this processor has no bfloat16 instructions: --precision float32 is many times faster here"
    if state.step >= run.steps:
        yield (
            f"this run has completed its {run.steps} steps; for more, start from {run.out / 'last'} (--init of train, "
            "--model of adapt) with another --out"
        )


def _last_checkpoint(run: Run) -> str:
    return "The last checkpoint is good." if (run.out / STATE).exists() else "No checkpoint has been written yet."


# --- several processes, and signals -----------------------------------------------------------------------------------


@contextmanager
def _rank_zero_errors(fabric: Fabric) -> Iterator[None]:
    """Let the first process alone raise the `InputError`s and Ctrl-C that every process meets after the same step.

    The others end with exit code 0, since a launcher kills the first when another fails, perhaps before its message.
    """
    try:
        yield
    except (InputError, KeyboardInterrupt) as error:
        if fabric.is_global_zero:
            raise
        raise SystemExit(0) from error


@contextmanager
def _reserved_by_rank_zero(fabric: Fabric, run: Run) -> Iterator[None]:
    """Keep the run's folder for it until it ends. Raises `InputError` on all processes if another run has the folder,
    or has filled it since this one looked."""
    with ExitStack() as held:
        why = ""
        if fabric.is_global_zero:
            try:
                held.enter_context(reserved(run.out))
                run.refuse_taken()
            except InputError as error:
                why = str(error)
        if _any_rank(fabric, bool(why)):
            raise InputError(why)
        yield


@contextmanager
def _killed_worker_errors(run: Run) -> Iterator[None]:
    """Raise an `InputError` for a process that reads data and was killed, such as for lack of memory."""
    try:
        yield
    # a RuntimeError wherever this process is at that moment; the others where it fetches a batch from the dead one
    except (RuntimeError, ConnectionError, EOFError) as error:
        said = str(error)
        of_data = said.startswith("Caught ")  # an error inside a process that lives, which torch raises again here
        if run.workers == 0 or of_data or (isinstance(error, RuntimeError) and "DataLoader worker" not in said):
            raise
        reason = (said.splitlines() or [type(error).__name__])[0].rstrip(". ")
        raise InputError(
            f"a process that reads data was killed ({reason}), often because memory "
            f"ran out; give fewer --workers, or a smaller --size or --batch-size. {_last_checkpoint(run)}"
        ) from error


@contextmanager
def _refused_memory_errors(run: Run) -> Iterator[None]:
    """Raise an `InputError` where steps or validation are refused memory."""
    try:
        yield
    except Exception as error:
        if isinstance(error, InputError) or not lacks_memory(error):
            raise
        raise InputError(
            f"training with a batch of {run.batch_size} needs more memory than is free; give a smaller --batch-size or "
            f"--size{', or fewer --workers' if run.workers else ''}. {_last_checkpoint(run)}"
        ) from error


def _any_rank(fabric: Fabric, flag: bool) -> bool:
    """Return whether `flag` is set on any process."""
    if fabric.world_size == 1:
        return flag
    total = fabric.all_reduce(torch.tensor(float(flag), device=fabric.device), reduce_op="sum")
    return bool(total.item())  # type: ignore[union-attr]


def _all_ranks_read(fabric: Fabric, batch: Sample | InputError) -> Sample:
    """Return `batch` if every process has one; else raise one process's `InputError` on all, so that none waits for
    it."""
    error = batch if isinstance(batch, InputError) else None
    if _any_rank(fabric, error is not None):
        messages = [str(error) if error else None]
        if fabric.world_size > 1:
            messages *= fabric.world_size
            torch.distributed.all_gather_object(messages, str(error) if error else None)
        raise InputError(next(message for message in messages if message is not None))
    return batch  # type: ignore[return-value]


@dataclass
class _Stop:
    requested: bool = False
    since: float = 0.0


@contextmanager
def _stop_signals(log: RunLog, run: Run) -> Iterator[_Stop]:
    """Let Ctrl-C, SIGTERM and SIGHUP stop the run after the step at hand, which is logged at once; a second one, more
    than `TOGETHER` seconds later, stops at once.

    Ignored signals stay ignored (nohup). Output to a closed terminal is discarded.
    """
    stop, ended, terminals = _Stop(), threading.Event(), [fd for fd in (1, 2) if os.isatty(fd)]

    def handle(number: int, frame: Any) -> None:  # noqa: ARG001
        for fd in terminals:
            if not os.isatty(fd):
                os.dup2(os.open(os.devnull, os.O_WRONLY), fd)
        if stop.requested and time.monotonic() - stop.since > TOGETHER:
            raise KeyboardInterrupt
        if not stop.requested:
            stop.requested, stop.since = True, time.monotonic()

    def watch() -> None:
        """Act on signals while the main thread is inside a long call of torch, after which alone `handle` is called."""
        first = 0.0
        while (number := reader.recv(1)[0]) != END:
            if number not in handled:
                continue
            with suppress(OSError):  # of a terminal that was closed
                if not first:
                    first = time.monotonic()
                    log.say(
                        "stopping: the step at hand is finished and saved first, a second signal stops at once. "
                        f"{_last_checkpoint(run)}"
                    )
                elif time.monotonic() - first > TOGETHER and not ended.wait(PATIENCE):
                    log.say(f"stopped inside a step. {_last_checkpoint(run)}")
                    os._exit(128 + signal.SIGINT)

    handled = [number for number in STOPS if signal.getsignal(number) is not signal.SIG_IGN]
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    woken = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    before = {number: signal.signal(number, handle) for number in handled}
    try:
        yield stop
    finally:
        ended.set()
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(woken)
        writer.send(bytes([END]))
        watcher.join()
        reader.close()
        writer.close()
