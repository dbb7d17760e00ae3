"""Training recipes: one function for each method, whose arguments are the flags of `cyclopean train`.

Nothing heavy is imported before one is called, so that help and errors of flags are quick. The defaults are those of
the papers; sizes and numbers of epochs are in `methods.PUBLISHED`.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cyclopean.errors import InputError
from cyclopean.training.options import (
    GARG,
    MONODEPTH,
    MONODEPTH2,
    STATE,
    Augment,
    Backbone,
    ErrorName,
    Intrinsics,
    LossConfig,
    Pairs,
    PoseName,
    Rig,
    Run,
    ScheduleName,
    Source,
)

if TYPE_CHECKING:
    from cyclopean.augmentation import Augmentation
    from cyclopean.methods.base import Method
    from cyclopean.training.dataset import TrainData

STAGES = 4  # of Garg's training
CALIBRATED = "--intrinsics learned is for clips that nobody calibrated, and these data have poses; leave it out."
VGG, RESNET = Backbone(), Backbone("resnet18")
HALVING, TENTH = Pairs(), Pairs("tenth")
COLOUR = Augment(colour=0.5)  # Monodepth, sec. 4.1
EITHER_VIEW = Augment(swap=0.5, mild=0.5)  # Monodepth2, sec. 4
STRONG = Augment(jitter=0.8, blur=0.2, noise=0.3, min_crop=0.6, aspect_jitter=1.2)


def naive(
    run: Run,
    source: Source,
    *,
    augment: Augment = COLOUR,
    backbone: Backbone = VGG,
    pairs: Pairs = HALVING,
    error: ErrorName = "l1",
    sampling: Literal["linear", "nearest"] = "linear",
) -> None:
    """Output the right view without disparity; depth is recovered by matching it with the left view.

    Args:
        error: difference of the output and the right view: L1, L2, or SSIM and L1 (on whole windows, or with reflected
            borders).
        sampling: how shifted views are sampled for the matching.
    """
    from cyclopean.methods.naive import Naive

    def make(rig: Rig | None) -> Naive:
        return Naive(backbone.network, backbone.width, error=error, sampling=sampling, rig=rig)

    train_on_pairs("naive", make, run, source, augment=augment, pairs=pairs, start=backbone.encoder_weights)


def deep3d(
    run: Run,
    source: Source,
    *,
    augment: Augment = COLOUR,
    backbone: Backbone = VGG,
    pairs: Pairs = HALVING,
    levels: int = 33,
    most: float = 0.3,
    smoothness: Literal["none", "each", "expected"] = "none",
    smoothness_width: int | None = None,
    rising_epochs: int = 0,
) -> None:
    """Select the right view from shifted left ones (Xie et al. 2016).

    Args:
        levels: number of shifts, from 0 to `most`; the papers do not state how many the comparison used.
        most: the largest shift, a share of the picture's width.
        smoothness: none is Deep3D; each (cumulative sum) and expected (disparity) are two readings of Deep3Ds.
        smoothness_width: in pixels: the published weight holds for pictures so wide (theirs: 512), others count in
            proportion; without it the weight is that of gradients per pixel at any size, as published.
        rising_epochs: passes over the data in which the weights of smoothness and certainty rise from 0; 0: whole from
            the start, as published, where small pictures end flat.
    """
    from cyclopean.methods.deep3d import Deep3d, Rising

    def make(rig: Rig | None) -> Deep3d:
        return Deep3d(
            backbone.network,
            backbone.width,
            levels=levels,
            most=most,
            smoothness=smoothness,
            smoothness_width=smoothness_width,
            rig=rig,
        )

    def rising(method: "Method") -> list[Rising]:
        return [Rising(method, rising_epochs)] if rising_epochs else []

    name = "deep3d" if smoothness == "none" else "deep3ds"
    start = backbone.encoder_weights
    train_on_pairs(name, make, run, source, augment=augment, pairs=pairs, start=start, each_epoch=rising)


def deep3ds(
    run: Run,
    source: Source,
    *,
    augment: Augment = COLOUR,
    backbone: Backbone = VGG,
    pairs: Pairs = HALVING,
    levels: int = 33,
    most: float = 0.3,
    smoothness: Literal["each", "expected"] = "each",
    smoothness_width: int | None = None,
    rising_epochs: int = 0,
) -> None:
    """Train Deep3D so that probabilities concentrate in one shift and are smooth (Godard et al. 2017, supplement sec.
    3).

    Args:
        levels: number of shifts, from 0 to `most`; the papers do not state how many the comparison used.
        most: the largest shift, a share of the picture's width.
        smoothness: of each cumulative sum, or of the expected disparity.
        smoothness_width: in pixels: the published weight holds for pictures so wide (theirs: 512), others count in
            proportion; without it the weight is that of gradients per pixel at any size, as published.
        rising_epochs: passes over the data in which the weights of smoothness and certainty rise from 0; 0: whole from
            the start, as published, where small pictures end flat.
    """
    how: dict[str, Any] = {
        "levels": levels, "most": most, "smoothness": smoothness, "smoothness_width": smoothness_width,
        "rising_epochs": rising_epochs,
    }  # fmt: skip
    deep3d(run, source, augment=augment, backbone=backbone, pairs=pairs, **how)


def garg(
    run: Run,
    source: Source,
    *,
    augment: Augment = COLOUR,
    backbone: Backbone = VGG,
    rules: LossConfig = GARG,
    pairs: Pairs = HALVING,
    stages: Literal["one", "four"] = "four",
) -> None:
    """Reconstruct the left view through a linearised warp (Garg et al. 2016).

    Args:
        stages: four trains the coarsest scale first, in --out/stage1, and starts each finer one (stage2, stage3, then
            --out itself) from it, a quarter of the steps each, as published; one trains all scales at once, as the
            authors' later release does (with --error l1 --smooth edges --smoothness 0.05).
    """
    from cyclopean.methods.garg import Garg

    for stage, part in phases(run, 1 if stages == "four" else STAGES):

        def make(rig: Rig | None, stage: int = stage) -> Garg:
            return Garg(backbone.network, backbone.width, rig=rig, stage=stage, rules=rules)

        start = None if part.init else backbone.encoder_weights
        finest = f"1/{2 ** (STAGES - stage)} of the size" if stage < STAGES else "the full size"
        told = partial(of_stage, stage=stage, last=STAGES, what=f"scales up to {finest}") if stages == "four" else None
        train_on_pairs("garg", make, part, source, augment=augment, pairs=pairs, start=start, prepare=told)


def phases(run: Run, first: int, last: int = STAGES, shares: Sequence[float] | None = None) -> list[tuple[int, Run]]:
    """Return (stage, its run) from stage `first` to `last`: each from the one before, equal steps or these `shares`.

    A resumed run leaves out finished stages.
    """
    folders = {stage: run.out / f"stage{stage}" for stage in range(first, last)} | {last: run.out}
    begun = [stage for stage, folder in folders.items() if (folder / STATE).exists()]
    parts, init = [], run.init
    for (stage, folder), share in zip(folders.items(), shares or [1 / len(folders)] * len(folders), strict=True):
        epochs = None if run.epochs is None else run.epochs * share
        part = replace(run, out=folder, steps=max(1, int(run.steps * share + 1e-6)), epochs=epochs, init=init)
        if not (run.resume and begun and stage < max(begun)):
            parts.append((stage, replace(part, resume=run.resume and stage in begun)))
        init = str(folder / "last")
    return parts


def of_stage(data: "TrainData", stage: int, last: int, what: str) -> "TrainData":
    """Return `data` whose first sentence names the stage, of several, that is trained on it."""
    return replace(data, about=(f"stage {stage} of {last}: {what}.", *data.about))


def monodepth(
    run: Run,
    source: Source,
    *,
    augment: Augment = COLOUR,
    backbone: Backbone = VGG,
    rules: LossConfig = MONODEPTH,
    pairs: Pairs = HALVING,
    factors: int = 1,
    variant: Literal["lr", "no-lr", "stereo"] = "lr",
) -> None:
    """Learn depth from stereo pairs, without labels. The paper: --batch-size 8 --size 256x512, 50 epochs of KITTI.

    Args:
        factors: 1, as published, for pairs of one rig; 13, say, for pairs of many baselines or scenes of many sizes.
        variant: lr predicts both views' depth from the left one; no-lr only the left one's; stereo reads both views.
    """
    from cyclopean.methods.monodepth import Monodepth

    def make(rig: Rig | None) -> Monodepth:
        known = pairs.rig if factors > 1 else rig  # with free factors depth is not metric, whatever the data
        network, width = backbone.network, backbone.width
        return Monodepth(network, width, rig=known, factors=factors, variant=variant, rules=rules)

    train_on_pairs("monodepth", make, run, source, augment=augment, pairs=pairs, start=backbone.encoder_weights)


def trinocular(
    run: Run,
    source: Source,
    *,
    augment: Augment = COLOUR,
    backbone: Backbone = VGG,
    rules: LossConfig = MONODEPTH,
    pairs: Pairs = HALVING,
) -> None:
    """Learn depth from stereo pairs, over baselines to both sides (Poggi et al. 2018); each step costs twice as
    much."""
    from cyclopean.methods.three_net import ThreeNet

    def make(rig: Rig | None) -> ThreeNet:
        return ThreeNet(backbone.network, backbone.width, rig=rig, rules=rules)

    train_on_pairs("trinocular", make, run, source, augment=augment, pairs=pairs, start=backbone.encoder_weights)


def monodepth2(
    run: Run,
    source: Source,
    *,
    augment: Augment = EITHER_VIEW,
    backbone: Backbone = RESNET,
    rules: LossConfig = MONODEPTH2,
    pairs: Pairs = TENTH,
    pose: PoseName = "auto",
    intrinsics: Intrinsics = "known",
) -> None:
    """Learn one view's depth from others: pairs, posed views, or video. The paper: --batch-size 12 --size 192x640.

    Every combination of --head, --warp, --border, --error, --mask, --scales, --smooth and --features is a method; the
    defaults are the paper's. Sets of more than two posed views, and panoramas, need --swap 0. Zhou et al. (2017) is
    video with --pose cnn --mask explained.

    Args:
        pose: of frames of a video, predicted by a network that is trained along: resnet (Monodepth2's), cnn (Zhou's),
            posenet and posenet-dr (AQUANet's), none for data with known poses; auto is resnet where they are unknown.
            --swap does nothing then.
        intrinsics: learned: the same network predicts the camera of a video as well (Gordon et al. 2019), from what the
            data say or, where they do not, from 60 degrees on.
    """
    from cyclopean.augmentation import mirrored
    from cyclopean.methods.monodepth2 import Monodepth2

    def make(rig: Rig | None) -> Monodepth2:
        if pose not in ("auto", "none"):
            raise InputError(
                f"--pose {pose} predicts motion, and these data know where each camera stood; leave it out. Rendered "
                "clips withhold their poses as clip:FOLDER."
            )
        if intrinsics == "learned":
            raise InputError(CALIBRATED)
        return Monodepth2(backbone.network, backbone.width, rig=rig, rules=rules)

    def of_video() -> Monodepth2:
        predicted = "resnet" if pose == "auto" else pose
        return Monodepth2(backbone.network, backbone.width, rules=rules, pose=predicted, intrinsics=intrinsics)

    how: dict[str, Any] = {"augment": augment, "pairs": pairs, "mirror": mirrored, "of_video": of_video}
    train_on_pairs("monodepth2", make, run, source, start=backbone.encoder_weights, **how)


def supervised(
    run: Run,
    source: Source,
    *,
    augment: Augment = STRONG,
    network: Literal["vgg", "compact", "mobile"] = "vgg",
    width: float = 1.0,
    schedule: ScheduleName = "cosine",
) -> None:
    """Learn inverse depth up to scale from true depth.

    Args:
        network: Monodepth's VGG (31.6 M parameters at width 1), or a lighter one.
        width: multiplies the network's channels.
        schedule: learning rate, halved at 3/5 and 4/5 of the steps, a tenth from 3/4, or a half cosine after a short
            rise.
    """
    import torch

    from cyclopean import augmentation
    from cyclopean.methods.supervised import Supervised
    from cyclopean.training import dataset
    from cyclopean.training.optimisation import SCHEDULES, adamw
    from cyclopean.training.train import train

    data = dataset.train_data(source, augment, run, augmentation.mirrored, dataset.target_only)
    data = dataset.with_truth(data)
    torch.manual_seed(run.seed)
    method = Supervised(network, width)
    train("supervised", method, data, run, source, optimizer=adamw, schedule=SCHEDULES[schedule])


def train_on_pairs(
    name: str,
    make: "Callable[[Rig | None], Method]",
    run: Run,
    source: Source,
    *,
    augment: Augment,
    pairs: Pairs,
    start: Path | None,
    mirror: "Augmentation | None" = None,
    of_video: "Callable[[], Method] | None" = None,
    prepare: "Callable[[TrainData], TrainData] | None" = None,
    each_epoch: "Callable[[Method], Sequence[Callable[[Method], None]]] | None" = None,
) -> None:
    """Train the method that `make` returns for a rig, with Adam. The seed is set before `make` is called.

    The rig is the given one, else the common rig of the data; a model with a rig stores it and is metric. `start`:
    pretrained weights of the encoder, not used if the run is resumed or starts from a whole model. `mirror` is by
    default the one that swaps left and right. `of_video` makes the method for data without
    poses. `prepare` changes the data before; `each_epoch` returns what is done after each pass over the data.
    """
    import torch

    from cyclopean.augmentation import flipped
    from cyclopean.networks.resnet import pretrained, start_from
    from cyclopean.training import dataset
    from cyclopean.training.optimisation import SCHEDULES, adam
    from cyclopean.training.rig import common_rig
    from cyclopean.training.train import train

    data = dataset.train_data(source, augment, run, mirror or flipped, rig=pairs.rig)
    data = data if prepare is None else prepare(data)
    if of_video is not None and dataset.has_unknown_poses(data):
        common, about = None, "the motion between frames is predicted: depth is learned up to scale."
        torch.manual_seed(run.seed)
        method = of_video()
    else:
        common, about = common_rig(data.training)
        torch.manual_seed(run.seed)
        method = make(pairs.rig or common)
    if pairs.rig is None and method.rig == common:
        data = replace(data, about=(*data.about, about))
    if start is not None:
        start_from(method.network, start)  # type: ignore[arg-type]
    features = method.config().get("rules", {}).get("features", "none")
    if features not in ("none", "own"):
        pretrained(Path(features))  # raises InputError early for invalid weights
    after = () if each_epoch is None else each_epoch(method)
    train(name, method, data, run, source, optimizer=adam, schedule=SCHEDULES[pairs.schedule], each_epoch=after)
