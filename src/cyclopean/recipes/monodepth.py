"""Monodepth, trained as published."""

from typing import Literal

from cyclopean.recipes.settings import Augment, Source
from cyclopean.run import Run

AUGMENT = Augment(colour=0.5)


def monodepth(  # noqa: PLR0917
    run: Run,
    source: Source,
    augment: Augment = AUGMENT,
    network: Literal["vgg", "compact", "mobile"] = "vgg",
    width: float = 1.0,
    schedule: Literal["halving", "cosine"] = "halving",
    factors: int = 1,
) -> None:
    """Learns depth from stereo pairs, without labels. The paper: --batch-size 8 --size 256,512, 50 epochs of KITTI.

    Args:
        network: the paper's VGG (31.6 M parameters at width 1), or a lighter one.
        width: multiplies the network's channels.
        schedule: the paper's (halved at 3/5 and 4/5 of the steps), or a half cosine after a short rise.
        factors: 1, as published, for pairs of one rig; 13, say, for pairs of many baselines or scenes of many sizes.
    """
    import torch

    from cyclopean import augmentation, training
    from cyclopean.methods.monodepth import Monodepth
    from cyclopean.recipes import feeding

    drawn = feeding.Drawn(augmentation.flipped, feeding.whole)
    feed = feeding.feed(source, augment, drawn, run.seed)
    torch.manual_seed(run.seed)
    method = Monodepth(network, width, factors=factors)
    course = {"halving": training.halving, "cosine": training.cosine}[schedule]
    card = feeding.card("monodepth", run, source, feed)
    training.fit(method, feed, run, training.adam, course, card, feeding.pictures)
