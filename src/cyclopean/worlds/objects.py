"""Things made of primitives, each at its own origin on the ground (y = 0, up is negative y), sizes in metres."""

import colorsys
import math
from random import Random

from cyclopean.worlds.scene import Builder, Material, Number, Triple, turn

Rgb = Triple


def hsv(h: Number, s: Number, v: Number) -> Rgb:
    return colorsys.hsv_to_rgb(h % 1, min(max(s, 0), 1), min(max(v, 0), 1))


def paint(dice: Random, vivid: Number = 0.5) -> Rgb:
    """Any colour: mostly muted, now and then vivid."""
    if dice.random() < vivid:
        return hsv(dice.random(), dice.uniform(0.3, 1), dice.uniform(0.25, 1))
    return hsv(dice.choice([0.08, 0.1, 0.6, dice.random()]), dice.uniform(0, 0.35), dice.uniform(0.1, 0.95))


def near(dice: Random, colour: Rgb, spread: Number = 0.25) -> Rgb:
    """A colour like another: brighter or darker, a little of another hue."""
    h, s, v = colorsys.rgb_to_hsv(*colour)
    return hsv(h + dice.gauss(0, 0.03), s + dice.gauss(0, spread / 2), v * math.exp(dice.gauss(0, spread * 1.6)))


def cover(dice: Random, kinds: str, size: Number, base: Rgb | None = None, gloss: Number = 0.0) -> Material:
    """A random material of one of `kinds` (space separated) with features a fraction of `size`."""
    a = base or paint(dice)
    b = near(dice, a, 0.35) if dice.random() < 0.7 else paint(dice)
    return Material(
        kind=dice.choice(kinds.split()),
        a=a,
        b=b,
        c=near(dice, b, 0.5) if dice.random() < 0.5 else paint(dice),
        scale=math.exp(dice.uniform(math.log(1.5), math.log(12))) / size,
        contrast=dice.uniform(0.4, 1.6),
        grain=dice.uniform(0.05, 0.5),
        gloss=gloss,
        seed=dice.randrange(1000003),
    )


ANY = "noise noise plain checker stripes brick wood tiles poster gravel picture picture leaves"
STUFF = "noise plain plain stripes wood poster picture noise checker"


def foliage(dice: Random, size: Number) -> Material:
    hue = dice.choice([dice.uniform(0.18, 0.4), dice.uniform(0.2, 0.33), dice.uniform(0.02, 0.15)])
    a = hsv(hue, dice.uniform(0.3, 0.8), dice.uniform(0.2, 0.6))
    return Material(
        "leaves", a, near(dice, a, 0.4), hsv(hue, 0.5, 0.08), dice.uniform(12, 45) / size, 1.2, 0.4,
        holes=dice.uniform(0.2, 0.62), seed=dice.randrange(1000003),
    )  # fmt: skip


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


def rock(b: Builder, dice: Random, size: Number) -> None:
    grey = cover(dice, "gravel noise", size, hsv(0.08, dice.uniform(0, 0.25), dice.uniform(0.2, 0.7)))
    for _ in range(dice.randint(1, 3)):
        half = [size * dice.uniform(0.3, 0.6) for _ in range(3)]
        tilt = turn(dice.uniform(0, 6.3), dice.uniform(-0.4, 0.4), dice.uniform(-0.4, 0.4))
        b.add(dice.choice(["ellipsoid", "ellipsoid", "box"]), (dice.gauss(0, size * 0.3), -half[1] * 0.6, dice.gauss(0, size * 0.3)), half, grey, tilt)  # fmt: skip


def car(b: Builder, dice: Random) -> None:
    """A car, van or lorry along z."""
    colour = paint(dice, 0.4)
    body = Material(
        "plain", colour, near(dice, colour, 0.1), colour, 2, 0.4, 0.08, dice.uniform(0.1, 0.5), seed=dice.randrange(999)
    )
    glass = Material("plain", (0.05, 0.06, 0.08), (0.1, 0.12, 0.15), (0, 0, 0), 2, 0.5, 0.05, 0.6)
    dark = Material("noise", (0.05, 0.05, 0.05), (0.12, 0.12, 0.12), (0, 0, 0), 8)
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
        b.add("box", (0, -0.3 - (tall + cabin) / 2, back), (width * 0.86, (cabin - tall) / 2, length * 0.55), glass)
        b.add("box", (0, -0.3 - cabin, back), (width * 0.84, 0.04, length * 0.5), body)
    for sx in (-1, 1):
        for sz in (-0.62, 0.62):
            b.add(
                "cylinder", (sx * width * 0.93, -0.33, sz * length), (0.33, 0.12, 0.33), dark, turn(0, 0, math.pi / 2)
            )
        for sz in (-1, 1):
            b.add("box", (sx * width * 0.75, -0.3 - tall * 0.7, sz * length), (0.16, 0.08, 0.03), lamp)


def person(b: Builder, dice: Random, height: Number = 1.75) -> None:
    """Standing, facing z."""
    s = height / 1.75
    skin = Material("plain", *(hsv(0.06, dice.uniform(0.25, 0.6), dice.uniform(0.3, 0.95)),) * 3, 8, 0.4, 0.1)
    hair = cover(dice, "noise stripes", 0.2, hsv(0.08, 0.5, dice.uniform(0.03, 0.6)))
    top = cover(dice, "plain noise stripes checker poster picture", 0.8)
    legs = cover(dice, "plain noise", 0.8, paint(dice, 0.2))
    stride = dice.uniform(0, 0.35)
    wide = dice.uniform(0.85, 1.15)
    b.add("ellipsoid", (0, -1.62 * s, 0), (0.085 * s, 0.125 * s, 0.1 * s), skin)
    b.add("ellipsoid", (0, -1.66 * s, 0.025 * s * dice.choice([-1, 1])), (0.095 * s, 0.11 * s, 0.1 * s), hair)
    b.add("cylinder", (0, -1.47 * s, 0), (0.055 * s, 0.06 * s, 0.055 * s), skin)
    b.add("ellipsoid", (0, -1.2 * s, 0), (0.22 * s * wide, 0.28 * s, 0.14 * s * wide), top)
    b.add(
        "ellipsoid",
        (0, -0.98 * s, 0),
        (0.18 * s * wide, 0.17 * s, 0.13 * s * wide),
        top if dice.random() < 0.6 else legs,
    )
    for side in (-1, 1):
        tilt = turn(0, side * stride, 0)
        b.add(
            "cylinder", (side * 0.09 * s, -0.47 * s, side * stride * 0.3), (0.075 * s, 0.45 * s, 0.08 * s), legs, tilt
        )
        arm = turn(0, -side * stride, side * dice.uniform(0.05, 0.3))
        b.add("cylinder", (side * 0.26 * s * wide, -1.15 * s, 0), (0.05 * s, 0.29 * s, 0.05 * s), top, arm)
        b.add("ellipsoid", (side * 0.29 * s * wide, -0.84 * s, 0), (0.045 * s, 0.08 * s, 0.05 * s), skin)


def animal(b: Builder, dice: Random, size: Number) -> None:
    fur = cover(dice, "noise noise stripes gravel", size, hsv(0.08, dice.uniform(0, 0.6), dice.uniform(0.1, 0.9)))
    b.add("ellipsoid", (0, -size * 0.6, 0), (size * 0.22, size * 0.25, size * 0.5), fur)
    b.add("ellipsoid", (0, -size * 0.9, size * 0.5), (size * 0.16, size * 0.17, size * 0.2), fur)
    for x in (-1, 1):
        b.add("cone", (x * size * 0.09, -size * 1.08, size * 0.48), (size * 0.05, size * 0.08, size * 0.03), fur)
        for z in (-1, 1):
            b.add(
                "cylinder",
                (x * size * 0.12, -size * 0.22, z * size * 0.32),
                (size * 0.05, size * 0.23, size * 0.06),
                fur,
            )


def building(b: Builder, dice: Random, width: Number, depth: Number, height: Number) -> None:
    """Centred on its footprint; facade towards every side."""
    wall = cover(dice, "windows windows windows windows brick noise " + ANY, 2, paint(dice, 0.25))
    pane = hsv(0.6, dice.uniform(0, 0.4), dice.uniform(0.05, 0.5))
    look = Material(
        "windows", wall.a, wall.b, pane, dice.uniform(0.25, 0.6), wall.contrast * 0.5, wall.grain, 0.05, seed=wall.seed
    )
    b.add("box", (0, -height / 2, 0), (width / 2, height / 2, depth / 2), look if dice.random() < 0.6 else wall)
    roof = cover(dice, "tiles noise plain stripes", 3, paint(dice, 0.3))
    if dice.random() < 0.35:
        b.add("box", (0, -height - 0.2, 0), (width / 2 + 0.3, 0.25, depth / 2 + 0.3), roof)
    elif dice.random() < 0.6 and height < 9:
        rise = dice.uniform(0.3, 0.8)
        slope = turn(0, 0, math.pi / 4)
        half = width / 2 / math.sqrt(2) * 1.05
        flat = turn(0, 0, 0) @ slope
        b.add("box", (0, -height, 0), (half, half, depth / 2 + 0.3), roof, flat)
        b.add("box", (width * 0.2, -height - width * rise * 0.5, 0), (0.3, width * 0.2, 0.3), wall)
    if dice.random() < 0.5:
        shop = cover(dice, "poster plain stripes picture", 2)
        b.add("box", (0, -3.1, 0), (width / 2 + 0.15, 0.35, depth / 2 + 0.15), shop)
    for _ in range(dice.randint(0, 3)):
        y = dice.uniform(3, max(3.5, height))
        b.add("box", (0, -y, 0), (width / 2 * dice.uniform(0.2, 1.02), 0.12, depth / 2 + dice.uniform(0.1, 0.9)), roof)


def pole(b: Builder, dice: Random) -> None:
    """A lamp post, a sign, a traffic light or a bollard."""
    metal = cover(dice, "plain noise", 1, hsv(0.6, 0.1, dice.uniform(0.1, 0.7)), 0.2)
    kind = dice.choice(["lamp", "sign", "light", "bollard", "board"])
    height = {"lamp": dice.uniform(4, 9), "sign": dice.uniform(2, 3), "light": dice.uniform(2.8, 4), "bollard": dice.uniform(0.6, 1.1), "board": dice.uniform(2, 5)}[kind]  # fmt: skip
    r = dice.uniform(0.03, 0.1)
    b.add("cylinder", (0, -height / 2, 0), (r, height / 2, r), metal)
    if kind == "lamp":
        b.add("box", (dice.choice([-1, 1]) * 0.6, -height, 0), (0.7, 0.06, 0.1), metal)
    elif kind == "sign":
        face = cover(dice, "plain poster stripes", 0.5, paint(dice, 0.9))
        disc = dice.random() < 0.5
        half = (0.35, 0.02, 0.35) if disc else (0.35, 0.35, 0.02)
        b.add("cylinder" if disc else "box", (0, -height, -0.06), half, face, turn(0, math.pi / 2, 0) if disc else None)
    elif kind == "light":
        b.add("box", (0, -height, 0), (0.15, 0.4, 0.13), metal)
    elif kind == "board":
        w = dice.uniform(0.5, 2)
        b.add("box", (0, -height, 0), (w, w * dice.uniform(0.3, 1), 0.06), cover(dice, "poster picture stripes", w))


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


def table(b: Builder, dice: Random, width: Number, depth: Number, height: Number) -> None:
    wood = cover(dice, "wood wood plain noise tiles", 0.6, gloss=dice.uniform(0, 0.25))
    thick = dice.uniform(0.015, 0.04)
    b.add("box", (0, -height + thick, 0), (width / 2, thick, depth / 2), wood)
    r = dice.uniform(0.02, 0.05)
    for x in (-1, 1):
        for z in (-1, 1):
            shape = "box" if r > 0.03 else "cylinder"
            b.add(
                shape,
                (x * (width / 2 - 0.06), -height / 2 + thick, z * (depth / 2 - 0.06)),
                (r, height / 2 - thick, r),
                wood,
            )


def chair(b: Builder, dice: Random) -> None:
    wood = cover(dice, "wood plain noise stripes", 0.4)
    seat = cover(dice, STUFF, 0.4)
    y = dice.uniform(0.42, 0.5)
    b.add("box", (0, -y, 0), (0.22, 0.025, 0.22), seat)
    b.add("box", (0, -y - dice.uniform(0.25, 0.35), -0.2), (0.21, dice.uniform(0.12, 0.26), 0.02), seat)
    for x in (-0.2, 0.2):
        for z in (-0.2, 0.2):
            b.add("box", (x, -y / 2 - (0.25 if z < 0 else 0), z), (0.02, y / 2 + (0.25 if z < 0 else 0), 0.02), wood)


def sofa(b: Builder, dice: Random) -> None:
    cloth = cover(dice, "noise plain stripes checker poster", 0.6)
    w = dice.uniform(0.45, 1.2)
    b.add("box", (0, -0.22, 0), (w, 0.22, 0.42), cloth)
    b.add("box", (0, -0.55, -0.34), (w, 0.33, 0.1), cloth)
    for x in (-1, 1):
        b.add("box", (x * w, -0.33, 0), (0.1, 0.33, 0.42), cloth)
        pillow = cover(dice, STUFF, 0.3)
        b.add("ellipsoid", (x * w * 0.6, -0.58, -0.12), (0.2, 0.18, 0.09), pillow, turn(dice.gauss(0, 0.3), 0.3))


def bed(b: Builder, dice: Random) -> None:
    frame, cloth = cover(dice, "wood plain", 0.6), cover(dice, "noise plain stripes checker", 0.8)
    w = dice.uniform(0.45, 0.95)
    b.add("box", (0, -0.15, 0), (w, 0.15, 1.0), frame)
    b.add("box", (0, -0.42, 0.02), (w * 0.97, 0.14, 0.98), cloth)
    b.add("box", (0, -0.45, -1.0), (w, 0.45, 0.04), frame)
    for x in (-0.5, 0.5):
        b.add(
            "ellipsoid",
            (x * w, -0.6, -0.72),
            (w * 0.42, 0.09, 0.2),
            cover(dice, "plain noise", 0.4, hsv(0.1, 0.1, 0.9)),
        )


def shelf(b: Builder, dice: Random) -> None:
    """A case with boards and things on them, facing z."""
    wood = cover(dice, "wood plain noise", 0.7)
    w, h, d = dice.uniform(0.3, 0.9), dice.uniform(0.7, 2.2), dice.uniform(0.12, 0.25)
    b.add("box", (0, -h / 2, -d), (w, h / 2, 0.015), wood)
    boards = dice.randint(2, 5)
    for x in (-1, 1):
        b.add("box", (x * w, -h / 2, 0), (0.015, h / 2, d), wood)
    for k in range(boards + 1):
        y = h * k / boards
        b.add("box", (0, -y, 0), (w, 0.015, d), wood)
        if k < boards and dice.random() < 0.85:
            books(b.place(0, -y - 0.015, 0), dice, w * 0.9, h / boards * 0.9)


def books(b: Builder, dice: Random, reach: Number, tall: Number) -> None:
    x = -reach
    while x < reach * dice.uniform(0.3, 1):
        thick = dice.uniform(0.01, 0.05) * (1 + tall)
        high = tall * dice.uniform(0.5, 0.95)
        if dice.random() < 0.8:
            b.add("box", (x + thick, -high / 2, 0), (thick * 0.95, high / 2, 0.09), cover(dice, "plain poster stripes noise", 0.15, paint(dice, 0.7)))  # fmt: skip
        x += 2 * thick if dice.random() < 0.85 else 0.25


def cabinet(b: Builder, dice: Random) -> None:
    w, h, d = dice.uniform(0.25, 0.9), dice.uniform(0.4, 2.1), dice.uniform(0.2, 0.35)
    look = cover(dice, "wood wood plain noise", 0.6, gloss=dice.uniform(0, 0.2))
    b.add("box", (0, -h / 2, 0), (w, h / 2, d), look)
    knob = cover(dice, "plain", 0.1, gloss=0.3)
    for k in range(dice.randint(1, 4)):
        y = h * (k + 0.5) / 4
        b.add("box", (0, -y - 0.1, d), (w * 0.95, min(h / 10, 0.12), 0.012), look)
        b.add("ellipsoid", (0, -y - 0.1, d + 0.02), (0.02, 0.02, 0.02), knob)


def plant(b: Builder, dice: Random, height: Number) -> None:
    pot = cover(dice, "plain noise stripes tiles", height)
    r = height * dice.uniform(0.12, 0.22)
    b.add(dice.choice(["cylinder", "box"]), (0, -height * 0.15, 0), (r, height * 0.15, r), pot)
    green = foliage(dice, height)
    for _ in range(dice.randint(2, 6)):
        q = height * dice.uniform(0.1, 0.28)
        b.add("ellipsoid", (dice.gauss(0, height * 0.13), -height * dice.uniform(0.4, 0.95), dice.gauss(0, height * 0.13)), (q * dice.uniform(0.3, 1), q, q * dice.uniform(0.3, 1)), green, turn(dice.uniform(0, 6), dice.uniform(-1, 1)))  # fmt: skip


def lamp(b: Builder, dice: Random, height: Number) -> None:
    metal = cover(dice, "plain", 0.3, gloss=0.4)
    shade = Material("noise", *(hsv(0.1, dice.uniform(0, 0.5), 0.95),) * 3, 3, 0.2, 0.1, glow=dice.uniform(0, 2))
    b.add("cylinder", (0, -0.01, 0), (height * 0.12, 0.01, height * 0.12), metal)
    b.add("cylinder", (0, -height / 2, 0), (0.012, height / 2, 0.012), metal)
    b.add(dice.choice(["cone", "cylinder"]), (0, -height, 0), (height * 0.16, height * 0.11, height * 0.16), shade)


def trinket(b: Builder, dice: Random, size: Number) -> None:
    """Something that stands on a table: bottle, mug, fruit, book pile, toy, box, vase, head."""
    look = cover(dice, STUFF, size, gloss=dice.choice([0, 0, 0.2, 0.5]))
    kind = dice.choice(
        ["bottle", "mug", "fruit", "pile", "box", "vase", "toy", "ball", "tower", "plant", "beast", "head"]
    )
    if kind == "bottle":
        r = size * dice.uniform(0.13, 0.2)
        b.add("cylinder", (0, -size * 0.33, 0), (r, size * 0.33, r), look)
        b.add("cone", (0, -size * 0.75, 0), (r, size * 0.16, r), look)
        b.add("cylinder", (0, -size * 0.85, 0), (r * 0.3, size * 0.15, r * 0.3), cover(dice, "plain", size))
        b.add(
            "cylinder",
            (0, -size * 0.35, 0),
            (r * 1.02, size * 0.15, r * 1.02),
            cover(dice, "poster picture plain", size),
        )
    elif kind == "mug":
        b.add("cylinder", (0, -size * 0.3, 0), (size * 0.25, size * 0.3, size * 0.25), look)
        b.add("ellipsoid", (size * 0.28, -size * 0.32, 0), (size * 0.1, size * 0.18, size * 0.04), look)
    elif kind == "fruit":
        for _ in range(dice.randint(1, 5)):
            r = size * dice.uniform(0.15, 0.28)
            skin = cover(dice, "noise gravel plain", size, hsv(dice.choice([0.0, 0.08, 0.13, 0.3]), 0.8, dice.uniform(0.4, 0.95)), 0.1)  # fmt: skip
            b.add(
                "ellipsoid",
                (dice.gauss(0, size * 0.3), -r * 0.9, dice.gauss(0, size * 0.3)),
                (r, r * dice.uniform(0.8, 1.1), r),
                skin,
            )
    elif kind == "pile":
        y = 0.0
        for _ in range(dice.randint(1, 5)):
            t = size * dice.uniform(0.03, 0.09)
            b.add("box", (dice.gauss(0, 0.03 * size), -y - t, 0), (size * 0.4, t, size * 0.3), cover(dice, "plain poster stripes picture", size), turn(dice.gauss(0, 0.3)))  # fmt: skip
            y += 2 * t
    elif kind == "box":
        half = [size * dice.uniform(0.15, 0.5) for _ in range(3)]
        b.add("box", (0, -half[1], 0), half, look, turn(dice.uniform(0, 3)))
    elif kind == "vase":
        b.add("ellipsoid", (0, -size * 0.32, 0), (size * 0.25, size * 0.33, size * 0.25), look)
        b.add("cylinder", (0, -size * 0.65, 0), (size * 0.1, size * 0.12, size * 0.1), look)
        if dice.random() < 0.6:
            plant(b.place(0, -size * 0.4, 0), dice, size * 0.9)
    elif kind in ("toy", "head"):
        b.add("ellipsoid", (0, -size * 0.32, 0), (size * 0.26, size * 0.33, size * 0.22), look)
        b.add("ellipsoid", (0, -size * 0.8, 0), (size * 0.2, size * 0.22, size * 0.2), cover(dice, STUFF, size))
        for x in (-1, 1):
            b.add(
                "cylinder",
                (x * size * 0.3, -size * 0.4, 0),
                (size * 0.07, size * 0.2, size * 0.07),
                look,
                turn(0, 0, x * 0.5),
            )
    elif kind == "ball":
        b.add("ellipsoid", (0, -size * 0.3, 0), (size * 0.3,) * 3, look)
    elif kind == "tower":
        y = 0.0
        for _ in range(dice.randint(2, 5)):
            r, t = size * dice.uniform(0.1, 0.3), size * dice.uniform(0.08, 0.2)
            b.add(
                dice.choice(["box", "cylinder"]),
                (0, -y - t, 0),
                (r, t, r),
                cover(dice, STUFF, size),
                turn(dice.uniform(0, 3)),
            )
            y += 2 * t
    elif kind == "plant":
        plant(b, dice, size * 1.3)
    else:
        animal(b, dice, size)
