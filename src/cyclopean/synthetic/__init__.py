"""Procedural worlds: scenes from a seed, ray-cast through any camera, with exact depth.

Names to functions stand here, so that a wrong name is an error before anything heavy is imported.
"""

from collections.abc import Iterable
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from cyclopean.synthetic.rigs import sample as sample
    from cyclopean.synthetic.rigs import samples as samples


class Family(NamedTuple):
    """A family of scenes: the function that lays one out from a random generator, and the depth in metres beyond which
    nothing in it is of interest."""

    layout: str
    far: float


FAMILIES = {
    "street": Family("cyclopean.synthetic.outdoors:street", far=80.0),
    "room": Family("cyclopean.synthetic.indoors:room", far=20.0),
    "table": Family("cyclopean.synthetic.scene_types:closeup", far=80.0),
    "landscape": Family("cyclopean.synthetic.outdoors:landscape", far=80.0),
    "clutter": Family("cyclopean.synthetic.scene_types:clutter", far=20.0),
    "traffic": Family("cyclopean.synthetic.movers:traffic", far=80.0),
    "crowd": Family("cyclopean.synthetic.movers:crowd", far=20.0),
    "flight": Family("cyclopean.synthetic.movers:flight", far=80.0),
    "people": Family("cyclopean.synthetic.subjects:people", far=40.0),
    "animals": Family("cyclopean.synthetic.subjects:animals", far=40.0),
    "plants": Family("cyclopean.synthetic.subjects:plants", far=40.0),
    "thin": Family("cyclopean.synthetic.subjects:thin", far=40.0),
    "vehicles": Family("cyclopean.synthetic.everyday_scenes:vehicles", far=80.0),
    "houses": Family("cyclopean.synthetic.everyday_scenes:houses", far=80.0),
    "meal": Family("cyclopean.synthetic.everyday_scenes:meal", far=20.0),
    "handheld": Family("cyclopean.synthetic.everyday_scenes:handheld", far=20.0),
    "night": Family("cyclopean.synthetic.everyday_scenes:nocturne", far=80.0),
}
ALL = ("street", "room", "table", "landscape")  # what `all` stands for: figures are told of scenes of these, by seed

# Where a rig takes its pictures: a function of the viewpoint and a random generator.
RIGS = {
    "stereo": "cyclopean.synthetic.rigs:stereo",
    "clip": "cyclopean.synthetic.rigs:clip",
    "sphere": "cyclopean.synthetic.rigs:sphere",
}


def expanded(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names of families, each once, with what `all` stands for in its place."""
    return tuple(dict.fromkeys(family for name in names for family in (ALL if name == "all" else (name,))))


def __getattr__(name: str) -> Any:
    if name not in ("sample", "samples"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return resolve_name(f"cyclopean.synthetic.rigs:{name}")
