"""One table, three faces: for a terminal, Markdown and LaTeX."""

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
from jaxtyping import Float

import cyclopean
from cyclopean.evaluation.dataset import Counts
from cyclopean.evaluation.evaluate import Band, Measured
from cyclopean.evaluation.protocols import ALIGNMENTS, EDGES, RELEASED, Alignment, Protocol
from cyclopean.evaluation.trivial import Candidate, family_of
from cyclopean.io.files import shortened, shown

_LATEX = {"%": r"\%", "_": r"\_", "&": r"\&", "#": r"\#", "$": r"\$", "{": r"\{", "}": r"\}", "δ": r"$\delta$"}
_LATEX |= {"<": r"\textless{}", ">": r"\textgreater{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
_LATEX |= {"²": r"$^2$", "³": r"$^3$", "\\": r"\textbackslash{}", "±": r"$\pm$", "−": "$-$"}


@dataclass(frozen=True)
class Table:
    """Cells as strings: the first `texts` columns are words and stand left, the rest are numbers and stand right.

    `breaks`: rows before which a gap stands in a terminal, a rule in LaTeX.
    """

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    texts: int
    breaks: frozenset[int] = frozenset()

    @property
    def width(self) -> int:
        """Columns of a terminal that it takes."""
        return sum(self._widths()) + 2 * (len(self.heads) - 1)

    def plain(self) -> str:
        """For a terminal: names from files are escaped where they hold control characters."""
        table, widths = self._printable(), self._widths()
        lines = [
            "  ".join(
                c.ljust(w) if i < self.texts else c.rjust(w) for i, (c, w) in enumerate(zip(r, widths, strict=True))
            )
            for r in table
        ]
        block = [lines[0], "  ".join("-" * w for w in widths)]
        for i, line in enumerate(lines[1:]):
            block += ["", line] if i in self.breaks else [line]
        return "\n".join(block)

    def folded(self, columns: int) -> "list[Table]":
        """As several tables that fit into so many columns of a terminal, each with the first column, shortened."""
        first = tuple(shortened(row[0], columns // 2) for row in (self.heads, *self.rows))
        widths = [max(map(len, map(shown, first))), *self._widths()[1:]]
        groups: list[list[int]] = [[]]
        for k in range(1, len(widths)):
            if groups[-1] and widths[0] + sum(2 + widths[n] for n in (*groups[-1], k)) > columns:
                groups.append([])
            groups[-1].append(k)
        found = []
        for group in groups:
            lines = [
                (name, *(row[k] for k in group)) for name, row in zip(first, (self.heads, *self.rows), strict=True)
            ]
            found.append(Table(lines[0], tuple(lines[1:]), sum(k < self.texts for k in (0, *group)), self.breaks))
        return found

    def _printable(self) -> list[list[str]]:
        return [[shown(cell) for cell in row] for row in (self.heads, *self.rows)]

    def _widths(self) -> list[int]:
        return [max(map(len, column)) for column in zip(*self._printable(), strict=True)]

    def markdown(self) -> str:
        """For a page."""
        rule = ["---"] * self.texts + ["---:"] * (len(self.heads) - self.texts)
        rows = [tuple(cell.replace("|", r"\|") for cell in row) for row in self.rows]
        return "\n".join("| " + " | ".join(row) + " |" for row in [self.heads, rule, *rows])

    def latex(self) -> str:
        """A `tabular` with the rules of booktabs."""
        lines = [
            rf"\begin{{tabular}}{{{'l' * self.texts}{'r' * (len(self.heads) - self.texts)}}}",
            r"\toprule",
            _row(self.heads),
            r"\midrule",
        ]
        for i, row in enumerate(self.rows):
            lines += [r"\midrule", _row(row)] if i in self.breaks else [_row(row)]
        return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])


def latex_text(text: str) -> str:
    """`text` with LaTeX's own characters made harmless."""
    return "".join(_LATEX.get(character, character) for character in text)


def _row(cells: Sequence[str]) -> str:
    return " & ".join(latex_text(cell) for cell in cells) + r" \\"


DRAWS = 1000
SQUARED = ("rmse", "rmse_log", "rmse_log10", "rmse_log10_1p")  # roots of means: pooled before the root
Weights = Float[np.ndarray, "draws images"]
Columns = dict[str, Float[np.ndarray, " images"]]


@dataclass(frozen=True)
class BandRow:
    """A distance band, pooled over the pixels of all images; `interval` of AbsRel from resampled images.

    `weight`: its pixels, or the sum of their solid angles.
    """

    near: float
    far: float
    pixels: int
    images: int
    abs_rel: float
    interval: tuple[float, float]
    bias: float
    rmse: float
    delta1: float
    weight: float


@dataclass(frozen=True)
class Row:
    """Means over the images of a group, with 95 % bootstrap intervals; `ratios` of AbsRel to each trivial row's.

    `pooled`: the same figures over all pixels of the group at once, so that images with more known pixels weigh more:
    the papers' tables are means over images. `edge_images`: how many images have boundaries to judge.
    """

    candidate: str
    trivial: bool
    alignment: Alignment
    group: str
    images: int
    figures: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    ratios: dict[str, tuple[float, float, float]]
    pooled: dict[str, float]
    bands: tuple[BandRow, ...]
    edge_images: int

    def best_ratio(self) -> tuple[float, float, float] | None:
        """AbsRel over that of the best trivial row, and its interval; None if no trivial row has this alignment."""
        return max(self.ratios.values(), default=None)


def summarise(measured: Sequence[Measured], candidates: Sequence[Candidate], seed: int = 0) -> list[Row]:
    """Means and bootstrap intervals over images, pooled and by group (the part of an image's name before '/').

    All rows of a group share their resamplings, so that ratios are of equal images. The pooled group is called "all".
    """
    names = list(dict.fromkeys(m.image for m in measured))
    families = list(dict.fromkeys(family_of(n) for n in names if family_of(n)))
    groups = {"all": names} | (
        {f: [n for n in names if n.startswith(f + "/")] for f in families} if len(families) > 1 else {}
    )
    trivial = {c.name for c in candidates if c.trivial}
    rows: list[Row] = []
    for group, members in groups.items():
        weights = resamplings(len(members), seed)
        for alignment in ALIGNMENTS:
            rows += _rows(_by_candidate(measured, members, alignment), weights, trivial, group)
    return rows


def resamplings(count: int, seed: int) -> Weights:
    """For each draw of `count` images with replacement, the share of each image."""
    draws = np.random.default_rng(seed).integers(0, count, (DRAWS, count))
    rows = np.repeat(np.arange(DRAWS), count)
    return np.bincount(rows * count + draws.ravel(), minlength=DRAWS * count).reshape(DRAWS, count) / count


def interval(values: Float[np.ndarray, " draws"]) -> tuple[float, float]:
    """The middle 95 %; draws without a value (NaN) are passed over."""
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)


def _by_candidate(measured: Sequence[Measured], members: list[str], alignment: Alignment) -> dict[str, list[Measured]]:
    """Candidate to its images, in the order of `members`."""
    place = {name: i for i, name in enumerate(members)}
    found: dict[str, list[Measured]] = {}
    for m in measured:
        if m.alignment == alignment and m.image in place:
            found.setdefault(m.candidate, []).append(m)
    return {name: sorted(images, key=lambda m: place[m.image]) for name, images in found.items()}


def _rows(by_candidate: dict[str, list[Measured]], weights: Weights, trivial: set[str], group: str) -> list[Row]:
    tables = {name: _table(images) for name, images in by_candidate.items()}
    rows = []
    for name, images in by_candidate.items():
        ratios = {
            other: _ratio(tables[name]["abs_rel"], tables[other]["abs_rel"], weights)
            for other in tables
            if other in trivial
        }
        # A figure that only some images have (D1 of a mixed set) is no figure of the group; edges say on how many.
        figures, intervals = {}, {}
        for key, values in tables[name].items():
            has = np.isfinite(values)
            if not has.all() and key not in EDGES:
                continue
            figures[key] = float(values[has].mean())
            intervals[key] = interval(_mean(values, has, weights))
        rows.append(
            Row(
                name, name in trivial, images[0].alignment, group, len(images), figures, intervals, ratios,
                _pooled(tables[name], images), _bands(images, weights), _having_edges(tables[name]),
            )
        )  # fmt: skip
    return rows


def _table(images: Sequence[Measured]) -> Columns:
    """Figure to its values, NaN for images without it."""
    keys = dict.fromkeys(key for m in images for key in m.figures)
    return {key: np.array([m.figures.get(key, np.nan) for m in images]) for key in keys}


def _mean(values: np.ndarray, has: np.ndarray, weights: Weights) -> Float[np.ndarray, " draws"]:
    share = weights[:, has].sum(1)
    return np.divide(weights[:, has] @ values[has], share, out=np.full(len(share), np.nan), where=share > 0)


def _ratio(
    ours: Float[np.ndarray, " images"], theirs: Float[np.ndarray, " images"], weights: Weights
) -> tuple[float, float, float]:
    low, high = interval((weights @ ours) / (weights @ theirs))
    return float(ours.mean() / theirs.mean()), low, high


def _having_edges(table: Columns) -> int:
    return int(np.isfinite(table[EDGES[0]]).sum()) if EDGES[0] in table else 0


def _pooled(table: Columns, images: Sequence[Measured]) -> dict[str, float]:
    """Figures over all counted pixels at once: exact, since a mean and its number of pixels give the sum.

    Of panoramas by solid angle, and their deltas approximately: points of the spiral are about as many as the angle is
    large. The released forms are no means: left out.
    """
    pixels = np.array([m.weight for m in images], dtype=float)
    found = {}
    for key, values in table.items():
        if (
            key in (*EDGES, *RELEASED, "scale", "d1", "bad2", "epe")
            or not pixels.sum()
            or not np.isfinite(values).all()
        ):
            continue
        power = 2 if key in SQUARED else 1
        found[key] = float(((pixels * values**power).sum() / pixels.sum()) ** (1 / power))
    return found


def _bands(images: Sequence[Measured], weights: Weights) -> tuple[BandRow, ...]:
    edges = sorted({(band.near, band.far) for m in images for band in m.bands})
    return tuple(_band(edge, images, weights) for edge in edges)


def _band(edge: tuple[float, float], images: Sequence[Measured], weights: Weights) -> BandRow:
    empty = Band(*edge, 0, 0.0, 0.0, 0.0, 0.0, 0.0)
    bands = [next((b for b in m.bands if (b.near, b.far) == edge), empty) for m in images]
    n = np.array([b.weight for b in bands], dtype=float)
    pixels = sum(b.pixels for b in bands)

    def pooled(values: list[float]) -> float:
        return float((n * values).sum() / n.sum())

    sums, share = weights @ (n * [b.abs_rel for b in bands]), weights @ n
    draws = np.divide(sums, share, out=np.full(len(share), np.nan), where=share > 0)
    return BandRow(
        *edge, pixels, int((n > 0).sum()), pooled([b.abs_rel for b in bands]), interval(draws),
        pooled([b.bias for b in bands]), pooled([b.rmse**2 for b in bands]) ** 0.5, pooled([b.delta1 for b in bands]),
        float(n.sum()),
    )  # fmt: skip


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
