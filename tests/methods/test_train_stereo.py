"""Every recipe of the stereo family from its flags, and combinations that no paper has, on a small folder of pairs."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from cyclopean.cli import main
from cyclopean.training import checkpoint
from cyclopean.training.options import Run
from cyclopean.training.recipes import phases

FAMILY = ("naive", "deep3d", "deep3ds", "garg", "monodepth", "trinocular", "monodepth2")
SMALL = ["--width", "0.1", "--batch-size", "2", "--workers", "0", "--accelerator", "cpu", "--steps", "1"]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> Path:
    """Four pairs of smooth noise, shifted by 4 pixels."""
    folder = tmp_path_factory.mktemp("pairs")
    random = np.random.default_rng(0)
    for k in range(4):
        wide = cv2.resize(random.integers(0, 255, (8, 12, 3), dtype=np.uint8), (100, 64))
        for name, picture in (("left", wide[:, :96]), ("right", wide[:, 4:])):
            (folder / name).mkdir(exist_ok=True)
            cv2.imwrite(str(folder / name / f"{k:06d}.png"), picture)
    (folder / "calibration.json").write_text(json.dumps({"focal": [0.9, 1.35], "baseline_m": 0.1}))
    return folder


def train(name: str, pairs: Path, out: Path, *flags: str) -> int:
    network = () if "--network" in flags else ("--network", "compact")
    with pytest.raises(SystemExit) as stop:
        main(["train", name, "--data", str(pairs), "--out", str(out), *SMALL, *network, *flags])
    return int(stop.value.code or 0)


@pytest.mark.parametrize("name", FAMILY)
def test_every_recipe_trains_and_its_model_is_loaded(name, pairs, tmp_path):
    assert train(name, pairs, tmp_path / "run") == 0
    loaded, config = checkpoint.load(tmp_path / "run" / "last")
    assert loaded.config() == config["arguments"]
    assert config["training"]["recipe"] == name


@pytest.mark.parametrize(
    "flags",
    [
        "monodepth --variant stereo --error l1 --scales full --mask unoccluded+inside",
        "monodepth2 --head levels --warp linearized --error l2 --mask learned --features own --smooth squared",
        "garg --warp nearest --scales native --border edge --network resnet18",
    ],
)
def test_what_a_user_names_runs(flags, pairs, tmp_path):
    name, *rest = flags.split()
    assert train(name, pairs, tmp_path / "run", *rest) == 0


def test_garg_in_four_stages(pairs, tmp_path):
    out = tmp_path / "run"
    assert train("garg", pairs, out, "--stages", "four", "--steps", "4") == 0
    stages = [checkpoint.load(folder / "last")[1]["arguments"]["stage"] for folder in (out / "stage1", out / "stage3")]
    assert stages == [1, 3]
    assert checkpoint.load(out / "last")[1]["arguments"]["stage"] == 4
    assert train("garg", pairs, out, "--stages", "four", "--steps", "4", "--resume") == 0


def test_a_run_in_stages_goes_on_where_it_stopped(tmp_path):
    run = Run(tmp_path, steps=40, init="x")
    fresh = phases(run, 1)
    assert [(stage, part.init, part.steps, part.resume) for stage, part in fresh] == [
        (1, "x", 10, False),
        (2, str(tmp_path / "stage1" / "last"), 10, False),
        (3, str(tmp_path / "stage2" / "last"), 10, False),
        (4, str(tmp_path / "stage3" / "last"), 10, False),
    ]
    for stage in (1, 2):
        (tmp_path / f"stage{stage}").mkdir()
        (tmp_path / f"stage{stage}" / "resume.pt").touch()
    later = phases(replace(run, resume=True), 1)
    assert [(stage, part.resume) for stage, part in later] == [(2, True), (3, False), (4, False)]
    assert phases(run, 4) == [(4, replace(run, steps=40))]


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ("monodepth2 --mask automatic", "unknown mask 'automatic': did you mean 'auto'"),
        ("monodepth --swap 1", "swap left and right"),
        ("monodepth --start nowhere.safetensors", "nowhere.safetensors is missing"),
        ("monodepth --features nowhere", "nowhere is missing"),
        ("monodepth --network resnet18 --size 32x32 --batch-size 1", "give --batch-size 2"),
        ("deep3d --levels 1", "1 levels up to 0.3"),
    ],
)
def test_bad_combinations_are_one_sentence(flags, sentence, pairs, tmp_path, capsys):
    name, *rest = flags.split()
    assert train(name, pairs, tmp_path / "run", *rest) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert "Traceback" not in said
    assert not (tmp_path / "run").exists()
