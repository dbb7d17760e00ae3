"""Limits of what one visitor may do, and the least that the machine must have."""

import logging
import os
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from cyclopean.errors import InputError

LOG = logging.getLogger("cyclopean.app")
T = TypeVar("T")

LEAST_CORES = 2
LEAST_MEMORY_GB = 3.5
LEAST_DISK_GB = 0.5


@dataclass(frozen=True)
class Limits:
    """Sizes of an upload, and how many may wait."""

    megabytes: float = 100.0
    """Of one file."""
    megapixels: float = 60.0
    """Of one photo."""
    visitors: int = 64
    """Tabs of pages that have a photo or a clip at a time."""
    pages: int = 512
    """Pages that are open at a time, most of which have no photo yet."""
    waiting: int = 128
    """Steps that wait for their turn; further ones are rejected."""
    idle_minutes: float = 60.0
    """After which a page's pictures are forgotten."""
    gone_minutes: float = 5.0
    """After which a page that does not say that it is open makes room for another visitor."""
    opening_seconds: float = 60.0
    """In which a file must be opened and its depth found."""
    saving_seconds: float = 600.0
    """In which a file at full size must be made."""
    film_minutes: float = 20.0
    """After which a clip that is being refocused gives way, if another one waits."""


def within(seconds: float, name: str, work: Callable[[], T]) -> T:
    """Return what `work` returns. Raises InputError when it takes longer than `seconds`: others wait for their turn.

    Nothing can end a thread, so what takes too long keeps running and its result is dropped.
    """
    outcome: Future[T] = Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:
            outcome.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    try:
        return outcome.result(seconds)
    except TimeoutError:
        if outcome.done():
            raise
        LOG.warning("%s was given up after %g seconds", name, seconds)
        raise InputError(f"{name} took longer than {seconds:g} seconds; give a smaller or a shorter one.") from None


def shortcomings(folder: Path) -> list[str]:
    """Return a sentence for each thing that this machine has too little of; `folder` is where uploads go."""
    sentences = []
    cores, memory, disk = os.cpu_count() or 1, _memory_gb(), shutil.disk_usage(folder).free / 1e9
    if cores < LEAST_CORES:
        sentences.append(f"This machine has {cores} processor core, the app wants {LEAST_CORES}: it will be slow.")
    if memory is not None and memory < LEAST_MEMORY_GB:
        sentences.append(
            f"This machine has {memory:.1f} GB of memory, the app wants {LEAST_MEMORY_GB:g}: large photos may fail."
        )
    if disk < LEAST_DISK_GB:
        sentences.append(
            f"Only {disk:.1f} GB are free in {folder}, the app wants {LEAST_DISK_GB:g}: free some space, or point "
            "TMPDIR at another disk."
        )
    return sentences


def _memory_gb() -> float | None:
    """Return the memory of the machine, or of the container if that has less; None where neither is known."""
    try:
        installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
    try:
        allowed = int(Path("/sys/fs/cgroup/memory.max").read_text())
    except (OSError, ValueError):
        allowed = installed
    return min(installed, allowed) / 1e9
