"""`cyclopean bench robust` counts what it is given: good pictures, bad ones, and what breaks."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cyclopean.cli import bench_robust
from cyclopean.cli.bench_robust import main


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pictures (one in a folder below, one in colours of a palette), one cut short, one that is text, a note."""
    (tmp_path / "in" / "below").mkdir(parents=True)
    rng = np.random.default_rng(0)
    picture = Image.fromarray(rng.integers(0, 255, (40, 60, 3), np.uint8))
    picture.save(tmp_path / "in" / "a.jpg")
    picture.save(tmp_path / "in" / "below" / "b.PNG")
    picture.convert("P").save(tmp_path / "in" / "c.gif")
    (tmp_path / "in" / "cut.jpg").write_bytes((tmp_path / "in" / "a.jpg").read_bytes()[:900])
    (tmp_path / "in" / "text.png").write_text("no picture")
    (tmp_path / "in" / "notes.txt").write_text("left out")
    return tmp_path / "in"


def test_counts_and_reasons(folder: Path, model: str, capsys: pytest.CaptureFixture[str]):
    out = folder.parent / "outcomes.json"
    assert main([str(folder), "--model", model, "--json", str(out)]) == 0
    said = capsys.readouterr().out
    assert "| done | 3 | 60.0 % |" in said
    assert "| refused | 2 | 40.0 % |" in said
    assert "| failed | 0 | 0.0 % |" in said
    states = {Path(one["file"]).name: (one["state"], one["reason"]) for one in json.loads(out.read_text())}
    assert states["a.jpg"] == states["b.PNG"] == states["c.gif"] == ("done", "")
    assert states["cut.jpg"][0] == "refused"
    assert "cut short" in states["cut.jpg"][1]
    assert "not a picture" in states["text.png"][1]
    assert "notes.txt" not in states
    assert sorted(p.name for p in folder.iterdir()) == ["a.jpg", "below", "c.gif", "cut.jpg", "notes.txt", "text.png"]


def test_what_breaks_is_counted_and_ends_nothing(
    folder: Path, model: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def broken(*_: object) -> None:
        raise ZeroDivisionError("boom")

    monkeypatch.setattr(bench_robust, "_whole_path", broken)
    assert main([str(folder), "--model", model]) == 1
    said = capsys.readouterr().out
    assert "| failed | 5 | 100.0 % |" in said
    assert "ZeroDivisionError: boom" in said


def test_bad_input(tmp_path: Path):
    from cyclopean.errors import InputError

    with pytest.raises(InputError, match="no folder was given"):
        main([])
    with pytest.raises(InputError, match="is not a folder"):
        main([str(tmp_path / "nowhere")])
    with pytest.raises(InputError, match="holds no pictures"):
        main([str(tmp_path)])
