"""Steps of depth inside a thing of one colour, which the photo does not show, leave no mark in the refocused photo."""

import cv2
import numpy as np
import torch

from cyclopean.defocus.edges import without_false_steps
from cyclopean.defocus.focus import Focusable
from cyclopean.defocus.lens import Lens
from cyclopean.defocus.subject import coherent
from cyclopean.io.depthmap import from_numbers
from cyclopean.io.image import Photo
from filmed import texture

H, W = 160, 220
NEAR, MIDDLE, FAR = 1.0, 0.6, 0.2
BOARD = (slice(30, 130), slice(50, 170))
WHOLE, RIM = 17, 7  # pixels of a window: what is so far inside the board is looked at


def scene() -> tuple[Photo, np.ndarray, dict[str, np.ndarray]]:
    """A grey board, with the noise of a sensor, before a bright wall; where the board is; right and wrong depths."""
    mask = np.zeros((H, W), bool)
    mask[BOARD] = True
    noise = np.random.default_rng(0).normal(0, 0.008, (H, W, 3))
    wall = texture(H, W, 2)[..., None] * 0.3 + 0.6
    image = np.where(mask[..., None], 0.3 + noise, wall).clip(0, 1).astype(np.float32)
    true = np.where(mask, NEAR, FAR).astype(np.float32)
    halves, specks, crack, stripe = (true.copy() for _ in range(4))
    halves[:, 110:][mask[:, 110:]] = MIDDLE
    for y, x in ((60, 90), (80, 120), (100, 140), (90, 70)):  # bright marks that a network reads as far
        cv2.circle(specks, (x, y), 5, FAR, -1)
    crack[45:115, 55:57] = FAR  # so near to the outline that the wall's blur reaches it
    stripe[30:130, 90:130] = MIDDLE
    depths = {"true": true, "halves": halves, "specks": specks, "crack": crack, "stripe": stripe}
    return Photo(torch.from_numpy(image).permute(2, 0, 1)[None].contiguous()), mask, depths


def marks(depth: np.ndarray, focus: float, window: int, amount: float = 2.0) -> int:
    """Pixels of the board whose colour changes by more than the noise does, or is not the board's."""
    photo, mask, _ = scene()
    made = Focusable(photo, depth, Lens(amount=amount)).focused(focus).image[0].permute(1, 2, 0).numpy()
    inside = cv2.erode(mask.astype(np.uint8), np.ones((window, window), np.uint8)) > 0
    around = np.ones((3, 3), np.uint8)
    change = (cv2.dilate(made, around) - cv2.erode(made, around)).max(-1)
    return int((inside & ((change > 0.1) | (np.abs(made - 0.3).max(-1) > 0.06))).sum())


def test_false_steps_inside_a_thing_leave_no_mark() -> None:
    photo, _, depths = scene()
    guide = np.ascontiguousarray(photo.image[0].permute(1, 2, 0).numpy())
    assert marks(depths["crack"], NEAR, RIM) > 100  # what is mended
    for name, depth in depths.items():
        mended = without_false_steps(depth, guide)
        for focus in (NEAR, MIDDLE, FAR):
            assert marks(mended, focus, WHOLE) == 0, (name, focus)
    assert marks(without_false_steps(depths["crack"], guide), NEAR, RIM) == 0
    assert without_false_steps(depths["crack"], guide)[50:110, 55:57].min() > 0.9 * NEAR  # closed, not smeared
    assert np.array_equal(without_false_steps(depths["true"], guide), depths["true"])  # the photo shows that step


def test_a_subject_has_no_steps_at_all() -> None:
    _, mask, depths = scene()
    matte = torch.from_numpy(mask.astype(np.float32))[None, None]
    for name, depth in depths.items():
        whole, sharp = coherent(from_numbers(torch.from_numpy(depth)[None, None], "inverse_depth"), matte)
        plane = whole.inverse_depth[0, 0].numpy()
        assert marks(plane, sharp.middle, RIM, amount=4.0) == 0, name
        assert (plane[mask] >= sharp.far - 1e-6).all(), name
        assert (plane[mask] <= sharp.near + 1e-6).all(), name
        inside = plane[BOARD]
        assert max(np.abs(np.diff(inside, axis=k)).max() for k in (0, 1)) < 0.06, name
        away = cv2.dilate(mask.astype(np.uint8), np.ones((31, 31), np.uint8)) == 0
        assert np.array_equal(plane[away], depth[away]), name
