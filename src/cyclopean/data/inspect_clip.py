"""Measure a clip before any training: how its camera moved, what moved by itself, light, cuts, blur.

Frames are read once, one by one, small and grey. `diagnose_clip` turns the measures into advice.
"""

import logging
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from cyclopean.data.egomotion import Grey, Matches, Points, Tracker, TwoView, triangulated, turn, two_view
from cyclopean.data.video import PAUSE, CameraSource, camera_of, numbered_sequences
from cyclopean.defocus.video import motion
from cyclopean.errors import InputError
from cyclopean.geometry import Pinhole
from cyclopean.io.decoding import read_image
from cyclopean.io.image import grey_within
from cyclopean.io.video import greys
from cyclopean.io.video_seeking import index_of

LOG = logging.getLogger(__name__)
Probe = dict[int, Matches]  # a place in the clip: what was followed over each step

LONGEST = 512  # pixels of the longer side at which points are followed
STEPS = (1, 2, 3, 4, 6, 8, 12, 16)  # frames apart, that are tried
SHORTEST = 4  # steps in a clip, at least
PROBES = 32  # places in the clip at which motion is measured, evenly spread; half as many in long ones
CONTINUOUS = 400  # frames through all of which points are followed
CORRELATED = 0.8  # thumbnails of neighbours: below, perhaps a new scene begins
FEWEST = 30  # points that judge a pair of frames
MOVED = 0.5  # pixels (median) between frames of a camera that moves
PARALLAX = 0.003  # of the longer side, and
PARALLAX_PX = 1.2  # pixels, by which a quarter of the points must lie elsewhere than a turn and a zoom explain
ZOOMED = 0.01  # change of the focal length that counts as a zoom,
UNEXPLAINED = 0.2  # if it leaves no more than this share of what a turn leaves; a walk ahead leaves more
ROLLED = math.radians(2)
BEFORE = 0.85  # share of the points with parallax that must lie in front of the camera
APART = 2.5  # pixels from where the camera's motion puts a point: it moves by itself
MOVERS = 0.1  # share of such points that counts
BRIGHTER = math.log(1.12)  # from one frame to the next
BLURRED, NEIGHBOURS = 0.5, 8  # sharpness beside the sharpest of so many frames before and after
ENOUGH = 0.012  # of the longer side: parallax that a network learns well from; a larger step hardly helps
TURNED = math.radians(1)  # between two frames: without a turn the focal length does not show
ANGLES = tuple(map(float, range(28, 118, 8)))  # fields of view that are tried, degrees along the longer side


@dataclass(frozen=True)
class FramePairMeasures:
    """Motion between two frames `step` apart, in pixels of the small frames.

    `flow`: median displacement; `parallax`: 75th percentile of what neither a turn nor a zoom explains, over the points
    that one motion of the camera explains; `zoom`: change of the focal length; `roll`: turn about the axis of sight,
    radians; `moving`: share of points that move by themselves; `kind`: still, turn, zoom, or parallax.
    """

    step: int
    points: int
    flow: float
    parallax: float
    zoom: float
    roll: float
    moving: float
    kind: str


@dataclass(frozen=True)
class FocalMeasure:
    """The focal length, measured by parallax: the field of view that explains it best, degrees along the longer side,
    the one that is stated or assumed, and how much worse that explains it (a factor of the error).
    """

    best: float
    stated: float
    worse: float


@dataclass(frozen=True)
class ClipInspection:
    """The measures of a clip.

    `size` (height, width); `frames`; `items`: those with one before and one after them, at the step that suits best,
    without a gap; `odd`: those of another size; `damaged`: those that cannot be read; `cuts`: numbers of the frames
    that begin a scene; `jumps`: those that are exposed otherwise than the one before; `blurred` ones; `gaps`: longest
    time between frames over the usual one; `features`: points to follow, median; `pairs` at the step that suits best;
    `usual`: the parallax of each step, a share of the longer side; `source`: where the focal length comes from;
    `angle`: the field of view by it, degrees along the longer side.
    """

    name: str
    frames: int
    items: int
    size: tuple[int, int]
    odd: int
    damaged: int
    cuts: tuple[int, ...]
    jumps: tuple[int, ...]
    blurred: tuple[int, ...]
    gaps: float
    features: float
    step: int
    usual: dict[int, float]
    pairs: tuple[FramePairMeasures, ...]
    source: CameraSource
    angle: float
    focal: FocalMeasure | None

    def share(self, kind: str) -> float:
        """Return the share of the places measured that are of a kind."""
        return sum(pair.kind == kind for pair in self.pairs) / max(1, len(self.pairs))


def examine_clip(
    name: str, path: Path, options: dict[str, str], progress: Callable[[int, int], None] = lambda _done, _all: None
) -> ClipInspection:
    """Measure the clip at `path`, a film or a folder of numbered frames; `options` are those of `clip:PATH`.

    `progress(done, all)` is called after every frame. Raises InputError for what is no clip, and for one frame.
    """
    size, camera, source = camera_of(path, options.get("fov", ""), options.get("camera", ""))
    if path.is_dir():
        sequences = numbered_sequences(path)
        frames, runs, gaps = _pictures(sequences), list(map(len, sequences)), 1.0
    else:
        times = np.diff(index_of(path).seconds)
        usually = max(1e-9, float(np.median(times))) if len(times) else 1.0
        gaps = float(times.max() / usually) if len(times) else 1.0
        runs = np.diff([0, *(np.flatnonzero(times > PAUSE * usually) + 1), len(times) + 1]).tolist()
        frames = ((grey, 0) for grey in greys(path, LONGEST))
    count = sum(runs)

    tracker, probes = Tracker(max(STEPS)), list[Probe]()
    apart, bursts = max(1, count // PROBES), count > CONTINUOUS  # of a long clip points are followed through parts
    last: Grey | None = None
    shape = tuple[int, ...]()  # of the first frame; pictures of other sizes are not measured
    number, group, odd, lengths = -1, -1, 0, Counter[int]()
    cuts, jumps, sharpness, features = list[int](), list[int](), list[float](), list[int]()
    for number, (grey, sequence) in enumerate(frames):
        progress(number + 1, count)
        lengths[sequence] += 1
        fine = cv2.Laplacian(cv2.GaussianBlur(grey, (0, 0), 0.8), cv2.CV_32F)  # the finest details beside all
        sharpness.append(float(fine.std() / max(1.0, float(grey.std()))))
        shape = shape or grey.shape
        if last is not None and (grey.shape != last.shape or sequence != group):
            odd += grey.shape != last.shape
            tracker.restart()
        elif last is not None:
            before, after = _thumbnail(last), _thumbnail(grey)
            if _unlike(before, after) and motion(_half(last), _half(grey)).cut:
                cuts.append(number)
                tracker.restart()
            elif abs(float(np.median(np.log((after + 4) / (before + 4))))) > BRIGHTER:
                jumps.append(number)
        last, group = grey, sequence
        place = number % (2 * apart) if bursts else max(STEPS)
        if place == 0:
            tracker.restart()
        if place <= max(STEPS):
            tracker.add(grey)
        if place == max(STEPS) and (bursts or number % apart == 0) and grey.shape == shape:
            features.append(len(tracker.matches(0).later))
            probes.append({step: tracker.matches(step) for step in STEPS})
    if number < 1:
        raise InputError(f"{path} has {number + 1} frame{'' if number == 0 else 's'}, and motion needs at least two.")
    runs, damaged = (list(lengths.values()), count - number - 1) if path.is_dir() else (runs, 0)

    eye = _Eye(camera, shape)
    # A step costs frames at both ends.
    tried = [step for step in STEPS if step <= max(1, min(number // SHORTEST, (max(runs) - 1) // 2))]
    usual = {step: _usual_parallax(probes, step, eye) for step in tried}
    step = suitable_step(usual)
    pairs = tuple(pair_measures(step, probe[step], eye) for probe in probes if len(probe[step].later) >= FEWEST)
    return ClipInspection(
        name, number + 1, sum(max(0, run - 2 * step) for run in runs),
        size, odd, damaged, tuple(cuts), tuple(jumps), _blurred(sharpness), gaps,
        float(np.median(features)) if features else 0.0, step, usual, pairs, source, eye.angle,
        focal_measure(probes, max(usual, key=usual.__getitem__), eye),
    )  # fmt: skip


@dataclass(frozen=True)
class _Eye:
    """A camera and the size (height, width) of the small frames: pixels to rays."""

    camera: Pinhole
    size: tuple[int, ...]

    @property
    def focal(self) -> float:
        """The focal length in pixels."""
        return float(self.camera.focal[0, 0]) * self.size[1]

    @property
    def longest(self) -> int:
        return max(self.size)

    def rays(self, pixels: Points) -> Points:
        h, w = self.size
        uv = (pixels + 0.5) / (w, h)
        return (uv - self.camera.center[0].double().numpy()) / self.camera.focal[0].double().numpy()

    def of_angle(self, degrees: float) -> "_Eye":
        """Return the same with another field of view along the longer side."""
        return replace(
            self, camera=Pinhole(self.camera.focal * (self.focal_of(degrees) / self.focal), self.camera.center)
        )

    def focal_of(self, degrees: float) -> float:
        return self.longest / 2 / math.tan(math.radians(degrees) / 2)

    @property
    def angle(self) -> float:
        return math.degrees(2 * math.atan(self.longest / 2 / self.focal))


def pair_measures(step: int, matches: Matches, eye: _Eye) -> FramePairMeasures:
    """Return what moved between two frames.

    What a turn or a zoom explains is no parallax; what one motion of the camera does not explain moves by itself.
    """
    a, b = eye.rays(matches.earlier), eye.rays(matches.later)
    flow = float(np.median(np.linalg.norm(matches.later - matches.earlier, axis=1)))
    zoomed, turned = turn(a, b, eye.focal, zoom=True), turn(a, b, eye.focal, zoom=False)
    view = two_view(a, b, eye.focal)
    least = max(PARALLAX_PX, PARALLAX * eye.longest)
    explained = view.inliers if view is not None and view.inliers.any() else np.ones(len(a), bool)
    parallax = float(np.quantile(zoomed.left[explained], 0.75))
    if view is None:
        least = math.inf
    else:  # of points that moved more than a pixel by parallax, most are in front of both cameras; noise has any sign
        rho, shift = triangulated(view, a, b)
        judged = view.inliers & (shift * eye.focal > 1)
        if np.count_nonzero(judged) < FEWEST // 2 or (rho[judged] > 0).mean() < BEFORE:
            least = math.inf
    # What moves before a camera that stands or turns is not parallax: it moves by itself.
    if flow < MOVED and float(np.median(turned.left)) < MOVED:
        kind, moving = "still", float((turned.left > APART).mean())
    elif parallax > least:
        kind, moving = "parallax", 1 - float(explained.mean())
    else:
        beside_turn = float(np.median(zoomed.left)) / max(float(np.median(turned.left)), 1e-9)
        zooms = abs(zoomed.zoom) > ZOOMED and beside_turn < UNEXPLAINED
        kind, moving = "zoom" if zooms else "turn", float((zoomed.left > APART).mean())
    return FramePairMeasures(step, len(a), flow, parallax, zoomed.zoom, float(zoomed.angles[2]), moving, kind)


def suitable_step(usual: dict[int, float]) -> int:
    """Return the smallest step with enough parallax, or else the one with nearly the most."""
    most = max(usual.values())
    return next(step for step, parallax in usual.items() if parallax >= min(ENOUGH, 0.8 * most))


def focal_measure(probes: Sequence[Probe], step: int, eye: _Eye) -> FocalMeasure | None:
    """Measure the focal length by parallax; None where it is not enough.

    The motion between two frames explains points best with the right focal length, if the camera turns as it moves.
    """
    pairs = [probe[step] for probe in probes if len(probe[step].later) >= 2 * FEWEST]
    pairs = [m for m in pairs if pair_measures(step, m, eye).kind in ("parallax", "turn")]
    pairs = [pairs[round(k)] for k in np.linspace(0, len(pairs) - 1, min(len(pairs), 10))]
    if len(pairs) < 4:
        return None

    def explained(degrees: float) -> list[TwoView | None]:
        """Return the motion of each pair with that field of view."""
        other = eye.of_angle(degrees)
        return [two_view(other.rays(m.earlier), other.rays(m.later), other.focal) for m in pairs]

    def costs(views: list[TwoView | None]) -> list[float]:
        return [1.0 if view is None else view.error for view in views]

    table = np.array([costs(explained(degrees)) for degrees in ANGLES])  # angle, pair
    halves = [int(table[:, k::2].sum(1).argmin()) for k in (0, 1)]
    total = table.sum(1)
    best = int(total.argmin())
    if best in (0, len(ANGLES) - 1) or abs(halves[0] - halves[1]) > 2:
        return None
    low, middle, high = total[best - 1 : best + 2]
    angle = float(ANGLES[best] + (ANGLES[1] - ANGLES[0]) * (low - high) / 2 / max(low + high - 2 * middle, 1e-9))
    views = explained(angle)
    turned = [float(np.linalg.norm(cv2.Rodrigues(view.rotation)[0])) for view in views if view is not None]
    if not turned or float(np.median(turned)) < TURNED:
        return None
    worse = sum(costs(explained(eye.angle))) / max(sum(costs(views)), 1e-9)
    return FocalMeasure(angle, eye.angle, worse)


def _usual_parallax(probes: Sequence[Probe], step: int, eye: _Eye) -> float:
    """Return the mean parallax of a step as a share of the longer side; pairs that lost most points, or show none,
    count 0."""
    values = []
    for probe in probes[:: max(1, len(probes) // 6)]:
        matches = probe[step]
        enough = len(matches.later) >= max(FEWEST, 0.4 * len(probe[1].later))
        pair = pair_measures(step, matches, eye) if enough else None
        values.append(pair.parallax / eye.longest if pair is not None and pair.kind == "parallax" else 0.0)
    return float(np.mean(values)) if values else 0.0


def _pictures(sequences: Sequence[Sequence[Path]]) -> Iterator[tuple[Grey, int]]:
    """Yield the pictures of numbered sequences, small and grey, and the number of the part that they belong to: a
    sequence, or what follows a gap in it. Damaged ones are left out, which is logged; raises InputError if all are."""
    damaged, number = list[InputError](), 0
    for paths in sequences:
        number += 1
        for path in paths:
            try:
                image = read_image(path)
            except InputError as error:
                damaged.append(error)
                LOG.warning("left out: %s", error)
                number += 1
                continue
            yield grey_within(image, LONGEST), number
    if len(damaged) == sum(map(len, sequences)):
        raise damaged[0]


def _half(grey: Grey) -> UInt8[np.ndarray, "h2 w2"]:
    return cv2.resize(grey, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)


def _thumbnail(grey: Grey) -> Float[np.ndarray, "32 32"]:
    return cv2.resize(grey, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32)


def _unlike(before: Float[np.ndarray, "32 32"], after: Float[np.ndarray, "32 32"]) -> bool:
    """Return whether two thumbnails are hardly correlated: perhaps a new scene begins."""
    if min(before.std(), after.std()) < 1:
        return bool(abs(before.mean() - after.mean()) > 10)
    return bool(np.corrcoef(before.ravel(), after.ravel())[0, 1] < CORRELATED)


def _blurred(sharpness: Sequence[float]) -> tuple[int, ...]:
    """Return the numbers of the frames that are much less sharp than one nearby."""
    values = np.array(sharpness)
    return tuple(
        n for n in range(len(values)) if values[n] < BLURRED * values[max(0, n - NEIGHBOURS) : n + NEIGHBOURS + 1].max()
    )
