"""Depth in files of every format, ours and those of other programs."""

import json
import os
import struct
import time
import zipfile
import zlib
from itertools import product
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from depth_parts import CAMERA, SUFFIXES, depths, same
from PIL import Image

from cyclopean.errors import InputError
from cyclopean.geometry import Pinhole
from cyclopean.io.depth_formats import write_plane
from cyclopean.io.depthmap import depth_size, from_numbers, read_depth
from cyclopean.io.sidecar import Maker


def test_frames_of_a_depth_picture_but_the_first_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    codes = np.arange(1, 601, dtype=np.uint16).reshape(20, 30)
    data = cv2.imencode(".png", codes)[1].tobytes()

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    def frame(number: int) -> bytes:
        return chunk(b"fcTL", struct.pack(">5I2H2B", number, 30, 20, 0, 0, 1, 10, 0, 0))

    head, body = data[: data.index(b"IDAT") - 4], data[data.index(b"IDAT") - 4 : -12]
    second = frame(1) + chunk(b"fdAT", struct.pack(">I", 2) + body[8:-4])
    moving = head + chunk(b"acTL", struct.pack(">II", 2, 0)) + frame(0) + body + second + data[-12:]
    (tmp_path / "a.json").write_text('{"kind": "depth", "unit": "m", "scale": 0.001}')
    for content, told in ((moving, True), (data, False)):
        (tmp_path / "a.png").write_bytes(content)
        caplog.clear()
        assert same(read_depth(tmp_path / "a.png").metres()[0, 0], torch.from_numpy(codes / 1000).float(), 1e-4)
        assert ("a.png has 2 frames; the first is used" in caplog.text) == told


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("kind", ["depth", "disparity"])
def test_every_file_comes_back(tmp_path: Path, suffix: str, kind: str) -> None:
    maker = Maker("tiny", "ab" * 32, "Apache-2.0")
    numbers = depths() if kind == "depth" else 1 / depths()
    unit = "m" if kind == "depth" else "relative"
    depth = from_numbers(numbers, kind, unit, camera=CAMERA, model=maker)
    depth.save(tmp_path / f"a.b_disp{suffix}")
    again = read_depth(tmp_path / f"a.b_disp{suffix}")
    assert (again.kind, again.unit, again.ambiguity, again.model) == (depth.kind, unit, depth.ambiguity, maker)
    assert torch.equal(again.valid, depth.valid)
    assert isinstance(again.camera, Pinhole)
    assert torch.equal(again.camera.focal, CAMERA.focal)
    tolerance = 1 / 65534 if suffix == ".png" else 0
    difference = (again.inverse_depth - depth.inverse_depth)[depth.valid].abs().max()
    assert float(difference) <= tolerance
    assert {p.name for p in tmp_path.iterdir()} == {"a.b_disp.json", f"a.b_disp{suffix}"}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_names_outside_utf_8_are_names(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / os.fsdecode(b"n\xe4he" + suffix.encode())
    depth = from_numbers(torch.arange(12.0).reshape(1, 1, 3, 4), "disparity")
    depth.save(path)
    assert path.exists()
    assert float((read_depth(path).inverse_depth - depth.inverse_depth).abs().max()) < 1e-3


def test_exr_and_pfm_are_what_other_programs_expect(tmp_path: Path) -> None:
    import OpenEXR

    values = torch.arange(12.0).reshape(1, 1, 3, 4)
    from_numbers(values, "disparity").save(tmp_path / "a.exr")
    from_numbers(values, "disparity").save(tmp_path / "a.pfm")
    channels = OpenEXR.File(str(tmp_path / "a.exr"), separate_channels=True).channels()
    assert list(channels) == ["Y"]
    assert np.array_equal(channels["Y"].pixels, values[0, 0].numpy())
    read = cv2.imread(str(tmp_path / "a.pfm"), cv2.IMREAD_UNCHANGED)  # an independent reader
    assert np.array_equal(read.squeeze(), values[0, 0].numpy())


def test_a_bare_npy_is_the_reports_disparity(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([[0.1, 0.4]], np.float32))
    depth = read_depth(tmp_path / "a.npy")
    assert (depth.kind, depth.unit) == ("disparity", "relative")
    assert same(depth.inverse_depth, torch.tensor([[[[0.1, 0.4]]]]))


def test_millimetres_in_a_png(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.array([[1500, 0, 3000]], np.uint16))
    with pytest.raises(InputError, match=r"put a\.json beside it"):
        read_depth(tmp_path / "a.png")
    (tmp_path / "a.json").write_text('{"kind": "depth", "unit": "m", "scale": 0.001, "unknown": 0}')
    assert same(read_depth(tmp_path / "a.png").metres(), torch.tensor([[[[1.5, torch.nan, 3.0]]]]))


def test_axes_of_one_are_dropped_and_colours_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones((1, 1, 3, 4)))
    assert read_depth(tmp_path / "a.npy").size == (3, 4)
    np.save(tmp_path / "b.npy", np.ones((3, 4, 1)))
    assert read_depth(tmp_path / "b.npy").size == (3, 4)
    np.save(tmp_path / "c.npy", np.ones((3, 4, 3)))
    with pytest.raises(InputError, match=r"shape \(3, 4, 3\)"):
        read_depth(tmp_path / "c.npy")


def test_damaged_files_are_one_sentence(tmp_path: Path) -> None:
    for suffix, content in product(SUFFIXES, (b"", b"not numbers at all, but text", b"\x93NUMPY\x01\x00")):
        (tmp_path / f"a{suffix}").write_bytes(content)
        with pytest.raises(InputError) as error:
            read_depth(tmp_path / f"a{suffix}")
        assert "\n" not in str(error.value), (suffix, content)


def test_other_files_that_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "two.npz", depth=np.ones((2, 2)), disparity=np.ones((2, 2)))
    np.save(tmp_path / "objects.npy", np.array([{}, {}], object), allow_pickle=True)
    np.save(tmp_path / "nothing.npy", np.full((2, 2), np.nan))
    cv2.imwrite(str(tmp_path / "colours.png"), np.zeros((4, 4, 3), np.uint8))
    for name, message in [
        ("gone.npy", "there is no depth file"),
        ("two.npz", "exactly one array"),
        ("objects.npy", "damaged or no .npy"),
        ("nothing.npy", "no known depth"),
        ("colours.png", "is a picture, not depth"),
    ]:
        with pytest.raises(InputError, match=message):
            read_depth(tmp_path / name)
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(InputError, match=r"is not a depth file: give \.npy"):
        read_depth(tmp_path / "a.txt")
    with pytest.raises(InputError, match=r"unknown depth format '\.np'"):
        from_numbers(depths(), "depth").save(tmp_path / "a.np")


def pfm(head: bytes, values: np.ndarray) -> bytes:
    return head + values.tobytes()


def test_portable_float_maps_of_every_writer(tmp_path: Path) -> None:
    """Any white space, comments, both orders of bytes, grey in three channels; what is none is one sentence."""
    values = np.arange(1, 7, dtype="<f4").reshape(2, 3)  # as stored: the lower row first
    grey = np.repeat(values[..., None], 3, 2)
    whole = values.tobytes()
    for content in (
        pfm(b"Pf\n3 2\n-1.0\n", values),
        pfm(b"Pf\n3\n2\n-1.0\n", values),
        pfm(b"Pf 3 2 -1 ", values),
        pfm(b"Pf\r\n3 2\r\n-1.0\r\n", values),
        pfm(b"Pf\t3 \n 2\n-1.000000 \n", values),
        pfm(b"Pf\n# by hand\n3 2\n#again\n-0.5\n", values),
        pfm(b"Pf\n3 2\n-1\n# and here\n", values),
        pfm(b"Pf\n3 2\n1.0\n", values.astype(">f4")),
        pfm(b"PF\n3 2\n-1.0\n", grey),
        pfm(b"PF\n3 2\n1\n", grey.astype(">f4")),
        pfm(b"Pf\n# by hand\r3 2\r# 8 9\r-0.5\r", values),  # old Macs end a line in \r alone
        pfm(b"PF\r# 640 480\r3 2\r1.0\r", grey.astype(">f4")),
        pfm(b"Pf\r\n# c\r\n3 2\r\n-1\r\n# d\r\n", values),
        pfm(b"Pf\n#" + b" made by a program that tells all" * 300 + b"\n3 2\n-1\n", values),
        pfm(b"Pf\n3 2\n-1.0\n", values) + b"\n",
        pfm(b"Pf\n3 2\n-1.0\n", values) + b"\r\n",
        pfm(b"Pf\r\n3 2\r\n-1.0\r\n", values) + b"\r\n",
    ):
        (tmp_path / "a.pfm").write_bytes(content)
        assert same(read_depth(tmp_path / "a.pfm").inverse_depth[0, 0], torch.from_numpy(values[::-1].copy())), content
        assert depth_size(tmp_path / "a.pfm") == (2, 3)
    (tmp_path / "b.pfm").write_bytes(b"Pf " + b"#\r\n" * 9000 + b"#")  # each of its ends of lines is to be read one way
    began = time.perf_counter()
    with pytest.raises(InputError, match="its header is not Pf"):
        read_depth(tmp_path / "b.pfm")
    assert time.perf_counter() - began < 2
    # Numbers whose first bytes look like white space: one only ends the header.
    blank = np.frombuffer(b"\n \t\x3f" * 6, "<f4").reshape(2, 3)
    (tmp_path / "a.pfm").write_bytes(pfm(b"Pf\n3 2\n-1.0\n", blank))
    assert same(read_depth(tmp_path / "a.pfm").inverse_depth[0, 0], torch.from_numpy(blank.copy()))
    for head in (
        *(b"Pf\n-3 -2\n-1.0\n", b"Pf\n3 -2\n-1.0\n", b"Pf\n-1 1\n-1.0\n", b"Pf\n0 0\n-1\n", b"Pf\n3 2\nnan\n"),
        *(b"Pf\n3 2\n0\n", b"Pf\n3 2\ninf\n", b"Pf\n3 2\nx\n", b"Pf\n99999999999 99999999999\n-1\n", b"Pf\n3 2\n"),
        *(b"Pf\n4 2\n-1\n", b"P5\n3 2\n255\n", b"PF\n3 2\n-1\n", b"Pf\n999999999 1\n-1\n", b"Pf\n3.0 2\n-1\n"),
    ):
        (tmp_path / "a.pfm").write_bytes(head + whole)
        with pytest.raises(InputError):
            read_depth(tmp_path / "a.pfm")
    (tmp_path / "a.pfm").write_bytes(pfm(b"PF\n3 2\n-1\n", np.arange(18, dtype="<f4")))
    with pytest.raises(InputError, match="in colour"):
        read_depth(tmp_path / "a.pfm")


def test_files_longer_than_they_state_are_not_read_as_noise(tmp_path: Path) -> None:
    """In text mode Windows writes 0D 0A for 0A, in the numbers too; a wrong width or height shifts every row."""
    values = np.random.default_rng(0).uniform(1, 9, (40, 50)).astype("<f4")
    values.view(np.uint8)[3:5, 7::12] = 10
    grey = np.repeat(values[..., None], 3, 2)
    np.save(tmp_path / "a.npy", values)
    text = {"a.npy": (tmp_path / "a.npy").read_bytes(), "a.pfm": pfm(b"Pf\n50 40\n-1.0\n", values)}
    text["b.pfm"] = pfm(b"PF\r\n50 40\r\n1\r\n", grey.astype(">f4"))
    files = {name: content.replace(b"\n", b"\r\n") for name, content in text.items()}
    files |= {"c.pfm": pfm(b"Pf\n49 40\n-1.0\n", values), "d.pfm": pfm(b"Pf\r\n50 39\r\n-1.0\r\n", values)}
    files |= {"e.pfm": pfm(b"Pf\n50 40\n-1\n# and here\n", values) + b"more", "f.npy": text["a.npy"] + b"m"}
    for name in ("g.npz", "h.npz"):
        with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED if name[0] == "g" else 0) as box:
            box.writestr("disparity.npy", files["a.npy"])
        files[name] = (tmp_path / name).read_bytes()
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=r"longer than .* numbers, by \d+ bytes; was it written in text mode, or"):
            read_depth(tmp_path / name)
    with pytest.raises(InputError, match="text mode"):
        depth_size(tmp_path / "a.npy")
    (tmp_path / "a.npy").write_bytes(text["a.npy"] + b"\r\n")
    assert read_depth(tmp_path / "a.npy").size == (40, 50)


def test_a_depth_picture_is_turned_by_exif_as_its_photo_is(tmp_path: Path) -> None:
    """In all eight ways, as data sets turn it; its sidecar states the upright size."""
    counts = np.arange(1, 7, dtype=np.uint16).reshape(2, 3)
    turned = {1: counts, 2: counts[:, ::-1], 3: counts[::-1, ::-1], 4: counts[::-1], 5: counts.T}
    turned |= {6: np.rot90(counts, -1), 7: counts.T[::-1, ::-1], 8: np.rot90(counts)}
    for orientation, upright in turned.items():
        marks = Image.Exif()
        marks[274] = orientation
        Image.fromarray(counts).save(tmp_path / "a.png", exif=marks)
        size = list(upright.shape)
        (tmp_path / "a.json").write_text(json.dumps({"kind": "disparity", "size": size}))
        assert depth_size(tmp_path / "a.png") == upright.shape, orientation
        assert read_depth(tmp_path / "a.png").inverse_depth[0, 0].tolist() == upright.tolist(), orientation
    Image.fromarray(counts.astype(np.uint8)).save(tmp_path / "a.jpg")
    (tmp_path / "a.jpg").rename(tmp_path / "a.png")
    for read in (read_depth, depth_size):
        with pytest.raises(InputError, match="it is a JPEG"):
            read(tmp_path / "a.png")


def test_depth_in_an_exr_is_found_by_its_name(tmp_path: Path, caplog) -> None:
    """Renderers call it Z or depth, write 1e10 for nothing, and crop; other channels say nothing of depth."""
    import OpenEXR

    z = np.array([[1, 2, 1e10], [4, 5, np.inf]], np.float32)
    other = np.random.default_rng(0).random((2, 3)).astype(np.float32)
    far = torch.tensor([[[[1, 2, torch.inf], [4, 5, torch.inf]]]])
    names = (
        "Z",
        "depth",
        "Depth",
        "ViewLayer.Depth.Z",
        "View Layer.Depth.V",
        "Depth.V",
        "depth.Z",
        "RenderLayer.Z.V",
        "Pz",
        "C.Pz",
    )
    for name in names:
        channels = {name: z, "ViewLayer.Normal.Z": other, "ViewLayer.Combined.R": other, "A": other}
        OpenEXR.File({}, channels).write(str(tmp_path / "a.exr"))
        depth = read_depth(tmp_path / "a.exr")
        assert (depth.kind, depth.unit) == ("inverse_depth", "relative"), name
        assert same(depth.numbers("depth"), far), name
    OpenEXR.File({}, {f"Depth.{c}": z for c in "RGB"}).write(str(tmp_path / "a.exr"))
    assert same(read_depth(tmp_path / "a.exr").numbers("depth"), far)
    parts = [
        OpenEXR.Part({"name": "beauty"}, {"RGBA": np.ones((2, 3, 4), np.float32)}),
        OpenEXR.Part({"name": "d"}, {"Z": z}),
    ]
    OpenEXR.File(parts).write(str(tmp_path / "a.exr"))
    assert same(read_depth(tmp_path / "a.exr").numbers("depth"), far)
    (tmp_path / "a.json").write_text('{"kind": "distance", "unit": "m", "camera": {"camera": "equirectangular"}}')
    assert same(read_depth(tmp_path / "a.exr").metres("distance"), far)  # the sidecar knows better
    (tmp_path / "a.json").unlink()
    window = {"displayWindow": ((0, 0), (4, 3)), "dataWindow": ((1, 2), (3, 3))}
    OpenEXR.File({k: tuple(np.array(p, np.int32) for p in v) for k, v in window.items()}, {"Z": z}).write(
        str(tmp_path / "b.exr")
    )
    assert depth_size(tmp_path / "b.exr") == read_depth(tmp_path / "b.exr").size == (4, 5)
    whole = torch.full((1, 1, 4, 5), torch.nan)
    whole[..., 2:, 1:4] = far
    assert same(read_depth(tmp_path / "b.exr").numbers("depth"), whole)
    for channels in ({"R": z, "G": other}, {"A.Depth.Z": z, "B.Depth.Z": other}, {"Normal.X": other, "Normal.Z": z}):
        OpenEXR.File({}, channels).write(str(tmp_path / "a.exr"))
        with pytest.raises(InputError, match="channels"):
            read_depth(tmp_path / "a.exr")
    assert not caplog.records
    for name in ("Y", "P.distance"):
        OpenEXR.File({}, {name: z}).write(str(tmp_path / "a.exr"))
        assert read_depth(tmp_path / "a.exr").kind == "disparity"
        assert "no channel named Z or depth" in caplog.text
        assert "larger = nearer" in caplog.text
        caplog.clear()
    for channels in ({"RGB": np.dstack([z] * 3)}, {"RGBA": np.dstack([z, z, z, other])}):  # grey as renderers write it
        OpenEXR.File({}, channels).write(str(tmp_path / "a.exr"))
        assert same(read_depth(tmp_path / "a.exr").numbers("depth"), far), channels
    (tmp_path / "a.json").write_text('{"kind": "disparity"}')
    assert read_depth(tmp_path / "a.exr").kind == "disparity"
    assert not caplog.records


def test_an_exr_of_several_views_is_refused_unless_their_depth_is_one(tmp_path: Path) -> None:
    import OpenEXR

    z = np.arange(1, 7, dtype=np.float32).reshape(2, 3)
    for right, refused in ((z + 1, True), (z, False)):
        parts = [OpenEXR.Part({"name": "left"}, {"Z": z}), OpenEXR.Part({"name": "right"}, {"Z": right})]
        OpenEXR.File(parts).write(str(tmp_path / "parts.exr"))
        channels = {"Z": z, "right.Z": right}
        OpenEXR.File({"multiView": ["left", "right"]}, channels).write(str(tmp_path / "views.exr"))
        for name in ("parts.exr", "views.exr"):
            if not refused:
                assert same(read_depth(tmp_path / name).numbers("depth")[0, 0], torch.from_numpy(z))
                continue
            with pytest.raises(InputError, match=r"channels Z, right\.Z; depth of several views"):
                read_depth(tmp_path / name)


def test_sizes_are_known_before_memory_is_taken(tmp_path: Path) -> None:
    """Of headers that announce more than the file holds, and of archives that blow up."""
    for header in (
        "(24, 32L", "(-24, 32)", "(24, True)", "(99999999999999, 99999999999999)", "(16000, 16000)", "-" * 9000,
        "(1,)" * 900, "(" * 300,
    ):  # fmt: skip
        text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {header}, }}\n".encode()
        array = b"\x93NUMPY\x02\x00" + len(text).to_bytes(4, "little") + text + bytes(99)
        (tmp_path / "a.npy").write_bytes(array)
        with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_BZIP2) as box:
            box.writestr("depth.npy", array)
        for name in ("a.npy", "a.npz"):
            with pytest.raises(InputError, match=r"^.{,600}$"):
                read_depth(tmp_path / name)
    blown = np.lib.format.magic(1, 0) + (118).to_bytes(2, "little")
    blown += f"{'{'}'descr': '<f4', 'fortran_order': False, 'shape': (16000, 16000), {'}'}".ljust(117).encode() + b"\n"
    for way in (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        with zipfile.ZipFile(tmp_path / "bomb.npz", "w", way) as box:
            box.writestr("depth.npy", blown + bytes(10_000_000))
        if way != zipfile.ZIP_DEFLATED:
            for read in (read_depth, depth_size):
                with pytest.raises(InputError, match="a method that numpy does not write"):
                    read(tmp_path / "bomb.npz")
            continue
        assert depth_size(tmp_path / "bomb.npz") == (16000, 16000)
        with pytest.raises(InputError, match=r"16000x16000 .* limit is 120"):
            read_depth(tmp_path / "bomb.npz")
        damaged = bytearray((tmp_path / "bomb.npz").read_bytes())
        damaged[60:90] = bytes(30)
        (tmp_path / "damaged.npz").write_bytes(damaged)
        with pytest.raises(InputError, match="damaged"):
            read_depth(tmp_path / "damaged.npz", 1e9)
    with zipfile.ZipFile(tmp_path / "text.npz", "w") as box:
        box.writestr("depth.npy", "no array")
    encrypted = bytearray((tmp_path / "text.npz").read_bytes())
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        encrypted[encrypted.index(mark) + place] |= 1
    (tmp_path / "locked.npz").write_bytes(encrypted)
    (tmp_path / "method.npz").write_bytes(bytes(encrypted).replace(b"\x01\x00\x00\x00", b"\x00\x00\x63\x00"))
    for name in ("text.npz", "locked.npz", "method.npz"):
        with pytest.raises(InputError, match="damaged"):
            read_depth(tmp_path / name)
    np.savez(tmp_path / "many.npz", **{f"array{n}": np.zeros(1) for n in range(900)})
    with pytest.raises(InputError, match=r"exactly one array") as error:
        read_depth(tmp_path / "many.npz")
    assert len(str(error.value)) < 600
    np.save(tmp_path / "large.npy", np.ones((300, 400), np.uint8))
    with pytest.raises(InputError, match=r"limit is 0\.1"):
        read_depth(tmp_path / "large.npy", 0.1)
    assert depth_size(tmp_path / "large.npy") == (300, 400)


def test_sky_is_found_before_its_scale_in_every_format(tmp_path: Path) -> None:
    """Millimetres of a renderer: 1e10 becomes 1e7 m by the scale, and is infinitely far all the same."""
    import OpenEXR

    for sky in (1e9, 1e10, 1e30, 65504.0):
        values = np.array([[1500.0, sky]], np.float32)
        np.save(tmp_path / "a.npy", values)
        write_plane(tmp_path / "a.pfm", values, "depth")
        header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
        OpenEXR.File(header, {"Z": values}).write(str(tmp_path / "a.exr"))
        for suffix, kind in product((".npy", ".pfm", ".exr"), ("depth", "distance")):
            (tmp_path / "a.json").write_text(json.dumps({"kind": kind, "unit": "m", "scale": 0.001}))
            assert read_depth(tmp_path / f"a{suffix}").numbers(kind).flatten().tolist() == [1.5, torch.inf]
    (tmp_path / "a.json").write_text(json.dumps({"kind": "depth", "unknown": 65504}))
    assert read_depth(tmp_path / "a.npy").numbers("depth").isnan().flatten().tolist() == [False, True]
    np.save(tmp_path / "a.npy", values.astype(np.uint16))  # a count, of millimetres
    (tmp_path / "a.json").write_text(json.dumps({"kind": "depth", "unit": "m", "scale": 0.001}))
    assert read_depth(tmp_path / "a.npy").metres()[0, 0, 0, 1] == pytest.approx(65.504)


def test_a_map_without_any_known_value_is_written_in_every_format(tmp_path: Path) -> None:
    nothing = from_numbers(torch.full((1, 1, 2, 3), torch.nan), "disparity")
    for suffix in SUFFIXES:
        nothing.save(tmp_path / f"a{suffix[1:]}{suffix}")
        with pytest.raises(InputError, match="no known depth"):
            read_depth(tmp_path / f"a{suffix[1:]}{suffix}")


def test_constant_maps_survive_16_bits(tmp_path: Path) -> None:
    from_numbers(torch.full((1, 1, 2, 2), 0.25), "disparity").save(tmp_path / "a.png")
    assert same(read_depth(tmp_path / "a.png").inverse_depth, torch.full((1, 1, 2, 2), 0.25))


def test_an_exr_whose_depth_has_no_known_name_is_told_which_it_may_be(tmp_path: Path) -> None:
    import OpenEXR

    planes = {name: np.full((4, 6), value, np.float32) for value, name in enumerate("RGB")}
    for name, likely in (("depth.T", " (is depth.T the depth?)"), ("a.WorldDepth.A", ""), ("noise", "")):
        OpenEXR.File({}, {**planes, name: np.ones((4, 6), np.float32)}).write(str(tmp_path / "a.exr"))
        with pytest.raises(InputError) as error:
            read_depth(tmp_path / "a.exr")
        assert f"{likely}; a depth file has one" in str(error.value), name
        assert ("(is " in str(error.value)) == bool(likely), name
        assert str(error.value).endswith("give that name to the depth, or write it alone.")
