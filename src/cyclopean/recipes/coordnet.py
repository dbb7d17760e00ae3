"""CoordNet, trained as published (Zioulis et al. 2019, sec. 4)."""

from dataclasses import dataclass
from typing import Annotated, Literal

from cyclopean.errors import InputError
from cyclopean.flags import Flag
from cyclopean.training.options import WIDEST, Augment, Run, Source

AUGMENT = Augment(flip=0.0)


@dataclass(frozen=True)
class Shape:
    """The network, which is told where each pixel stands."""

    coordinates: Annotated[
        bool,
        Flag(
            help="Convolutions do not read where a pixel stands: an ablation of the paper.",
            default="(default: they do)",
        ),
    ] = True
    """Convolutions read where a pixel stands."""
    circular: bool = False
    """Convolutions go on across the seam (not in the paper)."""
    width: float = 1.0
    """Multiplies the network's channels."""

    def __post_init__(self) -> None:
        if not 0 < self.width <= WIDEST:
            raise InputError(f"width is {self.width}; it needs a number above 0, at most {WIDEST:g}.")


@dataclass(frozen=True)
class Comparison:
    """How one view is made from another, and compared with the real one."""

    attention: Annotated[
        bool,
        Flag(
            help="All directions weigh the same: an ablation of the paper.",
            default="(default: what is near epipoles and poles weighs less)",
        ),
    ] = True
    """What is near epipoles and poles weighs less."""
    warp: Literal["splat", "pull"] = "splat"
    """The paper's splat, or inverse warping."""
    landing: Literal["exact", "first-order"] = "exact"
    """Exact, or the paper's first order, which is wrong for near things."""
    sharpness: float = 0.1
    """Of the splat, per metre, at most 1: pixels weigh exp(-sharpness * depth), so that near things hide what is behind
    them. 0.1 as released, 0.05 as printed. Beyond some 7 / sharpness metres things weigh too little to be compared."""
    window: int = 5
    """Of SSIM, in pixels, odd."""


SHAPE, COMPARISON = Shape(), Comparison()


def coordnet(  # noqa: PLR0917
    run: Run,
    source: Source,
    augment: Augment = AUGMENT,
    shape: Shape = SHAPE,
    comparison: Comparison = COMPARISON,
    rig: Literal["UD", "LR", "TC", "SV"] = "TC",
    ratio: float = 0.6,
    predicts: Literal["depth", "disparity", "magnitude"] = "depth",
) -> None:
    """Learns metric depth of panoramas from 360° rigs, without labels. The paper: --batch-size 16 --size 256x512.

    Args:
        rig: UD learns from the view above, LR from the one beside, TC from both; SV from true depth, to compare with.
        ratio: of TC, how much of it comes from the view above; the paper's TC2 to TC8 are 0.2 to 0.8.
        predicts: depth, or disparities (rigs UD and LR), or their magnitudes with the signs that the rig gives them;
            pictures are not turned then, since signs hang on the direction of the baseline.
    """
    import torch

    from cyclopean import augmentation
    from cyclopean.methods.coordnet import Coordnet
    from cyclopean.training import dataset
    from cyclopean.training.loop import adabound, constant, fit

    keep = dataset.target_only if rig == "SV" else None
    feed = dataset.train_data(source, augment, run, augmentation.mirrored, keep, worlds="sphere")
    feed = dataset.with_truth(feed) if rig == "SV" else feed
    feed = dataset.then(feed, augmentation.rolled) if predicts == "depth" else feed
    run = run.of(len(feed.training))  # type: ignore[arg-type]
    torch.manual_seed(run.seed)
    method = Coordnet(rig, ratio, predicts=predicts, **vars(shape), **vars(comparison))
    card = dataset.card("coordnet", run, source, feed)
    fit(method, feed, run, adabound, constant, card=card, pictures=dataset.pictures)
