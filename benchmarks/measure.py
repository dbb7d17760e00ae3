"""Time and peak memory of one case, in a process of its own so that nothing else is counted."""

import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import import_module, metadata
from pathlib import Path

Work = Callable[[], object]


@dataclass(frozen=True)
class Case:
    """`prepare(device)` gives the work to be timed; what it did before is not. `items` of one call give the rate."""

    prepare: Callable[[str], Work]
    items: float = 1
    unit: str = ""
    repeat: int = 15
    on_device: bool = True
    """False: always measured on the CPU."""


@dataclass(frozen=True)
class Figure:
    """Median and extremes of the time of one call, in seconds; peak memory in MB, `before` of it without the work."""

    median: float
    fastest: float
    slowest: float
    peak: float
    before: float
    device_peak: float | None = None


def measure(group: str, name: str, device: str) -> Figure:
    """Runs the case in a fresh process. Raises `RuntimeError` with what it said if it fails."""
    command = [sys.executable, "-m", "benchmarks.measure", group, name, device]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[1])
    if done.returncode:
        raise RuntimeError(
            done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit code {done.returncode}"
        )
    return Figure(**json.loads(done.stdout.splitlines()[-1]))


def cases(group: str) -> dict[str, Case]:
    """The cases of one group, by name."""
    return import_module(f"benchmarks.{group}").CASES


def _here(group: str, name: str, device: str) -> Figure:
    case = cases(group)[name]
    work = case.prepare(device)
    before = _peak()
    for _ in range(2):
        work()
    times = [timed(work, device) for _ in range(case.repeat)]
    return Figure(statistics.median(times), min(times), max(times), _peak(), before, _device_peak(device))


def timed(work: Work, device: str) -> float:
    """Return the seconds of one call, with what the GPU does for it."""
    start = time.perf_counter()
    work()
    if device == "cuda":
        import torch

        torch.cuda.synchronize()
    return time.perf_counter() - start


def _peak() -> float:
    """Largest resident memory so far in MB: of this process, or of a command that it ran."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    largest = max(resource.getrusage(kind).ru_maxrss for kind in kinds)
    return largest / (1e6 if sys.platform == "darwin" else 1e3)


def _device_peak(device: str) -> float | None:
    if device != "cuda":
        return None
    import torch

    return torch.cuda.max_memory_allocated() / 1e6


def circumstances(device: str) -> list[str]:
    """On what, with what. Torch is asked in another process: a child inherits its parent's peak memory."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    gpu = f", {_said('import torch; print(torch.cuda.get_device_name())')}" if device == "cuda" else ""
    threads = _said("import torch; print(torch.get_num_threads())")
    return [
        f"- machine: {_processor()}, {os.cpu_count()} cores, {memory:.0f} GB{gpu}, {platform.system()}",
        f"- Python {platform.python_version()}, torch {metadata.version('torch')}, {threads} threads",
        f"- commit {_commit()}; load before: {os.getloadavg()[0]:.1f}",
    ]


def _said(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((x.partition(":")[2].strip() for x in lines if x.startswith("model name")), platform.machine())


def _commit() -> str:
    done = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


if __name__ == "__main__":
    print(json.dumps(asdict(_here(*sys.argv[1:]))))
