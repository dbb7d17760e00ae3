"""Which pictures are taken as panoramas, and what is said of those that only look like one."""

from pathlib import Path

import numpy as np
from PIL import Image

from cyclopean.inference.panorama_detection import is_two_fisheyes, resolve_camera
from cyclopean.io.image import Photo, read_photo
from scenes import stored


def test_an_ordinary_picture_of_two_to_one_is_no_panorama(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:200, 0:400] / 200
    grey = np.stack([0.95 - 0.4 * y] * 3, -1)
    product, vignette, sea, table = grey.copy(), grey.copy(), grey.copy(), grey.copy()
    product[60:170, 120:290] = rng.random((110, 170, 3))
    vignette -= 0.1 * ((x - 1) ** 2)[..., None]
    vignette[60:170, 120:290] = rng.random((110, 170, 3))
    sea[100:] = (0.1, 0.3, 0.4)
    table[140:] = (0.5, 0.35, 0.2)
    table[60:170, 120:290] = rng.random((110, 170, 3))
    waves = sea + 0.1 * np.sin(90 * x + 40 * y)[..., None] * (y > 0.5)[..., None]
    tiles = np.stack([0.5 + 0.4 * np.sin(x * np.pi * k) * np.sin(y * np.pi * 6) for k in (4, 6, 8)], -1)
    for name, values in {
        "product": product,
        "vignette": vignette,
        "sea": sea,
        "table": table,
        "waves": waves,
        "tiles": tiles,
    }.items():
        noisy = np.clip(values + rng.normal(0, 0.01, values.shape), 0, 1)
        Image.fromarray(stored(noisy, 8)).save(tmp_path / "a.png")
        photo, why = resolve_camera(read_photo(tmp_path / "a.png"))
        assert (photo.camera, why) == (None, None), name


def test_margins_that_are_alike_are_no_seam(tmp_path: Path) -> None:
    """Pages, slides and framed photographs have one margin left and right, with a bar, a caption or a gradient."""
    rng = np.random.default_rng(0)
    pages = {}
    for name, bar in (("bar below", slice(950, 1000)), ("bar above", slice(0, 60))):
        page = np.full((1000, 2000, 3), 250, np.uint8)
        page[bar] = (10, 20, 60)
        for top in range(120, 880, 36):
            words = np.repeat(rng.random(94) < 0.6, 20)
            page[top : top + 14, 60:1940][:, words] = 30
        pages[name] = page
    graded = np.full((1000, 2000, 3), 20, np.uint8) + (np.linspace(0, 15, 1000) ** 2).astype(np.uint8)[:, None, None]
    graded[150:850, 100:1900] = rng.integers(0, 255, (7, 18, 3)).repeat(100, 0).repeat(100, 1)
    graded[150:850, 100:1900:9] = 0
    grid = np.full((1000, 2000, 3), 250, np.uint8)
    grid[:100] = (0, 121, 107)
    for left in range(11, 1900, 283):
        grid[120:980, left : left + 275] = rng.integers(0, 255, (43, 11, 3)).repeat(20, 0).repeat(25, 1)
    pages |= {"graded": graded, "narrow margins": grid}
    for name, page in pages.items():
        for suffix in ("png", "jpg"):
            path = tmp_path / f"a.{suffix}"
            Image.fromarray(page).save(path, **({"quality": 75} if suffix == "jpg" else {}))
            photo, why = resolve_camera(read_photo(path))
            assert (photo.camera, why) == (None, None), (name, suffix)


def test_a_guess_is_not_written_and_a_word_is(tmp_path: Path) -> None:
    from cyclopean.synthetic import rigs

    room = Photo(rigs.sample("room", 0, (64, 128), "sphere").target.image)
    for camera, said in (("auto", False), ("equirectangular", True)):
        photo, why = resolve_camera(room, camera)
        assert why is not None
        for suffix in (".jpg", ".png", ".tif", ".webp"):
            photo.save(tmp_path / f"a{suffix}")
            assert (read_photo(tmp_path / f"a{suffix}").gpano is not None) is said


def test_two_fisheyes_are_said(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:100, 0:200]
    radius = np.hypot(x % 100 - 49.5, y - 49.5) / 50
    circles = np.where((radius < 0.97)[..., None], 0.2 + 0.6 * rng.random((100, 200, 3)), 0.01)
    Image.fromarray(stored(circles, 8)).save(tmp_path / "a.png")
    photo, why = resolve_camera(read_photo(tmp_path / "a.png"))
    assert (photo.camera, why) == (None, None)
    assert "two fisheye circles" in photo.notes[0]
    image = photo.image
    assert is_two_fisheyes(image.transpose(-1, -2))
    assert not is_two_fisheyes(image[..., :100])
    assert not is_two_fisheyes(image * 0)
    assert not is_two_fisheyes(image + 0.3)
