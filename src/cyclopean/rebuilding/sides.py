"""Views, what a network says of them, and the two brought together at every scale."""

from collections.abc import Callable
from dataclasses import dataclass

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from cyclopean.errors import InputError
from cyclopean.geometry import Camera
from cyclopean.losses import pyramid
from cyclopean.sample import View

Map = Float[Tensor, "b 1 h w"]
Features = Callable[[Float[Tensor, "b 3 h w"]], list[Tensor]]


@dataclass(frozen=True)
class Said:
    """What a network says of one view at each scale, finest first: nearness, and how far to believe it ([0,1])."""

    nearness: tuple[Tensor, ...]
    beliefs: tuple[Tensor, ...] = ()


@dataclass(frozen=True)
class Side:
    """One view at one scale. `nearness` is None for a view of which nothing is said."""

    camera: Camera
    image: Float[Tensor, "b c h w"]
    weight: Map
    nearness: Map | None = None
    belief: Map | None = None


@dataclass(frozen=True)
class Source:
    """Another view: what is said of it if anything, and its pose from the view that is rebuilt."""

    view: View
    pose: Float[Tensor, "b 4 4"]
    said: Said | None = None


def native(view: View, said: Said | None, scales: int) -> list[Side]:
    """Each scale at its own size: pictures shrunk by area."""
    images, weights = (pyramid(x, scales) for x in (view.image, view.valid.to(view.image.dtype)))
    return [
        Side(view.camera, image, weight, *_at(said, s))
        for s, (image, weight) in enumerate(zip(images, weights, strict=True))
    ]


def full(view: View, said: Said | None, scales: int) -> list[Side]:
    """Each scale at full size: what is said is enlarged (Monodepth2, sec. 3.2)."""
    weight, size = view.valid.to(view.image.dtype), (view.image.shape[-2], view.image.shape[-1])
    return [
        Side(view.camera, view.image, weight, *(x if x is None else resized(x, size) for x in _at(said, s)))
        for s in range(scales)
    ]


def finest(view: View, said: Said | None, scales: int) -> list[Side]:  # noqa: ARG001
    """Only the finest scale."""
    return native(view, said, 1)


SCALES = {"native": native, "full": full, "finest": finest}


def resized(x: Map, size: tuple[int, int]) -> Float[Tensor, "b 1 h2 w2"]:
    """At another (height, width), smoothly."""
    return x if x.shape[-2:] == size else F.interpolate(x, size, mode="bilinear", align_corners=False)


def baseline(pose: Float[Tensor, "b 4 4"]) -> Float[Tensor, " b"]:
    """How far apart the cameras stand. Raises `InputError` if they do not."""
    length = pose[:, :3, 3].norm(dim=1)
    if not bool((length > 0).all()):
        raise InputError("two views were taken from one place, which shows no depth; leave such pairs out.")
    return length


def _at(said: Said | None, scale: int) -> tuple[Tensor | None, Tensor | None]:
    if said is None:
        return None, None
    return said.nearness[scale], said.beliefs[scale] if said.beliefs else None
