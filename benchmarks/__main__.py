"""`python -m benchmarks [group ...] [--device cuda]`: a Markdown table of times and memory."""

import argparse
import sys
from importlib import import_module
from pathlib import Path

from benchmarks import peers
from benchmarks.measure import Case, Figure, cases, circumstances, measure

GROUPS = {
    "startup": "the command, process start included",
    "kernel": "the verbs, forward and backward",
    "rendering": "procedural worlds, both views and depth",
    "training": "one step: data on hand, losses, backward, update",
    "photos": "prediction and refocusing after loading",
    "evaluation": "judging 697 predictions of KITTI's size",
}
BESIDE = {
    "steps": "a whole training step, plain eager float32 beside ours",
    "splatting": "splat forward and backward, scatter-adds over channels and corners beside fused loops",
    "backends": "bundled models in torch as they were beside channels-last and onnxruntime, in turn; best of five",
    "folders": "folders and clips: without overlap beside it, one process beside two and beside Ray",
    "sweep": "views through levels forward and backward, a stack of grid_sample beside one fused pass; best of five",
}


def main() -> int:
    """Prints the table as it is measured; 1 if any case failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "groups", nargs="*", metavar="group", help=f"any of {', '.join(GROUPS | BESIDE)}; all without one"
    )
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--only", default="", metavar="TEXT", help="of the groups, rows whose names hold this text")
    parser.add_argument("--inputs", type=int, default=10_000, help="of hostile, which runs by its name alone")
    parser.add_argument("--seed", type=int, default=0, help="of hostile")
    parser.add_argument("--minutes", type=float, default=20, help="a clip, of adapt, which runs by its name alone")
    parser.add_argument("--steps", type=int, default=0, help="a clip, of adapt, instead of minutes")
    parser.add_argument("--out", type=Path, default=Path("out/adapt"), help="folder of adapt, which goes on there")
    chosen = parser.parse_args()
    if chosen.groups == ["hostile"]:
        from benchmarks import hostile

        return hostile.main(chosen.inputs, chosen.seed)
    if chosen.groups == ["second_eye"]:
        from benchmarks import second_eye

        print(f"- command: python -m benchmarks {' '.join(sys.argv[1:])}", *circumstances("cpu"), sep="\n")
        return second_eye.main()
    if chosen.groups == ["adapt"]:
        from benchmarks import adapt

        print(f"- command: python -m benchmarks {' '.join(sys.argv[1:])}", *circumstances("cpu"), sep="\n")
        return adapt.main(chosen.minutes, chosen.out, chosen.steps)
    unknown = set(chosen.groups) - set(GROUPS | BESIDE)
    if unknown:
        parser.error(f"unknown group {', '.join(sorted(unknown))}; choose from {', '.join(GROUPS | BESIDE)}")
    print(f"- command: python -m benchmarks {' '.join(sys.argv[1:])}".rstrip())
    print(*circumstances(chosen.device), sep="\n")
    failures = [
        failure for group in chosen.groups or GROUPS | BESIDE for failure in _table(group, chosen.device, chosen.only)
    ]
    print(*failures, sep="\n", file=sys.stderr)
    return bool(failures)


def _table(group: str, device: str, only: str) -> list[str]:
    return beside(group, device, only) if group in BESIDE else table(group, device, only)


def beside(group: str, device: str, only: str) -> list[str]:
    """Prints a group of pairs; returns a sentence for each that failed."""
    failures = []
    print(f"\n### {group}: {BESIDE[group]}\n")
    print("| what | plain | ours | times as fast | ours, rate | memory |\n|---|---:|---:|---:|---:|---:|")
    pairs = import_module(f"benchmarks.{group}").PAIRS
    for name, pair in pairs.items():
        if device not in pair.devices or only not in name:
            continue
        try:
            found = peers.measure(group, name, device)
            rate = f"{pair.items / found.ours:.3g} {pair.unit}/s"
            memory = "" if found.memory is None else "{:.0f} MB, ours {:.0f} MB".format(*found.memory)
            times = f"{spoken(found.plain)} | {spoken(found.ours)} | {found.speedup:.2f}"
            print(f"| {name} | {times} | {rate} | {memory} |", flush=True)
        except RuntimeError as error:
            failures.append(f"{group}: {name}: {error}")
    return failures


def table(group: str, device: str, only: str) -> list[str]:
    """Prints one group; returns a sentence for each case that failed."""
    failures = []
    print(f"\n### {group}: {GROUPS[group]}\n")
    print("| what | median | fastest to slowest | rate | peak memory |\n|---|---:|---:|---:|---:|")
    for name, case in cases(group).items():
        if only not in name:
            continue
        try:
            print(row(name, case, measure(group, name, device if case.on_device else "cpu")), flush=True)
        except RuntimeError as error:
            failures.append(f"{group}: {name}: {error}")
    return failures


def row(name: str, case: Case, figure: Figure) -> str:
    """One line of the table."""
    rate = f"{case.items / figure.median:.3g} {case.unit}/s" if case.unit else ""
    memory = f"{figure.peak:.0f} MB (+{figure.peak - figure.before:.0f})"
    if figure.device_peak is not None:
        memory += f", GPU {figure.device_peak:.0f} MB"
    spread = f"{spoken(figure.fastest)} to {spoken(figure.slowest)}"
    return f"| {name} | {spoken(figure.median)} | {spread} | {rate} | {memory} |"


def spoken(seconds: float) -> str:
    """A time with a unit that suits it."""
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1e3:.3g} ms"


if __name__ == "__main__":
    sys.exit(main())
