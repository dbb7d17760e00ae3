"""The command itself, from a shell as a user would: help, version, unknown names, start-up."""

import json
import os
import pty
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from commands import COMMAND
from cyclopean import __version__, cli
from cyclopean.cli import COMMANDS


def run(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([COMMAND, *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",)])
def test_help_names_every_command(arguments):
    said = run(*arguments)
    assert said.returncode == 0
    assert said.stderr == ""
    for name, (_, text) in COMMANDS.items():
        assert f"{name} " in said.stdout
        assert text in said.stdout


def test_version():
    said = run("--version")
    assert (said.returncode, said.stdout) == (0, f"cyclopean {__version__}\n")


@pytest.mark.parametrize(
    ("given", "suggestion"), [("refcous", "refocus"), ("predcit", "predict"), ("xyzzy", "choose one of")]
)
def test_unknown_command_is_one_sentence_with_the_nearest(given, suggestion):
    said = run(given, "photo.jpg")
    assert said.returncode == 2
    assert said.stdout == ""
    assert given in said.stderr
    assert suggestion in said.stderr
    assert len(said.stderr.splitlines()) == 1


@pytest.mark.parametrize("words", [(), ("predict",), ("evaluate",), ("train",)])
def test_help_imports_few_modules(words):
    """They are what it waits for (`python -m benchmarks startup` has the time, which no test of a busy machine can
    have): 150 with Python's own; rich alone would add 90."""
    code = (
        f"import sys\nfrom cyclopean.cli import main\ntry: main({[*words, '--help']!r})\n"
        "except SystemExit: print(len(sys.modules), file=sys.stderr)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(said.stderr) < 170


def test_help_imports_nothing_heavy():
    """One process for all commands: what one of them imports stays, and is named with it."""
    pages = [["--help"], *([command, "--help"] for command in COMMANDS)]
    code = (
        f"import sys\nfrom cyclopean.cli import main\nfor words in {pages!r}:\n"
        "    try: main(words)\n    except SystemExit as end: assert not end.code, (words, end.code)\n"
        "    heavy = {'torch', 'numpy', 'cv2', 'lightning_fabric', 'starlette', 'transformers'} & set(sys.modules)\n"
        "    assert not heavy, (words, heavy)\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr


def test_ctrl_c_ends_quietly(monkeypatch, capsys):
    from cyclopean import cli

    def interrupted(arguments: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("cyclopean.cli.doctor.main", interrupted)
    with pytest.raises(SystemExit, match="130"):
        cli.main(["doctor"])
    assert capsys.readouterr().err == "stopped.\n"


def test_words_that_no_command_takes_are_told_with_what_was_meant(tmp_path, capsys):
    photo = str(tmp_path / "photo.png")
    Image.new("RGB", (32, 32)).save(photo)
    for words, said in [
        (["train", "monodepth", "--batch", "1"], "did you mean '--batch-size'?"),
        (["train", "monodepth", "--batch", "1"], "did you mean '--batch-size'?"),
        (["train", "monodepth", "--stpes", "1"], "did you mean '--steps'?"),
        (["evaluate", "--training_meam", "x"], "did you mean '--training-mean'?"),
        (["evaluate", "worlds"], "--data worlds"),
        (["render", "street", "a", "b"], "'b' is one"),
        (["refocus", photo, "0.5", "0.5"], "--at 0.5 0.5"),
        (["refocus", photo, "--at", "-0.1", "0.5"], "outside the photo, which is 32x32"),
        (["refocus", photo, "--at", "0.5", "-3"], "outside the photo"),
        (["refocus", photo, "--at", "0.5", "3"], "mixes a fraction with pixels"),
        (["refocus", photo, "--at", "0.5", "0.5", "--depth", "beside"], "photo_disp.npy"),
    ]:
        with pytest.raises(SystemExit, match="2"):
            cli.main(words)
        assert said in capsys.readouterr().err, words


EARLY = [
    ["predict", "nowhere.jpg"],
    ["predict", "{folder}"],
    ["predict", "photo.jpg", "--model", "generla"],
    ["predict", "photo.jpg", "--model", "./runs/nothing"],
    ["predict", "photo.jpg", "--modle", "general"],
    ["refocus", "nowhere.jpg", "--at", "0.5", "0.5"],
    ["refocus", "{photo}", "--at", "0.5", "0.5", "--depth", "nowhere.npy"],
    ["refocus", "{photo}", "--at", "0.5", "0.5", "--model", "generla"],
    ["refocus", "{photo}", "--at", "0.5", "0.5", "--profile", "nowhere.json"],
    ["evaluate", "--data", "nowhere"],
    ["evaluate", "--data", "traced:nowhere"],
    ["evaluate", "--data", "trased:nowhere"],
    ["evaluate", "--data", "motorcycle", "--model", "generla"],
    ["evaluate", "--data", "motorcycle", "--predictions", "nowhere", "--kind", "depth"],
    ["check", "folder:nowhere"],
    ["train", "monodepth", "--data", "nowhere/at/all", "--out", "{folder}/run"],
    ["train", "monodepth", "--data", "{folder}", "--validation", "traced:nowhere", "--out", "{folder}/run"],
    ["train", "monodepth", "--data", "{folder}", "--init", "generla", "--out", "{folder}/run"],
    ["train", "monodepth", "--data", "{folder}", "--out", "{run}"],
    ["train", "monodepth", "--data", "{folder}", "--out", "{folder}", "--resume"],
    ["train", "monodepth", "--world", "stret", "--out", "{folder}/run"],
    ["train", "monodepth", "--data", "pictures:{folder}", "--out", "{folder}/run"],
    ["train", "coordnet", "--data", "panoramas:{folder}", "--out", "{folder}/run"],
    ["evaluate", "--data", "motorcycle", "--protocol", "open-1,foo"],
    ["render", "stret", "{folder}/made"],
    ["render", "street", "{folder}/made", "--rig", "stero"],
    ["predict", "{photo}", "--device", "gpu"],
    ["predict", "{photo}", "--camera", "fisheye"],
    ["app", "--model", "nix"],
    ["predict", "{photo}", "--out", "{photo}/new"],
    ["render", "street", "{photo}/new"],
    ["predict", "{photo}", "--out", ""],
    ["predict", ""],
    ["predict", "{photo}", "--resume"],
]
LIGHT = [  # pictures' headers and small numbers are looked at, for which nothing of torch is needed
    ["refocus", "{photo}", "--at", "0.5", "0.5", "--out", "{photo}"],
    ["refocus", "{photo}", "--at", "0.5", "0.5", "--shape", "star"],
    ["refocus", "{photo}", "--at", "0.5", "0.5", "--shape", "polygon:2"],
    ["refocus", "{photo}", "--at", "0.5", "0.5", "--method", "gausian"],
    ["refocus", "{photo}", "--at", "0.5", "0.5", "--bins", "soft", "--method", "gaussian"],
    ["refocus", "{photo}", "--at", "0.5", "0.5", "--amount", "-1"],
    ["refocus", "{photo}", "--at", "0.5", "0.5", "--focus-distance", "0"],
    ["refocus", "{turned}", "--at", "100", "45"],
    ["refocus", "{turned}", "--focus-distance", "3"],
]


def early(words: list[str], tmp_path: Path) -> list[str]:
    (tmp_path / "empty").mkdir(exist_ok=True)
    (tmp_path / "run").mkdir(exist_ok=True)
    (tmp_path / "run" / "resume.pt").touch()
    (tmp_path / "photo.png").write_bytes(b"it is not looked at")
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.new("RGB", (128, 40)).save(tmp_path / "turned.jpg", exif=turned)  # 40x128 to its viewer
    places = {"run": tmp_path / "run", "photo": tmp_path / "photo.png", "turned": tmp_path / "turned.jpg"}
    return [word.format(folder=tmp_path / "empty", **places) for word in words]


def test_what_is_not_there_is_told_before_torch_is_loaded(tmp_path):
    code = (
        "import sys\nfrom cyclopean.cli import main\nfor words in {!r}:\n"
        "    try: main(words)\n    except SystemExit as end: assert end.code == 2, words\n"
        "    heavy = {} & set(sys.modules)\n"
        "    assert not heavy, (words, heavy)\n"
    )
    for commands, heavy in ((EARLY, {"torch", "numpy", "cv2", "PIL", "av"}), (LIGHT, {"torch", "av"})):
        filled = code.format([early(words, tmp_path) for words in commands], heavy)
        said = subprocess.run([sys.executable, "-c", filled], capture_output=True, text=True, check=False, cwd=tmp_path)
        assert said.returncode == 0, said.stderr
        assert len(said.stderr.splitlines()) == len(commands)  # one sentence each
    assert "which is 40x128" in said.stderr


def test_methods_are_metric_where_the_early_check_takes_them_to_be(tmp_path):
    from cyclopean import methods
    from cyclopean.cli.early import says_metric

    others = [("supervised_sphere", {"loss": "ssi"}), ("depth_anywhere", {"predicts": "depth"})]
    metric = 0
    for name, arguments in [*((name, {}) for name in methods.METHODS), *others]:
        method = methods.method_class(name)(**arguments)
        (tmp_path / "config.json").write_text(json.dumps({"method": name, "arguments": method.arguments | arguments}))
        assert says_metric(str(tmp_path)) == (method.ambiguity == "metric"), (name, arguments)
        metric += method.ambiguity == "metric"
    assert metric == 3


@pytest.mark.alone
def test_what_is_not_there_is_told_quickly(tmp_path):
    """Under 0.5 s of processor time, best of three."""
    for words in (EARLY[0], EARLY[9], EARLY[15]):
        spent = []
        for _ in range(3):
            before = sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
            assert run(*early(words, tmp_path)).returncode == 2
            spent.append(sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2]) - before)
        assert min(spent) < 0.5, words


@pytest.mark.alone
def test_long_commands_say_at_once_what_they_load(tmp_path):
    """Where somebody watches; `train` also in a log."""
    (tmp_path / "data").mkdir()
    watched = ["evaluate", "--data", str(tmp_path), "--model", "none"]
    logged = ["train", "monodepth", "--data", str(tmp_path / "data"), "--out", str(tmp_path / "run")]

    def once(words: list[str], reading: int, writing: int) -> float:
        start = time.perf_counter()
        with subprocess.Popen([COMMAND, *words], stderr=writing) as process:
            assert b"loading" in os.read(reading, 500)
            spent = time.perf_counter() - start
            process.kill()
        return spent

    assert min(once(watched, *pty.openpty()) for _ in range(5)) < 1
    assert min(once(logged, *os.pipe()) for _ in range(5)) < 1
    assert run("evaluate", "--data", str(tmp_path), "--protocol", "x").stderr.count("\n") == 1
