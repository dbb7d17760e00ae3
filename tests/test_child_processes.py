"""Child processes end when they should, whatever they are at: real ones, which are begun by a script."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

import endless_work
from cyclopean.processes import CLEANING


def group(number: int) -> list[int]:
    """The processes of a group that have not ended."""
    alive = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # just gone
            state, _, owner, *_ = path.read_text().rpartition(")")[2].split()
            alive += [int(path.parent.name)] if (int(owner), state != "Z") == (number, True) else []
    return alive


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
@pytest.mark.parametrize(
    ("sent", "to_group"),
    [
        ([signal.SIGINT, signal.SIGINT], True),  # an impatient user
        ([signal.SIGTERM, signal.SIGTERM], False),  # timeout(1)
        ([signal.SIGTERM], True),  # a scheduler
        ([signal.SIGKILL], False),
    ],
)
def test_children_end_with_the_main_process(sent: list[signal.Signals], to_group: bool, tmp_path: Path) -> None:
    script = subprocess.Popen(
        [sys.executable, endless_work.__file__, tmp_path], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 300
    while len(list(tmp_path.glob("*.part"))) < 2 and script.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    assert len(group(script.pid)) >= 3
    for number in sent:
        (os.killpg if to_group else os.kill)(script.pid, number)
        time.sleep(0.3)
    begun = time.monotonic()
    _, said = script.communicate(timeout=60)
    while left := group(script.pid):
        assert time.monotonic() < begun + CLEANING + 5, left
        time.sleep(0.1)
    assert "Traceback" not in said
    if sent != [signal.SIGKILL]:
        assert (script.returncode, said) == (0, "stopped.\n")
    assert [path.name for path in tmp_path.iterdir()] == ["1.part"]  # number 0 has removed its own
