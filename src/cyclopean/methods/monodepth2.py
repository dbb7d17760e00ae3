"""Monodepth2 on views whose poses are known, stereo pairs above all (Godard, Mac Aodha, Firman, Brostow, ICCV 2019)."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from cyclopean.errors import InputError
from cyclopean.methods.base import Prediction, full_precision, known_pose
from cyclopean.methods.photometric import Losses, PhotometricMethod, SourceView
from cyclopean.sample import Sample, View
from cyclopean.training.options import MONODEPTH2, LossConfig


class Monodepth2(PhotometricMethod):
    """Depth of the target only, warped from any number of sources with known poses, through any camera.

    Each pixel is taken from its best source (Eq. 4) unless it looks static (Eq. 5); all scales are upsampled to full
    size before they are compared (sec. 3.2); smoothness is of inverse depth divided by its mean (Eq. 3). With other
    `rules` it is another method that predicts one view: No-LR, explainability masks, occlusion masks, features.

    The unit of depth is ten times the baseline of the first source: for KITTI, depth in metres is 5.4 times as large. A
    model for one `rig` (focal length in image widths, baseline in metres) is metric. The release samples with the
    align_corners default of old torch, and breaks ties by noise; here pixel centres are at half integers, and a tie
    counts as static.
    """

    name: ClassVar[str] = "monodepth2"

    def __init__(
        self,
        network: str = "resnet18",
        width: float = 1.0,
        *,
        rig: Sequence[float] | None = None,
        rules: LossConfig | Mapping[str, Any] = MONODEPTH2,
    ) -> None:
        super().__init__(network, width, rules, rig=rig)

    def predict(self, target: View, sources: tuple[View, ...] = ()) -> Prediction:  # noqa: ARG002
        (predicted,) = self.decode(self.network(target.seen))
        extras = {"belief": predicted.explainability[0]} if predicted.explainability else {}
        return Prediction(self.inverse_depth(predicted.disparities[0], target), extras=extras)

    def losses(self, sample: Sample) -> Losses:
        if not sample.sources:
            raise InputError(
                "monodepth2 reconstructs a view from other views, and the sample has none; use pairs or clips."
            )
        (predicted,) = self.decode(self.network(sample.target.seen))
        with full_precision(sample.depth):
            sources = [SourceView(view, known_pose(self.name, view)) for view in sample.sources]
            return self.loss(sample.target, predicted, sources)
