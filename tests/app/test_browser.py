"""The whole way in a real browser: what a photographer does, and what goes wrong."""

from pathlib import Path

import av
import numpy as np
import pillow_heif
import pytest
import trimesh
from PIL import Image
from visiting import Server, Visitor, wait_until

import phones
from filmed import film, walking

ODD = {"photo.heic": (320, 240), "grey.tif": (301, 201), "wide.png": (1500, 20)}
NEAR, FAR = (0.36, 0.60), (0.62, 0.10)  # on the motorcycle, on the shelf behind it


def test_drop_depth_click_undo_save(visitor: Visitor, photo: Path, tmp_path: Path):
    visitor.drop(photo)
    depth = visitor.see("depth")
    assert depth.shape[1] > depth.shape[0], "the photo is upright"
    assert depth[int(0.85 * len(depth))].mean() > depth[int(0.1 * len(depth))].mean(), "the floor in front is near"

    visitor.page.click("#next-focus")
    sharp = visitor.see("photo")
    visitor.click(NEAR)
    near = visitor.see("result")
    refocused(visitor, FAR)
    far = visitor.see("result")
    assert detail(near, NEAR) > 0.9 * detail(sharp, NEAR)
    assert detail(near, FAR) < 0.6 * detail(sharp, FAR)
    assert detail(far, FAR) > 0.8 * detail(sharp, FAR)
    assert detail(far, NEAR) < detail(near, NEAR)

    last = visitor.part("under").get_attribute("src")
    visitor.page.click("#undo")
    changed(visitor, last)
    assert np.abs(visitor.see("result") - near).mean() < 0.5

    refocused(visitor, FAR)
    visitor.page.click("#next-save")
    visitor.part("slide").wait_for()
    assert visitor.page.locator("#kept").input_value() == "Same as the photo", "a JPEG stays one"
    with visitor.page.expect_download() as download:
        visitor.page.click("#save-photo")
    assert download.value.suggested_filename == "holiday_defocus.jpg"
    download.value.save_as(tmp_path / "kept.jpg")
    with Image.open(tmp_path / "kept.jpg") as kept, Image.open(photo) as before:
        assert kept.format == "JPEG"
        assert kept.size == (before.height, before.width)
        assert kept.getexif()[0x0110] == "Snap 3"
        assert kept.getexif().get(0x0112, 1) == 1
        assert kept.getexif().get_ifd(0x8769)[0x829D] == pytest.approx(1.8)
        assert kept.info["icc_profile"]
        full = np.asarray(kept.convert("RGB"), float)
    assert detail(full, NEAR) < 0.97 * detail(sharp, NEAR), "it is the refocused one"

    visitor.page.select_option("#kept", label="Page to click in (HTML)")
    with visitor.page.expect_download() as download:
        visitor.page.click("#save-photo")
    assert download.value.suggested_filename == "holiday_defocus.html"
    download.value.save_as(tmp_path / "kept.html")
    page = (tmp_path / "kept.html").read_text()
    assert "holiday.jpg: choose what is sharp" in page
    assert page.count("data:image/jpeg;base64,") == 1


def test_dialog_then_depth_files_then_another_photo(visitor: Visitor, photo: Path):
    visitor.choose(photo)
    visitor.see("depth")
    visitor.page.click("#save-depth")
    links = visitor.part("files").locator("a")
    links.nth(2).wait_for()
    assert links.all_inner_texts() == ["holiday_disp.png", "holiday_disp.npy", "holiday_disp.json"]
    with visitor.page.expect_download() as download:
        links.nth(1).click()
    array = np.load(download.value.path())
    with Image.open(photo) as before:
        assert array.shape == (before.width, before.height)
    assert array.dtype == np.float32
    visitor.page.click("#another")
    visitor.part("drop").wait_for()


def test_controls_change_the_picture_and_undo_takes_them_back(visitor: Visitor, photo: Path):
    visitor.choose(photo)
    visitor.see("depth")
    visitor.click(NEAR)
    once = visitor.see("result")
    old = visitor.part("under").get_attribute("src")
    amount = visitor.page.locator("#amount input[type=number]")
    amount.fill("3")
    amount.press("Enter")
    changed(visitor, old)
    more = visitor.see("result")
    assert detail(more, FAR) < 0.8 * detail(once, FAR)
    old = visitor.part("under").get_attribute("src")
    visitor.page.click("#undo")
    changed(visitor, old)
    assert np.abs(visitor.see("result") - once).mean() < 0.5
    visitor.page.wait_for_function("() => document.querySelector('#amount input[type=number]').value === '1'")


def test_by_keyboard_alone(visitor: Visitor, photo: Path):
    visitor.choose(photo)
    visitor.see("depth")
    visitor.part("frame").focus()
    for _ in range(3):
        visitor.page.keyboard.press("ArrowUp")
    assert visitor.part("cross").is_visible()
    visitor.page.keyboard.press("Enter")
    visitor.see("result")
    mark = visitor.part("mark").first
    assert mark.evaluate("(mark) => mark.style.left + ' ' + mark.style.top") == "50% 44%"


def test_resting_the_pointer_shows_what_a_click_would_give(visitor: Visitor, photo: Path):
    visitor.choose(photo)
    visitor.see("depth")
    visitor.page.click("#next-focus")
    visitor.see("photo")
    box = visitor.part("under").bounding_box()
    visitor.page.mouse.move(box["x"] + 0.36 * box["width"], box["y"] + 0.6 * box["height"])
    visitor.part("glance").wait_for()
    visitor.page.mouse.move(box["x"] - 30, box["y"] - 5)
    visitor.part("glance").wait_for(state="hidden")


def test_camera_and_paste(visitor: Visitor, photo: Path):
    visitor.part("snap").click()
    visitor.part("take").click()
    visitor.see("depth")
    visitor.page.click("#another")
    visitor.part("drop").wait_for()
    visitor.page.evaluate(
        """async () => {
          const canvas = new OffscreenCanvas(320, 240), brush = canvas.getContext('2d')
          for (let n = 0; n < 60; n++) {
            brush.fillStyle = `hsl(${n * 37} 60% 50%)`
            brush.fillRect(n * 29 % 300, n * 17 % 220, 40, 30)
          }
          const data = new DataTransfer()
          data.items.add(new File([await canvas.convertToBlob()], 'pasted.png', { type: 'image/png' }))
          document.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data }))
        }"""
    )
    assert visitor.see("depth").shape[:2] == (240, 320)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("text.jpg", "not a picture that can be read"),
        ("cut.jpg", "damaged or cut short"),
        ("empty.png", "0 bytes"),
        ("huge.png", "the limit is 4"),
        ("heavy.bmp", "the limit is 8 MB"),
        ("one.png", "at least 16"),
    ],
)
def test_bad_files_give_a_sentence_and_the_page_goes_on(visitor: Visitor, photo: Path, tmp_path: Path, name, said):
    BAD[Path(name).stem](tmp_path / name, photo)
    visitor.choose(tmp_path / name)
    sentence = visitor.sentence()
    assert said in sentence
    assert str(tmp_path) not in sentence
    assert "/" not in sentence
    assert sentence.startswith(name), "what was given"
    visitor.choose(photo)
    visitor.see("depth")
    assert not visitor.part("alert").is_visible()


def test_a_bad_file_leaves_the_photo_that_is_there(visitor: Visitor, photo: Path, tmp_path: Path):
    visitor.choose(photo)
    visitor.see("depth")
    cut(tmp_path / "cut.jpg", photo)
    visitor.drop(tmp_path / "cut.jpg")
    assert "cut.jpg" in visitor.sentence()
    visitor.click(NEAR)
    assert visitor.see("result").size


@pytest.mark.parametrize("name", ["photo.heic", "grey.tif", "wide.png"])
def test_unusual_pictures_come_out_at_their_size(visitor: Visitor, photo: Path, tmp_path: Path, name: str):
    with Image.open(photo) as picture:
        small = picture.convert("L" if name == "grey.tif" else "RGB").resize(ODD[name])
    if name == "photo.heic":
        pillow_heif.from_pillow(small).save(tmp_path / name)
    else:
        small.save(tmp_path / name)
    visitor.choose(tmp_path / name)
    visitor.see("depth")
    visitor.click((0.5, 0.5))
    visitor.see("result")
    visitor.page.click("#next-save")
    with visitor.page.expect_download() as download:
        visitor.page.click("#save-photo")
    assert download.value.suggested_filename == f"{Path(name).stem}_defocus.png"
    with Image.open(download.value.path()) as kept:
        assert kept.size == small.size


def test_two_at_once_keep_their_own_pictures(visitors, server: Server, tmp_path: Path):
    for name, colour in (("red", (200, 30, 30)), ("blue", (30, 30, 200))):
        rng = np.random.default_rng(0)
        noisy = np.clip(np.array(colour) + rng.integers(-25, 25, (300, 400, 3)), 0, 255)
        Image.fromarray(noisy.astype(np.uint8)).save(tmp_path / f"{name}.png")
    first, second = visitors(), visitors()
    first.choose(tmp_path / "red.png")
    second.choose(tmp_path / "blue.png")
    for person in (first, second):
        person.see("depth")
    for person in (first, second, first):
        person.click((0.5, 0.5))
    red, blue = first.see("result"), second.see("result")
    assert red[..., 0].mean() > 2 * red[..., 2].mean()
    assert blue[..., 2].mean() > 2 * blue[..., 0].mean()
    address = first.part("under").get_attribute("src").split("/")
    stolen = second.page.request.get(f"{server.url}/picture/{'A' * len(address[1])}/{address[2]}")
    assert stolen.status == 404


def test_a_phones_own_depth_is_taken_and_can_be_estimated_instead(visitor: Visitor, tmp_path: Path):
    visitor.drop(phones.write(tmp_path / "phone.jpg", phones.gdepth()))
    own = visitor.see("depth")
    assert visitor.page.locator("#embedded").is_visible()
    assert not visitor.page.locator("#estimated").is_visible()
    assert "the depth in its own file is taken" in visitor.part("note").inner_text()
    last = visitor.part("under").get_attribute("src")
    visitor.page.click("#predict")
    changed(visitor, last)
    assert np.abs(visitor.see("depth") - own).mean() > 2
    visitor.page.locator("#estimated").wait_for()
    assert not visitor.page.locator("#embedded").is_visible()
    assert visitor.part("note").inner_text() == ""


def test_a_clip_is_refocused_from_one_point_to_another(visitor: Visitor, tmp_path: Path):
    film(tmp_path / "walk.mp4", walking(8))
    visitor.tab("Video")
    visitor.page.set_input_files("#stage-video .file", tmp_path / "walk.mp4")
    first = visitor.see("frame", "video")
    visitor.click((0.2, 0.5), "video")
    visitor.part("note", "video").get_by_text("Sharp points at 0.0 s").wait_for()
    moment, old = (
        visitor.page.locator("#moment input[type=number]"),
        visitor.part("under", "video").get_attribute("src"),
    )
    moment.fill("0.2")
    moment.press("Enter")
    visitor.page.wait_for_function(
        "(old) => document.querySelector('#stage-video .under').getAttribute('src') !== old",
        arg=old,
    )
    assert np.abs(visitor.see("frame", "video") - first).mean() > 2, "another moment"
    visitor.click((0.8, 0.2), "video")
    visitor.part("note", "video").get_by_text("Sharp points at 0.0 s, 0.2 s").wait_for()
    visitor.page.click("#film")
    link = visitor.part("files", "video").locator("a")
    link.wait_for()
    with visitor.page.expect_download() as download:
        link.click()
    assert download.value.suggested_filename == "walk_defocus.mp4"
    with av.open(str(download.value.path())) as clip:
        assert clip.streams.audio
        assert len([*clip.decode(clip.streams.video[0])]) == 8
        assert (clip.streams.video[0].height, clip.streams.video[0].width) == first.shape[:2]


def test_a_long_clip_can_be_stopped_and_a_photo_need_not_wait_for_it(visitor: Visitor, photo: Path, tmp_path: Path):
    film(tmp_path / "walk.mp4", walking(240))
    visitor.tab("Video")
    visitor.page.set_input_files("#stage-video .file", tmp_path / "walk.mp4")
    visitor.see("frame", "video")
    visitor.click((0.2, 0.5), "video")
    visitor.part("note", "video").get_by_text("Sharp points").wait_for()
    visitor.page.click("#film")
    visitor.part("what", "video").get_by_text("Frame").wait_for()
    visitor.tab("Photo")
    visitor.choose(photo)
    visitor.see("depth")
    visitor.tab("Video")
    assert visitor.part("busy", "video").is_visible()
    visitor.page.click("#stop")
    visitor.part("note", "video").get_by_text("Stopped").wait_for()
    assert not visitor.part("busy", "video").is_visible()


def test_no_clip_is_a_sentence(visitor: Visitor, tmp_path: Path):
    as_text(tmp_path / "clip.mp4", tmp_path)
    visitor.tab("Video")
    visitor.page.set_input_files("#stage-video .file", tmp_path / "clip.mp4")
    assert "clip.mp4" in visitor.sentence("video")


def test_a_panorama_in_space_and_its_points(visitor: Visitor, tmp_path: Path):
    row, col = np.mgrid[0:128, 0:256]
    around = np.stack([row * 2 % 256, col % 256, (row // 16 + col // 16) % 2 * 200], -1)
    Image.fromarray(around.astype(np.uint8)).save(tmp_path / "around.png")
    visitor.tab("Panorama")
    visitor.page.set_input_files("#stage-panorama .file", tmp_path / "around.png")
    space = visitor.page.frame_locator("#stage-panorama .space")
    space.locator("canvas").first.wait_for()
    visitor.part("views", "panorama").get_by_text("Depth").click()
    assert visitor.see("depth", "panorama").shape[:2] == (128, 256)
    visitor.page.click("#save-panorama")
    links = visitor.part("files", "panorama").locator("a")
    links.nth(3).wait_for()
    with visitor.page.expect_download() as download:
        links.nth(3).click()
    cloud = trimesh.load(download.value.path(), file_type="ply")
    assert len(cloud.vertices) > 10_000

    Image.fromarray(around[::-1].astype(np.uint8)).save(tmp_path / "another.png")
    visitor.page.set_input_files("#stage-panorama .file", tmp_path / "another.png")
    title = "(title) => title.textContent"
    wait_until(lambda: space.locator("title").evaluate(title) == "another.png")


def test_a_narrow_picture_is_no_panorama(visitor: Visitor, photo: Path):
    visitor.tab("Panorama")
    visitor.page.set_input_files("#stage-panorama .file", photo)
    assert "twice as wide" in visitor.sentence("panorama")


def test_metres_by_two_clicks(visitor: Visitor, photo: Path):
    visitor.choose(photo)
    visitor.see("depth")
    visitor.page.get_by_role("tab", name="Metres").click()
    visitor.see("photo", "measure")
    visitor.click((0.3, 0.8), "measure")
    visitor.part("note", "measure").get_by_text("second point").wait_for()
    visitor.click((0.7, 0.8), "measure")
    visitor.page.wait_for_timeout(500)
    visitor.page.locator("#distance input").fill("1.5")
    visitor.page.click("#use-distance")
    visitor.part("note", "measure").get_by_text("One unit of depth is").wait_for()
    visitor.part("files", "measure").get_by_text("camera_profile.json").wait_for()
    visitor.click((0.3, 0.8), "measure")
    visitor.part("note", "measure").get_by_text("m from the camera").wait_for()
    visitor.page.wait_for_timeout(300)
    visitor.click((0.7, 0.8), "measure")
    visitor.part("note", "measure").get_by_text("1.50 m apart").wait_for()


@pytest.mark.parametrize("width", [390, 768])
def test_narrow_screens_need_no_sideways_scrolling(visitors, photo: Path, width):
    person = visitors(viewport={"width": width, "height": 844}, has_touch=True)
    fits = "() => document.documentElement.scrollWidth <= window.innerWidth"
    assert person.page.evaluate(fits)
    person.choose(photo)
    person.see("depth")
    person.part("under").tap()
    person.see("result")
    assert person.page.evaluate(fits)


def refocused(visitor: Visitor, at: tuple[float, float]) -> None:
    """Click and wait for the new picture."""
    old = visitor.part("under").get_attribute("src")
    visitor.click(at)
    changed(visitor, old)


def changed(visitor: Visitor, old: str) -> None:
    """Wait until another picture is shown than the one at the address `old`."""
    visitor.page.wait_for_function(
        "(old) => document.querySelector('#stage-photo .under').getAttribute('src') !== old", arg=old
    )


def detail(picture: np.ndarray, at: tuple[float, float]) -> float:
    """How much fine detail there is around a point: the mean step between neighbouring pixels, of about 640 columns."""
    grey = picture.mean(-1)
    h, w = grey.shape
    x, y, reach = int(at[0] * w), int(at[1] * h), max(12, w // 24)
    some = grey[max(y - reach, 0) : y + reach, max(x - reach, 0) : x + reach]
    return float(np.abs(np.diff(some, axis=0)).mean() + np.abs(np.diff(some, axis=1)).mean())


def as_text(path: Path, photo: Path) -> None:
    path.write_text("this is not a picture, whatever its name says")


def cut(path: Path, photo: Path) -> None:
    path.write_bytes(photo.read_bytes()[:20_000])


def empty(path: Path, photo: Path) -> None:
    path.write_bytes(b"")


def huge(path: Path, photo: Path) -> None:
    Image.new("RGB", (3000, 3000)).save(path)


def heavy(path: Path, photo: Path) -> None:
    Image.new("RGB", (1800, 1800)).save(path)


def one(path: Path, photo: Path) -> None:
    Image.new("RGB", (1, 1)).save(path)


BAD = {"text": as_text, "cut": cut, "empty": empty, "huge": huge, "heavy": heavy, "one": one}
