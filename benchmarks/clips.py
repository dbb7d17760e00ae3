"""Clips of known motion through procedural worlds, in looks that no model was trained on, with true depth."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
import torch
from torch import Tensor

from cyclopean.geometry import Pinhole, axis_angle, rigid
from cyclopean.synthetic.render import Sensor, develop, exposure, render
from cyclopean.synthetic.scene_types import scene as family_scene

RATE = 15  # frames a second
TURN = 0.012  # radians a frame, of a camera that turns


def _path(sideways: float, ahead: float, turn: float) -> Callable[[float], tuple[list[float], list[float]]]:
    """A path of given steps (in baselines) and turn (radians) a frame; x is frames from the middle."""
    return lambda x: ([sideways * x, 0.0, ahead * x], [0.0, turn * x, 0.0])


def _walk(x: float) -> tuple[list[float], list[float]]:
    """Swing from side to side and to and fro, as a hand does; within two baselines of the start."""
    place = [1.7 * math.sin(0.16 * x), 0.35 * math.sin(0.31 * x + 1), 1.3 * math.sin(0.11 * x + 0.5)]
    return place, [0.02 * math.sin(0.27 * x), -0.05 * math.sin(0.16 * x), 0.015 * math.sin(0.21 * x)]


PATHS = {
    "still": _path(0, 0, 0),
    "turn": _path(0, 0, TURN),
    "ahead": _path(0, 0.12, 0),
    "aside": _path(0.12, 0, 0),
    "walk": _walk,
}
LOOKS: dict[str, Callable[[Tensor], Tensor]] = {
    "plain": lambda x: x,
    "negative": lambda x: 1 - x,
    "thermal": lambda x: torch.cat([x.mean(1, keepdim=True) ** p for p in (0.6, 1.6, 4.0)], 1),
    "sepia": lambda x: 0.15 + 0.6 * x.mean(1, keepdim=True) * x.new_tensor([1.1, 0.95, 0.7])[None, :, None, None],
    "swapped": lambda x: x[:, [2, 0, 1]],
}


@dataclass(frozen=True)
class Film:
    """What to film: a world, the camera's path (one of `PATHS`), the look (one of `LOOKS`), and what happens.

    `zoom`: factor of the focal length from the first frame to the last; `jump`: factor of the light from the middle on;
    `moving`: seconds between frames, for what moves by itself (0: nothing does).
    """

    family: str
    seed: int
    path: str = "walk"
    look: str = "plain"
    count: int = 36
    size: tuple[int, int] = (192, 256)
    zoom: float = 1.0
    jump: float = 1.0
    moving: float = 0.0
    field_of_view: float = 65.0


def filmed(film: Film) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield picture `1 3 h w` and true depth `1 1 h w` of each frame."""
    scene, stand = family_scene(film.family, film.seed)
    sensor = Sensor(noise=0.008, seed=film.seed)
    gain = None
    for k in range(film.count):
        x = k - (film.count - 1) / 2
        place, turn = PATHS[film.path](x)
        step = rigid(axis_angle(torch.tensor([turn])), torch.tensor([place]) * stand.baseline)
        focal = 0.5 / math.tan(math.radians(film.field_of_view) / 2) * film.zoom ** (k / (film.count - 1))
        camera = Pinhole(torch.tensor([[focal, focal * film.size[1] / film.size[0]]]), torch.tensor([[0.5, 0.5]]))
        shot = render(scene.at(film.moving * x), camera, stand.world_from_camera @ step, film.size)
        gain = exposure(shot.light, [sensor]) if gain is None else gain
        light = shot.light * (film.jump if x > 0 else 1.0)
        yield LOOKS[film.look](develop(light, gain, [sensor], k)).clamp(0, 1), shot.depth


def write_film(path: Path, *films: Film, codec: str = "libx264") -> np.ndarray:
    """Write films one after the other to one file, and return the true depth of each frame, `n h w`."""
    depths = []
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        track = container.add_stream(codec, rate=RATE, options={"crf": "14"})
        track.height, track.width, track.pix_fmt = *films[0].size, "yuv420p"
        for film in films:
            for picture, depth in filmed(film):
                array = (picture[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
                container.mux(track.encode(av.VideoFrame.from_ndarray(array, format="rgb24")))
                depths.append(depth[0, 0].numpy())
        container.mux(track.encode())
    return np.stack(depths)


def write_folder(folder: Path, film: Film) -> np.ndarray:
    """Write a film as numbered pictures, and return the true depth of each, `n h w`."""
    folder.mkdir(parents=True, exist_ok=True)
    depths = []
    for k, (picture, depth) in enumerate(filmed(film)):
        array = (picture[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
        cv2.imwrite(str(folder / f"{k:04d}.png"), cv2.cvtColor(array, cv2.COLOR_RGB2BGR))
        depths.append(depth[0, 0].numpy())
    return np.stack(depths)
