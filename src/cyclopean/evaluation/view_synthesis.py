"""Evaluate depth without truth: how well the other view of a pair is synthesised with it, beside guesses.

The source is warped into the target by the predicted depth and the pair's own geometry, and compared with the target
where every row of the table sees the source: PSNR, SSIM (Wang et al. 2004: Gaussian windows of 11, deviation 1.5) and
L1, colours in [0,1]. What this shows and what it does not: docs/evaluation.md.
"""

import itertools
import math
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from cyclopean.data.base import none_usable
from cyclopean.errors import InputError, sentence
from cyclopean.evaluation.entries import DepthDataset, Entry
from cyclopean.evaluation.evaluate import evenly_spaced
from cyclopean.evaluation.report import KEYS, LONGEST, WIDTH, verdict
from cyclopean.evaluation.summary import interval, resamplings
from cyclopean.evaluation.tables import Table
from cyclopean.geometry import Pinhole, reproject, size_of
from cyclopean.io.files import printable
from cyclopean.io.image import resize
from cyclopean.losses import ssim_gaussian
from cyclopean.methods.masks import visibility
from cyclopean.sample import OneImage, OneMap, Sample, View
from cyclopean.synthesis import pull

TRUTH_SOUGHT_IN = 8  # items, evenly spaced, that are read to check whether a set has truth
WIDTHS = (192, 512)  # of the pictures, for the search of the best factor and for its refinement
MOVES = np.geomspace(0.001, 0.35, 24)  # candidates for the median displacement, in image widths
OFFSETS = (
    0.0,
    0.005,
    0.01,
    0.02,
    0.04,
)  # candidates for the displacement of the farthest point, if an offset is unknown
LEAST_SHARE = 0.1  # of the pixels, at least, must be visible in every row
WINDOW, DEVIATION = 11, 1.5  # of SSIM
ALIGNED_BY = {"metric": "as it is", "scale": "best factor", "affine": "best factor and offset"}


@dataclass(frozen=True)
class PhotometricRow:
    """One entry: means over images with a 95 % interval of L1, and the ratio of its L1 to that of each guess.

    `aligned`: what was fitted to each picture. `images`: figures of each, by name.
    """

    entry: str
    trivial: bool
    aligned: str
    psnr: float
    ssim: float
    l1: float
    interval: tuple[float, float]
    ratios: dict[str, tuple[float, float, float]]
    images: dict[str, dict[str, float]]


@dataclass(frozen=True)
class ViewSynthesisResult:
    """The result on one data set. `seen`: the share of pixels that every row sees; `failed`: why an image was left
    out."""

    data: str
    images: int
    seen: float
    rows: tuple[PhotometricRow, ...]
    seed: int
    failed: dict[str, str] = field(default_factory=dict)


def has_truth(data: DepthDataset, indices: Sequence[int]) -> bool:
    """Return whether any of eight items, evenly spaced, has a pixel of known depth.

    Unreadable items are skipped. Raises InputError, naming some, if none can be read.
    """
    problems, readable = list[str](), False
    for index in evenly_spaced(indices, TRUTH_SOUGHT_IN):
        try:
            sample = data[index]
        except Exception as error:
            problems.append(sentence(error, f"item {index}"))
            continue
        readable = True
        if bool((sample.depth > 0).any()):
            return True
    if not readable and problems:
        raise none_usable(problems)
    return False


def unmoved() -> Entry:
    """Return the guess that everything is infinitely far: the source of a rectified pair as it is."""
    return Entry("un-warped", "metric", lambda sample: torch.zeros_like(sample.depth), trivial=True)


def judge(
    entries: Sequence[Entry], name: str, data: DepthDataset, indices: Iterable[int], seed: int = 0
) -> ViewSynthesisResult:
    """Synthesise the target of every pair with the depth of every entry, and compare.

    An image that fails for one entry is left out for all. Raises `InputError` if nothing could be evaluated.
    """
    if not entries:
        raise InputError(f"{name} has no true depth and --alone leaves the guesses out; name a model.")
    images: dict[str, dict[str, dict[str, float]]] = {entry.name: {} for entry in entries}
    aligned = {entry.name: ALIGNED_BY[entry.ambiguity] for entry in entries}
    failed: dict[str, str] = {}
    shares: list[float] = []
    for index in indices:
        title = f"item {index}"
        try:
            sample = data[index]
            title = sample.name[0]
            posed = [view for view in sample.sources if view.from_target is not None]
            if not posed:
                raise InputError(f"{title} has neither true depth nor a second view with a known pose.")
            camera, source = sample.target.camera, posed[0]
            if not (isinstance(camera, Pinhole) and isinstance(source.camera, Pinhole)):
                raise InputError(f"{title} is a panorama; without true depth only ordinary pictures can be evaluated.")
            # without calibration, focal length and baseline are 1 (docs/data.md), and depth is not metric
            baseline = float(torch.linalg.vector_norm(source.from_target[0, :3, 3]))  # type: ignore[index]
            calibrated = not (baseline == 1 and float(camera.focal[0, 0]) == 1)
            pictures, visible = {}, {}
            for entry in entries:
                size = size_of(sample.depth)
                rho = resize(entry.inverse_depth(index, sample).to(torch.float32), size)
                if not bool(rho.isfinite().all()):
                    raise InputError(f"{title}: {entry.name} has no depth at some pixels; it needs all of them.")
                kind = entry.ambiguity
                if kind == "metric" and not entry.trivial and not calibrated:
                    kind, aligned[entry.name] = "scale", ALIGNED_BY["scale"]
                rho = rho if kind == "metric" else best_fit(rho, sample, source, kind)
                pictures[entry.name], visible[entry.name] = _remade(rho, sample, source)
            seen = torch.stack(list(visible.values())).all(0) & sample.target.valid
            share = float(seen.float().mean())
            if share < LEAST_SHARE:
                blind = min(visible, key=lambda row: float(visible[row].float().mean()))
                raise InputError(
                    f"{title}: {100 * share:.0f} % of the pixels are visible in every row, fewest in {blind}."
                )
        except Exception as error:  # one odd file must not end the rest
            failed[title] = sentence(error, title)
            continue
        shares.append(share)
        for row, picture in pictures.items():
            images[row][title] = figures(picture, sample.target.image, seen)
    if not shares:
        why = next(iter(failed.values()), "it holds no item.")
        raise InputError(f"{name} has no true depth, and no pair of it can be evaluated by view synthesis: {why}")
    rows = _rows(entries, images, aligned, seed)
    return ViewSynthesisResult(name, len(shares), sum(shares) / len(shares), tuple(rows), seed, failed)


def best_fit(inverse_depth: OneMap, sample: Sample, source: View, kind: str) -> OneMap:
    """Return `inverse_depth` times the factor, for `affine` maps also plus the offset, that best synthesises the
    target.

    Best means the least L1 over the whole picture; pixels that project outside take the nearest border colour, so that
    moving out of view gains nothing. Searched on small pictures over displacements of up to 0.35 image widths.
    """
    focal, pose = float(sample.target.camera.focal[0, 0]), source.from_target  # type: ignore[attr-defined]
    per_inverse_depth = focal * float(torch.linalg.vector_norm(pose[0, :3, 3]))  # type: ignore[index]
    least = float(inverse_depth.min()) if kind == "affine" else 0.0
    shape = inverse_depth - least
    middle = float(shape.median()) or float(shape.mean())
    if not middle > 0 or per_inverse_depth == 0:
        return inverse_depth
    unit = 1 / (middle * per_inverse_depth)
    coarse = MOVES[1] / MOVES[0]
    rounds = [
        (WIDTHS[0], MOVES, OFFSETS),
        (WIDTHS[0], np.geomspace(1 / coarse, coarse, 7), (-0.0025, 0.0, 0.0025)),
        (WIDTHS[1], np.geomspace(coarse**-0.3, coarse**0.3, 7), (-0.001, 0.0, 0.001)),
    ]
    move, offset = 1.0, 0.0
    for width, moves, offsets in rounds:
        shrink = min(1.0, width / shape.shape[-1])
        size = max(1, round(shape.shape[-2] * shrink)), max(1, round(shape.shape[-1] * shrink))
        small, target, there = (resize(x, size) for x in (shape, sample.target.image, source.image))
        errors = {}
        for near, far in itertools.product(move * moves, offset + np.array(offsets if kind == "affine" else (0.0,))):
            rho = small * (unit * float(near)) + max(float(far), 0.0) / per_inverse_depth
            uv = reproject(rho, sample.target.camera, pose, source.camera).uv  # type: ignore[arg-type]
            errors[float(near), max(float(far), 0.0)] = float((pull(there, uv, "edge") - target).abs().mean())
        move, offset = min(errors, key=errors.__getitem__)
    return shape * (unit * move) + offset / per_inverse_depth


def figures(picture: OneImage, target: OneImage, mask: Bool[Tensor, "1 1 h w"]) -> dict[str, float]:
    """Return PSNR, SSIM and L1 of `picture` over the pixels of `mask`; windows of SSIM lie inside the image."""
    where = mask.expand_as(target)
    off = (picture - target)[where].double()
    margin = WINDOW // 2
    inner = torch.zeros_like(mask)
    inner[..., margin:-margin, margin:-margin] = mask[..., margin:-margin, margin:-margin]
    likeness = ssim_gaussian(torch.where(mask, picture, target), target, WINDOW, DEVIATION)
    mse = float(off.square().mean())
    return {
        "psnr": 10 * math.log10(1 / max(mse, 1e-10)),  # at most 100 dB
        "ssim": float(likeness[inner.expand_as(likeness)].mean()),
        "l1": float(off.abs().mean()),
    }


def screen(result: ViewSynthesisResult) -> str:
    """Return a heading, a verdict on each model and the table, at most 100 columns wide."""
    lines = [heading(result)]
    for row in result.rows:
        if not row.trivial:
            best = max(row.ratios.items(), key=lambda item: item[1], default=None)
            lines.append(verdict(row.entry, "L1", best, result.images))
    return "\n".join(textwrap.fill(printable(line), WIDTH) for line in lines) + "\n\n" + table(result).plain()


def heading(result: ViewSynthesisResult) -> str:
    """Return the data, the method and the number of pairs in one sentence."""
    lost = f" {len(result.failed)} left out." if result.failed else ""
    pairs = f"{result.images} pair{'' if result.images == 1 else 's'}"
    return (
        f"{result.data}: no true depth, so view synthesis is measured: {pairs}, the source warped into the target by "
        f"each depth and compared with it on the {100 * result.seen:.0f} % of pixels that every row sees.{lost}"
    )


def markdown(result: ViewSynthesisResult) -> str:
    """Return the result in Markdown."""
    return f"**{result.data}**\n\n{heading(result)}\n\n{table(result).markdown()}\n"


def latex(result: ViewSynthesisResult) -> str:
    """Return the result in LaTeX (needs booktabs)."""
    return f"% {heading(result)}\n{table(result).latex()}\n"


def table(result: ViewSynthesisResult) -> Table:
    """Return the rows, models first; L1 with its interval over resampled images."""
    cells = []
    for row in sorted(result.rows, key=lambda row: row.trivial):
        name = row.entry if len(row.entry) <= LONGEST else row.entry[: LONGEST - 3] + "..."
        best = max(row.ratios.values(), default=None)
        low, high = row.interval
        cells.append((
            f"({name})" if row.trivial else name, row.aligned, f"{row.l1:.4f}",
            f"{low:.4f}-{high:.4f}" if result.images > 1 else "-", f"{row.psnr:.2f}", f"{row.ssim:.3f}",
            f"{best[0]:.2f}" if best else "-",
        ))  # fmt: skip
    return Table(("model", "aligned by", "L1", "95 %", "PSNR dB", "SSIM", "/ best guess"), tuple(cells), 2)


def as_json(result: ViewSynthesisResult) -> dict[str, Any]:
    """Return every figure, image by image."""
    rows = [{KEYS.get(key, key): value for key, value in asdict(row).items()} for row in result.rows]
    return asdict(result) | {"rows": rows}


def _remade(inverse_depth: OneMap, sample: Sample, source: View) -> tuple[OneImage, Bool[Tensor, "1 1 h w"]]:
    """Return the source warped into the target, and a mask of pixels inside its picture and not occluded."""
    pose: Any = source.from_target
    match = reproject(inverse_depth, sample.target.camera, pose, source.camera)
    # Points at infinity occlude nothing: a soft z-buffer of zeros has no front.
    clear = match.valid
    if bool((inverse_depth > 0).any()):
        clear = visibility(inverse_depth, sample.target.camera, pose, source.camera, match) > 0
    far = (inverse_depth <= 0) & match.valid
    return pull(source.image, match.uv, "edge"), clear | far


def _rows(
    entries: Sequence[Entry], images: dict[str, dict[str, dict[str, float]]], aligned: dict[str, str], seed: int
) -> list[PhotometricRow]:
    errors = {name: np.array([image["l1"] for image in of_entry.values()]) for name, of_entry in images.items()}
    weights = resamplings(len(next(iter(errors.values()))), seed)
    rows = []
    for entry in entries:
        error, of_entry = errors[entry.name], images[entry.name]
        means = {key: float(np.mean([image[key] for image in of_entry.values()])) for key in ("psnr", "ssim", "l1")}
        ratios = {}
        for guess in entries:
            if guess.trivial:
                other = errors[guess.name].clip(1e-9)  # a picture may be synthesised without any error
                low, high = interval((weights @ error) / (weights @ other))
                ratios[guess.name] = (float(error.mean() / other.mean()), low, high)
        spread = interval(weights @ error)
        rows.append(
            PhotometricRow(
                entry.name, entry.trivial, aligned[entry.name], **means, interval=spread, ratios=ratios, images=of_entry
            )
        )
    return rows
