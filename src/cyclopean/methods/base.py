"""The base of all methods: predict(target, sources) for people, losses(sample) for training."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cyclopean.errors import InputError
from cyclopean.geometry import Pinhole, pixel_grid
from cyclopean.sample import Sample, View
from cyclopean.synthesis import pull

Ambiguity = Literal["metric", "scale", "affine"]


@dataclass(frozen=True)
class Prediction:
    """Inverse depth of the target, what is uncertain about it, and whatever else a method can show."""

    inverse_depth: Float[Tensor, "b 1 h w"]
    uncertainty: Float[Tensor, "b 1 h w"] | None = None
    extras: dict[str, Tensor] = field(default_factory=dict)


class Method(nn.Module, ABC):
    """A way to learn depth. The loop calls the module itself, so that several processes reduce its gradients.

    Its constructor hands its arguments to this one as JSON values (tuples may stand for lists), which keeps them for
    the config of saved models.

    `ambiguity` says what `predict` leaves open: nothing (metric), a factor (scale), a factor and an offset of inverse
    depth (affine). `input_multiple`: image sizes must be multiples of it. `projection`: of the pictures it is for.
    `views`: how many pictures `predict` looks at; with 2, the one to the right of the target is its source.
    """

    name: ClassVar[str]
    projection: ClassVar[Literal["pinhole", "equirectangular"]] = "pinhole"
    ambiguity: Ambiguity
    input_multiple: int
    views: int = 1
    rig: tuple[float, float] | None = None  # of a model for one rig: focal length in image widths, baseline in metres

    def __init__(self, **arguments: Any) -> None:
        super().__init__()
        self.arguments = {name: list(x) if isinstance(x, tuple) else x for name, x in arguments.items()}

    def unit(self, rig: Sequence[float]) -> float | None:  # noqa: ARG002
        """Return disparity / inverse depth (1/m) of a rig (focal length in image widths, baseline in metres).

        None where what a model without a rig predicts is no such disparity, and no rig makes metres of it.
        """
        return None

    @abstractmethod
    def predict(self, target: View, sources: tuple[View, ...] = ()) -> Prediction:
        """Return the inverse depth of `target`, at its size."""

    @abstractmethod
    def losses(self, sample: Sample) -> dict[str, Float[Tensor, ""]]:
        """Return named, weighted scalars; their sum is the objective."""

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments as JSON values."""
        return dict(self.arguments)

    def forward(self, sample: Sample) -> dict[str, Float[Tensor, ""]]:
        return self.losses(sample)


class Paired(Method):
    """A method that learns disparity from pairs. A rig turns it into inverse depth in 1/m.

    Without a `rig` (focal length in image widths, baseline in metres) depth is known up to scale. With one it is
    metric, for scenes like those of its pairs, whatever the focal length f of a picture: networks judge disparity by
    how large things are and where they stand in the picture, both of which are proportional to f, and so is the
    disparity f * baseline / z of a point.
    """

    def __init__(self, *, rig: Sequence[float] | None, **arguments: Any) -> None:
        super().__init__(**arguments, rig=None if rig is None else list(rig))
        if rig is not None and not (len(rig) == 2 and all(0 < x < math.inf for x in rig)):
            raise InputError(
                f"the rig is {tuple(rig)}; it needs a focal length in image widths and a baseline in metres, above 0."
            )
        self.rig = None if rig is None else (float(rig[0]), float(rig[1]))
        self.ambiguity = "scale" if rig is None else "metric"

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
            f"{name} needs to know where each camera stood, which pictures alone, as frames of a video, do not tell; "
            "give calibrated stereo pairs, a data set that has poses (docs/data.md), or a model that predicts them "
            "(monodepth2 --pose resnet)."
        )
    return source.from_target


def source_on_the_right(name: str, sample: Sample) -> View:
    """Return the one source of a stereo pair, after checking that it is what the method `name` was made for."""
    if len(sample.sources) != 1:
        raise InputError(
            f"{name} learns from stereo pairs, one source for each target, and was given {len(sample.sources)}; give a "
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

    What is infinitely far then stays in its place and a disparity is focal * baseline / z alone, as methods without
    cameras need it. Releases crop the right picture otherwise than the left one (`doffs` of Middlebury). Borders become
    invalid.
    """
    right = source_on_the_right(name, sample)
    apart = right.camera.center - sample.target.camera.center  # type: ignore[attr-defined]
    if not bool((apart != 0).any()):
        return right
    uv = pixel_grid((right.image.shape[-2], right.image.shape[-1]), right.image) + apart[:, None, None, :]
    valid = pull(right.valid.to(right.image.dtype), uv, "zeros") > 1 - 1e-3
    camera = Pinhole(right.camera.focal, sample.target.camera.center)  # type: ignore[attr-defined]
    return View(
        pull(right.image, uv, "edge"), pull(right.seen, uv, "edge"), camera, right.from_target, right.window, valid
    )


class Frozen(nn.Module):
    """A teacher or first stage: moved with its method, always in eval mode, outside parameters and state dict."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self._held = (module.eval().requires_grad_(False),)  # in a tuple, so that it is no submodule

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
