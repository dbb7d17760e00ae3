"""A rendered folder reads back as the samples it was made of; a cut run goes on; streamed is the same as written."""

import json
import multiprocessing
import os
import signal

import cv2
import numpy as np
import pillow_heif
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from cyclopean.data.folder import FolderDataset
from cyclopean.data.rendered import WorldsDataset
from cyclopean.errors import InputError
from cyclopean.geometry import pixel_grid
from cyclopean.io.rendered_folder import missing
from cyclopean.synthetic import folder, rigs
from cyclopean.synthetic.folder import RenderJob, contact_sheet, load_pictures, write

SIZE = (32, 48)


@pytest.fixture
def photographs(tmp_path):
    """A folder with a wide green and a tall red picture (by name first red), and a text."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    red, green = np.zeros((30, 20, 3), np.uint8), np.zeros((20, 40, 3), np.uint8)
    red[..., 2], green[..., 1] = 255, 255
    assert cv2.imwrite(str(folder / "a.png"), red)
    assert cv2.imwrite(str(folder / "b.jpg"), green)
    (folder / "notes.txt").write_text("no picture")
    return folder


@pytest.mark.parametrize(("rig", "size"), [("stereo", (32, 48)), ("clip", (32, 48)), ("sphere", (32, 64))])
def test_folder_reads_back(rig, size, tmp_path):
    order = RenderJob(("room", "street"), rig, 9, 2, size)
    assert list(write(order, tmp_path)) == [0, 1]
    items = FolderDataset(tmp_path)
    for n, read in enumerate(items):
        made, objects = rigs.identified([(order.family(n), 9 + n)], size, rig)[0]
        assert torch.equal(items.objects(n), objects)
        assert cv2.imread(str(tmp_path / "ids" / f"{n:06d}.png"), cv2.IMREAD_UNCHANGED).dtype == np.uint16
        assert torch.equal(read.depth, made.depth)
        assert (read.target.image - made.target.image).abs().max() <= 0.5 / 255 + 1e-6
        assert torch.equal(read.target.valid, made.target.valid)
        grid = pixel_grid(size, made.depth)
        torch.testing.assert_close(read.target.camera.rays(grid), made.target.camera.rays(grid))
        for a, b in zip(read.sources, made.sources, strict=True):
            assert (a.image - b.image).abs().max() <= 0.5 / 255 + 1e-6
            torch.testing.assert_close(a.from_target, b.from_target)


def test_a_folder_without_identities_says_what_to_do(tmp_path):
    list(write(RenderJob(("room",), "stereo", 9, 1, SIZE), tmp_path))
    (tmp_path / "ids" / "000000.png").unlink()
    with pytest.raises(InputError, match="render the folder again"):
        FolderDataset(tmp_path).objects(0)


@pytest.mark.slow
def test_a_killed_process_is_replaced(tmp_path):
    written = write(RenderJob(("room",), "stereo", 9, 6, SIZE), tmp_path, workers=2)
    done = [next(written)]
    os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)
    assert sorted([*done, *written]) == list(range(6))
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("rig", ["stereo", "clip"])
def test_batches_write_what_single_scenes_do(rig, tmp_path, monkeypatch):
    """As on a GPU: parts of three, the last one shorter, and one item there already."""
    order = RenderJob(("room", "street"), rig, 5, 5, SIZE)
    assert list(write(order, tmp_path / "alone")) == [0, 1, 2, 3, 4]
    list(write(RenderJob(("room", "street"), rig, 5, 1, SIZE), tmp_path / "together"))
    asked = []
    monkeypatch.setattr(folder, "together", lambda *_: 3)

    def counted(scenes, *rest, **named):
        asked.append(len(scenes))
        return rigs.identified(scenes, *rest, **named)

    monkeypatch.setattr(folder, "identified", counted)
    assert list(write(order, tmp_path / "together")) == [1, 2, 3, 4]
    assert asked == [3, 1]
    for path in (tmp_path / "alone").rglob("*.*"):
        assert (tmp_path / "together" / path.relative_to(tmp_path / "alone")).read_bytes() == path.read_bytes()


def test_a_cut_run_goes_on_and_another_order_is_refused(tmp_path):
    order = RenderJob(("table",), "stereo", 0, 3, SIZE)
    assert len(list(write(order, tmp_path))) == 3
    (tmp_path / "camera" / "000001.json").unlink()
    assert missing(tmp_path, order.count) == [1]
    assert list(write(order, tmp_path)) == [1]
    assert list(write(RenderJob(("table",), "stereo", 0, 3, SIZE), tmp_path)) == []
    for other in (
        RenderJob(("room",), "stereo", 0, 3, SIZE),
        RenderJob(("table",), "stereo", 0, 3, SIZE, baseline=0.3),
    ):
        with pytest.raises(InputError, match="another data set"):
            list(write(other, tmp_path))


def test_links_in_the_folder_are_replaced_and_not_followed(tmp_path):
    outside, out = tmp_path / "outside", tmp_path / "out"
    outside.write_text("mine")
    files = ("left/000000.png", "right/000000.png", "depth/000000.npy", "camera/000000.json", "dataset.json")
    for name in (*files[:3], *(f"{file}.part" for file in files)):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).symlink_to(outside)
    list(write(RenderJob(("table",), "stereo", 0, 1, SIZE), out))
    assert outside.read_text() == "mine"
    assert not any(path.is_symlink() or path.suffix == ".part" for path in out.rglob("*"))


def test_baseline_moves_the_right_camera(tmp_path):
    assert len(list(write(RenderJob(("room",), "stereo", 2, 1, SIZE, baseline=0.25), tmp_path))) == 1
    pose = json.loads((tmp_path / "camera" / "000000.json").read_text())["from_target"]["right"]
    assert [row[3] for row in pose] == pytest.approx([-0.25, 0, 0, 1], abs=1e-6)


def test_field_of_view_is_the_one_asked_for(tmp_path):
    assert len(list(write(RenderJob(("room",), "stereo", 2, 1, SIZE, field_of_view=90.0), tmp_path))) == 1
    assert json.loads((tmp_path / "camera" / "000000.json").read_text())["focal"][0] == pytest.approx(0.5)


def test_streamed_and_written_are_the_same(tmp_path, photographs):
    streamed = WorldsDataset(("street", "room"), "stereo", 4, SIZE, 2, photographs)
    list(write(RenderJob(("street", "room"), "stereo", 4, 2, SIZE, pictures=str(photographs)), tmp_path / "out"))
    for a, b in zip(streamed, FolderDataset(tmp_path / "out"), strict=True):
        assert torch.equal(a.depth, b.depth)
        assert (a.target.image - b.target.image).abs().max() <= 0.5 / 255 + 1e-6


def test_pictures_change_colours_and_not_depth(photographs):
    bare, papered = (WorldsDataset(("room",), "stereo", 7, SIZE, 1, pictures)[0] for pictures in (None, photographs))
    assert torch.equal(bare.depth, papered.depth)
    assert (bare.target.image - papered.target.image).abs().mean() > 0.03


def test_pictures_are_cut_square_in_the_order_of_their_names(photographs):
    read = load_pictures(photographs, 16)
    assert read.shape == (2, 3, 16, 16)
    assert read.mean((2, 3)).round().tolist() == [[1, 0, 0], [0, 1, 0]]
    pillow_heif.register_heif_opener()
    for suffix in (".heic", ".webp", ".jfif", ".TIF"):  # as cameras and phones write them
        path = photographs / f"zz{suffix}"
        Image.new("RGB", (20, 30), "blue").save(path, {".jfif": "JPEG", ".heic": "HEIF"}.get(suffix))
    load_pictures.cache_clear()
    assert load_pictures(photographs, 16).mean((2, 3)).round().tolist()[2:] == [[0, 0, 1]] * 4


def half_a_jpeg() -> bytes:
    whole = cv2.imencode(".jpg", np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))[1].tobytes()
    return whole[: len(whole) // 2]


def single_colour(height: int, width: int) -> bytes:
    return cv2.imencode(".png", np.zeros((height, width), np.uint8))[1].tobytes()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"a text", "one.png cannot be read as a picture"),
        (half_a_jpeg(), "one.png is truncated"),
        (single_colour(1, 1), "one.png is 1x1 pixels; data needs at least 16"),
        (single_colour(12000, 10001), "the limit of data is 120"),
        (single_colour(20000, 20000), "the limit of data is 120"),
    ],
    ids=["text", "half", "speck", "large", "larger"],
)
def test_pictures_that_are_none_or_too_large_are_named(photographs, content, sentence):
    (photographs / "one.png").write_bytes(content)
    with pytest.raises(InputError, match=sentence):
        load_pictures(photographs, 16)


def test_what_cannot_be_streamed_is_told(tmp_path):
    with pytest.raises(InputError, match="did you mean 'street'"):
        WorldsDataset(("streat",), "stereo", 0, SIZE, 1)
    with pytest.raises(InputError, match="did you mean 'sphere'"):
        WorldsDataset(("street",), "spere", 0, SIZE, 1)
    with pytest.raises(InputError, match="at least 1"):
        WorldsDataset(("street",), "stereo", 0, SIZE, 0)
    with pytest.raises(InputError, match="holds no picture"):
        WorldsDataset(("street",), "stereo", 0, SIZE, 1, tmp_path)
    with pytest.raises(InputError, match="is not a folder"):
        WorldsDataset(("street",), "stereo", 0, SIZE, 1, tmp_path / "none")
    with pytest.raises(IndexError):
        WorldsDataset(("street",), "stereo", 0, SIZE, 1)[1]


def test_contact_sheet_shows_pictures_above_their_depth():
    made = [rigs.sample("table", s, SIZE) for s in range(3)]
    sheet = contact_sheet(made, columns=2)
    assert sheet.shape == (2 * 64, 2 * 48, 3)
    first = (made[0].target.image[0].permute(1, 2, 0) * 255).round().byte().numpy()
    np.testing.assert_array_equal(sheet[:32, :48], first)
    near, far = (sheet[32:64, :48].sum(2)[pick(made[0].depth[0, 0])] for pick in (_nearest, _farthest))
    assert near > far + 100
    assert (sheet[64:, 48:] == 0).all()  # the place of a fourth


def _nearest(depth):
    return np.unravel_index(int(depth.argmin()), depth.shape)


def _farthest(depth):
    return np.unravel_index(int(depth.argmax()), depth.shape)


def test_supersampled_pixels_are_means_of_rays_and_the_depth_of_the_middle_one():
    """A picture of three rays a side has the depth of its finer twin, and flickers less between two close views."""
    coarse, fine, twin = (
        rigs.sample("traffic", 5, size, "clip", field_of_view=70.0, supersample=rays)
        for size, rays in (((24, 72), 3), ((72, 216), 1), ((24, 72), 1))
    )
    assert torch.equal(coarse.depth, fine.depth[..., 1::3, 1::3])
    assert torch.equal(coarse.target.valid, fine.target.valid[..., 1::3, 1::3])
    mean = F.avg_pool2d(fine.target.image, 3)
    assert (coarse.target.image - mean).abs().mean() < 0.7 * (twin.target.image - mean).abs().mean()
    with pytest.raises(InputError, match="odd number"):
        rigs.sample("traffic", 5, (24, 72), "clip", supersample=2)
