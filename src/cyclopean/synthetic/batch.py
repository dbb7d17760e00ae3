"""Scenes side by side, as the renderer reads them: all their primitives in one table, a column for each scene's air.

A GPU takes longer to be told of an operation than to do it for one small picture, so scenes are rendered together: they
need little more operations than one of them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TypeVar

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from cyclopean.sample import map_tensors
from cyclopean.synthetic.scene import Atmosphere, Light, Number, Scene, Triple

T = TypeVar("T")

NOTHING = -1  # the shape of rows that only fill up the table
# Light that a scene has not, where another has one: it comes from nowhere, or reaches nothing (0 could divide 0).
_NO_SUN, _NO_LAMP = (Light((0.0, 0.0, 0.0), (0.0, 0.0, 0.0), reach) for reach in (math.inf, 1e-30))


@dataclass(frozen=True)
class Lights:
    """A light of each scene: suns (`position` is the direction towards them, `reach` None) or lamps (metres)."""

    position: Float[Tensor, "3 #n"]
    colour: Float[Tensor, "3 #n"]
    brightness: Float[Tensor, " #n"]
    reach: Float[Tensor, " #n"] | None


@dataclass(frozen=True)
class Atmospheres:
    """The `Atmosphere` of each scene; `above` is ambient light from the sky, `white` that of clouds."""

    zenith: Float[Tensor, "3 #n"]
    horizon: Float[Tensor, "3 #n"]
    above: Float[Tensor, "3 #n"]
    bounce: Float[Tensor, "3 #n"]
    white: Float[Tensor, " #n"]
    ambient: Float[Tensor, " #n"]
    clouds: Float[Tensor, " #n"]
    haze: Float[Tensor, " #n"]
    seed: Int[Tensor, " #n"]


@dataclass(frozen=True)
class SceneBatch:
    """`number` scenes with equally many rows of primitives (r in all), whose fields are those of `Scene`.

    `moving` are those with a velocity. `objects` are the numbers of the objects that rows are parts of. Lights and
    atmospheres have a column per scene: take points' own by `own`.
    """

    number: int
    shape: Int[Tensor, " r"]
    center: Float[Tensor, "r 3"]
    inverse: Float[Tensor, "r 3 3"]
    half: Float[Tensor, "r 3"]
    taper: Float[Tensor, "r 2"]
    looks: Float[Tensor, "r 9"]
    colours: Float[Tensor, "r 9"]
    moving: Bool[Tensor, " r"]
    objects: Int[Tensor, " r"]
    suns: tuple[Lights, ...]
    lamps: tuple[Lights, ...]
    air: Atmospheres


def batch_scenes(scenes: Sequence[Scene]) -> SceneBatch:
    """Put scenes of one device side by side there."""
    rows, like = max(len(scene.shape) for scene in scenes), scenes[0].center

    def table(values: Sequence[Tensor], fill: int = 0) -> Tensor:
        margins = ([0, 0] * (x.dim() - 1) + [0, rows - len(x)] for x in values)
        return torch.cat([F.pad(x, m, value=fill) for x, m in zip(values, margins, strict=True)])

    return SceneBatch(
        len(scenes),
        table([s.shape for s in scenes], NOTHING),
        table([s.center for s in scenes]),
        table([s.inverse for s in scenes]),
        table([s.half for s in scenes]),
        table([s.taper for s in scenes]),
        table([s.looks for s in scenes]),
        table([s.colours for s in scenes]),
        table([s.velocity for s in scenes]).norm(dim=1) > 0,
        table([s.objects for s in scenes]),
        _lights([[light for light in s.lights if light.reach == math.inf] for s in scenes], _NO_SUN, like),
        _lights([[light for light in s.lights if light.reach < math.inf] for s in scenes], _NO_LAMP, like),
        _atmospheres([s.air for s in scenes], like),
    )


def own(columns: T, world: Int[Tensor, " n"] | None) -> T:
    """Gather each point's lights or atmosphere, by the scene it belongs to; None leaves them alone (one scene)."""
    return columns if world is None else map_tensors(lambda x: x.index_select(-1, world), columns)


def _lights(of_scenes: Sequence[Sequence[Light]], none: Light, like: Tensor) -> tuple[Lights, ...]:
    """Return the first light of every scene, the second, and so on."""
    return tuple(
        Lights(
            _columns([light.position for light in lights], like),
            _columns([light.colour for light in lights], like),
            _columns([sum(light.colour) / 3 for light in lights], like),
            None if none.reach == math.inf else _columns([light.reach for light in lights], like),
        )
        for lights in zip_longest(*of_scenes, fillvalue=none)
    )


def _atmospheres(atmospheres: Sequence[Atmosphere], like: Tensor) -> Atmospheres:
    above = [tuple(0.5 * a + 0.5 * b for a, b in zip(air.zenith, air.horizon, strict=True)) for air in atmospheres]
    return Atmospheres(
        _columns([air.zenith for air in atmospheres], like),
        _columns([air.horizon for air in atmospheres], like),
        _columns(above, like),
        _columns([air.bounce for air in atmospheres], like),
        _columns([sum(air.horizon) / 3 for air in atmospheres], like),
        _columns([air.ambient for air in atmospheres], like),
        _columns([air.clouds for air in atmospheres], like),
        _columns([air.haze for air in atmospheres], like),
        torch.tensor([air.seed for air in atmospheres], dtype=torch.int32, device=like.device),
    )


def _columns(values: Sequence[Triple | Number] | Sequence[tuple[Number, ...]], like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=torch.float32, device=like.device).movedim(0, -1)
