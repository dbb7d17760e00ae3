"""Judging one image: which pixels count, what is aligned, and the figures that follow."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from cyclopean.errors import InputError
from cyclopean.evaluation.protocols import CROPS, FITTING, Alignment, Protocol
from cyclopean.evaluation.rig import rig_of
from cyclopean.evaluation.trivial import Candidate
from cyclopean.metrics import (
    affine_depth,
    affine_fit,
    bad,
    boundary_f1,
    countable,
    d1,
    decimal_errors,
    depth_errors,
    median_scale,
    near_boundaries,
    to_depth,
)
from cyclopean.sample import Sample

Map = Float[Tensor, "1 1 h w"]
Pixels = Float[Tensor, " n"]
Plane = Float[Tensor, "h w"]
FARTHEST = 1e6  # stands for infinity where depths are averaged
DENSE = 0.5  # share of known pixels from which on neighbours tell where boundaries are


@dataclass(frozen=True)
class Band:
    """Errors of the pixels whose truth lies in [near, far): `bias` is the mean of (depth - truth) / truth."""

    near: float
    far: float
    pixels: int
    abs_rel: float
    bias: float
    rmse: float
    delta1: float


@dataclass(frozen=True)
class Measured:
    """One candidate on one image under one alignment; `pixels` counted."""

    candidate: str
    alignment: Alignment
    image: str
    figures: dict[str, float]
    pixels: int = 0
    bands: tuple[Band, ...] = ()


@dataclass(frozen=True)
class Scene:
    """What counts in one image (batch 1) under one protocol: `index` into the pixels inside the crop, and their truth.

    `far`: where predictions are clipped. `truth` is float64, clamped if the protocol says so.
    """

    sample: Sample
    protocol: Protocol
    far: float
    index: Int[Tensor, " n"]
    truth: Pixels

    def inside(self, plane: Map) -> Plane:
        """The part of a map of the truth's size that lies inside the crop."""
        if self.protocol.crop is None:
            return plane[0, 0]
        return plane[0, 0][CROPS[self.protocol.crop]((plane.shape[-2], plane.shape[-1]))]

    @cached_property
    def boundaries(self) -> tuple[Plane, Pixels] | None:
        """Truth inside the crop, sky at `far`, and which counted pixels lie near a boundary; None if it is sparse."""
        truth = self.inside(self.sample.depth)
        if "edge_f1" not in self.protocol.shown or float((~truth.isnan()).float().mean()) < DENSE:
            return None
        truth = truth.clamp(self.protocol.nearest, self.far)
        return truth, near_boundaries(truth).flatten()[self.index].double()


def scene(sample: Sample, far: float, protocol: Protocol) -> Scene:
    """What counts in a sample of batch 1; `far` is used where the protocol states none."""
    far = protocol.far or far
    limit = far if protocol.beyond == "left out" else torch.inf
    empty = Scene(sample, protocol, far, torch.zeros(0, dtype=torch.long), torch.zeros(0, dtype=torch.float64))
    depth = empty.inside(sample.depth)
    index = countable(depth, protocol.near, limit).flatten().nonzero()[:, 0]
    truth = depth.flatten()[index].double()
    clamped = truth.clamp(protocol.nearest, far) if protocol.beyond == "clamped" else truth
    return Scene(sample, protocol, far, index, clamped)


def census(here: Scene) -> dict[str, int]:
    """Every pixel of a scene by what became of it: counted, unknown, too far (or sky), too near, outside the crop."""
    depth = here.inside(here.sample.depth)
    limit = here.far if here.protocol.beyond == "left out" else torch.inf
    parts = {"unknown": depth.isnan(), "far": depth >= limit, "near": depth <= here.protocol.near}
    counts = {name: int(part.sum()) for name, part in parts.items()}
    return counts | {"pixels": len(here.index), "cropped": here.sample.depth.numel() - depth.numel()}


def judge(
    candidate: Candidate, sample: Sample, far: float, protocol: Protocol, factor: float | None = None
) -> list[Measured]:
    """The figures of one candidate on one image (batch 1), in every alignment that protocol and ambiguity ask for.

    `factor`: what depth is multiplied with under the alignment "factor", which is left out without it. Raises
    `InputError` if the prediction is not finite where truth counts.
    """
    return judge_map(candidate, candidate.predict(sample), scene(sample, far, protocol), factor)


def judge_map(candidate: Candidate, predicted: Map, scene: Scene, factor: float | None = None) -> list[Measured]:
    """As `judge`, for the candidate's inverse depth of the scene, of any size."""
    plane = inside_crop(candidate, predicted, scene)
    inverse = plane.flatten()[scene.index].double()
    name = scene.sample.name[0]
    if not bool(inverse.isfinite().all()):
        raise InputError(f"{candidate.name} predicts NaN or infinite inverse depth on {name}; it cannot be judged.")
    scale = median_scale(to_depth(inverse), scene.truth)
    known = {"scale": float(scale)} if bool(scale.isfinite()) else {}
    measured = []
    for alignment in alignments(candidate, scene.protocol, factor):
        align = aligner(inverse, scene.truth, alignment, scene.far, factor)
        figures = _figures(align, inverse, scene) | _edges(align, plane, scene) | known
        bands = () if candidate.trivial else _bands(_clipped(align(inverse), scene), scene)
        measured.append(Measured(candidate.name, alignment, name, figures, len(inverse), bands))
    return measured


def alignments(candidate: Candidate, protocol: Protocol, factor: float | None) -> tuple[Alignment, ...]:
    """Under which alignments a candidate is judged."""
    fitting = FITTING[candidate.ambiguity]
    asked = fitting if candidate.trivial else (protocol.side_by_side or fitting)
    return tuple(a for a in asked if a != "factor" or factor is not None)


def aligner(
    inverse_depth: Pixels, truth: Pixels, alignment: Alignment, far: float, factor: float | None = None
) -> Callable[[Pixels], Pixels]:
    """From inverse depth to depth: as it is, times a factor, times the medians' ratio, or by least squares of 1/depth.

    What is fitted is fitted on the pixels given here; the result may be used on others of the same image.
    """
    if alignment == "affine":
        fit = affine_fit(inverse_depth, truth)
        return lambda rho: affine_depth(rho, fit, far)
    given = {"none": 1.0, "factor": factor}.get(alignment)
    scale = None if given is None else torch.tensor(given, dtype=torch.float64)
    if scale is None:
        scale = median_scale(to_depth(inverse_depth), truth)
        scale = scale if bool(scale.isfinite()) else torch.ones(())
    return lambda rho: to_depth(rho) * scale.to(rho.dtype)


def inside_crop(candidate: Candidate, inverse_depth: Float[Tensor, "1 1 h2 w2"], scene: Scene) -> Plane:
    """A prediction at the truth's size, inside the crop: bilinear, pixel centres at half integers.

    Of inverse depth or of depth, as the protocol says: averaging disparities and averaging depths differ at every edge,
    and papers that predict disparity resize disparity.
    """
    if candidate.covers == "picture":
        return scene.inside(_resized(inverse_depth, scene.sample.depth, scene.protocol))
    return _resized(inverse_depth, scene.inside(scene.sample.depth)[None, None], scene.protocol)[0, 0]


def _resized(inverse_depth: Float[Tensor, "1 1 h2 w2"], like: Map, protocol: Protocol) -> Map:
    size = (like.shape[-2], like.shape[-1])
    if tuple(inverse_depth.shape[-2:]) == size:
        return inverse_depth.float()
    if protocol.resized == "inverse depth":
        return F.interpolate(inverse_depth.float(), size, mode="bilinear", align_corners=False)
    depth = 1 / inverse_depth.float().clamp(min=1 / FARTHEST)
    return 1 / F.interpolate(depth, size, mode="bilinear", align_corners=False)


def _clipped(depth: Pixels, scene: Scene) -> Pixels:
    return depth.clamp(scene.protocol.nearest, scene.far)


def _figures(align: Callable[[Pixels], Pixels], inverse: Pixels, scene: Scene) -> dict[str, float]:
    depth = align(inverse)
    clipped = _clipped(depth, scene)
    errors = asdict(depth_errors(clipped, scene.truth)) | asdict(decimal_errors(clipped, scene.truth))
    figures = {key: float(value) for key, value in errors.items()}
    return figures | _stereo(scene, depth if scene.protocol.disparity == "as predicted" else clipped)


def _stereo(scene: Scene, depth: Pixels) -> dict[str, float]:
    """Errors of disparity where the target has a rectified source to its right: W (focal baseline / z - shift) px."""
    rig = rig_of(scene.sample) if {"d1", "bad2", "epe"} & set(scene.protocol.shown) else None
    if rig is None:
        return {}
    width = scene.sample.depth.shape[-1]
    real, ours = (width * (rig.factor / z - rig.shift) for z in (scene.truth, depth))
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
    place = torch.bucketize(scene.truth, torch.tensor(edges, dtype=scene.truth.dtype), right=True)
    error = depth - scene.truth
    ratio = torch.maximum(depth / scene.truth, scene.truth / depth)
    parts = ((error / scene.truth).abs(), error / scene.truth, error.square(), (ratio < 1.25).to(depth.dtype))
    counts = torch.bincount(place, minlength=len(edges) + 1).tolist()
    sums = [torch.bincount(place, part, minlength=len(edges) + 1).tolist() for part in parts]
    found = []
    for i, n in enumerate(counts[1:-1], start=1):
        if n:
            rel, bias, square, delta1 = (total[i] / n for total in sums)
            found.append(Band(edges[i - 1], edges[i], n, rel, bias, square**0.5, delta1))
    return tuple(found)
