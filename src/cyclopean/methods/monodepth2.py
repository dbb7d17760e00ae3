"""Monodepth2 on stereo pairs, other posed views, and video (Godard, Mac Aodha, Firman, Brostow, ICCV 2019)."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor

from cyclopean.errors import InputError
from cyclopean.geometry import size_of
from cyclopean.methods.base import Losses, Prediction, full_precision, known_pose
from cyclopean.methods.photometric import PhotometricMethod, SourceView
from cyclopean.methods.pose import FIRST, predicted_pose, translation_unit
from cyclopean.sample import Sample, View
from cyclopean.training.options import MONODEPTH2, Intrinsics, LossConfig


class Monodepth2(PhotometricMethod):
    """Depth of the target only, warped from any number of sources, through any camera.

    Each pixel is taken from its best source (Eq. 4) unless it looks static (Eq. 5); all scales are upsampled to full
    size before they are compared (sec. 3.2); smoothness is of inverse depth divided by its mean (Eq. 3). With other
    `rules` it is another method that predicts one view: No-LR, explainability masks, occlusion masks, features.

    `pose` predicts the motion between frames of a video, whose poses are None: "resnet" is Monodepth2's network, "cnn"
    that of Zhou et al. (CVPR 2017), whose method is `rules` with the mask "explained", "posenet" and "posenet-dr" are
    AQUANet's; "none" needs known poses. It is for training: `predict` needs no pose. With `intrinsics` "learned" it
    predicts their camera too (Gordon et al. 2019).

    Depth is in units in which the first source of known pose stands 0.1 away: a KITTI pair's metres are 5.4 times as
    many. Of videos alone it is known up to a factor. A model for one `rig` (focal length in image widths, baseline in
    metres) is metric. The release samples with the align_corners default of old torch, and breaks ties by noise; here
    pixel centres are at half integers, and a tie counts as static.
    """

    name: ClassVar[str] = "monodepth2"

    def __init__(
        self,
        network: str = "resnet18",
        width: float = 1.0,
        *,
        rig: Sequence[float] | None = None,
        rules: LossConfig | Mapping[str, Any] = MONODEPTH2,
        pose: str = "none",
        intrinsics: Intrinsics = "known",
    ) -> None:
        predicted: dict[str, Any] = {} if pose == "none" else {"pose": pose}
        predicted |= {} if intrinsics == "known" else {"intrinsics": intrinsics}
        super().__init__(network, width, rules, rig=rig, **predicted)
        config = self.loss.config
        masks = 0 if "explained" not in config.masks else 1 if config.scales == "finest" else 4
        self.pose = None if pose == "none" else predicted_pose(pose, width, intrinsics=intrinsics, masks=masks)

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
        length = None
        masks: list[tuple[Tensor, ...]] = [()] * len(sample.sources)
        if self.pose is not None and any(source.from_target is None for source in sample.sources):
            if self.pose.explain is not None:
                masks = self.pose.explainability(sample, [size_of(map_) for map_ in predicted.disparities])
            length = FIRST * translation_unit(sample)
            sample = self.pose(sample)
        with full_precision(sample.depth):
            sources = [
                SourceView(view, known_pose(self.name, view), explainability=mask)
                for view, mask in zip(sample.sources, masks, strict=True)
            ]
            return self.loss(sample.target, predicted, sources, length)
