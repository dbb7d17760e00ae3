"""Clips: films as they are, folders of numbered frames, and rendered clips, as triplets whose poses are unknown."""

import logging
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from statistics import median_low
from typing import Literal

import numpy as np

from cyclopean.augmentation import with_frames
from cyclopean.data.base import Files, Items, steps_around, unknown_depth, unposed
from cyclopean.data.files import Depth, Size, image_size, pictures_among, read_object, read_views, whole_number
from cyclopean.data.folder import FolderDataset
from cyclopean.defocus.video import motion
from cyclopean.errors import InputError
from cyclopean.geometry import Pinhole, pinhole_of_angle, size_of
from cyclopean.geometry.cameras import FIELD_OF_VIEW
from cyclopean.io.files import at_home, shortened
from cyclopean.io.image import grey_within
from cyclopean.io.metadata import FILM_DIAGONAL
from cyclopean.io.sidecar import camera_from_json
from cyclopean.io.video import describe, opened
from cyclopean.io.video_seeking import frames_at, index_of
from cyclopean.sample import OneImage, Sample, view

LOG = logging.getLogger(__name__)
FRAME_PIXELS, FRAME_MULTIPLE = 192 * 640, 32  # of the small frames for pose networks
PAUSE = 3.0  # times the usual time between frames: a longer one is a gap, over which no triplet goes
COMPARED = 256  # pixels of the longer side at which scenes are compared
LOOKED_AT = 8  # triplets, evenly spaced, that show whether a clip moves
STILL = 1.0  # steps of 255 by which frames differ on average, at most, when nothing moves
WRITTEN_FOCAL = re.compile(r"focal.?length.*35.?mm", re.IGNORECASE)  # iPhones: in millimetres of a 35 mm film
# The last number of a name; seconds with a fraction are one number, unlike a version before a number.
NUMBERED = re.compile(r"(.*?)(\d{9,}\.\d+|\d+\.\d{6,}|\d+)(\D*)")
OF_DEPTH = re.compile(r"(?<![a-z])(depth|disparity|disp)s?(?![a-z])", re.IGNORECASE)  # of a folder, or in names
LEAST_TIME = 10  # usual distance of whole numbers from which they may be times
STEP = REACH = "1"
CameraSource = Literal["given", "metadata", "assumed"]  # who knows a clip's focal length


def clip(path: Path | str, step: str = STEP, fov: str = "", camera: str = "", reach: str = REACH) -> Items:
    """Return the triplets of a clip at `path`: a film, a folder of numbered frames, or a rendered folder of rig clip.

    `step`: how many frames the one before and the one after are away from the target. `reach`: how many there are on
    each side, the next one twice as far, and so on; training draws one of each side. `fov`: field of view in degrees
    along the longer side; `camera`: a JSON file with a camera, such as a camera profile or a sidecar. Without them the
    focal length is that of the film's metadata, or else 60 degrees are assumed and logged.
    """
    place = at_home(path)
    if place.is_dir() and (place / "dataset.json").exists():
        if (step, reach) != (STEP, REACH) or fov or camera:
            raise InputError(
                f"{place} was rendered and knows its step and camera; leave step, reach, fov and camera out."
            )
        return RenderedClipDataset(place)
    try:
        gap, degrees = int(step), float(fov) if fov else None
    except ValueError:
        raise InputError(
            f"step={step} fov={fov} are not numbers; give frames and degrees, such as step=2:fov=60."
        ) from None
    if gap < 1:
        raise InputError(f"step is {gap}; it needs a number of frames of at least 1.")
    _degrees(fov)
    known = camera_in(at_home(camera)) if camera else None
    far = whole_number("reach", reach)
    return (FramesDataset if place.is_dir() else VideoDataset)(place, gap, degrees, known, far)


class VideoDataset(Items):
    """Triplets of a film: target, the frame `step` before, the frame `step` after; both poses are to be predicted.

    Frames are decoded when they are needed, from the last keyframe before them: nothing is unpacked. They are upright
    and numbered in the order in which they are shown, whatever the times between them; no triplet goes over a pause of
    the film. One that goes over a cut raises `InputError` when it is read, and a training leaves it out.
    """

    def __init__(
        self,
        path: Path,
        step: int = 1,
        fov: float | None = None,
        camera: Pinhole | None = None,
        reach: int = 1,
    ) -> None:
        self.path, self.step, self.steps = path, step, steps_around(step, reach)
        described = describe(path)
        self.size, self.index = described.size, index_of(path)
        seconds = np.array(self.index.seconds)
        far = max(self.steps)
        _check_enough(path, len(seconds), far)
        self.camera = camera or _camera(path, self.size, fov or _written_angle(path), float(described.aspect))
        usual = float(np.median(np.diff(seconds)))
        paused = np.concatenate([[0], np.cumsum(np.diff(seconds) > PAUSE * usual)])
        steady = paused[2 * far :] == paused[: -2 * far]
        self.items: list[int] = [int(n) + far for n in np.flatnonzero(steady)]
        if not self.items:
            raise InputError(f"{path} has no {2 * far + 1} frames without a pause between them; give a smaller step.")
        _check_moves(self)

    def __getitem__(self, index: int) -> Sample:
        number = self.items[index]
        wanted = (number, *(number + step for step in self.steps))
        images = frames_at(self.path, self.index, wanted, self.size)
        return triplet(images, self.camera, f"{self.path.stem}/{number:06d}")

    def frames_around(self, targets: Sequence[int], size: Size) -> Iterator[tuple[int, list[OneImage] | None]]:
        """Yield frames (by number) with target, the one before and the one after, at `size`; None for those that cannot
        be decoded. All are decoded in one go."""
        reach = (0, -self.step, self.step)
        numbers = sorted({target + k for target in targets for k in reach})
        try:
            frames = dict(zip(numbers, frames_at(self.path, self.index, numbers, size), strict=True))
        except InputError as error:
            LOG.warning("%s", error)
            frames = {}
        for target in targets:
            yield target, [frames[target + k] for k in reach] if frames else None

    def files(self, index: int) -> Files:  # noqa: ARG002
        """Return the film, which is not a picture."""
        return Files((), (self.path,))

    def check(self, index: int) -> None:
        """Do nothing: the film was looked through when it was opened."""


class FramesDataset(Items):
    """Triplets of numbered pictures below a folder, such as `walk/frame_0001.png`, in the order of their numbers.

    Names that are alike but for the last number in them are one sequence, in each folder of its own, without gaps
    (`numbered_sequences`); no triplet goes over a gap, nor, when it is read, over a cut.
    """

    def __init__(
        self,
        path: Path,
        step: int = 1,
        fov: float | None = None,
        camera: Pinhole | None = None,
        reach: int = 1,
    ) -> None:
        self.path = path
        sequences = numbered_sequences(path)
        steps = steps_around(step, reach)
        far = max(steps)
        _check_enough(path, sum(map(len, sequences)), far)
        self.items: list[tuple[Path, ...]] = [
            (pictures[n], *(pictures[n + away] for away in steps))
            for pictures in sequences
            for n in range(far, len(pictures) - far)
        ]
        if not self.items:
            raise InputError(
                f"{path} has no frame with one {far} before and one {far} after it; "
                f"{'give a smaller step, or ' if far > 1 else ''}number the frames in a row."
            )
        size = image_size(self.items[0][0])
        self.camera = camera or _camera(path, size, fov)
        _check_moves(self)

    def __getitem__(self, index: int) -> Sample:
        paths = self.items[index]
        name = paths[0].relative_to(self.path).with_suffix("").as_posix()
        return triplet(read_views(paths), self.camera, name)

    def files(self, index: int) -> Files:
        return Files(self.items[index])


def numbered_sequences(path: Path) -> list[list[Path]]:
    """Return the sequences of numbered pictures below a folder, each in the order of its numbers, cut at gaps.

    Counted frames have the usual distance of numbers between them, and any other is a gap. Of frames named by times
    (`1305031102.175304.png`, milliseconds), whose distances differ a little, it is one of more than `PAUSE` times that.
    Maps of depth beside the frames, by their names, are left out, which is logged.
    """
    numbered: dict[tuple[Path, str], dict[Decimal, Path]] = defaultdict(dict)
    for picture in pictures_among(path.rglob("*"), path):
        if found := NUMBERED.fullmatch(picture.stem):
            numbered[picture.parent, found[1] + found[3]][Decimal(found[2])] = picture
    if not numbered:
        raise InputError(f"{path} has no numbered pictures, such as frame_0001.png; give a film, or number the frames.")
    maps = {key for key in numbered if OF_DEPTH.search(f"{key[0].relative_to(path)}/{key[1]}")}
    if 0 < len(maps) < len(numbered):
        one = next(iter(numbered[min(maps)].values()))
        LOG.warning(
            "%s: left out, since they are depth by their names: pictures such as %s.", path, one.relative_to(path)
        )
    else:
        maps = set()
    sequences = []
    for key, pictures in numbered.items():
        if key in maps:
            continue
        numbers = sorted(pictures)
        steps = [later - earlier for earlier, later in pairwise(numbers)]
        gaps = _gaps(steps)
        starts = [0, *(n + 1 for n, gap in enumerate(gaps) if gap), len(numbers)]
        sequences += [[pictures[n] for n in numbers[start:end]] for start, end in pairwise(starts)]
    return sequences


def _gaps(steps: Sequence[Decimal]) -> list[bool]:
    """Return which distances of numbers are gaps."""
    if not steps:
        return []
    unit, usual = Counter(steps).most_common(1)[0][0], median_low(steps)
    alike = sum(usual / 2 <= step <= 3 * usual / 2 for step in steps)
    fine = usual >= LEAST_TIME or usual % 1 != 0
    if fine and any(step % unit for step in steps) and alike >= len(steps) / 2:  # times
        return [step > Decimal(PAUSE) * usual for step in steps]
    return [step != unit for step in steps]


class RenderedClipDataset(Items):
    """Clips of `cyclopean render --rig clip` with the true poses withheld; depth and moving things are as there."""

    def __init__(self, path: Path) -> None:
        self.rendered = FolderDataset(path)
        self.items = self.rendered.items
        if self.rendered.description.get("rig") != "clip":
            raise InputError(f"{path} was not rendered with --rig clip; take it as folder:{path}.")

    def __getitem__(self, index: int) -> Sample:
        sample = self.rendered[index]
        sources = tuple(replace(source, from_target=None) for source in sample.sources)
        return with_frames(replace(sample, sources=sources), small_size(size_of(sample.depth)))

    def files(self, index: int) -> Files:
        return self.rendered.files(index)

    def check(self, index: int) -> None:
        self.rendered.check(index)

    def far(self, index: int) -> float:
        return self.rendered.far(index)

    def filed_depth(self, index: int) -> Depth | None:
        return self.rendered.filed_depth(index)


def triplet(images: Sequence[OneImage], camera: Pinhole, name: str) -> Sample:
    """Return target, frames before and as many after (nearest first) as a sample whose poses are unknown.

    Raises `InputError` if a new scene begins between them.
    """
    target, *others = images
    half = len(others) // 2
    shots = (*others[:half][::-1], target, *others[half:])  # in the order of time
    if any(cut_between(earlier, later) for earlier, later in pairwise(shots)):
        raise InputError(f"{name} lies at a cut: the frames before and after it are not of one scene.")
    sources = tuple(unposed(image, camera) for image in others)
    size = size_of(target)
    return with_frames(Sample(view(target, camera), sources, unknown_depth(size), name=(name,)), small_size(size))


def cut_between(earlier: OneImage, later: OneImage) -> bool:
    """Return whether a new scene begins: optical flow there and back agrees almost nowhere."""
    return motion(grey_within(earlier, COMPARED), grey_within(later, COMPARED)).cut


def small_size(size: Size) -> Size:
    """Return the (height, width) of whole frames for a pose network: at most those of 192x640 pixels, of whole 32s."""
    scale = min(1.0, math.sqrt(FRAME_PIXELS / (size[0] * size[1])))
    height, width = (max(FRAME_MULTIPLE, round(scale * n / FRAME_MULTIPLE) * FRAME_MULTIPLE) for n in size)
    return height, width


def camera_of(path: Path, fov: str = "", camera: str = "") -> tuple[Size, Pinhole, CameraSource]:
    """Return upright (height, width) of a film, or of the first of numbered pictures, its camera, and where that is
    known from.

    `fov` and `camera` are those of `clip`. Raises InputError for values that mean nothing.
    """
    degrees = _degrees(fov)
    if path.is_dir():
        size, aspect, written = image_size(numbered_sequences(path)[0][0]), 1.0, None
    else:
        described = describe(path)
        size, aspect, written = described.size, float(described.aspect), _written_angle(path)
    if camera:
        return size, camera_in(at_home(camera)), "given"
    if degrees is not None:
        return size, pinhole_of_angle(degrees, size, aspect), "given"
    known = pinhole_of_angle(written or FIELD_OF_VIEW, size, aspect)
    return size, known, "assumed" if written is None else "metadata"


def _degrees(fov: str) -> float | None:
    """Return a field of view in degrees; None for none."""
    try:
        degrees = float(fov) if fov else None
    except ValueError:
        raise InputError(f"fov={fov} is no number; give degrees along the longer side, such as fov=60.") from None
    if degrees is not None and not 1 <= degrees < 180:
        raise InputError(f"fov is {degrees:g}; it needs degrees along the longer side, from 1 to below 180.")
    return degrees


def _camera(path: Path, size: Size, degrees: float | None, aspect: float = 1.0) -> Pinhole:
    if degrees is None:
        LOG.warning("%s does not tell its focal length: %g degrees along its longer side are assumed; if you know "
                    "better, give clip:%s:fov=DEGREES, or :camera=FILE.", path, FIELD_OF_VIEW, path)  # fmt: skip
    return pinhole_of_angle(degrees or FIELD_OF_VIEW, size, aspect)


def camera_in(path: Path) -> Pinhole:
    """Return the pinhole camera of a JSON file: a camera profile, a sidecar, or a camera alone."""
    content = read_object(path)
    try:
        camera = camera_from_json(content["camera"] if isinstance(content.get("camera"), dict) else content)
    except (ValueError, KeyError) as error:
        raise InputError(f"{path} has no camera that can be understood ({shortened(error)}).") from None
    if not isinstance(camera, Pinhole):
        raise InputError(f"{path} has no pinhole camera; give a camera profile, or the field of view in degrees.")
    return camera


def _written_angle(path: Path) -> float | None:
    """Return the field of view along the longer side by a film's metadata, degrees; None where they have none."""
    with opened(path) as (container, stream):
        texts = [text for key, text in {**container.metadata, **stream.metadata}.items() if WRITTEN_FOCAL.search(key)]
        h, w = stream.codec_context.height, stream.codec_context.width
    for text in texts:
        number = re.match(r"\s*(\d+(?:\.\d+)?)", text)
        if number and 5 <= float(number[1]) <= 2000:
            side = FILM_DIAGONAL * max(h, w) / math.hypot(h, w)
            return math.degrees(2 * math.atan(side / 2 / float(number[1])))
    return None


def _check_enough(path: Path, count: int, step: int) -> None:
    if count < 2 * step + 1:
        frames = "1 frame" if count == 1 else f"{count} frames"
        raise InputError(
            f"{path} has {frames} in a row, and depth is learned from a frame, the one {step} before it and the one "
            f"{step} after it, {2 * step + 1} in all; give a longer clip{' or a smaller step' if step > 1 else ''}."
        )


def _check_moves(data: VideoDataset | FramesDataset) -> None:
    """Raise InputError if nothing moves in any of a few triplets, evenly spaced."""
    n = len(data)
    for index in sorted({round(k) for k in np.linspace(0, n - 1, min(n, LOOKED_AT))}):
        try:
            sample = data[index]
        except InputError:  # at a cut something moves; what is damaged is left out later
            return
        target, *others = (grey_within(v.image, COMPARED).astype(np.int16) for v in (sample.target, *sample.sources))
        if any(float(np.abs(other - target).mean()) > STILL for other in others):
            return
    raise InputError(f"nothing moves in {data.path}: depth is learned from motion; give a clip of a moving camera.")
