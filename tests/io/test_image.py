"""Photos as cameras and phones make them, and what is said when they are broken."""

import io
import itertools
import math
import struct
import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pillow_heif
import pytest
import torch
from PIL import Image

from cyclopean.errors import InputError
from cyclopean.io.depthmap import colourise, from_numbers, value_range
from cyclopean.io.image import Photo, jpeg, read_photo, resize, resize_depth, size_within, write_photo
from profiles import swapped_profile

# EXIF orientation -> how the upright picture was stored (numpy), written by hand from the EXIF table
STORED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: a.transpose(1, 0, 2)[::-1],
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: a.transpose(1, 0, 2)[:, ::-1],
}


def scene(h=24, w=40, full=255) -> np.ndarray:
    """Smooth, and different in every corner and channel."""
    v, u = np.mgrid[0:h, 0:w]
    rgb = np.stack([u / (w - 1), v / (h - 1), 1 - (u + v) / (w + h - 2)], -1)
    return (rgb * full).round().astype(np.uint8 if full == 255 else np.uint16)


def as_array(photo: Photo) -> np.ndarray:
    return photo.image[0].permute(1, 2, 0).numpy()


def test_every_orientation_is_turned_upright(tmp_path: Path) -> None:
    for orientation, suffix in itertools.product(STORED, (".jpg", ".png", ".tif", ".webp")):
        exif = Image.Exif()
        exif[274] = orientation
        path = tmp_path / f"turned{suffix}"
        options = {".jpg": {"quality": 100, "subsampling": 0}, ".webp": {"lossless": True}}.get(suffix, {})
        Image.fromarray(np.ascontiguousarray(STORED[orientation](scene()))).save(path, exif=exif, **options)
        photo = read_photo(path)
        assert photo.size == (24, 40), (orientation, suffix)
        assert np.abs(as_array(photo) - scene() / 255).max() < (0.03 if suffix == ".jpg" else 1e-6), (
            orientation,
            suffix,
        )


def test_an_orientation_in_one_byte_is_one(tmp_path: Path) -> None:
    """Its type is SHORT by the standard; some programs write BYTE or UNDEFINED."""
    exif = Image.Exif()
    exif[274] = 6
    usual = exif.tobytes()
    entry = usual.index(struct.pack(">HHIHH", 274, 3, 1, 6, 0))
    for kind in (1, 7):
        stored = usual[:entry] + struct.pack(">HHIBBBB", 274, kind, 1, 6, 0, 0, 0) + usual[entry + 12 :]
        path = tmp_path / f"{kind}.png"
        Image.fromarray(np.ascontiguousarray(STORED[6](scene()))).save(path, exif=stored)
        assert np.abs(as_array(read_photo(path)) - scene() / 255).max() < 1e-6, kind


def test_every_orientation_with_16_bits(tmp_path: Path) -> None:
    for orientation, suffix in itertools.product(STORED, (".png", ".tif")):
        deep = scene(full=65535)
        stored = np.ascontiguousarray(STORED[orientation](deep)[..., ::-1])
        data = cv2.imencode(suffix, stored)[1].tobytes()
        exif = Image.Exif()
        exif[274] = orientation
        path = tmp_path / f"deep{suffix}"
        if suffix == ".png":
            body = exif.tobytes().removeprefix(b"Exif\0\0")
            crc = struct.pack(">I", zlib.crc32(b"eXIf" + body))
            data = data[:33] + struct.pack(">I", len(body)) + b"eXIf" + body + crc + data[33:]
        else:
            data = with_tiff_orientation(data, orientation)
        path.write_bytes(data)
        photo = read_photo(path)
        assert photo.bits == 16, (orientation, suffix)
        assert np.abs(as_array(photo) - deep / 65535).max() < 1e-6, (orientation, suffix)


def with_tiff_orientation(data: bytes, orientation: int) -> bytes:
    """A little-endian TIFF whose first directory is copied to the end with the orientation tag added."""
    offset = struct.unpack("<I", data[4:8])[0]
    count = struct.unpack("<H", data[offset : offset + 2])[0]
    entries = [data[offset + 2 + 12 * i : offset + 14 + 12 * i] for i in range(count)]
    entries = [e for e in entries if e[:2] != struct.pack("<H", 274)]
    entries.append(struct.pack("<HHIHH", 274, 3, 1, orientation, 0))
    entries.sort(key=lambda e: struct.unpack("<H", e[:2])[0])
    data += b"\0" * (len(data) % 2)
    body = struct.pack("<H", len(entries)) + b"".join(entries) + struct.pack("<I", 0)
    return data[:4] + struct.pack("<I", len(data)) + data[8:] + body


def test_heic_is_read_upright(tmp_path: Path) -> None:
    for orientation in (1, 3, 6, 8):
        pillow_heif.register_heif_opener()
        exif = Image.Exif()
        exif[274] = orientation
        path = tmp_path / "phone.HEIC"
        stored = np.ascontiguousarray(STORED[orientation](scene(48, 80)))
        Image.fromarray(stored).save(path, format="HEIF", quality=95, exif=exif.tobytes())
        photo = read_photo(path)
        assert photo.size == (48, 80), orientation
        assert np.abs(as_array(photo) - scene(48, 80) / 255).mean() < 0.02, orientation


def test_every_mode_becomes_rgb(tmp_path: Path) -> None:
    for mode in ("1", "L", "LA", "P", "RGBA", "CMYK", "I;16", "YCbCr"):
        suffix = ".tif" if mode in ("CMYK", "YCbCr") else ".png"
        grey = np.repeat(scene()[..., :1], 3, -1) / 255
        if mode == "I;16":
            picture = Image.fromarray(scene(full=65535)[..., 0].copy())
        elif mode == "1":
            picture = Image.fromarray(scene()[..., 0]).convert("1", dither=Image.Dither.NONE)
            grey = (grey >= 0.5).astype(float)
        elif mode in ("L", "LA"):
            picture = Image.fromarray(scene()[..., 0].copy()).convert(mode)
        else:
            picture = Image.fromarray(scene()).convert(mode)
        packed = {"compression": "jpeg", "quality": 98} if mode == "YCbCr" else {}  # as nearly all such files are
        picture.save(tmp_path / f"m{suffix}", **packed)
        expected = grey if mode in ("1", "L", "LA", "I;16") else scene() / 255
        error = np.abs(as_array(read_photo(tmp_path / f"m{suffix}")) - expected).mean()
        assert error < {"P": 0.06, "YCbCr": 0.01}.get(mode, 1 / 255), mode


def test_alpha_and_transparent_palette_lie_over_white(tmp_path: Path) -> None:
    rgba = np.zeros((20, 20, 4), np.uint8)
    rgba[:, 10:] = (255, 0, 0, 255)
    Image.fromarray(rgba).save(tmp_path / "cut.png")
    rgba[:, 10:, 3] = 128
    Image.fromarray(rgba).save(tmp_path / "half.png")
    Image.fromarray(rgba).quantize(8).save(tmp_path / "palette.png")
    deep = (rgba[..., [2, 1, 0, 3]].astype(np.uint16)) * 257
    (tmp_path / "deep.png").write_bytes(cv2.imencode(".png", deep)[1].tobytes())
    assert as_array(read_photo(tmp_path / "cut.png"))[0, 0].tolist() == [1, 1, 1]
    assert as_array(read_photo(tmp_path / "cut.png"))[0, 15].tolist() == [1, 0, 0]
    for name in ("half.png", "deep.png", "palette.png"):
        pixels = as_array(read_photo(tmp_path / name))
        assert pixels[0, 0] == pytest.approx([1, 1, 1], abs=0.02)
        assert pixels[0, 15] == pytest.approx([1, 0.5, 0.5], abs=0.02)


def test_a_profile_is_converted_to_srgb(tmp_path: Path) -> None:
    for deep in (False, True):
        path = tmp_path / "wide.png"
        Image.fromarray(scene()).save(path, icc_profile=swapped_profile())
        if deep:
            chunk_at = path.read_bytes().index(b"iCCP") - 4
            size = struct.unpack(">I", path.read_bytes()[chunk_at : chunk_at + 4])[0]
            chunk = path.read_bytes()[chunk_at : chunk_at + 12 + size]
            data = cv2.imencode(".png", scene(full=65535)[..., ::-1].copy())[1].tobytes()
            path.write_bytes(data[:33] + chunk + data[33:])
        photo = read_photo(path)
        assert photo.bits == (16 if deep else 8), deep
        assert np.abs(as_array(photo)[..., [1, 0, 2]] - scene() / 255).max() < 0.02, deep


def test_cmyk_profile_and_jpeg(tmp_path: Path) -> None:
    Image.new("CMYK", (32, 32), (0, 255, 255, 0)).save(tmp_path / "print.jpg", quality=95)
    red = as_array(read_photo(tmp_path / "print.jpg"))[16, 16]
    assert red[0] > 0.8
    assert red[1:].max() < 0.25


def with_exif(path: Path, tags: dict[int, float], size=(40, 24), orientation: int = 1) -> Path:
    exif = Image.Exif()
    exif[274] = orientation
    exif[0x8769] = tags
    Image.new("RGB", size, "grey").save(path, exif=exif)
    return path


def test_focal_length_by_35_mm_equivalent(tmp_path: Path) -> None:
    camera = read_photo(with_exif(tmp_path / "a.jpg", {0xA405: 50}, (600, 400))).camera
    assert camera is not None
    diagonal = 2 * math.atan(math.hypot(0.5 / float(camera.focal[0, 0]), 0.5 * 400 / 600 / float(camera.focal[0, 0])))
    assert math.degrees(diagonal) == pytest.approx(46.8, abs=0.05)  # the field of view of a 50 mm lens on film
    assert float(camera.focal[0, 1] / camera.focal[0, 0]) == pytest.approx(1.5)
    assert camera.center.tolist() == [[0.5, 0.5]]


def test_focal_length_by_sensor_resolution_of_a_shrunk_photo(tmp_path: Path) -> None:
    # 36 mm wide sensor of 6000 px, 50 mm lens: f = 50/36 image widths, in any size of the picture
    tags = {0x920A: 50.0, 0xA20E: 6000 / 3.6, 0xA210: 3, 0xA002: 6000, 0xA003: 4000}
    camera = read_photo(with_exif(tmp_path / "a.jpg", tags, (600, 400))).camera
    assert camera is not None
    assert float(camera.focal[0, 0]) == pytest.approx(50 / 36, rel=1e-3)


def test_a_crop_keeps_the_focal_length_and_a_resized_photo_the_field_of_view(tmp_path: Path) -> None:
    """Taken with 4000x3000 pixels, 24 mm of film: 2774 pixels of focal length. What was cropped is said."""
    whole = 24 / math.hypot(36, 24) * 5000
    for size, turned, focal, said in (
        ((4000, 3000), 1, whole, False),
        ((400, 300), 1, whole / 10, False),
        ((403, 302), 1, whole * 403 / 4000, False),  # rounded
        ((4000, 3000), 6, whole, False),  # on its side: 3000x4000 upright
        ((300, 400), 1, whole / 10, False),  # turned by a program that left the tags
        ((4000, 2250), 1, whole, True),
        ((1500, 1500), 1, whole, True),
        ((2250, 3000), 1, whole, True),  # upright, out of a landscape: all of its rows
        ((3000, 2250), 6, whole * 0.75, False),  # of a camera on its side it is the whole
        ((6000, 1000), 1, whole * 1.5, True),  # enlarged, too
    ):
        for tags in ({0xA405: 24}, {0x920A: 5.0, 0xA20E: whole / 5 * 10, 0xA210: 3}):
            path = with_exif(tmp_path / "a.jpg", {**tags, 0xA002: 4000, 0xA003: 3000}, size, turned)
            photo = read_photo(path)
            assert photo.camera is not None
            pixels = float(photo.camera.focal[0, 0]) * photo.size[1]
            assert pixels == pytest.approx(focal, rel=2e-3), (size, turned, tags)
            assert any("taken for a crop" in note for note in photo.notes) == said, (size, turned, photo.notes)
    angle = math.degrees(2 * math.atan(750 / whole))
    (note,) = read_photo(with_exif(tmp_path / "a.jpg", {0xA405: 24, 0xA002: 4000, 0xA003: 3000}, (1500, 1500))).notes
    assert f"{angle:.0f} degrees along its longer side" in note


def test_no_focal_length_no_camera(tmp_path: Path) -> None:
    for tags in ({}, {0xA405: 0}, {0xA405: 1}, {0x920A: 50.0}, {0x920A: 0.0, 0xA20E: 0.0}):
        assert read_photo(with_exif(tmp_path / "a.jpg", tags)).camera is None, tags


def test_a_photo_on_its_side_has_its_camera_turned(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    exif[0x8769] = {0xA405: 50}
    Image.new("RGB", (60, 40)).save(tmp_path / "a.jpg", exif=exif)
    camera = read_photo(tmp_path / "a.jpg").camera
    assert camera is not None
    assert float(camera.focal[0, 0] / camera.focal[0, 1]) == pytest.approx(1.5)  # now 40 wide, 60 high


def test_saving_keeps_exif_and_depth_of_colour(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[271], exif[274], exif[0x8769] = "Maker", 6, {0xA405: 35}
    words = {tag: f"Überschrift {tag}\0".encode("utf-16-le") for tag in range(0x9C9B, 0x9CA0)}  # as Windows writes them
    words |= {0x4746: 4, 0x4749: 75, 269: "roll 3", 305: "Darkroom 2", 316: "desk", 315: "A. Nobody"}
    for tag, value in {**words, 282: 300.0, 256: 7, 0x1000: 7}.items():  # the last three are of the old file
        exif[tag] = value
    Image.fromarray(scene()).save(tmp_path / "a.jpg", exif=exif)
    photo = read_photo(tmp_path / "a.jpg")
    photo.save(tmp_path / "b.png")
    deep = Photo(photo.image * 0.999, photo.camera, "b.png", "PNG", 16, photo.exif)
    deep.save(tmp_path / "c.png")
    for name in ("b.png", "c.png"):
        with Image.open(tmp_path / name) as picture:
            again = picture.getexif()
        assert again[271] == "Maker"
        assert {tag: again.get(tag) for tag in words} == words
        assert not {256, 0x1000} & set(again)
        assert 274 not in again or again[274] == 1
        assert again.get_ifd(0x8769)[0xA405] == 35
    assert torch.equal(read_photo(tmp_path / "b.png").image, photo.image)
    assert (read_photo(tmp_path / "c.png").image - deep.image).abs().max() < 1e-4 / 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.jpg", "b.png", "c.png"]


def test_every_format_is_written(tmp_path: Path) -> None:
    for suffix in (".jpg", ".webp", ".tif", ".bmp", ".heic", ".gif", ".ppm"):
        rgb = torch.from_numpy(scene(48, 64)).permute(2, 0, 1)[None] / 255
        Photo(rgb).save(tmp_path / f"a{suffix}")
        assert np.abs(as_array(read_photo(tmp_path / f"a{suffix}")) - scene(48, 64) / 255).mean() < 0.05, suffix


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is limited as on Linux")
def test_memory_that_writing_is_refused_is_one_sentence_and_leaves_no_file(tmp_path: Path) -> None:
    script = """
import os, resource, sys, torch
from pathlib import Path
from cyclopean.errors import contained
from cyclopean.io.image import Photo

for suffix in (".jpg", ".png", ".webp", ".tif", ".heic", ".jp2"):
    for bits in (8, 16):
        path, dot = Path(sys.argv[1]) / f"a{bits}{suffix}", torch.rand(1, 3, 1, 1)
        Photo(dot.expand(1, 3, 64, 64), bits=bits).save(path)  # what is needed is loaded
        path.unlink()
        used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (used + 2**22, resource.RLIM_INFINITY))
        bad = []
        with contained(path.name, bad):
            Photo(dot.expand(1, 3, 2000, 3000), bits=bits).save(path)
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        print(*bad)
"""
    done = subprocess.run([sys.executable, "-c", script, tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 12
    assert all("needs more memory than this computer has free" in line for line in lines), lines
    assert list(tmp_path.iterdir()) == []


def test_unknown_suffix_suggests(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"did you mean '\.jpeg'"):
        write_photo(tmp_path / "a.jpeeg", Photo(torch.zeros(1, 3, 16, 16)))


def broken_files(folder: Path) -> dict[str, tuple[Path, str]]:
    whole = io.BytesIO()
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (64, 64, 3), np.uint8)).save(whole, "JPEG")
    png16 = cv2.imencode(".png", rng.integers(0, 65535, (64, 64, 3)).astype(np.uint16))[1].tobytes()
    contents = {
        "text": (b"this is a note, not a picture\n" * 20, "is not a picture"),
        "cut.jpg": (whole.getvalue()[:1500], "damaged or cut short"),
        "cut16": (png16[: len(png16) // 2], "damaged or cut short"),
        "empty": (b"", r"empty \(0 bytes\)"),
        "header": (whole.getvalue()[:12], "is not a picture"),
    }
    made = {}
    for name, (data, message) in contents.items():
        path = folder / (name if "." in name else f"{name}.png")
        path.write_bytes(data)
        made[name] = (path, message)
    return made


def test_broken_files_are_one_sentence(tmp_path: Path) -> None:
    for path, message in broken_files(tmp_path).values():
        with pytest.raises(InputError, match=message) as error:
            read_photo(path)
        assert "\n" not in str(error.value)
        assert str(path) in str(error.value)


def test_missing_folder_small_and_float(tmp_path: Path) -> None:
    Image.new("RGB", (1, 1)).save(tmp_path / "dot.png")
    Image.fromarray(np.zeros((20, 20), np.float32)).save(tmp_path / "float.tif")
    for path, message in [
        (tmp_path / "gone.png", "there is no file"),
        (tmp_path, "is a folder"),
        (tmp_path / "dot.png", "1x1 pixels"),
        (tmp_path / "float.tif", "32-bit"),
    ]:
        with pytest.raises(InputError, match=message):
            read_photo(path)


def test_a_huge_picture_is_refused_before_decoding(tmp_path: Path) -> None:
    header = struct.pack(">IIBBBBB", 20000, 20000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    data = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    (tmp_path / "huge.png").write_bytes(data + struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT")))
    with pytest.raises(InputError, match=r"20000x20000 .400 megapixels.*--max-megapixels"):
        read_photo(tmp_path / "huge.png")
    with pytest.raises(InputError, match="cut short"):  # within the limit it is opened
        read_photo(tmp_path / "huge.png", 500.0)


def test_resize_averages_areas_and_keeps_ramps() -> None:
    image = torch.rand(1, 3, 12, 20, dtype=torch.float64)
    assert torch.allclose(resize(image, (6, 5)), image.unflatten(2, (6, 2)).unflatten(4, (5, 4)).mean((3, 5)))
    ramp = torch.linspace(0, 1, 10, dtype=torch.float64).expand(1, 1, 4, 10)
    grown = resize(ramp, (4, 20))
    assert torch.allclose(grown[..., 1:-1].diff(), grown.new_tensor(1 / 18))
    assert resize(image, (12, 20)) is image
    assert resize(image, (6, 40)).mean() == pytest.approx(float(image.mean()), abs=0.02)


def test_sizes_within_a_number_of_pixels() -> None:
    assert size_within((720, 1280), 100_000) == (237, 422)
    assert size_within((40, 60), 100_000) == (40, 60)
    assert size_within((1, 4000), 100, 2) == (2, 632)
    assert size_within((24, 200_000), 10**9, longest=4096) == (1, 4096)


def test_sides_longer_than_a_format_holds(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """One sentence with a remedy, and nothing of the encoder's own; textures are shrunk, and keep a row."""
    for suffix, most in {".jpg": 65_500, ".jpeg": 65_500, ".mpo": 65_500, ".webp": 16_383, ".gif": 65_535}.items():
        write_photo(tmp_path / f"a{suffix}", Photo(torch.zeros(1, 3, 16, most)))
        for size in ((16, most + 1), (most + 1, 16)):
            with pytest.raises(InputError, match=f"at most {most} on a side; write a .png"):
                write_photo(tmp_path / f"b{suffix}", Photo(torch.zeros(1, 3, *size)))
            write_photo(tmp_path / "b.png", Photo(torch.zeros(1, 3, *size)))
    assert capfd.readouterr().err == ""
    for size, longest, wanted in (
        ((24, 200_000), 4096, (4096, 1)), ((200_000, 24), 4096, (1, 4096)), ((16, 70_000), 65_500, (65_500, 15)),
        ((40, 60), 4096, (60, 40)),
    ):  # fmt: skip
        with Image.open(io.BytesIO(jpeg(torch.full((1, 3, *size), 0.5), longest))) as picture:
            assert (picture.format, picture.size) == ("JPEG", wanted)


def test_resizing_depth_leaves_unknown_pixels_out() -> None:
    values = torch.full((1, 1, 4, 4), 2.0)
    values[..., :3] = torch.nan
    small = resize_depth(from_numbers(values, "disparity"), (2, 2))
    assert small.valid.tolist() == [[[[False, True], [False, True]]]]
    assert small.inverse_depth[0, 0, 0, 1] == 2
    sky = resize_depth(from_numbers(torch.full((1, 1, 4, 4), torch.inf), "depth", "m"), (8, 8))
    assert bool(sky.valid.all())
    assert bool((sky.inverse_depth == 0).all())


def test_colours_of_nothing_special() -> None:
    values = torch.tensor([[[[0.0, 1.0, torch.nan, 2.0]]]])
    colours = colourise(values, 0.0, 1.0)
    luma = colours.mean(1)[0, 0]
    assert luma[0] < 0.05
    assert luma[1] == luma[3]
    assert luma[1] > 0.7
    assert colours[0, :, 0, 2].tolist() == pytest.approx([0.5] * 3, abs=0.5 / 255 + 1e-6)  # one of 255 steps
    assert bool(colourise(torch.ones(1, 1, 2, 2), 1.0, 1.0).isfinite().all())
    assert value_range(torch.full((5,), torch.nan)) == (0, 1)
    low, high = value_range(torch.cat([torch.linspace(0, 1, 1000), torch.tensor([1e9, torch.inf])]))
    assert 0 < low < 0.02
    assert 0.98 < high < 1


def test_the_resolution_of_a_file_is_kept(tmp_path: Path) -> None:
    """In every kind of file that has a place for it, of 8 and of 16 bits; across and down change when it is turned."""
    from cyclopean.io.photo_encoders import tiff

    def stated(path: Path) -> tuple[float, float]:
        with Image.open(path) as picture:
            return picture.info["dpi"]

    pixels = scene()
    for name in ("a.jpg", "a.png", "a.tif", "a.bmp"):
        Image.fromarray(pixels).save(tmp_path / name, dpi=(300, 300))
        photo = read_photo(tmp_path / name)
        for result in ("b.jpg", "b.png", "b.tif", "b.bmp"):
            photo.save(tmp_path / result)
            assert stated(tmp_path / result) == pytest.approx((300, 300), abs=0.1), (name, result)
        for result in ("c.png", "c.tif"):
            replace(photo, bits=16).save(tmp_path / result)
            assert read_photo(tmp_path / result).encoder_options["dpi"] == pytest.approx((300, 300), abs=0.1)
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(pixels).save(tmp_path / "turned.jpg", exif=exif, dpi=(300, 150))
    read_photo(tmp_path / "turned.jpg").save(tmp_path / "upright.jpg")
    assert stated(tmp_path / "upright.jpg") == (150, 300)
    (tmp_path / "deep.tif").write_bytes(tiff(pixels.astype(np.uint16) * 257, b"", b"", dpi=(240.0, 240.0)))
    read_photo(tmp_path / "deep.tif").save(tmp_path / "d.tif")
    assert read_photo(tmp_path / "d.tif").encoder_options["dpi"] == (240, 240)
    Image.fromarray(pixels).save(tmp_path / "unknown.png")
    assert "dpi" not in read_photo(tmp_path / "unknown.png").encoder_options
