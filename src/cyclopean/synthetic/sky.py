"""The sky: a gradient, a glow around the sun, clouds."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from cyclopean.synthetic.arithmetic import dot, power
from cyclopean.synthetic.noise import fractal
from cyclopean.synthetic.stage import Stage, own

Directions = Float[Tensor, "3 n"]


def cloudy_sky(scene: Stage, direction: Directions, world: Int[Tensor, " n"] | None) -> Float[Tensor, "3 n"]:
    """The sky with clouds of fractal noise on a flat layer; `direction` are unit vectors, `world` their scenes."""
    air, clear = own(scene.air, world), clear_sky(scene, direction, world)
    up = (-direction[1]).clamp(0, 1)
    flat = direction[::2] / (up + 0.12)
    noise = fractal(flat * 1.3, air.seed, octaves=5)
    cover = ((noise + air.clouds - 0.45) * 2.2).clamp(0, 1) * (up * 6).clamp(0, 1) * (air.clouds > 0)
    white = air.white * (1.25 - 0.35 * cover)
    return torch.lerp(clear, white.expand_as(clear), cover)


def clear_sky(scene: Stage, direction: Directions, world: Int[Tensor, " n"] | None) -> Float[Tensor, "3 n"]:
    """A gradient from horizon to zenith, dark below the horizon, a glow around the sun."""
    air = own(scene.air, world)
    down = direction[1]
    colour = torch.lerp(air.horizon, air.zenith, (-down).clamp(0, 1).sqrt())
    colour = torch.where(down > 0, air.horizon * (1 - 0.5 * down.clamp(0, 1)), colour)
    for suns in scene.suns:
        sun = own(suns, world)
        toward = dot(direction, sun.position).clamp(0, 1)
        colour = colour + sun.colour * (0.25 * power(toward, 12) + 3 * power(toward, 1500))
    return colour
