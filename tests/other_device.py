"""A device that this machine lacks, computed by its CPU: like Apple's, it has no numbers of 64 bits.

It goes by the name of a device that no build of torch has but whose name each takes ("lazy"), for "mps" itself is
refused before anything here is asked.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

OTHER = torch.device("lazy", 0)
ATEN = torch.ops.aten


class There(Tensor):
    """A tensor that states the device `OTHER`; `here` has its numbers."""

    here: Tensor

    @staticmethod
    def __new__(cls, here: Tensor) -> "There":
        if here.dtype in (torch.float64, torch.complex128):
            raise TypeError("this device has no float64")
        made = Tensor._make_wrapper_subclass(
            cls, here.shape, here.stride(), here.storage_offset(), dtype=here.dtype, device=OTHER
        )
        made.here = here
        return made

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return dispatched(function, args, kwargs or {})


def dispatched(function: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Run an operator on the CPU. Operands of two devices are an error, but for copies and for single numbers."""
    leaves = tree_leaves((args, kwargs))
    devices = [x for x in leaves if isinstance(x, torch.device)]
    there = any(isinstance(x, There) for x in leaves)
    if function is ATEN.copy_.default:
        there = isinstance(args[0], There)
    elif devices:
        there = devices[-1].type == OTHER.type
    elif there and any(isinstance(x, Tensor) and not isinstance(x, There) and x.ndim for x in leaves):
        raise TypeError(f"{function} has operands of two devices")

    def here(x: Any) -> Any:
        return x.here if isinstance(x, There) else torch.device("cpu") if isinstance(x, torch.device) else x

    result = function(*tree_map(here, args), **tree_map(here, kwargs))
    if function is ATEN.copy_.default:
        return args[0]
    return tree_map(lambda x: There(x) if isinstance(x, Tensor) else x, result) if there else result


class _Operators(TorchDispatchMode):
    """Operators that make tensors on the device out of none."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return dispatched(function, args, kwargs or {})


class _Numbers(TorchFunctionMode):
    """Tensors out of Python's numbers, which torch would write into the memory of the device itself."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if function is Tensor.new_tensor and isinstance(args[0], There):
            return torch.tensor(args[1], dtype=kwargs.get("dtype", args[0].dtype)).to(args[0].device)
        if function is Tensor.__getitem__ and isinstance(args[0], There):  # lists are made tensors on the device
            return There(args[0].here[tree_map(lambda x: x.here if isinstance(x, There) else x, args[1])])
        if function is torch.tensor and torch.device(kwargs.get("device") or "cpu").type == OTHER.type:
            return function(*args, **{**kwargs, "device": "cpu"}).to(OTHER)
        return function(*args, **kwargs)


@contextmanager
def other_device() -> Iterator[None]:
    """Let `OTHER` be a device while this is open."""
    with _Operators(), _Numbers():
        yield
