"""Direct supervision of pairs, in metres, for comparison: network and head of the stereo family, true disparity."""

from collections.abc import Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from cyclopean.errors import InputError
from cyclopean.losses import weighted_mean
from cyclopean.methods.base import Paired, Prediction, full_precision, known_pose
from cyclopean.methods.heads import DisparityHead
from cyclopean.methods.photometric import baseline
from cyclopean.networks import build
from cyclopean.sample import Sample, View

LEAST = 0.002  # of the width: smaller disparities, a quarter of a pixel of 128, are not distinguished from sky
FLOOR = 0.15  # of the picture's mean disparity: what is farther weighs less in the relative term

Scalar = Float[Tensor, ""]


class SupervisedDisparity(Paired):
    """Disparity of a pair, as a fraction of the picture's width, from a sample's `depth` (inf: 0; NaN: unknown).

    The twin of the methods that learn from pairs without labels: unlike that of `Supervised`, its scale counts. The
    other picture is not looked at, only where it was taken. Two terms at four scales: absolute log error, and
    |d - d*| / d, which is the relative error of depth. Ours. A model for one rig stores `rig` = (focal_u in image
    widths, baseline in metres) and is metric.
    """

    name: ClassVar[str] = "supervised_disparity"

    def __init__(self, network: str = "vgg", width: float = 1.0, *, rig: Sequence[float] | None = None) -> None:
        super().__init__(network=network, width=width, rig=rig)
        self.head = DisparityHead()
        self.network = build(network, width, self.head.outputs)
        self.input_multiple: int = self.network.multiple  # type: ignore[assignment]

    def predict(self, target: View, sources: tuple[View, ...] = ()) -> Prediction:  # noqa: ARG002
        return Prediction(self.inverse_depth(self.head(self.network(target.seen)[0].float()), target))

    def losses(self, sample: Sample) -> dict[str, Scalar]:
        if not sample.sources:
            raise InputError(f"{self.name} learns the disparity of pairs, and the sample has no other view; use pairs.")
        raws = self.network(sample.target.seen)
        with full_precision(sample.depth):
            known = (~sample.depth.isnan() & sample.target.valid).to(sample.depth.dtype)
            length = baseline(known_pose(self.name, sample.sources[0]))
            unit = self.head.unit(sample.target.camera, length)[:, None, None, None]
            truth = torch.where(known > 0, unit / sample.depth, torch.zeros_like(sample.depth))
            losses: dict[str, Scalar] = {}
            for s, raw in enumerate(raws):
                disparity, weight = self.head(raw.float()), F.avg_pool2d(known, 2**s)
                share = torch.where(weight > 0, weight, torch.ones_like(weight))
                truth_s = F.avg_pool2d(truth, 2**s) / share  # the mean of what is known under each coarse pixel
                log_error = ((disparity + LEAST).log() - (truth_s + LEAST).log()).abs()
                floor = LEAST + FLOOR * truth_s.mean((1, 2, 3), keepdim=True)
                terms = {
                    "log": weighted_mean(log_error, weight),
                    "relative": weighted_mean((disparity - truth_s).abs() / (disparity + floor), weight),
                }
                losses = {name: losses.get(name, 0.0) + term / 2**s for name, term in terms.items()}
        return losses
