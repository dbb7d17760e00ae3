"""`cyclopean.refocus` gives the picture that the command gives."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import cyclopean
from commands import here
from cyclopean import InputError
from cyclopean.defocus.focus import Sharp
from cyclopean.defocus.lens import Lens


def test_the_same_picture_as_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A post whose foot is farther than its top, with soft edges as a model predicts them; every way of asking."""
    rng = np.random.default_rng(0)
    picture = rng.integers(20, 60, (80, 120, 3), np.uint8)
    picture[10:70, 40:70] += 150
    Image.fromarray(picture).save(tmp_path / "photo.png")
    inverse = np.full((80, 120), 0.2, np.float32)
    side = 1 / (1 + np.exp(np.abs(np.arange(120) - 54.5) - 15))
    inverse[10:70] += (np.linspace(0.8, 0.5, 60)[:, None] * side[None]).astype(np.float32)
    np.save(tmp_path / "depth.npy", inverse)
    card = {"kind": "inverse_depth", "model": {"name": "general", "sha256": "0", "licence": "Apache-2.0"}}
    (tmp_path / "depth.json").write_text(json.dumps(card))
    depth = cyclopean.read_depth(tmp_path / "depth.npy")
    results = []
    for flags, words in (
        ((), {}),
        (("--no-subject",), {"subject": False}),
        (("--depth-of-field", "0.1"), {"lens": Lens(amount=6.0, range=0.1)}),
        (("--refine", "off"), {"refine": "off"}),
        (("--method", "average"), {"method": "average"}),
    ):
        amount = () if "--method" in flags else ("--amount", "6")
        command = ("refocus", tmp_path / "photo.png", "--at", "55", "20", "--depth", tmp_path / "depth.npy", *amount)
        code, _, told = here(capsys, *command, *flags)
        assert code == 0, told
        given = {"lens": Lens(amount=6.0 if amount else 1.0), **words}
        result = np.asarray(cyclopean.refocus(tmp_path / "photo.png", depth, (55, 20), **given))
        with Image.open(tmp_path / "photo_defocus.png") as written:
            assert np.array_equal(result, np.asarray(written)), flags
        results.append(result)
    for k, result in enumerate(results):
        assert not any(np.array_equal(result, other) for other in results[:k]), k
    foot = [np.abs(result.astype(float) - picture)[55:66, 46:64].mean() for result in results[:2]]
    assert foot[0] < 0.5
    assert foot[1] > 3


def test_what_is_said_to_be_sharp_is_no_subject(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).random((48, 64, 3), np.float32)
    depth = cyclopean.from_numbers(np.linspace(1, 2, 64, dtype=np.float32)[None].repeat(48, 0), "depth", "m")
    sharp = Sharp(0.6, 0.7)
    plain = cyclopean.refocus(picture, depth, (9, 9), sharp=sharp, subject=False)
    assert np.array_equal(plain, cyclopean.refocus(picture, depth, (9, 9), sharp=sharp))
    for words, sentence in (({"refine": "offf"}, "did you mean 'off'"), ({"at": (1, 2, 3)}, "give two numbers")):
        with pytest.raises(InputError, match=sentence):
            cyclopean.refocus(picture, depth, **{"at": (9, 9), **words})
