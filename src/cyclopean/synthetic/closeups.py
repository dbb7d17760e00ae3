"""What people photograph: a subject near, a background far."""

import math
from collections.abc import Callable
from random import Random

from cyclopean.synthetic.furniture import table, trinket
from cyclopean.synthetic.indoors import furnish, shell
from cyclopean.synthetic.objects import animal, person, plant, rock
from cyclopean.synthetic.outdoors import daylight, grounds
from cyclopean.synthetic.scene import Builder, Layout


def closeup(dice: Random) -> Layout:
    """Things on a table indoors or out, or a subject before a place."""
    return (_still_life if dice.random() < 0.6 else _portrait)(dice)


def _still_life(dice: Random) -> Layout:
    b = Builder()
    if dice.random() < 0.65:
        w, d, h = dice.uniform(3, 8), dice.uniform(3.5, 9), dice.uniform(2.3, 3.4)
        lights, air = shell(b, dice, (w, d, h))
        furnish(b.place(0, 0, d * 0.2), dice, w, d * 0.5, dice.randint(2, 7))
    else:
        lights, air = daylight(dice)
        grounds(b, dice, 10)
    wide, deep, height = dice.uniform(0.8, 2.4), dice.uniform(0.6, 1.2), dice.uniform(0.45, 0.9)
    table(b, dice, wide, deep, height)
    for _ in range(dice.randint(2, 10)):
        x, z = dice.uniform(-0.42, 0.42) * wide, dice.uniform(-0.4, 0.42) * deep
        place = b.place(x, -height, z, dice.uniform(0, 6.3))
        trinket(place, dice, math.exp(dice.uniform(math.log(0.1), math.log(0.5))))
    up = dice.uniform(0.08, 0.6)
    back = -deep / 2 - dice.uniform(0.05, 0.8)
    aim = math.atan2(up - 0.1, -back + dice.uniform(-0.1, 0.3))
    position = (dice.uniform(-0.3, 0.3) * wide, -height - up, back)
    yaw = math.atan2(-position[0], -back) + dice.gauss(0, 0.15)
    return Layout(b, lights, air, position, yaw, -aim * dice.uniform(0.5, 1.1), dice.uniform(0.03, 0.07), 40)


def _portrait(dice: Random) -> Layout:
    b = Builder()
    lights, air = daylight(dice)
    distance = math.exp(dice.uniform(math.log(0.7), math.log(4.5)))
    grounds(b, dice, distance * dice.uniform(1.6, 4))
    for _ in range(dice.choice([1, 1, 1, 2, 3])):
        x, z = dice.gauss(0, 0.25) * distance, distance * dice.uniform(0.9, 1.25)
        place = b.place(x, 0, z, math.pi + dice.gauss(0, 0.6))
        kind = dice.choice(["person", "person", "person", "animal", "plant", "rock", "bench", "thing"])
        SUBJECTS[kind](place, dice)
        if kind == "bench":
            person(b.place(x, -0.05, z + 0.3, math.pi), dice, 1.3)
    height = dice.uniform(0.4, 1.9)
    pitch = dice.gauss(0, 0.08) - max(0.0, height - 1.0) * 0.15
    yaw = dice.gauss(0, 0.12)
    return Layout(b, lights, air, (0.0, -height, 0.0), yaw, pitch, 0.03 + 0.03 * distance, 80)


SUBJECTS: dict[str, Callable[[Builder, Random], None]] = {
    "person": lambda b, dice: person(b, dice, dice.uniform(1.2, 1.95)),
    "animal": lambda b, dice: animal(b, dice, dice.uniform(0.4, 1.4)),
    "plant": lambda b, dice: plant(b, dice, dice.uniform(0.6, 1.8)),
    "rock": lambda b, dice: rock(b, dice, dice.uniform(0.5, 1.5)),
    "bench": lambda b, dice: table(b, dice, 1.5, 0.5, 0.5),
    "thing": lambda b, dice: trinket(b, dice, dice.uniform(0.5, 1.6)),
}
