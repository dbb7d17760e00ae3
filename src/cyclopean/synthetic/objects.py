"""Things made of primitives, each at its own origin on the ground (y = 0, up is negative y), sizes in metres."""

import math
from random import Random

from cyclopean.synthetic.materials import ANY, cover, foliage, hsv, near, paint
from cyclopean.synthetic.scene import Builder, Material, Number, Triple, turn


def tree(b: Builder, dice: Random, height: Number) -> None:
    bark = cover(dice, "wood noise gravel", 0.5, hsv(0.08, dice.uniform(0.1, 0.5), dice.uniform(0.15, 0.5)))
    thick = height * dice.uniform(0.015, 0.04)
    crown = dice.uniform(0.25, 0.7) * height
    b.add("cylinder", (0, -height * 0.35, 0), (thick, height * 0.35, thick), bark)
    green = foliage(dice, crown)
    if dice.random() < 0.25:
        for k in range(dice.randint(1, 3)):
            wide = crown * (0.55 - 0.12 * k)
            y = -height * (0.45 + 0.22 * k)
            b.add("cone", (0, y, 0), (wide, height * 0.25, wide), green)
        return
    for _ in range(dice.randint(2, 6)):
        r = crown * dice.uniform(0.22, 0.5)
        x, z = dice.gauss(0, crown * 0.25), dice.gauss(0, crown * 0.25)
        b.add("ellipsoid", (x, -height + crown * dice.uniform(0.1, 0.8), z), (r, r * dice.uniform(0.6, 1), r), green)
    for _ in range(dice.randint(0, 3)):
        tilt = turn(dice.uniform(0, 6.3), 0, dice.uniform(0.4, 1.0))
        b.add("cylinder", (0, -height * 0.6, 0), (thick * 0.4, crown * 0.4, thick * 0.4), bark, tilt)


def bush(b: Builder, dice: Random, size: Number) -> None:
    green = foliage(dice, size)
    for _ in range(dice.randint(1, 4)):
        r = size * dice.uniform(0.3, 0.6)
        b.add("ellipsoid", (dice.gauss(0, size * 0.3), -r * 0.7, dice.gauss(0, size * 0.3)), (r, r * 0.9, r), green)


def plant(b: Builder, dice: Random, height: Number) -> None:
    """Leaves in a pot."""
    pot = cover(dice, "plain noise stripes tiles", height)
    r = height * dice.uniform(0.12, 0.22)
    b.add(dice.choice(["cylinder", "box"]), (0, -height * 0.15, 0), (r, height * 0.15, r), pot)
    green = foliage(dice, height)
    for _ in range(dice.randint(2, 6)):
        q = height * dice.uniform(0.1, 0.28)
        at = (dice.gauss(0, height * 0.13), -height * dice.uniform(0.4, 0.95), dice.gauss(0, height * 0.13))
        half = (q * dice.uniform(0.3, 1), q, q * dice.uniform(0.3, 1))
        b.add("ellipsoid", at, half, green, turn(dice.uniform(0, 6), dice.uniform(-1, 1)))


def rock(b: Builder, dice: Random, size: Number) -> None:
    grey = cover(dice, "gravel noise", size, hsv(0.08, dice.uniform(0, 0.25), dice.uniform(0.2, 0.7)))
    for _ in range(dice.randint(1, 3)):
        half = (size * dice.uniform(0.3, 0.6), size * dice.uniform(0.3, 0.6), size * dice.uniform(0.3, 0.6))
        tilt = turn(dice.uniform(0, 6.3), dice.uniform(-0.4, 0.4), dice.uniform(-0.4, 0.4))
        shape = dice.choice(["ellipsoid", "ellipsoid", "box"])
        b.add(shape, (dice.gauss(0, size * 0.3), -half[1] * 0.6, dice.gauss(0, size * 0.3)), half, grey, tilt)


def car(b: Builder, dice: Random) -> None:
    """A car, van or lorry along z."""
    a = paint(dice, 0.4)
    body = Material("plain", a, near(dice, a, 0.1), a, 2, 0.4, 0.08, dice.uniform(0.1, 0.5), seed=dice.randrange(999))
    lamp = Material("plain", (0.9, 0.85, 0.7), (0.9, 0.2, 0.15), (1, 1, 1), 2, glow=dice.uniform(0, 1.5))
    kind = dice.choice(["car", "car", "car", "van", "lorry"])
    length = {"car": dice.uniform(1.8, 2.4), "van": dice.uniform(2.2, 2.8), "lorry": dice.uniform(3, 5)}[kind]
    tall = {"car": dice.uniform(0.6, 0.75), "van": 0.8, "lorry": 0.6}[kind]
    width = dice.uniform(0.8, 0.95) * (1.3 if kind == "lorry" else 1)
    b.add("box", (0, -0.3 - tall / 2, 0), (width, tall / 2, length), body)
    if kind == "lorry":
        load = cover(dice, "plain poster picture stripes noise", 4)
        b.add("box", (0, -2.3, -0.4), (width * 1.05, 1.4, length * 0.8), load)
        b.add("box", (0, -1.6, length * 0.8), (width, 0.8, length * 0.18), body)
    else:
        cabin = tall + (dice.uniform(0.5, 0.65) if kind == "car" else dice.uniform(0.9, 1.2))
        back = -length * dice.uniform(0.05, 0.3)
        glass = Material("plain", (0.05, 0.06, 0.08), (0.1, 0.12, 0.15), (0, 0, 0), 2, 0.5, 0.05, 0.6)
        b.add("box", (0, -0.3 - (tall + cabin) / 2, back), (width * 0.86, (cabin - tall) / 2, length * 0.55), glass)
        b.add("box", (0, -0.3 - cabin, back), (width * 0.84, 0.04, length * 0.5), body)
    _wheels(b, (width, tall, length), lamp)


def _wheels(b: Builder, size: Triple, lamp: Material) -> None:
    """Wheels, and lamps at both ends, of a car of half width, height and half length `size`."""
    width, tall, length = size
    dark = Material("noise", (0.05, 0.05, 0.05), (0.12, 0.12, 0.12), (0, 0, 0), 8)
    across = turn(0, 0, math.pi / 2)
    for x in (-1, 1):
        for z in (-0.62, 0.62):
            b.add("cylinder", (x * width * 0.93, -0.33, z * length), (0.33, 0.12, 0.33), dark, across)
        for z in (-1, 1):
            b.add("box", (x * width * 0.75, -0.3 - tall * 0.7, z * length), (0.16, 0.08, 0.03), lamp)


def person(b: Builder, dice: Random, height: Number = 1.75) -> None:
    """Standing, facing z."""
    s = height / 1.75
    skin = Material("plain", *(hsv(0.06, dice.uniform(0.25, 0.6), dice.uniform(0.3, 0.95)),) * 3, 8, 0.4, 0.1)
    hair = cover(dice, "noise stripes", 0.2, hsv(0.08, 0.5, dice.uniform(0.03, 0.6)))
    top = cover(dice, "plain noise stripes checker poster picture", 0.8)
    legs = cover(dice, "plain noise", 0.8, paint(dice, 0.2))
    stride, wide = dice.uniform(0, 0.35), dice.uniform(0.85, 1.15)
    b.add("ellipsoid", (0, -1.62 * s, 0), (0.085 * s, 0.125 * s, 0.1 * s), skin)
    b.add("ellipsoid", (0, -1.66 * s, 0.025 * s * dice.choice([-1, 1])), (0.095 * s, 0.11 * s, 0.1 * s), hair)
    b.add("cylinder", (0, -1.47 * s, 0), (0.055 * s, 0.06 * s, 0.055 * s), skin)
    b.add("ellipsoid", (0, -1.2 * s, 0), (0.22 * s * wide, 0.28 * s, 0.14 * s * wide), top)
    hips = top if dice.random() < 0.6 else legs
    b.add("ellipsoid", (0, -0.98 * s, 0), (0.18 * s * wide, 0.17 * s, 0.13 * s * wide), hips)
    for side in (-1, 1):
        step, swing = turn(0, side * stride), turn(0, -side * stride, side * dice.uniform(0.05, 0.3))
        b.add(
            "cylinder", (side * 0.09 * s, -0.47 * s, side * stride * 0.3), (0.075 * s, 0.45 * s, 0.08 * s), legs, step
        )
        b.add("cylinder", (side * 0.26 * s * wide, -1.15 * s, 0), (0.05 * s, 0.29 * s, 0.05 * s), top, swing)
        b.add("ellipsoid", (side * 0.29 * s * wide, -0.84 * s, 0), (0.045 * s, 0.08 * s, 0.05 * s), skin)


def animal(b: Builder, dice: Random, size: Number) -> None:
    """Four legs, two ears, facing z."""
    fur = cover(dice, "noise noise stripes gravel", size, hsv(0.08, dice.uniform(0, 0.6), dice.uniform(0.1, 0.9)))
    b.add("ellipsoid", (0, -size * 0.6, 0), (size * 0.22, size * 0.25, size * 0.5), fur)
    b.add("ellipsoid", (0, -size * 0.9, size * 0.5), (size * 0.16, size * 0.17, size * 0.2), fur)
    leg = (size * 0.05, size * 0.23, size * 0.06)
    for x in (-1, 1):
        b.add("cone", (x * size * 0.09, -size * 1.08, size * 0.48), (size * 0.05, size * 0.08, size * 0.03), fur)
        for z in (-1, 1):
            b.add("cylinder", (x * size * 0.12, -size * 0.22, z * size * 0.32), leg, fur)


def building(b: Builder, dice: Random, width: Number, depth: Number, height: Number) -> None:
    """Centred on its footprint; facade towards every side."""
    wall = cover(dice, "windows windows windows windows brick noise " + ANY, 2, paint(dice, 0.25))
    pane = hsv(0.6, dice.uniform(0, 0.4), dice.uniform(0.05, 0.5))
    scale, strength = dice.uniform(0.25, 0.6), wall.contrast * 0.5
    facade = Material("windows", wall.a, wall.b, pane, scale, strength, wall.grain, 0.05, seed=wall.seed)
    b.add("box", (0, -height / 2, 0), (width / 2, height / 2, depth / 2), facade if dice.random() < 0.6 else wall)
    roof = cover(dice, "tiles noise plain stripes", 3, paint(dice, 0.3))
    if dice.random() < 0.35:
        b.add("box", (0, -height - 0.2, 0), (width / 2 + 0.3, 0.25, depth / 2 + 0.3), roof)
    elif dice.random() < 0.6 and height < 9:
        rise = dice.uniform(0.3, 0.8)
        half = width / 2 / math.sqrt(2) * 1.05
        b.add("box", (0, -height, 0), (half, half, depth / 2 + 0.3), roof, turn(0, 0, math.pi / 4))
        b.add("box", (width * 0.2, -height - width * rise * 0.5, 0), (0.3, width * 0.2, 0.3), wall)
    if dice.random() < 0.5:
        shop = cover(dice, "poster plain stripes picture", 2)
        b.add("box", (0, -3.1, 0), (width / 2 + 0.15, 0.35, depth / 2 + 0.15), shop)
    for _ in range(dice.randint(0, 3)):
        y = dice.uniform(3, max(3.5, height))
        b.add("box", (0, -y, 0), (width / 2 * dice.uniform(0.2, 1.02), 0.12, depth / 2 + dice.uniform(0.1, 0.9)), roof)


# Shortest and tallest, metres.
POLES = {"lamp": (4, 9), "sign": (2, 3), "light": (2.8, 4), "bollard": (0.6, 1.1), "board": (2, 5)}


def pole(b: Builder, dice: Random) -> None:
    """A lamp post, a sign, a traffic light, a bollard or a board."""
    metal = cover(dice, "plain noise", 1, hsv(0.6, 0.1, dice.uniform(0.1, 0.7)), 0.2)
    kind = dice.choice(list(POLES))
    height = {name: dice.uniform(*span) for name, span in POLES.items()}[kind]
    r = dice.uniform(0.03, 0.1)
    b.add("cylinder", (0, -height / 2, 0), (r, height / 2, r), metal)
    if kind == "lamp":
        b.add("box", (dice.choice([-1, 1]) * 0.6, -height, 0), (0.7, 0.06, 0.1), metal)
    elif kind == "sign":
        _sign(b, dice, height)
    elif kind == "light":
        b.add("box", (0, -height, 0), (0.15, 0.4, 0.13), metal)
    elif kind == "board":
        w = dice.uniform(0.5, 2)
        b.add("box", (0, -height, 0), (w, w * dice.uniform(0.3, 1), 0.06), cover(dice, "poster picture stripes", w))


def _sign(b: Builder, dice: Random, height: Number) -> None:
    face = cover(dice, "plain poster stripes", 0.5, paint(dice, 0.9))
    if dice.random() < 0.5:
        b.add("cylinder", (0, -height, -0.06), (0.35, 0.02, 0.35), face, turn(0, math.pi / 2))
    else:
        b.add("box", (0, -height, -0.06), (0.35, 0.35, 0.02), face)


def fence(b: Builder, dice: Random, length: Number) -> None:
    """Along z, from 0 to `length`."""
    tall = dice.uniform(0.6, 1.9)
    look = cover(dice, "wood plain brick noise stripes", 1, paint(dice, 0.2))
    if dice.random() < 0.45:
        b.add("box", (0, -tall / 2, length / 2), (0.1, tall / 2, length / 2), look)
        return
    step = max(dice.uniform(0.5, 2.5), length / 14)
    for k in range(int(length / step) + 1):
        b.add("box", (0, -tall / 2, k * step), (0.05, tall / 2, 0.05), look)
    for y in (0.35, 0.9):
        b.add("box", (0, -tall * y, length / 2), (0.025, 0.05, length / 2), look)
