"""A comparison for people: a table, the test error along the runs, pictures. One Markdown page and two PNG files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cyclopean import checkpoint
from cyclopean.comparison.rows import ROWS
from cyclopean.comparison.running import Comparison
from cyclopean.data.folder import FolderDataset
from cyclopean.errors import InputError

COLUMNS = {
    "abs_rel": "AbsRel",
    "sq_rel": "SqRel",
    "rmse": "RMSE",
    "rmse_log": "RMSElog",
    "delta1": "δ1",
    "abs_rel_edges": "AbsRel at edges",
    "contours": "contour F1",
    "abs_rel_median": "AbsRel, median-aligned",
}
SHOWN = 4  # held-out scenes in the picture

Result = dict[str, Any]


def write_report(comparison: Comparison, command: str, machine: str) -> list[Path]:
    """Writes comparison.md, course.png and pictures.png of what is done; returns their paths."""
    results = comparison.results()
    if not results:
        raise InputError(f"{comparison.out} holds no result yet.")
    out = comparison.out
    (out / "comparison.md").write_text(page(results, command, machine))
    _course(results, out / "course.png")
    _pictures(comparison, out / "pictures.png")
    return [out / "comparison.md", out / "course.png", out / "pictures.png"]


def page(results: Sequence[Result], command: str, machine: str) -> str:
    """The table in Markdown, with what is needed to make it again."""
    b, commits = results[0]["budget"], sorted({str(r["commit"]) for r in results})
    real = list(results[0]["real"])
    heads = ["row", "seeds", *COLUMNS.values(), *(f"{name}, median-aligned" for name in real), "best / last", "minutes"]
    lines = ["| " + " | ".join(heads) + " |", "|---" * 1 + "|---:" * (len(heads) - 1) + "|"]
    for name in dict.fromkeys(r["row"] for r in results):
        lines.append("| " + " | ".join(_cells([r for r in results if r["row"] == name], real)) + " |")
    about = (
        f"{b['scenes']} streets of {b['size'][0]}x{b['size'][1]} pixels, one rig; {b['steps']} steps of "
        f"{b['batch_size']} pairs, the network `{b['network']}` at width {b['width']:g}, learning rate "
        f"{b['learning_rate']:g}; {b['held_out']} held-out streets, metric depth, truth within (0.1 m, 80 m), means "
        "over images (and standard deviation over seeds). AbsRel at edges: within 4 pixels of a depth discontinuity. "
        "Best / last: the lowest AbsRel along the run over that at its end."
    )
    return "\n".join([about, "", *lines, "", f"    {command}", "", f"Commit {', '.join(commits)}; {machine}.", ""])


def _cells(results: Sequence[Result], real: Sequence[str]) -> list[str]:
    def over_seeds(values: list[float]) -> str:
        mean = f"{np.mean(values):.3f}"
        return mean if len(values) == 1 else f"{mean} ± {np.std(values):.3f}"

    course = [[p["abs_rel"] for p in r["course"]] for r in results]
    best = [min(c) / c[-1] for c in course if c]
    return [
        results[0]["title"],
        str(len(results)),
        *(over_seeds([r["figures"][key] for r in results]) for key in COLUMNS),
        *(over_seeds([r["real"][name]["abs_rel_median"] for r in results]) for name in real),
        over_seeds(best) if best else "",
        f"{np.mean([r['seconds'] for r in results]) / 60:.1f}",
    ]


def _course(results: Sequence[Result], path: Path) -> None:
    """AbsRel on held-out streets against how often the training set was seen; a dot marks the best snapshot."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.add_subplot()
    names = [n for n in dict.fromkeys(r["row"] for r in results) if ROWS[n].trained_as is None]
    for k, name in enumerate(names):
        for r in (r for r in results if r["row"] == name):
            values = [p["abs_rel"] for p in r["course"]]
            if values:
                steps = np.arange(1, len(values) + 1)
                axes.plot(steps, values, color=f"C{k % 10}", linestyle=("-", "--", ":")[k // 10 % 3], label=r["title"])
                axes.plot(steps[np.argmin(values)], min(values), "o", color=f"C{k % 10}")
    handles, labels = axes.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    axes.legend(unique.values(), unique.keys(), fontsize=8)
    axes.set(xlabel="times the training set was seen", ylabel="AbsRel, held-out streets", yscale="log")
    axes.grid(alpha=0.3, which="both")
    figure.savefig(path, dpi=110)


@torch.no_grad()
def _pictures(comparison: Comparison, path: Path) -> None:
    """Held-out streets, their true inverse depth, and that of every row (first seed): brighter is nearer."""
    from matplotlib.figure import Figure

    data = FolderDataset(comparison.out / "data" / "held-out")
    samples = [data[i] for i in range(min(SHOWN, len(data)))]
    columns: dict[str, list[np.ndarray]] = {
        "picture": [s.target.image[0].permute(1, 2, 0).numpy() for s in samples],
        "truth": [(1 / s.depth)[0, 0].nan_to_num().numpy() for s in samples],
    }
    for name in dict.fromkeys(r["row"] for r in comparison.results()):
        row = ROWS[name]
        method, _ = checkpoint.load(comparison.folder(row.trained_as or name, 0) / "last")
        columns[row.title] = [row.predict(method, s)[0, 0].numpy() for s in samples]
    h, w = samples[0].depth.shape[-2:]
    figure = Figure(figsize=(2.2 * len(samples), 2.4 * h / w * len(columns)), layout="constrained")
    grid = figure.subplots(len(columns), len(samples), squeeze=False)
    for axes_row, (title, images) in zip(grid, columns.items(), strict=True):
        for axes, image in zip(axes_row, images, strict=True):
            top = np.percentile(image, 99)
            axes.imshow(image, **({} if image.ndim == 3 else {"cmap": "inferno", "vmin": 0, "vmax": top}))
            axes.set_axis_off()
        axes_row[0].set_title(title, fontsize=7, loc="left", pad=2)
    figure.savefig(path, dpi=110)
