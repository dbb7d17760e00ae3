"""Ways to run a method on a view: once, flip-averaged, at two or three scales, and many times in other colours."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from cyclopean import augmentation
from cyclopean.augmentation import monodepth_colour
from cyclopean.errors import InputError
from cyclopean.geometry import size_of
from cyclopean.inference.panorama import add_details
from cyclopean.io.image import resize
from cyclopean.kernels.splatting_gpu import fits_gpu
from cyclopean.methods.base import Method, Prediction
from cyclopean.methods.post_processing import FACTORS, fuse_flipped, fuse_near, fuse_sizes
from cyclopean.sample import Sample, View, view

SMALL = 2 / 3  # of the picture's size, FAL-Net's second look
DETAIL_DEVIATION = (
    1 / 30
)  # of the longer side: the Gaussian that separates the small scale's layout from the large one's details

AnySize = Float[Tensor, "1 3 _ _"]
InverseDepth = Float[Tensor, "b 1 h w"]
Infer = Callable[[Method, View], InverseDepth]
Scales = Callable[[View, Sequence[AnySize]], InverseDepth]


def plain(method: Method, target: View) -> InverseDepth:
    """Return the method's inverse depth."""
    return method.predict(target).inverse_depth


def flip_averaged(method: Method, target: View) -> InverseDepth:
    """Fuse the inverse depths of the view and of its mirror image as Monodepth does (only one counts at each
    border)."""
    return fuse_flipped(plain(method, target), _mirrored(method, target))


def three_sizes(method: Method, target: View) -> InverseDepth:
    """Fuse the inverse depths of three sizes of the view as AQUANet does (Eq. 8 and 9)."""
    full, size = plain(method, target), size_of(target.seen)
    others = [resize(_at_size(plain, method, target, factor), size) for factor in FACTORS]
    return fuse_sizes([full, *others], "paper")


def three_sizes_mirrored(method: Method, target: View) -> InverseDepth:
    """Fuse three sizes of the view as AQUANet's draft does, for rows "(P)": the other two are mirrored."""
    full, size = plain(method, target), size_of(target.seen)
    others = [F.interpolate(_at_size(_mirrored, method, target, factor), size) for factor in FACTORS]
    return fuse_sizes([full, *others], "draft")


def small_where_near(method: Method, target: View) -> InverseDepth:
    """Fuse the inverse depth of the view and of its mirror image at two thirds of the size as FAL-Net does."""
    full, size = plain(method, target), size_of(target.seen)
    return fuse_near(full, F.interpolate(_at_size(_mirrored, method, target, SMALL), size))


@dataclass(frozen=True)
class Autocast:
    """Run `infer` with layers in a `precision` of 16 bits, weights and results in 32."""

    infer: Infer
    precision: Literal["bfloat16", "float16"]

    def __call__(self, method: Method, target: View) -> InverseDepth:
        """Return the inverse depth of a view."""
        with torch.autocast(target.seen.device.type, getattr(torch, self.precision)):
            return self.infer(method, target).float()


def compile_networks(method: Method, backend: str | Callable[..., Any] = "inductor") -> None:
    """Compile the networks of a method by `torch.compile`, in place, when they are first called: its answers stay, to
    rounding, and its weights keep their names.

    `backend` is one of torch's. Raises InputError for "inductor" where no compiler is found, and on a CPU.
    """
    device = next((weight.device for weight in method.parameters()), torch.device("cpu"))
    if backend == "inductor" and device.type != "cuda":
        raise InputError("--compile is for a GPU (--device cuda); on the CPU --backend onnxruntime saves time.")
    if backend == "inductor" and not fits_gpu(torch.ones(1, device=device)):
        raise InputError("--compile needs Triton and a C compiler, and they do not work here; leave it out.")
    for network in method.children():
        network.compile(backend=backend)


# name -> how a view is predicted, by the papers' names for what they do after (or beside) one look
POST_PROCESSES: dict[str, Infer] = {
    "monodepth": flip_averaged,
    "falnet": small_where_near,
    "aquanet": three_sizes,
    "aquanet-draft": three_sizes_mirrored,
}


def _at_size(infer: Infer, method: Method, target: View, factor: float) -> InverseDepth:
    """Return the inverse depth of the view `factor` times as large, in the unit of the view's own."""
    h, w = target.seen.shape[-2:]
    multiple = method.input_multiple
    size = (max(1, round(h * factor / multiple)) * multiple, max(1, round(w * factor / multiple)) * multiple)
    other = augmentation.resize(_alone(target), size).target
    return infer(method, other) / math.sqrt(size[0] * size[1] / (h * w)) ** method.size_power


def _mirrored(method: Method, target: View) -> InverseDepth:
    """Return the inverse depth of the mirror image, mirrored back."""
    return plain(method, augmentation.mirror_sample(_alone(target)).target).flip(-1)


def _alone(target: View) -> Sample:
    """Return a view as a sample without sources or truth."""
    return Sample(target, (), torch.full_like(target.seen[:, :1], torch.nan))


class FocalRecorder(Method):
    """A method whose predicted focal lengths, in image widths, are kept: `infer` returns inverse depth alone."""

    name = "focal recorder"

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method, self.ambiguity, self.input_multiple = method, method.ambiguity, method.input_multiple
        self.focals: list[float] = []

    def predict(self, target: View, sources: tuple[View, ...] = ()) -> Prediction:
        prediction = self.method.predict(target, sources)
        self.focals += prediction.extras["focal"].tolist()
        return prediction

    def losses(self, sample: Sample) -> dict[str, Float[Tensor, ""]]:
        return self.method.losses(sample)


@dataclass(frozen=True)
class ColourSpread:
    """Standard deviation of inverse depth over so many `draws` of random colours, those of training.

    Every other draw is of the mirror image (Monodepth, supplement sec. 5, with 50 draws). The same `seed` gives
    the same result. Raises InputError for fewer than 2 draws.
    """

    draws: int
    seed: int = 0

    def __post_init__(self) -> None:
        if self.draws < 2:
            raise InputError(f"a spread over {self.draws} draws means nothing; give at least 2.")

    def __call__(self, method: Method, target: View) -> InverseDepth:
        generator = torch.Generator().manual_seed(self.seed)
        mean = squares = torch.zeros_like(target.seen[:, :1])
        for n in range(self.draws):
            coloured = monodepth_colour(_alone(target), generator).target
            inverse = _mirrored(method, coloured) if n % 2 else plain(method, coloured)
            difference = inverse - mean
            mean = mean + difference / (n + 1)
            squares = squares + difference * (inverse - mean)
        return (squares / self.draws).sqrt()


@dataclass(frozen=True)
class OneScale:
    """A method at its working size."""

    method: Method
    infer: Infer

    def __call__(self, target: View, _images: Sequence[AnySize]) -> InverseDepth:
        """Return the inverse depth of `target`; the full pictures that it was resized from are not used."""
        return self.infer(self.method, target)


@dataclass(frozen=True)
class TwoScale:
    """A method at its working size and at a smaller one: the layout of the small picture, the details of the large one.

    A network gets the layout best when the picture is small beside its receptive field, and edges when it is large
    (Miangoleh et al., CVPR 2021). The unit is that of the small scale. `small_size` maps a picture's size to the
    smaller working size.
    """

    method: Method
    infer: Infer
    small_size: Callable[[tuple[int, int]], tuple[int, int]]

    def __call__(self, target: View, images: Sequence[AnySize]) -> InverseDepth:
        """Return the inverse depth of `target`; the small scale is resized from the full pictures `images`, of one
        size."""
        size, small_size = size_of(target.seen), self.small_size(size_of(images[0]))
        small = torch.cat([resize(image.to(target.seen.device), small_size) for image in images])
        details = self.infer(self.method, target)
        layout = resize(self.infer(self.method, view(small, target.camera)), size)
        return add_details(layout, details, DETAIL_DEVIATION * max(size), around=False)
