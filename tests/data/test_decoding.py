"""Pictures of data sets: one size and one way up for headers and pixels, the bits of their format, damage told."""

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

import stereo_pairs as pairs
from cyclopean import cli
from cyclopean.data.files import image_size, read_counts, read_image
from cyclopean.data.folder import FolderDataset
from cyclopean.errors import InputError
from cyclopean.io.image import read_photo


def turned(path: Path, orientation: int, pixels: np.ndarray, **options: object) -> Path:
    """A picture whose EXIF asks to be turned."""
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(pixels).save(path, exif=exif, **options)
    return path


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".mpo", ".avif"])
def test_the_size_is_that_after_exif_everywhere(tmp_path, suffix):
    """In all eight orientations headers, pixels for training and photos for models have one shape, and one content."""
    pixels = np.kron(np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8), np.ones((8, 8, 1), np.uint8))
    for orientation in range(1, 9):
        path = turned(tmp_path / f"{orientation}{suffix}", orientation, pixels, quality=95)
        read = read_image(path)
        assert image_size(path) == tuple(read.shape[-2:]) == ((48, 32) if orientation > 4 else (32, 48))
        with Image.open(path) as picture:
            expected = np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))
        assert np.abs(read[0].permute(1, 2, 0).numpy() * 255 - expected).mean() < 1
        assert torch.allclose(read, read_photo(path).image, atol=3 / 255)


def test_numbers_are_turned_as_their_pictures_are(tmp_path):
    counts = np.arange(20 * 30, dtype=np.uint16).reshape(20, 30)
    read = read_counts(turned(tmp_path / "a.png", 6, counts), 16)
    assert np.array_equal(read[0, 0].numpy(), np.rot90(counts, -1))


def test_orientation_behind_the_pixels_counts_and_nonsense_does_not(tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    said = exif.tobytes()[6:]
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / "a.png")
    whole = (tmp_path / "a.png").read_bytes()
    chunk = struct.pack(">I", len(said)) + b"eXIf" + said + struct.pack(">I", zlib.crc32(b"eXIf" + said))
    end = whole.rindex(b"IEND") - 4
    (tmp_path / "a.png").write_bytes(whole[:end] + chunk + whole[end:])
    assert image_size(tmp_path / "a.png") == tuple(read_image(tmp_path / "a.png").shape[-2:]) == (30, 20)
    assert image_size(turned(tmp_path / "b.jpg", 77, np.zeros((20, 30, 3), np.uint8))) == (20, 30)


def test_turned_pairs_go_through_check_and_training_alike(tmp_path, capsys):
    pairs.write_pairs(tmp_path)
    pairs.write_depth(tmp_path)
    for path in [*(tmp_path / "left").iterdir(), *(tmp_path / "right").iterdir()]:
        stored = np.rot90(cv2.imread(str(path))[..., ::-1])  # EXIF turns it back
        path.unlink()
        turned(path.with_suffix(".jpg"), 6, np.ascontiguousarray(stored), quality=97)
    with pytest.raises(SystemExit) as ended:
        cli.main(["check", str(tmp_path)])
    assert (ended.value.code or 0) == 0, capsys.readouterr().out
    assert FolderDataset(tmp_path)[0].target.image.shape[-2:] == (pairs.H, pairs.W)


def test_other_bits_than_the_formats_are_refused(tmp_path):
    """A 16-bit depth picture saved anew with 8 bits has other numbers: metres would be wrong in silence."""
    cv2.imwrite(str(tmp_path / "8.png"), np.full((20, 30), 200, np.uint8))
    cv2.imwrite(str(tmp_path / "16.png"), np.full((20, 30), 200, np.uint16))
    assert read_counts(tmp_path / "8.png", 8)[0, 0, 0, 0] == read_counts(tmp_path / "16.png", 16)[0, 0, 0, 0] == 200
    with pytest.raises(InputError, match=r"8\.png has 8 bits a pixel and its format 16"):
        read_counts(tmp_path / "8.png", 16)
    with pytest.raises(InputError, match=r"16\.png has 16 bits a pixel and its format 8"):
        read_counts(tmp_path / "16.png", 8)


def flipped(data: bytes, at: float) -> bytes:
    """`data` with some bytes in its middle changed."""
    place = int(len(data) * at)
    return data[:place] + bytes(byte ^ 0x5A for byte in data[place : place + 12]) + data[place + 12 :]


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}])
def test_damage_in_the_middle_of_a_jpeg_is_told(tmp_path, capfd, options):
    picture = Image.fromarray(pairs.texture(0, (200, 300)).astype(np.uint8))
    path = tmp_path / "a.jpg"
    picture.save(path, quality=90, **options)
    read_image(path)
    whole, told = path.read_bytes(), 0
    for at in np.linspace(0.3, 0.9, 12):
        path.write_bytes(flipped(whole, at))
        try:
            read_image(path)
        except InputError as error:
            told += "a.jpg is damaged or cut short" in str(error)
    assert told >= 5  # a decoder may find its way back, and then nothing tells
    assert capfd.readouterr().err == ""


def test_what_cameras_leave_before_the_end_is_no_damage(tmp_path):
    path = tmp_path / "a.jpg"
    Image.fromarray(pairs.texture(0, (64, 96)).astype(np.uint8)).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-2] + b"\0\0" + whole[-2:])
    read_image(path)


def test_check_names_pictures_damaged_in_the_middle(tmp_path, capfd):
    pairs.write_pairs(tmp_path, 4)
    for side in ("left", "right"):
        path = tmp_path / side / "002.png"
        cv2.imwrite(str(path.with_suffix(".jpg")), cv2.imread(str(path)))
        path.unlink()
    for path in (tmp_path / "left" / "000.png", tmp_path / "right" / "002.jpg"):
        path.write_bytes(flipped(path.read_bytes(), 0.6))
    with pytest.raises(SystemExit) as ended:
        cli.main(["check", str(tmp_path)])
    out, err = capfd.readouterr()
    assert ended.value.code == 1
    assert "left/000.png is damaged" in out
    assert "right/002.jpg is damaged or cut short" in out
    assert "libpng" not in err


def test_check_names_frames_of_a_clip_damaged_in_the_middle(tmp_path, capfd, caplog):
    for n in range(12):
        Image.fromarray(pairs.texture(n % 2, (96, 128)).astype(np.uint8)).save(
            tmp_path / f"frame_{n:04}.jpg", quality=90
        )
    path = tmp_path / "frame_0003.jpg"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] + bytes(400) + whole[len(whole) // 2 + 400 :])
    with pytest.raises(SystemExit):
        cli.main(["check", f"clip:{tmp_path}"])
    out, err = capfd.readouterr()
    assert "left out: " in caplog.text
    assert "frame_0003.jpg is damaged or cut short" in caplog.text
    assert "Corrupt JPEG" not in out + err


def test_a_tiff_of_several_pages_has_the_size_of_what_is_read(tmp_path):
    pages = [Image.fromarray(np.full((20 * n, 30 * n, 3), 90, np.uint8)) for n in (1, 3, 2)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    assert image_size(tmp_path / "a.tif") == tuple(read_image(tmp_path / "a.tif").shape[-2:])
    (tmp_path / "b.tif").write_bytes(b"II*\0 and nothing else")
    with pytest.raises(InputError, match=r"b\.tif"):
        image_size(tmp_path / "b.tif")
