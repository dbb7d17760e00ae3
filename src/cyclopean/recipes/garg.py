"""Garg et al., end to end or in stages."""

from dataclasses import replace
from typing import Literal

from cyclopean.methods.photometric import GARG, Rules
from cyclopean.training.options import Augment, Backbone, Run, Source

AUGMENT = Augment(colour=0.5)
BACKBONE = Backbone()
STAGES = 4


def garg(  # noqa: PLR0917
    run: Run,
    source: Source,
    augment: Augment = AUGMENT,
    backbone: Backbone = BACKBONE,
    rules: Rules = GARG,
    schedule: Literal["halving", "tenth", "cosine"] = "halving",
    stages: Literal["one", "four"] = "four",
    rig: tuple[float, float] | None = None,
) -> None:
    """Rebuilds the left view through a linearised warp (Garg et al. 2016).

    Args:
        schedule: halved at 3/5 and 4/5 of the steps, a tenth from 3/4, or a half cosine after a short rise.
        stages: four trains the coarsest scale first, in --out/stage1, and starts each finer one (stage2, stage3, then
            --out itself) from it, a quarter of the steps each, as published; one trains all scales at once, as the
            authors' later release does (with --error l1 --smooth edges --smoothness 0.05).
        rig: focal length in image widths and baseline in metres, of pairs that are not calibrated. Calibrated pairs
            of one rig tell it themselves. The model keeps it and tells metres; without one, depth up to scale.
    """
    from cyclopean import augmentation
    from cyclopean.methods.garg import Garg
    from cyclopean.training.fitting import fit

    def phase(stage: int, run: Run) -> None:
        def make(rig: tuple[float, float] | None) -> Garg:
            return Garg(backbone.network, backbone.width, rig, stage, rules)

        start = None if run.init else backbone.start
        fit("garg", make, run, source, augment, augmentation.flipped, schedule, start, rig)

    first = 1 if stages == "four" else STAGES
    for stage, part in parts(run, first):
        phase(stage, part)


def parts(run: Run, first: int) -> list[tuple[int, Run]]:
    """(stage, its run) from stage `first` on: equal steps, each from the one before; when resuming, no finished one."""
    folders = {stage: run.out / f"stage{stage}" for stage in range(first, STAGES)} | {STAGES: run.out}
    begun = [stage for stage, folder in folders.items() if (folder / "resume.pt").exists()]
    found, init = [], run.init
    for stage, folder in folders.items():
        epochs = None if run.epochs is None else run.epochs / len(folders)
        part = replace(run, out=folder, steps=max(1, run.steps // len(folders)), epochs=epochs, init=init)
        if not (run.resume and begun and stage < max(begun)):
            found.append((stage, replace(part, resume=run.resume and stage in begun)))
        init = str(folder / "last")
    return found
