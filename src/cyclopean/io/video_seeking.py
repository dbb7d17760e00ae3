"""Single frames of a clip, wherever they are: the times of all by their packets, and a few decoded from a keyframe."""

import logging
import time
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from cyclopean.errors import InputError
from cyclopean.io.limits import MOST_MEGAPIXELS
from cyclopean.io.video import PATIENCE, alpha_hides, decoded, opened
from cyclopean.io.video_clock import Timeline
from cyclopean.io.video_damage import cut_short
from cyclopean.io.video_frames import Frame, Size, progressive, upright

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Index:
    """Where the frames of a clip are, in the order in which they are shown.

    `seconds` since the first one; `ticks` of the stream's clock, empty where the file has no time for each frame, so
    that frames can only be counted from the start; `keys`: (ticks, ticks to seek) of the frames that decoding can
    begin with.
    """

    seconds: tuple[float, ...]
    ticks: tuple[int, ...]
    keys: tuple[tuple[int, int], ...]

    def __len__(self) -> int:
        return len(self.seconds)


def index_of(path: Path, patience: float = PATIENCE) -> Index:
    """Return the index of a clip. Nothing is decoded: its packets are looked through within `patience` seconds. What is
    missing of a clip that was cut short is logged.

    Raises InputError for files that are missing, damaged, or no clip.
    """
    end = time.monotonic() + patience
    with opened(path) as (container, stream):
        ticks, keys, count = list[int](), list[tuple[int, int]](), 0
        numbered = container.format.name == "avi" and bool(stream.codec_context.has_b_frames)
        timeline = Timeline(container)
        for packet in timeline.packets(stream):
            if time.monotonic() > end:
                raise InputError(f"{path} was not looked through in time; convert it to MP4 (H.264).")
            if not packet.size or packet.is_discard:
                continue
            count += 1
            if packet.pts is None or numbered:
                continue
            ticks.append(packet.pts)
            if packet.is_keyframe:
                keys.append((packet.pts, packet.pts if packet.dts is None else min(packet.pts, packet.dts)))
        base, rate = stream.time_base, stream.average_rate or 25
        if cut := cut_short(path, stream):
            LOG.warning("%s", cut)
    if len(set(ticks)) < count or not keys:
        return Index(tuple(float(n / rate) for n in range(count)), (), ())
    ticks.sort()
    seconds = tuple(float((tick - ticks[0]) * base) for tick in ticks)
    if timeline.joins:  # the file's own times, by which it is sought, occur twice
        return Index(seconds, (), ())
    return Index(seconds, tuple(ticks), tuple(sorted(keys)))


def frames_at(
    path: Path, index: Index, numbers: Sequence[int], size: Size, max_megapixels: float = MOST_MEGAPIXELS
) -> list[Frame]:
    """Return frames by their numbers, in their order, upright at `size` (height, width) and in [0,1].

    What is decoded begins with the last keyframe before the first of them. Raises InputError for a frame that is not
    there, as in a damaged clip.
    """
    wanted = {index.ticks[n] if index.ticks else n: n for n in numbers}
    keys = [key for key, _ in index.keys]
    place = bisect_right(keys, min(wanted)) - 1 if index.ticks else -1
    for start in dict.fromkeys((place, -1)):
        frames: dict[int, Frame] = {}
        with opened(path, max_megapixels) as (container, stream):
            if start > 0:
                container.seek(index.keys[start][1], stream=stream, backward=True)
            coded = decoded(path, max_megapixels, Timeline(container).packets(stream), stream)
            for count, frame in enumerate(progressive(coded, stream.time_base)):
                key = frame.pts if index.ticks else count
                if key is None or (start > 0 and count == 0 and key > min(wanted)):
                    break  # a container that seeks too far: once more from the beginning
                if key in wanted:
                    frames[wanted[key]] = upright(frame, size, partial(alpha_hides, path, max_megapixels))
                if len(frames) == len(wanted):
                    return [frames[n] for n in numbers]
    lost = next(n for n in numbers if n not in frames)
    raise InputError(f"{path} has no frame {lost} that can be decoded; give a whole file.")
