"""The tutorial's naive model."""

from typing import Literal

from cyclopean.training.options import Augment, Backbone, Run, Source

AUGMENT = Augment(colour=0.5)
BACKBONE = Backbone()


def naive(  # noqa: PLR0917
    run: Run,
    source: Source,
    augment: Augment = AUGMENT,
    backbone: Backbone = BACKBONE,
    schedule: Literal["halving", "tenth", "cosine"] = "halving",
    error: Literal["l1", "l2", "ssim", "ssim-reflected"] = "l1",
    sampling: Literal["linear", "nearest"] = "linear",
    rig: tuple[float, float] | None = None,
) -> None:
    """Paints the right view with no disparity inside; depth is read out by matching what it painted.

    Args:
        schedule: halved at 3/5 and 4/5 of the steps, a tenth from 3/4, or a half cosine after a short rise.
        error: what the painted view differs by: L1, L2, or SSIM and L1 (on whole windows, or with reflected borders).
        sampling: how shifted views are fetched when they are matched.
        rig: focal length in image widths and baseline in metres, of pairs that are not calibrated. Calibrated pairs
            of one rig tell it themselves. The model keeps it and tells metres; without one, depth up to scale.
    """
    from cyclopean import augmentation
    from cyclopean.methods.naive import Naive
    from cyclopean.training.fitting import fit

    def make(rig: tuple[float, float] | None) -> Naive:
        return Naive(backbone.network, backbone.width, error, sampling, rig)

    fit("naive", make, run, source, augment, augmentation.flipped, schedule, backbone.start, rig)
