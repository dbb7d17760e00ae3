"""Learn the depth of one panorama from the views above and beside it (Zioulis et al. 2019, TC).

python examples/spherical_view_synthesis.py [STEPS]
"""
# ruff: noqa: T201 (it talks to a person)

import sys

import torch

from cyclopean.methods.spherical_view_synthesis import SphericalViewSynthesis
from cyclopean.metrics import depth_errors
from cyclopean.synthetic import rigs


def main(steps: int) -> None:
    """Train on three rendered panoramas of a room, and judge by true depth, in metres without any alignment."""
    torch.manual_seed(0)
    rig = rigs.sample("room", 5, (64, 128), "sphere", supersample=3)  # centre, up, right; 0.26 m apart
    method = SphericalViewSynthesis("TC", width=0.5)
    optimiser = torch.optim.Adam(method.parameters(), 2e-4)
    for step in range(steps + 1):
        losses = method(rig)  # of the views that are splatted from the centre, and smoothness
        if step % 50 == 0 or step == steps:
            error = depth_errors(1 / method.predict(rig.target).inverse_depth, rig.depth).abs_rel
            print(f"step {step:4d}   loss {sum(losses.values()):.3f}   AbsRel {error:.3f}")
        optimiser.zero_grad()
        sum(losses.values()).backward()
        optimiser.step()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
