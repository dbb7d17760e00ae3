"""Recipes of AQUANet and FAL-Net, which make views through levels, as in `training.recipes`."""

import logging
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cyclopean.errors import InputError
from cyclopean.training.options import (
    Augment,
    FalnetConfig,
    Intrinsics,
    Pairs,
    PoseName,
    Rig,
    Run,
    Source,
    VolumeConfig,
)
from cyclopean.training.recipes import CALIBRATED, HALVING, of_stage, phases, train_on_pairs

if TYPE_CHECKING:
    from cyclopean.methods.photometric import FeatureExtractor
    from cyclopean.training.dataset import TrainData

LOG = logging.getLogger(__name__)
FAMILY = Augment(separate=1.0)  # FAL-Net and AQUANet
VIDEO = Augment(separate=1.0, reverse=0.5)
OF_AQUANET = {0: "the pose network alone", 1: "without masks of what moves", 2: "anew, with masks of what moves"}
OF_FALNET = {1: "without masks", 2: "on from the first, with masks of what both cameras see"}
AQUANET, KICK_START = 110, 5  # epochs of each stage of AQUANet, and of its pose network before


def falnet(
    run: Run,
    source: Source,
    *,
    augment: Augment = FAMILY,
    pairs: Pairs = HALVING,
    rules: FalnetConfig = FalnetConfig(),  # noqa: B008
    width: float = 1.0,
    zoom: tuple[float, float] = (0.75, 1.5),
    vgg19_weights: Path | None = None,
    stages: Literal["one", "two"] = "two",
) -> None:
    """Make the right view by rendering through disparities that are hypothesised (Gonzalez Bello and Kim 2020).

    Args:
        width: multiplies the network's channels.
        zoom: pictures are resized by a factor between these two, and a random part of --size is learned from.
        vgg19_weights: compare features too, of a VGG19 whose weights are in this safetensors file; none come with
            cyclopean, and without them only colours are compared.
        stages: two continues from the first (in --out/stage1, 50 parts of 70) with masks of what both cameras see, at
            half the rate.
    """
    from cyclopean.methods.base import Frozen
    from cyclopean.methods.falnet import Falnet
    from cyclopean.training import checkpoint

    _check_zoom(zoom)
    vgg19 = _vgg19(vgg19_weights)
    both = stages == "two"
    for stage, part in phases(run, 1, 2, (50 / 70, 20 / 70)) if both else [(1, run)]:

        def make(rig: Rig | None, stage: int = stage) -> Falnet:
            method = Falnet(width, rig=rig, stage=stage, rules=rules)
            method.features = vgg19
            if stage == 2:
                first = checkpoint.load(run.out / "stage1" / "last")[0]
                method.first = Frozen(first.network)  # type: ignore[arg-type]
            return method

        slower = replace(part, learning_rate=run.learning_rate / stage)

        def prepare(data: "TrainData", stage: int = stage) -> "TrainData":
            data = _zoomed_patches(data, source, zoom, vgg19_weights)
            return of_stage(data, stage, 2, OF_FALNET[stage]) if both else data

        train_on_pairs("falnet", make, slower, source, augment=augment, pairs=pairs, start=None, prepare=prepare)


def aquanet(
    run: Run,
    source: Source,
    *,
    augment: Augment = VIDEO,
    rules: VolumeConfig = VolumeConfig(),  # noqa: B008
    width: float = 1.0,
    pose: PoseName = "auto",
    intrinsics: Intrinsics = "known",
    zoom: tuple[float, float] = (0.5, 1.5),
    vgg19_weights: Path | None = None,
    first: str | None = None,
    beta1: float = 0.9,
    stages: Literal["one", "two"] = "two",
) -> None:
    """Learn one frame's depth from those before and after, posed or not (Gonzalez Bello et al. 2022).

    Args:
        width: multiplies the network's channels.
        pose: of frames of a video, predicted by a network that is trained along, and alone at first (in --out/stage0):
            resnet (Monodepth2's), cnn (Zhou's), posenet and posenet-dr (AQUANet's), none for data with known poses;
            auto is cnn where they are unknown.
        intrinsics: learned: the same network predicts the camera as well (Gordon et al. 2019), from what the data say
            or, where they do not, from 60 degrees on.
        zoom: pictures are resized by a factor between these two, and a random part of --size is learned from.
        vgg19_weights: compare features too, of a VGG19 whose weights are in this safetensors file; none come with
            cyclopean, and without them only colours are compared.
        first: a model of the first stage, for masks of what moves: only the second stage is trained.
        beta1: Adam's first constant; 0.9 in the paper ("default"), 0.5 in the code of its authors.
        stages: one learns without masks of what moves; two then learns anew, with the first (in --out/stage1) to tell
            what moves, half of the steps each. --epochs are those of the stages; of a video those of the pose network
            alone come on top (5 for 110).
    """
    import torch

    from cyclopean import augmentation
    from cyclopean.methods.aquanet import Aquanet, PreviousEpoch
    from cyclopean.training import checkpoint, dataset
    from cyclopean.training.optimisation import adam, halving_late
    from cyclopean.training.train import train

    _check_zoom(zoom)
    if not 0 <= beta1 < 1:
        raise InputError(f"beta1 is {beta1:g}; it needs a number in [0, 1), such as 0.9.")
    if first is not None and stages == "one":
        raise InputError("--first is for the second stage, and --stages one trains the first; leave one of them out.")
    data = dataset.train_data(source, augment, run, augmentation.mirrored, worlds="clip")
    data = _zoomed_patches(data, source, zoom, vgg19_weights)
    data = replace(data, flags={**data.flags, "beta1": beta1, "first": Path(first or "").name})
    vgg19 = _vgg19(vgg19_weights)
    unknown = dataset.has_unknown_poses(data)
    if not unknown and pose not in ("auto", "none"):
        raise InputError(f"--pose {pose} predicts motion, and these data know where each camera stood; leave it out.")
    if intrinsics == "learned" and (not unknown or pose == "none"):
        raise InputError(CALIBRATED)
    network = ("cnn" if pose == "auto" else pose) if unknown else "none"
    begin, end = 0 if network != "none" else 1, 1 if stages == "one" else 2
    lengths = [KICK_START if stage == 0 else AQUANET for stage in range(begin, end + 1)]
    if first is None and begin == 0 and run.epochs is not None:  # those of the kick-start are not among the paper's 220
        run = replace(run, epochs=run.epochs * (1 + KICK_START / (AQUANET * end)))
    shares = [length / sum(lengths) for length in lengths]
    for stage, part in [(2, run)] if first is not None else phases(run, begin, end, shares):
        torch.manual_seed(run.seed)
        masks = rules if stage == 2 or rules.mask == "auto" else replace(rules, mask="none")
        method = Aquanet(
            width, rules=masks if stage == 2 else replace(masks, boost=0.0), pose=network, intrinsics=intrinsics
        )
        if stage == 0:
            method.begin_with_pose()
        method.features = vgg19
        if stage == 2:
            teacher = checkpoint.load(first or run.out / "stage1" / "last")[0]
            if not isinstance(teacher, Aquanet):
                raise InputError(f"{first} is a model of {teacher.name}; --first needs one of aquanet.")
            method.first = teacher.frozen()
        each_epoch = (PreviousEpoch(method),) if method.rules.boost else ()
        scratch = run.init if begin == 1 or first is not None else str(run.out / "stage0" / "last")
        fresh = replace(part, init=scratch) if stage == 2 else part  # not from the first stage
        optimizer = partial(adam, beta1=beta1)
        told = of_stage(data, stage, end, OF_AQUANET[stage])
        train("aquanet", method, told, fresh, source, optimizer=optimizer, schedule=halving_late, each_epoch=each_epoch)


def _vgg19(weights: Path | None) -> "FeatureExtractor | None":
    """Return the features that a perceptual loss compares; without a file none, which the log says."""
    from cyclopean.networks.vgg import vgg19_features

    if weights is None:
        LOG.warning("only colours are compared: features of VGG19, as published, need --vgg19-weights FILE.")
        return None
    return vgg19_features(weights)


def _check_zoom(zoom: tuple[float, float]) -> None:
    if not 0 < zoom[0] <= zoom[1]:
        raise InputError(f"zoom is {zoom[0]:g} to {zoom[1]:g}; it needs two factors above 0, the smaller one first.")


def _zoomed_patches(
    data: "TrainData", source: Source, zoom: tuple[float, float], vgg19_weights: Path | None
) -> "TrainData":
    """Return `data` whose pictures are resized by a random factor, of which a random part of --size is learned from.

    What a run was begun with, and must be resumed with, includes the factors and the weights of VGG19.
    """
    from cyclopean.augmentation import Augmentation, Steps, ZoomedPatch
    from cyclopean.geometry import size_of

    assert isinstance(data.augment, Steps)
    if data.flags["smallest"] != 1 or data.flags["stretch"] != 1:
        raise InputError("--min-crop and --aspect-jitter are for methods without --zoom, which draws the parts here.")
    height, width = source.size or size_of(data.training[0].depth)
    steps: tuple[Augmentation, ...] = (ZoomedPatch((height, width), *zoom), *data.augment.steps[1:])
    weights = "" if vgg19_weights is None else vgg19_weights.name
    facts: dict[str, float | str] = {"smallest zoom": zoom[0], "largest zoom": zoom[1], "vgg19-weights": weights}
    return replace(data, augment=Steps(steps), flags={**data.flags, **facts})
