"""CoordNet, trained as published (Zioulis et al. 2019, sec. 4)."""

from typing import Literal

from cyclopean.recipes.settings import Augment, Source
from cyclopean.run import Run

AUGMENT = Augment(flip=0.0)


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
    predicts: Literal["depth", "disparity", "magnitude"] = "depth",
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
        predicts: depth, or disparities (rigs UD and LR), or their magnitudes with the signs that the rig gives them;
            pictures are not turned then, since signs hang on the direction of the baseline.
    """
    import torch

    from cyclopean import augmentation, training
    from cyclopean.methods.coordnet import Coordnet
    from cyclopean.recipes import feeding

    drawn = feeding.Drawn(augmentation.mirrored, feeding.target_only if rig == "SV" else feeding.whole, "sphere")
    feed = feeding.feed(source, augment, drawn, run)
    feed = feeding.then(feed, augmentation.rolled) if predicts == "depth" else feed
    torch.manual_seed(run.seed)
    method = Coordnet(rig, ratio, coordinates, circular, attention, warp, landing, predicts=predicts)
    card = feeding.card("coordnet", run, source, feed)
    training.fit(method, feed, run, training.adabound, training.constant, card, feeding.pictures)
