"""Direct supervision, for comparison: the same network, trained on the true depth of rendered worlds."""

from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from cyclopean.losses import berhu, gradients, item_mean, scale_invariant_log, weighted_mean
from cyclopean.methods.base import Ambiguity, Losses, Method, Prediction, full_precision
from cyclopean.networks import build
from cyclopean.sample import Map, Sample, View

STEPS = 4  # dyadic steps at which gradients are matched
SKY = 0.02  # inverse depths well below 2 % of the image's median are not distinguished from sky
FLOOR = 0.15  # of the median: depths beyond some seven times the median's weigh less in the relative term
SHARE = 0.85  # of a common factor that the log term ignores; 1 would let the scale drift


class Supervised(Method):
    """Inverse depth up to scale, from a sample's `depth` (inf is sky, inverse depth 0; NaN is unknown).

    Truth is divided by its image's median over what is not sky, so that a table top and a valley weigh alike. Four
    terms at four scales: scale-invariant log error (Eigen et al. 2014); relative error of depth, and BerHu of inverse
    depth (Laina et al. 2016), both after the best common factor; matched gradients of the log error (Li and Snavely
    2018). The relative term distinguishes what the log term does not: a near object predicted as sky is a large error
    of depth, sky predicted as near is not.
    """

    name: ClassVar[str] = "supervised"

    def __init__(self, network: str = "vgg", width: float = 1.0) -> None:
        super().__init__(network=network, width=width)
        self.network = build(network, width, 1)
        self.input_multiple: int = self.network.multiple  # type: ignore[assignment]
        self.ambiguity: Ambiguity = "scale"

    def predict(self, target: View, sources: tuple[View, ...] = ()) -> Prediction:  # noqa: ARG002
        return Prediction(self.inverse_depths(target.seen)[0])

    def losses(self, sample: Sample) -> Losses:
        predictions = self.inverse_depths(sample.target.seen)
        with full_precision(sample.depth):
            truth, known, ground = normalized_truth(sample.depth, sample.target.valid)
            losses: Losses = {}
            for s, prediction in enumerate(predictions):
                weight, ground_s = F.avg_pool2d(known, 2**s), F.avg_pool2d(ground, 2**s)
                # The mean of the known values under each coarse pixel, 0 where none is known.
                share = torch.where(weight > 0, weight, torch.ones_like(weight))
                truth_s = F.avg_pool2d(truth * known, 2**s) / share

                log_error = (prediction + SKY).log() - (truth_s + SKY).log()
                factor = (-item_mean(log_error, ground_s)).exp()
                error = prediction * factor - truth_s
                terms = {
                    "log": 0.5 * scale_invariant_log(log_error, weight, ground_s, SHARE),
                    # |1/p - 1/t| / (1/t) = |p - t| / p, with p kept away from 0
                    "relative": weighted_mean(error.abs() / (prediction * factor + FLOOR), ground_s),
                    "berhu": 0.5 * weighted_mean(berhu(error, weight), weight),
                    "gradient": 0.5 * gradients(log_error, weight, STEPS),
                }
                losses = {name: losses.get(name, 0.0) + term / 2**s for name, term in terms.items()}
        return losses

    def inverse_depths(self, image: Float[Tensor, "b 3 h w"]) -> list[Float[Tensor, "b 1 _ _"]]:
        """Return the prediction at each scale, finest first."""
        return [F.softplus(raw.float()) for raw in self.network(image)]


def normalized_truth(depth: Map, valid: Bool[Tensor, "b 1 h w"]) -> tuple[Map, Map, Map]:
    """Return true inverse depth in units of its image's median, the mask of known pixels, and that without sky.

    An image that is all sky or all unknown keeps its unit.
    """
    known = ~depth.isnan() & valid
    rho = torch.where(known, 1 / depth, torch.zeros_like(depth))
    ground = known & (rho > 0)
    medians = torch.where(ground, rho, torch.nan).flatten(1).nanmedian(1).values[:, None, None, None]
    unit = torch.where(medians.isnan(), torch.ones_like(medians), medians)
    return rho / unit, known.to(rho.dtype), ground.to(rho.dtype)
