"""Overlap of reading, network and writing: loops in threads of their own, a few items apart.

Decoders, networks and encoders are compiled code, which lets other threads of Python run.
"""

import queue
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from typing import Any, TypeVar

S = TypeVar("S")
T = TypeVar("T")


def prefetched(items: Iterable[T], most: int = 2) -> Generator[T, None, None]:
    """Yield `items` in order, while a thread makes the next ones: at most `most` are ready and one more waits.

    An error of theirs is raised in its place. When this generator is closed, its thread ends after the item that it is
    making, and closes `items` if they are a generator.
    """
    ready: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()
    places, closed, end = threading.Semaphore(most), threading.Event(), object()

    def work() -> None:
        error = None
        try:
            for item in items:
                places.acquire()
                if closed.is_set():
                    break
                ready.put((item, None))
            if isinstance(items, Generator):
                items.close()
        except BaseException as raised:  # whatever it is, the consumer's thread gets it
            error = raised
        ready.put((end, error))

    thread = threading.Thread(target=work, name="prefetched", daemon=True)
    thread.start()
    try:
        while True:
            item, error = ready.get()
            if error is not None:
                raise error
            if item is end:
                return
            places.release()
            yield item
    finally:
        closed.set()
        places.release()
        thread.join()


def overlapped(change: Callable[[Iterator[S]], Iterator[T]]) -> Callable[[Iterator[S]], Generator[T, None, None]]:
    """Return `change`, which makes results of items, in a thread of its own, its items in another: each is one ahead,
    and one more waits (`prefetched`)."""

    def results(items: Iterator[S]) -> Generator[T, None, None]:
        with closing(prefetched(items, 1)) as ahead, closing(prefetched(change(ahead), 1)) as made:
            yield from made

    return results
