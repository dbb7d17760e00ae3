"""Judging by a named protocol: which pixels count, what is aligned, and how far the figures can be trusted."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from cyclopean.errors import InputError
from cyclopean.evaluation.trivial import Candidate, Truths, family_of
from cyclopean.geometry import Pinhole
from cyclopean.metrics import align_affine, align_median, countable, d1, depth_errors, to_depth
from cyclopean.sample import Sample

Alignment = Literal["none", "median", "affine"]
Pixels = Float[Tensor, " n"]
ALIGNMENTS: dict[str, tuple[Alignment, ...]] = {
    "metric": ("none", "median", "affine"),
    "scale": ("median", "affine"),
    "affine": ("affine",),
}
DRAWS = 1000


@dataclass(frozen=True)
class Protocol:
    """A frozen way to judge. Truth counts within (near, far); predictions are clipped to [nearest, far]; no crop.

    `far` comes with the data set, image by image. Figures are means over images; alignment is per image.
    """

    name: str = "open-1"
    near: float = 0.1
    nearest: float = 0.05


@dataclass(frozen=True)
class Measured:
    """One candidate on one image under one alignment."""

    candidate: str
    alignment: Alignment
    image: str
    figures: dict[str, float]


@dataclass(frozen=True)
class Counts:
    """What was judged: pixels of all images by what became of them; images without a pixel that counts, by name."""

    images: int
    pixels: int
    unknown: int
    far: int
    near: int
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class Row:
    """Means over the images of a group, with 95 % bootstrap intervals; `ratios` of AbsRel to each trivial row's."""

    candidate: str
    trivial: bool
    alignment: Alignment
    group: str
    images: int
    figures: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    ratios: dict[str, tuple[float, float, float]]

    def best_ratio(self) -> tuple[float, float, float] | None:
        """AbsRel over that of the best trivial row, and its interval; None if no trivial row has this alignment."""
        return max(self.ratios.values(), default=None)


def evaluate(
    candidates: Sequence[Candidate], data: Truths, indices: Iterable[int], protocol: Protocol
) -> tuple[list[Measured], Counts]:
    """Judge every candidate on every item of `indices`, in every alignment that its ambiguity allows."""
    measured: list[Measured] = []
    tally = dict.fromkeys(("images", "pixels", "unknown", "far", "near"), 0)
    left_out: list[str] = []
    for index in indices:
        sample, far = data[index], data.far(index)
        counts = countable(sample.depth, protocol.near, far)
        for key, number in _census(sample.depth, protocol.near, far).items():
            tally[key] += number
        if not bool(counts.any()):
            left_out.append(sample.name[0])
            continue
        tally["images"] += 1
        for candidate in candidates:
            measured += judge(candidate, sample, far, protocol)
    return measured, Counts(**tally, left_out=tuple(left_out))


def judge(candidate: Candidate, sample: Sample, far: float, protocol: Protocol) -> list[Measured]:
    """The figures of one candidate on one image (batch 1), in every alignment that its ambiguity allows.

    A prediction of another size is resized bilinearly, as inverse depth. Raises `InputError` if it is not finite where
    truth counts.
    """
    counts = countable(sample.depth, protocol.near, far)
    predicted = _sized(candidate.predict(sample), sample.depth)[counts].double()
    truth = sample.depth[counts].double()
    name = sample.name[0]
    if not bool(predicted.isfinite().all()):
        raise InputError(f"{candidate.name} predicts NaN or infinite inverse depth on {name}; it cannot be judged.")
    results = []
    for alignment in ALIGNMENTS[candidate.ambiguity]:
        depth = aligned(predicted, truth, alignment, far).clamp(protocol.nearest, far)
        figures = {key: float(value) for key, value in asdict(depth_errors(depth, truth)).items()}
        results.append(Measured(candidate.name, alignment, name, figures | _stereo_figures(sample, depth, truth)))
    return results


def aligned(inverse_depth: Pixels, truth: Pixels, alignment: Alignment, far: float) -> Pixels:
    """Depth from inverse depth: as it is, times one factor, or by least squares of inverse depth."""
    if alignment == "affine":
        return align_affine(inverse_depth, truth, far)
    depth = to_depth(inverse_depth)
    return align_median(depth, truth) if alignment == "median" else depth


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
        draws = _draws(len(members), seed)
        for alignment in ALIGNMENTS["metric"]:
            rows += _rows(_tables(measured, members, alignment), draws, trivial, alignment, group)
    return rows


Table = dict[str, Float[np.ndarray, " images"]]


def _tables(measured: Sequence[Measured], members: list[str], alignment: Alignment) -> dict[str, Table]:
    """Candidate to figure to values, in the order of `members`."""
    inside = set(members)
    values: dict[str, dict[str, list[float]]] = {}
    for m in measured:
        if m.alignment == alignment and m.image in inside:
            for key, value in m.figures.items():
                values.setdefault(m.candidate, {}).setdefault(key, []).append(value)
    return {name: {key: np.array(v) for key, v in table.items()} for name, table in values.items()}


def _rows(
    tables: dict[str, Table],
    draws: Int[np.ndarray, "draws images"],
    trivial: set[str],
    alignment: Alignment,
    group: str,
) -> list[Row]:
    rows = []
    for name, table in tables.items():
        # A figure that only some images have (D1 of a mixed set) is no figure of the group.
        whole = {key: v for key, v in table.items() if len(v) == draws.shape[1]}
        figures = {key: float(v.mean()) for key, v in whole.items()}
        intervals = {key: _interval(v[draws].mean(1)) for key, v in whole.items()}
        ratios = {
            other: _ratio(table["abs_rel"], tables[other]["abs_rel"], draws) for other in tables if other in trivial
        }
        rows.append(Row(name, name in trivial, alignment, group, draws.shape[1], figures, intervals, ratios))
    return rows


def _ratio(
    ours: Float[np.ndarray, " images"], theirs: Float[np.ndarray, " images"], draws: Int[np.ndarray, "draws images"]
) -> tuple[float, float, float]:
    low, high = _interval(ours[draws].mean(1) / theirs[draws].mean(1))
    return float(ours.mean() / theirs.mean()), low, high


def _draws(count: int, seed: int) -> Int[np.ndarray, "draws images"]:
    return np.random.default_rng(seed).integers(0, count, (DRAWS, count))


def _interval(values: Float[np.ndarray, " draws"]) -> tuple[float, float]:
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def _census(depth: Float[Tensor, "1 1 h w"], near: float, far: float) -> dict[str, int]:
    unknown, beyond, close = depth.isnan(), depth >= far, depth <= near
    pixels = depth.numel() - sum(int(part.sum()) for part in (unknown, beyond, close))
    return {"pixels": pixels, "unknown": int(unknown.sum()), "far": int(beyond.sum()), "near": int(close.sum())}


def _sized(inverse_depth: Float[Tensor, "1 1 h2 w2"], like: Float[Tensor, "1 1 h w"]) -> Float[Tensor, "1 1 h w"]:
    if inverse_depth.shape == like.shape:
        return inverse_depth
    return F.interpolate(inverse_depth.float(), like.shape[-2:], mode="bilinear", align_corners=False)


def _stereo_figures(sample: Sample, depth: Pixels, truth: Pixels) -> dict[str, float]:
    """D1 where the target has a rectified source to its right: W (focal baseline / z - shift of the centre) px."""
    rig = _rectified(sample)
    if rig is None:
        return {}
    factor, shift = rig
    real = factor / truth - shift
    seen = real > 0
    return {"d1": float(d1((factor / depth - shift)[seen], real[seen]))} if bool(seen.any()) else {}


def _rectified(sample: Sample) -> tuple[float, float] | None:
    if len(sample.sources) != 1 or sample.sources[0].from_target is None:
        return None
    here, there, pose = sample.target.camera, sample.sources[0].camera, sample.sources[0].from_target[0]
    if not (isinstance(here, Pinhole) and isinstance(there, Pinhole)):
        return None
    width, x = sample.depth.shape[-1], float(pose[0, 3])
    sideways = torch.eye(4)
    sideways[0, 3] = x
    alike = torch.equal(here.focal, there.focal) and math.isclose(here.center[0, 1], there.center[0, 1])
    if x >= 0 or not alike or not torch.allclose(pose, sideways, atol=1e-5):
        return None
    return width * float(here.focal[0, 0]) * -x, width * float(there.center[0, 0] - here.center[0, 0])
