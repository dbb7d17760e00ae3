"""Refocusing against the released code of MonoDepthDeFocus, and what it mends."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

import cyclopean
from cyclopean.defocus import filters
from cyclopean.defocus.filters import BINS, METHODS
from cyclopean.defocus.lens import focus_pixel
from cyclopean.defocus.refocus import refocus
from cyclopean.errors import InputError
from cyclopean.io.depthmap import DepthMap, from_numbers
from cyclopean.io.image import Photo

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "defocus.npz")
RELEASED = {"gaussian": "gaussian", "average": "avg_blur", "median": "median", "bilateral": "bilateral"}
AS_REPORTED = filters.REPORTED_DIAGONAL / math.hypot(
    30, 40
)  # the strength that makes its kernels 5 .. 21 on the small fixture


def golden() -> tuple[Photo, DepthMap]:
    rgb = torch.from_numpy(GOLDEN["image_bgr"][..., ::-1].copy()).permute(2, 0, 1)[None] / 255
    return Photo(rgb), from_numbers(torch.from_numpy(GOLDEN["disp"])[None, None], "disparity")


def eight_bit_bgr(photo: Photo) -> np.ndarray:
    return photo.image[0].flip(0).permute(1, 2, 0).mul(255).round().numpy().astype(int)


@pytest.mark.parametrize("method", METHODS)
def test_hard_bins_match_the_released_code(method: str) -> None:
    photo, depth = golden()
    at = tuple(GOLDEN["focus_norm_xy"].tolist())
    ours = eight_bit_bgr(refocus(photo, depth, at, method=method, strength=AS_REPORTED, bins="hard"))
    closed = GOLDEN[f"closed_last_bin_{RELEASED[method]}"].astype(int)
    assert np.abs(ours - closed).max() <= 1
    # the release differs in the farthest pixels only, which it leaves black
    released, farthest = GOLDEN[f"released_{RELEASED[method]}"], GOLDEN["norm"] == 1
    assert np.abs(ours - released)[~farthest].max() <= 1
    assert farthest.any()
    assert released[farthest].max() == 0
    assert ours[farthest].max() > 0


def test_kernels_are_the_reported_ones_on_the_reported_pictures() -> None:
    assert filters.kernels_for((375, 1242), 1.0) == (5, 9, 13, 17, 21)
    assert filters.kernels_for((750, 2484), 1.0) == (9, 17, 25, 33, 41)
    assert filters.kernels_for((375, 1242), 0.0) == (1, 1, 1, 1, 1)


def textured(h: int = 60, w: int = 80) -> Photo:
    return Photo(torch.rand(1, 3, h, w, generator=torch.Generator().manual_seed(0)))


def slope(h: int = 60, w: int = 80) -> DepthMap:
    return from_numbers(torch.linspace(0, 1, w).expand(1, 1, h, w).clone(), "disparity")


@pytest.mark.parametrize("bins", BINS)
@pytest.mark.parametrize("method", METHODS)
def test_sharp_at_the_point_and_softer_away_from_it(method: str, bins: str) -> None:
    photo = textured()
    result = refocus(photo, slope(), (0.0, 0.5), method=method, strength=10.0, bins=bins)
    change = (result.image - photo.image).abs().mean((0, 1, 2))
    assert change[0] < 1e-6
    assert change[60:].mean() > (0.03 if method == "bilateral" else 0.1)
    if bins == "smooth":
        assert (change[:8].diff() >= -0.02).all()


def test_smooth_bins_have_no_bands() -> None:
    """The weights move by no more than the disparity does, times the number of levels."""
    away = np.linspace(0, 1, 1001, dtype=np.float32)[None]
    weights = np.stack([filters.smooth(away, level, 6) for level in range(6)])
    assert np.allclose(weights.sum(0), 1, atol=1e-6)
    assert np.abs(np.diff(weights, axis=-1)).max() < 0.0051
    hard = np.stack([filters.hard(away, level, 6) for level in range(6)])
    assert np.array_equal(hard.sum(0), np.ones_like(away))
    for index, end in ((0, 0), (-1, 5)):  # both begin sharp and end in the widest blur
        assert weights[end, 0, index] == hard[end, 0, index] == 1


@pytest.mark.parametrize("bins", BINS)
def test_constant_depth_is_all_in_focus(bins: str) -> None:
    photo = textured()
    flat = from_numbers(torch.full((1, 1, 60, 80), 0.3), "disparity")
    assert torch.equal(refocus(photo, flat, (10, 10), method="gaussian", bins=bins).image, photo.image)


def test_unknown_depth_takes_its_nearest_known() -> None:
    values = slope().inverse_depth.clone()
    values[..., 20:40] = torch.nan
    known = values.clone()
    known[..., 20:30], known[..., 30:40] = values[..., 19:20], values[..., 40:41]
    photo = textured()
    holes = refocus(photo, from_numbers(values, "disparity"), (25, 30), method="gaussian", strength=5.0)
    filled = refocus(photo, from_numbers(known, "disparity"), (19, 30), method="gaussian", strength=5.0)
    assert torch.equal(holes.image[..., :29], filled.image[..., :29])
    assert torch.equal(holes.image[..., 31:], filled.image[..., 31:])


def test_points() -> None:
    assert focus_pixel((0.5, 0.25), (60, 80)) == (40, 15)
    assert focus_pixel((0.99999999, 0.99999999), (60, 80)) == (79, 59)
    assert focus_pixel((0, 0), (60, 80)) == (0, 0)
    assert focus_pixel((0, 59), (60, 80)) == (0, 59)
    assert focus_pixel((79.6, 1), (60, 80)) == (79, 1)


@pytest.mark.parametrize(
    ("at", "message"),
    [
        ((0.5, 30), "mixes a fraction with pixels"),
        ((1.0, 0.5), "mixes"),
        ((80, 3), "outside the photo, which is 80x60"),
        ((3, 60), "outside"),
        ((-1, 3), "outside"),
        ((math.nan, 3), "outside"),
    ],
)
def test_points_that_are_refused(at: tuple[float, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        focus_pixel(at, (60, 80))


def test_what_else_is_refused() -> None:
    photo, depth = textured(), slope()
    with pytest.raises(InputError, match="depth map is 40x30 but the photo is 80x60"):
        refocus(photo, slope(30, 40), (1, 1))
    with pytest.raises(InputError, match="is 60x80 but the photo is 80x60; is it turned by 90 degrees"):
        refocus(photo, slope(80, 60), (1, 1))
    for at in ("0.4 0.6", "12", (0.1, 0.2, 0.3), 3, (None, 1), ("a", "b")):
        with pytest.raises(InputError, match=r"the point is .*; give two numbers"):
            cyclopean.refocus(photo, depth, at)
    alike = cyclopean.refocus(photo, depth, np.array([0.4, 0.6]), subject=False)
    assert torch.equal(alike.image, refocus(photo, depth, (0.4, 0.6)).image)
    with pytest.raises(InputError, match="did you mean 'gaussian'"):
        refocus(photo, depth, (1, 1), method="gausian")
    with pytest.raises(InputError, match="'smooth'"):
        refocus(photo, depth, (1, 1), bins="smoth")
    with pytest.raises(InputError, match="strength"):
        refocus(photo, depth, (1, 1), strength=-1.0)
    with pytest.raises(InputError, match="no depth is known"):
        refocus(photo, from_numbers(torch.full((1, 1, 60, 80), torch.nan), "disparity"), (1, 1))


def test_the_package_is_the_function() -> None:
    photo = textured()
    alike = cyclopean.refocus(photo, slope(), (3, 3), subject=False)
    assert torch.equal(alike.image, refocus(photo, slope(), (3, 3)).image)


def test_any_frozen_picture_will_do() -> None:
    @dataclass(frozen=True)
    class Frame:
        image: torch.Tensor
        time: float

    frame = refocus(Frame(textured().image, 1.5), slope(), (3, 3))
    assert frame.time == 1.5
    assert frame.image.shape == (1, 3, 60, 80)
