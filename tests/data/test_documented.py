"""What docs/data.md says can be written, can be read."""

import json
import re
from pathlib import Path

import cv2
import numpy as np
import torch

from cyclopean.data import DATASETS
from cyclopean.data.folder import FolderDataset

PAGE = (Path(__file__).parents[2] / "docs" / "data.md").read_text()
BLOCKS = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]


def pair(folder: Path, size: tuple[int, int]) -> None:
    for name in ("left", "right"):
        (folder / name).mkdir(parents=True)
        cv2.imwrite(str(folder / name / "000000.png"), np.full((*size, 3), 99, np.uint8))


def test_the_rendered_layout(tmp_path):
    head, camera = BLOCKS[:2]
    pair(tmp_path, (16, 32))
    (tmp_path / "camera").mkdir()
    (tmp_path / "dataset.json").write_text(json.dumps(head))
    (tmp_path / "camera" / "000000.json").write_text(json.dumps(camera))
    sample = FolderDataset(tmp_path)[0]
    assert sample.name == ("street/000000",)
    assert sample.sources[0].from_target[0, 0, 3] == -0.5


def test_the_two_calibrations_are_of_one_camera(tmp_path):
    _, _, *calibrations = BLOCKS
    assert len(calibrations) == 2
    cameras = []
    pair(tmp_path, (376 // 2, 1242 // 2))
    for calibration in calibrations:
        (tmp_path / "calibration.json").write_text(json.dumps(calibration))
        cameras.append(FolderDataset(tmp_path)[0].target.camera)
    assert torch.allclose(cameras[0].focal, cameras[1].focal, rtol=0.01)
    assert torch.allclose(cameras[0].center, cameras[1].center, atol=0.05)


def test_every_kind_is_listed():
    for name in DATASETS:
        assert f"`{name}" in PAGE
