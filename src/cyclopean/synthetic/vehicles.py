"""Cars, vans, buses, lorries and motorcycles with windows, facing z; houses with roofs; metres, at the origin."""

import math
from dataclasses import dataclass, replace
from random import Random

from cyclopean.synthetic.materials import cover, hsv, near, paint
from cyclopean.synthetic.scene import Builder, Material, Number, Triple, one_object, turn

ACROSS = turn(0, 0, math.pi / 2)  # the axis of a cylinder along x
# Half length, half width, height of the belt line, of the roof; the cabin's half length and its place, as shares of the
# half length; how much of the cabin's length is left at the roof.
BODIES = {
    "sedan": (2.25, 0.88, 0.9, 1.42, 0.55, -0.08, 0.55),
    "hatch": (1.95, 0.86, 0.95, 1.5, 0.66, -0.26, 0.72),
    "suv": (2.25, 0.93, 1.1, 1.75, 0.68, -0.24, 0.8),
    "van": (2.4, 0.95, 1.15, 2.0, 0.84, -0.12, 0.88),
    "pickup": (2.6, 0.95, 1.05, 1.75, 0.36, 0.05, 0.7),
    "bus": (5.5, 1.25, 1.3, 3.0, 0.995, 0.0, 0.99),
}


def _pane() -> Material:
    return Material("plain", (0.04, 0.05, 0.06), (0.09, 0.11, 0.13), (0, 0, 0), 2, 0.5, 0.05, 0.6)


@one_object
def vehicle(b: Builder, rng: Random, kind: str | None = None) -> None:
    """Add a car of a kind in `BODIES`, or a `lorry`."""
    kind = kind or rng.choice(["sedan", "sedan", "hatch", "hatch", "suv", "van", "van", "pickup", "bus", "lorry"])
    colour = paint(rng, 0.5)
    body = Material(
        "plain", colour, near(rng, colour, 0.08), colour, 2, 0.3, 0.05, rng.uniform(0.1, 0.4), seed=rng.randrange(999)
    )
    if kind == "lorry":
        _lorry(b, rng, body)
        return
    half, wide, belt, roof, share, place, top = BODIES[kind]
    half, wide = half * rng.uniform(0.93, 1.08), wide * rng.uniform(0.96, 1.05)
    low = 0.24 if kind != "bus" else 0.3
    middle = low + (belt - low) * 0.55
    b.add(
        "wedge",
        (0, -(low + middle) / 2, 0),
        (wide, (middle - low) / 2, half),
        body,
        turn(0, 0, math.pi),
        taper=(0.94, 0.96),
    )
    b.add("wedge", (0, -(middle + belt) / 2, 0), (wide, (belt - middle) / 2, half), body, taper=(0.95, 0.96))
    cabin = (wide * 0.95, (roof - belt) / 2, half * share)
    _glazed(b, (0, -(belt + roof) / 2, half * place), cabin, (0.97 if kind == "bus" else 0.84, top), body)
    if kind == "pickup":
        b.add(
            "box",
            (0, -belt, -half * 0.65),
            (wide * 0.85, 0.02, half * 0.3),
            Material("plain", (0.04,) * 3, (0.06,) * 3),
        )
    _trim(b, rng, (wide, belt, half), body, low)
    radius = 0.5 if kind == "bus" else rng.uniform(0.3, 0.38)
    for z in (-0.6, 0.62):
        _wheel_pair(b, wide, radius, z * half)


def _glazed(b: Builder, at: Triple, half: Triple, taper: tuple[Number, Number], body: Material) -> None:
    """Add a cabin and, a little proud of it, panes on all four sides with posts between those of the long ones."""
    x, y, z = at
    w, h, deep = half
    b.add("wedge", at, half, body, taper=taper)
    low, high, pane = 0.92, -0.72, _pane()  # of the panes, in the unit shape

    def width(place: Number, which: int) -> Number:
        return (1 + taper[which]) / 2 + (1 - taper[which]) / 2 * place

    tall, middle = h * (low - high) / 2, y + h * (low + high) / 2
    for inset_x, inset_z, grow in ((1.0, 0.9, (0.012, 0)), (0.88, 1.0, (0, 0.012))):
        base = (w * width(low, 0) * inset_x + grow[0], tall, deep * width(low, 1) * inset_z + grow[1])
        roof = (
            (w * width(high, 0) * inset_x + grow[0]) / base[0],
            (deep * width(high, 1) * inset_z + grow[1]) / base[2],
        )
        b.add("wedge", (x, middle, z), base, pane, taper=roof)
    posts = 1 if deep < 2.5 else 6
    for k in range(posts):
        along = z + deep * ((k + 1) / (posts + 1) * 2 - 1) * 0.8
        base = (w * width(low, 0) + 0.02, tall, 0.035)
        b.add("wedge", (x, middle, along), base, body, taper=(w * width(high, 0) / base[0], 1))


def _trim(b: Builder, rng: Random, size: Triple, body: Material, low: Number) -> None:
    """Add lamps, bumpers, a grille, plates, mirrors and the gaps of doors."""
    wide, belt, half = size
    dark = Material("plain", (0.03,) * 3, (0.06,) * 3, (0, 0, 0))
    white = Material("plain", (0.95, 0.95, 0.9), (0.8, 0.8, 0.8), (1, 1, 1), glow=rng.choice([0, 0, 0.5, 2]), gloss=0.3)
    red = Material("plain", (0.6, 0.03, 0.03), (0.5, 0.02, 0.02), (1, 0, 0), glow=rng.choice([0, 0.3, 1]))
    plate = Material("poster", (0.9, 0.9, 0.85), (0.85, 0.85, 0.8), (0.05, 0.05, 0.05), 9, seed=rng.randrange(999))
    lamp = rng.uniform(0.62, 0.75) * belt
    for side in (-1, 1):
        b.add("ellipsoid", (side * wide * 0.74, -lamp, half * 0.97), (0.17, rng.uniform(0.06, 0.11), 0.09), white)
        b.add("box", (side * wide * 0.8, -lamp, -half * 0.985), (0.13, rng.uniform(0.06, 0.18), 0.04), red)
        b.add("ellipsoid", (side * (wide + 0.1), -belt - 0.06, half * 0.28), (0.1, 0.08, 0.06), body)
        for z in (0.32, -0.08, -0.42):
            b.add("box", (side * wide * 0.985, -belt * 0.68, half * z), (0.02, belt * 0.3, 0.006), dark)
    b.add("box", (0, -belt * 0.62, half * 0.985), (wide * 0.42, 0.08, 0.02), dark)
    for z in (-1, 1):
        b.add(
            "box", (0, -low - 0.14, z * half * 0.985), (wide * 0.93, 0.07, 0.05), dark if rng.random() < 0.5 else body
        )
        b.add("box", (0, -low - 0.28, z * (half * 0.985 + 0.02)), (0.26, 0.055, 0.02), plate)


def _wheel_pair(b: Builder, wide: Number, radius: Number, z: Number) -> None:
    rubber = Material("noise", (0.04,) * 3, (0.08,) * 3, (0, 0, 0), 20)
    bright = Material("plain", (0.65,) * 3, (0.5,) * 3, (0, 0, 0), gloss=0.3, cut="spokes", holes=0.85, seed=2)
    for side in (-1, 1):
        b.add(
            "cylinder",
            (side * (wide - 0.09), -radius * 1.04, z),
            (radius * 1.18, 0.1, radius * 1.18),
            replace(rubber, a=(0.01,) * 3, b=(0.02,) * 3),
            ACROSS,
        )
        b.add("cylinder", (side * (wide - 0.1), -radius, z), (radius, 0.12, radius), rubber, ACROSS)
        b.add("cylinder", (side * (wide + 0.024), -radius, z), (radius * 0.66, 0.01, radius * 0.66), bright, ACROSS)


def _lorry(b: Builder, rng: Random, body: Material) -> None:
    half, wide, tall = rng.uniform(2.8, 4.5), 1.2, rng.uniform(2.8, 3.8)
    load = cover(rng, "plain plain poster picture stripes", 3)
    b.add("box", (0, -(0.95 + tall) / 2, -half * 0.3), (wide, (tall - 0.95) / 2, half * 0.7), load)
    b.add("box", (0, -0.8, -0.1), (wide * 0.85, 0.15, half), Material("plain", (0.05,) * 3, (0.08,) * 3))
    _glazed(b, (0, -2.05, half * 0.72), (wide * 0.95, 0.55, half * 0.25), (0.95, 0.85), body)
    b.add("box", (0, -1.0, half * 0.72), (wide, 0.55, half * 0.27), body)
    _trim(b.place(0, 0, 0), rng, (wide, 1.2, half), body, 0.3)
    for z in (-0.75, -0.45, 0.7):
        _wheel_pair(b, wide, 0.48, z * half)


@one_object
def motorcycle(b: Builder, rng: Random) -> None:
    """Add a motorcycle or a scooter along z."""
    body = cover(rng, "plain", 0.4, paint(rng, 0.8), 0.3)
    dark, bright = Material("noise", (0.05,) * 3, (0.1,) * 3), Material("plain", (0.6,) * 3, (0.45,) * 3, gloss=0.4)
    r, base = rng.uniform(0.24, 0.32), rng.uniform(0.6, 0.72)
    for z in (-base, base):
        b.add("cylinder", (0, -r, z), (r, 0.06, r), dark, ACROSS)
        b.add(
            "cylinder", (0, -r, z), (r * 0.7, 0.065, r * 0.7), replace(bright, cut="spokes", holes=0.85, seed=3), ACROSS
        )
    b.limb((0, -0.78, -base * 0.9), (0, -0.75, 0.05), (0.1, 0.13), dark)
    b.limb((0, -0.85, 0.15), (0, -0.8, 0.35), (0.15, 0.12), body)
    b.add("box", (0, -0.45, 0.05), (0.14, 0.2, 0.26), dark)
    for x in (-0.08, 0.08):
        b.limb((x, -r, base), (x, -0.95, base * 0.62), (0.025, 0.025), bright)
        b.limb((x, -0.35, 0), (x, -0.32, -base * 1.1), (0.04, 0.05), bright)
    b.limb((-0.36, -1.02, base * 0.45), (0.36, -1.02, base * 0.45), (0.018, 0.018), dark)
    lamp = Material("plain", (0.95,) * 3, (0.9,) * 3, glow=rng.choice([0, 1.5]))
    b.add("ellipsoid", (0, -0.9, base * 0.8), (0.1, 0.1, 0.1), lamp)


@dataclass(frozen=True)
class Plan:
    """The size of a house in metres and storeys; `sides` (0: front, then right, back, left) that have windows one by
    one, while those of the others are painted.
    """

    wide: Number
    deep: Number
    storeys: int
    sides: tuple[int, ...] = (0, 1, 3)


@one_object
def house(b: Builder, rng: Random, plan: Plan) -> None:
    """Add a house with a roof, windows, a door and a chimney, its front towards z."""
    wide, deep, storeys = plan.wide, plan.deep, plan.storeys
    wall = cover(
        rng,
        "plain plain noise noise brick wood stripes",
        1.2,
        hsv(rng.choice([0.08, 0.1, 0.6, 0.0]), rng.uniform(0, 0.4), rng.uniform(0.45, 0.95)),
    )
    tile = hsv(rng.choice([0.02, 0.03, 0.6, 0.07]), rng.uniform(0.1, 0.65), rng.uniform(0.15, 0.6))
    roof = Material(
        rng.choice(["tiles", "brick", "noise", "stripes"]),
        tile,
        near(rng, tile, 0.2),
        near(rng, tile, 0.4),
        rng.uniform(2, 5),
        seed=rng.randrange(999),
    )
    high = storeys * rng.uniform(2.5, 3.0)
    if not plan.sides:
        painted = replace(wall, kind="windows", c=(0.1, 0.11, 0.13), scale=rng.uniform(0.3, 0.5))
        b.add("box", (0, -high / 2, 0), (wide / 2 + 0.01, high / 2, deep / 2 + 0.01), painted)
    b.add("box", (0, -high / 2, 0), (wide / 2, high / 2, deep / 2), wall)
    kind = rng.choice(["gable", "gable", "gable", "across", "hip", "flat"])
    rise = {"flat": 0.3}.get(kind, min(wide, deep) * rng.uniform(0.3, 0.65))
    eaves = rng.uniform(0.15, 0.6)
    taper = {"gable": (0.0, 1.0), "across": (1.0, 0.0), "hip": (rng.uniform(0.2, 0.6), 0.02), "flat": (1.0, 1.0)}[kind]
    half = (wide / 2 + eaves, rise / 2, deep / 2 + eaves)
    b.add("wedge", (0, -high - rise / 2, 0), half, roof, taper=taper)
    if kind in ("gable", "across"):  # the wall goes on below the roof
        proud = (
            (wide / 2 * 0.97, rise / 2 * 0.97, deep / 2 + eaves + 0.01)
            if kind == "gable"
            else (wide / 2 + eaves + 0.01, rise / 2 * 0.97, deep / 2 * 0.97)
        )
        b.add("wedge", (0, -high - rise * 0.97 / 2, 0), proud, wall, taper=taper)
    if rng.random() < 0.6:
        brick = cover(rng, "brick noise plain", 0.4, hsv(0.03, 0.5, 0.4))
        b.add(
            "box",
            (wide * rng.uniform(-0.3, 0.3), -high - rise * 0.85, deep * rng.uniform(-0.2, 0.2)),
            (0.3, rise * 0.4 + 0.3, 0.3),
            brick,
        )
    _openings(b, rng, plan, high / storeys)


def _openings(b: Builder, rng: Random, plan: Plan, storey: Number) -> None:
    """Add windows in rows on the sides of a plan, a door in front, maybe shutters; `storey`: its height."""
    frame = Material("plain", (0.9,) * 3, (0.85,) * 3) if rng.random() < 0.7 else cover(rng, "wood plain", 0.3)
    lit = rng.random() < 0.15
    pane = replace(_pane(), glow=2.0, a=(1.0, 0.8, 0.5), b=(0.9, 0.7, 0.4)) if lit else _pane()
    shutter = cover(rng, "stripes plain wood", 0.2, paint(rng, 0.8)) if rng.random() < 0.4 else None
    door = cover(rng, "wood plain", 0.5, paint(rng, 0.5))
    pitch, w, h = rng.uniform(1.8, 3.0), rng.uniform(0.4, 0.65), rng.uniform(0.5, 0.75)
    for side in plan.sides:
        angle = side * math.pi / 2
        distance, length = (plan.wide / 2, plan.deep) if side % 2 else (plan.deep / 2, plan.wide)
        face = b.place(0, 0, 0, angle).place(0, 0, distance)
        count = max(1, int(length / pitch))
        for k in range(count):
            x = (k + 0.5 - count / 2) * length / count
            for floor in range(plan.storeys):
                y = -(floor + 0.55) * storey
                if floor == 0 and side == 0 and k == count // 2:
                    face.add("box", (x, -1.05, 0), (0.5, 1.05, 0.05), door)
                    continue
                face.add("box", (x, y, 0), (w + 0.07, h + 0.07, 0.05), frame)
                face.add("box", (x, y, 0), (w, h, 0.06), pane)
                face.add("box", (x, y, 0), (0.03, h, 0.07), frame)
                if shutter:
                    for hinge in (-1, 1):
                        face.add("box", (x + hinge * (w * 1.5 + 0.12), y, 0), (w * 0.48, h + 0.05, 0.06), shutter)
