"""The one error that people cause, bad input, and the boundary at which every other error becomes a sentence too."""

import difflib
import errno
import logging
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

LOG = logging.getLogger(__name__)
REFUSALS = (  # of memory, by Python, numpy, torch, CUDA, OpenCV and C++
    *("out of memory", "outofmemory", "allocate memory", "failed to allocate", "insufficient memory", "bad_alloc"),
)


class InputError(ValueError):
    """Bad input from outside. Commands print its message and exit with code 2; nothing else is shown."""


def unknown_name(kind: str, given: str, known: Iterable[str]) -> InputError:
    """An `InputError` for a name that is none of `known`, with the nearest one suggested."""
    given = given if len(given) <= 100 else f"{given[:100]} ..."
    names = sorted(known)
    near = difflib.get_close_matches(given, names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"choose one of: {', '.join(names)}."
    return InputError(f"unknown {kind} {given!r}: {hint}")


def lacks_memory(error: BaseException) -> bool:
    """Return whether memory was refused, by whichever library."""
    said = str(error).lower()
    return (
        isinstance(error, MemoryError)
        or getattr(error, "errno", None) == errno.ENOMEM
        or any(words in said for words in REFUSALS)
    )


@contextmanager
def enough_memory(name: str) -> Iterator[None]:
    """Memory that is refused becomes an `InputError` that tells of `name`."""
    try:
        yield
    except Exception as error:
        if isinstance(error, InputError) or not lacks_memory(error):
            raise
        raise InputError(f"{name} needs more memory than this computer has free; give a smaller one.") from None


def sentence(error: Exception, name: str) -> str:
    """Return what went wrong with the input `name` as one sentence, for any exception.

    One that nobody foresaw is named with its place and a request to report it; its traceback goes to the log at level
    DEBUG (`-v` on the command line).
    """
    LOG.debug("%s:\n%s", name, "".join(traceback.format_exception(error)))
    if isinstance(error, InputError):
        return str(error)
    if lacks_memory(error):
        return f"{name} needs more memory than this computer has free; give a smaller one."
    if isinstance(error, OSError) and error.strerror:
        return (
            f"{name}: {error.strerror}{f' ({error.filename})' if error.filename else ''}; check the path and the disk."
        )
    why = (str(error).strip().splitlines() or [""])[0][:200]
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno}" if frames else ""
    return (
        f"{name} failed in a way that nobody foresaw ({type(error).__name__}{place}{f': {why}' if why else ''}); "
        "please report this with what -v prints."
    )


@contextmanager
def contained(name: str, bad: list[str]) -> Iterator[None]:
    """Any exception of one input is added to `bad` as its sentence, so that the rest of a batch goes on.

    Ctrl-C and a closed pipe are no faults of an input and go through.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except Exception as error:
        bad.append(sentence(error, name))
