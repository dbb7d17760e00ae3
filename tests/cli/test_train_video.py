"""Training from clips whose poses nobody knows, by the command line: films, rendered clips, wrong data."""

from pathlib import Path

import pytest

from cyclopean.cli import main
from cyclopean.synthetic.folder import RenderJob, write
from cyclopean.training import checkpoint
from filmed import encode, walk

SMALL = ["--network", "compact", "--width", "0.1", "--batch-size", "2", "--workers", "0", "--accelerator", "cpu"]


def train(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(["train", "monodepth2", *arguments, *SMALL, "--steps", "2"])
    return int(stopped.value.code or 0)


def test_a_film_trains_a_model_that_needs_no_pose(tmp_path, capsys):
    film, run = tmp_path / "walk.mp4", tmp_path / "run"
    encode(film, walk(6) + walk(6, seed=7))  # with a cut, which costs four items
    flags = ["--data", f"clip:{film}:fov=70", "--size", "64x96", "--pose", "cnn", "--min-crop", "0.7"]
    assert train(*flags, "--mask", "best+learned", "--out", str(run)) == 0
    said = capsys.readouterr().err
    assert "the motion between frames is predicted: depth is learned up to scale." in said
    method, config = checkpoint.load(run / "last")
    assert config["arguments"]["pose"] == "cnn"
    assert method.ambiguity == "scale"
    with pytest.raises(SystemExit, match="0"):
        main(["predict", str(film), "--model", str(run / "last"), "--out", str(tmp_path / "depth")])
    assert (tmp_path / "depth" / "walk_disp.mp4").exists()
    assert train(*flags, "--mask", "best+learned", "--out", str(run), "--resume") == 0


def test_rendered_clips_train_with_poses_withheld_and_known(tmp_path, capsys):
    clips = tmp_path / "clips"
    for _ in write(RenderJob(("street",), "clip", 3, 3, (64, 96)), clips):
        pass
    assert train("--data", f"clip:{clips}", "--out", str(tmp_path / "withheld")) == 0
    assert checkpoint.load(tmp_path / "withheld" / "last")[1]["arguments"]["pose"] == "resnet"
    assert train("--data", str(clips), "--swap", "0", "--out", str(tmp_path / "known")) == 0
    assert "pose" not in checkpoint.load(tmp_path / "known" / "last")[1]["arguments"]
    for flags, sentence in (
        (["--data", str(clips), "--pose", "cnn"], "know where each camera stood; leave it out"),
        (["--data", f"clip:{clips}", "--pose", "none"], "--pose resnet"),
        (["--data", f"{tmp_path}/none.mp4"], "does not exist"),
    ):
        assert train(*flags, "--out", str(tmp_path / "no")) == 2
        assert sentence in capsys.readouterr().err
        assert not Path(tmp_path / "no").exists()
