"""A camera that moves among things that move: on a road, on foot indoors, and in the air.

An object that moves with the camera stays put in the picture, as if it were infinitely far: depth that is learned from
video must not fall for it. So every clip has some objects that move with the camera, faster, towards it and across, and
objects of the same kinds that stand still.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from random import Random

import numpy as np

from cyclopean.synthetic.indoors import room
from cyclopean.synthetic.objects import animal, car, person
from cyclopean.synthetic.outdoors import built_up, daylight, landscape, road_end, street
from cyclopean.synthetic.scene import FRAME_TIME, Builder, Layout, Number, Triple

# How things move: turned from the camera's heading (radians, to either side), at least and at most times its speed.
MOTIONS = {
    "with": (0.0, 1.0, 1.0),
    "faster": (0.0, 1.25, 1.9),
    "towards": (math.pi, 0.5, 1.2),
    "across": (math.pi / 2, 0.2, 0.7),
    "still": (0.0, 0.0, 0.0),
}
PACE = 1.0  # m/s, of people where the camera stands
# Seconds between frames of `traffic`: things shift by as many pixels in small pictures as in large ones taken faster.
INTERVAL = 0.25
WORN = 1.2  # grain and contrast, at least, of its surfaces: roads and walls of one colour tell a camera nothing
TRIES = 12  # places tried for a thing; it is left out if something stands at each of them
Steps = tuple[tuple[Triple, Triple], ...]
Place = Callable[[Random, str], tuple[Number, Number]]  # of a thing by its motion: x and z in metres
Thing = Callable[[Builder, Random, str], None]


def traffic(rng: Random) -> Layout:
    """Lay out a street seen from a car that drives on its right side, among cars and people."""
    lights, air = daylight(rng)
    b, half = Builder(), rng.uniform(4.6, 9)
    built_up(b, rng, half, rng.uniform(1.2, 4))
    road_end(b, rng)
    middle, speed = (half - 2.1) / 2, rng.uniform(4, 14)  # of a lane, beside parked cars
    position = (middle + rng.gauss(0, 0.3), -rng.uniform(1.1, 2.2), 0.0)
    steps = _steps(rng, (0.0, 0.0, speed), drift=(0.006, 0.0), shake=(0.003, 0.004), interval=INTERVAL)
    b = _cleared(b, position, steps, 1.0)

    def lane(rng: Random, motion: str) -> tuple[Number, Number]:
        z = math.exp(rng.uniform(math.log(9), math.log(35)))
        if motion == "across":
            return rng.uniform(-half, half), z
        if motion == "still" and rng.random() < 0.6:
            return rng.choice([-1, 1]) * (half - 1.1), z
        return (-1 if motion == "towards" else 1) * middle + rng.gauss(0, 0.3), z

    def driver(b: Builder, rng: Random, motion: str) -> None:
        walks = rng.random() < (0.6 if motion == "across" else 0.15)
        (_walker if walks else car)(b, rng)

    _join(b, rng, (speed, 0.0), lane, driver, reach=(1.9, 4.5))
    yaw, pitch = rng.gauss(0, 0.15), rng.gauss(-0.03, 0.06)
    b = b.worn(WORN, WORN)
    return Layout(b, lights, air, position, yaw, pitch, 0.54, 80, road=half, steps=steps, interval=INTERVAL)


def crowd(rng: Random) -> Layout:
    """Lay out a room with people, filmed by a camera that is walked through it or held by hand."""
    layout = room(rng)
    speed, way = rng.uniform(0.7, 1.5) if rng.random() < 0.7 else 0.0, layout.yaw + rng.gauss(0, 0.3)
    steps = _steps(rng, (speed * math.sin(way), 0.0, speed * math.cos(way)), drift=(0.02, 0.015), shake=(0.008, 0.012))
    b = _cleared(layout.builder, layout.position, steps, 0.3)

    def floor(rng: Random, _motion: str) -> tuple[Number, Number]:
        away, angle = rng.uniform(1.6, 5), layout.yaw + rng.uniform(-0.5, 0.5)
        x, z = layout.position[0] + away * math.sin(angle), layout.position[2] + away * math.cos(angle)
        wide, deep = (max(side - 0.4, 0.1) for side in layout.floor)
        return min(max(x, -wide), wide), min(max(z, -deep), deep)

    def walker(b: Builder, rng: Random, _motion: str) -> None:
        (_walker if rng.random() < 0.8 else _pet)(b, rng)

    _join(b, rng, (speed, way), floor, walker, reach=(0.4, 0.4))
    return replace(layout, builder=b, steps=steps)


def flight(rng: Random) -> Layout:
    """Lay out a street or a landscape seen from a drone, above cars, people and animals."""
    layout = (street if rng.random() < 0.5 else landscape)(rng)
    height, pitch, yaw = rng.uniform(7, 18), -rng.uniform(0.3, 0.8), rng.gauss(0, 0.3)
    x = layout.road * rng.uniform(-0.8, 0.8)
    speed, way = rng.uniform(2, 9), yaw + (rng.gauss(0, 0.3) if rng.random() < 0.7 else rng.uniform(0, 2 * math.pi))
    velocity = (speed * math.sin(way), rng.uniform(-1, 1), speed * math.cos(way))
    steps = _steps(rng, velocity, drift=(0.02, 0.02), shake=(0.004, 0.006))
    b = _cleared(layout.builder, (x, -height, 0.0), steps, 1.0)
    ahead = height / math.tan(-pitch)  # metres to where the middle of the picture meets the ground

    def below(rng: Random, _motion: str) -> tuple[Number, Number]:
        away, angle = ahead * rng.uniform(0.6, 1.5), yaw + rng.uniform(-0.35, 0.35)
        across, along = x + away * math.sin(angle), away * math.cos(angle)
        return (min(max(across, -layout.road), layout.road) if layout.road else across), along

    def thing(b: Builder, rng: Random, _motion: str) -> None:
        drives = rng.random() < (0.8 if layout.road else 0.4)
        (car if drives else _walker if rng.random() < 0.6 else _pet)(b, rng)

    _join(b, rng, (speed, way), below, thing, reach=(1.9, 4.0))
    return replace(layout, builder=b, position=(x, -height, 0.0), yaw=yaw, pitch=pitch, steps=steps)


def _join(
    b: Builder,
    rng: Random,
    course: tuple[Number, Number],
    place: Place,
    thing: Thing,
    *,
    reach: tuple[Number, Number],
) -> None:
    """Add things of three to five of `MOTIONS`, up to three of each, where nothing else stands within `reach` (x, z).

    `course`: the camera's speed over the ground in m/s, and its heading in radians. If it stands, the others walk.
    """
    speed, way = course
    for motion in rng.sample(tuple(MOTIONS), rng.randint(3, 5)):
        for _ in range(rng.choice([1, 1, 2, 3] if motion == "still" else [1, 1, 2])):
            turned, least, most = MOTIONS[motion]
            heading = way + turned * rng.choice([-1, 1])
            pace = rng.uniform(least, most) * (speed if motion == "with" else max(speed, PACE))
            for _ in range(TRIES):
                x, z = place(rng, motion)
                centers = np.array(b.centers)
                if not ((abs(centers[:, 0] - x) < reach[0]) & (abs(centers[:, 2] - z) < reach[1])).any():
                    velocity = (pace * math.sin(heading), 0.0, pace * math.cos(heading))
                    thing(b.place(x, 0, z, heading, velocity), rng, motion)
                    break


def _cleared(b: Builder, position: Triple, steps: Steps, distance: Number) -> Builder:
    """Leave out what comes within `distance` metres of the camera before, at and after the frame."""
    x, y, z = position
    for dx, dy, dz in ((0.0, 0.0, 0.0), *(offset for offset, _ in steps)):
        b = b.clear_of((x + dx, y + dy, z + dz), distance)
    return b


def _walker(b: Builder, rng: Random) -> None:
    person(b, rng, rng.uniform(1.1, 1.95))


def _pet(b: Builder, rng: Random) -> None:
    animal(b, rng, rng.uniform(0.4, 1.2))


def _steps(
    rng: Random,
    velocity: Triple,
    drift: tuple[Number, Number],
    shake: tuple[Number, Number],
    interval: Number = FRAME_TIME,
) -> Steps:
    """Return where a camera is a frame before and after, and how it is turned there (yaw, pitch, roll in radians).

    Frames are `interval` seconds apart. It goes at `velocity` (m/s) and turns steadily: `drift` are deviations of yaw
    and of pitch per frame. `shake`: of each frame's own offset, in metres, and turn, in radians.
    """
    turning = (rng.gauss(0, drift[0]), rng.gauss(0, drift[1] / 2), 0.0)
    steps = []
    for k in (-1, 1):
        offset = [k * interval * v + rng.gauss(0, shake[0]) for v in velocity]
        turned = [k * a + rng.gauss(0, shake[1]) for a in turning]
        steps.append(((offset[0], offset[1], offset[2]), (turned[0], turned[1], turned[2])))
    return tuple(steps)
