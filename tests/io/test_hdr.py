"""Radiance pictures: exposed and curved as Reinhard et al. say, whatever their unit; panoramas of them have depth."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from cyclopean import cli
from cyclopean.errors import InputError
from cyclopean.io import hdr
from cyclopean.io.hdr import GREY, viewable
from cyclopean.io.image import read_photo


def light(h: int = 32, w: int = 48) -> np.ndarray:
    """Linear red, green and blue over six stops, the same at both sides as a panorama is."""
    stops = 3 * np.sin(np.linspace(0, 2 * np.pi, w, endpoint=False))
    grey = np.broadcast_to(2.0**stops, (h, w))
    return np.stack([grey, grey * 0.8, grey * 0.6], -1).astype(np.float32)


def saved(path: Path, values: np.ndarray) -> Path:
    assert cv2.imwrite(str(path), np.ascontiguousarray(values[..., ::-1]))
    return path


def test_middle_grey_is_where_the_curve_has_it():
    """Of even light all is exposed to 0.18, and Reinhard's curve with white at 1 leaves 0.18 as it is."""
    shown = viewable(np.full((8, 8, 3), 700.0, np.float32))
    assert np.allclose(shown, 1.055 * GREY ** (1 / 2.4) - 0.055, atol=1e-6)


def test_the_unit_of_light_does_not_matter_and_order_stays():
    one, other = viewable(light()), viewable(light() * 1000)
    assert np.allclose(one, other, atol=1e-5)
    row = one[0, :, 0]
    assert (np.diff(row[np.argsort(light()[0, :, 0])]) >= 0).all()
    assert row.max() > 0.8
    assert row.min() < 0.3


def test_darkness_is_black():
    assert (viewable(np.zeros((4, 4, 3), np.float32)) == 0).all()


def test_a_file_of_it_is_a_photo_of_16_bits(tmp_path: Path):
    photo = read_photo(saved(tmp_path / "light.hdr", light()))
    assert (photo.size, photo.format, photo.bits, photo.camera) == ((32, 48), "HDR", 16, None)
    expected = viewable(light()).transpose(2, 0, 1)
    assert np.abs(photo.image[0].numpy() - expected).max() < 0.02  # the file keeps 8 bits of mantissa
    assert photo.image[0, 0].mean() > photo.image[0, 2].mean(), "red is the brightest, not blue"


def test_the_size_is_known_before_decoding(tmp_path: Path):
    path = saved(tmp_path / "light.hdr", light())
    assert hdr.size(path) == (48, 32)
    with pytest.raises(InputError, match="48x32"):
        read_photo(path, 0.0001)


def test_what_is_cut_short_is_refused(tmp_path: Path):
    for kept in (12, 60, 200):
        path = saved(tmp_path / "light.hdr", light())
        path.write_bytes(path.read_bytes()[:kept])
        with pytest.raises(InputError, match="damaged or cut short"):
            read_photo(path)


def test_a_panorama_of_it_is_predicted(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = saved(tmp_path / "around.hdr", light(64, 128))
    with pytest.raises(SystemExit) as stop:
        cli.main(["predict", str(path), "--out", str(tmp_path / "out"), "--camera", "equirectangular"])
    assert stop.value.code == 0, capsys.readouterr().err
    assert np.load(tmp_path / "out" / "around_disp.npy").shape == (64, 128)
