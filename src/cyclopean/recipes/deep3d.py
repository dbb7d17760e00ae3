"""Deep3D and Deep3Ds, trained as Monodepth's comparison has them: its network, its augmentation, from scratch."""

from typing import Literal

from cyclopean.training.options import Augment, Backbone, Run, Source

AUGMENT = Augment(colour=0.5)
BACKBONE = Backbone()


def deep3d(  # noqa: PLR0917
    run: Run,
    source: Source,
    augment: Augment = AUGMENT,
    backbone: Backbone = BACKBONE,
    schedule: Literal["halving", "tenth", "cosine"] = "halving",
    levels: int = 33,
    most: float = 0.3,
    smoothness: Literal["none", "each", "expected"] = "none",
    rig: tuple[float, float] | None = None,
) -> None:
    """Selects the right view out of shifted left ones (Xie et al. 2016).

    Args:
        schedule: halved at 3/5 and 4/5 of the steps, a tenth from 3/4, or a half cosine after a short rise.
        levels: how many shifts, from none to `most`; the papers do not say how many the comparison used.
        most: the largest shift, a share of the picture's width.
        smoothness: none is Deep3D; each (of the cumulative sums) or expected (disparity) are readings of Deep3Ds.
        rig: focal length in image widths and baseline in metres, of pairs that are not calibrated. Calibrated pairs
            of one rig tell it themselves. The model keeps it and tells metres; without one, depth up to scale.
    """
    from cyclopean import augmentation
    from cyclopean.methods.deep3d import Deep3d
    from cyclopean.training.fitting import fit

    def make(rig: tuple[float, float] | None) -> Deep3d:
        return Deep3d(backbone.network, backbone.width, levels, most, smoothness, rig=rig)

    name = "deep3d" if smoothness == "none" else "deep3ds"
    fit(name, make, run, source, augment, augmentation.flipped, schedule, backbone.start, rig)


def deep3ds(  # noqa: PLR0917
    run: Run,
    source: Source,
    augment: Augment = AUGMENT,
    backbone: Backbone = BACKBONE,
    schedule: Literal["halving", "tenth", "cosine"] = "halving",
    levels: int = 33,
    most: float = 0.3,
    smoothness: Literal["each", "expected"] = "each",
    rig: tuple[float, float] | None = None,
) -> None:
    """Deep3D whose probabilities gather in one shift and are smooth (Godard et al. 2017, supplement sec. 3).

    Args:
        schedule: halved at 3/5 and 4/5 of the steps, a tenth from 3/4, or a half cosine after a short rise.
        levels: how many shifts, from none to `most`; the papers do not say how many the comparison used.
        most: the largest shift, a share of the picture's width.
        smoothness: of each cumulative sum, or of the expected disparity.
        rig: focal length in image widths and baseline in metres, of pairs that are not calibrated. Calibrated pairs
            of one rig tell it themselves. The model keeps it and tells metres; without one, depth up to scale.
    """
    deep3d(run, source, augment, backbone, schedule, levels, most, smoothness, rig)
