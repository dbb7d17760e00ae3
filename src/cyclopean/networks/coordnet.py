"""CoordNet: a small residual encoder-decoder that reads where each pixel stands (Zioulis et al. 2019, sec. 3.3)."""

from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

CHANNELS = (32, 64, 128)  # at 1, 1/2 and 1/4 of the size
BLOCKS = 5
START = 5.0  # metres, the first guess everywhere: the bias of the head


class Coordnet(nn.Module):
    """1,696,483 parameters; 1,666,753 without coordinates. One raw output `b 1 h w`: depth up to its sign, in metres.

    `coordinates`: convolutions also read the row and the column of each pixel, in [-1,1] at their own resolution. The
    release builds these channels for images 512 wide and runs on no others; here they fit any size (multiples of 4).
    Residual blocks are conv-ELU-conv plus the input, as released; the paper's text calls them pre-activated. `circular`
    (ours): columns go on across the seam of a panorama, where the paper's see zeros. `width` multiplies the channels;
    `outputs`: how many maps.
    """

    multiple: ClassVar[int] = 4

    def __init__(self, coordinates: bool = True, circular: bool = False, width: float = 1.0, outputs: int = 1) -> None:
        super().__init__()
        a, b, c = (max(1, round(width * channels)) for channels in CHANNELS)
        extra = 2 if coordinates else 0
        self.down = nn.ModuleList(
            [_Conv(3, a, 7, 1, extra, circular), _Conv(a, b, 3, 2, extra, circular), _Conv(b, c, 3, 2, extra, circular)]
        )
        self.blocks = nn.ModuleList(_Residual(c, extra, circular) for _ in range(BLOCKS))
        self.up = nn.ModuleList([_Twice(c, b, circular), _Twice(b, a, circular)])
        self.head = _Conv(a, outputs, 7, 1, extra, circular)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.xavier_normal_(layer.weight)
                assert layer.bias is not None
                nn.init.zeros_(layer.bias)
        self.head.conv.bias.data.fill_(START)  # type: ignore[union-attr]

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b n h w"]:
        x = image
        for layer in self.down:
            x = F.elu(layer(x))
        for block in self.blocks:
            x = block(x)
        for layer in self.up:
            x = F.elu(layer(x))
        return self.head(x)


def plain(width: float = 1.0) -> Coordnet:
    return Coordnet(width=width)


def coordinates(like: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 2 h w"]:
    """Return the row, then the column of every pixel, from -1 at the first to 1 at the last."""
    b, _, h, w = like.shape
    places = (torch.arange(n, dtype=like.dtype, device=like.device) for n in (h, w))  # `linspace` cannot be exported
    rows, columns = (2 * place / torch.sym_max(n - 1, 1) - 1 for place, n in zip(places, (h, w), strict=True))
    return torch.stack(torch.meshgrid(rows, columns, indexing="ij"))[None].expand(b, -1, -1, -1)


class _Conv(nn.Module):
    """A convolution that keeps the size (divided by the stride); with `extra` 2 it reads coordinates too."""

    def __init__(self, into: int, out: int, kernel: int, stride: int, extra: int, circular: bool) -> None:  # noqa: PLR0917
        super().__init__()
        self.conv = nn.Conv2d(into + extra, out, kernel, stride)
        self.margin, self.extra, self.circular = kernel // 2, extra, circular

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h2 w2"]:
        if self.extra:
            x = torch.cat([x, coordinates(x)], 1)
        m = self.margin
        x = F.pad(x, (m, m, 0, 0), mode="circular" if self.circular else "constant")
        return self.conv(F.pad(x, (0, 0, m, m)))


class _Residual(nn.Module):
    def __init__(self, channels: int, extra: int, circular: bool) -> None:
        super().__init__()
        self.first = _Conv(channels, channels, 3, 1, extra, circular)
        self.second = _Conv(channels, channels, 3, 1, extra, circular)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        return x + self.second(F.elu(self.first(x)))


class _Twice(nn.Module):
    """A transposed convolution to twice the size, never with coordinates."""

    def __init__(self, into: int, out: int, circular: bool) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(into, out, 3, 2, 1, 1)
        self.circular = circular

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h2 w2"]:
        if not self.circular:
            return self.conv(x)
        w = x.shape[-1]  # its last output column reads one input column more than there is
        return self.conv(torch.cat([x, x[..., :1]], -1))[..., : 2 * w]
