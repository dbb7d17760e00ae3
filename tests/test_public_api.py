"""The public names of `cyclopean` and their signatures: tests/golden/api.txt (UPDATE_GOLDEN=1 writes it anew)."""

import inspect
import os
import re
from pathlib import Path

import cyclopean

GOLDEN = Path(__file__).parent / "golden" / "api.txt"


def signatures() -> list[str]:
    """A line for each public name, and for each public method and property of the classes among them."""
    lines = []
    for name in sorted(cyclopean.__all__):
        thing = getattr(cyclopean, name)
        lines.append(f"{name}{signature(thing)}")
        members = vars(thing) if isinstance(thing, type) else {}
        for member, value in members.items():
            if (member.startswith("_") and member != "__call__") or member in getattr(
                thing, "__dataclass_fields__", ()
            ):
                continue
            if isinstance(value, property):
                lines.append(f"    .{member}")
            elif callable(value):
                lines.append(f"    .{member}{signature(value)}")
    return lines


def signature(thing) -> str:
    """Names and defaults of parameters; annotations are left out, since they may be spelt in many ways."""
    try:
        found = inspect.signature(thing)
    except ValueError:  # of built-in exceptions
        return "(...)"
    empty = inspect.Parameter.empty
    bare = found.replace(
        parameters=[p.replace(annotation=empty) for p in found.parameters.values()], return_annotation=empty
    )
    return re.sub(r" at 0x[0-9a-f]+", "", str(bare))


def test_public_names_and_signatures_are_those_that_are_kept():
    text = "\n".join(signatures()) + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text()
