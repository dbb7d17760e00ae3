"""Recipes of panoramas, as in `training.recipes`: spherical view synthesis, and networks that learn from true depth."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopean.errors import InputError
from cyclopean.flags import Flag
from cyclopean.training.options import WIDEST, Augment, Run, Source, SphereLoss, StudentName

NOT_MIRRORED = Augment(flip=0.0)  # spherical view synthesis
ROOMS = Augment(flip=0.5, jitter=0.7, blur=0.2, noise=0.3)
ROLLED = Augment(flip=0.5, mild=0.5)  # UniFuse


@dataclass(frozen=True)
class CoordnetShape:
    """The network of spherical view synthesis."""

    coordinates: Annotated[
        bool,
        Flag(
            help="Convolutions without pixel coordinates: an ablation of the paper.",
            default="(default: with coordinates)",
        ),
    ] = True
    """Convolutions take pixel coordinates too."""
    circular: bool = False
    """Convolutions wrap across the seam (not in the paper)."""
    width: float = 1.0
    """Multiplies the network's channels."""

    def __post_init__(self) -> None:
        if not 0 < self.width <= WIDEST:
            raise InputError(f"width is {self.width}; it needs a number above 0, at most {WIDEST:g}.")


@dataclass(frozen=True)
class Synthesis:
    """Synthesis of one view from another, and its comparison with the real one."""

    attention: Annotated[
        bool,
        Flag(
            help="All directions weigh the same: an ablation of the paper.",
            default="(default: pixels near epipoles and poles weigh less)",
        ),
    ] = True
    """Pixels near epipoles and poles weigh less."""
    warp: Literal["splat", "pull"] = "splat"
    """The paper's splat, or inverse warping."""
    landing: Literal["exact", "first-order"] = "exact"
    """Exact, or the paper's first order, which is wrong at close range."""
    sharpness: float = 0.1
    """Sharpness of the splat, per metre, at most 1: pixels weigh exp(-sharpness * depth), so that near surfaces hide
    far ones. 0.1 in the release, 0.05 in the paper. Pixels beyond about 7 / sharpness metres weigh too little to be
    compared."""
    window: int = 5
    """Side of SSIM's window, an odd number of pixels."""


SHAPE, SYNTHESIS = CoordnetShape(), Synthesis()


def coordnet(
    run: Run,
    source: Source,
    *,
    augment: Augment = NOT_MIRRORED,
    shape: CoordnetShape = SHAPE,
    synthesis: Synthesis = SYNTHESIS,
    rig: Literal["UD", "LR", "TC", "SV"] = "TC",
    ratio: float = 0.6,
    predicts: Literal["depth", "disparity", "magnitude"] = "depth",
) -> None:
    """Learn metric depth of panoramas from 360° rigs, without labels. The paper: --batch-size 16 --size 256x512.

    Args:
        rig: UD learns from the view above, LR from the one beside, TC from both; SV from true depth, for comparison.
        ratio: share of the view above in TC; the paper's TC2 to TC8 are 0.2 to 0.8.
        predicts: depth, or disparities (rigs UD and LR), or their magnitudes with the signs that the rig gives them;
            pictures are then not rotated, since signs depend on the direction of the baseline.
    """
    import torch

    from cyclopean import augmentation
    from cyclopean.methods.spherical_view_synthesis import SphericalViewSynthesis
    from cyclopean.training import dataset
    from cyclopean.training.optimisation import adabound, constant
    from cyclopean.training.train import train

    keep = dataset.target_only if rig == "SV" else None
    data = dataset.train_data(source, augment, run, augmentation.mirrored, keep, worlds="sphere")
    data = dataset.with_truth(data) if rig == "SV" else data
    data = dataset.then(data, augmentation.rolled) if predicts == "depth" else data
    torch.manual_seed(run.seed)
    method = SphericalViewSynthesis(rig, ratio, predicts=predicts, **vars(shape), **vars(synthesis))
    train("coordnet", method, data, run, source, optimizer=adabound, schedule=constant)


def panorama(run: Run, source: Source, *, augment: Augment = ROOMS, ratio: float = 0.6) -> None:
    """Learn metric depth of panoramas from the views above and beside, without labels, to be used on any panorama.

    Args:
        ratio: share of the view above; the rest is the view beside.
    """
    import torch

    from cyclopean import augmentation
    from cyclopean.methods.spherical_view_synthesis import SphericalViewSynthesis
    from cyclopean.training import dataset
    from cyclopean.training.optimisation import adamw, cosine
    from cyclopean.training.train import train

    data = dataset.train_data(source, augment, run, augmentation.mirrored, worlds="sphere")
    data = dataset.then(data, augmentation.rolled)
    torch.manual_seed(run.seed)
    method = SphericalViewSynthesis("TC", ratio, circular=True, network="mobile")
    train("panorama", method, data, run, source, optimizer=adamw, schedule=cosine)


def supervised_sphere(
    run: Run,
    source: Source,
    *,
    augment: Augment = ROLLED,
    network: StudentName = "unifuse",
    width: float = 1.0,
    encoder_weights: Annotated[Path | None, Flag(hidden=("--start",))] = None,
    loss: SphereLoss = "auto",
    far: float = 10.0,
) -> None:
    """Learn depth of panoramas from true depth, as the papers of these networks do; panoramas are also rolled.

    Args:
        network: UniFuse (with ResNet18, 34 or 50), BiFuse++, HoHoNet, EGformer; or the bundled panorama model's, or
            spherical view synthesis's. Each has its paper's optimiser and schedule.
        width: multiplies the network's channels.
        encoder_weights: pretrained weights of a ResNet to start the encoders from: a safetensors file, or a
            transformers folder.
        loss: auto is the paper's: berhu of metres (UniFuse), reverse-huber (BiFuse++), l1 (HoHoNet), or ssi, of inverse
            depth up to scale and shift (EGformer).
        far: metres; larger true depths are ignored.
    """
    import torch

    from cyclopean import augmentation
    from cyclopean.methods.supervised_sphere import SupervisedSphere
    from cyclopean.networks.resnet import start_from
    from cyclopean.training import dataset
    from cyclopean.training.optimisation import adam, adamw, adamw_brief, constant, polynomial
    from cyclopean.training.train import train

    if not 0 < width <= WIDEST:
        raise InputError(f"width is {width}; it needs a number above 0, at most {WIDEST:g}.")
    usual_loss, optimizer, schedule = {
        "bifuse++": ("reverse-huber", adam, constant),
        "hohonet": ("l1", adam, polynomial),
        "egformer": ("ssi", adamw_brief, constant),
        "mobile": ("berhu", adamw, constant),
    }.get(network, ("berhu", adam, constant))
    data = dataset.train_data(source, augment, run, augmentation.mirrored, dataset.target_only, worlds="sphere")
    data = dataset.then(dataset.with_truth(data), augmentation.rolled)
    torch.manual_seed(run.seed)
    method = SupervisedSphere(network, width, loss=usual_loss if loss == "auto" else loss, far=far)
    if encoder_weights is not None:
        start_from(method.network, encoder_weights)
    train("supervised-sphere", method, data, run, source, optimizer=optimizer, schedule=schedule)
