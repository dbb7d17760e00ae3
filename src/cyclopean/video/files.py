"""Frames of a video in and out, one at a time: memory does not grow with the length of the clip."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from cyclopean.errors import InputError

SUFFIXES = (".mp4", ".mov", ".m4v", ".mkv", ".avi", ".webm")
QUALITY = {"crf": "18", "preset": "veryfast"}
COLOURS = ("colorspace", "color_range", "color_primaries", "color_trc")
UNKNOWN = 2  # FFmpeg's number for colours that nobody told; a range that nobody told is 0
TECHNICAL = ("encoder", "major_brand", "minor_version", "compatible_brands")  # words about the old file itself

Frame = Float[Tensor, "1 3 h w"]


@dataclass(frozen=True)
class Clip:
    """A video by its header, or by its packets: frames per second, about how many frames and seconds (0: there are
    none), upright (height, width)."""

    rate: Fraction
    count: int
    seconds: float = 0.0
    size: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Still:
    """One frame: upright, in [0,1]; its place in the clip and its seconds since the first one."""

    image: Frame
    index: int
    seconds: float


def describe(path: Path) -> Clip:
    """What the header of the video at `path` says; what it does not is counted, without decoding.

    Files that were written as they were filmed, such as a browser's WebM, do not say how long they are. Raises
    InputError if the file is missing or no video.
    """
    with opened(path) as (container, stream):
        rate = stream.average_rate or Fraction(25)
        seconds = float(stream.duration * stream.time_base) if stream.duration else (container.duration or 0) / 1e6
        size = (stream.codec_context.height, stream.codec_context.width)
        sideways = _turns(next(_decoded(path, container.decode(stream)), None)) % 2
    clip = Clip(rate, stream.frames or round(seconds * rate), seconds, size[::-1] if sideways else size)
    return clip if seconds else _counted(path, clip)


def _counted(path: Path, clip: Clip) -> Clip:
    """`clip` with the number and the times of its packets, and the frame rate that follows, if another was guessed."""
    with opened(path) as (container, stream):
        packets = _decoded(path, container.demux(stream))
        ticks = [packet.pts for packet in packets if packet.size]
        times = [float(tick * stream.time_base) for tick in ticks if tick is not None]
    count, span = len(ticks), max(times, default=0.0) - min(times, default=0.0)
    if len(times) < max(2, count) or span == 0:  # times that are missing, or all the same, are no length
        return replace(clip, count=count, seconds=float(count / clip.rate))
    rate = (count - 1) / span
    kept = clip.rate if abs(rate / clip.rate - 1) < 0.05 else Fraction(rate).limit_denominator(1001)
    return Clip(kept, count, span * count / (count - 1), clip.size)


def frames(path: Path, every: int = 1) -> Iterator[Frame]:
    """The upright frames of a video in [0,1], each `every`-th of them, decoded as they are asked for."""
    for still in stills(path, lambda index, _: index % every == 0):
        yield still.image


def stills(path: Path, wanted: Callable[[int, float], bool] = lambda _index, _seconds: True) -> Iterator[Still]:
    """The frames of a video for whose (index, seconds) `wanted` is true, decoded as they are asked for."""
    with opened(path) as (container, stream):
        clock = _Clock(container, stream)
        for index, frame in enumerate(_decoded(path, container.decode(stream))):
            seconds = clock.seconds(clock(frame))
            if wanted(index, seconds):
                yield Still(_upright(frame), index, seconds)


def write_video(path: Path, pictures: Iterable[Frame], rate: Fraction) -> int:
    """Encode `pictures` as H.264 (an odd last row or column is repeated for the codec); returns how many there were.

    Writes to `path` itself: give a path inside `depthmap.appearing` if it must appear whole.
    """
    import av

    count = 0
    with av.open(str(path), "w") as container:
        stream: Any = None
        for picture in pictures:
            array = _even(_bytes(picture))
            if stream is None:
                stream = container.add_stream("libx264", rate=rate, options=QUALITY)
                stream.height, stream.width = array.shape[:2]
                stream.pix_fmt = "yuv420p"
            container.mux(stream.encode(av.VideoFrame.from_ndarray(array, format="rgb24")))
            count += 1
        if stream is not None:
            container.mux(stream.encode())
    return count


def rewrite(source: Path, target: Path, change: Callable[[Iterator[Still]], Iterable[Frame]]) -> int:
    """The video `source` with other pictures, as H.264 in `target`; returns how many frames it has.

    `change` takes the frames and yields a picture of the same size for each, in order. Sound is copied as it is, and
    times, rotation, colour space and what the file tells of itself stay. Odd last rows and columns are repeated.
    Writes to `target` itself: give a path inside `depthmap.appearing`. Raises InputError if `source` is damaged, or
    holds what `target` cannot.
    """
    import av

    with (
        _writing(source, target),
        opened(source) as (container, stream),
        av.open(str(target), "w", options=_options(target)) as result,
    ):
        result.metadata.update({k: v for k, v in container.metadata.items() if k.lower() not in TECHNICAL})
        turns = _first_turns(source)
        with _writing(source, target, ValueError):  # so says PyAV that a container does not take a codec
            film, sounds = _film_like(stream, result, turns), _sounds_like(container, result)
        waiting: deque[tuple[Any, int]] = deque()
        packets = _demuxed(source, container, stream, sounds, result)
        count = 0
        for picture in change(_queued(_Clock(container, stream), packets, waiting)):
            for packet in film.encode(_frame_like(*waiting.popleft(), picture, stream.time_base)):
                result.mux(packet)
            count += 1
        result.mux(film.encode())
        return count


def _queued(clock: "_Clock", decoded: Iterator[Any], waiting: deque[tuple[Any, int]]) -> Iterator[Still]:
    """Frames as stills; the frames themselves, with their ticks, wait until their new pictures come back."""
    for index, frame in enumerate(decoded):
        ticks = clock(frame)
        waiting.append((frame, ticks))
        yield Still(_upright(frame), index, clock.seconds(ticks))


def _demuxed(path: Path, container: Any, stream: Any, sounds: dict[int, Any], result: Any) -> Iterator[Any]:
    """The decoded frames of the pictures; sound on the way goes straight into `result`."""
    import av

    try:
        for packet in container.demux(stream, *(container.streams[index] for index in sounds)):
            if packet.stream.index not in sounds:
                yield from packet.decode()
            elif packet.dts is not None:
                packet.stream = sounds[packet.stream.index]
                with _writing(path, Path(result.name)):
                    result.mux(packet)
    except av.error.FFmpegError as error:
        raise _damaged(path, error) from None


def _options(target: Path) -> dict[str, str]:
    """MP4 keeps words of phones, such as the place, and can be played while it loads."""
    return {"movflags": "use_metadata_tags+faststart"} if target.suffix.lower() in (".mp4", ".m4v", ".mov") else {}


def _first_turns(path: Path) -> int:
    """Quarter turns of the first frame: a file has to say them before anything is written to it."""
    with opened(path) as (container, stream):
        return _turns(next(_decoded(path, container.decode(stream)), None))


def _film_like(stream: Any, result: Any, turns: int) -> Any:
    """A track for pictures with the size, clock and colours of `stream`, to be shown turned."""
    film = result.add_stream("libx264", rate=stream.average_rate or 25, options=QUALITY)
    height, width = stream.codec_context.height, stream.codec_context.width
    film.height, film.width, film.pix_fmt = height + height % 2, width + width % 2, "yuv420p"
    film.time_base = film.codec_context.time_base = stream.time_base
    if stream.sample_aspect_ratio:
        film.codec_context.sample_aspect_ratio = stream.sample_aspect_ratio
    if turns:
        film.set_display_rotation(90 * turns)
    for name in COLOURS:
        setattr(film.codec_context, name, getattr(stream.codec_context, name))
    return film


def _sounds_like(container: Any, result: Any) -> dict[int, Any]:
    """A track for every track of sound, by the index of the old one."""
    return {stream.index: result.add_stream_from_template(stream) for stream in container.streams.audio}


def _frame_like(frame: Any, ticks: int, picture: Frame, unit: Fraction) -> Any:
    """`picture` in the place of `frame`: turned back, in its colours, at its time, `ticks` of `unit` seconds."""
    import av

    array = np.rot90(_bytes(picture), -_turns(frame))
    made = av.VideoFrame.from_ndarray(_even(array), format="rgb24")
    space = None if frame.colorspace == UNKNOWN else frame.colorspace
    made = made.reformat(format="yuv420p", dst_colorspace=space, dst_color_range=frame.color_range or None)
    made.pts, made.time_base = ticks, unit
    return made


class _Clock:
    """When each frame is shown, in ticks of the stream's time base: later than the one before, whatever the file says.

    By number and frame rate where the file gives no times, or times that go back. AVI has none but the order of its
    packets, which is not that of its frames when the codec reorders them.
    """

    def __init__(self, container: Any, stream: Any) -> None:
        self.base = stream.time_base
        self.step = max(1, round(1 / (stream.average_rate or Fraction(25)) / self.base))
        self.numbered = container.format.name == "avi" and bool(stream.codec_context.has_b_frames)
        self.start: int | None = None
        self.last = 0

    def __call__(self, frame: Any) -> int:
        told = None if self.numbered else frame.pts
        self.last = (told or 0) if self.start is None else self._next(told)
        self.start = self.last if self.start is None else self.start
        return self.last

    def _next(self, told: int | None) -> int:
        if told == self.last:  # half a frame on, so that the next one's own time can still be kept
            return self.last + max(1, self.step // 2)
        return self.last + self.step if told is None or told < self.last else told

    def seconds(self, ticks: int) -> float:
        """Since the first frame."""
        return float((ticks - (self.start or 0)) * self.base)


def _turns(frame: Any) -> int:
    """Quarter turns counter-clockwise that make a frame upright."""
    return round(getattr(frame, "rotation", 0) / 90)


def _upright(frame: Any) -> Frame:
    rgb = np.rot90(frame.to_ndarray(format="rgb24"), _turns(frame))
    return torch.from_numpy(rgb.copy()).permute(2, 0, 1)[None].contiguous() / 255


def _bytes(picture: Frame) -> np.ndarray:
    return picture[0].clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).cpu().numpy()


def _even(array: np.ndarray) -> np.ndarray:
    h, w = array.shape[:2]
    return np.ascontiguousarray(np.pad(array, ((0, h % 2), (0, w % 2), (0, 0)), mode="edge"))


@contextmanager
def _writing(source: Path, target: Path, *kinds: type[Exception]) -> Iterator[None]:
    """What the codec or the container refuses, by errors of FFmpeg or of `kinds`, as one sentence."""
    import av

    caught: tuple[type[Exception], ...] = (av.error.FFmpegError, *kinds)
    try:
        yield
    except caught as error:
        why = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{source} cannot be written again as {target.suffix} ({why}); convert it to MP4.") from None


@contextmanager
def opened(path: Path) -> Iterator[tuple[Any, Any]]:
    """Open the clip at `path`: FFmpeg's container and the stream of its pictures. Raises InputError for other files."""
    import av

    if not path.is_file():
        raise InputError(f"there is no file {path}; check the path.")
    try:
        container = av.open(str(path))
    except (av.error.FFmpegError, OSError, ValueError):
        raise InputError(f"{path} is no video that can be read; give MP4, MOV, MKV, AVI or WebM.") from None
    with container:
        if not container.streams.video:
            raise InputError(f"{path} has no picture track; give a video.")
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        yield container, stream


def _decoded(path: Path, decoded: Iterable[Any]) -> Iterator[Any]:
    import av

    try:
        yield from decoded
    except av.error.FFmpegError as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Any) -> InputError:
    return InputError(f"{path} is damaged or cut short ({error.strerror}); give a whole file.")
