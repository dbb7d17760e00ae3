"""`--output json`: objects on the output, sentences on the error stream, for every command that has it."""

import json
import math

import numpy as np
from PIL import Image

from commands import here
from cyclopean.cli import COMMANDS, doctor, output
from cyclopean.training import models


def objects(out: str) -> list[dict]:
    return [json.loads(line, parse_constant=lambda name: 1 / 0) for line in out.splitlines()]


def picture(path) -> str:
    rows = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(rows).save(path)
    return str(path)


def test_predict_and_refocus_name_their_files(model, tmp_path, capsys):
    photo, bad = picture(tmp_path / "a.png"), tmp_path / "b.png"
    bad.write_bytes(b"none")
    out = ("--out", tmp_path / "out", "--model", model)
    code, said, err = here(capsys, "predict", photo, bad, *out, "--output", "json")
    good, wrong = objects(said)
    assert (code, good["source"]) == (2, photo)
    names = {"a_disp.npy", "a_disp.png", "a_disp.json"}
    assert {name.rpartition("/")[2] for name in good["files"]} == names
    assert "b.png" in wrong["error"]
    assert f"skipped: {wrong['error']}" in err
    assert "1 done" in err
    folder = tmp_path / "photos"
    folder.mkdir()
    picture(folder / "a.png")
    (folder / "b.png").write_bytes(b"none")
    code, said, _ = here(capsys, "predict", "--output=json", folder, *out, "--cluster", "none", "--workers", "0")
    assert (code, len(objects(said))) == (2, 1)
    assert "--workers 0" in objects(said)[0]["error"]
    code, said, err = here(
        capsys, "refocus", "--output", "json", photo, "--at", "0.5", "0.5", "--no-subject", *out, "--view", "html"
    )
    (done,) = objects(said)
    assert (code, done["source"]) == (0, photo)
    assert {name.rpartition("/")[2] for name in done["files"]} >= {"a_defocus.png", "a_defocus.html"}


def test_check_evaluate_and_doctor_emit_what_they_print(model, tmp_path, capsys, monkeypatch):
    worlds = tmp_path / "worlds"
    assert here(capsys, "render", "street", worlds, "--count", "2", "--size", "48x64")[0] == 0
    code, said, err = here(capsys, "check", worlds, "folder:nowhere", "--output", "json")
    good, wrong = objects(said)
    assert (code, good["data"], good["facts"]["items"][:1]) == (2, str(worlds), "2")
    assert isinstance(good["problems"], list)
    assert wrong == {"data": "folder:nowhere", "error": wrong["error"]}
    code, said, err = here(
        capsys,
        "evaluate",
        "--data",
        worlds,
        "--model",
        model,
        "--alone",
        "--output",
        "json",
        "--json",
        tmp_path / "r.json",
    )
    (found,) = objects(said)
    assert code == 0, err
    assert found["format"] == "cyclopean-evaluation"
    kept = json.loads((tmp_path / "r.json").read_text())
    assert (found.keys(), found["versions"]) == (kept.keys(), kept["versions"])
    assert "AbsRel" in err
    monkeypatch.setattr(doctor, "_files", lambda: iter(()))
    monkeypatch.setattr(doctor, "_packages", lambda: iter(()))
    monkeypatch.setattr(models, "BUNDLED", tmp_path / "none")
    code, said, err = here(capsys, "doctor", "--output", "json")
    findings = objects(said)
    assert code == 1
    assert {"System", "Devices", "Extras", "Models"} == {one["section"] for one in findings}
    (trouble,) = [one["trouble"] for one in findings if one["trouble"]]
    assert f"cyclopean doctor: {trouble}" in err


def test_bad_words_are_objects_too_and_other_commands_have_none(tmp_path, capsys):
    assert set(output.COMMANDS) <= set(COMMANDS)
    code, said, err = here(capsys, "predict", "nowhere.jpg", "--output", "json")
    assert code == 2
    assert objects(said)[-1]["error"] in err
    code, said, err = here(capsys, "predict", "--modle", "x", "--output", "json")
    assert (code, objects(said)) == (2, [{"error": "unknown flag '--modle': did you mean '--model'?"}])
    for words, sentence in [
        (("predict", "--output", "xml"), "--output takes text or json, not 'xml'"),
        (("predict", "a.jpg", "--output"), "--output takes text or json, not ''"),
        (("render", "street", tmp_path, "--output", "json"), "render takes no --output; those that do are predict"),
    ]:
        code, said, err = here(capsys, *words)
        assert (code, said, sentence in err) == (2, "", True), words
    assert output.without_flag(["a", "--", "--output", "json"], "predict") == (["a", "--", "--output", "json"], "text")
    assert output.without_flag(["--output", "text", "a"], "predict") == (["a"], "text")
    with output.objects_only():
        output.emit({"nan": math.nan, "inside": [(-math.inf, 1.5), {"path": tmp_path}], "none": None})
        print("for people")
    said = capsys.readouterr()
    assert objects(said.out) == [{"nan": None, "inside": [[None, 1.5], {"path": str(tmp_path)}], "none": None}]
    assert said.err == "for people\n"
    output.emit({"never": "seen"})
    assert capsys.readouterr().out == ""
