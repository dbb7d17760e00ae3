"""Panoramas of a mesh from places inside it, as a folder of the rig `sphere` (docs/data.md), rendered by Blender."""

import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from cyclopean.blender.finding import Blender, run
from cyclopean.errors import InputError
from cyclopean.io.depth_formats import exr_planes, sky_at_infinity
from cyclopean.io.files import reserved, write_anew
from cyclopean.io.rendered_folder import SPHERE_BASELINE, describe, missing

SCRIPT = Path(__file__).with_name("inside.py")
SUFFIXES = (".glb", ".gltf", ".obj", ".ply", ".blend")
LIGHTS = ("auto", "baked", "scene", "lamps")
AXES = ("auto", "y", "z")
VIEWS = ("centre", "up", "right")
FAR = 20.0  # metres: truth beyond does not count, as there


@dataclass(frozen=True)
class MeshRenderJob:
    """Panoramas to render of `mesh`: `count` places of one `seed`, at `size` (height, width), `samples` rays a pixel.

    `light`: baked (surfaces shine in their own colours: scans), scene (lights of the file), lamps (ours, standing
    still), or auto. `up` is the axis of the file that points up (auto: the format's habit), `unit` the metres in one
    unit of it; `threads` 0 means all.
    """

    mesh: Path
    count: int
    seed: int
    size: tuple[int, int]
    samples: int
    light: str = "auto"
    up: str = "auto"
    unit: float = 1.0
    baseline: float = SPHERE_BASELINE
    threads: int = 0


def write(order: MeshRenderJob, out: Path, blender: Blender) -> Iterator[int]:
    """Render into `out`, yielding the number of each item as it lands; those already there are kept.

    Each item's camera file comes last, by renaming, so that an item with one is whole. Raises InputError if `out` holds
    another data set or another process renders into it, and with Blender's reason where it cannot use the mesh or finds
    no room for the rig.
    """
    with reserved(out):
        todo = missing(out, order.count)
        for name in (*VIEWS, "depth", "camera"):
            (out / name).mkdir(parents=True, exist_ok=True)
        made_by = {k: v for k, v in asdict(order).items() if k not in ("count", "threads")} | {"mesh": order.mesh.name}
        describe(out, "sphere", VIEWS, made_by, far=FAR)
        if not todo:
            return
        with tempfile.TemporaryDirectory(dir=out, prefix=".rendering-") as staging:
            message = Path(staging) / "order.json"
            where = {"mesh": str(order.mesh.absolute()), "staging": staging, "items": todo}
            message.write_text(json.dumps(asdict(order) | where))
            done = False
            for kind, text in run(blender, SCRIPT, message, out / "blender.log"):
                if kind == "refused":
                    raise InputError(text)
                done = done or kind == "done"
                if kind == "item":
                    yield _take(order, out, Path(staging), json.loads(text))
            if not done:
                raise InputError(f"Blender stopped before it was done; its messages are in {out / 'blender.log'}.")
        (out / "blender.log").unlink()


def _take(order: MeshRenderJob, out: Path, staging: Path, item: dict[str, object]) -> int:
    """Move what was rendered of one item to where it belongs, the camera last."""
    n = item["number"]
    stem, baseline = f"{n:06d}", order.baseline
    for name in VIEWS:
        (staging / f"{stem}_{name}.png").replace(out / name / f"{stem}.png")
    exr = staging / f"{stem}_depth.exr"
    array = staging / f"{stem}_depth.npy"
    planes = exr_planes(exr)
    depth = planes[next(name for name in planes if name.split(".")[-2:] in (["Depth", "Z"], ["Depth", "V"]))]
    np.save(array, sky_at_infinity(depth).astype(np.float32))  # metres, inf where nothing was met
    array.replace(out / "depth" / f"{stem}.npy")
    exr.unlink()
    text = {
        "camera": "equirectangular",
        "family": "mesh",
        "from_target": {"up": _moved(1, baseline), "right": _moved(0, -baseline)},
        "position": item["position"],
        "heading": item["heading"],
    }
    write_anew(out / "camera" / f"{stem}.json", json.dumps(text).encode())
    assert isinstance(n, int)
    return n


def _moved(axis: int, metres: float) -> list[list[float]]:
    """Return `source_from_target` of a translation along one axis."""
    pose = np.eye(4)
    pose[axis, 3] = metres
    return pose.tolist()
