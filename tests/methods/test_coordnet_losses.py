"""CoordNet's losses, put together: each term against Eq. 4 to 7 written out once more, with the paper's numbers."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from cyclopean.errors import InputError
from cyclopean.geometry import Equirectangular, pixel_grid, reproject, reproject_first_order, translation
from cyclopean.methods.spherical_view_synthesis import (
    SHARPEST,
    SphericalViewSynthesis,
    cartesian_smoothness,
    synthesis_loss,
)
from cyclopean.networks.coordnet import START
from cyclopean.sample import Sample, View, view
from cyclopean.synthesis import pull, push
from cyclopean.training import checkpoint

SPHERE = Equirectangular()
H, W = SIZE = 8, 16
BASELINE = 0.3
POSES = {"UD": (0.0, BASELINE, 0.0), "LR": (-BASELINE, 0.0, 0.0)}
NAMES = {"UD": "vertical", "LR": "horizontal"}


@pytest.fixture
def panoramas() -> Sample:
    """Two items of noise, a source above and one beside, a few pixels invalid in each; 0.7 to 3.7 m."""
    views = [view(torch.rand(2, 3, *SIZE), SPHERE)]
    views += [view(torch.rand(2, 3, *SIZE), SPHERE, translation(torch.tensor([t] * 2))) for t in POSES.values()]
    target, *sources = (replace(v, valid=torch.rand(2, 1, *SIZE) > 0.1) for v in views)
    return Sample(target, tuple(sources), 0.7 + 3 * torch.rand(2, 1, *SIZE))


def answering(depth: Tensor, rig: str, **options: object) -> SphericalViewSynthesis:
    """A method whose network answers with that depth."""
    method = SphericalViewSynthesis(rig, **options)
    method.network = torch.nn.Identity()
    method.network.forward = lambda image: depth
    return method


def share_of(rig: str) -> Tensor:
    """A of Eq. 5 in this project's angles: the cosine of the latitude, times that of the longitude for one beside."""
    latitude = (0.5 - (torch.arange(H) + 0.5) / H) * math.pi
    longitude = ((torch.arange(W) + 0.5) / W - 0.5) * 2 * math.pi
    level = torch.ones(W) if rig == "UD" else longitude.cos().abs()
    return (latitude.cos()[:, None] * level)[None, None]


# --- Eq. 5 and 6 ---


def around_the_sphere(i: int, j: int) -> tuple[int, int]:
    """The pixel that is meant by row i, column j, a little outside: past a pole half a turn away."""
    if not 0 <= i < H:
        i, j = (-1 - i if i < 0 else 2 * H - 1 - i), j + W // 2
    return i, j % W


def likeness(x: np.ndarray, y: np.ndarray, i: int, j: int, window: int) -> float:
    """SSIM of the window around a pixel, of one colour (Wang et al. 2004)."""
    reach = range(-(window // 2), window // 2 + 1)
    places = [around_the_sphere(i + down, j + along) for down in reach for along in reach]
    a, b = (np.array([image[place] for place in places]) for image in (x, y))
    covariance = ((a - a.mean()) * (b - b.mean())).mean()
    top = (2 * a.mean() * b.mean() + 0.01**2) * (2 * covariance + 0.03**2)
    return top / ((a.mean() ** 2 + b.mean() ** 2 + 0.01**2) * (a.var() + b.var() + 0.03**2))


def looped(made: Tensor, true: Tensor, mask: Tensor, weight: Tensor, window: int = 5) -> float:
    """Eq. 5 and 6, pixel by pixel."""
    costs = []
    for x, y, m, a in zip(*(t.double().numpy() for t in (made * mask, true * mask, mask, weight)), strict=True):
        total = 0.0
        for c, i, j in np.ndindex(x.shape):
            unlike = min(max((1 - likeness(x[c], y[c], i, j, window)) / 2, 0), 1)
            total += m[0, i, j] * a[0, i, j] * (0.85 * unlike + 0.15 * abs(x[c, i, j] - y[c, i, j]))
        costs.append(total / m.sum())
    return float(np.mean(costs))


def test_photometric_against_a_loop():
    made, true = torch.rand(2, 2, 3, *SIZE, dtype=torch.float64)
    mask, weight = (torch.rand(2, 1, *SIZE) > 0.2).double(), torch.rand(2, 1, *SIZE, dtype=torch.float64)
    assert synthesis_loss(made, true, mask, weight).item() == pytest.approx(looped(made, true, mask, weight), rel=1e-9)


def splatted(sample: Sample, source: View, rig: str, sharpness: float, *, window: int = 5, land=reproject) -> float:
    """The source's loss without its share: made by the soft z-buffer, compared where more than 1e-3 fell."""
    match = land(1 / sample.depth, SPHERE, source.from_target, SPHERE)
    weight = torch.exp(-sharpness * sample.depth) * sample.target.valid
    colours, coverage = push(torch.cat([sample.target.image * weight, weight], 1), match.uv, "sphere").split([3, 1], 1)
    mask = ((coverage > 1e-3) & source.valid).float()
    made = colours / coverage.clamp(min=1e-9)
    return looped(made, source.image, mask, share_of(rig).expand(2, 1, H, W), window)


@pytest.mark.parametrize("rig", ["UD", "LR"])
@pytest.mark.parametrize(("sharpness", "window"), [(0.1, 5), (0.8, 3)])
def test_what_a_rig_is_told(panoramas, rig, sharpness, window):
    """0.95 of Eq. 6, with the attention of this rig, splats of this sharpness, and windows of this size."""
    source = panoramas.sources[list(POSES).index(rig)]
    expected = 0.95 * splatted(panoramas, source, rig, sharpness, window=window)
    options = {} if sharpness == 0.1 else {"sharpness": sharpness, "window": window}
    term = answering(panoramas.depth, rig, **options).losses(panoramas)[NAMES[rig]]
    assert float(term) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("rig", ["UD", "LR"])
def test_inverse_warping_is_told_as_much(panoramas, rig):
    """The target made from the source, compared where all four pixels were valid."""
    source = panoramas.sources[list(POSES).index(rig)]
    uv = reproject(1 / panoramas.depth, SPHERE, source.from_target, SPHERE).uv
    fetched = pull(torch.cat([source.image, source.valid.float()], 1), uv, "sphere")
    mask = (panoramas.target.valid & (fetched[:, 3:] > 0.999)).float()
    expected = 0.95 * looped(fetched[:, :3], panoramas.target.image, mask, share_of(rig).expand(2, 1, H, W))
    term = answering(panoramas.depth, rig, warp="pull").losses(panoramas)[NAMES[rig]]
    assert float(term) == pytest.approx(expected, rel=1e-4)


def test_to_first_order_near_things_land_elsewhere(panoramas):
    """The paper's displacement, in the loss too; what is a hundred baselines away lands where it does exactly."""
    source = panoramas.sources[0]
    near = answering(panoramas.depth, "UD", landing="first-order").losses(panoramas)["vertical"]
    expected = 0.95 * splatted(panoramas, source, "UD", 0.1, land=reproject_first_order)
    assert float(near) == pytest.approx(expected, rel=1e-4)
    apart = []
    for factor in (1.0, 100 * BASELINE / 0.7):
        depth = panoramas.depth * factor
        methods = (answering(depth, "UD", landing=how) for how in ("exact", "first-order"))
        exact, first = (method.correspondence(depth, None, panoramas.target, source).uv for method in methods)
        apart.append(float(((exact - first) * torch.tensor([W, H])).norm(dim=-1).max()))
    assert apart[0] > 0.1
    assert apart[1] < 1e-3


@pytest.mark.parametrize("options", [{"rig": "UD"}, {"rig": "LR"}, {"rig": "LR", "warp": "pull"}, {"rig": "SV"}])
def test_without_attention_all_directions_count(panoramas, options):
    """Comparisons grow, since A is at most 1 and below it almost everywhere; smoothness keeps its 1 - A."""
    wrong = panoramas.depth * 1.3
    attended, even = (answering(wrong, **options, attention=on).losses(panoramas) for on in (True, False))
    compared = attended.keys() - {"smoothness"}
    assert len(compared) == 1
    assert all(even[name] > 1.2 * attended[name] for name in compared)
    assert even["smoothness"] == attended["smoothness"]


# --- Eq. 7 and true depth ---


@pytest.mark.parametrize(("rig", "vertical"), [("UD", True), ("LR", False), ("TC", True), ("SV", True)])
def test_smooth_where_attention_is_not(panoramas, rig, vertical):
    """0.05 of Eq. 7 with 1 - A: of the rig beside where it is alone."""
    points = SPHERE.rays(pixel_grid(SIZE, panoramas.depth)) * panoramas.depth[:, 0, ..., None]
    target, left = panoramas.target, 1 - share_of("UD" if vertical else "LR")
    expected = 0.05 * cartesian_smoothness(points, target.image, left, target.valid)
    term = answering(panoramas.depth, rig).losses(panoramas)["smoothness"]
    torch.testing.assert_close(term, expected, rtol=1e-5, atol=0)


def test_true_depth_is_attended_too(panoramas):
    """0.95 of BerHu with c a fifth of the largest error, weighed by the vertical attention, over valid pixels."""
    told = panoramas.depth + 2 * torch.rand(2, 1, *SIZE) - 0.4
    valid = panoramas.target.valid
    off = (told - panoramas.depth).abs() * valid
    c = off.max() / 5
    costs = torch.where(off <= c, off, (off**2 + c**2) / (2 * c)) * share_of("UD") * valid
    expected = 0.95 * (costs.sum((1, 2, 3)) / valid.sum((1, 2, 3))).mean()
    torch.testing.assert_close(answering(told, "SV").losses(panoramas)["berhu"], expected, rtol=1e-5, atol=0)


# --- sharpness and window as arguments ---


def test_a_saved_model_keeps_them(panoramas, tmp_path):
    """What is loaded loses what was saved."""
    method = SphericalViewSynthesis("UD", sharpness=0.7, window=7, width=0.1)
    checkpoint.save(tmp_path / "model", method, {})
    loaded, config = checkpoint.load(tmp_path / "model")
    assert loaded.config() == method.config() == config["arguments"]
    assert loaded.losses(panoramas) == method.losses(panoramas)


def test_models_and_runs_from_before_there_was_a_window(panoramas):
    """Theirs is 5, and a run that goes on compares configs."""
    before = {"rig": "UD", "ratio": 0.6, "coordinates": True, "circular": False, "attention": True, "warp": "splat"}
    before |= {"landing": "exact", "sharpness": 0.1, "network": "coordnet", "width": 1.0, "predicts": "depth"}
    assert SphericalViewSynthesis(**before).config() == before
    old, now = (answering(panoramas.depth, **before, **more).losses(panoramas) for more in ({}, {"window": 5}))
    assert old == now


def test_at_the_sharpest_the_first_guess_is_compared(panoramas):
    """The soft z-buffer's weights shrink with depth, and what weighs under 1e-3 is a hole: 5 m is none yet."""
    guess = torch.full_like(panoramas.depth, START)
    whole = replace(panoramas, target=view(panoramas.target.image, SPHERE))
    assert float(answering(guess, "LR", sharpness=SHARPEST).losses(whole)["horizontal"]) > 0.1


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"sharpness": -0.1}, "needs 0"),
        ({"sharpness": math.nan}, "needs 0"),
        ({"sharpness": 2.0}, "to 1: with more, walls of a room weigh too little"),
        ({"window": 4}, "odd"),
        ({"window": 1}, "at least 3"),
        ({"width": 0.0}, "above 0"),
    ],
)
def test_numbers_that_mean_nothing_are_refused(wrong, said):
    with pytest.raises(InputError, match=said):
        SphericalViewSynthesis(**wrong)


def test_a_window_larger_than_the_picture_is_refused(panoramas):
    with pytest.raises(InputError, match="too large for pictures 8 high"):
        answering(panoramas.depth, "UD", window=19).losses(panoramas)
