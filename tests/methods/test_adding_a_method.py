"""What docs/adding_a_method.md says works, works: its files are written, trained, loaded and used."""

import importlib
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest

import cyclopean
from cyclopean import cli
from cyclopean.methods import METHODS, RECIPES
from cyclopean.methods.photometric import ERRORS
from cyclopean.networks import NETWORKS

PAGE = (Path(__file__).parents[2] / "docs" / "adding_a_method.md").read_text()
FILES = dict(re.findall(r"```python\n# (\w+)\.py\n(.*?)```", PAGE, re.DOTALL))


def test_the_page_adds_a_method(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    before, tables = dict(METHODS), (METHODS, RECIPES, NETWORKS, ERRORS)
    as_they_were = [dict(table) for table in tables]
    (shell,) = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    with pytest.raises(SystemExit, match="0"):
        cli.main(shlex.split(shell)[1:])
    steps = ["plain", "register", "train_plain", "recipe", "command", "tiny", "robust", "use_plain"]
    assert list(FILES) == steps
    for name, content in FILES.items():
        (tmp_path / f"{name}.py").write_text(content)
    try:
        for name in FILES:
            importlib.import_module(name)
        assert METHODS.keys() - before.keys() == {"plain"}
        depth = sys.modules["use_plain"].depth
        assert depth.size == (64, 128)
        assert (np.asarray(depth) > 0).all()
        assert re.search(r"DepthMap\(128x64, .* by runs/plain/last\)", capsys.readouterr().out)
        trained = cyclopean.load("runs/command/last").method
        assert trained.config() == {"network": "tiny", "width": 0.25, "smooth": 0.1}
        method = cyclopean.load("runs/plain/last").method
        assert method.config() == {"network": "compact", "width": 0.25, "smooth": 0.05}
    finally:
        for table, was in zip(tables, as_they_were, strict=True):
            table.clear()
            table.update(was)
        for name in FILES:
            sys.modules.pop(name, None)
