"""`cyclopean check` as a user types it."""

import json

import cv2
import numpy as np
import pytest

import stereo_pairs as pairs
from cyclopean import cli
from cyclopean.data import inspect


def run(capsys, *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        cli.main(["check", *map(str, arguments)])
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


def test_a_clean_folder_ends_with_0(tmp_path, capsys):
    code, out, err = run(capsys, pairs.write_pairs(tmp_path))
    assert (code, err) == (0, "")
    assert "Nothing wrong was found." in out
    assert "3, 0 damaged, 3 looked at" in out


@pytest.mark.parametrize(("fault", "words"), [("swapped", "swapped"), ("down", "rows that do not agree")])
def test_a_faulty_folder_ends_with_1_and_a_sentence(tmp_path, capsys, fault, words):
    pairs.write_pairs(tmp_path, swapped=fault == "swapped", down=2.0 if fault == "down" else 0.0)
    code, out, _ = run(capsys, f"folder:{tmp_path}")
    assert code == 1
    (line,) = [line for line in out.splitlines() if line.startswith("WRONG: ")]
    assert words in line
    assert "Nothing wrong" not in out


def test_everything_is_written_as_json_that_any_program_reads(tmp_path, capsys):
    pairs.write_pairs(tmp_path / "set")
    cv2.imwrite(str(tmp_path / "set" / "left" / "000.png"), np.full((pairs.H, pairs.W, 3), 90, np.uint8))
    (tmp_path / "set" / "right" / "002.png").write_bytes(b"")
    code, _, _ = run(capsys, tmp_path / "set", "--json", tmp_path / "out.json", "--items", "2")
    (found,) = json.loads((tmp_path / "out.json").read_text(), parse_constant=pytest.fail)
    assert code == 1
    assert [problem["kind"] for problem in found["problems"]] == ["damaged", "constant"]
    assert [(one["name"], one["constant"]) for one in found["looked_at"]] == [("000", True), ("001", False)]
    assert found["looked_at"][0]["pair"]["across"] is None  # too few matches: not a number
    assert "002.png" in found["damaged"][0]


def test_several_sets_are_checked_and_one_bad_name_stops_none(tmp_path, capsys):
    pairs.write_pairs(tmp_path)
    code, out, err = run(capsys, "kitti_raw:/nowhere", tmp_path)
    assert code == 2
    assert "Nothing wrong was found." in out
    assert err == "cyclopean check: /nowhere does not exist; give the folder of a data set.\n"


def test_an_error_that_nobody_foresaw_stops_no_other_set(tmp_path, capsys, monkeypatch):
    for name in "ab":
        pairs.write_pairs(tmp_path / name)

    def fail(sample, filed=None):
        if not (tmp_path / "failed").exists():
            (tmp_path / "failed").touch()
            raise ArithmeticError("no such luck")
        return measure(sample, filed)

    measure = inspect.measure
    monkeypatch.setattr(inspect, "measure", fail)
    code, out, err = run(capsys, tmp_path / "a", tmp_path / "b")
    assert code == 2
    assert "Nothing wrong was found." in out
    assert err.count("\n") == 1
    assert "nobody foresaw (ArithmeticError" in err
    assert str(tmp_path / "a") in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "no data was given"),
        (["kity_raw:x"], "did you mean 'kitti_raw'"),
        (["motorcycle", "--items", "0"], "--items is 0"),
        (["motorcycle", "--jsn", "x"], "did you mean '--json'"),
        (["motorcycle", "--json", "/"], "/ is a folder; give the name of a file"),
    ],
)
def test_bad_input_is_one_sentence(capsys, arguments, words):
    code, _, err = run(capsys, *arguments)
    assert code == 2
    assert words in err
    assert len(err.splitlines()) == 1


def test_how_much_there_is_of_several_sets(tmp_path, capsys):
    """The amounts of labelled and of unlabelled data in one table, as papers have it."""
    labelled, alone = pairs.write_pairs(tmp_path / "labelled"), tmp_path / "alone"
    alone.mkdir()
    for k in range(4):
        cv2.imwrite(str(alone / f"{k}.png"), np.random.default_rng(k).integers(0, 255, (32, 64, 3), np.uint8))
    _, out, _ = run(capsys, labelled, f"pictures:{alone}")
    heads, _, first, second = [line.split() for line in out.splitlines() if line][-4:]
    assert heads == ["data", "items", "truth", "size"]
    assert first[:2] == [str(labelled), "3,"]
    assert " ".join(second) == f"pictures:{alone} 4, 0 damaged, 4 looked at 0 of 4 items 64x32 (4)"
    assert "data" not in run(capsys, labelled)[1].split()


def test_a_comma_separates_sets_unless_a_name_has_it(tmp_path, capsys):
    one, two, odd = (pairs.write_pairs(tmp_path / name, 2) for name in ("one", "two", "a,b"))
    code, out, _ = run(capsys, f"{one},{two}", odd)
    assert code == 0
    assert [line for line in out.splitlines() if line.startswith(str(tmp_path))][:3] == [str(one), str(two), str(odd)]
