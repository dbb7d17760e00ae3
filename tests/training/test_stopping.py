"""How training ends before its last step: by signals, and by errors where data is read or memory runs out."""

import hashlib
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import training_parts
from training_parts import Pictures, Tiny, run, sgd, train

from cyclopean.errors import InputError
from cyclopean.processes import CLEANING
from cyclopean.sample import Sample
from cyclopean.training.dataset import TrainData
from cyclopean.training.loop import _killed_worker_errors, fit
from cyclopean.training.optimisation import halving
from cyclopean.training.options import Run


def test_a_signal_is_answered_in_the_middle_of_a_step(tmp_path, capfd):
    """The main thread is in one long call that no Python interrupts, as in a backward pass."""
    within: list[str] = []

    class Slow:
        busy = True

        def __call__(self, method) -> None:
            def press() -> None:
                time.sleep(0.05)
                os.kill(os.getpid(), signal.SIGTERM)
                os.kill(os.getpid(), signal.SIGTERM)  # as timeout(1) does: it sends its signal to the group as well
                time.sleep(0.1)
                within.append(capfd.readouterr().err if self.busy else "too late")

            presser = threading.Thread(target=press)
            presser.start()
            while self.busy and presser.is_alive():
                hashlib.pbkdf2_hmac("sha256", b"", b"", 4_000_000)  # one call, without the interpreter's lock
                self.busy = False
            presser.join()

    with pytest.raises(KeyboardInterrupt):
        train(run(tmp_path, steps=6, report_every=99), n=2, each_epoch=(Slow(),))
    assert "stopping: the step at hand is finished and saved first, a second signal stops at once. No" in within[0]
    assert "stopped after step 1 of 6; saved" in capfd.readouterr().err


@pytest.mark.slow
def test_a_second_signal_stops_inside_a_step_and_leaves_the_checkpoint(tmp_path):
    """The script of `training_parts` sleeps where no Python runs, in its third step."""
    command = [sys.executable, training_parts.__file__, str(tmp_path), "1", "2", "float32", "1", "stuck"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    line = next(line for line in process.stderr if "stuck" in line)
    saved = (tmp_path / "resume.pt").read_bytes()
    for pause in (0.1, 2.0):
        time.sleep(pause)
        process.send_signal(signal.SIGTERM)
    begun = time.monotonic()
    _, said = process.communicate(timeout=60)
    assert time.monotonic() - begun < 20
    assert process.returncode == 130, (line, said)
    assert said.splitlines()[-1] == "stopped inside a step. The last checkpoint is good."
    assert (tmp_path / "resume.pt").read_bytes() == saved
    assert torch.load(tmp_path / "resume.pt", weights_only=True)["step"] == 2


class Fails(Pictures):
    """Items fail with `error` in processes that read, or in all."""

    def __init__(self, error: Exception, everywhere: bool) -> None:
        super().__init__(6)
        self.error, self.everywhere = error, everywhere

    def __getitem__(self, index: int) -> Sample:
        if self.everywhere or multiprocessing.parent_process() is not None:
            raise self.error
        return super().__getitem__(index)


@pytest.mark.parametrize(
    ("error", "workers", "kind", "sentence"),
    [
        (MemoryError(), 0, InputError, "while a batch of 1 was read; give a smaller --batch-size"),
        (
            MemoryError(),
            1,
            InputError,
            "while a batch of 2 was read; give a smaller --batch-size",
        ),
        (KeyError("y"), 1, KeyError, "Caught KeyError"),
    ],
)
def test_processes_that_read_end_with_the_run_whatever_ends_it(tmp_path, error, workers, kind, sentence):
    """While its exception, and by that its loader, is still known to somebody."""
    with pytest.raises(kind, match=sentence) as raised:
        fit(Tiny(), TrainData(Fails(error, workers == 0)), run(tmp_path, workers=workers), sgd, halving, card={})
    for reader in multiprocessing.active_children():
        reader.join(CLEANING + 2)
    assert not multiprocessing.active_children(), raised


def test_a_step_that_is_refused_memory_is_told_with_its_flags(tmp_path):
    class Large(Tiny):
        def losses(self, sample: Sample) -> dict[str, torch.Tensor]:
            if self.training:
                torch.empty(1 << 50)  # bytes that no computer has
            return super().losses(sample)

    with pytest.raises(InputError, match=r"a batch of 2 needs more memory than is free; .*-size or --size\. No"):
        fit(Large(), TrainData(Pictures(5)), run(tmp_path), sgd, halving, card={})


def test_an_error_of_the_data_is_not_taken_for_a_killed_reader():
    """Torch raises what a reader raised again here, with its text behind `Caught`; a killed one leaves other traces."""
    two = replace(Run(Path("nowhere")), workers=2)
    for error in (EOFError(), ConnectionResetError(104, "reset"), RuntimeError("DataLoader worker (pid 7) is killed")):
        with pytest.raises(InputError, match="a process that reads data was killed"), _killed_worker_errors(two):
            raise error
    for error in (
        ConnectionError("Caught ConnectionError in DataLoader worker process 0.\nno such host"),
        RuntimeError("Caught RuntimeError in DataLoader worker process 1.\nout of range"),
        RuntimeError("shapes do not fit"),
    ):
        with pytest.raises(type(error)), _killed_worker_errors(two):
            raise error
    with pytest.raises(EOFError), _killed_worker_errors(replace(two, workers=0)):
        raise EOFError
