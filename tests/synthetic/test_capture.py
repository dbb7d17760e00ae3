"""How families have their pictures taken: the lens's blur, tilted cameras, other light."""

from pkgutil import resolve_name
from random import Random

import pytest
import torch

from cyclopean.geometry import Pinhole
from cyclopean.synthetic import FAMILIES, render, rigs, scene_types
from cyclopean.synthetic.aperture import MOST, defocused
from cyclopean.synthetic.illumination import HOURS, against, night


def layouts(family, count):
    return [resolve_name(FAMILIES[family])(Random(f"{family} {seed}")) for seed in range(count)]


def test_a_point_out_of_focus_is_a_disc_of_the_size_that_a_thin_lens_gives():
    """Diameter: aperture * focal * width * |1 / focus - 1 / z|, before and behind what is in focus."""
    for z, aperture in ((1.0, 0.05), (4.0, 0.05), (4.0, 0.1), (torch.inf, 0.04)):
        light, depth = torch.zeros(1, 3, 65, 81), torch.full((1, 1, 65, 81), z)
        light[..., 32, 40] = 1
        spread = defocused(light, depth, aperture, 2.0, 1.5)
        radius = 0.5 * aperture * 1.5 * 81 * abs(1 / z - 1 / 2)
        y, x = torch.meshgrid(torch.arange(65) - 32, torch.arange(81) - 40, indexing="ij")
        away = (x**2 + y**2).sqrt()
        lit = spread[0, 0] > 1e-6
        assert float(away[lit].max()) == pytest.approx(radius, abs=0.8)
        assert float(lit.sum()) == pytest.approx(3.1416 * (radius + 0.3) ** 2, rel=0.2, abs=2)
        assert float(spread[0, 0].sum()) == pytest.approx(1, abs=1e-3)
    assert MOST > 10


def test_what_is_in_focus_stays_and_what_is_behind_it_blurs():
    torch.manual_seed(0)
    light, depth = torch.rand(1, 3, 48, 64), torch.full((1, 1, 48, 64), 8.0)
    depth[..., :, :20] = 2.0
    spread = defocused(light, depth, 0.1, 2.0, 1.5)
    torch.testing.assert_close(spread[..., :12], light[..., :12], atol=1e-3, rtol=0)
    assert spread[..., 30:].std() < 0.4 * light[..., 30:].std()
    assert torch.equal(defocused(light, depth, 0.0004, 2.0, 1.5), light)  # a lens so narrow does not blur
    # A bright wall behind something dark and sharp does not shine into it, nor is its edge darker than it is.
    two = torch.where(depth < 4, 0.1, 1.0).expand(1, 3, -1, -1)
    spread = defocused(two, depth, 0.2, 2.0, 1.5)
    assert spread[..., :19].max() < 0.11
    assert spread[..., 22:].min() > 0.85


def test_depth_is_that_of_a_pinhole_and_panoramas_have_no_lens():
    seed = next(k for k, layout in enumerate(layouts("meal", 30)) if layout.capture.aperture)
    made = rigs.sample("meal", seed, (48, 64))
    scene, stand = scene_types.scene("meal", seed)
    focal = made.target.camera.focal
    sharp = render.render(scene, Pinhole(focal, torch.tensor([[0.5, 0.5]])), stand.world_from_camera, (48, 64))
    assert torch.equal(made.depth, sharp.depth)
    assert rigs.sample("meal", seed, (32, 64), "sphere").depth.isfinite().all()


def test_views_have_the_field_and_roll_that_the_family_asks_for():
    for seed, layout in enumerate(layouts("people", 5)):
        stand = scene_types.scene("people", seed)[1]
        assert stand.field_of_view == layout.capture.field_of_view
        side, down = stand.world_from_camera[0, 1, 0], stand.world_from_camera[0, 1, 1]
        assert float(torch.atan2(-side, down)) == pytest.approx(-layout.capture.roll, abs=0.09)


def test_hands_hold_a_camera_at_any_angle_within_the_room():
    made = layouts("handheld", 120)
    pitches, rolls = [abs(m.pitch) for m in made], [abs(m.capture.roll) for m in made]
    assert 0.6 < max(pitches) <= 0.874  # 50 degrees
    assert 0.3 < max(rolls) <= 0.437  # 25 degrees
    heights = sorted(-m.position[1] for m in made)
    assert heights[30] < 0.9 < heights[90]
    for m in made:
        assert all(abs(m.position[axis]) < half for axis, half in zip((0, 2), m.floor, strict=True))
    gaps = [min(half - abs(m.position[axis]) for axis, half in zip((0, 2), m.floor, strict=True)) for m in made]
    assert sum(gap < 0.3 for gap in gaps) > 30  # close to a wall
    for seed in range(12):  # which is still there
        assert rigs.sample("handheld", seed, (24, 36)).depth.isfinite().all()


def test_nights_are_dark_and_lamps_are_seen_and_suns_ahead_are_ahead():
    assert set(HOURS) == {"day", "against", "haze", "night"}
    for seed in range(20):
        lamps, air = night(Random(seed))
        assert max(air.zenith) < 0.05
        assert all(lamp.reach < 10 for lamp in lamps)
        (sun,), air = against(Random(seed))
        assert sun.position[2] > 0
        assert air.ambient <= 0.3
    dark = [rigs.sample("night", seed, (32, 48)).target.image.mean() for seed in range(8)]
    assert sum(dark) / 8 < 0.42
