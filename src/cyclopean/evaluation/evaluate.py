"""Evaluate entries on data with true depth: on one image, and on every image that all entries can be evaluated on."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from cyclopean import augmentation
from cyclopean.errors import InputError, sentence
from cyclopean.evaluation.entries import DepthDataset, Entry
from cyclopean.evaluation.protocols import FITTING, USUAL, Alignment, Protocol
from cyclopean.evaluation.rig import by_width, rig_of
from cyclopean.geometry import Equirectangular
from cyclopean.metrics import (
    CROPS,
    Crop,
    DecimalErrors,
    affine_depth,
    affine_fit,
    bad,
    boundary_f1,
    countable,
    d1,
    decimal_errors,
    depth_errors,
    lower_middle,
    median_scale,
    middle,
    near_boundaries,
    released_affine_depth,
    solid_angle,
    sphere_errors,
    to_depth,
)
from cyclopean.sample import Sample

FITTED_ON = 100  # images at most, evenly spaced
FARTHEST = 1e6  # stands for infinity where depths are averaged
DENSE = 0.5  # least share of known pixels for figures at boundaries
DECIMAL = frozenset(DecimalErrors.__dataclass_fields__)

Pixels = Float[Tensor, " n"]
FlatMap = Float[Tensor, "h w"]


@dataclass(frozen=True)
class DistanceBin:
    """Errors over the counted pixels of one image whose truth lies in [near, far).

    `bias`: the mean of (depth - truth) / truth. `weight`: the pixels, or the sum of their solid angles. The fields are
    in the order of result files.
    """

    near: float
    far: float
    pixels: int
    abs_rel: float
    bias: float
    rmse: float
    delta1: float
    weight: float


@dataclass(frozen=True)
class ImageResult:
    """One entry on one image under one alignment.

    `pixels` counted, `weight`: their number or the sum of their solid angles, `clipped`: how many predictions the
    protocol's limits changed.
    """

    entry: str
    alignment: Alignment
    image: str
    figures: dict[str, float]
    pixels: int = 0
    bins: tuple[DistanceBin, ...] = ()
    weight: float = 0.0
    clipped: int = 0


@dataclass(frozen=True)
class Counts:
    """Numbers of pixels of all images by category, and the images left out, by name.

    `left_out`: no pixel counts; `failed`: why an item or its prediction could not be read or evaluated. An image that
    fails for one entry is left out for all, so that all rows have the same images.
    """

    images: int
    pixels: int
    unknown: int
    far: int
    near: int
    left_out: tuple[str, ...]
    cropped: int = 0
    failed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class GroundTruth:
    """The counted truth of one image (batch 1) under one protocol: `index` into its pixels, and their `depth`.

    `far`: where predictions are clipped. `depth` is float64, clamped if the protocol does so. `counts`: numbers of
    pixels by category: counted (`pixels`), `unknown`, too `far` (or sky), too `near`, outside the crop (`cropped`). If
    the protocol has its own rig, the sample is converted to it, and predicted inverse depth is multiplied by `slope`
    and shifted by `offset`.
    """

    sample: Sample
    protocol: Protocol
    far: float
    index: Int[Tensor, " n"]
    depth: Pixels
    counts: dict[str, int]
    slope: float = 1.0
    offset: float = 0.0

    @cached_property
    def boundaries(self) -> tuple[FlatMap, Pixels] | None:
        """Truth, sky at `far`, NaN outside the crop, and which counted pixels lie near a boundary; None if sparse."""
        truth, crop = self.sample.depth[0, 0], _crop(self.sample, self.protocol)
        if "edge_f1" not in self.protocol.shown or float((~truth[crop].isnan()).float().mean()) < DENSE:
            return None
        inside = torch.full_like(truth, torch.nan)
        inside[crop] = truth[crop].clamp(self.protocol.nearest, self.far)
        return inside, near_boundaries(inside).flatten()[self.index].double()

    @cached_property
    def weights(self) -> Pixels | None:
        """Solid angle of each counted pixel of a panorama (1 at the equator); None where pixels count alike.

        Raises `InputError` if the protocol is for panoramas and the picture is none.
        """
        if self.protocol.weights == "pixels":
            return None
        if not isinstance(self.sample.target.camera, Equirectangular):
            raise InputError(
                f"{self.sample.name[0]} is not a panorama, and the protocol {self.protocol.name} weighs pixels by "
                "their solid angle; use another protocol, such as open-1."
            )
        height, width = self.sample.depth.shape[-2:]
        return solid_angle(height)[self.index // width]

    @cached_property
    def bins(self) -> Int[Tensor, " n"]:
        """Number of the distance bin of each counted pixel, from 1; 0 and the last are outside all bins."""
        return torch.bucketize(self.depth, torch.tensor(self.protocol.bands, dtype=self.depth.dtype), right=True)


@dataclass(frozen=True)
class EntryPrediction:
    """An entry's inverse depth of one sample, of any size, with a cache of its resized versions."""

    entry: Entry
    inverse_depth: Float[Tensor, "1 1 h w"]
    planes: dict[tuple[str | None, str, str], FlatMap] = field(default_factory=dict, compare=False)

    def plane(self, truth: GroundTruth) -> FlatMap:
        """Return the inverse depth at the truth's size: bilinear, pixel centres at half integers; NaN outside a crop.

        Inverse depth or depth is resized, by the protocol's rule: averaging disparities and averaging depths differ at
        every edge, and papers that predict disparity resize disparity.
        """
        protocol, (height, width) = truth.protocol, truth.sample.depth.shape[-2:]
        cropped = self.entry.covers == "crop" or (self.entry.covers == "seen" and protocol.sees == "middle 2:1")
        part = protocol.crop if cropped else None
        key = part, protocol.resized, protocol.rig
        if key in self.planes:
            return self.planes[key]
        rows, columns = _crop(truth.sample, protocol) if part else (slice(0, height), slice(0, width))
        size = rows.stop - rows.start, columns.stop - columns.start
        rho = self.inverse_depth.float()
        if tuple(rho.shape[-2:]) != size and protocol.resized == "inverse depth":
            rho = F.interpolate(rho, size, mode="bilinear", align_corners=False)
        elif tuple(rho.shape[-2:]) != size:
            depth = 1 / rho.clamp(min=1 / FARTHEST)
            rho = 1 / F.interpolate(depth, size, mode="bilinear", align_corners=False)
        around = (columns.start, width - columns.stop, rows.start, height - rows.stop)
        self.planes[key] = truth.slope * F.pad(rho, around, value=torch.nan)[0, 0] + truth.offset
        return self.planes[key]


def evaluate(
    entries: Sequence[Entry],
    data: DepthDataset,
    indices: Iterable[int],
    protocol: Protocol,
    factors: Mapping[str, float] | None = None,
) -> tuple[list[ImageResult], Counts]:
    """Evaluate every entry on every item of `indices`; `factors`, by entry, are for the alignment "factor"."""
    return evaluate_variants(entries, data, indices, (protocol,), factors)[0]


def evaluate_variants(
    entries: Sequence[Entry],
    data: DepthDataset,
    indices: Iterable[int],
    variants: Sequence[Protocol],
    factors: Mapping[str, float] | None = None,
) -> list[tuple[list[ImageResult], Counts]]:
    """Evaluate once for each variant (such as a cap) of a protocol; each image is predicted once."""
    factors = factors or {}
    results: list[list[ImageResult]] = [[] for _ in variants]
    numbers = [dict.fromkeys(("images", "pixels", "unknown", "far", "near", "cropped"), 0) for _ in variants]
    left_out: list[list[str]] = [[] for _ in variants]
    failed: dict[str, str] = {}
    for index in indices:
        name = f"item {index}"
        try:
            sample = data[index]
            name = sample.name[0]
            truths = [ground_truth(sample, data.far(index), protocol) for protocol in variants]
            predictions: dict[str, list[EntryPrediction]] = {}
            for protocol in variants if any(len(truth.index) for truth in truths) else ():
                if protocol.sees not in predictions:
                    view = visible_part(sample, protocol)
                    predictions[protocol.sees] = [EntryPrediction(e, e.inverse_depth(index, view)) for e in entries]
            judged = [
                [
                    result
                    for prediction in (predictions[truth.protocol.sees] if len(truth.index) else ())
                    for result in judge_prediction(prediction, truth, factors.get(prediction.entry.name))
                ]
                for truth in truths
            ]
        except Exception as error:  # one odd file must not end the rest
            failed[name] = sentence(error, name)
            continue
        for k, truth in enumerate(truths):
            for key, number in truth.counts.items():
                numbers[k][key] += number
            if len(truth.index):
                numbers[k]["images"] += 1
                results[k] += judged[k]
            else:
                left_out[k].append(name)
    counts = (Counts(**n, left_out=tuple(out), failed=failed) for n, out in zip(numbers, left_out, strict=True))
    return list(zip(results, counts, strict=True))


def judge(
    entry: Entry, sample: Sample, far: float, protocol: Protocol, factor: float | None = None
) -> list[ImageResult]:
    """Return the figures of one entry on one image (batch 1), under every alignment of protocol and ambiguity.

    `factor` multiplies depth under the alignment "factor", which is left out without it. Raises `InputError` if the
    prediction is not finite where truth counts.
    """
    prediction = EntryPrediction(entry, entry.predict(visible_part(sample, protocol)))
    return judge_prediction(prediction, ground_truth(sample, far, protocol), factor)


def judge_prediction(prediction: EntryPrediction, truth: GroundTruth, factor: float | None = None) -> list[ImageResult]:
    """Evaluate an existing prediction as `judge` does: resize, align, clip, measure."""
    entry, protocol, name = prediction.entry, truth.protocol, truth.sample.name[0]
    plane = prediction.plane(truth)
    inverse = plane.flatten()[truth.index].double()
    if not bool(inverse.isfinite().all()):
        why = (
            ""
            if entry.covers in ("picture", "crop", "seen")
            else f": its maps cover {entry.covers} only, and {protocol.name} also counts truth outside"
        )
        unknown = int((~inverse.isfinite()).sum())
        raise InputError(
            f"{entry.name} has no depth on {name} at {unknown:,} of {len(inverse):,} pixels whose truth counts{why}; "
            "unknown is what is NaN, or a depth of 0 or below: fill it in, or say by --kind what the numbers are "
            "(depth with an unknown shift, 0 at the nearest, cannot be evaluated)."
        )
    # the factor between the medians of depth and of truth, over the pixels that the protocol takes them of
    depth, true_depth = to_depth(inverse), truth.depth
    if protocol.medians == "whole, lower":
        every, known = truth.sample.depth.flatten(), ~truth.sample.depth.flatten().isnan()
        depth, true_depth = to_depth(plane.flatten()[known].double()), every[known].double()
    scale = median_scale(depth, true_depth, _centre(protocol))
    known_scale = {"scale": float(scale)} if bool(scale.isfinite()) else {}
    judged = truth  # by which errors are measured; predictions are aligned to the truth as it is
    if protocol.near_truth == "clamped":
        judged = replace(truth, depth=truth.depth.clamp(min=protocol.nearest))
    results = []
    for alignment in alignments(entry, protocol, factor):
        times = {"none": 1.0, "factor": factor, "median": known_scale.get("scale")}.get(alignment) or 1.0
        align = aligner(inverse, truth, alignment, times)
        depth = align(inverse)
        clipped = depth.clamp(protocol.nearest, truth.far)
        # Not 1 / depth: a negative disparity (beyond infinity) is an error too.
        disparity = 1 / depth if alignment.startswith("affine") else inverse / times
        figures = _depth_figures(clipped, judged) | _disparity_figures(disparity, clipped, judged)
        figures |= _edge_figures(align, plane, judged) | known_scale
        bins = () if entry.trivial else _distance_bins(clipped, judged)
        weight = float(len(inverse) if truth.weights is None else truth.weights.sum())
        changed = int((clipped != depth).sum())
        results.append(ImageResult(entry.name, alignment, name, figures, len(inverse), bins, weight, changed))
    return results


def visible_part(sample: Sample, protocol: Protocol) -> Sample:
    """Return the part of a sample that models take: all of it, or its middle rows, half as many as it is wide."""
    if protocol.sees == "picture":
        return sample
    height, width = sample.depth.shape[-2:]
    rows = min(height, width // 2)
    return augmentation.crop(sample, ((height - rows) // 2, 0, rows, width))


def ground_truth(sample: Sample, far: float, protocol: Protocol) -> GroundTruth:
    """Return the counted truth of a sample of batch 1; `far` is used if the protocol states none."""
    slope, offset = 1.0, 0.0
    if protocol.rig == "KITTI by width":
        sample, slope, offset = by_width(sample)
    far = protocol.far or far
    limit = far if protocol.beyond == "left out" else torch.inf
    rows, columns = _crop(sample, protocol)
    inside = sample.depth[0, 0, rows, columns]
    row, column = (~inside.isnan()).nonzero().unbind(1)
    index = (row + rows.start) * sample.depth.shape[-1] + column + columns.start
    known = sample.depth.flatten()[index]
    good = countable(known[None], protocol.near, limit)[0]
    depth = known[good].double()
    counts = {
        "pixels": len(depth),
        "unknown": inside.numel() - len(known),
        "cropped": sample.depth.numel() - inside.numel(),
        "far": int((known >= limit).sum()),
        "near": int((known <= protocol.near).sum()),
    }
    depth = depth.clamp(protocol.nearest, far) if protocol.beyond == "clamped" else depth
    return GroundTruth(sample, protocol, protocol.clip or far, index[good], depth, counts, slope, offset)


def alignments(entry: Entry, protocol: Protocol, factor: float | None) -> tuple[Alignment, ...]:
    """Return the alignments of an entry: those that make sense for its ambiguity, and "none", at face value.

    An alignment hides the error that it removes; guesses, whose scale is arbitrary, need no figures without one.
    """
    fitting = FITTING[entry.ambiguity]
    chosen = protocol.side_by_side or tuple(a for a in USUAL if a in fitting or a == "none")
    if entry.trivial:
        chosen = tuple(a for a in chosen if a in fitting)
    return tuple(a for a in chosen if a != "factor" or factor is not None)


def aligner(
    inverse_depth: Pixels, truth: GroundTruth, alignment: Alignment, scale: float
) -> Callable[[Pixels], Pixels]:
    """Return a function from inverse depth to depth: times `scale`, or by least squares of 1/depth, then by medians.

    It is fitted on the pixels of `truth`; the function may be applied to others of the same image.
    """
    if alignment == "affine":
        fit = affine_fit(inverse_depth, truth.depth)
        return lambda rho: affine_depth(rho, fit, truth.far)
    if alignment == "affine-median":
        fit = affine_fit(inverse_depth, truth.depth)
        to = released_affine_depth if truth.protocol.beyond_infinity == "nearest" else affine_depth
        times = median_scale(to(inverse_depth, fit, truth.far), truth.depth, _centre(truth.protocol))
        times = times if bool(times.isfinite()) else torch.ones_like(times)
        return lambda rho: to(rho, fit, truth.far) * times
    return lambda rho: to_depth(rho) * scale


def fitted_factors(
    entries: Iterable[Entry], data: DepthDataset, indices: Sequence[int], protocol: Protocol
) -> dict[str, float]:
    """Return for each entry the one factor of a whole set: the median over images of the medians' ratio.

    At most 100 evenly spaced images are used. It is fitted on the evaluated set, like the median alignment, but with
    one number instead of one for each image: any error beyond that under "median" is scale that varies between images.
    """
    entries = list(entries)
    scales: dict[str, list[float]] = {}
    for index in evenly_spaced(indices, FITTED_ON):
        try:
            sample = data[index]
            truth = ground_truth(sample, data.far(index), protocol)
        except Exception:
            continue  # counted and named when the image is evaluated
        for entry in entries if len(truth.index) else ():
            try:
                plane = EntryPrediction(entry, entry.inverse_depth(index, visible_part(sample, protocol))).plane(truth)
            except Exception:
                continue  # likewise
            scale = median_scale(to_depth(plane.flatten()[truth.index].double()), truth.depth)
            if bool(torch.isfinite(scale)):
                scales.setdefault(entry.name, []).append(float(scale))
    return {name: float(np.median(values)) for name, values in scales.items()}


def evenly_spaced(indices: Sequence[int], count: int) -> list[int]:
    """Return at most `count` of `indices`, evenly spaced from the first to the last."""
    return sorted({indices[round(i)] for i in np.linspace(0, len(indices) - 1, min(len(indices), count))})


def _centre(protocol: Protocol) -> Callable[[Pixels], Float[Tensor, ""]]:
    return middle if protocol.medians == "counted" else lower_middle


def _crop(sample: Sample, protocol: Protocol) -> Crop:
    height, width = sample.depth.shape[-2:]
    return CROPS[protocol.crop]((height, width)) if protocol.crop else (slice(0, height), slice(0, width))


def _depth_figures(clipped: Pixels, truth: GroundTruth) -> dict[str, float]:
    """Return the errors of depth: over pixels; or over the sphere, without deltas where no point of it has truth."""
    if truth.protocol.weights != "sphere":
        errors = vars(depth_errors(clipped, truth.depth))
        if DECIMAL & set(truth.protocol.shown):
            errors = errors | vars(decimal_errors(clipped, truth.depth))
        return {key: float(value) for key, value in errors.items()}
    height, width = truth.sample.depth.shape[-2:]
    ours, real = (torch.ones(height * width, dtype=clipped.dtype) for _ in range(2))
    ours[truth.index], real[truth.index] = clipped, truth.depth
    counts = torch.zeros(height * width, dtype=torch.bool)
    counts[truth.index] = True
    errors = vars(sphere_errors(*(plane.view(height, width) for plane in (ours, real, counts))))
    return {key: float(value) for key, value in errors.items() if not value.isnan()}


def _disparity_figures(inverse: Pixels, clipped: Pixels, truth: GroundTruth) -> dict[str, float]:
    """Return errors of disparity, W (focal baseline / z - shift) px; {} without a rectified source to the right.

    `inverse` is the aligned inverse depth as predicted, `clipped` the depth that is evaluated.
    """
    rig = rig_of(truth.sample) if {"d1", "bad2", "epe"} & set(truth.protocol.shown) else None
    if rig is None:
        return {}
    width = truth.sample.depth.shape[-1]
    judged = inverse if truth.protocol.disparity == "as predicted" else 1 / clipped
    real, ours = (width * (rig.factor * rho - rig.shift) for rho in (1 / truth.depth, judged))
    visible = real > 0
    if not bool(visible.any()):
        return {}
    real, ours = real[visible], ours[visible]
    return {
        "d1": float(d1(ours, real)),
        "bad2": float(bad(ours, real, 2.0)),
        "epe": float((ours - real).abs().mean()),
    }


def _edge_figures(align: Callable[[Pixels], Pixels], plane: FlatMap, truth: GroundTruth) -> dict[str, float]:
    """Return AbsRel near depth discontinuities and the F1 of occluding contours; {} where truth is sparse or smooth."""
    if truth.boundaries is None:
        return {}
    real, near = truth.boundaries
    depth = align(plane.flatten()).clamp(truth.protocol.nearest, truth.far)
    f1 = boundary_f1(depth.reshape(plane.shape), real)
    if not float(near.sum()) or bool(f1.isnan()):
        return {}
    error = (depth[truth.index] - truth.depth).abs() / truth.depth
    return {"edge_rel": float((error * near).sum() / near.sum()), "edge_f1": float(f1)}


def _distance_bins(depth: Pixels, truth: GroundTruth) -> tuple[DistanceBin, ...]:
    edges, solid = truth.protocol.bands, truth.weights
    if not edges:
        return ()
    error = depth - truth.depth
    ratio = torch.maximum(depth / truth.depth, truth.depth / depth)
    parts = ((error / truth.depth).abs(), error / truth.depth, error.square(), (ratio < 1.25).to(depth.dtype))
    weighed = parts if solid is None else tuple(part * solid for part in parts)
    length = len(edges) + 1
    counts = torch.bincount(truth.bins, minlength=length).tolist()
    weights = counts if solid is None else torch.bincount(truth.bins, solid, minlength=length).tolist()
    sums = [torch.bincount(truth.bins, part, minlength=length).tolist() for part in weighed]
    bins = []
    for i, pixels in enumerate(counts[1:-1], start=1):
        if pixels:
            rel, bias, square, delta1 = (total[i] / weights[i] for total in sums)
            bins.append(DistanceBin(edges[i - 1], edges[i], pixels, rel, bias, square**0.5, delta1, float(weights[i])))
    return tuple(bins)
