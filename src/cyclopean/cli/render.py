"""`cyclopean render`: procedural worlds, with exact depth, to a plain folder."""

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopean.cli.output import emit
from cyclopean.cli.parsing import check_writable, comma_list, height_width, parse, with_progress
from cyclopean.errors import InputError, unknown_name, usable_device
from cyclopean.flags import Flag
from cyclopean.io.files import write_anew
from cyclopean.synthetic import FAMILIES, RIGS, expanded

MOST = 1_000_000  # scenes of a folder: names have six digits


@dataclass(frozen=True)
class Render:
    """Render procedural scenes with exact depth to a folder that `train --data` and `evaluate --data` read.

    An interrupted run continues where it stopped. OUT/contact.png shows some of what was made.
    """

    worlds: Annotated[str, Flag("WORLD[,WORLD]", positional=True, default="(required)")] = ""
    """all (street, room, table, landscape), clutter, people, animals, plants, thin, vehicles, houses, meal, handheld,
    night; or some of them, comma-separated. With moving things, for clips: traffic, crowd, flight."""
    out: Annotated[Path | None, Flag("OUT", positional=True, folder=True, default="(required)")] = None
    """Folder to write."""
    rig: Annotated[str, Flag("NAME")] = "stereo"
    """stereo (left, right), clip (frame, previous, next) or sphere (panoramas: centre, up, right)."""
    count: int = 100
    """Number of scenes; several worlds take turns."""
    seed: int = 0
    """Scenes seed, seed + 1, ... are rendered; the same seed gives the same scene on every machine."""
    size: Annotated[str, Flag("HEIGHTxWIDTH")] = "192x384"
    """In pixels."""
    max_megapixels: Annotated[float, Flag("N")] = 8.0
    """Larger pictures are refused: at 8, each process takes 1.4 to 2 GB of memory (on a CPU)."""
    baseline: Annotated[float | None, Flag("METRES")] = None
    """Between left and right; without it what suits each scene."""
    field_of_view: Annotated[float | None, Flag("DEGREES")] = None
    """Horizontal; without it what suits each scene (26 to 100)."""
    supersample: Annotated[int, Flag("N")] = 1
    """Rays along each side of a pixel, an odd number: 3 takes nine times as long, and fine texture does not flicker."""
    pictures: Annotated[Path | None, Flag("FOLDER")] = None
    """A folder of photographs (png, jpg) to put on walls and things."""
    workers: int = 2
    """Processes, one scene at a time each; on a GPU, which they share, as many as 4 million pixels."""
    device: Annotated[str, Flag("NAME")] = "cpu"
    """auto, cpu, cuda, cuda:1, mps."""


def main(arguments: list[str]) -> int:
    """Render what the flags say, with progress, and write the contact sheet; return 0."""
    options = parse(Render, arguments, "cyclopean render")
    if not options.worlds or options.out is None:
        raise InputError("it needs a world and a folder, such as: cyclopean render street,room OUT --count 100")
    if options.rig not in RIGS:
        raise unknown_name("rig", options.rig, RIGS)
    if options.count < 1 or options.workers < 1:
        raise InputError(f"--count {options.count} --workers {options.workers} is too little; give at least 1 of each.")
    if options.count > MOST:
        raise InputError(
            f"--count {options.count} is too many; a folder holds at most {MOST} scenes (six digits a name)."
        )
    if options.baseline is not None and not 0 < options.baseline < math.inf:
        raise InputError(f"--baseline {options.baseline} is not a length; give metres above 0.")
    angle = options.field_of_view
    if angle is not None and not 0 < angle < 180:
        raise InputError(f"--field-of-view {angle} is not an angle of view; give degrees between 0 and 180.")
    worlds = comma_list("world", options.worlds, [*FAMILIES, "all"])
    height, width = height_width("--size", options.size)
    if min(height, width) < 16:
        raise InputError(f"--size {options.size} is too small; give at least 16 pixels each way, like 192x384.")
    if not height * width <= options.max_megapixels * 1e6:
        raise InputError(
            f"--size {options.size} is {height * width / 1e6:.3g} megapixels, the limit is "
            f"{options.max_megapixels:g}; give a smaller one, or raise the limit with --max-megapixels."
        )
    if options.rig == "sphere" and width != 2 * height:
        raise InputError(f"--size {options.size} does not fit a panorama; give twice as wide as high, like 256x512.")
    if options.supersample < 1 or options.supersample % 2 == 0:
        raise InputError(f"--supersample is {options.supersample}; give an odd number: 1, 3 or 5.")
    device = str(usable_device(options.device))

    from cyclopean.io.rendered_folder import missing
    from cyclopean.synthetic.folder import RenderJob, load_pictures, write

    if options.pictures is not None:
        load_pictures(options.pictures)  # raises for a folder without any
    job = RenderJob(
        expanded(worlds), options.rig, options.seed, options.count, (height, width), options.baseline,
        options.pictures, angle, options.supersample,
    )  # fmt: skip
    check_writable([options.out])
    start, todo = time.perf_counter(), len(missing(options.out, job.count))
    for _ in with_progress(write(job, options.out, options.workers, device), "rendering", todo):
        pass
    rate = f", {todo / (time.perf_counter() - start):.1f} a second" if todo else ""
    kept = f" ({job.count - todo} were there already)" if todo < job.count else ""
    sheet = contact_sheet(options.out)
    print(f"{todo} scenes rendered to {options.out}{kept}{rate}; {sheet} shows some.")
    emit({"out": options.out, "rendered": todo, "scenes": job.count, "contact_sheet": sheet})
    return 0


def contact_sheet(out: Path) -> Path:
    """Write OUT/contact.png, up to 24 items of a folder, evenly spread, and their depth; return its path."""
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
