"""Animals in many poses: cats, dogs, horses, cows, sheep, birds; each faces z on the ground at its origin, metres."""

import math
from dataclasses import dataclass, replace
from random import Random

from cyclopean.synthetic.materials import cover, hsv, near
from cyclopean.synthetic.scene import Builder, Material, Number, Triple, one_object, turn


@dataclass(frozen=True)
class Breed:
    """Shares of the height of the back: length and thickness of the body, legs' length and thickness, the neck's length
    and angle (radians above level), the head's size, the muzzle's and the tail's length; `ears`.
    """

    height: tuple[Number, Number]
    body: tuple[Number, Number]
    legs: tuple[Number, Number]
    neck: tuple[Number, Number]
    head: Number
    muzzle: Number
    tail: Number
    ears: str


BREEDS = {
    "cat": Breed((0.22, 0.3), (1.35, 0.3), (0.55, 0.075), (0.25, 0.7), 0.24, 0.12, 1.1, "cone"),
    "dog": Breed((0.3, 0.7), (1.2, 0.31), (0.6, 0.075), (0.38, 0.85), 0.2, 0.26, 0.6, "flap"),
    "horse": Breed((1.2, 1.65), (1.05, 0.25), (0.62, 0.055), (0.55, 0.8), 0.13, 0.34, 0.55, "cone"),
    "cow": Breed((1.2, 1.45), (1.25, 0.33), (0.5, 0.065), (0.3, 0.35), 0.15, 0.24, 0.6, "flap"),
    "sheep": Breed((0.6, 0.8), (1.1, 0.36), (0.42, 0.06), (0.25, 0.6), 0.14, 0.16, 0.15, "flap"),
    "rabbit": Breed((0.14, 0.2), (1.3, 0.45), (0.35, 0.1), (0.2, 0.8), 0.32, 0.14, 0.15, "long"),
}


def fur(rng: Random, size: Number) -> Material:
    colour = hsv(rng.uniform(0.05, 0.1), rng.uniform(0.0, 0.65), rng.uniform(0.08, 0.92))
    other = hsv(0.08, 0.15, 0.92) if rng.random() < 0.3 else near(rng, colour, 0.25)
    kind, scale = rng.choice([("noise", 3), ("plain", 30), ("wood", 12), ("noise", 25)])
    return Material(kind, colour, other, other, scale / size, rng.uniform(0.4, 1.8), 0.45, seed=rng.randrange(999))


@one_object
def beast(b: Builder, rng: Random, kind: str, pose: str = "stand") -> None:
    """Add an animal of a kind in `BREEDS` that stands, walks, runs, sits or lies."""
    breed, s = BREEDS[kind], rng.uniform(*BREEDS[kind].height)
    coat = fur(rng, s)
    paws = coat if rng.random() < 0.6 else fur(rng, s)
    length, thick = breed.body[0] * s / 2, breed.body[1] * s * rng.uniform(0.85, 1.15)
    leg = breed.legs[0] * s
    rests = pose in ("sit", "lie")
    # Points of the spine: the rump, the shoulders. Who sits has the rump on the ground.
    rump = (0.0, -(leg + thick * 0.55), -length * 0.62)
    chest = (0.0, -(leg + thick * 0.5), length * 0.55)
    if pose == "lie":
        rump, chest = (0.0, -thick * 0.85, rump[2]), (0.0, -thick * 0.95, chest[2])
    elif pose == "sit":
        rump, chest = (0.0, -thick * 0.8, -length * 0.25), (0.0, -(leg + thick * 0.6), length * 0.35)
    b.limb(chest, rump, (thick * 0.92, thick * 0.8), coat, 0.85 if kind != "sheep" else 1.0)
    b.add("ellipsoid", rump, (thick * 0.82, thick * 0.9, thick * 0.95), coat)
    b.add("ellipsoid", (0, chest[1] + 0.05 * s, chest[2] + 0.05 * s), (thick * 0.8, thick * 1.0, thick * 0.85), coat)
    if kind == "sheep":
        wool = replace(coat, cut="noise", holes=0.45, scale=22 / s, kind="noise")
        b.add("ellipsoid", (0, (rump[1] + chest[1]) / 2, 0), (thick * 1.15, thick * 1.15, length * 1.15), wool)
    _limbs(b, rng, (s, leg, thick, breed.legs[1] * s), (chest, rump, pose), paws)
    up = breed.neck[1] + rng.gauss(0, 0.25) - (1.1 if kind in GRAZE and rng.random() < 0.35 and not rests else 0)
    reach = breed.neck[0] * s
    nape = (0.0, chest[1] - thick * 0.5, chest[2] + thick * 0.45)
    skull = (0.0, nape[1] - reach * math.sin(up), nape[2] + reach * math.cos(up))
    b.limb((0, chest[1] - thick * 0.1, chest[2] + thick * 0.2), skull, (thick * 0.62, breed.head * s * 0.62), coat)
    if kind == "horse":
        mane = replace(coat, a=near(rng, coat.a, 0.6), kind="wood")
        b.limb(
            (0, nape[1] - 0.1 * s, nape[2] - 0.05 * s),
            (0, skull[1] - 0.05 * s, skull[2] - 0.05 * s),
            (0.07 * s, 0.05 * s),
            mane,
        )
    _beast_head(b.place(*skull).turned(turn(rng.gauss(0, 0.45), rng.gauss(-0.05, 0.15))), rng, breed, s, coat)
    _tail(
        b.place(rump[0], rump[1] - thick * 0.3, rump[2] - thick * 0.8),
        rng,
        breed.tail * s,
        kind if not rests else "",
        coat,
    )


GRAZE = ("horse", "cow", "sheep", "rabbit")


def _limbs(
    b: Builder, rng: Random, sizes: tuple[Number, ...], spine: tuple[Triple, Triple, str], look: Material
) -> None:
    (s, leg, thick, r), (chest, rump, pose) = sizes, spine
    stride = {"walk": 0.35, "run": 0.9}.get(pose, 0.05)
    for side in (-1, 1):
        x = side * thick * 0.55
        for front in (True, False):
            top = (x, (chest if front else rump)[1] + thick * 0.2, (chest if front else rump)[2])
            if pose == "lie" or (pose == "sit" and not front):
                b.add("ellipsoid", (x * 1.3, -thick * 0.5, top[2]), (r * 1.7, thick * 0.55, thick * 0.7), look)
                b.limb((x * 1.3, -r, top[2] + 0.1 * s), (x * 1.2, -r * 0.8, top[2] + leg * 0.7), (r, r * 0.8), look)
                continue
            swing = stride * side * (1 if front else -1) * rng.uniform(0.7, 1.1)
            foot = (
                x * 0.9,
                -r * 0.7 - (0.3 * leg if pose == "run" else 0) * rng.random(),
                top[2] + math.sin(swing) * leg,
            )
            bent = (0.10 if front else -0.14) * leg
            knee = (x, (top[1] + foot[1]) / 2, (top[2] + foot[2]) / 2 + bent)
            b.limb(top, knee, (r * (1.5 if front else 2.2), r * 0.95), look)
            b.limb(knee, foot, (r * 0.95, r * 0.75), look)
            b.limb(foot, (foot[0], foot[1] + r * 0.1, foot[2] + r * 1.1), (r * 0.85, r * 0.8), look)


def _beast_head(b: Builder, rng: Random, breed: Breed, s: Number, coat: Material) -> None:
    h, long = breed.head * s, breed.muzzle * s
    dark = Material("plain", (0.03, 0.025, 0.02), (0.05, 0.04, 0.04), (0, 0, 0), gloss=0.25)
    pale = coat if rng.random() < 0.6 else replace(coat, a=near(rng, coat.a, 0.4))
    b.add("ellipsoid", (0, 0, 0.1 * h), (h * 0.9, h * 0.88, h), coat)
    tip = (0.0, 0.32 * h + long * 0.3, 0.75 * h + long)
    b.limb((0, 0.22 * h, 0.45 * h), tip, (h * 0.62, h * 0.42), pale)
    b.add("ellipsoid", (0, tip[1] - h * 0.22, tip[2] + h * 0.3), (h * 0.2, h * 0.15, h * 0.16), dark)
    eye = Material(
        "plain", hsv(rng.choice([0.1, 0.15, 0.3]), 0.7, rng.uniform(0.05, 0.7)), (0.2, 0.2, 0.1), (0, 0, 0), gloss=0.4
    )
    for side in (-1, 1):
        at = (side * h * 0.5, -0.1 * h, 0.82 * h)
        b.add("ellipsoid", at, (h * 0.19, h * 0.19, h * 0.16), eye)
        b.add("ellipsoid", (at[0] * 1.03, at[1], at[2] + h * 0.11), (h * 0.09, h * 0.15, h * 0.08), dark)
        if breed.ears == "cone":
            ear = (h * 0.34, h * 0.45, h * 0.14)
            b.add("cone", (side * h * 0.55, -h * 1.0, 0), ear, coat, turn(side * 0.3, 0, side * 0.25))
        elif breed.ears == "long":
            b.limb(
                (side * h * 0.4, -h * 0.7, -h * 0.1),
                (side * h * 0.6, -h * 2.1, -h * 0.5),
                (h * 0.3, h * 0.2),
                coat,
                0.4,
            )
        else:
            b.limb((side * h * 0.7, -h * 0.6, 0), (side * h * 1.2, h * 0.25, 0.1 * h), (h * 0.3, h * 0.26), coat, 0.4)
    if breed is BREEDS["cow"] and rng.random() < 0.6:
        horn = Material("plain", (0.85, 0.8, 0.65), (0.8, 0.75, 0.6), (0, 0, 0))
        for side in (-1, 1):
            b.limb((side * h * 0.5, -h * 0.8, 0), (side * h * 1.3, -h * 1.6, 0.2 * h), (h * 0.14, h * 0.05), horn)


def _tail(b: Builder, rng: Random, length: Number, kind: str, coat: Material) -> None:
    """Add a tail that hangs, is held up (cats, dogs), or lies (of no kind)."""
    r, swing = length * 0.06 + 0.004, rng.uniform(-0.5, 0.5)
    up = {"cat": rng.uniform(-0.5, 1.3), "dog": rng.uniform(-0.6, 1.0)}.get(kind, -1.1 if kind else -0.1)
    if kind in ("horse", "sheep"):
        r *= 2.5
    at, angle = (0.0, 0.0, 0.0), up
    for k in range(3):
        step = length / 3
        end = (at[0] + swing * step * 0.6, at[1] - math.sin(angle) * step, at[2] - math.cos(angle) * step)
        b.limb(at, end, (r * (1 - 0.2 * k), r * (0.8 - 0.2 * k)), coat)
        at, angle = end, angle + (0.5 if kind in ("cat", "dog", "") else -0.2)


@one_object
def bird(b: Builder, rng: Random, size: Number) -> None:
    """Add a bird that stands or flies, `size` from beak to tail."""
    s, hue = size, rng.random()
    coat = cover(rng, "noise plain stripes", s, hsv(hue, rng.uniform(0, 0.7), rng.uniform(0.15, 0.95)))
    wing = replace(coat, a=near(rng, coat.a, 0.5))
    beak = Material("plain", hsv(0.1, 0.8, 0.9), hsv(0.1, 0.8, 0.7), (0, 0, 0))
    flies = rng.random() < 0.4
    lift = rng.uniform(0.3, 0.9) * s if flies else 0.3 * s
    body = b.place(0, -lift - 0.2 * s, 0).turned(turn(0, 0.1 if flies else rng.uniform(0.2, 0.7)))
    body.limb((0, 0, 0.12 * s), (0, 0, -0.25 * s), (0.17 * s, 0.07 * s), coat)
    body.add("wedge", (0, 0, -0.42 * s), (0.09 * s, 0.16 * s, 0.015 * s), wing, turn(0, math.pi / 2), taper=(0.6, 1))
    body.add("ellipsoid", (0, -0.18 * s, 0.24 * s), (0.11 * s, 0.11 * s, 0.12 * s), coat)
    body.add("cone", (0, -0.17 * s, 0.4 * s), (0.035 * s, 0.08 * s, 0.035 * s), beak, turn(0, -math.pi / 2))
    for side in (-1, 1):
        body.add("ellipsoid", (side * 0.08 * s, -0.2 * s, 0.31 * s), (0.02 * s,) * 3, Material("plain", (0.01,) * 3))
        if flies:
            beat = rng.uniform(-0.6, 0.6)
            feather = replace(wing, cut="leaf", holes=0.5)
            at = (side * 0.45 * s * math.cos(beat), -0.05 * s - 0.4 * s * math.sin(beat), 0)
            body.add(
                "ellipsoid",
                at,
                (0.2 * s, 0.5 * s, 0.02 * s),
                feather,
                turn(0, math.pi / 2) @ turn(0, 0, side * (math.pi / 2 - beat)),
            )
        else:
            body.add("ellipsoid", (side * 0.15 * s, -0.01 * s, -0.08 * s), (0.04 * s, 0.11 * s, 0.26 * s), wing)
            b.limb((side * 0.06 * s, -lift - 0.1 * s, 0), (side * 0.07 * s, 0, 0.02 * s), (0.016 * s, 0.012 * s), beak)
            b.limb((side * 0.07 * s, -0.01 * s, -0.03 * s), (side * 0.08 * s, 0, 0.1 * s), (0.012 * s, 0.01 * s), beak)
