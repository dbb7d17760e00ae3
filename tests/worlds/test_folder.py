"""A rendered folder reads back as the samples it was made of; a cut run goes on; bad orders are sentences."""

import json
import subprocess
import sys

import pytest
import torch

from cyclopean import worlds
from cyclopean.data.folder import FolderDataset
from cyclopean.data.worlds import WorldsDataset
from cyclopean.errors import InputError
from cyclopean.worlds.folder import Order, contact_sheet, write


def render(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "cyclopean", "render", *map(str, arguments)], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(("rig", "size"), [("stereo", (48, 64)), ("clip", (48, 64)), ("sphere", (32, 64))])
def test_folder_reads_back(rig, size, tmp_path):
    order = Order(("room", "table"), rig, 9, 2, size)
    assert sorted(write(order, tmp_path)) == [0, 1]
    for n, read in enumerate(FolderDataset(tmp_path)):
        made = worlds.sample(order.family(n), 9 + n, size, rig)
        assert torch.equal(read.depth, made.depth)
        assert (read.target.image - made.target.image).abs().max() <= 0.5 / 255 + 1e-6
        assert torch.equal(read.target.valid, made.target.valid)
        for a, b in zip(read.sources, made.sources, strict=True):
            torch.testing.assert_close(a.from_target, b.from_target)


def test_a_cut_run_goes_on_and_another_order_is_refused(tmp_path):
    order = Order(("table",), "stereo", 0, 3, (32, 48))
    list(write(order, tmp_path))
    (tmp_path / "camera" / "000001.json").unlink()
    assert list(write(order, tmp_path)) == [1]
    with pytest.raises(InputError, match="another data set"):
        list(write(Order(("room",), "stereo", 0, 3, (32, 48)), tmp_path))


def test_streamed_and_written_are_the_same(tmp_path):
    streamed = WorldsDataset(("street", "room"), "stereo", 4, (32, 48), 2)
    list(write(Order(("street", "room"), "stereo", 4, 2, (32, 48)), tmp_path))
    for a, b in zip(streamed, FolderDataset(tmp_path), strict=True):
        assert torch.equal(a.depth, b.depth)


def test_contact_sheet_shows_picture_above_depth():
    made = [worlds.sample("table", s, (32, 48)) for s in range(3)]
    sheet = contact_sheet(made, columns=2)
    assert sheet.shape == (2 * 64, 2 * 48, 3)
    assert sheet[:32, :48].std() > 0


def test_command_from_a_shell(tmp_path):
    done = render("street,room", tmp_path / "w", "--count", 2, "--size", "32x48", "--workers", 1)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "w" / "contact.png").stat().st_size > 0
    assert json.loads((tmp_path / "w" / "dataset.json").read_text())["rig"] == "stereo"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["strete", "OUT"], "did you mean 'street'"),
        (["street", "OUT", "--rig", "steroe"], "did you mean 'stereo'"),
        (["street", "OUT", "--size", "96"], "height x width"),
        (["street", "OUT", "--size", "96x100", "--rig", "sphere"], "twice as wide"),
        (["street", "OUT", "--count", "0"], "at least 1"),
        (["street", "OUT", "--baseline", "-1"], "above 0"),
        (["street", "OUT", "--pictures", "nowhere"], "no folder"),
        (["street", "/proc/none/out"], "cannot be written"),
    ],
)
def test_bad_input_is_one_sentence(arguments, says, tmp_path):
    out = tmp_path / "out"
    done = render(*[str(out) if a == "OUT" else a for a in arguments])
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not out.exists()
