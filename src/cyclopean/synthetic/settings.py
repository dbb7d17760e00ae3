"""Tables laid, streets of cars and houses, rooms by hand, and old scenes in other light."""

import math
from collections.abc import Callable
from dataclasses import replace
from random import Random

from cyclopean.synthetic.animals import beast
from cyclopean.synthetic.dishes import bowl, candle, cup, cutlery, napkin, plate, tumbler
from cyclopean.synthetic.figures import human
from cyclopean.synthetic.furniture import TRINKETS, table, trinket
from cyclopean.synthetic.greenery import branching, fern, flowers, leafy, shrub
from cyclopean.synthetic.illumination import against, any_hour, haze, lens, night
from cyclopean.synthetic.indoors import furnish, room, shell
from cyclopean.synthetic.materials import STUFF, cover
from cyclopean.synthetic.objects import pole
from cyclopean.synthetic.outdoors import BACKGROUND, built_up, grounds, landscape, road_end, street
from cyclopean.synthetic.scene import Builder, Layout, Material, Number, one_object
from cyclopean.synthetic.scene_types import closeup, clutter
from cyclopean.synthetic.vehicles import Plan, house, motorcycle, vehicle
from cyclopean.synthetic.wires import bicycle, net, railing


def meal(rng: Random) -> Layout:
    """Lay out food on plates, cups and glasses on a table, seen by somebody who sits there or stands over it."""
    b = Builder()
    wide, deep, height = rng.uniform(0.7, 1.8), rng.uniform(0.6, 1.1), rng.uniform(0.5, 0.78)
    if rng.random() < 0.75:
        lights, air = shell(b, rng, (rng.uniform(3, 7), rng.uniform(3.5, 8), rng.uniform(2.3, 3.2)))
        furnish(b.place(0, 0, 1.2), rng, 4, 2, rng.randint(1, 5))
    else:
        lights, air = any_hour(rng)
        grounds(b, rng, 5)
    if rng.random() < 0.25:
        top = cover(rng, "wood plain tiles", 0.6, gloss=rng.choice([0, 0.15]))
        b.thing().add("cylinder", (0, -height + 0.015, 0), (wide / 2, 0.015, wide / 2), top)
        b.limb((0, 0, 0), (0, -height, 0), (0.06, 0.04), top)
        deep = wide * 0.7
    else:
        table(b, rng, wide, deep, height)
    if rng.random() < 0.4:
        cloth = cover(rng, "plain plain checker stripes noise leaves", 0.3)
        b.add("box", (0, -height - 0.002, 0), (wide * 0.45, 0.002, deep * 0.45), cloth)
    on = b.place(0, -height - 0.004, 0)
    taken: list[tuple[Number, Number, Number]] = []

    def free(r: Number) -> Builder | None:
        for _ in range(12):
            x, z = rng.uniform(-0.42, 0.42) * wide, rng.uniform(-0.45, 0.42) * deep
            if all(math.hypot(x - u, z - v) > r + q for u, v, q in taken):
                taken.append((x, z, r))
                return on.place(x, 0, z, rng.uniform(0, 6.3))
        return None

    r = rng.uniform(0.1, 0.15)
    taken.append((0.0, -deep * 0.18, r))
    first = on.place(0, 0, -deep * 0.18)
    (plate if rng.random() < 0.8 else bowl)(first, rng, r)
    if rng.random() < 0.6:
        cutlery(first, rng, r)
    kinds = ["plate", "plate", "bowl", "cup", "cup", "glass", "glass", "candle", "napkin", "bottle", "vase", "trinket"]
    for _ in range(rng.randint(3, 12)):
        kind = rng.choice(kinds)
        size = {"plate": 0.13, "bowl": 0.09, "trinket": 0.1}.get(kind, 0.05)
        spot = free(size)
        if spot is None:
            continue
        LAID[kind](spot, rng)
    over = rng.random() < 0.2
    up = rng.uniform(0.5, 1.0) if over else rng.uniform(0.06, 0.5)
    back = rng.uniform(0.0, 0.25) if over else rng.uniform(0.25, 0.75)
    target = -deep * 0.18
    at = (rng.gauss(0, 0.1), -height - up, target - back)
    pitch = -math.atan2(up - 0.03, max(back, 0.02)) * (1.0 if over else rng.uniform(0.75, 1.0))
    distance = math.hypot(up, back)
    field = math.exp(rng.uniform(math.log(32), math.log(75)))
    capture = lens(rng, field, distance, 0.6)
    yaw = math.atan2(-at[0], max(back, 0.3)) + rng.gauss(0, 0.08)
    return Layout(b, lights, air, at, yaw, pitch, 0.015 + 0.04 * distance, 20, capture=capture)


@one_object
def _vase(b: Builder, rng: Random) -> None:
    look, high = cover(rng, STUFF, 0.2, gloss=0.2), rng.uniform(0.1, 0.22)
    b.add("frustum", (0, -high / 2, 0), (high * 0.35, high / 2, high * 0.35), look, taper=(rng.uniform(0.4, 0.9), 1))
    flowers(b.place(0, -high * 0.8, 0), rng, high * 1.3, rng.randint(2, 7))


LAID: dict[str, Callable[[Builder, Random], None]] = {
    "plate": lambda b, rng: plate(b, rng, rng.uniform(0.08, 0.13)),
    "bowl": lambda b, rng: bowl(b, rng, rng.uniform(0.06, 0.1)),
    "cup": cup,
    "glass": tumbler,
    "candle": candle,
    "napkin": napkin,
    "bottle": lambda b, rng: TRINKETS["bottle"](b, rng, rng.uniform(0.18, 0.3), cover(rng, STUFF, 0.2, gloss=0.3)),
    "vase": _vase,
    "trinket": lambda b, rng: trinket(b, rng, rng.uniform(0.08, 0.22)),
}


def vehicles(rng: Random) -> Layout:
    """Lay out a street or a yard with cars, vans and motorcycles near by, seen by somebody who stands there."""
    b, half, walk = Builder(), rng.uniform(3, 7), rng.uniform(1.2, 3)
    if rng.random() < 0.4:
        built_up(b, rng, half, walk)
        road_end(b, rng)
    else:
        homes(b, rng, half + walk)
    lights, air = any_hour(rng)
    kind = rng.choice([None, None, None, "motorcycle", "bicycle"])
    near_ = rng.uniform(2.2, 4) if kind else rng.uniform(3.8, 9)
    for k in range(rng.randint(1, 4)):
        x, z = (
            rng.gauss(0, 0.6) + (0 if k == 0 else rng.choice([-1, 1]) * 2.6 * k),
            near_ + (0 if k == 0 else rng.uniform(0, 6) + 2 * k),
        )
        place = b.place(x, 0, z, rng.choice([0, math.pi, 1.57, -1.57]) + rng.gauss(0, 0.5))
        if kind == "motorcycle":
            motorcycle(place, rng)
        elif kind == "bicycle" and k < 2:
            bicycle(place, rng)
        else:
            vehicle(place, rng)
    for _ in range(rng.randint(0, 3)):
        human(
            b.place(rng.choice([-1, 1]) * rng.uniform(1, 4), 0, near_ + rng.uniform(-1, 6), rng.uniform(0, 6.3)),
            rng,
            rng.uniform(1.2, 1.9),
        )
    height = rng.uniform(0.5, 1.8)
    field = math.exp(rng.uniform(math.log(35), math.log(85)))
    capture = lens(rng, field, near_, 0.25)
    at, pitch = (rng.gauss(0, 0.5), -height, 0.0), math.atan2(0.8 - height, near_) + rng.gauss(0.02, 0.05)
    return Layout(b, lights, air, at, rng.gauss(0, 0.15), pitch, rng.uniform(0.08, 0.3), 80, capture=capture)


def homes(b: Builder, rng: Random, edge: Number) -> None:
    """Add a road along z, of half width `edge`, between houses with gardens, fences and trees."""
    b.add("plane", (0, 0, 0), (1, 1, 1), cover(rng, "road gravel tiles noise", 3, (rng.uniform(0.3, 0.6),) * 3))
    grass = cover(rng, "gravel leaves noise", 0.6, (0.25, rng.uniform(0.35, 0.5), 0.2))
    for side in (-1, 1):
        b.add("box", (side * (edge + 20), -0.04, 60), (20, 0.05, 90), grass)
        z = rng.uniform(2, 8)
        while z < 60:
            wide, deep = rng.uniform(6, 12), rng.uniform(6, 10)
            x = side * (edge + deep / 2 + rng.uniform(1.5, 6))
            seen = () if z > 26 else (0, 3) if side > 0 else (0, 1)
            plan = Plan(wide, deep, rng.choice([1, 1, 2, 2, 3]), seen)
            house(b.place(x, 0, z + wide / 2, -side * math.pi / 2), rng, plan)
            if z < 25:
                shrub(b.place(side * (edge + 0.8), 0, z + rng.uniform(0, wide)), rng, rng.uniform(0.6, 1.6), 25)
            if rng.random() < 0.4:
                beside = b.place(side * (edge + rng.uniform(0.5, 3)), 0, z + wide)
                (AROUND["tree"] if z < 15 else BACKGROUND["tree"])(beside, rng)
            if rng.random() < 0.3 and z < 30:
                along = b.place(side * edge, 0, z + wide / 2, math.pi / 2)
                (railing if rng.random() < 0.6 else _wire)(along, rng, wide)
            z += wide + rng.uniform(1, 8)
    for _ in range(rng.randint(0, 3)):
        pole(b.place(rng.choice([-1, 1]) * edge, 0, rng.uniform(4, 40)), rng)


def _wire(b: Builder, rng: Random, length: Number) -> None:
    net(b, rng, length, rng.uniform(0.9, 1.6), rng.uniform(0.08, 0.15))


def houses(rng: Random) -> Layout:
    """Lay out houses with roofs: one from its garden, or a street of them."""
    b, field = Builder(), math.exp(rng.uniform(math.log(40), math.log(90)))
    lights, air = any_hour(rng)
    if rng.random() < 0.5:
        homes(b, rng, rng.uniform(3, 6))
        for _ in range(rng.randint(0, 3)):
            vehicle(
                b.place(rng.choice([-1, 1]) * rng.uniform(1.5, 3), 0, rng.uniform(7, 30), rng.choice([0, math.pi])), rng
            )
        height, yaw, pitch, distance = rng.uniform(1, 5), rng.gauss(0, 0.3), rng.gauss(0.05, 0.1), 12.0
    else:
        wide, storeys = rng.uniform(6, 14), rng.choice([1, 2, 2, 3])
        distance = wide * rng.uniform(0.8, 1.6) / (2 * math.tan(math.radians(field) / 2)) + 3
        grounds(b, rng, distance * 1.8)
        plan = Plan(wide, rng.uniform(6, 10), storeys)
        house(b.place(rng.gauss(0, 1), 0, distance + 4, math.pi + rng.gauss(0, 0.7)), rng, plan)
        for _ in range(rng.randint(0, 5)):
            x, z = rng.gauss(0, 0.4) * distance, distance * rng.uniform(0.4, 1.2)
            kind = rng.choice(["shrub", "tree", "person", "car", "rail"])
            AROUND[kind](b.place(x, 0, z, rng.uniform(0, 6.3)), rng)
        height, yaw, pitch = (
            rng.uniform(0.8, 2.2),
            rng.gauss(0, 0.08),
            math.atan2(storeys * 1.6, distance + 4) * rng.uniform(0.5, 1),
        )
    capture = lens(rng, field, distance, 0.1)
    return Layout(b, lights, air, (0.0, -height, 0.0), yaw, pitch, rng.uniform(0.15, 0.5), 80, capture=capture)


AROUND: dict[str, Callable[[Builder, Random], None]] = {
    "shrub": lambda b, rng: shrub(b, rng, rng.uniform(0.6, 1.8), 40),
    "tree": lambda b, rng: branching(b, rng, rng.uniform(4, 9), rng.random() < 0.3),
    "person": lambda b, rng: human(b, rng, rng.uniform(1.2, 1.9)),
    "car": vehicle,
    "rail": lambda b, rng: railing(b, rng, rng.uniform(3, 6)),
}


@one_object
def _stool(b: Builder, rng: Random) -> None:
    """Add a stool, a chair or a small round table on thin splayed legs."""
    high, r = rng.uniform(0.4, 0.75), rng.uniform(0.16, 0.4)
    wood, seat = cover(rng, "wood plain", 0.3), cover(rng, STUFF, 0.3)
    b.add("cylinder", (0, -high, 0), (r, rng.uniform(0.012, 0.04), r), seat)
    legs = rng.choice([3, 4])
    for k in range(legs):
        a = 2 * math.pi * k / legs
        b.limb(
            (r * 0.6 * math.cos(a), -high, r * 0.6 * math.sin(a)),
            (r * 1.05 * math.cos(a), 0, r * 1.05 * math.sin(a)),
            (0.018, 0.012),
            wood,
        )
    if r < 0.28 and rng.random() < 0.5:
        for x in (-0.7, 0, 0.7):
            b.limb((r * x, -high, -r * 0.85), (r * x, -high - 0.4, -r * 1.05), (0.011, 0.011), wood)
        b.limb((-r * 0.9, -high - 0.4, -r * 1.05), (r * 0.9, -high - 0.4, -r * 1.05), (0.03, 0.03), wood, 0.5)


@one_object
def _desk(b: Builder, rng: Random) -> None:
    """Add a desk on trestles with a screen, a keyboard, a lamp and cups."""
    wood, steel = cover(rng, "wood plain", 0.6), Material("plain", (0.05,) * 3, (0.12,) * 3, gloss=0.1)
    high, w = 0.73, rng.uniform(0.5, 0.9)
    b.add("box", (0, -high, 0), (w, 0.018, 0.36), wood)
    for x in (-1, 1):
        for z in (-1, 1):
            b.limb((x * w * 0.85, -high, 0), (x * w * 0.9, 0, z * 0.3), (0.02, 0.016), steel)
    shown = replace(cover(rng, "poster picture picture", 0.4), glow=rng.choice([0, 0.6]))
    b.add("box", (0, -high - 0.34, -0.15), (0.3, 0.18, 0.012), steel)
    b.add("box", (0, -high - 0.34, -0.137), (0.29, 0.17, 0.002), shown)
    b.limb((0, -high, -0.17), (0, -high - 0.25, -0.17), (0.02, 0.02), steel)
    b.add("box", (0, -high - 0.025, 0.12), (0.21, 0.008, 0.065), cover(rng, "checker tiles", 0.1))
    cup(b.place(0.32, -high - 0.018, 0.05), rng)
    arm = (-0.36, -high - 0.4, -0.1)
    b.limb((-0.4, -high, -0.2), arm, (0.011, 0.011), steel)
    b.limb(arm, (-0.25, -high - 0.48, 0.08), (0.011, 0.011), steel)
    b.add("cone", (-0.24, -high - 0.45, 0.1), (0.08, 0.07, 0.08), steel)


@one_object
def _shelves(b: Builder, rng: Random) -> None:
    """Add open shelves with all sorts of things on them."""
    wood, w, high, levels = (
        cover(rng, "wood plain", 0.6),
        rng.uniform(0.35, 0.7),
        rng.uniform(0.9, 2.0),
        rng.randint(3, 5),
    )
    for k in range(levels + 1):
        y = high * k / levels + 0.02
        b.add("box", (0, -y, 0), (w, 0.012, 0.16), wood)
        x = -w * 0.85
        while k < levels and x < w * 0.85:
            size = high / levels * rng.uniform(0.3, 0.75)
            trinket(replace(b, object=0).place(x, -y - 0.012, rng.gauss(0, 0.02), rng.uniform(0, 6)), rng, size)
            x += size * rng.uniform(0.6, 1.2)
    for x in (-w, w):
        for z in (-0.15, 0.15):
            b.add("box", (x, -high / 2, z), (0.012, high / 2, 0.012), wood)


def _laid(b: Builder, rng: Random) -> None:
    wide, deep, high = rng.uniform(0.7, 1.6), rng.uniform(0.5, 0.9), rng.uniform(0.45, 0.78)
    table(b, rng, wide, deep, high)
    for _ in range(rng.randint(1, 5)):
        spot = b.place(rng.uniform(-0.4, 0.4) * wide, -high, rng.uniform(-0.35, 0.35) * deep, rng.uniform(0, 6))
        LAID[rng.choice(list(LAID))](spot, rng)


HANDY: dict[str, Callable[[Builder, Random], None]] = {
    "stool": _stool,
    "desk": _desk,
    "shelves": _shelves,
    "leafy": lambda b, rng: leafy(b, rng, rng.uniform(0.4, 1.4)),
    "fern": lambda b, rng: fern(b, rng, rng.uniform(0.5, 1.4)),
    "human": lambda b, rng: human(b, rng, rng.uniform(1.0, 1.9)),
    "cat": lambda b, rng: beast(b, rng, rng.choice(["cat", "dog"]), rng.choice(["sit", "stand", "lie", "walk"])),
    "bicycle": bicycle,
    "laid": _laid,
}


def handheld(rng: Random) -> Layout:
    """Lay out a furnished room as a hand holds a camera in it: at any height, tilted up to 50 degrees and rolled up to
    25, some of the time close to a wall or to a piece of furniture.
    """
    b, (w, d, h) = Builder(), (rng.uniform(2.4, 6), rng.uniform(2.8, 7), rng.uniform(2.2, 3))
    lights, air = shell(b, rng, (w, d, h))
    furnish(b, rng, w, d, rng.randint(2, 7))
    height = rng.choice([rng.uniform(0.25, 0.8), rng.uniform(0.7, 1.1), rng.uniform(1.1, 1.8)])
    edge = rng.choice([0.12, 0.25, rng.uniform(0.3, 1.2)])
    position = (rng.uniform(-0.42, 0.42) * w, -height, -d / 2 + edge)
    yaw = math.atan2(-position[0], d * 0.4) + rng.gauss(0, 0.5)
    if rng.random() < 0.3:
        position, yaw = (-w / 2 + edge, -height, rng.uniform(-0.4, 0.2) * d), rng.gauss(0.3, 0.5)
    for k in range(rng.randint(4, 8)):
        x, z = rng.uniform(-0.42, 0.42) * w, rng.uniform(-0.3, 0.45) * d
        if k < 3:  # in sight
            way, away = yaw + rng.gauss(0, 0.25), rng.uniform(0.7, 2.5)
            x, z = position[0] + away * math.sin(way), position[2] + away * math.cos(way)
            x, z = min(max(x, -0.45 * w), 0.45 * w), min(max(z, -0.45 * d), 0.45 * d)
        HANDY[rng.choice(list(HANDY))](b.place(x, 0, z, rng.uniform(0, 6.3)), rng)
    if height > 1:
        pitch = -abs(rng.gauss(0, 0.4)) if rng.random() < 0.8 else rng.uniform(0, 0.5)
    else:
        pitch = rng.gauss(-0.05, 0.3)
    roll = min(max(rng.gauss(0, 0.17), -0.436), 0.436)
    pitch = min(max(pitch, -0.873), 0.873)
    field = math.exp(rng.uniform(math.log(45), math.log(85)))
    capture = lens(rng, field, rng.uniform(0.8, 3), 0.25)
    air = replace(air, ambient=air.ambient * rng.choice([1, 1, 1, 0.3]))
    at = replace(capture, roll=roll)
    baseline, floor = rng.uniform(0.03, 0.05), (w / 2, d / 2)
    # No wall that is near is in the way: neither eye nor a step of a clip comes as far as one.
    return Layout(b, lights, air, position, yaw, pitch, baseline, 20, floor, capture=at, clearance=0.1)


def nocturne(rng: Random) -> Layout:
    """Lay out a street, a landscape, a close-up, a room or shelves in other light than theirs: a night with lamps,
    against the sun, in haze, by one lamp.
    """
    layout = rng.choice([street, street, landscape, closeup, clutter, room])(rng)
    capture = lens(rng, math.exp(rng.uniform(math.log(35), math.log(85))), rng.uniform(1, 8), 0.3)
    if layout.air.haze == 0:  # under a roof
        lamps = layout.lights[:1]
        air = replace(layout.air, ambient=rng.uniform(0.01, 0.12))
        dim = replace(capture, key=rng.uniform(0.2, 0.4))
        return replace(layout, lights=lamps, air=air, capture=dim)
    kind = rng.choice([night, night, against, haze])
    lights, air = kind(rng)
    key = rng.uniform(0.18, 0.36) if kind is night else rng.uniform(0.3, 0.5)
    return replace(layout, lights=lights, air=air, capture=replace(capture, key=key))
