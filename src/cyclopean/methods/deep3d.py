"""Deep3D: the right view selected from shifted left ones (Xie, Girshick, Farhadi, ECCV 2016), and Deep3Ds."""

from collections import defaultdict
from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from cyclopean.errors import InputError
from cyclopean.geometry import pixel_grid, size_of
from cyclopean.losses import Scalar, cumulative_smoothness, gradients, pyramid, weighted_mean
from cyclopean.methods.base import Losses, Method, Paired, Prediction, full_precision, level_right
from cyclopean.networks import build
from cyclopean.sample import Map, Sample, View
from cyclopean.synthesis import pull, select

SCALES = 4
CERTAIN = 0.02  # Deep3Ds' weight of C_max (Monodepth, supplement sec. 3)
FARTHEST = 1e-3  # of the largest disparity: a pixel with probability 1 at the first level is far, not at infinity
STEPS = 4  # fixed-point steps from the right view's disparity to the left view's

Probabilities = Float[Tensor, "b n h w"]


class Deep3d(Paired):
    """A distribution over shifts of the left view, for every pixel of the right one (Deep3D, sec. 3).

    right(x) = sum over k of w_k(x) left(x + d_k): `levels` disparities d_k from 0 to `most` of the width, and before
    them a null channel, whose weight goes to black (as in the release, where it enters the softmax and multiplies
    nothing). The image loss is the mean absolute error of all four scales.

    `smoothness` makes it Deep3Ds (Monodepth, supplement Eq. 1 to 3): probability concentrates in one shift, and
    cumulative sums are smooth. With "each", Eq. 3 is the sum of |d cs_i| over i, the earth mover's distance between
    neighbours; with "expected", it is |d (sum of cs_i)|, the gradient of the expected disparity, which is never larger.
    `strength` is the smoothness's weight, of gradients per pixel. With `smoothness_width` it holds for pictures so many
    pixels wide, and other sizes and scales count in proportion, so that one depth has one smoothness: at 96 pixels the
    published weight makes a flat picture cheaper than the truth.

    Pitfalls. The weights belong to pixels of the *right* view, and so does their mean disparity: `predict` transfers it
    to the left view. n - sum of cs_i is the index counted from 0 (the supplement's example counts from 1). The release
    shifts by -15 to 16 pixels, for films; x - s there is x + d here.
    """

    name: ClassVar[str] = "deep3d"

    def __init__(
        self,
        network: str = "vgg",
        width: float = 1.0,
        *,
        levels: int = 33,
        most: float = 0.3,
        smoothness: Literal["none", "each", "expected"] = "none",
        strength: float = 0.1,
        smoothness_width: int | None = None,
        rig: Sequence[float] | None = None,
    ) -> None:
        if levels < 2 or not 0 < most < 1:
            raise InputError(
                f"deep3d has {levels} levels up to {most}; it needs at least 2, up to a share of the width below 1."
            )
        super().__init__(
            network=network,
            width=width,
            levels=levels,
            most=most,
            smoothness=smoothness,
            strength=strength,
            smoothness_width=smoothness_width,
            rig=rig,
        )
        self.network = build(network, width, levels + 1)
        self.input_multiple: int = self.network.multiple  # type: ignore[assignment]
        self.levels, self.most = [most * k / (levels - 1) for k in range(levels)], most
        self.share = 1.0  # of the weights of Deep3Ds' terms: see `Rising`
        self.smooth, self.strength, self.smoothness_width = SMOOTHNESS[smoothness], strength, smoothness_width

    def predict(self, target: View, sources: tuple[View, ...] = ()) -> Prediction:  # noqa: ARG002
        probabilities = self.probabilities(target.seen)[0][:, 1:]  # without the null channel
        mean = torch.einsum("bnhw,n->bhw", probabilities, probabilities.new_tensor(self.levels)) / probabilities.sum(1)
        right = mean[:, None].clamp(min=FARTHEST * self.most)
        left = left_disparity(right)
        return Prediction(self.inverse_depth(left, target), extras={"disparity_left": left, "disparity_right": right})

    def losses(self, sample: Sample) -> Losses:
        right = level_right(self.name, sample)
        probabilities = self.probabilities(sample.target.seen)
        with full_precision(sample.depth):
            lefts, rights = pyramid(sample.target.image, SCALES), pyramid(right.image, SCALES)
            weights = pyramid(right.valid.to(right.image.dtype), SCALES)
            losses: dict[str, list[Scalar]] = defaultdict(list)
            for p, left, truth, weight in zip(probabilities, lefts, rights, weights, strict=True):
                error = (selected(left, p, self.levels) - truth).abs()
                losses["appearance"].append(weighted_mean(error, weight))
                if self.smooth is not None:  # Deep3Ds
                    uncertain = (p[:, 1:].amax(1, keepdim=True) - 1).square()
                    losses["certainty"].append(self.share * CERTAIN * weighted_mean(uncertain, weight))
                    strength = self.share * self.strength
                    strength *= p.shape[3] / self.smoothness_width if self.smoothness_width else 1
                    losses["smoothness"].append(strength * self.smooth(p[:, 1:], weight))
            return {name: torch.stack(values).sum() for name, values in losses.items()}

    def probabilities(self, image: Float[Tensor, "b 3 h w"]) -> list[Float[Tensor, "b n _ _"]]:
        """Return the probabilities of the null channel and of each shift, for each pixel of the right view, at each
        scale."""
        return [raw.float().softmax(1) for raw in self.network(image)]


class Rising:
    """Raise the weights of Deep3Ds' two terms from 0, in even steps over the first `epochs` passes; call it after each.

    Ours: at their full weights from the start, one shift for the whole picture becomes certain before any is learned
    (in rooms of 64x96 after 100 steps), and a softmax that is certain has no gradient left.
    """

    def __init__(self, method: Method, epochs: int) -> None:
        assert isinstance(method, Deep3d)
        self.method, self.epochs, self.passed = method, epochs, 0
        method.share = 0.0

    def __call__(self, method: Method) -> None:  # noqa: ARG002  (the method may be a running mean, which learns nothing)
        self.passed += 1
        self.method.share = min(1.0, self.passed / self.epochs)

    def state_dict(self) -> dict[str, int]:
        return {"passed": self.passed}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.passed = state["passed"]
        self.method.share = min(1.0, self.passed / self.epochs)


def selected(
    left: Float[Tensor, "b 3 h w"], probabilities: Probabilities, disparities: Sequence[float]
) -> Float[Tensor, "b 3 h w"]:
    """Return sum over k of probabilities[:, k + 1] * left(x + disparities[k]), edges repeated; channel 0 is black."""
    grid = pixel_grid(size_of(left), left)

    def layer(k: int) -> Tensor:
        if k == 0:
            return torch.zeros_like(left)
        return pull(left, (grid + left.new_tensor([disparities[k - 1], 0.0])).expand(len(left), -1, -1, -1), "edge")

    return select(layer, probabilities)


def expected_smoothness(probabilities: Probabilities, weight: Map) -> Scalar:
    """Return Eq. 3 as read by "expected": |d (sum of cs_i)| = |d sum of (n - k) w_k|, k from 0, along x and y."""
    n = probabilities.shape[1]
    counts = torch.arange(n, 0, -1, dtype=probabilities.dtype, device=probabilities.device)
    return gradients(torch.einsum("bnhw,n->bhw", probabilities, counts)[:, None], weight, 1)


SMOOTHNESS = {"none": None, "each": cumulative_smoothness, "expected": expected_smoothness}


def left_disparity(right: Map) -> Map:
    """Convert the right view's disparity to the left view's: d(x) = right(x - d(x)), by fixed-point iteration."""
    grid, left = pixel_grid(size_of(right), right), right
    for _ in range(STEPS):
        uv = grid - F.pad(left[:, 0, :, :, None], (0, 1))
        left = pull(right, uv, "edge")
    return left
