"""Details of one answer about a panorama in the layout of another."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from cyclopean.surround.faces import FAR
from cyclopean.surround.looks import enlarged

Map = Float[Tensor, "1 1 h w"]
Resized = Float[Tensor, "1 1 _ _"]

FINE = 1 / 48  # of the width, 7.5 degrees of longitude: the deviation of the Gaussian that parts details from layout


def with_details(layout: Map, seen: Resized) -> Resized:
    """Inverse distances with the layout (and the metres) of one map and the details of another, at the size of `seen`.

    A network that sees a panorama whole knows rooms, and one that sees faces of a cube large knows things. Details are
    what a Gaussian takes away, of logarithms: ratios of distances.
    """
    whole = enlarged(layout, (seen.shape[-2], seen.shape[-1])).clamp_min(torch.finfo(layout.dtype).tiny)
    return whole * (_details(seen) - _details(whole)).exp()


def _details(inverse: Map) -> Map:
    """What a Gaussian takes away from logarithms, over the seam; poles are borders.

    What is nearly sky, whose logarithm has no end, is no farther than `faces.FAR` of the median.
    """
    logs = (inverse + FAR * float(inverse.median())).clamp_min(torch.finfo(inverse.dtype).tiny).log()
    deviation = FINE * logs.shape[-1]
    reach = min(round(3 * deviation), logs.shape[-2] - 1)
    taps = torch.exp(-0.5 * (torch.arange(-reach, reach + 1).to(logs) / deviation) ** 2)
    taps = taps / taps.sum()
    along = F.conv2d(F.pad(logs, (reach, reach, 0, 0), mode="circular"), taps.view(1, 1, 1, -1))
    return logs - F.conv2d(F.pad(along, (0, 0, reach, reach), mode="replicate"), taps.view(1, 1, -1, 1))
