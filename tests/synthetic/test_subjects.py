"""People, animals, plants, thin things, vehicles and food: whole, on the ground, and as large as they are."""

import math
from random import Random

import numpy as np
import pytest
import torch

from cyclopean.geometry import Pinhole
from cyclopean.synthetic import render
from cyclopean.synthetic.animals import BREEDS, beast, bird
from cyclopean.synthetic.dishes import DISHES, bowl, cup, plate, tumbler
from cyclopean.synthetic.figures import POSES, human
from cyclopean.synthetic.greenery import branching, cactus, fern, leaf, leafy, shrub
from cyclopean.synthetic.scene import Atmosphere, Builder, Material
from cyclopean.synthetic.subjects import MOODS
from cyclopean.synthetic.vehicles import BODIES, Plan, house, motorcycle, vehicle
from cyclopean.synthetic.wires import THIN

AIR = Atmosphere(ambient=1.0, haze=0.0)
CAMERA = Pinhole(torch.tensor([[1.0, 1.0]]), torch.tensor([[0.5, 0.5]]))


def seen(build, distance, height, size=96):
    """Return where a thing's outline is, in metres: left, right, top, bottom (up positive), from far away."""
    b = Builder()
    build(b)
    assert set(b.objects) == {1}  # whole
    eye = torch.eye(4)[None].clone()
    eye[0, 1, 3], eye[0, 2, 3] = -height, -distance
    focal = Pinhole(CAMERA.focal * distance / (4 * height), CAMERA.center)
    depth = render.render(b.scene((), AIR, "street", 0), focal, eye, (size, size)).depth[0, 0]
    y, x = torch.nonzero(depth.isfinite(), as_tuple=True)
    scale = 4 * height / size
    left, right = (float(x.min()) - size / 2) * scale, (float(x.max()) + 1 - size / 2) * scale
    top, bottom = height - (float(y.min()) - size / 2) * scale, height - (float(y.max()) + 1 - size / 2) * scale
    return left, right, top, bottom


def test_a_limb_reaches_from_ball_to_ball():
    for start, end, radii in (
        ((0.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.2, 0.1)),
        ((0.3, -0.2, 0.0), (-0.5, -0.6, 0.0), (0.05, 0.15)),  # the larger end is put below
        ((0.0, -0.5, 0.0), (0.5, -0.5, 0.0), (0.1, 0.1)),
        ((0.0, -0.5, 0.0), (0.05, -0.5, 0.0), (0.3, 0.1)),  # one ball holds the other
    ):

        def build(b, start=start, end=end, radii=radii):
            b.thing().limb(start, end, radii, Material())

        left, right, top, bottom = seen(build, 40, 0.6, 240)
        edges = [(p[0] - r, p[0] + r, -p[1] + r, -p[1] - r) for p, r in zip((start, end), radii, strict=True)]
        expected = [pick(column) for pick, column in zip((min, max, max, min), zip(*edges, strict=True), strict=True)]
        assert [left, right, top, bottom] == pytest.approx(expected, abs=0.025)


@pytest.mark.parametrize("pose", list(POSES))
def test_people_stand_on_their_feet_and_are_as_tall_as_said(pose):
    for seed in range(4):
        seat = 0.45 if pose == "sit" else 0.0
        lift = POSES[pose](Random(seed)).lift
        left, right, top, bottom = seen(lambda b, s=seed, q=seat: human(b, Random(s), 1.8, pose, q), 60, 1.2)
        assert -0.12 < bottom < 0.9
        if not lift and pose != "sit":
            assert bottom == pytest.approx(0, abs=0.09)
        if pose in ("stand", "walk", "akimbo"):
            assert 1.68 < top < 2.0
        assert right - left < 2.2


def test_a_person_who_sits_is_on_the_seat():
    b = Builder()
    human(b, Random(3), 1.8, "sit", 0.5)
    assert min(-float(c[1]) for c in b.centers[:1]) > 0.2
    tops = [-float(c[1]) for c in b.centers]
    assert 1.0 < max(tops) < 1.7  # less tall than who stands


def test_animals_stand_on_the_ground_and_have_a_head_ahead():
    for kind, breed in BREEDS.items():
        for pose in set(MOODS[kind].split()):
            b = Builder()
            beast(b, Random(f"{kind} {pose}"), kind, pose)
            left, right, top, bottom = seen(
                lambda b, k=kind, p=pose: beast(b, Random(f"{k} {p}"), k, p), 60, breed.height[1]
            )
            assert abs(bottom) < 0.12 * breed.height[1] + 0.02 * (pose == "run") + 0.02, (kind, pose)
            assert 0.4 * breed.height[0] < top < 2.6 * breed.height[1], (kind, pose)
            assert right - left < 1.6 * breed.height[1]
            centers = np.array(b.centers)
            assert centers[:, 2].max() > -centers[:, 2].min() * 0.6  # a head before, a tail behind
            assert set(b.objects) == {1}
    b = Builder()
    bird(b, Random(1), 0.3)
    assert set(b.objects) == {1}


def test_a_leaf_points_where_it_is_told_from_its_stalk():
    for around, up in ((0.0, 0.3), (1.5, -0.4), (-2.0, 1.2), (3.0, 0.0)):
        b = Builder()
        leaf(b, (0.1, -0.5, 0.2), (around, up), (0.4, 0.1), Material())
        tip = b.centers[0] - b.rotations[0] @ np.array([0, 0.2, 0])
        stalk = b.centers[0] + b.rotations[0] @ np.array([0, 0.2, 0])
        assert stalk == pytest.approx([0.1, -0.5, 0.2], abs=1e-6)
        way = (tip - stalk) / 0.4
        assert math.atan2(way[0], way[2]) == pytest.approx(around, abs=1e-6)
        assert math.asin(-way[1]) == pytest.approx(up, abs=1e-6)


def test_things_are_whole_and_stand_on_the_ground():
    makers = {
        **{kind: (lambda b, rng, k=kind: vehicle(b, rng, k)) for kind in (*BODIES, "lorry")},
        **THIN,
        **{dish: (lambda b, rng: plate(b, rng, 0.13)) for dish in DISHES},
        **{"motorcycle": motorcycle, "cup": cup, "glass": tumbler, "bowl": lambda b, rng: bowl(b, rng, 0.1)},
        **{"leafy": lambda b, rng: leafy(b, rng, 0.8), "fern": lambda b, rng: fern(b, rng, 0.8)},
        **{"cactus": lambda b, rng: cactus(b, rng, 0.4), "shrub": lambda b, rng: shrub(b, rng, 1.2)},
        **{"tree": lambda b, rng: branching(b, rng, 6), "bare": lambda b, rng: branching(b, rng, 6, True)},
        "house": lambda b, rng: house(b, rng, Plan(8, 7, 2)),
    }
    for name, make in makers.items():
        b = Builder()
        make(b, Random(name))
        assert set(b.objects) == {1}, name
        low = max(
            float(c[1] + np.abs(r) @ np.array(h) @ np.array([0, 1, 0]))
            for c, r, h in zip(b.centers, b.rotations, b.halves, strict=True)
        )
        high = -min(float(c[1]) for c in b.centers)
        assert -0.05 < low / high < 0.3, (name, low, high)  # a bound: turned things are in larger boxes than they need
        assert len(b.shapes) < 330, (name, len(b.shapes))
