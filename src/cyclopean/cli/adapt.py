"""`cyclopean adapt`: a model that goes on learning from one clip."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopean.cli.early import loading, refuse_unknown_model
from cyclopean.cli.output import emit
from cyclopean.cli.parsing import parse, progress_bar
from cyclopean.data import named
from cyclopean.errors import InputError
from cyclopean.flags import Flag
from cyclopean.io.files import at_home, printable, reserved


@dataclass(frozen=True)
class Adapt:
    """Learn the depth of one clip, without labels, and write a model of your own: `cyclopean predict --model` takes it.

    The clip is checked first (as by `cyclopean check`). The camera's motion is measured, then the model learns to make
    each frame from those before and after it. What explains held-out frames best is kept. If nothing was gained, or the
    clip cannot teach depth, the result is the model it started from, and a sentence says so.
    """

    clip: Annotated[str, Flag("CLIP", positional=True)] = ""
    """A film, a folder of numbered frames, or either with options: clip:walk.mp4:step=2:fov=70."""
    out: Annotated[Path, Flag("FOLDER", folder=True)] = Path("my-model")
    """Folder of the new model; its `run` holds the log and what --resume needs."""
    minutes: float = 20.0
    """About how long it may take in all."""
    model: Annotated[str, Flag("NAME")] = "general"
    """What to start from: a bundled model, or a folder."""
    steps: Annotated[int, Flag("N")] = 0
    """Exactly so many steps, instead of --minutes: the same on every machine."""
    resume: bool = False
    """Go on with a run that was stopped or killed."""


def main(arguments: list[str]) -> int:
    return run(parse(Adapt, arguments, "cyclopean adapt"))


def run(options: Adapt) -> int:
    """Adapt, print what came of it, and return 0. Raises InputError before torch is loaded for what is not there."""
    if not options.clip:
        raise InputError("no clip was given; name one: cyclopean adapt walk.mp4 --out my-model.")
    if not 0 < options.minutes < math.inf:
        raise InputError(f"--minutes is {options.minutes:g}; it needs a number above 0.")
    if options.steps < 0:
        raise InputError(f"--steps is {options.steps}; it needs a number of steps, or 0 for --minutes.")
    clip = options.clip
    if at_home(clip).is_dir():
        clip = f"clip:{clip}"
    kind, path, choices = named(clip)
    if kind != "clip":
        raise InputError(f"{printable(options.clip)} is no clip; give a film, or a folder of numbered frames.")
    refuse_unknown_model(options.model)
    with reserved(options.out):
        taken = [name for name in ("config.json", "run") if (options.out / name).exists()]
        if taken and not options.resume:
            raise InputError(
                f"{options.out} holds a model or a run ({', '.join(taken)}); go on with it by --resume, or give "
                "another --out."
            )
        if options.resume and not (options.out / "run").exists():
            raise InputError(f"{options.out} holds no run to go on with; leave --resume out.")
        loading("adapt", f"PyTorch, {options.clip}")
        from cyclopean.training.adaptation import adapt

        adapt(
            clip, at_home(path), choices, options.model, options.out,
            minutes=options.minutes, steps=options.steps, resume=options.resume, say=print, bar=progress_bar,
        )  # fmt: skip
    emit({"clip": options.clip, "out": options.out})
    print(f"wrote {printable(options.out)}; use it: cyclopean predict PHOTO --model {printable(options.out)}")
    return 0
