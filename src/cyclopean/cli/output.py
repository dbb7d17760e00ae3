"""`--output json`: what a command finds as JSON, one object a line, on the output; all else on the error stream.

Commands print for people as they always do and `emit` the same as objects. Which of the two reaches the output is
decided here alone, and with `-q` whether remarks reach anybody.
"""

import json
import logging
import math
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any, TextIO

from cyclopean.errors import InputError, sentence
from cyclopean.io.files import printable

FLAG = "--output"
KINDS = ("text", "json")

_streams: list[TextIO] = []  # where objects go, while a command runs with --output json


def without_flag(words: Sequence[str]) -> tuple[list[str], str]:
    """Return the words without `--output KIND`, which may stand anywhere before `--`, and the kind.

    Raises InputError for a kind that is none.
    """
    end = list(words).index("--") if "--" in words else len(words)
    rest, kind = [], "text"
    queue = iter(words[:end])
    for word in queue:
        if word.partition("=")[0] != FLAG:
            rest.append(word)
            continue
        kind = word.partition("=")[2] if "=" in word else next(queue, "")
        if kind not in KINDS:
            raise InputError(f"{FLAG} takes {' or '.join(KINDS)}, not {kind!r}.")
    return [*rest, *words[end:]], kind


@contextmanager
def objects_only() -> Iterator[None]:
    """Let only what is emitted reach the output; what is printed goes to the error stream, with `-q` nowhere.

    An error that ends the command is emitted too, as {"error": sentence}.
    """
    _streams.append(sys.stdout)
    try:
        with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere if quiet() else sys.stderr):
            yield
    except BrokenPipeError:
        raise
    except Exception as error:
        emit({"error": sentence(error, "what was asked for")})
        raise
    finally:
        _streams.pop()


def quiet() -> bool:
    """Return whether the command was given -q."""
    return not logging.getLogger("cyclopean").isEnabledFor(logging.WARNING)


def remark(text: object, command: str = "") -> None:
    """Print what is good to know on the error stream, as said by a `command`; nothing with -q."""
    if not quiet():
        print(f"cyclopean {command}: {printable(text)}" if command else printable(text), file=sys.stderr)


def done_before(count: int) -> str:
    """Return the words of a summary for inputs that were skipped, as their results were there."""
    return f" and {count} skipped (done before)" if count else ""


def emit(content: Mapping[str, Any]) -> None:
    """Write one object as a line of JSON; nothing without `--output json`."""
    for stream in _streams[-1:]:
        print(json.dumps(_plain(content), ensure_ascii=True), file=stream, flush=True)


def _plain(value: Any) -> Any:
    """Return `value` as JSON has it: paths are text, numbers that are not finite are null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value) if isinstance(value, Path) else value
