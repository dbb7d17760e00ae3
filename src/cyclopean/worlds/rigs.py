"""Cameras on a bar, on the move, or on a tripod: scenes made into Samples."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import itemgetter
from random import Random

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from cyclopean.errors import unknown_name
from cyclopean.geometry import Camera, Equirectangular, Pinhole, invert
from cyclopean.sample import Sample, map_tensors, view
from cyclopean.worlds.families import Viewpoint, scene, surroundings
from cyclopean.worlds.render import Rendered, render
from cyclopean.worlds.scene import Number, Scene, Triple, turn
from cyclopean.worlds.sensor import Sensor, develop, exposure

SPHERE_BASELINE = 0.26  # metres, the rig of the spherical view synthesis paper
FRAME_TIME = 0.1  # seconds between frames of a clip


@dataclass(frozen=True)
class Shot:
    """One view of a rig: its name, pose in the world and time in seconds."""

    name: str
    world_from_camera: Float[Tensor, "1 4 4"]
    time: Number = 0.0


def sample(
    family: str,
    seed: int,
    size: tuple[int, int],
    rig: str = "stereo",
    *,
    pictures: Float[Tensor, "k 3 s s"] | None = None,
    baseline: Number | None = None,
    field_of_view: Number | None = None,
    device: torch.device | str = "cpu",
) -> Sample:
    """Scene `seed` of `family` as a rig sees it at `size` (height, width), with exact depth of the target in metres.

    Rigs: `stereo` (left, right), `clip` (frame, previous, next; moving objects invalid), `sphere` (centre, up, right).
    `baseline` in metres and `field_of_view` in degrees (horizontal) override the scene's; `pictures` are photographs
    for walls and things. The layout is made on the CPU; pictures are rendered on `device` and stay there. Raises
    InputError for an unknown family or rig.
    """
    if rig not in RIGS:
        raise unknown_name("rig", rig, RIGS)
    built, stand = PLACES.get(rig, scene)(family, seed)
    if baseline is not None:
        stand = replace(stand, baseline=baseline)
    if field_of_view is not None:
        stand = replace(stand, field_of_view=field_of_view)
    dice = Random(f"rig {family} {seed}")
    camera = Equirectangular() if rig == "sphere" else _pinhole(stand.field_of_view, size)
    shots = RIGS[rig](stand, dice)
    photographs = None if pictures is None else pictures.to(device)
    taken = _taken(built.to(device), map_tensors(lambda x: x.to(device), camera), shots, size, photographs)
    return _developed(camera, shots, taken, sensor(dice), f"{family}-{seed:06d}")


def _taken(
    built: Scene, camera: Camera, shots: list[Shot], size: tuple[int, int], pictures: Float[Tensor, "k 3 s s"] | None
) -> list[Rendered]:
    """What each shot sees; those of one time are rendered together."""
    taken: list[Rendered] = []
    for time, group in groupby(shots, lambda shot: shot.time):
        poses = torch.cat([shot.world_from_camera for shot in group]).to(built.center.device)
        views = render(built.at(time), camera, poses, size, pictures)
        taken += [map_tensors(itemgetter(slice(k, k + 1)), views) for k in range(len(poses))]
    return taken


def sensor(dice: Random) -> Sensor:
    """A random camera: good or bad light, sharp or soft, clean or noisy."""
    warm = dice.gauss(0, 0.06)
    return Sensor(
        key=dice.uniform(0.3, 0.58),
        white=(1 + warm, 1.0, 1 - warm),
        contrast=dice.uniform(0.85, 1.25),
        saturation=dice.uniform(0.5, 1.25) if dice.random() > 0.06 else 0.0,
        blur=dice.uniform(0.2, 0.9),
        noise=math.exp(dice.uniform(math.log(0.002), math.log(0.03))),
        vignette=dice.uniform(0, 0.45),
        seed=dice.randrange(1000003),
    )


def _pinhole(field_of_view: Number, size: tuple[int, int]) -> Pinhole:
    focal = 0.5 / math.tan(math.radians(field_of_view) / 2)
    return Pinhole(_on_cpu([[focal, focal * size[1] / size[0]]]), _on_cpu([[0.5, 0.5]]))


def _on_cpu(values: Sequence[Sequence[Number]] | np.ndarray) -> Tensor:
    """A float tensor where layouts are made, whatever torch's default device is."""
    return torch.tensor(values, dtype=torch.float32, device="cpu")


def _developed(camera: Camera, shots: list[Shot], taken: list[Rendered], how: Sensor, name: str) -> Sample:
    """Photographs of all views, exposed alike; where things may move between them, what moves is not valid."""
    gain = exposure(taken[0].light, how)
    views = []
    for k, (shot, picture) in enumerate(zip(shots, taken, strict=True)):
        from_target = (invert(shot.world_from_camera) @ shots[0].world_from_camera).to(picture.light.device)
        made = view(develop(picture.light, gain, how, k), camera, from_target)
        views.append(replace(made, valid=~picture.moving) if shots[-1].time else made)
    return Sample(views[0], tuple(views[1:]), taken[0].depth, name=(name,))


def _stereo(stand: Viewpoint, _dice: Random) -> list[Shot]:
    right = _moved(stand.world_from_camera, (stand.baseline, 0, 0))
    return [Shot("left", stand.world_from_camera), Shot("right", right)]


def _clip(stand: Viewpoint, dice: Random) -> list[Shot]:
    """Frames before and after, of a camera that mostly goes forward and turns a little."""
    speed = stand.baseline * dice.uniform(0.5, 1.8)
    way = (dice.gauss(0, 0.25) * speed, dice.gauss(0, 0.08) * speed, speed if dice.random() < 0.85 else -speed)
    spin = _on_cpu(turn(dice.gauss(0, 0.02), dice.gauss(0, 0.008), dice.gauss(0, 0.005)))
    ahead = _moved(stand.world_from_camera, way, spin)
    behind = _moved(stand.world_from_camera, (-way[0], -way[1], -way[2]), spin.T)
    return [
        Shot("frame", stand.world_from_camera),
        Shot("previous", behind, -FRAME_TIME),
        Shot("next", ahead, FRAME_TIME),
    ]


def _sphere(stand: Viewpoint, _dice: Random) -> list[Shot]:
    """Upright panoramas: the camera's heading is kept, its pitch and roll are not."""
    centre = stand.world_from_camera.clone()
    heading = math.atan2(float(centre[0, 0, 2]), float(centre[0, 2, 2]))
    centre[0, :3, :3] = _on_cpu(turn(heading))
    up, right = (0, -SPHERE_BASELINE, 0), (SPHERE_BASELINE, 0, 0)
    return [Shot("centre", centre), Shot("up", _moved(centre, up)), Shot("right", _moved(centre, right))]


def _moved(
    world_from_camera: Float[Tensor, "1 4 4"], offset: Triple, spin: Tensor | None = None
) -> Float[Tensor, "1 4 4"]:
    """The camera moved by `offset` in its own frame, then turned by `spin`."""
    step = _on_cpu(np.eye(4)[None])
    step[0, :3, 3] = _on_cpu(np.array(offset))
    if spin is not None:
        step[0, :3, :3] = spin
    return world_from_camera @ step


RIGS: dict[str, Callable[[Viewpoint, Random], list[Shot]]] = {"stereo": _stereo, "clip": _clip, "sphere": _sphere}
PLACES = {"sphere": surroundings}  # where a rig stands, if not where the scene has its camera
VIEWS = {"stereo": ("left", "right"), "clip": ("frame", "previous", "next"), "sphere": ("centre", "up", "right")}
