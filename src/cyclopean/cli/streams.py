"""The standard streams as commands need them: open, able to show every name, and no reason to stop work."""

import io
import os
import sys
from contextlib import suppress
from typing import Any


class Unfailing(io.FileIO):
    """A file in which all counts as written: a closed pipe or a full disk behind the error stream ends nothing."""

    def write(self, data: Any, /) -> int:
        with suppress(OSError):
            super().write(data)
        return memoryview(data).nbytes


def make_usable(*, own: bool) -> None:
    """Open streams that whoever started the command has closed, and escape what a terminal cannot show.

    In a process of its `own`, errors in writing to the error stream are no errors.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            nowhere = open(os.devnull, mode)  # noqa: SIM115
            setattr(sys, name, nowhere)
            setattr(sys, f"__{name}__", nowhere)  # kept: its number is that of the stream
    if own:
        raw = io.BufferedWriter(Unfailing(sys.stderr.fileno(), "w", closefd=False))
        sys.stderr = io.TextIOWrapper(raw, sys.stderr.encoding, line_buffering=True, write_through=True)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
