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


def refocused(source: Path, depth: Path, save: str) -> list[Path]:
    """The pictures of one run. All is at one depth: nothing is blurred, and the result should be the photo itself."""
    words = ["refocus", str(source), "--at", "0.5", "0.5", "--depth", str(depth), "--save", save]
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
    (result,) = refocused(source, depth, "same")
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
    (result,) = refocused(source, tmp_path / "depth.npy", "same")
    assert result.suffix == ".pgm"
    assert result.read_bytes()[:2] == b"P5"
    assert difference(source, result) < 0.6


@pytest.mark.parametrize("name", ["rough.jpg", "deep.png", "deep.tiff", "phone.heic", "deep.heic", "lossy.webp"])
def test_other_formats(tmp_path: Path, depth: Path, name: str) -> None:
    source = tmp_path / name
    FILES[name][0](source)
    results = refocused(source, depth, "png16,tiff")
    assert [p.suffix for p in results] == [".png", ".tif"]
    for result in results:
        check_metadata(result)
        assert read_photo(result).bits == 16
        assert difference(source, result) < 0.6


def test_a_name_that_hides_its_format(tmp_path: Path, depth: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "photo.img"
    by_pillow(format="JPEG")(source)
    with pytest.raises(SystemExit) as stop:
        cli.main(["refocus", str(source), "--at", "0.5", "0.5", "--depth", str(depth), "--save", "same"])
    assert stop.value.code == 2
    assert "photo.img, a JPEG, cannot be saved in the format of its name" in capsys.readouterr().err
