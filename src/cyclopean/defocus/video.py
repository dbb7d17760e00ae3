"""Refocusing of clips: keyframes of the focus, motion from frame to frame, and depth averaged along it."""

import itertools
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from cyclopean.defocus.lens import Point, focus_pixel
from cyclopean.errors import InputError, unknown_name
from cyclopean.io.files import read_json, shortened
from cyclopean.io.planes import Plane, PlaneMask

Grey = UInt8[np.ndarray, "h w"]
Flow = Float[np.ndarray, "h w 2"]
Spot = tuple[float, float]  # pixels (x, y) from the corner of the picture: centres of pixels are at halves

WORDS = ("time", "point", "amount", "track")
EXAMPLE = '[{"time": 0, "point": [0.3, 0.5]}, {"time": 2, "point": [0.7, 0.5], "amount": 2, "track": true}]'

AGREE = 1.0  # pixels by which forward and backward flow may differ, and
AGREE_PART = 0.05  # of the length of the flow
ALIKE = 20  # steps of 255 by which a point's brightness may change
FEW = 0.15  # of the pixels that are sure: fewer mean a new scene (fast drives keep 0.45, cuts 0.07)

PART = 0.02  # of the diagonal: half the window around a tracked point
NEAR = 0.1  # of the clip's range of inverse depth: pixels this near the point's are of its object
FEWEST_PIXELS = 5  # sure pixels of the object
RIM = np.ones((7, 7), np.uint8)

SECONDS = 0.3  # of the mean
UNLIKE = 0.1  # of the clip's range of inverse depth: larger differences are changes, not flicker
FEWEST_SURE = 64  # sure pixels from which a scale can be estimated

OPENCV: Any = cv2  # for functions that its stubs, which change from release to release, lack


@dataclass(frozen=True)
class Keyframe:
    """A keyframe of the focus: at `time` seconds the clip is sharp at `point` (pixels, or fractions of its sides).

    `amount` of blur None: that of the lens. `track`: from then on the focus point tracks the object; otherwise it stays
    fixed in the image.
    """

    time: float | int
    point: Point
    amount: float | int | None = None
    track: bool = False


def read_keyframes(path: Path) -> tuple[Keyframe, ...]:
    """Read keyframes from a JSON file, a list such as `EXAMPLE`. Raises InputError, one sentence, for anything else."""
    content = read_json(path)
    if not isinstance(content, list) or not content:
        raise InputError(f"{path} holds no list of keys; write one such as {EXAMPLE}")
    keys = tuple(_key(f"{path}, key {number}", item) for number, item in enumerate(content, 1))
    for number, (earlier, later) in enumerate(itertools.pairwise(keys), 2):
        if later.time <= earlier.time:
            raise InputError(
                f"{path}, key {number}: its time {later.time:g} is not after {earlier.time:g}; "
                "sort the keys by time, with a different time for each."
            )
    return keys


def check_keyframes(keys: tuple[Keyframe, ...], size: tuple[int, int], seconds: float) -> None:
    """Raise InputError for a keyframe outside the picture of `size` (height, width) or after the clip's `seconds`."""
    for number, key in enumerate(keys, 1):
        if key.time > seconds:
            raise InputError(
                f"key {number} is at {key.time:g} s, but the clip ends at {seconds:.4g} s; give a time within it."
            )
        try:
            focus_pixel(key.point, size)
        except InputError as error:
            raise InputError(f"key {number}: {str(error).replace('photo', 'picture')}") from None


def eased(part: float) -> float:
    """Return 3 s² - 2 s³ of `part`: from 0 to 1, slow at both ends, as hands pull focus."""
    part = min(max(part, 0.0), 1.0)
    return part * part * (3 - 2 * part)


def between(keys: tuple[Keyframe, ...], time: float) -> tuple[int, float]:
    """Return the number of the last keyframe before `time` (or of the first) and the eased fraction of the way to the
    next one."""
    before = max((n for n, key in enumerate(keys) if key.time <= time), default=0)
    if before + 1 == len(keys):
        return before, 0.0
    start, end = keys[before].time, keys[before + 1].time
    return before, eased((time - start) / (end - start))


@dataclass(frozen=True)
class Motion:
    """Optical flow from the last frame to this one.

    `back` is the displacement in pixels (x, y) from each pixel of this frame to its place in the last one; `sure` is
    True where it is reliable; `cut`: a new scene begins with this frame.
    """

    back: Flow
    sure: PlaneMask
    cut: bool

    @property
    def places(self) -> Flow:
        """Indices (x, y) in the last frame of each pixel of this frame."""
        return _places(self.back)

    def warp(self, last: Plane) -> Plane:
        """Return a plane of the last frame, warped to this one."""
        return _fetch(last, self.places)


def motion(last: Grey, this: Grey) -> Motion:
    """Return optical flow by dense inverse search.

    Kroeger et al., Fast Optical Flow using Dense Inverse Search, ECCV 2016. A pixel is sure where backward and forward
    flow cancel (they do not where it was occluded) and its brightness has not changed.
    """
    search = OPENCV.DISOpticalFlow_create(OPENCV.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    search.setFinestScale(0)  # at its default of 2, and at 1, flow is coarser than the picture, and points drift
    back, there = search.calc(this, last, None), search.calc(last, this, None)
    places = _places(back)
    h, w = back.shape[:2]
    away = back + _fetch(there, places)
    allowed = AGREE + AGREE_PART * np.hypot(back[..., 0], back[..., 1])
    same = cv2.absdiff(_fetch(last, places), this) < ALIKE
    inside = np.all((places >= 0) & (places <= np.array([w - 1, h - 1], np.float32)), -1)
    sure = (np.hypot(away[..., 0], away[..., 1]) < allowed) & same & inside
    return Motion(back, sure, bool(sure.mean() < FEW))


def tracked(spot: Spot, moved: Motion, last: Plane, clip_range: float) -> Spot | None:
    """Return the position of the last frame's `spot` in this one; None if it is occluded, outside, or in another scene.

    `last` is the inverse depth of the frame before; `clip_range` is the clip's range of it. The flow is known at this
    frame's pixels, backwards: the result is the median of those that came from around the spot and belong to its
    object. Pixels away from the object's rim, where flow mixes both sides, are used alone if there are enough.
    """
    h, w = last.shape
    reach = max(2.0, PART * float(np.hypot(h, w)))
    was = moved.places + np.float32(0.5)
    around: PlaneMask = np.abs(was - np.array(spot, np.float32)).max(-1) <= reach
    alike = np.abs(moved.warp(last) - value_at(last, spot)) <= NEAR * clip_range
    thing = alike & moved.sure
    chosen = cv2.erode(thing.view(np.uint8), RIM).view(bool) & around
    if np.count_nonzero(chosen) < FEWEST_PIXELS:
        chosen = thing & around
    if moved.cut or np.count_nonzero(chosen) < FEWEST_PIXELS:
        return None
    x, y = (spot[axis] - float(np.median(moved.back[..., axis][chosen])) for axis in (0, 1))
    return (x, y) if 0 <= x < w and 0 <= y < h else None


def value_at(plane: Plane, spot: Spot) -> float:
    """Return the median of the 3x3 pixels around a spot."""
    h, w = plane.shape
    x, y = min(max(int(spot[0]), 0), w - 1), min(max(int(spot[1]), 0), h - 1)
    return float(np.median(plane[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]))


@dataclass(frozen=True)
class Moment:
    """One frame of a clip, small: grey picture, inverse depth as predicted, inverse depth averaged, seconds."""

    grey: Grey
    predicted: Plane
    depth: Plane
    seconds: float
    motion: Motion | None = None  # from the moment before; None for the first


def first(grey: Grey, predicted: Plane, seconds: float) -> Moment:
    """Return the first moment of a clip, whose depth is the prediction."""
    return Moment(grey, predicted, predicted, seconds)


def following(last: Moment, grey: Grey, predicted: Plane, seconds: float, *, mean: float, clip_range: float) -> Moment:
    """Return the moment after `last`, its depth an exponential mean over `mean` seconds along the motion (0: no mean).

    The prediction is scaled to the previous depth by the median ratio where the flow is sure, and replaces it where
    both differ by much; `clip_range` is the clip's range of inverse depth.
    """
    moved = motion(last.grey, grey)
    if moved.cut or mean == 0:
        return Moment(grey, predicted, predicted, seconds, moved)
    weight = -math.expm1(-(seconds - last.seconds) / mean)
    earlier = moved.warp(last.depth)
    good = moved.sure & (earlier > 0) & (predicted > 0)
    scale = float(np.median(earlier[good] / predicted[good])) if np.count_nonzero(good) >= FEWEST_SURE else 1.0
    scaled = predicted * np.float32(scale ** (1 - weight))
    apart = np.minimum(np.abs(scaled - earlier) * np.float32(1 / (UNLIKE * clip_range)), 1) if clip_range > 0 else 0.0
    kept = (1 - weight) * (1 - apart * apart) * moved.sure
    depth = (scaled + (earlier - scaled) * kept).astype(np.float32)
    return Moment(grey, predicted, depth, seconds, moved)


@dataclass
class Flicker:
    """The change of depth along the motion from frame to frame, as a part of the clip's range of inverse depth.

    The mean of |d_t - warp(d_{t-1})| over the pixels whose flow is sure, over all pairs of frames within a scene; of
    the depth as predicted and as averaged, over the same pixels. Real changes of distance count as well.
    """

    clip_range: float
    totals: list[float] = field(default_factory=lambda: [0.0, 0.0])
    pairs: int = 0

    def add(self, last: Moment, this: Moment) -> None:
        """Count one pair of neighbours."""
        if this.motion is None or this.motion.cut or not this.motion.sure.any() or self.clip_range <= 0:
            return
        for k, (a, b) in enumerate(((last.predicted, this.predicted), (last.depth, this.depth))):
            change = np.abs(b - this.motion.warp(a))[this.motion.sure]
            self.totals[k] += float(change.mean()) / self.clip_range
        self.pairs += 1

    @property
    def before(self) -> float | None:
        """Flicker of the depth as predicted; None when there was no pair."""
        return self.totals[0] / self.pairs if self.pairs else None

    @property
    def after(self) -> float | None:
        """Flicker of the averaged depth."""
        return self.totals[1] / self.pairs if self.pairs else None


def _key(where: str, item: Any) -> Keyframe:
    """Return one keyframe of a file; `where` names it in errors."""
    if not isinstance(item, dict):
        raise InputError(f"{where} is {_json(item)}; write keys such as {EXAMPLE}")
    for word in item:
        if word not in WORDS:
            raise unknown_name(f"word in {where}:", shortened(word), WORDS)
    for word in ("time", "point"):
        if word not in item:
            raise InputError(f"{where} has no {word}; write keys such as {EXAMPLE}")
    time, point, amount, track = item["time"], item["point"], item.get("amount"), item.get("track", False)
    if not (isinstance(point, list) and len(point) == 2 and all(map(_is_number, point))):
        raise InputError(f"{where}: the point is {_json(point)}; give two numbers, such as [0.3, 0.5].")
    if not (_is_number(time) and time >= 0):
        raise InputError(f"{where}: the time is {_json(time)}; give seconds from 0 up.")
    if not (amount is None or (_is_number(amount) and amount >= 0)):
        raise InputError(f"{where}: the amount is {_json(amount)}; give a number from 0 up.")
    if not isinstance(track, bool):
        raise InputError(f"{where}: track is {_json(track)}; give true or false.")
    return Keyframe(float(time), (point[0], point[1]), None if amount is None else float(amount), track)


def _places(back: Flow) -> Flow:
    h, w = back.shape[:2]
    y, x = np.mgrid[:h, :w].astype(np.float32)
    return back + np.stack([x, y], -1)


def _fetch(last: np.ndarray, places: Flow) -> np.ndarray:
    return np.asarray(OPENCV.remap(last, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))


def _json(value: Any) -> str:
    return shortened(json.dumps(value))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
