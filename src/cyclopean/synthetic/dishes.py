"""Food on plates and what is laid beside it, each on the surface at its origin (y = 0, up is negative y), metres."""

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from random import Random

from cyclopean.synthetic.greenery import OVER, green, leaf
from cyclopean.synthetic.materials import cover, hsv, near, paint
from cyclopean.synthetic.scene import Builder, Material, Number, one_object, turn


def _food(rng: Random, hue: Number, sat: Number, val: Number, kind: str = "noise") -> Material:
    a = hsv(hue, sat, val)
    return Material(
        kind, a, near(rng, a, 0.3), near(rng, a, 0.5), 60, 1.0, 0.35, rng.choice([0, 0.12]), seed=rng.randrange(999)
    )


def china(rng: Random) -> Material:
    """Draw the surface of plates and cups: mostly white."""
    a = hsv(rng.random(), rng.uniform(0, 0.1), rng.uniform(0.8, 1)) if rng.random() < 0.65 else paint(rng, 0.6)
    return Material("plain", a, near(rng, a, 0.05), a, 20, 0.2, 0.03, 0.15, seed=rng.randrange(999))


@one_object
def plate(b: Builder, rng: Random, radius: Number) -> None:
    """Add a plate with a dish on it."""
    look = china(rng)
    b.add("frustum", (0, -0.01, 0), (radius, 0.01, radius), look, OVER, taper=(0.62, 1))
    inner = replace(look, a=near(rng, look.a, 0.08))
    b.add("cylinder", (0, -0.0195, 0), (radius * 0.72, 0.0012, radius * 0.72), inner)
    DISHES[rng.choice(list(DISHES))](b.place(0, -0.02, 0, rng.uniform(0, 6.3)), rng, radius * 0.68)


def _heap(b: Builder, rng: Random, count: int, sizes: tuple[Number, Number], look: Material) -> None:
    """Add a heap of round pieces; `sizes`: its radius and theirs."""
    reach, size = sizes
    for _ in range(count):
        x, z = rng.gauss(0, 0.38) * reach, rng.gauss(0, 0.38) * reach
        y = -size * 0.6 - max(0.0, 0.5 - math.hypot(x, z) / reach) * reach * rng.random()
        half = (size * rng.uniform(0.7, 1.2), size * rng.uniform(0.6, 1), size * rng.uniform(0.7, 1.2))
        piece = replace(look, a=near(rng, look.a, 0.15), seed=rng.randrange(999))
        b.add("ellipsoid", (x, y, z), half, piece, turn(rng.uniform(0, 6), rng.gauss(0, 0.5)))


def _mixed(b: Builder, rng: Random, r: Number) -> None:
    """Meat, potatoes or rice, and vegetables, each in its part of the plate."""
    meat = _food(rng, 0.05, 0.6, rng.uniform(0.25, 0.5))
    b.place(-r * 0.35, 0, -r * 0.25).add(
        "ellipsoid", (0, -0.012, 0), (r * 0.5, 0.014, r * 0.33), meat, turn(rng.uniform(0, 3))
    )
    pale = _food(rng, 0.12, rng.uniform(0.15, 0.5), 0.9)
    _heap(b.place(r * 0.4, 0, -r * 0.1), rng, rng.randint(6, 12), (r * 0.4, r * rng.uniform(0.1, 0.16)), pale)
    fresh = _food(rng, rng.choice([0.3, 0.28, 0.06, 0.0]), 0.75, rng.uniform(0.35, 0.85))
    _heap(b.place(-r * 0.05, 0, r * 0.45), rng, rng.randint(8, 16), (r * 0.35, r * rng.uniform(0.07, 0.13)), fresh)


def _salad(b: Builder, rng: Random, r: Number) -> None:
    blade = replace(green(rng), cut="leaf", holes=0.5)
    for _ in range(rng.randint(14, 26)):
        x, z = rng.gauss(0, 0.35) * r, rng.gauss(0, 0.35) * r
        leaf(
            b, (x, -rng.uniform(0.005, 0.04), z), (rng.uniform(0, 6.3), rng.gauss(0.2, 0.4)), (r * 0.5, r * 0.3), blade
        )
    _heap(b, rng, rng.randint(4, 9), (r, r * 0.14), _food(rng, 0.0, 0.85, 0.75))


def _pizza(b: Builder, rng: Random, r: Number) -> None:
    crust, cheese = _food(rng, 0.09, 0.55, 0.75), _food(rng, 0.11, 0.65, 0.9)
    r *= 1.25
    b.add("cylinder", (0, -0.008, 0), (r, 0.008, r), crust)
    b.add("cylinder", (0, -0.013, 0), (r * 0.88, 0.005, r * 0.88), cheese)
    for k in range(14):
        a = 2 * math.pi * k / 14
        c = 2 * math.pi * (k + 1) / 14
        b.limb(
            (r * 0.94 * math.cos(a), -0.014, r * 0.94 * math.sin(a)),
            (r * 0.94 * math.cos(c), -0.014, r * 0.94 * math.sin(c)),
            (0.012, 0.012),
            crust,
        )
    for hue in rng.sample([0.0, 0.02, 0.3, 0.13, 0.8], 2):
        top = _food(rng, hue, 0.7, rng.uniform(0.3, 0.8))
        for _ in range(rng.randint(5, 10)):
            x, z = rng.gauss(0, 0.4) * r, rng.gauss(0, 0.4) * r
            if math.hypot(x, z) < 0.8 * r:
                b.add("ellipsoid", (x, -0.019, z), (r * 0.13, 0.005, r * 0.12), top)


def _burger(b: Builder, rng: Random, r: Number) -> None:
    bun, q, y = _food(rng, 0.09, 0.6, 0.75, "plain"), r * rng.uniform(0.55, 0.7), 0.0
    for look, thick, wide in (
        (bun, 0.35, 1.0),
        (_food(rng, 0.3, 0.7, 0.5), 0.08, 1.15),
        (_food(rng, 0.05, 0.6, 0.25), 0.22, 1.05),
        (_food(rng, 0.13, 0.8, 0.95, "plain"), 0.06, 1.1),
        (_food(rng, 0.0, 0.8, 0.7), 0.1, 0.95),
    ):
        b.add("cylinder", (0, -y - thick * q / 2, 0), (q * wide, thick * q / 2, q * wide), look)
        y += thick * q
    b.add("ellipsoid", (0, -y, 0), (q, q * 0.6, q), bun)
    for k in range(rng.randint(0, 9)):
        b.limb(
            (q * 1.25, -0.01, (k - 4) * 0.012),
            (q * 1.9, -0.012, (k - 4) * 0.02 + rng.gauss(0, 0.02)),
            (0.006, 0.006),
            _food(rng, 0.12, 0.6, 0.9, "plain"),
        )


def _cake(b: Builder, rng: Random, r: Number) -> None:
    sponge, cream = (
        _food(rng, rng.choice([0.1, 0.05]), 0.5, rng.uniform(0.3, 0.9)),
        _food(rng, rng.random(), rng.uniform(0, 0.5), 0.95, "plain"),
    )
    high, whole = r * rng.uniform(0.6, 0.9), rng.random() < 0.4
    half = r * 0.85 if whole else r * 0.5
    shape, size = ("cylinder", (half, half)) if whole else ("box", (half, r * 0.8))
    for k in range(5):
        b.add(shape, (0, -high * (k + 0.5) / 5, 0), (size[0], high / 10, size[1]), cream if k % 2 else sponge)
    b.add(shape, (0, -high * 1.06, 0), (size[0], high * 0.06, size[1]), cream)
    for _ in range(rng.randint(1, 8)):
        at = (rng.uniform(-0.6, 0.6) * half, -high * 1.12 - 0.008, rng.uniform(-0.6, 0.6) * r * 0.7)
        b.add("ellipsoid", at, (0.011, 0.012, 0.011), _food(rng, rng.choice([0.98, 0.0, 0.65]), 0.85, 0.7, "plain"))


def _eggs(b: Builder, rng: Random, r: Number) -> None:
    white, yolk = (
        Material("plain", (0.97, 0.96, 0.92), (0.9, 0.9, 0.85), gloss=0.15),
        Material("plain", (1, 0.7, 0.1), (1, 0.6, 0.05), gloss=0.2),
    )
    for side in (-1, 1):
        at = (side * r * 0.35, -0.003, rng.gauss(0, 0.1) * r)
        b.add("ellipsoid", at, (r * 0.4, 0.005, r * 0.36), white)
        b.add("ellipsoid", (at[0], -0.009, at[2]), (r * 0.15, 0.011, r * 0.15), yolk)
    for k in range(rng.randint(1, 3)):
        z = r * (0.45 + 0.2 * k)
        b.limb(
            (-r * 0.5, -0.013, z), (r * 0.5, -0.013, z + rng.gauss(0, 0.02)), (0.013, 0.013), _food(rng, 0.04, 0.6, 0.5)
        )


def _buns(b: Builder, rng: Random, r: Number) -> None:
    crust = _food(rng, 0.08, 0.6, rng.uniform(0.5, 0.8))
    for k in range(rng.randint(2, 4)):
        x = (k - 1) * r * 0.6
        if rng.random() < 0.5:  # a croissant
            for j in range(4):
                a, c = (-1.2 + 0.6 * j, -0.6 + 0.6 * j)
                ends = [(x + r * 0.35 * math.sin(q), -0.02, r * 0.35 * math.cos(q)) for q in (a, c)]
                thick = [0.026 - 0.009 * abs(q) for q in (a, c)]
                b.limb(ends[0], ends[1], (thick[0], thick[1]), crust)
        else:
            b.add("ellipsoid", (x, -r * 0.2, rng.gauss(0, 0.2) * r), (r * 0.33, r * 0.24, r * 0.3), crust)


def _fruit(b: Builder, rng: Random, r: Number) -> None:
    for _ in range(rng.randint(3, 6)):
        x, z = rng.gauss(0, 0.4) * r, rng.gauss(0, 0.4) * r
        q = r * rng.uniform(0.28, 0.38)
        hue = rng.choice([0.0, 0.02, 0.08, 0.14, 0.25, 0.3])
        skin = Material(
            "noise",
            hsv(hue, 0.85, 0.85),
            hsv(hue + 0.04, 0.8, 0.7),
            (0, 0, 0),
            15,
            0.8,
            0.1,
            0.15,
            seed=rng.randrange(999),
        )
        if hue == 0.14:  # bananas
            for j in range(3):
                ends = [
                    (x + q * 1.3 * math.sin(0.5 * (j + d) - 0.8), -q * 0.4, z + q * 1.3 * math.cos(0.5 * (j + d) - 0.8))
                    for d in (0, 1)
                ]
                b.limb(ends[0], ends[1], (q * 0.36, q * 0.34), skin)
            continue
        b.add("ellipsoid", (x, -q, z), (q, q * rng.uniform(0.9, 1.05), q), skin)
        b.limb(
            (x, -q * 1.85, z),
            (x + 0.006, -q * 2.25, z),
            (0.002, 0.002),
            Material("plain", (0.2, 0.12, 0.05), (0.2, 0.12, 0.05)),
        )


def _rolls(b: Builder, rng: Random, r: Number) -> None:
    """Rice rolls in rows."""
    rice, weed = _food(rng, 0.1, 0.05, 0.95), _food(rng, 0.35, 0.6, 0.1)
    for k in range(rng.randint(2, 4)):
        for j in range(2):
            at = ((k - 1.5) * r * 0.42, -r * 0.16, (j - 0.5) * r * 0.6)
            b.add("cylinder", at, (r * 0.19, r * 0.16, r * 0.19), weed)
            b.add("cylinder", (at[0], at[1] - r * 0.005, at[2]), (r * 0.17, r * 0.16, r * 0.17), rice)
            b.add(
                "cylinder", (at[0], at[1] - r * 0.01, at[2]), (r * 0.07, r * 0.16, r * 0.07), _food(rng, 0.04, 0.7, 0.9)
            )


DISHES: dict[str, Callable[[Builder, Random, Number], None]] = {
    **{"mixed": _mixed, "salad": _salad, "pizza": _pizza, "burger": _burger, "cake": _cake},
    **{"eggs": _eggs, "buns": _buns, "fruit": _fruit, "rolls": _rolls},
}


@one_object
def cup(b: Builder, rng: Random) -> None:
    """Add a cup with a handle, mostly on a saucer, and what is in it."""
    look, drink = china(rng), _food(rng, rng.choice([0.07, 0.08, 0.12]), 0.6, rng.choice([0.12, 0.3, 0.6]), "plain")
    r, high, y = rng.uniform(0.03, 0.045), rng.uniform(0.06, 0.1), 0.0
    if rng.random() < 0.6:
        b.add("frustum", (0, -0.006, 0), (r * 2, 0.006, r * 2), look, OVER, taper=(0.6, 1))
        y = 0.008
    b.add("frustum", (0, -y - high / 2, 0), (r, high / 2, r), look, OVER, taper=(rng.uniform(0.6, 1), 1))
    b.add("cylinder", (0, -y - high, 0), (r * 0.9, 0.0015, r * 0.9), drink)
    points = [
        (r * 0.85 + 0.024 * math.sin(a), -y - high * 0.55 - 0.022 * math.cos(a), 0.0)
        for a in (0.1, 0.8, 1.57, 2.3, 3.0)
    ]
    for start, end in pairwise(points):
        b.limb(start, end, (0.0045, 0.0045), look)


@one_object
def tumbler(b: Builder, rng: Random) -> None:
    """Add a glass, full of something, on a stem or not."""
    drink = Material(
        "plain",
        hsv(rng.random(), rng.uniform(0, 0.8), rng.uniform(0.3, 0.95)),
        (0.6, 0.6, 0.6),
        (1, 1, 1),
        9,
        0.1,
        0.03,
        0.55,
    )
    clear = Material("plain", (0.75, 0.8, 0.8), (0.65, 0.7, 0.7), (1, 1, 1), 9, 0.2, 0.03, 0.6)
    r, high, y = rng.uniform(0.028, 0.042), rng.uniform(0.09, 0.14), 0.0
    if rng.random() < 0.4:
        b.add("cylinder", (0, -0.002, 0), (r, 0.002, r), clear)
        b.limb((0, 0, 0), (0, -0.08, 0), (0.004, 0.004), clear)
        b.add("ellipsoid", (0, -0.08 - high * 0.45, 0), (r, high * 0.45, r), drink)
        y = 0.08 + high * 0.4
        b.add("cylinder", (0, -y - high * 0.2, 0), (r * 0.97, high * 0.2, r * 0.97), clear)
        return
    fill = rng.uniform(0.4, 0.9) * high
    narrow = rng.uniform(0.7, 0.95)
    b.add("frustum", (0, -high / 2, 0), (r, high / 2, r), clear, OVER, taper=(narrow, 1))
    b.add("frustum", (0, -fill / 2, 0), (r * 1.01, fill / 2, r * 1.01), drink, OVER, taper=(narrow, 1))


@one_object
def bowl(b: Builder, rng: Random, radius: Number) -> None:
    """Add a bowl of soup, rice or fruit."""
    look, high = china(rng), radius * rng.uniform(0.5, 0.8)
    b.add("frustum", (0, -high / 2, 0), (radius, high / 2, radius), look, OVER, taper=(rng.uniform(0.45, 0.7), 1))
    soup = _food(rng, rng.choice([0.03, 0.1, 0.15, 0.28]), 0.6, rng.uniform(0.4, 0.9))
    b.add("cylinder", (0, -high, 0), (radius * 0.92, 0.002, radius * 0.92), soup)
    inside = b.place(0, -high, 0)
    if rng.random() < 0.3:
        _fruit(inside, rng, radius * 0.8)
    else:
        _heap(inside, rng, rng.randint(4, 14), (radius * 0.7, radius * 0.14), _food(rng, rng.random(), 0.6, 0.8))


def cutlery(b: Builder, rng: Random, reach: Number) -> None:
    """Add a fork on the left, a knife and maybe a spoon on the right of a plate."""
    steel = Material("plain", (0.62, 0.62, 0.64), (0.5, 0.5, 0.52), (1, 1, 1), 30, 0.2, 0.05, 0.5)
    for x in (-reach * 1.15, reach * 1.15, *([reach * 1.35] if rng.random() < 0.5 else [])):
        one = b.place(x, 0, 0, rng.gauss(0, 0.08)).thing()
        one.limb((0, -0.004, -0.09), (0, -0.004, 0.02), (0.006, 0.004), steel, 0.5)
        if x < 0:
            for k in (-1, 0, 1):
                one.limb((0, -0.004, 0.02), (k * 0.009, -0.006, 0.09), (0.004, 0.0022), steel)
        elif x > reach * 1.2:
            one.add("ellipsoid", (0, -0.006, 0.06), (0.019, 0.006, 0.03), steel)
        else:
            one.add("ellipsoid", (0, -0.004, 0.06), (0.01, 0.003, 0.055), steel)


@one_object
def candle(b: Builder, rng: Random) -> None:
    wax, flame = (
        Material("plain", hsv(rng.random(), rng.uniform(0, 0.6), 0.9), (0.8, 0.75, 0.7)),
        Material("plain", (1, 0.7, 0.3), (1, 0.8, 0.4), glow=6),
    )
    r, high = rng.uniform(0.012, 0.035), rng.uniform(0.05, 0.22)
    b.add("cylinder", (0, -high / 2, 0), (r, high / 2, r), wax)
    b.limb((0, -high - 0.008, 0), (0, -high - 0.026, 0), (0.0045, 0.001), flame)


def napkin(b: Builder, rng: Random) -> None:
    cloth = cover(rng, "plain stripes checker noise", 0.1, paint(rng, 0.6))
    b.thing().add("wedge", (0, -0.006, 0), (0.05, 0.006, 0.08), cloth, turn(rng.uniform(0, 3)), taper=(0.95, 0.8))
