"""Work without an end for child processes. Run as a script, `endless_work.py OUT`, it is begun by two of them."""

import hashlib
import signal
import sys
import time
from functools import partial
from pathlib import Path

from cyclopean.processes import in_processes


def write(out: str, number: int) -> None:
    """Hold a file that is removed at the end; number 1 is in a call that no signal interrupts."""
    part = Path(out, f"{number}.part")
    try:
        part.touch()
        while number:
            hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)
        time.sleep(1000)
    finally:
        part.unlink()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        list(in_processes(partial(write, sys.argv[1]), range(9), 2, print))
    except KeyboardInterrupt:
        print("stopped.", file=sys.stderr)
