"""A clip refocused: depth of every frame made steady, the focus pulled from key to key, sound and times as they were.

Two passes: some frames first, which fix one range of depth for the whole clip and where the focus has to arrive; then
every frame, one at a time.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float

from cyclopean.defocus.edges import guided
from cyclopean.defocus.focus import Focusable, fill_unknown
from cyclopean.defocus.lens import Lens, focus_pixel
from cyclopean.defocus.video import (
    SECONDS,
    Flicker,
    Keyframe,
    Moment,
    Spot,
    between,
    check_keyframes,
    first,
    following,
    grey_of,
    tracked,
    value_at,
)
from cyclopean.errors import InputError
from cyclopean.inference.predictor import Predictor
from cyclopean.io.files import appearing
from cyclopean.io.image import Photo, resize, size_within
from cyclopean.io.video import MEGAPIXELS, Frame, Still, describe, stills
from cyclopean.io.video_writing import rewrite

Plane = Float[np.ndarray, "h w"]
Progress = Callable[[int, int], None]

PIXELS = 100_000  # depth, motion and tracking work on about so many
HOLDING = (".mp4", ".m4v", ".mov", ".mkv")  # files that H.264 is at home in, with any sound; others become the last
LOOKS = 16  # frames of the first pass
INERTIA = 0.2  # seconds: the focus follows what is at its point as a hand would
ARRIVAL = 0.5  # seconds in which the depth foreseen for a key gives way to the one found there


@dataclass(frozen=True)
class Survey:
    """What the first pass found: frames, seconds, the range of inverse depth, and that at each key at its time."""

    count: int
    seconds: float
    low: float
    high: float
    aims: tuple[float, ...]

    @property
    def whole(self) -> float:
        """The range of inverse depth of the clip."""
        return self.high - self.low


@dataclass(frozen=True)
class ClipReport:
    """What was done: frames and seconds; the range of inverse depth; when scenes began and points were lost, in
    seconds; how much depth flickers (`video.steadying.Flicker`), as predicted and made steady."""

    frames: int
    seconds: float
    depth_range: tuple[float, float]
    cuts: tuple[float, ...]
    lost: tuple[float, ...]
    flicker_before: float | None
    flicker_after: float | None


def refocus_clip(
    source: Path,
    target: Path,
    keys: Sequence[Keyframe],
    predictor: Predictor,
    lens: Lens | None = None,
    *,
    smooth: float = SECONDS,
    max_megapixels: float = MEGAPIXELS,
    progress: Progress | None = None,
) -> ClipReport:
    """The video `source`, sharp where `keys` say, in `target`, which appears whole or not at all.

    `lens` gives the amount that keys leave out, and all the rest. Depth is a mean of about `smooth` seconds along the
    motion, 0: each frame's own. `progress(done, all)` is called after every frame. Raises InputError for a file that is
    no whole video, for frames above the limit, and for keys outside the clip.
    """
    check(source, keys, smooth, max_megapixels)  # before a folder is made
    with appearing(target.parent) as bench:
        return write_refocused(
            source, bench / target.name, keys, predictor, lens,
            smooth=smooth, max_megapixels=max_megapixels, progress=progress,
        )  # fmt: skip


def write_refocused(
    source: Path,
    target: Path,
    keys: Sequence[Keyframe],
    predictor: Predictor,
    lens: Lens | None = None,
    *,
    smooth: float = SECONDS,
    max_megapixels: float = MEGAPIXELS,
    progress: Progress | None = None,
) -> ClipReport:
    """Do what `refocus_clip` does, but write to `target` itself: give a path inside `depthmap.appearing`."""
    keys = tuple(keys)
    check(source, keys, smooth, max_megapixels)
    found = survey(source, keys, predictor, max_megapixels)
    making = _Making(keys, predictor, lens or Lens(), smooth, found, progress or (lambda _done, _all: None))
    count = rewrite(source, target, making.pictures, max_megapixels)
    flicker = making.flicker
    return ClipReport(
        count, found.seconds, (found.low, found.high), tuple(making.cuts), tuple(making.lost),
        flicker.before, flicker.after,
    )  # fmt: skip


def result_suffix(suffix: str) -> str:
    """The suffix of the result for a clip of `suffix`."""
    return suffix if suffix.lower() in HOLDING else HOLDING[-1]


def check(source: Path, keys: Sequence[Keyframe], smooth: float, max_megapixels: float = MEGAPIXELS) -> None:
    """Raises InputError for what can be known to be wrong before any work."""
    if not (math.isfinite(smooth) and smooth >= 0):
        raise InputError(f"smoothing over {smooth:g} seconds means nothing; give 0 (none) or more.")
    if not keys:
        raise InputError("nothing says where the clip shall be sharp; give a point, or keys.")
    header = describe(source, max_megapixels)
    check_keyframes(tuple(keys), header.size, header.seconds or math.inf)


def survey(
    source: Path, keys: tuple[Keyframe, ...], predictor: Predictor, max_megapixels: float = MEGAPIXELS
) -> Survey:
    """The first pass: every so many frames, and the first at or after each key's time."""
    every = max(1, describe(source, max_megapixels).count // LOOKS)
    waiting, last = list(keys), [0, 0.0]

    def wanted(index: int, seconds: float) -> bool:
        last[:] = index + 1, seconds
        return index % every == 0 or bool(waiting and seconds >= waiting[0].time)

    samples: list[Plane] = []
    aims: list[float] = []
    for still in stills(source, wanted, max_megapixels):
        depth = _small_depth(still.image, predictor)
        if still.index % every == 0:
            samples.append(depth[::4, ::4])
        while waiting and still.seconds >= waiting[0].time:
            aims.append(_aim(waiting.pop(0), still.image, depth))
    if not samples:
        raise InputError(f"{source} has no frames; give a whole video.")
    check_keyframes(
        keys[: len(keys) - len(waiting) + 1], (still.image.shape[-2], still.image.shape[-1]), float(last[1])
    )
    low, high = np.percentile(np.concatenate([s.reshape(-1) for s in samples]), (1, 99))
    return Survey(int(last[0]), float(last[1]), float(low), float(high), tuple(aims))


def _aim(key: Keyframe, image: Frame, depth: Plane) -> float:
    """The inverse depth at a key's point."""
    picture = _array(image)
    x, y = focus_pixel(key.point, picture.shape[:2])
    return value_at(guided(depth, picture), (x + 0.5, y + 0.5))


def _small_depth(image: Frame, predictor: Predictor) -> Plane:
    """Inverse depth of a frame, small."""
    small = resize(image, size_within((image.shape[-2], image.shape[-1]), PIXELS))
    found = predictor(Photo(small))
    return fill_unknown(found.inverse_depth[0, 0], found.valid[0, 0])


def _array(image: Frame) -> Float[np.ndarray, "h w 3"]:
    return np.ascontiguousarray(image[0].permute(1, 2, 0).numpy())


@dataclass
class _Making:
    """The second pass, and what it has seen so far."""

    keys: tuple[Keyframe, ...]
    predictor: Predictor
    lens: Lens
    smooth: float
    found: Survey
    progress: Progress
    cuts: list[float] = field(default_factory=list)
    lost: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.flicker = Flicker(self.found.whole)
        self.pull = _Pull(self.keys, self.found, self.lens.amount, self.lost)

    def pictures(self, clip: Iterator[Still]) -> Iterator[Frame]:
        """A refocused picture for each frame."""
        last: Moment | None = None
        for still in clip:
            now = self._moment(still, last)
            yield self._picture(still, now, last)
            last = now
            self.progress(still.index + 1, self.found.count)

    def _moment(self, still: Still, last: Moment | None) -> Moment:
        depth = _small_depth(still.image, self.predictor)
        grey = grey_of(cv2.resize(_array(still.image), depth.shape[::-1], interpolation=cv2.INTER_AREA))
        if last is None:
            return first(grey, depth, still.seconds)
        now = following(last, grey, depth, still.seconds, mean=self.smooth, whole=self.found.whole)
        self.flicker.add(last, now)
        if now.motion is not None and now.motion.cut:
            self.cuts.append(still.seconds)
        return now

    def _picture(self, still: Still, now: Moment, last: Moment | None) -> Frame:
        depth = guided(now.depth, _array(still.image))
        focus, amount = self.pull(now, last, depth)
        lens = replace(self.lens, amount=amount)
        unit = 1.0 if self.predictor.method.ambiguity == "metric" else None
        return Focusable(Photo(still.image), depth, lens, unit, self.found.whole).focused(focus).image


@dataclass
class _Pull:
    """Where the focus is: on what is at the last key's point, on the way to the next key's."""

    keys: tuple[Keyframe, ...]
    found: Survey
    amount: float
    lost: list[float]
    number: int = -1
    spot: Spot | None = None  # in pixels of the small depth; None: lost, and the focus stays where it was
    value: float = 0.0
    excess: float = 0.0  # of the depth foreseen over the one found at the key

    def __call__(self, now: Moment, last: Moment | None, depth: Plane) -> tuple[float, float]:
        """The inverse depth in focus and the amount of blur, at this moment; `depth` is at full size."""
        number, part = between(self.keys, now.seconds)
        entered = number != self.number
        self._follow(number, now, last, depth.shape)
        here = self.value if self.spot is None else value_at(depth, _enlarged(self.spot, now.depth.shape, depth.shape))
        fresh = entered or last is None or (now.motion is not None and now.motion.cut)
        weight = 1.0 if fresh else -math.expm1(-(now.seconds - last.seconds) / INERTIA)  # type: ignore[union-attr]
        self.value += weight * (here - self.value)
        if fresh:
            self.excess = self.found.aims[number] - here if entered and number else 0.0
        since = max(0.0, now.seconds - self.keys[number].time)
        focus = self.value + self.excess * math.exp(-since / ARRIVAL)
        amounts = [self.amount if key.amount is None else key.amount for key in self.keys[number : number + 2]]
        if part == 0:
            return focus, amounts[0]
        return focus + (self.found.aims[number + 1] - focus) * part, amounts[0] + (amounts[1] - amounts[0]) * part

    def _follow(self, number: int, now: Moment, last: Moment | None, size: tuple[int, ...]) -> None:
        """The spot at this moment."""
        key = self.keys[number]
        if number != self.number:
            x, y = focus_pixel(key.point, (size[0], size[1]))
            self.number, self.spot = number, _enlarged((x + 0.5, y + 0.5), size, now.depth.shape)
            return
        if not key.track or self.spot is None or last is None or now.motion is None or now.seconds < key.time:
            return
        if now.motion.cut:
            self.lost.append(now.seconds)
            return
        self.spot = tracked(self.spot, now.motion, last.depth, self.found.whole)
        if self.spot is None:
            self.lost.append(now.seconds)


def _enlarged(spot: Spot, here: tuple[int, ...], there: tuple[int, ...]) -> Spot:
    """A spot of a picture of the size `here` (height, width) in one of the size `there`."""
    return spot[0] * there[1] / here[1], spot[1] * there[0] / here[0]
