"""What a depth map's numbers mean, in memory and on disk."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from depth_parts import CAMERA, depths, same

from cyclopean.errors import InputError
from cyclopean.geometry import Equirectangular
from cyclopean.io.depthmap import from_numbers, read_depth, write_depth


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


def test_negative_inverse_depth_has_no_depth() -> None:
    depth = from_numbers(torch.tensor([[[[-0.5, 0.5]]]]), "inverse_depth")
    assert same(depth.numbers("depth"), torch.tensor([[[[torch.nan, 2.0]]]]))


def test_numbers_at_the_ends_of_float32_are_infinitely_far_or_unknown(tmp_path: Path) -> None:
    values = np.array([[1e-45, 1e-30, 1.0, 1e30, 3e38, 1e300, np.inf]])
    for kind, inverse in [
        ("depth", [torch.nan, torch.nan, 1, 0, 0, 0, 0]),
        ("disparity", [0, 0, 1, torch.nan, torch.nan, torch.nan, torch.nan]),
    ]:
        np.save(tmp_path / "a.npy", values)
        (tmp_path / "a.json").write_text(json.dumps({"kind": kind}))
        assert same(read_depth(tmp_path / "a.npy").inverse_depth[0, 0, 0], torch.tensor(inverse, dtype=torch.float32))
