"""Pose networks: two whole frames in, the motion between their cameras out, as six numbers.

Each returns `b 6`. What the numbers mean is the method's: of Monodepth2's two the first three are an axis-angle vector
and the last three a translation; of AQUANet's the first three are a translation and the last three Euler angles. All
begin at or near no motion. `features` are the last ones, `channels` how many, before `motion` makes numbers of them:
what else is read off two frames, such as their camera, is read off these.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from cyclopean.networks.falnet import Residual, centred, kaiming
from cyclopean.networks.resnet import Encoder
from cyclopean.sample import Image

SCALE = 0.01  # of the last layer's answer: motions between frames are small when training begins
MOTION = 6
BINS = 32
RANGES = (2.0, 1.0, 10.0, math.pi / 6, math.pi / 4, math.pi / 6)  # of each number, up and down: units, radians

Features = Float[Tensor, "b c h2 w2"]


class PoseResnet(nn.Module):
    """Monodepth2's separate pose network: a ResNet18 that sees both frames, and four convolutions (12.5 M parameters).

    Encoder 11,185,920 parameters, decoder 1,314,572. As in the release the decoder predicts two motions, of which the
    first is used.
    """

    def __init__(self, width: float = 1.0, depth: int = 18) -> None:
        super().__init__()
        self.encoder = Encoder(depth, width, inputs=6)
        self.channels = c = max(1, round(256 * width))
        self.squeeze = nn.Conv2d(self.encoder.channels[-1], c, 1)
        self.mix = nn.Sequential(
            nn.Conv2d(c, c, 3, padding=1), nn.ReLU(), nn.Conv2d(c, c, 3, padding=1), nn.ReLU(),
            nn.Conv2d(c, 2 * MOTION, 1),
        )  # fmt: skip

    def features(self, first: Image, second: Image) -> Features:
        """Return what is seen of both frames, in the order in which they are given."""
        return self.mix[:-1](F.relu(self.squeeze(self.encoder(torch.cat([first, second], 1))[-1])))

    def motion(self, features: Features) -> Float[Tensor, "b 6"]:
        """Return the motion from the first frame to the second."""
        return SCALE * self.mix[-1](features).mean((2, 3))[:, :MOTION]

    def forward(self, first: Image, second: Image) -> Float[Tensor, "b 6"]:
        return self.motion(self.features(first, second))


class PoseCnn(nn.Module):
    """Seven strided convolutions (Zhou et al. 2017; Monodepth2's lighter pose network): 1,586,774 parameters."""

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        channels = [6, *(max(1, round(width * n)) for n in (16, 32, 64, 128, 256, 256, 256))]
        kernels = (7, 5, 3, 3, 3, 3, 3)
        self.channels = channels[-1]
        self.body = nn.Sequential()
        for here, there, kernel in zip(channels, channels[1:], kernels, strict=False):
            self.body.extend([nn.Conv2d(here, there, kernel, 2, kernel // 2), nn.ReLU()])
        self.head = nn.Conv2d(channels[-1], MOTION, 1)

    def features(self, first: Image, second: Image) -> Features:
        """Return what is seen of both frames, in the order in which they are given."""
        return self.body(torch.cat([first, second], 1))

    def fifth(self, first: Image, second: Image) -> Features:
        """Return the features of the fifth convolution, at 1/32, which an `ExplainabilityDecoder` reads."""
        return self.body[:10](torch.cat([first, second], 1))

    def motion(self, features: Features) -> Float[Tensor, "b 6"]:
        """Return the motion from the first frame to the second."""
        return SCALE * self.head(features).mean((2, 3))

    def forward(self, first: Image, second: Image) -> Float[Tensor, "b 6"]:
        return self.motion(self.features(first, second))


class ExplainabilityDecoder(nn.Module):
    """Five transposed convolutions from the fifth features of a `PoseCnn` to masks (Zhou et al. 2017, sec. 3.5).

    Masks are given at `scales` sizes, from that of the frames down to an eighth at most. One channel and a sigmoid,
    which is the softmax over two channels of the paper.
    """

    def __init__(self, width: float = 1.0, scales: int = 4) -> None:
        super().__init__()
        channels = [max(1, round(width * n)) for n in (256, 256, 128, 64, 32, 16)]
        kernels = (3, 3, 3, 5, 7)
        self.up, self.masks = nn.ModuleList(), nn.ModuleList()
        for stage, (here, there, kernel) in enumerate(zip(channels, channels[1:], kernels, strict=False)):
            self.up.append(nn.ConvTranspose2d(here, there, kernel, 2, kernel // 2, output_padding=1))
            if stage >= len(kernels) - scales:
                self.masks.append(nn.Conv2d(there, 1, kernel, padding=kernel // 2))

    def forward(self, features: Features) -> list[Float[Tensor, "b 1 _ _"]]:
        """Return masks in [0, 1], finest first."""
        masks, x = [], features
        without = len(self.up) - len(self.masks)
        for stage, up in enumerate(self.up):
            x = F.relu(up(x))
            if stage >= without:
                masks.append(self.masks[stage - without](x).sigmoid())
        return masks[::-1]


class PoseNet(nn.Module):
    """AQUANet's PoseNet: 5,941,888 parameters; translation, then Euler angles.

    No source that we know has the sizes of its layers. The count is the release's, but many layouts have it: this one
    is made as the family makes encoders (strided convolutions, each followed by a residual block).
    """

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        self.body = _stages((64, 64, 128, 128, 256, 384), width, kernel=3, bias=True)
        self.channels = max(1, round(384 * width))
        self.head = nn.Conv2d(self.channels, MOTION, 1, bias=False)
        kaiming(self)

    def features(self, first: Image, second: Image) -> Features:
        """Return what is seen of both frames, in the order in which they are given."""
        return self.body(torch.cat([centred(first), centred(second)], 1))

    def motion(self, features: Features) -> Float[Tensor, "b 6"]:
        """Return the motion from the first frame to the second."""
        return SCALE * self.head(features).mean((2, 3))

    def forward(self, first: Image, second: Image) -> Float[Tensor, "b 6"]:
        return self.motion(self.features(first, second))


class PoseNetDr(nn.Module):
    """AQUANet's PoseNet_dr: 5,299,392 parameters; each number is a mean over 32 bins, weighted by their softmax.

    Translations lie within 2, 1 and 10 units of 0 along x, y and z, Euler angles within pi/6, pi/4 and pi/6. The last
    layer begins at 0, and so does the motion, exactly. Of the layout is true what is of `PoseNet`'s.
    """

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        self.body = _stages((32, 64, 64, 128, 128, 192, 384), width, kernel=7, bias=False)
        self.channels = max(1, round(384 * width))
        self.head = nn.Conv2d(self.channels, MOTION * BINS, 1, bias=False)
        kaiming(self)
        nn.init.zeros_(self.head.weight)

    def features(self, first: Image, second: Image) -> Features:
        """Return what is seen of both frames, in the order in which they are given."""
        return self.body(torch.cat([centred(first), centred(second)], 1))

    def motion(self, features: Features) -> Float[Tensor, "b 6"]:
        """Return the motion from the first frame to the second."""
        logits = self.head(features).mean((2, 3)).float().unflatten(1, (MOTION, BINS))
        low, high = logits.softmax(2).chunk(2, 2)
        places = torch.linspace(1 / (BINS - 1), 1, BINS // 2, device=logits.device)  # of the upper half of the bins
        return ((high - low.flip(2)) * places).sum(2) * logits.new_tensor(RANGES)

    def forward(self, first: Image, second: Image) -> Float[Tensor, "b 6"]:
        return self.motion(self.features(first, second))


def _stages(channels: Sequence[int], width: float, *, kernel: int, bias: bool) -> nn.Sequential:
    """Return strided convolutions of two frames, of which all but the first are followed by a residual block."""
    scaled = [6, *(max(1, round(width * n)) for n in channels)]
    body = nn.Sequential()
    for stage, (here, there) in enumerate(pairwise(scaled)):
        size = 3 if stage else kernel
        body.extend([nn.Conv2d(here, there, size, 2, size // 2, bias=bias), nn.ELU()])
        body.extend([Residual(there)] if stage else [])
    return body
