"""Options of training: values that recipes take and the command line offers. No torch here."""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

from cyclopean.errors import InputError
from cyclopean.flags import Flag

STATE = "resume.pt"  # in the folder of a run: what it goes on from


@dataclass(frozen=True)
class Run:
    """Output folder, length and devices of a run."""

    out: Annotated[Path, Flag(folder=True)]
    """Folder of the run: models `last` and `best`, log.jsonl, tensorboard, the state to resume from."""
    steps: int = 20_000
    """Gradient steps in all."""
    epochs: float | None = None
    """Passes over all items, instead of --steps."""
    batch_size: int = 8
    """Items per step and process."""
    learning_rate: Annotated[float, Flag(aliases=("--lr",))] = 1e-4
    """Peak of the schedule."""
    seed: int = 0
    """Seed of all random draws."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Precision of the network's convolutions; geometry and losses are always float32."""
    clip_grad_norm: Annotated[float, Flag(hidden=("--clip",))] = 0.0
    """Largest gradient norm; 0 does not clip."""
    ema_decay: Annotated[float, Flag(hidden=("--average",))] = 0.0
    """Decay of the running mean of weights that is saved and validated (such as 0.999); 0 saves the weights
    themselves."""
    workers: int = 1
    """Processes that load data for each training process; 0 loads in the training process."""
    devices: int = 1
    """Processes (one per GPU) on this machine."""
    nodes: int = 1
    """Machines; start each with torchrun or `fabric run`."""
    accelerator: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """What to compute on."""
    save_every: float = 300.0
    """Seconds between checkpoints."""
    validate_every: int = 500
    """Steps between validations; the best model is kept."""
    report_every: int = 50
    """Steps between lines in the log."""
    resume: bool = False
    """Continue the run in `out` from where it stopped."""
    init: str | None = None
    """A model whose weights to start from, with a new schedule."""

    def of(self, items: int) -> "Run":
        """Return the run for a data set of `items` items: its epochs as steps."""
        if self.epochs is None:
            return self
        batches = self.epochs * items / (self.batch_size * self.devices * self.nodes)
        steps = max(1, math.ceil(batches - 1e-6))  # the share of a stage may be a last bit above a whole number
        return replace(self, steps=steps, epochs=None)

    def refuse_taken(self) -> None:
        """Raise InputError if `out` holds a run and this one does not resume it, or holds none to resume."""
        held = (self.out / STATE).exists()
        if held and not self.resume:
            raise InputError(f"{self.out} already holds a run; add --resume to continue it, or give another --out.")
        if self.resume and not held:
            raise InputError(f"{self.out} holds no run to resume; leave --resume out to start one.")

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "devices", "nodes", "validate_every", "report_every"):
            if getattr(self, name) < 1:
                raise InputError(f"{name.replace('_', '-')} is {getattr(self, name)}; it needs at least 1.")
        for name in ("clip_grad_norm", "workers", "save_every"):
            if not 0 <= getattr(self, name) < math.inf:
                raise InputError(f"{name.replace('_', '-')} is {getattr(self, name)}; it needs a number of at least 0.")
        if self.epochs is not None and not 0 < self.epochs < math.inf:
            raise InputError(f"epochs is {self.epochs}; it needs a number above 0.")
        if not 0 < self.learning_rate < math.inf:
            raise InputError(f"learning-rate is {self.learning_rate}; it needs a number above 0.")
        if not 0 <= self.ema_decay < 1:
            raise InputError(f"ema-decay is {self.ema_decay}; it needs a decay in [0, 1), such as 0.999.")
        if any("\ud800" <= character <= "\udfff" for character in str(self.out.absolute())):
            raise InputError(f"the path of {self.out} is not UTF-8, which TensorBoard needs; give another --out.")


Network = Literal[
    "vgg", "compact", "mobile", "compact-residual", "mobile-residual",
    "resnet18", "resnet50", "resnet50-elu", "resnet50-elu-projected",
]  # fmt: skip
StudentName = Literal["unifuse", "unifuse34", "unifuse50", "bifuse++", "hohonet", "egformer", "mobile", "coordnet"]
SphereLoss = Literal["auto", "berhu", "reverse-huber", "l1", "ssi"]
Folders = Annotated[tuple[Path, ...], Flag("FOLDER[,FOLDER]")]
Names = Annotated[tuple[str, ...], Flag("NAME[,NAME]")]
Size = Annotated[tuple[int, ...], Flag("HEIGHTxWIDTH", separator="x")]
WIDEST = 8.0  # times as many channels as published
LARGEST = 16  # megapixels of a picture: far beyond what networks of this kind are trained on


@dataclass(frozen=True)
class Backbone:
    """The network."""

    network: Network = "vgg"
    """Monodepth's VGG (31.6 M parameters at width 1), lighter ones (residual: each head corrects the coarser one, as
    small pictures need), ResNets with normalisation, Monodepth's ResNet50
    without (elu: 49.5 M parameters; projected: 58.5 M, as released)."""
    width: float = 1.0
    """Multiplies the network's channels."""
    encoder_weights: Annotated[Path | None, Flag(hidden=("--start",))] = None
    """Pretrained weights of a ResNet to start the encoder from: a safetensors file, or a transformers folder."""

    def __post_init__(self) -> None:
        if not 0 < self.width <= WIDEST:
            raise InputError(f"width is {self.width}; it needs a number above 0, at most {WIDEST:g}.")


@dataclass(frozen=True)
class Source:
    """Where pictures come from: folders, or worlds rendered while training."""

    data: Folders = ()
    """Folders written by `cyclopean render` or of your own stereo pairs, or data sets as KIND:PATH (docs/data.md)."""
    world: Names = ()
    """Worlds to render while training (all: street, room, table, landscape; others: docs/worlds.md); on a CPU run
    `cyclopean render` first."""
    items: int = 20_000
    """Number of scenes to render while training; families alternate."""
    pictures: Path | None = None
    """A folder of photographs for the walls and things of worlds."""
    validation: Folders = ()
    """Validation folders; without them every 50th item of the data is held out, at most 64 (of few items five, or a
    tenth)."""
    size: Size = ()
    """Size that pictures are resized to, such as 192x384; without it they keep theirs."""

    def __post_init__(self) -> None:
        if bool(self.data) == bool(self.world):
            raise InputError("training needs pictures: give --data FOLDER, or --world NAME to render while training.")
        if self.items < 1:
            raise InputError(f"items is {self.items}; it needs at least 1.")
        if self.size and (len(self.size) != 2 or min(self.size) < 1):
            raise InputError(f"size is {'x'.join(map(str, self.size))}; it needs HEIGHTxWIDTH in pixels.")
        if math.prod(self.size) > LARGEST * 1e6:
            raise InputError(
                f"size is {'x'.join(map(str, self.size))}, {math.prod(self.size) / 1e6:g} megapixels a picture; "
                f"training takes at most {LARGEST}: give a smaller --size, such as 192x384."
            )


@dataclass(frozen=True)
class Streams:
    """Two streams of panoramas: with true depth, and without."""

    labelled: Folders
    """Panoramas with true depth, as for --data: folders of `cyclopean render --rig sphere`, or data sets as KIND:PATH
    (docs/data.md)."""
    unlabelled: Folders = ()
    """Panoramas to be labelled by the teacher: folders of pictures, films of a 360-degree camera, or data sets; true
    depth that they have is not used. Without any, only the labelled ones are learned from."""
    ratio: int = 1
    """Unlabelled panoramas for each labelled one; --batch-size counts the labelled ones."""
    masks: Annotated[Path | None, Flag("FOLDER")] = None
    """Masks of the unlabelled panoramas (cyclopean mask): grey pictures under the same names, white where the panorama
    counts."""
    validation: Folders = ()
    """Validation folders, labelled; without them some of the labelled items are held out."""
    size: Size = ()
    """Size that panoramas are resized to, such as 256x512; without it, that of the labelled ones."""

    def __post_init__(self) -> None:
        if not self.labelled:
            raise InputError("distilling needs some panoramas with true depth: give --labelled FOLDER.")
        if not 1 <= self.ratio <= 64:
            raise InputError(f"ratio is {self.ratio}; it needs 1 to 64 unlabelled panoramas for each labelled one.")
        if self.masks is not None and not self.masks.is_dir():
            raise InputError(f"there is no folder {self.masks}; cyclopean mask makes one.")
        _ = self.source  # checks the size

    @property
    def source(self) -> Source:
        """The labelled stream, as other methods know it."""
        return Source(self.labelled, validation=self.validation, size=self.size)


@dataclass(frozen=True)
class Augment:
    """Augmentation of the pictures; every number but the last three is a probability."""

    flip: float = 0.5
    """Mirrored; stereo pairs swap left and right so that the source stays on the right."""
    swap: float = 0.0
    """Depth is predicted for the other picture of a pair (monodepth2: left and right do not matter)."""
    colour: float = 0.0
    """Monodepth's gamma, brightness and channels, of the network's input and of the pictures compared."""
    separate: float = 0.0
    """FAL-Net's and AQUANet's: the same three, each changed by itself in half of the pictures that are changed."""
    reverse: float = 0.0
    """Time runs backwards: of a video, what was taken after the target counts as taken before it."""
    jitter: float = 0.0
    """Strong colour changes of the network's input only: balance, gamma, contrast, saturation, grey."""
    mild: float = 0.0
    """Monodepth2's brightness, contrast, saturation and hue, of the network's input only."""
    blur: float = 0.0
    """Gaussian blur of the network's input."""
    noise: float = 0.0
    """Sensor noise in the network's input."""
    erase: float = 0.0
    """A patch of the network's input is painted over."""
    min_crop: Annotated[float, Flag(hidden=("--smallest",))] = 1.0
    """Height of the smallest random crop, as a share of the largest that fits; 1 takes the whole picture."""
    aspect_jitter: Annotated[float, Flag(hidden=("--stretch",))] = 1.0
    """Largest change of a random crop's aspect ratio."""
    min_scale: Annotated[float, Flag(hidden=("--shrink",))] = 1.0
    """Each batch has a random size between this share of --size and all of it; 1 keeps one size."""

    def __post_init__(self) -> None:
        for name in ("flip", "swap", "colour", "separate", "reverse", "jitter", "mild", "blur", "noise", "erase"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} is {getattr(self, name)}; it needs a probability in [0, 1].")
        if not 0 < self.min_crop <= 1 or not 1 <= self.aspect_jitter < math.inf:
            raise InputError(
                f"min-crop is {self.min_crop} and aspect-jitter {self.aspect_jitter}; they need (0, 1] and at least 1."
            )
        if not 0 < self.min_scale <= 1:
            raise InputError(f"min-scale is {self.min_scale}; it needs a share of the size in (0, 1].")


# What a user may name; the table of each kind (`ERRORS`, `WARPS` ...) gives these names their functions.
HeadName = Literal["disparity", "range", "levels"]
WarpName = Literal["linear", "linearized", "nearest"]
BorderName = Literal["zeros", "edge"]
ErrorName = Literal["ssim", "ssim-reflected", "l1", "l2"]
ScalesName = Literal["native", "full", "finest"]
SmoothName = Literal["edges", "proportional", "squared"]


@dataclass(frozen=True)
class LossConfig:
    """Names of the parts of a photometric loss (`methods.photometric`). The defaults are Monodepth's."""

    head: HeadName = "disparity"
    """Disparity up to 0.3 of the width (Monodepth), a range of depths (Monodepth2), or a mean over levels (FAL-Net)."""
    warp: WarpName = "linear"
    """How colours are sampled: bilinear; Garg's linearisation; or nearest, which has no gradient and learns nothing."""
    border: BorderName = "zeros"
    """Values outside a picture: black, or the nearest border pixel. Panoramas wrap around."""
    error: ErrorName = "ssim"
    """SSIM on whole windows and L1 (Monodepth), SSIM on reflected borders and L1 (Monodepth2), L1, or L2."""
    mask: str = "none"
    """Masks of the error, joined by +: inside, best (source), auto (without static pixels), unoccluded (Schellevis),
    explained (Zhou: by the pose network cnn, one for each source), learned (the depth network's, one for all), or
    none."""
    scales: ScalesName = "native"
    """Compare at each scale's own size, at full size, or only the finest scale."""
    smooth: SmoothName = "edges"
    """Smooth except at edges (Monodepth), the same divided by the mean (Monodepth2), or squared (Garg)."""
    smoothness: float = 0.1
    """Weight of smoothness at the finest scale; halved from scale to scale."""
    features: str = "none"
    """Compare features too: own (the network's first ones), or a folder or file with a ResNet's weights."""

    @property
    def masks(self) -> tuple[str, ...]:
        """Names in `mask`, in their order."""
        return tuple(name for name in self.mask.split("+") if name not in ("", "none"))

    def __post_init__(self) -> None:
        if not 0 <= self.smoothness < math.inf:
            raise InputError(f"smoothness is {self.smoothness}; it needs a weight of at least 0.")


MONODEPTH = LossConfig()
MONODEPTH2 = LossConfig("range", "linear", "edge", "ssim-reflected", "best+auto", "full", "proportional", 1e-3)
GARG = LossConfig("disparity", "linearized", "zeros", "l2", "none", "finest", "squared", 0.01)


Boosting = Literal["paper", "draft"]


@dataclass(frozen=True)
class VolumeConfig:
    """What AQUANet renders other views through, and what its loss is made of."""

    network: Literal["aquanet", "plade", "dirnet"] = "aquanet"
    """AQUANet's; PLADE-Net's, whose levels are in equal proportions (vPLADE-Net, with 49 --levels); or without levels,
    which needs --warp backward (DIRNet-BW)."""
    levels: int = 33
    """How many inverse depths are hypothesised for each pixel."""
    least: float = 0.005
    """The smallest of them, in 1/m if poses are in metres."""
    most: float = 0.3
    """The largest; what is nearer than 1/most cannot be told."""
    spacing: Literal["adaptive", "exponential", "linear"] = "adaptive"
    """Of the levels: by a map of exponents that is learned, in equal proportions, or in equal steps."""
    planes: Literal["target", "source"] = "target"
    """Levels are planes before the view whose depth is predicted, or before the one that is made (the paper)."""
    warp: Literal["forward", "backward"] = "forward"
    """Sources are made from the target through its levels, or the target is fetched from its sources (DIRNet-BW)."""
    translation: Literal["direct", "invariant", "inverse"] = "direct"
    """Of a picture resized by s: divided by s (so inverse depth is proportional to s), left alone, or times s."""
    mask: Literal["none", "auto", "spimo"] = "spimo"
    """What does not count: nothing, what looks better if nothing moved (Monodepth2), or in the second stage what
    moves by itself, as predictions with shifted positions tell."""
    threshold: float = 0.03
    """A pixel moves by itself if its depths vary by more, as a share of their squared mean."""
    passes: int = 4
    """How often depth is predicted for a mask: 3 shifts positions sideways, 4 up as well."""
    boost: float = 0.1
    """Weight of the boosting loss of the second stage, from predictions at three sizes an epoch before."""
    boosting: Boosting = "paper"
    """Which estimates set the weights when three sizes are fused: all three (paper, Eq. 9), or the whole picture's, the
    other two being of the picture mirrored (draft)."""
    ground: Literal["draft", "paper"] = "draft"
    """What depth the kick-start is told: far above the middle of the whole picture and nearer below (draft), or nearer
    from the first row on (paper)."""
    full: bool = False
    """The boosted depth is one more of those whose variation masks what moves (the paper's AQUANet(full))."""
    ignore_top: bool = False
    """What stands in the upper three eighths of the whole picture never counts as moving (the draft)."""
    smoothness: float = 0.1
    """Weight of smoothness."""

    def __post_init__(self) -> None:
        if self.levels < 2 or not 0 < self.least < self.most < math.inf:
            raise InputError(
                f"levels are {self.levels} from {self.least} to {self.most}; they need at least 2, and "
                "0 < least < most."
            )
        if self.network == "dirnet" and self.warp == "forward":
            raise InputError("network dirnet has no levels to make views through; give --warp backward.")
        if self.passes not in (3, 4):
            raise InputError(f"passes is {self.passes}; it needs 3 or 4.")
        if not (self.threshold > 0 and min(self.boost, self.smoothness) >= 0):
            raise InputError("threshold needs a number above 0; boost and smoothness need weights of at least 0.")


@dataclass(frozen=True)
class FalnetConfig:
    """FAL-Net's levels and losses."""

    levels: int = 49
    """How many disparities are hypothesised for each pixel."""
    least: float = 2 / 1242
    """The smallest of them, a share of the picture's width (2 px of KITTI)."""
    most: float = 300 / 1242
    """The largest (300 px of KITTI)."""
    smoothness: float = 0.2 * 2 / 512
    """Weight of smoothness in pixels in the first stage; doubled in the second."""

    def __post_init__(self) -> None:
        if self.levels < 2 or not 0 < self.least < self.most <= 1:
            raise InputError(
                f"levels are {self.levels} from {self.least} to {self.most}; they need at least 2, and "
                "0 < least < most <= 1."
            )
        if not 0 <= self.smoothness < math.inf:
            raise InputError(f"smoothness is {self.smoothness}; it needs a weight of at least 0.")


PoseName = Literal["auto", "none", "resnet", "cnn", "posenet", "posenet-dr"]
Intrinsics = Literal["known", "learned"]
ScheduleName = Literal["halving", "tenth", "cosine"]
Rig = tuple[float, float]  # focal length in image widths, baseline in metres


@dataclass(frozen=True)
class Pairs:
    """Training of a method for stereo pairs."""

    schedule: ScheduleName = "halving"
    """Learning rate: halved at 3/5 and 4/5 of the steps, a tenth from 3/4, or a half cosine after a short rise."""
    rig: Rig | None = None
    """Focal length in image widths and baseline in metres, of pairs that are not calibrated; calibrated pairs of
    one rig need none. A model with a rig predicts metres; without one, depth up to scale."""
