"""A light residual encoder-decoder for laptops: group normalisation, most work at a quarter of the size and below.

Same contract as the other networks: image in, raw heads at four scales out, finest first.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class Compact(nn.Module):
    """About 5 million parameters with width 0.75, and 0.7 billion multiply-adds for a picture of 160x224.

    Arguments: `width` multiplies all channel counts, `outputs` is the number of channels of each head. Sizes must be
    multiples of 32. Group normalisation, not batch normalisation: a picture is judged by itself, whatever else is in
    the batch.
    """

    multiple = 32

    def __init__(self, width: float = 0.75, outputs: int = 1, inputs: int = 3):
        super().__init__()
        c = [max(8, 8 * round(n * width / 8)) for n in (24, 48, 96, 192, 384)]
        self.stem = nn.Conv2d(inputs, c[0], 5, stride=2, padding=2, padding_mode="replicate")
        self.down = nn.ModuleList(Stage(c[k], c[k + 1]) for k in range(4))
        self.up = nn.ModuleList(Merge(c[k + 1], c[k], c[k]) for k in (3, 2, 1, 0))
        heads = [nn.Conv2d(n, outputs, 3, padding=1, padding_mode="replicate") for n in (c[0], c[0], c[1], c[2])]
        self.heads = nn.ModuleList(heads)
        self.finest = nn.Conv2d(c[0], c[0], 3, padding=1, padding_mode="replicate")
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d) and layer.bias is not None:
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)
        for head in heads:
            nn.init.normal_(head.weight, std=1e-3)

    def features(self, image: Float[Tensor, "b c h w"]) -> list[Float[Tensor, "b _ _ _"]]:
        """Return the features of the stem and the first stage, at 1/2 and 1/4."""
        half = F.relu(self.stem((image - 0.45) / 0.225))
        return [half, self.down[0](half)]

    def forward(self, image: Float[Tensor, "b c h w"]) -> list[Float[Tensor, "b _ _ _"]]:
        """Return raw head outputs at full, half, quarter and eighth size."""
        features = [F.relu(self.stem((image - 0.45) / 0.225))]
        for stage in self.down:
            features.append(stage(features[-1]))
        x, outputs = features[-1], []
        for merge, skip in zip(self.up, features[-2::-1], strict=True):
            x = merge(x, skip)
            outputs.append(x)
        eighth, quarter, half = outputs[1:]
        full = F.relu(self.finest(F.interpolate(half, scale_factor=2, mode="bilinear", align_corners=False)))
        return [head(f) for head, f in zip(self.heads, (full, half, quarter, eighth), strict=True)]


class Residual(nn.Module):
    """A residual block: two 3x3 convolutions."""

    def __init__(self, channels: int):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, padding_mode="replicate", bias=False),
            nn.GroupNorm(8, channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1, padding_mode="replicate", bias=False),
            nn.GroupNorm(8, channels),
        )

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        return F.relu(x + self.body(x))


class Stage(nn.Module):
    """Half the size, more channels, two residual blocks."""

    def __init__(self, channels: int, more: int):
        super().__init__()
        self.shrink = nn.Conv2d(channels, more, 3, stride=2, padding=1, padding_mode="replicate", bias=False)
        self.norm = nn.GroupNorm(8, more)
        self.blocks = nn.Sequential(Residual(more), Residual(more))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h2 w2"]:
        return self.blocks(F.relu(self.norm(self.shrink(x))))


class Merge(nn.Module):
    """Twice the size, joined with the encoder's features of that size."""

    def __init__(self, channels: int, skip: int, fewer: int):
        super().__init__()
        self.reduce = nn.Conv2d(channels, fewer, 1)
        self.join = nn.Conv2d(fewer + skip, fewer, 3, padding=1, padding_mode="replicate", bias=False)
        self.norm = nn.GroupNorm(8, fewer)

    def forward(self, x: Float[Tensor, "b c h w"], skip: Float[Tensor, "b d h2 w2"]) -> Float[Tensor, "b e h2 w2"]:
        grown = F.interpolate(self.reduce(x), scale_factor=2, mode="bilinear", align_corners=False)
        return F.relu(self.norm(self.join(torch.cat([grown, skip], 1))))
