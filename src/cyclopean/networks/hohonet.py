"""HoHoNet: a panorama flattened to one row of features, and depth as cosines down each column (Sun et al. 2021)."""

import math
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from cyclopean.networks.resnet import Circular, Encoder, wrapped

HEIGHT = 512  # pixels of the published panoramas, for which kernels have weights
COSINES = 64  # down a column
HEADS = 8  # of attention
START = 2.5  # metres, the first guess everywhere


class Hohonet(nn.Module):
    """One unbounded map `b 1 h w` of panoramas `b 3 h w`, depth in the paper; with ResNet50 49,466,433 parameters.

    Four levels of features are flattened (`Squeeze`) to a quarter of the panorama's columns, one layer of attention
    looks all around, and each column's depth is 2.5 m and 64 cosines (sec. 3.3). Everything wraps over the seam but the
    code of position, without which a panorama that is turned by 32 pixels gets its depth turned.

    The release takes panoramas of 512 rows only: its kernels are as high as the features. Here sizes are multiples of
    32, for kernels are resampled to the height there is and the cosines made for it; at 512 both are the paper's.
    `width` multiplies the channels.
    """

    multiple: ClassVar[int] = 32

    def __init__(self, depth: int = 50, width: float = 1.0) -> None:
        super().__init__()
        self.encoder = Encoder(depth, width, circular=True)
        levels = self.encoder.channels[1:]
        flat, narrow = (HEADS * max(1, round(n * width / HEADS)) for n in (1024, 256))
        self.squeeze = nn.ModuleList(Squeeze(c, HEIGHT >> (k + 2), 2**k) for k, c in enumerate(levels))
        self.mix = nn.Sequential(
            nn.Conv1d(sum(s.out for s in self.squeeze), flat, 1, bias=False),  # type: ignore[misc]
            nn.BatchNorm1d(flat),
            nn.ReLU(),
        )
        self.attend = nn.TransformerEncoderLayer(flat, HEADS, 2 * flat, batch_first=True, norm_first=True)
        self.narrow = nn.Conv1d(flat, narrow, 3, padding=1, padding_mode="circular", bias=False)
        self.head = nn.Sequential(nn.Conv1d(narrow, narrow, 1), nn.ReLU(), nn.Conv1d(narrow, COSINES, 1))
        self.offset = nn.Parameter(torch.full((1,), START))
        nn.init.normal_(self.head[-1].weight, std=0.1 / math.sqrt(narrow))  # type: ignore[arg-type]
        nn.init.zeros_(self.head[-1].bias)  # type: ignore[arg-type]

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 1 h w"]:
        levels = zip(self.squeeze, self.encoder(image)[1:], strict=True)
        x = self.mix(torch.cat([squeeze(features) for squeeze, features in levels], 1)).transpose(1, 2)
        x = self.attend(x + positions(x)).transpose(1, 2)
        coefficients = self.head(self.narrow(wider(x[:, :, None], 4)[:, :, 0]))
        basis = cosines(COSINES, image.shape[-2], coefficients)
        return (self.offset + torch.einsum("bkw,kh->bhw", coefficients, basis))[:, None]


def hohonet50(width: float = 1.0) -> Hohonet:
    return Hohonet(50, width)


class Squeeze(nn.Module):
    """Efficient height compression: a quarter of the channels, columns as of the finest level, then one row, each
    channel weighted along its column by a kernel as high as the features."""

    def __init__(self, channels: int, height: int, times: int) -> None:
        super().__init__()
        self.out, self.times = max(1, channels // 4), times
        self.reduce = nn.Sequential(
            Circular(channels, self.out, 3, padding=1, bias=False), nn.BatchNorm2d(self.out), nn.ReLU()
        )
        self.refine = nn.Sequential(
            Circular(self.out, self.out, 3, padding=1, bias=False), nn.BatchNorm2d(self.out), nn.ReLU()
        )
        self.column = nn.Parameter(torch.empty(self.out, height).uniform_(-1, 1) / math.sqrt(height))
        self.bias = nn.Parameter(torch.zeros(self.out))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d w2"]:
        x = self.refine(wider(self.reduce(x), self.times))
        learned, height = self.column.shape[1], x.shape[2]
        column = F.interpolate(self.column[None], height, mode="linear", align_corners=False)[0] * (learned / height)
        return torch.einsum("bchw,ch->bcw", x, column) + self.bias[:, None]


def wider(x: Float[Tensor, "b c h w"], times: int) -> Float[Tensor, "b c h w2"]:
    """Return `times` as many columns, linear in between and over the seam."""
    if times == 1:
        return x
    both = F.interpolate(wrapped(x, 1), scale_factor=(1, times), mode="bilinear", align_corners=False)
    return both[..., times:-times]


def positions(x: Float[Tensor, "b w c"]) -> Float[Tensor, "w c"]:
    """Return the code of each column: sines, then cosines, of wavelengths from 2 pi to 20,000 pi columns."""
    w, c = x.shape[1:]
    rates = torch.exp(torch.arange(0, c, 2, device=x.device) * (-math.log(10_000) / c))
    angles = torch.arange(w, device=x.device)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], 1)[:, :c].to(x.dtype)


def cosines(count: int, height: int, like: Tensor) -> Float[Tensor, "k h"]:
    """Return cos(k pi (row + 1/2) / height) of rows, for k = 0 ... count - 1: the inverse cosine transform."""
    rows = (torch.arange(height, device=like.device) + 0.5) * (math.pi / height)
    return (torch.arange(count, device=like.device)[:, None] * rows).cos().to(like.dtype)
