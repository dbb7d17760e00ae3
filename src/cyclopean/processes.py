"""Child processes that share work: one rule for how they begin and end.

Ctrl-C, schedulers and closed terminals signal the whole group of processes. Children ignore that: the main process
decides what is finished and saved first. A child ends by itself when the other end of its pipe closes: its work is no
longer wanted, or the main process was killed. It removes what it is writing, and takes some seconds at most for that,
so that the end of the main process never waits longer.
"""

import concurrent.futures
import itertools
import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from functools import partial
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from cyclopean.errors import InputError

STOPS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
WAKE = getattr(signal, "SIGUSR1", None)  # by which a child's watching thread interrupts its main thread
CLEANING = 3.0  # seconds that a child has for removing what it was writing
AHEAD = 2  # inputs of each process that wait or are worked on
RESTARTS = 3  # in a row without an input done between: processes are killed, often for lack of memory

Input = TypeVar("Input", bound=Hashable)
Result = TypeVar("Result")


@contextmanager
def ended_children() -> Iterator[Callable[..., None]]:
    """Yield what child processes call first (any arguments are ignored): they end with the block.

    They use one core each, and may be forked or spawned.
    """
    reader, writer = multiprocessing.Pipe(duplex=False)
    try:
        yield partial(_begin, reader, writer)
    finally:
        writer.close()
        reader.close()


def in_processes(
    do: Callable[[Input], Result], inputs: Iterable[Input], workers: int, killed: Callable[[Input], Result]
) -> Generator[Result, None, None]:
    """Yield `do(input)` for each of `inputs`, in any order, computed by so many processes.

    `do`, inputs and results are sent between processes. Inputs are taken as processes are free. A process that is
    killed is replaced and what was begun is done again, an input at a time, to see which one kills: for that,
    `killed(input)` is yielded. Raises what `do` raises, and `InputError` if processes die without any input done.
    """
    waiting, ready = iter(inputs), deque[Input]()
    kills: dict[Input, int] = {}  # inputs not yet done, and how often a process was killed that may have had them
    in_a_row = 0
    while True:
        begun: dict[concurrent.futures.Future[Result], Input] = {}
        try:
            with _pool(workers) as pool:
                while True:
                    at_once = 1 if kills else AHEAD * workers
                    ready.extend(itertools.islice(waiting, max(0, at_once - len(ready) - len(begun))))
                    while ready and len(begun) < at_once:
                        with _signals_blocked():  # in a process that begins, until it ignores them
                            begun[pool.submit(_work, do, ready[0])] = ready[0]
                        ready.popleft()
                    if not begun:
                        return
                    finished, _ = concurrent.futures.wait(begun, return_when=concurrent.futures.FIRST_COMPLETED)
                    for future in finished:
                        result = future.result()
                        kills.pop(begun.pop(future), None)
                        in_a_row = 0
                        yield result
        except BrokenProcessPool:
            in_a_row += 1
            if in_a_row == RESTARTS:
                raise InputError(
                    f"processes were killed {RESTARTS} times in a row, often because memory ran out; repeat the "
                    "command with fewer --workers: it continues where it stopped."
                ) from None
            suspects = list(begun.values())
            for one in suspects:
                kills[one] = kills.get(one, 0) + 1
            if len(suspects) == 1 and kills[suspects[0]] > 1:
                del kills[suspects[0]]
                yield killed(suspects[0])
            else:
                ready.extendleft(reversed(suspects))


@contextmanager
def _pool(workers: int) -> Iterator[concurrent.futures.ProcessPoolExecutor]:
    """Yield a pool of processes; wait until they have ended, some seconds at most, whatever they are at."""
    with ExitStack() as stack:
        begin = stack.enter_context(ended_children())
        pool = concurrent.futures.ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=begin)
        try:
            yield pool
        finally:
            with _signals_deferred():
                processes = list(pool._processes.values())
                stack.close()
                for process in processes:
                    process.join(CLEANING + 1)
                    process.kill()
                pool.shutdown()


def _begin(reader: Connection, writer: Connection, *_: Any) -> None:
    writer.close()  # this process's own: the main process has the other
    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
    unwanted = threading.Event()

    def end(number: int, frame: Any) -> None:  # noqa: ARG001
        if unwanted.is_set():  # else somebody else has sent it
            signal.signal(number, signal.SIG_IGN)
            raise SystemExit

    def watch() -> None:
        reader.poll(None)  # until the pipe is closed
        unwanted.set()
        if WAKE is not None:
            signal.pthread_kill(threading.main_thread().ident or 0, WAKE)
            time.sleep(CLEANING)
        os._exit(0)  # 0: PyTorch's loaders raise an error in the main process for other numbers

    if WAKE is not None:
        signal.signal(WAKE, end)
    threading.Thread(target=watch, daemon=True).start()

    import cv2
    import torch

    cv2.setNumThreads(0)
    torch.set_num_threads(1)


def _work(do: Callable[[Input], Result], one: Input) -> Result:
    try:
        return do(one)
    except SystemExit:  # raised by `end`; the pool would go on with its next input
        os._exit(0)


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Let processes begin with `STOPS` blocked (not on Windows)."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _signals_deferred() -> Iterator[None]:
    """Act on the first of `STOPS` that comes in the block after it."""
    if threading.current_thread() is not threading.main_thread():  # no other acts on signals
        yield
        return
    came: list[int] = []
    handlers = {number: signal.getsignal(number) for number in STOPS}
    handlers = {number: handler for number, handler in handlers.items() if callable(handler)}
    for number in handlers:
        signal.signal(number, lambda number, _: came.append(number))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for number in came[:1]:
            signal.raise_signal(number)
