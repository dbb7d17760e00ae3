"""`cyclopean render-mesh`: panoramas of your own mesh with exact depth, rendered by Blender."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from cyclopean.cli.parsing import check_writable, height_width, parse
from cyclopean.errors import InputError, unknown_name

if TYPE_CHECKING:
    from cyclopean.blender.rendering import RenderJob


def _value(name: str, hint: str | None = None) -> Any:
    """How --help calls a value, and what it says of its default."""
    return tyro.conf.arg(metavar=name, help_behavior_hint=hint)


@dataclass(frozen=True)
class RenderMesh:
    """Render a mesh of yours as panoramas with exact depth, from places inside it where the rig has room: centre, up
    and right, 0.26 m apart. The folder is read by `train --data`, `evaluate --data` and `check`.

    Blender renders (Cycles), in a process and environment of its own. A run that was cut goes on where it stopped.
    OUT/contact.png shows some of what was made.
    """

    scene: Annotated[Path | None, tyro.conf.Positional, _value("SCENE", "(required)")] = None
    """A mesh: .glb, .gltf, .obj, .ply or .blend."""
    out: Annotated[Path | None, tyro.conf.Positional, _value("OUT", "(required)")] = None
    """Folder to write."""
    rig: Annotated[str, _value("NAME")] = "sphere"
    """sphere (panoramas: centre, up, right)."""
    count: int = 20
    """Number of places."""
    seed: int = 0
    """The same seed gives the same places and headings."""
    size: Annotated[str, _value("HEIGHTxWIDTH")] = "256x512"
    """In pixels, twice as wide as high."""
    samples: int = 64
    """Rays a pixel: more is less noise and more time. Baked light needs few."""
    light: Annotated[str, _value("NAME")] = "auto"
    """baked: surfaces shine in their own colours, as scans want; scene: the lights of the file; lamps: some of ours,
    which stand still. auto: scene if the file has lights, else baked if it has colours, else lamps."""
    up: Annotated[str, _value("AXIS")] = "auto"
    """The axis that points up in the file, y or z. auto: y, but z in .ply and .blend."""
    unit: Annotated[float, _value("METRES")] = 1.0
    """Metres in one unit of the file: 0.01 for centimetres."""
    baseline: Annotated[float, _value("METRES")] = 0.26
    """From the centre up, and to the right."""
    threads: int = 0
    """Of the processor, for Blender; 0: all."""
    blender: Annotated[str | None, _value("PATH")] = None
    """Blender itself, or a Python or virtual environment with bpy; else the variable CYCLOPEAN_BLENDER, else the
    PATH."""


def main(arguments: list[str]) -> int:
    """Parse and run; returns the exit code."""
    run(parse(RenderMesh, arguments, "cyclopean render-mesh"))
    return 0


def run(given: RenderMesh) -> None:
    """Render what was asked for, with progress, and write the contact sheet."""
    if given.scene is None or given.out is None:
        raise InputError("it needs a mesh and a folder, such as: cyclopean render-mesh house.glb OUT --count 20")
    order = _order(given, given.scene)
    from cyclopean.blender.finding import find

    blender = find(given.blender)
    check_writable([given.out])
    from rich.progress import track

    from cyclopean.blender.rendering import missing, write
    from cyclopean.cli.render import contact_sheet

    start, todo = time.perf_counter(), len(missing(order, given.out))
    for _ in track(write(order, given.out, blender), description="rendering", total=todo):
        pass
    took = f", {(time.perf_counter() - start) / todo:.1f} s each" if todo else ""
    kept = f" ({order.count - todo} were there already)" if todo < order.count else ""
    print(f"{todo} places rendered to {given.out}{kept}{took}; {contact_sheet(given.out)} shows some.")


def _order(given: RenderMesh, scene: Path) -> "RenderJob":
    """What was asked for, after checking all of it."""
    from cyclopean.blender.rendering import AXES, LIGHTS, SUFFIXES, RenderJob

    if given.rig != "sphere":
        raise unknown_name("rig", given.rig, ["sphere"])
    if scene.suffix.lower() not in SUFFIXES:
        raise InputError(f"{scene} is no mesh that can be read; give a file that ends in {', '.join(SUFFIXES)}.")
    if not scene.is_file():
        raise InputError(f"{scene} does not exist; give the file of a mesh.")
    for kind, name, known in (("light", given.light, LIGHTS), ("axis", given.up, AXES)):
        if name not in known:
            raise unknown_name(kind, name, known)
    if scene.suffix.lower() == ".blend" and given.up == "y":
        raise InputError("--up y does not fit a .blend, where z is up; leave it out.")
    if min(given.count, given.samples) < 1:
        raise InputError(f"--count {given.count} --samples {given.samples} is too little; give at least 1 of each.")
    if not 0 < given.unit < float("inf") or not 0 < given.baseline < float("inf"):
        raise InputError(f"--unit {given.unit} --baseline {given.baseline}: both are lengths above 0, in metres.")
    if given.threads < 0:
        raise InputError(f"--threads {given.threads} is less than none; give 0 for all, or a number of threads.")
    height, width = height_width("--size", given.size)
    if width != 2 * height or height < 16:
        raise InputError(f"--size {given.size} does not fit a panorama; give twice as wide as high, like 256x512.")
    values = (given.count, given.seed, (height, width), given.samples, given.light, given.up, given.unit)
    return RenderJob(scene, *values, given.baseline, given.threads)
