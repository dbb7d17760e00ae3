"""Refocus a clip: steady depth of every frame, the focus pulled between keyframes, sound and times unchanged.

Two passes: some frames first, which fix one range of depth for the whole clip and where the focus has to arrive; then
every frame, in its turn. Reading, computing and writing overlap, a few frames apart.
"""

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from cyclopean.data.video import camera_of
from cyclopean.defocus.consistency import Consistency
from cyclopean.defocus.edges import stepped
from cyclopean.defocus.focus import Focusable, Sharp, fill_unknown
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
    tracked,
    value_at,
)
from cyclopean.errors import InputError
from cyclopean.geometry import Pinhole, size_of
from cyclopean.inference.clip_subject import ClipSubject
from cyclopean.inference.predictor import Predictor
from cyclopean.inference.prefetching import overlapped, prefetched
from cyclopean.inference.subject import bundled_network
from cyclopean.io.files import H264_SUFFIXES, appearing
from cyclopean.io.image import Photo, resize, size_within, small_grey
from cyclopean.io.planes import Plane
from cyclopean.io.video import MEGAPIXELS, Frame, Still, describe, stills
from cyclopean.io.video_frames import square_size, stretched
from cyclopean.io.video_writing import rewrite
from cyclopean.networks.subject import SubjectNet

Progress = Callable[[int, int], None]

PIXELS = 100_000  # size at which depth, motion and tracking are computed
SAMPLED_FRAMES = 16  # frames of the first pass
INERTIA = 0.2  # seconds: how slowly the focus follows its point, as a hand would
NOTHING = Sharp(0.0, 0.0)
ARRIVAL = 0.5  # seconds in which the depth measured at a key replaces the one expected there


@dataclass(frozen=True)
class ClipMeasures:
    """Measures of the first pass: frames, seconds, the range of inverse depth, and what is sharp at each keyframe."""

    count: int
    seconds: float
    low: float
    high: float
    aims: tuple[Sharp, ...]

    @property
    def clip_range(self) -> float:
        """Range of inverse depth of the clip."""
        return self.high - self.low


@dataclass(frozen=True)
class ClipReport:
    """Figures of a refocused clip: frames and seconds; the range of inverse depth; when scenes began and points were
    lost, in seconds; the flicker of depth (`defocus.video.Flicker`), as predicted and made steady."""

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
    subject: bool = True,
    smooth: float = SECONDS,
    known: Path | float | None = None,
    max_megapixels: float = MEGAPIXELS,
    progress: Progress | None = None,
) -> ClipReport:
    """Write the video `source`, focused by `keys`, to `target`, which appears whole or not at all.

    `lens` gives the amount for keys without one, and everything else. With `subject`, all of the thing that a tracked
    point is on is sharp, not only what is as far away as the point. Depth is a mean of about `smooth` seconds along
    the motion, 0: each frame's own. `known` as for `film_camera`. `progress(done, all)` is called after every frame.
    Raises InputError for a file that is not a whole video, for frames above the limit, and for keys outside the clip.
    """
    check(source, keys, smooth, max_megapixels)  # before a folder is made
    with appearing(target.parent) as temporary:
        return write_refocused(
            source, temporary / target.name, keys, predictor, lens,
            subject=subject, smooth=smooth, known=known, max_megapixels=max_megapixels, progress=progress,
        )  # fmt: skip


def write_refocused(
    source: Path,
    target: Path,
    keys: Sequence[Keyframe],
    predictor: Predictor,
    lens: Lens | None = None,
    *,
    subject: bool = True,
    smooth: float = SECONDS,
    known: Path | float | None = None,
    max_megapixels: float = MEGAPIXELS,
    progress: Progress | None = None,
) -> ClipReport:
    """Do as `refocus_clip`, but write to `target` itself: a path inside `appearing`."""
    keys = tuple(keys)
    check(source, keys, smooth, max_megapixels)
    camera = film_camera(source, known)
    network = bundled_network() if subject and any(key.track for key in keys) else None
    measures = measure_clip(source, keys, predictor, camera, max_megapixels, network=network)
    depth = SteadyDepth(predictor, camera, smooth, measures.clip_range)
    subject_of = None if network is None else ClipSubject(network)
    rendering = _Rendering(keys, depth, lens or Lens(), measures, progress or (lambda _done, _all: None), subject_of)
    count = rewrite(source, target, overlapped(rendering.pictures), max_megapixels)
    return ClipReport(
        count, measures.seconds, (measures.low, measures.high), tuple(depth.cuts), tuple(rendering.lost),
        depth.flicker.before, depth.flicker.after,
    )  # fmt: skip


def result_suffix(suffix: str) -> str:
    """Return the suffix of the result for a clip of `suffix`."""
    return suffix if suffix.lower() in H264_SUFFIXES else H264_SUFFIXES[-1]


def check(source: Path, keys: Sequence[Keyframe], smooth: float, max_megapixels: float = MEGAPIXELS) -> None:
    """Raise InputError for errors that can be found before any work."""
    if not (math.isfinite(smooth) and smooth >= 0):
        raise InputError(f"smoothing over {smooth:g} seconds means nothing; give 0 (none) or more.")
    if not keys:
        raise InputError("no point of focus is given; give a point, or keys.")
    header = describe(source, max_megapixels)
    check_keyframes(tuple(keys), header.size, header.end if header.seconds else math.inf)


def film_camera(source: Path, known: Path | float | None = None) -> Pinhole | None:
    """Return the camera of a film; None if its focal length is unknown.

    `known` is a file with it (a camera profile, a sidecar) or a field of view in degrees along the longer side; without
    it the film's metadata tell, as in a training on clips (`data.video.clip`).
    """
    camera = camera_of(
        source, f"{known:.6g}" if isinstance(known, float) else "", str(known) if isinstance(known, Path) else ""
    )
    return None if camera[2] == "assumed" else camera[1]


def measure_clip(
    source: Path,
    keys: tuple[Keyframe, ...],
    predictor: Predictor,
    camera: Pinhole | None = None,
    max_megapixels: float = MEGAPIXELS,
    *,
    network: SubjectNet | None = None,
) -> ClipMeasures:
    """Measure the clip in a first pass: every so many frames, and the first at or after each key's time.

    `network`: all of what a tracked key's point is on is sharp there.
    """
    every = max(1, describe(source, max_megapixels).count // SAMPLED_FRAMES)
    waiting, unread, last = list(keys), deque(keys), [0, 0.0]

    def sampled(index: int, seconds: float) -> bool:  # in the thread that reads, some frames ahead
        last[:] = index + 1, seconds
        first_of_key = bool(unread and seconds >= unread[0].time)
        while unread and seconds >= unread[0].time:
            unread.popleft()
        return index % every == 0 or first_of_key

    samples: list[Plane] = []
    aims: list[Sharp] = []
    with closing(prefetched(stills(source, sampled, max_megapixels), 1)) as some:
        for still in some:
            depth = _small_depth(still, predictor, camera)
            if still.index % every == 0:
                samples.append(depth[::4, ::4])
            while waiting and still.seconds >= waiting[0].time:
                key = waiting.pop(0)
                x, y = focus_pixel(key.point, size_of(still.image))
                spot = _enlarged((x + 0.5, y + 0.5), size_of(still.image), depth.shape)
                aims.append(_aim(still, depth, spot, network if key.track else None))
    if not samples:
        raise InputError(f"{source} has no frames; give a whole video.")
    check_keyframes(keys[: len(keys) - len(waiting) + 1], size_of(still.image), float(last[1]))
    low, high = np.percentile(np.concatenate([s.reshape(-1) for s in samples]), (1, 99))
    return ClipMeasures(int(last[0]), float(last[1]), float(low), float(high), tuple(aims))


def _aim(still: Still, small: Plane, spot: Spot, network: SubjectNet | None) -> Sharp:
    """Return what is sharp where the focus has to arrive; `spot` counts pixels of the small depth."""
    photo = Photo(still.square)
    depth = stepped(small, picture_of(photo.image))
    if network is not None:
        moment = first(small_grey(still.image, (small.shape[0], small.shape[1])), small, still.seconds)
        subject = ClipSubject(network).add(photo, depth, moment, None, spot)
        if subject is not None:
            return subject.sharp
    return _value_at(depth, _enlarged(spot, small.shape, depth.shape))


def _small_depth(still: Still, predictor: Predictor, camera: Pinhole | None) -> Plane:
    """Return the inverse depth of a frame, small, in square pixels."""
    small = resize(still.image, size_within(square_size(size_of(still.image), still.aspect), PIXELS))
    depth = predictor(Photo(small, camera))
    return fill_unknown(depth.inverse_depth[0, 0], depth.valid[0, 0])


def picture_of(image: Frame) -> Float[np.ndarray, "h w 3"]:
    """Return a frame as an array."""
    return np.ascontiguousarray(image[0].permute(1, 2, 0).numpy())


@dataclass
class SteadyDepth:
    """Small depth of a clip's frames, one after the other, a mean of about `smooth` seconds along the motion."""

    predictor: Predictor
    camera: Pinhole | None
    smooth: float
    clip_range: float  # the range of inverse depth of the clip
    cuts: list[float] = field(default_factory=list)
    last: Moment | None = None

    def __post_init__(self) -> None:
        self.flicker = Flicker(self.clip_range)
        self.consistency = Consistency(self.predictor.method.ambiguity, self.clip_range)

    def add(self, still: Still) -> Moment:
        """Return the next moment of the clip."""
        depth = _small_depth(still, self.predictor, self.camera)
        grey = small_grey(still.image, (depth.shape[0], depth.shape[1]))
        steady = self.smooth > 0 and self.predictor.method.ambiguity == "affine"  # `following` fits a scale alone
        aligned = self.consistency.add(grey, depth, still.seconds).depth if steady else depth
        if self.last is None:
            self.last = first(grey, depth, still.seconds)
            return self.last
        now = following(self.last, grey, aligned, still.seconds, mean=self.smooth, clip_range=self.clip_range)
        now = replace(now, predicted=depth)
        self.flicker.add(self.last, now)
        if now.motion is not None and now.motion.cut:
            self.cuts.append(still.seconds)
        self.last = now
        return now


@dataclass
class _Rendering:
    """The second pass, and its state."""

    keys: tuple[Keyframe, ...]
    depth: SteadyDepth
    lens: Lens
    measures: ClipMeasures
    progress: Progress
    subject: ClipSubject | None
    lost: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.pull = _FocusPull(self.keys, self.measures, self.lens.amount, self.lost)

    def pictures(self, clip: Iterator[Still]) -> Iterator[Frame]:
        """Yield a refocused picture for each frame."""
        for still in clip:
            last = self.depth.last
            yield self._picture(still, self.depth.add(still), last)
            self.progress(still.index + 1, self.measures.count)

    def _picture(self, still: Still, now: Moment, last: Moment | None) -> Frame:
        photo = Photo(still.square)  # in which a disc is round
        depth = stepped(now.depth, picture_of(photo.image))
        spot = self.pull.follow(now, last, size_of(still.image))
        here = None if spot is None else _value_at(depth, _enlarged(spot, now.depth.shape, depth.shape))
        if self.subject is not None:
            before = None if self.pull.entered else last
            subject = self.subject.add(photo, depth, now, before, spot if self.pull.tracks else None)
            depth, here = (depth, here) if subject is None else (subject.depth, subject.sharp)
        focus, amount = self.pull(now, last, here)
        whole = self.measures.clip_range
        part = min(1.0, (focus.near - focus.far) / whole) if whole > 0 else 0.0
        lens = replace(self.lens, amount=amount, range=max(self.lens.range, part))
        unit = 1.0 if self.depth.predictor.method.ambiguity == "metric" else None
        result = Focusable(photo, depth, lens, unit, whole).focused(focus.middle).image
        if still.aspect == 1:
            return result
        return still.image + stretched(result - photo.image, size_of(still.image))  # what stays sharp is not resampled


@dataclass
class _FocusPull:
    """The focus over time: on the last keyframe's point, moving to the next one's."""

    keys: tuple[Keyframe, ...]
    measures: ClipMeasures
    amount: float
    lost: list[float]
    number: int = -1
    spot: Spot | None = None  # in pixels of the small depth; None: lost, and the focus stays where it was
    sharp: Sharp = NOTHING
    excess: Sharp = NOTHING  # the inverse depth expected at the key minus the measured ones
    entered: bool = False

    @property
    def tracks(self) -> bool:
        """Return whether the point of this moment follows what it is on."""
        return self.keys[self.number].track

    def follow(self, now: Moment, last: Moment | None, size: tuple[int, int]) -> Spot | None:
        """Return where the point is at this moment; `size` (height, width) counts the pixels in which keyframes are
        given."""
        number, _ = between(self.keys, now.seconds)
        self.entered = number != self.number
        self._follow(number, now, last, size)
        return self.spot

    def __call__(self, now: Moment, last: Moment | None, here: Sharp | None) -> tuple[Sharp, float]:
        """Return the inverse depths in focus and the amount of blur at this moment; `here` are those of what the point
        is on."""
        number, part = between(self.keys, now.seconds)
        here = self.sharp if here is None else here
        fresh = self.entered or last is None or (now.motion is not None and now.motion.cut)
        weight = 1.0 if fresh else -math.expm1(-(now.seconds - last.seconds) / INERTIA)  # type: ignore[union-attr]
        self.sharp = _blended(self.sharp, here, weight)
        if fresh:
            aim = self.measures.aims[number]
            pulled = self.entered and number > 0
            self.excess = Sharp(aim.far - here.far, aim.near - here.near) if pulled else NOTHING
        left = math.exp(-max(0.0, now.seconds - self.keys[number].time) / ARRIVAL)
        focus = Sharp(self.sharp.far + self.excess.far * left, self.sharp.near + self.excess.near * left)
        amounts = [self.amount if key.amount is None else key.amount for key in self.keys[number : number + 2]]
        if part == 0:
            return focus, amounts[0]
        return _blended(focus, self.measures.aims[number + 1], part), amounts[0] + (amounts[1] - amounts[0]) * part

    def _follow(self, number: int, now: Moment, last: Moment | None, size: tuple[int, ...]) -> None:
        """Move the spot to this moment."""
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
        self.spot = tracked(self.spot, now.motion, last.depth, self.measures.clip_range)
        if self.spot is None:
            self.lost.append(now.seconds)


def _enlarged(spot: Spot, here: tuple[int, ...], there: tuple[int, ...]) -> Spot:
    """Scale a spot from a picture of size `here` (height, width) to one of size `there`."""
    return spot[0] * there[1] / here[1], spot[1] * there[0] / here[0]


def _value_at(depth: Plane, spot: Spot) -> Sharp:
    value = value_at(depth, spot)
    return Sharp(value, value)


def _blended(one: Sharp, other: Sharp, part: float) -> Sharp:
    """Return what is `part` of the way from one to the other."""
    return Sharp(one.far + (other.far - one.far) * part, one.near + (other.near - one.near) * part)
