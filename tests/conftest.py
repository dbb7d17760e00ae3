"""What several tests share: the golden arrays, made by running the papers' released code on seeded inputs."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

Golden = Callable[[str], dict[str, Tensor]]


@pytest.fixture
def golden() -> Golden:
    """`golden("md1_sampler")`: its arrays as float64 tensors by name (texts and integers as they are in numpy)."""

    def load(name: str) -> dict[str, Tensor]:
        with np.load(Path(__file__).parent / "golden" / f"{name}.npz") as arrays:
            return {k: torch.from_numpy(v).double() if v.dtype.kind == "f" else v for k, v in arrays.items()}

    return load


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)
