"""Four kinds of places, laid out at random from a seed: street, room, table, landscape."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from cyclopean.errors import unknown_name
from cyclopean.worlds.closeups import closeup
from cyclopean.worlds.indoors import room
from cyclopean.worlds.outdoors import landscape, street
from cyclopean.worlds.scene import Layout, Number, Scene, turn

FAMILIES: dict[str, Callable[[Random], Layout]] = {
    "street": street,
    "room": room,
    "table": closeup,
    "landscape": landscape,
}


@dataclass(frozen=True)
class Viewpoint:
    """Where the camera stands and looks, its horizontal field of view in degrees, a stereo baseline that suits."""

    world_from_camera: Float[Tensor, "1 4 4"]
    field_of_view: Number
    baseline: Number


def scene(family: str, seed: int) -> tuple[Scene, Viewpoint]:
    """Scene number `seed` of a family and a viewpoint in it; the same on every machine."""
    if family not in FAMILIES:
        raise unknown_name("world", family, FAMILIES)
    dice = Random(f"{family} {seed}")
    layout = FAMILIES[family](dice)
    built = layout.builder.clear_of(layout.position, layout.baseline * 2.5 + 0.1)
    roll = dice.gauss(0, 0.02)
    pose = np.eye(4)
    pose[:3, :3] = turn(layout.yaw, layout.pitch, roll)
    pose[:3, 3] = layout.position
    view = Viewpoint(
        torch.tensor(pose[None], dtype=torch.float32, device="cpu"), dice.uniform(40, 100), layout.baseline
    )
    return built.scene(layout.lights, layout.air, family, seed, layout.far), view
