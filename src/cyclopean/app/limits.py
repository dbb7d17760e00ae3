"""What one visitor may ask of this machine, and what the machine itself must have."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

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
    """Pages that are open at a time."""
    waiting: int = 128
    """Steps that wait for their turn; further ones are told to come back."""
    idle_minutes: float = 60.0
    """After which a page's pictures are forgotten."""


def shortcomings(folder: Path) -> list[str]:
    """A sentence for everything that this machine has less of than the app needs; `folder` is where uploads go."""
    found = []
    cores, memory, disk = os.cpu_count() or 1, _memory_gb(), shutil.disk_usage(folder).free / 1e9
    if cores < LEAST_CORES:
        found.append(f"This machine has {cores} processor core, the app wants {LEAST_CORES}: it will be slow.")
    if memory is not None and memory < LEAST_MEMORY_GB:
        found.append(
            f"This machine has {memory:.1f} GB of memory, the app wants {LEAST_MEMORY_GB:g}: large photos may fail."
        )
    if disk < LEAST_DISK_GB:
        found.append(
            f"Only {disk:.1f} GB are free in {folder}, the app wants {LEAST_DISK_GB:g}: free some space, or point "
            "TMPDIR at another disk."
        )
    return found


def _memory_gb() -> float | None:
    """Of the machine, or of the container if that has less; None where neither can be asked."""
    try:
        whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
    try:
        allowed = int(Path("/sys/fs/cgroup/memory.max").read_text())
    except (OSError, ValueError):
        allowed = whole
    return min(whole, allowed) / 1e9
