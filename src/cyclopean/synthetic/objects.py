"""Things made of primitives, each at its own origin on the ground (y = 0, up is negative y), sizes in metres.

`one_object` gives all primitives of a thing one identity; without it they belong to the ground.
"""

import math
from random import Random

from cyclopean.synthetic.materials import ANY, cover, foliage, hsv, near, paint
from cyclopean.synthetic.scene import Builder, Material, Number, Triple, one_object, turn


@one_object
def tree(b: Builder, rng: Random, height: Number) -> None:
    bark = cover(rng, "wood noise gravel", 0.5, hsv(0.08, rng.uniform(0.1, 0.5), rng.uniform(0.15, 0.5)))
    thick = height * rng.uniform(0.015, 0.04)
    crown = rng.uniform(0.25, 0.7) * height
    b.add("cylinder", (0, -height * 0.35, 0), (thick, height * 0.35, thick), bark)
    green = foliage(rng, crown)
    if rng.random() < 0.25:
        for k in range(rng.randint(1, 3)):
            wide = crown * (0.55 - 0.12 * k)
            y = -height * (0.45 + 0.22 * k)
            b.add("cone", (0, y, 0), (wide, height * 0.25, wide), green)
        return
    for _ in range(rng.randint(2, 6)):
        r = crown * rng.uniform(0.22, 0.5)
        x, z = rng.gauss(0, crown * 0.25), rng.gauss(0, crown * 0.25)
        b.add("ellipsoid", (x, -height + crown * rng.uniform(0.1, 0.8), z), (r, r * rng.uniform(0.6, 1), r), green)
    for _ in range(rng.randint(0, 3)):
        tilt = turn(rng.uniform(0, 6.3), 0, rng.uniform(0.4, 1.0))
        b.add("cylinder", (0, -height * 0.6, 0), (thick * 0.4, crown * 0.4, thick * 0.4), bark, tilt)


@one_object
def bush(b: Builder, rng: Random, size: Number) -> None:
    green = foliage(rng, size)
    for _ in range(rng.randint(1, 4)):
        r = size * rng.uniform(0.3, 0.6)
        b.add("ellipsoid", (rng.gauss(0, size * 0.3), -r * 0.7, rng.gauss(0, size * 0.3)), (r, r * 0.9, r), green)


@one_object
def plant(b: Builder, rng: Random, height: Number) -> None:
    """Add leaves in a pot."""
    pot = cover(rng, "plain noise stripes tiles", height)
    r = height * rng.uniform(0.12, 0.22)
    b.add(rng.choice(["cylinder", "box"]), (0, -height * 0.15, 0), (r, height * 0.15, r), pot)
    green = foliage(rng, height)
    for _ in range(rng.randint(2, 6)):
        q = height * rng.uniform(0.1, 0.28)
        at = (rng.gauss(0, height * 0.13), -height * rng.uniform(0.4, 0.95), rng.gauss(0, height * 0.13))
        half = (q * rng.uniform(0.3, 1), q, q * rng.uniform(0.3, 1))
        b.add("ellipsoid", at, half, green, turn(rng.uniform(0, 6), rng.uniform(-1, 1)))


@one_object
def rock(b: Builder, rng: Random, size: Number) -> None:
    grey = cover(rng, "gravel noise", size, hsv(0.08, rng.uniform(0, 0.25), rng.uniform(0.2, 0.7)))
    for _ in range(rng.randint(1, 3)):
        half = (size * rng.uniform(0.3, 0.6), size * rng.uniform(0.3, 0.6), size * rng.uniform(0.3, 0.6))
        tilt = turn(rng.uniform(0, 6.3), rng.uniform(-0.4, 0.4), rng.uniform(-0.4, 0.4))
        shape = rng.choice(["ellipsoid", "ellipsoid", "box"])
        b.add(shape, (rng.gauss(0, size * 0.3), -half[1] * 0.6, rng.gauss(0, size * 0.3)), half, grey, tilt)


@one_object
def car(b: Builder, rng: Random) -> None:
    """Add a car, van or lorry along z."""
    a = paint(rng, 0.4)
    body = Material("plain", a, near(rng, a, 0.1), a, 2, 0.4, 0.08, rng.uniform(0.1, 0.5), seed=rng.randrange(999))
    lamp = Material("plain", (0.9, 0.85, 0.7), (0.9, 0.2, 0.15), (1, 1, 1), 2, glow=rng.uniform(0, 1.5))
    kind = rng.choice(["car", "car", "car", "van", "lorry"])
    length = {"car": rng.uniform(1.8, 2.4), "van": rng.uniform(2.2, 2.8), "lorry": rng.uniform(3, 5)}[kind]
    tall = {"car": rng.uniform(0.6, 0.75), "van": 0.8, "lorry": 0.6}[kind]
    width = rng.uniform(0.8, 0.95) * (1.3 if kind == "lorry" else 1)
    b.add("box", (0, -0.3 - tall / 2, 0), (width, tall / 2, length), body)
    if kind == "lorry":
        load = cover(rng, "plain poster picture stripes noise", 4)
        b.add("box", (0, -2.3, -0.4), (width * 1.05, 1.4, length * 0.8), load)
        b.add("box", (0, -1.6, length * 0.8), (width, 0.8, length * 0.18), body)
    else:
        cabin = tall + (rng.uniform(0.5, 0.65) if kind == "car" else rng.uniform(0.9, 1.2))
        back = -length * rng.uniform(0.05, 0.3)
        glass = Material("plain", (0.05, 0.06, 0.08), (0.1, 0.12, 0.15), (0, 0, 0), 2, 0.5, 0.05, 0.6)
        b.add("box", (0, -0.3 - (tall + cabin) / 2, back), (width * 0.86, (cabin - tall) / 2, length * 0.55), glass)
        b.add("box", (0, -0.3 - cabin, back), (width * 0.84, 0.04, length * 0.5), body)
    _wheels(b, (width, tall, length), lamp)


def _wheels(b: Builder, size: Triple, lamp: Material) -> None:
    """Add wheels, and lamps at both ends, of a car of half width, height and half length `size`."""
    width, tall, length = size
    dark = Material("noise", (0.05, 0.05, 0.05), (0.12, 0.12, 0.12), (0, 0, 0), 8)
    across = turn(0, 0, math.pi / 2)
    for x in (-1, 1):
        for z in (-0.62, 0.62):
            b.add("cylinder", (x * width * 0.93, -0.33, z * length), (0.33, 0.12, 0.33), dark, across)
        for z in (-1, 1):
            b.add("box", (x * width * 0.75, -0.3 - tall * 0.7, z * length), (0.16, 0.08, 0.03), lamp)


@one_object
def person(b: Builder, rng: Random, height: Number = 1.75) -> None:
    """Add a person, standing, facing z."""
    s = height / 1.75
    skin = Material("plain", *(hsv(0.06, rng.uniform(0.25, 0.6), rng.uniform(0.3, 0.95)),) * 3, 8, 0.4, 0.1)
    hair = cover(rng, "noise stripes", 0.2, hsv(0.08, 0.5, rng.uniform(0.03, 0.6)))
    top = cover(rng, "plain noise stripes checker poster picture", 0.8)
    legs = cover(rng, "plain noise", 0.8, paint(rng, 0.2))
    stride, wide = rng.uniform(0, 0.35), rng.uniform(0.85, 1.15)
    b.add("ellipsoid", (0, -1.62 * s, 0), (0.085 * s, 0.125 * s, 0.1 * s), skin)
    b.add("ellipsoid", (0, -1.66 * s, 0.025 * s * rng.choice([-1, 1])), (0.095 * s, 0.11 * s, 0.1 * s), hair)
    b.add("cylinder", (0, -1.47 * s, 0), (0.055 * s, 0.06 * s, 0.055 * s), skin)
    b.add("ellipsoid", (0, -1.2 * s, 0), (0.22 * s * wide, 0.28 * s, 0.14 * s * wide), top)
    hips = top if rng.random() < 0.6 else legs
    b.add("ellipsoid", (0, -0.98 * s, 0), (0.18 * s * wide, 0.17 * s, 0.13 * s * wide), hips)
    for side in (-1, 1):
        step, swing = turn(0, side * stride), turn(0, -side * stride, side * rng.uniform(0.05, 0.3))
        b.add(
            "cylinder", (side * 0.09 * s, -0.47 * s, side * stride * 0.3), (0.075 * s, 0.45 * s, 0.08 * s), legs, step
        )
        b.add("cylinder", (side * 0.26 * s * wide, -1.15 * s, 0), (0.05 * s, 0.29 * s, 0.05 * s), top, swing)
        b.add("ellipsoid", (side * 0.29 * s * wide, -0.84 * s, 0), (0.045 * s, 0.08 * s, 0.05 * s), skin)


@one_object
def animal(b: Builder, rng: Random, size: Number) -> None:
    """Add an animal: four legs, two ears, facing z."""
    fur = cover(rng, "noise noise stripes gravel", size, hsv(0.08, rng.uniform(0, 0.6), rng.uniform(0.1, 0.9)))
    b.add("ellipsoid", (0, -size * 0.6, 0), (size * 0.22, size * 0.25, size * 0.5), fur)
    b.add("ellipsoid", (0, -size * 0.9, size * 0.5), (size * 0.16, size * 0.17, size * 0.2), fur)
    leg = (size * 0.05, size * 0.23, size * 0.06)
    for x in (-1, 1):
        b.add("cone", (x * size * 0.09, -size * 1.08, size * 0.48), (size * 0.05, size * 0.08, size * 0.03), fur)
        for z in (-1, 1):
            b.add("cylinder", (x * size * 0.12, -size * 0.22, z * size * 0.32), leg, fur)


@one_object
def building(b: Builder, rng: Random, width: Number, depth: Number, height: Number) -> None:
    """Add a building centred on its footprint; facade towards every side."""
    wall = cover(rng, "windows windows windows windows brick noise " + ANY, 2, paint(rng, 0.25))
    pane = hsv(0.6, rng.uniform(0, 0.4), rng.uniform(0.05, 0.5))
    scale, strength = rng.uniform(0.25, 0.6), wall.contrast * 0.5
    facade = Material("windows", wall.a, wall.b, pane, scale, strength, wall.grain, 0.05, seed=wall.seed)
    b.add("box", (0, -height / 2, 0), (width / 2, height / 2, depth / 2), facade if rng.random() < 0.6 else wall)
    roof = cover(rng, "tiles noise plain stripes", 3, paint(rng, 0.3))
    if rng.random() < 0.35:
        b.add("box", (0, -height - 0.2, 0), (width / 2 + 0.3, 0.25, depth / 2 + 0.3), roof)
    elif rng.random() < 0.6 and height < 9:
        rise = rng.uniform(0.3, 0.8)
        half = width / 2 / math.sqrt(2) * 1.05
        b.add("box", (0, -height, 0), (half, half, depth / 2 + 0.3), roof, turn(0, 0, math.pi / 4))
        b.add("box", (width * 0.2, -height - width * rise * 0.5, 0), (0.3, width * 0.2, 0.3), wall)
    if rng.random() < 0.5:
        shop = cover(rng, "poster plain stripes picture", 2)
        b.add("box", (0, -3.1, 0), (width / 2 + 0.15, 0.35, depth / 2 + 0.15), shop)
    for _ in range(rng.randint(0, 3)):
        y = rng.uniform(3, max(3.5, height))
        b.add("box", (0, -y, 0), (width / 2 * rng.uniform(0.2, 1.02), 0.12, depth / 2 + rng.uniform(0.1, 0.9)), roof)


# Shortest and tallest, metres.
POLES = {"lamp": (4, 9), "sign": (2, 3), "light": (2.8, 4), "bollard": (0.6, 1.1), "board": (2, 5)}


@one_object
def pole(b: Builder, rng: Random) -> None:
    """Add a lamp post, a sign, a traffic light, a bollard or a board."""
    metal = cover(rng, "plain noise", 1, hsv(0.6, 0.1, rng.uniform(0.1, 0.7)), 0.2)
    kind = rng.choice(list(POLES))
    height = {name: rng.uniform(*span) for name, span in POLES.items()}[kind]
    r = rng.uniform(0.03, 0.1)
    b.add("cylinder", (0, -height / 2, 0), (r, height / 2, r), metal)
    if kind == "lamp":
        b.add("box", (rng.choice([-1, 1]) * 0.6, -height, 0), (0.7, 0.06, 0.1), metal)
    elif kind == "sign":
        face = cover(rng, "plain poster stripes", 0.5, paint(rng, 0.9))
        if rng.random() < 0.5:
            b.add("cylinder", (0, -height, -0.06), (0.35, 0.02, 0.35), face, turn(0, math.pi / 2))
        else:
            b.add("box", (0, -height, -0.06), (0.35, 0.35, 0.02), face)
    elif kind == "light":
        b.add("box", (0, -height, 0), (0.15, 0.4, 0.13), metal)
    elif kind == "board":
        w = rng.uniform(0.5, 2)
        b.add("box", (0, -height, 0), (w, w * rng.uniform(0.3, 1), 0.06), cover(rng, "poster picture stripes", w))


@one_object
def fence(b: Builder, rng: Random, length: Number) -> None:
    """Add a fence along z, from 0 to `length`."""
    tall = rng.uniform(0.6, 1.9)
    material = cover(rng, "wood plain brick noise stripes", 1, paint(rng, 0.2))
    if rng.random() < 0.45:
        b.add("box", (0, -tall / 2, length / 2), (0.1, tall / 2, length / 2), material)
        return
    step = max(rng.uniform(0.5, 2.5), length / 14)
    for k in range(int(length / step) + 1):
        b.add("box", (0, -tall / 2, k * step), (0.05, tall / 2, 0.05), material)
    for y in (0.35, 0.9):
        b.add("box", (0, -tall * y, length / 2), (0.025, 0.05, length / 2), material)
