"""Metres by one known length: exact on planes and points whose size in space is known."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cyclopean.errors import InputError
from cyclopean.geometry import Equirectangular, Pinhole, pixel_grid
from cyclopean.inference.metric_calibration import (
    FARTHEST,
    CameraProfile,
    TwoDistances,
    by_height,
    by_two_points,
    point_at,
    read_profile,
    shift_assumed,
    write_profile,
)
from cyclopean.io.depthmap import DepthMap, from_numbers
from cyclopean.io.sidecar import Maker

CAMERA = Pinhole(torch.tensor([[1.0, 1.5]]), torch.tensor([[0.5, 0.5]]))
SIZE = (80, 120)
UNIT = 2.5  # metres that one unit of the maps here is
MODEL = Maker("toy", "1234")


def wall(distance: float = 4.0) -> DepthMap:
    """A wall square to the camera, `distance` metres away, its scale unknown."""
    return from_numbers(torch.full((1, 1, *SIZE), distance / UNIT), "depth", camera=CAMERA, model=MODEL)


def ground(height: float, tilt: float = 0.0, noise: float = 0.0) -> DepthMap:
    """Level ground `height` metres below a camera that looks down by `tilt` degrees; sky above."""
    rays = CAMERA.rays(pixel_grid(SIZE, torch.zeros(1, 1, *SIZE)))[0]
    down = torch.tensor([0.0, math.cos(math.radians(tilt)), math.sin(math.radians(tilt))])
    inverse = ((rays @ down) / height * UNIT).clamp(min=0)[None, None]
    generator = torch.Generator().manual_seed(1)
    inverse = inverse * (1 + noise * torch.randn(inverse.shape, generator=generator))
    return from_numbers(inverse, "inverse_depth", camera=CAMERA, model=MODEL)


def test_two_points_on_a_wall_give_its_scale():
    found = by_two_points(wall(), CAMERA, ((20, 40), (100, 40)), 4.0 * 80 / 120)
    assert found.scale == pytest.approx(UNIT, rel=1e-5)


def test_two_points_at_different_depths():
    """Left half 2 m away, right half 6 m: the length goes through space, not across the picture."""
    metres = torch.cat([torch.full((1, 1, 80, 60), 2.0), torch.full((1, 1, 80, 60), 6.0)], -1)
    depth = from_numbers(metres / UNIT, "depth")
    left, right = (
        torch.tensor([((x + 0.5) / 120 - 0.5) * z, 0.5 / 80 / 1.5 * z, z]) for x, z in ((20, 2.0), (100, 6.0))
    )
    apart = float(torch.linalg.vector_norm(left - right))
    assert by_two_points(depth, CAMERA, ((20, 40), (100, 40)), apart).scale == pytest.approx(UNIT, rel=1e-5)


def test_distances_of_a_panorama_count_along_their_rays():
    depth = from_numbers(torch.full((1, 1, 64, 128), 3.0 / UNIT), "distance", camera=Equirectangular())
    found = by_two_points(depth, Equirectangular(), ((31, 31), (95, 31)), 6.0 * math.cos(math.pi / 128))
    assert found.scale == pytest.approx(UNIT, rel=1e-3)


@pytest.mark.parametrize("tilt", [0.0, 12.0, -8.0])
def test_height_above_the_ground_gives_the_scale(tilt):
    assert by_height(ground(1.6, tilt), CAMERA, 1.6).scale == pytest.approx(UNIT, rel=1e-3)


def test_the_ground_is_found_among_other_things_and_noise():
    depth = ground(1.6, noise=0.01)
    inverse = depth.inverse_depth.clone()
    inverse[..., 40:, :40] = UNIT / 1.2  # a box that hides a third of it
    found = by_height(replace(depth, inverse_depth=inverse), CAMERA, 1.6)
    assert found.scale == pytest.approx(UNIT, rel=0.02)


def test_a_wall_is_no_ground():
    with pytest.raises(InputError, match="two points"):
        by_height(wall(), CAMERA, 1.6)


def test_applied_depth_is_in_metres():
    metric = by_two_points(wall(4.0), CAMERA, ((20, 40), (100, 40)), 4.0 * 80 / 120).applied(wall(7.0))
    assert metric.unit == "m"
    assert torch.allclose(metric.metres(), torch.tensor(7.0), rtol=1e-4)


def test_a_file_of_it_comes_back(tmp_path: Path):
    profile = CameraProfile(2.5, "two points 1 m apart", MODEL, CAMERA)
    write_profile(tmp_path / "mine.json", profile)
    back = read_profile(tmp_path / "mine.json")
    assert (back.scale, back.how, back.model) == (2.5, profile.how, MODEL)
    assert isinstance(back.camera, Pinhole)
    assert torch.equal(back.camera.focal, CAMERA.focal)
    write_profile(tmp_path / "around.json", replace(profile, camera=Equirectangular()))
    assert isinstance(read_profile(tmp_path / "around.json").camera, Equirectangular)


def test_refusals(tmp_path: Path):
    with pytest.raises(InputError, match="above 0"):
        by_two_points(wall(), CAMERA, ((1, 1), (9, 9)), -1.0)
    with pytest.raises(InputError, match="same"):
        by_two_points(wall(), CAMERA, ((9, 9), (9, 9)), 1.0)
    with pytest.raises(InputError, match="offset"):
        by_two_points(replace(wall(), ambiguity="affine"), CAMERA, ((1, 1), (9, 9)), 1.0)
    with pytest.raises(InputError, match="already"):
        by_height(replace(wall(), unit="m", ambiguity="metric"), CAMERA, 1.0)
    with pytest.raises(InputError, match="toy"):
        CameraProfile(1.0, "", Maker("other", "99")).applied(wall())
    with pytest.raises(InputError, match="not known"):
        point_at(from_numbers(torch.zeros(1, 1, 20, 20), "inverse_depth"), CAMERA, (3, 3))
    with pytest.raises(InputError, match="there is no file"):
        read_profile(tmp_path / "none.json")
    sound = {"format": "cyclopean-profile", "version": 1, "metres_per_unit": 2.0, "how": "", "model": None}
    camera = {"focal": [1.0, 1.5], "center": [0.5, 0.5]}
    for content, sentence in [
        ("{", "not readable JSON"),
        ("[]", "is not a camera profile"),
        ({"format": "x"}, "is not a camera profile"),
        ({"format": "cyclopean-profile"}, "metres_per_unit"),
        (sound | {"version": 2}, "has version 2 of its format"),
        (sound | {"metres_per_unit": 0}, "above 0"),
        (sound | {"metres_per_unit": float("inf")}, "above 0"),
        (sound | {"metres_per_unit": 10**400}, "above 0"),
        (sound | {"model": {"name": 1}}, "cannot be understood"),
        *((sound | {"camera": camera | {"focal": focal}}, "focal|finite") for focal in (
            None, 1.0, [1.0], [1, 1, 1], [0, 1], [-1, 1], [float("nan"), 1], [[1, 1]], [{}], ["1", "1"], [10**400, 1],
        )),
        *((sound | {"camera": camera | {"center": center}}, "center|finite") for center in ([], [1], [0.5, 1e30])),
        (sound | {"camera": camera | {"focal": [1200, 1200]}}, "focal .* divide pixels by the image's"),
        (sound | {"camera": camera | {"center": [640, 360]}}, "center .* divide pixels by the image's"),
        (sound | {"camera": [1]}, "is not an object"),
        ("[" * 5000, "nested too deeply"),
    ]:  # fmt: skip
        (tmp_path / "bad.json").write_text(content if isinstance(content, str) else json.dumps(content))
        with pytest.raises(InputError, match=sentence):
            read_profile(tmp_path / "bad.json")
    (tmp_path / "marked.json").write_text(json.dumps(sound | {"camera": camera}), encoding="utf-16")
    assert read_profile(tmp_path / "marked.json").scale == 2


def test_two_known_distances_give_scale_and_shift() -> None:
    """Of an affine map; distances are from the camera, so a point at the border counts by its own ray."""
    truth = ground(1.6).inverse_depth / UNIT  # in 1/m
    affine = from_numbers(3 * truth - 0.4, "inverse_depth", camera=CAMERA, model=MODEL, ambiguity="affine")
    rays = CAMERA.rays(pixel_grid(SIZE, truth))[0]
    points = ((10, 75), (100, 50))
    metres = tuple(float(rays[y, x].norm() / truth[0, 0, y, x]) for x, y in points)
    for order in (slice(None), slice(None, None, -1)):
        known = TwoDistances(points[order], metres[order])
        depth = known.applied(affine)
        assert (depth.unit, depth.ambiguity) == ("m", "metric")
        assert depth.camera is CAMERA
        assert torch.allclose(depth.inverse_depth, truth, atol=2e-3)  # medians around points
        assert float(depth.inverse_depth.min()) == 0  # nothing lies behind infinity
    by_fractions = TwoDistances(((10.5 / 120, 75.5 / 80), (100.5 / 120, 50.5 / 80)), metres).applied(affine)
    assert torch.equal(by_fractions.inverse_depth, TwoDistances(points, metres).applied(affine).inverse_depth)
    up_to_scale = from_numbers(2 * truth, "inverse_depth", camera=CAMERA)
    assert torch.allclose(TwoDistances(points, metres).applied(up_to_scale).inverse_depth, truth, atol=2e-3)
    for changed, distances, sentence in (
        (affine, metres[::-1], "do not give"),
        (affine, (metres[0], metres[0]), "do not give"),
        (replace(affine, unit="m", ambiguity="metric"), metres, "in metres already"),
        (affine, (0.0, 3.0), "above 0 metres"),
        (affine, (math.nan, 3.0), "above 0 metres"),
    ):
        with pytest.raises(InputError, match=sentence):
            TwoDistances(points, distances).applied(changed)
    with pytest.raises(InputError, match="outside"):
        TwoDistances(((10, 75), (500, 50)), metres).applied(affine)


def test_an_assumed_shift_keeps_the_order_and_says_ten_times() -> None:
    truth = ground(1.6).inverse_depth
    affine = from_numbers(5 - 0 * truth + truth, "inverse_depth", ambiguity="affine")
    assumed = shift_assumed(affine)
    assert (assumed.unit, assumed.ambiguity) == ("relative", "scale")
    low, high = assumed.inverse_depth.flatten().quantile(torch.tensor([0.01, 0.99]))
    assert float(high / low) == pytest.approx(FARTHEST, rel=0.02)
    assert torch.equal(assumed.inverse_depth.flatten().argsort(stable=True), truth.flatten().argsort(stable=True))
