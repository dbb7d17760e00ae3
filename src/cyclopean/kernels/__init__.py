"""Fused loops for what torch can only do by way of index tensors. Each has a readable twin, its reference in tests."""

from torch import Tensor
from torch.autograd import Function

from cyclopean.kernels.splatting import Splat as Splat
from cyclopean.kernels.splatting import fits as fits
from cyclopean.kernels.splatting_gpu import SplatOnGpu as SplatOnGpu
from cyclopean.kernels.splatting_gpu import fits_gpu as fits_gpu


def fused_splat(image: Tensor, uv: Tensor, weight: Tensor) -> type[Function] | None:
    """Return the fused loops that can splat these where they lie; None where only torch can."""
    if fits(image, uv, weight):
        return Splat
    return SplatOnGpu if fits_gpu(image, uv, weight) else None
