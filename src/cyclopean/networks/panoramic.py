"""The mobile encoder and decoder for whole panoramas."""

from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from cyclopean.networks.mobile import Mobile

START = 2.5  # metres, the first guess everywhere


class Panoramic(nn.Module):
    """Depth `b 1 h w` in metres, > 0, of panoramas; 3.5 million parameters. Ours.

    `coordinates`: a fourth channel says how far down a pixel is, since what is straight below is floor. `circular`: the
    network is shown `margin` more columns at both sides, of the other side, so that it sees over the seam. Its head
    tells the logarithm of depth, beside a first guess of 2.5 m. Sizes must be multiples of 32.
    """

    multiple: ClassVar[int] = Mobile.multiple
    margin: ClassVar[int] = 32

    def __init__(self, coordinates: bool = True, circular: bool = True) -> None:
        super().__init__()
        self.dense = Mobile(1.0, outputs=1, inputs=4 if coordinates else 3, scales=1)
        self.coordinates, self.circular = coordinates, circular

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 1 h w"]:
        x = torch.cat([image, rows(image)], 1) if self.coordinates else image
        if not self.circular:
            return START * self.dense(x)[0].exp()
        m = self.margin
        return START * self.dense(F.pad(x, (m, m, 0, 0), mode="circular"))[0][..., m:-m].exp()


def rows(like: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 1 h w"]:
    """Return how far down each pixel's centre is, from 0 to 1."""
    b, _, h, w = like.shape
    v = (torch.arange(h, dtype=like.dtype, device=like.device) + 0.5) / h
    return v[None, None, :, None].expand(b, 1, h, w)
