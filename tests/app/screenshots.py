"""`python tests/app/screenshots.py OUT PANORAMA`: the pictures of docs/app.md, taken from the running app.

The photo is scikit-image's motorcycle, the clip a walk past it; PANORAMA is one of yours.
"""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from playwright.sync_api import sync_playwright
from torch import Tensor
from visiting import Visitor, started

sys.path.insert(0, str(Path(__file__).parents[1]))

from browsing import browser_path
from filmed import film

DESK = {"viewport": {"width": 1180, "height": 800}, "color_scheme": "light"}
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True, "device_scale_factor": 2}
COMMAND = Path(sys.executable).with_name("cyclopean")
WHEEL = (0.76, 0.65)
STEPS = ("photo", "depth")  # shown in a row


def passing(picture: np.ndarray, count: int = 40) -> Iterator[Tensor]:
    """A window that walks over a picture."""
    h, w = picture.shape[0] // 2 * 2, 560
    for index in range(count):
        left = round(index / (count - 1) * (picture.shape[1] - w))
        yield torch.from_numpy(picture[:h, left : left + w].copy()).permute(2, 0, 1)[None].float() / 255


def shot(person: Visitor, path: Path, quality: int = 80) -> None:
    """What is on the screen, as a small JPEG."""
    person.page.wait_for_timeout(800)
    person.page.screenshot(path=str(path), type="jpeg", quality=quality)
    print(f"{path.name}: {path.stat().st_size / 1e3:.0f} KB")


def photo_tab(person: Visitor, out: Path, name: str) -> None:
    """The four steps."""
    thumbs = person.page.locator("#stage-photo .thumb img")
    thumbs.last.wait_for()
    person.page.wait_for_function("() => [...document.querySelectorAll('.thumb img')].every((one) => one.complete)")
    shot(person, out / f"{name}_photo.jpg")
    person.page.locator("#stage-photo .thumb").first.click()
    person.see("depth")
    person.page.mouse.move(5, 5)
    shot(person, out / f"{name}_depth.jpg")
    person.page.click("#next-focus")
    person.see("photo")
    person.click(WHEEL)
    person.see("result")
    person.page.mouse.move(5, 5)
    shot(person, out / f"{name}_focus.jpg")
    person.page.click("#next-save")
    with person.page.expect_download():
        person.page.click("#save-photo")
    person.part("files").locator("a").first.wait_for()
    shot(person, out / f"{name}_save.jpg")


def other_tabs(person: Visitor, out: Path, clip: Path, panorama: Path) -> None:
    """Metres, a clip, a panorama, help, and a sentence."""
    person.tab("Metres")
    person.see("photo", "measure")
    for at in ((0.30, 0.79), (0.76, 0.79)):
        person.click(at, "measure")
        person.page.wait_for_timeout(1500)
    person.page.fill("#distance input", "1.4")
    person.page.click("#use-distance")
    person.part("note", "measure").get_by_text("One unit").wait_for()
    shot(person, out / "app_metres.jpg")
    person.tab("Video")
    person.page.set_input_files("#stage-video .file", clip)
    person.see("frame", "video")
    person.click((0.3, 0.6), "video")
    person.part("note", "video").get_by_text("Sharp points").wait_for()
    shot(person, out / "app_video.jpg")
    person.tab("Panorama")
    person.page.set_input_files("#stage-panorama .file", panorama)
    person.page.frame_locator("#stage-panorama .space").locator("canvas").first.wait_for()
    person.page.wait_for_timeout(2500)
    shot(person, out / "app_panorama.jpg", 70)
    person.tab("Help")
    shot(person, out / "app_help.jpg")


def main(out: Path, panorama: Path) -> None:
    import skimage.data

    picture = Image.open(Path(skimage.data.__file__).with_name("motorcycle_left.png")).convert("RGB")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as engine:
        clip = Path(folder) / "walk.mp4"
        film(clip, passing(np.asarray(picture)))
        server = started([COMMAND, "app", "--no-browser", "--port", "0"], Path(folder))
        browser = engine.chromium.launch(executable_path=browser_path(), args=["--no-sandbox"])
        try:
            person = Visitor(browser, server, **DESK)
            photo_tab(person, out, "app")
            other_tabs(person, out, clip, readable(panorama, Path(folder)))
            photo_tab(Visitor(browser, server, **PHONE), Path(folder), "phone")
            side_by_side([Path(folder) / f"phone_{step}.jpg" for step in STEPS]).save(out / "app_phone.jpg", quality=80)
        finally:
            browser.close()
            server.end()


def side_by_side(paths: list[Path]) -> Image.Image:
    """Pictures of one size in a row, at 300 columns each."""
    pictures = [Image.open(path) for path in paths]
    pictures = [picture.resize((300, 300 * picture.height // picture.width)) for picture in pictures]
    row = Image.new("RGB", (320 * len(pictures) - 20, pictures[0].height), "white")
    for number, picture in enumerate(pictures):
        row.paste(picture, (320 * number, 0))
    return row


def readable(panorama: Path, folder: Path) -> Path:
    """The panorama itself, or a JPEG of one in Radiance's format, about as bright as a camera makes it."""
    if panorama.suffix != ".hdr":
        return panorama
    light = cv2.imread(str(panorama), cv2.IMREAD_UNCHANGED)
    shown = np.clip(light / (3 * np.median(light.mean(-1))), 0, 1) ** (1 / 2.2) * 255
    cv2.imwrite(str(folder / f"{panorama.stem}.jpg"), shown.astype(np.uint8))
    return folder / f"{panorama.stem}.jpg"


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
