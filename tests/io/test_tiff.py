"""TIFF files: the main picture of several, and its colours whatever the layout; the reason for what is not read."""

import itertools
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from cyclopean.errors import InputError
from cyclopean.io.decoding import read_image, read_stored
from cyclopean.io.image import Photo, read_photo
from scenes import SCENE, H, W, as_array, stored
from stereo_pairs import texture

KINDS = {  # name -> samples, what is to be seen, how they are stored
    "rgb": (SCENE, SCENE, {"photometric": "rgb"}),
    "unspecified": ((SCENE, 0.5), SCENE, {"photometric": "rgb", "extrasamples": ["unspecified"]}),
    "unassociated": ((SCENE, 0.5), SCENE / 2 + 0.5, {"photometric": "rgb", "extrasamples": ["unassalpha"]}),
    "associated": ((SCENE / 2, 0.5), SCENE / 2 + 0.5, {"photometric": "rgb", "extrasamples": ["assocalpha"]}),
    "grey": (SCENE[..., :1], SCENE[..., :1], {"photometric": "minisblack"}),
    "white is zero": (SCENE[..., :1], 1 - SCENE[..., :1], {"photometric": "miniswhite"}),
    "grey, alpha": (
        (SCENE[..., :1], 0.5),
        SCENE[..., :1] / 2 + 0.5,
        {"photometric": "minisblack", "extrasamples": [2]},
    ),
    "bands": (SCENE, SCENE, {"photometric": "minisblack", "extrasamples": [0, 0]}),  # as programs for maps write RGB
    "bands, alpha": ((SCENE, 0.5), SCENE / 2 + 0.5, {"photometric": "minisblack", "extrasamples": [0, 0, 2]}),
    "inks": ((1 - SCENE, 0.2), SCENE * 0.8, {"photometric": "separated"}),
}


def test_tiffs_of_16_bits_are_what_their_8_bit_twins_are(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    pieces = ({}, {"rowsperstrip": 7}, {"tile": (16, 32), "compression": "zlib", "predictor": True})
    for (name, (parts, seen, how)), bits in itertools.product(KINDS.items(), (8, 16)):
        given = parts if isinstance(parts, tuple) else (parts,)
        samples = stored(
            np.concatenate(
                [np.broadcast_to(part, (H, W, np.shape(part)[-1] if np.ndim(part) else 1)) for part in given], -1
            ),
            bits,
        )
        for piece, order, big, planar in itertools.product(pieces, "<>", (False, True), ("contig", "separate")):
            data = np.moveaxis(samples, -1, 0) if planar == "separate" else samples
            options: dict = {**how, **piece}
            if samples.shape[-1] == 1:
                data = samples[..., 0]
            else:
                options["planarconfig"] = planar
            tifffile.imwrite(path, data, byteorder=order, bigtiff=big, metadata=None, **options)
            photo = read_photo(path)
            assert np.abs(as_array(photo) - seen).max() <= 1.3 / 255, (name, bits, piece, order, big)
            assert photo.bits == (8 if name == "inks" else bits)
    for number in (1, 5, 8, 32773):  # none, LZW, Deflate, PackBits
        cv2.imwrite(str(path), stored(SCENE, 16)[..., ::-1].copy(), [cv2.IMWRITE_TIFF_COMPRESSION, number])
        assert np.abs(as_array(read_photo(path)) - SCENE).max() < 1e-4


def test_tiffs_of_16_bits_in_other_colours(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    table = np.stack([np.arange(65536), 65535 - np.arange(65536), np.full(65536, 30000)]).astype(np.uint16)
    red = SCENE[..., 0]
    tifffile.imwrite(path, stored(red, 16), photometric="palette", colormap=table, metadata=None)
    seen = np.stack([red, 1 - red, np.full_like(red, 30000 / 65535)], -1)
    assert np.abs(as_array(read_photo(path)) - seen).max() < 1e-4
    colours = [ImageCms.createProfile(name) for name in ("sRGB", "LAB")]
    lab = np.array(ImageCms.profileToProfile(Image.fromarray(stored(SCENE, 8)), *colours, outputMode="LAB"))
    signed = lab.view(np.int8).astype(np.int16)
    deep = np.stack([lab[..., 0].astype(np.uint16) * 257, *(np.uint16(signed[..., n] * 256) for n in (1, 2))], -1)
    luma = np.array(Image.fromarray(stored(SCENE, 8)).convert("YCbCr"))
    twins = {
        "cielab": (lab, deep),
        "icclab": (lab ^ np.uint8([0, 128, 128]), (lab ^ np.uint8([0, 128, 128])) * np.uint16(256)),
    }
    twins["ycbcr"] = (luma, luma * np.uint16(257))
    for name, (shallow, sixteen) in twins.items():
        more = {"subsampling": (1, 1)} if name == "ycbcr" else {}
        pictures = []
        for samples in (shallow, sixteen):
            tifffile.imwrite(path, samples, photometric=name, metadata=None, **more)
            pictures.append(as_array(read_photo(path)))
        assert np.abs(pictures[0] - pictures[1]).max() <= 1 / 255, name
        assert np.abs(pictures[0] - SCENE).mean() < 2 / 255, name


def test_opacity_and_planes_of_other_colours_are_those_of_an_rgb_twin(tmp_path: Path) -> None:
    """CMYK, CIELab, ICC Lab and YCbCr of 8 and 16 bits, in planes or not, with every kind of extra sample."""
    path, opacity = tmp_path / "a.tif", np.clip(1.2 - np.mgrid[0:H, 0:W][1] / W, 0.25, 1)[..., None]
    eight = stored(SCENE, 8)
    colours = [ImageCms.createProfile(name) for name in ("sRGB", "LAB")]
    lab = np.array(ImageCms.profileToProfile(Image.fromarray(eight), *colours, outputMode="LAB"))
    signed = np.concatenate([lab[..., :1], lab[..., 1:].view(np.int8)], -1).astype(float)  # L of 255, a and b
    luma = np.array(Image.fromarray(eight).convert("YCbCr")).astype(float)
    inks = np.concatenate([255.0 - eight, np.zeros((H, W, 1))], -1)
    middle = {"cielab": (0, 0, 0), "icclab": (0, 0, 0), "ycbcr": (0, 128, 128), "separated": (0, 0, 0, 0)}
    plain = {"cielab": signed, "icclab": signed, "ycbcr": luma, "separated": inks}

    back = np.array(
        ImageCms.profileToProfile(Image.frombytes("LAB", (W, H), lab.tobytes()), *colours[::-1], outputMode="RGB")
    )
    flat = {"cielab": back / 255, "icclab": back / 255, "separated": SCENE}
    flat["ycbcr"] = np.array(Image.fromarray(eight).convert("YCbCr").convert("RGB")) / 255

    def written(name: str, values: np.ndarray, bits: int) -> np.ndarray:
        if name == "cielab":
            deep = np.stack([values[..., 0] * 257, values[..., 1] * 256, values[..., 2] * 256], -1)
            return (np.round(deep if bits == 16 else values).astype(np.int32) & (2**bits - 1)).astype(f"u{bits // 8}")
        values = values + np.array([0, 128, 128]) if name == "icclab" else values
        return np.round(values * ({"icclab": 256}.get(name, 257) if bits == 16 else 1)).astype(f"u{bits // 8}")

    for (name, values), bits, planar, kind, piece in itertools.product(
        plain.items(), (8, 16), ("contig", "separate"), (None, 0, 1, 2, "undeclared"),
        ({"rowsperstrip": 7, "byteorder": ">"}, {"tile": (16, 32), "compression": "zlib", "predictor": True}),
    ):  # fmt: skip
        if kind == "undeclared" and name != "separated":
            continue
        part = opacity if kind == 1 else 1.0
        samples = written(name, (values - middle[name]) * part + middle[name], bits)
        if kind is not None:
            samples = np.concatenate([samples, stored(opacity, bits)], -1)
        more: dict = {"extrasamples": [kind]} if kind in (0, 1, 2) else {}
        more |= {"subsampling": (1, 1)} if name == "ycbcr" else {}
        data = np.ascontiguousarray(np.moveaxis(samples, -1, 0)) if planar == "separate" else samples
        tifffile.imwrite(path, data, photometric=name, planarconfig=planar, metadata=None, **more, **piece)
        if kind == "undeclared":  # another ink
            whole, order = path.read_bytes(), piece.get("byteorder", "<")
            path.write_bytes(whole.replace(struct.pack(f"{order}HH", 338, 3), struct.pack(f"{order}HH", 399, 3), 1))
        seen = flat[name] * opacity + 1 - opacity if kind in (1, 2) else flat[name]
        photo, case = read_photo(path), (name, bits, planar, kind, piece)
        assert np.abs(as_array(photo) - seen).max() < (12 if (kind, bits) == (1, 8) else 2.5) / 255, case
        assert photo.notes == (), case
    empty = np.concatenate([inks, np.zeros((H, W, 1))], -1).astype(np.uint8)
    tifffile.imwrite(path, empty, photometric="separated", planarconfig="contig", extrasamples=[1], metadata=None)
    photo = read_photo(path)
    assert "is fully transparent" in photo.notes[0]
    assert np.abs(as_array(photo) - SCENE).max() < 1.5 / 255


def test_what_a_tiff_stores_is_the_reason_why_it_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    for kind, said in {
        "float32": "stores 32-bit floating-point numbers", "float16": "stores 16-bit floating-point numbers",
        "int16": "stores signed 16-bit integers", "uint32": "stores 32 bits per channel", "int8": "stores signed 8-bit",
    }.items():  # fmt: skip
        for samples, photometric in ((SCENE * 100, "rgb"), (SCENE[..., 0] * 100, "minisblack")):
            tifffile.imwrite(path, samples.astype(kind), photometric=photometric, metadata=None)
            with pytest.raises(InputError, match=f"{said}.*; save it as RGB or grey with 8 or 16 bits"):
                read_photo(path)
    tifffile.imwrite(path, np.zeros((H, W, 12), np.uint16), photometric="minisblack", planarconfig="contig")
    with pytest.raises(InputError, match="has 12 channels"):
        read_photo(path)
    four = np.zeros((H, W, 4), np.uint16)  # red, green, blue and infrared, or blue first
    tifffile.imwrite(path, four, photometric="minisblack", planarconfig="contig", extrasamples=[0, 0, 0])
    with pytest.raises(InputError, match="has 4 channels and does not say which are red, green and blue"):
        read_photo(path)
    tifffile.imwrite(path, stored(SCENE, 8), photometric="rgb", metadata=None)
    packed = path.read_bytes().replace(struct.pack("<HHII", 259, 3, 1, 1), struct.pack("<HHII", 259, 3, 1, 50001))
    path.write_bytes(packed)
    with pytest.raises(InputError, match=r"compressed in a way \(number 50001\) that is not supported"):
        read_photo(path)
    tifffile.imwrite(path, stored(SCENE, 16), photometric="rgb", metadata=None)
    whole = path.read_bytes()
    for kept in (9, 100, len(whole) // 2):
        path.write_bytes(whole[:kept])
        with pytest.raises(InputError, match="damaged or cut short"):
            read_photo(path)


def test_inks_are_cyan_magenta_yellow_and_black_or_named(tmp_path: Path) -> None:
    """By the ink set, 2 for others, and their names; a reversed range of dots has bare paper at 255."""
    path, inks, four = tmp_path / "a.tif", stored(1 - SCENE, 8), "Cyan\0Magenta\0Yellow\0Black\0"

    def write(samples: np.ndarray, *tags: tuple[int, int, int, object], **other: object) -> None:
        tifffile.imwrite(path, samples, photometric="separated", metadata=None, extratags=tags, **other)

    def named(names: str) -> tuple[tuple[int, int, int, object], ...]:
        return (332, 3, 1, 2), (333, 2, len(names), names)

    none = np.zeros((H, W, 1), np.uint8)
    cmyk = np.concatenate([inks, none], -1)
    for packed in (None, "zlib"):
        for samples, tags in (
            (cmyk, ()),
            (cmyk, ((332, 3, 1, 1),)),
            (cmyk, named(four)),
            (255 - cmyk, ((336, 1, 2, (255, 0)),)),
            (255 - cmyk, ((336, 1, 8, (255, 0) * 4),)),
            (cmyk, ((336, 1, 2, (0, 255)),)),
        ):
            write(samples, *tags, compression=packed)
            assert np.abs(as_array(read_photo(path)) - SCENE).max() < 1.5 / 255, tags
    for samples, names, words in (
        (cmyk[..., [3, 0, 1, 2]], "White\0Cyan\0Magenta\0Yellow\0", r"4 inks \(White, Cyan, Magenta, Yellow\)"),
        (np.concatenate([cmyk, none, none], -1), f"{four}Orange\0Green\0", "6 inks .Cyan, .*, Orange, Green"),
        (inks, "Cyan\0Magenta\0Yellow\0", r"3 inks \(Cyan, Magenta, Yellow\)"),
        (none[..., 0], "Black\0", r"1 ink \(Black\)"),
    ):
        photometric = {W: "minisblack", 3: "rgb"}.get(samples.shape[-1], "separated")
        tifffile.imwrite(path, samples, photometric=photometric, metadata=None, extratags=named(names))
        data = path.read_bytes()  # the writer refuses fewer than four inks
        for code in (1, 2):
            data = data.replace(struct.pack("<HHII", 262, 3, 1, code), struct.pack("<HHII", 262, 3, 1, 5))
        path.write_bytes(data)
        with pytest.raises(InputError, match=f"stores {words}.* instead of cyan, magenta, yellow and black; save it"):
            read_photo(path)


def test_the_main_picture_of_a_tiff_is_read_and_not_its_thumbnail(tmp_path: Path) -> None:
    path, photo, small = tmp_path / "a.tif", stored(SCENE, 16), stored(SCENE, 8)[::4, ::4]
    plain = {"photometric": "rgb", "metadata": None}

    def seen(*pages: tuple[np.ndarray, dict]) -> Photo:
        with tifffile.TiffWriter(path) as file:
            for samples, more in pages:
                file.write(samples, **plain, **more)
        found = read_photo(path)
        assert np.abs(as_array(found) - SCENE).max() < 1 / 255
        return found

    reduced = {"subfiletype": 1}
    assert "begins with a small preview" in seen((small, reduced), (photo, {})).notes[0]
    assert "its main picture, 80x48, is used" in seen((small, {**reduced, "subifds": 1}), (photo, {})).notes[0]
    assert seen((photo, {}), (small, reduced)).notes == ()
    assert seen((photo, {"subifds": 1}), (small, reduced)).notes == ()
    assert seen((small, {}), (photo, {})).notes == ("a.tif has 2 pages; the first of full size is used.",)
    larger = np.pad(stored(1 - SCENE, 16), ((0, 30), (0, 20), (0, 0)))  # the next page of a scan, cropped by itself
    assert seen((photo, {}), (larger, {})).notes == ("a.tif has 2 pages; the first is used.",)
    assert seen(*[(photo, {})] * 3).notes == ("a.tif has 3 pages; the first is used.",)
    for whole in (True, False):  # ImageJ writes large stacks as one page, and the others behind it
        tifffile.imwrite(path, np.stack([stored(SCENE, 8)] * 5), imagej=True, truncate=not whole)
        assert read_photo(path).notes == ("a.tif has 5 pages; the first is used.",)
    turned = {"extratags": [(274, "H", 1, 6, True)]}
    assert read_photo_size(path, (small, {**reduced, **turned}), (np.rot90(photo).copy(), {})) == (H, W)


def test_main_pictures_behind_offsets_of_every_type(tmp_path: Path) -> None:
    """LONG, IFD, LONG8 and IFD8, of which the last two are for BigTIFF; either byte order."""
    path, photo, small = tmp_path / "a.tif", stored(SCENE, 16), stored(SCENE, 8)[::4, ::4]
    for big, order in itertools.product((False, True), "<>"):
        with tifffile.TiffWriter(path, bigtiff=big, byteorder=order) as file:
            file.write(small, photometric="rgb", subfiletype=1, subifds=1, metadata=None)
            file.write(photo, photometric="rgb", subfiletype=0, metadata=None)
        whole = path.read_bytes()
        number = "little" if order == "<" else "big"
        at = whole.index((330).to_bytes(2, number) + (18 if big else 13).to_bytes(2, number)) + 2
        for kind in (16, 18, 4, 13) if big else (4, 13):
            data = bytearray(whole)
            data[at : at + 2] = kind.to_bytes(2, number)
            if big and kind in (4, 13):  # half as long
                value = int.from_bytes(data[at + 10 : at + 18], number)
                data[at + 10 : at + 18] = value.to_bytes(4, number) + bytes(4)
            path.write_bytes(data)
            found = read_photo(path)
            assert found.size == (H, W), (big, order, kind)
            assert np.abs(as_array(found) - SCENE).max() < 1 / 255, (big, order, kind)


def test_a_mask_before_the_photo_and_a_preview_alone_are_called_so(tmp_path: Path) -> None:
    path, photo = tmp_path / "a.tif", stored(SCENE, 8)
    mask = np.zeros((2 * H, 2 * W), bool)
    with tifffile.TiffWriter(path) as file:
        file.write(mask, photometric=4, subfiletype=4, metadata=None)
        file.write(photo, photometric="rgb", subfiletype=0, metadata=None)
    found = read_photo(path)
    assert found.size == (H, W)
    assert found.notes == (f"a.tif begins with a mask; its main picture, {W}x{H}, is used.",)
    tifffile.imwrite(path, photo, photometric="rgb", subfiletype=1, metadata=None)
    assert "holds nothing that can be read but a small preview" in read_photo(path).notes[0]


def test_a_raw_file_is_never_its_thumbnail(tmp_path: Path) -> None:
    """By its mark (Phase One), or by a suffix of raw files and a page that is not most of the file."""
    pytest.importorskip("rawpy")
    thumbnail, sensor = stored(SCENE, 8), bytes(range(1, 256)) * 200
    for suffix, mark, order in (
        (".iiq", b"IIII\x2ewaR", "<"), (".tif", b"IIIITwaR", "<"), (".tif", b"MMMMRawT", ">"), (".nef", sensor, "<"),
        (".dcr", sensor, ">"),
    ):  # fmt: skip
        tifffile.imwrite(tmp_path / "a.tif", thumbnail, photometric="rgb", metadata=None, byteorder=order)
        data = (tmp_path / "a.tif").read_bytes()
        number = "little" if order == "<" else "big"
        start = int.from_bytes(data[4:8], number)
        body = mark.ljust(200, b"\0") if len(mark) < 100 else mark
        body += bytes(len(body) % 2)
        shifted = bytearray(data[:4] + (start + len(body)).to_bytes(4, number) + body + data[8:])
        path = tmp_path / f"b{suffix}"
        with tifffile.TiffFile(tmp_path / "a.tif") as file:  # offsets of values and of strips move along
            page = file.pages[0]
            for tag in page.tags.values():
                place = tag.offset + len(body)
                if tag.code == 273:
                    shifted[place + 8 : place + 12] = (page.dataoffsets[0] + len(body)).to_bytes(4, number)
                elif tag.valueoffset != tag.offset + 8:
                    shifted[place + 8 : place + 12] = (tag.valueoffset + len(body)).to_bytes(4, number)
        path.write_bytes(shifted)
        with pytest.raises(InputError, match="raw file that LibRaw does not develop"):
            read_photo(path)
    tifffile.imwrite(tmp_path / "c.tif", thumbnail, photometric="rgb", metadata=None)
    (tmp_path / "c.tif").rename(tmp_path / "c.nef")  # a photo under a wrong name
    assert read_photo(tmp_path / "c.nef").size == (H, W)
    tifffile.imwrite(tmp_path / "d.tif", np.full((H, W), 73, np.uint8), photometric="minisblack", metadata=None)
    grey = (tmp_path / "d.tif").read_bytes()
    assert b"IIII" in grey  # dark grey is not a mark
    assert read_photo(tmp_path / "d.tif").size == (H, W)


def read_photo_size(path: Path, *pages: tuple[np.ndarray, dict]) -> tuple[int, int]:
    with tifffile.TiffWriter(path) as file:
        for samples, more in pages:
            file.write(samples, photometric="rgb", metadata=None, **more)
    return read_photo(path).size


def test_metadata_of_tiffs_may_have_any_type(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    says = '<x GPano:ProjectionType="cylindrical"/>'
    for bits, (tag, kind, count, value) in itertools.product(
        (8, 16),
        [
            (34675, 2, 0, "x" * 20),
            (34675, 3, 4, (1, 2, 3, 4)),
            (700, 2, 0, says),
            (700, 3, 4, (1, 2, 3, 4)),
            (700, 7, 9, b"\xff" * 9),
        ],
    ):
        extra = [(tag, kind, count, value, True), (274, 3, 1, 6, True)]
        tifffile.imwrite(path, stored(SCENE, bits), photometric="rgb", metadata=None, extratags=extra)
        photo = read_photo(path)
        assert photo.size == (W, H)
        assert (photo.gpano is not None) is (value == says)
        photo.save(tmp_path / "b.tif")
        assert np.abs(as_array(read_photo(tmp_path / "b.tif")) - as_array(photo)).max() < 1e-5


def test_bytes_that_contradict_their_checksums_are_damage(tmp_path: Path, capfd) -> None:
    """Deflate has checksums, which libtiff does not look at; of the other compressions nothing can know."""
    picture = texture(0, (96, 130)).astype(np.uint8)
    kinds = {"strips": (picture, {"rowsperstrip": 40}), "tiles": (picture.astype(np.uint16) * 257, {"tile": (64, 64)})}
    for name, (samples, pieces) in kinds.items():
        path = tmp_path / f"{name}.tif"
        tifffile.imwrite(path, samples, photometric="rgb", compression="zlib", predictor=True, **pieces)
        data = path.read_bytes()
        assert np.abs(as_array(read_photo(path)) - picture / 255).max() < 1e-6
        for share in (0.3, 0.6, 0.9):
            at = int(share * len(data))
            path.write_bytes(data[:at] + bytes(24) + data[at + 24 :])
            for read in (read_photo, read_image, read_stored):
                with pytest.raises(InputError, match=rf"{name}\.tif is damaged or cut short \((incorrect|invalid)"):
                    read(path)
    for suffix in (".bmp", ".ppm"):
        path = tmp_path / f"cut{suffix}"
        Image.fromarray(picture).save(path)
        path.write_bytes(path.read_bytes()[:9000])
        with pytest.raises(InputError, match="is damaged"):
            read_image(path)
    assert capfd.readouterr().err == ""
