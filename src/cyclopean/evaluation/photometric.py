"""Judging depth without truth: how well the other view of a pair is remade from it, beside guesses.

The source is warped into the target by the predicted depth and the pair's own geometry, and compared with the target
where every row sees the source: PSNR, SSIM (Wang et al. 2004: Gaussian windows of 11, deviation 1.5) and L1, colours in
[0,1]. What this tells and what it does not: docs/evaluation.md.
"""

import itertools
import math
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from cyclopean.errors import InputError, sentence
from cyclopean.evaluation.report import Table, interval, resamplings
from cyclopean.evaluation.screen import COLUMNS, LONGEST, verdict
from cyclopean.evaluation.trivial import Candidate, Truths
from cyclopean.geometry import Pinhole, reproject
from cyclopean.io.files import shown
from cyclopean.io.image import resize
from cyclopean.losses import ssim_gaussian
from cyclopean.methods.photometric import visibility
from cyclopean.sample import Sample, View
from cyclopean.synthesis import pull

LOOKED = 8  # items, evenly spread, that are read to see whether a set has truth
WIDTHS = (192, 512)  # of the pictures on which the best factor is looked for, and then refined
MOVES = np.geomspace(0.001, 0.35, 24)  # median displacements that are tried, in image widths
OFFSETS = (0.0, 0.005, 0.01, 0.02, 0.04)  # displacements of what is farthest that are tried, where an offset is open
LEAST_SHARE = 0.1  # of the pixels must be seen by every row
WINDOW, DEVIATION = 11, 1.5  # of SSIM
SAID = {"metric": "as it is", "scale": "best factor", "affine": "best factor and offset"}

Map = Float[Tensor, "1 1 h w"]
Rgb = Float[Tensor, "1 3 h w"]


@dataclass(frozen=True)
class Row:
    """One candidate: means over images with a 95 % interval of L1, and the ratio of its L1 to that of each guess.

    `aligned`: what was fitted to each picture. `images`: figures of each, by name.
    """

    candidate: str
    trivial: bool
    aligned: str
    psnr: float
    ssim: float
    l1: float
    interval: tuple[float, float]
    ratios: dict[str, tuple[float, float, float]]
    images: dict[str, dict[str, float]]


@dataclass(frozen=True)
class Remade:
    """One data set judged. `seen`: the share of pixels that every row sees; `failed`: why an image was left out."""

    data: str
    images: int
    seen: float
    rows: tuple[Row, ...]
    seed: int
    failed: dict[str, str] = field(default_factory=dict)


def has_truth(data: Truths, indices: Sequence[int]) -> bool:
    """Return whether some of the items looked at, evenly spread, has a pixel of known depth.

    Items that cannot be read say nothing. Raises their `InputError` if none can be.
    """
    problem = None
    readable = False
    for index in sorted({indices[round(i)] for i in np.linspace(0, len(indices) - 1, min(len(indices), LOOKED))}):
        try:
            sample = data[index]
        except Exception as error:
            problem = InputError(sentence(error, f"item {index}"))
            continue
        readable = True
        if bool((sample.depth > 0).any()):
            return True
    if not readable and problem is not None:
        raise problem
    return False


def unmoved() -> Candidate:
    """Return the guess that everything is infinitely far: the source of a rectified pair as it is."""
    return Candidate("un-warped", "metric", lambda sample: torch.zeros_like(sample.depth), trivial=True)


def judge(candidates: Sequence[Candidate], name: str, data: Truths, indices: Iterable[int], seed: int = 0) -> Remade:
    """Remake the target of every pair by every candidate and compare.

    An image that fails for one candidate is left out for all. Raises `InputError` if nothing could be judged.
    """
    found: dict[str, dict[str, dict[str, float]]] = {candidate.name: {} for candidate in candidates}
    aligned = {candidate.name: SAID[candidate.ambiguity] for candidate in candidates}
    failed: dict[str, str] = {}
    shares: list[float] = []
    for index in indices:
        title = f"item {index}"
        try:
            sample = data[index]
            title = sample.name[0]
            source = _source(sample)
            pictures, sights = {}, {}
            for candidate in candidates:
                inverse_depth = _plane(candidate, index, sample)
                kind = candidate.ambiguity
                if kind == "metric" and not candidate.trivial and not _calibrated(sample, source):
                    kind, aligned[candidate.name] = "scale", SAID["scale"]
                inverse_depth = inverse_depth if kind == "metric" else best_fit(inverse_depth, sample, source, kind)
                pictures[candidate.name], sights[candidate.name] = _remade(inverse_depth, sample, source)
            seen = torch.stack(list(sights.values())).all(0) & sample.target.valid
            share = float(seen.float().mean())
            if share < LEAST_SHARE:
                blind = min(sights, key=lambda row: float(sights[row].float().mean()))
                raise InputError(f"{title}: {100 * share:.0f} % of the pixels are seen by every row, least by {blind}.")
        except Exception as error:  # one odd file must not end the rest
            failed[title] = sentence(error, title)
            continue
        shares.append(share)
        for row, picture in pictures.items():
            found[row][title] = figures(picture, sample.target.image, seen)
    if not shares:
        why = next(iter(failed.values()), "it holds no item.")
        raise InputError(f"{name} has no true depth, and no pair of it can be judged by its pictures: {why}")
    rows = _rows(candidates, found, aligned, seed)
    return Remade(name, len(shares), sum(shares) / len(shares), tuple(rows), seed, failed)


def best_fit(inverse_depth: Map, sample: Sample, source: View, kind: str) -> Map:
    """Return `inverse_depth` times the factor, for `affine` maps also plus the offset, that remakes the target best.

    Best is the least L1 over the whole picture, what lands outside taking the nearest colour, so that nothing is won by
    looking away. Looked for on small pictures over displacements of up to 0.35 image widths.
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


def figures(picture: Rgb, target: Rgb, seen: Bool[Tensor, "1 1 h w"]) -> dict[str, float]:
    """Return PSNR, SSIM and L1 of `picture` over the pixels that are `seen`; windows of SSIM lie inside the image."""
    where = seen.expand_as(target)
    off = (picture - target)[where].double()
    margin = WINDOW // 2
    inner = torch.zeros_like(seen)
    inner[..., margin:-margin, margin:-margin] = seen[..., margin:-margin, margin:-margin]
    likeness = ssim_gaussian(torch.where(seen, picture, target), target, WINDOW, DEVIATION)
    mse = float(off.square().mean())
    return {
        "psnr": 10 * math.log10(1 / max(mse, 1e-10)),  # at most 100 dB
        "ssim": float(likeness[inner.expand_as(likeness)].mean()),
        "l1": float(off.abs().mean()),
    }


def screen(remade: Remade) -> str:
    """Return what was judged, a verdict on each model and the table, at most 100 columns wide."""
    lines = [heading(remade)]
    for row in remade.rows:
        if not row.trivial:
            best = max(row.ratios.items(), key=lambda item: item[1], default=None)
            lines.append(verdict(row.candidate, "L1", best, remade.images))
    return "\n".join(textwrap.fill(shown(line), COLUMNS) for line in lines) + "\n\n" + table(remade).plain()


def heading(remade: Remade) -> str:
    """Return what was judged and how, in one sentence."""
    lost = f" {len(remade.failed)} left out." if remade.failed else ""
    pairs = f"{remade.images} pair{'' if remade.images == 1 else 's'}"
    return (
        f"{remade.data}: no true depth, so the pictures judge: {pairs}, the source warped into the target by each "
        f"depth and compared on the {100 * remade.seen:.0f} % of pixels that every row sees.{lost}"
    )


def markdown(remade: Remade) -> str:
    """Return the same for a page."""
    return f"**{remade.data}**\n\n{heading(remade)}\n\n{table(remade).markdown()}\n"


def latex(remade: Remade) -> str:
    """Return the same for a paper (needs booktabs)."""
    return f"% {heading(remade)}\n{table(remade).latex()}\n"


def table(remade: Remade) -> Table:
    """Return the rows, models first; L1 with its interval over resampled images."""
    cells = []
    for row in sorted(remade.rows, key=lambda row: row.trivial):
        name = row.candidate if len(row.candidate) <= LONGEST else row.candidate[: LONGEST - 3] + "..."
        best = max(row.ratios.values(), default=None)
        low, high = row.interval
        cells.append((
            f"({name})" if row.trivial else name, row.aligned, f"{row.l1:.4f}",
            f"{low:.4f}-{high:.4f}" if remade.images > 1 else "-", f"{row.psnr:.2f}", f"{row.ssim:.3f}",
            f"{best[0]:.2f}" if best else "-",
        ))  # fmt: skip
    return Table(("model", "aligned by", "L1", "95 %", "PSNR dB", "SSIM", "/ best guess"), tuple(cells), 2)


def as_json(remade: Remade) -> dict[str, Any]:
    """Return every figure, image by image."""
    return asdict(remade)


def _source(sample: Sample) -> View:
    """The first view beside the target whose pose is known."""
    posed = [view for view in sample.sources if view.from_target is not None]
    if not posed:
        raise InputError(f"{sample.name[0]} has neither true depth nor a second view with a known pose.")
    if not (isinstance(sample.target.camera, Pinhole) and isinstance(posed[0].camera, Pinhole)):
        raise InputError(f"{sample.name[0]} is a panorama; without true depth only ordinary pictures are judged.")
    return posed[0]


def _plane(candidate: Candidate, index: int, sample: Sample) -> Map:
    """The candidate's inverse depth at the size of the picture."""
    size = (sample.depth.shape[-2], sample.depth.shape[-1])
    inverse_depth = resize(candidate.of(index, sample).to(torch.float32), size)
    if not bool(inverse_depth.isfinite().all()):
        raise InputError(f"{sample.name[0]}: {candidate.name} has no depth at some pixels; it needs all of them.")
    return inverse_depth


def _calibrated(sample: Sample, source: View) -> bool:
    """Whether the pair has metres: where nobody calibrated, focal length and baseline are 1 (docs/data.md)."""
    length = float(torch.linalg.vector_norm(source.from_target[0, :3, 3]))  # type: ignore[index]
    return not (length == 1 and float(sample.target.camera.focal[0, 0]) == 1)  # type: ignore[attr-defined]


def _remade(inverse_depth: Map, sample: Sample, source: View) -> tuple[Rgb, Bool[Tensor, "1 1 h w"]]:
    """The target as the source shows it, and where it does: inside its picture, hidden by nothing nearer."""
    pose: Any = source.from_target
    landing = reproject(inverse_depth, sample.target.camera, pose, source.camera)
    # What lies infinitely far hides nothing: a soft z-buffer of zeros has no front.
    clear = landing.valid
    if bool((inverse_depth > 0).any()):
        clear = visibility(inverse_depth, sample.target.camera, pose, source.camera, landing) > 0
    far = (inverse_depth <= 0) & landing.valid
    return pull(source.image, landing.uv, "edge"), clear | far


def _rows(
    candidates: Sequence[Candidate], found: dict[str, dict[str, dict[str, float]]], aligned: dict[str, str], seed: int
) -> list[Row]:
    errors = {name: np.array([image["l1"] for image in images.values()]) for name, images in found.items()}
    weights = resamplings(len(next(iter(errors.values()))), seed)
    rows = []
    for candidate in candidates:
        mine = errors[candidate.name]
        means = {
            key: float(np.mean([v[key] for v in found[candidate.name].values()])) for key in ("psnr", "ssim", "l1")
        }
        ratios = {}
        for other in candidates:
            if other.trivial:
                theirs = errors[other.name].clip(1e-9)  # a picture may be remade without any error
                low, high = interval((weights @ mine) / (weights @ theirs))
                ratios[other.name] = (float(mine.mean() / theirs.mean()), low, high)
        rows.append(
            Row(
                candidate.name, candidate.trivial, aligned[candidate.name], means["psnr"], means["ssim"], means["l1"],
                interval(weights @ mine), ratios, found[candidate.name],
            )
        )  # fmt: skip
    return rows
