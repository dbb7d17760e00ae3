"""Measure a user's data set item by item: light, size, truth, how the points of a rectified pair move, whether picture
and depth of a panorama close and fit each other. `diagnose` turns the measures into advice."""

import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from cyclopean.data.base import Items, implausible, known_above_zero, usable_items
from cyclopean.data.files import FULL, Depth, Size, read_counts
from cyclopean.data.inspect_depth import FEWEST, Numbers, Points, edge_correlations, placement, ray_power
from cyclopean.errors import InputError
from cyclopean.geometry import Equirectangular, Pinhole, size_of
from cyclopean.io.decoding import read_header
from cyclopean.io.picture_files import has_several_pictures
from cyclopean.io.planes import Plane
from cyclopean.sample import OneImage, Sample, View, is_rectified

MATCHING_WIDTH = 1280  # pictures are shrunk to this width first: rows are judged relative to the width
FEATURES, RATIO, FAINT = 1500, 0.75, 0.02
DARK, CONSTANT = 0.04, 0.004  # mean and standard deviation of luma in [0,1]; 0.004 is one grey level of 256
ASIDE = 0.3  # sine of the angle to the baseline: points nearer to it hardly move
STEEP = math.radians(60)  # latitude beyond which columns crowd together
SURE_OF_SHIFT = 5.0  # deviations by which a correlation must stand out among all shifts
LEVEL = 1 / 255  # steps below are rounding
PATCHES = 16  # from pole to pole
BLANK = 0.01  # share of known pixels: below, a depth file of a panorama is worth nothing
BACKGROUND = 65504.0  # the largest half float: renderers write this or more (Blender 1e10) where there is nothing
UPENDED = 3  # EXIF's orientation: turned by 180 degrees
MIDDLE = 0.6  # of the sphere, by height, where light is compared with depth: not the lamp above, not the tripod below


@dataclass(frozen=True)
class PairMeasures:
    """A rectified pair: medians over its matches, in pixels as stored (NaN with less than `FEWEST` matches).

    `across`: disparity, positive where the source stands on the side of its pose; `down`: by how much the target
    shows a point lower than the source, signed; `rows`: the same without sign; `behind`: share of points more than a
    pixel on the wrong side; `lower`: rank correlation of disparity with the row (in most scenes what stands lower is
    nearer, which distinguishes a swap from a shift); `factor`: disparity over that of the true depth, NaN without
    truth; `same`: whether both pictures are one; `trend`: how `factor` grows from the centre to the corners, as a power
    of the distance along a pixel's ray over z (0 for depth that is z, 1 for that distance taken for z, NaN if the
    picture is too narrow, or the matches too few); `unusual`: what is implausible about the calibration, in words;
    `ahead`: share of points more than a pixel on the right side; `fit`: how disparities agree with the truth where they
    do not as they stand, a name of `FITS`; `ray`: distance along the ray over z at the points of `factor`.
    """

    matches: int
    across: float
    down: float
    rows: float
    behind: float
    lower: float
    factor: float
    same: bool
    trend: float = math.nan
    unusual: str = ""
    ahead: float = 1.0
    fit: str = ""
    ray: float = 1.0


@dataclass(frozen=True)
class SourceMeasures:
    """A source of a panorama whose place is known: medians over matches, in pixels of longitude at the equator (NaN
    with fewer than `FEWEST` matches).

    `along`: by how much points move the way of the pose; `off`: how far they land beside that way, without sign;
    `behind`: share that moves the other way by more than a pixel; `factor`: motion over that of the true depth, NaN
    without truth; `vertical`: whether the source stands above or below; `elsewhere`: the least `off` if it stood where
    another source stands, NaN if there is none.
    """

    matches: int
    along: float
    off: float
    behind: float
    factor: float
    vertical: bool
    elsewhere: float = math.nan


@dataclass(frozen=True)
class PanoramaMeasures:
    """One panorama: its sources, its edges, and its depth (NaN where there is none, or too little of it).

    `seam`: the step from the last column to the first over the 95th percentile of steps between neighbours (medians
    over rows), of the picture; `roll`: columns by which the depth's edges lie right of the picture's; `clipped`: share
    of known depths that are exactly the largest one; `below`: how far the lowest things lie below the camera (the
    floor), in metres; `glow`: rank correlation of brightness with closeness; `blank`: whether there is a depth file in
    which hardly a pixel is known.
    """

    pairs: tuple[SourceMeasures, ...]
    seam: float
    roll: float
    clipped: float
    below: float
    glow: float
    blank: bool = False


@dataclass(frozen=True)
class Measures:
    """One item: size (height, width), mean and deviation of luma of each view, its pair, the truth as (share of pixels
    known, nearest, median, farthest finite depth), what is measured of a panorama besides, whether there is a depth
    file of which no number is above 0, the shares of pixels whose depth is the largest count of a 16-bit file, and
    that are infinitely far, whether EXIF turns all pictures by 180 degrees, how edges of depth and picture correlate,
    as by `edge_correlations` (none for panoramas), and whether a picture's file holds more than the picture used."""

    name: str
    size: Size
    light: tuple[tuple[float, float], ...]
    pair: PairMeasures | None
    truth: tuple[float, float, float, float] | None
    sphere: PanoramaMeasures | None = None
    blank: bool = False
    saturated: float = 0.0
    sky: float = 0.0
    upended: bool = False
    placements: tuple[float, ...] = ()
    several: bool = False

    @property
    def constant(self) -> bool:
        """Return whether a view shows one colour only."""
        return any(deviation < CONSTANT for _, deviation in self.light)

    @property
    def dark(self) -> bool:
        """Return whether a view is nearly black, and shows something all the same."""
        return any(mean < DARK and deviation >= CONSTANT for mean, deviation in self.light)


@dataclass(frozen=True)
class Inspection:
    """The measures of a data set: number of items, a sentence for each damaged one, and the items measured."""

    name: str
    items: int
    damaged: tuple[str, ...]
    measured: tuple[Measures, ...]


def examine(name: str, data: Items, most: int, progress: Callable[[Sequence[int]], Iterable[int]] = iter) -> Inspection:
    """Check the headers of all files; then measure the pixels of up to `most` sound items, evenly spread, each of whose
    pictures must decode without complaint. `progress` wraps what is walked over, for a bar."""
    good, damaged = usable_items(data)
    step = max(1.0, len(good) / most)
    measured = []
    for index in progress([good[int(n * step)] for n in range(min(most, len(good)))]):
        try:
            files = data.files(index)
            sample, filed = data[index], data.filed_depth(index)
            if filed is not None:  # what renderers put into gaps is unknown
                filed = known_above_zero(filed)
                filed = torch.where(filed < BACKGROUND, filed, torch.nan)
            full = _saturated(files.others, sample.depth if filed is None else filed)
            sample = replace(sample, depth=torch.where(full, torch.nan, sample.depth))
            item = measure(sample, None if filed is None else torch.where(full, torch.nan, filed))
            upended = all(read_header(path).orientation == UPENDED for path in files.pictures)
            several = any(has_several_pictures(path) for path in files.pictures)
            measured.append(replace(item, saturated=float(full.float().mean()), upended=upended, several=several))
        except InputError as error:
            damaged.append(str(error))
    return Inspection(name, len(data), tuple(damaged), tuple(measured))


def _saturated(paths: Iterable[Path], depth: Depth) -> Bool[Tensor, "1 1 h w"]:
    """Return where a picture among `paths` gives the largest count of 16 bits as a known depth."""
    full = torch.zeros_like(depth, dtype=torch.bool)
    for path in paths:
        if path.suffix.lower() == ".png":
            with suppress(InputError):  # of 8 bits, or of colours: a mask
                counts = read_counts(path, 16)
                if counts.shape == depth.shape:
                    full |= (counts == FULL) & ~depth.isnan()
    return full


def measure(sample: Sample, filed: Depth | None = None) -> Measures:
    """Measure one item; `filed` is the depth of its file, if it is known apart.

    It takes the place of the sample's own where that lacks most of it: in a wrong unit everything lies too far.
    """
    if filed is not None and 2 * sample.depth.isfinite().sum() < filed.isfinite().sum():
        sample = replace(sample, depth=filed)
    planes = [grey(v.image) for v in (sample.target, *sample.sources)]
    light = tuple((float(plane.mean()), float(plane.std())) for plane in planes)
    source = next((s for s in sample.sources if is_rectified(sample.target, s)), None)
    pair = None if source is None else measure_pair(sample, source)
    panorama = measure_panorama(sample, filed)
    blank = panorama is None and filed is not None and not bool((filed > 0).any())
    known = sample.depth[~sample.depth.isnan()]
    finite, truth = known[known.isfinite()], None
    if len(finite):
        share = len(known) / sample.depth.numel()
        truth = share, float(finite.min()), float(finite.median()), float(finite.max())
    name = sample.name[0] if sample.name else ""
    sky = float(sample.depth.isposinf().float().mean())
    placements = () if panorama else edge_correlations(planes[0], sample.depth[0, 0].numpy())
    return Measures(name, size_of(sample.depth), light, pair, truth, panorama, blank, sky=sky, placements=placements)


def grey(image: OneImage) -> Float[np.ndarray, "h w"]:
    """Return luma in [0,1]."""
    return np.tensordot(np.array([0.299, 0.587, 0.114], np.float32), image[0].numpy(), 1)


def match(target: OneImage, source: OneImage) -> tuple[Points, Points]:
    """Match SIFT features (Lowe 2004) that choose each other and have no near rival; any shift is found, either way.

    Returns pixels of the target as it is stored: where the points are (x, y), counted from the picture's corner, and by
    how much each lies further left and further up in the source. Where repeated patterns or noise match by chance,
    shifts up and down scatter: those more than 5 median deviations, and 3 pixels, from the median are dropped.
    """
    scale = max(1.0, target.shape[-1] / MATCHING_WIDTH)
    sift = cv2.SIFT.create(FEATURES, contrastThreshold=FAINT)
    points, codes = [], []
    for image in (target, source):
        plane = grey(image)
        if scale > 1:
            height, width = plane.shape
            plane = cv2.resize(plane, (round(width / scale), round(height / scale)), interpolation=cv2.INTER_AREA)
        features, code = sift.detectAndCompute(np.rint(plane * 255).astype(np.uint8), None)
        if len(features) < 2:
            return np.zeros((0, 2)), np.zeros((0, 2))
        points.append(np.array([feature.pt for feature in features], np.float64).reshape(-1, 2))
        codes.append(code)

    def best(codes: np.ndarray, others: np.ndarray) -> dict[int, int]:
        """Return the nearest of `others` to each code, where the second is clearly worse."""
        two = cv2.BFMatcher(cv2.NORM_L2).knnMatch(codes, others, 2)
        return {a.queryIdx: a.trainIdx for a, b in two if a.distance < RATIO * b.distance}

    forth, back = best(codes[0], codes[1]), best(codes[1], codes[0])
    pairs = [(n, m) for n, m in forth.items() if back.get(m) == n]
    at = np.array([points[0][n] for n, _ in pairs]).reshape(-1, 2)
    shift = at - np.array([points[1][m] for _, m in pairs]).reshape(-1, 2)
    if len(at):
        away = np.abs(shift[:, 1] - np.median(shift[:, 1]))
        kept = away <= max(3.0, 5 * float(np.median(away)))
        at, shift = at[kept], shift[kept]
    return (at + 0.5) * scale, shift * scale


def spearman(x: Numbers, y: Numbers) -> float:
    """Return Spearman's rank correlation, ties sharing their middle; NaN where one does not vary."""
    if not (np.ptp(x) and np.ptp(y)):
        return math.nan
    ranks = []
    for values in (x, y):
        _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
        ranks.append((counts.cumsum() - (counts - 1) / 2)[inverse].astype(np.float64))
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def measure_pair(sample: Sample, source: View) -> PairMeasures:
    """Compare matches with the rig: which side the source stands on, where infinity lies, and the true depth."""
    at, shift = match(sample.target.image, source.image)
    same = source.image.shape == sample.target.image.shape and torch.equal(source.image, sample.target.image)
    here, there, pose = sample.target.camera, source.camera, source.from_target
    assert isinstance(here, Pinhole)
    assert isinstance(there, Pinhole)
    assert pose is not None
    height, width = size_of(sample.depth)
    unusual = implausible(here, float(pose[0, 0, 3]), width)
    if len(at) < FEWEST:
        return PairMeasures(len(at), *(math.nan,) * 6, same, unusual=unusual)
    apart = ((there.center - here.center)[0] * torch.tensor([width, height])).numpy()
    disparity, down = (shift + apart).T
    disparity = disparity if pose[0, 0, 3] < 0 else -disparity
    # true inverse depth; where a pixel has none (laser scans are sparse), the nearest within two pixels, else 0
    rho = torch.where(sample.depth > 0, 1 / sample.depth, 0)
    rho = torch.where(sample.depth.isnan(), F.max_pool2d(rho, 5, 1, 2), rho)
    column, row = np.clip(at.astype(int), 0, (width - 1, height - 1)).T
    strength = width * float(here.focal[0, 0] * pose[0, 0, 3].abs())
    expected = strength * rho[0, 0].numpy()[row, column].astype(np.float64)
    lower = spearman(disparity, at[:, 1])
    # The median of disparity over what the truth expects, where that is more than two pixels. In a wrong unit it may be
    # next to none: what counts then is the truth times the ratio of both medians. Points are chosen by the truth alone:
    # of those chosen by their matches too, matches that are off to one side would be more.
    place = at / (width, height)
    # the distance along the ray over z, 1 at the principal point
    x, y = ((place - here.center[0].numpy()) / here.focal[0].numpy()).T
    along = np.sqrt(1 + x**2 + y**2)
    known, factor, ray = expected > 0, math.nan, 1.0
    if known.sum() >= FEWEST:
        rough = float(np.median(disparity[known]) / np.median(expected[known]))
        known &= expected * max(rough, 1.0) > 2
        if known.sum() >= FEWEST:
            factor, ray = float(np.median(disparity[known] / expected[known])), float(np.median(along[known]))
    return PairMeasures(
        len(at),
        float(np.median(disparity)),
        float(np.median(down)),
        float(np.median(np.abs(down))),
        float(np.mean(disparity < -1)),
        0.0 if math.isnan(lower) else lower,
        factor,
        same,
        ray_power(disparity, expected, along, place),
        unusual,
        float(np.mean(disparity > 1)),
        placement(disparity, strength * rho[0, 0].numpy().astype(np.float64), row, column),
        ray,
    )


def measure_panorama(sample: Sample, filed: Depth | None = None) -> PanoramaMeasures | None:
    """Measure a panorama; None for other cameras. `filed` is the depth of its file, if it has one."""
    if not isinstance(sample.target.camera, Equirectangular):
        return None
    depth, light = sample.depth[0, 0].numpy().astype(np.float64), grey(sample.target.image).astype(np.float64)
    sources, ways = [], []  # sources that stand elsewhere, turned like the target; where they see the target's centre
    for source in sample.sources:
        pose = source.from_target
        if pose is None or not isinstance(source.camera, Equirectangular):
            continue
        if torch.allclose(pose[0, :3, :3], torch.eye(3), atol=1e-5) and pose[0, :3, 3].norm() > 0:
            sources.append(source)
            ways.append(pose[0, :3, 3].numpy().astype(np.float64))
    pairs = []
    for k, source in enumerate(sources):
        matches = match(sample.target.image, source.image)
        others = [_measure_source(sample, matches, way).off for way in ways[:k] + ways[k + 1 :]]
        elsewhere = min(others, default=math.nan)
        pairs.append(replace(_measure_source(sample, matches, ways[k]), elsewhere=elsewhere))
    known = depth[np.isfinite(depth)]
    clipped = float((known == known.max()).mean()) if known.size else math.nan
    # how far below the camera the lowest known things lie, leaving out the lowest twentieth
    height = len(depth)
    sine = -np.sin((0.5 - (np.arange(height) + 0.5) / height) * math.pi)[:, None]
    down = (np.where(np.isfinite(depth), depth, np.nan) * sine)[height // 2 :]
    down = down[np.isfinite(down)]
    below = float(np.quantile(down, 0.95)) if down.size > 0.2 * depth.size / 2 else math.nan
    blank = filed is not None and float(filed.isfinite().float().mean()) < BLANK
    seam, roll = seam_step(light), roll_of(light, depth)
    return PanoramaMeasures(tuple(pairs), seam, roll, clipped, below, glow(light, depth), blank)


def seam_step(light: Plane) -> float:
    """Return how the step over the seam compares with the larger ones of all steps between columns.

    Medians over rows: a corner or a pillar that happens to stand there ends somewhere, a cut goes from pole to pole.
    """
    steps = np.median(np.abs(light - np.roll(light, 1, 1)), axis=0)
    return float(steps[0] / max(float(np.quantile(steps[1:], 0.95)), LEVEL))


def roll_of(light: Plane, depth: Plane) -> float:
    """Return by how many columns the depth must be rolled left for its edges to meet the picture's; NaN where no shift
    stands out. Edges across columns between 60 degrees south and north, compared at every shift at once (Fourier)."""
    height, width = light.shape
    latitude = (0.5 - (np.arange(height) + 0.5) / height) * math.pi
    rows = np.abs(latitude) < STEEP
    finite = np.isfinite(depth) & (depth > 0)
    steps = np.abs(np.diff(np.log(np.where(finite, depth, 1)), axis=1, append=np.nan))
    steps = np.where(finite & np.roll(finite, -1, 1), np.nan_to_num(steps), 0)[rows]
    edges = np.abs(np.diff(light, axis=1, append=light[:, :1]))[rows]
    if not steps.any() or not edges.any():
        return math.nan
    edges, steps = (np.minimum(x, np.quantile(x, 0.98) or x.max()) for x in (edges, steps))
    edges, steps = edges - edges.mean(1, keepdims=True), steps - steps.mean(1, keepdims=True)
    fits = np.fft.irfft(np.fft.rfft(steps) * np.conj(np.fft.rfft(edges)), n=width).sum(0)
    best = int(fits.argmax())
    if fits[best] - fits.mean() < SURE_OF_SHIFT * fits.std():
        return math.nan
    return float(best - width if best > width // 2 else best)


def glow(light: Plane, depth: Plane) -> float:
    """Return Spearman's correlation of brightness and closeness around the horizon, NaN without enough known depth.

    A light at the camera falls on what is near by the square of the distance: brightness then gives depth away.
    Averages of `PATCHES` rows of patches (texture does not matter here); a remainder at the lower and right edge is
    left out.
    """
    side = max(1, len(light) // PATCHES)
    patches = []
    for values in (light, -np.log(np.where(np.isfinite(depth) & (depth > 0), depth, np.nan))):
        band = values[round(len(values) * (1 - MIDDLE) / 2) : round(len(values) * (1 + MIDDLE) / 2)]
        rows, columns = (length // side for length in band.shape)
        patches.append(band[: rows * side, : columns * side].reshape(rows, side, columns, side).mean((1, 3)))
    bright, near = patches
    known = np.isfinite(near)
    return spearman(bright[known], near[known]) if known.mean() >= 0.2 else math.nan


def _measure_source(sample: Sample, matches: tuple[Points, Points], way: Float[np.ndarray, "3"]) -> SourceMeasures:
    """Compare matches with the true depth and with a source that sees the target's centre at `way`, metres, where
    points move to: rays, not pixels, so that seam and poles are like any place."""
    vertical = bool(abs(way[1]) > abs(way[0]) + abs(way[2]))
    at, shift = matches
    if len(at) < FEWEST:
        return SourceMeasures(len(at), math.nan, math.nan, math.nan, math.nan, vertical)
    height, width = size_of(sample.depth)
    rays, moved = (
        Equirectangular().rays(torch.from_numpy(points / (width, height))[None, None])[0, 0].numpy()
        for points in (at, at - shift)
    )
    towards = way / np.linalg.norm(way)
    ahead = towards - (rays @ towards)[:, None] * rays
    sine = np.linalg.norm(ahead, axis=1)
    kept = sine > ASIDE
    rays, moved, ahead, at = rays[kept], moved[kept], (ahead / sine[:, None])[kept], at[kept]
    pixels = width / (2 * math.pi)
    motion = (moved * ahead).sum(1) * pixels
    off = (moved * np.cross(rays, ahead)).sum(1) * pixels
    # the motion that the true depth expects, 0 where it is not known
    column, row = np.clip(at.astype(int), 0, (width - 1, height - 1)).T
    radius = sample.depth[0, 0].numpy()[row, column].astype(np.float64)
    known = np.isfinite(radius) & (radius > 0)
    true = np.where(known, radius, 1)[:, None] * rays + way
    true /= np.linalg.norm(true, axis=1, keepdims=True)
    expected = np.where(known, (true * ahead).sum(1), 0) * pixels
    known = (expected > 0) & (np.maximum(motion, expected) > 2)
    factor = float(np.median(motion[known] / expected[known])) if known.sum() >= FEWEST else math.nan
    return SourceMeasures(
        len(matches[0]),
        float(np.median(motion)),
        float(np.median(np.abs(off))),
        float(np.mean(motion < -1)),
        factor,
        vertical,
    )
