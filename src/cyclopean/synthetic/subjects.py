"""What photographs are of: people and animals, near and very near, in many poses, in any light."""

import math
from dataclasses import replace
from random import Random

from cyclopean.synthetic.animals import BREEDS, beast, bird
from cyclopean.synthetic.figures import cloth, human
from cyclopean.synthetic.greenery import branching, cactus, fern, flowers, leafy, meadow, pot, shrub
from cyclopean.synthetic.illumination import Lit, any_hour, lens
from cyclopean.synthetic.indoors import furnish, shell
from cyclopean.synthetic.materials import cover
from cyclopean.synthetic.outdoors import grounds
from cyclopean.synthetic.scene import Builder, Layout, Number
from cyclopean.synthetic.wires import THIN, net, railing, twigs


def place_around(b: Builder, rng: Random, distance: Number) -> Lit:
    """Build what is around and behind a subject `distance` metres before the camera: a room, a wall or open country."""
    kind = rng.choice(["open", "open", "open", "room", "room", "room", "wall", "print"])
    if kind == "open":
        grounds(b, rng, distance * rng.uniform(1.5, 4))
        return any_hour(rng)
    deep = distance * rng.uniform(1.1, 1.6) if kind in ("wall", "print") else distance + rng.uniform(1.0, 6)
    wide = max(2 * distance, rng.uniform(2.5, 7))
    middle = (deep - 2) / 2
    lights, air = shell(b.place(0, 0, middle), rng, (wide, deep + 2, rng.uniform(2.2, 3.4)))
    lights = tuple(replace(lamp, position=(*lamp.position[:2], lamp.position[2] + middle)) for lamp in lights)
    if kind == "print":  # a photograph as large as the wall, as in studios and stations
        look = replace(cover(rng, "picture", 1), scale=1 / rng.uniform(1.5, 2.5) / max(distance, 0.5))
        b.add("box", (0, -1.3, deep - 0.05), (wide / 2, 1.4, 0.02), look)
    elif kind == "room":
        furnish(b.place(0, 0, distance + (deep - distance) / 2), rng, wide, (deep - distance) * 0.8, rng.randint(1, 6))
    return lights, replace(air, ambient=air.ambient * rng.choice([1, 1, 0.3]))


def people(rng: Random) -> Layout:
    """Lay out one to five people, whole or in part, or a face and shoulders that fill the frame."""
    b = Builder()
    framed = rng.choice(["face", "face", "bust", "bust", "whole", "whole", "group", "group"])
    field = math.exp(rng.uniform(math.log(26), math.log(55 if framed == "face" else 80)))
    half = math.tan(math.radians(field) / 2) * 0.7  # of a picture's height at a metre, about
    tall = rng.uniform(1.5, 1.92) if rng.random() < 0.8 else rng.uniform(0.8, 1.5)
    seen = {"face": rng.uniform(0.26, 0.42), "bust": rng.uniform(0.5, 1.1)}.get(framed, tall * rng.uniform(1.0, 1.7))
    distance = max(seen / 2 / half, 0.28)
    lights, air = place_around(b, rng, distance)
    for k in range(1 if framed in ("face", "bust", "whole") else rng.randint(2, 5)):
        x = rng.gauss(0, 0.08) * seen if k == 0 else rng.choice([-1, 1]) * rng.uniform(0.45, 1.3) * k
        z = distance + (0 if k == 0 else rng.uniform(-0.3, 1.2))
        pose = (
            None if framed in ("whole", "group") else rng.choice(["stand", "stand", "hold", "akimbo", "wave", "walk"])
        )
        facing = rng.gauss(0, 0.45) if framed == "face" or rng.random() < 0.8 else rng.uniform(0, 6.3)
        sits = pose is None and rng.random() < 0.15
        place = b.place(x, 0, z, math.pi + facing)
        if sits:
            seat = rng.uniform(0.38, 0.5)
            place.thing().add("box", (0, -seat / 2, -0.1), (0.25, seat / 2, 0.22), cloth(rng))
            human(place, rng, tall, "sit", seat)
        else:
            human(place, rng, tall if k == 0 else tall * rng.uniform(0.85, 1.1), pose)
    aim = {"face": tall * 0.92, "bust": tall * 0.8}.get(framed, tall * rng.uniform(0.4, 0.6))
    near = framed == "face" or rng.random() < 0.8
    height = max(0.25, aim + rng.gauss(0, 0.12) * seen) if near else rng.uniform(0.3, 2.2)
    pitch = math.atan2(height - aim, distance)
    capture = lens(rng, field, distance)
    return Layout(
        b, lights, air, (0.0, -height, 0.0), rng.gauss(0, 0.06), -pitch, 0.02 + 0.03 * distance, 40, capture=capture
    )


# How an animal is likely to be seen.
MOODS = {
    "cat": "sit sit lie stand walk",
    "dog": "sit stand walk run lie",
    "rabbit": "sit stand",
    "horse": "stand walk run",
    "cow": "stand walk lie",
    "sheep": "stand walk lie",
}


def animals(rng: Random) -> Layout:
    """Lay out one to four animals of a kind, whole or a head that fills the frame; sometimes people are with them."""
    b = Builder()
    kind = rng.choice(["cat", "cat", "dog", "dog", "dog", "horse", "cow", "sheep", "rabbit", "bird", "bird"])
    field = math.exp(rng.uniform(math.log(26), math.log(75)))
    half = math.tan(math.radians(field) / 2) * 0.7
    mood = "stand" if kind == "bird" else rng.choice(MOODS[kind].split())
    size = rng.uniform(0.15, 0.6) if kind == "bird" else sum(BREEDS[kind].height) / 2
    close = kind != "bird" and rng.random() < 0.3
    seen = size * (rng.uniform(0.75, 1.1) if close else rng.uniform(1.4, 3))
    distance = max(seen / 2 / half, 0.25) + 0.5 * size
    lights, air = place_around(b, rng, distance + size)
    for k in range(1 if close else rng.choice([1, 1, 2, 3, 4])):
        x = rng.gauss(0, 0.1) * seen if k == 0 else rng.choice([-1, 1]) * rng.uniform(0.7, 1.6) * k * size
        z = distance + (0 if k == 0 else rng.uniform(-0.2, 2) * size)
        turned = (
            rng.gauss(0, 0.5) if close else rng.choice([rng.gauss(0, 0.7), rng.gauss(1.4, 0.4), rng.gauss(-1.4, 0.4)])
        )
        place = b.place(x, 0, z, math.pi + turned)
        if kind == "bird":
            bird(place, rng, size * rng.uniform(0.8, 1.2))
        else:
            beast(place, rng, kind, mood if k == 0 else rng.choice(MOODS[kind].split()))
    if kind in ("dog", "horse", "cow") and rng.random() < 0.35 and not close:
        human(b.place(rng.choice([-1, 1]) * size * 0.9, 0, distance + 0.3, math.pi + rng.gauss(0, 0.8)), rng)
    aim = size * ((1.15 if close else 0.65) if kind != "bird" else 0.5) * (0.7 if mood == "lie" else 1)
    low = size < 0.35 or rng.random() < 0.6
    height = max(0.08, aim * rng.uniform(0.6, 1.6)) if low else rng.uniform(0.6, 1.7)
    pitch = math.atan2(height - aim, distance)
    capture = lens(rng, field, distance)
    yaw = rng.gauss(0, 0.06)
    return Layout(b, lights, air, (0.0, -height, 0.0), yaw, -pitch, 0.02 + 0.03 * distance, 40, capture=capture)


def plants(rng: Random) -> Layout:
    """Lay out plants with leaves: in pots, in a bed, on a meadow, or under trees."""
    b = Builder()
    field = math.exp(rng.uniform(math.log(28), math.log(80)))
    half = math.tan(math.radians(field) / 2) * 0.7
    framed = rng.choice(["potted", "potted", "potted", "bed", "bed", "meadow", "trees", "trees"])
    size = {"potted": rng.uniform(0.25, 1.2), "bed": rng.uniform(0.3, 0.8), "meadow": rng.uniform(0.2, 0.5)}
    seen = size.get(framed, rng.uniform(4, 9)) * rng.uniform(0.8, 1.6)
    tall, distance = size.get(framed, seen), max(seen / 2 / half, 0.3) + 0.2 * seen
    if framed == "potted":
        lights, air = place_around(b, rng, distance + tall)
        for k in range(rng.randint(1, 4)):
            x, z = (rng.gauss(0, 0.05) if k == 0 else rng.choice([-1, 1]) * rng.uniform(0.6, 1.2) * k) * tall, distance
            place = b.place(x, 0, z + rng.uniform(-0.1, 0.5) * k * tall, rng.uniform(0, 6.3))
            POTTED[rng.choice(list(POTTED))](place, rng, tall * rng.uniform(0.7, 1.15))
    else:
        grounds(b, rng, distance * rng.uniform(2, 4))
        lights, air = any_hour(rng)
        meadow(b, rng, distance * 0.7, distance * 4, rng.randint(20, 60))
        for _ in range(rng.randint(2, 6) if framed == "trees" else rng.randint(3, 9)):
            x, z = rng.gauss(0, 0.35) * distance, distance * rng.uniform(0.9, 2.0)
            place = b.place(x, 0, z, rng.uniform(0, 6.3))
            WILD[rng.choice(GROWTH[framed].split())](place, rng, tall * rng.uniform(0.7, 1.2))
    aim = tall * rng.uniform(0.45, 0.6)
    height = max(0.1, aim * rng.uniform(0.7, 2.2)) if framed != "trees" else rng.uniform(0.8, 2)
    capture = lens(rng, field, distance)
    pitch = math.atan2(aim - height, distance)
    at, yaw = (0.0, -height, 0.0), rng.gauss(0, 0.06)
    return Layout(b, lights, air, at, yaw, pitch, 0.02 + 0.03 * min(distance, 10), 40, capture=capture)


POTTED = {
    "leafy": leafy,
    "fern": fern,
    "cactus": cactus,
    "flowers": lambda b, rng, size: _flower_pot(b.thing(), rng, size),
    "shrub": shrub,
}
WILD = {
    "leafy": lambda b, rng, size: leafy(b, rng, size, False),
    "fern": lambda b, rng, size: fern(b, rng, size, False),
    "flowers": lambda b, rng, size: flowers(b, rng, size, rng.randint(3, 8)),
    "shrub": shrub,
    "branching": branching,
    "bare": lambda b, rng, size: branching(b, rng, size, True),
}
GROWTH = {
    "bed": "flowers flowers leafy shrub fern",
    "meadow": "flowers flowers flowers leafy",
    "trees": "branching branching bare",
}


def _flower_pot(b: Builder, rng: Random, size: Number) -> None:
    high = pot(b, rng, size * 0.4)
    flowers(b.place(0, -high, 0), rng, size - high, rng.randint(3, 9))


def thin(rng: Random) -> Layout:
    """Lay out thin things: bicycles, railings, nets, wires; sometimes the camera looks through one of them."""
    b = Builder()
    field = math.exp(rng.uniform(math.log(32), math.log(85)))
    kind = rng.choice(["bicycle", "bicycle", "bicycle", "railing", "railing", "net", "overhead", "ladder", "tower"])
    across = {"bicycle": 1.9, "overhead": 14.0, "ladder": 3.0, "tower": 4.5}.get(kind, 3.5) * rng.uniform(0.7, 1.3)
    distance = across / 2 / math.tan(math.radians(field) / 2)
    through = rng.random() < 0.35
    grounds(b, rng, distance * rng.uniform(1.2, 3))
    lights, air = any_hour(rng)
    for k in range(rng.choice([1, 1, 2, 3]) if kind in ("bicycle", "ladder", "tower") else 1):
        place = b.place(
            rng.gauss(0, 0.1) + 0.7 * k, 0, distance + 0.6 * k, rng.gauss(0, 0.4) + rng.choice([0, math.pi])
        )
        THIN[kind](place, rng)
    if rng.random() < 0.3:
        human(b.place(rng.gauss(0, 1), 0, distance + rng.uniform(0.5, 2), rng.uniform(0, 6.3)), rng)
    height = rng.uniform(0.5, 1.8)
    if through:
        gap = rng.uniform(0.5, 1.2)
        before = b.place(0, 0, gap, rng.gauss(0, 0.3))
        blind = rng.choice(["net", "railing", "twigs", "twigs"])
        if blind == "net":
            net(before, rng, 6, 2.6, rng.uniform(0.05, 0.1))
        elif blind == "railing":
            railing(before, rng, 5, height + rng.uniform(-0.2, 0.6))
        else:
            twigs(before.place(0, -height + rng.gauss(0, 0.15), 0), rng, gap * 1.5)
    aim = rng.uniform(0.4, 1.0) if kind != "overhead" else 4.0
    capture = lens(rng, field, distance)
    pitch = math.atan2(aim - height, distance)
    at, yaw = (0.0, -height, 0.0), rng.gauss(0, 0.08)
    return Layout(b, lights, air, at, yaw, pitch, 0.03 + 0.02 * min(distance, 10), 40, capture=capture)
