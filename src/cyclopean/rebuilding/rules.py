"""The names of what a method is made of: its part of a saved model's config, and flags of its recipe. No torch here."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from cyclopean.errors import InputError

Head = Literal["disparity", "range", "levels"]
Warp = Literal["linear", "linearized", "nearest"]
Border = Literal["zeros", "edge"]
Error = Literal["ssim", "ssim-reflected", "l1", "l2"]
Scales = Literal["native", "full", "finest"]
Smooth = Literal["edges", "proportional", "squared"]


@dataclass(frozen=True)
class Rules:
    """How a view is rebuilt from others, and what the difference costs. The defaults are Monodepth's."""

    head: Head = "disparity"
    """Disparity up to 0.3 of the width (Monodepth), a range of depths (Monodepth2), or a mean over levels (FAL-Net)."""
    warp: Warp = "linear"
    """How colours are fetched: bilinear; Garg's linearisation; nearest, without a gradient, teaches nothing."""
    border: Border = "zeros"
    """What lies outside a picture: black, or its last pixel again. Panoramas wrap around."""
    error: Error = "ssim"
    """SSIM on whole windows and L1 (Monodepth), SSIM on reflected borders and L1 (Monodepth2), L1, or L2."""
    mask: str = "none"
    """What of the error counts, joined by +: inside, best (source), auto (nothing that looks static), unoccluded
    (Schellevis), learned (Zhou), or none."""
    scales: Scales = "native"
    """Compared at each scale's own size, at full size, or only the finest scale."""
    smooth: Smooth = "edges"
    """Smooth but for edges (Monodepth), the same in proportion to the mean (Monodepth2), or squared (Garg)."""
    smoothness: float = 0.1
    """Weight of smoothness at the finest scale; halved from scale to scale."""
    features: str = "none"
    """Compare features too: own (the network's first ones), or a folder or file with a ResNet's weights."""

    def __post_init__(self) -> None:
        if not 0 <= self.smoothness < math.inf:
            raise InputError(f"smoothness is {self.smoothness}; it needs a weight of at least 0.")

    def masks(self) -> tuple[str, ...]:
        """The names in `mask`."""
        return tuple(name for name in self.mask.split("+") if name not in ("", "none"))

    def config(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


MONODEPTH2 = Rules("range", "linear", "edge", "ssim-reflected", "best+auto", "full", "proportional", 1e-3)
GARG = Rules("disparity", "linearized", "zeros", "l2", "none", "finest", "squared", 0.01)


def rules_of(given: Rules | Mapping[str, Any]) -> Rules:
    """Rules, or those of a saved config."""
    return given if isinstance(given, Rules) else Rules(**given)
