"""AQUANet learns of one analytic scene where its camera went, and how inverse depth depends on the size of pictures."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from cyclopean.augmentation import crop, resize, with_frames
from cyclopean.geometry import Pinhole, axis_angle, invert, pixel_grid, rigid, rotate, size_of, translation
from cyclopean.methods.aquanet import Aquanet
from cyclopean.sample import Sample, collate, view
from methods.test_learning import CAMERA, SIZE, errors, learn, texture

RULES = {"levels": 13, "least": 0.08, "most": 0.7, "mask": "none", "smoothness": 0.01}


def photographed(camera_from_world: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Picture and depth: a panel z = 3 + 0.3 y before the wall z = 6, as in test_learning."""
    world_from_camera = invert(camera_from_world)
    rays = rotate(world_from_camera, CAMERA.rays(pixel_grid(size, torch.zeros(1))))
    origin, normal = world_from_camera[0, :3, 3], torch.tensor([0.0, -0.3, 1.0])
    panel = (3 - (origin * normal).sum()) / (rays * normal).sum(-1)
    x, y, _ = (origin + panel[..., None] * rays).unbind(-1)
    depth = torch.where((x.abs() < 1) & (y.abs() < 0.7), panel, (6 - origin[2]) / rays[..., 2])
    return texture(origin + depth[..., None] * rays), depth[:, None]


def filmed(places: list[tuple[float, float, float]], size: tuple[int, int]) -> Sample:
    """The target at the origin, sources at `places`."""
    return posed([translation(-torch.tensor([place])) for place in places], size)


def posed(poses: list[Tensor], size: tuple[int, int]) -> Sample:
    image, depth = photographed(torch.eye(4)[None], size)
    sources = tuple(view(photographed(pose, size)[0], CAMERA, pose) for pose in poses)
    return Sample(view(image, CAMERA), sources, depth)


def unposed(sample: Sample) -> Sample:
    bare = tuple(replace(source, from_target=None) for source in sample.sources)
    return with_frames(replace(sample, sources=bare), size_of(sample.depth))


def learn_poses(method: Aquanet, sample: Sample, kick_start: int, steps: int) -> None:
    """Kick-start, then learn all."""
    for stage, count, rate in ((0, kick_start, 1e-3), (1, steps, 2e-3)):
        method.requires_grad_(True)
        method.kick_start = False
        if stage == 0:
            method.begin_with_pose()
        optimizer = torch.optim.Adam(method.parameters(), rate)
        for _ in range(count):
            sum(method.train()(sample).values()).backward()
            optimizer.step()
            optimizer.zero_grad()


@pytest.mark.slow
@pytest.mark.parametrize("pose", ["posenet-dr"])
def test_where_the_camera_went_is_learned_with_depth(pose: str) -> None:
    """Direction and ratio of both translations; how long they are nobody can know. After a kick-start, as published."""
    torch.manual_seed(0)
    places = [(-0.15, 0.05, -0.25), (0.3, 0.1, 0.4)]  # the second more than half as far again
    true = filmed(places, SIZE)
    sample, method = unposed(true), Aquanet(0.125, rules=RULES, pose=pose)
    learn_poses(method, sample, 40, 160)
    with torch.no_grad():
        moved = method.eval().pose(sample)
        inverse = method.predict(sample.target).inverse_depth
    moves = [source.from_target[0, :3, 3] for source in moved.sources]
    truths = [source.from_target[0, :3, 3] for source in true.sources]
    cosines = [float(torch.cosine_similarity(a, b, 0)) for a, b in zip(moves, truths, strict=True)]
    ratio = float(moves[1].norm() / moves[0].norm()) / float(truths[1].norm() / truths[0].norm())
    depth = inverse.median() * true.depth.median() / inverse
    assert min(cosines) > 0.9
    assert 0.8 < ratio < 1.25
    assert ((depth - true.depth).abs() / true.depth).median() < 0.05


@pytest.mark.slow
def test_the_camera_of_a_film_is_learned_where_it_turns() -> None:
    """From focal lengths that are a quarter too short, by rotations of three degrees: half of the error at most is
    left."""
    torch.manual_seed(0)
    turns, moves = ((0.03, -0.05, 0.0), (-0.03, 0.05, 0.0)), ((0.15, -0.05, 0.25), (-0.2, -0.1, -0.2))
    poses = [rigid(axis_angle(torch.tensor([a])), torch.tensor([t])) for a, t in zip(turns, moves, strict=True)]
    true = unposed(posed(poses, SIZE))
    wrong = Pinhole(0.75 * CAMERA.focal, CAMERA.center)
    views = [replace(seen, camera=wrong) for seen in (true.target, *true.sources)]
    sample = replace(true, target=views[0], sources=tuple(views[1:]))
    method = Aquanet(0.125, rules=RULES, pose="posenet-dr", intrinsics="learned")
    learn_poses(method, sample, 50, 100)
    with torch.no_grad():
        focal = method.eval().pose(sample).target.camera.focal
    off = (focal / CAMERA.focal).log().abs().mean()
    assert off < 0.5 * abs(math.log(0.75)), focal


@pytest.mark.slow
@pytest.mark.parametrize(("translation_", "power"), [("direct", 1), ("invariant", 0), ("inverse", -1)])
def test_inverse_depth_grows_with_this_power_of_the_pictures_size(translation_: str, power: int) -> None:
    """Of the whole picture, and of the middle of one that is half as large again."""
    torch.manual_seed(0)
    whole, zoom = filmed([(-0.2, 0.0, -0.2), (0.2, 0.0, 0.2)], (96, 144)), torch.ones(1)
    small = resize(replace(whole, zoom=zoom * 1.5), (64, 96))
    middle = replace(crop(whole, (16, 24, 64, 96)), zoom=zoom * 1.5)
    batch = collate([small, middle])
    torch.testing.assert_close(batch.zoom, torch.tensor([1.0, 1.5]))
    method = Aquanet(0.125, rules={**RULES, "translation": translation_})
    learn(method, batch, 80, 3e-3)
    with torch.no_grad():
        inverse = method.eval().predict(batch.target).inverse_depth
    one, other = (inverse * batch.depth).flatten(1).median(1).values
    slope = float((other / one).log()) / math.log(1.5)
    assert slope == pytest.approx(power, abs=0.1)


@pytest.mark.slow
@pytest.mark.parametrize(("planes", "median", "mean"), [("target", 0.02, 0.05), ("source", 0.06, 0.1)])
def test_aquanet_finds_metric_depth_from_one_clip(planes: str, median: float, mean: float) -> None:
    """Of a camera that mostly goes forward; poses are known. The paper's planes (source) are a little off."""
    torch.manual_seed(0)
    sample = filmed([(-0.25, 0.02, -0.4), (0.25, -0.02, 0.4)], SIZE)
    rules = {"levels": 17, "least": 0.1, "most": 0.6, "mask": "none", "smoothness": 0.01, "planes": planes}
    method = Aquanet(0.125, rules=rules)
    before = errors(method, sample, slice(None))
    method.train()
    learn(method, sample, 70, 3e-3)
    error = errors(method, sample, slice(None))
    assert error.median() < median
    assert error.mean() < mean < 0.5 * before.mean()


def test_moves_and_their_inverses_of_this_scene() -> None:
    """What the learning tests take for true is: the sources see what the poses say."""
    sample = filmed([(0.1, 0.0, 0.2)], (8, 12))
    torch.testing.assert_close(invert(sample.sources[0].from_target)[0, :3, 3], torch.tensor([0.1, 0.0, 0.2]))
