"""EGformer: attention along whole rows and columns of a panorama, biased by its geometry (Yun et al. 2023).

Its outer stages alternate with PanoFormer's blocks, which look at nine points of a tangent plane (Shen et al. 2022).
"""

import math
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from cyclopean.geometry.cameras import Equirectangular, extent, pixel_grid
from cyclopean.networks.resnet import Circular, wrapped
from cyclopean.synthesis import pull

EMBEDDED = 32  # channels of each head
HEADS = (1, 2, 4, 8, 16, 16, 8, 4, 2)  # of the stages: down, the middle, up
TANGENT = (0, 1, 7, 8)  # stages with PanoFormer's blocks
LOCAL = 0.1  # weight of the geometric bias of attention
LEAST = 0.5  # share of what is attended to in a row or column
POINTS = 9  # of a tangent plane that a pixel looks at

Tokens = Float[Tensor, "b h w c"]
Features = Float[Tensor, "b c h w"]


class Egformer(nn.Module):
    """One unbounded map `b 1 h w` of panoramas `b 3 h w`; 15,388,711 parameters.

    A U-shape of nine stages from a half to 1/32 of the size. Tables of geometry are made for the size that there is
    (the release has them for 512x1024 only). Sizes are multiples of 32, panoramas twice as wide as high. `width`
    multiplies the channels. Without the sigmoid of the paper, as Depth Anywhere uses it.

    What the facts that we have leave open, and we chose, so that the number of parameters is the published one: two
    pairs of blocks in an outer stage, perceptrons of twice the channels, a depthwise convolution of the values, sizes
    of the convolutions between stages. Convolutions wrap over the seam, and so does the sign of differences of
    longitude: a panorama turned by 32 pixels gets its map turned.
    """

    multiple: ClassVar[int] = 32

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        each = max(4, 4 * round(EMBEDDED * width / 4))
        c = [each * heads for heads in HEADS]
        self.embed = Circular(3, c[0], 4, 2, 1)
        self.stages = nn.ModuleList()
        for k, (n, heads) in enumerate(zip(c, HEADS, strict=True)):
            rows, columns = Geometric(n, heads, upright=False), Geometric(n, heads, upright=True)
            blocks = (Tangent(n, heads), rows, Tangent(n, heads), columns) if k in TANGENT else (rows, columns)
            self.stages.append(nn.Sequential(*blocks))
        self.shrink = nn.ModuleList(Circular(c[k], c[k + 1], 3, 2, 1) for k in range(4))
        self.grow = nn.ModuleList(Circular(c[4 + k], c[3 - k], 3, 1, 1) for k in range(4))
        self.head = Circular(c[8], 1, 3, 1, 1)

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 1 h w"]:
        x, skips = F.gelu(self.embed((image - 0.45) / 0.225)), []
        for stage, shrink in zip(self.stages[:4], self.shrink, strict=True):
            x = _through(stage, x)
            skips.append(x)
            x = shrink(x)
        x = _through(self.stages[4], x)
        for stage, grow in zip(self.stages[5:], self.grow, strict=True):
            x = _through(stage, torch.cat([grow(twice(x)), skips.pop()], 1))
        return twice(self.head(x))


class Geometric(nn.Module):
    """Attention along rows (or, with `upright`, columns) of a panorama, biased by how far apart pixels really are.

    Scores are 1 - cos(pi/2 a) of attention a whose rows have length one, instead of a softmax. A row or column whose
    attention is weak keeps more of what it was (`LEAST` of it at most).
    """

    def __init__(self, channels: int, heads: int, upright: bool) -> None:
        super().__init__()
        self.heads, self.upright = heads, upright
        self.norm, self.norm_after = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels, bias=False)
        self.near = nn.Conv2d(channels, channels, 3, groups=channels)
        self.out = nn.Linear(channels, channels)
        self.perceptron = nn.Sequential(nn.Linear(channels, 2 * channels), nn.GELU(), nn.Linear(2 * channels, channels))

    def forward(self, x: Tokens) -> Tokens:
        attended, share = self.attend(self.norm(x))
        x = torch.lerp(x, attended, share.to(attended.dtype))
        return x + self.perceptron(self.norm_after(x))

    def attend(self, x: Tokens) -> tuple[Tokens, Float[Tensor, "b _ _ 1"]]:
        """Return what is attended to, and the share of it for each row or column."""
        h, w, c = x.shape[1:]
        q, k, v = self.qkv(x).chunk(3, -1)
        local = F.pad(wrapped(v.permute(0, 3, 1, 2), 1), (0, 0, 1, 1))
        bias = column_bias(h, x) if self.upright else row_bias((h, w), x)
        if self.upright:
            q, k, v = (t.transpose(1, 2) for t in (q, k, v))
        q, k, v = (t.unflatten(-1, (self.heads, -1)).transpose(2, 3) for t in (q, k, v))  # b lines heads along c
        attention = (q @ k.transpose(-1, -2)) * (c / self.heads) ** -0.5 + LOCAL * bias
        score = 1 - torch.cos(math.pi / 2 * F.normalize(attention, dim=-1))
        attended = (score.to(v.dtype) @ v).transpose(2, 3).flatten(-2)
        strength = attention.detach().abs().mean((2, 3, 4))
        share = (strength / strength.amax(1, keepdim=True)).clamp_min(LEAST)[:, :, None, None]
        if self.upright:
            attended, share = attended.transpose(1, 2), share.transpose(1, 2)
        return self.out(attended + self.near(local).permute(0, 2, 3, 1)), share


class Tangent(nn.Module):
    """PanoFormer's block: each pixel looks at nine points around it on its tangent plane, each moved by an offset that
    is learned; then a perceptron with a depthwise convolution."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads, inner = heads, 4 * channels
        self.norm, self.norm_after = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.query, self.value, self.out = (nn.Linear(channels, channels) for _ in range(3))
        self.offsets, self.weights = nn.Linear(channels, heads * POINTS * 2), nn.Linear(channels, heads * POINTS)
        self.widen, self.narrow = nn.Linear(channels, inner), nn.Linear(inner, channels)
        self.local = nn.Conv2d(inner, inner, 3, groups=inner)
        for parameter in self.offsets.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tokens) -> Tokens:
        x = x + self.attend(self.norm(x))
        inner = F.gelu(self.widen(self.norm_after(x))).permute(0, 3, 1, 2)
        inner = F.gelu(self.local(F.pad(wrapped(inner, 1), (0, 0, 1, 1))))
        return x + self.narrow(inner.permute(0, 2, 3, 1))

    def attend(self, x: Tokens) -> Tokens:
        """Return the weighted mean of values at the points that each pixel looks at."""
        b, h, w, m = *x.shape[:3], self.heads
        query = F.gelu(self.query(x))
        weights = self.weights(query).unflatten(-1, (m, 1, POINTS)).softmax(-1)
        offsets = self.offsets(query).unflatten(-1, (m, POINTS, 2))
        offsets = offsets.to(torch.promote_types(x.dtype, torch.float32))  # places are exact
        uv = tangent_points((h, w), offsets) + offsets.permute(0, 3, 1, 2, 4, 5) / extent((h, w), offsets)
        values = self.value(x).permute(0, 3, 1, 2).unflatten(1, (m, -1)).flatten(0, 1)
        seen = pull(values.to(uv.dtype), uv.flatten(0, 1).flatten(2, 3), "sphere").unflatten(-1, (w, POINTS))
        mean = (seen.unflatten(0, (b, m)) * weights.permute(0, 3, 4, 1, 2, 5)).sum(-1)
        return self.out(mean.flatten(1, 2).permute(0, 2, 3, 1).to(x.dtype))


def row_bias(size: tuple[int, int], like: Tensor) -> Float[Tensor, "h 1 w w"]:
    """Return how far apart the pixels of each row are: the chord of their longitudes, times the cosine of latitude.

    Negative to the left, the shorter way round.
    """
    h, w = size
    column = torch.arange(w, device=like.device)
    around = torch.scalar_tensor(w, dtype=torch.int64, device=like.device)
    apart = torch.remainder(column - column[:, None] + w // 2, around) - w // 2
    level = ((torch.arange(h, device=like.device) + 0.5) * math.pi / h).sin()
    return (2 * (apart * math.pi / w).sin() * level[:, None, None])[:, None].to(like.dtype)


def column_bias(height: int, like: Tensor) -> Float[Tensor, "1 h h"]:
    """Return how far apart the pixels of a column are: the chord of their latitudes, negative upwards."""
    row = torch.arange(height, device=like.device)
    return (2 * ((row - row[:, None]) * math.pi / (2 * height)).sin())[None].to(like.dtype)


def tangent_points(size: tuple[int, int], like: Tensor) -> Float[Tensor, "1 1 h w 9 2"]:
    """Return the uv of nine points around each pixel on its tangent plane, as far apart as pixels on the equator."""
    h, w = size
    centre = pixel_grid(size, like)
    ray = Equirectangular().rays(pixel_grid((h, 1), like))[0, :, :, None]  # h 1 1 3, straight ahead in each row
    right = ray.new_tensor([1.0, 0.0, 0.0])
    down = torch.linalg.cross(ray, right.expand_as(ray))
    column = 2 * math.pi / torch.scalar_tensor(w, dtype=torch.float32)  # onnxruntime has no tangent in float64
    step = torch.tensor([-1.0, 0.0, 1.0]).to(like) * column.tan().to(like)
    dy, dx = (d.reshape(1, POINTS, 1) for d in torch.meshgrid(step, step, indexing="ij"))
    points = ray[:, 0] + dx * right + dy * down[:, 0]
    uv = Equirectangular().project(points[None])[0]  # h 9 2
    moved = torch.stack([uv[..., 0] - 0.5, uv[..., 1] - centre[0, :, :1, 1]], -1)
    return (centre[0, :, :, None] + moved[:, None])[None, None]


def twice(x: Features) -> Float[Tensor, "b c h2 w2"]:
    """Return twice the size, bilinear and over the seam."""
    return F.interpolate(wrapped(x, 1), scale_factor=2, mode="bilinear", align_corners=False)[..., 2:-2]


def _through(stage: nn.Module, x: Features) -> Features:
    return stage(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
