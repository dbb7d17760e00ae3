"""Several looks at one view, joined: FAL-Net's and AQUANet's, in plain numbers, by a method that sees sizes."""

import pytest
import torch

from cyclopean import inference
from cyclopean.cli import main
from cyclopean.errors import InputError
from cyclopean.geometry import Pinhole
from cyclopean.inference.wrappers import POST_PROCESSES
from cyclopean.methods.base import Method, Prediction
from cyclopean.methods.post_processing import fuse_near, fuse_sizes
from cyclopean.sample import View, view

FIRST = {96: 0.1, 64: 0.2, 72: 0.3, 120: 0.4}  # width of the picture -> inverse depth of its left half


class BySize(Method):
    """Inverse depth by the picture's width, 0.2 more where it is bright; grows with size if `size_power` is 1."""

    name = "by-size"
    ambiguity = "scale"
    input_multiple = 1

    def predict(self, target: View, sources: tuple[View, ...] = ()) -> Prediction:
        h, w = target.seen.shape[-2:]
        assert 5 * w == 8 * h
        bright = (target.seen[:, :1] > 0.5).float()
        return Prediction((w / 96) ** self.size_power * (FIRST[w] + 0.2 * bright))

    def losses(self, sample):
        return {}


def seen() -> View:
    """The left half dark, the right half bright."""
    image = (torch.arange(96) >= 48).float().expand(1, 3, 60, 96)
    return view(image, Pinhole(torch.tensor([[0.8, 1.2]]), torch.tensor([[0.5, 0.5]])))


def test_several_looks_in_plain_numbers() -> None:
    assert tuple(POST_PROCESSES) == inference.POST_PROCESSES
    for power in (-1, 0, 1):
        method = BySize()
        method.size_power = power
        ours = {name: infer(method, seen())[0, 0, 20] for name, infer in POST_PROCESSES.items()}
        for column, bright in ((5, 0.0), (90, 0.2)):
            whole, third, smaller, larger = (FIRST[w] + bright for w in (96, 64, 72, 120))
            near = whole / 0.3
            assert float(ours["falnet"][column]) == pytest.approx((1 - near) * whole + near * third, rel=1e-4)
            norm = 2 + near - near**2
            wanted = (whole + near * smaller + (1 - near**2) * larger) / norm
            assert float(ours["aquanet-draft"][column]) == pytest.approx(wanted, rel=1e-4)
            near = (whole + smaller + larger) / 1.4
            norm = 2 + near - near**2
            wanted = (whole + near * smaller + (1 - near**2) * larger) / norm
            assert float(ours["aquanet"][column]) == pytest.approx(wanted, rel=1e-4)
            assert float(ours["monodepth"][column]) == pytest.approx(whole, rel=1e-4)


def test_mirrored_looks_are_mirrored_back() -> None:
    """A method that is right on one side of the picture only."""

    class Sided(BySize):
        def predict(self, target: View, sources: tuple[View, ...] = ()) -> Prediction:
            ramp = torch.linspace(0.1, 0.3, target.seen.shape[-1]).expand_as(target.seen[:, :1])
            return Prediction(ramp)

    plain = Sided().predict(seen()).inverse_depth
    for name, mirrored in (("aquanet", False), ("falnet", True), ("aquanet-draft", True)):
        joined = POST_PROCESSES[name](Sided(), seen())
        slope = float(joined[0, 0, 0, 90] - joined[0, 0, 0, 5])
        whole = float(plain[0, 0, 0, 90] - plain[0, 0, 0, 5])
        assert (slope < 0.5 * whole) == mirrored, name


def test_what_is_far_counts_from_the_whole_picture() -> None:
    """The nearest twentieth is the small picture's alone; each item by itself; the largest of all counts once."""
    whole = torch.linspace(0.001, 1, 101)[None, None, None].repeat(2, 1, 1, 1) * torch.tensor([1.0, 7.0]).view(
        2, 1, 1, 1
    )
    joined = fuse_near(whole, torch.full_like(whole, 9.0))
    assert (joined[..., 96:] == 9).all()
    assert (joined[..., :95] < 9).all()
    torch.testing.assert_close(joined[0, 0, 0, 0], whole[0, 0, 0, 0], atol=0.02, rtol=0)
    ones = torch.ones(1, 1, 2, 2)
    for boosting in ("paper", "draft"):
        torch.testing.assert_close(fuse_sizes([ones, 2 * ones, 3 * ones], boosting), (ones + 2 * ones) / 2)


def test_names_from_the_command_line(capsys) -> None:
    for words, sentence in (
        ("predict x.png --post-process falnett", "did you mean 'falnet'"),
        ("predict x.png --post-process falnet --flip-average", "--flip-average is --post-process monodepth"),
        ("evaluate --data motorcycle --post-process falnet --one-look", "--post-process several times"),
    ):
        with pytest.raises(SystemExit, match="2"):
            main(words.split())
        assert sentence in capsys.readouterr().err


def test_post_process_of_two_views_is_an_error() -> None:
    from cyclopean.inference.predictor import Predictor
    from cyclopean.io.image import Photo

    class Two(BySize):
        views = 2

    photo = Photo(torch.rand(1, 3, 64, 96), None, "a")
    with pytest.raises(InputError, match="--post-process"):
        Predictor(Two(), (64, 96), infer=POST_PROCESSES["falnet"])(photo, photo)
