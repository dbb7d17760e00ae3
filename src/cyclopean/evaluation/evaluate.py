"""The rectified pair of a sample, where it has one: what turns depth into disparity and back."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from cyclopean import augmentation
from cyclopean.errors import InputError
from cyclopean.evaluation.protocols import CROPS, FITTING, USUAL, Alignment, Protocol
from cyclopean.evaluation.trivial import Candidate
from cyclopean.geometry import Equirectangular, Pinhole, translation
from cyclopean.metrics import (
    Crop,
    DecimalErrors,
    Figure,
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
from cyclopean.sample import Sample, pair_rig


@dataclass(frozen=True)
class Rig:
    """Disparity, a fraction of the image width, is `factor` / depth - `shift`.

    `factor` = focal (image widths) * baseline; `shift`: how far the other camera's centre lies further right.
    """

    factor: float
    shift: float


def rig_of(sample: Sample) -> Rig | None:
    """The rig of a sample whose one source is a rectified view to its right, else None."""
    pair = pair_rig(sample)
    if pair is None:
        return None
    here, there = sample.target.camera, sample.sources[0].camera
    return Rig(math.prod(pair), float(there.center[0, 0] - here.center[0, 0]))  # type: ignore[attr-defined]


FOCAL_BY_WIDTH = {1242: 721.5377, 1241: 718.856, 1238: 718.3351, 1224: 707.0493}  # px of KITTI 2015, as Monodepth's
BASELINE = 0.54  # metres, likewise


def by_width(sample: Sample) -> tuple[Sample, float, float]:
    """The pair as Monodepth's evaluation of KITTI 2015 has it; its inverse depths are `slope` times ours plus `offset`.

    Its disparities are the same, depth is what a focal length by the picture's width and 0.54 m make of them. Raises
    `InputError` for what is no rectified pair, and for other widths.
    """
    rig, (height, width) = rig_of(sample), sample.depth.shape[-2:]
    if rig is None or width not in FOCAL_BY_WIDTH:
        what = "no rectified pair" if rig is None else f"{width} pixels wide"
        widths = ", ".join(map(str, FOCAL_BY_WIDTH))
        raise InputError(
            f"{sample.name[0]} is {what}, and the focal lengths by width are of KITTI 2015's pairs ({widths} pixels); "
            "take the protocol kitti-2015."
        )
    focal, (source,) = FOCAL_BY_WIDTH[width], sample.sources
    factor = focal / width * BASELINE
    slope, offset = rig.factor / factor, -rig.shift / factor
    rho = slope / sample.depth + offset
    depth = torch.where(rho > 0, 1 / rho, torch.where(rho.isnan(), torch.nan, torch.inf))
    camera = Pinhole(rho.new_tensor([[focal / width, focal / height]]), sample.target.camera.center)  # type: ignore[attr-defined]
    right = replace(source, camera=camera, from_target=translation(rho.new_tensor([[-BASELINE, 0.0, 0.0]])))
    return replace(sample, target=replace(sample.target, camera=camera), sources=(right,), depth=depth), slope, offset


Map = Float[Tensor, "1 1 h w"]
Pixels = Float[Tensor, " n"]
Plane = Float[Tensor, "h w"]
DECIMAL = frozenset(DecimalErrors.__dataclass_fields__)
FARTHEST = 1e6  # stands for infinity where depths are averaged
DENSE = 0.5  # share of known pixels from which on neighbours tell where boundaries are


@dataclass(frozen=True)
class Band:
    """Errors of the pixels whose truth lies in [near, far): `bias` is the mean of (depth - truth) / truth.

    `weight`: what the band weighs where images are pooled: its pixels, or the sum of their solid angles.
    """

    near: float
    far: float
    pixels: int
    abs_rel: float
    bias: float
    rmse: float
    delta1: float
    weight: float = 0.0


@dataclass(frozen=True)
class Measured:
    """One candidate on one image under one alignment; `pixels` counted.

    `weight`: what the image weighs where all are pooled: its pixels, or the sum of their solid angles.
    """

    candidate: str
    alignment: Alignment
    image: str
    figures: dict[str, float]
    pixels: int = 0
    bands: tuple[Band, ...] = ()
    weight: float = 0.0


@dataclass(frozen=True)
class Scene:
    """What counts in one image (batch 1) under one protocol: `index` into the pixels of the picture, and their truth.

    `far`: where predictions are clipped. `truth` is float64, clamped if the protocol says so. `counts`: every pixel by
    what became of it: counted (`pixels`), `unknown`, too `far` (or sky), too `near`, outside the crop (`cropped`).
    Where the protocol has a rig of its own, the sample is as that rig sees it, and predicted inverse depth becomes
    `slope` of it plus `offset`.
    """

    sample: Sample
    protocol: Protocol
    far: float
    index: Int[Tensor, " n"]
    truth: Pixels
    counts: dict[str, int]
    slope: float = 1.0
    offset: float = 0.0

    @cached_property
    def boundaries(self) -> tuple[Plane, Pixels] | None:
        """Truth, sky at `far`, NaN outside the crop, and which counted pixels lie near a boundary; None if sparse."""
        truth, crop = self.sample.depth[0, 0], _crop(self.sample, self.protocol)
        if "edge_f1" not in self.protocol.shown or float((~truth[crop].isnan()).float().mean()) < DENSE:
            return None
        inside = torch.full_like(truth, torch.nan)
        inside[crop] = truth[crop].clamp(self.protocol.nearest, self.far)
        return inside, near_boundaries(inside).flatten()[self.index].double()

    @cached_property
    def weights(self) -> Pixels | None:
        """Of panoramas judged as such, the solid angle of each counted pixel (1: of one at the equator); else None.

        Raises `InputError` if a protocol of panoramas meets another picture.
        """
        if self.protocol.weights == "pixels":
            return None
        if not isinstance(self.sample.target.camera, Equirectangular):
            raise InputError(
                f"{self.sample.name[0]} is no panorama, and the protocol {self.protocol.name} weighs pixels by their "
                "solid angle; take another protocol, such as open-1."
            )
        height, width = self.sample.depth.shape[-2:]
        return solid_angle(height)[self.index // width]

    @property
    def weight(self) -> float:
        """How many pixels count, or the sum of their solid angles."""
        return float(len(self.index) if self.weights is None else self.weights.sum())

    @cached_property
    def bands(self) -> Int[Tensor, " n"]:
        """For each counted pixel the number of its distance band, from 1; 0 and the last are outside all bands."""
        edges = torch.tensor(self.protocol.bands, dtype=self.truth.dtype)
        return torch.bucketize(self.truth, edges, right=True)


@dataclass(frozen=True)
class Prediction:
    """A candidate's inverse depth of one sample, of any size, and what was resized of it for scenes of that sample."""

    candidate: Candidate
    inverse_depth: Float[Tensor, "1 1 h w"]
    planes: dict[tuple[str | None, str, str], Plane] = field(default_factory=dict, compare=False)

    def plane(self, scene: Scene) -> Plane:
        """The inverse depth at the truth's size: bilinear, pixel centres at half integers; NaN where it says nothing.

        Of inverse depth or of depth, as the protocol says: averaging disparities and averaging depths differ at every
        edge, and papers that predict disparity resize disparity.
        """
        covers, protocol = self.candidate.covers, scene.protocol
        cropped = covers == "crop" or (covers == "seen" and protocol.sees == "middle 2:1")
        part = protocol.crop if cropped else None
        key = part, protocol.resized, protocol.rig
        if key not in self.planes:
            self.planes[key] = scene.slope * _placed(self.inverse_depth, scene, whole=part is None) + scene.offset
        return self.planes[key]


def scene(sample: Sample, far: float, protocol: Protocol) -> Scene:
    """What counts in a sample of batch 1; `far` is used where the protocol states none."""
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
    truth = known[good].double()
    counts = {
        "pixels": len(truth),
        "unknown": inside.numel() - len(known),
        "cropped": sample.depth.numel() - inside.numel(),
    }
    counts |= {"far": int((known >= limit).sum()), "near": int((known <= protocol.near).sum())}
    clamped = truth.clamp(protocol.nearest, far) if protocol.beyond == "clamped" else truth
    return Scene(sample, protocol, protocol.clip or far, index[good], clamped, counts, slope, offset)


def seen(sample: Sample, protocol: Protocol) -> Sample:
    """What models are shown of a sample: all of it, or its middle rows, half as many as it is wide."""
    if protocol.sees == "picture":
        return sample
    height, width = sample.depth.shape[-2:]
    rows = min(height, width // 2)
    return augmentation.crop(sample, ((height - rows) // 2, 0, rows, width))


def judge(
    candidate: Candidate, sample: Sample, far: float, protocol: Protocol, factor: float | None = None
) -> list[Measured]:
    """The figures of one candidate on one image (batch 1), in every alignment that protocol and ambiguity ask for.

    `factor`: what depth is multiplied with under the alignment "factor", which is left out without it. Raises
    `InputError` if the prediction is not finite where truth counts.
    """
    predicted = Prediction(candidate, candidate.predict(seen(sample, protocol)))
    return judge_scene(predicted, scene(sample, far, protocol), factor)


def judge_scene(predicted: Prediction, scene: Scene, factor: float | None = None) -> list[Measured]:
    """As `judge`, for a prediction of the scene."""
    plane, candidate, name = predicted.plane(scene), predicted.candidate, scene.sample.name[0]
    inverse = plane.flatten()[scene.index].double()
    if not bool(inverse.isfinite().all()):
        why = (
            ""
            if candidate.covers in ("picture", "crop", "seen")
            else (
                f": its maps cover {candidate.covers} alone, and truth outside counts too under {scene.protocol.name}"
            )
        )
        raise InputError(
            f"{candidate.name} predicts NaN or infinite inverse depth on {name}{why}; it cannot be judged."
        )
    scale = _median_scale(inverse, plane, scene)
    known = {"scale": float(scale)} if bool(scale.isfinite()) else {}
    measured = []
    for alignment in alignments(candidate, scene.protocol, factor):
        times = {"none": 1.0, "factor": factor, "median": known.get("scale")}.get(alignment) or 1.0
        align = aligner(inverse, scene, alignment, times)
        depth = align(inverse)
        clipped = _clipped(depth, scene)
        # Not 1 / depth: what lies behind infinity is a disparity too, a wrong one.
        disparity = 1 / depth if alignment.startswith("affine") else inverse / times
        figures = _figures(clipped, scene) | _stereo(disparity, clipped, scene) | _edges(align, plane, scene) | known
        bands = () if candidate.trivial else _bands(clipped, scene)
        measured.append(Measured(candidate.name, alignment, name, figures, len(inverse), bands, scene.weight))
    return measured


def alignments(candidate: Candidate, protocol: Protocol, factor: float | None) -> tuple[Alignment, ...]:
    """Under which alignments a candidate is judged: those that make sense for it, and none at all, at face value.

    An alignment hides what it takes away; guesses, which say nothing of metres, have nothing to hide.
    """
    fitting = FITTING[candidate.ambiguity]
    asked = protocol.side_by_side or tuple(a for a in USUAL if a in fitting or a == "none")
    if candidate.trivial:
        asked = tuple(a for a in asked if a in fitting)
    return tuple(a for a in asked if a != "factor" or factor is not None)


def aligner(inverse_depth: Pixels, scene: Scene, alignment: Alignment, scale: float) -> Callable[[Pixels], Pixels]:
    """From inverse depth to depth: times `scale`, or (affine) by least squares of 1/depth, and then by medians.

    What is fitted is fitted on the pixels given here; the result may be used on others of the same image.
    """
    if alignment == "affine":
        fit = affine_fit(inverse_depth, scene.truth)
        return lambda rho: affine_depth(rho, fit, scene.far)
    if alignment == "affine-median":
        fit = affine_fit(inverse_depth, scene.truth)
        fitted = released_affine_depth(inverse_depth, fit, scene.far)
        times = median_scale(fitted, scene.truth, _centre(scene.protocol))
        times = times if bool(times.isfinite()) else torch.ones_like(times)
        return lambda rho: released_affine_depth(rho, fit, scene.far) * times
    return lambda rho: to_depth(rho) * scale


def _median_scale(inverse: Pixels, plane: Plane, scene: Scene) -> Figure:
    """The factor between the medians of depth and of truth, over the pixels that the protocol takes them of."""
    ours, truth = to_depth(inverse), scene.truth
    if scene.protocol.medians == "whole, lower":
        every, known = scene.sample.depth.flatten(), ~scene.sample.depth.flatten().isnan()
        ours, truth = to_depth(plane.flatten()[known].double()), every[known].double()
    return median_scale(ours, truth, _centre(scene.protocol))


def _centre(protocol: Protocol) -> Callable[[Pixels], Figure]:
    return middle if protocol.medians == "counted" else lower_middle


def _crop(sample: Sample, protocol: Protocol) -> Crop:
    height, width = sample.depth.shape[-2:]
    return CROPS[protocol.crop]((height, width)) if protocol.crop else (slice(0, height), slice(0, width))


def _placed(inverse_depth: Float[Tensor, "1 1 h2 w2"], scene: Scene, whole: bool) -> Plane:
    """A prediction of the whole picture, or of the crop alone with NaN around it, at the truth's size."""
    height, width = scene.sample.depth.shape[-2:]
    if whole:
        return _resized(inverse_depth, (height, width), scene.protocol)[0, 0]
    rows, columns = _crop(scene.sample, scene.protocol)
    inside = _resized(inverse_depth, (rows.stop - rows.start, columns.stop - columns.start), scene.protocol)
    return F.pad(inside, (columns.start, width - columns.stop, rows.start, height - rows.stop), value=torch.nan)[0, 0]


def _resized(inverse_depth: Float[Tensor, "1 1 h2 w2"], size: tuple[int, int], protocol: Protocol) -> Map:
    if tuple(inverse_depth.shape[-2:]) == size:
        return inverse_depth.float()
    if protocol.resized == "inverse depth":
        return F.interpolate(inverse_depth.float(), size, mode="bilinear", align_corners=False)
    depth = 1 / inverse_depth.float().clamp(min=1 / FARTHEST)
    return 1 / F.interpolate(depth, size, mode="bilinear", align_corners=False)


def _clipped(depth: Pixels, scene: Scene) -> Pixels:
    return depth.clamp(scene.protocol.nearest, scene.far)


def _figures(clipped: Pixels, scene: Scene) -> dict[str, float]:
    if scene.protocol.weights == "sphere":
        return _sphere_figures(clipped, scene)
    figures = vars(depth_errors(clipped, scene.truth))
    if DECIMAL & set(scene.protocol.shown):
        figures = figures | vars(decimal_errors(clipped, scene.truth))
    return {key: float(value) for key, value in figures.items()}


def _sphere_figures(clipped: Pixels, scene: Scene) -> dict[str, float]:
    """Figures over the sphere; without the deltas where no point of the spiral has truth."""
    height, width = scene.sample.depth.shape[-2:]
    ours, truth = (torch.ones(height * width, dtype=clipped.dtype) for _ in range(2))
    ours[scene.index], truth[scene.index] = clipped, scene.truth
    counts = torch.zeros(height * width, dtype=torch.bool)
    counts[scene.index] = True
    found = vars(sphere_errors(*(plane.view(height, width) for plane in (ours, truth, counts))))
    return {key: float(value) for key, value in found.items() if not value.isnan()}


def _stereo(inverse: Pixels, clipped: Pixels, scene: Scene) -> dict[str, float]:
    """Errors of disparity where the target has a rectified source to its right: W (focal baseline / z - shift) px.

    `inverse` is the aligned inverse depth as predicted, `clipped` the depth that is judged.
    """
    rig = rig_of(scene.sample) if {"d1", "bad2", "epe"} & set(scene.protocol.shown) else None
    if rig is None:
        return {}
    width = scene.sample.depth.shape[-1]
    judged = inverse if scene.protocol.disparity == "as predicted" else 1 / clipped
    real, ours = (width * (rig.factor * rho - rig.shift) for rho in (1 / scene.truth, judged))
    seen = real > 0
    if not bool(seen.any()):
        return {}
    real, ours = real[seen], ours[seen]
    return {
        "d1": float(d1(ours, real)),
        "bad2": float(bad(ours, real, 2.0)),
        "epe": float((ours - real).abs().mean()),
    }


def _edges(align: Callable[[Pixels], Pixels], plane: Plane, scene: Scene) -> dict[str, float]:
    """AbsRel near depth discontinuities and the F1 of occluding contours; nothing where truth is sparse or smooth."""
    if scene.boundaries is None:
        return {}
    truth, near = scene.boundaries
    depth = _clipped(align(plane.flatten()), scene)
    f1 = boundary_f1(depth.reshape(plane.shape), truth)
    if not float(near.sum()) or bool(f1.isnan()):
        return {}
    error = (depth[scene.index] - scene.truth).abs() / scene.truth
    return {"edge_rel": float((error * near).sum() / near.sum()), "edge_f1": float(f1)}


def _bands(depth: Pixels, scene: Scene) -> tuple[Band, ...]:
    edges = scene.protocol.bands
    if not edges:
        return ()
    error = depth - scene.truth
    ratio = torch.maximum(depth / scene.truth, scene.truth / depth)
    parts = ((error / scene.truth).abs(), error / scene.truth, error.square(), (ratio < 1.25).to(depth.dtype))
    own = scene.weights
    counts = torch.bincount(scene.bands, minlength=len(edges) + 1).tolist()
    weights = counts if own is None else torch.bincount(scene.bands, own, minlength=len(edges) + 1).tolist()
    weighed = parts if own is None else tuple(part * own for part in parts)
    sums = [torch.bincount(scene.bands, part, minlength=len(edges) + 1).tolist() for part in weighed]
    found = []
    for i, n in enumerate(counts[1:-1], start=1):
        if n:
            rel, bias, square, delta1 = (total[i] / weights[i] for total in sums)
            found.append(Band(edges[i - 1], edges[i], n, rel, bias, square**0.5, delta1, float(weights[i])))
    return tuple(found)
