"""AQUANet and FAL-Net from the command line: stages, resuming, videos, mixed sets, features, two processes."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import trees
from cyclopean.cli import main
from cyclopean.methods.aquanet import Aquanet
from cyclopean.methods.falnet import Falnet
from cyclopean.networks.vgg import Vgg19
from cyclopean.sample import Sample
from cyclopean.training import checkpoint
from cyclopean.training.options import Run
from methods.test_aquanet import NO_MASK, clip

SMALL = ("--width", "0.06", "--batch-size", "2", "--workers", "0", "--accelerator", "cpu", "--size", "32x64")


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    run("render", "street", str(folder), "--rig", "clip", "--count", "5", "--size", "48x96", "--workers", "1")
    return folder


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as stop:
        main(list(words))
    return int(stop.value.code or 0)


def test_two_stages_from_the_command_line_and_again_after_a_stop(clips, tmp_path) -> None:
    out = tmp_path / "run"
    flags = ("train", "aquanet", "--data", str(clips), "--out", str(out), *SMALL, "--steps", "8", "--levels", "9")
    assert run(*flags) == 0
    models = [checkpoint.load(folder / "last")[0] for folder in (out / "stage1", out)]
    assert [(m.config()["rules"]["mask"], m.config()["rules"]["boost"]) for m in models] == [
        ("none", 0),
        ("spimo", 0.1),
    ]
    assert '"boost"' in (out / "log.jsonl").read_text()
    straight = (out / "last" / "model.safetensors").read_bytes()

    for file in ("resume.pt", "log.jsonl"):
        (out / file).unlink()  # as if it was stopped before the second stage
    assert run(*flags, "--resume") == 0
    assert (out / "last" / "model.safetensors").read_bytes() == straight

    assert run("predict", str(clips / "frame" / "000000.png"), "--model", str(out), "--out", str(tmp_path / "p")) == 0
    again = ("predict", str(clips / "frame" / "000000.png"), "--model", str(out), "--out", str(tmp_path / "boosted"))
    assert run(*again, "--post-process", "aquanet", "--size", "40x75") == 0  # any size
    maps = [np.load(tmp_path / name / "000000_disp.npy") for name in ("p", "boosted")]
    assert maps[0].shape == maps[1].shape == (48, 96)
    assert not np.allclose(*maps, rtol=1e-3)
    told = ("predict", str(clips / "frame" / "000000.png"), "--model", str(out), "--out", str(tmp_path / "told"))
    assert run(*told, "--field-of-view", "20") == 0  # the network is told the focal length
    assert not np.allclose(np.load(tmp_path / "told" / "000000_disp.npy"), maps[0], rtol=1e-3)
    assert run("evaluate", "--model", str(out), "--data", str(clips), "--post-process", "falnet") == 0
    again = ("train", "aquanet", "--data", str(clips), "--out", str(tmp_path / "second"), *SMALL, "--steps", "1")
    assert run(*again, "--levels", "9", "--first", str(out / "stage1")) == 0
    assert run(*again, "--first", "general") == 2


def test_poses_of_a_video_are_learned_alone_before_depth(clips, tmp_path, capfd) -> None:
    out = tmp_path / "run"
    flags = ("train", "aquanet", "--data", f"clip:{clips}", "--out", str(out), *SMALL, "--epochs", "3", "--levels", "9")
    assert run(*flags) == 0
    start, first, second = (checkpoint.load(out / name / "last")[0] for name in ("stage0", "stage1", "."))
    assert first.config()["pose"] == second.config()["pose"] == "cnn"
    torch.manual_seed(0)
    fresh = Aquanet(0.06, rules=start.config()["rules"], pose="cnn").state_dict()
    moved = {name for name, value in start.state_dict().items() if not torch.equal(value, fresh[name])}
    assert moved
    assert all(name.startswith("pose.") for name in moved)
    said = capfd.readouterr().err
    assert [line for line in said.splitlines() if line.startswith("stage ")] == [
        "stage 0 of 2: the pose network alone.",
        "stage 1 of 2: without masks of what moves.",
        "stage 2 of 2: anew, with masks of what moves.",
    ]
    assert '"kick-start"' in (out / "stage0" / "log.jsonl").read_text()
    assert '"kick-start"' not in (out / "stage1" / "log.jsonl").read_text()
    assert run("train", "aquanet", "--data", str(clips), "--out", str(tmp_path / "x"), *SMALL, "--pose", "cnn") == 2


def test_epochs_of_the_pose_network_alone_come_on_top(clips, tmp_path, monkeypatch) -> None:
    """4 items in batches of 2: 110 epochs are 220 steps, and 5 are 10."""
    taken: list[int] = []

    def untrained(method: Aquanet, _data: object, part: Run, *_: object, card: dict, **__: object) -> None:
        taken.append(part.steps)
        checkpoint.save(part.out / "last", method, card)

    monkeypatch.setattr("cyclopean.training.train.fit", untrained)
    for number, (data, words, steps) in enumerate(
        (
            (f"clip:{clips}", (), [10, 220, 220]),
            (f"clip:{clips}", ("--stages", "one", "--epochs", "110"), [10, 220]),
            (f"clip:{clips}", ("--steps", "225", "--epochs", "1"), [1, 1, 1]),
            (str(clips), (), [220, 220]),
        )
    ):
        taken.clear()
        flags = ("--published", "--data", data, "--out", str(tmp_path / str(number)), *SMALL, "--levels", "5")
        assert run("train", "aquanet", *flags, *words) == 0
        assert taken == steps, words


def test_sets_of_several_cities_are_mixed_and_a_run_goes_on(tmp_path, caplog) -> None:
    """KITTI and Cityscapes, whose pictures differ in size, shape, camera and in how many frames there are. A run that
    was stopped after the kick-start ends at the same weights."""
    trees.kitti_raw(tmp_path / "kitti", (1, 2, 3, 4, 5, 6))
    trees.cityscapes_sequence(tmp_path / "cities", (32, 64))
    cities = f"cityscapes_sequence:{tmp_path}/cities:part=train:reach=2"
    sets = f"kitti_raw:{tmp_path}/kitti:sources=video:eyes=both,{cities}"
    out = tmp_path / "run"
    learned = ("--levels", "5", "--pose", "posenet-dr", "--full", "--intrinsics", "learned")
    flags = ("train", "aquanet", "--data", sets, "--out", str(out), *SMALL, "--steps", "4", *learned)
    assert run(*flags) == 0
    assert "by what was learned of 5 items, the camera sees" in caplog.text
    assert caplog.text.count("only colours are compared") == 1
    trained = checkpoint.load(tmp_path / "run" / "last")[1]
    assert trained["training"]["items"] == 8 + 44 - 5
    assert trained["arguments"]["intrinsics"] == "learned"
    straight = (out / "last" / "model.safetensors").read_bytes()
    for folder in (out / "stage1", out):
        for file in ("resume.pt", "log.jsonl"):
            (folder / file).unlink()
    assert run(*flags, "--resume") == 0
    assert (out / "last" / "model.safetensors").read_bytes() == straight
    video = ("--data", f"kitti_raw:{tmp_path}/kitti:sources=video", "--out", str(tmp_path / "run2"), *SMALL)
    assert run("train", "aquanet", *video, "--pose", "none", "--intrinsics", "learned") == 2


@pytest.mark.slow
def test_a_pair_and_a_video_on_two_processes(tmp_path) -> None:
    """With the other eye among the sources, whose pose is known; each stage begins as on one process."""
    trees.kitti_raw(tmp_path / "kitti", (1, 2, 3, 4, 5, 6))
    plain = ("--flip", "0", "--separate", "0", "--reverse", "0", "--zoom", "1", "1", "--pose", "posenet-dr")
    flags = ("--data", f"kitti_raw:{tmp_path}/kitti:sources=both:eyes=both", *plain, *SMALL, "--steps", "6")
    told = []
    for devices, batch in (("1", "4"), ("2", "2")):
        out = tmp_path / devices
        many = ("--devices", devices, "--batch-size", batch, "--report-every", "1", "--levels", "5")
        command = [sys.executable, "-m", "cyclopean", "train", "aquanet", "--out", str(out), *flags, *many]
        done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
        assert done.returncode == 0, done.stderr
        logs = [(out / stage / "log.jsonl").read_text().splitlines() for stage in ("stage0", "stage1", ".")]
        lines = [json.loads(line) for log in logs for line in log]
        told.append([line.get("gradient_norm", line.get("validation")) for line in lines])
    assert len(told[0]) == 1 + 2 + 2 + 3  # steps of three stages, and each one's validation
    assert told[0] == pytest.approx(told[1], rel=1e-4)


def test_the_kick_start_teaches_the_pose_network_alone() -> None:
    torch.manual_seed(0)
    method, sample = Aquanet(0.05, rules=NO_MASK, pose="cnn"), clip()
    bare = tuple(replace(source, from_target=None) for source in sample.sources)
    frames = torch.stack([v.image for v in (sample.target, *sample.sources)], 1)
    video = replace(sample, sources=bare, frames=frames, zoom=torch.ones(2))
    method.begin_with_pose()
    assert not any(parameter.requires_grad for parameter in method.network.parameters())  # or processes wait for them
    terms = method(video)
    assert set(terms) == {"kick-start"}
    terms["kick-start"].backward()
    assert all(p.grad is None for p in method.network.parameters())
    assert sum(float(p.grad.abs().sum()) for p in method.pose.parameters() if p.grad is not None) > 0  # type: ignore
    method.kick_start = False
    method.requires_grad_(True).zero_grad()
    sum(method(video).values()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in method.parameters())


def test_fal_net_and_features_from_the_command_line(tmp_path, capsys, monkeypatch) -> None:
    """It learns from parts of zoomed pictures; with other weights, or another zoom, its run does not go on."""
    learned_from: list[tuple[float, float]] = []
    losses = Falnet.losses

    def recorded(method: Falnet, sample: Sample) -> dict[str, torch.Tensor]:
        if method.training:
            extent = sample.target.window[:, 2:] - sample.target.window[:, :2]
            learned_from.extend((float(one[0]), float(zoom)) for one, zoom in zip(extent, sample.zoom, strict=True))
        return losses(method, sample)

    monkeypatch.setattr(Falnet, "losses", recorded)
    pairs, weights = tmp_path / "pairs", tmp_path / "vgg19.safetensors"
    run("render", "street", str(pairs), "--count", "4", "--size", "32x64", "--workers", "1")
    flags = ("train", "falnet", "--data", str(pairs), "--out", str(tmp_path / "run"), *SMALL, "--steps", "4")
    assert run(*flags, "--vgg19-weights", str(weights)) == 2
    save_file(Vgg19().state_dict(), weights)
    assert run(*flags, "--levels", "9", "--vgg19-weights", str(weights)) == 0
    models = [checkpoint.load(tmp_path / "run" / name)[0] for name in ("stage1/last", "last")]
    assert [m.config()["stage"] for m in models] == [1, 2]
    log = (tmp_path / "run" / "log.jsonl").read_text()
    assert '"mirror"' in log
    assert '"perceptual"' in log
    assert len(learned_from) == 6
    for width, zoom in learned_from:
        assert 1 <= zoom <= 1.5
        assert width == pytest.approx(1 / zoom, rel=0.02)  # pictures are no larger than parts here
    assert len({round(zoom, 3) for _, zoom in learned_from}) > 3
    others = tmp_path / "others.safetensors"
    others.write_bytes(weights.read_bytes())
    for words, sentence in (
        ((), "vgg19-weights vgg19.safetensors, but this command has vgg19-weights"),
        (("--vgg19-weights", str(others)), "this command has vgg19-weights others.safetensors"),
        (("--vgg19-weights", str(weights), "--zoom", "1", "1.5"), "smallest zoom 0.75, but this command has smallest"),
    ):
        capsys.readouterr()
        assert run(*flags, "--levels", "9", "--resume", *words) == 2
        assert sentence in capsys.readouterr().err
    for words in (("--zoom", "2", "1"), ("--min-crop", "0.5"), ("--aspect-jitter", "1.5")):
        assert run("train", "falnet", "--data", str(pairs), "--out", str(tmp_path / "none"), *SMALL, *words) == 2
