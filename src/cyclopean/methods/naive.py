"""The tutorial's first model: the right image straight out of the left one, with no disparity inside."""

from collections.abc import Callable, Sequence
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from cyclopean.geometry import pixel_grid
from cyclopean.losses import pyramid, weighted_mean
from cyclopean.methods.base import Paired, Prediction, full_precision, level_right
from cyclopean.methods.photometric import ERRORS, WARPS
from cyclopean.networks import build
from cyclopean.sample import Sample, View

SCALES = 4
LEVELS, MAX_DISPARITY = 64, 0.3  # what disparities, shares of the width, are tried when reading out
WINDOW = 7  # pixels along each side of what is compared then

Image = Float[Tensor, "b 3 h w"]


class Naive(Paired):
    """A network that paints the right view (CVPR tutorial on self-supervised depth: "Let's design a (naive) model").

    It works, and its depth perception is latent: nothing in it is a disparity. So that it can be compared at all,
    `predict` reads one out from outside: the painted right view is matched with the left one, window by window, over
    64 disparities. `error` is what teaches it; `sampling`, nearest or linear, is how shifted views are fetched for the
    matching: the model itself samples nothing.
    """

    name: ClassVar[str] = "naive"

    def __init__(
        self,
        network: str = "vgg",
        width: float = 1.0,
        *,
        error: Literal["l1", "l2", "ssim", "ssim-reflected"] = "l1",
        sampling: Literal["linear", "nearest"] = "linear",
        rig: Sequence[float] | None = None,
    ) -> None:
        super().__init__(network=network, width=width, error=error, sampling=sampling, rig=rig)
        self.network = build(network, width, 3)
        self.input_multiple: int = self.network.multiple  # type: ignore[assignment]
        self.error, self.fetch = ERRORS[error], WARPS[sampling]

    def predict(self, target: View, sources: tuple[View, ...] = ()) -> Prediction:  # noqa: ARG002
        right = self.right_views(target.seen)[0]
        disparity = block_matching(target.seen, right, self.fetch)
        return Prediction(self.inverse_depth(disparity, target), extras={"right_view": right})

    def losses(self, sample: Sample) -> dict[str, Float[Tensor, ""]]:
        right = level_right(self.name, sample)
        painted = self.right_views(sample.target.seen)
        with full_precision(sample.depth):
            truth, weights = pyramid(right.image, SCALES), pyramid(right.valid.to(right.image.dtype), SCALES)
            scales = zip(painted, truth, weights, strict=True)
            return {"appearance": torch.stack([weighted_mean(self.error(x, y), w) for x, y, w in scales]).sum()}

    def right_views(self, image: Image) -> list[Float[Tensor, "b 3 _ _"]]:
        """Paint the right view at each scale, finest first."""
        return [raw.float().sigmoid() for raw in self.network(image)]


@torch.no_grad()
def block_matching(left: Image, right: Image, fetch: Callable[..., Tensor]) -> Float[Tensor, "b 1 h w"]:
    """Return the left view's disparity for which a window of it looks most like right(x - d): winner takes all."""
    grid = pixel_grid((left.shape[-2], left.shape[-1]), left).expand(len(left), -1, -1, -1)
    least, best = torch.full_like(left[:, :1], torch.inf), torch.zeros_like(left[:, :1])
    for k in range(LEVELS):
        disparity = MAX_DISPARITY * (k + 0.5) / LEVELS
        shifted = fetch(right, grid - grid.new_tensor([disparity, 0.0]), "edge")
        cost = (shifted - left).abs().mean(1, keepdim=True)
        cost = F.avg_pool2d(F.pad(cost, (WINDOW // 2,) * 4, mode="replicate"), WINDOW, 1)
        best = torch.where(cost < least, torch.full_like(best, disparity), best)
        least = torch.minimum(cost, least)
    return best
