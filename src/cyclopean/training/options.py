"""Options of a training: values that recipes take and the command line shows. No torch here."""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

from cyclopean.choices import STATE
from cyclopean.errors import InputError
from cyclopean.flags import Flag


@dataclass(frozen=True)
class Run:
    """Where results go, for how long, on what."""

    out: Annotated[Path, Flag(folder=True)]
    """Folder of the run: models `last` and `best`, log.jsonl, tensorboard, the state to resume from."""
    steps: int = 20_000
    """Gradient steps in all."""
    epochs: float | None = None
    """Instead of --steps: how often all items are seen."""
    batch_size: int = 8
    """Items per step and process."""
    learning_rate: Annotated[float, Flag(aliases=("--lr",))] = 1e-4
    """Peak of the schedule."""
    seed: int = 0
    """Every draw is a function of it."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the network's convolutions; geometry and losses are float32 always."""
    clip: Annotated[float, Flag(name="--clip-grad-norm", hidden=("--clip",))] = 0.0
    """Largest gradient norm; 0 does not clip."""
    average: Annotated[float, Flag(name="--ema-decay", hidden=("--average",))] = 0.0
    """Decay of the running mean of weights that is saved and judged (0.999, say); 0 saves the weights themselves."""
    workers: int = 1
    """Processes that read data beside each training process; 0 reads in turn."""
    devices: int = 1
    """Processes (one per GPU) on this machine."""
    nodes: int = 1
    """Machines; start each with torchrun or `fabric run`."""
    accelerator: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """What to compute on."""
    save_every: float = 300.0
    """Seconds between checkpoints."""
    validate_every: int = 500
    """Steps between looks at the validation set; the best model is kept."""
    report_every: int = 50
    """Steps between lines in the log."""
    resume: bool = False
    """Go on where the run in `out` stopped."""
    init: str | None = None
    """A model whose weights to start from, with a fresh schedule."""

    def of(self, items: int) -> "Run":
        """Return the run for so many items: its epochs as steps."""
        if self.epochs is None:
            return self
        steps = math.ceil(self.epochs * items / (self.batch_size * self.devices * self.nodes))
        return replace(self, steps=steps, epochs=None)

    def refuse_taken(self) -> None:
        """Raise InputError if `out` holds a run and this one does not go on with it, or holds none to go on with."""
        held = (self.out / STATE).exists()
        if held and not self.resume:
            raise InputError(f"{self.out} already holds a run; add --resume to go on with it, or give another --out.")
        if self.resume and not held:
            raise InputError(f"{self.out} holds no run to resume; leave --resume out to start one.")

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "devices", "nodes", "validate_every", "report_every"):
            if getattr(self, name) < 1:
                raise InputError(f"{name.replace('_', '-')} is {getattr(self, name)}; it needs at least 1.")
        for name, value in (("clip-grad-norm", self.clip), ("workers", self.workers), ("save-every", self.save_every)):
            if not 0 <= value < math.inf:
                raise InputError(f"{name} is {value}; it needs a number of at least 0.")
        if self.epochs is not None and not 0 < self.epochs < math.inf:
            raise InputError(f"epochs is {self.epochs}; it needs a number above 0.")
        if not 0 < self.learning_rate < math.inf:
            raise InputError(f"learning-rate is {self.learning_rate}; it needs a number above 0.")
        if not 0 <= self.average < 1:
            raise InputError(f"ema-decay is {self.average}; it needs a decay in [0, 1), 0.999 say.")


Network = Literal["vgg", "compact", "mobile", "resnet18", "resnet50", "resnet50-elu", "resnet50-elu-projected"]
Folders = Annotated[tuple[Path, ...], Flag("FOLDER[,FOLDER]")]
Names = Annotated[tuple[str, ...], Flag("NAME[,NAME]")]
Size = Annotated[tuple[int, ...], Flag("HEIGHTxWIDTH", separator="x")]
WIDEST = 8.0  # times as many channels as published
LARGEST = 16  # megapixels of a picture: far beyond what networks of this kind are trained on


@dataclass(frozen=True)
class Backbone:
    """The network."""

    network: Network = "vgg"
    """Monodepth's VGG (31.6 M parameters at width 1), lighter ones, ResNets with normalisation, Monodepth's ResNet50
    without (elu: 49.5 M parameters; projected: 58.5 M, as released)."""
    width: float = 1.0
    """Multiplies the network's channels."""
    start: Annotated[Path | None, Flag(name="--encoder-weights", hidden=("--start",))] = None
    """A ResNet's trained weights to start the encoder from: a safetensors file, or a folder of transformers."""

    def __post_init__(self) -> None:
        if not 0 < self.width <= WIDEST:
            raise InputError(f"width is {self.width}; it needs a number above 0, at most {WIDEST:g}.")


@dataclass(frozen=True)
class Source:
    """Where pictures come from: folders, or worlds rendered while training."""

    data: Folders = ()
    """Folders written by `cyclopean render` or of your own stereo pairs, or data sets as KIND:PATH (docs/data.md)."""
    world: Names = ()
    """Worlds to render while training (all: street, room, table, landscape; clutter); on a CPU run `cyclopean
    render` first."""
    items: int = 20_000
    """How many scenes, when rendering while training; families take turns."""
    pictures: Path | None = None
    """A folder of photographs for the walls and things of worlds."""
    validation: Folders = ()
    """Folders to judge by; without them every 50th item of the data is held out, at most 64 (of few items five, or a
    tenth)."""
    size: Size = ()
    """Pictures are resized to this (192x384); without it they stay as they are."""

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
                f"training takes at most {LARGEST}: give a smaller --size, 192x384 say."
            )


@dataclass(frozen=True)
class Augment:
    """How pictures are changed while training; every number but the last three is a probability."""

    flip: float = 0.5
    """Mirrored; stereo pairs swap left and right so that the source stays on the right."""
    swap: float = 0.0
    """The other picture of a pair is the one whose depth is told (monodepth2: it knows no left and right)."""
    colour: float = 0.0
    """Monodepth's gamma, brightness and channels, of what is seen and of what is compared."""
    jitter: float = 0.0
    """Strong colour changes of what is seen only: balance, gamma, contrast, saturation, grey."""
    mild: float = 0.0
    """Monodepth2's brightness, contrast, saturation and hue, of what is seen only."""
    blur: float = 0.0
    """Gaussian blur of what is seen."""
    noise: float = 0.0
    """Sensor noise in what is seen."""
    erase: float = 0.0
    """A patch of what is seen is painted over."""
    smallest: Annotated[float, Flag(name="--min-crop", hidden=("--smallest",))] = 1.0
    """Height of the smallest random part, as a share of the largest that fits; 1 takes the whole picture."""
    stretch: Annotated[float, Flag(name="--aspect-jitter", hidden=("--stretch",))] = 1.0
    """Largest change of a random part's aspect."""
    shrink: Annotated[float, Flag(name="--min-scale", hidden=("--shrink",))] = 1.0
    """Each batch is learned at a size drawn between this share of --size and all of it; 1 keeps one size."""

    def __post_init__(self) -> None:
        for name in ("flip", "swap", "colour", "jitter", "mild", "blur", "noise", "erase"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} is {getattr(self, name)}; it needs a probability in [0, 1].")
        if not 0 < self.smallest <= 1 or not 1 <= self.stretch < math.inf:
            raise InputError(
                f"min-crop is {self.smallest} and aspect-jitter {self.stretch}; they need (0, 1] and at least 1."
            )
        if not 0 < self.shrink <= 1:
            raise InputError(f"min-scale is {self.shrink}; it needs a share of the size in (0, 1].")


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
    """How colours are fetched: bilinear; Garg's linearisation; nearest, without a gradient, teaches nothing."""
    border: BorderName = "zeros"
    """What lies outside a picture: black, or its last pixel again. Panoramas wrap around."""
    error: ErrorName = "ssim"
    """SSIM on whole windows and L1 (Monodepth), SSIM on reflected borders and L1 (Monodepth2), L1, or L2."""
    mask: str = "none"
    """What of the error counts, joined by +: inside, best (source), auto (nothing that looks static), unoccluded
    (Schellevis), learned (Zhou), or none."""
    scales: ScalesName = "native"
    """Compared at each scale's own size, at full size, or only the finest scale."""
    smooth: SmoothName = "edges"
    """Smooth but for edges (Monodepth), the same in proportion to the mean (Monodepth2), or squared (Garg)."""
    smoothness: float = 0.1
    """Weight of smoothness at the finest scale; halved from scale to scale."""
    features: str = "none"
    """Compare features too: own (the network's first ones), or a folder or file with a ResNet's weights."""

    @property
    def masks(self) -> tuple[str, ...]:
        """The names in `mask`, in their order."""
        return tuple(name for name in self.mask.split("+") if name not in ("", "none"))

    def __post_init__(self) -> None:
        if not 0 <= self.smoothness < math.inf:
            raise InputError(f"smoothness is {self.smoothness}; it needs a weight of at least 0.")


MONODEPTH = LossConfig()
MONODEPTH2 = LossConfig("range", "linear", "edge", "ssim-reflected", "best+auto", "full", "proportional", 1e-3)
GARG = LossConfig("disparity", "linearized", "zeros", "l2", "none", "finest", "squared", 0.01)


@dataclass(frozen=True)
class VolumeConfig:
    """What AQUANet renders other views through, and what its loss is made of."""

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
    smoothness: float = 0.1
    """Weight of smoothness."""

    def __post_init__(self) -> None:
        if self.levels < 2 or not 0 < self.least < self.most < math.inf:
            raise InputError(
                f"levels are {self.levels} from {self.least} to {self.most}; they need at least 2, and "
                "0 < least < most."
            )
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


PoseName = Literal["auto", "none", "resnet", "cnn"]
ScheduleName = Literal["halving", "tenth", "cosine"]
Rig = tuple[float, float]  # focal length in image widths, baseline in metres


@dataclass(frozen=True)
class Pairs:
    """How a method of pairs learns."""

    schedule: ScheduleName = "halving"
    """Of the learning rate: halved at 3/5 and 4/5 of the steps, a tenth from 3/4, or a half cosine after a short
    rise."""
    rig: Rig | None = None
    """Focal length in image widths and baseline in metres, of pairs that are not calibrated. Calibrated pairs of one
    rig tell it themselves. The model keeps it and tells metres; without one, depth up to scale."""
