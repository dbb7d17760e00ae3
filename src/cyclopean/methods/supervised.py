"""The directly supervised twin: the same network, taught inverse depth by the true depth of worlds."""

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from cyclopean.losses import berhu, gradients, item_mean, scale_invariant_log, weighted_mean
from cyclopean.methods.base import Ambiguity, Method, Prediction, full_precision
from cyclopean.networks import build
from cyclopean.sample import Sample, View

SCALES = 4
STEPS = 4  # dyadic steps at which gradients are matched
SKY = 0.02  # inverse depths well below 2 % of the image's median are told apart from the sky no longer
FLOOR = 0.15  # of the median: depths beyond some seven times the median's weigh less in the relative term
SHARE = 0.85  # of a common factor that the log term forgives; 1 would let the scale drift

Map = Float[Tensor, "b 1 h w"]
Scalar = Float[Tensor, ""]


class Supervised(Method):
    """Inverse depth up to scale, from a sample's `depth` (inf is sky, inverse depth 0; NaN is unknown).

    Truth is divided by its image's median over what is not sky, so that a table top and a valley weigh alike. Four
    terms at four scales: scale-invariant log error (Eigen et al. 2014); relative error of depth, and BerHu of inverse
    depth (Laina et al. 2016), both after the best common factor; matched gradients of the log error (Li and Snavely
    2018).
    The relative term tells apart what the log term does not: a near thing taken for the sky is a large error of depth,
    the sky taken for a near thing is not.
    """

    name: ClassVar[str] = "supervised"

    def __init__(self, network: str = "vgg", width: float = 1.0) -> None:
        super().__init__()
        self.network = build(network, width, 1)
        self.input_multiple: int = self.network.multiple  # type: ignore[assignment]
        self.ambiguity: Ambiguity = "scale"
        self._arguments = {"network": network, "width": width}

    def config(self) -> dict[str, Any]:
        return dict(self._arguments)

    def predict(self, target: View, sources: tuple[View, ...] = ()) -> Prediction:  # noqa: ARG002
        return Prediction(self._inverse_depths(target.seen)[0])

    def losses(self, sample: Sample) -> dict[str, Scalar]:
        predictions = self._inverse_depths(sample.target.seen)
        with full_precision(sample.depth):
            known = ~sample.depth.isnan() & sample.target.valid
            truth, weight, ground = _truth(sample.depth, known)
            total = {name: truth.new_zeros(()) for name in ("log", "relative", "berhu", "gradient")}
            for s, prediction in enumerate(predictions):
                terms = _terms(prediction, _coarser(truth, weight, s), _area(weight, s), _area(ground, s))
                total = {name: total[name] + terms[name] / 2**s for name in total}
        return total

    def _inverse_depths(self, image: Float[Tensor, "b 3 h w"]) -> list[Float[Tensor, "b 1 _ _"]]:
        return [F.softplus(raw.float()) for raw in self.network(image)]


def _terms(prediction: Map, truth: Map, weight: Map, ground: Map) -> dict[str, Scalar]:
    log_error = (prediction + SKY).log() - (truth + SKY).log()
    factor = (-item_mean(log_error, ground)).exp()
    error = prediction * factor - truth
    return {
        "log": 0.5 * scale_invariant_log(log_error, weight, ground, SHARE),
        # |1/p - 1/t| / (1/t) = |p - t| / p, with p kept away from 0
        "relative": weighted_mean(error.abs() / (prediction * factor + FLOOR), ground),
        "berhu": 0.5 * weighted_mean(berhu(error, weight), weight),
        "gradient": 0.5 * gradients(log_error, weight, STEPS),
    }


def _truth(depth: Map, known: Bool[Tensor, "b 1 h w"]) -> tuple[Map, Map, Map]:
    """True inverse depth in units of its image's median, where it is known, and where it is known and not sky.

    An image that is all sky or all unknown keeps its unit.
    """
    rho = torch.where(known, 1 / depth, torch.zeros_like(depth))
    ground = known & (rho > 0)
    medians = torch.where(ground, rho, torch.nan).flatten(1).nanmedian(1).values[:, None, None, None]
    unit = torch.where(medians.isnan(), torch.ones_like(medians), medians)
    return rho / unit, known.to(rho.dtype), ground.to(rho.dtype)


def _area(values: Map, scale: int) -> Float[Tensor, "b 1 _ _"]:
    return F.avg_pool2d(values, 2**scale)


def _coarser(truth: Map, weight: Map, scale: int) -> Float[Tensor, "b 1 _ _"]:
    """The mean of what is known under each coarse pixel, 0 where nothing is."""
    share = _area(weight, scale)
    return _area(truth * weight, scale) / torch.where(share > 0, share, torch.ones_like(share))
