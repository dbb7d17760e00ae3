"""Photos as they come from everywhere: strange metadata, 16-bit TIFFs, thumbnails first, bright light, raw files."""

import io
import itertools
import struct
import sys
import time
import zlib
from pathlib import Path

import cv2
import numpy as np
import pillow_heif
import pytest
import tifffile
import torch
from PIL import ExifTags, Image, ImageCms
from stills import LIGHT, png

from cyclopean import cli
from cyclopean.defocus.lens import diagonal
from cyclopean.defocus.matte import read_matte
from cyclopean.errors import InputError
from cyclopean.geometry import Pinhole
from cyclopean.inference.predictor import working_size
from cyclopean.io import metadata
from cyclopean.io.decoding import read_image
from cyclopean.io.files import PHOTOS
from cyclopean.io.image import Photo, read_photo, write_photo
from cyclopean.io.metadata import read_gpano
from cyclopean.io.photo_encoders import USUAL
from scenes import SCENE, H, U, W, as_array, stored


def directory(entries: list[tuple[int, int, int, bytes]], at: int) -> bytes:
    """A little-endian directory of (tag, type, count, value) to stand at the offset `at`."""
    more, body, beyond = at + 2 + 12 * len(entries) + 4, b"", b""
    for tag, kind, count, value in sorted(entries):
        place = value.ljust(4, b"\0") if len(value) <= 4 else struct.pack("<I", more + len(beyond))
        beyond += value + bytes(len(value) % 2) if len(value) > 4 else b""
        body += struct.pack("<HHI", tag, kind, count) + place
    return struct.pack("<H", len(entries)) + body + bytes(4) + beyond


def jpeg_with(part: int, bad: tuple[int, int, int, bytes]) -> bytes:
    """A JPEG on its side whose EXIF has a maker, a focal length, and in `part` one more tag."""
    parts: dict[int, list[tuple[int, int, int, bytes]]] = {
        0: [(271, 2, 6, b"Maker\0"), (274, 3, 1, b"\6\0"), (0x8769, 4, 1, b"\0\4\0\0"), (0x8825, 4, 1, b"\0\x18\0\0")],
        0x8769: [(0xA405, 3, 1, struct.pack("<H", 35))],
        0x8825: [(1, 2, 2, b"N\0")],
    }
    parts[part] = [entry for entry in parts[part] if entry[0] != bad[0]] + [bad]
    data = b"II*\0\10\0\0\0"
    for at, entries in zip((8, 0x400, 0x1800), parts.values(), strict=True):
        data = data.ljust(at, b"\0") + directory(entries, at)
    file = io.BytesIO()
    Image.fromarray(stored(SCENE, 8)).save(file, "JPEG", quality=98)
    body = b"Exif\0\0" + data
    return b"\xff\xd8\xff\xe1" + struct.pack(">H", len(body) + 2) + body + file.getvalue()[2:]


def test_tags_of_a_wrong_type_or_value_are_dropped_one_by_one(tmp_path: Path) -> None:
    kinds = [
        *(
            (1, 1, b"\7"),
            (2, 5, b"abcd\0"),
            (2, 4, b"\xff\xfe\xfd\0"),
            (3, 3, bytes(6)),
            (4, 1, b"\xff" * 4),
            (2, 0, b""),
        ),
        *((5, 1, struct.pack("<II", 5, 0)), (10, 1, struct.pack("<ii", -1, 0)), (12, 1, struct.pack("<d", np.nan))),
        *((6, 1, b"\xff"), (7, 8, b"UNICODE\0"), (99, 1, b"abcd"), (13, 1, bytes(4))),
    ]
    tags = [(0, tag) for tag in (270, 305, 306, 315, 33432, 700, 0x8769, 0x8825)]
    tags += [
        (0x8769, tag) for tag in (33434, 33437, 34855, 36864, 36867, 37377, 37380, 37386, 37510, 40961, 41486, 41988)
    ]
    tags += [(0x8825, tag) for tag in (0, 1, 2, 5, 6, 7, 29)]
    suffixes = itertools.cycle([".jpg", ".png", ".tif", ".webp", ".heic", ".avif", ".jp2", ".bmp"])
    for (part, tag), kind in itertools.product(tags, kinds):
        (tmp_path / "a.jpg").write_bytes(jpeg_with(part, (tag, *kind)))
        photo = read_photo(tmp_path / "a.jpg")
        assert photo.size == (W, H), (part, tag, kind)
        suffix = next(suffixes)
        write_photo(tmp_path / f"b{suffix}", photo)
        if suffix in (".jp2", ".bmp"):
            continue
        with Image.open(tmp_path / f"b{suffix}") as picture:
            assert picture.getexif()[271] == "Maker", (part, tag, kind, suffix)
            if tag not in (0x8769, 0xA405):
                assert picture.getexif().get_ifd(0x8769)[0xA405] == 35, (part, tag, kind, suffix)
    for value in ((2, 2, b"6\0"), (5, 1, struct.pack("<II", 6, 1)), (4, 1, b"\6\0\0\0")):  # of another type, but clear
        (tmp_path / "a.jpg").write_bytes(jpeg_with(0, (274, *value)))
        assert read_photo(tmp_path / "a.jpg").size == (W, H)
    (tmp_path / "a.jpg").write_bytes(jpeg_with(0x8825, (0, 2, 8, b"2.2.0.0\0")))
    assert "damaged is left out of what is written (GPSVersionID)" in read_photo(tmp_path / "a.jpg").notes[0]


def test_tags_of_a_wrong_type_refuse_no_turned_avif(tmp_path: Path) -> None:
    """Pillow writes the tags of such a file anew when it opens it, which fails for some."""
    path, entry = tmp_path / "a.avif", struct.Struct("<HHI")
    upright = stored(SCENE, 8)
    turns = {1: upright, 3: upright[::-1, ::-1], 6: upright.swapaxes(0, 1)[::-1], 7: upright[::-1, ::-1].swapaxes(0, 1)}
    for turn, (part, tag, good), kind in itertools.product(
        turns, ((0x8825, 0, 1), (0x8769, 36864, 7), (0, 305, 2)), (2, 5, 10, 12, 13, 99)
    ):
        exif = jpeg_with(part, (tag, good, 4, b"230\0"))[6:0x2000]  # behind the mark and the length of the segment
        exif = exif.replace(entry.pack(274, 3, 1) + b"\6\0", entry.pack(274, 3, 1) + bytes([turn, 0]))
        Image.fromarray(np.ascontiguousarray(turns[turn])).save(
            path, quality=95, subsampling="4:4:4", speed=10, exif=exif
        )
        data = path.read_bytes()
        broken = data.replace(entry.pack(tag, good, 4), entry.pack(tag, kind, 4))
        broken = broken if kind != 99 or part else data.replace(b"II*\0", b"no, ")  # not even a header
        assert (broken != data) == (kind != good)
        path.write_bytes(broken)
        photo, case = read_photo(path), (turn, part, tag, kind)
        assert np.abs(as_array(photo) - SCENE).mean() < 3 / 255, case
        assert np.abs(read_image(path)[0].permute(1, 2, 0).numpy() - SCENE).mean() < 3 / 255, case
        if kind != 2 and (kind, bool(part)) != (99, True):  # larger than what is there: what follows is lost too
            continue
        assert isinstance(photo.camera, Pinhole), case  # of 35 mm
        write_photo(tmp_path / "b.jpg", photo)
        with Image.open(tmp_path / "b.jpg") as picture:
            assert picture.getexif()[271] == "Maker", case
        assert not photo.notes or "damaged is left out" in photo.notes[0], case


def test_metadata_too_large_for_a_jpeg_are_left_out_and_said(tmp_path: Path) -> None:
    large = Image.Exif()
    large[271] = "Maker"
    large[0x8769] = {ExifTags.Base.UserComment: b"ASCII\0\0\0" + b"x" * 100_000, 0xA405: 35}
    Image.fromarray(stored(SCENE, 8)).save(tmp_path / "a.png", exif=large)
    photo = read_photo(tmp_path / "a.png")
    assert "(UserComment)" in photo.notes[0]
    for number, suffix in enumerate(USUAL):
        for bits in (8, 16):
            for data in (photo.exif, large.tobytes(), b"Exif\0\0no tags" * 9000):
                path = tmp_path / f"b{number}{suffix}"
                write_photo(path, Photo(photo.image, exif=data, bits=bits))
                assert read_photo(path).size == (H, W)
    with Image.open(tmp_path / "b2.jpg") as picture:
        assert not picture.getexif()
    write_photo(tmp_path / "c.jpg", Photo(photo.image, exif=large.tobytes()))
    with Image.open(tmp_path / "c.jpg") as picture:
        assert picture.getexif()[271] == "Maker"
        assert picture.getexif().get_ifd(0x8769) == {0xA405: 35}
    assert metadata.fitting(large.tobytes(), 10**6) == large.tobytes()


def test_profiles_of_no_known_colour_space_are_left_out(tmp_path: Path) -> None:
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for at, odd in (
        (16, b"\xff\xfe\xfd\xfc"),
        (16, b"GRAY"),
        (16, b"CMYK"),
        (36, b"\0\0\0\0"),
        (12, b"\xff\xff\xff\xff"),
    ):
        changed = bytes(profile[:at] + odd + profile[at + 4 :])
        Image.fromarray(stored(SCENE, 8)).save(tmp_path / "a.png", icc_profile=changed)
        photo = read_photo(tmp_path / "a.png")
        assert np.abs(as_array(photo) - SCENE).max() < 3 / 255
        for suffix, bits in itertools.product((".jpg", ".png", ".tif", ".heic"), (8, 16)):
            write_photo(tmp_path / f"b{suffix}", Photo(photo.image, profile=photo.profile, bits=bits))
            assert np.abs(as_array(read_photo(tmp_path / f"b{suffix}")) - SCENE).mean() < 3 / 255


def test_damaged_metadata_of_pngs_are_left_out(tmp_path: Path) -> None:
    bodies = (b"", b"\xff", bytes(3), b"\xff" * 40, b"Comment\0\1\0\0\0" + zlib.compress(b"x" * 2_000_000))
    names = (b"iCCP", b"eXIf", b"tRNS", b"pHYs", b"gAMA", b"cHRM", b"sRGB", b"iTXt", b"zTXt", b"acTL", b"fcTL", b"cICP")
    for name, body, bits in itertools.product(names, bodies, (8, 16)):
        photo = read_photo(png(tmp_path / "a.png", SCENE, [(name, body)], bits))
        assert photo.bits == bits
        if name not in (b"gAMA", b"cHRM", b"tRNS"):
            assert np.abs(as_array(photo) - SCENE).max() < 1 / 255, (name, body[:9])


def test_a_transparent_colour_of_a_png_of_16_bits_is_white_and_no_subject(tmp_path: Path) -> None:
    for channels in (1, 3):
        values, key = stored(SCENE, 16)[..., :channels].copy(), np.array([777, 12, 65000])[:channels]
        values[:10, :20] = key
        data = cv2.imencode(".png", values[..., ::-1])[1].tobytes()
        body = b"tRNS" + key.astype(">u2").tobytes()
        chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
        path = tmp_path / f"{channels}.png"
        path.write_bytes(data[:33] + chunk + data[33:])
        seen = np.repeat(values / 65535, 3 // channels, -1)
        seen[:10, :20] = 1
        photo = read_photo(path)
        assert photo.bits == 16
        assert np.abs(as_array(photo) - seen).max() < 1e-6, channels
        opaque = np.ones((H, W))
        opaque[:10, :20] = 0
        assert (read_matte(path)[0, 0].numpy() == opaque).all(), channels


def test_numbers_of_fewer_bits_in_files_of_sixteen(tmp_path: Path) -> None:
    """White is what a tag states; numbers that were scaled as PNG wants it, and unmarked ones, are read as they are."""
    deep, twelve = stored(SCENE, 16), np.round(SCENE * 4095).astype(np.uint16)

    def tif(values: np.ndarray, tag: int, most: int, kind: str = "rgb") -> Path:
        tags = [(tag, 3, values.shape[-1], (most,) * values.shape[-1], True)]
        path = tmp_path / f"{tag}_{most}_{kind}_{values.max()}.tif"
        tifffile.imwrite(path, values.squeeze(), photometric=kind, metadata=None, extratags=tags)
        return path

    for path in (
        tif(twelve, 281, 4095),
        tif(twelve, 341, 4095),
        png12(tmp_path, twelve, 12),
        png12(tmp_path, deep, 12),
    ):
        photo = read_photo(path)
        assert (photo.bits, photo.notes) == (16, ()), path
        assert np.abs(as_array(photo) - SCENE).max() < 1 / 4095, path
        if path.suffix == ".png":
            assert np.abs(read_image(path)[0].permute(1, 2, 0).numpy() - SCENE).max() < 1 / 4095
    grey = 4095 - twelve[..., :1]
    assert np.abs(as_array(read_photo(tif(grey, 281, 4095, "miniswhite"))) - SCENE[..., :1]).max() < 1 / 4095
    for path in (
        tif(twelve, 281, 3000),
        tif(twelve, 281, 65535),
        png12(tmp_path, twelve, 16),
        png12(tmp_path, twelve, 8),
    ):
        photo = read_photo(path)
        assert np.abs(as_array(photo) - SCENE / 16).max() < 1e-3, path
        assert "no number above 4095" in photo.notes[0], path
    assert read_photo(tif(deep, 281, 4095)).notes == ()  # a tag that the numbers contradict


def png12(folder: Path, values: np.ndarray, bits: int) -> Path:
    data = cv2.imencode(".png", values[..., ::-1].copy())[1].tobytes()
    chunk = b"sBIT" + bytes([bits] * 3)
    path = folder / f"{bits}_{values.max()}.png"
    path.write_bytes(data[:33] + struct.pack(">I", 3) + chunk + struct.pack(">I", zlib.crc32(chunk)) + data[33:])
    return path


def test_an_alpha_that_hides_everything_is_ignored(tmp_path: Path) -> None:
    """As of bitmaps from clipboards, which leave it 0. One pixel that is seen makes it an alpha again."""
    eight, deep = stored(SCENE, 8), stored(SCENE, 16)
    for seen in (0, 1):
        alpha = np.zeros((H, W, 1), np.uint8)
        alpha[0, 0] = 255 * seen
        rows = np.concatenate([eight[..., ::-1], alpha], -1)[::-1].tobytes()
        head = struct.pack("<IiiHHIIiiII", 124, W, H, 1, 32, 3, len(rows), 2835, 2835, 0, 0)
        head += struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000) + b"BGRs" + bytes(64)
        (tmp_path / "a.bmp").write_bytes(b"BM" + struct.pack("<IHHI", 138 + len(rows), 0, 0, 138) + head + rows)
        Image.fromarray(np.concatenate([eight, alpha], -1)).save(tmp_path / "a.png")
        rgba = np.concatenate([deep, alpha.astype(np.uint16) * 257], -1)
        (tmp_path / "b.png").write_bytes(cv2.imencode(".png", rgba[..., [2, 1, 0, 3]])[1].tobytes())
        tifffile.imwrite(tmp_path / "a.tif", rgba, photometric="rgb", extrasamples=["unassalpha"], metadata=None)
        for name in ("a.bmp", "a.png", "b.png", "a.tif"):
            photo = read_photo(tmp_path / name)
            if seen:
                assert photo.notes == (), name
                assert as_array(photo)[1:].min() == 1, name
            else:
                assert "is fully transparent" in photo.notes[0], name
                assert np.abs(as_array(photo) - SCENE).max() < 1 / 255, name


def test_kinds_of_jpeg_that_few_programs_read_are_named(tmp_path: Path) -> None:
    """By the marker of their frame; a JPEG of a common kind that was cut is damaged, as before."""
    file = io.BytesIO()
    Image.fromarray(stored(SCENE, 8)).save(file, "JPEG", quality=95)
    data, path = file.getvalue(), tmp_path / "a.jpg"
    at = data.index(b"\xff\xc0")
    for marker, bits, why in (
        (0xC1, 12, "12 bits a sample"), (0xC0, 12, "12 bits a sample"), (0xC3, 8, "lossless"),
        (0xC3, 16, "lossless, 16 bits a sample"), (0xC5, 8, "hierarchical"), (0xC7, 8, "hierarchical, lossless"),
        (0xCB, 8, "lossless, arithmetic coding"), (0xF7, 8, "JPEG-LS"),
    ):  # fmt: skip
        changed = data[: at + 1] + bytes([marker]) + data[at + 2 : at + 4] + bytes([bits]) + data[at + 5 :]
        for more in (b"", b"\xff\xe1\0\x06\xff\xc0\0\0"):  # a thumbnail's frame inside of metadata is not its own
            path.write_bytes(changed[:2] + more + changed[2:])
            for read in (read_photo, read_image):
                with pytest.raises(InputError, match=f"not supported \\({why}\\); export it as a baseline JPEG"):
                    read(path)
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match="damaged or cut short"):
        read_photo(path)


def test_adobe_rgb_as_cameras_mark_it_becomes_srgb_in_picture_and_exif(tmp_path: Path) -> None:
    to_adobe = np.array([[0.7152, 0.2848, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0412, 0.9588]])
    picture = Image.fromarray(stored((LIGHT @ to_adobe.T).clip(0, 1) ** (1 / 2.19921875), 8))
    for space, rule, converted in ((65535, "R03", True), (65535, "R98", False), (1, "R03", False)):
        exif = Image.Exif()
        exif[0x8769] = {0xA001: space, 0xA405: 35, 0xA005: {1: rule}}
        picture.save(tmp_path / "a.jpg", quality=98, subsampling=0, exif=exif)
        photo = read_photo(tmp_path / "a.jpg")
        seen = SCENE if converted else np.array(picture) / 255
        assert np.abs(as_array(photo) - seen).mean() < 2 / 255, (space, rule)
        assert bool(photo.notes) == converted
        write_photo(tmp_path / "b.jpg", photo)
        with Image.open(tmp_path / "b.jpg") as written:
            assert written.getexif().get_ifd(0x8769) == {0xA001: 1 if converted else space, 0xA405: 35}
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif[0x8769] = {0xA001: 65535, 0xA005: {1: "R03"}}
    picture.save(tmp_path / "a.jpg", quality=98, subsampling=0, exif=exif, icc_profile=profile)
    photo = read_photo(tmp_path / "a.jpg")  # a profile counts more
    assert np.abs(as_array(photo) - np.array(picture) / 255).mean() < 2 / 255


def test_white_of_pnm_files_is_what_they_declare(tmp_path: Path) -> None:
    for white, channels in itertools.product((100, 255, 1023, 65535), (1, 3)):
        values = np.round(SCENE[..., :channels] * white).astype(">u2" if white > 255 else "u1")
        path = tmp_path / "a.pnm"
        path.write_bytes(b"P%d\n# %d 3\n%d %d\n%d\n" % (5 if channels == 1 else 6, W, W, H, white) + values.tobytes())
        seen = np.repeat(values / white, 3 // channels, -1)
        photo = read_photo(path)
        deep = white > 255 and channels == 1  # colours are cut to 8 bits
        assert photo.bits == (16 if deep else 8)
        assert np.abs(as_array(photo) - seen).max() < (1e-4 if deep else 0.6 / 255), (white, channels)
        assert np.abs(read_image(path)[0].permute(1, 2, 0).numpy() - seen).max() < 1e-6, (white, channels)


def test_more_frames_than_one_are_said(tmp_path: Path) -> None:
    frames = [Image.fromarray(np.roll(stored(SCENE, 8), n, 1)) for n in range(4)]
    for name in ("a.gif", "a.webp", "a.png", "a.tif", "a.mpo", "a.avif"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
        photo = read_photo(tmp_path / name)
        assert len(photo.notes) == 1, name
        assert photo.notes[0].startswith(f"{name} has 4 "), name
        assert np.abs(as_array(photo) - SCENE).mean() < 0.03, name
        frames[0].save(tmp_path / name)
        assert read_photo(tmp_path / name).notes == ()


def test_the_picture_that_is_used_of_a_burst_is_named(tmp_path: Path) -> None:
    """HEIC names one of its pictures as the main one, which need not be the first."""
    colours = ("red", "green", "blue")
    for main, words in enumerate(("the first is used", "number 2, its main one, is used", "number 3, its main one")):
        burst = pillow_heif.HeifFile()
        for colour in colours:
            burst.add_from_pillow(Image.new("RGB", (96, 64), colour))
        burst.save(tmp_path / "burst.heic", quality=90, primary_index=main)
        photo = read_photo(tmp_path / "burst.heic")
        assert f"burst.heic has 3 frames; {words}" in photo.notes[0]
        assert int(photo.image.mean((0, 2, 3)).argmax()) == main


def test_notes_reach_the_error_stream(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames = [Image.fromarray(np.roll(stored(SCENE, 8), n, 1)) for n in range(3)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    for command in (["predict", str(tmp_path / "a.gif")], ["refocus", str(tmp_path / "a.gif"), "--at", "0.5", "0.5"]):
        with pytest.raises(SystemExit) as stop:
            cli.main([*command, "--out", str(tmp_path / "out")])
        assert stop.value.code == 0
        assert f"cyclopean {command[0]}: a.gif has 3 frames; the first is used." in capsys.readouterr().err


def test_what_a_file_is_counts_and_not_its_suffix(tmp_path: Path) -> None:
    contents = {}
    for kind in ("JPEG", "PNG", "TIFF", "WEBP"):
        file = io.BytesIO()
        Image.fromarray(stored(SCENE, 8)).save(file, kind)
        contents[kind] = file.getvalue()
    for suffix, (kind, data) in itertools.product((*PHOTOS, ".dng", ".txt", ""), contents.items()):
        (tmp_path / f"a{suffix.upper()}").write_bytes(data)
        assert read_photo(tmp_path / f"a{suffix.upper()}").format == kind
    for suffix in USUAL:
        Photo(torch.from_numpy(SCENE).permute(2, 0, 1)[None].float()).save(tmp_path / f"b{suffix}")
        again = as_array(read_photo(tmp_path / f"b{suffix}"))
        seen = np.repeat(SCENE @ [[0.299], [0.587], [0.114]], 3, -1) if suffix == ".pgm" else SCENE
        assert np.abs(again - seen).mean() < 0.03, suffix
    (tmp_path / "note.jpg").write_text("no picture " * 50)
    with pytest.raises(InputError, match="despite its suffix"):
        read_photo(tmp_path / "note.jpg")


def raw(path: Path, first: bytes | None = None) -> Path:
    """A DNG of plain Bayer samples with a small preview before it: red, green and blue as 2 : 4 : 1, white balanced."""
    bayer = np.zeros((H, W), np.uint16)
    bayer[::2, ::2], bayer[::2, 1::2], bayer[1::2, ::2], bayer[1::2, 1::2] = 8000, 16000, 16000, 4000
    matrix = (1, 1, 0, 1, 0, 1, 0, 1, 1, 1, 0, 1, 0, 1, 0, 1, 1, 1)
    both = [
        (50706, "B", 4, (1, 4, 0, 0), True), (50707, "B", 4, (1, 1, 0, 0), True), (50708, "s", 0, "Tester", True),
        (50721, "2i", 9, matrix, True), (50728, "2I", 3, (1, 2, 1, 1, 1, 4), True), (50778, "H", 1, 21, True),
        (274, "H", 1, 6, True),
    ]  # fmt: skip
    sensor = [(33421, "H", 2, (2, 2), True), (33422, "B", 4, (0, 1, 1, 2), True)]
    sensor += [(50714, "H", 1, 0, True), (50717, "H", 1, 65535, True)]
    with tifffile.TiffWriter(path) as file:
        small = stored(SCENE, 8)[::3, ::3]
        file.write(small, photometric="rgb", metadata=None, subfiletype=1, subifds=1, extratags=both)
        file.write(bayer, photometric="cfa", metadata=None, subfiletype=0, extratags=sensor)
    return path


def test_raw_files_are_developed_or_name_what_they_need(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = raw(tmp_path / "a.dng")
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "rawpy", None)
        for name in ("a.dng", "b.tif"):
            (tmp_path / name).write_bytes(path.read_bytes())
            with pytest.raises(InputError, match=r"pip install 'cyclopean\[raw\]'"):
                read_photo(tmp_path / name)
        (tmp_path / "c.raf").write_bytes(b"FUJIFILMCCD-RAW 0201" + bytes(1000))
        with pytest.raises(InputError, match="camera's raw file, which needs"):
            read_photo(tmp_path / "c.raf")
    pytest.importorskip("rawpy", reason="raw files need the extra 'raw'")
    photo = read_photo(path)
    assert (photo.size, photo.bits, photo.format) == ((W, H), 16, "RAW")
    middle = as_array(photo)[30:50, 20:30].mean((0, 1))
    assert np.abs(middle - middle.mean()).max() < 0.02, "grey by the camera's white balance"
    with pytest.raises(InputError, match="80x48"):
        read_photo(path, 0.001)
    with pytest.raises(InputError, match="LibRaw does not develop"):
        read_photo(tmp_path / "c.raf")


def test_radiance_has_one_size_and_any_direction(tmp_path: Path) -> None:
    pixels = b"".join(bytes([100 + y, 90, x, 129]) for y in range(20) for x in range(40))
    head = b"#?RADIANCE\n-Y 16 +X 16\nFORMAT=32-bit_rle_rgbe\n\n"
    (tmp_path / "a.hdr").write_bytes(head + b"-Y 20 +X 40\n" + pixels)
    with pytest.raises(InputError, match="40x20"):
        read_photo(tmp_path / "a.hdr", 0.0005)
    upright = as_array(read_photo(tmp_path / "a.hdr"))
    assert upright.shape == (20, 40, 3)
    for line, turn in {
        b"+Y 20 +X 40": lambda a: a[::-1], b"-Y 20 -X 40": lambda a: a[:, ::-1],
        b"+Y 20 -X 40": lambda a: a[::-1, ::-1],
        b"+X 20 -Y 40": lambda a: a.transpose(1, 0, 2), b"-X 20 +Y 40": lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    }.items():  # fmt: skip
        (tmp_path / "a.hdr").write_bytes(head + line + b"\n" + pixels)
        assert np.array_equal(as_array(read_photo(tmp_path / "a.hdr")), turn(upright)), line


def test_mattes_are_any_picture_too(tmp_path: Path) -> None:
    head = b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 20 +X 40\n"
    (tmp_path / "a.hdr").write_bytes(head + bytes([128, 128, 128, 129]) * 800)
    assert read_matte(tmp_path / "a.hdr").shape == (1, 1, 20, 40)
    (tmp_path / "a.png").write_bytes(jpeg_with(0x8825, (0, 2, 8, b"2.2.0.0\0")))
    assert read_matte(tmp_path / "a.png").shape == (1, 1, W, H)
    on_its_side = Image.Exif()
    on_its_side[274] = 6
    cut = np.concatenate([stored(SCENE, 8), np.where(U < W / 2, 255, 0).astype(np.uint8)[..., None]], -1)
    Image.fromarray(cut).save(tmp_path / "b.png", exif=on_its_side)
    matte = read_matte(tmp_path / "b.png")
    assert matte.shape == (1, 1, W, H)
    assert bool((matte[..., : W // 2, :] == 1).all() and (matte[..., W // 2 :, :] == 0).all())


def test_the_time_of_metadata_is_linear() -> None:
    start = time.process_time()
    for text in (
        "GPano:a>" + " " * 10**6,
        "GPano:a>" * 10**5,
        "GPano:a=" + " " * 10**6,
        "GPano:" * 10**5,
        "<GPano:a " * 10**5,
    ):
        assert read_gpano(text) is None
        assert read_gpano(text.encode()) is None
    assert time.process_time() - start < 2
    assert read_gpano('<x GPano:ProjectionType="Rectilinear"/>') is None


def test_sizes_that_look_alike_are_told_apart(tmp_path: Path) -> None:
    Image.new("RGB", (1001, 1000)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"1.001 megapixels., the limit is 1; "):
        read_photo(tmp_path / "a.png", 1.0)


def test_work_on_very_long_pictures_is_bounded_by_their_pixels() -> None:
    for size in ((16, 60000), (60000, 16), (20, 10**6)):
        height, width = working_size(size, (256, 352), 32)
        assert height * width <= 2.1 * 256 * 352
        assert diagonal(size) <= 2.5 * (size[0] * size[1]) ** 0.5
    assert diagonal((300, 400)) == 500
    assert working_size((400, 600), (256, 352), 32) == (256, 384)
