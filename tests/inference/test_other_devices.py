"""Another device than the CPU: everything that a network's answer passes through stays on it, without float64."""

import pytest
import torch

from cyclopean import errors
from cyclopean.errors import InputError, usable_device
from cyclopean.geometry import Equirectangular, assumed_camera
from cyclopean.inference.predictor import load
from cyclopean.io.image import Photo
from other_device import OTHER, There, other_device


@pytest.fixture
def known(monkeypatch):
    monkeypatch.setattr(errors, "DEVICES", (*errors.DEVICES, OTHER.type))


def test_the_device_here_refuses_what_apples_does():
    with other_device():
        there = torch.rand(3).to(OTHER)
        assert isinstance(there, There)
        assert there.device == OTHER
        assert float((there * 2 - there - there).abs().max()) == 0
        for wrong in (
            there.double,
            lambda: there + torch.rand(3),
            lambda: torch.zeros(2, device=OTHER).to(torch.double),
        ):
            with pytest.raises(TypeError):
                wrong()


@pytest.mark.slow
def test_depth_is_that_of_the_cpu_and_no_number_has_64_bits(known):
    """Photos alone and together, panoramas through faces, as a whole and with details."""
    torch.manual_seed(1)
    photos = [Photo(torch.rand(1, 3, 60, 90), camera) for camera in (None, assumed_camera((60, 90), 0.7))]
    around = Photo(torch.rand(1, 3, 64, 128), Equirectangular())
    for name, one in (("general", photos[0]), ("general", around), ("panorama", around)):
        expected = load(name)(one)
        with other_device():
            predictor = load(name, OTHER.type)
            assert all(isinstance(weight, There) for weight in predictor.method.parameters())
            depth = predictor(one)
        assert type(depth.inverse_depth) is torch.Tensor, "results are on the CPU"
        torch.testing.assert_close(depth.inverse_depth, expected.inverse_depth, rtol=1e-4, atol=1e-5)
        assert depth.notes.keys() == expected.notes.keys()
    with other_device():
        predictor = load("general", OTHER.type)
        assert len(predictor.batch(photos)) == 2


def test_auto_is_the_first_gpu_that_works(monkeypatch):
    answers = {}
    for cuda, mps in ((True, True), (False, True), (False, False)):
        monkeypatch.setattr(torch.cuda, "is_available", lambda cuda=cuda: cuda)
        monkeypatch.setattr(torch.mps, "is_available", lambda mps=mps: mps)
        answers[cuda, mps] = str(usable_device("auto"))
    assert list(answers.values()) == ["cuda", "mps", "cpu"]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert load("general", "auto", "onnxruntime")._device == torch.device("cpu")
    for wrong in ("gpu", "cuda:99", "Auto"):
        with pytest.raises(InputError, match="cpu or auto"):
            usable_device(wrong)
