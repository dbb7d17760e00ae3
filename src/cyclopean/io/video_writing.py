"""Writing of clips: pictures with times, and a clip with other pictures and everything else unchanged."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing
from fractions import Fraction
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from cyclopean.io.video import MEGAPIXELS, Still, alpha_hides, decoded, opened, report_of_end, with_report
from cyclopean.io.video_clock import Clock, Timeline
from cyclopean.io.video_frames import (
    OF_PICTURES,
    Frame,
    Orientation,
    Size,
    Tags,
    coded,
    orientation_of,
    pixel_aspect,
    progressive,
    tags_like,
    upright,
)
from cyclopean.io.video_tracks import (
    COVERS,
    MP4,
    CopiedTracks,
    add_copy,
    copied_tracks,
    create,
    portable_metadata,
    writable,
)

RUN_UP = Fraction(1, 20)  # seconds before its start that a decoder of sound needs, and an edit list hides
# mbtree: with it x264 gives other bytes, and other pictures, from run to run (seen with the build in PyAV 18)
QUALITY = {"crf": "18", "preset": "veryfast", "x264-params": "mbtree=0"}
SIDE_BY_SIDE = {**QUALITY, "x264-params": "mbtree=0:frame-packing=3"}  # marked as views of two eyes, for televisions


def write_timed(
    path: Path,
    timed: Iterable[tuple[Frame, Fraction, Fraction]],
    rate: Fraction,
    unit: Fraction,
    aspect: Fraction = Fraction(1),
) -> int:
    """Encode pictures, each with its time and its duration in seconds, as H.264 and return how many there were.

    The duration counts for the last one only, and is 0 where it is not known. `rate`: about how many a second; `unit`:
    seconds of a tick of the file's clock; `aspect`: width of a pixel over its height. An odd last row or column is
    repeated, as the codec needs it. Writes to `path` itself: give a path inside `files.appearing` if it must appear
    whole.
    """

    with create(path, {}) as container:
        timed = iter(timed)
        first = next(timed, None)
        if first is None:
            return 0
        size = first[0].shape[-2], first[0].shape[-1]
        film = _add_film(container, rate, unit, size, tags=OF_PICTURES, aspect=aspect)

        def frames() -> Iterator[Any]:
            for picture, seconds, duration in chain([first], timed):
                frame = coded(picture, Orientation(), OF_PICTURES)
                frame.pts, frame.duration, frame.time_base = round(seconds / unit), round(duration / unit), unit
                yield frame

        return _encode(frames(), film, container, round(1 / rate / unit))


def rewrite(
    source: Path,
    target: Path,
    change: Callable[[Iterator[Still]], Generator[Frame, None, None]],
    max_megapixels: float = MEGAPIXELS,
    *,
    widths: int = 1,
    encoder: Mapping[str, str] = QUALITY,
) -> int:
    """Write the clip `source` with other pictures, as H.264 in `target`, and return how many frames it has.

    `change` takes the frames, perhaps in threads of its own (`prefetching.overlapped`), and yields a picture for each,
    in order, as high as they are and `widths` times as wide; `encoder` are options of H.264's (`QUALITY`,
    `SIDE_BY_SIDE`). Sound, subtitles, chapters,
    covers and other tracks are copied as far as `target` can hold them (`video_tracks.left_out` names the rest); times,
    orientation, shape of pixels, colour tags and metadata stay. Odd last rows and columns are repeated. Writes to
    `target` itself: give a path inside `files.appearing`. Raises InputError if `source` is damaged, or `target` is of a
    kind that holds no H.264.
    """

    tracks = copied_tracks(source, target, max_megapixels)
    with opened(source, max_megapixels) as (container, stream):
        first = next(decoded(source, max_megapixels, Timeline(container).packets(stream), stream), None)
    with (
        writable(source, target),
        opened(source, max_megapixels) as (container, stream),
        create(target, _options(target, tracks)) as result,
    ):
        result.metadata.update(portable_metadata(container.metadata))
        orientation, tags, size = Orientation(), Tags(), (stream.codec_context.height, stream.codec_context.width)
        if first is not None:
            orientation, tags, size = orientation_of(first), tags_like(first), (first.height, first.width)
        height, width = orientation.sides(size)
        film_size = orientation.sides((height, width * widths))
        with writable(source, target, ValueError):  # PyAV's error if a container does not accept a codec
            aspect = stream.sample_aspect_ratio or Fraction(1)
            film = _add_film(
                result, stream.average_rate or Fraction(25), stream.time_base, film_size, tags=tags, aspect=aspect,
                encoder=encoder,
            )  # fmt: skip
            film.set_display_matrix(None if orientation == Orientation() else orientation.matrix)
            film.metadata.update(portable_metadata(stream.metadata))
            copies = {index: add_copy(result, container.streams[index]) for index in tracks.copied}
            covers = _add_covers(result, container, tracks)
            if container.chapters():
                result.set_chapters(container.chapters())
            result.start_encoding()
            result.mux(covers)
        waiting: deque[tuple[int, int]] = deque()  # times and durations, until the new picture arrives
        clock = Clock(container, stream)
        demuxed = Timeline(container).packets(stream, *(container.streams[index] for index in copies))
        copied: deque[Any] = deque()  # packets of other tracks, until this thread, which encodes, writes them
        packets = _film_packets(demuxed, copies, copied, clock.origin)
        coded_frames = decoded(source, max_megapixels, packets, stream)
        coded_frames = progressive(with_report(source, coded_frames), stream.time_base)

        hidden = partial(alpha_hides, source, max_megapixels)

        def stills() -> Iterator[Still]:
            for index, frame in enumerate(coded_frames):
                ticks = clock(frame)
                waiting.append((ticks, clock.duration(frame)))
                image = upright(frame, orientation.sides(size), hidden)
                duration = clock.duration(frame) * clock.base
                yield Still(image, index, clock.seconds(ticks), clock.time(ticks), duration, pixel_aspect(frame))
            report_of_end(source, clock)

        def write_copied() -> None:
            with writable(source, target):
                while copied:
                    result.mux(copied.popleft())

        with closing(change(stills())) as pictures:  # before the files, which its threads read

            def frames() -> Iterator[Any]:
                for picture in pictures:
                    write_copied()
                    frame = coded(picture, orientation, tags)
                    ticks, frame.duration = waiting.popleft()
                    frame.pts, frame.time_base = ticks - round(clock.origin / clock.base), clock.base
                    yield frame
                write_copied()

            return _encode(frames(), film, result, clock.step)


def _encode(frames: Iterator[Any], film: Any, container: Any, step: int) -> int:
    """Write frames and return how many.

    The last one lasts its own duration; where that is 0, the shortest time between two, at most `step` ticks. It is
    coded behind all others, with nothing reordered around it: MP4 has durations by the order of coding only.
    """
    from av.video.frame import PictureType

    count, frame, delay, last, duration = 0, next(frames, None), None, None, 0
    while frame is not None:
        count, following = count + 1, next(frames, None)
        if following is not None:
            step = min(step, following.pts - frame.pts)
        else:
            frame.pict_type, last, duration = PictureType.I, frame.pts, frame.duration or step
        for packet in chain(film.encode(frame), film.encode(None) if following is None else ()):
            delay = packet.pts - packet.dts if delay is None else delay
            packet.duration = packet.duration or step
            if packet.pts == last:
                packet.dts, packet.duration = last - delay, duration
            container.mux(packet)
        frame = following
    return count


def _add_film(
    container: Any,
    rate: Fraction,
    unit: Fraction,
    size: Size,
    *,
    tags: Tags,
    aspect: Fraction,
    encoder: Mapping[str, str] = QUALITY,
) -> Any:
    """Add an H.264 track for pictures of `size` (height, width) as they are coded."""
    film = container.add_stream("libx264", rate=rate, options=dict(encoder))
    film.height, film.width, film.pix_fmt = size[0] + size[0] % 2, size[1] + size[1] % 2, "yuv420p"
    film.time_base = film.codec_context.time_base = unit

    if aspect != 1:
        film.codec_context.sample_aspect_ratio = aspect
    for name, value in vars(tags).items():
        setattr(film.codec_context, name, value)
    return film


def _options(target: Path, tracks: CopiedTracks) -> dict[str, str]:
    if target.suffix.lower() not in (*MP4, ".mov"):
        return {}
    # Keep metadata of phones, such as the place, and let players begin before the whole file is there.
    return {"movflags": "faststart" if tracks.covers else "use_metadata_tags+faststart"}


def _add_covers(result: Any, container: Any, tracks: CopiedTracks) -> list[Any]:
    """Add tracks for covers, or attach them if the container requires it, and return the packets still to be
    written."""
    import av

    packets = []
    for index, data in tracks.covers:
        cover = container.streams[index]
        if result.format.name == "matroska":
            result.add_attachment(*COVERS[cover.codec_context.name], data)
            continue
        packet = av.Packet(data)
        packet.stream = add_copy(result, cover)
        packet.pts = packet.dts = 0
        packets.append(packet)
    return packets


def _film_packets(
    packets: Iterable[Any], copies: dict[int, Any], copied: deque[Any], origin: Fraction
) -> Iterator[Any]:
    """Yield the packets of the film; add those of other tracks to `copied`, less what the file cuts out."""
    last: dict[int, int] = {}
    for packet in packets:
        copy = copies.get(packet.stream.index)
        if copy is None:
            yield packet
        elif packet.size and not (packet.is_discard and not -RUN_UP <= (packet.pts or 0) * packet.time_base < 0):
            shift = round(origin / packet.time_base)
            ticks = packet.pts if packet.dts is None else packet.dts
            earliest = last.get(packet.stream.index, -(2**62)) + 1  # containers fail on times that go back
            packet.dts = max(earliest, earliest if ticks is None else ticks - shift)
            packet.pts = packet.dts if packet.pts is None else max(packet.pts - shift, packet.dts)
            last[packet.stream.index] = packet.dts
            packet.stream = copy
            copied.append(packet)
