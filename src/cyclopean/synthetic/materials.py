"""Colours and materials, drawn at random."""

import colorsys
import math
from random import Random

from cyclopean.synthetic.scene import Material, Number, Triple

Rgb = Triple

# Kinds of textures by their names, separated by spaces; one that stands twice is drawn twice as often.
ANY = "noise noise plain checker stripes brick wood tiles poster gravel picture picture leaves"
STUFF = "noise plain plain stripes wood poster picture noise checker"


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


def foliage(dice: Random, size: Number) -> Material:
    """Leaves with gaps between them, of a plant `size` metres wide."""
    hue = dice.choice([dice.uniform(0.18, 0.4), dice.uniform(0.2, 0.33), dice.uniform(0.02, 0.15)])
    a = hsv(hue, dice.uniform(0.3, 0.8), dice.uniform(0.2, 0.6))
    return Material(
        kind="leaves",
        a=a,
        b=near(dice, a, 0.4),
        c=hsv(hue, 0.5, 0.08),
        scale=dice.uniform(12, 45) / size,
        contrast=1.2,
        grain=0.4,
        holes=dice.uniform(0.2, 0.62),
        seed=dice.randrange(1000003),
    )


def ground(dice: Random, kind: str) -> Material:
    """grass, road, paving, earth, sand, snow or water; now and then anything: no texture means a kind of place."""
    if dice.random() < 0.18:
        return cover(dice, ANY, dice.uniform(1, 8))
    # Hue, saturation, value, textures, scale. All rows are drawn whichever is used, and must be: a draw more or less
    # changes what every seed gives from there on.
    hue, sat, val, texture, scale = {
        "grass": (dice.uniform(0.15, 0.33), 0.5, dice.uniform(0.25, 0.6), "gravel leaves noise", dice.uniform(1, 8)),
        "road": (0.6, 0.04, dice.uniform(0.2, 0.5), "road", 1 / dice.uniform(2.8, 4)),
        "paving": (0.08, dice.uniform(0, 0.2), dice.uniform(0.35, 0.75), "tiles brick checker", dice.uniform(0.7, 4)),
        "earth": (0.08, dice.uniform(0.2, 0.5), dice.uniform(0.25, 0.6), "gravel noise", dice.uniform(0.8, 5)),
        "sand": (0.11, dice.uniform(0.15, 0.4), dice.uniform(0.6, 0.9), "noise gravel", dice.uniform(0.5, 4)),
        "snow": (0.6, 0.05, 0.92, "noise", dice.uniform(0.3, 2)),
        "water": (dice.uniform(0.5, 0.6), 0.5, dice.uniform(0.15, 0.4), "noise", dice.uniform(0.3, 2)),
    }[kind]
    a = hsv(hue, sat, val)
    stripe = hsv(dice.choice([0.13, 0.6]), dice.choice([0.0, 0.0, 0.6]), 0.9)
    mortar = near(dice, a, 0.5)
    return Material(
        kind=dice.choice(texture.split()),
        a=a,
        b=near(dice, a, 0.3),
        c=stripe if kind == "road" else mortar,
        scale=scale,
        contrast=dice.uniform(0.5, 1.3),
        grain=dice.uniform(0.2, 0.7),
        gloss=0.7 if kind == "water" else 0.0,
        seed=dice.randrange(1000003),
    )
