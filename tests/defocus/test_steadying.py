"""Motion, new scenes, depth made steady and points that stay on their thing, on pictures whose motion is known."""

import math
from itertools import pairwise

import numpy as np
import pytest

from cyclopean.defocus.video import Flicker, Moment, first, following, motion, tracked
from cyclopean.io.image import grey_of
from filmed import SIDE, texture, walking

STEP = 1 / 30


def greys(count: int, step: float = 2.0, seed: int = 0) -> list[np.ndarray]:
    return [grey_of(np.ascontiguousarray(p[0].permute(1, 2, 0).numpy())) for p in walking(count, step=step, seed=seed)]


def depths(count: int, step: float = 2.0) -> list[np.ndarray]:
    return [p[0, 2].numpy() for p in walking(count, step=step)]


def run(pictures: list[np.ndarray], predicted: list[np.ndarray], mean: float) -> list[Moment]:
    moments = [first(pictures[0], predicted[0], 0.0)]
    for index, (grey, depth) in enumerate(zip(pictures[1:], predicted[1:], strict=True), 1):
        moments.append(following(moments[-1], grey, depth, index * STEP, mean=mean, clip_range=0.5))
    return moments


def test_flow_points_back_and_doubts_what_was_hidden() -> None:
    last, this = greys(2, step=6)
    moved = motion(last, this)
    square = np.s_[34:62, 22:50]
    assert np.abs(moved.back[square] - [-6, 0]).mean() < 0.3
    assert moved.sure[square].mean() > 0.9
    assert np.abs(moved.back[:20]).mean() < 0.3
    assert moved.sure[34:62, 11:15].mean() < 0.4  # uncovered by the square
    assert not moved.cut
    fetched = moved.warp(last.astype(np.float32))
    assert np.abs(fetched - this)[square].mean() < 3


def test_new_scenes_are_seen_and_others_are_not() -> None:
    one, other = greys(6, step=8), greys(6, seed=7)
    assert not any(motion(a, b).cut for a, b in pairwise(one))
    assert motion(one[-1], other[0]).cut
    assert not motion(one[0], np.clip(one[0].astype(int) + 12, 0, 255).astype(np.uint8)).cut  # a cloud moves away


def test_the_mean_follows_its_formula_where_nothing_moves() -> None:
    rng = np.random.default_rng(3)
    grey = grey_of(np.repeat(texture(60, 80, 0)[..., None], 3, 2))
    predicted = [1 + rng.normal(0, 0.005, (60, 80)).astype(np.float32) for _ in range(8)]
    moments = run([grey] * 8, predicted, mean=0.2)
    weight, expected = 1 - math.exp(-STEP / 0.2), predicted[0]
    for depth in predicted[1:]:
        expected = expected + weight * (depth - expected)
    assert np.abs(moments[-1].depth - expected)[5:-5, 5:-5].max() < 5e-3
    assert moments[-1].depth.std() < 0.6 * predicted[-1].std()


def test_breathing_scale_is_calmed_and_edges_stay() -> None:
    pictures, truth = greys(14), depths(14)
    breathing = [d * (1.1 if k % 2 else 0.9) for k, d in enumerate(truth)]
    moments = run(pictures, breathing, mean=0.3)
    flicker = Flicker(0.5)
    for last, this in pairwise(moments):
        flicker.add(last, this)
    assert flicker.pairs == 13
    assert flicker.before == pytest.approx(0.2 * np.mean([d.mean() for d in truth]) / 0.5, rel=0.15)
    assert flicker.after < 0.3 * flicker.before
    kept = moments[-1].depth / moments[-1].depth[5:20].mean() * 0.25
    assert np.abs(kept - truth[-1]).mean() < 0.02
    assert (np.abs(kept - truth[-1]) > 0.1).mean() < 0.03  # no trail behind the square, no soft rim


def test_no_seconds_means_the_prediction_itself() -> None:
    moments = run(greys(3), depths(3), mean=0.0)
    assert all(m.depth is m.predicted for m in moments)


def test_nothing_is_carried_over_a_cut() -> None:
    pictures = [*greys(3), *greys(3, seed=7)]
    predicted = [np.full((96, 160), v, np.float32) for v in (1, 1, 1, 1.02, 1.02, 1.02)]
    moments = run(pictures, predicted, mean=10.0)
    assert [m.motion is not None and m.motion.cut for m in moments] == [False, False, False, True, False, False]
    assert float(np.abs(moments[3].depth - 1.02).max()) < 1e-6
    flicker = Flicker(0.5)
    for last, this in pairwise(moments):
        flicker.add(last, this)
    assert flicker.pairs == 4
    assert flicker.before < 1e-4  # the step at the cut is not a flicker


def test_a_point_stays_on_its_thing() -> None:
    pictures, truth = greys(25, step=3.3), depths(25, step=3.3)
    moments = run(pictures, truth, mean=0.3)
    spot = start = (10.5 + SIDE - 11, 38.5)  # some pixels from the square's corner
    for index, (last, this) in enumerate(pairwise(moments), 1):
        assert this.motion is not None
        spot = tracked(spot, this.motion, last.depth, 0.5)
        assert spot is not None
        assert math.hypot(spot[0] - start[0] - round(index * 3.3), spot[1] - start[1]) < 0.5, index


def test_a_point_that_leaves_is_lost() -> None:
    moments = run(greys(40, step=4), depths(40, step=4), mean=0.0)
    spot: tuple[float, float] | None = (30.5, 48.5)
    for last, this in pairwise(moments):
        assert this.motion is not None
        spot = spot and tracked(spot, this.motion, last.depth, 0.5)
    assert spot is None
