"""`refocus` and `predict` of photos with depth of their own."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import phones
from commands import here
from cyclopean.io.depthmap import read_depth


def behind(path: Path) -> float:
    """How much of the texture behind is left: its contrast, in the lower right."""
    with Image.open(path) as picture:
        return float(np.asarray(picture, float)[60:, 70:].std(axis=(0, 1)).mean())


def test_refocus_takes_the_depth_in_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str], model: str) -> None:
    """The thing in it is sharp, what is behind it is not; --depth chooses otherwise, and the sidecar says which."""
    photo = phones.write(tmp_path / "phone.jpg", phones.gdepth(orientation=6))
    words = ("refocus", photo, "--model", model, "--at", "0.3", "0.3", "--amount", "4")
    code, _, told = here(capsys, *words)
    assert code == 0, told
    assert told == "cyclopean refocus: phone.jpg: the depth in its own file is taken (GDepth, 24x32, in metres).\n"
    meaning = json.loads((tmp_path / "phone_defocus.json").read_text())
    assert meaning["model"] is None
    assert meaning["depth_map"] == {
        "kind": "inverse_depth", "unit": "m", "ambiguity": "metric",
        "notes": {"embedded": "GDepth", "embedded_size": "24x32"},
    }  # fmt: skip
    with Image.open(photo) as picture:
        before = np.asarray(picture.transpose(Image.Transpose.ROTATE_270), float)
    with Image.open(tmp_path / "phone_defocus.jpg") as picture:
        after = np.asarray(picture, float)
    assert np.abs(before - after)[20:40, 24:56].mean() < 3
    assert behind(tmp_path / "phone_defocus.jpg") < 0.6 * before[60:, 70:].std(axis=(0, 1)).mean()
    own = (tmp_path / "phone_defocus.jpg").read_bytes()
    assert here(capsys, *words, "--depth", "embedded")[0] == 0
    assert (tmp_path / "phone_defocus.jpg").read_bytes() == own
    code, _, told = here(capsys, *words, "--depth", "predict")
    assert (code, told) == (0, "")
    assert (tmp_path / "phone_defocus.jpg").read_bytes() != own
    # metres in the file are metres: no point is needed
    assert here(capsys, *words[:4], "--focus-range", "0.9", "1.5", "--amount", "4")[0] == 0
    assert behind(tmp_path / "phone_defocus.jpg") < 0.6 * before[60:, 70:].std(axis=(0, 1)).mean()
    code, _, told = here(capsys, *words[:4], "--focus-range", "0.9", "1.5", "--depth", "predict")
    assert (code, "metres" in told) == (2, True), told


def test_damaged_depth_is_predicted_instead(tmp_path: Path, capsys: pytest.CaptureFixture[str], model: str) -> None:
    photo = phones.write(tmp_path / "phone.jpg", phones.gdepth(near=9))
    words = ("refocus", photo, "--model", model, "--at", "0.3", "0.3")
    code, _, told = here(capsys, *words)
    assert (code, told.count("\n")) == (0, 1)
    assert "cannot be used: it says RangeInverse from 9 to 4, which means nothing. Depth is predicted instead." in told
    assert json.loads((tmp_path / "phone_defocus.json").read_text())["model"]["name"] == model
    code, _, told = here(capsys, *words, "--depth", "embedded")
    assert (code, told.count("\n"), "cannot be used" in told) == (2, 1, True)
    plain = phones.write(tmp_path / "plain.jpg", phones.jpeg())
    code, _, told = here(capsys, "refocus", plain, "--at", "0.3", "0.3", "--depth", "embedded")
    assert (code, "plain.jpg has no depth of its own in its file" in told) == (2, True)


def test_predict_says_that_it_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str], model: str) -> None:
    photo = phones.write(tmp_path / "phone.jpg", phones.dynamic())
    words = ("predict", photo, "--model", model, "--depth")
    code, _, told = here(capsys, *words[:-1])
    assert code == 0, told
    assert "phone.jpg has depth in its own file (dynamic depth), which --depth embedded takes; it is predicted." in told
    assert read_depth(tmp_path / "phone_disp.npy").unit == "relative"
    assert here(capsys, *words, "predict")[::2] == (0, "")
    code, _, told = here(capsys, *words, "embedded")
    assert (code, "the depth in its own file is taken (dynamic depth, 32x24, in metres)" in told) == (0, True)
    depth = read_depth(tmp_path / "phone_disp.npy")
    assert (depth.size, depth.unit, depth.model) == (phones.SIZE, "m", None)
    metres = np.asarray(depth.metres()[0, 0])
    assert np.abs(metres[20:40, 24:56] - 1).max() < 0.02
    # its edges are those of the photo, not those of the smaller map
    steps = np.abs(metres[30, 56:72] - 1) > 0.5
    assert int(np.argmax(steps)) == 64 - 56
    for bad, sentence in (("embeded", "did you mean 'embedded'"), ("embedded", "leave --uncertainty and --right out")):
        code, _, told = here(capsys, *words, bad, "--uncertainty", "2")
        assert (code, sentence in told) == (2, True), told
