"""Light that photographs are taken in beside plain day: against the sun, in haze and at night; and the lens."""

import math
from dataclasses import replace
from random import Random

from cyclopean.synthetic.materials import hsv
from cyclopean.synthetic.outdoors import daylight
from cyclopean.synthetic.scene import Atmosphere, Capture, Light, Number

Lit = tuple[tuple[Light, ...], Atmosphere]


def any_hour(rng: Random) -> Lit:
    """Draw the light of a day, mostly; else against the sun, haze or a night with lamps."""
    return HOURS[rng.choice(["day"] * 6 + ["against", "against", "haze", "night"])](rng)


def against(rng: Random) -> Lit:
    """Draw a low sun ahead and little other light: what is before it is nearly a silhouette."""
    (sun,), air = daylight(rng)
    low, aside = rng.uniform(0.08, 0.45), rng.gauss(0, 0.4)
    direction = (math.cos(low) * math.sin(aside), -math.sin(low), math.cos(low) * math.cos(aside))
    warm = rng.uniform(0, 0.7)
    glow = rng.uniform(1.0, 2.5)
    sun = Light(direction, (glow, glow * (1 - 0.45 * warm), glow * (1 - 0.9 * warm)))
    horizon = hsv(rng.uniform(0.03, 0.12), 0.7 * warm, 1.0)
    return (sun,), replace(air, horizon=horizon, ambient=rng.uniform(0.04, 0.3), clouds=rng.uniform(0, 0.6))


def haze(rng: Random) -> Lit:
    """Draw mist or dust, through which some metres to some hundred can be seen."""
    lights, air = daylight(rng)
    grey = hsv(rng.choice([0.1, 0.6]), rng.uniform(0, 0.15), rng.uniform(0.6, 1.0))
    dense = math.exp(rng.uniform(math.log(0.015), math.log(0.12)))
    return lights, replace(air, horizon=grey, zenith=grey, haze=dense, ambient=rng.uniform(0.6, 1.0), clouds=0.0)


def night(rng: Random) -> Lit:
    """Draw a dark sky and two or three lamps in reach of the camera."""
    dark = rng.uniform(0.002, 0.03)
    lamps = []
    for _ in range(rng.randint(2, 3)):
        colour = hsv(rng.choice([0.08, 0.1, 0.12, rng.random()]), rng.uniform(0.05, 0.6), rng.uniform(0.8, 2.5))
        at = (rng.uniform(-4, 4), -rng.uniform(1.8, 5), rng.uniform(-1, 9))
        lamps.append(Light(at, colour, rng.uniform(2, 7)))
    sky = hsv(rng.uniform(0.55, 0.7), rng.uniform(0.3, 0.8), dark)
    glow = hsv(rng.choice([0.07, 0.6]), 0.4, dark * rng.uniform(1, 4))
    return tuple(lamps), Atmosphere(sky, glow, rng.uniform(0.5, 1.5), (dark,) * 3, 0, rng.uniform(0, 0.004))


HOURS = {"day": daylight, "against": against, "haze": haze, "night": night}


def lens(rng: Random, field_of_view: Number, focus: Number, share: Number = 0.45) -> Capture:
    """Draw how a subject at `focus` metres is photographed: a `share` of the time with a lens wide open.

    Its diameter is up to 50 mm, less for what is nearer than a metre: somebody wants it sharp.
    """
    wide, sharp = (
        math.exp(rng.uniform(math.log(0.004), math.log(0.05))) * min(1.0, focus),
        focus * rng.uniform(0.95, 1.05),
    )
    roll = rng.gauss(0, 0.05) if rng.random() < 0.7 else rng.uniform(-0.4, 0.4)
    if rng.random() < share:
        return Capture(roll, field_of_view, None, wide, sharp)
    return Capture(roll, field_of_view)
