"""What a clip holds beside its film: copied where the result can hold it, else said before any work."""

import itertools
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
import torch
from av.stream import Disposition

from cyclopean.io.video import Still, describe, frames
from cyclopean.io.video_tracks import create, left_out, other_container
from cyclopean.io.video_writing import rewrite
from filmed import encode, film, sound_of, times_of, walking


def same(clip: Iterator[Still]) -> Iterator[torch.Tensor]:
    for still in clip:
        yield still.image


def packed(path: Path, source: Path, *more: tuple[str, str], cover: str = "", first: bool = False) -> None:
    """The tracks of `source` with others beside them: (codec, language) of subtitles, and a cover."""
    with av.open(str(source)) as old, create(path, {}) as new:
        made: dict[int, Any] = {}
        picture: Any = None

        def add_cover() -> None:
            nonlocal picture
            data = cv2.imencode(f".{cover}", np.full((300, 300, 3), 255, np.uint8))[1].tobytes()
            if path.suffix == ".mkv":
                new.add_attachment(f"cover.{cover}", f"image/{cover}".replace("jpg", "jpeg"), data)
                return
            stream = new.add_mux_stream("png" if cover == "png" else "mjpeg", width=300, height=300)
            stream.disposition = Disposition.attached_pic
            picture = av.Packet(data)
            picture.stream, picture.pts, picture.dts = stream, 0, 0

        if cover and first:
            add_cover()
        for stream in old.streams:
            made[stream.index] = new.add_stream_from_template(stream, opaque=True)
            made[stream.index].metadata.update({"language": "fin"} if stream.type == "audio" else {})
        lines = []
        for codec, language in more:
            stream = new.add_mux_stream(codec, time_base=Fraction(1, 1000))
            stream.metadata.update({"language": language})
            text = b"1,0,Default,,0,0,0,,Hello" if codec == "ass" else b"Hello"
            line = av.Packet(b"\x00\x05Hello" if codec == "mov_text" else text)
            line.stream, line.pts, line.dts, line.time_base, line.duration = stream, 0, 0, Fraction(1, 1000), 200
            lines.append(line)
        if cover and not first:
            add_cover()
        new.set_chapters([
            {"id": 1, "start": 0, "end": 100, "time_base": Fraction(1, 1000), "metadata": {"title": "one"}},
            {"id": 2, "start": 100, "end": 200, "time_base": Fraction(1, 1000), "metadata": {"title": "two"}},
        ])  # fmt: skip
        for packet in [*([picture] if picture else []), *lines]:
            new.mux(packet)
        for packet in old.demux():
            if packet.size:
                packet.stream = made[packet.stream.index]
                new.mux(packet)


def held(path: Path) -> tuple[list[tuple[str, str]], list[str], list[str | None]]:
    """(type, codec) of the tracks, titles of the chapters, languages of sound and subtitles."""
    with av.open(str(path)) as container:
        tracks = [(s.type, s.codec_context.name) for s in container.streams if s.codec_context]
        titles = [chapter["metadata"]["title"] for chapter in container.chapters()]
        return sorted(tracks), titles, [s.language for s in (*container.streams.audio, *container.streams.subtitles)]


def test_everything_a_file_can_hold_is_kept(tmp_path: Path) -> None:
    cases = [(".mp4", [("mov_text", "deu")]), (".mov", [("mov_text", "deu")]), (".mkv", [("subrip", "deu")])]
    for suffix, subtitles in cases:
        film(tmp_path / f"plain{suffix}", walking(8))
        path, result = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
        packed(path, tmp_path / f"plain{suffix}", *subtitles)
        assert left_out(path, result) == ()
        assert rewrite(path, result, same) == 8
        assert held(path) == held(result), suffix
        assert held(result)[1] == ["one", "two"]
        assert held(result)[2][0] == "fin"
        assert sound_of(result) == sound_of(path)
        with av.open(str(path)) as old, av.open(str(result)) as new:
            lines = [[(float(p.pts * p.time_base), bytes(p)) for p in c.demux(c.streams.subtitles[0]) if p.size]
                     for c in (old, new)]  # fmt: skip
        assert lines[0] == lines[1]


def test_covers_are_no_films_and_are_kept(tmp_path: Path) -> None:
    film(tmp_path / "plain.mp4", walking(6))
    for name, cover, first in (
        ("a.mp4", "jpg", True),
        ("a.m4v", "jpg", False),
        ("c.mp4", "png", False),
        ("a.mkv", "jpg", False),
    ):
        packed(tmp_path / name, tmp_path / "plain.mp4", cover=cover, first=first)
        assert describe(tmp_path / name).size == (96, 160), name
        assert describe(tmp_path / name).count == 6
        result = tmp_path / f"b{Path(name).suffix}"
        assert left_out(tmp_path / name, result) == ()
        assert rewrite(tmp_path / name, result, same) == 6
        with av.open(str(result)) as container:
            covers = [s for s in container.streams.video if s.disposition & Disposition.attached_pic]
            assert [s.codec_context.name for s in covers] == ["png" if cover == "png" else "mjpeg"], name
        assert next(frames(result)).shape[-2:] == (96, 160)


def test_of_several_films_the_largest(tmp_path: Path) -> None:
    encode(tmp_path / "small.mkv", [np.zeros((48, 64, 3), np.uint8)] * 5)
    encode(tmp_path / "large.mkv", [np.zeros((96, 128, 3), np.uint8)] * 5)
    for order in (("small", "large"), ("large", "small")):
        paths = [tmp_path / f"{name}.mkv" for name in order]
        with av.open(str(tmp_path / "a.mkv"), "w") as new, av.open(str(paths[0])) as one, av.open(str(paths[1])) as two:
            made = [new.add_stream_from_template(c.streams.video[0], opaque=True) for c in (one, two)]
            for container, stream in zip((one, two), made, strict=True):
                for packet in container.demux():
                    if packet.size:
                        packet.stream = stream
                        new.mux(packet)
        clip = describe(tmp_path / "a.mkv")
        assert clip.size == (96, 128)
        assert any("of its 2 tracks of pictures the one of 128x96" in remark for remark in clip.remarks)
        assert any("another track of pictures" in remark for remark in left_out(tmp_path / "a.mkv", tmp_path / "b.mkv"))


def test_one_picture_that_is_not_marked_as_a_cover_is_no_film(tmp_path: Path) -> None:
    """As remuxing leaves covers in Matroska: larger than the film, before or behind it, marked as default or not."""
    film(tmp_path / "plain.mp4", walking(6))
    encode(tmp_path / "cover.mkv", [np.full((300, 400, 3), 200, np.uint8)], "mjpeg", "yuvj420p")
    for suffix, default, first in itertools.product((".mkv", ".mov"), (True, False), (True, False)):
        path = tmp_path / f"a{suffix}"
        with (
            av.open(str(path), "w") as new,
            av.open(str(tmp_path / "plain.mp4")) as old,
            av.open(str(tmp_path / "cover.mkv")) as cover,
        ):
            sources = [cover.streams.video[0], old.streams.video[0]][:: 1 if first else -1]
            made = {source: new.add_stream_from_template(source, opaque=True) for source in sources}
            for source, track in made.items():
                is_default = default or source.container is old
                track.disposition = Disposition.default if is_default else Disposition(0)
            for source in sources:
                for packet in source.container.demux(source):
                    if packet.size:
                        packet.stream = made[source]
                        new.mux(packet)
        clip = describe(path)
        assert clip.size == (96, 160), (suffix, default, first)
        assert len(list(frames(path))) == 6, (suffix, default, first)
        assert any("of its 2 tracks of pictures the one of 160x96" in remark for remark in clip.remarks)


def test_what_is_left_out_is_said_before_any_work(tmp_path: Path) -> None:
    film(tmp_path / "plain.mp4", walking(6))
    packed(tmp_path / "a.mkv", tmp_path / "plain.mp4", ("ass", "deu"))
    said = left_out(tmp_path / "a.mkv", tmp_path / "b.mp4")
    assert any("subtitles (ssa)" in remark and ".mp4" in remark for remark in said)
    assert rewrite(tmp_path / "a.mkv", tmp_path / "b.mp4", same) == 6
    assert held(tmp_path / "b.mp4")[0] == [("audio", "aac"), ("video", "h264")]
    film(tmp_path / "c.mp4", walking(6))
    data = (tmp_path / "c.mp4").read_bytes()
    (tmp_path / "c.mp4").write_bytes(
        data.replace(b"mp4a", b"zzzz").replace(b"esds", b"free")
    )  # sound that nobody knows
    said = left_out(tmp_path / "c.mp4", tmp_path / "d.mp4")
    assert len(said) == 1
    assert "sound (" in said[0]
    assert rewrite(tmp_path / "c.mp4", tmp_path / "d.mp4", same) == 6
    packed(tmp_path / "e.mp4", tmp_path / "plain.mp4", cover="jpg")
    assert any("a cover" in remark for remark in left_out(tmp_path / "e.mp4", tmp_path / "f.mov"))
    assert rewrite(tmp_path / "e.mp4", tmp_path / "f.mov", same) == 6


def test_a_container_that_keeps_what_would_be_left_out_is_named(tmp_path: Path) -> None:
    """Sound of old phones, which .mov holds and .mkv does not; what none of them holds gets no advice."""
    film(tmp_path / "plain.mp4", walking(6))
    silence = bytes([0x04]) + bytes(12)  # a frame of AMR: 20 ms
    (tmp_path / "a.amr").write_bytes(b"#!AMR\n" + 10 * silence)
    with (
        av.open(str(tmp_path / "plain.mp4")) as pictures,
        av.open(str(tmp_path / "a.amr")) as sound,
        av.open(str(tmp_path / "a.3gp"), "w") as result,
    ):
        copies = [(each, result.add_stream_from_template(each.streams[0], opaque=True)) for each in (pictures, sound)]
        for source, copy in copies:
            for packet in source.demux(source.streams[0]):
                if packet.dts is not None:
                    packet.stream = copy
                    result.mux(packet)
    (said,) = left_out(tmp_path / "a.3gp", tmp_path / "b.mkv")
    assert "into .mkv: sound (amr" in said
    assert "a .mov keeps all (refocus --out NAME.mov)" in said
    assert left_out(tmp_path / "a.3gp", tmp_path / "b.mov") == ()
    assert rewrite(tmp_path / "a.3gp", tmp_path / "b.mov", same) == 6
    packed(tmp_path / "c.mkv", tmp_path / "plain.mp4", ("ass", "deu"))
    (said,) = left_out(tmp_path / "c.mkv", tmp_path / "d.mp4")
    assert "NAME.mkv" in said


def test_camcorders_and_other_containers(tmp_path: Path) -> None:
    """Sound and pictures stay together, whatever their clock began at, and the change of container is said."""
    cases = [
        ("a.mts", ("libx264", "aac")), ("a.m2ts", ("libx264", "ac3")), ("a.3gp", ("h263", "aac")),
        ("a.flv", ("libx264", "aac")), ("a.wmv", ("wmv2", "mp3")), ("a.mpg", ("mpeg2video", "mp2")),
        ("a.vob", ("mpeg2video", "ac3")), ("a.ts", ("mpeg2video", "mp2")), ("a.mxf", ("mpeg2video", "pcm_s16le")),
        ("a.avi", ("mpeg4", "mp3")), ("a.f4v", ("libx264", "aac")), ("a.asf", ("wmv2", "mp3")),
    ]  # fmt: skip
    for name, codecs in cases:
        path, result = tmp_path / name, tmp_path / "b.mkv"
        size = (144, 176) if name == "a.3gp" else (96, 160)
        film(path, walking(12, *size), codecs, steady=True)
        assert abs(describe(path).count - 12) <= 2, name
        said = other_container(path, result)
        assert len(said) == 1, (name, said)
        assert "mkv" in said[0]
        assert left_out(path, result) == other_container(result, result) == (), name
        count = rewrite(path, result, same)
        assert count == len(times_of(path)), name
        start = (
            min(times_of(path)[0], sound_of(path)[0][0])
            if path.suffix in (".mts", ".m2ts", ".ts", ".mpg", ".vob")
            else 0
        )
        assert sound_of(result)[0][0] == pytest.approx(sound_of(path)[0][0] - start, abs=0.03), name
        assert times_of(result)[0] == pytest.approx(times_of(path)[0] - start, abs=0.05), name
        assert len(sound_of(result)) == len(sound_of(path)), name
