"""What is opened as a clip, and what is not: containers that we name, files that are there, sizes below the limit."""

import time
from pathlib import Path

import numpy as np
import pytest

from cyclopean.errors import InputError
from cyclopean.io.video import describe, frames, greys, stills
from cyclopean.io.video_writing import rewrite
from filmed import encode, film, growing, walking

GREY = [np.full((48, 64, 3), 100, np.uint8)] * 4


def test_nothing_opens_another_file(tmp_path: Path) -> None:
    """Playlists, lists, patterns of names and descriptions of streams, under the names of clips too."""
    encode(tmp_path / "private.mp4", GREY)
    encode(tmp_path / "private.ts", GREY)
    private = tmp_path / "private.ts"
    head = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n"
    playlists = {
        "ended": f"{head}{private}\n#EXT-X-ENDLIST\n",
        "endless": f"{head}{private}\n",
        "near": f"{head}private.ts\n#EXT-X-ENDLIST\n",
        "address": f"{head}file://{private}\n#EXT-X-ENDLIST\n",
        "variants": f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{private}\n",
        "concat": "ffconcat version 1.0\nfile private.mp4\n",
        "session": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"
        "a=rtpmap:96 H264/90000\n",
        "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period><AdaptationSet>'
        f"<Representation><BaseURL>{private}</BaseURL></Representation></AdaptationSet></Period></MPD>",
        "svg": '<svg xmlns="http://www.w3.org/2000/svg"><image href="private.mp4"/></svg>',
        "words": "private.mp4",
    }
    began = time.monotonic()
    for name, text in playlists.items():
        for suffix in (".mp4", ".m3u8", ".ts", ".avi"):
            path = tmp_path / f"{name}{suffix}"
            path.write_text(text)
            with pytest.raises(InputError, match="not a video"):
                describe(path)
            with pytest.raises(InputError, match="not a video"):
                next(frames(path))
    for name in ("private%d.mp4", "concat:private.mp4", "http:/127.0.0.1/private.mp4"):
        with pytest.raises(InputError, match="there is no file"):
            describe(tmp_path / name)
    assert time.monotonic() - began < 20


def test_names_are_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not addresses, patterns or options, in the folder where they are named without it too."""
    monkeypatch.chdir(tmp_path)
    encode(tmp_path / "plain.mp4", GREY)
    data = (tmp_path / "plain.mp4").read_bytes()
    names = ["12:30.mp4", "http:/x.mp4", "concat:a|b.mp4", "%d.mp4", "pipe:.mp4", "-.mp4", "a?b#c.mp4", "tcp:/1:2.mp4"]
    for name in names:
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_bytes(data)
        assert describe(Path(name)).count == 4, name
        assert rewrite(Path(name), Path("out:1.mp4"), lambda clip: (still.image for still in clip)) == 4, name


def test_an_unknown_codec_is_one_sentence(tmp_path: Path) -> None:
    film(tmp_path / "a.mkv", walking(4))
    data = (tmp_path / "a.mkv").read_bytes()
    (tmp_path / "b.mkv").write_bytes(data.replace(b"V_MPEG4/ISO/AVC", b"V_MPEG9/ISO/AVC"))
    for read in (describe, lambda path: list(frames(path))):
        with pytest.raises(InputError, match="coded in a way that is not supported"):
            read(tmp_path / "b.mkv")


def test_frames_that_change_their_size_are_like_the_first(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """And that is said: of how many, and that another shape is squeezed."""
    for codec in ("libvpx", "libvpx-vp9", "mpeg4"):
        growing(tmp_path / "a.mkv", codec, [(64, 96), (120, 64), (32, 48)])
        sizes = {still.image.shape[-2:] for still in stills(tmp_path / "a.mkv")}
        assert sizes == {(64, 96)}, codec
        assert len(list(frames(tmp_path / "a.mkv"))) == 9
        assert rewrite(tmp_path / "a.mkv", tmp_path / "b.mkv", lambda clip: (s.image for s in clip)) == 9
        light = [float(image.mean()) * 255 for image in frames(tmp_path / "b.mkv")]
        assert light == pytest.approx([60.0] * 3 + [120.0] * 3 + [180.0] * 3, abs=4), codec
        words = "a.mkv: its frames change their size on the way: 6 of 9 (64x120, 48x32) are scaled to the 96x64 of the"
        assert caplog.text.count(f"{words} first, which squeezes those of another shape; cut the clip") == 2, codec
        caplog.clear()
    growing(tmp_path / "a.mkv", "mpeg4", [(64, 96), (32, 48)])
    assert len(list(greys(tmp_path / "a.mkv", 48))) == 6
    assert "3 of 6 (48x32) are scaled to the 96x64 of the first.\n" in caplog.text
    caplog.clear()
    growing(tmp_path / "a.mkv", "mpeg4", [(64, 96), (64, 96)])
    assert len(list(stills(tmp_path / "a.mkv"))) == 6
    assert not caplog.text


def test_a_clip_that_takes_too_long_to_look_through_is_refused(tmp_path: Path) -> None:
    encode(tmp_path / "a.mp4", GREY)
    assert describe(tmp_path / "a.mp4", patience=30.0).count == 4
    with pytest.raises(InputError, match=r"a\.mp4 could not be searched in time; convert it"):
        describe(tmp_path / "a.mp4", patience=0.0)


def test_the_limit_of_pixels_holds_for_clips(tmp_path: Path) -> None:
    """By the header before anything is decoded, and in the decoder, before it takes memory, when frames grow."""
    encode(tmp_path / "a.mp4", [np.zeros((800, 1200, 3), np.uint8)])
    assert describe(tmp_path / "a.mp4", 1.0).size == (800, 1200)
    for read in (describe, lambda path, most: list(frames(path, max_megapixels=most))):
        with pytest.raises(InputError, match=r"1200x800 \(0\.96 megapixels\), the limit is 0\.9"):
            read(tmp_path / "a.mp4", 0.9)
    for codec in ("libvpx", "libvpx-vp9", "mpeg4"):
        growing(tmp_path / "b.mkv", codec, [(64, 64), (1024, 1024)])
        assert len(list(frames(tmp_path / "b.mkv", max_megapixels=1.1))) == 6
        done = []
        with pytest.raises(InputError, match="frames above the limit of 1 megapixels"):
            done += frames(tmp_path / "b.mkv", max_megapixels=1.0)
        with pytest.raises(InputError, match="frames above the limit of 1 megapixels"):
            rewrite(tmp_path / "b.mkv", tmp_path / "c.mkv", lambda clip: (s.image for s in clip), 1.0)
