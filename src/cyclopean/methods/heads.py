"""Heads: from a network's raw output for one view to disparity."""

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from cyclopean.geometry import Camera, Pinhole
from cyclopean.sample import Map

PerItem = Float[Tensor, " b"]


@runtime_checkable  # so that annotations can be checked while tests run
class Head(Protocol):
    """A conversion of a network's raw outputs for one view to disparity."""

    @property
    def outputs(self) -> int:
        """Number of channels of the network that it reads."""
        ...

    def __call__(self, raw: Float[Tensor, "b c h w"]) -> Map:
        """Return disparity, positive."""
        ...

    def unit(self, camera: Camera, baseline: PerItem) -> PerItem:
        """Return disparity / inverse depth."""
        ...


@dataclass(frozen=True)
class DisparityHead:
    """Disparity up to `max_disparity` of the image width (Monodepth, sec. 4.1); on a sphere, of a point abeam."""

    max_disparity: float = 0.3
    outputs: int = 1

    def __call__(self, raw: Float[Tensor, "b 1 h w"]) -> Map:
        return self.max_disparity * raw.sigmoid()

    def unit(self, camera: Camera, baseline: PerItem) -> PerItem:
        return baseline * _widths(camera)


@dataclass(frozen=True)
class DepthRangeHead:
    """Inverse depth between 1/max_depth and 1/min_depth, where the first baseline is 0.1 (Monodepth2).

    Depth is not in metres: with KITTI's baseline of 0.54 m, metric depth is 5.4 times as large.
    """

    min_depth: float = 0.1
    max_depth: float = 100.0
    outputs: int = 1

    def __call__(self, raw: Float[Tensor, "b 1 h w"]) -> Map:
        low, high = 1 / self.max_depth, 1 / self.min_depth
        return low + (high - low) * raw.sigmoid()

    def unit(self, camera: Camera, baseline: PerItem) -> PerItem:  # noqa: ARG002
        return 10 * baseline


@dataclass(frozen=True)
class LevelsHead:
    """The mean of N = `outputs` disparities in geometric progression, d_n = max (max/min)^(n/(N-1)-1) (FAL-Net).

    A paper of that family prints n/N, which gives N + 1 levels.
    """

    min_disparity: float = 0.002
    max_disparity: float = 0.3
    outputs: int = 33

    def levels(self) -> list[float]:
        """Return the disparities, smallest first."""
        n, proportion = self.outputs - 1, math.log(self.max_disparity / self.min_disparity)
        return [self.max_disparity * math.exp(proportion * (k / n - 1)) for k in range(n + 1)]

    def __call__(self, raw: Float[Tensor, "b n h w"]) -> Map:
        return torch.einsum("bnhw,n->bhw", raw.softmax(1), raw.new_tensor(self.levels()))[:, None]

    def unit(self, camera: Camera, baseline: PerItem) -> PerItem:
        return baseline * _widths(camera)


def _widths(camera: Camera) -> PerItem | float:
    """Return the disparity in image widths of a point one baseline away, ahead (pinhole) or abeam (sphere)."""
    return camera.focal[:, 0] if isinstance(camera, Pinhole) else 1 / (2 * math.pi)


HEADS: dict[str, Head] = {"disparity": DisparityHead(), "range": DepthRangeHead(), "levels": LevelsHead()}
