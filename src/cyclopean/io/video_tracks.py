"""Tracks of a clip beside its film, and which of them another container accepts, found before any frame is made."""

import io
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cyclopean.errors import InputError
from cyclopean.io.files import H264_SUFFIXES
from cyclopean.io.video import MEGAPIXELS, is_cover, opened

MP4 = (".mp4", ".m4v")
TECHNICAL = (  # metadata of the old file itself, and of the coding of its pixels
    *("encoder", "major_brand", "minor_version", "compatible_brands", "duration", "rotate", "alpha_mode", "vendor_id"),
    *("bps", "number_of_frames", "number_of_bytes"),
)
ITUNES = {  # keys that MP4 keeps beside a cover; FFmpeg writes either covers or free keys
    *("title", "artist", "album_artist", "composer", "album", "date", "comment", "genre", "copyright", "grouping"),
    *("lyrics", "description", "synopsis", "show", "episode_id", "network", "keywords", "location", "creation_time"),
}
COVERS = {"mjpeg": ("cover.jpg", "image/jpeg"), "png": ("cover.png", "image/png")}
NAMES = {
    "audio": "sound",
    "subtitle": "subtitles",
    "video": "pictures",
    "data": "data",
    "attachment": "an attached file",
}
FIRST_PACKETS = 2000  # within which every track has one


@dataclass(frozen=True)
class CopiedTracks:
    """Indices of the tracks that are copied, those of covers with their bytes, and names of the rest, each with how
    many there are."""

    copied: tuple[int, ...]
    covers: tuple[tuple[int, bytes], ...]
    lost: Counter[str]


def copied_tracks(source: Path, target: Path, max_megapixels: float) -> CopiedTracks:
    """Return the tracks of the clip `source` that the file `target`, by its suffix, can hold; each is tried."""
    copied: list[int] = []
    covers: list[tuple[int, bytes]] = []
    lost: Counter[str] = Counter()
    with opened(source, max_megapixels) as (container, film):
        others = [stream for stream in container.streams if stream.index != film.index and not _made_anew(stream, film)]
        pictures = [stream for stream in others if stream.type == "video"]
        rest = [stream for stream in others if stream.type != "video"]
        firsts = _first_packets(container, [s for s in others if s.type not in ("attachment", "unknown")])
        for stream in pictures:
            data = bytes(firsts[stream.index]) if stream.index in firsts else b""
            if is_cover(stream) and data and _accepts_cover(target, stream, container):
                covers.append((stream.index, data))
            else:
                lost[f"{'a cover' if is_cover(stream) else 'another track of pictures'} ({_codec(stream)})"] += 1
        for stream in rest:
            if _accepts(target, stream, firsts.get(stream.index)):
                copied.append(stream.index)
            else:
                lost[f"{NAMES.get(stream.type, 'a track')} ({_codec(stream)})"] += 1
    return CopiedTracks(tuple(copied), tuple(covers), lost)


def left_out(source: Path, target: Path, max_megapixels: float = MEGAPIXELS) -> tuple[str, ...]:
    """Return a sentence on the tracks of the clip `source` that `target` does not keep, and which kind of file does."""
    lost = copied_tracks(source, target, max_megapixels).lost
    if not lost:
        return ()
    listed = ", ".join(f"{name}{f' x {count}' if count > 1 else ''}" for name, count in lost.items())
    others = (suffix for suffix in H264_SUFFIXES if suffix != target.suffix.lower())
    better = next((s for s in others if not copied_tracks(source, target.with_suffix(s), max_megapixels).lost), None)
    advice = f"; a {better} keeps all (refocus --out NAME{better})" if better else ""
    return (f"{source.name}: left out, since it cannot be copied into {target.suffix}: {listed}{advice}.",)


def other_container(source: Path, target: Path) -> tuple[str, ...]:
    """Return a sentence if a result that nobody named is of another kind than its clip."""
    if target.suffix.lower() == source.suffix.lower():
        return ()
    return (f"{source.name}: the result is written as {target.suffix} (H.264), not as {source.suffix}.",)


def _made_anew(stream: Any, film: Any) -> bool:
    """Return whether the container makes a track like this itself: chapters and time code."""
    from av.stream import Discard

    timecode = stream.type == "data" and "timecode" in film.metadata and "timecode" in stream.metadata
    return timecode or (stream.type != "video" and stream.discard == Discard.all)


def _first_packets(container: Any, streams: Iterable[Any]) -> dict[int, Any]:
    """Return the first packet of each stream, by its index, where it comes soon."""
    import av

    wanted = {stream.index: stream for stream in streams}
    packets: dict[int, Any] = {}
    with suppress(av.error.FFmpegError):  # damage is reported when the film itself is read
        for number, packet in enumerate(container.demux(list(wanted.values())) if wanted else ()):
            if packet.size:
                packets.setdefault(packet.stream.index, packet)
            if len(packets) == len(wanted) or number > FIRST_PACKETS:
                break
    return packets


def _accepts(target: Path, stream: Any, packet: Any) -> bool:
    """Return whether a file like `target` takes a track and its first packet."""
    import av

    try:
        memory: Any = io.BytesIO()
        memory.name = target.name  # from which FFmpeg infers the container
        with create(target, {}, memory) as trial:
            copy = add_copy(trial, stream)
            trial.start_encoding()
            if packet is not None:
                packet.stream = copy
                trial.mux(packet)
    except (av.error.FFmpegError, ValueError, AttributeError):  # raised by PyAV for codecs without a name
        return False
    return True


def _accepts_cover(target: Path, stream: Any, container: Any) -> bool:
    if _codec(stream) not in COVERS or target.suffix.lower() == ".mov":
        return False
    if target.suffix.lower() not in MP4:
        return True
    return _accepts(target, stream, None) and not portable_metadata(container.metadata).keys() - ITUNES


def _codec(stream: Any) -> str:
    known = stream.codec_context.name if stream.codec_context is not None else None
    try:
        tag = "" if known else stream.codec_tag.strip("\x00 ")
    except (AttributeError, ValueError):  # PyAV gets it from the codec, which is missing
        tag = ""
    return known or tag or "of an unknown kind"


def create(target: Path, options: dict[str, str], place: Any = None) -> Any:
    """Return FFmpeg's container for a new file like `target`, written there or to the file object `place`."""
    import av

    kind = "mp4" if target.suffix.lower() in MP4 else None  # FFmpeg's own container for .m4v holds no covers
    return av.open(str(target.absolute()) if place is None else place, "w", format=kind, options=options)


def add_copy(result: Any, stream: Any) -> Any:
    """Add a track like `stream`, with its metadata, to `result` and return it."""
    copy = result.add_stream_from_template(stream, opaque=True)  # no encoder is needed
    copy.metadata.update(portable_metadata(stream.metadata))
    copy.disposition = stream.disposition
    return copy


def portable_metadata(metadata: dict[str, str]) -> dict[str, str]:
    """Return the metadata of a file that are also valid for another file."""
    return {k: v for k, v in metadata.items() if k.lower() not in TECHNICAL and not k.lower().startswith("_statistics")}


@contextmanager
def writable(source: Path, target: Path, *kinds: type[Exception]) -> Iterator[None]:
    """Raise InputError for FFmpeg's errors of the codec or the container, and for those of `kinds`."""
    import av

    caught: tuple[type[Exception], ...] = (av.error.FFmpegError, *kinds)
    try:
        yield
    except caught as error:
        why = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{source} cannot be rewritten as {target.suffix} ({why}); convert it to MP4.") from None
