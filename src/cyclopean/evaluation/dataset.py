"""Judging a data set: every candidate on every item that all can be judged on, the rest counted and named."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from cyclopean.errors import sentence
from cyclopean.evaluation.evaluate import Measured, Prediction, Scene, judge_scene, scene, seen
from cyclopean.evaluation.protocols import Protocol
from cyclopean.evaluation.trivial import Candidate, Truths
from cyclopean.metrics import median_scale, to_depth
from cyclopean.sample import Sample

FITTED_ON = 100  # images at most; evenly spaced


@dataclass(frozen=True)
class Counts:
    """What was judged: pixels of all images by what became of them, and the images left out, by name.

    `left_out`: no pixel counts; `failed`: why an item or its prediction could not be read or judged. An image that
    fails for one candidate is left out for all, so that rows are of equal images.
    """

    images: int
    pixels: int
    unknown: int
    far: int
    near: int
    left_out: tuple[str, ...]
    cropped: int = 0
    failed: dict[str, str] = field(default_factory=dict)


def evaluate(
    candidates: Sequence[Candidate],
    data: Truths,
    indices: Iterable[int],
    protocol: Protocol,
    factors: Mapping[str, float] | None = None,
) -> tuple[list[Measured], Counts]:
    """Judge every candidate on every item of `indices`; `factors` by a candidate's name, for the alignment "factor"."""
    return evaluate_variants(candidates, data, indices, (protocol,), factors)[0]


def evaluate_variants(
    candidates: Sequence[Candidate],
    data: Truths,
    indices: Iterable[int],
    variants: Sequence[Protocol],
    factors: Mapping[str, float] | None = None,
) -> list[tuple[list[Measured], Counts]]:
    """As `evaluate`, once for each variant (such as a cap) of a protocol, from one prediction of each image."""
    tallies = [_Tally(variant) for variant in variants]
    for index in indices:
        try:
            sample = data[index]
        except Exception as error:  # one odd file must not end the rest
            _fail(tallies, f"item {index}", error)
            continue
        try:
            scenes = [scene(sample, data.far(index), tally.protocol) for tally in tallies]
            some = any(len(here.index) for here in scenes)
            predicted: dict[str, list[Prediction]] = {}
            for protocol in variants if some else ():
                if protocol.sees not in predicted:
                    shown = seen(sample, protocol)
                    predicted[protocol.sees] = [Prediction(c, c.of(index, shown)) for c in candidates]
            results = [_judged(predicted.get(here.protocol.sees, []), here, factors or {}) for here in scenes]
        except Exception as error:
            _fail(tallies, sample.name[0], error)
            continue
        for tally, here, measured in zip(tallies, scenes, results, strict=True):
            tally.add(here, measured)
    return [(tally.measured, tally.counts()) for tally in tallies]


def fitted_factors(
    candidates: Iterable[Candidate], data: Truths, indices: Sequence[int], protocol: Protocol
) -> dict[str, float]:
    """For each candidate the one factor of a whole set: the median over images of the medians' ratio.

    Of at most 100 evenly spaced images. It is fitted on the set that is judged, as the median alignment is, with one
    number instead of one for every image: what is worse than under "median" is scale that varies between images.
    """
    candidates = list(candidates)
    chosen = sorted({indices[round(i)] for i in np.linspace(0, len(indices) - 1, min(len(indices), FITTED_ON))})
    scales: dict[str, list[float]] = {}
    for index in chosen:
        try:
            sample = data[index]
            here = scene(sample, data.far(index), protocol)
        except Exception:
            continue  # counted and named when the image is judged
        for candidate in candidates:
            scale = _scale(candidate, index, sample, here)
            if scale is not None:
                scales.setdefault(candidate.name, []).append(scale)
    return {name: float(np.median(values)) for name, values in scales.items()}


class _Tally:
    """What one variant has counted so far."""

    def __init__(self, protocol: Protocol) -> None:
        self.protocol = protocol
        self.measured: list[Measured] = []
        self.numbers = dict.fromkeys(("images", "pixels", "unknown", "far", "near", "cropped"), 0)
        self.left_out: list[str] = []
        self.failed: dict[str, str] = {}

    def add(self, here: Scene, measured: list[Measured]) -> None:
        for key, number in here.counts.items():
            self.numbers[key] += number
        if not len(here.index):
            self.left_out.append(here.sample.name[0])
            return
        self.numbers["images"] += 1
        self.measured += measured

    def counts(self) -> Counts:
        return Counts(**self.numbers, left_out=tuple(self.left_out), failed=self.failed)


def _judged(predicted: Iterable[Prediction], here: Scene, factors: Mapping[str, float]) -> list[Measured]:
    if not len(here.index):
        return []
    return [m for one in predicted for m in judge_scene(one, here, factors.get(one.candidate.name))]


def _fail(tallies: Iterable[_Tally], name: str, error: Exception) -> None:
    for tally in tallies:
        tally.failed[name] = sentence(error, name)


def _scale(candidate: Candidate, index: int, sample: Sample, here: Scene) -> float | None:
    if not len(here.index):
        return None
    try:
        plane = Prediction(candidate, candidate.of(index, seen(sample, here.protocol))).plane(here)
    except Exception:
        return None  # counted and named when the image is judged
    scale = median_scale(to_depth(plane.flatten()[here.index].double()), here.truth)
    return float(scale) if bool(torch.isfinite(scale)) else None
