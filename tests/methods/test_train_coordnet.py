"""The recipe: AdaBound is the paper's, and `cyclopean train coordnet` learns from a rendered folder."""

import json

import pytest
import torch

from cyclopean import cli
from cyclopean.synthetic.folder import RenderJob, write
from cyclopean.training import checkpoint
from cyclopean.training.optimisation import FINAL, SPEED, adabound, constant


def test_adabound_of_the_paper(golden):
    """Golden `adabound`: fifty steps of seven numbers."""
    truth = golden("adabound")
    assert (float(truth["final_lr"]), float(truth["gamma"])) == (FINAL, SPEED)
    parameter = torch.nn.Parameter(truth["params"][0].float())
    optimizer = adabound([parameter], float(truth["lr"]))
    for gradient, expected in zip(truth["grads"], truth["params"][1:], strict=True):
        parameter.grad = gradient.float()
        optimizer.step()
        torch.testing.assert_close(parameter.detach().double(), expected, rtol=0, atol=1e-7)


def test_the_rate_is_constant():
    assert {constant(step, 100) for step in range(100)} == {1.0}


def test_help_says_what_each_flag_does(capsys):
    """`--no-` flags too, whose names say the opposite of the arguments'."""
    with pytest.raises(SystemExit, match="0"):
        cli.main(["train", "coordnet", "--help"])
    said = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "--no-coordinates Convolutions without pixel coordinates" in said
    assert "--no-attention All directions weigh the same" in said
    assert "default: True" not in said
    assert all(flag in said for flag in ("--sharpness X", "--window N", "--width X"))


@pytest.mark.slow
@pytest.mark.parametrize("rig", ["TC", "SV"])
def test_it_trains_on_a_rendered_folder_and_goes_on_where_it_stopped(rig, tmp_path):
    """As a user would; two steps and two more are four steps, to the last bit."""
    for _ in write(RenderJob(("room",), "sphere", 0, 3, (16, 32)), tmp_path / "worlds"):
        pass

    def train(out: str, *flags: str) -> dict[str, torch.Tensor]:
        where = ("--data", str(tmp_path / "worlds"), "--out", str(tmp_path / out))
        common = ("--rig", rig, "--batch-size", "2", "--workers", "0", "--accelerator", "cpu", "--save-every", "0")
        with pytest.raises(SystemExit, match="0"):
            cli.main(["train", "coordnet", *where, *common, *flags])
        return checkpoint.load(tmp_path / out / "last")[0].state_dict()

    whole = train("whole", "--steps", "4")
    config = json.loads((tmp_path / "whole" / "last" / "config.json").read_text())
    assert config["method"] == "coordnet"
    assert config["arguments"]["rig"] == rig
    assert config["input_size"] == [16, 32]
    train("again", "--steps", "2")
    again = train("again", "--steps", "4", "--resume")
    assert all(torch.equal(whole[k], again[k]) for k in whole)
