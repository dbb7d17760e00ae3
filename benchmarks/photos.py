"""Prediction and refocusing of a photograph of one megapixel with the bundled model; the whole command last."""

import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

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
    from cyclopean.defocus.refocus import refocus

    photo = cyclopean.read_photo(_file())
    depth = cyclopean.load()(photo)
    return lambda: refocus(photo, depth, at=(0.5, 0.5))


def _stepped(megapixels: float) -> tuple[Any, Any]:
    """The coffee cup with a depth of slopes and steps, at any size."""
    import torch

    from cyclopean.io.depthmap import from_numbers
    from cyclopean.io.image import read_photo, resize

    photo = read_photo(_file())
    w = round((megapixels * 4 / 3) ** 0.5 * 1000)
    h = w * 3 // 4
    depth = torch.linspace(0.1, 0.6, h)[:, None].repeat(1, w)
    depth[h // 3 : 2 * h // 3, w // 4 : w // 2] = 1.0
    large = replace(photo, image=resize(photo.image, (h, w)))
    return large, from_numbers(depth[None, None], "disparity")


def _first(megapixels: float) -> Callable[[str], Work]:
    def prepare(_: str) -> Work:
        from cyclopean.defocus.refocus import refocus

        photo, depth = _stepped(megapixels)
        return lambda: refocus(photo, depth, at=(0.4, 0.5))

    return prepare


def _again(megapixels: float) -> Callable[[str], Work]:
    def prepare(_: str) -> Work:
        from cyclopean.defocus.lens import Lens
        from cyclopean.defocus.refocus import focusable

        ready = focusable(*_stepped(megapixels), Lens())
        ready.at((0.9, 0.9))
        return lambda: ready.at((0.4, 0.5))

    return prepare


def _both(_: str) -> Work:
    import cyclopean
    from cyclopean.defocus.refocus import refocus

    model, photo = cyclopean.load(), cyclopean.read_photo(_file())
    return lambda: refocus(photo, model(photo), at=(0.5, 0.5))


def _command(_: str) -> Work:
    photo = _file()
    command = [COMMAND, "refocus", photo, "--at", "0.5", "0.5", "--out", photo.parent / "out"]
    return lambda: subprocess.run(command, capture_output=True, check=True)


CASES = {
    "predict, 1 MP": Case(_predict, on_device=False),
    "refocus, 1 MP": Case(_refocus, on_device=False),
    "focus again, 1 MP": Case(_again(1), on_device=False),
    "refocus, 12 MP": Case(_first(12), repeat=3, on_device=False),
    "focus again, 12 MP": Case(_again(12), repeat=5, on_device=False),
    "refocus, 50 MP": Case(_first(50), repeat=1, on_device=False),
    "predict + refocus, 1 MP": Case(_both, on_device=False),
    "cyclopean refocus photo.jpg, whole command": Case(_command, repeat=5, on_device=False),
}
