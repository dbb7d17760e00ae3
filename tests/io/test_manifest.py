"""The manifest of a run: lines that are whole, whatever killed the run before."""

import json

import pytest

from cyclopean.errors import InputError
from cyclopean.io import manifest as module
from cyclopean.io.manifest import NAME, manifest


def record(name: str, **more: object) -> dict[str, object]:
    return {"source": name, "state": "done", **more}


def test_a_run_goes_on_after_whatever_cut_the_last_one(tmp_path):
    path = tmp_path / NAME
    whole = json.dumps(record("a")) + "\n"
    for there, kept in (
        ("", 0),
        (whole, 1),
        (whole + whole, 2),
        (whole + '{"sour', 1),
        ('{"source": "a", "st', 0),
        ("{", 0),
        (whole + '{"source": "' + "x" * 300_000, 1),
    ):
        path.write_text(there)
        with manifest(tmp_path) as add:
            add(record("b\n\u00fc", files=["b.npy"]))
            lines = [json.loads(line) for line in path.read_text().splitlines()]  # it is there before the run ends
        assert lines == [record("a")] * kept + [record("b\n\u00fc", files=["b.npy"])], there[:60]


def test_other_files_are_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST_LINE", 1000)
    path, other = tmp_path / NAME, tmp_path / "other"
    for text in ("notes\n", "[1]\n", '{"a": 1}\n', "x", "{" * 900 + "\n", "x" * 2000, '{"source": ' + " " * 2000):
        path.write_text(text)
        with pytest.raises(InputError, match="is not a manifest of cyclopean"), manifest(tmp_path):
            pass
        assert path.read_text() == text
    path.unlink()
    other.write_text(json.dumps(record("a")) + "\n")
    path.symlink_to(other)
    with pytest.raises(InputError, match="cannot write"), manifest(tmp_path):
        pass
    path.unlink()
    with pytest.raises(InputError, match="cannot write"), manifest(tmp_path / "nowhere"):
        pass
