"""What tests of commands share: a tiny model."""

import pytest
import torch

from cyclopean.methods.monodepth import Monodepth
from cyclopean.training import checkpoint


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("models") / "tiny"
    torch.manual_seed(0)
    checkpoint.save(path, Monodepth(width=0.05), {"input_size": [128, 128], "licence": "CC0-1.0"})
    return str(path)
