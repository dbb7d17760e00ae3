"""Kinds of places, laid out at random from a seed: street, room, table, landscape; and clutter."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from cyclopean.errors import unknown_name
from cyclopean.synthetic.closeups import closeup
from cyclopean.synthetic.clutter import clutter
from cyclopean.synthetic.indoors import room
from cyclopean.synthetic.outdoors import landscape, street
from cyclopean.synthetic.scene import Layout, Number, Scene, Triple, turn

REACH, OPEN = (
    0.4,
    0.8,
)  # metres around a panorama's tripod: nothing is nearer; where nothing is nearer, it is well placed
PLACES, WALL = 12, 0.6  # tried; metres between them and the walls

FAMILIES: dict[str, Callable[[Random], Layout]] = {
    "street": street,
    "room": room,
    "table": closeup,
    "landscape": landscape,
    "clutter": clutter,
}
ALL = ("street", "room", "table", "landscape")  # what `all` stands for: figures are told of scenes of these, by seed


def expanded(names: Iterable[str]) -> tuple[str, ...]:
    """Names of families, each once, with what `all` stands for in its place."""
    return tuple(dict.fromkeys(family for name in names for family in (ALL if name == "all" else (name,))))


@dataclass(frozen=True)
class Viewpoint:
    """Where the camera stands and looks, its horizontal field of view in degrees, a stereo baseline that suits."""

    world_from_camera: Float[Tensor, "1 4 4"]
    field_of_view: Number
    baseline: Number


def scene(family: str, seed: int) -> tuple[Scene, Viewpoint]:
    """Scene number `seed` of a family and a viewpoint in it; the same on every machine."""
    layout, dice = _laid_out(family, seed)
    return _seen_from(layout, layout.position, layout.baseline * 2.5 + 0.1, dice, (family, seed))


def surroundings(family: str, seed: int) -> tuple[Scene, Viewpoint]:
    """The same scenes as somebody photographs a panorama of them: a tripod on the open floor, nothing within reach.

    Where no walls bound the scene, it stands where `scene` has its camera.
    """
    layout, dice = _laid_out(family, seed)
    return _seen_from(layout, _open_place(layout, Random(f"tripod {family} {seed}")), REACH, dice, (family, seed))


def _laid_out(family: str, seed: int) -> tuple[Layout, Random]:
    if family not in FAMILIES:
        raise unknown_name("world", family, FAMILIES)
    dice = Random(f"{family} {seed}")
    return FAMILIES[family](dice), dice


def _seen_from(
    layout: Layout, position: Triple, clearance: Number, dice: Random, name: tuple[str, int]
) -> tuple[Scene, Viewpoint]:
    """Everything but what stands within `clearance` metres of the camera, and the camera."""
    built = layout.builder.clear_of(position, clearance)
    roll = dice.gauss(0, 0.02)
    pose = np.eye(4)
    pose[:3, :3] = turn(layout.yaw, layout.pitch, roll)
    pose[:3, 3] = position
    view = Viewpoint(
        torch.tensor(pose[None], dtype=torch.float32, device="cpu"), dice.uniform(40, 100), layout.baseline
    )
    return built.scene(layout.lights, layout.air, *name, layout.far), view


def _open_place(layout: Layout, dice: Random) -> Triple:
    """The first open one of some places on the floor, or the most open, at the height of a tripod; metres."""
    x, z = (max(half - WALL, 0) for half in layout.floor)
    if layout.floor == (0.0, 0.0):
        return layout.position
    places = [(dice.uniform(-x, x), -dice.uniform(1.1, 1.8), dice.uniform(-z, z)) for _ in range(PLACES)]
    return max(places, key=lambda place: min(layout.builder.room_around(place), OPEN))
