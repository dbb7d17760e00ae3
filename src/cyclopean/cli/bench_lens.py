"""`cyclopean bench lens`: refocusing measured against photographs through a real lens, as tables."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopean.cli.early import refuse_unknown_model
from cyclopean.cli.output import emit
from cyclopean.cli.parsing import check_writable_file, parse
from cyclopean.errors import InputError
from cyclopean.flags import Flag
from cyclopean.io.files import write_text


@dataclass(frozen=True)
class BenchLens:
    """Compare ways to blur with the truth: PSNR, SSIM and what leaks at edges, on true and on predicted depth."""

    folder: Annotated[tuple[str, ...], Flag("FOLDER", positional=True)] = ()
    """Shots: NAME.json with focal_mm, sensor_mm and shots of tag, focus_m, fstop; NAME_sharp.png,
    NAME_sharp_depth.npz (z in metres), NAME_TAG.png."""
    model: Annotated[str, Flag("NAME")] = "general"
    """What predicts the depth: a bundled model, a model's folder, or a Hub repository; "none" leaves it out."""
    json: Annotated[str | None, Flag("FILE")] = None
    """Where to write all figures, shot by shot."""


def main(arguments: list[str]) -> int:
    """Parse and run."""
    run(parse(BenchLens, arguments, "cyclopean bench lens"))
    return 0


def run(options: BenchLens) -> None:
    """Print a table for true depth and one for predicted depth."""
    if len(options.folder) != 1:
        raise InputError("bench lens takes one folder of shots, such as: cyclopean bench lens SHOTS")
    refuse_unknown_model(options.model)
    if options.json:
        check_writable_file(Path(options.json))
    from cyclopean.bench import lens
    from cyclopean.defocus.edges import refined
    from cyclopean.inference.predictor import load

    shots, renderers = lens.read_shots(Path(options.folder[0])), lens.renderers()
    predictor = None if options.model == "none" else load(options.model)
    results = {"true depth": lens.measure(shots, [shot.depth for shot in shots], renderers)}
    print(lens.report("true depth", shots, results["true depth"]), flush=True)
    if predictor is not None:
        predicted = [refined(predictor(shot.photo), shot.photo.image) for shot in shots]  # as refocus does
        depths = [lens.aligned(depth, shot.depth) for depth, shot in zip(predicted, shots, strict=True)]
        title = f"depth predicted by {options.model}, refined, scale and offset fitted to the truth"
        results[title] = lens.measure(shots, depths, renderers)
        print("\n" + lens.report(title, shots, results[title]))
    content = {title: lens.as_json(shots, rows) for title, rows in results.items()}
    for title, scores in content.items():
        emit({"depth": title, "scores": scores})
    if options.json:
        write_text(Path(options.json), json.dumps(content, indent=2) + "\n")
