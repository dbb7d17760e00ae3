"""Ours beside the plain way, in turn in one process, so that whatever else the machine does slows both alike.

What each needs of memory is measured in processes of their own, after a first call: the growth of the resident set, or
of what is allocated on the GPU.
"""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Literal

from benchmarks.measure import Work, timed


@dataclass(frozen=True)
class Pair:
    """`plain(device)` and `ours(device)` each give the same work; `items` of one call give the rate."""

    plain: Callable[[str], Work]
    ours: Callable[[str], Work]
    items: float
    unit: str
    repeat: int = 5
    memory: bool = False
    """Whether to measure memory too (on a GPU, or on the CPU of a Linux machine)."""
    devices: tuple[str, ...] = ("cpu", "cuda")
    """Where it says something."""
    of: Literal["median", "best"] = "median"
    """Which of the times of each is given; the best is what other programs of the machine disturbed least."""


@dataclass(frozen=True)
class Beside:
    """Medians of the time of one call in seconds, and the median of the ratios of calls that followed each other; or
    the best time of each, and their ratio.

    `memory`: MB that a call of the plain one and of ours takes beyond what lay there before.
    """

    plain: float
    ours: float
    speedup: float
    memory: tuple[float, float] | None = None


def measure(group: str, name: str, device: str) -> Beside:
    """Runs the pair in a fresh process. Raises `RuntimeError` with what it said if it fails."""
    found = _answer(group, name, device)
    measurable = device == "cuda" or sys.platform == "linux"
    if not (measurable and import_module(f"benchmarks.{group}").PAIRS[name].memory):
        return Beside(**found)
    plain, ours = (_answer(group, name, device, which)["grown"] for which in ("plain", "ours"))
    return Beside(**found, memory=(plain, ours))


def _answer(*words: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.peers", *words]
    # The allocator gives back at once what is freed, so that the resident set is what is in use.
    environment = os.environ | ({"MALLOC_MMAP_THRESHOLD_": "65536"} if words[3:] else {})
    folder = Path(__file__).parents[1]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, env=environment)
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise RuntimeError(said[-1] if said else f"exit code {done.returncode}")
    return json.loads(done.stdout.splitlines()[-1])


def _grown(work: Work, device: str) -> float:
    """MB by which the resident set, or what is allocated on the GPU, grows during a call."""
    work()
    if device == "cuda":
        import torch

        torch.cuda.reset_peak_memory_stats()
        allocated = torch.cuda.memory_allocated()
        work()
        return (torch.cuda.max_memory_allocated() - allocated) / 1e6
    Path("/proc/self/clear_refs").write_text("5")  # forget the largest size so far
    before = _status("VmRSS")
    work()
    return (_status("VmHWM") - before) / 1e3


def _status(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(name + ":"))


def here(pair: Pair, device: str) -> Beside:
    """In this process: one call of each to warm up, then in turn."""
    plain, ours = pair.plain(device), pair.ours(device)
    plain(), ours()
    times = [(timed(plain, device), timed(ours, device)) for _ in range(pair.repeat)]
    first, second = zip(*times, strict=True)
    if pair.of == "best":
        return Beside(min(first), min(second), min(first) / min(second))
    return Beside(statistics.median(first), statistics.median(second), statistics.median(a / b for a, b in times))


if __name__ == "__main__":
    group, name, device, *which = sys.argv[1:]
    pair: Pair = import_module(f"benchmarks.{group}").PAIRS[name]
    if which:
        print(json.dumps({"grown": _grown(getattr(pair, which[0])(device), device)}))
    else:
        found = asdict(here(pair, device))
        print(json.dumps({key: value for key, value in found.items() if value is not None}))
