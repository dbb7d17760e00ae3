"""From a calibrated folder to metres: train, predict and evaluate, with nothing written by hand in between."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from cyclopean.cli import main
from cyclopean.training import checkpoint
from stereo_pairs import write_depth, write_pairs

SMALL = "--size 64x128 --network compact --batch-size 1 --workers 0 --accelerator cpu --steps 1 --width 0.1"
QUICK = SMALL.split()


@pytest.fixture
def pairs(tmp_path) -> Path:
    return write_pairs(tmp_path / "pairs")  # focal length 1, baseline 0.1


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in words])
    return int(stop.value.code or 0)


def calibrated(folder: Path, focal: float, baseline: float) -> Path:
    values = {"focal": [focal, 2 * focal], "baseline_m": baseline}
    (write_pairs(folder) / "calibration.json").write_text(json.dumps(values))
    return folder


@pytest.mark.parametrize("method", ["naive", "deep3d", "deep3ds", "garg", "monodepth", "trinocular", "monodepth2"])
def test_one_rig_in_the_data_is_kept(method, pairs, tmp_path, capsys):
    assert run("train", method, "--data", pairs, "--out", tmp_path / "run", *QUICK) == 0
    model, _ = checkpoint.load(tmp_path / "run" / "last")
    assert model.rig == pytest.approx((1.0, 0.1))
    assert model.ambiguity == "metric"
    assert "one rig (a focal length of 1 image widths and a baseline of 0.1 m)" in capsys.readouterr().err


def test_several_rigs_and_free_factors_keep_none(pairs, tmp_path, capsys):
    """Rigs that differ by half a percent are one, as those of KITTI's days; those of one more folder are not."""
    near, other = calibrated(tmp_path / "near", 1.005, 0.1), calibrated(tmp_path / "other", 1.0, 0.2)
    cases: list[tuple[str, list[object], tuple[float, float] | None, str]] = [
        ("near", ["--data", f"{pairs},{near}"], (1.0025, 0.1), "one rig"),
        ("many", ["--data", f"{pairs},{other}"], None, "baselines 0.1 to 0.2 m"),
        ("free", ["--data", pairs, "--factors", "3"], None, ""),
        ("told", ["--data", pairs, "--rig", "1.01", "0.1"], (1.01, 0.1), ""),
        ("bare", ["--data", calibrated(tmp_path / "bare", 1.0, 1.0)], None, "not all of the data are calibrated"),
    ]
    for name, flags, rig, said in cases:
        assert run("train", "monodepth", *flags, "--out", tmp_path / "runs" / name, *QUICK) == 0, name
        found = checkpoint.load(tmp_path / "runs" / name / "last")[0].rig
        assert found == (rig if rig is None else pytest.approx(rig)), name
        assert said in capsys.readouterr().err


def test_a_rig_for_pairs_that_nobody_calibrated(pairs, tmp_path, capsys):
    """It is learned with, whatever the head; one that the calibration contradicts is refused."""
    bare = calibrated(tmp_path / "bare", 1.0, 1.0)
    for head in ("disparity", "range"):
        flags = ["--rig", "0.6", "0.54", "--head", head]
        assert run("train", "monodepth2", "--data", bare, "--out", tmp_path / head, *flags, *QUICK) == 0
        assert checkpoint.load(tmp_path / head / "last")[0].rig == (0.6, 0.54)
    capsys.readouterr()
    assert run("train", "monodepth", "--data", pairs, "--out", tmp_path / "no", "--rig", "0.6", "0.54", *QUICK) == 2
    assert "leave --rig out, or correct the calibration" in capsys.readouterr().err


def test_a_rig_in_another_unit_is_noticed_wherever_it_stands(pairs, tmp_path, caplog):
    """Focal lengths in pixels and baselines in millimetres: typed, or in the config of a model."""
    bare = calibrated(tmp_path / "bare", 1.0, 1.0)
    flags = ["--data", bare, *QUICK]
    cases: list[tuple[list[str], str]] = [
        (["0.6", "0.54"], ""),
        (["721", "0.54"], "--rig states a focal length of 721 image widths"),
        (["0.6", "540"], "--rig states a baseline of 540 m, by which 20 px of disparity would mean"),
    ]
    for k, (rig, words) in enumerate(cases):
        caplog.clear()
        assert run("train", "monodepth2", "--rig", *rig, "--out", tmp_path / f"{k}", *flags) == 0
        assert ("check its unit" in caplog.text) is bool(words)
        assert words in caplog.text
    config = tmp_path / "0" / "last" / "config.json"
    stated = json.loads(config.read_text())
    for rig, words in (
        ([0.6, 0.54], ""),
        ([721.0, 0.54], "a focal length of 721"),
        ([0.6, 540.0], "a baseline of 540 m"),
    ):
        for size in (stated["input_size"], None, "text"):
            caplog.clear()
            arguments = {**stated["arguments"], "rig": rig}
            config.write_text(json.dumps({**stated, "arguments": arguments, "input_size": size}))
            assert checkpoint.load(config.parent)[0].rig == tuple(rig)
            assert (f'{config}: "rig" states {words}' in caplog.text) is bool(words)


def test_untrained_maps_of_metres_go_through_predict_and_evaluate(pairs, tmp_path):
    write_depth(pairs)
    assert run("train", "monodepth", "--data", pairs, "--out", tmp_path / "run", *QUICK) == 0
    model = tmp_path / "run" / "best"
    assert run("predict", pairs / "left" / "000.png", "--model", model, "--out", tmp_path / "maps") == 0
    sidecar = json.loads((tmp_path / "maps" / "000_disp.json").read_text())
    assert (sidecar["unit"], sidecar["ambiguity"]) == ("m", "metric")
    assert run("evaluate", "--data", pairs, "--model", model, "--alone", "--json", tmp_path / "a.json") == 0
    assert run("evaluate", "--data", pairs, "--model", model, "--alone", "--look", "aspect") == 0
    said = json.loads((tmp_path / "a.json").read_text())["results"][0]
    assert said["ambiguities"] == {"best": "metric"}


def test_a_run_is_named_as_a_model(pairs, tmp_path, caplog):
    """Everywhere: its best model is taken, else its last, and which is said."""
    write_depth(pairs)
    out = tmp_path / "run"
    assert run("train", "monodepth", "--data", pairs, "--out", out, *QUICK) == 0
    predict = ("predict", pairs / "left" / "000.png", "--model", out, "--out", tmp_path / "maps")
    assert run(*predict) == 0
    assert caplog.messages == [f"{out} is a training run; its model {out / 'best'} is used."]
    shutil.rmtree(out / "best")
    assert run(*predict) == 0
    assert caplog.messages[-1] == f"{out} is a training run; its model {out / 'last'} is used."
    assert run("evaluate", "--data", pairs, "--model", out, "--alone") == 0
    assert run("train", "monodepth", "--data", pairs, "--out", tmp_path / "next", "--init", out, *QUICK) == 0
    assert run("train", "supervised", "--data", pairs, "--out", tmp_path / "twin", "--init", out, *QUICK) == 0


def slopes(folder: Path) -> Path:
    """Four slopes of wavy colours, files of 96x192: a row's disparity grows from 0.06 to up to 0.14 of the width."""
    (folder / "depth").mkdir(parents=True)
    for n in range(4):
        disparity = np.linspace(0.06, 0.08 + 0.02 * n, 96)[:, None]
        for name, moved in (("left", 0.0), ("right", disparity)):
            x = 6 * ((np.arange(192) + 0.5) / 192 + moved) * np.ones((96, 1))
            y = np.linspace(0, 3, 96)[:, None]
            waves = [
                np.sin(f * (x * c + y * s) + k + n) * np.sin(f * (y * c - x * s) + 2 * k)
                for k, (f, c, s) in enumerate([(1.5, 1.0, 0.3), (3.0, 0.8, -0.6), (5.5, 0.5, 0.9)])
            ]
            picture = [127 + 40 * (waves[k] + waves[k - 1] - waves[k - 2]) for k in range(3)]
            (folder / name).mkdir(exist_ok=True)
            assert cv2.imwrite(str(folder / name / f"{n}.png"), np.stack(picture, -1).clip(0, 255).astype(np.uint8))
        np.save(folder / "depth" / f"{n}.npy", np.repeat(0.8 * 0.5 / disparity, 192, 1).astype(np.float32))
    (folder / "calibration.json").write_text('{"focal": [0.8, 1.6], "baseline_m": 0.5}')
    return folder


@pytest.mark.slow
def test_metres_are_learned(tmp_path):
    """Pairs learned by heart; judged un-aligned, shown at the size of training, which is not the files'."""
    pairs, out = slopes(tmp_path / "pairs"), tmp_path / "run"
    flags = "--size 64x128 --network compact --width 0.25 --batch-size 4 --workers 0 --accelerator cpu --steps 160"
    flags += " --learning-rate 4e-3 --colour 0 --flip 0"
    assert run("train", "monodepth", "--data", pairs, "--validation", pairs, "--out", out, *flags.split()) == 0
    assert run("evaluate", "--data", pairs, "--model", out / "last", "--alone", "--json", tmp_path / "a.json") == 0
    images = json.loads((tmp_path / "a.json").read_text())["results"][0]["per_image"]
    scales = [image["last"]["none"]["scale"] for image in images.values()]
    assert len(scales) == 4
    assert np.median(scales) == pytest.approx(1, abs=0.05)
