"""`cyclopean predict` as people run it: from a shell, on good files and bad ones."""

import json
import os
import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from clips import write_video
from commands import here, shell
from cyclopean.cli.parsing import height_width
from cyclopean.errors import InputError
from cyclopean.geometry import Equirectangular
from cyclopean.inference.metric_calibration import CameraProfile, write_profile
from cyclopean.io.depthmap import read_depth
from cyclopean.io.image import Photo, read_photo, write_photo
from cyclopean.io.video import describe
from cyclopean.methods.monodepth import Monodepth
from cyclopean.synthetic import rigs
from cyclopean.training import checkpoint


def picture(path: Path, h: int = 40, w: int = 60) -> Path:
    path.parent.mkdir(exist_ok=True, parents=True)
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (h, w, 3), np.uint8)).save(path)
    return path


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_one_photo_beside_itself(tmp_path: Path, model: str) -> None:
    picture(tmp_path / "my.photo.JPG")
    done = shell("predict", "--model", model, tmp_path / "my.photo.JPG")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    expected = {"my.photo_disp.npy", "my.photo_disp.png", "my.photo_disp.json"}
    assert names(tmp_path) == expected | {"my.photo.JPG"}
    assert {Path(line).name for line in done.stdout.splitlines()} == expected
    disparity = np.load(tmp_path / "my.photo_disp.npy")
    assert (disparity.dtype, disparity.shape) == (np.float32, (40, 60))
    with Image.open(tmp_path / "my.photo_disp.png") as colours:
        assert (colours.size, colours.mode) == ((60, 40), "RGB")
    card = json.loads((tmp_path / "my.photo_disp.json").read_text())
    assert card["kind"] == "inverse_depth"
    assert (card["unit"], card["ambiguity"], card["source"]) == ("relative", "scale", "my.photo.JPG")
    assert card["model"]["name"] == model
    assert len(card["model"]["sha256"]) == 64


def test_uncertainty_lies_beside_the_depth(tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    picture(tmp_path / "a.png")
    words = ("predict", tmp_path, "--model", model, "--uncertainty", "3")
    code, _, err = here(capsys, *words)
    assert code == 0, err
    more = {"a_uncertainty.npy", "a_uncertainty.png"}
    assert names(tmp_path) == {"a.png", "a_disp.npy", "a_disp.png", "a_disp.json"} | more
    spread = np.load(tmp_path / "a_uncertainty.npy")
    assert (spread.dtype, spread.shape) == (np.float32, (40, 60))
    assert spread.min() >= 0
    assert spread.max() > 0
    assert more < set(json.loads((tmp_path / "a_disp.json").read_text())["files"])
    code, _, _ = here(capsys, *words)  # its own results are not photos
    assert code == 0
    assert names(tmp_path) == {"a.png", "a_disp.npy", "a_disp.png", "a_disp.json"} | more
    assert np.array_equal(np.load(tmp_path / "a_uncertainty.npy"), spread)


def test_a_pair_is_one_photo_and_its_right_one(tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    left, right, two = picture(tmp_path / "left.png"), picture(tmp_path / "right.png"), tmp_path / "two"
    checkpoint.save(two, Monodepth(width=0.05, variant="stereo"), {"input_size": [128, 128], "licence": "CC0-1.0"})
    code, said, err = here(capsys, "predict", left, "--right", right, "--model", two, "--out", tmp_path / "out")
    assert (code, len(said.splitlines())) == (0, 3), err
    for words, sentence in (
        ((left, "--model", two), "takes two pictures"),
        ((left, "--right", right, "--model", model), "takes one picture"),
        ((left, right, "--right", right, "--model", two), "belongs to one photo"),
        ((left, "--right", tmp_path / "gone.png", "--model", two), "gone.png"),
    ):
        code, _, err = here(capsys, "predict", *words, "--out", tmp_path / "none")
        assert code == 2
        assert sentence in err
        assert len(err.strip().splitlines()) == 1, err
    assert not (tmp_path / "none").exists() or not names(tmp_path / "none")


def test_a_batch_with_bad_files_goes_on(tmp_path: Path, model: str) -> None:
    """Every bad file of the list is one sentence, the good ones are done, and the exit code is 2."""
    photos, out = tmp_path / "photos", tmp_path / "out"
    picture(photos / "good.png")
    (photos / "text.png").write_text("only text\n" * 50)
    cut = picture(photos / "cut.jpg", 200, 200).read_bytes()
    (photos / "cut.jpg").write_bytes(cut[: len(cut) // 2])
    (photos / "nothing.png").write_bytes(b"")
    picture(photos / "dot.png", 1, 1)
    Image.new("1", (20000, 20000)).save(photos / "huge.png")
    (photos / "notes.txt").write_text("not a picture by name")
    done = shell("predict", photos, tmp_path / "gone.jpg", "--out", out, "--model", model)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stdout == f"1 done, results in {out}; 6 failed.\n"
    sentences = [line for line in done.stderr.splitlines() if line.startswith("cyclopean predict: failed: ")]
    assert len(sentences) == 6
    for name, words in {
        "text.png": "is not a picture",
        "cut.jpg": "cut short",
        "nothing.png": "empty (0 bytes)",
        "dot.png": "1x1",
        "huge.png": "20000x20000 (400 megapixels), the limit is 120",
        "gone.jpg": "there is no file",
    }.items():
        assert any(name in line and words in line for line in sentences), name
    assert names(out) == {"good_disp.npy", "good_disp.png", "good_disp.json"}


def test_a_batch_through_a_cube_skips_what_is_no_panorama(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    room = rigs.sample("room", 0, (64, 128), "sphere").target.image
    for name, (h, w) in {"whole": (64, 128), "narrow": (64, 125), "photo": (40, 60)}.items():
        write_photo(tmp_path / "in" / f"{name}.png", Photo(room[..., :h, :w]))
    code, out, err = here(capsys, "predict", tmp_path / "in", "--via-cube", "--model", model, "--out", tmp_path / "out")
    assert code == 2
    assert out.startswith("1 done")
    assert names(tmp_path / "out") == {"whole_disp.npy", "whole_disp.png", "whole_disp.json"}
    assert "failed: narrow.png is 125x64 and not recognised as a panorama" in err
    assert "resize it to 128x64" in err
    assert "failed: photo.png is 60x40" in err


def test_no_heavy_library_is_loaded(tmp_path: Path, model: str) -> None:
    picture(tmp_path / "a.png")
    code = (
        "import sys; from cyclopean.cli import _main\n"
        f"assert _main(['predict', {str(tmp_path / 'a.png')!r}, '--model', {model!r}]) == 0\n"
        f"assert _main(['refocus', {str(tmp_path / 'a.png')!r}, '--at', '.5', '.5', '--model', {model!r}]) == 0\n"
        "print({m.split('.')[0] for m in sys.modules} & {'lightning', 'lightning_fabric', 'starlette', 'transformers'})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("set()\n")


def test_help_and_bad_flags_from_a_shell() -> None:
    helped = shell("predict", "--help")
    assert helped.returncode == 0
    for flag in ("--out", "--save", "--model", "--flip-average", "--size", "--device", "--max-megapixels"):
        assert flag in helped.stdout
    unknown = shell("predict", "a.png", "--flip-averag")
    assert unknown.returncode == 2
    assert unknown.stderr == "cyclopean predict: unknown flag '--flip-averag': did you mean '--flip-average'?\n"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "no photo was given"),
        (("a.png", "--out"), "--out needs a value"),
        (("a.png", "--max-megapixels", "many"), "--max-megapixels needs a number, not 'many'"),
        (("a.png", "--size", "256"), "--size 256 is not a size"),
        (("a.png", "--uncertainty", "1"), "--uncertainty 1 means nothing; give at least 2 looks"),
        (("a.png", "--save", "png61"), "unknown format 'png61': did you mean 'png16'"),
        (("a.png", "-x"), "unknown flag '-x'"),
    ],
)
def test_bad_words(capsys: pytest.CaptureFixture[str], words: tuple[str, ...], sentence: str) -> None:
    code, out, err = here(capsys, "predict", *words)
    assert (code, out) == (2, "")
    assert sentence in err
    assert err.count("\n") == 1


def test_bad_models_and_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str], model: str) -> None:
    photo = picture(tmp_path / "a.png")
    corrupt = tmp_path / "corrupt"
    corrupt.mkdir()
    (corrupt / "config.json").write_text((Path(model) / "config.json").read_text())
    (corrupt / "model.safetensors").write_bytes(b"not weights")
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "config.json").write_text('{"architectures": ["Bert"]}')
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    for name in ("runs/first/best", "runs/second", "cut/stage0/last", "cut/stage1/last", "begun/stage0/last"):
        shutil.copytree(model, tmp_path / name)
    before = names(tmp_path)
    for words, sentence in [
        ((photo, "--model", "generall"), "unknown model 'generall'"),
        ((photo, "--model", corrupt), "corrupt"),
        ((photo, "--model", foreign), "foreign"),
        ((photo, "--model", tmp_path / "empty"), "is not a model: it has no config.json; give a folder written by"),
        ((photo, "--model", tmp_path / "runs"), f"give one of the models in {tmp_path}/runs: first, second."),
        (
            (photo, "--model", tmp_path / "cut"),
            f"stopped in stage1 or right after it, before its last stage left a model; go on with it (the same command "
            f"with --resume), or take what an earlier one has learned: {tmp_path}/cut/stage1.",
        ),
        ((photo, "--model", tmp_path / "begun"), "go on with it (the same command with --resume).\n"),
        (
            (photo, "--model", tmp_path / "runs" / "second" / "model.safetensors"),
            f"is a file of a model; give its folder, {tmp_path}/runs/second.",
        ),
        ((photo, "--model", model, "--device", "abacus"), "'abacus' cannot be used"),
        ((photo, "--model", model, "--out", tmp_path / "file" / "out"), "cannot write to"),
        ((tmp_path / "empty", "--model", model), "holds no photos or videos"),
        ((tmp_path / "gone.png", "--model", model), "there is no file"),
    ]:
        code, out, err = here(capsys, "predict", *words)
        assert (code, out) == (2, ""), words
        assert sentence in err
        assert err.count("\n") == 1, err
    assert names(tmp_path) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="the administrator may write everywhere")
def test_a_read_only_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str], model: str) -> None:
    photo = picture(tmp_path / "locked" / "a.png")
    photo.parent.chmod(0o500)
    code, _, err = here(capsys, "predict", photo, "--model", model)
    assert code == 2
    assert "cannot write to" in err


def test_all_formats_and_photos_between_flags(tmp_path: Path, capsys: pytest.CaptureFixture[str], model: str) -> None:
    photo, out = picture(tmp_path / "a.png"), tmp_path / "out"
    saved = "png16,npz,exr,pfm,ply,glb"
    code, _, err = here(capsys, "predict", "--save", saved, photo, "--out", out, "--flip-average", "--model", model)
    assert code == 0, err
    assert "60 degrees" in err
    arrays = ["a_disp.npy", "a_disp.npz", "a_disp.exr", "a_disp.pfm", "a_disp16.png"]
    others = {"a_disp.png", "a_disp.json", "a_disp16.json", "a_disp.ply", "a_disp.glb"}
    assert names(out) == {*arrays, *others}
    first = read_depth(out / arrays[0])
    for name in arrays[1:]:
        again = read_depth(out / name)
        assert (again.kind, again.model) == (first.kind, first.model)
        assert torch.allclose(again.inverse_depth, first.inverse_depth, atol=1e-4)


def test_out_names_the_results(tmp_path: Path, capsys: pytest.CaptureFixture[str], model: str) -> None:
    photo, out, folder = picture(tmp_path / "in" / "a.png"), tmp_path / "out", tmp_path / "in"
    words = ("predict", photo, "--model", model, "--out")
    plain = {f"near{suffix}" for suffix in (".npy", ".png", ".json")}
    for name, more, written in (
        ("near.npy", (), plain),
        ("near.exr", ("--save", "png16", "--uncertainty", "2"), plain | {
            "near.exr", "near16.png", "near16.json", "near_uncertainty.npy", "near_uncertainty.png"
        }),
    ):  # fmt: skip
        code, _, err = here(capsys, *words, out / name, *more)
        assert (code, err, names(out)) == (0, "", written)
    assert read_depth(out / "near.exr").size == read_depth(out / "near16.png").size == (40, 60)
    (out / "mine.png").write_bytes(b"of somebody else")
    code, _, err = here(capsys, *words, out / "mine.png")
    assert (code, "the results are named mine_2." in err) == (0, True), err
    assert {"mine_2.png", "mine_2.npy", "mine_2.json"} < names(out)
    for bad, sentence in (
        ((photo, photo.with_name("b.jpg"), "--out", out / "x.png"), "x.png names one file, and there are 2 inputs"),
        ((folder, "--out", out / "x.png"), "x.png names one file, and there are 2 inputs"),
        ((photo, "--out", out / "x.jpg"), "ends in .jpg, which is not written of a.png; end it in .npy"),
        ((photo, "--out", folder / "a.npy", "--overwrite"), "a.png, an input; give another --out"),
        ((folder, "--out", out / "x.png", "--workers", "2"), "results go to a folder of their own"),
    ):
        picture(folder / "b.jpg")
        code, _, err = here(capsys, "predict", "--model", model, *bad)
        assert (code, sentence in err) == (2, True), err
    assert names(folder) == {"a.png", "b.jpg"}


def test_flip_average_and_size_change_the_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], model: str
) -> None:
    photo = picture(tmp_path / "a.png")
    results = []
    for n, flags in enumerate([(), ("--flip-average",), ("--size", "256x256")]):
        assert here(capsys, "predict", photo, "--model", model, "--out", tmp_path / f"{n}", *flags)[0] == 0
        results.append(np.load(tmp_path / f"{n}" / "a_disp.npy"))
    assert not np.array_equal(results[0], results[1])
    assert not np.array_equal(results[0], results[2])


def test_a_folder_is_not_fed_its_own_results(tmp_path: Path, capsys: pytest.CaptureFixture[str], model: str) -> None:
    picture(tmp_path / "a.png")
    picture(tmp_path / "b.jpg")
    assert here(capsys, "predict", tmp_path, "--model", model)[0] == 0
    assert here(capsys, "refocus", tmp_path / "a.png", "--at", "0.5", "0.5", "--model", model)[0] == 0
    assert here(capsys, "predict", tmp_path, "--model", model, "--save", "png16")[0] == 0
    before = names(tmp_path)
    code, out, _ = here(capsys, "predict", tmp_path, "--model", model, "--save", "png16")
    assert (code, names(tmp_path)) == (0, before)
    assert out.startswith("2 done")
    assert "a_disp_disp.npy" not in before
    assert "a_defocus_disp.npy" not in before


def moving(count: int):
    for index in range(count):
        image = torch.full((1, 3, 48, 64), 0.2)
        image[..., 10:30, 2 + index : 20 + index] = 0.9
        yield image


def test_a_video_has_one_range_and_arrays_on_request(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], model: str
) -> None:
    write_video(tmp_path / "clip.mp4", moving(10), Fraction(12))
    code, _, err = here(capsys, "predict", tmp_path / "clip.mp4", "--model", model, "--save", "npy")
    assert code == 0, err
    assert names(tmp_path) == {"clip.mp4", "clip_disp.mp4", "clip_disp.json", "clip_disp"}
    clip = describe(tmp_path / "clip_disp.mp4")
    assert (clip.rate, clip.count) == (12, 10)
    card = json.loads((tmp_path / "clip_disp.json").read_text())
    low, high = card["shown_range"]
    assert card["frames"] == 10
    arrays = sorted((tmp_path / "clip_disp").glob("*.npy"))
    assert [path.name for path in arrays] == [f"{n:06d}_disp.npy" for n in range(10)]
    every = np.stack([np.load(path) for path in arrays])
    assert low <= np.quantile(every, 0.02)
    assert high >= np.quantile(every, 0.98)
    assert read_depth(arrays[0]).size == (48, 64)
    before = names(tmp_path)
    assert here(capsys, "predict", tmp_path, "--model", model)[0] == 0  # the depth video is not an input
    assert names(tmp_path) == before
    code, _, err = here(capsys, "predict", tmp_path / "clip.mp4", "--model", model, "--save", "ply")
    assert code == 2
    assert "no single point cloud" in err


def test_a_cut_video_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str], model: str) -> None:
    write_video(tmp_path / "clip.mp4", moving(10), Fraction(12))
    data = (tmp_path / "clip.mp4").read_bytes()
    (tmp_path / "clip.mp4").write_bytes(data[: len(data) // 2])
    code, _, err = here(capsys, "predict", tmp_path / "clip.mp4", "--model", model)
    assert code == 2
    assert "clip.mp4" in err
    assert names(tmp_path) == {"clip.mp4"}


def test_sizes() -> None:
    assert height_width("--size", "256x512") == (256, 512)
    assert height_width("--size", "256X512") == (256, 512)
    for text in ("256", "0x4", "axb", "1x2x3", "-1x5"):
        with pytest.raises(InputError):
            height_width("--size", text)


def test_a_camera_profile_of_another_lens_is_noted(tmp_path: Path, model: str, capsys) -> None:
    """Focal lengths within 15 % are one camera's, as of a picture cut to 16:9 whose EXIF counts the diagonal."""
    noise = np.random.default_rng(0).integers(0, 255, (120, 160, 3), np.uint8)
    for name, rows, film in (
        ("wide", 120, 24),
        ("zoomed", 120, 27),
        ("cut", 90, 24),
        ("tele", 120, 77),
        ("none", 120, 0),
    ):
        exif = Image.Exif()
        exif[0x8769] = {0xA405: film}
        Image.fromarray(noise[:rows]).save(tmp_path / f"{name}.jpg", exif=exif)
    turned = Image.Exif()
    turned[0x8769], turned[0x0112] = {0xA405: 24}, 6
    Image.fromarray(noise).save(tmp_path / "turned.jpg", exif=turned)
    profile = tmp_path / "mine.json"
    write_profile(profile, CameraProfile(2.5, "by hand", None, read_photo(tmp_path / "wide.jpg").camera))
    for name in ("wide", "zoomed", "cut", "turned", "none", "tele"):
        for command in (["predict"], ["refocus", "--at", "0.5", "0.5"]):
            words = (
                *command,
                tmp_path / f"{name}.jpg",
                "--model",
                model,
                "--profile",
                profile,
                "--out",
                tmp_path / "out",
            )
            code, _, told = here(capsys, *words)
            assert (code, "focal length of" in told) == (0, name == "tele"), (name, told)
            words = "made at a focal length of 24 mm (35 mm equivalent), and this photo was taken at 77 mm"
            assert name != "tele" or words in told, told
    write_profile(profile, CameraProfile(2.5, "by hand", None, Equirectangular()))
    _, _, told = here(
        capsys, "predict", tmp_path / "wide.jpg", "--model", model, "--profile", profile, "--out", tmp_path
    )
    assert "made with a panorama, and this is an ordinary photo" in told


def test_a_camera_profile_gives_metres(tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The profile that the app saves; with a map that is in metres then, refocusing takes a distance."""
    photo, profile, out = picture(tmp_path / "a.png"), tmp_path / "mine.json", tmp_path / "out"
    write_profile(profile, CameraProfile(2.5, "two points 1 m apart"))
    for more, folder in (((), "plain"), (("--profile", profile), "metres")):
        words = ("predict", photo, "--model", model, "--uncertainty", "2", "--out", out / folder, *more)
        code, _, err = here(capsys, *words)
        assert code == 0, err
    for name in ("a_disp.npy", "a_uncertainty.npy"):
        plain, metres = np.load(out / "plain" / name), np.load(out / "metres" / name)
        np.testing.assert_allclose(metres, plain / 2.5, rtol=1e-5)
    card = json.loads((out / "metres" / "a_disp.json").read_text())
    assert (card["unit"], card["ambiguity"]) == ("m", "metric")
    nearest = 2.5 / np.load(out / "plain" / "a_disp.npy").max()
    words = ("refocus", photo, "--model", model, "--focus-distance", str(nearest), "--out", out)
    assert here(capsys, *words)[0] == 2, "relative depth knows no distances"
    code, _, err = here(capsys, *words, "--profile", profile)
    assert code == 0, err
    for wrong, why in ((tmp_path / "none.json", "there is no file"), (photo, "holds no text")):
        code, _, err = here(capsys, "predict", photo, "--model", model, "--profile", wrong, "--out", out / "none")
        assert (code, why in err) == (2, True), err
