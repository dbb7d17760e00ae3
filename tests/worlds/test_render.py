"""What is rendered is what the geometry says: exact depth, culling that changes nothing, the same scene from one seed."""

import hashlib
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from cyclopean import worlds
from cyclopean.errors import InputError
from cyclopean.geometry import Equirectangular, Pinhole, pixel_grid, reproject
from cyclopean.synthesis import pull
from cyclopean.worlds import raycast
from cyclopean.worlds.scene import Air, Builder, Light, Material, turn

SIZE = (48, 80)
HERE = torch.eye(4)[None]


def lonely(shape, center, half, rotation=None):
    builder = Builder()
    builder.add(shape, center, half, Material(), rotation)
    return builder.scene((Light((0.0, -1.0, 0.0), (1.0, 1.0, 1.0)),), Air(), "street", 0, 80)


def camera(size=SIZE, focal=0.8):
    return Pinhole(torch.tensor([[focal, focal * size[1] / size[0]]]), torch.tensor([[0.5, 0.5]]))


def depth_of(scene, cam=None, size=SIZE):
    return worlds.render(scene, cam or camera(size), HERE, size).depth[0, 0]


def test_a_box_in_front_is_at_the_depth_of_its_face():
    depth = depth_of(lonely("box", (0, 0, 5), (1, 1, 2)))
    assert depth[24, 40] == pytest.approx(3.0, rel=1e-5)
    assert torch.isinf(depth[0, 0])
    # the face spans x in [-1, 1] at z = 3: 0.8 * 80 / 3 pixels to either side of the centre
    assert int(torch.isfinite(depth[24]).sum()) == pytest.approx(2 * 0.8 * 80 / 3, abs=1)


def test_ellipsoid_matches_the_closed_form():
    scene = lonely("ellipsoid", (0.3, -0.2, 6), (1.5, 0.7, 2.0))
    depth = depth_of(scene)
    rays = camera().rays(pixel_grid(SIZE, depth))[0].double().numpy()
    c, h = np.array([0.3, -0.2, 6]), np.array([1.5, 0.7, 2.0])
    a, b, k = ((rays / h) ** 2).sum(-1), -(rays * c / h**2).sum(-1), (c**2 / h**2).sum() - 1
    root = b * b - a * k
    expected = np.where(root > 0, (-b - np.sqrt(np.maximum(root, 0))) / a, np.inf)
    edge = np.abs(root) < 1e-3
    np.testing.assert_allclose(depth.numpy()[~edge], expected[~edge], rtol=1e-4)


@pytest.mark.parametrize("shape", ["cylinder", "cone", "box", "ellipsoid"])
def test_hits_lie_on_the_surface_of_the_turned_shape(shape):
    rotation, half, center = turn(0.4, 0.3, -0.5), np.array([0.8, 1.2, 0.6]), np.array([0.2, 0.1, 5.0])
    depth = depth_of(lonely(shape, tuple(center), tuple(half), rotation))
    met = torch.isfinite(depth)
    assert met.sum() > 100
    points = (camera().rays(pixel_grid(SIZE, depth))[0] * depth[..., None])[met].double().numpy()
    x, y, z = ((points - center) @ rotation / half).T
    radius = np.hypot(x, z)
    off = {
        "box": np.abs(np.maximum(np.maximum(abs(x), abs(y)), abs(z)) - 1),
        "ellipsoid": np.abs(np.sqrt(x * x + y * y + z * z) - 1),
        "cylinder": np.abs(np.maximum(radius, abs(y)) - 1),
        "cone": np.minimum(np.abs(radius - (y + 1) / 2), np.abs(y - 1)),
    }[shape]
    assert off.max() < 1e-3


def test_ground_plane_depth_and_sky():
    builder = Builder()
    builder.add("plane", (0, 0, 0), (1, 1, 1), Material())
    scene = builder.scene((), Air(), "street", 0, 80)
    pose = HERE.clone()
    pose[0, 1, 3] = -1.5  # the camera stands 1.5 m above the ground
    cam = camera()
    depth = worlds.render(scene, cam, pose, SIZE).depth[0, 0]
    v = (torch.arange(SIZE[0]) + 0.5) / SIZE[0]
    expected = 1.5 * cam.focal[0, 1] / (v - 0.5)
    torch.testing.assert_close(depth[25:, 7], expected[25:], rtol=1e-4, atol=0)
    assert torch.isinf(depth[:24]).all()


@pytest.mark.parametrize("family", list(worlds.FAMILIES))
def test_culling_changes_nothing(family, monkeypatch):
    built, stand = worlds.scene(family, 11)
    culled = worlds.render(built, camera(), stand.world_from_camera, SIZE)
    everywhere = lambda scene, *_: torch.ones(  # noqa: E731
        len(scene.shape), math.ceil(SIZE[0] / raycast.TILE), math.ceil(SIZE[1] / raycast.TILE), dtype=torch.bool
    )
    monkeypatch.setattr(raycast, "_tiles_seen", everywhere)
    whole = worlds.render(built, camera(), stand.world_from_camera, SIZE)
    torch.testing.assert_close(culled.depth, whole.depth, rtol=0, atol=0)
    bounded = torch.isfinite(built.radius)[:, None, None]
    monkeypatch.setattr(raycast, "_tiles_shaded", lambda scene, *rest: everywhere(scene) & bounded)
    torch.testing.assert_close(culled.light, worlds.render(built, camera(), stand.world_from_camera, SIZE).light)


@pytest.mark.parametrize("family", list(worlds.FAMILIES))
@pytest.mark.parametrize(("rig", "size"), [("stereo", (96, 160)), ("clip", (96, 160)), ("sphere", (96, 192))])
def test_true_depth_rebuilds_the_target_from_its_sources(family, rig, size):
    """The other view fetched at the true landing looks like the target where it is visible: pose, depth and camera agree."""
    made = worlds.sample(family, 5, size, rig)
    still = made.target.valid
    for source in made.sources:
        landing = reproject(1 / made.depth, made.target.camera, source.from_target, source.camera)
        use = (landing.valid & still)[0, 0]
        rebuilt = pull(source.image, landing.uv, source.camera.border)
        error = lambda image: (image - made.target.image).abs().mean(1)[0][use].median()  # noqa: E731
        assert error(rebuilt) < 0.035
        assert error(rebuilt) <= error(source.image) + 1e-3


@pytest.mark.parametrize("family", list(worlds.FAMILIES))
def test_the_same_seed_gives_the_same_scene(family):
    one, two = (worlds.sample(family, 3, (48, 64)) for _ in range(2))
    other = worlds.sample(family, 4, (48, 64))
    assert torch.equal(one.target.image, two.target.image)
    assert torch.equal(one.depth, two.depth)
    assert not torch.equal(one.target.image, other.target.image)


def test_layout_does_not_depend_on_the_process():
    """Python's own hash is salted per process; the scene's must not be."""
    built, _ = worlds.scene("street", 7)
    digest = hashlib.sha256(built.center.numpy().tobytes()).hexdigest()
    assert digest == hashlib.sha256(worlds.scene("street", 7)[0].center.numpy().tobytes()).hexdigest()
    assert built.center.shape[0] > 40


def test_depth_is_finite_positive_or_sky_and_families_differ_in_scale():
    medians = {}
    for family in worlds.FAMILIES:
        depths = torch.cat([worlds.sample(family, s, (48, 64)).depth.flatten() for s in range(20, 26)])
        assert not depths.isnan().any()
        assert (depths > 0).all()
        medians[family] = float(depths[depths.isfinite()].median())
    assert medians["table"] < medians["street"]
    assert medians["room"] < medians["landscape"]


def test_moving_objects_are_marked_and_only_in_clips():
    found = 0
    for seed in range(8):
        made = worlds.sample("street", seed, (48, 80), "clip")
        found += int((~made.target.valid).sum())
        built, stand = worlds.scene("street", seed)
        rendered = worlds.render(built, made.target.camera, stand.world_from_camera, (48, 80))
        assert torch.equal(rendered.moving, ~made.target.valid)
    assert found > 20
    assert worlds.sample("street", 0, (48, 80)).target.valid.all()


def test_moving_primitives_move_with_time():
    builder = Builder()
    builder.place(0, 0, 6, velocity=(1.0, 0, 0)).add("box", (0, 0, 0), (0.5, 0.5, 0.5), Material())
    scene = builder.scene((), Air(), "street", 0, 80)
    columns = [torch.isfinite(depth_of(scene.at(t))).any(0).nonzero().float().mean() for t in (0.0, 1.0)]
    assert columns[1] - columns[0] == pytest.approx(0.8 * 80 / 5.75, abs=1.5)


def test_sphere_depth_is_radial_and_wraps():
    scene = lonely("ellipsoid", (0, 0, -4), (1, 1, 1))  # straight behind: on the seam
    depth = worlds.render(scene, Equirectangular(), HERE, (64, 128)).depth[0, 0]
    assert depth[32, 0] == pytest.approx(3.0, abs=0.01)
    assert depth[32, -1] == pytest.approx(3.0, abs=0.01)
    assert torch.isinf(depth[32, 64])


def test_shadow_falls_away_from_the_light():
    builder = Builder()
    builder.add("plane", (0, 0, 0), (1, 1, 1), Material("plain", (0.6,) * 3, (0.6,) * 3, (0.6,) * 3, grain=0.0))
    builder.add("box", (0, -1, 6), (0.4, 1.0, 0.4), Material())
    sun = Light((-1.0 / math.sqrt(2), -1.0 / math.sqrt(2), 0.0), (2.0, 2.0, 2.0))  # from the left
    scene = builder.scene((sun,), Air(haze=0.0), "street", 0, 80)
    pose = HERE.clone()
    pose[0, 1, 3] = -1.5
    light = worlds.render(scene, camera(), pose, SIZE).light[0].mean(0)
    row = int((0.5 + 1.5 / 6 * float(camera().focal[0, 1])) * SIZE[0])
    left, right = int((0.5 - 0.8 * 1.2 / 6) * 80), int((0.5 + 0.8 * 1.2 / 6) * 80)
    assert light[row, right] < 0.6 * light[row, left]


def test_pictures_appear_on_surfaces():
    look = Material("picture", scale=0.5, grain=0.0)
    builder = Builder()
    builder.add("box", (0, 0, 3), (3, 3, 0.1), look)
    scene = builder.scene((), Air(ambient=1.0, haze=0.0), "room", 0, 20)
    red = torch.zeros(1, 3, 8, 8)
    red[:, 0] = 1
    light = worlds.render(scene, camera(), HERE, SIZE, red).light[0]
    assert light[0].mean() > 10 * light[1].mean()


def test_unknown_names_are_refused_with_the_nearest():
    with pytest.raises(InputError, match="street"):
        worlds.sample("stret", 0, (48, 64))
    with pytest.raises(InputError, match="sphere"):
        worlds.sample("street", 0, (48, 64), "spheer")


def test_the_camera_never_stands_inside_something():
    for family in worlds.FAMILIES:
        for seed in range(30, 36):
            built, stand = worlds.scene(family, seed)
            depth = worlds.render(built, camera((24, 40)), stand.world_from_camera, (24, 40)).depth
            assert depth.min() > 0.02, (family, seed)


def test_scene_moves_to_a_device():
    built, _ = worlds.scene("table", 1)
    assert built.to("cpu").center.equal(built.center)
    assert replace(built, seed=2).seed == 2
