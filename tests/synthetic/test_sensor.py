"""From light to a photograph: exposure, lens, noise."""

import pytest
import torch

from cyclopean.synthetic.render import Sensor
from cyclopean.synthetic.render import develop as develop_all
from cyclopean.synthetic.render import exposure as exposures

PERFECT = Sensor(key=0.45, blur=0, noise=0, vignette=0)


def exposure(light, how):
    return exposures(light, [how])


def develop(light, gain, how, view):
    return develop_all(light, torch.as_tensor(gain, dtype=torch.float32).expand(1), [how], view)


def grey(level, size=(33, 65)):
    return torch.full((1, 3, *size), float(level))


@pytest.mark.parametrize("level", [0.02, 0.3, 2.0])
@pytest.mark.parametrize("key", [0.3, 0.58])
def test_exposure_reaches_its_key_in_dim_and_bright_light(level, key):
    light = level * (0.5 + torch.rand(1, 3, 32, 48))
    how = Sensor(key=key, blur=0, noise=0, vignette=0)
    gain = exposure(light, how)
    assert (light.mean(1) * gain).pow(1 / 2.2).mean() == pytest.approx(key, rel=1e-4)
    assert develop(light, gain, how, 0).mean() == pytest.approx(key, abs=0.06)  # the shoulder lifts dark tones a little


def test_darkness_is_not_lifted_without_end():
    assert exposure(grey(1e-8), PERFECT) == 50


def test_noise_is_of_its_sigma_and_different_in_every_view_channel_and_seed():
    how = Sensor(blur=0, noise=0.02, vignette=0, seed=7)
    light = grey(0.2, (64, 128))
    clean = develop(light, 1, Sensor(blur=0, noise=0, vignette=0), 0)
    left, right = (develop(light, 1, how, view) - clean for view in (0, 1))
    other = develop(light, 1, Sensor(blur=0, noise=0.02, vignette=0, seed=8), 0) - clean
    red, green = left[0, :2]
    assert left.std() == pytest.approx(0.02, rel=0.03)
    assert left.mean() == pytest.approx(0, abs=0.001)
    for a, b in ((left, right), (left, other), (red, green), (red[:, 1:], red[:, :-1]), (red[1:], red[:-1])):
        assert abs(float(torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1])) < 0.04
    assert torch.equal(develop(light, 1, how, 1), clean + right)


def test_vignette_darkens_the_corners_by_its_share_and_not_the_middle():
    light, dimmed = grey(0.2), grey(0.2 * (1 - 0.4))
    picture = develop(light, 1, Sensor(blur=0, noise=0, vignette=0.4), 0)
    torch.testing.assert_close(picture[..., 16, 32], develop(light, 1, PERFECT, 0)[..., 16, 32])
    for i in (0, -1):
        for j in (0, -1):
            torch.testing.assert_close(picture[..., i, j], develop(dimmed, 1, PERFECT, 0)[..., i, j])


def test_blur_softens_an_edge_and_keeps_what_is_flat():
    light = grey(0.1)
    light[..., 32:] = 0.4
    sharp, soft = (develop(light, 1, Sensor(blur=blur, noise=0, vignette=0), 0) for blur in (0, 8))
    assert (sharp[..., 1:] - sharp[..., :-1]).abs().max() > 1.5 * (soft[..., 1:] - soft[..., :-1]).abs().max()
    torch.testing.assert_close(sharp[..., :28], soft[..., :28])


def test_white_balance_saturation_and_contrast():
    light = grey(0.2) * torch.tensor([1.0, 0.5, 0.25])[:, None, None]
    red, _, blue = develop(light, 1, PERFECT, 0)[0, :, 0, 0]
    balanced = develop(light, 1, Sensor(white=(1, 2, 4), blur=0, noise=0, vignette=0), 0)
    assert red > blue
    assert balanced.std(1).max() < 1e-6
    assert develop(light, 1, Sensor(saturation=0, blur=0, noise=0, vignette=0), 0).std(1).max() < 1e-6
    flat = develop(light, 1, Sensor(contrast=0, blur=0, noise=0, vignette=0), 0)
    assert flat.min() == flat.max() == 0.5


def test_pictures_stay_in_range():
    picture = develop(torch.rand(1, 3, 32, 48) * 100, 5, Sensor(noise=0.3, contrast=3), 0)
    assert picture.min() >= 0
    assert picture.max() <= 1


def test_many_sensors_at_once_are_each_for_itself():
    light = torch.rand(3, 3, 24, 40) * torch.tensor([0.1, 1.0, 4.0])[:, None, None, None]
    hows = [
        Sensor(key=0.3, blur=0.4, noise=0.03, seed=4),
        Sensor(white=(1.1, 1, 0.9), saturation=0.3, blur=20, vignette=0.4),
        PERFECT,  # blurs nothing, beside one that does
    ]
    gains = exposures(light, hows)
    together = develop_all(light, gains, hows, 1)
    for k, how in enumerate(hows):
        gain = exposure(light[k : k + 1], how)
        assert torch.equal(gains[k : k + 1], gain)
        torch.testing.assert_close(together[k : k + 1], develop(light[k : k + 1], gain, how, 1), rtol=0, atol=1e-6)
