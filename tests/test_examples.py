"""The short scripts of examples/, one for each paper, as somebody runs them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
LEARNING = ("monodepth", "spherical_view_synthesis", "depth_anywhere", "aquanet")


def run(name: str, *arguments: object) -> str:
    words = [sys.executable, str(EXAMPLES / f"{name}.py"), *map(str, arguments)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_each_paper_learns_a_scene_from_a_script(tmp_path):
    """The error falls from the first step to the last, of which 100 are enough, without true depth in any loss."""
    for name in LEARNING:
        first, *_, last = re.findall(r"AbsRel.* ([\d.]+)", run(name, 100))
        assert float(last) < float(first), name
    photo = pytest.importorskip("skimage.data").__path__[0] + "/coffee.png"
    assert run("focus_stack", photo, tmp_path).count("sharp at") == len(list(tmp_path.glob("*.jpg"))) == 5
