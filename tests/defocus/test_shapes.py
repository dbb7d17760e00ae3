"""Kernels: sums, second moments, outlines, orientation."""

from itertools import product

import numpy as np
import pytest

from cyclopean.defocus.lens import Shape, kernel, parse_shape
from cyclopean.errors import InputError

SHAPES = ["disc", "ring", "polygon:6", "polygon:5:20", "cateye"]


def variance(weights: np.ndarray) -> float:
    place = np.arange(len(weights)) - len(weights) // 2
    return sum(p @ place**2 - (p @ place) ** 2 for p in (weights.sum(0), weights.sum(1))) / 2


def test_light_is_kept_and_kernels_stay_small() -> None:
    for text, radius in product(SHAPES, (0.5, 1.0, 2.4, 4.0, 5.0)):
        weights = kernel(parse_shape(text), radius)
        assert weights.dtype == np.float32, (text, radius)
        assert weights.sum() == pytest.approx(1, abs=1e-5), (text, radius)
        assert weights.shape[0] == weights.shape[1], (text, radius)
        assert len(weights) in (3, 5, 7, 9, 11), (text, radius)


@pytest.mark.parametrize("radius", [0.5, 0.8, 1.0, 1.5, 2.0, 3.3, 5.0])
def test_a_disc_has_the_second_moment_of_its_radius(radius: float) -> None:
    """Plain coverage fails this at small radii: a disc inside one pixel would not blur at all."""
    assert variance(kernel(Shape(), radius)) == pytest.approx(radius**2 / 4, rel=0.02)
    assert variance(kernel(Shape(), radius + 1, 0.3)) == pytest.approx((radius + 1) ** 2 / 4 - 0.3, rel=0.02)


def test_no_radius_no_blur() -> None:
    assert np.array_equal(kernel(Shape(), 0.0), [[1]])


def test_a_ring_is_hollow_and_a_disc_is_flat() -> None:
    ring, disc = kernel(Shape("ring"), 5.0), kernel(Shape(), 5.0)
    assert ring[5, 5] < 0.01 * ring.max()
    assert np.allclose(disc[3:8, 3:8], disc[5, 5], rtol=0.05)
    assert ring.max() > 1.5 * disc.max()


def test_polygons_point_up_and_turn_clockwise() -> None:
    triangle = kernel(parse_shape("polygon:3"), 5.0)
    widths = (triangle > 0.5 * triangle.max()).sum(1)
    rows = np.flatnonzero(widths)
    assert widths[rows[0]] < widths[rows[-1]]
    assert np.allclose(triangle, triangle[:, ::-1], atol=1e-4)
    quarter = kernel(parse_shape("polygon:3:90"), 5.0)
    assert np.allclose(quarter, np.rot90(triangle, -1), atol=2e-3)


def test_a_tilted_cats_eye_is_narrow_along_the_tilt() -> None:
    eye = kernel(Shape("cateye", tilt=(0.9, 0.0)), 5.0)
    solid = eye > 0.5 * eye.max()
    assert solid.any(0).sum() < solid.any(1).sum()


@pytest.mark.parametrize("text", ["disk", "polygon:2", "polygon:13", "polygon:x", "disc:3", "polygon:6:nan", ""])
def test_shapes_that_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="shape"):
        parse_shape(text)
