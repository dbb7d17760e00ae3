"""Run a command as a user does, in a process of its own or in this one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cyclopean import cli

COMMAND = Path(sys.executable).with_name("cyclopean")


def shell(*words: object) -> subprocess.CompletedProcess[str]:
    quick = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run([COMMAND, *map(str, words)], capture_output=True, text=True, check=False, env=quick)


def here(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str, str]:
    """Return exit code, output and errors of a command, without a new process, which would import torch again."""
    with pytest.raises(SystemExit) as stop:
        cli.main([str(word) for word in words])
    said = capsys.readouterr()
    return int(stop.value.code or 0), said.out, said.err
