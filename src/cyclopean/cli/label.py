"""`cyclopean label`: depth of panoramas by a perspective model, face by face, to be learned from."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopean.cli.early import loading, refuse_unknown_model
from cyclopean.cli.output import emit
from cyclopean.cli.parsing import check_writable, parse, with_progress
from cyclopean.data import named, named_panoramas
from cyclopean.errors import InputError, usable_device
from cyclopean.flags import Flag
from cyclopean.io.files import printable, reserved


@dataclass(frozen=True)
class Label:
    """Label panoramas for `cyclopean train distil --labels`: faces turned at random, each with the inverse depth that a
    model for ordinary photos sees in it, up to a scale and a shift of its own.

    An interrupted run continues where it stopped; damaged pictures are named and left out. OUT/NAME.npz for each.
    """

    panoramas: Annotated[str, Flag("PANORAMAS", positional=True, default="(required)")] = ""
    """A folder of panoramas, a film of a 360-degree camera, or a data set as KIND:PATH (docs/data.md)."""
    out: Annotated[Path | None, Flag("LABELS", folder=True, default="(required)")] = None
    """Folder of the labels."""
    model: Annotated[str, Flag("NAME")] = "general"
    """The teacher: a bundled model for ordinary photos, a model's folder, or a Hub repository."""
    masks: Annotated[Path | None, Flag("FOLDER")] = None
    """Masks of the panoramas (cyclopean mask), white where they count."""
    planes: Literal["cube", "tangent"] = "cube"
    """The six faces of a cube, or 18 tangent planes."""
    turns: int = 4
    """How many random rotations of each panorama; training takes one at random."""
    rotate: float = 45.0
    """Degrees that faces are turned by, at most, about each axis."""
    side: int = 256
    """Side of a face in pixels."""
    seed: int = 0
    """Seed of the rotations, with the panorama's name."""
    workers: int = 1
    """Processes of this machine, or of the cluster."""
    cluster: Annotated[str | None, Flag("auto|ADDRESS")] = None
    """Work on a Ray cluster that shares these folders: auto (the one that this machine belongs to, or this machine
    alone), or its address."""
    device: Annotated[str, Flag("NAME")] = "cpu"
    """auto, cpu, cuda, cuda:1, mps."""


def main(arguments: list[str]) -> int:
    return run(parse(Label, arguments, "cyclopean label"))


def run(options: Label) -> int:
    """Label every panorama that has no file yet; return 0 when all went well, 2 when one was bad."""
    if not options.panoramas or options.out is None:
        raise InputError("it needs panoramas and a folder, such as: cyclopean label PANORAMAS --out LABELS")
    name = named_panoramas(options.panoramas)
    named(name)
    refuse_unknown_model(options.model)
    if min(options.turns, options.workers) < 1 or not 8 <= options.side <= 1024 or not 0 <= options.rotate <= 180:
        raise InputError(
            f"--turns {options.turns} --workers {options.workers} --side {options.side} --rotate {options.rotate:g}: "
            "give at least 1 turn and worker, 8 to 1024 pixels, 0 to 180 degrees."
        )
    if options.masks is not None and not options.masks.is_dir():
        raise InputError(f"there is no folder {options.masks}; cyclopean mask makes one.")
    loading("label", f"torch and the model {options.model}")
    usable_device(options.device)
    from cyclopean.inference import bulk
    from cyclopean.inference.labels import Labelling

    check_writable([options.out])
    work = Labelling(
        name, options.model, options.out, options.planes, options.turns, options.rotate, options.side, options.masks,
        options.seed, options.device,
    )  # fmt: skip
    bad: list[str] = []
    with reserved(options.out):
        todo = work.begin()
        for _, error, _ in with_progress(
            bulk.run(work, todo, options.workers, options.cluster), "labelling", len(todo)
        ):
            bad += [error] if error else []
    print(f"{len(todo) - len(bad)} labelled, labels in {printable(options.out)}; {len(bad)} left out.")
    for sentence in bad:
        print(f"cyclopean label: left out: {printable(sentence)}", file=sys.stderr)
        emit({"error": sentence})
    emit({"out": options.out, "labelled": len(todo) - len(bad), "left_out": len(bad)})
    return 2 if bad else 0
