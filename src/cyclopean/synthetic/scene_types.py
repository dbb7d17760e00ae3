"""Scenes as people photograph them: a subject near, a background far."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pkgutil import resolve_name
from random import Random

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from cyclopean.errors import unknown_name
from cyclopean.synthetic import FAMILIES
from cyclopean.synthetic.furniture import table, trinket
from cyclopean.synthetic.indoors import furnish, shell
from cyclopean.synthetic.materials import STUFF, cover
from cyclopean.synthetic.objects import animal, person, plant, rock
from cyclopean.synthetic.outdoors import daylight, grounds
from cyclopean.synthetic.scene import AS_ANY, FRAME_TIME, Builder, Capture, Layout, Number, Scene, Triple, turn


def closeup(rng: Random) -> Layout:
    """Lay out things on a table indoors or out, or a subject before a place."""
    return (_still_life if rng.random() < 0.6 else _portrait)(rng)


def _still_life(rng: Random) -> Layout:
    b = Builder()
    if rng.random() < 0.65:
        w, d, h = rng.uniform(3, 8), rng.uniform(3.5, 9), rng.uniform(2.3, 3.4)
        lights, air = shell(b, rng, (w, d, h))
        furnish(b.place(0, 0, d * 0.2), rng, w, d * 0.5, rng.randint(2, 7))
    else:
        lights, air = daylight(rng)
        grounds(b, rng, 10)
    wide, deep, height = rng.uniform(0.8, 2.4), rng.uniform(0.6, 1.2), rng.uniform(0.45, 0.9)
    table(b, rng, wide, deep, height)
    for _ in range(rng.randint(2, 10)):
        x, z = rng.uniform(-0.42, 0.42) * wide, rng.uniform(-0.4, 0.42) * deep
        place = b.place(x, -height, z, rng.uniform(0, 6.3))
        trinket(place, rng, math.exp(rng.uniform(math.log(0.1), math.log(0.5))))
    up = rng.uniform(0.08, 0.6)
    back = -deep / 2 - rng.uniform(0.05, 0.8)
    aim = math.atan2(up - 0.1, -back + rng.uniform(-0.1, 0.3))
    position = (rng.uniform(-0.3, 0.3) * wide, -height - up, back)
    yaw = math.atan2(-position[0], -back) + rng.gauss(0, 0.15)
    return Layout(b, lights, air, position, yaw, -aim * rng.uniform(0.5, 1.1), rng.uniform(0.03, 0.07), 40)


def _portrait(rng: Random) -> Layout:
    b = Builder()
    lights, air = daylight(rng)
    distance = math.exp(rng.uniform(math.log(0.7), math.log(4.5)))
    grounds(b, rng, distance * rng.uniform(1.6, 4))
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        x, z = rng.gauss(0, 0.25) * distance, distance * rng.uniform(0.9, 1.25)
        place = b.place(x, 0, z, math.pi + rng.gauss(0, 0.6))
        kind = rng.choice(["person", "person", "person", "animal", "plant", "rock", "bench", "thing"])
        SUBJECTS[kind](place, rng)
        if kind == "bench":
            person(b.place(x, -0.05, z + 0.3, math.pi), rng, 1.3)
    height = rng.uniform(0.4, 1.9)
    pitch = rng.gauss(0, 0.08) - max(0.0, height - 1.0) * 0.15
    yaw = rng.gauss(0, 0.12)
    return Layout(b, lights, air, (0.0, -height, 0.0), yaw, pitch, 0.03 + 0.03 * distance, 80)


SUBJECTS: dict[str, Callable[[Builder, Random], None]] = {
    "person": lambda b, rng: person(b, rng, rng.uniform(1.2, 1.95)),
    "animal": lambda b, rng: animal(b, rng, rng.uniform(0.4, 1.4)),
    "plant": lambda b, rng: plant(b, rng, rng.uniform(0.6, 1.8)),
    "rock": lambda b, rng: rock(b, rng, rng.uniform(0.5, 1.5)),
    "bench": lambda b, rng: table(b, rng, 1.5, 0.5, 0.5),
    "thing": lambda b, rng: trinket(b, rng, rng.uniform(0.5, 1.6)),
}


def clutter(rng: Random) -> Layout:
    """Lay out rows of things on a board before a wall, the camera straight in front: the ground is hardly seen.

    Far is mostly two or three times near, and the height of a thing in the picture is little related to its distance.
    """
    b = Builder()
    room, deep, board = rng.uniform(2.2, 5.0), rng.uniform(0.4, 1.2), rng.uniform(0.0, 1.1)
    lights, air = shell(b, rng, (rng.uniform(3, 6), room, rng.uniform(2.2, 3.2)))
    wall, wide = room / 2, rng.uniform(0.8, 1.9)
    top = cover(rng, "wood wood plain noise tiles stripes", 0.6, gloss=rng.uniform(0, 0.2))
    b.add("box", (0, 0.03 - board, wall - deep / 2), (wide * 1.3, 0.03, deep / 2), top)
    panels = b.place(0, -board, wall)
    for _ in range(rng.randint(0, 4)):  # posters on the wall, boards leaning on it: patterns without depth of their own
        w, h = rng.uniform(0.1, 0.5), rng.uniform(0.1, 0.5)
        material = cover(rng, "poster picture picture stripes checker leaves " + STUFF, w * 2)
        at = (rng.uniform(-wide, wide), -h - rng.choice([0.0, rng.uniform(0, 0.6)]), -rng.uniform(0.01, 0.12))
        panels.add("box", at, (w, h, 0.008), material, turn(rng.gauss(0, 0.1), rng.uniform(0, 0.15)))
    rows, rise = rng.randint(2, 4), rng.choice([0.0, 0.0, rng.uniform(0.05, 0.2)])
    for row in range(rows):
        away = deep * (row + 0.5) / rows  # from the wall; the last row is the nearest, and lowest
        lifted = rise * (rows - 1 - row)
        if lifted:
            b.add("box", (0, -board - lifted / 2, wall - away), (wide * 1.2, lifted / 2, deep / rows / 2), top)
        _row(b.place(0, -board - lifted, wall - away), rng, wide, deep / rows)
    near = wall - deep - rng.uniform(0.2, 1.2)
    height = board + rng.uniform(0.15, 0.8)
    at = (rng.gauss(0, 0.25) * wide, -height, max(near, 0.3 - wall))
    aim = board + rng.uniform(0.25, 0.6)
    gap = wall - deep / 2 - at[2]
    yaw = math.atan2(-at[0], gap) + rng.gauss(0, 0.1)
    return Layout(b, lights, air, at, yaw, math.atan2(aim - height, gap), rng.uniform(0.03, 0.1), 20)


def _row(b: Builder, rng: Random, wide: Number, deep: Number) -> None:
    """Add things side by side, some touching; sometimes there is a gap."""
    x, usual = -wide, math.exp(rng.uniform(math.log(0.18), math.log(0.7)))
    while x < wide:
        size = usual * rng.uniform(0.6, 1.5)
        place = b.place(x, 0, rng.gauss(0, 0.2) * deep, rng.uniform(-0.6, 0.6) + math.pi)
        kind = rng.choice(["trinket"] * 5 + ["books", "doll", "stick", "gap"])
        if kind == "trinket":
            trinket(place, rng, size)
        elif kind == "books":
            _standing(place, rng, size)
        elif kind == "doll":
            person(place, rng, size * 1.3)
        elif kind == "stick":
            material = cover(rng, "plain wood stripes", 0.2)
            lean = turn(rng.uniform(0, 6), 0, rng.gauss(0, 0.35))
            place.thing().add("cylinder", (0, -size * 0.7, 0), (0.012, size * 0.7, 0.012), material, lean)
        x += size * rng.uniform(0.4, 0.9)


def _standing(b: Builder, rng: Random, size: Number) -> None:
    """Add books, or boxes, side by side or open, their covers or backs to the front."""
    x = 0.0
    for _ in range(rng.randint(1, 5)):
        thick, high = size * rng.uniform(0.03, 0.15), size * rng.uniform(0.35, 0.6)
        face = cover(rng, "plain poster picture stripes noise", size)
        flat = rng.random() < 0.4
        half = (high * 0.7, high, thick) if flat else (thick, high, high * 0.6)
        b.thing().add("box", (x, -high, 0), half, face, turn(rng.gauss(0, 0.35)))
        x += 2 * half[0]


# Metres around a panorama's tripod: nothing is nearer; where nothing is nearer, it is well placed.
REACH, OPEN = 0.4, 0.8
PLACES, WALL = 12, 0.6  # tried; metres between them and the walls


@dataclass(frozen=True)
class Viewpoint:
    """The pose of the camera, its horizontal field of view in degrees, a stereo baseline that suits.

    `before` and `after`: its poses in the frames around this one, where the scene decides how it moves; `interval`
    seconds apart.
    """

    world_from_camera: Float[Tensor, "1 4 4"]
    field_of_view: Number
    baseline: Number
    before: Float[Tensor, "1 4 4"] | None = None
    after: Float[Tensor, "1 4 4"] | None = None
    interval: Number = FRAME_TIME
    capture: Capture = AS_ANY


def scene(family: str, seed: int) -> tuple[Scene, Viewpoint]:
    """Return scene number `seed` of a family and a viewpoint in it; the same on every machine."""
    layout, rng = _laid_out(family, seed)
    clearance = layout.baseline * 2.5 + 0.1 if layout.clearance is None else layout.clearance
    return _seen_from(layout, layout.position, clearance, rng, (family, seed))


def surroundings(family: str, seed: int) -> tuple[Scene, Viewpoint]:
    """Return the same scenes as they are photographed for panoramas: a tripod on the open floor, nothing within reach.

    Where no walls bound the scene, it stands where `scene` has its camera.
    """
    layout, rng = _laid_out(family, seed)
    place, tripod = layout.position, Random(f"tripod {family} {seed}")
    if layout.floor != (0.0, 0.0):  # the first open one of some places at the height of a tripod, else the most open
        x, z = (max(half - WALL, 0) for half in layout.floor)
        places = [(tripod.uniform(-x, x), -tripod.uniform(1.1, 1.8), tripod.uniform(-z, z)) for _ in range(PLACES)]
        place = max(places, key=lambda place: min(layout.builder.room_around(place), OPEN))
    return _seen_from(layout, place, REACH, rng, (family, seed))


def _laid_out(family: str, seed: int) -> tuple[Layout, Random]:
    if family not in FAMILIES:
        raise unknown_name("world", family, FAMILIES)
    rng = Random(f"{family} {seed}")
    return resolve_name(FAMILIES[family])(rng), rng


def _seen_from(
    layout: Layout, position: Triple, clearance: Number, rng: Random, name: tuple[str, int]
) -> tuple[Scene, Viewpoint]:
    """Return everything but what stands within `clearance` metres of the camera, and the camera."""
    built = layout.builder.clear_of(position, clearance)
    looking = np.array([layout.yaw, layout.pitch, rng.gauss(0, 0.02) + layout.capture.roll])
    poses = []
    for offset, turned in (((0.0, 0.0, 0.0), (0.0, 0.0, 0.0)), *layout.steps):
        pose = np.eye(4)
        pose[:3, :3] = turn(*(looking + turned))
        pose[:3, 3] = np.array(position) + offset
        poses.append(torch.tensor(pose[None], dtype=torch.float32, device="cpu"))
    before, after = poses[1:] or (None, None)
    field = rng.uniform(40, 100)
    field = layout.capture.field_of_view or field
    view = Viewpoint(poses[0], field, layout.baseline, before, after, layout.interval, layout.capture)
    return built.scene(layout.lights, layout.air, *name, layout.far), view
