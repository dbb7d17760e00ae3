"""Places under a roof: a room's shell, what hangs on its walls, what stands in it."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from cyclopean.synthetic.furniture import bed, cabinet, chair, lamp, rug, shelf, sofa, table, trinket
from cyclopean.synthetic.materials import cover, hsv
from cyclopean.synthetic.objects import person, plant
from cyclopean.synthetic.scene import Atmosphere, Builder, Layout, Light, Material, Number, Triple


def room(rng: Random) -> Layout:
    """Lay out a room: furniture, clutter, pictures, lamps; seen from a wall or a corner towards the middle."""
    b = Builder()
    w, d, h = rng.uniform(2.6, 9), rng.uniform(2.6, 11), rng.uniform(2.2, 3.6)
    lights, air = shell(b, rng, (w, d, h))
    furnish(b, rng, w, d, rng.randint(6, 18))
    position = (rng.uniform(-0.35, 0.35) * w, -rng.uniform(0.6, 1.8), -d / 2 + rng.uniform(0.3, 1.2))
    if rng.random() < 0.3:
        position = (rng.uniform(-0.3, 0.3) * w, position[1], rng.uniform(-0.3, 0.2) * d)
    yaw = math.atan2(-position[0], d * 0.3 - position[2]) + rng.gauss(0, 0.35)
    pitch = rng.gauss(-0.18, 0.18) if position[1] < -1 else rng.gauss(0, 0.12)
    return Layout(b, lights, air, position, yaw, pitch, rng.uniform(0.06, 0.16), 20, (w / 2, d / 2))


def shell(b: Builder, rng: Random, size: Triple) -> tuple[tuple[Light, ...], Atmosphere]:
    """Build floor, ceiling, walls and what is on them of a room width x depth x height centred on the origin; return
    its lamps.
    """
    w, d, h = size
    colour = hsv(0.08, rng.uniform(0, 0.6), rng.uniform(0.2, 0.85))
    floor = cover(rng, "wood tiles tiles noise checker noise plain", 1, colour, rng.choice([0, 0, 0.15]))
    ceiling = cover(rng, "plain plain noise tiles", 2, hsv(0.1, 0.06, rng.uniform(0.6, 0.97)))
    b.add("plane", (0, 0, 0), (1, 1, 1), floor)
    b.add("box", (0, -h - 0.05, 0), (w, 0.05, d), ceiling)
    colour = hsv(rng.random(), rng.uniform(0, 0.35), rng.uniform(0.35, 0.97))
    wall = cover(rng, "plain plain plain noise noise stripes brick poster tiles wood picture", 1.5, colour)
    sides = ((0, d / 2, w), (math.pi / 2, w / 2, d), (math.pi, d / 2, w), (-math.pi / 2, w / 2, d))
    for angle, distance, width in sides:
        material = wall if rng.random() < 0.8 else cover(rng, "plain noise brick wood picture", 1.5)
        face = b.place(0, 0, 0, angle).place(0, 0, distance)  # its z looks out of the room
        face.add("box", (0, -h / 2, 0.1), (width / 2 + 0.2, h / 2, 0.1), material)
        face.add("box", (0, -0.05, -0.01), (width / 2, 0.05, 0.015), cover(rng, "plain wood", 1))  # a skirting board
        for _ in range(rng.choice([0, 1, 1, 2, 3])):
            x, kind = rng.uniform(-width, width) * 0.4, rng.choice(["picture", "picture", "door", "window", "curtain"])
            HANGINGS[kind](face, rng, Spot(x, rng.uniform(0.2, 0.6), h))
    lamps = _lamps(rng, size)
    white = rng.uniform(0.6, 1.0)
    return lamps, Atmosphere((white,) * 3, (white,) * 3, rng.uniform(0.2, 0.7), (0.5, 0.45, 0.4), 0, 0, 0)


def _lamps(rng: Random, size: Triple) -> tuple[Light, ...]:
    w, d, h = size
    n = rng.choice([1, 1, 2, 3])
    power = rng.uniform(1.2, 3.0) / n
    hue = rng.uniform(0, 0.3)
    colour = (power, power * (1 - 0.3 * hue), power * (1 - hue))
    lamps = []
    for _ in range(n):
        at = (rng.uniform(-w, w) * 0.35, -h * rng.uniform(0.7, 0.96), rng.uniform(-d, d) * 0.35)
        lamps.append(Light(at, colour, rng.uniform(2, 6)))
    return tuple(lamps)


@dataclass(frozen=True)
class Spot:
    """A place on a wall: `x` along it, half the `size` of what goes there, the wall's `height`; metres."""

    x: Number
    size: Number
    height: Number


def _picture(face: Builder, rng: Random, at: Spot) -> None:
    y, aspect, s = -rng.uniform(1.2, 1.9), rng.uniform(0.6, 1.6), at.size
    face.add("box", (at.x, y, -0.015), (s * aspect + 0.03, s + 0.03, 0.015), cover(rng, "wood plain", 0.3))
    picture = cover(rng, "poster picture picture noise leaves", s * 2)
    face.add("box", (at.x, y, -0.02), (s * aspect, s, 0.018), picture)


def _door(face: Builder, rng: Random, at: Spot) -> None:
    face.add("box", (at.x, -1.0, -0.01), (0.45, 1.0, 0.03), cover(rng, "wood plain", 0.8))
    face.add("ellipsoid", (at.x + 0.36, -1.0, -0.06), (0.03, 0.03, 0.03), cover(rng, "plain", 0.1, gloss=0.5))


def _window(face: Builder, rng: Random, at: Spot) -> None:
    """Add a window: bright, with something green behind it."""
    x, s = at.x, at.size
    sky, glow = hsv(0.58, rng.uniform(0, 0.4), 1.0), rng.uniform(0.5, 4)
    green = hsv(0.3, 0.3, 0.7)
    glass = Material("noise", sky, green, sky, 1.2, 0.8, 0.1, 0.3, glow, seed=rng.randrange(999))
    frame = cover(rng, "plain wood", 0.5, hsv(0.1, 0.1, 0.9))
    face.add("box", (x, -1.5, -0.005), (s + 0.15, s + 0.25, 0.01), glass)
    for q in (-1, 0, 1):
        face.add("box", (x + q * (s + 0.15), -1.5, -0.02), (0.03, s + 0.28, 0.03), frame)
    for q in (-1, 1):
        face.add("box", (x, -1.5 + q * (s + 0.25), -0.02), (s + 0.18, 0.03, 0.04), frame)


def _curtain(face: Builder, rng: Random, at: Spot) -> None:
    cloth = cover(rng, "stripes noise plain", 0.5)
    for k in range(5):
        face.add("cylinder", (at.x + 0.12 * k, -at.height * 0.5, -0.1), (0.07, at.height * 0.47, 0.06), cloth)


HANGINGS: dict[str, Callable[[Builder, Random, Spot], None]] = {
    "picture": _picture,
    "door": _door,
    "window": _window,
    "curtain": _curtain,
}


def furnish(b: Builder, rng: Random, w: Number, d: Number, count: int) -> None:
    """Place `count` pieces along the walls and in the middle of w x d metres, clutter on them."""
    for _ in range(count):
        kind, wall, along = rng.choice(PIECES.split()), rng.randrange(4), rng.uniform(-0.45, 0.45)
        x, z, angle = (
            (along * w, d / 2 - 0.35, 0),
            (w / 2 - 0.35, along * d, math.pi / 2),
            (along * w, 0.35 - d / 2, math.pi),
            (0.35 - w / 2, along * d, -math.pi / 2),
        )[wall]
        if kind in FREE and rng.random() < 0.7:
            x, z, angle = rng.uniform(-0.45, 0.45) * w, rng.uniform(-0.45, 0.45) * d, rng.uniform(0, 6.3)
        # Pieces turn their backs to the wall; a rug has none.
        FURNITURE[kind](b.place(x, 0, z, angle if kind == "rug" else angle + math.pi), rng)


def _laid_table(b: Builder, rng: Random) -> None:
    width, depth, height = rng.uniform(0.5, 2), rng.uniform(0.4, 1), rng.uniform(0.4, 0.78)
    table(b, rng, width, depth, height)
    for _ in range(rng.randint(0, 4)):
        x, z = rng.uniform(-0.4, 0.4) * width, rng.uniform(-0.35, 0.35) * depth
        trinket(b.place(x, -height, z, rng.uniform(0, 6)), rng, rng.uniform(0.1, 0.35))


PIECES = "table table chair chair sofa bed shelf shelf cabinet cabinet plant lamp box box person rug"
FREE = ("table", "chair", "plant", "lamp", "box", "person", "rug")  # may stand away from the walls
FURNITURE: dict[str, Callable[[Builder, Random], None]] = {
    "table": _laid_table,
    "chair": chair,
    "sofa": sofa,
    "bed": bed,
    "shelf": shelf,
    "cabinet": cabinet,
    "plant": lambda b, rng: plant(b, rng, rng.uniform(0.4, 1.8)),
    "lamp": lambda b, rng: lamp(b, rng, rng.uniform(1.2, 1.8)),
    "box": lambda b, rng: trinket(b, rng, rng.uniform(0.2, 1.0)),
    "person": lambda b, rng: person(b, rng, rng.uniform(1.1, 1.9)),
    "rug": rug,
}
