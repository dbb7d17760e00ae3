"""`make demo`, with an untrained model: every promised file is there and the overview holds four pictures."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from cyclopean.methods.monodepth import Monodepth
from cyclopean.training import checkpoint

DEMO = Path(__file__).parents[1] / "examples" / "demo.py"


@pytest.mark.slow
def test_demo_leaves_what_it_promises(tmp_path):
    card = {"input_size": [128, 256], "licence": "Apache-2.0", "training": {}}
    checkpoint.save(tmp_path / "model", Monodepth(width=0.125), card)
    command = [sys.executable, DEMO, "--out", tmp_path / "out", "--model", tmp_path / "model"]
    said = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert said.returncode == 0, said.stderr
    names = {path.name for path in (tmp_path / "out").iterdir()}
    endings = (".png", "_disp.npy", "_disp.png", "_disp.json", "_defocus.png", "_overview.png")
    assert {f"motorcycle_left{ending}" for ending in endings} <= names
    for ending in endings[1:]:
        assert f"motorcycle_left{ending}" in said.stdout
    with Image.open(tmp_path / "out" / "motorcycle_left_overview.png") as picture:
        width, height = picture.size
    with Image.open(tmp_path / "out" / "motorcycle_left.png") as photo:
        assert width / height == pytest.approx(4 * photo.width / photo.height, rel=0.02)
