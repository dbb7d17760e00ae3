"""Write a comparison down: tables, the test error along the runs, pictures. One Markdown page, JSON, PNG files."""

import json
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cyclopean.bench.comparison import Comparison, Sized, resized_for
from cyclopean.bench.family import Budget, Family, Samples
from cyclopean.errors import InputError
from cyclopean.evaluation.tables import Table
from cyclopean.io.files import appearing
from cyclopean.sample import Sample

LONGEST_COURSE = 12  # points along a run that stand in a table; more are a curve's matter
SHOWN = 4  # items of a sheet of pictures
MULTIPLE = 32  # sides of other data in pictures: all networks take it

Result = dict[str, Any]


def write_report(comparison: Comparison, command: str, machine: str, folder: Path | None = None) -> list[Path]:
    """Write what is done into `folder`, or beside the runs; return the paths.

    comparison.md, comparison.json, course.png, pictures.png (pictures-NAME.png of other data), masks.png of a family
    that has masks, and the family's own sheets.
    """
    family, results, out = comparison.family, comparison.results(), folder or comparison.out
    if not results:
        raise InputError(f"{comparison.out} holds no result yet; train a row first.")
    out.mkdir(parents=True, exist_ok=True)
    rows, closer, masks = [*results, *comparison.guesses()], comparison.closer(out), comparison.masks(out)
    sheets: dict[str, Samples] = {"pictures.png": comparison.held_out()} | {
        f"pictures-{name}.png": Sized(data, comparison.budget.size, MULTIPLE) for name, data in comparison.real.items()
    }
    content = {
        **{"format": "cyclopean-comparison-of-methods", "version": 1, "family": family.name},
        **{"command": command, "machine": machine, "results": rows, "closer": closer},
        **({"masks": masks} if masks else {}),
    }
    with appearing(out) as unfinished:
        text = page(family, rows, closer=closer, masks=masks, command=command, machine=machine, real=comparison.real)
        (unfinished / "comparison.md").write_text(text)
        (unfinished / "comparison.json").write_text(json.dumps(content, indent=1) + "\n")
        _draw_course(family, results, unfinished / "course.png")
        for name, data in sheets.items():
            _draw_pictures(comparison, data, unfinished / name)
        if masks:
            _draw_masks(comparison, unfinished / "masks.png")
        own = {name: lines for name, make in family.sheets.items() if (lines := make(comparison))}
        for name, lines in own.items():
            _draw_sheet(lines, unfinished / name)
    drawn = (*sheets, *(["masks.png"] if masks else []), *own)
    return [out / name for name in ("comparison.md", "comparison.json", "course.png", *drawn)]


def page(
    family: Family,
    results: Sequence[Result],
    *,
    closer: Sequence[Result],
    masks: Sequence[Result],
    command: str,
    machine: str,
    real: Collection[str] = (),
) -> str:
    """Return the tables in Markdown, with what is needed to make them again. `real` are the names of other data."""
    budget = Budget(**results[0]["budget"] | {"size": tuple(results[0]["budget"]["size"])})
    commits = sorted({str(r["commit"]) for r in results})
    parts = [family.about(budget), table(family, results).markdown()]
    looked_at = {**family.closer_columns, **family.metre_columns}
    looked_at |= {
        f"{name} {key}": f"{name}, {title}" for name in real for key, title in family.real_metre_columns.items()
    }
    for title, part in (
        ("Other data, shown at the size of training.", real_table(family, results)),
        (f"Along the runs, held-out {family.scenes}; the best in bold.", course_table(family, results)),
        ("Pairs of rows, the one said to be better first.", claim_table(family, results)),
        (family.about_closer, _plain_table(looked_at, closer)),
        (family.about_masks, _plain_table(family.mask_columns, masks)),
    ):
        parts += [title, part.markdown()] if part else []
    return "\n\n".join([*parts, f"    {command}", f"Commit {', '.join(commits)}; {machine}.\n"])


def table(family: Family, results: Sequence[Result]) -> Table:
    """Return the table of held-out scenes: a line for each row, means over its seeds; guesses last, in brackets."""

    def cells(rows: Sequence[Result]) -> list[str]:
        trained = "seconds" in rows[0]
        course = [[point[family.headline] for point in r["course"]] for r in rows]
        best = [min(values) / values[-1] for values in course if values]
        return [
            str(len(rows)) if trained else "",
            *(_over_seeds([r["figures"].get(key) for r in rows]) for key in family.columns),
            _over_seeds(best) if best else "",
            f"{np.mean([r['seconds'] for r in rows]) / 60:.1f}" if trained else "",
        ]

    return _table_of_rows(("seeds", *family.columns.values(), "best / last", "minutes"), results, cells)


def real_table(family: Family, results: Sequence[Result]) -> Table | None:
    """Return the table of other data, in the same lines; None without any."""
    columns = [
        (name, key, f"{name}, {label}")
        for name, figures in results[0]["real"].items()
        for key, label in family.real_columns.items()
        if key in figures
    ]

    def cells(rows: Sequence[Result]) -> list[str]:
        return [_over_seeds([r["real"].get(name, {}).get(key) for r in rows]) for name, key, _ in columns]

    return _table_of_rows([head for *_, head in columns], results, cells) if columns else None


def course_table(family: Family, results: Sequence[Result]) -> Table | None:
    """Return the headline each time the training set was seen once more, the best in bold; None for long runs.

    Of the first seed.
    """
    first = [rows[0] for rows in _by_row(results) if rows[0]["course"]]
    most = max((len(r["course"]) for r in first), default=0)
    if not 0 < most <= LONGEST_COURSE:
        return None
    lines = []
    for r in first:
        values = [point[family.headline] for point in r["course"]]
        best = int(np.argmin(values))
        cells = [f"**{value:.3f}**" if k == best else f"{value:.3f}" for k, value in enumerate(values)]
        lines.append((r["title"], *cells, *[""] * (most - len(cells))))
    heads = (f"{family.columns[family.headline]} after so many times", *(str(n + 1) for n in range(most)))
    return Table(heads, tuple(lines), 1)


def claim_table(family: Family, results: Sequence[Result]) -> Table | None:
    """Return what was claimed of two rows beside what they reach here; None without claims."""
    by_name = {rows[0]["row"]: rows for rows in _by_row(results)}
    lines = []
    for claim in family.claims:
        if not {claim.ahead, claim.behind} <= by_name.keys():
            lines.append((claim.title, claim.figures, *["-"] * len(family.claimed), "not run"))
            continue
        pair = by_name[claim.ahead], by_name[claim.behind]
        cells, kept, judged = [], 0, 0
        for key in family.claimed:
            if not all(key in r["figures"] for rows in pair for r in rows):
                cells.append("-")  # results of a version that did not measure it
                continue
            ahead, behind = (float(np.mean([r["figures"][key] for r in rows])) for rows in pair)
            judged += 1
            kept += ahead > behind if key.startswith("delta") else ahead < behind
            cells.append(f"{ahead:.3f} / {behind:.3f}")
        lines.append((claim.title, claim.figures, *cells, f"{kept} of {judged}"))
    heads = ("the paper says", "its figures", *(family.columns[key] for key in family.claimed), "so here")
    return Table(heads, tuple(lines), 2) if lines else None


def _plain_table(columns: Mapping[str, str], results: Sequence[Result]) -> Table | None:
    """Return a table of the figures named by `columns`; None without results."""

    def cells(rows: Sequence[Result]) -> list[str]:
        return [_over_seeds([r["figures"].get(key) for r in rows]) for key in columns]

    return _table_of_rows(list(columns.values()), results, cells) if results else None


def _table_of_rows(
    heads: Sequence[str], results: Sequence[Result], cells: Callable[[Sequence[Result]], list[str]]
) -> Table:
    """Return a table with a line for each row; what was not trained stands in brackets, after a gap."""
    lines, breaks = [], []
    for k, rows in enumerate(_by_row(results)):
        trained, title = "seconds" in rows[0], rows[0]["title"]
        breaks += [] if trained else [k]
        lines.append((title if trained else f"({title})", *cells(rows)))
    return Table(("row", *heads), tuple(lines), 1, frozenset(breaks[:1]) - {0})


def _by_row(results: Sequence[Result]) -> list[list[Result]]:
    names = dict.fromkeys(r["row"] for r in results)
    return [[r for r in results if r["row"] == name] for name in names]


def _over_seeds(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    mean = f"{np.mean(known):.3f}"
    return mean if len(known) == 1 else f"{mean} ± {np.std(known):.3f}"


def _draw_course(family: Family, results: Sequence[Result], path: Path) -> None:
    """Draw figures of held-out scenes against how often the training set was seen; a dot marks the best headline."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import StrMethodFormatter

    keys = [key for key in family.drawn if any(key in point for r in results for point in r["course"])]
    if not keys:
        return
    names = [n for n in dict.fromkeys(r["row"] for r in results) if family.rows[n].trained_as is None]
    rows = math.ceil(len(keys) / 2)
    columns = math.ceil(len(keys) / rows)
    figure = Figure(figsize=(2 + 5 * columns, 0.5 + 4.2 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).flat
    for axes, key in zip(panels, keys, strict=False):
        for r in (r for r in results if r["row"] in names and r["course"]):
            k = names.index(r["row"])
            values = [point[key] for point in r["course"]]
            best = int(np.argmin([point[family.headline] for point in r["course"]]))
            steps = np.arange(1, len(values) + 1)
            axes.plot(steps, values, color=f"C{k % 10}", linestyle=("-", "--", ":")[k // 10 % 3], label=r["title"])
            axes.plot(steps[best], values[best], "o", color=f"C{k % 10}")
        scale = "linear" if key.startswith("delta") else "log"
        label = f"{family.columns[key]}, held-out {family.scenes}"
        axes.set(xlabel="times the training set was seen", ylabel=label, yscale=scale)
        for which in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
            which(StrMethodFormatter("{x:g}"))
        axes.grid(alpha=0.3, which="both")
    handles, labels = panels[0].get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    figure.legend(unique.values(), unique.keys(), fontsize=8, loc="outside right upper")
    figure.savefig(path, dpi=110)


@torch.no_grad()
def _draw_pictures(comparison: Comparison, data: Samples, path: Path) -> None:
    """Draw items, their true inverse depth if known, and that of every row (first seed): brighter is nearer."""
    samples = [data[i] for i in range(min(SHOWN, len(data)))]
    lines = {"picture": [s.target.image[0].permute(1, 2, 0).numpy() for s in samples]}
    if not all(bool(s.depth.isnan().all()) for s in samples):
        lines["truth"] = [(1 / s.depth)[0, 0].nan_to_num().numpy() for s in samples]
    for name in dict.fromkeys(r["row"] for r in comparison.results()):
        row, method = comparison.family.rows[name], comparison.trained(name, 0)
        lines[row.title] = [row.predict(method, resized_for(method, s))[0, 0].numpy() for s in samples]
    _draw_sheet(lines, path)


def _draw_masks(comparison: Comparison, path: Path) -> None:
    """Draw items, in red what moves in them, and what each mask finds (first seed)."""
    samples = [comparison.held_out()[i] for i in range(min(SHOWN, len(comparison.held_out())))]

    def painted(sample: Sample, static: np.ndarray) -> np.ndarray:
        grey = sample.target.image[0].mean(0).numpy()[..., None] * (0.5, 0.5, 0.5)
        return np.where(static[..., None] > 0.5, grey, grey + np.array([0.5, 0.0, 0.0]))

    lines = {
        "picture": [s.target.image[0].permute(1, 2, 0).numpy() for s in samples],
        "what moves": [painted(s, s.target.valid[0, 0].numpy()) for s in samples],
    }
    done = {r["row"] for r in comparison.results() if r["seed"] == 0}
    for mask in comparison.family.masks.values():
        if mask.row in done:
            method = comparison.trained(mask.row, 0)
            lines[mask.title] = [painted(s, mask.static(method, s)[0, 0].numpy()) for s in samples]
    _draw_sheet(lines, path)


def _draw_sheet(lines: Mapping[str, Sequence[np.ndarray]], path: Path) -> None:
    """Draw a line of pictures (h w 3 in [0,1], or h w from 0 up) under each title; what is NaN is blank."""
    from matplotlib.figure import Figure

    shapes = next(iter(lines.values()))
    h, w = shapes[0].shape[:2]
    figure = Figure(figsize=(2.2 * len(shapes), (2.2 * h / w + 0.2) * len(lines)), layout="constrained")
    grid = figure.subplots(len(lines), len(shapes), squeeze=False)
    for axes_row, (title, images) in zip(grid, lines.items(), strict=True):
        for axes, image in zip(axes_row, images, strict=True):
            top = np.nanpercentile(image, 99) or 1.0
            axes.imshow(image, **({} if image.ndim == 3 else {"cmap": "inferno", "vmin": 0, "vmax": top}))
            axes.set_axis_off()
        axes_row[0].set_title(title, fontsize=7, loc="left", pad=2)
    figure.savefig(path, dpi=110)
