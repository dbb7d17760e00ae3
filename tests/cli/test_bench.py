"""`cyclopean bench`: its list, `bench lens` on a small folder, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from commands import here
from cyclopean.cli import bench_family


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    sharp = rng.integers(60, 180, (40, 48, 3)).astype(np.uint8)
    Image.fromarray(sharp).save(tmp_path / "a_sharp.png")
    Image.fromarray(sharp).save(tmp_path / "a_far.png")
    np.savez(tmp_path / "a_sharp_depth.npz", depth=np.linspace(1, 3, 48, dtype=np.float32)[None].repeat(40, 0))
    shots = [{"tag": "far", "focus_m": 3.0, "fstop": 1.4}]
    (tmp_path / "a.json").write_text(json.dumps({"kind": "lens", "focal_mm": 25, "sensor_mm": 36, "shots": shots}))
    return tmp_path


def test_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = here(capsys, "bench", "--help")
    assert code == 0
    assert "lens " in out


def test_a_table_of_all_ways(shots: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = here(capsys, "bench", "lens", shots, "--model", "none", "--json", shots / "out.json")
    assert code == 0, err
    rows = [line.split("|")[1].strip() for line in out.splitlines() if line.startswith("| ") and "---" not in line]
    assert rows[1:] == [
        *("no blur", "report: gaussian", "report: average", "report: median", "report: bilateral"),
        *("per-pixel Gaussian", "ours", "noise floor, in focus"),
    ]
    content = json.loads((shots / "out.json").read_text())
    assert content["true depth"]["no blur"]["a far"]["psnr"] == pytest.approx(100)


def test_bad_words(shots: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = []
    for words, sentence in (
        ((), "no bench was named"),
        (("lenz",), "did you mean 'lens'"),
        (("lens",), "takes one folder"),
        (("lens", "{gone}"), "is not a folder"),
        (("lens", "{shots}", "--model", "generall"), "unknown model"),
        (("sphere",), "it needs a folder for its results"),
        (("sphere", "{gone}", "--rows", "tc66"), "did you mean 'tc6'"),
        (("sphere", "{gone}", "--real", "topbottom:{shots}"), "holds no top-bottom pairs"),
    ):
        code, _, err = here(capsys, "bench", *(w.format(shots=shots, gone=shots / "gone") for w in words))
        if code != 2 or sentence not in err or err.count("\n") != 1:
            wrong.append((words, code, err))
    assert not wrong


def test_rows_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    for bench, row in (("stereo", "lr-pp"), ("sphere", "lr-no-attention"), ("video", "first-static")):
        code, out, err = here(capsys, "bench", bench, "--list")
        assert code == 0, err
        assert f"\n{row} " in f"\n{out}"


def test_what_draws_its_page_is_asked_for_before_anything_is_trained(tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(bench_family, "find_spec", lambda _: None)
    code, _, err = here(capsys, "bench", "sphere", tmp_path / "out", "--budget", "tiny")
    assert code == 2
    assert "pip install 'cyclopean[bench]'" in err
    assert not (tmp_path / "out").exists()


def test_sphere_goes_on_where_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One row, then the same folder with one more: only that is trained."""
    words = ("bench", "sphere", tmp_path, "--budget", "tiny", "--workers", "1", "--accelerator", "cpu", "--rows")
    code, out, err = here(capsys, *words, "sv")
    assert code == 0, err
    assert "[1/1] SV" in out
    code, out, _ = here(capsys, *words, "sv,ud")
    assert code == 0
    assert "[1/1] UD" in out
    table = (tmp_path / "comparison.md").read_text()
    assert "| SV (true depth) | 1 |" in table
    assert "cyclopean bench sphere" in table
    assert {r["row"] for r in json.loads((tmp_path / "comparison.json").read_text())["results"]} >= {"sv", "ud"}
    code, out, err = here(capsys, *words, "all", "--report", tmp_path / "page")
    assert code == 0, err
    assert "[1/" not in out
    page = (tmp_path / "page" / "comparison.md").read_text()
    assert "| UD | 1 |" in page
    assert "--report" not in page
    empty = ("bench", "sphere", tmp_path / "none", "--budget", "tiny", "--report", tmp_path / "nothing")
    code, _, err = here(capsys, *empty)
    assert code == 2
    assert "holds no result yet" in err
    assert not (tmp_path / "nothing").exists()
    assert not (tmp_path / "none").exists()


@pytest.mark.slow
def test_subject_renders_trains_judges_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("bench", "subject", tmp_path, "--pictures", "2", "--clicks", "2", "--scenes", "1", "--steps", "1")
    code, out, err = here(capsys, *words)
    assert code == 0, err
    rows = [line.split("|")[1].strip() for line in out.splitlines() if line.startswith("| ") and "---" not in line]
    assert rows == ["mask by", "depth range", "GrabCut", "outline", "network"]
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")}
    assert here(capsys, *words)[1] == out
    code, _, err = here(capsys, *words, "--ship", tmp_path / "ship")
    assert code == 0, err
    card = json.loads((tmp_path / "ship" / "card.json").read_text())
    assert card["features"]["model"] == "general"
    assert (tmp_path / "ship" / "model.safetensors").stat().st_size < 8_000_000
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    code, _, err = here(capsys, *words[:-1], "0", "--ship", tmp_path / "ship")
    assert code == 2
    assert "--steps is 0" in err
