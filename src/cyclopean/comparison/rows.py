"""What is compared: the rows of Monodepth's table 1 that have a meaning on worlds, and what came after."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from cyclopean import augmentation, predictor
from cyclopean.methods.base import Method
from cyclopean.methods.deep3d import Deep3d
from cyclopean.methods.garg import Garg
from cyclopean.methods.monodepth import Monodepth
from cyclopean.methods.monodepth2 import Monodepth2
from cyclopean.methods.naive import Naive
from cyclopean.methods.supervised import Supervised
from cyclopean.methods.trinocular import Trinocular
from cyclopean.rebuilding.rules import MONODEPTH2, Rules
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


def far(method: Method) -> None:
    """Every map starts at a tenth of its range, 3 % of the width as disparity. Ours: from the middle, where a sigmoid
    starts, the true disparities of small pictures are out of reach of image gradients, and nothing is learned."""
    for name, layer in method.named_modules():
        if isinstance(layer, nn.Conv2d) and ("heads" in name.split(".") or name.endswith(".head")):
            nn.init.constant_(layer.bias, math.log(1 / 9))  # type: ignore[arg-type]


def as_made(method: Method) -> None:
    """Nothing changes: the heads are no maps of disparity."""


@dataclass(frozen=True)
class Row:
    """One line of the table: what is trained, how it predicts, how its pairs are mirrored.

    `start` changes a new method before its first step. `trained_as` names the row whose training this one shares, and
    differs from in `predict` only.
    """

    title: str
    make: Make
    predict: Predict = alone
    mirror: augmentation.Augmentation = augmentation.flipped
    start: Callable[[Method], None] = far
    trained_as: str | None = None


def _lr(network: str, width: float, rig: Rig) -> Method:
    return Monodepth(network, width, rig=rig)


def _naive(network: str, width: float, rig: Rig) -> Method:
    return Naive(network, width, rig=rig)


def _deep3d(smoothness: Literal["none", "each"]) -> Make:
    return lambda network, width, rig: Deep3d(network, width, smoothness=smoothness, rig=rig)


def _resnet50(network: str, width: float, rig: Rig) -> Method:  # noqa: ARG001
    return Monodepth("resnet50-elu", width, rig=rig)


def _monodepth(variant: str = "lr", rules: Rules = Rules()) -> Make:  # noqa: B008
    return lambda network, width, rig: Monodepth(network, width, rig=rig, variant=variant, rules=rules)


def _monodepth2(rules: Rules) -> Make:
    return lambda network, width, rig: Monodepth2(network, width, rig=rig, rules=rules)


ROWS = {
    "naive": Row(
        "naive (no disparity inside)", lambda network, width, rig: Naive(network, width, rig=rig), start=as_made
    ),
    "deep3d": Row("Deep3D", _deep3d("none"), start=as_made),
    "deep3ds": Row(
        "Deep3Ds", lambda network, width, rig: Deep3d(network, width, smoothness="each", rig=rig), start=as_made
    ),
    "garg": Row("Garg, end to end", lambda network, width, rig: Garg(network, width, rig=rig)),
    "no-lr": Row("Monodepth, No LR", _monodepth("no-lr")),
    "lr": Row("Monodepth (LR)", _lr),
    "lr-pp": Row("Monodepth (LR) + pp", _lr, post_processed, trained_as="lr"),
    "resnet50": Row("Monodepth (LR), ResNet50", _resnet50),
    "resnet50-pp": Row("Monodepth (LR), ResNet50 + pp", _resnet50, post_processed, trained_as="resnet50"),
    "stereo": Row("Monodepth (LR), shown both views", _monodepth("stereo"), together),
    "features": Row("LR + feature loss (its own encoder)", _monodepth(rules=Rules(features="own"))),
    "full-scales": Row("LR, all scales at full size", _monodepth(rules=Rules(scales="full"))),
    "unoccluded": Row("LR + occlusion mask from the warp", _monodepth(rules=Rules(mask="unoccluded"))),
    "learned-mask": Row("No LR + learned mask", _monodepth("no-lr", Rules(mask="learned"))),
    "trinocular": Row("virtual trinocular", lambda network, width, rig: Trinocular(network, width, rig=rig)),
    "monodepth2": Row("Monodepth2 on pairs", _monodepth2(MONODEPTH2)),
    "either-view": Row("Monodepth2, fed either view", _monodepth2(MONODEPTH2), mirror=augmentation.swapped),
    "supervised": Row(
        "directly supervised, up to scale",
        lambda network, width, rig: Supervised(network, width),  # noqa: ARG005
        mirror=augmentation.mirrored,
        start=as_made,
    ),
}
