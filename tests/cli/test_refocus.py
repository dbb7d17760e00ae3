"""`cyclopean refocus` as people run it: from a shell, on good files and bad ones."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from commands import here, shell
from filmed import encode, walk


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (40, 60, 3), np.uint8)).save(tmp_path / "photo.jpg")
    return tmp_path / "photo.jpg"


@pytest.fixture
def depth(tmp_path: Path) -> Path:
    """Near on the left, far on the right: the report's disparity, without a sidecar."""
    np.save(tmp_path / "depth.npy", np.linspace(1, 0, 60, dtype=np.float32)[None].repeat(40, 0))
    return tmp_path / "depth.npy"


def change(photo: Path, result: Path) -> np.ndarray:
    """How much each column changed."""
    with Image.open(photo) as before, Image.open(result) as after:
        return np.abs(np.asarray(before, float) - np.asarray(after, float)).mean((0, 2))


def test_a_photo_with_its_depth_file(photo: Path, depth: Path) -> None:
    done = shell(
        "refocus",
        photo,
        "--at",
        "2",
        "20",
        "--depth",
        depth,
        "--method",
        "gaussian",
        "--strength",
        "10",
        "--save",
        "png",
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    result = photo.with_name("photo_defocus.png")
    assert done.stdout == f"{result}\n"
    columns = change(photo, result)
    assert columns[2] < 1
    assert columns[40:].mean() > 20
    card = json.loads(photo.with_name("photo_defocus.json").read_text())
    assert (card["source"], card["at"], card["files"]) == ("photo.jpg", [2, 20], ["photo_defocus.png"])


def test_a_map_that_is_turned_or_in_another_unit_is_named(
    photo: Path, depth: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    np.save(depth, np.linspace(1000, 5000, 2400, dtype=np.float32).reshape(60, 40))
    code, _, told = here(capsys, "refocus", photo, "--at", "2", "20", "--depth", depth)
    assert (code, "is it turned by 90 degrees" in told) == (2, True), told
    np.save(depth, np.linspace(1000, 5000, 2400, dtype=np.float32).reshape(40, 60))
    for scale, distance, remarks in (
        (1, 2, ["is farther away than 2999 m", "2 m, but this depth runs from 1000 to 5000 m: nothing is sharp"]),
        (0.001, 2, []),
        (0.001, 9, ["9 m, but this depth runs from 1 to 5 m: nothing is sharp"]),
    ):
        caplog.clear()
        depth.with_suffix(".json").write_text(json.dumps({"kind": "depth", "unit": "m", "scale": scale}))
        code, _, told = here(capsys, "refocus", photo, "--focus-distance", str(distance), "--depth", depth)
        assert code == 0, told
        assert len(caplog.messages) == len(remarks), caplog.text
        assert all(words in caplog.text for words in remarks), caplog.text


def test_depth_of_the_photo_before_it_was_changed_is_noted(photo: Path, model: str, capsys) -> None:
    code, _, told = here(capsys, "predict", photo, "--model", model)
    assert code == 0, told
    depth, side = photo.with_name("photo_disp.npy"), photo.with_name("photo_disp.json")
    words = ("--at", "2", "20", "--out", photo.parent / "out", "--depth")
    for given in ("beside", depth):
        code, _, told = here(capsys, "refocus", photo, *words, given)
        assert (code, told) == (0, ""), given
    with Image.open(photo) as picture:
        ImageOps.mirror(picture).save(photo)
    for given in ("beside", depth):
        code, _, told = here(capsys, "refocus", photo, *words, given)
        assert (code, "photo.jpg was changed since" in told) == (0, True), told
    content = json.loads(side.read_text())
    for changes in ({"source_sha256": None}, {"source": "photo.heic"}):  # of an earlier version; exported since
        side.write_text(json.dumps(content | changes))
        assert here(capsys, "refocus", photo, *words, depth)[2] == ""
    side.write_text(json.dumps(content | {"source_sha256": 3}))
    code, _, told = here(capsys, "refocus", photo, *words, depth)
    assert (code, '"source_sha256" and "settings" are texts' in told) == (2, True), told


def test_without_a_depth_file_it_is_predicted(photo: Path, model: str) -> None:
    done = shell("refocus", "--at", "0.5", "0.5", photo, "--model", model, "--out", photo.parent / "out")
    assert done.returncode == 0, done.stderr
    assert {p.name for p in (photo.parent / "out").iterdir()} == {"photo_defocus.jpg", "photo_defocus.json"}


@pytest.mark.parametrize("method", ["gaussian", "average", "avg_blur", "Median_Blur", "bilateral"])
def test_every_method_and_the_photos_own_format(
    photo: Path, depth: Path, capsys: pytest.CaptureFixture[str], method: str
) -> None:
    words = ("--at", "2", "20", "--depth", depth, "--method", method, "--bins", "hard", "--save", "same")
    code, out, err = here(capsys, "refocus", photo, *words)
    assert code == 0, err
    assert out == f"{photo.with_name('photo_defocus.jpg')}\n"
    with Image.open(photo.with_name("photo_defocus.jpg")) as result:
        assert result.format == "JPEG"
    written = photo.with_name("photo_defocus.jpg").read_bytes()
    usual = {"avg_blur": "average", "Median_Blur": "median"}.get(method, method)
    assert here(capsys, "refocus", photo, *words, "--method", usual)[0] == 0  # the last one counts
    assert photo.with_name("photo_defocus.jpg").read_bytes() == written


def test_depth_beside_the_photo_is_taken(photo: Path, depth: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("refocus", photo, "--at", "2", "20", "--depth")
    assert here(capsys, *words, depth)[0] == 0
    expected = photo.with_name("photo_defocus.jpg").read_bytes()
    np.save(photo.with_name("photo_disp.npy"), np.load(depth))
    code, _, err = here(capsys, *words, "beside", "--out", photo.parent / "out")
    assert code == 0, err
    assert (photo.parent / "out" / "photo_defocus.jpg").read_bytes() == expected
    np.save(depth, -np.load(depth) - 1)
    code, _, err = here(capsys, *words, depth)
    assert code == 2
    assert "negative numbers only" in err


def test_metres_in_a_sidecar_turn_the_order_round(photo: Path, depth: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same numbers read as metres: the left is far now, and its disparity differs most from the right end's."""
    metres = np.load(depth) * 9 + 1
    metres[:20] = np.inf  # sky
    np.save(depth, metres)
    depth.with_suffix(".json").write_text('{"kind": "depth", "unit": "m"}')
    code, _, err = here(capsys, "refocus", photo, "--at", "30", "5", "--depth", depth, "--amount", "5", "--save", "png")
    assert code == 0, err
    with Image.open(photo) as before, Image.open(photo.with_name("photo_defocus.png")) as after:
        moved = np.abs(np.asarray(before, float) - np.asarray(after, float)).mean(-1)
    assert moved[:12].max() == 0  # all sky is at the focus, and near blur spills over its edge by 5 pixels only
    assert moved[30, 50:].mean() > moved[30, :10].mean() + 5  # 1 m is farther from infinity than 10 m


def test_another_size(photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = tmp_path / "small.npy"
    np.save(small, np.linspace(1, 0, 30, dtype=np.float32)[None].repeat(20, 0))
    words = ("refocus", photo, "--at", "2", "20", "--depth", small)
    code, _, err = here(capsys, *words)
    assert code == 2
    assert "small.npy is 30x20 but photo.jpg is 60x40" in err
    assert "--resize-depth" in err
    assert here(capsys, *words, "--resize-depth")[0] == 0
    small.with_suffix(".json").write_text('{"kind": "disparity", "source_size": [40, 60]}')
    assert here(capsys, *words)[0] == 0
    small.with_suffix(".json").write_text('{"kind": "disparity", "source_size": [41, 60]}')
    assert here(capsys, *words)[0] == 2


def test_bad_photos(tmp_path: Path, photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = photo.read_bytes()
    (tmp_path / "text.png").write_text("only text\n" * 50)
    (tmp_path / "cut.jpg").write_bytes(data[: len(data) // 2])
    (tmp_path / "nothing.png").write_bytes(b"")
    Image.new("RGB", (1, 1)).save(tmp_path / "dot.png")
    Image.new("1", (20000, 20000)).save(tmp_path / "huge.png")
    before = {p.name for p in tmp_path.iterdir()}
    for name, words in {
        "text.png": "is not a picture",
        "cut.jpg": "cut short",
        "nothing.png": "empty (0 bytes)",
        "dot.png": "1x1",
        "huge.png": "20000x20000",
        "gone.jpg": "there is no file",
        ".": "is a folder",
    }.items():
        code, out, err = here(capsys, "refocus", tmp_path / name, "--at", "0.5", "0.5")
        assert (code, out) == (2, ""), name
        assert words in err
        assert err.count("\n") == 1
    done = shell("refocus", tmp_path / "cut.jpg", "--at", "0.5", "0.5")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert {p.name for p in tmp_path.iterdir()} == before


BAD_WORDS = (
    (("--at", "0.5", "0.5"), "no photo was given"),
    (("{photo}", "{photo}", "--at", "0.5", "0.5"), "takes one photo, 2 were given"),
    (("{photo}",), "no point was given"),
    (("{photo}", "--at", "5", "5", "--strength", "2"), "--strength is for the report's methods"),
    (("{photo}", "--at", "5", "5", "--f-number", "2", "--amount", "2"), "give one of them"),
    (("{photo}", "--at", "5", "5", "--focal-mm", "50"), "has no f-number in its metadata"),
    (("{photo}", "--focus-range", "1", "2", "--depth", "{depth}"), "a focus range is in metres"),
    (("{photo}", "--focus-range", "1", "2", "--model", "general"), "a focus range is in metres"),
    (("{photo}", "--focus-range", "2", "1", "--nearest", "1"), "give the nearer distance first"),
    (("{photo}", "--focus-range", "1", "2", "--at", "5", "5"), "both say what is sharp"),
    (("{photo}", "--focus-range", "1", "2", "--method", "median"), "is for the thin lens, not for median"),
    (("{photo}", "--at", "5", "5", "--view", "html", "--method", "median"), "is for the thin lens, not for median"),
    (("{photo}", "--at", "5", "5", "--view", "htm"), "did you mean 'html'"),
    (("{photo}", "--at", "5", "5", "--nearest", "-1", "--depth", "{depth}"), "give a length above 0 metres"),
    (
        ("{photo}", "--at", "5", "5", "--nearest", "2", "--farthest", "1", "--depth", "{depth}"),
        "clearly larger, or inf",
    ),
    (("{photo}", "--at", "5", "5", "--nearest", "1", "--profile", "{depth}"), "give one kind of them"),
    (("{photo}", "--at", "5", "5", "--frame", "1"), "--frame takes one picture of a clip, and"),
    (("{photo}", "--focus-distance", "2", "--depth", "{depth}"), "needs depth in metres"),
    (("{photo}", "--focus-distance", "-2", "--depth", "{depth}"), "must be above 0 metres"),
    (("{photo}", "--at", "5", "5", "--shape", "polygn"), "did you mean 'polygon"),
    (("{photo}", "--at", "5", "5", "--amount", "-1"), "amount is -1; it must be 0 or more"),
    (("{photo}", "--at", "5", "5", "--method", "median+thin+average"), "did you mean 'thin-lens'"),
    (("{photo}", "--at", "5"), "--at needs 2 values"),
    (("{photo}", "--at", "left", "5"), "--at needs a number in each place of --at X Y, not 'left'"),
    (("{photo}", "--at", "0.5", "20"), "mixes a fraction with pixels"),
    (("{photo}", "--at", "60", "20"), "lies outside the photo, which is 60x40"),
    (("{photo}", "--at", "-0.1", "0.5"), "lies outside the photo, which is 60x40"),
    (("{photo}", "--at", "-3", "20"), "lies outside"),
    (("{photo}", "--at", "nan", "20"), "lies outside"),
    (("{photo}", "--at", "5", "5", "--method", "gausian"), "did you mean 'gaussian'"),
    (("{photo}", "--at", "5", "5", "--bins", "hrad"), "did you mean 'hard'"),
    (("{photo}", "--at", "5", "5", "--save", "sam"), "did you mean 'same'"),
    (("{photo}", "--at", "5", "5", "--method", "median", "--strength", "-1"), "must be 0 or more"),
    (("{photo}", "--at", "5", "5", "--depht", "x"), "did you mean '--depth'"),
    (("{photo}", "--at", "5", "5", "--depth", "gone.npy"), "there is no depth file gone.npy"),
    (("{photo}", "--at", "5", "5", "--depth", "{photo}"), "is not a depth file"),
    (("{photo}", "--at", "5", "5", "--model", "generall"), "unknown model 'generall'"),
    (("{photo}", "--at", "5", "5", "--profile", "{depth}"), "holds no text"),
    (("{photo}", "--at", "5", "5", "--depth", "{depth}", "--out", "{photo}/out"), "cannot write to"),
    (("{photo}", "--at", "5", "5", "--max-megapixels", "0.001"), "the limit is 0.001"),
)


def test_bad_words(photo: Path, depth: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = []
    for words, sentence in BAD_WORDS:
        code, out, err = here(capsys, "refocus", *(word.format(photo=photo, depth=depth) for word in words))
        left = {p.name for p in photo.parent.iterdir()}
        if (code, out) != (2, "") or sentence not in err or err.count("\n") != 1 or left != {"photo.jpg", "depth.npy"}:
            wrong.append((words, code, out, err, left))
    assert not wrong


def test_distances_make_relative_depth_mean_something(
    photo: Path, depth: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The left is nearest, the right farthest. An f-number says what it assumes; given distances blur accordingly."""

    def refocused(*words: str) -> tuple[np.ndarray, str]:
        code, _, told = here(capsys, "refocus", photo, "--depth", depth, "--save", "png", *words)
        assert code == 0, told
        return change(photo, photo.with_name("photo_defocus.png")), told

    real = ("--at", "1", "20", "--f-number", "1.4", "--focal-mm", "100", "--no-subject")
    assumed, told = refocused(*real)
    assert "nearest is taken as 1 m away, what is farthest as infinitely far" in told
    given, told = refocused(*real, "--nearest", "1")
    assert told == ""
    assert (given == assumed).all()  # that is the assumption
    assert given[40:].mean() > 10
    shallow, _ = refocused(*real, "--nearest", "1", "--farthest", "1.11")
    far, _ = refocused(*real, "--nearest", "20")
    assert max(shallow[40:].mean(), far[40:].mean()) < 0.7 * given[40:].mean()
    # EXIF says how far away the point is: 20 m, so what is nearest is 20 m away
    with Image.open(photo) as picture:
        content = picture.getexif()
        content.get_ifd(0x8769)[0x9206] = 20.0
        picture.save(photo, exif=content, quality="keep")
    by_exif, told = refocused(*real)
    assert "which puts the point 20 m away, as its metadata say" in told
    assert np.abs(by_exif - far).max() < 0.5
    # what lies between two distances is sharp, at 1/metres from 1 to 0 over 60 columns
    sharp, told = refocused("--focus-range", "1", "2", "--nearest", "1", "--amount", "20")
    assert told == ""
    assert sharp[2:26].max() < 1
    assert sharp[45:58].min() > 10
    beyond, _ = refocused("--focus-range", "4", "inf", "--nearest", "1", "--amount", "20")
    assert beyond[50:58].max() < 1
    assert beyond[2:20].min() > 10


def test_a_page_lies_beside_the_picture(photo: Path, depth: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("refocus", photo, "--at", "2", "20", "--depth", depth, "--view", "html")
    code, out, told = here(capsys, *words)
    assert (code, told) == (0, "")
    page = photo.with_name("photo_defocus.html")
    assert out == f"{photo.with_name('photo_defocus.jpg')}\n{page}\n"
    assert "photo.jpg: choose what is sharp" in page.read_text()
    assert page.stat().st_size < 200_000
    card = json.loads(photo.with_name("photo_defocus.json").read_text())
    assert card["files"] == ["photo_defocus.jpg", "photo_defocus.html"]
    page.write_text("of somebody else")
    photo.with_name("photo_defocus.json").unlink()
    code, _, told = here(capsys, *words)
    assert (code, page.read_text()) == (0, "of somebody else")
    assert photo.with_name("photo_2_defocus.html").is_file()


def test_a_frame_of_a_clip_is_a_photo(tmp_path: Path, depth: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = tmp_path / "walk.mkv"
    encode(clip, walk(10))
    np.save(depth, np.linspace(1, 0, 160, dtype=np.float32)[None].repeat(96, 0))
    pictures = []
    for seconds in ("0", "0.2", "99"):
        words = ("--at", "2", "20", "--frame", seconds, "--depth", depth, "--amount", "0", "--view", "html")
        code, _, told = here(capsys, "refocus", clip, *words)
        assert code == 0, told
        assert "is taken as a photo" in told
        assert (tmp_path / f"walk_{float(seconds):g}s_defocus.html").is_file()
        with Image.open(tmp_path / f"walk_{float(seconds):g}s_defocus.png") as picture:
            pictures.append(np.asarray(picture, float))
    for one, other in ((0, 1), (1, 2)):  # the square moves
        assert np.abs(pictures[one] - pictures[other]).max() > 30


def test_the_colour_picture_is_no_depth(photo: Path, capsys: pytest.CaptureFixture[str], model: str) -> None:
    assert here(capsys, "predict", photo, "--model", model)[0] == 0
    words = ("refocus", photo, "--at", "5", "5", "--depth")
    code, _, err = here(capsys, *words, photo.with_name("photo_disp.png"))
    assert code == 2
    assert "is a picture, not depth" in err
    assert here(capsys, *words, photo.with_name("photo_disp.npy"))[0] == 0


def test_a_real_lens_by_metres_and_exif(photo: Path, depth: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The wider the aperture, the more blur; focal length, sensor and f-number come from EXIF where not given."""
    metres = 1 + 9 * np.load(depth)
    np.save(depth, metres)
    depth.with_suffix(".json").write_text('{"kind": "depth", "unit": "m"}')
    exif = Image.Exif()
    exif.get_ifd(0x8769).update({0x829D: 1.2, 0x920A: 50.0, 0xA405: 50})
    with Image.open(photo) as picture:
        picture.save(photo, exif=exif, quality=95)
    changes = []
    for words in (("--f-number", "0.3"), ("--f-number", "0.1"), ("--focal-mm", "50")):
        assert here(capsys, "refocus", photo, "--focus-distance", "1", "--depth", depth, *words)[0] == 0
        changes.append(change(photo, photo.with_name("photo_defocus.jpg"))[:30].mean())
    assert changes[2] < changes[0] < changes[1]


def test_relative_depth_takes_its_metres_from_the_point(
    photo: Path, depth: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--at", "10", "5", "--depth", depth, "--f-number", "0.5", "--focus-distance")
    near, far = [], []
    for metres, found in (("0.5", near), ("20", far)):
        assert here(capsys, "refocus", photo, *words, metres)[0] == 0
        found.append(change(photo, photo.with_name("photo_defocus.jpg"))[30:].mean())
    assert near[0] > far[0] + 3


def test_formats_keep_bits_exif_and_profile(photo: Path, depth: Path, capsys: pytest.CaptureFixture[str]) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x010F] = "maker"
    exif.get_ifd(0x8769)[0x829D] = 1.5
    with Image.open(photo) as picture:
        picture.save(photo, exif=exif, icc_profile=profile, quality=95)
    words = ("--at", "2", "5", "--depth", depth, "--shape", "polygon:5", "--method", "thin-lens+median")
    code, out, err = here(capsys, "refocus", photo, *words, "--save", "png16,tiff")
    assert code == 0, err
    stem = photo.with_name("photo_defocus")
    assert out.split() == [f"{stem}.png", f"{stem}.tif"]
    deep = [cv2.imread(f"{stem}{suffix}", cv2.IMREAD_UNCHANGED) for suffix in (".png", ".tif")]
    assert deep[0].dtype == deep[1].dtype == np.uint16
    assert np.array_equal(deep[0], deep[1])
    assert here(capsys, "refocus", photo, *words, "--save", "same")[0] == 0
    for suffix in (".png", ".tif", ".jpg"):
        with Image.open(f"{stem}{suffix}") as result:
            assert result.info["icc_profile"] == profile
            assert result.getexif()[0x010F] == "maker"
            assert result.getexif().get_ifd(0x8769)[0x829D] == 1.5
    eight = cv2.imread(f"{stem}.jpg").astype(float)
    assert np.abs(deep[0] / 257 - eight).mean() < 4


def test_depth_is_refined_when_a_model_predicted_it(
    photo: Path, depth: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card = '{"kind": "inverse_depth", "unit": "relative"'
    soft = 1 / (1 + np.exp(np.arange(60, dtype=np.float32) / 2 - 15))
    np.save(depth, soft[None].repeat(40, 0))
    maker = ', "model": {"name": "general", "sha256": "0", "licence": "Apache-2.0"}'
    for more, differs in (("", False), (maker, True)):
        depth.with_suffix(".json").write_text(card + more + "}")
        pictures = []
        for refine in ("auto", "off"):
            words = ("refocus", photo, "--at", "5", "5", "--amount", "3", "--depth", depth, "--refine", refine)
            code, _, err = here(capsys, *words)
            assert code == 0, err
            with Image.open(photo.with_name("photo_defocus.jpg")) as result:
                pictures.append(np.asarray(result, float))
        assert bool(np.abs(pictures[0] - pictures[1]).max() > 0) is differs


def test_a_bad_profile_is_refused_before_anything_is_predicted(
    photo: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from cyclopean.inference import photo_pipeline

    loaded: list[str] = []
    monkeypatch.setattr(photo_pipeline, "load", lambda name, _device: loaded.append(name))
    profile = photo.with_name("profile.json")
    for content, sentence in (("{}", "is not a camera profile"), ("{", "not readable JSON")):
        profile.write_text(content)
        code, _, err = here(capsys, "refocus", photo, "--at", "5", "5", "--profile", profile)
        assert (code, sentence in err, loaded) == (2, True, []), err


def test_the_thing_at_the_point_is_sharp_as_a_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A bright post whose foot is farther than its top, before a dark wall; --no-subject and a range say otherwise."""
    rng = np.random.default_rng(0)
    picture = rng.integers(20, 60, (80, 120, 3), np.uint8)
    picture[10:70, 40:70] += 150
    Image.fromarray(picture).save(tmp_path / "photo.png")
    depth = np.full((80, 120), 0.2, np.float32)
    depth[10:70, 40:70] = np.linspace(1.0, 0.7, 60, dtype=np.float32)[:, None]
    np.save(tmp_path / "depth.npy", depth)
    foot = []
    for more in ((), ("--no-subject",), ("--depth-of-field", "0")):
        words = (
            "refocus",
            tmp_path / "photo.png",
            "--at",
            "55",
            "20",
            "--depth",
            tmp_path / "depth.npy",
            "--amount",
            "6",
        )
        code, _, told = here(capsys, *words, *more)
        assert code == 0, told
        with Image.open(tmp_path / "photo_defocus.png") as result:
            foot.append(np.abs(np.asarray(result, float) - picture)[55:66, 46:64].mean())
    assert min(foot[1:]) > 3
    assert foot[0] < 0.5 * min(foot[1:])
