"""The sky: a gradient, a glow around the sun, clouds."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from cyclopean.worlds.arithmetic import dot, power
from cyclopean.worlds.noise import fractal
from cyclopean.worlds.scene import Scene

Directions = Float[Tensor, "3 n"]


def cloudy_sky(scene: Scene, direction: Directions) -> Float[Tensor, "3 n"]:
    """The sky with clouds of fractal noise on a flat layer; `direction` are unit vectors."""
    air, clear = scene.air, clear_sky(scene, direction)
    if air.clouds <= 0:
        return clear
    up = (-direction[1]).clamp(0, 1)
    flat = direction[::2] / (up + 0.12)
    seed = torch.tensor([air.seed], dtype=torch.int32, device=up.device)
    noise = fractal(flat * 1.3, seed, octaves=5)
    cover = ((noise + air.clouds - 0.45) * 2.2).clamp(0, 1) * (up * 6).clamp(0, 1)
    white = sum(air.horizon) / 3 * (1.25 - 0.35 * cover)
    return torch.lerp(clear, white.expand_as(clear), cover)


def clear_sky(scene: Scene, direction: Directions) -> Float[Tensor, "3 n"]:
    """A gradient from horizon to zenith, dark below the horizon, a glow around the sun."""
    horizon, zenith = (direction.new_tensor(colour)[:, None] for colour in (scene.air.horizon, scene.air.zenith))
    down = direction[1]
    colour = torch.lerp(horizon, zenith, (-down).clamp(0, 1).sqrt())
    colour = torch.where(down > 0, horizon * (1 - 0.5 * down.clamp(0, 1)), colour)
    for source in scene.lights:
        if source.reach == math.inf:
            toward = dot(direction, direction.new_tensor(source.position)[:, None]).clamp(0, 1)
            glow = 0.25 * power(toward, 12) + 3 * power(toward, 1500)
            colour = colour + direction.new_tensor(source.colour)[:, None] * glow
    return colour
