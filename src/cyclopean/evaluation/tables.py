"""Results for eyes and for machines: tables as text, Markdown or LaTeX, everything as JSON."""

import hashlib
import math
import platform
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

import cyclopean
from cyclopean.evaluation.dataset import Counts
from cyclopean.evaluation.layout import Table
from cyclopean.evaluation.measure import Measured
from cyclopean.evaluation.protocols import Protocol
from cyclopean.evaluation.summary import Row

TITLES = {
    "abs_rel": "AbsRel", "sq_rel": "SqRel", "rmse": "RMSE", "rmse_log": "RMSElog", "log10": "log10",
    "rmse_log10": "RMSElog10", "delta1": "δ1", "delta2": "δ2", "delta3": "δ3", "d1": "D1 %", "bad2": "bad2 %",
    "rmse_log10_1p": "RMSElog10(1+z)", "epe": "EPE px", "edge_rel": "edge AbsRel", "edge_f1": "edge F1", "mae": "MAE",
    "abs_rel_released": "AbsRel as released", "sq_rel_released": "SqRel a. r.", "rmse_released": "RMSE a. r.",
    "rmse_log_released": "RMSElog a. r.",
}  # fmt: skip
PERCENT = ("d1", "bad2")
TO_ALIGN = {
    "none": "none: as predicted, at face value where no scale is known",
    "factor": "factor: one number for the whole set",
    "median": "median: one factor for each image",
    "affine": "affine: least squares of 1/depth for each image",
    "affine-median": "affine-median: the same as released by Depth Anywhere, then one factor for each image",
}
COLUMNS = ["near", "far", "pixels", "abs_rel", "bias", "rmse", "delta1", "weight"]  # of a band in the JSON
FAMILIES = 4  # more (KITTI's days) stand in the JSON only
NAMED = 5  # how many left-out images a sentence names


@dataclass(frozen=True)
class Result:
    """One data set judged: `data` names it, `seed` is the bootstrap's; `far`: the caps that were met.

    `factors`: by candidate, of the alignment "factor", and whether they were fitted on the set; `ambiguities`: by
    candidate, what it leaves open; `covers`: by candidate, of which part of the picture its maps are.
    """

    data: str
    protocol: Protocol
    far: tuple[float, ...]
    rows: tuple[Row, ...]
    measured: tuple[Measured, ...]
    counts: Counts
    seed: int
    factors: dict[str, float] = field(default_factory=dict)
    fitted: bool = True
    ambiguities: dict[str, str] = field(default_factory=dict)
    covers: dict[str, str] = field(default_factory=dict)

    def data_hash(self) -> str:
        """Twelve hexadecimal digits of what was judged: the images in order, how many pixels of each, what was not."""
        pixels = {m.image: m.pixels for m in self.measured}
        lines = [f"{name} {n}" for name, n in pixels.items()] + ["left out", *self.counts.left_out, *self.counts.failed]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]


def text(result: Result) -> str:
    """The tables for a terminal, with lines before them that say what was counted."""
    tables = [table.plain() for table in _tables(result)]
    return "\n\n".join(["\n".join([heading(result), *notes(result)]) + "\n" + tables[0], *tables[1:]])


def markdown(result: Result) -> str:
    """The same for a page."""
    tables = [table.markdown() for table in _tables(result)]
    about = [f"- {note}" for note in notes(result)]
    return "\n\n".join([f"**{result.data}**", heading(result), *(["\n".join(about)] if about else []), *tables]) + "\n"


def latex(result: Result) -> str:
    """The same for a paper (needs booktabs); what was counted stands in comments above."""
    about = [f"% {line}" for line in (heading(result), *notes(result))]
    return "\n".join(about) + "\n" + "\n\n".join(table.latex() for table in _tables(result)) + "\n"


def heading(result: Result) -> str:
    """What was judged and how, in one sentence."""
    c, p = result.counts, result.protocol
    far = " or ".join(f"{f:g}" for f in result.far)
    beyond = {"left out": "", "kept": "; farther truth is kept", "clamped": "; truth is clamped like predictions"}
    left = f"; {_images(len(c.left_out))} left out, without a pixel that counts" if c.left_out else ""
    within = f"({p.near:g} m, {far} m)" if p.beyond == "left out" else f"({p.near:g} m, inf)"
    outside = f"{c.cropped} outside the crop, " if p.crop else ""
    crop = f"{p.crop} crop" if p.crop else "no crop"
    return (
        f"{result.data}: {_images(c.images)}, {c.pixels} pixels with truth in {within}; not counted: {outside}"
        f"{c.unknown} unknown, {c.far} farther or sky, {c.near} nearer{left}. Protocol {p.name}: predictions clipped "
        f"to [{p.nearest:g} m, {_clip(p, far)}]{beyond[p.beyond]}, {crop}, figures per image, "
        "then the mean; intervals from resampled images."
    )


def _clip(protocol: Protocol, far: str) -> str:
    return f"{protocol.clip:g} m" if protocol.clip else "far" if protocol.far is None else f"{far} m"


def notes(result: Result) -> list[str]:
    """What the heading leaves out: what failed, the alignments, the hashes. Nothing for a plain `open-1` run."""
    found = []
    if result.counts.failed:
        names = list(result.counts.failed)
        some = ", ".join(names[:NAMED]) + (" ..." if len(names) > NAMED else "")
        found.append(
            f"{_images(len(names))} left out of every row: {some}. The first says: {result.counts.failed[names[0]]}"
        )
    if not result.protocol.side_by_side:
        unscaled = ", ".join(dict.fromkeys(row.candidate for row in result.rows if _at_face_value(result, row)))
        return [*found, f"Alignment none: at face value; no scale is known of {unscaled}."] if unscaled else found
    found.append("Alignments: " + "; ".join(TO_ALIGN[a] for a in result.protocol.side_by_side) + ".")
    if result.protocol.weights == "sphere":
        found.append(
            "Pixels weigh by their solid angle, δ are those of points spread over the sphere. As released (a. r.): "
            "the weighted sums divided by the number of pixels, as the spherical paper's tables."
        )
    if result.factors:
        how = "the median of the images' scales" if result.fitted else "given"
        found.append(f"Factors ({how}): " + ", ".join(f"{k} {v:.4g}" for k, v in result.factors.items()) + ".")
    edges = max((row.edge_images for row in result.rows), default=0)
    if "edge_f1" in result.protocol.shown:
        found.append(f"Edges: {_images(edges)} with dense truth and boundaries in it.")
    if len(_shown_rows(result)) < len(result.rows):
        found.append("Rows of the groups stand in the JSON only.")
    found.append(f"Hashes: protocol {result.protocol.fingerprint()}, data {result.data_hash()}.")
    return found


def _at_face_value(result: Result, row: Row) -> bool:
    relative = result.ambiguities.get(row.candidate, "metric") != "metric"
    return relative and row.alignment == "none" and not row.trivial


def main_table(result: Result) -> Table:
    """Means over images; for named protocols also AbsRel over all pixels at once."""
    first, *others = result.protocol.shown
    side = bool(result.protocol.side_by_side)
    heads = ["group", "alignment", "model", TITLES[first], "95 %", *(["pooled"] if side else [])]
    heads += [*(TITLES[key] for key in others), "/ best trivial"]
    rows, shown = [], _shown_rows(result)
    for row in shown:
        low, high = row.intervals[first]
        ratio = row.best_ratio()
        cells = [row.group, row.alignment, f"({row.candidate})" if row.trivial else row.candidate]
        cells += [f"{row.figures[first]:.4f}", f"{low:.3f}-{high:.3f}" if row.images > 1 else "-"]
        cells += [f"{row.pooled[first]:.4f}"] if side else []
        cells += [figure(row, key) for key in others]
        rows.append((*cells, f"{ratio[0]:.2f}" if ratio else "-"))
    keys = [(row.group, row.alignment) for row in shown]
    return Table(tuple(heads), tuple(rows), 3, frozenset(i for i in range(1, len(keys)) if keys[i] != keys[i - 1]))


def band_table(result: Result) -> Table | None:
    """Errors by true distance, of each model over the pixels of all images; None where the protocol has no bands."""
    rows = [row for row in result.rows if row.group == "all" and row.bands]
    if not rows:
        return None
    lines: list[tuple[str, ...]] = []
    breaks: set[int] = set()
    for row in rows:
        total = sum(band.weight for band in row.bands)
        if lines:
            breaks.add(len(lines))
        for band in row.bands:
            low, high = band.interval
            lines.append((
                row.alignment, row.candidate, f"{band.near:g}-{band.far:g} m", f"{100 * band.weight / total:.1f}",
                f"{band.images}", f"{band.abs_rel:.4f}", f"{low:.3f}-{high:.3f}" if row.images > 1 else "-",
                f"{band.bias:+.3f}", f"{band.rmse:.3f}", f"{band.delta1:.3f}",
            ))  # fmt: skip
    share = "sphere %" if result.protocol.weights == "sphere" else "pixels %"
    heads = ("alignment", "model", "truth", share, "images", "AbsRel", "95 %", "bias", "RMSE", "δ1")
    return Table(heads, tuple(lines), 3, frozenset(breaks))


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
    bands: dict[str, dict[str, dict[str, list[tuple[float, ...]]]]] = {}
    pixels: dict[str, int] = {}
    weights: dict[str, float] = {}
    for m in result.measured:
        images.setdefault(m.image, {}).setdefault(m.candidate, {})[m.alignment] = m.figures
        pixels[m.image], weights[m.image] = m.pixels, m.weight
        if m.bands:
            own = bands.setdefault(m.image, {}).setdefault(m.candidate, {})
            own[m.alignment] = [astuple(band) for band in m.bands]
    return {
        "data": result.data,
        "protocol": asdict(result.protocol) | {"far": result.far, "mean_over": "images"},
        "hashes": {"protocol": result.protocol.fingerprint(), "data": result.data_hash()},
        "seed": result.seed,
        "factors": result.factors | {"fitted": result.fitted},
        "ambiguities": result.ambiguities,
        "covers": result.covers,
        "counts": asdict(result.counts),
        "rows": [asdict(row) for row in result.rows],
        "per_image": images,
        "per_image_pixels": pixels,
        "per_image_weights": weights,
        "per_image_bands": {"columns": COLUMNS, "images": bands},
    }


def _shown_rows(result: Result) -> list[Row]:
    groups = {row.group for row in result.rows} - {"all"}
    every = not result.protocol.side_by_side or len(groups) <= FAMILIES
    return [row for row in result.rows if every or row.group == "all"]


def _tables(result: Result) -> list[Table]:
    bands = band_table(result)
    return [main_table(result), *([bands] if bands else [])]


def figure(row: Row, key: str) -> str:
    """One figure of a row as a cell."""
    value = row.figures.get(key, math.nan)
    if math.isnan(value):
        return "-"
    return f"{100 * value:.1f}" if key in PERCENT else f"{value:.3f}"


def _images(count: int) -> str:
    return f"{count} image{'' if count == 1 else 's'}"
