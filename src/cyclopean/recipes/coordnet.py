"""CoordNet, trained as published (Zioulis et al. 2019, sec. 4)."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

from cyclopean.recipes.settings import Augment, Source
from cyclopean.run import Run

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

AUGMENT = Augment(flip=0.0)
FINAL, SPEED = 1e-3, 2e-3  # AdaBound's rate in the end, and how fast it gets there


def adabound(parameters: "Iterable[nn.Parameter]", learning_rate: float) -> "Optimizer":
    """Adam whose steps are bounded more and more closely by those of SGD at 1e-3 (Luo et al. 2019)."""
    from pytorch_optimizer import AdaBound

    return AdaBound(parameters, learning_rate, final_lr=FINAL, gamma=SPEED)


def constant(step: int, steps: int) -> float:  # noqa: ARG001
    """The same learning rate from the first to the last step."""
    return 1.0


def coordnet(  # noqa: PLR0917
    run: Run,
    source: Source,
    augment: Augment = AUGMENT,
    rig: Literal["UD", "LR", "TC", "SV"] = "TC",
    ratio: float = 0.6,
    coordinates: bool = True,
    circular: bool = False,
    attention: bool = True,
    warp: Literal["splat", "pull"] = "splat",
    landing: Literal["exact", "first-order"] = "exact",
) -> None:
    """Learns metric depth of panoramas from 360° rigs, without labels. The paper: --batch-size 16 --size 256x512.

    Args:
        rig: UD learns from the view above, LR from the one beside, TC from both; SV from true depth, to compare with.
        ratio: of TC, how much of it comes from the view above; the paper's TC2 to TC8 are 0.2 to 0.8.
        coordinates: convolutions read where a pixel stands.
        circular: convolutions go on across the seam (not in the paper).
        attention: what is near epipoles and poles weighs less.
        warp: the paper's splat, or inverse warping.
        landing: exact, or the paper's first order, which is wrong for near things.
    """
    import torch

    from cyclopean import augmentation, training
    from cyclopean.methods.coordnet import Coordnet
    from cyclopean.recipes import feeding

    drawn = feeding.Drawn(augmentation.mirrored, feeding.target_only if rig == "SV" else feeding.whole, "sphere")
    feed = feeding.feed(source, augment, drawn, run.seed)
    feed = feeding.then(feed, augmentation.rolled)
    torch.manual_seed(run.seed)
    method = Coordnet(rig, ratio, coordinates, circular, attention, warp, landing)
    card = feeding.card("coordnet", run, source, feed)
    training.fit(method, feed, run, adabound, constant, card, feeding.pictures)
