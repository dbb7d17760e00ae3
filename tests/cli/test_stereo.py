"""`cyclopean stereo` as people run it: photos, folders, clips, and bad input."""

import base64
import io
import json
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from commands import here
from filmed import film, walking


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A ramp with a depth file: near on the left, far on the right."""
    ramp = np.linspace(0, 255, 160).astype(np.uint8)[None, :, None].repeat(96, 0).repeat(3, 2)
    Image.fromarray(ramp).save(tmp_path / "photo.jpg", quality=95)
    np.save(tmp_path / "photo_disp.npy", np.linspace(1, 0, 160, dtype=np.float32)[None].repeat(96, 0))
    return tmp_path / "photo.jpg"


def test_every_layout_of_a_photo_with_its_depth(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    everything = "sbs,half-sbs,anaglyph,mpo,left,right"
    code, out, err = here(capsys, "stereo", photo, "--depth", "beside", "--save", everything, "--parallax", "5")
    assert (code, err) == (0, "")
    sizes = {"sbs": (320, 96), "half_sbs": (160, 96), "anaglyph": (160, 96), "left": (160, 96), "right": (160, 96)}
    for name, size in sizes.items():
        with Image.open(photo.with_name(f"photo_{name}.jpg")) as picture:
            assert picture.size == size, name
    left, right = (np.asarray(Image.open(photo.with_name(f"photo_{eye}.jpg")), float) for eye in ("left", "right"))
    with Image.open(photo) as given:
        assert np.abs(left - np.asarray(given, float)).max() < 6
    moved = (right - left)[48, :, 0] / (255 / 160)  # columns that lie farther left for the right eye
    assert moved[20] > 1.2  # near
    assert moved[140] < -2.5  # far, behind the screen
    card = json.loads(photo.with_name("photo_stereo.json").read_text())
    assert (card["source"], card["parallax"], card["eye"], card["model"]) == ("photo.jpg", 5.0, "left", None)
    assert sorted(card["files"]) == sorted(Path(line).name for line in out.splitlines())
    code, out, err = here(capsys, "stereo", photo, "--depth", "beside", "--out", photo.with_name("near.jpg"))
    assert (code, out) == (0, f"{photo.with_name('near.jpg')}\n"), err
    code, _, err = here(capsys, "stereo", photo, "--depth", "beside", "--out", photo.with_name("near.tif"))
    assert (code, "give a folder" in err) == (2, True)


def test_what_a_format_does_not_hold_is_written_otherwise(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every output that can be is there: pairs of 66,000 pixels, which a JPEG does not hold, pages, and pictures."""
    for name, width in (("strip.jpg", 33_000), ("scan.png", 66_000)):
        columns = (127 + 100 * np.sin(np.arange(width) / 9)).astype(np.uint8)
        Image.fromarray(columns[None, :, None].repeat(16, 0).repeat(3, 2)).save(tmp_path / name)
        np.save(
            tmp_path / f"{Path(name).stem}_disp.npy", np.linspace(1, 0, width, dtype=np.float32)[None].repeat(16, 0)
        )
    depth = ("--depth", "beside")
    code, _, err = here(capsys, "stereo", tmp_path / "strip.jpg", *depth, "--save", "sbs,left,mpo")
    assert (code, "66000x16 pixels and a .jpg at most 65500 on a side, so it is a .png" in err) == (0, True), err
    assert {"strip_sbs.png", "strip_left.jpg", "strip_stereo.mpo"} <= {path.name for path in tmp_path.iterdir()}
    with Image.open(tmp_path / "strip_sbs.png") as picture:
        assert picture.size == (66_000, 16)
    code, _, err = here(capsys, "stereo", tmp_path / "scan.png", *depth, "--save", "left,mpo")
    assert (code, "not written as mpo" in err, (tmp_path / "scan_left.png").exists()) == (0, True, True), err
    code, _, err = here(capsys, "stereo", tmp_path / "scan.png", *depth, "--save", "mpo")
    assert (code, "write --save sbs" in err, len(err.splitlines())) == (2, True, 1), err
    words = ("refocus", tmp_path / "scan.png", *depth, "--at", "0.5", "0.5", "--no-subject")
    code, _, err = here(capsys, *words, "--save", "jpg,webp", "--view", "html", "--out", tmp_path / "out")
    assert (code, err.count("so it is a .png"), "shrunk to 65500 pixels" in err) == (0, 2, True), err
    assert {path.suffix for path in (tmp_path / "out").iterdir()} == {".png", ".html", ".json"}
    page = (tmp_path / "out" / "scan_defocus.html").read_text()
    for kind, mark, longest in (("JPEG", "data:image/jpeg;base64,", 65_500), ("PNG", '"depth": "', 4096)):
        data = base64.b64decode(page.split(mark)[1].split('"')[0])
        with Image.open(io.BytesIO(data)) as picture:
            assert (picture.format, picture.size[0]) == (kind, longest)


def test_a_folder_goes_on_where_it_was_cut(photo: Path, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Results are no inputs; what is there is left; other flags, --overwrite and other pictures make it anew."""
    folder, out = photo.parent, photo.parent / "out"
    photo.with_name("photo_disp.npy").unlink()
    Image.open(photo).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(folder / "other.png")
    (folder / "bad.jpg").write_bytes(b"no picture")
    words = ("stereo", folder, "--model", model)
    for more, said in (
        ((), "2 done"), ((), "0 done and 2 skipped (done before)"), (("--parallax", "3"), "2 done"),
        (("--parallax", "3", "--overwrite"), "2 done"),
    ):  # fmt: skip
        code, printed, err = here(capsys, *words, "--out", out, *more)
        assert (code, said in printed, "bad.jpg" in err) == (2, True, True), printed
    assert {path.name for path in out.iterdir()} == {
        *("photo_sbs.jpg", "photo_stereo.json", "other_sbs.png", "other_stereo.json")
    }
    (folder / "bad.jpg").unlink()
    for count in ("2 done", "0 done and 2 skipped (done before)"):
        code, printed, err = here(capsys, *words)  # results beside the photos
        assert (code, count in printed) == (0, True), err
    before = (out / "photo_sbs.jpg").read_bytes()
    (out / "photo_sbs.jpg").write_bytes(b"somebody's")
    (out / "photo_stereo.json").unlink()
    code, printed, err = here(capsys, "stereo", photo, "--model", model, "--out", out, "--parallax", "3")
    assert (code, "photo_2_sbs.jpg" in printed, "--overwrite" in err) == (0, True, True)
    assert (out / "photo_2_sbs.jpg").read_bytes() == before
    code, printed, err = here(capsys, "stereo", photo, "--model", model, "--out", folder, "--resume")
    assert "0 done and 1 skipped (done before)" in printed


def test_clips_keep_their_sound_and_times(tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    film(tmp_path / "a.mp4", walking(6))
    code, _, err = here(capsys, "stereo", tmp_path / "a.mp4", "--model", model, "--save", "sbs,half-sbs,anaglyph")
    assert code == 0, err
    with av.open(str(tmp_path / "a.mp4")) as given:
        times = [frame.pts * frame.time_base for frame in given.decode(video=0)]
    for name, width, marked in (("sbs", 320, True), ("half_sbs", 160, True), ("anaglyph", 160, False)):
        with av.open(str(tmp_path / f"a_{name}.mp4")) as made:
            assert [stream.type for stream in made.streams] == ["video", "audio"]
            frames = list(made.decode(video=0))
        assert [frame.pts * frame.time_base for frame in frames] == times
        assert (frames[0].width, frames[0].height) == (width, 96)
        assert ("STEREO3D" in {data.type.name for data in frames[0].side_data}) == marked
    assert json.loads((tmp_path / "a_stereo.json").read_text())["files"][0] == "a_sbs.mp4"
    code, printed, _ = here(
        capsys, "stereo", tmp_path / "a.mp4", "--model", model, "--save", "sbs,half-sbs,anaglyph", "--resume"
    )
    assert (code, "0 done and 1 skipped (done before)" in printed) == (0, True)


def test_bad_input_is_one_sentence(photo: Path, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    film(photo.with_name("a.mp4"), walking(2))
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (96, 160, 3), np.uint8)).save(photo.with_name("b.png"))
    for words, sentence in (
        ((), "no photo was given"),
        (("none.jpg",), "there is no file none.jpg"),
        ((photo, "--save", "sbss"), "did you mean 'sbs'"),
        ((photo, "--save", ","), "names nothing to write"),
        ((photo, "--eye", "middle"), "unknown eye"),
        ((photo, "--parallax", "0"), "parallax is 0"),
        ((photo, "--converge", "2"), "converge is 2"),
        ((photo, "--depth", "none.npy"), "no depth file none.npy"),
        ((photo, "--depth", "beside", "--at", "500", "2"), "outside the photo"),
        ((photo, "--depth", "beside", "--baseline", "0.06"), "depth in metres"),
        ((photo.with_name("b.png"), "--depth", "beside"), "b_disp.npy beside the photo"),
        ((photo.with_name("a.mp4"), "--save", "mpo", "--model", model), "mpo holds two photos"),
        ((photo.with_name("a.mp4"), "--depth", photo.with_name("photo_disp.npy"), "--model", model), "for photos"),
        ((photo, "--camera", "equirectangular", "--model", model), "panorama"),
    ):  # fmt: skip
        code, _, err = here(capsys, "stereo", *words)
        assert (code, sentence in err) == (2, True), (words, err)
        assert len(err.splitlines()) == 1, err
    assert not list(photo.parent.glob("*_sbs*"))
