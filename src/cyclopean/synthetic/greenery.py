"""Plants with stalks and leaves, flowers, ferns, cacti, trees with branches; metres, on the ground at the origin."""

import math
from dataclasses import replace
from random import Random

import numpy as np

from cyclopean.synthetic.materials import cover, foliage, hsv, near
from cyclopean.synthetic.scene import Builder, Material, Number, Triple, one_object, turn

OVER = turn(0, 0, math.pi)  # upside down


def green(rng: Random) -> Material:
    """Draw the surface of a leaf."""
    hue = rng.choice(
        [rng.uniform(0.2, 0.36), rng.uniform(0.24, 0.33), rng.uniform(0.24, 0.33), rng.uniform(0.02, 0.16)]
    )
    a = hsv(hue, rng.uniform(0.35, 0.85), rng.uniform(0.2, 0.65))
    return Material("noise", a, near(rng, a, 0.25), a, 30, 0.8, 0.25, rng.choice([0, 0.1]), seed=rng.randrange(999))


def leaf(b: Builder, at: Triple, way: tuple[Number, Number], size: tuple[Number, Number], look: Material) -> None:
    """Add a leaf from its stalk at `at`: `way` is where it points, around and above level; `size` length and width."""
    around, up = way
    length, width = size
    ahead = np.array([math.sin(around) * math.cos(up), -math.sin(up), math.cos(around) * math.cos(up)])
    x, y, z = np.asarray(at) + ahead * length / 2
    # The tip, at y = -1 of the shape, points ahead.
    rotation = turn(around, up) @ turn(0, -math.pi / 2)
    b.add("ellipsoid", (float(x), float(y), float(z)), (width / 2, length / 2, length * 0.02), look, rotation)


def bent_stalk(b: Builder, rng: Random, start: Triple, height: Number, look: Material) -> list[np.ndarray]:
    """Add a stalk that leans and bends; return points on it, the tip last."""
    around, lean = rng.uniform(0, 2 * math.pi), abs(rng.gauss(0, 0.25))
    points, at = [np.asarray(start, dtype=float)], np.asarray(start, dtype=float)
    for k in range(4):
        angle = lean * (0.5 + 0.6 * k)
        step = np.array([math.sin(around) * math.sin(angle), -math.cos(angle), math.cos(around) * math.sin(angle)])
        at = at + step * height / 4
        points.append(at)
    r = height * 0.008 + 0.0015
    for k in (0, 2):
        b.limb(tuple(points[k].tolist()), tuple(points[k + 2].tolist()), (r, r * 0.8), look)
    return points


def pot(b: Builder, rng: Random, width: Number) -> Number:
    """Add a pot; return how high its earth is."""
    look = cover(rng, "plain plain noise stripes tiles wood", width, gloss=rng.choice([0, 0, 0.2]))
    earth = Material("gravel", (0.12, 0.08, 0.05), (0.2, 0.14, 0.1), (0.05, 0.03, 0.02), 60)
    high, narrow = width * rng.uniform(0.7, 1.2), rng.uniform(0.6, 0.95)
    b.add("frustum", (0, -high / 2, 0), (width / 2, high / 2, width / 2), look, OVER, taper=(narrow, 1))
    b.add("cylinder", (0, -high * 0.93, 0), (width * 0.53, high * 0.07, width * 0.53), look)
    b.add("cylinder", (0, -high * 1.001, 0), (width * 0.46, high * 0.02, width * 0.46), earth)
    return high


@one_object
def leafy(b: Builder, rng: Random, height: Number, potted: bool = True) -> None:
    """Add stalks with leaves, in a pot or in the ground."""
    base = pot(b, rng, height * rng.uniform(0.25, 0.4)) if potted else 0.0
    look, stem = green(rng), Material("plain", hsv(0.25, 0.5, 0.35), hsv(0.22, 0.4, 0.3), (0, 0, 0))
    blade = replace(look, cut="leaf", holes=0.5)
    wide = rng.uniform(0.25, 0.75)
    size = height * rng.uniform(0.14, 0.32)
    for _ in range(rng.randint(3, 6)):
        points = bent_stalk(
            b,
            rng,
            (rng.gauss(0, 0.03) * height, -base, rng.gauss(0, 0.03) * height),
            height * rng.uniform(0.4, 0.8),
            stem,
        )
        for _ in range(rng.randint(3, 7)):
            at = points[rng.randint(1, 4)]
            way = (rng.uniform(0, 2 * math.pi), rng.gauss(0.2, 0.4))
            leaf(b, tuple(at.tolist()), way, (size * rng.uniform(0.7, 1.2), size * wide), blade)


@one_object
def flowers(b: Builder, rng: Random, height: Number, count: int) -> None:
    """Add flowers on stalks, with a few leaves each."""
    stem = Material("plain", hsv(0.27, 0.6, 0.4), hsv(0.25, 0.5, 0.3), (0, 0, 0))
    blade = replace(green(rng), cut="leaf", holes=0.5)
    hue, size = rng.random(), height * rng.uniform(0.1, 0.25)
    round_ = rng.random() < 0.3
    for _ in range(count):
        x, z = rng.gauss(0, 0.2) * height, rng.gauss(0, 0.2) * height
        points = bent_stalk(b, rng, (x * 0.3, 0, z * 0.3), height * rng.uniform(0.7, 1.1), stem)
        tip = points[-1]
        for k in (1, 2):
            leaf(
                b,
                tuple(points[k].tolist()),
                (rng.uniform(0, 6.3), rng.uniform(0.2, 0.9)),
                (height * 0.3, height * 0.07),
                blade,
            )
        a = hsv(hue + rng.gauss(0, 0.03), rng.uniform(0.5, 1), rng.uniform(0.7, 1))
        petal = Material(
            "plain",
            a,
            near(rng, a, 0.2),
            a,
            60,
            0.6,
            0.2,
            cut="petals",
            holes=rng.uniform(0.3, 0.7),
            seed=rng.randrange(999),
        )
        tilt = turn(rng.uniform(0, 6.3), rng.gauss(0.6, 0.4))
        at = tuple(tip.tolist())
        if round_:
            b.add("ellipsoid", at, (size * 0.4, size * 0.5, size * 0.4), replace(petal, holes=0.0), tilt)
            continue
        b.add("ellipsoid", at, (size, size * 0.12, size), petal, tilt)
        core = Material("noise", hsv(0.12, 0.8, rng.uniform(0.3, 0.9)), hsv(0.1, 0.8, 0.4), (0, 0, 0), 90)
        b.add("ellipsoid", at, (size * 0.28, size * 0.2, size * 0.28), core, tilt)


@one_object
def fern(b: Builder, rng: Random, height: Number, potted: bool = True) -> None:
    """Add fronds that spread from one place: a fern, or a palm in a pot."""
    base = pot(b, rng, height * 0.35) if potted else 0.0
    if rng.random() < 0.35:
        bark = cover(rng, "wood noise", 0.1, hsv(0.08, 0.4, 0.35))
        tall = height * rng.uniform(0.3, 0.6)
        b.limb((0, -base, 0), (0, -base - tall, 0), (height * 0.03, height * 0.025), bark)
        base += tall
    blade = replace(green(rng), cut="frond", holes=rng.uniform(0.3, 0.6), scale=rng.uniform(18, 40) / height)
    count = rng.randint(7, 14)
    for k in range(count):
        around = 2 * math.pi * k / count + rng.gauss(0, 0.2)
        length, up = height * rng.uniform(0.5, 0.8), rng.uniform(0.1, 1.2)
        leaf(b, (0, -base, 0), (around, up), (length, length * 0.45), blade)


@one_object
def cactus(b: Builder, rng: Random, height: Number) -> None:
    base = pot(b, rng, height * 0.5)
    a = hsv(rng.uniform(0.25, 0.4), rng.uniform(0.3, 0.6), rng.uniform(0.25, 0.5))
    look = Material("stripes", a, near(rng, a, 0.25), a, 30 / height, 0.7, 0.3, seed=rng.randrange(999))
    r = height * rng.uniform(0.1, 0.18)
    tall = height * rng.uniform(0.5, 0.8)
    b.limb((0, -base, 0), (0, -base - tall, 0), (r, r * 0.8), look)
    for _ in range(rng.randint(0, 3)):
        around, y = rng.uniform(0, 6.3), -base - tall * rng.uniform(0.3, 0.7)
        x, z = math.sin(around) * r * 2.2, math.cos(around) * r * 2.2
        b.limb((0, y, 0), (x, y - r * 0.3, z), (r * 0.5, r * 0.5), look)
        b.limb((x, y - r * 0.3, z), (x, y - tall * 0.35, z), (r * 0.5, r * 0.4), look)


@one_object
def shrub(b: Builder, rng: Random, size: Number, leaves: int = 70) -> None:
    """Add a bush whose outer leaves are seen one by one."""
    inner = foliage(rng, size)
    blade = replace(green(rng), a=inner.a, b=near(rng, inner.a, 0.4), cut="leaf", holes=0.5)
    bloom = hsv(rng.random(), 0.7, 0.95) if rng.random() < 0.3 else None
    b.add("ellipsoid", (0, -size * 0.45, 0), (size * 0.42, size * 0.42, size * 0.42), replace(inner, holes=0.3))
    long = size * rng.uniform(0.12, 0.22)
    for k in range(leaves):
        around, up = rng.uniform(0, 2 * math.pi), rng.uniform(-0.3, 1.4)
        r = size * rng.uniform(0.36, 0.5)
        at = (r * math.sin(around) * math.cos(up), -size * 0.45 - r * math.sin(up), r * math.cos(around) * math.cos(up))
        leaf(b, at, (around + rng.gauss(0, 0.7), up * 0.5 + rng.gauss(0, 0.4)), (long, long * 0.5), blade)
        if bloom and k % 5 == 0:
            b.add("ellipsoid", at, (long * 0.3,) * 3, Material("plain", bloom, near(rng, bloom, 0.2), bloom))


@one_object
def branching(b: Builder, rng: Random, height: Number, bare: bool = False) -> None:
    """Add a tree whose trunk parts into branches and twigs, bare or with leaves at the ends."""
    bark = cover(rng, "wood noise gravel", 0.4, hsv(0.08, rng.uniform(0.05, 0.5), rng.uniform(0.15, 0.5)))
    crown = foliage(rng, height * 0.4)
    blade = replace(crown, cut="leaf", holes=0.5)

    def grow(at: np.ndarray, way: np.ndarray, length: Number, r: Number, level: int) -> None:
        end = at + way * length
        b.limb(tuple(at.tolist()), tuple(end.tolist()), (r, r * 0.62), bark)
        if level == 0:
            if not bare:
                q = length * rng.uniform(0.9, 1.5)
                b.add("ellipsoid", tuple(end.tolist()), (q, q * rng.uniform(0.6, 0.9), q), crown)
                for _ in range(2):
                    leaf(
                        b,
                        tuple((end + q * way).tolist()),
                        (rng.uniform(0, 6.3), rng.gauss(0, 0.5)),
                        (q * 0.5, q * 0.25),
                        blade,
                    )
            return
        for k in range(rng.choice([2, 2, 3]) if level < 3 else 3):
            around = rng.uniform(0, 2 * math.pi)
            bend = 0.25 if k == 0 else rng.uniform(0.4, 0.9)
            aside = np.array([math.cos(around), rng.uniform(-0.6, 0.1), math.sin(around)])
            next_way = way * math.cos(bend) + aside * math.sin(bend)
            grow(end, next_way / np.linalg.norm(next_way), length * rng.uniform(0.6, 0.85), r * 0.62, level - 1)

    straight = np.array([rng.gauss(0, 0.06), -1.0, rng.gauss(0, 0.06)])
    grow(np.zeros(3), straight / np.linalg.norm(straight), height * 0.34, height * rng.uniform(0.02, 0.04), 3)


def meadow(b: Builder, rng: Random, near_: Number, far: Number, count: int) -> None:
    """Add tufts of grass from `near_` to `far` metres ahead, some with flowers."""
    a = hsv(rng.uniform(0.17, 0.32), rng.uniform(0.3, 0.7), rng.uniform(0.25, 0.6))
    for _ in range(count):
        z = near_ * (far / near_) ** rng.random()
        wide, tall = 0.25 * z**0.5 * rng.uniform(0.5, 1.5), rng.uniform(0.04, 0.16) * (1 + 0.1 * z)
        look = Material(
            "noise",
            a,
            near(rng, a, 0.3),
            a,
            45 / (1 + 0.5 * z),
            1.0,
            0.3,
            cut="tuft",
            holes=0.5,
            seed=rng.randrange(999),
        )
        place = b.place(rng.gauss(0, 0.45) * z, 0, z, rng.gauss(0, 0.5))
        place.add("box", (0, -tall, 0), (wide, tall, 0.003), look)
