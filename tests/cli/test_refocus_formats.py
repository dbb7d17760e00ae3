"""What `cyclopean refocus` hands back is as good as what it was given: format, bits, quality, EXIF, ICC, upright."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
from PIL import Image, JpegImagePlugin

from cyclopean import cli
from cyclopean.io import photo_encoders
from cyclopean.io.image import read_photo
from profiles import swapped_profile

MAKER, ORIENTATION, EXIF, GPS, F_NUMBER, LATITUDE = 0x010F, 0x0112, 0x8769, 0x8825, 0x829D, 2
PROFILE = swapped_profile()  # once: it holds the second it was made in
SIZE = (48, 72)  # height and width as stored, on its side


def deep_pixels() -> np.ndarray:
    """Smooth, different in every corner, and with more than 256 values."""
    h, w = SIZE
    v, u = np.mgrid[0:h, 0:w]
    return (np.stack([u / w, v / h, 1 - (u + v) / (w + h)], -1) * 65535).round().astype(np.uint16)


def metadata() -> bytes:
    exif = Image.Exif()
    exif[MAKER], exif[ORIENTATION] = "maker", 6
    exif.get_ifd(EXIF)[F_NUMBER] = 1.5
    exif.get_ifd(GPS)[LATITUDE] = (48.0, 8.0, 0.0)
    return exif.tobytes()


def by_pillow(**options: Any) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        pillow_heif.register_heif_opener()
        picture = Image.fromarray((deep_pixels() >> 8).astype(np.uint8))
        picture.save(path, exif=metadata(), icc_profile=PROFILE, **options)

    return write


def in_depth(encode: Callable[[np.ndarray, bytes, bytes], bytes]) -> Callable[[Path], None]:
    return lambda path: Path.write_bytes(path, encode(deep_pixels(), metadata(), PROFILE)) and None


# name -> how the file is made, its bits per channel, and the mean difference of 255 that saving again may make
FILES: dict[str, tuple[Callable[[Path], None], int, float]] = {
    "rough.jpg": (by_pillow(quality=60, subsampling=2), 8, 2.0),
    "fine.jpeg": (by_pillow(quality=98, subsampling=0), 8, 1.0),
    "UPPER.JPG": (by_pillow(quality=90, subsampling=1), 8, 2.0),
    "shallow.png": (by_pillow(), 8, 0.6),
    "deep.png": (in_depth(photo_encoders.png), 16, 0.6),
    "shallow.tif": (by_pillow(), 8, 0.6),
    "deep.tiff": (in_depth(photo_encoders.tiff), 16, 0.6),
    "lossy.webp": (by_pillow(quality=80), 8, 2.0),
    "lossless.webp": (by_pillow(lossless=True), 8, 0.6),
    "phone.heic": (by_pillow(quality=90), 8, 1.5),
    "deep.heic": (in_depth(photo_encoders.heic), 16, 1.0),
    "photo.avif": (by_pillow(quality=90), 8, 1.5),
}


def refocused(source: Path, depth: Path, *more: str) -> list[Path]:
    """The pictures of one run. All is at one depth: nothing is blurred, and the result should be the photo itself."""
    words = ["refocus", str(source), "--at", "0.5", "0.5", "--depth", str(depth), *more]
    with pytest.raises(SystemExit) as stop:
        cli.main(words)
    assert stop.value.code == 0
    return sorted(p for p in source.parent.glob(f"{source.stem}_defocus*") if p.suffix != ".json")


@pytest.fixture
def depth(tmp_path: Path) -> Path:
    np.save(tmp_path / "depth.npy", np.full((SIZE[1], SIZE[0]), 0.5, np.float32))
    return tmp_path / "depth.npy"


def check_metadata(path: Path) -> None:
    with Image.open(path) as result:
        exif = result.getexif()
        assert result.size == SIZE
        assert exif.get(ORIENTATION, 1) == 1
        assert exif[MAKER] == "maker"
        assert exif.get_ifd(EXIF)[F_NUMBER] == 1.5
        assert tuple(float(x) for x in exif.get_ifd(GPS)[LATITUDE]) == (48, 8, 0)
        assert result.info["icc_profile"] == PROFILE


def difference(one: Path, other: Path) -> float:
    """Of what both look like, upright in sRGB, in steps of 255."""
    return float((read_photo(one).image - read_photo(other).image).abs().mean() * 255)


@pytest.mark.parametrize("name", FILES)
def test_the_same_again(tmp_path: Path, depth: Path, name: str) -> None:
    make, bits, loss = FILES[name]
    source = tmp_path / name
    make(source)
    (result,) = refocused(source, depth, "--save", "same")
    assert result.suffix == source.suffix
    check_metadata(result)
    assert read_photo(result).format == read_photo(source).format
    assert read_photo(result).bits == read_photo(source).bits == bits
    assert difference(source, result) < loss
    with Image.open(source) as before, Image.open(result) as after:
        if isinstance(before, JpegImagePlugin.JpegImageFile) and isinstance(after, JpegImagePlugin.JpegImageFile):
            assert after.quantization == before.quantization
            assert JpegImagePlugin.get_sampling(after) == JpegImagePlugin.get_sampling(before)


def test_grey_without_colours_stays_so(tmp_path: Path) -> None:
    source = tmp_path / "grey.pgm"
    Image.fromarray((deep_pixels()[..., 0] >> 8).astype(np.uint8)).save(source)
    np.save(tmp_path / "depth.npy", np.full(SIZE, 0.5, np.float32))
    (result,) = refocused(source, tmp_path / "depth.npy", "--save", "same")
    assert result.suffix == ".pgm"
    assert result.read_bytes()[:2] == b"P5"
    assert difference(source, result) < 0.6


@pytest.mark.parametrize("name", ["rough.jpg", "deep.png", "deep.tiff", "phone.heic", "deep.heic", "lossy.webp"])
def test_other_formats(tmp_path: Path, depth: Path, name: str) -> None:
    source = tmp_path / name
    FILES[name][0](source)
    results = refocused(source, depth, "--save", "png16,tiff")
    assert [p.suffix for p in results] == [".png", ".tif"]
    for result in results:
        check_metadata(result)
        assert read_photo(result).bits == 16
        assert difference(source, result) < 0.6


def alike(one: Path, other: Path) -> bool:
    """Whether two JPEG files have the same tables, sampling of colour and order of scans."""
    with Image.open(one) as before, Image.open(other) as after:
        assert isinstance(before, JpegImagePlugin.JpegImageFile)
        assert isinstance(after, JpegImagePlugin.JpegImageFile)
        return (
            after.quantization == before.quantization
            and JpegImagePlugin.get_sampling(after) == JpegImagePlugin.get_sampling(before)
            and ("progressive" in after.info) is ("progressive" in before.info)
        )


def test_without_save_a_jpeg_stays_a_jpeg_and_the_rest_is_png(tmp_path: Path, depth: Path) -> None:
    FILES["scans.jpg"] = by_pillow(quality=83, progressive=True), 8, 2.0
    for name, suffix in (
        ("rough.jpg", ".jpg"), ("fine.jpeg", ".jpeg"), ("UPPER.JPG", ".JPG"), ("scans.jpg", ".jpg"),
        ("deep.png", ".png"), ("shallow.tif", ".png"), ("deep.heic", ".png"), ("lossy.webp", ".png"),
    ):  # fmt: skip
        source = tmp_path / name
        FILES[name][0](source)
        (result,) = refocused(source, depth)
        assert result.suffix == suffix, name
        check_metadata(result)
        assert read_photo(result).bits == FILES[name][1], name
        assert difference(source, result) < 2, name
        assert suffix == ".png" or alike(source, result), name
    for name, options in (("photo.img", {"format": "JPEG"}), ("false.png", {"format": "JPEG"})):
        by_pillow(**options)(tmp_path / name)  # the content counts
        (result,) = refocused(tmp_path / name, depth)
        assert result.suffix == ".jpg", name
        assert alike(tmp_path / name, result), name


def test_out_names_the_file(tmp_path: Path, depth: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its suffix is its format; what exists is not replaced, and what cannot be is said in a sentence."""
    source, out = tmp_path / "rough.jpg", tmp_path / "out"
    FILES["rough.jpg"][0](source)
    for name, kind in (("a.jpg", "JPEG"), ("b.png", "PNG"), ("c.WebP", "WEBP"), ("d.v2.tif", "TIFF")):
        refocused(source, depth, "--out", str(out / name))
        assert capsys.readouterr().out == f"{out / name}\n"
        with Image.open(out / name) as result:
            assert result.format == kind
        assert (out / name).with_suffix(".json").is_file()
    assert alike(source, out / "a.jpg")
    refocused(source, depth, "--out", str(out / "b.png"), "--save", "jpg,png16", "--view", "html")
    assert capsys.readouterr().out.split() == [str(out / f"b{suffix}") for suffix in (".png", ".jpg", ".html")]
    assert read_photo(out / "b.png").bits == 16
    (out / "mine.jpg").write_bytes(b"of somebody else")
    refocused(source, depth, "--out", str(out / "mine.jpg"))
    told = capsys.readouterr()
    assert told.out == f"{out / 'mine_2.jpg'}\n"
    assert "mine.jpg exists and is not an earlier result for rough.jpg: the results are named mine_2." in told.err
    assert (out / "mine.jpg").read_bytes() == b"of somebody else"
    refocused(source, depth, "--out", str(out / "mine.jpg"), "--overwrite")
    assert alike(source, out / "mine.jpg")
    (tmp_path / "folder.jpg").mkdir()
    refocused(source, depth, "--out", str(tmp_path / "folder.jpg"))
    assert (tmp_path / "folder.jpg" / "rough_defocus.jpg").is_file()
    before = source.read_bytes()
    for name, words, sentence in (
        (out / "x.cr2", (), "ends in .cr2, which is not written of rough.jpg; end it in .png"),
        (out / "x.mp4", (), "ends in .mp4"),
        (source, ("--overwrite",), "is the input itself, which is never replaced"),
        (source / "x.jpg", (), "rough.jpg: it is a file; give a folder"),
    ):
        with pytest.raises(SystemExit) as stop:
            cli.main(["refocus", str(source), "--at", "0.5", "0.5", "--out", str(name), *words])
        told = capsys.readouterr()
        assert (stop.value.code, sentence in told.err) == (2, True), told.err
    assert source.read_bytes() == before


def test_a_name_that_hides_its_format(tmp_path: Path, depth: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "photo.img"
    by_pillow(format="JPEG")(source)
    with pytest.raises(SystemExit) as stop:
        cli.main(["refocus", str(source), "--at", "0.5", "0.5", "--depth", str(depth), "--save", "same"])
    assert stop.value.code == 2
    assert "photo.img, a JPEG, cannot be saved in the format of its name" in capsys.readouterr().err
