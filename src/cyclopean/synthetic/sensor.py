"""From light to a photograph: exposure, lens, noise, tone."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from cyclopean.synthetic.arithmetic import power
from cyclopean.synthetic.noise import cell_hash
from cyclopean.synthetic.scene import Number, Triple

SHARP = 0.15  # pixels: a lens that blurs less does not blur


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


def exposure(light: Float[Tensor, "b 3 h w"], sensors: Sequence[Sensor]) -> Float[Tensor, " b"]:
    """The gain that brings each picture's mean display brightness to its sensor's key; views of a rig share it."""
    shown = power(light.mean(1).clamp(0, 8), 1 / 2.2).mean((1, 2)).clamp_min(1e-3)
    return (light.new_tensor([sensor.key for sensor in sensors]) / shown).pow(2.2).clamp(0.02, 50)


def develop(
    light: Float[Tensor, "b 3 h w"], gain: Float[Tensor, " b"], sensors: Sequence[Sensor], view: int
) -> Float[Tensor, "b 3 h w"]:
    """The photographs in [0,1], sRGB. `view` numbers the pictures of a rig: each has noise of its own."""
    h, w = light.shape[-2:]

    def of_each(values: Sequence[Number]) -> Float[Tensor, "b 1 1 1"]:
        return light.new_tensor(values)[:, None, None, None]

    exposed = (
        light * gain[:, None, None, None] * light.new_tensor([sensor.white for sensor in sensors])[:, :, None, None]
    )
    exposed *= _vignette(h, w, of_each([sensor.vignette for sensor in sensors]))
    exposed /= 1 + 0.18 * exposed  # a soft shoulder: highlights roll off instead of clipping hard
    picture = power(_blurred(exposed * 1.18, [sensor.blur * w / 384 for sensor in sensors]).clamp_(0, 1), 1 / 2.2)
    grey = picture.mean(1, keepdim=True)
    picture = grey + (picture - grey) * of_each([sensor.saturation for sensor in sensors])
    picture = 0.5 + (picture - 0.5) * of_each([sensor.contrast for sensor in sensors])
    noise = _noise(h, w, [sensor.seed + 101 * view for sensor in sensors], light)
    return picture.addcmul_(noise, of_each([sensor.noise for sensor in sensors])).clamp_(0, 1)


def _vignette(h: int, w: int, strength: Float[Tensor, "b 1 1 1"]) -> Float[Tensor, "b 1 h w"]:
    y, x = (torch.linspace(-1, 1, n, device=strength.device) for n in (h, w))
    return 1 - strength * (x.square()[None] + y.square()[:, None]) / 2


def _blurred(image: Float[Tensor, "b 3 h w"], sigmas: Sequence[Number]) -> Float[Tensor, "b 3 h w"]:
    """Five taps each way, as sums of shifted pictures: much faster than a convolution of so few channels."""
    if max(sigmas) < SHARP:
        return image
    taps = image.new_tensor([_taps(sigma) for sigma in sigmas])[:, :, None, None, None]
    for axis, margin in ((3, (2, 2, 0, 0)), (2, (0, 0, 2, 2))):
        wide, size = F.pad(image, margin, mode="replicate"), image.shape[axis]
        image = torch.zeros_like(image)
        for k in range(5):
            image.addcmul_(wide.narrow(axis, k, size), taps[:, k])
    return image


def _taps(sigma: Number) -> list[float]:
    if sigma < SHARP:
        return [0.0, 0.0, 1.0, 0.0, 0.0]
    taps = [math.exp(-k * k / (2 * sigma * sigma)) for k in range(-2, 3)]
    return [tap / sum(taps) for tap in taps]


def _noise(h: int, w: int, seeds: Sequence[int], like: Tensor) -> Float[Tensor, "b 3 h w"]:
    """Roughly normal noise of sigma 1, the same on every device: from the sum of three hashes."""
    i, j = (torch.arange(n, device=like.device, dtype=torch.int32) for n in (h, w))
    key = torch.tensor([seed % 1000003 for seed in seeds], device=like.device, dtype=torch.int32)
    channels = []
    for first in (0, 3, 6):
        n = torch.arange(first, first + 3, device=like.device, dtype=torch.int32)[:, None, None]
        channels.append(cell_hash(i[:, None], j, n, key[:, None, None, None]).sum(1))
    return torch.stack(channels, 1).sub_(1.5).mul_(2.0)
