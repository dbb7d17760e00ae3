"""Whole panoramas: the seam is closed, and depth rolls with the picture, whatever the network does at its borders."""

import math

import pytest
import torch

from cyclopean.errors import InputError
from cyclopean.geometry import Equirectangular
from cyclopean.inference.panorama import RotatedAverage, canonical_yaw, resize_sphere, seam_score
from cyclopean.inference.predictor import Predictor
from cyclopean.inference.wrappers import flip_averaged
from cyclopean.io.image import Photo
from cyclopean.methods.spherical_view_synthesis import SphericalViewSynthesis


def picture(height: int = 48, harmonics: int = 6) -> torch.Tensor:
    """Smooth colours around, the same over the seam."""
    generator = torch.Generator().manual_seed(1)
    u, v = torch.linspace(0, 2 * math.pi, 2 * height + 1)[:-1], torch.linspace(0, math.pi, height)[:, None]
    image = torch.full((1, 3, height, 2 * height), 0.5)
    for k in range(1, harmonics + 1):
        a, b, c = (torch.rand(3, 1, 1, generator=generator) for _ in range(3))
        image = image + 0.08 * a * torch.sin(k * u + 6 * b) * torch.sin(v * k * c + 0.5)
    return image.clamp(0, 1)


def predictor(circular: bool = False) -> Predictor:
    """A network that never learned, so that every border and coordinate shows."""
    torch.manual_seed(3)
    method = SphericalViewSynthesis(circular=circular).eval()
    for layer in method.network.modules():
        if isinstance(layer, torch.nn.Conv2d):
            layer.weight.data.mul_(1.5)
    return Predictor(method, (32, 64), projection=method.projection)


@pytest.mark.parametrize("turn", [1, 7, 48, 95])
def test_depth_rolls_with_the_picture(turn: int) -> None:
    """To 1e-5 of the mean, though this network reads columns' numbers and sees zeros beyond its borders."""
    seen, image = predictor(), picture()
    first = seen(Photo(image, Equirectangular())).inverse_depth
    rolled = seen(Photo(image.roll(turn, -1), Equirectangular())).inverse_depth
    assert float(first.std()) > 1e-3 * float(first.mean())
    assert torch.allclose(first.roll(turn, -1), rolled, atol=1e-5 * float(first.mean()))


def test_the_seam_of_the_network_alone_is_open_and_of_two_looks_closed() -> None:
    """A network whose answer depends on the column alone: from 1 at its left border to 2 at its right one."""
    ramp = torch.linspace(1, 2, 64).expand(1, 1, 32, 64)
    image = picture(32)
    twice = RotatedAverage(lambda *_: ramp, lambda _: (32, 64))(image).inverse_depth
    assert seam_score(ramp) == pytest.approx(63, rel=1e-3)
    inside = twice.diff(dim=-1).abs()
    assert float((twice[..., 0] - twice[..., -1]).abs().max()) <= float(inside.max())
    assert float(twice.std()) < float(ramp.std())
    # at its own centre a look counts alone
    assert float(twice[0, 0, 0, 32]) == pytest.approx(float(ramp[0, 0, 0, 32]), abs=0.01)


def test_enlarging_goes_on_over_the_seam() -> None:
    values = torch.rand(1, 1, 8, 16)
    large = resize_sphere(values, (32, 64))
    ends = values[..., [-1, 0]].mean(-1)
    assert torch.allclose((large[0, 0, 4:-4:4, 0] + large[0, 0, 4:-4:4, -1]) / 2, _between(ends), atol=0.2)
    assert torch.allclose(resize_sphere(values.roll(3, -1), (32, 64)), large.roll(12, -1), atol=1e-5)


def _between(column: torch.Tensor) -> torch.Tensor:
    return (column[0, 0, :-1] * 0.625 + column[0, 0, 1:] * 0.375)[:6]


def test_the_heading_rolls_with_the_picture() -> None:
    image = picture()
    start = canonical_yaw(image)
    assert [canonical_yaw(image.roll(k, -1)) for k in (1, 30, 95)] == [(start + k) % 96 for k in (1, 30, 95)]
    assert canonical_yaw(torch.full((1, 3, 8, 16), 0.3)) in range(16)


def test_what_a_panorama_is_said_to_be() -> None:
    depth = predictor(circular=True)(Photo(picture(), Equirectangular()))
    assert isinstance(depth.camera, Equirectangular)
    assert (depth.kind, depth.unit, depth.size) == ("inverse_depth", "m", (48, 96))
    assert torch.allclose(depth.numbers("distance"), depth.numbers("depth"))  # depth is the radius
    assert depth.notes["seen"] == "whole, twice"
    assert float(depth.notes["seam"]) < 3
    with pytest.raises(InputError, match=r"is for panoramas and a\.png is none"):
        predictor()(Photo(picture(), name="a.png"))


def test_flip_averaging_and_uncertainty_close_the_seam_too() -> None:
    seen, photo = predictor(), Photo(picture(), Equirectangular())
    flipped = Predictor(seen.method, seen.input_size, None, flip_averaged, "equirectangular")(photo)
    assert seam_score(flipped.inverse_depth) < 3
    assert seam_score(seen.uncertainty(photo, 2)) < 3
