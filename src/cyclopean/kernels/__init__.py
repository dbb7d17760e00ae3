"""Fused loops for what torch can only do by way of index tensors. Each has a readable twin, its reference in tests."""

import torch
from torch import Tensor
from torch.autograd import Function

from cyclopean.geometry.levels import Pencil
from cyclopean.kernels.splatting import Splat as Splat
from cyclopean.kernels.splatting import fits as fits
from cyclopean.kernels.splatting_gpu import SplatOnGpu as SplatOnGpu
from cyclopean.kernels.splatting_gpu import fits_gpu as fits_gpu
from cyclopean.kernels.sweeping import FusedSweep as FusedSweep
from cyclopean.kernels.sweeping import on_cpu
from cyclopean.kernels.sweeping_gpu import on_gpu


def fused_splat(image: Tensor, uv: Tensor, weight: Tensor) -> type[Function] | None:
    """Return the fused loops that can splat these where they lie; None where only torch can."""
    if fits(image, uv, weight):
        return Splat
    return SplatOnGpu if fits_gpu(image, uv, weight) else None


def fused_sweep(uv: object, border: str, *tensors: Tensor) -> FusedSweep | None:
    """Return the fused loops that can sweep these `tensors` through `uv`; None where only torch can.

    They know a `Pencil`, the border `zeros`, and images of two pixels and more each way. On a GPU
    their sums have no fixed order: under `torch.use_deterministic_algorithms(True)` torch sweeps.
    """
    if not isinstance(uv, Pencil) or border != "zeros" or any(min(t.shape[-2:]) < 2 for t in tensors):
        return None
    exponents = uv.levels.exponents
    tensors = (*tensors, uv.start, uv.slope, *(() if exponents is None else (exponents,)))
    if fits(*tensors):
        return FusedSweep(on_cpu, uv)
    on_one_gpu = not torch.are_deterministic_algorithms_enabled() and fits_gpu(*tensors)
    return FusedSweep(on_gpu, uv) if on_one_gpu else None
