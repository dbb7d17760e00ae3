"""`--output json`: objects on the output, sentences on the error stream, for every command that has it."""

import ast
import importlib
import inspect
import json
import math

import numpy as np
from PIL import Image

from commands import here
from cyclopean.cli import COMMANDS, doctor, output
from cyclopean.cli.bench import BENCHES
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
    assert (code, good["source"], good["state"]) == (2, photo, "done")
    names = {"a_disp.npy", "a_disp.png", "a_disp.json"}
    assert {name.rpartition("/")[2] for name in good["files"]} == names
    assert "b.png" in wrong["error"]
    assert (wrong["source"], wrong["state"]) == (str(bad), "failed")
    assert f"failed: {wrong['error']}" in err
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


def exported(_model, path, **_):
    path.write_bytes(b"graph")
    return []


def test_every_command_has_an_object(model, tmp_path, capsys, monkeypatch):
    """What they print for people goes to the error stream; what takes long is not done, but for its answer."""
    photo, worlds, shards = picture(tmp_path / "a.png"), tmp_path / "worlds", tmp_path / "shards"
    monkeypatch.setattr("cyclopean.inference.export.export_onnx", exported)
    monkeypatch.setattr("cyclopean.app.server.serve", lambda *_, opened, **__: opened("http://127.0.0.1:1/"))
    monkeypatch.setattr("cyclopean.training.adaptation.adapt", lambda *_, **__: print("for people"))
    monkeypatch.setattr("cyclopean.inference.labels.Labelling.begin", lambda _: [])
    monkeypatch.setattr("cyclopean.inference.masks.Masking.begin", lambda _: [])

    (tmp_path / "film.mp4").write_bytes(b"")
    (tmp_path / "panoramas").mkdir()
    picture(tmp_path / "panoramas" / "a.png")
    panoramas = ("panoramas", "--out", tmp_path / "made")
    monkeypatch.chdir(tmp_path)
    cases = {
        ("render", "street", worlds, "--count", "2", "--size", "48x64"): {"rendered": 2, "scenes": 2},
        ("shard", worlds, shards): {"items": 2, "of": 2, "shards": 1, "left_out": []},
        ("stereo", photo, "--model", model, "--out", tmp_path / "3d"): {"source": photo},
        ("completion", "bash"): {"shell": "bash"},
        ("export", "general", "--out", tmp_path / "x.onnx"): {"bytes": 5, "precision": "float32", "compared": []},
        ("app", "--model", "general"): {"address": "http://127.0.0.1:1/"},
        ("adapt", "film.mp4", "--out", tmp_path / "mine"): {"clip": "film.mp4", "out": str(tmp_path / "mine")},
        ("label", *panoramas): {"out": str(tmp_path / "made"), "labelled": 0, "left_out": 0},
        ("mask", *panoramas): {"out": str(tmp_path / "made"), "masked": 0, "left_out": 0},
        ("push", model, "me/tiny", "--dry-run"): {"repository": "me/tiny", "address": None},
        ("models", model): {"name": model},
    }
    for words, expected in cases.items():
        code, said, err = here(capsys, *words, "--output", "json")
        assert code == 0, err
        assert expected.items() <= objects(said)[-1].items(), words
        assert err, "people are told too"
    code, said, _ = here(capsys, "bench", "stereo", "bench", "--list", "--output", "json")
    assert (code, {"row", "title", "by_name"}) == (0, set(objects(said)[0]))
    names = [module for module, _ in COMMANDS.values()] + [place.partition(":")[0] for place, _ in BENCHES.values()]
    for name in names:
        tree = ast.parse(inspect.getsource(importlib.import_module(name)))
        calls = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and hasattr(node.func, "id")}
        methods = {
            node.func.attr for node in ast.walk(tree) if isinstance(node, ast.Call) and hasattr(node.func, "attr")
        }
        assert name == "cyclopean.cli.bench" or "emit" in calls | methods, name


def test_quiet_is_errors_alone(model, tmp_path, capsys):
    folder, out = tmp_path / "photos", ("--out", tmp_path / "out", "--model", model)
    folder.mkdir()
    picture(folder / "a.png")
    (folder / "notes.txt").write_text("none")
    mine = tmp_path / "out" / "a_disp.png"
    mine.parent.mkdir()
    mine.write_bytes(b"mine")
    remarks = ("1 .txt", "a_disp.png exists")
    code, said, err = here(capsys, "predict", folder, *out)
    assert (code, [remark for remark in remarks if remark not in err]) == (0, [])
    code, told, err = here(capsys, "predict", folder, *out, "--quiet")
    assert (code, told, err) == (0, said, ""), "what it found is on the output still"
    code, told, err = here(capsys, "predict", "-q", folder, *out, "--output", "json")
    assert (code, len(objects(told)), err) == (0, 1, "")
    code, _, err = here(capsys, "predict", "-q", "nowhere.jpg")
    assert (code, err.count("\n")) == (2, 1)
    code, _, err = here(capsys, "predict", "a.png", "-q", "-v")
    assert (code, "give one of them" in err) == (2, True)
    assert here(capsys, "predict", "--", "-q")[2].count("-q") == 1, "behind -- it is a name"


def test_bad_words_are_objects_too(tmp_path, capsys):
    code, said, err = here(capsys, "predict", "nowhere.jpg", "--output", "json")
    assert code == 2
    assert objects(said)[-1]["error"] in err
    code, said, err = here(capsys, "predict", "--modle", "x", "--output", "json")
    assert (code, objects(said)) == (2, [{"error": "unknown flag '--modle': did you mean '--model'?"}])
    for words, sentence in [
        (("predict", "--output", "xml"), "--output takes text or json, not 'xml'"),
        (("predict", "a.jpg", "--output"), "--output takes text or json, not ''"),
    ]:
        code, said, err = here(capsys, *words)
        assert (code, said, sentence in err) == (2, "", True), words
    assert output.without_flag(["a", "--", "--output", "json"]) == (["a", "--", "--output", "json"], "text")
    assert output.without_flag(["--output", "text", "a"]) == (["a"], "text")
    with output.objects_only():
        output.emit({"nan": math.nan, "inside": [(-math.inf, 1.5), {"path": tmp_path}], "none": None})
        print("for people")
    said = capsys.readouterr()
    assert objects(said.out) == [{"nan": None, "inside": [[None, 1.5], {"path": str(tmp_path)}], "none": None}]
    assert said.err == "for people\n"
    output.emit({"never": "seen"})
    assert capsys.readouterr().out == ""
