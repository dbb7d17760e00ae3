"""Summaries of a data set: means over images with bootstrap intervals, pooled figures, ratios to the guesses."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float

from cyclopean.data.base import first_of
from cyclopean.errors import InputError
from cyclopean.evaluation.entries import DepthDataset, Entry
from cyclopean.evaluation.evaluate import (
    Counts,
    DistanceBin,
    ImageResult,
    evaluate_variants,
    evenly_spaced,
    fitted_factors,
)
from cyclopean.evaluation.protocols import ALIGNMENTS, EDGES, RELEASED, Alignment, Protocol
from cyclopean.evaluation.trivial import family_of

DRAWS = 1000
RANGE_OF = 8  # items, evenly spaced, whose range of truth an error names
SQUARED = ("rmse", "rmse_log", "rmse_log10", "rmse_log10_1p")  # roots of means: pooled before the root
NOT_POOLED = (*EDGES, *RELEASED, "scale", "d1", "bad2", "epe")
Weights = Float[np.ndarray, "draws images"]
Values = Float[np.ndarray, " images"]


@dataclass(frozen=True)
class BinSummary:
    """A distance bin, pooled over the pixels of all images; `interval` of AbsRel from resampled images.

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
class Summary:
    """Means over the images of a group, with 95 % bootstrap intervals; `ratios` of AbsRel to each trivial entry's.

    `pooled`: the same figures over all pixels of the group at once, so that images with more known pixels weigh more:
    the papers' tables are means over images. `edge_images`: how many images have depth boundaries.
    """

    entry: str
    trivial: bool
    alignment: Alignment
    group: str
    images: int
    figures: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    ratios: dict[str, tuple[float, float, float]]
    pooled: dict[str, float]
    bins: tuple[BinSummary, ...]
    edge_images: int

    def best_ratio(self) -> tuple[float, float, float] | None:
        """Return AbsRel over that of the best guess, and its interval; None if no guess has this alignment."""
        return max(self.ratios.values(), default=None)


@dataclass(frozen=True)
class Result:
    """The result on one data set: `data` is its name, `seed` that of the bootstrap; `far`: the caps of its images.

    By entry: `factors` of the alignment "factor", and whether they were fitted on the set; `ambiguities`: what it
    leaves undetermined; `covers`: the part of the picture that its maps show.
    """

    data: str
    protocol: Protocol
    far: tuple[float, ...]
    rows: tuple[Summary, ...]
    images: tuple[ImageResult, ...]
    counts: Counts
    seed: int
    factors: dict[str, float] = field(default_factory=dict)
    fitted: bool = True
    ambiguities: dict[str, str] = field(default_factory=dict)
    covers: dict[str, str] = field(default_factory=dict)

    def data_hash(self) -> str:
        """Return twelve hexadecimal digits over what was evaluated: the images in order, their pixels, what was left
        out."""
        pixels = {one.image: one.pixels for one in self.images}
        lines = [f"{name} {n}" for name, n in pixels.items()] + ["left out", *self.counts.left_out, *self.counts.failed]
        return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()[:12]


def judge_dataset(
    name: str,
    data: DepthDataset,
    indices: Sequence[int],
    entries: Sequence[Entry],
    variants: Sequence[Protocol],
    *,
    factor: float | None = None,
    seed: int = 0,
    progress: Callable[[Sequence[int]], Iterable[int]] = iter,
) -> list[Result]:
    """Return one result for each variant of the protocols, from one prediction of each image.

    `factor` of the alignment "factor", of every model; without it, it is fitted for each model where a protocol shows
    that alignment. `progress` wraps the indices. Raises `InputError` if nothing could be evaluated.
    """
    models = [entry for entry in entries if not entry.trivial]
    with_factor = [protocol for protocol in variants if "factor" in protocol.side_by_side]
    factors: dict[str, float] = {}
    if factor is not None:
        factors = {model.name: factor for model in models}
    elif with_factor:
        factors = fitted_factors(models, data, indices, with_factor[0])
    results = []
    judged = evaluate_variants(entries, data, progress(indices), variants, factors)
    for protocol, (images, counts) in zip(variants, judged, strict=True):
        if not images:
            raise _nothing_judged(name, data, indices, protocol, counts.failed)
        results.append(
            Result(
                name,
                protocol,
                far=(protocol.far,) if protocol.far else tuple(sorted({data.far(i) for i in indices})),
                rows=tuple(summarise(images, entries, seed)),
                images=tuple(images),
                counts=counts,
                seed=seed,
                factors=factors,
                fitted=factor is None,
                ambiguities={model.name: str(model.ambiguity) for model in models},
                covers={model.name: model.covers for model in models},
            )
        )
    return results


def summarise(results: Sequence[ImageResult], entries: Sequence[Entry], seed: int = 0) -> list[Summary]:
    """Return means and bootstrap intervals over images, of all and by group (the part of an image's name before '/').

    All rows of a group share their resamplings, so that ratios are of the same images. The group of all images is
    "all".
    """
    names = list(dict.fromkeys(r.image for r in results))
    families = list(dict.fromkeys(family_of(n) for n in names if family_of(n)))
    groups = {"all": names}
    if len(families) > 1:
        groups |= {family: [n for n in names if n.startswith(family + "/")] for family in families}
    trivial = {entry.name for entry in entries if entry.trivial}
    rows: list[Summary] = []
    for group, members in groups.items():
        weights = resamplings(len(members), seed)
        place = {name: i for i, name in enumerate(members)}
        for alignment in ALIGNMENTS:
            by_entry: dict[str, list[ImageResult]] = {}
            for result in results:
                if result.alignment == alignment and result.image in place:
                    by_entry.setdefault(result.entry, []).append(result)
            images = {name: sorted(part, key=lambda r: place[r.image]) for name, part in by_entry.items()}
            columns = {name: _columns(part) for name, part in images.items()}
            guesses = {name: columns[name]["abs_rel"] for name in columns if name in trivial}
            rows += [_summary(part, columns[name], guesses, weights, group=group) for name, part in images.items()]
    return rows


def resamplings(count: int, seed: int) -> Weights:
    """Return the share of each image in each draw of `count` images with replacement."""
    draws = np.random.default_rng(seed).integers(0, count, (DRAWS, count))
    rows = np.repeat(np.arange(DRAWS), count)
    return np.bincount(rows * count + draws.ravel(), minlength=DRAWS * count).reshape(DRAWS, count) / count


def interval(values: Float[np.ndarray, " draws"]) -> tuple[float, float]:
    """Return the middle 95 %; draws without a value (NaN) are ignored."""
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)


def _nothing_judged(
    name: str, data: DepthDataset, indices: Sequence[int], protocol: Protocol, failed: dict[str, str]
) -> InputError:
    """Return an error with the first failures or, where all truth lies out of range, with the range that it has."""
    if failed:
        reasons = list(dict.fromkeys(failed.values()))
        return InputError(f"nothing of {name} could be evaluated ({len(failed)} items left out): {first_of(reasons)}")
    far = protocol.far or max(data.far(index) for index in indices)
    within = f"{name} has no depth within ({protocol.near:g} m, {far:g} m) to evaluate on"
    depths = torch.cat([data[index].depth.flatten() for index in evenly_spaced(indices, RANGE_OF)])
    depths = depths[depths.isfinite() & (depths > 0)]
    if not len(depths):
        return InputError(f"{within}; give data with true depth.")
    least, most = depths.aminmax()
    return InputError(
        f"{within}: taken as metres, its depth is {float(least):.4g} to {float(most):.4g} m. Write it in metres "
        "(millimetres divided by 1000), or use a protocol that counts such depth."
    )


def _columns(images: Sequence[ImageResult]) -> dict[str, Values]:
    """Return figure -> its values, NaN for images without it."""
    keys = dict.fromkeys(key for image in images for key in image.figures)
    return {key: np.array([image.figures.get(key, np.nan) for image in images]) for key in keys}


def _summary(
    images: Sequence[ImageResult],
    columns: dict[str, Values],
    guesses: dict[str, Values],
    weights: Weights,
    *,
    group: str,
) -> Summary:
    figures, intervals, pooled = {}, {}, {}
    pixels = np.array([image.weight for image in images], dtype=float)
    for key, values in columns.items():
        has = np.isfinite(values)
        # A figure that only some images have (D1 of a mixed set) is not a figure of the group; for edges, `edge_images`
        # counts them.
        if has.all() or key in EDGES:
            figures[key] = float(values[has].mean())
            intervals[key] = interval(_ratio(weights[:, has] @ values[has], weights[:, has].sum(1)))
        # Exact, since a mean and its number of pixels give the sum. Of panoramas by solid angle, and their deltas
        # approximately: points of the spiral are about as many as the angle is large. The released forms are not means.
        if has.all() and key not in NOT_POOLED and pixels.sum():
            power = 2 if key in SQUARED else 1
            pooled[key] = float(((pixels * values**power).sum() / pixels.sum()) ** (1 / power))
    error = columns["abs_rel"]
    ratios = {}
    for guess, other in guesses.items():
        low, high = interval((weights @ error) / (weights @ other))
        ratios[guess] = (float(error.mean() / other.mean()), low, high)
    edges = sorted({(one.near, one.far) for image in images for one in image.bins})
    bins = tuple(_bin_summary(edge, images, weights) for edge in edges)
    edge_images = int(np.isfinite(columns[EDGES[0]]).sum()) if EDGES[0] in columns else 0
    name, alignment = images[0].entry, images[0].alignment
    return Summary(
        name, name in guesses, alignment, group, len(images), figures, intervals, ratios, pooled, bins, edge_images
    )


def _bin_summary(edge: tuple[float, float], images: Sequence[ImageResult], weights: Weights) -> BinSummary:
    empty = DistanceBin(*edge, 0, 0.0, 0.0, 0.0, 0.0, 0.0)
    bins = [next((one for one in image.bins if (one.near, one.far) == edge), empty) for image in images]
    weight = np.array([one.weight for one in bins], dtype=float)

    def pooled(values: list[float]) -> float:
        return float((weight * values).sum() / weight.sum())

    abs_rel = [one.abs_rel for one in bins]
    return BinSummary(
        *edge,
        pixels=sum(one.pixels for one in bins),
        images=int((weight > 0).sum()),
        abs_rel=pooled(abs_rel),
        interval=interval(_ratio(weights @ (weight * abs_rel), weights @ weight)),
        bias=pooled([one.bias for one in bins]),
        rmse=pooled([one.rmse**2 for one in bins]) ** 0.5,
        delta1=pooled([one.delta1 for one in bins]),
        weight=float(weight.sum()),
    )


def _ratio(sums: Float[np.ndarray, " draws"], shares: Float[np.ndarray, " draws"]) -> Float[np.ndarray, " draws"]:
    """Return sums / shares, NaN for draws without a share."""
    return np.divide(sums, shares, out=np.full(len(shares), np.nan), where=shares > 0)
