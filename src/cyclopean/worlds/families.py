"""Four kinds of places, laid out at random from a seed: street, room, table, landscape."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from cyclopean.errors import unknown_name
from cyclopean.worlds import objects as make
from cyclopean.worlds.scene import Air, Builder, Light, Material, Number, Scene, Triple, turn


@dataclass(frozen=True)
class Viewpoint:
    """Where the camera stands and looks: `world_from_camera`, horizontal field of view in degrees, a fitting stereo baseline."""

    world_from_camera: Float[Tensor, "1 4 4"]
    field_of_view: Number
    baseline: Number


@dataclass(frozen=True)
class Layout:
    """What a family decides before it is built."""

    builder: Builder
    lights: tuple[Light, ...]
    air: Air
    position: Triple
    yaw: Number
    pitch: Number
    baseline: Number
    far: Number


def scene(family: str, seed: int) -> tuple[Scene, Viewpoint]:
    """Scene number `seed` of a family and a viewpoint in it; the same on every machine."""
    if family not in FAMILIES:
        raise unknown_name("world", family, FAMILIES)
    dice = Random(f"{family} {seed}")
    layout = FAMILIES[family](dice)
    built = layout.builder.clear_of(layout.position, layout.baseline * 2.5 + 0.1)
    roll = dice.gauss(0, 0.02)
    pose = np.eye(4)
    pose[:3, :3] = turn(layout.yaw, layout.pitch, roll)
    pose[:3, 3] = layout.position
    view = Viewpoint(torch.tensor(pose, dtype=torch.float32)[None], dice.uniform(40, 100), layout.baseline)
    return built.scene(layout.lights, layout.air, family, seed, layout.far), view


def daylight(dice: Random) -> tuple[tuple[Light, ...], Air]:
    """Sun, sky and haze at some hour and weather."""
    overcast = dice.random() < 0.35
    height = dice.uniform(0.12, 1.2)
    azimuth = dice.uniform(0, 2 * math.pi)
    direction = (math.cos(height) * math.sin(azimuth), -math.sin(height), math.cos(height) * math.cos(azimuth))
    warm = max(0.0, 0.5 - height)
    sun = dice.uniform(0.05, 0.3) if overcast else dice.uniform(0.9, 2.2)
    colour = (sun, sun * (1 - 0.5 * warm), sun * (1 - 1.1 * warm))
    blue = make.hsv(
        dice.uniform(0.55, 0.62), dice.uniform(0.05, 0.25) if overcast else dice.uniform(0.3, 0.8), dice.uniform(0.5, 1)
    )
    edge = make.hsv(
        dice.choice([0.58, 0.1, 0.07]) if warm > 0.2 else 0.58, dice.uniform(0, 0.35), dice.uniform(0.7, 1.0)
    )
    air = Air(
        zenith=blue, horizon=edge, ambient=dice.uniform(0.35, 0.8) + 0.4 * overcast, bounce=(0.25, 0.23, 0.2),
        clouds=dice.uniform(0, 0.95), haze=math.exp(dice.uniform(math.log(0.0003), math.log(0.012))), seed=dice.randrange(99999),
    )  # fmt: skip
    return (Light(direction, colour),), air


def ground(dice: Random, kind: str) -> Material:
    """grass, road, paving, earth, sand, snow or water; now and then anything, so that no texture means a kind of place."""
    if dice.random() < 0.18:
        return make.cover(dice, make.ANY, dice.uniform(1, 8))
    hue, sat, val, texture, scale = {
        "grass": (dice.uniform(0.15, 0.33), 0.5, dice.uniform(0.25, 0.6), "gravel leaves noise", dice.uniform(1, 8)),
        "road": (0.6, 0.04, dice.uniform(0.2, 0.5), "road", 1 / dice.uniform(2.8, 4)),
        "paving": (0.08, dice.uniform(0, 0.2), dice.uniform(0.35, 0.75), "tiles brick checker", dice.uniform(0.7, 4)),
        "earth": (0.08, dice.uniform(0.2, 0.5), dice.uniform(0.25, 0.6), "gravel noise", dice.uniform(0.8, 5)),
        "sand": (0.11, dice.uniform(0.15, 0.4), dice.uniform(0.6, 0.9), "noise gravel", dice.uniform(0.5, 4)),
        "snow": (0.6, 0.05, 0.92, "noise", dice.uniform(0.3, 2)),
        "water": (dice.uniform(0.5, 0.6), 0.5, dice.uniform(0.15, 0.4), "noise", dice.uniform(0.3, 2)),
    }[kind]
    a = make.hsv(hue, sat, val)
    stripe = make.hsv(dice.choice([0.13, 0.6]), dice.choice([0.0, 0.0, 0.6]), 0.9)
    mortar = make.near(dice, a, 0.5)
    return Material(
        dice.choice(texture.split()), a, make.near(dice, a, 0.3), stripe if kind == "road" else mortar, scale,
        dice.uniform(0.5, 1.3), dice.uniform(0.2, 0.7), 0.7 if kind == "water" else 0.0, seed=dice.randrange(1000003),
    )  # fmt: skip


def street(dice: Random) -> Layout:
    """A road between rows of buildings, trees, parked and moving cars, people, poles."""
    lights, air = daylight(dice)
    b = Builder()
    half = dice.uniform(2.8, 8)
    walk = dice.uniform(1.2, 4)
    b.add("plane", (0, 0, 0), (1, 1, 1), ground(dice, "road"))
    curb = dice.uniform(0.06, 0.18)
    spread = dice.random()
    for side in (-1, 1):
        pavement = ground(dice, dice.choice(["paving", "paving", "grass", "earth"]))
        b.add("box", (side * (half + walk + 20), -curb / 2, 60), (walk + 20, curb / 2, 110), pavement)
        _row(b, dice, side, half + 2 * walk, spread)
        for _ in range(dice.randint(1, 6)):
            x, z = side * (half + dice.uniform(0.3, 2 * walk)), dice.uniform(2, 50)
            make.pole(b.place(x, -curb, z, dice.choice([0, math.pi])), dice)
        for _ in range(dice.randint(0, 5)):
            x, z = side * (half + dice.uniform(0.3, 2 * walk)), dice.uniform(2.5, 30)
            make.person(
                b.place(x, -curb, z, dice.uniform(0, 6.3), (0, 0, dice.gauss(0, 1))), dice, dice.uniform(1.1, 1.95)
            )
        if dice.random() < 0.6:
            for _ in range(dice.randint(1, 4)):
                make.tree(
                    b.place(side * (half + dice.uniform(0.5, 2 * walk + 2)), 0, dice.uniform(4, 60)),
                    dice,
                    dice.uniform(3, 12),
                )
        if dice.random() < 0.6:
            z = dice.uniform(1, 8)
            for _ in range(dice.randint(1, 6)):
                make.car(b.place(side * (half - 1.1), 0, z, dice.choice([0, math.pi]) + dice.gauss(0, 0.03)), dice)
                z += dice.uniform(5, 14)
    for _ in range(dice.randint(0, 4)):
        x, z, way = dice.uniform(-half * 0.6, half * 0.6), dice.uniform(6, 60), dice.choice([-1, 1])
        make.car(b.place(x, 0, z, 0 if way > 0 else math.pi, (0, 0, way * dice.uniform(3, 12))), dice)
    for _ in range(dice.choice([0, 0, 1, 2])):
        make.person(
            b.place(dice.uniform(-half, half), 0, dice.uniform(2.5, 20), dice.uniform(0, 6), (dice.gauss(0, 1), 0, 0)),
            dice,
        )
    if dice.random() < 0.4:
        wide = dice.uniform(10, 40)
        make.building(b.place(dice.uniform(-10, 10), 0, dice.uniform(45, 110)), dice, wide, 10, dice.uniform(6, 25))
    position = (
        dice.uniform(-half - walk, half + walk) * 0.8,
        -dice.choice([dice.uniform(1.1, 2.2), dice.uniform(0.5, 4)]),
        0,
    )
    yaw = dice.gauss(0, 0.15) if dice.random() < 0.7 else dice.uniform(-1.2, 1.2)
    return Layout(b, lights, air, position, yaw, dice.gauss(-0.02, 0.08), dice.uniform(0.3, 0.7), 80)


def _row(b: Builder, dice: Random, side: int, distance: Number, spread: Number) -> None:
    """One side of a street: buildings with gaps, or trees, fences and lawns."""
    z = dice.uniform(-12, 2)
    tall = dice.uniform(3.5, 22)
    green = dice.random() < 0.25
    while z < 95:
        length = dice.uniform(5, 22)
        setback = dice.uniform(0, 6) * spread
        if not green and dice.random() < 0.85:
            deep = dice.uniform(6, 14)
            height = tall * dice.uniform(0.6, 1.4)
            place = b.place(
                side * (distance + setback + deep / 2), 0, z + length / 2, math.pi / 2 * dice.choice([0, 0, 2])
            )
            make.building(place, dice, deep, length, height)
        elif dice.random() < 0.5:
            make.fence(b.place(side * (distance + setback * 0.3), 0, z), dice, length)
            make.tree(b.place(side * (distance + 4), 0, z + length / 2), dice, dice.uniform(4, 13))
        else:
            make.tree(b.place(side * (distance + setback), 0, z + length / 2), dice, dice.uniform(4, 14))
            make.bush(b.place(side * (distance + 0.5), 0, z + length / 3), dice, dice.uniform(0.6, 2.2))
        z += length + (dice.uniform(0, 6) if dice.random() < 0.5 else 0)


def _shell(b: Builder, dice: Random, w: Number, d: Number, h: Number) -> tuple[tuple[Light, ...], Air]:
    """Floor, ceiling, walls with skirting, doors, windows and pictures of a room w x d x h centred on the origin; its lamps."""
    floor = make.cover(dice, "wood tiles tiles noise checker noise plain", 1, make.hsv(0.08, dice.uniform(0, 0.6), dice.uniform(0.2, 0.85)), dice.choice([0, 0, 0.15]))  # fmt: skip
    ceiling = make.cover(dice, "plain plain noise tiles", 2, make.hsv(0.1, 0.06, dice.uniform(0.6, 0.97)))
    b.add("plane", (0, 0, 0), (1, 1, 1), floor)
    b.add("box", (0, -h - 0.05, 0), (w, 0.05, d), ceiling)
    wall = make.cover(dice, "plain plain plain noise noise stripes brick poster tiles wood picture", 1.5, make.hsv(dice.random(), dice.uniform(0, 0.35), dice.uniform(0.35, 0.97)))  # fmt: skip
    sides = ((0, d / 2, w), (math.pi / 2, w / 2, d), (math.pi, d / 2, w), (-math.pi / 2, w / 2, d))
    for angle, distance, width in sides:
        look = wall if dice.random() < 0.8 else make.cover(dice, "plain noise brick wood picture", 1.5)
        face = b.place(0, 0, 0, angle).place(0, 0, distance)  # its z looks out of the room
        face.add("box", (0, -h / 2, 0.1), (width / 2 + 0.2, h / 2, 0.1), look)
        _dress_wall(face, dice, width, h)
    n = dice.choice([1, 1, 2, 3])
    power = dice.uniform(1.2, 3.0) / n
    hue = dice.uniform(0, 0.3)
    lights = tuple(
        Light(
            (dice.uniform(-w, w) * 0.35, -h * dice.uniform(0.7, 0.96), dice.uniform(-d, d) * 0.35),
            (power, power * (1 - 0.3 * hue), power * (1 - hue)),
            dice.uniform(2, 6),
        )  # fmt: skip
        for _ in range(n)
    )
    white = dice.uniform(0.6, 1.0)
    return lights, Air((white, white, white), (white, white, white), dice.uniform(0.2, 0.7), (0.5, 0.45, 0.4), 0, 0, 0)


def _dress_wall(face: Builder, dice: Random, width: Number, h: Number) -> None:
    skirting = make.cover(dice, "plain wood", 1)
    face.add("box", (0, -0.05, -0.01), (width / 2, 0.05, 0.015), skirting)
    for _ in range(dice.choice([0, 1, 1, 2, 3])):
        x, kind = dice.uniform(-width, width) * 0.4, dice.choice(["picture", "picture", "door", "window", "curtain"])
        s = dice.uniform(0.2, 0.6)
        if kind == "picture":
            y, aspect = -dice.uniform(1.2, 1.9), dice.uniform(0.6, 1.6)
            face.add("box", (x, y, -0.015), (s * aspect + 0.03, s + 0.03, 0.015), make.cover(dice, "wood plain", 0.3))
            face.add(
                "box",
                (x, y, -0.02),
                (s * aspect, s, 0.018),
                make.cover(dice, "poster picture picture noise leaves", s * 2),
            )
        elif kind == "door":
            face.add("box", (x, -1.0, -0.01), (0.45, 1.0, 0.03), make.cover(dice, "wood plain", 0.8))
            face.add(
                "ellipsoid", (x + 0.36, -1.0, -0.06), (0.03, 0.03, 0.03), make.cover(dice, "plain", 0.1, gloss=0.5)
            )
        elif kind == "window":
            sky = make.hsv(0.58, dice.uniform(0, 0.4), 1.0)
            glass = Material(
                "noise",
                sky,
                make.hsv(0.3, 0.3, 0.7),
                sky,
                1.2,
                0.8,
                0.1,
                0.3,
                dice.uniform(0.5, 4),
                seed=dice.randrange(999),
            )
            frame = make.cover(dice, "plain wood", 0.5, make.hsv(0.1, 0.1, 0.9))
            face.add("box", (x, -1.5, -0.005), (s + 0.15, s + 0.25, 0.01), glass)
            for q in (-1, 0, 1):
                face.add("box", (x + q * (s + 0.15), -1.5, -0.02), (0.03, s + 0.28, 0.03), frame)
            for q in (-1, 1):
                face.add("box", (x, -1.5 + q * (s + 0.25), -0.02), (s + 0.18, 0.03, 0.04), frame)
        else:
            cloth = make.cover(dice, "stripes noise plain", 0.5)
            for k in range(5):
                face.add("cylinder", (x + 0.12 * k, -h * 0.5, -0.1), (0.07, h * 0.47, 0.06), cloth)


def _furnish(b: Builder, dice: Random, w: Number, d: Number, count: int) -> None:
    """Furniture along the walls and in the middle, clutter on it."""
    for _ in range(count):
        kind = dice.choice(["table", "table", "chair", "chair", "sofa", "bed", "shelf", "shelf", "cabinet", "cabinet", "plant", "lamp", "box", "box", "person", "rug"])  # fmt: skip
        wall = dice.randrange(4)
        along = dice.uniform(-0.45, 0.45)
        angle = (0, math.pi / 2, math.pi, -math.pi / 2)[wall]
        x, z = (
            (along * w, d / 2 - 0.35),
            (w / 2 - 0.35, along * d),
            (along * w, 0.35 - d / 2),
            (0.35 - w / 2, along * d),
        )[wall]
        if kind in ("table", "chair", "plant", "lamp", "box", "person", "rug") and dice.random() < 0.7:
            x, z, angle = dice.uniform(-0.45, 0.45) * w, dice.uniform(-0.45, 0.45) * d, dice.uniform(0, 6.3)
        place = b.place(x, 0, z, angle + math.pi)  # its z looks into the room
        if kind == "table":
            width, depth, height = dice.uniform(0.5, 2), dice.uniform(0.4, 1), dice.uniform(0.4, 0.78)
            make.table(place, dice, width, depth, height)
            for _ in range(dice.randint(0, 4)):
                at = place.place(
                    dice.uniform(-0.4, 0.4) * width, -height, dice.uniform(-0.35, 0.35) * depth, dice.uniform(0, 6)
                )
                make.trinket(at, dice, dice.uniform(0.1, 0.35))
        elif kind == "person":
            make.person(place, dice, dice.uniform(1.1, 1.9))
        elif kind == "plant":
            make.plant(place, dice, dice.uniform(0.4, 1.8))
        elif kind == "lamp":
            make.lamp(place, dice, dice.uniform(1.2, 1.8))
        elif kind == "box":
            make.trinket(place, dice, dice.uniform(0.2, 1.0))
        elif kind == "rug":
            b.add("box", (x, -0.006, z), (dice.uniform(0.5, 1.5), 0.006, dice.uniform(0.5, 1.5)), make.cover(dice, "noise stripes checker poster", 1), turn(angle))  # fmt: skip
        else:
            {"chair": make.chair, "sofa": make.sofa, "bed": make.bed, "shelf": make.shelf, "cabinet": make.cabinet}[
                kind
            ](place, dice)


def room(dice: Random) -> Layout:
    """Indoors: furniture, clutter, pictures, lamps; seen from a wall or a corner towards the middle."""
    b = Builder()
    w, d, h = dice.uniform(2.6, 9), dice.uniform(2.6, 11), dice.uniform(2.2, 3.6)
    lights, air = _shell(b, dice, w, d, h)
    _furnish(b, dice, w, d, dice.randint(6, 18))
    position = (dice.uniform(-0.35, 0.35) * w, -dice.uniform(0.6, 1.8), -d / 2 + dice.uniform(0.3, 1.2))
    if dice.random() < 0.3:
        position = (dice.uniform(-0.3, 0.3) * w, position[1], dice.uniform(-0.3, 0.2) * d)
    yaw = math.atan2(-position[0], d * 0.3 - position[2]) + dice.gauss(0, 0.35)
    pitch = dice.gauss(-0.18, 0.18) if position[1] < -1 else dice.gauss(0, 0.12)
    return Layout(b, lights, air, position, yaw, pitch, dice.uniform(0.06, 0.16), 20)


def table(dice: Random) -> Layout:
    """What people photograph: a subject near, a background far. On a table indoors or out, or standing before a place."""
    return (_still_life if dice.random() < 0.6 else _portrait)(dice)


def _still_life(dice: Random) -> Layout:
    b = Builder()
    if dice.random() < 0.65:
        w, d, h = dice.uniform(3, 8), dice.uniform(3.5, 9), dice.uniform(2.3, 3.4)
        lights, air = _shell(b, dice, w, d, h)
        _furnish(b.place(0, 0, d * 0.2), dice, w, d * 0.5, dice.randint(2, 7))
    else:
        lights, air = daylight(dice)
        _grounds(b, dice, 10)
    wide, deep, height = dice.uniform(0.8, 2.4), dice.uniform(0.6, 1.2), dice.uniform(0.45, 0.9)
    make.table(b, dice, wide, deep, height)
    for _ in range(dice.randint(2, 10)):
        x, z = dice.uniform(-0.42, 0.42) * wide, dice.uniform(-0.4, 0.42) * deep
        make.trinket(
            b.place(x, -height, z, dice.uniform(0, 6.3)), dice, math.exp(dice.uniform(math.log(0.1), math.log(0.5)))
        )
    up = dice.uniform(0.08, 0.6)
    back = -deep / 2 - dice.uniform(0.05, 0.8)
    aim = math.atan2(up - 0.1, -back + dice.uniform(-0.1, 0.3))
    position = (dice.uniform(-0.3, 0.3) * wide, -height - up, back)
    yaw = math.atan2(-position[0], -back) + dice.gauss(0, 0.15)
    return Layout(b, lights, air, position, yaw, -aim * dice.uniform(0.5, 1.1), dice.uniform(0.03, 0.07), 40)


def _grounds(b: Builder, dice: Random, clear: Number) -> None:
    """An outdoor background further than `clear` metres."""
    b.add(
        "plane", (0, 0, 0), (1, 1, 1), ground(dice, dice.choice(["grass", "grass", "paving", "earth", "sand", "snow"]))
    )
    for _ in range(dice.randint(3, 12)):
        z = clear * math.exp(dice.uniform(0, 2))
        x = dice.gauss(0, 0.7) * z
        kind = dice.choice(["tree", "tree", "bush", "bush", "building", "person", "rock", "pole", "car", "fence"])
        place = b.place(x, 0, z, dice.uniform(0, 6.3))
        if kind == "building":
            make.building(b.place(x, 0, z + 8), dice, dice.uniform(5, 18), 8, dice.uniform(3, 16))
        elif kind == "fence":
            make.fence(b.place(-12, 0, z, math.pi / 2), dice, 24)
        elif kind == "person":
            make.person(place, dice, dice.uniform(1.2, 1.9))
        elif kind in ("car", "pole"):
            {"car": make.car, "pole": make.pole}[kind](place, dice)
        else:
            size = {"tree": dice.uniform(3, 11), "bush": dice.uniform(0.5, 2.5), "rock": dice.uniform(0.4, 2)}[kind]
            {"tree": make.tree, "bush": make.bush, "rock": make.rock}[kind](place, dice, size)


def _portrait(dice: Random) -> Layout:
    b = Builder()
    lights, air = daylight(dice)
    distance = math.exp(dice.uniform(math.log(0.7), math.log(4.5)))
    _grounds(b, dice, distance * dice.uniform(1.6, 4))
    for _ in range(dice.choice([1, 1, 1, 2, 3])):
        x, z = dice.gauss(0, 0.25) * distance, distance * dice.uniform(0.9, 1.25)
        place = b.place(x, 0, z, math.pi + dice.gauss(0, 0.6))
        kind = dice.choice(["person", "person", "person", "animal", "plant", "rock", "bench", "thing"])
        if kind == "person":
            make.person(place, dice, dice.uniform(1.2, 1.95))
        elif kind == "animal":
            make.animal(place, dice, dice.uniform(0.4, 1.4))
        elif kind == "plant":
            make.plant(place, dice, dice.uniform(0.6, 1.8))
        elif kind == "rock":
            make.rock(place, dice, dice.uniform(0.5, 1.5))
        elif kind == "bench":
            make.table(place, dice, 1.5, 0.5, 0.5)
            make.person(b.place(x, -0.05, z + 0.3, math.pi), dice, 1.3)
        else:
            make.trinket(place, dice, dice.uniform(0.5, 1.6))
    height = dice.uniform(0.4, 1.9)
    pitch = dice.gauss(0, 0.08) - max(0.0, height - 1.0) * 0.15
    return Layout(b, lights, air, (0.0, -height, 0.0), dice.gauss(0, 0.12), pitch, 0.03 + 0.03 * distance, 80)


def landscape(dice: Random) -> Layout:
    """Hills, water, trees, rocks, paths and far houses."""
    lights, air = daylight(dice)
    b = Builder()
    land = dice.choice(["grass", "grass", "grass", "earth", "sand", "snow", "water", "road"])
    b.add("plane", (0, 0, 0), (1, 1, 1), ground(dice, land))
    for _ in range(dice.randint(0, 6)):
        z = dice.uniform(60, 900)
        high = z * dice.uniform(0.03, 0.35)
        wide = high * dice.uniform(2, 7)
        look = ground(dice, dice.choice(["grass", "earth", "snow", "grass"]))
        hill = Material(look.kind, look.a, look.b, look.c, dice.uniform(4, 20) / wide, 1.3, 0.8, seed=look.seed)
        b.add(
            "ellipsoid", (dice.gauss(0, 0.6) * z, 0.1 * high, z + wide), (wide, high, wide * dice.uniform(0.5, 1)), hill
        )
    for _ in range(dice.randint(0, 4)):
        z = dice.uniform(6, 60)
        wide, high = z * dice.uniform(0.2, 1.0), z * dice.uniform(0.02, 0.12)
        look = ground(dice, dice.choice(["grass", "earth", land]))
        b.add("ellipsoid", (dice.gauss(0, 0.7) * z, 0.2 * high, z + wide), (wide, high, wide), look)
    if dice.random() < 0.4:
        wide = dice.uniform(0.5, 2.5)
        path = make.cover(dice, "gravel tiles noise brick", 1, make.hsv(0.09, 0.25, dice.uniform(0.3, 0.8)))
        b.add("box", (dice.uniform(-3, 3), -0.01, 50), (wide, 0.012, 60), path, turn(dice.gauss(0, 0.15)))
    woods = dice.choice([0, 2, 5, dice.randint(3, 18)])
    for _ in range(woods):
        z = math.exp(dice.uniform(math.log(5), math.log(120)))
        make.tree(b.place(dice.gauss(0, 0.6) * z, 0, z), dice, dice.uniform(3, 16))
    for _ in range(dice.randint(2, 12)):
        z = math.exp(dice.uniform(math.log(1.5), math.log(50)))
        place = b.place(dice.gauss(0, 0.5) * z, 0, z, dice.uniform(0, 6.3))
        kind = dice.choice(["bush", "bush", "rock", "rock", "animal", "person", "pole", "building", "fence"])
        if kind == "building" and z > 12:
            make.building(place, dice, dice.uniform(4, 9), dice.uniform(4, 9), dice.uniform(2.5, 6))
        elif kind == "fence":
            make.fence(place, dice, dice.uniform(5, 25))
        elif kind in ("animal", "person"):
            {"animal": make.animal, "person": make.person}[kind](place, dice, dice.uniform(0.6, 1.8))
        elif kind == "pole":
            make.pole(place, dice)
        else:
            size = dice.uniform(0.3, 2.2)
            {"bush": make.bush, "rock": make.rock}.get(kind, make.rock)(place, dice, size)
    height = math.exp(dice.uniform(math.log(0.8), math.log(6)))
    return Layout(
        b, lights, air, (0.0, -height, 0.0), dice.gauss(0, 0.2), dice.gauss(-0.03, 0.1), dice.uniform(0.3, 0.8), 80
    )


FAMILIES: dict[str, Callable[[Random], Layout]] = {
    "street": street,
    "room": room,
    "table": table,
    "landscape": landscape,
}
