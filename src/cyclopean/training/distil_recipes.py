"""Recipes that distil a panorama network from a perspective one (Depth Anywhere), as in `training.recipes`."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopean.errors import InputError
from cyclopean.flags import Flag
from cyclopean.training.options import WIDEST, Augment, Run, Source, Streams, StudentName

if TYPE_CHECKING:
    from cyclopean.training.dataset import TrainData

FITTED_ON = 16  # items, by which disparity is first put in 1/m
TURNED = Augment(flip=0.5, mild=1.0)  # UniFuse's: panoramas are rolled too


@dataclass(frozen=True)
class Teaching:
    """The perspective model that labels panoramas, and how."""

    teacher: str = "general"
    """A model for ordinary photos, which labels the unlabelled panoramas while training: bundled, a folder, a Hub
    repository."""
    labels: Annotated[Path | None, Flag("FOLDER")] = None
    """Labels that `cyclopean label` wrote for the unlabelled panoramas, instead of a teacher."""
    planes: Literal["cube", "tangent"] = "cube"
    """The six faces of a cube, or 18 tangent planes, three times the work."""
    rotate: float = 45.0
    """The cube of faces is turned by up to so many degrees about each axis, anew in every step; 0 never turns it."""
    side: int = 256
    """Side of a face in pixels; half the panorama's height shows what is in it."""

    def __post_init__(self) -> None:
        if not 0 <= self.rotate <= 180:
            raise InputError(f"rotate is {self.rotate}; it needs degrees from 0 to 180.")
        if not 8 <= self.side <= 1024:
            raise InputError(f"side is {self.side}; it needs 8 to 1024 pixels.")


def distil(
    run: Run,
    streams: Streams,
    *,
    teaching: Teaching = Teaching(),
    augment: Augment = TURNED,
    student: StudentName = "mobile",
    width: float = 1.0,
    encoder_weights: Path | None = None,
    loss: Literal["affine", "berhu"] = "affine",
    gt_weight: float = 0.5,
    pseudo_weight: float = 0.5,
    far: float = 10.0,
) -> None:
    """Learn depth of panoramas from few with true depth and many without, which a perspective model labels (Wang and
    Liu 2024). The paper: --student unifuse --batch-size 3 --size 512x1024, 200 epochs.

    Args:
        student: the network.
        width: multiplies the network's channels.
        encoder_weights: pretrained weights of a ResNet to start the student's encoders from: a safetensors file, or a
            transformers folder.
        loss: affine learns disparity up to scale and shift; berhu learns metres.
        gt_weight: weight of the loss of labelled panoramas.
        pseudo_weight: weight of the loss of unlabelled panoramas.
        far: metres; larger true depths are ignored.
    """
    import torch

    from cyclopean.inference import labels, predictor
    from cyclopean.inference.foreign import log_licence
    from cyclopean.methods.base import Frozen
    from cyclopean.methods.depth_anywhere import DepthAnywhere, OnlineTeacher
    from cyclopean.networks.resnet import start_from
    from cyclopean.training.optimisation import adam, adamw, constant
    from cyclopean.training.train import train

    if not 0 < width <= WIDEST:
        raise InputError(f"width is {width}; it needs a number above 0, at most {WIDEST:g}.")
    data = labelled_and_unlabelled(run, streams, augment, rolls=teaching.labels is None)
    torch.manual_seed(run.seed)
    predicts = "disparity" if loss == "affine" else "depth"
    method = DepthAnywhere(
        student, width=width, predicts=predicts, gt_weight=gt_weight, pseudo_weight=pseudo_weight, far=far
    )
    if encoder_weights is not None:
        start_from(method.network, encoder_weights)
    facts: dict[str, Any] = {}
    if streams.unlabelled:
        if teaching.labels is None:
            teacher = predictor.load(teaching.teacher)
            infer = Frozen(labels.FaceModel(teacher))
            method.teacher = OnlineTeacher(infer, teaching.side, teaching.rotate, teaching.planes)
            taught, about = asdict(teaching), labels.described(teacher)
        else:
            method.teacher = files = labels.LabelFiles(teaching.labels)
            taught = files.about
            about = {name: value for name, value in taught.items() if name.startswith("teacher")}
            log_licence(str(about.get("teacher")), str(about.get("teacher_licence")))
        facts = {"unlabelled": [str(p) for p in streams.unlabelled], **about}
        data = replace(data, flags={**data.flags, **taught})
    optimizer = adamw if student == "egformer" else adam
    train("distil", method, data, run, streams.source, optimizer=optimizer, schedule=constant, facts=facts)


def finetune(run: Run, source: Source, *, augment: Augment = TURNED, far: float = 10.0) -> None:
    """Continue to train a distilled model (--init MODEL) on panoramas with true depth, so that it predicts metres.

    The network's disparity is put in 1/m by one scale and one shift, which are fitted to some of the data first and
    then learned along, with BerHu on depth. The paper: --epochs 1 of Stanford2D3D.

    Args:
        far: metres; larger true depths are ignored.
    """
    import torch

    from cyclopean import augmentation
    from cyclopean.geometry import size_of
    from cyclopean.methods.depth_anywhere import DepthAnywhere
    from cyclopean.training import checkpoint, dataset
    from cyclopean.training.dataset_wrappers import length, several
    from cyclopean.training.optimisation import adam, adamw, constant
    from cyclopean.training.train import train

    if run.init is None:
        raise InputError("fine-tuning starts from a distilled model; give --init MODEL (cyclopean train distil).")
    student, before = checkpoint.load(run.init)
    if not isinstance(student, DepthAnywhere):
        raise InputError(f"{run.init} is a model of {student.name}; --init needs one of cyclopean train distil.")
    data = dataset.train_data(source, augment, run, augmentation.mirrored, dataset.target_only)
    data = dataset.then(dataset.labelled_only(dataset.with_truth(data)), augmentation.rolled)
    torch.manual_seed(run.seed)
    method = student.metric(far)
    taught = {k: v for k, v in before.get("training", {}).items() if k.startswith(("teacher", "unlabelled"))}
    if not run.resume:
        height, width = source.size or size_of(data.training[0].depth)
        multiple = method.input_multiple
        size = (max(height // multiple, 1) * multiple, max(width // multiple, 1) * multiple)  # `fit` checks --size
        items = several(data.training, list(range(min(FITTED_ON, length(data.training)))))
        method.fit_metres([augmentation.resize(item, size) for item in items])
    optimizer = adamw if student.arguments["network"] == "egformer" else adam
    facts = {"init": run.init, **taught}
    train(
        "finetune", method, data, replace(run, init=None), source, optimizer=optimizer, schedule=constant, facts=facts
    )


def labelled_and_unlabelled(run: Run, streams: Streams, augment: Augment, rolls: bool) -> "TrainData":
    """Return labelled panoramas, to each of which `streams.ratio` unlabelled ones are joined once it is augmented.

    Which ones is drawn by the item's own seed, so that a run that resumes sees the same.
    """
    from cyclopean import augmentation
    from cyclopean.augmentation import Steps
    from cyclopean.training import dataset
    from cyclopean.training.dataset_wrappers import Joined, length

    data = dataset.train_data(streams.source, augment, run, augmentation.mirrored, dataset.target_only)
    data = dataset.then(dataset.labelled_only(dataset.with_truth(data)), augmentation.rolled)
    if not streams.unlabelled:
        return data
    size = streams.size or data.training[0].depth.shape[-2:]
    fitted = augmentation.Resize((size[0], size[1]))
    others = dataset.unlabelled(streams.unlabelled, streams.masks)
    # labels in files are of the pictures as they are, not rolled
    join = Joined(others, streams.ratio, Steps((fitted, augmentation.rolled) if rolls else (fitted,)))
    flags = {
        **data.flags,
        "unlabelled": ", ".join(path.name for path in streams.unlabelled),
        "masks": "" if streams.masks is None else streams.masks.name,
        "ratio": streams.ratio,
        "number of unlabelled items": length(others),
    }
    return replace(dataset.then(data, join), flags=flags)
