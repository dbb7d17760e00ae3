"""Predictions made elsewhere: whatever their numbers, size and file, the same depth comes out."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from evaluation_parts import BASELINE, FOCAL, Items, item
from PIL import Image

from cyclopean.errors import InputError
from cyclopean.evaluation.entries import depth_files
from cyclopean.evaluation.evaluate import evaluate
from cyclopean.evaluation.predictions import Meaning, read_predictions
from cyclopean.evaluation.protocols import named_protocol

H, W = 12, 20
PROTOCOL = named_protocol("worlds")[0]
TRUTHS = [np.linspace(2, 40, H)[:, None] * np.ones(W) + i for i in range(3)]
DATA = Items(*(item(depth, f"drive/{i:03d}") for i, depth in enumerate(TRUTHS)))


def errors(path: Path, meaning: Meaning, data: Items = DATA, in_order: bool = False) -> list[float]:
    """AbsRel without alignment, image by image."""
    entry = read_predictions(path, meaning, data, in_order)
    measured, counts = evaluate([entry], data, range(len(data)), PROTOCOL)
    assert not counts.failed
    return [m.figures["abs_rel"] for m in measured if m.alignment == "none"]


def disparity(depth: np.ndarray) -> np.ndarray:
    """As a fraction of the image width."""
    return FOCAL * BASELINE / depth


def test_any_kind_of_number_in_npy_files(tmp_path):
    (tmp_path / "drive").mkdir()
    wrong = []
    for meaning, numbers in (
        (Meaning("disparity"), disparity),
        (Meaning("disparity_px"), lambda depth: W * disparity(depth)),
        (Meaning("disparity_px", per_unit=256.0), lambda depth: 256 * W * disparity(depth)),
        (Meaning("inverse_depth"), lambda depth: 1 / depth),
        (Meaning("depth"), lambda depth: depth),
        (Meaning("depth", per_unit=1000.0), lambda depth: 1000 * depth),
        (Meaning("disparity", baseline=0.22, focal=1.1), lambda depth: 1.1 * 0.22 / depth),
        (Meaning("disparity", baseline=0.22), lambda depth: FOCAL * 0.22 / depth),
    ):
        for i, depth in enumerate(TRUTHS):  # named with or without a folder
            np.save(tmp_path / ("drive" if i else ".") / f"{i:03d}.npy", numbers(depth))
        if errors(tmp_path, meaning) != pytest.approx([0, 0, 0], abs=1e-6):
            wrong.append(meaning)
    assert not wrong


def test_predictions_obey_the_rules_of_every_depth_file(tmp_path):
    """Depth below 1e-12 is unknown, EXIF turns a map as its picture, and a file longer than stated is not read."""
    sample = DATA[0]
    numbers = torch.tensor([[[[1e-39, 1e-13, 1e-11, 2.0, 1e13]]]])
    for kind, rho in (("depth", [torch.nan, torch.nan, 1e11, 0.5, 0]), ("inverse_depth", [0, 0, 1e-11, 2, torch.nan])):
        read = Meaning(kind).inverse_depth(numbers, sample)
        torch.testing.assert_close(read.flatten(), torch.tensor(rho), equal_nan=True)
    marks = Image.Exif()
    marks[274] = 3
    folder = tmp_path / "turned"
    for index in range(len(DATA)):
        counts = (DATA[index].depth[0, 0].numpy() * 256).astype(np.uint16)
        path = folder / f"{DATA[index].name[0]}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.ascontiguousarray(counts[::-1, ::-1])).save(path, exif=marks)
    assert max(errors(folder, Meaning("depth", per_unit=256.0))) < 0.01
    maps = np.stack([DATA[index].depth[0, 0].numpy() for index in range(len(DATA))])
    np.save(tmp_path / "all.npy", maps)
    (tmp_path / "all.npy").write_bytes((tmp_path / "all.npy").read_bytes() + b"more")
    with pytest.raises(InputError, match=r"longer than .* numbers, by 4 bytes"):
        read_predictions(tmp_path / "all.npy", Meaning("depth"), DATA)


def test_sky_of_a_renderer_is_infinitely_far(tmp_path):
    depth = 1000 * np.minimum(TRUTHS[0], 60)  # millimetres
    for sky in (65504, 1e10, np.inf):
        depth[0] = sky
        np.save(tmp_path / "000.npy", depth.astype(np.float32))
        rho = read_predictions(tmp_path, Meaning("depth", per_unit=1000.0), DATA).predict(DATA[0])
        assert (rho[0, 0] == 0).sum(1).tolist() == [W] + [0] * (len(depth) - 1), sky
    np.save(tmp_path / "000.npy", depth.astype(np.float16))  # no warning: half floats do not reach 1e9
    assert (read_predictions(tmp_path, Meaning("depth", per_unit=1000.0), DATA).predict(DATA[0])[0, 0, 0] == 0).all()


def test_maps_below_zero_are_named_and_left_out(tmp_path):
    (tmp_path / "drive").mkdir()
    for i, depth in enumerate(TRUTHS):
        np.save(tmp_path / "drive" / f"{i:03d}.npy", -depth if i == 1 else depth)
    for kind in ("disparity", "disparity_px", "inverse_depth", "depth"):
        for in_order in (False, True):
            entry = read_predictions(tmp_path, Meaning(kind), DATA, in_order)
            _, counts = evaluate([entry], DATA, range(3), PROTOCOL)
            assert list(counts.failed) == ["drive/001"], kind
            words = "has no number of at least 0 (infinitely far) for drive/001; change its sign"
            assert words in counts.failed["drive/001"], kind
    np.save(tmp_path / "drive" / "001.npy", np.full_like(TRUTHS[1], np.nan))
    _, counts = evaluate([read_predictions(tmp_path, Meaning("depth"), DATA)], DATA, range(3), PROTOCOL)
    assert "drive/001 is NaN everywhere" in counts.failed["drive/001"]


def test_a_file_is_never_taken_for_two_pictures(tmp_path):
    """Frames of two drives may have one number; only whole names tell their files apart."""
    data = Items(item(TRUTHS[0], "day/one/005"), item(TRUTHS[1], "day/two/005"))
    np.save(tmp_path / "005.npy", TRUTHS[0])
    _, counts = evaluate([read_predictions(tmp_path, Meaning("depth"), data)], data, range(2), PROTOCOL)
    assert counts.images == 1
    assert "matches both day/one/005 and day/two/005" in counts.failed["day/two/005"]
    for drive, depth in zip(("one", "two"), TRUTHS[:2], strict=True):
        np.save(tmp_path / f"day_{drive}_005.npy", depth)
    assert errors(tmp_path, Meaning("depth"), data) == pytest.approx([0, 0], abs=1e-6)


def test_kittis_16_bit_pictures(tmp_path):
    for i, depth in enumerate(TRUTHS):
        cv2.imwrite(str(tmp_path / f"{i:03d}.png"), np.round(256 * depth).astype(np.uint16))
    assert errors(tmp_path, Meaning("depth", per_unit=256.0)) == pytest.approx([0, 0, 0], abs=1e-3)


def test_one_array_of_maps_as_monodepth_writes(tmp_path):
    """disparities.npy: (items, height, width), a fraction of the width, of the network's size, in the list's order."""
    np.save(tmp_path / "disparities.npy", np.stack([disparity(depth) for depth in TRUTHS]).astype(np.float32))
    assert errors(tmp_path / "disparities.npy", Meaning("disparity")) == pytest.approx([0, 0, 0], abs=1e-6)
    with pytest.raises(InputError, match="3 maps and the data 2 items"):
        read_predictions(tmp_path / "disparities.npy", Meaning("disparity"), Items(*DATA.samples[:2]))


def test_pixels_of_a_small_map_are_not_pixels_of_the_picture(tmp_path):
    flat = Items(item(np.full((H, W), 5.0), "a"))
    small = np.full((3, W // 4), FOCAL * BASELINE / 5.0 * W / 4)
    np.save(tmp_path / "a.npy", small)
    assert errors(tmp_path, Meaning("disparity_px"), flat) == pytest.approx([0], abs=1e-6)
    np.save(tmp_path / "a.npy", 4 * small)
    assert errors(tmp_path, Meaning("disparity_px"), flat) == pytest.approx([0.75], abs=1e-6)


def test_small_maps_are_resized_as_inverse_depth_with_half_pixel_centres(tmp_path):
    data = Items(item(1 / (0.1 + 0.01 * (np.arange(W) + 0.5)[None] * np.ones((H, 1))), "a"))
    small = 0.1 + 0.02 * (np.arange(W // 2) + 0.5)[None] * np.ones((H // 2, 1))
    np.save(tmp_path / "a.npy", small)
    entry = read_predictions(tmp_path, Meaning("inverse_depth"), data)
    measured, _ = evaluate([entry], data, range(1), PROTOCOL)
    borders = 2 * 0.005 / W * (1 / 0.105 + 1 / 0.295) / 2  # half a small pixel beyond the last centre is repeated
    assert measured[0].figures["abs_rel"] == pytest.approx(borders, rel=0.05)


def test_suffixes_in_capitals_are_suffixes(tmp_path):
    """As programs of Windows write them."""
    for name in ("A.NPY", "B.PFM"):
        folder = tmp_path / name[2:]
        folder.mkdir()
        for i, depth in enumerate(TRUTHS):
            file = folder / f"{i:03d}{name[1:].lower()}"
            np.save(file, depth) if name == "A.NPY" else cv2.imwrite(str(file), depth.astype(np.float32))
            file.rename(folder / f"{i:03d}{name[1:]}")
        assert errors(folder, Meaning("depth")) == pytest.approx([0, 0, 0], abs=1e-6)
        assert depth_files(folder).ambiguity == "scale", "a folder of depth files may stand in a model's place"


def test_maps_that_lie_on_their_side_are_named(tmp_path):
    """Programs that pass over EXIF's orientation write depth of the pixels as they are stored."""
    for i, depth in enumerate(TRUTHS):
        np.save(tmp_path / f"{i:03d}.npy", np.rot90(depth))
    entry = read_predictions(tmp_path, Meaning("depth"), DATA)
    _, counts = evaluate([entry], DATA, range(3), PROTOCOL)
    assert counts.images == 0
    assert f"has a map of {H}x{W} for drive/000, which is {W}x{H} as viewers show it" in counts.failed["drive/000"]


def test_files_in_order_whatever_their_names(tmp_path):
    for name, depth in zip(("x_1", "x_2", "y_0"), TRUTHS, strict=True):
        np.save(tmp_path / f"{name}.npy", depth)
    assert errors(tmp_path, Meaning("depth"), in_order=True) == pytest.approx([0, 0, 0], abs=1e-6)
    with pytest.raises(InputError, match="3 files and the data 1 items"):
        read_predictions(tmp_path, Meaning("depth"), Items(DATA[0]), in_order=True)
    for name in ("x_1", "x_2", "y_0"):  # as MiDaS writes: a picture of each map beside it
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.zeros((H, W), np.uint16))
    with pytest.raises(InputError, match=r"6 files \(3 of the same name with another suffix: keep one kind"):
        read_predictions(tmp_path, Meaning("depth"), DATA, in_order=True)


def test_several_files_for_one_picture_are_named(tmp_path, caplog):
    for i, depth in enumerate(TRUTHS):
        np.save(tmp_path / f"{i:03d}.npy", depth)
    assert errors(tmp_path, Meaning("depth")) == pytest.approx([0, 0, 0], abs=1e-6)
    assert caplog.text == ""
    for i, depth in enumerate(TRUTHS):
        cv2.imwrite(str(tmp_path / f"{i:03d}.png"), (100 * depth).astype(np.uint16))
    assert errors(tmp_path, Meaning("depth")) == pytest.approx([0, 0, 0], abs=1e-6)
    assert caplog.text.count("000.npy is used, not 000.png") == 1
    assert "001.npy" not in caplog.text  # once is enough


def test_coloured_pictures_beside_our_own_depth_are_no_second_file(tmp_path, caplog):
    for i, depth in enumerate(TRUTHS):
        np.save(tmp_path / f"{i:03d}_disp.npy", depth)
        cv2.imwrite(str(tmp_path / f"{i:03d}_disp.png"), np.zeros((H, W, 3), np.uint8))
    assert errors(tmp_path, Meaning("depth")) == pytest.approx([0, 0, 0], abs=1e-6)
    assert caplog.text == ""


def test_numbers_in_names_are_sorted_as_numbers(tmp_path):
    for number, depth in zip((9, 10, 101), TRUTHS, strict=True):
        np.save(tmp_path / f"pred_{number}.npy", depth)
    assert errors(tmp_path, Meaning("depth"), in_order=True) == pytest.approx([0, 0, 0], abs=1e-6)


def test_relative_disparities_are_right_up_to_scale(tmp_path):
    data = Items(*(item(depth, f"{i}", paired=False) for i, depth in enumerate(TRUTHS)))
    np.save(tmp_path / "all.npy", np.stack([3 * disparity(depth) for depth in TRUTHS]))
    entry = read_predictions(tmp_path / "all.npy", Meaning("disparity", "relative"), data)
    assert entry.ambiguity == "scale"
    measured, _ = evaluate([entry], data, range(3), PROTOCOL)
    assert all(m.figures["abs_rel"] < 1e-6 for m in measured if m.alignment == "median")
    metric = read_predictions(tmp_path / "all.npy", Meaning("disparity"), data)
    _, counts = evaluate([metric], data, range(3), PROTOCOL)
    assert len(counts.failed) == 3
    assert "--baseline" in counts.failed["0"]


def test_missing_and_broken_files_and_holes_are_named(tmp_path):
    hole = TRUTHS[0].copy()
    hole[3, 3] = 0  # no depth
    np.save(tmp_path / "000.npy", hole)
    (tmp_path / "001.npy").write_bytes(b"")
    measured, counts = evaluate([read_predictions(tmp_path, Meaning("depth"), DATA)], DATA, range(3), PROTOCOL)
    assert not measured
    assert (
        "on drive/000 at 1 of 240 pixels whose truth counts; unknown is what is NaN, or a depth of 0"
        in counts.failed["drive/000"]
    )
    assert "empty" in counts.failed["drive/001"]
    assert "no depth for the picture drive/002; it needs 002 or 002_disp with one of .npy" in counts.failed["drive/002"]
    np.save(tmp_path / "002-dpt_large_384.npy", TRUTHS[2])
    _, counts = evaluate([read_predictions(tmp_path, Meaning("depth"), DATA)], DATA, range(2, 3), PROTOCOL)
    assert "drive/002 (002-dpt_large_384.npy is there)" in counts.failed["drive/002"]
    assert "--in-order" in counts.failed["drive/002"]


def test_bad_predictions_are_told_in_words(tmp_path):
    for make, words in (
        (lambda p: Meaning("dispartiy"), "did you mean 'disparity'"),
        (lambda p: Meaning("depth", "cm"), "unit of prediction"),
        (lambda p: Meaning("depth", per_unit=0.0), "above 0"),
        (lambda p: read_predictions(p / "none", Meaning("depth"), DATA), "does not exist"),
        (lambda p: read_predictions(p, Meaning("depth"), DATA), "holds no depth files"),
        (lambda p: read_predictions(_saved(p, np.zeros(3)), Meaning("depth"), DATA), "it needs numbers"),
        (lambda p: read_predictions(_saved(p, np.array(["a"])), Meaning("depth"), DATA), "it needs numbers"),
    ):
        with pytest.raises(InputError, match=words):
            make(tmp_path)


def _saved(folder: Path, array: np.ndarray) -> Path:
    np.save(folder / "maps.npy", array)
    return folder / "maps.npy"


def test_an_array_needs_to_know_the_place_of_an_item(tmp_path):
    np.save(tmp_path / "maps.npy", np.ones((3, H, W)))
    entry = read_predictions(tmp_path / "maps.npy", Meaning("depth"), DATA)
    assert torch.equal(entry.inverse_depth(1, DATA[1]), torch.ones(1, 1, H, W))
    with pytest.raises(InputError, match="by index only"):
        entry.predict(DATA[1])


@pytest.mark.parametrize(
    ("covers", "rows", "columns"), [("kitti_benchmark", (23, 375), (13, 1229)), ("garg", (153, 371), (44, 1197))]
)
def test_maps_of_a_named_part_are_placed_not_stretched(tmp_path, caplog, covers, rows, columns):
    """KITTI's benchmark crop: the middle 1216 columns, down to the last row, of whatever size the drive has."""
    y, x = np.mgrid[:375, :1242]
    depth = 4 + (375 - y) * 0.1 + x * 0.005
    truth = np.full_like(depth, np.nan)
    truth[160:360, 60:1180] = depth[160:360, 60:1180]
    data = Items(item(truth, "a"))
    np.save(tmp_path / "a.npy", 1.1 * depth[slice(*rows), slice(*columns)])
    assert errors(tmp_path, Meaning("depth", covers=covers), data) == pytest.approx([0.1], abs=1e-5)
    assert caplog.text == ""
    assert abs(errors(tmp_path, Meaning("depth"), data)[0] - 0.1) > 0.01  # stretched
    assert f"--covers {covers}" in caplog.text
    small = item(TRUTHS[0], "a")
    _, counts = evaluate(
        [read_predictions(tmp_path, Meaning("depth", covers=covers), Items(small))], Items(small), [0], PROTOCOL
    )
    assert ("smaller than kitti_benchmark" in str(counts.failed)) == (covers == "kitti_benchmark")


def test_truth_outside_the_part_is_told(tmp_path):
    depth = np.full((375, 1242), 5.0)
    np.save(tmp_path / "a.npy", depth[23:, 13:1229])
    data = Items(item(depth, "a"))
    entry = read_predictions(tmp_path, Meaning("depth", covers="kitti_benchmark"), data)
    _, counts = evaluate([entry], data, [0], PROTOCOL)
    assert "its maps cover kitti_benchmark only, and worlds also counts truth outside" in counts.failed["a"]
    assert entry.covers == "kitti_benchmark"


def test_damaged_arrays_are_told_in_one_sentence(tmp_path):
    """Headers of .npy are Python: cut anywhere they fail in many ways."""
    np.save(tmp_path / "maps.npy", np.ones((3, H, W), np.float32))
    whole = (tmp_path / "maps.npy").read_bytes()
    (tmp_path / "folder").mkdir()
    for data in (
        *(whole[:n] for n in range(0, 128, 5)),
        whole.replace(b"(3,", b"(3L"),
        whole.replace(b"'<f4'", b"'|O8'"),
    ):
        (tmp_path / "maps.npy").write_bytes(data)
        (tmp_path / "folder" / "000.npy").write_bytes(data)
        with pytest.raises(InputError):
            read_predictions(tmp_path / "maps.npy", Meaning("depth"), DATA)
        with pytest.raises(InputError):
            read_predictions(tmp_path / "folder", Meaning("depth"), DATA).predict(DATA[0])
