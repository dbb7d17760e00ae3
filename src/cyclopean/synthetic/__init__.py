"""Procedural worlds: scenes from a seed, ray-cast through any camera, with exact depth.

Names to functions stand here, so that a wrong name is an error before anything heavy is imported.
"""

from collections.abc import Iterable
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cyclopean.synthetic.rigs import sample as sample
    from cyclopean.synthetic.rigs import samples as samples

# How a family of scenes is laid out: a function of a random generator.
FAMILIES = {
    "street": "cyclopean.synthetic.outdoors:street",
    "room": "cyclopean.synthetic.indoors:room",
    "table": "cyclopean.synthetic.scene_types:closeup",
    "landscape": "cyclopean.synthetic.outdoors:landscape",
    "clutter": "cyclopean.synthetic.scene_types:clutter",
    "traffic": "cyclopean.synthetic.movers:traffic",
    "crowd": "cyclopean.synthetic.movers:crowd",
    "flight": "cyclopean.synthetic.movers:flight",
    "people": "cyclopean.synthetic.subjects:people",
    "animals": "cyclopean.synthetic.subjects:animals",
    "plants": "cyclopean.synthetic.subjects:plants",
    "thin": "cyclopean.synthetic.subjects:thin",
    "vehicles": "cyclopean.synthetic.settings:vehicles",
    "houses": "cyclopean.synthetic.settings:houses",
    "meal": "cyclopean.synthetic.settings:meal",
    "handheld": "cyclopean.synthetic.settings:handheld",
    "night": "cyclopean.synthetic.settings:nocturne",
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
