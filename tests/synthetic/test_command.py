"""`cyclopean render` as people use it, and the example of docs/worlds.md."""

import json
import re
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from cyclopean.cli import main
from cyclopean.data.folder import FolderDataset
from cyclopean.synthetic import ALL

PAGE = Path(__file__).parents[2] / "docs" / "worlds.md"


def test_from_a_shell_with_two_workers(tmp_path):
    command = [sys.executable, "-m", "cyclopean", "render", "street,room", "w", "--count", "3", "--size", "32x48"]
    done = subprocess.run([*command, "--workers", "2"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "3 scenes rendered to w" in done.stdout
    assert [item.name for item in FolderDataset(tmp_path / "w")] == [
        ("street/000000",),
        ("room/000001",),
        ("street/000002",),
    ]
    assert cv2.imread(str(tmp_path / "w" / "contact.png")).shape == (64, 4 * 48, 3)


def test_all_and_more(tmp_path):
    with pytest.raises(SystemExit) as stop:
        main(["render", "clutter,all", str(tmp_path), "--size", "16x32", "--workers", "1", "--count", "1"])
    assert stop.value.code == 0
    assert json.loads((tmp_path / "dataset.json").read_text())["made_by"]["families"] == ["clutter", *ALL]


def test_a_second_run_renders_what_is_missing(tmp_path, capsys):
    order = ["render", "table", str(tmp_path), "--size", "16x32", "--workers", "1", "--rig", "sphere"]
    for count in (1, 2):
        with pytest.raises(SystemExit) as stop:
            main([*order, "--count", str(count)])
        assert stop.value.code == 0
    assert "1 scenes rendered" in capsys.readouterr().out.split("shows some.")[1]
    assert json.loads((tmp_path / "dataset.json").read_text())["rig"] == "sphere"


BAD_INPUT = (
    (["strete", "OUT"], "did you mean 'street'"),
    (["street,rom", "OUT"], "did you mean 'room'"),
    (["street"], "it needs a world and a folder"),
    (["street", "OUT", "--rig", "steroe"], "did you mean 'stereo'"),
    (["street", "OUT", "--sizes", "96x96"], "did you mean '--size'"),
    (["street", "OUT", "--size", "96"], "height x width"),
    (["street", "OUT", "--size", "8x96"], "at least 16"),
    (["street", "OUT", "--size", "96x100", "--rig", "sphere"], "twice as wide"),
    (["street", "OUT", "--count", "0"], "at least 1"),
    (["street", "OUT", "--count", "many"], "whole number"),
    (["street", "OUT", "--workers", "0"], "at least 1"),
    (["street", "OUT", "--baseline", "-1"], "above 0"),
    (["street", "OUT", "--field-of-view", "180"], "between 0 and 180"),
    (["street", "OUT", "--device", "cuda:99"], "'cuda:99' cannot be used here"),
    (["street", "OUT", "--pictures", "nowhere"], "is not a folder"),
    (["street", "/proc/none/out"], "cannot"),
)


def test_bad_input_is_one_sentence(tmp_path, capsys):
    out, wrong = tmp_path / "out", []
    for arguments, sentence in BAD_INPUT:
        with pytest.raises(SystemExit) as stop:
            main(["render", *[str(out) if a == "OUT" else a for a in arguments]])
        err = capsys.readouterr().err
        if stop.value.code != 2 or sentence not in err or len(err.strip().splitlines()) != 1 or out.exists():
            wrong.append((arguments, stop.value.code, err, out.exists()))
    assert not wrong


def test_the_example_of_the_page_runs(capsys):
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)
    exec(compile(example, str(PAGE), "exec"), {})
    assert re.fullmatch(r"torch\.Size\(\[1, 3, 192, 384\]\) \d+\.\d+ m\n", capsys.readouterr().out)
