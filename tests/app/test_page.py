"""What the page does by itself, in a real browser: keys, zoom, brushes, presets, the live picture, other addresses."""

import base64
import http.client
import io
import itertools
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image
from visiting import Client, Server, Visitor, wait_until

NEAR, FAR = (0.36, 0.60), (0.62, 0.10)  # on the motorcycle, on the shelf behind it
PATH = "/photos/app"


@pytest.fixture
def proxied(server: Server) -> Iterator[Server]:
    """The app behind a proxy, below a path."""

    class Proxy(BaseHTTPRequestHandler):
        def forward(self) -> None:
            if not self.path.startswith(f"{PATH}/"):
                return self.send_error(404)
            length = int(self.headers.get("content-length", 0))
            inside = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=60)
            headers = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
            with closing(inside), suppress(OSError):  # who leaves does not wait for the answer
                inside.request(self.command, self.path.removeprefix(PATH), self.rfile.read(length), headers)
                with inside.getresponse() as answer:
                    content = answer.read()
                    self.send_response(answer.status)
                    for name, value in answer.getheaders():
                        if name.lower() not in ("content-length", "connection", "transfer-encoding"):
                            self.send_header(name, value)
                    if answer.status not in (204, 304):
                        self.send_header("content-length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)

        do_GET = do_POST = forward  # noqa: N815

        def log_message(self, *_: object) -> None: ...

    proxy = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    yield replace(server, url=f"http://127.0.0.1:{proxy.server_address[1]}{PATH}")
    proxy.shutdown()
    proxy.server_close()


def focused(person: Visitor, photo: Path, at: tuple[float, float] = NEAR) -> np.ndarray:
    """The picture after a first click."""
    person.choose(photo)
    person.see("depth")
    person.page.click("#next-focus")
    person.see("photo")
    person.click(at)
    return person.see("result")


def address(person: Visitor) -> str:
    return person.part("under").get_attribute("src")


def changed(person: Visitor, old: str) -> None:
    wait_until(lambda: (now := address(person)) != old and "result" in now)


def test_reloading_and_a_second_tab_need_no_key_and_others_stay_out(visitors: Any, server: Server):
    person, stranger = visitors(), visitors()
    assert server.key not in person.page.url
    for page in (person.page, person.context.new_page()):
        page.goto(server.url)
        page.locator("#stage-photo .limit", has_text="MB").wait_for()
    stranger.context.clear_cookies()
    assert stranger.page.goto(server.url).status == 403
    assert "open the whole address" in stranger.page.inner_text("body")


def test_the_app_works_below_a_path_of_a_proxy(browser: Any, proxied: Server, photo: Path):
    person = Visitor(browser, proxied)
    focused(person, photo)
    person.page.click("#next-save")
    with person.page.expect_download():
        person.page.click("#save-photo")
    elsewhere = [url for url in person.asked if not url.startswith((f"{proxied.url}/", "blob:", "data:"))]
    (cookie,) = person.context.cookies()
    person.close()
    assert elsewhere == []
    assert person.wrong == []
    assert (cookie["path"], cookie["httpOnly"], cookie["sameSite"]) == (PATH, True, "Strict")


def test_zoom_to_the_photos_own_pixels_pan_and_back(visitor: Visitor, photo: Path, tmp_path: Path):
    with Image.open(photo) as small:
        small.transpose(Image.Transpose.ROTATE_270).resize((1600, 1080)).save(tmp_path / "large.jpg")
    focused(visitor, tmp_path / "large.jpg")
    fit = visitor.part("under").bounding_box()
    assert fit["width"] < 1100
    visitor.part("pixels").click()
    box = visitor.part("under").bounding_box()
    assert box["width"] == pytest.approx(1600, abs=1)
    wait_until(lambda: "full-result" in address(visitor))
    assert visitor.fetch(address(visitor)).shape[:2] == (1080, 1600)
    frame = visitor.part("frame").bounding_box()
    x, y = frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] / 2
    visitor.page.mouse.move(x, y)
    visitor.page.mouse.down()
    visitor.page.mouse.move(x - 60, y - 30, steps=3)
    visitor.page.mouse.up()
    moved = visitor.part("under").bounding_box()
    assert (moved["x"] - box["x"], moved["y"] - box["y"]) == pytest.approx((-60, -30), abs=1)
    assert "full-result" in address(visitor), "dragging is no click"
    visitor.page.mouse.click(x, y)
    at = [(place - moved[axis]) / moved[side] for place, axis, side in ((x, "x", "width"), (y, "y", "height"))]
    mark = visitor.part("mark").first.evaluate("(mark) => [mark.style.left, mark.style.top].map(parseFloat)")
    assert mark == pytest.approx([100 * part for part in at], abs=0.2)
    wait_until(lambda: "full-result" in address(visitor))
    visitor.part("frame").focus()
    visitor.page.keyboard.press("Escape")
    assert visitor.part("under").bounding_box() == pytest.approx(fit)
    assert "/result-" in address(visitor)
    visitor.page.keyboard.press("+")
    assert visitor.part("under").bounding_box()["width"] == pytest.approx(1.5 * fit["width"], rel=0.01)


def test_a_brush_mends_and_undo_takes_the_stroke_back(visitor: Visitor, photo: Path):
    before = focused(visitor, photo, FAR)
    old = address(visitor)
    visitor.page.click("[data-brush=add]")
    box = visitor.part("under").bounding_box()
    places = [(box["x"] + part * box["width"], box["y"] + 0.6 * box["height"]) for part in (0.4, 0.45, 0.5)]
    visitor.page.mouse.move(*places[0])
    assert visitor.part("ring").is_visible()
    visitor.page.mouse.down()
    for place in places:
        visitor.page.mouse.move(*place, steps=3)
    assert visitor.part("paint").is_visible()
    visitor.page.mouse.up()
    changed(visitor, old)
    mended = visitor.see("result")
    h, w = mended.shape[:2]
    there, away = np.s_[int(0.58 * h) : int(0.62 * h), int(0.42 * w) : int(0.48 * w)], np.s_[: h // 3, : w // 3]
    assert np.abs(mended[there] - before[there]).mean() > 5 * np.abs(mended[away] - before[away]).mean()
    assert not visitor.part("paint").is_visible()

    visitor.page.keyboard.press("Escape")
    assert visitor.page.locator("[data-brush][aria-pressed=true]").count() == 0
    old = address(visitor)
    visitor.page.keyboard.press("Control+z")
    changed(visitor, old)
    assert np.abs(visitor.see("result") - before).mean() < 0.5

    visitor.page.click("[data-brush=same]")
    visitor.part("frame").focus()
    old = address(visitor)
    visitor.page.keyboard.press("ArrowUp")
    visitor.page.keyboard.press("Enter")
    changed(visitor, old)
    assert not visitor.part("alert").is_visible()


def test_presets_and_a_look_at_what_was_before(visitor: Visitor, photo: Path):
    focused(visitor, photo)
    over, old = visitor.part("over"), address(visitor)
    button = visitor.part("before")
    button.hover()
    visitor.page.mouse.down()
    assert "/photo-" in over.get_attribute("src")
    assert over.is_visible()
    visitor.page.mouse.up()
    assert not over.is_visible()
    visitor.part("frame").focus()
    visitor.page.keyboard.down("b")
    assert over.is_visible()
    visitor.page.keyboard.up("b")
    assert not over.is_visible()
    visitor.page.get_by_role("button", name="Portrait").click()
    changed(visitor, old)
    amount = visitor.page.locator("#amount input[type=number]")
    assert float(amount.input_value()) > 1
    visitor.page.click("#undo")
    wait_until(lambda: amount.input_value() == "1")


UNNAMED = """() => [...document.querySelectorAll('button, input, select, iframe, [tabindex="0"]')].filter((part) =>
  !(part.textContent.trim() || part.getAttribute('aria-label') || part.title || part.labels?.length ||
    part.getAttribute('aria-labelledby') || part.querySelector('img[alt]')) && part.type !== 'file')
  .map((part) => part.outerHTML)"""
TWICE = """() => { const ids = [...document.querySelectorAll('[id]')].map((part) => part.id)
  return ids.filter((id, number) => ids.indexOf(id) !== number) }"""


def test_everything_has_a_name_and_dark_rooms_get_a_dark_page(visitors: Any, photo: Path):
    person = visitors(color_scheme="dark")
    person.choose(photo)
    person.see("depth")
    assert person.page.evaluate(UNNAMED) == []
    assert person.page.evaluate(TWICE) == []
    assert person.page.locator("[role=status], [role=alert], [aria-live]").count() >= 4
    red = "() => parseInt(getComputedStyle(document.body).backgroundColor.match(/[0-9]+/)[0])"
    assert person.page.evaluate(red) < 60
    person.page.get_by_role("tab", name="Photo").focus()
    person.page.keyboard.press("ArrowRight")
    assert person.page.locator("#work-video").is_visible()
    assert not person.page.locator("#work-photo").is_visible()


def canvas_of(person: Visitor) -> np.ndarray:
    """What the graphics card has drawn."""
    url = person.part("live").evaluate("(canvas) => canvas.toDataURL('image/png')")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))).convert("RGB"), float)


def test_the_live_picture_follows_without_requests_and_is_the_servers(
    visitors: Any, client: Client, photo: Path, tmp_path: Path
):
    with Image.open(photo) as small:
        small.transpose(Image.Transpose.ROTATE_270).resize((400, 270)).save(tmp_path / "small.png")
    person = visitors(preview="live")
    person.choose(tmp_path / "small.png")
    person.see("depth")
    person.page.click("#next-focus")
    person.page.wait_for_function("() => document.querySelector('#stage-photo .live').width > 300")
    asked = len(person.asked)
    box = person.part("under").bounding_box()
    steps = itertools.count()

    def moved_until_seen() -> (
        bool
    ):  # a hand is never quite still, and a result that arrives late takes the live one away
        person.page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.7 * box["height"] + next(steps) % 3)
        return person.part("live").is_visible()

    wait_until(moved_until_seen)
    one = canvas_of(person)
    person.page.mouse.move(box["x"] + FAR[0] * box["width"], box["y"] + FAR[1] * box["height"])
    wait_until(lambda: np.abs(canvas_of(person) - one).mean() > 1)
    assert [url for url in person.asked[asked:] if "/here/" not in url] == []
    person.click(NEAR)
    person.page.mouse.move(2, 2)
    server_made = client.fetch(client_result(client, tmp_path / "small.png"))
    expected = np.asarray(Image.open(io.BytesIO(server_made.content)), float)
    wait_until(lambda: canvas_of(person).shape == expected.shape and psnr(canvas_of(person), expected) > 30)
    assert not [url for url in person.asked if "/result-" in url or "/glance/" in url]

    blurred = canvas_of(person)
    person.page.locator("#amount input[type=range]").fill("3")
    wait_until(lambda: np.abs(canvas_of(person) - blurred).mean() > 1)
    wait_until(person.page.locator("#undo").is_enabled)
    person.page.keyboard.press("Control+z")
    wait_until(lambda: psnr(canvas_of(person), expected) > 30)
    person.page.click("#next-save")
    with person.page.expect_download() as download:
        person.page.click("#save-photo")
    with Image.open(download.value.path()) as saved:
        assert psnr(np.asarray(saved.convert("RGB"), float), expected) > 25
    assert person.wrong == []


def client_result(client: Client, path: Path) -> str:
    """The address of the picture that the server makes of a click at `NEAR`."""
    assert "error" not in client.give(path)
    return client.click(*NEAR)["result"]


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / max(np.square(one - other).mean(), 1e-9)))
