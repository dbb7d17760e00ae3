"""Deep3D: the right view selected out of shifted left ones (Xie, Girshick, Farhadi, ECCV 2016), and Deep3Ds."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from cyclopean.errors import InputError
from cyclopean.geometry import pixel_grid
from cyclopean.losses import cumulative_smoothness, gradients, pyramid, weighted_mean
from cyclopean.methods.base import Paired, Prediction, full_precision, level_right
from cyclopean.networks import build
from cyclopean.sample import Sample, View
from cyclopean.synthesis import pull, select

SCALES = 4
CERTAIN = 0.02  # Deep3Ds' weight of C_max (Monodepth, supplement sec. 3)
FARTHEST = 1e-3  # of the largest disparity: a pixel certain of the first level is far, not infinitely far
STEPS = 4  # of the way from the right view's disparity to the left view's

Map = Float[Tensor, "b 1 h w"]
Probabilities = Float[Tensor, "b n h w"]
Scalar = Float[Tensor, ""]


class Deep3d(Paired):
    """For every pixel of the right view, a distribution over shifts of the left one (Deep3D, sec. 3).

    right(x) = sum over k of w_k(x) left(x + d_k): `levels` disparities d_k from 0 to `most` of the width, and before
    them a null channel, whose weight is spent on black (as in the release, where it is softmaxed and multiplies
    nothing). The image loss is the mean absolute error of all four scales.

    `smoothness` makes it Deep3Ds (Monodepth, supplement Eq. 1 to 3): probability gathers in one shift, and cumulative
    sums are smooth. "each" reads Eq. 3 as the sum of |d cs_i| over i, the earth mover's distance between neighbours;
    "expected" as |d (sum of cs_i)|, the gradient of the expected disparity, which is never larger. `strength` is the
    smoothness's weight.

    Traps. The weights stand in the *right* view, so their mean disparity is the right view's too: `predict` carries it
    over to the left view. n - sum of cs_i is the index counted from 0 (the supplement's example counts from 1). The
    release shifts by -15 to 16 pixels, for films; x - s there is x + d here.
    """

    name: ClassVar[str] = "deep3d"

    def __init__(  # noqa: PLR0917
        self,
        network: str = "vgg",
        width: float = 1.0,
        levels: int = 33,
        most: float = 0.3,
        smoothness: Literal["none", "each", "expected"] = "none",
        strength: float = 0.1,
        rig: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        if levels < 2 or not 0 < most < 1:
            raise InputError(
                f"deep3d has {levels} levels up to {most}; it needs at least 2, up to a share of the width."
            )
        self.network = build(network, width, levels + 1)
        self.input_multiple: int = self.network.multiple  # type: ignore[assignment]
        self._arguments: dict[str, Any] = {
            "network": network,
            "width": width,
            "levels": levels,
            "most": most,
            "smoothness": smoothness,
            "strength": strength,
            "rig": None if rig is None else list(rig),
        }
        self._smooth = SMOOTHNESS[smoothness]
        self._strength = strength
        self.keep_rig(rig, math.prod)

    def config(self) -> dict[str, Any]:
        return dict(self._arguments)

    def predict(self, target: View, sources: tuple[View, ...] = ()) -> Prediction:  # noqa: ARG002
        right = self._expected(self._probabilities(target.seen)[0])
        left = carried_over(right)
        return Prediction(self.inverse_depth(left, target), extras={"disparity_left": left, "disparity_right": right})

    def losses(self, sample: Sample) -> dict[str, Scalar]:
        right = level_right("deep3d", sample)
        probabilities = self._probabilities(sample.target.seen)
        with full_precision(sample.depth):
            lefts, rights = pyramid(sample.target.image, SCALES), pyramid(right.image, SCALES)
            weights = pyramid(right.valid.to(right.image.dtype), SCALES)
            terms = [self._terms(*scale) for scale in zip(probabilities, lefts, rights, weights, strict=True)]
            return {name: torch.stack([t[name] for t in terms]).sum() for name in terms[0]}

    def _terms(self, chances: Probabilities, left: Tensor, right: Tensor, weight: Map) -> dict[str, Scalar]:
        terms = {"appearance": weighted_mean((self.right_view(left, chances) - right).abs(), weight)}
        if self._smooth is not None:
            uncertain = (chances[:, 1:].amax(1, keepdim=True) - 1).square()
            terms["certainty"] = CERTAIN * weighted_mean(uncertain, weight)
            terms["smoothness"] = self._strength * self._smooth(chances[:, 1:], weight)
        return terms

    def right_view(self, left: Float[Tensor, "b 3 h w"], chances: Probabilities) -> Float[Tensor, "b 3 h w"]:
        """The right view, out of the left one and the weights of null and shifts."""
        return selected(left, chances, self._disparities())

    def _disparities(self) -> list[float]:
        n, most = self._arguments["levels"], self._arguments["most"]
        return [most * k / (n - 1) for k in range(n)]

    def _probabilities(self, image: Float[Tensor, "b 3 h w"]) -> list[Float[Tensor, "b n _ _"]]:
        return [raw.float().softmax(1) for raw in self.network(image)]

    def _expected(self, chances: Probabilities) -> Map:
        """The mean disparity of what is not null."""
        shifts = chances.new_tensor(self._disparities())
        shown = chances[:, 1:]
        mean = torch.einsum("bnhw,n->bhw", shown, shifts) / shown.sum(1)
        return mean[:, None].clamp(min=FARTHEST * self._arguments["most"])


def selected(
    left: Float[Tensor, "b 3 h w"], chances: Probabilities, disparities: Sequence[float]
) -> Float[Tensor, "b 3 h w"]:
    """sum over k of chances[:, k + 1] * left(x + disparities[k]), edges repeated; chances[:, 0] is null, black."""
    grid = pixel_grid((left.shape[-2], left.shape[-1]), left)

    def layer(k: int) -> Tensor:
        if k == 0:
            return torch.zeros_like(left)
        return pull(left, (grid + left.new_tensor([disparities[k - 1], 0.0])).expand(len(left), -1, -1, -1), "edge")

    return select(layer, chances)


def expected_smoothness(probabilities: Probabilities, weight: Map) -> Scalar:
    """Reading B of Eq. 3: |d (sum of cs_i)| = |d sum of (n - k) w_k|, k from 0, along x and y."""
    n = probabilities.shape[1]
    counts = torch.arange(n, 0, -1, dtype=probabilities.dtype, device=probabilities.device)
    return gradients(torch.einsum("bnhw,n->bhw", probabilities, counts)[:, None], weight, 1)


SMOOTHNESS = {"none": None, "each": cumulative_smoothness, "expected": expected_smoothness}


def carried_over(right: Map) -> Map:
    """The left view's disparity out of the right view's: d(x) = right(x - d(x)), found in a few steps."""
    grid, left = pixel_grid((right.shape[-2], right.shape[-1]), right), right
    for _ in range(STEPS):
        uv = grid - F.pad(left[:, 0, :, :, None], (0, 1))
        left = pull(right, uv, "edge")
    return left
