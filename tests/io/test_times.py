"""Clips whose files tell times badly, or not at all."""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
import torch

from cyclopean.defocus.video import Keyframe
from cyclopean.errors import InputError
from cyclopean.inference.clip import SAMPLED_FRAMES, check, measure_clip
from cyclopean.io.video import Still, describe, frames, still_at, stills
from cyclopean.io.video_clock import Clock, Timeline
from cyclopean.io.video_seeking import frames_at, index_of
from cyclopean.io.video_writing import rewrite, write_timed
from filmed import blue_is_near, encode, film, times_of, walk, walking


def same(clip: Iterator[Still]) -> Iterator[torch.Tensor]:
    for still in clip:
        yield still.image


def brighter(path: Path, count: int, codec: str, **options: str) -> None:
    """Frame after frame brighter, 25 a second, at the encoder's own times."""
    with av.open(str(path), "w") as container:
        track = container.add_stream(codec, rate=25, options=options)
        track.width, track.height, track.pix_fmt = 96, 64, "yuv420p"
        for index in range(count):
            grey = np.full((64, 96, 3), 20 + index * 10, np.uint8)
            container.mux(track.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        container.mux(track.encode())


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
@pytest.mark.parametrize("bf", ["0", "3"])
def test_avi_with_and_without_reordered_frames(tmp_path: Path, codec: str, bf: str) -> None:
    brighter(tmp_path / "a.avi", 20, codec, bf=bf)
    if (codec, bf) == ("libx264", "3"):  # the file is of the kind that this is about
        assert times_of(tmp_path / "a.avi") != sorted(times_of(tmp_path / "a.avi"))
    seconds = [still.seconds for still in stills(tmp_path / "a.avi")]
    assert seconds == pytest.approx([i / 25 for i in range(len(seconds))])
    assert rewrite(tmp_path / "a.avi", tmp_path / "b.mkv", same) == len(seconds) == 20
    new = times_of(tmp_path / "b.mkv")
    assert [t - new[0] for t in new] == pytest.approx(seconds, abs=2e-3)
    light = [float(image.mean()) for image in frames(tmp_path / "b.mkv")]
    assert light == pytest.approx([(20 + i * 10) / 255 for i in range(20)], abs=0.03)


class Shown:
    """As much of a decoded frame as the clock reads."""

    def __init__(self, pts: int | None) -> None:
        self.pts, self.duration = pts, 0


@pytest.mark.parametrize(
    ("told", "ticks"),
    [
        ([0, 40, 80], [0, 40, 80]),
        ([None, None, None], [0, 40, 80]),
        ([100, None, 180], [100, 140, 180]),
        ([0, 40, 40, 80, 120], [0, 40, 60, 80, 120]),  # one double, and on as told
        ([5000, 0, 40, 80], [5000, 5040, 5080, 5120]),  # another film glued behind
    ],
)
def test_times_only_go_on(tmp_path: Path, told: list[int | None], ticks: list[int]) -> None:
    from cyclopean.io.video import opened

    brighter(tmp_path / "a.mkv", 3, "libx264")
    with opened(tmp_path / "a.mkv") as (container, stream):
        clock = Clock(container, stream)
        assert stream.time_base == Fraction(1, 1000)
        assert [clock(Shown(pts)) for pts in told] == ticks


def test_what_the_result_cannot_hold_is_one_sentence(tmp_path: Path) -> None:
    film(tmp_path / "a.mkv", walking(5), ("libx264", "libopus"))
    with pytest.raises(InputError, match=r"cannot be rewritten as \.webm .*codec"):
        rewrite(tmp_path / "a.mkv", tmp_path / "b.webm", same)  # WebM takes no H.264


class Written:
    """A file that cannot be gone back in, as a browser writes what it films: its head never learns how long it is."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("wb")

    def write(self, data: bytes) -> int:
        return self.file.write(data)


def streamed(path: Path, count: int, kind: str, codec: str, late: int = 0) -> None:
    """Frames at 25 a second, every fourth one `late` milliseconds late."""
    target = Written(path)
    with av.open(target, "w", format=kind) as container:
        track = container.add_stream(codec, rate=25)
        track.width, track.height, track.pix_fmt = 160, 96, "yuv420p"
        track.codec_context.time_base = Fraction(1, 1000)
        for index, picture in enumerate(walking(count, step=0.5)):
            array = (picture[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(array, format="rgb24")
            frame.pts, frame.time_base = index * 40 + late * (index % 4 == 3), Fraction(1, 1000)
            container.mux(track.encode(frame))
        container.mux(track.encode())
    target.file.close()


def test_moments_count_from_the_beginning_as_in_players(tmp_path: Path) -> None:
    """Sound that begins half a second before the picture; sound a few milliseconds before it changes nothing."""
    pictures = list(walking(20, step=0.5))
    for name, codec, sound in (
        ("a.mp4", "libx264", "aac"),
        ("a.mkv", "libx264", "libopus"),
        ("a.ts", "libx264", "mp2"),
    ):
        for late in (0.5, 0.02):
            path = tmp_path / name
            with av.open(str(path), "w") as container:
                track = container.add_stream(codec, rate=25, options={"bf": "0"})
                track.height, track.width = pictures[0].shape[-2:]
                track.pix_fmt, track.codec_context.time_base = "yuv420p", Fraction(1, 1000)
                heard = container.add_stream(sound, rate=48000, layout="mono")
                tone = np.zeros((1, 28800), np.int16 if sound == "mp2" else np.float32)
                tone = av.AudioFrame.from_ndarray(tone, format="s16" if sound == "mp2" else "flt", layout="mono")
                tone.sample_rate, tone.pts = 48000, 0
                container.mux([*heard.encode(tone), *heard.encode()])
                for index, picture in enumerate(pictures):
                    array = (picture[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
                    frame = av.VideoFrame.from_ndarray(array, format="rgb24")
                    frame.pts, frame.time_base = round(1000 * late) + 40 * index, Fraction(1, 1000)
                    container.mux(track.encode(frame))
                container.mux(track.encode())
            begins = late if late >= 0.04 else 0.0
            case = (name, late)
            assert [x.seconds for x in stills(path)] == pytest.approx(
                [begins + 0.04 * n for n in range(20)], abs=0.025
            ), case
            assert describe(path).end == pytest.approx(begins + 0.8, abs=0.05), case
            assert still_at(path, begins + 0.4).index in (9, 10, 11), case
            assert still_at(path, 0.0).index == 0, case
            with pytest.raises(InputError, match=f"key 1 is at {begins + 1:g} s, but the clip ends at"):
                check(path, [Keyframe(begins + 1, (0.5, 0.5))], 0.3)
            check(path, [Keyframe(begins + 0.7, (0.5, 0.5))], 0.3)


@pytest.mark.parametrize(
    ("kind", "codec", "late"), [("webm", "libvpx", 0), ("webm", "libvpx", 15), ("matroska", "libx264", 0)]
)
def test_clips_that_do_not_say_how_long_they_are(tmp_path: Path, kind: str, codec: str, late: int) -> None:
    path = tmp_path / f"a.{'webm' if kind == 'webm' else 'mkv'}"
    streamed(path, 50, kind, codec, late)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.frames, stream.duration, container.duration) == (0, None, None)
    clip = describe(path)
    assert (clip.count, clip.size) == (50, (96, 160))
    assert clip.seconds == pytest.approx(2.0, abs=0.02)
    assert float(clip.rate) == pytest.approx(25, rel=0.06)


def test_a_cut_file_is_as_long_as_what_is_there(tmp_path: Path) -> None:
    streamed(tmp_path / "a.webm", 50, "webm", "libvpx")
    data = (tmp_path / "a.webm").read_bytes()
    (tmp_path / "cut.webm").write_bytes(data[: len(data) * 2 // 3])
    clip = describe(tmp_path / "cut.webm")
    assert 5 < clip.count < 50
    assert clip.seconds == pytest.approx(clip.count / 25, abs=0.02)


def test_the_first_pass_looks_at_few_frames_of_them(tmp_path: Path) -> None:
    streamed(tmp_path / "a.webm", 64, "webm", "libvpx")
    looks = []
    plain = blue_is_near()

    def see(method: object, view: object) -> torch.Tensor:
        looks.append(view)
        return plain.infer(method, view)  # type: ignore[arg-type]

    measure_clip(tmp_path / "a.webm", (Keyframe(0.0, (0.5, 0.5)),), replace(plain, infer=see))
    assert len(looks) == SAMPLED_FRAMES


def test_recordings_joined_one_behind_the_other_go_on(tmp_path: Path) -> None:
    """Their clock starts again in each part; pictures and sound go on, in step, and single frames are found."""
    for name, codecs, steady in (
        ("a.mts", ("libx264", "ac3"), False),
        ("a.ts", ("mpeg2video", "mp2"), True),
        ("a.mpg", ("mpeg2video", "mp2"), True),
    ):
        path, new, parts, count = tmp_path / name, tmp_path / f"{name}.mkv", [], 60
        for part in range(3):
            film(path, walking(count, seed=2 * part, step=0.5), codecs, steady=steady)
            parts.append(path.read_bytes())
        path.write_bytes(b"".join(parts))
        assert rewrite(path, new, same) == 3 * count, name
        clip = describe(path)
        assert (clip.count, clip.seconds) == (3 * count, pytest.approx(6, abs=0.1)), name
        pictures = np.array(times_of(new))
        steps = np.diff(pictures)
        assert 0.03 < steps.min() <= steps.max() < 0.1, name  # a part begins where the longer track before it ended
        with av.open(str(new)) as container:
            sound = container.streams.audio[0]
            heard = np.array([float(p.pts * p.time_base) for p in container.demux(sound) if p.size])
        assert np.diff(heard).min() > 0.015, name  # nothing is crushed
        each = len(heard) // 3
        for part in range(1, 3):
            lag = [heard[p * each + 30] - pictures[p * count] for p in (0, part)]
            assert lag[1] == pytest.approx(lag[0], abs=0.002), (name, part)
        index = index_of(path)
        assert index.seconds == pytest.approx(list(pictures - pictures[0]), abs=2e-3)
        (image,) = frames_at(path, index, [2 * count + 7], clip.size)
        assert torch.equal(image, list(frames(path))[2 * count + 7]), name


def test_a_clock_that_jumps_ahead_goes_on_too(tmp_path: Path) -> None:
    """Packets of the part before may come after the first of the next; small steps back and pauses are no jumps."""
    told = [
        (0, 0),
        (1, 10),
        (0, 40),
        (1, 35),
        (0, 9000),
        (1, 8990),
        (1, 60),
        (0, 9040),
        (1, 9030),
        (0, 9030),
        (0, 9700),
    ]
    container = SimpleNamespace(format=SimpleNamespace(name="mpegts"))
    packets = [
        SimpleNamespace(
            stream=SimpleNamespace(index=track), dts=time, pts=time + 3, duration=40, size=1, time_base=Fraction(1, 100)
        )
        for track, time in told
    ]
    shown = [packet.dts for packet in Timeline(container).shifted(packets)]
    assert shown == [0, 10, 40, 35, 80, 70, 60, 120, 110, 110, 780]
    assert all(packet.pts == packet.dts + 3 for packet in packets)


def test_a_film_that_ends_before_its_header_says_is_noted(tmp_path: Path, caplog) -> None:
    """As of a full card, where a container has no sizes that tell. A last frame may last."""
    film(tmp_path / "whole.flv", walking(60), ("flv1", "libmp3lame"), steady=True)
    data = (tmp_path / "whole.flv").read_bytes()
    (tmp_path / "cut.flv").write_bytes(data[: len(data) * 6 // 10])
    film(tmp_path / "whole.mp4", walking(6))
    with av.open(str(tmp_path / "slides.mp4"), "w") as container:
        track = container.add_stream("libx264", rate=25)
        track.width, track.height, track.pix_fmt = 96, 64, "yuv420p"
        for seconds in (0, 2, 7):
            frame = av.VideoFrame.from_ndarray(np.full((64, 96, 3), 30 * seconds, np.uint8), format="rgb24")
            frame.pts, frame.time_base = 25 * seconds, Fraction(1, 25)
            container.mux(track.encode(frame))
        container.mux(track.encode())
    for name in ("whole.flv", "cut.flv", "whole.mp4", "slides.mp4"):
        for work in (lambda path: list(stills(path)), lambda path: rewrite(path, path.with_suffix(".mkv"), same)):
            caplog.clear()
            work(tmp_path / name)
            assert ("s before its header says" in caplog.text) == (name == "cut.flv"), (name, caplog.text)
    caplog.clear()
    list(stills(tmp_path / "whole.flv", lambda index, _: index < 5))
    assert not caplog.text


def test_a_clock_that_starts_late_is_no_cut(tmp_path: Path, caplog) -> None:
    """As of cameras that count the time of the day; Matroska states then when it ends, others how long it is."""
    pictures = walk(50)
    for name in ("late.mkv", "late.mp4", "late.ts", "late.flv", "soon.mkv"):
        start = 20 if name == "soon.mkv" else 3600 * 25
        encode(tmp_path / name, pictures, start=start, codec="flv1" if name == "late.flv" else "libx264")
        for work in (lambda path: list(stills(path)), lambda path: rewrite(path, tmp_path / "b.mkv", same)):
            work(tmp_path / name)
            assert "before its header says" not in caplog.text, name
        clip = describe(tmp_path / name)
        assert (clip.count, round(clip.seconds, 1)) == (50, pytest.approx(2.0, abs=0.11)), name
    data = (tmp_path / "late.mkv").read_bytes()
    at = data.index(b"\x18S\x80g") + 4  # a size that is not known, so that the end alone tells
    (tmp_path / "cut.mkv").write_bytes(data[:at] + b"\x01" + b"\xff" * 7 + data[at + 8 : len(data) // 2])
    there = list(stills(tmp_path / "cut.mkv"))
    (message,) = caplog.messages
    assert f"end {(50 - len(there)) / 25:.1f} s before its header says" in message


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv", "a.webm"])
def test_a_last_frame_that_stays_stays_as_long(tmp_path: Path, name: str) -> None:
    """As of recorded screens and slide shows: 0, 0.1, 0.2 and 3 s, and then 4 s of the last one."""
    times, unit = {0: 100, 100: 100, 200: 2800, 3000: 4000}, Fraction(1, 1000)
    with av.open(str(tmp_path / name), "w") as container:
        track = container.add_stream("libvpx" if name == "a.webm" else "libx264", rate=25)
        track.width, track.height, track.pix_fmt = 96, 64, "yuv420p"
        track.time_base = track.codec_context.time_base = unit
        track.codec_context.max_b_frames = 0
        packets = []
        for time in times:
            frame = av.VideoFrame.from_ndarray(np.full((64, 96, 3), time // 20, np.uint8), format="rgb24")
            frame.pts, frame.time_base = time, unit
            packets += track.encode(frame)
        for packet in [*packets, *track.encode()]:
            packet.duration = times[packet.pts]
            container.mux(packet)

    def timed() -> Iterator[tuple[torch.Tensor, Fraction, Fraction]]:
        for still in stills(tmp_path / name):
            yield still.image, still.time, still.duration

    for target in ("b.mp4", "b.mkv", "b.mov"):
        rewrite(tmp_path / name, tmp_path / target, same)
    write_timed(tmp_path / "c.mp4", timed(), Fraction(25), unit)
    for target in ("b.mp4", "b.mkv", "b.mov", "c.mp4"):
        assert times_of(tmp_path / target) == pytest.approx([0, 0.1, 0.2, 3], abs=2e-3), target
        with av.open(str(tmp_path / target)) as container:
            assert container.duration / 1e6 == pytest.approx(7, abs=2e-3), target
            last = list(container.decode(video=0))[-1]
            assert float(last.duration * last.time_base) == pytest.approx(4, abs=2e-3), target


def test_a_piece_of_a_stream_whose_clock_starts_late_is_no_cut(tmp_path: Path, caplog) -> None:
    """Fragmented MP4, whose length is then the time of its end."""
    for late in (0, 10):
        path = tmp_path / f"{late}.mp4"
        with av.open(str(path), "w", options={"movflags": "frag_keyframe+empty_moov+default_base_moof"}) as container:
            track = container.add_stream("libx264", rate=25, options={"g": "5", "bf": "0"})
            track.width, track.height, track.pix_fmt = 96, 64, "yuv420p"
            for picture in walk(20):
                container.mux(track.encode(av.VideoFrame.from_ndarray(picture[:64, :96].copy(), format="rgb24")))
            container.mux(track.encode())
        data, at = bytearray(path.read_bytes()), 0
        while (at := data.find(b"tfdt", at + 1)) >= 0:  # version 1: the clock's 64 bits
            now = int.from_bytes(data[at + 8 : at + 16], "big") + 12800 * late
            data[at + 8 : at + 16] = now.to_bytes(8, "big")
        path.write_bytes(data)
        assert describe(path).seconds == pytest.approx(0.8, abs=0.01), late
        assert next(stills(path)).time == late
        assert not caplog.text, late
