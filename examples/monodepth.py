"""Learn the depth of one stereo pair without depth labels, by Monodepth (Godard et al. 2017).

python examples/monodepth.py [STEPS]
"""
# ruff: noqa: T201 (it talks to a person)

import sys
from dataclasses import replace

import torch

from cyclopean.methods.monodepth import Monodepth
from cyclopean.metrics import align_median, depth_errors
from cyclopean.synthetic import rigs
from cyclopean.training.options import MONODEPTH


def main(steps: int) -> None:
    """Train on a rendered pair, and judge by its true depth, which no loss has seen."""
    torch.manual_seed(0)
    pair = rigs.sample("street", 1, (96, 192), baseline=0.4, supersample=3)  # left, right, the pose between them
    # In small pictures much lies outside the other one, where the paper's black border rewards wrong depth.
    rules = replace(MONODEPTH, border="edge", mask="inside")
    method = Monodepth("compact", 0.5, rules=rules)
    optimiser = torch.optim.Adam(method.parameters(), 1e-3)
    for step in range(steps + 1):
        losses = method(pair)  # appearance, smoothness, left-right consistency: Eq. 1
        if step % 50 == 0 or step == steps:
            known = pair.depth.isfinite() & (pair.depth < 80)
            depth, truth = 1 / method.predict(pair.target).inverse_depth[known], pair.depth[known]
            error = depth_errors(align_median(depth, truth), truth).abs_rel
            print(f"step {step:4d}   loss {sum(losses.values()):.3f}   AbsRel {error:.3f}")
        optimiser.zero_grad()
        sum(losses.values()).backward()
        optimiser.step()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
