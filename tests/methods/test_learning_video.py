"""Monodepth2 begins to learn from a film of a drive through a corridor: the loss falls, motion has the right sign."""

import math
from pathlib import Path

import pytest
import torch

from corridor import CAMERA, drive, pose_at
from cyclopean.augmentation import mirror_sample, with_frames
from cyclopean.data import open_dataset
from cyclopean.methods.monodepth2 import Monodepth2
from cyclopean.sample import collate

SIZE, STEP, COUNT, STEPS = (64, 96), 2, 60, 100


@pytest.mark.slow
def test_the_direction_of_motion_is_learned_from_a_film(tmp_path: Path) -> None:
    drive(tmp_path / "drive.mp4", COUNT, SIZE)
    angle = 2 * math.degrees(math.atan(0.5 / float(CAMERA.focal[0, 0])))
    data = open_dataset(f"clip:{tmp_path}/drive.mp4:step={STEP}:fov={angle:.6f}")
    items = [with_frames(data[index], SIZE) for index in range(len(data))]
    judged = range(0, len(items), 6)

    torch.manual_seed(0)
    method = Monodepth2("compact", 0.5, pose="cnn")
    optimiser = torch.optim.Adam(method.parameters(), 1e-3)
    generator = torch.Generator().manual_seed(0)
    losses = []
    for _ in range(STEPS):
        batch = collate([items[k] for k in torch.randint(len(items), (4,), generator=generator).tolist()])
        batch = mirror_sample(batch) if torch.rand((), generator=generator) < 0.5 else batch
        terms = method(batch)
        losses.append(terms["appearance"].item())
        sum(terms.values()).backward()
        optimiser.step()
        optimiser.zero_grad()

    method.eval()
    with torch.no_grad():
        posed = method.pose(collate([items[index] for index in judged]))
    cosines = []
    for k, index in enumerate(judged):
        now = pose_at(index + STEP)
        for source, offset in zip(posed.sources, (-STEP, STEP), strict=True):
            true = (pose_at(index + STEP + offset) @ torch.linalg.inv(now))[0, :3, 3]
            cosines.append(float(torch.cosine_similarity(source.from_target[k, :3, 3], true, 0)))
    assert sum(losses[-20:]) / 20 < 0.8 * sum(losses[:3]) / 3
    assert sum(cosines) / len(cosines) > 0.5
