"""Where tensors can be."""

from typing import TYPE_CHECKING

from cyclopean.errors import InputError

if TYPE_CHECKING:
    import torch

KINDS = ("cpu", "cuda", "mps", "xpu", "hpu", "xla", "mtia", "vulkan", "privateuseone")


def usable(name: str) -> "torch.device":
    """The device of that name; raises InputError where it cannot be used, of unknown kinds without loading torch."""
    refusal = InputError(f"the device {name!r} cannot be used here; give cpu, or see `cyclopean doctor`.")
    if name.partition(":")[0] not in KINDS:
        raise refusal
    import torch

    try:
        torch.ones(1, device=name).item()
        return torch.device(name)
    except (RuntimeError, AssertionError):
        raise refusal from None
