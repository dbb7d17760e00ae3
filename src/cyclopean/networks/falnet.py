"""FAL-Net, PLADE-Net and AQUANet: one residual U-net whose outputs are the logits of hypothesised inverse depths.

FAL-Net: Gonzalez Bello and Kim, NeurIPS 2020. PLADE-Net: the same, CVPR 2021, which adds a neural positional encoding.
AQUANet: Gonzalez Bello, Moon and Kim 2022, which adds the focal lengths and an exponent for the spacing of its levels.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from cyclopean.geometry import size_of

Extra = Callable[[int, tuple[int, int]], list[Tensor]]

MEAN = (0.411, 0.432, 0.45)  # of the family's pictures; they are not divided by a deviation


class FalnetUnet(nn.Module):
    """FAL-Net B: 16,932,402 parameters with 49 levels (16,917,250 with 33); image and constant in, logits out.

    `forward(image, constants)`: `image` b 3 h w in [0, 1]; `constants` b 1, read at half size as a plane (the release:
    the largest disparity in pixels over 100, whose sign tells on which side the source stands). The release counts
    41,952 parameters more: a head for masks that it never uses, and that is not built here.
    """

    def __init__(self, levels: int = 49, width: float = 1.0) -> None:
        super().__init__()
        down = _scaled((32, 64, 128, 256, 256, 256, 512), width)
        self.unet = LogitUnet(
            down, (1, 0, 0, 0, 0, 0), _scaled((256, 128, 128, 128, 64, 64), width),
            _scaled((256, 256, 256, 128, 64), width), levels,
        )  # fmt: skip
        self.mix = nn.Conv2d(levels, levels, 1)
        kaiming(self)

    def forward(self, image: Float[Tensor, "b 3 h w"], constants: Float[Tensor, "b 1"]) -> Float[Tensor, "b n h w"]:
        """Return the logits of each level, farthest first."""
        return self.mix(self.unet(centred(image), lambda stage, size: [] if stage else [plane(constants, size)])[0])


class PladeUnet(nn.Module):
    """PLADE-Net with its neural positional encoding: 14,767,050 parameters with 49 levels.

    `forward(image, positions, constants)`: `positions` b 2 h w as `positions` makes them; `constants` b 2, read at the
    first reduction only (the release: least and largest disparity in pixels over 100). A second branch sees the image
    at half size.
    """

    def __init__(self, levels: int = 49, width: float = 1.0) -> None:
        super().__init__()
        down = _scaled((64, 128, 256, 256, 256, 256, 256), width)
        self.encoding = PositionalEncoding()
        self.halved = nn.Sequential(nn.Conv2d(3, down[0], 3, padding=1), nn.ELU(), Residual(down[0]))
        self.unet = LogitUnet(
            down, (10, 8 + down[0], 8, 8, 8, 8), _scaled((128, 128, 128, 128, 128, 64), width),
            _scaled((256, 256, 256, 256, 128), width), levels,
        )  # fmt: skip
        self.mix = nn.Conv2d(levels, levels, 1)
        kaiming(self)

    def forward(
        self, image: Float[Tensor, "b 3 h w"], positions: Float[Tensor, "b 2 h w"], constants: Float[Tensor, "b 2"]
    ) -> Float[Tensor, "b n h w"]:
        """Return the logits of each level, farthest first."""
        code, picture = self.encoding(positions), centred(image)

        def extra(stage: int, size: tuple[int, int]) -> list[Tensor]:
            codes = [resize_corners(code, size)]
            if stage == 0:
                return [*codes, plane(constants, size)]
            return [*codes, self.halved(resize_corners(picture, size))] if stage == 1 else codes

        return self.mix(self.unet(picture, extra)[0])


class AquanetUnet(nn.Module):
    """AQUANet: 14,546,232 parameters with 33 levels, and 1,153 for the map of exponents if it is `adaptive`.

    `forward(image, positions, focal)`: `positions` b 2 h w as `positions` makes them; `focal` b 2, the absolute focal
    lengths in pixels of the resized picture over 2000. All are read at every reduction of the size. The exponents are
    not in the paper's release: one 3x3 convolution of the last features (weights and bias begin at 0).
    """

    def __init__(self, levels: int = 33, width: float = 1.0, adaptive: bool = True) -> None:
        super().__init__()
        self.encoding = PositionalEncoding()
        self.unet = LogitUnet(
            _scaled((64, 128, 256, 256, 256, 256, 256), width), (10,) * 6,
            _scaled((128, 128, 128, 128, 128, 64), width), _scaled((256, 256, 256, 256, 128), width), levels,
        )  # fmt: skip
        kaiming(self)
        self.exponents = nn.Conv2d(self.unet.features, 1, 3, padding=1) if adaptive else None
        if self.exponents is not None:
            nn.init.zeros_(self.exponents.weight)
            nn.init.zeros_(self.exponents.bias)  # type: ignore[arg-type]

    def forward(
        self, image: Float[Tensor, "b 3 h w"], positions: Float[Tensor, "b 2 h w"], focal: Float[Tensor, "b 2"]
    ) -> tuple[Float[Tensor, "b n h w"], Float[Tensor, "b 1 h w"] | None]:
        """Return the logits of each level, farthest first, and what the exponents are made of (None: all are 1)."""
        code = self.encoding(positions)
        logits, features = self.unet(centred(image), lambda _, size: [resize_corners(code, size), plane(focal, size)])
        return logits, None if self.exponents is None else self.exponents(features)


class LogitUnet(nn.Module):
    """Seven residual stages down to 1/64, and up again by nearest neighbours, to logits at full size.

    `down`: channels of the seven stages; `extra`: channels read beside them at each of the six reductions; `up` and
    `join`: channels after each enlargement, and after it met the stage of that size. `features`: channels before the
    logits.
    """

    def __init__(
        self, down: Sequence[int], extra: Sequence[int], up: Sequence[int], join: Sequence[int], levels: int
    ) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, down[0], 3, padding=1), nn.ELU(), Residual(down[0]))
        self.down = nn.ModuleList(
            nn.Sequential(nn.Conv2d(here + more, there, 3, stride=2, padding=1), nn.ELU(), Residual(there))
            for here, more, there in zip(down, extra, down[1:], strict=False)
        )
        self.up, self.join = nn.ModuleList(), nn.ModuleList()
        below = down[-1]
        for grown, skip, joined in zip(up, down[-2::-1], (*join, 0), strict=True):
            self.up.append(nn.Conv2d(below, grown, 3, padding=1, bias=False))
            self.features, below = grown + skip, joined
            if joined:
                self.join.append(nn.Sequential(nn.Conv2d(grown + skip, joined, 3, padding=1), nn.ELU()))
        self.logits = nn.Conv2d(self.features, levels, 3, padding=1, bias=False)

    def forward(
        self, image: Float[Tensor, "b 3 h w"], extra: Extra
    ) -> tuple[Float[Tensor, "b n h w"], Float[Tensor, "b f h w"]]:
        """Return logits and the features they are made of. `extra(stage, size)`: what is read beside the
        features of a stage, from 0, that have this size."""
        stages = [self.first(image)]
        for stage, shrink in enumerate(self.down):
            x = stages[-1]
            stages.append(shrink(torch.cat([x, *extra(stage, size_of(x))], 1)))
        x = stages[-1]
        for k, (grow, skip) in enumerate(zip(self.up, stages[-2::-1], strict=True)):
            enlarged = F.interpolate(x, skip.shape[-2:], mode="nearest")
            x = torch.cat([F.elu(grow(enlarged)), skip], 1)
            x = self.join[k](x) if k < len(self.join) else x
        return self.logits(x), x


class Residual(nn.Module):
    """Two 3x3 convolutions without bias, added to their input; ELU after each."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        return F.elu(self.second(F.elu(self.first(x))) + x)


class PositionalEncoding(nn.Module):
    """Neural positional encoding: two channels of coordinates to eight, by two 1x1 convolutions with ELU."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(2, 16, 1), nn.ELU(), nn.Conv2d(16, 8, 1), nn.ELU())

    def forward(self, positions: Float[Tensor, "b 2 h w"]) -> Float[Tensor, "b 8 h w"]:
        return self.layers(positions)


def positions(window: Float[Tensor, "b 4"], size: tuple[int, int]) -> Float[Tensor, "b 2 h w"]:
    """Return where each pixel stands in the full frame: u, v in [-1, 1], -1 at the centres of its first pixels.

    `window` (u0, v0, u1, v1): what a crop of `size` (height, width) shows of the full frame, whose first and last
    *pixel centres* the paper puts at -1 and 1: a frame n pixels wide has its edges at -1 - 1/(n-1) and 1 + 1/(n-1).
    """
    axes = []
    for low, high, n in ((window[:, 0], window[:, 2], size[1]), (window[:, 1], window[:, 3], size[0])):
        share = (torch.arange(n, dtype=window.dtype, device=window.device) + 0.5) / n
        centres = low[:, None] + (high - low)[:, None] * share  # in [0, 1] of the full frame, edges at 0 and 1
        frame = n / (high - low)[:, None]  # pixels of the full frame
        axes.append((2 * centres * frame - frame) / (frame - 1))
    u, v = axes
    return torch.stack([u[:, None, :].expand(-1, size[0], -1), v[:, :, None].expand(-1, -1, size[1])], 1)


def centred(image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
    """Return the image less the mean colour of the family's training pictures."""
    return image - image.new_tensor(MEAN)[:, None, None]


def plane(constants: Float[Tensor, "b k"], size: tuple[int, int]) -> Float[Tensor, "b k h w"]:
    """Return each number as a constant plane of `size` (height, width)."""
    return constants[:, :, None, None].expand(-1, -1, *size)


def resize_corners(x: Float[Tensor, "b c h w"], size: tuple[int, int]) -> Float[Tensor, "b c h2 w2"]:
    """Return maps at another size, corner pixels on corner pixels, as the family resizes encodings."""
    return F.interpolate(x, size, mode="bilinear", align_corners=True)


def kaiming(network: nn.Module) -> None:
    """Draw weights as the family does: normal, for rectifiers; biases 0."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def _scaled(channels: Sequence[int], width: float) -> tuple[int, ...]:
    return tuple(max(1, round(width * n)) for n in channels)
