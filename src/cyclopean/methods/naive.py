"""The tutorial's naive model: a network that outputs the right image from the left one, without disparity."""

from collections.abc import Callable, Sequence
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from cyclopean.geometry import pixel_grid, size_of
from cyclopean.losses import pyramid, weighted_mean
from cyclopean.methods.base import Losses, Paired, Prediction, full_precision, level_right
from cyclopean.methods.photometric import ERRORS, WARPS
from cyclopean.networks import build
from cyclopean.sample import Image, Sample, View

SCALES = 4
LEVELS, MAX_DISPARITY = 64, 0.3  # of block matching: how many disparities, up to which share of the width
WINDOW = 7  # pixels along each side of a window of block matching


class Naive(Paired):
    """A network that outputs the right view (CVPR tutorial on self-supervised depth: "Let's design a (naive) model").

    Its knowledge of depth is latent: it has no disparity anywhere. So that it can be evaluated, `predict` recovers
    disparity by block matching: the output right view is matched with the left one, window by window, over 64
    disparities. `error` is the training loss; `sampling`, nearest or linear, is the interpolation of shifted views in
    that matching, since the model itself does not warp.
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

    def losses(self, sample: Sample) -> Losses:
        right = level_right(self.name, sample)
        painted = self.right_views(sample.target.seen)
        with full_precision(sample.depth):
            truth, weights = pyramid(right.image, SCALES), pyramid(right.valid.to(right.image.dtype), SCALES)
            scales = zip(painted, truth, weights, strict=True)
            return {"appearance": torch.stack([weighted_mean(self.error(x, y), w) for x, y, w in scales]).sum()}

    def right_views(self, image: Image) -> list[Float[Tensor, "b 3 _ _"]]:
        """Return the predicted right view at each scale, finest first."""
        return [raw.float().sigmoid() for raw in self.network(image)]


@torch.no_grad()
def block_matching(left: Image, right: Image, fetch: Callable[..., Tensor]) -> Float[Tensor, "b 1 h w"]:
    """Return the left view's disparity by block matching: the d for which right(x - d) is most like the left window."""
    grid = pixel_grid(size_of(left), left).expand(left.shape[0], -1, -1, -1)
    least, best = torch.full_like(left[:, :1], torch.inf), torch.zeros_like(left[:, :1])
    for k in range(LEVELS):
        disparity = MAX_DISPARITY * (k + 0.5) / LEVELS
        shifted = fetch(right, grid - grid.new_tensor([disparity, 0.0]), "edge")
        cost = (shifted - left).abs().mean(1, keepdim=True)
        cost = F.avg_pool2d(F.pad(cost, (WINDOW // 2,) * 4, mode="replicate"), WINDOW, 1)
        best = torch.where(cost < least, torch.full_like(best, disparity), best)
        least = torch.minimum(cost, least)
    return best
