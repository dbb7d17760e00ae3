"""UniFuse: cube features fused into those of the panorama, while decoding only (Jiang et al. 2021)."""

from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from cyclopean.geometry import size_of
from cyclopean.geometry.cubemap import UNIFUSE
from cyclopean.networks.resnet import Encoder, decode, decoder
from cyclopean.synthesis import faces_from_sphere, sphere_from_faces

FARTHEST = 10.0  # metres, the largest output
REDUCTION = 16  # of channels inside squeeze and excitation


class Unifuse(nn.Module):
    """Depth `b 1 h w` in (0, 10) of panoramas `b 3 h w`; with ResNet18 30,263,281 parameters, 50,479,601 with 34,
    131,301,617 with 50.

    One ResNet sees the panorama, another its six faces of h/2 pixels (borders included, sec. III-A). At each of five
    scales the cube's features return to the panorama and are fused (CEE, sec. III-C); a U-Net decodes. Panoramas are
    twice as wide as high; heights are multiples of 64. `width` multiplies the channels.
    """

    multiple: ClassVar[int] = 64

    def __init__(self, depth: int = 18, width: float = 1.0) -> None:
        super().__init__()
        self.encoder, self.cube_encoder = Encoder(depth, width), Encoder(depth, width)
        self.fuse = nn.ModuleList(Fusion(c) for c in self.encoder.channels)
        up, self.grow, self.merge = decoder(self.encoder.channels, width, _conv)
        self.head = _conv(up[0], 1)

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 1 h w"]:
        faces = faces_from_sphere(image, UNIFUSE, image.shape[-2] // 2)
        fused = []
        for fuse, sphere, cube in zip(self.fuse, self.encoder(image), self.cube_encoder(faces), strict=True):
            fused.append(fuse(sphere, sphere_from_faces(cube, UNIFUSE, size_of(sphere))))
        return FARTHEST * self.head(decode(self.grow, self.merge, fused)[0]).sigmoid()


def unifuse18(width: float = 1.0) -> Unifuse:
    return Unifuse(18, width)


def unifuse34(width: float = 1.0) -> Unifuse:
    return Unifuse(34, width)


def unifuse50(width: float = 1.0) -> Unifuse:
    return Unifuse(50, width)


class Fusion(nn.Module):
    """CEE: the cube's features plus a residual learned from both, joined with the panorama's, channels weighted by
    squeeze and excitation, as many channels as before."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        c, inner = channels, max(4, 2 * channels // REDUCTION)
        self.mix = nn.Sequential(nn.Conv2d(2 * c, c, 1, bias=False), nn.BatchNorm2d(c), nn.ReLU())
        self.residual = nn.Sequential(nn.Conv2d(c, c, 3, padding=1, bias=False), nn.BatchNorm2d(c))
        self.squeeze = nn.Linear(2 * c, inner, bias=False)
        self.excite = nn.Linear(inner, 2 * c, bias=False)
        self.reduce = nn.Conv2d(2 * c, c, 1, bias=False)

    def forward(self, sphere: Float[Tensor, "b c h w"], cube: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        enhanced = cube + self.residual(self.mix(torch.cat([sphere, cube], 1)))
        both = torch.cat([sphere, enhanced], 1)
        share = self.excite(F.relu(self.squeeze(both.mean((2, 3))))).sigmoid()
        return F.relu(self.reduce(both * share[..., None, None]))


def _conv(into: int, out: int) -> nn.Conv2d:
    return nn.Conv2d(into, out, 3, padding=1)
