"""The one error that people cause, bad input, and the boundary at which every other error becomes a sentence too."""

import difflib
import errno
import logging
import re
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

LOG = logging.getLogger(__name__)
DEVICES = ("cpu", "cuda", "mps", "xpu", "hpu", "xla", "mtia", "vulkan", "privateuseone")  # kinds that torch knows
REFUSALS = (  # of memory, by Python, numpy, torch, CUDA, OpenCV, C++ and the linker
    *("out of memory", "outofmemory", "allocate memory", "failed to allocate", "insufficient memory", "bad_alloc"),
    "failed to map segment from shared object",
)

FULL, TOO_LARGE = "the disk is full; make room", "a file may not grow so large here; raise the limit (ulimit -f)"
REMEDIES = {  # of what systems refuse: why, and what to do
    errno.ENOSPC: FULL,
    errno.EDQUOT: "your share of the disk is used up; make room",
    errno.EFBIG: TOO_LARGE,
    errno.EMFILE: "too many files are open; raise the limit (ulimit -n)",
    errno.EROFS: "the disk can only be read; write elsewhere",
    errno.EIO: "the disk or its connection fails; check it",
    errno.ENAMETOOLONG: "give a shorter --out, or shorten the name of the input",
}


class InputError(ValueError):
    """Bad input from outside. Commands print its message and exit with code 2; nothing else is shown."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> InputError:
    """Return an `InputError` for a name that is none of `known`, with the nearest one suggested."""
    name = name if len(name) <= 100 else f"{name[:100]} ..."
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"choose one of: {', '.join(names)}."
    return InputError(f"unknown {kind} {name!r}: {hint}")


def lacks_memory(error: BaseException) -> bool:
    """Return whether memory ran out, in whichever library."""
    said = str(error).lower()
    return (
        isinstance(error, MemoryError)
        or getattr(error, "errno", None) == errno.ENOMEM
        or any(words in said for words in REFUSALS)
    )


def why_unwritten(error: Exception, usual: str) -> str:
    """Return why something could not be written, in brackets in the system's words, and what to do: `usual` where the
    system does not tell. Libraries that raise errors of their own quote the system's number, or none.
    """
    said = (getattr(error, "strerror", None) or (str(error).strip().splitlines() or [type(error).__name__])[0])[:120]
    quoted = re.search(r"os error (\d+)", str(error))
    number = getattr(error, "errno", None) or (int(quoted[1]) if quoted else None)
    short = number is None and isinstance(error, OSError) and "written" in said  # numpy counts what was
    remedy = f"{FULL}, or {TOO_LARGE}" if short else REMEDIES.get(number or 0, usual)
    return f"({said}); {remedy}"


@contextmanager
def enough_memory(name: str) -> Iterator[None]:
    """Raise an `InputError` that names `name` where memory runs out."""
    try:
        yield
    except Exception as error:
        if isinstance(error, InputError) or not lacks_memory(error):
            raise
        raise InputError(f"{name} needs more memory than this computer has free; give a smaller one.") from None


def sentence(error: Exception, name: str) -> str:
    """Return what went wrong with the input `name` as one sentence, for any exception.

    An unforeseen one is named with its place and a request to report it; its traceback goes to the log at level DEBUG
    (`-v` on the command line).
    """
    LOG.debug("%s:\n%s", name, "".join(traceback.format_exception(error)))
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, ImportError) and lacks_memory(error):
        return (
            "the program itself needs more memory than is free here, or than a limit allows (ulimit -v); free some, or "
            "raise the limit."
        )
    if lacks_memory(error):
        return f"{name} needs more memory than this computer has free; give a smaller one."
    if isinstance(error, OSError) and error.strerror:
        remedy = REMEDIES.get(error.errno or 0, "check the path and the disk")
        return f"{name}: {error.strerror}{f' ({error.filename})' if error.filename else ''}; {remedy}."
    why = (str(error).strip().splitlines() or [""])[0][:200]
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno}" if frames else ""
    return (
        f"{name} failed in a way that nobody foresaw ({type(error).__name__}{place}{f': {why}' if why else ''}); "
        "please report this with what -v prints."
    )


@contextmanager
def contained(name: str, bad: list[str]) -> Iterator[None]:
    """Add the sentence of any exception of one input, which names it, to `bad`, so that the rest of a batch is done.

    Ctrl-C and a closed pipe are not faults of an input and go through.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except Exception as error:
        text = sentence(error, name)
        bad.append(text if name.rpartition("/")[2] in text else f"{name}: {text}")


def usable_device(name: str) -> "torch.device":
    """Return the device `name`; "auto" is the first GPU that works, else the CPU.

    Raises `InputError` where it cannot be used, of unknown kinds without loading torch.
    """
    if name == "auto":
        import torch

        return torch.device("cuda" if torch.cuda.is_available() else "mps" if torch.mps.is_available() else "cpu")
    refusal = InputError(f"the device {name!r} cannot be used here; give cpu or auto, or see `cyclopean doctor`.")
    if name.partition(":")[0] not in DEVICES:
        raise refusal
    import torch

    try:
        torch.ones(1, device=name).item()
        return torch.device(name)
    except (RuntimeError, AssertionError):
        raise refusal from None
