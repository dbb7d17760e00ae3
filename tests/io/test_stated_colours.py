"""Colours that files state in a profile, by numbers or in coded data alone; and opacity over the white of a page."""

import io
import itertools
import struct
import zlib
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pillow_heif
import pytest
import tifffile
from PIL import Image
from stills import LIGHT, TO_2020, TO_P3, hlg, png, pq

from cyclopean.io.image import read_photo
from cyclopean.io.still_colours import UNKNOWN, numbers_of
from scenes import SCENE, H, W, as_array, stored

EVEN = np.linspace(0, 1, 1024)
D50 = {  # columns are red, green and blue under D50
    9: [[0.6735, 0.1657, 0.1251], [0.2790, 0.6753, 0.0456], [-0.0019, 0.0300, 0.7968]],
    12: [[0.5151, 0.2920, 0.1571], [0.2412, 0.6922, 0.0666], [-0.0010, 0.0419, 0.7841]],
}


def pq_curve(values: np.ndarray) -> np.ndarray:
    power = values ** (1 / 78.84375)
    return (np.maximum(power - 0.8359375, 0) / (18.8515625 - 18.6875 * power)) ** (1 / 0.1593017578125)


def hlg_curve(values: np.ndarray) -> np.ndarray:
    return np.where(values <= 0.5, values**2 / 3, (np.exp((values - 0.55991073) / 0.17883277) + 0.28466892) / 12)


def profile(name: str, curve: np.ndarray, primaries: int = 9, cicp: bytes = b"") -> bytes:
    """An ICC profile of a curve, by its samples, and a matrix."""
    xyz = [
        b"XYZ \0\0\0\0" + b"".join(struct.pack(">i", round(v * 65536)) for v in c) for c in np.transpose(D50[primaries])
    ]
    text = name.encode() + b"\0"
    tone = b"curv\0\0\0\0" + struct.pack(">I", len(curve)) + np.round(curve * 65535).astype(">u2").tobytes()
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)
    tags = {
        **{b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(78), b"wtpt": white},
        **dict(zip((b"rXYZ", b"gXYZ", b"bXYZ"), xyz, strict=True)),
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), tone),
        **({b"cicp": b"cicp\0\0\0\0" + cicp} if cicp else {}),
    }
    body, table, at = b"", struct.pack(">I", len(tags)), 132 + 12 * len(tags)
    for key, value in tags.items():
        table += key + struct.pack(">II", at + len(body), len(value))
        body += value + bytes(-len(value) % 4)
    head = struct.pack(">I", at + len(body)) + b"lcms\2\x40\0\0mntrRGB XYZ " + struct.pack(">6H", 2026, 1, 1, 0, 0, 0)
    return (head + b"acsp" + bytes(28) + white[8:]).ljust(128, b"\0") + table + body


def test_profiles_of_bright_light_in_every_kind_of_file(tmp_path: Path) -> None:
    """By the name, the tag `cicp` or the curves; other profiles are converted as they were."""
    srgb = np.where(EVEN <= 0.04045, EVEN / 12.92, ((EVEN + 0.055) / 1.055) ** 2.4)
    wide, p3 = LIGHT @ TO_2020.T * 203, LIGHT @ TO_P3.T * 203
    cases = [
        (pq(wide), profile("ITUR_2100_PQ_FULL", srgb)),
        (pq(wide), profile("Rec. ITU-R BT.2100 PQ", EVEN)),
        (pq(wide), profile("a monitor", pq_curve(EVEN))),
        (pq(p3), profile("a monitor", pq_curve(EVEN), 12)),
        (pq(p3), profile("DisplayP3_PQ", srgb, 12)),
        (pq(p3), profile("unnamed", srgb, 9, bytes([12, 16, 0, 1]))),
        (hlg(wide), profile("Rec2100HLG", srgb)),
        (hlg(wide), profile("a monitor", hlg_curve(EVEN))),
    ]
    for number, (values, icc) in enumerate(cases):
        eight, deep = Image.fromarray(stored(values, 8)), stored(values, 16)
        for suffix in (".png", ".jpg", ".webp", ".tif"):
            how = {"quality": 100, **({"subsampling": 0} if suffix == ".jpg" else {"lossless": True})}
            eight.save(tmp_path / f"a{suffix}", icc_profile=icc, **({} if suffix in (".png", ".tif") else how))
        tifffile.imwrite(
            tmp_path / "b.tif", deep, photometric="rgb", metadata=None, extratags=[(34675, 7, len(icc), icc, True)]
        )
        png(tmp_path / "b.png", values, [(b"iCCP", b"any name\0\0" + zlib.compress(icc))])
        for name in ("a.png", "a.jpg", "a.webp", "a.tif", "b.tif", "b.png"):
            photo = read_photo(tmp_path / name)
            off = np.abs(as_array(photo) - SCENE)
            assert off.max() < (8 if photo.bits == 16 else 60) / 255, (number, name)  # few numbers in the dark
            assert off.mean() < 4 / 255, (number, name)
            assert "white at 203 nits" in photo.notes[0], (number, name)
            assert photo.profile == b"", (number, name)
    named = [(b"iCCP", b"ITUR_2100_PQ_FULL\0\0" + zlib.compress(profile("nothing", srgb)))]
    assert np.abs(as_array(read_photo(png(tmp_path / "a.png", pq(wide), named))) - SCENE).max() < 8 / 255
    for name in ("PQR printer", "sRGB", "HLGX"):
        plain = [(b"iCCP", b"x\0\0" + zlib.compress(profile(name, srgb)))]
        photo = read_photo(png(tmp_path / "a.png", SCENE, plain))
        assert photo.notes == (), name
        assert photo.profile, name


def test_narrow_ranges_of_pngs_are_widened(tmp_path: Path) -> None:
    """Flag 0 of cICP, whatever the curve and the bits, and beside a profile; opacity has the full range."""
    wide = LIGHT @ TO_2020.T * 203
    for (values, numbers), bits in itertools.product([(SCENE, (1, 1)), (SCENE, (1, 13)), (pq(wide), (9, 16))], (8, 16)):
        narrow = (values * 219 + 16) * 2 ** (bits - 8) / (2**bits - 1)
        chunk = (b"cICP", bytes([*numbers, 0, 0]))
        most = (
            (8 if bits == 16 else 60) if numbers[1] == 16 else (2 if bits == 16 else 12)
        )  # PQ of 8 bits has few numbers in the dark
        for more in ([], [(b"iCCP", b"x\0\0" + zlib.compress(profile("other", EVEN)))]):
            found = as_array(read_photo(png(tmp_path / "a.png", narrow, [chunk, *more], bits)))
            assert np.abs(found - SCENE).max() < most / 255, (numbers, bits, more)
        full = as_array(read_photo(png(tmp_path / "a.png", values, [(b"cICP", bytes([*numbers, 0, 1]))], bits)))
        assert np.abs(full - SCENE).max() < most / 255, (numbers, bits)


def test_opacity_is_laid_over_the_white_of_a_page(tmp_path: Path) -> None:
    """Half of the colour in sRGB and half of white, not of the brightest light that a file can code."""
    wide, half, seen = LIGHT @ TO_2020.T * 203, np.full((H, W, 1), 0.5), SCENE / 2 + 0.5
    cases = {
        "PQ": (pq(wide), [(b"cICP", bytes([9, 16, 0, 1]))]),
        "HLG": (hlg(wide), [(b"cICP", bytes([9, 18, 0, 1]))]),
        "linear": (LIGHT, [(b"gAMA", struct.pack(">I", 100000))]),
        "profile": (pq(wide), [(b"iCCP", b"x\0\0" + zlib.compress(profile("PQ", pq_curve(EVEN))))]),
        "linear profile": (LIGHT @ TO_2020.T, [(b"iCCP", b"x\0\0" + zlib.compress(profile("linear", EVEN)))]),
    }
    for (name, (values, chunks)), bits in itertools.product(cases.items(), (8, 16)):
        rgba = np.concatenate([values, half], -1)
        data = cv2.imencode(".png", stored(rgba, bits)[..., [2, 1, 0, 3]].copy())[1].tobytes()
        more = b"".join(struct.pack(">I", len(b)) + k + b + struct.pack(">I", zlib.crc32(k + b)) for k, b in chunks)
        (tmp_path / "a.png").write_bytes(data[:33] + more + data[33:])
        found = as_array(read_photo(tmp_path / "a.png"))
        assert np.abs(found - seen).mean() < 3 / 255, (name, bits)
        assert np.abs(found - seen).max() < (5 if bits == 16 else 22) / 255, (name, bits)
    icc = profile("linear", EVEN)
    for kind in ("assocalpha", "unassalpha"):
        values = LIGHT @ TO_2020.T * (0.5 if kind == "assocalpha" else 1)
        tifffile.imwrite(
            tmp_path / "a.tif", stored(np.concatenate([values, half], -1), 16), photometric="rgb", metadata=None,
            extrasamples=[kind], extratags=[(34675, 7, len(icc), icc, True)],
        )  # fmt: skip
        assert np.abs(as_array(read_photo(tmp_path / "a.tif")) - seen).max() < 3 / 255, kind


def box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I", 8 + len(body)) + kind + body


def colr(primaries: int, transfer: int) -> bytes:
    return box(b"colr", b"nclx", struct.pack(">HHHB", primaries, transfer, 9, 128))


def test_the_colours_of_a_heif_are_those_of_its_main_item() -> None:
    """Not of a gain map before it; also far into the file, in a grid, with wide numbers, and in a sequence."""
    ipco = box(b"ipco", colr(1, 13), colr(9, 16), box(b"av1C", b"\x81\4\x4c\0"))
    for main, wanted in ((1, (1, 13)), (2, (9, 16))):
        for wide in (0, 1):
            size = ">I" if wide else ">H"
            entries = b"".join(
                struct.pack(size, item) + bytes([2, 0, item, 0x80, 3] if wide else [2, item, 0x80 | 3])
                for item in (1, 2)
            )
            ipma = box(b"ipma", bytes([wide, 0, 0, wide]), struct.pack(">I", 2), entries)
            iloc = box(b"iloc", bytes([2 * wide, 0, 0, 0, 0x44, 0]), struct.pack(size, 2))
            for item in (1, 2):
                iloc += struct.pack(size, item) + bytes(2 + 2 * wide) + struct.pack(">HII", 1, 0, 8)
            iloc = struct.pack(">I", len(iloc)) + iloc[4:]
            meta = box(
                b"meta", bytes(4), box(b"pitm", bytes([wide, 0, 0, 0]), struct.pack(size, main)), iloc,
                box(b"iprp", ipco, ipma),
            )  # fmt: skip
            data = box(b"ftyp", b"avif" + bytes(4)) + box(b"free", bytes(70_000)) + meta
            assert numbers_of(data) == wanted, (main, wide)
            assert numbers_of(data[: -len(ipma)]) == UNKNOWN, (main, wide)
    entry = box(b"av01", bytes(78), colr(9, 18))
    track = box(b"stsd", bytes(4), struct.pack(">I", 1), entry)
    for kind in (b"stbl", b"minf", b"mdia", b"trak", b"moov"):
        track = box(kind, track)
    assert numbers_of(box(b"ftyp", b"avis" + bytes(4)) + track) == (9, 18)


def test_avif_and_heic_without_a_colour_box_are_read_by_their_coded_data(tmp_path: Path) -> None:
    wide = LIGHT @ TO_2020.T * 203
    for name, number, values in (("a.heic", 16, pq(wide)), ("b.heic", 18, hlg(wide))):
        file, said = io.BytesIO(), {"color_primaries": 9, "transfer_characteristics": number, "matrix_coefficients": 9}
        pillow_heif.encode(
            "RGB;16", (W, H), stored(values, 16).tobytes(), file, quality=100, chroma=444, full_range_flag=1, **said
        )
        (tmp_path / name).write_bytes(file.getvalue().replace(b"colrnclx", b"freenclx"))
        assert b"colrnclx" in file.getvalue()
        photo = read_photo(tmp_path / name)
        assert np.abs(as_array(photo) - SCENE).mean() < 3 / 255, name
        assert "white at 203 nits" in photo.notes[0], name
    if "libsvtav1" not in av.codecs_available:
        pytest.skip("this build of FFmpeg has no encoder of AV1")
    path, big = tmp_path / "a.avif", np.kron(pq(wide), np.ones((4, 4, 1)))
    tags = {"color_primaries": 9, "color_trc": 16, "colorspace": 9, "color_range": 2}
    numbers = "color-primaries=9:transfer-characteristics=16:matrix-coefficients=9:color-range=1"
    with av.open(str(path), "w", format="avif") as container:
        track = container.add_stream(
            "libsvtav1", rate=1, options={"crf": "5", "preset": "10", "svtav1-params": numbers}
        )
        track.width, track.height, track.pix_fmt = 4 * W, 4 * H, "yuv420p10le"
        frame = av.VideoFrame.from_ndarray(stored(big, 16), format="rgb48le")
        frame = frame.reformat(format="yuv420p10le", dst_colorspace=9, dst_color_range=2)
        frame.pts, frame.time_base = 0, Fraction(1)
        for key, value in tags.items():
            setattr(track.codec_context, key, value)
            setattr(frame, key, value)
        container.mux([*track.encode(frame), *track.encode(None)])
    path.write_bytes(path.read_bytes().replace(b"colrnclx", b"freenclx"))
    photo = read_photo(path)
    assert "white at 203 nits" in photo.notes[0]
    assert np.abs(as_array(photo) - np.kron(SCENE, np.ones((4, 4, 1)))).mean() < 8 / 255


def test_stills_of_high_dynamic_range_are_shown_as_the_scene_at_203_nits(tmp_path: Path) -> None:
    wide, nits = LIGHT @ TO_2020.T, 203
    for name, values in (("PQ", pq(wide * nits)), ("HLG", hlg(wide * nits))):
        photo = read_photo(png(tmp_path / "a.png", values, [(b"cICP", bytes([9, 16 if name == "PQ" else 18, 0, 1]))]))
        assert np.abs(as_array(photo) - SCENE).max() < 8 / 255, name
        assert "white at 203 nits" in photo.notes[0]
        assert (photo.profile, photo.bits) == (b"", 16)
    bright = as_array(read_photo(png(tmp_path / "a.png", pq(wide * 2000), [(b"cICP", bytes([9, 16, 0, 1]))])))
    assert bright[-1, -1, :2].min() > 0.95  # far brighter than white, and still no more than white
    assert bright.max() <= 1
    import pillow_heif

    file = io.BytesIO()
    said = {"color_primaries": 9, "transfer_characteristics": 16, "matrix_coefficients": 9, "full_range_flag": 1}
    pillow_heif.encode("RGB;16", (W, H), stored(pq(wide * nits), 16).tobytes(), file, quality=100, chroma=444, **said)
    (tmp_path / "a.hif").write_bytes(file.getvalue())
    assert np.abs(as_array(read_photo(tmp_path / "a.hif")) - SCENE).mean() < 2 / 255
    file = io.BytesIO()
    Image.fromarray(stored(pq(wide * nits), 8)).save(file, "AVIF", quality=100)
    at = file.getvalue().index(b"colrnclx") + 8
    (tmp_path / "a.avif").write_bytes(file.getvalue()[:at] + b"\0\t\0\x10" + file.getvalue()[at + 4 :])
    assert np.abs(as_array(read_photo(tmp_path / "a.avif")) - SCENE).mean() < 6 / 255


def test_gammas_and_primaries_that_are_not_those_of_srgb(tmp_path: Path) -> None:
    p3 = LIGHT @ TO_P3.T
    encoded = np.where(p3 <= 0.0031308, 12.92 * p3, 1.055 * np.maximum(p3, 0) ** (1 / 2.4) - 0.055)
    chromaticities = struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)
    for name, values, chunks in (
        ("linear", LIGHT, [(b"gAMA", struct.pack(">I", 100000))]),
        ("1.8", LIGHT ** (1 / 1.8), [(b"gAMA", struct.pack(">I", 55556))]),
        ("2.2", SCENE, [(b"gAMA", struct.pack(">I", 45455))]),
        ("none", SCENE, [(b"gAMA", struct.pack(">I", 0))]),
        ("sRGB counts more", SCENE, [(b"gAMA", struct.pack(">I", 100000)), (b"sRGB", b"\0")]),
        ("P3", p3 ** (1 / 2.2), [(b"gAMA", struct.pack(">I", 45455)), (b"cHRM", chromaticities)]),
        ("P3 by numbers", encoded, [(b"cICP", bytes([12, 13, 0, 1]))]),
        ("linear by numbers", LIGHT, [(b"cICP", bytes([1, 8, 0, 1]))]),
    ):
        photo = read_photo(png(tmp_path / "a.png", values, chunks))
        assert np.abs(as_array(photo) - SCENE).max() < 1 / 255, name
        assert photo.notes == ()
