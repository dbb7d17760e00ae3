"""People in many poses: limbs as rounded, tapering capsules, heads with faces, hair and clothes.

A figure stands at its own origin on the ground (y = 0, up is negative y), faces z, and is one object; metres, radians.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

import numpy as np

from cyclopean.synthetic.materials import cover, hsv, near, paint
from cyclopean.synthetic.scene import Builder, Material, Number, Triple, one_object, turn

HEAD = 0.115  # half the height of the head of a person 1.75 m tall
# Lengths as shares of the height.
THIGH, SHIN, ANKLE, TORSO, UPPER_ARM, FOREARM = 0.245, 0.245, 0.042, 0.295, 0.17, 0.15
HIP, SHOULDER = 0.052, 0.108  # from the middle


@dataclass(frozen=True)
class Pose:
    """Angles of joints, left and right: thighs forward, knees and elbows bent, arms forward and out; the torso's lean
    forward and to the side; `lift`: metres above the ground (of somebody who jumps), or how high the seat is (None:
    the lower foot is on the ground).
    """

    thighs: tuple[Number, Number] = (0.0, 0.0)
    knees: tuple[Number, Number] = (0.03, 0.03)
    splay: Number = 0.06
    arms: tuple[Number, Number] = (0.0, 0.0)
    out: tuple[Number, Number] = (0.12, 0.12)
    elbows: tuple[Number, Number] = (0.15, 0.15)
    lean: Number = 0.0
    sway: Number = 0.0
    lift: Number = 0.0
    nod: Number = 0.0


def _stand(rng: Random) -> Pose:
    weight, arm = rng.choice([-1, 1]) * rng.uniform(0, 0.2), rng.uniform(-0.1, 0.3)
    return Pose((max(weight, 0), max(-weight, 0)), (abs(weight), abs(weight)), rng.uniform(0.02, 0.25), (arm, arm))


def _walk(rng: Random) -> Pose:
    stride = rng.uniform(0.25, 0.55) * rng.choice([-1, 1])
    knees = (0.1 + max(-stride, 0) * 0.8, 0.1 + max(stride, 0) * 0.8)
    return Pose((stride, -stride * 0.7), knees, 0.03, (-stride * 0.9, stride * 0.9), (0.1, 0.1), (0.4, 0.4), 0.06)


def _run(rng: Random) -> Pose:
    stride = rng.uniform(0.7, 1.1) * rng.choice([-1, 1])
    knees = (0.4 + max(-stride, 0) * 1.1, 0.4 + max(stride, 0) * 1.1)
    arms = (-stride, stride)
    return Pose((stride, -stride * 0.6), knees, 0.04, arms, (0.2, 0.2), (1.5, 1.5), 0.25, lift=rng.uniform(0, 0.1))


def _jump(rng: Random) -> Pose:
    tuck, up = rng.uniform(0, 1.2), rng.uniform(0.8, 2.9)
    spread = rng.uniform(0.05, 0.6)
    thighs, knees = (tuck, tuck * rng.random()), (rng.uniform(0.2, 1.9), rng.uniform(0.2, 1.9))
    return Pose(thighs, knees, spread, (0.2, 0.2), (up, up), (0.3, 0.3), lift=rng.uniform(0.15, 0.7))


def _sit(rng: Random) -> Pose:
    reach = rng.uniform(0.2, 0.9)
    thigh = rng.uniform(1.35, 1.55)
    return Pose((thigh, thigh), (thigh, thigh), rng.uniform(0.03, 0.3), (reach, reach), (0.1, 0.1), (1.0, 1.0), 0.05)


def _crouch(rng: Random) -> Pose:
    deep = rng.uniform(1.5, 2.1)
    return Pose((deep, deep), (deep + 0.4, deep + 0.4), 0.25, (1.0, 1.0), (0.15, 0.15), (0.5, 0.8), 0.5)


def _wave(rng: Random) -> Pose:
    return replace(_stand(rng), out=(rng.uniform(1.6, 2.8), 0.12), elbows=(rng.uniform(0.1, 1.0), 0.2))


def _hold(rng: Random) -> Pose:
    """Hold a book, a telephone or a ball before the chest."""
    return replace(_stand(rng), arms=(0.5, 0.5), out=(0.1, 0.1), elbows=(rng.uniform(1.2, 1.9),) * 2, nod=0.25)


def _spread(rng: Random) -> Pose:
    arm = rng.uniform(1.0, 1.7)
    return replace(_stand(rng), out=(arm, arm), elbows=(0.1, 0.1), splay=rng.uniform(0.1, 0.35))


def _bow(rng: Random) -> Pose:
    return replace(_stand(rng), lean=rng.uniform(0.5, 1.2), arms=(1.0, 1.3), elbows=(0.2, 0.4))


def _akimbo(rng: Random) -> Pose:
    return replace(_stand(rng), arms=(-0.3, -0.3), out=(0.75, 0.75), elbows=(1.6, 1.6))


POSES: dict[str, Callable[[Random], Pose]] = {
    **{"stand": _stand, "walk": _walk, "run": _run, "jump": _jump, "sit": _sit, "crouch": _crouch},
    **{"wave": _wave, "hold": _hold, "spread": _spread, "bow": _bow, "akimbo": _akimbo},
}
OFTEN = "stand stand stand walk walk walk run jump wave hold hold spread bow akimbo crouch"


@dataclass(frozen=True)
class Clothes:
    """What a person wears: `sleeve` covers the forearms (or is skin), `legs` are long, short or a skirt."""

    top: Material
    sleeve: Material
    trousers: Material
    shoes: Material
    own: Material
    legs: str


def skin(rng: Random) -> Material:
    colour = hsv(rng.uniform(0.04, 0.085), rng.uniform(0.28, 0.62), rng.uniform(0.3, 0.97))
    darker = near(rng, colour, 0.06)
    return Material("plain", colour, darker, darker, 25, 0.4, 0.06, rng.choice([0.0, 0.05]), seed=rng.randrange(999))


def cloth(
    rng: Random, kinds: str = "plain plain plain noise stripes checker picture leaves", size: Number = 0.5
) -> Material:
    worn = cover(rng, kinds, size, paint(rng, 0.45))
    return replace(worn, contrast=min(worn.contrast, 0.9), grain=min(worn.grain, 0.25))


def hair_colour(rng: Random) -> Material:
    grey = rng.random() < 0.2
    base = hsv(0.07, 0.1 if grey else rng.uniform(0.3, 0.75), rng.uniform(0.5, 0.9) if grey else rng.uniform(0.03, 0.6))
    return Material("wood", base, near(rng, base, 0.25), base, 25, 1.0, 0.5, 0.12, seed=rng.randrange(999))


@one_object
def human(b: Builder, rng: Random, height: Number = 1.72, pose: str | None = None, seat: Number = 0.0) -> None:
    """Add a person in a pose (None: any but sitting); `seat`: the height of what it sits on."""
    posed = POSES[pose or rng.choice(OFTEN.split())](rng)
    own, top, trousers = skin(rng), cloth(rng), cloth(rng, "plain plain noise", 0.5)
    sleeve, legs = own if rng.random() < 0.4 else top, rng.choice(["long", "long", "long", "short", "skirt"])
    wear = Clothes(top, sleeve, trousers, cloth(rng, "plain"), own, legs)
    build = rng.uniform(0.82, 1.3)
    thick = height / 1.75 * math.sqrt(build)
    # The skeleton, the pelvis at the origin.
    joints: list[list[np.ndarray]] = [[], [], []]  # hips, knees, ankles
    feet = []
    for k, side in enumerate((-1, 1)):
        hip = np.array([side * HIP, 0, 0]) * height
        knee = hip + THIGH * height * _down(posed.thighs[k], side * posed.splay)
        ankle = knee + SHIN * height * _down(posed.thighs[k] - posed.knees[k], side * posed.splay)
        for part, joint in zip(joints, (hip, knee, ankle), strict=True):
            part.append(joint)
        feet.append(float(ankle[1]) + ANKLE * height)
    base = np.array([0, -(seat + 0.07 * thick) if seat else -(max(feet) + posed.lift), 0])
    torso = turn(0, -posed.lean, posed.sway)
    chest, neck = (base + torso @ np.array([0, -y * height, 0]) for y in (0.68 * TORSO, TORSO))
    _legs(b, [[base + p for p in part] for part in joints], thick, wear, posed)
    # The trunk: hips, belly and chest.
    belly = base + torso @ np.array([0, -0.33 * TORSO * height, 0.008 * height])
    at = _at
    b.add("ellipsoid", at(base), (0.16 * thick, 0.13 * thick, 0.125 * thick), trousers, torso)
    b.add("ellipsoid", at(belly), (0.15 * thick * build, 0.19 * thick, 0.115 * thick * build), top, torso)
    b.add("ellipsoid", at(chest), (0.175 * thick, 0.21 * thick, 0.12 * thick), top, torso)
    shoulders = [neck + torso @ np.array([side * SHOULDER, 0.05, 0]) * height for side in (-1, 1)]
    b.limb(at(shoulders[0]), at(shoulders[1]), (0.056 * thick, 0.056 * thick), top)
    _arms(b, shoulders, (height, thick), wear, posed)
    head_at = neck + torso @ np.array([0, -0.078, 0.012]) * height
    b.limb(at(neck), at(head_at), (0.062 * thick, 0.052 * thick), own)
    placed = b.place(*at(head_at)).turned(turn(rng.gauss(0, 0.35), rng.gauss(0, 0.12) - posed.nod - posed.lean * 0.4))
    head(placed, rng, HEAD * (height / 1.75) ** 0.7, own)


def _at(p: np.ndarray) -> Triple:
    return float(p[0]), float(p[1]), float(p[2])


def _down(forward: Number, aside: Number) -> np.ndarray:
    """Return the direction of what hangs, swung forward and then to the right."""
    return np.array([math.sin(aside) * math.cos(forward), math.cos(aside) * math.cos(forward), math.sin(forward)])


def _legs(b: Builder, joints: list[list[np.ndarray]], thick: Number, wear: Clothes, posed: Pose) -> None:
    trousers, own, shoes, dressed = wear.trousers, wear.own, wear.shoes, wear.legs
    sitting = max(posed.thighs) > 1.0
    for k in (0, 1):
        hip, knee, ankle = (part[k] for part in joints)
        bare = own if dressed != "long" else trousers
        b.limb(_at(hip), _at(knee), (0.088 * thick, 0.06 * thick), trousers if dressed != "skirt" or sitting else own)
        calf = 0.066 if bare is trousers else 0.055
        b.limb(_at(knee), _at(ankle), (calf * thick, (0.05 if bare is trousers else 0.034) * thick), bare)
        way = posed.thighs[k] - posed.knees[k]  # of the shin; the foot is at a right angle to it
        heel, toe = (
            ankle + thick * np.array([0, y * math.cos(way) - z * math.sin(way), z * math.cos(way) + y * math.sin(way)])
            for y, z in ((0.04, -0.02), (0.045, 0.17))
        )
        b.limb(_at(heel), _at(toe), (0.042 * thick, 0.034 * thick), shoes)
    if dressed == "skirt" and not sitting:
        high, low = (joints[0][0] + joints[0][1]) / 2, (joints[1][0] + joints[1][1]) / 2
        middle = (high + low) / 2
        wide = 0.19 * thick + 0.5 * abs(joints[1][0] - joints[1][1]).max()
        half = (wide, (low - high)[1] / 2 + 0.06 * thick, wide * 0.9)
        b.add("frustum", _at(middle), half, trousers, taper=(0.15 * thick / wide, 1))


def _arms(b: Builder, shoulders: list[np.ndarray], size: tuple[Number, Number], wear: Clothes, posed: Pose) -> None:
    (height, thick), top, own = size, wear.top, wear.own
    sleeve = wear.sleeve
    for k, side in enumerate((-1, 1)):
        forward, out, bent = posed.arms[k], side * posed.out[k], posed.elbows[k]
        elbow = shoulders[k] + UPPER_ARM * height * _down(forward, out)
        # An arm that hangs bends forward; one that is held out bends up.
        hand = elbow + FOREARM * height * _down(
            forward + bent * abs(math.cos(out)),
            out * (1 + 0.5 * bent * abs(math.sin(out))) - side * 0.3 * bent * abs(math.cos(out)),
        )
        b.limb(_at(shoulders[k]), _at(elbow), (0.052 * thick, 0.044 * thick), top)
        b.limb(_at(elbow), _at(hand), (0.043 * thick, 0.03 * thick), sleeve)
        palm = hand + (hand - elbow) / (FOREARM * height) * 0.075 * thick
        b.limb(_at(hand), _at(palm), (0.034 * thick, 0.026 * thick), own, 0.6)


@one_object
def head(b: Builder, rng: Random, size: Number, own: Material | None = None) -> None:
    """Add a head of half height `size` centred on the origin, facing z: a face, ears, hair, maybe a beard, glasses, a
    hat.
    """
    own, hair = own or skin(rng), hair_colour(rng)
    wide, jaw = rng.uniform(0.9, 1.08), rng.uniform(0.85, 1.1)
    s = size

    def ball(center: Triple, half: Triple, look: Material, rotation: np.ndarray | None = None) -> None:
        at = (center[0] * s * wide, center[1] * s, center[2] * s)
        b.add("ellipsoid", at, (half[0] * s * wide, half[1] * s, half[2] * s), look, rotation)

    def bar(start: Triple, end: Triple, radii: tuple[Number, Number], look: Material) -> None:
        ends = [(p[0] * s * wide, p[1] * s, p[2] * s) for p in (start, end)]
        b.limb(ends[0], ends[1], (radii[0] * s, radii[1] * s), look)

    ball((0, -0.2, -0.08), (0.68, 0.78, 0.82), own)
    ball((0, 0.28, 0.12), (0.54 * jaw, 0.7, 0.58), own)
    for side in (-1, 1):
        ball((side * 0.26, 0.2, 0.32), (0.27, 0.3, 0.29), own)  # cheeks
        _eye(ball, bar, side, hair, rng)
        ball((side * 0.69, 0.04, -0.06), (0.08, 0.2, 0.13), own, turn(side * 0.4))
    nose = rng.uniform(0.8, 1.25)
    bar((0, -0.12, 0.64), (0, 0.2, 0.68 + 0.07 * nose), (0.07, 0.1 * nose), own)
    ball((0, 0.62, 0.42), (0.3, 0.24, 0.26), own)  # the chin
    _mouth(ball, own, rng)
    _hair(ball, s * wide, rng, hair)
    extra = rng.random()
    if extra < 0.18:
        beard = replace(hair, grain=0.8)
        ball((0, 0.44, 0.13), (0.57 * jaw, 0.57, 0.585), beard)
        ball((0, 0.36, 0.68), (0.26, 0.06, 0.09), beard)
    if rng.random() < 0.2:
        _glasses(b, s, wide, rng)
    if rng.random() < 0.18:
        look = cloth(rng, "plain plain stripes noise", 0.2)
        ball((0, -0.5, -0.1), (0.78, 0.6, 0.9), look)
        if rng.random() < 0.6:
            b.add("cylinder", (0, -0.55 * s, 0.3 * s), (0.75 * s, 0.03 * s, 0.95 * s), look, turn(0, -0.1))


Ball = Callable[..., None]


def _eye(ball: Ball, bar: Ball, side: int, hair: Material, rng: Random) -> None:
    white = Material("plain", (0.93, 0.91, 0.88), (0.9, 0.88, 0.86), (1, 1, 1), 9, 0.2, 0.02, 0.3)
    iris = hsv(rng.choice([0.07, 0.08, 0.55, 0.3]), 0.6, 0.25)
    ball((side * 0.26, -0.06, 0.615), (0.125, 0.07, 0.09), white)
    ball((side * 0.26, -0.06, 0.675), (0.055, 0.06, 0.045), Material("plain", iris, iris, iris, 9, 0, 0, 0.4))
    ball((side * 0.26, -0.06, 0.7), (0.025, 0.028, 0.025), Material("plain", (0.01,) * 3, (0.01,) * 3, (0.01,) * 3))
    bar((side * 0.12, -0.22, 0.69), (side * 0.42, -0.23, 0.57), (0.035, 0.022), hair)


def _mouth(ball: Ball, own: Material, rng: Random) -> None:
    r, g, u = own.a
    red = (min(1.0, r * 0.95), g * 0.6, u * 0.65)
    lips = Material("plain", red, red, red, 9, 0.2, 0.05, 0.1)
    ball((0, 0.5, 0.62), (0.21, 0.035, 0.085), lips)
    if rng.random() < 0.35:
        dark = Material("plain", (0.25, 0.05, 0.05), (0.25, 0.05, 0.05), (0, 0, 0))
        ball((0, 0.54, 0.63), (0.16, rng.uniform(0.03, 0.09), 0.075), dark)
    ball((0, 0.57, 0.605), (0.17, 0.045, 0.09), lips)


def _hair(ball: Ball, s: Number, rng: Random, hair: Material) -> None:
    kind = rng.choice(["short", "short", "short", "long", "long", "bun", "curls", "bald"])
    if kind == "bald":
        return
    ball((0, -0.28, -0.17), (0.74, 0.8, 0.86), hair)
    fringe = replace(hair, cut="strands", holes=rng.uniform(0.4, 0.7), scale=14 / s)
    if kind == "curls":
        for _ in range(16):
            around, up = rng.uniform(0, 2 * math.pi), rng.uniform(-0.1, 1)
            at = (
                0.72 * math.cos(around) * math.cos(up),
                -0.3 - 0.75 * math.sin(up),
                -0.25 + 0.75 * math.sin(around) * math.cos(up),
            )
            if at[2] < 0.3 or at[1] < -0.7:
                ball(at, (0.24, 0.24, 0.24), hair)
    elif kind == "long":
        ball((0, 0.35, -0.42), (0.72, rng.uniform(0.9, 1.5), 0.45), hair)
        for side in (-1, 1):
            ball((side * 0.66, 0.35, -0.1), (0.14, rng.uniform(0.6, 1.1), 0.3), hair)
    elif kind == "bun":
        ball((0, -0.75, -0.85), (0.3, 0.3, 0.3), hair)
    if rng.random() < 0.5:
        ball((0, -0.42, -0.08), (0.78, 0.7, 0.88), fringe)


def _glasses(b: Builder, s: Number, wide: Number, rng: Random) -> None:
    frame = Material("plain", paint(rng, 0.3), (0.1, 0.1, 0.1), (0, 0, 0), 9, 0.3, 0.05, 0.3)
    rim = replace(frame, cut="spokes", holes=0.85, seed=0)
    dark = rng.random() < 0.35
    for side in (-1, 1):
        at = (side * 0.27 * s * wide, -0.05 * s, 0.76 * s)
        look = Material("plain", (0.02,) * 3, (0.02,) * 3, (0, 0, 0), gloss=0.5) if dark else rim
        b.add("cylinder", at, (0.2 * s, 0.012 * s, 0.17 * s), look, turn(side * 0.15, math.pi / 2))
        b.limb(
            (side * 0.46 * s * wide, -0.08 * s, 0.72 * s),
            (side * 0.7 * s * wide, -0.05 * s, 0),
            (0.02 * s, 0.02 * s),
            frame,
        )
    b.limb((-0.09 * s, -0.08 * s, 0.77 * s), (0.09 * s, -0.08 * s, 0.77 * s), (0.02 * s, 0.02 * s), frame)
