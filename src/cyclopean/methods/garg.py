"""Geometry to the rescue: a linearised warp, trained from coarse to fine (Garg, Kumar, Carneiro, Reid, ECCV 2016)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from cyclopean.errors import InputError
from cyclopean.geometry import size_of
from cyclopean.methods.base import Losses, Prediction, full_precision, known_pose, source_on_the_right
from cyclopean.methods.photometric import DisparityPyramid, PhotometricMethod, SourceView, resized
from cyclopean.sample import Sample, View
from cyclopean.training.options import GARG, LossConfig

SCALES = 4
SILENT = 1e-6  # factor of a finer scale's correction before training


class Garg(PhotometricMethod):
    """The left image warped from the right one; each scale adds a correction to the upsampled map of the coarser one.

    The loss is the squared difference of colours and 0.01 times the squared gradient of disparity in pixels (Eq. 2 to
    5). The warp is linearised about the current estimate (first-order Taylor expansion), so that its derivative is the
    image gradient sampled there; `rules` may name the bilinear warp instead.

    `stage` is the number of scales that are trained, coarsest first. Stages 1 to 4 follow each other, each from the
    weights of the one before (`fit` with `init`) and, since corrections start near 0, from its upsampled map. Stage 4
    from random weights is the end-to-end variant. Parameters that a stage does not use are frozen.

    Pitfalls. Smoothness is in pixels of the trained scale, not in image widths. Pixels that project outside the source
    are compared with black.
    """

    name: ClassVar[str] = "garg"

    def __init__(
        self,
        network: str = "vgg",
        width: float = 1.0,
        *,
        rig: Sequence[float] | None = None,
        stage: int = SCALES,
        rules: LossConfig | Mapping[str, Any] = GARG,
    ) -> None:
        if not 1 <= stage <= SCALES:
            raise InputError(f"garg has stages 1 to {SCALES}, not {stage}.")
        super().__init__(network, width, rules, rig=rig, stage=stage)
        self.loudness = nn.Parameter(torch.full((SCALES - 1,), SILENT))
        self.stage = stage
        if stage < SCALES:  # unused parameters get no gradient, which data-parallel training does not allow
            side = self.input_multiple
            self.eval()  # one black picture has no statistics for batch normalisation
            answer = self.disparities(torch.zeros(1, 3, side, side)).disparities
            sum(x.sum() for x in answer).backward()  # type: ignore[union-attr]
            self.train()
            for parameter in self.parameters():
                parameter.requires_grad_(parameter.grad is not None)
                parameter.grad = None

    def predict(self, target: View, sources: tuple[View, ...] = ()) -> Prediction:  # noqa: ARG002
        size = size_of(target.seen)
        disparity = resized(self.disparities(target.seen).disparities[0], size)
        return Prediction(self.inverse_depth(disparity, target))

    def losses(self, sample: Sample) -> Losses:
        right = source_on_the_right(self.name, sample)
        predicted = self.disparities(sample.target.seen)
        with full_precision(sample.depth):
            left, source = (halved(view, SCALES - self.stage) for view in (sample.target, right))
            return self.loss(left, predicted, [SourceView(source, known_pose(self.name, right))])

    def disparities(self, image: Float[Tensor, "b 3 h w"]) -> DisparityPyramid:
        """Return disparities of the scales that this stage trains; each adds a correction to the upsampled coarser
        one."""
        *corrections, coarsest = (raw.float() for raw in self.network(image))
        totals = [coarsest]
        for s in reversed(range(SCALES - self.stage, SCALES - 1)):
            grown = F.interpolate(totals[0], scale_factor=2, mode="bilinear", align_corners=False)
            totals.insert(0, grown + self.loudness[s] * corrections[s])
        return self.loss.decode(totals)


def halved(view: View, times: int) -> View:
    """Halve the size of a view `times` times, by area averaging."""
    if not times:
        return view
    image, seen, valid = (F.avg_pool2d(x, 2**times) for x in (view.image, view.seen, view.valid.to(view.image.dtype)))
    return replace(view, image=image, seen=seen, valid=valid > 0.5)
