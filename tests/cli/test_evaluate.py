"""`cyclopean evaluate` as a user types it."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from commands import shell
from cyclopean import cli, data
from cyclopean.methods.monodepth import Monodepth
from cyclopean.training import checkpoint
from stereo_pairs import disparity, write_pairs

H, W = 64, 96


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """Three items of the rendered layout, of two families."""
    folder = tmp_path_factory.mktemp("world")
    head = {"format": "cyclopean-folder", "version": 1, "rig": "stereo", "views": ["left", "right"], "target": "left"}
    (folder / "dataset.json").write_text(json.dumps(head | {"unit": "m"}))
    rng = np.random.default_rng(0)
    for name in ("left", "right", "depth", "camera"):
        (folder / name).mkdir()
    pose = np.eye(4)
    pose[0, 3] = -0.3
    for i, family in enumerate(["street", "room", "street", "room"]):
        for name in ("left", "right"):
            cv2.imwrite(str(folder / name / f"{i:06d}.png"), rng.integers(0, 256, (H, W, 3), dtype=np.uint8))
        v = (np.arange(H) + 0.5) / H
        depth = np.tile(1 / (0.1 + 0.3 * v * (1 + i))[:, None], W).astype(np.float32)
        depth[0] = np.inf
        np.save(folder / "depth" / f"{i:06d}.npy", depth)
        camera = {"camera": "pinhole", "focal": [0.8, 1.2], "center": [0.5, 0.5], "family": family, "seed": i}
        (folder / "camera" / f"{i:06d}.json").write_text(json.dumps(camera | {"from_target": {"right": pose.tolist()}}))
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    checkpoint.save(folder, Monodepth(width=0.03), {"input_size": [128, 128], "licence": "Apache-2.0"})
    return folder


def by_hand(depth: np.ndarray, far: float) -> float:
    """AbsRel of the ramp on one image, median-aligned."""
    rho = np.broadcast_to((0.05 + (np.arange(H) + 0.5) / H)[:, None], depth.shape)
    counts = (depth > 0.1) & (depth < far)
    z, guess = depth[counts].astype(float), 1 / rho[counts]
    guess = np.clip(guess * np.median(z) / np.median(guess), 0.05, far)
    return float(np.mean(np.abs(guess - z) / z))


def test_a_model_a_folder_of_files_and_guesses_in_one_table(world, model, tmp_path):
    predictions = tmp_path / "mine"
    predictions.mkdir()
    for path in (world / "depth").glob("*.npy"):
        np.save(predictions / path.name, 5 / np.load(path))
    out, page, mean = tmp_path / "out.json", tmp_path / "out.md", tmp_path / "mean.npy"
    done = shell(
        "evaluate", "--data", world, "--model", f"{model},{predictions}", "--json", out, "--markdown", page,
        "--training-mean", world, "--save-mean", mean, "-v",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for name in ("tiny", "mine/", "(constant)", "(ramp)", "(ground)", "(training mean)", "(leave-one-out mean)"):
        assert name in done.stdout
        assert name in page.read_text()
    content = json.loads(out.read_text())
    rows = {(r["candidate"], r["alignment"], r["group"]): r for r in content["results"][0]["rows"]}
    # A disparity that is the truth up to a factor is perfect once the medians agree.
    assert rows["mine/", "median", "all"]["figures"]["abs_rel"] == pytest.approx(0, abs=1e-6)
    depths = [np.load(world / "depth" / f"{i:06d}.npy") for i in range(4)]
    expected = [by_hand(d, 80 if i % 2 == 0 else 20) for i, d in enumerate(depths)]
    assert rows["ramp", "median", "all"]["figures"]["abs_rel"] == pytest.approx(np.mean(expected), rel=1e-6)
    assert rows["ramp", "median", "street"]["figures"]["abs_rel"] == pytest.approx(np.mean(expected[::2]), rel=1e-6)
    assert ("training mean", "none", "all") in rows
    assert ("tiny", "none", "all") in rows
    assert "Alignment none: at face value; no scale is known of mine/." in done.stdout
    assert "tiny knows no rig" in done.stderr
    assert ("ramp", "none", "all") not in rows
    assert rows["tiny", "affine", "room"]["images"] == 2
    assert content["results"][0]["counts"]["far"] == 4 * W
    assert content["command"].startswith("cyclopean evaluate --data")
    assert np.load(mean).shape == (96, 128)


def test_a_stored_mean_and_a_limit(world, tmp_path, capsys):
    np.save(tmp_path / "mean.npy", np.full((2, 3), 0.2))
    with pytest.raises(SystemExit) as ended:
        cli.main(
            [
                "evaluate",
                "--data",
                str(world),
                "--model",
                "none",
                "--training-mean",
                f"{tmp_path}/mean.npy",
                "--limit",
                "2",
            ]
        )
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert "2 images" in printed
    assert "(training mean)" in printed


def run(*arguments: object) -> int:
    """The exit code of the command, in this process."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["evaluate", *map(str, arguments)])
    return int(ended.value.code or 0)


@pytest.fixture
def maps(world, tmp_path) -> Path:
    """Depth of the world, 10 % too far, as KITTI's 16-bit pictures."""
    folder = tmp_path / "maps"
    folder.mkdir()
    for path in (world / "depth").glob("*.npy"):
        depth = 1.1 * np.load(path)
        cv2.imwrite(
            str(folder / f"{path.stem}.png"), np.where(np.isfinite(depth), 256 * depth, 65535).astype(np.uint16)
        )
    return folder


def test_a_named_protocol_in_every_face(world, maps, tmp_path, capsys):
    faces = {name: tmp_path / f"out.{name}" for name in ("json", "markdown", "latex")}
    files = [word for name, path in faces.items() for word in (f"--{name}", path)]
    given = ("--predictions", maps, "--kind", "depth", "--per-unit", 256, "-v")
    assert run("--data", world, "--protocol", "worlds,open-1", *given, *files) == 0
    printed = capsys.readouterr().out
    first, second = json.loads(faces["json"].read_text())["results"]
    assert (first["protocol"]["name"], second["protocol"]["name"]) == ("worlds", "open-1")
    rows = {r["alignment"]: r for r in first["rows"] if r["candidate"] == "maps/" and r["group"] == "all"}
    assert list(rows) == ["none", "factor", "median", "affine"]
    assert rows["none"]["figures"]["abs_rel"] == pytest.approx(0.1, abs=2e-3)
    assert rows["factor"]["figures"]["abs_rel"] == pytest.approx(0, abs=2e-3)
    assert first["factors"]["maps/"] == pytest.approx(1 / 1.1, rel=2e-3)
    for page in (printed, faces["markdown"].read_text(), faces["latex"].read_text()):
        assert first["hashes"]["protocol"] in page
        assert first["hashes"]["data"] in page
        assert "affine" in page
    assert faces["latex"].read_text().count(r"\begin{tabular}") == 3  # two of worlds, one of open-1


def test_the_first_screen_tells_in_one_narrow_table_whether_the_model_is_better(world, maps, tmp_path, capsys):
    given = ("--predictions", maps, "--kind", "depth", "--per-unit", 256)
    assert run("--data", world, "--protocol", "worlds", *given, "--markdown", tmp_path / "all.md") == 0
    page = capsys.readouterr().out
    assert max(map(len, page.splitlines())) <= 100
    assert len(page.splitlines()) < 30
    assert "4 images" in page
    said = " ".join(page.split())
    assert "better than looking at no picture" in said
    table = [line.split() for line in page.splitlines() if line.startswith(("none", "median", "factor", "affine"))]
    assert [row[:2] for row in table if row[1] == "maps/"] == [["none", "maps/"], ["median", "maps/"]]
    assert float(table[0][2]) == pytest.approx(0.1, abs=2e-3)
    assert table[0][1] == "maps/"
    assert {"(constant)", "(ramp)", "(ground)"} <= {row[1] for row in table}
    assert "street" in (tmp_path / "all.md").read_text()  # everything is in the files still
    wrong = tmp_path / "wrong"
    wrong.mkdir()
    for i in range(4):
        np.save(wrong / f"{i:06d}.npy", np.tile(1.05 - np.arange(H)[:, None] / H, W).astype(np.float32))
    assert run("--data", world, "--model", wrong) == 0
    assert "worse than looking at no picture" in " ".join(capsys.readouterr().out.split())
    assert run("--data", world, "--model", wrong, "--limit", 1) == 0
    assert "not significant" in " ".join(capsys.readouterr().out.split())


def test_pairs_without_truth_are_judged_by_their_pictures(tmp_path, capsys):
    pairs = write_pairs(tmp_path / "pairs")
    maps = tmp_path / "maps"
    maps.mkdir()
    for n in range(3):
        np.save(maps / f"{n:03d}.npy", np.repeat(40 * disparity()[:, None], 240, 1).astype(np.float32))
    files = [word for name in ("json", "markdown", "latex") for word in (f"--{name}", tmp_path / f"out.{name}")]
    assert run("--data", pairs, "--model", maps, *files) == 0
    page = capsys.readouterr().out
    assert max(map(len, page.splitlines()[:-3])) <= 100
    said = " ".join(page.split())
    assert "no true depth" in said
    assert "better than looking at no picture" in said
    (remade,) = json.loads((tmp_path / "out.json").read_text())["photometric"]
    rows = {row["candidate"]: row for row in remade["rows"]}
    assert list(rows) == ["un-warped", "constant", "ramp", "ground", "maps/"]
    assert rows["maps/"]["l1"] < 0.5 * min(rows[name]["l1"] for name in ("un-warped", "constant"))
    for name in ("markdown", "latex"):
        assert "best factor" in (tmp_path / f"out.{name}").read_text()


def test_a_model_on_what_it_was_trained_on_is_told(world, model, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(world.parent)
    other = shutil.copytree(world, tmp_path / "other")
    for learned, judged, told in (
        ([str(world)], world, True),
        ([world.name], f"folder:{world}", True),
        ([str(other), "gone", f"folder:{world}"], world, True),
        ([str(other)], world, False),
        (["street"], world, False),
        ({"what": str(world)}, world, False),
    ):
        card = {"input_size": [128, 128], "licence": "Apache-2.0", "training": {"data": learned}}
        checkpoint.save(tmp_path / "learned", Monodepth(width=0.03), card)
        assert run("--data", judged, "--model", f"{tmp_path / 'learned'},{model}", "--limit", 1) == 0
        notes = [line for line in capsys.readouterr().err.splitlines() if "was trained on" in line]
        assert len(notes) == told, learned
        assert all(str(judged) in note and "flatter" in note for note in notes)
        shutil.rmtree(tmp_path / "learned")


def test_truth_in_millimetres_is_told_with_its_range(world, tmp_path, capsys):
    copy = tmp_path / "world"
    shutil.copytree(world, copy)
    for path in (copy / "depth").glob("*.npy"):
        np.save(path, 1000 * np.load(path))
    assert run("--data", copy, "--model", "none") == 2
    told = capsys.readouterr().err
    assert "has no depth within (0.1 m, 80 m)" in told
    assert "taken as metres, its depth is 774.8 to 9343 m" in told
    assert "millimetres divided by 1000" in told


def test_a_set_that_cannot_be_judged_leaves_the_tables_of_the_others(world, tmp_path, capsys):
    """One in millimetres, one of damaged files: each is a sentence, the third has its table, and the end is 2."""
    for name in ("millimetres", "damaged"):
        shutil.copytree(world, tmp_path / name)
        for path in (tmp_path / name / "depth").glob("*.npy"):
            np.save(path, 1000 * np.load(path)) if name == "millimetres" else path.write_bytes(b"no map")
    data = f"{tmp_path / 'millimetres'},{world},{tmp_path / 'damaged'}"
    assert run("--data", data, "--model", "none", "--json", tmp_path / "a.json") == 2
    out, told = capsys.readouterr()
    assert f"{world}, protocol open-1" in " ".join(out.split())
    assert "taken as metres, its depth is 774.8 to 9343 m" in told
    assert "damaged/depth" in told
    assert [result["data"] for result in json.loads((tmp_path / "a.json").read_text())["results"]] == [str(world)]


def test_depth_in_a_wrong_unit_is_told(world, maps, capsys):
    for per_unit, words in ((0.256, "by medians it is 1100 times too far"), (256000, "it is 910 times too near")):
        assert run("--data", world, "--predictions", maps, "--kind", "depth", "--per-unit", per_unit) == 0
        told = " ".join(capsys.readouterr().out.split())
        assert "maps/: its depth lies outside [0.05 m, 80 m] and was clipped to it" in told
        assert words in told
    assert run("--data", world, "--predictions", maps, "--kind", "depth", "--per-unit", 256) == 0
    assert "was clipped" not in capsys.readouterr().out


def test_a_given_factor_and_no_guesses(world, maps, tmp_path, capsys):
    arguments = ("--predictions", maps, "--kind", "depth", "--per-unit", 256, "--alone", "--factor", 2, "-v")
    assert run("--data", world, "--protocol", "worlds", *arguments, "--json", tmp_path / "a.json") == 0
    (result,) = json.loads((tmp_path / "a.json").read_text())["results"]
    assert {row["candidate"] for row in result["rows"]} == {"maps/"}
    factor = next(r for r in result["rows"] if r["alignment"] == "factor" and r["group"] == "all")
    assert factor["figures"]["abs_rel"] == pytest.approx(1.2, abs=0.1)  # clipped at far
    assert "Factors (given): maps/ 2" in capsys.readouterr().out


def test_a_missing_map_is_named_and_the_rest_goes_on(world, maps, tmp_path, capsys):
    (maps / "000002.png").unlink()
    (maps / "000003.png").write_bytes(b"no picture")
    arguments = ("--predictions", maps, "--kind", "depth", "--per-unit", 256, "-v")
    assert run("--data", world, "--protocol", "worlds", *arguments, "--json", tmp_path / "a.json") == 2
    out, error = capsys.readouterr()
    assert "images left out of every row: 2" in error
    assert "000002" in error
    assert "000003.png cannot be read as a picture" in error
    assert "2 images left out of every row" in out
    (result,) = json.loads((tmp_path / "a.json").read_text())["results"]
    assert result["counts"]["images"] == 2
    assert {row["images"] for row in result["rows"] if row["group"] == "all"} == {2}


def test_two_results_compared(world, maps, tmp_path, capsys):
    a, b, out = tmp_path / "a.json", tmp_path / "b.json", tmp_path / "difference.json"
    given = ("--predictions", maps, "--kind", "depth", "--alone", "--protocol", "worlds")
    assert run("--data", world, *given, "--per-unit", 256, "--json", a) == 0
    assert run("--data", world, *given, "--per-unit", 200, "--json", b) == 0
    capsys.readouterr()
    assert run("--compare", a, b, "--json", out, "--markdown", tmp_path / "d.md", "--latex", tmp_path / "d.tex") == 0
    printed = capsys.readouterr().out
    assert "A is better" in printed
    rules = [k for k, line in enumerate(printed.splitlines()) if line.startswith("---")]
    assert len(rules) > 3  # tables that would be too wide are folded
    for k in rules:
        assert len(printed.splitlines()[k]) <= 100
        assert printed.splitlines()[k - 1].split()[0] in ("alignment", "truth", "image")
    assert "one factor for the whole set" in printed
    assert "street/000002" in printed
    assert len(json.loads(out.read_text())["comparisons"][0]["images"]) == 4
    assert "| street/000002 |" in (tmp_path / "d.md").read_text()
    assert r"street/000002 &" in (tmp_path / "d.tex").read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--help"], 0, "--training-mean"),
        (["--data", "trased:x"], 2, "did you mean 'traced'"),
        (["--modle"], 2, "did you mean '--model'"),
    ],
)
def test_from_a_shell(arguments, code, words):
    done = shell("evaluate", *arguments)
    assert done.returncode == code
    assert words in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_a_place_that_cannot_be_written_is_told_before_anything_is_read(capsys, monkeypatch):
    monkeypatch.setattr(data, "open_dataset", lambda _: pytest.fail("read before it was known where results go"))
    for flag in ("--json", "--markdown", "--latex", "--save-mean"):
        for place, words in (("/", "/ is a folder"), ("/proc/x.npy", "cannot write to /proc")):
            assert run("--data", "x", "--model", "none", "--training-mean", "x", flag, place) == 2
            assert words in capsys.readouterr().err, flag


BAD_INPUT = [
    (["--data", "motorcycl"], "did you mean 'motorcycle'"),
    (["--data", "middlebury"], "middlebury:PATH"),
    (["--data", "motorcycle:x"], "takes no path"),
    (["--data", "traced:/nowhere"], "does not exist"),
    (["--data", "{world}", "--model", "/nowhere/model"], "no model folder"),
    (["--data", "{world}", "--model", "{empty}"], "neither a model"),
    (["--data", "{empty}", "--model", "none"], "is empty"),
    (["--data", "{world}", "--model", "none", "--limit", "0"], "above 0"),
    (["--data", "{world}", "--model", "none", "--json", "{empty}/no/x.json"], "is not a folder"),
    (["--data", "{world}", "--model", "none", "--save-mean", "{empty}/m.npy"], "--training-mean"),
    (["--data", "{world}", "--model", ","], "names nothing"),
    (["--data", "{unlabelled}", "--model", "none", "--alone"], "no true depth and --alone"),
    (["--data", "pictures:{unlabelled}/left", "--model", "none"], "neither true depth nor a second view"),
    (["--data", "{damaged}", "--model", "none"], "000001.png"),
    ([], "no data was given"),
    (["--data", "motorcycle", "--limit", "ten"], "whole number"),
    (["--data", "{world}", "--protocol", "kitti-eigen"], "did you mean 'kitti-eigen-raw'"),
    (["--data", "{world}", "--predictions", "{empty}"], "needs --kind"),
    (["--data", "{world}", "--predictions", "{empty}", "--kind", "depth"], "holds no depth files"),
    (["--data", "{world}", "--kind", "depth"], "--predictions"),
    (["--data", "{world}", "--factor", "0"], "above 0"),
    (["--data", "{world}", "--alone", "--training-mean", "x.npy"], "--alone"),
    (["--compare", "{world}/dataset.json", "{world}/dataset.json"], "is not a result"),
    (["--compare", "{world}/dataset.json"], "2 values"),
    (["--compare", "a.json", "b.json", "--data", "{world}"], "leave --data"),
]


def test_bad_input_is_told_in_words(world, tmp_path, capsys):
    places = {"world": world, "empty": tmp_path / "empty"}
    places["empty"].mkdir()
    for name in ("unlabelled", "damaged"):
        places[name] = tmp_path / name
        shutil.copytree(world, places[name])
    for path in (places["unlabelled"] / "depth").iterdir():
        path.unlink()
    (places["damaged"] / "left" / "000001.png").write_text("no picture")
    wrong = []
    for arguments, words in BAD_INPUT:
        code = run(*(argument.format(**places) for argument in arguments))
        told = capsys.readouterr().err
        if code != 2 or words not in told or list(places["empty"].iterdir()):
            wrong.append((arguments, words, code, told))
    assert not wrong


def test_a_model_of_two_views_is_shown_both(world, tmp_path, capsys):
    method = Monodepth(width=0.03, variant="stereo")
    checkpoint.save(tmp_path / "two", method, {"input_size": [128, 128], "licence": "Apache-2.0"})
    assert run("--data", world, "--model", tmp_path / "two", "--alone", "--limit", 1) == 0
    assert "two" in capsys.readouterr().out
    assert run("--data", world, "--model", tmp_path / "two", "--alone", "--limit", 1, "--flip-average") == 2
    assert "no --flip-average" in capsys.readouterr().err
