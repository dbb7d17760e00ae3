"""Cameras on a bar, on the move, or on a tripod: scenes made into Samples."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import itemgetter
from pkgutil import resolve_name
from random import Random

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from cyclopean.errors import InputError, unknown_name
from cyclopean.geometry import Camera, Equirectangular, Pinhole, invert
from cyclopean.io.rendered_folder import SPHERE_BASELINE
from cyclopean.sample import Sample, map_tensors, view
from cyclopean.synthetic import RIGS
from cyclopean.synthetic.aperture import defocused
from cyclopean.synthetic.batch import batch_scenes
from cyclopean.synthetic.render import Rendered, Sensor, develop, exposure, render_batch
from cyclopean.synthetic.scene import FRAME_TIME, Capture, Number, Scene, Triple, turn
from cyclopean.synthetic.scene_types import Viewpoint, surroundings
from cyclopean.synthetic.scene_types import scene as family_scene

Identified = tuple[Sample, Int[Tensor, "1 1 h w"]]

# Scenes rendered together: a CPU is busy with one, whose parts fit its cache; elsewhere as many as have so many points.
_TOGETHER = {"cpu": 1}
_POINTS_TOGETHER = 1 << 22


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
    supersample: int = 1,
    device: torch.device | str = "cpu",
) -> Sample:
    """Return scene `seed` of `family` as a rig sees it at `size` (height, width), with exact depth of the target in
    metres.

    Rigs: `stereo` (left, right), `clip` (frame, previous, next; moving objects invalid), `sphere` (centre, up, right).
    `baseline` in metres and `field_of_view` in degrees (horizontal) override the scene's; `pictures` are photographs
    for walls and things. A pixel's colour is the mean of `supersample` squared rays, an odd number to a side, its depth
    that of the middle one. The layout is made on the CPU; pictures are rendered on `device` and stay there. Raises
    InputError for an unknown family or rig.
    """
    return samples(
        [(family, seed)],
        size,
        rig,
        pictures=pictures,
        baseline=baseline,
        field_of_view=field_of_view,
        supersample=supersample,
        device=device,
    )[0]


def samples(
    scenes: Sequence[tuple[str, int]],
    size: tuple[int, int],
    rig: str = "stereo",
    *,
    pictures: Float[Tensor, "k 3 s s"] | None = None,
    baseline: Number | None = None,
    field_of_view: Number | None = None,
    supersample: int = 1,
    device: torch.device | str = "cpu",
) -> list[Sample]:
    """Return what `sample` gives for each (family, seed). On a GPU many are rendered together, with far fewer
    operations; those share their memory, so keep a clone where you keep few of many.
    """
    return [
        sample
        for sample, _ in identified(
            scenes,
            size,
            rig,
            pictures=pictures,
            baseline=baseline,
            field_of_view=field_of_view,
            supersample=supersample,
            device=device,
        )
    ]


def identified(
    scenes: Sequence[tuple[str, int]],
    size: tuple[int, int],
    rig: str = "stereo",
    *,
    pictures: Float[Tensor, "k 3 s s"] | None = None,
    baseline: Number | None = None,
    field_of_view: Number | None = None,
    supersample: int = 1,
    device: torch.device | str = "cpu",
) -> list[Identified]:
    """Return what `samples` does, each with the numbers of the objects in its target (0: ground, walls, sky)."""
    if rig not in RIGS:
        raise unknown_name("rig", rig, RIGS)
    if supersample < 1 or supersample % 2 == 0:
        raise InputError(f"supersample is {supersample}; it needs an odd number of rays along a pixel's side: 1, 3, 5.")
    there = torch.device(device)
    photographs = None if pictures is None else pictures.to(there)
    stands = [_stood(family, seed, rig, baseline, field_of_view) for family, seed in scenes]
    many = together((supersample * size[0], supersample * size[1]), rig, there)
    parts = (stands[first : first + many] for first in range(0, len(stands), many))
    return [made for part in parts for made in _photographed(part, size, supersample, photographs, there)]


def together(size: tuple[int, int], rig: str, device: torch.device) -> int:
    """Return how many scenes `samples` renders together."""
    return _TOGETHER.get(device.type) or max(1, _POINTS_TOGETHER // (math.prod(size) * len(VIEWS[rig])))


@dataclass(frozen=True)
class Stand:
    """A rig in its scene: where its cameras are, and how they take pictures."""

    scene: Scene
    shots: list[Shot]
    field_of_view: Number | None  # None: all around
    sensor: Sensor
    capture: Capture
    name: str


def _stood(family: str, seed: int, rig: str, baseline: Number | None, field_of_view: Number | None) -> Stand:
    scene, stand = PLACES.get(rig, family_scene)(family, seed)
    if baseline is not None:
        stand = replace(stand, baseline=baseline)
    if field_of_view is not None:
        stand = replace(stand, field_of_view=field_of_view)
    rng = Random(f"rig {family} {seed}")
    field = None if rig == "sphere" else stand.field_of_view
    shots, taking = resolve_name(RIGS[rig])(stand, rng), sensor(rng)
    if stand.capture.key is not None:
        taking = replace(taking, key=stand.capture.key)
    return Stand(scene, shots, field, taking, stand.capture, f"{family}-{seed:06d}")


def _photographed(
    stands: Sequence[Stand],
    size: tuple[int, int],
    supersample: int,
    pictures: Float[Tensor, "k 3 s s"] | None,
    device: torch.device,
) -> list[Identified]:
    """Return photographs of rigs of one kind, and the objects in each target: all views of a rig exposed alike; where
    things may move between them, what moves is not valid.
    """
    camera = map_tensors(lambda x: x.to(device), _camera(stands, size))
    taken = _taken(stands, camera, (supersample * size[0], supersample * size[1]), pictures, device)
    if supersample > 1:
        middle = (..., slice(supersample // 2, None, supersample), slice(supersample // 2, None, supersample))
        taken = [
            Rendered(
                F.avg_pool2d(picture.light, supersample),
                *(plane[middle] for plane in (picture.depth, picture.moving, picture.objects)),
            )
            for picture in taken
        ]
    if any(stand.capture.aperture for stand in stands):
        taken = [replace(picture, light=_through_lenses(picture, stands)) for picture in taken]
    sensors = [stand.sensor for stand in stands]
    gain = exposure(taken[0].light, sensors)
    images = [develop(picture.light, gain, sensors, k) for k, picture in enumerate(taken)]
    poses = [torch.cat(shots) for shots in zip(*([s.world_from_camera for s in t.shots] for t in stands), strict=True)]
    from_target = [(invert(pose) @ poses[0]).to(device) for pose in poses]
    views = [view(image, camera, pose) for image, pose in zip(images, from_target, strict=True)]
    if stands[0].shots[-1].time:
        views = [replace(v, valid=~picture.moving) for v, picture in zip(views, taken, strict=True)]
    together = Sample(views[0], tuple(views[1:]), taken[0].depth)
    return [
        (replace(map_tensors(itemgetter(slice(n, n + 1)), together), name=(stand.name,)), taken[0].objects[n : n + 1])
        for n, stand in enumerate(stands)
    ]


def _through_lenses(picture: Rendered, stands: Sequence[Stand]) -> Float[Tensor, "b 3 h w"]:
    """Return the light of each stand's picture, blurred by the lens of those that have one (panoramas have none)."""
    spread = picture.light.clone()
    for n, stand in enumerate(stands):
        if stand.capture.aperture and stand.field_of_view is not None:
            focal, one = 0.5 / math.tan(math.radians(stand.field_of_view) / 2), slice(n, n + 1)
            lens = (stand.capture.aperture, stand.capture.focus, focal)
            spread[one] = defocused(picture.light[one], picture.depth[one], *lens)
    return spread


def _taken(
    stands: Sequence[Stand],
    camera: Camera,
    size: tuple[int, int],
    pictures: Float[Tensor, "k 3 s s"] | None,
    device: torch.device,
) -> list[Rendered]:
    """Return what each shot sees of all the scenes; those of one time are rendered together.

    Scenes may have clocks of their own, but their rigs have equally many shots at each time.
    """
    taken: list[Rendered] = []
    for _, group in groupby(range(len(stands[0].shots)), lambda k: stands[0].shots[k].time):
        numbers = list(group)
        poses = torch.stack([torch.cat([stand.shots[k].world_from_camera for k in numbers]) for stand in stands])
        scenes = [stand.scene.at(stand.shots[numbers[0]].time) for stand in stands]
        stage = map_tensors(lambda x: x.to(device), batch_scenes(scenes))
        views = render_batch(stage, camera, poses.to(device), size, pictures)
        taken += [map_tensors(itemgetter(slice(k, None, len(numbers))), views) for k in range(len(numbers))]
    return taken


def _camera(stands: Sequence[Stand], size: tuple[int, int]) -> Camera:
    fields = [stand.field_of_view for stand in stands if stand.field_of_view is not None]
    if not fields:
        return Equirectangular()
    focals = [0.5 / math.tan(math.radians(field) / 2) for field in fields]
    return Pinhole(_on_cpu([[f, f * size[1] / size[0]] for f in focals]), _on_cpu([[0.5, 0.5] for _ in focals]))


def sensor(rng: Random) -> Sensor:
    """Draw a random camera: good or bad light, sharp or soft, clean or noisy."""
    warm = rng.gauss(0, 0.06)
    return Sensor(
        key=rng.uniform(0.3, 0.58),
        white=(1 + warm, 1.0, 1 - warm),
        contrast=rng.uniform(0.85, 1.25),
        saturation=rng.uniform(0.5, 1.25) if rng.random() > 0.06 else 0.0,
        blur=rng.uniform(0.2, 0.9),
        noise=math.exp(rng.uniform(math.log(0.002), math.log(0.03))),
        vignette=rng.uniform(0, 0.45),
        seed=rng.randrange(1000003),
    )


def _on_cpu(values: Sequence[Sequence[Number]] | np.ndarray) -> Tensor:
    """Return a float tensor where layouts are made, whatever torch's default device is."""
    return torch.tensor(values, dtype=torch.float32, device="cpu")


def stereo(stand: Viewpoint, _rng: Random) -> list[Shot]:
    right = _moved(stand.world_from_camera, (stand.baseline, 0, 0))
    return [Shot("left", stand.world_from_camera), Shot("right", right)]


def clip(stand: Viewpoint, rng: Random) -> list[Shot]:
    """Return frames before and after: as the scene has them, else those of a camera that mostly goes forward."""
    if stand.before is not None and stand.after is not None:
        return [
            Shot("frame", stand.world_from_camera),
            Shot("previous", stand.before, -stand.interval),
            Shot("next", stand.after, stand.interval),
        ]
    speed = stand.baseline * rng.uniform(0.5, 1.8)
    way = (rng.gauss(0, 0.25) * speed, rng.gauss(0, 0.08) * speed, speed if rng.random() < 0.85 else -speed)
    spin = _on_cpu(turn(rng.gauss(0, 0.02), rng.gauss(0, 0.008), rng.gauss(0, 0.005)))
    ahead = _moved(stand.world_from_camera, way, spin)
    behind = _moved(stand.world_from_camera, (-way[0], -way[1], -way[2]), spin.T)
    return [
        Shot("frame", stand.world_from_camera),
        Shot("previous", behind, -FRAME_TIME),
        Shot("next", ahead, FRAME_TIME),
    ]


def sphere(stand: Viewpoint, _rng: Random) -> list[Shot]:
    """Return upright panoramas: the camera's heading is kept, its pitch and roll are not."""
    centre = stand.world_from_camera.clone()
    heading = math.atan2(float(centre[0, 0, 2]), float(centre[0, 2, 2]))
    centre[0, :3, :3] = _on_cpu(turn(heading))
    up, right = (0, -SPHERE_BASELINE, 0), (SPHERE_BASELINE, 0, 0)
    return [Shot("centre", centre), Shot("up", _moved(centre, up)), Shot("right", _moved(centre, right))]


def _moved(
    world_from_camera: Float[Tensor, "1 4 4"], offset: Triple, spin: Tensor | None = None
) -> Float[Tensor, "1 4 4"]:
    """Return the camera moved by `offset` in its own frame, then turned by `spin`."""
    step = _on_cpu(np.eye(4)[None])
    step[0, :3, 3] = _on_cpu(np.array(offset))
    if spin is not None:
        step[0, :3, :3] = spin
    return world_from_camera @ step


PLACES = {"sphere": surroundings}  # where a rig stands, if not where the scene has its camera
VIEWS = {"stereo": ("left", "right"), "clip": ("frame", "previous", "next"), "sphere": ("centre", "up", "right")}
