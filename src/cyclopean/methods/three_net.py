"""3Net: virtual trinocular stereo, each image is the centre of three (Poggi, Tosi, Mattoccia, 3DV 2018)."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch

from cyclopean.geometry import invert
from cyclopean.methods.base import Losses, Prediction, full_precision, known_pose, source_on_the_right
from cyclopean.methods.photometric import PhotometricMethod, SourceView, add
from cyclopean.methods.post_processing import fuse_flipped
from cyclopean.sample import Sample, View
from cyclopean.training.options import MONODEPTH, LossConfig


class ThreeNet(PhotometricMethod):
    """Disparities of a centre view over two baselines: a point occluded on one side is visible on the other.

    A pair has no centre view, so each image is the centre in turn (sec. 3.3): the left one with the view to its right,
    the right one with the view to its left, each with Monodepth's loss for a pair. `predict` joins both maps of the
    centre view as Monodepth's post-processing does, without a second pass over a mirror image; only the better map is
    used at each border. One decoder serves both baselines; the paper has two. Its maps in order: centre over the right
    baseline, right view; centre over the left baseline, left view.
    """

    name: ClassVar[str] = "trinocular"

    def __init__(
        self,
        network: str = "vgg",
        width: float = 1.0,
        *,
        rig: Sequence[float] | None = None,
        rules: LossConfig | Mapping[str, Any] = MONODEPTH,
    ) -> None:
        super().__init__(network, width, rules, maps=4, rig=rig)

    def predict(self, target: View, sources: tuple[View, ...] = ()) -> Prediction:  # noqa: ARG002
        rightwards, _, leftwards, _ = (one.disparities[0] for one in self.decode(self.network(target.seen)))
        extras = {"towards_right": rightwards, "towards_left": leftwards}
        return Prediction(self.inverse_depth(fuse_flipped(rightwards, leftwards), target), extras=extras)

    def losses(self, sample: Sample) -> Losses:
        left, right = sample.target, source_on_the_right(self.name, sample)
        predicted = self.decode(self.network(torch.cat([left.seen, right.seen])))
        with full_precision(left.image):
            to_right = known_pose(self.name, right)
            to_left = invert(to_right)
            n = len(sample)
            # The left image as the centre, with the right one; the right image as the centre, with the left one.
            middle, beyond = (one[:n] for one in predicted[:2])
            rightwards = add(
                self.loss(left, middle, [SourceView(right, to_right, beyond)]),
                self.loss(right, beyond, [SourceView(left, to_left, middle)]),
            )
            middle, beyond = (one[n:] for one in predicted[2:])
            leftwards = add(
                self.loss(right, middle, [SourceView(left, to_left, beyond)]),
                self.loss(left, beyond, [SourceView(right, to_right, middle)]),
            )
            return add(rightwards, leftwards)
