"""`cyclopean doctor`: a whole report from a shell, and each thing that can be broken."""

import subprocess
from importlib import metadata

import pytest

from commands import COMMAND
from cyclopean.cli import doctor
from cyclopean.training import models


@pytest.fixture
def no_files(monkeypatch):
    """Leaves out what is slow and not asked for."""
    monkeypatch.setattr(doctor, "_files", lambda: iter(()))


def test_report_from_a_shell(tmp_path):
    said = subprocess.run([COMMAND, "doctor"], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert said.returncode == 0, said.stderr
    assert said.stderr == ""
    for name in ("torch", "numpy", "pillow", "av"):
        assert metadata.version(name) in said.stdout
    for word in ("python", "cpu", "cuda", "mps", "train", "samples", "video", "HEIC", *models.bundled()):
        assert f"  {word} " in said.stdout
    assert str(tmp_path) in said.stdout
    assert "GB free, writable" in said.stdout


def test_every_core_package_is_looked_at():
    core = doctor.requirements()[""]
    assert {"torch", "numpy", "rich"} <= set(core)
    assert "pytest" not in core
    assert {"train", "samples", "dev"} <= set(doctor.requirements())
    for name in core:
        assert doctor.import_problem(name) is None


def test_a_missing_package(monkeypatch, capsys, no_files):
    monkeypatch.setattr(doctor, "requirements", lambda: {"": ["numpy", "no-such-package"]})
    assert doctor.main([]) == 1
    captured = capsys.readouterr()
    assert "no-such-package does not work (not installed); try: pip install" in captured.err
    assert "Models" in captured.out  # it went on


def test_a_broken_package(monkeypatch):
    monkeypatch.setitem(doctor.MODULES, "numpy", "no_such_module")
    assert "installed, but does not import: ModuleNotFoundError" in doctor.import_problem("numpy")


def test_a_missing_extra_is_no_trouble_and_says_how(monkeypatch):
    monkeypatch.setattr(doctor, "requirements", lambda: {"": [], "train": ["numpy", "no-such-package"]})
    (finding,) = doctor._extras()
    assert finding.trouble is None
    assert "not installed (no-such-package)" in finding.text
    assert "pip install 'cyclopean[train]'" in finding.text


def test_no_model_at_all(monkeypatch, tmp_path, capsys, no_files):
    monkeypatch.setattr(models, "BUNDLED", tmp_path)
    monkeypatch.setattr(doctor, "_packages", lambda: iter(()))
    assert doctor.main([]) == 1
    assert "no model came with this installation" in capsys.readouterr().err


def test_a_corrupt_model(monkeypatch, tmp_path, capsys, no_files):
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / models.CONFIG).write_text("{}")
    (folder / models.WEIGHTS).write_bytes(b"not weights")
    monkeypatch.setattr(models, "BUNDLED", tmp_path)
    monkeypatch.setattr(doctor, "_packages", lambda: iter(()))
    assert doctor.main([]) == 1
    assert "the model 'broken' does not load" in capsys.readouterr().err


def test_help_and_unknown_arguments():
    said = subprocess.run([COMMAND, "doctor", "--help"], capture_output=True, text=True, check=False)
    assert said.returncode == 0
    assert "usage: cyclopean doctor" in said.stdout
    said = subprocess.run([COMMAND, "doctor", "--loud"], capture_output=True, text=True, check=False)
    assert said.returncode == 2
    assert said.stderr == "cyclopean doctor: doctor was given '--loud'; it takes nothing: run cyclopean doctor.\n"
