"""How long the command takes to answer, from the shell."""

import subprocess
import sys
from pathlib import Path

from benchmarks.measure import Case, Work

COMMAND = Path(sys.executable).with_name("cyclopean")


def _command(*arguments: str) -> Case:
    def prepare(_: str) -> Work:
        return lambda: subprocess.run([COMMAND, *arguments], capture_output=True, check=True)

    return Case(prepare, repeat=7, on_device=False)


def _python(code: str) -> Case:
    def prepare(_: str) -> Work:
        return lambda: subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)

    return Case(prepare, repeat=5, on_device=False)


CASES = {
    "cyclopean --help": _command("--help"),
    "cyclopean --version": _command("--version"),
    "cyclopean predict --help": _command("predict", "--help"),
    "import cyclopean": _python("import cyclopean"),
    "import torch, for comparison": _python("import torch"),
}
