"""An encoder that may start from an object detector, and a light decoder.

Same contract as the other networks: image in, raw heads at four scales out, finest first.
"""

from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from cyclopean.networks.compact import Merge, Residual

# Sandler et al. 2018, table 2: expansion, channels, repetitions, stride of the first
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
KEPT = (0, 1, 2, 4, 6)  # the stages whose features the decoder sees: sizes 1/2, 1/4, 1/8, 1/16, 1/32
DECODER = (24, 48, 96, 128, 192)  # channels at those sizes
START = 2.5  # metres, the first guess everywhere on a panorama


class Mobile(nn.Module):
    """MobileNetV2 (Sandler et al., CVPR 2018) and a decoder; 3.5 million parameters with width 1.

    Arguments: `width` multiplies all channel counts, `outputs` is the number of channels of each head, `scales` how
    many heads there are, finest first. Sizes must be multiples of 32. The encoder's normalisation is folded into its
    convolutions, as released detectors have it, so that it can start from one (`examples/mobile_start.py`); strided
    convolutions pad at the right and at the bottom only, as theirs do.
    """

    multiple = 32

    def __init__(self, width: float = 1.0, outputs: int = 1, inputs: int = 3, scales: int = 4):
        super().__init__()
        self.encoder = Encoder(width, inputs)
        skips = [self.encoder.channels[k] for k in KEPT]
        c = [_eights(n * width) for n in DECODER]
        self.bottom = Bottom(skips[-1], c[-1])
        self.up = nn.ModuleList(Merge(c[k + 1], skips[k], c[k]) for k in (3, 2, 1, 0))
        self.refine = nn.ModuleList(Residual(c[k]) if k > 1 else nn.Identity() for k in (3, 2, 1, 0))
        self.finest = nn.Conv2d(c[0] + inputs, c[0], 3, padding=1, padding_mode="replicate")
        self.heads = nn.ModuleList(nn.Conv2d(n, outputs, 1) for n in (c[0], c[0], c[1], c[2])[:scales])
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d) and layer.bias is not None:
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)
        for head in self.heads:
            nn.init.normal_(head.weight, std=1e-3)  # type: ignore[arg-type]

    def features(self, image: Float[Tensor, "b c h w"]) -> list[Float[Tensor, "b _ _ _"]]:
        """Return the features of the encoder's first stages, at 1/2 and 1/4."""
        return self.encoder(2 * image - 1, 2)

    def pyramids(
        self, image: Float[Tensor, "b c h w"]
    ) -> tuple[list[Float[Tensor, "b _ _ _"]], list[Float[Tensor, "b _ _ _"]]]:
        """Return the features of the encoder and those of the decoder, coarse to fine: 1/32, 1/16, 1/8, 1/4, 1/2."""
        features = self.encoder(2 * image - 1)[::-1]
        outputs = [self.bottom(features[0])]
        for merge, refine, skip in zip(self.up, self.refine, features[1:], strict=True):
            outputs.append(refine(merge(outputs[-1], skip)))
        return features, outputs

    def forward(self, image: Float[Tensor, "b c h w"]) -> list[Float[Tensor, "b _ _ _"]]:
        """Return raw head outputs at full, half, quarter and eighth size, as many as there are heads."""
        _, _, eighth, quarter, half = self.pyramids(image)[1]
        grown = F.interpolate(half, scale_factor=2, mode="bilinear", align_corners=False)
        full = F.relu(self.finest(torch.cat([grown, 2 * image - 1], 1)))
        return [head(f) for head, f in zip(self.heads, (full, half, quarter, eighth), strict=False)]


class Panoramic(nn.Module):
    """Depth `b 1 h w` in metres, > 0, of panoramas; 3.5 million parameters. Ours.

    `coordinates`: a fourth channel is the height of a pixel in the picture, since what is straight below is floor.
    `circular`: the network is shown `margin` more columns at both sides, of the other side, so that it sees over the
    seam. Its head predicts the logarithm of depth, relative to a first guess of 2.5 m. Sizes must be multiples of 32.
    `width` multiplies the channels.
    """

    multiple: ClassVar[int] = Mobile.multiple
    margin: ClassVar[int] = 32

    def __init__(self, coordinates: bool = True, circular: bool = True, width: float = 1.0) -> None:
        super().__init__()
        self.dense = Mobile(width, outputs=1, inputs=4 if coordinates else 3, scales=1)
        self.coordinates, self.circular = coordinates, circular

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 1 h w"]:
        x = image
        if self.coordinates:
            b, _, h, w = image.shape
            v = (torch.arange(h, dtype=image.dtype, device=image.device) + 0.5) / h
            x = torch.cat([image, v[:, None].expand(b, 1, h, w)], 1)
        if not self.circular:
            return START * self.dense(x)[0].exp()
        m = self.margin
        return START * self.dense(F.pad(x, (m, m, 0, 0), mode="circular"))[0][..., m:-m].exp()


def panoramic(width: float = 1.0) -> Panoramic:
    return Panoramic(width=width)


class Encoder(nn.Module):
    """Features at 1/2, 1/4, 1/8, 1/16 and 1/32 of the size; `channels` of each stage."""

    def __init__(self, width: float = 1.0, inputs: int = 3):
        super().__init__()
        self.channels = [_eights(c * width) for _, c, _, _ in STAGES]
        before = _eights(32 * width)
        self.stem = Folded(inputs, before, stride=2)
        stages = []
        for (expansion, _, repetitions, stride), channels in zip(STAGES, self.channels, strict=True):
            blocks = []
            for n in range(repetitions):
                blocks.append(Inverted(before, channels, expansion, 1 if n else stride))
                before = channels
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)

    def forward(self, image: Float[Tensor, "b c h w"], count: int = len(KEPT)) -> list[Float[Tensor, "b _ _ _"]]:
        """Return the first `count` features; what comes after them is not computed, and may not fit small pictures."""
        x, features = F.relu6(self.stem(image)), list[Tensor]()
        for k, stage in enumerate(self.stages):
            if len(features) == count:
                break
            x = stage(x)
            if k in KEPT:
                features.append(x)
        return features


class Inverted(nn.Module):
    """Wide inside, narrow outside (Sandler et al. 2018, fig. 3 b): expand, filter each channel, project."""

    def __init__(self, channels: int, more: int, expansion: int, stride: int):
        super().__init__()
        inner = channels * expansion
        self.expand = nn.Conv2d(channels, inner, 1) if expansion > 1 else None
        self.filter = Folded(inner, inner, stride, groups=inner)
        self.project = nn.Conv2d(inner, more, 1)
        self.passes = stride == 1 and channels == more

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h2 w2"]:
        inner = x if self.expand is None else F.relu6(self.expand(x))
        y = self.project(F.relu6(self.filter(inner)))
        return x + y if self.passes else y


class Folded(nn.Conv2d):
    """A 3x3 convolution; with stride 2 it pads one row below and one column to the right, nothing above and left."""

    def __init__(self, channels: int, more: int, stride: int, groups: int = 1):
        super().__init__(channels, more, 3, stride, padding=1 if stride == 1 else 0, groups=groups)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h2 w2"]:
        return super().forward(x if self.stride[0] == 1 else F.pad(x, (0, 1, 0, 1)))


class Bottom(nn.Module):
    """Fewer channels at the smallest size, where each place also learns what the whole picture is like."""

    def __init__(self, channels: int, fewer: int):
        super().__init__()
        self.reduce = nn.Conv2d(channels, fewer, 1)
        self.whole = nn.Conv2d(channels, fewer, 1)
        self.refine = Residual(fewer)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h w"]:
        return self.refine(F.relu(self.reduce(x) + self.whole(x.mean((2, 3), keepdim=True))))


def _eights(channels: float) -> int:
    """Return the nearest multiple of 8, at least 8."""
    return max(8, 8 * round(channels / 8))
