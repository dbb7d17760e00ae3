"""Clips at the command line: times of the source, what is said once, limits, and nothing left behind."""

import json
import os
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from cyclopean import cli
from cyclopean.data import named
from cyclopean.defocus.video import read_keyframes
from cyclopean.errors import InputError
from cyclopean.io.files import CLIPS, is_film
from cyclopean.io.video_writing import write_timed
from filmed import encode, film, times_of, walking


def here(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str]:
    """The exit code of a command and what it says on the error stream."""
    with pytest.raises(SystemExit) as stop:
        cli.main([str(word) for word in words])
    return int(stop.value.code or 0), capsys.readouterr().err.strip()


def test_depth_is_shown_at_the_times_of_the_source(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a pause in the middle and a late start; in seconds of the clip's own clock."""
    times = [Fraction(1, 2) + Fraction(index, 25) + (2 if index >= 4 else 0) for index in range(8)]
    for name in ("pause.mp4", "pause.mkv"):
        timed = ((picture, time, Fraction(0)) for picture, time in zip(walking(8), times, strict=True))
        write_timed(tmp_path / name, timed, Fraction(25), Fraction(1, 12800))
        out = tmp_path / f"out of {name[-3:]}"
        code, err = here(capsys, "predict", tmp_path / name, "--model", model, "--out", out)
        assert (code, err) == (0, "")
        assert times_of(out / "pause_disp.mp4") == pytest.approx([float(t) for t in times], abs=1.5e-3)
        card = json.loads((out / "pause_disp.json").read_text())
        assert card["times"] == pytest.approx([float(t) for t in times], abs=1e-3)
        assert card["frames"] == 8
    with (
        av.open(str(tmp_path / "pause.mp4")) as old,
        av.open(str(tmp_path / "out of mp4" / "pause_disp.mp4")) as new,
    ):
        assert old.duration == pytest.approx(new.duration, abs=2000)  # the last frame stays no longer
    film(tmp_path / "camcorder.mts", walking(6), steady=True)  # a clock that begins at 1.4 s, for sound too
    code, err = here(capsys, "predict", tmp_path / "camcorder.mts", "--model", model)
    assert (code, err) == (0, "")
    assert times_of(tmp_path / "camcorder_disp.mp4")[0] < 0.1


def test_a_camera_that_means_nothing_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    film(tmp_path / "a.mp4", walking(3))
    (tmp_path / "bad.json").write_text("[1, 2]")
    (tmp_path / "around.json").write_text('{"camera": {"camera": "equirectangular"}}')
    (tmp_path / "good.json").write_text('{"camera": {"focal": [0.7, 1.2], "center": [0.5, 0.5]}}')
    for words, sentence in (
        (("--field-of-view", "0"), "--field-of-view is 0"),
        (("--field-of-view", "180"), "--field-of-view is 180"),
        (("--field-of-view", "nan"), "--field-of-view is nan"),
        (("--camera", tmp_path / "none.json"), "there is no file"),
        (("--camera", "pinhol"), "pinhole"),
        (("--camera", tmp_path / "good.json", "--field-of-view", "60"), "give one of them"),
        (("--camera", tmp_path / "bad.json"), "bad.json"),
        (("--camera", tmp_path / "around.json"), "no pinhole camera"),
    ):
        for command in (("predict",), ("refocus", "--at", "0.5", "0.5")):
            code, err = here(capsys, command[0], tmp_path / "a.mp4", *command[1:], *words)
            assert code == 2
            assert sentence in err
            assert len(err.splitlines()) == 1
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json"] * 3 + [".mp4"]


def test_every_kind_of_clip_is_one(tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    """By its suffix, in a folder and by name, whatever its letters' case."""
    (tmp_path / "in").mkdir()
    encode(tmp_path / "a.mp4", [np.full((48, 64, 3), 90, np.uint8)] * 2)
    for number, suffix in enumerate(CLIPS):
        (tmp_path / "in" / f"{number}{suffix.upper()}").write_bytes((tmp_path / "a.mp4").read_bytes())
    code, err = here(capsys, "predict", tmp_path / "in", "--model", model, "--out", tmp_path / "out")
    assert code == 0, err
    assert len(list((tmp_path / "out").glob("*_disp.mp4"))) == len(CLIPS)
    for name in ("MOV001.MOD", "t.qt", "film"):  # by what is in it, where a suffix tells nothing
        (tmp_path / name).write_bytes((tmp_path / "a.mp4").read_bytes())
        code, err = here(capsys, "predict", tmp_path / name, "--model", model, "--out", tmp_path / "named")
        assert code == 0, err
        assert is_film(tmp_path / name)
        assert named(str(tmp_path / name))[0] == "clip"
    assert len(list((tmp_path / "named").glob("*_disp.mp4"))) == 3
    (tmp_path / "go.mod").write_text("module example.org/film")
    Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(tmp_path / "a.avif")
    (tmp_path / "still.bin").write_bytes((tmp_path / "a.avif").read_bytes())
    assert not any(map(is_film, (tmp_path / "go.mod", tmp_path / "still.bin", tmp_path / "gone.qt")))


def test_what_is_not_kept_is_said_once(tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    array = np.full((47, 64, 4), 128, np.uint8)
    encode(tmp_path / "a.mov", [array] * 4, "png", "rgba")
    film(tmp_path / "b.avi", walking(4), ("mpeg4", "mp3"), steady=True)
    point = ("--at", "0.5", "0.5", "--model", model, "--out", tmp_path / "out")
    for name, words, parts in (
        ("a.mov", (), ("laid over white", "64x48")), ("a.mov", point, ("laid over white", "64x48")), ("b.avi", (), ()),
        ("b.avi", point, (".mkv",)),
    ):  # fmt: skip
        command = ("refocus", tmp_path / name, *words) if words else ("predict", tmp_path / name, "--model", model)
        code, err = here(capsys, *command)
        assert code == 0, err
        assert len(err.splitlines()) == len(parts), err
        assert all(err.count(part) == 1 for part in parts), err
    with av.open(str(tmp_path / "a_disp.mp4")) as container:
        assert container.streams.video[0].width == 64


def test_out_names_the_film(tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    film(tmp_path / "a.mp4", walking(4))
    words = (tmp_path / "a.mp4", "--model", model, "--out")
    for command, name in (("predict", "near.mp4"), ("refocus", "sharp.mkv")):
        point = () if command == "predict" else ("--at", "0.5", "0.5")
        code, err = here(capsys, command, *words, tmp_path / name, *point)
        assert code == 0, err
        assert "written as" not in err, "what was asked for is not remarked on"
        card = json.loads((tmp_path / name).with_suffix(".json").read_text())
        assert (card["source"], card["files"]) == ("a.mp4", [name])
        assert len(times_of(tmp_path / name)) == 4
        code, err = here(capsys, command, *words, tmp_path / "x.jpg", *point)
        assert (code, "ends in .jpg, which is not written of a.mp4; end it in .mp4" in err) == (2, True), err


def test_the_limit_of_the_commands(tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    encode(tmp_path / "a.mp4", [np.zeros((400, 600, 3), np.uint8)] * 2)
    for words in (("predict",), ("refocus", "--at", "0.5", "0.5")):
        command = (words[0], tmp_path / "a.mp4", *words[1:], "--model", model, "--max-megapixels", "0.2")
        code, err = here(capsys, *command)
        assert code == 2
        assert "600x400 (0.24 megapixels), the limit is 0.2" in err
    assert {path.name for path in tmp_path.iterdir()} == {"a.mp4"}


def test_keys_as_other_programs_write_them(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    text = '[{"time": 0, "point": [0.3, 0.5]}]'
    for coding in ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"):
        path.write_bytes(text.encode(coding))
        assert read_keyframes(path)[0].point == (0.3, 0.5), coding
    huge = "9" * 400
    for bad in (
        "[" * 2000 + "]" * 2000, f'[{{"time": {huge}, "point": [0.3, 0.5]}}]', f'[{{"time": 0, "point": [{huge}, 1]}}]',
        '[{"time": 0, "point": [NaN, 0.5]}]', '[{"time": Infinity, "point": [0.5, 0.5]}]', "", "null", '{"time": 0}',
        f'[{{"time": 0, "point": [0.5, 0.5], "amount": {huge}}}]', '[{"time": 0, "point": [0.5, 0.5], "track": 1}]',
        f'[{{"time": 0, "point": "{"x" * 100_000}"}}]', f'[{{"time": 0, "{"y" * 100_000}": 1}}]',
        f'["{"z" * 100_000}"]',
        f'[{{"time": 0, "point": [0.5, 0.5], "amount": "{"x" * 100_000}"}}]', "\x00\x01\x02",
        f'[{{"time": "{"x" * 100_000}", "point": [0.5, 0.5]}}]',
    ):  # fmt: skip
        path.write_text(bad)
        with pytest.raises(InputError) as caught:
            read_keyframes(path)
        assert "keys.json" in str(caught.value)
        assert len(str(caught.value)) < 1000


@pytest.mark.slow
def test_signals_leave_nothing(tmp_path: Path, model: str) -> None:
    """Nor files half written by FFmpeg: stopped in the middle of the work, by each signal."""
    film(tmp_path / "a.mp4", walking(400, step=0.3))
    words = [sys.executable, "-m", "cyclopean"]
    commands = {
        signal.SIGTERM: ["predict", "a.mp4", "--model", model, "--out", "out"],
        signal.SIGHUP: ["refocus", "a.mp4", "--at", "0.5", "0.5", "--model", model, "--out", "out"],
    }
    for number, command in commands.items():
        (tmp_path / "out").mkdir(exist_ok=True)
        quiet = {**os.environ, "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen([*words, *command], cwd=tmp_path, env=quiet, stderr=subprocess.PIPE)
        end = time.monotonic() + 90
        while not list((tmp_path / "out").glob(".cyclopean-*/*.mp4")) and time.monotonic() < end:
            time.sleep(0.1)
        assert process.poll() is None
        process.send_signal(number)
        assert process.wait(60) == 130
        assert process.stderr is not None
        assert b"stopped" in process.stderr.read()
        process.stderr.close()
        assert not list((tmp_path / "out").iterdir()), number
