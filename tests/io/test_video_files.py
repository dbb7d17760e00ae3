"""Videos: frames in and out of real encoded files."""

import tracemalloc
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from clips import write_video
from cyclopean.errors import InputError
from cyclopean.io.video import describe, frames, stills
from cyclopean.io.video_seeking import index_of
from cyclopean.io.video_writing import rewrite


def moving(count: int, h: int = 48, w: int = 64):
    """A bright square that walks to the right on a dark ground, red at the left and blue at the right."""
    for index in range(count):
        picture = torch.full((1, 3, h, w), 0.1)
        picture[:, 0, 10:30, 2 + index : 22 + index] = 0.9
        picture[:, 2, :, w // 2 :] = 0.5
        yield picture


def test_frames_come_back(tmp_path: Path) -> None:
    assert write_video(tmp_path / "a.mp4", moving(12), Fraction(30)) == 12
    clip = describe(tmp_path / "a.mp4")
    assert (clip.rate, clip.count) == (30, 12)
    again = list(frames(tmp_path / "a.mp4"))
    assert len(again) == 12
    for read, made in zip(again, moving(12), strict=True):
        assert read.shape == made.shape
        assert float((read - made).abs().mean()) < 0.03
    some = list(frames(tmp_path / "a.mp4", every=5))
    assert len(some) == 3
    assert torch.equal(some[1], again[5])


def test_odd_sizes_gain_a_row_and_a_column(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", moving(2, 47, 63), Fraction(25))
    assert next(frames(tmp_path / "a.mp4")).shape == (1, 3, 48, 64)


def test_phone_videos_are_turned_upright(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", moving(2), Fraction(25))
    upright = next(frames(tmp_path / "a.mp4"))
    data = (tmp_path / "a.mp4").read_bytes()
    at = data.index(b"tkhd") + 4 + 40  # version 0: the display matrix after 40 bytes
    turn = np.array([0, 65536, 0, -65536, 0, 0, 64 * 65536, 0, 1 << 30], ">i4").tobytes()  # 90 degrees clockwise
    (tmp_path / "b.mp4").write_bytes(data[:at] + turn + data[at + 36 :])
    turned = next(frames(tmp_path / "b.mp4"))
    assert torch.equal(turned, upright.rot90(-1, (-2, -1)))


def test_memory_does_not_grow_with_the_clip(tmp_path: Path) -> None:
    """What Python and torch hold while 60 frames pass: never the clip (60 frames of floats are 22 MB)."""
    write_video(tmp_path / "a.mp4", moving(60, 120, 256), Fraction(25))
    tracemalloc.start()
    alive = 0
    for frame in frames(tmp_path / "a.mp4"):
        alive = max(alive, tracemalloc.get_traced_memory()[1])
        del frame
    tracemalloc.stop()
    assert alive < 5e6


def test_bad_videos_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("not a video")
    (tmp_path / "empty.mp4").write_bytes(b"")
    write_video(tmp_path / "a.mp4", moving(12), Fraction(25))
    data = (tmp_path / "a.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) // 2])
    with av.open(str(tmp_path / "sound.mov"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
    for name, message in [
        ("gone.mp4", "there is no file"),
        ("text.mp4", "not a video that can be read"),
        ("empty.mp4", "is empty"),
        ("cut.mp4", "lost its index"),
        ("sound.mov", "no picture track"),
    ]:
        with pytest.raises(InputError, match=message):
            list(frames(tmp_path / name))


def test_clips_without_their_end_are_used_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """AVI, Matroska and MP4 in fragments have no index in front. Sizes that are not filled in tell nothing."""
    fragments = {"movflags": "frag_keyframe+empty_moov", "frag_duration": "200000"}
    for name in ("a.avi", "a.mkv", "a.mp4"):
        with av.open(str(tmp_path / name), "w", options=fragments if name == "a.mp4" else {}) as target:
            track = target.add_stream("mpeg4", rate=25)
            track.width, track.height, track.pix_fmt = 64, 48, "yuv420p"
            for seed in range(24):
                noise = np.random.default_rng(seed).integers(0, 255, (48, 64, 3), np.uint8)
                target.mux(track.encode(av.VideoFrame.from_ndarray(noise)))
            target.mux(track.encode())
        data = (tmp_path / name).read_bytes()
        assert len(list(frames(tmp_path / name))) == 24, name
        (tmp_path / f"cut_{name}").write_bytes(data[: int(len(data) * 0.7)])
        clip, whole = describe(tmp_path / f"cut_{name}"), list(frames(tmp_path / name))
        lost = len(data) - int(len(data) * 0.7)
        assert clip.remarks[0].startswith(f"cut_{name}: it was cut short (its last "), name
        assert name == "a.mp4" or f" {lost} bytes are missing)" in clip.remarks[0], name
        assert not any("cut short" in remark for remark in describe(tmp_path / name).remarks), name
        there = list(frames(tmp_path / f"cut_{name}"))
        assert 9 < len(there) == clip.count == round(25 * clip.seconds) < 19, name
        assert all(torch.equal(a, b) for a, b in zip(there, whole, strict=False)), name  # none is mended
        assert rewrite(tmp_path / f"cut_{name}", tmp_path / "b.mkv", lambda it: (s.image for s in it)) == len(there)
        caplog.clear()
        assert len(index_of(tmp_path / f"cut_{name}")) == len(there), name
        assert clip.remarks[0] in caplog.messages, name
    data = (tmp_path / "a.mp4").read_bytes()  # in the head of a fragment, which says where frames are
    at = data.rindex(b"moof")
    for end in range(at + 8, at + int.from_bytes(data[at - 4 : at], "big") - 4, 20):
        (tmp_path / "cut.mp4").write_bytes(data[:end])
        assert len(list(frames(tmp_path / "cut.mp4"))) == describe(tmp_path / "cut.mp4").count > 15, end
        assert "bytes are missing" in describe(tmp_path / "cut.mp4").remarks[0]
    data = (tmp_path / "a.avi").read_bytes()
    for size in (b"\0\0\0\0", b"\xff\xff\xff\xff"):
        (tmp_path / "live.avi").write_bytes(data[:4] + size + data[8:])
        assert len(list(frames(tmp_path / "live.avi"))) == 24, size
    data = (tmp_path / "a.mkv").read_bytes()
    at = data.index(b"\x18S\x80g") + 4
    (tmp_path / "live.mkv").write_bytes(data[:at] + b"\x01" + b"\xff" * 7 + data[at + 8 : int(len(data) * 0.7)])
    assert 0 < len(list(frames(tmp_path / "live.mkv"))) < 24


def test_frames_that_are_missing_or_damaged_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_video(tmp_path / "a.mp4", moving(24), Fraction(25))
    data = (tmp_path / "a.mp4").read_bytes()
    mdat = data.index(b"mdat")
    (tmp_path / "unfinished.mp4").write_bytes(data[: mdat + 200])
    with pytest.raises(InputError, match=r"unfinished\.mp4 has lost its index \(moov\).*give a whole file"):
        describe(tmp_path / "unfinished.mp4")
    # a box of an impossible length is the last one
    (tmp_path / "huge.mp4").write_bytes(b"\0\0\0\x10ftypisom\0\0\0\0\0\0\0\x01mdat" + b"\xff" * 72)
    with pytest.raises(InputError, match=r"huge\.mp4 has lost its index"):
        describe(tmp_path / "huge.mp4")

    with av.open(str(tmp_path / "a.mp4")) as source:
        stream = source.streams.video[0]
        with av.open(str(tmp_path / "fast.mp4"), "w", options={"movflags": "faststart"}) as target:
            track = target.add_stream_from_template(stream)
            for packet in source.demux(stream):
                if packet.size:
                    packet.stream = track
                    target.mux(packet)
    with av.open(str(tmp_path / "fast.mp4")) as whole:
        ends = sorted(entry.pos + entry.size for entry in whole.streams.video[0].index_entries)
    data = (tmp_path / "fast.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: ends[8]])
    clip = describe(tmp_path / "cut.mp4")
    assert "9 of its 24 frames are in the file); what is there is used" in clip.remarks[0]
    assert clip.count == len(list(frames(tmp_path / "cut.mp4"))) == 9
    (tmp_path / "head.mp4").write_bytes(data[: ends[0] - 1])
    with pytest.raises(InputError, match=r"damaged or cut short .none of its 24 frames is in the file.; give a whole"):
        describe(tmp_path / "head.mp4")

    lost = bytearray(data)
    middle = (ends[8] + ends[9]) // 2
    lost[middle : ends[9]] = bytes(ends[9] - middle)
    (tmp_path / "lost.mp4").write_bytes(lost)
    for path, words in ((tmp_path / "lost.mp4", "of its 24 frames, damaged"), (tmp_path / "fast.mp4", "")):
        caplog.clear()
        assert len(list(stills(path))) == 24
        assert words in caplog.text
        assert bool(words) == bool(caplog.text)
