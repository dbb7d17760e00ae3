"""Places under the sky: daylight, a street, a landscape, and grounds to stand before."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

from cyclopean.synthetic.materials import cover, ground, hsv
from cyclopean.synthetic.objects import animal, building, bush, car, fence, person, pole, rock, tree
from cyclopean.synthetic.scene import Air, Builder, Layout, Light, Number, turn


def daylight(dice: Random) -> tuple[tuple[Light, ...], Air]:
    """Sun, sky and haze at some hour and weather."""
    overcast = dice.random() < 0.35
    height = dice.uniform(0.12, 1.2)
    azimuth = dice.uniform(0, 2 * math.pi)
    direction = (math.cos(height) * math.sin(azimuth), -math.sin(height), math.cos(height) * math.cos(azimuth))
    warm = max(0.0, 0.5 - height)
    sun = dice.uniform(0.05, 0.3) if overcast else dice.uniform(0.9, 2.2)
    colour = (sun, sun * (1 - 0.5 * warm), sun * (1 - 1.1 * warm))
    hue, grey = dice.uniform(0.55, 0.62), dice.uniform(0.05, 0.25) if overcast else dice.uniform(0.3, 0.8)
    blue = hsv(hue, grey, dice.uniform(0.5, 1))
    dusk = dice.choice([0.58, 0.1, 0.07]) if warm > 0.2 else 0.58
    air = Air(
        zenith=blue,
        horizon=hsv(dusk, dice.uniform(0, 0.35), dice.uniform(0.7, 1.0)),
        ambient=dice.uniform(0.35, 0.8) + 0.4 * overcast,
        bounce=(0.25, 0.23, 0.2),
        clouds=dice.uniform(0, 0.95),
        haze=math.exp(dice.uniform(math.log(0.0003), math.log(0.012))),
        seed=dice.randrange(99999),
    )
    return (Light(direction, colour),), air


@dataclass(frozen=True)
class Road:
    """Half its width, the width of the pavements, the curb's height, all in metres; 0..1: how uneven the rows stand."""

    half: Number
    walk: Number
    curb: Number
    spread: Number


def street(dice: Random) -> Layout:
    """A road between rows of buildings, trees, parked and moving cars, people, poles."""
    lights, air = daylight(dice)
    b = Builder()
    half, walk = dice.uniform(2.8, 8), dice.uniform(1.2, 4)
    b.add("plane", (0, 0, 0), (1, 1, 1), ground(dice, "road"))
    road = Road(half, walk, dice.uniform(0.06, 0.18), dice.random())
    for side in (-1, 1):
        _pavement(b, dice, side, road)
        _row(b, dice, side, road)
        _roadside(b, dice, side, road)
    _traffic(b, dice, half)
    if dice.random() < 0.4:
        wide = dice.uniform(10, 40)
        building(b.place(dice.uniform(-10, 10), 0, dice.uniform(45, 110)), dice, wide, 10, dice.uniform(6, 25))
    x = dice.uniform(-half - walk, half + walk) * 0.8
    y = -dice.choice([dice.uniform(1.1, 2.2), dice.uniform(0.5, 4)])
    yaw = dice.gauss(0, 0.15) if dice.random() < 0.7 else dice.uniform(-1.2, 1.2)
    return Layout(b, lights, air, (x, y, 0), yaw, dice.gauss(-0.02, 0.08), dice.uniform(0.3, 0.7), 80)


def _pavement(b: Builder, dice: Random, side: int, road: Road) -> None:
    look = ground(dice, dice.choice(["paving", "paving", "grass", "earth"]))
    half = (road.walk + 20, road.curb / 2, 110)
    b.add("box", (side * (road.half + road.walk + 20), -road.curb / 2, 60), half, look)


def _row(b: Builder, dice: Random, side: int, road: Road) -> None:
    """One side of a street: buildings with gaps, or trees, fences and lawns."""
    z = dice.uniform(-12, 2)
    tall = dice.uniform(3.5, 22)
    green = dice.random() < 0.25
    edge = road.half + 2 * road.walk
    while z < 95:
        length = dice.uniform(5, 22)
        setback = dice.uniform(0, 6) * road.spread
        if not green and dice.random() < 0.85:
            deep = dice.uniform(6, 14)
            height = tall * dice.uniform(0.6, 1.4)
            way = math.pi / 2 * dice.choice([0, 0, 2])
            building(b.place(side * (edge + setback + deep / 2), 0, z + length / 2, way), dice, deep, length, height)
        elif dice.random() < 0.5:
            fence(b.place(side * (edge + setback * 0.3), 0, z), dice, length)
            tree(b.place(side * (edge + 4), 0, z + length / 2), dice, dice.uniform(4, 13))
        else:
            tree(b.place(side * (edge + setback), 0, z + length / 2), dice, dice.uniform(4, 14))
            bush(b.place(side * (edge + 0.5), 0, z + length / 3), dice, dice.uniform(0.6, 2.2))
        z += length + (dice.uniform(0, 6) if dice.random() < 0.5 else 0)


def _roadside(b: Builder, dice: Random, side: int, road: Road) -> None:
    """What stands and walks on the pavement, and cars parked along it."""
    half, wide = road.half, 2 * road.walk
    for _ in range(dice.randint(1, 6)):
        x, z = side * (half + dice.uniform(0.3, wide)), dice.uniform(2, 50)
        pole(b.place(x, -road.curb, z, dice.choice([0, math.pi])), dice)
    for _ in range(dice.randint(0, 5)):
        x, z = side * (half + dice.uniform(0.3, wide)), dice.uniform(2.5, 30)
        walking = b.place(x, -road.curb, z, dice.uniform(0, 6.3), (0, 0, dice.gauss(0, 1)))
        person(walking, dice, dice.uniform(1.1, 1.95))
    if dice.random() < 0.6:
        for _ in range(dice.randint(1, 4)):
            x, z = side * (half + dice.uniform(0.5, wide + 2)), dice.uniform(4, 60)
            tree(b.place(x, 0, z), dice, dice.uniform(3, 12))
    if dice.random() < 0.6:
        z = dice.uniform(1, 8)
        for _ in range(dice.randint(1, 6)):
            car(b.place(side * (half - 1.1), 0, z, dice.choice([0, math.pi]) + dice.gauss(0, 0.03)), dice)
            z += dice.uniform(5, 14)


def _traffic(b: Builder, dice: Random, half: Number) -> None:
    """Cars driving and people crossing a road of half width `half`."""
    for _ in range(dice.randint(0, 4)):
        x, z, way = dice.uniform(-half * 0.6, half * 0.6), dice.uniform(6, 60), dice.choice([-1, 1])
        car(b.place(x, 0, z, 0 if way > 0 else math.pi, (0, 0, way * dice.uniform(3, 12))), dice)
    for _ in range(dice.choice([0, 0, 1, 2])):
        x, z = dice.uniform(-half, half), dice.uniform(2.5, 20)
        person(b.place(x, 0, z, dice.uniform(0, 6), (dice.gauss(0, 1), 0, 0)), dice)


def landscape(dice: Random) -> Layout:
    """Hills, water, trees, rocks, paths and far houses."""
    lights, air = daylight(dice)
    b = Builder()
    land = dice.choice(["grass", "grass", "grass", "earth", "sand", "snow", "water", "road"])
    b.add("plane", (0, 0, 0), (1, 1, 1), ground(dice, land))
    _hills(b, dice, land)
    if dice.random() < 0.4:
        wide = dice.uniform(0.5, 2.5)
        path = cover(dice, "gravel tiles noise brick", 1, hsv(0.09, 0.25, dice.uniform(0.3, 0.8)))
        b.add("box", (dice.uniform(-3, 3), -0.01, 50), (wide, 0.012, 60), path, turn(dice.gauss(0, 0.15)))
    for _ in range(dice.choice([0, 2, 5, dice.randint(3, 18)])):
        z = math.exp(dice.uniform(math.log(5), math.log(120)))
        tree(b.place(dice.gauss(0, 0.6) * z, 0, z), dice, dice.uniform(3, 16))
    for _ in range(dice.randint(2, 12)):
        z = math.exp(dice.uniform(math.log(1.5), math.log(50)))
        place = b.place(dice.gauss(0, 0.5) * z, 0, z, dice.uniform(0, 6.3))
        kind = dice.choice(["bush", "bush", "rock", "rock", "animal", "person", "pole", "building", "fence"])
        COUNTRYSIDE["rock" if kind == "building" and z <= 12 else kind](place, dice)
    height = math.exp(dice.uniform(math.log(0.8), math.log(6)))
    yaw, pitch = dice.gauss(0, 0.2), dice.gauss(-0.03, 0.1)
    return Layout(b, lights, air, (0.0, -height, 0.0), yaw, pitch, dice.uniform(0.3, 0.8), 80)


def _hills(b: Builder, dice: Random, land: str) -> None:
    """Mountains far off and mounds nearer by."""
    for _ in range(dice.randint(0, 6)):
        z = dice.uniform(60, 900)
        high = z * dice.uniform(0.03, 0.35)
        wide = high * dice.uniform(2, 7)
        look = ground(dice, dice.choice(["grass", "earth", "snow", "grass"]))
        hill = replace(look, scale=dice.uniform(4, 20) / wide, contrast=1.3, grain=0.8, gloss=0.0)
        at = (dice.gauss(0, 0.6) * z, 0.1 * high, z + wide)
        b.add("ellipsoid", at, (wide, high, wide * dice.uniform(0.5, 1)), hill)
    for _ in range(dice.randint(0, 4)):
        z = dice.uniform(6, 60)
        wide, high = z * dice.uniform(0.2, 1.0), z * dice.uniform(0.02, 0.12)
        look = ground(dice, dice.choice(["grass", "earth", land]))
        b.add("ellipsoid", (dice.gauss(0, 0.7) * z, 0.2 * high, z + wide), (wide, high, wide), look)


COUNTRYSIDE: dict[str, Callable[[Builder, Random], None]] = {
    "bush": lambda b, dice: bush(b, dice, dice.uniform(0.3, 2.2)),
    "rock": lambda b, dice: rock(b, dice, dice.uniform(0.3, 2.2)),
    "animal": lambda b, dice: animal(b, dice, dice.uniform(0.6, 1.8)),
    "person": lambda b, dice: person(b, dice, dice.uniform(0.6, 1.8)),
    "pole": pole,
    "building": lambda b, dice: building(b, dice, dice.uniform(4, 9), dice.uniform(4, 9), dice.uniform(2.5, 6)),
    "fence": lambda b, dice: fence(b, dice, dice.uniform(5, 25)),
}


def grounds(b: Builder, dice: Random, clear: Number) -> None:
    """An outdoor background further than `clear` metres."""
    look = ground(dice, dice.choice(["grass", "grass", "paving", "earth", "sand", "snow"]))
    b.add("plane", (0, 0, 0), (1, 1, 1), look)
    for _ in range(dice.randint(3, 12)):
        z = clear * math.exp(dice.uniform(0, 2))
        x = dice.gauss(0, 0.7) * z
        kind = dice.choice(["tree", "tree", "bush", "bush", "building", "person", "rock", "pole", "car", "fence"])
        place = b.place(x, 0, z, dice.uniform(0, 6.3))
        if kind == "building":
            building(b.place(x, 0, z + 8), dice, dice.uniform(5, 18), 8, dice.uniform(3, 16))
        elif kind == "fence":
            fence(b.place(-12, 0, z, math.pi / 2), dice, 24)
        else:
            BACKGROUND[kind](place, dice)


def _grown(kind: str) -> Callable[[Builder, Random], None]:
    """A tree, bush or rock of a size that suits a background."""

    def make(b: Builder, dice: Random) -> None:
        # All sizes are drawn whichever is used: one draw less would change what every seed gives.
        size = {"tree": dice.uniform(3, 11), "bush": dice.uniform(0.5, 2.5), "rock": dice.uniform(0.4, 2)}[kind]
        {"tree": tree, "bush": bush, "rock": rock}[kind](b, dice, size)

    return make


BACKGROUND: dict[str, Callable[[Builder, Random], None]] = {
    "tree": _grown("tree"),
    "bush": _grown("bush"),
    "rock": _grown("rock"),
    "person": lambda b, dice: person(b, dice, dice.uniform(1.2, 1.9)),
    "pole": pole,
    "car": car,
}
