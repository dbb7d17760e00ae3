"""Networks without memory: nothing is drawn for them, and nothing is imported to draw it."""

import subprocess
import sys

import torch
from torch import nn

from cyclopean.networks.hollow import hollow


def test_nothing_is_drawn_in_this_block_alone() -> None:
    state = torch.get_rng_state()
    with hollow():
        layer = nn.Conv2d(3, 4, 3)
        nn.init.kaiming_normal_(layer.weight)
        layer.bias.data.normal_()
    assert layer.weight.is_meta
    assert torch.equal(torch.get_rng_state(), state)
    assert bool((nn.init.constant_(nn.Linear(2, 2).weight.detach(), 3) == 3).all())


def test_loading_a_model_does_not_import_torch_s_compiler() -> None:
    """It takes two seconds, at every start of a command."""
    code = "import cyclopean, sys; cyclopean.load(); assert 'torch._dynamo' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
