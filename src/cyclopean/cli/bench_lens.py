"""`cyclopean bench lens`: refocusing measured against photographs through a real lens, as tables."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopean.cli.parsing import check_writable_file, parse
from cyclopean.errors import InputError
from cyclopean.flags import Flag

if TYPE_CHECKING:
    from cyclopean.bench.lens import Row, Shot


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


def run(given: BenchLens) -> None:
    """Print a table for true depth and one for predicted depth."""
    if len(given.folder) != 1:
        raise InputError("bench lens takes one folder of shots, such as: cyclopean bench lens SHOTS")
    if given.json:
        check_writable_file(Path(given.json))
    from cyclopean.bench import lens
    from cyclopean.defocus.edges import refined
    from cyclopean.inference.predictor import load

    shots = lens.read_shots(Path(given.folder[0]))
    predictor = None if given.model == "none" else load(given.model)
    tables = {"true depth": lens.measure(shots, [shot.depth for shot in shots], lens.ways())}
    print(_table("true depth", shots, tables["true depth"]), flush=True)
    if predictor is not None:
        found = [refined(predictor(shot.photo), shot.photo.image) for shot in shots]  # as refocus does
        depths = [lens.aligned(depth, shot.depth) for depth, shot in zip(found, shots, strict=True)]
        title = f"depth predicted by {given.model}, refined, scale and offset fitted to the truth"
        tables[title] = lens.measure(shots, depths, lens.ways())
        print("\n" + _table(title, shots, tables[title]))
    if given.json:
        Path(given.json).write_text(json.dumps(_content(shots, tables), indent=2) + "\n")


def _table(title: str, shots: "list[Shot]", rows: "list[Row]") -> str:
    """Markdown: means over shots, the worst shot, and each shot's PSNR; below, what no method can exceed in focus."""
    from cyclopean.bench.lens import noise_floor

    names = [shot.name for shot in shots]
    lines = [
        f"{title}: PSNR in dB and SSIM outside clipped pixels, PSNR and leak within 8 px of depth edges",
        "",
        "| way | PSNR | worst | SSIM | at edges | leak | " + " | ".join(names) + " |",
        "|---|" + "---:|" * (5 + len(names)),
    ]
    for row in rows:
        mean, each = row.mean(), [score.psnr for score in row.scores]
        cells = [mean.psnr, min(each), mean.ssim, mean.edge_psnr, mean.leak, *each]
        texts = [f"{cell:.3f}" if k in (2, 4) else f"{cell:.1f}" for k, cell in enumerate(cells)]
        lines.append(f"| {row.name} | " + " | ".join(texts) + " |")
    floors = " | ".join(f"{noise_floor(shot):.1f}" for shot in shots)
    return "\n".join([*lines, f"| noise floor, in focus | | | | | | {floors} |"])


def _content(shots: "list[Shot]", tables: "dict[str, list[Row]]") -> dict[str, object]:
    return {
        depth: {
            row.name: {shot.name: dataclasses.asdict(s) for shot, s in zip(shots, row.scores, strict=True)}
            for row in rows
        }
        for depth, rows in tables.items()
    }
