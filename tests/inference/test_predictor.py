"""From photo to DepthMap: sizes, cameras, what the numbers claim to be, and flip averaging."""

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

import cyclopean
from cyclopean.errors import InputError
from cyclopean.geometry import Equirectangular, Pinhole, assumed_camera
from cyclopean.inference.predictor import Predictor, load, weights_hash, working_size
from cyclopean.inference.wrappers import flip_averaged
from cyclopean.io.image import Photo, resize
from cyclopean.methods.base import Ambiguity, Method, Prediction
from cyclopean.methods.monodepth import Monodepth
from cyclopean.methods.post_processing import fuse_flipped
from cyclopean.sample import Sample, View, view
from cyclopean.training import checkpoint


class Greenness(Method):
    """Says that green is near; not the same for a mirrored picture (it adds a ramp from left to right)."""

    name: ClassVar[str] = "greenness"

    def __init__(self, ambiguity: Ambiguity = "scale", multiple: int = 8) -> None:
        super().__init__()
        self.ambiguity, self.input_multiple = ambiguity, multiple
        self.gain = nn.Parameter(torch.ones(()))
        self.seen: list[View] = []

    def predict(self, target: View, sources: tuple[View, ...] = ()) -> Prediction:
        self.seen.append(target)
        ramp = torch.linspace(0, 0.1, target.seen.shape[-1])
        return Prediction(self.gain * (target.seen[:, 1:2] + 0.1 + ramp))

    def losses(self, sample: Sample) -> dict[str, Tensor]:
        raise NotImplementedError

    def config(self) -> dict[str, Any]:
        return {}


def photo(h: int = 60, w: int = 100, camera: Pinhole | None = None) -> Photo:
    """Green grows from the left to the right, smoothly."""
    image = torch.zeros(1, 3, h, w)
    image[:, 1] = torch.linspace(0, 1, w)
    return Photo(image, camera)


def test_the_result_has_the_photos_size_and_camera() -> None:
    camera = assumed_camera((60, 100))
    method = Greenness()
    depth = Predictor(method, (32, 64))(photo(camera=camera))
    assert depth.size == (60, 100)
    assert method.seen[0].image.shape == (1, 3, 32, 56)  # about 32 x 64 pixels in the photo's shape, multiples of 8
    assert (depth.kind, depth.unit, depth.ambiguity) == ("inverse_depth", "relative", "scale")
    assert depth.camera is camera
    assert depth.inverse_depth.device.type == "cpu"
    expected = torch.linspace(0.1, 1.2, 100)
    assert torch.allclose(depth.inverse_depth[0, 0, 30], expected, atol=0.02)


def test_an_unknown_camera_is_assumed_for_the_method_but_not_claimed() -> None:
    method = Greenness("metric")
    depth = Predictor(method, (32, 64))(photo())
    assert depth.camera is None
    assert (depth.unit, depth.ambiguity) == ("m", "metric")
    seen = method.seen[0].camera
    assert isinstance(seen, Pinhole)
    assert float(seen.focal[0, 0]) == pytest.approx(0.5 * 3**0.5)  # 60 degrees along the longer side
    assert float(seen.focal[0, 1]) == pytest.approx(0.5 * 3**0.5 * 100 / 60)


def test_flip_averaging_is_monodepths_postprocessing() -> None:
    plain = Predictor(Greenness(), (64, 104))
    flipped = replace(plain, infer=flip_averaged)
    picture = photo(64, 104)
    first = plain(picture).inverse_depth
    mirror = plain(Photo(picture.image.flip(-1))).inverse_depth.flip(-1)
    assert float((first - mirror).abs().max()) > 0.05
    assert torch.allclose(flipped(picture).inverse_depth, fuse_flipped(first, mirror), atol=1e-6)


class Counts(Greenness):
    """Says that a small picture is near and nearer on the right, a large one far and striped, as wide as its pixels."""

    def predict(self, target: View, sources: tuple[View, ...] = ()) -> Prediction:
        self.seen.append(target)
        h, w = target.seen.shape[-2:]
        inverse = torch.full((1, 1, h, w), 1000.0 / (h * w)) + 0 * self.gain
        if w == 64:
            inverse = inverse * torch.linspace(1, 2, w)
        else:
            inverse[..., ::2] *= 1.2
        return Prediction(inverse)


@pytest.mark.parametrize("ambiguity", ["metric", "scale"])
def test_a_glance_gives_the_layout_and_its_unit_and_the_look_the_details(ambiguity: Ambiguity) -> None:
    method = Counts(ambiguity)
    inverse = Predictor(method, (64, 128), two_scale=0.5)(photo(64, 128)).inverse_depth[0, 0]
    assert [tuple(look.seen.shape[-2:]) for look in method.seen] == [(64, 128), (32, 64)]
    pairs = inverse.reshape(64, 64, 2).mean(-1)
    assert torch.allclose(pairs[:, 8:-8], 1000 / 2048 * torch.linspace(1, 2, 64)[8:-8].expand(64, -1), rtol=0.04)
    stripes = inverse[:, 20:-20:2] / inverse[:, 21:-19:2]
    assert float(stripes.mean()) == pytest.approx(1.2, abs=0.03)  # sky's margin takes a tenth of the 0.2
    assert float(inverse[:, -20:].mean() / inverse[:, :20].mean()) > 1.6


def test_the_glance_is_made_of_the_photo_in_its_own_shape() -> None:
    """Half of the look's 256x352 would be 128x192, and blurred twice; of a photo of 3:4 it is 128x160."""
    method = Greenness()
    method.input_multiple = 32
    picture = photo(480, 640)
    Predictor(method, (256, 352), two_scale=0.5)(picture)
    large, small = (look.seen for look in method.seen)
    assert (large.shape[-2:], small.shape[-2:]) == ((256, 352), (128, 160))
    assert torch.equal(small, resize(picture.image, (128, 160)))


def test_a_glance_may_be_mirrored_too_and_is_no_part_of_the_uncertainty() -> None:
    method = Greenness()
    predictor, picture = Predictor(method, (64, 104), two_scale=0.5), photo(64, 104)
    replace(predictor, infer=flip_averaged)(picture)
    assert [tuple(look.seen.shape[-2:]) for look in method.seen] == [(64, 104)] * 2 + [(32, 56)] * 2
    alone = replace(predictor, two_scale=None).uncertainty(picture, 4)
    assert torch.equal(predictor.uncertainty(picture, 4), alone)


def test_the_faces_of_a_cube_are_seen_once() -> None:
    """They are small already: looked at smaller still, path-traced rooms came out 0.161 instead of 0.144 wrong."""
    image = photo(64, 128).image
    looks = []
    for glance in (None, 0.5):
        method = Greenness()
        looks.append(Predictor(method, (64, 104), two_scale=glance).everywhere(Photo(image, Equirectangular())))
    assert torch.equal(looks[0].inverse_depth, looks[1].inverse_depth)


def test_uncertainty_is_the_deviation_over_looks() -> None:
    """Greenness sees colours and adds a ramp: unsure where colours are bright, and at the borders for the mirror."""
    method = Greenness()
    predictor, picture = Predictor(method, (64, 104)), photo(64, 104)
    spread = predictor.uncertainty(picture, 8, seed=1)
    ramp = torch.linspace(0, 0.1, 104)
    answers = [view.seen[0, 1, 0] + ramp for view in method.seen]
    said = torch.stack([answer.flip(-1) if k % 2 else answer for k, answer in enumerate(answers)])
    assert len(said) == 8
    assert torch.allclose(spread[0, 0, 0], said.std(0, correction=0), atol=1e-5)
    assert not torch.equal(spread, predictor.uncertainty(picture, 8, seed=2))
    assert spread.shape == (1, 1, 64, 104)
    with pytest.raises(InputError, match="at least 2"):
        predictor.uncertainty(picture, 1)


def test_flip_averaging_mirrors_the_camera() -> None:
    method = Greenness()
    camera = Pinhole(torch.tensor([[1.0, 1.0]]), torch.tensor([[0.3, 0.6]]))
    replace(Predictor(method, (64, 104)), infer=flip_averaged)(photo(camera=camera))
    assert torch.allclose(method.seen[1].camera.center, torch.tensor([[0.7, 0.6]]))


@pytest.mark.parametrize(
    ("size", "multiple", "expected"),
    [
        ((375, 1242), 1, (199, 659)),
        ((375, 1242), 32, (192, 640)),
        ((1242, 375), 32, (640, 192)),
        ((375, 1242), 128, (256, 768)),  # rather more pixels than another shape
        ((256, 512), 32, (256, 512)),
        ((16, 4000), 32, (32, 5728)),
    ],
)
def test_working_size(size: tuple[int, int], multiple: int, expected: tuple[int, int]) -> None:
    assert working_size(size, (256, 512), multiple) == expected


def test_the_hash_is_of_the_weights() -> None:
    method = Greenness()
    before = weights_hash(method)
    assert before == weights_hash(Greenness())
    method.gain.data += 1e-6
    assert weights_hash(method) != before


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "tiny"
    torch.manual_seed(0)
    checkpoint.save(path, Monodepth(width=0.05), {"input_size": [128, 128], "licence": "CC0-1.0"})
    return path


def test_a_saved_model_predicts(folder: Path) -> None:
    predictor = cyclopean.load(folder)
    depth = predictor(photo())
    assert depth.size == (60, 100)
    assert depth.model is not None
    assert depth.model.name == str(folder)
    assert depth.model.licence == "CC0-1.0"
    assert len(depth.model.sha256) == 64
    assert not depth.inverse_depth.is_inference()
    assert torch.equal(predictor(photo()).inverse_depth, depth.inverse_depth)


def test_a_models_card_says_how_to_look(folder: Path, tmp_path: Path) -> None:
    assert load(folder).two_scale is None
    checkpoint.save(tmp_path / "m", Monodepth(width=0.05), {"input_size": [128, 128], "glance": 0.5})
    assert load(tmp_path / "m").two_scale == 0.5
    assert load("general").two_scale == 0.5


def test_what_load_refuses(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown model 'generall'"):
        load("generall")
    with pytest.raises(InputError, match="'abacus' cannot be used"):
        load(folder, "abacus")
    checkpoint.save(tmp_path / "m", Monodepth(width=0.05), {})
    with pytest.raises(InputError, match="input_size"):
        load(tmp_path / "m")
    checkpoint.save(tmp_path / "m", Monodepth(width=0.05), {"input_size": [128, 128], "glance": 2})
    with pytest.raises(InputError, match=r'm/config\.json: "glance" is 2; it needs the share'):
        load(tmp_path / "m")
    for wrong, sentence in [
        *(
            ({"input_size": size}, "input_size")
            for size in ([True, 64], [64], [64, 0.5], [0, 64], [10**9, 64], "64", {})
        ),
        *(({"glance": glance}, "glance") for glance in (1e-300, float("nan"), [0.5], "x" * 9999)),
        *(({"projection": projection}, "projection") for projection in ("fisheye", None, [])),
        *(({"details": other}, "details") for other in ([], {}, "x" * 9999, "owner/name", "//host/share")),
    ]:
        checkpoint.save(tmp_path / "m", Monodepth(width=0.05), {"input_size": [128, 128], **wrong})
        with pytest.raises(InputError, match=sentence) as error:
            load(tmp_path / "m")
        assert len(str(error.value)) < 900


def test_public_names_are_there_and_others_are_not() -> None:
    for name in cyclopean.__all__:
        assert getattr(cyclopean, name) is not None
        assert name in dir(cyclopean)
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        cyclopean.lod  # noqa: B018


def two_eyed(tmp_path: Path) -> Path:
    """A saved model of the stereo variant."""
    torch.manual_seed(0)
    method = Monodepth(width=0.05, variant="stereo")
    checkpoint.save(tmp_path / "two", method, {"input_size": [128, 128], "licence": "CC0-1.0"})
    return tmp_path / "two"


def test_a_model_of_two_views_is_shown_both_and_says_the_left_ones_depth(tmp_path: Path) -> None:
    predictor = load(two_eyed(tmp_path))
    left, right = photo(128, 128), photo(128, 128)
    right = replace(right, image=right.image.flip(-1))
    found = predictor(left, right=right).inverse_depth
    camera = assumed_camera((128, 128))
    target, source = view(left.image, camera), view(right.image, camera)
    torch.testing.assert_close(found, predictor.method.predict(target, (source,)).inverse_depth.detach())
    assert not torch.equal(found, predictor(right, right=left).inverse_depth)


def test_two_views_are_for_models_of_two(tmp_path: Path) -> None:
    two, one = load(two_eyed(tmp_path)), load()
    with pytest.raises(InputError, match=r"takes two pictures.*--right"):
        two(photo())
    with pytest.raises(InputError, match=r"'general' takes one picture.*--variant stereo"):
        one(photo(), right=photo())
    with pytest.raises(InputError, match=r"100x60 and 100x80 pixels; left and right need one size"):
        two(photo(60), right=photo(80))
    with pytest.raises(InputError, match="no --flip-average"):
        replace(two, infer=flip_averaged)(photo(), right=photo())
    with pytest.raises(InputError, match="two pictures is not known"):
        two.uncertainty(photo(), 2)
