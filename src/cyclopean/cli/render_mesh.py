"""`cyclopean render-mesh`: panoramas of your own mesh with exact depth, rendered by Blender."""

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopean.cli.output import emit
from cyclopean.cli.parsing import check_writable, height_width, parse, with_progress
from cyclopean.errors import InputError, unknown_name
from cyclopean.flags import Flag


@dataclass(frozen=True)
class RenderMesh:
    """Render a mesh of yours as panoramas with exact depth, from places inside it where the rig has room: centre, up
    and right, 0.26 m apart. The folder is read by `train --data`, `evaluate --data` and `check`.

    Blender renders (Cycles), in a process and environment of its own. An interrupted run continues where it stopped.
    OUT/contact.png shows some of what was made.
    """

    scene: Annotated[Path | None, Flag("SCENE", positional=True, default="(required)")] = None
    """A mesh: .glb, .gltf, .obj, .ply or .blend."""
    out: Annotated[Path | None, Flag("OUT", positional=True, folder=True, default="(required)")] = None
    """Folder to write."""
    rig: Annotated[str, Flag("NAME")] = "sphere"
    """sphere (panoramas: centre, up, right)."""
    count: int = 20
    """Number of places."""
    seed: int = 0
    """The same seed gives the same places and headings."""
    size: Annotated[str, Flag("HEIGHTxWIDTH")] = "256x512"
    """In pixels, twice as wide as high."""
    samples: int = 64
    """Rays a pixel: more is less noise and more time. Baked light needs few."""
    light: Annotated[str, Flag("NAME")] = "auto"
    """baked: surfaces shine in their own colours, as scans want; scene: the lights of the file; lamps: some of ours,
    which stand still. auto: scene if the file has lights, else baked if it has colours, else lamps."""
    up: Annotated[str, Flag("AXIS")] = "auto"
    """The axis that points up in the file, y or z. auto: y, but z in .ply and .blend."""
    unit: Annotated[float, Flag("METRES")] = 1.0
    """Metres in one unit of the file: 0.01 for centimetres."""
    baseline: Annotated[float, Flag("METRES")] = 0.26
    """From the centre up, and to the right."""
    threads: int = 0
    """Of the processor, for Blender; 0: all."""
    blender: Annotated[str | None, Flag("PATH")] = None
    """Blender itself, or a Python or virtual environment with bpy; else the variable CYCLOPEAN_BLENDER, else the
    PATH."""


def main(arguments: list[str]) -> int:
    """Render what the flags say, with progress, and write the contact sheet; return 0."""
    options = parse(RenderMesh, arguments, "cyclopean render-mesh")
    if options.scene is None or options.out is None:
        raise InputError("it needs a mesh and a folder, such as: cyclopean render-mesh house.glb OUT --count 20")
    from cyclopean.blender.rendering import AXES, LIGHTS, SUFFIXES, MeshRenderJob, write
    from cyclopean.io.rendered_folder import missing

    suffix = options.scene.suffix.lower()
    if options.rig != "sphere":
        raise unknown_name("rig", options.rig, ["sphere"])
    if suffix not in SUFFIXES:
        raise InputError(
            f"{options.scene} is not a mesh that can be read; give a file that ends in {', '.join(SUFFIXES)}."
        )
    if not options.scene.is_file():
        raise InputError(f"{options.scene} does not exist; give the file of a mesh.")
    for kind, name, known in (("light", options.light, LIGHTS), ("axis", options.up, AXES)):
        if name not in known:
            raise unknown_name(kind, name, known)
    if suffix == ".blend" and options.up == "y":
        raise InputError("--up y does not fit a .blend, where z is up; leave it out.")
    if min(options.count, options.samples) < 1:
        raise InputError(f"--count {options.count} --samples {options.samples} is too little; give at least 1 of each.")
    if not 0 < options.unit < math.inf or not 0 < options.baseline < math.inf:
        raise InputError(f"--unit {options.unit} --baseline {options.baseline}: both are lengths above 0, in metres.")
    if options.threads < 0:
        raise InputError(f"--threads {options.threads} is less than none; give 0 for all, or a number of threads.")
    height, width = height_width("--size", options.size)
    if width != 2 * height or height < 16:
        raise InputError(f"--size {options.size} does not fit a panorama; give twice as wide as high, like 256x512.")
    job = MeshRenderJob(
        options.scene, options.count, options.seed, (height, width), options.samples, options.light, options.up,
        options.unit, options.baseline, options.threads,
    )  # fmt: skip
    from cyclopean.blender.finding import find

    blender = find(options.blender)
    check_writable([options.out])
    from cyclopean.cli.render import contact_sheet

    start, todo = time.perf_counter(), len(missing(options.out, job.count))
    for _ in with_progress(write(job, options.out, blender), "rendering", todo):
        pass
    took = f", {(time.perf_counter() - start) / todo:.1f} s each" if todo else ""
    kept = f" ({job.count - todo} were there already)" if todo < job.count else ""
    sheet = contact_sheet(options.out)
    print(f"{todo} places rendered to {options.out}{kept}{took}; {sheet} shows some.")
    emit({"out": options.out, "rendered": todo, "places": job.count, "contact_sheet": sheet})
    return 0
