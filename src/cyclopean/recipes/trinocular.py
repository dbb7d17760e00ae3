"""Virtual trinocular, trained as Monodepth is."""

from typing import Literal

from cyclopean.methods.photometric import Rules
from cyclopean.training.options import Augment, Backbone, Run, Source

AUGMENT = Augment(colour=0.5)
RULES = Rules()
BACKBONE = Backbone()


def trinocular(  # noqa: PLR0917
    run: Run,
    source: Source,
    augment: Augment = AUGMENT,
    backbone: Backbone = BACKBONE,
    rules: Rules = RULES,
    schedule: Literal["halving", "tenth", "cosine"] = "halving",
    rig: tuple[float, float] | None = None,
) -> None:
    """Learns from stereo pairs what lies on either side of a view (Poggi et al. 2018); each step does twice the work.

    Args:
        schedule: halved at 3/5 and 4/5 of the steps, a tenth from 3/4, or a half cosine after a short rise.
        rig: focal length in image widths and baseline in metres, of pairs that are not calibrated. Calibrated pairs
            of one rig tell it themselves. The model keeps it and tells metres; without one, depth up to scale.
    """
    from cyclopean import augmentation
    from cyclopean.methods.trinocular import Trinocular
    from cyclopean.training.fitting import fit

    def make(rig: tuple[float, float] | None) -> Trinocular:
        return Trinocular(backbone.network, backbone.width, rig, rules)

    fit("trinocular", make, run, source, augment, augmentation.flipped, schedule, backbone.start, rig)
