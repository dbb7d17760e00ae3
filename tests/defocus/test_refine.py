"""Predicted depth drawn to the photo's edges, with steps instead of ramps, and nothing invented elsewhere."""

import dataclasses

import cv2
import numpy as np
import pytest
import torch

from cyclopean.defocus.edges import guided, refined, stepped
from cyclopean.defocus.lens import Lens
from cyclopean.defocus.refocus import refocus
from cyclopean.geometry import Equirectangular
from cyclopean.io.depthmap import DepthMap, from_numbers
from cyclopean.io.image import Photo
from filmed import texture

H, W = 240, 320


def ball() -> np.ndarray:
    mask = np.zeros((H, W), np.uint8)
    cv2.circle(mask, (150, 120), 60, 1, -1)
    return mask > 0


def picture(mask: np.ndarray) -> np.ndarray:
    """A dark ball before a bright wall, both with texture, and a highlight on the ball as bright as the wall."""
    grey = np.where(mask, texture(H, W, 1) * 0.4, texture(H, W, 2) * 0.4 + 0.5).astype(np.float32)
    cv2.circle(grey, (128, 80), 3, 0.75, -1)
    return np.repeat(grey[..., None], 3, 2)


def truth(mask: np.ndarray) -> np.ndarray:
    """The ball bulges towards us, the wall is a little slanted."""
    y, x = np.mgrid[:H, :W]
    bulge = np.sqrt(np.maximum(60**2 - (x - 150) ** 2 - (y - 120) ** 2, 0)) / 60
    return np.where(mask, 0.8 + 0.2 * bulge, 0.1 + 0.1 * x / W).astype(np.float32)


def predicted(mask: np.ndarray) -> np.ndarray:
    """As networks do: soft over ten pixels, and a little beside the edge."""
    return cv2.GaussianBlur(np.roll(truth(mask), (2, -2), (0, 1)), (0, 0), 3.0)


def test_ramps_become_steps_where_the_photo_has_its_edge() -> None:
    mask = ball()
    soft, right, colours = predicted(mask), truth(mask), picture(mask)
    found, before = stepped(soft, colours), guided(soft, colours)
    inside = np.s_[20:-20, 20:-20]
    assert np.abs(found - right)[inside].mean() < 0.65 * np.abs(before - right)[inside].mean()
    between = [((d > 0.3) & (d < 0.7)).sum() for d in (soft, before, found)]
    assert between[2] < 0.25 * between[1] < 0.25 * between[0] * 1.5
    assert found[75:86, 123:134].min() > 0.7  # the highlight is not a hole
    assert np.abs(found - right)[:40, 20:-20].max() < 0.02


def test_no_sharp_rim_in_what_is_blurred() -> None:
    """The focus lies between the ball and the wall: no pixel is there in truth, many are on a ramp."""
    mask = ball()
    photo = Photo(torch.from_numpy(picture(mask)).permute(2, 0, 1)[None].contiguous())
    rim = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((13, 13), np.uint8)) > 0

    def error(depth: np.ndarray) -> float:
        depth = np.where(np.hypot(*np.mgrid[-10 : H - 10, -10 : W - 10]) < 5, np.float32(0.5), depth)
        maps = (from_numbers(torch.from_numpy(d)[None, None], "inverse_depth") for d in (depth, right))
        made, best = (refocus(photo, m, (10, 10), lens=Lens(amount=3.0)).image[0, 0].numpy() for m in maps)
        return float(np.sqrt(((made - best)[rim] ** 2).mean()))

    right = truth(mask)
    right = np.where(np.hypot(*np.mgrid[-10 : H - 10, -10 : W - 10]) < 5, np.float32(0.5), right)
    assert error(stepped(predicted(mask), picture(mask))) < 0.6 * error(guided(predicted(mask), picture(mask)))


def test_a_floor_stays_a_floor() -> None:
    """Steep, with tiles that look like edges: no steps, and no tiles in the depth."""
    floor = np.linspace(0.05, 1, H, dtype=np.float32)[:, None].repeat(W, 1)
    tiles = (np.indices((H, W)) // 12).sum(0) % 2 * np.float32(0.6) + 0.2
    found = stepped(floor, np.repeat(tiles[..., None], 3, 2))
    assert np.abs(found - floor)[8:-8].max() < 0.01


@pytest.mark.parametrize("size", [(16, 16), (17, 300), (400, 700)])
def test_sizes_and_a_world_without_depth(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    colours = rng.random((*size, 3), np.float32)
    flat = stepped(np.full(size, 0.5, np.float32), colours)
    assert flat.shape == size
    assert np.abs(flat - 0.5).max() < 1e-5
    assert np.isfinite(stepped(rng.random(size, np.float32), colours)).all()


def test_unknown_depth_stays_unknown() -> None:
    numbers = torch.rand(1, 1, 40, 60)
    numbers[..., :10] = torch.nan
    depth = refined(from_numbers(numbers, "inverse_depth"), torch.rand(1, 3, 40, 60))
    assert torch.equal(depth.valid, ~numbers.isnan())
    assert depth.inverse_depth[depth.valid].isfinite().all()


@pytest.mark.parametrize("width", [512, 510])
def test_edges_of_a_panorama_go_on_over_its_seam(width: int) -> None:
    """A ball whose side lies along the seam is refined as if it lay in the middle of the picture."""
    h, shift = 256, width // 2
    y, x = np.mgrid[:h, :width].astype(np.float32)
    mask = np.hypot(x - (width / 2 - 68), y - 128) < 70
    grey = np.where(mask, 0.15, 0.75).astype(np.float32) + 0.1 * (texture(h, width, 3) - 0.5)
    right = np.where(mask, 0.9, 0.2).astype(np.float32)
    soft = cv2.GaussianBlur(np.roll(right, (2, -2), (0, 1)), (0, 0), 4.0)
    image = torch.from_numpy(grey)[None, None].repeat(1, 3, 1, 1)
    middle = from_numbers(torch.from_numpy(soft)[None, None], "inverse_depth")
    seam = from_numbers(middle.inverse_depth.roll(shift, -1), "inverse_depth")
    ideal = refined(middle, image)

    def apart(made: DepthMap) -> float:
        """From what it is where no border is near, in the columns beside the seam."""
        difference = made.inverse_depth.roll(-shift, -1) - ideal.inverse_depth
        return float(difference[..., shift - 12 : shift + 12].abs().mean())

    around, flat = refined(seam, image.roll(shift, -1), Equirectangular()), refined(seam, image.roll(shift, -1))
    assert apart(flat) > 0.003
    assert apart(around) < apart(flat) / 50
    named = dataclasses.replace(seam, camera=Equirectangular())
    assert torch.equal(refined(named, image.roll(shift, -1)).inverse_depth, around.inverse_depth)
