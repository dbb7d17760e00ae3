"""What a depth map's numbers mean, in memory and on disk."""

import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from cyclopean.depthmap import Maker, appearing, from_numbers, outputs_named_in, read_depth, read_sidecar, write_depth
from cyclopean.errors import InputError
from cyclopean.geometry import Equirectangular, Pinhole

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
    with pytest.raises(InputError, match="no metres"):
        relative.metres()
    with pytest.raises(InputError, match="scale and shift"):
        affine.numbers("depth")
    with pytest.raises(InputError, match="focal length and baseline"):
        relative.numbers("disparity")
    with pytest.raises(InputError, match="camera"):
        relative.numbers("distance")
    with pytest.raises(ValueError, match="contradicts"):
        from_numbers(depths(), "depth", "m", ambiguity="scale")


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
    (tmp_path / "broken.json").write_text("{")
    assert outputs_named_in(tmp_path) == own


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


@pytest.mark.parametrize(
    ("sidecar", "message"),
    [
        ('{"kind": "dept"}', "did you mean 'depth'"),
        ('{"kind": "depth", "unit": "mm"}', "unknown unit 'mm'"),
        ('{"kind": "depth", "unit": "m", "ambiguity": "scale"}', "contradicts itself"),
        ('{"unit": "m"}', 'does not say the "kind"'),
        ("[1]", 'does not say the "kind"'),
        ("{", "not readable JSON"),
        ('{"kind": "depth", "size": [9, 9]}', "3x2 but a.json says 9x9"),
        ('{"kind": "depth", "camera": {"camera": "fisheye"}}', "fisheye"),
        ('{"kind": "depth", "model": {"nam": 1}}', "cannot be understood"),
    ],
)
def test_sidecars_that_are_refused(tmp_path: Path, sidecar: str, message: str) -> None:
    np.save(tmp_path / "a.npy", np.ones((2, 3)))
    (tmp_path / "a.json").write_text(sidecar)
    with pytest.raises(InputError, match=message):
        read_depth(tmp_path / "a.npy")


def test_kinds_are_not_mixed(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", depth=np.ones((2, 3)))
    assert read_depth(tmp_path / "a.npz").kind == "inverse_depth"
    (tmp_path / "a.json").write_text('{"kind": "disparity"}')
    with pytest.raises(InputError, match=r"holds 'depth' but a\.json says 'disparity'"):
        read_depth(tmp_path / "a.npz")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("content", [b"", b"not numbers at all, but text", b"\x93NUMPY\x01\x00"])
def test_damaged_files_are_one_sentence(tmp_path: Path, suffix: str, content: bytes) -> None:
    (tmp_path / f"a{suffix}").write_bytes(content)
    with pytest.raises(InputError) as error:
        read_depth(tmp_path / f"a{suffix}")
    assert "\n" not in str(error.value)


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
    with pytest.raises(InputError, match=r"no depth file: give \.npy"):
        read_depth(tmp_path / "a.txt")
    with pytest.raises(InputError, match=r"unknown depth format '\.np'"):
        from_numbers(depths(), "depth").save(tmp_path / "a.np")


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
    with pytest.raises(ConnectionError), appearing(tmp_path / "out"):
        raise ConnectionResetError(104, "reset")
    assert not any((tmp_path / "out").iterdir())
