"""Looking at panoramas before training: whether picture and depth close, fit each other and the rig, and whether light
gives depth away."""

import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from cyclopean.data.base import Items, Matches, grey, implausible, match, sound
from cyclopean.data.files import check_decoded, read_counts
from cyclopean.errors import InputError
from cyclopean.geometry import Equirectangular, Pinhole
from cyclopean.sample import Sample, View

FEWEST = 20  # matches that judge a pair
ASIDE = 0.3  # sine of the angle to the baseline: points nearer to it hardly move
STEEP = math.radians(60)  # latitude beyond which columns crowd together
SURE_OF_SHIFT = 5.0  # deviations by which a correlation must stand out among all shifts
LEVEL = 1 / 255  # steps below are rounding
PATCHES = 16  # from pole to pole
BLANK = 0.01  # share of known pixels: below, a depth file tells nothing
BACKGROUND = 65504.0  # the largest half float: renderers write this or more (Blender 1e10) where there is nothing
MIDDLE = 0.6  # of the sphere, by height, where light is compared with depth: not the lamp above, not the tripod below


@dataclass(frozen=True)
class SpherePair:
    """A source whose place is known: medians over matches, in pixels of longitude at the equator (NaN with fewer than
    `FEWEST` matches).

    `along`: by how much points move the way that the pose says; `off`: how far they land beside that way, without sign;
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
class Sphere:
    """One panorama: its sources, its edges, and its depth (NaN where there is none, or nothing to tell by).

    `seam`: the step from the last column to the first over the 95th percentile of steps between neighbours (medians
    over rows), of the picture; `roll`: columns by which the depth's edges lie right of the picture's; `clipped`: share
    of known depths that are exactly the largest one; `below`: how far the lowest things lie below the camera (the
    floor), in metres; `glow`: rank correlation of brightness with nearness; `blank`: whether there is a depth file that
    knows hardly a pixel.
    """

    pairs: tuple[SpherePair, ...]
    seam: float
    roll: float
    clipped: float
    below: float
    glow: float
    blank: bool = False


@runtime_checkable
class Filed(Protocol):
    """Panoramas with files of depth, of which a sample may lack what lies too far to count."""

    def filed_depth(self, index: int) -> Float[Tensor, "1 1 h w"] | None:
        """The depth of item `index` as its file has it, metres, NaN where unknown; None without a file."""
        ...


def filed_depth(data: object, index: int) -> Float[Tensor, "1 1 h w"] | None:
    """The file's depth of an item, None if there is none or nobody tells; what renderers put into gaps is unknown."""
    depth = data.filed_depth(index) if isinstance(data, Filed) else None
    return None if depth is None else torch.where((depth > 0) & (depth < BACKGROUND), depth, torch.nan)


def judged_by(sample: Sample, filed: Float[Tensor, "1 1 h w"] | None) -> Sample:
    """`sample`, with the file's depth where its own lacks most of that: in a wrong unit everything lies too far."""
    if filed is None or 2 * sample.depth.isfinite().sum() >= filed.isfinite().sum():
        return sample
    return replace(sample, depth=filed)


def look_around(sample: Sample, filed: Float[Tensor, "1 1 h w"] | None = None) -> Sphere | None:
    """What a panorama tells; None for other cameras. `filed` is the depth of its file, if it has one."""
    if not isinstance(sample.target.camera, Equirectangular):
        return None
    depth, light = sample.depth[0, 0].numpy().astype(np.float64), grey(sample.target.image).astype(np.float64)
    pairs = _pairs(sample)
    known = depth[np.isfinite(depth)]
    clipped = float((known == known.max()).mean()) if known.size else math.nan
    blank = filed is not None and float(filed.isfinite().float().mean()) < BLANK
    return Sphere(pairs, seam_step(light), roll_of(light, depth), clipped, _below(depth), glow(light, depth), blank)


def seam_step(light: Float[np.ndarray, "h w"]) -> float:
    """How the step over the seam compares with the larger ones of all steps between columns.

    Medians over rows: a corner or a pillar that happens to stand there ends somewhere, a cut goes from pole to pole.
    """
    steps = np.median(np.abs(light - np.roll(light, 1, 1)), axis=0)
    return float(steps[0] / max(float(np.quantile(steps[1:], 0.95)), LEVEL))


def roll_of(light: Float[np.ndarray, "h w"], depth: Float[np.ndarray, "h w"]) -> float:
    """By how many columns the depth must be rolled left for its edges to meet the picture's; NaN where no shift stands
    out. Edges across columns between 60 degrees south and north, compared at every shift at once (Fourier)."""
    height, width = light.shape
    latitude = (0.5 - (np.arange(height) + 0.5) / height) * math.pi
    rows = np.abs(latitude) < STEEP
    finite = np.isfinite(depth) & (depth > 0)
    steps = np.abs(np.diff(np.log(np.where(finite, depth, 1)), axis=1, append=np.nan))
    steps = np.where(finite & np.roll(finite, -1, 1), np.nan_to_num(steps), 0)[rows]
    edges = np.abs(np.diff(light, axis=1, append=light[:, :1]))[rows]
    if not steps.any() or not edges.any():
        return math.nan
    ours, theirs = (np.minimum(x, np.quantile(x, 0.98) or x.max()) for x in (edges, steps))
    ours, theirs = ours - ours.mean(1, keepdims=True), theirs - theirs.mean(1, keepdims=True)
    fits = np.fft.irfft(np.fft.rfft(theirs) * np.conj(np.fft.rfft(ours)), n=width).sum(0)
    best = int(fits.argmax())
    if fits[best] - fits.mean() < SURE_OF_SHIFT * fits.std():
        return math.nan
    return float(best - width if best > width // 2 else best)


def glow(light: Float[np.ndarray, "h w"], depth: Float[np.ndarray, "h w"]) -> float:
    """Spearman's correlation of brightness and nearness around the horizon, NaN without enough known depth.

    A light at the camera falls on what is near by the square of the distance: brightness then tells depth. Averages of
    `PATCHES` rows of patches, since texture says nothing of it.
    """
    near = -np.log(np.where(np.isfinite(depth) & (depth > 0), depth, np.nan))
    bright, near = _patches(light), _patches(near)
    known = np.isfinite(near)
    if known.mean() < 0.2 or not (np.ptp(bright[known]) and np.ptp(near[known])):
        return math.nan
    return float(np.corrcoef(_ranks(bright[known]), _ranks(near[known]))[0, 1])


def _patches(values: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "rows columns"]:
    """Averages around the horizon; a remainder at the lower and right edge is left out."""
    height = len(values)
    side = max(1, height // PATCHES)
    band = values[round(height * (1 - MIDDLE) / 2) : round(height * (1 + MIDDLE) / 2)]
    rows, columns = (length // side for length in band.shape)
    return band[: rows * side, : columns * side].reshape(rows, side, columns, side).mean((1, 3))


def _ranks(values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Ranks, ties sharing their middle."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (counts.cumsum() - (counts - 1) / 2)[inverse].astype(np.float64)


def _below(depth: Float[np.ndarray, "h w"]) -> float:
    """How far below the camera the lowest known things lie, leaving out the lowest twentieth."""
    height = len(depth)
    sine = -np.sin((0.5 - (np.arange(height) + 0.5) / height) * math.pi)[:, None]
    down = (np.where(np.isfinite(depth), depth, np.nan) * sine)[height // 2 :]
    down = down[np.isfinite(down)]
    return float(np.quantile(down, 0.95)) if down.size > 0.2 * depth.size / 2 else math.nan


def _stands(source: View) -> bool:
    """Whether the source is a panorama that stands elsewhere, turned like the target."""
    pose = source.from_target
    if pose is None or not isinstance(source.camera, Equirectangular):
        return False
    return bool(torch.allclose(pose[0, :3, :3], torch.eye(3), atol=1e-5) and pose[0, :3, 3].norm() > 0)


def _pairs(sample: Sample) -> tuple[SpherePair, ...]:
    """Each source with a place, judged by its own pose and by those of the others."""
    sources = [source for source in sample.sources if _stands(source)]
    ways = [_way(source) for source in sources]
    pairs = []
    for k, source in enumerate(sources):
        found = match(sample.target.image, source.image)
        others = [_judge(sample, found, way).off for way in ways[:k] + ways[k + 1 :]]
        pairs.append(replace(_judge(sample, found, ways[k]), elsewhere=min(others, default=math.nan)))
    return tuple(pairs)


def _way(source: View) -> Float[np.ndarray, "3"]:
    """The target's centre as the source sees it, metres: points move that way."""
    assert source.from_target is not None
    return source.from_target[0, :3, 3].numpy().astype(np.float64)


def _judge(sample: Sample, found: Matches, way: Float[np.ndarray, "3"]) -> SpherePair:
    """Compare matches with the rig and the true depth: rays, not pixels, so that seam and poles are like any place."""
    vertical = bool(abs(way[1]) > abs(way[0]) + abs(way[2]))
    if len(found) < FEWEST:
        return SpherePair(len(found), math.nan, math.nan, math.nan, math.nan, vertical)
    height, width = sample.depth.shape[-2:]
    rays, seen = _rays(found.at, (height, width)), _rays(found.at - found.shift, (height, width))
    towards = way / np.linalg.norm(way)
    ahead = towards - (rays @ towards)[:, None] * rays
    sine = np.linalg.norm(ahead, axis=1)
    kept = sine > ASIDE
    rays, seen, ahead = rays[kept], seen[kept], (ahead / sine[:, None])[kept]
    pixels = width / (2 * math.pi)
    motion = (seen * ahead).sum(1) * pixels
    off = (seen * np.cross(rays, ahead)).sum(1) * pixels
    expected = _expected(sample.depth, found.at[kept], rays, ahead, way) * pixels
    return SpherePair(
        len(found),
        float(np.median(motion)),
        float(np.median(np.abs(off))),
        float(np.mean(motion < -1)),
        _motion_factor(motion, expected),
        vertical,
    )


def _rays(at: Float[np.ndarray, "n 2"], size: tuple[int, int]) -> Float[np.ndarray, "n 3"]:
    """Unit rays of points in pixels, counted from the corner."""
    uv = torch.from_numpy(at / (size[1], size[0]))[None, None]
    return Equirectangular().rays(uv)[0, 0].numpy()


def _expected(
    depth: Float[Tensor, "1 1 h w"],
    at: Float[np.ndarray, "n 2"],
    rays: Float[np.ndarray, "n 3"],
    ahead: Float[np.ndarray, "n 3"],
    way: Float[np.ndarray, "3"],
) -> Float[np.ndarray, " n"]:
    """Sine of the angle by which the true depth says that points move; 0 where it is not known."""
    height, width = depth.shape[-2:]
    column, row = np.clip(at.astype(int), 0, (width - 1, height - 1)).T
    radius = depth[0, 0].numpy()[row, column].astype(np.float64)
    known = np.isfinite(radius) & (radius > 0)
    moved = np.where(known, radius, 1)[:, None] * rays + way
    moved /= np.linalg.norm(moved, axis=1, keepdims=True)
    return np.where(known, (moved * ahead).sum(1), 0)


def _motion_factor(motion: Float[np.ndarray, " n"], expected: Float[np.ndarray, " n"]) -> float:
    """Median of the motion over what the truth says, where one of them is more than two pixels."""
    known = (expected > 0) & (np.maximum(motion, expected) > 2)
    return float(np.median(motion[known] / expected[known])) if known.sum() >= FEWEST else math.nan


DARK, CONSTANT = 0.04, 0.004  # mean and standard deviation of luma in [0,1]; 0.004 is one grey level of 256
FULL = 65535  # the largest count of 16 bits
STRAIGHT, SURE = 0.5, 3.0  # a power of the angle below is none; it must be known to so many of its own deviations


@dataclass(frozen=True)
class Pair:
    """A rectified pair: medians over its matches, in pixels as stored (NaN with less than `FEWEST` matches).

    `across`: disparity, positive where the source stands on the side that its pose says; `down`: by how much the target
    shows a point lower than the source, signed; `rows`: the same without sign; `behind`: share of points more than a
    pixel on the wrong side; `lower`: rank correlation of disparity with the row (in most scenes what stands lower is
    nearer, so that it tells a swap from a shift); `factor`: disparity over that of the true depth, NaN without truth;
    `same`: whether both pictures are one; `trend`: how `factor` grows from the centre to the corners, as a power of
    the distance along a pixel's ray over z (0 for depth that is z, 1 for that distance taken for z, NaN if the picture
    is too narrow, or the matches too few, to tell); `unusual`: what is implausible about the calibration, in words.
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


@dataclass(frozen=True)
class Look:
    """One item: size (height, width), mean and deviation of luma of each view, its pair, the truth as (share of pixels
    known, nearest, median, farthest finite depth), what a panorama tells besides, whether there is a depth file of
    which no number is above 0, and the share of pixels whose depth is the largest count of a 16-bit file."""

    name: str
    size: tuple[int, int]
    light: tuple[tuple[float, float], ...]
    pair: Pair | None
    truth: tuple[float, float, float, float] | None
    sphere: Sphere | None = None
    blank: bool = False
    saturated: float = 0.0

    @property
    def constant(self) -> bool:
        """Whether a view shows one colour only."""
        return any(deviation < CONSTANT for _, deviation in self.light)

    @property
    def dark(self) -> bool:
        """Whether a view is nearly black, and shows something all the same."""
        return any(mean < DARK and deviation >= CONSTANT for mean, deviation in self.light)


@dataclass(frozen=True)
class Seen:
    """What is known of a data set: its number of items, a sentence for each that is damaged, and those looked at."""

    name: str
    items: int
    damaged: tuple[str, ...]
    looks: tuple[Look, ...]


def examine(name: str, data: Items, most: int, shown: Callable[[Sequence[int]], Iterable[int]] = iter) -> Seen:
    """Headers of all files; then the pixels of up to `most` sound items, evenly spread, each of whose pictures must
    decode without complaint. `shown` wraps what is walked over, for a progress bar."""
    good, damaged = sound(data)
    step = max(1.0, len(good) / most)
    chosen = [good[int(n * step)] for n in range(min(most, len(good)))]
    looks = []
    for index in shown(chosen):
        try:
            files = data.files(index)
            for path in (*files.pictures, *files.others):
                check_decoded(path)
            sample, filed = data[index], filed_depth(data, index)
            full = _saturated(files.others, sample.depth if filed is None else filed)
            sample = replace(sample, depth=torch.where(full, torch.nan, sample.depth))
            seen = look(sample, None if filed is None else torch.where(full, torch.nan, filed))
            looks.append(replace(seen, saturated=float(full.float().mean())))
        except InputError as error:
            damaged.append(str(error))
    return Seen(name, len(data), tuple(damaged), tuple(looks))


def _saturated(paths: Iterable[Path], depth: Float[Tensor, "1 1 h w"]) -> Bool[Tensor, "1 1 h w"]:
    """Where a picture among `paths` gives the largest count of 16 bits as a known depth."""
    full = torch.zeros_like(depth, dtype=torch.bool)
    for path in paths:
        if path.suffix.lower() == ".png":
            with suppress(InputError):  # of 8 bits, or of colours: a mask
                counts = read_counts(path, 16)
                if counts.shape == depth.shape:
                    full |= (counts == FULL) & ~depth.isnan()
    return full


def look(sample: Sample, filed: Float[Tensor, "1 1 h w"] | None = None) -> Look:
    """Everything that one item can tell; `filed` is the depth of its file, if it is known apart."""
    sample = judged_by(sample, filed)
    light = []
    for v in (sample.target, *sample.sources):
        plane = grey(v.image)
        light.append((float(plane.mean()), float(plane.std())))
    source = next((s for s in sample.sources if is_rectified(sample.target, s)), None)
    pair = None if source is None else judge_pair(sample, source, match(sample.target.image, source.image))
    height, width = sample.depth.shape[-2:]
    name, around = sample.name[0] if sample.name else "", look_around(sample, filed)
    blank = around is None and filed is not None and not bool((filed > 0).any())
    return Look(name, (height, width), tuple(light), pair, _truth(sample.depth), around, blank)


def is_rectified(target: View, source: View) -> bool:
    """Whether points move along rows only: two pinholes of one focal length, side by side and parallel."""
    here, there, pose = target.camera, source.camera, source.from_target
    if pose is None or not isinstance(here, Pinhole) or not isinstance(there, Pinhole):
        return False
    sideways = torch.eye(4)
    sideways[0, 3] = pose[0, 0, 3]
    return (
        bool(pose[0, 0, 3] != 0)
        and torch.allclose(pose[0], sideways, atol=1e-5)
        and torch.allclose(here.focal, there.focal)
    )


def judge_pair(sample: Sample, source: View, matches: Matches) -> Pair:
    """Compare matches with the rig: which side the source stands on, where infinity lies, and the true depth."""
    same = source.image.shape == sample.target.image.shape and torch.equal(source.image, sample.target.image)
    here, there, pose = sample.target.camera, source.camera, source.from_target
    assert isinstance(here, Pinhole)
    assert isinstance(there, Pinhole)
    assert pose is not None
    height, width = sample.depth.shape[-2:]
    unusual = implausible(here, float(pose[0, 0, 3]), width)
    if len(matches) < FEWEST:
        return Pair(len(matches), *(math.nan,) * 6, same, unusual=unusual)
    apart = ((there.center - here.center)[0] * torch.tensor([width, height])).numpy()
    disparity, down = (matches.shift + apart).T
    disparity = disparity if pose[0, 0, 3] < 0 else -disparity
    strength = width * float(here.focal[0, 0] * pose[0, 0, 3].abs())
    expected = strength * _rho_at(sample.depth, matches.at)
    return Pair(
        len(matches),
        float(np.median(disparity)),
        float(np.median(down)),
        float(np.median(np.abs(down))),
        float(np.mean(disparity < -1)),
        _rank_correlation(disparity, matches.at[:, 1]),
        _factor(disparity, expected),
        same,
        _trend(disparity, expected, _along(here, matches.at, (height, width))),
        unusual,
    )


def _rank_correlation(x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]) -> float:
    """Spearman's; 0 where one does not vary."""
    if not (np.ptp(x) and np.ptp(y)):
        return 0.0
    first, second = (np.argsort(np.argsort(values)) - (len(values) - 1) / 2 for values in (x, y))
    return float((first * second).sum() / (first * first).sum())


def _rho_at(depth: Float[Tensor, "1 1 h w"], at: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, " n"]:
    """True inverse depth at points; where a pixel has none (laser scans are sparse), the nearest within two pixels; 0
    where there is none either."""
    height, width = depth.shape[-2:]
    rho = torch.where(depth > 0, 1 / depth, 0)
    rho = torch.where(depth.isnan(), F.max_pool2d(rho, 5, 1, 2), rho)
    column, row = np.clip(at.astype(int), 0, (width - 1, height - 1)).T
    return rho[0, 0].numpy()[row, column].astype(np.float64)


def _factor(disparity: Float[np.ndarray, " n"], expected: Float[np.ndarray, " n"]) -> float:
    """Median of disparity over what the truth says, where the truth means more than two pixels.

    In a wrong unit it may mean next to none: what counts then is the truth times the ratio of both medians. Points are
    chosen by the truth alone: of those chosen by their matches too, matches that are off to one side would be more.
    """
    known = expected > 0
    if known.sum() < FEWEST:
        return math.nan
    rough = float(np.median(disparity[known]) / np.median(expected[known]))
    known &= expected * max(rough, 1.0) > 2
    return float(np.median(disparity[known] / expected[known])) if known.sum() >= FEWEST else math.nan


def _along(camera: Pinhole, at: Float[np.ndarray, "n 2"], size: tuple[int, int]) -> Float[np.ndarray, " n"]:
    """The distance along the ray over z at points in pixels, 1 at the principal point."""
    x, y = ((at / (size[1], size[0]) - camera.center[0].numpy()) / camera.focal[0].numpy()).T
    return np.sqrt(1 + x**2 + y**2)


def _trend(
    disparity: Float[np.ndarray, " n"], expected: Float[np.ndarray, " n"], along: Float[np.ndarray, " n"]
) -> float:
    """The power p of disparity = (a + b / expected) * expected * along^p, by robust least squares; NaN if unsure.

    `b` is there since a shift between the pictures makes near and far things differ, and near things often stand in the
    lower corners: only what goes with the angle of view itself may count.
    """
    known = (expected > 0) & (np.minimum(disparity, expected) > 1)
    if known.sum() < FEWEST:
        return math.nan
    ratio, angle, far = disparity[known] / expected[known], np.log(along[known]), 1 / expected[known]
    rows = np.stack([np.ones_like(angle), angle - angle.mean(), far - far.mean()], 1)
    weight = expected[known] / expected[known].max()  # matches are off by pixels, near things least for their size
    for _ in range(10):
        found = np.linalg.lstsq(rows * weight[:, None], ratio * weight, rcond=None)[0]
        off = np.abs(ratio - rows @ found) * expected[known]
        scale = max(1.4826 * float(np.median(off)), 0.05)
        weight = expected[known] / expected[known].max() * np.sqrt(1 / (1 + (off / scale) ** 2))
    normal = np.linalg.pinv((rows * weight[:, None]).T @ (rows * weight[:, None]))
    spread = float(np.sqrt(normal[1, 1])) * scale / expected[known].max()
    power = float(found[1] / found[0]) if found[0] > 0 else math.nan
    return power if spread * SURE < abs(found[0]) * STRAIGHT else math.nan


def _truth(depth: Float[Tensor, "1 1 h w"]) -> tuple[float, float, float, float] | None:
    known = depth[~depth.isnan()]
    finite = known[known.isfinite()]
    if not len(finite):
        return None
    return len(known) / depth.numel(), float(finite.min()), float(finite.median()), float(finite.max())
