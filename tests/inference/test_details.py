"""Details of one answer in the layout of another, and the model that asks for them in its card."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cyclopean.errors import InputError
from cyclopean.geometry import Equirectangular
from cyclopean.inference.panorama import DETAIL_DEVIATION, transfer_details
from cyclopean.inference.predictor import load
from cyclopean.inference.wrappers import flip_averaged
from cyclopean.io.image import Photo
from cyclopean.methods.base import Method
from cyclopean.methods.monodepth import Monodepth
from cyclopean.sample import View
from cyclopean.synthetic import rigs
from cyclopean.training import checkpoint, models

SIZE = (96, 192)


def hill(period: float, phase: float = 0.0) -> torch.Tensor:
    """Ratios of distances that go up and down `period` times around the horizon."""
    u = (torch.arange(SIZE[1]) + 0.5) / SIZE[1]
    return (0.2 * torch.sin(2 * math.pi * (period * u + phase))).exp().expand(1, 1, *SIZE)


def test_layout_and_metres_of_one_details_of_the_other() -> None:
    """Waves far longer and far shorter than the Gaussian: what is kept of each, by its own transfer function."""
    assert DETAIL_DEVIATION == 1 / 48  # as the docs say
    long, short = 2, 23
    mixed = transfer_details(3.0 * hill(long) * hill(short, 0.3), 0.01 * hill(1) * hill(short))
    wanted = 3.0 * hill(long) * hill(short)
    assert float((mixed / wanted).log().abs().max()) < 0.05
    assert float((3.0 * hill(long) * hill(short, 0.3) / wanted).log().abs().max()) > 0.3


def test_its_own_details_change_nothing() -> None:
    rough = 0.2 + torch.rand(1, 1, *SIZE, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(transfer_details(rough, rough), rough)


def test_details_go_on_over_the_seam_and_roll_with_the_picture() -> None:
    generator = torch.Generator().manual_seed(2)
    one, other = (0.2 + torch.rand(1, 1, *SIZE, generator=generator) for _ in range(2))
    rolled = transfer_details(one.roll(50, -1), other.roll(50, -1))
    torch.testing.assert_close(rolled, transfer_details(one, other).roll(50, -1))


def test_waves_of_7_degrees_are_parted_from_longer_ones() -> None:
    """A Gaussian of 1/48 of the width leaves exp(-(2 pi f / 48)^2 / 2) of f periods: half of it at 9."""
    for periods, share in ((4, 0.13), (9, 0.5), (16, 0.89)):
        mixed = transfer_details(torch.ones(1, 1, *SIZE), hill(periods)).log()
        assert float(mixed.std() / hill(periods).log().std()) == pytest.approx(share, abs=0.03)


def test_answers_of_nothing_stay_numbers() -> None:
    none, some = torch.zeros(1, 1, *SIZE), torch.ones(1, 1, *SIZE)
    for layout, seen in ((none, some), (some, none), (none, none), (some - 1.2, some)):
        assert transfer_details(layout, seen).isfinite().all()


def test_details_leave_nothing_behind_infinity() -> None:
    """A layout with sky, where steps of the other map go down too: inverse distances stay above 0."""
    sky, steps = torch.ones(1, 1, *SIZE), torch.ones(1, 1, *SIZE)
    sky[..., 60:120] = 1e-6
    steps[..., ::16] = 0.01
    assert float(transfer_details(sky, steps).min()) > 0


def test_sky_is_far_and_what_stands_before_it_stays() -> None:
    """Inverse distances of nothing, whose logarithm has no end, count in no blur: trees before sky are not near."""
    seen = torch.ones(1, 1, *SIZE)
    seen[..., :40, 90:] = 1e-9
    found = transfer_details(torch.ones(1, 1, *SIZE), seen)
    assert found.isfinite().all()
    assert float(found[..., :40, 90:].max()) < 0.01
    found[..., :40, 90:] = 1
    assert float((found - 1).abs().max()) < 1e-3


@pytest.mark.slow
def test_the_panorama_model_sees_things_that_it_lost_alone() -> None:
    """Steps of the true depth, over three rooms: what has details follows them more closely."""
    both = load("panorama")
    alone = replace(both, details=None)
    follows: dict[bool, float] = {}
    for detailed, predictor in ((True, both), (False, alone)):
        total = 0.0
        for seed in range(60, 63):
            item = rigs.sample("room", seed, (128, 256), "sphere")
            found = predictor(Photo(item.target.image, Equirectangular())).inverse_depth.log()
            steps = [x.diff(dim=-1)[..., 32:96, :].flatten() for x in (found, -item.depth.log())]
            total += float(torch.corrcoef(torch.stack(steps))[0, 1])
        follows[detailed] = total / 3
    assert follows[True] > 1.05 * follows[False]


def test_what_saw_the_details_is_told() -> None:
    model = load("panorama")
    assert model.details is not None
    assert model.details.model is not None
    photo = Photo(rigs.sample("room", 61, (64, 128), "sphere").target.image, Equirectangular())
    plain = model(photo)
    assert plain.notes["details"] == f"by ten faces around: general {model.details.model.sha256[:12]}, Apache-2.0"
    assert "details" not in replace(model, details=None)(photo).notes


def test_flip_averaging_is_of_both_and_uncertainty_of_the_layout_alone() -> None:
    model = load("panorama")
    photo = Photo(rigs.sample("room", 61, (64, 128), "sphere").target.image, Equirectangular())
    asked: list[str] = []

    def see(method: Method, target: View) -> torch.Tensor:
        asked.append(method.name)
        return flip_averaged(method, target)

    replace(model, infer=see)(photo)
    assert set(asked) == {"depth_anywhere", "supervised"}
    assert torch.equal(model.uncertainty(photo, 2), replace(model, details=None).uncertainty(photo, 2))


@pytest.fixture
def cards(tmp_path: Path):
    """Copies of bundled models with other words in their cards."""

    def copy(name: str, **words: object) -> Path:
        folder = tmp_path / f"{name} {words}"
        shutil.copytree(models.BUNDLED / name, folder)
        card = json.loads((folder / "config.json").read_text())
        kept = {k: v for k, v in {**card, **words}.items() if v is not None}
        (folder / "config.json").write_text(json.dumps(kept))
        return folder

    return copy


def test_a_card_without_details_asks_for_none(cards) -> None:
    assert load(cards("panorama", details=None)).details is None


@pytest.mark.parametrize(("name", "words"), [("general", "panorama"), ("general", "general"), ("panorama", "panorama")])
def test_details_come_from_a_model_for_photos_and_go_into_panoramas(cards, name: str, words: str) -> None:
    folder = cards(name, details=words)
    with pytest.raises(InputError, match=f'"details" is "{words}"; it needs a model for single ordinary photos'):
        load(folder)


def test_a_second_panorama_model_or_one_of_two_views_tells_no_details(cards, tmp_path: Path) -> None:
    whole = cards("panorama", details=None)
    pairs = tmp_path / "pairs"
    card = {"input_size": [128, 256], "licence": "Apache-2.0"}
    checkpoint.save(pairs, Monodepth(variant="stereo", network="compact", width=0.25), card)
    for other in (whole, pairs):
        with pytest.raises(InputError, match="a model for single ordinary photos, in one for panoramas"):
            load(cards("panorama", details=str(other)))


def test_names_are_bundled_ones_or_paths_from_the_card(cards, tmp_path: Path, monkeypatch) -> None:
    """Whatever the current folder holds."""
    mine = cards("panorama", details="../mine")
    shutil.copytree(models.BUNDLED / "general", mine.parent / "mine")
    (tmp_path / "here" / "general").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    for predictor, name in ((load(mine), "../mine"), (load("panorama"), "general")):
        assert predictor.details is not None
        assert predictor.details.model is not None
        assert predictor.details.model.name == name
    missing = cards("panorama", details="../nobody")
    with pytest.raises(
        InputError, match=r'"details" is "\.\./nobody"; it needs a model .*it is neither a bundled model'
    ):
        load(missing)


@pytest.mark.parametrize("words", [3, "", ["general"], "generl"])
def test_names_that_are_none_are_refused(cards, words: object) -> None:
    with pytest.raises(InputError, match=r"details|generl"):
        load(cards("panorama", details=words))


def test_a_card_that_names_itself_does_not_go_round_for_ever(cards) -> None:
    folder = cards("panorama")
    card = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**card, "details": str(folder)}))
    with pytest.raises(InputError, match="a model for single ordinary photos, in one for panoramas"):
        load(folder)
