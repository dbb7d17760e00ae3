"""From light to a photograph: exposure, lens, noise, tone."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from cyclopean.worlds.arithmetic import power
from cyclopean.worlds.noise import cell_hash
from cyclopean.worlds.scene import Number, Triple


@dataclass(frozen=True)
class Sensor:
    """How a picture is taken.

    `key`: the mean brightness aimed at; `white`: gains of red, green, blue; `blur`: sigma in pixels of a picture 384
    wide; `noise`: about its sigma, sRGB; `vignette`: how much darker corners are; `seed`: of the noise.
    """

    key: Number = 0.45
    white: Triple = (1.0, 1.0, 1.0)
    contrast: Number = 1.0
    saturation: Number = 1.0
    blur: Number = 0.4
    noise: Number = 0.01
    vignette: Number = 0.2
    seed: int = 0


def exposure(light: Float[Tensor, "1 3 h w"], sensor: Sensor) -> Float[Tensor, ""]:
    """The gain that brings the picture's mean display brightness to the sensor's key; all views of a rig share it."""
    shown = power(light.mean(1).clamp(0, 8), 1 / 2.2).mean().clamp_min(1e-3)
    return (sensor.key / shown).pow(2.2).clamp(0.02, 50)


def develop(
    light: Float[Tensor, "1 3 h w"], gain: Float[Tensor, ""] | Number, sensor: Sensor, view: int
) -> Float[Tensor, "1 3 h w"]:
    """The photograph in [0,1], sRGB. `view` numbers the pictures of a rig: each has noise of its own."""
    h, w = light.shape[-2:]
    exposed = light * gain * light.new_tensor(sensor.white)[:, None, None]
    exposed *= _vignette(h, w, sensor.vignette, light)
    exposed /= 1 + 0.18 * exposed  # a soft shoulder: highlights roll off instead of clipping hard
    picture = power(_blurred(exposed * 1.18, sensor.blur * w / 384).clamp_(0, 1), 1 / 2.2)
    grey = picture.mean(1, keepdim=True)
    picture = grey + (picture - grey) * sensor.saturation
    picture = 0.5 + (picture - 0.5) * sensor.contrast
    return picture.add_(_noise(h, w, sensor.seed + 101 * view, light), alpha=sensor.noise).clamp_(0, 1)


def _vignette(h: int, w: int, strength: Number, like: Tensor) -> Float[Tensor, "h w"]:
    y, x = (torch.linspace(-1, 1, n, device=like.device) for n in (h, w))
    return 1 - strength * (x.square()[None] + y.square()[:, None]) / 2


def _blurred(image: Float[Tensor, "1 3 h w"], sigma: Number) -> Float[Tensor, "1 3 h w"]:
    """Five taps each way, as sums of shifted pictures: much faster than a convolution of so few channels."""
    if sigma < 0.15:
        return image
    taps = [math.exp(-k * k / (2 * sigma * sigma)) for k in range(-2, 3)]
    for axis, margin in ((3, (2, 2, 0, 0)), (2, (0, 0, 2, 2))):
        wide, size = F.pad(image, margin, mode="replicate"), image.shape[axis]
        image = torch.zeros_like(image)
        for k, tap in enumerate(taps):
            image.add_(wide.narrow(axis, k, size), alpha=tap / sum(taps))
    return image


def _noise(h: int, w: int, seed: int, like: Tensor) -> Float[Tensor, "3 h w"]:
    """Roughly normal noise of sigma 1, the same on every device: from the sum of three hashes."""
    i, j = (torch.arange(n, device=like.device, dtype=torch.int32) for n in (h, w))
    key = torch.tensor(seed % 1000003, device=like.device, dtype=torch.int32)
    channels = []
    for first in (0, 3, 6):
        n = torch.arange(first, first + 3, device=like.device, dtype=torch.int32)[:, None, None]
        channels.append(cell_hash(i[None, :, None], j[None, None], n, key[None, None, None]).sum(0))
    return torch.stack(channels).sub_(1.5).mul_(2.0)
