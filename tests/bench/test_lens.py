"""Refocusing judged: a small folder of shots whose truth is known, and what the scores must say of it."""

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cyclopean.bench import lens
from cyclopean.bench.lens import read_shots, score
from cyclopean.defocus import thinlens
from cyclopean.errors import InputError
from cyclopean.io.colour import srgb
from cyclopean.io.image import Photo


def folder_of_shots(folder: Path) -> Path:
    """A textured square before a wall, and as a lens focused on it sees it: the wall flat, the mean of its light."""
    rng = np.random.default_rng(0)
    sharp = rng.integers(60, 180, (48, 64, 3)).astype(np.uint8)
    metres = np.full((48, 64), 4.0, np.float16)
    metres[12:36, 20:44] = 1.0
    light = thinlens.linear(sharp.astype(np.float32).reshape(-1, 1) / 255).mean(keepdims=True)
    truth = np.full_like(sharp, round(255 * float(srgb(light)[0, 0])))
    truth[12:36, 20:44] = sharp[12:36, 20:44]
    Image.fromarray(sharp).save(folder / "a_sharp.png")
    Image.fromarray(truth).save(folder / "a_near.png")
    np.savez(folder / "a_sharp_depth.npz", depth=metres)
    shots = [{"tag": "near", "focus_m": 1.0, "fstop": 0.1}]
    (folder / "a.json").write_text(json.dumps({"kind": "lens", "focal_mm": 25.0, "sensor_mm": 36.0, "shots": shots}))
    (folder / "other.json").write_text('{"kind": "pair"}')
    return folder


def test_shots_are_read_with_their_optics(tmp_path: Path) -> None:
    (shot,) = read_shots(folder_of_shots(tmp_path))
    assert (shot.name, shot.distance, shot.photo.size) == ("a near", 1.0, (48, 64))
    assert shot.depth.unit == "m"
    expected = 0.5 * (25 / 0.1) * 25 / (1000 - 25) * (1 - 1 / 4) * 64 / 36  # half of A f / (z - f) |1 - z / z'|, in px
    assert -shot.radius[0, 0] == pytest.approx(expected, rel=1e-4)
    assert shot.radius[20, 30] == 0


def test_scores_of_the_truth_of_no_blur_and_of_ours(tmp_path: Path) -> None:
    (shot,) = read_shots(folder_of_shots(tmp_path))
    perfect, none = score(shot, shot.truth), score(shot, shot.photo)
    assert dataclasses.astuple(perfect) == pytest.approx((100, 1, 100, 0))
    assert none.leak == pytest.approx(1)
    assert none.psnr < 20
    half = Photo((shot.photo.image + shot.truth.image) / 2)
    assert score(shot, half).leak == pytest.approx(0.5, abs=0.02)
    rows = {row.name: row for row in lens.measure([shot], [shot.depth], lens.renderers())}
    assert rows["ours"].mean().psnr > 30
    assert abs(rows["ours"].mean().leak) < 0.1 < rows["report: median"].mean().leak < rows["no blur"].mean().leak
    assert lens.noise_floor(shot) == pytest.approx(100)


def test_clipped_pixels_do_not_count(tmp_path: Path) -> None:
    (shot,) = read_shots(folder_of_shots(tmp_path))
    image = shot.truth.image.clone()
    image[..., :5, :5] = 1
    clipped = dataclasses.replace(shot, truth=Photo(image))
    assert score(clipped, shot.truth).psnr == pytest.approx(100)
    image = image.clone()
    image[..., 0, 10] = 0.6
    assert score(dataclasses.replace(shot, truth=Photo(image)), shot.truth).psnr < 60


def test_predictions_are_aligned_by_least_squares(tmp_path: Path) -> None:
    (shot,) = read_shots(folder_of_shots(tmp_path))
    guess = dataclasses.replace(
        shot.depth, inverse_depth=shot.depth.inverse_depth * 3 + 2, unit="relative", ambiguity="affine"
    )
    same = lens.aligned(guess, shot.depth)
    assert torch.allclose(same.inverse_depth, shot.depth.inverse_depth, atol=1e-5)
    assert (same.unit, same.ambiguity) == ("m", "metric")


def test_an_empty_mask_has_no_figure() -> None:
    nothing = np.zeros((4, 4, 3), np.float32)
    assert math.isnan(lens.psnr(nothing, nothing, np.zeros((4, 4), bool)))


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.json", b"{", "cannot be understood"),
        ("a.json", b'{"kind": "lens"}', "cannot be understood"),
        ("a.json", b'{"kind": "pair"}', "has no shots"),
        ("a_sharp_depth.npz", b"", "cannot be read"),
        ("a_near.png", None, "there is no file"),
    ],
)
def test_folders_that_are_refused(tmp_path: Path, name: str, content: bytes | None, sentence: str) -> None:
    path = folder_of_shots(tmp_path) / name
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(InputError, match=sentence):
        read_shots(tmp_path)
    with pytest.raises(InputError, match="is not a folder"):
        read_shots(tmp_path / "gone")
