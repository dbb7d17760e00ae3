"""Furniture and what stands on it, each at its own origin on the ground (y = 0, up is negative y), sizes in metres."""

from collections.abc import Callable
from random import Random

from cyclopean.synthetic.materials import STUFF, cover, hsv, paint
from cyclopean.synthetic.objects import animal, plant
from cyclopean.synthetic.scene import Builder, Material, Number, one_object, turn


@one_object
def table(b: Builder, rng: Random, width: Number, depth: Number, height: Number) -> None:
    wood = cover(rng, "wood wood plain noise tiles", 0.6, gloss=rng.uniform(0, 0.25))
    thick = rng.uniform(0.015, 0.04)
    b.add("box", (0, -height + thick, 0), (width / 2, thick, depth / 2), wood)
    r = rng.uniform(0.02, 0.05)
    shape, y = "box" if r > 0.03 else "cylinder", -height / 2 + thick
    for x in (-1, 1):
        for z in (-1, 1):
            b.add(shape, (x * (width / 2 - 0.06), y, z * (depth / 2 - 0.06)), (r, height / 2 - thick, r), wood)


@one_object
def chair(b: Builder, rng: Random) -> None:
    wood = cover(rng, "wood plain noise stripes", 0.4)
    seat = cover(rng, STUFF, 0.4)
    y = rng.uniform(0.42, 0.5)
    b.add("box", (0, -y, 0), (0.22, 0.025, 0.22), seat)
    b.add("box", (0, -y - rng.uniform(0.25, 0.35), -0.2), (0.21, rng.uniform(0.12, 0.26), 0.02), seat)
    for x in (-0.2, 0.2):
        for z in (-0.2, 0.2):
            b.add("box", (x, -y / 2 - (0.25 if z < 0 else 0), z), (0.02, y / 2 + (0.25 if z < 0 else 0), 0.02), wood)


@one_object
def sofa(b: Builder, rng: Random) -> None:
    cloth = cover(rng, "noise plain stripes checker poster", 0.6)
    w = rng.uniform(0.45, 1.2)
    b.add("box", (0, -0.22, 0), (w, 0.22, 0.42), cloth)
    b.add("box", (0, -0.55, -0.34), (w, 0.33, 0.1), cloth)
    for x in (-1, 1):
        b.add("box", (x * w, -0.33, 0), (0.1, 0.33, 0.42), cloth)
        pillow = cover(rng, STUFF, 0.3)
        b.add("ellipsoid", (x * w * 0.6, -0.58, -0.12), (0.2, 0.18, 0.09), pillow, turn(rng.gauss(0, 0.3), 0.3))


@one_object
def bed(b: Builder, rng: Random) -> None:
    frame, cloth = cover(rng, "wood plain", 0.6), cover(rng, "noise plain stripes checker", 0.8)
    w = rng.uniform(0.45, 0.95)
    b.add("box", (0, -0.15, 0), (w, 0.15, 1.0), frame)
    b.add("box", (0, -0.42, 0.02), (w * 0.97, 0.14, 0.98), cloth)
    b.add("box", (0, -0.45, -1.0), (w, 0.45, 0.04), frame)
    for x in (-0.5, 0.5):
        pillow = cover(rng, "plain noise", 0.4, hsv(0.1, 0.1, 0.9))
        b.add("ellipsoid", (x * w, -0.6, -0.72), (w * 0.42, 0.09, 0.2), pillow)


@one_object
def shelf(b: Builder, rng: Random) -> None:
    """Add a case with boards and books on them, facing z."""
    wood = cover(rng, "wood plain noise", 0.7)
    w, h, d = rng.uniform(0.3, 0.9), rng.uniform(0.7, 2.2), rng.uniform(0.12, 0.25)
    b.add("box", (0, -h / 2, -d), (w, h / 2, 0.015), wood)
    boards = rng.randint(2, 5)
    for x in (-1, 1):
        b.add("box", (x * w, -h / 2, 0), (0.015, h / 2, d), wood)
    for k in range(boards + 1):
        y = h * k / boards
        b.add("box", (0, -y, 0), (w, 0.015, d), wood)
        if k < boards and rng.random() < 0.85:
            _books(b.place(0, -y - 0.015, 0), rng, w * 0.9, h / boards * 0.9)


def _books(b: Builder, rng: Random, reach: Number, tall: Number) -> None:
    x = -reach
    while x < reach * rng.uniform(0.3, 1):
        thick = rng.uniform(0.01, 0.05) * (1 + tall)
        high = tall * rng.uniform(0.5, 0.95)
        if rng.random() < 0.8:
            back = cover(rng, "plain poster stripes noise", 0.15, paint(rng, 0.7))
            b.add("box", (x + thick, -high / 2, 0), (thick * 0.95, high / 2, 0.09), back)
        x += 2 * thick if rng.random() < 0.85 else 0.25


@one_object
def cabinet(b: Builder, rng: Random) -> None:
    w, h, d = rng.uniform(0.25, 0.9), rng.uniform(0.4, 2.1), rng.uniform(0.2, 0.35)
    material = cover(rng, "wood wood plain noise", 0.6, gloss=rng.uniform(0, 0.2))
    b.add("box", (0, -h / 2, 0), (w, h / 2, d), material)
    knob = cover(rng, "plain", 0.1, gloss=0.3)
    for k in range(rng.randint(1, 4)):
        y = h * (k + 0.5) / 4
        b.add("box", (0, -y - 0.1, d), (w * 0.95, min(h / 10, 0.12), 0.012), material)
        b.add("ellipsoid", (0, -y - 0.1, d + 0.02), (0.02, 0.02, 0.02), knob)


@one_object
def lamp(b: Builder, rng: Random, height: Number) -> None:
    metal = cover(rng, "plain", 0.3, gloss=0.4)
    shade = Material("noise", *(hsv(0.1, rng.uniform(0, 0.5), 0.95),) * 3, 3, 0.2, 0.1, glow=rng.uniform(0, 2))
    b.add("cylinder", (0, -0.01, 0), (height * 0.12, 0.01, height * 0.12), metal)
    b.add("cylinder", (0, -height / 2, 0), (0.012, height / 2, 0.012), metal)
    b.add(rng.choice(["cone", "cylinder"]), (0, -height, 0), (height * 0.16, height * 0.11, height * 0.16), shade)


def rug(b: Builder, rng: Random) -> None:
    half = (rng.uniform(0.5, 1.5), 0.006, rng.uniform(0.5, 1.5))
    b.add("box", (0, -0.006, 0), half, cover(rng, "noise stripes checker poster", 1))


def trinket(b: Builder, rng: Random, size: Number) -> None:
    """Add something that stands on a table, at most about `size` high."""
    material = cover(rng, STUFF, size, gloss=rng.choice([0, 0, 0.2, 0.5]))
    TRINKETS[rng.choice(list(TRINKETS))](b, rng, size, material)


@one_object
def _bottle(b: Builder, rng: Random, size: Number, material: Material) -> None:
    r = size * rng.uniform(0.13, 0.2)
    b.add("cylinder", (0, -size * 0.33, 0), (r, size * 0.33, r), material)
    b.add("cone", (0, -size * 0.75, 0), (r, size * 0.16, r), material)
    b.add("cylinder", (0, -size * 0.85, 0), (r * 0.3, size * 0.15, r * 0.3), cover(rng, "plain", size))
    label = cover(rng, "poster picture plain", size)
    b.add("cylinder", (0, -size * 0.35, 0), (r * 1.02, size * 0.15, r * 1.02), label)


@one_object
def _mug(b: Builder, _dice: Random, size: Number, material: Material) -> None:
    b.add("cylinder", (0, -size * 0.3, 0), (size * 0.25, size * 0.3, size * 0.25), material)
    b.add("ellipsoid", (size * 0.28, -size * 0.32, 0), (size * 0.1, size * 0.18, size * 0.04), material)


def _fruit(b: Builder, rng: Random, size: Number, _look: Material) -> None:
    for _ in range(rng.randint(1, 5)):
        r = size * rng.uniform(0.15, 0.28)
        colour = hsv(rng.choice([0.0, 0.08, 0.13, 0.3]), 0.8, rng.uniform(0.4, 0.95))
        skin = cover(rng, "noise gravel plain", size, colour, 0.1)
        at = (rng.gauss(0, size * 0.3), -r * 0.9, rng.gauss(0, size * 0.3))
        b.thing().add("ellipsoid", at, (r, r * rng.uniform(0.8, 1.1), r), skin)


@one_object
def _pile(b: Builder, rng: Random, size: Number, _look: Material) -> None:
    """Add books lying on each other."""
    y = 0.0
    for _ in range(rng.randint(1, 5)):
        t = size * rng.uniform(0.03, 0.09)
        x = rng.gauss(0, 0.03 * size)
        title = cover(rng, "plain poster stripes picture", size)
        b.add("box", (x, -y - t, 0), (size * 0.4, t, size * 0.3), title, turn(rng.gauss(0, 0.3)))
        y += 2 * t


@one_object
def _box(b: Builder, rng: Random, size: Number, material: Material) -> None:
    half = (size * rng.uniform(0.15, 0.5), size * rng.uniform(0.15, 0.5), size * rng.uniform(0.15, 0.5))
    b.add("box", (0, -half[1], 0), half, material, turn(rng.uniform(0, 3)))


@one_object
def _vase(b: Builder, rng: Random, size: Number, material: Material) -> None:
    b.add("ellipsoid", (0, -size * 0.32, 0), (size * 0.25, size * 0.33, size * 0.25), material)
    b.add("cylinder", (0, -size * 0.65, 0), (size * 0.1, size * 0.12, size * 0.1), material)
    if rng.random() < 0.6:
        plant(b.place(0, -size * 0.4, 0), rng, size * 0.9)


@one_object
def _toy(b: Builder, rng: Random, size: Number, material: Material) -> None:
    """Add a body, a head and two arms."""
    b.add("ellipsoid", (0, -size * 0.32, 0), (size * 0.26, size * 0.33, size * 0.22), material)
    b.add("ellipsoid", (0, -size * 0.8, 0), (size * 0.2, size * 0.22, size * 0.2), cover(rng, STUFF, size))
    arm = (size * 0.07, size * 0.2, size * 0.07)
    for x in (-1, 1):
        b.add("cylinder", (x * size * 0.3, -size * 0.4, 0), arm, material, turn(0, 0, x * 0.5))


@one_object
def _ball(b: Builder, _dice: Random, size: Number, material: Material) -> None:
    b.add("ellipsoid", (0, -size * 0.3, 0), (size * 0.3, size * 0.3, size * 0.3), material)


@one_object
def _tower(b: Builder, rng: Random, size: Number, _look: Material) -> None:
    """Add blocks on each other."""
    y = 0.0
    for _ in range(rng.randint(2, 5)):
        r, t = size * rng.uniform(0.1, 0.3), size * rng.uniform(0.08, 0.2)
        shape = rng.choice(["box", "cylinder"])
        block = cover(rng, STUFF, size)
        b.add(shape, (0, -y - t, 0), (r, t, r), block, turn(rng.uniform(0, 3)))
        y += 2 * t


def _plant(b: Builder, rng: Random, size: Number, _look: Material) -> None:
    plant(b, rng, size * 1.3)


def _beast(b: Builder, rng: Random, size: Number, _look: Material) -> None:
    animal(b, rng, size)


TRINKETS: dict[str, Callable[[Builder, Random, Number, Material], None]] = {
    "bottle": _bottle,
    "mug": _mug,
    "fruit": _fruit,
    "pile": _pile,
    "box": _box,
    "vase": _vase,
    "toy": _toy,
    "ball": _ball,
    "tower": _tower,
    "plant": _plant,
    "beast": _beast,
    "head": _toy,
}
