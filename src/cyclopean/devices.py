"""Where tensors can be."""

import torch

from cyclopean.errors import InputError


def usable(name: str) -> torch.device:
    """The device of that name; raises InputError where it cannot be used."""
    try:
        torch.ones(1, device=name).item()  # "meta" makes tensors without numbers
        return torch.device(name)
    except (RuntimeError, AssertionError):
        raise InputError(f"the device {name!r} cannot be used here; give cpu, or see `cyclopean doctor`.") from None
