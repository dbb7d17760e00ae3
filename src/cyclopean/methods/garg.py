"""Geometry to the rescue: a linearised warp, trained from coarse to fine (Garg, Kumar, Carneiro, Reid, ECCV 2016)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from cyclopean.errors import InputError
from cyclopean.methods.base import Paired, Prediction, full_precision, known_pose, source_on_the_right
from cyclopean.methods.photometric import (
    GARG,
    Rules,
    Said,
    Source,
    channels,
    features_of,
    how,
    resized,
    rig_unit,
    rules_of,
    said,
    terms,
)
from cyclopean.networks import build
from cyclopean.sample import Sample, View

SCALES = 4
SILENT = 1e-6  # how loud a finer scale's correction is before it learned anything


class Garg(Paired):
    """The left image rebuilt from the right one; each scale corrects the coarser one's map, enlarged.

    The loss is the squared difference of colours and 0.01 times the squared gradient of disparity in pixels (Eq. 2 to
    5). The warp is expanded about the present estimate (Taylor), so that its derivative is the image gradient fetched
    there; `rules` may ask for the bilinear one instead.

    `stage` says how many scales are trained, coarsest first: 1, 2, 3 in turn, each starting with the weights of the
    one before (`fit` with `init`) and, as corrections start silent, with its map enlarged; 4 is the last, or, from the
    start, the end-to-end variant. What a stage does not use is frozen.

    Traps. Smoothness is in pixels of the scale trained, not in widths. What lands outside is compared with black.
    """

    name: ClassVar[str] = "garg"

    def __init__(
        self,
        network: str = "vgg",
        width: float = 1.0,
        rig: Sequence[float] | None = None,
        stage: int = SCALES,
        rules: Rules | Mapping[str, Any] = GARG,
    ) -> None:
        super().__init__()
        if not 1 <= stage <= SCALES:
            raise InputError(f"garg has stages 1 to {SCALES}, not {stage}.")
        self._rules, self._stage = rules_of(rules), stage
        self.network = build(network, width, channels(self._rules))
        self.loudness = nn.Parameter(torch.full((SCALES - 1,), SILENT))
        self.input_multiple: int = self.network.multiple  # type: ignore[assignment]
        self._arguments: dict[str, Any] = {
            "network": network,
            "width": width,
            "rig": None if rig is None else list(rig),
            "stage": stage,
            "rules": self._rules.config(),
        }
        self._features = features_of(self._rules.features, self.network)
        self.keep_rig(rig, partial(rig_unit, how(self._rules).head))
        if stage < SCALES:
            self._freeze_unused()

    def config(self) -> dict[str, Any]:
        return dict(self._arguments)

    def predict(self, target: View, sources: tuple[View, ...] = ()) -> Prediction:  # noqa: ARG002
        size = (target.seen.shape[-2], target.seen.shape[-1])
        return Prediction(self.inverse_depth(resized(self._said(target.seen).nearness[0], size), target))

    def losses(self, sample: Sample) -> dict[str, Float[Tensor, ""]]:
        right = source_on_the_right("garg", sample)
        found = self._said(sample.target.seen)
        with full_precision(sample.depth):
            left, source = (_shrunk(view, SCALES - self._stage) for view in (sample.target, right))
            towards = Source(source, known_pose("garg", right))
            return terms(left, found, [towards], self._rules, self._features)

    def _said(self, image: Float[Tensor, "b 3 h w"]) -> Said:
        """Of the scales that this stage trains, finest first: each adds its correction to the coarser one, enlarged."""
        *corrections, coarsest = (raw.float() for raw in self.network(image))
        totals = [coarsest]
        for s in reversed(range(SCALES - self._stage, SCALES - 1)):
            grown = F.interpolate(totals[0], scale_factor=2, mode="bilinear", align_corners=False)
            totals.insert(0, grown + self.loudness[s] * corrections[s])
        return said(totals, self._rules)

    def _freeze_unused(self) -> None:
        """Parameters that this stage's answer does not depend on get no gradient, and several processes need one."""
        side = self.input_multiple
        self.eval()  # one black picture is nothing to normalise over
        sum(x.sum() for x in self._said(torch.zeros(1, 3, side, side)).nearness).backward()  # type: ignore[union-attr]
        self.train()
        for parameter in self.parameters():
            parameter.requires_grad_(parameter.grad is not None)
            parameter.grad = None


def _shrunk(view: View, halvings: int) -> View:
    """Half as large so many times, by area."""
    if not halvings:
        return view
    image, seen, valid = (
        F.avg_pool2d(x, 2**halvings) for x in (view.image, view.seen, view.valid.to(view.image.dtype))
    )
    return replace(view, image=image, seen=seen, valid=valid > 0.5)
