"""Details of what faces around show in the layout of what a network for panoramas says."""

from jaxtyping import Float
from torch import Tensor

from cyclopean import details
from cyclopean.surround.looks import enlarged

Map = Float[Tensor, "1 1 h w"]
Resized = Float[Tensor, "1 1 _ _"]

FINE = 1 / 48  # of the width, 7.5 degrees of longitude: the deviation of the Gaussian that parts details from layout


def with_details(layout: Map, seen: Resized) -> Resized:
    """Inverse distances with the layout (and the metres) of one map and the details of another, at the size of `seen`.

    A network that sees a panorama whole knows rooms, and one that sees faces around large knows things.
    """
    whole = enlarged(layout, (seen.shape[-2], seen.shape[-1]))
    return details.with_details(whole, seen, FINE * seen.shape[-1], around=True)
