"""`predict FOLDER --workers`: what a run of one process writes, by several; resumed; bad files named; any size."""

import itertools
import json
import os
import re
import shutil
import signal
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from commands import here
from cyclopean.cli.jobs import count_in, jobs_for, jobs_in
from cyclopean.errors import InputError
from cyclopean.inference import bulk
from cyclopean.inference.folder_pipeline import Input, Predicting
from cyclopean.inference.photo_pipeline import DepthOptions
from cyclopean.io.manifest import NAME
from cyclopean.io.result_names import Target
from slow_work import Deadly, Slow


def pictures(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for k, name in enumerate(names):
        picture = np.random.default_rng(k).integers(0, 255, (24, 36, 3), np.uint8)
        Image.fromarray(picture).save(folder / name)
    return folder


@pytest.mark.slow
def test_a_folder_by_two_processes(tmp_path, capsys, model):
    """The files of a run by one process, to the byte; then only what is missing or was changed; damaged ones named."""
    shoot = pictures(tmp_path / "shoot", "a.png", "b.png", "c.jpg", "c.png", "d.webp")
    (shoot / "e.jpg").write_bytes((shoot / "c.jpg").read_bytes()[:200])
    (shoot / "notes.txt").write_text("x")
    out, alone = tmp_path / "out", tmp_path / "alone"
    words = ("predict", shoot, "--model", model, "--save", "npz")
    assert here(capsys, *words, "--out", alone)[0] == 2
    code, said, error = here(capsys, *words, "--out", out, "--workers", "2")
    assert (code, said.strip()) == (2, f"5 done, results in {out}; 1 failed.")
    assert "failed: " in error
    assert "e.jpg" in error
    assert "1 .txt" in error
    assert {json.loads(line)["state"] for line in (out / NAME).read_text().splitlines()} == {"done", "failed"}
    made = sorted(path.name for path in out.iterdir() if path.name != NAME)
    assert made == sorted(path.name for path in alone.iterdir())
    assert {"c_jpg_disp.npy", "c_png_disp.npy", "a_disp.npz"} <= set(made)
    for name in made:
        if not name.endswith(".npz"):  # which holds its time
            assert (out / name).read_bytes() == (alone / name).read_bytes(), name
    times = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    (out / "a_disp.npz").unlink()
    pictures(shoot, "b.png", "x.png")  # one more, and another picture under an old name
    (out / "d_disp.json").write_text(
        json.dumps(json.loads((out / "d_disp.json").read_text()) | {"model": {"name": "x", "sha256": "0"}})
    )
    code, said, _ = here(capsys, *words, "--out", out, "--workers", "2")
    assert (code, said.strip()) == (2, f"4 done and 2 skipped (done before), results in {out}; 1 failed.")
    changed = {path.name.split("_disp")[0] for path in out.iterdir() if path.stat().st_mtime_ns != times.get(path.name)}
    assert changed - {NAME} == {"a", "b", "d", "x"}


def test_what_is_there_counts_by_settings_and_content(tmp_path, model):
    """In this process: again with other flags, from another file, or when told so."""
    source = pictures(tmp_path / "in", "a.png") / "a.png"
    one = Input(source, Target(tmp_path / "out", "a"))
    plain = Predicting(str(model), DepthOptions())
    assert not plain.load()(one).skipped
    there = plain.load()(one)
    assert (there.skipped, {path.name for path in there.paths}) == (
        True,
        {f"a_disp.{s}" for s in ("npy", "png", "json")},
    )
    for other in (
        Predicting(str(model), DepthOptions(), again=True),
        Predicting(str(model), DepthOptions(), post_process="monodepth"),
        Predicting(str(model), DepthOptions(), size=(64, 64)),
        Predicting(str(model), DepthOptions(save=("exr",))),
    ):
        assert not other.load()(one).skipped
        assert other.load()(one).skipped != other.again
    assert not plain.load()(one).skipped
    shutil.copy(pictures(tmp_path / "other", "a.png", "b.png") / "b.png", source)
    assert not plain.load()(one).skipped
    shutil.copytree(model, tmp_path / "elsewhere")  # the same weights under another name
    assert not Predicting(str(tmp_path / "elsewhere"), DepthOptions()).load()(one).skipped  # another --model
    (tmp_path / "out" / "a_disp.json").write_text("{")
    assert not plain.load()(one).skipped


def test_wrong_folders_are_refused(tmp_path, capsys, model):
    shoot = pictures(tmp_path / "shoot", "a.png")
    (tmp_path / "empty").mkdir()
    pictures(tmp_path / "shoots" / "2014", "b.png")
    pictures(tmp_path / "shoots" / "empty")
    for words, why in (
        ((shoot, "--workers", "2"), "results go to a folder of their own"),
        ((shoot, "--workers", "2", "--out", shoot), "results go to a folder of their own"),
        ((shoot / "a.png", "--workers", "2"), "a folder of their own"),
        ((shoot, "--workers", "2", "--out", "s3://bucket/o"), "results go to folders here"),
        ((shoot, "--compile", "--out", tmp_path / "o"), "--compile is for torch on a GPU"),
        ((shoot, "--workers", "0", "--out", tmp_path / "o"), "at least 1"),
        ((tmp_path / "empty", "--workers", "2", "--out", tmp_path / "o"), "holds no photos"),
        ((tmp_path / "shoots", "--workers", "2", "--out", tmp_path / "o"), "folders inside it do, name these: 2014."),
        ((tmp_path / "shoots", "--model", model), "folders inside it do, name these: 2014."),
        ((shoot, "--workers", "2", "--out", tmp_path / "o", "--right", shoot / "a.png"), "--right"),
        ((shoot, "--workers", "2", "--out", tmp_path / "o", "--model", "genral"), "general"),
    ):
        code, _, error = here(capsys, "predict", *words)
        assert (code, why in error) == (2, True), error


def test_jobs_of_a_folder_are_those_of_jobs_for(tmp_path, capsys, model):
    """Without keeping the names: twins told apart, results of earlier runs left alone, links and loops as files."""
    shoot = pictures(tmp_path / "shoot", "a.png", "a.jpg", "b.jpg", "c.png", ".hidden.png", "mine_disp.png")
    assert here(capsys, "predict", shoot / "b.jpg", "--model", model)[0] == 0
    (shoot / "deeper").mkdir()
    (shoot / "loop.png").symlink_to("loop.png")
    (shoot / "link.png").symlink_to("c.png")
    suffixes = count_in(shoot)
    streamed = {(job.source.name, job.stem) for job in jobs_in(shoot, tmp_path / "out", tuple(suffixes))}
    jobs, bad = jobs_for([str(shoot)], str(tmp_path / "out"))
    assert streamed - {("loop.png", "loop")} == {(job.source.name, job.stem) for job in jobs}
    assert len(bad) == 1
    assert ("a.png", "a_png") in streamed
    for name in ("a_png.jpg", "a_png_2.jpg"):  # a longer name may be another file's
        shutil.copy(shoot / "b.jpg", shoot / name)
    stems = {job.source.name: job.stem for job in jobs_in(shoot, tmp_path / "out", tuple(suffixes))}
    assert (stems["a.png"], len(set(stems.values()))) == ("a_png_3", len(stems))
    with pytest.raises(InputError, match="holds no photos"):
        count_in(shoot / "deeper")


def test_inputs_are_taken_one_by_one(tmp_path):
    """Of an endless list no more than is worked on; memory does not grow with the number of files."""
    taken = itertools.count()
    run = bulk.run(Slow(str(tmp_path)), (next(taken) for _ in itertools.repeat(0)), 1)
    assert [next(run).input for _ in range(2)] == [0, 1]
    assert next(taken) == 2
    folder = tmp_path / "many"
    folder.mkdir()
    peaks = []
    for count in (300, 1500):
        for k in range(count):
            (folder / f"{k:05d}.png").touch()
        tracemalloc.start()
        assert sum(1 for _ in jobs_in(folder, tmp_path / "out", tuple(count_in(folder)))) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0] + 20_000


@pytest.mark.slow
def test_what_kills_its_process_is_named(tmp_path):
    """The rest is done, once each process that dies is replaced; where all die, the run ends with a sentence."""
    (tmp_path / "some").mkdir()
    run = bulk.run(Deadly(str(tmp_path / "some"), deadly=(4,)), iter(range(9)), 2)
    done = {one: error for one, error, _ in run}
    assert sorted(done) == list(range(9))
    assert [one for one, error in sorted(done.items()) if error] == [4]
    assert "was killed" in str(done[4])
    assert {int(path.stem) for path in (tmp_path / "some").glob("*.txt")} == set(range(9)) - {4}
    with pytest.raises(InputError, match="in a row"):
        list(bulk.run(Deadly(str(tmp_path), deadly=tuple(range(20))), iter(range(20)), 2))


def photos_and_a_kill(tmp_path: Path, capsys, model: Path, *flags: str) -> None:
    """Twenty photos by two workers, one of which is killed as soon as some results are there."""
    shoot, out = pictures(tmp_path / "shoot", *(f"{k:02d}.png" for k in range(20))), tmp_path / "out"
    children = Path("/proc/self/task") / str(os.getpid()) / "children"

    def kill_a_worker() -> None:
        while len(list(out.glob("*_disp.json"))) < 2:
            time.sleep(0.02)
        for child in map(int, children.read_text().split()):
            if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                os.kill(child, signal.SIGKILL)
                return

    with ThreadPoolExecutor(1) as thread:
        killing = thread.submit(kill_a_worker) if not flags else None
        code, said, error = here(capsys, "predict", shoot, "--model", model, "--out", out, "--workers", "2", *flags)
        if killing is not None:
            killing.result()
    done = re.fullmatch(r"(\d+) done(?: and (\d) skipped \(done before\))?, results in .*; 0 failed.", said.strip())
    assert code == 0, error
    assert done
    assert sum(map(int, filter(None, done.groups()))) == 20  # what the dead one had just written is there before
    assert len(list(out.glob("*_disp.npy"))) == 20
    code, said, _ = here(capsys, "predict", shoot, "--model", model, "--out", out, "--workers", "2", *flags)
    assert (code, said.strip()) == (0, f"0 done and 20 skipped (done before), results in {out}; 0 failed.")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc to find a worker")
def test_a_killed_worker_loses_what_it_was_at(tmp_path, capsys, model):
    photos_and_a_kill(tmp_path, capsys, model)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray warns of its own future
def test_a_real_cluster_of_ray(tmp_path, capsys, model, monkeypatch):
    ray = pytest.importorskip("ray")
    pytest.importorskip("ray.data")
    try:
        photos_and_a_kill(tmp_path, capsys, model, "--cluster", "auto")
    finally:
        ray.shutdown()
