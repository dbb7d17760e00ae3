"""Monotonic timestamps for a clip, whatever its packets and frames carry."""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any

STARTS_ANYWHERE = ("mpegts", "mpeg")  # containers whose clock is arbitrary before the first packet, and may jump
BACK = Fraction(1, 10)  # seconds by which a track may go back by mistake
AHEAD = 10  # seconds without any packet: a jump of the clock


class Timeline:
    """One timeline for a file whose clock jumps, as where recordings were joined one behind the other.

    A part that follows begins where the one before ended, and its tracks keep their times to each other.
    """

    def __init__(self, container: Any) -> None:
        self.container = container
        self.jumps = container.format.name in STARTS_ANYWHERE
        self.shifts = [Fraction(0)]  # seconds, of each part

    @property
    def joins(self) -> int:
        """Number of jumps so far."""
        return len(self.shifts) - 1

    def packets(self, *streams: Any) -> Iterator[Any]:
        """Yield the packets of `streams`, their times shifted; not one that the end of a cut file halved."""
        if not self.jumps:  # in these containers nothing else marks a packet as corrupt
            yield from (packet for packet in self.container.demux(*streams) if not packet.is_corrupt)
            return
        wanted = {stream.index for stream in streams}
        for packet in self.shifted(self.container.demux()):  # of all tracks, so that all see the same ends
            if packet.stream.index in wanted:
                yield packet

    def shifted(self, packets: Iterable[Any]) -> Iterator[Any]:
        """Yield the packets of all tracks, their times shifted."""
        latest: dict[int, Fraction] = {}  # time of each track's last packet
        shift, end = Fraction(0), None  # seconds; where the last packet of all ends
        for packet in packets:
            if packet.dts is not None and packet.size:
                time, track = packet.dts * packet.time_base, packet.stream.index
                end = time if end is None else end
                earliest = latest.get(track, end - AHEAD) - BACK
                # Tracks are not cut at the same place: some packets of the last part come after the first of the next.
                misfits = [(time + s < earliest, abs(time + s - end), s) for s in self.shifts[-2:]]
                shift = min(misfits)[2]
                if not earliest <= time + shift <= end + AHEAD:
                    shift = end - time
                    self.shifts.append(shift)
                latest[track] = time + shift
                end = max(end, latest[track] + (packet.duration or 0) * packet.time_base)
                packet.dts += round(shift / packet.time_base)
            if packet.pts is not None and packet.size:
                packet.pts += round(shift / packet.time_base)
            yield packet


class Clock:
    """Times at which frames are shown, in ticks of the stream's time base, each later than the one before.

    They follow from index and frame rate if the file has no times, or times that go back. AVI has only the order of its
    packets, which is not that of its frames when the codec reorders them.
    """

    def __init__(self, container: Any, stream: Any) -> None:
        self.base = stream.time_base
        self.step = max(1, round(1 / (stream.average_rate or Fraction(25)) / self.base))
        self.numbered = container.format.name == "avi" and bool(stream.codec_context.has_b_frames)
        self.container = container
        self.origin = origin_of(container)
        self.late = Fraction(0)  # seconds from the beginning of the clip to its first frame
        self.start: int | None = None
        self.last = 0
        self.end = Fraction(0)  # seconds of the last frame's end, of the same clock
        self.told = 0 if container.format.name in STARTS_ANYWHERE else stated_span(container, stream)[1]

    def __call__(self, frame: Any) -> int:
        ticks = None if self.numbered else frame.pts
        if self.start is None:
            self.start = self.last = ticks or 0
            self.late = lateness(self.container, self.start * self.base, self.step * self.base)
        elif ticks == self.last:  # half a frame later, so that the next one can keep its own time
            self.last += max(1, self.step // 2)
        else:
            self.last = self.last + self.step if ticks is None or ticks < self.last else ticks
        self.end = (self.last + max(self.step, frame.duration or 0)) * self.base
        return self.last

    def duration(self, frame: Any) -> int:
        """Return for how many ticks the last `frame` is shown by its file, not beyond the end in its header; 0 if the
        file does not state it."""
        left = round(self.told / self.base) - self.last
        return min(frame.duration or 0, left) if left > 0 else frame.duration or 0

    def missing(self) -> float:
        """Return by how many seconds the film ends before its header says, after its last frame; 0 if it does not."""
        return max(0.0, float(self.told - self.end)) if self.told else 0.0

    def seconds(self, ticks: int) -> float:
        """Return the seconds since the beginning of the clip, as players count them: see `lateness`."""
        return float((ticks - (self.start or 0)) * self.base + self.late)

    def time(self, ticks: int) -> Fraction:
        """Return the seconds of the container's own clock, which may start long before the clip."""
        return ticks * self.base - self.origin


def lateness(container: Any, first: Fraction, step: Fraction) -> Fraction:
    """Return how many seconds after the beginning of the clip its `first` frame is shown (a time of the container's
    clock); 0 if it is no more than a `step`, the duration of a frame.

    A clip begins with its earliest track, as where sound comes before the picture.
    """
    begins = Fraction(container.start_time or 0, 1_000_000)
    late = first - (begins if container.format.name in STARTS_ANYWHERE else max(begins, Fraction(0)))
    return late if late > step else Fraction(0)


def stated_span(container: Any, stream: Any) -> tuple[Fraction, Fraction]:
    """Return when a film starts and ends by its header, in seconds of the clip's own clock; twice the start if the
    header states no length.

    The length of Matroska and of fragmented MP4 is often the time of the end, however late the clock starts: what can
    be it is taken for it.
    """
    if stream.duration:
        begins, length = ((ticks or 0) * stream.time_base for ticks in (stream.start_time, stream.duration))
    else:
        begins, length = (Fraction(n or 0, 1_000_000) for n in (container.start_time, container.duration))
    name = container.format.name
    to_end = name.startswith("matroska") or (name.startswith("mov") and not stream.frames)
    start = begins if stream.start_time is None else stream.start_time * stream.time_base  # sound may begin before
    return start, length if to_end and length > begins else begins + length


def origin_of(container: Any) -> Fraction:
    """Return the start of a container's clock, in seconds."""
    started = container.format.name in STARTS_ANYWHERE and container.start_time
    return Fraction(container.start_time, 1_000_000) if started else Fraction(0)
