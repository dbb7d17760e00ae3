"""`cyclopean bench robust FOLDER`: the whole path over every file of a folder, and a reason for each that fails."""

import json
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopean.cli.early import refuse_unknown_model
from cyclopean.cli.output import emit
from cyclopean.cli.parsing import check_writable_file, parse, with_progress
from cyclopean.errors import InputError
from cyclopean.flags import Flag
from cyclopean.io.files import write_text

if TYPE_CHECKING:
    from cyclopean.app.service import Service


@dataclass(frozen=True)
class BenchRobust:
    """Read, predict, save the depth, refocus and save every picture below a folder, and count.

    A picture counts as done when its depth and its refocused picture were written, have its size and can be read again.
    One that is refused must be refused with a sentence; anything else is a failure, and the exit code is 1 then.
    """

    folder: Annotated[tuple[str, ...], Flag("FOLDER ...", positional=True)] = ()
    """Where pictures lie, at any depth; files without the suffix of a picture are left out."""
    every: bool = False
    """Try every file, whatever its suffix."""
    model: Annotated[str, Flag("NAME")] = "general"
    """A bundled model, a model's folder, or a Hub repository (owner/name)."""
    json: Annotated[str | None, Flag("FILE")] = None
    """Where to write what became of each file."""
    max_megapixels: Annotated[float, Flag("N")] = 120.0
    """Larger photos are refused before they are decoded."""


def main(arguments: list[str]) -> int:
    """Parse and run; returns the exit code."""
    return run(parse(BenchRobust, arguments, "cyclopean bench robust"))


def run(options: BenchRobust) -> int:
    """Print the counts; 0 unless something failed without a sentence."""
    if not options.folder:
        raise InputError("no folder was given; name one that holds pictures: cyclopean bench robust FOLDER")
    refuse_unknown_model(options.model)
    from cyclopean.bench import robust

    files = robust.pictures_below(options.folder, options.every)
    if options.json:
        check_writable_file(Path(options.json))
    from cyclopean.app.service import Service
    from cyclopean.inference.predictor import load

    room = Service(load(options.model), options.max_megapixels)
    whole_path = partial(_whole_path, room)
    outcomes = [robust.attempt(whole_path, files[index]) for index in with_progress(range(len(files)), "trying")]
    print(robust.report(outcomes))
    for outcome in outcomes:
        emit(asdict(outcome))
    if options.json:
        content = [asdict(outcome) for outcome in outcomes]
        write_text(Path(options.json), json.dumps(content, indent=2) + "\n")
    return 1 if any(outcome.state == "failed" for outcome in outcomes) else 0


def _whole_path(room: "Service", path: Path, folder: Path) -> None:
    """Read, predict, save the depth, refocus, save; raise ValueError where what was written has another size."""
    from cyclopean.app.service import FocusRequest, RefocusSettings, save_depth, save_refocused
    from cyclopean.inference.refocus_pipeline import PictureFormat
    from cyclopean.io.depthmap import read_depth
    from cyclopean.io.image import read_photo

    size = room.read(path).size
    depth = read_depth(save_depth(room, path, folder)[1])
    request = FocusRequest((0.5, 0.5), RefocusSettings())
    kept = read_photo(save_refocused(room, path, request, PictureFormat(".png"), folder)[0], room.megapixels)
    for name, written in (("depth", depth.size), ("refocused picture", kept.size)):
        if written != size:
            raise ValueError(f"the {name} is {written[1]}x{written[0]}, the photo {size[1]}x{size[0]}")
