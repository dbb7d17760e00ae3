"""What is compared: the rows of Monodepth's table 1 that have a meaning on worlds, and what came after."""

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from cyclopean import augmentation, predictor
from cyclopean.methods.base import Method
from cyclopean.methods.deep3d import Deep3d
from cyclopean.methods.monodepth import Monodepth
from cyclopean.methods.supervised import Supervised
from cyclopean.sample import Sample

Rig = tuple[float, float]  # focal_u in image widths, baseline in metres
Make = Callable[[str, float, Rig], Method]  # (network, width, rig)
Predict = Callable[[Method, Sample], Float[Tensor, "1 1 h w"]]


def alone(method: Method, sample: Sample) -> Float[Tensor, "1 1 h w"]:
    """From the target only."""
    return predictor.plain(method, sample.target)


def post_processed(method: Method, sample: Sample) -> Float[Tensor, "1 1 h w"]:
    """From the target and its mirror image (Monodepth's "pp")."""
    return predictor.flip_averaged(method, sample.target)


def together(method: Method, sample: Sample) -> Float[Tensor, "1 1 h w"]:
    """From the target and its sources."""
    return method.predict(sample.target, sample.sources).inverse_depth


@dataclass(frozen=True)
class Row:
    """One line of the table: what is trained, how it predicts, how its pairs are mirrored.

    `trained_as` names the row whose training this one shares, and differs from in `predict` only. `each_epoch` makes
    what the loop calls when the training set has been seen once more.
    """

    title: str
    make: Make
    predict: Predict = alone
    mirror: augmentation.Augmentation = augmentation.flipped
    trained_as: str | None = None
    each_epoch: Callable[[Method], tuple[Callable[[Method], None], ...]] = lambda method: ()  # noqa: ARG005


ROWS = {
    "deep3d": Row("Deep3D", lambda network, width, rig: Deep3d(network, width, rig=rig)),
    "deep3ds": Row("Deep3Ds", lambda network, width, rig: Deep3d(network, width, smoothness="each", rig=rig)),
    "lr": Row("Monodepth (LR)", lambda network, width, rig: Monodepth(network, width, rig=rig)),
    "lr-pp": Row(
        "Monodepth (LR) + pp",
        lambda network, width, rig: Monodepth(network, width, rig=rig),
        post_processed,
        trained_as="lr",
    ),
    "supervised": Row(
        "directly supervised, up to scale",
        lambda network, width, rig: Supervised(network, width),  # noqa: ARG005
        mirror=augmentation.mirrored,
    ),
}
