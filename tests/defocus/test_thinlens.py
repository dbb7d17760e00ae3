"""The thin lens on small scenes whose answer is known: energy, edges, leaks, bands, sizes, tiles."""

import math

import cv2
import numpy as np
import pytest
import torch

from cyclopean.defocus import layers, thinlens
from cyclopean.defocus.focus import Focusable
from cyclopean.defocus.lens import Lens, Shape, parse_shape
from cyclopean.io.colour import srgb
from cyclopean.io.image import Photo

Plane = np.ndarray


def picture(light: Plane) -> Plane:
    """A grey sRGB picture of linear light."""
    return np.ascontiguousarray(np.repeat(srgb(np.clip(light.astype(np.float32), 0, 1))[..., None], 3, -1))


def through(light: Plane, radius: Plane, lens: Lens | None = None, workers: int = 1) -> Plane:
    """Linear light through a lens that blurs each pixel by the signed `radius` given for it."""
    ready = thinlens.prepare(picture(light), radius.astype(np.float32), 1.0)
    result = thinlens.render(ready, lambda plane: plane, lens or Lens(), workers)
    return thinlens.linear(np.ascontiguousarray(result[..., 0]))


def texture(h: int, w: int, seed: int = 0) -> Plane:
    rng = np.random.default_rng(seed)
    return cv2.GaussianBlur(rng.random((h, w)), (0, 0), 1.2) * 1.6 - 0.3


def test_what_is_in_focus_is_untouched() -> None:
    light = texture(70, 90).clip(0, 1)
    assert np.abs(through(light, np.zeros((70, 90))) - light).max() < 1e-5


@pytest.mark.parametrize("radius", [0.4, 0.9, 1.7, 3.0, 5.0, 7.0, 11.0, 23.0, -0.7, -4.0, -12.0])
def test_a_spot_becomes_a_disc_of_the_right_width(radius: float) -> None:
    """Its light is kept, it stays where it was, and r²/4 is added to its second moment along each axis."""
    light = np.zeros((160, 160))
    light[72:80, 72:80] = 0.9
    blurred = through(light, np.full((160, 160), radius))
    place = np.arange(160) - 75.5
    assert blurred.sum() == pytest.approx(light.sum(), rel=0.002)
    mass = blurred.sum(0) / blurred.sum()
    assert mass @ place == pytest.approx(0, abs=0.01)
    assert mass @ place**2 == pytest.approx(63 / 12 + radius**2 / 4, rel=0.07)
    assert np.all(blurred[:, : int(71 - 1.3 * abs(radius) - 2)] < 1e-6)


def test_a_blurred_point_is_a_flat_disc() -> None:
    light = np.zeros((81, 81))
    light[40, 40] = 1
    blurred = through(light, np.full((81, 81), 5.0))
    y, x = np.mgrid[:81, :81] - 40
    inside = np.hypot(x, y) < 4
    assert blurred[inside].max() / blurred[inside].min() < 1.05
    assert blurred[inside].mean() == pytest.approx(1 / (math.pi * 25), rel=0.05)


@pytest.mark.parametrize("shape", ["disc", "ring", "polygon:5", "cateye"])
def test_mean_brightness_is_kept(shape: str) -> None:
    """To 0.5 % away from the borders, on a surface that runs through the focus."""
    light = texture(220, 300, 1).clip(0.02, 1)
    light[:40], light[-40:], light[:, :40], light[:, -40:] = 0.5, 0.5, 0.5, 0.5
    slope = np.linspace(-9, 9, 300)[None].repeat(220, 0)
    blurred = through(light, slope, Lens(shape=parse_shape(shape)))
    assert blurred.mean() == pytest.approx(light.mean(), rel=0.005)
    assert np.abs(blurred[100:120, 60:90] - light[100:120, 60:90]).mean() > 0.03  # it did blur


def test_a_sharp_subject_does_not_leak_into_its_surroundings() -> None:
    """White in focus before black far away: black stays black beyond the edge's own pixel."""
    light, radius = np.zeros((80, 120)), np.full((80, 120), -8.0)
    light[:, 60:], radius[:, 60:] = 1, 0
    blurred = through(light, radius)
    assert blurred[20:60, :59].max() < 0.004
    assert blurred[20:60, 61:].min() > 0.996


def test_a_near_blurred_thing_covers_a_sharp_wall_by_its_share_of_the_lens() -> None:
    """Black half plane at +8 before a white wall in focus: the wall is seen by the part of the disc beside the edge."""
    light, radius = np.ones((80, 120)), np.zeros((80, 120))
    light[:, 60:], radius[:, 60:] = 0, 8
    blurred = through(light, radius)[40]
    across = np.clip((59.5 - np.arange(120)) / 8, -1, 1)
    free = (math.pi / 2 + np.arcsin(across) + across * np.sqrt(1 - across**2)) / math.pi
    assert np.abs(blurred - free).max() < 0.035


def test_a_mixed_pixel_at_an_edge_leaves_no_line() -> None:
    """The edge's own pixel is half of each; the wall shows no trace of the near thing's outline."""
    light, radius = np.full((80, 120), 0.9), np.zeros((80, 120))
    light[:, 60:], radius[:, 60:] = 0.1, 8
    clean = through(light, radius)[40]
    light[:, 59] = 0.5
    mixed = through(light, radius)[40]
    step = np.abs(np.diff(mixed))
    assert step.max() < 1.5 * np.abs(np.diff(clean)).max()
    assert np.all(np.diff(mixed[45:75]) < 0.01)


def test_a_far_wall_behind_a_sharp_thing_is_blurred_as_if_it_went_on() -> None:
    """Stripes far away end at the thing's edge without a brighter or darker seam."""
    light, radius = np.full((80, 120), 0.5), np.full((80, 120), -6.0)
    light[:, 60:], radius[:, 60:] = 0.05, 0
    blurred = through(light, radius)[40]
    assert np.abs(blurred[:59] - 0.5).max() < 0.01


def test_an_edge_between_two_sharp_things_stays() -> None:
    """Near and far lie within what is sharp: nothing of the far one shows through the near one, and none is blurred."""
    near = np.zeros((80, 120), bool)
    near[20:60, 30:80] = True
    image = np.where(near, texture(80, 120, 1), 0.5 * texture(80, 120, 2)).astype(np.float32)
    photo = Photo(torch.from_numpy(image)[None, None].repeat(1, 3, 1, 1))
    for lens, focus in ((Lens(8.0, range=1.0), 0.5), (Lens(8.0, before=0.0), 0.0)):
        seen = Focusable(photo, np.where(near, 1.0, 0.0).astype(np.float32), lens).focused(focus).image[0, 0].numpy()
        assert np.abs(seen - image)[near].max() < 0.1
        assert np.abs(seen - image).mean() < 0.002


def test_no_bands_on_a_slope() -> None:
    """Along a surface that runs evenly out of focus, contrast falls evenly: no step from layer to layer."""
    stripes = (0.5 + 0.4 * np.sin(np.arange(400) * 2 * np.pi / 8))[:, None].repeat(512, 1)
    radius = np.linspace(0, 7, 512)[None].repeat(400, 0)
    contrast = through(stripes, radius)[150:250].std(0)
    assert contrast[0] == pytest.approx(0.4 / math.sqrt(2), rel=0.02)
    assert np.abs(np.diff(contrast[4:-40])).max() < 0.004
    falling = np.diff(contrast[:250])
    assert falling.max() < 0.002


def test_tiles_and_workers_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    light, radius = texture(300, 290, 3).clip(0, 1), np.full((300, 290), -11.0)
    light[100:200, 120:240] = texture(100, 120, 4).clip(0, 1)
    radius[100:200, 120:240] = 6.5
    radius[150:160] = 0
    whole = through(light, radius)
    assert np.array_equal(through(light, radius, workers=3), whole)
    monkeypatch.setattr(thinlens, "TILE", 128)
    assert np.abs(through(light, radius) - whole).max() < 1e-5


def test_near_shapes_stand_upside_down() -> None:
    light = np.zeros((64, 64))
    light[28:36, 28:36] = 1
    far, near = (through(light, np.full((64, 64), r), Lens(shape=parse_shape("polygon:3"))) for r in (-9.0, 9.0))
    assert np.abs(far - near[::-1, ::-1]).max() < 1e-4 < np.abs(far - near).max()
    rows = np.flatnonzero((far > 0.3 * far.max()).any(1))
    assert (far[rows[1]] > 0.3 * far.max()).sum() < (far[rows[-2]] > 0.3 * far.max()).sum()  # a corner points up


def test_highlights_grow_where_blurred_only() -> None:
    light = np.full((60, 160), 0.1)
    light[30, 30], light[30, 130] = 1, 1
    radius = np.where(np.arange(160) < 80, 0.0, -6.0)[None].repeat(60, 0)
    plain, boosted = through(light, radius), through(light, radius, Lens(highlights=3.0))
    assert np.abs(plain[:, :60] - boosted[:, :60]).max() < 1e-5
    gain = (boosted[:, 100:] - 0.1).sum() / (plain[:, 100:] - 0.1).sum()
    assert 3 < gain < 5


def test_kernels_stay_below_fourier_transforms() -> None:
    for scale in range(5):
        for level in (*layers.SMALL, *layers.ladder(layers.SMALL[-1])):
            assert len(layers.level_kernel(Shape(), level, scale)) <= 11


def test_cats_eyes_are_narrow_towards_the_corners() -> None:
    """Round in the middle; at the left border narrow along the line to the middle; its light kept."""
    light = np.zeros((128, 256))
    light[60:68, 124:132], light[60:68, 28:36] = 1, 1
    blurred = through(light, np.full((128, 256), -9.0), Lens(shape=parse_shape("cateye")))
    for x, narrow in ((128, False), (32, True)):
        eye = blurred[40:88, x - 24 : x + 24]
        assert eye.sum() == pytest.approx(64, rel=0.04)
        place = np.arange(48) - 23.5
        tall, wide = ((eye.sum(axis) / eye.sum()) @ place**2 for axis in (1, 0))
        assert wide < 0.8 * tall if narrow else wide == pytest.approx(tall, rel=0.12)
