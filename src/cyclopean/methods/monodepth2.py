"""Monodepth2 on views whose poses are known, stereo pairs above all (Godard, Mac Aodha, Firman, Brostow, ICCV 2019)."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from jaxtyping import Float
from torch import Tensor

from cyclopean.errors import InputError
from cyclopean.methods.base import Paired, Prediction, full_precision, known_pose
from cyclopean.methods.photometric import (
    MONODEPTH2,
    Rules,
    Source,
    channels,
    features_of,
    how,
    rig_unit,
    rules_of,
    said,
    terms,
)
from cyclopean.networks import build
from cyclopean.sample import Sample, View


class Monodepth2(Paired):
    """Depth of the target only, rebuilt from any number of sources with known poses, through any camera.

    Each pixel is rebuilt by its best source (Eq. 4) unless it looks static (Eq. 5); all scales are enlarged to full
    size before they are compared (sec. 3.2); smoothness is of inverse depth divided by its mean (Eq. 3). With other
    `rules` it is any other method that predicts one view: No-LR, explainability masks, occlusion masks, features.

    Depth is in units in which the first source stands 0.1 away: a KITTI pair's metres are 5.4 times as many. A model
    for one `rig` (focal length in image widths, baseline in metres) is metric. The release samples with align_corners
    of old torch, and masks ties by noise; here pixel centres are at half integers, and a tie counts as static.
    """

    name: ClassVar[str] = "monodepth2"

    def __init__(
        self,
        network: str = "resnet18",
        width: float = 1.0,
        rig: Sequence[float] | None = None,
        rules: Rules | Mapping[str, Any] = MONODEPTH2,
    ) -> None:
        super().__init__()
        self._rules = rules_of(rules)
        self.network = build(network, width, channels(self._rules))
        self.input_multiple: int = self.network.multiple  # type: ignore[assignment]
        self._arguments: dict[str, Any] = {
            "network": network,
            "width": width,
            "rig": None if rig is None else list(rig),
            "rules": self._rules.config(),
        }
        self._features = features_of(self._rules.features, self.network)
        self.keep_rig(rig, partial(rig_unit, how(self._rules).head))

    def config(self) -> dict[str, Any]:
        return dict(self._arguments)

    def predict(self, target: View, sources: tuple[View, ...] = ()) -> Prediction:  # noqa: ARG002
        found = said(self.network(target.seen), self._rules)
        extras = {"belief": found.beliefs[0]} if found.beliefs else {}
        return Prediction(self.inverse_depth(found.nearness[0], target), extras=extras)

    def losses(self, sample: Sample) -> dict[str, Float[Tensor, ""]]:
        if not sample.sources:
            raise InputError("monodepth2 rebuilds a view from others and was given none; use pairs or clips.")
        found = said(self.network(sample.target.seen), self._rules)
        with full_precision(sample.depth):
            sources = [Source(view, known_pose("monodepth2", view)) for view in sample.sources]
            return terms(sample.target, found, sources, self._rules, self._features)
