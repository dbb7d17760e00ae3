"""Every command that a page shows is one that the program takes, and the first page's commands work as they stand."""

import json
import math
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from test_flags import KINDS, kind_of

from corridor import drive
from cyclopean.cli.output import without_flag
from cyclopean.cli.parsing import parse_arguments
from cyclopean.errors import InputError

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *(p for p in sorted((ROOT / "docs").glob("*.md")) if p.name != "commands.md"))  # generated
BUDGETS = {
    "--size 128x416": "--size 96x160",
    "--steps 2000": "--steps 2",
    "--count 100": "--count 2",
    "--minutes 20": "--steps 2",
}


def commands(page: str) -> Iterator[str]:
    """Yield the commands of a page's blocks, without comments and without where their output goes."""
    for line in page.replace("\\\n", " ").splitlines():
        if found := re.match(r"(?: {4})?(cyclopean [^#>]*)", line):
            yield from (part.strip() for part in found[1].split(";") if part.strip())


def test_every_command_of_every_page_parses(tmp_path, monkeypatch):
    """Placeholders in capitals are names as good as any; folders that one command makes are there for the next."""
    monkeypatch.chdir(tmp_path)
    for folder in ("masks", "labels"):
        Path(folder).mkdir()
    wrong, count = [], 0
    for path in PAGES:
        for line in commands(path.read_text()):
            _, command, *words = shlex.split(line.replace("train METHOD", "train monodepth"))
            if command in ("train", "bench") and words:
                command, words = f"{command} {words[0]}", words[1:]
            if command == "doctor":
                continue
            assert command in KINDS, line
            count += 1
            words, _ = without_flag(words)
            try:
                parse_arguments(kind_of(command), words, line)
            except InputError as error:
                wrong.append(f"{path.name}: {line}: {error}")
    assert not wrong
    assert count > 80


def run(line: str, folder: Path) -> None:
    words = [sys.executable, "-m", "cyclopean", *shlex.split(line)[1:]]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"


@pytest.mark.slow
def test_getting_started_from_top_to_bottom(tmp_path):
    """Each block as it stands, with fewer steps; the files that a reader has are rendered first."""
    run("cyclopean render street made --count 3 --size 96x160 --baseline 0.3 --field-of-view 60", tmp_path)
    run("cyclopean render room rooms --rig sphere --count 1 --size 128x256", tmp_path)
    for side in ("left", "right"):
        shutil.copytree(tmp_path / "made" / side, tmp_path / "rig" / side)
    focal = 80 / math.tan(math.radians(30))  # pixels
    calibration = {"focal_px": focal, "width": 160, "baseline_m": 0.3}
    (tmp_path / "rig" / "calibration.json").write_text(json.dumps(calibration))
    Image.open(next((tmp_path / "made" / "left").iterdir())).save(tmp_path / "photo.jpg")
    panorama = next(path for path in (tmp_path / "rooms").rglob("*.png") if path.parent.name == "centre")
    Image.open(panorama).save(tmp_path / "room.jpg")
    drive(tmp_path / "clip.mp4", 24, (96, 144))
    page = (ROOT / "docs" / "getting_started.md").read_text()
    for given, small in BUDGETS.items():
        assert given in page
        page = page.replace(given, small)
    blocks = re.findall(r"```shell\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 5
    for line in "".join(blocks).splitlines():
        run(line, tmp_path)
    results = "depth/photo_disp.npy photo_defocus.jpg runs/mine/last/model.safetensors clip_defocus.mp4 result.json"
    for name in (*results.split(), "space/room_view.html", "space/room_disp.ply", "space/room_disp.glb"):
        assert (tmp_path / name).is_file(), name
