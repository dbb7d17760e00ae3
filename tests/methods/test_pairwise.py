"""Any combination that a user can name runs: every value of every flag meets every value of every other flag.

All pairs, in as few rows as a greedy search finds, as words of the command line; one gradient step each, at tiny sizes.
"""

import itertools
import json
import random
from pathlib import Path
from typing import Any, get_args

import cv2
import numpy as np
import pytest
from safetensors.torch import save_file

from cyclopean.cli import train
from cyclopean.methods.masks import MASKS
from cyclopean.networks.resnet import Encoder
from cyclopean.training import checkpoint, options

PAIRS = ("garg", "monodepth", "monodepth --variant no-lr --factors 3", "monodepth --variant stereo", "trinocular")
PAIRS += ("monodepth2 --swap 0.5",)
PLAIN = tuple(name for name in MASKS if name != "explained")  # which needs a pose network
FLAGS: dict[str, tuple[str, ...]] = {
    "": (*(f"{what} --data PAIRS" for what in PAIRS), *(f"monodepth2 --swap 0 --data {x}" for x in ("SPHERE", "CLIP"))),
    "--network": get_args(options.Network),
    "--mask": ("none", *PLAIN, "+".join(PLAIN)),
    "--error": get_args(options.ErrorName),
    "--head": get_args(options.HeadName),
    "--warp": get_args(options.WarpName),
    "--scales": get_args(options.ScalesName),
    "--smooth": get_args(options.SmoothName),
    "--features": ("none", "own", "RESNET"),
    "--border": get_args(options.BorderName),
    "--schedule": ("halving", "cosine"),
}
SELECTING: dict[str, tuple[str, ...]] = {
    "": (
        *("naive", "naive --error l2", "naive --error ssim", "naive --error ssim-reflected --sampling nearest"),
        *("deep3d --levels 2", "deep3d --smoothness expected", "deep3ds", "deep3ds --most 0.1 --smoothness expected"),
        *("garg --stages four --features own --mask learned", "monodepth --variant stereo --features own"),
    ),
    "--network": ("compact", "resnet18", "resnet50-elu"),
}
RIGS = (
    *(f"--rig {rig}" for rig in ("UD", "LR", "TC")),  # SV: these pictures have no depth
    "--rig LR --predicts disparity",
    "--rig UD --predicts magnitude",
)
SPHERICAL: dict[str, tuple[str, ...]] = {
    "": tuple(f"coordnet --data SPHERE {rig}" for rig in RIGS),
    "--warp": ("splat", "pull"),
    "--landing": ("exact", "first-order"),
    "--sharpness": ("0", "0.1", "1"),
    "--window": ("3", "5"),
    "--ratio": ("0.6", "0.6 --no-attention --circular", "0.2 --no-coordinates"),  # and what takes no value
}
WIDTH = 0.0625  # a sixteenth: no channels are rounded
SMALL = ("--width", str(WIDTH), "--size", "128x128", "--batch-size", "1", "--workers", "0", "--accelerator", "cpu")


def all_pairs(flags: dict[str, tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Rows, a value of each flag, such that each two values of two flags stand together in one of them."""
    draw, kinds = random.Random(0), list(flags.values())
    placed = [[(place, value) for value in values] for place, values in enumerate(kinds)]
    left = {pair for one, other in itertools.combinations(placed, 2) for pair in itertools.product(one, other)}
    rows = []

    def met(row: tuple[str, ...]) -> set:
        return left & set(itertools.combinations(enumerate(row), 2))

    while left:
        wanted = min(left)
        tried = []
        for _ in range(10):
            row = [draw.choice(values) for values in kinds]
            for place, value in wanted:
                row[place] = value
            tried.append(tuple(row))
        rows.append(max(tried, key=lambda row: len(met(row))))
        left -= met(rows[-1])
    return rows


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Folders of pairs, clips and panoramas, and a ResNet's weights."""
    root = tmp_path_factory.mktemp("pictures")
    for name in ("left", "right"):
        pictures(root / "PAIRS" / name)
    (root / "PAIRS" / "calibration.json").write_text(json.dumps({"focal": [0.9, 0.9], "baseline_m": 0.1}))
    pinhole = {"camera": "pinhole", "focal": [0.9, 1.8], "center": [0.5, 0.5]}
    poses = {"previous": shifted(0.05, -0.02, 0.2), "next": shifted(-0.05, 0.0, -0.2)}
    world(root / "CLIP", "clip", pinhole, poses)
    above = {"up": shifted(0.0, 0.26, 0.0), "right": shifted(-0.26, 0.0, 0.0)}
    world(root / "SPHERE", "sphere", {"camera": "equirectangular"}, above)
    save_file(Encoder(18, WIDTH).state_dict(), root / "RESNET")
    return {name: str(root / name) for name in ("PAIRS", "CLIP", "SPHERE", "RESNET")}


def pictures(folder: Path) -> None:
    """Two of smooth noise."""
    folder.mkdir(parents=True)
    noise = np.random.default_rng(len(folder.name)).integers(0, 255, (2, 8, 12, 3), dtype=np.uint8)
    for k, coarse in enumerate(noise):
        cv2.imwrite(str(folder / f"{k:06d}.png"), cv2.resize(coarse, (128, 128)))


def world(root: Path, rig: str, camera: dict[str, Any], poses: dict[str, list[list[float]]]) -> None:
    """A folder as `cyclopean render` writes it, without depth."""
    target = {"clip": "frame", "sphere": "centre"}[rig]
    for name in (target, *poses):
        pictures(root / name)
    about = {"format": "cyclopean-folder", "version": 1, "rig": rig, "views": [target, *poses], "target": target}
    (root / "dataset.json").write_text(json.dumps({**about, "unit": "m"}))
    (root / "camera").mkdir()
    for k in range(2):
        (root / "camera" / f"{k:06d}.json").write_text(json.dumps({**camera, "from_target": poses, "family": "room"}))


def shifted(x: float, y: float, z: float) -> list[list[float]]:
    return [[1.0, 0.0, 0.0, x], [0.0, 1.0, 0.0, y], [0.0, 0.0, 1.0, z], [0.0, 0.0, 0.0, 1.0]]


def words(row: tuple[str, ...], names: tuple[str, ...], places: dict[str, str]) -> list[str]:
    """Of the command line; PAIRS and so on are the places."""
    said = " ".join(f"{name} {value}" for name, value in zip(names, row, strict=True)).split()
    return [places.get(word, word) for word in said]


@pytest.mark.parametrize(
    "flags",
    [
        pytest.param(FLAGS, id="rebuilding", marks=pytest.mark.slow),  # a hundred trainings
        pytest.param(SELECTING, id="selecting", marks=pytest.mark.slow),
        pytest.param(SPHERICAL, id="spherical"),
    ],
)
def test_all_pairs_train_and_their_models_are_loaded(flags, places, tmp_path):
    """One step each; `training.fit` refuses losses and gradients that are not finite."""
    rows = all_pairs(flags)
    for k, row in enumerate(rows):
        given = words(row, tuple(flags), places)
        if "--data" not in given:
            given += ["--data", places["PAIRS"]]
        out = tmp_path / str(k)
        assert train.main([*given, *SMALL, "--out", str(out), "--steps", "4" if "four" in given else "1"]) == 0, row
        method, _ = checkpoint.load(out / "last")
        assert method.config() == json.loads((out / "last" / "config.json").read_text())["arguments"], row


def test_the_rows_hold_all_pairs():
    rows = all_pairs(FLAGS)
    assert len(rows) < 110
    for (i, first), (j, second) in itertools.combinations(enumerate(FLAGS.values()), 2):
        assert {(row[i], row[j]) for row in rows} == set(itertools.product(first, second))
