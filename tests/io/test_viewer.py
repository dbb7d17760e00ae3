"""The viewer's file in a real browser: what is seen where, what moves, and that it asks for nothing else."""

import io
import json
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from cyclopean.errors import InputError
from cyclopean.geometry import Equirectangular, Pinhole, pixel_grid
from cyclopean.io.depthmap import from_numbers
from cyclopean.io.viewer import write_viewer

WINDOW = (480, 320)
FIELD = 80.0  # degrees along the window's longer side, at first
COLOURS = {
    "right": (0, 200, 0), "left": (200, 200, 0), "down": (0, 200, 200),
    "up": (200, 0, 200), "front": (200, 0, 0), "back": (0, 0, 200),
}  # fmt: skip
UNPAINTED = (18, 18, 18)


def room(size: tuple[int, int] = (90, 180)) -> tuple[torch.Tensor, torch.Tensor]:
    """A cube of 4 m around, each side in its own colour, with a white post 1 m ahead; radius and colours."""
    rays = Equirectangular().rays(pixel_grid(size, torch.zeros(1)))[0]
    longest, axis = rays.abs().max(-1)
    side = 2 * axis + (rays.gather(-1, axis[..., None])[..., 0] < 0)
    image = torch.tensor(list(COLOURS.values()))[side] / 255
    radius = 2 / longest
    post = (torch.atan2(rays[..., 0], rays[..., 2]).abs() < 0.06) & (rays[..., 1].abs() < 0.4)
    radius[post], image[post] = 1.0, 1.0
    return radius[None, None], image.permute(2, 0, 1)[None]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The viewer of a panorama, and one of a photo, whose left half is 1 m and whose right half 4 m away."""
    folder = tmp_path_factory.mktemp("viewers")
    radius, image = room()
    write_viewer(folder / "pano.html", from_numbers(radius, "depth", "m"), image, Equirectangular(), "<a & b>")
    depth, halves = torch.ones(1, 1, 64, 96), torch.full((1, 3, 64, 96), 0.8)
    depth[..., 48:], halves[:, 1:, :, :48] = 4.0, 0
    camera = Pinhole(torch.tensor([[1.0, 1.5]]), torch.tensor([[0.5, 0.5]]))
    write_viewer(folder / "photo.html", from_numbers(depth, "depth", "m"), halves, camera, "photo")
    return {"panorama": folder / "pano.html", "photo": folder / "photo.html"}


def test_no_content_is_taken_for_a_mark_and_all_numbers_are_finite(tmp_path: Path) -> None:
    """Of a title that is a mark, one that is not text, and of depths at the ends of float32."""
    camera = Pinhole(torch.tensor([[1.0, 1.5]]), torch.tensor([[0.5, 0.5]]))
    image = torch.rand(1, 3, 2, 4)
    for title, seen in (
        ("{{scene}}.jpg", "{{scene}}.jpg"),
        ("{{texture}}", "{{texture}}"),
        ("a\udcff.jpg", r"a\udcff.jpg"),
    ):
        values = torch.tensor([1e-45, 1e-45, 1e-45, 1e38, 3e38, 1.0, 1e-38, torch.nan]).reshape(1, 1, 2, 4)
        for each in (values, values.flip(-1), values.nan_to_num(1e-45)):
            write_viewer(tmp_path / "a.html", from_numbers(each, "disparity"), image, camera, title)
            page = (tmp_path / "a.html").read_text(encoding="utf-8")
            assert f"<title>{seen}</title>" in page
            scene = re.search(r'<script id="scene" type="application/json">(.*?)</script>', page)
            assert scene is not None
            numbers = json.loads(scene[1], parse_constant=lambda word: pytest.fail(f"{word} in the scene"))
            assert np.isfinite([numbers["scale"], numbers["near"]]).all()


Open = Callable[[str], Any]


@pytest.fixture
def opened(browser: Any, files: dict[str, Path]) -> Iterator[Open]:
    """`opened("panorama")` is its page, which must make no error and ask for no other file."""
    asked, wrong, pages = [], [], []

    def start(name: str) -> Any:
        page = browser.new_page(viewport={"width": WINDOW[0], "height": WINDOW[1]})
        pages.append(page)
        page.set_default_timeout(60_000)
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(files[name].as_uri())
        page.wait_for_function("window.cyclopean.frames > 0 || document.getElementById('trouble').textContent")
        if "WebGL" in page.inner_text("#trouble"):
            pytest.skip("this browser draws no WebGL 2")
        return page

    yield start
    for page in pages:
        page.close()
    assert not wrong
    assert not [url for url in asked if not url.startswith(("data:", *(path.as_uri() for path in files.values())))]


def sight(page: Any, **state: float) -> np.ndarray:
    """What is seen with this state, without the buttons."""
    before = page.evaluate(
        "state => { Object.assign(cyclopean, state); const n = cyclopean.frames; changed(); return n; }", state
    )
    page.wait_for_function(f"window.cyclopean.frames > {before}")
    shot = page.locator("#sight").screenshot(style="#bar { visibility: hidden }")
    return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB"), int)


def is_near(pixel: np.ndarray, colour: tuple[int, ...]) -> bool:
    return bool(np.abs(pixel - np.array(colour)).max() < 40)


def test_every_side_is_where_it_belongs_and_there_are_no_holes(opened: Open) -> None:
    page = opened("panorama")
    assert page.title() == "<a & b>"
    turns = {"right": (90, 0), "back": (180, 0), "left": (-90, 0), "up": (0, 90), "down": (0, -90)}
    for name, (yaw, pitch) in turns.items():
        seen = sight(page, yaw=math.radians(yaw), pitch=math.radians(pitch))
        assert is_near(seen[160, 240], COLOURS[name]), name
        assert not (seen == UNPAINTED).all(-1).any(), name
    corner = sight(page, yaw=math.radians(45), pitch=0)  # front to the left of the picture's middle, right to its right
    assert is_near(corner[160, 200], COLOURS["front"])
    assert is_near(corner[160, 280], COLOURS["right"])
    above = sight(page, yaw=0, pitch=math.radians(30))
    assert is_near(above[10, 240], COLOURS["up"])
    assert is_near(above[310, 100], COLOURS["front"])


def post(seen: np.ndarray) -> float:
    """The column of the middle of what is white, halfway up."""
    return float(np.nonzero((seen[160] > 200).all(-1))[0].mean())


def test_what_is_near_moves_as_it_should(opened: Open) -> None:
    """A post 1 m ahead, moved past by x metres: at x / (median depth) of the viewer's lengths."""
    page = opened("panorama")
    median = float(1 / (1 / room()[0]).median())
    per_tangent = WINDOW[0] / 2 / math.tan(math.radians(FIELD / 2))
    assert post(sight(page, yaw=0, pitch=0)) == pytest.approx(239.5, abs=1.5)
    for x in (0.1, -0.2):
        seen = sight(page, x=x / median)
        # its edges are stretched a little over the wall behind
        assert post(seen) - 239.5 == pytest.approx(-per_tangent * x, rel=0.15)
        assert not (seen == UNPAINTED).all(-1).any()
    ahead = sight(page, x=0, z=0.3 / median)
    assert (ahead[160] > 200).all(-1).sum() > 1.25 * (sight(page, z=0)[160] > 200).all(-1).sum()
    lower = sight(page, y=0.2 / median)  # y is down: the post's top rises in the picture
    assert (
        np.nonzero((lower[:, 240] > 200).all(-1))[0].min()
        < np.nonzero((sight(page, y=0)[:, 240] > 200).all(-1))[0].min()
    )


def test_hands_turn_it(opened: Open) -> None:
    page = opened("panorama")
    page.mouse.move(300, 160)
    page.mouse.down()
    page.mouse.move(240, 160, steps=3)
    page.mouse.up()
    # 60 of 480 pixels to the left: an eighth of the field to the right
    assert page.evaluate("cyclopean.yaw") == pytest.approx(math.radians(FIELD / 8), rel=1e-3)
    page.keyboard.press("d")
    assert page.evaluate("cyclopean.x") > 0
    for _ in range(40):
        page.keyboard.press("w")
    moved = page.evaluate("[Math.hypot(cyclopean.x, cyclopean.y, cyclopean.z), reach]")
    assert moved[0] <= moved[1] * 1.0001  # no farther than pictures stay whole
    page.mouse.wheel(0, -200)
    page.wait_for_function(f"cyclopean.field < {FIELD}")
    page.click("#depth")
    assert page.get_attribute("#depth", "aria-pressed") == "true"
    page.click("#reset")
    assert page.evaluate("[cyclopean.yaw, cyclopean.x, cyclopean.field]") == [0, 0, FIELD]
    seen = sight(page)  # depth still in colours: the post is the nearest
    assert seen[160, 240, 0] > seen[160, 60, 0]


def test_a_photo_is_whole_and_its_near_half_moves_more(opened: Open) -> None:
    page = opened("photo")
    straight = sight(page)
    assert (straight == UNPAINTED).all(-1).mean() < 0.03  # 96x64 fits into 480x320, but for half pixels at the border
    edge = np.nonzero(straight[160, :, 1] > 100)[0].min()
    assert edge == pytest.approx(240, abs=5)
    moved = sight(page, x=0.1)
    assert np.nonzero(moved[160, :, 1] > 100)[0].min() < edge - 5
    assert is_near(moved[160, 240], (204, 204, 204))


def test_nothing_known_is_nothing_to_look_at(tmp_path: Path) -> None:
    unknown = from_numbers(torch.full((1, 1, 8, 16), torch.nan), "depth", "m")
    with pytest.raises(InputError, match="nothing to look around in"):
        write_viewer(tmp_path / "a.html", unknown, torch.rand(1, 3, 8, 16), Equirectangular(), "a")
    assert not list(tmp_path.iterdir())
