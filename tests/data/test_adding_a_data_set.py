"""What docs/adding_a_data_set.md says works, works: its files are written, read, and checked."""

import importlib
import re
import sys
from pathlib import Path

import pytest
import torch

from cyclopean.cli import main
from cyclopean.data import DATASETS
from cyclopean.data.base import check_files
from cyclopean.errors import InputError

PAGE = (Path(__file__).parents[2] / "docs" / "adding_a_data_set.md").read_text()
FILES = dict(re.findall(r"```python\n# (\w+)\.py\n(.*?)```", PAGE, re.DOTALL))


def test_the_page_adds_a_data_set(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    before = dict(DATASETS)
    assert list(FILES) == ["robot_files", "robot", "register_robot", "use_robot"]
    for name, content in FILES.items():
        (tmp_path / f"{name}.py").write_text(content)
    try:
        for name in FILES:
            importlib.import_module(name)
        assert DATASETS.keys() - before.keys() == {"robot"}
        use = sys.modules["use_robot"]
        assert use.error < 1e-5
        assert torch.allclose(use.sample.depth, torch.tensor(80 * 0.12 / 6))
        with pytest.raises(SystemExit, match="1"):  # a small wall has few points to find again
            main(["check", "robot:robot"])
        assert "1.60 to 1.60 m" in capsys.readouterr().out
        assert sys.modules["robot"].RobotDataset("robot", truth="none")[1].depth.isnan().all()
        (tmp_path / "robot" / "right" / "001.png").unlink()
        with pytest.raises(InputError, match=r"right/001\.png"):
            check_files(use.data.files(1))
    finally:
        DATASETS.pop("robot", None)
        for name in FILES:
            sys.modules.pop(name, None)
