"""`label`, `mask`, `train distil` and `train finetune`, as a user would: resumable, damaged files named, no network."""

import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import foreign_models
from commands import here
from cyclopean.data import open_dataset
from cyclopean.errors import InputError
from cyclopean.geometry import Equirectangular
from cyclopean.inference import bulk
from cyclopean.inference.labels import LabelFiles
from cyclopean.inference.predictor import load
from cyclopean.io.image import Photo
from cyclopean.synthetic.folder import RenderJob, write
from cyclopean.training import checkpoint
from cyclopean.training.state import STATE
from filmed import film
from slow_work import Slow
from text_segmenters import save_clipseg

SIZE = (32, 64)


@pytest.fixture(scope="module")
def worlds(tmp_path_factory) -> Path:
    """`rooms` with depth, and pictures of streets and a landscape in a tree, one damaged."""
    place = tmp_path_factory.mktemp("worlds")
    for folder, families, seed, count in (("rooms", ("room",), 0, 4), ("out", ("street", "landscape"), 7, 4)):
        for _ in write(RenderJob(families, "sphere", seed, count, SIZE), place / folder):
            pass
    for k, picture in enumerate(sorted((place / "out" / "centre").glob("*.png"))):
        home = place / "pictures" / "ab"[k % 2]
        home.mkdir(parents=True, exist_ok=True)
        picture.replace(home / picture.name)
    first = next((place / "pictures" / "a").glob("*.png"))
    (place / "damaged").mkdir()
    (place / "damaged" / "broken.png").write_bytes(first.read_bytes()[:300])
    (place / "damaged" / "whole.png").write_bytes(first.read_bytes())
    return place


def test_labels_are_made_once_and_turned_at_random(worlds, tmp_path, capsys):
    out = tmp_path / "labels"
    words = ("label", worlds / "pictures", "--out", out, "--side", "16", "--turns", "2")
    code, said, _ = here(capsys, *words)
    assert (code, "4 labelled" in said) == (0, True)
    files = sorted(path.relative_to(out).as_posix() for path in out.rglob("*.npz"))
    assert files == ["a/000000.npz", "a/000002.npz", "b/000001.npz", "b/000003.npz"]
    arrays = [dict(np.load(out / name)) for name in files]
    for one in arrays:
        assert one["inverse_depth"].shape == one["valid"].shape == (12, 16, 16)
        assert one["inverse_depth"].reshape(12, -1).min(1).max() == 0
        assert one["inverse_depth"].reshape(12, -1).max(1).min() == 1  # each face by itself
        assert np.abs(one["rotations"][0] - one["rotations"][6]).max() > 0.01
    assert np.abs(arrays[0]["rotations"] - arrays[1]["rotations"]).max() > 0.01
    made = {name: (out / name).stat().st_mtime_ns for name in files}
    (out / files[2]).unlink()
    code, said, _ = here(capsys, *words)
    assert (code, "1 labelled" in said) == (0, True)
    again = dict(np.load(out / files[2]))
    assert all(np.array_equal(again[k], arrays[2][k]) for k in again)  # the same turns, whenever it is made
    assert all((out / name).stat().st_mtime_ns == made[name] for name in files if name != files[2])
    code, _, error = here(capsys, *words[:-1], "3")
    assert (code, "turns" in error) == (2, True)
    about = json.loads((out / "labels.json").read_text())
    assert (about["teacher"], about["teacher_licence"]) == ("general", "Apache-2.0")

    code, said, error = here(capsys, "label", worlds / "damaged", "--out", tmp_path / "d", "--side", "16")
    assert (code, "1 labelled" in said, "broken.png" in error) == (2, True, True)
    for wrong, why in (
        (("label",), "needs panoramas"),
        (("label", tmp_path / "nothing", "--out", out), "nothing"),
        (("label", worlds / "pictures", "--out", out, "--turns", "0"), "turns"),
        (("label", worlds / "pictures", "--out", tmp_path / "p", "--model", "panorama"), "cannot teach"),
        (("label", worlds / "pictures", "--out", out, "--masks", tmp_path / "none"), "no folder"),
    ):
        code, _, error = here(capsys, *wrong)
        assert (code, why in error) == (2, True), error

    files_of = LabelFiles(out)
    data = open_dataset(f"panoramas:{worlds / 'pictures'}")
    torch.manual_seed(0)
    seen = {int(files_of._one(data[0].name[0], k)[1].sum() * 100) for k in range(2)}
    assert len(seen) == 2
    labels = files_of(data[0].target, data[0].name)
    assert labels.inverse_depth.shape == (1, 6, 16, 16)
    with pytest.raises(InputError, match="there are no labels"):
        files_of(data[0].target, ("c/000009",))


def test_a_model_of_transformers_may_teach(worlds, tmp_path, capsys):
    """As its own rules resize faces; its licence goes into the labels."""
    teacher = foreign_models.save("relative", tmp_path / "teacher")
    out = tmp_path / "labels"
    code, _, error = here(capsys, "label", worlds / "damaged", "--out", out, "--model", teacher, "--side", "16")
    assert (code, "broken.png" in error) == (2, True), error
    assert float(np.load(out / "whole.npz")["inverse_depth"].std()) > 0
    assert json.loads((out / "labels.json").read_text())["teacher_licence"] == "apache-2.0"


def test_masks_mirror_the_tree_and_are_read(worlds, tmp_path, capsys):
    out = tmp_path / "masks"
    code, said, _ = here(capsys, "mask", worlds / "pictures", "--out", out)
    assert (code, "4 masked" in said) == (0, True)
    assert sorted(path.relative_to(out).as_posix() for path in out.rglob("*.png"))[0] == "a/000000.png"
    masked = open_dataset(f"panoramas:{worlds / 'pictures'}:masks={out}")
    shares = [float(masked[n].target.valid.float().mean()) for n in range(len(masked))]
    assert min(shares) < 0.8  # white is what counts, and some sky was found
    assert min(shares) > 0.4
    code, said, _ = here(capsys, "mask", worlds / "pictures", "--out", out)
    assert (code, "0 masked" in said) == (0, True)
    code, _, error = here(capsys, "mask", worlds / "pictures", "--out", tmp_path / "m", "--prompts", "sky,watermark")
    assert (code, "without weights only sky is found" in error) == (2, True)
    code, said, error = here(capsys, "mask", worlds / "damaged", "--out", tmp_path / "d")
    assert (code, "1 masked" in said, "broken.png" in error) == (2, True, True)


def train(capsys, *words: object) -> dict[str, torch.Tensor]:
    common = ("--batch-size", "2", "--workers", "0", "--accelerator", "cpu", "--save-every", "0")
    code, _, error = here(capsys, "train", *map(str, words), *common)
    assert code == 0, error
    return checkpoint.load(Path(words[words.index("--out") + 1]) / "last")[0].state_dict()


@pytest.mark.slow
def test_both_streams_resume_to_the_bit(worlds, tmp_path, capsys):
    """Two steps and two more are four, on line and from files; the card says who taught; then metres, one epoch."""
    labels = tmp_path / "labels"
    assert here(capsys, "label", worlds / "pictures", "--out", labels, "--side", "16", "--turns", "2")[0] == 0
    masks = tmp_path / "masks"
    assert here(capsys, "mask", worlds / "pictures", "--out", masks)[0] == 0
    streams = ("--labelled", worlds / "rooms", "--unlabelled", worlds / "pictures", "--side", "16")
    runs = {}
    variants = {
        "line": ("--ratio", "2", "--masks", masks),
        "files": ("--labels", labels),
        "tangent": ("--planes", "tangent"),
    }
    for name, flags in variants.items():
        whole = train(capsys, "distil", *streams, *flags, "--out", tmp_path / name, "--steps", "4")
        again = tmp_path / f"{name}-again"
        train(capsys, "distil", *streams, *flags, "--out", again, "--steps", "2")
        resumed = train(capsys, "distil", *streams, *flags, "--out", again, "--steps", "4", "--resume")
        assert all(torch.equal(whole[k], resumed[k]) for k in whole)
        runs[name] = whole
    assert any(not torch.equal(runs["line"][k], runs["files"][k]) for k in runs["line"])
    facts = torch.load(tmp_path / "files" / STATE, weights_only=True)["facts"]
    assert facts["turns"] == 2
    assert "rotate" not in facts
    assert torch.load(tmp_path / "tangent" / STATE, weights_only=True)["facts"]["planes"] == "tangent"
    (labels / "labels.json").unlink()  # the files are what teaches: without them there is no second run
    words = ("train", "distil", *streams, "--labels", labels, "--out", tmp_path / "none", "--steps", "1")
    code, _, error = here(capsys, *words, "--batch-size", "2", "--workers", "0", "--accelerator", "cpu")
    assert (code, "labels.json" in error) == (2, True)
    words = ("train", "distil", *streams, "--ratio", "1", "--out", tmp_path / "line-again", "--steps", "6", "--resume")
    code, _, error = here(capsys, *words, "--batch-size", "2", "--workers", "0", "--accelerator", "cpu")
    assert (code, "ratio" in error) == (2, True)  # another ratio would be another run
    config = json.loads((tmp_path / "files" / "last" / "config.json").read_text())
    assert config["training"]["teacher"] == "general"
    assert config["training"]["teacher_licence"] == "Apache-2.0"
    assert config["training"]["unlabelled"] == [str(worlds / "pictures")]
    panorama = Photo(open_dataset(f"panoramas:{worlds / 'pictures'}")[0].target.image, camera=Equirectangular())
    assert load(tmp_path / "line" / "last")(panorama).ambiguity == "affine"
    alone = train(capsys, "distil", "--labelled", worlds / "rooms", "--out", tmp_path / "alone", "--steps", "1")
    assert alone.keys() == runs["line"].keys()

    metres = tmp_path / "metres"
    train(capsys, "finetune", "--data", worlds / "rooms", "--init", tmp_path / "line" / "last", "--out", metres,
          "--epochs", "1")  # fmt: skip
    config = json.loads((metres / "last" / "config.json").read_text())
    assert config["arguments"]["predicts"] == "metric-disparity"
    assert config["training"]["teacher"] == "general"
    assert load(metres / "last")(panorama).unit == "m"
    code, _, error = here(capsys, "train", "finetune", "--data", worlds / "rooms", "--out", tmp_path / "x")
    assert (code, "--init" in error) == (2, True)
    code, _, error = here(
        capsys, "train", "finetune", "--data", worlds / "rooms", "--out", tmp_path / "x", "--init", "general"
    )
    assert (code, "supervised" in error) == (2, True)


@pytest.mark.slow
def test_a_model_of_transformers_teaches_while_training_from_a_film(worlds, tmp_path, capsys):
    """Its name and licence go into the card; the unlabelled panoramas are frames of a film; a narrow student."""
    teacher = foreign_models.save("relative", tmp_path / "teacher")
    film(tmp_path / "walk.mp4", (torch.rand(1, 3, *SIZE) for _ in range(40)))
    words = ("--labelled", worlds / "rooms", "--unlabelled", tmp_path / "walk.mp4", "--side", "16", "--width", "0.25")
    taught = train(capsys, "distil", *words, "--teacher", teacher, "--out", tmp_path / "run", "--steps", "1")
    config = json.loads((tmp_path / "run" / "last" / "config.json").read_text())
    assert config["training"]["teacher"] == str(teacher)
    assert config["training"]["teacher_licence"] == "apache-2.0"
    assert config["arguments"]["width"] == 0.25
    other = train(capsys, "distil", *words, "--teacher", "general", "--out", tmp_path / "other", "--steps", "1")
    assert any(not torch.equal(taught[k], other[k]) for k in taught)
    labels = ("label", tmp_path / "walk.mp4", "--out", tmp_path / "labels", "--side", "16", "--model", teacher)
    assert here(capsys, *labels)[0] == 0
    assert sorted(path.name for path in (tmp_path / "labels" / "walk").iterdir()) == ["000000.npz", "000030.npz"]
    assert "0 labelled" in here(capsys, *labels)[1]


def test_wrong_streams_are_refused_at_once(worlds, tmp_path, capsys):
    start = ("train", "distil", "--labelled", worlds / "rooms", "--out", tmp_path / "run")
    for words, why in (
        (("train", "distil", "--out", tmp_path / "run"), "--labelled"),
        ((*start, "--unlabelled", tmp_path / "none"), "none"),
        ((*start, "--ratio", "0"), "ratio"),
        ((*start, "--rotate", "200"), "rotate"),
        ((*start, "--student", "mobil"), "mobile"),
        ((*start, "--masks", tmp_path / "none"), "cyclopean mask"),
        ((*start, "--teacher", "genral", "--unlabelled", worlds / "pictures"), "general"),
    ):
        began = time.monotonic()
        code, _, error = here(capsys, *words)
        assert (code, why in error) == (2, True), error
        assert time.monotonic() - began < 5


def kill_one(out: Path) -> None:
    """Kill a worker as soon as two numbers are done, and before the last ones are begun."""
    while len(list(out.glob("*.txt"))) < 2:
        time.sleep(0.02)
    os.kill(int(next(out.glob("pid-*")).name.partition("-")[2]), signal.SIGKILL)
    (out / "killed").touch()


def killed(out: Path, cluster: str | None) -> None:
    """Twelve numbers by two workers of which one is killed: all are done but the damaged one, which is named."""
    work = Slow(str(out), str(out / "killed"))
    with ThreadPoolExecutor(1) as thread:
        killing = thread.submit(kill_one, out)
        done = {one: error for one, error, _ in bulk.run(work, iter(range(12)), 2, cluster)}
        killing.result()
    assert done == {n: "number five is damaged." if n == 5 else None for n in range(12)}
    assert {path.read_text() for path in out.glob("*.txt")} == {str(n) for n in range(12) if n != 5}
    assert len(list(out.glob("pid-*"))) >= 3  # the dead one was replaced


@pytest.mark.slow
def test_a_killed_process_loses_nothing(tmp_path):
    killed(tmp_path, None)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray warns of its own future
def test_a_killed_worker_of_ray_loses_nothing(tmp_path, monkeypatch):
    ray = pytest.importorskip("ray")
    pytest.importorskip("ray.data")
    places = [str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(places))  # where its workers find the work
    try:
        killed(tmp_path, "auto")
    finally:
        ray.shutdown()


def test_without_ray_a_sentence_says_how(worlds, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(InputError, match=r"cyclopean\[cluster\]"):
        list(bulk.run(Slow(str(tmp_path)), [1, 2], 1, "auto"))


def test_text_prompts_by_clipseg(worlds, tmp_path, capsys):
    """A tiny model of random weights, through the command; its licence goes into masks.json."""
    pytest.importorskip("transformers", reason="segmenters by text need the extra 'foreign'")
    folder, out = save_clipseg(tmp_path / "clipseg"), tmp_path / "masks"
    for threshold, white in (("0.999", 1.0), ("0.001", 0.0)):
        code, said, error = here(
            capsys, "mask", worlds / "damaged", "--out", out / threshold, "--prompts", "sky,watermark", "--segmenter",
            folder, "--threshold", threshold,
        )  # fmt: skip
        assert (code, "1 masked" in said, "broken" in error) == (2, True, True), error
        assert np.asarray(Image.open(out / threshold / "whole.png")).mean() / 255 == pytest.approx(white, abs=0.01)
    assert json.loads((out / threshold / "masks.json").read_text())["segmenter_licence"] == ["apache-2.0"]
    code, _, error = here(capsys, "mask", worlds / "pictures", "--out", out / "x", "--segmenter", tmp_path / "nothing")
    assert (code, "there is no model folder" in error) == (2, True)
