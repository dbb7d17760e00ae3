"""Bad input as a person types it: a process of its own says one sentence, exits with 2, and leaves nothing behind."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cyclopean.errors import InputError, enough_memory
from cyclopean.methods.monodepth import Monodepth
from cyclopean.training import checkpoint

pytestmark = pytest.mark.slow

WORDS = {
    "predict nowhere.png": "there is no file nowhere.png",
    "predict good.png --model undone": "numbers that are not finite",
    "refocus cut.jpg --at 0.5 0.5": "cut.jpg is damaged or cut short",
    "render street new --count 1 --size 20000x20000": "400 megapixels, the limit is 8",
    "render street torn --count 1 --size 32x64 --workers 1": "dataset.json cannot be read as JSON",
    "evaluate --data nowhere --model general": "nowhere",
    "train monodepth --data nowhere --out new": "nowhere",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root, random = tmp_path_factory.mktemp("shell"), np.random.default_rng(0)
    pixels = random.integers(0, 255, (48, 64, 3), np.uint8)
    Image.fromarray(pixels).save(root / "good.png")
    Image.fromarray(pixels).save(root / "whole.jpg")
    half = (root / "whole.jpg").read_bytes()
    (root / "cut.jpg").write_bytes(half[: len(half) // 2])
    (root / "torn").mkdir()
    (root / "torn" / "dataset.json").write_text("{")
    undone = Monodepth(width=0.05)
    torch.nn.init.constant_(next(undone.parameters()), torch.nan)
    checkpoint.save(root / "undone", undone, {"input_size": [128, 128]})
    return root


def typed(words: str, place: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cyclopean", *words.split()]
    return subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=120, check=False)


def files(root: Path) -> dict[str, int]:
    return {str(path): path.stat().st_size for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("words", WORDS)
def test_one_sentence_and_nothing_is_left(words: str, place: Path):
    before = files(place)
    done = typed(words, place)
    assert done.returncode == 2, done.stderr
    assert WORDS[words] in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert files(place) == before


def test_the_limit_of_rendering_can_be_raised(place: Path, tmp_path: Path):
    words = f"render table {tmp_path}/made --count 1 --size 32x64 --workers 1 --max-megapixels"
    assert typed(f"{words} 0.001", place).returncode == 2
    done = typed(f"{words} 0.01", place)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "made" / "dataset.json").read_text())["unit"] == "m"


def limited(words: str, place: Path, kilobytes: int) -> subprocess.CompletedProcess[str]:
    """The command where no file may grow beyond so many kilobytes, as on a disk that is nearly full."""
    command = f"ulimit -f {kilobytes}; exec {sys.executable} -m cyclopean {words}"
    return subprocess.run(["bash", "-c", command], cwd=place, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.skipif(sys.platform != "linux", reason="limits are set as Linux's shells do")
@pytest.mark.parametrize("words", ["predict large.png --out new", "render table new --count 1 --workers 1"])
def test_a_disk_that_is_full_is_said_so(words: str, place: Path, tmp_path: Path):
    Image.fromarray(np.zeros((600, 800, 3), np.uint8)).save(tmp_path / "large.png")
    done = limited(words, tmp_path, 100)
    assert done.returncode == 2, done.stderr
    assert "cannot write to new" in done.stderr
    assert "a file may not grow so large here; raise the limit (ulimit -f)" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "new").rglob("*.npy")) or "render" in words


@pytest.mark.parametrize(
    "refused", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to"),
                RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")],
)  # fmt: skip
def test_refused_memory_becomes_a_sentence(refused: Exception):
    with pytest.raises(InputError, match="photo needs more memory"), enough_memory("photo"):
        raise refused


def test_other_errors_stay_what_they_are():
    words = "required rank 4 tensor to use channels_last memory format"
    with pytest.raises(RuntimeError, match="rank 4"), enough_memory("photo"):
        raise RuntimeError(words)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited as Linux's shells do")
def test_a_photo_that_needs_too_much_memory_does_not_end_the_batch(place: Path, tmp_path: Path):
    Image.new("RGB", (16000, 16000)).save(tmp_path / "vast.png")
    Image.open(place / "good.png").save(tmp_path / "small.png")
    words = "predict vast.png small.png --max-megapixels 300 --out new"
    command = f"ulimit -v 4000000; exec {sys.executable} -m cyclopean {words}"
    done = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 2, done.stderr
    assert "vast.png needs more memory" in done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "new" / "small_disp.npy").exists()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited as Linux's shells do")
def test_too_little_memory_for_the_program_itself_is_one_sentence(place: Path):
    command = f"ulimit -v 300000; exec {sys.executable} -m cyclopean predict good.png --out new"
    done = subprocess.run(["bash", "-c", command], cwd=place, capture_output=True, text=True, timeout=200, check=False)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert "the program itself needs more memory than is free here, or than a limit allows (ulimit -v)" in done.stderr
