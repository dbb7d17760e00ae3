"""What is rendered is what the geometry says: exact depth on every camera, culling that changes nothing, shadows."""

import math
from random import Random

import numpy as np
import pytest
import torch

from cyclopean import synthetic
from cyclopean.geometry import Equirectangular, Pinhole, pixel_grid, reproject
from cyclopean.synthesis import pull
from cyclopean.synthetic import raycast, render, rigs, scene_types
from cyclopean.synthetic.furniture import TRINKETS, shelf
from cyclopean.synthetic.objects import car, person
from cyclopean.synthetic.scene import Atmosphere, Builder, Light, Material, turn

SIZE = (48, 80)
HERE = torch.eye(4)[None]
EYES = HERE.clone()
EYES[0, 1, 3] = -1.5  # 1.5 m above the ground
PLAIN = Material("plain", (0.6, 0.6, 0.6), (0.6, 0.6, 0.6), (0.6, 0.6, 0.6), grain=0.0)


def built(*primitives, lights=()):
    builder = Builder()
    for primitive in primitives:
        builder.add(*primitive)
    return builder.scene(lights, Atmosphere(ambient=1.0, haze=0.0), "street", 0)


def lonely(shape, center, half, rotation=None):
    return built((shape, center, half, Material(), rotation))


def camera(size=SIZE, focal=0.8):
    return Pinhole(torch.tensor([[focal, focal * size[1] / size[0]]]), torch.tensor([[0.5, 0.5]]))


def depth_of(scene):
    return render.render(scene, camera(), HERE, SIZE).depth[0, 0]


def test_a_box_in_front_is_at_the_depth_of_its_face():
    depth = depth_of(lonely("box", (0, 0, 5), (1, 1, 2)))
    assert depth[24, 40] == pytest.approx(3.0, rel=1e-5)
    assert torch.isinf(depth[0, 0])
    # the face spans x in [-1, 1] at z = 3: 0.8 * 80 / 3 pixels to either side of the centre
    assert int(torch.isfinite(depth[24]).sum()) == pytest.approx(2 * 0.8 * 80 / 3, abs=1)


def test_the_nearer_of_two_is_seen_whatever_their_order():
    near, far = ("box", (0, 0, 4), (1, 1, 0.1), Material()), ("box", (0.5, 0, 8), (2, 1, 0.1), Material())
    one, two = depth_of(built(near, far)), depth_of(built(far, near))
    assert torch.equal(one, two)
    assert one[24, 40] == pytest.approx(3.9)
    assert one[24, 58] == pytest.approx(7.9)


def test_ellipsoid_matches_the_closed_form():
    depth = depth_of(lonely("ellipsoid", (0.3, -0.2, 6), (1.5, 0.7, 2.0)))
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
    depth = depth_of(lonely(shape, tuple(center.tolist()), tuple(half.tolist()), rotation))
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
    depth = render.render(lonely("plane", (0, 0, 0), (1, 1, 1)), camera(), EYES, SIZE).depth[0, 0]
    v = (torch.arange(SIZE[0]) + 0.5) / SIZE[0]
    expected = 1.5 * camera().focal[0, 1] / (v - 0.5)
    torch.testing.assert_close(depth[25:, 7], expected[25:], rtol=1e-4, atol=0)
    assert torch.isinf(depth[:24]).all()


@pytest.mark.parametrize("family", list(synthetic.FAMILIES))
def test_culling_changes_nothing(family, monkeypatch):
    """Every primitive worked out for every block of rays gives the same picture."""
    scene, stand = scene_types.scene(family, 11)
    culled = render.render(scene, camera(), stand.world_from_camera, SIZE)
    pairs = []

    def everywhere(scene, start, way, _reach):
        blocks = max(start.middle.shape[2], way.middle.shape[2])
        pairs.append(len(scene.shape) * blocks)
        return torch.ones(scene.number, len(scene.shape) // scene.number, blocks, dtype=torch.bool)

    monkeypatch.setattr(raycast, "_between", everywhere)
    whole = render.render(scene, camera(), stand.world_from_camera, SIZE)
    assert len(pairs) > 1  # for what is seen and for shadows
    assert torch.equal(culled.depth, whole.depth)
    torch.testing.assert_close(culled.light, whole.light)


@pytest.mark.parametrize("size", [(16, 16), (5, 40), (37, 61)])
def test_sizes_that_are_no_whole_number_of_tiles(size):
    x = torch.rand(2, 3, *size)
    assert torch.equal(render._untiled(render._tiled(x), (2, *size)), x)
    depth = render.render(lonely("plane", (0, 0, 0), (1, 1, 1)), camera(size), EYES, size).depth[0, 0]
    v = (torch.arange(size[0]) + 0.5) / size[0] - 0.5
    expected = torch.where(v > 1e-6, 1.5 * camera(size).focal[0, 1] / v, torch.inf)
    torch.testing.assert_close(depth, expected[:, None].expand(size), rtol=1e-4, atol=0)


def test_portions_and_views_together_change_nothing(monkeypatch):
    """Points shaded few at a time, and each view for itself, look the same; a picture keeps its resolution."""
    scene, stand = scene_types.scene("room", 15)
    poses = stand.world_from_camera.repeat(2, 1, 1)
    poses[1, 0, 3] += 0.1
    pictures = torch.rand(3, 3, 32, 32)
    together = render.render(scene, camera(), poses, SIZE, pictures)
    shown = (together.light != render.render(scene, camera(), poses, SIZE).light).any(1)
    assert shown.sum() > 500  # points in pictures: more than go into one portion
    monkeypatch.setitem(render._AT_ONCE, "cpu", 100)
    monkeypatch.setitem(raycast._AT_ONCE, "cpu", 1000)
    for k in range(2):
        alone = render.render(scene, camera(), poses[k : k + 1], SIZE, pictures)
        assert torch.equal(alone.depth, together.depth[k : k + 1])
        torch.testing.assert_close(alone.light, together.light[k : k + 1], rtol=1e-4, atol=1e-5)


def test_quick_matrix_products_do_not_make_it_coarse():
    """Training lowers the precision of matrix products; geometry must not feel it."""
    scene, stand = scene_types.scene("street", 4)
    plain = render.render(scene, camera(), stand.world_from_camera, SIZE)
    with torch.autocast("cpu", torch.bfloat16):
        within = render.render(scene, camera(), stand.world_from_camera, SIZE)
    assert torch.equal(plain.light, within.light)
    assert torch.equal(plain.depth, within.depth)


@pytest.mark.parametrize(
    ("family", "seed", "rig", "size"),
    [
        ("street", 7, "stereo", (64, 96)),
        ("street", 7, "clip", (64, 96)),
        ("street", 7, "sphere", (64, 128)),
        ("room", 5, "sphere", (64, 128)),
        ("table", 5, "stereo", (64, 96)),
        ("landscape", 7, "clip", (64, 96)),
        ("people", 5, "stereo", (64, 96)),
        ("handheld", 2, "sphere", (64, 128)),
        ("meal", 2, "stereo", (64, 96)),
        ("vehicles", 3, "stereo", (64, 96)),
    ],
)
def test_true_depth_rebuilds_the_target_from_its_sources(family, seed, rig, size):
    """The other view fetched at the true landing looks like the target: pose, depth and camera agree."""
    made = rigs.sample(family, seed, size, rig)
    for source in made.sources:
        match = reproject(1 / made.depth, made.target.camera, source.from_target, source.camera)
        use = (match.valid & made.target.valid)[0, 0]
        rebuilt = pull(source.image, match.uv, source.camera.border)
        error, unmoved = (
            float((image - made.target.image).abs().mean(1)[0][use].mean()) for image in (rebuilt, source.image)
        )
        assert error < 0.7 * unmoved


def test_moving_objects_are_marked_and_only_in_clips():
    made = rigs.sample("street", 5, SIZE, "clip")
    scene, stand = scene_types.scene("street", 5)
    moving = render.render(scene, made.target.camera, stand.world_from_camera, SIZE).moving
    assert 50 < int(moving.sum()) < 0.5 * moving.numel()
    assert torch.equal(moving, ~made.target.valid)
    assert rigs.sample("street", 5, SIZE).target.valid.all()


def test_what_moves_is_elsewhere_in_another_frame_and_the_rest_is_not():
    scene, stand = scene_types.scene("street", 5)
    now, later = (render.render(scene.at(t), camera(), stand.world_from_camera, SIZE) for t in (0.0, 0.5))
    still = ~(now.moving | later.moving)
    assert torch.equal(now.depth[still], later.depth[still])
    assert not torch.equal(now.depth[~still], later.depth[~still])


def test_moving_primitives_move_with_time():
    builder = Builder()
    builder.place(0, 0, 6, velocity=(1.0, 0, 0)).add("box", (0, 0, 0), (0.5, 0.5, 0.5), Material())
    scene = builder.scene((), Atmosphere(), "street", 0)
    columns = [float(torch.isfinite(depth_of(scene.at(t))).any(0).nonzero().float().mean()) for t in (0.0, 1.0)]
    assert columns[1] - columns[0] == pytest.approx(0.8 * 80 / 5.5, abs=1.0)


def test_sphere_depth_is_radial_and_wraps():
    scene = lonely("ellipsoid", (0, 0, -4), (1, 1, 1))  # straight behind: on the seam
    depth = render.render(scene, Equirectangular(), HERE, (64, 128)).depth[0, 0]
    assert depth[32, 0] == pytest.approx(3.0, abs=0.01)
    assert depth[32, -1] == pytest.approx(3.0, abs=0.01)
    assert torch.isinf(depth[32, 64])


@pytest.mark.parametrize(
    "light",
    [
        Light((-1.0 / math.sqrt(2), -1.0 / math.sqrt(2), 0.0), (2.0, 2.0, 2.0)),  # the sun, on the left
        Light((-3.0, -3.0, 6.0), (20.0, 20.0, 20.0), 2.0),  # a lamp there
    ],
)
def test_shadow_falls_away_from_the_light(light):
    ground, post = ("plane", (0, 0, 0), (1, 1, 1), PLAIN), ("box", (0, -1, 6), (0.4, 1.0, 0.4), PLAIN)
    with_post, without = (
        render.render(built(*things, lights=(light,)), camera(), EYES, SIZE).light[0].mean(0)
        for things in ((ground, post), (ground,))
    )
    row = int((0.5 + 1.5 / 6 * float(camera().focal[0, 1])) * SIZE[0])
    left, right = int((0.5 - 0.8 * 1.2 / 6) * 80), int((0.5 + 0.8 * 1.2 / 6) * 80)
    assert with_post[row, left] == pytest.approx(float(without[row, left]), rel=1e-4)
    assert with_post[row, right] < 0.8 * without[row, right]


def test_what_stands_behind_a_lamp_casts_no_shadow():
    lamp = Light((0.0, -2.0, 6.0), (20.0, 20.0, 20.0), 2.0)
    ground, above, below = (
        ("plane", (0, 0, 0), (1, 1, 1), PLAIN),
        ("box", (0, -2.5, 6), (0.4, 0.1, 0.4), PLAIN),
        ("box", (0, -1.5, 6), (0.4, 0.1, 0.4), PLAIN),
    )
    row = int((0.5 + 1.5 / 6 * float(camera().focal[0, 1])) * SIZE[0])
    free, lit, dark = (
        float(render.render(built(*things, lights=(lamp,)), camera(), EYES, SIZE).light[0, :, row, 40].mean())
        for things in ((ground,), (ground, above), (ground, below))
    )
    assert lit == pytest.approx(free, rel=1e-4)
    assert dark < 0.8 * free


def test_pictures_appear_on_surfaces():
    scene = built(("box", (0, 0, 3), (3, 3, 0.1), Material("picture", scale=0.5, grain=0.0)))
    red = torch.zeros(1, 3, 8, 8)
    red[:, 0] = 1
    light = render.render(scene, camera(), HERE, SIZE, red).light[0]
    assert light[0].mean() > 10 * light[1].mean()


def test_foliage_has_holes_to_look_through():
    leaves = Material("leaves", scale=8.0, holes=0.5)
    dense, thin = (
        depth_of(built(("ellipsoid", (0, 0, 4), (1, 1, 1), look), ("box", (0, 0, 9), (9, 9, 1), PLAIN)))
        for look in (PLAIN, leaves)
    )
    ball = dense < 7
    through = (thin[ball] == 8).float().mean()
    assert 0.05 < through < 0.95


def test_scene_moves_to_a_device():
    scene, _ = scene_types.scene("table", 1)
    there = scene.to("meta")
    assert {there.center.device.type, there.looks.device.type, there.shape.device.type} == {"meta"}
    assert (there.air, there.lights, there.seed) == (scene.air, scene.lights, 1)


def test_every_pixel_knows_its_object():
    """A ball before a box before the sky, on the ground; what is at the camera goes, and numbers stay as they were."""
    builder = Builder()
    builder.add("plane", (0, 0, 0), (1, 1, 1), Material())
    for thing, shape, z in (
        (builder.thing(), "box", 0.0),
        (builder.thing(), "box", 6.0),
        (builder.thing(), "ellipsoid", 3.0),
    ):
        thing.place(0.4 if shape == "box" else 0, 0, z).add(shape, (0, -0.5, 0), (0.6, 0.5, 0.5), Material())
    builder = builder.clear_of((0, -0.5, 0), 0.1)
    scene = builder.scene((), Atmosphere(), "room", 0)
    camera = Pinhole(torch.tensor([[0.5, 0.75]]), torch.tensor([[0.5, 0.5]]))
    pose = torch.eye(4)[None]
    pose[0, 1, 3] = -0.8
    seen = render.render(scene, camera, pose, (48, 72))
    shown = seen.objects[0, 0]
    assert shown.unique().tolist() == [0, 2, 3]
    assert (seen.depth[0, 0][shown == 3] < 3.1).all()
    assert (seen.depth[0, 0][shown == 2] > 5.4).all()
    assert (shown[seen.depth[0, 0].isinf()] == 0).all()
    assert shown[:, 39:].eq(2).any()
    assert not shown[:, :20].eq(2).any()


def test_things_are_whole_and_what_lies_loose_is_not():
    for make, least, most in (
        (car, 1, 1),
        (person, 1, 1),
        (shelf, 1, 1),
        (TRINKETS["vase"], 1, 1),
        (TRINKETS["fruit"], 2, 5),
    ):
        numbers = set()
        for seed in range(8):
            builder = Builder()
            rest = (0.3, Material()) if make in TRINKETS.values() else ()
            make(builder, Random(seed), *rest)
            assert min(builder.objects) == 1, make
            numbers.add(max(builder.objects))
        assert least <= max(numbers) <= most, make
