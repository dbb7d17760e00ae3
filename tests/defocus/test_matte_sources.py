"""Mattes from pictures and from a segmenter that the test builds itself."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from cyclopean import cli
from cyclopean.defocus.matte import matte_for, read_matte, segmented
from cyclopean.errors import InputError
from cyclopean.io.image import Photo


def test_white_is_the_subject(tmp_path: Path) -> None:
    values = np.zeros((40, 60), np.uint8)
    values[10:30, 20:40] = 255
    Image.fromarray(values).save(tmp_path / "mask.png")
    matte = read_matte(tmp_path / "mask.png")
    assert matte.shape == (1, 1, 40, 60)
    assert float(matte[0, 0, 20, 30]) == 1
    assert float(matte.sum()) == pytest.approx(400)


def test_masks_of_two_dark_numbers_are_black_and_white(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As of 0 and 1, or of one class in the colours of Pascal VOC; grey that is dark is none."""
    inside = np.zeros((40, 60), np.uint8)
    inside[10:30, 20:40] = 1
    Image.fromarray(inside).save(tmp_path / "ones.png")
    classes = Image.fromarray(inside, "P")
    classes.putpalette([0, 0, 0, 128, 0, 0] + [0] * 762)
    classes.save(tmp_path / "voc.png")
    for name in ("ones.png", "voc.png"):
        caplog.clear()
        assert np.array_equal(read_matte(tmp_path / name)[0, 0].numpy(), inside), name
        assert "are taken as black and white" in caplog.text
    caplog.clear()
    grey = inside * 100
    grey[0] = 30
    for values in (grey, inside * 255, inside * 200):
        Image.fromarray(values).save(tmp_path / "grey.png")
        assert read_matte(tmp_path / "grey.png")[0, 0].numpy() == pytest.approx(values / 255)
    assert not caplog.text


def test_a_cut_out_counts_by_its_opacity(tmp_path: Path) -> None:
    cut = np.full((40, 60, 4), 255, np.uint8)
    cut[:, 30:, 3] = 0
    Image.fromarray(cut, "RGBA").save(tmp_path / "cut.png")
    matte = read_matte(tmp_path / "cut.png")
    assert float(matte[..., :30].min()) == 1
    assert float(matte[..., 30:].max()) == 0


def test_the_opacity_of_a_turned_tiff_is_upright(tmp_path: Path) -> None:
    pixels = np.full((40, 60, 4), 90, np.uint8)
    pixels[..., 3] = np.arange(40 * 60).reshape(40, 60) % 251
    for orientation in range(1, 9):
        seen = {1: pixels, 2: pixels[:, ::-1], 3: pixels[::-1, ::-1], 4: pixels[::-1]}.get(orientation)
        if seen is None:
            seen = pixels.swapaxes(0, 1)
            seen = {5: seen, 6: seen[:, ::-1], 7: seen[::-1, ::-1], 8: seen[::-1]}[orientation]
        for compression in (None, "zlib"):
            path = tmp_path / "cut.tif"
            tag = [(274, 3, 1, orientation, False)]
            options = {"photometric": "rgb", "extrasamples": ["unassalpha"], "compression": compression}
            tifffile.imwrite(path, pixels, rowsperstrip=40, metadata=None, extratags=tag, **options)
            assert (read_matte(path)[0, 0].numpy() * 255 == seen[..., 3]).all(), (orientation, compression)


def test_what_of_a_picture_is_no_matte_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    frames = [Image.new("L", (60, 40), grey) for grey in (200, 100, 0)]
    for suffix, words in {".gif": "3 frames", ".tif": "3 pages", ".webp": "3 frames"}.items():
        frames[0].save(tmp_path / f"m{suffix}", save_all=True, append_images=frames[1:])
        caplog.clear()
        assert float(read_matte(tmp_path / f"m{suffix}").mean()) == pytest.approx(200 / 255, abs=0.02)
        assert f"m{suffix} has {words}; the first is used" in caplog.text
    Image.new("L", (1, 1)).save(tmp_path / "dot.png")
    with pytest.raises(InputError, match="1x1 pixels; a matte needs at least 16"):
        read_matte(tmp_path / "dot.png")


def test_names_that_lead_nowhere(tmp_path: Path) -> None:
    photo = Photo(torch.rand(1, 3, 40, 60))
    with pytest.raises(InputError, match="there is no file"):
        matte_for(str(tmp_path / "gone.png"), photo, (5, 5))
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name, words in (
        ("/dev/zero", "a pipe or a device"), (f"{tmp_path}/pipe", "a pipe or a device"), ("", "no model's folder"),
        (f"{tmp_path}/folder", "holds no model"), ("nix", "no picture and no model's folder nix"),
        ("x" * 300, "no model's folder xxx"), ("a/b/c", "no model's folder a/b/c"), ("tests/b", "folder tests/b;"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=words):
            matte_for(name, photo, (5, 5))
    (tmp_path / "folder" / "config.json").write_text("{}")
    with pytest.raises(InputError, match="needs a point on the subject"):
        matte_for(f"{tmp_path}/folder", photo, None)


def test_a_repository_that_cannot_be_reached_is_one_sentence(tmp_path: Path) -> None:
    """At once: without five tries, and without their lines."""
    pytest.importorskip("transformers", reason="segmenters need the extra 'matte'")
    Image.new("RGB", (64, 48)).save(tmp_path / "photo.png")
    words = ["refocus", str(tmp_path / "photo.png"), "--at", "0.5", "0.5", "--matte", "nobody/nothing-at-all"]
    env = {**os.environ, "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path), "NO_PROXY": "127.0.0.1"}
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "cyclopean", *words], capture_output=True, text=True, check=False, env=env
    )
    assert done.returncode == 2
    assert "no Hub repository of that name could be reached" in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert time.monotonic() - start < 20  # of which most is to load transformers


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny SegFormer with two classes that tells bright from dark: drawn weights, a head that was fitted here."""
    transformers = pytest.importorskip("transformers", reason="segmenters need the extra 'matte'")
    torch.manual_seed(0)
    config = transformers.SegformerConfig(
        num_labels=3, hidden_sizes=[8, 8, 8, 8], depths=[1, 1, 1, 1], num_attention_heads=[1, 1, 1, 1],
        decoder_hidden_size=16, sr_ratios=[1, 1, 1, 1], hidden_dropout_prob=0.0, classifier_dropout_prob=0.0,
        drop_path_rate=0.0,
    )  # fmt: skip
    model = transformers.SegformerForSemanticSegmentation(config)
    optimiser = torch.optim.Adam(model.parameters(), 1e-2)
    model.train()
    for _ in range(40):
        bright = (torch.rand(4, 1, 4, 4) > 0.5).float().repeat_interleave(16, -1).repeat_interleave(16, -2)
        loss = model((bright.expand(-1, 3, -1, -1) - 0.5) / 0.5, labels=bright[:, 0].long()).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    folder = tmp_path_factory.mktemp("models") / "segformer"
    model.save_pretrained(folder)
    told = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "size": {"height": 64, "width": 64}}
    (folder / "preprocessor_config.json").write_text(json.dumps(told))
    return folder


def test_a_segmenter_finds_the_piece_at_the_point(segmenter: Path) -> None:
    image = torch.zeros(1, 3, 96, 160)
    image[..., 20:70, 10:60] = 1
    image[..., 20:70, 100:150] = 1  # as bright, but not the piece that was pointed at
    matte = segmented(str(segmenter), Photo(image), (35, 45))[0, 0]
    assert matte.shape == (96, 160)
    assert float(matte[35:55, 25:45].min()) > 0.5
    assert float(matte[35:55, 110:140].max()) < 0.5
    assert float(matte[:, 70:90].max()) < 0.5
    wall = segmented(str(segmenter), Photo(image), (80, 5))[0, 0]
    assert float(wall[35:55, 25:45].max()) < 0.5 < float(wall[:, 75:85].min())


def test_a_segmenter_brings_no_code_and_no_nonsense(tmp_path: Path, segmenter: Path, monkeypatch) -> None:
    """Its own code is not run, whatever would be answered; what it says of its pictures is looked at."""
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("somebody was asked"))
    photo = Photo(torch.rand(1, 3, 40, 60))
    evil = tmp_path / "evil"
    shutil.copytree(segmenter, evil)
    card = json.loads((evil / "config.json").read_text())
    code = {"AutoConfig": "code.Config", "AutoModelForSemanticSegmentation": "code.Model"}
    (evil / "config.json").write_text(json.dumps(card | {"auto_map": code, "model_type": "evil"}))
    (evil / "code.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    with pytest.raises(InputError, match="without code of its own"):
        segmented(str(evil), photo, (5, 5))
    assert not (tmp_path / "ran").exists()
    (evil / "config.json").write_text(json.dumps(card))
    for content in (
        *('{"size": "large"}', '{"size": -3}', '{"size": 1000000}', '{"size": {"height": null}}', '{"size": [1, 2]}'),
        *('{"image_mean": 0.5}', '{"image_mean": [0.5]}', '{"image_std": [0, 1, 1]}', '{"image_std": [NaN, 1, 1]}'),
        *('{"image_std": {"a": 1}}', "[]", "5", "{", '{"size": 1e999}'),
    ):
        (evil / "preprocessor_config.json").write_text(content)
        with pytest.raises(InputError, match=r"how pictures are scaled|not readable JSON"):
            segmented(str(evil), photo, (5, 5))
    (evil / "preprocessor_config.json").write_text('{"size": {"height": 32, "width": 64}}', encoding="utf-16")
    assert segmented(str(evil), photo, (5, 5)).shape == (1, 1, 40, 60)


def test_a_radiance_picture_is_a_matte(tmp_path: Path) -> None:
    values = np.zeros((32, 48, 3), np.float32)
    values[8:24, 16:32] = 1
    assert cv2.imwrite(str(tmp_path / "mask.hdr"), values)
    matte = read_matte(tmp_path / "mask.hdr")[0, 0]
    assert float(matte[16, 24]) > 0.9
    assert float(matte[2, 2]) == 0


def test_the_command_takes_both(tmp_path: Path, segmenter: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 90, (96, 160, 3), np.uint8)
    picture[20:70, 10:60] += 150
    Image.fromarray(picture).save(tmp_path / "photo.png")
    mask = np.zeros((96, 160), np.uint8)
    mask[20:70, 10:60] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    depth = np.linspace(1, 0.4, 160, dtype=np.float32)[None].repeat(96, 0)
    np.save(tmp_path / "depth.npy", depth)
    results = []
    for more in ((), ("--matte", tmp_path / "mask.png"), ("--matte", segmenter)):
        asked = ("--at", "35", "45", "--amount", "4", "--depth", tmp_path / "depth.npy", *more)
        words = ("refocus", tmp_path / "photo.png", *asked)
        with pytest.raises(SystemExit) as stop:
            cli.main([str(word) for word in words])
        assert stop.value.code == 0, capsys.readouterr().err
        with Image.open(tmp_path / "photo_defocus.png") as result:
            results.append(np.asarray(result, float))
    assert np.abs(results[1] - results[0])[:, :80].max() > 3
    assert np.abs(results[1] - results[0])[:, 120:].max() <= 1  # far from the mask next to nothing changed
    assert json.loads((tmp_path / "photo_defocus.json").read_text())["matte"] == str(segmenter)


def test_a_mask_needs_no_transformers(tmp_path: Path) -> None:
    Image.fromarray(np.eye(40, dtype=np.uint8) * 255).save(tmp_path / "mask.png")
    code = (
        "import sys, pathlib; from cyclopean.defocus.matte import read_matte;"
        f"read_matte(pathlib.Path({str(tmp_path / 'mask.png')!r})); print('transformers' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
