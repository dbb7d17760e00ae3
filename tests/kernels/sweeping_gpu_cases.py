"""What the kernels for GPUs have to do, on a GPU where there is one, else in Triton's interpreter.

Collected by `test_sweeping_gpu`, in a process of its own: Triton decides when it is imported whether it interprets.
"""

import math

import pytest
import torch
from test_sweeping import POSES, N, answers, lines, scene

from cyclopean import kernels
from cyclopean.kernels import FusedSweep, sweeping_gpu
from cyclopean.kernels.sweeping_gpu import on_gpu
from cyclopean.synthesis import log_sum_exp, sweep, sweep_plain, swept_coverage

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
CLOSE = {torch.float64: {}, torch.float32: {"rtol": 1e-3, "atol": 1e-3}}


@pytest.mark.parametrize("dtype", list(CLOSE), ids=str)
@pytest.mark.parametrize(("name", "of"), [("ahead", "other"), ("back", "this"), ("turned", "other")])
def test_it_is_the_plain_one_forward_and_backward(name, of, dtype, monkeypatch):
    """In blocks of which the last is not full; the image wants a gradient in one case, levels are bent in two."""
    monkeypatch.setattr(sweeping_gpu, "BLOCK", 64)
    parts = {key: t.detach().to(DEVICE).requires_grad_() for key, t in scene(dtype).items()}
    parts["image"].requires_grad_(name != "turned")
    with torch.no_grad():
        parts["turn"] += parts["turn"].new_tensor([POSES[name][0]])
        parts["offset"] += parts["turn"].new_tensor([POSES[name][1], [0.1, -0.2, 0.05]])
    pencil = lines(parts, of, "steps" if name == "turned" else "adaptive", math.inf if name == "back" else 0.0)

    def fused(image, logits, uv):
        return FusedSweep(on_gpu, uv).render(image, logits)

    for ours, plain in zip(answers(fused, parts, pencil), answers(sweep_plain, parts, pencil), strict=True):
        assert (ours is None) == (plain is None)
        if ours is not None:
            torch.testing.assert_close(ours, plain, **CLOSE[dtype])
    logits = parts["logits"].detach()
    ours = FusedSweep(on_gpu, pencil).coverage(logits, log_sum_exp(logits))
    torch.testing.assert_close(ours, swept_coverage(logits, pencil.__call__), **CLOSE[dtype])
    assert len(pencil.levels.values) == N


@pytest.mark.skipif(DEVICE == "cpu", reason="needs a GPU")
def test_on_a_gpu_sweep_takes_it(monkeypatch):
    parts = {key: t.detach().to(DEVICE).requires_grad_() for key, t in scene(torch.float32).items()}
    pencil = lines(parts, "other")
    assert kernels.fused_sweep(pencil, "zeros", parts["image"], parts["logits"]).run is on_gpu
    made = sweep(parts["image"], parts["logits"], pencil)
    torch.testing.assert_close(made, sweep_plain(parts["image"], parts["logits"], pencil), rtol=1e-3, atol=1e-3)
    monkeypatch.setattr(torch, "are_deterministic_algorithms_enabled", lambda: True)
    assert kernels.fused_sweep(pencil, "zeros", parts["image"], parts["logits"]) is None
