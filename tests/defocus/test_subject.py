"""From a click to a matte: GrabCut on colours and depth, the matte along the photo's edge, the thing as a whole."""

import random

import cv2
import numpy as np
import torch

from cyclopean.bench.subject import Budget, Click, is_sharp, judge, report
from cyclopean.bench.subject_training import inner_point
from cyclopean.defocus.focus import Sharp
from cyclopean.defocus.lens import Lens, depth_range
from cyclopean.defocus.refocus import refocus
from cyclopean.defocus.subject import coherent, connected, geodesic, grabcut, outlined, recut, soft_matte
from cyclopean.geometry import Equirectangular
from cyclopean.inference.subject import PanoramaSelector, SubjectSelector
from cyclopean.io.depthmap import DepthMap, from_numbers
from cyclopean.io.image import Photo
from cyclopean.networks.subject import SubjectNet
from filmed import texture

H, W = 120, 160


def scene() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A bright statue, whose head is nearer than its foot, before a dark wall; another one beside it, farther away."""
    mask = np.zeros((H, W), np.uint8)
    cv2.circle(mask, (60, 40), 18, 1, -1)
    cv2.rectangle(mask, (48, 50), (72, 100), 1, -1)
    other = np.zeros((H, W), np.uint8)
    cv2.rectangle(other, (110, 50), (130, 100), 1, -1)
    grey = np.where(mask + other > 0, 0.6 + 0.3 * texture(H, W, 1), 0.3 * texture(H, W, 2))
    colours = grey[..., None] * np.where((mask + other)[..., None] > 0, (1.0, 0.9, 0.6), (0.6, 0.8, 1.0))
    depth = np.where(mask > 0, 1.0 - np.linspace(0, 0.3, H)[:, None], np.where(other > 0, 0.45, 0.2))
    return colours.astype(np.float32), depth.astype(np.float32), mask > 0


def photo_and_depth() -> tuple[Photo, DepthMap, np.ndarray]:
    colours, depth, mask = scene()
    photo = Photo(torch.from_numpy(colours).permute(2, 0, 1)[None].contiguous())
    soft = cv2.GaussianBlur(depth, (0, 0), 1.5)
    return photo, from_numbers(torch.from_numpy(soft)[None, None], "inverse_depth"), mask


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


def test_grabcut_finds_the_thing_at_the_point() -> None:
    colours, depth, mask = scene()
    found = grabcut(colours, depth, [(60, 45)])
    assert overlap(found, mask) > 0.9
    assert not found[:, 100:].any()  # as bright, but not there
    assert np.array_equal(found, grabcut(colours, depth, [(60, 45)]))
    wall = grabcut(colours, depth, [(10, 10)])
    assert overlap(wall, mask) < 0.1
    parts = np.zeros((9, 9), bool)
    parts[:3], parts[6:] = True, True
    assert connected(parts, [(1, 1)]).sum() == 27
    assert connected(parts, [(1, 1), (1, 8)]).sum() == 54


def test_a_rough_probability_becomes_a_mask_along_the_edges() -> None:
    colours, depth, mask = scene()
    rough = cv2.GaussianBlur(np.roll(mask, 3, 1).astype(np.float32), (0, 0), 4)
    found = recut(colours, depth, [(60, 45)], rough)
    assert overlap(found, mask) > 0.95 > overlap(rough >= 0.5, mask) + 0.1
    assert not found[:, 100:].any()  # as bright, but surely not the thing
    sure = np.zeros((H, W), np.float32)
    sure[50:70, 10:30] = 0.9  # of the wall, but surely the thing
    sure[mask] = 0.6
    assert recut(colours, depth, [(60, 60)], np.maximum(sure, 0.2))[55:65, 32:46].sum() == 0
    sure[50:70, 10:48] = 0.9
    assert recut(colours, depth, [(60, 60)], np.maximum(sure, 0.2))[50:70, 10:48].all()


class Alike(SubjectNet):
    """Stands for the network: what has the colour at the points, and is not dark, is the thing."""

    def embed(self, image: torch.Tensor, inverse_depth: torch.Tensor) -> list[torch.Tensor]:
        assert inverse_depth.shape[2:] == image.shape[2:]
        return [torch.nn.functional.avg_pool2d(image, 4)]

    def forward(self, embeddings: list[torch.Tensor], points: torch.Tensor) -> torch.Tensor:
        (picture,) = embeddings
        there = torch.nn.functional.grid_sample(picture, 2 * points - 1, align_corners=False).mean(3)  # b 3 1
        away = (picture - there[..., None]).abs().amax(1, keepdim=True)
        return 40 * (0.15 - away) - 99.0 * (there.mean((1, 2)) < 0.2)[:, None, None, None]


class LeftOnly(Alike):
    """Stands for a network that is wrong about what lies in the right half."""

    def forward(self, embeddings: list[torch.Tensor], points: torch.Tensor) -> torch.Tensor:
        logits = super().forward(embeddings, points)
        logits[..., logits.shape[-1] // 2 :] = 0.0
        return logits


def test_a_network_selects_by_points_of_the_photo() -> None:
    h, w = 320, 448
    v, u = np.mgrid[:h, :w]
    colours = np.full((h, w, 3), 0.1, np.float32)
    things = [(u - 350) ** 2 + (v - 60) ** 2 < 24**2, (u > 20) & (u < 60) & (v > 200) & (v < 260), (u > 99) & (u < 260)]
    for thing, colour in zip(things, ((0.9, 0.5, 0.2), (0.9, 0.5, 0.2), (0.3, 0.6, 0.3)), strict=True):
        colours[thing] = colour
    photo = Photo(torch.from_numpy(colours).permute(2, 0, 1)[None].contiguous())
    depth = from_numbers(torch.ones(1, 1, h, w) + torch.linspace(0, 1, w), "inverse_depth")
    select = SubjectSelector(photo, depth)
    select.network = Alike()
    points = (350, 62), (40, 232), (180, 10)
    for thing, point in zip(things, points, strict=True):
        matte = select([point])
        assert matte is not None
        assert overlap(matte[0, 0].numpy() >= 0.5, thing) > 0.9, point
    select.network = LeftOnly()
    seen_by_its_mirror_image = select([points[0]])
    assert seen_by_its_mirror_image is not None
    assert overlap(seen_by_its_mirror_image[0, 0].numpy() >= 0.5, things[0]) > 0.9
    select.network = Alike()
    both = select(points[:2])
    assert both is not None
    assert overlap(both[0, 0].numpy() >= 0.5, things[0] | things[1]) > 0.9
    assert select.rough([(10, 10)]) is None  # dark: not a thing
    one, less = select.rough(points[:1]), select.rough(points[:1], [(352, 58)])  # on the thing as well
    assert one is not None
    assert less is None or less.sum() < 0.5 * one.sum()


def test_a_subject_of_a_panorama_goes_on_over_its_seam() -> None:
    """One in a quarter of the picture, a larger one, one at a pole; where there is none, depth stays as it was."""
    h, w = 256, 512
    v, u = np.mgrid[:h, :w]
    colours = np.full((h, w, 3), 0.1, np.float32)
    around = np.minimum(u, w - u)
    things = {
        (508, 120): (around < 20) & (np.abs(v - 120) < 30),
        (200, 128): (np.abs(u - 200) < 90) & (np.abs(v - 128) < 25),
        (400, 250): (np.abs(u - 400) < 30) & (v > 220),
    }
    for (point, thing), colour in zip(things.items(), ((0.9, 0.5, 0.2), (0.3, 0.6, 0.3), (0.2, 0.4, 0.9)), strict=True):
        colours[thing] = colour
        assert thing[point[1], point[0]]
    camera = Equirectangular()
    photo = Photo(torch.from_numpy(colours).permute(2, 0, 1)[None].contiguous(), camera)
    inverse = torch.from_numpy(np.where(sum(things.values()), 0.5 + 0.2 * (v % 2), 0.1).astype(np.float32))
    depth = from_numbers(inverse[None, None], "inverse_distance", camera=camera)
    select = PanoramaSelector(photo, depth, Alike())
    for point, thing in things.items():
        found, sharp = select.surface(point)
        assert sharp is not None
        assert found.kind == "inverse_distance"
        inner = cv2.erode(np.tile(thing.astype(np.uint8), 2), np.ones((9, 9)))[:, w // 2 : w // 2 + w]
        inner = np.roll(inner, w // 2, 1) > 0
        plane = found.inverse_depth[0, 0].numpy()
        assert plane[inner].std() < 0.02 < inverse.numpy()[inner].std(), point
        others = ~(thing | (cv2.dilate(np.tile(thing.astype(np.uint8), 3), np.ones((41, 41)))[:, w : 2 * w] > 0))
        assert np.array_equal(plane[others], inverse.numpy()[others])
    nothing, sharp = select.surface((300, 30))
    assert sharp is None
    assert nothing is depth


def test_the_outline_lies_on_the_strongest_steps() -> None:
    colours, depth, mask = scene()
    found = outlined(colours, depth, [(60, 45)])
    assert overlap(found, mask) > 0.85
    assert overlap(outlined(colours, depth, [(120, 75)]), mask) < 0.05  # the other one
    down, right = np.ones((4, 5), np.float32), np.ones((5, 4), np.float32)
    right[:, 2] = 10  # a wall with a gap
    right[4, 2] = 1
    away = geodesic(down, right, [(0, 0), (1, 0)])
    expected = np.full((5, 5), np.inf)
    expected[0, :2] = 0
    for _ in range(30):
        for y, x in np.ndindex(5, 5):
            steps = [(y, x - 1, right[y, x - 1])] if x else []
            steps += [(y - 1, x, down[y - 1, x])] if y else []
            for j, i, step in steps:
                expected[y, x] = min(expected[y, x], expected[j, i] + step)
                expected[j, i] = min(expected[j, i], expected[y, x] + step)
    assert np.array_equal(away, expected)


def test_the_matte_follows_the_photo_and_closes_specks() -> None:
    colours, _, mask = scene()
    rough = np.roll(mask, (1, 2), (0, 1)).astype(np.float32)
    rough[58:60, 58:60] = 0
    matte = soft_matte(rough, colours)
    assert overlap(matte >= 0.5, mask) > overlap(rough >= 0.5, mask) + 0.01
    assert matte[58:60, 58:60].min() > 0.5
    small = cv2.resize(mask.astype(np.float32), (W // 4, H // 4), interpolation=cv2.INTER_AREA)
    assert overlap(soft_matte(small, colours) >= 0.5, mask) > 0.9


def test_a_click_selects_and_the_whole_thing_is_sharp() -> None:
    photo, depth, mask = photo_and_depth()
    select = SubjectSelector(photo, depth)
    matte = select([(60, 45)])
    assert matte is not None
    assert overlap(matte[0, 0].numpy() >= 0.5, mask) > 0.9
    again = select([(60 / W, 45 / H)])
    assert again is not None
    assert torch.equal(matte, again)
    plane = depth.inverse_depth[0, 0].numpy()
    whole = depth_range(plane)
    by_depth = is_sharp(plane, Sharp(float(plane[45, 60]), float(plane[45, 60])), whole)
    surface, sharp = coherent(depth, matte)
    assert by_depth[mask].mean() < 0.5
    assert is_sharp(surface.inverse_depth[0, 0].numpy(), sharp, whole)[mask].mean() > 0.95
    click = Click(photo, depth, (60, 45), mask)
    assert judge(click, select)[0] > 0.9 > judge(click, None)[0]
    assert judge(click, select)[1] > 0.95
    picture = photo.image[0].permute(1, 2, 0).numpy()
    change = [
        np.abs(
            refocus(photo, d, (60, 45), lens=Lens(amount=4.0), sharp=s).image[0].permute(1, 2, 0).numpy() - picture
        ).mean(-1)
        for d, s in ((depth, None), (surface, sharp))
    ]
    deep = cv2.erode(mask.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
    assert change[1][deep].max() < 1e-3
    assert change[0][deep].max() > 5e-3
    assert change[1][:, 110:].max() > 0.02  # what was not clicked is blurred


def test_points_are_inside_and_the_report_has_means() -> None:
    mask = np.zeros((20, 30), bool)
    mask[5:15, 8:20] = True
    for seed in range(30):
        x, y = inner_point(mask, random.Random(seed))
        assert 6 <= y <= 13, (x, y)
        assert 9 <= x <= 18, (x, y)
    figures = {"GrabCut": {name: [[0.5, 1.0], [0.7, 0.8]] for name in ("table", "clutter", "street", "room")}}
    assert "| GrabCut | 0.600 | 0.600 | 0.600 | 0.600 | 0.600 | 0.900 |" in report(figures)
    assert Budget().clicks == 200
