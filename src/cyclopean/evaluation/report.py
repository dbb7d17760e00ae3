"""Reports of results: a first screen, all tables for a terminal, in Markdown or LaTeX, and JSON."""

import math
import platform
import shlex
import subprocess
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import asdict, astuple
from pathlib import Path
from typing import Any

import numpy as np
import torch

import cyclopean
from cyclopean.evaluation.protocols import FITTING, Alignment
from cyclopean.evaluation.summary import Result, Summary
from cyclopean.evaluation.tables import Table
from cyclopean.io.files import printable, shortened

TITLES = {
    "abs_rel": "AbsRel", "sq_rel": "SqRel", "rmse": "RMSE", "rmse_log": "RMSElog", "log10": "log10",
    "rmse_log10": "RMSElog10", "delta1": "δ1", "delta2": "δ2", "delta3": "δ3", "d1": "D1 %", "bad2": "bad2 %",
    "rmse_log10_1p": "RMSElog10(1+z)", "epe": "EPE px", "edge_rel": "edge AbsRel", "edge_f1": "edge F1", "mae": "MAE",
    "abs_rel_released": "AbsRel as released", "sq_rel_released": "SqRel a. r.", "rmse_released": "RMSE a. r.",
    "rmse_log_released": "RMSElog a. r.",
}  # fmt: skip
PERCENT = ("d1", "bad2")
ALIGNMENT_NOTES = {
    "none": "none: as predicted, at face value where no scale is known",
    "factor": "factor: one number for the whole set",
    "median": "median: one factor for each image",
    "affine": "affine: least squares of 1/depth for each image",
    "affine-median": "affine-median: least squares of 1/depth, then one factor, for each image",
}
LEGEND = {
    "none": "as predicted",
    "factor": "one factor for the set",
    "median": "one factor for each image (medians)",
    "affine": "factor and offset of 1/depth for each image",
    "affine-median": "factor and offset of 1/depth, then one factor, for each image",
}
COLUMNS = ["near", "far", "pixels", "abs_rel", "bias", "rmse", "delta1", "weight"]  # of a distance bin in the JSON
KEYS = {"entry": "candidate", "bins": "bands"}  # fields of a summary whose key in result files is another word
FAMILIES = 4  # more (KITTI's days) are in the JSON only
NAMED = 5  # how many left-out images a sentence names

WIDTH = 100  # columns of the first screen
KNOWING = "leave-one-out mean"
LONGEST = 28  # characters of a name
MOSTLY = 0.99  # of the pixels clipped: the unit is wrong
# figures beside the protocol's first, as many as fit; the most informative first
TELLING = ("rmse", "delta1", "epe", "d1", "edge_f1", "log10", "sq_rel", "rmse_log")
Ratio = tuple[float, float, float]


def text(result: Result) -> str:
    """Return the tables for a terminal, after lines on what was counted."""
    tables = [table.plain() for table in tables_of(result)]
    return "\n\n".join(["\n".join([heading(result), *notes(result)]) + "\n" + tables[0], *tables[1:]])


def markdown(result: Result) -> str:
    """Return the same for a page."""
    about = "\n".join(f"- {note}" for note in notes(result))
    tables = [table.markdown() for table in tables_of(result)]
    return "\n\n".join([f"**{result.data}**", heading(result), *([about] if about else []), *tables]) + "\n"


def latex(result: Result) -> str:
    """Return the same for a paper (needs booktabs); what was counted is in comments above."""
    about = [f"% {line}" for line in (heading(result), *notes(result))]
    return "\n".join(about) + "\n" + "\n\n".join(table.latex() for table in tables_of(result)) + "\n"


def heading(result: Result) -> str:
    """Return the data, the counts and the protocol in one sentence."""
    c, p = result.counts, result.protocol
    far = " or ".join(f"{f:g}" for f in result.far)
    clip = f"{p.clip:g} m" if p.clip else "far" if p.far is None else f"{far} m"
    beyond = {"left out": "", "kept": "; farther truth is kept", "clamped": "; truth is clamped like predictions"}
    near = "; nearer truth is raised to that" if p.near_truth == "clamped" else ""
    left = f"; {_images(len(c.left_out))} left out, without a pixel that counts" if c.left_out else ""
    within = f"({p.near:g} m, {far} m)" if p.beyond == "left out" else f"({p.near:g} m, inf)"
    outside = f"{c.cropped} outside the crop, " if p.crop else ""
    crop = f"{p.crop} crop" if p.crop else "no crop"
    return (
        f"{result.data}: {_images(c.images)}, {c.pixels} pixels with truth in {within}; not counted: {outside}"
        f"{c.unknown} unknown, {c.far} farther or sky, {c.near} nearer{left}. Protocol {p.name}: predictions clipped "
        f"to [{p.nearest:g} m, {clip}]{beyond[p.beyond]}{near}, {crop}, figures per image, "
        "then the mean; intervals from resampled images."
    )


def notes(result: Result) -> list[str]:
    """Return lines on failures, alignments and hashes, which the heading leaves out."""
    lines = []
    if result.counts.failed:
        names = list(result.counts.failed)
        some = ", ".join(names[:NAMED]) + (" ..." if len(names) > NAMED else "")
        lines.append(
            f"{_images(len(names))} left out of every row: {some}. The first error: {result.counts.failed[names[0]]}"
        )
    if not result.protocol.side_by_side:
        relative = {name for name, kind in result.ambiguities.items() if kind != "metric"}
        unscaled = dict.fromkeys(
            row.entry for row in result.rows if row.entry in relative and row.alignment == "none" and not row.trivial
        )
        if unscaled:
            lines.append(f"Alignment none: at face value; no scale is known of {', '.join(unscaled)}.")
        return lines
    lines.append("Alignments: " + "; ".join(ALIGNMENT_NOTES[a] for a in result.protocol.side_by_side) + ".")
    if result.protocol.weights == "sphere":
        lines.append(
            "Pixels weigh by their solid angle, δ are those of points spread over the sphere. As released (a. r.): "
            "the weighted sums divided by the number of pixels, as the spherical paper's tables."
        )
    if result.factors:
        how = "the median of the images' scales" if result.fitted else "given"
        lines.append(f"Factors ({how}): " + ", ".join(f"{k} {v:.4g}" for k, v in result.factors.items()) + ".")
    edges = max((row.edge_images for row in result.rows), default=0)
    if "edge_f1" in result.protocol.shown:
        lines.append(f"Edges: {_images(edges)} with dense truth and boundaries in it.")
    if len(_shown_rows(result)) < len(result.rows):
        lines.append("Rows of the groups are in the JSON only.")
    lines.append(f"Hashes: protocol {result.protocol.fingerprint()}, data {result.data_hash()}.")
    return lines


def tables_of(result: Result) -> list[Table]:
    """Return the table of means over images and, where the protocol has distance bins, that of errors by distance."""
    first, *others = result.protocol.shown
    pooled = bool(result.protocol.side_by_side)  # named protocols also show AbsRel over all pixels at once
    heads = ["group", "alignment", "model", TITLES[first], "95 %", *(["pooled"] if pooled else [])]
    heads += [*(TITLES[key] for key in others), "/ best trivial"]
    cells, rows = [], _shown_rows(result)
    for row in rows:
        ratio = row.best_ratio()
        cells.append((
            row.group, row.alignment, f"({row.entry})" if row.trivial else row.entry, f"{row.figures[first]:.4f}",
            _interval(row.intervals[first], row.images), *([f"{row.pooled[first]:.4f}"] if pooled else []),
            *(figure(row, key) for key in others), f"{ratio[0]:.2f}" if ratio else "-",
        ))  # fmt: skip
    tables = [Table(tuple(heads), tuple(cells), 3, _breaks(rows, lambda row: (row.group, row.alignment)))]
    by_distance = [(row, one) for row in result.rows if row.group == "all" for one in row.bins]
    if by_distance:
        share = "sphere %" if result.protocol.weights == "sphere" else "pixels %"
        heads = ["alignment", "model", "truth", share, "images", "AbsRel", "95 %", "bias", "RMSE", "δ1"]
        cells = [
            (
                row.alignment, row.entry, f"{one.near:g}-{one.far:g} m",
                f"{100 * one.weight / sum(each.weight for each in row.bins):.1f}", f"{one.images}",
                f"{one.abs_rel:.4f}", _interval(one.interval, row.images), f"{one.bias:+.3f}", f"{one.rmse:.3f}",
                f"{one.delta1:.3f}",
            )
            for row, one in by_distance
        ]  # fmt: skip
        tables.append(Table(tuple(heads), tuple(cells), 3, _breaks(by_distance, lambda pair: id(pair[0]))))
    return tables


def as_json(results: Sequence[Result], command: Sequence[str]) -> dict[str, Any]:
    """Return everything that was measured, and what is needed to reproduce it."""
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
        "results": [_result_json(result) for result in results],
    }


def commit() -> str | None:
    """Return the commit of the checkout that this package runs from, with a plus if changed; None if installed."""
    here = Path(cyclopean.__file__).resolve().parent
    if here.parent.name != "src":
        return None

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(here), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def screens(results: Sequence[Result]) -> list[str]:
    """Return for each result a heading, a verdict on each model, and a table of models and guesses.

    They are at most 100 columns wide. Tables of one protocol have the same columns: those that fit in all of them.
    """
    columns: dict[str, tuple[str, ...]] = {}
    for name in dict.fromkeys(result.protocol.name for result in results):
        alike = [result for result in results if result.protocol.name == name]
        others = tuple(key for key in TELLING if key in alike[0].protocol.shown)
        while others and any(_screen_table(result, others).width > WIDTH for result in alike):
            others = others[:-1]
        columns[name] = others
    return [_screen(result, columns[result.protocol.name]) for result in results]


def legend(results: Sequence[Result]) -> str:
    """Return a legend for the screens' tables, once for all of them."""
    rows = [row for result in results for row in _screen_rows(result)]
    words = "; ".join(f"{alignment}: {LEGEND[alignment]}" for alignment in dict.fromkeys(row.alignment for row in rows))
    text = f"Alignment {words}. In brackets: guesses that look at no picture"
    if any(row.entry == KNOWING for row in rows):
        text += f" ({KNOWING}: of the set's other images; it uses their truth, so it is the best guess only if alone)"
    text += ". -v: every alignment, distance and group."
    return textwrap.fill(text, WIDTH)


def verdict(name: str, title: str, best: tuple[str, Ratio] | None, images: int) -> str:
    """Return a sentence on whether `name` is better than the best guess, by their ratio of the error `title`."""
    name = shortened(name, LONGEST)
    if best is None:
        return f"{name}: there is no guess to compare it with."
    guess, (ratio, low, high) = best
    if images < 2:
        how, judgement = "a single image", "not significant"
    else:
        how = f"95 % {low:.2f}-{high:.2f}"
        low, high = round(low, 2), round(high, 2)  # as displayed: 1.00 is neither better nor worse
        judgement = "better than" if high < 1 else "worse than" if low > 1 else "not distinguishable from"
        judgement += " looking at no picture"
    return f"{name}: {title} {ratio:.2f} of that of the best guess ({guess}; {how}): {judgement}."


def figure(row: Summary, key: str) -> str:
    """Return one figure of a row as a cell."""
    value = row.figures.get(key, math.nan)
    if math.isnan(value):
        return "-"
    return f"{100 * value:.1f}" if key in PERCENT else f"{value:.3f}"


def _result_json(result: Result) -> dict[str, Any]:
    images: dict[str, dict[str, dict[str, dict[str, float]]]] = {}
    bins: dict[str, dict[str, dict[str, list[tuple[float, ...]]]]] = {}
    for one in result.images:
        images.setdefault(one.image, {}).setdefault(one.entry, {})[one.alignment] = one.figures
        if one.bins:
            bins.setdefault(one.image, {}).setdefault(one.entry, {})[one.alignment] = list(map(astuple, one.bins))
    return {
        "data": result.data,
        "protocol": asdict(result.protocol) | {"far": result.far, "mean_over": "images"},
        "hashes": {"protocol": result.protocol.fingerprint(), "data": result.data_hash()},
        "seed": result.seed,
        "factors": result.factors | {"fitted": result.fitted},
        "ambiguities": result.ambiguities,
        "covers": result.covers,
        "counts": asdict(result.counts),
        "rows": [{KEYS.get(key, key): value for key, value in asdict(row).items()} for row in result.rows],
        "per_image": images,
        "per_image_pixels": {one.image: one.pixels for one in result.images},
        "per_image_weights": {one.image: one.weight for one in result.images},
        "per_image_bands": {"columns": COLUMNS, "images": bins},
    }


def _screen(result: Result, others: tuple[str, ...]) -> str:
    counts, protocol = result.counts, result.protocol
    far = " or ".join(f"{f:g}" for f in result.far)
    lost = len(counts.failed) + len(counts.left_out)
    left = f" {lost} images left out (without truth that counts, or unreadable)." if lost else ""
    about = (
        f"{result.data}, protocol {protocol.name} up to {far} m: {_images(counts.images)}, "
        f"{counts.pixels} pixels with truth.{left}"
    )
    title, models = TITLES["abs_rel"], [row for row in _screen_rows(result) if not row.trivial]
    verdicts = [verdict(row.entry, f"{title} ({row.alignment})", _best_guess(row), row.images) for row in models]
    clipped = [_clipped_remark(result, row.entry) for row in models if row.alignment == "none"]
    lines = [about, *dict.fromkeys(verdicts), *filter(None, clipped)]
    wrapped = [textwrap.fill(printable(line), WIDTH, break_on_hyphens=False) for line in lines]
    return "\n".join(wrapped) + "\n\n" + _screen_table(result, others).plain()


def _clipped_remark(result: Result, name: str) -> str | None:
    """Return a remark on a model in metres whose depth lies almost entirely outside the protocol's range; else None."""
    images = [one for one in result.images if one.entry == name and one.alignment == "none"]
    if not images or sum(one.clipped for one in images) < MOSTLY * sum(one.pixels for one in images):
        return None
    scales = [one.figures["scale"] for one in images if "scale" in one.figures]
    median = float(np.median(scales)) if scales else 1.0
    wrong = f"{float(f'{max(median, 1 / median):.2g}'):g} times too {'far' if median < 1 else 'near'}"
    return (
        f"{shortened(name, LONGEST)}: its depth lies outside [{result.protocol.nearest:g} m, {result.far[-1]:g} m] and "
        f"was clipped to it; by medians it is {wrong}: correct its unit (--per-unit, or the rig of the model)."
    )


def _screen_rows(result: Result) -> list[Summary]:
    """Return the rows of the first screen, of all images together.

    Every model under the first alignment that suits its ambiguity (the median for an unknown scale, as in the papers;
    models in metres under the median too), and the guesses under the same.
    """
    rows = [row for row in result.rows if row.group == "all"]
    have = {row.alignment for row in rows}
    models = {row.entry: result.ambiguities.get(row.entry, "metric") for row in rows if not row.trivial}
    alignments: dict[Alignment, None] = {}
    for kind in models.values() or ["scale"]:
        fitting = [a for a in ("none", "median", *FITTING[kind]) if a in FITTING[kind] and a in have]
        alignments |= dict.fromkeys(fitting[:1])
        if kind == "metric" and "median" in have:
            alignments["median"] = None
    rows = [
        row
        for row in rows
        if row.alignment in alignments and (row.trivial or row.alignment in FITTING[models[row.entry]])
    ]
    order = list(alignments)
    return sorted(rows, key=lambda row: (order.index(row.alignment), row.trivial))


def _screen_table(result: Result, others: tuple[str, ...]) -> Table:
    first, rows = result.protocol.shown[0], _screen_rows(result)
    heads = ("alignment", "model", TITLES[first], "95 %", *(TITLES[key] for key in others), "/ best guess")
    cells = []
    for row in rows:
        best, name = _best_guess(row), shortened(row.entry, LONGEST)
        cells.append((
            row.alignment, f"({name})" if row.trivial else name, f"{row.figures[first]:.4f}",
            _interval(row.intervals[first], row.images), *(figure(row, key) for key in others),
            f"{best[1][0]:.2f}" if best else "-",
        ))  # fmt: skip
    return Table(heads, tuple(cells), 2, _breaks(rows, lambda row: row.alignment))


def _best_guess(row: Summary) -> tuple[str, Ratio] | None:
    """Return the guess with the lowest AbsRel under the row's alignment, and the row's ratio to it.

    The mean of the set's other images uses their truth, often of the same place, so it counts only if there is no
    other.
    """
    guesses = {name: ratio for name, ratio in row.ratios.items() if name != KNOWING} or row.ratios
    return max(guesses.items(), key=lambda item: item[1], default=None)


def _shown_rows(result: Result) -> list[Summary]:
    groups = {row.group for row in result.rows} - {"all"}
    every = not result.protocol.side_by_side or len(groups) <= FAMILIES
    return [row for row in result.rows if every or row.group == "all"]


def _breaks(rows: Sequence[Any], key: Callable[[Any], Any]) -> frozenset[int]:
    """Return the rows whose key differs from that of the row before."""
    return frozenset(i for i in range(1, len(rows)) if key(rows[i]) != key(rows[i - 1]))


def _interval(interval: tuple[float, float], images: int) -> str:
    return f"{interval[0]:.3f}-{interval[1]:.3f}" if images > 1 else "-"


def _images(count: int) -> str:
    return f"{count} image{'' if count == 1 else 's'}"
