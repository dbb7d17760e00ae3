"""What a sidecar says of the numbers beside it, and what is refused."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from depth_parts import depths, same

from cyclopean.errors import InputError
from cyclopean.io.depthmap import from_numbers, read_depth, write_depth
from cyclopean.io.sidecar import Maker, Sidecar, outputs_named_in, read_sidecar, sidecar_to_json


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
    own = {"p_disp.npy", "p_disp.exr", "p_disp.png", "p_disp16.png", "p_disp.json", "p_disp16.json"}
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


def test_a_small_sidecar_makes_it_metres_with_sky(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([[2.0, np.inf]]))
    (tmp_path / "a.json").write_text('{"kind": "depth", "unit": "m"}')
    depth = read_depth(tmp_path / "a.npy")
    assert same(depth.metres(), torch.tensor([[[[2.0, torch.inf]]]]))


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


def test_text_of_other_programs_is_read_in_a_sidecar(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([[2.0, 4.0]]))
    for coding in ("utf-8-sig", "utf-16", "utf-32"):
        (tmp_path / "a.json").write_text('{"kind": "depth", "unit": "m"}', encoding=coding)
        assert same(read_depth(tmp_path / "a.npy").metres(), torch.tensor([[[[2.0, 4.0]]]]))


def test_a_png_does_not_share_its_sidecar(tmp_path: Path) -> None:
    depth = from_numbers(depths(), "depth", "m")
    depth.save(tmp_path / "a.npy")
    depth.save(tmp_path / "a.npy")
    depth.save(tmp_path / "a.exr")
    with pytest.raises(InputError, match="another stem"):
        depth.save(tmp_path / "a.png")
