"""Folders of renderers (docs/data.md): their description, and which items are missing."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from cyclopean.errors import InputError
from cyclopean.io.files import read_json, write_anew

SPHERE_BASELINE = 0.26  # metres, up and to the right alike: the rig of spherical view synthesis (sec. 4.1)


def missing(out: Path, count: int) -> list[int]:
    """Return the numbers of the items that `out` does not hold yet: an item's camera file is written last."""
    return [n for n in range(count) if not (out / "camera" / f"{n:06d}.json").exists()]


def describe(out: Path, rig: str, views: Sequence[str], made_by: Mapping[str, object], **more: object) -> None:
    """Write `dataset.json`: the rig, its views (the target first), what it was made by, and `more`.

    Raises InputError if `out` holds another data set.
    """
    path = out / "dataset.json"
    text = {
        "format": "cyclopean-folder", "version": 1, "rig": rig, "views": list(views), "target": views[0], "unit": "m",
        **more, "made_by": json.loads(json.dumps(made_by)),
    }  # fmt: skip
    if not path.exists():
        write_anew(path, json.dumps(text, indent=1).encode())
        return
    try:
        held = read_json(path)
    except InputError:
        raise InputError(f"{path} cannot be read as JSON; remove it, or render into a new folder.") from None
    if held != text:
        raise InputError(f"{out} holds another data set (see its dataset.json); render into a new folder or remove it.")
