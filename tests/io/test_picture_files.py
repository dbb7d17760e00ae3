"""What picture files hold: several pictures, an animation apart, a first frame smaller than the whole, rare BMPs."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms, PngImagePlugin

from cyclopean.data.diagnose import rows
from cyclopean.data.folder import FolderDataset
from cyclopean.data.inspect import examine
from cyclopean.errors import InputError
from cyclopean.io.decoding import read_header
from cyclopean.io.image import read_photo
from scenes import SCENE, H, U, W, as_array, stored


def test_pictures_one_behind_the_other_are_said(tmp_path: Path) -> None:
    colours, bits = stored(SCENE, 8), np.packbits(stored(SCENE, 8)[..., 0] < 128, axis=1).tobytes()
    deep = stored(SCENE[..., 0], 16).astype(">u2").tobytes()
    file, other, preview = io.BytesIO(), io.BytesIO(), io.BytesIO()
    Image.fromarray(colours).save(file, "JPEG", quality=95, exif=Image.Exif(), restart_marker_blocks=2)
    Image.fromarray(colours).save(other, "JPEG", progressive=True)
    Image.fromarray(colours).resize((40, 24)).save(preview, "JPEG")
    jpeg, ppm = file.getvalue(), b"P6\n# 2 2\n%d %d\n255\n" % (W, H) + colours.tobytes()
    for name, content, count in (
        ("a.ppm", ppm, 1),
        ("a.ppm", 3 * ppm, 3),
        ("a.ppm", ppm + b"\n" + ppm[:-1], 1),  # a second one that is cut short
        ("a.ppm", ppm + b"P6 and other words", 1),
        ("a.pgm", 2 * (b"P5 %d %d 65535 " % (W, H) + deep), 2),
        ("a.pbm", 4 * (b"P4 %d %d\n" % (W, H) + bits), 4),
        ("a.jpg", jpeg, 1),
        ("a.jpg", jpeg + other.getvalue(), 2),
        ("a.jpg", jpeg + bytes(20) + 2 * jpeg, 3),
        ("a.jpg", other.getvalue() + jpeg, 2),
        ("a.jpg", jpeg + preview.getvalue(), 1),  # of another size, as depth and gain maps are
        ("a.jpg", jpeg + b"....ftypmp42" + jpeg, 1),  # a film behind a photo
    ):
        (tmp_path / name).write_bytes(content)
        told = (f"{name} has {count} frames; the first is used.",) if count > 1 else ()
        assert read_photo(tmp_path / name).notes == told, (name, count)


def test_the_still_picture_before_an_animation_is_said_to_be_apart(tmp_path: Path) -> None:
    still, frame = Image.new("RGB", (W, H), (200, 30, 30)), Image.fromarray(stored(SCENE, 8))
    for frames in ([frame], [frame, frame.transpose(Image.Transpose.ROTATE_180)]):
        still.save(tmp_path / "a.png", save_all=True, default_image=True, append_images=frames)
        photo = read_photo(tmp_path / "a.png")
        assert photo.notes == ("a.png has a still picture, which is used, and an animation apart from it.",)
        assert np.ptp(as_array(photo), axis=(0, 1)).max() == 0


def test_around_the_first_frame_of_a_gif_is_white(tmp_path: Path) -> None:
    file = io.BytesIO()
    Image.fromarray(stored(SCENE, 8)).crop((20, 10, 60, 40)).quantize(200).save(file, "GIF")
    data = file.getvalue()
    place = data.index(b",\0\0\0\0")
    for screen, at, white in (((W, H), (20, 10), True), ((40, 30), (0, 0), False)):
        content = data[:6] + struct.pack("<2H", *screen) + data[10 : place + 1] + struct.pack("<2H", *at)
        (tmp_path / "a.gif").write_bytes(content + data[place + 5 :])
        photo = read_photo(tmp_path / "a.gif")
        seen = as_array(photo)
        assert np.abs(seen[at[1] : at[1] + 30, at[0] : at[0] + 40] - SCENE[10:40, 20:60]).mean() < 0.03
        assert bool((seen[:10] == 1).all() and (seen[40:] == 1).all() and (seen[:, :20] == 1).all()) == white


def bmp(bits: int, packed: int, pixels: bytes, masks: tuple[int, ...], height: int = H) -> bytes:
    """A BMP with a header of version 5."""
    header = struct.pack("<IiiHHIIiiII4I", 124, W, height, 1, bits, packed, len(pixels), 0, 0, 0, 0, *masks)
    return b"BM" + struct.pack("<IHHI", 138 + len(pixels), 0, 0, 138) + header.ljust(124, b"\0") + pixels


def test_the_opacity_of_a_bmp_of_16_bits_is_seen(tmp_path: Path) -> None:
    values, opaque = stored(SCENE, 8).astype("<u2") >> 3, U > W / 2
    pixels = values[..., 0] << 10 | values[..., 1] << 5 | values[..., 2] | opaque.astype("<u2") << 15
    masks = (0x7C00, 0x3E0, 0x1F, 0x8000)
    shown = np.where(opaque[..., None], SCENE, 1)
    for content, seen in (
        (bmp(16, 3, pixels[::-1].astype("<u2").tobytes(), masks), shown),
        (bmp(16, 3, pixels.astype("<u2").tobytes(), masks, -H), shown),
        (bmp(16, 3, pixels.astype("<u2").tobytes(), (*masks[:3], 0), -H), SCENE),
    ):
        (tmp_path / "a.bmp").write_bytes(content)
        assert np.abs(as_array(read_photo(tmp_path / "a.bmp")) - seen).max() < 0.04


def test_bmps_that_few_programs_read_are_named(tmp_path: Path) -> None:
    ten, four = (0x3FF00000, 0xFFC00, 0x3FF), (0xF00, 0xF0, 0xF, 0xF000)
    for content, words in (
        (bmp(0, 4, b"\xff\xd8\xff", (0,) * 4), "with a JPEG inside"),
        (bmp(32, 3, bytes(4 * W * H), (*ten, 0)), "32 bits a pixel, 10-10-10 for red, green and blue"),
        (bmp(32, 3, bytes(4 * W * H), (*ten, 0xC0000000)), "10-10-10-2 for red, green, blue and opacity"),
        (bmp(16, 3, bytes(2 * W * H), four), "16 bits a pixel, 4-4-4-4 for red, green, blue and opacity"),
    ):
        (tmp_path / "a.bmp").write_bytes(content)
        for read in (read_photo, read_header):
            with pytest.raises(InputError, match=f"a.bmp is a BMP of a kind that is not supported .*{words}.*as PNG"):
                read(tmp_path / "a.bmp")
    (tmp_path / "a.bmp").write_bytes(b"BM" + bytes(200))
    with pytest.raises(InputError, match="not a picture that can be read, despite its suffix"):
        read_photo(tmp_path / "a.bmp")


def test_what_has_a_picture_s_suffix_alone_is_named(tmp_path: Path) -> None:
    """Beginnings as programs and servers write them; the name is what helps, not "a whole file"."""
    path = tmp_path / "a.png"
    for suffix, kind in (("ico", "an icon"), ("tga", "a Targa"), ("dds", "a texture"), ("pdf", "a PDF")):
        Image.new("RGB", (32, 32), "red").save(path, suffix)
        with pytest.raises(InputError, match=f"a.png is {kind}.*; give PNG"):
            read_photo(path)
    for content, kind in (
        (b"8BPS\0\1" + bytes(20), "a Photoshop document"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(20), "a JPEG XL"),
        (b'<?xml version="1.0"?>\n<!-- made by hand -->\n<svg width="9"/>', "a drawing"),
        (b"\n<!DOCTYPE html><title>404</title>", "a web page"),
        (b"PK\3\4" + bytes(40), "an archive"),
        (b"\0\0\0\x18ftypmp42" + bytes(40), "a film"),
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match=f"a.png is {kind}.*; give PNG"):
            read_photo(path)
    path.write_bytes(b"")
    with pytest.raises(InputError, match=r"a\.png"):
        read_photo(path)


@pytest.mark.parametrize("text", ["long", "after the pixels", "many"])
def test_texts_of_a_png_do_not_cost_it_anything(tmp_path: Path, text: str) -> None:
    """Workflows of programs that make pictures: more than Pillow reads, which then refuses the whole file."""
    exif = Image.Exif()
    exif[274], exif[271] = 6, "Somebody"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    packet = b"<x:xmpmeta>" + b"x" * 2000 + b"</x:xmpmeta>"
    chunks = PngImagePlugin.PngInfo()
    chunks.add_itxt("XML:com.adobe.xmp", packet.decode(), zip=True)
    Image.fromarray(stored(SCENE, 8)).save(tmp_path / "a.png", exif=exif, icc_profile=profile, pnginfo=chunks)
    data, body = (tmp_path / "a.png").read_bytes(), b"workflow\0\0" + zlib.compress(b"{" * (3 << 20))
    extra = struct.pack(">I", len(body)) + b"zTXt" + body + struct.pack(">I", zlib.crc32(b"zTXt" + body))
    at = len(data) - 12 if text == "after the pixels" else 33  # before the end, behind the header
    (tmp_path / "b.png").write_bytes(data[:at] + extra * (70 if text == "many" else 1) + data[at:])
    plain, photo = read_photo(tmp_path / "a.png"), read_photo(tmp_path / "b.png")
    assert photo.notes == plain.notes == ()
    assert torch.equal(photo.image, plain.image)
    assert photo.size == (SCENE.shape[1], SCENE.shape[0])
    assert (photo.exif, photo.profile) == (plain.exif, plain.profile)
    assert b"Somebody" in photo.exif
    assert read_header(tmp_path / "b.png").size == read_header(tmp_path / "a.png").size


def test_a_check_counts_items_whose_files_hold_several_pictures(tmp_path: Path) -> None:
    picture = Image.fromarray(stored(SCENE, 8))
    for name, kind, count in (("0", "webp", 2), ("1", "tif", 2), ("2", "png", 1)):
        for side in ("left", "right"):
            (tmp_path / side).mkdir(exist_ok=True)
            others = [picture.transpose(Image.Transpose.ROTATE_180)][: count - 1]
            picture.save(tmp_path / side / f"{name}.{kind}", save_all=count > 1, append_images=others)
    (tmp_path / "calibration.json").write_text('{"focal": [1, 2], "baseline_m": 0.1}')
    table = dict(rows(examine("x", FolderDataset(tmp_path), 3)))
    assert table["frames"] == "2 of 3 items have files of several pictures, pages or frames, of which one is used"
