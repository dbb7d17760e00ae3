"""Lists and URLs as inputs, and the manifest of a run: cut, resumed, with what failed."""

import io
import json
import sys
from pathlib import Path

import fsspec
import numpy as np
import pytest
from PIL import Image

from commands import here
from cyclopean.cli import jobs as module
from cyclopean.cli.jobs import jobs_for
from cyclopean.errors import InputError
from cyclopean.inference import bulk
from cyclopean.io.manifest import NAME


def picture(number: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(number).integers(0, 255, (24, 36, 3), np.uint8)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def bucket():
    memory = fsspec.filesystem("memory")
    for number, name in enumerate(("a.png", "b.png")):
        memory.pipe_file(f"/b/{name}", picture(number))
    memory.pipe_file("/b/readme.md", b"x")
    yield memory
    memory.store.clear()
    memory.pseudo_dirs[:] = [""]


@pytest.fixture
def in_this_process(monkeypatch):
    """Work of several processes is done here, which is sooner and knows the memory: scheme; `cut` ends it early."""
    ways = {"cut": 10**6}
    run = bulk.run

    def here_alone(work, inputs, _workers, _cluster):
        for number, done in enumerate(run(work, inputs, 1)):
            if number == ways["cut"]:
                raise KeyboardInterrupt
            yield done

    monkeypatch.setattr(bulk, "run", here_alone)
    return ways


def lines(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / NAME).read_text().splitlines()]


def test_lists_name_what_words_would(tmp_path, monkeypatch):
    for name in ("one/a.png", "two/a.png", "two/b.png", "three/a.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(picture(0))
    monkeypatch.chdir(tmp_path)
    text = "# of two folders\none/a.png\r\n\r\n  two \nnowhere.png\ns3://bucket/c.png\nftp://host/d.png\none/a.png\n"
    Path("list.TXT").write_text(text)
    jobs, bad = jobs_for(["list.TXT"], "out")
    assert [(str(job.source), job.stem) for job in jobs] == [
        ("one/a.png", "one_a_png"), ("two/a.png", "two_a_png"), ("two/b.png", "b"), ("s3://bucket/c.png", "c"),
    ]  # fmt: skip
    assert [*bad] == ["nowhere.png", "ftp://host/d.png"]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode("utf-16"))))
    assert jobs_for(["-"], "out") == (jobs, bad)
    for name in ("照片一.png", "图.png"):
        Path(name).write_bytes(picture(0))
    for coding in ("utf-16-le", "utf-16-be", "utf-8"):  # without a mark, and no Latin letter at the start
        Path("named.txt").write_bytes("照片一.png\r\n图.png\r\n".encode(coding))
        assert [str(job.source) for job in jobs_for(["named.txt"], "out")[0]] == ["照片一.png", "图.png"], coding
    with pytest.raises(InputError, match=r"results cannot go beside s3://bucket/c.png"):
        jobs_for(["list.TXT"], None)
    monkeypatch.setattr(module, "MOST_LISTED", 300)
    for content, why in (
        (b"\n \n", "is empty"),
        (picture(0), "holds no text (UTF-8 or UTF-16); a .txt is a list of inputs"),
        (b"x\n" * 301, "in parts"),
        (b"x" * 10_001, "a line of 10001 characters"),
    ):
        Path("list.txt").write_bytes(content)
        jobs, bad = jobs_for(["list.txt", "two/b.png"], "out")
        assert (len(jobs), why in bad["list.txt"]) == (1, True)
    Path("list.txt").write_text("list.TXT\n")  # a list of lists is none: its lines are inputs
    assert [job.source for job in jobs_for(["list.txt"], "out")[0]] == [Path("list.TXT")]
    for name in (" two/c.png", "two/d.png ", "#1.png"):  # what has that very name comes first
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_bytes(picture(0))
    Path("list.txt").write_text(" two/c.png\ntwo/d.png \n#1.png\n #2.png\n two/b.png \n")
    named = [str(job.source) for job in jobs_for(["list.txt"], "out")[0]]
    assert named == [" two/c.png", "two/d.png ", "#1.png", "two/b.png"]
    same = [f"s3://bucket/{number}/x/frame.png" for number in range(300)]  # names that meet cost no more than others
    assert len({job.stem for job in jobs_for(same, "out")[0]}) == 300


def test_urls_are_predicted_as_files_are(bucket, tmp_path, capsys, model):
    (tmp_path / "photos").mkdir()
    for name in ("a.png", "b.png"):
        (tmp_path / "photos" / name).write_bytes(bucket.cat_file(f"/b/{name}"))
    words = ("predict", "--model", model)
    assert here(capsys, *words, tmp_path / "photos", "--out", tmp_path / "files")[0] == 0
    code, said, error = here(capsys, *words, "memory://b/", "memory://b/none.png", "--out", tmp_path / "urls")
    assert (code, said.split(",")[0], "1 .md" in error) == (2, "2 done", True)
    assert "failed: memory://b/none.png cannot be fetched (nothing is there)" in error
    names = {path.name for path in (tmp_path / "files").iterdir()}
    assert {path.name for path in (tmp_path / "urls").iterdir()} == names
    for name in names:
        one, other = ((tmp_path / place / name).read_bytes() for place in ("files", "urls"))
        if name.endswith(".json"):
            one, other = (json.dumps({**json.loads(text), "settings": ""}).encode() for text in (one, other))
        assert one == other, name
    assert here(capsys, *words, "memory://b/a.png")[0] == 2
    code, said, _ = here(capsys, "stereo", "--model", model, "memory://b/a.png", "--out", tmp_path / "eyes")
    assert (code, (tmp_path / "eyes" / "a_sbs.png").exists()) == (0, True)


def test_a_cut_run_keeps_its_manifest_and_goes_on(bucket, tmp_path, capsys, model, in_this_process):
    """Of files and URLs: done, failed with the sentence, then skipped; what was in flight is done again."""
    (tmp_path / "c.png").write_bytes(picture(2))
    (tmp_path / "bad.png").write_bytes(picture(3)[:50])
    listed = tmp_path / "list.txt"
    listed.write_text(
        f"{tmp_path}/c.png\nmemory://b/a.png\n{tmp_path}/bad.png\n{tmp_path}/none.png\nmemory://b/b.png\n"
    )
    out = tmp_path / "out"
    words = ("predict", listed, "--model", model, "--out", out, "--workers", "2")
    in_this_process["cut"] = 2
    assert here(capsys, *words)[0] == 130
    assert [(line["source"].rpartition("/")[2], line["state"]) for line in lines(out)] == [
        ("none.png", "failed"), ("c.png", "done"), ("a.png", "done"),
    ]  # fmt: skip
    assert sorted(lines(out)[2]["files"]) == ["a_disp.json", "a_disp.npy", "a_disp.png"]
    with (out / NAME).open("a") as file:
        file.write('{"source": "memory://b/b.png", "st')  # killed while it wrote
    bucket.rm("/b/a.png")  # what was done at a URL is not fetched again
    in_this_process["cut"] = 10**6
    code, said, error = here(capsys, *words, "--output", "json")
    assert (code, "1 done and 2 skipped (done before)" in error, "2 failed" in error) == (2, True, True)
    last = {line["source"].rpartition("/")[2]: line for line in lines(out)}
    assert {name: line["state"] for name, line in last.items()} == {
        "c.png": "skipped", "a.png": "skipped", "b.png": "done", "bad.png": "failed", "none.png": "failed",
    }  # fmt: skip
    assert f"{tmp_path}/none.png" in last["none.png"]["error"]
    assert sorted(last["a.png"]["files"]) == ["a_disp.json", "a_disp.npy", "a_disp.png"]
    assert [json.loads(line)["state"] for line in said.splitlines()] == [line["state"] for line in lines(out)[3:]]
    (out / "a_disp.npy").unlink()
    assert here(capsys, *words)[0] == 2
    assert "nothing is there" in {line["source"]: line for line in lines(out)}["memory://b/a.png"]["error"]
