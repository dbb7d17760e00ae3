"""The blur of a camera's own lens: what is out of focus is spread over its circle of confusion."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from cyclopean.synthetic.scene import Number

LAYERS = 10
MOST = 14.0  # pixels: a larger circle of confusion is cut to this radius
LEAST = 0.7  # pixels: a smaller radius does not blur


def defocused(
    light: Float[Tensor, "1 3 h w"], depth: Float[Tensor, "1 1 h w"], aperture: Number, focus: Number, focal: Number
) -> Float[Tensor, "1 3 h w"]:
    """Return light as a thin lens of diameter `aperture` (metres) focused at `focus` metres spreads it.

    `focal` in image widths. A point at z is a disc of diameter aperture * focal * |1/focus - 1/z|. Layers of like discs
    are blurred alone and laid over each other, the far ones first: what is sharp stays so before what is not.
    """
    radius = (0.5 * aperture * focal * light.shape[3] * (1 / depth - 1 / focus)).clamp(-MOST, MOST)  # near: above 0
    least, most = float(radius.min()), float(radius.max())
    if max(-least, most) < LEAST:
        return light
    step = max((most - least) / (LAYERS - 1), 1e-6)
    spread, cover = torch.zeros_like(light), torch.zeros_like(depth)
    for k in range(LAYERS):
        middle = least + k * step
        share = (1 - (radius - middle).abs() / step).clamp_min(0)  # of a point in this layer, the rest in its neighbour
        layer = torch.cat([light * share, share], 1)
        if abs(middle) >= LEAST:
            layer = _disc(layer, abs(middle))
        seen = 1 - layer[:, 3:].clamp(max=1)
        spread, cover = spread * seen + layer[:, :3], cover * seen + layer[:, 3:]
    return spread / cover.clamp_min(1e-6)


def _disc(x: Float[Tensor, "1 c h w"], radius: float) -> Float[Tensor, "1 c h w"]:
    """Average over discs, row by row: each row of a disc is a difference of running sums."""
    radius += 0.3  # from the middle of a pixel
    reach = int(radius)
    h, w = x.shape[2:]
    sums = F.pad(F.pad(x, (reach, reach, reach, reach), mode="replicate").cumsum(3), (1, 0))
    total, count = torch.zeros_like(x), 0
    for dy in range(-reach, reach + 1):
        half = int((radius * radius - dy * dy) ** 0.5)
        rows = sums[:, :, reach + dy : reach + dy + h]
        total += rows[..., reach + half + 1 : reach + half + 1 + w] - rows[..., reach - half : reach - half + w]
        count += 2 * half + 1
    return total / count
