"""From light to a photograph: exposure, lens, noise, tone."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

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


def exposure(light: Float[Tensor, "1 3 h w"], sensor: Sensor) -> float:
    """The gain that brings the picture's mean display brightness to the sensor's key; all views of a rig share it."""
    shown = light.mean(1).clamp(0, 8).pow(1 / 2.2).mean().clamp_min(1e-3)
    return float((sensor.key / shown).pow(2.2).clamp(0.02, 50))


def develop(light: Float[Tensor, "1 3 h w"], gain: Number, sensor: Sensor, view: int) -> Float[Tensor, "1 3 h w"]:
    """The photograph in [0,1], sRGB. `view` numbers the pictures of a rig: each has noise of its own."""
    h, w = light.shape[-2:]
    exposed = light * gain * light.new_tensor(sensor.white)[:, None, None]
    exposed = exposed * _vignette(h, w, sensor.vignette, light)
    exposed = exposed / (1 + 0.18 * exposed)  # a soft shoulder: highlights roll off instead of clipping hard
    picture = _blurred(exposed * 1.18, sensor.blur * w / 384).clamp(0, 1).pow(1 / 2.2)
    grey = picture.mean(1, keepdim=True)
    picture = grey + (picture - grey) * sensor.saturation
    picture = 0.5 + (picture - 0.5) * sensor.contrast
    return (picture + sensor.noise * _noise(h, w, sensor.seed + 101 * view, light)).clamp(0, 1)


def _vignette(h: int, w: int, strength: Number, like: Tensor) -> Float[Tensor, "h w"]:
    y, x = (torch.linspace(-1, 1, n, device=like.device) for n in (h, w))
    return 1 - strength * (x.square()[None] + y.square()[:, None]) / 2


def _blurred(image: Float[Tensor, "1 3 h w"], sigma: Number) -> Float[Tensor, "1 3 h w"]:
    if sigma < 0.15:
        return image
    x = torch.arange(-2, 3, device=image.device, dtype=image.dtype)
    kernel = torch.exp(-x.square() / (2 * sigma * sigma))
    kernel = (kernel / kernel.sum()).expand(3, 1, 1, 5)
    image = F.conv2d(F.pad(image, (2, 2, 0, 0), mode="replicate"), kernel, groups=3)
    return F.conv2d(F.pad(image, (0, 0, 2, 2), mode="replicate"), kernel.transpose(2, 3), groups=3)


def _noise(h: int, w: int, seed: int, like: Tensor) -> Float[Tensor, "3 h w"]:
    """Roughly normal noise of sigma 1, the same on every device: from the sum of three hashes."""
    i, j = (torch.arange(n, device=like.device, dtype=torch.int32) for n in (h, w))
    i, j = i[:, None].expand(h, w), j[None].expand(h, w)
    hashes = [cell_hash(i, j, torch.full_like(i, n), torch.full_like(i, seed % 1000003)) for n in range(9)]
    layers = [hashes[n] + hashes[n + 1] + hashes[n + 2] - 1.5 for n in (0, 3, 6)]
    return torch.stack(layers) * 2.0
