"""Teach a panorama network by a perspective one, without true depth of that panorama (Wang and Liu 2024).

python examples/depth_anywhere.py [STEPS]
"""
# ruff: noqa: T201 (it talks to a person)

import sys
from dataclasses import replace

import torch

import cyclopean
from cyclopean.inference.labels import FaceModel
from cyclopean.methods.base import Frozen
from cyclopean.methods.depth_anywhere import DepthAnywhere, OnlineTeacher
from cyclopean.metrics import affine_depth, affine_fit, depth_errors
from cyclopean.sample import collate
from cyclopean.synthetic import rigs


def main(steps: int) -> None:
    """Train on a room with depth and a street without, and judge on the street; the bundled model is the teacher."""
    torch.manual_seed(0)
    room = rigs.sample("room", 5, (64, 128), "sphere", supersample=3)
    street = rigs.sample("street", 3, (64, 128), "sphere", supersample=3)
    unlabelled = replace(street, depth=torch.full_like(street.depth, torch.nan))
    both = collate([room, unlabelled])
    method = DepthAnywhere("mobile")
    method.teacher = OnlineTeacher(Frozen(FaceModel(cyclopean.load())))
    optimiser = torch.optim.Adam(method.parameters(), 3e-4)
    for step in range(steps + 1):
        losses = method(both)  # half of true depth, half of what the teacher says of six faces, turned anew each step
        if step % 50 == 0 or step == steps:
            known = street.depth < 80
            rho, truth = method.predict(street.target).inverse_depth[known], street.depth[known]
            error = depth_errors(affine_depth(rho, affine_fit(rho, truth), 80.0), truth).abs_rel
            print(f"step {step:4d}   loss {sum(losses.values()):.3f}   AbsRel of the street {error:.3f}")
        optimiser.zero_grad()
        sum(losses.values()).backward()
        optimiser.step()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
