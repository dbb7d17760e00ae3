"""`splat` in one pass forward and one backward, on the CPU: all channels at once, nothing kept but the results."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import torch
from torch import Tensor

BORDERS = ("zeros", "edge", "sphere")  # their numbers inside the loops


@cache
def _numba() -> bool:
    """Return whether numba is installed and imports beside this numpy."""
    try:
        import numba  # noqa: F401
    except ImportError:
        return False
    return True


def fits(*tensors: Tensor) -> bool:
    """Return whether the loops can take these: on the CPU, all float32 or all float64, and numba is installed."""
    same = len({t.dtype for t in tensors}) == 1 and tensors[0].dtype in (torch.float32, torch.float64)
    return same and all(t.device.type == "cpu" for t in tensors) and _numba()


class Splat(torch.autograd.Function):
    """`Splat.apply(image b c h w, uv b h w 2, weight b 1 h w, border)`: the picture and its coverage.

    One item is one thread's work, in the order of its pixels: the result is the same for any number of threads. As many
    threads as torch has. A pixel whose `uv` is not finite goes nowhere.
    """

    @staticmethod
    def forward(context: Any, image: Tensor, uv: Tensor, weight: Tensor, border: str) -> tuple[Tensor, Tensor]:
        image, uv, weight = image.contiguous(), uv.contiguous(), weight.contiguous()
        picture, coverage = torch.empty_like(image), torch.empty_like(weight)
        from cyclopean.kernels.splatting_loops import scattering

        each_item(scattering(image.shape[1]), (BORDERS.index(border),), image, uv, weight, picture, coverage)
        context.save_for_backward(image, uv, weight, picture, coverage)
        context.border = BORDERS.index(border)
        return picture, coverage

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        from cyclopean.kernels.splatting_loops import gathering

        saved = context.saved_tensors
        results = [torch.empty_like(t) for t in saved[:3]]
        slopes = [g.contiguous() for g in gradients]
        each_item(gathering(saved[0].shape[1]), (context.border,), *saved, *slopes, *results)
        return (*results, None)


def each_item(loop: Callable[..., None], shared: tuple[Any, ...], *batches: Tensor) -> None:
    """Call `loop(*shared, *(one item of each batch))` for every item, on as many threads as torch has."""
    arrays = [batch.detach().numpy() for batch in batches]
    items = [(*shared, *(array[n] for array in arrays)) for n in range(len(batches[0]))]
    threads = min(torch.get_num_threads(), len(items))
    if threads <= 1:
        for item in items:
            loop(*item)
        return
    with ThreadPoolExecutor(threads) as pool:  # the loops let go of the interpreter
        list(pool.map(lambda item: loop(*item), items))
