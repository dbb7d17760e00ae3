"""Monodepth's ResNet50: no normalisation, ELU, Monodepth's decoder (Godard et al. 2017, sec. 4.1)."""

from typing import ClassVar

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from cyclopean.networks.resnet import Shortcut
from cyclopean.networks.vgg import DECODER, decoded, initialise, stages

BLOCKS = ((64, 3), (128, 4), (256, 6), (512, 3))  # channels inside, units


class ResnetElu(nn.Module):
    """Stride 2 in the *last* unit of each block, so that features stand at 1/8, 1/16, 1/32 and 1/64.

    Traps. The release projects the shortcut of every unit (58,452,008 parameters with 2 outputs), the paper counts 48
    million: `ResnetElu` projects only where the shape changes (49,466,152), `projected` everywhere. Pooling
    pads zeros, which is more than ELU's least value of -1; torch's own pooling pads minus infinity.
    """

    multiple: ClassVar[int] = 64

    def __init__(self, width: float = 1.0, outputs: int = 2, inputs: int = 3, *, everywhere: bool = False) -> None:
        super().__init__()
        first, *_ = inner = [max(1, round(width * n)) for n, _ in BLOCKS]
        self.first = nn.Conv2d(inputs, first, 7, 2, 3)
        self.blocks, channels = nn.ModuleList(), first
        for n, (_, units) in zip(inner, BLOCKS, strict=True):
            block = [
                Unit(channels if k == 0 else 4 * n, n, 2 if k == units - 1 else 1, everywhere) for k in range(units)
            ]
            self.blocks.append(nn.Sequential(*block))
            channels = 4 * n
        up = [max(1, round(width * c)) for c in DECODER[:6]]
        self.stages = stages(channels, up, [0, first, first, *(4 * n for n in inner[:3])], outputs)
        self.apply(initialise)

    def features(self, image: Float[Tensor, "b c h w"]) -> list[Tensor]:
        """Return the features of the first convolution, at 1/2 and pooled at 1/4."""
        half = F.elu(self.first(image))
        return [half, F.max_pool2d(F.pad(half, (1, 1, 1, 1)), 3, 2)]

    def forward(self, image: Float[Tensor, "b c h w"]) -> list[Tensor]:
        skips = self.features(image)
        for block in self.blocks:
            skips.append(block(skips[-1]))
        return decoded(self.stages, skips.pop(), skips)


def projected(width: float = 1.0, outputs: int = 2, inputs: int = 3) -> ResnetElu:
    """Return `ResnetElu` with a projection in every unit, as released."""
    return ResnetElu(width, outputs, inputs, everywhere=True)


class Unit(nn.Module):
    """A residual block: 1x1, 3x3 with the stride, 1x1 to four times as many channels."""

    def __init__(self, into: int, inner: int, stride: int, everywhere: bool) -> None:
        super().__init__()
        self.narrow = nn.Conv2d(into, inner, 1)
        self.filter = nn.Conv2d(inner, inner, 3, stride, 1)
        self.widen = nn.Conv2d(inner, 4 * inner, 1)
        changes = everywhere or into != 4 * inner or stride != 1
        self.around = Shortcut(into, 4 * inner, stride, bias=True) if changes else nn.Identity()

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h2 w2"]:
        inner = F.elu(self.filter(F.elu(self.narrow(x))))
        return F.elu(self.widen(inner) + self.around(x))
