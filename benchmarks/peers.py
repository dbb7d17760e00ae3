"""Ours beside the plain way, in turn in one process, so that whatever else the machine does slows both alike."""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

Work = Callable[[], object]


@dataclass(frozen=True)
class Pair:
    """`plain(device)` and `ours(device)` each give the same work; `items` of one call give the rate."""

    plain: Callable[[str], Work]
    ours: Callable[[str], Work]
    items: float
    unit: str
    repeat: int = 5


@dataclass(frozen=True)
class Beside:
    """Medians of the time of one call in seconds, and the median of the ratios of calls that followed each other."""

    plain: float
    ours: float
    speedup: float


def measure(group: str, name: str, device: str) -> Beside:
    """Runs the pair in a fresh process. Raises `RuntimeError` with what it said if it fails."""
    command = [sys.executable, "-m", "benchmarks.peers", group, name, device]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[1])
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise RuntimeError(said[-1] if said else f"exit code {done.returncode}")
    return Beside(**json.loads(done.stdout.splitlines()[-1]))


def here(pair: Pair, device: str) -> Beside:
    """In this process: one call of each to warm up, then in turn."""
    plain, ours = pair.plain(device), pair.ours(device)
    plain(), ours()
    times = [(_timed(plain, device), _timed(ours, device)) for _ in range(pair.repeat)]
    first, second = zip(*times, strict=True)
    return Beside(statistics.median(first), statistics.median(second), statistics.median(a / b for a, b in times))


def _timed(work: Work, device: str) -> float:
    start = time.perf_counter()
    work()
    if device == "cuda":
        import torch

        torch.cuda.synchronize()
    return time.perf_counter() - start


if __name__ == "__main__":
    from importlib import import_module

    group, name, device = sys.argv[1:]
    print(json.dumps(asdict(here(import_module(f"benchmarks.{group}").PAIRS[name], device))))
