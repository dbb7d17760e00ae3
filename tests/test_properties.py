"""Properties that hold for all inputs, on inputs that hypothesis draws: transposes, round trips, wrapping borders."""

import math

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cyclopean.geometry import Equirectangular, Pinhole, axis_angle, invert, rigid
from cyclopean.synthesis import pull, push

sides, even_sides = st.integers(1, 6), st.integers(1, 3).map(lambda n: 2 * n)
often = settings(max_examples=60, deadline=None, derandomize=True, database=None)


def tensors(*shape: int, low: float, high: float):
    return arrays(np.float64, shape, elements=st.floats(low, high)).map(torch.from_numpy)


@often
@given(st.data(), st.tuples(sides, even_sides), st.tuples(sides, sides), st.sampled_from(["zeros", "edge", "sphere"]))
def test_push_is_the_transpose_of_pull(data, size, other_size, border):
    """<pull(I, uv), J> = <I, push(J, uv)>, wherever uv is."""
    (h, w), (rows, columns) = size, other_size
    image = data.draw(tensors(1, 2, h, w, low=-1, high=1))
    values = data.draw(tensors(1, 2, rows, columns, low=-1, high=1))
    uv = data.draw(tensors(1, rows, columns, 2, low=-2, high=3))
    one, other = (pull(image, uv, border) * values).sum(), (image * push(values, uv, border, (h, w))).sum()
    torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


@often
@given(tensors(1, 3, 4, 6, low=0, high=1), tensors(1, 2, 5, 2, low=0.01, high=0.99), st.integers(-3, 3))
def test_the_sphere_goes_on_across_its_seam_and_past_its_poles(image, uv, turns):
    """A whole turn is none; past a pole the picture goes on half a turn away, upside down."""
    (u, v), half = uv.unbind(-1), 0.5 - turns
    here = pull(image, uv, "sphere")
    for there in ((u + turns, v), (u, v + 2 * turns), (u + half, -v), (u + half, 2 - v)):
        torch.testing.assert_close(pull(image, torch.stack(there, -1), "sphere"), here, rtol=1e-9, atol=1e-9)


pinholes = st.builds(Pinhole, tensors(1, 2, low=0.2, high=5), tensors(1, 2, low=-0.5, high=1.5))


@often
@given(st.one_of(pinholes, st.just(Equirectangular())), tensors(1, 2, 3, 2, low=0.001, high=0.999), st.floats(-9, 9))
def test_a_pixel_comes_back_from_its_point_at_any_depth(camera, uv, exponent):
    depth = math.exp(exponent)
    points = depth * camera.rays(uv)
    assert camera.sees(points).all()
    torch.testing.assert_close(camera.project(points), uv, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(camera.depth(points), torch.full((1, 1, 2, 3), depth, dtype=uv.dtype))


@often
@given(tensors(1, 3, low=-6, high=6), tensors(1, 3, low=-100, high=100))
def test_a_pose_and_its_inverse_cancel(vector, offset):
    pose = rigid(axis_angle(vector), offset)  # whose rotation is orthogonal to 1e-11, times offsets of 100
    for product in (pose @ invert(pose), invert(pose) @ pose):
        torch.testing.assert_close(product, torch.eye(4, dtype=pose.dtype)[None], rtol=0, atol=1e-8)
    torch.testing.assert_close(invert(invert(pose)), pose, rtol=0, atol=1e-8)
