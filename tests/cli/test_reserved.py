"""Commands that write a folder for long keep it to themselves: a second one is refused, and touches nothing."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from commands import here
from cyclopean.errors import InputError
from cyclopean.io.files import reserved
from cyclopean.synthetic.folder import RenderJob, write
from panorama_trees import panoramas

HOLD = "import sys, pathlib; from cyclopean.io.files import reserved\nwith reserved(pathlib.Path(sys.argv[1])):\n"


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    list(write(RenderJob(("room",), "stereo", 0, 2, (32, 64)), tmp_path / "pairs"))
    return tmp_path / "pairs"


def test_a_second_command_is_refused_and_touches_nothing(pairs, tmp_path, capsys):
    pictures, clip = panoramas(tmp_path / "pictures"), tmp_path / "walk.mp4"
    clip.write_bytes(b"0")  # refused before it is opened
    train = ("train", "supervised", "--data", pairs, "--network", "compact", "--width", "0.05", "--size", "32x64")
    commands = {
        "run": (*train, "--steps", "1", "--batch-size", "1", "--workers", "0", "--out"),
        "adapted": ("adapt", clip, "--out"),
        "labels": ("label", pictures, "--side", "16", "--turns", "1", "--out"),
        "masks": ("mask", pictures, "--out"),
        "bench": ("bench", "stereo", "--budget", "tiny", "--rows", "supervised", "--workers", "1"),
        "scenes": ("render", "room", "--count", "1", "--size", "16x16", "--workers", "1"),
    }
    for name, words in commands.items():
        out = tmp_path / name
        with reserved(out):
            (out / "log.jsonl").write_text("of the first\n")
            before = {path: path.stat().st_mtime_ns for path in sorted(out.rglob("*"))}
            code, _, error = here(capsys, *words, out)
            assert (code, error.count("another cyclopean command is writing to")) == (2, 1), (name, error)
            assert {path: path.stat().st_mtime_ns for path in sorted(out.rglob("*"))} == before, name
    code, _, error = here(capsys, *commands["run"], tmp_path / "run")  # the first has ended
    assert (code, (tmp_path / "run" / "resume.pt").exists()) == (0, True), error
    code, _, error = here(capsys, *commands["run"], tmp_path / "run")
    assert (code, "already holds a run" in error) == (2, True)
    assert not list(tmp_path.rglob(".cyclopean.lock"))


def test_a_run_that_ended_meanwhile_is_not_overwritten(pairs, tmp_path, capsys, monkeypatch):
    """The second looked while there was nothing, and got the folder when the first had ended."""
    from cyclopean.training.options import Run

    looked = list[Path]()

    def there_later(run: Run) -> None:
        looked.append(run.out)
        if len(looked) > 2:  # the command, and the loop before it has the folder
            raise InputError(f"{run.out} already holds a run")

    monkeypatch.setattr(Run, "refuse_taken", there_later)
    words = ("train", "supervised", "--data", pairs, "--network", "compact", "--width", "0.05", "--size", "32x64")
    code, _, error = here(capsys, *words, "--steps", "1", "--workers", "0", "--out", tmp_path / "run")
    assert (code, "already holds a run" in error, list(tmp_path.glob("run/*"))) == (2, True, [])


def test_the_lock_ends_with_its_process_however_that_ends(tmp_path):
    """Killed, while a process of its own that reads data lives on for a while."""
    out = tmp_path / "run"
    script = HOLD + (
        "    import multiprocessing, os, time\n"
        "    def read():\n"  # it prints itself: only then has it surely given up the lock that it was forked with
        "        print(os.getpid(), flush=True); time.sleep(30)\n"
        "    multiprocessing.get_context('fork').Process(target=read).start(); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", script, str(out)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdin is not None
    reader = int(holder.stdout.readline())
    with pytest.raises(InputError, match="another cyclopean command is writing to"), reserved(out):
        pass
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    holder.stdin.close()
    holder.stdout.close()
    assert [path.name for path in out.iterdir()] == [".cyclopean.lock"]  # nobody removed it
    with reserved(out):
        os.kill(reader, signal.SIGKILL)  # it was there until now
        np.save(out / "a.npy", np.zeros(1))
    assert [path.name for path in out.iterdir()] == ["a.npy"]
    with reserved(tmp_path / "empty"):
        pass
    assert not (tmp_path / "empty").exists()
