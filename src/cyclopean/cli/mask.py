"""`cyclopean mask`: what of panoramas is no part of the scene, such as sky and watermarks."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopean.cli.early import loading, refuse_unknown_model
from cyclopean.cli.output import emit
from cyclopean.cli.parsing import check_writable, parse, with_progress
from cyclopean.data import named, named_panoramas
from cyclopean.errors import InputError, usable_device
from cyclopean.flags import Flag
from cyclopean.io.files import printable, reserved


@dataclass(frozen=True)
class Mask:
    """Mask what of panoramas is no part of the scene: OUT/NAME.png, white where a panorama counts, black elsewhere.

    `cyclopean train distil --masks OUT` and panoramas:PATH:masks=OUT read them. An interrupted run continues where it
    stopped; damaged pictures are named and left out.
    """

    panoramas: Annotated[str, Flag("PANORAMAS", positional=True, default="(required)")] = ""
    """A folder of panoramas, a film of a 360-degree camera, or a data set as KIND:PATH (docs/data.md)."""
    out: Annotated[Path | None, Flag("MASKS", folder=True, default="(required)")] = None
    """Folder of the masks."""
    prompts: Annotated[tuple[str, ...], Flag("WORD[,WORD]")] = ("sky",)
    """What does not count; anything but sky needs a segmenter."""
    segmenter: Annotated[tuple[str, ...], Flag("NAME[,NAME]")] = ()
    """Weights that follow words, folders or Hub repositories: a CLIPSeg model, or Grounding DINO and SAM. Without them
    sky is found by a rule: far for --model, smooth, above the horizon, and of one colour with what surely is sky."""
    threshold: float = 0.4
    """Least probability of what a word names, for a segmenter."""
    model: Annotated[str, Flag("NAME")] = "general"
    """The model for ordinary photos that tells the rule what is far."""
    workers: int = 1
    """Processes of this machine, or of the cluster."""
    cluster: Annotated[str | None, Flag("auto|ADDRESS")] = None
    """Work on a Ray cluster that shares these folders: auto (the one that this machine belongs to, or this machine
    alone), or its address."""
    device: Annotated[str, Flag("NAME")] = "cpu"
    """auto, cpu, cuda, cuda:1, mps."""


def main(arguments: list[str]) -> int:
    return run(parse(Mask, arguments, "cyclopean mask"))


def run(options: Mask) -> int:
    """Mask every panorama that has no mask yet; return 0 when all went well, 2 when one was bad."""
    if not options.panoramas or options.out is None:
        raise InputError("it needs panoramas and a folder, such as: cyclopean mask PANORAMAS --out MASKS")
    name = named_panoramas(options.panoramas)
    named(name)
    for model in (options.model, *options.segmenter):
        refuse_unknown_model(model)
    if options.workers < 1 or not 0 < options.threshold < 1 or not options.prompts:
        raise InputError(
            f"--workers {options.workers} --threshold {options.threshold:g} --prompts {','.join(options.prompts)}: "
            "give at least 1 worker, a probability between 0 and 1, and words."
        )
    loading("mask", f"torch and {', '.join(options.segmenter) or f'the model {options.model}'}")
    usable_device(options.device)
    from cyclopean.inference import bulk
    from cyclopean.inference.masks import Masking

    prompts = tuple(prompt.strip() for prompt in options.prompts)
    work = Masking(name, options.out, prompts, options.segmenter, options.threshold, options.model, options.device)
    check_writable([options.out])
    bad: list[str] = []
    with reserved(options.out):
        todo = work.begin()
        for _, error, _ in with_progress(bulk.run(work, todo, options.workers, options.cluster), "masking", len(todo)):
            bad += [error] if error else []
    print(f"{len(todo) - len(bad)} masked, masks in {printable(options.out)}; {len(bad)} left out.")
    for sentence in bad:
        print(f"cyclopean mask: left out: {printable(sentence)}", file=sys.stderr)
        emit({"error": sentence})
    emit({"out": options.out, "masked": len(todo) - len(bad), "left_out": len(bad)})
    return 2 if bad else 0
