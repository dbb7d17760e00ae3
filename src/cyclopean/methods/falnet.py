"""FAL-Net B: disparity from stereo pairs, by levels that stand still (Gonzalez Bello and Kim, NeurIPS 2020).

It predicts logits of N hypothesised disparities for every pixel of the left picture, and makes the right one by volume
rendering through them.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from cyclopean.errors import InputError
from cyclopean.geometry import Levels, Pencil, pixel_grid, size_of
from cyclopean.geometry.cameras import Uv
from cyclopean.losses import curvature_smoothness
from cyclopean.methods.base import Frozen, Losses, Paired, Prediction, full_precision, level_right
from cyclopean.methods.photometric import FeatureExtractor, reconstruction
from cyclopean.networks.falnet import FalnetUnet
from cyclopean.sample import Image, Map, Sample, View
from cyclopean.synthesis import expected_level, pull, sweep, swept_coverage
from cyclopean.training.options import FalnetConfig

BORDER = 0.2  # of the columns: they are left out on the side that the other camera does not see


class Falnet(Paired):
    """Disparity from pairs, in two stages.

    The second (`stage` 2) continues from the first with masks of what both cameras see, and learns what only the left
    one sees from `first`, the model of the first stage, which is shown the picture mirrored. Disparities are in image
    widths (the release: pixels), and the release's shift of d (W - 1) / W pixels is d here. `features` as in `Aquanet`.
    """

    name: ClassVar[str] = "falnet"
    input_multiple = 1

    def __init__(
        self,
        width: float = 1.0,
        *,
        rig: Sequence[float] | None = None,
        stage: int = 1,
        rules: FalnetConfig | Mapping[str, Any] = FalnetConfig(),  # noqa: B008
    ) -> None:
        super().__init__(
            rig=rig, width=width, stage=stage, rules=rules if isinstance(rules, Mapping) else asdict(rules)
        )
        self.rules = FalnetConfig(**rules) if isinstance(rules, Mapping) else rules
        self.stage = stage
        self.network = FalnetUnet(self.rules.levels, width)
        self.first: Frozen | None = None
        self.features: FeatureExtractor | None = None

    def predict(self, target: View, sources: tuple[View, ...] = ()) -> Prediction:  # noqa: ARG002
        disparity = self.disparity(self.network(target.seen, self.side(target.seen)).float())
        return Prediction(self.inverse_depth(disparity, target))

    def losses(self, sample: Sample) -> Losses:
        target, right, rules = sample.target, level_right(self.name, sample), self.rules
        w = target.image.shape[-1]
        logits = self.network(target.seen, self.side(target.seen)).float()
        with full_precision(sample.depth):
            disparity, there, back = self.disparity(logits), self.pencil(logits, 1), self.pencil(logits, -1)
            weight, losses = right.valid.to(logits.dtype), Losses()

            if self.stage == 2:
                if self.first is None:
                    raise InputError("the second stage of falnet needs a model of the first one, and none was given.")
                mirrored, of_right = (
                    self.first(image.flip(-1), self.side(image)).float().flip(-1)
                    for image in (target.image, right.image)
                )
                # What each view shows that the other one sees too, as either view's volume has it.
                with torch.no_grad():
                    warped = (
                        torch.cat([pull(x[:, k : k + 1], uv(k), "zeros") for k in range(rules.levels)], 1)
                        for x, uv in ((logits, there), (of_right, back))
                    )
                    of_left, of_right_there = warped
                    left_seen = swept_coverage(of_left, back) * swept_coverage(of_right, back)
                    right_seen = swept_coverage(logits, there) * swept_coverage(of_right_there, there)
                    left_seen[..., : int(BORDER * w)] = 1
                    right_seen[..., w - int(BORDER * w) :] = 1
                weight = weight * right_seen
                taught = self.disparity(mirrored)
                losses["mirror"] = ((1 - left_seen) * (disparity - taught).abs()).mean() / taught.max()

            made = sweep(target.image, logits, there)
            losses |= reconstruction(made, right.image, weight, self.features)
            inner = slice(int(BORDER * w), None)
            bends = curvature_smoothness(disparity[..., inner] * w, target.image[..., inner])
            losses["smoothness"] = self.stage * rules.smoothness * bends
            return losses

    def side(self, image: Image) -> Float[Tensor, "b 1"]:
        """Return the constant that the network reads: the largest disparity in hundreds of pixels."""
        return image.new_full((image.shape[0], 1), self.rules.most * image.shape[-1] / 100)

    def disparity(self, logits: Float[Tensor, "b n h w"]) -> Map:
        """Return the mean disparity in image widths (Eq. 3 of AQUANet)."""
        return expected_level(logits, self.levels())

    def pencil(self, like: Tensor, sign: int) -> Callable[[int], Uv]:
        """Return where the pixels of the other view lie if disparity k is true: right (`sign` 1) or left one."""
        u, v = pixel_grid(size_of(like), like).expand(len(like), -1, -1, -1).unbind(-1)
        one, none = torch.ones_like(u), torch.zeros_like(u)
        start, slope = torch.stack([u, v, one, one], 1), torch.stack([sign * one, none, none, none], 1)
        return Pencil(self.levels(), start, slope, margin=math.inf)

    def levels(self) -> Levels:
        return Levels.proportional(self.rules.levels, self.rules.least, self.rules.most)
