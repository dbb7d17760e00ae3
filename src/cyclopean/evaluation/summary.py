"""From images to a data set: means over images, pooled over pixels, by distance, and how far they can be trusted."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from cyclopean.evaluation.measure import Band, Measured
from cyclopean.evaluation.protocols import ALIGNMENTS, EDGES, RELEASED, Alignment
from cyclopean.evaluation.trivial import Candidate, family_of

DRAWS = 1000
SQUARED = ("rmse", "rmse_log", "rmse_log10", "rmse_log10_1p")  # roots of means: pooled before the root
Weights = Float[np.ndarray, "draws images"]
Table = dict[str, Float[np.ndarray, " images"]]


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


def _table(images: Sequence[Measured]) -> Table:
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


def _having_edges(table: Table) -> int:
    return int(np.isfinite(table[EDGES[0]]).sum()) if EDGES[0] in table else 0


def _pooled(table: Table, images: Sequence[Measured]) -> dict[str, float]:
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
