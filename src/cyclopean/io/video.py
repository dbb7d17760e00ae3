"""Decoded frames as a screen shows them, and pictures back in the place of frames."""

import time
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
from cyclopean.io.colour import by_numbers, to_srgb
from cyclopean.io.files import address, refuse_unreadable

Frame = Float[Tensor, "1 3 h w"]
Size = tuple[int, int]

# Numbers of colours in ITU-T H.273, which FFmpeg uses too.
RGB, BT709, UNKNOWN, SRGB = 0, 1, 2, 13
MATRICES = {1, 4, 5, 6, 7, 9}  # between YUV and RGB that swscale knows
HIGH_DYNAMIC_RANGE = {16: "PQ", 18: "HLG"}
LIMITED, FULL = 1, 2  # ranges of YUV; 0: not told, which is limited


@dataclass(frozen=True)
class Orientation:
    """How coded pictures come upright: rows and columns exchanged first, then each reversed. All eight there are."""

    transposed: bool = False
    rows_reversed: bool = False
    columns_reversed: bool = False

    @property
    def matrix(self) -> tuple[int, ...]:
        """The nine numbers of a display matrix, as MP4 and FFmpeg have them."""
        x, y = (-1 if reverse else 1 for reverse in (self.columns_reversed, self.rows_reversed))
        a, b, c, d = (0, y, x, 0) if self.transposed else (x, 0, 0, y)
        return a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30

    def upright(self, array: np.ndarray) -> np.ndarray:
        """Return a coded picture (rows, columns, ...) upright."""
        array = array.swapaxes(0, 1) if self.transposed else array
        return array[:: -1 if self.rows_reversed else 1, :: -1 if self.columns_reversed else 1]

    def coded(self, array: np.ndarray) -> np.ndarray:
        """Return an upright picture as it is coded."""
        array = array[:: -1 if self.rows_reversed else 1, :: -1 if self.columns_reversed else 1]
        return array.swapaxes(0, 1) if self.transposed else array

    def sides(self, size: Size) -> Size:
        """Return (height, width) of the other side of `upright` and `coded`."""
        return size[::-1] if self.transposed else size


def orientation_of(frame: Any) -> Orientation:
    """Return how a frame is turned and mirrored: the one of the eight ways nearest to its display matrix."""
    try:
        data = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:  # PyAV gives none of them when one is of a kind it does not know, such as EXIF
        turned = ((False, False, False), (True, True, False), (False, True, True), (True, False, True))
        return Orientation(*turned[round(frame.rotation / 90) % 4])  # quarter turns counter-clockwise
    if data is None:
        return Orientation()
    a, b, _, c, d = np.frombuffer(bytes(data), np.int32)[:5].astype(float).tolist()
    if abs(b) + abs(c) > abs(a) + abs(d):
        return Orientation(True, b < 0, c < 0)
    return Orientation(False, d < 0, a < 0)


def size_of(frame: Any) -> Size:
    """Return the upright (height, width) of a frame."""
    return orientation_of(frame).sides((frame.height, frame.width))


def upright(frame: Any, size: Size) -> Frame:
    """Return a frame as a screen shows it, in [0,1]: upright at `size`, over white, high dynamic range made SDR."""
    orientation = orientation_of(frame)
    deep = frame.color_trc in HIGH_DYNAMIC_RANGE
    kind = {(False, False): "rgb24", (False, True): "rgb48le", (True, False): "rgba", (True, True): "rgba64le"}
    height, width = orientation.sides(size)
    array = frame.reformat(width=width, height=height, format=kind[has_alpha(frame), deep]).to_ndarray()
    if array.shape[2] == 3 and not deep:
        return _tensor(orientation.upright(array)).permute(2, 0, 1)[None].contiguous() / 255
    values = array.astype(np.float32) / (65535 if deep else 255)
    colours, alpha = values[..., :3], values[..., 3:]
    coding = by_numbers(frame.color_primaries, frame.color_trc) if deep else None
    if coding is not None:
        colours = to_srgb(colours, coding)
    if alpha.size:
        colours = colours * alpha + (1 - alpha)
    return _tensor(orientation.upright(colours)).permute(2, 0, 1)[None].contiguous()


def has_alpha(frame: Any) -> bool:
    """Return whether pixels may be transparent."""
    return frame.format.name == "pal8" or any(component.is_alpha for component in frame.format.components)


def _tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array))


@dataclass(frozen=True)
class Tags:
    """What a file says of its colours, by the numbers of ITU-T H.273: those its pixels are written by."""

    colorspace: int = UNKNOWN
    color_range: int = 0
    color_primaries: int = UNKNOWN
    color_trc: int = UNKNOWN


def tags_like(frame: Any) -> Tags:
    """Return the tags for pictures in the place of `frame`: its own, where 8-bit YUV can have them.

    RGB becomes YUV of BT.709, and so does a matrix that cannot be computed; high dynamic range has become sRGB.
    """
    if frame.color_trc in HIGH_DYNAMIC_RANGE:
        return Tags(BT709, LIMITED, BT709, SRGB)
    matrix, scale = frame.colorspace, frame.color_range
    if frame.format.is_rgb or frame.format.name == "pal8" or matrix not in MATRICES | {UNKNOWN}:
        matrix, scale = BT709, LIMITED
    elif frame.format.name.startswith("yuvj"):
        scale = FULL
    return Tags(matrix, scale, frame.color_primaries, frame.color_trc)


def coded(picture: Frame, orientation: Orientation, tags: Tags) -> Any:
    """Return a frame of `yuv420p` for the encoder; an odd last row or column is repeated."""
    import av

    rgb = picture[0].clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).cpu().numpy()
    array = orientation.coded(rgb)
    h, w = array.shape[:2]
    array = np.ascontiguousarray(np.pad(array, ((0, h % 2), (0, w % 2), (0, 0)), mode="edge"))
    return av.VideoFrame.from_ndarray(array, format="rgb24").reformat(
        format="yuv420p",
        dst_colorspace=None if tags.colorspace == UNKNOWN else tags.colorspace,
        dst_color_range=tags.color_range or None,
    )


def progressive(frames: Iterable[Any], unit: Fraction) -> Iterator[Any]:
    """Yield as many frames, at the same times in ticks of `unit`: interlaced ones as whole pictures (BWDIF).

    From the first interlaced frame on each comes one later, since its neighbours are looked at.
    """
    graph, kind = None, None
    for frame in frames:
        here = (frame.format.name, frame.width, frame.height)
        if graph is not None and here != kind:
            yield from _filtered(graph, None, unit)
            graph = None
        if graph is None and frame.interlaced_frame:
            graph, kind = _deinterlacer(frame, unit), here
        if graph is None:
            yield frame
        else:
            yield from _filtered(graph, frame, unit)
    if graph is not None:
        yield from _filtered(graph, None, unit)


def _deinterlacer(frame: Any, unit: Fraction) -> Any:
    from av.filter import Graph

    graph = Graph()
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=unit)
    graph.link_nodes(source, graph.add("bwdif", "mode=send_frame:deint=interlaced"), graph.add("buffersink"))
    graph.configure()
    return graph


def _filtered(graph: Any, frame: Any, unit: Fraction) -> Iterator[Any]:
    """Push a frame, or None at the end, and yield what has become ready."""
    import av

    graph.vpush(frame)
    while True:
        try:
            ready = graph.vpull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
        if ready.pts is not None:
            ready.pts = round(ready.pts * ready.time_base / unit)
        ready.time_base = unit
        yield ready


def remarks(frame: Any, size: Size) -> Iterator[str]:
    """Yield a sentence for each thing about a clip's pictures that is not kept, by its first frame."""
    height, width = size
    if round(frame.rotation) % 90:
        yield f"it is to be shown turned by {frame.rotation:.0f} degrees; only quarter turns are kept."
    if has_alpha(frame):
        yield "it has transparent pixels, which are laid over white."
    if frame.color_trc in HIGH_DYNAMIC_RANGE:
        name = HIGH_DYNAMIC_RANGE[frame.color_trc]
        yield f"it has a high dynamic range ({name}), which is brought to that of ordinary screens (white at 203 nits)."
    elif max((component.bits for component in frame.format.components), default=8) > 8:
        yield f"it has more than 8 bits a colour ({frame.format.name}); videos are written with 8."
    if frame.interlaced_frame:
        yield "it is interlaced; its frames are made whole (progressive), as many as before."
    if not (frame.format.is_rgb or frame.colorspace in MATRICES | {RGB, UNKNOWN}):
        yield f"its colours are coded in a way that is not known (matrix {frame.colorspace}); they may be off."
    if height % 2 or width % 2:
        yield (
            f"it is {width}x{height} pixels, and videos are written with even sizes: its last row or column is "
            f"repeated ({width + width % 2}x{height + height % 2})."
        )


MEGAPIXELS = 120.0  # of a frame, unless the caller has another limit
PATIENCE = 60.0  # seconds in which a file has to open, to say what it is, and to give each packet
FASTEST = 240  # frames a second that are believed without counting
STARTS_ANYWHERE = ("mpegts", "mpeg")  # containers whose clock means nothing before the first packet

# FFmpeg's names of the containers that are opened. None of them makes FFmpeg open another file or a host: playlists,
# lists of files, numbered pictures, descriptions of streams and devices are not among them, whatever a file is called.
CONTAINERS = (
    "mov",
    "matroska",
    "avi",
    "mpegts",
    "flv",
    "asf",
    "mpeg",
    "mpegvideo",
    "ogg",
    "mxf",
    "dv",
    "mjpeg",
    "yuv4mpegpipe",
)
ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}  # FFmpeg's own decoders leave alpha out


@dataclass(frozen=True)
class Clip:
    """A video by its header and first frame, or by its packets.

    Frames per second; about how many frames and seconds (0: there are none); upright (height, width); a sentence for
    each thing about its pictures that no result keeps; seconds of a tick of its clock; width of an upright pixel over
    its height.
    """

    rate: Fraction
    count: int
    seconds: float = 0.0
    size: Size = (0, 0)
    remarks: tuple[str, ...] = ()
    unit: Fraction = Fraction(1, 90000)
    aspect: Fraction = Fraction(1)


@dataclass(frozen=True)
class Still:
    """One frame: upright, in [0,1]; its place in the clip and its seconds since the first one.

    `time` is when it is shown, in seconds of the clip's own clock, on which its sound is too.
    """

    image: Frame
    index: int
    seconds: float
    time: Fraction


def describe(path: Path, max_megapixels: float = MEGAPIXELS, patience: float = PATIENCE) -> Clip:
    """Return what the header and the first frame of a clip say. A length that neither does, or that is
    doubtful, is counted, undecoded.

    Files that were written as they were filmed, such as a browser's WebM, do not say how long they are. Raises
    InputError for files that are missing, damaged, no clip of a kind that is read, too large for the limit, or not
    looked through within `patience` seconds.
    """
    end = time.monotonic() + patience
    with opened(path, max_megapixels) as (container, stream):
        rate = stream.average_rate or Fraction(25)
        seconds = float(stream.duration * stream.time_base) if stream.duration else (container.duration or 0) / 1e6
        packets = _in_time(path, container.demux(stream), end)
        first = next(decoded(path, max_megapixels, packets, stream), None)
        clip = Clip(rate, stream.frames or round(seconds * rate), seconds, unit=stream.time_base)
        doubtful = not seconds or container.format.name == "mpeg" or not (stream.frames or rate <= FASTEST)
        if first is not None:
            size = size_of(first)
            aspect = stream.sample_aspect_ratio or Fraction(1)
            others = [f"of its {len(films)} films the one of {first.width}x{first.height} pixels is read."
                      for films in [_films(container)] if len(films) > 1]  # fmt: skip
            said = tuple(f"{path.name}: {remark}" for remark in (*others, *remarks(first, size)))
            aspect = aspect if size == (first.height, first.width) else 1 / aspect
            clip = replace(clip, size=size, remarks=said, aspect=aspect)
    return _counted(path, clip, max_megapixels, end) if doubtful else clip


def _counted(path: Path, clip: Clip, max_megapixels: float, end: float) -> Clip:
    """`clip` with the number and the times of its packets, and the frame rate that follows, if another was guessed."""
    with opened(path, max_megapixels) as (container, stream), _readable(path, max_megapixels):
        ticks = [packet.pts for packet in _in_time(path, container.demux(stream), end) if packet.size]
        times = [float(tick * stream.time_base) for tick in ticks if tick is not None]
    count, span = len(ticks), max(times, default=0.0) - min(times, default=0.0)
    if len(times) < max(2, count) or span == 0:  # times that are missing, or all the same, are no length
        return replace(clip, count=count, seconds=float(count / clip.rate))
    rate = (count - 1) / span
    kept = clip.rate if abs(rate / clip.rate - 1) < 0.05 else Fraction(rate).limit_denominator(1001)
    return replace(clip, rate=kept, count=count, seconds=span * count / (count - 1))


def frames(path: Path, every: int = 1, max_megapixels: float = MEGAPIXELS) -> Iterator[Frame]:
    """Yield the upright frames of a clip in [0,1], each `every`-th of them, decoded as they are asked for."""
    for still in stills(path, lambda index, _: index % every == 0, max_megapixels):
        yield still.image


def stills(
    path: Path,
    wanted: Callable[[int, float], bool] = lambda _index, _seconds: True,
    max_megapixels: float = MEGAPIXELS,
) -> Iterator[Still]:
    """Yield the frames of a clip for whose (index, seconds) `wanted` is true, all at the size of the first."""
    with opened(path, max_megapixels) as (container, stream):
        clock = Clock(container, stream)
        coded = decoded(path, max_megapixels, container.demux(stream), stream)
        size: Size | None = None
        for index, frame in enumerate(progressive(coded, stream.time_base)):
            ticks = clock(frame)
            size = size or size_of(frame)
            if wanted(index, clock.seconds(ticks)):
                yield Still(upright(frame, size), index, clock.seconds(ticks), clock.time(ticks))


@contextmanager
def opened(path: Path, max_megapixels: float = MEGAPIXELS) -> Iterator[tuple[Any, Any]]:
    """Open the clip at `path` and give FFmpeg's container and the stream of its film.

    Everything that opens a clip opens it here. Raises InputError for what is no clip, and for frames above the limit.
    """
    import av

    refuse_unreadable(path)
    pixels = int(min(max(max_megapixels, 0) * 1e6, 2**31 - 1))
    options = {
        "format_whitelist": ",".join(CONTAINERS),
        "protocol_whitelist": "file",
        "max_pixels": str(pixels),  # of the decoders: before they take memory
    }
    try:
        container = av.open(address(path), options=options, metadata_errors="replace", timeout=PATIENCE)
    except (av.error.FFmpegError, OSError, ValueError):
        raise InputError(f"{path} is no video that can be read; give MP4, MOV, MKV, AVI, WebM or the like.") from None
    with container:
        films = _films(container)
        if not films:
            raise InputError(f"{path} has no picture track; give a video.")
        stream = films[0]
        if stream.codec_context is None:
            raise InputError(f"{path} is coded in a way that is not known here; convert it to MP4 (H.264).")
        h, w = stream.codec_context.height, stream.codec_context.width
        if h * w > pixels:
            raise InputError(
                f"{path} is {w}x{h} pixels ({h * w / 1e6:.1f} megapixels), the limit is {max_megapixels:g}; "
                "shrink it, or raise the limit with --max-megapixels."
            )
        stream.thread_type = "AUTO"
        stream.codec_context.options = {"max_pixels": str(pixels)}
        yield container, stream


def is_cover(stream: Any) -> bool:
    """Return whether a stream of pictures is a cover or a thumbnail, no film."""
    from av.stream import Disposition

    return bool(
        stream.disposition & (Disposition.attached_pic | Disposition.still_image | Disposition.timed_thumbnails)
    )


def _films(container: Any) -> list[Any]:
    """The streams of pictures that move, the film first: that can be decoded, has more than one frame, is marked as
    the default, and is the largest."""
    from av.stream import Disposition

    def rank(stream: Any) -> tuple[bool, bool, bool, int]:
        known = stream.codec_context is not None
        pixels = stream.codec_context.width * stream.codec_context.height if known else 0
        return known, stream.frames != 1, bool(stream.disposition & Disposition.default), pixels

    return sorted((s for s in container.streams.video if not is_cover(s)), key=rank, reverse=True)


def decoded(path: Path, max_megapixels: float, packets: Iterable[Any], stream: Any) -> Iterator[Any]:
    """Yield the frames in `packets` of `stream`; InputError for what is damaged, or grows beyond the limit."""
    decoder = _decoder(stream)
    with _readable(path, max_megapixels):
        for packet in packets:
            if packet.size or packet.dts is None:  # a packet that is empty and has a time repeats the last frame
                yield from decoder.decode(packet if packet.size else None)


def _decoder(stream: Any) -> Any:
    """The decoder of a stream: one that knows alpha where there is some."""
    import av

    name = ALPHA_DECODERS.get(stream.codec_context.name)
    alpha = any(key.lower() == "alpha_mode" and value == "1" for key, value in stream.metadata.items())
    if name is None or not alpha or name not in av.codecs_available:
        return stream.codec_context
    decoder = av.CodecContext.create(name, "r")
    decoder.options = stream.codec_context.options
    return decoder


@contextmanager
def _readable(path: Path, max_megapixels: float) -> Iterator[None]:
    import av

    try:
        yield
    except av.error.ArgumentError:  # what a decoder raises that would need more pixels than it may have
        raise InputError(
            f"{path} is damaged, or holds frames above the limit of {max_megapixels:g} megapixels; give a whole file, "
            "or raise the limit with --max-megapixels."
        ) from None
    except av.error.FFmpegError as error:
        raise InputError(f"{path} is damaged or cut short ({error.strerror}); give a whole file.") from None


def _in_time(path: Path, packets: Iterable[Any], end: float) -> Iterator[Any]:
    for packet in packets:
        if time.monotonic() > end:
            raise InputError(f"{path} was not looked through in time; convert it to MP4 (H.264).")
        yield packet


class Clock:
    """When each frame is shown, in ticks of the stream's time base: later than the one before, whatever the file says.

    By number and frame rate where the file gives no times, or times that go back. AVI has none but the order of its
    packets, which is not that of its frames when the codec reorders them.
    """

    def __init__(self, container: Any, stream: Any) -> None:
        self.base = stream.time_base
        self.step = max(1, round(1 / (stream.average_rate or Fraction(25)) / self.base))
        self.numbered = container.format.name == "avi" and bool(stream.codec_context.has_b_frames)
        self.origin = origin_of(container)
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
        """Return the seconds since the first frame."""
        return float((ticks - (self.start or 0)) * self.base)

    def time(self, ticks: int) -> Fraction:
        """Return the seconds since the beginning of the clip, which may be before its first frame."""
        return ticks * self.base - self.origin


def origin_of(container: Any) -> Fraction:
    """Return where the clock of a container begins, in seconds."""
    started = container.format.name in STARTS_ANYWHERE and container.start_time
    return Fraction(container.start_time, 1_000_000) if started else Fraction(0)
