"""The live picture in a real browser: it agrees with the final one, counts its fetches; its page asks for nothing."""

import base64
import html
import io
import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from cyclopean.defocus.focus import Focusable
from cyclopean.defocus.lens import Lens, Optics, Shape, depth_range
from cyclopean.defocus.live import MODULE, depth_png, write_page
from cyclopean.geometry import Equirectangular
from cyclopean.io.depthmap import from_numbers
from cyclopean.io.image import Photo, jpeg, resize, size_within

MOST_FETCHES = 64
TRIANGLE = {"kind": "polygon", "blades": 3, "rotation": 20}
Pixels = np.ndarray


def drawing(size: tuple[int, int] = (96, 144), seed: int = 3) -> tuple[Pixels, np.ndarray]:
    """A textured wall far away, a floor that recedes, a striped near board; uint8 `h w 3` and inverse depth `h w`."""
    h, w = size
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:h, :w] / np.array([h, w]).reshape(2, 1, 1)
    rho = np.where(y > 0.6, 0.2 + (y - 0.6) * 1.5, 0.2)
    coarse = torch.from_numpy(rng.random((1, 3, h // 4, w // 4))).float()
    wall = resize(coarse, size)[0].permute(1, 2, 0).numpy()
    picture = 0.15 + 0.7 * wall
    board = (x > 0.3) & (x < 0.6) & (y > 0.2) & (y < 0.9)
    rho[board] = 1.0
    picture[board] = np.where((np.floor(x * 24) % 2 == 0)[..., None], (0.9, 0.3, 0.1), (0.1, 0.2, 0.5))[board]
    return (picture * 255).round().astype(np.uint8), rho.astype(np.float32)


def final(image: Pixels, rho: np.ndarray, focus: float, lens: Lens, unit: float | None = None) -> np.ndarray:
    """Our own renderer's picture, `h w 3` in [0,1]."""
    photo = Photo(torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255)
    return Focusable(photo, rho, lens, unit).focused(focus).image[0].permute(1, 2, 0).numpy()


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(-10 * np.log10(max(np.mean((a - b) ** 2), 1e-12)))


def png(image: Pixels) -> str:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


class Live:
    """The module on a page of its own."""

    def __init__(self, page: Any) -> None:
        self.page = page
        page.goto("about:blank")
        page.evaluate(
            "async script => { window.cyclopean = await import('data:text/javascript;base64,' + script); }",
            base64.b64encode(MODULE.read_bytes()).decode(),
        )
        if not page.evaluate("Boolean(document.createElement('canvas').getContext('webgl2'))"):
            pytest.skip("this browser draws no WebGL 2")

    def open(self, image: Pixels, rho: np.ndarray, size: tuple[int, int] | None = None, **meta: object) -> None:
        """Show a picture at its own size, with depth at `size`; `meta` as the module takes it."""
        file, self.low, self.high = depth_png(rho, size or rho.shape)
        meta = {"whole": depth_range(rho) / (self.high - self.low), **meta}
        self.page.evaluate(
            """async ([photo, depth, meta]) => {
              const bytes = Uint8Array.from(atob(depth), letter => letter.charCodeAt(0)), image = new Image();
              image.src = "data:image/png;base64," + photo;
              await image.decode();
              window.live?.destroy();
              window.canvas = document.createElement("canvas");
              [canvas.width, canvas.height] = [image.width, image.height];
              window.numbers = await cyclopean.decodeDepth(bytes);
              window.live = cyclopean.createLive(canvas, { photo: image, depth: numbers, meta });
            }""",
            [png(image), base64.b64encode(file).decode(), meta],
        )  # fmt: skip

    def rendered(self, focus: float, **options: object) -> np.ndarray:
        """What it draws, sharp at the inverse depth `focus`: `h w 3` in [0,1]."""
        options = {"focus": (focus - self.low) / (self.high - self.low), **options}
        url = self.page.evaluate("options => { live.render(options); return canvas.toDataURL(); }", options)
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))).convert("RGB")) / 255


@pytest.fixture
def live(browser: Any) -> Iterator[Live]:
    page = browser.new_page()
    wrong: list[str] = []
    page.set_default_timeout(200_000)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    yield Live(page)
    page.close()
    assert not wrong


def test_it_agrees_with_the_final_picture(live: Live) -> None:
    """On a drawn scene: focus near, far and between; ranges, factors, highlights, every outline, and a real lens."""
    image, rho = drawing()
    live.open(image, rho, metres={"low": 0.2, "high": 1.0})
    wrong = {}
    for focus, lens, options, least in (
        (0.2, Lens(6.0), {"amount": 6}, 32),
        (1.0, Lens(6.0), {"amount": 6}, 33),
        (0.5, Lens(5.0, range=0.5), {"amount": 5, "range": 0.5}, 33),
        (0.5, Lens(6.0, before=0.0, behind=1.5), {"amount": 6, "before": 0, "behind": 1.5}, 33),
        (1.0, Lens(5.0, highlights=2.0), {"amount": 5, "highlights": 2}, 30),
        (1.0, Lens(5.0, shape=Shape("ring")), {"amount": 5, "shape": {"kind": "ring"}}, 32),
        (1.0, Lens(7.0, shape=Shape("polygon", 3, 20.0)), {"amount": 7, "shape": TRIANGLE}, 32),
        (0.2, Lens(7.0, shape=Shape("polygon", 3, 20.0)), {"amount": 7, "shape": TRIANGLE}, 30),
        (1.0, Lens(5.0, shape=Shape("cateye")), {"amount": 5, "shape": {"kind": "cateye"}}, 32),
        (0.8, Lens(optics=Optics(1.0, 85.0)), {"optics": {"fNumber": 1, "focalMm": 85}}, 33),
    ):  # fmt: skip
        found = psnr(live.rendered(focus, **options), final(image, rho, focus, lens, 1.0))
        if found < least:
            wrong[str(options), focus] = found
    assert not wrong
    assert psnr(live.rendered(0.2, amount=0), image / 255) > 45  # the photo itself
    # a sharp subject does not bleed into its surroundings: beside it nothing of its orange is seen
    beside = live.rendered(1.0, amount=6)[30:70, 88:92]
    assert float(np.abs(beside - final(image, rho, 1.0, Lens(6.0))[30:70, 88:92]).mean()) < 0.03
    # the part of the picture on the canvas is that part of the whole
    part = live.rendered(1.0, amount=3, view=[0.25, 0.25, 0.5, 0.5])
    whole = live.rendered(1.0, amount=3, view=[0, 0, 1, 1])[24:72, 36:108]
    enlarged = resize(torch.from_numpy(whole).permute(2, 0, 1)[None], (96, 144))[0].permute(1, 2, 0).numpy()
    assert psnr(part, enlarged) > 27


def test_a_light_far_away_has_the_outline_of_the_blades(live: Live) -> None:
    """A triangle, turned as the final picture's is: not the other way, and not upside down."""
    image, rho = np.full((120, 160, 3), 10, np.uint8), np.full((120, 160), 0.2, np.float32)
    image[54:61, 72:79], rho[100:, :60] = 255, 1.0
    live.open(image, rho)
    for turn in (15, -15):
        shape = {"kind": "polygon", "blades": 3, "rotation": turn}
        found = live.rendered(1.0, amount=7, shape=shape)[:96]
        ways = {way: Lens(7.0, shape=Shape("polygon", 3, float(way))) for way in (turn, -turn, turn + 60, 60 - turn)}
        alike = {way: psnr(found, final(image, rho, 1.0, lens, 1.0)[:96]) for way, lens in ways.items()}
        assert alike[turn] > max(value for way, value in alike.items() if way != turn) + 4, alike


def test_depth_is_read_exactly_and_small_depth_follows_the_photo(live: Live) -> None:
    image, rho = drawing()
    rng = np.random.default_rng(0)
    live.open(image, rng.random((37, 53)).astype(np.float32))
    numbers, w, h = live.page.evaluate("[Array.from(numbers.data), numbers.width, numbers.height]")
    file, *_ = depth_png(np.random.default_rng(0).random((37, 53)).astype(np.float32), (37, 53))
    assert (w, h) == (53, 37)
    assert (np.array(numbers).reshape(h, w) == np.asarray(Image.open(io.BytesIO(file)))).all()
    live.open(image, rho)
    inside = (rho > 0.9).astype(np.uint8) * 255
    subject = live.page.evaluate(
        "matte => live.subject({ data: Uint8Array.from(matte), width: 144, height: 96 })", inside.reshape(-1).tolist()
    )
    assert subject["focus"] * (live.high - live.low) + live.low == pytest.approx(1.0, abs=0.05)
    live.open(image, rho, (32, 48))
    assert psnr(live.rendered(1.0, amount=5), final(image, rho, 1.0, Lens(5.0))) > 29
    for (x, y), expected in {(0.45, 0.5): 1.0, (0.1, 0.1): 0.2}.items():
        u, v = live.page.evaluate("([x, y]) => live.placeAt(x, y)", [x, y])
        seen = live.page.evaluate("([u, v]) => live.depthAt(u, v)", [u, v]) * (live.high - live.low) + live.low
        assert seen == pytest.approx(expected, abs=0.01)
    assert live.page.evaluate("live.subject({ data: new Uint8Array(4), width: 2, height: 2 })") is None


def test_a_pixel_takes_at_most_64_fetches(live: Live) -> None:
    """By the text of every shader, whose loops have constant bounds, and by a counter in the shader itself."""
    script = MODULE.read_text()
    samples = re.search(r"const SAMPLES = (\d+);", script)
    assert samples is not None
    shaders = re.findall(r"const [A-Z]+ = (?:\(.*?\) => )?HEAD \+ `(.*?)`;", script, re.DOTALL)
    assert len(shaders) == 4
    for shader in shaders:
        text = shader.replace("${SAMPLES}", samples[1])
        text = re.sub(r"vec4 look\(.*?\n\}", "", text, flags=re.DOTALL)  # counted where it is called
        assert "while" not in text
        count = 0
        for line in (lines := iter(text.split("\n"))):
            loop = re.search(r"for \(int \w = (\d); \w < (\d+); \w\+\+\)(.*)", line)
            times, body = 1, line
            if loop:
                times, body = int(loop[2]) - int(loop[1]), loop[3]
                while body.count("{") > body.count("}"):
                    body += next(lines)
            else:
                assert "for (" not in line
            count += times * len(
                re.findall(r"\b(?:look|texture\w*|texelFetch\w*)\((?!Size)", body.replace("textureSize(", ""))
            )
        assert 0 < count <= MOST_FETCHES
    image, rho = drawing()
    live.open(image, rho)
    counted = [live.rendered(focus, amount=40, counting=True)[..., 0] * 255 for focus in (0.2, 1.0)]
    assert 40 < max(float(each.max()) for each in counted) <= MOST_FETCHES
    assert min(float(each.min()) for each in counted) <= 4  # what is sharp costs little


@pytest.mark.slow
def test_photos_look_as_the_final_picture_does(live: Live) -> None:
    """Five photographs at preview size with their predicted depth: at least 32 dB, and not slow in software."""
    import cyclopean
    from cyclopean.defocus.edges import refined
    from cyclopean.io.image import read_photo

    data = Path(pytest.importorskip("skimage.data").__file__).parent
    predict, worst, frames = cyclopean.load(), {}, []
    for name in ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png"):
        photo = read_photo(data / name)
        photo = replace(photo, image=resize(photo.image, size_within(photo.size, 250_000)))
        rho = refined(predict(photo), photo.image).inverse_depth[0, 0].numpy()
        image = (photo.image[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
        live.open(image, rho)
        for focus, amount in (
            (np.percentile(rho, 95), 1.0),
            (np.percentile(rho, 50), 2.0),
            (np.percentile(rho, 8), 2.0),
        ):
            since = time.perf_counter()
            seen = live.rendered(float(focus), amount=amount)
            frames.append(time.perf_counter() - since)
            worst[name, amount] = psnr(seen, final(image, rho, float(focus), Lens(amount)))
    assert min(worst.values()) >= 32, worst
    assert sorted(frames)[len(frames) // 2] < 20  # 0.2 s on two idle cores; others may use them


Visit = Callable[..., Any]


@pytest.fixture
def visit(browser: Any) -> Iterator[Visit]:
    """`visit(path, width=..., height=...)` is a page in a file, which must make no error and ask for no other file."""
    asked, wrong, contexts = [], [], []

    def start(path: Path, width: int = 480, height: int = 360, **window: object) -> Any:
        context = browser.new_context(viewport={"width": width, "height": height}, reduced_motion="reduce", **window)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(200_000)
        page.on("request", lambda request: asked.append((path.as_uri(), request.url)))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        page.goto(path.as_uri())
        page.locator("canvas.ready, #trouble:not(:empty)").first.wait_for()
        if "WebGL" in page.inner_text("#trouble"):
            pytest.skip("this browser draws no WebGL 2")
        return page

    yield start
    for context in contexts:
        context.close()
    assert not wrong
    assert not [url for own, url in asked if not url.startswith(("data:", own))]


HOSTILE = "<img src=x onerror=alert(1)>\"'`</script></title>{{scene}}&amp;.jpg"


def made(folder: Path, name: str = "photo.jpg", camera: Any = None) -> tuple[Path, int]:
    """A page of the drawn scene, sharp at its wall; and how many bytes its JPEG has."""
    image, rho = drawing((192, 288))
    picture = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    photo = Photo(picture, camera, name=name)
    depth = from_numbers(torch.from_numpy(rho)[None, None], "disparity")
    write_page(folder / "page.html", photo, depth, Lens(5.0), at=(0.1, 0.2))
    return folder / "page.html", len(jpeg(picture, 288))


def pixels(page: Any) -> np.ndarray:
    page.wait_for_timeout(1400)  # until the mark has faded
    n = -1
    while n != (n := page.evaluate("cyclopean.frames")):
        page.wait_for_timeout(700)
    shot = page.locator("canvas").screenshot()
    return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB"), float)


def busy(seen: np.ndarray) -> float:
    """How sharp the stripes of the board are: differences along rows in the picture's middle."""
    h, w = seen.shape[:2]
    return float(np.abs(np.diff(seen[h // 3 : 2 * h // 3, int(0.34 * w) : int(0.56 * w)], axis=1)).mean())


def test_anybody_refocuses_a_page_by_a_click(tmp_path: Path, visit: Visit) -> None:
    """By a click, by keys, by the slider; before and after; at phone width by a tap."""
    path, size = made(tmp_path, HOSTILE)
    text = path.read_text()
    assert path.stat().st_size <= 1.5 * size + 200_000
    assert "<img src=x" not in text
    assert html.escape(HOSTILE) in text
    assert not re.search(r"https?://", text)
    assert "default-src 'none'" in text
    assert "unsafe" not in text
    page = visit(path)
    assert page.title() == HOSTILE
    assert page.get_attribute("#photo", "alt") == HOSTILE
    blurred = busy(pixels(page))
    box = page.locator("canvas").bounding_box()
    page.mouse.click(box["x"] + 0.45 * box["width"], box["y"] + 0.5 * box["height"])
    sharp = busy(pixels(page))
    assert sharp > 1.5 * blurred
    assert page.inner_text("#said") == "Sharp at 45 % from the left, 50 % from the top."
    page.mouse.click(box["x"] + 0.1 * box["width"], box["y"] + 0.2 * box["height"])
    assert busy(pixels(page)) == pytest.approx(blurred, rel=0.1)
    page.keyboard.down(" ")
    assert busy(pixels(page)) == pytest.approx(sharp, rel=0.1)  # the photo as it was
    assert page.get_attribute("#before", "aria-pressed") == "true"
    page.keyboard.up(" ")
    for _ in range(4):
        page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Shift+ArrowDown")
    assert page.evaluate("cyclopean.point.map(part => Math.round(100 * part))") == [50, 30]
    assert busy(pixels(page)) > 1.5 * blurred
    page.fill("#amount", "0")
    assert page.evaluate("cyclopean.amount") == 0
    page.locator("canvas").focus()
    page.keyboard.press("z")
    page.keyboard.press("+")
    assert page.evaluate("cyclopean.amount") > 0
    for name in ("#amount", "#before", "#zoom", "#picture"):
        assert page.locator(name).get_attribute("aria-label") or page.inner_text(name)
    phone = visit(path, 390, 700, has_touch=True, is_mobile=True)
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    box = phone.locator("canvas").bounding_box()
    assert box["width"] == pytest.approx(390, abs=1)
    phone.touchscreen.tap(box["x"] + 0.45 * box["width"], box["y"] + 0.5 * box["height"])
    assert phone.inner_text("#said").startswith("Sharp at 45 %")
    assert all(phone.locator(name).bounding_box()["height"] >= 44 for name in ("#amount", "#before", "#zoom"))


def test_a_panorama_turns_and_is_focused_where_it_is_clicked(tmp_path: Path, visit: Visit) -> None:
    path, _ = made(tmp_path, "sphere.jpg", camera=Equirectangular())
    page = visit(path)
    box = page.locator("canvas").bounding_box()
    page.mouse.move(box["x"] + 300, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + 200, box["y"] + 100, steps=3)
    page.mouse.up()
    assert page.evaluate("cyclopean.yaw") > 0.1
    yaw = page.evaluate("cyclopean.yaw")
    pixels(page)
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    u, v = page.evaluate("cyclopean.point")
    assert u == pytest.approx(0.5 + yaw / 2 / np.pi, abs=0.01)
    assert v == pytest.approx(0.5, abs=0.01)


def test_a_large_depth_stays_within_its_room(tmp_path: Path) -> None:
    """Depth that no file compresses is stored coarser, and a photo that compresses well keeps its bound."""
    rng = np.random.default_rng(1)
    rho = torch.from_numpy(rng.random((1, 1, 700, 900)).astype(np.float32))
    photo = Photo(torch.full((1, 3, 700, 900), 0.5))
    write_page(tmp_path / "a.html", photo, from_numbers(rho, "disparity"), Lens(), at=(0.5, 0.5))
    assert (tmp_path / "a.html").stat().st_size <= 1.5 * len(jpeg(photo.image, 900)) + 200_000
    scene = re.search(r'type="application/json">(.*?)</script>', (tmp_path / "a.html").read_text())
    assert scene is not None
    assert json.loads(scene[1])["size"] == [900, 700]
