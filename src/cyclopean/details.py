"""Details of one answer in the layout of another: of two looks at one picture, or of two models."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

FAR = 0.05  # of the median inverse depth is added before logarithms, which have no end where there is sky
LEAST = 0.03  # of that is left

Map = Float[Tensor, "b 1 h w"]


def with_details(layout: Map, seen: Map, deviation: float, around: bool) -> Map:
    """Inverse depth with the layout (and the unit) of one map and the details of another of its size.

    Details are what a Gaussian of `deviation` pixels takes away, of logarithms: ratios of depths. With `around` the
    left border goes on at the right one, as that of a panorama. (Miangoleh et al., CVPR 2021, merge a small and a large
    look by a network; this needs none.)
    """
    far = _far(layout)
    change = _details(seen, deviation, around) - _details(layout, deviation, around)
    return ((layout + far) * change.exp() - far).clamp_min(LEAST * far)


def _far(inverse: Map) -> Float[Tensor, "b 1 1 1"]:
    median = inverse.flatten(1).median(1).values[:, None, None, None]
    return FAR * median.clamp_min(torch.finfo(inverse.dtype).eps)


def _details(inverse: Map, deviation: float, around: bool) -> Map:
    """What a Gaussian takes away from logarithms."""
    logs = (inverse.clamp_min(0) + _far(inverse)).log()
    reach = max(1, min(round(3 * deviation), *(side - 1 for side in logs.shape[-2:])))
    taps = torch.exp(-0.5 * (torch.arange(-reach, reach + 1).to(logs) / deviation) ** 2)
    taps = taps / taps.sum()
    sides = F.pad(logs, (reach, reach, 0, 0), mode="circular" if around else "replicate")
    along = F.conv2d(sides, taps.view(1, 1, 1, -1))
    return logs - F.conv2d(F.pad(along, (0, 0, reach, reach), mode="replicate"), taps.view(1, 1, -1, 1))
