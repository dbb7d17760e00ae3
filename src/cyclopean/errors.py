"""The one error that people cause: bad input. Its message is a sentence: what was given, what is needed, what to do."""

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class InputError(ValueError):
    """Bad input from outside. Commands print its message and exit with code 2; nothing else is shown."""


def unknown_name(kind: str, given: str, known: Iterable[str]) -> InputError:
    """An `InputError` for a name that is none of `known`, with the nearest one suggested."""
    names = sorted(known)
    near = difflib.get_close_matches(given, names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"choose one of: {', '.join(names)}."
    return InputError(f"unknown {kind} {given!r}: {hint}")


def lacks_memory(error: BaseException) -> bool:
    """Whether memory was refused, to Python, numpy or torch (CPU and CUDA say it in their own words)."""
    said = str(error).lower()
    refused = "out of memory" in said or "allocate memory" in said
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and refused)


@contextmanager
def enough_memory(name: str) -> Iterator[None]:
    """Memory that is refused becomes an `InputError` that tells of `name`."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not lacks_memory(error):
            raise
        raise InputError(f"{name} needs more memory than this computer has free; give a smaller one.") from None
