"""`cyclopean render`: procedural worlds, with exact depth, to a plain folder."""

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from cyclopean.choices import RIGS, WORLDS
from cyclopean.cli.parsing import check_writable, comma_list, height_width, parse
from cyclopean.errors import InputError, unknown_name, usable_device
from cyclopean.io.files import write_anew

if TYPE_CHECKING:
    from cyclopean.synthetic.folder import RenderJob

MOST = 1_000_000  # scenes of a folder: names have six digits


def _value(name: str, hint: str | None = None) -> Any:
    """How --help calls a value, and what it says of its default."""
    return tyro.conf.arg(metavar=name, help_behavior_hint=hint)


@dataclass(frozen=True)
class Render:
    """Render procedural scenes with exact depth to a folder that `train --data` and `evaluate --data` read.

    A run that was cut goes on where it stopped. OUT/contact.png shows some of what was made.
    """

    worlds: Annotated[str, tyro.conf.Positional, _value("WORLD[,WORLD]", "(required)")] = ""
    """all (street, room, table, landscape), clutter; or some of them, comma-separated."""
    out: Annotated[Path | None, tyro.conf.Positional, _value("OUT", "(required)")] = None
    """Folder to write."""
    rig: Annotated[str, _value("NAME")] = "stereo"
    """stereo (left, right), clip (frame, previous, next) or sphere (panoramas: centre, up, right)."""
    count: int = 100
    """Number of scenes; several worlds take turns."""
    seed: int = 0
    """Scenes seed, seed + 1, ... are rendered; the same seed gives the same scene on every machine."""
    size: Annotated[str, _value("HEIGHTxWIDTH")] = "192x384"
    """In pixels."""
    max_megapixels: Annotated[float, _value("N")] = 8.0
    """Larger pictures are refused: at 8, each process takes 1.4 to 2 GB of memory (on a CPU)."""
    baseline: Annotated[float | None, _value("METRES")] = None
    """Between left and right; without it what suits each scene."""
    field_of_view: Annotated[float | None, _value("DEGREES")] = None
    """Horizontal; without it what suits each scene (40 to 100)."""
    pictures: Annotated[Path | None, _value("FOLDER")] = None
    """A folder of photographs (png, jpg) to put on walls and things."""
    workers: int = 2
    """Processes, one scene at a time each; on a GPU, which they share, as many as 4 million pixels."""
    device: Annotated[str, _value("NAME")] = "cpu"
    """cpu, cuda, cuda:1, mps."""


def main(arguments: list[str]) -> int:
    """Parse and run; returns the exit code."""
    run(parse(Render, arguments, "cyclopean render"))
    return 0


def run(given: Render) -> None:
    """Render what was asked for, with progress, and write the contact sheet."""
    if not given.worlds or given.out is None:
        raise InputError("it needs a world and a folder, such as: cyclopean render street,room OUT --count 100")
    order = _order(given)
    check_writable([given.out])
    from rich.progress import track

    from cyclopean.synthetic.folder import missing, write

    start, todo = time.perf_counter(), len(missing(order, given.out))
    for _ in track(write(order, given.out, given.workers, given.device), description="rendering", total=todo):
        pass
    rate = f", {todo / (time.perf_counter() - start):.1f} a second" if todo else ""
    kept = f" ({order.count - todo} were there already)" if todo < order.count else ""
    print(f"{todo} scenes rendered to {given.out}{kept}{rate}; {contact_sheet(given.out)} shows some.")


def _order(given: Render) -> "RenderJob":
    """What was asked for, after checking all of it."""
    if given.rig not in RIGS:
        raise unknown_name("rig", given.rig, RIGS)
    if given.count < 1 or given.workers < 1:
        raise InputError(f"--count {given.count} --workers {given.workers} is too little; give at least 1 of each.")
    if given.count > MOST:
        raise InputError(
            f"--count {given.count} is too many; a folder holds at most {MOST} scenes (six digits a name)."
        )
    if given.baseline is not None and not 0 < given.baseline < math.inf:
        raise InputError(f"--baseline {given.baseline} is not a length; give metres above 0.")
    if given.field_of_view is not None and not 0 < given.field_of_view < 180:
        raise InputError(f"--field-of-view {given.field_of_view} is no angle of view; give degrees between 0 and 180.")
    named = comma_list("world", given.worlds, [*WORLDS, "all"])
    size = _size(given.size, given.rig, given.max_megapixels)
    usable_device(given.device)
    from cyclopean.synthetic import expanded
    from cyclopean.synthetic.folder import RenderJob, load_pictures

    if given.pictures is not None:
        load_pictures(given.pictures)  # which refuses a folder without any
    wide = given.field_of_view
    return RenderJob(expanded(named), given.rig, given.seed, given.count, size, given.baseline, given.pictures, wide)


def _size(text: str, rig: str, most_megapixels: float) -> tuple[int, int]:
    height, width = height_width("--size", text)
    if min(height, width) < 16:
        raise InputError(f"--size {text} is too small; give at least 16 pixels each way, like 192x384.")
    if not height * width <= most_megapixels * 1e6:
        raise InputError(
            f"--size {text} is {height * width / 1e6:.3g} megapixels, the limit is {most_megapixels:g}; give a smaller "
            "one, or raise the limit with --max-megapixels."
        )
    if rig == "sphere" and width != 2 * height:
        raise InputError(f"--size {text} does not fit a panorama; give twice as wide as high, like 256x512.")
    return height, width


def contact_sheet(out: Path) -> Path:
    """Write OUT/contact.png: up to 24 items of a folder, evenly spread, and their depth."""
    import cv2
    import numpy as np

    from cyclopean.data.folder import FolderDataset
    from cyclopean.synthetic import folder

    items = FolderDataset(out)
    chosen = np.unique(np.linspace(0, len(items) - 1, 24).round().astype(int))
    path = out / "contact.png"
    sheet = folder.contact_sheet([items[int(n)] for n in chosen])[..., ::-1]
    write_anew(path, cv2.imencode(".png", sheet)[1].tobytes())
    return path
