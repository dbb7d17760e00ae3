"""Readers that do what none may do, under watch: `python misbehaving.py FOLDER` prints what was seen of each.

A script, since the process that is watched imports it again, and with it these kinds.
"""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2]))

import benchmarks.hostile as watch
from benchmarks.hostile_kinds import KINDS, Kind

WAIT = 5.0


def make(folder: Path) -> None:
    (folder / "a").mkdir()
    (folder / "a" / "a.txt").write_text("sound")


def connects(_folder: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.connect(("127.0.0.1", 9))


def starts(_folder: Path) -> None:
    subprocess.run([sys.executable, "--version"], check=True)


def writes(folder: Path) -> None:
    (folder / ".." / ".." / ".." / "cyclopean-outside").open("a").close()
    (folder / ".." / ".." / ".." / "cyclopean-outside").unlink()


def raises(_folder: Path) -> None:
    raise KeyError("x")


def speaks(_folder: Path) -> None:
    from cyclopean.errors import InputError

    raise InputError("two\nlines")


def dies(_folder: Path) -> None:
    os._exit(3)


def takes(_folder: Path) -> None:
    bytearray(2_500_000_000)


def sleeps(_folder: Path) -> None:
    time.sleep(WAIT + 1)


def hangs(_folder: Path) -> None:
    time.sleep(60 * WAIT)


def reads(folder: Path) -> None:
    (folder / "out" / "a").write_text((folder / "a.txt").read_text(errors="replace"))


READERS = {
    read.__name__: read for read in (connects, starts, writes, raises, speaks, dies, takes, sleeps, hangs, reads)
}
KINDS.update({name: Kind(1, make, read) for name, read in READERS.items()})
watch.SECONDS = WAIT

if __name__ == "__main__":
    for outcome in watch.outcomes(20, int(sys.argv[2]), Path(sys.argv[1]), READERS):
        print(outcome.kind, outcome.what)
