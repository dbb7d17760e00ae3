"""Optimisers and schedules of the papers."""

import math
from collections.abc import Callable, Iterable

import torch
from torch import nn
from torch.optim import Optimizer

Schedule = Callable[[int, int], float]  # (step, steps) -> factor of the learning rate
MakeOptimizer = Callable[[Iterable[nn.Parameter], float], Optimizer]
FINAL, SPEED = 1e-3, 2e-3  # AdaBound's final rate, and how fast the bounds approach it


def halving(step: int, steps: int) -> float:
    """Return 1, a half from 3/5 of the steps, a quarter from 4/5 (Monodepth, sec. 4.1)."""
    return 0.5 ** ((step >= 0.6 * steps) + (step >= 0.8 * steps))


def halving_late(step: int, steps: int) -> float:
    """Return 1, a half, a quarter, an eighth from 60, 80 and 100 of 110 parts of the steps (AQUANet)."""
    return 0.5 ** sum(step >= steps * part / 110 for part in (60, 80, 100))


def tenth(step: int, steps: int) -> float:
    """Return 1, a tenth from 3/4 of the steps (Monodepth2, sec. 4: from the 15th of 20 epochs)."""
    return 0.1 if step >= 0.75 * steps else 1.0


def cosine(step: int, steps: int) -> float:
    """Return a factor that rises over the first 3 % of the steps (at most 1000), then falls to 0 as half a cosine."""
    rise = max(1, min(1000, round(0.03 * steps)))
    if step < rise:
        return (step + 1) / rise
    return 0.5 + 0.5 * math.cos(math.pi * (step - rise) / max(1, steps - rise))


def polynomial(step: int, steps: int) -> float:
    """Return a factor that falls to 0 as (1 - step / steps)^0.9 (HoHoNet)."""
    return (1 - step / steps) ** 0.9


def constant(step: int, steps: int) -> float:  # noqa: ARG001
    """Return 1."""
    return 1.0


def adam(parameters: Iterable[nn.Parameter], learning_rate: float, beta1: float = 0.9) -> Optimizer:
    """Return Adam with its usual constants; `beta1` is 0.5 in the code of FAL-Net's family."""
    return torch.optim.Adam(parameters, lr=learning_rate, betas=(beta1, 0.999))


def adamw(parameters: Iterable[nn.Parameter], learning_rate: float) -> Optimizer:
    """Return Adam with a decoupled weight decay of 0.01."""
    return torch.optim.AdamW(parameters, lr=learning_rate, weight_decay=0.01)


def adamw_brief(parameters: Iterable[nn.Parameter], learning_rate: float) -> Optimizer:
    """Return `adamw` with a brief memory of gradients: its first constant is 0.5 (EGformer)."""
    return torch.optim.AdamW(parameters, lr=learning_rate, betas=(0.5, 0.999), weight_decay=0.01)


def adabound(parameters: Iterable[nn.Parameter], learning_rate: float) -> Optimizer:
    """Return Adam whose steps are bounded more and more closely by those of SGD at 1e-3 (Luo et al. 2019).

    The constants are those of the spherical view synthesis paper, sec. 4.
    """
    from pytorch_optimizer import AdaBound

    return AdaBound(parameters, learning_rate, final_lr=FINAL, gamma=SPEED)


SCHEDULES = {"halving": halving, "tenth": tenth, "cosine": cosine}
