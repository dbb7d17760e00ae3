"""The fused sweep is `sweep_plain`, which the tests of `sweep` hold against loops, worlds and fixtures."""

import math
import sys
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from cyclopean import kernels
from cyclopean.geometry import (
    Levels,
    Pencil,
    Pinhole,
    axis_angle,
    pixel_grid,
    reproject,
    reproject_shell,
    rigid,
    surfaces,
)
from cyclopean.kernels import splatting
from cyclopean.synthesis import sweep, sweep_plain, swept_coverage
from methods.test_deep3d import Live

F64 = torch.float64
SIZE, N = (12, 17), 6  # of two blocks of pixels, the second one not full
POSES = {  # turn, offset: sideways, on the spot, past things ahead, backwards beyond most planes, the other way round
    "beside": ((0.0, 0.0, 0.0), (-0.5, 0.1, 0.0)),
    "turned": ((0.1, 0.4, -0.2), (0.0, 0.0, 0.0)),
    "ahead": ((0.02, 0.1, 0.03), (0.3, 0.1, -3.0)),
    "back": ((0.0, 0.1, 0.0), (0.2, -0.1, 6.0)),
    "facing": ((0.0, 3.0, 0.0), (0.2, 0.1, 9.0)),
}


def scene(dtype: torch.dtype = F64, channels: int = 3, b: int = 2, new: tuple[int, int] = SIZE) -> dict[str, Tensor]:
    """What a sweep is made of: everything that may want a gradient."""
    torch.manual_seed(0)
    tensors = {
        "image": torch.rand(b, channels, *SIZE), "logits": 2 * torch.randn(b, N, *SIZE), "turn": torch.zeros(b, 3),
        "offset": torch.zeros(b, 3), "focal": torch.tensor([[0.8, 1.1]]).repeat(b, 1),
        "exponents": torch.rand(b, 1, *new) + 0.5,
    }  # fmt: skip
    return {name: tensor.to(dtype).requires_grad_() for name, tensor in tensors.items()}


def lines(parts: dict[str, Tensor], of: str, spacing: str = "adaptive", margin: float = 0.0) -> Pencil:
    """The planes of a pair of pinholes, whose levels are bent or not."""
    size = parts["exponents"].shape[-2:]
    levels = Levels.proportional(N, 0.05, 0.9, parts["exponents"])
    if spacing != "adaptive":
        levels = Levels(tuple(0.02 + 0.2 * k for k in range(N)))
    camera = Pinhole(parts["focal"], torch.full_like(parts["focal"], 0.45))
    other = Pinhole(parts["focal"].flip(0) * 1.1, torch.full_like(parts["focal"], 0.5))
    found = surfaces(levels, size, camera, rigid(axis_angle(parts["turn"]), parts["offset"]), other, of=of)  # type: ignore
    return replace(found, margin=margin)  # type: ignore[type-var]


def answers(verb, parts: dict[str, Tensor], pencil: Pencil) -> list[Tensor]:
    """The picture and every gradient, for random gradients of the picture."""
    made = verb(parts["image"], parts["logits"], pencil)
    given = (torch.rand(made.shape, dtype=made.dtype, generator=torch.Generator().manual_seed(1)) - 0.5).to(made)
    wanted = [t for t in parts.values() if t.requires_grad]
    return [made, *torch.autograd.grad(made, wanted, given, allow_unused=True, retain_graph=True)]


def beside_each_other(parts: dict[str, Tensor], pencil: Pencil, **close: float) -> None:
    for ours, plain in zip(answers(sweep, parts, pencil), answers(sweep_plain, parts, pencil), strict=True):
        assert (ours is None) == (plain is None)
        if ours is not None:
            torch.testing.assert_close(ours, plain, **close)
    logits = parts["logits"]
    torch.testing.assert_close(swept_coverage(logits, pencil), swept_coverage(logits, pencil.__call__), **close)


@pytest.mark.parametrize("of", ["other", "this"])
def test_it_is_the_plain_one_forward_and_backward(of: str) -> None:
    for name, (turn, offset) in POSES.items():
        for spacing in ("adaptive", "steps"):
            for margin in (0.0, math.inf):
                parts = scene()
                with torch.no_grad():
                    parts["turn"] += torch.tensor([turn], dtype=F64)
                    parts["offset"] += torch.tensor([offset, [0.1, -0.2, 0.05]], dtype=F64)
                pencil = lines(parts, of, spacing, margin)
                assert kernels.fused_sweep(pencil, "zeros", parts["image"], parts["logits"]) is not None
                seen = torch.stack([pencil(k)[:1] >= 0 for k in range(N)]).double().mean()
                assert 0 < seen < 1 or name in ("facing", "back"), (name, of)
                beside_each_other(parts, pencil)


def test_a_new_view_of_another_size_in_float32_and_an_image_of_data() -> None:
    parts = scene(torch.float32, channels=4, new=(9, 21))
    parts["image"].requires_grad_(False)
    with torch.no_grad():
        parts["offset"] += torch.tensor([0.3, 0.1, -2.0])
        parts["logits"] *= 20  # differences of up to 200: the least weights are 0
    pencil = lines(parts, "other")
    beside_each_other(parts, pencil, rtol=1e-4, atol=1e-4)
    assert sweep(parts["image"], parts["logits"], pencil).shape == (2, 4, 9, 21)


@pytest.mark.parametrize("of", ["other", "this"])
def test_lines_are_where_reproject_lands(of: str) -> None:
    """Also behind the camera, beyond the plane, and looking back at it from there."""
    land = reproject_shell if of == "other" else reproject
    kinds = set()
    for turn, offset in POSES.values():
        parts = scene()
        with torch.no_grad():
            parts["turn"] += torch.tensor([turn], dtype=F64)
            parts["offset"] += torch.tensor([offset], dtype=F64)
        pencil, pose = lines(parts, of), rigid(axis_angle(parts["turn"]), parts["offset"])
        camera = Pinhole(parts["focal"], torch.full_like(parts["focal"], 0.45))
        other = Pinhole(parts["focal"].flip(0) * 1.1, torch.full_like(parts["focal"], 0.5))
        for k in range(N):
            match = land(pencil.levels.map(k, pose), camera, pose, other)
            uv = torch.where(match.valid[:, 0, ..., None], match.uv, -1.0)
            torch.testing.assert_close(pencil(k), uv, rtol=1e-9, atol=1e-9)
            kinds |= {(bool(ahead), bool(seen)) for ahead in (pencil.start[0, 3] > 0).unique() for seen in
                      match.valid[0, 0][(pencil.start[0, 3] > 0) == ahead].unique()}  # fmt: skip
    assert len(kinds) == 4


@pytest.mark.parametrize("of", ["other", "this"])
def test_gradcheck(of: str) -> None:
    """Where no place is near the centre of a pixel or the edge of the picture, which a step would cross."""
    parts = scene(b=1)
    with torch.no_grad():
        parts["offset"] += torch.tensor([0.11, 0.07, 0.9], dtype=F64)
    leaves = {name: (t[..., :5, :7] if name in ("image", "logits", "exponents") else t) for name, t in parts.items()}
    leaves = {name: t.detach().clone().requires_grad_() for name, t in leaves.items()}

    def made(*values: Tensor) -> Tensor:
        parts = dict(zip(leaves, values, strict=True))
        return sweep(parts["image"], parts["logits"], lines(parts, of))

    assert torch.autograd.gradcheck(made, tuple(leaves.values()), eps=1e-7, atol=1e-4)


def test_what_has_no_place_is_out_of_sight() -> None:
    parts = scene()
    pencil = lines(parts, "other")
    for nowhere in (torch.nan, torch.inf, -torch.inf):
        start = pencil.start.detach().clone()
        start[:, :3, 2:4, 3:5] = nowhere
        start.requires_grad_()
        made = sweep(parts["image"], parts["logits"], replace(pencil, start=start))
        assert made[..., 2:4, 3:5].abs().max() == 0
        for gradient in torch.autograd.grad(made.sum(), [parts["logits"], start, parts["image"]]):
            assert gradient.isfinite().all()


def test_the_number_of_threads_changes_no_bit() -> None:
    parts = scene(torch.float32, channels=4, b=3)
    pencil, before = lines(parts, "this"), torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = answers(sweep, parts, pencil)
        torch.set_num_threads(3)
        together = answers(sweep, parts, pencil)
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(alone, together, strict=True))


def test_layouts_in_memory_do_not_matter() -> None:
    parts = scene()
    pencil = lines(parts, "other")
    strided = {name: t.transpose(-1, -2).contiguous().transpose(-1, -2) for name, t in parts.items()}
    start, slope = (t.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2) for t in (pencil.start, pencil.slope))
    made = sweep(strided["image"], strided["logits"], replace(pencil, start=start, slope=slope))
    assert torch.equal(made, sweep(parts["image"], parts["logits"], pencil))


def test_nothing_of_n_planes_is_made_but_the_gradient_of_logits() -> None:
    peaks = []
    for n in (4, 32):
        image, logits = torch.rand(1, 4, 24, 32), torch.randn(1, n, 24, 32, requires_grad=True)
        grid = pixel_grid((24, 32), image)[0].permute(2, 0, 1)[None]
        start = torch.cat([grid, torch.ones_like(grid)], 1)
        pencil = Pencil(Levels.proportional(n, 0.01, 0.5, torch.ones(1, 1, 24, 32)), start, 0.1 * start)
        with Live() as live:
            sweep(image, logits, pencil).square().mean().backward()
            swept_coverage(logits, pencil)
        peaks.append(live.peak / (4 * 24 * 32))
    assert peaks[1] - peaks[0] == pytest.approx(2 * 28, abs=0.5)  # logits and their gradient


def test_only_what_the_loops_can_take_goes_there(monkeypatch) -> None:
    parts = scene()
    image, logits, pencil = parts["image"], parts["logits"], lines(parts, "other")
    for given in (
        (pencil.__call__, "zeros", image, logits), (pencil, "edge", image, logits),
        (pencil, "zeros", image.float(), logits), (pencil, "zeros", image[..., :1], logits[..., :1]),
    ):  # fmt: skip
        assert kernels.fused_sweep(*given) is None
    thin = sweep(image[..., :1], logits[..., :1], pencil)
    torch.testing.assert_close(thin, sweep_plain(image[..., :1], logits[..., :1], pencil))
    monkeypatch.setitem(sys.modules, "numba", None)
    splatting._numba.cache_clear()
    try:
        assert kernels.fused_sweep(pencil, "zeros", image, logits) is None
        torch.testing.assert_close(sweep(image, logits, pencil), sweep_plain(image, logits, pencil))
    finally:
        splatting._numba.cache_clear()
