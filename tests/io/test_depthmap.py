"""What a depth map's numbers mean, in memory and on disk."""

import json
import math
import os
import re
import struct
import threading
import zipfile
import zlib
from itertools import product
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from cyclopean.errors import InputError
from cyclopean.geometry import Equirectangular, Pinhole
from cyclopean.io.depth_formats import write_plane
from cyclopean.io.depthmap import depth_size, from_numbers, read_depth, write_depth
from cyclopean.io.files import appearing
from cyclopean.io.sidecar import Maker, Sidecar, outputs_named_in, read_sidecar, sidecar_to_json

SUFFIXES = (".npy", ".npz", ".exr", ".pfm", ".png")
CAMERA = Pinhole(torch.tensor([[0.5, 0.75]]), torch.tensor([[0.5, 0.5]]))


def depths(h: int = 6, w: int = 9) -> torch.Tensor:
    """Metres: 1 to 10, the sky in the first row, one unknown pixel."""
    z = torch.linspace(1, 10, h * w).reshape(1, 1, h, w).clone()
    z[..., 0, :] = torch.inf
    z[..., 3, 4] = torch.nan
    return z


def same(a: torch.Tensor, b: torch.Tensor, rtol: float = 1e-6) -> bool:
    return bool(torch.allclose(a, b, rtol=rtol, equal_nan=True))


def test_metres_stay_metres() -> None:
    depth = from_numbers(depths(), "depth", "m")
    assert same(depth.metres(), depths())
    assert same(depth.inverse_depth, 1 / depths())
    assert depth.inverse_depth[0, 0, 0, 0] == 0
    assert int((~depth.valid).sum()) == 1


def test_depth_of_zero_or_less_is_unknown() -> None:
    z = torch.tensor([[[[0.0, -1.0, 2.0, torch.inf]]]])
    assert from_numbers(z, "depth").valid.flatten().tolist() == [False, False, True, True]
    assert from_numbers(z, "disparity").valid.flatten().tolist() == [True, True, True, False]


def test_distance_and_depth_differ_by_the_ray() -> None:
    depth = from_numbers(torch.full((1, 1, 2, 2), 3.0), "depth", "m", camera=CAMERA)
    # pixel centres at u, v = 1/4, 3/4: rays (-+0.25/0.5, -+0.25/0.75, 1)
    length = math.sqrt(0.5**2 + (1 / 3) ** 2 + 1)
    assert same(depth.metres("distance"), torch.full((1, 1, 2, 2), 3 * length))
    back = from_numbers(depth.metres("distance"), "distance", "m", camera=CAMERA)
    assert back.kind == "inverse_distance"
    assert same(back.metres("depth"), depth.metres())
    around = from_numbers(depths(4, 8), "depth", "m", camera=Equirectangular())
    assert same(around.metres("distance"), around.metres("depth"))


def test_disparity_is_depth_up_to_scale() -> None:
    depth = from_numbers(torch.tensor([[[[0.1, 0.2, 0.0]]]]), "disparity")
    assert same(depth.numbers("depth"), torch.tensor([[[[10.0, 5.0, torch.inf]]]]))
    assert same(depth.numbers("disparity"), depth.inverse_depth)


def test_what_cannot_be_known_is_refused() -> None:
    relative, affine = from_numbers(depths(), "depth"), from_numbers(depths(), "inverse_depth", ambiguity="affine")
    with pytest.raises(InputError, match="not in metres"):
        relative.metres()
    with pytest.raises(InputError, match="scale and shift"):
        affine.numbers("depth")
    with pytest.raises(InputError, match="focal length and baseline"):
        relative.numbers("disparity")
    with pytest.raises(InputError, match="camera"):
        relative.numbers("distance")
    with pytest.raises(ValueError, match="contradicts"):
        from_numbers(depths(), "depth", "m", ambiguity="scale")


def test_affine_depth_is_refused_with_its_remedy(tmp_path: Path) -> None:
    """1 / depth of numbers with an unknown offset means nothing; the remedy named orders near and far."""
    values = np.array([[0.0, 0.25, 1.0]], np.float32)  # 0: the nearest
    np.save(tmp_path / "a.npy", values)
    for kind in ("depth", "distance"):
        with pytest.raises(InputError, match=f"1 - x .* 'inverse_{kind}', 'affine'") as caught:
            from_numbers(values, kind, ambiguity="affine")
        (tmp_path / "a.json").write_text(json.dumps({"kind": kind, "ambiguity": "affine"}))
        with pytest.raises(InputError, match=r"a\.json: " + re.escape(str(caught.value))):
            read_depth(tmp_path / "a.npy")
        remedy = str(caught.value).partition("in a sidecar ")[2].removesuffix(").")
        (tmp_path / "a.json").write_text("{" + remedy + "}")
        assert read_depth(tmp_path / "a.npy").inverse_depth.flatten().tolist() == [1.0, 0.75, 0.0]


def test_numbers_of_other_shapes_kinds_and_units(tmp_path: Path) -> None:
    """One plane, as a tensor or an array, is taken; anything else raises at once, not when it is saved."""
    plane = depths()[0, 0]
    for numbers in (plane, plane[None], plane.numpy(), plane.numpy().astype(">f8"), plane[..., None].numpy()):
        assert same(from_numbers(numbers, "depth", "m").metres(), depths())
    assert same(from_numbers(np.array([[1, 2]], np.uint16), "depth").numbers("depth"), torch.tensor([[[[1.0, 2.0]]]]))
    ones = torch.ones(1, 1, 4, 5)
    for numbers, kind, unit, message in (
        (ones, "z", "m", "unknown kind 'z': choose one of: depth, "),
        (ones, "Depth", "m", "unknown kind 'Depth': did you mean 'depth'"),
        (ones, "depth", "mm", "unknown unit 'mm': write 'm', with the scale 0.001"),
        (ones, "depth", "metres", "unknown unit 'metres': write 'm'"),
        (torch.ones(2, 1, 4, 5), "depth", "m", r"shape \(2, 1, 4, 5\)"),
        (torch.ones(1, 3, 4, 5), "depth", "m", r"shape \(1, 3, 4, 5\)"),
        (torch.ones(5), "depth", "m", r"shape \(5,\)"),
        (torch.ones(4, 5) > 0, "depth", "m", r"numbers are torch\.bool"),
        (np.ones((4, 5), complex), "depth", "m", "numbers are complex128"),
    ):
        with pytest.raises(InputError, match=message):
            from_numbers(numbers, kind, unit)
    with pytest.raises(InputError, match="unknown kind 'bogus'"):
        from_numbers(ones, "depth").numbers("bogus")


def test_numbers_that_are_negative_only_are_no_depth(tmp_path: Path) -> None:
    """Of a camera that looks along -z, for instance; where an offset is unknown, they may be."""
    numbers = -np.linspace(1, 2, 54, dtype=np.float32).reshape(6, 9)
    for suffix in (".npy", ".npz", ".exr", ".pfm"):
        write_depth([tmp_path / f"a{suffix}"], from_numbers(torch.from_numpy(numbers)[None, None], "disparity"))
        (tmp_path / "a.json").unlink()
        with pytest.raises(InputError, match=r"negative numbers only, .* change its sign, or state in a\.json"):
            read_depth(tmp_path / f"a{suffix}")
    (tmp_path / "a.json").write_text('{"kind": "disparity", "ambiguity": "affine"}')
    assert read_depth(tmp_path / "a.npy").valid.all()
    (tmp_path / "a.json").unlink()
    numbers[0, 0] = 0
    np.save(tmp_path / "a.npy", numbers)
    assert read_depth(tmp_path / "a.npy").valid.all()


def test_depth_that_is_probably_misread_is_remarked(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Sentinels below 0, a map of one value, millimetres that are called metres; good maps pass without a word."""
    slope = np.linspace(1, 5, 54, dtype=np.float32).reshape(6, 9)
    holes = slope.copy()
    holes[2, :3] = -1
    metres, millimetres = {"kind": "depth", "unit": "m"}, {"kind": "depth", "unit": "m", "scale": 0.001}
    wrong = []
    for values, sidecar, words, known in (
        (slope, None, "", 54),
        (holes, None, "3 of 54 numbers are below 0, where disparity has none", 51),
        (holes, {"kind": "inverse_depth"}, "where inverse depth has none", 51),
        (holes, {"kind": "inverse_depth", "ambiguity": "affine"}, "", 54),
        (holes, metres, "", 51),
        (0 * slope, None, "all of its numbers are the same", 54),
        (0 * slope + 2, metres, "all of its numbers are the same", 54),
        (np.where(holes < 0, 0, 2), metres, "3 of 54 numbers are unknown and the others are the same", 51),
        (1000 * slope, metres, 'farther away than 2962 m. If its numbers are millimetres, write "scale": 0.001', 54),
        (1000 * slope, millimetres, "", 54),
        (1000 * slope, {"kind": "depth"}, "", 54),
    ):
        caplog.clear()
        np.save(tmp_path / "a.npy", values)
        (tmp_path / "a.json").unlink(missing_ok=True)
        if sidecar:
            (tmp_path / "a.json").write_text(json.dumps(sidecar))
        valid = read_depth(tmp_path / "a.npy").valid
        if int(valid.sum()) != known or (words not in caplog.text if words else caplog.text):
            wrong.append((sidecar, words, int(valid.sum()), caplog.text))
    assert not wrong


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


def test_negative_inverse_depth_has_no_depth() -> None:
    depth = from_numbers(torch.tensor([[[[-0.5, 0.5]]]]), "inverse_depth")
    assert same(depth.numbers("depth"), torch.tensor([[[[torch.nan, 2.0]]]]))


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


def test_the_sidecar_says_what_the_numbers_are(tmp_path: Path) -> None:
    depth = from_numbers(1 / depths(), "disparity")
    paths = [tmp_path / "p_disp.npy", tmp_path / "p_disp.exr", tmp_path / "p_disp16.png"]
    written = write_depth(paths, depth, "p.jpg", (60, 90), also=("p_disp.png",))
    assert {p.name for p in written} == {*(p.name for p in paths), "p_disp.json", "p_disp16.json"}
    content = json.loads((tmp_path / "p_disp.json").read_text())
    assert content["kind"] == "disparity"
    assert content["unit"] == "relative"
    assert content["ambiguity"] == "scale"
    assert content["larger_is"] == "nearer"
    assert content["size"] == [6, 9]
    assert (content["source"], content["source_size"]) == ("p.jpg", [60, 90])
    assert content["model"] is None
    card = read_sidecar(tmp_path / "p_disp.npy")
    assert card is not None
    assert card.source_size == (60, 90)
    own = {"p_disp.npy", "p_disp.exr", "p_disp.png", "p_disp16.png"}
    (tmp_path / "other.json").write_text('{"files": ["mine.png"]}')
    for name, content in [("broken", "{"), ("deep", "[" * 5000), ("none", '{"format": "cyclopean-x", "files": null}')]:
        (tmp_path / f"{name}.json").write_text(content)
    (tmp_path / "number.json").write_text('{"format": "cyclopean-x", "files": 5}')
    (tmp_path / "folder.json").mkdir()
    assert outputs_named_in(tmp_path) == own


def test_a_sidecar_is_read_as_it_was_written(tmp_path: Path) -> None:
    maker, common = (
        Maker("tiny", "ab" * 32, "Apache-2.0"),
        {"size": (6, 9), "source": "p.jpg", "source_hash": "cd" * 32},
    )
    for sidecar in (
        Sidecar("depth", "m", "metric", model=maker, settings="0123456789ab", **common),
        Sidecar("depth", "m", "metric", scale=0.001, **common),
        Sidecar("disparity", "relative", "affine", scale=-1.0, offset=1.0, notes={"iso": 100.0}),
        Sidecar("disparity", "relative", "scale", unknown=0.0, files=("p.png",), source_size=(12, 18)),
    ):
        content = sidecar_to_json(sidecar)
        assert content["larger_is"] == ("farther" if sidecar.kind == "depth" else "nearer")
        (tmp_path / "p.json").write_text(json.dumps(content))
        assert read_sidecar(tmp_path / "p.png") == sidecar


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


def test_a_small_sidecar_makes_it_metres_with_sky(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([[2.0, np.inf]]))
    (tmp_path / "a.json").write_text('{"kind": "depth", "unit": "m"}')
    depth = read_depth(tmp_path / "a.npy")
    assert same(depth.metres(), torch.tensor([[[[2.0, torch.inf]]]]))


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


REFUSED = (
    ('{"kind": "dept"}', "did you mean 'depth'"),
    ('{"kind": "depth", "unit": "mm"}', "unknown unit 'mm': write 'm', with the scale 0.001"),
    ('{"kind": "depth", "unit": "Meters"}', "unknown unit 'Meters': write 'm'.$"),
    ('{"kind": "disparity", "unit": "px"}', "unknown unit 'px': choose one of: m, relative"),
    ('{"kind": "depth", "unit": ["m"]}', "unknown unit"),
    ('{"kind": "depth", "unit": "m", "Scale": 0.001}', "unknown key 'Scale': did you mean 'scale'"),
    ('{"kind": "depth", "units": "m", "scale": 0.001}', "unknown key 'units': did you mean 'unit'"),
    ('{"kind": "disparity", "larger_it": "farther"}', "did you mean 'larger_is'"),
    ('{"version": 7, "kind": "depth"}', "version 7 of its format, not 1"),
    ('{"format": "cyclopean-depth", "version": 2, "kind": "depth"}', "version 2 of its format, not 1"),
    ('{"kind": "depth", "unit": "m", "scale": -0.001}', "the scale in a.json is -0.001"),
    ('{"kind": "depth", "camera": {"focal": [1200, 1200], "center": [0.5, 0.5]}}', r"focal \[1200.*divide pixels"),
    ('{"kind": "depth", "camera": {"focal": [1.2, 1.6], "center": [320, 240]}}', r"center \[320.*divide pixels"),
    ('{"kind": "depth", "unit": "m", "ambiguity": "scale"}', "contradicts itself"),
    ('{"unit": "m"}', 'does not state the "kind"'),
    ("[1]", 'does not state the "kind"'),
    ("{", "not readable JSON"),
    ('{"kind": "depth", "size": [9, 9]}', "3x2 but a.json has 9x9"),
    ('{"kind": "depth", "camera": {"camera": "fisheye"}}', "fisheye"),
    ('{"kind": "depth", "model": {"nam": 1}}', "cannot be understood"),
    ('{"kind": ["depth"]}', "unknown kind"),
    ('{"kind": "depth", "size": [1]}', "size"),
    ('{"kind": "depth", "size": [Infinity, 1]}', "is not a finite number"),
    ('{"kind": "depth", "size": {"0": 2}}', "size"),
    ('{"kind": "depth", "scale": 0}', "scale of 0"),
    ('{"kind": "depth", "scale": 1' + "0" * 400 + "}", "is not a finite number"),
    ('{"kind": "depth", "unknown": []}', "cannot be understood"),
    ('{"kind": "depth", "settings": 5}', '"settings" are texts'),
    ('{"kind": "depth", "files": 5}', '"files" is a list'),
    ('{"kind": "depth", "camera": {"camera": "pinhole", "focal": null, "center": [0.5, 0.5]}}', "focal None"),
    ('{"kind": "depth", "camera": {"camera": "pinhole", "focal": [1, 1, 1], "center": [0.5, 0.5]}}', "focal"),
    ('{"kind": "depth", "camera": {"camera": "pinhole", "focal": [-1, 1], "center": [0.5, 0.5]}}', "above 0"),
    ('{"kind": "depth", "camera": {"camera": "pinhole", "focal": [NaN, 1], "center": [0.5, 0.5]}}', "finite"),
    ('{"kind": "depth", "camera": {"camera": "pinhole", "focal": [1, 1], "center": [0.5]}}', "center"),
    ('{"kind": "depth", "camera": [1]}', "is not an object"),
    ('{"kind": "' + 9999 * "x" + '"}', r"unknown kind .{,500}$"),
    ("[" * 5000, "nested too deeply"),
)


def test_sidecars_that_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones((2, 3)))
    wrong = []
    for sidecar, message in REFUSED:
        (tmp_path / "a.json").write_text(sidecar)
        try:
            wrong.append((sidecar, read_depth(tmp_path / "a.npy")))
        except InputError as error:
            if not re.search(message, str(error)) or "\n" in str(error):
                wrong.append((sidecar, error))
    assert not wrong


def test_other_keys_in_a_sidecar_are_left_alone(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones((2, 3)))
    (tmp_path / "a.json").write_text('{"kind": "depth", "unit": "m", "fps": 30, "device": "x", "file": "a.npy"}')
    assert read_depth(tmp_path / "a.npy").unit == "m"


def test_a_sidecar_of_another_name_is_not_passed_over(tmp_path: Path) -> None:
    """Depth would be read as disparity, near for far."""
    np.save(tmp_path / "a.npy", np.ones((2, 3)))
    for name in ("a.npy.json", "a.JSON"):
        (tmp_path / name).write_text('{"kind": "depth"}')
        with pytest.raises(InputError, match=rf"{name} beside it is not read; rename it to a\.json\."):
            read_depth(tmp_path / "a.npy")
        (tmp_path / name).rename(tmp_path / "a.json")
        assert read_depth(tmp_path / "a.npy").kind == "inverse_depth"
        (tmp_path / "a.json").unlink()


def test_kinds_are_not_mixed(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", depth=np.ones((2, 3)))
    assert read_depth(tmp_path / "a.npz").kind == "inverse_depth"
    (tmp_path / "a.json").write_text('{"kind": "disparity"}')
    with pytest.raises(InputError, match=r"holds 'depth' but a\.json has 'disparity'"):
        read_depth(tmp_path / "a.npz")


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
        pfm(b"Pf\n3 2\n-1.0\n", values) + b"\n",
        pfm(b"Pf\n3 2\n-1.0\n", values) + b"\r\n",
        pfm(b"Pf\r\n3 2\r\n-1.0\r\n", values) + b"\r\n",
    ):
        (tmp_path / "a.pfm").write_bytes(content)
        assert same(read_depth(tmp_path / "a.pfm").inverse_depth[0, 0], torch.from_numpy(values[::-1].copy())), content
        assert depth_size(tmp_path / "a.pfm") == (2, 3)
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


def test_numbers_at_the_ends_of_float32_are_infinitely_far_or_unknown(tmp_path: Path) -> None:
    values = np.array([[1e-45, 1e-30, 1.0, 1e30, 3e38, 1e300, np.inf]])
    for kind, inverse in [
        ("depth", [torch.nan, torch.nan, 1, 0, 0, 0, 0]),
        ("disparity", [0, 0, 1, torch.nan, torch.nan, torch.nan, torch.nan]),
    ]:
        np.save(tmp_path / "a.npy", values)
        (tmp_path / "a.json").write_text(json.dumps({"kind": kind}))
        assert same(read_depth(tmp_path / "a.npy").inverse_depth[0, 0, 0], torch.tensor(inverse, dtype=torch.float32))


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


def test_text_of_other_programs_is_read_in_a_sidecar(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([[2.0, 4.0]]))
    for coding in ("utf-8-sig", "utf-16", "utf-32"):
        (tmp_path / "a.json").write_text('{"kind": "depth", "unit": "m"}', encoding=coding)
        assert same(read_depth(tmp_path / "a.npy").metres(), torch.tensor([[[[2.0, 4.0]]]]))


def test_a_map_without_any_known_value_is_written_in_every_format(tmp_path: Path) -> None:
    nothing = from_numbers(torch.full((1, 1, 2, 3), torch.nan), "disparity")
    for suffix in SUFFIXES:
        nothing.save(tmp_path / f"a{suffix[1:]}{suffix}")
        with pytest.raises(InputError, match="no known depth"):
            read_depth(tmp_path / f"a{suffix[1:]}{suffix}")


def test_a_png_does_not_share_its_sidecar(tmp_path: Path) -> None:
    depth = from_numbers(depths(), "depth", "m")
    depth.save(tmp_path / "a.npy")
    depth.save(tmp_path / "a.npy")
    depth.save(tmp_path / "a.exr")
    with pytest.raises(InputError, match="another stem"):
        depth.save(tmp_path / "a.png")


def test_constant_maps_survive_16_bits(tmp_path: Path) -> None:
    from_numbers(torch.full((1, 1, 2, 2), 0.25), "disparity").save(tmp_path / "a.png")
    assert same(read_depth(tmp_path / "a.png").inverse_depth, torch.full((1, 1, 2, 2), 0.25))


def test_files_appear_whole_or_not_at_all(tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"

    def stopped() -> None:
        with appearing(out) as folder:
            (folder / "a.txt").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert list(out.iterdir()) == []
    with appearing(out) as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "a.txt").write_text("whole")
        assert [p.name for p in out.iterdir() if not p.name.startswith(".")] == []
    assert [p.name for p in out.iterdir()] == ["deep"]
    assert (out / "deep" / "a.txt").read_text() == "whole"


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write to"), appearing(tmp_path / "file" / "out"):
        pass


def test_a_short_write_without_a_number_is_a_full_disk(tmp_path):
    """So says numpy of an array that did not fit; other errors keep what they say."""
    with pytest.raises(InputError, match="240000 requested and 127968 written"), appearing(tmp_path / "out"):
        raise OSError("240000 requested and 127968 written")
    with pytest.raises(OSError, match="broken data stream") as told, appearing(tmp_path / "out"):
        raise OSError("broken data stream when writing image file")  # of an encoder: no fault of the disk
    assert not isinstance(told.value, InputError)
    with pytest.raises(ConnectionError), appearing(tmp_path / "out"):
        raise ConnectionResetError(104, "reset")
    assert not any((tmp_path / "out").iterdir())


def test_a_folder_in_the_place_of_a_result_leaves_nothing(tmp_path):
    (tmp_path / "b.npy").mkdir()

    def write() -> None:
        with appearing(tmp_path) as folder:
            for name in ("a.json", "b.npy", "c.png"):
                (folder / name).write_text("new")

    with pytest.raises(InputError, match="is a folder, and a result needs its name"):
        write()
    assert [p.name for p in tmp_path.iterdir()] == ["b.npy"]


def test_files_that_belong_together_stay_together(tmp_path):
    """Two writers of one stem: whoever is last, all files are theirs."""

    def write(who: str) -> None:
        for _ in range(20):
            with appearing(tmp_path) as folder:
                for name in ("a.json", "b.npy", "c.png", "d.png"):
                    (folder / name).write_text(who)

    writers = [threading.Thread(target=write, args=(who,)) for who in "xy"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len({path.read_text() for path in tmp_path.iterdir()}) == 1


def test_what_a_killed_process_left_is_swept(tmp_path):
    left, young = tmp_path / ".cyclopean-left", tmp_path / ".cyclopean-young"
    for folder in (left, young):
        folder.mkdir()
    os.utime(left, (0, 0))
    with appearing(tmp_path) as folder:
        os.utime(folder, (0, 0))
        with appearing(tmp_path):  # somebody else's, who must not take ours for left over
            assert folder.exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == [".cyclopean-young"]
