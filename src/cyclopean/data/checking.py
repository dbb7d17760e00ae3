"""Looking at a data set before anything is trained on it: blank pictures, pairs and truth that do not fit together."""

import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from cyclopean.data.decoding import check_decoded, read_counts
from cyclopean.data.items import Items, sound
from cyclopean.data.matching import Matches, grey, match
from cyclopean.data.panorama_checking import Sphere, filed_depth, judged_by, look_around
from cyclopean.data.rigs import implausible
from cyclopean.errors import InputError
from cyclopean.geometry import Pinhole
from cyclopean.sample import Sample, View

DARK, CONSTANT = 0.04, 0.004  # mean and standard deviation of luma in [0,1]; 0.004 is one grey level of 256
FULL = 65535  # the largest count of 16 bits
FEWEST = 20  # matches that judge a pair
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
