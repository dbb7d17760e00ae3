"""Monodepth's VGG-style encoder-decoder (Godard et al. 2017, supplement table 1), and VGG19's first features."""

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from cyclopean.errors import InputError

KERNELS = (7, 5, 3, 3, 3, 3, 3)
ENCODER = (32, 64, 128, 256, 512, 512, 512)  # channels at 1/2, 1/4, ... 1/128
DECODER = (16, 32, 64, 128, 256, 512, 512)  # channels at 1, 1/2, ... 1/64
HEADS = 4
MOST = 0.3  # a head is shown to the next finer scale as the disparity it stands for: at most 0.3 of the width


class Vgg(nn.Module):
    """Seven blocks down, seven up with skips, heads at the four finest scales, each fed by the coarser one.

    Blocks convolve with stride 1 and then 2, as the release does and not as the supplement's table has it. No
    normalisation; Xavier-uniform weights, zero biases. 31,600,072 parameters at width 1 and 2 outputs.
    """

    multiple: ClassVar[int] = 128

    def __init__(self, width: float = 1.0, outputs: int = 2, inputs: int = 3) -> None:
        super().__init__()
        down = [max(1, round(width * c)) for c in ENCODER]
        up = [max(1, round(width * c)) for c in DECODER]
        self.blocks = nn.ModuleList(map(_Block, [inputs, *down], down, KERNELS))
        self.stages = stages(down[-1], up, [0, *down[:-1]], outputs)
        self.apply(initialise)

    def features(self, image: Float[Tensor, "b c h w"]) -> list[Tensor]:
        """Return the features of the first two blocks, at 1/2 and 1/4."""
        half = self.blocks[0](image)
        return [half, self.blocks[1](half)]

    def forward(self, image: Float[Tensor, "b c h w"]) -> list[Tensor]:
        skips = [image]
        for block in self.blocks:
            skips.append(block(skips[-1]))
        return decoded(self.stages, skips.pop(), skips[1:])


class _Block(nn.Module):
    def __init__(self, into: int, out: int, kernel: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(into, out, kernel, 1, kernel // 2)
        self.second = nn.Conv2d(out, out, kernel, 2, kernel // 2)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h2 w2"]:
        return F.elu(self.second(F.elu(self.first(x))))


class _Stage(nn.Module):
    def __init__(self, into: int, out: int, extra: int, outputs: int) -> None:
        super().__init__()
        self.up = nn.Conv2d(into, out, 3, 1, 1)
        self.merge = nn.Conv2d(out + extra, out, 3, 1, 1)
        self.head = nn.Conv2d(out, outputs, 3, 1, 1) if outputs else None

    def forward(self, x: Float[Tensor, "b c h w"], extra: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Return features twice as large, and what its head reads from them (an empty list without a head)."""
        x = F.elu(self.merge(torch.cat([F.elu(self.up(_twice(x))), *extra], 1)))
        return x, [] if self.head is None else [self.head(x)]


def stages(below: int, up: list[int], skips: list[int], outputs: int) -> nn.ModuleList:
    """Return the decoder, coarsest stage first: `up[s]` channels at 1/2^s, joined with `skips[s]` of the encoder's."""
    made = []
    for s in reversed(range(len(up))):
        extra = skips[s] + (outputs if s < HEADS - 1 else 0)
        made.append(_Stage(below, up[s], extra, outputs if s < HEADS else 0))
        below = up[s]
    return nn.ModuleList(made)


def decoded(stages: nn.ModuleList, x: Float[Tensor, "b c h w"], skips: list[Tensor]) -> list[Tensor]:
    """Return raw heads, finest first. `skips`: the encoder's features at 1/2, 1/4, ... as far as the decoder starts."""
    heads = list[Tensor]()
    for stage, skip in zip(stages, [*skips[::-1], None], strict=True):
        extra = [] if skip is None else [skip]
        extra += [_twice(MOST * h.sigmoid()) for h in heads[-1:]]
        x, raw = stage(x, extra)
        heads += raw
    return heads[::-1]


def _twice(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h2 w2"]:
    return F.interpolate(x, scale_factor=2, mode="nearest")


def initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


class Vgg19(nn.Module):
    """The features of VGG19 after each of its first three halvings (Simonyan and Zisserman 2015), for comparing."""

    BLOCKS: ClassVar = ((64, 64), (128, 128), (256, 256, 256, 256))

    def __init__(self) -> None:
        super().__init__()
        self.features, here = nn.Sequential(), 3
        for block in self.BLOCKS:
            for there in block:
                self.features.extend([nn.Conv2d(here, there, 3, padding=1), nn.ReLU()])
                here = there
            self.features.append(nn.MaxPool2d(2))

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> list[Tensor]:
        """Return features at 1/2, 1/4 and 1/8."""
        x, outputs = image, []
        for layer in self.features:
            x = layer(x)
            if isinstance(layer, nn.MaxPool2d):
                outputs.append(x)
        return outputs


def vgg19_features(path: Path) -> Callable[[Tensor], list[Tensor]]:
    """Return the features of a trained `Vgg19`, on whichever device a picture lies; its weights never change.

    A safetensors file names them as torchvision does (features.0.weight). Raises `InputError` if it lacks one of them.
    """
    try:
        tensors = load_file(path)
    except (FileNotFoundError, SafetensorError, OSError):
        raise InputError(f"{path} is missing or no safetensors file; give VGG19's weights.") from None
    network = Vgg19()
    for name, weight in network.state_dict().items():
        if name not in tensors or tensors[name].shape != weight.shape:
            raise InputError(f"{path} is not a VGG19: {name} is missing or has another shape; give VGG19's weights.")
    network.load_state_dict({name: tensors[name] for name in network.state_dict()})
    network.eval().requires_grad_(False)
    return lambda image: network.to(image.device)(image)
