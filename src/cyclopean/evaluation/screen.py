"""The first screen of `cyclopean evaluate`: does a model beat looking at no picture? One table of 100 columns."""

import textwrap
from collections.abc import Sequence

import numpy as np

from cyclopean.evaluation.protocols import FITTING, Alignment
from cyclopean.evaluation.report import TITLES, Result, Row, Table, figure
from cyclopean.io.files import shortened, shown

COLUMNS = 100
MOSTLY = 0.99  # of the pixels clipped: the unit is wrong
KNOWING = "leave-one-out mean"
LONGEST = 28  # characters of a name
# figures beside the protocol's first, as many as fit; the most telling first
TELLING = ("rmse", "delta1", "epe", "d1", "edge_f1", "log10", "sq_rel", "rmse_log")
SAID = {
    "none": "as predicted",
    "factor": "one factor for the set",
    "median": "one factor for each image (medians)",
    "affine": "factor and offset of 1/depth for each image",
}
Ratio = tuple[float, float, float]


def screens(results: Sequence[Result]) -> list[str]:
    """Return for each result what was judged, a verdict on each model, and a table of models and guesses.

    They are at most 100 columns wide. Tables of one protocol have the same columns: those that fit in all of them.
    """
    others = {
        name: _fitting([result for result in results if result.protocol.name == name])
        for name in dict.fromkeys(result.protocol.name for result in results)
    }
    return [_screen(result, others[result.protocol.name]) for result in results]


def _fitting(results: Sequence[Result]) -> tuple[str, ...]:
    """The figures, beside the first, that the tables of all `results` have room for."""
    others = tuple(key for key in TELLING if key in results[0].protocol.shown)
    while others and any(_table(result, _chosen(result), others).width > COLUMNS for result in results):
        others = others[:-1]
    return others


def _screen(result: Result, others: tuple[str, ...]) -> str:
    counts, protocol = result.counts, result.protocol
    far = " or ".join(f"{f:g}" for f in result.far)
    images = f"{counts.images} image{'' if counts.images == 1 else 's'}"
    lost = len(counts.failed) + len(counts.left_out)
    left = f" {lost} images left out (without truth that counts, or unreadable)." if lost else ""
    about = f"{result.data}, protocol {protocol.name} up to {far} m: {images}, {counts.pixels} pixels with truth.{left}"
    rows = _chosen(result)
    title = TITLES["abs_rel"]
    models = [row for row in rows if not row.trivial]
    verdicts = [verdict(row.candidate, f"{title} ({row.alignment})", _best(row), row.images) for row in models]
    clipped = [_all_clipped(result, row.candidate) for row in models if row.alignment == "none"]
    lines = [about, *dict.fromkeys(verdicts), *filter(None, clipped)]
    wrapped = [textwrap.fill(shown(line), COLUMNS, break_on_hyphens=False) for line in lines]
    return "\n".join(wrapped) + "\n\n" + _table(result, rows, others).plain()


def _all_clipped(result: Result, name: str) -> str | None:
    """Return a remark on a model in metres whose every depth lies outside what the protocol keeps; else None."""
    images = [m for m in result.measured if m.candidate == name and m.alignment == "none"]
    if not images or sum(m.clipped for m in images) < MOSTLY * sum(m.pixels for m in images):
        return None
    scales = [m.figures["scale"] for m in images if "scale" in m.figures]
    median = float(np.median(scales)) if scales else 1.0
    wrong = f"{float(f'{max(median, 1 / median):.2g}'):g} times too {'far' if median < 1 else 'near'}"
    return (
        f"{shortened(name, LONGEST)}: its depth lies outside [{result.protocol.nearest:g} m, {result.far[-1]:g} m] and "
        f"was clipped to it, by medians it is {wrong}: correct its unit (--per-unit, or the rig of the model)."
    )


def verdict(name: str, title: str, best: tuple[str, Ratio] | None, images: int) -> str:
    """Return one sentence: is `name` better than the best guess, whose error `title` has the ratio to its own?"""
    name = shortened(name, LONGEST)
    if best is None:
        return f"{name}: there is no guess to compare it with."
    guess, (ratio, low, high) = best
    if images < 2:
        how, found = "a single image", "tells little"
    else:
        how = f"95 % {low:.2f}-{high:.2f}"
        low, high = round(low, 2), round(high, 2)  # as they are shown: 1.00 is no better and no worse
        found = "better than" if high < 1 else "worse than" if low > 1 else "not told apart from"
        found += " looking at no picture"
    return f"{name}: {title} {ratio:.2f} of that of the best guess ({guess}; {how}): {found}."


def _best(row: Row) -> tuple[str, Ratio] | None:
    """The guess with the lowest AbsRel under the row's alignment, and the row's ratio to it.

    The mean of the set's other images knows their truth, often of the same place: no guess unless there is no other.
    """
    guesses = {name: ratio for name, ratio in row.ratios.items() if name != KNOWING} or row.ratios
    return max(guesses.items(), key=lambda item: item[1], default=None)


def _chosen(result: Result) -> list[Row]:
    """Of all images together: every model under the first alignment that fits what it leaves open (the median for an
    unknown scale, as in the papers), and the guesses under the same."""
    rows = [row for row in result.rows if row.group == "all"]
    have = {row.alignment for row in rows}
    models = {row.candidate: result.ambiguities.get(row.candidate, "metric") for row in rows if not row.trivial}
    wanted: dict[Alignment, None] = {}
    for kind in models.values() or ["scale"]:
        fitting = [a for a in ("none", "median", *FITTING[kind]) if a in FITTING[kind] and a in have]
        wanted |= dict.fromkeys(fitting[:1])
        if kind == "metric" and "median" in have:
            wanted["median"] = None
    rows = [row for row in rows if row.alignment in wanted and _fits(row, models)]
    order = list(wanted)
    return sorted(rows, key=lambda row: (order.index(row.alignment), row.trivial))


def _fits(row: Row, models: dict[str, str]) -> bool:
    return row.trivial or row.alignment in FITTING[models[row.candidate]]


def _table(result: Result, rows: Sequence[Row], others: tuple[str, ...]) -> Table:
    first = result.protocol.shown[0]
    breaks = frozenset(i for i in range(1, len(rows)) if rows[i].alignment != rows[i - 1].alignment)
    heads = ("alignment", "model", TITLES[first], "95 %", *(TITLES[key] for key in others), "/ best guess")
    cells = []
    for row in rows:
        low, high = row.intervals[first]
        best = _best(row)
        name = shortened(row.candidate, LONGEST)
        cells.append((
            row.alignment, f"({name})" if row.trivial else name, f"{row.figures[first]:.4f}",
            f"{low:.3f}-{high:.3f}" if row.images > 1 else "-", *(figure(row, key) for key in others),
            f"{best[1][0]:.2f}" if best else "-",
        ))  # fmt: skip
    return Table(heads, tuple(cells), 2, breaks)


def legend(results: Sequence[Result]) -> str:
    """Return what the words of the tables mean, once for all of them."""
    used = dict.fromkeys(row.alignment for result in results for row in _chosen(result))
    said = "; ".join(f"{alignment}: {SAID[alignment]}" for alignment in used)
    text = f"Alignment {said}. In brackets: guesses that look at no picture"
    if any(row.candidate == KNOWING for result in results for row in _chosen(result)):
        text += f" ({KNOWING}: of the set's other images, whose truth it knows; the best guess where there is no other)"
    text += ". -v: every alignment, distance and group."
    return textwrap.fill(text, COLUMNS)
