"""What is wrong with names and files, found before anything heavy is loaded: a typing error costs no seconds."""

import sys
from pathlib import Path

from cyclopean.errors import InputError, unknown_name
from cyclopean.files import shortened, shown

MODELS = Path(__file__).parents[1] / "models"


def refuse_unknown_model(name: str) -> None:
    """Raise InputError for a name that is certainly no model: neither bundled nor a folder, and no Hub repository.

    "auto" and "none" are words of commands. What `checkpoint.locate` alone can decide passes.
    """
    bundled = sorted(path.parent.name for path in MODELS.glob("*/config.json"))
    if name in ("auto", "none", *bundled) or ":" in name:
        return
    try:
        if Path(name).expanduser().exists():
            return
    except OSError:
        raise InputError(f"there is no model folder {shortened(name)!r}; no folder can have that name.") from None
    if "/" not in name and "\\" not in name:
        raise unknown_name("model", name, bundled)
    if name.count("/") > 1 or name.startswith((".", "/", "~")):
        folder = Path(name).parent
        others = sorted(path.parent.name for path in folder.glob("*/config.json"))
        beside = f"{folder} holds {shortened(', '.join(others))}." if others else "give a folder that training wrote."
        raise InputError(f"there is no model folder {shortened(name)!r}; {beside}")


def loading(command: str, what: str) -> None:
    """Say on the error stream what takes the next seconds, where somebody watches; of `train` in its log, too."""
    if command == "train" or sys.stderr.isatty():
        print(f"cyclopean {command}: loading {shown(what)} ...", file=sys.stderr, flush=True)
