"""Work for several processes, which import it: it takes a while, fails at one number, and says who does it."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from cyclopean.errors import InputError


@dataclass(frozen=True)
class Slow:
    """With a `gate`, numbers from 8 on wait until that file is there (a minute at most)."""

    out: str
    gate: str = ""

    def load(self):
        Path(self.out, f"pid-{os.getpid()}").touch()

        def do(number: int) -> None:
            path = Path(self.out, f"{number:03d}.txt")
            time.sleep(0.15)
            for _ in range(600 if self.gate and number >= 8 else 0):
                if Path(self.gate).exists():
                    break
                time.sleep(0.1)
            if number == 5:
                raise InputError("number five is damaged.")
            path.write_text(str(number))

        return do


@dataclass(frozen=True)
class Deadly:
    """Some numbers kill the process that works on them."""

    out: str
    deadly: tuple[int, ...]

    def load(self):
        def do(number: int) -> None:
            time.sleep(0.05)
            if number in self.deadly:
                os.kill(os.getpid(), signal.SIGKILL)
            Path(self.out, f"{number:03d}.txt").write_text(str(number))

        return do
