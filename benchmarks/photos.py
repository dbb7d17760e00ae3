"""Prediction and refocusing of a photograph of one megapixel with the bundled model; the whole command last."""

import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import Case, Work

COMMAND = Path(sys.executable).with_name("cyclopean")
SIZE = (1152, 864)  # width, height: 1 MP


def _file() -> Path:
    from PIL import Image
    from skimage import data

    path = Path(tempfile.mkdtemp()) / "photo.jpg"
    Image.fromarray(data.coffee()).resize(SIZE).save(path)
    return path


def _predict(_: str) -> Work:
    import cyclopean

    model, photo = cyclopean.load(), cyclopean.read_photo(_file())
    return lambda: model(photo)


def _refocus(_: str) -> Work:
    import cyclopean

    photo = cyclopean.read_photo(_file())
    depth = cyclopean.load()(photo)
    return lambda: cyclopean.refocus(photo, depth, at=(0.5, 0.5))


def _both(_: str) -> Work:
    import cyclopean

    model, photo = cyclopean.load(), cyclopean.read_photo(_file())
    return lambda: cyclopean.refocus(photo, model(photo), at=(0.5, 0.5))


def _command(_: str) -> Work:
    photo = _file()
    command = [COMMAND, "refocus", photo, "--at", "0.5", "0.5", "--out", photo.parent / "out"]
    return lambda: subprocess.run(command, capture_output=True, check=True)


CASES = {
    "predict, 1 MP": Case(_predict, on_device=False),
    "refocus, 1 MP": Case(_refocus, on_device=False),
    "predict + refocus, 1 MP": Case(_both, on_device=False),
    "cyclopean refocus photo.jpg, whole command": Case(_command, repeat=5, on_device=False),
}
