"""The command itself, from a shell as a user would: help, version, unknown names, start-up."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from cyclopean import __version__
from cyclopean.cli import COMMANDS

COMMAND = Path(sys.executable).with_name("cyclopean")


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


@pytest.mark.alone
def test_help_answers_quickly():
    """Under 0.7 s, best of five: torch alone would take longer to import."""

    def once() -> float:
        start = time.perf_counter()
        run("--help")
        return time.perf_counter() - start

    assert min(once() for _ in range(5)) < 0.7


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_help_imports_nothing_heavy(command):
    arguments = [command, "--help"] if command else ["--help"]
    code = (
        "import sys\nfrom cyclopean.cli import main\n"
        f"try: main({arguments!r})\nexcept SystemExit as end: assert not end.code, end.code\n"
        "heavy = {'torch', 'numpy', 'cv2', 'lightning_fabric', 'gradio', 'transformers'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr


def test_ctrl_c_ends_quietly(monkeypatch, capsys):
    from cyclopean import cli

    def interrupted(command: str, arguments: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_run", interrupted)
    with pytest.raises(SystemExit, match="130"):
        cli.main(["doctor"])
    assert capsys.readouterr().err == "stopped.\n"
