"""A comparison for people: tables, the test error along the runs, pictures. One Markdown page, JSON, PNG files."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cyclopean.bench.family import Budget, Family, Samples
from cyclopean.bench.running import Comparison, Sized, fitted
from cyclopean.bench.tables import Result, claim_table, closer_table, course_table, real_table, table
from cyclopean.errors import InputError
from cyclopean.training import checkpoint

SHOWN = 4  # items of a sheet of pictures
MULTIPLE = 32  # sides of other data in pictures: all networks take it


def write_report(comparison: Comparison, command: str, machine: str, folder: Path | None = None) -> list[Path]:
    """Writes comparison.md, comparison.json, course.png, and pictures.png (pictures-NAME.png of other data) of what is
    done, into `folder` or beside the runs; returns their paths."""
    results, out = comparison.results(), folder or comparison.out
    if not results:
        raise InputError(f"{comparison.out} holds no result yet; train a row first.")
    out.mkdir(parents=True, exist_ok=True)
    rows, looks = [*results, *comparison.guesses()], comparison.closer(out)
    about = {"format": "cyclopean-comparison-of-methods", "version": 1, "family": comparison.family.name}
    (out / "comparison.md").write_text(page(comparison.family, rows, looks, command, machine))
    (out / "comparison.json").write_text(
        json.dumps({**about, "command": command, "machine": machine, "results": rows, "closer": looks}, indent=1) + "\n"
    )
    _course(comparison.family, results, out / "course.png")
    sheets: dict[str, Samples] = {"pictures.png": comparison.held_out()} | {
        f"pictures-{name}.png": Sized(data, comparison.budget.size, MULTIPLE) for name, data in comparison.real.items()
    }
    for name, data in sheets.items():
        _pictures(comparison, data, out / name)
    return [out / name for name in ("comparison.md", "comparison.json", "course.png", *sheets)]


def page(family: Family, results: Sequence[Result], looks: Sequence[Result], command: str, machine: str) -> str:
    """The tables in Markdown, with what is needed to make them again."""
    commits = sorted({str(r["commit"]) for r in results})
    real, course, claims, closer = (
        real_table(family, results),
        course_table(family, results),
        claim_table(family, results),
        closer_table(family, looks),
    )
    parts = [family.about(_budget(results[0])), table(family, results).markdown()]
    parts += ["Other data, shown at the size of training.", real.markdown()] if real else []
    parts += [f"Along the runs, held-out {family.scenes}; the best in bold.", course.markdown()] if course else []
    parts += ["Pairs of rows, the one said to be better first.", claims.markdown()] if claims else []
    parts += [family.about_closer, closer.markdown()] if closer else []
    return "\n\n".join([*parts, f"    {command}", f"Commit {', '.join(commits)}; {machine}.\n"])


def _budget(result: Result) -> Budget:
    """The budget a result was made with."""
    return Budget(**result["budget"] | {"size": tuple(result["budget"]["size"])})


def _course(family: Family, results: Sequence[Result], path: Path) -> None:
    """Figures of held-out scenes against how often the training set was seen; a dot marks the best by the headline."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import StrMethodFormatter

    shown = [key for key in family.drawn if any(key in point for r in results for point in r["course"])]
    if not shown:
        return
    rows = math.ceil(len(shown) / 2)
    columns = math.ceil(len(shown) / rows)
    figure = Figure(figsize=(2 + 5 * columns, 0.5 + 4.2 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).flat
    for axes, key in zip(panels, shown, strict=False):
        _draw(axes, family, results, key)
        head = family.columns[key]
        scale = "linear" if key.startswith("delta") else "log"
        axes.set(xlabel="times the training set was seen", ylabel=f"{head}, held-out {family.scenes}", yscale=scale)
        for which in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
            which(StrMethodFormatter("{x:g}"))
        axes.grid(alpha=0.3, which="both")
    handles, labels = panels[0].get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    figure.legend(unique.values(), unique.keys(), fontsize=8, loc="outside right upper")
    figure.savefig(path, dpi=110)


def _draw(axes: Any, family: Family, results: Sequence[Result], key: str) -> None:
    names = [n for n in dict.fromkeys(r["row"] for r in results) if family.rows[n].trained_as is None]
    for r in (r for r in results if r["row"] in names and r["course"]):
        k = names.index(r["row"])
        values = [point[key] for point in r["course"]]
        best = int(np.argmin([point[family.headline] for point in r["course"]]))
        steps = np.arange(1, len(values) + 1)
        axes.plot(steps, values, color=f"C{k % 10}", linestyle=("-", "--", ":")[k // 10 % 3], label=r["title"])
        axes.plot(steps[best], values[best], "o", color=f"C{k % 10}")


@torch.no_grad()
def _pictures(comparison: Comparison, data: Samples, path: Path) -> None:
    """Items, their true inverse depth if known, and that of every row (first seed): brighter is nearer."""
    from matplotlib.figure import Figure

    samples = [data[i] for i in range(min(SHOWN, len(data)))]
    lines: dict[str, list[np.ndarray]] = {
        "picture": [s.target.image[0].permute(1, 2, 0).numpy() for s in samples],
    }
    if not all(bool(s.depth.isnan().all()) for s in samples):
        lines["truth"] = [(1 / s.depth)[0, 0].nan_to_num().numpy() for s in samples]
    for name in dict.fromkeys(r["row"] for r in comparison.results()):
        row = comparison.family.rows[name]
        method, _ = checkpoint.load(comparison.folder(row.trained_as or name, 0) / "last")
        lines[row.title] = [row.predict(method, fitted(s, method))[0, 0].numpy() for s in samples]
    h, w = samples[0].depth.shape[-2:]
    figure = Figure(figsize=(2.2 * len(samples), (2.2 * h / w + 0.2) * len(lines)), layout="constrained")
    grid = figure.subplots(len(lines), len(samples), squeeze=False)
    for axes_row, (title, images) in zip(grid, lines.items(), strict=True):
        for axes, image in zip(axes_row, images, strict=True):
            top = np.percentile(image, 99) or 1.0
            axes.imshow(image, **({} if image.ndim == 3 else {"cmap": "inferno", "vmin": 0, "vmax": top}))
            axes.set_axis_off()
        axes_row[0].set_title(title, fontsize=7, loc="left", pad=2)
    figure.savefig(path, dpi=110)
