"""Depth in the files of phones: found, meant and turned as its format says, or refused with one sentence."""

import zlib
from pathlib import Path

import numpy as np
import pytest

import phones
from cyclopean.errors import InputError
from cyclopean.io.depthmap import DepthMap
from cyclopean.io.embedded_depth import find_depth, read_embedded_depth
from cyclopean.io.image import read_photo
from phones import SIZE, SMALL, apple_heic, apple_jpeg, apple_xmp, depth_of, dynamic, gdepth, picture, range_codes

TRUTH = 1 / depth_of(SIZE)
METRES, SCALE, AFFINE = ("m", "metric"), ("relative", "scale"), ("relative", "affine")
HEIC_XMP = apple_xmp("portraiteffectsmatte") + apple_xmp(accuracy="absolute")
BLACK_JPEG = picture(np.zeros(SMALL, np.uint8))

# name -> the file, the unit and the ambiguity of its numbers, and the factor by which they differ from 1/m
GOOD: dict[str, tuple[bytes, tuple[str, str], float]] = {
    "inverse.jpg": (gdepth(), METRES, 1),
    "linear.jpg": (gdepth("RangeLinear"), METRES, 1),
    "deep.jpg": (gdepth(stored=picture(range_codes("RangeInverse", 65535))), METRES, 1),
    "soft.jpg": (gdepth(stored=picture(range_codes("RangeInverse"), "JPEG")), METRES, 1),
    "mm.jpg": (gdepth(units="mm", near=1000, far=4000), METRES, 1),
    "no unit.jpg": (gdepth(units=None, near=2, far=8), SCALE, 0.5),
    **{f"turned {turn}.jpg": (gdepth(orientation=turn), METRES, 1) for turn in (3, 6, 8)},
    "dynamic.jpg": (dynamic(), METRES, 1),
    "dynamic inverse.jpg": (dynamic("RangeInverse", kind="PNG"), METRES, 1),
    "behind a gain map.jpg": (dynamic(before=BLACK_JPEG, padding=7), METRES, 1),
    "apple.jpg": (apple_jpeg(), AFFINE, 1),
    "apple absolute.jpg": (apple_jpeg(accuracy="absolute"), METRES, 1),
    "apple 6.jpg": (apple_jpeg(6), AFFINE, 1),
    "apple.heic": (apple_heic(HEIC_XMP), METRES, 1),
    "apple turned.heic": (apple_heic(HEIC_XMP, 6), METRES, 1),
    "apple not turned.heic": (apple_heic(HEIC_XMP, 6, turned_depth=False), METRES, 1),
}


def own(path: Path) -> DepthMap | None:
    found = find_depth(path)
    return None if found is None else read_embedded_depth(path, found, read_photo(path))


def test_every_format_means_what_it_says(tmp_path: Path) -> None:
    """At the photo's size; the thing is where the photo has it, and numbers are the truth where a unit is known."""
    for name, (data, (unit, ambiguity), factor) in GOOD.items():
        depth = own(phones.write(tmp_path / name, data))
        assert depth is not None, name
        assert (depth.size, depth.unit, depth.ambiguity) == (SIZE, unit, ambiguity), name
        difference = np.abs(np.asarray(depth) / factor - TRUTH)
        inside, below = difference[18:42, 24:56].max(), difference[60:].max()
        assert max(inside, below) < 0.02, (name, inside, below)
        assert depth.notes["embedded_size"] in ("32x24", "24x32", "64x48", "48x64"), name


def test_photos_without_depth_have_none(tmp_path: Path) -> None:
    gain = phones.jpeg() + phones.with_segments(BLACK_JPEG, phones.standard(apple_xmp("hdrgainmap")))
    for name, data in (
        ("plain.jpg", phones.jpeg()),
        ("gain.jpg", gain),
        ("motion.jpg", phones.jpeg() + b"\0\0\0\x18ftypmp42" + bytes(99)),
        ("cut.jpg", phones.jpeg()[:900]),
        ("text.jpg", b"no picture"),
        ("a.png", BLACK_JPEG),
        ("broken.heic", b"\0\0\0\x18ftypheic" + bytes(99)),
        ("cut behind.jpg", phones.jpeg() + phones.jpeg()[:500]),
    ):
        assert find_depth(phones.write(tmp_path / name, data)) is None, name


def test_damage_is_one_sentence(tmp_path: Path) -> None:
    wide = picture(np.tile(range_codes("RangeInverse"), (1, 2)))
    header = b"IHDR\0\0\xff\xff\0\0\xff\xff\x08\0\0\0\0"
    bomb = b"\x89PNG\r\n\x1a\n\0\0\0\r" + header + zlib.crc32(header).to_bytes(4) + b"\0\0\0\1IDAT\0"
    small = picture(range_codes("RangeInverse"), "JPEG")
    at = small.index(b"\xff\xc0") + 5  # height and width of the frame
    large = small[:at] + b"\xff\xdc" * 2 + small[at + 4 :]
    entity = b'<!DOCTYPE x [<!ENTITY e "eeee">]><a xmlns:GDepth="http://ns.google.com/photos/1.0/depthmap/">&e;</a>'
    cases = {
        "cut xmp": (gdepth(cut=200), "is damaged or cut short"),
        "cut base64": (gdepth(stored=picture(range_codes("RangeInverse"))[:-40]), "it is damaged or cut short"),
        "not base64": (gdepth(more=' GDepth:Data="%%%%"'), "its data are cut or missing"),
        "near is far": (gdepth(near=4, far=1), "from 4 to 1, which means nothing"),
        "near is 0": (gdepth(near=0), "from 0 to 4, which means nothing"),
        "far is nan": (gdepth(far="nan"), "which means nothing"),
        "far is text": (gdepth(far="here"), "it does not say what is near and far"),
        "another form": (gdepth("Octal"), "it says Octal from 1 to 4"),
        "flat": (gdepth(stored=BLACK_JPEG), "all its numbers are the same"),
        "wide": (gdepth(stored=wide), "it is 64x24 and the photo 128x96, another shape"),
        "huge": (gdepth(stored=bomb), "has more than 120 megapixels"),
        "huge jpeg": (gdepth(stored=large), "has more than 120 megapixels"),
        "entities": (phones.with_segments(phones.jpeg(), phones.standard(entity)), "is damaged or cut short"),
        "cut item": (dynamic(cut=50), "its picture is cut or missing"),
        "no item": (dynamic(stored=b"nothing"), "its picture is cut or missing"),
        "apple": (apple_jpeg(low="x"), "it does not say what its numbers mean"),
        "apple nan": (apple_jpeg(high="nan"), "which means nothing"),
    }
    for name, (data, sentence) in cases.items():
        path = phones.write(tmp_path / f"{name}.jpg", data)
        with pytest.raises(InputError, match=r"has depth of its own \(.*\) that cannot be used: [^\n]*\.$") as error:
            own(path)
        assert sentence in str(error.value), (name, str(error.value))
