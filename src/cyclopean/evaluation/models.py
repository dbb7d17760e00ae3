"""Things to judge: models, and folders of depth files made elsewhere."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from cyclopean import checkpoint, depthmap
from cyclopean.errors import InputError
from cyclopean.evaluation.trivial import Candidate
from cyclopean.geometry import Pinhole
from cyclopean.methods.base import Method
from cyclopean.sample import Sample, view

Map = Float[Tensor, "1 1 h w"]
SUFFIXES = (".npy", ".npz", ".exr", ".pfm")


def candidate(name: str) -> Candidate:
    """A model by name or folder, or a folder of depth files named as the pictures are."""
    folder = Path(name)
    if folder.is_dir() and not (folder / checkpoint.CONFIG).exists():
        return depth_files(folder)
    method, config = checkpoint.load(name)
    return Candidate(folder.name if folder.is_dir() else name, method.ambiguity, _predicting(method, config))


def depth_files(folder: Path) -> Candidate:
    """Depth maps that exist: for the picture `family/stem`, `family/stem.npy`, `stem.npy` or `stem_disp.npy`.

    Sidecars say what the numbers are; without one a .npy holds disparity, larger = nearer, of unknown scale.
    """
    first = next((p for p in sorted(folder.rglob("*")) if p.suffix in SUFFIXES), None)
    if first is None:
        raise InputError(
            f"{folder} is neither a model (no {checkpoint.CONFIG}) nor does it hold depth files such as .npy."
        )

    def predict(sample: Sample) -> Map:
        depth = depthmap.read(_file(folder, sample.name[0]))
        camera = sample.target.camera
        if depth.kind == "inverse_distance" and isinstance(camera, Pinhole):
            return replace(depth, camera=camera).numbers("inverse_depth")
        return depth.inverse_depth

    return Candidate(f"{folder.name}/", depthmap.read(first).ambiguity, predict)


def _file(folder: Path, name: str) -> Path:
    stem = name.rsplit("/", maxsplit=1)[-1]
    for start in (folder / name, folder / stem, folder / f"{stem}_disp"):
        for suffix in SUFFIXES:
            path = start.with_name(start.name + suffix)
            if path.exists():
                return path
    raise InputError(f"{folder} has no depth for the picture {name}; it needs {stem}.npy or {stem}_disp.npy.")


def _predicting(method: Method, config: dict[str, Any]) -> Callable[[Sample], Map]:
    """The model at its own number of pixels and the picture's aspect; `evaluate` resizes the result back."""
    area = math.prod(config["input_size"])

    def predict(sample: Sample) -> Map:
        image = sample.target.image
        size = _own_size(image.shape[-2:], area, method.input_multiple)
        small = F.interpolate(image, size, mode="bilinear", align_corners=False, antialias=True)
        with torch.inference_mode():
            return method.predict(view(small, sample.target.camera)).inverse_depth

    return predict


def _own_size(size: tuple[int, ...], area: int, multiple: int) -> tuple[int, int]:
    scale = math.sqrt(area / math.prod(size))
    return max(1, round(size[0] * scale / multiple)) * multiple, max(1, round(size[1] * scale / multiple)) * multiple
