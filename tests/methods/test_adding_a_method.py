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
from cyclopean.methods import METHODS

PAGE = (Path(__file__).parents[2] / "docs" / "adding_a_method.md").read_text()
FILES = dict(re.findall(r"```python\n# (\w+)\.py\n(.*?)```", PAGE, re.DOTALL))


def test_the_page_adds_a_method(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    before = dict(METHODS)
    (shell,) = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    with pytest.raises(SystemExit, match="0"):
        cli.main(shlex.split(shell)[1:])
    assert list(FILES) == ["plain", "register", "train_plain", "use_plain"]
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
        method = cyclopean.load("runs/plain/last").method
        assert method.config() == {"network": "compact", "width": 0.25, "smooth": 0.05}
    finally:
        METHODS.pop("plain", None)
        for name in FILES:
            sys.modules.pop(name, None)
