"""Pose networks: two whole frames in, the motion between their cameras out, as six numbers.

Each returns `b 6`: three numbers for the rotation, then three for the translation. What they mean is the method's:
Monodepth2's rotations are axis-angle vectors. All begin near no motion.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from cyclopean.networks.resnet import Encoder

SCALE = 0.01  # of the last layer's answer: motions between frames are small when training begins
MOTION = 6


class PoseResnet(nn.Module):
    """Monodepth2's separate pose network: a ResNet18 that sees both frames, and four convolutions (12.5 M parameters).

    Encoder 11,185,920 parameters, decoder 1,314,572. As in the release the decoder predicts two motions, of which the
    first is used.
    """

    def __init__(self, width: float = 1.0, depth: int = 18) -> None:
        super().__init__()
        self.encoder = Encoder(depth, width, inputs=6)
        c = max(1, round(256 * width))
        self.squeeze = nn.Conv2d(self.encoder.channels[-1], c, 1)
        self.mix = nn.Sequential(
            nn.Conv2d(c, c, 3, padding=1), nn.ReLU(), nn.Conv2d(c, c, 3, padding=1), nn.ReLU(),
            nn.Conv2d(c, 2 * MOTION, 1),
        )  # fmt: skip

    def forward(self, first: Float[Tensor, "b 3 h w"], second: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 6"]:
        """Return the motion from `first` to `second`, in the order in which they are given."""
        features = self.encoder(torch.cat([first, second], 1))[-1]
        return SCALE * self.mix(F.relu(self.squeeze(features))).mean((2, 3))[:, :MOTION]


class PoseCnn(nn.Module):
    """Seven strided convolutions (Zhou et al. 2017; Monodepth2's lighter pose network): 1,586,774 parameters."""

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        channels = [6, *(max(1, round(width * n)) for n in (16, 32, 64, 128, 256, 256, 256))]
        kernels = (7, 5, 3, 3, 3, 3, 3)
        self.body = nn.Sequential()
        for here, there, kernel in zip(channels, channels[1:], kernels, strict=False):
            self.body.extend([nn.Conv2d(here, there, kernel, 2, kernel // 2), nn.ReLU()])
        self.head = nn.Conv2d(channels[-1], MOTION, 1)

    def forward(self, first: Float[Tensor, "b 3 h w"], second: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 6"]:
        """Return the motion from `first` to `second`, in the order in which they are given."""
        return SCALE * self.head(self.body(torch.cat([first, second], 1))).mean((2, 3))
