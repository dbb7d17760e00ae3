"""Many inputs at once: one that fails is one sentence, the rest goes on; names that meet; signals; closed pipes."""

import errno
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from commands import COMMAND, here
from cyclopean.errors import InputError, contained


def picture(path: Path, kind: str | None = None) -> Path:
    path.parent.mkdir(exist_ok=True, parents=True)
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (40, 60, 3), np.uint8)).save(path, kind)
    return path


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_any_exception_becomes_one_sentence() -> None:
    cases = {
        "give another": InputError("x is bad; give another."),
        "x needs more memory": MemoryError(),
        "x needs more memory than": RuntimeError("std::bad_alloc"),
        "x needs more memory than this": OSError(errno.ENOMEM, "Cannot allocate memory"),
        "x needs more memory than this computer": cv2.error(
            "OpenCV(4.10) alloc.cpp:73: error: (-4:Insufficient memory) Failed to allocate 12000 bytes"
        ),
        "the program itself needs more memory": ImportError(
            "libtorch_cpu.so: failed to map segment from shared object"
        ),
        "x: File name too long; give a shorter --out": OSError(errno.ENAMETOOLONG, "File name too long"),
        "x: No space left on device; the disk is full; make room": OSError(errno.ENOSPC, "No space left on device"),
        "x: File too large; a file may not grow so large": OSError(errno.EFBIG, "File too large"),
        "nobody foresaw (KeyError at test_batches.py:": KeyError("y"),
        "'\\xff' nobody": UnicodeDecodeError("utf-8", b"\xff", 0, 1, "'\\xff' nobody"),
        "nobody foresaw (RecursionError": RecursionError(),
    }
    for words, error in cases.items():
        bad: list[str] = []
        with contained("x", bad):
            raise error
        assert len(bad) == 1
        assert words in bad[0], bad[0]
        assert "\n" not in bad[0]
    for words, told in (("x.jpg is empty", "x.jpg is empty"), ("cannot write to out", "in/x.jpg: cannot write to out")):
        bad = []
        with contained("in/x.jpg", bad):
            raise InputError(words)
        assert bad == [told]  # which names its input
    for error in (KeyboardInterrupt(), BrokenPipeError()):  # no faults of an input
        with pytest.raises(type(error)), contained("x", bad):
            raise error


def test_one_input_fails_as_nobody_foresaw_and_the_rest_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cyclopean.inference import photo_pipeline
    from cyclopean.io import image

    for name in "abc":
        picture(tmp_path / f"{name}.png")
    sound = image.read_photo

    def odd(path: Path, *limits: float) -> image.Photo:
        return sound(path, *limits) if path.name != "b.png" else {}["what nobody foresaw"]  # type: ignore[return-value]

    monkeypatch.setattr(photo_pipeline, "read_photo", odd)
    code, out, err = here(capsys, "predict", tmp_path, "--model", model, "--out", tmp_path / "out")
    assert (code, out.split(",")[0]) == (2, "2 done")
    assert {"a_disp.npy", "c_disp.npy"} <= names(tmp_path / "out")
    assert "b.png failed in a way that nobody foresaw (KeyError" in err
    assert "please report this" in err
    assert "Traceback" not in err
    code, _, err = here(capsys, "predict", tmp_path / "b.png", "-v", "--model", model)
    assert code == 2
    assert "Traceback" in err


def test_results_whose_sidecars_are_gone_are_not_taken_for_inputs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], model: str
) -> None:
    for name in "ab":
        picture(tmp_path / f"{name}.jpg")
    for _ in range(2):
        code, _, err = here(capsys, "predict", tmp_path, "--model", model)
        assert (code, "left alone" in err) == (0, False), "our own sidecars are nothing foreign"
    for side in tmp_path.glob("*.json"):
        side.unlink()
    for given in ([tmp_path], sorted(tmp_path.glob("*.*g"))):
        code, out, err = here(capsys, "predict", *given, "--model", model)
        assert (code, out.split(",")[0]) == (0, "2 done"), err
        assert "left alone, as results whose sidecar (.json) is gone: " in err
        assert "a_disp.png, " in err
    assert {"a_2_disp.npy", "b_2_disp.npy"} <= names(tmp_path)
    assert not [name for name in names(tmp_path) if "_disp_disp" in name]


def test_inputs_that_share_a_name_are_told_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], model: str
) -> None:
    shoot = tmp_path / "shoot"
    for name in ("IMG_1.JPG", "IMG_1.png", "img_1.webp", "IMG_2.JPG"):
        picture(shoot / name)
    picture(shoot / "IMG_3.png")
    picture(shoot / "IMG_3_disp.png")  # the user's own: the result of IMG_3 would overwrite it
    code, out, err = here(capsys, "predict", shoot, "--model", model)
    assert (code, out.split(",")[0]) == (2, "5 done")
    for stem in ("IMG_1_jpg", "IMG_1_png", "img_1_webp", "IMG_2", "IMG_3_disp"):
        assert f"{stem}_disp.npy" in names(shoot)
    assert "IMG_1.JPG shares its name with another input: its results are IMG_1_jpg_..." in err
    assert "IMG_3.png would overwrite" in err
    assert "IMG_3_disp.npy" not in names(shoot)
    assert json.loads((shoot / "IMG_1_jpg_disp.json").read_text())["source"] == "IMG_1.JPG"
    picture(tmp_path / "other" / "IMG_2.JPG")
    picture(tmp_path / "more" / "other" / "IMG_2.JPG")
    pictures = (shoot / "IMG_2.JPG", tmp_path / "other" / "IMG_2.JPG", tmp_path / "more" / "other" / "IMG_2.JPG")
    code, _, err = here(capsys, "predict", *pictures, "--model", model, "--out", tmp_path / "out")
    assert code == 0, err
    arrays = {name for name in names(tmp_path / "out") if name.endswith(".npy")}
    assert arrays == {"shoot_IMG_2_jpg_disp.npy", "other_IMG_2_jpg_disp.npy", "other_IMG_2_jpg_2_disp.npy"}


def test_one_photo_is_done_once_whichever_ways_lead_to_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = picture(tmp_path / "b" / "x.png")
    (tmp_path / "b" / "again").symlink_to(tmp_path / "b")
    (tmp_path / "c").symlink_to("b")
    monkeypatch.chdir(tmp_path)
    for ways in (sorted((tmp_path / "b").iterdir()), ["b", "c"], ["b/x.png", photo], ["c/again/x.png", "b/../b"]):
        code, out, err = here(capsys, "predict", *ways, "--model", model, "--out", tmp_path / "out")
        assert (code, [line.rpartition("/")[2] for line in out.splitlines() if ".npy" in line]) == (0, ["x_disp.npy"])
        assert "shares its name" not in err
    (tmp_path / "b" / "y.png").symlink_to("x.png")  # a name of its own has results of its own
    code, out, err = here(capsys, "predict", "b", "c/y.png", "--model", model)
    assert (code, out.split(",")[0]) == (0, "2 done"), err
    assert {"x_disp.npy", "y_disp.npy"} <= names(tmp_path / "b")


def test_what_a_folder_run_leaves_alone_is_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], model: str
) -> None:
    for name in ("a.jfif", "b.JPE"):
        picture(tmp_path / name, "JPEG")
    for name in ("c.xmp", "d.XMP", "README", ".hidden"):
        (tmp_path / name).write_text("x")
    code, out, err = here(capsys, "predict", tmp_path, "--model", model, "--out", tmp_path / "out")
    assert (code, out.split(",")[0]) == (0, "2 done"), err
    assert "2 .xmp, 1 no suffix" in err
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "dangling.png").symlink_to("gone.png")
    code, out, err = here(capsys, "predict", tmp_path, "--model", model, "--out", tmp_path / "out")
    assert (code, out.split(",")[0]) == (2, "2 done")
    assert all(name in err for name in ("pipe.png is a pipe", "loop.png", "dangling.png"))
    for name, words in ((tmp_path / "pipe.png", "a pipe or a device"), ("x" * 300, "too long"), ("no.png", "no file")):
        code, out, err = here(capsys, "predict", name, tmp_path / "a.jfif", "--model", model, "--out", tmp_path / "out")
        assert (code, out.split(",")[0]) == (2, "1 done")
        assert words in err


@pytest.mark.slow
def test_names_that_no_terminal_can_show(tmp_path: Path, model: str) -> None:
    odd = [b"caf\xe9.png", "\N{SNOWMAN}.png".encode(), b"red\x1b[31m.png", b"two\nlines.png"]
    for name in odd:
        picture(tmp_path / "a.png").rename(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
    for coding in ("utf-8", "cp1252"):
        for inputs in ([tmp_path], [tmp_path / "\N{SNOWMAN}.png"]):
            done = subprocess.run(
                [COMMAND, "predict", *inputs, "--model", model, "--out", tmp_path / "out"],
                capture_output=True, check=False, env={**os.environ, "PYTHONIOENCODING": coding},
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
            assert b"\x1b" not in done.stdout + done.stderr
    assert len(list((tmp_path / "out").glob("*_disp.npy"))) == 4


@pytest.mark.parametrize(
    "commands",
    [("--help", "predict --help"), pytest.param(("doctor",), marks=pytest.mark.slow)],
    ids=["help", "doctor"],
)
def test_a_reader_that_goes_away_and_a_full_disk_behind_the_output(commands: tuple[str, ...], tmp_path: Path) -> None:
    for buffered in ("", "1"):
        env = {**os.environ, "PYTHONUNBUFFERED": buffered}
        for command in commands:
            line = f"{COMMAND} {command} | true; echo ${{PIPESTATUS[0]}}"
            done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False, env=env)
            assert done.stdout.strip() in ("0", "141")
            assert done.stderr == ""
        for closed in (">&-", "2>&-", ">&- 2>&-", "<&-"):
            line = f"{COMMAND} {commands[0]} {closed}"
            ended = subprocess.run(["bash", "-c", line], check=False, env=env, capture_output=True)
            assert ended.returncode == 0, line
        for command in commands:
            done = subprocess.run(
                ["bash", "-c", f"{COMMAND} {command} > /dev/full"], capture_output=True, text=True, check=False, env=env
            )
            assert done.returncode == 2, command
            assert "(No space left on device); the disk is full; make room." in done.stderr
            assert len(done.stderr.splitlines()) == 1
        for line in (f"{COMMAND} nonsense 2> /dev/full", f"{COMMAND} predict - --out {tmp_path} <&-"):
            done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False, env=env)
            assert (done.returncode, "nobody foresaw" in done.stderr) == (2, False)
        line = f"ulimit -f 1; {COMMAND} predict --help > {tmp_path}/page"
        done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False, env=env)
        assert done.returncode == 2
        assert "(File too large); a file may not grow so large here; raise the limit (ulimit -f)." in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGKILL])
def test_signals_leave_nothing_hidden(number: signal.Signals, tmp_path: Path, model: str) -> None:
    for n in range(200):
        picture(tmp_path / f"{n:03d}.png")
    words = [COMMAND, "predict", tmp_path, "--model", model, "--out", tmp_path / "out"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        deadline = time.time() + 100
        while not list(tmp_path.glob("out/*_disp.npy")) and time.time() < deadline:
            time.sleep(0.01)
        run.send_signal(number)
        _, err = run.communicate(timeout=60)
    done = {path.stem for path in (tmp_path / "out").glob("*_disp.npy")}
    assert 0 < len(done) < 200
    assert {path.stem for path in (tmp_path / "out").glob("*_disp.json")} == done  # whole or not at all
    hidden = list((tmp_path / "out").glob(".cyclopean-*"))
    if number != signal.SIGKILL:
        assert (run.returncode, err.strip().splitlines()[-1]) == (130, "stopped.")
        assert not hidden
    for path in hidden:  # what was killed is swept by the next run, once it is a minute old
        os.utime(path, (0, 0))
    subprocess.run([COMMAND, "predict", tmp_path / "000.png", "--model", model, "--out", tmp_path / "out"], check=True)
    assert not list((tmp_path / "out").glob(".cyclopean-*"))
