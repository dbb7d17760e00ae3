"""`cyclopean push`: upload a model of yours to the Hugging Face Hub, after showing what and asking."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopean.cli.output import emit
from cyclopean.cli.parsing import parse
from cyclopean.errors import InputError
from cyclopean.flags import Flag
from cyclopean.io.files import printable, read_text


@dataclass(frozen=True)
class Push:
    """Upload a model's folder to the Hugging Face Hub, where anybody can use it by --model hub:OWNER/NAME.

    A card is written for it (README.md) unless the folder has one: what it predicts, its figures, how it was trained,
    and the licence of everything that it was made of. What will be sent is shown, and nothing is sent before you agree.
    It needs a token that may write (hf auth login, or HF_TOKEN).
    """

    folder: Annotated[str, Flag("FOLDER", positional=True, default="(required)")] = ""
    """The model: config.json and model.safetensors, as training writes them, perhaps with cards and pictures."""
    repository: Annotated[str, Flag("OWNER/NAME", positional=True, default="(required)")] = ""
    """The repository; it is made if it is missing."""
    private: bool = False
    """Make a missing repository one that only you can see."""
    yes: bool = False
    """Send without asking."""
    dry_run: bool = False
    """Show what would be sent, the card as a whole, and end."""


def main(arguments: list[str]) -> int:
    return run(parse(Push, arguments, "cyclopean push"))


def run(options: Push) -> int:
    """Show, ask, send; return 0 when it was sent, or shown with --dry-run, 1 when the answer was no."""
    if not options.folder or not options.repository:
        raise InputError("it needs a model and a repository, such as: cyclopean push runs/mine/best OWNER/NAME")
    from cyclopean.training import hub

    upload = hub.prepared(Path(options.folder), options.repository)
    print(f"to {upload.repository} on the Hugging Face Hub:", file=sys.stderr)
    for name, size in upload.sizes():
        print(f"  {printable(name):<24} {size:>12,} bytes", file=sys.stderr)
    print(f"all that it was made of permits: {upload.permits}", file=sys.stderr)
    about = {"repository": upload.repository, "files": dict(upload.sizes()), "permits": str(upload.permits)}
    if options.dry_run:
        emit({**about, "address": None})
        print(printable(upload.card or read_text(upload.folder / "README.md")))
        return 0
    token = hub.found_token()
    if not options.yes:
        if not sys.stdin.isatty():
            raise InputError("nobody is there to be asked whether to send this; give --yes, or --dry-run to look.")
        audience = "where only you see a new one" if options.private else "where everybody can read it"
        print(f"send it, {audience}? [y/N] ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            print("nothing was sent.", file=sys.stderr)
            emit({**about, "address": None})
            return 1
    address = hub.send(upload, token, private=options.private)
    print(address)
    emit({**about, "address": address})
    return 0
