"""Monodepth2 on stereo pairs and other views with known poses, trained as published."""

from typing import Literal

from cyclopean.methods.photometric import MONODEPTH2, Rules
from cyclopean.training.options import Augment, Backbone, Run, Source

AUGMENT = Augment(swap=0.5, mild=0.5)
BACKBONE = Backbone("resnet18")


def monodepth2(  # noqa: PLR0917
    run: Run,
    source: Source,
    augment: Augment = AUGMENT,
    backbone: Backbone = BACKBONE,
    rules: Rules = MONODEPTH2,
    schedule: Literal["halving", "tenth", "cosine"] = "tenth",
    rig: tuple[float, float] | None = None,
) -> None:
    """Learns one view's depth from others with known poses. The paper: --batch-size 12 --size 192x640, 20 epochs.

    Every combination of --head, --warp, --border, --error, --mask, --scales, --smooth and --features is a method; the
    defaults are the paper's. Sets of more than two views, and panoramas, need --swap 0.

    Args:
        schedule: a tenth from 3/4 of the steps, as published, halved at 3/5 and 4/5, or a half cosine after a short
            rise.
        rig: focal length in image widths and baseline in metres, of pairs that are not calibrated. Calibrated pairs
            of one rig tell it themselves. The model keeps it and tells metres; without one, depth up to scale.
    """
    from cyclopean import augmentation
    from cyclopean.methods.monodepth2 import Monodepth2
    from cyclopean.training.fitting import fit

    def make(rig: tuple[float, float] | None) -> Monodepth2:
        return Monodepth2(backbone.network, backbone.width, rig, rules)

    fit("monodepth2", make, run, source, augment, augmentation.mirrored, schedule, backbone.start, rig)
