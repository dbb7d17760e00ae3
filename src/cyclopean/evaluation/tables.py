"""Results for eyes and for machines: one table as text or Markdown, everything as JSON."""

import platform
import shlex
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import cyclopean
from cyclopean.evaluation.measure import Counts, Measured, Protocol, Row

HEADS = (
    "group",
    "alignment",
    "model",
    "AbsRel",
    "95 %",
    "SqRel",
    "RMSE",
    "RMSElog",
    "δ1",
    "δ2",
    "δ3",
    "D1 %",
    "/ best trivial",
)
FIGURES = ("sq_rel", "rmse", "rmse_log", "delta1", "delta2", "delta3")


@dataclass(frozen=True)
class Result:
    """One data set judged: `data` names it, `seed` is that of the bootstrap."""

    data: str
    protocol: Protocol
    far: tuple[float, ...]
    rows: tuple[Row, ...]
    measured: tuple[Measured, ...]
    counts: Counts
    seed: int


def text(result: Result) -> str:
    """The table for a terminal, with a line before it that says what was counted."""
    table = [list(HEADS), *(cells(row) for row in result.rows)]
    widths = [max(len(line[i]) for line in table) for i in range(len(HEADS))]
    lines = [
        "  ".join(c.ljust(w) if i < 3 else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True)))
        for line in table
    ]
    lines.insert(1, "  ".join("-" * w for w in widths))
    return "\n".join([heading(result), *_with_gaps(lines, result.rows)])


def markdown(result: Result) -> str:
    """The same table for a page."""
    lines = [
        f"**{result.data}**",
        "",
        heading(result),
        "",
        _line(HEADS),
        _line(["---"] * 3 + ["---:"] * (len(HEADS) - 3)),
    ]
    return "\n".join([*lines, *(_line(cells(row)) for row in result.rows), ""])


def cells(row: Row) -> list[str]:
    """A row as the strings of `HEADS`."""
    low, high = row.intervals["abs_rel"]
    ratio = row.best_ratio()
    return [
        row.group,
        row.alignment,
        f"({row.candidate})" if row.trivial else row.candidate,
        f"{row.figures['abs_rel']:.4f}",
        f"{low:.3f}-{high:.3f}" if row.images > 1 else "-",
        *(f"{row.figures[key]:.3f}" for key in FIGURES),
        f"{100 * row.figures['d1']:.1f}" if "d1" in row.figures else "-",
        f"{ratio[0]:.2f}" if ratio else "-",
    ]


def heading(result: Result) -> str:
    """What was judged and how, in one sentence."""
    c, p = result.counts, result.protocol
    far = " or ".join(f"{f:g}" for f in result.far)
    left = f"; {_images(len(c.left_out))} left out, without a pixel that counts" if c.left_out else ""
    return (
        f"{result.data}: {_images(c.images)}, {c.pixels} pixels with truth in ({p.near:g} m, {far} m); not counted: "
        f"{c.unknown} unknown, {c.far} farther or sky, {c.near} nearer{left}. Protocol {p.name}: predictions clipped "
        f"to [{p.nearest:g} m, far], no crop, figures per image, then the mean; intervals from resampled images."
    )


def as_json(results: Sequence[Result], command: Sequence[str]) -> dict[str, Any]:
    """Everything that was measured, and what is needed to measure it again."""
    return {
        "format": "cyclopean-evaluation",
        "version": 1,
        "command": shlex.join(command),
        "commit": commit(),
        "versions": {
            "cyclopean": cyclopean.__version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "machine": platform.machine(),
        "results": [_result(result) for result in results],
    }


def commit() -> str | None:
    """The commit of the checkout that this package runs from, with a plus if changed; None if installed."""
    here = Path(cyclopean.__file__).resolve().parent
    if here.parent.name != "src":
        return None
    try:
        return _git(here, "rev-parse", "HEAD") + (
            "+" if _git(here, "status", "--porcelain", "--untracked-files=no") else ""
        )
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10, check=True
    )
    return done.stdout.strip()


def _result(result: Result) -> dict[str, Any]:
    images: dict[str, dict[str, dict[str, dict[str, float]]]] = {}
    for m in result.measured:
        images.setdefault(m.image, {}).setdefault(m.candidate, {})[m.alignment] = m.figures
    return {
        "data": result.data,
        "protocol": asdict(result.protocol) | {"far": result.far, "crop": None, "mean_over": "images"},
        "seed": result.seed,
        "counts": asdict(result.counts),
        "rows": [asdict(row) for row in result.rows],
        "per_image": images,
    }


def _with_gaps(lines: list[str], rows: Sequence[Row]) -> Iterable[str]:
    """The lines with an empty one wherever group or alignment changes."""
    yield from lines[:2]
    for i, row in enumerate(rows):
        if i and (row.group, row.alignment) != (rows[i - 1].group, rows[i - 1].alignment):
            yield ""
        yield lines[i + 2]


def _images(count: int) -> str:
    return f"{count} image{'' if count == 1 else 's'}"


def _line(texts: Iterable[str]) -> str:
    return "| " + " | ".join(texts) + " |"
