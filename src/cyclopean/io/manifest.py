"""The manifest of a run: what became of each input, one JSON object on a line of a file beside the results."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from cyclopean.errors import InputError, why_unwritten

NAME = "manifest.jsonl"
MOST_LINE = 1_000_000  # bytes


@contextmanager
def manifest(folder: Path) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Yield what adds an object to the manifest of `folder`, as one line, which is there when it returns.

    An earlier manifest is gone on with; of a line that a killed run left unfinished the rest is dropped. Raises
    InputError for a file of that name that is no manifest, and where it cannot be written.
    """
    path = folder / NAME
    try:
        number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0), 0o666)
    except OSError as error:
        raise _unwritten(path, error) from None
    with os.fdopen(number, "r+b", buffering=0) as file:
        _drop_unfinished(path, file)

        def add(content: Mapping[str, Any]) -> None:
            line = json.dumps(content).encode() + b"\n"
            try:
                if file.write(line) != len(line):
                    raise OSError("it was written in part")
            except OSError as error:
                raise _unwritten(path, error) from None

        yield add


def _drop_unfinished(path: Path, file: BinaryIO) -> None:
    """Cut what follows the last end of a line. Raises InputError for a file of another program."""
    head, size = file.readline(MOST_LINE), file.seek(0, os.SEEK_END)
    file.seek(max(0, size - MOST_LINE))
    tail = file.read()
    end = size - len(tail) + tail.rfind(b"\n") + 1  # 0 if the only line is unfinished
    if not head.endswith(b"\n"):
        ours = b'{"source": '.startswith(head[:11]) and end == 0
    else:
        try:
            first = json.loads(head)
            ours = isinstance(first, dict) and {"source", "state"} <= first.keys() and b"\n" in tail
        except (ValueError, RecursionError):
            ours = False
    if not ours:
        raise InputError(
            f"{path} is not a manifest of cyclopean (a JSON object on each line, in UTF-8); rename it, or choose "
            "another --out."
        )
    if end < size:
        file.truncate(end)


def _unwritten(path: Path, error: OSError) -> InputError:
    return InputError(f"cannot write {path} {why_unwritten(error, 'choose a folder that can be written to')}.")
