"""ICC profiles that fooled an earlier version: names that promise sRGB, light without a curve, grey with alpha."""

import struct
import zlib
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image, ImageCms

from cyclopean.io.image import Photo, read_photo, write_photo
from profiles import D50, P3, curve, profile, sampled
from scenes import SCENE, as_array, stored

LIGHT = np.where(SCENE <= 0.04045, SCENE / 12.92, ((SCENE + 0.055) / 1.055) ** 2.4)
SRGB = curve(3, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(path: Path, numbers: np.ndarray, icc: bytes) -> Path:
    """A PNG of 16 bits: grey, grey with alpha, RGB or RGBA by its channels."""
    h, w, channels = numbers.shape
    header = struct.pack(">IIBBBBB", w, h, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    rows = b"".join(b"\0" + row.tobytes() for row in numbers.astype(">u2"))
    parts = (
        (b"IHDR", header),
        (b"iCCP", b"icc\0\0" + zlib.compress(icc)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts))
    return path


def test_colours_are_those_of_curves_and_primaries_whatever_a_profile_is_called(tmp_path: Path) -> None:
    """16 bits come out exact, in the dark too, and go back to the numbers of the file; 8 bits as exact as they can."""
    even = np.linspace(0, 1, 1024)
    table = sampled(np.where(even <= 0.04045, even / 12.92, ((even + 0.055) / 1.055) ** 2.4))
    wide = np.linalg.inv(D50) @ P3

    def two(x: np.ndarray) -> np.ndarray:
        return np.where(x < 0.2, 0.392 * x, (0.9 * x + 0.1) ** 2)

    for name, shape, primaries, light in (
        ("GIMP built-in Linear sRGB", curve(0, 1.0), D50, lambda x: x),
        ("sRGB-elle-V2-g10.icc", sampled(np.zeros(0)), D50, lambda x: x),
        ("sRGB-elle-V2-g18.icc", curve(0, 1.8), D50, lambda x: x**1.8),
        ("black below a fifth", curve(1, 2.0, 1.25, -0.25), D50, lambda x: np.maximum(1.25 * x - 0.25, 0) ** 2),
        (
            "the same, named by more",
            curve(2, 2.0, 1.25, -0.25, 0.0),
            D50,
            lambda x: np.maximum(1.25 * x - 0.25, 0) ** 2,
        ),
        ("of two parts", curve(4, 2.0, 0.9, 0.1, 0.392, 0.2, 0.0, 0.0), D50, two),
        ("sRGB", SRGB, P3, None),
        ("Display P3", table, P3, None),
    ):
        grid = np.linspace(0, 1, 200_001)
        numbers = SCENE if light is None else np.interp(LIGHT, light(grid), grid)
        seen = np.clip(LIGHT @ wide.T, 0, 1) if light is None else LIGHT
        expected = np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055)
        icc = profile(name, shape, primaries)
        deep = stored(numbers, 16)
        tags = [(34675, 7, len(icc), icc, True)]
        tifffile.imwrite(tmp_path / "a.tif", deep, photometric="rgb", metadata=None, extratags=tags)
        for path in (tmp_path / "a.tif", png(tmp_path / "a.png", deep, icc)):
            photo = read_photo(path)
            assert 255 * np.abs(as_array(photo) - expected).max() < 0.1, (name, path.suffix)
            if light is not None:  # nothing was clipped
                write_photo(tmp_path / "b.tif", photo)
                again = tifffile.imread(tmp_path / "b.tif") / 65535
                assert np.abs(light(again) - light(deep / 65535)).max() < 1e-4, name
                assert 255 * np.abs(as_array(read_photo(tmp_path / "b.tif")) - expected).max() < 0.2, name
        Image.fromarray(stored(numbers, 8)).save(tmp_path / "c.png", icc_profile=icc)
        assert 255 * np.abs(as_array(read_photo(tmp_path / "c.png")) - expected).mean() < 1.5, name


def test_profiles_that_change_nothing_are_left_alone(tmp_path: Path) -> None:
    usual = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for icc in (usual, profile("a name of its own", SRGB, D50)):
        deep = stored(SCENE, 16)
        photo = read_photo(png(tmp_path / "a.png", deep, icc))
        assert np.array_equal(stored(as_array(photo), 16), deep)
        write_photo(tmp_path / "b.png", Photo(photo.image, profile=icc, bits=16))
        again = read_photo(tmp_path / "b.png")
        assert again.profile == icc
        assert np.array_equal(stored(as_array(again), 16), deep)


def test_grey_is_converted_by_its_profile_with_alpha_and_in_colour_channels_too(tmp_path: Path) -> None:
    icc, grey = profile("Gray Gamma 1.0", curve(0, 1.0)), SCENE[..., 1:2]
    light = LIGHT[..., 1:2]
    clear = np.ones_like(light)
    clear[:5] = 0
    expected = np.where(clear > 0, grey, 1)
    for layers in ((light,), (light, clear), (light,) * 3):
        numbers = stored(np.concatenate(layers, -1), 16)
        whole = expected if len(layers) == 2 else grey
        photo = read_photo(png(tmp_path / "a.png", numbers, icc))
        assert photo.bits == 16
        assert 255 * np.abs(as_array(photo) - whole).max() < 0.1, len(layers)
        small = np.round(numbers / 257).astype(np.uint8)
        Image.fromarray(small[..., 0] if len(layers) == 1 else small).save(tmp_path / "b.png", icc_profile=icc)
        assert 255 * np.abs(as_array(read_photo(tmp_path / "b.png")) - whole).mean() < 1.5, len(layers)
