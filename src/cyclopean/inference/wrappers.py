"""Ways to run a method on a view: once, flip-averaged, at two scales, and many times in other colours."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from cyclopean.augmentation import monodepth_colour
from cyclopean.errors import InputError
from cyclopean.inference.panorama import add_details
from cyclopean.io.image import resize
from cyclopean.methods.base import Method, Prediction
from cyclopean.methods.photometric import postprocess
from cyclopean.sample import Sample, View, view

DETAIL_DEVIATION = (
    1 / 30
)  # of the longer side: the Gaussian that separates the small scale's layout from the large one's details

Image = Float[Tensor, "1 3 _ _"]
InverseDepth = Float[Tensor, "b 1 h w"]
Infer = Callable[[Method, View], InverseDepth]
Scales = Callable[[View, Image], InverseDepth]


def plain(method: Method, target: View) -> InverseDepth:
    """Return the method's inverse depth."""
    return method.predict(target).inverse_depth


def flip_averaged(method: Method, target: View) -> InverseDepth:
    """Fuse the inverse depths of the view and of its mirror image as Monodepth does (only one counts at each
    border)."""
    return postprocess(plain(method, target), _mirrored(method, target))


def _mirrored(method: Method, target: View) -> InverseDepth:
    """Return the inverse depth of the mirror image, mirrored back."""
    image, seen, valid = (x.flip(-1) for x in (target.image, target.seen, target.valid))
    mirror = replace(target, image=image, seen=seen, valid=valid, camera=target.camera.mirrored())
    return plain(method, mirror).flip(-1)


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
            coloured = monodepth_colour(Sample(target, (), torch.full_like(mean, torch.nan)), generator).target
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

    def __call__(self, target: View, _image: Image) -> InverseDepth:
        """Return the inverse depth of `target`; the full picture that it was resized from is not used."""
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

    def __call__(self, target: View, image: Image) -> InverseDepth:
        """Return the inverse depth of `target`; the small scale is resized from the full picture `image`."""
        size = (target.seen.shape[-2], target.seen.shape[-1])
        small = resize(image.to(target.seen.device), self.small_size((image.shape[-2], image.shape[-1])))
        details = self.infer(self.method, target)
        layout = resize(self.infer(self.method, view(small, target.camera)), size)
        return add_details(layout, details, DETAIL_DEVIATION * max(size), around=False)
