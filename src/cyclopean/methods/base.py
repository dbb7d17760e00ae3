"""The base of all methods: predict(target, sources) for inference, losses(sample) for training."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cyclopean.errors import InputError
from cyclopean.geometry import Pinhole, pixel_grid, size_of
from cyclopean.methods import is_metric
from cyclopean.sample import Sample, View
from cyclopean.synthesis import pull

Ambiguity = Literal["metric", "scale", "affine"]
Losses = dict[str, Float[Tensor, ""]]  # named, weighted; their sum is the objective


@dataclass(frozen=True)
class Prediction:
    """Inverse depth of the target, its uncertainty, and any further outputs of a method."""

    inverse_depth: Float[Tensor, "b 1 h w"]
    uncertainty: Float[Tensor, "b 1 h w"] | None = None
    extras: dict[str, Tensor] = field(default_factory=dict)


class Method(nn.Module, ABC):
    """A way to learn depth. The training loop calls the module, so that data-parallel training reduces its gradients.

    A subclass passes its constructor's arguments to this constructor as JSON values (tuples may stand for lists); they
    are kept for the config of saved models.

    `ambiguity` is what `predict` leaves undetermined: nothing (metric), a factor (scale), a factor and an offset of
    inverse depth (affine). `input_multiple`: image sizes must be multiples of it. `projection`: that of the pictures it
    takes. `views`: how many pictures `predict` takes; with 2, the source is to the right of the target. `size_power`:
    inverse depth of a picture that is resized grows with this power of the factor. `finds_focal`: of a view whose focal
    length is not known (NaN) it predicts that too, `extras["focal"]`, in image widths.
    """

    name: ClassVar[str]
    projection: ClassVar[Literal["pinhole", "equirectangular"]] = "pinhole"
    ambiguity: Ambiguity
    input_multiple: int
    views: int = 1
    size_power: int = 0
    finds_focal: bool = False
    rig: tuple[float, float] | None = None  # of a model for one rig: focal length in image widths, baseline in metres

    def __init__(self, **arguments: Any) -> None:
        super().__init__()
        self.arguments = {name: list(x) if isinstance(x, tuple) else x for name, x in arguments.items()}
        if is_metric(self.name, self.arguments):
            self.ambiguity = "metric"

    def unit(self, rig: Sequence[float]) -> float | None:  # noqa: ARG002
        """Return disparity / inverse depth (1/m) of a rig (focal length in image widths, baseline in metres).

        None if a model without a rig does not predict disparity, so that no rig can make its depth metric.
        """
        return None

    @abstractmethod
    def predict(self, target: View, sources: tuple[View, ...] = ()) -> Prediction:
        """Return the inverse depth of `target`, at its size."""

    @abstractmethod
    def losses(self, sample: Sample) -> Losses:
        """Return named, weighted scalars; their sum is the objective."""

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments as JSON values."""
        return dict(self.arguments)

    def forward(self, sample: Sample) -> Losses:
        return self.losses(sample)


class Paired(Method):
    """A method that learns disparity from pairs. A rig turns it into inverse depth in 1/m.

    Without a `rig` (focal length in image widths, baseline in metres) depth is known up to scale. With one it is
    metric, for scenes like those of its pairs, whatever the focal length f of a picture: networks infer disparity from
    the size of objects and their place in the picture, both of which are proportional to f, and so is the disparity f *
    baseline / z of a point.
    """

    ambiguity = "scale"

    def __init__(self, *, rig: Sequence[float] | None, **arguments: Any) -> None:
        super().__init__(**arguments, rig=None if rig is None else list(rig))
        if rig is not None and not (len(rig) == 2 and all(0 < x < math.inf for x in rig)):
            raise InputError(
                f"the rig is {tuple(rig)}; it needs a focal length in image widths and a baseline in metres, above 0."
            )
        self.rig = None if rig is None else (float(rig[0]), float(rig[1]))

    def unit(self, rig: Sequence[float]) -> float:
        return math.prod(rig)  # of disparities in image widths

    def inverse_depth(self, disparity: Float[Tensor, "b 1 h w"], target: View) -> Float[Tensor, "b 1 h w"]:
        """Return the inverse depth of `target` in 1/m if the rig is known, else `disparity` as it is."""
        if self.rig is None:
            return disparity
        inverse, camera = disparity / self.unit(self.rig), target.camera
        if not isinstance(camera, Pinhole):
            return inverse
        return inverse * (self.rig[0] / camera.focal[:, 0])[:, None, None, None]


def full_precision(like: Tensor) -> torch.autocast:
    """Switch autocast off on the device of `like`: geometry, warps and losses run in float32."""
    return torch.autocast(like.device.type, enabled=False)


def known_pose(name: str, source: View) -> Float[Tensor, "b 4 4"]:
    """Return `source_from_target`, which the method `name` does not predict."""
    if source.from_target is None:
        raise InputError(
            f"{name} needs the pose of each camera, which pictures alone, such as frames of a video, do not contain; "
            "give calibrated stereo pairs, a data set that has poses (docs/data.md), or a model that predicts them "
            "(monodepth2 --pose resnet)."
        )
    return source.from_target


def source_on_the_right(name: str, sample: Sample) -> View:
    """Return the one source of a stereo pair; raise `InputError` unless it is a pinhole camera right of the target."""
    if len(sample.sources) != 1:
        raise InputError(
            f"{name} learns from stereo pairs with one source, and the sample has {len(sample.sources)}; give a "
            "stereo folder, or sources=stereo."
        )
    right = sample.sources[0]
    if not isinstance(sample.target.camera, Pinhole) or not isinstance(right.camera, Pinhole):
        raise InputError(f"{name} needs pinhole cameras; panoramas need another method.")
    if not bool((known_pose(name, right)[:, 0, 3] < 0).all()):
        raise InputError(f"{name} needs its source to the right of the target (t_x < 0); swap left and right.")
    return right


def level_right(name: str, sample: Sample) -> View:
    """Return `source_on_the_right` with its principal point moved to where the target's is.

    Points at infinity then have disparity 0, and disparity is focal * baseline / z, as methods without cameras need.
    Some data sets crop the right picture differently from the left one (`doffs` of Middlebury). Borders become invalid.
    """
    right = source_on_the_right(name, sample)
    apart = right.camera.center - sample.target.camera.center  # type: ignore[attr-defined]
    if not bool((apart != 0).any()):
        return right
    uv = pixel_grid(size_of(right.image), right.image) + apart[:, None, None, :]
    valid = pull(right.valid.to(right.image.dtype), uv, "zeros") > 1 - 1e-3
    camera = Pinhole(right.camera.focal, sample.target.camera.center)  # type: ignore[attr-defined]
    return View(
        pull(right.image, uv, "edge"), pull(right.seen, uv, "edge"), camera, right.from_target, right.window, valid
    )


class Frozen(nn.Module):
    """A teacher or first stage: moved with its method, always in eval mode, outside parameters and state dict."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self._held = (module.eval().requires_grad_(False),)  # in a tuple, so that it is not a submodule

    @property
    def module(self) -> nn.Module:
        """The module that is frozen."""
        return self._held[0]

    def forward(self, *inputs: Any) -> Any:
        with torch.no_grad():
            return self._held[0](*inputs)

    def _apply(self, fn: Any, recurse: bool = True) -> "Frozen":
        """Move the module too when `to`, `float`, `cuda` ... are called."""
        self._held[0]._apply(fn, recurse)
        return super()._apply(fn, recurse)
