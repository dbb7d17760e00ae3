"""Direct supervision of panoramas: how the papers of Depth Anywhere's students train them, each by its own loss."""

from collections.abc import Callable
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F

from cyclopean.errors import InputError, unknown_name
from cyclopean.geometry import Equirectangular
from cyclopean.losses import affine_residual, berhu, berhu_of_batch, gradients, item_mean, weighted_mean
from cyclopean.methods.base import Losses, Method, Prediction, full_precision
from cyclopean.networks import build_student
from cyclopean.sample import Map, Sample, View

NEAREST = 0.1  # metres: smaller predictions are clamped
STEPS = 4  # dyadic steps at which gradients are matched


class SupervisedSphere(Method):
    """Depth of panoramas from their true depth, by a network of `networks.STUDENTS`.

    `loss`: three are of depth in metres: "berhu", whose threshold is a fifth of the batch's largest error (UniFuse);
    "reverse-huber", of each panorama's (BiFuse++); "l1" (HoHoNet). "ssi" is of inverse depth up to scale and shift:
    squares after the best of both, and matched gradients (EGformer, by Ranftl et al. 2020). Pixels beyond `far` metres
    do not count, as in the papers.
    """

    name: ClassVar[str] = "supervised_sphere"
    projection: ClassVar[Literal["pinhole", "equirectangular"]] = "equirectangular"
    ambiguity = "affine"

    def __init__(self, network: str = "unifuse", width: float = 1.0, *, loss: str = "berhu", far: float = 10.0) -> None:
        super().__init__(network=network, width=width, loss=loss, far=far)
        if loss not in LOSSES:
            raise unknown_name("loss", loss, LOSSES)
        if not far > NEAREST:
            raise InputError(f"far is {far} m; depth up to it is learned, so it needs more than {NEAREST:g} m.")
        self.network = build_student(network, width)
        self.input_multiple: int = self.network.multiple  # type: ignore[assignment]
        self.loss_name, self.far = loss, far

    def predict(self, target: View, sources: tuple[View, ...] = ()) -> Prediction:  # noqa: ARG002
        output = self.network(target.seen).float()
        return Prediction(F.softplus(output) if self.ambiguity == "affine" else 1 / output.clamp_min(NEAREST))

    def losses(self, sample: Sample) -> Losses:
        if not isinstance(sample.target.camera, Equirectangular):
            raise InputError("supervised_sphere learns from panoramas; render with --rig sphere, or use supervised.")
        output = self.network(sample.target.seen).float()
        with full_precision(output):
            known = sample.target.valid & (sample.depth > 0) & (sample.depth <= self.far)
            depth = torch.where(known, sample.depth, torch.ones_like(output))
            return LOSSES[self.loss_name](output, depth, known.to(output.dtype))


def of_depth(penalty: Callable[[Map, Map], Map]) -> Callable[[Map, Map, Map], Losses]:
    """Return the loss whose mean `penalty` of errors in metres, given what counts, is over all pixels that count."""

    def loss(output: Map, depth: Map, weight: Map) -> Losses:
        error = torch.where(weight > 0, output - depth, torch.zeros_like(depth))
        return {"depth": weighted_mean(penalty(error, weight), weight)}

    return loss


def scale_shift_invariant(output: Map, depth: Map, weight: Map) -> Losses:
    """Return the loss of inverse depth, in units of its mean, after the best scale and shift of each panorama."""
    rho = 1 / depth
    mean = item_mean(rho, weight)
    truth = rho / torch.where(mean > 0, mean, torch.ones_like(mean))
    residual = affine_residual(F.softplus(output), truth, weight)
    return {
        "squares": 0.5 * weighted_mean(residual.square(), weight),
        "gradient": 0.5 * gradients(residual, weight, STEPS),
    }


LOSSES: dict[str, Callable[[Map, Map, Map], Losses]] = {
    "berhu": of_depth(lambda error, _: berhu_of_batch(error)),
    "reverse-huber": of_depth(berhu),
    "l1": of_depth(lambda error, _: error.abs()),
    "ssi": scale_shift_invariant,
}
