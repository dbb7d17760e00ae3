"""Inverse depth of one picture put together from several looks at it: mirrored, smaller, larger.

Monodepth's post-processing, FAL-Net's (Gonzalez Bello and Kim 2020), and AQUANet's boosting (Gonzalez Bello, Moon, Kim
2022, sec. 3.5), which teaches its second stage and is its "PP" at test time.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from cyclopean.geometry import size_of
from cyclopean.networks.falnet import resize_corners
from cyclopean.sample import Map
from cyclopean.training.options import Boosting

FACTORS = (3 / 4, 5 / 4)  # of the picture's size, for the second and third estimate of Eq. 8
NEAREST = 0.95  # FAL-Net: the share of pixels that are farther than where only the small picture counts

Positions = Float[Tensor, "b 2 h w"]
DepthNetwork = Callable[[Float[Tensor, "b 3 h w"], Positions, Float[Tensor, "b 2"]], Map]  # picture, positions, focal


def fuse_flipped(disparity: Map, flipped_back: Map) -> Map:
    """Average a disparity with that of the flipped image, flipped back; use only the better one at each border.

    Only `flipped_back` counts within 5 % of the left border, only `disparity` within 5 % of the right one, with ramps
    to 10 %. This follows the text and the release, not the supplement's formula, whose weights sum to 1.5 at the
    borders.
    """
    w = disparity.shape[-1]
    j = torch.arange(w, dtype=disparity.dtype, device=disparity.device) / (w - 1)  # `linspace` cannot be exported
    left, right = (1 - (20 * (x - 0.05)).clamp(0, 1) for x in (j, 1 - j))
    return right * disparity + left * flipped_back + (1 - left - right) * (disparity + flipped_back) / 2


def fuse_near(full: Map, small: Map) -> Map:
    """Return FAL-Net's post-processing: the nearer a pixel, the more of `small`, of a smaller, mirrored picture.

    Of the nearest twentieth of the pixels only `small` counts.
    """
    near = (full / full.flatten(1).quantile(NEAREST, 1)[:, None, None, None]).clamp(max=1)
    return (1 - near) * full + near * small


@torch.no_grad()
def boosted(
    network: DepthNetwork,
    image: Float[Tensor, "b 3 h w"],
    where: Positions,
    focal: Float[Tensor, "b 2"],
    *,
    power: int = 1,
    boosting: Boosting = "paper",
) -> Map:
    """Return inverse depth put together from three sizes of the picture: near things from the small one (Eq. 8).

    Inverse depth grows with the `power` 1 of size: what is resized is divided by the factor. A misprint of the paper:
    the third picture is larger, and so are its positions (5/4, not 4/5). In the draft (`boosting`) both other passes
    see the picture mirrored, and are resized by nearest pixels.
    """
    size, estimates = size_of(image), [network(image, where, focal)]
    if boosting == "draft":
        image, where = image.flip(-1), where.flip(-1) * where.new_tensor([-1.0, 1.0])[:, None, None]
    for factor in FACTORS:
        other = (round(size[0] * factor), round(size[1] * factor))
        picture = F.interpolate(image, other, mode="bilinear", align_corners=True)
        estimate = network(picture, resize_corners(where, other), focal * factor) / factor**power
        if boosting == "draft":
            estimates.append(F.interpolate(estimate.flip(-1), size))
        else:
            estimates.append(resize_corners(estimate, size))
    return fuse_sizes(estimates, boosting)


def fuse_sizes(estimates: Sequence[Map], boosting: Boosting) -> Map:
    """Return the whole, the smaller and the larger picture's inverse depth as one (Eq. 8).

    What counts is how near things are, D̄: by the sum of all three over its maximum (paper, Eq. 9), or by the whole
    picture's estimate over its maximum, and 1 from 0.99 on (draft).
    """
    total = torch.stack(list(estimates)).sum(0) if boosting == "paper" else estimates[0]
    near = total / total.amax((1, 2, 3), keepdim=True)
    near = torch.where(near > 0.99, 1.0, near) if boosting == "draft" else near
    return torch.stack([w * x for w, x in zip(boost_weights(near), estimates, strict=True)]).sum(0)


def boost_weights(near: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the weights of the whole, the smaller and the larger picture where inverse depth is `near` (0 to 1).

    The paper prints 1 + D̄² for the last term of the denominator of Eq. 8: near things would be halved.
    """
    norm = 2 + near - near.square()
    return 1 / norm, near / norm, (1 - near.square()) / norm
