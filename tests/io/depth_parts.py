"""Parts that tests of depth files share: metres with sky and a gap, and a comparison that lets NaN be NaN."""

import torch

from cyclopean.geometry import Pinhole

SUFFIXES = (".npy", ".npz", ".exr", ".pfm", ".png")


CAMERA = Pinhole(torch.tensor([[0.5, 0.75]]), torch.tensor([[0.5, 0.5]]))


def depths(h: int = 6, w: int = 9) -> torch.Tensor:
    """Metres: 1 to 10, the sky in the first row, one unknown pixel."""
    z = torch.linspace(1, 10, h * w).reshape(1, 1, h, w).clone()
    z[..., 0, :] = torch.inf
    z[..., 3, 4] = torch.nan
    return z


def same(a: torch.Tensor, b: torch.Tensor, rtol: float = 1e-6) -> bool:
    return bool(torch.allclose(a, b, rtol=rtol, equal_nan=True))
