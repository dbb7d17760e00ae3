"""Learn the depth of one film's frame from its neighbours, through levels that adapt (AQUANet, first stage).

python examples/aquanet.py [STEPS]
"""
# ruff: noqa: T201 (it talks to a person)

import sys

import torch

from cyclopean.methods.aquanet import Aquanet
from cyclopean.metrics import align_median, depth_errors
from cyclopean.synthetic import rigs
from cyclopean.training.options import VolumeConfig


def main(steps: int) -> None:
    """Train on three rendered frames with known poses, and judge by true depth of what stands still."""
    torch.manual_seed(0)
    clip = rigs.sample("traffic", 8, (48, 144), "clip", supersample=3)  # frame, previous, next
    method = Aquanet(0.25, rules=VolumeConfig(levels=17, mask="none", boost=0.0))
    optimiser = torch.optim.Adam(method.parameters(), 3e-4)
    for step in range(steps + 1):
        losses = method(clip)  # neighbours made from the frame, level by level (Eq. 1), beside the real ones
        if step % 50 == 0 or step == steps:
            known = clip.target.valid & (clip.depth < 25)
            depth, truth = 1 / method.predict(clip.target).inverse_depth[known], clip.depth[known]
            error = depth_errors(align_median(depth, truth), truth).abs_rel
            print(f"step {step:4d}   loss {sum(losses.values()):.4f}   AbsRel {error:.3f}")
        optimiser.zero_grad()
        sum(losses.values()).backward()
        torch.nn.utils.clip_grad_norm_(method.parameters(), 1.0)
        optimiser.step()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
