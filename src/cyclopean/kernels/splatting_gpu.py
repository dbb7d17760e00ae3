"""`splat` in two launches forward and two backward, on a GPU: all channels at once, nothing kept but the results."""

from functools import cache
from typing import Any

import torch
from torch import Tensor

from cyclopean.kernels.splatting import BORDERS

BLOCK = 256  # pixels of one program


def fits_gpu(*tensors: Tensor) -> bool:
    """Return whether the kernels can take these: on one GPU, all float32 or all float64, and Triton runs there."""
    (first, *_) = tensors
    same = len({(t.dtype, t.device) for t in tensors}) == 1 and first.dtype in (torch.float32, torch.float64)
    return same and first.device.type == "cuda" and _runs(first.device)


@cache
def _runs(device: torch.device) -> bool:
    """Return whether Triton is installed (with torch for CUDA on Linux), and compiles for this device and launches."""
    small = [torch.ones(shape, device=device) for shape in ((1, 1, 2, 2), (1, 2, 2, 2), (1, 1, 2, 2))]
    try:
        SplatOnGpu.apply(*small, "zeros")
    except Exception:  # a missing package, compiler or driver: each raises its own kind
        return False
    return True


class SplatOnGpu(torch.autograd.Function):
    """`SplatOnGpu.apply(image b c h w, uv b h w 2, weight b 1 h w, border)`: the picture and its coverage.

    Pixels add to the canvas in whatever order the GPU takes them, so the last bits change from run to run. Under
    `torch.use_deterministic_algorithms(True)` sums are of whole numbers (2⁻⁶² of the largest sum there could be), which
    have no order; all weights and colours must then be finite. A pixel whose `uv` is not finite goes nowhere.
    """

    @staticmethod
    def forward(context: Any, image: Tensor, uv: Tensor, weight: Tensor, border: str) -> tuple[Tensor, Tensor]:
        from cyclopean.kernels import splatting_triton

        image, uv, weight = image.contiguous(), uv.contiguous(), weight.contiguous()
        picture, coverage = torch.empty_like(image), torch.empty_like(weight)
        exact = torch.are_deterministic_algorithms_enabled()
        scale = _scale(image, weight) if exact else image.new_ones((), dtype=torch.float64)
        b, c, h, w = image.shape
        canvas = torch.zeros((b, c + 1, h, w), dtype=torch.int64 if exact else image.dtype, device=image.device)
        context.border = BORDERS.index(border)
        with torch.cuda.device_of(image):
            splatting_triton.scatter[_grid(image)](
                image, uv, weight, canvas, scale, h, w, context.border, c, exact, BLOCK
            )
            splatting_triton.divide[_grid(image)](canvas, picture, coverage, scale, h * w, c, exact, BLOCK)
        context.save_for_backward(image, uv, weight, picture, coverage)
        return picture, coverage

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        from cyclopean.kernels import splatting_triton

        image, uv, weight, picture, coverage = context.saved_tensors
        d_picture, d_coverage = (g.contiguous() for g in gradients)
        results = [torch.empty_like(t) for t in (image, uv, weight)]
        b, c, h, w = image.shape
        slope = image.new_empty(b, c + 1, h, w)  # of the loss by the sums: of weight * colour, of weight
        with torch.cuda.device_of(image):
            splatting_triton.slopes[_grid(image)](picture, coverage, d_picture, d_coverage, slope, h * w, c, BLOCK)
            splatting_triton.gather[_grid(image)](image, uv, weight, slope, *results, h, w, context.border, c, BLOCK)
        return (*results, None)


def _grid(image: Tensor) -> tuple[int, int]:
    b, _, h, w = image.shape
    return -(-h * w // BLOCK), b


def _scale(image: Tensor, weight: Tensor) -> Tensor:
    """Return what makes whole numbers of contributions: the power of two with which no sum leaves 63 bits."""
    most = weight.abs().amax().double() * image.abs().amax().double().clamp(min=1) * weight[0].numel()
    return torch.exp2(torch.floor(62 - torch.log2(most.clamp(min=1e-300))).clamp(max=1000))
