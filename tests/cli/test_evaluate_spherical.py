"""`cyclopean evaluate --protocol spherical` as a user types it: a folder of panoramas, a model, trivial rows."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from commands import shell
from cyclopean.methods.monodepth import Monodepth
from cyclopean.methods.spherical_view_synthesis import SphericalViewSynthesis
from cyclopean.metrics import sphere_errors
from cyclopean.synthetic.folder import RenderJob, write
from cyclopean.training import checkpoint


@pytest.fixture(scope="module")
def rooms(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("rooms")
    for name, seed in (("train", 100), ("held-out", 200)):
        list(write(RenderJob(("room",), "sphere", seed, 3, (32, 64)), folder / name))
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    torch.manual_seed(0)
    checkpoint.save(folder, SphericalViewSynthesis(width=0.125), {"input_size": [32, 64], "licence": "Apache-2.0"})
    return folder


def test_a_panorama_model_beside_trivial_rows(rooms, model, tmp_path):
    out = tmp_path / "out.json"
    done = shell(
        "evaluate", "--protocol", "spherical", "--data", f"folder:{rooms / 'held-out'}", "--model", model,
        "--training-mean", rooms / "train", "--json", out, "-v",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for name in ("tiny", "(constant)", "(latitude mean)", "(training mean)", "AbsRel as released"):
        assert name in done.stdout
    wide, narrow = json.loads(out.read_text())["results"]
    assert (wide["protocol"]["far"], narrow["protocol"]["far"]) == ([20.0], [10.0])
    depth = [np.load(path) for path in sorted((rooms / "held-out" / "depth").glob("*.npy"))]
    rows = {(r["candidate"], r["alignment"]): r for r in wide["rows"]}
    assert ("tiny", "none") in rows
    assert ("tiny", "affine") not in rows
    constant = [by_hand(d) for d in depth]
    assert rows["constant", "median"]["figures"]["abs_rel"] == pytest.approx(np.mean(constant), rel=1e-5)


def by_hand(depth: np.ndarray) -> float:
    """AbsRel over the sphere of the median, everywhere."""
    truth = torch.from_numpy(depth).double()
    counts = truth < 20
    guess = torch.full_like(truth, float(np.median(depth[counts.numpy()].astype(float))))
    return float(sphere_errors(guess, truth, counts).abs_rel)


def test_a_model_of_ordinary_photos_sees_panoramas_too(rooms, tmp_path):
    """By faces around, as in predict."""
    folder = tmp_path / "plain"
    torch.manual_seed(0)
    checkpoint.save(folder, Monodepth(width=0.03), {"input_size": [64, 64], "licence": "Apache-2.0"})
    done = shell(
        "evaluate", "--protocol", "spherical", "--data", rooms / "held-out", "--model", folder, "--alone", "--limit", 1
    )
    assert done.returncode == 0, done.stderr
    assert "plain" in done.stdout


def test_runs_of_one_name_are_told_apart(rooms, tmp_path):
    """Every run calls its model `last`."""
    for run in ("a", "b"):
        torch.manual_seed(0)
        method = SphericalViewSynthesis(width=0.125)
        checkpoint.save(tmp_path / run / "last", method, {"input_size": [32, 64], "licence": "Apache-2.0"})
    models = [str(tmp_path / run / "last") for run in ("a", "b")]
    done = shell(
        "evaluate", "--protocol", "spherical", "--data", rooms / "held-out", "--model", ",".join(models),
        "--alone", "--limit", 1,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert all(name[-13:] in done.stdout for name in models)  # long names are shortened in the middle
