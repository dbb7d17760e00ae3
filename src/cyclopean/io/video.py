"""Reading of clips: the properties in their headers, and their frames with times. Only the file itself is opened."""

import logging
import math
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from cyclopean.errors import InputError
from cyclopean.io.files import address, refuse_unreadable
from cyclopean.io.limits import MOST_MEGAPIXELS as MEGAPIXELS
from cyclopean.io.limits import SHRINK, above
from cyclopean.io.picture_files import content_kind
from cyclopean.io.video_clock import Clock, Timeline, lateness, stated_span
from cyclopean.io.video_damage import Beginning, cut_short, ends_of_frames, lost_bytes, parts
from cyclopean.io.video_frames import (
    Crop,
    Frame,
    Size,
    cropped,
    is_hidden,
    orientation_of,
    pixel_aspect,
    progressive,
    remarks,
    remarks_on_writing,
    shaped,
    size_of,
    square_size,
    stretched,
    upright,
)

Grey = UInt8[np.ndarray, "h w"]

LOG = logging.getLogger(__name__)
PATIENCE = 60.0  # seconds, at most, to open a file, to describe it, and to get each packet
FASTEST = 240  # frames per second that are accepted without counting
SAME_SHAPE = 0.02  # by which the logarithms of two frames' shapes may differ, as odd sizes make them
EARLY = 0.5  # seconds before the end in its header at which a film may end
MOST_HIDDEN = 1e10  # pixels without one that is seen, after which none is expected
MOST_COUNTED = 2000  # packets, within which every film has two
MOST_SEARCHED = 4e9  # bytes of an MPEG transport stream whose frames are counted

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
    """Description of a video by its header and first frame, or by its packets.

    Frames per second; about how many frames and seconds (0: there are none); upright (height, width); a sentence for
    each property of its pictures that is lost when they are read, and when they are written; seconds of a tick of its
    clock; width of an upright pixel over its height; how many seconds after the clip's beginning the first frame is
    shown.
    """

    rate: Fraction
    count: int
    seconds: float = 0.0
    size: Size = (0, 0)
    remarks: tuple[str, ...] = ()
    remarks_on_writing: tuple[str, ...] = ()
    unit: Fraction = Fraction(1, 90000)
    aspect: Fraction = Fraction(1)
    late: float = 0.0

    @property
    def end(self) -> float:
        """Seconds from the clip's beginning to the end of its last frame."""
        return self.late + self.seconds


@dataclass(frozen=True)
class Still:
    """One frame: upright, in [0,1]; its place in the clip and its seconds since the clip's beginning.

    A clip begins with its earliest track, as in players. `time` is when the frame is shown, in seconds of the file's
    own clock, which its sound shares, and `duration` for how long, 0 where the file does not state it. `aspect`: width
    of a pixel over its height.
    """

    image: Frame
    index: int
    seconds: float
    time: Fraction
    duration: Fraction = Fraction(0)
    aspect: Fraction = Fraction(1)

    @property
    def square(self) -> Frame:
        """The frame in square pixels, as players show it."""
        size = self.image.shape[-2], self.image.shape[-1]
        return self.image if self.aspect == 1 else stretched(self.image, square_size(size, self.aspect)).clamp(0, 1)


def describe(path: Path, max_megapixels: float = MEGAPIXELS, patience: float = PATIENCE) -> Clip:
    """Return the properties in a clip's header and first frame; count frames, undecoded, if these are doubtful.

    Files that were written while filming, such as a browser's WebM, have no length in their header. Raises InputError
    for files that are missing, damaged, not a supported clip, too large for the limit, or not counted within `patience`
    seconds.
    """
    end = time.monotonic() + patience
    with opened(path, max_megapixels) as (container, stream):
        rate = stream.average_rate or Fraction(25)
        start, stop = stated_span(container, stream)
        seconds = float(stop - start)
        packets = _in_time(path, Timeline(container).packets(stream), end)
        sought = container.format.name == "mpeg" or (
            container.format.name == "mpegts" and path.stat().st_size < MOST_SEARCHED
        )  # their length is a guess by the last time, and wrong in joined recordings
        first = next(decoded(path, max_megapixels, packets, stream), None)
        cut_out = sum(entry.is_discard for entry in stream.index_entries)  # by the edit list of an MP4
        clip = Clip(rate, max(0, stream.frames - cut_out) or round(seconds * rate), seconds, unit=stream.time_base)
        cut = cut_short(path, stream)
        doubtful = not seconds or sought or cut or not (stream.frames or rate <= FASTEST)
        if first is not None:
            size = size_of(first)
            late = lateness(container, (first.pts or 0) * stream.time_base, 1 / rate)
            notes = list(remarks(first, partial(alpha_hides, path, max_megapixels)))
            if (films := len(_films(container))) > 1:
                notes.insert(
                    0, f"of its {films} tracks of pictures the one of {first.width}x{first.height} pixels is read."
                )
            clip = replace(
                clip,
                late=float(late),
                size=size,
                aspect=pixel_aspect(first),
                remarks=(*([cut] if cut else []), *(f"{path.name}: {note}" for note in notes)),
                remarks_on_writing=tuple(f"{path.name}: {note}" for note in remarks_on_writing(first, size)),
            )
    if not doubtful:
        return clip
    with opened(path, max_megapixels) as (container, stream), _readable(path, max_megapixels):
        packets = _in_time(path, Timeline(container).packets(stream), end)
        ticks = [packet.pts for packet in packets if packet.size and not packet.is_discard]
        times = [float(tick * stream.time_base) for tick in ticks if tick is not None]
    count, span = len(ticks), max(times, default=0.0) - min(times, default=0.0)
    if len(times) < max(2, count) or span == 0:  # missing or equal times give no length
        return replace(clip, count=count, seconds=float(count / clip.rate))
    rate = (count - 1) / span
    if abs(rate / clip.rate - 1) >= 0.05:  # the header's was a guess
        clip = replace(clip, rate=Fraction(rate).limit_denominator(1001))
    return replace(clip, count=count, seconds=span * count / (count - 1))


def frames(path: Path, every: int = 1, max_megapixels: float = MEGAPIXELS) -> Iterator[Frame]:
    """Yield every `every`-th frame of a clip, upright, in [0,1], decoded one by one."""
    for still in stills(path, lambda index, _: index % every == 0, max_megapixels):
        yield still.image


def stills(
    path: Path,
    wanted: Callable[[int, float], bool] | None = None,
    max_megapixels: float = MEGAPIXELS,
) -> Iterator[Still]:
    """Yield the frames of a clip, all at the size of the first, or those for whose (index, seconds) `wanted` is true.

    If all are taken, the numbers of damaged frames and of those of other sizes are logged.
    """
    with opened(path, max_megapixels) as (container, stream):
        clock = Clock(container, stream)
        coded = decoded(path, max_megapixels, Timeline(container).packets(stream), stream)
        coded = with_report(path, coded) if wanted is None else coded
        size: Size | None = None
        for index, frame in enumerate(progressive(coded, stream.time_base)):
            ticks = clock(frame)
            size = size or size_of(frame)
            if wanted is None or wanted(index, clock.seconds(ticks)):
                image = upright(frame, size, partial(alpha_hides, path, max_megapixels))
                duration = clock.duration(frame) * clock.base
                yield Still(image, index, clock.seconds(ticks), clock.time(ticks), duration, pixel_aspect(frame))
        if wanted is None:
            report_of_end(path, clock)


def alpha_hides(path: Path, max_megapixels: float) -> bool:
    """Return whether the alpha of a clip hides every pixel of every frame, and so is ignored, as that of photos is.

    Such are AVIs of 32 bits whose fourth byte nobody wrote. The frames are decoded one by one up to the first that is
    seen, `MOST_HIDDEN` pixels at most; the answer is remembered.
    """
    stat = path.stat()
    return _alpha_hides(path, stat.st_size, stat.st_mtime_ns, max_megapixels)


@lru_cache(maxsize=64)
def _alpha_hides(path: Path, _size: int, _time: int, max_megapixels: float) -> bool:
    pixels = 0
    with opened(path, max_megapixels) as (container, stream), suppress(InputError):  # damage is reported elsewhere
        for frame in decoded(path, max_megapixels, Timeline(container).packets(stream), stream):
            pixels += frame.width * frame.height
            if not is_hidden(frame):
                return False
            if pixels > MOST_HIDDEN:
                break
    return True


def still_at(path: Path, seconds: float, max_megapixels: float = MEGAPIXELS) -> Still:
    """Return the frame of a clip that is shown at `seconds` from its beginning; at moments after the end the last.

    Raises InputError for a clip without frames.
    """
    times = [0.0]

    def wanted(_: int, time: float) -> bool:
        times.append(time)
        return time >= seconds

    frame = next(stills(path, wanted, max_megapixels), None)
    frame = frame or next(stills(path, lambda _, time: time >= max(times), max_megapixels), None)
    if frame is None:
        raise InputError(f"{path} has no frames; give a whole video.")
    return frame


def greys(path: Path, longest: int, max_megapixels: float = MEGAPIXELS) -> Iterator[Grey]:
    """Yield the brightness of each frame of a clip, upright, in 255 steps, its longer side at most `longest` pixels."""
    with opened(path, max_megapixels) as (container, stream):
        size: Size | None = None
        coded = with_report(path, decoded(path, max_megapixels, Timeline(container).packets(stream), stream))
        for frame in progressive(coded, stream.time_base):
            orientation = orientation_of(frame)
            if size is None:
                h, w = orientation.sides(square_size(size_of(frame), pixel_aspect(frame)))
                scale = min(1.0, longest / max(h, w))
                size = max(16, round(h * scale)), max(16, round(w * scale))
            small = frame.reformat(width=size[1], height=size[0], format="gray", interpolation="AREA")
            yield np.ascontiguousarray(orientation.upright(small.to_ndarray()))


@contextmanager
def opened(path: Path, max_megapixels: float = MEGAPIXELS) -> Iterator[tuple[Any, Any]]:
    """Open the clip at `path` and yield FFmpeg's container and the stream of its film.

    Every clip is opened here. Raises InputError for files that are not clips, and for frames above the limit.
    """
    import av

    refuse_unreadable(path)
    pixels = int(min(max(max_megapixels, 0) * 1e6, 2**31 - 1))
    options = {
        "format_whitelist": ",".join(CONTAINERS),
        "protocol_whitelist": "file",
        "max_pixels": str(pixels),  # of the decoders: before they take memory
    }
    halved = next((start for kind, start, beyond in parts(path) if kind == b"moof" and beyond), None)
    with ExitStack() as stack:

        def begun() -> Any:
            file = address(path) if halved is None else stack.enter_context(Beginning(path, halved))
            return stack.enter_context(av.open(file, options=options, metadata_errors="replace", timeout=PATIENCE))

        try:
            container = begun()
        except (av.error.FFmpegError, OSError, ValueError):
            kinds = [kind for kind, *_ in parts(path)]
            boxes = kinds[:1] in ([b"ftyp"], [b"wide"], [b"mdat"])  # as of MP4 and MOV
            if boxes and b"mdat" in kinds and b"moov" not in kinds:
                raise InputError(
                    f"{path} has lost its index (moov), which is written when a recording ends: without it no frame is "
                    "found; give a whole file."
                ) from None
            if lost := lost_bytes(path):
                raise InputError(
                    f"{path} is damaged or cut short (its last {lost} bytes are missing); give a whole file."
                ) from None
            kind = content_kind(path)
            what = "not a video that can be read" if kind in ("", "a film") else f"{kind}, not a video"
            raise InputError(f"{path} is {what}; give MP4, MOV, MKV, AVI, WebM or the like.") from None
        films = _films(container)
        if not films:
            raise InputError(f"{path} has no picture track; give a video.")
        if len(films) > 1:
            moving = _moving(begun(), [film.index for film in films])
            films.sort(key=lambda film: (film.codec_context is None, film.index not in moving))
        stream = films[0]
        if stream.codec_context is None:
            raise InputError(f"{path} is coded in a way that is not supported here; convert it to MP4 (H.264).")
        h, w = stream.codec_context.height, stream.codec_context.width
        if excess := above((h, w), max_megapixels):
            raise InputError(f"{path} is {excess}; {SHRINK}.")
        if (places := ends_of_frames(stream)) and min(places) > path.stat().st_size:
            raise InputError(
                f"{path} is damaged or cut short (none of its {len(places)} frames is in the file); give a whole file."
            )
        stream.thread_type = "AUTO"
        stream.codec_context.options = {"max_pixels": str(pixels)}
        yield container, stream


def is_cover(stream: Any) -> bool:
    """Return whether a stream of pictures is a cover or a thumbnail, not a film."""
    from av.stream import Disposition

    return bool(
        stream.disposition & (Disposition.attached_pic | Disposition.still_image | Disposition.timed_thumbnails)
    )


def _films(container: Any) -> list[Any]:
    """Return the streams of pictures that are no covers, by what makes a film: it can be decoded, is marked as the
    default, and is the largest."""
    from av.stream import Disposition

    def rank(stream: Any) -> tuple[bool, bool, int]:
        known = stream.codec_context is not None
        pixels = stream.codec_context.width * stream.codec_context.height if known else 0
        return known, bool(stream.disposition & Disposition.default), pixels

    return sorted((s for s in container.streams.video if not is_cover(s)), key=rank, reverse=True)


def _moving(container: Any, indices: Sequence[int]) -> set[int]:
    """Return which of the streams hold a second picture: a cover that is not marked as one does not."""
    import av

    counts: Counter[int] = Counter()
    with suppress(av.error.FFmpegError):  # damage is reported when the film itself is read
        for number, packet in enumerate(container.demux([container.streams[index] for index in indices])):
            counts[packet.stream.index] += packet.size > 0
            if number > MOST_COUNTED or all(counts[index] > 1 for index in indices):
                break
    return {index for index in indices if counts[index] > 1}


def decoded(path: Path, max_megapixels: float, packets: Iterable[Any], stream: Any) -> Iterator[Any]:
    """Yield the frames in `packets` of `stream`, with their shapes noted, without the margins that its container crops.

    Raises InputError for damaged packets, and for frames that grow beyond the limit.
    """
    decoder = _decoder(stream)
    frames, crop = shaped(_frames(path, max_megapixels, packets, decoder), stream, decoder), _crop_of(stream)
    yield from frames if crop is None else cropped(frames, crop, stream.time_base)


def _decoder(stream: Any) -> Any:
    """Return what decodes a stream, its alpha, too."""
    import av

    decoder = stream.codec_context
    name = ALPHA_DECODERS.get(decoder.name)
    alpha = any(key.lower() == "alpha_mode" and value == "1" for key, value in stream.metadata.items())
    if alpha and name in av.codecs_available:
        decoder = av.CodecContext.create(name, "r")
        decoder.options = stream.codec_context.options
    return decoder


def _frames(path: Path, max_megapixels: float, packets: Iterable[Any], decoder: Any) -> Iterator[Any]:
    with _readable(path, max_megapixels):
        for packet in packets:
            if packet.size or packet.dts is None:  # a packet that is empty and has a time repeats the last frame
                yield from decoder.decode(packet if packet.size else None)


def _crop_of(stream: Any) -> Crop | None:
    """Return the margins (left, right, top, bottom) that MP4's `clap` and Matroska's `PixelCrop...` hide, if any.

    PyAV has them only in its description of a file.
    """
    import av.logging

    level = av.logging.get_level()
    av.logging.set_level(av.logging.INFO)  # at lower levels the description is empty
    try:
        text = stream.container.dumps_format()
    finally:
        av.logging.set_level(level)
    for part in re.split(r"^  Stream #0:", text, flags=re.MULTILINE)[1:]:
        margins = re.search(r"^ +Frame Cropping: (\d+)/(\d+)/(\d+)/(\d+)$", part, re.MULTILINE)
        if margins and re.match(rf"{stream.index}\D", part):
            left, right, top, bottom = map(int, margins.groups())
            return left, right, top, bottom
    return None


def with_report(path: Path, frames: Iterable[Any]) -> Iterator[Any]:
    """Yield `frames`; at the end log how many the decoder had to fill in, as it does where bytes were lost, and how
    many have another size or shape than the first, to which they are scaled."""
    count = damaged = 0
    first, others = None, Counter[tuple[Size, Fraction]]()
    for frame in frames:
        count += 1
        damaged += frame.is_corrupt
        shown = size_of(frame), pixel_aspect(frame)
        first = first or shown
        others[shown] += shown != first
        yield frame
    if damaged:
        LOG.warning("%s: of its %d frames, damaged and mended by guesses: %d.", path.name, count, damaged)
    if others := +others:
        assert first is not None
        squeezed = any(abs(math.log(_wide(shown) / _wide(first))) > SAME_SHAPE for shown in others)
        LOG.warning(
            "%s: its frames change their size on the way: %d of %d (%s) are scaled to the %s of the first%s.",
            path.name, others.total(), count, ", ".join(map(_worded, others)), _worded(first),
            ", which squeezes those of another shape; cut the clip there, and give each part" if squeezed else "",
        )  # fmt: skip


def _wide(shown: tuple[Size, Fraction]) -> float:
    """Return the width over the height of what a screen shows of frames of a size whose pixels have a shape."""
    (height, width), aspect = shown
    return float(width * aspect / height)


def _worded(shown: tuple[Size, Fraction]) -> str:
    (height, width), aspect = shown
    return f"{width}x{height}" + (f" with pixels of {aspect.numerator}:{aspect.denominator}" if aspect != 1 else "")


def report_of_end(path: Path, clock: Clock) -> None:
    """Log a film that ended before its header says, after its last frame."""
    if (lost := clock.missing()) > EARLY:
        LOG.warning(
            "%s: its pictures end %.1f s before its header says; it was cut, or its sound is longer.", path.name, lost
        )


@contextmanager
def _readable(path: Path, max_megapixels: float) -> Iterator[None]:
    import av

    try:
        yield
    except av.error.ArgumentError:  # raised by a decoder that would exceed the limit of pixels
        raise InputError(
            f"{path} is damaged, or holds frames above the limit of {max_megapixels:g} megapixels; give a whole file, "
            "or raise the limit with --max-megapixels."
        ) from None
    except av.error.FFmpegError as error:
        raise InputError(f"{path} is damaged or cut short ({error.strerror}); give a whole file.") from None


def _in_time(path: Path, packets: Iterable[Any], end: float) -> Iterator[Any]:
    for packet in packets:
        if time.monotonic() > end:
            raise InputError(f"{path} could not be searched in time; convert it to MP4 (H.264).")
        yield packet
