"""Places under the sky: daylight, a street, a landscape, and grounds to stand before."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

from cyclopean.synthetic.materials import cover, ground, hsv
from cyclopean.synthetic.objects import animal, building, bush, car, fence, person, pole, rock, tree
from cyclopean.synthetic.scene import Atmosphere, Builder, Layout, Light, Number, turn


def daylight(rng: Random) -> tuple[tuple[Light, ...], Atmosphere]:
    """Draw sun, sky and haze of some hour and weather."""
    overcast = rng.random() < 0.35
    height = rng.uniform(0.12, 1.2)
    azimuth = rng.uniform(0, 2 * math.pi)
    direction = (math.cos(height) * math.sin(azimuth), -math.sin(height), math.cos(height) * math.cos(azimuth))
    warm = max(0.0, 0.5 - height)
    sun = rng.uniform(0.05, 0.3) if overcast else rng.uniform(0.9, 2.2)
    colour = (sun, sun * (1 - 0.5 * warm), sun * (1 - 1.1 * warm))
    hue, grey = rng.uniform(0.55, 0.62), rng.uniform(0.05, 0.25) if overcast else rng.uniform(0.3, 0.8)
    blue = hsv(hue, grey, rng.uniform(0.5, 1))
    dusk = rng.choice([0.58, 0.1, 0.07]) if warm > 0.2 else 0.58
    air = Atmosphere(
        zenith=blue,
        horizon=hsv(dusk, rng.uniform(0, 0.35), rng.uniform(0.7, 1.0)),
        ambient=rng.uniform(0.35, 0.8) + 0.4 * overcast,
        bounce=(0.25, 0.23, 0.2),
        clouds=rng.uniform(0, 0.95),
        haze=math.exp(rng.uniform(math.log(0.0003), math.log(0.012))),
        seed=rng.randrange(99999),
    )
    return (Light(direction, colour),), air


@dataclass(frozen=True)
class Road:
    """Half its width, the width of the pavements, the curb's height, all in metres; 0..1: how uneven the rows stand."""

    half: Number
    walk: Number
    curb: Number
    spread: Number


def street(rng: Random) -> Layout:
    """Lay out a road between rows of buildings, trees, parked and moving cars, people, poles."""
    lights, air = daylight(rng)
    b = Builder()
    half, walk = rng.uniform(2.8, 8), rng.uniform(1.2, 4)
    built_up(b, rng, half, walk)
    for _ in range(rng.randint(0, 4)):
        x, z, way = rng.uniform(-half * 0.6, half * 0.6), rng.uniform(6, 60), rng.choice([-1, 1])
        car(b.place(x, 0, z, 0 if way > 0 else math.pi, (0, 0, way * rng.uniform(3, 12))), rng)
    for _ in range(rng.choice([0, 0, 1, 2])):
        x, z = rng.uniform(-half, half), rng.uniform(2.5, 20)
        person(b.place(x, 0, z, rng.uniform(0, 6), (rng.gauss(0, 1), 0, 0)), rng)
    road_end(b, rng)
    x = rng.uniform(-half - walk, half + walk) * 0.8
    y = -rng.choice([rng.uniform(1.1, 2.2), rng.uniform(0.5, 4)])
    yaw = rng.gauss(0, 0.15) if rng.random() < 0.7 else rng.uniform(-1.2, 1.2)
    return Layout(b, lights, air, (x, y, 0), yaw, rng.gauss(-0.02, 0.08), rng.uniform(0.3, 0.7), 80, road=half)


def built_up(b: Builder, rng: Random, half: Number, walk: Number) -> None:
    """Add a road of half width `half` along z; on both sides pavements, buildings, parked cars, what stands there."""
    b.add("plane", (0, 0, 0), (1, 1, 1), ground(rng, "road"))
    road = Road(half, walk, rng.uniform(0.06, 0.18), rng.random())
    for side in (-1, 1):
        material = ground(rng, rng.choice(["paving", "paving", "grass", "earth"]))
        wide = (road.walk + 20, road.curb / 2, 110)
        b.add("box", (side * (road.half + road.walk + 20), -road.curb / 2, 60), wide, material)
        _row(b, rng, side, road)
        _roadside(b, rng, side, road)


def road_end(b: Builder, rng: Random) -> None:
    """Add a building where a road ends, or none."""
    if rng.random() < 0.4:
        wide = rng.uniform(10, 40)
        building(b.place(rng.uniform(-10, 10), 0, rng.uniform(45, 110)), rng, wide, 10, rng.uniform(6, 25))


def _row(b: Builder, rng: Random, side: int, road: Road) -> None:
    """Add one side of a street: buildings with gaps, or trees, fences and lawns."""
    z = rng.uniform(-12, 2)
    tall = rng.uniform(3.5, 22)
    green = rng.random() < 0.25
    edge = road.half + 2 * road.walk
    while z < 95:
        length = rng.uniform(5, 22)
        setback = rng.uniform(0, 6) * road.spread
        if not green and rng.random() < 0.85:
            deep = rng.uniform(6, 14)
            height = tall * rng.uniform(0.6, 1.4)
            way = math.pi / 2 * rng.choice([0, 0, 2])
            building(b.place(side * (edge + setback + deep / 2), 0, z + length / 2, way), rng, deep, length, height)
        elif rng.random() < 0.5:
            fence(b.place(side * (edge + setback * 0.3), 0, z), rng, length)
            tree(b.place(side * (edge + 4), 0, z + length / 2), rng, rng.uniform(4, 13))
        else:
            tree(b.place(side * (edge + setback), 0, z + length / 2), rng, rng.uniform(4, 14))
            bush(b.place(side * (edge + 0.5), 0, z + length / 3), rng, rng.uniform(0.6, 2.2))
        z += length + (rng.uniform(0, 6) if rng.random() < 0.5 else 0)


def _roadside(b: Builder, rng: Random, side: int, road: Road) -> None:
    """Add what stands and walks on the pavement, and cars parked along it."""
    half, wide = road.half, 2 * road.walk
    for _ in range(rng.randint(1, 6)):
        x, z = side * (half + rng.uniform(0.3, wide)), rng.uniform(2, 50)
        pole(b.place(x, -road.curb, z, rng.choice([0, math.pi])), rng)
    for _ in range(rng.randint(0, 5)):
        x, z = side * (half + rng.uniform(0.3, wide)), rng.uniform(2.5, 30)
        walking = b.place(x, -road.curb, z, rng.uniform(0, 6.3), (0, 0, rng.gauss(0, 1)))
        person(walking, rng, rng.uniform(1.1, 1.95))
    if rng.random() < 0.6:
        for _ in range(rng.randint(1, 4)):
            x, z = side * (half + rng.uniform(0.5, wide + 2)), rng.uniform(4, 60)
            tree(b.place(x, 0, z), rng, rng.uniform(3, 12))
    if rng.random() < 0.6:
        z = rng.uniform(1, 8)
        for _ in range(rng.randint(1, 6)):
            car(b.place(side * (half - 1.1), 0, z, rng.choice([0, math.pi]) + rng.gauss(0, 0.03)), rng)
            z += rng.uniform(5, 14)


def landscape(rng: Random) -> Layout:
    """Lay out hills, water, trees, rocks, paths and far houses."""
    lights, air = daylight(rng)
    b = Builder()
    land = rng.choice(["grass", "grass", "grass", "earth", "sand", "snow", "water", "road"])
    b.add("plane", (0, 0, 0), (1, 1, 1), ground(rng, land))
    _hills(b, rng, land)
    if rng.random() < 0.4:
        wide = rng.uniform(0.5, 2.5)
        path = cover(rng, "gravel tiles noise brick", 1, hsv(0.09, 0.25, rng.uniform(0.3, 0.8)))
        b.add("box", (rng.uniform(-3, 3), -0.01, 50), (wide, 0.012, 60), path, turn(rng.gauss(0, 0.15)))
    for _ in range(rng.choice([0, 2, 5, rng.randint(3, 18)])):
        z = math.exp(rng.uniform(math.log(5), math.log(120)))
        tree(b.place(rng.gauss(0, 0.6) * z, 0, z), rng, rng.uniform(3, 16))
    for _ in range(rng.randint(2, 12)):
        z = math.exp(rng.uniform(math.log(1.5), math.log(50)))
        place = b.place(rng.gauss(0, 0.5) * z, 0, z, rng.uniform(0, 6.3))
        kind = rng.choice(["bush", "bush", "rock", "rock", "animal", "person", "pole", "building", "fence"])
        COUNTRYSIDE["rock" if kind == "building" and z <= 12 else kind](place, rng)
    height = math.exp(rng.uniform(math.log(0.8), math.log(6)))
    yaw, pitch = rng.gauss(0, 0.2), rng.gauss(-0.03, 0.1)
    return Layout(b, lights, air, (0.0, -height, 0.0), yaw, pitch, rng.uniform(0.3, 0.8), 80)


def _hills(b: Builder, rng: Random, land: str) -> None:
    """Add mountains far off and mounds nearer by."""
    for _ in range(rng.randint(0, 6)):
        z = rng.uniform(60, 900)
        high = z * rng.uniform(0.03, 0.35)
        wide = high * rng.uniform(2, 7)
        material = ground(rng, rng.choice(["grass", "earth", "snow", "grass"]))
        hill = replace(material, scale=rng.uniform(4, 20) / wide, contrast=1.3, grain=0.8, gloss=0.0)
        at = (rng.gauss(0, 0.6) * z, 0.1 * high, z + wide)
        b.add("ellipsoid", at, (wide, high, wide * rng.uniform(0.5, 1)), hill)
    for _ in range(rng.randint(0, 4)):
        z = rng.uniform(6, 60)
        wide, high = z * rng.uniform(0.2, 1.0), z * rng.uniform(0.02, 0.12)
        material = ground(rng, rng.choice(["grass", "earth", land]))
        b.add("ellipsoid", (rng.gauss(0, 0.7) * z, 0.2 * high, z + wide), (wide, high, wide), material)


COUNTRYSIDE: dict[str, Callable[[Builder, Random], None]] = {
    "bush": lambda b, rng: bush(b, rng, rng.uniform(0.3, 2.2)),
    "rock": lambda b, rng: rock(b, rng, rng.uniform(0.3, 2.2)),
    "animal": lambda b, rng: animal(b, rng, rng.uniform(0.6, 1.8)),
    "person": lambda b, rng: person(b, rng, rng.uniform(0.6, 1.8)),
    "pole": pole,
    "building": lambda b, rng: building(b, rng, rng.uniform(4, 9), rng.uniform(4, 9), rng.uniform(2.5, 6)),
    "fence": lambda b, rng: fence(b, rng, rng.uniform(5, 25)),
}


def grounds(b: Builder, rng: Random, clear: Number) -> None:
    """Add an outdoor background further than `clear` metres."""
    material = ground(rng, rng.choice(["grass", "grass", "paving", "earth", "sand", "snow"]))
    b.add("plane", (0, 0, 0), (1, 1, 1), material)
    for _ in range(rng.randint(3, 12)):
        z = clear * math.exp(rng.uniform(0, 2))
        x = rng.gauss(0, 0.7) * z
        kind = rng.choice(["tree", "tree", "bush", "bush", "building", "person", "rock", "pole", "car", "fence"])
        place = b.place(x, 0, z, rng.uniform(0, 6.3))
        if kind == "building":
            building(b.place(x, 0, z + 8), rng, rng.uniform(5, 18), 8, rng.uniform(3, 16))
        elif kind == "fence":
            fence(b.place(-12, 0, z, math.pi / 2), rng, 24)
        else:
            BACKGROUND[kind](place, rng)


def _grown(kind: str) -> Callable[[Builder, Random], None]:
    """Return a tree, bush or rock of a size that suits a background."""

    def make(b: Builder, rng: Random) -> None:
        # All sizes are drawn whichever is used: one draw less would change what every seed gives.
        size = {"tree": rng.uniform(3, 11), "bush": rng.uniform(0.5, 2.5), "rock": rng.uniform(0.4, 2)}[kind]
        {"tree": tree, "bush": bush, "rock": rock}[kind](b, rng, size)

    return make


BACKGROUND: dict[str, Callable[[Builder, Random], None]] = {
    "tree": _grown("tree"),
    "bush": _grown("bush"),
    "rock": _grown("rock"),
    "person": lambda b, rng: person(b, rng, rng.uniform(1.2, 1.9)),
    "pole": pole,
    "car": car,
}
