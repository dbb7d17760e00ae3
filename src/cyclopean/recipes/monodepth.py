"""Monodepth and its variants, trained as published."""

from typing import Literal

from cyclopean.methods.photometric import Rules
from cyclopean.training.options import Augment, Backbone, Run, Source

AUGMENT = Augment(colour=0.5)
RULES = Rules()
BACKBONE = Backbone()


def monodepth(  # noqa: PLR0917
    run: Run,
    source: Source,
    augment: Augment = AUGMENT,
    backbone: Backbone = BACKBONE,
    rules: Rules = RULES,
    schedule: Literal["halving", "tenth", "cosine"] = "halving",
    factors: int = 1,
    variant: Literal["lr", "no-lr", "stereo"] = "lr",
    rig: tuple[float, float] | None = None,
) -> None:
    """Learns depth from stereo pairs, without labels. The paper: --batch-size 8 --size 256x512, 50 epochs of KITTI.

    Args:
        schedule: the paper's (halved at 3/5 and 4/5 of the steps), a tenth from 3/4, or a half cosine after a
            short rise.
        factors: 1, as published, for pairs of one rig; 13, say, for pairs of many baselines or scenes of many sizes.
        variant: lr tells both views' depth from the left one; no-lr only the left one's; stereo is shown both views.
        rig: focal length in image widths and baseline in metres, of pairs that are not calibrated. Calibrated pairs
            of one rig tell it themselves. The model keeps it and tells metres; without one, depth up to scale.
    """
    from cyclopean import augmentation
    from cyclopean.methods.monodepth import Monodepth
    from cyclopean.training.fitting import fit

    def make(found: tuple[float, float] | None) -> Monodepth:
        known = rig if factors > 1 else found  # with free factors there are no metres, whatever the data say
        return Monodepth(backbone.network, backbone.width, known, factors, variant, rules)

    fit("monodepth", make, run, source, augment, augmentation.flipped, schedule, backbone.start, rig)
