"""Things packed before a wall, arm lengths away: shelves, desks, toys on a sofa, a shop's window."""

import math
from random import Random

from cyclopean.synthetic.furniture import trinket
from cyclopean.synthetic.indoors import shell
from cyclopean.synthetic.materials import STUFF, cover
from cyclopean.synthetic.objects import person
from cyclopean.synthetic.scene import Builder, Layout, Number, turn


def clutter(dice: Random) -> Layout:
    """Rows of things on a board before a wall, the camera straight in front: the ground is hardly seen.

    Far is mostly two or three times near, and how high something stands says little of how far it is.
    """
    b = Builder()
    room, deep, board = dice.uniform(2.2, 5.0), dice.uniform(0.4, 1.2), dice.uniform(0.0, 1.1)
    lights, air = shell(b, dice, (dice.uniform(3, 6), room, dice.uniform(2.2, 3.2)))
    wall, wide = room / 2, dice.uniform(0.8, 1.9)
    top = cover(dice, "wood wood plain noise tiles stripes", 0.6, gloss=dice.uniform(0, 0.2))
    b.add("box", (0, 0.03 - board, wall - deep / 2), (wide * 1.3, 0.03, deep / 2), top)
    _panels(b.place(0, -board, wall), dice, wide)
    rows, rise = dice.randint(2, 4), dice.choice([0.0, 0.0, dice.uniform(0.05, 0.2)])
    for row in range(rows):
        away = deep * (row + 0.5) / rows  # from the wall; the last row is the nearest, and lowest
        lifted = rise * (rows - 1 - row)
        if lifted:
            b.add("box", (0, -board - lifted / 2, wall - away), (wide * 1.2, lifted / 2, deep / rows / 2), top)
        _row(b.place(0, -board - lifted, wall - away), dice, wide, deep / rows)
    near = wall - deep - dice.uniform(0.2, 1.2)
    height = board + dice.uniform(0.15, 0.8)
    at = (dice.gauss(0, 0.25) * wide, -height, max(near, 0.3 - wall))
    aim = board + dice.uniform(0.25, 0.6)
    gap = wall - deep / 2 - at[2]
    yaw = math.atan2(-at[0], gap) + dice.gauss(0, 0.1)
    return Layout(b, lights, air, at, yaw, math.atan2(aim - height, gap), dice.uniform(0.03, 0.1), 20)


def _row(b: Builder, dice: Random, wide: Number, deep: Number) -> None:
    """Things side by side, some touching; sometimes there is a gap."""
    x, usual = -wide, math.exp(dice.uniform(math.log(0.18), math.log(0.7)))
    while x < wide:
        size = usual * dice.uniform(0.6, 1.5)
        place = b.place(x, 0, dice.gauss(0, 0.2) * deep, dice.uniform(-0.6, 0.6) + math.pi)
        kind = dice.choice(["trinket"] * 5 + ["books", "doll", "stick", "gap"])
        if kind == "trinket":
            trinket(place, dice, size)
        elif kind == "books":
            _standing(place, dice, size)
        elif kind == "doll":
            person(place, dice, size * 1.3)
        elif kind == "stick":
            look = cover(dice, "plain wood stripes", 0.2)
            lean = turn(dice.uniform(0, 6), 0, dice.gauss(0, 0.35))
            place.add("cylinder", (0, -size * 0.7, 0), (0.012, size * 0.7, 0.012), look, lean)
        x += size * dice.uniform(0.4, 0.9)


def _standing(b: Builder, dice: Random, size: Number) -> None:
    """Books, or boxes, side by side or open, their covers or backs to the front."""
    x = 0.0
    for _ in range(dice.randint(1, 5)):
        thick, high = size * dice.uniform(0.03, 0.15), size * dice.uniform(0.35, 0.6)
        face = cover(dice, "plain poster picture stripes noise", size)
        flat = dice.random() < 0.4
        half = (high * 0.7, high, thick) if flat else (thick, high, high * 0.6)
        b.add("box", (x, -high, 0), half, face, turn(dice.gauss(0, 0.35)))
        x += 2 * half[0]


def _panels(b: Builder, dice: Random, wide: Number) -> None:
    """Posters on the wall and boards leaning on it: patterns without depth of their own."""
    for _ in range(dice.randint(0, 4)):
        w, h = dice.uniform(0.1, 0.5), dice.uniform(0.1, 0.5)
        look = cover(dice, "poster picture picture stripes checker leaves " + STUFF, w * 2)
        at = (dice.uniform(-wide, wide), -h - dice.choice([0.0, dice.uniform(0, 0.6)]), -dice.uniform(0.01, 0.12))
        b.add("box", at, (w, h, 0.008), look, turn(dice.gauss(0, 0.1), dice.uniform(0, 0.15)))
