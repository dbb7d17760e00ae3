"""Light networks whose heads correct each other from coarse to fine. Ours, for learning from views.

Where Monodepth's VGG feeds the upsampled disparity of a coarse scale to the next finer one, `compact` and `mobile` have
four heads that know nothing of each other. The gradient of a warp leads to the right disparity only from within a pixel
or two; at the finest scale near things are far beyond that, and stay where they began, while the coarse scales, where
the same things are within reach, learn. Here each head adds to the upsampled sum of the coarser ones, as in Garg.
"""

from collections.abc import Callable

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from cyclopean.networks.compact import Compact
from cyclopean.networks.mobile import Mobile


class CoarseToFine(nn.Module):
    """A network `body` with `heads`, finest first, whose raw outputs are added up from the coarsest on."""

    def __init__(self, body: Compact | Mobile) -> None:
        super().__init__()
        self.body = body
        self.multiple = body.multiple

    def features(self, image: Float[Tensor, "b c h w"]) -> list[Float[Tensor, "b _ _ _"]]:
        """Return the features of the first layers, at 1/2 and 1/4."""
        return self.body.features(image)

    def forward(self, image: Float[Tensor, "b c h w"]) -> list[Float[Tensor, "b _ _ _"]]:
        """Return raw outputs at full, half, quarter and eighth size."""
        *corrections, total = self.body(image)
        totals = [total]
        for correction in reversed(corrections):
            total = F.interpolate(total, scale_factor=2, mode="bilinear", align_corners=False) + correction
            totals.insert(0, total)
        return totals

    @property
    def corrections(self) -> list[nn.Module]:
        """The heads that add to a coarser one."""
        return list(self.body.heads)[:-1]


def _of(network: type[Compact] | type[Mobile]) -> Callable[[float, int, int], CoarseToFine]:
    return lambda width, outputs, inputs: CoarseToFine(network(width, outputs, inputs))


compact, mobile = _of(Compact), _of(Mobile)
