"""Heads: from a network's raw answer to nearness, and from nearness to inverse depth.

Nearness is inverse depth times the head's unit, which a rig fixes: a disparity is inverse depth times focal length
times baseline. A network cannot see the rig; the unit is what it leaves open.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from cyclopean.geometry import Camera, Pinhole

Map = Float[Tensor, "b 1 h w"]
PerItem = Float[Tensor, " b"]


@runtime_checkable  # so that annotations can be checked while tests run
class Head(Protocol):
    """What methods ask of a head."""

    @property
    def outputs(self) -> int:
        """How many channels of the network it reads."""
        ...

    def __call__(self, raw: Float[Tensor, "b c h w"]) -> Map:
        """Nearness, positive."""
        ...

    def unit(self, camera: Camera, baseline: PerItem) -> PerItem:
        """Nearness / inverse depth."""
        ...


@dataclass(frozen=True)
class Disparity:
    """Up to `most` of the image width (Monodepth, sec. 4.1). On a sphere: what a point abeam at the horizon moves."""

    most: float = 0.3
    outputs: int = 1

    def __call__(self, raw: Float[Tensor, "b 1 h w"]) -> Map:
        return self.most * raw.sigmoid()

    def unit(self, camera: Camera, baseline: PerItem) -> PerItem:
        return baseline * _widths(camera)


@dataclass(frozen=True)
class Range:
    """Inverse depth between 1/farthest and 1/nearest, where the first baseline is 0.1 (Monodepth2).

    Its unit is no metre: with KITTI's baseline of 0.54 m, depth is 5.4 times what it says.
    """

    nearest: float = 0.1
    farthest: float = 100.0
    outputs: int = 1

    def __call__(self, raw: Float[Tensor, "b 1 h w"]) -> Map:
        low, high = 1 / self.farthest, 1 / self.nearest
        return low + (high - low) * raw.sigmoid()

    def unit(self, camera: Camera, baseline: PerItem) -> PerItem:  # noqa: ARG002
        return 10 * baseline


@dataclass(frozen=True)
class Levels:
    """The mean of N = `outputs` disparities in equal proportions, d_n = most (most/least)^(n/(N-1)-1) (FAL-Net).

    A paper of that family prints n/N, which gives N + 1 levels.
    """

    least: float = 0.002
    most: float = 0.3
    outputs: int = 33

    def levels(self) -> list[float]:
        """Smallest first."""
        n = self.outputs - 1
        return [self.most * math.exp(math.log(self.most / self.least) * (k / n - 1)) for k in range(n + 1)]

    def __call__(self, raw: Float[Tensor, "b n h w"]) -> Map:
        return torch.einsum("bnhw,n->bhw", raw.softmax(1), raw.new_tensor(self.levels()))[:, None]

    def unit(self, camera: Camera, baseline: PerItem) -> PerItem:
        return baseline * _widths(camera)


HEADS: dict[str, Head] = {"disparity": Disparity(), "range": Range(), "levels": Levels()}


def rig_unit(head: Head, rig: Sequence[float]) -> float:
    """Nearness / inverse depth of a rig (focal length in image widths, baseline in metres)."""
    focal, baseline = rig
    with torch.device("cpu"):  # also while a method is built without memory
        camera = Pinhole(torch.tensor([[focal, focal]]), torch.tensor([[0.5, 0.5]]))
        return head.unit(camera, torch.tensor([baseline])).item()


def _widths(camera: Camera) -> PerItem | float:
    """Image widths that a point moves which is a baseline away ahead (pinhole) or abeam (sphere)."""
    return camera.focal[:, 0] if isinstance(camera, Pinhole) else 1 / (2 * math.pi)
