"""View and Sample: what data sets yield and methods read. Frozen; the training loop never looks inside."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, TypeVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from cyclopean.geometry import Camera, Pinhole

T = TypeVar("T")
Image = Float[Tensor, "b 3 h w"]  # RGB
Map = Float[Tensor, "b 1 h w"]
Mask = Bool[Tensor, "b 1 h w"]
OneImage = Float[Tensor, "1 3 h w"]
OneMap = Float[Tensor, "1 1 h w"]
OneMask = Bool[Tensor, "1 1 h w"]
NEAREST, FARTHEST = 1e-6, 1e6  # of true depth, in its unit: what lies beyond is unset memory, or a wrong order of bytes


@dataclass(frozen=True)
class View:
    """One picture and its camera.

    `image` is what losses compare with, `seen` what the network is shown (both `b 3 h w`, RGB in [0,1]); `from_target`
    is `source_from_target` (None: to be predicted); `window` is (u0, v0, u1, v1) of the crop in the full frame; `valid`
    is False where a data set marks pixels as unusable (sky, watermark, moving object, padding).
    """

    image: Float[Tensor, "b 3 h w"]
    seen: Float[Tensor, "b 3 h w"]
    camera: Camera
    from_target: Float[Tensor, "b 4 4"] | None
    window: Float[Tensor, "b 4"]
    valid: Bool[Tensor, "b 1 h w"]

    def __post_init__(self) -> None:
        if self.image.shape != self.seen.shape or self.valid.shape[-2:] != self.image.shape[-2:]:
            raise ValueError(
                f"a View's image, seen and valid need one size: {tuple(self.image.shape)}, "
                f"{tuple(self.seen.shape)}, {tuple(self.valid.shape)}"
            )
        if not self.image.shape[0] == self.window.shape[0] == self.valid.shape[0]:
            raise ValueError("a View's image, window and valid need one batch size")


def view(image: Float[Tensor, "b 3 h w"], camera: Camera, from_target: Float[Tensor, "b 4 4"] | None = None) -> View:
    """Return a View of a whole picture, valid everywhere. `from_target` defaults to identity (a target)."""
    b, _, h, w = image.shape
    eye = torch.eye(4, dtype=image.dtype, device=image.device).expand(b, 4, 4)
    whole = image.new_tensor([0.0, 0.0, 1.0, 1.0]).expand(b, 4)
    everywhere = torch.ones(b, 1, h, w, dtype=torch.bool, device=image.device)
    return View(image, image, camera, eye if from_target is None else from_target, whole, everywhere)


@dataclass(frozen=True)
class Sample:
    """A target view, its sources, and what is known besides.

    `depth` is the target's truth, `b 1 h w`, NaN where unknown, inf for sky: for evaluation and direct supervision.
    `frames` are whole small frames (target, then sources) for pose networks; `zoom` the resize factor that divides a
    predicted translation; `name` one per item.
    """

    target: View
    sources: tuple[View, ...]
    depth: Float[Tensor, "b 1 h w"]
    frames: Float[Tensor, "b n 3 h2 w2"] | None = None
    zoom: Float[Tensor, " b"] | None = None
    name: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        views = (self.target, *self.sources)
        if len({len(v.image) for v in views} | {len(self.depth)}) != 1:
            raise ValueError("all views of a Sample and its depth need one batch size")
        if self.depth.shape[-2:] != self.target.image.shape[-2:]:
            raise ValueError(
                f"a Sample's depth {tuple(self.depth.shape[-2:])} and its target {tuple(self.target.image.shape[-2:])} "
                "need one size"
            )

    def __len__(self) -> int:
        return len(self.target.image)

    def to(self, device: torch.device | str) -> "Sample":
        """Return the same sample on another device."""
        return map_tensors(lambda x: x.to(device, non_blocking=True), self)

    def pin_memory(self) -> "Sample":
        """Return the same sample in pinned memory (called by data loaders)."""
        return map_tensors(lambda x: x.pin_memory(), self)


def collate(samples: Sequence[Sample]) -> Sample:
    """Return one Sample of batch sum(b) from samples alike in everything else."""
    return _merge(list(samples))


def implausible_numbers(sample: Sample) -> str:
    """Return, in words, which items of a batch have pictures that are not finite, or known depth that nothing has
    (below 1e-6 or above 1e6 of its unit, and not infinite); "" if none has.

    Such numbers, not what is learned from them, make a loss overflow.
    """
    odd = []
    for n in range(len(sample)):
        name = sample.name[n] if sample.name else f"item {n} of the batch"
        depth = sample.depth[n]
        known = depth[depth.isfinite()]
        if not all(bool(view.image[n].isfinite().all()) for view in (sample.target, *sample.sources)):
            odd.append(f"{name}, with a picture that is not finite")
        elif len(known) and not NEAREST <= float(known.min()) <= float(known.max()) <= FARTHEST:
            odd.append(f"{name}, with depth of {float(known.min()):.3g} to {float(known.max()):.3g}")
    return " and ".join(odd[:2]) + (f" and {len(odd) - 2} more such items" if len(odd) > 2 else "")


def is_rectified(target: View, source: View) -> bool:
    """Return whether points move along rows only: two pinholes of one focal length, side by side and parallel."""
    here, there, pose = target.camera, source.camera, source.from_target
    if pose is None or not isinstance(here, Pinhole) or not isinstance(there, Pinhole):
        return False
    sideways = torch.eye(4)
    sideways[0, 3] = pose[0, 0, 3]
    return (
        bool(pose[0, 0, 3] != 0)
        and torch.allclose(pose[0], sideways, atol=1e-5)
        and torch.allclose(here.focal, there.focal)
    )


def pair_rig(sample: Sample) -> tuple[float, float] | None:
    """Return focal length (image widths) and baseline of a sample whose one source is a rectified view to its right."""
    if len(sample.sources) != 1 or not is_rectified(sample.target, sample.sources[0]):
        return None
    left, right, pose = sample.target.camera, sample.sources[0].camera, sample.sources[0].from_target
    assert isinstance(left, Pinhole)
    assert isinstance(right, Pinhole)
    assert pose is not None
    alike = torch.equal(left.focal, right.focal) and math.isclose(left.center[0, 1], right.center[0, 1])
    return (float(left.focal[0, 0]), -float(pose[0, 0, 3])) if alike and pose[0, 0, 3] < 0 else None


def calibrated_rig(sample: Sample) -> tuple[float, float] | None:
    """Return `pair_rig`; None also for the stand-in of pairs without calibration (one image width, 1)."""
    rig = pair_rig(sample)
    return None if rig == (1.0, 1.0) else rig


def map_tensors(function: Callable[[Tensor], Tensor], value: T) -> T:
    """Return `value` (nested dataclasses and tuples) with `function` applied to every tensor in it."""
    if isinstance(value, Tensor):
        return function(value)  # type: ignore[return-value]
    if isinstance(value, tuple):
        return tuple(map_tensors(function, v) for v in value)  # type: ignore[return-value]
    if is_dataclass(value) and not isinstance(value, type):
        return type(value)(**{f.name: map_tensors(function, getattr(value, f.name)) for f in fields(value)})
    return value


def _merge(values: list[Any]) -> Any:
    first = values[0]
    if any((v is None) != (first is None) for v in values):
        raise ValueError("samples of one batch must all have a field (a pose, frames, zoom) or all lack it")
    if isinstance(first, Tensor):
        return torch.cat(values)
    if isinstance(first, tuple) and first and isinstance(first[0], str):
        return sum(values, ())
    if isinstance(first, tuple):
        return tuple(_merge(list(vs)) for vs in zip(*values, strict=True))
    if is_dataclass(first) and not isinstance(first, type):
        return type(first)(**{f.name: _merge([getattr(v, f.name) for v in values]) for f in fields(first)})
    return first
