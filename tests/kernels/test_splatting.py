"""The fused splat is `splat_plain`, which the tests of `synthesis` hold against loops, worlds and fixtures."""

import sys

import pytest
import torch

from cyclopean import kernels
from cyclopean.errors import InputError
from cyclopean.geometry import pixel_grid
from cyclopean.kernels import splatting
from cyclopean.synthesis import push, splat, splat_plain

F64 = torch.float64
BORDERS = ("zeros", "edge", "sphere")
every_border = pytest.mark.parametrize("border", BORDERS)
SIZE = (6, 10)


def scattered(b: int, size: tuple[int, int] = SIZE, dtype: torch.dtype = F64) -> list[torch.Tensor]:
    """Image, uv and weight: uv inside, on pixel centres, on edges, over the seam, past the poles, turns away."""
    h, w = size
    uv = torch.rand(b, h, w, 2, dtype=dtype) * 1.3 - 0.15
    uv[:, 0] = uv[:, 0] * 5 - 2
    uv[:, 1] = pixel_grid(size, uv)[:, 1] + torch.tensor([0.95, 0.0], dtype=dtype)
    uv[:, 2, :5] = torch.tensor([0.3, -0.01], dtype=dtype)
    image, weight = torch.rand(b, 3, h, w, dtype=dtype), torch.rand(b, 1, h, w, dtype=dtype) + 0.1
    return [t.requires_grad_() for t in (image, uv, weight)]


def answers(verb, inputs, border, seed=1):
    """Picture, coverage and the gradients of image, uv and weight for random gradients of the first two."""
    made = verb(*inputs, border)
    generator = torch.Generator().manual_seed(seed)
    given = [torch.rand(m.shape, dtype=m.dtype, generator=generator) - 0.5 for m in made]
    return [*made, *torch.autograd.grad(made, inputs, given)]


@every_border
@pytest.mark.parametrize("channels", [1, 3])
def test_it_is_the_plain_one_forward_and_backward(border, channels):
    _, uv, weight = scattered(2)
    inputs = [torch.rand(2, channels, *SIZE, dtype=F64, requires_grad=True), uv, weight]
    assert kernels.fits(*inputs)
    for ours, plain in zip(answers(splat, inputs, border), answers(splat_plain, inputs, border), strict=True):
        torch.testing.assert_close(ours, plain)


@every_border
def test_gradcheck(border):
    """Well inside the cells between pixel centres, where bilinear shares have a derivative; some cells lie outside."""
    h, w = 4, 6
    cell = torch.stack([torch.randint(-2, 7, (1, h, w)), torch.randint(-2, 5, (1, h, w))], -1)
    uv = (cell + torch.rand(1, h, w, 2, dtype=F64) * 0.8 + 0.6) / torch.tensor([w, h], dtype=F64)
    image, weight = torch.rand(1, 3, h, w, dtype=F64), torch.rand(1, 1, h, w, dtype=F64) + 0.1
    inputs = [t.requires_grad_() for t in (image, uv, weight)]
    assert torch.autograd.gradcheck(lambda i, u, s: splat(i, u, s, border), inputs)


@every_border
def test_the_number_of_threads_changes_no_bit(border):
    inputs = scattered(3, (32, 64), torch.float32)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = answers(splat, inputs, border)
        torch.set_num_threads(3)
        together = answers(splat, inputs, border)
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(alone, together, strict=True))


def test_over_the_seam_the_right_hand_neighbour_is_the_first_column():
    """The release wraps coordinates modulo W but drops the right-hand neighbour of a point past the last centre, which
    leaves a seam (its trap 8): here nine tenths of a step beyond it, nine tenths of the colour are in column 0.
    """
    image, weight = torch.ones(1, 3, *SIZE, dtype=F64), torch.zeros(1, 1, *SIZE, dtype=F64)
    weight[..., 3, -1] = 1
    uv = pixel_grid(SIZE, image) + torch.tensor([0.09, 0.0], dtype=F64)
    _, coverage = splat(image, uv, weight, "sphere")
    torch.testing.assert_close(coverage[0, 0, 3, [9, 0]], torch.tensor([0.1, 0.9], dtype=F64))
    torch.testing.assert_close(coverage.sum(), weight.sum())


def test_past_the_pole_it_goes_on_half_a_turn_away():
    image, weight = torch.ones(1, 3, *SIZE, dtype=F64), torch.zeros(1, 1, *SIZE, dtype=F64)
    weight[..., 0, 2] = 1
    up = pixel_grid(SIZE, image) - torch.tensor([0.0, 1 / 6], dtype=F64)
    _, coverage = splat(image, up, weight, "sphere")
    torch.testing.assert_close(coverage[0, 0, 0], torch.eye(10, dtype=F64)[7])


@every_border
def test_what_has_no_place_goes_nowhere(border):
    """The release moves NaN and infinite coordinates to pixel 0, which then shows them."""
    image, uv, weight = (t.detach() for t in scattered(1))
    lost = torch.zeros(1, *SIZE, dtype=torch.bool)
    lost[0, 2:4, 3:5] = True
    gone, _ = splat(image, uv, weight * ~lost[:, None], border)
    for nowhere in (torch.nan, torch.inf, -torch.inf):
        inputs = [image, torch.where(lost[..., None], nowhere, uv), weight]
        made = answers(splat, [t.requires_grad_() for t in inputs], border)
        torch.testing.assert_close(made[0].detach(), gone)
        assert all(m.isfinite().all() for m in made)


def test_only_what_the_loops_can_take_goes_there():
    image, uv, weight = (t.detach() for t in scattered(1))
    assert not kernels.fits(image.float(), uv, weight)
    assert not kernels.fits(*(t.bfloat16() for t in (image, uv, weight)))
    with pytest.raises(InputError, match="even width"):
        splat(torch.rand(1, 1, 4, 7), torch.rand(1, 4, 7, 2), torch.rand(1, 1, 4, 7), "sphere")


def test_layouts_in_memory_do_not_matter():
    image, uv, weight = scattered(2)
    strided = [image.transpose(2, 3).contiguous().transpose(2, 3), uv.movedim(-1, 0).contiguous().movedim(0, -1)]
    for ours, plain in zip(
        answers(splat, [*strided, weight], "sphere"), answers(splat, [image, uv, weight], "sphere"), strict=True
    ):
        assert torch.equal(ours, plain)


def test_on_pixel_centres_the_plain_one_has_the_right_hand_derivative():
    """Where |x - j| has its kink, one-sided slopes of all four corners agree: pushing ones moves no total weight."""
    values = torch.ones(1, 1, *SIZE, dtype=F64)
    uv = pixel_grid(SIZE, values).clone().requires_grad_()
    (push(values, uv, "sphere") * torch.arange(10.0, dtype=F64)).sum().backward()
    torch.testing.assert_close(uv.grad[0, :, :-1, 0], torch.full((6, 9), 10.0, dtype=F64))


def test_without_numba_the_plain_one_does_it(monkeypatch):
    """Not installed, or at odds with the numpy that is: both are an ImportError."""
    inputs = scattered(1)
    monkeypatch.setitem(sys.modules, "numba", None)
    splatting._numba.cache_clear()
    try:
        assert not kernels.fits(*inputs)
        made, _ = splat(*inputs, "sphere")
        plain, _ = splat_plain(*inputs, "sphere")
    finally:
        splatting._numba.cache_clear()
    assert torch.equal(made, plain)
