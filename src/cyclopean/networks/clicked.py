"""The mask of the thing at a point: a light head on the features of a network that predicts depth.

What does not depend on the point is computed once for a picture, so another point costs a few convolutions at a quarter
of the size.
"""

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

Point = tuple[float, float]  # uv
Map = Float[Tensor, "b c h w"]

# Channels of Mobile's features, encoder and decoder joined, at 1/32, 1/16, 1/8, 1/4 and 1/2 of the size.
FEATURES = (320 + 192, 96 + 128, 32 + 96, 24 + 48, 16 + 24)
CHANNELS = (64, 64, 48, 32, 12)  # ours, at the same sizes
WIDTHS = (0.06, 0.2, 0.6)  # of bells around the point, in shorter sides of the picture
STEEP = 8.0  # times the range of depth: how fast a difference of depth saturates
EVIDENCE = 4  # colours and inverse depth
PLACE = 2 + len(WIDTHS) + 2 + 3  # offset, bells, difference of depth (signed, saturated), of colours


class Clicked(nn.Module):
    """Logits of the mask of the thing at a point, at half the size of the features' picture; 0.3 million parameters.

    `embed` takes the features of a picture, its colours and its inverse depth, and gives embeddings at 1/4 and 1/2.
    `forward` compares those at every pixel with those at the point. Ours; clicks as maps are Xu et al. 2016 (deep
    interactive object selection).
    """

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.ModuleList(nn.Conv2d(n, c, 1) for n, c in zip(FEATURES, CHANNELS, strict=True))
        pairs = itertools.pairwise(CHANNELS)
        self.join = nn.ModuleList(nn.Conv2d(a + b + EVIDENCE, b, 3, padding=1) for a, b in pairs)
        quarter, half = CHANNELS[3] + EVIDENCE, CHANNELS[4] + EVIDENCE
        self.compare = nn.Conv2d(2 * quarter + PLACE, 32, 1)
        self.kind = nn.Linear(quarter, 32)
        self.around = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(32, 24, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(24, 24, 3, padding=4, dilation=4),
            nn.ReLU(),
        )
        self.coarse = nn.Conv2d(24, 1, 1)
        self.detail = nn.Sequential(nn.Conv2d(24 + 2 * half + PLACE, 24, 1), nn.ReLU(), nn.Conv2d(24, 1, 1))

    def embed(
        self, features: Sequence[Float[Tensor, "b _ _ _"]], evidence: Float[Tensor, "b 4 h w"]
    ) -> tuple[Float[Tensor, "b _ _ _"], Float[Tensor, "b _ _ _"]]:
        """Return embeddings at 1/4 and 1/2. `features` are coarse to fine; `evidence` (colours in [0,1], inverse depth
        as a share of its range) has the size of the finest.
        """
        x, joined = F.relu(self.project[0](features[0])), []
        for project, join, feature in zip(self.project[1:], self.join, features[1:], strict=True):
            size = feature.shape[-2:]
            grown = F.interpolate(x, size=size, mode="bilinear", align_corners=False)
            seen = F.interpolate(evidence, size=size, mode="area")
            x = F.relu(join(torch.cat([grown, F.relu(project(feature)), seen], 1)))
            joined.append(torch.cat([x, seen], 1))
        return joined[-2], joined[-1]

    def forward(
        self, quarter: Float[Tensor, "b _ _ _"], half: Float[Tensor, "b _ h w"], points: Float[Tensor, "b k 2"]
    ) -> Float[Tensor, "b 1 h w"]:
        """Return logits of one mask for each item, of the thing on which its k `points` (uv) lie."""
        there = _at(quarter, points)
        near = torch.cat([quarter, (quarter - there[..., None, None]).abs(), _place(quarter, there, points)], 1)
        x = self.around(self.compare(near) + self.kind(there)[..., None, None])
        coarse = self.coarse(x)
        there = _at(half, points)
        grown = F.interpolate(torch.cat([x, coarse], 1), size=half.shape[-2:], mode="bilinear", align_corners=False)
        near = torch.cat([grown[:, :-1], half, (half - there[..., None, None]).abs(), _place(half, there, points)], 1)
        return grown[:, -1:] + self.detail(near)


def _at(embedding: Map, points: Float[Tensor, "b k 2"]) -> Float[Tensor, "b c"]:
    """Return the mean of the embedding at the points."""
    return F.grid_sample(embedding, 2 * points[:, None] - 1, align_corners=False, padding_mode="border").mean((2, 3))


def _place(embedding: Map, there: Float[Tensor, "b c"], points: Float[Tensor, "b k 2"]) -> Float[Tensor, "b _ h w"]:
    """Return where each pixel is beside the nearest point, and how its depth and colours (the last channels) differ."""
    h, w = embedding.shape[-2:]
    v, u = ((torch.arange(n, device=points.device, dtype=points.dtype) + 0.5) / n for n in (h, w))
    offset = torch.stack(torch.broadcast_tensors(u[None, :], v[:, None]), 0)[None, None] - points[..., None, None]
    offset = offset * points.new_tensor([w / min(h, w), h / min(h, w)])[:, None, None]
    squared, nearest = offset.square().sum(2).min(1)
    offset = offset.gather(1, nearest[:, None, None].expand(-1, 1, 2, -1, -1))[:, 0]
    bells = torch.stack([(-squared / (2 * width * width)).exp() for width in WIDTHS], 1)
    change = embedding[:, -EVIDENCE:] - there[:, -EVIDENCE:, None, None]
    depth = change[:, 3:]
    return torch.cat([offset, bells, depth, (STEEP * depth.abs()).tanh(), change[:, :3].abs()], 1)
