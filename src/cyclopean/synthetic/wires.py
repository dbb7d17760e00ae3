"""Thin things: bicycles, railings, nets, wires, ladders; metres, on the ground at the origin."""

import math
from collections.abc import Callable
from dataclasses import replace
from random import Random

from cyclopean.synthetic.materials import cover, hsv, paint
from cyclopean.synthetic.scene import Builder, Material, Number, Triple, one_object, turn


def metal(rng: Random) -> Material:
    return cover(
        rng, "plain plain noise", 0.5, hsv(0.6, rng.uniform(0, 0.2), rng.uniform(0.05, 0.8)), rng.choice([0, 0.2])
    )


@one_object
def bicycle(b: Builder, rng: Random) -> None:
    """Add a bicycle along x, its wheel to the right ahead."""
    frame, dark = (
        replace(cover(rng, "plain", 0.5, paint(rng, 0.8)), gloss=0.2),
        Material("noise", (0.05,) * 3, (0.1,) * 3),
    )
    bright = Material("plain", (0.6, 0.6, 0.62), (0.5, 0.5, 0.52), (0, 0, 0), gloss=0.3)
    r, base = rng.uniform(0.3, 0.35), rng.uniform(0.98, 1.12)
    wheel = replace(bright, cut="spokes", holes=0.93, seed=rng.choice([3, 4, 5, 6, 7]))
    tyre = replace(dark, cut="spokes", holes=0.93, seed=0)
    for x in (-base / 2, base / 2):
        b.add("cylinder", (x, -r, 0), (r, 0.006, r), wheel, turn(0, math.pi / 2))
        b.add("cylinder", (x, -r, 0), (r * 1.02, 0.018, r * 1.02), tyre, turn(0, math.pi / 2))
        if rng.random() < 0.4:
            b.add(
                "cylinder",
                (x, -r * 1.06, 0),
                (r * 1.12, 0.025, r * 1.12),
                replace(frame, cut="spokes", holes=0.96, seed=0),
                turn(0, math.pi / 2),
            )
    crank, seat, bar = (-0.06, -r + 0.04, 0.0), (-0.2, -r - 0.46, 0.0), (base / 2 - 0.17, -r - 0.5, 0.0)
    hub, fork = (-base / 2, -r, 0.0), (base / 2 - 0.13, -r - 0.34, 0.0)
    low = rng.random() < 0.4  # a frame without a bar to step over
    tubes = [
        (crank, seat),
        (crank, fork),
        (hub, crank),
        (hub, (seat[0] * 0.95, seat[1] + 0.1, 0.0)),
        ((base / 2, -r, 0.0), bar),
    ]
    tubes.append(
        (bar, (crank[0] - 0.05, crank[1] - 0.2, 0.0)) if low else (fork, (seat[0] * 0.95, seat[1] + 0.08, 0.0))
    )
    for start, end in tubes:
        b.limb(start, end, (0.016, 0.016), frame)
    b.limb(seat, (seat[0] - 0.02, seat[1] - 0.12, 0), (0.013, 0.013), bright)
    b.limb((seat[0] - 0.13, seat[1] - 0.13, 0), (seat[0] + 0.13, seat[1] - 0.13, 0), (0.07, 0.03), dark, 0.5)
    b.limb(bar, (bar[0] - 0.02, bar[1] - 0.12, 0), (0.013, 0.013), bright)
    for z in (-1, 1):
        top = (bar[0] - 0.02, bar[1] - 0.12, 0.0)
        b.limb(top, (bar[0] - 0.06, bar[1] - 0.14, z * 0.27), (0.012, 0.014), dark)
        foot = (crank[0] + z * 0.12, crank[1] + z * 0.12, z * 0.1)
        b.limb(crank, foot, (0.012, 0.01), bright)
        b.add("box", foot, (0.05, 0.012, 0.04), dark)
    b.add(
        "cylinder",
        (crank[0], crank[1], 0.03),
        (0.1, 0.004, 0.1),
        replace(bright, cut="spokes", holes=0.8, seed=1),
        turn(0, math.pi / 2),
    )
    if rng.random() < 0.3:
        basket = replace(metal(rng), cut="net", holes=0.75, scale=28, seed=0)
        x, y = base / 2 + 0.02, -r - 0.5
        for half, at in (((0.15, 0.11, 0.002), (x, y, 0.16)), ((0.15, 0.11, 0.002), (x, y, -0.16))):
            b.add("box", at, half, basket)
        b.add("box", (x + 0.15, y, 0), (0.16, 0.11, 0.002), basket, turn(math.pi / 2))


@one_object
def railing(b: Builder, rng: Random, length: Number, height: Number = 1.0) -> None:
    """Add a railing along x from -length / 2: round bars, flat ones, or crossed ones."""
    look = metal(rng) if rng.random() < 0.7 else cover(rng, "wood plain", 0.5)
    thick, half = rng.uniform(0.012, 0.035), length / 2
    for y in (height, rng.uniform(0.06, 0.25) * height):
        b.limb((-half, -y, 0), (half, -y, 0), (thick, thick), look)
    kind = rng.choice(["round", "flat", "level"])
    pitch = rng.uniform(0.09, 0.2)
    if kind == "round":
        count = min(int(length / pitch), 60)
        for k in range(count + 1):
            x = -half + length * k / count
            b.add("cylinder", (x, -height / 2, 0), (thick * 0.5, height / 2, thick * 0.5), look)
    elif kind == "flat":
        bars = replace(look, cut="bars", holes=rng.uniform(0.6, 0.88), scale=1 / pitch)
        b.add("box", (0, -height * 0.52, 0), (half, height * 0.47, thick * 0.4), bars)
    else:
        for k in range(1, 5):
            b.limb((-half, -height * k / 5, 0), (half, -height * k / 5, 0), (thick * 0.5, thick * 0.5), look)
    for k in range(int(length / 1.6) + 2):
        x = min(-half + 1.6 * k, half)
        b.add("cylinder", (x, -height / 2, 0), (thick * 1.3, height / 2, thick * 1.3), look)


@one_object
def net(b: Builder, rng: Random, length: Number, height: Number, mesh: Number) -> None:
    """Add a net or a wire fence between posts along x."""
    look = metal(rng)
    wire = replace(look, cut="net", holes=rng.uniform(0.82, 0.94), scale=1 / mesh, seed=rng.randrange(999))
    b.add("box", (0, -height / 2, 0), (length / 2, height / 2, mesh * 0.02), wire)
    step = rng.uniform(1.5, 3)
    for k in range(int(length / step) + 1):
        b.add("cylinder", (-length / 2 + k * step, -height / 2, 0), (0.025, height / 2 * 1.03, 0.025), look)
    if rng.random() < 0.6:
        b.limb((-length / 2, -height, 0), (length / 2, -height, 0), (0.015, 0.015), look)


@one_object
def overhead(b: Builder, rng: Random, span: Number, height: Number) -> None:
    """Add poles along x with wires that sag between them."""
    wood, wire = (
        cover(rng, "wood noise plain", 0.5, hsv(0.08, 0.3, rng.uniform(0.2, 0.5))),
        Material("plain", (0.03,) * 3, (0.05,) * 3),
    )
    for x in (-span, 0, span):
        b.limb((x, 0, 0), (x, -height, 0), (0.13, 0.09), wood)
        b.add("box", (x, -height * 0.95, 0), (0.06, 0.06, 0.9), wood)
    for z in (-0.8, -0.3, 0.3, 0.8):
        sag = span * rng.uniform(0.02, 0.06)
        for x in (-span, 0):
            last: Triple = (x, -height * 0.96, z)
            for k in range(1, 7):
                along = k / 6
                point = (x + span * along, -height * 0.96 + 4 * sag * along * (1 - along), z)
                b.limb(last, point, (0.012, 0.012), wire)
                last = point


@one_object
def ladder(b: Builder, rng: Random, height: Number) -> None:
    """Add a ladder that leans away along z."""
    look = cover(rng, "wood plain", 0.3) if rng.random() < 0.5 else metal(rng)
    lean = rng.uniform(0.15, 0.45) * height
    for x in (-0.2, 0.2):
        b.limb((x, 0, 0), (x, -height, lean), (0.022, 0.02), look)
    for k in range(1, int(height / 0.28)):
        along = k * 0.28 / height
        b.limb((-0.2, -height * along, lean * along), (0.2, -height * along, lean * along), (0.013, 0.013), look)


@one_object
def frame_tower(b: Builder, rng: Random, height: Number) -> None:
    """Add a scaffold or a climbing frame: upright poles, level ones and braces."""
    look, wide = metal(rng), rng.uniform(0.8, 2.0)
    r = rng.uniform(0.015, 0.035)
    levels = rng.randint(2, 4)
    for x in (-wide, wide):
        for z in (-0.5, 0.5):
            b.limb((x, 0, z), (x, -height, z), (r, r), look)
        for k in range(1, levels + 1):
            b.limb((x, -height * k / levels, -0.5), (x, -height * k / levels, 0.5), (r, r), look)
    for z in (-0.5, 0.5):
        for k in range(1, levels + 1):
            y = -height * k / levels
            b.limb((-wide, y, z), (wide, y, z), (r, r), look)
            b.limb((-wide, y, z), (wide, y + height / levels, z), (r * 0.7, r * 0.7), look)
    if rng.random() < 0.6:
        boards = cover(rng, "wood", 0.4)
        b.add("box", (0, -height / levels, 0), (wide, 0.02, 0.45), boards)


@one_object
def twigs(b: Builder, rng: Random, reach: Number) -> None:
    """Add a branch that reaches across, about the origin, along x, with twigs on it."""
    bark = cover(rng, "wood noise", 0.1, hsv(0.07, 0.4, rng.uniform(0.15, 0.5)))
    leaf = replace(bark, a=hsv(rng.uniform(0.05, 0.35), 0.7, 0.5), cut="leaf", holes=0.5)
    r = reach * rng.uniform(0.008, 0.02)
    x, y = -reach, rng.uniform(-0.2, 0.2) * reach
    leaved = rng.random() < 0.5
    while x < reach:
        end = (x + reach * rng.uniform(0.2, 0.4), y + rng.gauss(0, 0.08) * reach)
        b.limb((x, y, 0), (end[0], end[1], 0), (r, r * 0.85), bark)
        for _ in range(rng.randint(1, 3)):
            tip = (
                end[0] + reach * rng.uniform(0.05, 0.35),
                end[1] - reach * rng.gauss(0.05, 0.3),
                rng.gauss(0, 0.15) * reach,
            )
            b.limb((end[0], end[1], 0), tip, (r * 0.5, r * 0.25), bark)
            if leaved:
                b.add(
                    "ellipsoid",
                    tip,
                    (reach * 0.03, reach * 0.07, reach * 0.004),
                    leaf,
                    turn(rng.uniform(0, 6), rng.uniform(-1, 1), rng.uniform(0, 6)),
                )
        (x, y), r = end, r * 0.85


Thin = Callable[[Builder, Random], None]
THIN: dict[str, Thin] = {
    "bicycle": bicycle,
    "railing": lambda b, rng: railing(b, rng, rng.uniform(2, 7), rng.uniform(0.8, 1.2)),
    "net": lambda b, rng: net(b, rng, rng.uniform(3, 8), rng.uniform(1, 3), rng.uniform(0.05, 0.18)),
    "overhead": lambda b, rng: overhead(b, rng, rng.uniform(8, 20), rng.uniform(5, 8)),
    "ladder": lambda b, rng: ladder(b, rng, rng.uniform(1.8, 3.5)),
    "tower": lambda b, rng: frame_tower(b, rng, rng.uniform(1.8, 4)),
}
