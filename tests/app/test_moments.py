"""The video tab without a browser: moments and their points, and clips that would keep everybody waiting."""

import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

pytest.importorskip("starlette", reason="the app needs the extra 'app'")

from cyclopean.app import handlers, video
from cyclopean.app.handlers import AppState
from cyclopean.app.limits import Limits
from cyclopean.app.service import RefocusSettings
from cyclopean.app.session import Session, Store
from filmed import film, walking


def test_after_the_last_frame_is_the_last_frame(state: AppState):
    session = state.store.open()
    path = session.room() / "walk.mp4"
    film(path, walking(6, step=8.0))
    session.receive(path)
    arrived = video.open_clip(state, session.token)
    assert arrived["seconds"] == pytest.approx(5 / 30, abs=0.002), "of the last frame, not of the clip"

    first = session.pictures[arrived["photo"].split("/")[-1]]
    exact = video.moment(state, session.token, 5 / 30)["photo"]
    after = video.moment(state, session.token, 0.2)["photo"]
    last, beyond = (session.pictures[address.split("/")[-1]] for address in (exact, after))
    assert last == beyond
    assert last != first

    video.key(state, session.token, (0.5, 0.5), 0.2)
    assert video.moment(state, session.token, 0.3)["point"] == [0.5, 0.5]
    done = [*video.refocus(state, session.token, RefocusSettings(), False)][-1]
    assert done["note"].startswith("6 frames"), done
    again = [*video.refocus(state, session.token, RefocusSettings(), False)][-1]
    assert again["film"] != done["film"], "another film has another address"


def test_nobody_waits_for_a_film(state: AppState, monkeypatch: pytest.MonkeyPatch):
    """Another step meanwhile is refused with a sentence, so that its lane is free for other visitors."""

    def endless(*_: object, progress: Callable[[int, int], None], **__: object) -> None:
        while True:
            time.sleep(0.01)
            progress(1, 2)

    monkeypatch.setattr("cyclopean.inference.clip_pipeline.refocus_clip", endless)
    monkeypatch.setattr(handlers, "PATIENCE", 0.2)
    session = state.store.open()
    path = session.room() / "walk.mp4"
    film(path, walking(2))
    session.receive(path)
    video.open_clip(state, session.token)
    video.key(state, session.token, (0.5, 0.5), 0.0)
    at_work = video.refocus(state, session.token, RefocusSettings(), False)
    assert "busy" in next(at_work)
    for step in (video.open_clip, video.clear_keys):
        assert step(state, session.token)["error"] == "This clip is being refocused; press Stop first."
    session.stopped = True
    assert [*at_work][-1]["note"].startswith("Stopped")
    assert "photo" in video.moment(state, session.token, 0.0)


def test_a_clip_gives_way_when_it_took_long_and_another_one_waits(
    state: AppState, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def endless(*_: object, progress: Callable[[int, int], None], **__: object) -> None:
        for count in itertools.count():
            time.sleep(0.01)
            progress(count, 2)

    monkeypatch.setattr("cyclopean.inference.clip_pipeline.refocus_clip", endless)
    state = replace(state, store=Store(Limits(film_minutes=0.0), tmp_path))
    first, second = state.store.open(), state.store.open()
    path = first.room() / "walk.mp4"
    film(path, walking(2))
    first.receive(path)
    video.open_clip(state, first.token)
    video.key(state, first.token, (0.5, 0.5), 0.0)
    at_work = video.refocus(state, first.token, RefocusSettings(), False)
    for _ in range(3):
        assert "busy" in next(at_work), "nobody waits"
    video.wait(state, second.token)
    last = [*at_work][-1]
    assert last["error"].startswith("Other clips wait"), last
    while first.refocusing:
        time.sleep(0.01)
    assert video.clear_keys(state, first.token)["note"].startswith("No point yet")


def mixed(path: Path, codec: str, sizes: list[tuple[int, int]], rate: int = 25, repeated: int = 1) -> Path:
    """A clip whose frames have these (width, height), each encoded by itself and `repeated`; its header tells the
    first size."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=rate)
        stream.width, stream.height = sizes[0]
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        number = 0
        for width, height in sizes:
            coder = av.CodecContext.create(codec, "w")
            coder.width, coder.height, coder.pix_fmt = width, height, stream.pix_fmt
            coder.time_base = Fraction(1, rate)
            frame = av.VideoFrame.from_ndarray(np.full((height, width, 3), 90, np.uint8), format="rgb24")
            for packet in [*coder.encode(frame.reformat(format=stream.pix_fmt)), *coder.encode(None)]:
                for _ in range(repeated):
                    copy = av.Packet(bytes(packet))
                    copy.pts = copy.dts = number
                    copy.time_base, copy.stream, copy.is_keyframe = Fraction(1, rate), stream, True
                    file.mux(copy)
                    number += 1
    return path


def brought(session: Session, path: Path) -> None:
    copy = session.room() / path.name
    copy.write_bytes(path.read_bytes())
    session.receive(copy)


def test_clips_are_judged_by_their_whole_length(state: AppState, tmp_path: Path):
    """Not by their first frame, nor by their header."""
    session = state.store.open()
    small, large = (64, 64), (2600, 1500)
    for name, codec, sizes in (
        ("grows.mkv", "mjpeg", [small] * 3 + [large]),
        ("grows.avi", "mjpeg", [small] * 30 + [large] + [small]),
        ("grows.ts", "libx264", [small] * 20 + [large] * 2),
        ("large.mkv", "mjpeg", [large]),
    ):
        brought(session, mixed(tmp_path / name, codec, sizes))
        error = video.open_clip(state, session.token)["error"]
        assert error.startswith(f"{name} has frames of 2600x1500, the app takes 2560x1440"), error
    brought(session, mixed(tmp_path / "many.mkv", "mjpeg", [small], 1000, repeated=video.MOST + 1))
    assert "more than 10800 frames" in video.open_clip(state, session.token)["error"]
    brought(session, mixed(tmp_path / "long.mkv", "mjpeg", [small], 1, repeated=200))
    assert "s long, the app takes 180 s" in video.open_clip(state, session.token)["error"]
    assert not [path for path in session.folder.rglob("*") if path.is_file()], "nothing of them stays"
    brought(session, mixed(tmp_path / "fine.mkv", "mjpeg", [small] * 9))
    assert "photo" in video.open_clip(state, session.token)
    brought(session, mixed(tmp_path / "fine.ts", "libx264", [small] * 9))
    assert "the result is written as .mkv" in video.open_clip(state, session.token)["note"], "before any work"


def test_lists_of_other_files_are_no_clips_whatever_they_are_called(state: AppState, tmp_path: Path):
    """They would show a visitor any film of this machine, and one without an end would keep everybody waiting."""
    film(tmp_path / "private.mp4", walking(4))
    session = state.store.open()
    head = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{tmp_path}/private.mp4\n"
    for name, text in (
        *[("live.mp4", head), ("list.ts", head + "#EXT-X-ENDLIST\n"), ("nul.mkv", head + "#EXT-X-ENDLIST\n#\0\0")],
        ("file.mov", f"#EXTM3U\n#EXTINF:1,\nfile:{tmp_path}/private.mp4\n#EXT-X-ENDLIST\n"),
        ("concat.avi", f"ffconcat version 1.0\nfile {tmp_path}/private.mp4\n"),
        ("stream.mpg", "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n"),
    ):
        (tmp_path / name).write_text(text)
        brought(session, tmp_path / name)
        began = time.monotonic()
        assert "not a video that can be read" in video.open_clip(state, session.token)["error"], name
        assert time.monotonic() - began < 5
    assert session.pictures == {}


def test_what_takes_too_long_to_open_is_given_up(state: AppState, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """The step ends in time, so that its place in the queue is free, and the file goes."""
    state = replace(state, store=Store(Limits(opening_seconds=0.01), tmp_path))
    session = state.store.open()
    brought(session, mixed(tmp_path / "slow.mkv", "mjpeg", [(640, 480)], repeated=4000))
    began = time.monotonic()
    error = video.open_clip(state, session.token)["error"]
    assert error == "slow.mkv took longer than 0.01 seconds; give a smaller or a shorter one."
    assert time.monotonic() - began < 2
    assert not [path for path in session.folder.rglob("*") if path.is_file()]
    assert session.token not in caplog.text


def test_whatever_goes_wrong_is_a_sentence_and_one_line_of_the_log(state: AppState, caplog: pytest.LogCaptureFixture):
    session = state.store.open()
    wrong: list[Callable[[Path], Exception]] = []

    @handlers.handler
    def broken(_: AppState, session: Session) -> handlers.PageUpdate:
        with session.opening() as upload:
            raise wrong[-1](upload)

    for fault, said in (
        (lambda _: ZeroDivisionError("1/0"), "a.jpg failed in a way that nobody foresaw (ZeroDivisionError"),
        (lambda path: FileNotFoundError(2, "No such file", str(path)), "a.jpg: No such file (a.jpg)"),
        (lambda _: RecursionError(), "a.jpg failed in a way that nobody foresaw (RecursionError"),
        (lambda path: UnicodeDecodeError("utf-8", bytes(path), 0, 1, "x"), "a.jpg failed in a way"),
    ):
        caplog.clear()
        wrong.append(fault)
        path = session.room() / "a.jpg"
        path.write_bytes(b"x")
        session.receive(path)
        error = broken(state, session.token)["error"]
        assert error.startswith(said), error
        assert str(session.folder) not in error
        (record,) = caplog.records
        assert record.getMessage().startswith(said)
        assert session.token not in caplog.text
        assert not path.exists()
    assert broken(state, session.token) == {"error": "No file has arrived; choose one."}


def test_short_work_is_waited_for(state: AppState, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(handlers, "PATIENCE", 0.01)
    session = state.store.open()
    session.lock.acquire()
    threading.Timer(0.2, session.lock.release).start()
    assert video.clear_keys(state, session.token)["note"].startswith("No point yet")
