"""Worlds written to a plain folder (docs/data.md) and shown on one contact sheet."""

import io
import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from cyclopean.errors import InputError, why_unwritten
from cyclopean.io.decoding import read_image
from cyclopean.io.files import PHOTOS, reserved, write_anew
from cyclopean.io.rendered_folder import describe, missing
from cyclopean.io.sidecar import AnyCamera, camera_to_json
from cyclopean.processes import in_processes
from cyclopean.sample import Sample, View, map_tensors
from cyclopean.synthetic.rigs import VIEWS, identified, together
from cyclopean.synthetic.scene import Number


@dataclass(frozen=True)
class RenderJob:
    """Scenes to render: seed .. seed + count - 1, families taking turns, at `size` (height, width)."""

    families: tuple[str, ...]
    rig: str
    seed: int
    count: int
    size: tuple[int, int]
    baseline: Number | None = None
    pictures: Path | str | None = None
    field_of_view: Number | None = None
    supersample: int = 1

    def family(self, n: int) -> str:
        return self.families[n % len(self.families)]


def write(order: RenderJob, out: Path, workers: int = 1, device: str = "cpu") -> Iterator[int]:
    """Render into `out`, yielding the number of each item that landed; items already there are kept: an interrupted run
    is continued.

    Each item's camera file is written last, so an item with one is whole. Several `workers` are processes that import
    the calling script: it needs an `if __name__ == "__main__":`. They share the `device`; on a GPU each renders several
    scenes together. Raises InputError if `out` holds another data set, or another
    process renders into it.
    """
    with reserved(out):
        for name in (*VIEWS[order.rig], "depth", "ids", "camera", *(["moving"] if order.rig == "clip" else [])):
            (out / name).mkdir(parents=True, exist_ok=True)
        describe(out, order.rig, VIEWS[order.rig], _made_by(order))
        todo = missing(out, order.count)
        size = (order.supersample * order.size[0], order.supersample * order.size[1])
        many = together(size, order.rig, torch.device(device))
        parts = [tuple(todo[first : first + many]) for first in range(0, len(todo), many)]
        write_items = partial(_write_items, order, out, device)
        if workers <= 1:
            for part in parts:
                yield from write_items(part)
            return
        with closing(in_processes(write_items, parts, workers, _killed)) as results:
            for written in results:
                yield from written


@cache
def load_pictures(folder: Path, side: int = 256) -> Float[Tensor, "k 3 s s"]:
    """Return every picture in a folder, cut square and brought to `side` pixels, for surfaces that show photographs.

    Read once per process. Raises InputError for a folder that is not there or holds none, and for a picture that
    `read_image` refuses.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; name one that holds photographs to put on surfaces.")
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in PHOTOS)
    if not paths:
        raise InputError(f"{folder} holds no picture to put on surfaces; name a folder that does.")
    squares = []
    for path in paths:
        picture = (read_image(path)[0] * 255).round().byte().permute(1, 2, 0).numpy()
        (h, w), least = picture.shape[:2], min(picture.shape[:2])
        top, left = (h - least) // 2, (w - least) // 2
        middle = picture[top : top + least, left : left + least]
        squares.append(cv2.resize(middle, (side, side), interpolation=cv2.INTER_AREA))
    return torch.from_numpy(np.stack(squares)).permute(0, 3, 1, 2).float() / 255


def contact_sheet(samples: Sequence[Sample], columns: int = 4) -> np.ndarray:
    """Return one picture (h w 3, uint8, RGB) of targets above their inverse depth."""
    tiles = [np.vstack([_bytes(s.target.image), _shown(s.depth)]) for s in samples]
    blank = np.zeros_like(tiles[0])
    tiles += [blank] * (-len(tiles) % columns)
    return np.vstack([np.hstack(tiles[k : k + columns]) for k in range(0, len(tiles), columns)])


def _made_by(order: RenderJob) -> dict[str, object]:
    """Return what the items of one data set have in common."""
    made_by: dict[str, object] = {
        "families": list(order.families),
        "seed": order.seed,
        "size": list(order.size),
        "pictures": order.pictures is not None,
    }
    overridden = {
        "baseline": order.baseline,
        "field_of_view": order.field_of_view,
        "supersample": order.supersample if order.supersample > 1 else None,
    }
    return made_by | {name: value for name, value in overridden.items() if value is not None}


def _write_items(order: RenderJob, out: Path, device: str, numbers: Sequence[int]) -> Sequence[int]:
    pictures = None if order.pictures is None else load_pictures(Path(order.pictures))
    made = identified(
        [(order.family(n), order.seed + n) for n in numbers],
        order.size,
        order.rig,
        pictures=pictures,
        baseline=order.baseline,
        field_of_view=order.field_of_view,
        supersample=order.supersample,
        device=device,
    )
    try:
        for n, (item, objects) in zip(numbers, made, strict=True):
            _store(order, out, n, map_tensors(Tensor.cpu, item), objects.cpu())
    except OSError as error:
        raise InputError(
            f"cannot write to {out} {why_unwritten(error, 'mend that')}, then go on with the same command."
        ) from None
    return numbers


def _killed(numbers: Sequence[int]) -> Sequence[int]:
    raise InputError(
        f"the process that rendered scene {numbers[0]} was killed, twice, often because memory ran out; give a smaller "
        "--size or fewer --workers, then go on with the same command."
    )


def _store(order: RenderJob, out: Path, n: int, made: Sample, objects: Int[Tensor, "1 1 h w"]) -> None:
    """Write one item, its camera file last."""
    stem, names = f"{n:06d}", VIEWS[order.rig]
    for name, view in zip(names, (made.target, *made.sources), strict=True):
        _write_image(out / name / f"{stem}.png", _bytes(view.image)[..., ::-1])
    array = io.BytesIO()
    np.save(array, made.depth[0, 0].numpy())
    write_anew(out / "depth" / f"{stem}.npy", array.getvalue())
    _write_image(out / "ids" / f"{stem}.png", objects[0, 0].numpy().astype(np.uint16))
    if order.rig == "clip":
        _write_image(out / "moving" / f"{stem}.png", (~made.target.valid[0, 0]).numpy().astype(np.uint8) * 255)
    poses = {name: _pose(view) for name, view in zip(names[1:], made.sources, strict=True)}
    camera = made.target.camera
    assert isinstance(camera, AnyCamera)
    text = {**camera_to_json(camera), "from_target": poses, "family": order.family(n), "seed": order.seed + n}
    write_anew(out / "camera" / f"{stem}.json", json.dumps(text).encode())


def _pose(source: View) -> list[list[float]]:
    assert source.from_target is not None  # rigs know where their cameras are
    return source.from_target[0].tolist()


def _write_image(path: Path, pixels: np.ndarray) -> None:
    write_anew(path, cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes())


def _bytes(image: Float[Tensor, "1 3 h w"]) -> np.ndarray:
    return (image[0].permute(1, 2, 0) * 255).round().byte().numpy()


def _shown(depth: Float[Tensor, "1 1 h w"]) -> np.ndarray:
    inverse = (1 / depth[0, 0]).numpy()
    top = np.percentile(inverse, 99) or 1.0
    grey = (np.clip(inverse / top, 0, 1) * 255).astype(np.uint8)
    return cv2.applyColorMap(grey, cv2.COLORMAP_MAGMA)[..., ::-1]
