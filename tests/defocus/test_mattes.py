"""A matte gives predicted depth its edge: less of the sharp subject leaks into the blurred surroundings."""

import cv2
import numpy as np
import pytest
import torch

from cyclopean.defocus.edges import matted
from cyclopean.defocus.lens import Lens
from cyclopean.defocus.refocus import refocus
from cyclopean.errors import InputError
from cyclopean.io.depthmap import DepthMap, from_numbers
from cyclopean.io.image import Photo
from filmed import texture

H, W = 160, 220


def subject() -> np.ndarray:
    """A head on shoulders, with an arm stretched out."""
    mask = np.zeros((H, W), np.uint8)
    cv2.circle(mask, (110, 62), 34, 1, -1)
    cv2.ellipse(mask, (110, 160), (64, 62), 0, 180, 360, 1, -1)
    cv2.line(mask, (150, 125), (205, 60), 1, 7)
    return mask > 0


def scene() -> tuple[Photo, DepthMap, np.ndarray]:
    """A dark subject before a bright wall, its true depth, its mask."""
    mask = subject()
    grey = np.where(mask, texture(H, W, 1) * 0.5, texture(H, W, 2) * 0.5 + 0.4)
    image = torch.from_numpy(np.repeat(grey[None], 3, 0).astype(np.float32))[None]
    depth = torch.from_numpy(np.where(mask, 1.0, 0.2).astype(np.float32))[None, None]
    return Photo(image), from_numbers(depth, "inverse_depth"), mask


def blurry(depth: DepthMap) -> DepthMap:
    """As networks predict it: soft, and beside the edge."""
    plane = cv2.GaussianBlur(np.roll(depth.inverse_depth[0, 0].numpy(), (1, 2), (0, 1)), (0, 0), 2.0)
    return from_numbers(torch.from_numpy(plane)[None, None], "inverse_depth")


def test_a_matte_stops_the_leak() -> None:
    photo, depth, mask = scene()
    matte = torch.from_numpy(mask.astype(np.float32))[None, None]
    soft = blurry(depth)
    lens = Lens(amount=2.0)

    def leak(map_: DepthMap) -> tuple[float, float]:
        """Leak (the part of the sharp photo that is left in what should be blurred) and error, beside the edge."""
        truth, made = (refocus(photo, d, (110, 60), lens=lens).image[0, 0].numpy() for d in (depth, map_))
        band = (cv2.dilate(mask.astype(np.uint8), np.ones((13, 13), np.uint8)) > 0) & ~mask
        left = photo.image[0, 0].numpy() - truth
        share = ((made - truth) * left)[band].sum() / (left * left)[band].sum()
        near = cv2.dilate(mask.astype(np.uint8), np.ones((13, 13), np.uint8)) > 0
        near &= cv2.erode(mask.astype(np.uint8), np.ones((13, 13), np.uint8)) == 0
        return float(share), float(np.sqrt(((made - truth) ** 2)[near].mean()))

    without, with_matte = leak(soft), leak(matted(soft, matte))
    assert with_matte[0] < 0.35 * without[0], (without, with_matte)
    assert with_matte[1] < 0.5 * without[1], (without, with_matte)


def test_the_edge_of_the_depth_is_that_of_the_matte() -> None:
    _, depth, mask = scene()
    found = matted(blurry(depth), torch.from_numpy(mask.astype(np.float32))[None, None]).inverse_depth[0, 0].numpy()
    error = np.abs(found - depth.inverse_depth[0, 0].numpy())
    before = np.abs(blurry(depth).inverse_depth[0, 0].numpy() - depth.inverse_depth[0, 0].numpy())
    assert error.mean() < 0.35 * before.mean()
    deep = cv2.erode(mask.astype(np.uint8), np.ones((15, 15), np.uint8)) > 0
    assert error[deep].max() < 0.02


def test_mattes_that_tell_nothing() -> None:
    _, depth, _ = scene()
    with pytest.raises(InputError, match="the matte has no edge"):
        matted(depth, torch.ones(1, 1, H, W))
    with pytest.raises(InputError, match="the matte is 30x20 but the photo is 220x160"):
        matted(depth, torch.ones(1, 1, 20, 30))
