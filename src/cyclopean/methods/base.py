"""What every method is: predict(target, sources) for people, losses(sample) for training."""

from abc import ABC, abstractmethod
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

    `ambiguity` says what `predict` leaves open: nothing (metric), a factor (scale), a factor and an offset of inverse
    depth (affine). `input_multiple`: image sizes must be multiples of it. `projection`: of the pictures it is for.
    `views`: how many pictures `predict` looks at; with 2, the one to the right of the target is its source.
    """

    name: ClassVar[str]
    projection: ClassVar[Literal["pinhole", "equirectangular"]] = "pinhole"
    ambiguity: Ambiguity
    input_multiple: int
    views: int = 1

    @abstractmethod
    def predict(self, target: View, sources: tuple[View, ...] = ()) -> Prediction:
        """Inverse depth of `target`, at its size."""

    @abstractmethod
    def losses(self, sample: Sample) -> dict[str, Float[Tensor, ""]]:
        """Named, weighted scalars; their sum is the objective."""

    @abstractmethod
    def config(self) -> dict[str, Any]:
        """The constructor's arguments as JSON values."""

    def forward(self, sample: Sample) -> dict[str, Float[Tensor, ""]]:
        return self.losses(sample)


def full_precision(like: Tensor) -> torch.autocast:
    """A context without autocast on the device of `like`: geometry, warps and losses run in float32."""
    return torch.autocast(like.device.type, enabled=False)


def known_pose(name: str, source: View) -> Float[Tensor, "b 4 4"]:
    """`source_from_target`, which the method `name` does not predict."""
    if source.from_target is None:
        raise InputError(f"{name} needs the pose of the right camera; give the pair a calibration.")
    return source.from_target


def source_on_the_right(name: str, sample: Sample) -> View:
    """The one source of a stereo pair, after checking that it is what the method `name` was made for."""
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
    """`source_on_the_right` with its principal point moved to where the target's is, so that what is infinitely far
    stays in its place and a disparity is focal * baseline / z alone: for methods that know no cameras.

    Releases crop the right picture otherwise than the left one (`doffs` of Middlebury). Borders become invalid.
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

    def forward(self, *inputs: Any) -> Any:
        with torch.no_grad():
            return self._held[0](*inputs)

    def _apply(self, fn: Any, recurse: bool = True) -> "Frozen":
        """What `to`, `float`, `cuda` ... call."""
        self._held[0]._apply(fn, recurse)
        return super()._apply(fn, recurse)
