"""The mask of the object at a point of a picture whose depth is known or predicted.

What does not depend on the point is computed once for a picture; another point costs a few convolutions at an eighth of
the size, and a very small network at a quarter.
"""

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from cyclopean.networks.mobile import Encoder

Map = Float[Tensor, "b c h w"]

FEATURES = (320, 96, 32, 24)  # channels of the encoder's features at 1/32, 1/16, 1/8 and 1/4 of the size
EMBEDDED = (96, 80, 64, 48)  # ours, at the same sizes
COMPARED = (96, 64, 48)  # after they were compared with the point, at 1/32, 1/16 and 1/8
MASKS, KEYS, GROUPS, CONTEXT = 16, 24, 4, 12  # channels of which masks are made, at 1/4
INNER = 12  # channels of the networks that points choose
WIDTHS = (0.06, 0.2, 0.6)  # of bells around the point, in shorter sides of the picture
RANGE = 0.01, 0.99  # quantiles of inverse depth between which its range lies
BEYOND = 0.5  # of that range: inverse depth is cut off so far outside
STEEP = 8.0  # times the range of depth: how fast a difference of depth saturates
EVIDENCE = 4  # colours and inverse depth
PLACE = 2 + len(WIDTHS) + 2 + 3  # offset, bells, difference of depth (signed, saturated), of colours


class SubjectNet(nn.Module):
    """Logits of the mask of the object at a point, at a quarter of the picture's size; 2.8 million parameters.

    `embed` takes a picture and its inverse depth, and gives embeddings at 1/32 to 1/4: features of an encoder of
    MobileNetV2 (`mobile.Encoder`), joined from coarse to fine with colours and inverse depth. `forward` compares those
    at every pixel with those at the point: at 1/8 to 1/32 in a U-Net (Ronneberger et al. 2015), at 1/4 in three layers
    of 1x1 convolutions whose weights are a function of the point (Tian et al. 2020, conditional convolutions). Ours;
    clicks as maps are Xu et al. 2016 (deep interactive object selection). Sizes must be multiples of 32.
    """

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.project = nn.ModuleList(_unit(n, c, 1) for n, c in zip(FEATURES, EMBEDDED, strict=True))
        self.join = nn.ModuleList(_unit(a + b + EVIDENCE, b, 3) for a, b in itertools.pairwise(EMBEDDED))
        self.more = nn.ModuleList(_unit(c, c, 3) for c in EMBEDDED)
        self.whole = nn.Linear(EMBEDDED[0], EMBEDDED[0])
        self.masks, self.key = nn.Conv2d(EMBEDDED[3], MASKS, 1), nn.Conv2d(EMBEDDED[3], KEYS, 1)
        embedded = [c + EVIDENCE for c in EMBEDDED[:3]]
        self.shown = nn.ModuleList(nn.Conv2d(n, c, 1) for n, c in zip(embedded, COMPARED, strict=True))
        self.kind = nn.ModuleList(nn.Linear(n, c) for n, c in zip(embedded, COMPARED, strict=True))
        self.compare = nn.ModuleList(
            nn.Conv2d(n + PLACE, c, 1, bias=False) for n, c in zip(embedded, COMPARED, strict=True)
        )
        self.norm = nn.ModuleList(nn.BatchNorm2d(c) for c in COMPARED)
        self.down = nn.ModuleList(_unit(b, a, 3, stride=2) for a, b in itertools.pairwise(COMPARED))
        self.here = nn.ModuleList(_unit(c, c, 3) for c in COMPARED)
        self.mean = nn.Linear(COMPARED[0], COMPARED[0])
        self.narrow = nn.ModuleList(_unit(a, b, 1) for a, b in itertools.pairwise(COMPARED))
        self.up = nn.ModuleList(_unit(c, c, 3) for c in COMPARED[1:])
        self.last = nn.Conv2d(COMPARED[2], CONTEXT + 1, 1)
        self.layers = [(MASKS + PLACE + GROUPS + CONTEXT, INNER), (INNER, INNER), (INNER, 1)]  # channels in and out
        there = EMBEDDED[3] + EVIDENCE + EMBEDDED[2] + EMBEDDED[1]
        weights = sum(a * b + b for a, b in self.layers)
        self.controller = nn.Sequential(nn.Linear(there, 96), nn.ReLU(), nn.Linear(96, weights))
        # All points begin with the same network.
        nn.init.normal_(self.controller[2].weight, std=0.01)  # type: ignore[arg-type]
        first = [(torch.randn(a * b) * (2 / a) ** 0.5 * (0.3 if b == 1 else 1), torch.zeros(b)) for a, b in self.layers]
        with torch.no_grad():
            self.controller[2].bias.copy_(torch.cat([part for pair in first for part in pair]))  # type: ignore[operator]

    def embed(
        self, image: Float[Tensor, "b 3 h w"], inverse_depth: Float[Tensor, "b 1 h w"]
    ) -> list[Float[Tensor, "b _ _ _"]]:
        """Return embeddings: what masks are made of and keys at 1/4, then those at 1/32 to 1/4.

        The image is in [0,1]; inverse depth counts as a share of its range, so it may be of any scale and shift.
        """
        features = self.encoder(2 * image - 1)[::-1][: len(FEATURES)]
        seen = torch.cat([image, in_range(inverse_depth)], 1)
        evidence = F.interpolate(seen, size=features[-1].shape[-2:], mode="area")
        x = self.project[0](features[0])
        x = x + self.whole(x.mean((2, 3)))[..., None, None]
        x = x + self.more[0](x)
        levels = [torch.cat([x, F.interpolate(evidence, size=x.shape[-2:], mode="area")], 1)]
        for project, join, more, feature in zip(self.project[1:], self.join, self.more[1:], features[1:], strict=True):
            seen = F.interpolate(evidence, size=feature.shape[-2:], mode="area")
            x = join(torch.cat([_grown(x, feature), project(feature), seen], 1))
            x = x + more(x)
            levels.append(torch.cat([x, seen], 1))
        return [self.masks(x), self.key(x), *levels]

    def forward(
        self, embeddings: Sequence[Float[Tensor, "b _ _ _"]], points: Float[Tensor, "b n k 2"]
    ) -> Float[Tensor, "b n h w"]:
        """Return logits of n masks in each picture, of the objects on which each one's k points (uv) lie."""
        masks, key, *levels = embeddings
        b, n = points.shape[:2]
        there = [_at(level, points) for level in levels]
        compared = []
        for k, (level, value) in enumerate(zip(levels[:3], there[:3], strict=True)):
            change = (level[:, None] - value[..., None, None]).abs().flatten(0, 1)
            near = self.compare[k](torch.cat([change, _place(level, value, points)], 1))
            known = self.shown[k](level)[:, None] + self.kind[k](value)[..., None, None]
            compared.append(F.relu(self.norm[k](known.flatten(0, 1) + near)))
        x = compared[2] + self.here[2](compared[2])
        kept = [x]
        for k in (1, 0):
            x = compared[k] + self.down[k](x)
            x = x + self.here[k](x)
            kept.append(x)
        x = x + self.mean(x.mean((2, 3)))[..., None, None]
        for narrow, up, beside in zip(self.narrow, self.up, kept[1::-1], strict=True):
            x = beside + _grown(narrow(x), beside)
            x = x + up(x)
        context = _grown(self.last(x), masks)
        change = (key[:, None] - _at(key, points)[..., None, None]).abs()
        alike = (-change.unflatten(2, (GROUPS, KEYS // GROUPS)).mean(3)).exp().flatten(0, 1)
        place = _place(levels[3], there[3], points)
        x = torch.cat([_spread(masks, n), place, alike, context[:, :-1]], 1).flatten(2)
        chosen = self.controller(torch.cat([there[3], there[2][..., :-EVIDENCE], there[1][..., :-EVIDENCE]], -1))
        parts = chosen.flatten(0, 1).split([size for a, c in self.layers for size in (a * c, c)], 1)
        for k, (a, c) in enumerate(self.layers):
            x = torch.baddbmm(parts[2 * k + 1][..., None], parts[2 * k].view(-1, c, a), F.relu(x) if k else x)
        return (x.view(b * n, 1, *masks.shape[-2:]) + context[:, -1:]).view(b, n, *masks.shape[-2:])


def in_range(inverse_depth: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b 1 h w"]:
    """Return each map of inverse depth as a share of its own range, cut off a little outside of it."""
    low, high = (inverse_depth.flatten(1).quantile(q, 1)[:, None, None, None] for q in RANGE)
    return ((inverse_depth - low) / (high - low).clamp(min=1e-9)).clamp(-BEYOND, 1 + BEYOND)


def _unit(channels: int, more: int, size: int, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(channels, more, size, stride, padding=size // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(more), nn.ReLU())


def _grown(x: Float[Tensor, "b c _ _"], beside: Float[Tensor, "_ _ h w"]) -> Map:
    """Return `x` at the size of what it is joined with."""
    return F.interpolate(x, size=beside.shape[-2:], mode="bilinear", align_corners=False)


def _spread(x: Map, n: int) -> Float[Tensor, "_ c h w"]:
    """Return each picture's map n times."""
    return x[:, None].expand(-1, n, -1, -1, -1).flatten(0, 1)


def _at(embedding: Map, points: Float[Tensor, "b n k 2"]) -> Float[Tensor, "b n c"]:
    """Return the mean of the embedding at each mask's points."""
    grid = 2 * points - 1
    return F.grid_sample(embedding.float(), grid, align_corners=False, padding_mode="border").mean(3).transpose(1, 2)


def _place(embedding: Map, there: Float[Tensor, "b n c"], points: Float[Tensor, "b n k 2"]) -> Float[Tensor, "_ _ h w"]:
    """Return where each pixel is beside the nearest point, and how its depth and colours (the last channels) differ."""
    h, w = embedding.shape[-2:]
    v, u = ((torch.arange(n, device=points.device, dtype=points.dtype) + 0.5) / n for n in (h, w))
    offset = torch.stack(torch.broadcast_tensors(u[None, :], v[:, None]), 0) - points.flatten(0, 1)[..., None, None]
    offset = offset * points.new_tensor([w / min(h, w), h / min(h, w)])[:, None, None]
    squared, nearest = offset.square().sum(2).min(1)
    offset = offset.gather(1, nearest[:, None, None].expand(-1, 1, 2, -1, -1))[:, 0]
    bells = torch.stack([(-squared / (2 * width * width)).exp() for width in WIDTHS], 1)
    change = (embedding[:, None, -EVIDENCE:] - there[..., -EVIDENCE:, None, None]).flatten(0, 1)
    depth = change[:, 3:]
    return torch.cat([offset, bells, depth, (STEEP * depth.abs()).tanh(), change[:, :3].abs()], 1)
