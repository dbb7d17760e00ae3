"""The second eye's view: where pixels land, what is in front, what is filled in, and how like a true view it is."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from benchmarks import second_eye

import cyclopean
from cyclopean.defocus.focus import Focusable
from cyclopean.defocus.lens import Lens
from cyclopean.defocus.thinlens import LayeredPhoto
from cyclopean.errors import InputError
from cyclopean.geometry import Pinhole
from cyclopean.io.depthmap import from_numbers
from cyclopean.io.image import Photo
from cyclopean.stereoscopy.layouts import ARRANGED, LEFT, RIGHT, anaglyph
from cyclopean.stereoscopy.pair import Pair, Parallax, pair, within
from cyclopean.stereoscopy.views import last_piece, view

H, W = 48, 96


def waves(h: int = H, w: int = W) -> np.ndarray:
    """A smooth picture whose colours tell every column apart."""
    u, v = np.meshgrid(np.linspace(0, 1, w), np.linspace(0, 1, h))
    return np.stack([u, 0.5 + 0.4 * np.sin(9 * u), v], -1).astype(np.float32)


def seen(picture: np.ndarray, shift: np.ndarray, eye: str = "left") -> Pair[Photo]:
    """Both views of a picture whose pixels the eyes see `shift` columns apart."""
    image = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))[None]
    eyes = Parallax(1 / picture.shape[1], 0.0, float(shift.min()), float(shift.max()))
    return pair(Focusable(Photo(image), shift.astype(np.float32), Lens()), eyes, eye)


def array(photo: Photo) -> np.ndarray:
    return photo.image[0].permute(1, 2, 0).numpy()


def test_the_last_piece_over_a_place_is_the_nearest():
    """Beside a plain loop: of all pieces of a row over a column, the one that comes from farthest right."""
    rng = np.random.default_rng(0)
    place = np.arange(60, dtype=np.float32) - rng.integers(-4, 9, (20, 60)).repeat(1, 1).astype(np.float32) * 0.73
    place[:, 0], place[:, -1] = -20, 90
    found = last_piece(place, 50)
    for row, line in enumerate(place):
        for column in range(50):
            covering = [i for i in range(59) if line[i] <= column < line[i + 1]]
            assert found[row, column] == max(covering)


def test_a_flat_picture_moves_as_a_whole_and_the_photo_stays():
    """Near moves left for the right eye, right for the left one; halves of it where the photo is in the middle."""
    picture, six = waves(), np.full((H, W), 6.0)
    for eye, left, right in (("left", 0, 6), ("right", -6, 0), ("both", -3, 3)):
        both = seen(picture, six, eye)
        for photo, moved in ((both.left, left), (both.right, right)):
            inside = slice(8, W - 8)
            expected = np.roll(picture, -moved, 1)[:, inside]
            assert np.abs(array(photo)[:, inside] - expected).max() < 2e-3, (eye, moved)
    assert torch.equal(seen(picture, six).left.image, torch.from_numpy(picture.transpose(2, 0, 1).copy())[None])
    assert np.abs(array(seen(picture, np.zeros((H, W))).right) - picture).max() < 1e-4
    half = array(seen(picture, np.full((H, W), 2.5)).right)[:, 8:-8]  # between pixels
    assert np.abs(half - (np.roll(picture, -2, 1) + np.roll(picture, -3, 1))[:, 8:-8] / 2).max() < 5e-3


def test_gaps_show_the_background_alone_and_nothing_is_torn():
    """A red square before a green wall: it covers what is on its left, and what it uncovers is green all over."""
    picture, shift = np.full((H, W, 3), [0.1, 0.7, 0.2], np.float32), np.zeros((H, W))
    picture[12:36, 30:60], shift[12:36, 30:60] = [0.9, 0.1, 0.1], 9
    for eye, name, start in (("left", "right", 21), ("right", "left", 39)):
        shown = array(getattr(seen(picture, shift, eye), name))
        truth = np.zeros_like(shown) + np.float32([0.1, 0.7, 0.2])
        truth[12:36, start : start + 30] = [0.9, 0.1, 0.1]
        assert np.abs(shown - truth).max() < 0.02, eye
    slope = seen(waves(), np.linspace(0, 20, W)[None].repeat(H, 0))  # stretched by less than a pixel each: no gaps
    assert np.diff(array(slope.right)[:, : W - 24, 0], axis=1).min() > 0


def test_a_near_surface_is_not_stretched_over_a_gap():
    """A scene by hand, without soft edges: red on columns 30 to 59, behind it the green of column 60."""
    near = np.zeros((8, W), bool)
    near[:, 30:60] = True
    behind = np.where(near, np.arange(8)[:, None] * W + 60 + 1, 0).astype(np.int32)
    red, green = near.astype(np.float32), 1 - near.astype(np.float32)
    cover, none = np.full((8, W), 255, np.uint8), np.zeros((2, 1, 1), np.float32)
    scene = LayeredPhoto((red, green, np.zeros_like(red)), 9 * red, cover, behind, none)
    row = view(scene, lambda plane: plane)[4]
    assert row[52:60, 1].min() > 0.99
    assert row[52:60, 0].max() < 0.01
    assert row[22:50, 0].min() > 0.99


def test_mixed_pixels_at_edges_leave_no_halo():
    """Pixels half red, half white at the square's edge: before a darker wall, none of them stays behind, pale."""
    picture, shift = np.full((H, W, 3), 0.2, np.float32), np.zeros((H, W))
    picture[:, 40:70] = 1.0
    picture[:, [40, 69]] = ((1.0**2.2 + 0.2**2.2) / 2) ** (1 / 2.2)
    shift[:, 40:70] = 8
    shown = array(seen(picture, shift).right)
    assert np.abs(shown[4:-4, 63:72] - 0.2).max() < 0.02
    assert np.abs(shown[4:-4, 22:31] - 0.2).max() < 0.02
    assert np.abs(shown[4:-4, 34:60] - 1.0).max() < 0.02


def test_what_parallax_and_screen_mean():
    eyes = within(2.0, 0.25, far=0.2, near=1.0)
    near, screen, far, beyond = eyes.columns(np.float32([[1.0, 0.8, 0.2, 0.0]]), 500)[0]
    assert near - far == pytest.approx(10)  # 2 % of 500
    assert (near, screen, far) == pytest.approx((2.5, 0, -7.5), abs=1e-5)
    assert beyond == far
    assert within(2.0, 0.5, 1.0, 1.0).strength == 0  # a flat picture
    rho = torch.linspace(0.1, 1, W).expand(1, 1, H, W)
    photo = Photo(torch.from_numpy(waves().transpose(2, 0, 1).copy())[None])
    depth, metres = from_numbers(rho, "inverse_depth"), from_numbers(rho, "inverse_depth", unit="m")
    for words in (
        {"parallax": 0.0}, {"parallax": float("nan")}, {"converge": 1.5}, {"eye": "middle"}, {"baseline": 0.064},
        {"at": (200, 3)}, {"baseline": -1.0},
    ):  # fmt: skip
        with pytest.raises(InputError):
            cyclopean.stereo(photo, depth, **words)
    with pytest.raises(InputError, match="known focal length"):
        cyclopean.stereo(photo, metres, baseline=0.064)
    seen_by = replace(photo, camera=Pinhole(torch.tensor([[1.25, 2.5]]), torch.tensor([[0.5, 0.5]])))
    wide = cyclopean.stereo(seen_by, metres, baseline=0.05, converge=1.0)  # 1.25 * 0.05 * 96 columns of 1/m, 0 at far
    assert array(wide.right)[10, 50, 0] == pytest.approx(array(wide.left)[10, 50, 0] + 6 * 0.51 / W, abs=0.01)
    pinned = cyclopean.stereo(photo, depth, at=(0.5, 0.5), parallax=5.0)
    assert np.abs(array(pinned.right) - array(pinned.left))[:, W // 2].max() < 0.01


def test_layouts():
    left, right = (torch.rand(1, 3, 20, 32, generator=torch.Generator().manual_seed(k)) for k in (0, 1))
    assert torch.equal(ARRANGED["sbs"](left, right), torch.cat([left, right], 3))
    half = ARRANGED["half-sbs"](left, right)
    assert half.shape == left.shape
    assert torch.allclose(half[..., 3], left[..., 6:8].mean(-1), atol=1e-6)
    assert torch.allclose(half[..., 16], right[..., :2].mean(-1), atol=1e-6)
    # Grey stays grey: rows of both matrices together sum to 1 (Dubois), within what rounding left.
    assert np.abs((LEFT + RIGHT).sum(1) - 1).max() < 0.003
    for value in (0.1, 0.5, 0.9, 1.0):
        grey = torch.full((1, 3, 4, 4), value)
        assert (anaglyph(grey, grey) - value).abs().max() < 0.005
    only_left = anaglyph(torch.ones(1, 3, 4, 4), torch.zeros(1, 3, 4, 4))[0, :, 0, 0]
    assert only_left[0] > 0.9
    assert only_left[1:].max() < 0.01  # through red glass alone


def test_like_the_true_view_more_than_a_plain_warp():
    """Without learning: of rendered pairs with true depth, and of the photographed one."""
    for one in (second_eye.rendered("table", 70_002, (96, 160), 1), second_eye.motorcycle()):
        flat, plain, ours = (
            second_eye.score(make(one), one) for make in (second_eye.as_it_is, second_eye.plain_warp, second_eye.ours)
        )
        assert ours.psnr > plain.psnr + 0.3, one.name
        assert ours.ssim > plain.ssim, one.name
        assert ours.hidden_psnr > plain.hidden_psnr + 0.5, one.name
        assert ours.psnr > flat.psnr + 5, one.name
