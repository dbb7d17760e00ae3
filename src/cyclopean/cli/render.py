"""`cyclopean render`: procedural worlds, with exact depth, to a plain folder."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from cyclopean.errors import InputError


@dataclass(frozen=True)
class Render:
    """Render procedural scenes with exact depth to a folder that `train --data` and `evaluate --data` read.

    A cut run goes on where it stopped. OUT/contact.png shows some of what was made.
    """

    worlds: Annotated[str, tyro.conf.Positional]
    """street, room, table, landscape; several separated by commas, or `all`."""
    out: Annotated[Path, tyro.conf.Positional]
    """Folder to write."""
    rig: str = "stereo"
    """stereo (left, right), clip (frame, previous, next) or sphere (panoramas: centre, up, right)."""
    count: int = 100
    """Number of scenes."""
    seed: int = 0
    """Scenes seed, seed + 1, ... are rendered; the same seed gives the same scene on every machine."""
    size: str = "192x384"
    """Height x width in pixels."""
    baseline: float | None = None
    """Metres between left and right; default: what suits each scene."""
    pictures: str | None = None
    """A folder of photographs to put on walls and things."""
    workers: int = 2
    """Processes, one scene at a time each."""


def main(arguments: list[str]) -> int:
    run(tyro.cli(Render, prog="cyclopean render", args=arguments))
    return 0


def run(given: Render) -> None:
    """Render what was asked for, with progress, and write the contact sheet."""
    order = _order(given)
    _check_writable(given.out)
    from rich.progress import track

    from cyclopean.worlds.folder import write

    start, made = time.perf_counter(), 0
    for _ in track(write(order, given.out, given.workers), description="rendering", total=order.count):
        made += 1
    seconds = time.perf_counter() - start
    sheet = _contact_sheet(given.out)
    rate = f", {made / seconds:.1f} a second" if made else ""
    kept = f" ({order.count - made} were there already)" if made < order.count else ""
    print(f"{made} scenes rendered to {given.out}{kept}{rate}; {sheet} shows some.")


def _order(given: Render):  # type: ignore[no-untyped-def]
    from cyclopean.errors import unknown_name
    from cyclopean.worlds import FAMILIES, RIGS
    from cyclopean.worlds.folder import Order

    families = tuple(FAMILIES) if given.worlds == "all" else tuple(given.worlds.split(","))
    for family in families:
        if family not in FAMILIES:
            raise unknown_name("world", family, [*FAMILIES, "all"])
    if given.rig not in RIGS:
        raise unknown_name("rig", given.rig, RIGS)
    if given.count < 1:
        raise InputError(f"--count {given.count} asks for nothing; give at least 1.")
    if given.baseline is not None and given.baseline <= 0:
        raise InputError(f"--baseline {given.baseline} is not a length; give metres above 0.")
    if given.pictures is not None and not Path(given.pictures).is_dir():
        raise InputError(f"--pictures {given.pictures} is no folder; name one that holds photographs.")
    return Order(
        families, given.rig, given.seed, given.count, _size(given.size, given.rig), given.baseline, given.pictures
    )


def _size(text: str, rig: str) -> tuple[int, int]:
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(p.isdigit() and int(p) >= 16 for p in parts):
        raise InputError(f"--size {text} is not a size; give height x width of at least 16 pixels, like 192x384.")
    height, width = int(parts[0]), int(parts[1])
    if rig == "sphere" and width != 2 * height:
        raise InputError(f"--size {text} does not fit a panorama; give twice as wide as high, like 256x512.")
    return height, width


def _check_writable(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / ".write").touch()
        (out / ".write").unlink()
    except OSError as error:
        raise InputError(f"{out} cannot be written to ({error.strerror}); choose another folder.") from None


def _contact_sheet(out: Path) -> Path:  # type: ignore[no-untyped-def]
    import cv2
    import numpy as np

    from cyclopean.data.folder import FolderDataset
    from cyclopean.worlds.folder import contact_sheet

    items = FolderDataset(out)
    chosen = np.unique(np.linspace(0, len(items) - 1, 24).round().astype(int))
    path = out / "contact.png"
    cv2.imwrite(str(path), contact_sheet([items[int(n)] for n in chosen])[..., ::-1])
    return path
