"""The train command from a shell, on a small folder of rendered worlds."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from cyclopean.cli import main

COMMAND = [sys.executable, "-m", "cyclopean", "train"]
SMALL = ["--network", "compact", "--width", "0.1", "--batch-size", "2", "--workers", "0", "--accelerator", "cpu"]


def train(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=120, check=False)


def write_pictures(folder: Path, n: int, size: tuple[int, int], seed: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    for k in range(n):
        picture = cv2.resize(random.integers(0, 255, (8, 12, 3), dtype=np.uint8), size[::-1])
        cv2.imwrite(str(folder / f"{k:06d}.png"), picture)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> Path:
    """A stereo folder of one's own: six pairs of smooth noise, with depth."""
    folder = tmp_path_factory.mktemp("pairs")
    write_pictures(folder / "left", 6, (64, 96))
    write_pictures(folder / "right", 6, (64, 96), seed=1)
    (folder / "depth").mkdir()
    for k in range(6):
        depth = 2 + np.random.default_rng(k).random((64, 96), dtype=np.float32)
        depth[:10] = np.inf
        np.save(folder / "depth" / f"{k:06d}.npy", depth)
    (folder / "calibration.json").write_text(json.dumps({"focal": [0.9, 1.35], "baseline_m": 0.1}))
    return folder


@pytest.mark.parametrize("method", ["monodepth", "supervised"])
def test_a_model_comes_out_and_is_loaded(method, pairs, tmp_path):
    done = train(method, "--data", str(pairs), "--out", str(tmp_path / "run"), "--steps", "2", *SMALL)
    assert done.returncode == 0, done.stderr
    assert f"cyclopean train: loading PyTorch, {pairs} ...\n" in done.stderr
    assert "step 1/2 loss" in done.stderr
    assert "step 2/2 loss" in done.stderr

    from cyclopean.training import checkpoint

    loaded, config = checkpoint.load(tmp_path / "run" / "last")
    assert config["method"] == method
    assert config["input_size"] == [64, 96]
    assert config["training"]["data"] == [str(pairs)]
    assert not loaded.training


@pytest.mark.slow
def test_training_goes_on_when_the_reader_of_its_log_leaves(pairs, tmp_path):
    words = [*COMMAND, "supervised", "--data", str(pairs), "--out", str(tmp_path), "--steps", "4", *SMALL]
    with subprocess.Popen([*words, "--report-every", "1"], stderr=subprocess.PIPE, text=True) as run:
        assert run.stderr is not None
        assert run.stderr.readline()
        run.stderr.close()
    assert run.returncode == 0
    assert (tmp_path / "last" / "config.json").exists()


@pytest.mark.slow
def test_a_killed_run_resumes_bit_equal(pairs, tmp_path):
    """SIGKILL in the middle, data workers and all; then the weights are those of a run left in peace."""
    flags = ["--data", str(pairs), "--steps", "24", "--save-every", "0.1", "--report-every", "1", "--average", "0.9"]
    flags += [*SMALL, "--workers", "1", "--jitter", "0.5"]
    whole = train("supervised", *flags, "--out", str(tmp_path / "whole"))
    assert whole.returncode == 0, whole.stderr
    killed = tmp_path / "killed"
    kill_after(9, killed, [*COMMAND, "supervised", *flags, "--out", str(killed)])
    last = train("supervised", *flags, "--out", str(killed), "--resume")
    assert last.returncode == 0, last.stderr
    ours, theirs = (load_file(p / "last" / "model.safetensors") for p in (killed, tmp_path / "whole"))
    assert all(torch.equal(ours[k], theirs[k]) for k in theirs)
    told = [json.loads(line) for line in (killed / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in told if "loss" in line] == list(range(1, 25))
    assert [line["step"] for line in told if "validation" in line] == [24]


def kill_after(step: int, out: Path, command: list[str]) -> None:
    """Starts `command`, and kills it once it has a state to resume from and its log has passed `step`."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: (out / "resume.pt").exists() and logged(out) >= step, process)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert logged(out) < 24


def logged(out: Path) -> int:
    """The last step in the log, 0 without one."""
    path = out / "log.jsonl"
    whole = path.read_text().split("\n")[:-1] if path.exists() else []
    return json.loads(whole[-1])["step"] if whole else 0


def wait_for(condition, process: subprocess.Popen) -> None:
    for _ in range(1200):
        if condition() or process.poll() is not None:
            return
        time.sleep(0.05)


@pytest.mark.slow
def test_ctrl_c_saves_and_says_how_to_go_on(pairs, tmp_path):
    out = tmp_path / "run"
    flags = ["supervised", "--data", str(pairs), "--out", str(out), "--steps", "100000", "--report-every", "1", *SMALL]
    process = subprocess.Popen([*COMMAND, *flags], stderr=subprocess.PIPE, text=True)
    wait_for(lambda: logged(out) >= 2, process)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the same command with --resume" in said
    assert "Traceback" not in said
    saved = torch.load(out / "resume.pt", weights_only=True)["step"]
    assert saved == logged(out) >= 2


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_a_signal_to_the_whole_group_saves_too(name, pairs, tmp_path):
    """As schedulers, terminals and containers send it: to the processes that read data as well."""
    process = begun(pairs, tmp_path / "run")
    os.killpg(process.pid, getattr(signal, name))
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.strip().splitlines()[-2:] == [
        f"stopped after step {logged(tmp_path / 'run')} of 100000; saved. To continue: the same command with --resume",
        "stopped.",
    ]
    assert torch.load(tmp_path / "run" / "resume.pt", weights_only=True)["step"] == logged(tmp_path / "run")


@pytest.mark.slow
def test_a_killed_reader_is_told_of(pairs, tmp_path):
    """As a system does that runs out of memory."""
    process = begun(pairs, tmp_path / "run")
    readers = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(readers[-1]), signal.SIGKILL)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "a process that reads data was killed" in said
    assert "Traceback" not in said


def begun(pairs: Path, out: Path) -> subprocess.Popen[str]:
    """A run with two processes that read data, in a group of its own, a few steps old."""
    flags = ["supervised", "--data", str(pairs), "--out", str(out), "--steps", "100000", "--report-every", "1", *SMALL]
    command = [*COMMAND, *flags, "--workers", "2"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    wait_for(lambda: logged(out) >= 2, process)
    return process


@pytest.mark.slow
def test_a_full_disk_is_one_sentence(pairs, tmp_path):
    """Of the model, which is written first, and of the state to resume from, which is larger."""
    whole = tmp_path / "whole"
    usual = ["supervised", "--data", str(pairs), "--steps", "1", *SMALL]
    assert train(*usual, "--out", str(whole)).returncode == 0
    sizes = [(whole / name).stat().st_size for name in ("last/model.safetensors", "resume.pt")]
    for limit in (sizes[0] // 2, sum(sizes) // 2):

        def fill(limit: int = limit) -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

        out = tmp_path / f"full{limit}"
        command = [*COMMAND, *usual, "--out", str(out)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, preexec_fn=fill)
        assert done.returncode == 2
        assert "cannot write to" in done.stderr
        assert "--resume, if there is an earlier checkpoint" in done.stderr
        assert "raise the limit" in done.stderr
        assert "Traceback" not in done.stderr
        assert not (out / "resume.pt").exists()
        assert not list(out.rglob(".cyclopean-*"))


def refused(done: tuple[int, str], sentence: str) -> None:
    code, said = done
    assert code == 2, said
    assert sentence in said
    assert "Traceback" not in said
    told = [line for line in said.strip().splitlines() if not line.startswith("cyclopean train: loading ")]
    assert len(told) == 1, said


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("monodpeth", "did you mean 'monodepth'"),
        ("monodepth --data x", "--out is missing"),
        ("monodepth --out OUT", "give --data FOLDER"),
        ("monodepth --out OUT --data x --size 64by96", "HEIGHTxWIDTH"),
        ("monodepth --out OUT --data x --steps 0", "steps is 0"),
        ("monodepth --out OUT --data x --steps many", "--steps"),
        ("monodepth --out OUT --data x --netwrok vgg", "did you mean '--network'"),
        ("monodepth --out OUT --data x --network vgv", "did you mean 'vgg'"),
        ("--data x", "the method comes first"),
    ],
)
def test_bad_flags_are_one_sentence(arguments, sentence, tmp_path):
    done = train(*arguments.replace("OUT", str(tmp_path / "out")).split())
    refused((done.returncode, done.stderr), sentence)


def test_published_settings_and_short_names(pairs, tmp_path, capsys):
    """What is given besides comes after what --published stands for; steps follow from epochs and items."""
    out = tmp_path / "run"
    small = [*SMALL, "--size", "64x96", "--epochs", "2", "--lr", "2e-4"]
    with pytest.raises(SystemExit) as stop:
        main(["train", "monodepth2", "--data", str(pairs), "--out", str(out), "--published", *small, "--mild", "0"])
    assert stop.value.code == 0
    told = json.loads((out / "last" / "config.json").read_text())
    assert told["training"]["step"] == 5  # twice five items in twos
    assert (told["input_size"], told["training"]["learning_rate"]) == ([64, 96], 2e-4)
    facts = torch.load(out / "resume.pt", weights_only=True)["facts"]
    assert (facts["schedule"], facts["steps"]) == ("tenth", 5)
    capsys.readouterr()
    for flags, sentence in (
        (["naive", "--published"], "no paper tells how naive was trained"),
        (["monodepth", "--size", "96x64"], "--size 64x96 was perhaps meant"),
        (["monodepth", "--epochs", "0"], "epochs is 0"),
    ):
        with pytest.raises(SystemExit) as stop:
            main(["train", *flags, "--data", str(pairs), "--out", str(tmp_path / "no"), *SMALL])
        refused((stop.value.code, capsys.readouterr().err), sentence)


def test_every_published_setting_is_a_flag_of_its_method():
    from cyclopean.methods import PUBLISHED, RECIPES

    for name, flags in PUBLISHED.items():
        assert name in RECIPES
        told = train(name, "--help").stdout
        assert all(flag in told for flag in flags.split() if flag.startswith("--")), name


def test_bad_data_is_one_sentence(pairs, tmp_path, capsys):
    """Nothing to read, an empty folder, two sizes, no calibration, a size that does not fit, no such model."""
    empty, odd, bare = (tmp_path / name for name in ("empty", "odd", "bare"))
    empty.mkdir()
    for folder, right in ((odd, (64, 80)), (bare, (64, 96))):
        write_pictures(folder / "left", 2, (64, 96))
        write_pictures(folder / "right", 2, right)
    (odd / "calibration.json").write_text(json.dumps({"focal": [0.9, 1.35], "baseline_m": 0.1}))
    cases = [
        ((tmp_path / "nowhere", ()), "nowhere"),
        ((empty, ()), "is empty"),
        ((odd, ()), "need one size"),
        ((bare, ()), "calibration.json"),
        ((pairs, ()), "multiples of 128; try --size 128x128"),
        ((pairs, (*SMALL, "--init", "generl")), "generl"),
    ]
    for (data, more), sentence in cases:
        with pytest.raises(SystemExit) as stop:
            main(["train", "monodepth", "--out", str(tmp_path / "out"), "--data", str(data), *more])
        refused((stop.value.code, capsys.readouterr().err), sentence)
    assert not (tmp_path / "out").exists()


def test_bad_input_is_one_sentence_from_two_processes(pairs, tmp_path):
    """A folder that holds another run, which is seen before any process is started."""
    (tmp_path / "resume.pt").touch()
    done = train("supervised", "--data", str(pairs), "--out", str(tmp_path), "--devices", "2", *SMALL)
    refused((done.returncode, done.stderr), "already holds a run; add --resume")


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ("--size 65x97", "multiples of"),
        ("--out FILE/x", "cannot write to"),
        ("--out NONE --resume", "holds no run to resume"),
        ("--out NONE --init nothing", "nothing"),
    ],
)
def test_what_can_be_checked_is_before_processes_start(pairs, tmp_path, monkeypatch, capsys, flags, sentence):  # noqa: PLR0917
    monkeypatch.setattr("lightning_fabric.Fabric.launch", lambda _: pytest.fail("started processes"))
    (tmp_path / "file").touch()
    words = flags.replace("FILE", str(tmp_path / "file")).replace("NONE", str(tmp_path / "none")).split()
    usual = ("--data", str(pairs), "--out", str(tmp_path / "out"), "--devices", "2", *SMALL)
    with pytest.raises(SystemExit) as stop:
        main(["train", "supervised", *usual, *words])
    refused((stop.value.code, capsys.readouterr().err), sentence)
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "none").exists()


def test_help_lists_methods_and_flags():
    done = train("--help")
    assert done.returncode == 0
    assert "monodepth" in done.stdout
    assert "supervised" in done.stdout
    flags = train("monodepth", "--help")
    assert flags.returncode == 0
    assert "--learning-rate" in flags.stdout
