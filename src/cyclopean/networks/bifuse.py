"""BiFuse++: a panorama and its cube encoded side by side, fused in both directions (Wang et al. 2022)."""

from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from cyclopean.geometry import size_of
from cyclopean.geometry.cubemap import BIFUSE
from cyclopean.networks.resnet import Encoder
from cyclopean.synthesis import faces_from_sphere, sphere_from_faces

START = 2.5  # metres, the first guess everywhere (ours)

Features = Float[Tensor, "b c h w"]
OnFaces = Float[Tensor, "bf c side side"]


class Bifuse(nn.Module):
    """One unbounded map `b 1 h w` of panoramas `b 3 h w`, depth in the paper; with ResNet34 52,487,905 parameters.

    After each of the four layers of two ResNets, one for the panorama and one for its six faces of h/2 pixels, `Fusion`
    gives each what the other sees, and the decoder a skip; pixels are shuffled up (conv3, normalisation, ReLU). After
    the last layer no encoder follows: all three maps of its fusion enter the decoder, added. The facts that we have
    leave this open; it is what lets every weight learn. Panoramas are twice as wide as high; heights are multiples of
    64. `width` multiplies the channels.
    """

    multiple: ClassVar[int] = 64

    def __init__(self, depth: int = 34, width: float = 1.0) -> None:
        super().__init__()
        self.encoder, self.cube_encoder = Encoder(depth, width), Encoder(depth, width)
        c1, c2, c3, c4 = self.encoder.channels[1:]
        finest = max(1, c1 // 2)
        self.fuse = nn.ModuleList(Fusion(c) for c in (c1, c2, c3, c4))
        sizes = ((c4, c3), (2 * c3, c2), (2 * c2, c1), (2 * c1, finest))
        self.up = nn.ModuleList(Shuffle(into, out) for into, out in sizes)
        self.head = nn.Conv2d(finest, 1, 1)
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.constant_(self.head.bias, START)  # type: ignore[arg-type]

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 1 h w"]:
        faces = faces_from_sphere(image, BIFUSE, image.shape[-2] // 2)
        sphere, cube = self.encoder.first(image)[1], self.cube_encoder.first(faces)[1]
        skips = []
        for k, fuse in enumerate(self.fuse, 1):
            if k > 1:
                sphere = self.encoder.get_submodule(f"layer{k}")(sphere)
                cube = self.cube_encoder.get_submodule(f"layer{k}")(cube)
            sphere, around, skip = fuse(sphere, cube)
            cube = faces_from_sphere(around, BIFUSE, cube.shape[-1])
            skips.append(skip)
        x = skips.pop() + sphere + around
        for k, up in enumerate(self.up):
            x = up(torch.cat([x, skips[-k]], 1) if k else x)
        return F.interpolate(self.head(x), scale_factor=2, mode="bilinear", align_corners=True)


def bifuse34(width: float = 1.0) -> Bifuse:
    return Bifuse(34, width)


class Fusion(nn.Module):
    """Fusion of a panorama's features and its cube's: a residual for each, and a skip for the decoder."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        c = channels
        self.whole, self.cube, self.skip = (
            nn.Sequential(nn.Conv2d(2 * c, c, 1), nn.BatchNorm2d(c), nn.ReLU()) for _ in range(3)
        )

    def forward(self, sphere: Features, cube: OnFaces) -> tuple[Features, Features, Features]:
        """Return the panorama's features, those of the cube *on the panorama*, and the skip."""
        around = sphere_from_faces(cube, BIFUSE, size_of(sphere))
        both = torch.cat([sphere, around], 1)
        return sphere + self.whole(both), around + self.cube(both), self.skip(both)


class Shuffle(nn.Module):
    """Twice the size: a convolution to four times the channels, each four of which become four pixels."""

    def __init__(self, into: int, out: int) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(into, 4 * out, 3, padding=1), nn.BatchNorm2d(4 * out)

    def forward(self, x: Features) -> Float[Tensor, "b d h2 w2"]:
        return F.pixel_shuffle(F.relu(self.norm(self.conv(x))), 2)
