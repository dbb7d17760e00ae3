"""Blur goes on over the seam of a panorama, and rolls with it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cyclopean import cli
from cyclopean.defocus.focus import wrap_panorama
from cyclopean.defocus.refocus import refocus
from cyclopean.geometry import Equirectangular
from cyclopean.io.depthmap import DepthMap, from_numbers
from cyclopean.io.image import Photo, read_photo


def scene() -> tuple[Photo, DepthMap]:
    """Smooth colours around with a bright dot near the seam, near on one side and far on the other."""
    u, v = torch.meshgrid(torch.arange(128) / 128, torch.arange(64) / 64, indexing="xy")
    image = torch.stack([0.5 + 0.3 * torch.cos(6.2832 * (u + k / 3)) * torch.sin(3.1416 * v) for k in range(3)])
    image[:, 20:44, :3] = 1.0
    inverse = 0.5 + 0.4 * torch.cos(6.2832 * u)
    return Photo(image[None], Equirectangular()), from_numbers(inverse[None, None], "inverse_depth", "m")


@pytest.mark.parametrize("method", ["thin-lens", "gaussian"])
def test_the_result_rolls_with_the_picture(method: str) -> None:
    photo, depth = scene()

    def once(picture: Photo, its: DepthMap, pixel: tuple[int, int] | None) -> Photo:
        return refocus(picture, its, pixel, method=method)

    def done(turn: int) -> torch.Tensor:
        image, inverse = photo.image.roll(turn, -1), depth.inverse_depth.roll(turn, -1)
        rolled = from_numbers(inverse, "inverse_depth", "m")
        return wrap_panorama(once, Photo(image, photo.camera), rolled, ((64 + turn) % 128, 32)).image

    first = done(0)
    for turn in (1, 40, 64, 100):
        torch.testing.assert_close(done(turn).roll(-turn, -1), first, atol=2e-3, rtol=0)
    # light of the dot at the left border is blurred over the seam, onto the other end
    assert float((first - photo.image)[0, :, 32, -2:].max()) > 0.05
    alone = once(photo, depth, (64, 32)).image
    assert float((alone - first).abs()[..., :4].max()) > 0.02


def exit_code(words: list[str]) -> int | str | None:
    with pytest.raises(SystemExit) as ended:
        cli.main(words)
    return ended.value.code


def test_a_panorama_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = (scene()[0].image[0].permute(1, 2, 0) * 255).byte().numpy()
    Image.fromarray(picture).save(tmp_path / "a.png")
    words = ["refocus", str(tmp_path / "a.png"), "--at", "0.5", "0.5", "--out", str(tmp_path / "out")]
    assert exit_code([*words, "--camera", "equirectangular"]) == 0
    assert "treated as a panorama, as requested" in capsys.readouterr().err
    assert read_photo(tmp_path / "out" / "a_defocus.png").size == (64, 128)
    sidecar = (tmp_path / "out" / "a_defocus.json").read_text()
    assert '"name": "panorama"' in sidecar
    assert exit_code([*words, "--camera", "pinhole"]) == 0
    assert '"name": "general"' in (tmp_path / "out" / "a_defocus.json").read_text()
    before = np.asarray(Image.open(tmp_path / "out" / "a_defocus.png"))
    assert exit_code([*words, "--camera", "equirectangular", "--f-number", "2"]) == 2
    assert "is a panorama, which has no focal length" in capsys.readouterr().err
    assert np.array_equal(np.asarray(Image.open(tmp_path / "out" / "a_defocus.png")), before)
